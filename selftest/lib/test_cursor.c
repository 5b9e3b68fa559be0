//  test_cursor.c - tests of what a reader of a spool was sent, has acknowledged, and is due again
//
//  SPDX-License-Identifier: MPL-2.0

#include "bytes.h"
#include "cursor.h"
#include "selftest.h"

#define TIMEOUT_MS 1000

//  A cursor at the start of a spool, with blocks of ten messages: 1..10, 11..20, ...
static zspool_cursor_t *
s_new (unsigned blocks)
{
    zspool_cursor_t *cursor = zspool_cursor_new (1, 2, 3, 0, 0);
    CHECK (cursor);
    zspool_cursor_set_timeout_ms (cursor, TIMEOUT_MS);
    for (unsigned block = 0; block < blocks; block++)
        CHECK_OK (zspool_cursor_cover (cursor, block * 10 + 1, 10));
    return cursor;
}

//  The same, all messages of it sent
static zspool_cursor_t *
s_new_sent (unsigned blocks, int64_t now_ms)
{
    zspool_cursor_t *cursor = s_new (blocks);
    for (unsigned block = 0; block < blocks; block++)
        CHECK_OK (zspool_cursor_sent (cursor, block * 10 + 1, block * 10 + 10, now_ms));
    return cursor;
}

//  The message that is due now, 0 when none is
static uint64_t
s_due (zspool_cursor_t *cursor, int64_t now_ms)
{
    uint64_t sequence = 0, again = 0;
    bool is_due = zspool_cursor_due (cursor, now_ms, &sequence);
    CHECK (zspool_cursor_due (cursor, now_ms, &again) == is_due && again == sequence);
    return sequence;
}

//  Send all that is due now. Returns how many messages that were.
static uint64_t
s_send_due (zspool_cursor_t *cursor, int64_t now_ms)
{
    uint64_t sequence, count = 0;
    for (; zspool_cursor_due (cursor, now_ms, &sequence); count++)
        CHECK_OK (zspool_cursor_sent (cursor, sequence, sequence, now_ms));
    return count;
}

//  ------------------------------------------------------------------------------------------------
//  Floor and acknowledgements

TEST (test_cursor_new_stands_at_its_floor)
{
    zspool_cursor_t *cursor = zspool_cursor_new (1, 2, 3, 7, 9);
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 7);
    CHECK_EQ_U64 (zspool_cursor_sent_to (cursor), 9);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 0);
    CHECK (!zspool_cursor_take_change (cursor));
    CHECK_EQ_U64 (s_due (cursor, 0), 0);
    zspool_cursor_destroy (&cursor);
    CHECK (!cursor);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_acked_in_order_raises_floor)
{
    zspool_cursor_t *cursor = s_new_sent (3, 0);
    for (uint64_t sequence = 1; sequence <= 30; sequence++) {
        CHECK_EQ_U64 (zspool_cursor_ack (cursor, sequence, sequence), 1);
        CHECK_EQ_U64 (zspool_cursor_floor (cursor), sequence);
        CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 30 - sequence);
    }
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_acked_out_of_order_keeps_floor_until_the_hole_is_filled)
{
    zspool_cursor_t *cursor = s_new_sent (3, 0);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 2, 25), 24);
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 0);
    CHECK (zspool_cursor_acked (cursor, 25));
    CHECK (!zspool_cursor_acked (cursor, 1));
    CHECK (!zspool_cursor_acked (cursor, 26));
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 6);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 1, 1), 1);
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 25);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_acked_twice_counts_once)
{
    zspool_cursor_t *cursor = s_new_sent (2, 0);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 5, 5), 1);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 5, 5), 0);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 4, 6), 2);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 1, 20), 17);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 1, 20), 0);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 0);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_ack_of_what_is_unknown_is_passed_over)
{
    zspool_cursor_t *cursor = s_new_sent (1, 0);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 11, 11), 0);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 11, UINT64_MAX), 0);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 0, 0), 0);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 5, 4), 0);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 0, UINT64_MAX), 10);
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 10);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_ranges_of_any_alignment_are_acked_exactly)
{
    for (uint64_t first = 1; first <= 200; first += 7)
        for (uint64_t last = first; last <= 200; last += 9) {
            zspool_cursor_t *cursor = zspool_cursor_new (1, 1, 1, 0, 0);
            CHECK_OK (zspool_cursor_cover (cursor, 1, 200));
            CHECK_OK (zspool_cursor_sent (cursor, 1, 130, 0));
            CHECK_EQ_U64 (zspool_cursor_ack (cursor, first, last), last - first + 1);
            for (uint64_t sequence = 1; sequence <= 200; sequence++)
                CHECK (zspool_cursor_acked (cursor, sequence)
                       == (sequence >= first && sequence <= last));
            uint64_t of_sent = first > 130? 0: (last < 130? last: 130) - first + 1;
            CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 130 - of_sent);
            zspool_cursor_destroy (&cursor);
        }
}

