//  test_dead_power_cut.c - messages that die and are put back while the power goes, or memory is
//  out
//
//  SPDX-License-Identifier: MPL-2.0
//
//  At any time each message is pending in exactly one of two spools.

#include "crash/disk.h"
#include "crash/fault.h"
#include "crash/memory.h"
#include "dead.h"

#define MESSAGES 12
#define MESSAGE_BYTES 700
#define READY 1                        //  tag of the note behind the preparations

//  Move the message to the dead letters, in a commit of its own.
static int
s_bury (zspool_store_t *store, uint32_t from, uint32_t to, uint64_t sequence)
{
    uint8_t bytes [MESSAGE_BYTES];
    zspool_record_t record = { .sequence = sequence, .frames = 1, .data_bytes = sizeof bytes,
                               .data = bytes };
    zspool_history_t history = { .deaths_count = 0 };
    zspool_death_t death = { .sequence = sequence };
    zspool_history_add (&history, "main", &death);
    zspool_move_t *move = zspool_move_new (4096);
    if (!move)
        return ZSPOOL_ENOMEM;
    kit_fill (bytes, sizeof bytes, sequence);
    int rc = zspool_move_add (move, &record, &history);
    if (rc == ZSPOOL_OK)
        rc = zspool_block_seal (move->block);
    move->to = to;
    move->from = from;
    move->cursor = 1;
    move->is_burial = true;
    if (rc == ZSPOOL_OK)
        rc = zspool_store_begin (store);
    if (rc == ZSPOOL_OK) {
        rc = zspool_store_move (store, move);
        if (rc)
            zspool_store_rollback (store);
        else
            rc = zspool_store_commit (store);
    }
    zspool_move_destroy (&move);
    return rc;
}

//  Bury all, every second one first, and put some back. Gives the first error, or OK.
static int
s_work (zspool_store_t *store)
{
    int rc = ZSPOOL_OK;
    for (uint64_t turn = 0; turn < MESSAGES && rc == ZSPOOL_OK; turn++)
        rc = s_bury (store, 1, 2, turn < MESSAGES / 2? turn * 2 + 2: (turn - MESSAGES / 2) * 2 + 1);
    zspool_dead_t *dead = rc? NULL: zspool_dead_new (store, "main");
    if (dead) {
        rc = zspool_dead_requeue (dead, 2, 3, NULL);
        if (rc == ZSPOOL_OK)
            rc = zspool_dead_requeue (dead, 5, 10, NULL);
    }
    zspool_dead_destroy (&dead);
    return rc;
}

static zspool_store_t *
s_prepare (void)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), dead = 0;
    CHECK (spool == 1 && kit_cursor (store, spool, "main", 1) == 1);
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_dead_prepare (store, "main", &dead));
    CHECK_OK (zspool_store_commit (store));
    CHECK_EQ_U64 (dead, 2);
    kit_append (store, spool, MESSAGES / 2, MESSAGE_BYTES);
    kit_append (store, spool, MESSAGES / 2, MESSAGE_BYTES);
    return store;
}

//  Each is pending in one of the two.
static void
s_check (zspool_store_t *store)
{
    CHECK_EQ_U64 (kit_cursor_info (store, 1, 1).pending + kit_cursor_info (store, 2, 1).pending,
                  MESSAGES);
    kit_check_sound (store);
}

TEST_WITH_LIMIT (test_dead_letters_are_in_one_spool_after_a_power_cut_at_any_call, 300)
{
    kit_chance_t chance = kit_chance_new ();
    recording_t *recording = recording_new ();
    char *root = disk_path (KIT_STORE);
    CHECK (recording);
    fault_skip_syncs ();
    fault_watch (KIT_STORE);
    fault_record (recording);
    zspool_store_t *store = s_prepare ();
    recording_add (recording, RECORD_NOTE, READY, "", NULL, 0);
    CHECK_OK (s_work (store));
    s_check (store);
    zspool_store_destroy (&store);
    fault_record (NULL);
    disk_check_recording (recording, root);
    size_t count, disks = 0;
    disk_cut_t *cuts = disk_cuts (recording, &count);
    for (size_t index = 0; index < count; index++)
        for (int turn = 0; turn < 3; turn++) {
            uint64_t position = cuts [index].position;
            if (!disk_last_note (recording, position, READY))
                continue;
            disk_print_cut (recording, &cuts [index]);
            disk_remove ("cut");
            CHECK (disk_make (recording, position, root, "cut", &chance));
            store = kit_open ("cut", ZSPOOL_WRITE);
            s_check (store);
            zspool_store_destroy (&store);
            disks++;
        }
    printf ("%zu cuts, %zu disks\n", count, disks);
    CHECK (disks > MESSAGES * 3);
    free (cuts);
    free (root);
}

//  Let each call of this kind fail in turn.
static void
s_check_each_call (fault_kind_t kind, int error)
{
    zspool_store_t *store = s_prepare ();
    fault_watch (KIT_STORE);
    CHECK_OK (s_work (store));
    unsigned calls = fault_calls (kind), failed = 0;
    zspool_store_destroy (&store);
    for (unsigned after = 0; after < calls; after++) {
        printf ("fault at call %u of %u\n", after, calls);
        disk_remove (KIT_STORE);
        store = s_prepare ();
        fault_watch (KIT_STORE);
        fault_fail (kind, after, 1, FAULT_BEFORE, error);
        failed += s_work (store) != ZSPOOL_OK;
        fault_fail (kind, 0, 0, FAULT_BEFORE, 0);
        zspool_store_destroy (&store);
        store = kit_open (KIT_STORE, ZSPOOL_WRITE);
        s_check (store);
        zspool_store_destroy (&store);
    }
    printf ("%u calls, %u runs, in %u something failed\n", calls, calls, failed);
    CHECK (failed > 0);
    disk_remove (KIT_STORE);
}

TEST_WITH_LIMIT (test_dead_letters_are_in_one_spool_after_any_call_failed, 300)
{
    fault_skip_syncs ();
    memory_watch_lmdb ();
    s_check_each_call (FAULT_MEMORY, ENOMEM);
    s_check_each_call (FAULT_WRITE, EIO);
    s_check_each_call (FAULT_SYNC, EIO);
}
