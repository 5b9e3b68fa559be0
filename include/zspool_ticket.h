//  zspool_ticket.h - the 32 bytes with which a consumer acknowledges one delivery
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Under the `explicit` policy an outlet puts a ticket before each message as a first frame. To the
//  consumer it is opaque: send it back to the device's ack-in endpoint, alone in a frame or joined
//  with others, one behind the other; any number of frames make a message. Joined ones cost the
//  device and the consumer less. These functions are for tools.

#ifndef ZSPOOL_TICKET_H_INCLUDED
#define ZSPOOL_TICKET_H_INCLUDED

#include "zspool_library.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ZSPOOL_TICKET_BYTES 32
#define ZSPOOL_TICKETS_MAX 4096 //  most tickets joined in one frame; a peer that sends more is cut off

typedef struct {
    uint16_t attempt;     //  1 for the first delivery, at most 65535
    uint32_t spool;       //  spool number in the store
    uint32_t cursor;      //  cursor number in the spool
    uint32_t generation;  //  raised when the cursor is moved or the spool purged
    uint64_t sequence;    //  message
    uint64_t incarnation; //  store
} zspool_ticket_t;

//  Write a ticket as ZSPOOL_TICKET_BYTES bytes. Thread-safe.
ZSPOOL_EXPORT void
    zspool_ticket_encode (const zspool_ticket_t *self, uint8_t bytes[ZSPOOL_TICKET_BYTES]);

//  Read a ticket. ECORRUPT when size or layout are wrong, EVERSION when it is of a newer version.
//  Thread-safe.
ZSPOOL_EXPORT int
    zspool_ticket_decode (zspool_ticket_t *self, const void *bytes, size_t size);

#ifdef __cplusplus
}
#endif

#endif
