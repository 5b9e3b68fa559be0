//  commit.h - one group commit: blocks and cursor changes of all devices on a store
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_COMMIT_H_INCLUDED
#define ZSPOOL_COMMIT_H_INCLUDED

#include "move.h"
#include "seek.h"

//  Limits of one commit: they bound its time and its memory
#define ZSPOOL_COMMIT_BLOCKS_MAX 64
#define ZSPOOL_COMMIT_BYTES_MAX (8 * 1024 * 1024)
#define ZSPOOL_COMMIT_CHANGES_MAX 64
//  Most blocks that are dropped for one that is appended
#define ZSPOOL_COMMIT_DROPS_MAX 1024

//  What to commit, and what came of it
typedef struct {
    size_t blocks_count;
    zspool_block_t *blocks [ZSPOOL_COMMIT_BLOCKS_MAX];      //  stamped; not ours
    uint32_t spools [ZSPOOL_COMMIT_BLOCKS_MAX];             //  where each goes
    size_t changes_count;
    zspool_cursor_change_t *changes [ZSPOOL_COMMIT_CHANGES_MAX]; //  not ours
    zspool_move_t *move;     //  or NULL; not ours. Has a result of its own
    zspool_cursor_job_t *cursor_job; //  or NULL; likewise
    int rc;                  //  result: ZSPOOL_OK, or why nothing was committed
    int full;                //  result: fewer blocks were stored for want of room: ENOSPC on the disk,
                             //  ZSPOOL_ELIMIT under a spool's limit; ZSPOOL_EFULL: commit again; 0:
                             //  all were
    size_t blocks_stored;    //  result: the first so many are durable
    size_t changes_stored;   //  result: the first so many are durable as a whole
    int64_t commit_us;       //  result: how long it took, microseconds
} zspool_commit_t;

//  Commit as much as there is room for: the blocks from the first on, and what the changes say of
//  messages that are stored by then. At a spool's limit what they acknowledge makes room first. The
//  move comes last, and only when all the rest found room, or it needs none there; it may be
//  refused without harm to the rest. A cursor is moved or deleted behind all that, so that changes
//  which came before are of an older generation. On any failure but want of room nothing is committed, and rc
//  says why.
void
    zspool_commit_run (zspool_commit_t *self, zspool_store_t *store);

#endif
