//  cursor_parts.h - the state of a cursor, and the files it is cut into
//
//  SPDX-License-Identifier: MPL-2.0
//
//  cursor.c knows what was delivered and acknowledged, and what is due again; cursor_change.c copies that,
//  and makes the changes that are stored.

#ifndef ZSPOOL_CURSOR_PARTS_H_INCLUDED
#define ZSPOOL_CURSOR_PARTS_H_INCLUDED

#include "cursor.h"
#include "cursor_block.h"
#include "ring.h"

#define ZSPOOL_CURSOR_NO_BLOCK UINT64_MAX //  ends the dirty list

typedef struct {
    uint64_t first;
    uint64_t last;
    int64_t sent_ms;                //  when the latest of it was sent
    uint32_t spread_ms;             //  how long before that the earliest was
    uint16_t attempt;               //  which delivery of its messages this was
} zspool_cursor_run_t;

struct zspool_cursor {
    uint32_t spool;
    uint32_t cursor;
    uint32_t generation;
    bool changed;                   //  since the last change was taken
    uint64_t floor;
    uint64_t sent_to;
    uint64_t in_flight;
    int64_t timeout_ms;
    zspool_ring_t blocks;
    uint64_t hit;                   //  number of the block that was looked for last
    uint64_t dirty_head;            //  number of a block, or ZSPOOL_CURSOR_NO_BLOCK
    zspool_cursor_run_t initial;    //  what was delivered before our time; empty: first > last
    zspool_ring_t runs;
};

//  A known block, by its number
static inline zspool_cursor_block_t *
zspool_cursor_block_at (const zspool_cursor_t *self, uint64_t number)
{
    return (zspool_cursor_block_t *) self->blocks.items + (number & (self->blocks.capacity - 1));
}

//  It does not differ any more from what is stored of it.
static inline void
zspool_cursor_set_clean (zspool_cursor_t *self, zspool_cursor_block_t *block)
{
    if (!block->dirty)
        return;
    block->dirty = false;
    if (block->dirty_before == ZSPOOL_CURSOR_NO_BLOCK)
        self->dirty_head = block->dirty_after;
    else
        zspool_cursor_block_at (self, block->dirty_before)->dirty_after = block->dirty_after;
    if (block->dirty_after != ZSPOOL_CURSOR_NO_BLOCK)
        zspool_cursor_block_at (self, block->dirty_after)->dirty_before = block->dirty_before;
}

#endif
