//  commit.h - one group commit: blocks, batches and cursor changes of all devices on a store
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_COMMIT_H_INCLUDED
#define ZSPOOL_COMMIT_H_INCLUDED

#include "batch.h"
#include "job.h"
#include "move.h"
#include "seek.h"

//  Limits of one commit: they bound its time and its memory
#define ZSPOOL_COMMIT_UNITS_MAX 128
#define ZSPOOL_COMMIT_BLOCKS_MAX 128
#define ZSPOOL_COMMIT_BYTES_MAX (8 * 1024 * 1024)
#define ZSPOOL_COMMIT_CHANGES_MAX 256
#define ZSPOOL_COMMIT_JOBS_MAX 256
//  Most blocks that are dropped for one that is appended
#define ZSPOOL_COMMIT_DROPS_MAX 1024

//  What is stored as a whole or not: a block of an inlet, or a batch of the service
typedef struct {
    const zspool_batch_t *batch;  //  not ours; NULL: it is a block
    zspool_batch_block_t block;   //  stamped; not ours
    int rc;                       //  result: ZSPOOL_OK, it is durable; ENOSPC, on the disk, or ELIMIT, under a
                                  //  spool's limit, or EFULL: not now, for want of room, or because of one
                                  //  before it; ESTALE: a change of the batch is of another generation
} zspool_commit_unit_t;

//  What to commit, and what came of it
typedef struct {
    size_t units_count;
    zspool_commit_unit_t units [ZSPOOL_COMMIT_UNITS_MAX];
    size_t changes_count;
    zspool_cursor_change_t *changes [ZSPOOL_COMMIT_CHANGES_MAX]; //  not ours
    zspool_move_t *move;     //  or NULL; not ours. Has a result of its own
    zspool_cursor_job_t *cursor_job; //  or NULL; likewise
    size_t jobs_count;
    zspool_store_job_t *jobs [ZSPOOL_COMMIT_JOBS_MAX]; //  likewise
    int rc;                  //  result: ZSPOOL_OK, or why nothing was committed
    int full;                //  result: the first reason why a unit was not stored for want of room; 0: all were
    size_t changes_stored;   //  result: the first so many are durable as a whole
    int64_t commit_us;       //  result: how long it took, microseconds
} zspool_commit_t;

//  Commit as much as there is room for: units in their order, and what the changes say of messages
//  that are stored by then. A full disk stops all that come behind; one spool's limit only those
//  that share a spool or a producer with who waits for it. At a spool's limit what the changes
//  acknowledge makes room first. The move comes after that, and only when all the rest found room, or
//  it needs none there; it may be refused without harm to the rest. A cursor is moved or deleted
//  behind all that, so that changes which came before are of an older generation; jobs come last. On
//  any failure but want of room nothing is committed, and rc says why.
void
    zspool_commit_run (zspool_commit_t *self, zspool_store_t *store);

#endif
