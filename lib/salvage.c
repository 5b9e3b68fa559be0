//  salvage.c - saves what a damaged store still holds into a new one
//
//  SPDX-License-Identifier: MPL-2.0
//
//  In three steps: find (salvage_find.c), plan (salvage_plan.c), and here: write the new store,
//  which gets its name when it is whole. The old store's lock is held as a reader would, so that no
//  writer comes meanwhile.

#include "zspool_salvage.h"
#include "fresh.h"
#include "salvage_keep.h"
#include "salvage_named.h"
#include "salvage_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

//  How much goes into one commit
#define COMMIT_BYTES (32 * 1024 * 1024)
#define COMMIT_BLOCKS 4096

typedef struct {
    const char *directory;
    const char *to;
    const zspool_salvage_options_t *options;
    char *reason;
    int lock_fd;                  //  of the old store; -1: there is none
    zspool_finder_t finder;
    zspool_plan_t plan;
    zspool_fresh_t *fresh;
    zspool_store_t *store;        //  the new one
    uint64_t commit_bytes;        //  in the open transaction
    uint64_t commit_blocks;
    zspool_salvage_result_t result;

    //  The spool being written
    const zspool_plan_spool_t *from;
    uint32_t spool;
    uint64_t next;                //  sequence that follows what was written
    size_t next_gap;              //  of the old gaps
    zspool_salvage_spool_t told;
} s_salvage_t;

static int
s_fail (s_salvage_t *self, const char *name, int code)
{
    snprintf (self->reason, ZSPOOL_SALVAGE_REASON_BYTES, "%s: %s", name, zspool_strerror (code));
    return code;
}

static int
s_fail_store (s_salvage_t *self, int code)
{
    snprintf (self->reason, ZSPOOL_SALVAGE_REASON_BYTES, "%s: %s", self->to, zspool_strerror (code));
    return code;
}

static bool
s_goes_on (void *arg)
{
    s_salvage_t *self = (s_salvage_t *) arg;
    return !self->options->go_on || self->options->go_on (self->options->arg);
}

//  ------------------------------------------------------------------------------------------------
//  Reading

