//  bundle.h - messages of a producer that are sent together: in one frame of records, to one spool
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A bundle is filled by the application's thread. Once it is closed nothing of it changes, and its
//  bytes are sent, as often as need be, without being copied.

#ifndef ZSPOOL_BUNDLE_H_INCLUDED
#define ZSPOOL_BUNDLE_H_INCLUDED

#include "block.h"
#include <zmq.h>

typedef struct zspool_bundle zspool_bundle_t;
struct zspool_bundle {
    zspool_block_t *block;     //  not sealed: its records are what is sent
    uint64_t first;            //  numbers of its messages; not used in a transaction
    uint64_t last;
    size_t spool;              //  its place among those of the producer
    uint8_t level;             //  zsp_level_t
    zspool_bundle_t *next;
};

//  An empty bundle, with room for a record of so many bytes at least. NULL when memory is out.
zspool_bundle_t *
    zspool_bundle_new (zspool_block_pool_t *pool, size_t spool, uint8_t level, size_t record_bytes);
void
    zspool_bundle_destroy (zspool_bundle_t **self_p);
//  This one and those behind it
void
    zspool_bundle_destroy_all (zspool_bundle_t *self);

//  Whether a record for this spool has room in it.
bool
    zspool_bundle_takes (const zspool_bundle_t *self, size_t spool, size_t record_bytes);

//  Add a message. A negative code, and nothing is changed, when that cannot be.
int
    zspool_bundle_append (zspool_bundle_t *self, const zspool_frame_t *frames, size_t count);

//  Bytes of its records
size_t
    zspool_bundle_bytes (const zspool_bundle_t *self);

//  Make a frame of its records, which stay for as long as ZeroMQ needs them. ENOMEM.
int
    zspool_bundle_frame (zspool_bundle_t *self, zmq_msg_t *frame);

#endif
