//  store.c - transactions of a store, and appending
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Thread: the owner's. Opening is in store_open.c, room for what is appended in store_room.c, cursors
//  in store_cursors.c and store_seek.c, trimming in store_retention.c, listing in store_info.c.
//
//  Invariants
//  1. What is `now` becomes `committed` only after the engine's commit returned; a rollback sets it
//  back.
//  2. Sequences of a spool rise by one from block to block; a jump is recorded as a gap in the same
//  commit.
//  3. After each commit: floors <= sent_to of each cursor, floor <= last_sequence < next_sequence,
//     last_sequence <= sequence_ceiling.
//  4. After a commit failed nothing is changed any more.

#include "store.h"
#include "store_blocks.h"

#include <string.h>

//  Putting messages one by one drops this part of the limit at a time, or a block's worth
#define LIMIT_STEP_PART 8

//  ------------------------------------------------------------------------------------------------
//  Transactions

bool
zspool_store_is_in_txn (const zspool_store_t *self)
{
    return self->in_txn && zspool_claim_is_mine (self->claim);
}

int
zspool_store_begin_plain (zspool_store_t *self)
{
    int rc = zspool_engine_begin (self->engine, &self->txn);
    self->in_txn = rc == ZSPOOL_OK;
    self->txn_bytes = ZSPOOL_TXN_OVERHEAD_BYTES;
    return rc;
}

int
zspool_store_begin (zspool_store_t *self)
{
    if (!self->engine || self->in_txn || !zspool_claim_is_mine (self->claim))
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: cannot begin a transaction here",
                                  self->directory);
    if (self->mode == ZSPOOL_READ)
        return zspool_store_fail_code (self, ZSPOOL_EREADONLY);
    if (self->failed)
        return zspool_store_fail_code (self, ZSPOOL_EFAILED);
    //  Room for acknowledging is reserved at all times; when the disk is full the headroom is used.
    uint64_t usual_bytes = ZSPOOL_TXN_OVERHEAD_BYTES + zspool_blocks_room (ZSPOOL_BLOCK_BYTES);
    if (zspool_engine_reserve (self->engine, usual_bytes) == ZSPOOL_ENOSPC)
        self->disk_full = true;
    int rc = self->disk_full? zspool_store_find_pages (self): ZSPOOL_OK;
    if (rc == ZSPOOL_OK)
        rc = zspool_store_begin_plain (self);
    if (rc)
        return zspool_store_fail_code (self, rc);
    zspool_store_choose_layout (self);
    return ZSPOOL_OK;
}

static void
s_rollback_cursors (zspool_spool_state_t *spool)
{
    while (spool->cursors_count > 0 && spool->cursors [spool->cursors_count - 1].created)
        zspool_cursor_destroy (&spool->cursors [--spool->cursors_count].tracker);
    for (size_t index = 0; index < spool->cursors_count; index++) {
        zspool_cursor_state_t *cursor = &spool->cursors [index];
        if (!cursor->changed)
            continue;
        cursor->now = cursor->committed;
        cursor->changed = cursor->deleted = false;
        zspool_cursor_destroy (&cursor->tracker);
    }
}

//  End the transaction in memory as it is on disk: none of it.
static void
s_rolled_back (zspool_store_t *self)
{
    self->in_txn = false;
    self->record = self->committed;
    zspool_store_end_producers (self, false);
    zspool_store_end_tables (self, false);
    while (self->spools_count > 0 && self->spools [self->spools_count - 1].created)
        zspool_store_free_spool (&self->spools [--self->spools_count]);
    for (size_t index = 0; index < self->spools_count; index++) {
        zspool_spool_state_t *spool = &self->spools [index];
        spool->now = spool->committed;
        spool->retention = spool->retention_committed;
        spool->dropped_to = spool->dropped_to_committed;
        spool->changed = spool->oldest.known = false;
        spool->trim_due = true; //  perhaps
        zspool_block_destroy (&spool->filling);
        s_rollback_cursors (spool);
    }
}

