//  test_store_faults.c - tests of a store whose writes, syncs and reservations of space fail
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/fault.h"
#include "lib/kit.h"

#define ROUNDS 6                       //  transactions of the workload

//  What is known of a store after a workload
typedef struct {
    bool created;                      //  it was opened for writing once
    uint64_t appended;                 //  messages committed
    uint64_t acked;                    //  of these, acknowledged and committed
    int rc;                            //  first failure, or 0
} s_ledger_t;

//  One transaction: six messages in, four out.
static int
s_transact (zspool_store_t *store, uint32_t spool, uint32_t cursor, s_ledger_t *ledger)
{
    int rc = zspool_store_begin (store);
    if (rc)
        return rc;
    rc = kit_try_append (store, spool, 4, 3000);
    if (rc == ZSPOOL_OK)
        rc = kit_try_append (store, spool, 2, 20);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_ack (store, spool, cursor, ledger->acked + 1, ledger->acked + 4);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_commit (store);
    else
        zspool_store_rollback (store);
    if (rc == ZSPOOL_OK) {
        ledger->appended += 6;
        ledger->acked += 4;
    }
    return rc;
}

static int
s_prepare (zspool_store_t *store, uint32_t *spool, uint32_t *cursor)
{
    int rc = zspool_store_begin (store);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_spool (store, "main", spool);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_cursor (store, *spool, "main", 1, cursor);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_set_ceiling_window (store, *spool, 100);
    return rc? rc: zspool_store_commit (store);
}

//  Create a store and work on it until something fails, or all is done.
static void
s_work (s_ledger_t *ledger)
{
    uint32_t spool = 0, cursor = 0;
    memset (ledger, 0, sizeof *ledger);
    zspool_store_t *store = zspool_store_new (KIT_STORE);
    CHECK_OK (zspool_store_set_map_bytes (store, SELFTEST_MAP_BYTES));
    ledger->rc = zspool_store_open (store, ZSPOOL_WRITE);
    ledger->created = ledger->rc == ZSPOOL_OK;
    if (ledger->rc == ZSPOOL_OK)
        ledger->rc = s_prepare (store, &spool, &cursor);
    for (int round = 0; ledger->rc == ZSPOOL_OK && round < ROUNDS; round++)
        ledger->rc = s_transact (store, spool, cursor, ledger);
    //  After a failed commit nothing is accepted any more, whatever the disk does now.
    if (ledger->created && ledger->rc) {
        CHECK (*zspool_store_reason (store));
        CHECK_CODE (ledger->rc, ZSPOOL_EFAILED);
        CHECK_CODE (zspool_store_begin (store), ZSPOOL_EFAILED);
        CHECK_CODE (zspool_store_commit (store), ZSPOOL_EINVAL);
        CHECK_CODE (zspool_store_begin (store), ZSPOOL_EFAILED);
    }
    zspool_store_destroy (&store);
}

//  Open the store again: there is what was committed, all of it and nothing else, and it can be
//  gone on with.
static void
s_check_as_left (const s_ledger_t *ledger)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    kit_check_sound (store);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "main", 1);
    CHECK_EQ_U64 (kit_spool_info (store, spool).last_sequence, ledger->appended);
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).floor, ledger->acked);
    CHECK_EQ_U64 (kit_read (store, spool, ledger->acked + 1), ledger->appended - ledger->acked);
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (kit_try_append (store, spool, 5, 1000));
    CHECK_OK (zspool_store_commit (store));
    kit_check_sound (store);
    zspool_store_destroy (&store);
    CHECK (system ("rm -r " KIT_STORE) == 0);
}

//  Let each call of this kind fail in turn.
static void
s_check_each_call (fault_kind_t kind, fault_way_t way, int error)
{
    s_ledger_t ledger;
    fault_watch (KIT_STORE);
    s_work (&ledger);
    CHECK_OK (ledger.rc);
    CHECK_EQ_U64 (ledger.appended, ROUNDS * 6);
    s_check_as_left (&ledger);
    unsigned calls = fault_calls (kind), failed = 0;
    for (unsigned after = 0; after < calls; after++) {
        fault_watch (KIT_STORE);
        fault_fail (kind, after, 1, way, error);
        s_work (&ledger);
        fault_watch (KIT_STORE);
        failed += ledger.rc != ZSPOOL_OK;
        s_check_as_left (&ledger);
    }
    printf ("%u calls, %u made the work fail\n", calls, failed);
    CHECK (failed >= ROUNDS);
}

