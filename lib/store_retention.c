//  store_retention.c - how long a spool's blocks are kept, and removing the oldest
//
//  SPDX-License-Identifier: MPL-2.0
//
//  One rule for queues and streams: the oldest block goes when a limit of the spool's retention
//  (record 'R') is exceeded and every cursor has acknowledged it, or that is not asked for. A queue
//  is the retention of no message at all; but it keeps everything when it has no cursor, since then
//  nobody has acknowledged anything.
//
//  What is kept though every cursor has acknowledged it is the history. It gives way before
//  anything is refused: at the spool's limit (store_limit.c) and on a full disk (store.c).
//
//  What somebody has not acknowledged is dropped when the retention says so, or at the limit:
//  cursors that stood before the end of a block are moved there in the same commit, and told how
//  many messages they have lost (record 'L'). The generation of a cursor stays: tickets of what is
//  left are good.
//
//  Invariants
//  1. Only the oldest block of a spool is removed, and what is known of it (`oldest`) is that block
//  or nothing. So a commit with nothing to remove looks at no block.
//  2. No block goes before its stamp is as old as the retention says, by the clock of this moment:
//  stamps never decrease, so when the clock is set back blocks are kept for longer.
//
//  Thread: the store's owner.

#include "store.h"
#include "store_blocks.h"

const zspool_retention_t zspool_retention_queue = {
    ZSPOOL_KEEP_UNLIMITED, ZSPOOL_KEEP_UNLIMITED, 0, true
};

//  ------------------------------------------------------------------------------------------------
//  The rule

static bool
s_is_same (const zspool_retention_t *one, const zspool_retention_t *other)
{
    return one->age_us == other->age_us && one->bytes == other->bytes
           && one->messages == other->messages && one->unacked == other->unacked;
}

int
zspool_store_set_retention (zspool_store_t *self, uint32_t spool_id,
                            const zspool_retention_t *retention)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    bool keeps = retention->age_us > 0 && retention->bytes > 0 && retention->messages > 0;
    if (!zspool_store_is_in_txn (self) || !spool || !(keeps || retention->unacked))
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: cannot keep messages like this",
                                  self->directory);
    if (s_is_same (retention, &spool->retention))
        return ZSPOOL_OK;
    int rc = zspool_state_put_retention (self->txn, self->state, spool_id, retention);
    if (rc)
        return zspool_store_fail_code (self, rc);
    zspool_store_need_format (self, ZSPOOL_FORMAT_STREAMS);
    spool->retention = *retention;
    spool->changed = true;
    return ZSPOOL_OK;
}

int
zspool_store_retention (zspool_store_t *self, uint32_t spool_id, zspool_retention_t *retention)
{
    zspool_spool_state_t *spool = self->engine? zspool_store_find_spool (self, spool_id): NULL;
    if (!spool)
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: no such spool", self->directory);
    if (self->mode == ZSPOOL_WRITE) {
        *retention = spool->retention;
        return ZSPOOL_OK;
    }
    //  The writer may have set it meanwhile.
    int rc = zspool_view_take (self->view);
    if (rc == ZSPOOL_OK) {
        rc = zspool_state_get_retention (self->view, self->state, spool_id, retention);
        zspool_view_release (self->view);
    }
    return rc? zspool_store_fail_code (self, rc): ZSPOOL_OK;
}

//  Blocks that end at or below this were acknowledged by every cursor.
static uint64_t
s_floor (const zspool_spool_state_t *spool)
{
    uint64_t floor = UINT64_MAX;
    bool has_cursor = false;
    for (size_t index = 0; index < spool->cursors_count; index++) {
        const zspool_cursor_state_t *cursor = &spool->cursors [index];
        if (cursor->deleted)
            continue;
        has_cursor = true;
        if (cursor->now.floor < floor)
            floor = cursor->now.floor;
    }
    return has_cursor || !s_is_same (&spool->retention, &zspool_retention_queue)? floor: 0;
}

//  When the oldest block becomes too old, microseconds since 1970
static int64_t
s_too_old_us (const zspool_spool_state_t *spool)
{
    uint64_t age_us = spool->retention.age_us;
    int64_t stored_us = spool->oldest.stored_us;
    if (age_us == ZSPOOL_KEEP_UNLIMITED || stored_us == INT64_MIN)
        return age_us == ZSPOOL_KEEP_UNLIMITED? INT64_MAX: INT64_MIN;
    int64_t left_us = stored_us > 0? INT64_MAX - stored_us: INT64_MAX;
    return age_us > (uint64_t) left_us? INT64_MAX: stored_us + (int64_t) age_us;
}