TEST (test_cursor_message_acked_unsent_was_never_in_flight)
{
    zspool_cursor_t *cursor = s_new (2);
    CHECK_OK (zspool_cursor_sent (cursor, 1, 5, 0));
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 4, 12), 9);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 3);
    CHECK_EQ_U64 (zspool_cursor_sent_to (cursor), 5);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 1, 3), 3);
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 12);
    CHECK_EQ_U64 (zspool_cursor_sent_to (cursor), 12);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 0);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_many_small_blocks_come_and_go)
{
    zspool_cursor_t *cursor = zspool_cursor_new (1, 1, 1, 0, 0);
    for (int round = 0; round < 3; round++) {
        uint64_t start = zspool_cursor_floor (cursor);
        for (uint64_t sequence = start + 1; sequence <= start + 10000; sequence++) {
            CHECK_OK (zspool_cursor_cover (cursor, sequence, 1));
            CHECK_OK (zspool_cursor_sent (cursor, sequence, sequence, 0));
        }
        for (uint64_t sequence = start + 10000; sequence > start; sequence--)
            CHECK_EQ_U64 (zspool_cursor_ack (cursor, sequence, sequence), 1);
        CHECK_EQ_U64 (zspool_cursor_floor (cursor), start + 10000);
    }
    zspool_cursor_destroy (&cursor);
}

//  ------------------------------------------------------------------------------------------------
//  Blocks and gaps

TEST (test_cursor_gap_before_a_known_block_is_jumped)
{
    zspool_cursor_t *cursor = zspool_cursor_new (1, 1, 1, 0, 0);
    CHECK_OK (zspool_cursor_cover (cursor, 6, 5));
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 5);
    CHECK_EQ_U64 (zspool_cursor_sent_to (cursor), 5);
    CHECK_OK (zspool_cursor_cover (cursor, 21, 5));
    CHECK (zspool_cursor_acked (cursor, 11));
    CHECK (zspool_cursor_acked (cursor, 20));
    CHECK (!zspool_cursor_acked (cursor, 26));
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 6, 10), 5);
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 20);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 21, 25), 5);
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 25);
    CHECK_OK (zspool_cursor_cover (cursor, 31, 5));
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 30);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_block_known_or_below_floor_is_ignored)
{
    zspool_cursor_t *cursor = s_new_sent (2, 0);
    CHECK_OK (zspool_cursor_cover (cursor, 11, 10));
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 1, 12), 12);
    CHECK_OK (zspool_cursor_cover (cursor, 11, 10));
    CHECK_OK (zspool_cursor_cover (cursor, 1, 10));
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 12);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 8);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_block_that_overlaps_or_comes_late_is_refused)
{
    zspool_cursor_t *cursor = zspool_cursor_new (1, 1, 1, 0, 0);
    CHECK_OK (zspool_cursor_cover (cursor, 1, 10));
    CHECK_OK (zspool_cursor_cover (cursor, 21, 10));
    CHECK_CODE (zspool_cursor_cover (cursor, 1, 9), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_cursor_cover (cursor, 5, 10), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_cursor_cover (cursor, 11, 10), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_cursor_cover (cursor, 30, 10), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_cursor_cover (cursor, 31, 0), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_cursor_cover (cursor, 0, 10), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_cursor_cover (cursor, UINT64_MAX - 3, 10), ZSPOOL_EINVAL);
    CHECK_OK (zspool_cursor_cover (cursor, 31, 10));
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_block_partly_below_floor_is_acked_up_to_it)
{
    zspool_cursor_t *cursor = zspool_cursor_new (1, 1, 1, 70, 80);
    CHECK_OK (zspool_cursor_cover (cursor, 1, 100));
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 70);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 10);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 1, 100), 30);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 0);
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 100);
    zspool_cursor_destroy (&cursor);
}

//  ------------------------------------------------------------------------------------------------
//  Deliveries

TEST (test_cursor_deliveries_are_counted)
{
    zspool_cursor_t *cursor = s_new (1);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 3), 0);
    CHECK_OK (zspool_cursor_sent (cursor, 1, 5, 0));
    CHECK_OK (zspool_cursor_sent (cursor, 3, 7, 0));
    CHECK_OK (zspool_cursor_sent (cursor, 3, 3, 0));
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 2), 1);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 3), 3);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 5), 2);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 7), 1);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 8), 0);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 11), 0);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 7);
    CHECK_EQ_U64 (zspool_cursor_sent_to (cursor), 7);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_sent_out_of_order_or_unknown_is_refused)
{
    zspool_cursor_t *cursor = s_new (2);
    CHECK_CODE (zspool_cursor_sent (cursor, 21, 21, 0), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_cursor_sent (cursor, 1, 11, 0), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_cursor_sent (cursor, 2, 2, 0), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_cursor_sent (cursor, 11, 12, 0), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_cursor_sent (cursor, 2, 1, 0), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_cursor_sent (cursor, 0, 1, 0), ZSPOOL_EINVAL);
    CHECK_EQ_U64 (zspool_cursor_sent_to (cursor), 0);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 0);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_sent_may_skip_what_is_acknowledged)
{
    zspool_cursor_t *cursor = s_new (2);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 2, 12), 11);
    CHECK_OK (zspool_cursor_sent (cursor, 1, 1, 0));
    CHECK_OK (zspool_cursor_sent (cursor, 13, 14, 0));
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 3);
    CHECK_EQ_U64 (zspool_cursor_sent_to (cursor), 14);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_sent_again_after_ack_is_passed_over)
{
    zspool_cursor_t *cursor = s_new_sent (2, 0);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 1, 3), 3);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 5, 5), 1);
    CHECK_OK (zspool_cursor_sent (cursor, 1, 2, 0));
    CHECK_OK (zspool_cursor_sent (cursor, 1, 6, 0));
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 16);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 4), 2);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 6), 2);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 7), 1);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_endless_retries_stay_due_once_a_timeout)
{
    zspool_cursor_t *cursor = s_new (1);
    CHECK_OK (zspool_cursor_sent (cursor, 1, 1, 0));
    for (int64_t delivery = 1; delivery < 40000; delivery++) {
        CHECK_EQ_U64 (s_due (cursor, delivery * TIMEOUT_MS - 1), 0);
        CHECK_EQ_U64 (s_due (cursor, delivery * TIMEOUT_MS), 1);
        CHECK_OK (zspool_cursor_sent (cursor, 1, 1, delivery * TIMEOUT_MS));
        if (delivery < INT16_MAX)
            CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 1), (uint64_t) delivery + 1);
    }
    CHECK (zspool_cursor_deliveries (cursor, 1) >= INT16_MAX - 1);
    zspool_cursor_destroy (&cursor);
}

