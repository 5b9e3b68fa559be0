//  pending.h - what waits for a commit of the writer, and when one is due
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Blocks and batches, in the order they were numbered in, and changes of cursors, in the order they
//  came. Memory is bounded: by what inlets and the service may hand over, and by
//  ZSPOOL_PENDING_CHANGES_MAX.
//
//  Thread: the writer's.

#ifndef ZSPOOL_PENDING_H_INCLUDED
#define ZSPOOL_PENDING_H_INCLUDED

#include "commit.h"
#include "room.h"

//  Most cursor changes that wait; then outlets' pipes do
#define ZSPOOL_PENDING_CHANGES_MAX ZSPOOL_COMMIT_CHANGES_MAX

//  What is not durable yet: a block of an inlet, or a batch of the service
typedef struct {
    zspool_block_t *block;   //  NULL: it is a batch
    zspool_batch_t *batch;   //  NULL: it is a block
    size_t lane;             //  of a block
    uint32_t spool;          //  likewise
    bool waits;              //  the last commit had no room for it
    bool async;              //  outlets may have it before it is durable
    bool published;          //  they have it
    bool urgent;             //  async: commit it at once
    int64_t due_ms;          //  when its commit is due at the latest, by the monotonic clock
    int64_t handed_us;       //  when it was handed over, likewise
    size_t bytes;            //  of its blocks
} zspool_pending_unit_t;

typedef struct {
    zspool_pending_unit_t *units;   //  in the order they were numbered in
    size_t units_count;
    size_t units_max;
    zspool_cursor_change_t *changes [ZSPOOL_PENDING_CHANGES_MAX];
    size_t changes_count;
    int64_t changes_since_ms;       //  when the oldest of them came
} zspool_pending_t;

//  ENOMEM.
int
    zspool_pending_init (zspool_pending_t *self, size_t units_max);
//  Free all that waits.
void
    zspool_pending_destroy (zspool_pending_t *self);

//  Add a unit behind the others; there must be room. The caller fills in what it is told of it.
zspool_pending_unit_t *
    zspool_pending_add (zspool_pending_t *self);

//  Take out those of the first `count` units that have neither block nor batch any more.
void
    zspool_pending_close_up (zspool_pending_t *self, size_t count);

//  Add a cursor's change; there must be room. It replaces the last one of the same cursor where
//  that has nothing of its own, and is not one of the first `taken`, which a commit has in its
//  hands.
void
    zspool_pending_add_change (zspool_pending_t *self, zspool_cursor_change_t *change, size_t taken,
                               int64_t now_ms);

//  The first changes are stored: free them.
void
    zspool_pending_drop_changes (zspool_pending_t *self, size_t count, int64_t now_ms);

//  Put what waits into a commit, as much as one may have: all changes, always. It stays here until
//  it is dropped.
void
    zspool_pending_fill (const zspool_pending_t *self, zspool_commit_t *commit);

//  When the next commit is due, in milliseconds of the monotonic clock; INT64_MAX: nothing waits
//  for one. trim_due: acknowledged blocks are left to trim. ended_ms: when the last commit ended.
int64_t
    zspool_pending_due_ms (const zspool_pending_t *self, const zspool_room_t *room, bool trim_due,
                           int64_t ended_ms);

#endif
