//  inlet.c - the actor through which messages enter a device: packs them into blocks for the writer
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A block is handed to the writer when it is full, or when the writer is free and the socket has
//  run dry or the block is worth a commit. So an idle device stores each message at once, and a
//  busy one spreads a commit over as many messages as came during the one before.
//
//  States: idle (before START); taking; paused; held (a message waits for room in a block: the
//  socket is not read, and ZeroMQ's high-water mark holds the producers); stopping; failed.
//
//  Invariants
//  1. Messages go into blocks, and blocks to the writer, in the order they were received.
//  2. At most ZSPOOL_WRITER_BLOCKS_MAX blocks are handed over and not durable.
//  3. At most one message is at hand: one that is not whole yet, or one that is held.

#include "inlet.h"
#include "block.h"
#include "follower.h"
#include "message.h"
#include "pin.h"
#include "rate.h"
#include "request.h"
#include "socket.h"
#include "store.h"
#include "writer.h"

#include <sched.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

//  Blocks: those with the writer, the one being filled, those that outlets keep live, which are the
//  same for all; and then, for each outlet, what it or ZeroMQ still sends from
#define POOL_BLOCKS (ZSPOOL_WRITER_BLOCKS_MAX + 1 + ZSPOOL_FOLLOWER_LIVE_MAX)
//  Most bytes in blocks that are handed over and not durable, unless a single block has more
#define HANDED_BYTES_MAX (8 * 1024 * 1024)
//  A block with so many bytes is worth a commit though more messages are at hand
#define SEAL_BYTES (448 * 1024)
//  Messages that come at this rate or above are a stream: a block is worth waiting for, but not
//  longer than this
#define STREAM_PER_MS 100
#define STREAM_BYTES_PER_MS (64 * 1024)
#define STREAM_WAIT_US 4000
//  Most frames received between two looks at the pipes
#define BATCH_FRAMES_MAX 2000
//  An index tells when each message came, by a clock that is looked at once for so many frames
#define CLOCK_FRAMES 32
//  Try again for a block after this, when outlets hold all of them
#define HELD_RETRY_MS 2
//  While there is no hurry the socket is left alone for so long, if less than this part of ZeroMQ's
//  pipe fills up meanwhile
#define REST_MS 1
#define REST_PIPE_PART 2
//  Most flushes that wait for their replies, that of a stop included
#define FLUSHES_MAX 8
//  Stopping: nothing came for so long; at most so long; at most so long on a slow disk
#define DRAIN_QUIET_MS 100
#define DRAIN_MAX_MS 2000
#define DRAIN_SLOW_MAX_MS 8000
//  And then so long for storing what came, or for room to do so
#define STORE_MAX_MS 8000
//  Stopping while the spool is at its limit, so much more is taken in: what producers had on the
//  way
#define DRAIN_OVER_BYTES_MAX (64 * 1024 * 1024)

typedef struct {
    zsock_t *pipe;              //  commands
    zsock_t *writer;
    zsock_t *socket;            //  NULL before START
    char *endpoints;
    int socket_type;
    zlist_t *topics;            //  SUB, before START: what to subscribe to; not ours
    bool indexed;               //  blocks tell the topics of their messages
    int hwm;
    bool terminated;
    bool paused;
    bool failed;                //  the store has failed
    bool stopping;
    bool stop_over_limit;       //  stopping: the spool was at its limit
    int full;                   //  why the writer has no room now, ENOSPC or ELIMIT; else 0
    uint64_t flushes [FLUSHES_MAX]; //  numbers of requests that wait until all is durable
    size_t flushes_count;
    uint64_t stop_number;       //  stopping: number of the request
    int64_t stop_quiet_ms;      //  stopping: drained when nothing came until then; 0: not stopping
    int64_t stop_drained_ms;    //  stopping: drained by then at the latest
    int64_t stop_slow_ms;       //  stopping: drained by then at the latest, though the disk is slow
    int64_t stop_by_ms;         //  stopping: reply by then at the latest; 0: not drained yet
    uint64_t stop_bytes;        //  stopping: taken in before
    zspool_block_pool_t *pool;
    zspool_block_t *block;      //  being filled, or NULL
    zspool_message_t message;   //  at hand
    bool held;                  //  the message at hand is whole and waits for room
    uint64_t handed;            //  blocks handed to the writer,
    uint64_t taken;             //  of these, it is done with for our purposes,
    uint64_t stored;            //  and these are durable
    size_t handed_bytes;        //  in blocks that are handed over and not durable
    size_t sizes [ZSPOOL_WRITER_BLOCKS_MAX];    //  of these blocks, bytes: a ring indexed by `handed`
    uint32_t counts [ZSPOOL_WRITER_BLOCKS_MAX]; //  likewise, messages
    uint64_t stored_messages;   //  messages that are durable
    uint64_t flush_to;          //  flushing: reply when so many messages are durable
    uint64_t rate_per_ms;       //  messages that came in a millisecond, lately
    uint64_t bytes_per_ms;      //  their bytes
    int64_t rate_since_us;      //  both are counted from this time on,
    uint64_t rate_since;        //  when so many messages
    uint64_t rate_since_bytes;  //  and bytes had been taken in
    uint64_t messages;          //  taken in
    uint64_t bytes;             //  taken in
    int64_t arrival_us;         //  when messages come, since 1970: looked up now and then
    int64_t block_began_us;     //  when the first message of the block came, by the monotonic clock
    zspool_measure_t t1;        //  from then until the block is handed over, each message as its first
    zspool_rate_t message_rate;
    zspool_rate_t byte_rate;
} self_t;

