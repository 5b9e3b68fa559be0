//  device.c - wires inlet, writer and outlet into a device, and speaks to it
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Thread: the application's; all work is done by the actors. What belongs together is started
//  here, in the order writer, outlet, inlet; then it belongs to the control actor, which stops it
//  in the order inlet, outlet, writer, so that nothing taken in is lost.

#include "zspool_device.h"
#include "control.h"
#include "dead.h"
#include "inlet.h"
#include "options.h"
#include "outlet.h"
#include "request.h"
#include "writer.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CURSOR_NAME "out"

struct zspool_device {
    zspool_options_t options;
    zactor_t *control;     //  NULL while not running
    uint64_t number;       //  of the last request to it
    char *in;              //  endpoints in use; NULL while not running
    char *out;
    char *ack_in;          //  likewise; "" without explicit
    bool failed;           //  the writer has said so
    char reason [ZSPOOL_REASON_MAX];
};

//  What start () prepares, and the actors take over
typedef struct {
    zspool_store_t *store;
    zspool_outlet_args_t outlet;
    zspool_writer_lane_t lane;
    zsock_t *inlet_pipe;   //  the inlet's end
    zactor_t *inlet_actor; //  the actors, until the control has them
    zactor_t *outlet_actor;
    zactor_t *writer_actor;
} s_parts_t;

static int
s_fail (zspool_device_t *self, int code, const char *format, ...) __attribute__ ((format (printf, 3, 4)));

static int
s_fail (zspool_device_t *self, int code, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    vsnprintf (self->reason, sizeof self->reason, format, args);
    va_end (args);
    return code;
}

zspool_device_t *
zspool_device_new (void)
{
    zspool_device_t *self = (zspool_device_t *) calloc (1, sizeof *self);
    if (self)
        zspool_options_init (&self->options);
    return self;
}

int
zspool_device_set (zspool_device_t *self, const char *option, const char *value)
{
    if (!option || !value)
        return s_fail (self, ZSPOOL_EINVAL, "an option needs a name and a value");
    if (self->control)
        return s_fail (self, ZSPOOL_EINVAL, "%s: the device runs", option);
    return zspool_options_set (&self->options, option, value, self->reason, sizeof self->reason);
}

//  ------------------------------------------------------------------------------------------------
//  Starting

//  A pipe between two actors: a pair of sockets without high-water marks. Its name must never have
//  been used: ZeroMQ gives the names of closed sockets up only after a while. Returns 0 or -1.
static int
s_new_pipe (zsock_t **one, zsock_t **other)
{
    static atomic_ulong pipes_ever;
    char endpoint [64];
    *one = zsock_new (ZMQ_PAIR);
    *other = zsock_new (ZMQ_PAIR);
    if (!*one || !*other)
        return -1;
    snprintf (endpoint, sizeof endpoint, "inproc://zspool-pipe-%lu", atomic_fetch_add (&pipes_ever, 1));
    zsock_set_sndhwm (*one, 0);
    zsock_set_rcvhwm (*one, 0);
    zsock_set_sndhwm (*other, 0);
    zsock_set_rcvhwm (*other, 0);
    zsock_set_linger (*one, 0);
    zsock_set_linger (*other, 0);
    if (zsock_bind (*one, "%s", endpoint))
        return -1;
    return zsock_connect (*other, "%s", endpoint);
}

