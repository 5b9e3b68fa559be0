//  move.h - a block that is appended to one spool, and messages acknowledged in another, in one
//  commit
//
//  SPDX-License-Identifier: MPL-2.0
//
//  This is how messages die (from NAME to NAME.dead), are put back (the other way round) and are
//  dropped (without a block): at any time each of them is pending in exactly one of the spools.

#ifndef ZSPOOL_MOVE_H_INCLUDED
#define ZSPOOL_MOVE_H_INCLUDED

#include "history.h"
#include "store.h"

//  Limits of one move; a message that alone is larger is moved alone
#define ZSPOOL_MOVE_MESSAGES_MAX 1000
#define ZSPOOL_MOVE_BYTES_MAX (1024 * 1024)

typedef struct {
    zspool_block_t *block;       //  to be appended, sealed, not stamped; ours. NULL: nothing is
    uint32_t to;                 //  spool that it goes to
    uint32_t from;               //  spool whose messages are acknowledged,
    uint32_t cursor;             //  on this cursor
    bool is_burial;              //  makes room in the end: may use a part of what is kept for acknowledging
    size_t count;                //  messages to be acknowledged
    uint64_t sequences [ZSPOOL_MOVE_MESSAGES_MAX]; //  these
    int rc;                      //  result
} zspool_move_t;

//  Create a move with an empty block of at least so many bytes (0: without one). NULL when memory
//  is out.
zspool_move_t *
    zspool_move_new (size_t block_bytes);
void
    zspool_move_destroy (zspool_move_t **self_p);

//  Whether a message that takes so many bytes in the block has room in the move.
bool
    zspool_move_has_room (const zspool_move_t *self, size_t record_bytes);

//  Make the move, in a transaction. ESTALE (one of the messages is not pending), ENOSPC and ELIMIT
//  (no room for the block), ENOMEM: nothing was changed, and the transaction can go on. Other
//  errors: roll back.
int
    zspool_store_move (zspool_store_t *self, zspool_move_t *move);

//  Copy a message into the move's block, with the history, and list it as one to be acknowledged.
//  The caller has made sure of room. ENOMEM, ETOOBIG.
int
    zspool_move_add (zspool_move_t *self, const zspool_record_t *record, const zspool_history_t *history);

//  Whether that result means that the transaction can go on.
static inline bool
zspool_move_is_refused (int rc)
{
    return rc == ZSPOOL_ESTALE || rc == ZSPOOL_ENOSPC || rc == ZSPOOL_ELIMIT || rc == ZSPOOL_EFULL
           || rc == ZSPOOL_ENOMEM;
}

#endif
