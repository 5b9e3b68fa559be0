//  block_layout.h - where everything stands in a block, and in memory: for block*.c
//  and run.c only
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The layout is documented in block.c.

#ifndef ZSPOOL_BLOCK_LAYOUT_H_INCLUDED
#define ZSPOOL_BLOCK_LAYOUT_H_INCLUDED

#include "block.h"
#include "block_index.h"
#include "bytes.h"

#include <stdatomic.h>

#define BLOCK_MAGIC 0x4250535AU //  "ZSPB"
#define BLOCK_VERSION 1
#define FLAG_INDEX 2U
#define RECORD_HEAD_BYTES 8
#define PROPERTY_HEAD_BYTES 4

//  Offsets in the stamp and in the header
enum {
    STAMP_FIRST_SEQUENCE = 0,
    STAMP_STORED_US = 8,
    STAMP_INCARNATION = 16,
    STAMP_FLAGS = 24,
    STAMP_HASH = 32,
    HEADER_MAGIC = 40,
    HEADER_VERSION = 44,
    HEADER_SIZE = 46,
    HEADER_FLAGS = 48,
    HEADER_COUNT = 52,
    HEADER_RECORD_BYTES = 56,
    HEADER_STORED_BYTES = 60,
    HEADER_INDEX_BYTES = 64,
    HEADER_CODEC = 68,
    HEADER_KEY_ID = 70,
    HEADER_ARRIVAL_US = 72,
    HEADER_PRODUCER_ID = 80,
    HEADER_PRODUCER_NUMBER = 88,
    HEADER_BODY_HASH = 96,
    BODY = ZSPOOL_BLOCK_OVERHEAD_BYTES
};

//  Properties are padded to so many bytes.
static inline size_t
block_padded (size_t size)
{
    return (size + 3) / 4 * 4;
}

struct zspool_block {
    atomic_uint refs;          //  0: free, in a pool
    zspool_block_pool_t *pool; //  where it goes back to, or NULL
    bool sealed;
    uint32_t count;            //  messages
    size_t capacity;           //  room for records and index, bytes
    size_t used;               //  bytes of records
    size_t index_bytes;        //  bytes of the index behind them, or that it would have by now; 0: none
    zspool_dictionary_t *dictionary; //  of topics while it is filled, or NULL: no index is kept
    zspool_block_index_t index;      //  of a sealed block
    uint64_t first_sequence;
    int64_t stored_us;
    int64_t arrival_us;        //  of the first message
    uint8_t bytes [];          //  stamp, header, records, index
};

struct zspool_block_pool {
    atomic_uint refs;          //  the owner, and each block that is out
    size_t capacity;           //  of each block
    size_t size;               //  number of slots
    zspool_dictionary_t *dictionary; //  that no block uses now, or NULL
    zspool_block_t *slots [];  //  NULL until first needed
};

//  Checksum of stamp and header; and of records and index, but for the index's own
uint64_t
    zspool_block_head_hash (const uint8_t *bytes);
uint64_t
    zspool_block_body_hash (const uint8_t *bytes, size_t stored_bytes, size_t index_bytes);

//  The pool's owner, or a block that was out, has no more to do with it: the last one frees it.
void
    zspool_block_pool_unref (zspool_block_pool_t *self);

#endif
