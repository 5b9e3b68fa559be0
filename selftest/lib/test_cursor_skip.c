//  test_cursor_skip.c - tests of a cursor whose oldest messages are dropped from the store
//
//  SPDX-License-Identifier: MPL-2.0

#include "cursor.h"
#include "selftest.h"

//  A cursor on blocks of ten messages, so many of which were sent at time 0
static zspool_cursor_t *
s_new (unsigned blocks, unsigned sent_blocks)
{
    zspool_cursor_t *cursor = zspool_cursor_new (1, 2, 3, 0, 0);
    CHECK (cursor);
    zspool_cursor_set_timeout_ms (cursor, 1000);
    for (unsigned block = 0; block < blocks; block++)
        CHECK_OK (zspool_cursor_cover (cursor, block * 10 + 1, 10));
    for (unsigned block = 0; block < sent_blocks; block++)
        CHECK_OK (zspool_cursor_sent (cursor, block * 10 + 1, block * 10 + 10, 0));
    return cursor;
}

TEST (test_cursor_skip_ends_deliveries_and_raises_the_floor)
{
    zspool_cursor_t *cursor = s_new (5, 5);
    zspool_cursor_ack (cursor, 3, 5);
    zspool_cursor_ack (cursor, 12, 12);
    CHECK_EQ_U64 (zspool_cursor_skip (cursor, 20), 16);
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 20);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 30);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 1, 20), 0);
    uint64_t sequence;
    CHECK (zspool_cursor_due (cursor, 5000, &sequence));
    CHECK_EQ_U64 (sequence, 21);
    CHECK_EQ_U64 (zspool_cursor_skip (cursor, 20), 0);
    CHECK_EQ_U64 (zspool_cursor_skip (cursor, 7), 0);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_skip_joins_what_is_acknowledged_behind_it)
{
    zspool_cursor_t *cursor = s_new (5, 5);
    zspool_cursor_ack (cursor, 21, 34);
    CHECK_EQ_U64 (zspool_cursor_skip (cursor, 20), 20);
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 34);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_skip_beyond_what_was_sent_or_is_known)
{
    zspool_cursor_t *cursor = s_new (5, 2);
    CHECK_EQ_U64 (zspool_cursor_skip (cursor, 30), 20);
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 30);
    CHECK_EQ_U64 (zspool_cursor_sent_to (cursor), 30);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 0);
    CHECK_OK (zspool_cursor_sent (cursor, 31, 40, 10));
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 10);
    CHECK_EQ_U64 (zspool_cursor_skip (cursor, 1000), 10);
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 1000);
    CHECK_EQ_I64 (zspool_cursor_next_due_ms (cursor), INT64_MAX);
    //  It goes on from there.
    CHECK_OK (zspool_cursor_cover (cursor, 991, 10));
    CHECK_OK (zspool_cursor_cover (cursor, 1001, 10));
    CHECK_OK (zspool_cursor_sent (cursor, 1001, 1010, 20));
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 1001, 1010), 10);
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 1010);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_skip_is_a_change_without_entries_of_what_is_gone)
{
    zspool_cursor_t *cursor = s_new (4, 4);
    zspool_cursor_ack (cursor, 5, 5);
    zspool_cursor_ack (cursor, 25, 25);
    zspool_cursor_skip (cursor, 20);
    zspool_cursor_change_t *change = zspool_cursor_take_change (cursor);
    CHECK (change);
    CHECK_EQ_U64 (change->floor, 20);
    CHECK_EQ_U64 (change->sent_to, 40);
    CHECK_EQ_U64 (change->entries_count, 1);
    CHECK_EQ_U64 (change->entries [0].first_sequence, 21);
    free (change);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_skip_after_a_restart_ends_what_was_due_at_once)
{
    zspool_cursor_t *cursor = zspool_cursor_new (1, 2, 3, 0, 30);
    for (unsigned block = 0; block < 3; block++)
        CHECK_OK (zspool_cursor_cover (cursor, block * 10 + 1, 10));
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 30);
    CHECK_EQ_U64 (zspool_cursor_skip (cursor, 20), 20);
    uint64_t sequence;
    CHECK (zspool_cursor_due (cursor, 0, &sequence));
    CHECK_EQ_U64 (sequence, 21);
    CHECK_EQ_U64 (zspool_cursor_skip (cursor, 30), 10);
    CHECK (!zspool_cursor_due (cursor, 0, &sequence));
    zspool_cursor_destroy (&cursor);
}
