//  test_start.c - tests of starts as people write them
//
//  SPDX-License-Identifier: MPL-2.0

#include "selftest.h"
#include "zspool_start.h"

#include <stdlib.h>
#include <time.h>

#define US_PER_S ((int64_t) 1000000)

static zspool_start_t
s_parse (const char *text)
{
    zspool_start_t start;
    CHECK_OK (zspool_start_parse (&start, text));
    return start;
}

static int64_t
s_now_us (void)
{
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    return now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

TEST (test_start_words_are_parsed)
{
    CHECK_EQ_I64 (s_parse ("all").kind, ZSPOOL_FROM_FIRST);
    CHECK_EQ_I64 (s_parse ("new").kind, ZSPOOL_FROM_NEW);
}

TEST (test_start_numbers_are_sequences)
{
    zspool_start_t start = s_parse ("2026");
    CHECK_EQ_I64 (start.kind, ZSPOOL_FROM_SEQUENCE);
    CHECK_EQ_U64 (start.number, 2026);
    CHECK_EQ_I64 (start.time_us, 0);
    CHECK_EQ_U64 (s_parse ("18446744073709551615").number, UINT64_MAX);
}

TEST (test_start_last_takes_a_count)
{
    zspool_start_t start = s_parse ("last:100");
    CHECK_EQ_I64 (start.kind, ZSPOOL_FROM_LAST);
    CHECK_EQ_U64 (start.number, 100);
}

TEST (test_start_times_are_parsed)
{
    static const struct { const char *text; int64_t time_us; } cases [] = {
        { "@0", 0 },
        { "@1.5", 1500000 },
        { "@1764225600", 1764225600 * US_PER_S },
        { "1970-01-02T00:00:00Z", 86400 * US_PER_S },
        { "1970-01-01T00:00:01,25Z", 1250000 },
        { "1970-01-01T01:00:00+01:00", 0 },
        { "1970-01-01T00:00-0130", 5400 * US_PER_S },
        { "2026-11-27T05:00:00.000001Z", 1795755600 * US_PER_S + 1 }
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases [0]; index++) {
        zspool_start_t start = s_parse (cases [index].text);
        CHECK_EQ_I64 (start.kind, ZSPOOL_FROM_TIME);
        CHECK_EQ_I64 (start.time_us, cases [index].time_us);
        CHECK_EQ_U64 (start.number, 0);
    }
}

TEST (test_start_times_without_zone_are_local)
{
    setenv ("TZ", "UTC-2", 1);
    tzset ();
    CHECK_EQ_I64 (s_parse ("1970-01-02").time_us, (86400 - 7200) * US_PER_S);
}

TEST (test_start_ages_count_from_now)
{
    static const struct { const char *text; int64_t seconds; } cases [] = {
        { "-90s", 90 }, { "-15m", 900 }, { "-1h", 3600 }, { "-7d", 7 * 86400 }
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases [0]; index++) {
        int64_t before_us = s_now_us ();
        zspool_start_t start = s_parse (cases [index].text);
        CHECK_EQ_I64 (start.kind, ZSPOOL_FROM_TIME);
        CHECK (start.time_us >= before_us - cases [index].seconds * US_PER_S);
        CHECK (start.time_us <= s_now_us () - cases [index].seconds * US_PER_S);
    }
    CHECK_EQ_I64 (s_parse ("-999999999d").time_us, 0);
}

TEST (test_start_other_texts_are_refused_and_change_nothing)
{
    static const char *const texts [] = {
        "", " ", "ALL", "first", "all ", "last", "last:", "last:0", "last:-1", "last:x", "0", "+1", "1 ", "1x",
        "18446744073709551616", "99999999999999999999", "@", "@x", "@1x", "@1.", "-", "-5", "-5w", "-s",
        "-1hh", "2026-02-31", "2026-13-01", "2026-11-27T25:00", "2026-11-27T05:00:00+24:00", "2026-11-27x"
    };
    for (size_t index = 0; index < sizeof texts / sizeof texts [0]; index++) {
        zspool_start_t start = { ZSPOOL_FROM_LAST, 7, 8 };
        if (zspool_start_parse (&start, texts [index]) != ZSPOOL_EINVAL)
            selftest_fail (__FILE__, __LINE__, "'%s' is taken", texts [index]);
        CHECK_EQ_I64 (start.kind, ZSPOOL_FROM_LAST);
        CHECK_EQ_U64 (start.number, 7);
        CHECK_EQ_I64 (start.time_us, 8);
    }
    zspool_start_t start;
    CHECK_CODE (zspool_start_parse (&start, NULL), ZSPOOL_EINVAL);
}
