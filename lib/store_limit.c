//  store_limit.c - the limit of a spool: what is appended beyond it is refused, or the oldest
//  blocks go for it
//
//  SPDX-License-Identifier: MPL-2.0
//
//  What counts is the bytes of the spool's stored blocks. Dropping is part of the transaction that
//  appends: blocks are deleted, cursors that stood before their end are moved there and told how
//  many messages they have lost (their record 'L'), all in one commit. The generation of a cursor
//  stays: tickets of what is left are good.
//
//  Invariant: no commit leaves a spool with more than its limit, unless it was set lower than what
//  is stored.
//
//  Thread: the store's owner.

#include "store.h"
#include "store_blocks.h"

int
zspool_store_set_limit (zspool_store_t *self, uint32_t spool_id, uint64_t max_bytes,
                        zspool_on_full_t on_full)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    if (!spool || self->mode != ZSPOOL_WRITE
        || (max_bytes > 0 && max_bytes < ZSPOOL_LIMIT_BYTES_MIN)
        || (on_full != ZSPOOL_ON_FULL_PAUSE && on_full != ZSPOOL_ON_FULL_DROP_OLDEST))
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: not a limit for a spool: %llu bytes",
                                  self->directory, (unsigned long long) max_bytes);
    spool->max_bytes = max_bytes;
    spool->on_full = on_full;
    return ZSPOOL_OK;
}

bool
zspool_store_is_within_limit (const zspool_spool_state_t *spool, uint64_t bytes)
{
    return spool->max_bytes == 0
           || (bytes <= spool->max_bytes && spool->now.bytes <= spool->max_bytes - bytes);
}

//  Count the messages of a block that a cursor has not acknowledged, by what is stored, as lost.
static int
s_count_lost (zspool_store_t *self, zspool_spool_state_t *spool, zspool_cursor_state_t *cursor,
              uint64_t first, uint64_t messages)
{
    uint64_t floor = cursor->now.floor;
    if (messages == 0 || first + messages - 1 <= floor)
        return ZSPOOL_OK;
    uint64_t from = floor >= first? floor - first + 1: 0, count = messages - from;
    zspool_cursor_entry_t entry;
    int rc = zspool_state_get_entry (self->txn, self->state, spool->id, cursor->id, first, &entry);
    if (rc == ZSPOOL_OK && entry.messages == messages)
        for (uint64_t at = from; at < messages; at++)
            count -= entry.acked [at / 8] >> (at % 8) & 1;
    //  A damaged entry counts for nothing, here as when the block is delivered.
    if (rc != ZSPOOL_OK && rc != ZSPOOL_ENOENT && rc != ZSPOOL_ECORRUPT)
        return rc;
    cursor->now.lagged += count;
    cursor->changed = true;
    return ZSPOOL_OK;
}

//  Look for the oldest blocks that make room for so many bytes, and count for each cursor what it
//  loses with them. *to becomes the last sequence of these blocks; it is left alone when there is
//  none.
static int
s_choose_oldest (zspool_store_t *self, zspool_spool_state_t *spool, uint64_t bytes,
                 size_t blocks_max, uint64_t *to)
{
    zspool_iter_t *iter = NULL;
    uint64_t first, freed = 0;
    zspool_block_head_t head = { .count = 0 };
    int rc = zspool_iter_open (self->txn, spool->table, &iter);
    if (rc == ZSPOOL_OK)
        rc = zspool_blocks_seek (iter, 0, &first, &head);
    while ((rc == ZSPOOL_OK || zspool_blocks_unusable (rc))
           && freed + spool->max_bytes < spool->now.bytes + bytes && blocks_max-- > 0) {
        uint64_t messages = head.count;
        freed += rc? 0: head.size;
        rc = rc? zspool_store_guess_messages (self, spool, iter, first, &messages): ZSPOOL_OK;
        for (size_t index = 0; rc == ZSPOOL_OK && index < spool->cursors_count; index++)
            rc = s_count_lost (self, spool, &spool->cursors [index], first, messages);
        if (rc)
            break;
        *to = messages > 0? first + messages - 1: first;
        rc = zspool_blocks_next (iter, &first, &head);
    }
    zspool_iter_close (&iter);
    return rc == ZSPOOL_ENOENT || zspool_blocks_unusable (rc)? ZSPOOL_OK: rc;
}

