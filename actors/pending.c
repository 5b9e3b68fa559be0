//  pending.c - what waits for a commit of the writer, and when one is due
//
//  SPDX-License-Identifier: MPL-2.0

#include "pending.h"
#include "writer.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_MS 100         //  what was full is tried again after this
#define CHANGES_WAIT_MS 60   //  longest that cursor changes wait for an append to ride on
#define TRIM_WAIT_MS 10      //  acknowledged blocks that are left over wait this long
#define ASYNC_BLOCKS_MAX (ZSPOOL_WRITER_BLOCKS_MAX / 2) //  async: with so many waiting commit early

int
zspool_pending_init (zspool_pending_t *self, size_t blocks_max)
{
    memset (self, 0, sizeof *self);
    self->blocks = (zspool_pending_block_t *) calloc (blocks_max, sizeof *self->blocks);
    self->blocks_max = blocks_max;
    return self->blocks? ZSPOOL_OK: ZSPOOL_ENOMEM;
}

void
zspool_pending_destroy (zspool_pending_t *self)
{
    while (self->blocks_count > 0)
        zspool_pending_drop_block (self);
    zspool_pending_drop_changes (self, self->changes_count, 0);
    free (self->blocks);
    self->blocks = NULL;
}

zspool_pending_block_t *
zspool_pending_add_block (zspool_pending_t *self)
{
    assert (self->blocks_count < self->blocks_max);
    zspool_pending_block_t *added = zspool_pending_at (self, self->blocks_count++);
    memset (added, 0, sizeof *added);
    return added;
}

void
zspool_pending_drop_block (zspool_pending_t *self)
{
    zspool_block_destroy (&zspool_pending_at (self, 0)->block);
    self->blocks_first = (self->blocks_first + 1) % self->blocks_max;
    self->blocks_count--;
}

static bool
s_is_of_same_cursor (const zspool_cursor_change_t *one, const zspool_cursor_change_t *other)
{
    return one->spool == other->spool && one->cursor == other->cursor
           && one->generation == other->generation;
}

void
zspool_pending_add_change (zspool_pending_t *self, zspool_cursor_change_t *change, size_t taken,
                           int64_t now_ms)
{
    assert (self->changes_count < ZSPOOL_PENDING_CHANGES_MAX);
    if (self->changes_count == 0)
        self->changes_since_ms = now_ms;
    size_t at = self->changes_count;
    while (at > taken && !s_is_of_same_cursor (self->changes [at - 1], change))
        at--;
    if (at > taken && self->changes [at - 1]->entries_count == 0) {
        free (self->changes [at - 1]);
        self->changes_count--;
        memmove (self->changes + at - 1, self->changes + at,
                 (self->changes_count - (at - 1)) * sizeof self->changes [0]);
    }
    self->changes [self->changes_count++] = change;
}

void
zspool_pending_drop_changes (zspool_pending_t *self, size_t count, int64_t now_ms)
{
    for (size_t index = 0; index < count; index++)
        free (self->changes [index]);
    self->changes_count -= count;
    memmove (self->changes, self->changes + count, self->changes_count * sizeof self->changes [0]);
    self->changes_since_ms = now_ms;
}

void
zspool_pending_fill (const zspool_pending_t *self, zspool_commit_t *commit)
{
    size_t bytes = 0;
    commit->blocks_count = commit->changes_count = 0;
    while (commit->blocks_count < self->blocks_count
           && commit->blocks_count < ZSPOOL_COMMIT_BLOCKS_MAX && bytes < ZSPOOL_COMMIT_BYTES_MAX) {
        zspool_pending_block_t *block = zspool_pending_at (self, commit->blocks_count);
        bytes += zspool_block_size (block->block);
        commit->blocks [commit->blocks_count] = block->block;
        commit->spools [commit->blocks_count++] = block->spool;
    }
    while (commit->changes_count < self->changes_count
           && commit->changes_count < ZSPOOL_COMMIT_CHANGES_MAX) {
        commit->changes [commit->changes_count] = self->changes [commit->changes_count];
        commit->changes_count++;
    }
}

int64_t
zspool_pending_due_ms (const zspool_pending_t *self, const zspool_room_t *room, bool trim_due,
                       int64_t ended_ms)
{
    int64_t due_ms = INT64_MAX;
    if (self->changes_count > 0)
        due_ms = self->changes_since_ms + CHANGES_WAIT_MS;
    if (room->full && due_ms < ended_ms + TRIM_WAIT_MS)
        due_ms = ended_ms + TRIM_WAIT_MS;
    if (trim_due && ended_ms + TRIM_WAIT_MS < due_ms)
        due_ms = ended_ms + TRIM_WAIT_MS;
    size_t bytes = 0;
    for (size_t index = 0; index < self->blocks_count; index++) {
        const zspool_pending_block_t *block = zspool_pending_at (self, index);
        bytes += zspool_block_size (block->block);
        int64_t block_due_ms = block->due_ms;
        if (block->async && (!block->published || block->urgent))
            block_due_ms = 0; //  held at the ceiling, or waited for
        if (room->full)
            block_due_ms = ended_ms + RETRY_MS;
        else if (bytes > ZSPOOL_COMMIT_BYTES_MAX / 2 || index == ASYNC_BLOCKS_MAX)
            block_due_ms = 0;
        if (block_due_ms < due_ms)
            due_ms = block_due_ms;
    }
    return due_ms;
}
