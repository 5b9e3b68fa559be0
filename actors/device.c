//  device.c - wires inlet, writer and outlet into a device, and speaks to it
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Thread: the application's; all work is done by the actors. What belongs together is started
//  here, in the order writer, outlet, inlet; then it belongs to the control actor, which stops it
//  in the order inlet, outlet, writer, so that nothing taken in is lost.

#include "zspool_device.h"
#include "control.h"
#include "parts.h"
#include "request.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

//  Endpoints in use of an outlet
typedef struct {
    char *out;
    char *ack_in;          //  "" without explicit
} s_ends_t;

struct zspool_device {
    zspool_options_t options;
    zspool_feeds_t feeds;
    zactor_t *control;     //  NULL while not running
    uint64_t number;       //  of the last request to it
    char *in;              //  endpoint in use; NULL while not running
    char *service;         //  likewise; NULL also when there is none
    s_ends_t main;         //  likewise
    s_ends_t ends [ZSPOOL_FEEDS_MAX]; //  of feeds, likewise
    bool failed;           //  the writer has said so
    char reason [ZSPOOL_REASON_MAX];
};

static int
s_fail (zspool_device_t *self, int code, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

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
    if (!self)
        return NULL;
    zspool_options_init (&self->options);
    if (zspool_feeds_init (&self->feeds))
        zspool_device_destroy (&self);
    return self;
}

int
zspool_device_set (zspool_device_t *self, const char *option, const char *value)
{
    if (!option || !value)
        return s_fail (self, ZSPOOL_EINVAL, "an option needs a name and a value");
    if (self->control)
        return s_fail (self, ZSPOOL_EINVAL, "%s: the device runs", option);
    int rc = zspool_feeds_set (&self->feeds, option, value, self->reason, sizeof self->reason);
    return rc == ZSPOOL_ENOENT? zspool_options_set (&self->options, option, value, self->reason,
                                                     sizeof self->reason):
                                rc;
}

//  ------------------------------------------------------------------------------------------------
//  Starting

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

//  Let an outlet attach to its endpoints.
static int
s_start_outlet (zspool_device_t *self, zspool_parts_t *parts, size_t index)
{
    const char *label = parts->labels [index];
    bool is_main = streq (label, ZSPOOL_CURSOR_OUT);
    const zspool_feed_t *feed =
        is_main? NULL: self->feeds.feeds [index - (self->options.out [0]? 1: 0)];
    s_ends_t *ends = is_main? &self->main: &self->ends [index - (self->options.out [0]? 1: 0)];
    int rc = s_start_actor (parts->outlet_actors [index], &ends->out, &ends->ack_in);
    if (rc == ZSPOOL_OK)
        return rc;
    bool out = ends->out && streq (ends->out, label);
    const char *endpoint = out? (feed? feed->endpoint: self->options.out):
                                (feed? feed->ack_in: self->options.ack_in);
    s_fail (self, rc, "%s%s %s: %s", label, out? "": " ack-in", endpoint,
            ends->ack_in? ends->ack_in: zspool_strerror (rc));
    return rc;
}

//  Let outlets and inlet attach to their endpoints; the inlet last, so that nothing comes in too
//  early.
static int
s_start_actors (zspool_device_t *self, zspool_parts_t *parts)
{
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < parts->outlets_count; index++)
        rc = s_start_outlet (self, parts, index);
    if (rc)
        return rc;
    char *second = NULL;
    rc = parts->service_actor? s_start_actor (parts->service_actor, &self->service, &second):
                               ZSPOOL_OK;
    zstr_free (&second);
    if (rc)
        return s_fail (self, rc, "service %s: %s", self->options.service,
                       self->service? self->service: zspool_strerror (rc));
    rc = s_start_actor (parts->inlet_actor, &self->in, &second);
    zstr_free (&second);
    if (rc)
        s_fail (self, rc, "in %s: %s", self->options.in, self->in? self->in: zspool_strerror (rc));
    return rc;
}

