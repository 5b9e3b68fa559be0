//  test_commit.c - tests of one group commit
//
//  SPDX-License-Identifier: MPL-2.0

#include "commit.h"
#include "kit.h"

//  A store with two spools, each with a cursor and what follows it, and a commit being made
typedef struct {
    zspool_store_t *store;
    uint32_t spools [2];
    uint32_t cursors [2];
    uint64_t next [2];                 //  sequences of the blocks to come
    zspool_commit_t commit;
} s_setup_t;

static void
s_setup (s_setup_t *self)
{
    memset (self, 0, sizeof *self);
    self->store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    for (int index = 0; index < 2; index++) {
        self->spools [index] = kit_spool (self->store, index? "two": "one");
        self->cursors [index] = kit_cursor (self->store, self->spools [index], "main", 1);
        self->next [index] = 1;
    }
    //  What came of the last commit must not show in this one.
    self->commit.rc = -77;
    self->commit.full = ZSPOOL_ENOSPC;
    self->commit.changes_stored = 77;
}

static void
s_add_block (s_setup_t *self, int index, uint32_t count, size_t bytes)
{
    zspool_commit_unit_t *unit = &self->commit.units [self->commit.units_count++];
    unit->batch = NULL;
    unit->rc = -77;
    unit->block.spool = self->spools [index];
    unit->block.block = kit_block_new_stamped (self->next [index], count, bytes);
    self->next [index] += count;
}

//  Note that all messages up to sent_to were sent, and acknowledged up to floor.
static void
s_add_change (s_setup_t *self, int index, uint64_t floor, uint64_t sent_to)
{
    zspool_cursor_change_t *change = (zspool_cursor_change_t *) zmalloc (sizeof *change);
    change->spool = self->spools [index];
    change->cursor = self->cursors [index];
    change->generation = 1;
    change->floor = floor;
    change->sent_to = sent_to;
    self->commit.changes [self->commit.changes_count++] = change;
}

static size_t
s_count_stored (const zspool_commit_t *commit)
{
    size_t stored = 0;
    for (size_t index = 0; index < commit->units_count; index++)
        stored += commit->units [index].rc == ZSPOOL_OK;
    return stored;
}

static void
s_run (s_setup_t *self, int rc, bool disk_full, size_t blocks_stored, size_t changes_stored)
{
    zspool_commit_t *commit = &self->commit;
    zspool_commit_run (commit, self->store);
    CHECK_CODE (commit->rc, rc);
    CHECK_CODE (commit->full, disk_full? ZSPOOL_ENOSPC: 0);
    if (rc == ZSPOOL_OK)
        CHECK_EQ_U64 (s_count_stored (commit), blocks_stored);
    CHECK_EQ_U64 (commit->changes_stored, changes_stored);
    CHECK (commit->commit_us >= 0);
    while (commit->units_count > 0)
        zspool_block_destroy (&commit->units [--commit->units_count].block.block);
    while (commit->changes_count > 0)
        free (commit->changes [--commit->changes_count]);
}

static void
s_done (s_setup_t *self)
{
    kit_check_sound (self->store);
    zspool_store_destroy (&self->store);
}

TEST (test_commit_of_nothing_succeeds)
{
    s_setup_t self;
    s_setup (&self);
    s_run (&self, ZSPOOL_OK, false, 0, 0);
    s_done (&self);
}

TEST (test_commit_stores_blocks_and_changes)
{
    s_setup_t self;
    s_setup (&self);
    s_add_block (&self, 0, 10, 100);
    s_add_block (&self, 1, 5, 100);
    s_add_block (&self, 0, 10, 100);
    s_add_change (&self, 0, 3, 15);
    s_add_change (&self, 1, 5, 5);
    s_run (&self, ZSPOOL_OK, false, 3, 2);
    CHECK_EQ_U64 (kit_read (self.store, self.spools [0], 1), 20);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spools [1]).messages, 0);
    zspool_cursor_info_t info = kit_cursor_info (self.store, self.spools [0], self.cursors [0]);
    CHECK_EQ_U64 (info.floor, 3);
    CHECK_EQ_U64 (info.sent_to, 15);
    s_done (&self);
}

