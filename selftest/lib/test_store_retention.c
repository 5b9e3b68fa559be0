//  test_store_retention.c - tests of how long a spool keeps its blocks
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Ages are made: blocks are stamped with a time of the past.

#include "kit.h"

#define NONE ZSPOOL_KEEP_UNLIMITED
#define US_PER_S ((int64_t) 1000000)
#define MIB (1024 * 1024)
#define OVERHEAD 104                   //  of a block, bytes
#define BLOCK_BYTES(count, bytes) ((count) * ((bytes) + 8) + OVERHEAD)

static int
s_try_keep (kit_setup_t *self, uint64_t age_us, uint64_t bytes, uint64_t messages, bool unacked)
{
    zspool_retention_t retention = { age_us, bytes, messages, unacked };
    return zspool_store_set_retention (self->store, self->spool, &retention);
}

//  Set a retention, in a transaction of its own.
static void
s_keep (kit_setup_t *self, uint64_t age_us, uint64_t bytes, uint64_t messages, bool unacked)
{
    CHECK_OK (zspool_store_begin (self->store));
    CHECK_OK (s_try_keep (self, age_us, bytes, messages, unacked));
    CHECK_OK (zspool_store_commit (self->store));
}

static void
s_check_kept (kit_setup_t *self, uint64_t age_us, uint64_t bytes, uint64_t messages, bool unacked)
{
    zspool_retention_t retention;
    CHECK_OK (zspool_store_retention (self->store, self->spool, &retention));
    CHECK_EQ_U64 (retention.age_us, age_us);
    CHECK_EQ_U64 (retention.bytes, bytes);
    CHECK_EQ_U64 (retention.messages, messages);
    CHECK_EQ_I64 (retention.unacked, unacked);
}

//  Append blocks of ten messages, stored so many seconds ago each, one more than the next
static void
s_append_aged (kit_setup_t *self, int blocks, int64_t newest_s)
{
    int64_t now_us = zspool_now_us ();
    CHECK_OK (zspool_store_begin (self->store));
    for (int block = 0; block < blocks; block++)
        kit_append_at (self, 10, 100, now_us - (newest_s + blocks - 1 - block) * US_PER_S);
    CHECK_OK (zspool_store_commit (self->store));
}

static void
s_ack_to (kit_setup_t *self, uint64_t last)
{
    kit_ack (self->store, self->spool, self->cursor,
             kit_cursor_info (self->store, self->spool, self->cursor).floor + 1, last);
}

static uint64_t
s_first (kit_setup_t *self)
{
    return kit_spool_info (self->store, self->spool).first_sequence;
}

//  A commit of nothing
static void
s_commit (kit_setup_t *self)
{
    CHECK_OK (zspool_store_begin (self->store));
    CHECK_OK (zspool_store_commit (self->store));
}

//  ---- setting

TEST (test_store_retention_is_a_queues_unless_set)
{
    kit_setup_t self = kit_setup ();
    s_check_kept (&self, NONE, NONE, 0, true);
    kit_done (&self);
}

TEST (test_store_retention_is_durable_and_readers_see_it)
{
    kit_setup_t self = kit_setup ();
    zspool_retention_t retention;
    s_keep (&self, 5, 6, 7, true);
    kit_reopen (&self);
    s_check_kept (&self, 5, 6, 7, true);
    s_keep (&self, NONE, 6, NONE, false);
    zspool_store_destroy (&self.store);
    self.store = kit_open (KIT_STORE, ZSPOOL_READ);
    s_check_kept (&self, NONE, 6, NONE, false);
    CHECK_CODE (zspool_store_retention (self.store, 77, &retention), ZSPOOL_EINVAL);
    kit_done (&self);
}

TEST (test_store_retention_that_is_rolled_back_was_not_set)
{
    kit_setup_t self = kit_setup ();
    s_keep (&self, NONE, NONE, 10, true);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (s_try_keep (&self, NONE, NONE, 0, true));
    s_check_kept (&self, NONE, NONE, 0, true);
    zspool_store_rollback (self.store);
    s_check_kept (&self, NONE, NONE, 10, true);
    kit_reopen (&self);
    s_check_kept (&self, NONE, NONE, 10, true);
    kit_done (&self);
}

