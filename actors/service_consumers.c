//  service_consumers.c - what consumers ask of a service: to subscribe, and about what they hold
//
//  SPDX-License-Identifier: MPL-2.0

#include "service_parts.h"

#include <stdlib.h>

//  ------------------------------------------------------------------------------------------------
//  Subscriptions

int
zspool_service_deliver (void *arg, zspool_subscription_t *to, uint32_t generation,
                        zspool_block_t *block, const zspool_piece_t *pieces, size_t pieces_count)
{
    const zspool_service_t *self = (const zspool_service_t *) arg;
    return zspool_post_deliver (self->socket, (const zspool_session_t *) to->session, to->number,
                                generation, block, pieces, pieces_count);
}

//  Send SUBSCRIBED: as the answer to a request, or unasked.
void
zspool_service_tell_subscribed (const zspool_service_t *self, const zspool_subscription_t *to,
                                uint32_t request, uint32_t generation, uint64_t floor)
{
    zsp_t told = { .command = ZSP_SUBSCRIBED,
                   .request = request,
                   .flags = to->active? ZSP_FLAG_ACTIVE: 0 };
    told.as.subscribed.subscription = to->number;
    told.as.subscribed.generation = generation;
    told.as.subscribed.floor = floor;
    zspool_post_command (self->socket, (zspool_session_t *) to->session, &told, NULL);
}

void
zspool_service_tell (void *arg, zspool_subscription_t *to, uint32_t generation, uint64_t floor)
{
    zspool_service_tell_subscribed ((const zspool_service_t *) arg, to, 0, generation, floor);
}

void
zspool_service_unsubscribe (zspool_service_t *self, zspool_session_t *session,
                            zspool_subscription_t *subscription)
{
    zspool_subscription_t **at = &session->subscriptions;
    while (*at != subscription)
        at = &(*at)->next;
    *at = subscription->next;
    session->subscriptions_count--;
    if (subscription->group) {
        zspool_group_t *group = subscription->group;
        zspool_group_leave (group, subscription, self->awake.now_ms);
        if (!zspool_group_hand_change (group, true))
            session->has_left = true;
        zspool_catalog_wake (self->catalog, group);
    }
    free (subscription);
}

void
zspool_service_do_subscribe (zspool_service_t *self, zspool_service_message_t *message)
{
    const zsp_t *command = &message->command;
    zspool_session_t *session = message->session;
    if (!zspool_session_has_spool (session, command->as.subscribe.spool)) {
        zspool_service_refuse (self, message, ZSPOOL_ENOENT, 0, "no such spool is open");
        return;
    }
    if (zspool_session_subscription (session, command->as.subscribe.subscription)) {
        zspool_service_refuse (self, message, ZSPOOL_EEXIST, 0, "that number is taken");
        return;
    }
    if (session->subscriptions_count == ZSPOOL_SESSION_SUBSCRIPTIONS_MAX) {
        zspool_service_refuse (self, message, ZSPOOL_ELIMIT, 0, "too many subscriptions");
        return;
    }
    zspool_store_job_t *job = zspool_service_new_job (self, message, ZSPOOL_JOB_OPEN_CURSOR);
    if (!job)
        return;
    zspool_subscription_t *subscription =
        (zspool_subscription_t *) calloc (1, sizeof *subscription);
    int rc = subscription? zspool_catalog_prepare (self->catalog, command, job): ZSPOOL_ENOMEM;
    if (rc) {
        zspool_service_refuse (self, message, rc, 0,
                               rc == ZSPOOL_EBUSY? "the device delivers through this cursor":
                                                   NULL);
        zspool_catalog_drop_job (self->catalog, &job);
        free (subscription);
        return;
    }
    subscription->id = ++self->subscriptions_ever;
    subscription->number = command->as.subscribe.subscription;
    subscription->exclusive = command->flags & ZSP_FLAG_EXCLUSIVE;
    subscription->session = session;
    zspool_catalog_add_credit (subscription, command->as.subscribe.messages,
                               command->as.subscribe.bytes);
    subscription->next = session->subscriptions;
    session->subscriptions = subscription;
    session->subscriptions_count++;
    job->subscription = subscription->id;
    zspool_service_hand_job (self, session, job);
}

//  The cursor is there: the consumer joins its group.
void
zspool_service_subscribed (zspool_service_t *self, zspool_session_t *session,
                           zspool_store_job_t *job)
{
    zspool_subscription_t *subscription =
        zspool_session_subscription_by_id (session, job->subscription);
    if (!subscription)
        return; //  it has left meanwhile
    const char *why = NULL;
    int rc = job->rc;
    if (rc == ZSPOOL_OK)
        rc = zspool_catalog_join (self->catalog, job, subscription, &why);
    if (rc) {
        self->errors++;
        zspool_post_error (self->socket, session, job->request, ZSP_SUBSCRIBE, rc, 0,
                           why? why: zspool_strerror (rc), false);
        zspool_service_unsubscribe (self, session, subscription);
        return;
    }
    zspool_group_info_t info;
    zspool_group_info (subscription->group, &info);
    zspool_service_tell_subscribed (self, subscription, job->request, info.generation, info.floor);
}

void
zspool_service_do_credit (zspool_service_t *self, zspool_service_message_t *message)
{
    const zsp_t *command = &message->command;
    zspool_subscription_t *subscription =
        zspool_session_subscription (message->session, command->as.credit.subscription);
    if (!subscription) {
        zspool_service_refuse (self, message, ZSPOOL_ENOENT, 0, "no such subscription");
        return;
    }
    zspool_catalog_add_credit (subscription, command->as.credit.messages, command->as.credit.bytes);
    if (subscription->group)
        zspool_catalog_wake (self->catalog, subscription->group);
}

