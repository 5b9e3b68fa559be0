//  handoff.h - what actors say to each other: a kind, a pointer and a number, over an inproc pipe
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The service has all spools: BLOCK and STORED tell it the spool in `number`, DROPPED in a
//  zspool_seek_t, which is the pointer, with the sequence as floor.
//
//  24 bytes, so that ZeroMQ keeps them inside its message and nothing is allocated. A pointer
//  handed over belongs to the receiver from then on.

#ifndef ZSPOOL_HANDOFF_H_INCLUDED
#define ZSPOOL_HANDOFF_H_INCLUDED

#include "tsan.h"

#include <assert.h>
#include <stdint.h>
#include <zmq.h>

typedef enum {
    HANDOFF_BLOCK = 1,  //  pointer: a block, one reference. Inlet to writer: store it; number: when it was
                        //  handed over, microseconds of the monotonic clock. Writer to outlet: it
                        //  may be forwarded
    HANDOFF_TAKEN,      //  writer to inlet: it is free for another block, so many were taken
    HANDOFF_STORED,     //  writer to inlet: so many more of its blocks are durable. Writer to outlet:
                        //  more is durable than when it last looked
    HANDOFF_CHANGE,     //  outlet to writer; pointer: a cursor change, to be freed
    HANDOFF_BURY,       //  outlet to writer; pointer: a move of messages that die. It is given back as
    HANDOFF_BURIED,     //  writer to outlet; pointer: the move, with its result
    HANDOFF_FLUSH,      //  inlet, or service, to writer: commit what came before without waiting for more
    HANDOFF_STOP,       //  inlet to writer: it stops, and what is under way may exceed the spool's limit
    HANDOFF_FULL,       //  writer to inlet; number: why there is no room for its blocks, minus a code of
                        //  zspool_error_t; 0: there is room again
    HANDOFF_DROPPED,    //  writer to outlet; number: last sequence dropped at the spool's limit
    HANDOFF_SEEK,       //  writer to outlet, and service; pointer: a zspool_seek_t: a cursor was moved, durably
    HANDOFF_BATCH,      //  service to writer; pointer: a zspool_batch_t, to be stored as a whole. Writer to
                        //  service: it is durable (number 0), or, a transaction, was refused (minus a code)
    HANDOFF_JOB,        //  service to writer; pointer: a zspool_store_job_t. Writer to service: it was done
    HANDOFF_FAILED      //  writer to all: the store has failed. Outlet to writer: reading it has
} zspool_handoff_kind_t;

typedef struct {
    uint64_t kind;
    void *pointer;
    uint64_t number;
} zspool_handoff_t;

//  Send; the pipes have no high-water mark, what is under way is bounded by the protocol. Only a
//  context that is shutting down refuses: then the pointer stays with the caller. Returns 0 or -1.
static inline int
zspool_handoff_send (void *socket, zspool_handoff_kind_t kind, void *pointer, uint64_t number)
{
    zspool_handoff_t handoff = { kind, pointer, number };
    zspool_tsan_release (pointer);
    return zmq_send (socket, &handoff, sizeof handoff, ZMQ_DONTWAIT) == sizeof handoff? 0: -1;
}

//  Receive if something is there. Returns 0 or -1.
static inline int
zspool_handoff_recv (void *socket, zspool_handoff_t *handoff)
{
    int size = zmq_recv (socket, handoff, sizeof *handoff, ZMQ_DONTWAIT);
    if (size < 0)
        return -1;
    assert (size == sizeof *handoff);
    zspool_tsan_acquire (handoff->pointer);
    return 0;
}

#endif