TEST (test_commit_of_most_blocks_and_changes_succeeds)
{
    s_setup_t self;
    s_setup (&self);
    for (uint64_t index = 0; index < ZSPOOL_COMMIT_UNITS_MAX; index++)
        s_add_block (&self, index % 2, 1, 50000);
    for (uint64_t index = 0; index < ZSPOOL_COMMIT_CHANGES_MAX; index++)
        s_add_change (&self, index % 2, index / 8, index / 4 + 1);
    s_run (&self, ZSPOOL_OK, false, ZSPOOL_COMMIT_UNITS_MAX, ZSPOOL_COMMIT_CHANGES_MAX);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spools [0], self.cursors [0]).floor, 31);
    s_done (&self);
}

TEST (test_commit_with_a_wrong_block_stores_nothing)
{
    s_setup_t self;
    s_setup (&self);
    s_add_block (&self, 0, 10, 100);
    self.next [0]++;
    s_add_block (&self, 0, 10, 100);
    s_add_change (&self, 0, 5, 5);
    s_run (&self, ZSPOOL_EINVAL, false, 0, 0);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spools [0]).messages, 0);
    self.next [0] = 1;
    s_add_block (&self, 0, 10, 100);
    s_run (&self, ZSPOOL_OK, false, 1, 0);
    s_done (&self);
}

TEST (test_commit_with_a_wrong_change_stores_nothing)
{
    s_setup_t self;
    s_setup (&self);
    s_add_block (&self, 0, 10, 100);
    s_add_change (&self, 0, 6, 5);
    s_run (&self, ZSPOOL_EINVAL, false, 0, 0);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spools [0]).messages, 0);
    s_done (&self);
}

TEST (test_commit_in_an_open_transaction_gives_einval)
{
    s_setup_t self;
    s_setup (&self);
    CHECK_OK (zspool_store_begin (self.store));
    s_add_block (&self, 0, 10, 100);
    s_run (&self, ZSPOOL_EINVAL, false, 0, 0);
    zspool_store_rollback (self.store);
    s_done (&self);
}

//  A change that is ahead of the store (under async) is stored as far as that goes, and must be
//  again.
TEST (test_commit_of_a_change_ahead_of_the_store_keeps_it_waiting)
{
    s_setup_t self;
    s_setup (&self);
    s_add_block (&self, 0, 10, 100);
    s_add_change (&self, 0, 2, 4);
    s_add_change (&self, 0, 12, 20);
    s_add_change (&self, 1, 0, 0);
    s_run (&self, ZSPOOL_OK, false, 1, 1);
    zspool_cursor_info_t info = kit_cursor_info (self.store, self.spools [0], self.cursors [0]);
    CHECK_EQ_U64 (info.floor, 10);
    CHECK_EQ_U64 (info.sent_to, 10);
    s_add_block (&self, 0, 10, 100);
    s_add_change (&self, 0, 12, 20);
    s_add_change (&self, 1, 0, 0);
    s_run (&self, ZSPOOL_OK, false, 1, 2);
    info = kit_cursor_info (self.store, self.spools [0], self.cursors [0]);
    CHECK_EQ_U64 (info.floor, 12);
    CHECK_EQ_U64 (info.pending, 8);
    s_done (&self);
}