TEST (test_store_faults_failed_write_is_final)
{
    s_check_each_call (FAULT_WRITE, FAULT_BEFORE, EIO);
}

TEST (test_store_faults_short_write_is_final)
{
    s_check_each_call (FAULT_WRITE, FAULT_HALF, 0);
}

TEST (test_store_faults_failed_sync_is_final)
{
    s_check_each_call (FAULT_SYNC, FAULT_BEFORE, EIO);
}

TEST (test_store_faults_sync_done_but_failed_is_final)
{
    s_check_each_call (FAULT_SYNC, FAULT_AFTER, EIO);
}

TEST (test_store_faults_write_done_but_failed_is_final)
{
    s_check_each_call (FAULT_WRITE, FAULT_AFTER, EIO);
}

//  ---- after a failure, in the same process

TEST (test_store_faults_failed_store_still_shows_what_was_committed)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "main", 1);
    kit_append (store, spool, 10, 1000);
    kit_ack (store, spool, cursor, 2, 3);
    zspool_reader_t *reader = zspool_reader_new (store, spool);
    fault_watch (KIT_STORE);
    fault_fail (FAULT_SYNC, 0, UINT32_MAX, FAULT_BEFORE, EIO);
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (kit_try_append (store, spool, 10, 1000));
    CHECK_OK (zspool_store_ack (store, spool, cursor, 4, 4));
    CHECK_CODE (zspool_store_commit (store), ZSPOOL_EFAILED);
    CHECK (strstr (zspool_store_reason (store), "commit failed"));
    fault_fail (FAULT_SYNC, 0, 0, FAULT_BEFORE, 0);
    CHECK_EQ_U64 (kit_spool_info (store, spool).last_sequence, 10);
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).pending, 8);
    CHECK_EQ_U64 (kit_read (store, spool, 1), 10);
    kit_check_sound (store);
    CHECK_CODE (zspool_store_begin (store), ZSPOOL_EFAILED);
    zspool_reader_destroy (&reader);
    zspool_store_destroy (&store);
    store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_EQ_U64 (kit_read (store, spool, 1), 10);
    zspool_store_destroy (&store);
}

TEST (test_store_faults_failed_store_keeps_its_ceiling)
{
    //  What was forwarded ahead of the failed commit keeps its numbers.
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    CHECK_OK (zspool_store_set_ceiling_window (store, spool, 100));
    kit_append (store, spool, 10, 1000);
    fault_watch (KIT_STORE);
    fault_fail (FAULT_SYNC, 0, 1, FAULT_BEFORE, EIO);
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (kit_try_append (store, spool, 10, 1000));
    CHECK_CODE (zspool_store_commit (store), ZSPOOL_EFAILED);
    zspool_store_destroy (&store);
    store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_EQ_U64 (kit_spool_info (store, spool).lost, 100);
    kit_append (store, spool, 1, 1000);
    CHECK_EQ_U64 (kit_spool_info (store, spool).last_sequence, 111);
    zspool_store_destroy (&store);
}

TEST (test_store_faults_failing_while_closing_keeps_the_ceiling)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    CHECK_OK (zspool_store_set_ceiling_window (store, spool, 100));
    kit_append (store, spool, 10, 1000);
    fault_watch (KIT_STORE);
    fault_fail (FAULT_SYNC, 0, 1, FAULT_BEFORE, EIO);
    zspool_store_destroy (&store);
    store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_EQ_U64 (kit_spool_info (store, spool).lost, 100);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

//  ---- space

//  Let every reservation of space fail.
static void
s_fill_disk (int error)
{
    fault_watch (KIT_STORE);
    fault_fail (FAULT_ALLOCATE, 0, UINT32_MAX, FAULT_BEFORE, error);
}

static void
s_free_disk (void)
{
    fault_fail (FAULT_ALLOCATE, 0, 0, FAULT_BEFORE, 0);
}

//  Append blocks of 1 MiB, each in its transaction, until there is no room.
static uint64_t
s_fill_store (zspool_store_t *store, uint32_t spool)
{
    uint64_t count = 0;
    for (int rc = ZSPOOL_OK; rc == ZSPOOL_OK; count += rc == ZSPOOL_OK) {
        CHECK (count < 1000);
        CHECK_OK (zspool_store_begin (store));
        rc = kit_try_append (store, spool, 1, 1024 * 1024);
        CHECK (rc == ZSPOOL_OK || rc == ZSPOOL_ENOSPC);
        CHECK_OK (zspool_store_commit (store));
    }
    return count;
}