//  Keep writers out, without changing anything: when there is no lock file, nobody ever wrote.
static int
s_lock (s_salvage_t *self)
{
    char *path = NULL;
    if (asprintf (&path, "%s/zspool.lock", self->directory) < 0)
        return s_fail (self, self->directory, ZSPOOL_ENOMEM);
    self->lock_fd = open (path, O_RDONLY | O_CLOEXEC);
    free (path);
    if (self->lock_fd >= 0 && flock (self->lock_fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK)
        return s_fail (self, self->directory, ZSPOOL_ELOCKED);
    return ZSPOOL_OK;
}

static int
s_find (s_salvage_t *self)
{
    char *path = NULL;
    if (asprintf (&path, "%s/data.mdb", self->directory) < 0)
        return s_fail (self, self->directory, ZSPOOL_ENOMEM);
    int rc = zspool_page_file_open (&self->finder.file, path);
    free (path);
    if (rc == ZSPOOL_ENOENT)
        snprintf (self->reason, ZSPOOL_SALVAGE_REASON_BYTES, "%s: no store here", self->directory);
    if (rc)
        return rc == ZSPOOL_ENOENT? rc: s_fail (self, self->directory, rc);
    self->finder.go_on = s_goes_on;
    self->finder.arg = self;
    rc = zspool_finder_run (&self->finder);
    if (rc == ZSPOOL_OK && self->finder.newer)
        rc = ZSPOOL_EVERSION;
    if (rc == ZSPOOL_OK)
        rc = zspool_plan_make (&self->plan, &self->finder);
    if (rc)
        return s_fail (self, self->directory, rc);
    if (self->plan.spools_count == 0 && !self->plan.has_store_record) {
        snprintf (self->reason, ZSPOOL_SALVAGE_REASON_BYTES, "%s: nothing of a store is left here",
                  self->directory);
        return ZSPOOL_ENOTSTORE;
    }
    return ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Writing

//  End the open transaction and begin another, when it has grown enough.
static int
s_turn_over (s_salvage_t *self, uint64_t bytes)
{
    self->commit_bytes += bytes;
    if (self->commit_bytes < COMMIT_BYTES && ++self->commit_blocks < COMMIT_BLOCKS)
        return ZSPOOL_OK;
    self->commit_bytes = self->commit_blocks = 0;
    int rc = zspool_store_commit (self->store);
    return rc? rc: zspool_store_begin (self->store);
}

static int
s_keep_lost (s_salvage_t *self, uint64_t first, uint64_t last)
{
    zspool_gap_t gap = { first, last, zspool_now_us () };
    self->told.lost += last - first + 1;
    if (self->options->lost)
        self->options->lost (self->options->arg, self->from->name, first, last);
    return zspool_keep_gap (self->store, self->spool, &gap);
}

//  Account for what lies between what was written and `end`: recorded gaps stay what they are, all
//  else is lost, up to `lost_to`, and behind that was never stored.
static int
s_keep_hole (s_salvage_t *self, uint64_t end, uint64_t lost_to)
{
    int rc = ZSPOOL_OK;
    while (rc == ZSPOOL_OK && self->next < end) {
        const zspool_gap_t *gap = NULL;
        while (self->next_gap < self->from->gaps_count && self->from->gaps [self->next_gap].last < self->next)
            self->next_gap++;
        if (self->next_gap < self->from->gaps_count && self->from->gaps [self->next_gap].first < end)
            gap = &self->from->gaps [self->next_gap];
        uint64_t first = self->next, last = end - 1;
        if (gap && gap->first <= first) {
            zspool_gap_t part = { first, gap->last < last? gap->last: last, gap->found_us };
            last = part.last;
            rc = zspool_keep_gap (self->store, self->spool, &part);
        }
        else {
            if (gap)
                last = gap->first - 1;
            if (first <= lost_to && last > lost_to)
                last = lost_to;
            zspool_gap_t part = { first, last, zspool_now_us () };
            rc = first <= lost_to? s_keep_lost (self, first, last): zspool_keep_gap (self->store, self->spool, &part);
        }
        self->next = last + 1;
    }
    return rc;
}

static int
s_keep_block (s_salvage_t *self, const zspool_found_block_t *found)
{
    if (!s_goes_on (self))
        return ZSPOOL_ECANCELED;
    zspool_block_t *block = zspool_finder_read (&self->finder, found);
    if (!block)
        return ZSPOOL_EIO; //  it was whole a moment ago
    int rc = s_keep_hole (self, found->first, UINT64_MAX);
    if (rc == ZSPOOL_OK)
        rc = zspool_keep_block (self->store, self->spool, block);
    zspool_block_destroy (&block);
    if (rc)
        return rc;
    self->next = found->first + found->count;
    self->told.messages += found->count;
    self->told.bytes += found->size;
    self->told.blocks++;
    self->told.beside += found->found == ZSPOOL_FOUND_BESIDE? found->count: 0;
    return s_turn_over (self, found->size);
}

//  Whether a block of so many messages that starts there was saved
static bool
s_is_saved (const zspool_plan_spool_t *spool, uint64_t first, uint32_t messages)
{
    size_t low = 0, high = spool->blocks_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (spool->blocks [middle]->first < first)
            low = middle + 1;
        else
            high = middle;
    }
    return low < spool->blocks_count && spool->blocks [low]->first == first
           && spool->blocks [low]->count == messages;
}

static int
s_keep_cursor (s_salvage_t *self, const zspool_plan_cursor_t *cursor)
{
    uint32_t id;
    int rc = zspool_keep_cursor (self->store, self->spool, &cursor->record, &id);
    for (size_t index = 0; rc == ZSPOOL_OK && cursor->in_tree && index < self->finder.records_count; index++) {
        const zspool_state_record_t *record = &self->finder.records [index].record;
        if (record->kind == 'E' && record->spool == self->from->id && record->cursor == cursor->id
            && s_is_saved (self->from, record->as.entry.first_sequence, record->as.entry.messages))
            rc = zspool_keep_entry (self->store, self->spool, id, &record->as.entry);
    }
    self->told.cursors += rc == ZSPOOL_OK;
    return rc;
}

//  A cursor that was not saved must find its messages when it comes again: without one that holds
//  them, those that stand further on would let them go.
static int
s_keep_lost_cursors (s_salvage_t *self)
{
    self->told.cursors_lost = self->from->cursors_lost;
    if (self->from->cursors_lost == 0 || self->from->cursors_count == 0)
        return ZSPOOL_OK;
    zspool_cursor_record_t record = { .name = "salvaged", .generation = 1 };
    uint32_t id;
    return zspool_keep_cursor (self->store, self->spool, &record, &id);
}

//  Have it keep its messages as it did, now that its cursors are there: without, more would go. Where
//  that is not known, and it has messages that every cursor had acknowledged, it keeps all.
static int
s_keep_retention (s_salvage_t *self)
{
    static const zspool_retention_t all = {
        ZSPOOL_KEEP_UNLIMITED, ZSPOOL_KEEP_UNLIMITED, ZSPOOL_KEEP_UNLIMITED, true
    };
    const zspool_plan_spool_t *from = self->from;
    bool has_history = from->blocks_count && from->blocks [0]->first < from->floor;
    if (from->has_retention)
        return zspool_store_set_retention (self->store, self->spool, &from->retention);
    if (from->may_keep && has_history)
        return zspool_store_set_retention (self->store, self->spool, &all);
    return ZSPOOL_OK;
}

//  Where the messages of a spool begin that must be there
static uint64_t
s_begin_of (const zspool_plan_spool_t *spool)
{
    uint64_t first = spool->blocks_count? spool->blocks [0]->first: UINT64_MAX;
    if (spool->cursors_count && !spool->cursors_lost && spool->floor < first)
        return spool->floor + 1;
    if (spool->blocks_count)
        return first;
    return spool->has_record? spool->record.last_sequence + 1: 1;
}

//  Number on as the old store would have, and account for what is missing at the end.
static int
s_keep_end (s_salvage_t *self)
{
    const zspool_spool_record_t *record = &self->from->record;
    uint64_t last = self->from->has_record? record->last_sequence: 0, end = last + 1;
    if (self->from->has_record && record->next_sequence > end)
        end = record->next_sequence;
    if (self->from->has_record && record->sequence_ceiling + 1 > end)
        end = record->sequence_ceiling + 1;
    for (size_t index = 0; index < self->from->cursors_count; index++)
        if (self->from->cursors [index].record.sent_to + 1 > end)
            end = self->from->cursors [index].record.sent_to + 1;
    int rc = s_keep_hole (self, end, last);
    return rc? rc: zspool_keep_numbering (self->store, self->spool, end, last);
}

static int
s_keep_spool (s_salvage_t *self, const zspool_plan_spool_t *from)
{
    self->from = from;
    self->next = s_begin_of (from);
    self->next_gap = 0;
    self->told = (zspool_salvage_spool_t) { .name = from->name, .is_named_anew = from->is_named_anew };
    int rc = zspool_keep_spool (self->store, from->name, self->next, &self->spool);
    for (size_t index = 0; rc == ZSPOOL_OK && index < from->blocks_count; index++)
        rc = s_keep_block (self, from->blocks [index]);
    if (rc == ZSPOOL_OK)
        rc = s_keep_end (self);
    for (size_t index = 0; rc == ZSPOOL_OK && index < from->cursors_count; index++)
        rc = s_keep_cursor (self, &from->cursors [index]);
    if (rc == ZSPOOL_OK)
        rc = s_keep_lost_cursors (self);
    if (rc == ZSPOOL_OK)
        rc = s_keep_retention (self);
    if (rc)
        return rc;
    //  Where nothing tells which messages are missing, the spool's count may tell how many.
    if (from->in_tree && self->told.messages + self->told.lost < from->record.messages)
        self->told.lost = from->record.messages - self->told.messages;
    self->result.spools++;
    self->result.messages += self->told.messages;
    self->result.lost += self->told.lost;
    self->result.complete = self->result.complete && self->told.lost == 0 && self->told.cursors_lost == 0
                            && !self->told.is_named_anew;
    if (self->options->spool)
        self->options->spool (self->options->arg, &self->told);
    return ZSPOOL_OK;
}

static int
s_turn_over_for (void *arg, uint64_t bytes)
{
    s_salvage_t *self = (s_salvage_t *) arg;
    return s_goes_on (self)? s_turn_over (self, bytes): ZSPOOL_ECANCELED;
}

//  Save producers, and tables of an application.
static int
s_keep_named (s_salvage_t *self)
{
    zspool_keep_named_t named = {
        .finder = &self->finder, .store = self->store, .turn_over = s_turn_over_for, .arg = self
    };
    int rc = zspool_keep_named (&named);
    self->result.producers = named.producers;
    self->result.producers_lost = named.producers_lost;
    self->result.tables = named.tables;
    self->result.tables_damaged = named.tables_damaged;
    self->result.complete =
        self->result.complete && named.producers_lost == 0 && named.tables_damaged == 0;
    return rc;
}

static int
s_write (s_salvage_t *self)
{
    self->store = zspool_store_new (zspool_fresh_path (self->fresh));
    int rc = self->store? zspool_store_open (self->store, ZSPOOL_WRITE): ZSPOOL_ENOMEM;
    if (rc == ZSPOOL_OK)
        rc = zspool_store_begin (self->store);
    zspool_origin_record_t origin = { ZSPOOL_ORIGIN_SALVAGE, self->plan.store.incarnation, zspool_now_us () };
    if (rc == ZSPOOL_OK)
        rc = zspool_keep_origin (self->store, &origin, self->plan.store.created_us);
    for (size_t index = 0; rc == ZSPOOL_OK && index < self->plan.spools_count; index++)
        rc = s_keep_spool (self, &self->plan.spools [index]);
    if (rc == ZSPOOL_OK)
        rc = s_keep_named (self);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_commit (self->store);
    zspool_store_destroy (&self->store);
    return rc? s_fail_store (self, rc): ZSPOOL_OK;
}

static int
s_run (s_salvage_t *self)
{
    int rc = s_lock (self);
    //  Nothing is read for long only to be refused at the end.
    if (rc == ZSPOOL_OK)
        rc = zspool_fresh_new (&self->fresh, self->to, self->reason);
    if (rc == ZSPOOL_OK)
        rc = s_find (self);
    if (rc)
        return rc;
    self->result.searched = self->finder.searched;
    self->result.records_lost = self->plan.records_lost;
    self->result.unplaced = self->plan.unplaced;
    self->result.complete = !self->plan.records_lost && self->plan.unplaced == 0;
    rc = s_write (self);
    return rc? rc: zspool_fresh_publish (self->fresh, self->reason);
}

int
zspool_salvage (const char *directory, const char *to, const zspool_salvage_options_t *options,
                zspool_salvage_result_t *result, char reason [ZSPOOL_SALVAGE_REASON_BYTES])
{
    static const zspool_salvage_options_t usual;
    s_salvage_t *self = (s_salvage_t *) calloc (1, sizeof *self);
    if (!self || !directory || !to || !*to) {
        free (self);
        snprintf (reason, ZSPOOL_SALVAGE_REASON_BYTES, "%s", zspool_strerror (self? ZSPOOL_EINVAL: ZSPOOL_ENOMEM));
        return self? ZSPOOL_EINVAL: ZSPOOL_ENOMEM;
    }
    self->directory = directory;
    self->to = to;
    self->options = options? options: &usual;
    self->reason = reason;
    self->lock_fd = self->finder.file.fd = -1;
    int rc = s_run (self);
    if (rc == ZSPOOL_OK)
        *result = self->result;
    zspool_fresh_destroy (&self->fresh);
    zspool_plan_free (&self->plan);
    zspool_finder_free (&self->finder);
    zspool_page_file_close (&self->finder.file);
    if (self->lock_fd >= 0)
        close (self->lock_fd);
    free (self);
    return rc;
}
