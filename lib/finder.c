//  finder.c - gives single messages of a spool by their sequences
//
//  SPDX-License-Identifier: MPL-2.0

#include "finder.h"

#include <string.h>

void
zspool_finder_init (zspool_finder_t *self, zspool_reader_t *reader)
{
    memset (self, 0, sizeof *self);
    self->reader = reader;
}

void
zspool_finder_destroy (zspool_finder_t *self)
{
    zspool_block_destroy (&self->block);
}

//  Read the block that holds a message.
static int
s_read_block (zspool_finder_t *self, uint64_t sequence)
{
    zspool_reader_seek (self->reader, sequence);
    int rc = zspool_reader_next (self->reader, &self->block);
    if (rc == ZSPOOL_OK && zspool_block_first_sequence (self->block) > sequence) {
        zspool_block_destroy (&self->block);
        rc = ZSPOOL_ECORRUPT;
    }
    if (rc == ZSPOOL_OK)
        zspool_block_rewind (self->block, &self->record);
    return rc == ZSPOOL_ECORRUPT? ZSPOOL_ESTALE: rc;
}

int
zspool_finder_find (zspool_finder_t *self, uint64_t sequence)
{
    if (self->block
        && (sequence < zspool_block_first_sequence (self->block)
            || sequence > zspool_block_last_sequence (self->block)))
        zspool_block_destroy (&self->block);
    int rc = self->block? ZSPOOL_OK: s_read_block (self, sequence);
    if (rc)
        return rc;
    if (self->record.sequence > sequence)
        zspool_block_rewind (self->block, &self->record);
    while (self->record.sequence != sequence && zspool_block_next (self->block, &self->record))
        ;
    return ZSPOOL_OK;
}
