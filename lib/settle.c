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
#define RATE_PARTS 128              //  bytes seen to go count as at least this part of those to drain

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

//  How long it takes until what is not settled, or pipe_depth bytes, has drained at a rate
static int64_t
s_drain_ms (const zspool_settle_t *self, uint64_t rate_bytes, int64_t rate_ms)
{
    uint64_t depth = self->sent_bytes - self->settled_bytes;
    if (depth > self->pipe_depth)
        depth = self->pipe_depth;
    if (rate_bytes < depth / RATE_PARTS + 1)
        rate_bytes = depth / RATE_PARTS + 1;
    double drain_ms = (double) depth / (double) rate_bytes * (double) rate_ms;
    return drain_ms < (double) (INT64_MAX / 4)? (int64_t) drain_ms: INT64_MAX / 4;
}

//  The same at the slower of the rates seen lately
static int64_t
s_slowest_drain_ms (const zspool_settle_t *self)
{
    int64_t before_ms = s_drain_ms (self, self->rate_before_bytes, self->rate_before_ms);
    int64_t drain_ms = s_drain_ms (self, self->sent_bytes - self->rate_since_bytes,
                                   self->blocked_ms - self->rate_since_ms);
    return drain_ms > before_ms? drain_ms: before_ms;
}

void
zspool_settle_blocked (zspool_settle_t *self, int64_t now_ms)
{
    //  The rate is that of the last pipe_depth bytes, or since the outlet was last settled and at
    //  rest.
    bool rested = self->blocked_ms == INT64_MIN || now_ms - self->blocked_ms > self->settle_ms;
    if (rested || self->sent_bytes - self->rate_since_bytes > self->pipe_depth) {
        self->rate_before_bytes = rested? 0: self->sent_bytes - self->rate_since_bytes;
        self->rate_before_ms = rested? 0: now_ms - self->rate_since_ms;
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
    self->settled_bytes = self->sent_bytes;
}

static bool
s_is_settled (const zspool_settle_t *self, const zspool_settle_mark_t *mark, int64_t now_ms)
{
    if (mark->sent_ms > now_ms - self->settle_ms)
        return false;
    if (mark->refusals == self->refusals || self->sent_bytes - mark->sent_bytes > self->pipe_depth)
        return true;
    return now_ms - self->blocked_ms >= self->settle_ms + s_slowest_drain_ms (self);
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
    self->settled_bytes = self->marks [settled - 1].sent_bytes;
    self->count -= settled;
    memmove (self->marks, &self->marks [settled], self->count * sizeof (zspool_settle_mark_t));
    return sequence;
}
