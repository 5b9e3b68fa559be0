//  rate.h - how fast a counter has grown lately
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Samples of a counter, a second apart, taken when something happens; the rate is that since the
//  newest sample of 5 seconds ago or more. After 5 seconds in which nothing happened it begins
//  anew. All zero: a counter at 0.

#ifndef ZSPOOL_RATE_H_INCLUDED
#define ZSPOOL_RATE_H_INCLUDED

#include <stdint.h>
#include <string.h>

#define ZSPOOL_RATE_SAMPLES 8
#define ZSPOOL_RATE_SAMPLE_US 1000000
#define ZSPOOL_RATE_SPAN_US 5000000

typedef struct {
    int64_t times_us [ZSPOOL_RATE_SAMPLES]; //  ring
    uint64_t counts [ZSPOOL_RATE_SAMPLES];  //  the counter then
    unsigned newest;                        //  sample
    unsigned oldest;
    int64_t last_us;                        //  when something happened last
    uint64_t last;                          //  the counter since then
} zspool_rate_t;

//  Something has happened: the counter has this value now.
static inline void
zspool_rate_note (zspool_rate_t *self, uint64_t count, int64_t now_us)
{
    if (now_us - self->last_us >= ZSPOOL_RATE_SPAN_US) {
        self->newest = self->oldest = 0;
        self->times_us [0] = now_us - ZSPOOL_RATE_SAMPLE_US;
        self->counts [0] = self->last;
    }
    else if (now_us - self->times_us [self->newest] >= ZSPOOL_RATE_SAMPLE_US) {
        self->newest = (self->newest + 1) % ZSPOOL_RATE_SAMPLES;
        if (self->newest == self->oldest)
            self->oldest = (self->oldest + 1) % ZSPOOL_RATE_SAMPLES;
        self->times_us [self->newest] = now_us;
        self->counts [self->newest] = count;
    }
    self->last_us = now_us;
    self->last = count;
}

//  What it has grown by in a second, on the average of the last seconds
static inline uint64_t
zspool_rate_get (const zspool_rate_t *self, int64_t now_us)
{
    if (now_us - self->last_us >= ZSPOOL_RATE_SPAN_US)
        return 0;
    unsigned at = self->newest;
    while (at != self->oldest && now_us - self->times_us [at] < ZSPOOL_RATE_SPAN_US)
        at = (at + ZSPOOL_RATE_SAMPLES - 1) % ZSPOOL_RATE_SAMPLES;
    double passed_s = (double) (now_us - self->times_us [at]) / 1e6;
    return passed_s > 0? (uint64_t) ((double) (self->last - self->counts [at]) / passed_s): 0;
}

#endif
