//  craft.h - writes a block's bytes field by field, with right checksums: what lib/block.c never
//  would
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Written from the layout documented in lib/block.c, not with its code.

#ifndef CRAFT_H_INCLUDED
#define CRAFT_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#define CRAFT_HEAD_BYTES 104           //  stamp and header
#define CRAFT_FLAG_INDEX 2U            //  an index behind the records

//  Everything that stands before records and index
typedef struct {
    uint64_t first_sequence;
    int64_t stored_us;
    uint64_t incarnation;
    uint32_t stamp_flags;
    uint32_t stamp_reserved;
    uint32_t magic;
    uint16_t version;
    uint16_t header_bytes;
    uint32_t flags;
    uint32_t count;
    uint32_t record_bytes;
    uint32_t stored_bytes;
    uint32_t index_bytes;
    uint16_t codec;
    uint16_t key_id;
    int64_t first_arrival_us;
    uint64_t producer_id;
    uint64_t producer_number;
} craft_t;

//  What version 1 would write for records of so many bytes, without an index
craft_t
    craft_usual (uint32_t count, size_t record_bytes);

//  Write head and body to `to`, which has room for CRAFT_HEAD_BYTES more than the body, and give
//  the size. The last eight bytes of an index are its checksum, which is put here.
size_t
    craft_block (const craft_t *self, const void *body, size_t body_bytes, uint8_t *to);

//  Put one record of a body. Gives the bytes written, all of them: 8, sizes, properties and data.
size_t
    craft_record (uint8_t *to, uint32_t body_bytes, uint8_t flags, uint8_t property_words,
                  uint16_t frames, const void *rest, size_t rest_bytes);

#endif
