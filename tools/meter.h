//  meter.h - counts messages and shows how fast they go
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef METER_H_INCLUDED
#define METER_H_INCLUDED

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METER_TEXT_BYTES 128 //  room for what is added to progress

typedef struct {
    bool live;            //  show progress on standard error
    bool lines;           //  each time on a line of its own
    //  Adds to it, unless NULL; `owner` is borrowed
    void (*describe) (const void *owner, char *text, size_t size);
    const void *owner;
    uint64_t messages;    //  counted
    uint64_t bytes;       //  of their frames
    int64_t first_us;     //  when the first was counted
    int64_t last_us;      //  when the last was
    int64_t shown_us;     //  when progress was last shown
    uint64_t shown;       //  messages then
} meter_t;

//  Begin; `live` shows a line of progress once a second, written over itself.
void
    meter_start (meter_t *self, bool live);

//  Count one message.
void
    meter_count (meter_t *self, size_t bytes);

//  Show progress when it is due: call it before each wait, and wait no longer than meter_wait_ms
//  ().
void
    meter_show (meter_t *self);

//  How long to wait at most: `wait_ms` (-1: for ever), or less so that progress stays fresh.
int
    meter_wait_ms (const meter_t *self, int64_t wait_ms);

//  Wipe the line of progress, to report something; or for good.
void
    meter_wipe (const meter_t *self);
void
    meter_clear (meter_t *self);

//  Report one line: messages, bytes, time from the first to the last message, rate; `more` is
//  added.
void
    meter_summary (meter_t *self, const char *more);

#endif
