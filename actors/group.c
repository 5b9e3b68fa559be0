//  group.c - a cursor that the service delivers through, and the consumers that compete on it
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A block is given in pieces: stretches of consecutive records that go to one consumer in one
//  DELIVER. When nothing has to be known of single records, because there is no filter and all of
//  the rest of a block is covered by a credit, a piece is that rest, and no record is looked at.

#include "group_parts.h"
#include "handoff.h"

#include <stdlib.h>
#include <string.h>

zspool_group_t *
zspool_group_new (const zspool_group_args_t *args)
{
    zspool_group_t *self = (zspool_group_t *) calloc (1, sizeof *self);
    zspool_leases_t *leases = zspool_leases_new ();
    if (!self || !leases) {
        free (self);
        zspool_leases_destroy (&leases);
        return NULL;
    }
    self->args = *args;
    self->refs = 1;
    self->leases = leases;
    self->next = args->floor + 1;
    self->known_to = args->sent_to;
    zspool_cursor_set_timeout_ms (args->tracker, 0);
    self->doom.burial.deliveries_max = args->max_deliveries;
    self->doom.burial.origin = args->shelf->name;
    self->doom.burial.from = args->shelf->spool;
    self->doom.burial.cursor = args->cursor_id;
    return self;
}

void
zspool_group_destroy (zspool_group_t **self_p)
{
    zspool_group_t *self = *self_p;
    *self_p = NULL;
    if (!self || --self->refs > 0)
        return;
    zspool_doom_destroy (&self->doom);
    zspool_leases_destroy (&self->leases);
    zspool_cursor_destroy (&self->args.tracker);
    zspool_filter_destroy (&self->args.filter);
    free (self->args.filters);
    free (self->claims);
    free (self);
}

zspool_group_t *
zspool_group_ref (zspool_group_t *self)
{
    self->refs++;
    return self;
}

//  Whether all of some filters are among others
static bool
s_are_among (const zsp_text_t *filters, size_t count, const zsp_text_t *others, size_t others_count)
{
    for (size_t index = 0; index < count; index++) {
        bool found = false;
        for (size_t at = 0; !found && at < others_count; at++)
            found = filters [index].size == others [at].size
                    && memcmp (filters [index].data, others [at].data, others [at].size) == 0;
        if (!found)
            return false;
    }
    return true;
}

bool
zspool_group_has_filters (const zspool_group_t *self, const zsp_text_t *filters, size_t count)
{
    return s_are_among (filters, count, self->args.filters, self->args.filters_count)
           && s_are_among (self->args.filters, self->args.filters_count, filters, count);
}

void
zspool_group_set_filters (zspool_group_t *self, zspool_filter_t *filter, zsp_text_t *filters,
                          size_t count)
{
    zspool_filter_destroy (&self->args.filter);
    free (self->args.filters);
    self->args.filter = filter;
    self->args.filters = filters;
    self->args.filters_count = count;
}

//  ------------------------------------------------------------------------------------------------
//  Consumers

zspool_subscription_t *
zspool_group_consumer (const zspool_group_t *self, uint64_t id)
{
    zspool_subscription_t *consumer = self->first;
    while (consumer && consumer->id != id)
        consumer = consumer->group_next;
    return consumer;
}

//  One who held deliveries does not any more.
void
zspool_group_let_go (void *arg, const zspool_lease_t *lease)
{
    zspool_subscription_t *consumer =
        zspool_group_consumer ((zspool_group_t *) arg, lease->consumer);
    if (consumer)
        consumer->in_flight -= lease->last - lease->first + 1;
}

int
zspool_group_join (zspool_group_t *self, zspool_subscription_t *subscription)
{
    if (self->first && self->first->exclusive != subscription->exclusive)
        return ZSPOOL_EBUSY;
    subscription->active = !subscription->exclusive || !self->first;
    subscription->group = self;
    subscription->group_next = NULL;
    zspool_subscription_t **end = &self->first;
    while (*end)
        end = &(*end)->group_next;
    *end = subscription;
    self->consumers++;
    return ZSPOOL_OK;
}

