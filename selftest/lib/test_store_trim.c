//  test_store_trim.c - tests of removing blocks behind cursors or by force, and of the file's size
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"

#define MIB (1024 * 1024)

//  A store with one spool and blocks of ten messages
static zspool_store_t *
s_open_filled (uint32_t *spool, int blocks)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    *spool = kit_spool (store, "main");
    for (int block = 0; block < blocks; block++)
        kit_append (store, *spool, 10, 100);
    return store;
}

static void
s_done (zspool_store_t *store)
{
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

//  What is left of the spool
static void
s_check_left (zspool_store_t *store, uint32_t spool, uint64_t first, uint64_t last)
{
    zspool_spool_info_t info = kit_spool_info (store, spool);
    CHECK_EQ_U64 (info.first_sequence, first);
    CHECK_EQ_U64 (info.messages, first? last - first + 1: 0);
    CHECK_EQ_U64 (info.blocks, info.messages / 10);
    CHECK (first || info.bytes == 0);
    CHECK_EQ_U64 (info.last_sequence, last);
    CHECK_EQ_U64 (kit_read (store, spool, 1), info.messages);
}

static void
s_trim (zspool_store_t *store, uint32_t spool, uint64_t sequence)
{
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_trim (store, spool, sequence));
    CHECK_OK (zspool_store_commit (store));
}

//  ---- behind cursors

TEST (test_store_trim_removes_whole_blocks_that_are_acknowledged)
{
    uint32_t spool;
    zspool_store_t *store = s_open_filled (&spool, 3);
    uint32_t cursor = kit_cursor (store, spool, "main", 1);
    kit_ack (store, spool, cursor, 1, 9);
    s_check_left (store, spool, 1, 30);
    kit_ack (store, spool, cursor, 10, 10);
    s_check_left (store, spool, 11, 30);
    kit_ack (store, spool, cursor, 21, 30);
    s_check_left (store, spool, 11, 30);
    kit_ack (store, spool, cursor, 11, 20);
    s_check_left (store, spool, 0, 30);
    kit_append (store, spool, 10, 100);
    s_check_left (store, spool, 31, 40);
    s_done (store);
}

TEST (test_store_trim_waits_for_the_slowest_cursor)
{
    uint32_t spool;
    zspool_store_t *store = s_open_filled (&spool, 4);
    uint32_t fast = kit_cursor (store, spool, "fast", 1), slow = kit_cursor (store, spool, "slow", 1);
    kit_ack (store, spool, fast, 1, 40);
    s_check_left (store, spool, 1, 40);
    kit_ack (store, spool, slow, 1, 15);
    s_check_left (store, spool, 11, 40);
    kit_ack (store, spool, slow, 16, 40);
    s_check_left (store, spool, 0, 40);
    s_done (store);
}

TEST (test_store_trim_waits_for_a_cursor_created_later)
{
    uint32_t spool;
    zspool_store_t *store = s_open_filled (&spool, 4);
    uint32_t first = kit_cursor (store, spool, "first", 1);
    kit_ack (store, spool, first, 1, 15);
    uint32_t later = kit_cursor (store, spool, "later", ZSPOOL_START_FIRST);
    kit_ack (store, spool, first, 16, 40);
    s_check_left (store, spool, 11, 40);
    CHECK_EQ_U64 (kit_cursor_info (store, spool, later).pending, 30);
    kit_ack (store, spool, later, 11, 40);
    s_check_left (store, spool, 0, 40);
    s_done (store);
}

TEST (test_store_trim_without_cursors_removes_nothing)
{
    uint32_t spool;
    zspool_store_t *store = s_open_filled (&spool, 2);
    kit_append (store, spool, 10, 100);
    s_check_left (store, spool, 1, 30);
    s_done (store);
}

