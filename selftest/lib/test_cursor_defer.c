//  test_cursor_defer.c - tests of a cursor's messages that are due, and are put off without being
//  sent
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/fault.h"
#include "cursor.h"
#include "selftest.h"

#define TIMEOUT_MS 1000
#define MESSAGES 30                    //  three blocks of ten

//  A cursor on blocks of ten messages, all of which were sent at time 0, in this life or the last
static zspool_cursor_t *
s_new (bool restarted)
{
    zspool_cursor_t *cursor = zspool_cursor_new (1, 2, 3, 0, restarted? MESSAGES: 0);
    CHECK (cursor);
    zspool_cursor_set_timeout_ms (cursor, TIMEOUT_MS);
    for (uint64_t first = 1; first <= MESSAGES; first += 10)
        CHECK_OK (zspool_cursor_cover (cursor, first, 10));
    for (uint64_t first = 1; first <= MESSAGES && !restarted; first += 10)
        CHECK_OK (zspool_cursor_sent (cursor, first, first + 9, 0));
    return cursor;
}

//  Put off all that is due now. Returns how many messages that were.
static uint64_t
s_defer_all (zspool_cursor_t *cursor, int64_t now_ms)
{
    uint64_t sequence, count = 0;
    for (; zspool_cursor_due (cursor, now_ms, &sequence); count++) {
        CHECK (count < MESSAGES);
        CHECK_OK (zspool_cursor_defer (cursor, sequence, now_ms));
    }
    return count;
}

//  Send all that is due now: these messages, each once, and no others.
static void
s_check_due_once (zspool_cursor_t *cursor, int64_t now_ms, uint64_t first, uint64_t last)
{
    unsigned times [MESSAGES + 1] = { 0 };
    uint64_t sequence;
    while (zspool_cursor_due (cursor, now_ms, &sequence)) {
        CHECK (sequence >= 1 && sequence <= MESSAGES && ++times [sequence] == 1);
        CHECK_OK (zspool_cursor_sent (cursor, sequence, sequence, now_ms));
    }
    for (sequence = 1; sequence <= MESSAGES; sequence++)
        CHECK_EQ_U64 (times [sequence], sequence >= first && sequence <= last);
}

TEST (test_cursor_deferred_message_is_due_once_after_the_timeout)
{
    zspool_cursor_t *cursor = s_new (false);
    uint64_t sequence = 0;
    CHECK (zspool_cursor_due (cursor, 1000, &sequence));
    CHECK_EQ_U64 (sequence, 1);
    CHECK_OK (zspool_cursor_defer (cursor, 1, 1000));
    s_check_due_once (cursor, 1500, 2, MESSAGES);
    CHECK_EQ_I64 (zspool_cursor_next_due_ms (cursor), 2000);
    CHECK (!zspool_cursor_due (cursor, 1999, &sequence));
    s_check_due_once (cursor, 2000, 1, 1);
    CHECK (!zspool_cursor_due (cursor, 2499, &sequence));
    s_check_due_once (cursor, 3000, 1, MESSAGES);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_deferred_message_was_not_delivered)
{
    zspool_cursor_t *cursor = s_new (false);
    free (zspool_cursor_take_change (cursor));
    CHECK_EQ_U64 (s_defer_all (cursor, 1000), MESSAGES);
    CHECK (!zspool_cursor_changed (cursor));
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), MESSAGES);
    CHECK_EQ_U64 (zspool_cursor_floor (cursor), 0);
    for (uint64_t sequence = 1; sequence <= MESSAGES; sequence++) {
        CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, sequence), 1);
        CHECK (!zspool_cursor_acked (cursor, sequence));
    }
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_deferred_over_and_over_is_due_once_each_time)
{
    zspool_cursor_t *cursor = s_new (false);
    for (int64_t round = 1; round <= 10000; round++) {
        CHECK_EQ_U64 (s_defer_all (cursor, round * TIMEOUT_MS), MESSAGES);
        CHECK_EQ_U64 (s_defer_all (cursor, (round + 1) * TIMEOUT_MS - 1), 0);
    }
    s_check_due_once (cursor, 10001 * TIMEOUT_MS, 1, MESSAGES);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, MESSAGES), 2);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_deferred_message_acknowledged_meanwhile_is_not_due)
{
    zspool_cursor_t *cursor = s_new (false);
    CHECK_EQ_U64 (s_defer_all (cursor, 1000), MESSAGES);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 1, 12), 12);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 25, MESSAGES), 6);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 12);
    s_check_due_once (cursor, 2000, 13, 24);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 13, 24), 12);
    CHECK_EQ_U64 (s_defer_all (cursor, 100000), 0);
    CHECK_EQ_I64 (zspool_cursor_next_due_ms (cursor), INT64_MAX);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_deferred_message_gone_from_the_store_is_not_due)
{
    zspool_cursor_t *cursor = s_new (false);
    CHECK_EQ_U64 (s_defer_all (cursor, 1000), MESSAGES);
    CHECK_EQ_U64 (zspool_cursor_skip (cursor, 20), 20);
    s_check_due_once (cursor, 2000, 21, MESSAGES);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_deferred_message_sent_early_is_due_by_its_delivery)
{
    zspool_cursor_t *cursor = s_new (false);
    CHECK_EQ_U64 (s_defer_all (cursor, 1000), MESSAGES);
    CHECK_OK (zspool_cursor_sent (cursor, 11, 20, 1700));
    uint64_t sequence;
    for (uint64_t count = 0; count < 20; count++) {
        CHECK (zspool_cursor_due (cursor, 2000, &sequence) && (sequence <= 10 || sequence > 20));
        CHECK_OK (zspool_cursor_defer (cursor, sequence, 2000));
    }
    CHECK (!zspool_cursor_due (cursor, 2699, &sequence));
    s_check_due_once (cursor, 2700, 11, 20);
    zspool_cursor_destroy (&cursor);
}

