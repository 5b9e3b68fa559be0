//  test_histogram.c - tests of histograms, measures and rates
//
//  SPDX-License-Identifier: MPL-2.0

#include "histogram.h"
#include "kit.h"
#include "rate.h"

#define VALUES 20000
#define SECOND_US 1000000

static int
s_compare (const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *) one, b = *(const uint64_t *) other;
    return (a > b) - (a < b);
}

//  Whether a value is within 1/32 of what it should be; below 32 exactly
static void
s_check_near (uint64_t value, uint64_t expected)
{
    uint64_t off = value > expected? value - expected: expected - value;
    if (off > expected / 32)
        printf ("%" PRIu64 " instead of %" PRIu64 "\n", value, expected);
    CHECK (off <= expected / 32);
}

//  Values spread over all magnitudes, up to so many bits
static void
s_fill_values (uint64_t *values, unsigned bits_max)
{
    kit_chance_t chance = kit_chance_new ();
    for (size_t index = 0; index < VALUES; index++)
        values [index] = kit_random (&chance) >> (64 - 1 - kit_below (&chance, bits_max));
}

TEST (test_histogram_percentiles_are_near_those_of_the_sorted_values)
{
    static uint64_t values [VALUES];
    static zspool_histogram_t histogram;
    s_fill_values (values, 40);
    for (size_t index = 0; index < VALUES; index++)
        zspool_histogram_add (&histogram, values [index], 1);
    qsort (values, VALUES, sizeof values [0], s_compare);
    CHECK_EQ_U64 (histogram.count, VALUES);
    CHECK_EQ_U64 (histogram.max, values [VALUES - 1]);
    for (unsigned percent = 1; percent < 100; percent++)
        s_check_near (zspool_histogram_percentile (&histogram, percent),
                      values [(size_t) percent * VALUES / 100 - 1]);
    s_check_near (zspool_histogram_percentile (&histogram, 0), values [0]);
    CHECK_EQ_U64 (zspool_histogram_percentile (&histogram, 100), values [VALUES - 1]);
}

TEST (test_histogram_of_one_value_gives_it_back)
{
    uint64_t value = 0;
    for (unsigned step = 0; step < 4000; step++) {
        static zspool_histogram_t histogram;
        memset (&histogram, 0, sizeof histogram);
        zspool_histogram_add (&histogram, value, 3);
        zspool_histogram_add (&histogram, value * 2 + 1, 2);
        s_check_near (zspool_histogram_percentile (&histogram, 50), value);
        CHECK_EQ_U64 (zspool_histogram_percentile (&histogram, 100), value * 2 + 1);
        value += step < 100? 1: value / 200 + 1;
        if (value >= 1ULL << ZSPOOL_HISTOGRAM_VALUE_BITS)
            break;
    }
    CHECK (value > 1ULL << 24);
}

TEST (test_histogram_counts_weights)
{
    static zspool_histogram_t histogram;
    zspool_histogram_add (&histogram, 10, 98);
    zspool_histogram_add (&histogram, 20, 1);
    zspool_histogram_add (&histogram, 30, 1);
    zspool_histogram_add (&histogram, 1000, 0);
    CHECK_EQ_U64 (histogram.count, 100);
    CHECK_EQ_U64 (histogram.max, 30);
    CHECK_EQ_U64 (zspool_histogram_percentile (&histogram, 98), 10);
    CHECK_EQ_U64 (zspool_histogram_percentile (&histogram, 99), 20);
    CHECK_EQ_U64 (zspool_histogram_percentile (&histogram, 99.5), 30);
}

TEST (test_histogram_of_nothing_gives_zero)
{
    static zspool_histogram_t histogram;
    CHECK_EQ_U64 (zspool_histogram_percentile (&histogram, 0), 0);
    CHECK_EQ_U64 (zspool_histogram_percentile (&histogram, 50), 0);
    CHECK_EQ_U64 (zspool_histogram_percentile (&histogram, 100), 0);
}

TEST (test_histogram_of_extremes_stays_in_its_bounds)
{
    static zspool_histogram_t histogram;
    zspool_histogram_add (&histogram, 0, 1);
    CHECK_EQ_U64 (zspool_histogram_percentile (&histogram, 100), 0);
    zspool_histogram_add (&histogram, (1ULL << ZSPOOL_HISTOGRAM_VALUE_BITS) - 1, 1);
    zspool_histogram_add (&histogram, 1ULL << ZSPOOL_HISTOGRAM_VALUE_BITS, 1);
    zspool_histogram_add (&histogram, UINT64_MAX, UINT32_MAX);
    CHECK_EQ_U64 (histogram.counts [ZSPOOL_HISTOGRAM_BUCKETS - 1], 2 + (uint64_t) UINT32_MAX);
    CHECK_EQ_U64 (zspool_histogram_percentile (&histogram, 0), 0);
    CHECK_EQ_U64 (zspool_histogram_percentile (&histogram, 99), UINT64_MAX);
}