TEST (test_store_trim_of_much_is_spread_over_commits)
{
    const int blocks = ZSPOOL_TRIM_BLOCKS_MAX * 2 + 10;
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "main", 1);
    CHECK_OK (zspool_store_begin (store));
    for (int block = 0; block < blocks; block++)
        CHECK_OK (kit_try_append (store, spool, 10, 8));
    CHECK_OK (zspool_store_commit (store));
    CHECK (!zspool_store_trim_is_due (store));
    kit_ack (store, spool, cursor, 1, (uint64_t) blocks * 10);
    int commits = 1;
    while (zspool_store_trim_is_due (store)) {
        CHECK_EQ_U64 (kit_spool_info (store, spool).blocks,
                      (uint64_t) (blocks - commits * ZSPOOL_TRIM_BLOCKS_MAX));
        CHECK_OK (zspool_store_begin (store));
        CHECK_OK (zspool_store_commit (store));
        commits++;
    }
    CHECK_EQ_I64 (commits, 3);
    s_check_left (store, spool, 0, (uint64_t) blocks * 10);
    s_done (store);
}

TEST (test_store_trim_left_over_at_the_end_is_done_later)
{
    const int blocks = ZSPOOL_TRIM_BLOCKS_MAX + 10;
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "main", 1);
    CHECK_OK (zspool_store_begin (store));
    for (int block = 0; block < blocks; block++)
        CHECK_OK (kit_try_append (store, spool, 10, 8));
    CHECK_OK (zspool_store_commit (store));
    kit_ack (store, spool, cursor, 1, (uint64_t) blocks * 10);
    zspool_store_destroy (&store);
    store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    kit_append (store, spool, 10, 100);
    kit_ack (store, spool, cursor, (uint64_t) blocks * 10 + 1, (uint64_t) blocks * 10 + 10);
    s_check_left (store, spool, 0, (uint64_t) blocks * 10 + 10);
    s_done (store);
}

//  ---- by force

TEST (test_store_trim_by_force_removes_whole_blocks)
{
    uint32_t spool;
    zspool_store_t *store = s_open_filled (&spool, 3);
    s_trim (store, spool, 0);
    s_trim (store, spool, 9);
    s_check_left (store, spool, 1, 30);
    s_trim (store, spool, 10);
    s_check_left (store, spool, 11, 30);
    s_trim (store, spool, 29);
    s_check_left (store, spool, 21, 30);
    s_trim (store, spool, UINT64_MAX);
    s_check_left (store, spool, 0, 30);
    s_trim (store, spool, UINT64_MAX);
    kit_append (store, spool, 10, 100);
    s_check_left (store, spool, 31, 40);
    s_done (store);
}

TEST (test_store_trim_by_force_moves_cursors_that_stood_before)
{
    uint32_t spool;
    zspool_store_t *store = s_open_filled (&spool, 3);
    uint32_t behind = kit_cursor (store, spool, "behind", 1);
    uint32_t ahead = kit_cursor (store, spool, "ahead", ZSPOOL_START_NEW);
    kit_ack (store, spool, behind, 2, 17);
    s_trim (store, spool, 15);
    s_check_left (store, spool, 11, 30);
    zspool_cursor_info_t info = kit_cursor_info (store, spool, behind);
    CHECK_EQ_U64 (info.generation, 2);
    CHECK (info.floor >= 15);
    CHECK_EQ_U64 (info.pending, 13);
    info = kit_cursor_info (store, spool, ahead);
    CHECK_EQ_U64 (info.generation, 1);
    CHECK_EQ_U64 (info.floor, 30);
    CHECK_OK (zspool_store_begin (store));
    CHECK_CODE (zspool_store_ack (store, spool, behind, 15, 15), ZSPOOL_ESTALE);
    CHECK_CODE (zspool_store_ack (store, spool, behind, 16, 18), ZSPOOL_ESTALE);
    CHECK_OK (zspool_store_ack (store, spool, behind, 18, 29));
    CHECK_OK (zspool_store_commit (store));
    CHECK_EQ_U64 (kit_cursor_info (store, spool, behind).pending, 1);
    zspool_store_destroy (&store);
    store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_EQ_U64 (kit_cursor_info (store, spool, behind).pending, 1);
    kit_ack (store, spool, behind, 30, 30);
    s_check_left (store, spool, 0, 30);
    s_done (store);
}

