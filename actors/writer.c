//  writer.c - the one actor that writes a store: numbers blocks, commits them in groups, hands them
//  on
//
//  SPDX-License-Identifier: MPL-2.0
//
//  There is no timer to group by: whatever has come while a commit was under way makes the next
//  one. Under `sync` commits run on this thread, which has nothing else to do. As soon as a lane is
//  `async` they run on a thread of their own, the committer, so that blocks are numbered and
//  forwarded meanwhile.
//
//  States: running; full (the last commit had no room, on the disk or under a spool's limit: try
//  again when something was acknowledged, or after a while); failed (a commit failed: nothing is
//  accepted, forwarded or confirmed any more).
//
//  Invariants, besides those of lanes.h
//  1. A block is confirmed to its inlet, and a batch given back to the service, only after the
//     commit that stored it; but a transaction that finds no room is refused.
//  2. Blocks of a spool are committed in the order they were numbered in, and so are batches that
//     share a producer.
//  3. All changes of cursors that came before a batch or a job are in a commit before it, or in its
//     own. A job does not wait for batches that find no room.

#include "writer_parts.h"
#include "request.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LANES_MAX 64         //  with inlets and outlets
#define STALLED_MS 1000      //  a commit that takes longer shows as `stalled`

//  ------------------------------------------------------------------------------------------------
//  Committer: a thread that runs one commit at a time

static void
s_committer (zsock_t *pipe, void *args)
{
    zspool_store_t *store = (zspool_store_t *) args;
    void *socket = zsock_resolve (pipe);
    pthread_setname_np (pthread_self (), "zspool-commit");
    zsock_signal (pipe, 0);
    for (;;) {
        zspool_handoff_t handoff;
        int size = zmq_recv (socket, &handoff, sizeof handoff, 0);
        if (size < 0 && zmq_errno () == EINTR)
            continue;
        if (size != sizeof handoff)
            return; //  $TERM, or the context ends
        zspool_tsan_acquire (handoff.pointer);
        zspool_commit_run ((zspool_commit_t *) handoff.pointer, store);
        zspool_handoff_send (socket, HANDOFF_STORED, handoff.pointer, 0);
    }
}

//  ------------------------------------------------------------------------------------------------
//  Constructor and destructor

static void
s_drop_jobs (zspool_writer_t *self)
{
    while (self->jobs) {
        zspool_store_job_t *job = self->jobs;
        self->jobs = job->next;
        zspool_job_destroy (&job);
    }
    self->jobs_end = &self->jobs;
    self->jobs_count = 0;
}

static void
s_self_destroy (zspool_writer_t **self_p)
{
    zspool_writer_t *self = *self_p;
    zactor_destroy (&self->committer);
    zspool_pending_destroy (&self->pending);
    s_drop_jobs (self);
    zspool_mover_destroy (&self->mover);
    zspool_store_destroy (&self->store);
    zspool_lanes_destroy (&self->lanes, true);
    free (self->items);
    free (self);
    *self_p = NULL;
}

static void
s_poll_for (zspool_writer_t *self, void *socket)
{
    zmq_pollitem_t item = { socket, 0, ZMQ_POLLIN, 0 };
    self->items [self->items_count++] = item;
}

//  List what is polled, in the order that s_serve () relies on.
static void
s_list_items (zspool_writer_t *self)
{
    s_poll_for (self, zsock_resolve (self->pipe));
    s_poll_for (self, self->committer? zsock_resolve (self->committer): NULL);
    s_poll_for (self, self->lanes.service? zsock_resolve (self->lanes.service): NULL);
    for (size_t index = 1; index < self->items_count; index++)
        if (!self->items [index].socket)
            self->items [index].fd = -1;
    for (size_t lane = 0; lane < self->lanes.inlets_count; lane++) {
        const zspool_writer_lane_t *given = &self->lanes.lanes [lane].given;
        s_poll_for (self, zsock_resolve (given->inlet));
        for (size_t index = 0; index < given->outlets_count; index++)
            s_poll_for (self, zsock_resolve (given->outlets [index].pipe));
    }
}

static bool
s_is_used (void *arg, uint32_t spool, uint32_t cursor)
{
    return zspool_lanes_outlet (&((zspool_writer_t *) arg)->lanes, spool, cursor) != NULL;
}

