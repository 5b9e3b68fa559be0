//  dead.c - dead letters: looking at them, putting them back, giving them up
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The dead letters of the spool NAME are the messages of NAME.dead that its cursor
//  ZSPOOL_DEAD_CURSOR has not acknowledged. Thread: the store's owner.

#include "dead.h"
#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct zspool_dead {
    zspool_store_t *store;
    char name [ZSPOOL_NAME_MAX + 1]; //  whose dead letters these are
    uint32_t spool;                  //  where they lie
    uint32_t cursor;                 //  0: there is none, nothing is acknowledged
    zspool_cursor_t *tracker;        //  of the cursor; NULL without
    zspool_reader_t *reader;
    zspool_block_t *block;           //  of the last letter given, or NULL
    zspool_record_t record;          //  that letter
    uint64_t next;                   //  letters before this sequence are not wanted
};

int
zspool_dead_name (char dead [ZSPOOL_NAME_MAX + 1], const char *name)
{
    if (!*name || strlen (name) + strlen (ZSPOOL_DEAD_SUFFIX) > ZSPOOL_NAME_MAX)
        return ZSPOOL_EINVAL;
    strcpy (dead, name);
    strcat (dead, ZSPOOL_DEAD_SUFFIX);
    return ZSPOOL_OK;
}

int
zspool_dead_prepare (zspool_store_t *store, const char *name, uint32_t *spool)
{
    char dead [ZSPOOL_NAME_MAX + 1];
    uint32_t cursor;
    int rc = zspool_dead_name (dead, name);
    if (rc)
        return zspool_store_fail (store, rc, "%s: too long a name for a spool with dead letters", name);
    rc = zspool_store_spool (store, dead, spool);
    return rc? rc: zspool_store_cursor (store, *spool, ZSPOOL_DEAD_CURSOR, ZSPOOL_START_FIRST, &cursor);
}

//  Find spool and cursor, and what was acknowledged.
static int
s_open (zspool_dead_t *self, const char *name)
{
    char dead [ZSPOOL_NAME_MAX + 1];
    int rc = zspool_dead_name (dead, name);
    if (rc)
        return zspool_store_fail (self->store, rc, "not a name for a spool with dead letters: %s", name);
    strcpy (self->name, name);
    rc = zspool_store_spool (self->store, dead, &self->spool);
    if (rc)
        return rc;
    if (zspool_store_cursor (self->store, self->spool, ZSPOOL_DEAD_CURSOR, ZSPOOL_START_FIRST, &self->cursor))
        self->cursor = 0;
    self->reader = zspool_reader_new (self->store, self->spool);
    if (!self->reader)
        return zspool_store_fail_code (self->store, ZSPOOL_ENOMEM);
    rc = zspool_dead_seek (self, 1);
    return rc? zspool_store_fail_code (self->store, rc): ZSPOOL_OK;
}

zspool_dead_t *
zspool_dead_new (zspool_store_t *store, const char *name)
{
    if (!store->engine || store->in_txn || !name) {
        zspool_store_fail (store, ZSPOOL_EINVAL, "%s: cannot look for dead letters here", store->directory);
        return NULL;
    }
    zspool_dead_t *self = (zspool_dead_t *) calloc (1, sizeof *self);
    if (!self) {
        zspool_store_fail_code (store, ZSPOOL_ENOMEM);
        return NULL;
    }
    self->store = store;
    if (s_open (self, name))
        zspool_dead_destroy (&self);
    return self;
}

void
zspool_dead_destroy (zspool_dead_t **self_p)
{
    zspool_dead_t *self = *self_p;
    if (!self)
        return;
    zspool_block_destroy (&self->block);
    zspool_reader_destroy (&self->reader);
    zspool_cursor_destroy (&self->tracker);
    free (self);
    *self_p = NULL;
}

int
zspool_dead_seek (zspool_dead_t *self, uint64_t sequence)
{
    zspool_cursor_t *tracker = NULL;
    int rc = self->cursor? zspool_store_track_cursor (self->store, self->spool, self->cursor, &tracker):
                           ZSPOOL_OK;
    if (rc)
        return rc;
    zspool_cursor_destroy (&self->tracker);
    self->tracker = tracker;
    zspool_block_destroy (&self->block);
    self->next = sequence;
    zspool_reader_seek (self->reader, sequence);
    return ZSPOOL_OK;
}

//  Whether the record at hand is a letter that is wanted
static bool
s_is_wanted (const zspool_dead_t *self)
{
    uint64_t sequence = self->record.sequence;
    return sequence >= self->next && !(self->tracker && zspool_cursor_acked (self->tracker, sequence));
}

