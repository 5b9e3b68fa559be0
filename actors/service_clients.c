//  service_clients.c - clients of a service come and go, and are answered
//
//  SPDX-License-Identifier: MPL-2.0

#include "service_parts.h"

#include <stdlib.h>
#include <string.h>

//  How often clients that are owed answers are tried again, when one has taken some, and else
#define OWED_MS 1
#define OWED_IDLE_MS 10
//  Requests of a session that may wait for what is durable
#define FLUSHES_MAX 64

//  ------------------------------------------------------------------------------------------------
//  Answers

//  Refuse a command. A fatal error ends the session, which the caller sees to.
void
zspool_service_refuse (zspool_service_t *self, const zspool_service_message_t *message, int code,
                       uint64_t number, const char *text)
{
    self->errors++;
    bool fatal = code == ZSPOOL_EPROTOCOL || code == ZSPOOL_EVERSION || code == ZSPOOL_EFENCED;
    self->fatal = self->fatal || fatal;
    if (message->session) {
        zspool_post_error (self->socket, message->session, message->command.request,
                           message->command.command, code, number,
                           text? text: zspool_strerror (code), fatal);
        return;
    }
    zsp_t error = { .command = ZSP_ERROR,
                    .request = message->command.request,
                    .flags = ZSP_FLAG_FATAL };
    error.as.error.code = (uint16_t) -code;
    error.as.error.about = message->command.command;
    error.as.error.text.data = text? text: zspool_strerror (code);
    error.as.error.text.size = strlen (error.as.error.text.data);
    zspool_post_stranger (self->socket, message->routing, message->routing_size, &error);
}

void
zspool_service_done (zspool_service_t *self, zspool_session_t *session, uint32_t request,
                     uint64_t number)
{
    zsp_t done = { .command = ZSP_DONE, .request = request };
    done.as.done.number = number;
    zspool_post_command (self->socket, session, &done, NULL);
}

//  ------------------------------------------------------------------------------------------------
//  Sessions

//  End a session: what its consumers hold is due again at once.
void
zspool_service_end_session (zspool_service_t *self, zspool_session_t *session)
{
    while (session->subscriptions)
        zspool_service_unsubscribe (self, session, session->subscriptions);
    zspool_intake_leave (self->intake, session);
    zspool_service_unpark (self, session->id);
    for (zspool_flush_t *flush = session->flushes; flush; flush = flush->next)
        self->flushes--;
    zspool_sessions_remove (self->sessions, session);
}

static void
s_lose_session (zspool_service_t *self, zspool_session_t *session)
{
    self->lost++;
    zspool_service_end_session (self, session);
}

//  Note that a session's connection has ended. False: memory is out.
static bool
s_remember_cut (zspool_service_t *self, uint64_t session)
{
    if (self->cut_count == self->cut_room) {
        size_t room = self->cut_room? self->cut_room * 2: 64;
        uint64_t *cut = (uint64_t *) realloc (self->cut, room * sizeof *cut);
        if (!cut)
            return false;
        self->cut = cut;
        self->cut_room = room;
    }
    self->cut [self->cut_count++] = session;
    return true;
}

//  Connections that have ended end their sessions: after the next look at what has come, since what
//  such a client had sent before, a BYE for one, is there already.
void
zspool_service_handle_monitor (zspool_service_t *self)
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
        if (session && !s_remember_cut (self, session->id))
            s_lose_session (self, session);
    }
}

//  Send clients what they are owed. Gives when to try again.
static int64_t
s_pay (zspool_service_t *self)
{
    size_t before = zspool_sessions_owed (self->sessions);
    if (before == 0)
        return INT64_MAX;
    zspool_session_t *session = NULL;
    while ((session = zspool_sessions_next (self->sessions, session)) != NULL)
        zspool_post_owed (self->socket, session);
    size_t left = zspool_sessions_owed (self->sessions);
    return left == 0? INT64_MAX: self->awake.now_ms + (left < before? OWED_MS: OWED_IDLE_MS);
}

int64_t
zspool_service_end_lost (zspool_service_t *self)
{
    int64_t due_ms;
    zspool_session_t *session;
    while (self->cut_count > 0) {
        session = zspool_sessions_by_id (self->sessions, self->cut [--self->cut_count]);
        if (session)
            s_lose_session (self, session);
    }
    int64_t pay_ms = s_pay (self);
    while ((session = zspool_sessions_expired (self->sessions, self->awake.now_ms, &due_ms))
           != NULL)
        s_lose_session (self, session);
    return pay_ms < due_ms? pay_ms: due_ms;
}

