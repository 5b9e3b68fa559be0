//  store_blocks.h - keeps blocks as values of a table
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_STORE_BLOCKS_H_INCLUDED
#define ZSPOOL_STORE_BLOCKS_H_INCLUDED

#include "block.h"
#include "store_engine.h"

//  Write a stamped block behind all others of the table: in one piece, or in chunks of one page
//  each.
int
    zspool_blocks_write (zspool_txn_t *txn, zspool_table_t table, const zspool_block_t *block,
                         bool chunked);

//  Bytes of the file that a block of this size takes at most.
uint64_t
    zspool_blocks_room (size_t block_size);

//  Stand on the block that holds the message, or on the first block behind it. *first is the
//  sequence in the block's key; *head what the block says of itself. ENOENT when there is none;
//  ECORRUPT when the block's head is damaged or not that of its key, EVERSION when it is of a newer
//  version: *first is valid then too; EIO when the table is damaged.
int
    zspool_blocks_seek (zspool_iter_t *iter, uint64_t sequence, uint64_t *first,
                        zspool_block_head_t *head);

//  Whether that result says that there is a block, but one that cannot be used
static inline bool
zspool_blocks_unusable (int rc)
{
    return rc == ZSPOOL_ECORRUPT || rc == ZSPOOL_EVERSION;
}

//  Stand on the block behind the one that starts at `first`, whole or damaged. Results as above.
int
    zspool_blocks_next (zspool_iter_t *iter, uint64_t *first, zspool_block_head_t *head);

//  A search for the first block that was stored at or after a time: it starts in [low, high), or is
//  `found`, 0 as long as there is none. Each step halves that, until low is high.
typedef struct {
    uint64_t low;
    uint64_t high;
    uint64_t found;
} zspool_blocks_span_t;

int
    zspool_blocks_halve (zspool_iter_t *iter, int64_t stored_us, zspool_blocks_span_t *span);

//  Find where the bytes of the block that starts at `first` lie, `size` of them by its head, but
//  for the `from` first ones: in at most zspool_blocks_parts_max () parts, for which there must be
//  room. They are the database's own, as is all that an iterator gives. ECORRUPT when a chunk is
//  missing or has the wrong size.
int
    zspool_blocks_locate (zspool_iter_t *iter, uint64_t first, size_t size, size_t from,
                          zspool_bytes_t *parts, size_t *parts_count);
size_t
    zspool_blocks_parts_max (size_t block_size);

//  Delete the block that starts at `first`, all its chunks, whole or damaged. *bytes is what it
//  had.
int
    zspool_blocks_delete (zspool_iter_t *iter, uint64_t first, uint64_t *bytes);

#endif
