//  test_store_retention_model.c - random work under a random retention, against a naive list
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The list goes by the words of the header: it looks at every block each time.

#include "kit.h"

#include <stdlib.h>

#define NONE ZSPOOL_KEEP_UNLIMITED
#define US_PER_S ((int64_t) 1000000)
#define OVERHEAD 104                   //  of a block, bytes
#define BLOCK_BYTES(count, bytes) ((count) * ((bytes) + 8) + OVERHEAD)
#define BLOCKS_MAX 2000
#define CURSORS 2

typedef struct {
    struct { uint64_t first; uint32_t count; uint64_t bytes; int64_t stored_us; } blocks [BLOCKS_MAX];
    size_t begin, end;
    bool acked [CURSORS] [BLOCKS_MAX * 10];  //  by sequence
    uint64_t floors [CURSORS];
    bool touched [CURSORS];                  //  acknowledged something in this transaction
    uint64_t lagged [CURSORS];
    uint64_t last;
    zspool_retention_t retention;
} s_model_t;

static bool
s_model_goes (const s_model_t *model, int64_t now_us)
{
    uint64_t bytes = 0, messages = 0;
    for (size_t index = model->begin + 1; index < model->end; index++) {
        bytes += model->blocks [index].bytes;
        messages += model->blocks [index].count;
    }
    const zspool_retention_t *keep = &model->retention;
    bool over = bytes >= keep->bytes || messages >= keep->messages
                || (keep->age_us != NONE
                    && now_us - model->blocks [model->begin].stored_us >= (int64_t) keep->age_us);
    uint64_t last = model->blocks [model->begin].first + model->blocks [model->begin].count - 1;
    for (int cursor = 0; cursor < CURSORS && keep->unacked; cursor++)
        over = over && model->floors [cursor] >= last;
    return over;
}

static void
s_model_commit (s_model_t *model, int64_t now_us)
{
    //  A cursor that lost messages looks at what it acknowledged behind them when it acknowledges next.
    for (int cursor = 0; cursor < CURSORS; cursor++, model->touched [cursor - 1] = false)
        while (model->touched [cursor] && model->acked [cursor] [model->floors [cursor] + 1])
            model->floors [cursor]++;
    for (; model->begin < model->end && s_model_goes (model, now_us); model->begin++) {
        uint64_t first = model->blocks [model->begin].first;
        for (uint64_t at = first; at < first + model->blocks [model->begin].count; at++)
            for (int cursor = 0; cursor < CURSORS; cursor++) {
                model->lagged [cursor] += !model->acked [cursor] [at];
                model->acked [cursor] [at] = true;
                if (model->floors [cursor] < at)
                    model->floors [cursor] = at;
            }
    }
}

static void
s_check_model (kit_setup_t *self, const s_model_t *model, const uint32_t cursors [CURSORS])
{
    zspool_spool_info_t info = kit_spool_info (self->store, self->spool);
    uint64_t messages = 0, bytes = 0;
    for (size_t index = model->begin; index < model->end; index++) {
        messages += model->blocks [index].count;
        bytes += model->blocks [index].bytes;
    }
    CHECK_EQ_U64 (info.first_sequence, model->begin < model->end? model->blocks [model->begin].first: 0);
    CHECK_EQ_U64 (info.blocks, model->end - model->begin);
    CHECK_EQ_U64 (info.messages, messages);
    CHECK_EQ_U64 (info.bytes, bytes);
    for (int cursor = 0; cursor < CURSORS; cursor++) {
        zspool_cursor_info_t found = kit_cursor_info (self->store, self->spool, cursors [cursor]);
        CHECK_EQ_U64 (found.floor, model->floors [cursor]);
        CHECK_EQ_U64 (found.lagged, model->lagged [cursor]);
    }
}

//  Acknowledge a few messages somewhere above the floor, if they are all pending.
static void
s_ack_some (kit_setup_t *self, s_model_t *model, kit_chance_t *chance, int cursor, uint32_t id)
{
    uint64_t floor = model->floors [cursor];
    if (floor >= model->last)
        return;
    uint64_t first = floor + 1 + (kit_below (chance, 3)? 0: kit_below (chance, model->last - floor));
    uint64_t last = first + kit_below (chance, 12);
    if (last > model->last)
        last = model->last;
    bool pending = true;
    for (uint64_t at = first; at <= last; at++)
        pending = pending && !model->acked [cursor] [at];
    if (!pending)
        return;
    CHECK_OK (zspool_store_ack (self->store, self->spool, id, first, last));
    model->touched [cursor] = true;
    for (uint64_t at = first; at <= last; at++)
        model->acked [cursor] [at] = true;
}

static zspool_retention_t
s_any_retention (kit_chance_t *chance)
{
    zspool_retention_t any = { NONE, NONE, NONE, kit_below (chance, 3) > 0 };
    //  Ages are hours apart, so that the time that the test takes does not matter.
    if (kit_below (chance, 2))
        any.age_us = (1 + kit_below (chance, 40)) * 3600 * 1000000 - 1800 * 1000000ULL;
    if (kit_below (chance, 2))
        any.bytes = 1 + kit_below (chance, 30000);
    if (kit_below (chance, 2))
        any.messages = 1 + kit_below (chance, 200);
    return any;
}

TEST (test_store_retention_at_random_does_what_a_naive_list_does)
{
    kit_setup_t self = kit_setup ();
    kit_chance_t chance = kit_chance_new ();
    uint32_t cursors [CURSORS] = { self.cursor, kit_cursor (self.store, self.spool, "other", 1) };
    static s_model_t model;
    model.retention = zspool_retention_queue;
    int64_t now_us = zspool_now_us ();
    for (int64_t step = 0; step < 1500; step++) {
        s_model_t *before = (s_model_t *) malloc (sizeof model);
        memcpy (before, &model, sizeof model);
        CHECK_OK (zspool_store_begin (self.store));
        if (kit_below (&chance, 20) == 0) {
            model.retention = s_any_retention (&chance);
            CHECK_OK (zspool_store_set_retention (self.store, self.spool, &model.retention));
        }
        if (kit_below (&chance, 3)) {
            uint32_t count = 1 + (uint32_t) kit_below (&chance, 10);
            int64_t stored_us = now_us - (1500 - step) / 30 * 3600 * US_PER_S;
            kit_append_at (&self, count, 20, stored_us);
            model.blocks [model.end].first = model.last + 1;
            model.blocks [model.end].count = count;
            model.blocks [model.end].bytes = BLOCK_BYTES (count, 20);
            model.blocks [model.end++].stored_us = stored_us;
            model.last += count;
        }
        for (int cursor = 0; cursor < CURSORS; cursor++)
            if (kit_below (&chance, 2))
                s_ack_some (&self, &model, &chance, cursor, cursors [cursor]);
        if (kit_below (&chance, 10) == 0) {
            zspool_store_rollback (self.store);
            memcpy (&model, before, sizeof model);
        }
        else {
            s_model_commit (&model, now_us);
            CHECK_OK (zspool_store_commit (self.store));
        }
        free (before);
        s_check_model (&self, &model, cursors);
        if (kit_below (&chance, 100) == 0)
            kit_reopen (&self);
    }
    kit_done (&self);
}
