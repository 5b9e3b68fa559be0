//  test_store_model.c - random work on a store, compared with a simple model; killed at any point, too
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The model is what a store promises, without any block: which messages there were, and what each cursor
//  has acknowledged. A process that may be killed keeps it in shared memory, as committed, and as it will be
//  when the commit under way has succeeded.

#include "crash/fault.h"
#include "lib/kit.h"

#include <sys/mman.h>

#define SPOOLS 2
#define CURSORS 3
#define SEQUENCES 40000                //  most numbers given in a spool
#define WINDOW 50                      //  ceiling window of the second spool
#define STORED 1                       //  a message was stored
#define ACKED(cursor) (2 << (cursor))  //  a cursor has acknowledged it

typedef struct {
    uint64_t next;                     //  sequence of the next message
    uint64_t last;                     //  of the newest one
    uint64_t lost;                     //  sequences in gaps
    uint32_t cursors;                  //  that were created
    uint64_t floors [CURSORS];         //  where a cursor started, or was moved to
    uint64_t trimmed_to;               //  messages up to here may be gone, whoever waits for them
    uint8_t messages [SEQUENCES];      //  STORED, ACKED (cursor)
} s_spool_t;

typedef struct {
    s_spool_t spools [SPOOLS];
} s_model_t;

//  Shared with the process that works
typedef struct {
    s_model_t committed;
    s_model_t candidate;               //  what will be, while `committing`
    bool committing;
    uint64_t commits;                  //  that returned
    uint64_t steps;
} s_ledger_t;

//  The one who works
typedef struct {
    kit_chance_t chance;
    zspool_store_t *store;
    s_model_t now;                     //  with the open transaction
    s_ledger_t *ledger;
} s_worker_t;

