//  test_commit_batch.c - tests of batches in a group commit: all or nothing, and who waits for whom
//
//  SPDX-License-Identifier: MPL-2.0

#include "commit.h"
#include "kit.h"

#define MIB (1024 * 1024)

//  A store with three spools, each with a cursor, two producers, and a commit being made
typedef struct {
    zspool_store_t *store;
    uint32_t spools [3];
    uint32_t cursors [3];
    uint64_t next [3];
    uint32_t producers [2];
    zspool_commit_t commit;
    zspool_batch_t *batches [8];
    size_t batches_count;
} s_setup_t;

static void
s_open_producers (s_setup_t *self)
{
    CHECK_OK (zspool_store_begin (self->store));
    CHECK_OK (zspool_store_producer (self->store, "a", &self->producers [0], NULL, NULL));
    CHECK_OK (zspool_store_producer (self->store, "b", &self->producers [1], NULL, NULL));
    CHECK_OK (zspool_store_commit (self->store));
}

static void
s_setup (s_setup_t *self)
{
    static const char *const names [] = { "one", "two", "three" };
    memset (self, 0, sizeof *self);
    self->store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    for (int index = 0; index < 3; index++) {
        self->spools [index] = kit_spool (self->store, names [index]);
        self->cursors [index] = kit_cursor (self->store, self->spools [index], "main", 1);
        self->next [index] = 1;
    }
    s_open_producers (self);
}

static zspool_batch_t *
s_add_batch (s_setup_t *self)
{
    zspool_batch_t *batch = zspool_batch_new ();
    zspool_commit_unit_t *unit = &self->commit.units [self->commit.units_count++];
    *unit = (zspool_commit_unit_t){ .batch = batch, .rc = -77 };
    self->batches [self->batches_count++] = batch;
    return batch;
}

static void
s_add_block (s_setup_t *self, zspool_batch_t *batch, int index, uint32_t count, size_t bytes)
{
    batch->blocks [batch->blocks_count++] = (zspool_batch_block_t){
        kit_block_new_stamped (self->next [index], count, bytes), self->spools [index]
    };
    self->next [index] += count;
}

static void
s_add_mark (s_setup_t *self, zspool_batch_t *batch, int producer, uint64_t last)
{
    batch->marks [batch->marks_count++] = (zspool_mark_t){ self->producers [producer], last };
}

//  The batch acknowledges all up to floor.
static void
s_add_change (s_setup_t *self, zspool_batch_t *batch, int index, uint64_t floor, uint32_t generation)
{
    zspool_cursor_change_t *change = (zspool_cursor_change_t *) zmalloc (sizeof *change);
    change->spool = self->spools [index];
    change->cursor = self->cursors [index];
    change->generation = generation;
    change->floor = change->sent_to = floor;
    batch->changes [batch->changes_count++] = change;
}

static void
s_run (s_setup_t *self)
{
    zspool_commit_run (&self->commit, self->store);
    CHECK_OK (self->commit.rc);
}

static void
s_done (s_setup_t *self)
{
    while (self->batches_count > 0)
        zspool_batch_destroy (&self->batches [--self->batches_count]);
    kit_check_sound (self->store);
    zspool_store_destroy (&self->store);
}

static uint64_t
s_stored (s_setup_t *self, int index)
{
    return kit_spool_info (self->store, self->spools [index]).last_sequence;
}

static uint64_t
s_last (s_setup_t *self, int producer)
{
    uint64_t last = 77;
    uint32_t id;
    CHECK_OK (zspool_store_producer (self->store, producer? "b": "a", &id, NULL, &last));
    CHECK_EQ_U64 (id, self->producers [producer]);
    return last;
}

TEST (test_commit_batch_stores_blocks_marks_and_changes_together)
{
    s_setup_t self;
    s_setup (&self);
    zspool_batch_t *first = s_add_batch (&self);
    s_add_block (&self, first, 0, 10, 100);
    s_run (&self);
    self.commit.units_count = 0;
    zspool_batch_t *batch = s_add_batch (&self);
    s_add_block (&self, batch, 1, 3, 100);
    s_add_block (&self, batch, 2, 4, 100);
    s_add_mark (&self, batch, 0, 5);
    s_add_change (&self, batch, 0, 7, 1);
    s_run (&self);
    CHECK_OK (self.commit.units [0].rc);
    CHECK_EQ_U64 (s_stored (&self, 1), 3);
    CHECK_EQ_U64 (s_stored (&self, 2), 4);
    CHECK_EQ_U64 (s_last (&self, 0), 5);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spools [0], self.cursors [0]).floor, 7);
    s_done (&self);
}

