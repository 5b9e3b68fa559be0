//  block_pool.c - a fixed set of blocks that are used again
//
//  SPDX-License-Identifier: MPL-2.0

#include "block_layout.h"

#include <stdlib.h>

zspool_block_pool_t *
zspool_block_pool_new (size_t blocks, size_t capacity)
{
    zspool_block_pool_t *self =
        (zspool_block_pool_t *) calloc (1, sizeof *self + blocks * sizeof (zspool_block_t *));
    if (!self)
        return NULL;
    atomic_init (&self->refs, 1);
    self->capacity = capacity;
    self->size = blocks;
    return self;
}

void
zspool_block_pool_unref (zspool_block_pool_t *self)
{
    if (atomic_fetch_sub_explicit (&self->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t index = 0; index < self->size; index++)
        free (self->slots [index]);
    zspool_dictionary_destroy (&self->dictionary);
    free (self);
}

void
zspool_block_pool_destroy (zspool_block_pool_t **self_p)
{
    if (*self_p)
        zspool_block_pool_unref (*self_p);
    *self_p = NULL;
}

//  The slots are tried in order, so that the ones in use stay few and warm in the processor's
//  caches.
static zspool_block_t *
s_pool_take_slot (zspool_block_pool_t *self)
{
    for (size_t index = 0; index < self->size; index++) {
        zspool_block_t *block = self->slots [index];
        if (!block)
            return self->slots [index] = zspool_block_new (self->capacity);
        if (atomic_load_explicit (&block->refs, memory_order_acquire) == 0) {
            atomic_store_explicit (&block->refs, 1, memory_order_relaxed);
            zspool_block_reset (block);
            return block;
        }
    }
    return NULL;
}

zspool_block_t *
zspool_block_pool_take (zspool_block_pool_t *self, size_t bytes)
{
    if (bytes > self->capacity)
        return zspool_block_new (bytes);
    zspool_block_t *block = s_pool_take_slot (self);
    if (block) {
        block->pool = self;
        atomic_fetch_add (&self->refs, 1);
    }
    return block;
}
