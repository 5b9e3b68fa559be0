//  message.h - the message that an inlet is receiving: its frames, held to the limits on messages
//
//  SPDX-License-Identifier: MPL-2.0
//
//  ZeroMQ gives a message's frames one by one, but has all of them when it gives the first. One
//  that is over a limit is received to its end all the same, and dropped as a whole, so that what
//  follows it on the same connection is not touched.
//
//  Thread: the inlet's.

#ifndef ZSPOOL_MESSAGE_H_INCLUDED
#define ZSPOOL_MESSAGE_H_INCLUDED

#include "zspool_block.h"
#include <zmq.h>

typedef struct {
    zmq_msg_t *frames;          //  that are kept: none, of a message that is dropped
    zspool_frame_t *views;      //  the same, as a block takes them
    size_t kept;                //  how many frames are kept
    size_t kept_max;            //  room for them in both
    size_t count;               //  frames received, kept or not
    size_t bytes;               //  in these
    size_t count_max;           //  most frames of a message
    size_t bytes_max;           //  most bytes of a message, all its frames together
    bool dropping;              //  it is over a limit
    uint64_t dropped;           //  messages that were
    int64_t warned_ms;          //  when that was told last, by the monotonic clock; 0: never
} zspool_message_t;

//  What receiving a frame came to
typedef enum {
    ZSPOOL_MESSAGE_NONE,        //  the socket had none
    ZSPOOL_MESSAGE_PART,        //  more frames belong to it
    ZSPOOL_MESSAGE_WHOLE,       //  it was the last
    ZSPOOL_MESSAGE_DROPPED,     //  it was the last, of a message over a limit: nothing is at hand
    ZSPOOL_MESSAGE_TERMINATED   //  the context has ended
} zspool_message_result_t;

//  Limits: 1 to ZSPOOL_MESSAGE_BYTES_MAX bytes, 1 to ZSPOOL_MESSAGE_FRAMES_MAX frames. ENOMEM.
int
    zspool_message_init (zspool_message_t *self, size_t bytes_max, size_t count_max);
void
    zspool_message_destroy (zspool_message_t *self);

//  Receive one frame, without waiting.
zspool_message_result_t
    zspool_message_receive (zspool_message_t *self, void *socket);

//  The message at hand is done with.
void
    zspool_message_clear (zspool_message_t *self);

//  The frames that are kept, as a block takes them; valid until the message is done with.
const zspool_frame_t *
    zspool_message_views (zspool_message_t *self);

//  The largest frame that ZeroMQ may let in, in bytes: a good deal above the limit on messages, for
//  it ends the connection of a peer that sends a larger one, whatever else is on its way; but
//  bounded, for it has each frame in memory before we see it.
int64_t
    zspool_message_frame_bytes_max (size_t bytes_max);

#endif
