//  test_reader.c - tests of reading the blocks of a spool in order: seeking, following, passing
//  over damage
//
//  SPDX-License-Identifier: MPL-2.0

#include "craft.h"
#include "kit.h"

#include <pthread.h>

#define SPOOL 1                        //  number of the first spool of a store

//  A closed store with blocks of ten messages, whole or in chunks
static void
s_create (int blocks, size_t bytes, bool chunked)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    CHECK_EQ_U64 (spool, SPOOL);
    CHECK_OK (zspool_store_begin (store));
    store->chunked = chunked;
    for (int block = 0; block < blocks; block++)
        CHECK_OK (kit_try_append (store, spool, 10, bytes));
    CHECK_OK (zspool_store_commit (store));
    zspool_store_destroy (&store);
}

static zspool_reader_t *
s_reader (zspool_store_t *store)
{
    zspool_reader_t *reader = zspool_reader_new (store, SPOOL);
    CHECK (reader);
    return reader;
}

//  The next block must be this one.
static void
s_check_next (zspool_reader_t *reader, uint64_t first)
{
    zspool_block_t *block = NULL;
    CHECK_OK (zspool_reader_next (reader, &block));
    CHECK_EQ_U64 (zspool_block_first_sequence (block), first);
    kit_check_block (block);
    zspool_block_destroy (&block);
}

static void
s_check_end (zspool_reader_t *reader)
{
    zspool_block_t *block = NULL;
    for (int round = 0; round < 2; round++)
        CHECK_CODE (zspool_reader_next (reader, &block), ZSPOOL_ENOENT);
    CHECK (!block);
}

//  The next block must be passed over, and reported so.
static void
s_check_passed_over (zspool_reader_t *reader, int expected, uint64_t first, uint64_t last)
{
    zspool_block_t *block = NULL;
    uint64_t damaged_first, damaged_last;
    CHECK_CODE (zspool_reader_next (reader, &block), expected);
    CHECK (!block);
    zspool_reader_damage (reader, &damaged_first, &damaged_last);
    CHECK_EQ_U64 (damaged_first, first);
    CHECK_EQ_U64 (damaged_last, last);
}

//  ---- order

TEST (test_reader_of_unknown_spool_is_null)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = 0;
    CHECK (!zspool_reader_new (store, SPOOL));
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_spool (store, "main", &spool));
    CHECK (!zspool_reader_new (store, spool));
    CHECK_OK (zspool_store_commit (store));
    zspool_reader_t *reader = s_reader (store);
    zspool_reader_destroy (&reader);
    CHECK (!reader);
    zspool_reader_destroy (&reader);
    zspool_store_destroy (&store);
}

TEST (test_reader_gives_blocks_in_order_and_then_more)
{
    s_create (3, 100, false);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    zspool_reader_t *reader = s_reader (store);
    s_check_next (reader, 1);
    s_check_next (reader, 11);
    s_check_next (reader, 21);
    s_check_end (reader);
    kit_append (store, SPOOL, 10, 100);
    s_check_next (reader, 31);
    s_check_end (reader);
    zspool_reader_destroy (&reader);
    zspool_store_destroy (&store);
}

TEST (test_reader_of_empty_spool_gives_enoent)
{
    s_create (0, 100, false);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    zspool_reader_t *reader = s_reader (store);
    s_check_end (reader);
    zspool_reader_seek (reader, UINT64_MAX);
    s_check_end (reader);
    CHECK_CODE (zspool_reader_seek_time (reader, 0), ZSPOOL_ENOENT);
    zspool_reader_destroy (&reader);
    zspool_store_destroy (&store);
}

TEST (test_reader_gives_the_bytes_that_were_stored)
{
    for (int chunked = 0; chunked <= 1; chunked++) {
        char *directory = zsys_sprintf ("store%d", chunked);
        zspool_store_t *store = kit_open (directory, ZSPOOL_WRITE);
        uint32_t spool = kit_spool (store, "main");
        zspool_block_t *block = kit_block_new (1, 100, 1000), *read = NULL;
        CHECK_OK (zspool_store_begin (store));
        store->chunked = chunked;
        CHECK_OK (zspool_store_append (store, spool, block));
        CHECK_OK (zspool_store_commit (store));
        zspool_reader_t *reader = s_reader (store);
        CHECK_OK (zspool_reader_next (reader, &read));
        CHECK_EQ_MEM (zspool_block_bytes (read), zspool_block_size (read), zspool_block_bytes (block),
                      zspool_block_size (block));
        zspool_reader_destroy (&reader);
        zspool_store_destroy (&store);
        //  It outlives reader and store.
        kit_check_block (read);
        zspool_block_destroy (&read);
        zspool_block_destroy (&block);
        free (directory);
    }
}

