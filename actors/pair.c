//  pair.c - a client object: the application's thread, and the actor behind it that has the session
//
//  SPDX-License-Identifier: MPL-2.0

#include "pair.h"

#include <string.h>

//  How long a wait lasts before a signal is looked for
#define SLICE_MS 100
//  Messages that are taken in before something is sent
#define BATCH_MESSAGES 1000

void
zspool_pair_init (zspool_pair_t *self, const char *endpoint)
{
    memset (self, 0, sizeof *self);
    snprintf (self->endpoint, sizeof self->endpoint, "%s", endpoint? endpoint: "");
    self->heartbeat_ms = ZSP_HEARTBEAT_MS;
    self->timeout_ms = 30000;
    pthread_mutex_init (&self->mutex, NULL);
}

void
zspool_pair_stop (zspool_pair_t *self)
{
    if (!self->actor)
        return;
    zactor_destroy (&self->actor);
    //  All that the actor did lies before this, also for who knows nothing of ZeroMQ's signals.
    pthread_mutex_lock (&self->mutex);
    pthread_mutex_unlock (&self->mutex);
}

void
zspool_pair_end (zspool_pair_t *self)
{
    zspool_pair_stop (self);
    pthread_mutex_destroy (&self->mutex);
}

//  ------------------------------------------------------------------------------------------------
//  Application

int
zspool_pair_fail (zspool_pair_t *self, int code, const char *text)
{
    snprintf (self->reason, sizeof self->reason, "%s", text? text: zspool_strerror (code));
    return code;
}

int
zspool_pair_set_number (zspool_pair_t *self, const char *option, const char *value, uint64_t min,
                        uint64_t max, uint64_t *field)
{
    return zspool_client_parse (option, value, min, max, field, self->reason, sizeof self->reason);
}

int
zspool_pair_set_switch (zspool_pair_t *self, const char *option, const char *value, bool *field)
{
    if (!streq (value, "on") && !streq (value, "off")) {
        snprintf (self->reason, sizeof self->reason, "%s: must be on or off", option);
        return ZSPOOL_EINVAL;
    }
    *field = streq (value, "on");
    return ZSPOOL_OK;
}

int
zspool_pair_set_name (zspool_pair_t *self, const char *option, const char *value, char *field)
{
    if (!zspool_client_is_name (value)) {
        snprintf (self->reason, sizeof self->reason,
                  "%s: must be a name of 1 to %d bytes without blanks or slashes", option,
                  ZSP_NAME_BYTES_MAX);
        return ZSPOOL_EINVAL;
    }
    strcpy (field, value);
    return ZSPOOL_OK;
}

int
zspool_pair_set_common (zspool_pair_t *self, const char *option, const char *value)
{
    if (streq (option, "heartbeat"))
        return zspool_pair_set_number (self, option, value, ZSP_HEARTBEAT_MS_MIN,
                                       ZSP_HEARTBEAT_MS_MAX, &self->heartbeat_ms);
    if (streq (option, "timeout"))
        return zspool_pair_set_number (self, option, value, 0, ZSPOOL_TIMEOUT_MS_MAX,
                                       &self->timeout_ms);
    snprintf (self->reason, sizeof self->reason, "%.80s: no such option", option);
    return ZSPOOL_EINVAL;
}

int
zspool_pair_start (zspool_pair_t *self, zactor_fn *actor, void *args)
{
    if (!zspool_client_is_endpoint (self->endpoint))
        return zspool_pair_fail (self, ZSPOOL_EADDR, "not an endpoint to connect to");
    zspool_client_init (&self->client, self->endpoint, (uint32_t) self->heartbeat_ms);
    self->actor = zactor_new (actor, args);
    return self->actor? ZSPOOL_OK: zspool_pair_fail (self, ZSPOOL_ENOMEM, NULL);
}

int
zspool_pair_check (zspool_pair_t *self)
{
    if (!self->failed)
        return ZSPOOL_OK;
    return zspool_pair_fail (self, self->failed, *self->failure? self->failure: NULL);
}

void
zspool_pair_wake_actor (zspool_pair_t *self)
{
    if (!self->actor_waits)
        return;
    self->actor_waits = false;
    zmq_send (zsock_resolve (self->actor), "", 0, ZMQ_DONTWAIT);
}

int64_t
zspool_pair_until (const zspool_pair_t *self)
{
    return zclock_mono () + (int64_t) self->timeout_ms;
}