void
zspool_group_leave (zspool_group_t *self, zspool_subscription_t *subscription, int64_t now_ms)
{
    zspool_leases_return (self->leases, subscription->id, 1, UINT64_MAX, now_ms);
    zspool_subscription_t **at = &self->first;
    while (*at != subscription)
        at = &(*at)->group_next;
    *at = subscription->group_next;
    self->consumers--;
    if (self->turn == subscription)
        self->turn = subscription->group_next;
    subscription->group = NULL;
    subscription->in_flight = 0;
    if (subscription->exclusive && subscription->active && self->first) {
        self->first->active = true;
        self->args.ops->tell (self->args.ops->arg, self->first, self->args.generation,
                              zspool_cursor_floor (self->args.tracker));
    }
    subscription->active = false;
}

//  ------------------------------------------------------------------------------------------------
//  What consumers say

//  What a consumer held is acknowledged.
static void
s_ack (void *arg, const zspool_lease_t *lease)
{
    zspool_cursor_ack ((zspool_cursor_t *) arg, lease->first, lease->last);
}

//  What a call on leases gave, as a result; the messages are not the consumer's any more.
int
zspool_group_result (zspool_group_t *self, zspool_subscription_t *subscription, uint64_t messages,
                     bool keeps)
{
    if (messages == UINT64_MAX)
        return ZSPOOL_ENOMEM;
    if (messages == 0) {
        self->info.stale++;
        return ZSPOOL_ESTALE;
    }
    if (!keeps)
        subscription->in_flight -= messages;
    return ZSPOOL_OK;
}

int
zspool_group_ack (zspool_group_t *self, zspool_subscription_t *subscription, uint32_t generation,
                  uint64_t first, uint64_t last, uint64_t *acked)
{
    uint64_t messages = generation == self->args.generation? zspool_leases_take (
                            self->leases, subscription->id, first, last, s_ack, self->args.tracker):
                                                             0;
    int rc = zspool_group_result (self, subscription, messages, false);
    if (rc == ZSPOOL_OK) {
        self->info.acknowledged += messages;
        *acked = messages;
    }
    return rc;
}

//  Doom what a consumer gives back: it is leased to nobody, and due never.
typedef struct {
    zspool_group_t *group;
    zsp_text_t reason;
    int rc;
} s_dooming_t;

static void
s_doom_lease (void *arg, const zspool_lease_t *lease)
{
    s_dooming_t *dooming = (s_dooming_t *) arg;
    zspool_group_t *self = dooming->group;
    for (uint64_t at = lease->first; at <= lease->last && dooming->rc == ZSPOOL_OK; at++)
        dooming->rc = zspool_doom_add (&self->doom, at, ZSPOOL_DEATH_REJECTED,
                                       zspool_cursor_deliveries (self->args.tracker, at),
                                       dooming->reason.data, dooming->reason.size);
}

void
zspool_group_want_dead (zspool_group_t *self)
{
    if (self->doom.wanted || self->doom.burial.to)
        return;
    self->doom.wanted = true;
    self->args.ops->want_dead (self->args.ops->catalog, self);
}

int
zspool_group_reject (zspool_group_t *self, zspool_subscription_t *subscription, uint32_t generation,
                     uint64_t first, uint64_t last, int64_t now_ms, uint32_t delay_ms, bool dead,
                     zsp_text_t reason)
{
    if (generation != self->args.generation)
        return zspool_group_result (self, subscription, 0, false);
    if (dead && self->doom.count + subscription->in_flight > ZSPOOL_DOOMED_MAX
        && last - first >= ZSPOOL_DOOMED_MAX - self->doom.count)
        return ZSPOOL_ELIMIT;
    if (reason.size > ZSPOOL_WHY_MAX)
        reason.size = ZSPOOL_WHY_MAX;
    int64_t due_ms = dead? INT64_MAX: now_ms + delay_ms;
    s_dooming_t dooming = { self, reason, ZSPOOL_OK };
    uint64_t messages = zspool_leases_return_each (self->leases, subscription->id, first, last,
                                                   due_ms, dead? s_doom_lease: NULL, &dooming);
    int rc = zspool_group_result (self, subscription, messages, false);
    if (rc == ZSPOOL_OK && dead)
        zspool_group_want_dead (self);
    //  What could not be noted is delivered again.
    if (rc == ZSPOOL_OK && dooming.rc)
        zspool_leases_return (self->leases, ZSPOOL_NOBODY, first, last, now_ms);
    return rc? rc: dooming.rc;
}

