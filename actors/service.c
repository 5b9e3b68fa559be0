//  service.c - the actor that speaks ZSP to producers and consumers
//
//  SPDX-License-Identifier: MPL-2.0
//
//  One ROUTER for all clients. A command is read, looked up in a table, and carried out at once, or by
//  a job that the writer does. What producers put goes through intake.c; what consumers get comes from
//  groups (group.c), each of which takes its turn when something has changed for it.
//
//  States: idle (before START); serving; stopping (nothing is taken in; what was is being stored);
//  stopped; failed.
//
//  Invariants
//  1. Nothing a client sends ends or blocks the service, or is believed before it was checked.
//  2. A client without a session gets errors, and leaves nothing behind.

#include "service.h"
#include "catalog.h"
#include "intake.h"
#include "post.h"
#include "request.h"
#include "seek.h"
#include "socket.h"
#include "writer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

//  Most messages read, and bytes, between two looks at the other sockets
#define BATCH_MESSAGES 500
#define BATCH_BYTES (4 * 1024 * 1024)
//  Changes of cursors are collected for so long
#define CHANGE_MS 40
//  Somebody could take nothing, or memory was out: try again after this
#define RETRY_MS 1
//  When so much more time has passed than was waited for, the service was not awake
#define ASLEEP_MS 100
//  A stop takes no longer
#define STOP_MS 10000
//  Most bytes of transactions that wait for others
#define PARKED_BYTES_MAX (64 * 1024 * 1024)

//  A message of a client that is being looked at
typedef struct {
    zspool_session_t *session; //  NULL: a stranger
    uint8_t routing [256];
    size_t routing_size;
    int fd;
    zsp_t command;
    zmq_msg_t frames [1 + ZSP_PARTS_MAX]; //  the command's, and those of records
    size_t frames_count;
    bool too_many;             //  there were more
    size_t bytes;
} s_message_t;

//  A transaction that waits for another one of the same cursor
typedef struct s_parked s_parked_t;
struct s_parked {
    uint64_t session;
    s_message_t message;
    s_parked_t *next;
};

typedef struct self_s self_t;
struct self_s {
    zsock_t *pipe;
    zsock_t *writer;
    zsock_t *router;           //  NULL before START
    void *socket;              //  likewise
    void *monitor;
    zspool_options_t options;
    zlist_t *allowed;          //  names of spools, or NULL: all
    uint32_t spool;            //  the device's own
    uint64_t incarnation;
    bool indexed;              //  blocks tell the topics of their messages
    bool terminated;
    bool failed;
    bool stopping;
    bool stopped;
    uint64_t stop_number;      //  request
    int64_t stop_by_ms;
    bool stop_synced;          //  a job behind all changes was done
    bool stop_job;             //  it was handed in
    zspool_sessions_t *sessions;
    zspool_intake_t *intake;
    zspool_catalog_t *catalog;
    s_parked_t *parked;
    size_t parked_bytes;
    bool unpark;               //  what is parked is worth a try
    bool flush_all;            //  hand over what is being filled, now
    size_t flushes;            //  clients that wait
    uint64_t subscriptions_ever;
    uint64_t lost;             //  sessions ended by silence or a lost connection
    uint64_t errors;           //  commands refused
    int64_t change_ms;
    int64_t now_ms;            //  clock of all the above: time in which we were awake
    int64_t mono_ms;
    int64_t timeout_ms;
    bool fatal;                //  a command was refused so that its session must end
    s_message_t message;       //  being read
};

//  ------------------------------------------------------------------------------------------------
//  Constructor and destructor

static void
s_unpark (self_t *self, s_parked_t **at)
{
    s_parked_t *parked = *at;
    *at = parked->next;
    for (size_t index = 0; index < parked->message.frames_count; index++)
        zmq_msg_close (&parked->message.frames [index]);
    self->parked_bytes -= parked->message.bytes;
    free (parked);
}

