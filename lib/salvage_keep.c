//  salvage_keep.c - puts into a new store what another one held, numbers included
//
//  SPDX-License-Identifier: MPL-2.0

#include "salvage_keep.h"

int
zspool_keep_spool (zspool_store_t *store, const char *name, uint64_t first, uint32_t *spool)
{
    int rc = zspool_store_spool (store, name, spool);
    if (rc)
        return rc;
    zspool_spool_state_t *state = zspool_store_find_spool (store, *spool);
    state->now.next_sequence = first;
    state->now.last_sequence = first - 1;
    return ZSPOOL_OK;
}

int
zspool_keep_block (zspool_store_t *store, uint32_t spool, zspool_block_t *block)
{
    zspool_spool_state_t *state = zspool_store_find_spool (store, spool);
    if (zspool_block_first_sequence (block) < state->now.next_sequence)
        return zspool_store_fail_code (store, ZSPOOL_EINVAL);
    state->now.next_sequence = zspool_block_first_sequence (block);
    return zspool_store_append_stamped (store, spool, block);
}

int
zspool_keep_gap (zspool_store_t *store, uint32_t spool, const zspool_gap_t *gap)
{
    zspool_spool_state_t *state = zspool_store_find_spool (store, spool);
    int rc = zspool_state_put_gap (store->txn, store->state, spool, gap);
    if (rc)
        return zspool_store_fail_code (store, rc);
    state->now.lost += gap->last - gap->first + 1;
    if (gap->last >= state->now.next_sequence)
        state->now.next_sequence = gap->last + 1;
    state->changed = true;
    return ZSPOOL_OK;
}

int
zspool_keep_numbering (zspool_store_t *store, uint32_t spool, uint64_t next_sequence, uint64_t last_sequence)
{
    zspool_spool_state_t *state = zspool_store_find_spool (store, spool);
    if (next_sequence > state->now.next_sequence)
        state->now.next_sequence = next_sequence;
    if (state->now.blocks == 0 && last_sequence > state->now.last_sequence
        && last_sequence < state->now.next_sequence)
        state->now.last_sequence = last_sequence;
    state->changed = true;
    return ZSPOOL_OK;
}

int
zspool_keep_cursor (zspool_store_t *store, uint32_t spool, const zspool_cursor_record_t *record,
                    uint32_t *cursor)
{
    int rc = zspool_store_cursor (store, spool, record->name, ZSPOOL_START_FIRST, cursor);
    if (rc)
        return rc;
    zspool_spool_state_t *state = zspool_store_find_spool (store, spool);
    zspool_cursor_state_t *made = zspool_store_find_cursor (state, *cursor);
    uint64_t last = state->now.last_sequence;
    made->now.generation = record->generation;
    made->now.floor = record->floor < last? record->floor: last;
    made->now.sent_to = record->sent_to < last? record->sent_to: last;
    if (made->now.sent_to < made->now.floor)
        made->now.sent_to = made->now.floor;
    made->now.lagged = record->lagged;
    made->changed = true;
    return ZSPOOL_OK;
}

int
zspool_keep_entry (zspool_store_t *store, uint32_t spool, uint32_t cursor, const zspool_cursor_entry_t *entry)
{
    int rc = zspool_state_put_entry (store->txn, store->state, spool, cursor, entry);
    return rc? zspool_store_fail_code (store, rc): ZSPOOL_OK;
}

int
zspool_keep_origin (zspool_store_t *store, const zspool_origin_record_t *origin, int64_t created_us)
{
    if (created_us)
        store->record.created_us = created_us;
    int rc = zspool_state_put_store (store->txn, store->state, &store->record);
    if (rc == ZSPOOL_OK)
        rc = zspool_state_put_origin (store->txn, store->state, origin);
    return rc? zspool_store_fail_code (store, rc): ZSPOOL_OK;
}