int
zspool_group_extend (zspool_group_t *self, zspool_subscription_t *subscription, uint32_t generation,
                     uint64_t first, uint64_t last, int64_t now_ms, uint32_t time_ms)
{
    uint64_t messages =
        generation == self->args.generation?
             zspool_leases_extend (self->leases, subscription->id, first, last, now_ms + time_ms):
             0;
    return zspool_group_result (self, subscription, messages, true);
}

//  ------------------------------------------------------------------------------------------------
//  What the writer is told, and says

bool
zspool_group_hand_change (zspool_group_t *self, bool wanted)
{
    bool changed = zspool_cursor_changed (self->args.tracker);
    if (changed
        && (self->claims_count > 0 || self->claims_under_way || self->doom.burial.under_way)) {
        self->change_wanted = self->change_wanted || wanted;
        return false;
    }
    zspool_cursor_change_t *change = changed? zspool_cursor_take_change (self->args.tracker): NULL;
    if (changed && !change)
        return false;
    self->change_wanted = false;
    if (!change)
        return true;
    if (zspool_handoff_send (self->args.ops->writer, HANDOFF_CHANGE, change, 0))
        free (change);
    return true;
}

bool
zspool_group_is_idle (const zspool_group_t *self, bool held)
{
    return self->consumers == 0 && self->refs == 1 && self->claims_count == 0
           && !self->claims_under_way && !self->change_wanted && self->doom.count == 0
           && !self->doom.wanted && !self->doom.burial.under_way
           && (held || zspool_leases_count (self->leases) == 0)
           && !zspool_cursor_changed (self->args.tracker);
}

void
zspool_group_buried (zspool_group_t *self, zspool_move_t *move, int64_t now_ms)
{
    uint64_t before = self->doom.burial.buried;
    zspool_doom_buried (&self->doom, move, self->args.tracker, self->leases, now_ms);
    self->info.buried += self->doom.burial.buried - before;
    zspool_group_hand_change (self, false);
}

void
zspool_group_set_dead (zspool_group_t *self, uint32_t dead_spool)
{
    self->doom.wanted = false;
    self->doom.burial.to = dead_spool;
    if (dead_spool)
        self->doom.burial.rest_until_ms = 0;
}

void
zspool_group_dropped (zspool_group_t *self, uint64_t dropped_to)
{
    zspool_leases_drop (self->leases, 1, dropped_to, zspool_group_let_go, self);
    zspool_cursor_skip (self->args.tracker, dropped_to);
    zspool_doom_forget (&self->doom, dropped_to);
    if (self->next <= dropped_to)
        self->next = dropped_to + 1;
}

void
zspool_group_moved (zspool_group_t *self, uint32_t generation, uint64_t floor, uint64_t sent_to,
                    zspool_cursor_t *tracker)
{
    zspool_leases_drop (self->leases, 1, UINT64_MAX, NULL, NULL);
    zspool_doom_forget (&self->doom, UINT64_MAX);
    self->claims_void =
        self->claims_void || (self->claims_count > 0 && !self->claims_under_way);
    self->claims_count = 0;
    zspool_cursor_destroy (&self->args.tracker);
    self->args.tracker = tracker;
    self->args.generation = generation;
    self->next = floor + 1;
    self->known_to = sent_to;
    self->at_block = 0;
    for (zspool_subscription_t *at = self->first; at; at = at->group_next) {
        at->in_flight = 0;
        self->args.ops->tell (self->args.ops->arg, at, generation, floor);
    }
}

void
zspool_group_info (const zspool_group_t *self, zspool_group_info_t *info)
{
    *info = self->info;
    info->cursor_id = self->args.cursor_id;
    info->cursor = self->args.cursor;
    info->spool = self->args.shelf->spool;
    info->spool_name = self->args.shelf->name;
    info->generation = self->args.generation;
    info->floor = zspool_cursor_floor (self->args.tracker);
    info->sent_to = zspool_cursor_sent_to (self->args.tracker);
    info->in_flight = zspool_leases_messages (self->leases);
    info->consumers = self->consumers;
}