static void
s_self_destroy (self_t **self_p)
{
    self_t *self = *self_p;
    if (!self)
        return;
    while (self->parked)
        s_unpark (self, &self->parked);
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

static int
s_deliver (void *arg, zspool_subscription_t *to, uint32_t generation, zspool_block_t *block,
           const zspool_piece_t *pieces, size_t pieces_count)
{
    const self_t *self = (const self_t *) arg;
    return zspool_post_deliver (self->socket, (const zspool_session_t *) to->session, to->number, generation, block,
                                pieces, pieces_count);
}

//  Send SUBSCRIBED: as the answer to a request, or unasked.
static void
s_tell_subscribed (const self_t *self, const zspool_subscription_t *to, uint32_t request, uint32_t generation,
                   uint64_t floor)
{
    zsp_t told = { .command = ZSP_SUBSCRIBED, .request = request, .flags = to->active? ZSP_FLAG_ACTIVE: 0 };
    told.as.subscribed.subscription = to->number;
    told.as.subscribed.generation = generation;
    told.as.subscribed.floor = floor;
    zspool_post_command (self->socket, (const zspool_session_t *) to->session, &told, NULL);
}

static void
s_tell (void *arg, zspool_subscription_t *to, uint32_t generation, uint64_t floor)
{
    s_tell_subscribed ((const self_t *) arg, to, 0, generation, floor);
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

static self_t *
s_self_new (const zspool_service_args_t *args)
{
    self_t *self = (self_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->writer = args->writer;
    self->options = *args->options;
    //  A message must fit under the spool's limit, with its block.
    if (self->options.bytes_max > 0 && self->options.message_bytes_max > self->options.bytes_max / 2)
        self->options.message_bytes_max = self->options.bytes_max / 2;
    self->allowed = s_copy_names (args->spools);
    self->spool = args->spool;
    self->incarnation = args->incarnation;
    self->sessions = zspool_sessions_new ();
    self->indexed = args->indexed;
    zspool_group_ops_t ops = {
        .arg = self, .deliver = s_deliver, .tell = s_tell, .writer = zsock_resolve (args->writer)
    };
    self->catalog = zspool_catalog_new (&self->options, &ops, args->cursors);
    if (!self->sessions || !self->catalog) {
        self->writer = NULL;
        s_self_destroy (&self);
    }
    return self;
}

//  ------------------------------------------------------------------------------------------------
//  Answers

//  Refuse a command. A fatal error ends the session, which the caller sees to.
static void
s_refuse (self_t *self, const s_message_t *message, int code, uint64_t number, const char *text)
{
    self->errors++;
    bool fatal = code == ZSPOOL_EPROTOCOL || code == ZSPOOL_EVERSION || code == ZSPOOL_EFENCED;
    self->fatal = self->fatal || fatal;
    if (message->session) {
        zspool_post_error (self->socket, message->session, message->command.request, message->command.command, code,
                           number, text? text: zspool_strerror (code), fatal);
        return;
    }
    zsp_t error = { .command = ZSP_ERROR, .request = message->command.request, .flags = ZSP_FLAG_FATAL };
    error.as.error.code = (uint16_t) -code;
    error.as.error.about = message->command.command;
    error.as.error.text.data = text? text: zspool_strerror (code);
    error.as.error.text.size = strlen (error.as.error.text.data);
    zspool_post_stranger (self->socket, message->routing, message->routing_size, &error);
}

static void
s_done (self_t *self, const zspool_session_t *session, uint32_t request, uint64_t number)
{
    zsp_t done = { .command = ZSP_DONE, .request = request };
    done.as.done.number = number;
    zspool_post_command (self->socket, session, &done, NULL);
}

//  ------------------------------------------------------------------------------------------------
//  Sessions

static void
s_unsubscribe (self_t *self, zspool_session_t *session, zspool_subscription_t *subscription)
{
    zspool_subscription_t **at = &session->subscriptions;
    while (*at != subscription)
        at = &(*at)->next;
    *at = subscription->next;
    session->subscriptions_count--;
    if (subscription->group) {
        zspool_group_t *group = subscription->group;
        zspool_group_leave (group, subscription, self->now_ms);
        zspool_catalog_wake (self->catalog, group);
    }
    free (subscription);
}

//  End a session: what its consumers hold is due again at once.
static void
s_end_session (self_t *self, zspool_session_t *session)
{
    while (session->subscriptions)
        s_unsubscribe (self, session, session->subscriptions);
    zspool_intake_leave (self->intake, session);
    for (s_parked_t **at = &self->parked; *at;)
        if ((*at)->session == session->id)
            s_unpark (self, at);
        else
            at = &(*at)->next;
    for (zspool_flush_t *flush = session->flushes; flush; flush = flush->next)
        self->flushes--;
    zspool_sessions_remove (self->sessions, session);
}

//  Connections that have ended end their sessions.
static void
s_handle_monitor (self_t *self)
{
    uint8_t event [6];
    while (self->monitor && zmq_recv (self->monitor, event, sizeof event, ZMQ_DONTWAIT) >= 0) {
        uint32_t fd;
        memcpy (&fd, event + 2, sizeof fd);
        int more = 0;
        size_t more_size = sizeof more;
        zmq_getsockopt (self->monitor, ZMQ_RCVMORE, &more, &more_size);
        if (more)
            zmq_recv (self->monitor, event, sizeof event, 0);
        zspool_session_t *session = zspool_sessions_by_fd (self->sessions, (int) fd);
        if (session) {
            self->lost++;
            s_end_session (self, session);
        }
    }
}

static void
s_do_hello (self_t *self, s_message_t *message)
{
    //  The descriptor may have been that of a connection whose end was not looked at yet.
    s_handle_monitor (self);
    zspool_session_t *old = zspool_sessions_by_fd (self->sessions, message->fd);
    if (old)
        s_end_session (self, old);
    zspool_session_t *session =
        zspool_sessions_add (self->sessions, message->routing, message->routing_size, message->fd);
    if (!session) {
        s_refuse (self, message, ZSPOOL_ELIMIT, 0, "too many clients");
        return;
    }
    session->expiry_ms = (int64_t) message->command.as.hello.heartbeat_ms * ZSP_EXPIRY_HEARTBEATS;
    session->heard_ms = self->now_ms;
    zsp_t welcome = { .command = ZSP_WELCOME, .request = message->command.request };
    welcome.as.welcome.session = session->id;
    welcome.as.welcome.incarnation = self->incarnation;
    welcome.as.welcome.expiry_ms = (uint32_t) session->expiry_ms;
    welcome.as.welcome.message_bytes_max = (uint32_t) self->options.message_bytes_max;
    welcome.as.welcome.message_frames_max = (uint32_t) self->options.message_frames_max;
    welcome.as.welcome.transaction_bytes_max = ZSP_TRANSACTION_BYTES_MAX;
    welcome.as.welcome.durability = (uint8_t) self->options.durability;
    welcome.as.welcome.spool = (zsp_text_t){ self->options.name, strlen (self->options.name) };
    zspool_post_command (self->socket, session, &welcome, NULL);
}

static void
s_do_ping (self_t *self, s_message_t *message)
{
    zsp_t pong = { .command = ZSP_PONG, .request = message->command.request };
    zspool_post_command (self->socket, message->session, &pong, NULL);
}

static void
s_do_bye (self_t *self, s_message_t *message)
{
    s_done (self, message->session, message->command.request, 0);
    s_end_session (self, message->session);
    message->session = NULL;
}

//  ------------------------------------------------------------------------------------------------
//  Jobs

//  Begin a job for a message's client. NULL: it was refused.
static zspool_store_job_t *
s_new_job (self_t *self, const s_message_t *message, zspool_job_kind_t kind)
{
    if (message->session->jobs == ZSPOOL_SESSION_JOBS_MAX) {
        s_refuse (self, message, ZSPOOL_ELIMIT, 0, "too many requests at a time");
        return NULL;
    }
    zspool_store_job_t *job = zspool_job_new (kind);
    if (!job) {
        s_refuse (self, message, ZSPOOL_ENOMEM, 0, NULL);
        return NULL;
    }
    job->session = message->session->id;
    job->request = message->command.request;
    return job;
}

static void
s_hand_job (self_t *self, zspool_session_t *session, zspool_store_job_t *job)
{
    if (session)
        session->jobs++;
    zspool_catalog_hand_job (self->catalog, job);
}

static void
s_copy_text (char *to, size_t size, zsp_text_t text)
{
    snprintf (to, size, "%.*s", (int) text.size, text.data);
}

static bool
s_is_allowed (self_t *self, const char *name)
{
    bool allowed = !self->allowed;
    for (char *at = self->allowed? (char *) zlist_first (self->allowed): NULL; at && !allowed;
         at = (char *) zlist_next (self->allowed))
        allowed = streq (at, name);
    return allowed;
}

//  The client has a spool open now.
static void
s_opened (self_t *self, zspool_session_t *session, uint32_t request, uint32_t spool, uint64_t last_sequence)
{
    if (!zspool_session_has_spool (session, spool))
        session->spools [session->spools_count++] = spool;
    zsp_t opened = { .command = ZSP_OPENED, .request = request };
    opened.as.opened.spool = spool;
    opened.as.opened.last_sequence = last_sequence;
    zspool_post_command (self->socket, session, &opened, NULL);
}

static void
s_do_open (self_t *self, s_message_t *message)
{
    char name [ZSPOOL_NAME_MAX + 1];
    s_copy_text (name, sizeof name, message->command.as.open.spool);
    if (!s_is_allowed (self, name)) {
        s_refuse (self, message, ZSPOOL_EACCES, 0, "the service does not give this spool");
        return;
    }
    if (message->session->spools_count + message->session->jobs >= ZSPOOL_SESSION_SPOOLS_MAX) {
        s_refuse (self, message, ZSPOOL_ELIMIT, 0, "too many spools");
        return;
    }
    const zspool_shelf_t *shelf = zspool_catalog_shelf_named (self->catalog, name);
    if (shelf) {
        s_opened (self, message->session, message->command.request, shelf->spool, shelf->newest);
        return;
    }
    zspool_store_job_t *job = s_new_job (self, message, ZSPOOL_JOB_OPEN_SPOOL);
    if (!job)
        return;
    strcpy (job->name, name);
    job->create = message->command.flags & ZSP_FLAG_CREATE;
    s_hand_job (self, message->session, job);
}

static void
s_do_produce (self_t *self, s_message_t *message)
{
    if (message->session->line) {
        s_refuse (self, message, ZSPOOL_EPROTOCOL, 0, "this session produces already");
        return;
    }
    if (message->command.as.produce.name.size == 0) {
        zspool_session_t *fenced;
        if (!zspool_intake_open (self->intake, message->session, message->command.request, "", 0, 1, 0, &fenced))
            s_refuse (self, message, ZSPOOL_ENOMEM, 0, NULL);
        return;
    }
    zspool_store_job_t *job = s_new_job (self, message, ZSPOOL_JOB_OPEN_PRODUCER);
    if (!job)
        return;
    s_copy_text (job->name, sizeof job->name, message->command.as.produce.name);
    job->epoch = message->command.as.produce.epoch;
    s_hand_job (self, message->session, job);
}

static void
s_produced (self_t *self, zspool_session_t *session, zspool_store_job_t *job)
{
    zspool_session_t *fenced;
    if (session->line)
        return; //  asked twice at once
    if (!zspool_intake_open (self->intake, session, job->request, job->name, job->producer, job->epoch, job->last,
                             &fenced)) {
        zspool_post_error (self->socket, session, job->request, ZSP_PRODUCE, ZSPOOL_ENOMEM, 0, "out of memory", false);
        return;
    }
    if (fenced) {
        zspool_post_error (self->socket, fenced, 0, ZSP_PRODUCE, ZSPOOL_EFENCED, 0, zspool_strerror (ZSPOOL_EFENCED),
                           true);
        s_end_session (self, fenced);
    }
}

//  ------------------------------------------------------------------------------------------------
//  Producers

static void
s_do_put (self_t *self, s_message_t *message)
{
    int rc = zspool_intake_put (self->intake, message->session, &message->command,
                                zmq_msg_data (&message->frames [1]), zmq_msg_size (&message->frames [1]));
    if (rc)
        s_refuse (self, message, rc, message->command.as.put.number, NULL);
}

//  Keep a transaction until another one has ended. False: there are too many.
static bool
s_park (self_t *self, s_message_t *message)
{
    s_parked_t *parked = self->parked_bytes + message->bytes <= PARKED_BYTES_MAX?
                             (s_parked_t *) calloc (1, sizeof *parked):
                             NULL;
    if (!parked)
        return false;
    parked->session = message->session->id;
    parked->message = *message;
    for (size_t index = 0; index < message->frames_count; index++) {
        zmq_msg_init (&parked->message.frames [index]);
        zmq_msg_move (&parked->message.frames [index], &message->frames [index]);
    }
    zsp_decode (&parked->message.command, zmq_msg_data (&parked->message.frames [0]),
                zmq_msg_size (&parked->message.frames [0]));
    s_parked_t **end = &self->parked;
    while (*end)
        end = &(*end)->next;
    *end = parked;
    self->parked_bytes += message->bytes;
    return true;
}

static void
s_do_commit (self_t *self, s_message_t *message)
{
    int rc = zspool_intake_commit (self->intake, message->session, &message->command, &message->frames [1]);
    if (rc == ZSPOOL_EBUSY && s_park (self, message))
        return;
    if (rc)
        s_refuse (self, message, rc, message->command.as.commit.number, NULL);
}

//  Try again what waits: those that still must stay in their order.
static void
s_serve_parked (self_t *self)
{
    self->unpark = false;
    for (s_parked_t **at = &self->parked; *at;) {
        s_parked_t *parked = *at;
        s_message_t *message = &parked->message;
        message->session = zspool_sessions_by_id (self->sessions, parked->session);
        int rc = message->session?
                     zspool_intake_commit (self->intake, message->session, &message->command, &message->frames [1]):
                     ZSPOOL_OK;
        if (rc == ZSPOOL_EBUSY) {
            at = &parked->next;
            continue;
        }
        self->fatal = false;
        if (rc)
            s_refuse (self, message, rc, message->command.as.commit.number, NULL);
        zspool_session_t *session = message->session;
        s_unpark (self, at);
        if (self->fatal && session) {
            self->unpark = true; //  ending it changes the list
            s_end_session (self, session);
            break;
        }
    }
}

//  ------------------------------------------------------------------------------------------------
//  Consumers

static void
s_do_subscribe (self_t *self, s_message_t *message)
{
    const zsp_t *command = &message->command;
    zspool_session_t *session = message->session;
    if (!zspool_session_has_spool (session, command->as.subscribe.spool)) {
        s_refuse (self, message, ZSPOOL_ENOENT, 0, "no such spool is open");
        return;
    }
    if (zspool_session_subscription (session, command->as.subscribe.subscription)) {
        s_refuse (self, message, ZSPOOL_EEXIST, 0, "that number is taken");
        return;
    }
    if (session->subscriptions_count == ZSPOOL_SESSION_SUBSCRIPTIONS_MAX) {
        s_refuse (self, message, ZSPOOL_ELIMIT, 0, "too many subscriptions");
        return;
    }
    zspool_subscription_t *subscription = (zspool_subscription_t *) calloc (1, sizeof *subscription);
    zspool_store_job_t *job = subscription? s_new_job (self, message, ZSPOOL_JOB_OPEN_CURSOR): NULL;
    if (!job) {
        free (subscription);
        return;
    }
    int rc = zspool_catalog_prepare (self->catalog, command, job);
    if (rc) {
        s_refuse (self, message, rc, 0, rc == ZSPOOL_EBUSY? "the device delivers through this cursor": NULL);
        zspool_catalog_drop_job (&job);
        free (subscription);
        return;
    }
    subscription->id = ++self->subscriptions_ever;
    subscription->number = command->as.subscribe.subscription;
    subscription->exclusive = command->flags & ZSP_FLAG_EXCLUSIVE;
    subscription->session = session;
    zspool_catalog_add_credit (subscription, command->as.subscribe.messages, command->as.subscribe.bytes);
    subscription->next = session->subscriptions;
    session->subscriptions = subscription;
    session->subscriptions_count++;
    job->subscription = subscription->number;
    s_hand_job (self, session, job);
}

//  The cursor is there: the consumer joins its group.
static void
s_subscribed (self_t *self, zspool_session_t *session, zspool_store_job_t *job)
{
    zspool_subscription_t *subscription = zspool_session_subscription (session, job->subscription);
    if (!subscription || subscription->group)
        return; //  it has left meanwhile
    const char *why = NULL;
    int rc = job->rc;
    if (rc == ZSPOOL_OK)
        rc = zspool_catalog_join (self->catalog, job, subscription, &why);
    if (rc) {
        self->errors++;
        zspool_post_error (self->socket, session, job->request, ZSP_SUBSCRIBE, rc, 0, why? why: zspool_strerror (rc),
                           false);
        s_unsubscribe (self, session, subscription);
        return;
    }
    zspool_group_info_t info;
    zspool_group_info (subscription->group, &info);
    s_tell_subscribed (self, subscription, job->request, info.generation, info.floor);
}

//  The subscription that a command is about, in its group; NULL: there is none, and that was told.
static zspool_subscription_t *
s_subscription (self_t *self, s_message_t *message, uint32_t number)
{
    zspool_subscription_t *subscription = zspool_session_subscription (message->session, number);
    if (subscription && subscription->group)
        return subscription;
    s_refuse (self, message, ZSPOOL_ENOENT, 0, "no such subscription");
    return NULL;
}

static void
s_do_credit (self_t *self, s_message_t *message)
{
    const zsp_t *command = &message->command;
    zspool_subscription_t *subscription =
        zspool_session_subscription (message->session, command->as.credit.subscription);
    if (!subscription) {
        s_refuse (self, message, ZSPOOL_ENOENT, 0, "no such subscription");
        return;
    }
    zspool_catalog_add_credit (subscription, command->as.credit.messages, command->as.credit.bytes);
    if (subscription->group)
        zspool_catalog_wake (self->catalog, subscription->group);
}

//  Answer the request when all that the client has done is durable.
static void
s_add_flush (self_t *self, s_message_t *message)
{
    zspool_session_t *session = message->session;
    size_t count = 0;
    zspool_flush_t **end = &session->flushes;
    for (; *end; end = &(*end)->next)
        count++;
    zspool_flush_t *flush = count < 64? (zspool_flush_t *) calloc (1, sizeof *flush): NULL;
    if (!flush) {
        s_refuse (self, message, ZSPOOL_ELIMIT, 0, "too many requests at a time");
        return;
    }
    flush->request = message->command.request;
    flush->about = message->command.command;
    flush->number = session->line? session->line->taken: 0;
    *end = flush;
    self->flushes++;
    self->flush_all = true;
}

//  Go through the ranges of an ACK, REJECT or EXTEND. Gives the first code that was not ZSPOOL_OK, and
//  which sequence that was about.
static int
s_each_range (self_t *self, zspool_subscription_t *subscription, const zsp_t *command, uint64_t *refused)
{
    int first_rc = ZSPOOL_OK;
    uint32_t generation = command->as.ranges.generation, time_ms = command->as.ranges.time_ms;
    for (size_t index = 0; index < command->as.ranges.ranges_count; index++) {
        zsp_range_t range = zsp_range (command, index);
        uint64_t acked;
        int rc;
        if (command->command == ZSP_ACK)
            rc = zspool_group_ack (subscription->group, subscription, generation, range.first, range.last, &acked);
        else if (command->command == ZSP_REJECT)
            rc = zspool_group_reject (subscription->group, subscription, generation, range.first, range.last,
                                      self->now_ms, time_ms, command->flags & ZSP_FLAG_DEAD,
                                      command->as.ranges.reason);
        else
            rc = zspool_group_extend (subscription->group, subscription, generation, range.first, range.last,
                                      self->now_ms, time_ms);
        if (rc && first_rc == ZSPOOL_OK) {
            first_rc = rc;
            *refused = range.first;
        }
    }
    return first_rc;
}

static void
s_do_ranges (self_t *self, s_message_t *message)
{
    zspool_subscription_t *subscription = s_subscription (self, message, message->command.as.ranges.subscription);
    uint64_t refused = 0;
    if (!subscription)
        return;
    int rc = s_each_range (self, subscription, &message->command, &refused);
    zspool_catalog_wake (self->catalog, subscription->group);
    if (rc)
        s_refuse (self, message, rc, refused, NULL);
    else if (message->command.request && message->command.command == ZSP_ACK)
        s_add_flush (self, message);
    else if (message->command.request)
        s_done (self, message->session, message->command.request, 0);
}

static void
s_do_seek (self_t *self, s_message_t *message)
{
    zspool_subscription_t *subscription = s_subscription (self, message, message->command.as.seek.subscription);
    zspool_store_job_t *job = subscription? s_new_job (self, message, ZSPOOL_JOB_SEEK): NULL;
    if (!job)
        return;
    char text [ZSP_TEXT_BYTES_MAX + 1];
    s_copy_text (text, sizeof text, message->command.as.seek.start);
    zspool_group_info_t info;
    zspool_group_info (subscription->group, &info);
    job->spool = info.spool;
    job->cursor = info.cursor_id;
    job->subscription = subscription->number;
    if (zspool_start_parse (&job->start, text)) {
        s_refuse (self, message, ZSPOOL_EINVAL, 0, "no such start");
        zspool_catalog_drop_job (&job);
        return;
    }
    s_hand_job (self, message->session, job);
}

static void
s_do_unsubscribe (self_t *self, s_message_t *message)
{
    zspool_subscription_t *subscription =
        zspool_session_subscription (message->session, message->command.as.unsubscribe.subscription);
    if (!subscription) {
        s_refuse (self, message, ZSPOOL_ENOENT, 0, "no such subscription");
        return;
    }
    s_unsubscribe (self, message->session, subscription);
    s_done (self, message->session, message->command.request, 0);
}

//  ------------------------------------------------------------------------------------------------
//  Administration

static void
s_add_pair (zlist_t *pairs, const char *name, const char *value)
{
    zlist_append (pairs, (void *) (uintptr_t) name);
    zlist_append (pairs, (void *) (uintptr_t) value);
}

//  Send names and values, as many as a command may have.
static void
s_send_values (self_t *self, zspool_session_t *session, uint32_t request, zlist_t *texts)
{
    size_t count = zlist_size (texts), bytes = ZSP_HEADER_BYTES + sizeof (uint16_t), used = 0;
    zsp_text_t *pairs = (zsp_text_t *) calloc (count + 1, sizeof *pairs);
    if (!pairs)
        return;
    for (char *text = (char *) zlist_first (texts); text; text = (char *) zlist_next (texts)) {
        bytes += sizeof (uint16_t) + strlen (text);
        if (bytes > ZSP_COMMAND_BYTES_MAX)
            break;
        pairs [used++] = (zsp_text_t){ text, strlen (text) };
    }
    zsp_t values = { .command = ZSP_VALUES, .request = request };
    values.as.values.count = (uint16_t) (used / 2);
    zsp_lists_t lists = { .pairs = pairs };
    zspool_post_command (self->socket, session, &values, &lists);
    free (pairs);
}

//  Names and values of the service, as STATUS has them: added to a reply.
static void
s_add_status (self_t *self, zmsg_t *reply)
{
    const zspool_intake_info_t *info = zspool_intake_info (self->intake);
    zspool_reply_add (reply, "service/sessions", zspool_sessions_count (self->sessions));
    zspool_reply_add (reply, "service/producers", info->lines);
    zspool_reply_add (reply, "service/messages", info->messages);
    zspool_reply_add (reply, "service/bytes", info->bytes);
    zspool_reply_add (reply, "service/waiting", zspool_intake_waiting (self->intake));
    zspool_reply_add (reply, "service/duplicates", info->duplicates);
    zspool_reply_add (reply, "service/held", info->held);
    zspool_reply_add (reply, "service/transactions", info->transactions - info->refused);
    zspool_reply_add (reply, "service/refused", info->refused);
    zspool_reply_add (reply, "service/lost", self->lost);
    zspool_reply_add (reply, "service/errors", self->errors);
    zspool_catalog_status (self->catalog, reply);
}

static void
s_do_status (self_t *self, s_message_t *message)
{
    zmsg_t *reply = zmsg_new ();
    zmsg_addstr (reply, "state");
    zmsg_addstr (reply, self->stopping? "stopping": "running");
    zmsg_addstr (reply, "device/name");
    zmsg_addstr (reply, self->options.name);
    s_add_status (self, reply);
    zlist_t *texts = zlist_new ();
    zlist_autofree (texts);
    char *text;
    while ((text = zmsg_popstr (reply))) {
        zlist_append (texts, text);
        zstr_free (&text);
    }
    s_send_values (self, message->session, message->command.request, texts);
    zlist_destroy (&texts);
    zmsg_destroy (&reply);
}

static void
s_do_list (self_t *self, s_message_t *message)
{
    uint32_t spool = message->command.as.list.spool;
    if (spool && !zspool_session_has_spool (message->session, spool)) {
        s_refuse (self, message, ZSPOOL_ENOENT, 0, "no such spool is open");
        return;
    }
    zspool_store_job_t *job = s_new_job (self, message, ZSPOOL_JOB_LIST);
    if (!job)
        return;
    job->spool = spool;
    s_hand_job (self, message->session, job);
}

static void
s_listed (self_t *self, zspool_session_t *session, zspool_store_job_t *job)
{
    zlist_t *texts = zlist_new ();
    for (size_t index = 0; index + 1 < job->values_count; index += 2)
        if (job->spool || s_is_allowed (self, job->values [index]))
            s_add_pair (texts, job->values [index], job->values [index + 1]);
    s_send_values (self, session, job->request, texts);
    zlist_destroy (&texts);
}

//  Whether clients may administer; if not, that was told.
static bool
s_may_administer (self_t *self, s_message_t *message, uint32_t spool)
{
    if (!self->options.service_admin)
        s_refuse (self, message, ZSPOOL_EACCES, 0, "the service does not let clients administer");
    else if (!zspool_session_has_spool (message->session, spool))
        s_refuse (self, message, ZSPOOL_ENOENT, 0, "no such spool is open");
    else
        return true;
    return false;
}

static void
s_do_purge (self_t *self, s_message_t *message)
{
    uint32_t spool = message->command.as.purge.spool;
    zspool_store_job_t *job =
        s_may_administer (self, message, spool)? s_new_job (self, message, ZSPOOL_JOB_PURGE): NULL;
    if (!job)
        return;
    job->spool = spool;
    job->sequence = message->command.as.purge.sequence;
    s_hand_job (self, message->session, job);
}

static void
s_do_delete_cursor (self_t *self, s_message_t *message)
{
    uint32_t spool = message->command.as.delete_cursor.spool;
    if (!s_may_administer (self, message, spool))
        return;
    char name [ZSPOOL_NAME_MAX + 1];
    s_copy_text (name, sizeof name, message->command.as.delete_cursor.cursor);
    if (zspool_catalog_is_used (self->catalog, spool, name)) {
        s_refuse (self, message, ZSPOOL_EBUSY, 0, "the cursor is in use");
        return;
    }
    zspool_store_job_t *job = s_new_job (self, message, ZSPOOL_JOB_DELETE_CURSOR);
    if (!job)
        return;
    job->spool = spool;
    strcpy (job->name, name);
    s_hand_job (self, message->session, job);
}

//  ------------------------------------------------------------------------------------------------
//  Commands

typedef struct {
    uint8_t command;
    void (*handler) (self_t *self, s_message_t *message);
    bool takes_frames;         //  of records
} s_command_t;

static const s_command_t s_commands [] = {
    { ZSP_HELLO, s_do_hello, false },
    { ZSP_OPEN, s_do_open, false },
    { ZSP_PRODUCE, s_do_produce, false },
    { ZSP_PUT, s_do_put, true },
    { ZSP_COMMIT, s_do_commit, true },
    { ZSP_SUBSCRIBE, s_do_subscribe, false },
    { ZSP_CREDIT, s_do_credit, false },
    { ZSP_ACK, s_do_ranges, false },
    { ZSP_REJECT, s_do_ranges, false },
    { ZSP_EXTEND, s_do_ranges, false },
    { ZSP_SEEK, s_do_seek, false },
    { ZSP_UNSUBSCRIBE, s_do_unsubscribe, false },
    { ZSP_PING, s_do_ping, false },
    { ZSP_STATUS, s_do_status, false },
    { ZSP_LIST, s_do_list, false },
    { ZSP_PURGE, s_do_purge, false },
    { ZSP_DELETE_CURSOR, s_do_delete_cursor, false },
    { ZSP_FLUSH, s_add_flush, false },
    { ZSP_BYE, s_do_bye, false },
};

//  How many frames of records a command is to have
static size_t
s_frames_wanted (const zsp_t *command)
{
    return command->command == ZSP_PUT? 1: command->command == ZSP_COMMIT? command->as.commit.parts_count: 0;
}

//  Carry out what a message asks for.
static void
s_dispatch (self_t *self, s_message_t *message)
{
    message->session = zspool_sessions_by_routing (self->sessions, message->routing, message->routing_size);
    memset (&message->command, 0, sizeof message->command);
    int rc = message->frames_count == 0? ZSPOOL_ECORRUPT:
                                         zsp_decode (&message->command, zmq_msg_data (&message->frames [0]),
                                                     zmq_msg_size (&message->frames [0]));
    const s_command_t *command = NULL;
    for (size_t index = 0; rc == ZSPOOL_OK && index < sizeof s_commands / sizeof s_commands [0]; index++)
        if (s_commands [index].command == message->command.command)
            command = &s_commands [index];
    bool is_hello = message->command.command == ZSP_HELLO;
    if (rc == ZSPOOL_OK
        && (!command || message->too_many || is_hello == (message->session != NULL)
            || message->frames_count - 1 != s_frames_wanted (&message->command)))
        rc = ZSPOOL_EPROTOCOL;
    if (message->session)
        message->session->heard_ms = self->now_ms;
    self->fatal = false;
    if (rc)
        s_refuse (self, message, rc == ZSPOOL_EVERSION? rc: ZSPOOL_EPROTOCOL, 0, NULL);
    else
        command->handler (self, message);
    if (self->fatal && message->session)
        s_end_session (self, message->session);
}

//  Read a message off the ROUTER; false: there is none.
static bool
s_receive (self_t *self)
{
    s_message_t *message = &self->message;
    zmq_msg_t frame;
    zmq_msg_init (&frame);
    if (zmq_msg_recv (&frame, self->socket, ZMQ_DONTWAIT) < 0) {
        zmq_msg_close (&frame);
        return false;
    }
    message->routing_size = zmq_msg_size (&frame);
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
s_close_message (s_message_t *message)
{
    for (size_t index = 0; index < message->frames_count; index++)
        zmq_msg_close (&message->frames [index]);
    message->frames_count = 0;
}

//  Read what has come, a batch at most. True: there may be more.
static bool
s_handle_router (self_t *self)
{
    size_t bytes = 0;
    for (int count = 0; count < BATCH_MESSAGES && bytes < BATCH_BYTES; count++) {
        if (!s_receive (self))
            return false;
        bytes += self->message.bytes;
        s_dispatch (self, &self->message);
        s_close_message (&self->message);
    }
    return true;
}

//  ------------------------------------------------------------------------------------------------
//  What the writer says

static void
s_job_done (self_t *self, zspool_store_job_t *job)
{
    zspool_session_t *session = job->session? zspool_sessions_by_id (self->sessions, job->session): NULL;
    if (session)
        session->jobs--;
    uint32_t spool = job->spool;
    uint64_t newest = 0;
    zspool_catalog_job_done (self->catalog, job, &newest);
    if (job->kind == ZSPOOL_JOB_SYNC && !job->session)
        self->stop_synced = true;
    if (!session || job->kind == ZSPOOL_JOB_OPEN_DEAD)
        return;
    if (job->kind == ZSPOOL_JOB_OPEN_CURSOR) {
        s_subscribed (self, session, job);
        return;
    }
    if (job->kind == ZSPOOL_JOB_SYNC) {
        for (zspool_flush_t *flush = session->flushes; flush; flush = flush->next)
            if (flush->request == job->request && flush->handed)
                flush->job_done = true;
        return;
    }
    static const uint8_t about [] = {
        [ZSPOOL_JOB_OPEN_SPOOL] = ZSP_OPEN,  [ZSPOOL_JOB_OPEN_PRODUCER] = ZSP_PRODUCE,
        [ZSPOOL_JOB_SEEK] = ZSP_SEEK,        [ZSPOOL_JOB_DELETE_CURSOR] = ZSP_DELETE_CURSOR,
        [ZSPOOL_JOB_PURGE] = ZSP_PURGE,      [ZSPOOL_JOB_LIST] = ZSP_LIST,
    };
    if (job->rc) {
        self->errors++;
        bool fatal = job->rc == ZSPOOL_EFENCED;
        zspool_post_error (self->socket, session, job->request, about [job->kind], job->rc, 0,
                           zspool_strerror (job->rc), fatal);
        if (fatal)
            s_end_session (self, session);
        return;
    }
    switch (job->kind) {
    case ZSPOOL_JOB_OPEN_SPOOL: s_opened (self, session, job->request, spool, newest); break;
    case ZSPOOL_JOB_OPEN_PRODUCER: s_produced (self, session, job); break;
    case ZSPOOL_JOB_LIST: s_listed (self, session, job); break;
    case ZSPOOL_JOB_SEEK: {
        const zspool_subscription_t *subscription = zspool_session_subscription (session, job->subscription);
        if (subscription)
            s_tell_subscribed (self, subscription, job->request, job->generation, job->floor);
        break;
    }
    default: s_done (self, session, job->request, 0);
    }
}

//  A cursor was deleted by other means: its consumers have none any more.
static void
s_cursor_deleted (self_t *self, zspool_group_t *group)
{
    zspool_session_t *session = NULL;
    while ((session = zspool_sessions_next (self->sessions, session)) != NULL)
        for (zspool_subscription_t *at = session->subscriptions; at;) {
            zspool_subscription_t *next = at->next;
            if (at->group == group) {
                zspool_post_error (self->socket, session, 0, ZSP_SUBSCRIBE, ZSPOOL_ENOENT, at->number,
                                   "the cursor was deleted", false);
                s_unsubscribe (self, session, at);
            }
            at = next;
        }
    zspool_catalog_remove (self->catalog, group);
}

static void
s_sought (self_t *self, zspool_seek_t *seek)
{
    zspool_group_t *group = zspool_catalog_group (self->catalog, seek->spool, seek->cursor);
    if (group && seek->generation == 0)
        s_cursor_deleted (self, group);
    else if (group)
        zspool_catalog_track_anew (self->catalog, group);
    free (seek);
}

static void
s_handle_writer (self_t *self)
{
    zspool_handoff_t handoff;
    while (zspool_handoff_recv (zsock_resolve (self->writer), &handoff) == 0) {
        zspool_seek_t *seek = (zspool_seek_t *) handoff.pointer;
        switch (handoff.kind) {
        case HANDOFF_BLOCK:
            zspool_catalog_live (self->catalog, (uint32_t) handoff.number, (zspool_block_t *) handoff.pointer);
            break;
        case HANDOFF_STORED: zspool_catalog_stored (self->catalog, (uint32_t) handoff.number); break;
        case HANDOFF_BATCH:
            zspool_intake_ended (self->intake, (zspool_batch_t *) handoff.pointer, -(int) handoff.number,
                                 self->now_ms);
            self->unpark = true;
            break;
        case HANDOFF_JOB: {
            zspool_store_job_t *job = (zspool_store_job_t *) handoff.pointer;
            s_job_done (self, job);
            zspool_catalog_drop_job (&job);
            break;
        }
        case HANDOFF_BURIED:
            zspool_catalog_buried (self->catalog, (zspool_move_t *) handoff.pointer, self->now_ms);
            self->unpark = true;
            break;
        case HANDOFF_DROPPED:
            zspool_catalog_dropped (self->catalog, seek->spool, seek->floor, self->now_ms);
            free (seek);
            break;
        case HANDOFF_SEEK: s_sought (self, seek); break;
        case HANDOFF_FAILED: self->failed = true; break;
        default: break;
        }
    }
}

//  ------------------------------------------------------------------------------------------------
//  Waiting for what is durable

//  Hand in the changes of a session's cursors. False: that must wait.
static bool
s_hand_changes (const zspool_session_t *session)
{
    bool handed = true;
    for (const zspool_subscription_t *at = session->subscriptions; at; at = at->next)
        if (at->group && !zspool_group_hand_change (at->group))
            handed = false;
    return handed;
}

static void
s_serve_flush (self_t *self, zspool_session_t *session, zspool_flush_t *flush)
{
    if (!flush->handed && s_hand_changes (session)) {
        zspool_store_job_t *job = zspool_job_new (ZSPOOL_JOB_SYNC);
        if (!job)
            return;
        job->session = session->id;
        job->request = flush->request;
        flush->handed = true;
        s_hand_job (self, session, job);
    }
}

//  Answer those who wait for what is durable by now.
static void
s_serve_flushes (self_t *self)
{
    if (self->flushes == 0)
        return;
    zspool_session_t *session = NULL;
    while ((session = zspool_sessions_next (self->sessions, session)) != NULL) {
        for (zspool_flush_t *flush = session->flushes; flush; flush = flush->next)
            s_serve_flush (self, session, flush);
        while (session->flushes && session->flushes->job_done
               && (!session->line || session->line->stored >= session->flushes->number)) {
            zspool_flush_t *flush = session->flushes;
            session->flushes = flush->next;
            self->flushes--;
            s_done (self, session, flush->request, 0);
            free (flush);
        }
    }
}

//  ------------------------------------------------------------------------------------------------
//  Start, stop, status

//  Watch connections end.
static int
s_watch (self_t *self)
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
s_make_intake (self_t *self)
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
    };
    self->intake = zspool_intake_new (&args);
    return self->intake? ZSPOOL_OK: ZSPOOL_ENOMEM;
}

static void
s_start (self_t *self)
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
        if (s_watch (self) == 0 && s_make_intake (self) == ZSPOOL_OK)
            rc = zspool_socket_attach (self->router, self->options.service, &reason);
    }
    if (rc == ZSPOOL_OK)
        reason = zspool_socket_endpoint (self->router, self->options.service);
    zsock_send (self->pipe, "is", rc, reason);
    self->failed = rc != ZSPOOL_OK;
}

