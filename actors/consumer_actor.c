//  consumer_actor.c - the actor behind a consumer: receives messages, says what is to be said of
//  them
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The mutex is held everywhere here; nothing waits.

#include "consumer_parts.h"

#include <string.h>

//  Requests, by their numbers
enum { REQUEST_OPEN = 3, REQUEST_SUBSCRIBE = 4 };

//  ------------------------------------------------------------------------------------------------
//  What the service says

//  What was received in the session, or the generation, before is void. Its credit is given again.
static void
s_void (zspool_consumer_t *self)
{
    zspool_deliveries_void (&self->deliveries);
    self->stale += zspool_words_clear (&self->words);
}

//  What the application waits for is answered, if this is it.
static void
s_answer (zspool_consumer_t *self, uint32_t request, int rc)
{
    if (self->asks && request == self->request && self->answer == 1)
        self->answer = rc;
}

static void
s_lose (zspool_consumer_t *self)
{
    s_void (self);
    self->deliveries.credit_messages = self->deliveries.credit_bytes = 0;
    self->unsure_lost = self->unsure_lost || self->unsure;
    self->unsure = false;
    self->subscribed = false;
    self->handle = 0;
    self->asked = false;
    if (self->asks == ZSP_FLUSH && self->unsure_lost)
        s_answer (self, self->request, ZSPOOL_ELOST);
}

//  Open the spool, in a session that has begun.
static void
s_begin_session (zspool_consumer_t *self)
{
    const char *name = *self->spool? self->spool: self->pair.client.spool;
    zsp_t open = { .command = ZSP_OPEN, .request = REQUEST_OPEN, .flags = self->create };
    open.as.open.spool = (zsp_text_t){ name, strlen (name) };
    zspool_client_send (&self->pair.client, &open, NULL, NULL, 0);
}

static void
s_handle_opened (zspool_consumer_t *self)
{
    self->handle = self->pair.client.command.as.opened.spool;
    zsp_t subscribe = { .command = ZSP_SUBSCRIBE, .request = REQUEST_SUBSCRIBE };
    subscribe.flags = (uint8_t) ((self->create? ZSP_FLAG_CREATE: 0)
                                 | (self->exclusive? ZSP_FLAG_EXCLUSIVE: 0));
    subscribe.as.subscribe.subscription = ZSPOOL_CONSUMER_SUBSCRIPTION;
    subscribe.as.subscribe.spool = self->handle;
    subscribe.as.subscribe.messages = (uint32_t) self->prefetch_messages;
    subscribe.as.subscribe.bytes = self->prefetch_bytes;
    subscribe.as.subscribe.cursor = (zsp_text_t){ self->cursor, strlen (self->cursor) };
    subscribe.as.subscribe.start = (zsp_text_t){ self->start, strlen (self->start) };
    subscribe.as.subscribe.filters_count = (uint16_t) self->filters_count;
    zsp_lists_t lists = { .filters = self->filters };
    zspool_client_send (&self->pair.client, &subscribe, &lists, NULL, 0);
}

static void
s_handle_subscribed (zspool_consumer_t *self)
{
    const zsp_t *command = &self->pair.client.command;
    if (self->subscribed && command->as.subscribed.generation != self->generation)
        s_void (self);
    self->generation = command->as.subscribed.generation;
    self->session = self->pair.client.session;
    self->active = command->flags & ZSP_FLAG_ACTIVE;
    self->subscribed = self->ever = true;
    s_answer (self, command->request, ZSPOOL_OK);
}

//  The service had no memory for these: give them back.
static int
s_return (zspool_consumer_t *self, zsp_slice_t slice)
{
    zspool_word_t word = { .command = ZSP_REJECT };
    word.range = (zsp_range_t){ slice.first, slice.first + slice.count - 1 };
    zspool_deliveries_pass (&self->deliveries, slice.count, 0);
    return zspool_words_add (&self->words, &word);
}

//  Take in what was delivered. ELOST: memory is out; what it is delivered again for.
static int
s_handle_deliver (zspool_consumer_t *self)
{
    zspool_client_t *client = &self->pair.client;
    const zsp_t *command = &client->command;
    bool ours = self->subscribed && command->as.deliver.generation == self->generation;
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < command->as.deliver.slices_count; index++) {
        zsp_slice_t slice = zsp_slice (command, index);
        zmq_msg_t *frame = &client->frames [1 + index];
        if (!ours)
            zspool_deliveries_pass (&self->deliveries, slice.count, zmq_msg_size (frame));
        else if (zmq_msg_size (frame) == 0)
            rc = s_return (self, slice);
        else
            rc = zspool_deliveries_add (&self->deliveries, slice, frame);
    }
    return rc? ZSPOOL_ELOST: ZSPOOL_OK;
}

