//  bytes.h - explicit little-endian and big-endian loads and stores, on any alignment
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Everything zspool writes to disk or wire goes through these, so that a store can move between
//  machines.

#ifndef ZSPOOL_BYTES_H_INCLUDED
#define ZSPOOL_BYTES_H_INCLUDED

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void
put_u16 (uint8_t *to, uint16_t value)
{
    value = htole16 (value);
    memcpy (to, &value, sizeof value);
}

static inline void
put_u32 (uint8_t *to, uint32_t value)
{
    value = htole32 (value);
    memcpy (to, &value, sizeof value);
}

static inline void
put_u64 (uint8_t *to, uint64_t value)
{
    value = htole64 (value);
    memcpy (to, &value, sizeof value);
}

static inline uint16_t
get_u16 (const uint8_t *from)
{
    uint16_t value;
    memcpy (&value, from, sizeof value);
    return le16toh (value);
}

static inline uint32_t
get_u32 (const uint8_t *from)
{
    uint32_t value;
    memcpy (&value, from, sizeof value);
    return le32toh (value);
}

static inline uint64_t
get_u64 (const uint8_t *from)
{
    uint64_t value;
    memcpy (&value, from, sizeof value);
    return le64toh (value);
}

//  Keys are big-endian, so that LMDB's byte order is the order of numbers.
static inline void
put_u16_be (uint8_t *to, uint16_t value)
{
    value = htobe16 (value);
    memcpy (to, &value, sizeof value);
}

static inline void
put_u32_be (uint8_t *to, uint32_t value)
{
    value = htobe32 (value);
    memcpy (to, &value, sizeof value);
}

static inline void
put_u64_be (uint8_t *to, uint64_t value)
{
    value = htobe64 (value);
    memcpy (to, &value, sizeof value);
}

static inline uint16_t
get_u16_be (const uint8_t *from)
{
    uint16_t value;
    memcpy (&value, from, sizeof value);
    return be16toh (value);
}

static inline uint32_t
get_u32_be (const uint8_t *from)
{
    uint32_t value;
    memcpy (&value, from, sizeof value);
    return be32toh (value);
}

static inline uint64_t
get_u64_be (const uint8_t *from)
{
    uint64_t value;
    memcpy (&value, from, sizeof value);
    return be64toh (value);
}

#endif