//  ------------------------------------------------------------------------------------------------
//  What is due

TEST (test_cursor_message_is_due_at_its_deadline)
{
    zspool_cursor_t *cursor = s_new_sent (1, 50);
    CHECK_EQ_I64 (zspool_cursor_next_due_ms (cursor), 50 + TIMEOUT_MS);
    CHECK_EQ_U64 (s_due (cursor, 50 + TIMEOUT_MS - 1), 0);
    CHECK_EQ_U64 (s_due (cursor, 50 + TIMEOUT_MS), 1);
    CHECK_EQ_U64 (s_send_due (cursor, 50 + TIMEOUT_MS), 10);
    CHECK_EQ_I64 (zspool_cursor_next_due_ms (cursor), 50 + 2 * TIMEOUT_MS);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 10);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_nothing_is_due_when_all_is_acknowledged)
{
    zspool_cursor_t *cursor = s_new_sent (3, 0);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 1, 30), 30);
    CHECK_EQ_I64 (zspool_cursor_next_due_ms (cursor), INT64_MAX);
    CHECK_EQ_U64 (s_due (cursor, INT64_MAX), 0);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_acknowledged_messages_are_not_due)
{
    zspool_cursor_t *cursor = s_new_sent (3, 0);
    zspool_cursor_ack (cursor, 2, 14);
    zspool_cursor_ack (cursor, 16, 29);
    CHECK_EQ_U64 (s_due (cursor, TIMEOUT_MS), 1);
    CHECK_OK (zspool_cursor_sent (cursor, 1, 1, TIMEOUT_MS));
    CHECK_EQ_U64 (s_due (cursor, TIMEOUT_MS), 15);
    zspool_cursor_ack (cursor, 15, 15);
    CHECK_EQ_U64 (s_due (cursor, TIMEOUT_MS), 30);
    CHECK_EQ_U64 (s_send_due (cursor, TIMEOUT_MS), 1);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_oldest_deadline_is_due_first)
{
    zspool_cursor_t *cursor = s_new_sent (1, 0);
    CHECK_OK (zspool_cursor_sent (cursor, 1, 4, 100));
    CHECK_OK (zspool_cursor_sent (cursor, 7, 7, 200));
    const uint64_t expected [] = { 5, 6, 8, 9, 10, 1, 2, 3, 4, 7 };
    for (size_t index = 0; index < 10; index++) {
        uint64_t due = s_due (cursor, TIMEOUT_MS + 200);
        CHECK_EQ_U64 (due, expected [index]);
        CHECK_OK (zspool_cursor_sent (cursor, due, due, TIMEOUT_MS + 200));
    }
    CHECK_EQ_U64 (s_due (cursor, TIMEOUT_MS + 200), 0);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_sent_again_early_is_due_by_its_last_delivery)
{
    zspool_cursor_t *cursor = s_new_sent (2, 0);
    CHECK_OK (zspool_cursor_sent (cursor, 1, 10, 900));
    CHECK_OK (zspool_cursor_sent (cursor, 11, 20, 900));
    CHECK_EQ_U64 (s_due (cursor, TIMEOUT_MS + 899), 0);
    CHECK_EQ_I64 (zspool_cursor_next_due_ms (cursor), TIMEOUT_MS + 900);
    CHECK_EQ_U64 (s_send_due (cursor, TIMEOUT_MS + 900), 20);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_deliveries_close_in_time_share_the_last_deadline)
{
    zspool_cursor_t *cursor = s_new (2);
    zspool_cursor_set_timeout_ms (cursor, 40960);
    for (uint64_t sequence = 1; sequence <= 20; sequence++)
        CHECK_OK (zspool_cursor_sent (cursor, sequence, sequence, (int64_t) sequence));
    //  Ten milliseconds are one 4096th of the timeout.
    CHECK_EQ_U64 (s_due (cursor, 40960 + 10), 0);
    CHECK_EQ_U64 (s_send_due (cursor, 40960 + 11), 11);
    CHECK_EQ_I64 (zspool_cursor_next_due_ms (cursor), 40960 + 20);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_timeout_of_1_ms_is_kept)
{
    zspool_cursor_t *cursor = s_new (1);
    zspool_cursor_set_timeout_ms (cursor, 1);
    CHECK_OK (zspool_cursor_sent (cursor, 1, 1, 0));
    CHECK_OK (zspool_cursor_sent (cursor, 2, 2, 1));
    CHECK_EQ_U64 (s_send_due (cursor, 1), 1);
    CHECK_EQ_U64 (s_send_due (cursor, 2), 2);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_clock_that_steps_back_is_never_early)
{
    zspool_cursor_t *cursor = s_new (1);
    CHECK_OK (zspool_cursor_sent (cursor, 1, 1, 500));
    CHECK_OK (zspool_cursor_sent (cursor, 2, 2, 100));
    CHECK_EQ_U64 (s_due (cursor, 500 + TIMEOUT_MS - 1), 0);
    CHECK_EQ_U64 (s_send_due (cursor, 500 + TIMEOUT_MS), 2);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_without_timeout_nothing_is_due_again)
{
    zspool_cursor_t *cursor = s_new (1);
    zspool_cursor_set_timeout_ms (cursor, 0);
    CHECK_OK (zspool_cursor_sent (cursor, 1, 10, 0));
    CHECK_EQ_I64 (zspool_cursor_next_due_ms (cursor), INT64_MAX);
    CHECK_EQ_U64 (s_due (cursor, INT64_MAX), 0);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_longest_timeout_does_not_overflow)
{
    zspool_cursor_t *cursor = s_new (1);
    zspool_cursor_set_timeout_ms (cursor, INT64_MAX);
    CHECK_OK (zspool_cursor_sent (cursor, 1, 5, 1000));
    CHECK_OK (zspool_cursor_sent (cursor, 6, 10, INT64_MAX));
    CHECK_EQ_I64 (zspool_cursor_next_due_ms (cursor), INT64_MAX);
    CHECK_EQ_U64 (s_due (cursor, INT64_MAX), 0);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_restarted_has_all_unacknowledged_due_at_once)
{
    for (int64_t timeout_ms = 0; timeout_ms <= TIMEOUT_MS; timeout_ms += TIMEOUT_MS) {
        zspool_cursor_t *cursor = zspool_cursor_new (1, 1, 1, 5, 23);
        zspool_cursor_set_timeout_ms (cursor, timeout_ms);
        CHECK_OK (zspool_cursor_cover (cursor, 1, 10));
        CHECK_OK (zspool_cursor_cover (cursor, 15, 5));
        CHECK_OK (zspool_cursor_cover (cursor, 20, 10));
        CHECK_EQ_I64 (zspool_cursor_next_due_ms (cursor), 0);
        CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 14);
        zspool_cursor_ack (cursor, 7, 17);
        const uint64_t expected [] = { 6, 18, 19, 20, 21, 22, 23 };
        for (size_t index = 0; index < 7; index++) {
            CHECK_EQ_U64 (s_due (cursor, 0), expected [index]);
            CHECK_OK (zspool_cursor_sent (cursor, expected [index], expected [index], 0));
            CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, expected [index]), 2);
        }
        CHECK_EQ_U64 (s_due (cursor, 0), 0);
        CHECK_EQ_I64 (zspool_cursor_next_due_ms (cursor), timeout_ms? timeout_ms: INT64_MAX);
        CHECK_EQ_U64 (s_send_due (cursor, TIMEOUT_MS), timeout_ms? 7: 0);
        zspool_cursor_destroy (&cursor);
    }
}

