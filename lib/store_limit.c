//  store_limit.c - the limit of a spool: what is appended beyond it is refused, or the oldest
//  blocks go for it
//
//  SPDX-License-Identifier: MPL-2.0
//
//  What counts is the bytes of the spool's stored blocks. Making room is part of the transaction
//  that appends; how blocks go is in store_retention.c.
//
//  Invariant: no commit leaves a spool with more than its limit, unless it was set lower than what
//  is stored.
//
//  Thread: the store's owner.

#include "store.h"

int
zspool_store_set_limit (zspool_store_t *self, uint32_t spool_id, uint64_t max_bytes,
                        zspool_on_full_t on_full)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    if (!spool || self->mode != ZSPOOL_WRITE
        || (max_bytes > 0 && max_bytes < ZSPOOL_LIMIT_BYTES_MIN)
        || (on_full != ZSPOOL_ON_FULL_PAUSE && on_full != ZSPOOL_ON_FULL_DROP_OLDEST))
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: not a limit for a spool: %llu bytes",
                                  self->directory, (unsigned long long) max_bytes);
    spool->max_bytes = max_bytes;
    spool->on_full = on_full;
    return ZSPOOL_OK;
}

bool
zspool_store_is_within_limit (const zspool_spool_state_t *spool, uint64_t bytes)
{
    return spool->max_bytes == 0
           || (bytes <= spool->max_bytes && spool->now.bytes <= spool->max_bytes - bytes);
}

//  How many bytes the spool has too many for so many more
static uint64_t
s_excess (const zspool_spool_state_t *spool, uint64_t bytes)
{
    return zspool_store_is_within_limit (spool, bytes)? 0: spool->now.bytes + bytes - spool->max_bytes;
}

static int
s_fail (zspool_store_t *self, const zspool_spool_state_t *spool, int code)
{
    return zspool_store_fail (self, code, "%s: spool %s is at its limit of %llu bytes", self->directory,
                              spool->now.name, (unsigned long long) spool->max_bytes);
}

int
zspool_store_prefer_room (zspool_store_t *self, zspool_spool_state_t *spool, uint64_t bytes)
{
    bool more;
    return zspool_store_give_way (self, spool, s_excess (spool, bytes), SIZE_MAX, &more);
}

int
zspool_store_relieve (zspool_store_t *self, uint32_t spool_id, uint64_t bytes, size_t blocks_max)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    if (!zspool_store_is_in_txn (self) || !spool)
        return zspool_store_fail_code (self, ZSPOOL_EINVAL);
    if (zspool_store_is_within_limit (spool, bytes))
        return ZSPOOL_OK;
    if (bytes > spool->max_bytes)
        return s_fail (self, spool, ZSPOOL_ETOOBIG);
    bool more = false, drops = spool->on_full == ZSPOOL_ON_FULL_DROP_OLDEST;
    int rc = zspool_store_give_way (self, spool, s_excess (spool, bytes), blocks_max, &more);
    if (rc == ZSPOOL_OK && drops && !more && !zspool_store_is_within_limit (spool, bytes))
        rc = zspool_store_drop_oldest (self, spool, s_excess (spool, bytes), blocks_max);
    if (rc)
        return zspool_store_fail_code (self, rc);
    if (zspool_store_is_within_limit (spool, bytes))
        return ZSPOOL_OK;
    return drops || more? ZSPOOL_EFULL: s_fail (self, spool, ZSPOOL_ELIMIT);
}

uint64_t
zspool_store_dropped_to (zspool_store_t *self, uint32_t spool_id)
{
    const zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    return spool? spool->dropped_to_committed: 0;
}

uint64_t
zspool_store_lagged (zspool_store_t *self, uint32_t spool_id, uint32_t cursor_id)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    const zspool_cursor_state_t *cursor = spool? zspool_store_find_cursor (spool, cursor_id): NULL;
    return cursor? cursor->committed.lagged: 0;
}
