//  job.c - what the service wants done to a store besides storing
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Thread: whoever has the store in its hands: the writer, or its committer.

#include "job.h"
#include "dead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 160                 //  longest text on a spool or cursor

zspool_store_job_t *
zspool_job_new (zspool_job_kind_t kind)
{
    zspool_store_job_t *self = (zspool_store_job_t *) calloc (1, sizeof *self);
    if (self)
        self->kind = kind;
    return self;
}

void
zspool_job_destroy (zspool_store_job_t **self_p)
{
    zspool_store_job_t *self = *self_p;
    if (!self)
        return;
    zspool_cursor_destroy (&self->tracker);
    zspool_reader_destroy (&self->reader);
    for (size_t index = 0; index < self->values_count; index++)
        free (self->values [index]);
    free (self->values);
    free (self->moved);
    if (self->owner)
        self->free_owner (self->owner);
    free (self);
    *self_p = NULL;
}

//  ------------------------------------------------------------------------------------------------
//  In the transaction

static bool
s_has_spool (const zspool_store_t *store, const char *name)
{
    for (size_t index = 0; index < store->spools_count; index++)
        if (strcmp (store->spools [index].now.name, name) == 0)
            return true;
    return false;
}

static int
s_open_spool (zspool_store_job_t *self, zspool_store_t *store)
{
    bool there = s_has_spool (store, self->name);
    if (!there && !self->create)
        return ZSPOOL_ENOENT;
    int rc = zspool_store_spool (store, self->name, &self->spool);
    if (rc == ZSPOOL_OK && !there)
        rc = zspool_store_set_retention (store, self->spool, &self->defaults->retention);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_set_ceiling_window (store, self->spool, self->defaults->ceiling_window);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_set_limit (store, self->spool, self->defaults->bytes_max,
                                     self->defaults->on_full);
    return rc;
}

static int
s_open_producer (zspool_store_job_t *self, zspool_store_t *store)
{
    uint32_t epoch;
    int rc = zspool_store_producer (store, self->name, &self->producer, &epoch, &self->last);
    if (rc)
        return rc;
    if (self->epoch > 0)
        return self->epoch == epoch? ZSPOOL_OK: ZSPOOL_EFENCED;
    self->epoch = epoch + 1;
    return zspool_store_set_producer (store, self->producer, self->epoch, self->last);
}

//  Whether a cursor of that name is there
static bool
s_has_cursor (zspool_store_t *store, uint32_t spool_id, const char *name)
{
    zspool_spool_state_t *spool = zspool_store_find_spool (store, spool_id);
    for (size_t index = 0; spool && index < spool->cursors_count; index++)
        if (strcmp (spool->cursors [index].now.name, name) == 0 && !spool->cursors [index].deleted)
            return true;
    return false;
}

static int
s_open_cursor (zspool_store_job_t *self, zspool_store_t *store)
{
    uint64_t start = ZSPOOL_START_FIRST;
    bool there = s_has_cursor (store, self->spool, self->name);
    if (!there && !self->create)
        return ZSPOOL_ENOENT;
    int rc = there? ZSPOOL_OK: zspool_store_find_start (store, self->spool, &self->start, &start);
    return rc? rc: zspool_store_cursor (store, self->spool, self->name, start, &self->cursor);
}

static int
s_open_dead (zspool_store_job_t *self, zspool_store_t *store)
{
    const zspool_spool_state_t *spool = zspool_store_find_spool (store, self->spool);
    return spool? zspool_dead_prepare (store, spool->now.name, &self->dead_spool): ZSPOOL_EINVAL;
}

static int
s_seek (zspool_store_job_t *self, zspool_store_t *store)
{
    uint64_t start;
    int rc = zspool_store_find_start (store, self->spool, &self->start, &start);
    return rc? rc: zspool_store_seek_cursor (store, self->spool, self->cursor, start);
}

static int
s_delete_cursor (zspool_store_job_t *self, zspool_store_t *store)
{
    if (!s_has_cursor (store, self->spool, self->name))
        return ZSPOOL_ENOENT;
    int rc =
        zspool_store_cursor (store, self->spool, self->name, ZSPOOL_START_FIRST, &self->cursor);
    return rc? rc: zspool_store_delete_cursor (store, self->spool, self->cursor);
}

//  Cursors that stand before the sequence are moved up to it: who delivers through them must know.
static int
s_purge (zspool_store_job_t *self, zspool_store_t *store)
{
    const zspool_spool_state_t *spool = zspool_store_find_spool (store, self->spool);
    if (!spool)
        return ZSPOOL_EINVAL;
    self->moved = (zspool_seek_t *) calloc (spool->cursors_count + 1, sizeof *self->moved);
    if (!self->moved)
        return ZSPOOL_ENOMEM;
    int rc = zspool_store_trim (store, self->spool, self->sequence);
    for (size_t index = 0; rc == ZSPOOL_OK && index < spool->cursors_count; index++) {
        const zspool_cursor_state_t *cursor = &spool->cursors [index];
        if (!cursor->deleted && cursor->now.generation != cursor->committed.generation)
            self->moved [self->moved_count++] =
                (zspool_seek_t){ self->spool, cursor->id, cursor->now.generation,
                                 cursor->now.floor };
    }
    return rc;
}

