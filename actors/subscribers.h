//  subscribers.h - what the peers of an XPUB socket have subscribed to, and whether it is time to
//  publish
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of an outlet, on its thread. Subscriptions of one peer come one by one: publishing begins
//  when enough are there and none has come for a moment. They are counted, each of each peer, over
//  any transport; of an exclusive peer, which ends with the last of them, its topics.

#ifndef ZSPOOL_SUBSCRIBERS_H_INCLUDED
#define ZSPOOL_SUBSCRIBERS_H_INCLUDED

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  Publishing begins when no subscription has come for so long
#define ZSPOOL_SUBSCRIBERS_QUIET_MS 50

typedef struct {
    size_t needed;            //  subscriptions that publishing waits for; 0: it does not wait
    bool exclusive;           //  it stops when there are none any more
    bool open;                //  messages are published
    uint64_t count;           //  subscriptions, or topics when exclusive
    int64_t changed_ms;       //  when one came last
} zspool_subscribers_t;

void
    zspool_subscribers_init (zspool_subscribers_t *self, size_t needed, bool exclusive);

//  Let the socket tell of each subscription, or of each topic that anybody wants. A peer that
//  subscribes to a topic twice is told of twice, and of its end once: only topics can be counted
//  down to none. Returns 0 or -1.
int
    zspool_subscribers_watch (void *socket, bool each);

//  Take in what has come, a bounded number at a time. Returns whether the last subscriber has gone.
bool
    zspool_subscribers_receive (zspool_subscribers_t *self, void *socket, int64_t now_ms);

//  Whether messages are to be published now; and if not, when that is to be asked again, INT64_MAX:
//  when subscriptions have come.
bool
    zspool_subscribers_may_publish (zspool_subscribers_t *self, int64_t now_ms);
int64_t
    zspool_subscribers_due_ms (const zspool_subscribers_t *self);

#endif
