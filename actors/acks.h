//  acks.h - takes tickets in, and acknowledges on an outlet's cursor what they stand for
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of an outlet, on its thread.

#ifndef ZSPOOL_ACKS_H_INCLUDED
#define ZSPOOL_ACKS_H_INCLUDED

#include "cursor.h"
#include "zspool_ticket.h"
#include <czmq.h>

//  Largest frame that a peer may send; one that sends more is cut off by ZeroMQ
#define ZSPOOL_ACKS_FRAME_BYTES_MAX (ZSPOOL_TICKETS_MAX * ZSPOOL_TICKET_BYTES)

typedef struct {
    zsock_t *socket;           //  where tickets come in; NULL before the start, and without explicit
    const zspool_ticket_t *ours; //  spool, cursor, generation and store that they must be of
    zspool_cursor_t *cursor;
    uint64_t good;             //  tickets that acknowledged
    uint64_t stale;            //  of another generation or store, or acknowledged already
    uint64_t bad;              //  frames that hold no tickets, and tickets that are none
} zspool_acks_t;

//  Take in what has come, a bounded number at a time.
void
    zspool_acks_receive (zspool_acks_t *self);

#endif
