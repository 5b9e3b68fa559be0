//  writer_commits.c - what a writer takes into a commit, and what follows from how that ended
//
//  SPDX-License-Identifier: MPL-2.0

#include "writer_parts.h"

#include <stdlib.h>

#define READERS_CHECK_MS 10000

//  Messages of a unit
static uint64_t
s_messages (const zspool_pending_unit_t *unit)
{
    uint64_t messages = unit->block? zspool_block_count (unit->block): 0;
    for (size_t index = 0; unit->batch && index < unit->batch->blocks_count; index++)
        messages += zspool_block_count (unit->batch->blocks [index].block);
    return messages;
}

//  Measure a commit by what it stored.
static void
s_measure (zspool_writer_t *self)
{
    int64_t now_us = zclock_usecs ();
    uint64_t messages = 0, bytes = 0;
    for (size_t index = 0; index < self->commit.units_count; index++) {
        const zspool_pending_unit_t *unit = &self->pending.units [index];
        if (self->commit.units [index].rc)
            continue;
        uint64_t count = s_messages (unit);
        messages += count;
        bytes += unit->bytes;
        if (count > 0)
            zspool_measure_add (&self->t2, now_us - unit->handed_us, count, now_us);
    }
    zspool_measure_add (&self->commit_time, self->commit.commit_us, 1, now_us);
    if (messages == 0)
        return;
    zspool_measure_add (&self->commit_messages, (int64_t) messages, 1, now_us);
    zspool_measure_add (&self->commit_bytes, (int64_t) bytes, 1, now_us);
    self->stored_messages += messages;
    self->stored_bytes += bytes;
    zspool_rate_note (&self->message_rate, self->stored_messages, now_us);
    zspool_rate_note (&self->byte_rate, self->stored_bytes, now_us);
}

//  Give a batch back to the service, with its result.
void
zspool_writer_give_back (zspool_writer_t *self, zspool_pending_unit_t *unit, int rc)
{
    self->batches_count--;
    if (zspool_handoff_send (zsock_resolve (self->lanes.service), HANDOFF_BATCH, unit->batch,
                             (uint64_t) -rc)
        == 0)
        unit->batch = NULL;
    zspool_batch_destroy (&unit->batch);
}

//  Whether a batch is not to wait any longer
static bool
s_is_refused (const zspool_batch_t *batch, int rc)
{
    return rc == ZSPOOL_ESTALE || (batch->whole && (rc == ZSPOOL_ENOSPC || rc == ZSPOOL_ELIMIT));
}

//  What the commit has stored is handed on and confirmed, and let go; what it refused is given
//  back; the rest waits. The last block of a spool that was refused gives its numbers back.
static void
s_settle_units (zspool_writer_t *self)
{
    bool refused = false;
    for (size_t index = 0; index < self->commit.units_count; index++) {
        zspool_pending_unit_t *unit = &self->pending.units [index];
        int rc = self->commit.units [index].rc;
        unit->waits = rc != ZSPOOL_OK;
        if (rc == ZSPOOL_OK)
            zspool_lanes_stored (&self->lanes, unit);
        if (rc == ZSPOOL_OK && unit->block)
            zspool_block_destroy (&unit->block);
        else if (unit->batch && (rc == ZSPOOL_OK || s_is_refused (unit->batch, rc))) {
            refused = refused || rc;
            zspool_writer_give_back (self, unit, rc);
        }
    }
    zspool_pending_close_up (&self->pending, self->commit.units_count);
    if (refused)
        zspool_lanes_number_anew (&self->lanes, &self->pending);
    zspool_lanes_confirm (&self->lanes);
}

//  Take in whether there was room, and tell the inlets.
void
zspool_writer_note_room (zspool_writer_t *self, int full)
{
    if (zspool_room_update (&self->room, full, zclock_mono (), self->store))
        zspool_lanes_tell_inlets (&self->lanes, HANDOFF_FULL, (uint64_t) -self->room.told);
}

//  A move was made, or refused. What it brought to a lane's spool is forwarded like anything that
//  is stored there.
static void
s_moved (zspool_writer_t *self)
{
    zspool_move_t *move = self->commit.move;
    zspool_lane_t *lane = zspool_lanes_find (&self->lanes, move->to);
    if (move->rc == ZSPOOL_OK && move->block && lane)
        zspool_lanes_moved (&self->lanes, lane, move->block);
    if (lane)
        zspool_lanes_number_anew (&self->lanes, &self->pending);
    self->holding = false;
    zspool_mover_done (&self->mover);
}

//  Choose the move that the commit being prepared makes. One that is numbered in a lane needs the
//  lane's blocks to be all in this commit, and each the changes that came before; on a full disk
//  that may never be so.
static void
s_choose_move (zspool_writer_t *self)
{
    zspool_commit_t *commit = &self->commit;
    zspool_move_t *move = zspool_mover_front (&self->mover);
    commit->move = move;
    if (!move)
        return;
    self->holding = move->block && zspool_lanes_find (&self->lanes, move->to);
    bool whole = commit->changes_count == self->pending.changes_count
                 && (!self->holding || commit->units_count == self->pending.units_count);
    if (whole)
        return;
    if (self->room.full) {
        move->rc = self->room.full;
        s_moved (self);
    }
    commit->move = NULL;
}

//  A cursor was moved or deleted, or that was refused: who delivers through it goes on from where
//  it stands now.
static void
s_sought (zspool_writer_t *self)
{
    zspool_cursor_job_t *job = self->commit.cursor_job;
    if (job->rc == ZSPOOL_OK)
        zspool_lanes_sought (&self->lanes, &job->seek);
    zspool_seeker_done (&self->seeker);
}

