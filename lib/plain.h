//  plain.h - where a cursor stands whose peers send no tickets: under `sent` and `settled`
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Under `sent` a message is acknowledged when it was sent, under `settled` when settle.h has it
//  so; and when a peer has gone the outlet goes back to the floor. Not at once: ZeroMQ tells that a
//  connection has ended shortly before it ends its pipe, and what is sent between goes there too.
//  So nothing is sent for a moment, then it goes back; if another peer goes meanwhile, it goes back
//  once more, without holding again.
//
//  Pure memory. Times are milliseconds of the caller's monotonic clock.
//
//  Invariants
//  1. floor <= sent_to; the floor never falls within a generation.
//  2. The floor never passes a message that the policy has not acknowledged, or that is not of
//  another topic.

#ifndef ZSPOOL_PLAIN_H_INCLUDED
#define ZSPOOL_PLAIN_H_INCLUDED

#include "cursor.h"
#include "settle.h"

//  After a peer has gone nothing is sent for so long, until ZeroMQ has ended its pipe
#define ZSPOOL_REWIND_MS 100

typedef struct {
    bool settles;              //  the policy is settled
    uint64_t floor;            //  as the policy has it
    uint64_t sent_to;          //  highest sequence sent, or passed over
    uint64_t change_floor;     //  as it was told last
    uint64_t change_sent_to;   //  likewise
    bool holding;              //  a peer has gone: send nothing before rewind_ms
    int64_t rewind_ms;         //  go back to the floor at this time; 0: no need to
    int64_t rewind_again_ms;   //  and again at this; 0: no need to
    zspool_settle_t settle;
} zspool_plain_t;

void
    zspool_plain_init (zspool_plain_t *self, uint64_t floor, uint64_t sent_to);

//  Let the policy be settled, with its time and bytes. Otherwise it is sent.
void
    zspool_plain_settle (zspool_plain_t *self, int64_t settle_ms, uint64_t pipe_depth);

//  All messages up to `last` were sent, so many bytes, or passed over.
void
    zspool_plain_sent (zspool_plain_t *self, uint64_t last, size_t bytes, int64_t now_ms);

//  All messages behind the last one sent, up to `to`, are of other topics.
void
    zspool_plain_passed (zspool_plain_t *self, uint64_t to, int64_t now_ms);

//  The outlet is not writable now, see zspool_settle_blocked ().
void
    zspool_plain_blocked (zspool_plain_t *self, int64_t now_ms);

//  A peer has gone.
void
    zspool_plain_departed (zspool_plain_t *self, int64_t now_ms);

//  Whether it is time to go back to the floor; then that is noted as done.
bool
    zspool_plain_rewinds (zspool_plain_t *self, int64_t now_ms);

//  Raise the floor as far as the policy has it by now.
void
    zspool_plain_acknowledge (zspool_plain_t *self, int64_t now_ms);

//  All up to a sequence is gone from the store.
void
    zspool_plain_skip (zspool_plain_t *self, uint64_t to);

//  The cursor was moved, forward or back: nothing that was sent before counts.
void
    zspool_plain_seek (zspool_plain_t *self, uint64_t floor);

//  Whether something has changed since zspool_plain_take_change (), and whether more will by
//  itself.
bool
    zspool_plain_changed (const zspool_plain_t *self);
static inline bool
zspool_plain_at_rest (const zspool_plain_t *self)
{
    return self->floor == self->sent_to && !zspool_plain_changed (self);
}

//  What changed, as one allocation (free ()) without entries; spool, cursor and generation are the
//  caller's to set. NULL when nothing did, or memory is out.
zspool_cursor_change_t *
    zspool_plain_take_change (zspool_plain_t *self);

#endif
