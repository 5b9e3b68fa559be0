//  block.h - what only libzspool may do with a block
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_LIB_BLOCK_H_INCLUDED
#define ZSPOOL_LIB_BLOCK_H_INCLUDED

#include "block_index.h"

#define ZSPOOL_BLOCK_STAMP_BYTES 40
#define ZSPOOL_BLOCK_HEADER_BYTES 64
#define ZSPOOL_BLOCK_OVERHEAD_BYTES (ZSPOOL_BLOCK_STAMP_BYTES + ZSPOOL_BLOCK_HEADER_BYTES)
#define ZSPOOL_BLOCK_CAPACITY_MAX (192 * 1024 * 1024) //  bytes of records in the largest block
#define ZSPOOL_BLOCK_MESSAGES_MAX (32 * 1024)   //  most messages in a block

//  Bytes that a message takes in a block, without properties
size_t
    zspool_block_record_bytes (size_t frames, size_t data_bytes);

//  Most bytes of a record's properties
#define ZSPOOL_PROPERTIES_BYTES_MAX (255 * 4)

//  Write a property behind the `used` bytes of others in a buffer of ZSPOOL_PROPERTIES_BYTES_MAX.
//  Returns how many bytes are used then, or 0 when there is no room for it.
size_t
    zspool_property_put (uint8_t *properties, size_t used, const zspool_property_t *property);

//  Append a message with properties as zspool_property_put () wrote them. Errors as
//  zspool_block_append () has them.
int
    zspool_block_append_with (zspool_block_t *self, const zspool_frame_t *frames, size_t count,
                              const uint8_t *properties, size_t properties_bytes, int64_t arrival_us);

//  Append a message of one frame: as zspool_block_append (), for the hot path.
int
    zspool_block_append_frame (zspool_block_t *self, const void *data, size_t size,
                               int64_t arrival_us);

//  Whether an index is to be kept: of each message's topic, and when it came (block_index.h tells
//  when it is given up). Before the first message only; zspool_block_reset () turns it off. When
//  memory is out, none is kept.
void
    zspool_block_set_indexed (zspool_block_t *self, bool indexed);

//  Whether a message may be appended now that takes so many bytes, and whose topic, its first
//  frame, so many of these. An index needs room of its own: of what is left by capacity and used
//  alone this cannot be told.
bool
    zspool_block_has_room (const zspool_block_t *self, size_t record_bytes, size_t topic_bytes);

//  Bytes of records that a block must have room for, for this message alone and an index of it.
//  With less, it has no index.
size_t
    zspool_block_bytes_with_index (size_t record_bytes, size_t topic_bytes);

//  The index of a sealed block, or NULL: it has none. As long as the block.
const zspool_block_index_t *
    zspool_block_index (const zspool_block_t *self);

//  Have zspool_block_next () give the message with this number in a block that has an index: 0 for
//  the first; for as many as there are, none.
void
    zspool_block_go_to (const zspool_block_t *self, zspool_record_t *record, uint32_t number);

//  The topic of a message: its first frame. Frames taken are as before.
zspool_frame_t
    zspool_record_topic (const zspool_record_t *record);

//  Number the messages of a sealed block from first_sequence. The block must be the caller's alone.
void
    zspool_block_stamp (zspool_block_t *self, uint64_t first_sequence, int64_t stored_us,
                        uint64_t incarnation);

//  A buffer for size bytes of a block to be read in: fill it, then zspool_block_load () checks them
//  and makes them the sealed content. NULL when it does not fit the block's capacity. ECORRUPT,
//  EVERSION.
uint8_t *
    zspool_block_buffer (zspool_block_t *self, size_t size);
int
    zspool_block_load (zspool_block_t *self, size_t size);

//  What the first ZSPOOL_BLOCK_OVERHEAD_BYTES of a block say, checked by their own checksum
typedef struct {
    uint64_t first_sequence;
    int64_t stored_us;
    uint64_t incarnation;
    uint32_t count;        //  messages
    size_t size;           //  of the whole block, bytes
    size_t index_bytes;    //  of these, at the end, index; 0: there is none
    uint64_t body_hash;    //  checksum of what follows
} zspool_block_head_t;

int
    zspool_block_read_head (zspool_block_head_t *head, const uint8_t *bytes, size_t size);

//  Forget the content, so that the block can be filled again. The block must be the caller's alone.
void
    zspool_block_reset (zspool_block_t *self);

//  Bytes of records (and index) the block has room for, and bytes of records so far.
size_t
    zspool_block_capacity (const zspool_block_t *self);
size_t
    zspool_block_used (const zspool_block_t *self);

//  ------------------------------------------------------------------------------------------------
//  A fixed set of blocks that are used again: allocated when first needed, freed with the pool.
//  Taking is for one thread; dropping the last reference, which gives a block back, may happen in
//  any. The pool lives until its owner and the last block have let it go.

typedef struct zspool_block_pool zspool_block_pool_t;

//  A pool of at most `blocks` blocks of `capacity` bytes each. NULL when memory is out.
zspool_block_pool_t *
    zspool_block_pool_new (size_t blocks, size_t capacity);
void
    zspool_block_pool_destroy (zspool_block_pool_t **self_p);

//  An empty block with room for at least `bytes` of records, or NULL when none is free now. One
//  larger than the pool's capacity comes from the heap, and goes back there.
zspool_block_t *
    zspool_block_pool_take (zspool_block_pool_t *self, size_t bytes);

#endif
