//  outlet.c - the actor through which messages leave a device
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Messages are built from sealed blocks, live or read back. The policy decides when one counts as
//  acknowledged: `sent`, at once; `settled`, as lib/settle.c has it; `explicit`, when its ticket
//  comes back (lib/cursor.c knows which are due again). What changed goes to the writer every
//  CHANGE_MS.
//
//  States: idle (before START); forwarding; blocked (no peer takes a message now); stopped; failed.
//
//  Invariants
//  1. First deliveries go out in order of sequence; a message is delivered again only under
//  `settled` after
//     a disconnect, and under `explicit` after its timeout.
//  2. A message's cursor state never says acknowledged before the policy does.

#include "outlet.h"
#include "acks.h"
#include "burial.h"
#include "finder.h"
#include "follower.h"
#include "peers.h"
#include "pin.h"
#include "rate.h"
#include "request.h"
#include "settle.h"
#include "socket.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

//  Most messages sent between two looks at the other sockets
#define BATCH_MESSAGES 1000
//  Peers have nothing to say to out. One that sends a larger frame is cut off by ZeroMQ.
#define OUT_FRAME_BYTES_MAX 4096
//  Frames of this size and more are sent from the block, smaller ones are copied
#define PIN_BYTES_MIN 512
//  After a peer has gone nothing is sent for so long, until ZeroMQ has ended its pipe
#define REWIND_MS 100
//  When so much more time has passed than was waited for, the outlet was not awake
#define ASLEEP_MS 100
//  Changes of the cursor are collected for so long
#define CHANGE_MS 40
//  A message that ZeroMQ has taken, and no peer yet, may linger so long when the device stops
#define LINGER_MS 1000
//  Try again after this when a block could not be read for want of memory
#define RETRY_MS 10

typedef struct {
    zsock_t *pipe;                 //  commands
    zsock_t *writer;
    zsock_t *socket;               //  NULL before START
    zspool_acks_t acks;            //  explicit: where tickets come in
    zspool_peers_t peers;          //  of the socket
    int socket_type;
    zspool_ack_policy_t ack;
    char *label;
    char *endpoints;
    char *ack_in;                  //  explicit
    zspool_options_t options;
    bool terminated;
    bool stopped;
    bool failed;
    bool blocked;                  //  the last message was refused: wait until writable
    bool holding;                  //  settled: a peer has gone, send nothing before rewind_ms
    int64_t rewind_ms;             //  settled: go back to the floor at this time; 0: no need to
    int64_t rewind_again_ms;       //  settled: and again at this; 0: no need to
    bool retry;                    //  a block could not be had: wait RETRY_MS
    zspool_ticket_t ticket;        //  of this cursor; attempt and sequence change
    zspool_reader_t *reader;
    zspool_reader_t *again;
    zspool_block_pool_t *pool;
    zspool_follower_t follower;    //  first deliveries, and everything but explicit
    zspool_cursor_t *cursor;       //  explicit; else NULL
    zspool_finder_t finder;        //  explicit: of what is sent again
    zspool_burial_t burial;        //  explicit: of what was delivered too often
    bool stop_waits;               //  STOP is answered when the burial under way has ended
    uint64_t stop_number;          //  of that request
    zspool_settle_t settle;        //  settled
    uint64_t floor;                //  sent, settled: as the policy has it
    uint64_t sent_to;              //  sent, settled: highest sequence sent
    uint64_t change_floor;         //  as the writer was told
    uint64_t change_sent_to;       //  likewise
    int64_t change_ms;             //  when
    int64_t now_ms;                //  clock of all the above: time in which we were awake
    int64_t mono_ms;               //  the system's clock when it was last read
    int64_t timeout_ms;            //  of the last poll
    bool settled_down;             //  explicit: nothing was in flight and nothing had changed
    zspool_pins_t *pins;
    zspool_pin_t *pin;             //  for large frames of pin_block; NULL: copy
    zspool_block_t *pin_block;     //  block that a pin was asked for last; only compared
    uint64_t pin_first;            //  its first sequence
    zspool_measure_t wait;         //  from a message's numbering until it is sent, microseconds
    zspool_rate_t message_rate;    //  of all deliveries
    zspool_rate_t byte_rate;
    uint64_t sent_bytes;           //  of all deliveries
    uint64_t sent;                 //  messages, first deliveries
    uint64_t resent;               //  messages, further deliveries
} self_t;

