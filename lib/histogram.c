//  histogram.c - how values are spread
//
//  SPDX-License-Identifier: MPL-2.0

#include "histogram.h"

#include <string.h>

#define SUB_BITS ZSPOOL_HISTOGRAM_SUB_BITS
#define VALUE_MAX ((1ULL << ZSPOOL_HISTOGRAM_VALUE_BITS) - 1)

//  The highest SUB_BITS + 1 bits of a value tell the bucket within its power of two, the number of
//  those below which power. Values of SUB_BITS + 1 bits have a bucket each.
static size_t
s_bucket (uint64_t value)
{
    if (value > VALUE_MAX)
        value = VALUE_MAX;
    unsigned bits = 64 - (unsigned) __builtin_clzll (value | 1);
    unsigned shift = bits > SUB_BITS + 1? bits - SUB_BITS - 1: 0;
    return ((size_t) shift << SUB_BITS) + (size_t) (value >> shift);
}

//  The value in the middle of a bucket
static uint64_t
s_middle (size_t bucket)
{
    if (bucket < 2u << SUB_BITS)
        return bucket;
    unsigned shift = (unsigned) (bucket >> SUB_BITS) - 1;
    uint64_t least = (uint64_t) (bucket - ((size_t) shift << SUB_BITS)) << shift;
    return least + (1ULL << shift) / 2;
}

void
zspool_histogram_add (zspool_histogram_t *self, uint64_t value, uint64_t times)
{
    self->counts [s_bucket (value)] += times;
    self->count += times;
    if (value > self->max && times > 0)
        self->max = value;
}

void
zspool_histogram_merge (zspool_histogram_t *self, const zspool_histogram_t *other)
{
    for (size_t bucket = 0; bucket < ZSPOOL_HISTOGRAM_BUCKETS; bucket++)
        self->counts [bucket] += other->counts [bucket];
    self->count += other->count;
    if (other->max > self->max)
        self->max = other->max;
}

uint64_t
zspool_histogram_percentile (const zspool_histogram_t *self, double percent)
{
    double rank = percent * (double) self->count / 100;
    uint64_t passed = 0;
    if (percent >= 100)
        return self->max;
    for (size_t bucket = 0; bucket < ZSPOOL_HISTOGRAM_BUCKETS; bucket++) {
        passed += self->counts [bucket];
        if (self->counts [bucket] > 0 && (double) passed >= rank) {
            uint64_t value = s_middle (bucket);
            return value < self->max && bucket < ZSPOOL_HISTOGRAM_BUCKETS - 1? value: self->max;
        }
    }
    return self->max;
}

//  Windows that have passed begin anew.
static void
s_turn (zspool_measure_t *self, int64_t now_us)
{
    int64_t passed_us = now_us - self->window_us;
    if (passed_us < ZSPOOL_MEASURE_WINDOW_US)
        return;
    if (passed_us < 2 * ZSPOOL_MEASURE_WINDOW_US)
        self->windows [1] = self->windows [0];
    else
        memset (&self->windows [1], 0, sizeof self->windows [1]);
    memset (&self->windows [0], 0, sizeof self->windows [0]);
    self->window_us = now_us - passed_us % ZSPOOL_MEASURE_WINDOW_US;
}

void
zspool_measure_add (zspool_measure_t *self, int64_t value, uint64_t times, int64_t now_us)
{
    uint64_t counted = value > 0? (uint64_t) value: 0;
    s_turn (self, now_us);
    zspool_histogram_add (&self->total, counted, times);
    zspool_histogram_add (&self->windows [0], counted, times);
}

void
zspool_measure_recent (const zspool_measure_t *self, int64_t now_us, zspool_histogram_t *recent)
{
    memset (recent, 0, sizeof *recent);
    int64_t passed_us = now_us - self->window_us;
    if (passed_us < 2 * ZSPOOL_MEASURE_WINDOW_US)
        zspool_histogram_merge (recent, &self->windows [0]);
    if (passed_us < ZSPOOL_MEASURE_WINDOW_US)
        zspool_histogram_merge (recent, &self->windows [1]);
}