static void
s_reply_status (self_t *self, uint64_t number)
{
    zmsg_t *status = zspool_reply_new (number, ZSPOOL_OK);
    if (self->intake)
        s_add_status (self, status);
    zmsg_send (&status, self->pipe);
}

//  Serving -> stopping
static void
s_stop (self_t *self, uint64_t number)
{
    self->stopping = true;
    self->stop_number = number;
    self->stop_by_ms = zclock_mono () + STOP_MS;
    self->flush_all = true;
}

//  Stopping: when all is durable, or never will be, answer.
static void
s_check_stop (self_t *self)
{
    if (!self->stopping || self->stopped)
        return;
    uint64_t waiting = self->intake? zspool_intake_waiting (self->intake): 0;
    bool late = zclock_mono () > self->stop_by_ms;
    if (waiting == 0 && !self->stop_job && !self->failed && zspool_catalog_hand_changes (self->catalog)) {
        zspool_store_job_t *job = zspool_job_new (ZSPOOL_JOB_SYNC);
        self->stop_job = job != NULL;
        if (job)
            s_hand_job (self, NULL, job);
    }
    if (!self->failed && !late && !self->stop_synced)
        return;
    self->stopped = true;
    zmsg_t *reply =
        zspool_reply_new (self->stop_number, self->failed? ZSPOOL_EFAILED: waiting > 0? ZSPOOL_ETIMEDOUT: ZSPOOL_OK);
    zmsg_addstrf (reply, "%llu", (unsigned long long) waiting);
    zmsg_send (&reply, self->pipe);
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

//  Read the clock. Time in which the process was stopped, or had no processor, does not count: nobody
//  has listened to the clients meanwhile, so none is silent for it, and nothing is due.
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

static void
s_earlier (int64_t *due_ms, int64_t other_ms)
{
    if (other_ms < *due_ms)
        *due_ms = other_ms;
}

//  Do what has become due. Gives when something is next, by our clock.
static int64_t
s_work (self_t *self)
{
    int64_t due_ms = INT64_MAX, sessions_ms;
    zspool_session_t *session;
    while ((session = zspool_sessions_expired (self->sessions, self->now_ms, &sessions_ms)) != NULL) {
        self->lost++;
        s_end_session (self, session);
    }
    s_earlier (&due_ms, sessions_ms);
    if (self->unpark)
        s_serve_parked (self);
    bool all = self->flush_all || self->stopping;
    s_earlier (&due_ms, zspool_intake_turn (self->intake, all, self->now_ms));
    if (self->flush_all)
        zspool_handoff_send (zsock_resolve (self->writer), HANDOFF_FLUSH, NULL, 0);
    self->flush_all = false;
    zspool_turn_t turn = zspool_catalog_turn (self->catalog, self->now_ms, &sessions_ms);
    s_earlier (&due_ms, turn == ZSPOOL_TURN_MORE? self->now_ms:
                        turn == ZSPOOL_TURN_BUSY? self->now_ms + RETRY_MS:
                                                  sessions_ms);
    if (self->now_ms - self->change_ms >= CHANGE_MS) {
        zspool_catalog_hand_changes (self->catalog);
        self->change_ms = self->now_ms;
    }
    if (zspool_catalog_has_changes (self->catalog))
        s_earlier (&due_ms, self->change_ms + CHANGE_MS);
    s_serve_flushes (self);
    if (self->stopping)
        s_earlier (&due_ms, self->now_ms + 10);
    return due_ms;
}

static void
s_service (zsock_t *pipe, void *args)
{
    self_t *self = (self_t *) args;
    self->pipe = pipe;
    pthread_setname_np (pthread_self (), "zspool-service");
    zsock_signal (pipe, 0);
    self->now_ms = self->mono_ms = zclock_mono ();
    bool more = false;
    while (!self->terminated) {
        bool serving = self->intake && !self->stopped && !self->failed;
        int64_t due_ms = serving? s_work (self): INT64_MAX;
        s_check_stop (self);
        int64_t left_ms = due_ms == INT64_MAX? -1: due_ms > self->now_ms? due_ms - self->now_ms: 0;
        self->timeout_ms = more? 0: left_ms;
        zmq_pollitem_t items [] = {
            { zsock_resolve (pipe), 0, ZMQ_POLLIN, 0 },
            { zsock_resolve (self->writer), 0, ZMQ_POLLIN, 0 },
            { self->monitor, -1, ZMQ_POLLIN, 0 },
            { self->socket, -1, ZMQ_POLLIN, 0 },
        };
        bool listening = serving && !self->stopping;
        int count = listening? 4: self->monitor? 3: 2;
        if (zmq_poll (items, count, (long) self->timeout_ms) < 0 && zmq_errno () == ETERM)
            break;
        s_tick (self);
        if (items [1].revents)
            s_handle_writer (self);
        if (listening && items [2].revents)
            s_handle_monitor (self);
        more = listening && items [3].revents && s_handle_router (self);
        if (items [0].revents)
            s_handle_pipe (self);
    }
    s_self_destroy (&self);
}

zactor_t *
zspool_service_new (const zspool_service_args_t *args)
{
    self_t *self = s_self_new (args);
    if (!self)
        return NULL;
    zactor_t *actor = zactor_new (s_service, self);
    if (!actor) {
        self->writer = NULL;
        s_self_destroy (&self);
    }
    return actor;
}
