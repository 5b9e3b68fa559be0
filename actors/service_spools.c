//  service_spools.c - clients open spools, ask what a service has, and administer it
//
//  SPDX-License-Identifier: MPL-2.0

#include "service_parts.h"
#include "request.h"

#include <stdlib.h>
#include <string.h>

//  ------------------------------------------------------------------------------------------------
//  Spools

static bool
s_is_allowed (zspool_service_t *self, const char *name)
{
    bool allowed = !self->allowed;
    for (char *at = self->allowed? (char *) zlist_first (self->allowed): NULL; at && !allowed;
         at = (char *) zlist_next (self->allowed))
        allowed = streq (at, name);
    return allowed;
}

//  The client has a spool open now.
void
zspool_service_opened (zspool_service_t *self, zspool_session_t *session, uint32_t request,
                       uint32_t spool, uint64_t last_sequence)
{
    if (!zspool_session_has_spool (session, spool))
        session->spools [session->spools_count++] = spool;
    zsp_t opened = { .command = ZSP_OPENED, .request = request };
    opened.as.opened.spool = spool;
    opened.as.opened.last_sequence = last_sequence;
    zspool_post_command (self->socket, session, &opened, NULL);
}

void
zspool_service_do_open (zspool_service_t *self, zspool_service_message_t *message)
{
    char name [ZSPOOL_NAME_MAX + 1];
    zsp_text_copy (name, sizeof name, message->command.as.open.spool);
    if (!s_is_allowed (self, name)) {
        zspool_service_refuse (self, message, ZSPOOL_EACCES, 0,
                               "the service does not give this spool");
        return;
    }
    const zspool_shelf_t *shelf = zspool_catalog_shelf_named (self->catalog, name);
    bool again = shelf && zspool_session_has_spool (message->session, shelf->spool);
    if (!again
        && message->session->spools_count + message->session->jobs >= ZSPOOL_SESSION_SPOOLS_MAX) {
        zspool_service_refuse (self, message, ZSPOOL_ELIMIT, 0, "too many spools");
        return;
    }
    if (shelf) {
        zspool_service_opened (self, message->session, message->command.request, shelf->spool,
                               shelf->newest);
        return;
    }
    zspool_store_job_t *job = zspool_service_new_job (self, message, ZSPOOL_JOB_OPEN_SPOOL);
    if (!job)
        return;
    strcpy (job->name, name);
    job->create = message->command.flags & ZSP_FLAG_CREATE;
    zspool_service_hand_job (self, message->session, job);
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
s_send_values (zspool_service_t *self, zspool_session_t *session, uint32_t request, uint8_t about,
               zlist_t *texts)
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
    if (zspool_post_command (self->socket, session, &values, &lists) == ZSPOOL_ENOMEM)
        zspool_post_error (self->socket, session, request, about, ZSPOOL_ENOMEM, 0,
                           "earlier answers were not taken yet", false);
    free (pairs);
}

//  Names and values of the service, as STATUS has them: added to a reply.
void
zspool_service_add_status (zspool_service_t *self, zmsg_t *reply)
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

void
zspool_service_do_status (zspool_service_t *self, zspool_service_message_t *message)
{
    zmsg_t *reply = zmsg_new ();
    zmsg_addstr (reply, "state");
    zmsg_addstr (reply, self->stopping? "stopping": "running");
    zmsg_addstr (reply, "device/name");
    zmsg_addstr (reply, self->options.name);
    zspool_service_add_status (self, reply);
    zlist_t *texts = zlist_new ();
    zlist_autofree (texts);
    char *text;
    while ((text = zmsg_popstr (reply))) {
        zlist_append (texts, text);
        zstr_free (&text);
    }
    s_send_values (self, message->session, message->command.request, ZSP_STATUS, texts);
    zlist_destroy (&texts);
    zmsg_destroy (&reply);
}

void
zspool_service_do_list (zspool_service_t *self, zspool_service_message_t *message)
{
    uint32_t spool = message->command.as.list.spool;
    if (spool && !zspool_session_has_spool (message->session, spool)) {
        zspool_service_refuse (self, message, ZSPOOL_ENOENT, 0, "no such spool is open");
        return;
    }
    zspool_store_job_t *job = zspool_service_new_job (self, message, ZSPOOL_JOB_LIST);
    if (!job)
        return;
    job->spool = spool;
    zspool_service_hand_job (self, message->session, job);
}

void
zspool_service_listed (zspool_service_t *self, zspool_session_t *session, zspool_store_job_t *job)
{
    zlist_t *texts = zlist_new ();
    for (size_t index = 0; index + 1 < job->values_count; index += 2)
        if (job->spool || s_is_allowed (self, job->values [index]))
            s_add_pair (texts, job->values [index], job->values [index + 1]);
    s_send_values (self, session, job->request, ZSP_LIST, texts);
    zlist_destroy (&texts);
}

//  Whether clients may administer; if not, that was told.
static bool
s_may_administer (zspool_service_t *self, zspool_service_message_t *message, uint32_t spool)
{
    if (!self->options.service_admin)
        zspool_service_refuse (self, message, ZSPOOL_EACCES, 0,
                               "the service does not let clients administer");
    else if (!zspool_session_has_spool (message->session, spool))
        zspool_service_refuse (self, message, ZSPOOL_ENOENT, 0, "no such spool is open");
    else
        return true;
    return false;
}

void
zspool_service_do_purge (zspool_service_t *self, zspool_service_message_t *message)
{
    uint32_t spool = message->command.as.purge.spool;
    zspool_store_job_t *job = s_may_administer (self, message, spool)?
                                   zspool_service_new_job (self, message, ZSPOOL_JOB_PURGE):
                                   NULL;
    if (!job)
        return;
    job->spool = spool;
    job->sequence = message->command.as.purge.sequence;
    zspool_service_hand_job (self, message->session, job);
}

void
zspool_service_do_delete_cursor (zspool_service_t *self, zspool_service_message_t *message)
{
    uint32_t spool = message->command.as.delete_cursor.spool;
    if (!s_may_administer (self, message, spool))
        return;
    char name [ZSPOOL_NAME_MAX + 1];
    zsp_text_copy (name, sizeof name, message->command.as.delete_cursor.cursor);
    if (zspool_catalog_is_used (self->catalog, spool, name)) {
        zspool_service_refuse (self, message, ZSPOOL_EBUSY, 0, "the cursor is in use");
        return;
    }
    zspool_store_job_t *job = zspool_service_new_job (self, message, ZSPOOL_JOB_DELETE_CURSOR);
    if (!job)
        return;
    job->spool = spool;
    strcpy (job->name, name);
    zspool_service_hand_job (self, message->session, job);
}
