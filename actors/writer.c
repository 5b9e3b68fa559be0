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
//  Invariants
//  1. sync: a block goes to outlets, and is confirmed to its inlet, only after the commit that
//  stored it.
//  2. async: a block goes to outlets only when its last sequence is at or below the committed
//  ceiling.
//  3. Blocks are committed in the order they were numbered in.

#include "writer.h"
#include "keeping.h"
#include "mover.h"
#include "pending.h"
#include "rate.h"
#include "request.h"
#include "seeker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LANES_MAX 64
#define STALLED_MS 1000      //  a commit that takes longer shows as `stalled`
#define READERS_CHECK_MS 10000

typedef struct {
    zsock_t *pipe;                  //  commands
    uint64_t incarnation;           //  of the store
    zspool_store_t *store;
    zactor_t *committer;            //  runs commits; NULL: we do
    bool committing;                //  the committer has the commit
    bool terminated;
    zspool_room_t room;             //  whether the last commit had room
    bool failed;
    zspool_writer_lane_t lanes [LANES_MAX];
    uint64_t ceilings [LANES_MAX];  //  async: committed ceiling of each lane
    uint64_t dropped_to [LANES_MAX]; //  outlets know that what ends here was dropped at the limit
    bool stopping [LANES_MAX];      //  the limit is to hold no more
    size_t lanes_count;
    zspool_pending_t pending;       //  what waits for a commit, that under way included
    int64_t commit_began_ms;
    int64_t commit_ended_ms;
    int64_t readers_checked_ms;
    uint64_t commits;
    int64_t commit_us;              //  what the last one took
    zspool_measure_t t2;            //  from a block's hand-over until it is durable, for each message
    zspool_measure_t commit_time;   //  microseconds
    zspool_measure_t commit_messages;
    zspool_measure_t commit_bytes;
    uint64_t stored_messages;
    uint64_t stored_bytes;          //  of their blocks
    zspool_rate_t message_rate;
    zspool_rate_t byte_rate;
    bool trim_due;                  //  blocks are left to trim
    zspool_keeping_t keeping;       //  what is kept, and until when
    zspool_seeker_t seeker;         //  cursors that are to be moved or deleted
    zspool_mover_t mover;           //  what is to be moved between spools
    bool holding;                   //  a move is to be numbered in a lane: take no blocks before that
    zspool_commit_t commit;         //  under way or last
    zmq_pollitem_t *items;          //  pipe, committer, then each lane's inlet and outlets
    size_t items_count;
    char reason [ZSPOOL_REASON_MAX];
} self_t;

static int64_t
s_now_ms (void)
{
    return zclock_mono ();
}

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
s_self_destroy (self_t **self_p)
{
    self_t *self = *self_p;
    zactor_destroy (&self->committer);
    zspool_pending_destroy (&self->pending);
    zspool_mover_destroy (&self->mover);
    zspool_store_destroy (&self->store);
    for (size_t lane = 0; lane < self->lanes_count; lane++) {
        zsock_destroy (&self->lanes [lane].inlet);
        for (size_t index = 0; index < self->lanes [lane].outlets_count; index++)
            zsock_destroy (&self->lanes [lane].outlets [index].pipe);
        free (self->lanes [lane].outlets);
    }
    free (self->items);
    free (self);
    *self_p = NULL;
}

static void
s_poll_for (self_t *self, void *socket)
{
    zmq_pollitem_t item = { socket, 0, ZMQ_POLLIN, 0 };
    self->items [self->items_count++] = item;
}

//  List what is polled, in the order that s_serve () relies on.
static void
s_list_items (self_t *self)
{
    s_poll_for (self, zsock_resolve (self->pipe));
    s_poll_for (self, self->committer? zsock_resolve (self->committer): NULL);
    if (!self->committer)
        self->items [1].fd = -1;
    for (size_t lane = 0; lane < self->lanes_count; lane++) {
        s_poll_for (self, zsock_resolve (self->lanes [lane].inlet));
        for (size_t index = 0; index < self->lanes [lane].outlets_count; index++)
            s_poll_for (self, zsock_resolve (self->lanes [lane].outlets [index].pipe));
    }
}

