//  control.c - the actor that a device is: owns inlet, outlets and writer, and answers for them
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Requests come from the application, over the actor's pipe, and from other processes, through the
//  store's control socket (listener.h). Both go through one table of commands; most are passed on
//  to one of the actors, and answered when that answers. Nothing waits here, so a flush on a full
//  disk holds up nobody, and a writer that hangs in the disk does not keep STATUS from telling so.
//
//  Where a command goes: a line in s_commands. One that an actor carries out has s_do_pass_on ()
//  and the actor there: that gets command, number and arguments, and replies as request.h has it,
//  at any time. Another process asks for it with zspool_control_ask () (control_client.h).
//
//  States: running; stopping (STOP: inlet, then outlets); ended (the actors are gone). The socket
//  is removed before the writer ends, while the store is still locked.

#include "control.h"
#include "control_frame.h"
#include "listener.h"
#include "options.h"
#include "request.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

//  Each client has one request at a time, and so has the application.
#define REQUESTS_MAX (ZSPOOL_LISTENER_CLIENTS_MAX + 1)
//  STATUS waits so long for an actor; then it tells what is known and since when that is silent
#define SILENT_MS 1000
//  Most requests that an actor may have, not answered: for its status, and others
#define STATUS_ASKED_MAX 16
#define PASSED_MAX 64
//  Number of the application as a client; those of the listener start at 1
#define APPLICATION 0

//  Parts of a device: from OUTLETS on, each outlet is one, and the service, which stops with them. ALL: none of them carries a command out.
typedef enum { WRITER, INLET, OUTLETS, ALL = OUTLETS } s_part_t;
#define PARTS_MAX (OUTLETS + ZSPOOL_OUTLETS_MAX + 1)

typedef struct self_s self_t;
typedef struct request_s s_request_t;

typedef struct {
    const char *name;
    void (*handler) (self_t *self, s_request_t *request, zmsg_t *arguments);
    s_part_t part;            //  that carries it out
    bool for_all;             //  also for clients of the socket
} s_command_t;

//  A request that is not answered yet
struct request_s {
    uint64_t number;          //  given by us; 0: free
    uint64_t client;          //  who asked
    uint64_t client_number;   //  APPLICATION: as it numbered the request
    const s_command_t *command;
    uint64_t parts;           //  STATUS: actors that have not answered, a bit each
    bool is_next;             //  FLUSH: waits for the flush that follows the one under way
    int64_t since_ms;         //  when it came
    zmsg_t *reply;            //  STOP: what the inlet said
};

//  One of the actors
typedef struct {
    zactor_t *actor;          //  NULL when ended
    char silent [ZSPOOL_LABEL_MAX + 16]; //  name under which STATUS tells how long it is silent
    zmsg_t *status;           //  names and values as it gave them last, or NULL
    size_t asked;             //  times it was asked for its status and has not answered
    int64_t asked_ms;         //  when it was first, or has answered last
    size_t passed;            //  other requests that it has not answered
} s_actor_t;

struct self_s {
    zsock_t *pipe;            //  to the application
    bool terminated;
    bool stopping;
    zspool_listener_t *listener; //  NULL: no other process can ask
    s_actor_t parts [PARTS_MAX];
    size_t parts_count;
    size_t stopping_outlets;  //  stopping: outlets that have not stopped
    zmsg_t *about;            //  names and values that do not change
    int64_t started_ms;
    uint64_t numbers;         //  given: even ones, and odd ones for STATUS
    uint64_t flush_number;    //  of the flush that the inlet has; 0: none
    s_request_t requests [REQUESTS_MAX];
};

//  ------------------------------------------------------------------------------------------------
//  Replies

//  Give a request its reply, [code, ...], and forget it.
static void
s_answer (self_t *self, s_request_t *request, zmsg_t **reply_p)
{
    if (request->client == APPLICATION) {
        zmsg_pushstrf (*reply_p, "%llu", (unsigned long long) request->client_number);
        zmsg_send (reply_p, self->pipe);
    }
    else if (self->listener)
        zspool_listener_reply (self->listener, request->client, reply_p);
    zmsg_destroy (reply_p);
    zmsg_destroy (&request->reply);
    memset (request, 0, sizeof *request);
}

