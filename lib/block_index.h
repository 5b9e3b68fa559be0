//  block_index.h - which topics the messages of a block have, and when each came: what stands
//  behind its records
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The topic of a message is its first frame. The layout is documented in lib/block.c. Two nouns:
//  the dictionary grows while a block is filled; the index is read in the block's bytes.
//
//  A dictionary is given up, and its block is sealed without an index, when an index would not be
//  worth its bytes: a topic is longer than ZSPOOL_TOPIC_BYTES_MAX; there are more than
//  ZSPOOL_TOPICS_MAX; they take more than an eighth of the block's capacity, or in the end more
//  than an eighth of its records. So messages that are all different, which no topic can tell
//  apart sooner than they themselves, have their topics looked at until an eighth of a block is
//  filled, and those of 1 KiB or more not at all. Also when topics are made to collide.

#ifndef ZSPOOL_BLOCK_INDEX_H_INCLUDED
#define ZSPOOL_BLOCK_INDEX_H_INCLUDED

#include "zspool_block.h"

#define ZSPOOL_TOPIC_BYTES_MAX 1023 //  longest topic in an index; a filter may have so many, too
#define ZSPOOL_TOPICS_MAX 8192      //  most topics in an index

//  Bytes of an index: of an empty one, though none is; what a message adds at most, beside its topic
#define ZSPOOL_INDEX_BYTES_MIN 16
#define ZSPOOL_INDEX_MESSAGE_BYTES 16

//  ------------------------------------------------------------------------------------------------
//  Writing: one thread

typedef struct zspool_dictionary zspool_dictionary_t;

//  Create an empty one; it takes half a MiB, of which it touches what it needs. NULL when memory is
//  out.
zspool_dictionary_t *
    zspool_dictionary_new (void);
void
    zspool_dictionary_destroy (zspool_dictionary_t **self_p);

//  Forget all, so that it can be used for another block.
void
    zspool_dictionary_clear (zspool_dictionary_t *self);

//  Add a message: where its record starts, microseconds from the first message's arrival to its
//  own, and its topic, which stays where it is until the index is written; all topics may take
//  topics_bytes_max. Gives the bytes of an index so far; or 0 when the dictionary is to be given up:
//  then it is of no use until it is cleared.
size_t
    zspool_dictionary_add (zspool_dictionary_t *self, size_t offset, uint32_t delay_us,
                           const uint8_t *topic, size_t topic_bytes, size_t topics_bytes_max);

//  Bytes of the index for records of so many bytes; 0 when it is not worth them.
size_t
    zspool_dictionary_bytes (const zspool_dictionary_t *self, size_t record_bytes);

//  Write the index, so many bytes, but its checksum; and then that.
void
    zspool_dictionary_write (const zspool_dictionary_t *self, uint8_t *to);
void
    zspool_block_index_seal (uint8_t *bytes, size_t size, uint64_t body_hash);

//  Bytes at the end of an index that its block's checksum leaves out: its own
#define ZSPOOL_INDEX_HASH_BYTES 8

//  ------------------------------------------------------------------------------------------------
//  Reading: any thread

//  An index, as it lies in the bytes of a block
typedef struct {
    uint32_t topics;         //  how many; 0: there is no index
    uint32_t count;          //  messages
    const uint8_t *offsets;  //  of each message, where its record starts, u32
    const uint8_t *delays;   //  of each message, when it came, u32
    const uint8_t *numbers;  //  of each message, its topic, u16
    const uint8_t *table;    //  of each topic, where its text ends, u32, and its messages, u16
    const uint8_t *texts;    //  one behind the other
} zspool_block_index_t;

//  Find the parts of an index of so many bytes, for so many messages. ECORRUPT when they do not
//  add up to that.
int
    zspool_block_index_open (zspool_block_index_t *self, const uint8_t *bytes, size_t size, uint32_t count);

//  Check an index that is open, as far as it can be without the records: that its checksum holds,
//  and that it belongs to the block with this checksum of its body; that texts lie inside it.
//  ECORRUPT.
int
    zspool_block_index_check (const zspool_block_index_t *self, size_t size, uint64_t body_hash);

//  Check one that passed that check against the records of its block, which are sound: that it says
//  what they say. ECORRUPT.
int
    zspool_block_index_compare (const zspool_block_index_t *self, const zspool_block_t *block);

//  A topic by its number, 0 to topics - 1
zspool_frame_t
    zspool_block_index_topic (const zspool_block_index_t *self, uint32_t number);

//  How many messages have it
uint32_t
    zspool_block_index_messages (const zspool_block_index_t *self, uint32_t number);

#endif
