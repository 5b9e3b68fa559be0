//  store_move.c - moves of messages from one spool to another
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The cursor of a move may be one whose tracker lives with an outlet, which hands in what it knows
//  now and then. So what is acknowledged here is added to what is stored of it, with a tracker made
//  for the occasion; whoever holds the other one must not hand in a change meanwhile that does not
//  know of it.
//
//  Thread: the store's owner.

#include "history.h"
#include "move.h"

#include <stdlib.h>

zspool_move_t *
zspool_move_new (size_t block_bytes)
{
    zspool_move_t *self = (zspool_move_t *) calloc (1, sizeof *self);
    if (!self || block_bytes == 0)
        return self;
    self->block = zspool_block_new (block_bytes > ZSPOOL_MOVE_BYTES_MAX? block_bytes: ZSPOOL_MOVE_BYTES_MAX);
    if (!self->block)
        zspool_move_destroy (&self);
    return self;
}

void
zspool_move_destroy (zspool_move_t **self_p)
{
    zspool_move_t *self = *self_p;
    if (!self)
        return;
    zspool_block_destroy (&self->block);
    free (self);
    *self_p = NULL;
}

bool
zspool_move_has_room (const zspool_move_t *self, size_t record_bytes)
{
    return self->count < ZSPOOL_MOVE_MESSAGES_MAX
           && (!self->block
               || record_bytes <= zspool_block_capacity (self->block) - zspool_block_used (self->block));
}

//  Copy a record, with other properties, to the end of a block.
static int
s_copy_record (zspool_block_t *block, const zspool_record_t *record, const uint8_t *properties,
               size_t properties_bytes)
{
    zspool_record_t from = *record;
    zspool_frame_t one, *frames = &one;
    if (from.frames > 1)
        frames = (zspool_frame_t *) malloc (from.frames * sizeof *frames);
    if (!frames)
        return ZSPOOL_ENOMEM;
    for (size_t index = 0; index < from.frames; index++)
        zspool_record_next_frame (&from, &frames [index]);
    int rc = zspool_block_append_with (block, frames, from.frames, properties, properties_bytes,
                                       zspool_now_us ());
    if (frames != &one)
        free (frames);
    return rc;
}

int
zspool_move_add (zspool_move_t *self, const zspool_record_t *record, const zspool_history_t *history)
{
    int rc = ZSPOOL_OK;
    if (self->block) {
        uint8_t properties [ZSPOOL_PROPERTIES_BYTES_MAX];
        size_t size = zspool_history_write (history, properties);
        rc = s_copy_record (self->block, record, properties, size);
    }
    if (rc == ZSPOOL_OK)
        self->sequences [self->count++] = record->sequence;
    return rc;
}

//  Acknowledge the messages on the tracker of a copy of the cursor's state.
static int
s_ack (zspool_store_t *self, const zspool_move_t *move, zspool_spool_state_t *spool,
       zspool_cursor_state_t *copy)
{
    int rc = ZSPOOL_OK;
    size_t index = 0;
    while (rc == ZSPOOL_OK && index < move->count) {
        size_t end = index + 1;
        while (end < move->count && move->sequences [end] == move->sequences [end - 1] + 1)
            end++;
        rc = zspool_store_ack_on (self, spool, copy, move->sequences [index], move->sequences [end - 1]);
        index = end;
    }
    return rc;
}

//  Append the move's block, if it has one.
static int
s_append (zspool_store_t *self, const zspool_move_t *move)
{
    if (!move->block)
        return ZSPOOL_OK;
    self->burying = move->is_burial;
    int rc = zspool_store_append (self, move->to, move->block);
    self->burying = false;
    return rc == ZSPOOL_ETOOBIG? ZSPOOL_ELIMIT: rc;
}

int
zspool_store_move (zspool_store_t *self, zspool_move_t *move)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, move->from);
    zspool_cursor_state_t *cursor = spool? zspool_store_find_cursor (spool, move->cursor): NULL;
    if (!zspool_store_is_in_txn (self) || !cursor || move->count == 0
        || (move->block && !zspool_store_find_spool (self, move->to)))
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: cannot move this", self->directory);
    int rc = zspool_store_write_acked (self, spool, cursor);
    if (rc)
        return rc;
    zspool_cursor_state_t copy = *cursor;
    copy.tracker = NULL;
    rc = s_ack (self, move, spool, &copy);
    if (rc == ZSPOOL_OK)
        rc = s_append (self, move);
    if (rc == ZSPOOL_OK) {
        rc = zspool_store_write_acked (self, spool, &copy);
        if (rc == ZSPOOL_ENOMEM)
            rc = ZSPOOL_EIO; //  the block has been appended: too late to refuse
        zspool_cursor_destroy (&cursor->tracker);
        cursor->now = copy.now;
        cursor->changed = true;
    }
    zspool_cursor_destroy (&copy.tracker);
    return rc? zspool_store_fail_code (self, rc): ZSPOOL_OK;
}
