//  test_planted.c - faults planted on purpose, each of which the tests of power cuts must find
//
//  SPDX-License-Identifier: MPL-2.0
//
//  No product code is changed: what the recorder tells, or what the test takes for confirmed, is
//  wrong.

#include "crash/cut.h"
#include "crash/fault.h"

#include <fcntl.h>

#define EXIT_FOUND 1                   //  how CHECK ends a process

static void
s_setup (model_worker_t *worker)
{
    worker->directory = KIT_STORE;
    worker->chance = kit_chance_new ();
    worker->ledger = model_ledger_new ();
    worker->recording = recording_new ();
    worker->message_bytes_max = 5000;
    CHECK (worker->recording);
    fault_skip_syncs ();
    fault_watch (KIT_STORE);
    fault_record (worker->recording);
}

static void
s_work (model_worker_t *worker)
{
    CHECK_OK (model_open (worker));
    model_work (worker, 30);
    model_close (worker);
}

//  In a process of its own, quietly: what it finds is expected.
static void
s_check_quietly (void *arg)
{
    model_worker_t *worker = (model_worker_t *) arg;
    int fd = open ("found", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK (fd != -1 && dup2 (fd, STDERR_FILENO) != -1);
    CHECK (freopen ("/dev/null", "w", stdout));
    cut_plan_t plan = { kit_random (&worker->chance), 2, 0, 0 };
    cut_check (worker->recording, &plan);
}

//  Check every disk: something is found, or nothing.
static void
s_expect (model_worker_t *worker, int status)
{
    CHECK_EQ_I64 (kit_run (s_check_quietly, worker), status);
    CHECK (system ("cat found") == 0);
}

static void
s_check_plant_is_found (fault_plant_t plant)
{
    static model_worker_t worker;
    s_setup (&worker);
    fault_plant (plant);
    s_work (&worker);
    s_expect (&worker, EXIT_FOUND);
}

TEST_WITH_LIMIT (test_planted_nothing_is_not_found, 300)
{
    static model_worker_t worker;
    s_setup (&worker);
    s_work (&worker);
    s_expect (&worker, 0);
}

TEST_WITH_LIMIT (test_planted_sync_left_out_is_found, 300)
{
    s_check_plant_is_found (PLANT_SYNC_LEFT_OUT);
}

TEST_WITH_LIMIT (test_planted_durable_write_that_is_not_is_found, 300)
{
    s_check_plant_is_found (PLANT_DSYNC_LEFT_OUT);
}

TEST_WITH_LIMIT (test_planted_directory_sync_left_out_is_found, 300)
{
    s_check_plant_is_found (PLANT_DIRECTORY_SYNC_LEFT_OUT);
}

TEST_WITH_LIMIT (test_planted_floors_written_before_their_blocks_are_found, 300)
{
    s_check_plant_is_found (PLANT_META_BEFORE_DATA);
}

TEST_WITH_LIMIT (test_planted_one_sync_left_out_is_found, 300)
{
    static model_worker_t worker;
    s_setup (&worker);
    CHECK_OK (model_open (&worker));
    model_work (&worker, 10);
    //  The next commit's, and no other: what follows a commit makes up for it only with the next
    //  sync.
    fault_fail (FAULT_SYNC, 0, 1, FAULT_LIE, 0);
    uint64_t commits = worker.ledger->commits;
    while (worker.ledger->commits == commits || fault_calls (FAULT_SYNC) == 0)
        model_transact (&worker);
    zspool_store_keep_ceilings (worker.store);
    model_close (&worker);
    s_expect (&worker, EXIT_FOUND);
}

TEST_WITH_LIMIT (test_planted_confirm_too_early_is_found, 300)
{
    static model_worker_t worker;
    s_setup (&worker);
    worker.plant = MODEL_CONFIRMS_EARLY;
    s_work (&worker);
    s_expect (&worker, EXIT_FOUND);
}

//  ---- a message moved from one spool to another: acknowledged here, stored there

#define MOVED 8

typedef struct {
    recording_t *recording;
    bool in_one_commit;                //  as it must be
    kit_chance_t chance;
} s_mover_t;

static void
s_move (zspool_store_t *store, const s_mover_t *self, uint64_t sequence)
{
    uint8_t bytes [100];
    zspool_frame_t frame = { bytes, sizeof bytes };
    kit_fill (bytes, sizeof bytes, sequence);
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_ack (store, 1, 1, sequence, sequence));
    if (!self->in_one_commit) {
        CHECK_OK (zspool_store_commit (store));
        CHECK_OK (zspool_store_begin (store));
    }
    CHECK_OK (zspool_store_put (store, 2, &frame, 1, NULL));
    CHECK_OK (zspool_store_commit (store));
}

static void
s_move_all (s_mover_t *self)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t from = kit_spool (store, "main"), to = kit_spool (store, "main.dead");
    CHECK (from == 1 && to == 2 && kit_cursor (store, from, "main", 1) == 1);
    kit_append (store, from, MOVED, 100);
    recording_add (self->recording, RECORD_NOTE, MODEL_CONFIRMED, "", NULL, 0);
    for (uint64_t sequence = 1; sequence <= MOVED; sequence++)
        s_move (store, self, sequence);
    zspool_store_destroy (&store);
}

//  Each message must be in one of the two spools.
static void
s_check_moved (void *arg)
{
    s_mover_t *self = (s_mover_t *) arg;
    char *root = disk_path (KIT_STORE);
    size_t count;
    disk_cut_t *cuts = disk_cuts (self->recording, &count);
    fault_record (NULL);
    for (size_t index = 0; index < count; index++) {
        if (!disk_last_note (self->recording, cuts [index].position, MODEL_CONFIRMED))
            continue;
        disk_remove ("cut");
        CHECK (disk_make (self->recording, cuts [index].position, root, "cut", &self->chance));
        zspool_store_t *store = kit_open ("cut", ZSPOOL_WRITE);
        uint64_t pending = kit_cursor_info (store, 1, 1).pending;
        CHECK_EQ_U64 (pending + kit_spool_info (store, 2).messages, MOVED);
        CHECK_EQ_U64 (kit_read (store, 2, 1), MOVED - pending);
        kit_check_sound (store);
        zspool_store_destroy (&store);
    }
    free (cuts);
    free (root);
}

static void
s_move_and_expect (bool in_one_commit, int status)
{
    s_mover_t self = { recording_new (), in_one_commit, kit_chance_new () };
    CHECK (self.recording);
    fault_skip_syncs ();
    fault_watch (KIT_STORE);
    fault_record (self.recording);
    s_move_all (&self);
    CHECK_EQ_I64 (kit_run (s_check_moved, &self), status);
}

TEST (test_planted_message_moved_in_one_commit_is_never_missing)
{
    s_move_and_expect (true, 0);
}

TEST (test_planted_message_acknowledged_before_it_is_moved_is_found)
{
    s_move_and_expect (false, EXIT_FOUND);
}
