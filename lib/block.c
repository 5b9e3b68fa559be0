//  block.c - packs messages into contiguous bytes, and reads them back
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
//  To raise the version: write the new number in the header, keep reading the old layout here, and
//  add a file of the old version to selftest/fixtures/. A reader refuses versions and flags it does
//  not know.
//
//  Invariant: a sealed block has passed s_check_records (), so that iterating needs no further
//  checks.

#include "block.h"
#include "block_index.h"
#include "bytes.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <xxhash.h>

#define BLOCK_MAGIC 0x4250535AU //  "ZSPB"
#define BLOCK_VERSION 1
#define FLAG_INDEX 2U
#define TOPICS_PART 8            //  a dictionary may take this part of the capacity
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

static zspool_block_t *
s_block_new (size_t capacity)
{
    zspool_block_t *self = (zspool_block_t *) malloc (sizeof *self + BODY + capacity);
    if (!self)
        return NULL;
    memset (self, 0, sizeof *self + BODY);
    self->capacity = capacity;
    atomic_init (&self->refs, 1);
    return self;
}

zspool_block_t *
zspool_block_new (size_t capacity)
{
    if (capacity == 0 || capacity > ZSPOOL_BLOCK_CAPACITY_MAX)
        return NULL;
    return s_block_new (capacity);
}

zspool_block_t *
zspool_block_ref (zspool_block_t *self)
{
    atomic_fetch_add_explicit (&self->refs, 1, memory_order_relaxed);
    return self;
}

