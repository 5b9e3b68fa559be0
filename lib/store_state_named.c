//  store_state_named.c - codec of the small records of producers, and of an application's tables
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The layout is documented in store_state.c.

#include "store_record.h"

#define PRODUCER_VALUE_MIN 13  //  all of it, and one byte of its name
#define NUMBER_KEY_BYTES 5
#define NAME_VALUE_BYTES 4

//  Whether that is a key of a kind and a number
static bool
s_is_key (zspool_bytes_t key, char kind)
{
    return key.size == NUMBER_KEY_BYTES && key.data [0] == (uint8_t) kind;
}

//  Find the first pair of a kind at or behind a key. ENOENT.
static int
s_seek (zspool_txn_t *txn, zspool_table_t table, zspool_bytes_t from, zspool_bytes_t *key,
        zspool_bytes_t *value)
{
    zspool_iter_t *iter = NULL;
    int rc = zspool_iter_open (txn, table, &iter);
    if (rc == ZSPOOL_OK)
        rc = zspool_iter_seek (iter, from, key, value);
    zspool_iter_close (&iter);
    return rc == ZSPOOL_OK && key->data [0] != from.data [0]? ZSPOOL_ENOENT: rc;
}

//  The pair with the lowest number above *number, which becomes that.
static int
s_next (zspool_txn_t *txn, zspool_table_t table, char kind, uint32_t *number, zspool_bytes_t *key,
        zspool_bytes_t *value)
{
    uint8_t bytes [KEY_MAX];
    if (*number == UINT32_MAX)
        return ZSPOOL_ENOENT;
    int rc = s_seek (txn, table, record_key (bytes, kind, *number + 1), key, value);
    if (rc == ZSPOOL_OK && !s_is_key (*key, kind))
        return ZSPOOL_ENOENT; //  damaged: zspool_store_verify () tells
    if (rc == ZSPOOL_OK)
        *number = get_u32_be (key->data + 1);
    return rc;
}

//  ------------------------------------------------------------------------------------------------
//  Producers

int
zspool_state_put_producer (zspool_txn_t *txn, zspool_table_t table, uint32_t producer,
                           const zspool_producer_record_t *record)
{
    uint8_t key [KEY_MAX], value [SMALL_VALUE_MAX];
    put_u32 (value, record->epoch);
    put_u64 (value + 4, record->last);
    size_t size = 12 + record_put_name (value + 12, record->name);
    return record_put (txn, table, record_key (key, 'P', producer), value, size + CHECKSUM_BYTES);
}

//  Take a producer from a value that was checked, without its checksum.
static int
s_take_producer (zspool_bytes_t value, zspool_producer_record_t *record)
{
    int rc = record_get_name (record->name, value, 12);
    if (rc)
        return rc;
    record->epoch = get_u32 (value.data);
    record->last = get_u64 (value.data + 4);
    return ZSPOOL_OK;
}

int
zspool_state_get_producer (zspool_txn_t *txn, zspool_table_t table, uint32_t producer,
                           zspool_producer_record_t *record)
{
    uint8_t bytes [KEY_MAX];
    zspool_bytes_t key = record_key (bytes, 'P', producer), value;
    int rc = zspool_txn_get (txn, table, key, &value);
    if (rc == ZSPOOL_OK)
        rc = record_check (key, &value, PRODUCER_VALUE_MIN);
    return rc? rc: s_take_producer (value, record);
}

//  The key under which a producer's number stands
static zspool_bytes_t
s_key_name (uint8_t key [1 + ZSPOOL_NAME_MAX], const char *name)
{
    key [0] = 'N';
    return (zspool_bytes_t) { key, 1 + record_put_name (key + 1, name) };
}

int
zspool_state_put_producer_name (zspool_txn_t *txn, zspool_table_t table, const char *name,
                                uint32_t producer)
{
    uint8_t key [1 + ZSPOOL_NAME_MAX], value [NAME_VALUE_BYTES + CHECKSUM_BYTES];
    put_u32 (value, producer);
    return record_put (txn, table, s_key_name (key, name), value, sizeof value);
}

int
zspool_state_find_producer (zspool_txn_t *txn, zspool_table_t table, const char *name,
                            uint32_t *producer)
{
    uint8_t bytes [1 + ZSPOOL_NAME_MAX];
    zspool_bytes_t key = s_key_name (bytes, name), value;
    int rc = zspool_txn_get (txn, table, key, &value);
    if (rc == ZSPOOL_OK)
        rc = record_check (key, &value, NAME_VALUE_BYTES);
    if (rc == ZSPOOL_OK)
        *producer = get_u32 (value.data);
    return rc;
}

