//  catalog.c - the spools that a service has open, the groups that deliver from them, and its jobs
//
//  SPDX-License-Identifier: MPL-2.0

#include "catalog.h"
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

//  A group, and when it is to have a turn
typedef struct {
    zspool_group_t *group;
    uint32_t spool;
    uint32_t cursor;
    bool awake;
    int64_t due_ms;
    int64_t busy_ms;           //  how long it waits to try again
} s_entry_t;

//  Filters, as a SUBSCRIBE gave them: texts in one allocation, with their bytes behind
typedef struct {
    size_t count;
    zsp_text_t *texts;
} s_filters_t;

struct zspool_catalog {
    zspool_options_t options;
    zspool_group_ops_t ops;
    zlist_t *cursors;          //  the device's own, on its own spool
    zspool_block_pool_t *pool;
    zspool_shelf_t **shelves;
    size_t shelves_count;
    s_entry_t *entries;
    size_t entries_count;
    size_t entries_max;
    bool changed;              //  some cursor may have changes
    size_t joining;            //  jobs under way that read a cursor for a consumer to come
};

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

static zspool_shelf_t *
s_shelf (const zspool_catalog_t *self, uint32_t spool)
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

static s_entry_t *
s_entry (const zspool_catalog_t *self, uint32_t spool, uint32_t cursor)
{
    for (size_t index = 0; index < self->entries_count; index++)
        if (self->entries [index].spool == spool && self->entries [index].cursor == cursor)
            return &self->entries [index];
    return NULL;
}

static s_entry_t *
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
    const s_entry_t *entry = s_entry (self, spool, cursor);
    return entry? entry->group: NULL;
}

//  Whether an outlet of the device, or the handling of dead letters, uses the cursor.
static bool
s_is_own (const zspool_catalog_t *self, const zspool_shelf_t *shelf, const char *cursor)
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
    const zspool_shelf_t *shelf = s_shelf (self, spool);
    if (shelf && s_is_own (self, shelf, cursor))
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
    s_entry_t *entry = s_entry_of (self, group);
    if (!entry)
        return;
    zspool_group_destroy (&entry->group);
    *entry = self->entries [--self->entries_count];
}

//  ------------------------------------------------------------------------------------------------
//  Subscribing

static void
s_free_filters (void *filters)
{
    free (((s_filters_t *) filters)->texts);
    free (filters);
}

//  Copy the filters of a SUBSCRIBE.
static s_filters_t *
s_copy_filters (const zsp_t *command)
{
    size_t count = command->as.subscribe.filters_count, bytes = 0;
    const uint8_t *at = NULL;
    for (size_t index = 0; index < count; index++)
        bytes += zsp_filter (command, &at).size;
    s_filters_t *filters = (s_filters_t *) calloc (1, sizeof *filters);
    zsp_text_t *texts = (zsp_text_t *) malloc (count * sizeof *texts + bytes + 1);
    if (!filters || !texts) {
        free (filters);
        free (texts);
        return NULL;
    }
    char *to = (char *) (texts + count);
    at = NULL;
    for (size_t index = 0; index < count; index++) {
        zsp_text_t filter = zsp_filter (command, &at);
        if (filter.size > 0)
            memcpy (to, filter.data, filter.size);
        texts [index] = (zsp_text_t){ to, filter.size };
        to += filter.size;
    }
    filters->count = count;
    filters->texts = texts;
    return filters;
}

//  Let groups go that nobody uses, when there are many: those that hold nothing, and the others
//  when nothing else makes room. Not while a cursor is being read, for that may be older than what
//  such a group has told the writer since.
static void
s_drop_idle (zspool_catalog_t *self)
{
    if (self->joining > 0 || self->entries_count < ZSPOOL_GROUPS_MAX / 2)
        return;
    for (int held = 0; held < 2; held++)
        for (size_t index = 0;
             index < self->entries_count && (!held || self->entries_count == ZSPOOL_GROUPS_MAX);)
            if (zspool_group_is_idle (self->entries [index].group, held)) {
                zspool_group_destroy (&self->entries [index].group);
                self->entries [index] = self->entries [--self->entries_count];
            }
            else
                index++;
}

