//  salvage_plan.h - decides which of the blocks and records found belong where
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Rules
//  1. What the newest trees hold is kept, as it is.
//  2. What older trees of a spool hold, and then what lies beside, fills holes only: where messages
//     are missing that no record says are gone, above what all cursors have acknowledged.
//  3. A block found beside goes to a spool only if it fits no other; else into a spool of its own.
//  4. Of a small record that the newest tree lacks, the latest copy counts: floors of a cursor
//     never fall within a generation. What was acknowledged out of order is taken from the newest
//     tree only.

#ifndef ZSPOOL_SALVAGE_PLAN_H_INCLUDED
#define ZSPOOL_SALVAGE_PLAN_H_INCLUDED

#include "salvage_find.h"

#define ZSPOOL_PLAN_STRAYS_MAX 16  //  most spools made for blocks that fit several

typedef struct {
    uint32_t id;
    zspool_cursor_record_t record;
    bool in_tree;
} zspool_plan_cursor_t;

typedef struct {
    uint32_t id;                   //  in the old store; 0: made for strays
    char name [ZSPOOL_NAME_MAX + 1];
    bool is_named_anew;
    bool has_record;               //  found, and
    bool in_tree;                  //  in the newest tree
    bool is_whole;                 //  nothing of its blocks is missing
    zspool_spool_record_t record;
    bool has_retention;            //  found: it is no queue; and
    bool retention_in_tree;        //  in the newest tree
    zspool_retention_t retention;
    bool may_keep;                 //  the record of its retention may be lost
    uint64_t floor;                //  of all cursors; 0 when one of them is not known
    uint64_t cursors_lost;
    zspool_plan_cursor_t *cursors;
    size_t cursors_count;
    zspool_gap_t *gaps;            //  in order
    size_t gaps_count;
    const zspool_found_block_t **blocks; //  in order of sequence, disjoint
    size_t blocks_count;
} zspool_plan_spool_t;

typedef struct {
    zspool_finder_t *finder;
    zspool_plan_spool_t *spools;
    size_t spools_count;
    size_t strays_from;            //  spools from here on were made for strays
    bool has_store_record;
    zspool_store_record_t store;
    bool records_lost;
    uint64_t unplaced;             //  messages in blocks that found no place
} zspool_plan_t;

//  Make a plan of what was found; ENOMEM.
int
    zspool_plan_make (zspool_plan_t *self, zspool_finder_t *finder);
void
    zspool_plan_free (zspool_plan_t *self);

#endif
