//  patience.c - when a publisher stops waiting for a slow subscriber
//
//  SPDX-License-Identifier: MPL-2.0

#include "patience.h"

//  Nobody is waited for a while, for longer than the last time if that has not been over for as
//  long.
static void
s_lose (zspool_patience_t *self, int64_t now_ms)
{
    bool again = self->over_ms > 0 && now_ms - self->over_until_ms < self->over_ms;
    self->over_ms = again? self->over_ms * 2: ZSPOOL_PATIENCE_OVER_MS;
    if (self->over_ms > ZSPOOL_PATIENCE_OVER_MAX_MS)
        self->over_ms = ZSPOOL_PATIENCE_OVER_MAX_MS;
    self->over = true;
    self->over_until_ms = now_ms + self->over_ms;
}

bool
zspool_patience_refused (zspool_patience_t *self, int64_t age_ms, int64_t now_ms)
{
    if (!self->refused) {
        self->refused = true;
        self->refused_ms = now_ms;
    }
    int64_t patience_ms = self->caught_up? ZSPOOL_PATIENCE_MS: ZSPOOL_PATIENCE_CATCHING_UP_MS;
    if (now_ms - self->refused_ms >= patience_ms)
        s_lose (self, now_ms);
    self->late = self->caught_up && age_ms >= ZSPOOL_PATIENCE_AGE_MS;
    if (!self->over && !self->late)
        return true;
    self->refused = false;
    self->times++;
    return false;
}

bool
zspool_patience_waits (zspool_patience_t *self, int64_t now_ms)
{
    if (self->over && now_ms >= self->over_until_ms)
        self->over = false;
    return !self->over && !self->late;
}