TEST (test_cursor_restarted_and_sent_by_blocks_is_not_due_at_once_again)
{
    zspool_cursor_t *cursor = zspool_cursor_new (1, 1, 1, 0, 15);
    CHECK_OK (zspool_cursor_cover (cursor, 1, 10));
    CHECK_OK (zspool_cursor_cover (cursor, 11, 10));
    CHECK_OK (zspool_cursor_sent (cursor, 11, 20, 0));
    CHECK_OK (zspool_cursor_sent (cursor, 1, 4, 0));
    CHECK_EQ_U64 (s_due (cursor, 0), 5);
    CHECK_OK (zspool_cursor_sent (cursor, 5, 10, 0));
    CHECK_EQ_U64 (s_due (cursor, 0), 0);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 20);
    zspool_cursor_destroy (&cursor);
}

//  ------------------------------------------------------------------------------------------------
//  Changes

TEST (test_cursor_unchanged_has_no_change)
{
    zspool_cursor_t *cursor = s_new (1);
    CHECK (!zspool_cursor_take_change (cursor));
    CHECK_OK (zspool_cursor_sent (cursor, 1, 2, 0));
    free (zspool_cursor_take_change (cursor));
    zspool_cursor_ack (cursor, 0, 0);
    CHECK_OK (zspool_cursor_cover (cursor, 11, 10));
    CHECK (!zspool_cursor_take_change (cursor));
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_change_carries_floor_and_sent_to)
{
    zspool_cursor_t *cursor = s_new_sent (2, 0);
    zspool_cursor_ack (cursor, 1, 12);
    zspool_cursor_change_t *change = zspool_cursor_take_change (cursor);
    CHECK_EQ_U64 (change->spool, 1);
    CHECK_EQ_U64 (change->cursor, 2);
    CHECK_EQ_U64 (change->generation, 3);
    CHECK_EQ_U64 (change->floor, 12);
    CHECK_EQ_U64 (change->sent_to, 20);
    CHECK_EQ_U64 (change->entries_count, 0);
    free (change);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_acked_in_order_makes_no_entries)
{
    zspool_cursor_t *cursor = s_new_sent (20, 0);
    for (uint64_t sequence = 1; sequence <= 200; sequence++) {
        zspool_cursor_ack (cursor, sequence, sequence);
        zspool_cursor_change_t *change = zspool_cursor_take_change (cursor);
        CHECK_EQ_U64 (change->floor, sequence);
        CHECK_EQ_U64 (change->entries_count, 0);
        free (change);
    }
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_acked_out_of_order_makes_entries_in_order_of_sequence)
{
    zspool_cursor_t *cursor = s_new_sent (4, 0);
    zspool_cursor_ack (cursor, 38, 40);
    zspool_cursor_ack (cursor, 1, 2);
    zspool_cursor_ack (cursor, 13, 13);
    zspool_cursor_ack (cursor, 5, 9);
    zspool_cursor_change_t *change = zspool_cursor_take_change (cursor);
    CHECK_EQ_U64 (change->entries_count, 3);
    CHECK_EQ_U64 (change->entries [0].first_sequence, 1);
    CHECK_EQ_U64 (change->entries [1].first_sequence, 11);
    CHECK_EQ_U64 (change->entries [2].first_sequence, 31);
    const uint8_t acked [3] [2] = { { 0xf3, 0x01 }, { 0x04, 0x00 }, { 0x80, 0x03 } };
    for (size_t index = 0; index < 3; index++) {
        CHECK_EQ_U64 (change->entries [index].messages, 10);
        CHECK_EQ_MEM (change->entries [index].acked, 2, acked [index], 2);
        CHECK (!change->entries [index].counts);
    }
    free (change);
    CHECK (!zspool_cursor_take_change (cursor));
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_sent_again_makes_an_entry_with_counts)
{
    zspool_cursor_t *cursor = s_new_sent (2, 0);
    CHECK_OK (zspool_cursor_sent (cursor, 12, 13, 0));
    CHECK_OK (zspool_cursor_sent (cursor, 13, 13, 0));
    zspool_cursor_change_t *change = zspool_cursor_take_change (cursor);
    CHECK_EQ_U64 (change->entries_count, 1);
    CHECK_EQ_U64 (change->entries [0].first_sequence, 11);
    CHECK (change->entries [0].counts);
    CHECK_EQ_U64 (get_u16 (change->entries [0].counts), 0);
    CHECK_EQ_U64 (get_u16 (change->entries [0].counts + 2), 2);
    CHECK_EQ_U64 (get_u16 (change->entries [0].counts + 4), 3);
    free (change);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_retries_below_the_floor_make_no_entry)
{
    zspool_cursor_t *cursor = s_new_sent (1, 0);
    CHECK_OK (zspool_cursor_sent (cursor, 1, 3, 0));
    zspool_cursor_ack (cursor, 1, 4);
    zspool_cursor_change_t *change = zspool_cursor_take_change (cursor);
    CHECK_EQ_U64 (change->entries_count, 0);
    free (change);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_dirty_block_acknowledged_as_a_whole_makes_no_entry)
{
    zspool_cursor_t *cursor = s_new_sent (3, 0);
    zspool_cursor_ack (cursor, 5, 5);
    zspool_cursor_ack (cursor, 15, 15);
    zspool_cursor_ack (cursor, 25, 25);
    zspool_cursor_ack (cursor, 1, 20);
    zspool_cursor_change_t *change = zspool_cursor_take_change (cursor);
    CHECK_EQ_U64 (change->floor, 20);
    CHECK_EQ_U64 (change->entries_count, 1);
    CHECK_EQ_U64 (change->entries [0].first_sequence, 21);
    free (change);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_restored_block_has_its_bits_and_counts)
{
    zspool_cursor_t *cursor = zspool_cursor_new (1, 1, 1, 1, 9);
    const uint8_t acked [2] = { 0x0a, 0x02 };   //  2, 4, 10
    const uint8_t counts [20] = { [4] = 3, [6] = 2, [18] = 7 };
    const zspool_cursor_entry_t entry = { 1, 10, acked, counts };
    CHECK_OK (zspool_cursor_cover (cursor, 1, 10));
    CHECK_OK (zspool_cursor_restore (cursor, &entry));
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 2);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 6);
    CHECK (zspool_cursor_acked (cursor, 4));
    CHECK (zspool_cursor_acked (cursor, 10));
    CHECK (!zspool_cursor_acked (cursor, 9));
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 3), 3);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 5), 1);
    CHECK_EQ_U64 (s_due (cursor, 0), 3);
    CHECK_EQ_U64 (s_send_due (cursor, 0), 6);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 3), 4);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_restored_block_is_not_dirty)
{
    zspool_cursor_t *cursor = zspool_cursor_new (1, 1, 1, 0, 10);
    const uint8_t acked [2] = { 0x0a, 0x02 };
    const zspool_cursor_entry_t entry = { 1, 10, acked, NULL };
    CHECK_OK (zspool_cursor_cover (cursor, 1, 10));
    CHECK_OK (zspool_cursor_restore (cursor, &entry));
    CHECK (!zspool_cursor_take_change (cursor));
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_restored_twice_keeps_what_is_known_since)
{
    zspool_cursor_t *cursor = zspool_cursor_new (1, 1, 1, 0, 10);
    const uint8_t acked [2] = { 0x0a, 0x02 };
    const uint8_t counts [20] = { [0] = 2 };
    const zspool_cursor_entry_t entry = { 1, 10, acked, counts };
    CHECK_OK (zspool_cursor_cover (cursor, 1, 10));
    CHECK_OK (zspool_cursor_restore (cursor, &entry));
    CHECK_OK (zspool_cursor_sent (cursor, 1, 1, 0));
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 6, 6), 1);
    CHECK_OK (zspool_cursor_restore (cursor, &entry));
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 1), 3);
    CHECK_EQ_U64 (s_due (cursor, 0), 3);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 6);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 1, 10), 6);
    CHECK_OK (zspool_cursor_restore (cursor, &entry));
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_entry_that_does_not_fit_is_refused)
{
    zspool_cursor_t *cursor = zspool_cursor_new (1, 1, 1, 0, 10);
    const uint8_t acked [2] = { 0x0a, 0x02 }, padded [2] = { 0x0a, 0x06 };
    CHECK_OK (zspool_cursor_cover (cursor, 1, 10));
    const zspool_cursor_entry_t refused [] = {
        { 1, 9, acked, NULL }, { 1, 11, acked, NULL }, { 2, 10, acked, NULL },
        { 11, 10, acked, NULL }, { 5, 0, acked, NULL },
        { 1, 10, padded, NULL }
    };
    for (size_t index = 0; index < sizeof refused / sizeof *refused; index++)
        CHECK_CODE (zspool_cursor_restore (cursor, &refused [index]), ZSPOOL_ECORRUPT);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 10);
    zspool_cursor_destroy (&cursor);
}