//  Create spool and cursor when they are not there, and under `async` raise the ceiling, in one
//  commit.
static int
s_prepare_spool (zspool_device_t *self, s_parts_t *parts)
{
    zspool_store_t *store = parts->store;
    uint32_t spool, cursor;
    int rc = zspool_store_begin (store);
    if (rc)
        return rc;
    rc = zspool_store_spool (store, self->options.name, &spool);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_cursor (store, spool, CURSOR_NAME, ZSPOOL_START_FIRST, &cursor);
    if (rc == ZSPOOL_OK && self->options.max_deliveries > 0)
        rc = zspool_dead_prepare (store, self->options.name, &parts->outlet.dead_spool);
    if (rc == ZSPOOL_OK && self->options.durability == ZSPOOL_ASYNC)
        rc = zspool_store_set_ceiling_window (store, spool, ZSPOOL_CEILING_WINDOW);
    if (rc) {
        zspool_store_rollback (store);
        return rc;
    }
    rc = zspool_store_commit (store);
    if (rc)
        return rc;
    rc = zspool_store_set_limit (store, spool, self->options.bytes_max,
                                 (zspool_on_full_t) self->options.on_full);
    if (rc)
        return rc;
    const zspool_cursor_state_t *state =
        zspool_store_find_cursor (zspool_store_find_spool (store, spool), cursor);
    parts->outlet.spool = parts->lane.spool = spool;
    parts->outlet.cursor_id = parts->lane.cursor = cursor;
    parts->outlet.generation = state->now.generation;
    parts->outlet.floor = state->now.floor;
    parts->outlet.sent_to = state->now.sent_to;
    parts->outlet.incarnation = zspool_store_incarnation (store);
    return zspool_store_numbering (store, spool, &parts->lane.next_sequence, &parts->lane.stored_us);
}

static int
s_prepare_readers (zspool_device_t *self, s_parts_t *parts)
{
    bool is_explicit = self->options.ack == ZSPOOL_ACK_EXPLICIT;
    zspool_outlet_args_t *outlet = &parts->outlet;
    outlet->ends = (zspool_outlet_ends_t){
        .label = "out",
        .endpoints = self->options.out,
        .ack_in = self->options.ack_in,
        .socket_type = ZMQ_PUSH,
        .ack = (zspool_ack_policy_t) self->options.ack,
    };
    outlet->options = &self->options;
    outlet->pool = zspool_block_pool_new (ZSPOOL_OUTLET_POOL_BLOCKS, ZSPOOL_BLOCK_BYTES);
    if (outlet->pool)
        outlet->reader = zspool_reader_new_pooled (parts->store, outlet->spool, outlet->pool);
    if (outlet->reader && is_explicit)
        outlet->again = zspool_reader_new_pooled (parts->store, outlet->spool, outlet->pool);
    if (!outlet->reader || (is_explicit && !outlet->again))
        return ZSPOOL_ENOMEM;
    return is_explicit? zspool_store_track_cursor (parts->store, outlet->spool, outlet->cursor_id,
                                                   &outlet->cursor):
                        ZSPOOL_OK;
}

static int
s_prepare (zspool_device_t *self, s_parts_t *parts)
{
    parts->store = zspool_store_new (self->options.store);
    if (!parts->store)
        return s_fail (self, ZSPOOL_ENOMEM, "out of memory");
    int rc = zspool_store_set_map_bytes (parts->store, self->options.map_bytes);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_open (parts->store, ZSPOOL_WRITE);
    if (rc == ZSPOOL_OK)
        rc = s_prepare_spool (self, parts);
    if (rc)
        return s_fail (self, rc, "%s", zspool_store_reason (parts->store));
    rc = s_prepare_readers (self, parts);
    if (rc)
        return s_fail (self, rc, "%s", zspool_strerror (rc));
    parts->lane.async = self->options.durability == ZSPOOL_ASYNC;
    parts->lane.drops_oldest = self->options.on_full == ZSPOOL_ON_FULL_DROP_OLDEST;
    parts->lane.commit_interval_ms = (int64_t) self->options.commit_interval_ms;
    parts->lane.outlets_count = 1;
    if (s_new_pipe (&parts->lane.inlet, &parts->inlet_pipe)
        || s_new_pipe (&parts->lane.outlets [0], &parts->outlet.writer))
        return s_fail (self, ZSPOOL_ENOMEM, "out of memory or sockets");
    return ZSPOOL_OK;
}

