//  plain.c - where a cursor stands whose peers send no tickets: under `sent` and `settled`
//
//  SPDX-License-Identifier: MPL-2.0

#include "plain.h"

#include <stdlib.h>
#include <string.h>

void
zspool_plain_init (zspool_plain_t *self, uint64_t floor, uint64_t sent_to)
{
    memset (self, 0, sizeof *self);
    self->floor = self->change_floor = floor;
    self->sent_to = self->change_sent_to = sent_to;
}

void
zspool_plain_settle (zspool_plain_t *self, int64_t settle_ms, uint64_t pipe_depth)
{
    self->settles = true;
    zspool_settle_init (&self->settle, settle_ms, pipe_depth);
}

void
zspool_plain_sent (zspool_plain_t *self, uint64_t last, size_t bytes, int64_t now_ms)
{
    if (last > self->sent_to)
        self->sent_to = last;
    if (self->settles)
        zspool_settle_sent (&self->settle, last, bytes, now_ms);
    else if (last > self->floor)
        self->floor = last;
}

void
zspool_plain_passed (zspool_plain_t *self, uint64_t to, int64_t now_ms)
{
    //  Behind what is not settled yet they settle with it.
    if (self->settles && self->settle.count > 0)
        zspool_plain_sent (self, to, 0, now_ms);
    else
        zspool_plain_skip (self, to);
}

void
zspool_plain_blocked (zspool_plain_t *self, int64_t now_ms)
{
    if (self->settles)
        zspool_settle_blocked (&self->settle, now_ms);
}

void
zspool_plain_departed (zspool_plain_t *self, int64_t now_ms)
{
    if (!self->settles)
        return;
    if (self->rewind_ms)
        self->rewind_again_ms = now_ms + ZSPOOL_REWIND_MS;
    else {
        self->rewind_ms = now_ms + ZSPOOL_REWIND_MS;
        self->holding = true;
    }
}

bool
zspool_plain_rewinds (zspool_plain_t *self, int64_t now_ms)
{
    if (!self->rewind_ms || now_ms < self->rewind_ms)
        return false;
    zspool_settle_disconnected (&self->settle);
    self->holding = false;
    self->rewind_ms = self->rewind_again_ms;
    self->rewind_again_ms = 0;
    return true;
}

void
zspool_plain_acknowledge (zspool_plain_t *self, int64_t now_ms)
{
    if (!self->settles || self->rewind_ms)
        return;
    uint64_t settled = zspool_settle_settled (&self->settle, now_ms);
    if (settled > self->floor)
        self->floor = settled;
}

void
zspool_plain_skip (zspool_plain_t *self, uint64_t to)
{
    if (self->floor < to)
        self->floor = to;
    if (self->sent_to < to)
        self->sent_to = to;
}

void
zspool_plain_seek (zspool_plain_t *self, uint64_t floor)
{
    if (self->settles)
        zspool_settle_disconnected (&self->settle);
    self->floor = self->change_floor = floor;
    self->sent_to = self->change_sent_to = floor;
}

bool
zspool_plain_changed (const zspool_plain_t *self)
{
    return self->floor != self->change_floor || self->sent_to != self->change_sent_to;
}

zspool_cursor_change_t *
zspool_plain_take_change (zspool_plain_t *self)
{
    if (!zspool_plain_changed (self))
        return NULL;
    zspool_cursor_change_t *change = (zspool_cursor_change_t *) calloc (1, sizeof *change);
    if (change) {
        change->floor = self->change_floor = self->floor;
        change->sent_to = self->change_sent_to = self->sent_to;
    }
    return change;
}