//  Whether the oldest block exceeds a limit of the retention
static bool
s_is_over (const zspool_spool_state_t *spool, int64_t now_us)
{
    return zspool_minus (spool->now.bytes, spool->oldest.bytes) >= spool->retention.bytes
           || zspool_minus (spool->now.messages, spool->oldest.messages) >= spool->retention.messages
           || (spool->retention.age_us != ZSPOOL_KEEP_UNLIMITED && now_us >= s_too_old_us (spool));
}

//  Last sequence of the oldest block
static uint64_t
s_last (const zspool_oldest_t *oldest)
{
    return oldest->messages > 0? oldest->first + oldest->messages - 1: oldest->first;
}

//  Whether everything up to the sequence includes the oldest block. One that cannot be used is
//  needed no more when the one before is not.
static bool
s_is_below (const zspool_oldest_t *oldest, uint64_t sequence)
{
    return (oldest->usable? s_last (oldest): oldest->first) <= sequence;
}

//  ------------------------------------------------------------------------------------------------
//  The oldest block

//  Guess what a block has that cannot tell: it ends where the next one, or a gap, starts, and is as
//  old as that. Of several in a row nobody knows how old they are.
static int
s_guess (zspool_store_t *self, zspool_txn_t *txn, zspool_spool_state_t *spool, zspool_iter_t *iter)
{
    zspool_oldest_t *oldest = &spool->oldest;
    uint64_t behind = oldest->first, gaps;
    zspool_block_head_t head;
    int rc = zspool_blocks_next (iter, &behind, &head);
    if (rc != ZSPOOL_OK && rc != ZSPOOL_ENOENT && !zspool_blocks_unusable (rc))
        return rc;
    uint64_t end = rc == ZSPOOL_ENOENT? spool->now.last_sequence: behind - 1;
    oldest->stored_us = rc == ZSPOOL_OK? head.stored_us: rc == ZSPOOL_ENOENT? spool->now.stored_us: INT64_MIN;
    rc = zspool_state_count_gaps (txn, self->state, spool->id, oldest->first, end, &gaps);
    if (rc == ZSPOOL_OK)
        oldest->messages = zspool_minus (zspool_minus (end, oldest->first - 1), gaps);
    return rc;
}

//  Find a spool's oldest block, unless it is known. ENOENT: there is none.
static int
s_find_oldest (zspool_store_t *self, zspool_txn_t *txn, zspool_spool_state_t *spool)
{
    if (spool->oldest.known)
        return ZSPOOL_OK;
    zspool_iter_t *iter = NULL;
    zspool_block_head_t head;
    zspool_oldest_t *oldest = &spool->oldest;
    int rc = zspool_iter_open (txn, spool->table, &iter);
    if (rc == ZSPOOL_OK)
        rc = zspool_blocks_seek (iter, 0, &oldest->first, &head);
    oldest->usable = rc == ZSPOOL_OK;
    if (rc == ZSPOOL_OK) {
        oldest->messages = head.count;
        oldest->bytes = head.size;
        oldest->stored_us = head.stored_us;
    }
    else if (zspool_blocks_unusable (rc)) {
        oldest->bytes = 0;
        rc = s_guess (self, txn, spool, iter);
    }
    zspool_iter_close (&iter);
    oldest->known = rc == ZSPOOL_OK;
    return rc;
}

//  ------------------------------------------------------------------------------------------------
//  Removing