void
zspool_service_do_hello (zspool_service_t *self, zspool_service_message_t *message)
{
    //  The descriptor may have been that of a connection whose end was not looked at yet.
    zspool_service_handle_monitor (self);
    zspool_session_t *old = zspool_sessions_by_fd (self->sessions, message->fd);
    if (old)
        s_lose_session (self, old);
    zspool_session_t *session =
        zspool_sessions_add (self->sessions, message->routing, message->routing_size, message->fd);
    if (!session) {
        zspool_service_refuse (self, message, ZSPOOL_ELIMIT, 0, "too many clients");
        return;
    }
    session->expiry_ms = (int64_t) message->command.as.hello.heartbeat_ms * ZSP_EXPIRY_HEARTBEATS;
    session->heard_ms = self->awake.now_ms;
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

void
zspool_service_do_ping (zspool_service_t *self, zspool_service_message_t *message)
{
    zsp_t pong = { .command = ZSP_PONG, .request = message->command.request };
    zspool_post_command (self->socket, message->session, &pong, NULL);
}

void
zspool_service_do_bye (zspool_service_t *self, zspool_service_message_t *message)
{
    zspool_service_done (self, message->session, message->command.request, 0);
    zspool_service_end_session (self, message->session);
    message->session = NULL;
}

//  ------------------------------------------------------------------------------------------------
//  Waiting for what is durable

//  Answer the request when all that the client has done is durable.
void
zspool_service_do_flush (zspool_service_t *self, zspool_service_message_t *message)
{
    zspool_session_t *session = message->session;
    size_t count = 0;
    zspool_flush_t **end = &session->flushes;
    for (; *end; end = &(*end)->next)
        count++;
    zspool_flush_t *flush = count < FLUSHES_MAX? (zspool_flush_t *) calloc (1, sizeof *flush): NULL;
    if (!flush) {
        zspool_service_refuse (self, message, ZSPOOL_ELIMIT, 0, "too many requests at a time");
        return;
    }
    flush->request = message->command.request;
    flush->about = message->command.command;
    flush->number = session->line? session->line->taken: 0;
    *end = flush;
    self->flushes++;
    self->flush_all = true;
}

//  Hand in the changes of a session's cursors. False: that must wait.
static bool
s_hand_changes (zspool_service_t *self, zspool_session_t *session)
{
    if (session->has_left && zspool_catalog_hand_changes (self->catalog))
        session->has_left = false;
    bool handed = !session->has_left;
    for (const zspool_subscription_t *at = session->subscriptions; at; at = at->next)
        if (at->group && !zspool_group_hand_change (at->group, true))
            handed = false;
    return handed;
}

//  Have what a flush waits for stored. False: it must wait, and so must those behind it.
static bool
s_serve_flush (zspool_service_t *self, zspool_session_t *session, zspool_flush_t *flush)
{
    if (flush->handed)
        return true;
    zspool_store_job_t *job =
        s_hand_changes (self, session)? zspool_job_new (ZSPOOL_JOB_SYNC): NULL;
    if (!job)
        return false;
    job->session = session->id;
    flush->handed = true;
    zspool_service_hand_job (self, session, job);
    return true;
}

//  Whether all that is stored which a flush waits for. What was refused since is not waited for.
static bool
s_is_flushed (const zspool_session_t *session, const zspool_flush_t *flush)
{
    const zspool_line_t *line = session->line;
    return flush->job_done
           && (!line || line->stored >= flush->number || line->stored == line->taken);
}

//  Answer those who wait for what is durable by now.
void
zspool_service_serve_flushes (zspool_service_t *self)
{
    if (self->flushes == 0)
        return;
    zspool_session_t *session = NULL;
    while ((session = zspool_sessions_next (self->sessions, session)) != NULL) {
        for (zspool_flush_t *flush = session->flushes; flush; flush = flush->next)
            if (!s_serve_flush (self, session, flush))
                break;
        while (session->flushes && s_is_flushed (session, session->flushes)) {
            zspool_flush_t *flush = session->flushes;
            session->flushes = flush->next;
            self->flushes--;
            zspool_service_done (self, session, flush->request, 0);
            free (flush);
        }
    }
}
