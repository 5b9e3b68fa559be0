//  sender.h - puts messages of blocks on a socket: PUSH, or XPUB
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of an outlet, on its thread. Small frames are copied, larger ones sent from the block
//  (pin.h). XPUB tells nobody when it becomes writable: while it refuses, its descriptor is polled,
//  which is readable when a peer's pipe has changed.

#ifndef ZSPOOL_SENDER_H_INCLUDED
#define ZSPOOL_SENDER_H_INCLUDED

#include "patience.h"
#include "pin.h"
#include "zspool_ticket.h"
#include <czmq.h>

typedef enum {
    ZSPOOL_SENDER_SENT,
    ZSPOOL_SENDER_REFUSED,       //  no peer takes a message now
    ZSPOOL_SENDER_NO_MEMORY,     //  try again a little later
    ZSPOOL_SENDER_TERMINATED     //  the context ends
} zspool_sender_result_t;

typedef struct {
    int type;                    //  ZMQ_PUSH or ZMQ_XPUB
    bool drops;                  //  XPUB: for slow subscribers; otherwise the slowest holds all
    zsock_t *zsock;              //  NULL before zspool_sender_open ()
    void *socket;                //  the same, as libzmq has it
    bool blocked;                //  the last message was refused
    bool waiting;                //  XPUB: full pipes refuse; otherwise they drop
    zspool_patience_t patience;  //  XPUB that drops
    zspool_pins_t *pins;
    zspool_pin_t *pin;           //  for large frames of pin_block; NULL: copy
    zspool_block_t *pin_block;   //  block that a pin was asked for last; only compared
    uint64_t pin_first;          //  its first sequence
} zspool_sender_t;

//  Returns 0, or -1 when memory is out.
int
    zspool_sender_init (zspool_sender_t *self, int type, bool drops);
void
    zspool_sender_destroy (zspool_sender_t *self);

//  Create the socket, attached to nothing yet. ENOMEM.
int
    zspool_sender_open (zspool_sender_t *self, int hwm);

//  Send a message, behind a ticket unless that is NULL. When it is refused nothing of it is sent.
zspool_sender_result_t
    zspool_sender_send (zspool_sender_t *self, zspool_block_t *block, const zspool_record_t *record,
                        const zspool_ticket_t *ticket, int64_t now_ms);

//  Fill in what to poll until a message that was refused may be taken. Returns how long to wait at
//  most, milliseconds, or INT32_MAX.
int64_t
    zspool_sender_poll_for (zspool_sender_t *self, zmq_pollitem_t *item);

//  Let go of the block that was sent from last: nothing is to be sent now.
void
    zspool_sender_rest (zspool_sender_t *self);

#endif