//  Count the messages of the oldest block that a cursor has not acknowledged, by what is stored, as
//  lost.
static int
s_count_lost (zspool_store_t *self, zspool_spool_state_t *spool, zspool_cursor_state_t *cursor)
{
    uint64_t first = spool->oldest.first, messages = spool->oldest.messages, floor = cursor->now.floor;
    if (cursor->deleted || messages == 0 || first + messages - 1 <= floor)
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

//  Let a cursor stand at a sequence, if it stood before it.
static int
s_skip_cursor (zspool_store_t *self, zspool_spool_state_t *spool, zspool_cursor_state_t *cursor,
               uint64_t to)
{
    if (cursor->deleted || cursor->now.floor >= to)
        return ZSPOOL_OK;
    cursor->changed = true;
    cursor->now.floor = to;
    if (cursor->now.sent_to < to)
        cursor->now.sent_to = to;
    if (cursor->tracker)
        zspool_cursor_skip (cursor->tracker, to);
    return zspool_state_trim_entries (self->txn, self->state, spool->id, cursor->id, to);
}

//  Delete the oldest block.
static int
s_delete_oldest (zspool_store_t *self, zspool_spool_state_t *spool)
{
    zspool_iter_t *iter = NULL;
    uint64_t bytes = 0;
    int rc = zspool_iter_open (self->txn, spool->table, &iter);
    if (rc == ZSPOOL_OK)
        rc = zspool_blocks_delete (iter, spool->oldest.first, &bytes);
    zspool_iter_close (&iter);
    if (rc)
        return rc;
    spool->changed = true;
    spool->now.blocks = zspool_minus (spool->now.blocks, 1);
    spool->now.messages = zspool_minus (spool->now.messages, spool->oldest.messages);
    spool->now.bytes = zspool_minus (spool->now.bytes, bytes);
    spool->oldest.known = false;
    return ZSPOOL_OK;
}

//  What is to go
typedef struct {
    uint64_t up_to;            //  blocks that end above this sequence stay
    bool by_retention;         //  as the retention says; else until so many bytes are freed:
    uint64_t bytes;
    size_t blocks_max;         //  at most so many blocks
} s_extent_t;

//  Whether the oldest block is to go, now that so many bytes were freed
static bool
s_goes (const zspool_spool_state_t *spool, const s_extent_t *extent, uint64_t freed, int64_t now_us)
{
    return s_is_below (&spool->oldest, extent->up_to)
           && (extent->by_retention? s_is_over (spool, now_us): freed < extent->bytes);
}

//  Remove that; *more tells whether some of it is left.
static int
s_remove (zspool_store_t *self, zspool_spool_state_t *spool, const s_extent_t *extent, bool *more)
{
    uint64_t floor = s_floor (spool), lost_to = 0, bytes = spool->now.bytes;
    int64_t now_us = zspool_now_us ();
    size_t blocks = 0;
    int rc = s_find_oldest (self, self->txn, spool);
    while (rc == ZSPOOL_OK && s_goes (spool, extent, zspool_minus (bytes, spool->now.bytes), now_us)
           && blocks++ < extent->blocks_max) {
        bool is_lost = !s_is_below (&spool->oldest, floor);
        for (size_t index = 0; is_lost && rc == ZSPOOL_OK && index < spool->cursors_count; index++)
            rc = s_count_lost (self, spool, &spool->cursors [index]);
        if (is_lost)
            lost_to = s_last (&spool->oldest);
        if (rc == ZSPOOL_OK)
            rc = s_delete_oldest (self, spool);
        if (rc == ZSPOOL_OK)
            rc = s_find_oldest (self, self->txn, spool);
    }
    *more = blocks > extent->blocks_max;
    if (rc == ZSPOOL_ENOENT)
        rc = ZSPOOL_OK;
    for (size_t index = 0; lost_to > 0 && rc == ZSPOOL_OK && index < spool->cursors_count; index++)
        rc = s_skip_cursor (self, spool, &spool->cursors [index], lost_to);
    if (lost_to > 0)
        spool->dropped_to = lost_to;
    return rc;
}

//  Have the floors tell what was acknowledged through the API in this transaction. Whether a cursor
//  has changed.
static int
s_write_acked (zspool_store_t *self, zspool_spool_state_t *spool, bool *changed)
{
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < spool->cursors_count; index++) {
        zspool_cursor_state_t *cursor = &spool->cursors [index];
        *changed = *changed || cursor->changed;
        if (cursor->changed && !cursor->deleted)
            rc = zspool_store_write_acked (self, spool, cursor);
    }
    return rc;
}

int
zspool_store_retain (zspool_store_t *self, zspool_spool_state_t *spool)
{
    bool touched = spool->changed || spool->trim_due || spool->retention.age_us != ZSPOOL_KEEP_UNLIMITED;
    int rc = s_write_acked (self, spool, &touched);
    if (rc || !touched)
        return rc;
    s_extent_t extent = { .by_retention = true, .blocks_max = ZSPOOL_TRIM_BLOCKS_MAX };
    extent.up_to = spool->retention.unacked? s_floor (spool): UINT64_MAX;
    return s_remove (self, spool, &extent, &spool->trim_due);
}

int
zspool_store_give_way (zspool_store_t *self, zspool_spool_state_t *spool, uint64_t bytes,
                       size_t blocks_max, bool *more)
{
    bool changed = false;
    int rc = s_write_acked (self, spool, &changed);
    s_extent_t extent = { .up_to = s_floor (spool), .bytes = bytes, .blocks_max = blocks_max };
    return rc? rc: s_remove (self, spool, &extent, more);
}

int
zspool_store_drop_oldest (zspool_store_t *self, zspool_spool_state_t *spool, uint64_t bytes,
                          size_t blocks_max)
{
    bool changed = false, more;
    int rc = s_write_acked (self, spool, &changed);
    s_extent_t extent = { .up_to = UINT64_MAX, .bytes = bytes, .blocks_max = blocks_max };
    return rc? rc: s_remove (self, spool, &extent, &more);
}

