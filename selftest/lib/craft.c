//  craft.c - writes a block's bytes field by field, with right checksums: what lib/block.c never
//  would
//
//  SPDX-License-Identifier: MPL-2.0

#include "craft.h"

#include <stdbool.h>
#include <string.h>
#include <xxhash.h>

//  Put the lowest bytes of a number, the lowest first.
static uint8_t *
s_put (uint8_t *to, uint64_t value, size_t bytes)
{
    for (; bytes > 0; bytes--, value >>= 8)
        *to++ = (uint8_t) value;
    return to;
}

craft_t
craft_usual (uint32_t count, size_t record_bytes)
{
    craft_t self = { .magic = 0x4250535a, .version = 1, .header_bytes = 64, .count = count };
    self.record_bytes = self.stored_bytes = (uint32_t) record_bytes;
    return self;
}

size_t
craft_block (const craft_t *self, const void *body, size_t body_bytes, uint8_t *to)
{
    uint8_t head [32 + 64], *at = head;
    at = s_put (at, self->first_sequence, 8);
    at = s_put (at, (uint64_t) self->stored_us, 8);
    at = s_put (at, self->incarnation, 8);
    at = s_put (at, self->stamp_flags, 4);
    at = s_put (at, self->stamp_reserved, 4);
    at = s_put (at, self->magic, 4);
    at = s_put (at, self->version, 2);
    at = s_put (at, self->header_bytes, 2);
    at = s_put (at, self->flags, 4);
    at = s_put (at, self->count, 4);
    at = s_put (at, self->record_bytes, 4);
    at = s_put (at, self->stored_bytes, 4);
    at = s_put (at, self->index_bytes, 4);
    at = s_put (at, self->codec, 2);
    at = s_put (at, self->key_id, 2);
    at = s_put (at, (uint64_t) self->first_arrival_us, 8);
    at = s_put (at, self->producer_id, 8);
    at = s_put (at, self->producer_number, 8);
    bool indexed = self->flags & CRAFT_FLAG_INDEX && self->index_bytes >= 8 && self->index_bytes <= body_bytes;
    size_t covered = indexed? body_bytes - 8: body_bytes;
    uint64_t body_hash = XXH3_64bits (body, covered);
    s_put (at, body_hash, 8);

    memcpy (to, head, 32);
    s_put (to + 32, XXH3_64bits (head, sizeof head), 8);
    memcpy (to + 40, head + 32, 64);
    if (body_bytes > 0)
        memcpy (to + CRAFT_HEAD_BYTES, body, body_bytes);
    if (indexed) {
        size_t index_bytes = self->index_bytes - 8;
        uint8_t *index = to + CRAFT_HEAD_BYTES + covered - index_bytes;
        s_put (index + index_bytes, XXH3_64bits_withSeed (index, index_bytes, body_hash), 8);
    }
    return CRAFT_HEAD_BYTES + body_bytes;
}

size_t
craft_record (uint8_t *to, uint32_t body_bytes, uint8_t flags, uint8_t property_words, uint16_t frames,
              const void *rest, size_t rest_bytes)
{
    uint8_t *at = s_put (to, body_bytes, 4);
    at = s_put (at, flags, 1);
    at = s_put (at, property_words, 1);
    at = s_put (at, frames, 2);
    memcpy (at, rest, rest_bytes);
    return 8 + rest_bytes;
}
