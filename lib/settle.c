//  settle.c - decides when a message that was sent to plain peers may count as taken
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Invariants
//  1. Marks are in order of sequence, time and bytes; each stands for what was sent after the mark
//     before.
//  2. A mark is judged by what is hardest to meet of its messages: the time and bytes of the last,
//     and the time since when the outlet must have stayed writable of the first. So merging marks
//     is never early.

#include "settle.h"

#include <string.h>

#define SETTLE_PARTS 64             //  marks that the settle time is divided into
#define RATE_PARTS 128              //  a rate seen over less than this part of pipe_depth counts as over it

void
zspool_settle_init (zspool_settle_t *self, int64_t settle_ms, uint64_t pipe_depth)
{
    memset (self, 0, sizeof *self);
    self->settle_ms = settle_ms;
    self->pipe_depth = pipe_depth;
    self->blocked_ms = INT64_MIN;
}

//  Make room for a mark: merge the two neighbours that together take the shortest time.
static void
s_merge_two (zspool_settle_t *self)
{
    size_t best = 0;
    int64_t best_ms = INT64_MAX;
    for (size_t index = 0; index + 1 < self->count; index++) {
        int64_t taken_ms = self->marks [index + 1].sent_ms - self->marks [index].first_ms;
        if (taken_ms < best_ms) {
            best_ms = taken_ms;
            best = index;
        }
    }
    self->marks [best + 1].first_ms = self->marks [best].first_ms;
    self->marks [best + 1].refusals = self->marks [best].refusals;
    self->count--;
    memmove (&self->marks [best], &self->marks [best + 1],
             (self->count - best) * sizeof (zspool_settle_mark_t));
}

void
zspool_settle_sent (zspool_settle_t *self, uint64_t sequence, size_t bytes, int64_t now_ms)
{
    zspool_settle_mark_t *mark = self->count? &self->marks [self->count - 1]: NULL;
    if (!mark || now_ms - mark->first_ms > self->settle_ms / SETTLE_PARTS
        || mark->refusals != self->refusals) {
        if (self->count == ZSPOOL_SETTLE_MARKS)
            s_merge_two (self);
        mark = &self->marks [self->count++];
        mark->first_ms = now_ms;
        mark->refusals = self->refusals;
    }
    self->sent_bytes += bytes;
    mark->sequence = sequence;
    mark->sent_ms = now_ms;
    mark->sent_bytes = self->sent_bytes;
}

//  How long pipe_depth bytes take at the rate seen since rate_since_ms
static int64_t
s_drain_ms (const zspool_settle_t *self)
{
    uint64_t bytes = self->sent_bytes - self->rate_since_bytes;
    if (bytes < self->pipe_depth / RATE_PARTS + 1)
        bytes = self->pipe_depth / RATE_PARTS + 1;
    double drain_ms = (double) self->pipe_depth / (double) bytes
                      * (double) (self->blocked_ms - self->rate_since_ms);
    return drain_ms < (double) (INT64_MAX / 4)? (int64_t) drain_ms: INT64_MAX / 4;
}

void
zspool_settle_blocked (zspool_settle_t *self, int64_t now_ms)
{
    //  The rate is that of the last pipe_depth bytes, or since the outlet was last settled and at
    //  rest.
    bool rested = self->blocked_ms == INT64_MIN || now_ms - self->blocked_ms > self->settle_ms;
    if (rested || self->sent_bytes - self->rate_since_bytes > self->pipe_depth) {
        self->drain_before_ms = rested? 0: s_drain_ms (self);
        self->rate_since_ms = now_ms;
        self->rate_since_bytes = self->sent_bytes;
    }
    self->blocked_ms = now_ms;
    self->refusals++;
}

void
zspool_settle_disconnected (zspool_settle_t *self)
{
    self->count = 0;
}

static bool
s_is_settled (const zspool_settle_t *self, const zspool_settle_mark_t *mark, int64_t now_ms)
{
    if (mark->sent_ms > now_ms - self->settle_ms)
        return false;
    if (mark->refusals == self->refusals || self->sent_bytes - mark->sent_bytes > self->pipe_depth)
        return true;
    int64_t drain_ms = s_drain_ms (self);
    if (drain_ms < self->drain_before_ms)
        drain_ms = self->drain_before_ms;
    return now_ms - self->blocked_ms >= self->settle_ms + drain_ms;
}

uint64_t
zspool_settle_settled (zspool_settle_t *self, int64_t now_ms)
{
    size_t settled = 0;
    while (settled < self->count && s_is_settled (self, &self->marks [settled], now_ms))
        settled++;
    if (settled == 0)
        return 0;
    uint64_t sequence = self->marks [settled - 1].sequence;
    self->count -= settled;
    memmove (self->marks, &self->marks [settled], self->count * sizeof (zspool_settle_mark_t));
    return sequence;
}
