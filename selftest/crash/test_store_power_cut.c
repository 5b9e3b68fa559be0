//  test_store_power_cut.c - a store after a power cut: any part of what was not synced is gone
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The calls that change the disk are recorded while a store is worked on. Then, for each of them,
//  disks are made as they may be when power is lost just then. SELFTEST_SEED repeats a run,
//  SELFTEST_DISK one disk of it.

#include "crash/cut.h"
#include "crash/fault.h"

//  By hand, or from run.sh: makes each test so many times longer
static unsigned
s_long (void)
{
    const char *text = getenv ("ZSPOOL_LONG");
    unsigned factor = text? (unsigned) strtoul (text, NULL, 10): 1;
    return factor? factor: 1;
}

static void
s_setup (model_worker_t *worker, uint64_t window)
{
    worker->directory = KIT_STORE;
    worker->chance = kit_chance_new ();
    worker->ledger = model_ledger_new ();
    worker->window = window;
    worker->recording = recording_new ();
    worker->message_bytes_max = 5000;
    CHECK (worker->recording);
    fault_skip_syncs ();
    fault_watch (KIT_STORE);
    fault_record (worker->recording);
}

//  Nothing was written that is not recorded; then every disk.
static void
s_check (model_worker_t *worker, unsigned disks, unsigned cuts_max)
{
    char *root = disk_path (KIT_STORE);
    printf ("%zu calls recorded\n", disk_check_recording (worker->recording, root));
    free (root);
    cut_plan_t plan = cut_plan_new (&worker->chance, disks, cuts_max);
    cut_check (worker->recording, &plan);
}

static void
s_cut_at_any_call (uint64_t window)
{
    static model_worker_t worker;
    s_setup (&worker, window);
    CHECK_OK (model_open (&worker));
    model_work (&worker, 25 * s_long ());
    model_close (&worker);
    CHECK_OK (model_open (&worker));
    model_work (&worker, 5);
    model_close (&worker);
    s_check (&worker, 2 * s_long (), 0);
}

TEST_WITH_LIMIT (test_store_power_cut_at_any_call_leaves_what_was_confirmed, 600)
{
    s_cut_at_any_call (0);
}

TEST_WITH_LIMIT (test_store_power_cut_under_async_gives_no_number_twice, 600)
{
    s_cut_at_any_call (MODEL_WINDOW);
}

TEST_WITH_LIMIT (test_store_power_cut_while_it_is_created_leaves_a_store_or_none, 600)
{
    static model_worker_t worker;
    s_setup (&worker, 0);
    CHECK_OK (model_open (&worker));
    model_close (&worker);
    s_check (&worker, 15 * s_long (), 0);
}

//  ---- killed first

//  Work in a process that is killed in or behind one of its calls: what it wrote is in the page
//  cache only.
static void
s_work_to_death (void *arg)
{
    model_worker_t *self = (model_worker_t *) arg;
    static const fault_kind_t kinds [] = { FAULT_WRITE, FAULT_WRITE, FAULT_SYNC };
    fault_kind_t kind = kinds [kit_below (&self->chance, 3)];
    fault_fail (kind, (unsigned) kit_below (&self->chance, 30), 1,
                kit_below (&self->chance, 3)? FAULT_KILL_AFTER: FAULT_KILL, 0);
    CHECK_OK (model_open (self));
    model_work (self, 1000000);
}

TEST_WITH_LIMIT (test_store_power_cut_after_kills_leaves_what_was_shown, 600)
{
    static model_worker_t worker;
    s_setup (&worker, 0);
    for (unsigned round = 0; round < 6 * s_long (); round++) {
        kit_random (&worker.chance);
        CHECK_EQ_I64 (kit_run (s_work_to_death, &worker), -SIGKILL);
    }
    CHECK_OK (model_open (&worker));
    model_close (&worker);
    s_check (&worker, 1 + s_long (), 0);
}

