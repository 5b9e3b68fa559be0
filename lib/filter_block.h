//  filter_block.h - what a filter remembers of the block that it is used on
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A topic of a block's index is matched when the first message that has it is met, and never again
//  while the filter stays with that block: of all other messages that have it, it is known.

#ifndef ZSPOOL_FILTER_BLOCK_H_INCLUDED
#define ZSPOOL_FILTER_BLOCK_H_INCLUDED

#include "block_index.h"
#include "zspool_filter.h"

typedef struct {
    const zspool_block_t *block;         //  whose topics these are; NULL: none
    size_t filters;                      //  how many the filter had
    uint8_t matches [ZSPOOL_TOPICS_MAX]; //  of each topic: not known yet, yes, no
} zspool_verdicts_t;

//  Where a filter keeps them
zspool_verdicts_t *
    zspool_filter_verdicts (zspool_filter_t *self);

#endif
