//  test_store_nth.c - each call of a workload fails in turn: writes, syncs, growth, maps,
//  allocations
//
//  SPDX-License-Identifier: MPL-2.0
//
//  After each fault: an error or success, never a crash; nothing confirmed is lost after reopening.
//  Under the address sanitizer also: no leak.

#include "crash/disk.h"
#include "crash/fault.h"
#include "crash/memory.h"
#include "crash/model.h"

#define TRANSACTIONS 24                //  of the workload, times ZSPOOL_LONG
#define FOREVER UINT32_MAX

typedef struct {
    fault_kind_t kind;
    fault_way_t way;
    int error;
    unsigned times;                    //  calls that fail in a row
    unsigned step;                     //  of the calls every how many-th fails first, 1: each
} s_fault_t;

static model_worker_t s_worker;

//  What cannot be committed is not there; what was confirmed is, though the fault may still be:
//  memory is not missing for the check.
static void
s_check_shown (model_worker_t *self)
{
    fault_pause_memory ();
    CHECK (model_is_like (self->store, &self->ledger->committed));
    fault_resume_memory ();
}

//  Work from a seed, whatever fails. Gives how many times something did.
static unsigned
s_work (model_worker_t *self, uint64_t seed, unsigned transactions)
{
    const char *text = getenv ("ZSPOOL_LONG");
    transactions *= text? (unsigned) strtoul (text, NULL, 10): 1;
    unsigned failed = 0;
    self->chance = seed;
    model_clear (&self->ledger->committed);
    self->ledger->committing = false;
    for (unsigned done = 0; done < transactions; done++) {
        int rc = self->store? ZSPOOL_OK: model_open (self);
        if (rc == ZSPOOL_OK)
            rc = model_transact (self);
        failed += rc != ZSPOOL_OK;
        if (self->store && rc != ZSPOOL_EFAILED)
            s_check_shown (self);
        if (self->store && (rc == ZSPOOL_EFAILED || done % 10 == 9))
            model_close (self);
    }
    if (self->store)
        model_close (self);
    return failed;
}

//  Without the fault the store opens, is sound, and has what was confirmed, and can be gone on
//  with.
static void
s_check (model_worker_t *self)
{
    self->may_fail = false;
    CHECK_OK (model_open (self));
    model_check_all (self->store, &self->ledger->committed);
    for (int more = 0; more < 3; more++)
        model_transact (self);
    model_close (self);
    self->may_fail = true;
    disk_remove (KIT_STORE);
}

static void
s_sweep (s_fault_t fault, uint64_t window, unsigned transactions)
{
    model_worker_t *self = &s_worker;
    kit_chance_t chance = kit_chance_new ();
    uint64_t seed = kit_random (&chance);
    self->directory = KIT_STORE;
    self->window = window;
    self->message_bytes_max = 5000;
    self->may_fail = true;
    if (!self->ledger)
        self->ledger = model_ledger_new ();
    fault_skip_syncs ();
    fault_watch (KIT_STORE);
    CHECK_EQ_U64 (s_work (self, seed, transactions), 0);
    unsigned calls = fault_calls (fault.kind), failed = 0, runs = 0;
    s_check (self);
    for (unsigned after = 0; after < calls; after += fault.step, runs++) {
        printf ("fault at call %u of %u\n", after, calls);
        fault_watch (KIT_STORE);
        fault_fail (fault.kind, after, fault.times, fault.way, fault.error);
        failed += s_work (self, seed, transactions) > 0;
        fault_fail (fault.kind, 0, 0, FAULT_BEFORE, 0);
        s_check (self);
    }
    printf ("%u calls, %u runs, in %u something failed\n", calls, runs, failed);
    CHECK (calls > 0);
}

//  Each call, alone and with all behind it
static void
s_sweep_both (fault_kind_t kind, fault_way_t way, int error)
{
    s_sweep ((s_fault_t) { kind, way, error, 1, 1 }, 0, TRANSACTIONS);
    s_sweep ((s_fault_t) { kind, way, error, FOREVER, 3 }, MODEL_WINDOW, TRANSACTIONS);
}

TEST_WITH_LIMIT (test_store_nth_write_failing, 300)
{
    s_sweep_both (FAULT_WRITE, FAULT_BEFORE, EIO);
    s_sweep_both (FAULT_WRITE, FAULT_AFTER, EIO);
}

TEST_WITH_LIMIT (test_store_nth_write_finding_no_space, 300)
{
    s_sweep_both (FAULT_WRITE, FAULT_BEFORE, ENOSPC);
}

TEST_WITH_LIMIT (test_store_nth_write_short_or_interrupted, 300)
{
    s_sweep_both (FAULT_WRITE, FAULT_HALF, 0);
    s_sweep ((s_fault_t) { FAULT_WRITE, FAULT_BEFORE, EINTR, 1, 1 }, 0, TRANSACTIONS);
}

TEST_WITH_LIMIT (test_store_nth_sync_failing, 300)
{
    s_sweep_both (FAULT_SYNC, FAULT_BEFORE, EIO);
    s_sweep_both (FAULT_SYNC, FAULT_AFTER, EIO);
    s_sweep ((s_fault_t) { FAULT_SYNC, FAULT_BEFORE, EINTR, 1, 1 }, 0, TRANSACTIONS);
}

