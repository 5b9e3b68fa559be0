//  block.c - packs messages into contiguous bytes
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Layout, little-endian, version 1. All offsets follow from the counts; nothing is aligned.
//
//  stamp, 40 bytes, by the store       0  first_sequence u64      8  stored_us i64
//                                     16  incarnation u64        24  flags u32 (0)   28  reserved u32 (0)
//                                     32  XXH3-64 of the 32 bytes before and the 64 bytes of the
//                                     header
//  header, 64 bytes, by who packs     40  magic u32 "ZSPB"       44  version u16     46  header_bytes u16
//                                     48  flags u32              52  count u32       56  record_bytes u32
//                                     60  stored_bytes u32       64  index_bytes u32
//                                     68  codec u16              70  key_id u16      72  first_arrival_us i64
//                                     80  producer_id u64        88  producer_number u64
//                                     96  XXH3-64 of everything behind the header, but for the
//                                     index's own checksum
//  records, stored_bytes             104  one behind the other, `count` of them:
//      body_bytes u32; flags u8 (0); property_words u8; frames u16
//      sizes of all frames but the last, u32 each
//      properties, property_words * 4 bytes, which a reader skips that does not know them: each
//      id u8, type u8, length u16, so many bytes, zeros up to a multiple of 4
//      the frames' bytes
//  index, index_bytes                     there is one with flag 2 (flag 1, an index before the
//                                     records, was never written): topics and times of arrival
//      topics u32; topics_bytes u32
//      of each message where its record starts, u32, counted from the first record
//      of each message how many microseconds after first_arrival_us it came, u32
//      of each message the number of its topic, u16
//      of each topic where its text ends, u32, counted from the first text; its messages, u16
//      topic texts, topics_bytes
//      XXH3-64 of the index up to here, seeded with the checksum at 96, so that this index alone
//      can be proven to be this block's
//
//  A topic is a message's first frame. Topics are numbered as they first appear, from 0, and each
//  is there once. When an index is not worth its bytes, see block_index.h.
//
//  body_bytes is what follows the record's first 8 bytes. record_bytes is stored_bytes before
//  compression.
//
//  To raise the version: write the new number in the header, keep reading the old layout in
//  block_read.c, and add a file of the old version to selftest/fixtures/. A reader refuses versions
//  and flags it does not know.

#include "block_layout.h"
#include "run.h"

#include <stdlib.h>

#define TOPICS_PART 8                  //  a dictionary may take this part of the capacity

zspool_block_t *
zspool_block_new (size_t capacity)
{
    if (capacity == 0 || capacity > ZSPOOL_BLOCK_CAPACITY_MAX)
        return NULL;
    zspool_block_t *self = (zspool_block_t *) malloc (sizeof *self + BODY + capacity);
    if (!self)
        return NULL;
    memset (self, 0, sizeof *self + BODY);
    self->capacity = capacity;
    atomic_init (&self->refs, 1);
    return self;
}

zspool_block_t *
zspool_block_ref (zspool_block_t *self)
{
    atomic_fetch_add_explicit (&self->refs, 1, memory_order_release);
    return self;
}

//  Keep no index any more. The dictionary goes back to the pool for the next block.
static void
s_drop_dictionary (zspool_block_t *self)
{
    if (self->dictionary && self->pool && !self->pool->dictionary) {
        zspool_dictionary_clear (self->dictionary);
        self->pool->dictionary = self->dictionary;
        self->dictionary = NULL;
    }
    zspool_dictionary_destroy (&self->dictionary);
    self->index_bytes = 0;
}

