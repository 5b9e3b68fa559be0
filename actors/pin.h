//  pin.h - lets ZeroMQ send large frames straight from a block, within a limit
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A frame sent by reference keeps its whole block in memory until ZeroMQ is done with it, in an
//  I/O thread, perhaps after the outlet has ended. So blocks are pinned within a limit of bytes;
//  when that is reached frames are copied. What counts is the capacity of a block, however little
//  is in it: a consumer that hangs must not take all the blocks of an inlet's pool.

#ifndef ZSPOOL_PIN_H_INCLUDED
#define ZSPOOL_PIN_H_INCLUDED

#include "zspool_block.h"
#include <zmq.h>

#define ZSPOOL_PINNED_BYTES_MAX (16 * 1024 * 1024) //  of an outlet
//  Most usual blocks that an outlet can keep from being used again: those pinned, and the one at
//  hand
#define ZSPOOL_PINNED_BLOCKS_MAX (ZSPOOL_PINNED_BYTES_MAX / ZSPOOL_BLOCK_BYTES + 1)

typedef struct zspool_pins zspool_pins_t; //  the account of one outlet, or one client of a service
typedef struct zspool_pin zspool_pin_t;   //  of one block

//  An account with a limit of bytes; what is on it counts in another one, too, which has a limit of
//  its own, or NULL. Of that one there is a reserve for those that have nothing on their own.
//  NULL when memory is out.
zspool_pins_t *
    zspool_pins_new (size_t bytes_max, zspool_pins_t *all);
void
    zspool_pins_destroy (zspool_pins_t **self_p);

//  Make a ZeroMQ message with memory of its own. Until it was sent it is on the account with so many
//  bytes, at least its size. When it is filled say so: zspool_tsan_release (its data). -1: there is no
//  room, or memory is out.
int
    zspool_pins_message (zspool_pins_t *self, zmq_msg_t *message, size_t size, size_t counts);

//  Pin a block; NULL when the limit is reached or memory is out: then copy. The caller lets go with
//  zspool_pin_release (); messages made meanwhile hold the block on their own.
zspool_pin_t *
    zspool_pin_new (zspool_pins_t *pins, zspool_block_t *block);
void
    zspool_pin_release (zspool_pin_t **self_p);

//  Make a ZeroMQ message of bytes within the block. Returns 0 or -1, as zmq_msg_init_data ().
int
    zspool_pin_message (zspool_pin_t *self, zmq_msg_t *message, const void *data, size_t size);

#endif
