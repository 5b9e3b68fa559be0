//  test_store_txn.c - tests of transactions of a store: names, appending, numbering, commit and
//  rollback
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"

//  A message as its frame
static zspool_frame_t
s_frame (uint8_t *bytes, size_t size, uint64_t number)
{
    kit_fill (bytes, size, number);
    return (zspool_frame_t) { bytes, size };
}

//  Put a message that tells its number. Gives its sequence.
static uint64_t
s_put (zspool_store_t *store, uint32_t spool, size_t size, uint64_t number)
{
    uint8_t *bytes = (uint8_t *) zmalloc (size);
    zspool_frame_t frame = s_frame (bytes, size, number);
    uint64_t sequence = 0;
    CHECK_OK (zspool_store_put (store, spool, &frame, 1, &sequence));
    free (bytes);
    return sequence;
}

//  ---- names

TEST (test_store_spool_unknown_gives_enoent)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = 77;
    CHECK_CODE (zspool_store_spool (store, "main", &spool), ZSPOOL_ENOENT);
    CHECK_EQ_U64 (spool, 77);
    zspool_store_destroy (&store);
}

TEST (test_store_names_out_of_range_give_einval)
{
    char longest [ZSPOOL_NAME_MAX + 2];
    memset (longest, 'x', sizeof longest);
    longest [ZSPOOL_NAME_MAX + 1] = 0;
    const char *bad [] = { NULL, "", " ", "a b", "a/b", "\n", "a\x1f", longest };
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), number = 77;
    CHECK_OK (zspool_store_begin (store));
    for (size_t index = 0; index < sizeof bad / sizeof bad [0]; index++) {
        CHECK_CODE (zspool_store_spool (store, bad [index], &number), ZSPOOL_EINVAL);
        CHECK_CODE (zspool_store_cursor (store, spool, bad [index], 1, &number), ZSPOOL_EINVAL);
    }
    CHECK_CODE (zspool_store_cursor (store, spool, "main", 0, &number), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_cursor (store, spool + 1, "main", 1, &number), ZSPOOL_EINVAL);
    CHECK_EQ_U64 (number, 77);
    zspool_store_destroy (&store);
}

TEST (test_store_longest_names_are_kept)
{
    char longest [ZSPOOL_NAME_MAX + 1];
    memset (longest, 'x', sizeof longest);
    longest [ZSPOOL_NAME_MAX] = 0;
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, longest), other = kit_spool (store, "gr\xc3\xbc\xc3\x9f" "e");
    uint32_t cursor = kit_cursor (store, spool, longest, 1);
    CHECK (spool != other);
    zspool_store_destroy (&store);
    store = kit_open (KIT_STORE, ZSPOOL_READ);
    CHECK_EQ_U64 (kit_spool (store, longest), spool);
    CHECK_EQ_U64 (kit_spool (store, "gr\xc3\xbc\xc3\x9f" "e"), other);
    CHECK_EQ_STR (kit_spool_info (store, spool).name, longest);
    CHECK_EQ_STR (kit_cursor_info (store, spool, cursor).name, longest);
    zspool_store_destroy (&store);
}

TEST (test_store_spools_do_not_mix)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t one = kit_spool (store, "one"), two = kit_spool (store, "two");
    CHECK (one != two);
    for (int round = 0; round < 5; round++) {
        kit_append (store, one, 3, 100);
        kit_append (store, two, 4, 5000);
    }
    CHECK_EQ_U64 (kit_read (store, one, 1), 15);
    CHECK_EQ_U64 (kit_read (store, two, 1), 20);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

TEST (test_store_most_spools_give_elimit)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = 0;
    CHECK_OK (zspool_store_begin (store));
    for (int index = 0; index < ZSPOOL_SPOOLS_MAX; index++) {
        char *name = zsys_sprintf ("spool-%d", index);
        CHECK_OK (zspool_store_spool (store, name, &spool));
        free (name);
    }
    CHECK_CODE (zspool_store_spool (store, "one-more", &spool), ZSPOOL_ELIMIT);
    CHECK_OK (kit_try_append (store, spool, 1, 100));
    CHECK_OK (zspool_store_commit (store));
    zspool_store_destroy (&store);
    store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_EQ_U64 (kit_read (store, kit_spool (store, "spool-999"), 1), 1);
    zspool_store_destroy (&store);
}

