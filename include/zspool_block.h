//  zspool_block.h - a sealed run of consecutive messages in contiguous bytes
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A block is filled by one thread, sealed, and from then on immutable and shared by reference
//  count: any thread may read it, and take or drop a reference. The layout is documented in
//  lib/block.c.

#ifndef ZSPOOL_BLOCK_H_INCLUDED
#define ZSPOOL_BLOCK_H_INCLUDED

#include "zspool_library.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ZSPOOL_BLOCK_BYTES (512 * 1024)              //  usual capacity of a block, bytes of records
#define ZSPOOL_MESSAGE_BYTES_MAX (128 * 1024 * 1024) //  largest message: all frames together
#define ZSPOOL_MESSAGE_FRAMES_MAX 65535              //  most frames in one message

typedef struct zspool_block zspool_block_t;

//  One frame of a message: borrowed bytes
typedef struct {
    const void *data; //  may be NULL when size is 0
    size_t size;      //  bytes
} zspool_frame_t;

//  One message of a block, as zspool_block_next () finds it. The pointers lead into the block.
typedef struct {
    uint64_t sequence;       //  the message's number; 0 while the block is not stamped
    size_t frames;           //  number of frames, at least 1
    size_t data_bytes;       //  all frames together
    const uint8_t *data;     //  frames, one behind the other
    const uint8_t *sizes;    //  private: size table of all frames but the last
    size_t frame_index;      //  private: frames taken by zspool_record_next_frame ()
    size_t frame_offset;     //  private: their bytes
    size_t next_offset;      //  private: where the next record starts
    uint32_t number;         //  private: of the next record in its block, from 0
} zspool_record_t;

//  Create an empty block with room for `capacity` bytes of records (1 to 192 MiB); a message takes
//  its bytes plus 8, plus 4 for each frame beyond the first. Returns NULL when memory is out or
//  capacity is out of range. The caller holds one reference.
ZSPOOL_EXPORT zspool_block_t *
    zspool_block_new (size_t capacity);

//  Take another reference to a sealed block and return it. Thread-safe.
ZSPOOL_EXPORT zspool_block_t *
    zspool_block_ref (zspool_block_t *self);

//  Drop a reference and set *self_p to NULL; the last one frees the block. NULL-safe. Thread-safe.
ZSPOOL_EXPORT void
    zspool_block_destroy (zspool_block_t **self_p);

//  Append one message: its frames in order, copied, and when it arrived (microseconds since 1970,
//  UTC). Only the thread that fills the block. Errors: EFULL, no room (the block is unchanged: seal
//  it and use another); ETOOBIG, over ZSPOOL_MESSAGE_BYTES_MAX or ZSPOOL_MESSAGE_FRAMES_MAX;
//  EINVAL, no frames or the block is sealed.
ZSPOOL_EXPORT int
    zspool_block_append (zspool_block_t *self, const zspool_frame_t *frames, size_t count,
                         int64_t arrival_us);

//  Seal the block: header and checksums are written, nothing can be appended any more. Only the
//  thread that filled it; hand it to others behind this. EINVAL when it is empty or sealed already.
//  Nothing is durable: see zspool_store_append ().
ZSPOOL_EXPORT int
    zspool_block_seal (zspool_block_t *self);

//  Rebuild a block from bytes that zspool_block_bytes () gave, copying them. Every checksum, size
//  and record is checked; no byte outside [bytes, bytes + size) is read. Errors: ECORRUPT,
//  EVERSION, ENOMEM. On success the caller owns the reference in *self_p. Thread-safe.
ZSPOOL_EXPORT int
    zspool_block_decode (zspool_block_t **self_p, const void *bytes, size_t size);

//  The sealed block's bytes, stamp and header included, and their number; valid while a reference
//  is held. NULL and 0 when it is not sealed.
ZSPOOL_EXPORT const void *
    zspool_block_bytes (const zspool_block_t *self);
ZSPOOL_EXPORT size_t
    zspool_block_size (const zspool_block_t *self);

//  Number of messages.
ZSPOOL_EXPORT uint32_t
    zspool_block_count (const zspool_block_t *self);

//  Sequence of the first and last message; 0 before the block was appended to a store.
ZSPOOL_EXPORT uint64_t
    zspool_block_first_sequence (const zspool_block_t *self);
ZSPOOL_EXPORT uint64_t
    zspool_block_last_sequence (const zspool_block_t *self);

//  When the first message arrived, and when the block was stamped for the store (0 before):
//  microseconds since 1970, UTC. The latter never decreases within a spool.
ZSPOOL_EXPORT int64_t
    zspool_block_arrival_us (const zspool_block_t *self);
ZSPOOL_EXPORT int64_t
    zspool_block_stored_us (const zspool_block_t *self);

//  Iterate over a sealed block without copying: rewind, then call next until it returns false. The
//  record is the caller's, one for each iteration; what it and its frames point to is valid while a
//  reference to the block is held. Thread-safe.
ZSPOOL_EXPORT void
    zspool_block_rewind (const zspool_block_t *self, zspool_record_t *record);
ZSPOOL_EXPORT bool
    zspool_block_next (const zspool_block_t *self, zspool_record_t *record);

//  When a message arrived (microseconds since 1970, UTC): that of the record that
//  zspool_block_next () gave last. Where the block has no index, when its first message did.
//  Thread-safe.
ZSPOOL_EXPORT int64_t
    zspool_record_arrival_us (const zspool_block_t *self, const zspool_record_t *record);

//  How many topics, which are first frames of messages, the block's index has; 0: it has no index,
//  as a block in which nearly all topics differ, or one of a device that does not keep any. What
//  has to be known of topics must be looked for in the messages then. Thread-safe.
ZSPOOL_EXPORT uint32_t
    zspool_block_topics (const zspool_block_t *self);

//  A topic of the index by its number, 0 to zspool_block_topics () - 1, in the order in which they
//  first appear; and how many messages of the block have it, unless messages is NULL. What topic
//  points to is valid while a reference to the block is held. ENOENT: there is no such number.
//  Thread-safe.
ZSPOOL_EXPORT int
    zspool_block_topic (const zspool_block_t *self, uint32_t number, zspool_frame_t *topic,
                        uint32_t *messages);

//  Take the next frame of a record; false when all were taken, and *frame is as it was.
ZSPOOL_EXPORT bool
    zspool_record_next_frame (zspool_record_t *record, zspool_frame_t *frame);

//  A property of a record: what zspool knows of a message beside its frames, such as that it died
//  before (zspool_dead.h). Consumers never get any. The numbers in use are in lib/history.c.
typedef struct {
    uint8_t id;              //  what it says
    uint8_t type;            //  how the bytes are to be read; follows from the id
    size_t size;             //  bytes
    const uint8_t *data;     //  in the block
} zspool_property_t;

//  Take a record's properties one after the other: set *offset to 0 before the first. False when
//  there is no further one.
ZSPOOL_EXPORT bool
    zspool_record_next_property (const zspool_record_t *record, size_t *offset, zspool_property_t *property);

#ifdef __cplusplus
}
#endif

#endif
