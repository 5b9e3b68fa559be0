//  message.c - the message that an inlet is receiving: its frames, held to the limits on messages
//
//  SPDX-License-Identifier: MPL-2.0

#include "message.h"

#include <czmq.h>
#include <stdlib.h>

#define FRAMES_FIRST 16              //  room for so many frames at first
//  A frame of up to so many times the limit is received and dropped; of up to so many bytes, always
#define FRAME_LIMITS_MAX 8
#define FRAME_BYTES_LEAST (1024 * 1024)
//  Dropped messages are told of once in this time
#define WARN_MS 60000

int
zspool_message_init (zspool_message_t *self, size_t bytes_max, size_t count_max)
{
    memset (self, 0, sizeof *self);
    self->bytes_max = bytes_max;
    self->count_max = count_max;
    self->kept_max = FRAMES_FIRST;
    self->frames = (zmq_msg_t *) malloc (FRAMES_FIRST * sizeof *self->frames);
    self->views = (zspool_frame_t *) malloc (FRAMES_FIRST * sizeof *self->views);
    if (self->frames && self->views)
        return ZSPOOL_OK;
    zspool_message_destroy (self);
    return ZSPOOL_ENOMEM;
}

static void
s_close_frames (zspool_message_t *self)
{
    for (size_t index = 0; index < self->kept; index++)
        zmq_msg_close (&self->frames [index]);
    self->kept = 0;
}

void
zspool_message_destroy (zspool_message_t *self)
{
    s_close_frames (self);
    free (self->frames);
    free (self->views);
    memset (self, 0, sizeof *self);
}

void
zspool_message_clear (zspool_message_t *self)
{
    s_close_frames (self);
    self->count = self->bytes = 0;
    self->dropping = false;
}

//  Make room for another frame; false when memory is out.
static bool
s_grow (zspool_message_t *self)
{
    if (self->kept < self->kept_max)
        return true;
    size_t max = self->kept_max * 2;
    zmq_msg_t *frames = (zmq_msg_t *) realloc (self->frames, max * sizeof *frames);
    if (frames)
        self->frames = frames;
    zspool_frame_t *views = (zspool_frame_t *) realloc (self->views, max * sizeof *views);
    if (views)
        self->views = views;
    if (!frames || !views)
        return false;
    self->kept_max = max;
    return true;
}

//  Tell of a message that is dropped, and how many were, but not of each in a row of them.
static void
s_count_dropped (zspool_message_t *self)
{
    int64_t now_ms = zclock_mono ();
    self->dropped++;
    if (self->warned_ms && now_ms - self->warned_ms < WARN_MS)
        return;
    self->warned_ms = now_ms;
    zsys_warning ("a message of %zu bytes in %zu frames was dropped (limits: %zu bytes, %zu frames); "
                  "%llu since the start",
                  self->bytes, self->count, self->bytes_max, self->count_max,
                  (unsigned long long) self->dropped);
}

//  Count a frame. One that is over a limit, or finds no memory, makes the message be dropped.
static void
s_take_frame (zspool_message_t *self, zmq_msg_t *frame)
{
    self->count++;
    self->bytes += zmq_msg_size (frame);
    if (self->count > self->count_max || self->bytes > self->bytes_max)
        self->dropping = true;
    if (self->dropping) {
        s_close_frames (self);
        zmq_msg_close (frame);
    }
    else
        self->kept++;
}

zspool_message_result_t
zspool_message_receive (zspool_message_t *self, void *socket)
{
    //  A frame is received where it stays; of a message that is dropped, always in the first place.
    if (!s_grow (self)) {
        self->dropping = true;
        s_close_frames (self);
    }
    zmq_msg_t *frame = &self->frames [self->kept];
    zmq_msg_init (frame);
    if (zmq_msg_recv (frame, socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close (frame);
        return zmq_errno () == ETERM? ZSPOOL_MESSAGE_TERMINATED: ZSPOOL_MESSAGE_NONE;
    }
    bool more = zmq_msg_more (frame);
    s_take_frame (self, frame);
    if (more)
        return ZSPOOL_MESSAGE_PART;
    if (!self->dropping)
        return ZSPOOL_MESSAGE_WHOLE;
    s_count_dropped (self);
    zspool_message_clear (self);
    return ZSPOOL_MESSAGE_DROPPED;
}

const zspool_frame_t *
zspool_message_views (zspool_message_t *self)
{
    for (size_t index = 0; index < self->kept; index++) {
        self->views [index].data = zmq_msg_data (&self->frames [index]);
        self->views [index].size = zmq_msg_size (&self->frames [index]);
    }
    return self->views;
}

int64_t
zspool_message_frame_bytes_max (size_t bytes_max)
{
    uint64_t bytes = (uint64_t) bytes_max * FRAME_LIMITS_MAX;
    if (bytes < FRAME_BYTES_LEAST)
        bytes = FRAME_BYTES_LEAST;
    return bytes < ZSPOOL_MESSAGE_BYTES_MAX? (int64_t) bytes: ZSPOOL_MESSAGE_BYTES_MAX;
}
