//  store_state.c - codec of the small records of a store
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Those of producers and tables are in store_state_named.c. One table. Keys, big-endian:                     Values, little-endian:
//    'A'                                              format u32, incarnation u64, created_us i64,
//                                                     next_spool u32
//    'O'                                              kind u32, incarnation u64, copied_us i64; may be missing
//    'S' spool u32                                    next_sequence u64, last_sequence u64, ceiling u64,
//                                                     messages u64, bytes u64, blocks u64, lost
//                                                     u64, stored_us i64, next_cursor u32, name
//    'C' spool u32 cursor u32                         generation u32, floor u64, sent_to u64, name
//    'E' spool u32 cursor u32 first_sequence u64      messages u32, has_counts u32, acked bits, counts
//    'G' spool u32 first u64                          last u64, found_us i64
//    'L' spool u32 cursor u32                         lagged u64
//    'D' spool u32                                    cursors_deleted u32
//    'R' spool u32                                    age_us u64, bytes u64, messages u64 (each all ones: no
//                                                     limit), unacked u32 (0: goes all the same)
//    'P' producer u32                                 epoch u32, last u64, name
//    'N' name                                         producer u32
//    'T' table u32                                    name, of an application's table
//  Each value ends with 4 bytes: the lower half of the XXH3-64 of the value before it, seeded with
//  that of the key. The format number is raised when any of this, or the way blocks are kept,
//  changes; a store of a higher one is refused, of a lower one brought up to date at opening for
//  writing. A new kind of record does not raise it as long as a version that does not know it may
//  pass it over, reading and writing: every reader looks for kinds by their first byte, and nobody
//  deletes others. 'L' came later than the rest; without it a cursor has lost nothing, and a
//  version that does not know it goes on from the cursor's floor, which says where the dropped
//  messages end. 'R' came later, too; without it a spool is a queue, and for a version that does not
//  know it every spool is: it removes what all cursors have acknowledged. 'D' only tells salvage which
//  cursors need not be looked for. 'P', 'N' and 'T' came with format 3.

#include "store_record.h"

#include <stdlib.h>

#define RETENTION_VALUE_BYTES 28
#define SPOOL_VALUE_MIN 69     //  all of it, and one byte of its name

static zspool_bytes_t
s_key_cursor (uint8_t key [KEY_MAX], char kind, uint32_t spool, uint32_t cursor)
{
    record_key (key, kind, spool);
    put_u32_be (key + 5, cursor);
    return (zspool_bytes_t) { key, 9 };
}

static zspool_bytes_t
s_key_entry (uint8_t key [KEY_MAX], uint32_t spool, uint32_t cursor, uint64_t first_sequence)
{
    s_key_cursor (key, 'E', spool, cursor);
    put_u64_be (key + 9, first_sequence);
    return (zspool_bytes_t) { key, 17 };
}

int
zspool_state_put_store (zspool_txn_t *txn, zspool_table_t table, const zspool_store_record_t *store)
{
    uint8_t value [24 + CHECKSUM_BYTES];
    put_u32 (value, store->format);
    put_u64 (value + 4, store->incarnation);
    put_u64 (value + 12, (uint64_t) store->created_us);
    put_u32 (value + 20, store->next_spool);
    return record_put (txn, table, (zspool_bytes_t) { (const uint8_t *) "A", 1 }, value, sizeof value);
}

//  Take the store's record from a value that was checked.
static int
s_get_store (zspool_bytes_t value, zspool_store_record_t *store)
{
    //  The format number stays where it is whatever comes.
    if (get_u32 (value.data) > ZSPOOL_FORMAT_VERSION)
        return ZSPOOL_EVERSION;
    if (value.size != 24)
        return ZSPOOL_ECORRUPT;
    store->format = get_u32 (value.data);
    store->incarnation = get_u64 (value.data + 4);
    store->created_us = (int64_t) get_u64 (value.data + 12);
    store->next_spool = get_u32 (value.data + 20);
    return ZSPOOL_OK;
}

int
zspool_state_get_store (zspool_txn_t *txn, zspool_table_t table, zspool_store_record_t *store)
{
    zspool_bytes_t key = { (const uint8_t *) "A", 1 }, value;
    int rc = zspool_txn_get (txn, table, key, &value);
    if (rc == ZSPOOL_OK)
        rc = record_check (key, &value, 4);
    if (rc)
        return rc;
    return s_get_store (value, store);
}