TEST (test_store_retention_of_a_queue_has_no_record)
{
    kit_setup_t self = kit_setup ();
    zspool_bytes_t key = { (const uint8_t *) "R\0\0\0\1", 5 }, value;
    s_keep (&self, NONE, NONE, 10, true);
    s_keep (&self, NONE, NONE, 0, true);
    CHECK_EQ_U64 (self.spool, 1);
    CHECK_OK (zspool_view_take (self.store->view));
    CHECK_CODE (zspool_txn_get (self.store->view, self.store->state, key, &value), ZSPOOL_ENOENT);
    zspool_view_release (self.store->view);
    kit_reopen (&self);
    s_check_kept (&self, NONE, NONE, 0, true);
    kit_done (&self);
}

TEST (test_store_retention_that_makes_no_sense_gives_einval)
{
    kit_setup_t self = kit_setup ();
    CHECK_CODE (s_try_keep (&self, NONE, NONE, 1, true), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (s_try_keep (&self, NONE, NONE, 0, false), ZSPOOL_EINVAL);
    CHECK_CODE (s_try_keep (&self, 0, NONE, NONE, false), ZSPOOL_EINVAL);
    CHECK_CODE (s_try_keep (&self, NONE, 0, NONE, false), ZSPOOL_EINVAL);
    self.spool = 77;
    CHECK_CODE (s_try_keep (&self, NONE, NONE, 1, true), ZSPOOL_EINVAL);
    self.spool = 1;
    CHECK_OK (zspool_store_commit (self.store));
    s_check_kept (&self, NONE, NONE, 0, true);
    kit_done (&self);
}

TEST (test_store_retention_whose_record_is_damaged_keeps_everything_and_is_found)
{
    kit_setup_t self = kit_setup ();
    zspool_bytes_t key = { (const uint8_t *) "R\0\0\0\1", 5 };
    s_keep (&self, NONE, NONE, 10, true);
    zspool_store_destroy (&self.store);
    zspool_txn_t *txn;
    zspool_table_t state;
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    CHECK_OK (zspool_txn_put (txn, state, key, (zspool_bytes_t){ (const uint8_t *) "damaged", 7 }));
    kit_engine_commit (&engine);
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    s_check_kept (&self, NONE, NONE, NONE, true);
    s_append_aged (&self, 10, 1000);
    s_ack_to (&self, 100);
    CHECK_EQ_U64 (s_first (&self), 1);
    CHECK (kit_verify (self.store) > 0);
    s_keep (&self, NONE, NONE, 50, true);
    CHECK_EQ_U64 (s_first (&self), 51);
    kit_done (&self);
}

//  ---- each limit

TEST (test_store_retention_by_count_keeps_at_least_so_many)
{
    kit_setup_t self = kit_setup ();
    s_keep (&self, NONE, NONE, 35, true);
    s_append_aged (&self, 10, 0);
    CHECK_EQ_U64 (s_first (&self), 1);
    s_ack_to (&self, 100);
    CHECK_EQ_U64 (s_first (&self), 61);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).messages, 40);
    CHECK_EQ_U64 (kit_read (self.store, self.spool, 1), 40);
    s_keep (&self, NONE, NONE, 30, true);
    CHECK_EQ_U64 (s_first (&self), 71);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, self.cursor).lagged, 0);
    kit_done (&self);
}

TEST (test_store_retention_by_bytes_keeps_at_least_so_many)
{
    kit_setup_t self = kit_setup ();
    uint64_t block = BLOCK_BYTES (10, 100);
    s_append_aged (&self, 10, 0);
    s_keep (&self, NONE, 5 * block, NONE, true);
    s_ack_to (&self, 100);
    CHECK_EQ_U64 (s_first (&self), 51);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).bytes, 5 * block);
    s_keep (&self, NONE, 4 * block + 1, NONE, true);
    CHECK_EQ_U64 (s_first (&self), 51);
    s_keep (&self, NONE, 4 * block, NONE, true);
    CHECK_EQ_U64 (s_first (&self), 61);
    kit_done (&self);
}

TEST (test_store_retention_by_age_removes_what_is_older)
{
    kit_setup_t self = kit_setup ();
    s_append_aged (&self, 10, 1000); //  1009 to 1000 s ago
    s_ack_to (&self, 95);            //  a queue: nine blocks are gone
    CHECK_EQ_U64 (s_first (&self), 91);
    s_keep (&self, 500 * US_PER_S, NONE, NONE, true);
    s_append_aged (&self, 10, 496); //  505 to 496 s ago
    s_ack_to (&self, 200);
    uint64_t first = s_first (&self);
    CHECK (first >= 151 && first <= 161); //  older than 500 s; the test may take a while
    CHECK_EQ_U64 (first % 10, 1);
    kit_done (&self);
}

