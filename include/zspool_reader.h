//  zspool_reader.h - reads the blocks of a spool in order
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A reader copies one block at a time and holds no snapshot between calls, so it never keeps the
//  store from reusing space. It belongs to one thread, which need not be the store's; destroy it
//  before the store. What it gives is committed, hence durable; but for what another process
//  commits at this moment, or left in memory when it was killed in a commit: that is durable once a
//  store is open for writing here.

#ifndef ZSPOOL_READER_H_INCLUDED
#define ZSPOOL_READER_H_INCLUDED

#include "zspool_filter.h"
#include "zspool_store.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ZSPOOL_READER_PASS_MAX 256 //  blocks passed over by their index in one go

typedef struct zspool_reader zspool_reader_t;

//  Create a reader of a spool that the store knows (zspool_store_spool ()), standing before its
//  oldest message. Call it from the store's thread. NULL when memory is out, or the spool is
//  unknown, or was created in the transaction that is open.
ZSPOOL_EXPORT zspool_reader_t *
    zspool_reader_new (zspool_store_t *store, uint32_t spool);

//  Destroy the reader and set *self_p to NULL. NULL-safe. Blocks it gave stay valid.
ZSPOOL_EXPORT void
    zspool_reader_destroy (zspool_reader_t **self_p);

//  Stand before the message with this sequence, or the next one that is stored.
ZSPOOL_EXPORT void
    zspool_reader_seek (zspool_reader_t *self, uint64_t sequence);

//  Stand before the first block stored at or after this time (microseconds since 1970, UTC): a
//  search in the order of log2 of the number of blocks. ENOENT when there is none yet; ENOMEM, EIO.
//  Then it stands where it stood.
ZSPOOL_EXPORT int
    zspool_reader_seek_time (zspool_reader_t *self, int64_t stored_us);

//  Pass over blocks that have no message the filter matches, as far as their index tells: of such a
//  block only head and index are read, so damage in it is not seen. What else is read may have such
//  messages too: zspool_filter_next () goes by the filter. NULL: give every block. The filter stays
//  the caller's, may be added to between calls, and must live until the reader is destroyed or has
//  another.
ZSPOOL_EXPORT void
    zspool_reader_set_filter (zspool_reader_t *self, zspool_filter_t *filter);

//  The sequence that the reader stands before: all that is stored up to it was given or passed over,
//  since it was told where to stand.
ZSPOOL_EXPORT uint64_t
    zspool_reader_sequence (const zspool_reader_t *self);

//  Give the next block, which may start before the message sought. ENOENT at the end (more may
//  come); ECORRUPT when the next block is damaged, EVERSION when a newer zspool wrote it: it is
//  passed over and zspool_reader_damage () tells what was in it; ELIMIT when so many blocks were
//  passed over for a filter that the caller may have to look at something else: go on; ENOMEM, EIO.
//  On success the caller owns the reference in *block_p.
ZSPOOL_EXPORT int
    zspool_reader_next (zspool_reader_t *self, zspool_block_t **block_p);

//  The sequences of the last block that was passed over, 0 and 0 before there was one: *last is the
//  best that can be known. It is
//  not reported again when the reader stands before it once more, unless another was meanwhile.
ZSPOOL_EXPORT void
    zspool_reader_damage (const zspool_reader_t *self, uint64_t *first, uint64_t *last);

#ifdef __cplusplus
}
#endif

#endif