//  Take a spool's record from a value that was checked.
static int
s_get_spool (zspool_bytes_t value, zspool_spool_record_t *record)
{
    int rc = record_get_name (record->name, value, 68);
    if (rc)
        return rc;
    record->next_sequence = get_u64 (value.data);
    record->last_sequence = get_u64 (value.data + 8);
    record->sequence_ceiling = get_u64 (value.data + 16);
    record->messages = get_u64 (value.data + 24);
    record->bytes = get_u64 (value.data + 32);
    record->blocks = get_u64 (value.data + 40);
    record->lost = get_u64 (value.data + 48);
    record->stored_us = (int64_t) get_u64 (value.data + 56);
    record->next_cursor = get_u32 (value.data + 64);
    record->cursors_deleted = 0;
    return ZSPOOL_OK;
}

int
zspool_state_get_spool (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                        zspool_spool_record_t *record)
{
    uint8_t bytes [KEY_MAX];
    zspool_bytes_t key = record_key (bytes, 'S', spool), value;
    int rc = zspool_txn_get (txn, table, key, &value);
    if (rc == ZSPOOL_OK)
        rc = record_check (key, &value, SPOOL_VALUE_MIN);
    return rc? rc: s_get_spool (value, record);
}

int
zspool_state_put_origin (zspool_txn_t *txn, zspool_table_t table, const zspool_origin_record_t *origin)
{
    uint8_t value [20 + CHECKSUM_BYTES];
    put_u32 (value, origin->kind);
    put_u64 (value + 4, origin->incarnation);
    put_u64 (value + 12, (uint64_t) origin->copied_us);
    return record_put (txn, table, (zspool_bytes_t) { (const uint8_t *) "O", 1 }, value, sizeof value);
}

static void
s_get_origin (zspool_bytes_t value, zspool_origin_record_t *origin)
{
    origin->kind = get_u32 (value.data);
    origin->incarnation = get_u64 (value.data + 4);
    origin->copied_us = (int64_t) get_u64 (value.data + 12);
}

int
zspool_state_get_origin (zspool_txn_t *txn, zspool_table_t table, zspool_origin_record_t *origin)
{
    zspool_bytes_t key = { (const uint8_t *) "O", 1 }, value;
    int rc = zspool_txn_get (txn, table, key, &value);
    if (rc == ZSPOOL_OK)
        rc = record_check (key, &value, 20);
    if (rc)
        return rc;
    s_get_origin (value, origin);
    return ZSPOOL_OK;
}

int
zspool_state_put_spool (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                        const zspool_spool_record_t *record)
{
    uint8_t key [KEY_MAX], value [SMALL_VALUE_MAX];
    put_u64 (value, record->next_sequence);
    put_u64 (value + 8, record->last_sequence);
    put_u64 (value + 16, record->sequence_ceiling);
    put_u64 (value + 24, record->messages);
    put_u64 (value + 32, record->bytes);
    put_u64 (value + 40, record->blocks);
    put_u64 (value + 48, record->lost);
    put_u64 (value + 56, (uint64_t) record->stored_us);
    put_u32 (value + 64, record->next_cursor);
    size_t size = 68 + record_put_name (value + 68, record->name);
    return record_put (txn, table, record_key (key, 'S', spool), value, size + CHECKSUM_BYTES);
}

int
zspool_state_put_cursor (zspool_txn_t *txn, zspool_table_t table, uint32_t spool, uint32_t cursor,
                         const zspool_cursor_record_t *record)
{
    uint8_t key [KEY_MAX], value [SMALL_VALUE_MAX];
    put_u32 (value, record->generation);
    put_u64 (value + 4, record->floor);
    put_u64 (value + 12, record->sent_to);
    size_t size = 20 + record_put_name (value + 20, record->name);
    return record_put (txn, table, s_key_cursor (key, 'C', spool, cursor), value, size + CHECKSUM_BYTES);
}

int
zspool_state_put_gap (zspool_txn_t *txn, zspool_table_t table, uint32_t spool, const zspool_gap_t *gap)
{
    uint8_t key [KEY_MAX], value [16 + CHECKSUM_BYTES];
    record_key (key, 'G', spool);
    put_u64_be (key + 5, gap->first);
    put_u64 (value, gap->last);
    put_u64 (value + 8, (uint64_t) gap->found_us);
    return record_put (txn, table, (zspool_bytes_t) { key, 13 }, value, sizeof value);
}