//  Free what no actor has taken over.
static void
s_parts_destroy (s_parts_t *parts)
{
    zactor_destroy (&parts->inlet_actor);
    zactor_destroy (&parts->outlet_actor);
    zactor_destroy (&parts->writer_actor);
    zspool_reader_destroy (&parts->outlet.reader);
    zspool_reader_destroy (&parts->outlet.again);
    zspool_block_pool_destroy (&parts->outlet.pool);
    zspool_cursor_destroy (&parts->outlet.cursor);
    zsock_destroy (&parts->outlet.writer);
    zsock_destroy (&parts->inlet_pipe);
    zsock_destroy (&parts->lane.inlet);
    zsock_destroy (&parts->lane.outlets [0]);
    zspool_store_destroy (&parts->store);
}

//  The largest message that may come in: it must fit under the spool's limit, with its block and
//  the sizes of all its frames.
static size_t
s_message_bytes_max (const zspool_options_t *options)
{
    uint64_t bytes_max = options->message_bytes_max;
    if (options->bytes_max > 0 && bytes_max > options->bytes_max / 2)
        bytes_max = options->bytes_max / 2;
    return (size_t) bytes_max;
}

//  Create the actors, each of which takes over its parts.
static int
s_create_actors (zspool_device_t *self, s_parts_t *parts)
{
    zspool_inlet_args_t inlet = {
        .socket_type = ZMQ_PULL,
        .endpoints = self->options.in,
        .hwm = (int) self->options.hwm,
        .message_bytes_max = s_message_bytes_max (&self->options),
        .message_frames_max = (size_t) self->options.message_frames_max,
        .writer = parts->inlet_pipe
    };
    parts->inlet_actor = zspool_inlet_new (&inlet);
    if (parts->inlet_actor)
        parts->inlet_pipe = NULL;
    parts->outlet_actor = zspool_outlet_new (&parts->outlet);
    if (parts->outlet_actor)
        memset (&parts->outlet, 0, sizeof parts->outlet);
    if (!parts->inlet_actor || !parts->outlet_actor)
        return s_fail (self, ZSPOOL_ENOMEM, "out of memory");
    zspool_writer_args_t writer = { parts->store, &parts->lane, 1 };
    parts->writer_actor = zspool_writer_new (&writer);
    if (!parts->writer_actor)
        return s_fail (self, ZSPOOL_ENOMEM, "out of memory");
    parts->store = NULL;
    memset (&parts->lane, 0, sizeof parts->lane);
    return ZSPOOL_OK;
}

//  Tell an actor to attach to its endpoints. Gives its code, and the strings that follow it.
static int
s_start_actor (zactor_t *actor, char **first, char **second)
{
    zstr_send (actor, "START");
    zmsg_t *reply = zmsg_recv (actor);
    char *code = reply? zmsg_popstr (reply): NULL;
    int rc = code? atoi (code): ZSPOOL_ESYSTEM;
    *first = reply? zmsg_popstr (reply): NULL;
    *second = reply? zmsg_popstr (reply): NULL;
    zstr_free (&code);
    zmsg_destroy (&reply);
    return rc;
}

//  Let outlet and inlet attach to their endpoints; the inlet last, so that nothing comes in too
//  early.
static int
s_start_actors (zspool_device_t *self, s_parts_t *parts)
{
    char *first, *second;
    int rc = s_start_actor (parts->outlet_actor, &first, &second);
    if (rc) {
        bool out = first && streq (first, "out");
        s_fail (self, rc, "%s %s: %s", first? first: "", out? self->options.out: self->options.ack_in,
                second? second: zspool_strerror (rc));
        zstr_free (&first);
        zstr_free (&second);
        return rc;
    }
    self->out = first;
    self->ack_in = second;
    rc = s_start_actor (parts->inlet_actor, &first, &second);
    zstr_free (&second);
    if (rc) {
        s_fail (self, rc, "in %s: %s", self->options.in, first? first: zspool_strerror (rc));
        zstr_free (&first);
        return rc;
    }
    self->in = first;
    return ZSPOOL_OK;
}