TEST (test_cursor_deferred_message_of_the_last_life_is_due_once_after_the_timeout)
{
    zspool_cursor_t *cursor = s_new (true);
    uint64_t sequence;
    CHECK (zspool_cursor_due (cursor, 50, &sequence));
    CHECK_EQ_I64 (zspool_cursor_due_sent_ms (cursor), INT64_MIN);
    CHECK_EQ_I64 (zspool_cursor_next_due_ms (cursor), 0);
    CHECK_EQ_U64 (s_defer_all (cursor, 50), MESSAGES);
    CHECK_EQ_I64 (zspool_cursor_next_due_ms (cursor), 1050);
    CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), MESSAGES);
    CHECK_EQ_U64 (zspool_cursor_ack (cursor, 1, 1), 1);
    CHECK (!zspool_cursor_due (cursor, 1049, &sequence));
    CHECK (zspool_cursor_due (cursor, 1050, &sequence));
    CHECK_EQ_I64 (zspool_cursor_due_sent_ms (cursor), 50);
    s_check_due_once (cursor, 1050, 2, MESSAGES);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 2), 2);
    zspool_cursor_destroy (&cursor);
}

//  Some are put off, and the others sent, in the midst of a block that has counts stored.
TEST (test_cursor_deferred_between_what_is_sent_after_a_restart)
{
    zspool_cursor_t *cursor = zspool_cursor_new (1, 2, 3, 0, 10);
    const uint8_t acked [2] = { 0x04, 0 };               //  message 3
    const uint8_t counts [20] = { 3, 0, 3, 0, 0, 0, 7 };  //  messages 1, 2 and 4; the others once
    const zspool_cursor_entry_t entry = { 1, 10, acked, counts };
    CHECK (cursor);
    zspool_cursor_set_timeout_ms (cursor, TIMEOUT_MS);
    CHECK_OK (zspool_cursor_cover (cursor, 1, 10));
    CHECK_OK (zspool_cursor_restore (cursor, &entry));
    uint64_t sequence, expected = 1;
    for (; zspool_cursor_due (cursor, 5, &sequence); expected = sequence + 1 + (sequence == 2)) {
        CHECK_EQ_U64 (sequence, expected);
        if (sequence % 2)
            CHECK_OK (zspool_cursor_sent (cursor, sequence, sequence, 5));
        else
            CHECK_OK (zspool_cursor_defer (cursor, sequence, 5));
    }
    CHECK_EQ_U64 (expected, 11);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 1), 4);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 2), 3);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 4), 7);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 5), 2);
    CHECK_EQ_U64 (zspool_cursor_deliveries (cursor, 6), 1);
    CHECK (!zspool_cursor_due (cursor, 1004, &sequence));
    CHECK_EQ_U64 (s_defer_all (cursor, 1006), 9);
    zspool_cursor_destroy (&cursor);
}

//  Times so far apart that each message takes a run of its own
TEST (test_cursor_defer_without_memory_changes_nothing)
{
    zspool_cursor_t *cursor = zspool_cursor_new (1, 2, 3, 0, 0);
    uint64_t sequence, again, refused = 0;
    int64_t now_ms = TIMEOUT_MS;
    CHECK (cursor);
    zspool_cursor_set_timeout_ms (cursor, TIMEOUT_MS);
    CHECK_OK (zspool_cursor_cover (cursor, 1, 400));
    CHECK_OK (zspool_cursor_sent (cursor, 1, 400, 0));
    fault_watch (".");
    for (uint64_t expected = 1; expected <= 400; expected++, now_ms += 2) {
        CHECK (zspool_cursor_due (cursor, now_ms, &sequence) && sequence == expected);
        fault_fail (FAULT_MEMORY, 0, 1, FAULT_BEFORE, ENOMEM);
        int rc = zspool_cursor_defer (cursor, sequence, now_ms);
        fault_fail (FAULT_MEMORY, 0, 0, FAULT_BEFORE, 0);
        if (rc == ZSPOOL_OK)
            continue;
        refused++;
        CHECK_CODE (rc, ZSPOOL_ENOMEM);
        CHECK (zspool_cursor_due (cursor, now_ms, &again) && again == sequence);
        CHECK_EQ_U64 (zspool_cursor_in_flight (cursor), 400);
        CHECK_OK (zspool_cursor_defer (cursor, sequence, now_ms));
    }
    CHECK (refused > 0);
    CHECK (!zspool_cursor_due (cursor, now_ms, &sequence));
    for (uint64_t expected = 1; expected <= 400; expected++) {
        CHECK (zspool_cursor_due (cursor, now_ms + TIMEOUT_MS, &sequence) && sequence == expected);
        CHECK_OK (zspool_cursor_sent (cursor, sequence, sequence, now_ms + TIMEOUT_MS));
    }
    CHECK (!zspool_cursor_due (cursor, now_ms + TIMEOUT_MS, &sequence));
    zspool_cursor_destroy (&cursor);
}
