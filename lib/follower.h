//  follower.h - gives the messages of a spool in order: from live blocks, or from the store when
//  behind
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Thread: one. Memory is bounded: at most ZSPOOL_FOLLOWER_LIVE_MAX live blocks are kept, none
//  larger than ZSPOOL_FOLLOWER_LIVE_BYTES; what is dropped is read back from the store.

#ifndef ZSPOOL_FOLLOWER_H_INCLUDED
#define ZSPOOL_FOLLOWER_H_INCLUDED

#include "block.h"
#include "zspool_filter.h"
#include "zspool_reader.h"

#define ZSPOOL_FOLLOWER_LIVE_MAX 16
#define ZSPOOL_FOLLOWER_LIVE_BYTES (1024 * 1024)
#define ZSPOOL_FOLLOWER_PASS_MAX 16    //  blocks in which one peek looks for what the filter matches

typedef struct {
    zspool_reader_t *reader;       //  not ours
    zspool_filter_t *filter;       //  of what is given, or NULL: all. Not ours.
    uint64_t next;                 //  all before it was given or passed over; of the message at hand it is
                                   //  the sequence
    zspool_block_t *block;         //  that it lies in, or NULL
    zspool_record_t record;        //  it, when at_hand
    bool at_hand;
    bool behind;                   //  the store may hold what is next
    uint64_t dropped_to;           //  last sequence of the live blocks not kept, or given before a seek
    size_t live_first;
    size_t live_count;
    zspool_block_t *live [ZSPOOL_FOLLOWER_LIVE_MAX]; //  ring, in order of sequence
    uint64_t damaged;              //  blocks passed over because they are damaged
} zspool_follower_t;

//  Follow from the message `next` on; what is stored comes first.
void
    zspool_follower_init (zspool_follower_t *self, zspool_reader_t *reader, uint64_t next);
void
    zspool_follower_destroy (zspool_follower_t *self);

//  A block has come; the reference is the follower's. Blocks come in order of sequence.
void
    zspool_follower_live (zspool_follower_t *self, zspool_block_t *block);

//  More was stored: what was not kept live may be there now.
void
    zspool_follower_stored (zspool_follower_t *self);

//  Go on from the message `next`.
void
    zspool_follower_seek (zspool_follower_t *self, uint64_t next);

//  From self->next on, give only messages that the filter matches; the reader passes over blocks
//  that have none. NULL: all. A message that is at hand need not be it any more: peek again. The
//  filter stays the caller's, lives as long as the follower or until there is another, and may be
//  added to between calls.
void
    zspool_follower_set_filter (zspool_follower_t *self, zspool_filter_t *filter);

//  Have the next message at hand, in self->record of self->block. ENOENT: there is none for now;
//  ECORRUPT: a damaged block was passed over, zspool_reader_damage () tells which, go on; ELIMIT:
//  so much was passed over for the filter that it is time to look at something else, go on; or what
//  zspool_reader_next () gives.
int
    zspool_follower_peek (zspool_follower_t *self);

//  The message at hand is done with.
static inline void
zspool_follower_advance (zspool_follower_t *self)
{
    self->next = self->record.sequence + 1;
    self->at_hand = false;
}

#endif
