//  commit.c - one group commit
//
//  SPDX-License-Identifier: MPL-2.0

#include "commit.h"
#include "store_blocks.h"

static bool
s_has_cursor (zspool_store_t *store, uint32_t spool_id, uint32_t cursor)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (store, spool_id);
    return spool && zspool_store_find_cursor (spool, cursor);
}

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
        //  Of one that was deleted meanwhile nothing is to be stored.
        if (rc == ZSPOOL_OK && s_has_cursor (store, change->spool, change->cursor))
            rc = zspool_store_change_cursor (store, change);
        if (rc)
            return rc;
        whole = whole && change->sent_to < next_sequence;
        self->changes_stored += whole;
    }
    return ZSPOOL_OK;
}

//  What a commit has come to
typedef struct {
    zspool_commit_t *commit;
    zspool_store_t *store;
    bool changes_are_stored;
    bool undone; //  a part of a batch that found no room was stored: begin again without it
} s_run_t;

//  Have room under the limit of a spool. What has been acknowledged makes it or, if that is not
//  enough and the spool is to drop its oldest blocks, these do.
static int
s_make_room_under_limit (s_run_t *run, uint32_t spool, uint64_t bytes)
{
    int rc = run->changes_are_stored? ZSPOOL_OK: s_store_changes (run->commit, run->store);
    run->changes_are_stored = true;
    if (rc == ZSPOOL_OK)
        rc = zspool_store_relieve (run->store, spool, bytes, ZSPOOL_COMMIT_DROPS_MAX);
    return rc == ZSPOOL_ETOOBIG? ZSPOOL_ELIMIT: rc;
}

static int
s_append_block (s_run_t *run, const zspool_batch_block_t *block)
{
    int rc = zspool_store_append_stamped (run->store, block->spool, block->block);
    if (rc == ZSPOOL_ELIMIT)
        rc = s_make_room_under_limit (run, block->spool, zspool_block_size (block->block));
    else
        return rc;
    return rc? rc: zspool_store_append_stamped (run->store, block->spool, block->block);
}

//  ------------------------------------------------------------------------------------------------
//  Batches

//  Whether the batch's acknowledgements are of cursors as they stand, and of messages that are
//  stored.
static int
s_check_changes (zspool_store_t *store, const zspool_batch_t *batch)
{
    for (size_t index = 0; index < batch->changes_count; index++) {
        const zspool_cursor_change_t *change = batch->changes [index];
        zspool_spool_state_t *spool = zspool_store_find_spool (store, change->spool);
        const zspool_cursor_state_t *cursor =
            spool? zspool_store_find_cursor (spool, change->cursor): NULL;
        if (!cursor || cursor->now.generation != change->generation)
            return ZSPOOL_ESTALE;
        if (change->sent_to >= spool->now.next_sequence)
            return ZSPOOL_EFULL;
    }
    return ZSPOOL_OK;
}

//  Whether all blocks of the batch find room, as far as that can be told before.
static int
s_has_room (s_run_t *run, const zspool_batch_t *batch)
{
    uint64_t room = 0;
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < batch->blocks_count; index++) {
        uint32_t spool = batch->blocks [index].spool;
        uint64_t bytes = 0;
        for (size_t other = 0; other < batch->blocks_count; other++)
            if (batch->blocks [other].spool == spool)
                bytes += zspool_block_size (batch->blocks [other].block);
        zspool_spool_state_t *state = zspool_store_find_spool (run->store, spool);
        if (!state)
            return ZSPOOL_EINVAL;
        if (!zspool_store_is_within_limit (state, bytes))
            rc = s_make_room_under_limit (run, spool, bytes);
        room += zspool_blocks_room (zspool_block_size (batch->blocks [index].block));
    }
    if (rc == ZSPOOL_OK && room > 0)
        rc = zspool_store_has_room (run->store, batch->blocks [0].spool, room);
    return rc;
}

static int
s_append_batch (s_run_t *run, const zspool_batch_t *batch)
{
    int rc = s_check_changes (run->store, batch);
    if (rc == ZSPOOL_OK)
        rc = s_has_room (run, batch);
    for (size_t index = 0; rc == ZSPOOL_OK && index < batch->blocks_count; index++) {
        rc = s_append_block (run, &batch->blocks [index]);
        run->undone = rc != ZSPOOL_OK && index > 0;
    }
    for (size_t index = 0; rc == ZSPOOL_OK && index < batch->marks_count; index++)
        if (batch->marks [index].producer < ZSPOOL_MARK_UNNAMED)
            rc = zspool_store_set_producer (run->store, batch->marks [index].producer, 0,
                                            batch->marks [index].last);
    return rc;
}

//  Store what the batches that were appended acknowledge.
static int
s_store_batch_changes (s_run_t *run)
{
    int rc = ZSPOOL_OK;
    for (size_t index = 0; index < run->commit->units_count; index++) {
        const zspool_commit_unit_t *unit = &run->commit->units [index];
        const zspool_batch_t *batch = unit->rc == ZSPOOL_OK? unit->batch: NULL;
        for (size_t at = 0; rc == ZSPOOL_OK && batch && at < batch->changes_count; at++)
            rc = zspool_store_change_cursor (run->store, batch->changes [at]);
    }
    return rc;
}

