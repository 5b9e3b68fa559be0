//  store_record.h - how the small records of a store are put and checked: for the codecs of their
//  kinds only
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The layout is documented in store_state.c.

#ifndef ZSPOOL_STORE_RECORD_H_INCLUDED
#define ZSPOOL_STORE_RECORD_H_INCLUDED

#include "store_state.h"
#include "bytes.h"

#include <xxhash.h>

#define CHECKSUM_BYTES 4
#define KEY_MAX 17
#define SMALL_VALUE_MAX 256

static inline uint32_t
record_checksum (zspool_bytes_t key, const uint8_t *value, size_t size)
{
    return (uint32_t) XXH3_64bits_withSeed (value, size, XXH3_64bits (key.data, key.size));
}

//  Put a value whose last CHECKSUM_BYTES are still to be filled in.
static inline int
record_put (zspool_txn_t *txn, zspool_table_t table, zspool_bytes_t key, uint8_t *value, size_t size)
{
    put_u32 (value + size - CHECKSUM_BYTES, record_checksum (key, value, size - CHECKSUM_BYTES));
    zspool_bytes_t bytes = { value, size };
    return zspool_txn_put (txn, table, key, bytes);
}

//  Check a value; its size without the checksum becomes *value's.
static inline int
record_check (zspool_bytes_t key, zspool_bytes_t *value, size_t size_min)
{
    if (value->size < size_min + CHECKSUM_BYTES)
        return ZSPOOL_ECORRUPT;
    size_t size = value->size - CHECKSUM_BYTES;
    if (get_u32 (value->data + size) != record_checksum (key, value->data, size))
        return ZSPOOL_ECORRUPT;
    value->size = size;
    return ZSPOOL_OK;
}

//  The key of a kind and a number
static inline zspool_bytes_t
record_key (uint8_t key [KEY_MAX], char kind, uint32_t number)
{
    key [0] = (uint8_t) kind;
    put_u32_be (key + 1, number);
    return (zspool_bytes_t) { key, 5 };
}

//  Names come last in a value, without a terminating zero.
static inline size_t
record_put_name (uint8_t *to, const char *name)
{
    size_t length = strlen (name);
    memcpy (to, name, length);
    return length;
}

static inline int
record_get_name (char name [ZSPOOL_NAME_MAX + 1], zspool_bytes_t value, size_t offset)
{
    size_t length = value.size - offset;
    if (length == 0 || length > ZSPOOL_NAME_MAX)
        return ZSPOOL_ECORRUPT;
    memcpy (name, value.data + offset, length);
    name [length] = 0;
    return ZSPOOL_OK;
}

//  Any record of store_state_named.c; ECORRUPT: it is none, or damaged.
int
    zspool_state_decode_named (zspool_bytes_t key, zspool_bytes_t value,
                               zspool_state_record_t *record);

#endif
