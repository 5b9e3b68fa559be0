//  deliveries.h - what a consumer has received, and which of it it holds
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Frames of records wait in a list; the application takes messages from the one at hand. Pure
//  memory: the owner holds a mutex, but for what lies in the frame at hand, which is the
//  application's alone.
//
//  Invariants
//  1. What the application has taken, and neither acknowledged nor given back, is held, if it was
//     delivered in this session and generation; and so is the rest of the frame at hand.
//  2. Credit is due for messages when the application has taken their frame, or they are void.

#ifndef ZSPOOL_DELIVERIES_H_INCLUDED
#define ZSPOOL_DELIVERIES_H_INCLUDED

#include "lease.h"
#include "zsp.h"
#include "zspool_consumer.h"

//  A frame of records that was received
typedef struct zspool_parcel zspool_parcel_t;
struct zspool_parcel {
    zmq_msg_t frame;
    zsp_slice_t slice;
    zspool_parcel_t *next;
};

typedef struct {
    zspool_parcel_t *parcels;  //  in the order they came
    zspool_parcel_t **parcels_end;
    size_t ahead;              //  messages in them
    zspool_leases_t *held;
    uint64_t credit_messages;  //  that is due
    uint64_t credit_bytes;

    //  The application's
    zspool_parcel_t *current;  //  at hand, or NULL
    zspool_record_t record;    //  of it, taken last
} zspool_deliveries_t;

//  ENOMEM.
int
    zspool_deliveries_init (zspool_deliveries_t *self);
void
    zspool_deliveries_end (zspool_deliveries_t *self);

//  Take in a frame, which is empty then. ENOMEM.
int
    zspool_deliveries_add (zspool_deliveries_t *self, zsp_slice_t slice, zmq_msg_t *frame);

//  Something came that is not taken in: its credit is due again.
void
    zspool_deliveries_pass (zspool_deliveries_t *self, uint64_t messages, uint64_t bytes);

//  What was received is void, and nothing is held: it was of another session, or generation.
void
    zspool_deliveries_void (zspool_deliveries_t *self);

//  Have the next frame at hand; false: there is none.
bool
    zspool_deliveries_turn (zspool_deliveries_t *self);

//  The application: the next message of the frame at hand; false: there is none. Let go of the
//  frame.
bool
    zspool_deliveries_next (zspool_deliveries_t *self, zspool_delivery_t *delivery);
void
    zspool_deliveries_drop (zspool_deliveries_t *self);

//  Whether a message was taken, and is held.
bool
    zspool_deliveries_holds (zspool_deliveries_t *self, uint64_t sequence);

//  Let go of what was taken of first..last, and is held: `each` is called with every stretch.
//  Returns how many messages; UINT64_MAX: memory is out.
uint64_t
    zspool_deliveries_take (zspool_deliveries_t *self, uint64_t first, uint64_t last,
                            zspool_lease_fn each, void *arg);

//  Hold these: also when they come again, as their time was over, and are held already. When memory
//  is out they cannot be acknowledged, and are delivered again.
void
    zspool_deliveries_hold (zspool_deliveries_t *self, uint64_t first, uint64_t last);

#endif