int
zspool_state_put_entry (zspool_txn_t *txn, zspool_table_t table, uint32_t spool, uint32_t cursor,
                        const zspool_cursor_entry_t *entry)
{
    uint8_t key [KEY_MAX];
    size_t acked_bytes = (entry->messages + 7) / 8;
    size_t counts_bytes = entry->counts? entry->messages * sizeof (uint16_t): 0;
    size_t size = 8 + acked_bytes + counts_bytes + CHECKSUM_BYTES;
    uint8_t *value = (uint8_t *) malloc (size);
    if (!value)
        return ZSPOOL_ENOMEM;
    put_u32 (value, entry->messages);
    put_u32 (value + 4, entry->counts? 1: 0);
    memcpy (value + 8, entry->acked, acked_bytes);
    if (entry->counts)
        memcpy (value + 8 + acked_bytes, entry->counts, counts_bytes);
    int rc = record_put (txn, table, s_key_entry (key, spool, cursor, entry->first_sequence), value, size);
    free (value);
    return rc;
}

int
zspool_state_put_lagged (zspool_txn_t *txn, zspool_table_t table, uint32_t spool, uint32_t cursor,
                         uint64_t lagged)
{
    uint8_t key [KEY_MAX], value [8 + CHECKSUM_BYTES];
    put_u64 (value, lagged);
    return record_put (txn, table, s_key_cursor (key, 'L', spool, cursor), value, sizeof value);
}

int
zspool_state_get_lagged (zspool_txn_t *txn, zspool_table_t table, uint32_t spool, uint32_t cursor,
                         uint64_t *lagged)
{
    uint8_t bytes [KEY_MAX];
    zspool_bytes_t key = s_key_cursor (bytes, 'L', spool, cursor), value;
    int rc = zspool_txn_get (txn, table, key, &value);
    if (rc == ZSPOOL_OK)
        rc = record_check (key, &value, 8);
    if (rc == ZSPOOL_OK || rc == ZSPOOL_ENOENT || rc == ZSPOOL_ECORRUPT)
        *lagged = rc == ZSPOOL_OK? get_u64 (value.data): 0;
    return rc == ZSPOOL_ENOENT || rc == ZSPOOL_ECORRUPT? ZSPOOL_OK: rc;
}

bool
zspool_state_lagged_is_damaged (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                                uint32_t cursor)
{
    uint8_t bytes [KEY_MAX];
    zspool_bytes_t key = s_key_cursor (bytes, 'L', spool, cursor), value;
    return zspool_txn_get (txn, table, key, &value) == ZSPOOL_OK
           && record_check (key, &value, 8) != ZSPOOL_OK;
}

static bool
s_is_queue (const zspool_retention_t *retention)
{
    return retention->age_us == ZSPOOL_KEEP_UNLIMITED && retention->bytes == ZSPOOL_KEEP_UNLIMITED
           && retention->messages == 0 && retention->unacked;
}

int
zspool_state_put_retention (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                            const zspool_retention_t *retention)
{
    uint8_t bytes [KEY_MAX], value [RETENTION_VALUE_BYTES + CHECKSUM_BYTES];
    zspool_bytes_t key = record_key (bytes, 'R', spool);
    if (s_is_queue (retention)) {
        int rc = zspool_txn_delete (txn, table, key);
        return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
    }
    put_u64 (value, retention->age_us);
    put_u64 (value + 8, retention->bytes);
    put_u64 (value + 16, retention->messages);
    put_u32 (value + 24, retention->unacked);
    return record_put (txn, table, key, value, sizeof value);
}

static void
s_get_retention (zspool_bytes_t value, zspool_retention_t *retention)
{
    retention->age_us = get_u64 (value.data);
    retention->bytes = get_u64 (value.data + 8);
    retention->messages = get_u64 (value.data + 16);
    bool keeps = retention->age_us > 0 && retention->bytes > 0 && retention->messages > 0;
    retention->unacked = get_u32 (value.data + 24) != 0 || !keeps; //  nobody asks for nothing at all
}

