//  mover.c - what is to be moved between the spools of a writer's store
//
//  SPDX-License-Identifier: MPL-2.0

#include "mover.h"
#include "handoff.h"
#include "request.h"

static zspool_job_t *
s_front (zspool_mover_t *self)
{
    return &self->jobs [self->first];
}

static void
s_drop_front (zspool_mover_t *self)
{
    zspool_move_destroy (&s_front (self)->move);
    self->first = (self->first + 1) % ZSPOOL_MOVER_JOBS_MAX;
    self->count--;
}

void
zspool_mover_destroy (zspool_mover_t *self)
{
    while (self->count > 0)
        s_drop_front (self);
}

static zspool_job_t *
s_add (zspool_mover_t *self)
{
    assert (self->count < ZSPOOL_MOVER_JOBS_MAX);
    zspool_job_t *job = &self->jobs [(self->first + self->count++) % ZSPOOL_MOVER_JOBS_MAX];
    memset (job, 0, sizeof *job);
    return job;
}

void
zspool_mover_bury (zspool_mover_t *self, void *outlet, zspool_move_t *move)
{
    zspool_job_t *job = s_add (self);
    job->outlet = outlet;
    job->move = move;
}

//  Answer a request.
static void
s_reply (zspool_mover_t *self, const zspool_job_t *job, int code, uint64_t count, uint64_t next)
{
    zmsg_t *reply = zspool_reply_new (job->number, code);
    if (code)
        zmsg_addstr (reply, zspool_strerror (code));
    else {
        uint64_t next_letter = 1;
        int64_t stored_us;
        zspool_store_numbering (self->store, job->move->from, &next_letter, &stored_us);
        zmsg_addstrf (reply, "%llu", (unsigned long long) count);
        zmsg_addstrf (reply, "%llu", (unsigned long long) next);
        zmsg_addstr (reply, job->damaged? "1": "0");
        zmsg_addstrf (reply, "%llu", (unsigned long long) next_letter - 1);
    }
    zmsg_send (&reply, self->pipe);
}

void
zspool_mover_ask (zspool_mover_t *self, uint64_t number, bool requeue, zmsg_t *arguments)
{
    zspool_job_t asked = { .number = number, .requeue = requeue };
    char *name = zmsg_popstr (arguments);
    int rc = name && strlen (name) <= ZSPOOL_NAME_MAX? ZSPOOL_OK: ZSPOOL_EINVAL;
    if (rc == ZSPOOL_OK)
        strcpy (asked.name, name);
    zstr_free (&name);
    asked.first = zspool_request_pop_number (arguments);
    asked.last = zspool_request_pop_number (arguments);
    if (rc == ZSPOOL_OK && (asked.first == 0 || asked.first > asked.last))
        rc = ZSPOOL_EINVAL;
    //  Half of the room is for outlets.
    if (rc == ZSPOOL_OK && self->count >= ZSPOOL_MOVER_JOBS_MAX / 2)
        rc = ZSPOOL_ELIMIT;
    if (rc)
        s_reply (self, &asked, rc, 0, 0);
    else
        *s_add (self) = asked;
}

//  Prepare the move that a request asks for.
static int
s_prepare (zspool_mover_t *self, zspool_job_t *job)
{
    zspool_dead_t *dead = zspool_dead_new (self->store, job->name);
    if (!dead)
        return ZSPOOL_ENOENT;
    int rc = zspool_dead_gather (dead, job->first, job->last, job->requeue, &job->move, &job->damaged);
    zspool_dead_destroy (&dead);
    if (rc == ZSPOOL_OK && job->requeue)
        rc = zspool_store_spool (self->store, job->name, &job->move->to);
    return rc;
}

zspool_move_t *
zspool_mover_front (zspool_mover_t *self)
{
    while (self->count > 0 && !s_front (self)->move) {
        zspool_job_t *job = s_front (self);
        int rc = s_prepare (self, job);
        if (rc == ZSPOOL_OK)
            break;
        s_reply (self, job, rc == ZSPOOL_ENOENT && job->damaged? ZSPOOL_ECORRUPT: rc, 0, 0);
        s_drop_front (self);
    }
    return self->count > 0? s_front (self)->move: NULL;
}

void
zspool_mover_done (zspool_mover_t *self)
{
    zspool_job_t *job = s_front (self);
    zspool_move_t *move = job->move;
    if (job->outlet) {
        if (zspool_handoff_send (job->outlet, HANDOFF_BURIED, move, (uint64_t) -move->rc) == 0)
            job->move = NULL;
    }
    else {
        uint64_t last = move->sequences [move->count - 1];
        s_reply (self, job, move->rc, move->count, last < job->last? last + 1: 0);
    }
    s_drop_front (self);
}

void
zspool_mover_fail (zspool_mover_t *self)
{
    for (; self->count > 0; s_drop_front (self))
        if (!s_front (self)->outlet)
            s_reply (self, s_front (self), ZSPOOL_EFAILED, 0, 0);
}