int
zspool_state_last_producer (zspool_txn_t *txn, zspool_table_t table, uint32_t *producer)
{
    zspool_iter_t *iter = NULL;
    uint8_t bytes [KEY_MAX];
    zspool_bytes_t behind = record_key (bytes, 'P' + 1, 0), key, value;
    int rc = zspool_iter_open (txn, table, &iter);
    if (rc)
        return rc;
    rc = zspool_iter_seek (iter, behind, &key, &value);
    rc = rc == ZSPOOL_ENOENT? zspool_iter_last (iter, &key, &value):
         rc == ZSPOOL_OK?     zspool_iter_previous (iter, &key, &value):
                              rc;
    if (rc == ZSPOOL_OK || rc == ZSPOOL_ENOENT)
        *producer = rc == ZSPOOL_OK && s_is_key (key, 'P')? get_u32_be (key.data + 1): 0;
    zspool_iter_close (&iter);
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}

int
zspool_state_next_producer (zspool_txn_t *txn, zspool_table_t table, uint32_t *producer,
                            zspool_producer_record_t *record)
{
    zspool_bytes_t key, value;
    int rc = s_next (txn, table, 'P', producer, &key, &value);
    if (rc == ZSPOOL_OK)
        rc = record_check (key, &value, PRODUCER_VALUE_MIN);
    return rc? rc: s_take_producer (value, record);
}

//  Take a name from the key under which its producer's number stands.
static int
s_take_name (zspool_bytes_t key, char name [ZSPOOL_NAME_MAX + 1])
{
    return record_get_name (name, key, 1);
}

int
zspool_state_next_name (zspool_txn_t *txn, zspool_table_t table, char name [ZSPOOL_NAME_MAX + 1],
                        uint32_t *producer)
{
    //  The key that follows is this one with a zero behind it.
    uint8_t bytes [2 + ZSPOOL_NAME_MAX];
    zspool_bytes_t from = s_key_name (bytes, name), key, value;
    bytes [from.size++] = 0;
    int rc = s_seek (txn, table, from, &key, &value);
    if (rc == ZSPOOL_OK && s_take_name (key, name))
        return ZSPOOL_ENOENT; //  damaged: zspool_store_verify () tells
    if (rc == ZSPOOL_OK)
        rc = record_check (key, &value, NAME_VALUE_BYTES);
    if (rc == ZSPOOL_OK)
        *producer = get_u32 (value.data);
    return rc;
}

//  ------------------------------------------------------------------------------------------------
//  Tables of an application

int
zspool_state_put_table (zspool_txn_t *txn, zspool_table_t state, uint32_t table, const char *name)
{
    uint8_t key [KEY_MAX], value [SMALL_VALUE_MAX];
    size_t size = record_put_name (value, name);
    return record_put (txn, state, record_key (key, 'T', table), value, size + CHECKSUM_BYTES);
}

int
zspool_state_get_table (zspool_txn_t *txn, zspool_table_t state, uint32_t table,
                        char name [ZSPOOL_NAME_MAX + 1])
{
    uint8_t bytes [KEY_MAX];
    zspool_bytes_t key = record_key (bytes, 'T', table), value;
    int rc = zspool_txn_get (txn, state, key, &value);
    if (rc == ZSPOOL_OK)
        rc = record_check (key, &value, 1);
    return rc? rc: record_get_name (name, value, 0);
}

int
zspool_state_next_table (zspool_txn_t *txn, zspool_table_t state, uint32_t *table,
                         char name [ZSPOOL_NAME_MAX + 1])
{
    zspool_bytes_t key, value;
    int rc = s_next (txn, state, 'T', table, &key, &value);
    if (rc == ZSPOOL_OK)
        rc = record_check (key, &value, 1);
    return rc? rc: record_get_name (name, value, 0);
}

//  ------------------------------------------------------------------------------------------------
//  Any of them

int
zspool_state_decode_named (zspool_bytes_t key, zspool_bytes_t value, zspool_state_record_t *record)
{
    bool is_name = key.size > 1 && key.data [0] == 'N';
    if (!is_name && !s_is_key (key, 'P') && !s_is_key (key, 'T'))
        return ZSPOOL_ECORRUPT;
    record->kind = (char) key.data [0];
    record->spool = record->cursor = 0;
    int rc = record_check (key, &value, is_name? NAME_VALUE_BYTES: 1);
    if (rc)
        return rc;
    switch (record->kind) {
    case 'N':
        record->as.named.number = get_u32 (value.data);
        return s_take_name (key, record->as.named.name);
    case 'T':
        record->as.named.number = get_u32_be (key.data + 1);
        return record_get_name (record->as.named.name, value, 0);
    default:
        return value.size < PRODUCER_VALUE_MIN? ZSPOOL_ECORRUPT:
                                                s_take_producer (value, &record->as.producer);
    }
}