int
zspool_state_get_retention (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                            zspool_retention_t *retention)
{
    uint8_t bytes [KEY_MAX];
    zspool_bytes_t key = record_key (bytes, 'R', spool), value;
    int rc = zspool_txn_get (txn, table, key, &value);
    if (rc == ZSPOOL_OK)
        rc = record_check (key, &value, RETENTION_VALUE_BYTES);
    if (rc != ZSPOOL_OK && rc != ZSPOOL_ENOENT && rc != ZSPOOL_ECORRUPT)
        return rc;
    uint64_t messages = rc == ZSPOOL_ENOENT? 0: ZSPOOL_KEEP_UNLIMITED;
    *retention = (zspool_retention_t){ ZSPOOL_KEEP_UNLIMITED, ZSPOOL_KEEP_UNLIMITED, messages, true };
    if (rc == ZSPOOL_OK)
        s_get_retention (value, retention);
    return ZSPOOL_OK;
}

bool
zspool_state_retention_is_damaged (zspool_txn_t *txn, zspool_table_t table, uint32_t spool)
{
    uint8_t bytes [KEY_MAX];
    zspool_bytes_t key = record_key (bytes, 'R', spool), value;
    return zspool_txn_get (txn, table, key, &value) == ZSPOOL_OK
           && record_check (key, &value, RETENTION_VALUE_BYTES) != ZSPOOL_OK;
}

int
zspool_state_put_deleted (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                          uint32_t cursors_deleted)
{
    uint8_t key [KEY_MAX], value [4 + CHECKSUM_BYTES];
    put_u32 (value, cursors_deleted);
    return record_put (txn, table, record_key (key, 'D', spool), value, sizeof value);
}

int
zspool_state_get_deleted (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                          uint32_t *cursors_deleted)
{
    uint8_t bytes [KEY_MAX];
    zspool_bytes_t key = record_key (bytes, 'D', spool), value;
    int rc = zspool_txn_get (txn, table, key, &value);
    if (rc == ZSPOOL_OK)
        rc = record_check (key, &value, 4);
    if (rc == ZSPOOL_OK || rc == ZSPOOL_ENOENT || rc == ZSPOOL_ECORRUPT)
        *cursors_deleted = rc == ZSPOOL_OK? get_u32 (value.data): 0;
    return rc == ZSPOOL_ENOENT || rc == ZSPOOL_ECORRUPT? ZSPOOL_OK: rc;
}

//  Read an entry from its value, whose checksum is taken off.
static int
s_get_entry (zspool_bytes_t key, zspool_bytes_t value, zspool_cursor_entry_t *entry)
{
    uint64_t messages = get_u32 (value.data);
    bool has_counts = get_u32 (value.data + 4) != 0;
    size_t acked_bytes = (messages + 7) / 8;
    if (messages == 0 || value.size != 8 + acked_bytes + (has_counts? messages * 2: 0))
        return ZSPOOL_ECORRUPT;
    entry->first_sequence = get_u64_be (key.data + 9);
    entry->messages = (uint32_t) messages;
    entry->acked = value.data + 8;
    entry->counts = has_counts? value.data + 8 + acked_bytes: NULL;
    return ZSPOOL_OK;
}

int
zspool_state_get_entry (zspool_txn_t *txn, zspool_table_t table, uint32_t spool, uint32_t cursor,
                        uint64_t first, zspool_cursor_entry_t *entry)
{
    uint8_t bytes [KEY_MAX];
    zspool_bytes_t key = s_key_entry (bytes, spool, cursor, first), value;
    int rc = zspool_txn_get (txn, table, key, &value);
    if (rc == ZSPOOL_OK)
        rc = record_check (key, &value, 8);
    return rc? rc: s_get_entry (key, value, entry);
}

//  The same for a cursor and for a gap
static int
s_get_cursor (zspool_bytes_t value, zspool_cursor_record_t *record)
{
    int rc = record_get_name (record->name, value, 20);
    if (rc)
        return rc;
    record->generation = get_u32 (value.data);
    record->floor = get_u64 (value.data + 4);
    record->sent_to = get_u64 (value.data + 12);
    record->lagged = 0;
    return ZSPOOL_OK;
}

static int
s_get_gap (zspool_bytes_t key, zspool_bytes_t value, zspool_gap_t *gap)
{
    gap->first = get_u64_be (key.data + 5);
    gap->last = get_u64 (value.data);
    gap->found_us = (int64_t) get_u64 (value.data + 8);
    return gap->first <= gap->last? ZSPOOL_OK: ZSPOOL_ECORRUPT;
}