static s_ledger_t *
s_ledger_new (void)
{
    s_ledger_t *self = (s_ledger_t *) mmap (NULL, sizeof *self, PROT_READ | PROT_WRITE,
                                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK (self != MAP_FAILED);
    for (int index = 0; index < SPOOLS; index++)
        self->committed.spools [index].next = 1;
    return self;
}

//  ---- looking

static uint64_t
s_pending (const s_spool_t *spool, uint32_t cursor)
{
    uint64_t count = 0;
    for (uint64_t sequence = spool->floors [cursor] + 1; sequence <= spool->last; sequence++)
        count += (spool->messages [sequence] & (STORED | ACKED (cursor))) == STORED;
    return count;
}

//  Note which messages can be read, and check each.
static void
s_read_present (zspool_store_t *store, uint32_t id, bool present [SEQUENCES])
{
    zspool_reader_t *reader = zspool_reader_new (store, id);
    zspool_block_t *block = NULL;
    int rc;
    CHECK (reader);
    while ((rc = zspool_reader_next (reader, &block)) == ZSPOOL_OK) {
        kit_check_block (block);
        for (uint64_t sequence = zspool_block_first_sequence (block);
             sequence <= zspool_block_last_sequence (block); sequence++) {
            CHECK (sequence < SEQUENCES && !present [sequence]);
            present [sequence] = true;
        }
        zspool_block_destroy (&block);
    }
    CHECK_CODE (rc, ZSPOOL_ENOENT);
    zspool_reader_destroy (&reader);
}

//  Compare messages: what a cursor waits for must be there, and nothing that never was.
static void
s_check_messages (zspool_store_t *store, uint32_t id, const s_spool_t *spool)
{
    static bool present [SEQUENCES];
    memset (present, 0, sizeof present);
    s_read_present (store, id, present);
    for (uint64_t sequence = 1; sequence < SEQUENCES; sequence++) {
        if (present [sequence])
            CHECK (spool->messages [sequence] & STORED);
        bool wanted = (spool->messages [sequence] & STORED) && spool->cursors == 0
                      && sequence > spool->trimmed_to;
        for (uint32_t cursor = 0; cursor < spool->cursors; cursor++)
            wanted = wanted
                     || ((spool->messages [sequence] & (STORED | ACKED (cursor))) == STORED
                         && sequence > spool->floors [cursor]);
        if (wanted && !present [sequence])
            selftest_fail (__FILE__, __LINE__, "message %" PRIu64 " is gone", sequence);
    }
}

//  Whether the store is as this model says, by its numbers
static bool
s_is_like (zspool_store_t *store, const s_model_t *model)
{
    for (uint32_t index = 0; index < SPOOLS; index++) {
        const s_spool_t *spool = &model->spools [index];
        zspool_spool_info_t info;
        int rc = zspool_store_spool_info (store, index, &info);
        if (rc == ZSPOOL_ENOENT)
            return index == 0 && spool->last == 0;
        CHECK_OK (rc);
        if (info.last_sequence != spool->last)
            return false;
        zspool_cursor_info_t cursor;
        for (uint32_t at = 0; at < CURSORS; at++) {
            rc = zspool_store_cursor_info (store, info.id, at, &cursor);
            if (rc != (at < spool->cursors? ZSPOOL_OK: ZSPOOL_ENOENT))
                return false;
            if (rc == ZSPOOL_OK && cursor.pending != s_pending (spool, at))
                return false;
        }
    }
    return true;
}

static void
s_check_all (zspool_store_t *store, const s_model_t *model)
{
    CHECK (s_is_like (store, model));
    kit_check_sound (store);
    for (uint32_t index = 0; index < SPOOLS; index++) {
        zspool_spool_info_t info;
        if (zspool_store_spool_info (store, index, &info) == ZSPOOL_OK)
            s_check_messages (store, info.id, &model->spools [index]);
    }
}

//  ---- working: each step changes the store in its transaction, and the model

static size_t
s_random_size (s_worker_t *self)
{
    static const size_t limits [] = { 20, 200, 5000, 5000, 40000 };
    return KIT_MESSAGE_BYTES_MIN + kit_below (&self->chance, limits [kit_below (&self->chance, 5)]);
}

static void
s_note_stored (s_spool_t *spool, uint64_t count)
{
    for (; count > 0; count--) {
        spool->last = spool->next++;
        CHECK (spool->last < SEQUENCES);
        spool->messages [spool->last] = STORED;
    }
}

static void
s_step_put (s_worker_t *self, uint32_t id, s_spool_t *spool)
{
    static uint8_t bytes [50000];
    zspool_frame_t frame = { bytes, s_random_size (self) };
    uint64_t sequence = 0;
    kit_fill (bytes, frame.size, spool->next);
    CHECK_OK (zspool_store_put (self->store, id, &frame, 1, &sequence));
    CHECK_EQ_U64 (sequence, spool->next);
    s_note_stored (spool, 1);
}

static void
s_step_append (s_worker_t *self, uint32_t id, s_spool_t *spool)
{
    uint32_t count = 1 + (uint32_t) kit_below (&self->chance, 12);
    //  Numbered by the model: the store does not tell of messages put and not yet in a block.
    zspool_block_t *block = kit_block_new (spool->next, count, s_random_size (self));
    self->store->chunked = kit_below (&self->chance, 3) == 0;
    CHECK_OK (zspool_store_append (self->store, id, block));
    CHECK_EQ_U64 (zspool_block_first_sequence (block), spool->next);
    zspool_block_destroy (&block);
    s_note_stored (spool, count);
}

static void
s_step_ack (s_worker_t *self, uint32_t id, s_spool_t *spool)
{
    if (spool->cursors == 0)
        return;
    uint32_t cursor = (uint32_t) kit_below (&self->chance, spool->cursors);
    //  Mostly near the first that is pending
    uint64_t first = spool->floors [cursor] + 1;
    while (first < spool->last
           && (spool->messages [first] & (STORED | ACKED (cursor))) != STORED)
        first++;
    first += kit_below (&self->chance, 2)? 0: kit_below (&self->chance, 30);
    uint64_t last = first + (kit_below (&self->chance, 2)? 0: kit_below (&self->chance, 40));
    bool stale = first <= spool->floors [cursor] || last > spool->last;
    for (uint64_t sequence = first; sequence <= last && !stale; sequence++)
        stale = (spool->messages [sequence] & (STORED | ACKED (cursor))) != STORED;
    CHECK_CODE (zspool_store_ack (self->store, id, cursor + 1, first, last),
                stale? ZSPOOL_ESTALE: ZSPOOL_OK);
    for (uint64_t sequence = first; sequence <= last && !stale; sequence++)
        spool->messages [sequence] |= (uint8_t) ACKED (cursor);
}

static void
s_step_cursor (s_worker_t *self, uint32_t id, s_spool_t *spool)
{
    if (spool->cursors == CURSORS)
        return;
    char *name = zsys_sprintf ("cursor-%u", spool->cursors);
    uint32_t cursor = 0;
    CHECK_OK (zspool_store_cursor (self->store, id, name, ZSPOOL_START_NEW, &cursor));
    free (name);
    CHECK_EQ_U64 (cursor, spool->cursors + 1);
    spool->floors [spool->cursors++] = spool->last;
}

static void
s_step_trim (s_worker_t *self, uint32_t id, s_spool_t *spool)
{
    uint64_t sequence = spool->last - kit_below (&self->chance, spool->last / 2 + 1);
    CHECK_OK (zspool_store_trim (self->store, id, sequence));
    for (uint32_t cursor = 0; cursor < spool->cursors; cursor++)
        if (spool->floors [cursor] < sequence)
            spool->floors [cursor] = sequence;
    if (spool->trimmed_to < sequence)
        spool->trimmed_to = sequence;
}

static void
s_step (s_worker_t *self)
{
    uint32_t id = 0, index = (uint32_t) kit_below (&self->chance, SPOOLS);
    s_spool_t *spool = &self->now.spools [index];
    CHECK_OK (zspool_store_spool (self->store, index? "two": "one", &id));
    uint64_t kind = kit_below (&self->chance, 100);
    self->ledger->steps++;
    if (kind < 30)
        s_step_put (self, id, spool);
    else if (kind < 45)
        s_step_append (self, id, spool);
    else if (kind < 97)
        s_step_ack (self, id, spool);
    else if (kind < 99)
        s_step_cursor (self, id, spool);
    else
        s_step_trim (self, id, spool);
}

//  One transaction, mostly committed
static void
s_transact (s_worker_t *self)
{
    s_ledger_t *ledger = self->ledger;
    CHECK_OK (zspool_store_begin (self->store));
    //  Both spools are created first, so that their places in the list are known.
    uint32_t id;
    for (int index = 0; index < SPOOLS; index++)
        CHECK_OK (zspool_store_spool (self->store, index? "two": "one", &id));
    CHECK_OK (zspool_store_set_ceiling_window (self->store, id, WINDOW));
    for (uint64_t steps = kit_below (&self->chance, 8); steps > 0; steps--)
        s_step (self);
    if (kit_below (&self->chance, 8) == 0) {
        zspool_store_rollback (self->store);
        self->now = ledger->committed;
        return;
    }
    ledger->candidate = self->now;
    ledger->committing = true;
    CHECK_OK (zspool_store_commit (self->store));
    ledger->committed = ledger->candidate;
    ledger->committing = false;
    ledger->commits++;
}

//  Open the store, and note the gap that an unclean stop may have left.
static void
s_open (s_worker_t *self, bool was_clean)
{
    self->store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    self->now = self->ledger->committed;
    for (uint32_t index = 0; index < SPOOLS; index++) {
        s_spool_t *spool = &self->now.spools [index];
        zspool_spool_info_t info;
        uint64_t next;
        int64_t stored_us;
        if (zspool_store_spool_info (self->store, index, &info) == ZSPOOL_ENOENT)
            continue;
        CHECK_OK (zspool_store_numbering (self->store, info.id, &next, &stored_us));
        CHECK (next >= spool->next);
        CHECK (next <= spool->next + (was_clean || index == 0? 0: WINDOW));
        spool->lost += next - spool->next;
        CHECK_EQ_U64 (info.lost, spool->lost);
        spool->next = next;
    }
    self->ledger->committed = self->now;
}

//  Work for so many transactions, closing and opening the store now and then.
static void
s_work (s_worker_t *self, uint64_t transactions)
{
    for (; transactions > 0; transactions--) {
        s_transact (self);
        if (kit_below (&self->chance, 60) == 0)
            s_check_all (self->store, &self->ledger->committed);
        if (kit_below (&self->chance, 40) == 0) {
            zspool_store_destroy (&self->store);
            s_open (self, true);
            CHECK (s_is_like (self->store, &self->ledger->committed));
        }
    }
}

TEST (test_store_model_random_work_has_the_results_of_the_model)
{
    static s_worker_t worker;
    worker.chance = kit_chance_new ();
    worker.ledger = s_ledger_new ();
    s_open (&worker, true);
    s_work (&worker, 1500);
    zspool_store_destroy (&worker.store);
    s_open (&worker, true);
    s_check_all (worker.store, &worker.ledger->committed);
    zspool_store_destroy (&worker.store);
    printf ("%" PRIu64 " steps, %" PRIu64 " commits\n", worker.ledger->steps, worker.ledger->commits);
}

//  ---- killed

//  Work in a process that is killed in the midst of one of its calls that write.
static void
s_work_to_death (void *arg)
{
    s_worker_t *self = (s_worker_t *) arg;
    static const fault_kind_t kinds [] = { FAULT_WRITE, FAULT_WRITE, FAULT_SYNC };
    unsigned after = (unsigned) kit_below (&self->chance, 100);
    fault_watch (KIT_STORE);
    fault_fail (kinds [kit_below (&self->chance, 3)], after, 1, FAULT_KILL, 0);
    s_open (self, false);
    s_work (self, 1000000);
}

//  Work in a process until the time comes.
static void
s_work_on (void *arg)
{
    s_worker_t *self = (s_worker_t *) arg;
    s_open (self, false);
    s_work (self, 1000000);
}

//  The commit that was under way has happened, or it has not: nothing in between.
static void
s_settle_ledger (s_ledger_t *ledger)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    if (ledger->committing && s_is_like (store, &ledger->candidate))
        ledger->committed = ledger->candidate;
    ledger->committing = false;
    s_check_all (store, &ledger->committed);
    zspool_store_destroy (&store);
}

