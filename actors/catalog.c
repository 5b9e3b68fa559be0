//  catalog.c - the spools that a service has open, and the groups that deliver from them
//
//  SPDX-License-Identifier: MPL-2.0

#include "catalog_parts.h"
#include "dead.h"
#include "handoff.h"
#include "request.h"
#include "session.h"

#include <stdlib.h>
#include <string.h>

//  Blocks read back, for all shelves: more than clients that do not read can hold
#define POOL_BLOCKS (ZSPOOL_SERVICE_PINNED_MAX / ZSPOOL_BLOCK_BYTES + 64)
//  Somebody could take nothing, or memory was out: how soon to try again, at first and at last
#define BUSY_MS_MIN 1
#define BUSY_MS_MAX 8

static void
s_want_dead (void *arg, zspool_group_t *group)
{
    zspool_catalog_t *self = (zspool_catalog_t *) arg;
    zspool_group_info_t info;
    zspool_group_info (group, &info);
    zspool_store_job_t *job = zspool_job_new (ZSPOOL_JOB_OPEN_DEAD);
    if (!job) {
        zspool_group_set_dead (group, 0);
        return;
    }
    job->spool = info.spool;
    job->cursor = info.cursor_id;
    zspool_catalog_hand_job (self, job);
}

zspool_catalog_t *
zspool_catalog_new (const zspool_options_t *options, const zspool_group_ops_t *ops,
                    zlist_t *cursors)
{
    zspool_catalog_t *self = (zspool_catalog_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->options = *options;
    self->ops = *ops;
    self->ops.catalog = self;
    self->ops.want_dead = s_want_dead;
    self->cursors = zlist_new ();
    zlist_autofree (self->cursors);
    for (char *name = cursors? (char *) zlist_first (cursors): NULL; name;
         name = (char *) zlist_next (cursors))
        zlist_append (self->cursors, name);
    self->pool = zspool_block_pool_new (POOL_BLOCKS, ZSPOOL_BLOCK_BYTES);
    if (!self->pool)
        zspool_catalog_destroy (&self);
    return self;
}

void
zspool_catalog_destroy (zspool_catalog_t **self_p)
{
    zspool_catalog_t *self = *self_p;
    if (!self)
        return;
    for (size_t index = 0; index < self->entries_count; index++)
        zspool_group_destroy (&self->entries [index].group);
    for (size_t index = 0; index < self->shelves_count; index++) {
        zspool_shelf_end (self->shelves [index]);
        free (self->shelves [index]);
    }
    free (self->entries);
    free (self->shelves);
    zspool_block_pool_destroy (&self->pool);
    zlist_destroy (&self->cursors);
    free (self);
    *self_p = NULL;
}

//  ------------------------------------------------------------------------------------------------
//  Shelves and groups

zspool_shelf_t *
zspool_catalog_shelf (const zspool_catalog_t *self, uint32_t spool)
{
    for (size_t index = 0; index < self->shelves_count; index++)
        if (self->shelves [index]->spool == spool)
            return self->shelves [index];
    return NULL;
}

const zspool_shelf_t *
zspool_catalog_shelf_named (const zspool_catalog_t *self, const char *name)
{
    for (size_t index = 0; index < self->shelves_count; index++)
        if (streq (self->shelves [index]->name, name))
            return self->shelves [index];
    return NULL;
}

zspool_catalog_entry_t *
zspool_catalog_entry (const zspool_catalog_t *self, uint32_t spool, uint32_t cursor)
{
    for (size_t index = 0; index < self->entries_count; index++)
        if (self->entries [index].spool == spool && self->entries [index].cursor == cursor)
            return &self->entries [index];
    return NULL;
}

static zspool_catalog_entry_t *
s_entry_of (const zspool_catalog_t *self, const zspool_group_t *group)
{
    for (size_t index = 0; index < self->entries_count; index++)
        if (self->entries [index].group == group)
            return &self->entries [index];
    return NULL;
}

zspool_group_t *
zspool_catalog_group (const zspool_catalog_t *self, uint32_t spool, uint32_t cursor)
{
    const zspool_catalog_entry_t *entry = zspool_catalog_entry (self, spool, cursor);
    return entry? entry->group: NULL;
}

//  Whether an outlet of the device, or the handling of dead letters, uses the cursor.
bool
zspool_catalog_is_own (const zspool_catalog_t *self, const zspool_shelf_t *shelf,
                       const char *cursor)
{
    size_t length = strlen (shelf->name), suffix = strlen (ZSPOOL_DEAD_SUFFIX);
    if (length > suffix && streq (shelf->name + length - suffix, ZSPOOL_DEAD_SUFFIX)
        && streq (cursor, ZSPOOL_DEAD_CURSOR))
        return true;
    if (!streq (shelf->name, self->options.name))
        return false;
    for (char *own = (char *) zlist_first (self->cursors); own;
         own = (char *) zlist_next (self->cursors))
        if (streq (own, cursor))
            return true;
    return false;
}

bool
zspool_catalog_is_used (const zspool_catalog_t *self, uint32_t spool, const char *cursor)
{
    const zspool_shelf_t *shelf = zspool_catalog_shelf (self, spool);
    if (shelf && zspool_catalog_is_own (self, shelf, cursor))
        return true;
    for (size_t index = 0; index < self->entries_count; index++) {
        zspool_group_info_t info;
        zspool_group_info (self->entries [index].group, &info);
        if (info.spool == spool && streq (info.cursor, cursor) && info.consumers > 0)
            return true;
    }
    return false;
}

void
zspool_catalog_remove (zspool_catalog_t *self, zspool_group_t *group)
{
    zspool_catalog_entry_t *entry = s_entry_of (self, group);
    if (!entry)
        return;
    self->filter_bytes -= entry->filter_bytes;
    zspool_group_destroy (&entry->group);
    *entry = self->entries [--self->entries_count];
}

//  ------------------------------------------------------------------------------------------------
//  Turns

void
zspool_catalog_wake (zspool_catalog_t *self, zspool_group_t *group)
{
    zspool_catalog_entry_t *entry = s_entry_of (self, group);
    if (entry)
        entry->awake = true;
    self->changed = true;
}

static void
s_wake_spool (zspool_catalog_t *self, uint32_t spool)
{
    for (size_t index = 0; index < self->entries_count; index++)
        if (self->entries [index].spool == spool)
            self->entries [index].awake = true;
}

//  Blocks that are kept are missing where they came from: let some go. They are read back when
//  somebody wants them.
static void
s_bound_live (zspool_catalog_t *self, zspool_shelf_t *added)
{
    size_t count = added->live_count;
    zspool_shelf_t *most = NULL;
    for (size_t index = 0; index < self->shelves_count; index++) {
        zspool_shelf_t *shelf = self->shelves [index];
        if (shelf == added)
            continue;
        count += shelf->live_count;
        if (!most || shelf->live_count > most->live_count)
            most = shelf;
    }
    if (count > ZSPOOL_SHELVES_LIVE_MAX)
        zspool_shelf_drop_live (most && most->live_count >= added->live_count? most: added);
}

void
zspool_catalog_live (zspool_catalog_t *self, uint32_t spool, zspool_block_t *block)
{
    zspool_shelf_t *shelf = zspool_catalog_shelf (self, spool);
    if (!shelf) {
        zspool_block_destroy (&block);
        return;
    }
    zspool_shelf_live (shelf, block);
    s_bound_live (self, shelf);
    s_wake_spool (self, spool);
}

void
zspool_catalog_stored (zspool_catalog_t *self, uint32_t spool)
{
    zspool_shelf_t *shelf = zspool_catalog_shelf (self, spool);
    if (shelf)
        zspool_shelf_stored (shelf);
    s_wake_spool (self, spool);
}

void
zspool_catalog_dropped (zspool_catalog_t *self, uint32_t spool, uint64_t dropped_to)
{
    for (size_t index = 0; index < self->entries_count; index++)
        if (self->entries [index].spool == spool) {
            zspool_group_dropped (self->entries [index].group, dropped_to);
            self->entries [index].awake = true;
        }
    self->changed = true;
}

void
zspool_catalog_buried (zspool_catalog_t *self, zspool_move_t *move, int64_t now_ms)
{
    zspool_catalog_entry_t *entry = zspool_catalog_entry (self, move->from, move->cursor);
    if (!entry) {
        zspool_move_destroy (&move);
        return;
    }
    zspool_group_buried (entry->group, move, now_ms);
    entry->awake = true;
}

//  Give a group a turn, and note when it is to have the next.
static void
s_take_turn (zspool_catalog_entry_t *entry, int64_t now_ms)
{
    zspool_turn_t turn = zspool_group_turn (entry->group, now_ms);
    entry->awake = turn == ZSPOOL_TURN_MORE;
    entry->due_ms = zspool_group_due_ms (entry->group);
    if (turn != ZSPOOL_TURN_BUSY || entry->busy_ms == 0)
        entry->busy_ms = BUSY_MS_MIN;
    if (turn == ZSPOOL_TURN_BUSY) {
        if (now_ms + entry->busy_ms < entry->due_ms || entry->due_ms <= now_ms)
            entry->due_ms = now_ms + entry->busy_ms;
        entry->busy_ms = 2 * entry->busy_ms < BUSY_MS_MAX? 2 * entry->busy_ms: BUSY_MS_MAX;
    }
}

//  When a shelf finds no block to read into, since others keep all, these let go.
static void
s_feed_shelves (zspool_catalog_t *self)
{
    bool starves = false;
    for (size_t index = 0; index < self->shelves_count; index++)
        starves = starves || self->shelves [index]->starves;
    for (size_t index = 0; starves && index < self->shelves_count; index++)
        zspool_shelf_forget (self->shelves [index]);
}

bool
zspool_catalog_turn (zspool_catalog_t *self, int64_t now_ms, int64_t *due_ms)
{
    bool more = false;
    *due_ms = INT64_MAX;
    for (size_t index = 0; index < self->entries_count; index++) {
        zspool_catalog_entry_t *entry = &self->entries [index];
        if (entry->awake || entry->due_ms <= now_ms) {
            s_take_turn (entry, now_ms);
            if (entry->astray)
                zspool_catalog_track_anew (self, entry->group);
            self->changed = true;
            more = more || entry->awake;
        }
        if (entry->due_ms < *due_ms)
            *due_ms = entry->due_ms;
    }
    s_feed_shelves (self);
    return more;
}

bool
zspool_catalog_hand_changes (zspool_catalog_t *self)
{
    bool handed = true;
    for (size_t index = 0; self->changed && index < self->entries_count; index++)
        if (!zspool_group_hand_change (self->entries [index].group, false))
            handed = false;
    self->changed = !handed;
    return handed;
}

bool
zspool_catalog_has_changes (const zspool_catalog_t *self)
{
    return self->changed;
}

static void
s_add (zmsg_t *reply, const char *prefix, const zspool_group_info_t *info, const char *name,
       uint64_t value)
{
    char full [2 * ZSPOOL_NAME_MAX + 64];
    snprintf (full, sizeof full, "%s/%s/%s/%s", prefix, info->spool_name, info->cursor, name);
    zspool_reply_add (reply, full, value);
}

void
zspool_catalog_status (const zspool_catalog_t *self, zmsg_t *reply)
{
    zspool_reply_add (reply, "service/spools", self->shelves_count);
    zspool_reply_add (reply, "service/groups", self->entries_count);
    uint64_t consumers = 0, damaged = 0;
    for (size_t index = 0; index < self->shelves_count; index++)
        damaged += self->shelves [index]->damaged;
    for (size_t index = 0; index < self->entries_count; index++) {
        zspool_group_info_t info;
        zspool_group_info (self->entries [index].group, &info);
        consumers += info.consumers;
    }
    //  What does not fit into an answer is left out of it: that of all comes first.
    zspool_reply_add (reply, "service/consumers", consumers);
    zspool_reply_add (reply, "service/damaged", damaged);
    for (size_t index = 0; index < self->entries_count; index++) {
        zspool_group_info_t info;
        zspool_group_info (self->entries [index].group, &info);
        s_add (reply, "group", &info, "consumers", info.consumers);
        s_add (reply, "group", &info, "floor", info.floor);
        s_add (reply, "group", &info, "sent_to", info.sent_to);
        s_add (reply, "group", &info, "in_flight", info.in_flight);
        s_add (reply, "group", &info, "delivered", info.delivered);
        s_add (reply, "group", &info, "redelivered", info.redelivered);
        s_add (reply, "group", &info, "acknowledged", info.acknowledged);
        s_add (reply, "group", &info, "stale", info.stale);
        s_add (reply, "group", &info, "buried", info.buried);
    }
}