static void
s_pool_unref (zspool_block_pool_t *pool)
{
    if (atomic_fetch_sub_explicit (&pool->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t index = 0; index < pool->size; index++)
        free (pool->slots [index]);
    zspool_dictionary_destroy (&pool->dictionary);
    free (pool);
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
    //  Whoever fills a block has the only reference to it.
    if (self->dictionary)
        s_drop_dictionary (self);
    //  Read before the count falls: at zero the pool's owner may take the block at once.
    zspool_block_pool_t *pool = self->pool;
    if (atomic_fetch_sub_explicit (&self->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (pool)
        s_pool_unref (pool);
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

//  Checksum of stamp and header
static uint64_t
s_head_hash (const uint8_t *bytes)
{
    uint8_t head [STAMP_HASH + ZSPOOL_BLOCK_HEADER_BYTES];
    memcpy (head, bytes, STAMP_HASH);
    memcpy (head + STAMP_HASH, bytes + HEADER_MAGIC, ZSPOOL_BLOCK_HEADER_BYTES);
    return XXH3_64bits (head, sizeof head);
}

//  Checksum of records and index, but for that of the index
static uint64_t
s_body_hash (const uint8_t *bytes, size_t stored_bytes, size_t index_bytes)
{
    size_t covered = stored_bytes + index_bytes - (index_bytes > 0? ZSPOOL_INDEX_HASH_BYTES: 0);
    return XXH3_64bits (bytes + BODY, covered);
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
    uint64_t body_hash = s_body_hash (bytes, self->used, self->index_bytes);
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
    put_u64 (bytes + STAMP_HASH, s_head_hash (bytes));
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
    put_u64 (self->bytes + STAMP_HASH, s_head_hash (self->bytes));
}

int
zspool_block_read_head (zspool_block_head_t *head, const uint8_t *bytes, size_t size)
{
    if (size < BODY || get_u32 (bytes + HEADER_MAGIC) != BLOCK_MAGIC)
        return ZSPOOL_ECORRUPT;
    if (get_u64 (bytes + STAMP_HASH) != s_head_hash (bytes))
        return ZSPOOL_ECORRUPT;
    //  The checksum holds, so what is unknown here was written on purpose.
    uint32_t flags = get_u32 (bytes + HEADER_FLAGS);
    if (get_u16 (bytes + HEADER_VERSION) != BLOCK_VERSION || (flags & ~FLAG_INDEX) || get_u32 (bytes + STAMP_FLAGS)
        || get_u16 (bytes + HEADER_CODEC))
        return ZSPOOL_EVERSION;
    uint32_t stored_bytes = get_u32 (bytes + HEADER_STORED_BYTES);
    uint32_t index_bytes = get_u32 (bytes + HEADER_INDEX_BYTES);
    uint32_t count = get_u32 (bytes + HEADER_COUNT);
    uint64_t first_sequence = get_u64 (bytes + STAMP_FIRST_SEQUENCE);
    if (get_u16 (bytes + HEADER_SIZE) != ZSPOOL_BLOCK_HEADER_BYTES
        || get_u32 (bytes + HEADER_RECORD_BYTES) != stored_bytes || count == 0
        || count > ZSPOOL_BLOCK_MESSAGES_MAX || first_sequence > UINT64_MAX - count
        || (flags & FLAG_INDEX? index_bytes < ZSPOOL_INDEX_BYTES_MIN: index_bytes > 0)
        || (uint64_t) stored_bytes + index_bytes > ZSPOOL_BLOCK_CAPACITY_MAX)
        return ZSPOOL_ECORRUPT;
    head->first_sequence = first_sequence;
    head->stored_us = (int64_t) get_u64 (bytes + STAMP_STORED_US);
    head->incarnation = get_u64 (bytes + STAMP_INCARNATION);
    head->count = count;
    head->size = BODY + (size_t) stored_bytes + index_bytes;
    head->index_bytes = index_bytes;
    head->body_hash = get_u64 (bytes + HEADER_BODY_HASH);
    return ZSPOOL_OK;
}

static size_t
s_padded (size_t size)
{
    return (size + 3) / 4 * 4;
}

//  Check that so many bytes are whole properties.
static bool
s_are_properties (const uint8_t *at, size_t size)
{
    while (size >= PROPERTY_HEAD_BYTES) {
        size_t taken = PROPERTY_HEAD_BYTES + s_padded (get_u16 (at + 2));
        if (taken > size)
            return false;
        at += taken;
        size -= taken;
    }
    return size == 0;
}

//  Check that [at, end) holds exactly `count` whole records.
static int
s_check_records (const uint8_t *at, const uint8_t *end, uint32_t count)
{
    uint8_t flags = 0;
    for (; count > 0; count--) {
        if ((size_t) (end - at) < RECORD_HEAD_BYTES)
            return ZSPOOL_ECORRUPT;
        size_t body_bytes = get_u32 (at);
        size_t frames = get_u16 (at + 6);
        size_t data_bytes = body_bytes - at [5] * sizeof (uint32_t);
        if (frames == 0 || body_bytes < at [5] * sizeof (uint32_t)
            || body_bytes > (size_t) (end - at) - RECORD_HEAD_BYTES)
            return ZSPOOL_ECORRUPT;
        const uint8_t *sizes = at + RECORD_HEAD_BYTES;
        if (data_bytes < (frames - 1) * sizeof (uint32_t))
            return ZSPOOL_ECORRUPT;
        data_bytes -= (frames - 1) * sizeof (uint32_t);
        for (size_t index = 0; index < frames - 1; index++) {
            size_t frame_bytes = get_u32 (sizes + index * sizeof (uint32_t));
            if (frame_bytes > data_bytes)
                return ZSPOOL_ECORRUPT;
            data_bytes -= frame_bytes;
        }
        if (!s_are_properties (sizes + (frames - 1) * sizeof (uint32_t), at [5] * sizeof (uint32_t)))
            return ZSPOOL_ECORRUPT;
        flags |= at [4];
        at += RECORD_HEAD_BYTES + body_bytes;
    }
    if (at != end)
        return ZSPOOL_ECORRUPT;
    return flags? ZSPOOL_EVERSION: ZSPOOL_OK;
}

uint8_t *
zspool_block_buffer (zspool_block_t *self, size_t size)
{
    if (size < BODY || size - BODY > self->capacity)
        return NULL;
    zspool_block_reset (self);
    return self->bytes;
}

//  Check the index behind the records, which are sound, against them. The block says so far that it
//  has none.
static int
s_check_index (zspool_block_t *self, const zspool_block_head_t *head)
{
    const uint8_t *bytes = self->bytes + head->size - head->index_bytes;
    zspool_block_index_t index;
    int rc = zspool_block_index_open (&index, bytes, head->index_bytes, head->count);
    if (rc == ZSPOOL_OK)
        rc = zspool_block_index_check (&index, head->index_bytes, head->body_hash);
    if (rc == ZSPOOL_OK)
        rc = zspool_block_index_compare (&index, self);
    if (rc)
        return rc;
    self->index = index;
    self->index_bytes = head->index_bytes;
    return ZSPOOL_OK;
}

int
zspool_block_load (zspool_block_t *self, size_t size)
{
    zspool_block_head_t head;
    int rc = zspool_block_read_head (&head, self->bytes, size);
    if (rc)
        return rc;
    if (head.size != size)
        return ZSPOOL_ECORRUPT;
    const uint8_t *records = self->bytes + BODY;
    size_t stored_bytes = size - BODY - head.index_bytes;
    if (head.body_hash != s_body_hash (self->bytes, stored_bytes, head.index_bytes))
        return ZSPOOL_ECORRUPT;
    rc = s_check_records (records, records + stored_bytes, head.count);
    if (rc)
        return rc;
    self->count = head.count;
    self->used = stored_bytes;
    self->first_sequence = head.first_sequence;
    self->stored_us = head.stored_us;
    self->arrival_us = (int64_t) get_u64 (self->bytes + HEADER_ARRIVAL_US);
    self->sealed = true;
    if (head.index_bytes > 0)
        rc = s_check_index (self, &head);
    if (rc)
        self->sealed = false;
    return rc;
}

int
zspool_block_decode (zspool_block_t **self_p, const void *bytes, size_t size)
{
    if (size <= BODY || size - BODY > ZSPOOL_BLOCK_CAPACITY_MAX)
        return ZSPOOL_ECORRUPT;
    zspool_block_t *self = s_block_new (size - BODY);
    if (!self)
        return ZSPOOL_ENOMEM;
    memcpy (zspool_block_buffer (self, size), bytes, size);
    int rc = zspool_block_load (self, size);
    if (rc)
        zspool_block_destroy (&self);
    else
        *self_p = self;
    return rc;
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

void
zspool_block_rewind (const zspool_block_t *self, zspool_record_t *record)
{
    memset (record, 0, sizeof *record);
    (void) self;
}

bool
zspool_block_next (const zspool_block_t *self, zspool_record_t *record)
{
    if (!self->sealed || record->next_offset >= self->used)
        return false;
    const uint8_t *at = self->bytes + BODY + record->next_offset;
    size_t body_bytes = get_u32 (at);
    size_t sizes_bytes = (get_u16 (at + 6) - 1U) * sizeof (uint32_t);
    size_t property_bytes = at [5] * sizeof (uint32_t);

    record->sequence = self->first_sequence > 0? self->first_sequence + record->number: 0;
    record->number++;
    record->frames = get_u16 (at + 6);
    record->sizes = at + RECORD_HEAD_BYTES;
    record->data = record->sizes + sizes_bytes + property_bytes;
    record->data_bytes = body_bytes - sizes_bytes - property_bytes;
    record->frame_index = 0;
    record->frame_offset = 0;
    record->next_offset += RECORD_HEAD_BYTES + body_bytes;
    return true;
}

uint32_t
zspool_block_topics (const zspool_block_t *self)
{
    return self->index.topics;
}

int
zspool_block_topic (const zspool_block_t *self, uint32_t number, zspool_frame_t *topic, uint32_t *messages)
{
    if (number >= self->index.topics)
        return ZSPOOL_ENOENT;
    *topic = zspool_block_index_topic (&self->index, number);
    if (messages)
        *messages = zspool_block_index_messages (&self->index, number);
    return ZSPOOL_OK;
}

const zspool_block_index_t *
zspool_block_index (const zspool_block_t *self)
{
    return self->index.topics > 0? &self->index: NULL;
}

void
zspool_block_go_to (const zspool_block_t *self, zspool_record_t *record, uint32_t number)
{
    record->number = number;
    record->next_offset = self->used;
    if (number < self->count)
        record->next_offset = get_u32 (self->index.offsets + number * sizeof (uint32_t));
}

int64_t
zspool_record_arrival_us (const zspool_block_t *self, const zspool_record_t *record)
{
    if (self->index.topics == 0 || record->number == 0)
        return self->arrival_us;
    uint32_t delay_us = get_u32 (self->index.delays + (record->number - 1) * sizeof (uint32_t));
    //  The sum of any two is one, whoever wrote them.
    return (int64_t) ((uint64_t) self->arrival_us + delay_us);
}

bool
zspool_record_next_frame (zspool_record_t *record, zspool_frame_t *frame)
{
    if (record->frame_index == record->frames)
        return false;
    frame->data = record->data + record->frame_offset;
    if (record->frame_index == record->frames - 1)
        frame->size = record->data_bytes - record->frame_offset;
    else
        frame->size = get_u32 (record->sizes + record->frame_index * sizeof (uint32_t));
    record->frame_index++;
    record->frame_offset += frame->size;
    return true;
}

zspool_frame_t
zspool_record_topic (const zspool_record_t *record)
{
    return (zspool_frame_t) { record->data, record->frames == 1? record->data_bytes: get_u32 (record->sizes) };
}

bool
zspool_record_next_property (const zspool_record_t *record, size_t *offset, zspool_property_t *property)
{
    const uint8_t *first = record->sizes + (record->frames - 1) * sizeof (uint32_t);
    if (*offset >= (size_t) (record->data - first))
        return false;
    const uint8_t *at = first + *offset;
    property->id = at [0];
    property->type = at [1];
    property->size = get_u16 (at + 2);
    property->data = at + PROPERTY_HEAD_BYTES;
    *offset += PROPERTY_HEAD_BYTES + s_padded (property->size);
    return true;
}

size_t
zspool_property_put (uint8_t *properties, size_t used, const zspool_property_t *property)
{
    size_t padded = s_padded (property->size);
    if (used + PROPERTY_HEAD_BYTES + padded > ZSPOOL_PROPERTIES_BYTES_MAX)
        return 0;
    uint8_t *to = properties + used;
    to [0] = property->id;
    to [1] = property->type;
    put_u16 (to + 2, (uint16_t) property->size);
    memset (to + PROPERTY_HEAD_BYTES, 0, padded);
    memcpy (to + PROPERTY_HEAD_BYTES, property->data, property->size);
    return used + PROPERTY_HEAD_BYTES + padded;
}

//  ------------------------------------------------------------------------------------------------
//  Pool

zspool_block_pool_t *
zspool_block_pool_new (size_t blocks, size_t capacity)
{
    zspool_block_pool_t *self =
        (zspool_block_pool_t *) calloc (1, sizeof *self + blocks * sizeof (zspool_block_t *));
    if (!self)
        return NULL;
    atomic_init (&self->refs, 1);
    self->capacity = capacity;
    self->size = blocks;
    return self;
}

void
zspool_block_pool_destroy (zspool_block_pool_t **self_p)
{
    if (*self_p)
        s_pool_unref (*self_p);
    *self_p = NULL;
}

//  The slots are tried in order, so that the ones in use stay few and warm in the processor's
//  caches.
static zspool_block_t *
s_pool_take_slot (zspool_block_pool_t *self)
{
    for (size_t index = 0; index < self->size; index++) {
        zspool_block_t *block = self->slots [index];
        if (!block)
            return self->slots [index] = s_block_new (self->capacity);
        if (atomic_load_explicit (&block->refs, memory_order_acquire) == 0) {
            atomic_store_explicit (&block->refs, 1, memory_order_relaxed);
            zspool_block_reset (block);
            return block;
        }
    }
    return NULL;
}

zspool_block_t *
zspool_block_pool_take (zspool_block_pool_t *self, size_t bytes)
{
    if (bytes > self->capacity)
        return zspool_block_new (bytes);
    zspool_block_t *block = s_pool_take_slot (self);
    if (block) {
        block->pool = self;
        atomic_fetch_add (&self->refs, 1);
    }
    return block;
}