TEST (test_commit_on_a_full_disk_stores_what_finds_room)
{
    s_setup_t self;
    s_setup (&self);
    zspool_store_destroy (&self.store);
    self.store = zspool_store_new (KIT_STORE);
    CHECK_OK (zspool_store_set_map_bytes (self.store, ZSPOOL_MAP_BYTES_MIN));
    CHECK_OK (zspool_store_open (self.store, ZSPOOL_WRITE));
    //  64 MiB hold some forty messages of 1 MiB beside the room kept for acknowledging.
    for (int block = 0; block < 62; block++)
        s_add_block (&self, 0, 1, 1024 * 1024);
    s_add_change (&self, 0, 3, 3);
    s_add_change (&self, 0, 61, 62);
    zspool_commit_run (&self.commit, self.store);
    CHECK_OK (self.commit.rc);
    CHECK_CODE (self.commit.full, ZSPOOL_ENOSPC);
    uint64_t stored = s_count_stored (&self.commit);
    printf ("%" PRIu64 " blocks stored\n", stored);
    CHECK (stored > 30 && stored < 62);
    CHECK_EQ_U64 (self.commit.changes_stored, 1);
    while (self.commit.units_count > 0)
        zspool_block_destroy (&self.commit.units [--self.commit.units_count].block.block);
    while (self.commit.changes_count > 0)
        free (self.commit.changes [--self.commit.changes_count]);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spools [0], self.cursors [0]).floor, stored);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spools [0]).messages, 0);
    //  All was acknowledged: there is room again, for the next but one commit.
    self.next [0] = stored + 1;
    s_run (&self, ZSPOOL_OK, false, 0, 0);
    for (int block = 0; block < 20; block++)
        s_add_block (&self, 0, 1, 1024 * 1024);
    s_run (&self, ZSPOOL_OK, false, 20, 0);
    CHECK_EQ_U64 (kit_read (self.store, self.spools [0], 1), 20);
    s_done (&self);
}

//  ---- moving and deleting cursors

TEST (test_commit_moves_a_cursor_behind_what_it_stores)
{
    s_setup_t self;
    s_setup (&self);
    zspool_seek_t seek = { 0, 0, 0, 0 };
    zspool_cursor_job_t job = { .spool = self.spools [0], .cursor = self.cursors [0], .seek = &seek, .rc = -77 };
    job.start = (zspool_start_t){ ZSPOOL_FROM_LAST, 3, 0 };
    s_add_block (&self, 0, 10, 100);
    s_add_change (&self, 0, 2, 4);
    self.commit.cursor_job = &job;
    s_run (&self, ZSPOOL_OK, false, 1, 1);
    CHECK_OK (job.rc);
    CHECK_EQ_U64 (seek.cursor, self.cursors [0]);
    CHECK_EQ_U64 (seek.generation, 2);
    CHECK_EQ_U64 (seek.floor, 7);
    zspool_cursor_info_t info = kit_cursor_info (self.store, self.spools [0], self.cursors [0]);
    CHECK_EQ_U64 (info.floor, 7);
    CHECK_EQ_U64 (info.generation, 2);
    //  What its outlet says of the generation before does nothing.
    self.commit.cursor_job = NULL;
    s_add_change (&self, 0, 10, 10);
    s_run (&self, ZSPOOL_OK, false, 0, 1);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spools [0], self.cursors [0]).floor, 7);
    s_done (&self);
}

TEST (test_commit_deletes_a_cursor)
{
    s_setup_t self;
    s_setup (&self);
    zspool_seek_t seek = { 0, 0, 77, 77 };
    zspool_cursor_job_t job = {
        .spool = self.spools [1], .cursor = self.cursors [1], .deletes = true, .seek = &seek, .rc = -77
    };
    uint32_t cursor;
    self.commit.cursor_job = &job;
    s_run (&self, ZSPOOL_OK, false, 0, 0);
    CHECK_OK (job.rc);
    CHECK_EQ_U64 (seek.spool, self.spools [1]);
    CHECK_EQ_U64 (seek.generation, 0);
    CHECK_CODE (zspool_store_cursor (self.store, self.spools [1], "main", 1, &cursor), ZSPOOL_ENOENT);
    s_done (&self);
}

TEST (test_commit_refuses_to_move_a_cursor_that_is_not_there_and_stores_the_rest)
{
    s_setup_t self;
    s_setup (&self);
    zspool_seek_t seek = { 0, 0, 0, 0 };
    zspool_cursor_job_t job = { .spool = self.spools [0], .cursor = 77, .seek = &seek };
    job.start = (zspool_start_t){ ZSPOOL_FROM_NEW, 0, 0 };
    s_add_block (&self, 0, 10, 100);
    self.commit.cursor_job = &job;
    s_run (&self, ZSPOOL_OK, false, 1, 0);
    CHECK_CODE (job.rc, ZSPOOL_EINVAL);
    CHECK_EQ_U64 (seek.cursor, 0);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spools [0]).messages, 10);
    s_done (&self);
}
