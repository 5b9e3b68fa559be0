//  block_read.c - reads blocks that were packed: checks their bytes, and gives their messages
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Invariant: a sealed block has passed zspool_run_check (), and an index s_check_index (), or was
//  packed by block.c: so iterating needs no further checks.

#include "block_layout.h"
#include "run.h"

#include <xxhash.h>

uint64_t
zspool_block_head_hash (const uint8_t *bytes)
{
    uint8_t head [STAMP_HASH + ZSPOOL_BLOCK_HEADER_BYTES];
    memcpy (head, bytes, STAMP_HASH);
    memcpy (head + STAMP_HASH, bytes + HEADER_MAGIC, ZSPOOL_BLOCK_HEADER_BYTES);
    return XXH3_64bits (head, sizeof head);
}

uint64_t
zspool_block_body_hash (const uint8_t *bytes, size_t stored_bytes, size_t index_bytes)
{
    size_t covered = stored_bytes + index_bytes - (index_bytes > 0? ZSPOOL_INDEX_HASH_BYTES: 0);
    return XXH3_64bits (bytes + BODY, covered);
}

int
zspool_block_read_head (zspool_block_head_t *head, const uint8_t *bytes, size_t size)
{
    if (size < BODY || get_u32 (bytes + HEADER_MAGIC) != BLOCK_MAGIC)
        return ZSPOOL_ECORRUPT;
    if (get_u64 (bytes + STAMP_HASH) != zspool_block_head_hash (bytes))
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
    if (head.body_hash != zspool_block_body_hash (self->bytes, stored_bytes, head.index_bytes))
        return ZSPOOL_ECORRUPT;
    rc = zspool_run_check (records, stored_bytes, head.count, SIZE_MAX, SIZE_MAX, true);
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
    zspool_block_t *self = zspool_block_new (size - BODY);
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

//  ------------------------------------------------------------------------------------------------
//  Iterating

void
zspool_block_rewind (const zspool_block_t *self, zspool_record_t *record)
{
    memset (record, 0, sizeof *record);
    (void) self;
}

bool
zspool_block_next (const zspool_block_t *self, zspool_record_t *record)
{
    return self->sealed && zspool_run_next (self->bytes + BODY, self->used, self->first_sequence, record);
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
    *offset += PROPERTY_HEAD_BYTES + block_padded (property->size);
    return true;
}

size_t
zspool_property_put (uint8_t *properties, size_t used, const zspool_property_t *property)
{
    size_t padded = block_padded (property->size);
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
