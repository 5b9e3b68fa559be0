//  patience.h - when a publisher stops waiting for a slow subscriber
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Blocks come in bursts that no high-water mark would hold, so a publisher waits for pipes that
//  are full. It must not let one slow subscriber slow the rest, so it goes on without waiting, and
//  ZeroMQ drops messages for whoever is at its high-water mark, in two cases:
//  - a message has been refused for too long without a break: somebody hangs. Then nobody is waited
//    for
//    for a while; when that soon happens again the while doubles, so a subscriber that hangs costs the others
//    ever less.
//  - what is being published has become too old: somebody cannot keep up. Then nobody is waited for
//    until
//    the publisher has caught up.
//
//  Until it has first caught up with what is stored, as after a restart, age is no reason: then
//  only a subscriber that takes nothing at all is left behind.
//
//  Pure memory. Times are milliseconds of the caller's monotonic clock.

#ifndef ZSPOOL_PATIENCE_H_INCLUDED
#define ZSPOOL_PATIENCE_H_INCLUDED

#include <stdbool.h>
#include <stdint.h>

#define ZSPOOL_PATIENCE_MS 50              //  refused for so long without a break: too long
#define ZSPOOL_PATIENCE_CATCHING_UP_MS 1000 //  the same before it has first caught up
#define ZSPOOL_PATIENCE_AGE_MS 250         //  stored so long ago: too old
#define ZSPOOL_PATIENCE_OVER_MS 1000       //  for somebody who hangs nobody is waited for so long at first,
#define ZSPOOL_PATIENCE_OVER_MAX_MS 64000  //  and at most

typedef struct {
    bool caught_up;          //  has been up with what is stored
    bool refused;            //  the message at hand was refused,
    int64_t refused_ms;      //  first at this time
    bool late;               //  nobody is waited for until it has caught up
    bool over;               //  nobody is waited for
    int64_t over_until_ms;   //  until this time
    int64_t over_ms;         //  how long that was decided for; 0: never yet
    uint64_t times;          //  how often patience was lost
} zspool_patience_t;

//  The message at hand, stored so long ago, was refused. Returns whether to wait; if not, nobody is
//  waited for from now on.
bool
    zspool_patience_refused (zspool_patience_t *self, int64_t age_ms, int64_t now_ms);

//  A message was taken, or there is none.
static inline void
zspool_patience_taken (zspool_patience_t *self)
{
    self->refused = false;
}

//  The publisher is up with what is stored.
static inline void
zspool_patience_caught_up (zspool_patience_t *self)
{
    self->caught_up = true;
    self->late = false;
}

//  It was moved back, and must catch up anew.
static inline void
zspool_patience_fell_back (zspool_patience_t *self)
{
    self->caught_up = false;
}

//  Whether subscribers are to be waited for now. It may become so again with time.
bool
    zspool_patience_waits (zspool_patience_t *self, int64_t now_ms);

#endif