TEST (test_store_trim_by_force_keeps_what_its_transaction_acknowledged)
{
    uint32_t spool;
    zspool_store_t *store = s_open_filled (&spool, 3);
    uint32_t cursor = kit_cursor (store, spool, "main", 1);
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_ack (store, spool, cursor, 25, 26));
    CHECK_OK (zspool_store_trim (store, spool, 15));
    CHECK_CODE (zspool_store_ack (store, spool, cursor, 25, 25), ZSPOOL_ESTALE);
    CHECK_OK (zspool_store_ack (store, spool, cursor, 27, 27));
    CHECK_OK (zspool_store_commit (store));
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).pending, 12);
    //  Acknowledged as far as that: the cursor is not moved.
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_ack (store, spool, cursor, 16, 20));
    CHECK_OK (zspool_store_trim (store, spool, 20));
    CHECK_OK (zspool_store_commit (store));
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).generation, 2);
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).pending, 7);
    s_check_left (store, spool, 21, 30);
    s_done (store);
}

TEST (test_store_trim_by_force_rolled_back_leaves_all)
{
    uint32_t spool;
    zspool_store_t *store = s_open_filled (&spool, 3);
    uint32_t cursor = kit_cursor (store, spool, "main", 1);
    kit_ack (store, spool, cursor, 3, 4);
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_trim (store, spool, 30));
    CHECK_OK (kit_try_append (store, spool, 10, 100));
    zspool_store_rollback (store);
    s_check_left (store, spool, 1, 30);
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).generation, 1);
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).pending, 28);
    s_done (store);
}

TEST (test_store_trimmed_empty_goes_on_numbering_after_reopening)
{
    uint32_t spool;
    zspool_store_t *store = s_open_filled (&spool, 3);
    s_trim (store, spool, 30);
    for (int round = 0; round < 3; round++) {
        zspool_store_destroy (&store);
        store = kit_open (KIT_STORE, ZSPOOL_WRITE);
        s_check_left (store, spool, 0, 30);
    }
    kit_append (store, spool, 10, 100);
    s_check_left (store, spool, 31, 40);
    CHECK_EQ_U64 (kit_spool_info (store, spool).lost, 0);
    s_done (store);
}

//  ---- the file's size

TEST (test_store_of_steady_traffic_has_a_steady_size)
{
    const uint64_t live_blocks = 300, block_bytes = 64 * 1024;
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "main", 1);
    for (uint64_t sequence = 1; sequence <= 10 * live_blocks; sequence += 4) {
        CHECK_OK (zspool_store_begin (store));
        for (int block = 0; block < 4; block++)
            CHECK_OK (kit_try_append (store, spool, 1, block_bytes - 112));
        if (sequence > live_blocks)
            CHECK_OK (zspool_store_ack (store, spool, cursor, sequence - live_blocks,
                                        sequence - live_blocks + 3));
        CHECK_OK (zspool_store_commit (store));
    }
    CHECK_EQ_U64 (kit_spool_info (store, spool).blocks, live_blocks);
    uint64_t file_bytes = zspool_store_file_bytes (store);
    printf ("%" PRIu64 " bytes of file for %" PRIu64 " live\n", file_bytes, live_blocks * block_bytes);
    CHECK (file_bytes <= live_blocks * block_bytes * 3 / 2);
    CHECK_EQ_U64 (kit_read (store, spool, 1), live_blocks);
    s_done (store);
}

//  Two spools of small blocks, interleaved
static void
s_interleave (zspool_store_t *store, uint32_t one, uint32_t other, int commits)
{
    for (int commit = 0; commit < commits; commit++) {
        CHECK_OK (zspool_store_begin (store));
        for (int block = 0; block < 200; block++) {
            CHECK_OK (kit_try_append (store, one, 1, 5000));
            CHECK_OK (kit_try_append (store, other, 1, 5000));
        }
        CHECK_OK (zspool_store_commit (store));
    }
}