int
zspool_catalog_prepare (zspool_catalog_t *self, const zsp_t *command, zspool_store_job_t *job)
{
    char start [ZSP_TEXT_BYTES_MAX + 1];
    snprintf (start, sizeof start, "%.*s", (int) command->as.subscribe.start.size,
              command->as.subscribe.start.data);
    snprintf (job->name, sizeof job->name, "%.*s", (int) command->as.subscribe.cursor.size,
              command->as.subscribe.cursor.data);
    job->spool = command->as.subscribe.spool;
    job->create = command->flags & ZSP_FLAG_CREATE;
    if (zspool_start_parse (&job->start, *start? start: "all"))
        return ZSPOOL_EINVAL;
    const zspool_shelf_t *shelf = s_shelf (self, job->spool);
    if (!shelf)
        return ZSPOOL_ENOENT;
    if (s_is_own (self, shelf, job->name))
        return ZSPOOL_EBUSY;
    job->owner = s_copy_filters (command);
    job->free_owner = s_free_filters;
    if (!job->owner)
        return ZSPOOL_ENOMEM;
    s_drop_idle (self);
    self->joining++;
    return ZSPOOL_OK;
}

//  Compile filters; NULL in *filter_p: there are none.
static int
s_compile (const s_filters_t *filters, zspool_filter_t **filter_p)
{
    *filter_p = filters->count? zspool_filter_new (): NULL;
    int rc = filters->count && !*filter_p? ZSPOOL_ENOMEM: ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < filters->count; index++)
        rc =
            zspool_filter_add (*filter_p, filters->texts [index].data, filters->texts [index].size);
    if (rc)
        zspool_filter_destroy (filter_p);
    return rc;
}

//  Make a group of what a job gives. The job keeps what was not taken.
static int
s_make_group (zspool_catalog_t *self, zspool_store_job_t *job)
{
    s_filters_t *filters = (s_filters_t *) job->owner;
    if (self->entries_count == ZSPOOL_GROUPS_MAX)
        return ZSPOOL_ELIMIT;
    if (self->entries_count == self->entries_max) {
        size_t max = self->entries_max? 2 * self->entries_max: 16;
        s_entry_t *entries = (s_entry_t *) realloc (self->entries, max * sizeof *entries);
        if (!entries)
            return ZSPOOL_ENOMEM;
        self->entries = entries;
        self->entries_max = max;
    }
    zspool_group_args_t args = {
        .ops = &self->ops,
        .shelf = s_shelf (self, job->spool),
        .cursor_id = job->cursor,
        .generation = job->generation,
        .floor = job->floor,
        .sent_to = job->sent_to,
        .tracker = job->tracker,
        .filters = filters->texts,
        .filters_count = filters->count,
        .ack_timeout_ms = (int64_t) self->options.ack_timeout_ms,
        .max_deliveries = (unsigned) self->options.max_deliveries,
    };
    strcpy (args.cursor, job->name);
    int rc = s_compile (filters, &args.filter);
    if (rc)
        return rc;
    zspool_group_t *group = zspool_group_new (&args);
    if (!group) {
        zspool_filter_destroy (&args.filter);
        return ZSPOOL_ENOMEM;
    }
    job->tracker = NULL;
    filters->texts = NULL;
    self->entries [self->entries_count++] =
        (s_entry_t){ group, job->spool, job->cursor, true, INT64_MAX, BUSY_MS_MIN };
    return ZSPOOL_OK;
}

int
zspool_catalog_join (zspool_catalog_t *self, zspool_store_job_t *job,
                     zspool_subscription_t *subscription, const char **why)
{
    s_filters_t *filters = (s_filters_t *) job->owner;
    s_entry_t *entry = s_entry (self, job->spool, job->cursor);
    int rc = entry? ZSPOOL_OK: s_make_group (self, job);
    if (rc)
        return rc;
    if (entry && !zspool_group_has_filters (entry->group, filters->texts, filters->count)) {
        zspool_group_info_t info;
        zspool_group_info (entry->group, &info);
        if (info.consumers > 0) {
            *why = "the cursor is used with other filters";
            return ZSPOOL_EINVAL;
        }
        zspool_filter_t *filter;
        rc = s_compile (filters, &filter);
        if (rc)
            return rc;
        zspool_group_set_filters (entry->group, filter, filters->texts, filters->count);
        filters->texts = NULL;
    }
    entry = s_entry (self, job->spool, job->cursor);
    entry->awake = true;
    rc = zspool_group_join (entry->group, subscription);
    if (rc == ZSPOOL_EBUSY)
        *why = "of a cursor's consumers all are exclusive, or none";
    return rc;
}

void
zspool_catalog_add_credit (zspool_subscription_t *subscription, uint64_t messages, uint64_t bytes)
{
    subscription->credit_messages += messages;
    if (subscription->credit_messages > ZSPOOL_CREDIT_MESSAGES_MAX)
        subscription->credit_messages = ZSPOOL_CREDIT_MESSAGES_MAX;
    if (bytes > ZSPOOL_CREDIT_BYTES_MAX)
        bytes = ZSPOOL_CREDIT_BYTES_MAX;
    subscription->credit_bytes += (int64_t) bytes;
    if (subscription->credit_bytes > (int64_t) ZSPOOL_CREDIT_BYTES_MAX)
        subscription->credit_bytes = (int64_t) ZSPOOL_CREDIT_BYTES_MAX;
}

