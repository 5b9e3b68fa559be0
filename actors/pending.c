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
#define ASYNC_UNITS_MAX (ZSPOOL_WRITER_BLOCKS_MAX / 2) //  async: with so many waiting commit early

int
zspool_pending_init (zspool_pending_t *self, size_t units_max)
{
    memset (self, 0, sizeof *self);
    self->units = (zspool_pending_unit_t *) calloc (units_max, sizeof *self->units);
    self->units_max = units_max;
    return self->units? ZSPOOL_OK: ZSPOOL_ENOMEM;
}

void
zspool_pending_destroy (zspool_pending_t *self)
{
    for (size_t index = 0; index < self->units_count; index++) {
        zspool_block_destroy (&self->units [index].block);
        zspool_batch_destroy (&self->units [index].batch);
    }
    self->units_count = 0;
    zspool_pending_drop_changes (self, self->changes_count, 0);
    free (self->units);
    self->units = NULL;
}

zspool_pending_unit_t *
zspool_pending_add (zspool_pending_t *self)
{
    assert (self->units_count < self->units_max);
    zspool_pending_unit_t *added = &self->units [self->units_count++];
    memset (added, 0, sizeof *added);
    return added;
}

void
zspool_pending_close_up (zspool_pending_t *self, size_t count)
{
    size_t left = 0;
    for (size_t index = 0; index < self->units_count; index++)
        if (index >= count || self->units [index].block || self->units [index].batch)
            self->units [left++] = self->units [index];
    self->units_count = left;
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
    size_t bytes = 0, blocks = 0;
    commit->units_count = commit->changes_count = 0;
    while (commit->units_count < self->units_count && commit->units_count < ZSPOOL_COMMIT_UNITS_MAX
           && bytes < ZSPOOL_COMMIT_BYTES_MAX) {
        const zspool_pending_unit_t *waiting = &self->units [commit->units_count];
        blocks += waiting->batch? waiting->batch->blocks_count: 1;
        if (blocks > ZSPOOL_COMMIT_BLOCKS_MAX && commit->units_count > 0)
            break;
        bytes += waiting->bytes;
        zspool_commit_unit_t *unit = &commit->units [commit->units_count++];
        unit->batch = waiting->batch;
        unit->block = (zspool_batch_block_t){ waiting->block, waiting->spool };
    }
    for (; commit->changes_count < self->changes_count; commit->changes_count++)
        commit->changes [commit->changes_count] = self->changes [commit->changes_count];
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
    for (size_t index = 0; index < self->units_count; index++) {
        const zspool_pending_unit_t *unit = &self->units [index];
        bool waits = room->full == ZSPOOL_ENOSPC || (room->full && unit->waits);
        bytes += waits? 0: unit->bytes;
        int64_t unit_due_ms = unit->due_ms;
        if (unit->async && (!unit->published || unit->urgent))
            unit_due_ms = 0; //  held at the ceiling, or waited for
        if (waits)
            unit_due_ms = ended_ms + RETRY_MS;
        else if (bytes > ZSPOOL_COMMIT_BYTES_MAX / 2 || index == ASYNC_UNITS_MAX)
            unit_due_ms = 0;
        if (unit_due_ms < due_ms)
            due_ms = unit_due_ms;
    }
    return due_ms;
}
