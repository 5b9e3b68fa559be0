//  service.c - the actor that speaks ZSP to producers and consumers
//
//  SPDX-License-Identifier: MPL-2.0
//
//  One ROUTER for all clients. A command is read, looked up in a table, and carried out at once, or
//  by a job that the writer does. What producers put goes through intake.c; what consumers get
//  comes from groups (group.c), each of which takes its turn when something has changed for it.
//
//  States: idle (before START); serving; stopping (nothing is taken in; what was is being stored);
//  stopped; failed.
//
//  Invariants
//  1. Nothing a client sends ends or blocks the service, or is believed before it was checked.
//  2. A client without a session gets errors, and leaves nothing behind.

#include "service_parts.h"
#include "request.h"
#include "socket.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

//  Most messages read, and bytes, between two looks at the other sockets
#define BATCH_MESSAGES 500
#define BATCH_BYTES (4 * 1024 * 1024)
//  And how long that may take: some commands are slow
#define BATCH_MS 10
//  Changes of cursors are collected for so long
#define CHANGE_MS 40
//  A stop takes no longer
#define STOP_MS 10000

//  ------------------------------------------------------------------------------------------------
//  Constructor and destructor

static void
s_self_destroy (zspool_service_t **self_p)
{
    zspool_service_t *self = *self_p;
    if (!self)
        return;
    zspool_service_unpark (self, 0);
    free (self->cut);
    if (self->sessions) {
        zspool_session_t *session = NULL;
        while ((session = zspool_sessions_next (self->sessions, session)) != NULL)
            while (session->subscriptions) {
                zspool_subscription_t *subscription = session->subscriptions;
                session->subscriptions = subscription->next;
                free (subscription);
            }
    }
    zspool_intake_destroy (&self->intake);
    zspool_catalog_destroy (&self->catalog);
    zspool_sessions_destroy (&self->sessions);
    if (self->monitor) {
        zmq_socket_monitor (self->socket, NULL, 0);
        zmq_close (self->monitor);
    }
    zsock_destroy (&self->router);
    zsock_destroy (&self->writer);
    zlist_destroy (&self->allowed);
    free (self);
    *self_p = NULL;
}

static zlist_t *
s_copy_names (zlist_t *names)
{
    if (!names || zlist_size (names) == 0)
        return NULL;
    zlist_t *copy = zlist_new ();
    zlist_autofree (copy);
    for (char *name = (char *) zlist_first (names); name; name = (char *) zlist_next (names))
        zlist_append (copy, name);
    return copy;
}