void
zspool_store_rollback (zspool_store_t *self)
{
    if (!zspool_store_is_in_txn (self))
        return;
    zspool_engine_abort (self->engine);
    s_rolled_back (self);
}

static void
s_committed_cursors (zspool_spool_state_t *spool)
{
    size_t count = 0;
    for (size_t index = 0; index < spool->cursors_count; index++) {
        zspool_cursor_state_t *cursor = &spool->cursors [index];
        if (cursor->deleted) {
            zspool_cursor_destroy (&cursor->tracker);
            continue;
        }
        cursor->committed = cursor->now;
        cursor->created = cursor->changed = false;
        spool->cursors [count++] = *cursor;
    }
    spool->cursors_count = count;
}

//  End the transaction in memory as it is on disk: all of it.
static void
s_committed (zspool_store_t *self)
{
    self->in_txn = false;
    self->committed = self->record;
    zspool_store_end_producers (self, true);
    zspool_store_end_tables (self, true);
    for (size_t index = 0; index < self->spools_count; index++) {
        zspool_spool_state_t *spool = &self->spools [index];
        spool->committed = spool->now;
        spool->retention_committed = spool->retention;
        spool->dropped_to_committed = spool->dropped_to;
        spool->created = spool->changed = false;
        s_committed_cursors (spool);
    }
}

//  Write all that changed in memory, for one spool.
static int
s_write_spool (zspool_store_t *self, zspool_spool_state_t *spool)
{
    int rc = zspool_store_append_filling (self, spool);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_retain (self, spool);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_write_cursors (self, spool);
    if (rc || !spool->changed)
        return rc;
    spool->now.sequence_ceiling = spool->now.next_sequence - 1 + spool->ceiling_window;
    return zspool_state_put_spool (self->txn, self->state, spool->id, &spool->now);
}

int
zspool_store_commit (zspool_store_t *self)
{
    if (!zspool_store_is_in_txn (self))
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: no transaction is open", self->directory);
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < self->spools_count; index++)
        rc = s_write_spool (self, &self->spools [index]);
    if (rc == ZSPOOL_OK
        && (self->record.next_spool != self->committed.next_spool
            || self->record.format != self->committed.format))
        rc = zspool_state_put_store (self->txn, self->state, &self->record);
    if (rc) {
        zspool_store_rollback (self);
        return zspool_store_fail_code (self, rc);
    }
    rc = zspool_engine_commit (self->engine);
    if (rc) {
        self->failed = true;
        s_rolled_back (self);
        return zspool_store_fail (self, ZSPOOL_EFAILED, "%s: commit failed: %s", self->directory,
                                  zspool_strerror (rc));
    }
    s_committed (self);
    return ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Spools and cursors by name

bool
zspool_store_name_is_valid (const char *name)
{
    size_t length = name? strlen (name): 0;
    if (length == 0 || length > ZSPOOL_NAME_MAX)
        return false;
    for (; *name; name++)
        if ((unsigned char) *name < 33 || *name == '/')
            return false;
    return true;
}

zspool_spool_state_t *
zspool_store_find_spool (zspool_store_t *self, uint32_t spool)
{
    for (size_t index = 0; index < self->spools_count; index++)
        if (self->spools [index].id == spool)
            return &self->spools [index];
    return NULL;
}

zspool_cursor_state_t *
zspool_store_find_cursor (zspool_spool_state_t *spool, uint32_t cursor)
{
    for (size_t index = 0; index < spool->cursors_count; index++)
        if (spool->cursors [index].id == cursor && !spool->cursors [index].deleted)
            return &spool->cursors [index];
    return NULL;
}

//  Find a spool or cursor by name among those in memory.
static zspool_spool_state_t *
s_named_spool (zspool_store_t *self, const char *name)
{
    for (size_t index = 0; index < self->spools_count; index++)
        if (strcmp (self->spools [index].now.name, name) == 0)
            return &self->spools [index];
    return NULL;
}

