//  test_job.c - tests of what the service has done to a store
//
//  SPDX-License-Identifier: MPL-2.0

#include "job.h"
#include "kit.h"

static const zspool_spool_defaults_t s_defaults = {
    { ZSPOOL_KEEP_UNLIMITED, ZSPOOL_KEEP_UNLIMITED, 10, true }, 2 * 1024 * 1024, ZSPOOL_ON_FULL_PAUSE, 0
};

//  Have a job done in a transaction of its own.
static int
s_do (zspool_store_t *store, zspool_store_job_t *job)
{
    job->defaults = &s_defaults;
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_job_run (job, store));
    CHECK_OK (zspool_store_commit (store));
    zspool_job_finish (job, store);
    return job->rc;
}

static zspool_store_job_t *
s_new (zspool_job_kind_t kind, const char *name)
{
    zspool_store_job_t *job = zspool_job_new (kind);
    CHECK (job);
    strcpy (job->name, name);
    job->create = true;
    job->start.kind = ZSPOOL_FROM_FIRST;
    return job;
}

TEST (test_job_opens_a_spool_with_what_it_is_to_keep)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    zspool_store_job_t *job = s_new (ZSPOOL_JOB_OPEN_SPOOL, "new");
    job->create = false;
    CHECK_CODE (s_do (store, job), ZSPOOL_ENOENT);
    CHECK_CODE (zspool_store_spool (store, "new", &job->spool), ZSPOOL_ENOENT);
    job->create = true;
    CHECK_OK (s_do (store, job));
    CHECK (job->reader);
    zspool_retention_t retention;
    CHECK_OK (zspool_store_retention (store, job->spool, &retention));
    CHECK_EQ_U64 (retention.messages, 10);
    zspool_job_destroy (&job);
    job = s_new (ZSPOOL_JOB_OPEN_SPOOL, "not/a name");
    CHECK_CODE (s_do (store, job), ZSPOOL_EINVAL);
    zspool_job_destroy (&job);
    zspool_store_destroy (&store);
}

TEST (test_job_opens_a_producer_anew_and_fences_the_one_before)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    for (uint32_t epoch = 1; epoch < 4; epoch++) {
        zspool_store_job_t *job = s_new (ZSPOOL_JOB_OPEN_PRODUCER, "me");
        CHECK_OK (s_do (store, job));
        CHECK_EQ_U64 (job->epoch, epoch);
        CHECK_EQ_U64 (job->last, 0);
        zspool_job_destroy (&job);
    }
    zspool_store_job_t *job = s_new (ZSPOOL_JOB_OPEN_PRODUCER, "me");
    job->epoch = 2;
    CHECK_CODE (s_do (store, job), ZSPOOL_EFENCED);
    job->epoch = 3;
    CHECK_OK (s_do (store, job));
    zspool_job_destroy (&job);
    zspool_store_destroy (&store);
}

TEST (test_job_opens_moves_and_deletes_a_cursor)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    kit_append (store, spool, 10, 100);
    zspool_store_job_t *job = s_new (ZSPOOL_JOB_OPEN_CURSOR, "mine");
    job->spool = spool;
    CHECK_OK (s_do (store, job));
    CHECK_EQ_U64 (job->floor, 0);
    CHECK_EQ_U64 (job->generation, 1);
    CHECK (job->tracker);
    uint32_t cursor = job->cursor;
    zspool_job_destroy (&job);
    job = s_new (ZSPOOL_JOB_SEEK, "");
    job->spool = spool;
    job->cursor = cursor;
    job->start = (zspool_start_t){ ZSPOOL_FROM_SEQUENCE, 5, 0 };
    CHECK_OK (s_do (store, job));
    CHECK_EQ_U64 (job->floor, 4);
    CHECK_EQ_U64 (job->generation, 2);
    zspool_job_destroy (&job);
    job = s_new (ZSPOOL_JOB_LIST, "");
    job->spool = spool;
    CHECK_OK (s_do (store, job));
    CHECK_EQ_U64 (job->values_count, 2);
    CHECK_EQ_STR (job->values [0], "mine");
    CHECK_EQ_STR (job->values [1], "generation=2 floor=4 sent_to=4 pending=6 in_flight=0 lagged=0");
    zspool_job_destroy (&job);
    for (int round = 0; round < 2; round++) {
        job = s_new (ZSPOOL_JOB_DELETE_CURSOR, "mine");
        job->spool = spool;
        CHECK_CODE (s_do (store, job), round? ZSPOOL_ENOENT: ZSPOOL_OK);
        zspool_job_destroy (&job);
    }
    zspool_store_destroy (&store);
}