//  ------------------------------------------------------------------------------------------------
//  A random life, against plain arrays

#define MODEL_MESSAGES 40000
#define MODEL_WINDOW 3000               //  most messages known above the floor
#define MODEL_OPERATIONS 10000          //  a life

typedef struct {
    bool acked;
    uint16_t count;
    bool initial;                       //  delivered before the last restart, not since
    int64_t sent_ms;
} message_t;

//  What a store holds of a cursor
typedef struct {
    uint64_t floor;
    uint64_t sent_to;
    uint8_t *acked [MODEL_MESSAGES + 2];    //  by first sequence of a block, NULL without entry
    uint8_t *counts [MODEL_MESSAGES + 2];
} stored_t;

static struct {
    unsigned seed;
    int64_t now_ms;
    int64_t timeout_ms;
    int64_t slack_ms;                   //  what a message may be due too late
    zspool_cursor_t *cursor;
    uint64_t floor;
    uint64_t sent_to;
    uint64_t known_to;                  //  last message of the last known block
    uint64_t made_to;                   //  last message of the last block there is
    uint32_t block [MODEL_MESSAGES + 2];    //  messages of the block that starts here, or 0
    uint64_t first [MODEL_MESSAGES + 2];    //  of the block of a message, 0 in a gap
    message_t messages [MODEL_MESSAGES + 2];
    message_t snapshot [MODEL_MESSAGES + 2];//  as of what is stored
    stored_t stored;
} s_model;