static zspool_cursor_state_t *
s_named_cursor (zspool_spool_state_t *spool, const char *name)
{
    for (size_t index = 0; index < spool->cursors_count; index++)
        if (strcmp (spool->cursors [index].now.name, name) == 0 && !spool->cursors [index].deleted)
            return &spool->cursors [index];
    return NULL;
}

int
zspool_store_spool (zspool_store_t *self, const char *name, uint32_t *spool)
{
    if (!self->engine || !zspool_store_name_is_valid (name))
        return zspool_store_fail (self, ZSPOOL_EINVAL, "not a name for a spool: %s", name? name: "");
    zspool_spool_state_t *found = s_named_spool (self, name);
    //  The writer may have created it meanwhile.
    if (!found && self->mode == ZSPOOL_READ && zspool_store_load (self) == ZSPOOL_OK)
        found = s_named_spool (self, name);
    if (found) {
        *spool = found->id;
        return ZSPOOL_OK;
    }
    if (!zspool_store_is_in_txn (self))
        return zspool_store_fail (self, ZSPOOL_ENOENT, "%s: no spool %s", self->directory, name);
    if (self->spools_count == ZSPOOL_SPOOLS_MAX)
        return zspool_store_fail (self, ZSPOOL_ELIMIT, "a store has at most %d spools",
                                  ZSPOOL_SPOOLS_MAX);
    zspool_spool_state_t *created = zspool_store_grow_spools (self);
    if (!created)
        return zspool_store_fail_code (self, ZSPOOL_ENOMEM);
    int rc = zspool_store_open_table (self, self->record.next_spool, &created->table);
    if (rc)
        return zspool_store_fail_code (self, rc);
    created->id = self->record.next_spool++;
    created->created = created->changed = true;
    strcpy (created->now.name, name);
    created->now.next_sequence = 1;
    created->now.next_cursor = 1;
    created->retention = created->retention_committed = zspool_retention_queue;
    self->spools_count++;
    *spool = created->id;
    return ZSPOOL_OK;
}

int
zspool_store_cursor (zspool_store_t *self, uint32_t spool_id, const char *name, uint64_t start,
                     uint32_t *cursor)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    if (!spool || start == 0 || !zspool_store_name_is_valid (name))
        return zspool_store_fail (self, ZSPOOL_EINVAL, "not a name for a cursor: %s", name? name: "");
    zspool_cursor_state_t *found = s_named_cursor (spool, name);
    if (!found && self->mode == ZSPOOL_READ && zspool_store_load_cursors (self, spool) == ZSPOOL_OK)
        found = s_named_cursor (spool, name);
    if (found) {
        *cursor = found->id;
        return ZSPOOL_OK;
    }
    if (!zspool_store_is_in_txn (self))
        return zspool_store_fail (self, ZSPOOL_ENOENT, "%s: no cursor %s", self->directory, name);
    if (spool->cursors_count == ZSPOOL_CURSORS_MAX)
        return zspool_store_fail (self, ZSPOOL_ELIMIT, "a spool has at most %d cursors",
                                  ZSPOOL_CURSORS_MAX);
    uint64_t floor;
    int rc = zspool_store_append_filling (self, spool);
    if (rc)
        return rc;
    rc = zspool_store_floor_before (self, spool, start, &floor);
    if (rc)
        return zspool_store_fail_code (self, rc);
    zspool_cursor_state_t *created = zspool_store_grow_cursors (spool);
    if (!created)
        return zspool_store_fail_code (self, ZSPOOL_ENOMEM);
    created->id = spool->now.next_cursor++;
    created->created = created->changed = true;
    strcpy (created->now.name, name);
    created->now.generation = 1;
    created->now.floor = created->now.sent_to = floor;
    spool->cursors_count++;
    spool->changed = true;
    *cursor = created->id;
    return ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Appending