//  ------------------------------------------------------------------------------------------------
//  Units

//  A unit's blocks, for looking at
static size_t
s_blocks (const zspool_commit_unit_t *unit, const zspool_batch_block_t **blocks)
{
    *blocks = unit->batch? unit->batch->blocks: &unit->block;
    return unit->batch? unit->batch->blocks_count: 1;
}

//  Whether two units share a spool or a producer, so that their order matters
static bool
s_are_tied (const zspool_commit_unit_t *one, const zspool_commit_unit_t *other)
{
    const zspool_batch_block_t *blocks, *others;
    size_t count = s_blocks (one, &blocks), others_count = s_blocks (other, &others);
    for (size_t index = 0; index < count; index++)
        for (size_t at = 0; at < others_count; at++)
            if (blocks [index].spool == others [at].spool)
                return true;
    for (size_t index = 0; one->batch && other->batch && index < one->batch->marks_count; index++)
        for (size_t at = 0; at < other->batch->marks_count; at++)
            if (one->batch->marks [index].producer == other->batch->marks [at].producer)
                return true;
    return false;
}

//  Why a unit must wait for one before it; ZSPOOL_OK: it need not
static int
s_waits_for (const zspool_commit_t *self, size_t index)
{
    for (size_t before = 0; before < index; before++) {
        const zspool_commit_unit_t *unit = &self->units [before];
        if (unit->rc && unit->rc != ZSPOOL_ESTALE
            && (unit->rc != ZSPOOL_ELIMIT || s_are_tied (unit, &self->units [index])))
            return unit->rc;
    }
    return ZSPOOL_OK;
}

//  Whether that is a reason to leave a unit for later, or to refuse it, and go on
static bool
s_is_refused (int rc)
{
    return rc == ZSPOOL_ENOSPC || rc == ZSPOOL_ELIMIT || rc == ZSPOOL_EFULL || rc == ZSPOOL_ESTALE;
}

//  Append the units that there is room for. Those with a result other than ZSPOOL_OK are left out.
static int
s_append_units (s_run_t *run)
{
    zspool_commit_t *self = run->commit;
    for (size_t index = 0; index < self->units_count; index++) {
        zspool_commit_unit_t *unit = &self->units [index];
        if (unit->rc == ZSPOOL_OK && self->full)
            unit->rc = s_waits_for (self, index);
        if (unit->rc)
            continue;
        int rc = unit->batch? s_append_batch (run, unit->batch): s_append_block (run, &unit->block);
        if (rc == ZSPOOL_ENOSPC && zspool_store_gives_way (run->store))
            rc = ZSPOOL_EFULL;
        if (rc && !s_is_refused (rc))
            return rc;
        unit->rc = rc;
        if (!self->full && rc != ZSPOOL_ESTALE)
            self->full = rc;
        if (run->undone)
            return ZSPOOL_OK;
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
    else if (!s_has_cursor (store, move->from, move->cursor))
        move->rc = ZSPOOL_ESTALE; //  it was deleted meanwhile
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
    if (job->rc == ZSPOOL_OK && job->deletes)
        *job->seek = (zspool_seek_t){ job->spool, job->cursor, 0, 0 };
    else if (job->rc == ZSPOOL_OK && cursor)
        *job->seek =
            (zspool_seek_t){ job->spool, job->cursor, cursor->now.generation, cursor->now.floor };
    return job->rc == ZSPOOL_EINVAL? ZSPOOL_OK: job->rc;
}

static int
s_do_jobs (zspool_commit_t *self, zspool_store_t *store)
{
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < self->jobs_count; index++)
        rc = zspool_job_run (self->jobs [index], store);
    return rc;
}

//  One try. When a batch was found to have no room though parts of it were appended, nothing is
//  committed, and the next try leaves it out.
static void
s_try (zspool_commit_t *self, zspool_store_t *store, bool *again)
{
    s_run_t run = { .commit = self, .store = store };
    self->changes_stored = 0;
    self->rc = zspool_store_begin (store);
    if (self->rc)
        return;
    self->rc = s_append_units (&run);
    *again = self->rc == ZSPOOL_OK && run.undone;
    if (self->rc == ZSPOOL_OK && !*again)
        self->rc = s_store_changes (self, store);
    if (self->rc == ZSPOOL_OK && !*again)
        self->rc = s_store_batch_changes (&run);
    if (self->rc == ZSPOOL_OK && !*again)
        self->rc = s_make_move (self, store);
    if (self->rc == ZSPOOL_OK && !*again)
        self->rc = s_do_cursor_job (self, store);
    if (self->rc == ZSPOOL_OK && !*again)
        self->rc = s_do_jobs (self, store);
    if (self->rc == ZSPOOL_OK && !*again)
        self->rc = zspool_store_commit (store);
    else
        zspool_store_rollback (store);
    if (self->rc)
        self->changes_stored = 0;
}

void
zspool_commit_run (zspool_commit_t *self, zspool_store_t *store)
{
    int64_t start_us = zspool_now_us ();
    self->full = 0;
    for (size_t index = 0; index < self->units_count; index++)
        self->units [index].rc = ZSPOOL_OK;
    bool again = true;
    while (again) {
        again = false;
        s_try (self, store, &again);
    }
    self->commit_us = zspool_now_us () - start_us;
}