TEST_WITH_LIMIT (test_store_nth_growth_failing, 300)
{
    static const int errors [] = { ENOSPC, EIO, EINTR, EFBIG };
    for (size_t index = 0; index < sizeof errors / sizeof errors [0]; index++) {
        int error = errors [index];
        s_sweep ((s_fault_t) { FAULT_ALLOCATE, FAULT_BEFORE, error, 1, 1 }, 0, TRANSACTIONS);
        s_sweep ((s_fault_t) { FAULT_TRUNCATE, FAULT_BEFORE, error, 1, 1 }, 0, TRANSACTIONS);
    }
    s_sweep ((s_fault_t) { FAULT_ALLOCATE, FAULT_BEFORE, ENOSPC, FOREVER, 1 }, 0, TRANSACTIONS);
    s_sweep ((s_fault_t) { FAULT_TRUNCATE, FAULT_BEFORE, ENOSPC, FOREVER, 1 }, 0, TRANSACTIONS);
}

TEST_WITH_LIMIT (test_store_nth_file_not_opened_mapped_or_read, 300)
{
    static const int errors [] = { EIO, EMFILE, ENOMEM, EINTR };
    for (size_t index = 0; index < sizeof errors / sizeof errors [0]; index++)
        s_sweep ((s_fault_t) { FAULT_OPEN, FAULT_BEFORE, errors [index], 1, 1 }, 0,
                 TRANSACTIONS / 2);
    s_sweep ((s_fault_t) { FAULT_MAP, FAULT_BEFORE, ENOMEM, 1, 1 }, 0, TRANSACTIONS);
    s_sweep ((s_fault_t) { FAULT_READ, FAULT_BEFORE, EIO, 1, 1 }, 0, TRANSACTIONS);
}

TEST_WITH_LIMIT (test_store_nth_allocation_failing, 300)
{
    if (memory_watch_lmdb () == 0)
        printf ("LMDB's own allocations cannot be failed here\n");
    s_sweep ((s_fault_t) { FAULT_MEMORY, FAULT_BEFORE, ENOMEM, 1, 1 }, 0, TRANSACTIONS);
    s_sweep ((s_fault_t) { FAULT_MEMORY, FAULT_BEFORE, ENOMEM, 3, 2 }, MODEL_WINDOW, TRANSACTIONS);
    s_sweep ((s_fault_t) { FAULT_MEMORY, FAULT_BEFORE, ENOMEM, FOREVER, 3 }, 0, TRANSACTIONS);
}

//  ---- reading

//  Read everything and verify. The first error, or OK; what is given is right.
static int
s_read_all (zspool_store_t *store)
{
    int rc = ZSPOOL_OK;
    for (uint32_t spool = 1; rc == ZSPOOL_OK && spool <= MODEL_SPOOLS; spool++) {
        zspool_spool_info_t info;
        zspool_cursor_info_t cursor;
        rc = zspool_store_spool_info (store, spool - 1, &info);
        if (rc == ZSPOOL_OK)
            rc = zspool_store_cursor_info (store, spool, 0, &cursor);
        if (rc == ZSPOOL_ENOENT)
            rc = ZSPOOL_OK;
        zspool_reader_t *reader = rc? NULL: zspool_reader_new (store, spool);
        if (rc == ZSPOOL_OK && !reader)
            return ZSPOOL_ENOMEM;
        uint64_t blocks = 0;
        zspool_block_t *block = NULL;
        while (reader && (rc = zspool_reader_next (reader, &block)) == ZSPOOL_OK) {
            fault_pause_memory ();
            kit_check_block (block);
            fault_resume_memory ();
            zspool_block_destroy (&block);
            blocks++;
        }
        if (rc == ZSPOOL_ENOENT) {
            CHECK_EQ_U64 (blocks, info.blocks);
            rc = ZSPOOL_OK;
        }
        zspool_reader_destroy (&reader);
    }
    int findings = rc? rc: zspool_store_verify (store, NULL, NULL, NULL);
    CHECK (findings <= 0);
    return findings;
}

static int
s_open_and_read (void)
{
    zspool_store_t *store = zspool_store_new (KIT_STORE);
    int rc = store? zspool_store_open (store, ZSPOOL_READ): ZSPOOL_ENOMEM;
    if (rc == ZSPOOL_OK)
        rc = s_read_all (store);
    zspool_store_destroy (&store);
    return rc;
}

static void
s_sweep_reading (fault_kind_t kind, int error, unsigned times)
{
    fault_watch (KIT_STORE);
    CHECK_OK (s_open_and_read ());
    unsigned calls = fault_calls (kind), failed = 0;
    for (unsigned after = 0; after < calls; after++) {
        printf ("fault at call %u of %u\n", after, calls);
        fault_watch (KIT_STORE);
        fault_fail (kind, after, times, FAULT_BEFORE, error);
        int rc = s_open_and_read ();
        CHECK (rc == ZSPOOL_OK || rc == ZSPOOL_ENOMEM || rc == ZSPOOL_EIO || rc == ZSPOOL_EACCES);
        failed += rc != ZSPOOL_OK;
    }
    fault_fail (kind, 0, 0, FAULT_BEFORE, 0);
    CHECK_OK (s_open_and_read ());
    printf ("%u calls, %u runs, in %u something failed\n", calls, calls, failed);
    CHECK (failed > 0);
}

TEST_WITH_LIMIT (test_store_nth_call_failing_while_it_is_read, 300)
{
    model_worker_t *self = &s_worker;
    kit_chance_t chance = kit_chance_new ();
    self->directory = KIT_STORE;
    self->window = MODEL_WINDOW;
    self->ledger = model_ledger_new ();
    fault_skip_syncs ();
    s_work (self, chance, TRANSACTIONS);
    memory_watch_lmdb ();
    s_sweep_reading (FAULT_MEMORY, ENOMEM, 1);
    s_sweep_reading (FAULT_MEMORY, ENOMEM, FOREVER);
    s_sweep_reading (FAULT_READ, EIO, 1);
    s_sweep_reading (FAULT_MAP, ENOMEM, 1);
    s_sweep_reading (FAULT_OPEN, EMFILE, 1);
}
