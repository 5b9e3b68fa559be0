//  test_follower.c - tests of giving the messages of a spool in order, from live blocks and from
//  the store
//
//  SPDX-License-Identifier: MPL-2.0

#include "follower.h"
#include "kit.h"

#define MESSAGES 10                    //  in each block
#define LIVE_MAX ZSPOOL_FOLLOWER_LIVE_MAX

//  A spool, what follows it, and blocks that were made and not stored yet
typedef struct {
    zspool_store_t *store;
    uint32_t spool;
    zspool_reader_t *reader;
    zspool_follower_t follower;
    uint64_t next;                     //  sequence of the block to be made next
    size_t waiting_count;
    zspool_block_t *waiting [200];
} s_setup_t;

static void
s_setup (s_setup_t *self)
{
    memset (self, 0, sizeof *self);
    self->store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    self->spool = kit_spool (self->store, "main");
    self->reader = zspool_reader_new (self->store, self->spool);
    self->next = 1;
    zspool_follower_init (&self->follower, self->reader, 1);
}

//  Commit all blocks that wait, as the writer does.
static void
s_store (s_setup_t *self)
{
    CHECK_OK (zspool_store_begin (self->store));
    for (size_t index = 0; index < self->waiting_count; index++) {
        CHECK_OK (zspool_store_append_stamped (self->store, self->spool, self->waiting [index]));
        zspool_block_destroy (&self->waiting [index]);
    }
    self->waiting_count = 0;
    CHECK_OK (zspool_store_commit (self->store));
}

static void
s_done (s_setup_t *self)
{
    s_store (self);
    zspool_follower_destroy (&self->follower);
    zspool_reader_destroy (&self->reader);
    zspool_store_destroy (&self->store);
}

//  Make a block that waits to be stored.
static zspool_block_t *
s_make (s_setup_t *self, size_t bytes)
{
    zspool_block_t *block = kit_block_new_stamped (self->next, MESSAGES, bytes);
    self->next += MESSAGES;
    self->waiting [self->waiting_count++] = zspool_block_ref (block);
    return block;
}

//  A block comes: under async it is handed on before it is stored, under sync after that.
static void
s_come_async (s_setup_t *self, size_t bytes)
{
    zspool_follower_live (&self->follower, s_make (self, bytes));
}

static void
s_come_sync (s_setup_t *self, size_t bytes)
{
    zspool_block_t *block = s_make (self, bytes);
    s_store (self);
    zspool_follower_live (&self->follower, block);
}

//  Store what waits under async.
static void
s_store_async (s_setup_t *self)
{
    s_store (self);
    zspool_follower_stored (&self->follower);
}

//  The messages first..last must come next.
static void
s_check_gives (s_setup_t *self, uint64_t first, uint64_t last)
{
    zspool_follower_t *follower = &self->follower;
    for (uint64_t sequence = first; sequence <= last; sequence++) {
        CHECK_OK (zspool_follower_peek (follower));
        CHECK_OK (zspool_follower_peek (follower));
        CHECK_EQ_U64 (follower->record.sequence, sequence);
        kit_check_filled (follower->record.data, follower->record.data_bytes, sequence);
        zspool_follower_advance (follower);
    }
}

static void
s_check_gives_none (s_setup_t *self)
{
    for (int round = 0; round < 2; round++)
        CHECK_CODE (zspool_follower_peek (&self->follower), ZSPOOL_ENOENT);
}

//  ---- live and behind

TEST (test_follower_gives_what_comes)
{
    s_setup_t self;
    s_setup (&self);
    s_check_gives_none (&self);
    for (int round = 0; round < 3; round++) {
        s_come_sync (&self, 100);
        s_come_sync (&self, 100);
        s_check_gives (&self, self.next - 20, self.next - 1);
        s_check_gives_none (&self);
    }
    s_done (&self);
}

TEST (test_follower_gives_live_blocks_before_they_are_stored)
{
    s_setup_t self;
    s_setup (&self);
    for (int round = 0; round < 3; round++) {
        s_come_async (&self, 100);
        s_come_async (&self, 100);
        s_check_gives (&self, self.next - 20, self.next - 1);
        s_check_gives_none (&self);
        s_store_async (&self);
        s_check_gives_none (&self);
    }
    s_done (&self);
}

TEST (test_follower_starts_with_what_is_stored)
{
    s_setup_t self;
    s_setup (&self);
    for (int block = 0; block < 5; block++)
        kit_append (self.store, self.spool, MESSAGES, 100);
    self.next = 51;
    zspool_follower_destroy (&self.follower);
    zspool_follower_init (&self.follower, self.reader, 15);
    s_check_gives (&self, 15, 22);
    s_come_sync (&self, 100);
    s_come_sync (&self, 100);
    s_check_gives (&self, 23, 70);
    s_check_gives_none (&self);
    s_done (&self);
}