static void
s_answer_code (self_t *self, s_request_t *request, int code)
{
    zmsg_t *reply = zmsg_new ();
    zmsg_addstrf (reply, "%d", code);
    zmsg_addstr (reply, code? zspool_strerror (code): "");
    s_answer (self, request, &reply);
}

//  Send an actor a request. The arguments, if any, are destroyed. ELIMIT: it has too many already.
static int
s_pass (self_t *self, size_t part, const char *command, uint64_t number, zmsg_t *arguments)
{
    s_actor_t *actor = &self->parts [part];
    if (!actor->actor || actor->passed >= PASSED_MAX) {
        zmsg_destroy (&arguments);
        return actor->actor? ZSPOOL_ELIMIT: ZSPOOL_EFAILED;
    }
    zmsg_t *message = arguments? arguments: zmsg_new ();
    zmsg_pushstrf (message, "%llu", (unsigned long long) number);
    zmsg_pushstr (message, command);
    zmsg_send (&message, actor->actor);
    actor->passed++;
    return ZSPOOL_OK;
}

static void
s_do_pass_on (self_t *self, s_request_t *request, zmsg_t *arguments)
{
    const s_command_t *command = request->command;
    int rc = s_pass (self, command->part, command->name, request->number, arguments);
    if (rc)
        s_answer_code (self, request, rc);
}

//  ------------------------------------------------------------------------------------------------
//  STATUS

static void
s_add_all (zmsg_t *reply, zmsg_t *from)
{
    if (!from)
        return;
    for (zframe_t *frame = zmsg_first (from); frame; frame = zmsg_next (from))
        zmsg_addmem (reply, zframe_data (frame), zframe_size (frame));
}

//  What all is known: each actor's last word, and which of them is silent.
static void
s_answer_status (self_t *self, s_request_t *request)
{
    zmsg_t *reply = zmsg_new ();
    zmsg_addstrf (reply, "%d", ZSPOOL_OK);
    bool stalled = false;
    for (size_t part = 0; part < self->parts_count; part++)
        s_add_all (reply, self->parts [part].status);
    for (size_t part = 0; part < self->parts_count; part++) {
        bool silent = request->parts & 1ULL << part;
        int64_t silent_ms = silent? zclock_mono () - self->parts [part].asked_ms: 0;
        zspool_reply_add (reply, self->parts [part].silent, (uint64_t) silent_ms);
        stalled = stalled || silent;
    }
    if (self->stopping || stalled) {
        zmsg_addstr (reply, "state");
        zmsg_addstr (reply, stalled? "stalled": "stopping");
    }
    zspool_reply_add (reply, "device/uptime_ms", (uint64_t) (zclock_mono () - self->started_ms));
    s_add_all (reply, self->about);
    s_answer (self, request, &reply);
}

//  Ask each actor. One that has not answered for long is not asked for ever.
static void
s_do_status (self_t *self, s_request_t *request, zmsg_t *arguments)
{
    for (size_t part = 0; part < self->parts_count; part++) {
        s_actor_t *actor = &self->parts [part];
        if (!actor->actor)
            continue;
        request->parts |= 1ULL << part;
        if (actor->asked == STATUS_ASKED_MAX)
            continue;
        zmsg_t *message = zspool_request_new ("STATUS", request->number);
        zmsg_send (&message, actor->actor);
        if (actor->asked++ == 0)
            actor->asked_ms = zclock_mono ();
    }
    if (!request->parts)
        s_answer_status (self, request);
    zmsg_destroy (&arguments);
}

//  An actor has told its status.
static void
s_take_status (self_t *self, size_t part, uint64_t number, zmsg_t **status_p)
{
    s_actor_t *actor = &self->parts [part];
    zspool_request_pop_number (*status_p); //  the code
    zmsg_destroy (&actor->status);
    actor->status = *status_p;
    *status_p = NULL;
    actor->asked--;
    actor->asked_ms = zclock_mono ();
    for (size_t index = 0; index < REQUESTS_MAX; index++) {
        s_request_t *request = &self->requests [index];
        //  Who was asked once too often answers those who came later with this, too.
        if (request->number < number || !(request->parts & 1ULL << part)
            || (request->number > number && actor->asked > 0))
            continue;
        request->parts &= ~(1ULL << part);
        if (!request->parts)
            s_answer_status (self, request);
    }
}

