//  follower.c - gives the messages of a spool in order
//
//  SPDX-License-Identifier: MPL-2.0
//
//  States: live (what is next is in a live block, or has not come yet); behind (it is in the
//  store).
//
//  Invariants
//  1. Messages are given in order, each once between two seeks, unless the filter does not match.
//  2. Live blocks are in order; those that end before `next` are dropped when they are met.
//  3. Between `next` and the oldest live block there is nothing but what ends at or below
//  dropped_to.

#include "follower.h"

#include <string.h>

void
zspool_follower_init (zspool_follower_t *self, zspool_reader_t *reader, uint64_t next)
{
    memset (self, 0, sizeof *self);
    self->reader = reader;
    self->next = next;
    self->behind = true;
}

//  Stand before the first message of the block.
static void
s_rewind (zspool_follower_t *self)
{
    if (self->filter)
        zspool_filter_rewind (self->filter, self->block, &self->record);
    else
        zspool_block_rewind (self->block, &self->record);
}

void
zspool_follower_set_filter (zspool_follower_t *self, zspool_filter_t *filter)
{
    self->filter = filter;
    zspool_reader_set_filter (self->reader, filter);
    self->at_hand = false;
    if (self->block)
        s_rewind (self);
}

//  Take the oldest live block out of the ring.
static zspool_block_t *
s_take_live (zspool_follower_t *self)
{
    zspool_block_t *block = self->live [self->live_first];
    self->live_first = (self->live_first + 1) % ZSPOOL_FOLLOWER_LIVE_MAX;
    self->live_count--;
    return block;
}

//  Let a live block go; if its messages are still to be given, the store has them.
static void
s_drop (zspool_follower_t *self, zspool_block_t *block)
{
    uint64_t last = zspool_block_last_sequence (block);
    if (last >= self->next) {
        self->dropped_to = last;
        self->behind = true;
    }
    zspool_block_destroy (&block);
}

void
zspool_follower_destroy (zspool_follower_t *self)
{
    zspool_block_destroy (&self->block);
    while (self->live_count > 0) {
        zspool_block_t *block = s_take_live (self);
        zspool_block_destroy (&block);
    }
}

void
zspool_follower_live (zspool_follower_t *self, zspool_block_t *block)
{
    if (!self->block && self->live_count == 0 && !self->behind
        && zspool_block_first_sequence (block) <= self->next) {
        self->block = block;
        s_rewind (self);
        return;
    }
    if (zspool_block_size (block) > ZSPOOL_FOLLOWER_LIVE_BYTES) {
        //  Blocks are kept without a hole, so what came before is let go too.
        while (self->live_count > 0)
            s_drop (self, s_take_live (self));
        s_drop (self, block);
        return;
    }
    if (self->live_count == ZSPOOL_FOLLOWER_LIVE_MAX)
        s_drop (self, s_take_live (self));
    //  Under sync it is stored, and so is what was dropped before it.
    zspool_follower_stored (self);
    size_t at = (self->live_first + self->live_count++) % ZSPOOL_FOLLOWER_LIVE_MAX;
    self->live [at] = block;
}

void
zspool_follower_stored (zspool_follower_t *self)
{
    if (self->dropped_to >= self->next)
        self->behind = true;
}

void
zspool_follower_seek (zspool_follower_t *self, uint64_t next)
{
    //  What was given, and what is left of the block at hand, was live perhaps: the store has it,
    //  or will.
    uint64_t taken_to = self->block? zspool_block_last_sequence (self->block): self->next - 1;
    if (self->dropped_to < taken_to)
        self->dropped_to = taken_to;
    zspool_block_destroy (&self->block);
    self->at_hand = false;
    self->next = next;
    self->behind = true;
}

//  Read the next block from the store, unless a live block is it.
static int
s_read_block (zspool_follower_t *self)
{
    zspool_reader_seek (self->reader, self->next);
    int rc = zspool_reader_next (self->reader, &self->block);
    if (rc == ZSPOOL_ENOENT || rc == ZSPOOL_ELIMIT)
        self->next = zspool_reader_sequence (self->reader);
    if (rc == ZSPOOL_ECORRUPT) {
        uint64_t first, last;
        zspool_reader_damage (self->reader, &first, &last);
        if (self->next <= last)
            self->next = last + 1;
        self->damaged++;
    }
    else if (rc == ZSPOOL_ENOENT)
        self->behind = false;
    return rc;
}

static int
s_next_block (zspool_follower_t *self)
{
    while (self->live_count > 0
           && zspool_block_last_sequence (self->live [self->live_first]) < self->next)
        s_drop (self, s_take_live (self));
    uint64_t live = self->live_count? zspool_block_first_sequence (self->live [self->live_first]): 0;
    if (live > 0 && live <= self->next) {
        self->block = s_take_live (self);
        return ZSPOOL_OK;
    }
    int rc = self->behind? s_read_block (self): ZSPOOL_ENOENT;
    //  Nothing is stored before the oldest live block, nor will be: the numbers between are a gap.
    if (rc == ZSPOOL_ENOENT && live > 0 && self->dropped_to < self->next) {
        self->block = s_take_live (self);
        rc = ZSPOOL_OK;
    }
    return rc;
}

//  Have the next message of the block at hand, if there is one.
static bool
s_peek_in_block (zspool_follower_t *self)
{
    bool more = self->block != NULL;
    while (more && !self->at_hand) {
        more = self->filter? zspool_filter_next (self->filter, self->block, &self->record)
                           : zspool_block_next (self->block, &self->record);
        self->at_hand = more && self->record.sequence >= self->next;
    }
    if (self->at_hand)
        self->next = self->record.sequence;
    return self->at_hand;
}

int
zspool_follower_peek (zspool_follower_t *self)
{
    for (int passed = 0; !s_peek_in_block (self); passed++) {
        if (self->block) {
            uint64_t last = zspool_block_last_sequence (self->block);
            if (self->next <= last)
                self->next = last + 1;
            zspool_block_destroy (&self->block);
        }
        if (self->filter && passed == ZSPOOL_FOLLOWER_PASS_MAX)
            return ZSPOOL_ELIMIT;
        int rc = s_next_block (self);
        if (rc)
            return rc;
        s_rewind (self);
    }
    return ZSPOOL_OK;
}