TEST (test_reader_seeks_the_block_that_holds_the_message)
{
    s_create (3, 100, false);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t cursor = kit_cursor (store, SPOOL, "main", 1);
    zspool_reader_t *reader = s_reader (store);
    static const uint64_t seeks [][2] = { { 0, 1 }, { 1, 1 }, { 10, 1 }, { 11, 11 }, { 30, 21 },
                                          { 25, 21 }, { 2, 1 } };
    for (size_t index = 0; index < sizeof seeks / sizeof seeks [0]; index++) {
        zspool_reader_seek (reader, seeks [index][0]);
        s_check_next (reader, seeks [index][1]);
    }
    zspool_reader_seek (reader, 31);
    s_check_end (reader);
    zspool_reader_seek (reader, UINT64_MAX);
    s_check_end (reader);
    kit_ack (store, SPOOL, cursor, 1, 10);
    zspool_reader_seek (reader, 5);
    s_check_next (reader, 11);
    zspool_reader_destroy (&reader);
    zspool_store_destroy (&store);
}

TEST (test_reader_overtaken_by_trimming_goes_on_behind)
{
    s_create (5, 100, false);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    zspool_reader_t *reader = s_reader (store);
    s_check_next (reader, 1);
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_trim (store, SPOOL, 40));
    CHECK_OK (zspool_store_commit (store));
    s_check_next (reader, 41);
    s_check_end (reader);
    zspool_reader_destroy (&reader);
    zspool_store_destroy (&store);
}

//  ---- pools

TEST (test_reader_with_an_empty_pool_gives_efull_and_goes_on_later)
{
    s_create (3, 1000, false);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    zspool_block_pool_t *pool = zspool_block_pool_new (1, 20000);
    zspool_reader_t *reader = zspool_reader_new_pooled (store, SPOOL, pool);
    zspool_block_t *block = NULL, *other = NULL;
    CHECK_OK (zspool_reader_next (reader, &block));
    for (int round = 0; round < 2; round++)
        CHECK_CODE (zspool_reader_next (reader, &other), ZSPOOL_EFULL);
    zspool_block_destroy (&block);
    s_check_next (reader, 11);
    s_check_next (reader, 21);
    s_check_end (reader);
    zspool_reader_destroy (&reader);
    zspool_block_pool_destroy (&pool);
    zspool_store_destroy (&store);
}

TEST (test_reader_gives_blocks_larger_than_its_pool_s)
{
    s_create (3, 1000, false);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    zspool_block_pool_t *pool = zspool_block_pool_new (1, 100);
    zspool_reader_t *reader = zspool_reader_new_pooled (store, SPOOL, pool);
    s_check_next (reader, 1);
    s_check_next (reader, 11);
    zspool_reader_destroy (&reader);
    zspool_block_pool_destroy (&pool);
    zspool_store_destroy (&store);
}

//  ---- while another writes

//  Read until the last message has come.
static void *
s_follow (void *arg)
{
    zspool_reader_t *reader = (zspool_reader_t *) arg;
    uint64_t next = 1;
    while (next <= 2000) {
        zspool_block_t *block = NULL;
        int rc = zspool_reader_next (reader, &block);
        if (rc == ZSPOOL_ENOENT) {
            sched_yield ();
            continue;
        }
        CHECK_OK (rc);
        CHECK_EQ_U64 (zspool_block_first_sequence (block), next);
        kit_check_block (block);
        next += zspool_block_count (block);
        zspool_block_destroy (&block);
    }
    return NULL;
}

TEST (test_reader_in_another_thread_follows_the_writer)
{
    s_create (1, 100, false);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    zspool_reader_t *readers [2] = { s_reader (store), s_reader (store) };
    pthread_t threads [2];
    for (int index = 0; index < 2; index++)
        CHECK (pthread_create (&threads [index], NULL, s_follow, readers [index]) == 0);
    for (int block = 1; block < 200; block++)
        kit_append (store, SPOOL, 10, (size_t) block * 10);
    for (int index = 0; index < 2; index++) {
        CHECK (pthread_join (threads [index], NULL) == 0);
        zspool_reader_destroy (&readers [index]);
    }
    zspool_store_destroy (&store);
}

