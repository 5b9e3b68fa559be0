//  seeker.c - cursors of a writer's store that somebody wants moved or deleted, one at a time
//
//  SPDX-License-Identifier: MPL-2.0

#include "seeker.h"
#include "request.h"

#include <stdlib.h>
#include <string.h>

static zspool_seeker_request_t *
s_front (zspool_seeker_t *self)
{
    return &self->requests [self->first];
}

static void
s_drop_front (zspool_seeker_t *self)
{
    free (s_front (self)->job.seek);
    self->first = (self->first + 1) % ZSPOOL_SEEKER_REQUESTS_MAX;
    self->count--;
}

//  Answer a request.
static void
s_reply (zspool_seeker_t *self, uint64_t number, int code, const char *text)
{
    zmsg_t *reply = zspool_reply_new (number, code);
    zmsg_addstr (reply, text? text: code? zspool_strerror (code): "");
    zmsg_send (&reply, self->pipe);
}

//  Take the next frame as a name. False when it is too long, or there is none.
static bool
s_pop_name (zmsg_t *arguments, char name [ZSPOOL_NAME_MAX + 1])
{
    char *text = zmsg_popstr (arguments);
    bool valid = text && strlen (text) <= ZSPOOL_NAME_MAX;
    if (valid)
        strcpy (name, text);
    zstr_free (&text);
    return valid;
}

void
zspool_seeker_ask (zspool_seeker_t *self, uint64_t number, bool deletes, zmsg_t *arguments)
{
    zspool_seeker_request_t asked = { .number = number, .job = { .deletes = deletes } };
    bool valid = s_pop_name (arguments, asked.spool) && s_pop_name (arguments, asked.cursor);
    char *start = deletes? NULL: zmsg_popstr (arguments);
    valid = valid && (deletes || (start && zspool_start_parse (&asked.job.start, start) == ZSPOOL_OK));
    zstr_free (&start);
    if (!valid || self->count == ZSPOOL_SEEKER_REQUESTS_MAX)
        s_reply (self, number, valid? ZSPOOL_ELIMIT: ZSPOOL_EINVAL, NULL);
    else
        self->requests [(self->first + self->count++) % ZSPOOL_SEEKER_REQUESTS_MAX] = asked;
}

//  Find the cursor that a request means.
static int
s_prepare (zspool_seeker_t *self, zspool_seeker_request_t *request)
{
    zspool_cursor_job_t *job = &request->job;
    int rc = zspool_store_spool (self->store, request->spool, &job->spool);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_cursor (self->store, job->spool, request->cursor, ZSPOOL_START_NEW, &job->cursor);
    if (rc) {
        s_reply (self, request->number, rc, zspool_store_reason (self->store));
        return rc;
    }
    if (job->deletes && self->is_used (self->arg, job->spool, job->cursor)) {
        s_reply (self, request->number, ZSPOOL_EBUSY, "the device delivers through this cursor");
        return ZSPOOL_EBUSY;
    }
    //  Once it was moved its outlet must be told, whatever comes.
    job->seek = (zspool_seek_t *) malloc (sizeof *job->seek);
    if (!job->seek)
        s_reply (self, request->number, ZSPOOL_ENOMEM, NULL);
    return job->seek? ZSPOOL_OK: ZSPOOL_ENOMEM;
}

zspool_cursor_job_t *
zspool_seeker_front (zspool_seeker_t *self)
{
    while (self->count > 0 && !s_front (self)->job.seek && s_prepare (self, s_front (self)))
        s_drop_front (self);
    return self->count > 0? &s_front (self)->job: NULL;
}

void
zspool_seeker_done (zspool_seeker_t *self)
{
    s_reply (self, s_front (self)->number, s_front (self)->job.rc, NULL);
    s_drop_front (self);
}

void
zspool_seeker_fail (zspool_seeker_t *self)
{
    for (; self->count > 0; s_drop_front (self))
        s_reply (self, s_front (self)->number, ZSPOOL_EFAILED, NULL);
}
