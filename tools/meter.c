//  meter.c - counts messages and shows how fast they go
//
//  SPDX-License-Identifier: MPL-2.0

#include "meter.h"
#include "command.h"

#include <inttypes.h>
#include <stdio.h>

#define METER_SHOW_MS 1000       //  how often progress is shown
#define METER_LOOK_MESSAGES 1024 //  how often a busy meter looks at the clock

void
meter_start (meter_t *self, bool live)
{
    *self = (meter_t){ .live = live, .shown_us = command_clock_us () };
}

void
meter_count (meter_t *self, size_t bytes)
{
    self->last_us = command_clock_us ();
    if (self->messages == 0)
        self->first_us = self->last_us;
    self->messages++;
    self->bytes += bytes;
    if (self->messages % METER_LOOK_MESSAGES == 0)
        meter_show (self);
}

void
meter_show (meter_t *self)
{
    if (!self->live)
        return;
    int64_t now_us = command_clock_us ();
    int64_t passed_us = now_us - self->shown_us;
    if (passed_us < METER_SHOW_MS * 1000)
        return;
    double rate = (double) (self->messages - self->shown) * 1e6 / (double) passed_us;
    char more [METER_TEXT_BYTES] = "";
    if (self->describe)
        self->describe (self->owner, more, sizeof more);
    if (self->lines)
        command_report ("%" PRIu64 " messages, %.0f/s%s", self->messages, rate, more);
    else
        fprintf (stderr, "\r%" PRIu64 " messages, %.0f/s%s\033[K", self->messages, rate, more);
    self->shown_us = now_us;
    self->shown = self->messages;
}

int
meter_wait_ms (const meter_t *self, int64_t wait_ms)
{
    if (self->live && (wait_ms < 0 || wait_ms > METER_SHOW_MS))
        return METER_SHOW_MS;
    return (int) wait_ms;
}

void
meter_wipe (const meter_t *self)
{
    if (self->live && !self->lines)
        fputs ("\r\033[K", stderr);
}

void
meter_clear (meter_t *self)
{
    meter_wipe (self);
    self->live = false;
}

void
meter_summary (meter_t *self, const char *more)
{
    meter_clear (self);
    double seconds = (double) (self->last_us - self->first_us) / 1e6;
    double rate = seconds > 0? (double) self->messages / seconds: 0;
    command_report ("%" PRIu64 " messages, %" PRIu64 " bytes in %.3f s, %.0f messages/s%s",
                    self->messages, self->bytes, seconds, rate, more);
}