int
zspool_state_decode (zspool_bytes_t key, zspool_bytes_t value, zspool_state_record_t *record)
{
    static const struct { char kind; uint8_t key_bytes; uint8_t value_min; } kinds [] = {
        { 'A', 1, 4 }, { 'O', 1, 20 }, { 'S', 5, SPOOL_VALUE_MIN }, { 'C', 9, 21 },
        { 'G', 13, 16 }, { 'E', 17, 8 }, { 'L', 9, 8 }, { 'R', 5, RETENTION_VALUE_BYTES },
        { 'D', 5, 4 }
    };
    for (size_t index = 0; index < sizeof kinds / sizeof kinds [0]; index++) {
        if (key.size != kinds [index].key_bytes || key.data [0] != (uint8_t) kinds [index].kind)
            continue;
        int rc = record_check (key, &value, kinds [index].value_min);
        if (rc)
            return rc;
        record->kind = kinds [index].kind;
        record->spool = key.size >= 5? get_u32_be (key.data + 1): 0;
        record->cursor = key.size >= 9 && record->kind != 'G'? get_u32_be (key.data + 5): 0;
        switch (record->kind) {
        case 'A': return s_get_store (value, &record->as.store);
        case 'O': s_get_origin (value, &record->as.origin); break;
        case 'S': return s_get_spool (value, &record->as.of_spool);
        case 'C': return s_get_cursor (value, &record->as.of_cursor);
        case 'G': return s_get_gap (key, value, &record->as.gap);
        case 'E': return s_get_entry (key, value, &record->as.entry);
        case 'L': record->as.lagged = get_u64 (value.data); break;
        case 'D': record->as.cursors_deleted = get_u32 (value.data); break;
        case 'R': s_get_retention (value, &record->as.retention); break;
        }
        return ZSPOOL_OK;
    }
    return zspool_state_decode_named (key, value, record);
}

//  ------------------------------------------------------------------------------------------------
//  Walks

static int
s_walk_open (zspool_walk_t *self, zspool_txn_t *txn, zspool_table_t table, zspool_bytes_t prefix)
{
    if (prefix.size)
        memcpy (self->prefix, prefix.data, prefix.size);
    self->prefix_size = prefix.size;
    self->from = 0;
    self->started = false;
    self->iter = NULL;
    return zspool_iter_open (txn, table, &self->iter);
}

int
zspool_walk_spools (zspool_walk_t *self, zspool_txn_t *txn, zspool_table_t table)
{
    return s_walk_open (self, txn, table, (zspool_bytes_t) { (const uint8_t *) "S", 1 });
}

int
zspool_walk_cursors (zspool_walk_t *self, zspool_txn_t *txn, zspool_table_t table, uint32_t spool)
{
    uint8_t key [KEY_MAX];
    return s_walk_open (self, txn, table, record_key (key, 'C', spool));
}

int
zspool_walk_gaps (zspool_walk_t *self, zspool_txn_t *txn, zspool_table_t table, uint32_t spool)
{
    uint8_t key [KEY_MAX];
    return s_walk_open (self, txn, table, record_key (key, 'G', spool));
}

int
zspool_walk_entries (zspool_walk_t *self, zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                     uint32_t cursor)
{
    uint8_t key [KEY_MAX];
    return s_walk_open (self, txn, table, s_key_cursor (key, 'E', spool, cursor));
}

int
zspool_walk_entries_from (zspool_walk_t *self, zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                          uint32_t cursor, uint64_t first_sequence)
{
    int rc = zspool_walk_entries (self, txn, table, spool, cursor);
    self->from = first_sequence;
    return rc;
}

int
zspool_walk_records (zspool_walk_t *self, zspool_txn_t *txn, zspool_table_t table)
{
    int rc = s_walk_open (self, txn, table, (zspool_bytes_t) { NULL, 0 });
    //  There is nothing to seek: the first step gives the first pair.
    self->started = true;
    return rc;
}

void
zspool_walk_close (zspool_walk_t *self)
{
    zspool_iter_close (&self->iter);
}

//  Move to the next pair, and check its key's size and its value.
static int
s_walk_next (zspool_walk_t *self, size_t key_size, size_t value_size_min, zspool_bytes_t *key,
             zspool_bytes_t *value)
{
    zspool_bytes_t prefix = { self->prefix, self->prefix_size }, start = prefix;
    uint8_t start_key [KEY_MAX];
    if (self->from > 0) {
        memcpy (start_key, prefix.data, prefix.size);
        put_u64_be (start_key + prefix.size, self->from);
        start = (zspool_bytes_t) { start_key, prefix.size + sizeof self->from };
    }
    int rc = self->started? zspool_iter_next (self->iter, key, value):
                            zspool_iter_seek (self->iter, start, key, value);
    self->started = true;
    if (rc)
        return rc;
    if (key->size < prefix.size || memcmp (key->data, prefix.data, prefix.size) != 0)
        return ZSPOOL_ENOENT;
    if (key->size != key_size)
        return ZSPOOL_ECORRUPT;
    return record_check (*key, value, value_size_min);
}

