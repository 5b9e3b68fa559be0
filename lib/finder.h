//  finder.h - gives single messages of a spool by their sequences
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Thread: one. Cheap for messages asked for in order: it keeps one block, and where in it.

#ifndef ZSPOOL_FINDER_H_INCLUDED
#define ZSPOOL_FINDER_H_INCLUDED

#include "block.h"
#include "zspool_reader.h"

typedef struct {
    zspool_reader_t *reader;  //  not ours
    zspool_block_t *block;    //  that the message lies in, or NULL
    zspool_record_t record;   //  it, when it was found
} zspool_finder_t;

void
    zspool_finder_init (zspool_finder_t *self, zspool_reader_t *reader);
void
    zspool_finder_destroy (zspool_finder_t *self);

//  Have a message at hand, in self->record of self->block. ENOENT: it is not stored yet; ESTALE: it
//  is gone, or damaged, and will never be had; or what zspool_reader_next () gives.
int
    zspool_finder_find (zspool_finder_t *self, uint64_t sequence);

#endif
