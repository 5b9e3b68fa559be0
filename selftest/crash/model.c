//  model.c - random work on a store, beside a simple model of what the store then promises
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/model.h"
#include "crash/fault.h"

#include <sys/mman.h>

#define STORED 1                       //  a message was stored
#define ACKED(cursor) (2 << (cursor))  //  a cursor has acknowledged it
#define MESSAGE_BYTES_MAX 40000
#define VALUE_BYTES_MAX 20000
#define TABLE "totals"

static const char *const s_names [MODEL_SPOOLS] = { "one", "two" };

void
model_clear (model_t *model)
{
    memset (model, 0, sizeof *model);
    for (int index = 0; index < MODEL_SPOOLS; index++)
        model->spools [index].next = 1;
}

model_ledger_t *
model_ledger_new (void)
{
    model_ledger_t *self = (model_ledger_t *) mmap (NULL, sizeof *self, PROT_READ | PROT_WRITE,
                                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK (self != MAP_FAILED);
    model_clear (&self->committed);
    return self;
}

//  ------------------------------------------------------------------------------------------------
//  The ledger

//  Only so much of the messages is noted as there are: a model is large.
static size_t
s_spool_bytes (const model_spool_t *spool)
{
    return offsetof (model_spool_t, messages) + spool->last + 1;
}

static void
s_note (model_worker_t *self, uint64_t tag, const model_t *model)
{
    static uint8_t bytes [sizeof (model_t)];
    if (!self->recording)
        return;
    size_t size = offsetof (model_t, spools);
    memcpy (bytes, model, size);
    for (int index = 0; index < MODEL_SPOOLS; index++) {
        size_t spool_bytes = s_spool_bytes (&model->spools [index]);
        memcpy (bytes + size, &model->spools [index], spool_bytes);
        size += spool_bytes;
    }
    recording_add (self->recording, RECORD_NOTE, tag, "", bytes, size);
}

void
model_load (model_t *model, const record_t *note)
{
    const uint8_t *bytes = record_data (note);
    memset (model, 0, sizeof *model);
    memcpy (model, bytes, offsetof (model_t, spools));
    bytes += offsetof (model_t, spools);
    for (int index = 0; index < MODEL_SPOOLS; index++) {
        model_spool_t *spool = &model->spools [index];
        memcpy (spool, bytes, offsetof (model_spool_t, messages));
        size_t spool_bytes = s_spool_bytes (spool);
        memcpy (spool, bytes, spool_bytes);
        bytes += spool_bytes;
    }
}

//  The candidate is under way.
static void
s_begin_commit (model_worker_t *self)
{
    self->ledger->committing = true;
    s_note (self, MODEL_CANDIDATE, &self->ledger->candidate);
    if (self->plant == MODEL_CONFIRMS_EARLY)
        s_note (self, MODEL_CONFIRMED, &self->ledger->candidate);
}

//  It has happened, or it has not.
static void
s_end_commit (model_worker_t *self, bool happened)
{
    model_ledger_t *ledger = self->ledger;
    if (happened)
        ledger->committed = ledger->candidate;
    ledger->committing = false;
    self->now = ledger->committed;
    s_note (self, MODEL_CONFIRMED, &ledger->committed);
}

//  ------------------------------------------------------------------------------------------------
//  Looking

static uint64_t
s_pending (const model_spool_t *spool, uint32_t cursor)
{
    uint64_t count = 0;
    for (uint64_t sequence = spool->floors [cursor] + 1; sequence <= spool->last; sequence++)
        count += (spool->messages [sequence] & (STORED | ACKED (cursor))) == STORED;
    return count;
}

//  Note which messages can be read, and check each.
static void
s_read_present (zspool_store_t *store, uint32_t id, bool present [MODEL_SEQUENCES])
{
    zspool_reader_t *reader = zspool_reader_new (store, id);
    zspool_block_t *block = NULL;
    int rc;
    CHECK (reader);
    while ((rc = zspool_reader_next (reader, &block)) == ZSPOOL_OK) {
        kit_check_block (block);
        for (uint64_t sequence = zspool_block_first_sequence (block);
             sequence <= zspool_block_last_sequence (block); sequence++) {
            CHECK (sequence < MODEL_SEQUENCES && !present [sequence]);
            present [sequence] = true;
        }
        zspool_block_destroy (&block);
    }
    CHECK_CODE (rc, ZSPOOL_ENOENT);
    zspool_reader_destroy (&reader);
}

//  Compare messages: what a cursor waits for must be there, and nothing that never was. Of a
//  limited spool the oldest may be gone: that it is no more than was counted is known by then.
static void
s_check_messages (zspool_store_t *store, const zspool_spool_info_t *info,
                  const model_spool_t *spool)
{
    static bool present [MODEL_SEQUENCES];
    uint32_t id = info->id;
    uint64_t oldest = spool->limited? info->first_sequence: 1;
    memset (present, 0, sizeof present);
    s_read_present (store, id, present);
    for (uint64_t sequence = 1; sequence < MODEL_SEQUENCES; sequence++) {
        if (present [sequence])
            CHECK (spool->messages [sequence] & STORED);
        bool wanted = (spool->messages [sequence] & STORED) && spool->cursors == 0
                      && sequence > spool->trimmed_to;
        for (uint32_t cursor = 0; cursor < spool->cursors; cursor++)
            wanted = wanted
                     || ((spool->messages [sequence] & (STORED | ACKED (cursor))) == STORED
                         && sequence > spool->floors [cursor]);
        if (wanted && sequence >= oldest && !present [sequence])
            selftest_fail (__FILE__, __LINE__, "message %" PRIu64 " is gone", sequence);
    }
}

//  Whether numbers go on as they must: behind the last one, or, when the store was opened after an
//  unclean stop, above all that may have been forwarded.
static bool
s_is_numbered_like (zspool_store_t *store, const zspool_spool_info_t *info,
                    const model_spool_t *spool)
{
    uint64_t next, gap = spool->ceiling >= spool->next? spool->ceiling + 1 - spool->next: 0;
    uint64_t ceiling = spool->next + gap - 1;
    int64_t stored_us;
    CHECK_OK (zspool_store_numbering (store, info->id, &next, &stored_us));
    if (next == spool->next) {
        gap = 0;
        ceiling = spool->ceiling;
    }
    return info->last_sequence == spool->last && next == spool->next + gap
           && info->lost == spool->lost + gap && info->sequence_ceiling == ceiling;
}

static bool
s_are_cursors_like (zspool_store_t *store, uint32_t id, const model_spool_t *spool)
{
    zspool_cursor_info_t cursor;
    for (uint32_t at = 0; at <= MODEL_CURSORS; at++) {
        int rc = zspool_store_cursor_info (store, id, at, &cursor);
        if (rc != (at < spool->cursors? ZSPOOL_OK: ZSPOOL_ENOENT))
            return false;
        //  What was dropped at a limit was not acknowledged, and never will be.
        if (rc == ZSPOOL_OK && cursor.pending + cursor.lagged != s_pending (spool, at))
            return false;
        if (rc == ZSPOOL_OK && cursor.lagged > 0 && !spool->limited)
            return false;
    }
    return true;
}

static bool
s_is_kept_like (zspool_store_t *store, uint32_t id, const model_spool_t *spool)
{
    zspool_retention_t retention;
    CHECK_OK (zspool_store_retention (store, id, &retention));
    return retention.messages == spool->keep_messages && retention.unacked;
}

//  The value with a number, in a buffer of VALUE_BYTES_MAX. Gives its size.
static size_t
s_make_value (uint8_t *bytes, uint64_t number)
{
    size_t size = KIT_MESSAGE_BYTES_MIN
                  + (number % 4? number * 13 % 100: number * 7919 % (VALUE_BYTES_MAX - 100));
    kit_fill (bytes, size, number);
    return size;
}

static zspool_frame_t
s_key (char key [8], size_t index)
{
    snprintf (key, 8, "key.%zu", index);
    return (zspool_frame_t){ key, strlen (key) };
}

static bool
s_is_table_like (zspool_store_t *store, const model_t *model)
{
    static uint8_t bytes [VALUE_BYTES_MAX];
    char key [8];
    uint32_t table;
    zspool_frame_t value;
    int rc = zspool_store_table (store, TABLE, &table);
    CHECK (rc == ZSPOOL_OK || rc == ZSPOOL_ENOENT);
    if (rc || !model->has_table)
        return rc && !model->has_table;
    for (size_t index = 0; index < MODEL_KEYS; index++) {
        rc = zspool_store_table_get (store, table, s_key (key, index), &value);
        CHECK (rc == ZSPOOL_OK || rc == ZSPOOL_ENOENT);
        if ((rc == ZSPOOL_OK) != (model->values [index] > 0))
            return false;
        if (rc == ZSPOOL_OK
            && (value.size != s_make_value (bytes, model->values [index])
                || memcmp (value.data, bytes, value.size) != 0))
            return false;
    }
    return true;
}

static const char *
s_producer_name (char name [16], size_t index)
{
    snprintf (name, 16, "producer.%zu", index);
    return name;
}

static bool
s_are_producers_like (zspool_store_t *store, const model_t *model)
{
    char name [16];
    for (size_t index = 0; index < MODEL_PRODUCERS; index++) {
        uint32_t producer, epoch;
        uint64_t last;
        int rc = zspool_store_producer (store, s_producer_name (name, index), &producer, &epoch, &last);
        CHECK (rc == ZSPOOL_OK || rc == ZSPOOL_ENOENT);
        if ((rc == ZSPOOL_OK) != model->has_producer [index])
            return false;
        if (rc == ZSPOOL_OK && (epoch != model->epochs [index] || last != model->lasts [index]))
            return false;
    }
    return true;
}

bool
model_is_like (zspool_store_t *store, const model_t *model)
{
    if (!s_is_table_like (store, model) || !s_are_producers_like (store, model))
        return false;
    for (uint32_t index = 0; index < MODEL_SPOOLS; index++) {
        const model_spool_t *spool = &model->spools [index];
        zspool_spool_info_t info;
        int rc = zspool_store_spool_info (store, index, &info);
        if (rc == ZSPOOL_ENOENT && !model->created)
            return true;
        CHECK (rc == ZSPOOL_OK || rc == ZSPOOL_ENOENT);
        if (rc || !model->created || !s_is_numbered_like (store, &info, spool)
            || !s_is_kept_like (store, info.id, spool) || !s_are_cursors_like (store, info.id, spool))
            return false;
    }
    return true;
}

void
model_recover (model_t *model)
{
    for (int index = 0; index < MODEL_SPOOLS; index++) {
        model_spool_t *spool = &model->spools [index];
        if (spool->ceiling < spool->next)
            continue;
        spool->lost += spool->ceiling + 1 - spool->next;
        spool->next = spool->ceiling + 1;
        //  And the ceiling comes down to what is stored: that is where it stands.
    }
}

void
model_check_all (zspool_store_t *store, const model_t *model)
{
    CHECK (model_is_like (store, model));
    kit_check_sound (store);
    for (uint32_t index = 0; index < MODEL_SPOOLS; index++) {
        zspool_spool_info_t info;
        if (zspool_store_spool_info (store, index, &info) == ZSPOOL_OK)
            s_check_messages (store, &info, &model->spools [index]);
    }
}

void
model_settle (model_ledger_t *ledger, zspool_store_t *store)
{
    if (ledger->committing && model_is_like (store, &ledger->candidate))
        ledger->committed = ledger->candidate;
    ledger->committing = false;
    model_check_all (store, &ledger->committed);
}

//  ------------------------------------------------------------------------------------------------
//  Steps: each changes the store in its transaction, and the model

//  A call that must succeed; but with may_fail it may also give what a fault gives.
static int
s_expect (model_worker_t *self, int rc, int expected)
{
    bool fault =
        rc == ZSPOOL_ENOMEM || rc == ZSPOOL_EIO || rc == ZSPOOL_ENOSPC || rc == ZSPOOL_EFAILED;
    if (!self->may_fail || !fault)
        CHECK_CODE (rc, expected);
    return rc;
}

static size_t
s_random_size (model_worker_t *self)
{
    static const size_t limits [] = { 20, 200, 5000, 5000, MESSAGE_BYTES_MAX };
    size_t limit = limits [kit_below (&self->chance, 5)];
    if (self->message_bytes_max && limit > self->message_bytes_max)
        limit = self->message_bytes_max;
    return KIT_MESSAGE_BYTES_MIN + kit_below (&self->chance, limit);
}

static void
s_note_stored (model_spool_t *spool, uint64_t count)
{
    for (; count > 0; count--) {
        spool->last = spool->next++;
        CHECK (spool->last < MODEL_SEQUENCES);
        spool->messages [spool->last] = STORED;
    }
}

static int
s_step_put (model_worker_t *self, uint32_t id, model_spool_t *spool)
{
    static uint8_t bytes [KIT_MESSAGE_BYTES_MIN + MESSAGE_BYTES_MAX];
    zspool_frame_t frame = { bytes, s_random_size (self) };
    uint64_t sequence = 0;
    kit_fill (bytes, frame.size, spool->next);
    int rc = s_expect (self, zspool_store_put (self->store, id, &frame, 1, &sequence), ZSPOOL_OK);
    if (rc)
        return rc;
    CHECK_EQ_U64 (sequence, spool->next);
    s_note_stored (spool, 1);
    return ZSPOOL_OK;
}

static int
s_step_append (model_worker_t *self, uint32_t id, model_spool_t *spool)
{
    uint32_t count = 1 + (uint32_t) kit_below (&self->chance, 12);
    //  Numbered by the model: the store does not tell of messages put and not yet in a block.
    fault_pause_memory ();
    zspool_block_t *block = kit_block_new (spool->next, count, s_random_size (self));
    fault_resume_memory ();
    self->store->chunked = kit_below (&self->chance, 3) == 0;
    int rc = s_expect (self, zspool_store_append (self->store, id, block), ZSPOOL_OK);
    if (rc == ZSPOOL_OK) {
        CHECK_EQ_U64 (zspool_block_first_sequence (block), spool->next);
        s_note_stored (spool, count);
    }
    zspool_block_destroy (&block);
    return rc;
}

static int
s_step_ack (model_worker_t *self, uint32_t id, model_spool_t *spool)
{
    if (spool->cursors == 0)
        return ZSPOOL_OK;
    uint32_t cursor = (uint32_t) kit_below (&self->chance, spool->cursors);
    //  Mostly near the first that is pending
    uint64_t first = spool->floors [cursor] + 1;
    while (first < spool->last && (spool->messages [first] & (STORED | ACKED (cursor))) != STORED)
        first++;
    first += kit_below (&self->chance, 2)? 0: kit_below (&self->chance, 30);
    uint64_t last = first + (kit_below (&self->chance, 2)? 0: kit_below (&self->chance, 40));
    bool stale = first <= spool->floors [cursor] || last > spool->last;
    for (uint64_t sequence = first; sequence <= last && !stale; sequence++)
        stale = (spool->messages [sequence] & (STORED | ACKED (cursor))) != STORED;
    int rc = zspool_store_ack (self->store, id, spool->ids [cursor], first, last);
    //  It may have been dropped.
    if (rc != ZSPOOL_ESTALE || !spool->limited)
        s_expect (self, rc, stale? ZSPOOL_ESTALE: ZSPOOL_OK);
    if (rc == ZSPOOL_OK)
        for (uint64_t sequence = first; sequence <= last; sequence++)
            spool->messages [sequence] |= (uint8_t) ACKED (cursor);
    return rc == ZSPOOL_ESTALE? ZSPOOL_OK: rc;
}

static int
s_step_cursor (model_worker_t *self, uint32_t id, model_spool_t *spool)
{
    if (spool->cursors == MODEL_CURSORS)
        return ZSPOOL_OK;
    char name [32];
    snprintf (name, sizeof name, "cursor-%u", spool->cursors_made);
    uint32_t cursor = 0;
    int rc = s_expect (self, zspool_store_cursor (self->store, id, name, ZSPOOL_START_NEW, &cursor),
                       ZSPOOL_OK);
    if (rc)
        return rc;
    CHECK_EQ_U64 (cursor, spool->cursors_made + 1);
    spool->ids [spool->cursors] = cursor;
    spool->cursors_made++;
    spool->floors [spool->cursors++] = spool->last;
    return ZSPOOL_OK;
}

//  Move a cursor to where everything is still stored: behind what some cursor waits for.
static int
s_step_seek (model_worker_t *self, uint32_t id, model_spool_t *spool)
{
    if (spool->cursors == 0 || spool->limited)
        return ZSPOOL_OK;
    uint64_t start = spool->last + 1;
    for (uint32_t cursor = 0; cursor < spool->cursors; cursor++) {
        uint64_t first = spool->floors [cursor] + 1;
        while (first <= spool->last && (spool->messages [first] & (STORED | ACKED (cursor))) != STORED)
            first++;
        start = first < start? first: start;
    }
    start += kit_below (&self->chance, spool->last + 2 - start);
    uint32_t moved = (uint32_t) kit_below (&self->chance, spool->cursors);
    int rc = s_expect (self, zspool_store_seek_cursor (self->store, id, spool->ids [moved], start), ZSPOOL_OK);
    if (rc)
        return rc;
    spool->floors [moved] = start - 1;
    for (uint64_t sequence = start; sequence <= spool->last; sequence++)
        spool->messages [sequence] &= (uint8_t) ~ACKED (moved);
    return ZSPOOL_OK;
}

//  Delete the newest cursor, unless it is the only one.
static int
s_step_delete (model_worker_t *self, uint32_t id, model_spool_t *spool)
{
    if (spool->cursors < 2)
        return ZSPOOL_OK;
    uint32_t last = spool->cursors - 1;
    int rc = s_expect (self, zspool_store_delete_cursor (self->store, id, spool->ids [last]), ZSPOOL_OK);
    if (rc == ZSPOOL_OK)
        spool->cursors--;
    return rc;
}

//  Keep more, or less, of what is acknowledged; without cursors everything is.
static int
s_step_keep (model_worker_t *self, uint32_t id, model_spool_t *spool)
{
    zspool_retention_t retention = zspool_retention_queue;
    if (spool->cursors == 0)
        return ZSPOOL_OK;
    retention.messages = kit_below (&self->chance, 3)? kit_below (&self->chance, 300): 0;
    int rc = s_expect (self, zspool_store_set_retention (self->store, id, &retention), ZSPOOL_OK);
    if (rc == ZSPOOL_OK)
        spool->keep_messages = retention.messages;
    return rc;
}

static int
s_step_trim (model_worker_t *self, uint32_t id, model_spool_t *spool)
{
    uint64_t sequence = spool->last - kit_below (&self->chance, spool->last / 2 + 1);
    int rc = s_expect (self, zspool_store_trim (self->store, id, sequence), ZSPOOL_OK);
    if (rc)
        return rc;
    for (uint32_t cursor = 0; cursor < spool->cursors; cursor++)
        if (spool->floors [cursor] < sequence)
            spool->floors [cursor] = sequence;
    if (spool->trimmed_to < sequence)
        spool->trimmed_to = sequence;
    return ZSPOOL_OK;
}

//  A producer gets further, or begins anew.
static int
s_step_producer (model_worker_t *self)
{
    model_t *model = &self->now;
    size_t index = kit_below (&self->chance, MODEL_PRODUCERS);
    char name [16];
    uint32_t producer, epoch;
    uint64_t last;
    int rc = s_expect (
        self,
        zspool_store_producer (self->store, s_producer_name (name, index), &producer, &epoch, &last),
        ZSPOOL_OK);
    if (rc)
        return rc;
    CHECK (epoch == model->epochs [index] && last == model->lasts [index]);
    model->has_producer [index] = true;
    last += kit_below (&self->chance, 100);
    epoch = kit_below (&self->chance, 3)? 0: epoch + 1;
    rc = s_expect (self, zspool_store_set_producer (self->store, producer, epoch, last), ZSPOOL_OK);
    if (rc)
        return rc;
    model->lasts [index] = last;
    if (epoch)
        model->epochs [index] = epoch;
    return ZSPOOL_OK;
}

//  The application puts a value, or deletes one.
static int
s_step_table (model_worker_t *self)
{
    static uint8_t bytes [VALUE_BYTES_MAX];
    size_t index = kit_below (&self->chance, MODEL_KEYS);
    uint64_t *number = &self->now.values [index];
    char key [8];
    uint32_t table;
    int rc = s_expect (self, zspool_store_table (self->store, TABLE, &table), ZSPOOL_OK);
    if (rc)
        return rc;
    self->now.has_table = true;
    if (kit_below (&self->chance, 4) == 0) {
        rc = s_expect (self, zspool_store_table_delete (self->store, table, s_key (key, index)),
                       *number? ZSPOOL_OK: ZSPOOL_ENOENT);
        *number = rc == ZSPOOL_OK? 0: *number;
        return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
    }
    uint64_t made = 1 + kit_below (&self->chance, 1000000);
    zspool_frame_t value = { bytes, s_make_value (bytes, made) };
    rc = s_expect (self, zspool_store_table_put (self->store, table, s_key (key, index), value),
                   ZSPOOL_OK);
    *number = rc == ZSPOOL_OK? made: *number;
    return rc;
}

static int
s_step (model_worker_t *self)
{
    uint32_t id = 0, index = (uint32_t) kit_below (&self->chance, MODEL_SPOOLS);
    model_spool_t *spool = &self->now.spools [index];
    int rc = s_expect (self, zspool_store_spool (self->store, s_names [index], &id), ZSPOOL_OK);
    if (rc)
        return rc;
    uint64_t kind = kit_below (&self->chance, 100);
    self->ledger->steps++;
    if (kind < 30)
        return s_step_put (self, id, spool);
    if (kind < 45)
        return s_step_append (self, id, spool);
    if (kind < 84)
        return s_step_ack (self, id, spool);
    if (kind < 88)
        return s_step_producer (self);
    if (kind < 91)
        return s_step_table (self);
    if (kind < 93)
        return s_step_keep (self, id, spool);
    if (kind < 95)
        return s_step_seek (self, id, spool);
    if (kind < 96)
        return s_step_delete (self, id, spool);
    if (kind < 99 || spool->limited)
        return s_step_cursor (self, id, spool);
    return s_step_trim (self, id, spool);
}

//  ------------------------------------------------------------------------------------------------
//  Transactions

//  Create both spools first, so that their places in the list are known; and do some steps.
static int
s_fill_transaction (model_worker_t *self)
{
    uint32_t id = 0;
    int rc = ZSPOOL_OK;
    for (int index = 0; rc == ZSPOOL_OK && index < MODEL_SPOOLS; index++)
        rc = s_expect (self, zspool_store_spool (self->store, s_names [index], &id), ZSPOOL_OK);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_set_ceiling_window (self->store, id, self->window);
    if (rc == ZSPOOL_OK && self->limit_bytes) {
        rc =
            zspool_store_set_limit (self->store, id, self->limit_bytes, ZSPOOL_ON_FULL_DROP_OLDEST);
        self->now.spools [1].limited = true;
    }
    for (uint64_t steps = kit_below (&self->chance, 8); rc == ZSPOOL_OK && steps > 0; steps--)
        rc = s_step (self);
    self->now.created = true;
    return rc;
}

int
model_transact (model_worker_t *self)
{
    model_ledger_t *ledger = self->ledger;
    int rc = s_expect (self, zspool_store_begin (self->store), ZSPOOL_OK);
    if (rc)
        return rc;
    rc = s_fill_transaction (self);
    if (rc || kit_below (&self->chance, 8) == 0) {
        zspool_store_rollback (self->store);
        self->now = ledger->committed;
        return rc;
    }
    ledger->candidate = self->now;
    for (int index = 0; index < MODEL_SPOOLS; index++) {
        model_spool_t *spool = &ledger->candidate.spools [index];
        spool->ceiling = spool->next - 1 + (index? self->window: 0);
    }
    s_begin_commit (self);
    rc = s_expect (self, zspool_store_commit (self->store), ZSPOOL_OK);
    if (rc == ZSPOOL_EFAILED) {
        //  Final: nothing is taken any more. What is on the disk will be seen.
        CHECK_CODE (zspool_store_begin (self->store), ZSPOOL_EFAILED);
        self->now = ledger->committed;
        return rc;
    }
    s_end_commit (self, rc == ZSPOOL_OK);
    ledger->commits += rc == ZSPOOL_OK;
    return rc;
}

int
model_open (model_worker_t *self)
{
    model_ledger_t *ledger = self->ledger;
    fault_pause_memory ();
    zspool_store_t *store = zspool_store_new (self->directory);
    CHECK (store);
    fault_resume_memory ();
    CHECK_OK (zspool_store_set_map_bytes (store, SELFTEST_MAP_BYTES));
    int rc = s_expect (self, zspool_store_open (store, ZSPOOL_WRITE), ZSPOOL_OK);
    if (rc) {
        CHECK (*zspool_store_reason (store));
        zspool_store_destroy (&store);
        return rc;
    }
    self->store = store;
    fault_pause_memory ();
    bool happened = ledger->committing && model_is_like (store, &ledger->candidate);
    ledger->shown += happened;
    if (!happened)
        ledger->candidate = ledger->committed;
    CHECK (model_is_like (store, &ledger->candidate));
    model_recover (&ledger->candidate);
    CHECK (model_is_like (store, &ledger->candidate));
    //  Now that it is shown it must stay.
    s_end_commit (self, true);
    fault_resume_memory ();
    return ZSPOOL_OK;
}

void
model_close (model_worker_t *self)
{
    model_ledger_t *ledger = self->ledger;
    //  After a failed commit that one is still in doubt.
    bool in_doubt = ledger->committing;
    if (!in_doubt) {
        ledger->candidate = ledger->committed;
        for (int index = 0; index < MODEL_SPOOLS; index++)
            ledger->candidate.spools [index].ceiling = ledger->candidate.spools [index].next - 1;
        s_begin_commit (self);
    }
    zspool_store_destroy (&self->store);
    //  Whether lowering the ceilings succeeded is not told.
    if (!in_doubt && !self->may_fail)
        s_end_commit (self, true);
}

void
model_work (model_worker_t *self, uint64_t transactions)
{
    for (; transactions > 0; transactions--) {
        model_transact (self);
        if (kit_below (&self->chance, 60) == 0)
            model_check_all (self->store, &self->ledger->committed);
        if (kit_below (&self->chance, 40) == 0) {
            model_close (self);
            model_open (self);
        }
    }
}