//  What STATUS tells of the device itself
static zmsg_t *
s_about (zspool_device_t *self)
{
    static const char *const durabilities [] = { "sync", "async", "transaction" };
    static const char *const policies [] = { "settled", "sent", "explicit" };
    zmsg_t *about = zmsg_new ();
    zspool_reply_add (about, "device/pid", (uint64_t) getpid ());
    const char *const pairs [] = { "device/name",       self->options.name,
                                   "device/durability", durabilities [self->options.durability],
                                   "device/ack",        policies [self->options.ack],
                                   "device/in",         self->in,
                                   "device/out",        self->out,
                                   "device/ack_in",     self->ack_in };
    for (size_t index = 0; index < sizeof pairs / sizeof pairs [0]; index++)
        zmsg_addstr (about, pairs [index]);
    return about;
}

//  Give the running actors to the control.
static int
s_start_control (zspool_device_t *self, s_parts_t *parts)
{
    zspool_control_args_t args = { self->options.store, parts->inlet_actor, parts->outlet_actor,
                                   parts->writer_actor, s_about (self) };
    self->control = zspool_control_actor_new (&args);
    if (!self->control) {
        zmsg_destroy (&args.about);
        return s_fail (self, ZSPOOL_ENOMEM, "out of memory");
    }
    parts->inlet_actor = parts->outlet_actor = parts->writer_actor = NULL;
    return ZSPOOL_OK;
}

//  Not running any more
static void
s_forget (zspool_device_t *self)
{
    zactor_destroy (&self->control);
    zstr_free (&self->in);
    zstr_free (&self->out);
    zstr_free (&self->ack_in);
}

//  Create the actors and start them. Their threads inherit that signals are blocked: these are for
//  the application's threads. And what is waited for here is not cut short by one.
static int
s_start_parts (zspool_device_t *self, s_parts_t *parts)
{
    sigset_t all, before;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before);
    int rc = s_create_actors (self, parts);
    if (rc == ZSPOOL_OK)
        rc = s_start_actors (self, parts);
    if (rc == ZSPOOL_OK)
        rc = s_start_control (self, parts);
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    return rc;
}

int
zspool_device_start (zspool_device_t *self)
{
    if (self->control)
        return s_fail (self, ZSPOOL_EINVAL, "the device runs");
    int rc = zspool_options_check (&self->options, self->reason, sizeof self->reason);
    if (rc)
        return rc;
    self->failed = false;
    s_parts_t parts;
    memset (&parts, 0, sizeof parts);
    rc = s_prepare (self, &parts);
    if (rc == ZSPOOL_OK)
        rc = s_start_parts (self, &parts);
    s_parts_destroy (&parts);
    if (rc)
        s_forget (self);
    return rc;
}

//  ------------------------------------------------------------------------------------------------
//  Requests

//  The control's word that the device has failed
static void
s_note_failure (zspool_device_t *self, zmsg_t *message)
{
    zframe_t *reason = zmsg_last (message);
    self->failed = true;
    snprintf (self->reason, sizeof self->reason, "%.*s", (int) zframe_size (reason),
              (char *) zframe_data (reason));
}

//  Wait for the reply to the request sent last, and give its code and what follows. ESYSTEM: a
//  signal has interrupted the application, and `may_end` allows to give up.
static int
s_recv_reply (zspool_device_t *self, bool may_end, zmsg_t **reply_p)
{
    while (true) {
        zmsg_t *message = zmsg_recv (self->control);
        if (!message && (zmq_errno () == ETERM || (may_end && zsys_interrupted)))
            return ZSPOOL_ESYSTEM;
        if (message && zframe_streq (zmsg_first (message), "FAILED"))
            s_note_failure (self, message);
        else if (message && zspool_request_pop_number (message) == self->number) {
            char *code = zmsg_popstr (message);
            int rc = code? atoi (code): ZSPOOL_ECORRUPT;
            zstr_free (&code);
            *reply_p = message;
            return rc;
        }
        zmsg_destroy (&message);
    }
}

