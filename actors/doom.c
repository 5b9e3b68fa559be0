//  doom.c - messages of a group that are to be moved to the dead letters, and are not yet
//
//  SPDX-License-Identifier: MPL-2.0

#include "doom.h"
#include "store.h"

#include <stdlib.h>
#include <string.h>

void
zspool_doom_destroy (zspool_doom_t *self)
{
    zspool_doom_forget (self, UINT64_MAX);
    free (self->list);
    zspool_burial_destroy (&self->burial);
}

int
zspool_doom_add (zspool_doom_t *self, uint64_t sequence, uint32_t reason, unsigned deliveries,
                 const char *text, size_t text_size)
{
    if (self->count == ZSPOOL_DOOMED_MAX)
        return ZSPOOL_ELIMIT;
    if (self->count == self->max) {
        size_t max = self->max? 2 * self->max: 64;
        zspool_doomed_t *list = (zspool_doomed_t *) realloc (self->list, max * sizeof *list);
        if (!list)
            return ZSPOOL_ENOMEM;
        self->list = list;
        self->max = max;
    }
    char *copy = text_size > 0? strndup (text, text_size): NULL;
    if (text_size > 0 && !copy)
        return ZSPOOL_ENOMEM;
    uint16_t count = deliveries < UINT16_MAX? (uint16_t) deliveries: UINT16_MAX;
    self->list [self->count++] = (zspool_doomed_t){ sequence, reason, count, copy };
    return ZSPOOL_OK;
}

bool
zspool_doom_is_ready (const zspool_doom_t *self, int64_t now_ms)
{
    return self->count > 0 && self->burial.to > 0 && !self->burial.under_way
           && !zspool_burial_rests (&self->burial, now_ms);
}

//  Find a message. OK; ESTALE: it is gone or damaged; EFULL, ENOMEM: it cannot be had now.
static int
s_find (zspool_shelf_t *shelf, uint64_t sequence, zspool_block_t **block_p, zspool_record_t *record)
{
    uint64_t next;
    zspool_block_t *block = NULL;
    int rc = zspool_shelf_block (shelf, sequence, NULL, &block, &next);
    if (rc)
        return rc == ZSPOOL_EFULL || rc == ZSPOOL_ENOMEM? rc: ZSPOOL_ESTALE;
    zspool_block_rewind (block, record);
    while (next == sequence && zspool_block_next (block, record))
        if (record->sequence == sequence) {
            *block_p = block;
            return ZSPOOL_OK;
        }
    zspool_block_destroy (&block);
    return ZSPOOL_ESTALE;
}

//  Add one message to the burial. EFULL: that is full, or the message cannot be had now.
static int
s_gather (zspool_doom_t *self, zspool_shelf_t *shelf, const zspool_doomed_t *doomed)
{
    zspool_block_t *block = NULL;
    zspool_record_t record;
    int rc = s_find (shelf, doomed->sequence, &block, &record);
    if (rc)
        return rc;
    rc = zspool_burial_reserve (&self->burial, &record);
    zspool_death_t death = {
        .sequence = doomed->sequence,
        .stored_us = zspool_block_stored_us (block),
        .died_us = zspool_now_us (),
        .deliveries = doomed->deliveries,
        .reason = doomed->reason,
    };
    if (rc == ZSPOOL_OK)
        rc = zspool_burial_add (&self->burial, &record, &death, doomed->text);
    zspool_block_destroy (&block);
    return rc;
}

static void
s_remove (zspool_doom_t *self, size_t at)
{
    free (self->list [at].text);
    self->count--;
    memmove (self->list + at, self->list + at + 1, (self->count - at) * sizeof *self->list);
}

int
zspool_doom_bury (zspool_doom_t *self, zspool_shelf_t *shelf, zspool_cursor_t *tracker,
                  zspool_leases_t *leases, void *writer)
{
    int rc = ZSPOOL_OK;
    self->taken = 0;
    while (rc == ZSPOOL_OK && self->taken < self->count && self->taken < ZSPOOL_MOVE_MESSAGES_MAX) {
        uint64_t sequence = self->list [self->taken].sequence;
        rc = s_gather (self, shelf, &self->list [self->taken]);
        if (rc == ZSPOOL_OK)
            self->taken++;
        else if (rc == ZSPOOL_ESTALE) {
            zspool_cursor_ack (tracker, sequence, sequence);
            zspool_leases_drop (leases, sequence, sequence, NULL, NULL);
            s_remove (self, self->taken);
            rc = ZSPOOL_OK;
        }
    }
    bool some = self->taken > 0;
    zspool_burial_hand_over (&self->burial, writer);
    if (!self->burial.under_way)
        self->taken = 0;
    return some || rc == ZSPOOL_OK? ZSPOOL_OK: rc;
}

void
zspool_doom_buried (zspool_doom_t *self, zspool_move_t *move, zspool_cursor_t *tracker,
                    zspool_leases_t *leases, int64_t now_ms)
{
    bool buried = move->rc == ZSPOOL_OK;
    for (size_t index = 0; buried && index < move->count; index++)
        zspool_leases_drop (leases, move->sequences [index], move->sequences [index], NULL, NULL);
    zspool_burial_end (&self->burial, move, tracker, now_ms);
    for (size_t left = buried? self->taken: 0; left > 0; left--)
        s_remove (self, left - 1);
    self->taken = 0;
}

void
zspool_doom_forget (zspool_doom_t *self, uint64_t to)
{
    for (size_t index = self->count; index > 0; index--)
        if (self->list [index - 1].sequence <= to) {
            s_remove (self, index - 1);
            self->taken -= index <= self->taken;
        }
}
