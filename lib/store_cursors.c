//  store_cursors.c - cursors of a store: acknowledging, storing their changes
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Thread: the store's owner. A cursor is changed in one of two ways, never both at a time: by
//  zspool_store_ack () through a tracker kept here, or by changes that an outlet hands in, whose
//  tracker lives with the outlet.

#include "store.h"
#include "store_blocks.h"

#include <stdlib.h>

//  Tell a tracker of the blocks in [from, to], with what is stored of each; *known_to becomes the
//  last message of the last one. The view or transaction shows both. Damaged blocks are left out:
//  they can never be delivered. EVERSION when a newer zspool can deliver one.
static int
s_cover (zspool_store_t *self, zspool_txn_t *txn, zspool_spool_state_t *spool, uint32_t cursor,
         zspool_cursor_t *tracker, uint64_t from, uint64_t to, uint64_t *known_to)
{
    zspool_walk_t walk = { .iter = NULL };
    zspool_iter_t *iter = NULL;
    int rc = zspool_iter_open (txn, spool->table, &iter);
    if (rc)
        return rc;
    zspool_cursor_entry_t entry = { 0, 0, NULL, NULL };
    uint64_t first = from;
    zspool_block_head_t head;
    int found = zspool_blocks_seek (iter, from, &first, &head);
    //  There may be many entries before.
    rc = zspool_walk_entries_from (&walk, txn, self->state, spool->id, cursor, first);
    while ((found == ZSPOOL_OK || found == ZSPOOL_ECORRUPT) && first <= to && rc == ZSPOOL_OK) {
        if (found == ZSPOOL_OK) {
            rc = zspool_cursor_cover (tracker, first, head.count);
            *known_to = first + head.count - 1;
        }
        int walked = ZSPOOL_OK;
        while (entry.first_sequence < first && (walked == ZSPOOL_OK || walked == ZSPOOL_ECORRUPT))
            walked = zspool_walk_next_entry (&walk, &entry);
        if (walked == ZSPOOL_ENOENT)
            entry.first_sequence = UINT64_MAX;
        else if (walked != ZSPOOL_OK && walked != ZSPOOL_ECORRUPT)
            rc = walked;
        //  An entry that does not fit its block only means that messages are delivered again.
        if (rc == ZSPOOL_OK && found == ZSPOOL_OK && entry.first_sequence == first
            && zspool_cursor_restore (tracker, &entry) == ZSPOOL_ENOMEM)
            rc = ZSPOOL_ENOMEM;
        found = zspool_blocks_next (iter, &first, &head);
    }
    zspool_iter_close (&iter);
    zspool_walk_close (&walk);
    if (rc == ZSPOOL_OK && found != ZSPOOL_OK && found != ZSPOOL_ENOENT && found != ZSPOOL_ECORRUPT)
        rc = found;
    return rc;
}

//  The last message that has a stored entry, or `to` if that is behind it. Entries may lie above
//  sent_to: what is acknowledged through the API need not have been sent.
static int
s_last_entry (zspool_store_t *self, zspool_txn_t *txn, zspool_spool_state_t *spool, uint32_t cursor,
              uint64_t *to)
{
    zspool_walk_t walk;
    zspool_cursor_entry_t entry;
    int rc = zspool_walk_entries (&walk, txn, self->state, spool->id, cursor);
    while (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT) {
        rc = zspool_walk_next_entry (&walk, &entry);
        if (rc == ZSPOOL_OK && entry.first_sequence + entry.messages - 1 > *to)
            *to = entry.first_sequence + entry.messages - 1;
    }
    zspool_walk_close (&walk);
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}

//  Give a cursor a tracker that stands as is stored.
static int
s_track (zspool_store_t *self, zspool_txn_t *txn, zspool_spool_state_t *spool,
         zspool_cursor_state_t *cursor)
{
    zspool_cursor_t *tracker = zspool_cursor_new (spool->id, cursor->id, cursor->now.generation,
                                                  cursor->now.floor, cursor->now.sent_to);
    if (!tracker)
        return ZSPOOL_ENOMEM;
    cursor->covered_to = cursor->now.sent_to;
    cursor->known_to = cursor->now.floor;
    int rc = s_last_entry (self, txn, spool, cursor->id, &cursor->covered_to);
    if (rc == ZSPOOL_OK && cursor->covered_to > cursor->now.floor)
        rc = s_cover (self, txn, spool, cursor->id, tracker, cursor->now.floor + 1, cursor->covered_to,
                      &cursor->known_to);
    if (rc)
        zspool_cursor_destroy (&tracker);
    cursor->tracker = tracker;
    return rc;
}

int
zspool_store_track_cursor (zspool_store_t *self, uint32_t spool_id, uint32_t cursor_id,
                           zspool_cursor_t **tracker_p)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    zspool_cursor_state_t *cursor = spool? zspool_store_find_cursor (spool, cursor_id): NULL;
    if (!cursor)
        return ZSPOOL_EINVAL;
    //  A tracker of the store's own stays as it is.
    zspool_cursor_state_t tracked = *cursor;
    int rc = ZSPOOL_OK;
    if (zspool_store_is_in_txn (self))
        rc = s_track (self, self->txn, spool, &tracked);
    else {
        rc = zspool_view_take (self->view);
        if (rc)
            return rc;
        rc = s_track (self, self->view, spool, &tracked);
        zspool_view_release (self->view);
    }
    if (rc == ZSPOOL_OK)
        *tracker_p = tracked.tracker;
    return rc;
}