//  Ask the control, and wait for the reply; the caller destroys it.
static int
s_ask (zspool_device_t *self, const char *command, bool may_end, zmsg_t **reply_p)
{
    zmsg_t *request = zspool_request_new (command, ++self->number);
    zmsg_send (&request, self->control);
    int rc = s_recv_reply (self, may_end, reply_p);
    if (*reply_p || !may_end)
        return rc;
    //  What was asked for must not be answered later, when nobody expects it.
    request = zspool_request_new ("CANCEL", ++self->number);
    zmsg_send (&request, self->control);
    s_recv_reply (self, false, reply_p);
    return rc;
}

int
zspool_device_stop (zspool_device_t *self)
{
    if (!self->control)
        return ZSPOOL_OK;
    zmsg_t *reply = NULL;
    int rc = s_ask (self, "STOP", false, &reply);
    uint64_t lost = reply? zspool_request_pop_number (reply): 0;
    zmsg_destroy (&reply);
    s_forget (self);
    if (rc && lost > 0)
        s_fail (self, rc, "%llu messages were received but could not be stored: %s",
                (unsigned long long) lost, zspool_strerror (rc));
    return rc && lost > 0? rc: ZSPOOL_OK;
}

void
zspool_device_destroy (zspool_device_t **self_p)
{
    zspool_device_t *self = *self_p;
    if (!self)
        return;
    zspool_device_stop (self);
    free (self);
    *self_p = NULL;
}

//  ------------------------------------------------------------------------------------------------
//  What the application can ask

const char *
zspool_device_reason (zspool_device_t *self)
{
    while (self->control && !self->failed && (zsock_events (self->control) & ZMQ_POLLIN)) {
        zmsg_t *message = zmsg_recv (self->control);
        if (message && zframe_streq (zmsg_first (message), "FAILED"))
            s_note_failure (self, message);
        zmsg_destroy (&message);
    }
    return self->reason;
}

const char *
zspool_device_in (const zspool_device_t *self)
{
    return self->in;
}

const char *
zspool_device_out (const zspool_device_t *self)
{
    return self->out;
}

const char *
zspool_device_ack_in (const zspool_device_t *self)
{
    return self->ack_in && *self->ack_in? self->ack_in: NULL;
}

zconfig_t *
zspool_device_status (zspool_device_t *self)
{
    if (!self->control)
        return NULL;
    zmsg_t *reply = NULL;
    int rc = s_ask (self, "STATUS", true, &reply);
    zconfig_t *status = rc? NULL: zspool_request_tree (reply);
    zmsg_destroy (&reply);
    return status;
}

//  Give the device a command and wait until it has been carried out.
static int
s_command (zspool_device_t *self, const char *command)
{
    if (!self->control)
        return s_fail (self, ZSPOOL_EINVAL, "the device does not run");
    zmsg_t *reply = NULL;
    int rc = s_ask (self, command, true, &reply);
    zmsg_destroy (&reply);
    return rc? s_fail (self, rc, "%s", rc == ZSPOOL_ESYSTEM? "interrupted": zspool_strerror (rc)):
               ZSPOOL_OK;
}

int
zspool_device_pause (zspool_device_t *self)
{
    return s_command (self, "PAUSE");
}

int
zspool_device_resume (zspool_device_t *self)
{
    return s_command (self, "RESUME");
}

int
zspool_device_flush (zspool_device_t *self)
{
    return s_command (self, "FLUSH");
}

zsock_t *
zspool_device_socket (zspool_device_t *self)
{
    return self->control? zactor_sock (self->control): NULL;
}