int
zspool_walk_next_record (zspool_walk_t *self)
{
    zspool_bytes_t key, value;
    int rc = zspool_iter_next (self->iter, &key, &value);
    return rc? rc: record_check (key, &value, 0);
}

int
zspool_walk_next_spool (zspool_walk_t *self, uint32_t *spool, zspool_spool_record_t *record)
{
    zspool_bytes_t key, value;
    int rc = s_walk_next (self, 5, SPOOL_VALUE_MIN, &key, &value);
    if (rc == ZSPOOL_OK)
        rc = s_get_spool (value, record);
    if (rc == ZSPOOL_OK)
        *spool = get_u32_be (key.data + 1);
    return rc;
}

int
zspool_walk_next_cursor (zspool_walk_t *self, uint32_t *cursor, zspool_cursor_record_t *record)
{
    zspool_bytes_t key, value;
    int rc = s_walk_next (self, 9, 21, &key, &value);
    if (rc == ZSPOOL_OK)
        rc = s_get_cursor (value, record);
    if (rc == ZSPOOL_OK)
        *cursor = get_u32_be (key.data + 5);
    return rc;
}

int
zspool_walk_next_gap (zspool_walk_t *self, zspool_gap_t *gap)
{
    zspool_bytes_t key, value;
    int rc = s_walk_next (self, 13, 16, &key, &value);
    return rc? rc: s_get_gap (key, value, gap);
}

int
zspool_walk_next_entry (zspool_walk_t *self, zspool_cursor_entry_t *entry)
{
    zspool_bytes_t key, value;
    int rc = s_walk_next (self, 17, 8, &key, &value);
    return rc? rc: s_get_entry (key, value, entry);
}

int
zspool_state_count_gaps (zspool_txn_t *txn, zspool_table_t table, uint32_t spool, uint64_t after,
                         uint64_t to, uint64_t *count)
{
    uint64_t found = 0;
    zspool_walk_t walk;
    zspool_gap_t gap;
    int rc = zspool_walk_gaps (&walk, txn, table, spool);
    if (rc)
        return rc;
    while (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT) {
        rc = zspool_walk_next_gap (&walk, &gap);
        if (rc == ZSPOOL_OK && gap.last > after && gap.first <= to) {
            uint64_t first = gap.first > after? gap.first: after + 1;
            found += (gap.last < to? gap.last: to) - first + 1;
        }
    }
    zspool_walk_close (&walk);
    if (rc != ZSPOOL_ENOENT)
        return rc;
    *count = found;
    return ZSPOOL_OK;
}

int
zspool_state_trim_entries (zspool_txn_t *txn, zspool_table_t table, uint32_t spool, uint32_t cursor,
                           uint64_t floor)
{
    zspool_walk_t walk;
    int rc = zspool_walk_entries (&walk, txn, table, spool, cursor);
    while (rc == ZSPOOL_OK) {
        zspool_cursor_entry_t entry;
        rc = zspool_walk_next_entry (&walk, &entry);
        if (rc == ZSPOOL_OK && entry.first_sequence + entry.messages - 1 > floor)
            break;
        //  A damaged entry only means that messages are delivered again: away with it.
        if (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT)
            rc = zspool_iter_delete (walk.iter);
    }
    zspool_walk_close (&walk);
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}

int
zspool_state_delete_cursor (zspool_txn_t *txn, zspool_table_t table, uint32_t spool, uint32_t cursor)
{
    int rc = zspool_state_trim_entries (txn, table, spool, cursor, UINT64_MAX);
    for (const char *kind = "CL"; rc == ZSPOOL_OK && *kind; kind++) {
        uint8_t key [KEY_MAX];
        rc = zspool_txn_delete (txn, table, s_key_cursor (key, *kind, spool, cursor));
        if (rc == ZSPOOL_ENOENT)
            rc = ZSPOOL_OK;
    }
    return rc;
}