static uint64_t
s_random (uint64_t limit)
{
    return (((uint64_t) rand_r (&s_model.seed) << 16) ^ (uint64_t) rand_r (&s_model.seed)) % limit;
}

static bool
s_model_in_flight (uint64_t sequence)
{
    return sequence > s_model.floor && sequence <= s_model.sent_to && sequence <= s_model.known_to
           && s_model.first [sequence] && !s_model.messages [sequence].acked;
}

static void
s_model_raise_floor (void)
{
    while (s_model.floor < s_model.known_to
           && (!s_model.first [s_model.floor + 1] || s_model.messages [s_model.floor + 1].acked))
        s_model.floor++;
    if (s_model.sent_to < s_model.floor)
        s_model.sent_to = s_model.floor;
}

//  The block after the last known one, made if there is none. False at the end of the world.
static uint64_t
s_model_next_block (void)
{
    uint64_t first = s_model.known_to + 1;
    while (first <= s_model.made_to && !s_model.block [first])
        first++;
    if (first <= s_model.made_to)
        return first;
    uint64_t messages = s_random (3) == 0? 1: s_random (2)? 2 + s_random (63): 65 + s_random (300);
    if (s_random (4) == 0)
        first += s_random (100);
    if (first + messages > MODEL_MESSAGES)
        return 0;
    s_model.block [first] = (uint32_t) messages;
    for (uint64_t sequence = first; sequence < first + messages; sequence++)
        s_model.first [sequence] = first;
    s_model.made_to = first + messages - 1;
    return first;
}

static void
s_model_cover (uint64_t first)
{
    uint32_t messages = s_model.block [first];
    CHECK_OK (zspool_cursor_cover (s_model.cursor, first, messages));
    if (s_model.stored.acked [first]) {
        const zspool_cursor_entry_t entry
            = { first, messages, s_model.stored.acked [first], s_model.stored.counts [first] };
        CHECK_OK (zspool_cursor_restore (s_model.cursor, &entry));
    }
    s_model.known_to = first + messages - 1;
    s_model_raise_floor ();
}

