//  run.c - a run: records of consecutive messages, one behind the other
//
//  SPDX-License-Identifier: MPL-2.0

#include "run.h"
#include "block_layout.h"

//  Check that so many bytes are whole properties.
static bool
s_are_properties (const uint8_t *at, size_t size)
{
    while (size >= PROPERTY_HEAD_BYTES) {
        size_t taken = PROPERTY_HEAD_BYTES + block_padded (get_u16 (at + 2));
        if (taken > size)
            return false;
        at += taken;
        size -= taken;
    }
    return size == 0;
}

//  Check what follows the head of a record that has more than one frame, or properties. *data_bytes
//  is what follows the head; then what its frames have together.
static int
s_check_body (const uint8_t *at, size_t frames, size_t properties_bytes, size_t *data_bytes)
{
    size_t sizes_bytes = (frames - 1) * sizeof (uint32_t);
    if (*data_bytes < sizes_bytes + properties_bytes)
        return ZSPOOL_ECORRUPT;
    *data_bytes -= sizes_bytes + properties_bytes;
    size_t left = *data_bytes;
    for (size_t index = 0; index < frames - 1; index++) {
        size_t frame_bytes = get_u32 (at + index * sizeof (uint32_t));
        if (frame_bytes > left)
            return ZSPOOL_ECORRUPT;
        left -= frame_bytes;
    }
    return s_are_properties (at + sizes_bytes, properties_bytes)? ZSPOOL_OK: ZSPOOL_ECORRUPT;
}

int
zspool_run_check (const void *records, size_t size, uint32_t count, size_t frames_max,
                  size_t bytes_max, bool with_properties)
{
    const uint8_t *at = (const uint8_t *) records, *end = at + size;
    uint8_t flags = 0;
    int too_big = ZSPOOL_OK;
    for (; count > 0; count--) {
        if ((size_t) (end - at) < RECORD_HEAD_BYTES)
            return ZSPOOL_ECORRUPT;
        size_t body_bytes = get_u32 (at), data_bytes = body_bytes;
        size_t frames = get_u16 (at + 6), properties_bytes = at [5] * sizeof (uint32_t);
        if (body_bytes > (size_t) (end - at) - RECORD_HEAD_BYTES || frames == 0
            || (properties_bytes > 0 && !with_properties))
            return ZSPOOL_ECORRUPT;
        if ((frames > 1 || properties_bytes > 0)
            && s_check_body (at + RECORD_HEAD_BYTES, frames, properties_bytes, &data_bytes))
            return ZSPOOL_ECORRUPT;
        if (frames > frames_max || data_bytes > bytes_max)
            too_big = ZSPOOL_ETOOBIG;
        flags |= at [4];
        at += RECORD_HEAD_BYTES + body_bytes;
    }
    if (at != end)
        return ZSPOOL_ECORRUPT;
    return flags? ZSPOOL_EVERSION: too_big;
}

bool
zspool_run_next (const void *records, size_t size, uint64_t first_sequence, zspool_record_t *record)
{
    if (record->next_offset >= size)
        return false;
    const uint8_t *at = (const uint8_t *) records + record->next_offset;
    size_t body_bytes = get_u32 (at);
    size_t sizes_bytes = (get_u16 (at + 6) - 1U) * sizeof (uint32_t);
    size_t property_bytes = at [5] * sizeof (uint32_t);

    record->sequence = first_sequence > 0? first_sequence + record->number: 0;
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

const uint8_t *
zspool_record_begin (const zspool_record_t *record)
{
    return record->sizes - RECORD_HEAD_BYTES;
}

const uint8_t *
zspool_record_end (const zspool_record_t *record)
{
    return record->data + record->data_bytes;
}

const uint8_t *
zspool_block_records (const zspool_block_t *self, size_t *size)
{
    *size = self->used;
    return self->bytes + BODY;
}