bool
zspool_store_has_history (zspool_store_t *self, zspool_spool_state_t *spool)
{
    return s_find_oldest (self, self->txn, spool) == ZSPOOL_OK
           && s_is_below (&spool->oldest, s_floor (spool));
}

//  ------------------------------------------------------------------------------------------------
//  When to remove

bool
zspool_store_trim_is_due (zspool_store_t *self)
{
    for (size_t index = 0; index < self->spools_count; index++)
        if (self->spools [index].trim_due)
            return true;
    return false;
}

//  Find the oldest block outside of a transaction.
static int
s_look_for_oldest (zspool_store_t *self, zspool_spool_state_t *spool)
{
    if (spool->oldest.known)
        return ZSPOOL_OK;
    int rc = zspool_view_take (self->view);
    if (rc)
        return rc;
    rc = s_find_oldest (self, self->view, spool);
    zspool_view_release (self->view);
    return rc;
}

//  When the oldest block of a spool is to go for its age
static int64_t
s_trim_due_us (zspool_store_t *self, zspool_spool_state_t *spool)
{
    int rc = s_look_for_oldest (self, spool);
    //  What somebody has not acknowledged goes with the commit of the acknowledgement.
    if (rc || (spool->retention.unacked && !s_is_below (&spool->oldest, s_floor (spool))))
        return INT64_MAX;
    return s_too_old_us (spool);
}

int64_t
zspool_store_trim_due_us (zspool_store_t *self)
{
    int64_t due_us = INT64_MAX;
    for (size_t index = 0; !self->in_txn && index < self->spools_count; index++) {
        zspool_spool_state_t *spool = &self->spools [index];
        int64_t spool_us = spool->retention.age_us == ZSPOOL_KEEP_UNLIMITED? INT64_MAX:
                                                                             s_trim_due_us (self, spool);
        if (spool_us < due_us)
            due_us = spool_us;
    }
    return due_us;
}

void
zspool_store_kept (zspool_store_t *self, uint32_t spool_id, zspool_kept_t *kept)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    int rc = self->in_txn? ZSPOOL_EINVAL: s_look_for_oldest (self, spool);
    bool has_time = rc == ZSPOOL_OK && spool->oldest.stored_us > 0;
    kept->messages = spool->committed.messages;
    kept->bytes = spool->committed.bytes;
    kept->oldest_us = has_time? spool->oldest.stored_us: 0;
}

//  ------------------------------------------------------------------------------------------------
//  By hand

//  Move a cursor that stands before the sequence up to it.
static int
s_move_cursor (zspool_store_t *self, zspool_spool_state_t *spool, zspool_cursor_state_t *cursor,
               uint64_t sequence)
{
    int rc = zspool_store_write_acked (self, spool, cursor);
    if (rc || cursor->deleted || cursor->now.floor >= sequence)
        return rc;
    //  Tickets and changes that were under way concern another generation.
    zspool_cursor_destroy (&cursor->tracker);
    cursor->now.generation++;
    cursor->now.floor = sequence;
    if (cursor->now.sent_to < sequence)
        cursor->now.sent_to = sequence;
    cursor->changed = true;
    return zspool_state_trim_entries (self->txn, self->state, spool->id, cursor->id, sequence);
}

int
zspool_store_trim (zspool_store_t *self, uint32_t spool_id, uint64_t sequence)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    if (!zspool_store_is_in_txn (self) || !spool)
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: cannot trim this", self->directory);
    int rc = zspool_store_append_filling (self, spool);
    if (rc)
        return rc;
    if (sequence > spool->now.last_sequence)
        sequence = spool->now.last_sequence;
    //  The list of what becomes free is a value of the database, too: when the headroom may not do
    //  for it.
    uint64_t list_bytes = spool->now.bytes / ZSPOOL_PAGE_BYTES * sizeof (uint64_t);
    if (list_bytes > ZSPOOL_HEADROOM_BYTES / 2) {
        rc = zspool_engine_reserve (self->engine, self->txn_bytes + list_bytes);
        self->txn_bytes += list_bytes;
    }
    for (size_t index = 0; rc == ZSPOOL_OK && index < spool->cursors_count; index++)
        rc = s_move_cursor (self, spool, &spool->cursors [index], sequence);
    s_extent_t extent = { .up_to = sequence, .bytes = UINT64_MAX, .blocks_max = SIZE_MAX };
    bool more;
    if (rc == ZSPOOL_OK)
        rc = s_remove (self, spool, &extent, &more);
    self->layout_file_bytes = 0; //  what became free may lie anywhere
    return rc? zspool_store_fail_code (self, rc): ZSPOOL_OK;
}
