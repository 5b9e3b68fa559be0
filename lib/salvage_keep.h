//  salvage_keep.h - puts into a new store what another one held, numbers included
//
//  SPDX-License-Identifier: MPL-2.0
//
//  All in a transaction of the new store; errors are the store's.

#ifndef ZSPOOL_SALVAGE_KEEP_H_INCLUDED
#define ZSPOOL_SALVAGE_KEEP_H_INCLUDED

#include "store.h"

//  Create a spool whose first message has this sequence or a later one.
int
    zspool_keep_spool (zspool_store_t *store, const char *name, uint64_t first, uint32_t *spool);

//  Append a block as it is stamped. What is skipped before it must be in gaps: see below. EINVAL
//  when it is not behind all others.
int
    zspool_keep_block (zspool_store_t *store, uint32_t spool, zspool_block_t *block);

//  Record sequences that are lost; those behind the last block are not given again.
int
    zspool_keep_gap (zspool_store_t *store, uint32_t spool, const zspool_gap_t *gap);

//  Number from next_sequence on, if that is later than what follows from the blocks; and when there
//  are none, last_sequence was the last that there was.
int
    zspool_keep_numbering (zspool_store_t *store, uint32_t spool, uint64_t next_sequence, uint64_t last_sequence);

//  Create a cursor that stands where the record says, as far as there are messages; and what it has
//  acknowledged in a block.
int
    zspool_keep_cursor (zspool_store_t *store, uint32_t spool, const zspool_cursor_record_t *record,
                        uint32_t *cursor);
int
    zspool_keep_entry (zspool_store_t *store, uint32_t spool, uint32_t cursor,
                       const zspool_cursor_entry_t *entry);

//  Note what the store was made from, and when that was created.
int
    zspool_keep_origin (zspool_store_t *store, const zspool_origin_record_t *origin, int64_t created_us);

#endif
