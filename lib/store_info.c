//  store_info.c - lists spools and cursors as they are committed
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Thread: the store's owner. Each call takes a view, reads, and releases it.

#include "store.h"
#include "store_blocks.h"

#include <string.h>

//  Sequence of the oldest message; 0 when there is none
static uint64_t
s_first_sequence (zspool_txn_t *view, zspool_table_t table)
{
    uint64_t first = 0;
    zspool_block_head_t head;
    zspool_iter_t *iter = NULL;
    if (zspool_iter_open (view, table, &iter) == ZSPOOL_OK)
        zspool_blocks_seek (iter, 0, &first, &head);
    zspool_iter_close (&iter);
    return first;
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
    if (rc == ZSPOOL_OK)
        rc = spool? zspool_view_take (self->view): ZSPOOL_ENOENT;
    if (rc)
        return rc == ZSPOOL_ENOENT? rc: zspool_store_fail_code (self, rc);
    memset (info, 0, sizeof *info);
    info->id = id;
    strcpy (info->name, record.name);
    info->first_sequence = s_first_sequence (self->view, spool->table);
    info->last_sequence = record.last_sequence;
    info->sequence_ceiling = record.sequence_ceiling;
    info->messages = record.messages;
    info->bytes = record.bytes;
    info->blocks = record.blocks;
    info->lost = record.lost;
    zspool_view_release (self->view);
    return ZSPOOL_OK;
}

static uint64_t
s_minus (uint64_t from, uint64_t much)
{
    return from > much? from - much: 0;
}

//  Messages in (after, to] that are acknowledged, by the stored entries
static uint64_t
s_count_acked (zspool_store_t *self, uint32_t spool, uint32_t cursor, uint64_t after, uint64_t to)
{
    uint64_t count = 0;
    zspool_walk_t walk;
    zspool_cursor_entry_t entry;
    int rc = zspool_walk_entries (&walk, self->view, self->state, spool, cursor);
    while (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT) {
        rc = zspool_walk_next_entry (&walk, &entry);
        for (uint32_t at = 0; rc == ZSPOOL_OK && at < entry.messages; at++)
            if (entry.first_sequence + at > after && entry.first_sequence + at <= to)
                count += entry.acked [at / 8] >> (at % 8) & 1;
    }
    zspool_walk_close (&walk);
    return count;
}

//  Messages in (after, to] that are not acknowledged
static uint64_t
s_count_pending (zspool_store_t *self, uint32_t spool, uint32_t cursor, uint64_t after, uint64_t to)
{
    uint64_t gaps = zspool_state_count_gaps (self->view, self->state, spool, after, to);
    return s_minus (s_minus (to, after), s_count_acked (self, spool, cursor, after, to) + gaps);
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
    return rc;
}

//  The newest message of a spool; in a view.
static uint64_t
s_last_sequence (zspool_store_t *self, uint32_t spool)
{
    zspool_walk_t walk;
    zspool_spool_record_t record = { .last_sequence = 0 };
    uint32_t id = 0;
    int rc = zspool_walk_spools (&walk, self->view, self->state);
    while ((rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT) && id != spool)
        rc = zspool_walk_next_spool (&walk, &id, &record);
    zspool_walk_close (&walk);
    return record.last_sequence;
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
    uint32_t id;
    rc = s_read_cursor (self, spool, index, &id, &record);
    if (rc == ZSPOOL_OK) {
        memset (info, 0, sizeof *info);
        info->id = id;
        strcpy (info->name, record.name);
        info->generation = record.generation;
        info->floor = record.floor;
        info->sent_to = record.sent_to;
        info->pending =
            s_count_pending (self, spool, id, record.floor, s_last_sequence (self, spool));
        info->in_flight = s_count_pending (self, spool, id, record.floor, record.sent_to);
    }
    zspool_view_release (self->view);
    return rc == ZSPOOL_OK || rc == ZSPOOL_ENOENT? rc: zspool_store_fail_code (self, rc);
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