//  ------------------------------------------------------------------------------------------------
//  The other commands

static void
s_do_flush (self_t *self, s_request_t *request, zmsg_t *arguments);

//  Answer all whom the flush that has ended, or could not begin, was for.
static void
s_answer_flushes (self_t *self, int code)
{
    self->flush_number = 0;
    for (size_t index = 0; index < REQUESTS_MAX; index++) {
        s_request_t *request = &self->requests [index];
        if (request->number && request->command->handler == s_do_flush && !request->is_next)
            s_answer_code (self, request, code);
    }
}

//  Those who ask for a flush while one is under way may have sent more since it began: they share
//  the next. So the inlet has one at a time, however many ask and go.
static void
s_next_flush (self_t *self)
{
    bool wanted = false;
    for (size_t index = 0; index < REQUESTS_MAX; index++) {
        wanted = wanted || self->requests [index].is_next;
        self->requests [index].is_next = false;
    }
    if (!wanted)
        return;
    self->numbers += 2;
    self->flush_number = self->numbers;
    int rc = s_pass (self, INLET, "FLUSH", self->flush_number, NULL);
    if (rc)
        s_answer_flushes (self, rc);
}

static void
s_do_flush (self_t *self, s_request_t *request, zmsg_t *arguments)
{
    zmsg_destroy (&arguments);
    if (!self->parts [INLET].actor) {
        s_answer_code (self, request, ZSPOOL_EFAILED);
        return;
    }
    request->is_next = true;
    if (!self->flush_number)
        s_next_flush (self);
}

static void
s_flushed (self_t *self, zmsg_t *reply)
{
    char *code = zmsg_popstr (reply);
    s_answer_flushes (self, code? atoi (code): ZSPOOL_ECORRUPT);
    zstr_free (&code);
    s_next_flush (self);
}

//  Running -> stopping
static void
s_do_stop (self_t *self, s_request_t *request, zmsg_t *arguments)
{
    self->stopping = true;
    for (size_t part = 0; part < self->parts_count; part++)
        self->parts [part].passed = 0; //  a stop is never refused
    int rc = s_pass (self, INLET, "STOP", request->number, arguments);
    if (rc)
        s_answer_code (self, request, rc);
}

static void
s_end (self_t *self)
{
    zspool_listener_destroy (&self->listener);
    zactor_destroy (&self->parts [INLET].actor);
    for (size_t part = OUTLETS; part < self->parts_count; part++)
        zactor_destroy (&self->parts [part].actor);
    zactor_destroy (&self->parts [WRITER].actor);
}

//  The inlet has stopped: stop the outlets, and the service. The last of them has: stopping -> ended.
//  The application gets what the inlet said, or the service.
static void
s_stopped (self_t *self, s_request_t *request, size_t part, zmsg_t **reply_p)
{
    if (part == INLET) {
        request->reply = *reply_p;
        *reply_p = NULL;
        for (size_t outlet = OUTLETS; outlet < self->parts_count; outlet++)
            self->stopping_outlets += s_pass (self, outlet, "STOP", request->number, NULL) == ZSPOOL_OK;
        return;
    }
    //  Whoever could not store something, it is what the application is told.
    zframe_t *code = zmsg_first (*reply_p);
    if (code && !zframe_streq (code, "0") && zframe_streq (zmsg_first (request->reply), "0")) {
        zmsg_destroy (&request->reply);
        request->reply = *reply_p;
        *reply_p = NULL;
    }
    if (--self->stopping_outlets > 0)
        return;
    s_end (self);
    zmsg_t *reply = request->reply;
    request->reply = NULL;
    s_answer (self, request, &reply);
}

//  The application has given up waiting: forget what it asked for.
static void
s_do_cancel (self_t *self, s_request_t *request, zmsg_t *arguments)
{
    for (size_t index = 0; index < REQUESTS_MAX; index++) {
        s_request_t *other = &self->requests [index];
        if (other->number && other->client == APPLICATION && other != request)
            memset (other, 0, sizeof *other);
    }
    s_answer_code (self, request, ZSPOOL_OK);
    zmsg_destroy (&arguments);
}

