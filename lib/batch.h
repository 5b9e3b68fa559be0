//  batch.h - what the service wants stored in one commit, all of it or nothing
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Blocks for one or more spools, how far producers have got with them, and changes of cursors that
//  acknowledge in the same transaction. One allocation besides its blocks and changes. The service
//  fills it, the writer stamps and stores its blocks and gives it back; both are done with it in
//  turn.

#ifndef ZSPOOL_BATCH_H_INCLUDED
#define ZSPOOL_BATCH_H_INCLUDED

#include "block.h"
#include "cursor.h"

//  Limits of one batch. A batch never has more than ZSPOOL_COMMIT_BLOCKS_MAX blocks.
#define ZSPOOL_BATCH_BLOCKS_MAX 64
#define ZSPOOL_BATCH_MARKS_MAX 1024
#define ZSPOOL_BATCH_CHANGES_MAX 64

//  A block and where it goes
typedef struct {
    zspool_block_t *block;     //  sealed; one reference, the batch's
    uint32_t spool;
} zspool_batch_block_t;

//  Producers without a name have numbers from here on: nothing is stored of them, but their batches keep
//  their order
#define ZSPOOL_MARK_UNNAMED 0x80000000

//  How far a producer has got
typedef struct {
    uint32_t producer;         //  its number in the store, or ZSPOOL_MARK_UNNAMED and more
    uint64_t last;             //  all its messages up to this number are in the store with this batch
} zspool_mark_t;

typedef struct zspool_batch zspool_batch_t;
struct zspool_batch {
    size_t blocks_count;
    zspool_batch_block_t blocks [ZSPOOL_BATCH_BLOCKS_MAX]; //  those of one spool in the order they are numbered in
    size_t marks_count;
    zspool_mark_t marks [ZSPOOL_BATCH_MARKS_MAX];          //  each producer once
    size_t changes_count;
    zspool_cursor_change_t *changes [ZSPOOL_BATCH_CHANGES_MAX]; //  ours, free ()
    bool whole;                //  holds a transaction: nobody may see any of it before it is durable
    bool urgent;               //  async: somebody waits until it is durable
    int64_t handed_us;         //  when it was handed over, microseconds of the monotonic clock
    zspool_batch_t *next;      //  for whoever has it in a list
};

//  NULL when memory is out.
zspool_batch_t *
    zspool_batch_new (void);
void
    zspool_batch_destroy (zspool_batch_t **self_p);

#endif
