//  filter_prefix.h - a set of prefixes: whether a topic begins with one of them
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_FILTER_PREFIX_H_INCLUDED
#define ZSPOOL_FILTER_PREFIX_H_INCLUDED

#include "zspool_library.h"

typedef struct zspool_prefixes zspool_prefixes_t;

zspool_prefixes_t *
    zspool_prefixes_new (void);
void
    zspool_prefixes_destroy (zspool_prefixes_t **self_p);

//  ENOMEM: the set is as it was.
int
    zspool_prefixes_add (zspool_prefixes_t *self, const uint8_t *prefix, size_t size);

bool
    zspool_prefixes_match (const zspool_prefixes_t *self, const uint8_t *topic, size_t size);

#endif
