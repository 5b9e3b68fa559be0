//  filter_pattern.h - a set of patterns of tokens with * and #: whether a topic matches one of them
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_FILTER_PATTERN_H_INCLUDED
#define ZSPOOL_FILTER_PATTERN_H_INCLUDED

#include "zspool_library.h"

typedef struct zspool_patterns zspool_patterns_t;

zspool_patterns_t *
    zspool_patterns_new (void);
void
    zspool_patterns_destroy (zspool_patterns_t **self_p);

//  Whether a filter is a pattern: one of its tokens is `*` or `#`.
bool
    zspool_patterns_is_one (const uint8_t *filter, size_t size);

//  ENOMEM: the set matches what it did before.
int
    zspool_patterns_add (zspool_patterns_t *self, const uint8_t *pattern, size_t size);

//  One thread at a time. Allocates nothing.
bool
    zspool_patterns_match (zspool_patterns_t *self, const uint8_t *topic, size_t size);

#endif
