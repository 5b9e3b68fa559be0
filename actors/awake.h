//  awake.h - a clock that counts only the time in which an actor was awake
//
//  SPDX-License-Identifier: MPL-2.0
//
//  When a process is stopped, or has no processor, nobody listens to its peers. What was silent
//  meanwhile may not have been; so this time makes nothing due.

#ifndef ZSPOOL_AWAKE_H_INCLUDED
#define ZSPOOL_AWAKE_H_INCLUDED

#include <stdint.h>

//  When so much more time has passed than was waited for, the actor was not awake
#define ZSPOOL_ASLEEP_MS 100

typedef struct {
    int64_t now_ms;     //  the clock, milliseconds
    int64_t mono_ms;    //  the system's when it was last read
    int64_t timeout_ms; //  of the poll before the next reading; -1: there was none
} zspool_awake_t;

static inline void
zspool_awake_init (zspool_awake_t *self, int64_t mono_ms)
{
    self->now_ms = self->mono_ms = mono_ms;
    self->timeout_ms = 0;
}

//  Read the clock, behind a poll.
static inline void
zspool_awake_tick (zspool_awake_t *self, int64_t mono_ms)
{
    int64_t passed_ms = mono_ms - self->mono_ms;
    if (self->timeout_ms >= 0 && passed_ms > self->timeout_ms + ZSPOOL_ASLEEP_MS)
        passed_ms = self->timeout_ms + ZSPOOL_ASLEEP_MS;
    self->mono_ms = mono_ms;
    self->now_ms += passed_ms;
    self->timeout_ms = 0;
}

#endif
