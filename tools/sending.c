//  sending.c - sends messages through a wire
//
//  SPDX-License-Identifier: MPL-2.0

#include "sending.h"
#include "record.h"
#include "stop.h"

#include <inttypes.h>
#include <time.h>

#define SENDING_LOOK_MESSAGES 1024 //  how often one that is busy looks after its wire
#define SENDING_CATCH_UP_US 100000 //  how far a rate may fall behind and still catch up

sending_t
sending_new (int type)
{
    return (sending_t) { .wire_options = { .type = type, .hwm = COMMAND_HWM, .subscribers = 1 },
                        .timeout_ms = -1,
                        .linger_ms = -1 };
}

void
sending_option (sending_t *self, int option)
{
    wire_options_t *wire = &self->wire_options;
    switch (option) {
    case SENDING_RATE: self->rate = command_number (1, SENDING_RATE_MAX); break;
    case SENDING_HWM: wire->hwm = (int) command_number (1, COMMAND_HWM_MAX); break;
    case SENDING_TIMEOUT: self->timeout_ms = (int64_t) command_number (1, COMMAND_MS_MAX); break;
    case SENDING_LINGER:
        self->linger_ms = (int64_t) command_number (0, COMMAND_MS_MAX);
        self->linger_given = true;
        break;
    case SENDING_VERBOSE: wire->verbose = true; break;
    case SENDING_SUBSCRIBERS:
        wire->subscribers = command_number (0, SENDING_SUBSCRIBERS_MAX);
        break;
    case SENDING_DROP: wire->drop = true; break;
    }
}

int
sending_open (sending_t *self, bool live)
{
    if (!self->linger_given)
        self->linger_ms = self->timeout_ms;
    int status = wire_new (&self->wire, &self->wire_options);
    if (status == COMMAND_OK)
        meter_start (&self->meter, live);
    return status;
}

void
sending_close (sending_t *self)
{
    wire_destroy (&self->wire);
}

//  Report that nobody took the message at hand in time.
static void
s_give_up (sending_t *self, bool met)
{
    self->gave_up = true;
    const char *whom = self->wire_options.type == ZMQ_XPUB? "subscriber": "peer";
    if (!met && self->wire_options.type == ZMQ_XPUB)
        command_report ("fewer than %" PRIu64 " subscriptions came within %" PRId64 " ms",
                        self->wire_options.subscribers, self->timeout_ms);
    else
        command_report ("no %s took message %" PRIu64 " within %" PRId64 " ms%s", whom,
                        self->meter.messages + 1, self->timeout_ms,
                        self->meter.messages? ", nor perhaps some before it": "");
}

//  Wait until a peer may take a message (ZMQ_POLLOUT), which none has since start_us, or the first
//  has connected (0). False when time was out, which is reported, or a signal came.
static bool
s_wait_for_peer (sending_t *self, short events, int64_t start_us)
{
    int64_t left_ms = -1;
    if (self->timeout_ms >= 0) {
        left_ms = self->timeout_ms - (command_clock_us () - start_us) / 1000;
        left_ms = left_ms > 0? left_ms: 0;
    }
    int found = wire_await (self->wire, events, left_ms, &self->meter);
    if (found == 0)
        s_give_up (self, events != 0);
    return found == WIRE_READY;
}

//  Before the first message: wait until somebody is there to take it.
static bool
s_meet (sending_t *self)
{
    return self->meter.messages > 0 || s_wait_for_peer (self, 0, command_clock_us ());
}

//  ZeroMQ has not taken the message at hand: wait until it may. *start_us, 0 at first, is since
//  when. False when it never will, which is reported, or a signal came.
static bool
s_wait_for_room (sending_t *self, int64_t *start_us)
{
    if (zmq_errno () != EAGAIN) {
        command_report ("cannot send: %s", zmq_strerror (zmq_errno ()));
        return false;
    }
    if (*start_us == 0)
        *start_us = command_clock_us ();
    return s_wait_for_peer (self, ZMQ_POLLOUT, *start_us);
}

//  A message was sent: count it, and look after the wire at times.
static void
s_count (sending_t *self, size_t bytes)
{
    meter_count (&self->meter, bytes);
    if (self->meter.messages % SENDING_LOOK_MESSAGES == 0)
        wire_wait (self->wire, 0, -1, 0);
}

bool
sending_send (sending_t *self, const zspool_frame_t *frames, size_t count)
{
    if (!s_meet (self))
        return false;
    int64_t start_us = 0;
    while (wire_send (self->wire, frames, count) != 0)
        if (!s_wait_for_room (self, &start_us))
            return false;
    size_t bytes = 0;
    for (size_t index = 0; index < count; index++)
        bytes += frames [index].size;
    s_count (self, bytes);
    return true;
}

bool
sending_record (sending_t *self, const zspool_record_t *record, zspool_block_t *block)
{
    if (!s_meet (self))
        return false;
    int64_t start_us = 0;
    while (record_send (record, block, wire_socket (self->wire)) != 0)
        if (!s_wait_for_room (self, &start_us))
            return false;
    s_count (self, record->data_bytes);
    return true;
}

void
sending_wait_due (sending_t *self)
{
    int64_t now_us = command_clock_us ();
    while (!stop_requested ()) {
        int64_t left_us = (int64_t) self->due_us - now_us;
        if (left_us <= 0)
            break;
        meter_show (&self->meter);
        int64_t left_ms = left_us / 1000;
        if (left_ms > COMMAND_MS_MAX)
            left_ms = COMMAND_MS_MAX;
        if (left_ms > 0)
            wire_wait (self->wire, 0, -1, meter_wait_ms (&self->meter, left_ms));
        else
            nanosleep (&(struct timespec){ 0, left_us * 1000 }, NULL);
        now_us = command_clock_us ();
    }
}

void
sending_pace (sending_t *self)
{
    int64_t now_us = command_clock_us ();
    if (self->due_us < (double) (now_us - SENDING_CATCH_UP_US))
        self->due_us = (double) now_us;
    sending_wait_due (self);
    self->due_us += 1e6 / (double) self->rate;
}

bool
sending_finish (sending_t *self)
{
    meter_clear (&self->meter);
    if (stop_requested () && !self->endless)
        command_report ("interrupted after %" PRIu64 " messages", self->meter.messages);
    if (self->meter.messages == 0 || self->gave_up)
        return true;
    if (wire_drain (self->wire, self->linger_ms) != 0) {
        command_report ("gave up before all of the %" PRIu64 " messages were sent",
                        self->meter.messages);
        return false;
    }
    if (wire_departures (self->wire) > 0 && !self->wire_options.drop) {
        command_report ("a peer disconnected: messages on their way to it may be lost");
        return false;
    }
    return true;
}