TEST (test_store_most_cursors_give_elimit)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = 0;
    CHECK_OK (zspool_store_begin (store));
    for (int index = 0; index < ZSPOOL_CURSORS_MAX; index++) {
        char *name = zsys_sprintf ("cursor-%d", index);
        CHECK_OK (zspool_store_cursor (store, spool, name, 1, &cursor));
        free (name);
    }
    CHECK_CODE (zspool_store_cursor (store, spool, "one-more", 1, &cursor), ZSPOOL_ELIMIT);
    CHECK_OK (zspool_store_commit (store));
    zspool_store_destroy (&store);
    store = kit_open (KIT_STORE, ZSPOOL_READ);
    CHECK_EQ_U64 (kit_cursor (store, spool, "cursor-999", 1), cursor);
    zspool_store_destroy (&store);
}

//  ---- order of calls

TEST (test_store_begun_twice_gives_einval)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_OK (zspool_store_begin (store));
    CHECK_CODE (zspool_store_begin (store), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_commit (store));
    CHECK_OK (zspool_store_begin (store));
    zspool_store_rollback (store);
    zspool_store_rollback (store);
    CHECK_CODE (zspool_store_commit (store), ZSPOOL_EINVAL);
    zspool_store_destroy (&store);
}

TEST (test_store_outside_a_transaction_changes_nothing)
{
    uint8_t bytes [100];
    zspool_frame_t frame = s_frame (bytes, sizeof bytes, 1);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "main", 1);
    kit_append (store, spool, 5, 100);
    CHECK_CODE (zspool_store_put (store, spool, &frame, 1, NULL), ZSPOOL_EINVAL);
    CHECK_CODE (kit_try_append (store, spool, 1, 100), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_ack (store, spool, cursor, 1, 1), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_trim (store, spool, 5), ZSPOOL_EINVAL);
    CHECK_EQ_U64 (kit_read (store, spool, 1), 5);
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).pending, 5);
    zspool_store_destroy (&store);
}

TEST (test_store_in_a_transaction_cannot_be_listed)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    zspool_spool_info_t spool_info;
    zspool_cursor_info_t cursor_info;
    CHECK_OK (zspool_store_begin (store));
    CHECK_CODE (zspool_store_spool_info (store, 0, &spool_info), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_cursor_info (store, spool, 0, &cursor_info), ZSPOOL_EINVAL);
    zspool_store_destroy (&store);
}

TEST (test_store_with_wrong_arguments_gives_einval)
{
    uint8_t bytes [100];
    zspool_frame_t frame = s_frame (bytes, sizeof bytes, 1);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    zspool_block_t *block = zspool_block_new (100);
    CHECK_OK (zspool_store_begin (store));
    CHECK_CODE (zspool_store_put (store, spool + 1, &frame, 1, NULL), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_put (store, spool, NULL, 1, NULL), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_put (store, spool, &frame, 0, NULL), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_append (store, spool, NULL), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_append (store, spool, block), ZSPOOL_EINVAL);
    CHECK_OK (zspool_block_append_frame (block, "a", 1, 1));
    CHECK_CODE (zspool_store_append (store, spool, block), ZSPOOL_EINVAL);
    CHECK_OK (zspool_block_seal (block));
    CHECK_CODE (zspool_store_append (store, spool + 1, block), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_append_stamped (store, spool, block), ZSPOOL_EINVAL);
    zspool_block_stamp (block, 2, 1, 1);
    CHECK_CODE (zspool_store_append_stamped (store, spool, block), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_trim (store, spool + 1, 1), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_commit (store));
    CHECK_EQ_U64 (kit_spool_info (store, spool).messages, 0);
    zspool_block_destroy (&block);
    zspool_store_destroy (&store);
}

