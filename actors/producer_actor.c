//  producer_actor.c - the actor behind a producer: sends bundles, takes in what was confirmed
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The mutex is held everywhere here; nothing waits.

#include "producer_parts.h"

#include <stdlib.h>
#include <string.h>

//  Requests, by their numbers; spools have those from REQUEST_SPOOLS on.
enum { REQUEST_COMMIT = 2, REQUEST_PRODUCE = 3, REQUEST_SPOOLS = 100 };

//  What a record has beside the bytes of its message, at most
#define RECORD_HEAD_MAX (8 + 65535 * 4)

//  ------------------------------------------------------------------------------------------------
//  What the service says

//  Let other threads know how far it has got.
static void
s_publish (zspool_producer_t *self)
{
    atomic_store (&self->taken, self->window.cached);
    atomic_store (&self->committed, self->window.committed);
    atomic_store (&self->confirmed, self->window.confirmed);
}

static void
s_send_from (zspool_producer_t *self, uint64_t number)
{
    zspool_window_send_from (&self->window, number);
    if (self->txn.state == ZSPOOL_TXN_SENT)
        self->txn.state = ZSPOOL_TXN_COMMITTING;
}

//  Whether the service is one that a producer with a name can go on with: it knows all that was let
//  go here, and no number that was never given. Else its store is another one, or an older copy.
static bool
s_is_ours (zspool_producer_t *self, uint64_t last)
{
    bool under_way = self->txn.state > ZSPOOL_TXN_OPEN;
    uint64_t given = under_way && self->txn.number > self->window.last? self->txn.number:
                                                                        self->window.last;
    char text [200] = "";
    if (last < self->window.settled)
        snprintf (text, sizeof text,
                  "the store is older than this producer: it has its messages up to %llu, not "
                  "%llu, which was confirmed",
                  (unsigned long long) last, (unsigned long long) self->window.settled);
    else if (last > given)
        snprintf (text, sizeof text,
                  "the store is another one: it has messages of this producer up to %llu, not "
                  "%llu, which was put last",
                  (unsigned long long) last, (unsigned long long) given);
    if (*text)
        zspool_pair_fail_for_good (&self->pair, ZSPOOL_EORDER, (zsp_text_t){ text, strlen (text) });
    return !*text;
}

static void
s_handle_producing (zspool_producer_t *self)
{
    const zsp_t *command = &self->pair.client.command;
    zspool_window_t *window = &self->window;
    if (self->ready && *self->name && !s_is_ours (self, command->as.producing.last))
        return;
    if (!self->ready && *self->name) //  numbers go on where a producer of this name has got to
        zspool_window_begin (window, command->as.producing.last);
    self->producing = self->ready = true;
    self->held = false;
    self->window_service = command->as.producing.window_bytes;
    self->epoch = command->as.producing.epoch;
    //  Without a name the service knows nothing of what it took from us in another session; with
    //  one it may have less than it had said, when the device was killed.
    self->base = *self->name? 0: window->settled;
    window->cached = *self->name? command->as.producing.last: window->settled;
    window->async = self->pair.client.durability == 1;
    s_publish (self);
    s_send_from (self, window->cached + 1);
}

static void
s_handle_opened (zspool_producer_t *self)
{
    const zsp_t *command = &self->pair.client.command;
    uint32_t index = command->request - REQUEST_SPOOLS;
    if (index < self->spools_count)
        self->spools [index].handle = command->as.opened.spool;
}

static void
s_handle_confirm (zspool_producer_t *self)
{
    const zsp_t *command = &self->pair.client.command;
    uint64_t cached = command->as.confirm.cached + self->base;
    self->window_service = command->as.confirm.window_bytes;
    zspool_window_confirm (&self->window, cached, command->as.confirm.committed + self->base);
    s_publish (self);
    if ((command->flags & ZSP_FLAG_RESUME) && self->producing) {
        self->held = false;
        s_send_from (self, cached + 1);
    }
}

static void
s_end_txn (zspool_producer_t *self, int rc)
{
    zspool_staging_t *txn = &self->txn;
    if (txn->state != ZSPOOL_TXN_SENT && txn->state != ZSPOOL_TXN_COMMITTING)
        return;
    txn->state = ZSPOOL_TXN_ENDED;
    txn->rc = rc;
    if (rc == ZSPOOL_OK)
        zspool_window_skip (&self->window);
    else if (self->window.cached >= txn->number)
        //  It counted as taken while it was not known whether it could be made: its number is given
        //  again.
        self->window.cached = txn->number - 1;
    s_publish (self);
}

