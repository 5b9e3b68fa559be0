//  zspool_filter.h - which messages somebody wants, by their topics
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A message's topic is its first frame: any bytes. A filter object holds any number of filters,
//  and a topic matches it when it matches one of them; with none it matches everything. A filter is
//  one of two kinds:
//
//    pattern   one of its tokens, separated by dots, is exactly `*` or `#`. It must match the
//              whole topic, token by token: `*` stands for any one token, `#` for any number of
//              them, none included. "a.#" matches "a", "a.b" and "a.b.c"; "*" matches what has no
//              dot, also the empty topic, which has one, empty, token; "a.#.z" matches "a.z" and
//              "a.b.c.z".
//    prefix    any other, as in ZeroMQ: it matches topics that begin with it; "" matches all.
//              "a.b*" is a prefix.
//
//  Filters are compiled as they are added: all prefixes into one tree of bytes, all patterns into
//  one of tokens, where what they begin with in common is there once.
//
//  Cost of a match: each byte of the topic is looked at once for prefixes, and once for patterns;
//  besides, for each token of the topic as many steps as there are places in the patterns that fit
//  the topic so far. That is a few: some tens of nanoseconds with thousands of prefixes, hundreds
//  with thousands of patterns. It cannot be more than the tokens of all patterns together, which it
//  takes many different patterns with `#` at or near their beginning to come near; so who takes
//  patterns from strangers should limit their number.
//
//  Memory: at most some 150 bytes for each prefix, and for each token of a pattern; and twice the
//  filters' own.
//
//  An object belongs to one thread at a time, matching included, since it keeps in itself the
//  places that fit. Threads that match at the same time each have an object of their own.

#ifndef ZSPOOL_FILTER_H_INCLUDED
#define ZSPOOL_FILTER_H_INCLUDED

#include "zspool_block.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ZSPOOL_FILTER_BYTES_MAX 1023  //  longest filter, bytes
#define ZSPOOL_FILTERS_MAX 100000     //  most filters of one object

typedef struct zspool_filter zspool_filter_t;

//  Create an object without filters: it matches everything. NULL when memory is out.
ZSPOOL_EXPORT zspool_filter_t *
    zspool_filter_new (void);

//  Free it and set *self_p to NULL. NULL-safe.
ZSPOOL_EXPORT void
    zspool_filter_destroy (zspool_filter_t **self_p);

//  Add a filter of `size` bytes, 0 to ZSPOOL_FILTER_BYTES_MAX; it is copied, and NULL will do when
//  it is empty. Adding one twice, or one that another makes superfluous, changes nothing but the
//  count. Errors: ETOOBIG, it is longer; ELIMIT, there are ZSPOOL_FILTERS_MAX; ENOMEM. Then the
//  object matches what it did before.
ZSPOOL_EXPORT int
    zspool_filter_add (zspool_filter_t *self, const void *filter, size_t size);

//  Number of filters added.
ZSPOOL_EXPORT size_t
    zspool_filter_count (const zspool_filter_t *self);

//  Whether a topic of `size` bytes, of which there may be any number, matches. Allocates nothing,
//  recurses nowhere.
ZSPOOL_EXPORT bool
    zspool_filter_matches (zspool_filter_t *self, const void *topic, size_t size);

//  Iterate over those messages of a sealed block whose topics match: as zspool_block_rewind () and
//  zspool_block_next () do over all. Where the block has an index, each of its topics is matched at
//  most once, and other messages are not touched. An object remembers what it found of one block:
//  it is best used on one after the other; filters may be added in between.
ZSPOOL_EXPORT void
    zspool_filter_rewind (zspool_filter_t *self, const zspool_block_t *block,
                          zspool_record_t *record);
ZSPOOL_EXPORT bool
    zspool_filter_next (zspool_filter_t *self, const zspool_block_t *block,
                        zspool_record_t *record);

#ifdef __cplusplus
}
#endif

#endif
