//  catalog_jobs.c - what a catalog has the writer do: open spools, and cursors for consumers
//
//  SPDX-License-Identifier: MPL-2.0

#include "catalog_parts.h"
#include "handoff.h"

#include <stdlib.h>
#include <string.h>

//  Most bytes of all filters
#define FILTER_BYTES_MAX (64 * 1024 * 1024)

//  Filters, as a SUBSCRIBE gave them: texts in one allocation, with their bytes behind
typedef struct {
    size_t count;
    size_t bytes;
    zsp_text_t *texts;
} s_filters_t;

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
    filters->bytes = count * sizeof *texts + bytes;
    filters->texts = texts;
    return filters;
}

//  Let groups go that nobody uses, when there are many: those that hold nothing, and the others
//  when nothing else makes room. Not while a cursor is being read, for that may be older than what
//  such a group has told the writer since.
static void
s_drop_idle (zspool_catalog_t *self)
{
    if (self->joining > 0
        || (self->entries_count < ZSPOOL_GROUPS_MAX / 2
            && self->filter_bytes < FILTER_BYTES_MAX / 2))
        return;
    for (int held = 0; held < 2; held++)
        for (size_t index = 0;
             index < self->entries_count && (!held || self->entries_count == ZSPOOL_GROUPS_MAX);)
            if (zspool_group_is_idle (self->entries [index].group, held))
                zspool_catalog_remove (self, self->entries [index].group);
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
    const zspool_shelf_t *shelf = zspool_catalog_shelf (self, job->spool);
    if (!shelf)
        return ZSPOOL_ENOENT;
    if (zspool_catalog_is_own (self, shelf, job->name))
        return ZSPOOL_EBUSY;
    job->owner = s_copy_filters (command);
    job->free_owner = s_free_filters;
    if (!job->owner)
        return ZSPOOL_ENOMEM;
    s_drop_idle (self);
    self->joining++;
    self->filter_bytes += ((const s_filters_t *) job->owner)->bytes;
    return self->filter_bytes <= FILTER_BYTES_MAX? ZSPOOL_OK: ZSPOOL_ELIMIT;
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
        zspool_catalog_entry_t *entries =
            (zspool_catalog_entry_t *) realloc (self->entries, max * sizeof *entries);
        if (!entries)
            return ZSPOOL_ENOMEM;
        self->entries = entries;
        self->entries_max = max;
    }
    zspool_group_args_t args = {
        .ops = &self->ops,
        .shelf = zspool_catalog_shelf (self, job->spool),
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
        (zspool_catalog_entry_t){ .group = group,
                                  .spool = job->spool,
                                  .cursor = job->cursor,
                                  .awake = true,
                                  .due_ms = INT64_MAX,
                                  .filter_bytes = filters->bytes };
    return ZSPOOL_OK;
}

int
zspool_catalog_join (zspool_catalog_t *self, zspool_store_job_t *job,
                     zspool_subscription_t *subscription, const char **why)
{
    s_filters_t *filters = (s_filters_t *) job->owner;
    zspool_catalog_entry_t *entry = zspool_catalog_entry (self, job->spool, job->cursor);
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
        self->filter_bytes -= entry->filter_bytes;
        entry->filter_bytes = filters->bytes;
        filters->texts = NULL;
    }
    entry = zspool_catalog_entry (self, job->spool, job->cursor);
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
    const s_filters_t *filters = *job_p? (const s_filters_t *) (*job_p)->owner: NULL;
    if (filters) {
        self->joining--;
        self->filter_bytes -= filters->texts? filters->bytes: 0;
    }
    zspool_job_destroy (job_p);
}

void
zspool_catalog_track_anew (zspool_catalog_t *self, zspool_group_t *group)
{
    zspool_group_info_t info;
    zspool_group_info (group, &info);
    zspool_store_job_t *job = zspool_job_new (ZSPOOL_JOB_OPEN_CURSOR);
    zspool_catalog_entry_t *entry = zspool_catalog_entry (self, info.spool, info.cursor_id);
    if (entry) {
        entry->astray = !job;
        entry->awake = entry->awake || !job;
    }
    if (!job)
        return; //  again later
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
    zspool_catalog_entry_t *entry = zspool_catalog_entry (self, job->spool, job->cursor);
    if (!entry)
        return;
    zspool_group_moved (entry->group, job->generation, job->floor, job->sent_to, job->tracker);
    job->tracker = NULL;
    entry->awake = true;
}

void
zspool_catalog_job_done (zspool_catalog_t *self, zspool_store_job_t *job, uint64_t *newest)
{
    zspool_catalog_entry_t *entry = zspool_catalog_entry (self, job->spool, job->cursor);
    if (job->kind == ZSPOOL_JOB_OPEN_DEAD && entry) {
        zspool_group_set_dead (entry->group, job->rc? 0: job->dead_spool);
        entry->awake = true;
    }
    if (job->rc)
        return;
    switch (job->kind) {
    case ZSPOOL_JOB_OPEN_SPOOL:
        if (!zspool_catalog_shelf (self, job->spool))
            job->rc = s_add_shelf (self, job);
        if (job->rc == ZSPOOL_OK)
            *newest = zspool_catalog_shelf (self, job->spool)->newest;
        break;
    case ZSPOOL_JOB_OPEN_CURSOR:
        if (job->session == 0)
            s_moved (self, job);
        break;
    case ZSPOOL_JOB_SEEK: s_moved (self, job); break;
    default: break;
    }
}
