//  test_patience.c - tests of when a publisher stops waiting for a slow subscriber
//
//  SPDX-License-Identifier: MPL-2.0

#include "patience.h"
#include "selftest.h"

#define CAUGHT_UP { .caught_up = true }

TEST (test_patience_short_refusals_are_waited_for)
{
    zspool_patience_t patience = CAUGHT_UP;
    for (int64_t now_ms = 0; now_ms < 100000; now_ms += ZSPOOL_PATIENCE_MS) {
        CHECK (zspool_patience_refused (&patience, 0, now_ms));
        CHECK (zspool_patience_refused (&patience, 0, now_ms + ZSPOOL_PATIENCE_MS - 1));
        zspool_patience_taken (&patience);
        CHECK (zspool_patience_waits (&patience, now_ms));
    }
    CHECK_EQ_U64 (patience.times, 0);
}

TEST (test_patience_one_long_refusal_ends_it_for_a_while)
{
    zspool_patience_t patience = CAUGHT_UP;
    CHECK (zspool_patience_refused (&patience, 0, 1000));
    CHECK (!zspool_patience_refused (&patience, 0, 1000 + ZSPOOL_PATIENCE_MS));
    int64_t until_ms = 1000 + ZSPOOL_PATIENCE_MS + ZSPOOL_PATIENCE_OVER_MS;
    CHECK (!zspool_patience_waits (&patience, until_ms - 1));
    CHECK (zspool_patience_waits (&patience, until_ms));
}

TEST (test_patience_what_has_become_too_old_waits_no_more_until_it_has_caught_up)
{
    zspool_patience_t patience = CAUGHT_UP;
    CHECK (zspool_patience_refused (&patience, ZSPOOL_PATIENCE_AGE_MS - 1, 1000));
    CHECK (!zspool_patience_refused (&patience, ZSPOOL_PATIENCE_AGE_MS, 1000));
    CHECK (!zspool_patience_waits (&patience, 1000000));
    zspool_patience_caught_up (&patience);
    CHECK (zspool_patience_waits (&patience, 1000000));
}

//  Refused for too long as soon as subscribers are waited for again: how long they then are not
static int64_t
s_lose_again (zspool_patience_t *patience, int64_t *now_ms)
{
    zspool_patience_refused (patience, 0, *now_ms);
    *now_ms += ZSPOOL_PATIENCE_MS;
    CHECK (!zspool_patience_refused (patience, 0, *now_ms));
    int64_t over_ms = patience->over_until_ms - *now_ms;
    *now_ms = patience->over_until_ms;
    CHECK (zspool_patience_waits (patience, *now_ms));
    return over_ms;
}

TEST (test_patience_subscriber_that_hangs_costs_ever_less)
{
    zspool_patience_t patience = CAUGHT_UP;
    int64_t now_ms = 5000, expected_ms = ZSPOOL_PATIENCE_OVER_MS;
    for (int round = 0; round < 12; round++) {
        CHECK_EQ_U64 (s_lose_again (&patience, &now_ms), expected_ms);
        expected_ms *= 2;
        if (expected_ms > ZSPOOL_PATIENCE_OVER_MAX_MS)
            expected_ms = ZSPOOL_PATIENCE_OVER_MAX_MS;
    }
    //  It has been well for longer than it was not: that is forgotten.
    now_ms += 2 * ZSPOOL_PATIENCE_OVER_MAX_MS;
    CHECK_EQ_U64 (s_lose_again (&patience, &now_ms), ZSPOOL_PATIENCE_OVER_MS);
}

TEST (test_patience_age_is_no_reason_before_it_has_caught_up)
{
    zspool_patience_t patience = { .caught_up = false };
    CHECK (zspool_patience_refused (&patience, 1000000, 0));
    CHECK (zspool_patience_refused (&patience, 1000000, ZSPOOL_PATIENCE_CATCHING_UP_MS - 1));
    zspool_patience_taken (&patience);
    CHECK (zspool_patience_refused (&patience, 1000000, 5000));
    CHECK (!zspool_patience_refused (&patience, 1000000, 5000 + ZSPOOL_PATIENCE_CATCHING_UP_MS));
    CHECK_EQ_U64 (patience.times, 1);
}

TEST (test_patience_moved_back_it_catches_up_anew)
{
    zspool_patience_t patience = CAUGHT_UP;
    zspool_patience_fell_back (&patience);
    CHECK (zspool_patience_refused (&patience, 1000000, 0));
    zspool_patience_caught_up (&patience);
    CHECK (!zspool_patience_refused (&patience, 1000000, 1));
}
