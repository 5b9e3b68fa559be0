//  sender.c - puts messages of blocks on a socket: PUSH, or XPUB
//
//  SPDX-License-Identifier: MPL-2.0

#include "sender.h"
#include "socket.h"
#include "store.h"
#include "subscribers.h"

#include <string.h>

//  Peers have nothing to say but what they subscribe to. One that sends a larger frame is cut off
//  by ZeroMQ.
#define FRAME_BYTES_MAX 4096
//  Frames of this size and more are sent from the block, smaller ones are copied
#define PIN_BYTES_MIN 512
//  A message that ZeroMQ has taken, and no peer yet, may linger so long when the device stops
#define LINGER_MS 1000
//  XPUB's descriptor may have told of a change before it was polled: look again after this
#define LOOK_AGAIN_MS 5

int
zspool_sender_init (zspool_sender_t *self, int type, bool drops)
{
    memset (self, 0, sizeof *self);
    self->type = type;
    self->drops = drops;
    self->pins = zspool_pins_new (ZSPOOL_PINNED_BYTES_MAX, NULL);
    return self->pins? 0: -1;
}

void
zspool_sender_destroy (zspool_sender_t *self)
{
    zspool_pin_release (&self->pin);
    zspool_pins_destroy (&self->pins);
    zsock_destroy (&self->zsock);
}

//  XPUB: let full pipes refuse a message, or drop it.
static int
s_set_waiting (zspool_sender_t *self, bool waiting)
{
    int nodrop = waiting;
    self->waiting = waiting;
    return zmq_setsockopt (self->socket, ZMQ_XPUB_NODROP, &nodrop, sizeof nodrop);
}

int
zspool_sender_open (zspool_sender_t *self, int hwm)
{
    self->zsock = zspool_socket_new (self->type, hwm, FRAME_BYTES_MAX, LINGER_MS);
    if (!self->zsock)
        return ZSPOOL_ENOMEM;
    self->socket = zsock_resolve (self->zsock);
    zsock_set_immediate (self->zsock, 1);
    if (self->type == ZMQ_XPUB
        && (zspool_subscribers_watch (self->socket, self->drops) || s_set_waiting (self, true)))
        return ZSPOOL_ENOMEM;
    return ZSPOOL_OK;
}

//  The pin for large frames of a block, or NULL: copy
static zspool_pin_t *
s_pin_of (zspool_sender_t *self, zspool_block_t *block)
{
    //  A block may be used again for other messages, and the same messages be read into another.
    uint64_t first = zspool_block_first_sequence (block);
    if (self->pin_block != block || self->pin_first != first) {
        zspool_pin_release (&self->pin);
        self->pin = zspool_pin_new (self->pins, block);
        self->pin_block = block;
        self->pin_first = first;
    }
    return self->pin;
}

void
zspool_sender_rest (zspool_sender_t *self)
{
    zspool_pin_release (&self->pin);
    self->pin_block = NULL;
}

static zspool_sender_result_t
s_send_frame (zspool_sender_t *self, zspool_block_t *block, const void *data, size_t size, bool more)
{
    zmq_msg_t message;
    zspool_pin_t *pin = size >= PIN_BYTES_MIN? s_pin_of (self, block): NULL;
    if (!pin || zspool_pin_message (pin, &message, data, size)) {
        if (zmq_msg_init_size (&message, size))
            return ZSPOOL_SENDER_NO_MEMORY;
        if (size > 0)
            memcpy (zmq_msg_data (&message), data, size);
    }
    if (zmq_msg_send (&message, self->socket, ZMQ_DONTWAIT | (more? ZMQ_SNDMORE: 0)) >= 0)
        return ZSPOOL_SENDER_SENT;
    int error = zmq_errno ();
    zmq_msg_close (&message);
    return error == ETERM? ZSPOOL_SENDER_TERMINATED: ZSPOOL_SENDER_REFUSED;
}

//  Send all frames. When one is refused ZeroMQ has taken back those before it.
static zspool_sender_result_t
s_send_frames (zspool_sender_t *self, zspool_block_t *block, const zspool_record_t *record,
               const zspool_ticket_t *ticket)
{
    zspool_sender_result_t result = ZSPOOL_SENDER_SENT;
    if (ticket) {
        uint8_t bytes [ZSPOOL_TICKET_BYTES];
        zspool_ticket_encode (ticket, bytes);
        result = s_send_frame (self, block, bytes, sizeof bytes, true);
    }
    zspool_record_t frames = *record;
    zspool_frame_t frame;
    for (size_t left = frames.frames; result == ZSPOOL_SENDER_SENT && left > 0; left--) {
        zspool_record_next_frame (&frames, &frame);
        result = s_send_frame (self, block, frame.data, frame.size, left > 1);
    }
    return result;
}

//  XPUB has refused: let it look at what its pipes tell, and see whether subscribers are to be
//  waited for any more. Then it is worth another try.
static void
s_look_again (zspool_sender_t *self, const zspool_block_t *block, int64_t now_ms)
{
    zsock_events (self->zsock);
    int64_t age_ms = (zspool_now_us () - zspool_block_stored_us (block)) / 1000;
    if (self->drops && !zspool_patience_refused (&self->patience, age_ms, now_ms))
        s_set_waiting (self, false);
}

zspool_sender_result_t
zspool_sender_send (zspool_sender_t *self, zspool_block_t *block, const zspool_record_t *record,
                    const zspool_ticket_t *ticket, int64_t now_ms)
{
    if (!self->waiting && self->type == ZMQ_XPUB && zspool_patience_waits (&self->patience, now_ms))
        s_set_waiting (self, true);
    zspool_sender_result_t result = s_send_frames (self, block, record, ticket);
    if (result == ZSPOOL_SENDER_REFUSED && self->type == ZMQ_XPUB) {
        s_look_again (self, block, now_ms);
        result = s_send_frames (self, block, record, ticket);
    }
    self->blocked = result == ZSPOOL_SENDER_REFUSED;
    if (result == ZSPOOL_SENDER_SENT && self->drops)
        zspool_patience_taken (&self->patience);
    return result;
}

int64_t
zspool_sender_poll_for (zspool_sender_t *self, zmq_pollitem_t *item)
{
    if (self->type == ZMQ_XPUB) {
        *item = (zmq_pollitem_t){ NULL, zsock_fd (self->zsock), ZMQ_POLLIN, 0 };
        return LOOK_AGAIN_MS;
    }
    *item = (zmq_pollitem_t){ self->socket, -1, ZMQ_POLLOUT, 0 };
    return INT32_MAX;
}
