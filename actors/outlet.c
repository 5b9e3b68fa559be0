//  outlet.c - the actor through which messages leave a device
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Messages are built from sealed blocks, live or read back; those of other topics are passed over.
//  The policy decides when one counts as acknowledged: lib/plain.c for `sent` and `settled`; for
//  `explicit` lib/cursor.c, which knows which are due again, and tickets that come back. What
//  changed goes to the writer every CHANGE_MS.
//
//  States: idle (before START); holding (XPUB: too few subscriptions); forwarding; blocked (no peer
//  takes a message now); stopped; failed.
//
//  Invariants
//  1. First deliveries go out in order of sequence; a message is delivered again only under
//  `settled` after
//     a disconnect, under `explicit` after its timeout, and when the cursor was moved back.
//  2. A message's cursor state never says acknowledged before the policy does, unless it is of
//  another topic.

#include "outlet.h"
#include "acks.h"
#include "again.h"
#include "awake.h"
#include "follower.h"
#include "peers.h"
#include "plain.h"
#include "seek.h"
#include "sender.h"
#include "socket.h"
#include "subscribers.h"
#include "traffic.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

//  Most messages sent between two looks at the other sockets
#define BATCH_MESSAGES 1000
//  Changes of the cursor are collected for so long
#define CHANGE_MS 40
//  Try again after this when a block could not be read for want of memory
#define RETRY_MS 10

typedef struct {
    zsock_t *pipe;                 //  commands
    zsock_t *writer;
    zspool_sender_t sender;        //  its socket: NULL before START
    zspool_acks_t acks;            //  explicit: where tickets come in
    zspool_peers_t peers;          //  of the sender's socket
    zspool_subscribers_t subscribers; //  XPUB
    char *label;                   //  "out", or "feed/NAME"
    char *endpoints;
    char *ack_in;                  //  explicit
    zspool_options_t options;
    bool terminated;
    bool stopped;
    bool failed;
    bool passing;                  //  much was passed over, and more may be
    bool retry;                    //  a block or memory could not be had: wait RETRY_MS
    zspool_ticket_t ticket;        //  of this cursor; attempt and sequence change
    zspool_reader_t *reader;
    zspool_reader_t *reader_again; //  explicit
    zspool_block_pool_t *pool;
    zspool_filter_t *filter;       //  NULL: all messages
    zspool_follower_t follower;    //  first deliveries, and everything but explicit
    zspool_cursor_t *cursor;       //  explicit; else NULL
    zspool_again_t again;          //  explicit
    zspool_plain_t plain;          //  sent, settled
    uint64_t passed_to; //  all up to here was sent, or is of other topics, and that was noted
    bool stop_waits;               //  STOP is answered when the burial under way has ended
    uint64_t stop_number;          //  of that request
    int64_t change_ms;             //  when the writer was told what changed
    zspool_awake_t awake;          //  clock of all the above
    bool settled_down;             //  explicit: nothing was in flight and nothing had changed
    zspool_traffic_t traffic;
} self_t;

//  ------------------------------------------------------------------------------------------------
//  Constructor and destructor

//  Free what the constructor has made.
static void
s_free (self_t *self)
{
    zspool_sender_destroy (&self->sender);
    free (self->label);
    free (self->endpoints);
    free (self->ack_in);
    free (self);
}

static void
s_self_destroy (self_t **self_p)
{
    self_t *self = *self_p;
    zspool_follower_destroy (&self->follower);
    zspool_finder_destroy (&self->again.finder);
    zspool_burial_destroy (&self->again.burial);
    zspool_sender_rest (&self->sender);
    zspool_reader_destroy (&self->reader);
    zspool_reader_destroy (&self->reader_again);
    zspool_block_pool_destroy (&self->pool);
    zspool_filter_destroy (&self->filter);
    zspool_cursor_destroy (&self->cursor);
    zspool_peers_end (&self->peers);
    zsock_destroy (&self->acks.socket);
    zsock_destroy (&self->writer);
    s_free (self);
    *self_p = NULL;
}