TEST (test_store_retention_removes_nothing_early_when_the_clock_is_set_back)
{
    kit_setup_t self = kit_setup ();
    s_keep (&self, US_PER_S, NONE, NONE, true);
    //  They were stored when the clock was an hour ahead; what comes next cannot be older.
    s_append_aged (&self, 5, -3600);
    kit_append (self.store, self.spool, 10, 100);
    s_ack_to (&self, 60);
    s_commit (&self);
    CHECK_EQ_U64 (s_first (&self), 1);
    CHECK (zspool_store_trim_due_us (self.store) > zspool_now_us () + 3500 * US_PER_S);
    kit_done (&self);
}

TEST (test_store_retention_by_several_limits_goes_by_the_first_exceeded)
{
    kit_setup_t self = kit_setup ();
    uint64_t block = BLOCK_BYTES (10, 100);
    s_keep (&self, 600 * US_PER_S, 8 * block, 90, true);
    s_append_aged (&self, 12, 10);
    s_ack_to (&self, 120);
    CHECK_EQ_U64 (s_first (&self), 41); //  by bytes
    s_keep (&self, 600 * US_PER_S, 8 * block, 30, true);
    CHECK_EQ_U64 (s_first (&self), 91); //  by count
    s_keep (&self, US_PER_S, 8 * block, 30, true);
    CHECK_EQ_U64 (s_first (&self), 0);  //  by age
    kit_done (&self);
}

TEST (test_store_retention_works_a_bounded_number_of_blocks_a_commit)
{
    kit_setup_t self = kit_setup ();
    s_keep (&self, NONE, NONE, NONE, true);
    s_append_aged (&self, ZSPOOL_TRIM_BLOCKS_MAX + 10, 0);
    s_ack_to (&self, 10 * (ZSPOOL_TRIM_BLOCKS_MAX + 10));
    CHECK (!zspool_store_trim_is_due (self.store));
    s_keep (&self, NONE, NONE, 50, true);
    CHECK_EQ_U64 (s_first (&self), 10 * ZSPOOL_TRIM_BLOCKS_MAX + 1);
    CHECK (zspool_store_trim_is_due (self.store));
    s_commit (&self);
    CHECK_EQ_U64 (s_first (&self), 10 * (ZSPOOL_TRIM_BLOCKS_MAX + 5) + 1);
    CHECK (!zspool_store_trim_is_due (self.store));
    kit_done (&self);
}

//  ---- cursors

TEST (test_store_retention_keeps_what_a_cursor_has_not_acknowledged)
{
    kit_setup_t self = kit_setup ();
    s_keep (&self, US_PER_S, 1000, 10, true);
    uint32_t slow = kit_cursor (self.store, self.spool, "slow", ZSPOOL_START_FIRST);
    s_append_aged (&self, 10, 100);
    s_ack_to (&self, 100);
    kit_ack (self.store, self.spool, slow, 1, 25);
    CHECK_EQ_U64 (s_first (&self), 21);
    kit_ack (self.store, self.spool, slow, 41, 100);
    CHECK_EQ_U64 (s_first (&self), 21);
    kit_ack (self.store, self.spool, slow, 26, 40);
    CHECK_EQ_U64 (s_first (&self), 0);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, slow).lagged, 0);
    CHECK_EQ_U64 (zspool_store_dropped_to (self.store, self.spool), 0);
    kit_done (&self);
}

TEST (test_store_retention_without_unacked_moves_cursors_and_counts_what_they_lost)
{
    kit_setup_t self = kit_setup ();
    uint32_t ahead = kit_cursor (self.store, self.spool, "ahead", ZSPOOL_START_FIRST);
    s_append_aged (&self, 10, 0);
    kit_ack (self.store, self.spool, ahead, 1, 25);
    kit_ack (self.store, self.spool, self.cursor, 3, 4);
    kit_ack (self.store, self.spool, self.cursor, 15, 20);
    s_keep (&self, NONE, NONE, 70, false);
    CHECK_EQ_U64 (s_first (&self), 31);
    zspool_cursor_info_t info = kit_cursor_info (self.store, self.spool, self.cursor);
    CHECK_EQ_U64 (info.floor, 30);
    CHECK_EQ_U64 (info.sent_to, 30);
    CHECK_EQ_U64 (info.lagged, 30 - 2 - 6);
    CHECK_EQ_U64 (info.pending, 70);
    CHECK_EQ_U64 (info.generation, 1);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, ahead).lagged, 5);
    CHECK_EQ_U64 (zspool_store_dropped_to (self.store, self.spool), 30);
    kit_reopen (&self);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, self.cursor).lagged, 22);
    kit_ack (self.store, self.spool, self.cursor, 31, 100);
    kit_done (&self);
}