void
zspool_service_do_unsubscribe (zspool_service_t *self, zspool_service_message_t *message)
{
    zspool_subscription_t *subscription = zspool_session_subscription (
        message->session, message->command.as.unsubscribe.subscription);
    if (!subscription) {
        zspool_service_refuse (self, message, ZSPOOL_ENOENT, 0, "no such subscription");
        return;
    }
    zspool_service_unsubscribe (self, message->session, subscription);
    zspool_service_done (self, message->session, message->command.request, 0);
}

//  ------------------------------------------------------------------------------------------------
//  What they hold

//  The subscription that a command is about, in its group; NULL: there is none, and that was told.
static zspool_subscription_t *
s_subscription (zspool_service_t *self, zspool_service_message_t *message, uint32_t number)
{
    zspool_subscription_t *subscription = zspool_session_subscription (message->session, number);
    if (subscription && subscription->group)
        return subscription;
    zspool_service_refuse (self, message, ZSPOOL_ENOENT, 0, "no such subscription");
    return NULL;
}

//  Go through the ranges of an ACK, REJECT or EXTEND. Gives the first code that was not ZSPOOL_OK,
//  and which sequence that was about.
static int
s_each_range (zspool_service_t *self, zspool_subscription_t *subscription, const zsp_t *command,
              uint64_t *refused)
{
    int first_rc = ZSPOOL_OK;
    uint32_t generation = command->as.ranges.generation, time_ms = command->as.ranges.time_ms;
    for (size_t index = 0; index < command->as.ranges.ranges_count; index++) {
        zsp_range_t range = zsp_range (command, index);
        uint64_t acked;
        int rc;
        if (command->command == ZSP_ACK)
            rc = zspool_group_ack (subscription->group, subscription, generation, range.first,
                                   range.last, &acked);
        else if (command->command == ZSP_REJECT)
            rc = zspool_group_reject (subscription->group, subscription, generation, range.first,
                                      range.last, self->awake.now_ms, time_ms,
                                      command->flags & ZSP_FLAG_DEAD, command->as.ranges.reason);
        else
            rc = zspool_group_extend (subscription->group, subscription, generation, range.first,
                                      range.last, self->awake.now_ms, time_ms);
        if (rc && first_rc == ZSPOOL_OK) {
            first_rc = rc;
            *refused = range.first;
        }
    }
    return first_rc;
}

void
zspool_service_do_ranges (zspool_service_t *self, zspool_service_message_t *message)
{
    zspool_subscription_t *subscription =
        s_subscription (self, message, message->command.as.ranges.subscription);
    uint64_t refused = 0;
    if (!subscription)
        return;
    int rc = s_each_range (self, subscription, &message->command, &refused);
    zspool_catalog_wake (self->catalog, subscription->group);
    if (rc)
        zspool_service_refuse (self, message, rc, refused, NULL);
    else if (message->command.request && message->command.command == ZSP_ACK)
        zspool_service_do_flush (self, message);
    else if (message->command.request)
        zspool_service_done (self, message->session, message->command.request, 0);
}

//  ------------------------------------------------------------------------------------------------
//  Cursors that move

void
zspool_service_do_seek (zspool_service_t *self, zspool_service_message_t *message)
{
    zspool_subscription_t *subscription =
        s_subscription (self, message, message->command.as.seek.subscription);
    zspool_store_job_t *job =
        subscription? zspool_service_new_job (self, message, ZSPOOL_JOB_SEEK): NULL;
    if (!job)
        return;
    char text [ZSP_TEXT_BYTES_MAX + 1];
    zsp_text_copy (text, sizeof text, message->command.as.seek.start);
    zspool_group_info_t info;
    zspool_group_info (subscription->group, &info);
    job->spool = info.spool;
    job->cursor = info.cursor_id;
    job->subscription = subscription->id;
    if (zspool_start_parse (&job->start, text)) {
        zspool_service_refuse (self, message, ZSPOOL_EINVAL, 0, "no such start");
        zspool_catalog_drop_job (self->catalog, &job);
        return;
    }
    zspool_service_hand_job (self, message->session, job);
}

void
zspool_service_cursor_deleted (zspool_service_t *self, uint32_t spool, uint32_t cursor)
{
    zspool_group_t *group = zspool_catalog_group (self->catalog, spool, cursor);
    if (!group)
        return;
    zspool_session_t *session = NULL;
    while ((session = zspool_sessions_next (self->sessions, session)) != NULL)
        for (zspool_subscription_t *at = session->subscriptions; at;) {
            zspool_subscription_t *next = at->next;
            if (at->group == group) {
                zspool_post_error (self->socket, session, 0, ZSP_SUBSCRIBE, ZSPOOL_ENOENT,
                                   at->number, "the cursor was deleted", false);
                zspool_service_unsubscribe (self, session, at);
            }
            at = next;
        }
    zspool_catalog_remove (self->catalog, group);
}

void
zspool_service_sought (zspool_service_t *self, zspool_seek_t *seek)
{
    zspool_group_t *group = zspool_catalog_group (self->catalog, seek->spool, seek->cursor);
    if (seek->generation == 0)
        zspool_service_cursor_deleted (self, seek->spool, seek->cursor);
    else if (group)
        zspool_catalog_track_anew (self->catalog, group);
    free (seek);
}