int
zspool_pair_wait (zspool_pair_t *self, int64_t until_ms)
{
    int64_t left_ms = until_ms - zclock_mono ();
    if (left_ms <= 0)
        return ZSPOOL_ETIMEDOUT;
    self->app_waits = true;
    pthread_mutex_unlock (&self->mutex);
    zmq_pollitem_t item = { zsock_resolve (self->actor), 0, ZMQ_POLLIN, 0 };
    int rc = zmq_poll (&item, 1, left_ms < SLICE_MS? (long) left_ms: SLICE_MS);
    char command [8];
    if (rc > 0)
        zmq_recv (item.socket, command, sizeof command, ZMQ_DONTWAIT);
    pthread_mutex_lock (&self->mutex);
    return zsys_interrupted? ZSPOOL_ECANCELED: zspool_pair_check (self);
}

zsock_t *
zspool_pair_socket (const zspool_pair_t *self)
{
    return self->actor? zactor_sock (self->actor): NULL;
}

void
zspool_pair_quieten (zspool_pair_t *self)
{
    char command [8];
    while (zmq_recv (zsock_resolve (self->actor), command, sizeof command, ZMQ_DONTWAIT) >= 0)
        ;
}

//  ------------------------------------------------------------------------------------------------
//  Actor

void
zspool_pair_fail_for_good (zspool_pair_t *self, int code, zsp_text_t text)
{
    if (self->failed)
        return;
    self->failed = code;
    zsp_text_copy (self->failure, sizeof self->failure, text);
}

void
zspool_pair_wake_app (zspool_pair_t *self, bool news)
{
    if (!self->app_waits && !(self->app_polls && (news || self->failed)))
        return;
    self->app_waits = self->app_polls = false;
    zmq_send (zsock_resolve (self->pipe), "", 0, ZMQ_DONTWAIT);
}

int64_t
zspool_pair_receive (zspool_pair_t *self, zspool_pair_take_fn *take, void *object, bool *lost)
{
    int64_t now_ms = zclock_mono ();
    int rc = ZSPOOL_OK;
    for (int count = 0; rc == ZSPOOL_OK && count < BATCH_MESSAGES; count++) {
        rc = zspool_client_receive (&self->client, now_ms);
        if (rc == ZSPOOL_OK)
            rc = take (object);
    }
    bool ended = rc && rc != ZSPOOL_ENOENT, cut = false;
    if (rc == ZSPOOL_EVERSION)
        zspool_pair_fail_for_good (self, rc, (zsp_text_t){ NULL, 0 });
    if (ended && self->client.state != ZSPOOL_CLIENT_DOWN)
        zspool_client_drop (&self->client, now_ms);
    *lost = ended || (self->failed && self->client.state == ZSPOOL_CLIENT_UP);
    if (self->failed) { //  nothing can follow: it does not come again
        zspool_client_end (&self->client, true);
        return INT64_MAX;
    }
    int64_t due_ms = zspool_client_work (&self->client, now_ms, &cut);
    *lost = *lost || cut;
    return due_ms;
}

//  Wait until something has come, or a time. False: the context has ended.
static bool
s_wait (zspool_pair_t *self, int64_t due_ms)
{
    int64_t left_ms = due_ms == INT64_MAX? -1: due_ms - zclock_mono ();
    if (left_ms < 0 && due_ms != INT64_MAX)
        left_ms = 0;
    zmq_pollitem_t items [] = { { zsock_resolve (self->pipe), 0, ZMQ_POLLIN, 0 },
                                { self->client.socket, -1, ZMQ_POLLIN, 0 },
                                { self->client.monitor, -1, ZMQ_POLLIN, 0 } };
    int count = !self->client.socket? 1: self->client.monitor? 3: 2;
    return zmq_poll (items, count, (long) left_ms) >= 0 || zmq_errno () != ETERM;
}

void
zspool_pair_serve (zspool_pair_t *self, zsock_t *pipe, zspool_pair_work_fn *work,
                   zspool_pair_farewell_fn *farewell, void *object)
{
    bool ending = false;
    self->pipe = pipe;
    zsock_signal (pipe, 0);
    while (!ending) {
        pthread_mutex_lock (&self->mutex);
        int64_t due_ms = work (object);
        self->actor_waits = true;
        pthread_mutex_unlock (&self->mutex);
        if (!s_wait (self, due_ms))
            break;
        pthread_mutex_lock (&self->mutex);
        self->actor_waits = false;
        pthread_mutex_unlock (&self->mutex);
        char command [8];
        int size;
        while ((size = zmq_recv (zsock_resolve (pipe), command, sizeof command, ZMQ_DONTWAIT)) >= 0)
            ending = ending || size > 0;
    }
    pthread_mutex_lock (&self->mutex);
    if (farewell)
        farewell (object);
    zspool_client_end (&self->client, true);
    pthread_mutex_unlock (&self->mutex);
}