TEST (test_store_retention_without_unacked_counts_nothing_that_was_acknowledged_in_the_same_commit)
{
    kit_setup_t self = kit_setup ();
    s_keep (&self, NONE, NONE, 50, false);
    s_append_aged (&self, 5, 0);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_ack (self.store, self.spool, self.cursor, 1, 8));
    for (int block = 0; block < 2; block++)
        CHECK_OK (kit_try_append (self.store, self.spool, 10, 100));
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_EQ_U64 (s_first (&self), 21);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, self.cursor).lagged, 12);
    kit_done (&self);
}

TEST (test_store_retention_without_cursors_goes_by_its_limits_and_a_queue_keeps_all)
{
    kit_setup_t self = kit_setup ();
    self.spool = kit_spool (self.store, "nobody");
    s_append_aged (&self, 10, 100);
    s_commit (&self);
    CHECK_EQ_U64 (s_first (&self), 1);
    s_keep (&self, NONE, NONE, 20, true);
    CHECK_EQ_U64 (s_first (&self), 81);
    kit_done (&self);
}

TEST (test_store_retention_ends_with_the_transaction_that_is_rolled_back)
{
    kit_setup_t self = kit_setup ();
    s_append_aged (&self, 10, 0);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (s_try_keep (&self, NONE, NONE, 20, false));
    CHECK_OK (zspool_store_ack (self.store, self.spool, self.cursor, 1, 10));
    zspool_store_rollback (self.store);
    s_commit (&self);
    CHECK_EQ_U64 (s_first (&self), 1);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, self.cursor).lagged, 0);
    kit_done (&self);
}

TEST (test_store_retention_passes_a_damaged_block)
{
    kit_setup_t self = kit_setup ();
    s_keep (&self, NONE, NONE, NONE, true);
    s_append_aged (&self, 10, 0);
    s_ack_to (&self, 100);
    zspool_store_destroy (&self.store);
    kit_edit_block (KIT_STORE, self.spool, 11, 0, NULL);
    uint8_t key [10];
    zspool_txn_t *txn;
    zspool_table_t state;
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    zspool_bytes_t junk = { (const uint8_t *) "no block", 8 };
    CHECK_OK (zspool_txn_put (txn, kit_engine_blocks (engine, self.spool), kit_block_key (key, 11, 0), junk));
    kit_engine_commit (&engine);
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    s_keep (&self, NONE, NONE, 85, true);
    CHECK_EQ_U64 (s_first (&self), 11); //  nobody knows that there are 10 in it: it stays until they may go
    s_keep (&self, NONE, NONE, 80, true);
    CHECK_EQ_U64 (s_first (&self), 21);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).messages, 80);
    zspool_store_destroy (&self.store);
}

//  ---- when

TEST (test_store_retention_tells_when_the_next_block_is_to_go)
{
    kit_setup_t self = kit_setup ();
    CHECK_EQ_I64 (zspool_store_trim_due_us (self.store), INT64_MAX);
    s_keep (&self, 600 * US_PER_S, NONE, NONE, true);
    CHECK_EQ_I64 (zspool_store_trim_due_us (self.store), INT64_MAX);
    int64_t now_us = zspool_now_us ();
    CHECK_OK (zspool_store_begin (self.store));
    kit_append_at (&self, 10, 100, now_us - 100 * US_PER_S);
    kit_append_at (&self, 10, 100, now_us - 50 * US_PER_S);
    CHECK_OK (zspool_store_commit (self.store));
    //  What is not acknowledged need not be waited for.
    CHECK_EQ_I64 (zspool_store_trim_due_us (self.store), INT64_MAX);
    s_ack_to (&self, 10);
    CHECK_EQ_I64 (zspool_store_trim_due_us (self.store), now_us + 500 * US_PER_S);
    kit_reopen (&self);
    CHECK_EQ_I64 (zspool_store_trim_due_us (self.store), now_us + 500 * US_PER_S);
    s_keep (&self, 60 * US_PER_S, NONE, NONE, false);
    CHECK_EQ_U64 (s_first (&self), 11);
    CHECK_EQ_I64 (zspool_store_trim_due_us (self.store), now_us + 10 * US_PER_S);
    s_keep (&self, NONE, NONE, NONE, true);
    CHECK_EQ_I64 (zspool_store_trim_due_us (self.store), INT64_MAX);
    kit_done (&self);
}