//  ------------------------------------------------------------------------------------------------
//  Jobs

void
zspool_catalog_hand_job (zspool_catalog_t *self, zspool_store_job_t *job)
{
    job->pool = self->pool;
    if (zspool_handoff_send (self->ops.writer, HANDOFF_JOB, job, 0))
        zspool_catalog_drop_job (self, &job);
}

void
zspool_catalog_drop_job (zspool_catalog_t *self, zspool_store_job_t **job_p)
{
    if (*job_p && (*job_p)->owner)
        self->joining--;
    zspool_job_destroy (job_p);
}

void
zspool_catalog_track_anew (zspool_catalog_t *self, zspool_group_t *group)
{
    zspool_group_info_t info;
    zspool_group_info (group, &info);
    zspool_store_job_t *job = zspool_job_new (ZSPOOL_JOB_OPEN_CURSOR);
    if (!job)
        return; //  its changes are of another generation: they are ignored, and acknowledging is stale
    job->spool = info.spool;
    strcpy (job->name, info.cursor);
    zspool_catalog_hand_job (self, job);
}

//  A spool was opened: it has a shelf from now on.
static int
s_add_shelf (zspool_catalog_t *self, zspool_store_job_t *job)
{
    zspool_shelf_t **shelves =
        (zspool_shelf_t **) realloc (self->shelves, (self->shelves_count + 1) * sizeof *shelves);
    if (shelves)
        self->shelves = shelves;
    zspool_shelf_t *shelf = shelves? (zspool_shelf_t *) calloc (1, sizeof *shelf): NULL;
    if (!shelf)
        return ZSPOOL_ENOMEM;
    zspool_shelf_init (shelf, job->spool, job->name, job->reader, job->last_sequence);
    job->reader = NULL;
    self->shelves [self->shelves_count++] = shelf;
    return ZSPOOL_OK;
}

//  A cursor was moved: its group goes on from where it stands.
static void
s_moved (zspool_catalog_t *self, zspool_store_job_t *job)
{
    s_entry_t *entry = s_entry (self, job->spool, job->cursor);
    if (!entry)
        return;
    zspool_group_moved (entry->group, job->generation, job->floor, job->sent_to, job->tracker);
    job->tracker = NULL;
    entry->awake = true;
}

void
zspool_catalog_job_done (zspool_catalog_t *self, zspool_store_job_t *job, uint64_t *newest)
{
    s_entry_t *entry = s_entry (self, job->spool, job->cursor);
    if (job->kind == ZSPOOL_JOB_OPEN_DEAD && entry) {
        zspool_group_set_dead (entry->group, job->rc? 0: job->dead_spool);
        entry->awake = true;
    }
    if (job->rc)
        return;
    switch (job->kind) {
    case ZSPOOL_JOB_OPEN_SPOOL:
        if (!s_shelf (self, job->spool))
            job->rc = s_add_shelf (self, job);
        if (job->rc == ZSPOOL_OK)
            *newest = s_shelf (self, job->spool)->newest;
        break;
    case ZSPOOL_JOB_OPEN_CURSOR:
        if (job->session == 0)
            s_moved (self, job);
        break;
    case ZSPOOL_JOB_SEEK: s_moved (self, job); break;
    default: break;
    }
}

//  ------------------------------------------------------------------------------------------------
//  Turns

void
zspool_catalog_wake (zspool_catalog_t *self, zspool_group_t *group)
{
    s_entry_t *entry = s_entry_of (self, group);
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
    zspool_shelf_t *shelf = s_shelf (self, spool);
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
    zspool_shelf_t *shelf = s_shelf (self, spool);
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
    s_entry_t *entry = s_entry (self, move->from, move->cursor);
    if (!entry) {
        zspool_move_destroy (&move);
        return;
    }
    zspool_group_buried (entry->group, move, now_ms);
    entry->awake = true;
}

//  Give a group a turn, and note when it is to have the next.
static void
s_take_turn (s_entry_t *entry, int64_t now_ms)
{
    zspool_turn_t turn = zspool_group_turn (entry->group, now_ms);
    entry->awake = turn == ZSPOOL_TURN_MORE;
    entry->due_ms = zspool_group_due_ms (entry->group);
    if (turn != ZSPOOL_TURN_BUSY)
        entry->busy_ms = BUSY_MS_MIN;
    else {
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
        s_entry_t *entry = &self->entries [index];
        if (entry->awake || entry->due_ms <= now_ms) {
            s_take_turn (entry, now_ms);
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