//  Take over the cursor, explicit or plain.
static void
s_init_cursor (self_t *self, const zspool_outlet_args_t *args)
{
    self->ticket.spool = args->spool;
    self->ticket.cursor = args->cursor_id;
    self->ticket.generation = args->generation;
    self->ticket.incarnation = args->incarnation;
    self->cursor = self->acks.cursor = self->again.cursor = args->cursor;
    self->acks.ours = &self->ticket;
    self->again.burial.deliveries_max =
        args->dead_spool? (unsigned) self->options.max_deliveries: 0;
    self->again.burial.origin = self->options.name;
    self->again.burial.to = args->dead_spool;
    self->again.burial.from = args->spool;
    self->again.burial.cursor = args->cursor_id;
    if (self->cursor)
        zspool_cursor_set_timeout_ms (self->cursor, (int64_t) self->options.ack_timeout_ms);
    zspool_plain_init (&self->plain, args->floor, args->sent_to);
    if (args->ends.ack == ZSPOOL_ACK_SETTLED)
        zspool_plain_settle (&self->plain, (int64_t) self->options.settle_ms,
                             self->options.pipe_depth_bytes);
    //  Without tickets nobody knows what arrived above the floor: it goes out again.
    self->passed_to = self->cursor? args->sent_to: args->floor;
}