TEST (test_store_opened_for_reading_gives_ereadonly)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    kit_append (store, kit_spool (store, "main"), 1, 100);
    zspool_store_destroy (&store);
    char *before = kit_list (KIT_STORE);
    store = kit_open (KIT_STORE, ZSPOOL_READ);
    uint32_t spool = kit_spool (store, "main"), number;
    CHECK_CODE (zspool_store_begin (store), ZSPOOL_EREADONLY);
    CHECK_CODE (kit_try_append (store, spool, 1, 100), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_spool (store, "other", &number), ZSPOOL_ENOENT);
    CHECK_CODE (zspool_store_cursor (store, spool, "main", 1, &number), ZSPOOL_ENOENT);
    zspool_store_destroy (&store);
    char *after = kit_list (KIT_STORE);
    CHECK_EQ_STR (after, before);
    free (after);
    free (before);
}

//  ---- appending

TEST (test_store_put_numbers_messages_from_1)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    uint64_t next = 1;
    for (int round = 0; round < 3; round++) {
        CHECK_OK (zspool_store_begin (store));
        for (int index = 0; index < 1000; index++, next++)
            CHECK_EQ_U64 (s_put (store, spool, 1000, next), next);
        CHECK_OK (zspool_store_commit (store));
    }
    CHECK_EQ_U64 (kit_read (store, spool, 1), 3000);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

TEST (test_store_put_mixed_with_append_keeps_the_order)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    CHECK_OK (zspool_store_begin (store));
    CHECK_EQ_U64 (s_put (store, spool, 100, 1), 1);
    CHECK_EQ_U64 (s_put (store, spool, 100, 2), 2);
    zspool_block_t *block = kit_block_new (3, 5, 100);
    CHECK_OK (zspool_store_append (store, spool, block));
    CHECK_EQ_U64 (zspool_block_first_sequence (block), 3);
    zspool_block_destroy (&block);
    CHECK_EQ_U64 (s_put (store, spool, 100, 8), 8);
    CHECK_OK (zspool_store_commit (store));
    CHECK_EQ_U64 (kit_read (store, spool, 1), 8);
    CHECK_EQ_U64 (kit_spool_info (store, spool).blocks, 3);
    zspool_store_destroy (&store);
}

TEST (test_store_put_of_large_messages_comes_back)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    static const size_t sizes [] = { 8, ZSPOOL_BLOCK_BYTES - 8, ZSPOOL_BLOCK_BYTES - 7, 8,
                                     ZSPOOL_BLOCK_BYTES * 5, 8, 20 * 1024 * 1024, 4080 - 112, 4081 };
    const uint64_t count = sizeof sizes / sizeof sizes [0];
    CHECK_OK (zspool_store_begin (store));
    for (uint64_t number = 1; number <= count; number++)
        CHECK_EQ_U64 (s_put (store, spool, sizes [number - 1], number), number);
    CHECK_OK (zspool_store_commit (store));
    CHECK_EQ_U64 (kit_read (store, spool, 1), count);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

TEST (test_store_put_over_limit_gives_etoobig_and_the_rest_is_kept)
{
    static zspool_frame_t many [ZSPOOL_MESSAGE_FRAMES_MAX + 1];
    const zspool_frame_t large [] = { { "", ZSPOOL_MESSAGE_BYTES_MAX }, { "", 1 } };
    const zspool_frame_t wrap [] = { { "", 2 }, { "", SIZE_MAX } };
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    uint64_t sequence = 77;
    CHECK_OK (zspool_store_begin (store));
    CHECK_EQ_U64 (s_put (store, spool, 100, 1), 1);
    CHECK_CODE (zspool_store_put (store, spool, large, 2, &sequence), ZSPOOL_ETOOBIG);
    CHECK_CODE (zspool_store_put (store, spool, wrap, 2, &sequence), ZSPOOL_ETOOBIG);
    CHECK_CODE (zspool_store_put (store, spool, many, ZSPOOL_MESSAGE_FRAMES_MAX + 1, &sequence),
                ZSPOOL_ETOOBIG);
    CHECK_EQ_U64 (sequence, 77);
    CHECK_EQ_U64 (s_put (store, spool, 100, 2), 2);
    CHECK_OK (zspool_store_commit (store));
    CHECK_EQ_U64 (kit_read (store, spool, 1), 2);
    zspool_store_destroy (&store);
}

