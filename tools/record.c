//  record.c - sends a stored message
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A frame is copied, for what waits in ZeroMQ would else keep whole blocks in memory; but not one
//  that makes up a good part of its block.

#include "record.h"

#include <errno.h>
#include <string.h>
#include <zmq.h>

#define RECORD_FRAME_BYTES 4096 //  a frame is sent by reference from this size on
#define RECORD_BLOCK_PART 16    //  and from this part of its block on

static void
s_release (void *data, void *hint)
{
    (void) data;
    zspool_block_t *block = (zspool_block_t *) hint;
    zspool_block_destroy (&block);
}

//  Make a message of a frame; -1 and errno when memory is out.
static int
s_init_frame (zmq_msg_t *message, const zspool_frame_t *frame, zspool_block_t *block)
{
    if (frame->size >= RECORD_FRAME_BYTES
        && frame->size >= zspool_block_size (block) / RECORD_BLOCK_PART) {
        zspool_block_ref (block);
        void *data = (void *) (uintptr_t) frame->data;
        if (zmq_msg_init_data (message, data, frame->size, s_release, block) == 0)
            return 0;
        zspool_block_destroy (&block);
        return -1;
    }
    if (zmq_msg_init_size (message, frame->size) != 0)
        return -1;
    memcpy (zmq_msg_data (message), frame->data, frame->size);
    return 0;
}

//  A peer that goes between two frames makes libzmq drop the whole message: the frames sent
//  already, and those that follow, which it pretends to take.
int
record_send (const zspool_record_t *record, zspool_block_t *block, void *socket)
{
    zspool_record_t frames = *record;
    zspool_frame_t frame;
    bool dropped = false;
    for (size_t left = record->frames; zspool_record_next_frame (&frames, &frame); left--) {
        zmq_msg_t message;
        if (s_init_frame (&message, &frame, block) != 0)
            return -1;
        if (zmq_msg_send (&message, socket, ZMQ_DONTWAIT | (left > 1? ZMQ_SNDMORE: 0)) >= 0)
            continue;
        int error = zmq_errno ();
        zmq_msg_close (&message);
        errno = error;
        if (left == record->frames || error != EAGAIN)
            return -1;
        dropped = true;
    }
    if (dropped)
        errno = EAGAIN;
    return dropped? -1: 0;
}