static void
s_follow_in_child (void *arg)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    zspool_reader_t *reader = s_reader (store);
    s_follow (reader);
    zspool_reader_destroy (&reader);
    zspool_store_destroy (&store);
    (void) arg;
}

TEST (test_reader_in_another_process_follows_the_writer)
{
    s_create (1, 100, false);
    pid_t pid = kit_fork (s_follow_in_child, NULL);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    for (int block = 1; block < 200; block++)
        kit_append (store, SPOOL, 10, (size_t) block * 10);
    CHECK_EQ_I64 (kit_wait (pid), 0);
    zspool_store_destroy (&store);
}

static void
s_create_second (void *arg)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "second");
    kit_cursor (store, spool, "main", 1);
    kit_append (store, spool, 7, 100);
    zspool_store_destroy (&store);
    (void) arg;
}

TEST (test_reader_of_a_spool_created_meanwhile_by_another_process)
{
    s_create (1, 100, false);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    uint32_t spool = 0, cursor = 0;
    CHECK_CODE (zspool_store_spool (store, "second", &spool), ZSPOOL_ENOENT);
    CHECK_EQ_I64 (kit_run (s_create_second, NULL), 0);
    CHECK_OK (zspool_store_spool (store, "second", &spool));
    CHECK_EQ_U64 (kit_read (store, spool, 1), 7);
    CHECK_OK (zspool_store_cursor (store, spool, "main", 1, &cursor));
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).pending, 7);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

//  ---- time

//  Store blocks of one message with these times.
static void
s_create_timed (const int64_t *times_us, size_t count)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    CHECK_OK (zspool_store_begin (store));
    for (size_t index = 0; index < count; index++) {
        zspool_block_t *block = kit_block_new (index + 1, 1, 20);
        zspool_block_stamp (block, index + 1, times_us [index], 1);
        CHECK_OK (zspool_store_append_stamped (store, spool, block));
        zspool_block_destroy (&block);
    }
    CHECK_OK (zspool_store_commit (store));
    zspool_store_destroy (&store);
}

//  Seeking the time must find this block; 0: none.
static void
s_check_time (zspool_reader_t *reader, int64_t time_us, uint64_t first)
{
    if (first == 0) {
        CHECK_CODE (zspool_reader_seek_time (reader, time_us), ZSPOOL_ENOENT);
        return;
    }
    CHECK_OK (zspool_reader_seek_time (reader, time_us));
    s_check_next (reader, first);
}

TEST (test_reader_seeks_the_first_block_of_a_time)
{
    static const int64_t times_us [] = { 100, 200, 200, 200, 300, 1000 };
    s_create_timed (times_us, 6);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    zspool_reader_t *reader = s_reader (store);
    s_check_time (reader, INT64_MIN, 1);
    s_check_time (reader, 100, 1);
    s_check_time (reader, 101, 2);
    s_check_time (reader, 200, 2);
    s_check_time (reader, 201, 5);
    s_check_time (reader, 301, 6);
    s_check_time (reader, 1000, 6);
    s_check_time (reader, 1001, 0);
    s_check_time (reader, INT64_MAX, 0);
    //  Where it stood it stays.
    zspool_reader_seek (reader, 3);
    s_check_time (reader, 1001, 0);
    s_check_next (reader, 3);
    zspool_reader_destroy (&reader);
    zspool_store_destroy (&store);
}

TEST (test_reader_seeks_times_at_random)
{
    kit_chance_t chance = kit_chance_new ();
    int64_t times_us [300], time_us = 0;
    for (size_t index = 0; index < 300; index++)
        times_us [index] = time_us += (int64_t) kit_below (&chance, 5);
    s_create_timed (times_us, 300);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    zspool_reader_t *reader = s_reader (store);
    for (int64_t sought_us = -1; sought_us <= time_us + 1; sought_us++) {
        uint64_t first = 1;
        while (first <= 300 && times_us [first - 1] < sought_us)
            first++;
        s_check_time (reader, sought_us, first <= 300? first: 0);
    }
    zspool_reader_destroy (&reader);
    zspool_store_destroy (&store);
}