//  What STATUS tells of the device itself
static zmsg_t *
s_about (zspool_device_t *self)
{
    static const char *const durabilities [] = { "sync", "async", "transaction" };
    static const char *const policies [] = { "settled", "sent", "explicit" };
    zmsg_t *about = zmsg_new ();
    zspool_reply_add (about, "device/pid", (uint64_t) getpid ());
    zspool_reply_add (about, "device/feeds", self->feeds.count);
    const char *const pairs [] = { "device/name",       self->options.name,
                                   "device/durability", durabilities [self->options.durability],
                                   "device/ack",        policies [self->options.ack],
                                   "device/in",         self->in,
                                   "device/in_type",    self->options.in_type? "sub": "pull",
                                   "device/out",        self->main.out? self->main.out: "",
                                   "device/out_type",   self->options.out_type? "pub": "push",
                                   "device/ack_in",     self->main.ack_in? self->main.ack_in: "",
                                   "device/service",    self->service? self->service: "" };
    for (size_t index = 0; index < sizeof pairs / sizeof pairs [0]; index++)
        zmsg_addstr (about, pairs [index]);
    for (size_t index = 0; index < self->feeds.count; index++) {
        const zspool_feed_t *feed = self->feeds.feeds [index];
        const char *const values [] = {
            "endpoint", self->ends [index].out,
            "ack_in",   self->ends [index].ack_in,
            "type",     feed->socket_type == ZMQ_PUSH? "push": "sub",
            "ack",      policies [zspool_feed_ack (feed, &self->options)]
        };
        for (size_t at = 0; at < sizeof values / sizeof values [0]; at += 2) {
            zmsg_addstrf (about, "feed/%s/%s", feed->name, values [at]);
            zmsg_addstr (about, values [at + 1]);
        }
    }
    return about;
}

//  Give the running actors to the control.
static int
s_start_control (zspool_device_t *self, zspool_parts_t *parts)
{
    const char *labels [ZSPOOL_OUTLETS_MAX];
    for (size_t index = 0; index < parts->outlets_count; index++)
        labels [index] = parts->labels [index];
    zspool_control_args_t args = {
        .directory = self->options.store,
        .inlet = parts->inlet_actor,
        .writer = parts->writer_actor,
        .outlets = parts->outlet_actors,
        .labels = labels,
        .outlets_count = parts->outlets_count,
        .service = parts->service_actor,
        .about = s_about (self),
    };
    self->control = zspool_control_actor_new (&args);
    if (!self->control) {
        zmsg_destroy (&args.about);
        return s_fail (self, ZSPOOL_ENOMEM, "out of memory");
    }
    parts->inlet_actor = parts->writer_actor = parts->service_actor = NULL;
    memset (parts->outlet_actors, 0, sizeof parts->outlet_actors);
    return ZSPOOL_OK;
}

static void
s_forget_ends (s_ends_t *ends)
{
    zstr_free (&ends->out);
    zstr_free (&ends->ack_in);
}

//  Not running any more
static void
s_forget (zspool_device_t *self)
{
    zactor_destroy (&self->control);
    zstr_free (&self->in);
    zstr_free (&self->service);
    s_forget_ends (&self->main);
    for (size_t index = 0; index < ZSPOOL_FEEDS_MAX; index++)
        s_forget_ends (&self->ends [index]);
}

//  Create the actors and start them. Their threads inherit that signals are blocked: these are for
//  the application's threads. And what is waited for here is not cut short by one.
static int
s_start_parts (zspool_device_t *self, zspool_parts_t *parts)
{
    sigset_t all, before;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before);
    int rc = zspool_parts_create_actors (parts);
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
    if (rc == ZSPOOL_OK)
        rc = zspool_feeds_check (&self->feeds, &self->options, self->reason, sizeof self->reason);
    if (rc)
        return rc;
    self->failed = false;
    zspool_parts_t *parts = (zspool_parts_t *) calloc (1, sizeof *parts);
    if (!parts)
        return s_fail (self, ZSPOOL_ENOMEM, "out of memory");
    parts->options = &self->options;
    parts->feeds = &self->feeds;
    parts->reason = self->reason;
    rc = zspool_parts_prepare (parts);
    if (rc == ZSPOOL_OK)
        rc = s_start_parts (self, parts);
    zspool_parts_destroy (parts);
    free (parts);
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
    zspool_feeds_destroy (&self->feeds);
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
    return self->in && *self->in? self->in: NULL;
}

const char *
zspool_device_service (const zspool_device_t *self)
{
    return self->service;
}

const char *
zspool_device_out (const zspool_device_t *self)
{
    return self->main.out;
}

const char *
zspool_device_ack_in (const zspool_device_t *self)
{
    return self->main.ack_in && *self->main.ack_in? self->main.ack_in: NULL;
}

//  The endpoints of a feed, or NULL
static const s_ends_t *
s_feed_ends (const zspool_device_t *self, const char *name)
{
    for (size_t index = 0; index < self->feeds.count; index++)
        if (streq (self->feeds.feeds [index]->name, name))
            return &self->ends [index];
    return NULL;
}

const char *
zspool_device_feed (const zspool_device_t *self, const char *name)
{
    const s_ends_t *ends = s_feed_ends (self, name);
    return ends? ends->out: NULL;
}

const char *
zspool_device_feed_ack_in (const zspool_device_t *self, const char *name)
{
    const s_ends_t *ends = s_feed_ends (self, name);
    return ends && ends->ack_in && *ends->ack_in? ends->ack_in: NULL;
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