TEST (test_follower_that_is_slow_reads_what_it_could_not_keep)
{
    for (int async = 0; async <= 1; async++) {
        s_setup_t self;
        s_setup (&self);
        for (int block = 0; block < LIVE_MAX * 3; block++)
            async? s_come_async (&self, 100): s_come_sync (&self, 100);
        if (async)
            s_store_async (&self);
        CHECK (self.follower.live_count <= LIVE_MAX);
        s_check_gives (&self, 1, LIVE_MAX * 3 * MESSAGES);
        s_check_gives_none (&self);
        s_done (&self);
        CHECK (system ("rm -r " KIT_STORE) == 0);
    }
}

TEST (test_follower_waits_for_the_store_when_it_could_not_keep_all)
{
    s_setup_t self;
    s_setup (&self);
    for (int block = 0; block < LIVE_MAX + 2; block++)
        s_come_async (&self, 100);
    //  The first, which it takes at once, is given; those that it dropped are not stored yet.
    s_check_gives_none (&self);
    s_come_async (&self, 100);
    s_check_gives_none (&self);
    s_store_async (&self);
    s_check_gives (&self, 1, (LIVE_MAX + 3) * MESSAGES);
    s_check_gives_none (&self);
    s_done (&self);
}

TEST (test_follower_does_not_keep_large_blocks)
{
    for (int async = 0; async <= 1; async++) {
        s_setup_t self;
        s_setup (&self);
        async? s_come_async (&self, 100): s_come_sync (&self, 100);
        s_check_gives (&self, 1, 5);
        async? s_come_async (&self, 100): s_come_sync (&self, 100);
        const size_t large = ZSPOOL_FOLLOWER_LIVE_BYTES / MESSAGES + 1000;
        async? s_come_async (&self, large): s_come_sync (&self, large);
        CHECK_EQ_U64 (self.follower.live_count, 0);
        async? s_come_async (&self, 100): s_come_sync (&self, 100);
        if (async) {
            s_check_gives (&self, 6, 10);
            s_check_gives_none (&self);
            s_store_async (&self);
            s_check_gives (&self, 11, 40);
        }
        else
            s_check_gives (&self, 6, 40);
        s_check_gives_none (&self);
        s_done (&self);
        CHECK (system ("rm -r " KIT_STORE) == 0);
    }
}

TEST (test_follower_takes_a_gap_for_what_it_is)
{
    s_setup_t self;
    s_setup (&self);
    s_come_async (&self, 100);
    s_check_gives (&self, 1, 10);
    s_store_async (&self);
    self.store->spools [0].now.next_sequence = self.next = 1001;
    s_come_async (&self, 100);
    s_check_gives (&self, 1001, 1010);
    s_check_gives_none (&self);
    s_done (&self);
}

//  ---- seeking

TEST (test_follower_sent_back_gives_again_what_is_stored)
{
    s_setup_t self;
    s_setup (&self);
    for (int block = 0; block < 3; block++)
        s_come_sync (&self, 100);
    s_check_gives (&self, 1, 25);
    zspool_follower_seek (&self.follower, 4);
    s_check_gives (&self, 4, 30);
    s_come_sync (&self, 100);
    s_check_gives (&self, 31, 33);
    zspool_follower_seek (&self.follower, 33);
    s_check_gives (&self, 33, 40);
    s_check_gives_none (&self);
    s_done (&self);
}

TEST (test_follower_sent_back_waits_for_what_is_not_stored_yet)
{
    //  A peer disconnects: what it was sent is to be sent again, but under async is not stored yet.
    s_setup_t self;
    s_setup (&self);
    s_come_async (&self, 100);
    s_check_gives (&self, 1, 10);
    zspool_follower_seek (&self.follower, 1);
    s_check_gives_none (&self);
    s_come_async (&self, 100);
    s_check_gives_none (&self);
    s_store_async (&self);
    s_check_gives (&self, 1, 20);
    s_check_gives_none (&self);
    s_done (&self);
}

TEST (test_follower_sent_back_with_live_blocks_at_hand_leaves_nothing_out)
{
    s_setup_t self;
    s_setup (&self);
    for (int block = 0; block < 4; block++)
        s_come_async (&self, 100);
    s_check_gives (&self, 1, 15);
    zspool_follower_seek (&self.follower, 5);
    s_check_gives_none (&self);
    s_store_async (&self);
    s_check_gives (&self, 5, 40);
    s_check_gives_none (&self);
    s_done (&self);
}

TEST (test_follower_sent_back_to_what_was_trimmed_goes_on_behind)
{
    s_setup_t self;
    s_setup (&self);
    for (int block = 0; block < 3; block++)
        s_come_sync (&self, 100);
    s_check_gives (&self, 1, 30);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_trim (self.store, self.spool, 30));
    CHECK_OK (zspool_store_commit (self.store));
    zspool_follower_seek (&self.follower, 5);
    s_check_gives_none (&self);
    s_come_sync (&self, 100);
    s_check_gives (&self, 31, 40);
    s_come_sync (&self, 100);
    s_check_gives (&self, 41, 50);
    s_check_gives_none (&self);
    s_done (&self);
}