static void
s_model_sent (uint64_t first, uint64_t last)
{
    CHECK_OK (zspool_cursor_sent (s_model.cursor, first, last, s_model.now_ms));
    for (uint64_t sequence = first; sequence <= last; sequence++) {
        message_t *message = &s_model.messages [sequence];
        if (message->acked || sequence <= s_model.floor)
            continue;
        message->count = sequence <= s_model.sent_to? (uint16_t) (message->count + 1): 1;
        message->initial = false;
        message->sent_ms = s_model.now_ms;
    }
    if (s_model.sent_to < last)
        s_model.sent_to = last;
}

static void
s_model_send_next (void)
{
    uint64_t first = s_model.sent_to + 1;
    while (first <= s_model.known_to
           && (!s_model.first [first] || (s_model.messages [first].acked && s_random (2))))
        first++;
    if (first > s_model.known_to)
        return;
    uint64_t end = s_model.first [first] + s_model.block [s_model.first [first]];
    s_model_sent (first, s_random (2)? first: first + s_random (end - first));
}

//  Send anything again, whether due or not, and possibly something new behind it.
static void
s_model_send_again (void)
{
    if (s_model.sent_to == s_model.floor)
        return;
    uint64_t first = s_model.floor + 1 + s_random (s_model.sent_to - s_model.floor);
    if (!s_model.first [first] || first > s_model.known_to)
        return;
    uint64_t end = s_model.first [first] + s_model.block [s_model.first [first]];
    s_model_sent (first, s_random (2)? first: first + s_random (end - first));
}

static void
s_model_ack (void)
{
    uint64_t reach = s_random (8)? 40: s_model.known_to - s_model.floor + 10;
    uint64_t first = s_model.floor + s_random (reach);
    uint64_t last = s_random (3)? first: first + s_random (s_random (4)? 20: 500);
    if (s_random (4) == 0)
        last = first = s_model.floor + 1;
    uint64_t expected = 0;
    for (uint64_t sequence = first; sequence <= last && sequence <= s_model.known_to; sequence++)
        if (sequence > s_model.floor && s_model.first [sequence]
            && !s_model.messages [sequence].acked) {
            s_model.messages [sequence].acked = true;
            expected++;
        }
    CHECK_EQ_U64 (zspool_cursor_ack (s_model.cursor, first, last), expected);
    s_model_raise_floor ();
}

static int64_t
s_model_deadline_ms (uint64_t sequence)
{
    if (s_model.messages [sequence].initial)
        return 0;
    return s_model.timeout_ms? s_model.messages [sequence].sent_ms + s_model.timeout_ms: INT64_MAX;
}

//  Take what is due, and send most of it again.
static void
s_model_take_due (void)
{
    uint64_t sequence, limit = s_random (3)? 20: 100000;
    while (limit-- && zspool_cursor_due (s_model.cursor, s_model.now_ms, &sequence)) {
        CHECK (s_model_in_flight (sequence));
        CHECK (s_model_deadline_ms (sequence) <= s_model.now_ms);
        uint64_t end = s_model.first [sequence] + s_model.block [s_model.first [sequence]];
        if (s_random (50) == 0)
            s_model_sent (sequence, sequence + s_random (end - sequence));
        else
            s_model_sent (sequence, sequence);
    }
    if (!zspool_cursor_due (s_model.cursor, s_model.now_ms, &sequence))
        CHECK (zspool_cursor_next_due_ms (s_model.cursor) > s_model.now_ms);
}

//  Compare everything.
static void
s_model_check (void)
{
    CHECK_EQ_U64 (zspool_cursor_floor (s_model.cursor), s_model.floor);
    CHECK_EQ_U64 (zspool_cursor_sent_to (s_model.cursor), s_model.sent_to);
    uint64_t in_flight = 0;
    int64_t first_ms = INT64_MAX;
    for (uint64_t at = s_model.floor + 1; at <= s_model.known_to; at++) {
        bool acked = !s_model.first [at] || s_model.messages [at].acked;
        CHECK (zspool_cursor_acked (s_model.cursor, at) == acked);
        if (!acked)
            CHECK_EQ_U64 (zspool_cursor_deliveries (s_model.cursor, at),
                          at <= s_model.sent_to? s_model.messages [at].count: 0);
        if (!s_model_in_flight (at))
            continue;
        in_flight++;
        if (s_model_deadline_ms (at) < first_ms)
            first_ms = s_model_deadline_ms (at);
    }
    CHECK_EQ_U64 (zspool_cursor_in_flight (s_model.cursor), in_flight);
    int64_t next_ms = zspool_cursor_next_due_ms (s_model.cursor);
    int64_t latest_ms = first_ms;
    if (first_ms != INT64_MAX && first_ms != 0)
        latest_ms += s_model.slack_ms;
    CHECK (next_ms <= latest_ms);
    uint64_t due;
    if (zspool_cursor_due (s_model.cursor, s_model.now_ms, &due)) {
        int64_t deadline_ms = s_model_deadline_ms (due);
        CHECK (s_model_in_flight (due));
        CHECK (deadline_ms <= s_model.now_ms && deadline_ms <= latest_ms);
    }
    else
        CHECK (latest_ms > s_model.now_ms);
}