static const s_command_t s_commands [] = {
    { "STATUS", s_do_status, ALL, true },
    { "PAUSE", s_do_pass_on, INLET, true },
    { "RESUME", s_do_pass_on, INLET, true },
    { "FLUSH", s_do_flush, INLET, true },
    { "REQUEUE", s_do_pass_on, WRITER, true },
    { "DROP", s_do_pass_on, WRITER, true },
    { "SEEK", s_do_pass_on, WRITER, true },
    { "DELETE_CURSOR", s_do_pass_on, WRITER, true },
    { "STOP", s_do_stop, ALL, false },
    { "CANCEL", s_do_cancel, ALL, false },
};

//  ------------------------------------------------------------------------------------------------
//  Requests

//  Find the command's line; NULL: there is none, or not for this client.
static const s_command_t *
s_find_command (const char *name, uint64_t client)
{
    for (size_t index = 0; index < sizeof s_commands / sizeof s_commands [0]; index++)
        if (streq (s_commands [index].name, name)
            && (s_commands [index].for_all || client == APPLICATION))
            return &s_commands [index];
    return NULL;
}

//  A request that waits, by its number; 0 gives one that is free. NULL when there is none.
static s_request_t *
s_find_request (self_t *self, uint64_t number)
{
    for (size_t index = 0; index < REQUESTS_MAX; index++)
        if (self->requests [index].number == number)
            return &self->requests [index];
    return NULL;
}

static void
s_begin (self_t *self, uint64_t client, uint64_t client_number, const char *name, zmsg_t *arguments)
{
    const s_command_t *command = s_find_command (name, client);
    s_request_t *request = s_find_request (self, 0);
    s_request_t refused = { .client = client, .client_number = client_number };
    if (!command || !request) {
        s_answer_code (self, &refused, command? ZSPOOL_ELIMIT: ZSPOOL_EINVAL);
        zmsg_destroy (&arguments);
        return;
    }
    self->numbers += 2;
    request->number = self->numbers + (command->handler == s_do_status);
    request->client = client;
    request->client_number = client_number;
    request->command = command;
    request->since_ms = zclock_mono ();
    command->handler (self, request, arguments);
}

//  From the listener: a request, or the word that a client has gone.
static void
s_handle_client (void *arg, uint64_t client, zmsg_t *message)
{
    self_t *self = (self_t *) arg;
    if (message) {
        char *command = zmsg_popstr (message);
        s_begin (self, client, 0, command, message);
        zstr_free (&command);
        return;
    }
    for (size_t index = 0; index < REQUESTS_MAX; index++)
        if (self->requests [index].number && self->requests [index].client == client)
            memset (&self->requests [index], 0, sizeof self->requests [index]);
}

//  From the application
static void
s_handle_pipe (self_t *self)
{
    uint64_t number = 0;
    zmsg_t *arguments = NULL;
    char *command = zspool_request_recv (self->pipe, &number, &arguments);
    if (!command || streq (command, "$TERM")) {
        self->terminated = true;
        zmsg_destroy (&arguments);
    }
    else
        s_begin (self, APPLICATION, number, command, arguments);
    zstr_free (&command);
}

//  An actor's reply, or the writer's word that the store has failed
static void
s_handle_actor (self_t *self, size_t part)
{
    zmsg_t *message = zmsg_recv (self->parts [part].actor);
    if (!message)
        return;
    if (zframe_streq (zmsg_first (message), "FAILED")) {
        zmsg_send (&message, self->pipe);
        return;
    }
    uint64_t number = zspool_request_pop_number (message);
    s_request_t *request = number? s_find_request (self, number): NULL;
    if (number % 2)
        s_take_status (self, part, number, &message);
    else {
        if (self->parts [part].passed > 0)
            self->parts [part].passed--;
        if (number == self->flush_number)
            s_flushed (self, message);
        else if (request && request->command->handler == s_do_stop)
            s_stopped (self, request, part, &message);
        else if (request)
            s_answer (self, request, &message);
    }
    zmsg_destroy (&message);
}

//  ------------------------------------------------------------------------------------------------
//  Loop

