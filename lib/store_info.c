//  store_info.c - lists spools and cursors as they are committed
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Thread: the store's owner. Each call takes a view, reads, and releases it.

#include "store.h"
#include "store_blocks.h"

#include <string.h>

//  Sequence of the oldest message; 0 when there is none
static int
s_first_sequence (zspool_txn_t *view, zspool_table_t table, uint64_t *first)
{
    zspool_block_head_t head;
    zspool_iter_t *iter = NULL;
    int rc = zspool_iter_open (view, table, &iter);
    if (rc)
        return rc;
    rc = zspool_blocks_seek (iter, 0, first, &head);
    zspool_iter_close (&iter);
    if (rc == ZSPOOL_ENOENT)
        *first = 0;
    return rc == ZSPOOL_ENOENT || zspool_blocks_unusable (rc)? ZSPOOL_OK: rc;
}

//  Read the record of the spool at this place in the list.
static int
s_read_spool (zspool_store_t *self, size_t index, uint32_t *spool, zspool_spool_record_t *record)
{
    int rc = zspool_view_take (self->view);
    if (rc)
        return rc;
    zspool_walk_t walk;
    rc = zspool_walk_spools (&walk, self->view, self->state);
    //  A damaged record has its place in the list, too.
    for (size_t at = 0; (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT) && at <= index; at++)
        rc = zspool_walk_next_spool (&walk, spool, record);
    zspool_walk_close (&walk);
    zspool_view_release (self->view);
    return rc;
}

int
zspool_store_spool_info (zspool_store_t *self, size_t index, zspool_spool_info_t *info)
{
    if (!self->engine || self->in_txn)
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: cannot list here", self->directory);
    zspool_spool_record_t record;
    uint32_t id = 0;
    int rc = s_read_spool (self, index, &id, &record);
    //  A reader may meet spools that were created after it opened the store.
    if (rc == ZSPOOL_OK && !zspool_store_find_spool (self, id))
        rc = zspool_store_load (self);
    zspool_spool_state_t *spool = zspool_store_find_spool (self, id);
    uint64_t first;
    if (rc == ZSPOOL_OK)
        rc = spool? zspool_view_take (self->view): ZSPOOL_ENOENT;
    if (rc == ZSPOOL_OK) {
        rc = s_first_sequence (self->view, spool->table, &first);
        zspool_view_release (self->view);
    }
    if (rc)
        return rc == ZSPOOL_ENOENT? rc: zspool_store_fail_code (self, rc);
    memset (info, 0, sizeof *info);
    info->id = id;
    strcpy (info->name, record.name);
    info->first_sequence = first;
    info->last_sequence = record.last_sequence;
    info->sequence_ceiling = record.sequence_ceiling;
    info->messages = record.messages;
    info->bytes = record.bytes;
    info->blocks = record.blocks;
    info->lost = record.lost;
    return ZSPOOL_OK;
}

//  How many of a block's messages first..last, by their sequences, an entry says are acknowledged
static uint64_t
s_count_bits (const zspool_cursor_entry_t *entry, uint64_t first, uint64_t last)
{
    uint64_t end = entry->first_sequence + entry->messages - 1, count = 0;
    if (first < entry->first_sequence)
        first = entry->first_sequence;
    if (last > end)
        last = end;
    for (uint64_t at = first - entry->first_sequence; first <= last;) {
        bool is_whole = at % 8 == 0 && last - first >= 7;
        count += is_whole? (unsigned) __builtin_popcount (entry->acked [at / 8]):
                           entry->acked [at / 8] >> (at % 8) & 1u;
        at += is_whole? 8: 1;
        first += is_whole? 8: 1;
    }
    return count;
}

//  How many messages above the floor are not acknowledged: up to sent_to, and up to the spool's
//  last
static int
s_count_pending (zspool_store_t *self, uint32_t spool, uint32_t cursor,
                 const zspool_cursor_record_t *record, uint64_t last, zspool_cursor_info_t *info)
{
    uint64_t gaps_sent, gaps, acked_sent = 0, acked = 0, floor = record->floor;
    int rc = zspool_state_count_gaps (self->view, self->state, spool, floor, record->sent_to,
                                      &gaps_sent);
    if (rc == ZSPOOL_OK)
        rc = zspool_state_count_gaps (self->view, self->state, spool, floor, last, &gaps);
    zspool_walk_t walk;
    if (rc == ZSPOOL_OK)
        rc = zspool_walk_entries (&walk, self->view, self->state, spool, cursor);
    if (rc)
        return rc;
    while (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT) {
        zspool_cursor_entry_t entry;
        rc = zspool_walk_next_entry (&walk, &entry);
        if (rc)
            continue;
        acked_sent += s_count_bits (&entry, floor + 1, record->sent_to);
        acked += s_count_bits (&entry, floor + 1, last);
    }
    zspool_walk_close (&walk);
    info->in_flight = zspool_minus (zspool_minus (record->sent_to, floor), acked_sent + gaps_sent);
    info->pending = zspool_minus (zspool_minus (last, floor), acked + gaps);
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}