//  ---- damage

static void
s_damage_body (uint8_t *bytes, size_t *size)
{
    bytes [*size - 1] ^= 1;
}

static void
s_damage_head (uint8_t *bytes, size_t *size)
{
    (void) size;
    bytes [50] ^= 1;
}

//  Damage the third of five blocks, with the store open: in another process.
typedef struct {
    uint64_t first;
    void (*edit) (uint8_t *bytes, size_t *size);
} s_damage_t;

static void
s_damage_block (void *arg)
{
    s_damage_t *damage = (s_damage_t *) arg;
    kit_edit_block (KIT_STORE, 1, damage->first, 0, damage->edit);
}

static void
s_check_passes_over (void (*edit) (uint8_t *bytes, size_t *size))
{
    s_setup_t self;
    s_setup (&self);
    for (int block = 0; block < 5; block++)
        s_come_sync (&self, 100);
    CHECK_EQ_I64 (kit_run (s_damage_block, &(s_damage_t) { 21, edit }), 0);
    zspool_follower_destroy (&self.follower);
    zspool_follower_init (&self.follower, self.reader, 1);
    s_check_gives (&self, 1, 20);
    CHECK_CODE (zspool_follower_peek (&self.follower), ZSPOOL_ECORRUPT);
    CHECK_EQ_U64 (self.follower.damaged, 1);
    s_check_gives (&self, 31, 50);
    s_check_gives_none (&self);
    CHECK_EQ_U64 (self.follower.damaged, 1);
    s_done (&self);
}

TEST (test_follower_passes_over_damaged_messages)
{
    s_check_passes_over (s_damage_body);
}

TEST (test_follower_passes_over_a_damaged_head)
{
    s_check_passes_over (s_damage_head);
}

TEST (test_follower_goes_on_when_the_last_block_is_damaged)
{
    //  A live block was dropped, is damaged in the store, and is the last one there.
    s_setup_t self;
    s_setup (&self);
    s_come_sync (&self, 100);
    s_check_gives (&self, 1, 5);
    s_come_sync (&self, ZSPOOL_FOLLOWER_LIVE_BYTES / MESSAGES + 1000);
    CHECK_EQ_I64 (kit_run (s_damage_block, &(s_damage_t) { 11, s_damage_head }), 0);
    s_check_gives (&self, 6, 10);
    CHECK_CODE (zspool_follower_peek (&self.follower), ZSPOOL_ECORRUPT);
    s_check_gives_none (&self);
    s_come_sync (&self, 100);
    s_check_gives (&self, 21, 30);
    s_come_sync (&self, 100);
    s_check_gives (&self, 31, 40);
    s_check_gives_none (&self);
    CHECK_EQ_U64 (self.follower.damaged, 1);
    s_done (&self);
}

TEST (test_follower_sent_into_a_damaged_block_goes_on)
{
    s_setup_t self;
    s_setup (&self);
    s_come_sync (&self, 100);
    s_come_sync (&self, 100);
    s_check_gives (&self, 1, 20);
    CHECK_EQ_I64 (kit_run (s_damage_block, &(s_damage_t) { 11, s_damage_head }), 0);
    zspool_follower_seek (&self.follower, 15);
    CHECK_CODE (zspool_follower_peek (&self.follower), ZSPOOL_ECORRUPT);
    CHECK (self.follower.next >= 15);
    s_check_gives_none (&self);
    s_come_sync (&self, 100);
    s_check_gives (&self, 21, 30);
    s_done (&self);
}

//  ---- at random

TEST (test_follower_random_traffic_is_given_once_and_in_order)
{
    kit_chance_t chance = kit_chance_new ();
    for (int round = 0; round < 30; round++) {
        s_setup_t self;
        s_setup (&self);
        uint64_t expected = 1;
        bool async = kit_below (&chance, 2);
        for (int step = 0; step < 200 || self.waiting_count > 0; step++) {
            size_t bytes = kit_below (&chance, 10)? 50: ZSPOOL_FOLLOWER_LIVE_BYTES / MESSAGES + 1000;
            if (step < 200 && kit_below (&chance, 3) == 0)
                async? s_come_async (&self, bytes): s_come_sync (&self, bytes);
            if (kit_below (&chance, 20) == 0 || step >= 200)
                s_store_async (&self);
            if (kit_below (&chance, 30) == 0 && expected > 1)
                zspool_follower_seek (&self.follower, expected = 1 + kit_below (&chance, expected));
            for (uint64_t give = kit_below (&chance, 30);
                 give > 0 && zspool_follower_peek (&self.follower) == ZSPOOL_OK; give--) {
                CHECK_EQ_U64 (self.follower.record.sequence, expected);
                expected++;
                zspool_follower_advance (&self.follower);
            }
        }
        s_check_gives (&self, expected, self.next - 1);
        s_check_gives_none (&self);
        s_done (&self);
        CHECK (system ("rm -r " KIT_STORE) == 0);
    }
}
