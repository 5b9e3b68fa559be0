//  test_shelf.c - tests of shelves: where blocks come from, newest and old
//
//  SPDX-License-Identifier: MPL-2.0

#include "lib/kit.h"
#include "shelf.h"

typedef struct {
    kit_setup_t kit;
    zspool_shelf_t shelf;
} s_setup_t;

static void
s_setup (s_setup_t *self, uint32_t stored)
{
    self->kit = kit_setup ();
    if (stored > 0)
        kit_append (self->kit.store, self->kit.spool, stored, 100);
    zspool_reader_t *reader = zspool_reader_new (self->kit.store, self->kit.spool);
    CHECK (reader);
    zspool_shelf_init (&self->shelf, self->kit.spool, "main", reader, stored);
}

static void
s_done (s_setup_t *self)
{
    zspool_shelf_end (&self->shelf);
    kit_done (&self->kit);
}

//  A block comes; it is in the store, or (`async`) not yet.
static void
s_live (s_setup_t *self, uint32_t count, size_t bytes, bool stored)
{
    zspool_block_t *block = kit_block_new_stamped (self->shelf.newest + 1, count, bytes);
    if (stored)
        kit_append (self->kit.store, self->kit.spool, count, bytes);
    zspool_shelf_live (&self->shelf, block);
}

//  The block that is given for a sequence must hold it.
static void
s_check (s_setup_t *self, uint64_t sequence)
{
    uint64_t next = 0;
    zspool_block_t *block = NULL;
    CHECK (zspool_shelf_has (&self->shelf, sequence));
    CHECK_OK (zspool_shelf_block (&self->shelf, sequence, NULL, &block, &next));
    CHECK_EQ_U64 (next, sequence);
    CHECK (zspool_block_first_sequence (block) <= sequence
           && zspool_block_last_sequence (block) >= sequence);
    kit_check_block (block);
    zspool_block_destroy (&block);
}

static void
s_check_absent (s_setup_t *self, uint64_t sequence)
{
    uint64_t next = 0;
    zspool_block_t *block = NULL;
    CHECK_CODE (zspool_shelf_block (&self->shelf, sequence, NULL, &block, &next), ZSPOOL_ENOENT);
    CHECK (!block);
}

TEST (test_shelf_gives_blocks_that_were_kept_and_blocks_of_the_store)
{
    s_setup_t self;
    s_setup (&self, 10);
    for (uint64_t at = 1; at <= 10; at++)
        s_check (&self, at);
    s_check_absent (&self, 11);
    for (int round = 0; round < 40; round++)
        s_live (&self, 10, 100, true);
    for (uint64_t at = 1; at <= 410; at++)
        s_check (&self, at);
    for (uint64_t at = 410; at > 0; at--)
        s_check (&self, at);
    s_check_absent (&self, 411);
    CHECK (!zspool_shelf_has (&self.shelf, 411));
    s_done (&self);
}

TEST (test_shelf_of_a_new_spool_has_nothing)
{
    s_setup_t self;
    s_setup (&self, 0);
    s_check_absent (&self, 1);
    s_live (&self, 3, 100, true);
    s_check (&self, 1);
    s_check (&self, 3);
    s_done (&self);
}

TEST (test_shelf_reads_large_blocks_from_the_store)
{
    s_setup_t self;
    s_setup (&self, 0);
    s_live (&self, 3, 100, true);
    s_live (&self, 1, ZSPOOL_SHELF_LIVE_BYTES, true);
    CHECK_EQ_U64 (self.shelf.live_count, 0);
    s_live (&self, 3, 100, true);
    CHECK_EQ_U64 (self.shelf.live_count, 1);
    for (uint64_t at = 1; at <= 7; at++)
        s_check (&self, at);
    s_done (&self);
}

//  Under `async` what was not kept is stored later: it has not gone, and is not looked for in vain.
TEST (test_shelf_waits_for_what_is_not_stored_yet)
{
    s_setup_t self;
    s_setup (&self, 0);
    for (int round = 0; round < ZSPOOL_SHELF_LIVE_MAX + 2; round++)
        s_live (&self, 10, 100, false);
    s_check (&self, 21);
    s_check_absent (&self, 5);
    CHECK (!zspool_shelf_has (&self.shelf, 5));
    CHECK (zspool_shelf_has (&self.shelf, 21));
    for (int round = 0; round < 2; round++)
        kit_append (self.kit.store, self.kit.spool, 10, 100);
    zspool_shelf_stored (&self.shelf);
    s_check (&self, 5);
    s_check (&self, 20);
    s_done (&self);
}

TEST (test_shelf_passes_over_what_is_gone)
{
    s_setup_t self;
    uint64_t next = 0;
    zspool_block_t *block = NULL;
    s_setup (&self, 10);
    kit_append (self.kit.store, self.kit.spool, 10, 100);
    kit_append (self.kit.store, self.kit.spool, 10, 100);
    self.shelf.newest = self.shelf.dropped_to = 30;
    kit_ack (self.kit.store, self.kit.spool, self.kit.cursor, 1, 20);
    CHECK_OK (zspool_shelf_block (&self.shelf, 5, NULL, &block, &next));
    CHECK_EQ_U64 (next, 21);
    CHECK_EQ_U64 (zspool_block_first_sequence (block), 21);
    zspool_block_destroy (&block);
    s_done (&self);
}

TEST (test_shelf_passes_over_a_damaged_block)
{
    s_setup_t self;
    uint64_t next = 0;
    zspool_block_t *block = NULL;
    uint8_t bytes [100];
    s_setup (&self, 10);
    s_live (&self, 10, 100, true);
    zspool_shelf_end (&self.shelf);
    zspool_store_destroy (&self.kit.store);
    kit_fill (bytes, sizeof bytes, 5);
    CHECK (kit_flip (KIT_STORE "/data.mdb", bytes, sizeof bytes) > 0);
    self.kit.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    zspool_shelf_init (&self.shelf, self.kit.spool, "main",
                       zspool_reader_new (self.kit.store, self.kit.spool), 20);
    CHECK_CODE (zspool_shelf_block (&self.shelf, 5, NULL, &block, &next), ZSPOOL_ECORRUPT);
    CHECK_EQ_U64 (next, 11);
    CHECK_EQ_U64 (self.shelf.damaged, 1);
    s_check (&self, 11);
    zspool_shelf_end (&self.shelf);
    zspool_store_destroy (&self.kit.store);
}
