//  topics.h - which topics the messages of a spool have, and how many have each
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A topic is a message's first frame. At most TOPICS_MAX are told apart, none longer than
//  TOPICS_BYTES_MAX; messages of others are counted together.

#ifndef TOPICS_H_INCLUDED
#define TOPICS_H_INCLUDED

#include "output.h"
#include "zspool.h"

#define TOPICS_MAX 100000
#define TOPICS_BYTES_MAX ZSPOOL_FILTER_BYTES_MAX

typedef struct topics topics_t;

//  NULL when memory is out.
topics_t *
    topics_new (void);

//  NULL-safe.
void
    topics_destroy (topics_t **self_p);

//  Count what a spool has stored now, by the indexes of its blocks where they have any. Blocks that
//  cannot be read are told of on standard error. Gives a code of zspool_error_t: OK also when there
//  were such.
int
    topics_read (topics_t *self, zspool_store_t *store, const zspool_spool_info_t *spool);

//  Whether there were
bool
    topics_damaged (const topics_t *self);

//  Print them in the order of their bytes: as a table, or as members of a JSON object, behind
//  another. -1 when the output fails.
int
    topics_write (const topics_t *self, const char *spool, output_t *output);
int
    topics_write_json (const topics_t *self, output_t *output);

#endif