//  When the block with the first message above a floor was stored; 0: there is none. In a view.
static int
s_find_pending (zspool_store_t *self, uint32_t spool_id, uint64_t floor, int64_t *stored_us)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    zspool_iter_t *iter = NULL;
    zspool_block_head_t head;
    uint64_t first;
    int rc = spool? zspool_iter_open (self->view, spool->table, &iter): ZSPOOL_ENOENT;
    if (rc == ZSPOOL_OK)
        rc = zspool_blocks_seek (iter, floor + 1, &first, &head);
    while (zspool_blocks_unusable (rc))
        rc = zspool_blocks_next (iter, &first, &head);
    zspool_iter_close (&iter);
    *stored_us = rc == ZSPOOL_OK? head.stored_us: 0;
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}

//  Read the record of the cursor at this place in the list; in a view.
static int
s_read_cursor (zspool_store_t *self, uint32_t spool, size_t index, uint32_t *cursor,
               zspool_cursor_record_t *record)
{
    zspool_walk_t walk;
    int rc = zspool_walk_cursors (&walk, self->view, self->state, spool);
    for (size_t at = 0; (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT) && at <= index; at++)
        rc = zspool_walk_next_cursor (&walk, cursor, record);
    zspool_walk_close (&walk);
    if (rc == ZSPOOL_OK)
        rc = zspool_state_get_lagged (self->view, self->state, spool, *cursor, &record->lagged);
    return rc;
}

int
zspool_store_cursor_info (zspool_store_t *self, uint32_t spool, size_t index,
                          zspool_cursor_info_t *info)
{
    if (!self->engine || self->in_txn)
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: cannot list here", self->directory);
    int rc = zspool_view_take (self->view);
    if (rc)
        return zspool_store_fail_code (self, rc);
    zspool_cursor_record_t record;
    zspool_spool_record_t spool_record;
    zspool_cursor_info_t found = { 0 };
    rc = s_read_cursor (self, spool, index, &found.id, &record);
    if (rc == ZSPOOL_OK) {
        strcpy (found.name, record.name);
        found.generation = record.generation;
        found.floor = record.floor;
        found.sent_to = record.sent_to;
        found.lagged = record.lagged;
        //  When the spool's own record is damaged, what was sent is the best that is known of it.
        rc = zspool_state_get_spool (self->view, self->state, spool, &spool_record);
        uint64_t last = rc == ZSPOOL_OK? spool_record.last_sequence: record.sent_to;
        if (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT)
            rc = s_count_pending (self, spool, found.id, &record, last, &found);
        if (rc == ZSPOOL_OK && found.pending > 0)
            rc = s_find_pending (self, spool, record.floor, &found.pending_us);
    }
    zspool_view_release (self->view);
    if (rc == ZSPOOL_OK)
        *info = found;
    return rc == ZSPOOL_OK || rc == ZSPOOL_ENOENT? rc: zspool_store_fail_code (self, rc);
}

int
zspool_store_origin (zspool_store_t *self, zspool_origin_t *origin)
{
    if (!self->engine || self->in_txn)
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: cannot be asked here", self->directory);
    int rc = zspool_view_take (self->view);
    if (rc)
        return zspool_store_fail_code (self, rc);
    zspool_origin_record_t record = { ZSPOOL_ORIGIN_NEW, 0, 0 };
    rc = zspool_state_get_origin (self->view, self->state, &record);
    zspool_view_release (self->view);
    if (rc != ZSPOOL_OK && rc != ZSPOOL_ENOENT)
        return zspool_store_fail_code (self, rc);
    memset (origin, 0, sizeof *origin);
    origin->format = self->record.format;
    origin->created_us = self->record.created_us;
    origin->kind = (zspool_origin_kind_t) record.kind;
    origin->copied_us = record.copied_us;
    origin->incarnation = record.incarnation;
    return ZSPOOL_OK;
}

uint64_t
zspool_store_file_bytes (zspool_store_t *self)
{
    return self->engine? zspool_engine_used_bytes (self->engine): 0;
}

uint64_t
zspool_store_free_bytes (zspool_store_t *self)
{
    if (!self->engine || self->in_txn || zspool_view_take (self->view))
        return 0;
    uint64_t bytes = zspool_view_free_bytes (self->view);
    zspool_view_release (self->view);
    return bytes;
}

uint64_t
zspool_store_oldest_reader (zspool_store_t *self, int64_t *process)
{
    *process = 0;
    return self->engine? zspool_engine_oldest_view (self->engine, process): 0;
}
