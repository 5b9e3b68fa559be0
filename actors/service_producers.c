//  service_producers.c - what producers ask of a service: to produce, to put, to commit
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A transaction that needs the cursor of another one, which is being stored, is parked until that
//  has ended: so only the commits of one cursor wait for each other.

#include "service_parts.h"

#include <stdlib.h>

//  Most bytes of transactions that wait for others
#define PARKED_BYTES_MAX (64 * 1024 * 1024)

//  A transaction that waits for another one of the same cursor
struct zspool_parked {
    uint64_t session;
    zspool_service_message_t message;
    zspool_parked_t *next;
};

static void
s_refuse_producing (zspool_service_t *self, zspool_service_message_t *message)
{
    zspool_service_refuse (self, message, ZSPOOL_ENOMEM, 0, NULL);
    message->session->produces = false;
}

void
zspool_service_do_produce (zspool_service_t *self, zspool_service_message_t *message)
{
    if (message->session->produces) {
        zspool_service_refuse (self, message, ZSPOOL_EPROTOCOL, 0, "this session produces already");
        return;
    }
    message->session->produces = true;
    if (message->command.as.produce.name.size == 0) {
        zspool_session_t *fenced;
        if (!zspool_intake_open (self->intake, message->session, message->command.request, "", 0, 1,
                                 0, &fenced))
            s_refuse_producing (self, message);
        return;
    }
    zspool_store_job_t *job = zspool_service_new_job (self, message, ZSPOOL_JOB_OPEN_PRODUCER);
    message->session->produces = job != NULL;
    if (!job)
        return;
    zsp_text_copy (job->name, sizeof job->name, message->command.as.produce.name);
    job->epoch = message->command.as.produce.epoch;
    zspool_service_hand_job (self, message->session, job);
}

void
zspool_service_produced (zspool_service_t *self, zspool_session_t *session, zspool_store_job_t *job)
{
    zspool_session_t *fenced;
    if (!zspool_intake_open (self->intake, session, job->request, job->name, job->producer,
                             job->epoch, job->last, &fenced)) {
        zspool_post_error (self->socket, session, job->request, ZSP_PRODUCE, ZSPOOL_ENOMEM, 0,
                           "out of memory", false);
        session->produces = false;
        return;
    }
    if (fenced) {
        zspool_post_error (self->socket, fenced, 0, ZSP_PRODUCE, ZSPOOL_EFENCED, 0,
                           zspool_strerror (ZSPOOL_EFENCED), true);
        zspool_service_end_session (self, fenced);
    }
}

void
zspool_service_do_put (zspool_service_t *self, zspool_service_message_t *message)
{
    int rc = message->session->parked?
                  ZSPOOL_EPROTOCOL:
                  zspool_intake_put (self->intake, message->session, &message->command,
                                     zmq_msg_data (&message->frames [1]),
                                     zmq_msg_size (&message->frames [1]));
    if (rc)
        zspool_service_refuse (self, message, rc, message->command.as.put.number, NULL);
}

//  ------------------------------------------------------------------------------------------------
//  Transactions

static void
s_unpark (zspool_service_t *self, zspool_parked_t **at)
{
    zspool_parked_t *parked = *at;
    *at = parked->next;
    for (size_t index = 0; index < parked->message.frames_count; index++)
        zmq_msg_close (&parked->message.frames [index]);
    self->parked_bytes -= sizeof *parked + parked->message.bytes;
    zspool_session_t *session = zspool_sessions_by_id (self->sessions, parked->session);
    if (session)
        session->parked = false;
    free (parked);
}

void
zspool_service_unpark (zspool_service_t *self, uint64_t session)
{
    for (zspool_parked_t **at = &self->parked; *at;)
        if (session == 0 || (*at)->session == session)
            s_unpark (self, at);
        else
            at = &(*at)->next;
}

//  Keep a transaction until another one has ended. False: there are too many.
static bool
s_park (zspool_service_t *self, zspool_service_message_t *message)
{
    size_t bytes = sizeof (zspool_parked_t) + message->bytes;
    zspool_parked_t *parked = self->parked_bytes + bytes <= PARKED_BYTES_MAX?
                             (zspool_parked_t *) calloc (1, sizeof *parked):
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
    zspool_parked_t **end = &self->parked;
    while (*end)
        end = &(*end)->next;
    *end = parked;
    self->parked_bytes += bytes;
    message->session->parked = true;
    return true;
}

void
zspool_service_do_commit (zspool_service_t *self, zspool_service_message_t *message)
{
    int rc = message->session->parked?
                  ZSPOOL_EPROTOCOL:
                  zspool_intake_commit (self->intake, message->session, &message->command,
                                        &message->frames [1]);
    if (rc == ZSPOOL_EBUSY && s_park (self, message))
        return;
    if (rc)
        zspool_service_refuse (self, message, rc, message->command.as.commit.number, NULL);
}

//  Try again what waits: those that still must stay in their order.
void
zspool_service_serve_parked (zspool_service_t *self)
{
    self->unpark = false;
    for (zspool_parked_t **at = &self->parked; *at;) {
        zspool_parked_t *parked = *at;
        zspool_service_message_t *message = &parked->message;
        message->session = zspool_sessions_by_id (self->sessions, parked->session);
        int rc = message->session? zspool_intake_commit (self->intake, message->session,
                                                          &message->command, &message->frames [1]):
                                   ZSPOOL_OK;
        if (rc == ZSPOOL_EBUSY) {
            at = &parked->next;
            continue;
        }
        self->fatal = false;
        if (rc)
            zspool_service_refuse (self, message, rc, message->command.as.commit.number, NULL);
        zspool_session_t *session = message->session;
        s_unpark (self, at);
        if (self->fatal && session) {
            self->unpark = true; //  ending it changes the list
            zspool_service_end_session (self, session);
            break;
        }
    }
}
