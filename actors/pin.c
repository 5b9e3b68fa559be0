//  pin.c - lets ZeroMQ send large frames straight from a block, within a limit
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Threads: an outlet makes pins; I/O threads release them.

#include "pin.h"
#include "block.h"
#include "tsan.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#define BULK_REFS 64
//  How many times its limit a common account may have, by those that have nothing else
#define RESERVE_TIMES 2

struct zspool_pins {
    atomic_uint refs;     //  the outlet, and each pin
    atomic_size_t bytes;  //  of blocks pinned
    size_t bytes_max;
    zspool_pins_t *all;   //  where they count, too; a reference, or NULL
};

struct zspool_pin {
    atomic_uint refs;     //  the outlet, each message, and what the outlet has in hand
    unsigned in_hand;     //  references for messages to come: taken in bulk, for the I/O threads share the count
    zspool_pins_t *pins;
    zspool_block_t *block;
};

//  A message that has its own memory: it follows
typedef struct {
    zspool_pins_t *pins;
    size_t counts; //  bytes
} s_own_t;

static void
s_pins_unref (zspool_pins_t *self)
{
    if (atomic_fetch_sub (&self->refs, 1) > 1)
        return;
    zspool_pins_t *all = self->all;
    free (self);
    if (all)
        s_pins_unref (all);
}

zspool_pins_t *
zspool_pins_new (size_t bytes_max, zspool_pins_t *all)
{
    zspool_pins_t *self = (zspool_pins_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    atomic_init (&self->refs, 1);
    self->bytes_max = bytes_max;
    self->all = all;
    if (all)
        atomic_fetch_add (&all->refs, 1);
    return self;
}

//  Whether an account has room for so much. An empty one has for any, while the common one has room
//  in reserve: so those that take nothing cannot keep the others from what they need.
static bool
s_has_room (zspool_pins_t *self, size_t size)
{
    size_t bytes = atomic_load (&self->bytes);
    size_t bytes_all = self->all? atomic_load (&self->all->bytes): 0;
    if (bytes > 0 && bytes + size > self->bytes_max)
        return false;
    size_t times = bytes > 0? 1: RESERVE_TIMES;
    return bytes_all == 0 || bytes_all + size <= self->all->bytes_max * times;
}

static void
s_count (zspool_pins_t *self, size_t size)
{
    for (; self; self = self->all)
        atomic_fetch_add (&self->bytes, size);
}

static void
s_discount (zspool_pins_t *self, size_t size)
{
    for (; self; self = self->all)
        atomic_fetch_sub (&self->bytes, size);
}

void
zspool_pins_destroy (zspool_pins_t **self_p)
{
    if (*self_p)
        s_pins_unref (*self_p);
    *self_p = NULL;
}

zspool_pin_t *
zspool_pin_new (zspool_pins_t *pins, zspool_block_t *block)
{
    size_t size = zspool_block_capacity (block);
    if (!s_has_room (pins, size))
        return NULL;
    zspool_pin_t *self = (zspool_pin_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    atomic_init (&self->refs, 1);
    s_count (pins, size);
    atomic_fetch_add (&pins->refs, 1);
    self->pins = pins;
    self->block = zspool_block_ref (block);
    return self;
}

//  Drop references; the last one frees the pin.
static void
s_unref (zspool_pin_t *self, unsigned refs)
{
    if (atomic_fetch_sub (&self->refs, refs) > refs)
        return;
    s_discount (self->pins, zspool_block_capacity (self->block));
    zspool_block_destroy (&self->block);
    s_pins_unref (self->pins);
    free (self);
}

void
zspool_pin_release (zspool_pin_t **self_p)
{
    if (*self_p)
        s_unref (*self_p, 1 + (*self_p)->in_hand);
    *self_p = NULL;
}

//  Called by an I/O thread when it is done with a message
static void
s_release_message (void *data, void *hint)
{
    (void) data;
    zspool_pin_t *self = (zspool_pin_t *) hint;
    zspool_tsan_acquire (self);
    s_unref (self, 1);
}

int
zspool_pin_message (zspool_pin_t *self, zmq_msg_t *message, const void *data, size_t size)
{
    if (self->in_hand == 0) {
        atomic_fetch_add_explicit (&self->refs, BULK_REFS, memory_order_relaxed);
        self->in_hand = BULK_REFS;
    }
    zspool_tsan_release (self);
    int rc = zmq_msg_init_data (message, (void *) (uintptr_t) data, size, s_release_message, self);
    if (rc == 0)
        self->in_hand--;
    return rc;
}

//  Likewise with one that has its own memory
static void
s_release_own (void *data, void *hint)
{
    s_own_t *own = (s_own_t *) hint;
    zspool_tsan_acquire (data);
    s_discount (own->pins, own->counts);
    s_pins_unref (own->pins);
    free (own);
}

int
zspool_pins_message (zspool_pins_t *self, zmq_msg_t *message, size_t size, size_t counts)
{
    s_own_t *own = s_has_room (self, counts)? (s_own_t *) malloc (sizeof *own + size): NULL;
    if (!own)
        return -1;
    own->pins = self;
    own->counts = counts;
    if (zmq_msg_init_data (message, own + 1, size, s_release_own, own)) {
        free (own);
        return -1;
    }
    s_count (self, counts);
    atomic_fetch_add (&self->refs, 1);
    return 0;
}
