//  commit.c - one group commit
//
//  SPDX-License-Identifier: MPL-2.0

#include "commit.h"

//  Store the changes. Under `async` one may speak of messages that the disk had no room for yet:
//  then what it says of those before is stored, and it is to be stored again, with all behind it.
static int
s_store_changes (zspool_commit_t *self, zspool_store_t *store)
{
    bool whole = true;
    self->changes_stored = 0;
    for (size_t index = 0; index < self->changes_count; index++) {
        const zspool_cursor_change_t *change = self->changes [index];
        uint64_t next_sequence;
        int64_t stored_us;
        int rc = zspool_store_numbering (store, change->spool, &next_sequence, &stored_us);
        if (rc == ZSPOOL_OK)
            rc = zspool_store_change_cursor (store, change);
        if (rc)
            return rc;
        whole = whole && change->sent_to < next_sequence;
        self->changes_stored += whole;
    }
    return ZSPOOL_OK;
}

//  Append a block. When its spool is at the limit, what has been acknowledged makes room for it or,
//  if that is not enough and the spool is to drop its oldest blocks, these do.
static int
s_append_block (zspool_commit_t *self, zspool_store_t *store, size_t index,
                bool *changes_are_stored)
{
    int rc = zspool_store_append_stamped (store, self->spools [index], self->blocks [index]);
    if (rc != ZSPOOL_ELIMIT)
        return rc;
    rc = *changes_are_stored? ZSPOOL_OK: s_store_changes (self, store);
    *changes_are_stored = true;
    if (rc == ZSPOOL_OK)
        rc = zspool_store_relieve (store, self->spools [index], zspool_block_size (self->blocks [index]),
                                   ZSPOOL_COMMIT_DROPS_MAX);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_append_stamped (store, self->spools [index], self->blocks [index]);
    return rc == ZSPOOL_ETOOBIG? ZSPOOL_ELIMIT: rc;
}

//  Append the blocks until there is no room.
static int
s_append_blocks (zspool_commit_t *self, zspool_store_t *store)
{
    bool changes_are_stored = false;
    for (size_t index = 0; index < self->blocks_count; index++) {
        int rc = s_append_block (self, store, index, &changes_are_stored);
        if (rc == ZSPOOL_ENOSPC && zspool_store_gives_way (store))
            rc = ZSPOOL_EFULL;
        if (rc == ZSPOOL_ENOSPC || rc == ZSPOOL_ELIMIT || rc == ZSPOOL_EFULL) {
            self->full = rc;
            return ZSPOOL_OK;
        }
        if (rc)
            return rc;
        self->blocks_stored++;
    }
    return ZSPOOL_OK;
}

//  Make the move. Its block is numbered behind all others of its spool, so none of these may be
//  left over; and the cursor's changes must all be stored as a whole, since what is left over is
//  stored later, and does not know of it.
static int
s_make_move (zspool_commit_t *self, zspool_store_t *store)
{
    zspool_move_t *move = self->move;
    if (!move)
        return ZSPOOL_OK;
    if (self->changes_stored < self->changes_count)
        move->rc = self->full? self->full: ZSPOOL_ENOSPC;
    else if (self->full && move->block && !move->is_burial)
        move->rc = self->full;
    else
        move->rc = zspool_store_move (store, move);
    return zspool_move_is_refused (move->rc)? ZSPOOL_OK: move->rc;
}

//  Move or delete the cursor.
static int
s_do_cursor_job (zspool_commit_t *self, zspool_store_t *store)
{
    zspool_cursor_job_t *job = self->cursor_job;
    uint64_t start = 0;
    if (!job)
        return ZSPOOL_OK;
    if (job->deletes)
        job->rc = zspool_store_delete_cursor (store, job->spool, job->cursor);
    else
        job->rc = zspool_store_find_start (store, job->spool, &job->start, &start);
    if (job->rc == ZSPOOL_OK && !job->deletes)
        job->rc = zspool_store_seek_cursor (store, job->spool, job->cursor, start);
    zspool_spool_state_t *spool = zspool_store_find_spool (store, job->spool);
    zspool_cursor_state_t *cursor = spool? zspool_store_find_cursor (spool, job->cursor): NULL;
    if (job->rc == ZSPOOL_OK && cursor)
        *job->seek = (zspool_seek_t){ job->spool, job->cursor, cursor->now.generation, cursor->now.floor };
    return job->rc == ZSPOOL_EINVAL? ZSPOOL_OK: job->rc;
}

void
zspool_commit_run (zspool_commit_t *self, zspool_store_t *store)
{
    int64_t start_us = zspool_now_us ();
    self->full = 0;
    self->blocks_stored = 0;
    self->changes_stored = 0;
    self->rc = zspool_store_begin (store);
    if (self->rc == ZSPOOL_OK) {
        self->rc = s_append_blocks (self, store);
        if (self->rc == ZSPOOL_OK)
            self->rc = s_store_changes (self, store);
        if (self->rc == ZSPOOL_OK)
            self->rc = s_make_move (self, store);
        if (self->rc == ZSPOOL_OK)
            self->rc = s_do_cursor_job (self, store);
        if (self->rc == ZSPOOL_OK)
            self->rc = zspool_store_commit (store);
        else
            zspool_store_rollback (store);
    }
    if (self->rc)
        self->blocks_stored = self->changes_stored = 0;
    self->commit_us = zspool_now_us () - start_us;
}