static void
s_self_destroy (self_t **self_p)
{
    self_t *self = *self_p;
    zspool_message_destroy (&self->message);
    zsock_destroy (&self->socket);
    zsock_destroy (&self->writer);
    zspool_block_destroy (&self->block);
    zspool_block_pool_destroy (&self->pool);
    free (self->endpoints);
    free (self);
    *self_p = NULL;
}

static self_t *
s_self_new (const zspool_inlet_args_t *args)
{
    self_t *self = (self_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    int rc =
        zspool_message_init (&self->message, args->message_bytes_max, args->message_frames_max);
    self->pool = zspool_block_pool_new (POOL_BLOCKS + args->outlets * ZSPOOL_PINNED_BLOCKS_MAX,
                                        ZSPOOL_BLOCK_BYTES);
    self->endpoints = strdup (args->endpoints);
    self->socket_type = args->socket_type;
    self->topics = args->topics;
    self->indexed = args->indexed;
    self->hwm = args->hwm;
    if (rc || !self->pool || !self->endpoints)
        s_self_destroy (&self);
    else
        self->writer = args->writer;
    return self;
}

//  ------------------------------------------------------------------------------------------------
//  Blocks

//  Count at what rate messages come, over a millisecond or more.
static void
s_count_rate (self_t *self)
{
    int64_t now_us = zclock_usecs ();
    int64_t passed_us = now_us - self->rate_since_us;
    if (passed_us < 1000)
        return;
    self->rate_per_ms = (self->messages - self->rate_since) * 1000 / (uint64_t) passed_us;
    self->bytes_per_ms = (self->bytes - self->rate_since_bytes) * 1000 / (uint64_t) passed_us;
    self->rate_since_us = now_us;
    self->rate_since = self->messages;
    self->rate_since_bytes = self->bytes;
}

static void
s_hand_over (self_t *self)
{
    s_count_rate (self);
    zspool_block_seal (self->block);
    int64_t now_us = zclock_usecs ();
    zspool_measure_add (&self->t1, now_us - self->block_began_us, zspool_block_count (self->block), now_us);
    zspool_rate_note (&self->message_rate, self->messages, now_us);
    zspool_rate_note (&self->byte_rate, self->bytes, now_us);
    size_t size = zspool_block_size (self->block);
    self->sizes [self->handed % ZSPOOL_WRITER_BLOCKS_MAX] = size;
    self->counts [self->handed % ZSPOOL_WRITER_BLOCKS_MAX] = zspool_block_count (self->block);
    self->handed_bytes += size;
    if (zspool_handoff_send (zsock_resolve (self->writer), HANDOFF_BLOCK, self->block, (uint64_t) now_us))
        zspool_block_destroy (&self->block);
    self->block = NULL;
    self->handed++;
    if (self->flushes_count > 0)
        zspool_handoff_send (zsock_resolve (self->writer), HANDOFF_FLUSH, NULL, 0);
}

//  So many of the blocks handed over have become durable.
static void
s_blocks_stored (self_t *self, uint64_t count)
{
    for (; count > 0; count--, self->stored++) {
        self->handed_bytes -= self->sizes [self->stored % ZSPOOL_WRITER_BLOCKS_MAX];
        self->stored_messages += self->counts [self->stored % ZSPOOL_WRITER_BLOCKS_MAX];
    }
}

//  Whether the writer may be handed a block, and another one begun that is to have so many bytes
static bool
s_may_hand_over (const self_t *self, size_t next_bytes)
{
    return self->handed - self->stored < ZSPOOL_WRITER_BLOCKS_MAX - 1
           && (self->handed_bytes == 0 || self->handed_bytes + next_bytes <= HANDED_BYTES_MAX);
}

//  Make sure that the block has room for a record; false when there is none for now.
static bool
s_make_room (self_t *self, size_t record_bytes, size_t topic_bytes)
{
    if (self->block) {
        if (zspool_block_has_room (self->block, record_bytes, topic_bytes))
            return true;
        if (!s_may_hand_over (self, zspool_block_used (self->block)))
            return false;
        s_hand_over (self);
    }
    if (!s_may_hand_over (self, record_bytes))
        return false;
    size_t bytes = self->indexed? zspool_block_bytes_with_index (record_bytes, topic_bytes): record_bytes;
    self->block = zspool_block_pool_take (self->pool, bytes);
    if (self->block)
        zspool_block_set_indexed (self->block, self->indexed);
    return self->block != NULL;
}

//  Pack the message at hand. False when there is no room for now.
static bool
s_pack_message (self_t *self)
{
    zspool_message_t *message = &self->message;
    size_t record_bytes = zspool_block_record_bytes (message->count, message->bytes);
    if (!s_make_room (self, record_bytes, zmq_msg_size (&message->frames [0])))
        return false;
    int64_t arrival_us = self->arrival_us;
    if (zspool_block_count (self->block) == 0) {
        arrival_us = self->arrival_us = zspool_now_us ();
        self->block_began_us = zclock_usecs ();
    }
    int rc;
    if (message->count == 1)
        rc = zspool_block_append_frame (self->block, zmq_msg_data (&message->frames [0]),
                                        message->bytes, arrival_us);
    else
        rc = zspool_block_append (self->block, zspool_message_views (message), message->count,
                                  arrival_us);
    assert (rc == ZSPOOL_OK);
    self->messages++;
    self->bytes += message->bytes;
    zspool_message_clear (message);
    return true;
}

//  ------------------------------------------------------------------------------------------------
//  Receiving

//  Receive one frame; false when the socket has none.
static bool
s_receive_frame (self_t *self, void *socket)
{
    switch (zspool_message_receive (&self->message, socket)) {
    case ZSPOOL_MESSAGE_TERMINATED: self->terminated = true; return false;
    case ZSPOOL_MESSAGE_NONE: return false;
    case ZSPOOL_MESSAGE_WHOLE: self->held = !s_pack_message (self); return true;
    default: return true;
    }
}

//  Receive until the socket is dry, a message is held, or a batch is full, but never a part of a
//  message. True when it ran dry.
static bool
s_receive (self_t *self)
{
    void *socket = zsock_resolve (self->socket);
    for (int count = 0; !self->held && (count < BATCH_FRAMES_MAX || self->message.count > 0);
         count++) {
        if (self->indexed && count % CLOCK_FRAMES == 0)
            self->arrival_us = zspool_now_us ();
        if (!s_receive_frame (self, socket))
            return true;
    }
    return false;
}

//  Try again to pack the message that is held.
static void
s_retry_held (self_t *self)
{
    if (self->held)
        self->held = !s_pack_message (self);
}

static bool
s_is_taking (const self_t *self)
{
    return self->socket && !self->held && !self->failed && (!self->paused || self->stop_quiet_ms);
}

//  ------------------------------------------------------------------------------------------------
//  Handlers

//  Answer a request: code, and how many messages are not durable.
static void
s_reply (self_t *self, uint64_t number, int rc, uint64_t lost)
{
    zmsg_t *reply = zspool_reply_new (number, rc);
    zmsg_addstrf (reply, "%llu", (unsigned long long) lost);
    zmsg_send (&reply, self->pipe);
}

//  Answer flushes and the stop when what they wait for is durable.
static void
s_check_flush (self_t *self)
{
    if (self->flushes_count == 0)
        return;
    int rc = ZSPOOL_OK;
    if (self->failed)
        rc = ZSPOOL_EFAILED;
    else if (self->stored_messages < self->flush_to) {
        if (!self->stop_by_ms || zclock_mono () <= self->stop_by_ms)
            return;
        rc = self->full? self->full: ZSPOOL_ETIMEDOUT;
    }
    uint64_t lost = rc? self->messages + self->held - self->stored_messages: 0;
    for (size_t index = 0; index < self->flushes_count; index++)
        s_reply (self, self->flushes [index], rc, lost);
    self->flushes_count = 0;
}

//  Answer when every message taken in until now is durable: the block being filled goes as soon as
//  the writer is free, and what is held in it or in the next. The writer commits it all at once.
//  Those who wait already wait for this, too.
static void
s_begin_flush (self_t *self, uint64_t number)
{
    //  The last place is for the stop.
    if (self->flushes_count == (self->stopping? FLUSHES_MAX: FLUSHES_MAX - 1)) {
        s_reply (self, number, ZSPOOL_ELIMIT, 0);
        return;
    }
    self->flush_to = self->messages + self->held;
    self->flushes [self->flushes_count++] = number;
    zspool_handoff_send (zsock_resolve (self->writer), HANDOFF_FLUSH, NULL, 0);
}

//  Subscribe to the topics, or all. ZeroMQ silently loses subscriptions above the high-water mark
//  of sending.
static void
s_subscribe (self_t *self)
{
    zsock_set_sndhwm (self->socket, 0);
    const char *topic = self->topics? (const char *) zlist_first (self->topics): NULL;
    if (!topic)
        zsock_set_subscribe (self->socket, "");
    for (; topic; topic = (const char *) zlist_next (self->topics))
        zsock_set_subscribe (self->socket, topic);
}

static void
s_start (self_t *self)
{
    const char *reason = "out of memory or sockets";
    int rc = ZSPOOL_ENOMEM;
    if (!*self->endpoints) {
        zsock_send (self->pipe, "is", ZSPOOL_OK, "");
        return;
    }
    self->socket = zspool_socket_new (self->socket_type, self->hwm,
                                      zspool_message_frame_bytes_max (self->message.bytes_max), 0);
    if (self->socket && self->socket_type == ZMQ_SUB)
        s_subscribe (self);
    if (self->socket)
        rc = zspool_socket_attach (self->socket, self->endpoints, &reason);
    if (rc == ZSPOOL_OK)
        reason = zspool_socket_endpoint (self->socket, self->endpoints);
    zsock_send (self->pipe, "is", rc, reason);
    if (rc)
        zsock_destroy (&self->socket);
}

//  Taking or paused -> stopping. The endpoint stays bound while the inlet drains: unbinding would
//  cut the connections, and lose what the kernel holds for them. For the same reason the spool's
//  limit holds no more.
static void
s_stop (self_t *self, uint64_t number)
{
    int64_t now_ms = zclock_mono ();
    self->stopping = true;
    self->stop_over_limit = self->full == ZSPOOL_ELIMIT;
    self->stop_bytes = self->bytes;
    self->stop_number = number;
    self->stop_quiet_ms = now_ms + DRAIN_QUIET_MS;
    self->stop_drained_ms = now_ms + DRAIN_MAX_MS;
    self->stop_slow_ms = now_ms + DRAIN_SLOW_MAX_MS;
    zspool_handoff_send (zsock_resolve (self->writer), HANDOFF_STOP, NULL, 0);
}

//  Whether a stop has taken in what it is to take in
static bool
s_is_drained (self_t *self, bool received)
{
    int64_t now_ms = zclock_mono ();
    if (self->held && self->full != ZSPOOL_ENOSPC) {
        //  The disk is slow: what waits for it is neither quiet nor the producers' fault.
        self->stop_quiet_ms = now_ms + DRAIN_QUIET_MS;
        self->stop_drained_ms = now_ms + DRAIN_MAX_MS;
    }
    if (received || self->held)
        self->stop_quiet_ms = now_ms + DRAIN_QUIET_MS;
    if (self->stop_over_limit && self->bytes - self->stop_bytes > DRAIN_OVER_BYTES_MAX)
        return true;
    return now_ms >= self->stop_quiet_ms || now_ms >= self->stop_drained_ms
           || now_ms >= self->stop_slow_ms;
}

//  Stopping: when nothing came for a while, or it takes too long, store what came and answer.
static void
s_check_stop (self_t *self, bool received)
{
    if (!self->stop_quiet_ms || (!self->failed && !s_is_drained (self, received)))
        return;
    zsock_destroy (&self->socket);
    s_begin_flush (self, self->stop_number);
    self->stop_quiet_ms = 0;
    self->stop_by_ms = zclock_mono () + STORE_MAX_MS;
}

static void
s_reply_status (self_t *self, uint64_t number)
{
    zmsg_t *status = zspool_reply_new (number, ZSPOOL_OK);
    zspool_reply_add (status, "in/paused", self->paused);
    zspool_reply_add (status, "in/messages", self->messages);
    zspool_reply_add (status, "in/bytes", self->bytes);
    zspool_reply_add (status, "in/dropped", self->message.dropped);
    int64_t now_us = zclock_usecs ();
    zspool_reply_add (status, "rate/in", zspool_rate_get (&self->message_rate, now_us));
    zspool_reply_add (status, "rate/in_bytes", zspool_rate_get (&self->byte_rate, now_us));
    zspool_reply_add_measure (status, "t1/", "_us", &self->t1, now_us);
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
    else if (streq (command, "PAUSE") || streq (command, "RESUME")) {
        self->paused = streq (command, "PAUSE");
        s_reply (self, number, ZSPOOL_OK, 0);
    }
    else if (streq (command, "FLUSH"))
        s_begin_flush (self, number);
    else if (streq (command, "STOP"))
        s_stop (self, number);
    else if (streq (command, "STATUS"))
        s_reply_status (self, number);
    zstr_free (&command);
}

static void
s_handle_writer (self_t *self)
{
    zspool_handoff_t handoff;
    while (zspool_handoff_recv (zsock_resolve (self->writer), &handoff) == 0) {
        if (handoff.kind == HANDOFF_TAKEN)
            self->taken += handoff.number;
        else if (handoff.kind == HANDOFF_STORED)
            s_blocks_stored (self, handoff.number);
        else if (handoff.kind == HANDOFF_FULL)
            self->full = -(int) handoff.number;
        else
            self->failed = true;
    }
    s_retry_held (self);
}

static long
s_timeout_ms (const self_t *self)
{
    if (self->held && self->handed == self->stored)
        return HELD_RETRY_MS; //  outlets hold all blocks, and do not say when they let one go
    if (self->block && self->taken == self->handed)
        return 1; //  a stream may have ended
    return self->stopping? 10: -1;
}

//  While a commit is under way, or a stream fills a block, nothing is gained by waking for each
//  message: let them gather in ZeroMQ's pipe, unless they come so fast that it would fill up.
static bool
s_may_rest (const self_t *self)
{
    return (self->taken < self->handed || self->block) && !self->stopping
           && self->rate_per_ms * REST_MS < (uint64_t) self->hwm / REST_PIPE_PART;
}

//  Whether the writer, being free, is to have the block as it is
static bool
s_is_worth_a_commit (const self_t *self, bool dry)
{
    if (zspool_block_used (self->block) >= SEAL_BYTES || self->flushes_count > 0)
        return true;
    bool stream =
        self->rate_per_ms >= STREAM_PER_MS || self->bytes_per_ms >= STREAM_BYTES_PER_MS;
    return dry && (!stream || zspool_now_us () - zspool_block_arrival_us (self->block) > STREAM_WAIT_US);
}

static void
s_inlet (zsock_t *pipe, void *args)
{
    self_t *self = (self_t *) args;
    self->pipe = pipe;
    pthread_setname_np (pthread_self (), "zspool-inlet");
    zsock_signal (pipe, 0);
    bool dry = false;
    while (!self->terminated) {
        zmq_pollitem_t items [] = {
            { zsock_resolve (pipe), 0, ZMQ_POLLIN, 0 },
            { zsock_resolve (self->writer), 0, ZMQ_POLLIN, 0 },
            { self->socket? zsock_resolve (self->socket): NULL, -1, ZMQ_POLLIN, 0 },
        };
        bool rest = dry && s_may_rest (self);
        int items_count = s_is_taking (self) && !rest? 3: 2;
        long timeout_ms = rest? REST_MS: s_timeout_ms (self);
        if (zmq_poll (items, items_count, timeout_ms) < 0 && zmq_errno () == ETERM)
            break;
        if (items [0].revents)
            s_handle_pipe (self);
        if (items [1].revents)
            s_handle_writer (self);
        s_retry_held (self);
        uint64_t messages = self->messages;
        dry = true;
        if (s_is_taking (self))
            dry = s_receive (self);
        if (self->block && self->taken == self->handed && !self->failed && s_is_worth_a_commit (self, dry))
            s_hand_over (self);
        s_check_stop (self, self->messages != messages);
        s_check_flush (self);
    }
    s_self_destroy (&self);
}

zactor_t *
zspool_inlet_new (const zspool_inlet_args_t *args)
{
    self_t *self = s_self_new (args);
    if (!self)
        return NULL;
    zactor_t *actor = zactor_new (s_inlet, self);
    if (!actor) {
        self->writer = NULL;
        s_self_destroy (&self);
    }
    return actor;
}