int
zspool_job_run (zspool_store_job_t *self, zspool_store_t *store)
{
    switch (self->kind) {
    case ZSPOOL_JOB_OPEN_SPOOL: self->rc = s_open_spool (self, store); break;
    case ZSPOOL_JOB_OPEN_PRODUCER: self->rc = s_open_producer (self, store); break;
    case ZSPOOL_JOB_OPEN_CURSOR: self->rc = s_open_cursor (self, store); break;
    case ZSPOOL_JOB_OPEN_DEAD: self->rc = s_open_dead (self, store); break;
    case ZSPOOL_JOB_SEEK: self->rc = s_seek (self, store); break;
    case ZSPOOL_JOB_DELETE_CURSOR: self->rc = s_delete_cursor (self, store); break;
    case ZSPOOL_JOB_PURGE: self->rc = s_purge (self, store); break;
    case ZSPOOL_JOB_LIST:
    case ZSPOOL_JOB_SYNC: self->rc = ZSPOOL_OK; break;
    }
    bool purge_refused = self->kind == ZSPOOL_JOB_PURGE && !self->moved;
    bool harmless = purge_refused || self->rc == ZSPOOL_EINVAL || self->rc == ZSPOOL_ENOENT
                    || self->rc == ZSPOOL_ELIMIT || self->rc == ZSPOOL_EFENCED
                    || self->rc == ZSPOOL_ENOSPC
                    || (self->rc == ZSPOOL_ECORRUPT && self->kind == ZSPOOL_JOB_OPEN_PRODUCER);
    return harmless? ZSPOOL_OK: self->rc;
}

//  ------------------------------------------------------------------------------------------------
//  Behind the commit

static int
s_add_value (zspool_store_job_t *self, const char *name, const char *text)
{
    char **values = (char **) realloc (self->values, (self->values_count + 2) * sizeof *values);
    if (!values)
        return ZSPOOL_ENOMEM;
    self->values = values;
    for (size_t index = 0; index < 2; index++) {
        self->values [self->values_count] = strdup (index? text: name);
        if (!self->values [self->values_count])
            return ZSPOOL_ENOMEM;
        self->values_count++;
    }
    return ZSPOOL_OK;
}

static int
s_list_spools (zspool_store_job_t *self, zspool_store_t *store)
{
    zspool_spool_info_t info;
    char line [LINE_BYTES];
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK; index++) {
        rc = zspool_store_spool_info (store, index, &info);
        snprintf (line, sizeof line, "first=%llu last=%llu messages=%llu bytes=%llu lost=%llu",
                  (unsigned long long) info.first_sequence, (unsigned long long) info.last_sequence,
                  (unsigned long long) info.messages, (unsigned long long) info.bytes,
                  (unsigned long long) info.lost);
        if (rc == ZSPOOL_OK)
            rc = s_add_value (self, info.name, line);
    }
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}

static int
s_list_cursors (zspool_store_job_t *self, zspool_store_t *store)
{
    zspool_cursor_info_t info;
    char line [LINE_BYTES];
    int rc = zspool_store_find_spool (store, self->spool)? ZSPOOL_OK: ZSPOOL_EINVAL;
    for (size_t index = 0; rc == ZSPOOL_OK; index++) {
        rc = zspool_store_cursor_info (store, self->spool, index, &info);
        snprintf (line, sizeof line,
                  "generation=%u floor=%llu sent_to=%llu pending=%llu in_flight=%llu lagged=%llu",
                  info.generation, (unsigned long long) info.floor,
                  (unsigned long long) info.sent_to, (unsigned long long) info.pending,
                  (unsigned long long) info.in_flight, (unsigned long long) info.lagged);
        if (rc == ZSPOOL_OK)
            rc = s_add_value (self, info.name, line);
    }
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}

static int
s_give_reader (zspool_store_job_t *self, zspool_store_t *store)
{
    self->last_sequence = zspool_store_find_spool (store, self->spool)->committed.last_sequence;
    self->reader = zspool_reader_new_pooled (store, self->spool, self->pool);
    return self->reader? ZSPOOL_OK: ZSPOOL_ENOMEM;
}

static int
s_give_tracker (zspool_store_job_t *self, zspool_store_t *store)
{
    const zspool_cursor_state_t *cursor =
        zspool_store_find_cursor (zspool_store_find_spool (store, self->spool), self->cursor);
    if (!cursor)
        return ZSPOOL_ENOENT; //  deleted by a job behind
    self->generation = cursor->committed.generation;
    self->floor = cursor->committed.floor;
    self->sent_to = cursor->committed.sent_to;
    return zspool_store_track_cursor (store, self->spool, self->cursor, &self->tracker);
}

void
zspool_job_finish (zspool_store_job_t *self, zspool_store_t *store)
{
    if (self->rc)
        return;
    switch (self->kind) {
    case ZSPOOL_JOB_OPEN_SPOOL: self->rc = s_give_reader (self, store); break;
    case ZSPOOL_JOB_OPEN_CURSOR:
    case ZSPOOL_JOB_SEEK: self->rc = s_give_tracker (self, store); break;
    case ZSPOOL_JOB_LIST:
        self->rc = self->spool? s_list_cursors (self, store): s_list_spools (self, store);
        break;
    default: break;
    }
}