static zspool_service_t *
s_self_new (const zspool_service_args_t *args)
{
    zspool_service_t *self = (zspool_service_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->writer = args->writer;
    self->options = *args->options;
    //  A message must fit under the spool's limit, with its block.
    if (self->options.bytes_max > 0
        && self->options.message_bytes_max > self->options.bytes_max / 2)
        self->options.message_bytes_max = self->options.bytes_max / 2;
    self->allowed = s_copy_names (args->spools);
    self->spool = args->spool;
    self->incarnation = args->incarnation;
    self->sessions = zspool_sessions_new ();
    self->indexed = args->indexed;
    zspool_group_ops_t ops = { .arg = self,
                               .deliver = zspool_service_deliver,
                               .tell = zspool_service_tell,
                               .writer = zsock_resolve (args->writer) };
    self->catalog = zspool_catalog_new (&self->options, &ops, args->cursors);
    if (!self->sessions || !self->catalog) {
        self->writer = NULL;
        s_self_destroy (&self);
    }
    return self;
}

//  ------------------------------------------------------------------------------------------------
//  Commands

typedef struct {
    uint8_t command;
    void (*handler) (zspool_service_t *self, zspool_service_message_t *message);
    bool takes_frames;         //  of records
} s_command_t;

static const s_command_t s_commands [] = {
    { ZSP_HELLO, zspool_service_do_hello, false },
    { ZSP_OPEN, zspool_service_do_open, false },
    { ZSP_PRODUCE, zspool_service_do_produce, false },
    { ZSP_PUT, zspool_service_do_put, true },
    { ZSP_COMMIT, zspool_service_do_commit, true },
    { ZSP_SUBSCRIBE, zspool_service_do_subscribe, false },
    { ZSP_CREDIT, zspool_service_do_credit, false },
    { ZSP_ACK, zspool_service_do_ranges, false },
    { ZSP_REJECT, zspool_service_do_ranges, false },
    { ZSP_EXTEND, zspool_service_do_ranges, false },
    { ZSP_SEEK, zspool_service_do_seek, false },
    { ZSP_UNSUBSCRIBE, zspool_service_do_unsubscribe, false },
    { ZSP_PING, zspool_service_do_ping, false },
    { ZSP_STATUS, zspool_service_do_status, false },
    { ZSP_LIST, zspool_service_do_list, false },
    { ZSP_PURGE, zspool_service_do_purge, false },
    { ZSP_DELETE_CURSOR, zspool_service_do_delete_cursor, false },
    { ZSP_FLUSH, zspool_service_do_flush, false },
    { ZSP_BYE, zspool_service_do_bye, false },
};

//  How many frames of records a command is to have
static size_t
s_frames_wanted (const zsp_t *command)
{
    return command->command == ZSP_PUT? 1:
            command->command == ZSP_COMMIT? command->as.commit.parts_count:
                                             0;
}

//  Carry out what a message asks for.
static void
s_dispatch (zspool_service_t *self, zspool_service_message_t *message)
{
    message->session =
        zspool_sessions_by_routing (self->sessions, message->routing, message->routing_size);
    memset (&message->command, 0, sizeof message->command);
    int rc = message->frames_count == 0?
                  ZSPOOL_ECORRUPT:
                  zsp_decode (&message->command, zmq_msg_data (&message->frames [0]),
                               zmq_msg_size (&message->frames [0]));
    const s_command_t *command = NULL;
    for (size_t index = 0; rc == ZSPOOL_OK && index < sizeof s_commands / sizeof s_commands [0];
         index++)
        if (s_commands [index].command == message->command.command)
            command = &s_commands [index];
    bool is_hello = message->command.command == ZSP_HELLO;
    if (rc == ZSPOOL_OK
        && (!command || message->too_many || is_hello == (message->session != NULL)
            || message->frames_count - 1 != s_frames_wanted (&message->command)))
        rc = ZSPOOL_EPROTOCOL;
    if (message->session)
        message->session->heard_ms = self->awake.now_ms;
    self->fatal = false;
    if (rc)
        zspool_service_refuse (self, message, rc == ZSPOOL_EVERSION? rc: ZSPOOL_EPROTOCOL, 0, NULL);
    else
        command->handler (self, message);
    if (self->fatal && message->session)
        zspool_service_end_session (self, message->session);
}

//  Read a message off the ROUTER; false: there is none.
static bool
s_receive (zspool_service_t *self)
{
    zspool_service_message_t *message = &self->message;
    zmq_msg_t frame;
    zmq_msg_init (&frame);
    if (zmq_msg_recv (&frame, self->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close (&frame);
        return false;
    }
    //  A peer that is not ZeroMQ may give itself a longer one than ZMTP allows: it is nobody.
    message->routing_size = zmq_msg_size (&frame);
    if (message->routing_size > ZSPOOL_ROUTING_BYTES_MAX)
        message->routing_size = 0;
    memcpy (message->routing, zmq_msg_data (&frame), message->routing_size);
    message->frames_count = message->bytes = 0;
    message->too_many = false;
    message->fd = -1;
    while (zmq_msg_more (&frame)) {
        if (zmq_msg_recv (&frame, self->socket, ZMQ_DONTWAIT) < 0)
            break;
        if (message->frames_count == 0)
            message->fd = zmq_msg_get (&frame, ZMQ_SRCFD);
        message->bytes += zmq_msg_size (&frame);
        if (message->frames_count == sizeof message->frames / sizeof message->frames [0]) {
            message->too_many = true;
            continue;
        }
        zmq_msg_t *kept = &message->frames [message->frames_count++];
        bool more = zmq_msg_more (&frame);
        zmq_msg_init (kept);
        zmq_msg_copy (kept, &frame);
        if (!more)
            break;
    }
    zmq_msg_close (&frame);
    return true;
}

static void
s_close_message (zspool_service_message_t *message)
{
    for (size_t index = 0; index < message->frames_count; index++)
        zmq_msg_close (&message->frames [index]);
    message->frames_count = 0;
}

//  Read what has come, a batch at most. True: there may be more.
static bool
s_handle_router (zspool_service_t *self)
{
    size_t bytes = 0;
    int64_t until_ms = zclock_mono () + BATCH_MS;
    for (int count = 0; count < BATCH_MESSAGES && bytes < BATCH_BYTES; count++) {
        if (!s_receive (self))
            return false;
        bytes += self->message.bytes;
        if (self->message.routing_size > 0)
            s_dispatch (self, &self->message);
        s_close_message (&self->message);
        if (zclock_mono () >= until_ms)
            break;
    }
    return true;
}

//  ------------------------------------------------------------------------------------------------
//  Start, stop, status

//  Watch connections end.
static int
s_watch (zspool_service_t *self)
{
    char endpoint [64];
    snprintf (endpoint, sizeof endpoint, "inproc://zspool-service-%p", (void *) self);
    if (zmq_socket_monitor (self->socket, endpoint, ZMQ_EVENT_DISCONNECTED))
        return -1;
    self->monitor = zmq_socket (zsys_init (), ZMQ_PAIR);
    int unlimited = 0;
    if (!self->monitor || zmq_setsockopt (self->monitor, ZMQ_RCVHWM, &unlimited, sizeof unlimited))
        return -1;
    return zmq_connect (self->monitor, endpoint);
}

static int
s_make_intake (zspool_service_t *self)
{
    zspool_intake_args_t args = {
        .socket = self->socket,
        .writer = zsock_resolve (self->writer),
        .sessions = self->sessions,
        .message_bytes_max = (size_t) self->options.message_bytes_max,
        .load_bytes_max = self->options.bytes_max? (size_t) (self->options.bytes_max / 4): SIZE_MAX,
        .message_frames_max = (size_t) self->options.message_frames_max,
        .async = self->options.durability == ZSPOOL_ASYNC,
        .indexed = self->indexed,
        .now_ms = &self->awake.now_ms,
        .room = &self->unpark,
    };
    self->intake = zspool_intake_new (&args);
    return self->intake? ZSPOOL_OK: ZSPOOL_ENOMEM;
}

static void
s_start (zspool_service_t *self)
{
    const char *reason = "out of memory or sockets";
    int rc = ZSPOOL_ENOMEM;
    //  A run has a message of its own size at most, or is smaller than a usual block.
    int64_t bytes_max = (int64_t) self->options.message_bytes_max + 65535 * 4 + 8;
    if (bytes_max < ZSP_RUN_BYTES)
        bytes_max = ZSP_RUN_BYTES;
    self->router = zspool_socket_new (ZMQ_ROUTER, (int) self->options.hwm, bytes_max, 1000);
    if (self->router) {
        self->socket = zsock_resolve (self->router);
        zsock_set_router_mandatory (self->router, 1);
        //  Who takes nothing for so long is not only silent: what ZeroMQ has for it is given up.
        zsock_set_tcp_maxrt (self->router, ZSP_HEARTBEAT_MS_MAX * ZSP_EXPIRY_HEARTBEATS);
        if (s_watch (self) == 0 && s_make_intake (self) == ZSPOOL_OK)
            rc = zspool_socket_attach (self->router, self->options.service, &reason);
    }
    if (rc == ZSPOOL_OK)
        reason = zspool_socket_endpoint (self->router, self->options.service);
    zsock_send (self->pipe, "is", rc, reason);
    self->failed = rc != ZSPOOL_OK;
}

static void
s_reply_status (zspool_service_t *self, uint64_t number)
{
    zmsg_t *status = zspool_reply_new (number, ZSPOOL_OK);
    if (self->intake)
        zspool_service_add_status (self, status);
    zmsg_send (&status, self->pipe);
}

//  Serving -> stopping
static void
s_stop (zspool_service_t *self, uint64_t number)
{
    self->stopping = true;
    self->stop_number = number;
    self->stop_by_ms = zclock_mono () + STOP_MS;
    self->flush_all = true;
}

//  Stopping: when all is durable, or never will be, answer.
static void
s_check_stop (zspool_service_t *self)
{
    if (!self->stopping || self->stopped)
        return;
    uint64_t waiting = self->intake? zspool_intake_waiting (self->intake): 0;
    bool late = zclock_mono () > self->stop_by_ms;
    if (waiting == 0 && !self->stop_job && !self->failed
        && zspool_catalog_hand_changes (self->catalog)) {
        zspool_store_job_t *job = zspool_job_new (ZSPOOL_JOB_SYNC);
        self->stop_job = job != NULL;
        if (job)
            zspool_service_hand_job (self, NULL, job);
    }
    if (!self->failed && !late && !self->stop_synced)
        return;
    self->stopped = true;
    zmsg_t *reply = zspool_reply_new (self->stop_number, self->failed? ZSPOOL_EFAILED:
                                                          waiting > 0? ZSPOOL_ETIMEDOUT:
                                                                        ZSPOOL_OK);
    zmsg_addstrf (reply, "%llu", (unsigned long long) waiting);
    zmsg_send (&reply, self->pipe);
}

static void
s_handle_pipe (zspool_service_t *self)
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

static void
s_earlier (int64_t *due_ms, int64_t other_ms)
{
    if (other_ms < *due_ms)
        *due_ms = other_ms;
}

//  Do what has become due. Gives when something is next, by our clock.
static int64_t
s_work (zspool_service_t *self)
{
    int64_t due_ms = zspool_service_end_lost (self), groups_ms;
    if (self->unpark)
        zspool_service_serve_parked (self);
    bool all = self->flush_all || self->stopping;
    s_earlier (&due_ms, zspool_intake_turn (self->intake, all, self->awake.now_ms));
    if (self->flush_all)
        zspool_handoff_send (zsock_resolve (self->writer), HANDOFF_FLUSH, NULL, 0);
    self->flush_all = false;
    bool more = zspool_catalog_turn (self->catalog, self->awake.now_ms, &groups_ms);
    s_earlier (&due_ms, more? self->awake.now_ms: groups_ms);
    if (self->awake.now_ms - self->change_ms >= CHANGE_MS) {
        zspool_catalog_hand_changes (self->catalog);
        self->change_ms = self->awake.now_ms;
        self->unpark = self->parked != NULL; //  memory was out, or a change had to go first
    }
    if (self->parked || zspool_catalog_has_changes (self->catalog))
        s_earlier (&due_ms, self->change_ms + CHANGE_MS);
    zspool_service_serve_flushes (self);
    if (self->stopping)
        s_earlier (&due_ms, self->awake.now_ms + 10);
    if (self->unpark)
        s_earlier (&due_ms, self->awake.now_ms);
    return due_ms;
}

static void
s_service (zsock_t *pipe, void *args)
{
    zspool_service_t *self = (zspool_service_t *) args;
    self->pipe = pipe;
    pthread_setname_np (pthread_self (), "zspool-service");
    zsock_signal (pipe, 0);
    zspool_awake_init (&self->awake, zclock_mono ());
    bool more = false;
    while (!self->terminated) {
        bool serving = self->intake && !self->stopped && !self->failed;
        int64_t due_ms = serving? s_work (self): INT64_MAX;
        s_check_stop (self);
        int64_t left_ms = due_ms == INT64_MAX? -1:
                           due_ms > self->awake.now_ms? due_ms - self->awake.now_ms:
                                                         0;
        self->awake.timeout_ms = more? 0: left_ms;
        zmq_pollitem_t items [] = {
            { zsock_resolve (pipe), 0, ZMQ_POLLIN, 0 },
            { zsock_resolve (self->writer), 0, ZMQ_POLLIN, 0 },
            { self->monitor, -1, ZMQ_POLLIN, 0 },
            { self->socket, -1, ZMQ_POLLIN, 0 },
        };
        bool listening = serving && !self->stopping;
        int count = listening? 4: 2;
        if (zmq_poll (items, count, (long) self->awake.timeout_ms) < 0 && zmq_errno () == ETERM)
            break;
        zspool_awake_tick (&self->awake, zclock_mono ());
        if (items [1].revents)
            zspool_service_handle_writer (self);
        if (listening && items [2].revents)
            zspool_service_handle_monitor (self);
        more = listening && items [3].revents && s_handle_router (self);
        if (items [0].revents)
            s_handle_pipe (self);
    }
    s_self_destroy (&self);
}

zactor_t *
zspool_service_new (const zspool_service_args_t *args)
{
    zspool_service_t *self = s_self_new (args);
    if (!self)
        return NULL;
    zactor_t *actor = zactor_new (s_service, self);
    if (!actor) {
        self->writer = NULL;
        s_self_destroy (&self);
    }
    return actor;
}
