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