static self_t *
s_self_new (const zspool_outlet_args_t *args)
{
    self_t *self = (self_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    const zspool_outlet_ends_t *ends = &args->ends;
    bool publishes = ends->socket_type == ZMQ_XPUB;
    int rc = zspool_sender_init (&self->sender, ends->socket_type, publishes && !ends->exclusive);
    self->label = strdup (ends->label);
    self->endpoints = strdup (ends->endpoints);
    self->ack_in = strdup (ends->ack_in? ends->ack_in: "");
    if (rc || !self->label || !self->endpoints || !self->ack_in) {
        s_free (self);
        return NULL;
    }
    self->traffic.label = self->label;
    self->again.traffic = &self->traffic;
    self->options = *args->options;
    s_init_cursor (self, args);
    zspool_subscribers_init (&self->subscribers, publishes? ends->hold: 0,
                             publishes && ends->exclusive);
    self->writer = args->writer;
    self->reader = args->reader;
    self->reader_again = args->again;
    self->pool = args->pool;
    self->filter = self->again.filter = ends->filter;
    zspool_finder_init (&self->again.finder, self->reader_again);
    zspool_follower_init (&self->follower, self->reader, self->passed_to + 1);
    zspool_follower_set_filter (&self->follower, self->filter);
    return self;
}

//  ------------------------------------------------------------------------------------------------
//  Sending

//  Running -> failed: tell the writer, who tells all
static void
s_fail (self_t *self)
{
    self->failed = true;
    zspool_handoff_send (zsock_resolve (self->writer), HANDOFF_FAILED, NULL, 0);
}

//  Note what was sent first, up to and including `last`, since the note before.
static void
s_note_sent (self_t *self, uint64_t first, uint64_t last, size_t bytes)
{
    if (self->cursor) {
        self->settled_down = false;
        if (zspool_cursor_sent (self->cursor, first, last, self->awake.now_ms))
            s_fail (self);
    }
    else
        zspool_plain_sent (&self->plain, last, bytes, self->awake.now_ms);
    self->passed_to = last;
}

//  Note that the messages from the last one sent up to `to` are of other topics: they count as
//  acknowledged.
static void
s_note_passed (self_t *self, uint64_t to)
{
    if (to <= self->passed_to)
        return;
    if (!self->cursor)
        zspool_plain_passed (&self->plain, to, self->awake.now_ms);
    else {
        zspool_cursor_ack (self->cursor, self->passed_to + 1, to);
        self->settled_down = false;
    }
    self->traffic.passed += to - self->passed_to;
    self->passed_to = to;
}

//  Have the next message at hand. False when there is none now, or a damaged block was passed over.
static bool
s_peek (self_t *self)
{
    int rc = zspool_follower_peek (&self->follower);
    if (rc == ZSPOOL_ECORRUPT) {
        uint64_t first, last;
        zspool_reader_damage (self->reader, &first, &last);
        zsys_error ("spool %s: block damaged, messages %llu to %llu are not delivered",
                    self->options.name, (unsigned long long) first, (unsigned long long) last);
    }
    else if (rc == ZSPOOL_EFULL || rc == ZSPOOL_ENOMEM)
        self->retry = true;
    else if (rc != ZSPOOL_OK && rc != ZSPOOL_ENOENT && rc != ZSPOOL_ELIMIT)
        s_fail (self);
    self->passing = rc == ZSPOOL_ELIMIT;
    return rc == ZSPOOL_OK;
}

//  Nothing is left to be sent now: what the follower has passed over counts as acknowledged.
static void
s_note_idle (self_t *self)
{
    s_note_passed (self, self->follower.next - 1);
    if (!self->retry && !self->passing)
        zspool_patience_caught_up (&self->sender.patience);
}

//  Whether another first delivery may be made. What was under way when the device ended goes first.
static bool
s_may_deliver (self_t *self)
{
    if (!zspool_subscribers_may_publish (&self->subscribers, self->awake.now_ms))
        return false;
    if (self->cursor)
        return zspool_cursor_may_deliver (self->cursor)
               && zspool_cursor_next_due_ms (self->cursor) > 0;
    return !self->plain.holding;
}

//  Send the message at hand; false when that is not possible now.
static bool
s_send (self_t *self)
{
    zspool_follower_t *follower = &self->follower;
    zspool_ticket_t *ticket = self->cursor? &self->ticket: NULL;
    self->ticket.attempt = 1;
    self->ticket.sequence = follower->record.sequence;
    switch (zspool_sender_send (&self->sender, follower->block, &follower->record, ticket,
                                self->awake.now_ms)) {
    case ZSPOOL_SENDER_SENT: return true;
    case ZSPOOL_SENDER_NO_MEMORY: self->retry = true; return false;
    case ZSPOOL_SENDER_TERMINATED: self->terminated = true; return false;
    default: return false;
    }
}

//  What was sent of a block without a break
typedef struct {
    uint64_t first;       //  sequence
    uint64_t last;        //  likewise; 0: nothing yet
    uint64_t count;       //  messages
    size_t bytes;
} s_run_t;

//  Note what was sent, and begin anew.
static void
s_end_run (self_t *self, s_run_t *run)
{
    if (run->count == 0)
        return;
    self->traffic.bytes += run->bytes;
    self->traffic.passed += run->last - run->first + 1 - run->count;
    s_note_sent (self, run->first, run->last, run->bytes);
    memset (run, 0, sizeof *run);
}

//  The message at hand was sent: it adds to the run, and the next one comes to hand, if there is
//  one.
static void
s_add_to_run (self_t *self, s_run_t *run)
{
    const zspool_record_t *record = &self->follower.record;
    if (record->sequence <= self->plain.sent_to)
        self->traffic.resent++;
    else
        self->traffic.sent++;
    if (run->count++ == 0)
        run->first = record->sequence;
    run->last = record->sequence;
    run->bytes += record->data_bytes;
    zspool_follower_advance (&self->follower);
}

//  Before the message at hand is sent: what was passed over since the one before. A cursor that
//  takes tickets must know each; for others a run may have holes.
static void
s_note_hole (self_t *self, s_run_t *run)
{
    uint64_t sequence = self->follower.record.sequence;
    if (run->count > 0 && (!self->cursor || sequence == run->last + 1))
        return;
    s_end_run (self, run);
    s_note_passed (self, sequence - 1);
}

//  Send first deliveries from the block at hand, at most so many. Returns how many.
static size_t
s_forward_block (self_t *self, size_t most)
{
    zspool_follower_t *follower = &self->follower;
    zspool_block_t *block = zspool_block_ref (follower->block);
    uint64_t last = zspool_block_last_sequence (block), sent_before = self->traffic.sent;
    size_t count = 0;
    s_run_t run = { .count = 0 };
    if (self->cursor
        && zspool_cursor_cover (self->cursor, zspool_block_first_sequence (block),
                                zspool_block_count (block)))
        s_fail (self);
    while (count < most && !self->failed && follower->at_hand
           && follower->record.sequence <= last) {
        s_note_hole (self, &run);
        if (!s_send (self))
            break;
        s_add_to_run (self, &run);
        count++;
        if (run.last < last)
            s_peek (self);
    }
    s_end_run (self, &run);
    if (count > 0)
        zspool_traffic_measure (&self->traffic, self->traffic.sent - sent_before,
                                zspool_block_stored_us (block));
    zspool_block_destroy (&block);
    return count;
}

static void
s_forward (self_t *self)
{
    size_t count = 0;
    while (count < BATCH_MESSAGES && !self->sender.blocked && !self->retry && !self->failed
           && s_may_deliver (self)) {
        uint64_t damaged = self->follower.damaged;
        if (s_peek (self))
            count += s_forward_block (self, BATCH_MESSAGES - count);
        else if (self->follower.damaged == damaged) {
            s_note_idle (self);
            break;
        }
    }
    if (self->sender.blocked)
        zspool_plain_blocked (&self->plain, self->awake.now_ms);
}

//  Send again what is due, under explicit.
static void
s_send_due (self_t *self)
{
    uint64_t before = self->traffic.resent;
    int rc = zspool_again_serve (&self->again, &self->sender, &self->ticket,
                                 zsock_resolve (self->writer), self->awake.now_ms);
    if (rc == ZSPOOL_ENOMEM)
        self->retry = true;
    else if (rc == ZSPOOL_ESYSTEM)
        self->terminated = true;
    else if (rc != ZSPOOL_OK && rc != ZSPOOL_EFULL)
        s_fail (self);
    if (self->traffic.resent > before)
        zspool_traffic_measure (&self->traffic, 0, 0);
}

//  ------------------------------------------------------------------------------------------------
//  Cursor changes

//  Tell the writer what changed, if anything did.
static void
s_hand_change (self_t *self)
{
    zspool_cursor_change_t *change = NULL;
    if (self->failed || self->again.burial.under_way)
        return;
    if (self->cursor) {
        self->settled_down = !zspool_cursor_changed (self->cursor)
                             && zspool_cursor_in_flight (self->cursor) == 0;
        change = zspool_cursor_take_change (self->cursor);
    }
    else
        change = zspool_plain_take_change (&self->plain);
    if (!change)
        return;
    change->spool = self->ticket.spool;
    change->cursor = self->ticket.cursor;
    change->generation = self->ticket.generation;
    if (zspool_handoff_send (zsock_resolve (self->writer), HANDOFF_CHANGE, change, 0))
        free (change);
}

static void
s_acknowledge (self_t *self)
{
    if (!self->cursor)
        zspool_plain_acknowledge (&self->plain, self->awake.now_ms);
    //  Blocks that were passed over as a whole are not known to it.
    else if (zspool_cursor_in_flight (self->cursor) == 0
             && zspool_cursor_floor (self->cursor) < self->passed_to) {
        zspool_cursor_skip (self->cursor, self->passed_to);
        self->settled_down = false;
    }
    if (self->awake.now_ms - self->change_ms >= CHANGE_MS) {
        s_hand_change (self);
        self->change_ms = self->awake.now_ms;
    }
}

//  ------------------------------------------------------------------------------------------------
//  Handlers

//  Peers come and go. One that has gone took with it what ZeroMQ had for it.
static void
s_handle_peers (self_t *self)
{
    if (zspool_peers_update (&self->peers) > 0)
        zspool_plain_departed (&self->plain, self->awake.now_ms);
}

//  Subscriptions come and go.
static void
s_handle_subscribers (self_t *self)
{
    bool gone =
        zspool_subscribers_receive (&self->subscribers, self->sender.socket, self->awake.now_ms);
    if (gone && self->subscribers.exclusive)
        zspool_plain_departed (&self->plain, self->awake.now_ms);
}

//  Go on behind a sequence.
static void
s_go_to (self_t *self, uint64_t to)
{
    zspool_follower_seek (&self->follower, to + 1);
    self->passed_to = to;
    self->settled_down = false;
}

//  Go back to the floor when it is time to.
static void
s_check_rewind (self_t *self)
{
    if (self->cursor || !zspool_plain_rewinds (&self->plain, self->awake.now_ms))
        return;
    zsock_events (self->sender.zsock); //  ZeroMQ takes in that the pipe has ended
    s_go_to (self, self->plain.floor);
}

//  Blocks up to a sequence were dropped at the spool's limit: nothing of them is sent any more, and
//  what is on its way counts for nothing.
static void
s_skip (self_t *self, uint64_t to)
{
    if (self->cursor)
        zspool_cursor_skip (self->cursor, to);
    zspool_plain_skip (&self->plain, to);
    if (self->follower.next <= to)
        s_go_to (self, to);
    self->settled_down = false;
}

//  The cursor was moved: go on from there. Tickets of what was sent before concern another
//  generation.
static void
s_seek (self_t *self, zspool_seek_t *seek)
{
    zspool_cursor_t *cursor = NULL;
    if (self->cursor)
        cursor = zspool_cursor_new (self->ticket.spool, self->ticket.cursor, seek->generation,
                                    seek->floor, seek->floor);
    if (self->cursor && !cursor)
        s_fail (self); //  the store knows better where it stands
    else {
        zspool_cursor_destroy (&self->cursor);
        self->cursor = self->acks.cursor = self->again.cursor = cursor;
        if (cursor)
            zspool_cursor_set_timeout_ms (cursor, (int64_t) self->options.ack_timeout_ms);
        zspool_plain_seek (&self->plain, seek->floor);
        zspool_patience_fell_back (&self->sender.patience);
        self->ticket.generation = seek->generation;
        s_go_to (self, seek->floor);
    }
    free (seek);
}

//  Hand in the cursor as it is when nothing is sent any more, and answer STOP.
static void
s_end_stop (self_t *self)
{
    self->stop_waits = false;
    s_acknowledge (self);
    s_hand_change (self);
    zmsg_t *reply = zspool_reply_new (self->stop_number, ZSPOOL_OK);
    zmsg_send (&reply, self->pipe);
}

//  Forwarding -> stopped
static void
s_stop (self_t *self, uint64_t number)
{
    self->stopped = true;
    self->stop_number = number;
    if (self->acks.socket)
        zspool_acks_receive (&self->acks);
    self->stop_waits = self->again.burial.under_way;
    if (!self->stop_waits)
        s_end_stop (self);
}

static void
s_handle_writer (self_t *self)
{
    zspool_handoff_t handoff;
    while (zspool_handoff_recv (zsock_resolve (self->writer), &handoff) == 0) {
        zspool_block_t *block = (zspool_block_t *) handoff.pointer;
        if (handoff.kind == HANDOFF_BLOCK && (self->stopped || self->failed))
            zspool_block_destroy (&block);
        else if (handoff.kind == HANDOFF_BLOCK)
            zspool_follower_live (&self->follower, block);
        else if (handoff.kind == HANDOFF_STORED)
            zspool_follower_stored (&self->follower);
        else if (handoff.kind == HANDOFF_DROPPED)
            s_skip (self, handoff.number);
        else if (handoff.kind == HANDOFF_SEEK)
            s_seek (self, (zspool_seek_t *) handoff.pointer);
        else if (handoff.kind == HANDOFF_BURIED)
            zspool_burial_end (&self->again.burial, (zspool_move_t *) handoff.pointer, self->cursor,
                               self->awake.now_ms);
        else {
            self->failed = true;
            self->again.burial.under_way = false;
        }
    }
    if (self->stop_waits && !self->again.burial.under_way)
        s_end_stop (self);
}

//  Create the sockets and attach them. *reason says why that failed.
static int
s_attach (self_t *self, const char **reason)
{
    int hwm = (int) self->options.hwm;
    *reason = "out of memory or sockets";
    int rc = zspool_sender_open (&self->sender, hwm);
    if (rc || zspool_peers_watch (&self->peers, self->sender.socket))
        return ZSPOOL_ENOMEM;
    rc = zspool_socket_attach (self->sender.zsock, self->endpoints, reason);
    if (rc || !self->cursor)
        return rc;
    self->acks.socket = zspool_socket_new (ZMQ_PULL, hwm, ZSPOOL_ACKS_FRAME_BYTES_MAX, 0);
    if (!self->acks.socket)
        return ZSPOOL_ENOMEM;
    return zspool_socket_attach (self->acks.socket, self->ack_in, reason);
}

static void
s_start (self_t *self)
{
    const char *reason = NULL;
    int rc = s_attach (self, &reason);
    if (rc) {
        zsock_send (self->pipe, "iss", rc, self->acks.socket? "ack-in": self->label, reason);
        self->stopped = true;
    }
    else
        zsock_send (self->pipe, "iss", ZSPOOL_OK,
                    zspool_socket_endpoint (self->sender.zsock, self->endpoints),
                    self->acks.socket? zspool_socket_endpoint (self->acks.socket, self->ack_in):
                                       "");
}

//  How long ago the message to be sent next was stored, milliseconds; 0 when there is none at hand
static uint64_t
s_unsent_age_ms (const self_t *self)
{
    const zspool_follower_t *follower = &self->follower;
    const zspool_block_t *block = follower->block;
    if (!block && follower->live_count > 0)
        block = follower->live [follower->live_first];
    int64_t age_us = block? zspool_now_us () - zspool_block_stored_us (block): 0;
    return age_us > 0? (uint64_t) age_us / 1000: 0;
}

static void
s_reply_status (self_t *self, uint64_t number)
{
    zspool_cursor_t *cursor = self->cursor;
    const zspool_plain_t *plain = &self->plain;
    const zspool_traffic_t *traffic = &self->traffic;
    zmsg_t *status = zspool_reply_new (number, ZSPOOL_OK);
    zspool_traffic_add_all (traffic, status);
    zspool_traffic_add (traffic, status, "buried", self->again.burial.buried);
    zspool_traffic_add (traffic, status, "floor",
                        cursor? zspool_cursor_floor (cursor): plain->floor);
    zspool_traffic_add (traffic, status, "sent_to",
                        cursor? zspool_cursor_sent_to (cursor): plain->sent_to);
    zspool_traffic_add (traffic, status, "in_flight",
                        cursor? zspool_cursor_in_flight (cursor): plain->sent_to - plain->floor);
    zspool_traffic_add (traffic, status, "unsent_age_ms", s_unsent_age_ms (self));
    zspool_traffic_add (traffic, status, "peers", zspool_peers_count (&self->peers));
    zspool_traffic_add (traffic, status, "subscriptions", self->subscribers.count);
    zspool_traffic_add (traffic, status, "holding", !self->subscribers.open);
    zspool_traffic_add (traffic, status, "impatient", self->sender.patience.times);
    zspool_traffic_add (traffic, status, "damaged", self->follower.damaged);
    zspool_traffic_add_own (traffic, status, "ack/tickets", self->acks.good);
    zspool_traffic_add_own (traffic, status, "ack/stale", self->acks.stale);
    zspool_traffic_add_own (traffic, status, "ack/bad", self->acks.bad);
    zmsg_send (&status, self->pipe);
}

static void
s_handle_pipe (self_t *self)
{
    uint64_t number = 0;
    char *command = zspool_request_recv (self->pipe, &number, NULL);
    if (!command || streq (command, "$TERM"))
        self->terminated = true;
    else if (streq (command, "START"))
        s_start (self);
    else if (streq (command, "STOP"))
        s_stop (self, number);
    else if (streq (command, "STATUS"))
        s_reply_status (self, number);
    zstr_free (&command);
}

//  ------------------------------------------------------------------------------------------------
//  Loop

//  Whether there is something to send at once, or when a writable socket is worth waiting for
static bool
s_has_work (self_t *self)
{
    if (self->cursor && zspool_again_has_work (&self->again, self->awake.now_ms))
        return true;
    return s_may_deliver (self)
           && (self->follower.block || self->follower.live_count > 0 || self->follower.behind);
}

static int64_t
s_earlier_ms (int64_t one_ms, int64_t other_ms)
{
    return one_ms < other_ms? one_ms: other_ms;
}

//  How long to wait at most, milliseconds, or -1. `most_ms`: what the sender says.
static int64_t
s_timeout_ms (self_t *self, bool work, int64_t most_ms)
{
    int64_t timeout_ms = self->change_ms + CHANGE_MS - self->awake.now_ms;
    bool quiet = self->cursor? self->settled_down: zspool_plain_at_rest (&self->plain);
    if (!self->sender.zsock || self->stopped || self->failed || quiet)
        timeout_ms = INT32_MAX;
    if (self->plain.rewind_ms)
        timeout_ms = s_earlier_ms (timeout_ms, self->plain.rewind_ms - self->awake.now_ms);
    int64_t due_ms = zspool_subscribers_due_ms (&self->subscribers);
    if (due_ms != INT64_MAX)
        timeout_ms = s_earlier_ms (timeout_ms, due_ms - self->awake.now_ms);
    if (self->retry)
        timeout_ms = s_earlier_ms (timeout_ms, RETRY_MS);
    timeout_ms = s_earlier_ms (timeout_ms, most_ms);
    if (work && !self->sender.blocked && !self->retry)
        timeout_ms = 0;
    if (timeout_ms == INT32_MAX)
        return -1;
    return timeout_ms > 0? timeout_ms: 0;
}

//  Wait for something to do, and do what the sockets ask for.
static void
s_serve (self_t *self)
{
    bool running = self->sender.zsock && !self->stopped && !self->failed;
    bool work = running && s_has_work (self), publishes = self->sender.type == ZMQ_XPUB;
    if (!work)
        zspool_sender_rest (&self->sender);
    zmq_pollitem_t items [] = {
        { zsock_resolve (self->pipe), 0, ZMQ_POLLIN, 0 },
        { zsock_resolve (self->writer), 0, ZMQ_POLLIN, 0 },
        { self->peers.monitor, -1, ZMQ_POLLIN, 0 },
        { self->acks.socket? zsock_resolve (self->acks.socket): NULL, -1, ZMQ_POLLIN, 0 },
        { publishes? self->sender.socket: NULL, -1, ZMQ_POLLIN, 0 },
        { NULL, -1, 0, 0 },
    };
    bool waits = work && self->sender.blocked;
    int64_t most_ms = waits? zspool_sender_poll_for (&self->sender, &items [5]): INT32_MAX;
    self->awake.timeout_ms = s_timeout_ms (self, work, most_ms);
    if (zmq_poll (items, waits? 6: 5, (long) self->awake.timeout_ms) < 0 && zmq_errno () == ETERM)
        self->terminated = true;
    zspool_awake_tick (&self->awake, zclock_mono ());
    self->retry = false;
    if (items [1].revents)
        s_handle_writer (self);
    if (items [2].revents)
        s_handle_peers (self);
    if (items [3].revents && running)
        zspool_acks_receive (&self->acks);
    if (items [4].revents)
        s_handle_subscribers (self);
    if (waits && (items [5].revents || publishes)) {
        if (items [5].revents)
            zspool_plain_blocked (&self->plain, self->awake.now_ms);
        self->sender.blocked = false;
    }
    if (items [0].revents)
        s_handle_pipe (self);
}

static void
s_outlet (zsock_t *pipe, void *args)
{
    self_t *self = (self_t *) args;
    self->pipe = pipe;
    pthread_setname_np (pthread_self (), "zspool-outlet");
    zsock_signal (pipe, 0);
    zspool_awake_init (&self->awake, zclock_mono ());
    while (!self->terminated) {
        if (self->sender.zsock && !self->stopped && !self->failed) {
            if (self->cursor)
                s_send_due (self);
            s_check_rewind (self);
            s_forward (self);
            s_acknowledge (self);
        }
        s_serve (self);
    }
    s_self_destroy (&self);
}

zactor_t *
zspool_outlet_new (const zspool_outlet_args_t *args)
{
    self_t *self = s_self_new (args);
    if (!self)
        return NULL;
    zactor_t *actor = zactor_new (s_outlet, self);
    if (!actor)
        s_free (self);
    return actor;
}