static void
s_damage_head (uint8_t *bytes, size_t *size)
{
    CHECK (*size > 50);
    bytes [50] ^= 1;
}

TEST (test_reader_seeks_times_around_damage)
{
    static const int64_t times_us [] = { 100, 200, 300, 400, 500, 600 };
    static const uint64_t damaged [] = { 1, 3, 4, 6 };
    s_create_timed (times_us, 6);
    for (size_t index = 0; index < sizeof damaged / sizeof damaged [0]; index++)
        kit_edit_block (KIT_STORE, SPOOL, damaged [index], 0, s_damage_head);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    zspool_reader_t *reader = s_reader (store);
    s_check_time (reader, 0, 2);
    s_check_time (reader, 200, 2);
    s_check_time (reader, 201, 5);
    s_check_time (reader, 500, 5);
    s_check_time (reader, 501, 0);
    zspool_reader_destroy (&reader);
    zspool_store_destroy (&store);
}

//  ---- damage

static void
s_damage_body (uint8_t *bytes, size_t *size)
{
    bytes [*size - 1] ^= 1;
}

TEST (test_reader_passes_over_a_block_with_damaged_messages)
{
    s_create (4, 1000, false);
    kit_edit_block (KIT_STORE, SPOOL, 1, 0, s_damage_body);
    kit_edit_block (KIT_STORE, SPOOL, 21, 0, s_damage_body);
    kit_edit_block (KIT_STORE, SPOOL, 31, 0, s_damage_body);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    zspool_reader_t *reader = s_reader (store);
    s_check_passed_over (reader, ZSPOOL_ECORRUPT, 1, 10);
    s_check_next (reader, 11);
    s_check_passed_over (reader, ZSPOOL_ECORRUPT, 21, 30);
    s_check_passed_over (reader, ZSPOOL_ECORRUPT, 31, 40);
    s_check_end (reader);
    kit_append (store, SPOOL, 10, 100);
    s_check_next (reader, 41);
    zspool_reader_destroy (&reader);
    zspool_store_destroy (&store);
}

TEST (test_reader_passes_over_a_block_with_damaged_head)
{
    //  How many messages it had must be guessed from the block behind it, where there is one.
    s_create (4, 1000, false);
    kit_edit_block (KIT_STORE, SPOOL, 1, 0, s_damage_head);
    kit_edit_block (KIT_STORE, SPOOL, 21, 0, s_damage_head);
    kit_edit_block (KIT_STORE, SPOOL, 31, 0, s_damage_head);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    zspool_reader_t *reader = s_reader (store);
    s_check_passed_over (reader, ZSPOOL_ECORRUPT, 1, 10);
    s_check_next (reader, 11);
    s_check_passed_over (reader, ZSPOOL_ECORRUPT, 21, 30);
    s_check_passed_over (reader, ZSPOOL_ECORRUPT, 31, 31);
    s_check_end (reader);
    kit_append (store, SPOOL, 10, 100);
    s_check_next (reader, 41);
    s_check_end (reader);
    zspool_reader_seek (reader, 25);
    s_check_passed_over (reader, ZSPOOL_ECORRUPT, 21, 30);
    s_check_passed_over (reader, ZSPOOL_ECORRUPT, 31, 40);
    s_check_next (reader, 41);
    zspool_reader_destroy (&reader);
    zspool_store_destroy (&store);
}

TEST (test_reader_of_a_file_with_flipped_bits_passes_over_the_block)
{
    s_create (3, 1000, false);
    uint8_t message [1000];
    kit_fill (message, sizeof message, 15);
    CHECK (kit_flip (KIT_STORE "/data.mdb", message, 100) > 0);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    zspool_reader_t *reader = s_reader (store);
    s_check_next (reader, 1);
    s_check_passed_over (reader, ZSPOOL_ECORRUPT, 11, 20);
    s_check_next (reader, 21);
    s_check_end (reader);
    zspool_reader_destroy (&reader);
    zspool_store_destroy (&store);
}

static void
s_cut (uint8_t *bytes, size_t *size)
{
    (void) bytes;
    *size -= 1;
}

static void
s_cut_head (uint8_t *bytes, size_t *size)
{
    (void) bytes;
    *size = 50;
}

