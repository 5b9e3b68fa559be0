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
//  3. `frames` holds at most one message: one that is not whole yet, or one that is held.

#include "inlet.h"
#include "block.h"
#include "socket.h"
#include "status.h"
#include "store.h"
#include "writer.h"

#include <sched.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

//  Blocks: those with the writer, the one being filled, and those that an outlet still forwards or
//  ZeroMQ still sends from
#define POOL_BLOCKS 72
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
//  Try again for a block after this, when outlets hold all of them
#define HELD_RETRY_MS 2
//  While there is no hurry the socket is left alone for so long, if less than this part of ZeroMQ's
//  pipe fills up meanwhile
#define REST_MS 1
#define REST_PIPE_PART 2
//  Stopping: nothing came for so long; at most so long; and for storing what came
#define DRAIN_QUIET_MS 100
#define DRAIN_MAX_MS 2000
#define STOP_MAX_MS 10000

typedef struct {
    zsock_t *pipe;              //  commands
    zsock_t *writer;
    zsock_t *socket;            //  NULL before START
    char *endpoints;
    int socket_type;
    int hwm;
    bool terminated;
    bool paused;
    bool failed;                //  the store has failed
    bool flushing;              //  FLUSH or STOP waits for its reply
    int64_t stop_quiet_ms;      //  stopping: drained when nothing came until then; 0: not stopping
    int64_t stop_drained_ms;    //  stopping: drained by then at the latest
    int64_t stop_by_ms;         //  stopping: reply by then at the latest
    zspool_block_pool_t *pool;
    zspool_block_t *block;      //  being filled, or NULL
    zmq_msg_t *frames;          //  of the message at hand
    zspool_frame_t *views;      //  the same, as the block takes them
    size_t frames_count;
    size_t frames_max;          //  room in both
    size_t frames_bytes;        //  of the message at hand
    bool dropping;              //  the rest of the message at hand is over a limit
    bool held;                  //  the message at hand is whole and waits for room
    uint64_t handed;            //  blocks handed to the writer,
    uint64_t taken;             //  of these, it is done with for our purposes,
    uint64_t stored;            //  and these are durable
    size_t handed_bytes;        //  in blocks that are handed over and not durable
    size_t sizes [ZSPOOL_WRITER_BLOCKS_MAX];    //  of these blocks, bytes: a ring indexed by `handed`
    uint32_t counts [ZSPOOL_WRITER_BLOCKS_MAX]; //  likewise, messages
    uint64_t stored_messages;   //  messages that are durable
    uint64_t flush_to;          //  flushing: reply when so many are stored
    uint64_t rate_per_ms;       //  messages that came in a millisecond, lately
    uint64_t bytes_per_ms;      //  their bytes
    int64_t rate_since_us;      //  both are counted from this time on,
    uint64_t rate_since;        //  when so many messages
    uint64_t rate_since_bytes;  //  and bytes had been taken in
    uint64_t messages;          //  taken in
    uint64_t bytes;             //  taken in
    uint64_t dropped;           //  messages over a limit
} self_t;