TEST (test_store_with_scattered_free_space_uses_it)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t kept = kit_spool (store, "kept"), purged = kit_spool (store, "purged");
    uint32_t large = kit_spool (store, "large");
    s_interleave (store, kept, purged, 40);
    s_trim (store, purged, 8000);
    s_trim (store, purged, 8000);
    uint64_t before = zspool_store_file_bytes (store);
    CHECK (zspool_store_free_bytes (store) > 60 * MIB);
    bool was_chunked = false;
    for (int block = 0; block < 4 * 90; block++) {
        kit_append (store, large, 1, 256 * 1024);
        was_chunked = was_chunked || store->chunked;
    }
    uint64_t growth = zspool_store_file_bytes (store) - before;
    printf ("grown by %" PRIu64 " bytes for 90 MiB; %" PRIu64 " free\n", growth,
            zspool_store_free_bytes (store));
    CHECK (was_chunked);
    CHECK (growth < 48 * MIB);
    CHECK_EQ_U64 (kit_read (store, large, 1), 360);
    CHECK_EQ_U64 (kit_read (store, kept, 1), 8000);
    s_done (store);
}

TEST (test_store_after_a_purge_uses_what_is_free_at_once)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t kept = kit_spool (store, "kept"), purged = kit_spool (store, "purged");
    uint32_t large = kit_spool (store, "large"), cursor = kit_cursor (store, large, "main", 1);
    s_interleave (store, kept, purged, 20);
    //  Each block took two pages, so that is how long runs of free pages are.
    s_trim (store, purged, 4000);
    CHECK (zspool_engine_scattered_bytes (store->engine, 2) < MIB);
    CHECK (zspool_engine_scattered_bytes (store->engine, 3) > 30 * MIB);
    //  So far blocks were small; that they are large now is found out with the first.
    kit_append (store, large, 1, 256 * 1024);
    uint64_t before = zspool_store_file_bytes (store), sequence = 2;
    for (; sequence <= 60; sequence++) {
        kit_append (store, large, 1, 256 * 1024);
        CHECK (store->chunked);
        kit_ack (store, large, cursor, sequence - 1, sequence - 1);
    }
    CHECK (zspool_store_file_bytes (store) < before + 2 * MIB);
    //  When the rest is free as well, runs are long again.
    s_trim (store, kept, 4000);
    CHECK (zspool_engine_scattered_bytes (store->engine, 100) < 8 * MIB);
    kit_append (store, large, 1, 256 * 1024);
    CHECK (!store->chunked);
    CHECK_EQ_U64 (kit_read (store, large, sequence - 1), 2);
    s_done (store);
}

TEST (test_store_reader_that_stands_still_does_not_make_it_grow)
{
    const uint64_t live_blocks = 50;
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "main", 1);
    kit_append (store, spool, 1, 60000);
    zspool_reader_t *reader = zspool_reader_new (store, spool);
    zspool_block_t *block = NULL;
    CHECK_OK (zspool_reader_next (reader, &block));
    for (uint64_t sequence = 2; sequence <= 40 * live_blocks; sequence++) {
        CHECK_OK (zspool_store_begin (store));
        CHECK_OK (kit_try_append (store, spool, 1, 60000));
        if (sequence > live_blocks)
            CHECK_OK (zspool_store_ack (store, spool, cursor, sequence - live_blocks,
                                        sequence - live_blocks));
        CHECK_OK (zspool_store_commit (store));
    }
    CHECK (zspool_store_file_bytes (store) < 10 * MIB);
    kit_check_block (block);
    zspool_block_destroy (&block);
    zspool_reader_destroy (&reader);
    s_done (store);
}

//  A reader that dies without leaving must not hold back what is free.
static void
s_die_reading (void *arg)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    CHECK_OK (zspool_view_take (store->view));
    raise (SIGKILL);
    (void) arg;
}

TEST (test_store_reader_that_died_is_forgotten)
{
    uint32_t spool;
    zspool_store_t *store = s_open_filled (&spool, 1);
    uint32_t cursor = kit_cursor (store, spool, "main", 1);
    kit_ack (store, spool, cursor, 1, 10);
    CHECK_EQ_I64 (kit_run (s_die_reading, NULL), -SIGKILL);
    zspool_store_check_readers (store);
    uint64_t sequence = 11;
    for (int round = 0; round < 100; round++, sequence++) {
        kit_append (store, spool, 1, 60000);
        kit_ack (store, spool, cursor, sequence, sequence);
    }
    CHECK (zspool_store_file_bytes (store) < MIB);
    s_done (store);
}