static void
s_handle_error (zspool_consumer_t *self)
{
    const zsp_t *command = &self->pair.client.command;
    int code = -(int) command->as.error.code;
    switch (command->as.error.about) {
    case ZSP_ACK:
    case ZSP_REJECT:
    case ZSP_EXTEND: self->stale++; return;
    case ZSP_SEEK:
    case ZSP_FLUSH: s_answer (self, command->request, code); return;
    default: break;
    }
    //  One whose session has expired, as its process was stopped, says what is out of turn: it is
    //  greeted anew.
    if (code != ZSPOOL_EPROTOCOL)
        zspool_pair_fail_for_good (&self->pair, code, command->as.error.text);
}

//  Take in one command. ELOST: the session has ended.
static int
s_take (void *object)
{
    zspool_consumer_t *self = (zspool_consumer_t *) object;
    const zsp_t *command = &self->pair.client.command;
    switch (command->command) {
    case ZSP_WELCOME: s_begin_session (self); break;
    case ZSP_OPENED: s_handle_opened (self); break;
    case ZSP_SUBSCRIBED: s_handle_subscribed (self); break;
    case ZSP_DELIVER: return s_handle_deliver (self);
    case ZSP_DONE: s_answer (self, command->request, ZSPOOL_OK); break;
    case ZSP_ERROR: s_handle_error (self); break;
    default: break;
    }
    bool fatal = command->command == ZSP_ERROR && (command->flags & ZSP_FLAG_FATAL);
    return fatal? ZSPOOL_ELOST: ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Sending

static void
s_say_words (zspool_consumer_t *self)
{
    zspool_words_say (&self->words, &self->pair.client, ZSPOOL_CONSUMER_SUBSCRIPTION,
                      self->generation);
}

bool
zspool_consumer_owes_credit (const zspool_consumer_t *self)
{
    const zspool_deliveries_t *deliveries = &self->deliveries;
    return deliveries->credit_messages > self->prefetch_messages / 4
           || deliveries->credit_bytes > self->prefetch_bytes / 4
           || (deliveries->credit_messages > 0 && deliveries->ahead == 0);
}

static void
s_give_credit (zspool_consumer_t *self)
{
    zsp_t credit = { .command = ZSP_CREDIT };
    credit.as.credit.subscription = ZSPOOL_CONSUMER_SUBSCRIPTION;
    credit.as.credit.messages = (uint32_t) self->deliveries.credit_messages;
    credit.as.credit.bytes = self->deliveries.credit_bytes;
    if (zspool_client_send (&self->pair.client, &credit, NULL, NULL, 0) == ZSPOOL_OK)
        self->deliveries.credit_messages = self->deliveries.credit_bytes = 0;
}

//  Ask what the application waits for.
static void
s_ask (zspool_consumer_t *self)
{
    zsp_t command = { .command = self->asks, .request = self->request };
    if (self->asks == ZSP_SEEK) {
        command.as.seek.subscription = ZSPOOL_CONSUMER_SUBSCRIPTION;
        command.as.seek.start = (zsp_text_t){ self->seek, strlen (self->seek) };
    }
    self->asked = zspool_client_send (&self->pair.client, &command, NULL, NULL, 0) == ZSPOOL_OK;
}

//  Send what is due. Gives when something will be.
static int64_t
s_send_due (zspool_consumer_t *self)
{
    if (!self->subscribed)
        return INT64_MAX;
    if (self->asks || zspool_words_due_ms (&self->words) <= zclock_mono ())
        s_say_words (self);
    if (zspool_consumer_owes_credit (self))
        s_give_credit (self);
    if (self->asks && !self->asked)
        s_ask (self);
    return zspool_words_due_ms (&self->words);
}

//  ------------------------------------------------------------------------------------------------
//  Loop

static int64_t
s_work (void *object)
{
    zspool_consumer_t *self = (zspool_consumer_t *) object;
    bool lost;
    int64_t due_ms = zspool_pair_receive (&self->pair, s_take, self, &lost);
    if (lost)
        s_lose (self);
    int64_t send_ms = s_send_due (self);
    zspool_pair_wake_app (&self->pair, self->deliveries.parcels != NULL);
    return send_ms < due_ms? send_ms: due_ms;
}

static void
s_say_farewell (void *object)
{
    zspool_consumer_t *self = (zspool_consumer_t *) object;
    if (self->subscribed)
        s_say_words (self);
}

void
zspool_consumer_actor (zsock_t *pipe, void *args)
{
    zspool_consumer_t *self = (zspool_consumer_t *) args;
    zspool_pair_serve (&self->pair, pipe, s_work, s_say_farewell, self);
}
