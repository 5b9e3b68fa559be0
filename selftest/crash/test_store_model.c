//  test_store_model.c - random work on a store, compared with a simple model; killed, too
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/fault.h"
#include "crash/model.h"

static void
s_setup (model_worker_t *worker)
{
    worker->directory = KIT_STORE;
    worker->chance = kit_chance_new ();
    worker->ledger = model_ledger_new ();
    worker->window = kit_below (&worker->chance, 2)? MODEL_WINDOW: 0;
    CHECK_OK (model_open (worker));
}

static void
s_print (const model_worker_t *worker)
{
    printf ("%" PRIu64 " steps, %" PRIu64 " commits\n", worker->ledger->steps,
            worker->ledger->commits);
}

TEST (test_store_model_random_work_has_the_results_of_the_model)
{
    static model_worker_t worker;
    s_setup (&worker);
    model_work (&worker, 1500);
    model_close (&worker);
    CHECK_OK (model_open (&worker));
    model_check_all (worker.store, &worker.ledger->committed);
    model_close (&worker);
    s_print (&worker);
}

TEST (test_store_model_random_work_at_a_limit_drops_what_it_counts)
{
    static model_worker_t worker;
    worker.limit_bytes = ZSPOOL_LIMIT_BYTES_MIN;
    s_setup (&worker);
    model_work (&worker, 1500);
    s_print (&worker);
    zspool_cursor_info_t cursor;
    CHECK_OK (zspool_store_cursor_info (worker.store, 2, 0, &cursor));
    printf ("%" PRIu64 " messages were dropped\n", cursor.lagged);
    CHECK (cursor.lagged > 0);
    model_close (&worker);
}

//  ---- killed

//  Work in a process that is killed in the midst of one of its calls that write, or just behind it.
static void
s_work_to_death (void *arg)
{
    model_worker_t *self = (model_worker_t *) arg;
    static const fault_kind_t kinds [] = { FAULT_WRITE, FAULT_WRITE, FAULT_SYNC };
    unsigned after = (unsigned) kit_below (&self->chance, 100);
    fault_watch (KIT_STORE);
    fault_fail (kinds [kit_below (&self->chance, 3)], after, 1,
                kit_below (&self->chance, 2)? FAULT_KILL: FAULT_KILL_AFTER, 0);
    CHECK_OK (model_open (self));
    model_work (self, 1000000);
}

//  Work in a process until the time comes.
static void
s_work_on (void *arg)
{
    model_worker_t *self = (model_worker_t *) arg;
    CHECK_OK (model_open (self));
    model_work (self, 1000000);
}

static void
s_settle (model_ledger_t *ledger)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    model_settle (ledger, store);
    zspool_store_destroy (&store);
}

static void
s_kill_at_any_call (uint64_t limit_bytes)
{
    static model_worker_t worker;
    worker.limit_bytes = limit_bytes;
    s_setup (&worker);
    model_transact (&worker);
    model_close (&worker);
    for (int round = 0; round < (SELFTEST_TSAN? 10: 50); round++) {
        kit_random (&worker.chance);
        CHECK_EQ_I64 (kit_run (s_work_to_death, &worker), -SIGKILL);
        s_settle (worker.ledger);
    }
    s_print (&worker);
}

TEST (test_store_model_killed_at_any_call_has_all_that_was_committed)
{
    s_kill_at_any_call (0);
}

TEST (test_store_model_killed_at_any_call_at_a_limit_has_all_but_what_it_dropped)
{
    s_kill_at_any_call (ZSPOOL_LIMIT_BYTES_MIN);
}

TEST (test_store_model_killed_at_any_time_has_all_that_was_committed)
{
    static model_worker_t worker;
    s_setup (&worker);
    model_transact (&worker);
    model_close (&worker);
    for (int round = 0; round < (SELFTEST_TSAN? 10: 30); round++) {
        kit_random (&worker.chance);
        pid_t pid = kit_fork (s_work_on, &worker);
        usleep ((useconds_t) kit_below (&worker.chance, 60000));
        kill (pid, SIGKILL);
        CHECK_EQ_I64 (kit_wait (pid), -SIGKILL);
        s_settle (worker.ledger);
    }
    s_print (&worker);
}
