//  bundle.c - messages of a producer that are sent together
//
//  SPDX-License-Identifier: MPL-2.0

#include "bundle.h"
#include "run.h"
#include "zsp.h"

#include <stdlib.h>

zspool_bundle_t *
zspool_bundle_new (zspool_block_pool_t *pool, size_t spool, uint8_t level, size_t record_bytes)
{
    zspool_bundle_t *self = (zspool_bundle_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->block = zspool_block_pool_take (pool, record_bytes);
    if (!self->block)
        self->block = zspool_block_new (record_bytes > ZSP_RUN_BYTES? record_bytes: ZSP_RUN_BYTES);
    if (!self->block) {
        free (self);
        return NULL;
    }
    self->spool = spool;
    self->level = level;
    return self;
}

void
zspool_bundle_destroy (zspool_bundle_t **self_p)
{
    zspool_bundle_t *self = *self_p;
    *self_p = NULL;
    if (self)
        zspool_block_destroy (&self->block);
    free (self);
}

void
zspool_bundle_destroy_all (zspool_bundle_t *self)
{
    while (self) {
        zspool_bundle_t *next = self->next;
        zspool_bundle_destroy (&self);
        self = next;
    }
}

bool
zspool_bundle_takes (const zspool_bundle_t *self, size_t spool, size_t record_bytes)
{
    return self->spool == spool && zspool_block_has_room (self->block, record_bytes, 0)
           && zspool_block_count (self->block) < ZSP_RUN_MESSAGES_MAX;
}

int
zspool_bundle_append (zspool_bundle_t *self, const zspool_frame_t *frames, size_t count)
{
    if (count == 1)
        return zspool_block_append_frame (self->block, frames [0].data, frames [0].size, 0);
    return zspool_block_append (self->block, frames, count, 0);
}

size_t
zspool_bundle_bytes (const zspool_bundle_t *self)
{
    size_t size;
    zspool_block_records (self->block, &size);
    return size;
}

//  An I/O thread is done with a frame.
static void
s_release (void *data, void *hint)
{
    (void) data;
    zspool_block_t *block = (zspool_block_t *) hint;
    zspool_block_destroy (&block);
}

int
zspool_bundle_frame (zspool_bundle_t *self, zmq_msg_t *frame)
{
    size_t size;
    const uint8_t *records = zspool_block_records (self->block, &size);
    zspool_block_t *held = zspool_block_ref (self->block);
    if (zmq_msg_init_data (frame, (void *) (uintptr_t) records, size, s_release, held) == 0)
        return ZSPOOL_OK;
    zspool_block_destroy (&held);
    return ZSPOOL_ENOMEM;
}
