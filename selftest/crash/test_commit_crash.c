//  test_commit_crash.c - a transaction of the service, struck at each call: all of it or nothing
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A transaction puts messages into two spools, acknowledges on a cursor of each, and moves its
//  producer on by one. Rounds go over one store; in each a call of the system, or an allocation,
//  fails, or the process is killed in it. A second kind of transaction is made with the store's own
//  functions, and has a table of the application in it.

#include "commit.h"
#include "crash/fault.h"
#include "lib/kit.h"

#define SPOOLS 2
#define MESSAGES 3 //  that a round puts into each spool
#define ROUNDS_MAX 400
#define SEED_MESSAGES (ROUNDS_MAX + 10) //  in each spool at first: a round acknowledges one

typedef struct {
    zspool_store_t *store;
    uint32_t spools [SPOOLS];
    uint32_t cursors [SPOOLS];
    uint32_t producer;
    uint32_t table;
    bool embedded;  //  with the store's own functions
    uint64_t round; //  rounds that are in the store
} s_work_t;

//  What a round is to go through
typedef struct {
    s_work_t *work;
    fault_kind_t kind;
    fault_way_t way;
    int error;
    unsigned after;
} s_fault_t;

static const char *const s_names [SPOOLS] = { "one", "two" };

static void
s_open (s_work_t *self)
{
    self->store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    for (int index = 0; index < SPOOLS; index++) {
        self->spools [index] = kit_spool (self->store, s_names [index]);
        self->cursors [index] = kit_cursor (self->store, self->spools [index], "main", 1);
    }
    CHECK_OK (zspool_store_begin (self->store));
    CHECK_OK (zspool_store_producer (self->store, "me", &self->producer, NULL, NULL));
    CHECK_OK (zspool_store_table (self->store, "totals", &self->table));
    CHECK_OK (zspool_store_commit (self->store));
}

static void
s_setup (s_work_t *self, bool embedded)
{
    memset (self, 0, sizeof *self);
    self->embedded = embedded;
    s_open (self);
    CHECK_OK (zspool_store_begin (self->store));
    for (int index = 0; index < SPOOLS; index++) {
        zspool_block_t *block = kit_block_new_stamped (1, SEED_MESSAGES, 20);
        CHECK_OK (zspool_store_append_stamped (self->store, self->spools [index], block));
        zspool_block_destroy (&block);
    }
    CHECK_OK (zspool_store_commit (self->store));
    zspool_store_destroy (&self->store);
}

//  Bytes of a message: small ones, and some that take pages of their own
static size_t
s_message_bytes (int index)
{
    return index == 0? 100: 20000;
}

static uint64_t
s_last_sequence (uint64_t round)
{
    return SEED_MESSAGES + MESSAGES * round;
}

//  ------------------------------------------------------------------------------------------------
//  The next round

//  A commit with one batch, ready before anything fails
static zspool_commit_t *
s_make_commit (const s_work_t *self)
{
    zspool_commit_t *commit = (zspool_commit_t *) zmalloc (sizeof *commit);
    zspool_batch_t *batch = zspool_batch_new ();
    batch->whole = true;
    for (int index = 0; index < SPOOLS; index++) {
        uint64_t first = s_last_sequence (self->round) + 1;
        batch->blocks [batch->blocks_count++] = (zspool_batch_block_t){
            kit_block_new_stamped (first, MESSAGES, s_message_bytes (index)), self->spools [index]
        };
        zspool_cursor_change_t *change = (zspool_cursor_change_t *) zmalloc (sizeof *change);
        change->spool = self->spools [index];
        change->cursor = self->cursors [index];
        change->generation = 1;
        change->floor = change->sent_to = self->round + 1;
        batch->changes [batch->changes_count++] = change;
    }
    batch->marks [batch->marks_count++] = (zspool_mark_t){ self->producer, self->round + 1 };
    commit->units [commit->units_count++].batch = batch;
    return commit;
}

static int
s_run_commit (s_work_t *self, zspool_commit_t *commit)
{
    zspool_commit_run (commit, self->store);
    return commit->rc? commit->rc: commit->units [0].rc;
}