//  ---- room

TEST (test_store_retention_gives_way_at_the_limit_before_anything_is_refused)
{
    kit_setup_t self = kit_setup ();
    s_keep (&self, NONE, NONE, NONE, true);
    CHECK_OK (zspool_store_set_limit (self.store, self.spool, MIB, ZSPOOL_ON_FULL_PAUSE));
    for (int block = 0; block < 10; block++)
        kit_append (self.store, self.spool, 10, 10000);
    s_ack_to (&self, 95);
    CHECK_EQ_U64 (s_first (&self), 1);
    for (int block = 0; block < 9; block++) {
        kit_append (self.store, self.spool, 10, 10000);
        CHECK_EQ_U64 (s_first (&self), 10 * (uint64_t) block + 11);
    }
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (kit_try_append (self.store, self.spool, 10, 10000), ZSPOOL_ELIMIT);
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_EQ_U64 (s_first (&self), 91);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, self.cursor).lagged, 0);
    kit_done (&self);
}

TEST (test_store_retention_gives_way_before_unacknowledged_messages_are_dropped)
{
    kit_setup_t self = kit_setup ();
    s_keep (&self, NONE, NONE, NONE, true);
    CHECK_OK (zspool_store_set_limit (self.store, self.spool, MIB, ZSPOOL_ON_FULL_DROP_OLDEST));
    for (int block = 0; block < 10; block++)
        kit_append (self.store, self.spool, 10, 10000);
    s_ack_to (&self, 35);
    for (int block = 0; block < 3; block++)
        kit_append (self.store, self.spool, 10, 10000);
    CHECK_EQ_U64 (s_first (&self), 31);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, self.cursor).lagged, 0);
    kit_append (self.store, self.spool, 10, 10000);
    CHECK_EQ_U64 (s_first (&self), 41);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, self.cursor).lagged, 5);
    kit_done (&self);
}

TEST (test_store_retention_gives_way_in_blocks_to_messages_put_one_by_one)
{
    kit_setup_t self = kit_setup ();
    uint8_t bytes [1000];
    zspool_frame_t frame = { bytes, sizeof bytes };
    s_keep (&self, NONE, NONE, NONE, true);
    CHECK_OK (zspool_store_set_limit (self.store, self.spool, MIB, ZSPOOL_ON_FULL_PAUSE));
    for (uint64_t number = 1; number <= 900; number++)
        kit_append (self.store, self.spool, 1, 1000);
    s_ack_to (&self, 900);
    CHECK_OK (zspool_store_begin (self.store));
    for (uint64_t number = 901; number <= 1600; number++) {
        kit_fill (bytes, sizeof bytes, number);
        CHECK_OK (zspool_store_put (self.store, self.spool, &frame, 1, NULL));
    }
    CHECK_OK (zspool_store_commit (self.store));
    zspool_spool_info_t info = kit_spool_info (self.store, self.spool);
    CHECK (info.bytes <= MIB);
    CHECK_EQ_U64 (kit_read (self.store, self.spool, 1), info.messages);
    //  Blocks of the old, and some of the new, each of many messages.
    CHECK (info.blocks - (900 - (info.first_sequence - 1)) <= 8);
    kit_done (&self);
}

TEST (test_store_retention_of_a_steady_stream_has_a_steady_file)
{
    kit_setup_t self = kit_setup ();
    s_keep (&self, NONE, NONE, 2000, true);
    uint64_t turned_bytes = 0;
    for (int turn = 0; turn < 20; turn++) {
        for (int block = 0; block < 50; block++) {
            CHECK_OK (zspool_store_begin (self.store));
            CHECK_OK (kit_try_append (self.store, self.spool, 100, 1000));
            uint64_t last = (uint64_t) (turn * 50 + block) * 100 + 100;
            CHECK_OK (zspool_store_ack (self.store, self.spool, self.cursor, last - 99, last));
            CHECK_OK (zspool_store_commit (self.store));
        }
        CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).messages, 2000);
        if (turn == 2)
            turned_bytes = zspool_store_file_bytes (self.store);
    }
    CHECK (zspool_store_file_bytes (self.store) <= turned_bytes + turned_bytes / 4);
    CHECK (zspool_store_file_bytes (self.store) < 6 * MIB);
    kit_done (&self);
}
