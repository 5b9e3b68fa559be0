//  fuzz_block.c - feeds any bytes to the block's decoder, and uses what it accepts
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The selftest replays the files of corpus/. To look for more, with clang, from the top of the
//  source tree:
//
//      flags="-g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined"
//      includes="-D_GNU_SOURCE -I include -iquote lib -iquote selftest"
//      sources="selftest/fuzz/fuzz_block.c selftest/lib/craft.c lib/block*.c lib/history.c"
//      clang $flags $includes $sources -lxxhash -o /tmp/fuzz_block
//      mkdir -p /tmp/corpus
//      /tmp/fuzz_block -max_len=2000 -max_total_time=300 /tmp/corpus selftest/fuzz/corpus
//
//  What it finds goes into corpus/; so does what reaches code that nothing there did, made small by
//  `/tmp/fuzz_block -merge=1 selftest/fuzz/corpus /tmp/corpus`.
//
//  An input is seven bytes and a body: the low half of the count, the high half and the index's
//  size, two bytes each; the flags; the version; which field of the header to damage. Checksums are
//  made to fit, so that the input gets past them.

#include "fuzz_block.h"
#include "bytes.h"
#include "history.h"
#include "lib/craft.h"

#include <stdlib.h>
#include <string.h>

#define CONTROL_BYTES 7

//  What must hold, in any build
#define MUST(condition) ((condition)? (void) 0: abort ())

//  Where sums of all bytes read go: it keeps the compiler from leaving the reading out.
static volatile unsigned s_sum;

//  Read every byte of a record's frames. Gives their sum.
static unsigned
s_read_frames (zspool_record_t *record)
{
    unsigned sum = 0;
    size_t frames = 0, bytes = 0;
    zspool_frame_t frame;
    while (zspool_record_next_frame (record, &frame)) {
        MUST (frame.data == record->data + bytes);
        MUST (frame.size <= record->data_bytes - bytes);
        for (size_t at = 0; at < frame.size; at++)
            sum += ((const uint8_t *) frame.data) [at];
        bytes += frame.size;
        frames++;
    }
    MUST (frames == record->frames && frames > 0 && bytes == record->data_bytes);
    return sum;
}

//  Read every byte of a record's properties, and what they say of it.
static unsigned
s_read_properties (const zspool_record_t *record)
{
    unsigned sum = 0;
    size_t offset = 0;
    zspool_property_t property;
    zspool_history_t history = { .deaths_ever = 0 };
    while (zspool_record_next_property (record, &offset, &property)) {
        MUST (property.data >= record->sizes && property.data + property.size <= record->data);
        for (size_t at = 0; at < property.size; at++)
            sum += property.data [at];
    }
    if (zspool_history_read (&history, record) == ZSPOOL_OK)
        MUST (*history.origin && strlen (history.origin) <= ZSPOOL_NAME_MAX && history.deaths_count > 0
              && history.deaths_count <= ZSPOOL_DEATHS_MAX);
    return sum;
}

//  What the index says of a record must be what the record says, and lead to it.
static unsigned
s_read_index (const zspool_block_t *block, const zspool_record_t *record, uint32_t number)
{
    const zspool_block_index_t *index = zspool_block_index (block);
    zspool_record_t first = *record, again = { .number = UINT32_MAX };
    zspool_frame_t topic, frame;
    uint32_t messages = 0;
    if (index) {
        uint32_t at = get_u16 (index->numbers + number * sizeof (uint16_t));
        MUST (zspool_block_topic (block, at, &topic, &messages) == ZSPOOL_OK && messages > 0);
        MUST (zspool_record_next_frame (&first, &frame));
        MUST (frame.size == topic.size && memcmp (frame.data, topic.data, frame.size) == 0);
        zspool_block_go_to (block, &again, number);
        MUST (zspool_block_next (block, &again) && again.data == record->data);
    }
    return messages + (unsigned) zspool_record_arrival_us (block, record);
}

