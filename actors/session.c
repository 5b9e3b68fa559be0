//  session.c - the clients of a service
//
//  SPDX-License-Identifier: MPL-2.0

#include "session.h"
#include "link.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#define BUCKETS 16384                   //  a power of two
#define LOOK_MS 50                      //  how often all are looked at for their silence

struct zspool_sessions {
    zspool_session_t *by_id [BUCKETS];
    zspool_session_t *by_routing [BUCKETS];
    zspool_session_t **by_fd;
    size_t fds_max;
    size_t count;
    size_t owed_bytes;
    int64_t look_ms;                    //  when to look for the silent again
    zspool_pins_t *pins;                //  of all
};

zspool_sessions_t *
zspool_sessions_new (void)
{
    zspool_sessions_t *self = (zspool_sessions_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->pins = zspool_pins_new (ZSPOOL_SERVICE_PINNED_MAX / 2, NULL);
    if (!self->pins) {
        free (self);
        return NULL;
    }
    return self;
}

void
zspool_sessions_destroy (zspool_sessions_t **self_p)
{
    zspool_sessions_t *self = *self_p;
    if (!self)
        return;
    zspool_session_t *session;
    while ((session = zspool_sessions_next (self, NULL)) != NULL)
        zspool_sessions_remove (self, session);
    zspool_pins_destroy (&self->pins);
    free (self->by_fd);
    free (self);
    *self_p = NULL;
}

static size_t
s_bucket_of_id (uint64_t id)
{
    return (size_t) id & (BUCKETS - 1);
}

static size_t
s_bucket_of_routing (const void *routing, size_t size)
{
    return (size_t) XXH3_64bits (routing, size) & (BUCKETS - 1);
}

//  Know the session by its descriptor, if there is one and memory for it.
static void
s_note_fd (zspool_sessions_t *self, zspool_session_t *session)
{
    if (session->fd < 0)
        return;
    size_t fd = (size_t) session->fd;
    if (fd >= self->fds_max) {
        size_t max = (fd + 1) * 2;
        zspool_session_t **by_fd = (zspool_session_t **) realloc (self->by_fd, max * sizeof *by_fd);
        if (!by_fd)
            return;
        memset (by_fd + self->fds_max, 0, (max - self->fds_max) * sizeof *by_fd);
        self->by_fd = by_fd;
        self->fds_max = max;
    }
    self->by_fd [fd] = session;
}

zspool_session_t *
zspool_sessions_add (zspool_sessions_t *self, const void *routing, size_t routing_size, int fd)
{
    uint64_t id = 0;
    if (self->count == ZSPOOL_SESSIONS_MAX || routing_size == 0
        || routing_size > ZSPOOL_ROUTING_BYTES_MAX)
        return NULL;
    while (id == 0 || zspool_sessions_by_id (self, id))
        if (getrandom (&id, sizeof id, 0) != sizeof id)
            return NULL;
    zspool_session_t *session = (zspool_session_t *) calloc (1, sizeof *session);
    if (session)
        session->pins = zspool_pins_new (ZSPOOL_SESSION_PINNED_MAX, self->pins);
    if (!session || !session->pins) {
        free (session);
        return NULL;
    }
    session->id = id;
    session->owed_end = &session->owed;
    session->owed_total = &self->owed_bytes;
    memcpy (session->routing, routing, routing_size);
    session->routing_size = routing_size;
    session->fd = fd;
    zspool_session_t **bucket = &self->by_id [s_bucket_of_id (id)];
    session->next_by_id = *bucket;
    *bucket = session;
    bucket = &self->by_routing [s_bucket_of_routing (routing, routing_size)];
    session->next_by_routing = *bucket;
    *bucket = session;
    s_note_fd (self, session);
    self->count++;
    return session;
}

void
zspool_sessions_remove (zspool_sessions_t *self, zspool_session_t *session)
{
    zspool_session_t **at = &self->by_id [s_bucket_of_id (session->id)];
    while (*at != session)
        at = &(*at)->next_by_id;
    *at = session->next_by_id;
    at = &self->by_routing [s_bucket_of_routing (session->routing, session->routing_size)];
    while (*at != session)
        at = &(*at)->next_by_routing;
    *at = session->next_by_routing;
    if (zspool_sessions_by_fd (self, session->fd) == session)
        self->by_fd [session->fd] = NULL;
    self->count--;
    while (session->flushes) {
        zspool_flush_t *flush = session->flushes;
        session->flushes = flush->next;
        free (flush);
    }
    while (session->owed) {
        zspool_owed_t *owed = session->owed;
        session->owed = owed->next;
        zmq_msg_close (&owed->command);
        free (owed);
    }
    self->owed_bytes -= session->owed_bytes;
    zspool_pins_destroy (&session->pins);
    free (session);
}

zspool_session_t *
zspool_sessions_by_routing (const zspool_sessions_t *self, const void *routing, size_t routing_size)
{
    zspool_session_t *session = self->by_routing [s_bucket_of_routing (routing, routing_size)];
    while (session
           && (session->routing_size != routing_size
               || memcmp (session->routing, routing, routing_size) != 0))
        session = session->next_by_routing;
    return session;
}

zspool_session_t *
zspool_sessions_by_id (const zspool_sessions_t *self, uint64_t id)
{
    zspool_session_t *session = self->by_id [s_bucket_of_id (id)];
    while (session && session->id != id)
        session = session->next_by_id;
    return session;
}

zspool_session_t *
zspool_sessions_by_fd (const zspool_sessions_t *self, int fd)
{
    return fd >= 0 && (size_t) fd < self->fds_max? self->by_fd [fd]: NULL;
}

size_t
zspool_sessions_count (const zspool_sessions_t *self)
{
    return self->count;
}

size_t
zspool_sessions_owed (const zspool_sessions_t *self)
{
    return self->owed_bytes;
}

zspool_session_t *
zspool_sessions_expired (zspool_sessions_t *self, int64_t now_ms, int64_t *due_ms)
{
    zspool_session_t *session = NULL;
    if (now_ms < self->look_ms || self->count == 0) {
        *due_ms = self->count? self->look_ms: INT64_MAX;
        return NULL;
    }
    while ((session = zspool_sessions_next (self, session)) != NULL) {
        if (!session->deaf && now_ms - session->heard_ms <= session->expiry_ms)
            continue;
        //  Half a message is a sign of life: heartbeats wait behind it.
        int64_t silent_ms = zspool_link_silent_ms (session->fd);
        if (session->deaf || silent_ms > session->expiry_ms)
            return session;
        session->heard_ms = now_ms - silent_ms;
    }
    self->look_ms = *due_ms = now_ms + LOOK_MS;
    return NULL;
}

zspool_session_t *
zspool_sessions_next (const zspool_sessions_t *self, zspool_session_t *session)
{
    if (session && session->next_by_id)
        return session->next_by_id;
    size_t bucket = session? s_bucket_of_id (session->id) + 1: 0;
    while (bucket < BUCKETS && !self->by_id [bucket])
        bucket++;
    return bucket < BUCKETS? self->by_id [bucket]: NULL;
}

bool
zspool_session_has_spool (const zspool_session_t *self, uint32_t spool)
{
    for (size_t index = 0; index < self->spools_count; index++)
        if (self->spools [index] == spool)
            return true;
    return false;
}

zspool_subscription_t *
zspool_session_subscription (const zspool_session_t *self, uint32_t number)
{
    zspool_subscription_t *subscription = self->subscriptions;
    while (subscription && subscription->number != number)
        subscription = subscription->next;
    return subscription;
}

zspool_subscription_t *
zspool_session_subscription_by_id (const zspool_session_t *self, uint64_t id)
{
    zspool_subscription_t *subscription = self->subscriptions;
    while (subscription && subscription->id != id)
        subscription = subscription->next;
    return subscription;
}