//  Let a cursor stand at a sequence, if it stood before it.
static int
s_skip_cursor (zspool_store_t *self, zspool_spool_state_t *spool, zspool_cursor_state_t *cursor,
               uint64_t to)
{
    if (cursor->now.floor >= to)
        return ZSPOOL_OK;
    cursor->changed = true;
    cursor->now.floor = to;
    if (cursor->now.sent_to < to)
        cursor->now.sent_to = to;
    if (cursor->tracker)
        zspool_cursor_skip (cursor->tracker, to);
    return zspool_state_trim_entries (self->txn, self->state, spool->id, cursor->id, to);
}

//  Drop the oldest blocks, at most so many, until there is room for so many bytes.
static int
s_drop_oldest (zspool_store_t *self, zspool_spool_state_t *spool, uint64_t bytes, size_t blocks_max)
{
    uint64_t to = 0;
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < spool->cursors_count; index++)
        rc = zspool_store_write_acked (self, spool, &spool->cursors [index]);
    if (rc == ZSPOOL_OK)
        rc = s_choose_oldest (self, spool, bytes, blocks_max, &to);
    for (size_t index = 0; rc == ZSPOOL_OK && index < spool->cursors_count; index++)
        rc = s_skip_cursor (self, spool, &spool->cursors [index], to);
    if (rc == ZSPOOL_OK && to > 0) {
        rc = zspool_store_delete_blocks (self, spool, to, SIZE_MAX);
        spool->dropped_to = to;
    }
    return rc;
}

//  Trim what is acknowledged, at most so many blocks, until there is room.
static int
s_trim_for (zspool_store_t *self, zspool_spool_state_t *spool, uint64_t bytes, size_t blocks_max)
{
    int rc;
    size_t trimmed = 0;
    do {
        rc = zspool_store_trim_acked (self, spool);
        trimmed += ZSPOOL_TRIM_BLOCKS_MAX;
    } while (rc == ZSPOOL_OK && spool->trim_due && !zspool_store_is_within_limit (spool, bytes)
             && trimmed < blocks_max);
    return rc;
}

int
zspool_store_relieve (zspool_store_t *self, uint32_t spool_id, uint64_t bytes, size_t blocks_max)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    if (!zspool_store_is_in_txn (self) || !spool)
        return zspool_store_fail_code (self, ZSPOOL_EINVAL);
    if (zspool_store_is_within_limit (spool, bytes))
        return ZSPOOL_OK;
    int rc = s_trim_for (self, spool, bytes, blocks_max);
    bool drops = spool->on_full == ZSPOOL_ON_FULL_DROP_OLDEST && bytes <= spool->max_bytes;
    if (rc == ZSPOOL_OK && drops && !spool->trim_due
        && !zspool_store_is_within_limit (spool, bytes))
        rc = s_drop_oldest (self, spool, bytes, blocks_max);
    if (rc)
        return zspool_store_fail_code (self, rc);
    if (zspool_store_is_within_limit (spool, bytes))
        return ZSPOOL_OK;
    if (drops)
        return ZSPOOL_EFULL;
    return zspool_store_fail (self, bytes > spool->max_bytes? ZSPOOL_ETOOBIG: ZSPOOL_ELIMIT,
                              "%s: spool %s is at its limit of %llu bytes", self->directory, spool->now.name,
                              (unsigned long long) spool->max_bytes);
}

uint64_t
zspool_store_dropped_to (zspool_store_t *self, uint32_t spool_id)
{
    const zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    return spool? spool->dropped_to_committed: 0;
}

uint64_t
zspool_store_lagged (zspool_store_t *self, uint32_t spool_id, uint32_t cursor_id)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    const zspool_cursor_state_t *cursor = spool? zspool_store_find_cursor (spool, cursor_id): NULL;
    return cursor? cursor->committed.lagged: 0;
}