TEST (test_store_blocks_of_any_size_come_back)
{
    //  Around the sizes where one page becomes two, whole and in chunks
    for (int chunked = 0; chunked <= 1; chunked++) {
        char *directory = zsys_sprintf ("store%d", chunked);
        zspool_store_t *store = kit_open (directory, ZSPOOL_WRITE);
        uint32_t spool = kit_spool (store, "main");
        uint64_t count = 0;
        CHECK_OK (zspool_store_begin (store));
        store->chunked = chunked;
        for (size_t pages = 0; pages < 4; pages++)
            for (size_t bytes = pages * ZSPOOL_PAGE_VALUE_BYTES + 8;
                 bytes < pages * ZSPOOL_PAGE_VALUE_BYTES + 4080; bytes += bytes % 4080 > 3900? 1: 37) {
                CHECK_OK (kit_try_append (store, spool, 1, bytes));
                count++;
            }
        CHECK_OK (zspool_store_commit (store));
        CHECK_EQ_U64 (kit_read (store, spool, 1), count);
        kit_check_sound (store);
        uint32_t cursor = kit_cursor (store, spool, "main", 1);
        kit_ack (store, spool, cursor, 1, count);
        while (zspool_store_trim_is_due (store)) {
            CHECK_OK (zspool_store_begin (store));
            CHECK_OK (zspool_store_commit (store));
        }
        CHECK_EQ_U64 (kit_spool_info (store, spool).messages, 0);
        kit_check_sound (store);
        zspool_store_destroy (&store);
        free (directory);
    }
}

TEST (test_store_time_of_storing_never_falls)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    const int64_t late_us = zspool_now_us () + 3600 * 1000000LL;
    zspool_block_t *block = kit_block_new (1, 1, 100);
    CHECK_OK (zspool_store_begin (store));
    zspool_block_stamp (block, 1, late_us, zspool_store_incarnation (store));
    CHECK_OK (zspool_store_append_stamped (store, spool, block));
    CHECK_OK (zspool_store_commit (store));
    zspool_block_destroy (&block);
    zspool_store_destroy (&store);
    //  The clock was set back an hour.
    store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    kit_append (store, spool, 1, 100);
    zspool_reader_t *reader = zspool_reader_new (store, spool);
    zspool_reader_seek (reader, 2);
    CHECK_OK (zspool_reader_next (reader, &block));
    CHECK_EQ_I64 (zspool_block_stored_us (block), late_us);
    zspool_block_destroy (&block);
    zspool_reader_destroy (&reader);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

//  ---- commit and rollback

TEST (test_store_rolled_back_gives_its_numbers_again)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "main", 1);
    kit_append (store, spool, 5, 100);
    for (int round = 0; round < 2; round++) {
        uint32_t other = 0, other_cursor = 0;
        CHECK_OK (zspool_store_begin (store));
        CHECK_OK (kit_try_append (store, spool, 2, 100));
        CHECK_EQ_U64 (s_put (store, spool, 100, 8), 8);
        CHECK_OK (zspool_store_ack (store, spool, cursor, 1, 7));
        CHECK_OK (zspool_store_spool (store, "other", &other));
        CHECK_EQ_U64 (other, spool + 1);
        CHECK_OK (kit_try_append (store, other, 2, 100));
        CHECK_OK (zspool_store_cursor (store, spool, "second", 1, &other_cursor));
        CHECK_EQ_U64 (other_cursor, cursor + 1);
        zspool_store_rollback (store);
        CHECK_CODE (zspool_store_spool (store, "other", &other), ZSPOOL_ENOENT);
        CHECK_CODE (zspool_store_cursor (store, spool, "second", 1, &other), ZSPOOL_ENOENT);
        CHECK_EQ_U64 (kit_read (store, spool, 1), 5);
        CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).pending, 5);
        kit_check_sound (store);
    }
    kit_append (store, spool, 2, 100);
    CHECK_EQ_U64 (kit_read (store, spool, 1), 7);
    CHECK_EQ_U64 (kit_spool (store, "other"), spool + 1);
    zspool_store_destroy (&store);
}

TEST (test_store_destroyed_in_a_transaction_rolls_back)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    kit_append (store, spool, 5, 100);
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (kit_try_append (store, spool, 2, 100));
    s_put (store, spool, 100, 8);
    zspool_store_destroy (&store);
    store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_EQ_U64 (kit_read (store, spool, 1), 5);
    CHECK_EQ_U64 (kit_spool_info (store, spool).lost, 0);
    kit_append (store, spool, 2, 100);
    CHECK_EQ_U64 (kit_read (store, spool, 1), 7);
    zspool_store_destroy (&store);
}