//  Write a stamped block that room was made for.
static int
s_write_block (zspool_store_t *self, zspool_spool_state_t *spool, const zspool_block_t *block)
{
    int rc = zspool_blocks_write (self->txn, spool->table, block, self->chunked);
    if (rc)
        return zspool_store_fail_code (self, rc);
    if (zspool_block_topics (block) > 0)
        zspool_store_need_format (self, ZSPOOL_FORMAT_STREAMS);
    size_t size = zspool_block_size (block);
    self->layout_left_bytes -= size < self->layout_left_bytes? size: self->layout_left_bytes;
    if (size > self->layout_block_bytes)
        self->layout_block_bytes = size;
    if (size / 2 > self->layout_for_bytes)
        self->layout_file_bytes = 0; //  they have become much larger
    spool->now.last_sequence = zspool_block_last_sequence (block);
    spool->now.next_sequence = spool->now.last_sequence + 1;
    spool->now.stored_us = zspool_block_stored_us (block);
    spool->now.messages += zspool_block_count (block);
    spool->now.bytes += size;
    spool->now.blocks++;
    spool->changed = true;
    return ZSPOOL_OK;
}

static void
s_stamp (zspool_store_t *self, zspool_spool_state_t *spool, zspool_block_t *block)
{
    int64_t now_us = zspool_now_us ();
    if (now_us < spool->now.stored_us)
        now_us = spool->now.stored_us;
    zspool_block_stamp (block, spool->now.next_sequence, now_us, self->record.incarnation);
}

int
zspool_store_append_filling (zspool_store_t *self, zspool_spool_state_t *spool)
{
    zspool_block_t *block = spool->filling;
    if (!block)
        return ZSPOOL_OK;
    spool->filling = NULL;
    int rc = zspool_block_seal (block);
    if (rc == ZSPOOL_OK) {
        s_stamp (self, spool, block);
        rc = s_write_block (self, spool, block);
    }
    zspool_block_destroy (&block);
    return rc;
}

int
zspool_store_append_stamped (zspool_store_t *self, uint32_t spool_id, zspool_block_t *block)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    if (!zspool_store_is_in_txn (self) || !spool || !zspool_block_bytes (block)
        || zspool_block_first_sequence (block) != spool->now.next_sequence)
        return zspool_store_fail_code (self, ZSPOOL_EINVAL);
    if (!zspool_store_is_within_limit (spool, zspool_block_size (block)))
        return ZSPOOL_ELIMIT;
    int rc = zspool_store_make_room (self, spool, zspool_blocks_room (zspool_block_size (block)));
    return rc? zspool_store_fail_code (self, rc): s_write_block (self, spool, block);
}

int
zspool_store_append (zspool_store_t *self, uint32_t spool_id, zspool_block_t *block)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    if (!zspool_store_is_in_txn (self) || !spool || !block || !zspool_block_bytes (block))
        return zspool_store_fail_code (self, ZSPOOL_EINVAL);
    int rc = zspool_store_append_filling (self, spool);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_relieve (self, spool_id, zspool_block_size (block), SIZE_MAX);
    if (rc)
        return rc;
    s_stamp (self, spool, block);
    return zspool_store_append_stamped (self, spool_id, block);
}