//  Use a block that was accepted.
static void
s_use (zspool_block_t *block, const uint8_t *bytes, size_t size)
{
    unsigned sum = 0;
    uint32_t count = 0;
    zspool_record_t record;
    MUST (zspool_block_size (block) == size && memcmp (zspool_block_bytes (block), bytes, size) == 0);
    zspool_block_rewind (block, &record);
    for (; zspool_block_next (block, &record); count++) {
        MUST (record.data >= (const uint8_t *) zspool_block_bytes (block)
              && record.data + record.data_bytes <= (const uint8_t *) zspool_block_bytes (block) + size);
        sum += s_read_index (block, &record, count);
        sum += s_read_properties (&record) + s_read_frames (&record);
    }
    s_sum = sum;
    MUST (count == zspool_block_count (block) && count > 0);
    //  Stamping does not touch what producers packed.
    zspool_block_stamp (block, 1000, 1, 1);
    zspool_block_t *again = NULL;
    MUST (zspool_block_decode (&again, zspool_block_bytes (block), size) == ZSPOOL_OK);
    MUST (zspool_block_last_sequence (again) == 999 + (uint64_t) count);
    zspool_block_destroy (&again);
}

//  Read the topics of an index as a reader does that has not read the records.
static void
s_read_topics (const uint8_t *bytes, size_t size)
{
    zspool_block_head_t head;
    zspool_block_index_t index;
    unsigned sum = 0;
    if (zspool_block_read_head (&head, bytes, size) || head.size != size || head.index_bytes == 0)
        return;
    const uint8_t *end = bytes + size, *first = end - head.index_bytes;
    if (zspool_block_index_open (&index, first, head.index_bytes, head.count)
        || zspool_block_index_check (&index, head.index_bytes, head.body_hash))
        return;
    for (uint32_t number = 0; number < index.topics; number++) {
        zspool_frame_t topic = zspool_block_index_topic (&index, number);
        MUST ((const uint8_t *) topic.data >= first && (const uint8_t *) topic.data + topic.size <= end);
        for (size_t at = 0; at < topic.size; at++)
            sum += ((const uint8_t *) topic.data) [at];
        sum += zspool_block_index_messages (&index, number);
    }
    s_sum = sum;
}

static void
s_decode (const uint8_t *bytes, size_t size)
{
    s_read_topics (bytes, size);
    zspool_block_t *block = NULL;
    int rc = zspool_block_decode (&block, bytes, size);
    MUST (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT || rc == ZSPOOL_EVERSION);
    MUST ((rc == ZSPOOL_OK) == (block != NULL));
    if (block)
        s_use (block, bytes, size);
    zspool_block_destroy (&block);
}

//  Damage one field of the header, or none.
static void
s_damage (craft_t *craft, uint8_t field, uint8_t by)
{
    switch (field) {
    case 1: craft->magic += by; break;
    case 2: craft->header_bytes = (uint16_t) (craft->header_bytes + by); break;
    case 3: craft->record_bytes += by; break;
    case 4: craft->stored_bytes += by; break;
    case 5: craft->stored_bytes -= by; break;
    case 6: craft->record_bytes = craft->stored_bytes -= by; break;
    case 7: craft->first_sequence -= by; break;
    case 8: craft->stamp_flags = by; break;
    case 9: craft->codec = by; break;
    default: break;
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    s_decode (data, size);
    if (size < CONTROL_BYTES)
        return 0;
    size_t body_bytes = size - CONTROL_BYTES;
    craft_t craft = craft_usual ((uint32_t) (data [0] | data [1] << 8), body_bytes);
    craft.flags = data [4];
    craft.version = data [5];
    uint32_t index_bytes = (uint32_t) (data [2] | data [3] << 8);
    if (craft.flags & CRAFT_FLAG_INDEX) {
        craft.index_bytes = index_bytes;
        craft.record_bytes = craft.stored_bytes -= index_bytes;
    }
    else
        craft.count |= index_bytes << 16;
    s_damage (&craft, data [6] & 15, (uint8_t) (1 + (data [6] >> 4)));
    uint8_t *bytes = (uint8_t *) malloc (CRAFT_HEAD_BYTES + body_bytes);
    MUST (bytes);
    s_decode (bytes, craft_block (&craft, data + CONTROL_BYTES, body_bytes, bytes));
    free (bytes);
    return 0;
}
