//  test_plain.c - tests of where a cursor stands whose peers send no tickets
//
//  SPDX-License-Identifier: MPL-2.0

#include "plain.h"
#include "selftest.h"

#include <stdlib.h>

#define SETTLE_MS 1000
#define DEPTH 100000

static zspool_plain_t
s_settled (uint64_t floor, uint64_t sent_to)
{
    zspool_plain_t plain;
    zspool_plain_init (&plain, floor, sent_to);
    zspool_plain_settle (&plain, SETTLE_MS, DEPTH);
    return plain;
}

static zspool_plain_t
s_sent (uint64_t floor)
{
    zspool_plain_t plain;
    zspool_plain_init (&plain, floor, floor);
    return plain;
}

TEST (test_plain_sent_acknowledges_at_once)
{
    zspool_plain_t plain = s_sent (5);
    CHECK (zspool_plain_at_rest (&plain));
    zspool_plain_sent (&plain, 9, 100, 0);
    CHECK_EQ_U64 (plain.floor, 9);
    CHECK (!zspool_plain_at_rest (&plain));
}

TEST (test_plain_settled_acknowledges_when_it_has_settled)
{
    zspool_plain_t plain = s_settled (5, 5);
    zspool_plain_sent (&plain, 9, 100, 0);
    zspool_plain_acknowledge (&plain, SETTLE_MS - 1);
    CHECK_EQ_U64 (plain.floor, 5);
    CHECK_EQ_U64 (plain.sent_to, 9);
    zspool_plain_acknowledge (&plain, SETTLE_MS);
    CHECK_EQ_U64 (plain.floor, 9);
}

TEST (test_plain_other_topics_are_acknowledged_at_once_when_nothing_waits)
{
    zspool_plain_t plain = s_settled (5, 5);
    zspool_plain_passed (&plain, 50, 0);
    CHECK_EQ_U64 (plain.floor, 50);
    CHECK_EQ_U64 (plain.sent_to, 50);
}

TEST (test_plain_other_topics_settle_with_what_was_sent_before_them)
{
    zspool_plain_t plain = s_settled (5, 5);
    zspool_plain_sent (&plain, 6, 100, 0);
    zspool_plain_passed (&plain, 50, 1);
    CHECK_EQ_U64 (plain.floor, 5);
    CHECK_EQ_U64 (plain.sent_to, 50);
    zspool_plain_acknowledge (&plain, SETTLE_MS - 1);
    CHECK_EQ_U64 (plain.floor, 5);
    zspool_plain_acknowledge (&plain, SETTLE_MS + 1);
    CHECK_EQ_U64 (plain.floor, 50);
}

//  What was sent before the process ended is sent again; of other topics is only what comes before that.
TEST (test_plain_other_topics_after_a_restart_raise_the_floor_below_what_was_sent)
{
    zspool_plain_t plain = s_settled (5, 100);
    zspool_plain_passed (&plain, 50, 0);
    CHECK_EQ_U64 (plain.floor, 50);
    CHECK_EQ_U64 (plain.sent_to, 100);
}

TEST (test_plain_departure_holds_goes_back_and_forgets)
{
    zspool_plain_t plain = s_settled (5, 5);
    zspool_plain_sent (&plain, 9, 100, 0);
    zspool_plain_departed (&plain, 500);
    CHECK (plain.holding);
    CHECK (!zspool_plain_rewinds (&plain, 500 + ZSPOOL_REWIND_MS - 1));
    zspool_plain_acknowledge (&plain, 10 * SETTLE_MS);
    CHECK_EQ_U64 (plain.floor, 5);
    CHECK (zspool_plain_rewinds (&plain, 500 + ZSPOOL_REWIND_MS));
    CHECK (!plain.holding);
    CHECK (!zspool_plain_rewinds (&plain, 10 * SETTLE_MS));
    zspool_plain_acknowledge (&plain, 10 * SETTLE_MS);
    CHECK_EQ_U64 (plain.floor, 5);
}

TEST (test_plain_second_departure_goes_back_once_more_without_holding)
{
    zspool_plain_t plain = s_settled (5, 5);
    zspool_plain_departed (&plain, 500);
    zspool_plain_departed (&plain, 550);
    CHECK (zspool_plain_rewinds (&plain, 500 + ZSPOOL_REWIND_MS));
    CHECK (!plain.holding);
    CHECK (!zspool_plain_rewinds (&plain, 549 + ZSPOOL_REWIND_MS));
    CHECK (zspool_plain_rewinds (&plain, 550 + ZSPOOL_REWIND_MS));
    CHECK (!zspool_plain_rewinds (&plain, 10 * SETTLE_MS));
}

TEST (test_plain_sent_goes_back_for_nobody)
{
    zspool_plain_t plain = s_sent (5);
    zspool_plain_departed (&plain, 500);
    CHECK (!plain.holding);
    CHECK (!zspool_plain_rewinds (&plain, 10000));
}

TEST (test_plain_seek_back_forgets_what_was_sent)
{
    zspool_plain_t plain = s_settled (5, 5);
    zspool_plain_sent (&plain, 90, 100, 0);
    zspool_plain_seek (&plain, 2);
    zspool_plain_acknowledge (&plain, 10 * SETTLE_MS);
    CHECK_EQ_U64 (plain.floor, 2);
    CHECK_EQ_U64 (plain.sent_to, 2);
    CHECK (zspool_plain_at_rest (&plain)); //  the store has moved it: there is nothing to hand in
}

TEST (test_plain_skip_raises_only)
{
    zspool_plain_t plain = s_settled (5, 7);
    zspool_plain_skip (&plain, 6);
    CHECK_EQ_U64 (plain.floor, 6);
    CHECK_EQ_U64 (plain.sent_to, 7);
    zspool_plain_skip (&plain, 3);
    CHECK_EQ_U64 (plain.floor, 6);
}

TEST (test_plain_change_is_taken_once)
{
    zspool_plain_t plain = s_sent (5);
    CHECK (zspool_plain_take_change (&plain) == NULL);
    zspool_plain_sent (&plain, 9, 100, 0);
    zspool_cursor_change_t *change = zspool_plain_take_change (&plain);
    CHECK (change != NULL);
    CHECK_EQ_U64 (change->floor, 9);
    CHECK_EQ_U64 (change->sent_to, 9);
    CHECK_EQ_U64 (change->entries_count, 0);
    free (change);
    CHECK (zspool_plain_take_change (&plain) == NULL);
}
