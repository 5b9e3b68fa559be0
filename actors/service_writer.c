//  service_writer.c - what a service has the writer do, and what the writer tells it
//
//  SPDX-License-Identifier: MPL-2.0

#include "service_parts.h"
#include "writer.h"

//  Begin a job for a message's client. NULL: it was refused.
zspool_store_job_t *
zspool_service_new_job (zspool_service_t *self, const zspool_service_message_t *message,
                        zspool_job_kind_t kind)
{
    if (message->session->jobs == ZSPOOL_SESSION_JOBS_MAX) {
        zspool_service_refuse (self, message, ZSPOOL_ELIMIT, 0, "too many requests at a time");
        return NULL;
    }
    zspool_store_job_t *job = zspool_job_new (kind);
    if (!job) {
        zspool_service_refuse (self, message, ZSPOOL_ENOMEM, 0, NULL);
        return NULL;
    }
    job->session = message->session->id;
    job->request = message->command.request;
    return job;
}

void
zspool_service_hand_job (zspool_service_t *self, zspool_session_t *session, zspool_store_job_t *job)
{
    if (session)
        session->jobs++;
    zspool_catalog_hand_job (self->catalog, job);
}

static void
s_job_done (zspool_service_t *self, zspool_store_job_t *job)
{
    zspool_session_t *session =
        job->session? zspool_sessions_by_id (self->sessions, job->session): NULL;
    if (session)
        session->jobs--;
    uint32_t spool = job->spool;
    uint64_t newest = 0;
    if (job->kind == ZSPOOL_JOB_DELETE_CURSOR && job->rc == ZSPOOL_OK)
        zspool_service_cursor_deleted (self, spool, job->cursor);
    zspool_catalog_job_done (self->catalog, job, &newest);
    if (job->kind == ZSPOOL_JOB_SYNC && !job->session)
        self->stop_synced = true;
    if (!session || job->kind == ZSPOOL_JOB_OPEN_DEAD)
        return;
    if (job->kind == ZSPOOL_JOB_OPEN_CURSOR) {
        zspool_service_subscribed (self, session, job);
        return;
    }
    if (job->kind == ZSPOOL_JOB_SYNC) {
        //  They come back in the order they were handed in.
        zspool_flush_t *flush = session->flushes;
        while (flush && flush->job_done)
            flush = flush->next;
        if (flush)
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
        if (job->kind == ZSPOOL_JOB_OPEN_PRODUCER)
            session->produces = false;
        bool fatal = job->rc == ZSPOOL_EFENCED;
        zspool_post_error (self->socket, session, job->request, about [job->kind], job->rc, 0,
                           zspool_strerror (job->rc), fatal);
        if (fatal)
            zspool_service_end_session (self, session);
        return;
    }
    switch (job->kind) {
    case ZSPOOL_JOB_OPEN_SPOOL:
        zspool_service_opened (self, session, job->request, spool, newest);
        break;
    case ZSPOOL_JOB_OPEN_PRODUCER: zspool_service_produced (self, session, job); break;
    case ZSPOOL_JOB_LIST: zspool_service_listed (self, session, job); break;
    case ZSPOOL_JOB_SEEK: {
        const zspool_subscription_t *subscription =
            zspool_session_subscription_by_id (session, job->subscription);
        if (subscription)
            zspool_service_tell_subscribed (self, subscription, job->request, job->generation,
                                            job->floor);
        break;
    }
    default: zspool_service_done (self, session, job->request, 0);
    }
}

//  The store has failed: nothing more comes of what clients wait for.
static void
s_fail (zspool_service_t *self)
{
    zspool_session_t *session = NULL;
    self->failed = true;
    while ((session = zspool_sessions_next (self->sessions, session)) != NULL)
        zspool_post_error (self->socket, session, 0, 0, ZSPOOL_EFAILED, 0,
                           zspool_strerror (ZSPOOL_EFAILED), true);
}

void
zspool_service_handle_writer (zspool_service_t *self)
{
    zspool_handoff_t handoff;
    while (zspool_handoff_recv (zsock_resolve (self->writer), &handoff) == 0) {
        zspool_seek_t *seek = (zspool_seek_t *) handoff.pointer;
        switch (handoff.kind) {
        case HANDOFF_BLOCK:
            zspool_catalog_live (self->catalog, (uint32_t) handoff.number,
                                 (zspool_block_t *) handoff.pointer);
            break;
        case HANDOFF_STORED:
            zspool_catalog_stored (self->catalog, (uint32_t) handoff.number);
            break;
        case HANDOFF_BATCH:
            zspool_intake_ended (self->intake, (zspool_batch_t *) handoff.pointer,
                                 -(int) handoff.number, self->awake.now_ms);
            break;
        case HANDOFF_JOB: {
            zspool_store_job_t *job = (zspool_store_job_t *) handoff.pointer;
            s_job_done (self, job);
            zspool_catalog_drop_job (self->catalog, &job);
            break;
        }
        case HANDOFF_BURIED:
            zspool_catalog_buried (self->catalog, (zspool_move_t *) handoff.pointer,
                                   self->awake.now_ms);
            self->unpark = true;
            break;
        case HANDOFF_DROPPED:
            zspool_catalog_dropped (self->catalog, seek->spool, seek->floor);
            free (seek);
            break;
        case HANDOFF_SEEK: zspool_service_sought (self, seek); break;
        case HANDOFF_FAILED: s_fail (self); break;
        default: break;
        }
    }
}
