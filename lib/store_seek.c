//  store_seek.c - where cursors start: finding a message, moving a cursor there, deleting one
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Thread: the store's owner.

#include "store.h"
#include "store_blocks.h"

int
zspool_store_floor_before (zspool_store_t *self, zspool_spool_state_t *spool, uint64_t start,
                           uint64_t *floor)
{
    *floor = spool->now.last_sequence;
    if (start == ZSPOOL_START_NEW || start > spool->now.next_sequence)
        return ZSPOOL_OK;
    uint64_t first;
    zspool_iter_t *iter = NULL;
    zspool_block_head_t head;
    int rc = zspool_iter_open (self->txn, spool->table, &iter);
    if (rc)
        return rc;
    rc = zspool_blocks_seek (iter, 0, &first, &head);
    zspool_iter_close (&iter);
    if (rc == ZSPOOL_ENOENT)
        first = spool->now.next_sequence;
    else if (rc != ZSPOOL_OK && !zspool_blocks_unusable (rc))
        return rc;
    uint64_t before = (start > first? start: first) - 1;
    if (before < *floor)
        *floor = before;
    return ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Finding

//  The oldest of the last so many messages; gaps have none. ZSPOOL_START_FIRST: there are no more.
static int
s_find_last (zspool_store_t *self, zspool_txn_t *txn, const zspool_spool_state_t *spool, uint64_t last,
             uint64_t number, uint64_t *sequence)
{
    uint64_t found = 0, gaps = 0;
    //  Each gap that comes in moves the place back, perhaps to a further one.
    for (;;) {
        if (last < gaps || last - gaps < number) {
            *sequence = ZSPOOL_START_FIRST;
            return ZSPOOL_OK;
        }
        uint64_t at = last - gaps - number + 1;
        if (at == found)
            break;
        found = at;
        int rc = zspool_state_count_gaps (txn, self->state, spool->id, found - 1, last, &gaps);
        if (rc)
            return rc;
    }
    *sequence = found;
    return ZSPOOL_OK;
}

static int
s_find_time (zspool_txn_t *txn, const zspool_spool_state_t *spool, int64_t stored_us, uint64_t *sequence)
{
    zspool_blocks_span_t span = { 1, UINT64_MAX, 0 };
    zspool_iter_t *iter = NULL;
    int rc = zspool_iter_open (txn, spool->table, &iter);
    while (rc == ZSPOOL_OK && span.low < span.high)
        rc = zspool_blocks_halve (iter, stored_us, &span);
    zspool_iter_close (&iter);
    if (rc == ZSPOOL_OK)
        *sequence = span.found? span.found: ZSPOOL_START_NEW;
    return rc;
}

//  In a transaction or view
static int
s_find (zspool_store_t *self, zspool_txn_t *txn, const zspool_spool_state_t *spool,
        const zspool_start_t *start, uint64_t *sequence)
{
    zspool_spool_record_t record = spool->now;
    int rc = ZSPOOL_OK;
    switch (start->kind) {
    case ZSPOOL_FROM_FIRST: *sequence = ZSPOOL_START_FIRST; return ZSPOOL_OK;
    case ZSPOOL_FROM_NEW: *sequence = ZSPOOL_START_NEW; return ZSPOOL_OK;
    case ZSPOOL_FROM_SEQUENCE: *sequence = start->number; return ZSPOOL_OK;
    case ZSPOOL_FROM_TIME: return s_find_time (txn, spool, start->time_us, sequence);
    case ZSPOOL_FROM_LAST: break;
    }
    if (!self->in_txn) //  the writer may have gone on meanwhile
        rc = zspool_state_get_spool (txn, self->state, spool->id, &record);
    return rc? rc: s_find_last (self, txn, spool, record.last_sequence, start->number, sequence);
}

int
zspool_store_find_start (zspool_store_t *self, uint32_t spool_id, const zspool_start_t *start,
                         uint64_t *sequence)
{
    zspool_spool_state_t *spool = self->engine? zspool_store_find_spool (self, spool_id): NULL;
    bool counts = start->kind == ZSPOOL_FROM_LAST || start->kind == ZSPOOL_FROM_SEQUENCE;
    if (!spool || (counts && start->number == 0) || (unsigned) start->kind > ZSPOOL_FROM_TIME
        || self->in_txn != zspool_store_is_in_txn (self))
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: not a start", self->directory);
    int rc;
    if (self->in_txn) {
        rc = zspool_store_append_filling (self, spool);
        if (rc == ZSPOOL_OK)
            rc = s_find (self, self->txn, spool, start, sequence);
    }
    else {
        rc = zspool_view_take (self->view);
        if (rc == ZSPOOL_OK) {
            rc = s_find (self, self->view, spool, start, sequence);
            zspool_view_release (self->view);
        }
    }
    return rc? zspool_store_fail_code (self, rc): ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Changing

int
zspool_store_seek_cursor (zspool_store_t *self, uint32_t spool_id, uint32_t cursor_id, uint64_t start)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    zspool_cursor_state_t *cursor = spool? zspool_store_find_cursor (spool, cursor_id): NULL;
    if (!zspool_store_is_in_txn (self) || !cursor || start == 0)
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: cannot move this cursor", self->directory);
    uint64_t floor;
    int rc = zspool_store_append_filling (self, spool);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_floor_before (self, spool, start, &floor);
    if (rc == ZSPOOL_OK)
        rc = zspool_state_trim_entries (self->txn, self->state, spool_id, cursor_id, UINT64_MAX);
    if (rc)
        return zspool_store_fail_code (self, rc);
    //  Tickets and changes that are under way concern another generation.
    zspool_cursor_destroy (&cursor->tracker);
    cursor->now.generation++;
    cursor->now.floor = cursor->now.sent_to = floor;
    cursor->changed = true;
    return ZSPOOL_OK;
}

int
zspool_store_delete_cursor (zspool_store_t *self, uint32_t spool_id, uint32_t cursor_id)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    zspool_cursor_state_t *cursor = spool? zspool_store_find_cursor (spool, cursor_id): NULL;
    if (!zspool_store_is_in_txn (self) || !cursor)
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: cannot delete this cursor", self->directory);
    int rc = zspool_state_delete_cursor (self->txn, self->state, spool_id, cursor_id);
    if (rc == ZSPOOL_OK)
        rc = zspool_state_put_deleted (self->txn, self->state, spool_id, ++spool->now.cursors_deleted);
    if (rc)
        return zspool_store_fail_code (self, rc);
    zspool_store_need_format (self, ZSPOOL_FORMAT_STREAMS);
    //  It stays in memory until the transaction's end has decided.
    zspool_cursor_destroy (&cursor->tracker);
    cursor->deleted = cursor->changed = spool->changed = true;
    return ZSPOOL_OK;
}
