//  store_open.c - creates, opens and closes a store
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Thread: the owner's. Opening reads the records of spools and cursors, never blocks, so it takes
//  the same time whatever is stored.

#include "store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

int64_t
zspool_now_us (void)
{
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int
zspool_store_fail (zspool_store_t *self, int code, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    vsnprintf (self->reason, sizeof self->reason, format, args);
    va_end (args);
    return code;
}

int
zspool_store_fail_code (zspool_store_t *self, int code)
{
    return zspool_store_fail (self, code, "%s: %s", self->directory, zspool_strerror (code));
}

zspool_store_t *
zspool_store_new (const char *directory)
{
    if (!directory || !*directory)
        return NULL;
    zspool_store_t *self = (zspool_store_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->directory = strdup (directory);
    self->map_bytes = ZSPOOL_MAP_BYTES;
    if (!self->directory) {
        free (self);
        return NULL;
    }
    return self;
}

void
zspool_store_free_spool (zspool_spool_state_t *spool)
{
    for (size_t index = 0; index < spool->cursors_count; index++)
        zspool_cursor_destroy (&spool->cursors [index].tracker);
    free (spool->cursors);
    zspool_block_destroy (&spool->filling);
}

//  Close the database, and forget what was read from it.
static void
s_close_engine (zspool_store_t *self)
{
    zspool_view_destroy (&self->view);
    zspool_engine_close (&self->engine);
    for (size_t index = 0; index < self->spools_count; index++)
        zspool_store_free_spool (&self->spools [index]);
    free (self->spools);
    self->spools = NULL;
    self->spools_count = 0;
    free (self->producers);
    self->producers = NULL;
    self->producers_count = self->producers_max = 0;
    zspool_store_free_tables (self);
}

//  Close everything that open () opened.
static void
s_close (zspool_store_t *self)
{
    s_close_engine (self);
    zspool_claim_destroy (&self->claim);
}

//  Nothing is under way: ceilings come down to what is stored, so that the next open finds a clean
//  stop.
static void
s_lower_ceilings (zspool_store_t *self)
{
    bool needed = false;
    for (size_t index = 0; index < self->spools_count; index++) {
        zspool_spool_state_t *spool = &self->spools [index];
        spool->ceiling_window = 0;
        needed = needed || spool->now.sequence_ceiling >= spool->now.next_sequence;
    }
    if (!needed || zspool_store_begin (self))
        return;
    for (size_t index = 0; index < self->spools_count; index++)
        self->spools [index].changed = true;
    zspool_store_commit (self);
}

void
zspool_store_keep_ceilings (zspool_store_t *self)
{
    self->keep_ceilings = true;
}

void
zspool_store_destroy (zspool_store_t **self_p)
{
    zspool_store_t *self = *self_p;
    if (!self)
        return;
    if (self->engine && zspool_claim_is_mine (self->claim)) {
        zspool_store_rollback (self);
        if (self->mode == ZSPOOL_WRITE && !self->failed && !self->keep_ceilings)
            s_lower_ceilings (self);
        s_close (self);
    }
    free (self->directory);
    free (self);
    *self_p = NULL;
}

int
zspool_store_set_map_bytes (zspool_store_t *self, uint64_t map_bytes)
{
    if (self->engine || map_bytes < ZSPOOL_MAP_BYTES_MIN || map_bytes > 1ULL << 46)
        return zspool_store_fail (self, ZSPOOL_EINVAL, "map size must be 64M to 64T, before opening");
    self->map_bytes = map_bytes / ZSPOOL_PAGE_BYTES * ZSPOOL_PAGE_BYTES;
    return ZSPOOL_OK;
}

//  Make room for one more spool in memory.
zspool_spool_state_t *
zspool_store_grow_spools (zspool_store_t *self)
{
    size_t size = (self->spools_count + 1) * sizeof *self->spools;
    zspool_spool_state_t *spools = (zspool_spool_state_t *) realloc (self->spools, size);
    if (!spools)
        return NULL;
    self->spools = spools;
    zspool_spool_state_t *spool = &spools [self->spools_count];
    memset (spool, 0, sizeof *spool);
    return spool;
}

zspool_cursor_state_t *
zspool_store_grow_cursors (zspool_spool_state_t *spool)
{
    size_t size = (spool->cursors_count + 1) * sizeof *spool->cursors;
    zspool_cursor_state_t *cursors = (zspool_cursor_state_t *) realloc (spool->cursors, size);
    if (!cursors)
        return NULL;
    spool->cursors = cursors;
    zspool_cursor_state_t *cursor = &cursors [spool->cursors_count];
    memset (cursor, 0, sizeof *cursor);
    return cursor;
}

int
zspool_store_open_table (zspool_store_t *self, uint32_t spool, zspool_table_t *table)
{
    char name [32];
    snprintf (name, sizeof name, "spool.%u", spool);
    return zspool_engine_table (self->engine, name, table);
}

static int
s_load_cursors (zspool_store_t *self, zspool_txn_t *txn, zspool_spool_state_t *spool)
{
    zspool_walk_t walk;
    int rc = zspool_walk_cursors (&walk, txn, self->state, spool->id);
    while (rc == ZSPOOL_OK) {
        uint32_t id;
        zspool_cursor_record_t record;
        rc = zspool_walk_next_cursor (&walk, &id, &record);
        if (rc)
            break;
        if (zspool_store_find_cursor (spool, id))
            continue;
        rc = zspool_state_get_lagged (txn, self->state, spool->id, id, &record.lagged);
        zspool_cursor_state_t *cursor = rc? NULL: zspool_store_grow_cursors (spool);
        if (!cursor) {
            rc = rc? rc: ZSPOOL_ENOMEM;
            break;
        }
        cursor->id = id;
        cursor->now = cursor->committed = record;
        spool->cursors_count++;
    }
    zspool_walk_close (&walk);
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}

//  Load the records of a spool and its cursors.
static int
s_load_spool (zspool_store_t *self, zspool_txn_t *txn, uint32_t id, const zspool_spool_record_t *record)
{
    zspool_spool_state_t *spool = zspool_store_grow_spools (self);
    if (!spool)
        return ZSPOOL_ENOMEM;
    spool->id = id;
    spool->now = *record;
    int rc = zspool_state_get_deleted (txn, self->state, id, &spool->now.cursors_deleted);
    if (rc == ZSPOOL_OK)
        rc = zspool_state_get_retention (txn, self->state, id, &spool->retention);
    spool->committed = spool->now;
    spool->retention_committed = spool->retention;
    if (rc == ZSPOOL_OK)
        rc = s_load_cursors (self, txn, spool);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_open_table (self, id, &spool->table);
    if (rc)
        zspool_store_free_spool (spool);
    else
        self->spools_count++;
    return rc;
}

//  Load the records of the spools not known yet.
static int
s_load_spools (zspool_store_t *self, zspool_txn_t *txn)
{
    zspool_walk_t walk;
    int rc = zspool_walk_spools (&walk, txn, self->state);
    while (rc == ZSPOOL_OK) {
        uint32_t id;
        zspool_spool_record_t record;
        rc = zspool_walk_next_spool (&walk, &id, &record);
        if (rc == ZSPOOL_OK && !zspool_store_find_spool (self, id))
            rc = s_load_spool (self, txn, id, &record);
    }
    zspool_walk_close (&walk);
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}

int
zspool_store_draw_incarnation (uint64_t *incarnation)
{
    uint64_t drawn = 0;
    while (drawn == 0)
        if (getrandom (&drawn, sizeof drawn, 0) < 0)
            return ZSPOOL_ESYSTEM;
    *incarnation = drawn;
    return ZSPOOL_OK;
}

//  Write the first record of a new store.
static int
s_create (zspool_store_t *self)
{
    int rc = zspool_engine_reserve (self->engine, ZSPOOL_TXN_OVERHEAD_BYTES);
    if (rc == ZSPOOL_OK)
        rc = zspool_engine_begin (self->engine, &self->txn);
    if (rc)
        return rc;
    zspool_store_record_t record = {
        .created_us = zspool_now_us (), .next_spool = 1, .format = ZSPOOL_FORMAT_QUEUES
    };
    rc = zspool_store_draw_incarnation (&record.incarnation);
    if (rc == ZSPOOL_OK)
        rc = zspool_engine_table (self->engine, ZSPOOL_STATE_TABLE, &self->state);
    if (rc == ZSPOOL_OK)
        rc = zspool_state_put_store (self->txn, self->state, &record);
    if (rc) {
        zspool_engine_abort (self->engine);
        return rc;
    }
    rc = zspool_engine_commit (self->engine);
    self->record = self->committed = record;
    return rc;
}

//  After an unclean stop messages up to the ceiling may have been forwarded and lost: number above
//  them.
static int
s_recover_numbering (zspool_store_t *self)
{
    bool needed = false;
    for (size_t index = 0; index < self->spools_count; index++)
        needed = needed
                 || self->spools [index].now.sequence_ceiling >= self->spools [index].now.next_sequence;
    if (!needed)
        return ZSPOOL_OK;
    int rc = zspool_store_begin (self);
    for (size_t index = 0; rc == ZSPOOL_OK && index < self->spools_count; index++) {
        zspool_spool_state_t *spool = &self->spools [index];
        if (spool->now.sequence_ceiling < spool->now.next_sequence)
            continue;
        zspool_gap_t gap = { spool->now.next_sequence, spool->now.sequence_ceiling, zspool_now_us () };
        rc = zspool_state_put_gap (self->txn, self->state, spool->id, &gap);
        spool->now.lost += gap.last - gap.first + 1;
        spool->now.next_sequence = gap.last + 1;
        spool->changed = true;
    }
    if (rc == ZSPOOL_OK)
        rc = zspool_store_commit (self);
    else
        zspool_store_rollback (self);
    return rc;
}

int
zspool_store_load (zspool_store_t *self)
{
    int rc = zspool_view_take (self->view);
    if (rc)
        return rc;
    rc = s_load_spools (self, self->view);
    zspool_view_release (self->view);
    return rc;
}

int
zspool_store_load_cursors (zspool_store_t *self, zspool_spool_state_t *spool)
{
    int rc = zspool_view_take (self->view);
    if (rc)
        return rc;
    rc = s_load_cursors (self, self->view, spool);
    zspool_view_release (self->view);
    return rc;
}

static int
s_open_state (zspool_store_t *self)
{
    int rc = zspool_engine_table (self->engine, ZSPOOL_STATE_TABLE, &self->state);
    if (rc == ZSPOOL_OK)
        rc = zspool_view_take (self->view);
    if (rc)
        return rc;
    rc = zspool_state_get_store (self->view, self->state, &self->record);
    zspool_view_release (self->view);
    self->committed = self->record;
    return rc? rc: zspool_store_load (self);
}

//  Whether the database has no table at all: what a crash while creating it leaves
static bool
s_is_blank (zspool_store_t *self)
{
    return zspool_engine_used_bytes (self->engine) <= 2 * ZSPOOL_PAGE_BYTES;
}

//  Open the database and read its records. ENOENT when it is blank.
static int
s_open_engine (zspool_store_t *self, zspool_engine_mode_t mode)
{
    int sys_error;
    int rc = zspool_engine_open (&self->engine, self->directory, mode, self->map_bytes, &sys_error);
    if (rc)
        return zspool_store_fail (self, rc, "%s: %s", self->directory,
                                  sys_error? strerror (sys_error): zspool_strerror (rc));
    rc = zspool_view_new (self->engine, &self->view);
    if (rc == ZSPOOL_OK)
        rc = s_open_state (self);
    if (rc == ZSPOOL_ENOENT && !s_is_blank (self))
        rc = ZSPOOL_ENOTSTORE;
    if (rc == ZSPOOL_ECORRUPT)
        return zspool_store_fail (self, rc, "%s: the record of the store, a spool or a cursor is damaged",
                                  self->directory);
    return rc? zspool_store_fail_code (self, rc): ZSPOOL_OK;
}

static int
s_open_for_reading (zspool_store_t *self)
{
    int rc = s_open_engine (self, ZSPOOL_ENGINE_READ);
    if (rc == ZSPOOL_ENOENT)
        zspool_store_fail (self, rc, "%s: no store here", self->directory);
    return rc;
}

//  What a killed process has written, or what was copied here, may be in memory only, names of
//  files included. What we show, forward or number from must outlive a power cut from now on.
static int
s_make_durable (zspool_store_t *self, bool is_new)
{
    int rc = zspool_engine_sync (self->engine);
    return rc? rc: zspool_claim_sync (self->claim, is_new);
}

static int
s_open_for_writing (zspool_store_t *self)
{
    int rc = zspool_claim_lock (self->claim, self->directory, self->reason);
    if (rc)
        return rc;
    bool is_blank = false;
    rc = s_open_engine (self, ZSPOOL_ENGINE_WRITE);
    if (rc == ZSPOOL_ENOENT)
        is_blank = true;
    else if (rc)
        return rc;
    rc = s_make_durable (self, is_blank);
    if (rc == ZSPOOL_OK)
        rc = is_blank? s_create (self): s_recover_numbering (self);
    return rc? zspool_store_fail_code (self, rc): ZSPOOL_OK;
}

static int
s_open (zspool_store_t *self, zspool_mode_t mode)
{
    int rc = zspool_claim_new (&self->claim, self->directory, mode, self->reason);
    if (rc)
        return rc;
    self->mode = mode;
    //  Look first, so that what is refused stays as it is.
    if (zspool_claim_has_database (self->claim)) {
        rc = zspool_claim_check_length (self->claim, self->directory, self->reason);
        if (rc)
            return rc;
        rc = s_open_engine (self, ZSPOOL_ENGINE_LOOK);
        s_close_engine (self);
        if (rc != ZSPOOL_OK && rc != ZSPOOL_ENOENT)
            return rc;
    }
    return mode == ZSPOOL_READ? s_open_for_reading (self): s_open_for_writing (self);
}

int
zspool_store_open (zspool_store_t *self, zspool_mode_t mode)
{
    if (self->engine || (mode != ZSPOOL_READ && mode != ZSPOOL_WRITE))
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: open already", self->directory);
    int rc = s_open (self, mode);
    if (rc)
        s_close (self);
    return rc;
}

const char *
zspool_store_reason (const zspool_store_t *self)
{
    return self->reason;
}

const char *
zspool_store_directory (const zspool_store_t *self)
{
    return self->directory;
}

uint64_t
zspool_store_incarnation (const zspool_store_t *self)
{
    return self->record.incarnation;
}