TEST (test_store_model_killed_at_any_call_has_all_that_was_committed)
{
    static s_worker_t worker;
    worker.chance = kit_chance_new ();
    worker.ledger = s_ledger_new ();
    s_open (&worker, true);
    s_transact (&worker);
    zspool_store_destroy (&worker.store);
    for (int round = 0; round < (SELFTEST_TSAN? 10: 50); round++) {
        kit_random (&worker.chance);
        CHECK_EQ_I64 (kit_run (s_work_to_death, &worker), -SIGKILL);
        s_settle_ledger (worker.ledger);
    }
    printf ("%" PRIu64 " steps, %" PRIu64 " commits\n", worker.ledger->steps, worker.ledger->commits);
}

TEST (test_store_model_killed_at_any_time_has_all_that_was_committed)
{
    static s_worker_t worker;
    worker.chance = kit_chance_new ();
    worker.ledger = s_ledger_new ();
    s_open (&worker, true);
    s_transact (&worker);
    zspool_store_destroy (&worker.store);
    for (int round = 0; round < (SELFTEST_TSAN? 10: 30); round++) {
        kit_random (&worker.chance);
        pid_t pid = kit_fork (s_work_on, &worker);
        usleep ((useconds_t) kit_below (&worker.chance, 60000));
        kill (pid, SIGKILL);
        CHECK_EQ_I64 (kit_wait (pid), -SIGKILL);
        s_settle_ledger (worker.ledger);
    }
    printf ("%" PRIu64 " steps, %" PRIu64 " commits\n", worker.ledger->steps, worker.ledger->commits);
}