//  Damage the second and the last of four blocks; each must be passed over once.
static void
s_check_passes_over (bool chunked, uint16_t chunk, void (*edit) (uint8_t *bytes, size_t *size),
                     int expected, bool head_is_sound)
{
    s_create (4, 2000, chunked);
    kit_edit_block (KIT_STORE, SPOOL, 11, chunk, edit);
    kit_edit_block (KIT_STORE, SPOOL, 31, chunk, edit);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    zspool_reader_t *reader = s_reader (store);
    s_check_next (reader, 1);
    s_check_passed_over (reader, expected, 11, 20);
    s_check_next (reader, 21);
    s_check_passed_over (reader, expected, 31, head_is_sound? 40: 31);
    s_check_end (reader);
    kit_append (store, SPOOL, 10, 100);
    s_check_next (reader, 41);
    s_check_end (reader);
    //  Where the head is not sound it is no news.
    zspool_reader_seek (reader, 35);
    if (head_is_sound)
        s_check_passed_over (reader, expected, 31, 40);
    s_check_next (reader, 41);
    zspool_reader_destroy (&reader);
    zspool_store_destroy (&store);
}

TEST (test_reader_passes_over_a_block_that_is_too_short)
{
    s_check_passes_over (false, 0, s_cut, ZSPOOL_ECORRUPT, true);
}

TEST (test_reader_passes_over_a_block_without_head)
{
    s_check_passes_over (false, 0, s_cut_head, ZSPOOL_ECORRUPT, false);
}

TEST (test_reader_passes_over_a_block_that_lacks_its_first_chunk)
{
    s_check_passes_over (true, 0, NULL, ZSPOOL_ECORRUPT, false);
}

TEST (test_reader_passes_over_a_block_that_lacks_a_chunk)
{
    s_check_passes_over (true, 2, NULL, ZSPOOL_ECORRUPT, true);
}

TEST (test_reader_passes_over_a_block_that_lacks_its_last_chunk)
{
    s_check_passes_over (true, 4, NULL, ZSPOOL_ECORRUPT, true);
}

TEST (test_reader_passes_over_a_block_with_a_short_chunk)
{
    s_check_passes_over (true, 1, s_cut, ZSPOOL_ECORRUPT, true);
}

TEST (test_reader_passes_over_a_block_with_a_damaged_chunk)
{
    s_check_passes_over (true, 3, s_damage_body, ZSPOOL_ECORRUPT, true);
}

//  Make a block one of a newer version.
static void
s_make_newer (uint8_t *bytes, size_t *size)
{
    craft_t craft = craft_usual (10, *size - CRAFT_HEAD_BYTES);
    memcpy (&craft.first_sequence, bytes, 8);
    craft.version = 2;
    uint8_t *body = (uint8_t *) zmalloc (*size);
    craft_block (&craft, body, *size - CRAFT_HEAD_BYTES, bytes);
    free (body);
}

TEST (test_reader_passes_over_a_block_of_a_newer_version)
{
    s_check_passes_over (false, 0, s_make_newer, ZSPOOL_EVERSION, false);
}

//  A block under the number of another
static void
s_swap_number (uint8_t *bytes, size_t *size)
{
    zspool_block_t *block = kit_block_new_stamped (1000, 10, 2000);
    CHECK_EQ_U64 (zspool_block_size (block), *size);
    memcpy (bytes, zspool_block_bytes (block), *size);
    zspool_block_destroy (&block);
}

TEST (test_reader_passes_over_a_block_under_the_key_of_another)
{
    s_check_passes_over (false, 0, s_swap_number, ZSPOOL_ECORRUPT, false);
}

TEST (test_reader_of_a_table_with_strange_keys_gives_eio)
{
    s_create (2, 100, false);
    zspool_txn_t *txn;
    zspool_table_t state;
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    zspool_bytes_t pair = { (const uint8_t *) "\x01strange", 8 };
    CHECK_OK (zspool_txn_put (txn, kit_engine_blocks (engine, SPOOL), pair, pair));
    kit_engine_commit (&engine);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    zspool_reader_t *reader = s_reader (store);
    zspool_block_t *block = NULL;
    s_check_next (reader, 1);
    s_check_next (reader, 11);
    CHECK_CODE (zspool_reader_next (reader, &block), ZSPOOL_EIO);
    CHECK_CODE (zspool_reader_next (reader, &block), ZSPOOL_EIO);
    zspool_reader_destroy (&reader);
    zspool_store_destroy (&store);
}