static void
s_self_destroy (self_t **self_p)
{
    self_t *self = *self_p;
    for (size_t index = 0; index < self->frames_count; index++)
        zmq_msg_close (&self->frames [index]);
    zsock_destroy (&self->socket);
    zsock_destroy (&self->writer);
    zspool_block_destroy (&self->block);
    zspool_block_pool_destroy (&self->pool);
    free (self->frames);
    free (self->views);
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
    self->frames_max = 16;
    self->frames = (zmq_msg_t *) calloc (self->frames_max, sizeof *self->frames);
    self->views = (zspool_frame_t *) calloc (self->frames_max, sizeof *self->views);
    self->pool = zspool_block_pool_new (POOL_BLOCKS, ZSPOOL_BLOCK_BYTES);
    self->endpoints = strdup (args->endpoints);
    self->socket_type = args->socket_type;
    self->hwm = args->hwm;
    if (!self->frames || !self->views || !self->pool || !self->endpoints)
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
    size_t size = zspool_block_size (self->block);
    self->sizes [self->handed % ZSPOOL_WRITER_BLOCKS_MAX] = size;
    self->counts [self->handed % ZSPOOL_WRITER_BLOCKS_MAX] = zspool_block_count (self->block);
    self->handed_bytes += size;
    if (zspool_handoff_send (zsock_resolve (self->writer), HANDOFF_BLOCK, self->block, 0))
        zspool_block_destroy (&self->block);
    self->block = NULL;
    self->handed++;
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
s_make_room (self_t *self, size_t record_bytes)
{
    if (self->block) {
        size_t room = zspool_block_capacity (self->block) - zspool_block_used (self->block);
        if (record_bytes <= room && zspool_block_count (self->block) < ZSPOOL_BLOCK_MESSAGES_MAX)
            return true;
        if (!s_may_hand_over (self, zspool_block_used (self->block)))
            return false;
        s_hand_over (self);
    }
    if (!s_may_hand_over (self, record_bytes))
        return false;
    self->block = zspool_block_pool_take (self->pool, record_bytes);
    return self->block != NULL;
}

//  Pack the message at hand. False when there is no room for now.
static bool
s_pack_message (self_t *self)
{
    if (!s_make_room (self, zspool_block_record_bytes (self->frames_count, self->frames_bytes)))
        return false;
    int64_t arrival_us = zspool_block_count (self->block) == 0? zspool_now_us (): 0;
    int rc;
    if (self->frames_count == 1)
        rc = zspool_block_append_frame (self->block, zmq_msg_data (&self->frames [0]),
                                        self->frames_bytes, arrival_us);
    else {
        for (size_t index = 0; index < self->frames_count; index++) {
            self->views [index].data = zmq_msg_data (&self->frames [index]);
            self->views [index].size = zmq_msg_size (&self->frames [index]);
        }
        rc = zspool_block_append (self->block, self->views, self->frames_count, arrival_us);
    }
    assert (rc == ZSPOOL_OK);
    self->messages++;
    self->bytes += self->frames_bytes;
    return true;
}

//  ------------------------------------------------------------------------------------------------
//  Receiving

static void
s_close_frames (self_t *self)
{
    for (size_t index = 0; index < self->frames_count; index++)
        zmq_msg_close (&self->frames [index]);
    self->frames_count = 0;
    self->frames_bytes = 0;
}

//  Make room for another frame of the message at hand; false when it has too many, or memory is
//  out.
static bool
s_grow_frames (self_t *self)
{
    if (self->frames_count == ZSPOOL_MESSAGE_FRAMES_MAX)
        return false;
    if (self->frames_count < self->frames_max)
        return true;
    size_t max = self->frames_max * 2;
    zmq_msg_t *frames = (zmq_msg_t *) realloc (self->frames, max * sizeof *frames);
    if (frames)
        self->frames = frames;
    zspool_frame_t *views = (zspool_frame_t *) realloc (self->views, max * sizeof *views);
    if (views)
        self->views = views;
    if (!frames || !views)
        return false;
    self->frames_max = max;
    return true;
}

//  The message at hand is whole: pack it, or let it be held.
static void
s_end_message (self_t *self)
{
    if (self->dropping)
        self->dropped++;
    else if (!s_pack_message (self)) {
        self->held = true;
        return;
    }
    self->dropping = false;
    s_close_frames (self);
}

//  Receive one frame; false when the socket has none.
static bool
s_receive_frame (self_t *self, void *socket)
{
    if (!s_grow_frames (self)) {
        self->dropping = true;
        s_close_frames (self);
    }
    zmq_msg_t *frame = &self->frames [self->frames_count];
    zmq_msg_init (frame);
    int size = zmq_msg_recv (frame, socket, ZMQ_DONTWAIT);
    if (size < 0) {
        zmq_msg_close (frame);
        if (zmq_errno () == ETERM)
            self->terminated = true;
        return false;
    }
    bool more = zmq_msg_more (frame);
    self->frames_count++;
    self->frames_bytes += zmq_msg_size (frame);
    if (self->frames_bytes > ZSPOOL_MESSAGE_BYTES_MAX)
        self->dropping = true;
    if (self->dropping)
        s_close_frames (self);
    if (!more)
        s_end_message (self);
    return true;
}

//  Receive until the socket is dry, a message is held, or a batch is full. True when it ran dry.
static bool
s_receive (self_t *self)
{
    void *socket = zsock_resolve (self->socket);
    for (int count = 0; count < BATCH_FRAMES_MAX && !self->held; count++)
        if (!s_receive_frame (self, socket))
            return true;
    return false;
}

//  Try again to pack the message that is held.
static void
s_retry_held (self_t *self)
{
    if (self->held && s_pack_message (self)) {
        self->held = false;
        s_close_frames (self);
    }
}

static bool
s_is_taking (const self_t *self)
{
    return self->socket && !self->held && !self->failed && (!self->paused || self->stop_quiet_ms);
}

//  ------------------------------------------------------------------------------------------------
//  Handlers

//  Answer a flush or a stop when what it waits for is durable.
static void
s_check_flush (self_t *self)
{
    if (!self->flushing)
        return;
    uint64_t lost = self->messages + self->held - self->stored_messages;
    if (self->failed)
        zsock_send (self->pipe, "i8", ZSPOOL_EFAILED, lost);
    else if (self->stored >= self->flush_to)
        zsock_send (self->pipe, "i8", ZSPOOL_OK, (uint64_t) 0);
    else if (self->stop_by_ms && zclock_mono () > self->stop_by_ms)
        zsock_send (self->pipe, "i8", ZSPOOL_ENOSPC, lost);
    else
        return;
    self->flushing = false;
}

//  Answer when everything taken in until now is durable: the block being filled goes as soon as the
//  writer is free, and what is held follows in the next.
static void
s_begin_flush (self_t *self)
{
    self->flush_to = self->handed + (self->block? 1: 0) + (self->held? 1: 0);
    self->flushing = true;
}

static void
s_start (self_t *self)
{
    const char *reason = "out of memory or sockets";
    int rc = ZSPOOL_ENOMEM;
    self->socket = zspool_socket_new (self->socket_type, self->hwm, ZSPOOL_MESSAGE_BYTES_MAX, 0);
    if (self->socket)
        rc = zspool_socket_attach (self->socket, self->endpoints, &reason);
    if (rc == ZSPOOL_OK)
        reason = zspool_socket_endpoint (self->socket, self->endpoints);
    zsock_send (self->pipe, "is", rc, reason);
    if (rc)
        zsock_destroy (&self->socket);
}

//  Taking or paused -> stopping. The endpoint stays bound while the inlet drains: unbinding would
//  cut the connections, and lose what the kernel holds for them.
static void
s_stop (self_t *self)
{
    int64_t now_ms = zclock_mono ();
    self->stop_quiet_ms = now_ms + DRAIN_QUIET_MS;
    self->stop_drained_ms = now_ms + DRAIN_MAX_MS;
    self->stop_by_ms = now_ms + STOP_MAX_MS;
}

//  Stopping: when nothing came for a while, or it takes too long, store what came and answer.
static void
s_check_stop (self_t *self, bool received)
{
    if (!self->stop_quiet_ms || self->flushing)
        return;
    int64_t now_ms = zclock_mono ();
    if (self->held) {
        //  The disk is slow: what waits for it is neither quiet nor the producers' fault.
        self->stop_quiet_ms = now_ms + DRAIN_QUIET_MS;
        self->stop_drained_ms = now_ms + DRAIN_MAX_MS;
    }
    if (received)
        self->stop_quiet_ms = now_ms + DRAIN_QUIET_MS;
    if (now_ms < self->stop_by_ms && now_ms < self->stop_quiet_ms && now_ms < self->stop_drained_ms && !self->failed)
        return;
    zsock_destroy (&self->socket);
    s_begin_flush (self);
    self->stop_quiet_ms = 0;
}

static void
s_reply_status (self_t *self)
{
    zmsg_t *status = zmsg_new ();
    zspool_status_add (status, "in/paused", self->paused);
    zspool_status_add (status, "in/messages", self->messages);
    zspool_status_add (status, "in/bytes", self->bytes);
    zspool_status_add (status, "in/dropped", self->dropped);
    zmsg_send (&status, self->pipe);
}

static void
s_handle_pipe (self_t *self)
{
    char *command = zstr_recv (self->pipe);
    if (!command || streq (command, "$TERM"))
        self->terminated = true;
    else if (streq (command, "START"))
        s_start (self);
    else if (streq (command, "PAUSE") || streq (command, "RESUME")) {
        self->paused = streq (command, "PAUSE");
        zsock_send (self->pipe, "i8", ZSPOOL_OK, (uint64_t) 0);
    }
    else if (streq (command, "FLUSH"))
        s_begin_flush (self);
    else if (streq (command, "STOP"))
        s_stop (self);
    else if (streq (command, "STATUS"))
        s_reply_status (self);
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
    return self->stop_by_ms? 10: -1;
}

//  While a commit is under way, or a stream fills a block, nothing is gained by waking for each
//  message: let them gather in ZeroMQ's pipe, unless they come so fast that it would fill up.
static bool
s_may_rest (const self_t *self)
{
    return (self->taken < self->handed || self->block) && !self->stop_by_ms
           && self->rate_per_ms * REST_MS < (uint64_t) self->hwm / REST_PIPE_PART;
}

//  Whether the writer, being free, is to have the block as it is
static bool
s_is_worth_a_commit (const self_t *self, bool dry)
{
    if (zspool_block_used (self->block) >= SEAL_BYTES || self->flushing)
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
        if (items [0].revents)
            s_handle_pipe (self);
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
