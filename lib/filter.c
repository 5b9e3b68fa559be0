//  filter.c - which messages somebody wants, by their topics
//
//  SPDX-License-Identifier: MPL-2.0

#include "filter_block.h"
#include "filter_pattern.h"
#include "filter_prefix.h"

#include <stdlib.h>

struct zspool_filter {
    size_t count;                 //  filters added
    zspool_prefixes_t *prefixes;
    zspool_patterns_t *patterns;
    zspool_verdicts_t verdicts;   //  on the topics of the block it is used on
};

zspool_filter_t *
zspool_filter_new (void)
{
    zspool_filter_t *self = (zspool_filter_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->prefixes = zspool_prefixes_new ();
    self->patterns = zspool_patterns_new ();
    if (!self->prefixes || !self->patterns)
        zspool_filter_destroy (&self);
    return self;
}

void
zspool_filter_destroy (zspool_filter_t **self_p)
{
    zspool_filter_t *self = *self_p;
    if (!self)
        return;
    zspool_prefixes_destroy (&self->prefixes);
    zspool_patterns_destroy (&self->patterns);
    free (self);
    *self_p = NULL;
}

//  What was given, which may be NULL when it is empty, as something to reckon with
static const uint8_t *
s_bytes (const void *data, size_t size)
{
    return (const uint8_t *) (size > 0? data: "");
}

int
zspool_filter_add (zspool_filter_t *self, const void *filter, size_t size)
{
    if (size > ZSPOOL_FILTER_BYTES_MAX)
        return ZSPOOL_ETOOBIG;
    if (self->count == ZSPOOL_FILTERS_MAX)
        return ZSPOOL_ELIMIT;
    const uint8_t *bytes = s_bytes (filter, size);
    int rc = zspool_patterns_is_one (bytes, size)?
                 zspool_patterns_add (self->patterns, bytes, size):
                 zspool_prefixes_add (self->prefixes, bytes, size);
    self->count += rc == ZSPOOL_OK;
    return rc;
}

size_t
zspool_filter_count (const zspool_filter_t *self)
{
    return self->count;
}

bool
zspool_filter_matches (zspool_filter_t *self, const void *topic, size_t size)
{
    const uint8_t *bytes = s_bytes (topic, size);
    return self->count == 0 || zspool_prefixes_match (self->prefixes, bytes, size)
           || zspool_patterns_match (self->patterns, bytes, size);
}

zspool_verdicts_t *
zspool_filter_verdicts (zspool_filter_t *self)
{
    return &self->verdicts;
}