//  Have the next letter at hand.
static int
s_next (zspool_dead_t *self)
{
    for (;;) {
        while (self->block && zspool_block_next (self->block, &self->record))
            if (s_is_wanted (self))
                return ZSPOOL_OK;
        zspool_block_destroy (&self->block);
        int rc = zspool_reader_next (self->reader, &self->block);
        if (rc)
            return rc == ZSPOOL_EVERSION? ZSPOOL_ECORRUPT: rc;
        zspool_block_rewind (self->block, &self->record);
    }
}

int
zspool_dead_next (zspool_dead_t *self, zspool_letter_t *letter)
{
    int rc = s_next (self);
    if (rc)
        return rc;
    memset (&letter->history, 0, sizeof letter->history);
    //  One that somebody else put there, or a newer version, has no history that we know.
    if (zspool_history_read (&letter->history, &self->record))
        strcpy (letter->history.origin, self->name);
    letter->sequence = self->record.sequence;
    letter->record = self->record;
    return ZSPOOL_OK;
}

//  Bytes that a letter takes in a block
static size_t
s_letter_bytes (const zspool_letter_t *letter)
{
    return zspool_block_record_bytes (letter->record.frames, letter->record.data_bytes)
           + ZSPOOL_PROPERTIES_BYTES_MAX;
}

int
zspool_dead_gather (zspool_dead_t *self, uint64_t first, uint64_t last, bool requeue,
                    zspool_move_t **move_p, bool *damaged)
{
    zspool_move_t *move = NULL;
    zspool_letter_t letter;
    int rc = self->cursor? zspool_dead_seek (self, first): ZSPOOL_ENOENT;
    while (rc == ZSPOOL_OK) {
        rc = zspool_dead_next (self, &letter);
        if (rc == ZSPOOL_ECORRUPT) {
            *damaged = true;
            rc = ZSPOOL_OK;
            continue;
        }
        if (rc || letter.sequence > last)
            break;
        size_t bytes = requeue? s_letter_bytes (&letter): 0;
        if (!move)
            move = zspool_move_new (bytes);
        if (!move)
            rc = ZSPOOL_ENOMEM;
        else if (!zspool_move_has_room (move, bytes))
            break;
        else
            rc = zspool_move_add (move, &letter.record, &letter.history);
    }
    if (rc == ZSPOOL_OK || rc == ZSPOOL_ENOENT)
        rc = move? ZSPOOL_OK: ZSPOOL_ENOENT;
    if (rc == ZSPOOL_OK && move->block)
        rc = zspool_block_seal (move->block);
    if (rc) {
        zspool_move_destroy (&move);
        return rc;
    }
    move->from = self->spool;
    move->cursor = self->cursor;
    *move_p = move;
    return ZSPOOL_OK;
}

//  Make a move in a transaction of its own.
static int
s_commit (zspool_dead_t *self, zspool_move_t *move)
{
    int rc = zspool_store_begin (self->store);
    if (rc)
        return rc;
    if (move->block)
        rc = zspool_store_spool (self->store, self->name, &move->to);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_move (self->store, move);
    if (rc == ZSPOOL_OK)
        return zspool_store_commit (self->store);
    zspool_store_rollback (self->store);
    return rc;
}

//  Move all letters first..last, a move at a time.
static int
s_move_all (zspool_dead_t *self, uint64_t first, uint64_t last, bool requeue, uint64_t *count)
{
    uint64_t moved = 0;
    bool damaged = false;
    int rc = ZSPOOL_OK;
    if (self->store->in_txn || self->store->mode == ZSPOOL_READ || first == 0 || first > last)
        return self->store->mode == ZSPOOL_READ? ZSPOOL_EREADONLY: ZSPOOL_EINVAL;
    while (rc == ZSPOOL_OK) {
        zspool_move_t *move = NULL;
        rc = zspool_dead_gather (self, first, last, requeue, &move, &damaged);
        if (rc == ZSPOOL_OK)
            rc = s_commit (self, move);
        if (rc == ZSPOOL_OK) {
            moved += move->count;
            first = move->sequences [move->count - 1] + 1;
        }
        zspool_move_destroy (&move);
    }
    if (count)
        *count = moved;
    if (rc == ZSPOOL_ENOENT && moved > 0)
        rc = ZSPOOL_OK;
    return rc == ZSPOOL_OK && damaged? ZSPOOL_ECORRUPT: rc;
}

int
zspool_dead_requeue (zspool_dead_t *self, uint64_t first, uint64_t last, uint64_t *count)
{
    return s_move_all (self, first, last, true, count);
}

int
zspool_dead_drop (zspool_dead_t *self, uint64_t first, uint64_t last, uint64_t *count)
{
    return s_move_all (self, first, last, false, count);
}