void
zspool_block_destroy (zspool_block_t **self_p)
{
    zspool_block_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    //  It may be given back in one of libzmq's threads: after all that was done before the
    //  reference was taken, whatever way it came.
    (void) atomic_load_explicit (&self->refs, memory_order_acquire);
    //  Whoever fills a block has the only reference to it.
    if (self->dictionary)
        s_drop_dictionary (self);
    //  Read before the count falls: at zero the pool's owner may take the block at once.
    zspool_block_pool_t *pool = self->pool;
    if (atomic_fetch_sub_explicit (&self->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (pool)
        zspool_block_pool_unref (pool);
    else
        free (self);
}

void
zspool_block_reset (zspool_block_t *self)
{
    s_drop_dictionary (self);
    self->sealed = false;
    self->count = 0;
    self->used = 0;
    self->index_bytes = 0;
    memset (&self->index, 0, sizeof self->index);
    self->first_sequence = 0;
    self->stored_us = 0;
    self->arrival_us = 0;
    memset (self->bytes, 0, BODY);
}

size_t
zspool_block_record_bytes (size_t frames, size_t data_bytes)
{
    return RECORD_HEAD_BYTES + (frames - 1) * sizeof (uint32_t) + data_bytes;
}

void
zspool_block_set_indexed (zspool_block_t *self, bool indexed)
{
    if (self->sealed || self->count > 0 || indexed == (self->dictionary != NULL))
        return;
    if (!indexed)
        s_drop_dictionary (self);
    else if (self->pool && self->pool->dictionary) {
        self->dictionary = self->pool->dictionary;
        self->pool->dictionary = NULL;
    }
    else
        self->dictionary = zspool_dictionary_new ();
    if (self->dictionary)
        self->index_bytes = ZSPOOL_INDEX_BYTES_MIN;
}

size_t
zspool_block_bytes_with_index (size_t record_bytes, size_t topic_bytes)
{
    if (topic_bytes > ZSPOOL_TOPIC_BYTES_MAX)
        return record_bytes;
    return record_bytes + ZSPOOL_INDEX_BYTES_MIN + ZSPOOL_INDEX_MESSAGE_BYTES + topic_bytes;
}

//  The first message may have all of the room, and then its block no index.
bool
zspool_block_has_room (const zspool_block_t *self, size_t record_bytes, size_t topic_bytes)
{
    size_t needed = self->used + record_bytes;
    if (self->dictionary && self->count > 0 && topic_bytes <= ZSPOOL_TOPIC_BYTES_MAX)
        needed += self->index_bytes + ZSPOOL_INDEX_MESSAGE_BYTES + topic_bytes;
    return needed <= self->capacity && self->count < ZSPOOL_BLOCK_MESSAGES_MAX;
}

//  Reserve a record and write its first bytes; *to is where the sizes, properties and frames go.
static int
s_begin_record (zspool_block_t *self, size_t frames, size_t properties_bytes, size_t data_bytes,
                size_t topic_bytes, int64_t arrival_us, uint8_t **to)
{
    if (self->sealed)
        return ZSPOOL_EINVAL;
    if (data_bytes > ZSPOOL_MESSAGE_BYTES_MAX)
        return ZSPOOL_ETOOBIG;
    size_t record_bytes = zspool_block_record_bytes (frames, data_bytes) + properties_bytes;
    if (!zspool_block_has_room (self, record_bytes, topic_bytes))
        return ZSPOOL_EFULL;

    uint8_t *record = self->bytes + BODY + self->used;
    put_u32 (record, (uint32_t) (record_bytes - RECORD_HEAD_BYTES));
    record [4] = 0;
    record [5] = (uint8_t) (properties_bytes / sizeof (uint32_t));
    put_u16 (record + 6, (uint16_t) frames);
    if (self->count == 0)
        self->arrival_us = arrival_us;
    self->count++;
    self->used += record_bytes;
    *to = record + RECORD_HEAD_BYTES;
    return ZSPOOL_OK;
}

//  Note the topic of the record just written, which starts at `offset`.
static void
s_note_topic (zspool_block_t *self, size_t offset, const uint8_t *topic, size_t topic_bytes, int64_t arrival_us)
{
    int64_t delay_us = arrival_us - self->arrival_us;
    if (delay_us < 0)
        delay_us = 0;
    if (delay_us > UINT32_MAX)
        delay_us = UINT32_MAX;
    size_t index_bytes = zspool_dictionary_add (self->dictionary, offset, (uint32_t) delay_us, topic,
                                                topic_bytes, self->capacity / TOPICS_PART);
    if (index_bytes == 0 || self->used + index_bytes > self->capacity)
        s_drop_dictionary (self);
    else
        self->index_bytes = index_bytes;
}

int
zspool_block_append_frame (zspool_block_t *self, const void *data, size_t size, int64_t arrival_us)
{
    uint8_t *to;
    size_t offset = self->used;
    int rc = s_begin_record (self, 1, 0, size, size, arrival_us, &to);
    if (rc)
        return rc;
    if (size > 0)
        memcpy (to, data, size);
    if (self->dictionary)
        s_note_topic (self, offset, to, size, arrival_us);
    return ZSPOOL_OK;
}

int
zspool_block_append_with (zspool_block_t *self, const zspool_frame_t *frames, size_t count,
                          const uint8_t *properties, size_t properties_bytes, int64_t arrival_us)
{
    if (count == 0 || properties_bytes > ZSPOOL_PROPERTIES_BYTES_MAX
        || properties_bytes % sizeof (uint32_t) != 0)
        return ZSPOOL_EINVAL;
    if (count > ZSPOOL_MESSAGE_FRAMES_MAX)
        return ZSPOOL_ETOOBIG;
    size_t data_bytes = 0;
    for (size_t index = 0; index < count; index++) {
        if (frames [index].size > ZSPOOL_MESSAGE_BYTES_MAX)
            return ZSPOOL_ETOOBIG;
        data_bytes += frames [index].size;
    }
    uint8_t *to;
    size_t offset = self->used;
    int rc = s_begin_record (self, count, properties_bytes, data_bytes, frames [0].size, arrival_us, &to);
    if (rc)
        return rc;
    for (size_t index = 0; index < count - 1; index++, to += sizeof (uint32_t))
        put_u32 (to, (uint32_t) frames [index].size);
    if (properties_bytes > 0)
        memcpy (to, properties, properties_bytes);
    to += properties_bytes;
    const uint8_t *topic = to;
    for (size_t index = 0; index < count; index++) {
        if (frames [index].size > 0)
            memcpy (to, frames [index].data, frames [index].size);
        to += frames [index].size;
    }
    if (self->dictionary)
        s_note_topic (self, offset, topic, frames [0].size, arrival_us);
    return ZSPOOL_OK;
}

int
zspool_block_append (zspool_block_t *self, const zspool_frame_t *frames, size_t count,
                     int64_t arrival_us)
{
    return zspool_block_append_with (self, frames, count, NULL, 0, arrival_us);
}

//  Append one record of a run as it is.
static bool
s_append_record (zspool_block_t *self, const zspool_record_t *record, int64_t arrival_us)
{
    const uint8_t *from = zspool_record_begin (record);
    size_t size = (size_t) (zspool_record_end (record) - from), offset = self->used;
    zspool_frame_t topic = zspool_record_topic (record);
    if (!zspool_block_has_room (self, size, topic.size))
        return false;
    if (self->count == 0)
        self->arrival_us = arrival_us;
    uint8_t *to = self->bytes + BODY + offset;
    memcpy (to, from, size);
    self->used += size;
    self->count++;
    if (self->dictionary)
        s_note_topic (self, offset, to + ((const uint8_t *) topic.data - from), topic.size, arrival_us);
    return true;
}

uint32_t
zspool_block_append_run (zspool_block_t *self, const void *records, size_t size, uint32_t from,
                         uint32_t count, int64_t arrival_us)
{
    zspool_record_t record;
    memset (&record, 0, sizeof record);
    if (self->sealed)
        return 0;
    while (record.number < from && zspool_run_next (records, size, 0, &record))
        ;
    size_t bytes = size - record.next_offset;
    if (!self->dictionary && bytes <= self->capacity - self->used
        && count <= ZSPOOL_BLOCK_MESSAGES_MAX - self->count) {
        memcpy (self->bytes + BODY + self->used, (const uint8_t *) records + record.next_offset, bytes);
        if (self->count == 0)
            self->arrival_us = arrival_us;
        self->used += bytes;
        self->count += count;
        return count;
    }
    uint32_t appended = 0;
    while (appended < count && zspool_run_next (records, size, 0, &record)
           && s_append_record (self, &record, arrival_us))
        appended++;
    return appended;
}

//  Write the index behind the records when it is worth it.
static void
s_write_index (zspool_block_t *self)
{
    size_t index_bytes = self->dictionary? zspool_dictionary_bytes (self->dictionary, self->used): 0;
    uint8_t *to = self->bytes + BODY + self->used;
    if (index_bytes > 0) {
        zspool_dictionary_write (self->dictionary, to);
        zspool_block_index_open (&self->index, to, index_bytes, self->count);
    }
    s_drop_dictionary (self);
    self->index_bytes = index_bytes;
}

int
zspool_block_seal (zspool_block_t *self)
{
    if (self->sealed || self->count == 0)
        return ZSPOOL_EINVAL;
    uint8_t *bytes = self->bytes;
    s_write_index (self);
    uint64_t body_hash = zspool_block_body_hash (bytes, self->used, self->index_bytes);
    if (self->index_bytes > 0)
        zspool_block_index_seal (bytes + BODY + self->used, self->index_bytes, body_hash);
    put_u32 (bytes + HEADER_MAGIC, BLOCK_MAGIC);
    put_u16 (bytes + HEADER_VERSION, BLOCK_VERSION);
    put_u16 (bytes + HEADER_SIZE, ZSPOOL_BLOCK_HEADER_BYTES);
    put_u32 (bytes + HEADER_FLAGS, self->index_bytes > 0? FLAG_INDEX: 0);
    put_u32 (bytes + HEADER_COUNT, self->count);
    put_u32 (bytes + HEADER_RECORD_BYTES, (uint32_t) self->used);
    put_u32 (bytes + HEADER_STORED_BYTES, (uint32_t) self->used);
    put_u32 (bytes + HEADER_INDEX_BYTES, (uint32_t) self->index_bytes);
    put_u64 (bytes + HEADER_ARRIVAL_US, (uint64_t) self->arrival_us);
    put_u64 (bytes + HEADER_BODY_HASH, body_hash);
    put_u64 (bytes + STAMP_HASH, zspool_block_head_hash (bytes));
    self->sealed = true;
    return ZSPOOL_OK;
}

void
zspool_block_stamp (zspool_block_t *self, uint64_t first_sequence, int64_t stored_us,
                    uint64_t incarnation)
{
    self->first_sequence = first_sequence;
    self->stored_us = stored_us;
    put_u64 (self->bytes + STAMP_FIRST_SEQUENCE, first_sequence);
    put_u64 (self->bytes + STAMP_STORED_US, (uint64_t) stored_us);
    put_u64 (self->bytes + STAMP_INCARNATION, incarnation);
    put_u64 (self->bytes + STAMP_HASH, zspool_block_head_hash (self->bytes));
}

const void *
zspool_block_bytes (const zspool_block_t *self)
{
    return self->sealed? self->bytes: NULL;
}

size_t
zspool_block_size (const zspool_block_t *self)
{
    return self->sealed? BODY + self->used + self->index_bytes: 0;
}

uint32_t
zspool_block_count (const zspool_block_t *self)
{
    return self->count;
}

uint64_t
zspool_block_first_sequence (const zspool_block_t *self)
{
    return self->first_sequence;
}

uint64_t
zspool_block_last_sequence (const zspool_block_t *self)
{
    return self->first_sequence? self->first_sequence + self->count - 1: 0;
}

int64_t
zspool_block_arrival_us (const zspool_block_t *self)
{
    return self->arrival_us;
}

int64_t
zspool_block_stored_us (const zspool_block_t *self)
{
    return self->stored_us;
}

size_t
zspool_block_capacity (const zspool_block_t *self)
{
    return self->capacity;
}

size_t
zspool_block_used (const zspool_block_t *self)
{
    return self->used;
}
