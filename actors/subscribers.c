//  subscribers.c - what the peers of an XPUB socket have subscribed to, and whether it is time to
//  publish
//
//  SPDX-License-Identifier: MPL-2.0

#include "subscribers.h"

#include <string.h>
#include <zmq.h>

//  Most subscriptions taken in between two looks at the outlet's other sockets
#define BATCH_SUBSCRIPTIONS 1000

void
zspool_subscribers_init (zspool_subscribers_t *self, size_t needed, bool exclusive)
{
    memset (self, 0, sizeof *self);
    self->needed = needed == 0 && exclusive? 1: needed;
    self->exclusive = exclusive;
}

int
zspool_subscribers_watch (void *socket, bool each)
{
    int verboser = each;
    return zmq_setsockopt (socket, ZMQ_XPUB_VERBOSER, &verboser, sizeof verboser);
}

//  A peer has subscribed, its message begins with 1, or not any more, 0; anything else is none of
//  ours. Returns whether none is left.
static bool
s_take (zspool_subscribers_t *self, zmq_msg_t *frame, int64_t now_ms)
{
    int begins = zmq_msg_size (frame) > 0? *(const char *) zmq_msg_data (frame): -1;
    if (begins == 1) {
        self->count++;
        self->changed_ms = now_ms;
    }
    if (begins != 0 || self->count == 0)
        return false;
    self->open = self->open && (self->count > 1 || !self->exclusive);
    return --self->count == 0;
}

bool
zspool_subscribers_receive (zspool_subscribers_t *self, void *socket, int64_t now_ms)
{
    bool gone = false, more = false;
    zmq_msg_t frame;
    zmq_msg_init (&frame);
    for (size_t taken = 0; taken < BATCH_SUBSCRIPTIONS && zmq_msg_recv (&frame, socket, ZMQ_DONTWAIT) >= 0;
         taken++) {
        if (!more && s_take (self, &frame, now_ms))
            gone = true;
        more = zmq_msg_more (&frame);
    }
    zmq_msg_close (&frame);
    return gone;
}

bool
zspool_subscribers_may_publish (zspool_subscribers_t *self, int64_t now_ms)
{
    if (!self->open)
        self->open = self->needed == 0
                     || (self->count >= self->needed && now_ms >= zspool_subscribers_due_ms (self));
    return self->open;
}

int64_t
zspool_subscribers_due_ms (const zspool_subscribers_t *self)
{
    if (self->open || self->needed == 0 || self->count < self->needed)
        return INT64_MAX;
    return self->changed_ms + ZSPOOL_SUBSCRIBERS_QUIET_MS;
}