//  Answer for actors that are silent; returns how long to wait for the others at most,
//  milliseconds, or -1.
static long
s_check_silent (self_t *self)
{
    int64_t now_ms = zclock_mono ();
    long timeout_ms = -1;
    for (size_t index = 0; index < REQUESTS_MAX; index++) {
        s_request_t *request = &self->requests [index];
        if (!request->parts)
            continue;
        int64_t left_ms = request->since_ms + SILENT_MS - now_ms;
        if (left_ms <= 0)
            s_answer_status (self, request);
        else if (timeout_ms < 0 || left_ms < timeout_ms)
            timeout_ms = (long) left_ms;
    }
    return timeout_ms;
}

//  Wait for something to do, and do what the sockets ask for.
static void
s_serve (self_t *self)
{
    zmq_pollitem_t items [1 + PARTS_MAX + ZSPOOL_LISTENER_ITEMS_MAX] = {
        { zsock_resolve (self->pipe), -1, ZMQ_POLLIN, 0 }
    };
    for (size_t part = 0; part < self->parts_count; part++) {
        zactor_t *actor = self->parts [part].actor;
        items [1 + part] =
            (zmq_pollitem_t){ actor? zsock_resolve (actor): NULL, -1, ZMQ_POLLIN, 0 };
    }
    long timeout_ms = s_check_silent (self);
    size_t clients = 0, behind = 1 + self->parts_count;
    if (self->listener) {
        clients = zspool_listener_items (self->listener, items + behind);
        long listener_ms = zspool_listener_timeout_ms (self->listener);
        if (timeout_ms < 0 || (listener_ms >= 0 && listener_ms < timeout_ms))
            timeout_ms = listener_ms;
    }
    if (zmq_poll (items, (int) (behind + clients), timeout_ms) < 0) {
        self->terminated = zmq_errno () == ETERM;
        return;
    }
    for (size_t part = 0; part < self->parts_count; part++)
        if (items [1 + part].revents && self->parts [part].actor)
            s_handle_actor (self, part);
    if (self->listener)
        zspool_listener_serve (self->listener, items + behind, clients);
    if (items [0].revents)
        s_handle_pipe (self);
}

static void
s_self_destroy (self_t **self_p)
{
    self_t *self = *self_p;
    s_end (self);
    for (size_t part = 0; part < self->parts_count; part++)
        zmsg_destroy (&self->parts [part].status);
    for (size_t index = 0; index < REQUESTS_MAX; index++)
        zmsg_destroy (&self->requests [index].reply);
    zmsg_destroy (&self->about);
    free (self);
    *self_p = NULL;
}

static void
s_control (zsock_t *pipe, void *args)
{
    self_t *self = (self_t *) args;
    self->pipe = pipe;
    self->started_ms = zclock_mono ();
    pthread_setname_np (pthread_self (), "zspool-control");
    zsock_signal (pipe, 0);
    while (!self->terminated)
        s_serve (self);
    s_self_destroy (&self);
}

static void
s_add_part (self_t *self, zactor_t *actor, const char *silent)
{
    s_actor_t *part = &self->parts [self->parts_count++];
    part->actor = actor;
    snprintf (part->silent, sizeof part->silent, "%s", silent);
}

zactor_t *
zspool_control_actor_new (const zspool_control_args_t *args)
{
    self_t *self = (self_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->listener = zspool_listener_new (args->directory, s_handle_client, self);
    if (!self->listener)
        zsys_warning ("%s/%s: %s: other processes cannot ask this device", args->directory,
                      ZSPOOL_CONTROL_FILE, strerror (errno));
    s_add_part (self, args->writer, "device/writer_silent_ms");
    s_add_part (self, args->inlet, "device/inlet_silent_ms");
    for (size_t index = 0; index < args->outlets_count; index++) {
        char name [ZSPOOL_LABEL_MAX + 16] = "device/outlet_silent_ms";
        if (!streq (args->labels [index], "out"))
            snprintf (name, sizeof name, "%s/silent_ms", args->labels [index]);
        s_add_part (self, args->outlets [index], name);
    }
    if (args->service)
        s_add_part (self, args->service, "device/service_silent_ms");
    self->about = args->about;
    zactor_t *actor = zactor_new (s_control, self);
    if (!actor) {
        zspool_listener_destroy (&self->listener);
        free (self);
    }
    return actor;
}