//  A job has opened a spool. Under `async` more of it may have been handed on than is durable.
static void
s_open_lane (zspool_writer_t *self, zspool_store_job_t *job)
{
    const zspool_lane_t *lane = zspool_lanes_open (&self->lanes, job->spool);
    if (!lane)
        job->rc = ZSPOOL_ENOMEM;
    else if (job->last_sequence < lane->published)
        job->last_sequence = lane->published;
}

//  A job has moved cursors: tell who delivers through them.
static void
s_tell_moved (zspool_writer_t *self, const zspool_store_job_t *job)
{
    for (size_t index = 0; job->rc == ZSPOOL_OK && index < job->moved_count; index++) {
        zspool_seek_t *seek = (zspool_seek_t *) malloc (sizeof *seek);
        if (seek)
            *seek = job->moved [index];
        if (seek)
            zspool_lanes_sought (&self->lanes, &seek);
        free (seek);
    }
}

//  The jobs of the commit were done, or refused: give them back.
static void
s_finish_jobs (zspool_writer_t *self)
{
    for (size_t index = 0; index < self->commit.jobs_count; index++) {
        zspool_store_job_t *job = self->jobs;
        self->jobs = job->next;
        self->jobs_count--;
        job->next = NULL;
        zspool_job_finish (job, self->store);
        s_tell_moved (self, job);
        if (job->rc == ZSPOOL_OK && job->kind == ZSPOOL_JOB_OPEN_SPOOL)
            s_open_lane (self, job);
        if (zspool_handoff_send (zsock_resolve (self->lanes.service), HANDOFF_JOB, job, 0))
            zspool_job_destroy (&job);
    }
    if (!self->jobs)
        self->jobs_end = &self->jobs;
}

void
zspool_writer_commit_ended (zspool_writer_t *self)
{
    self->committing = false;
    self->commit_ended_ms = zclock_mono ();
    if (self->commit.rc) {
        zspool_writer_fail (self, zspool_store_reason (self->store));
        return;
    }
    self->commits++;
    self->commit_us = self->commit.commit_us;
    zspool_writer_note_room (self, self->commit.full == ZSPOOL_EFULL? 0: self->commit.full);
    zspool_lanes_note_dropped (&self->lanes);
    self->trim_due = zspool_store_trim_is_due (self->store);
    s_measure (self);
    s_settle_units (self);
    zspool_pending_drop_changes (&self->pending, self->commit.changes_stored,
                                 self->commit_ended_ms);
    if (self->commit.move)
        s_moved (self);
    if (self->commit.cursor_job)
        s_sought (self);
    s_finish_jobs (self);
    zspool_keeping_update (&self->keeping, self->commit_ended_ms);
    zspool_lanes_publish_ahead (&self->lanes, &self->pending);
}

//  Whether a job moves cursors
static bool
s_moves_cursors (const zspool_store_job_t *job)
{
    return job->kind == ZSPOOL_JOB_SEEK || job->kind == ZSPOOL_JOB_DELETE_CURSOR
           || job->kind == ZSPOOL_JOB_PURGE;
}

//  Let the commit being prepared do what the service wants done. A move may have been prepared that
//  acknowledges on a cursor: that is not moved before.
static void
s_choose_jobs (zspool_writer_t *self)
{
    zspool_commit_t *commit = &self->commit;
    commit->cursor_job = self->mover.count == 0? zspool_seeker_front (&self->seeker): NULL;
    commit->jobs_count = 0;
    for (zspool_store_job_t *job = self->jobs; job; job = job->next) {
        if (self->mover.count > 0 && s_moves_cursors (job))
            break;
        job->defaults = &self->defaults;
        commit->jobs [commit->jobs_count++] = job;
    }
}

//  Take what waits into a commit, and run it here or on the committer.
void
zspool_writer_begin_commit (zspool_writer_t *self)
{
    zspool_commit_t *commit = &self->commit;
    zspool_pending_fill (&self->pending, commit);
    s_choose_move (self);
    s_choose_jobs (self);
    if (self->commit_ended_ms - self->readers_checked_ms > READERS_CHECK_MS) {
        zspool_store_check_readers (self->store);
        self->readers_checked_ms = self->commit_ended_ms;
    }
    for (size_t index = 0; index < self->lanes.inlets_count; index++) {
        const zspool_lane_t *lane = &self->lanes.lanes [index];
        if (lane->stopping && !lane->given.drops_oldest)
            zspool_store_set_limit (self->store, lane->given.spool, 0, ZSPOOL_ON_FULL_PAUSE);
    }
    self->committing = true;
    self->commit_began_ms = zclock_mono ();
    if (self->committer)
        zspool_handoff_send (zsock_resolve (self->committer), HANDOFF_BLOCK, commit, 0);
    else {
        zspool_commit_run (commit, self->store);
        zspool_writer_commit_ended (self);
    }
}

//  When the next commit is to begin, in milliseconds of the clock; INT64_MAX when nothing waits for
//  one.
int64_t
zspool_writer_commit_due_ms (zspool_writer_t *self)
{
    if (self->failed || self->committing)
        return INT64_MAX;
    if (self->mover.count > 0 || self->seeker.count > 0 || self->jobs)
        return 0;
    int64_t due_ms = zspool_pending_due_ms (&self->pending, &self->room, self->trim_due,
                                            self->commit_ended_ms);
    int64_t aged_ms = zspool_keeping_due_ms (&self->keeping, self->commit_ended_ms);
    return aged_ms < due_ms? aged_ms: due_ms;
}
