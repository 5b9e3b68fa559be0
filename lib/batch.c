//  batch.c - what the service wants stored in one commit, all of it or nothing
//
//  SPDX-License-Identifier: MPL-2.0

#include "batch.h"

#include <stdlib.h>

zspool_batch_t *
zspool_batch_new (void)
{
    return (zspool_batch_t *) calloc (1, sizeof (zspool_batch_t));
}

void
zspool_batch_destroy (zspool_batch_t **self_p)
{
    zspool_batch_t *self = *self_p;
    if (!self)
        return;
    for (size_t index = 0; index < self->blocks_count; index++)
        zspool_block_destroy (&self->blocks [index].block);
    for (size_t index = 0; index < self->changes_count; index++)
        free (self->changes [index]);
    free (self);
    *self_p = NULL;
}