//  Free what the constructor has made.
static void
s_free (zspool_writer_t *self)
{
    zactor_destroy (&self->committer);
    zspool_pending_destroy (&self->pending);
    zspool_lanes_destroy (&self->lanes, false);
    free (self->items);
    free (self);
}

static zspool_writer_t *
s_self_new (const zspool_writer_args_t *args)
{
    zspool_writer_t *self = (zspool_writer_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    size_t items = 3;
    bool async = false;
    for (size_t lane = 0; lane < args->lanes_count; lane++) {
        items += 1 + args->lanes [lane].outlets_count;
        async = async || args->lanes [lane].async;
    }
    self->items = (zmq_pollitem_t *) calloc (items, sizeof *self->items);
    int rc = zspool_pending_init (&self->pending, args->lanes_count * ZSPOOL_WRITER_BLOCKS_MAX
                                                      + ZSPOOL_WRITER_BATCHES_MAX);
    if (rc == ZSPOOL_OK)
        rc = zspool_lanes_init (&self->lanes, args);
    if (rc == ZSPOOL_OK && self->items && async)
        self->committer = zactor_new (s_committer, args->store);
    if (rc || !self->items || (async && !self->committer)) {
        s_free (self);
        return NULL;
    }
    self->store = self->mover.store = self->seeker.store = args->store;
    self->seeker.is_used = s_is_used;
    self->seeker.arg = self;
    self->defaults = args->defaults;
    self->jobs_end = &self->jobs;
    zspool_keeping_init (&self->keeping, args->store, args->lanes [0].spool);
    return self;
}

//  Running or full -> failed
void
zspool_writer_fail (zspool_writer_t *self, const char *reason)
{
    if (self->failed)
        return;
    self->failed = true;
    snprintf (self->reason, sizeof self->reason, "%s", reason);
    zspool_lanes_tell_all (&self->lanes, HANDOFF_FAILED);
    zspool_mover_fail (&self->mover);
    zspool_seeker_fail (&self->seeker);
    zstr_sendx (self->pipe, "FAILED", self->reason, NULL);
}

//  ------------------------------------------------------------------------------------------------
//  Handlers

//  A unit was added: number it, and let it wait for its commit.
static int
s_accept (zspool_writer_t *self, zspool_pending_unit_t *unit, int64_t handed_us)
{
    const zspool_writer_lane_t *lane = &self->lanes.lanes [unit->lane].given;
    int rc = zspool_lanes_stamp (&self->lanes, unit);
    unit->async = lane->async;
    //  Half the interval is for the commit itself.
    unit->due_ms = zclock_mono () + (lane->async && !unit->urgent? lane->commit_interval_ms / 2: 0);
    unit->handed_us = handed_us;
    if (rc == ZSPOOL_OK)
        zspool_lanes_publish_ahead (&self->lanes, &self->pending);
    return rc;
}

static void
s_accept_block (zspool_writer_t *self, size_t lane, zspool_block_t *block, int64_t handed_us)
{
    if (self->failed) {
        zspool_block_destroy (&block);
        return;
    }
    zspool_pending_unit_t *unit = zspool_pending_add (&self->pending);
    unit->block = block;
    unit->lane = lane;
    unit->spool = self->lanes.lanes [lane].given.spool;
    s_accept (self, unit, handed_us);
    if (unit->async)
        zspool_handoff_send (zsock_resolve (self->lanes.lanes [lane].given.inlet), HANDOFF_TAKEN,
                             NULL, 1);
}

static void
s_accept_batch (zspool_writer_t *self, zspool_batch_t *batch)
{
    if (self->failed) {
        zspool_batch_destroy (&batch);
        return;
    }
    zspool_pending_unit_t *unit = zspool_pending_add (&self->pending);
    unit->batch = batch;
    unit->urgent = batch->urgent || batch->whole;
    self->batches_count++;
    if (s_accept (self, unit, batch->handed_us)) {
        zspool_writer_give_back (self, unit, ZSPOOL_EINVAL);
        self->pending.units_count--;
    }
}

//  Somebody waits for what an inlet has handed over.
static void
s_flush_lane (zspool_writer_t *self, size_t lane)
{
    for (size_t index = 0; index < self->pending.units_count; index++) {
        zspool_pending_unit_t *unit = &self->pending.units [index];
        if (unit->block && unit->lane == lane)
            unit->urgent = true;
    }
}

static void
s_handle_inlet (zspool_writer_t *self, size_t lane, void *socket)
{
    zspool_handoff_t handoff;
    while (zspool_handoff_recv (socket, &handoff) == 0)
        if (handoff.kind == HANDOFF_BLOCK)
            s_accept_block (self, lane, (zspool_block_t *) handoff.pointer,
                            (int64_t) handoff.number);
        else if (handoff.kind == HANDOFF_FLUSH)
            s_flush_lane (self, lane);
        else if (handoff.kind == HANDOFF_STOP)
            self->lanes.lanes [lane].stopping = true;
}

//  Keep a cursor's change for the next commit.
static void
s_accept_change (zspool_writer_t *self, zspool_cursor_change_t *change)
{
    if (self->failed) {
        free (change);
        return;
    }
    //  The commit under way has the first of them in its hands.
    size_t taken = self->committing? self->commit.changes_count: 0;
    zspool_pending_add_change (&self->pending, change, taken, zclock_mono ());
    if (self->room.full)
        self->pending.changes_since_ms = 0; //  what is acknowledged may make room
}

static void
s_accept_burial (zspool_writer_t *self, void *outlet, zspool_move_t *move)
{
    if (self->failed)
        zspool_move_destroy (&move);
    else
        zspool_mover_bury (&self->mover, outlet, move);
}

static void
s_handle_outlet (zspool_writer_t *self, void *socket)
{
    zspool_handoff_t handoff;
    while (self->pending.changes_count < ZSPOOL_PENDING_CHANGES_MAX
           && zspool_handoff_recv (socket, &handoff) == 0) {
        if (handoff.kind == HANDOFF_CHANGE)
            s_accept_change (self, (zspool_cursor_change_t *) handoff.pointer);
        else if (handoff.kind == HANDOFF_BURY)
            s_accept_burial (self, socket, (zspool_move_t *) handoff.pointer);
        else
            zspool_writer_fail (self, "reading the store failed");
    }
}

static void
s_accept_job (zspool_writer_t *self, zspool_store_job_t *job)
{
    if (self->failed) {
        zspool_job_destroy (&job);
        return;
    }
    job->next = NULL;
    *self->jobs_end = job;
    self->jobs_end = &job->next;
    self->jobs_count++;
}

//  Somebody waits for what the service has handed over.
static void
s_flush_batches (zspool_writer_t *self)
{
    for (size_t index = 0; index < self->pending.units_count; index++)
        if (self->pending.units [index].batch)
            self->pending.units [index].urgent = true;
}

//  Whether there is room for whatever the service may say next
static bool
s_may_hear_service (const zspool_writer_t *self)
{
    return !self->holding && self->pending.changes_count < ZSPOOL_PENDING_CHANGES_MAX
           && self->batches_count < ZSPOOL_WRITER_BATCHES_MAX
           && self->jobs_count < ZSPOOL_WRITER_JOBS_MAX;
}

static void
s_handle_service (zspool_writer_t *self, void *socket)
{
    zspool_handoff_t handoff;
    while (s_may_hear_service (self) && zspool_handoff_recv (socket, &handoff) == 0) {
        if (handoff.kind == HANDOFF_BATCH)
            s_accept_batch (self, (zspool_batch_t *) handoff.pointer);
        else if (handoff.kind == HANDOFF_CHANGE)
            s_accept_change (self, (zspool_cursor_change_t *) handoff.pointer);
        else if (handoff.kind == HANDOFF_JOB)
            s_accept_job (self, (zspool_store_job_t *) handoff.pointer);
        else if (handoff.kind == HANDOFF_BURY)
            s_accept_burial (self, socket, (zspool_move_t *) handoff.pointer);
        else if (handoff.kind == HANDOFF_FLUSH)
            s_flush_batches (self);
        else
            zspool_writer_fail (self, "reading the store failed");
    }
}

static void
s_add_lagged (const zspool_writer_lane_t *lane, zmsg_t *status)
{
    for (size_t index = 0; index < lane->outlets_count; index++) {
        char name [ZSPOOL_LABEL_MAX + 16];
        snprintf (name, sizeof name, "%s/lagged", lane->outlets [index].label);
        zspool_reply_add (status, name, lane->outlets [index].lagged);
    }
}

static void
s_reply_status (zspool_writer_t *self, uint64_t number)
{
    zmsg_t *status = zspool_reply_new (number, ZSPOOL_OK);
    bool stalled = self->committing && zclock_mono () - self->commit_began_ms > STALLED_MS;
    zmsg_addstr (status, "state");
    zmsg_addstr (status, self->failed? "failed":
                          stalled? "stalled":
                          self->room.told? "full":
                                            "running");
    zmsg_addstr (status, "store/full");
    zmsg_addstr (status, zspool_room_status (&self->room));
    zspool_reply_add (status, "store/last_sequence", self->lanes.lanes [0].given.next_sequence - 1);
    zspool_reply_add (status, "store/commits", self->commits);
    zspool_reply_add (status, "store/commit_us", (uint64_t) self->commit_us);
    zspool_reply_add (status, "store/waiting", self->pending.units_count);
    zspool_keeping_status (&self->keeping, self->committing, status);
    int64_t process;
    zspool_reply_add (status, "store/oldest_reader_commits",
                      zspool_store_oldest_reader (self->store, &process));
    for (size_t lane = 0; lane < self->lanes.inlets_count; lane++)
        s_add_lagged (&self->lanes.lanes [lane].given, status);
    int64_t now_us = zclock_usecs ();
    zspool_reply_add (status, "rate/stored", zspool_rate_get (&self->message_rate, now_us));
    zspool_reply_add (status, "rate/stored_bytes", zspool_rate_get (&self->byte_rate, now_us));
    zspool_reply_add_measure (status, "t2/", "_us", &self->t2, now_us);
    zspool_reply_add_measure (status, "store/commit_", "_us", &self->commit_time, now_us);
    zspool_reply_add_measure (status, "store/commit_messages_", "", &self->commit_messages, now_us);
    zspool_reply_add_measure (status, "store/commit_bytes_", "", &self->commit_bytes, now_us);
    zmsg_send (&status, self->pipe);
}

//  Dead letters are to be put back, or dropped.
static void
s_accept_request (zspool_writer_t *self, uint64_t number, bool requeue, zmsg_t *arguments)
{
    zspool_mover_ask (&self->mover, number, requeue, arguments);
    if (self->failed)
        zspool_mover_fail (&self->mover);
}

//  A cursor is to be moved, or deleted.
static void
s_accept_seek (zspool_writer_t *self, uint64_t number, bool deletes, zmsg_t *arguments)
{
    zspool_seeker_ask (&self->seeker, number, deletes, arguments);
    if (self->failed)
        zspool_seeker_fail (&self->seeker);
}

static void
s_handle_pipe (zspool_writer_t *self)
{
    uint64_t number = 0;
    zmsg_t *arguments = NULL;
    char *command = zspool_request_recv (self->pipe, &number, &arguments);
    if (!command || streq (command, "$TERM"))
        self->terminated = true;
    else if (streq (command, "STATUS"))
        s_reply_status (self, number);
    else if (streq (command, "REQUEUE") || streq (command, "DROP"))
        s_accept_request (self, number, streq (command, "REQUEUE"), arguments);
    else if (streq (command, "SEEK") || streq (command, "DELETE_CURSOR"))
        s_accept_seek (self, number, streq (command, "DELETE_CURSOR"), arguments);
    zmsg_destroy (&arguments);
    zstr_free (&command);
}

static void
s_handle_committer (zspool_writer_t *self)
{
    zspool_handoff_t handoff;
    if (zspool_handoff_recv (zsock_resolve (self->committer), &handoff) == 0)
        zspool_writer_commit_ended (self);
}

//  Look at every socket that has something.
static void
s_serve (zspool_writer_t *self)
{
    if (self->items [1].revents && self->committer)
        s_handle_committer (self);
    size_t at = 3;
    for (size_t lane = 0; lane < self->lanes.inlets_count; lane++) {
        if (self->items [at].revents && !self->holding)
            s_handle_inlet (self, lane, self->items [at].socket);
        at++;
        for (size_t index = 0; index < self->lanes.lanes [lane].given.outlets_count; index++, at++)
            if (self->items [at].revents)
                s_handle_outlet (self, self->items [at].socket);
    }
    if (self->items [2].revents && self->lanes.service)
        s_handle_service (self, self->items [2].socket);
    if (self->items [0].revents)
        s_handle_pipe (self);
}

//  Do not wake for outlets while there is no room for what they have to say, nor for inlets while a
//  move is to be numbered first.
static void
s_mask_items (zspool_writer_t *self)
{
    short for_outlets = self->pending.changes_count < ZSPOOL_PENDING_CHANGES_MAX? ZMQ_POLLIN: 0;
    self->items [2].events = s_may_hear_service (self)? ZMQ_POLLIN: 0;
    size_t at = 3;
    for (size_t lane = 0; lane < self->lanes.inlets_count; lane++) {
        self->items [at++].events = self->holding? 0: ZMQ_POLLIN;
        for (size_t index = 0; index < self->lanes.lanes [lane].given.outlets_count; index++)
            self->items [at++].events = for_outlets;
    }
}

//  Wait for something to do, at most until the next commit is due.
static void
s_wait (zspool_writer_t *self)
{
    int64_t due_ms = zspool_writer_commit_due_ms (self);
    if (!self->committing && zspool_room_due_ms (&self->room) < due_ms)
        due_ms = zspool_room_due_ms (&self->room);
    long timeout_ms = -1;
    if (due_ms != INT64_MAX) {
        int64_t left_ms = due_ms - zclock_mono ();
        timeout_ms = left_ms > 0? (long) left_ms: 0;
    }
    s_mask_items (self);
    if (zmq_poll (self->items, (int) self->items_count, timeout_ms) < 0 && zmq_errno () == ETERM)
        self->terminated = true;
}

//  Commit what is left: device and actors have stopped by now.
static void
s_finish (zspool_writer_t *self)
{
    if (self->committing && self->committer) {
        zspool_handoff_t handoff;
        void *socket = zsock_resolve (self->committer);
        while (zmq_recv (socket, &handoff, sizeof handoff, 0) < 0 && zmq_errno () == EINTR)
            ;
        zspool_tsan_acquire (handoff.pointer);
        zspool_writer_commit_ended (self);
    }
    zactor_destroy (&self->committer);
    size_t before = SIZE_MAX, left = self->pending.units_count + self->pending.changes_count;
    while (!self->failed && !self->room.full && left > 0 && left < before) {
        before = left;
        zspool_writer_begin_commit (self);
        left = self->pending.units_count + self->pending.changes_count;
    }
    zspool_mover_fail (&self->mover);
    zspool_seeker_fail (&self->seeker);
    //  What was forwarded ahead of the store, and finds no room there, keeps its numbers.
    if (self->pending.units_count > 0)
        zspool_store_keep_ceilings (self->store);
}

static void
s_writer (zsock_t *pipe, void *args)
{
    zspool_writer_t *self = (zspool_writer_t *) args;
    self->pipe = self->mover.pipe = self->seeker.pipe = pipe;
    s_list_items (self);
    pthread_setname_np (pthread_self (), "zspool-writer");
    zsock_signal (pipe, 0);
    while (!self->terminated) {
        s_wait (self);
        s_serve (self);
        if (!self->committing && zspool_room_due_ms (&self->room) <= zclock_mono ())
            zspool_writer_note_room (self, 0);
        if (zspool_writer_commit_due_ms (self) <= zclock_mono ())
            zspool_writer_begin_commit (self);
    }
    s_finish (self);
    s_self_destroy (&self);
}

zactor_t *
zspool_writer_new (zspool_writer_args_t *args)
{
    assert (args->lanes_count > 0 && args->lanes_count <= LANES_MAX);
    zspool_writer_t *self = s_self_new (args);
    if (!self)
        return NULL;
    zactor_t *actor = zactor_new (s_writer, self);
    if (!actor)
        s_free (self);
    return actor;
}