//  One commit in a process that is killed right behind the n-th write from here, or not at all
typedef struct {
    model_worker_t *worker;
    unsigned writes;
} s_last_commit_t;

static void
s_commit_to_death (void *arg)
{
    s_last_commit_t *self = (s_last_commit_t *) arg;
    CHECK_OK (model_open (self->worker));
    fault_fail (FAULT_WRITE, self->writes, 1, FAULT_KILL_AFTER, 0);
    uint64_t before = self->worker->ledger->commits;
    while (self->worker->ledger->commits == before)
        model_transact (self->worker);
    _exit (0);
}

//  Killed behind each write of a commit, the last of which makes it valid, though none is synced
//  then. Whoever opens the store shows that commit, so it must not be gone when the power is, ever
//  after.
TEST_WITH_LIMIT (test_store_power_cut_after_a_kill_and_a_start_leaves_what_was_shown, 600)
{
    static model_worker_t worker;
    s_setup (&worker, 0);
    unsigned deaths = 0;
    for (unsigned round = 0; round < 3 * s_long (); round++)
        for (s_last_commit_t last = { &worker, 0 };; last.writes++) {
            int status = kit_run (s_commit_to_death, &last);
            kit_random (&worker.chance);
            CHECK_OK (model_open (&worker));
            model_close (&worker);
            if (status == 0)
                break;
            CHECK_EQ_I64 (status, -SIGKILL);
            deaths++;
        }
    printf ("%u deaths, %" PRIu64 " left a commit that was shown\n", deaths, worker.ledger->shown);
    CHECK (worker.ledger->shown > 0);
    s_check (&worker, 1 + s_long (), 0);
}

//  ---- a disk that failed before

//  A sync fails, or the write that makes a commit valid: what it was for may never reach the disk,
//  whatever is synced later, though all processes see it. Work goes on when the store was opened
//  again, and must be safe.
TEST_WITH_LIMIT (test_store_power_cut_after_failed_syncs_leaves_what_was_confirmed_since, 600)
{
    static model_worker_t worker;
    s_setup (&worker, 0);
    worker.may_fail = true;
    unsigned failures = 0;
    for (unsigned round = 0; round < 8 * s_long (); round++) {
        CHECK_OK (model_open (&worker));
        bool is_sync = kit_below (&worker.chance, 2);
        fault_fail (is_sync? FAULT_SYNC: FAULT_WRITE, (unsigned) kit_below (&worker.chance, 8), 1,
                    is_sync? FAULT_BEFORE: FAULT_AFTER, EIO);
        for (int turn = 0; turn < 8 && model_transact (&worker) != ZSPOOL_EFAILED; turn++)
            continue;
        failures += worker.store->failed;
        fault_fail (is_sync? FAULT_SYNC: FAULT_WRITE, 0, 0, FAULT_BEFORE, 0);
        model_close (&worker);
    }
    printf ("%u commits failed\n", failures);
    CHECK (failures > 0);
    worker.may_fail = false;
    CHECK_OK (model_open (&worker));
    model_work (&worker, 5);
    model_close (&worker);
    s_check (&worker, 1 + s_long (), 0);
}

//  ---- at a limit

TEST_WITH_LIMIT (test_store_power_cut_at_a_limit_leaves_all_but_what_was_dropped, 600)
{
    static model_worker_t worker;
    s_setup (&worker, 0);
    worker.limit_bytes = ZSPOOL_LIMIT_BYTES_MIN;
    worker.message_bytes_max = 0;
    CHECK_OK (model_open (&worker));
    model_work (&worker, 160 * s_long ());
    zspool_cursor_info_t cursor = { .lagged = 0 };
    if (zspool_store_cursor_info (worker.store, 2, 0, &cursor) == ZSPOOL_OK)
        printf ("%" PRIu64 " messages were dropped\n", cursor.lagged);
    model_close (&worker);
    s_check (&worker, 1, 120 * s_long ());
}