//  What each cursor of a lane has lost
static void
s_look_up_lagged (self_t *self, zspool_writer_lane_t *lane)
{
    for (size_t index = 0; index < lane->outlets_count; index++)
        lane->outlets [index].lagged =
            zspool_store_lagged (self->store, lane->spool, lane->outlets [index].cursor);
}

//  The outlet that delivers through a cursor; NULL: none does
static zspool_writer_outlet_t *
s_outlet_of (self_t *self, uint32_t spool, uint32_t cursor)
{
    for (size_t index = 0; index < self->lanes_count; index++) {
        zspool_writer_lane_t *lane = &self->lanes [index];
        for (size_t at = 0; lane->spool == spool && at < lane->outlets_count; at++)
            if (lane->outlets [at].cursor == cursor)
                return &lane->outlets [at];
    }
    return NULL;
}

static bool
s_is_used (void *arg, uint32_t spool, uint32_t cursor)
{
    return s_outlet_of ((self_t *) arg, spool, cursor) != NULL;
}

static self_t *
s_self_new (const zspool_writer_args_t *args)
{
    self_t *self = (self_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->lanes_count = args->lanes_count;
    int rc = zspool_pending_init (&self->pending, args->lanes_count * ZSPOOL_WRITER_BLOCKS_MAX);
    size_t items = 2;
    bool async = false;
    for (size_t lane = 0; lane < args->lanes_count; lane++) {
        self->lanes [lane] = args->lanes [lane];
        self->ceilings [lane] = args->lanes [lane].next_sequence - 1 + ZSPOOL_CEILING_WINDOW;
        items += 1 + args->lanes [lane].outlets_count;
        async = async || args->lanes [lane].async;
    }
    self->items = (zmq_pollitem_t *) calloc (items, sizeof *self->items);
    if (rc == ZSPOOL_OK && self->items && async)
        self->committer = zactor_new (s_committer, args->store);
    if (rc || !self->items || (async && !self->committer)) {
        zspool_pending_destroy (&self->pending);
        free (self->items);
        free (self);
        return NULL;
    }
    self->store = self->mover.store = self->seeker.store = args->store;
    self->seeker.is_used = s_is_used;
    self->seeker.arg = self;
    self->incarnation = zspool_store_incarnation (args->store);
    for (size_t lane = 0; lane < self->lanes_count; lane++)
        s_look_up_lagged (self, &self->lanes [lane]);
    zspool_keeping_init (&self->keeping, args->store, args->lanes [0].spool);
    return self;
}

//  ------------------------------------------------------------------------------------------------
//  Handing on

//  Give each outlet of the lane a reference to the block.
static void
s_publish (self_t *self, zspool_pending_block_t *waiting)
{
    zspool_writer_lane_t *lane = &self->lanes [waiting->lane];
    for (size_t index = 0; index < lane->outlets_count; index++) {
        zspool_block_t *block = zspool_block_ref (waiting->block);
        if (zspool_handoff_send (zsock_resolve (lane->outlets [index].pipe), HANDOFF_BLOCK, block, 0))
            zspool_block_destroy (&block);
    }
    waiting->published = true;
}

//  Under `async`, publish what the ceiling allows.
static void
s_publish_ahead (self_t *self)
{
    for (size_t index = 0; index < self->pending.blocks_count; index++) {
        zspool_pending_block_t *waiting = zspool_pending_at (&self->pending, index);
        if (waiting->async && !waiting->published
            && zspool_block_last_sequence (waiting->block) <= self->ceilings [waiting->lane])
            s_publish (self, waiting);
    }
}

static void
s_tell_all (self_t *self, zspool_handoff_kind_t kind)
{
    for (size_t lane = 0; lane < self->lanes_count; lane++) {
        zspool_handoff_send (zsock_resolve (self->lanes [lane].inlet), kind, NULL, 0);
        for (size_t index = 0; index < self->lanes [lane].outlets_count; index++)
            zspool_handoff_send (zsock_resolve (self->lanes [lane].outlets [index].pipe), kind, NULL, 0);
    }
}

//  Running or full -> failed
static void
s_fail (self_t *self, const char *reason)
{
    if (self->failed)
        return;
    self->failed = true;
    snprintf (self->reason, sizeof self->reason, "%s", reason);
    s_tell_all (self, HANDOFF_FAILED);
    zspool_mover_fail (&self->mover);
    zspool_seeker_fail (&self->seeker);
    zstr_sendx (self->pipe, "FAILED", self->reason, NULL);
}

//  ------------------------------------------------------------------------------------------------
//  Commits

//  Measure a commit: it stored the first blocks that wait.
static void
s_measure (self_t *self, size_t count)
{
    int64_t now_us = zclock_usecs ();
    uint64_t messages = 0, bytes = 0;
    for (size_t index = 0; index < count; index++) {
        const zspool_pending_block_t *waiting = zspool_pending_at (&self->pending, index);
        messages += zspool_block_count (waiting->block);
        bytes += zspool_block_size (waiting->block);
        zspool_measure_add (&self->t2, now_us - waiting->handed_us, zspool_block_count (waiting->block),
                            now_us);
    }
    zspool_measure_add (&self->commit_time, self->commit.commit_us, 1, now_us);
    if (count == 0)
        return;
    zspool_measure_add (&self->commit_messages, (int64_t) messages, 1, now_us);
    zspool_measure_add (&self->commit_bytes, (int64_t) bytes, 1, now_us);
    self->stored_messages += messages;
    self->stored_bytes += bytes;
    zspool_rate_note (&self->message_rate, self->stored_messages, now_us);
    zspool_rate_note (&self->byte_rate, self->stored_bytes, now_us);
}

//  The first blocks that wait are durable: hand on and confirm each, and let it go.
static void
s_stored_blocks (self_t *self, size_t count)
{
    uint64_t stored [LANES_MAX] = { 0 };
    while (count-- > 0) {
        zspool_pending_block_t *waiting = zspool_pending_at (&self->pending, 0);
        if (!waiting->published)
            s_publish (self, waiting);
        self->ceilings [waiting->lane] =
            zspool_block_last_sequence (waiting->block) + ZSPOOL_CEILING_WINDOW;
        stored [waiting->lane]++;
        zspool_pending_drop_block (&self->pending);
    }
    for (size_t index = 0; index < self->lanes_count; index++) {
        zspool_writer_lane_t *lane = &self->lanes [index];
        if (stored [index] == 0)
            continue;
        zspool_handoff_send (zsock_resolve (lane->inlet), HANDOFF_STORED, NULL, stored [index]);
        if (!lane->async)
            zspool_handoff_send (zsock_resolve (lane->inlet), HANDOFF_TAKEN, NULL, stored [index]);
        for (size_t at = 0; lane->async && at < lane->outlets_count; at++)
            zspool_handoff_send (zsock_resolve (lane->outlets [at].pipe), HANDOFF_STORED, NULL, 0);
    }
}

//  Take in whether there was room, and tell the inlets.
static void
s_note_room (self_t *self, int full)
{
    if (!zspool_room_update (&self->room, full, s_now_ms (), self->store))
        return;
    for (size_t lane = 0; lane < self->lanes_count; lane++)
        zspool_handoff_send (zsock_resolve (self->lanes [lane].inlet), HANDOFF_FULL, NULL,
                             (uint64_t) -self->room.told);
}

//  Tell outlets what was dropped at the limit, before they get what was stored for it.
static void
s_note_dropped (self_t *self)
{
    for (size_t index = 0; index < self->lanes_count; index++) {
        zspool_writer_lane_t *lane = &self->lanes [index];
        uint64_t dropped_to = zspool_store_dropped_to (self->store, lane->spool);
        if (dropped_to == self->dropped_to [index])
            continue;
        s_look_up_lagged (self, lane);
        self->dropped_to [index] = dropped_to;
        for (size_t at = 0; at < lane->outlets_count; at++)
            zspool_handoff_send (zsock_resolve (lane->outlets [at].pipe), HANDOFF_DROPPED, NULL, dropped_to);
    }
}

//  The lane whose spool this is; lanes_count: there is none
static size_t
s_lane_of (const self_t *self, uint32_t spool)
{
    size_t lane = 0;
    while (lane < self->lanes_count && self->lanes [lane].spool != spool)
        lane++;
    return lane;
}

//  A move was made, or refused. What it brought to a lane's spool is forwarded like anything that
//  is stored there.
static void
s_moved (self_t *self)
{
    zspool_move_t *move = self->commit.move;
    size_t lane = s_lane_of (self, move->to);
    if (move->rc == ZSPOOL_OK && move->block && lane < self->lanes_count) {
        zspool_pending_block_t moved = { .block = move->block, .lane = lane };
        zspool_store_numbering (self->store, move->to, &self->lanes [lane].next_sequence,
                                &self->lanes [lane].stored_us);
        self->ceilings [lane] = zspool_block_last_sequence (move->block) + ZSPOOL_CEILING_WINDOW;
        s_publish (self, &moved);
    }
    self->holding = false;
    zspool_mover_done (&self->mover);
}

//  Choose the move that the commit being prepared makes. One that is numbered in a lane needs the
//  lane's blocks to be all in this commit, and each the changes that came before; on a full disk
//  that may never be so.
static void
s_choose_move (self_t *self)
{
    zspool_commit_t *commit = &self->commit;
    zspool_move_t *move = zspool_mover_front (&self->mover);
    commit->move = move;
    if (!move)
        return;
    self->holding = move->block && s_lane_of (self, move->to) < self->lanes_count;
    bool whole = commit->changes_count == self->pending.changes_count
                 && (!self->holding || commit->blocks_count == self->pending.blocks_count);
    if (whole)
        return;
    if (self->room.full) {
        move->rc = self->room.full;
        s_moved (self);
    }
    commit->move = NULL;
}

//  A cursor was moved or deleted, or that was refused: its outlet goes on from where it stands now.
static void
s_sought (self_t *self)
{
    zspool_cursor_job_t *job = self->commit.cursor_job;
    zspool_writer_outlet_t *outlet = s_outlet_of (self, job->spool, job->cursor);
    if (job->rc == ZSPOOL_OK && !job->deletes && outlet
        && zspool_handoff_send (zsock_resolve (outlet->pipe), HANDOFF_SEEK, job->seek, 0) == 0)
        job->seek = NULL;
    zspool_seeker_done (&self->seeker);
}

static void
s_commit_ended (self_t *self)
{
    self->committing = false;
    self->commit_ended_ms = s_now_ms ();
    if (self->commit.rc) {
        s_fail (self, zspool_store_reason (self->store));
        return;
    }
    self->commits++;
    self->commit_us = self->commit.commit_us;
    s_note_room (self, self->commit.full == ZSPOOL_EFULL? 0: self->commit.full);
    s_note_dropped (self);
    self->trim_due = zspool_store_trim_is_due (self->store);
    s_measure (self, self->commit.blocks_stored);
    s_stored_blocks (self, self->commit.blocks_stored);
    zspool_pending_drop_changes (&self->pending, self->commit.changes_stored, self->commit_ended_ms);
    if (self->commit.move)
        s_moved (self);
    if (self->commit.cursor_job)
        s_sought (self);
    zspool_keeping_update (&self->keeping, self->commit_ended_ms);
    s_publish_ahead (self);
}

//  Take what waits into a commit, and run it here or on the committer.
static void
s_begin_commit (self_t *self)
{
    zspool_commit_t *commit = &self->commit;
    zspool_pending_fill (&self->pending, commit);
    s_choose_move (self);
    //  A move may have been prepared that acknowledges on the cursor.
    commit->cursor_job = self->mover.count == 0? zspool_seeker_front (&self->seeker): NULL;
    if (self->commit_ended_ms - self->readers_checked_ms > READERS_CHECK_MS) {
        zspool_store_check_readers (self->store);
        self->readers_checked_ms = self->commit_ended_ms;
    }
    for (size_t lane = 0; lane < self->lanes_count; lane++)
        if (self->stopping [lane] && !self->lanes [lane].drops_oldest)
            zspool_store_set_limit (self->store, self->lanes [lane].spool, 0, ZSPOOL_ON_FULL_PAUSE);
    self->committing = true;
    self->commit_began_ms = s_now_ms ();
    if (self->committer)
        zspool_handoff_send (zsock_resolve (self->committer), HANDOFF_BLOCK, commit, 0);
    else {
        zspool_commit_run (commit, self->store);
        s_commit_ended (self);
    }
}

//  When the next commit is to begin, in milliseconds of the clock; INT64_MAX when nothing waits for
//  one.
static int64_t
s_commit_due_ms (self_t *self)
{
    if (self->failed || self->committing)
        return INT64_MAX;
    if (self->mover.count > 0 || self->seeker.count > 0)
        return 0;
    int64_t due_ms = zspool_pending_due_ms (&self->pending, &self->room, self->trim_due,
                                            self->commit_ended_ms);
    int64_t aged_ms = zspool_keeping_due_ms (&self->keeping, self->commit_ended_ms);
    return aged_ms < due_ms? aged_ms: due_ms;
}

//  ------------------------------------------------------------------------------------------------
//  Handlers

//  Number a block of a lane's inlet and let it wait for its commit.
static void
s_accept_block (self_t *self, size_t lane_index, zspool_block_t *block, int64_t handed_us)
{
    if (self->failed || self->pending.blocks_count == self->pending.blocks_max) {
        assert (self->failed);
        zspool_block_destroy (&block);
        return;
    }
    zspool_writer_lane_t *lane = &self->lanes [lane_index];
    int64_t now_us = zspool_now_us ();
    if (now_us > lane->stored_us)
        lane->stored_us = now_us;
    zspool_block_stamp (block, lane->next_sequence, lane->stored_us, self->incarnation);
    lane->next_sequence = zspool_block_last_sequence (block) + 1;
    zspool_pending_block_t *waiting = zspool_pending_add_block (&self->pending);
    waiting->block = block;
    waiting->lane = lane_index;
    waiting->spool = lane->spool;
    waiting->async = lane->async;
    //  Half the interval is for the commit itself.
    waiting->due_ms = s_now_ms () + (lane->async? lane->commit_interval_ms / 2: 0);
    waiting->handed_us = handed_us;
    if (!lane->async)
        return;
    if (zspool_block_last_sequence (block) <= self->ceilings [lane_index])
        s_publish (self, waiting);
    zspool_handoff_send (zsock_resolve (lane->inlet), HANDOFF_TAKEN, NULL, 1);
}

//  Somebody waits for what an inlet has handed over.
static void
s_flush_lane (self_t *self, size_t lane)
{
    for (size_t index = 0; index < self->pending.blocks_count; index++)
        if (zspool_pending_at (&self->pending, index)->lane == lane)
            zspool_pending_at (&self->pending, index)->urgent = true;
}

static void
s_handle_inlet (self_t *self, size_t lane, void *socket)
{
    zspool_handoff_t handoff;
    while (zspool_handoff_recv (socket, &handoff) == 0)
        if (handoff.kind == HANDOFF_BLOCK)
            s_accept_block (self, lane, (zspool_block_t *) handoff.pointer, (int64_t) handoff.number);
        else if (handoff.kind == HANDOFF_FLUSH)
            s_flush_lane (self, lane);
        else if (handoff.kind == HANDOFF_STOP)
            self->stopping [lane] = true;
}

//  Keep a cursor's change for the next commit.
static void
s_accept_change (self_t *self, zspool_cursor_change_t *change)
{
    if (self->failed) {
        free (change);
        return;
    }
    //  The commit under way has the first of them in its hands.
    size_t taken = self->committing? self->commit.changes_count: 0;
    zspool_pending_add_change (&self->pending, change, taken, s_now_ms ());
    if (self->room.full)
        self->pending.changes_since_ms = 0; //  what is acknowledged may make room
}

static void
s_accept_burial (self_t *self, void *outlet, zspool_move_t *move)
{
    if (self->failed)
        zspool_move_destroy (&move);
    else
        zspool_mover_bury (&self->mover, outlet, move);
}

static void
s_handle_outlet (self_t *self, void *socket)
{
    zspool_handoff_t handoff;
    while (self->pending.changes_count < ZSPOOL_PENDING_CHANGES_MAX
           && zspool_handoff_recv (socket, &handoff) == 0) {
        if (handoff.kind == HANDOFF_CHANGE)
            s_accept_change (self, (zspool_cursor_change_t *) handoff.pointer);
        else if (handoff.kind == HANDOFF_BURY)
            s_accept_burial (self, socket, (zspool_move_t *) handoff.pointer);
        else
            s_fail (self, "reading the store failed");
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
s_reply_status (self_t *self, uint64_t number)
{
    zmsg_t *status = zspool_reply_new (number, ZSPOOL_OK);
    bool stalled = self->committing && s_now_ms () - self->commit_began_ms > STALLED_MS;
    zmsg_addstr (status, "state");
    zmsg_addstr (status, self->failed? "failed": stalled? "stalled": self->room.told? "full": "running");
    zmsg_addstr (status, "store/full");
    zmsg_addstr (status, zspool_room_status (&self->room));
    zspool_reply_add (status, "store/last_sequence", self->lanes [0].next_sequence - 1);
    zspool_reply_add (status, "store/commits", self->commits);
    zspool_reply_add (status, "store/commit_us", (uint64_t) self->commit_us);
    zspool_reply_add (status, "store/waiting", self->pending.blocks_count);
    zspool_keeping_status (&self->keeping, self->committing, status);
    int64_t process;
    zspool_reply_add (status, "store/oldest_reader_commits",
                      zspool_store_oldest_reader (self->store, &process));
    for (size_t lane = 0; lane < self->lanes_count; lane++)
        s_add_lagged (&self->lanes [lane], status);
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
s_accept_request (self_t *self, uint64_t number, bool requeue, zmsg_t *arguments)
{
    zspool_mover_ask (&self->mover, number, requeue, arguments);
    if (self->failed)
        zspool_mover_fail (&self->mover);
}

//  A cursor is to be moved, or deleted.
static void
s_accept_seek (self_t *self, uint64_t number, bool deletes, zmsg_t *arguments)
{
    zspool_seeker_ask (&self->seeker, number, deletes, arguments);
    if (self->failed)
        zspool_seeker_fail (&self->seeker);
}

static void
s_handle_pipe (self_t *self)
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
s_handle_committer (self_t *self)
{
    zspool_handoff_t handoff;
    if (zspool_handoff_recv (zsock_resolve (self->committer), &handoff) == 0)
        s_commit_ended (self);
}

//  Look at every socket that has something.
static void
s_serve (self_t *self)
{
    if (self->items [1].revents && self->committer)
        s_handle_committer (self);
    size_t at = 2;
    for (size_t lane = 0; lane < self->lanes_count; lane++) {
        if (self->items [at].revents && !self->holding)
            s_handle_inlet (self, lane, self->items [at].socket);
        at++;
        for (size_t index = 0; index < self->lanes [lane].outlets_count; index++, at++)
            if (self->items [at].revents)
                s_handle_outlet (self, self->items [at].socket);
    }
    if (self->items [0].revents)
        s_handle_pipe (self);
}

//  Do not wake for outlets while there is no room for what they have to say, nor for inlets while a
//  move is to be numbered first.
static void
s_mask_items (self_t *self)
{
    size_t at = 2;
    for (size_t lane = 0; lane < self->lanes_count; lane++) {
        self->items [at++].events = self->holding? 0: ZMQ_POLLIN;
        for (size_t index = 0; index < self->lanes [lane].outlets_count; index++)
            self->items [at++].events =
                self->pending.changes_count < ZSPOOL_PENDING_CHANGES_MAX? ZMQ_POLLIN: 0;
    }
}

//  Wait for something to do, at most until the next commit is due.
static void
s_wait (self_t *self)
{
    int64_t due_ms = s_commit_due_ms (self);
    if (!self->committing && zspool_room_due_ms (&self->room) < due_ms)
        due_ms = zspool_room_due_ms (&self->room);
    long timeout_ms = -1;
    if (due_ms != INT64_MAX) {
        int64_t left_ms = due_ms - s_now_ms ();
        timeout_ms = left_ms > 0? (long) left_ms: 0;
    }
    s_mask_items (self);
    if (zmq_poll (self->items, (int) self->items_count, timeout_ms) < 0 && zmq_errno () == ETERM)
        self->terminated = true;
}

//  Commit what is left: device and actors have stopped by now.
static void
s_finish (self_t *self)
{
    if (self->committing && self->committer) {
        zspool_handoff_t handoff;
        void *socket = zsock_resolve (self->committer);
        while (zmq_recv (socket, &handoff, sizeof handoff, 0) < 0 && zmq_errno () == EINTR)
            ;
        zspool_tsan_acquire (handoff.pointer);
        s_commit_ended (self);
    }
    zactor_destroy (&self->committer);
    size_t before = SIZE_MAX, left = self->pending.blocks_count + self->pending.changes_count;
    while (!self->failed && !self->room.full && left > 0 && left < before) {
        before = left;
        s_begin_commit (self);
        left = self->pending.blocks_count + self->pending.changes_count;
    }
    zspool_mover_fail (&self->mover);
    zspool_seeker_fail (&self->seeker);
    //  What was forwarded ahead of the store, and finds no room there, keeps its numbers.
    if (self->pending.blocks_count > 0)
        zspool_store_keep_ceilings (self->store);
}

static void
s_writer (zsock_t *pipe, void *args)
{
    self_t *self = (self_t *) args;
    self->pipe = self->mover.pipe = self->seeker.pipe = pipe;
    s_list_items (self);
    pthread_setname_np (pthread_self (), "zspool-writer");
    zsock_signal (pipe, 0);
    while (!self->terminated) {
        s_wait (self);
        s_serve (self);
        if (!self->committing && zspool_room_due_ms (&self->room) <= s_now_ms ())
            s_note_room (self, 0);
        if (s_commit_due_ms (self) <= s_now_ms ())
            s_begin_commit (self);
    }
    s_finish (self);
    s_self_destroy (&self);
}

zactor_t *
zspool_writer_new (zspool_writer_args_t *args)
{
    assert (args->lanes_count > 0 && args->lanes_count <= LANES_MAX);
    self_t *self = s_self_new (args);
    if (!self)
        return NULL;
    zactor_t *actor = zactor_new (s_writer, self);
    if (!actor) {
        zactor_destroy (&self->committer);
        zspool_pending_destroy (&self->pending);
        free (self->items);
        free (self);
    }
    return actor;
}
