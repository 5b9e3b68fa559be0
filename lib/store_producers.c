//  store_producers.c - producers of a store: how far each has got
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A producer is known by its name, and in the process by its number. Those that were asked for are
//  kept in memory, in order of their numbers; opening loads none, however many there are. What a
//  transaction says of one is written at once, and its end decides over what is in memory.
//
//  Thread: the owner's.

#include "store.h"

#include <stdlib.h>
#include <string.h>

//  Where a producer stands, or would stand, in memory
static size_t
s_place (const zspool_store_t *self, uint32_t id)
{
    size_t low = 0, high = self->producers_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->producers [middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static zspool_producer_state_t *
s_find (const zspool_store_t *self, uint32_t id)
{
    size_t at = s_place (self, id);
    return at < self->producers_count && self->producers [at].id == id? &self->producers [at]: NULL;
}

//  Have memory for one more. ENOMEM.
static int
s_reserve (zspool_store_t *self)
{
    if (self->producers_count < self->producers_max)
        return ZSPOOL_OK;
    size_t max = self->producers_max? 2 * self->producers_max: 16;
    zspool_producer_state_t *grown =
        (zspool_producer_state_t *) realloc (self->producers, max * sizeof *grown);
    if (!grown)
        return ZSPOOL_ENOMEM;
    self->producers = grown;
    self->producers_max = max;
    return ZSPOOL_OK;
}

//  Have one more in memory; there is room.
static zspool_producer_state_t *
s_insert (zspool_store_t *self, uint32_t id)
{
    size_t at = s_place (self, id);
    memmove (self->producers + at + 1, self->producers + at,
             (self->producers_count - at) * sizeof *self->producers);
    self->producers_count++;
    memset (&self->producers [at], 0, sizeof self->producers [at]);
    self->producers [at].id = id;
    return &self->producers [at];
}

//  Number a new producer, and write what is known of it.
static int
s_create (zspool_store_t *self, const char *name, uint32_t *id)
{
    zspool_producer_record_t record = { .epoch = 0 };
    int rc = zspool_state_last_producer (self->txn, self->state, id);
    if (rc)
        return rc;
    if (*id >= ZSPOOL_PRODUCERS_MAX)
        return ZSPOOL_ELIMIT;
    ++*id;
    strcpy (record.name, name);
    rc = zspool_state_put_producer (self->txn, self->state, *id, &record);
    if (rc == ZSPOOL_OK)
        rc = zspool_state_put_producer_name (self->txn, self->state, name, *id);
    zspool_store_need_format (self, ZSPOOL_FORMAT_SERVICE);
    return rc;
}

//  Look up a producer that is not in memory, creating it in a transaction.
static int
s_look_up (zspool_store_t *self, zspool_txn_t *txn, const char *name, uint32_t *id,
           zspool_producer_record_t *record, bool *created)
{
    int rc = zspool_state_find_producer (txn, self->state, name, id);
    *created = rc == ZSPOOL_ENOENT && zspool_store_is_in_txn (self);
    if (*created)
        rc = s_create (self, name, id);
    return rc? rc: zspool_state_get_producer (txn, self->state, *id, record);
}

int
zspool_store_producer (zspool_store_t *self, const char *name, uint32_t *producer, uint32_t *epoch,
                       uint64_t *last)
{
    if (!self->engine || !zspool_store_name_is_valid (name))
        return zspool_store_fail (self, ZSPOOL_EINVAL, "not a name for a producer: %s",
                                  name? name: "");
    bool in_txn = zspool_store_is_in_txn (self), created = false;
    uint32_t id;
    zspool_producer_record_t record;
    //  Memory comes first: one that is created must be known, so that rolling back forgets it.
    int rc = in_txn? s_reserve (self): zspool_view_take (self->view);
    if (rc == ZSPOOL_OK)
        rc = s_look_up (self, in_txn? self->txn: self->view, name, &id, &record, &created);
    if (!in_txn)
        zspool_view_release (self->view);
    zspool_producer_state_t *state = rc == ZSPOOL_OK && in_txn? s_find (self, id): NULL;
    if (rc == ZSPOOL_OK && in_txn && !state) {
        state = s_insert (self, id);
        state->now = state->committed = record;
        state->created = created;
        self->producers_changed = self->producers_changed || created;
    }
    if (rc == ZSPOOL_ENOENT)
        return zspool_store_fail (self, rc, "%s: no producer %s", self->directory, name);
    if (rc)
        return zspool_store_fail_code (self, rc);
    *producer = id;
    if (epoch)
        *epoch = record.epoch;
    if (last)
        *last = record.last;
    return ZSPOOL_OK;
}

int
zspool_store_set_producer (zspool_store_t *self, uint32_t producer, uint32_t epoch, uint64_t last)
{
    zspool_producer_state_t *state = zspool_store_is_in_txn (self)? s_find (self, producer): NULL;
    if (!state || last < state->now.last || (epoch > 0 && epoch < state->now.epoch))
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: cannot set a producer so",
                                  self->directory);
    if (epoch > 0)
        state->now.epoch = epoch;
    state->now.last = last;
    state->changed = self->producers_changed = true;
    int rc = zspool_state_put_producer (self->txn, self->state, producer, &state->now);
    return rc? zspool_store_fail_code (self, rc): ZSPOOL_OK;
}

int
zspool_store_producer_info (zspool_store_t *self, uint32_t after, zspool_producer_info_t *info)
{
    if (!self->engine || self->in_txn)
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: cannot list here", self->directory);
    zspool_producer_record_t record;
    int rc = zspool_view_take (self->view);
    if (rc == ZSPOOL_OK)
        rc = zspool_state_next_producer (self->view, self->state, &after, &record);
    zspool_view_release (self->view);
    if (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT) {
        memset (info, 0, sizeof *info);
        info->id = after;
    }
    if (rc)
        return rc == ZSPOOL_ENOENT? rc: zspool_store_fail_code (self, rc);
    strcpy (info->name, record.name);
    info->epoch = record.epoch;
    info->last = record.last;
    return ZSPOOL_OK;
}

void
zspool_store_end_producers (zspool_store_t *self, bool committed)
{
    if (!self->producers_changed)
        return;
    size_t left = 0;
    for (size_t index = 0; index < self->producers_count; index++) {
        zspool_producer_state_t *state = &self->producers [index];
        if (state->created && !committed)
            continue;
        if (state->changed && committed)
            state->committed = state->now;
        else if (state->changed)
            state->now = state->committed;
        state->created = state->changed = false;
        self->producers [left++] = *state;
    }
    self->producers_count = left;
    self->producers_changed = false;
}