//  Make sure that the spool's limit allows for a message put one by one that takes so many bytes:
//  in the block that is being filled, or in the next. What goes for it is worth more than one
//  message, lest blocks become small.
static int
s_keep_limit (zspool_store_t *self, zspool_spool_state_t *spool, size_t record_bytes)
{
    uint64_t bytes = ZSPOOL_BLOCK_OVERHEAD_BYTES + record_bytes;
    uint64_t filled = spool->filling? zspool_block_used (spool->filling) + ZSPOOL_BLOCK_OVERHEAD_BYTES: 0;
    if (zspool_store_is_within_limit (spool, filled + bytes))
        return ZSPOOL_OK;
    int rc = zspool_store_append_filling (self, spool);
    uint64_t worth = spool->max_bytes / LIMIT_STEP_PART;
    if (worth > ZSPOOL_BLOCK_BYTES)
        worth = ZSPOOL_BLOCK_BYTES;
    if (bytes < worth && spool->on_full == ZSPOOL_ON_FULL_DROP_OLDEST)
        bytes = worth;
    else if (bytes < worth && rc == ZSPOOL_OK)
        rc = zspool_store_prefer_room (self, spool, worth);
    return rc? rc: zspool_store_relieve (self, spool->id, bytes, SIZE_MAX);
}

//  Begin a block for messages put one by one, the first of which takes so many bytes. Room in the
//  file is made now: what was put is never refused later.
static int
s_begin_filling (zspool_store_t *self, zspool_spool_state_t *spool, size_t record_bytes)
{
    int rc = zspool_store_append_filling (self, spool);
    if (rc)
        return rc;
    size_t capacity = record_bytes > ZSPOOL_BLOCK_BYTES? record_bytes: (size_t) ZSPOOL_BLOCK_BYTES;
    rc = zspool_store_make_room (self, spool, zspool_blocks_room (ZSPOOL_BLOCK_OVERHEAD_BYTES + capacity));
    if (rc)
        return rc;
    spool->filling = zspool_block_new (capacity);
    return spool->filling? ZSPOOL_OK: ZSPOOL_ENOMEM;
}

int
zspool_store_put (zspool_store_t *self, uint32_t spool_id, const zspool_frame_t *frames, size_t count,
                  uint64_t *sequence)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    if (!self->in_txn || !spool || !frames || count == 0)
        return zspool_store_fail_code (self, ZSPOOL_EINVAL);
    if (count > ZSPOOL_MESSAGE_FRAMES_MAX)
        return zspool_store_fail_code (self, ZSPOOL_ETOOBIG);
    size_t data_bytes = 0;
    for (size_t index = 0; index < count; index++) {
        if (frames [index].size > ZSPOOL_MESSAGE_BYTES_MAX - data_bytes)
            return zspool_store_fail_code (self, ZSPOOL_ETOOBIG);
        data_bytes += frames [index].size;
    }
    int64_t now_us = zspool_now_us ();
    size_t record_bytes = zspool_block_record_bytes (count, data_bytes);
    int rc = s_keep_limit (self, spool, record_bytes);
    if (rc)
        return rc;
    rc = ZSPOOL_EFULL;
    if (spool->filling)
        rc = zspool_block_append (spool->filling, frames, count, now_us);
    if (rc == ZSPOOL_EFULL) {
        rc = s_begin_filling (self, spool, record_bytes);
        if (rc == ZSPOOL_OK)
            rc = zspool_block_append (spool->filling, frames, count, now_us);
    }
    if (rc)
        return zspool_store_fail_code (self, rc);
    if (sequence)
        *sequence = spool->now.next_sequence + zspool_block_count (spool->filling) - 1;
    return ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  For the writer

int
zspool_store_numbering (zspool_store_t *self, uint32_t spool_id, uint64_t *next_sequence,
                        int64_t *stored_us)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    if (!spool)
        return zspool_store_fail_code (self, ZSPOOL_EINVAL);
    *next_sequence = spool->now.next_sequence;
    *stored_us = spool->now.stored_us;
    return ZSPOOL_OK;
}

int
zspool_store_set_ceiling_window (zspool_store_t *self, uint32_t spool_id, uint64_t sequences)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    if (!spool)
        return zspool_store_fail_code (self, ZSPOOL_EINVAL);
    spool->ceiling_window = sequences;
    spool->changed = true;
    return ZSPOOL_OK;
}

void
zspool_store_check_readers (zspool_store_t *self)
{
    zspool_engine_check_readers (self->engine);
}