static void
s_handle_error (zspool_producer_t *self)
{
    const zsp_t *command = &self->pair.client.command;
    int code = -(int) command->as.error.code;
    if (command->as.error.about == ZSP_COMMIT && !(command->flags & ZSP_FLAG_FATAL)) {
        s_end_txn (self, code);
        return;
    }
    //  One whose session has expired, as its process was stopped, says what is out of turn: it is
    //  greeted anew.
    if (code != ZSPOOL_EPROTOCOL)
        zspool_pair_fail_for_good (&self->pair, code, command->as.error.text);
}

//  Begin a session: say who we are.
static void
s_begin_session (zspool_producer_t *self)
{
    self->producing = self->held = false;
    zsp_t produce = { .command = ZSP_PRODUCE, .request = REQUEST_PRODUCE };
    produce.as.produce.epoch = *self->name? self->epoch: 0;
    produce.as.produce.name = (zsp_text_t){ self->name, strlen (self->name) };
    zspool_client_send (&self->pair.client, &produce, NULL, NULL, 0);
    for (size_t index = 0; index < self->spools_count; index++) {
        self->spools [index].handle = 0;
        self->spools [index].asked = false;
    }
}

//  Take in one command. ELOST: the session has ended.
static int
s_take (void *object)
{
    zspool_producer_t *self = (zspool_producer_t *) object;
    const zsp_t *command = &self->pair.client.command;
    switch (command->command) {
    case ZSP_WELCOME: s_begin_session (self); break;
    case ZSP_PRODUCING: s_handle_producing (self); break;
    case ZSP_OPENED: s_handle_opened (self); break;
    case ZSP_CONFIRM: s_handle_confirm (self); break;
    case ZSP_HOLD: self->held = true; break;
    case ZSP_DONE:
        if (command->request == REQUEST_COMMIT)
            s_end_txn (self, ZSPOOL_OK);
        break;
    case ZSP_ERROR: s_handle_error (self); break;
    default: break;
    }
    bool fatal = command->command == ZSP_ERROR && (command->flags & ZSP_FLAG_FATAL);
    return fatal? ZSPOOL_ELOST: ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Sending

static void
s_open_spools (zspool_producer_t *self)
{
    for (size_t index = 0; index < self->spools_count; index++) {
        zspool_producer_spool_t *spool = &self->spools [index];
        if (spool->asked)
            continue;
        const char *name = *spool->name? spool->name: self->pair.client.spool;
        zsp_t open = { .command = ZSP_OPEN, .flags = self->create };
        open.request = REQUEST_SPOOLS + (uint32_t) index;
        open.as.open.spool = (zsp_text_t){ name, strlen (name) };
        spool->asked = zspool_client_send (&self->pair.client, &open, NULL, NULL, 0) == ZSPOOL_OK;
    }
}

//  Whether the service, which came back with another limit, takes no frame of this size any more:
//  it would only cut the connection, each time.
static bool
s_is_too_big (const zspool_producer_t *self, const zspool_bundle_t *bundle)
{
    size_t size = zspool_bundle_bytes (bundle);
    return size > ZSP_RUN_BYTES
           && size > self->pair.client.message_bytes_max + (uint64_t) RECORD_HEAD_MAX;
}

static int
s_send_bundle (zspool_producer_t *self, zspool_bundle_t *bundle)
{
    zmq_msg_t frame;
    if (s_is_too_big (self, bundle)) {
        zspool_pair_fail_for_good (&self->pair, ZSPOOL_ETOOBIG, (zsp_text_t){ NULL, 0 });
        return ZSPOOL_ETOOBIG;
    }
    if (zspool_bundle_frame (bundle, &frame))
        return ZSPOOL_ENOMEM;
    zsp_t put = { .command = ZSP_PUT };
    put.as.put.spool = self->spools [bundle->spool].handle;
    put.as.put.number = bundle->first - self->base;
    put.as.put.count = zspool_block_count (bundle->block);
    put.as.put.level = bundle->level;
    int rc = zspool_client_send (&self->pair.client, &put, NULL, &frame, 1);
    if (rc)
        zmq_msg_close (&frame);
    return rc;
}

//  Send bundles, as many as may be.
static void
s_send_bundles (zspool_producer_t *self)
{
    zspool_window_t *window = &self->window;
    if (!self->producing || self->held || self->pair.failed)
        return;
    if (window->filling && !window->unsent
        && (window->sent_count < ZSPOOL_PRODUCER_SENT_MAX || self->flushing))
        zspool_window_close (window);
    while (window->unsent && self->spools [window->unsent->spool].handle
           && (window->sent_bytes == 0 || window->sent_bytes < self->window_service)) {
        if (s_send_bundle (self, window->unsent))
            break;
        zspool_window_sent (window);
        if (window->filling && !window->unsent && window->sent_count < ZSPOOL_PRODUCER_SENT_MAX)
            zspool_window_close (window);
    }
}

//  Encode and send the transaction. A negative code: not now.
static int
s_send_commit (zspool_producer_t *self)
{
    zspool_staging_t *txn = &self->txn;
    zsp_part_t parts [ZSP_PARTS_MAX];
    zmq_msg_t frames [ZSP_PARTS_MAX];
    uint16_t count = 0;
    for (zspool_bundle_t *bundle = txn->bundles; bundle; bundle = bundle->next) {
        parts [count].spool = self->spools [bundle->spool].handle;
        parts [count].count = zspool_block_count (bundle->block);
        if (zspool_bundle_frame (bundle, &frames [count]))
            break;
        count++;
    }
    zsp_acked_t *acks = (zsp_acked_t *) malloc ((txn->acks_count + 1) * sizeof *acks);
    for (size_t index = 0; acks && index < txn->acks_count; index++)
        acks [index] = txn->acks [index].acked;
    zsp_t commit = { .command = ZSP_COMMIT, .request = REQUEST_COMMIT };
    commit.as.commit.number = txn->number - self->base;
    commit.as.commit.parts_count = count;
    commit.as.commit.acks_count = (uint16_t) txn->acks_count;
    zsp_lists_t lists = { .parts = parts, .acks = acks };
    int rc = ZSPOOL_ENOMEM;
    if (acks && count == txn->bundles_count)
        rc = zspool_client_send (&self->pair.client, &commit, &lists, frames, count);
    for (size_t index = 0; rc && index < count; index++)
        zmq_msg_close (&frames [index]);
    free (acks);
    return rc;
}

//  Send the transaction, when all before it was taken.
static void
s_send_txn (zspool_producer_t *self)
{
    const zspool_window_t *window = &self->window;
    if (self->txn.state != ZSPOOL_TXN_COMMITTING || !self->producing || self->held
        || window->unsent || window->filling || window->cached < window->last)
        return;
    for (const zspool_bundle_t *bundle = self->txn.bundles; bundle; bundle = bundle->next) {
        if (!self->spools [bundle->spool].handle)
            return;
        if (s_is_too_big (self, bundle)) {
            s_end_txn (self, ZSPOOL_ETOOBIG);
            return;
        }
    }
    if (s_send_commit (self) == ZSPOOL_OK)
        self->txn.state = ZSPOOL_TXN_SENT;
}

//  ------------------------------------------------------------------------------------------------
//  Loop

//  The session was lost: without a name nobody knows whether a transaction was made.
static void
s_lose (zspool_producer_t *self)
{
    self->producing = false;
    if (self->txn.state == ZSPOOL_TXN_SENT && !*self->name)
        s_end_txn (self, ZSPOOL_ELOST);
}

static int64_t
s_work (void *object)
{
    zspool_producer_t *self = (zspool_producer_t *) object;
    bool lost;
    int64_t due_ms = zspool_pair_receive (&self->pair, s_take, self, &lost);
    if (lost)
        s_lose (self);
    if (self->pair.client.state == ZSPOOL_CLIENT_UP) {
        s_open_spools (self);
        s_send_bundles (self);
        s_send_txn (self);
    }
    zspool_pair_wake_app (&self->pair, self->window.confirmed > self->seen);
    bool sends = self->producing && !self->held && !self->window.unsent;
    self->wants_full = sends && self->window.sent_bytes < self->window_service;
    self->wants_any = sends && self->window.sent_count < ZSPOOL_PRODUCER_SENT_MAX;
    return due_ms;
}

void
zspool_producer_actor (zsock_t *pipe, void *args)
{
    zspool_producer_t *self = (zspool_producer_t *) args;
    zspool_pair_serve (&self->pair, pipe, s_work, NULL, self);
}
