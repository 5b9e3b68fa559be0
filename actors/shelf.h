//  shelf.h - the blocks of one spool, for all groups of the service that read it: the newest are
//  kept, others are read back
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of the service, on its thread. Memory is bounded: at most ZSPOOL_SHELF_LIVE_MAX live blocks,
//  and ZSPOOL_SHELF_READ_MAX that were read back, are kept.

#ifndef ZSPOOL_SHELF_H_INCLUDED
#define ZSPOOL_SHELF_H_INCLUDED

#include "block.h"
#include "zspool_filter.h"
#include "zspool_reader.h"

#define ZSPOOL_SHELF_LIVE_MAX 16
#define ZSPOOL_SHELF_LIVE_BYTES (1024 * 1024) //  a larger block is not kept
#define ZSPOOL_SHELF_READ_MAX 4
#define ZSPOOL_SHELVES_LIVE_MAX 64            //  live blocks of all shelves: intake and inlet wait for them

typedef struct {
    uint32_t spool;
    char name [128];
    zspool_reader_t *reader;   //  ours
    size_t live_first;
    size_t live_count;
    zspool_block_t *live [ZSPOOL_SHELF_LIVE_MAX]; //  ring, in order of sequence, without a hole
    uint64_t dropped_to;       //  last sequence of the live blocks not kept
    uint64_t newest;           //  last sequence that there is, as far as is known
    uint64_t absent_from;      //  what lies from here to dropped_to is not in the store yet; 0: who knows
    size_t read_next;          //  the one to be replaced next
    zspool_block_t *read [ZSPOOL_SHELF_READ_MAX]; //  read back last
    bool starves;              //  there was no block to read into
    uint64_t damaged;          //  blocks passed over because they are damaged
} zspool_shelf_t;

//  The reader is the shelf's; last_sequence: what the store has.
void
    zspool_shelf_init (zspool_shelf_t *self, uint32_t spool, const char *name, zspool_reader_t *reader,
                       uint64_t last_sequence);
void
    zspool_shelf_end (zspool_shelf_t *self);

//  A block has come; the reference is the shelf's. Blocks come in order of sequence.
void
    zspool_shelf_live (zspool_shelf_t *self, zspool_block_t *block);

//  Let the oldest live block go; there is one.
void
    zspool_shelf_drop_live (zspool_shelf_t *self);

//  More was stored: what was not kept may be there now.
void
    zspool_shelf_stored (zspool_shelf_t *self);

//  Let go of what was read back.
void
    zspool_shelf_forget (zspool_shelf_t *self);

//  Give the block that holds the message `sequence`, or the first behind it: a reference, the
//  caller's. With a filter blocks may be passed over that it does not match; *next is the sequence
//  to go on from, whatever the result. ENOENT: there is none for now; ECORRUPT: a damaged block was
//  passed over, go on; ELIMIT: so much was passed over that it is time to look at something else;
//  or what zspool_reader_next () gives.
int
    zspool_shelf_block (zspool_shelf_t *self, uint64_t sequence, zspool_filter_t *filter, zspool_block_t **block_p,
                        uint64_t *next);

//  Whether there may be a message at or behind `sequence`, as far as that is known without looking.
bool
    zspool_shelf_has (const zspool_shelf_t *self, uint64_t sequence);

#endif
