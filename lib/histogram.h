//  histogram.h - how values are spread: counts in buckets of logarithmic width
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The layout is that of HdrHistogram (Gil Tene, http://hdrhistogram.org, public domain): each
//  power of two is cut into 16 buckets of one width. So adding is a few shifts, merging an
//  addition, the size is fixed, and a value that is read back is wrong by at most 1/32 (3.2 %);
//  below 32 it is exact. Values are of any unit; those of 2^40 and above (12 days in microseconds)
//  share the last bucket, but the greatest is kept as it was.
//
//  A measure keeps all values since the start, and those of the last 10 to 20 seconds. Neither is
//  shared: each belongs to the thread that measures.

#ifndef ZSPOOL_HISTOGRAM_H_INCLUDED
#define ZSPOOL_HISTOGRAM_H_INCLUDED

#include <stdint.h>

#define ZSPOOL_HISTOGRAM_SUB_BITS 4   //  16 buckets for each power of two
#define ZSPOOL_HISTOGRAM_VALUE_BITS 40
#define ZSPOOL_HISTOGRAM_BUCKETS \
    ((ZSPOOL_HISTOGRAM_VALUE_BITS - ZSPOOL_HISTOGRAM_SUB_BITS + 1) << ZSPOOL_HISTOGRAM_SUB_BITS)
#define ZSPOOL_MEASURE_WINDOW_US 10000000 //  half of what counts as recent at most

//  All zero: an empty one
typedef struct {
    uint64_t count;       //  values added
    uint64_t max;         //  the greatest of them
    uint64_t counts [ZSPOOL_HISTOGRAM_BUCKETS];
} zspool_histogram_t;

//  All zero: an empty one
typedef struct {
    zspool_histogram_t total;
    zspool_histogram_t windows [2]; //  the present one, and the one before
    int64_t window_us;    //  when the present one began
} zspool_measure_t;

//  Add a value so many times.
void
    zspool_histogram_add (zspool_histogram_t *self, uint64_t value, uint64_t times);

//  Add all that another one holds.
void
    zspool_histogram_merge (zspool_histogram_t *self, const zspool_histogram_t *other);

//  The value that `percent` (0 to 100) of all are not above, within 1/32; 0 when there is none. 100
//  gives the greatest.
uint64_t
    zspool_histogram_percentile (const zspool_histogram_t *self, double percent);

//  Add a value so many times at a time of the monotonic clock, microseconds. A negative value, of a
//  clock that was set, counts as 0.
void
    zspool_measure_add (zspool_measure_t *self, int64_t value, uint64_t times, int64_t now_us);

//  The values of the last 10 to 20 seconds
void
    zspool_measure_recent (const zspool_measure_t *self, int64_t now_us,
                           zspool_histogram_t *recent);

#endif