TEST (test_histogram_merged_is_as_if_added_to_one)
{
    static uint64_t values [VALUES];
    static zspool_histogram_t parts [3], merged, whole;
    s_fill_values (values, 50);
    for (size_t index = 0; index < VALUES; index++) {
        zspool_histogram_add (&parts [index % 3], values [index], index % 7);
        zspool_histogram_add (&whole, values [index], index % 7);
    }
    for (size_t index = 0; index < 3; index++)
        zspool_histogram_merge (&merged, &parts [index]);
    CHECK (memcmp (&merged, &whole, sizeof whole) == 0);
}

TEST (test_measure_forgets_what_is_not_recent)
{
    static zspool_measure_t measure;
    zspool_histogram_t recent;
    int64_t start_us = 1000 * (int64_t) SECOND_US;
    zspool_measure_recent (&measure, start_us, &recent);
    CHECK_EQ_U64 (recent.count, 0);
    zspool_measure_add (&measure, 100, 5, start_us);
    zspool_measure_add (&measure, -3, 1, start_us + SECOND_US);
    zspool_measure_recent (&measure, start_us + 2 * SECOND_US, &recent);
    CHECK_EQ_U64 (recent.count, 6);
    CHECK_EQ_U64 (zspool_histogram_percentile (&recent, 1), 0);
    //  A value stays for one window at least, for two at most.
    for (int64_t at_us = start_us; at_us < start_us + 100 * SECOND_US; at_us += SECOND_US / 2) {
        zspool_measure_recent (&measure, at_us, &recent);
        if (at_us - start_us < ZSPOOL_MEASURE_WINDOW_US / 2)
            CHECK_EQ_U64 (recent.count, 6);
        if (at_us - start_us > 2 * ZSPOOL_MEASURE_WINDOW_US + SECOND_US)
            CHECK_EQ_U64 (recent.count, 0);
    }
    CHECK_EQ_U64 (measure.total.count, 6);
}

TEST (test_measure_recent_is_what_came_in_the_last_windows)
{
    static zspool_measure_t measure;
    zspool_histogram_t recent;
    for (int64_t second = 1; second <= 300; second++) {
        zspool_measure_add (&measure, second, 1, second * SECOND_US);
        zspool_measure_recent (&measure, second * SECOND_US, &recent);
        CHECK_EQ_U64 (recent.max, (uint64_t) second);
        uint64_t least = (uint64_t) second < 10? (uint64_t) second: 10;
        CHECK (recent.count >= least && recent.count <= 20);
    }
    CHECK_EQ_U64 (measure.total.count, 300);
    CHECK_EQ_U64 (measure.total.max, 300);
}

TEST (test_rate_is_that_of_the_last_seconds)
{
    zspool_rate_t rate = { .newest = 0 };
    uint64_t count = 0;
    int64_t now_us = 5000 * (int64_t) SECOND_US;
    CHECK_EQ_U64 (zspool_rate_get (&rate, now_us), 0);
    //  A thousand a second, then ten thousand
    for (int step = 0; step < 4000; step++, now_us += SECOND_US / 100)
        zspool_rate_note (&rate, count += 10, now_us);
    CHECK (zspool_rate_get (&rate, now_us) >= 950 && zspool_rate_get (&rate, now_us) <= 1050);
    for (int step = 0; step < 1000; step++, now_us += SECOND_US / 100)
        zspool_rate_note (&rate, count += 100, now_us);
    CHECK (zspool_rate_get (&rate, now_us) >= 9500 && zspool_rate_get (&rate, now_us) <= 10500);
    //  Then nothing: it falls, and is none after a while.
    CHECK (zspool_rate_get (&rate, now_us + 3 * SECOND_US) < 9000);
    CHECK_EQ_U64 (zspool_rate_get (&rate, now_us + ZSPOOL_RATE_SPAN_US), 0);
    //  What comes after a pause is not spread over the pause.
    now_us += 1000 * (int64_t) SECOND_US;
    zspool_rate_note (&rate, count += 5000, now_us);
    CHECK (zspool_rate_get (&rate, now_us) >= 4000);
}
