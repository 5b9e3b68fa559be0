//  test_store_sync.c - tests that opening a store makes durable what it shows
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A process that was killed in a commit leaves pages that are in memory only. The one that opens
//  the store next sees them, and must not act on them before they are on the disk.

#include "crash/fault.h"
#include "lib/kit.h"

//  What was called since s_watch ()
typedef struct {
    unsigned syncs;                    //  of the database
    unsigned writes;                   //  to it, but those that are durable by themselves
    unsigned writes_before_sync;
} s_seen_t;

static recording_t *
s_watch (void)
{
    recording_t *recording = recording_new ();
    CHECK (recording);
    fault_watch (KIT_STORE);
    fault_record (recording);
    return recording;
}

static s_seen_t
s_look (recording_t *recording)
{
    s_seen_t seen = { 0, 0, 0 };
    uint64_t at = 0;
    const record_t *record;
    while ((record = recording_at (recording, at)) != NULL) {
        at = recording_position (recording, record) + record->bytes;
        if (!strstr (record_path (record), "/data.mdb"))
            continue;
        seen.syncs += record->kind == RECORD_SYNC;
        seen.writes += record->kind == RECORD_WRITE && !record->durable;
        if (seen.syncs == 0)
            seen.writes_before_sync = seen.writes;
    }
    return seen;
}

static void
s_create (void)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    kit_append (store, kit_spool (store, "main"), 10, 100);
    zspool_store_destroy (&store);
}

TEST (test_store_opened_for_writing_syncs_before_it_is_used)
{
    s_create ();
    recording_t *recording = s_watch ();
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    s_seen_t seen = s_look (recording);
    CHECK_EQ_U64 (seen.syncs, 1);
    CHECK_EQ_U64 (seen.writes, 0);
    zspool_store_destroy (&store);
}

TEST (test_store_that_needs_recovery_is_synced_before_that)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    CHECK_OK (zspool_store_set_ceiling_window (store, spool, 1000));
    kit_append (store, spool, 10, 100);
    zspool_store_keep_ceilings (store);
    zspool_store_destroy (&store);
    recording_t *recording = s_watch ();
    store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_EQ_U64 (kit_spool_info (store, spool).lost, 1000);
    s_seen_t seen = s_look (recording);
    CHECK (seen.syncs >= 2 && seen.writes > 0);
    CHECK_EQ_U64 (seen.writes_before_sync, 0);
    zspool_store_destroy (&store);
}

TEST (test_store_that_cannot_be_synced_is_not_opened)
{
    s_create ();
    fault_watch (KIT_STORE);
    fault_fail (FAULT_SYNC, 0, 1, FAULT_BEFORE, EIO);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_WRITE), ZSPOOL_EIO);
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_WRITE));
}

TEST (test_store_opened_for_reading_writes_and_syncs_nothing)
{
    s_create ();
    recording_t *recording = s_watch ();
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_READ));
    s_seen_t seen = s_look (recording);
    CHECK_EQ_U64 (seen.syncs + seen.writes, 0);
}