static void
s_free_commit (zspool_commit_t *commit)
{
    zspool_batch_t *batch = (zspool_batch_t *) (uintptr_t) commit->units [0].batch;
    zspool_batch_destroy (&batch);
    free (commit);
}

//  The same with the store's own functions
static int
s_run_embedded (s_work_t *self)
{
    static uint8_t bytes [20000];
    uint64_t round = self->round + 1;
    int rc = zspool_store_begin (self->store);
    for (int index = 0; rc == ZSPOOL_OK && index < SPOOLS; index++) {
        zspool_frame_t frame = { bytes, s_message_bytes (index) };
        for (uint64_t at = 1; rc == ZSPOOL_OK && at <= MESSAGES; at++) {
            kit_fill (bytes, frame.size, s_last_sequence (self->round) + at);
            rc = zspool_store_put (self->store, self->spools [index], &frame, 1, NULL);
        }
        if (rc == ZSPOOL_OK)
            rc = zspool_store_ack (self->store, self->spools [index], self->cursors [index], round,
                                   round);
    }
    if (rc == ZSPOOL_OK)
        rc = zspool_store_producer (self->store, "me", &self->producer, NULL, NULL);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_set_producer (self->store, self->producer, 0, round);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_table (self->store, "totals", &self->table);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_table_put (self->store, self->table, (zspool_frame_t){ "round", 5 },
                                     (zspool_frame_t){ &round, sizeof round });
    if (rc == ZSPOOL_OK)
        return zspool_store_commit (self->store);
    zspool_store_rollback (self->store);
    return rc;
}

//  Do the round under a fault. Gives what it came to, and whether something failed.
static int
s_do_round (const s_fault_t *fault, bool *struck)
{
    s_work_t *self = fault->work;
    zspool_commit_t *commit = self->embedded? NULL: s_make_commit (self);
    fault_watch (KIT_STORE);
    fault_fail (fault->kind, fault->after, 1, fault->way, fault->error);
    int rc = commit? s_run_commit (self, commit): s_run_embedded (self);
    *struck = fault_calls (fault->kind) > fault->after;
    fault_fail (fault->kind, 0, 0, FAULT_BEFORE, 0);
    if (commit)
        s_free_commit (commit);
    return rc;
}

//  ------------------------------------------------------------------------------------------------
//  Looking

//  How many rounds are in the store: everything must agree on that.
static uint64_t
s_check_all (s_work_t *self)
{
    uint64_t round = 0, last = 0;
    uint32_t producer;
    zspool_frame_t value;
    int rc = zspool_store_producer (self->store, "me", &producer, NULL, &round);
    CHECK (rc == ZSPOOL_OK);
    for (int index = 0; index < SPOOLS; index++) {
        zspool_cursor_info_t cursor =
            kit_cursor_info (self->store, self->spools [index], self->cursors [index]);
        last = kit_spool_info (self->store, self->spools [index]).last_sequence;
        CHECK_EQ_U64 (last, s_last_sequence (round));
        CHECK_EQ_U64 (cursor.floor, round);
        CHECK_EQ_U64 (cursor.pending, last - round);
    }
    rc = zspool_store_table_get (self->store, self->table, (zspool_frame_t){ "round", 5 }, &value);
    CHECK (rc == (self->embedded && round > 0? ZSPOOL_OK: ZSPOOL_ENOENT));
    if (rc == ZSPOOL_OK)
        CHECK_EQ_MEM (value.data, value.size, &round, sizeof round);
    return round;
}

//  Open the store again, and see whether the round is there.
static bool
s_settle (s_work_t *self)
{
    s_open (self);
    uint64_t round = s_check_all (self);
    CHECK (round == self->round || round == self->round + 1);
    bool happened = round > self->round;
    self->round = round;
    if (round % 20 == 0)
        kit_check_sound (self->store);
    return happened;
}

//  ------------------------------------------------------------------------------------------------
//  Killed

static void
s_run_to_death (void *arg)
{
    const s_fault_t *fault = (const s_fault_t *) arg;
    bool struck;
    s_open (fault->work);
    CHECK_OK (s_do_round (fault, &struck));
    zspool_store_destroy (&fault->work->store);
}