//  ------------------------------------------------------------------------------------------------
//  Constructor and destructor

//  Free what the constructor has allocated.
static void
s_free (self_t *self)
{
    zspool_pins_destroy (&self->pins);
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
    zspool_finder_destroy (&self->finder);
    zspool_burial_destroy (&self->burial);
    zspool_pin_release (&self->pin);
    zspool_reader_destroy (&self->reader);
    zspool_reader_destroy (&self->again);
    zspool_block_pool_destroy (&self->pool);
    zspool_cursor_destroy (&self->cursor);
    zspool_peers_end (&self->peers);
    zsock_destroy (&self->socket);
    zsock_destroy (&self->acks.socket);
    zsock_destroy (&self->writer);
    s_free (self);
    *self_p = NULL;
}

static self_t *
s_self_new (const zspool_outlet_args_t *args)
{
    self_t *self = (self_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    const zspool_outlet_ends_t *ends = &args->ends;
    self->pins = zspool_pins_new ();
    self->label = strdup (ends->label);
    self->endpoints = strdup (ends->endpoints);
    self->ack_in = strdup (ends->ack_in? ends->ack_in: "");
    if (!self->pins || !self->label || !self->endpoints || !self->ack_in) {
        s_free (self);
        return NULL;
    }
    self->socket_type = ends->socket_type;
    self->ack = ends->ack;
    self->options = *args->options;
    self->ticket.spool = args->spool;
    self->ticket.cursor = args->cursor_id;
    self->ticket.generation = args->generation;
    self->ticket.incarnation = args->incarnation;
    self->burial.deliveries_max = args->dead_spool? (unsigned) self->options.max_deliveries: 0;
    self->burial.origin = self->options.name;
    self->burial.to = args->dead_spool;
    self->burial.from = args->spool;
    self->burial.cursor = args->cursor_id;
    self->reader = args->reader;
    self->again = args->again;
    zspool_finder_init (&self->finder, self->again);
    self->pool = args->pool;
    self->cursor = self->acks.cursor = args->cursor;
    self->acks.ours = &self->ticket;
    self->writer = args->writer;
    self->floor = self->change_floor = args->floor;
    self->sent_to = self->change_sent_to = args->sent_to;
    //  Without tickets nobody knows what arrived above the floor: it goes out again.
    zspool_follower_init (&self->follower, self->reader,
                          (self->cursor? args->sent_to: args->floor) + 1);
    if (self->cursor)
        zspool_cursor_set_timeout_ms (self->cursor, (int64_t) self->options.ack_timeout_ms);
    zspool_settle_init (&self->settle, (int64_t) self->options.settle_ms,
                        self->options.pipe_depth_bytes);
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

//  The pin for large frames of a block, or NULL: copy
static zspool_pin_t *
s_pin_of (self_t *self, zspool_block_t *block)
{
    //  A block may be used again for other messages, and the same messages be read into another.
    uint64_t first = zspool_block_first_sequence (block);
    if (self->pin_block != block || self->pin_first != first) {
        zspool_pin_release (&self->pin);
        self->pin = zspool_pin_new (self->pins, block);
        self->pin_block = block;
        self->pin_first = first;
    }
    return self->pin;
}

static void
s_unpin (self_t *self)
{
    zspool_pin_release (&self->pin);
    self->pin_block = NULL;
}

//  Send one frame; false when it is refused for now.
static bool
s_send_frame (self_t *self, zspool_block_t *block, const void *data, size_t size, bool more)
{
    zmq_msg_t message;
    zspool_pin_t *pin = size >= PIN_BYTES_MIN? s_pin_of (self, block): NULL;
    if (!pin || zspool_pin_message (pin, &message, data, size)) {
        if (zmq_msg_init_size (&message, size)) {
            self->retry = true;
            return false;
        }
        if (size > 0)
            memcpy (zmq_msg_data (&message), data, size);
    }
    void *socket = zsock_resolve (self->socket);
    if (zmq_msg_send (&message, socket, ZMQ_DONTWAIT | (more? ZMQ_SNDMORE: 0)) >= 0)
        return true;
    int error = zmq_errno ();
    zmq_msg_close (&message);
    if (error == ETERM)
        self->terminated = true;
    return false;
}

//  Send a message. When a frame is refused ZeroMQ has taken back those before it: false, send all
//  again.
static bool
s_send_message (self_t *self, zspool_block_t *block, const zspool_record_t *record)
{
    bool sent = true;
    if (self->cursor) {
        uint8_t bytes [ZSPOOL_TICKET_BYTES];
        self->ticket.sequence = record->sequence;
        zspool_ticket_encode (&self->ticket, bytes);
        sent = s_send_frame (self, block, bytes, sizeof bytes, true);
    }
    zspool_record_t frames = *record;
    zspool_frame_t frame;
    for (size_t left = frames.frames; sent && left > 0; left--) {
        zspool_record_next_frame (&frames, &frame);
        sent = s_send_frame (self, block, frame.data, frame.size, left > 1);
    }
    self->blocked = !sent && !self->retry;
    return sent;
}

//  Note what was sent first, up to and including `last`, since the note before.
static void
s_note_sent (self_t *self, uint64_t first, uint64_t last, size_t bytes)
{
    if (self->cursor) {
        self->settled_down = false;
        if (zspool_cursor_sent (self->cursor, first, last, self->now_ms))
            s_fail (self);
        return;
    }
    if (last > self->sent_to)
        self->sent_to = last;
    if (self->ack == ZSPOOL_ACK_SENT)
        self->floor = last;
    else
        zspool_settle_sent (&self->settle, last, bytes, self->now_ms);
}

//  What the follower says when it has nothing at hand
static void
s_follower_stuck (self_t *self, int rc)
{
    if (rc == ZSPOOL_ECORRUPT) {
        uint64_t first, last;
        zspool_reader_damage (self->reader, &first, &last);
        zsys_error ("spool %s: block damaged, messages %llu to %llu are not delivered",
                    self->options.name, (unsigned long long) first, (unsigned long long) last);
    }
    else if (rc == ZSPOOL_EFULL || rc == ZSPOOL_ENOMEM)
        self->retry = true;
    else if (rc != ZSPOOL_ENOENT)
        s_fail (self);
}

//  Whether another first delivery may be made. What was under way when the device ended goes first.
static bool
s_may_deliver (const self_t *self)
{
    if (self->cursor)
        return zspool_cursor_may_deliver (self->cursor) && zspool_cursor_next_due_ms (self->cursor) > 0;
    return !self->holding;
}

//  Note at what rate messages are sent.
static void
s_note_rate (self_t *self, int64_t now_us)
{
    zspool_rate_note (&self->message_rate, self->sent + self->resent, now_us);
    zspool_rate_note (&self->byte_rate, self->sent_bytes, now_us);
}

//  Measure what was sent of a block, and so many first deliveries among it. How long these waited
//  goes by the clock of the day: they may have been stored before this process began.
static void
s_measure (self_t *self, const zspool_block_t *block, uint64_t first_deliveries)
{
    int64_t now_us = zclock_usecs ();
    if (first_deliveries > 0)
        zspool_measure_add (&self->wait, zspool_now_us () - zspool_block_stored_us (block),
                            first_deliveries, now_us);
    s_note_rate (self, now_us);
}

//  Send first deliveries from the block at hand, at most so many. Returns how many.
static size_t
s_forward_block (self_t *self, size_t most)
{
    zspool_follower_t *follower = &self->follower;
    zspool_block_t *block = follower->block;
    uint64_t first = follower->record.sequence, last = 0;
    uint64_t sent_before = self->sent;
    size_t count = 0, bytes = 0;
    if (self->cursor
        && zspool_cursor_cover (self->cursor, zspool_block_first_sequence (block),
                                zspool_block_count (block))) {
        s_fail (self);
        return 0;
    }
    self->ticket.attempt = 1;
    while (count < most && follower->block == block && s_send_message (self, block, &follower->record)) {
        if (follower->record.sequence <= self->sent_to)
            self->resent++;
        else
            self->sent++;
        last = follower->record.sequence;
        bytes += follower->record.data_bytes;
        count++;
        zspool_follower_advance (follower);
        if (last == zspool_block_last_sequence (block))
            break;
        zspool_follower_peek (follower);
    }
    if (count > 0) {
        s_note_sent (self, first, last, bytes);
        self->sent_bytes += bytes;
        s_measure (self, block, self->sent - sent_before);
    }
    return count;
}

static void
s_forward (self_t *self)
{
    size_t count = 0;
    while (count < BATCH_MESSAGES && !self->blocked && !self->retry && !self->failed
           && s_may_deliver (self)) {
        int rc = zspool_follower_peek (&self->follower);
        if (rc == ZSPOOL_OK)
            count += s_forward_block (self, BATCH_MESSAGES - count);
        else
            s_follower_stuck (self, rc);
        if (rc && rc != ZSPOOL_ECORRUPT)
            break;
    }
    if (self->blocked)
        zspool_settle_blocked (&self->settle, self->now_ms);
}

//  ------------------------------------------------------------------------------------------------
//  Sending again, under explicit

//  Have the message at hand in the finder; false when it cannot be had (now).
static bool
s_find_again (self_t *self, uint64_t sequence)
{
    int rc = zspool_finder_find (&self->finder, sequence);
    if (rc == ZSPOOL_EFULL || rc == ZSPOOL_ENOMEM || rc == ZSPOOL_ENOENT)
        self->retry = true; //  ENOENT: under async it may not be committed yet
    else if (rc == ZSPOOL_ESTALE)
        zspool_cursor_ack (self->cursor, sequence, sequence);
    else if (rc)
        s_fail (self);
    return rc == ZSPOOL_OK;
}

//  The message at hand in the finder has been delivered too often: let it be buried. Until that is
//  done, or when it is refused, it counts as if it had been sent now. False when the move is full,
//  or cannot be had.
static bool
s_bury (self_t *self, unsigned deliveries)
{
    const zspool_record_t *record = &self->finder.record;
    int64_t sent_ms = zspool_cursor_due_sent_ms (self->cursor), now_us = zspool_now_us ();
    int rc = self->burial.under_way? ZSPOOL_EFULL: zspool_burial_reserve (&self->burial, record);
    if (rc == ZSPOOL_OK)
        rc = zspool_cursor_defer (self->cursor, record->sequence, self->now_ms);
    zspool_death_t death = {
        .sequence = record->sequence,
        .stored_us = zspool_block_stored_us (self->finder.block),
        .delivered_us = sent_ms == INT64_MIN? 0: now_us - (self->now_ms - sent_ms) * 1000,
        .died_us = now_us,
        .deliveries = deliveries,
        .reason = ZSPOOL_DEATH_DELIVERIES,
    };
    if (rc == ZSPOOL_OK)
        rc = zspool_burial_add (&self->burial, record, &death);
    self->retry = self->retry || rc == ZSPOOL_ENOMEM;
    return rc == ZSPOOL_OK;
}

static void
s_send_due (self_t *self)
{
    uint64_t sequence;
    bool sent = false;
    for (int count = 0; count < BATCH_MESSAGES && !self->blocked && !self->retry && !self->failed; count++) {
        if (!zspool_cursor_due (self->cursor, self->now_ms, &sequence))
            break;
        unsigned deliveries = zspool_cursor_deliveries (self->cursor, sequence);
        bool dies = zspool_burial_wants (&self->burial, deliveries);
        if (dies && zspool_burial_rests (&self->burial, self->now_ms)) {
            self->retry = zspool_cursor_defer (self->cursor, sequence, self->now_ms) != ZSPOOL_OK;
            continue;
        }
        if (!s_find_again (self, sequence))
            continue;
        if (dies) {
            if (!s_bury (self, deliveries))
                break;
            continue;
        }
        self->ticket.attempt = (uint16_t) (deliveries < UINT16_MAX? deliveries + 1: UINT16_MAX);
        if (!s_send_message (self, self->finder.block, &self->finder.record))
            break;
        if (zspool_cursor_sent (self->cursor, sequence, sequence, self->now_ms))
            s_fail (self);
        self->resent++;
        self->sent_bytes += self->finder.record.data_bytes;
        sent = true;
    }
    zspool_burial_hand_over (&self->burial, zsock_resolve (self->writer));
    if (sent)
        s_note_rate (self, zclock_usecs ());
}

//  ------------------------------------------------------------------------------------------------
//  Cursor changes

//  Tell the writer what changed, if anything did.
static void
s_hand_change (self_t *self)
{
    zspool_cursor_change_t *change = NULL;
    if (self->failed || self->burial.under_way)
        return;
    if (self->cursor) {
        self->settled_down = !zspool_cursor_changed (self->cursor)
                             && zspool_cursor_in_flight (self->cursor) == 0;
        change = zspool_cursor_take_change (self->cursor);
    }
    else if (self->floor != self->change_floor || self->sent_to != self->change_sent_to) {
        change = (zspool_cursor_change_t *) calloc (1, sizeof *change);
        if (change) {
            change->spool = self->ticket.spool;
            change->cursor = self->ticket.cursor;
            change->generation = self->ticket.generation;
            change->floor = self->change_floor = self->floor;
            change->sent_to = self->change_sent_to = self->sent_to;
        }
    }
    if (change && zspool_handoff_send (zsock_resolve (self->writer), HANDOFF_CHANGE, change, 0))
        free (change);
}

static void
s_acknowledge (self_t *self)
{
    if (self->ack == ZSPOOL_ACK_SETTLED && !self->rewind_ms) {
        uint64_t settled = zspool_settle_settled (&self->settle, self->now_ms);
        if (settled > self->floor)
            self->floor = settled;
    }
    if (self->now_ms - self->change_ms >= CHANGE_MS) {
        s_hand_change (self);
        self->change_ms = self->now_ms;
    }
}

//  ------------------------------------------------------------------------------------------------
//  Handlers

//  Peers come and go. One that has gone took with it what ZeroMQ had for it: under settled go back,
//  but not at once: ZeroMQ tells that a connection has ended shortly before it ends its pipe, and
//  what is sent between goes there too. So hold, then go back. If another one goes meanwhile, go
//  back once more, without holding again.
static void
s_handle_peers (self_t *self)
{
    if (zspool_peers_update (&self->peers) == 0 || self->ack != ZSPOOL_ACK_SETTLED)
        return;
    if (self->rewind_ms)
        self->rewind_again_ms = self->now_ms + REWIND_MS;
    else {
        self->rewind_ms = self->now_ms + REWIND_MS;
        self->holding = true;
    }
}

//  Go back to the floor when it is time to.
static void
s_check_rewind (self_t *self)
{
    if (!self->rewind_ms || self->now_ms < self->rewind_ms)
        return;
    zsock_events (self->socket); //  ZeroMQ takes in that the pipe has ended
    zspool_settle_disconnected (&self->settle);
    zspool_follower_seek (&self->follower, self->floor + 1);
    self->holding = false;
    self->rewind_ms = self->rewind_again_ms;
    self->rewind_again_ms = 0;
}

//  Blocks up to a sequence were dropped at the spool's limit: nothing of them is sent any more, and
//  what is on its way counts for nothing.
static void
s_skip (self_t *self, uint64_t to)
{
    if (self->cursor)
        zspool_cursor_skip (self->cursor, to);
    if (self->floor < to)
        self->floor = to;
    if (self->sent_to < to)
        self->sent_to = to;
    if (self->follower.next <= to)
        zspool_follower_seek (&self->follower, to + 1);
    self->settled_down = false;
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
    self->stop_waits = self->burial.under_way;
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
        else if (handoff.kind == HANDOFF_BURIED)
            zspool_burial_end (&self->burial, (zspool_move_t *) handoff.pointer, self->cursor, self->now_ms);
        else {
            self->failed = true;
            self->burial.under_way = false;
        }
    }
    if (self->stop_waits && !self->burial.under_way)
        s_end_stop (self);
}

//  Create the sockets and attach them. *reason says why that failed.
static int
s_attach (self_t *self, const char **reason)
{
    int hwm = (int) self->options.hwm;
    *reason = "out of memory or sockets";
    self->socket = zspool_socket_new (self->socket_type, hwm, OUT_FRAME_BYTES_MAX, LINGER_MS);
    if (!self->socket || zspool_peers_watch (&self->peers, zsock_resolve (self->socket)))
        return ZSPOOL_ENOMEM;
    zsock_set_immediate (self->socket, 1);
    int rc = zspool_socket_attach (self->socket, self->endpoints, reason);
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
                    zspool_socket_endpoint (self->socket, self->endpoints),
                    self->acks.socket? zspool_socket_endpoint (self->acks.socket, self->ack_in): "");
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
    uint64_t floor = self->cursor? zspool_cursor_floor (self->cursor): self->floor;
    uint64_t in_flight =
        self->cursor? zspool_cursor_in_flight (self->cursor): self->sent_to - self->floor;
    zmsg_t *status = zspool_reply_new (number, ZSPOOL_OK);
    zspool_reply_add (status, "out/sent", self->sent);
    zspool_reply_add (status, "out/resent", self->resent);
    zspool_reply_add (status, "out/buried", self->burial.buried);
    zspool_reply_add (status, "out/floor", floor);
    zspool_reply_add (status, "out/sent_to", self->cursor? zspool_cursor_sent_to (self->cursor): self->sent_to);
    zspool_reply_add (status, "out/in_flight", in_flight);
    zspool_reply_add (status, "out/unsent_age_ms", s_unsent_age_ms (self));
    zspool_reply_add (status, "out/peers", zspool_peers_count (&self->peers));
    zspool_reply_add (status, "out/damaged", self->follower.damaged);
    zspool_reply_add (status, "ack/tickets", self->acks.good);
    zspool_reply_add (status, "ack/stale", self->acks.stale);
    zspool_reply_add (status, "ack/bad", self->acks.bad);
    int64_t now_us = zclock_usecs ();
    zspool_reply_add (status, "rate/out", zspool_rate_get (&self->message_rate, now_us));
    zspool_reply_add (status, "rate/out_bytes", zspool_rate_get (&self->byte_rate, now_us));
    zspool_reply_add_measure (status, "wait/", "_us", &self->wait, now_us);
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
s_has_work (const self_t *self)
{
    uint64_t sequence;
    //  What is to be buried next waits for the burial under way.
    if (self->cursor && zspool_cursor_due (self->cursor, self->now_ms, &sequence)
        && !(self->burial.under_way
             && zspool_burial_wants (&self->burial, zspool_cursor_deliveries (self->cursor, sequence))))
        return true;
    return s_may_deliver (self)
           && (self->follower.block || self->follower.live_count > 0 || self->follower.behind);
}

static int64_t
s_timeout_ms (self_t *self, bool work)
{
    int64_t timeout_ms = self->change_ms + CHANGE_MS - self->now_ms;
    bool quiet = self->cursor? self->settled_down:
                               self->floor == self->sent_to && self->floor == self->change_floor
                                   && self->sent_to == self->change_sent_to;
    if (self->stopped || self->failed || quiet)
        timeout_ms = INT32_MAX;
    if (self->rewind_ms && timeout_ms > self->rewind_ms - self->now_ms)
        timeout_ms = self->rewind_ms - self->now_ms;
    if (self->retry && timeout_ms > RETRY_MS)
        timeout_ms = RETRY_MS;
    if (work && !self->blocked && !self->retry)
        timeout_ms = 0;
    if (timeout_ms == INT32_MAX)
        return -1;
    return timeout_ms > 0? timeout_ms: 0;
}

//  Read the clock. Time in which the process was stopped, or had no processor, does not count:
//  nobody has looked at the peers meanwhile, so nothing may settle or be due for it.
static void
s_tick (self_t *self)
{
    int64_t mono_ms = zclock_mono ();
    int64_t passed_ms = mono_ms - self->mono_ms;
    if (self->timeout_ms >= 0 && passed_ms > self->timeout_ms + ASLEEP_MS)
        passed_ms = self->timeout_ms + ASLEEP_MS;
    self->mono_ms = mono_ms;
    self->now_ms += passed_ms;
    self->timeout_ms = 0;
}

//  Wait for something to do, and do what the sockets ask for.
static void
s_serve (self_t *self)
{
    bool running = self->socket && !self->stopped && !self->failed;
    bool work = running && s_has_work (self);
    if (!work)
        s_unpin (self);
    zmq_pollitem_t items [] = {
        { zsock_resolve (self->pipe), 0, ZMQ_POLLIN, 0 },
        { zsock_resolve (self->writer), 0, ZMQ_POLLIN, 0 },
        { self->peers.monitor, -1, ZMQ_POLLIN, 0 },
        { self->acks.socket? zsock_resolve (self->acks.socket): NULL, -1, ZMQ_POLLIN, 0 },
        { self->socket? zsock_resolve (self->socket): NULL, -1, ZMQ_POLLOUT, 0 },
    };
    int items_count = running && work && self->blocked? 5: 4;
    self->timeout_ms = s_timeout_ms (self, work);
    if (zmq_poll (items, items_count, (long) self->timeout_ms) < 0 && zmq_errno () == ETERM)
        self->terminated = true;
    s_tick (self);
    self->retry = false;
    if (items [1].revents)
        s_handle_writer (self);
    if (items [2].revents)
        s_handle_peers (self);
    if (items [3].revents && running)
        zspool_acks_receive (&self->acks);
    if (items_count == 5 && items [4].revents) {
        zspool_settle_blocked (&self->settle, self->now_ms);
        self->blocked = false;
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
    self->now_ms = self->mono_ms = zclock_mono ();
    while (!self->terminated) {
        if (self->socket && !self->stopped && !self->failed) {
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