TEST (test_commit_batch_with_a_change_of_another_generation_stores_nothing)
{
    s_setup_t self;
    s_setup (&self);
    zspool_batch_t *batch = s_add_batch (&self);
    s_add_block (&self, batch, 1, 3, 100);
    s_add_mark (&self, batch, 0, 5);
    s_add_change (&self, batch, 0, 0, 2);
    zspool_batch_t *other = s_add_batch (&self);
    s_add_block (&self, other, 2, 4, 100);
    s_run (&self);
    CHECK_CODE (self.commit.units [0].rc, ZSPOOL_ESTALE);
    CHECK_OK (self.commit.units [1].rc);
    CHECK_OK (self.commit.full);
    CHECK_EQ_U64 (s_stored (&self, 1), 0);
    CHECK_EQ_U64 (s_stored (&self, 2), 4);
    CHECK_EQ_U64 (s_last (&self, 0), 0);
    s_done (&self);
}

//  The second of its spools is at its limit.
TEST (test_commit_batch_at_a_limit_stores_nothing_and_lets_others_pass)
{
    s_setup_t self;
    s_setup (&self);
    CHECK_OK (zspool_store_set_limit (self.store, self.spools [1], MIB, ZSPOOL_ON_FULL_PAUSE));
    zspool_batch_t *batch = s_add_batch (&self);
    s_add_block (&self, batch, 0, 3, 100);
    s_add_block (&self, batch, 1, 1, MIB * 3 / 4);
    s_add_block (&self, batch, 1, 1, MIB * 3 / 4);
    s_add_mark (&self, batch, 0, 5);
    zspool_batch_t *tied = s_add_batch (&self);
    s_add_block (&self, tied, 0, 2, 100);
    zspool_batch_t *same_producer = s_add_batch (&self);
    s_add_block (&self, same_producer, 2, 1, 100);
    s_add_mark (&self, same_producer, 0, 6);
    self.next [2] = 1; //  the one before will not be stored
    zspool_batch_t *free_one = s_add_batch (&self);
    s_add_mark (&self, free_one, 1, 9);
    s_run (&self);
    CHECK_CODE (self.commit.full, ZSPOOL_ELIMIT);
    CHECK_CODE (self.commit.units [0].rc, ZSPOOL_ELIMIT);
    CHECK_CODE (self.commit.units [1].rc, ZSPOOL_ELIMIT);
    CHECK_CODE (self.commit.units [2].rc, ZSPOOL_ELIMIT);
    CHECK_OK (self.commit.units [3].rc);
    for (int index = 0; index < 3; index++)
        CHECK_EQ_U64 (s_stored (&self, index), 0);
    CHECK_EQ_U64 (s_last (&self, 0), 0);
    CHECK_EQ_U64 (s_last (&self, 1), 9);
    s_done (&self);
}

TEST (test_commit_batch_on_a_full_disk_leaves_nothing_behind)
{
    s_setup_t self;
    s_setup (&self);
    zspool_store_destroy (&self.store);
    self.store = zspool_store_new (KIT_STORE);
    CHECK_OK (zspool_store_set_map_bytes (self.store, ZSPOOL_MAP_BYTES_MIN));
    CHECK_OK (zspool_store_open (self.store, ZSPOOL_WRITE));
    s_open_producers (&self);
    uint64_t rounds = 0;
    int rc = ZSPOOL_OK;
    for (; rc == ZSPOOL_OK && rounds < 100; rounds++) {
        self.commit.units_count = 0;
        zspool_batch_t *batch = s_add_batch (&self);
        for (int index = 0; index < 3; index++)
            s_add_block (&self, batch, index, 1, MIB);
        s_add_mark (&self, batch, 0, rounds + 1);
        s_run (&self);
        rc = self.commit.units [0].rc;
        zspool_batch_destroy (&self.batches [--self.batches_count]);
    }
    CHECK_CODE (rc, ZSPOOL_ENOSPC);
    CHECK (rounds > 8);
    for (int index = 0; index < 3; index++)
        CHECK_EQ_U64 (s_stored (&self, index), rounds - 1);
    CHECK_EQ_U64 (s_last (&self, 0), rounds - 1);
    s_done (&self);
}