int
zspool_store_ack_on (zspool_store_t *self, zspool_spool_state_t *spool, zspool_cursor_state_t *cursor,
                     uint64_t first, uint64_t last)
{
    if (first <= cursor->now.floor || last > spool->now.last_sequence)
        return ZSPOOL_ESTALE;
    int rc = cursor->tracker? ZSPOOL_OK: s_track (self, self->txn, spool, cursor);
    if (rc == ZSPOOL_OK && last > cursor->covered_to) {
        rc = s_cover (self, self->txn, spool, cursor->id, cursor->tracker, cursor->covered_to + 1, last,
                      &cursor->known_to);
        if (rc == ZSPOOL_OK)
            cursor->covered_to = last;
    }
    if (rc == ZSPOOL_OK && last > cursor->known_to)
        rc = ZSPOOL_ESTALE;
    for (uint64_t at = first; rc == ZSPOOL_OK && at <= last; at++)
        if (zspool_cursor_acked (cursor->tracker, at))
            rc = ZSPOOL_ESTALE;
    if (rc == ZSPOOL_OK)
        zspool_cursor_ack (cursor->tracker, first, last);
    return rc;
}

int
zspool_store_ack (zspool_store_t *self, uint32_t spool_id, uint32_t cursor_id, uint64_t first,
                  uint64_t last)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    zspool_cursor_state_t *cursor = spool? zspool_store_find_cursor (spool, cursor_id): NULL;
    if (!zspool_store_is_in_txn (self) || !cursor || first == 0 || first > last)
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: cannot acknowledge this", self->directory);
    int rc = last > spool->now.last_sequence? zspool_store_append_filling (self, spool): ZSPOOL_OK;
    if (rc)
        return rc;
    //  The transaction's end decides over the tracker, whatever comes.
    cursor->changed = true;
    rc = zspool_store_ack_on (self, spool, cursor, first, last);
    if (rc)
        return zspool_store_fail (self, rc, "%s: cannot acknowledge %llu to %llu: %s", self->directory,
                                  (unsigned long long) first, (unsigned long long) last,
                                  zspool_strerror (rc));
    return ZSPOOL_OK;
}

//  Store what a change says of messages up to the sequence `to`, and above the floor: that may have
//  passed it, when blocks were dropped that it still speaks of.
static int
s_write_change (zspool_store_t *self, zspool_spool_state_t *spool, zspool_cursor_state_t *cursor,
                const zspool_cursor_change_t *change, uint64_t to)
{
    int rc = ZSPOOL_OK;
    uint64_t floor = change->floor < to? change->floor: to;
    uint64_t sent_to = change->sent_to < to? change->sent_to: to;
    if (floor < cursor->now.floor)
        floor = cursor->now.floor;
    for (size_t index = 0; rc == ZSPOOL_OK && index < change->entries_count; index++) {
        const zspool_cursor_entry_t *entry = &change->entries [index];
        if (entry->first_sequence <= to && entry->first_sequence + entry->messages - 1 > floor)
            rc = zspool_state_put_entry (self->txn, self->state, spool->id, cursor->id, entry);
    }
    if (rc == ZSPOOL_OK && floor > cursor->now.floor)
        rc = zspool_state_trim_entries (self->txn, self->state, spool->id, cursor->id, floor);
    cursor->now.floor = floor;
    cursor->now.sent_to = sent_to > floor? sent_to: floor;
    cursor->changed = true;
    return rc;
}

int
zspool_store_change_cursor (zspool_store_t *self, const zspool_cursor_change_t *change)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, change->spool);
    zspool_cursor_state_t *cursor = spool? zspool_store_find_cursor (spool, change->cursor): NULL;
    if (!zspool_store_is_in_txn (self) || !cursor || change->floor > change->sent_to)
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: a cursor's change makes no sense",
                                  self->directory);
    if (change->generation != cursor->now.generation)
        return ZSPOOL_OK;
    return s_write_change (self, spool, cursor, change, spool->now.last_sequence);
}

int
zspool_store_write_acked (zspool_store_t *self, zspool_spool_state_t *spool,
                          zspool_cursor_state_t *cursor)
{
    if (!cursor->tracker || !zspool_cursor_changed (cursor->tracker))
        return ZSPOOL_OK;
    zspool_cursor_change_t *change = zspool_cursor_take_change (cursor->tracker);
    if (!change)
        return ZSPOOL_ENOMEM;
    int rc = s_write_change (self, spool, cursor, change, spool->now.last_sequence);
    free (change);
    return rc;
}

int
zspool_store_write_cursors (zspool_store_t *self, zspool_spool_state_t *spool)
{
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < spool->cursors_count; index++) {
        zspool_cursor_state_t *cursor = &spool->cursors [index];
        if (!cursor->changed || cursor->deleted)
            continue;
        rc = zspool_state_put_cursor (self->txn, self->state, spool->id, cursor->id, &cursor->now);
        if (rc == ZSPOOL_OK && cursor->now.lagged != cursor->committed.lagged)
            rc = zspool_state_put_lagged (self->txn, self->state, spool->id, cursor->id,
                                          cursor->now.lagged);
    }
    return rc;
}
