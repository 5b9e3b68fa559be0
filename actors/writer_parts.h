//  writer_parts.h - the state of a writer, and the files it is cut into
//
//  SPDX-License-Identifier: MPL-2.0
//
//  writer.c has the actors, and accepts what is to be stored and done; writer_commits.c takes that into
//  commits, and hands on what comes of them. All run on the writer's thread, but for a commit itself,
//  which may run on the committer's.

#ifndef ZSPOOL_WRITER_PARTS_H_INCLUDED
#define ZSPOOL_WRITER_PARTS_H_INCLUDED

#include "histogram.h"
#include "keeping.h"
#include "lanes.h"
#include "mover.h"
#include "rate.h"
#include "seeker.h"
#include "writer.h"

typedef struct {
    zsock_t *pipe;                  //  commands
    zspool_store_t *store;
    zactor_t *committer;            //  runs commits; NULL: we do
    bool committing;                //  the committer has the commit
    bool terminated;
    zspool_room_t room;             //  whether the last commit had room
    bool failed;
    zspool_lanes_t lanes;
    zspool_spool_defaults_t defaults; //  of spools that the service opens
    zspool_store_job_t *jobs;       //  what it wants done, in the order it came, with what is under way
    zspool_store_job_t **jobs_end;
    size_t jobs_count;
    size_t batches_count;           //  of those that wait
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
    zmq_pollitem_t *items;          //  pipe, committer, service, then each lane's inlet and outlets
    size_t items_count;
    char reason [ZSPOOL_REASON_MAX];
} zspool_writer_t;

//  writer.c

//  Running or full -> failed
void
    zspool_writer_fail (zspool_writer_t *self, const char *reason);

//  writer_commits.c

//  Give a batch back to the service, with its result.
void
    zspool_writer_give_back (zspool_writer_t *self, zspool_pending_unit_t *unit, int rc);
//  Take in whether there was room, and tell the inlets.
void
    zspool_writer_note_room (zspool_writer_t *self, int full);
//  When the next commit is to begin, in milliseconds of the clock; INT64_MAX when nothing waits for
//  one.
int64_t
    zspool_writer_commit_due_ms (zspool_writer_t *self);
//  Take what waits into a commit, and run it here or on the committer.
void
    zspool_writer_begin_commit (zspool_writer_t *self);
//  The commit has ended.
void
    zspool_writer_commit_ended (zspool_writer_t *self);

#endif