TEST (test_store_uncommitted_is_not_visible)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    kit_append (store, spool, 5, 100);
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (kit_try_append (store, spool, 2, 100));
    CHECK_EQ_U64 (kit_read (store, spool, 1), 5);
    CHECK_OK (zspool_store_commit (store));
    CHECK_EQ_U64 (kit_read (store, spool, 1), 7);
    zspool_store_destroy (&store);
}

TEST (test_store_empty_commits_change_nothing)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    kit_append (store, spool, 5, 100);
    uint64_t bytes = zspool_store_file_bytes (store);
    for (int round = 0; round < 20; round++) {
        CHECK_OK (zspool_store_begin (store));
        CHECK_OK (zspool_store_commit (store));
    }
    CHECK_EQ_U64 (zspool_store_file_bytes (store), bytes);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

//  In each transaction one message comes into both spools, and one leaves them.
static void
s_look_at_both (void *arg)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    uint32_t one = kit_spool (store, "one"), two = kit_spool (store, "two");
    uint64_t first, second;
    do {
        //  What is seen later is no older.
        first = kit_spool_info (store, one).last_sequence;
        second = kit_spool_info (store, two).last_sequence;
        CHECK (second >= first);
        second = kit_spool_info (store, two).last_sequence;
        first = kit_spool_info (store, one).last_sequence;
        CHECK (first >= second);
        CHECK (kit_read (store, two, second + 1) >= first - second);
    } while (first < 300);
    CHECK_EQ_U64 (kit_read (store, two, 1), 300);
    zspool_store_destroy (&store);
    (void) arg;
}

TEST (test_store_commit_is_visible_to_another_process_at_once_or_not)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t one = kit_spool (store, "one"), two = kit_spool (store, "two");
    uint32_t cursor = kit_cursor (store, one, "main", 1);
    pid_t pid = kit_fork (s_look_at_both, NULL);
    for (uint64_t number = 1; number <= 300; number++) {
        CHECK_OK (zspool_store_begin (store));
        s_put (store, one, 3000, number);
        s_put (store, two, 9000, number);
        if (number > 1)
            CHECK_OK (zspool_store_ack (store, one, cursor, number - 1, number - 1));
        CHECK_OK (zspool_store_commit (store));
    }
    CHECK_EQ_I64 (kit_wait (pid), 0);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

//  ---- what messages put in a transaction are to the rest of it

TEST (test_store_message_put_can_be_acknowledged_in_its_transaction)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "main", 1);
    CHECK_OK (zspool_store_begin (store));
    s_put (store, spool, 100, 1);
    s_put (store, spool, 100, 2);
    CHECK_OK (zspool_store_ack (store, spool, cursor, 1, 1));
    s_put (store, spool, 100, 3);
    CHECK_OK (zspool_store_commit (store));
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).floor, 1);
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).pending, 2);
    CHECK_EQ_U64 (kit_read (store, spool, 2), 2);
    zspool_store_destroy (&store);
}

TEST (test_store_cursor_at_new_stands_behind_messages_put_before_it)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = 0;
    CHECK_OK (zspool_store_begin (store));
    s_put (store, spool, 100, 1);
    CHECK_OK (zspool_store_cursor (store, spool, "main", ZSPOOL_START_NEW, &cursor));
    s_put (store, spool, 100, 2);
    CHECK_OK (zspool_store_commit (store));
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).floor, 1);
    zspool_store_destroy (&store);
}

TEST (test_store_trim_removes_messages_put_before_it)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    CHECK_OK (zspool_store_begin (store));
    s_put (store, spool, 100, 1);
    s_put (store, spool, 100, 2);
    CHECK_OK (zspool_store_trim (store, spool, 2));
    s_put (store, spool, 100, 3);
    CHECK_OK (zspool_store_commit (store));
    CHECK_EQ_U64 (kit_spool_info (store, spool).first_sequence, 3);
    CHECK_EQ_U64 (kit_spool_info (store, spool).messages, 1);
    zspool_store_destroy (&store);
}
