//  shelf.c - the blocks of one spool, for all groups of the service that read it
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Invariants
//  1. Live blocks are in order; between two of them there is nothing but a gap in the numbers.
//  2. What lies at or below dropped_to is looked for in the store; under `async` it may come there
//     later than it came here.

#include "shelf.h"

#include <stdio.h>
#include <string.h>

void
zspool_shelf_init (zspool_shelf_t *self, uint32_t spool, const char *name, zspool_reader_t *reader,
                   uint64_t last_sequence)
{
    memset (self, 0, sizeof *self);
    self->spool = spool;
    snprintf (self->name, sizeof self->name, "%s", name);
    self->reader = reader;
    self->dropped_to = self->newest = last_sequence;
}

//  The store has it, or will.
void
zspool_shelf_drop_live (zspool_shelf_t *self)
{
    zspool_block_t *block = self->live [self->live_first];
    self->dropped_to = zspool_block_last_sequence (block);
    self->live_first = (self->live_first + 1) % ZSPOOL_SHELF_LIVE_MAX;
    self->live_count--;
    zspool_block_destroy (&block);
}

void
zspool_shelf_forget (zspool_shelf_t *self)
{
    for (size_t index = 0; index < ZSPOOL_SHELF_READ_MAX; index++)
        zspool_block_destroy (&self->read [index]);
}

void
zspool_shelf_end (zspool_shelf_t *self)
{
    while (self->live_count > 0)
        zspool_shelf_drop_live (self);
    zspool_shelf_forget (self);
    zspool_reader_destroy (&self->reader);
}

void
zspool_shelf_live (zspool_shelf_t *self, zspool_block_t *block)
{
    self->newest = zspool_block_last_sequence (block);
    self->absent_from = 0;
    if (zspool_block_size (block) > ZSPOOL_SHELF_LIVE_BYTES) {
        //  Blocks are kept without a hole, so what came before is let go too.
        while (self->live_count > 0)
            zspool_shelf_drop_live (self);
        self->dropped_to = self->newest;
        zspool_block_destroy (&block);
        return;
    }
    if (self->live_count == ZSPOOL_SHELF_LIVE_MAX)
        zspool_shelf_drop_live (self);
    //  What came before the first that is kept is in the store, whoever saw it.
    if (self->live_count == 0 && self->dropped_to < zspool_block_first_sequence (block) - 1)
        self->dropped_to = zspool_block_first_sequence (block) - 1;
    self->live [(self->live_first + self->live_count++) % ZSPOOL_SHELF_LIVE_MAX] = block;
}

void
zspool_shelf_stored (zspool_shelf_t *self)
{
    self->absent_from = 0;
}

//  The live block that holds a message, or the first behind it; NULL: there is none
static zspool_block_t *
s_find_live (const zspool_shelf_t *self, uint64_t sequence)
{
    for (size_t index = 0; index < self->live_count; index++) {
        zspool_block_t *block = self->live [(self->live_first + index) % ZSPOOL_SHELF_LIVE_MAX];
        if (zspool_block_last_sequence (block) >= sequence)
            return block;
    }
    return NULL;
}

static zspool_block_t *
s_find_read (const zspool_shelf_t *self, uint64_t sequence)
{
    for (size_t index = 0; index < ZSPOOL_SHELF_READ_MAX; index++) {
        zspool_block_t *block = self->read [index];
        if (block && zspool_block_first_sequence (block) <= sequence
            && zspool_block_last_sequence (block) >= sequence)
            return block;
    }
    return NULL;
}

//  Read the next block from the store, and keep it for those who come after.
static int
s_read (zspool_shelf_t *self, uint64_t sequence, zspool_filter_t *filter, zspool_block_t **block_p,
        uint64_t *next)
{
    //  The one to be replaced goes first: there may be no other block in the pool.
    zspool_block_t **kept = &self->read [self->read_next];
    zspool_block_destroy (kept);
    zspool_reader_set_filter (self->reader, filter);
    zspool_reader_seek (self->reader, sequence);
    int rc = zspool_reader_next (self->reader, kept);
    self->starves = rc == ZSPOOL_EFULL;
    if (rc == ZSPOOL_OK) {
        self->read_next = (self->read_next + 1) % ZSPOOL_SHELF_READ_MAX;
        *block_p = zspool_block_ref (*kept);
        uint64_t first = zspool_block_first_sequence (*kept);
        *next = first > sequence? first: sequence;
    }
    else if (rc == ZSPOOL_ECORRUPT) {
        uint64_t first, last;
        zspool_reader_damage (self->reader, &first, &last);
        *next = last >= sequence? last + 1: sequence + 1;
        self->damaged++;
    }
    else if (rc == ZSPOOL_ENOENT || rc == ZSPOOL_ELIMIT) {
        uint64_t passed_to = zspool_reader_sequence (self->reader);
        *next = passed_to > sequence? passed_to: sequence;
        if (rc == ZSPOOL_ENOENT)
            self->absent_from = *next;
    }
    return rc;
}

int
zspool_shelf_block (zspool_shelf_t *self, uint64_t sequence, zspool_filter_t *filter,
                    zspool_block_t **block_p, uint64_t *next)
{
    *next = sequence;
    if (!zspool_shelf_has (self, sequence))
        return ZSPOOL_ENOENT;
    zspool_block_t *block = NULL;
    if (self->live_count > 0
        && (sequence > self->dropped_to
            || sequence >= zspool_block_first_sequence (self->live [self->live_first])))
        block = s_find_live (self, sequence);
    else
        block = s_find_read (self, sequence);
    if (!block)
        return s_read (self, sequence, filter, block_p, next);
    uint64_t first = zspool_block_first_sequence (block);
    *next = first > sequence? first: sequence;
    *block_p = zspool_block_ref (block);
    return ZSPOOL_OK;
}

bool
zspool_shelf_has (const zspool_shelf_t *self, uint64_t sequence)
{
    if (sequence > self->newest)
        return false;
    //  What was not in the store a moment ago, and is not live, has to come first.
    bool live = self->live_count > 0 && sequence > self->dropped_to;
    return live || self->absent_from == 0 || sequence < self->absent_from;
}
