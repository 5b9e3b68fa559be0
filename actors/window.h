//  window.h - the messages of a producer that the service may still ask for
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Pure memory: knows no socket and no thread; its owner holds a mutex.
//
//  Invariants
//  1. Bundles are in order of their numbers, without a gap; those before `unsent` were sent in this
//     session; behind all of them comes the one being filled.
//  2. A bundle is kept until it is durable, or, without a name and at the level cached, until it
//  was
//     cached: whatever the service can ask for again is there.

#ifndef ZSPOOL_WINDOW_H_INCLUDED
#define ZSPOOL_WINDOW_H_INCLUDED

#include "bundle.h"

typedef struct {
    bool named;                //  the producer has a name
    bool async;                //  the level default is that of being cached
    zspool_block_pool_t *pool;
    zspool_bundle_t *bundles;
    zspool_bundle_t **bundles_end;
    zspool_bundle_t *unsent;   //  first one to be sent; NULL: none
    zspool_bundle_t *filling;  //  NULL: none
    uint64_t last;             //  number given last
    uint64_t settled;          //  all up to here were let go
    uint64_t bytes;            //  of records that are kept
    uint64_t sent_bytes;       //  of those that were sent
    size_t sent_count;         //  bundles that were sent
    uint64_t cached;           //  the service has all up to here,
    uint64_t committed;        //  and these are durable,
    uint64_t confirmed;        //  and these have reached their levels
} zspool_window_t;

//  ENOMEM.
int
    zspool_window_init (zspool_window_t *self, bool named);
void
    zspool_window_end (zspool_window_t *self);

//  Let numbers go on behind this one; nothing is kept. What lies before is confirmed.
void
    zspool_window_begin (zspool_window_t *self, uint64_t last);

//  Whether it holds so many messages, or so many bytes.
bool
    zspool_window_is_full (const zspool_window_t *self, uint64_t messages, uint64_t bytes);

//  Put a message, whose record has so many bytes: its number is self->last. *closed: a bundle has
//  become full, and is to be sent. ENOMEM, and what zspool_block_append () gives.
int
    zspool_window_put (zspool_window_t *self, size_t spool, uint8_t level,
                       const zspool_frame_t *frames, size_t count, size_t record_bytes,
                       bool *closed);

//  The bundle being filled is to be sent as it is.
void
    zspool_window_close (zspool_window_t *self);

//  The first of the unsent was sent.
void
    zspool_window_sent (zspool_window_t *self);

//  All that is kept is to be sent again, from the bundle on that has this number.
void
    zspool_window_send_from (zspool_window_t *self, uint64_t number);

//  Take in how far the service has got: let go of what it cannot ask for any more.
void
    zspool_window_confirm (zspool_window_t *self, uint64_t cached, uint64_t committed);

//  The next number was that of a transaction, which is durable: so is all before it, all of which
//  was sent.
void
    zspool_window_skip (zspool_window_t *self);

#endif