static void
s_store_entry (const zspool_cursor_entry_t *entry)
{
    uint64_t first = entry->first_sequence;
    CHECK (s_model.block [first] == entry->messages && first + entry->messages - 1 > s_model.floor);
    bool out_of_order = false;
    for (uint64_t at = first; at < first + entry->messages; at++)
        if (at > s_model.floor && (s_model.messages [at].acked
                                   || (at <= s_model.sent_to && s_model.messages [at].count > 1)))
            out_of_order = true;
    CHECK (out_of_order);
    size_t acked_bytes = (entry->messages + 7) / 8;
    free (s_model.stored.acked [first]);
    free (s_model.stored.counts [first]);
    s_model.stored.acked [first] = (uint8_t *) malloc (acked_bytes);
    memcpy (s_model.stored.acked [first], entry->acked, acked_bytes);
    s_model.stored.counts [first] = NULL;
    if (entry->counts) {
        s_model.stored.counts [first] = (uint8_t *) malloc (entry->messages * 2);
        memcpy (s_model.stored.counts [first], entry->counts, entry->messages * 2);
    }
}

static void
s_model_store (void)
{
    zspool_cursor_change_t *change = zspool_cursor_take_change (s_model.cursor);
    if (change) {
        CHECK_EQ_U64 (change->floor, s_model.floor);
        CHECK_EQ_U64 (change->sent_to, s_model.sent_to);
        for (size_t index = 0; index < change->entries_count; index++) {
            CHECK (index == 0 || change->entries [index].first_sequence
                                     > change->entries [index - 1].first_sequence);
            s_store_entry (&change->entries [index]);
        }
        //  Entries of blocks that end at or below the floor are deleted.
        for (uint64_t at = 1; at <= change->floor; at++)
            if (s_model.block [at] && at + s_model.block [at] - 1 <= change->floor) {
                free (s_model.stored.acked [at]);
                free (s_model.stored.counts [at]);
                s_model.stored.acked [at] = s_model.stored.counts [at] = NULL;
            }
        s_model.stored.floor = change->floor;
        s_model.stored.sent_to = change->sent_to;
        free (change);
    }
    CHECK_EQ_U64 (s_model.stored.floor, s_model.floor);
    CHECK_EQ_U64 (s_model.stored.sent_to, s_model.sent_to);
    memcpy (s_model.snapshot, s_model.messages, sizeof s_model.messages);
}

//  All that was not stored is lost.
static void
s_model_restart (void)
{
    zspool_cursor_destroy (&s_model.cursor);
    memcpy (s_model.messages, s_model.snapshot, sizeof s_model.messages);
    s_model.floor = s_model.stored.floor;
    s_model.sent_to = s_model.stored.sent_to;
    s_model.cursor = zspool_cursor_new (1, 1, 1, s_model.floor, s_model.sent_to);
    zspool_cursor_set_timeout_ms (s_model.cursor, s_model.timeout_ms);
    uint64_t floor = s_model.floor;
    s_model.known_to = floor;
    if (floor > 0 && s_model.first [floor] && s_model.first [floor + 1] == s_model.first [floor])
        s_model.known_to = s_model.first [floor] - 1;
    for (uint64_t at = floor + 1; at <= s_model.sent_to; at++)
        s_model.messages [at].initial = true;
    uint64_t first;
    while ((first = s_model_next_block ()) && first <= s_model.sent_to)
        s_model_cover (first);
}

static void
s_model_operate (void)
{
    uint64_t first, action = s_random (1000);
    if (action < 100) {
        if (s_model.known_to < s_model.floor + MODEL_WINDOW && (first = s_model_next_block ()))
            s_model_cover (first);
    }
    else
    if (action < 350)
        s_model_send_next ();
    else
    if (action < 370)
        s_model_send_again ();
    else
    if (action < 800)
        s_model_ack ();
    else
    if (action < 870)
        s_model_take_due ();
    else
    if (action < 960)
        s_model.now_ms += (int64_t) s_random (s_random (10)? 3: (uint64_t) s_model.timeout_ms + 2);
    else
    if (action < 985)
        s_model_check ();
    else
    if (action < 998)
        s_model_store ();
    else
        s_model_restart ();
}

static void
s_model_live (unsigned seed)
{
    static const int64_t timeouts_ms [] = { 0, 1, 2, 100, 30000, 1000000 };
    printf ("seed %u\n", seed);
    memset (&s_model, 0, sizeof s_model);
    s_model.seed = seed;
    s_model.now_ms = 1;
    s_model.timeout_ms = timeouts_ms [s_random (sizeof timeouts_ms / sizeof *timeouts_ms)];
    s_model.slack_ms = s_model.timeout_ms / 4096;
    if (s_model.slack_ms == 0 && s_model.timeout_ms > 1)
        s_model.slack_ms = 1;
    s_model.cursor = zspool_cursor_new (1, 1, 1, 0, 0);
    zspool_cursor_set_timeout_ms (s_model.cursor, s_model.timeout_ms);
    for (unsigned operation = 0; operation < MODEL_OPERATIONS; operation++)
        s_model_operate ();
    s_model_check ();
    zspool_cursor_destroy (&s_model.cursor);
    for (uint64_t at = 0; at <= MODEL_MESSAGES; at++) {
        free (s_model.stored.acked [at]);
        free (s_model.stored.counts [at]);
    }
}

TEST (test_cursor_random_lives_agree_with_plain_arrays)
{
    const char *seed = getenv ("ZSPOOL_TEST_SEED");
    if (seed)
        s_model_live ((unsigned) strtoul (seed, NULL, 10));
    else
        for (unsigned life = 1; life <= 15; life++)
            s_model_live (life);
    s_model_live ((unsigned) time (NULL));
}
