//  intake_parts.h - the state of an intake, and the files it is cut into
//
//  SPDX-License-Identifier: MPL-2.0
//
//  intake.c takes in what is put, and takes turns; intake_lines.c knows producers, intake_loads.c what is
//  being filled for the writer, intake_txns.c transactions. All run on the service's thread.

#ifndef ZSPOOL_INTAKE_PARTS_H_INCLUDED
#define ZSPOOL_INTAKE_PARTS_H_INCLUDED

#include "intake.h"
#include "store.h"

//  What has been under way for so long waits for room: others need not wait for it
#define ZSPOOL_INTAKE_STUCK_MS 20

//  Where a line has got to with a load
typedef struct {
    zspool_line_t *line;
    uint64_t last;
} zspool_reach_t;

//  A transaction in a load
typedef struct {
    uint64_t session;          //  who is to be told
    uint32_t request;
    zspool_line_t *line;
    uint64_t number;
} zspool_intake_txn_t;

//  What is being filled, or under way
typedef struct zspool_load zspool_load_t;
struct zspool_load {
    zspool_batch_t *batch;
    size_t bytes;              //  of records
    uint64_t messages;
    size_t reaches_count;
    zspool_reach_t reaches [ZSPOOL_BATCH_MARKS_MAX];
    zspool_intake_txn_t *txns;             //  the load of transactions: as many as reaches at most
    size_t txns_count;
    size_t txns_max;
    zspool_group_t *groups [ZSPOOL_BATCH_CHANGES_MAX]; //  on which they acknowledge
    size_t groups_count;
    int64_t handed_ms;         //  under way: since then
    zspool_load_t *next;
};

struct zspool_intake {
    zspool_intake_args_t args;
    zspool_block_pool_t *pool;
    zspool_line_t *lines;
    size_t lines_used;         //  by sessions
    uint32_t unnamed;          //  lines without a name, so far
    zspool_line_t *touched;    //  lines to be told what was cached
    bool some_held;            //  lines
    zspool_load_t *filling;         //  plain
    zspool_load_t *txns;            //  of transactions
    zspool_load_t *under_way;
    size_t under_way_count;
    size_t under_way_bytes;
    size_t filling_bytes;
    int64_t handed_ms;         //  when something was handed over last
    zspool_intake_info_t info;
};

//  intake_lines.c

void
    zspool_intake_unref_line (zspool_intake_t *self, zspool_line_t *line);
//  Answer a line's PRODUCE.
void
    zspool_intake_tell_producing (zspool_intake_t *self, zspool_line_t *line);
//  Tell a line's producer how far it has got.
void
    zspool_intake_confirm (zspool_intake_t *self, zspool_line_t *line, bool resume);
//  The same at the next turn, when there is something to tell.
void
    zspool_intake_touch (zspool_intake_t *self, zspool_line_t *line);
//  Do that.
void
    zspool_intake_tell_touched (zspool_intake_t *self);
//  Let a line's producer wait: what comes from its number `taken` + 1 on was not taken.
void
    zspool_intake_hold (zspool_intake_t *self, zspool_line_t *line);
//  There is room again: those who were told to wait may go on, when what they had sent before they were
//  told has come, and was dropped. Gives when to look again; INT64_MAX: nobody waits.
int64_t
    zspool_intake_resume (zspool_intake_t *self, int64_t now_ms);

//  intake_loads.c

//  An empty load, with a batch. NULL: memory is out.
zspool_load_t *
    zspool_load_new (void);
void
    zspool_intake_destroy_load (zspool_intake_t *self, zspool_load_t **load_p);
//  Destroy a list of them.
void
    zspool_intake_destroy_loads (zspool_intake_t *self, zspool_load_t *load);
bool
    zspool_load_has_spool (const zspool_load_t *self, uint32_t spool);
//  Add a line to a load. EFULL.
int
    zspool_load_add_reach (zspool_load_t *self, zspool_line_t *line, uint64_t last);
//  The same for a plain load, where a line is once.
int
    zspool_load_note_reach (zspool_load_t *self, zspool_line_t *line, uint64_t last);
//  The load is not filled any more.
void
    zspool_load_leave_lines (zspool_load_t *self);
//  The block of a load that is being filled for a spool, or NULL
zspool_block_t *
    zspool_load_open_block (const zspool_load_t *self, uint32_t spool);
//  Begin a block for a spool, for at least so many bytes: one of the pool, or, of a transaction, a smaller
//  one. NULL: there is no room.
zspool_block_t *
    zspool_intake_begin_block (zspool_intake_t *self, zspool_load_t *load, uint32_t spool, size_t bytes, bool pooled);
//  The plain load that takes what a line puts into a spool: loads that have the one or the other
//  become one. NULL: there is no room for now.
zspool_load_t *
    zspool_intake_load_for (zspool_intake_t *self, const zspool_line_t *line, uint32_t spool);
//  Hand over what is worth it.
void
    zspool_intake_hand_over_due (zspool_intake_t *self, bool all, int64_t now_ms);

//  intake_txns.c

//  Answer the transactions of a load that has ended.
void
    zspool_intake_end_txns (zspool_intake_t *self, const zspool_load_t *load, int rc);

#endif