TEST (test_store_faults_full_disk_is_not_final)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "main", 1);
    s_fill_disk (ENOSPC);
    uint64_t count = s_fill_store (store, spool);
    printf ("%" PRIu64 " messages found room\n", count);
    CHECK (count > 0 && count < 64);
    uint32_t other = 0, late = 0;
    //  Small things go on: creating, acknowledging.
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_spool (store, "other", &other));
    CHECK_OK (zspool_store_cursor (store, spool, "late", ZSPOOL_START_NEW, &late));
    CHECK_OK (zspool_store_commit (store));
    for (uint64_t sequence = count; sequence > 0; sequence--)
        kit_ack (store, spool, cursor, sequence, sequence);
    CHECK_EQ_U64 (kit_spool_info (store, spool).messages, 0);
    //  What was acknowledged makes room, with the disk still full.
    printf ("%" PRIu64 " bytes of file, %" PRIu64 " free, %" PRIu64 " to spare\n",
            zspool_store_file_bytes (store), zspool_store_free_bytes (store),
            zspool_engine_spare_bytes (store->engine));
    uint64_t again = s_fill_store (store, spool);
    printf ("%" PRIu64 " messages found room again\n", again);
    CHECK (again > count / 2);
    kit_check_sound (store);
    s_free_disk ();
    for (int round = 0; round < 100; round++)
        kit_append (store, spool, 1, 1024 * 1024);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

TEST (test_store_faults_full_disk_found_at_opening_is_not_final)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "main", 1);
    for (int round = 0; round < 20; round++)
        kit_append (store, spool, 1, 1024 * 1024);
    zspool_store_destroy (&store);
    s_fill_disk (ENOSPC);
    store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_EQ_U64 (s_fill_store (store, spool), 0);
    kit_ack (store, spool, cursor, 2, 20);
    kit_ack (store, spool, cursor, 1, 1);
    CHECK_EQ_U64 (kit_spool_info (store, spool).messages, 0);
    s_free_disk ();
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (kit_try_append (store, spool, 1, 1024 * 1024));
    CHECK_OK (zspool_store_commit (store));
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

TEST (test_store_faults_full_disk_refuses_to_create_a_store)
{
    s_fill_disk (ENOSPC);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_WRITE), ZSPOOL_ENOSPC);
    s_free_disk ();
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_WRITE));
}

TEST (test_store_faults_message_put_is_not_lost_when_the_disk_fills_up)
{
    static uint8_t bytes [200 * 1024];
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    s_fill_disk (ENOSPC);
    CHECK_OK (zspool_store_begin (store));
    uint64_t sequence = 0, count = 0;
    for (int rc = ZSPOOL_OK; rc == ZSPOOL_OK;) {
        kit_fill (bytes, sizeof bytes, count + 1);
        zspool_frame_t frame = { bytes, sizeof bytes };
        rc = zspool_store_put (store, spool, &frame, 1, &sequence);
        CHECK (rc == ZSPOOL_OK || rc == ZSPOOL_ENOSPC);
        count += rc == ZSPOOL_OK;
        CHECK_EQ_U64 (sequence, count);
    }
    CHECK (count > 0);
    CHECK_OK (zspool_store_commit (store));
    CHECK_EQ_U64 (kit_read (store, spool, 1), count);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

TEST (test_store_faults_reservation_interrupted_is_made_again)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    fault_watch (KIT_STORE);
    fault_fail (FAULT_ALLOCATE, 0, 5, FAULT_BEFORE, EINTR);
    for (int round = 0; round < 100; round++)
        kit_append (store, spool, 1, 1024 * 1024);
    CHECK (fault_calls (FAULT_ALLOCATE) > 5);
    zspool_store_destroy (&store);
}

TEST (test_store_faults_file_system_without_reservations_works)
{
    s_fill_disk (EOPNOTSUPP);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    for (int round = 0; round < 100; round++)
        kit_append (store, spool, 1, 1024 * 1024);
    CHECK_EQ_U64 (kit_read (store, spool, 1), 100);
    zspool_store_destroy (&store);
}

TEST (test_store_faults_reservation_that_fails_otherwise_gives_eio)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    s_fill_disk (EIO);
    int rc = ZSPOOL_OK;
    for (int round = 0; rc == ZSPOOL_OK && round < 100; round++) {
        CHECK_OK (zspool_store_begin (store));
        rc = kit_try_append (store, spool, 1, 1024 * 1024);
        CHECK_OK (zspool_store_commit (store));
    }
    CHECK_CODE (rc, ZSPOOL_EIO);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}