static void
s_kill_everywhere (bool embedded)
{
    static const struct {
        fault_kind_t kind;
        fault_way_t way;
    } ways [] = { { FAULT_WRITE, FAULT_KILL },
                  { FAULT_WRITE, FAULT_KILL_AFTER },
                  { FAULT_SYNC, FAULT_KILL } };
    static s_work_t work;
    unsigned kills = 0, happened = 0;
    s_setup (&work, embedded);
    for (size_t index = 0; index < sizeof ways / sizeof ways [0]; index++) {
        int status = -SIGKILL;
        for (unsigned after = 0; status == -SIGKILL; after++) {
            s_fault_t fault = { &work, ways [index].kind, ways [index].way, 0, after };
            status = kit_run (s_run_to_death, &fault);
            CHECK (status == -SIGKILL || status == 0);
            bool is_there = s_settle (&work);
            zspool_store_destroy (&work.store);
            CHECK (is_there || status != 0);
            kills += status != 0;
            happened += status != 0 && is_there;
        }
    }
    printf ("%u kills, in %u of them all was there\n", kills, happened);
    CHECK (kills > 4 && happened < kills);
}

TEST (test_commit_killed_at_any_call_has_all_of_a_transaction_or_nothing)
{
    s_kill_everywhere (false);
}

TEST (test_commit_killed_at_any_call_has_all_of_an_application_s_transaction_or_nothing)
{
    s_kill_everywhere (true);
}

//  ------------------------------------------------------------------------------------------------
//  Failing calls

//  Let each call of a kind fail in turn. What is said to be done is there; what is said to be
//  refused, by a store that takes more, is not.
static void
s_fail_everywhere (s_work_t *self, fault_kind_t kind, fault_way_t way, int error)
{
    unsigned failed = 0;
    bool struck = true;
    for (unsigned after = 0; struck; after++) {
        s_fault_t fault = { self, kind, way, error, after };
        s_open (self);
        int rc = s_do_round (&fault, &struck);
        bool goes_on = zspool_store_begin (self->store) == ZSPOOL_OK;
        zspool_store_rollback (self->store);
        if (rc && goes_on)
            CHECK_EQ_U64 (s_check_all (self), self->round);
        zspool_store_destroy (&self->store);
        bool happened = s_settle (self);
        zspool_store_destroy (&self->store);
        CHECK (rc || happened);
        CHECK (!rc || !goes_on || !happened);
        failed += rc != ZSPOOL_OK;
        CHECK (self->round < ROUNDS_MAX);
    }
    printf ("kind %d, way %d, error %d: %u rounds failed\n", kind, way, error, failed);
}

static void
s_fail_all (bool embedded)
{
    static s_work_t work;
    s_setup (&work, embedded);
    static const fault_way_t ways [] = { FAULT_BEFORE, FAULT_HALF, FAULT_AFTER };
    for (size_t index = 0; index < sizeof ways / sizeof ways [0]; index++)
        s_fail_everywhere (&work, FAULT_WRITE, ways [index], EIO);
    s_fail_everywhere (&work, FAULT_WRITE, FAULT_HALF, ENOSPC);
    s_fail_everywhere (&work, FAULT_SYNC, FAULT_BEFORE, EIO);
    s_fail_everywhere (&work, FAULT_SYNC, FAULT_AFTER, EIO);
    s_fail_everywhere (&work, FAULT_ALLOCATE, FAULT_BEFORE, ENOSPC);
    s_fail_everywhere (&work, FAULT_TRUNCATE, FAULT_BEFORE, EIO);
    s_fail_everywhere (&work, FAULT_MEMORY, FAULT_BEFORE, ENOMEM);
    s_open (&work);
    kit_check_sound (work.store);
    zspool_store_destroy (&work.store);
}

TEST_WITH_LIMIT (test_commit_with_any_call_failing_has_all_of_a_transaction_or_nothing, 300)
{
    s_fail_all (false);
}

TEST_WITH_LIMIT (test_commit_with_any_call_failing_has_all_of_an_application_s_transaction, 300)
{
    s_fail_all (true);
}
