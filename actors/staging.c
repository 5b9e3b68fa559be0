//  staging.c - the transaction of a producer: what is kept of it until it is committed
//
//  SPDX-License-Identifier: MPL-2.0

#include "staging.h"

#include <stdlib.h>
#include <string.h>

void
zspool_staging_init (zspool_staging_t *self)
{
    memset (self, 0, sizeof *self);
    self->bundles_end = &self->bundles;
}

void
zspool_staging_end (zspool_staging_t *self)
{
    zspool_staging_forget (self, false);
    free (self->acks);
}

bool
zspool_staging_is_empty (const zspool_staging_t *self)
{
    return self->bundles_count == 0 && self->acks_count == 0;
}

//  The newest bundle of a spool, if it has room; else a new one. NULL: *rc says why.
static zspool_bundle_t *
s_bundle (zspool_staging_t *self, zspool_block_pool_t *pool, size_t spool, size_t record_bytes,
          int *rc)
{
    zspool_bundle_t *found = NULL;
    for (zspool_bundle_t *bundle = self->bundles; bundle; bundle = bundle->next)
        if (bundle->spool == spool)
            found = bundle;
    if (found && zspool_bundle_takes (found, spool, record_bytes))
        return found;
    if (self->bundles_count == ZSP_PARTS_MAX) {
        *rc = ZSPOOL_ELIMIT;
        return NULL;
    }
    zspool_bundle_t *bundle = zspool_bundle_new (pool, spool, ZSP_LEVEL_DEFAULT, record_bytes);
    if (!bundle) {
        *rc = ZSPOOL_ENOMEM;
        return NULL;
    }
    *self->bundles_end = bundle;
    self->bundles_end = &bundle->next;
    self->bundles_count++;
    return bundle;
}

int
zspool_staging_put (zspool_staging_t *self, zspool_block_pool_t *pool, size_t spool,
                    const zspool_frame_t *frames, size_t count, size_t record_bytes)
{
    int rc = ZSPOOL_OK;
    zspool_bundle_t *bundle = s_bundle (self, pool, spool, record_bytes, &rc);
    if (bundle)
        rc = zspool_bundle_append (bundle, frames, count);
    if (rc == ZSPOOL_OK)
        self->bytes += record_bytes;
    return rc;
}

//  Note what is acknowledged: as a part of the last stretch, or of its own.
static int
s_note (zspool_staging_t *self, zspool_consumer_t *consumer, const zsp_acked_t *acked)
{
    zspool_staged_ack_t *last = self->acks_count? &self->acks [self->acks_count - 1]: NULL;
    if (last && last->consumer == consumer && last->acked.session == acked->session
        && last->acked.generation == acked->generation
        && last->acked.range.last + 1 == acked->range.first) {
        last->acked.range.last = acked->range.last;
        zspool_consumer_release (consumer); //  one claim for both
        return ZSPOOL_OK;
    }
    if (self->acks_count == ZSP_RANGES_MAX)
        return ZSPOOL_ELIMIT;
    if (self->acks_count == self->acks_max) {
        size_t max = self->acks_max? 2 * self->acks_max: 16;
        zspool_staged_ack_t *acks =
            (zspool_staged_ack_t *) realloc (self->acks, max * sizeof *acks);
        if (!acks)
            return ZSPOOL_ENOMEM;
        self->acks = acks;
        self->acks_max = max;
    }
    self->acks [self->acks_count++] = (zspool_staged_ack_t){ consumer, *acked };
    return ZSPOOL_OK;
}

int
zspool_staging_ack (zspool_staging_t *self, zspool_consumer_t *consumer, uint64_t sequence)
{
    zsp_acked_t acked;
    int rc = zspool_consumer_claim (consumer, sequence, &acked);
    if (rc)
        return rc;
    rc = s_note (self, consumer, &acked);
    if (rc)
        zspool_consumer_unclaim (consumer, &acked);
    return rc;
}

void
zspool_staging_forget (zspool_staging_t *self, bool give_back)
{
    for (size_t index = 0; index < self->acks_count; index++)
        if (give_back)
            zspool_consumer_unclaim (self->acks [index].consumer, &self->acks [index].acked);
        else
            zspool_consumer_release (self->acks [index].consumer);
    zspool_bundle_destroy_all (self->bundles);
    self->bundles = NULL;
    self->bundles_end = &self->bundles;
    self->bundles_count = self->acks_count = 0;
    self->bytes = 0;
    self->state = ZSPOOL_TXN_NONE;
}
