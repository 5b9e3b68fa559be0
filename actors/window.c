//  window.c - the messages of a producer that the service may still ask for
//
//  SPDX-License-Identifier: MPL-2.0

#include "window.h"
#include "zsp.h"

#include <string.h>

//  Blocks that are used again
#define POOL_BLOCKS 40

int
zspool_window_init (zspool_window_t *self, bool named)
{
    memset (self, 0, sizeof *self);
    self->named = named;
    self->bundles_end = &self->bundles;
    self->pool = zspool_block_pool_new (POOL_BLOCKS, ZSP_RUN_BYTES);
    return self->pool? ZSPOOL_OK: ZSPOOL_ENOMEM;
}

void
zspool_window_end (zspool_window_t *self)
{
    zspool_bundle_destroy_all (self->bundles);
    zspool_bundle_destroy (&self->filling);
    zspool_block_pool_destroy (&self->pool);
}

void
zspool_window_begin (zspool_window_t *self, uint64_t last)
{
    self->last = self->settled = self->cached = self->confirmed = last;
}

bool
zspool_window_is_full (const zspool_window_t *self, uint64_t messages, uint64_t bytes)
{
    return self->last - self->settled >= messages || (self->bytes > 0 && self->bytes >= bytes);
}

void
zspool_window_close (zspool_window_t *self)
{
    zspool_bundle_t *bundle = self->filling;
    self->filling = NULL;
    *self->bundles_end = bundle;
    self->bundles_end = &bundle->next;
    if (!self->unsent)
        self->unsent = bundle;
}

int
zspool_window_put (zspool_window_t *self, size_t spool, uint8_t level, const zspool_frame_t *frames,
                   size_t count, size_t record_bytes, bool *closed)
{
    zspool_bundle_t *bundle = self->filling;
    *closed = bundle
              && (bundle->level != level || !zspool_bundle_takes (bundle, spool, record_bytes));
    if (*closed)
        zspool_window_close (self);
    if (!self->filling)
        self->filling = zspool_bundle_new (self->pool, spool, level, record_bytes);
    if (!self->filling)
        return ZSPOOL_ENOMEM;
    int rc = zspool_bundle_append (self->filling, frames, count);
    if (rc && zspool_block_count (self->filling->block) == 0)
        zspool_bundle_destroy (&self->filling); //  an empty one must not be sent
    if (rc)
        return rc;
    self->last++;
    if (zspool_block_count (self->filling->block) == 1)
        self->filling->first = self->last;
    self->filling->last = self->last;
    self->bytes += record_bytes;
    return ZSPOOL_OK;
}

void
zspool_window_sent (zspool_window_t *self)
{
    self->sent_bytes += zspool_bundle_bytes (self->unsent);
    self->sent_count++;
    self->unsent = self->unsent->next;
}

void
zspool_window_send_from (zspool_window_t *self, uint64_t number)
{
    self->unsent = self->bundles;
    self->sent_bytes = self->sent_count = 0;
    while (self->unsent && self->unsent->last < number)
        zspool_window_sent (self);
}

//  Up to which number a bundle has reached its level
static uint64_t
s_reached (const zspool_window_t *self, const zspool_bundle_t *bundle)
{
    bool cached = bundle->level == ZSP_LEVEL_CACHED
                  || (bundle->level == ZSP_LEVEL_DEFAULT && self->async);
    return cached? self->cached: self->committed;
}

//  Let go of the first bundle.
static void
s_settle (zspool_window_t *self)
{
    zspool_bundle_t *bundle = self->bundles;
    size_t size = zspool_bundle_bytes (bundle);
    self->bytes -= size;
    self->sent_bytes -= size;
    self->sent_count--;
    self->settled = bundle->last;
    self->bundles = bundle->next;
    if (!self->bundles)
        self->bundles_end = &self->bundles;
    zspool_bundle_destroy (&bundle);
}

void
zspool_window_confirm (zspool_window_t *self, uint64_t cached, uint64_t committed)
{
    if (cached > self->cached)
        self->cached = cached;
    if (committed > self->committed)
        self->committed = committed;
    uint64_t confirmed = self->settled;
    for (zspool_bundle_t *bundle = self->bundles; bundle && bundle != self->unsent;
         bundle = bundle->next) {
        uint64_t reached = s_reached (self, bundle);
        if (reached < bundle->last) {
            confirmed = reached > confirmed? reached: confirmed;
            break;
        }
        confirmed = bundle->last;
    }
    while (self->bundles && self->bundles != self->unsent
           && self->bundles->last
                  <= (self->named? self->committed: s_reached (self, self->bundles)))
        s_settle (self);
    if (self->settled > confirmed)
        confirmed = self->settled;
    if (confirmed > self->confirmed)
        self->confirmed = confirmed;
}

void
zspool_window_skip (zspool_window_t *self)
{
    uint64_t number = self->last + 1;
    zspool_window_confirm (self, number, number);
    zspool_window_begin (self, number);
}
