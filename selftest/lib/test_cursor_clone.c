//  test_cursor_clone.c - tests of copies of a cursor: they know the same, and go ways of their own
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/fault.h"
#include "cursor.h"
#include "kit.h"

#define BLOCK_MESSAGES_MAX 200

//  A cursor after random work, in a state that follows from the seed
typedef struct {
    zspool_cursor_t *cursor;
    kit_chance_t chance;
    uint64_t last; //  of the known blocks
    int64_t now_ms;
} s_work_t;

static void
s_step (s_work_t *self)
{
    self->now_ms += (int64_t) kit_below (&self->chance, 100);
    uint64_t first = 1 + kit_below (&self->chance, self->last + 1), sequence;
    switch (kit_below (&self->chance, 5)) {
    case 0: {
        uint32_t count = 1 + (uint32_t) kit_below (&self->chance, BLOCK_MESSAGES_MAX);
        CHECK_OK (zspool_cursor_cover (self->cursor, self->last + 1, count));
        CHECK_OK (
            zspool_cursor_sent (self->cursor, self->last + 1, self->last + count, self->now_ms));
        self->last += count;
        break;
    }
    case 1:
        if (zspool_cursor_due (self->cursor, self->now_ms, &sequence))
            CHECK_OK (zspool_cursor_sent (self->cursor, sequence, sequence, self->now_ms));
        break;
    default: zspool_cursor_ack (self->cursor, first, first + kit_below (&self->chance, 20)); break;
    }
}

static s_work_t
s_work (kit_chance_t chance, int steps)
{
    s_work_t self = { zspool_cursor_new (1, 1, 1, 0, 0), chance, 0, 1000 };
    CHECK (self.cursor);
    zspool_cursor_set_timeout_ms (self.cursor, 500);
    for (; steps > 0; steps--)
        s_step (&self);
    return self;
}

//  Compare all that can be asked of two cursors.
static void
s_compare (zspool_cursor_t *one, zspool_cursor_t *other, uint64_t last, int64_t now_ms)
{
    uint64_t due = 0, other_due = 0;
    CHECK_EQ_U64 (zspool_cursor_floor (other), zspool_cursor_floor (one));
    CHECK_EQ_U64 (zspool_cursor_sent_to (other), zspool_cursor_sent_to (one));
    CHECK_EQ_U64 (zspool_cursor_in_flight (other), zspool_cursor_in_flight (one));
    CHECK (zspool_cursor_changed (other) == zspool_cursor_changed (one));
    CHECK (zspool_cursor_due (other, now_ms, &other_due) == zspool_cursor_due (one, now_ms, &due));
    CHECK_EQ_U64 (other_due, due);
    CHECK_EQ_I64 (zspool_cursor_next_due_ms (other), zspool_cursor_next_due_ms (one));
    for (uint64_t sequence = 1; sequence <= last + 5; sequence++) {
        CHECK (zspool_cursor_acked (other, sequence) == zspool_cursor_acked (one, sequence));
        CHECK_EQ_U64 (zspool_cursor_deliveries (other, sequence),
                      zspool_cursor_deliveries (one, sequence));
    }
}

//  Compare two changes, byte by byte.
static void
s_compare_changes (zspool_cursor_change_t *one, zspool_cursor_change_t *other)
{
    CHECK ((one == NULL) == (other == NULL));
    if (one) {
        CHECK_EQ_U64 (other->floor, one->floor);
        CHECK_EQ_U64 (other->sent_to, one->sent_to);
        CHECK_EQ_U64 (other->entries_count, one->entries_count);
        for (size_t index = 0; index < one->entries_count; index++) {
            const zspool_cursor_entry_t *a = &one->entries [index], *b = &other->entries [index];
            CHECK (b->first_sequence == a->first_sequence && b->messages == a->messages);
            CHECK_EQ_MEM (b->acked, (b->messages + 7) / 8, a->acked, (a->messages + 7) / 8);
            CHECK ((a->counts == NULL) == (b->counts == NULL));
            if (a->counts)
                CHECK_EQ_MEM (b->counts, b->messages * 2, a->counts, a->messages * 2);
        }
    }
    free (one);
    free (other);
}

TEST (test_cursor_clone_knows_what_the_original_knows)
{
    kit_chance_t chance = kit_chance_new ();
    for (int round = 0; round < 60; round++) {
        s_work_t self = s_work (kit_random (&chance), 1 + (int) kit_below (&chance, 80));
        zspool_cursor_t *clone = zspool_cursor_clone (self.cursor);
        CHECK (clone);
        s_compare (self.cursor, clone, self.last, self.now_ms);
        //  Told the same from then on, they stay alike.
        s_work_t other = self;
        other.cursor = clone;
        for (int step = 0; step < 30; step++) {
            s_step (&self);
            s_step (&other);
            if (kit_below (&chance, 8) == 0)
                s_compare_changes (zspool_cursor_take_change (self.cursor),
                                   zspool_cursor_take_change (clone));
        }
        s_compare (self.cursor, clone, self.last, self.now_ms);
        s_compare_changes (zspool_cursor_take_change (self.cursor),
                           zspool_cursor_take_change (clone));
        zspool_cursor_destroy (&self.cursor);
        zspool_cursor_destroy (&clone);
    }
}

TEST (test_cursor_clone_changes_nothing_in_the_original)
{
    kit_chance_t chance = kit_chance_new ();
    for (int round = 0; round < 60; round++) {
        kit_chance_t seed = kit_random (&chance);
        int steps = 1 + (int) kit_below (&chance, 80);
        s_work_t self = s_work (seed, steps), same = s_work (seed, steps);
        zspool_cursor_t *clone = zspool_cursor_clone (self.cursor);
        CHECK (clone);
        //  What a transaction does with one: acknowledge, take the change, and let it go
        zspool_cursor_ack (clone, 1, self.last);
        free (zspool_cursor_take_change (clone));
        CHECK_EQ_U64 (zspool_cursor_floor (clone), self.last);
        zspool_cursor_destroy (&clone);
        s_compare (same.cursor, self.cursor, self.last, self.now_ms);
        s_compare_changes (zspool_cursor_take_change (same.cursor),
                           zspool_cursor_take_change (self.cursor));
        zspool_cursor_destroy (&self.cursor);
        zspool_cursor_destroy (&same.cursor);
    }
}

//  Each allocation of a copy fails in turn: there is none then, and the original is as it was.
TEST (test_cursor_clone_without_memory_is_none)
{
    kit_chance_t chance = kit_chance_new ();
    kit_chance_t seed = kit_random (&chance);
    s_work_t self = s_work (seed, 60), same = s_work (seed, 60);
    zspool_cursor_t *clone = NULL;
    unsigned failed = 0;
    fault_watch (".");
    while (!clone) {
        fault_fail (FAULT_MEMORY, failed, 1, FAULT_BEFORE, ENOMEM);
        clone = zspool_cursor_clone (self.cursor);
        fault_fail (FAULT_MEMORY, 0, 0, FAULT_BEFORE, 0);
        fault_watch (".");
        failed += clone == NULL;
        CHECK (failed < 1000);
    }
    printf ("%u allocations\n", failed);
    CHECK (failed > 2);
    s_compare (same.cursor, self.cursor, self.last, self.now_ms);
    s_compare (clone, self.cursor, self.last, self.now_ms);
    zspool_cursor_destroy (&clone);
    zspool_cursor_destroy (&self.cursor);
    zspool_cursor_destroy (&same.cursor);
}
