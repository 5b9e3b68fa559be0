//  settle.h - decides when a message that was sent to plain peers may count as taken
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The `settled` policy: a message is acknowledged when it was sent at least settle_ms ago, no peer
//  has disconnected since, and one of these holds:
//  - the outlet stayed writable all that time;
//  - more than pipe_depth bytes were sent after it;
//  - the outlet has by now stayed writable for settle_ms and the time that what is not settled, or
//    pipe_depth bytes if that is less, would take at the rate that was seen while it was refused
//    now and then. Without this a queue that goes idle after a burst would keep its end for ever.
//
//  Pure memory, bounded: at most ZSPOOL_SETTLE_MARKS marks, each standing for all that was sent in
//  a part of the settle time. Times are milliseconds of the caller's monotonic clock.

#ifndef ZSPOOL_SETTLE_H_INCLUDED
#define ZSPOOL_SETTLE_H_INCLUDED

#include "zspool_library.h"

#define ZSPOOL_SETTLE_MARKS 128

//  A mark: what was sent in some stretch of time
typedef struct {
    uint64_t sequence;        //  last message sent
    int64_t first_ms;         //  when the first of the stretch was sent
    uint64_t refusals;        //  how often the outlet had been seen not writable by then
    int64_t sent_ms;          //  when the last was
    uint64_t sent_bytes;      //  bytes sent by the outlet up to and including the last
} zspool_settle_mark_t;

typedef struct {
    int64_t settle_ms;        //  the policy's time
    uint64_t pipe_depth;      //  the policy's bytes
    uint64_t sent_bytes;      //  sent by the outlet so far
    uint64_t refusals;        //  how often the outlet was seen not writable
    int64_t blocked_ms;       //  last time the outlet was seen not writable; INT64_MIN: never
    int64_t rate_since_ms;    //  the rate while blocked is measured from this time on,
    uint64_t rate_since_bytes; //  when so many bytes had been sent
    uint64_t rate_before_bytes; //  what was measured before that: so many bytes
    int64_t rate_before_ms;   //  took so long
    uint64_t settled_bytes;   //  bytes that were sent up to the last message that settled
    size_t count;             //  marks in use
    zspool_settle_mark_t marks [ZSPOOL_SETTLE_MARKS]; //  oldest first
} zspool_settle_t;

void
    zspool_settle_init (zspool_settle_t *self, int64_t settle_ms, uint64_t pipe_depth);

//  A message (or a run that ends with it) was sent.
void
    zspool_settle_sent (zspool_settle_t *self, uint64_t sequence, size_t bytes, int64_t now_ms);

//  The outlet is not writable now: call it when a send is refused, and again when it becomes
//  writable.
void
    zspool_settle_blocked (zspool_settle_t *self, int64_t now_ms);

//  A peer has disconnected: forget all marks; the caller sends again from its floor.
void
    zspool_settle_disconnected (zspool_settle_t *self);

//  The highest sequence up to which all is settled now, or 0 when no further one is. Never early.
//  Late by settle_ms / 64 at most, or, where bytes are waited for, by the bytes that were sent in
//  so much time; by more only while the marks span more than twice settle_ms, as what was sent
//  before a refused send may wait long for pipe_depth further bytes: then their resolution is some
//  1/64 of the time they span.
uint64_t
    zspool_settle_settled (zspool_settle_t *self, int64_t now_ms);

#endif
