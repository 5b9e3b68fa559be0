//  test_store_seek.c - tests of finding a start, of moving a cursor there, and of deleting one
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"
#include "salvage_keep.h"

#include <stdlib.h>

#define US_PER_S ((int64_t) 1000000)

//  A store that keeps everything, with blocks of ten messages each
static kit_setup_t
s_setup (int blocks)
{
    static const zspool_retention_t all = {
        ZSPOOL_KEEP_UNLIMITED, ZSPOOL_KEEP_UNLIMITED, ZSPOOL_KEEP_UNLIMITED, true
    };
    kit_setup_t self = kit_setup ();
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_set_retention (self.store, self.spool, &all));
    for (int block = 0; block < blocks; block++)
        CHECK_OK (kit_try_append (self.store, self.spool, 10, 100));
    CHECK_OK (zspool_store_commit (self.store));
    return self;
}

static zspool_cursor_info_t
s_info (kit_setup_t *self)
{
    return kit_cursor_info (self->store, self->spool, self->cursor);
}

static uint64_t
s_find (kit_setup_t *self, zspool_start_kind_t kind, uint64_t number, int64_t time_us)
{
    zspool_start_t start = { kind, number, time_us };
    uint64_t sequence = 0;
    CHECK_OK (zspool_store_find_start (self->store, self->spool, &start, &sequence));
    return sequence;
}

static void
s_seek (kit_setup_t *self, uint64_t start)
{
    CHECK_OK (zspool_store_begin (self->store));
    CHECK_OK (zspool_store_seek_cursor (self->store, self->spool, self->cursor, start));
    CHECK_OK (zspool_store_commit (self->store));
}

//  ---- finding

TEST (test_store_find_start_gives_the_ends_and_sequences_as_they_are)
{
    kit_setup_t self = s_setup (3);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_FIRST, 0, 0), ZSPOOL_START_FIRST);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_NEW, 0, 0), ZSPOOL_START_NEW);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_SEQUENCE, 17, 0), 17);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_SEQUENCE, 1000, 0), 1000);
    kit_done (&self);
}

TEST (test_store_find_start_counts_the_last_messages_and_no_gaps)
{
    kit_setup_t self = s_setup (3);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_LAST, 1, 0), 30);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_LAST, 30, 0), 1);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_LAST, 31, 0), ZSPOOL_START_FIRST);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_LAST, UINT64_MAX, 0), ZSPOOL_START_FIRST);
    for (uint64_t gap = 0; gap < 3; gap++) {
        zspool_gap_t lost = { 31 + gap * 15, 35 + gap * 15, 1 };
        CHECK_OK (zspool_store_begin (self.store));
        CHECK_OK (zspool_keep_gap (self.store, self.spool, &lost));
        CHECK_OK (zspool_store_commit (self.store));
        kit_append (self.store, self.spool, 10, 100);
    }
    //  30 messages, 5 missing, 10, 5 missing, 10, 5 missing, 10: the last is 75
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_LAST, 10, 0), 66);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_LAST, 11, 0), 60);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_LAST, 20, 0), 51);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_LAST, 31, 0), 30);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_LAST, 60, 0), 1);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_LAST, 61, 0), ZSPOOL_START_FIRST);
    //  A reader of the store sees what came since it was opened.
    zspool_store_destroy (&self.store);
    self.store = kit_open (KIT_STORE, ZSPOOL_READ);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_LAST, 11, 0), 60);
    kit_done (&self);
}

TEST (test_store_find_start_finds_the_first_block_stored_at_a_time)
{
    kit_setup_t self = s_setup (0);
    int64_t base_us = 1000 * US_PER_S;
    CHECK_OK (zspool_store_begin (self.store));
    for (int64_t block = 0; block < 500; block++)
        kit_append_at (&self, (uint32_t) (1 + block % 7), 20, base_us + block / 2 * US_PER_S);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_TIME, 0, base_us + US_PER_S), 1 + 1 + 2);
    CHECK_OK (zspool_store_commit (self.store));
    uint64_t first = 1;
    for (int64_t block = 0; block < 500; block++) {
        if (block % 2 == 0) {
            int64_t at_us = base_us + block / 2 * US_PER_S;
            CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_TIME, 0, at_us), first);
            CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_TIME, 0, at_us - 1), first);
            CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_TIME, 0, at_us - US_PER_S + 1), first);
        }
        first += (uint64_t) (1 + block % 7);
    }
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_TIME, 0, INT64_MIN), 1);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_TIME, 0, base_us + 249 * US_PER_S + 1), ZSPOOL_START_NEW);
    kit_done (&self);
}

TEST (test_store_find_start_passes_damaged_blocks)
{
    kit_setup_t self = s_setup (0);
    CHECK_OK (zspool_store_begin (self.store));
    for (int64_t block = 0; block < 20; block++)
        kit_append_at (&self, 10, 20, (1000 + block) * US_PER_S);
    CHECK_OK (zspool_store_commit (self.store));
    zspool_store_destroy (&self.store);
    zspool_txn_t *txn;
    zspool_table_t state;
    uint8_t key [10];
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    for (uint64_t first = 81; first <= 101; first += 10)
        CHECK_OK (zspool_txn_put (txn, kit_engine_blocks (engine, self.spool), kit_block_key (key, first, 0),
                                  (zspool_bytes_t){ (const uint8_t *) "no block", 8 }));
    kit_engine_commit (&engine);
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_TIME, 0, 1007 * US_PER_S), 71);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_TIME, 0, 1009 * US_PER_S), 111);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_TIME, 0, 1012 * US_PER_S), 121);
    zspool_store_destroy (&self.store);
}

TEST (test_store_find_start_counts_what_the_transaction_appends)
{
    kit_setup_t self = s_setup (3);
    uint8_t bytes [8];
    zspool_frame_t frame = { bytes, sizeof bytes };
    CHECK_OK (zspool_store_begin (self.store));
    kit_fill (bytes, sizeof bytes, 31);
    CHECK_OK (zspool_store_put (self.store, self.spool, &frame, 1, NULL));
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_LAST, 2, 0), 30);
    zspool_store_rollback (self.store);
    CHECK_EQ_U64 (s_find (&self, ZSPOOL_FROM_LAST, 2, 0), 29);
    kit_done (&self);
}

TEST (test_store_find_start_that_is_none_gives_einval)
{
    kit_setup_t self = s_setup (1);
    uint64_t sequence = 7;
    zspool_start_t start = { ZSPOOL_FROM_SEQUENCE, 0, 0 };
    CHECK_CODE (zspool_store_find_start (self.store, self.spool, &start, &sequence), ZSPOOL_EINVAL);
    start.kind = ZSPOOL_FROM_LAST;
    CHECK_CODE (zspool_store_find_start (self.store, self.spool, &start, &sequence), ZSPOOL_EINVAL);
    start = (zspool_start_t){ (zspool_start_kind_t) 5, 1, 0 };
    CHECK_CODE (zspool_store_find_start (self.store, self.spool, &start, &sequence), ZSPOOL_EINVAL);
    start.kind = ZSPOOL_FROM_FIRST;
    CHECK_CODE (zspool_store_find_start (self.store, 77, &start, &sequence), ZSPOOL_EINVAL);
    CHECK_EQ_U64 (sequence, 7);
    kit_done (&self);
}

TEST (test_store_find_start_fits_a_reader_and_a_cursor)
{
    kit_setup_t self = s_setup (5);
    zspool_reader_t *reader = zspool_reader_new (self.store, self.spool);
    zspool_block_t *block;
    zspool_reader_seek (reader, s_find (&self, ZSPOOL_FROM_LAST, 15, 0));
    CHECK_OK (zspool_reader_next (reader, &block));
    CHECK_EQ_U64 (zspool_block_first_sequence (block), 31);
    zspool_block_destroy (&block);
    zspool_reader_seek (reader, s_find (&self, ZSPOOL_FROM_NEW, 0, 0));
    CHECK_CODE (zspool_reader_next (reader, &block), ZSPOOL_ENOENT);
    zspool_reader_destroy (&reader);
    uint32_t cursor = kit_cursor (self.store, self.spool, "late", s_find (&self, ZSPOOL_FROM_LAST, 15, 0));
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, cursor).floor, 35);
    kit_done (&self);
}

//  ---- moving

TEST (test_store_seek_back_makes_stored_messages_pending_again)
{
    kit_setup_t self = s_setup (5);
    kit_ack (self.store, self.spool, self.cursor, 1, 42);
    kit_ack (self.store, self.spool, self.cursor, 45, 46);
    s_seek (&self, 11);
    zspool_cursor_info_t info = s_info (&self);
    CHECK_EQ_U64 (info.floor, 10);
    CHECK_EQ_U64 (info.sent_to, 10);
    CHECK_EQ_U64 (info.pending, 40);
    CHECK_EQ_U64 (info.in_flight, 0);
    CHECK_EQ_U64 (info.generation, 2);
    CHECK (info.pending_us > 0);
    //  What was acknowledged before must be acknowledged again.
    kit_ack (self.store, self.spool, self.cursor, 11, 50);
    CHECK_EQ_U64 (s_info (&self).pending, 0);
    CHECK_EQ_I64 (s_info (&self).pending_us, 0);
    kit_done (&self);
}

TEST (test_store_seek_forward_passes_messages_and_what_was_acknowledged_out_of_order)
{
    kit_setup_t self = s_setup (5);
    kit_ack (self.store, self.spool, self.cursor, 15, 16);
    kit_ack (self.store, self.spool, self.cursor, 33, 34);
    s_seek (&self, 31);
    zspool_cursor_info_t info = s_info (&self);
    CHECK_EQ_U64 (info.floor, 30);
    CHECK_EQ_U64 (info.pending, 20);
    CHECK_EQ_U64 (info.lagged, 0);
    kit_ack (self.store, self.spool, self.cursor, 31, 35);
    CHECK_EQ_U64 (s_info (&self).floor, 35);
    kit_done (&self);
}

TEST (test_store_seek_stops_at_the_ends_of_what_is_stored)
{
    kit_setup_t self = s_setup (5);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_trim (self.store, self.spool, 20));
    CHECK_OK (zspool_store_commit (self.store));
    s_seek (&self, ZSPOOL_START_FIRST);
    CHECK_EQ_U64 (s_info (&self).floor, 20);
    s_seek (&self, 5);
    CHECK_EQ_U64 (s_info (&self).floor, 20);
    s_seek (&self, ZSPOOL_START_NEW);
    CHECK_EQ_U64 (s_info (&self).floor, 50);
    s_seek (&self, 1000);
    CHECK_EQ_U64 (s_info (&self).floor, 50);
    kit_append (self.store, self.spool, 10, 100);
    CHECK_EQ_U64 (s_info (&self).pending, 10);
    kit_done (&self);
}

TEST (test_store_seek_is_durable)
{
    kit_setup_t self = s_setup (5);
    kit_ack (self.store, self.spool, self.cursor, 15, 16);
    s_seek (&self, 13);
    zspool_store_destroy (&self.store);
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_EQ_U64 (s_info (&self).floor, 12);
    CHECK_EQ_U64 (s_info (&self).generation, 2);
    CHECK_EQ_U64 (s_info (&self).pending, 38);
    kit_done (&self);
}

TEST (test_store_seek_that_is_rolled_back_did_not_happen)
{
    kit_setup_t self = s_setup (5);
    kit_ack (self.store, self.spool, self.cursor, 15, 16);
    zspool_cursor_info_t before = s_info (&self);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_ack (self.store, self.spool, self.cursor, 1, 1));
    CHECK_OK (zspool_store_seek_cursor (self.store, self.spool, self.cursor, 40));
    CHECK_OK (zspool_store_ack (self.store, self.spool, self.cursor, 42, 43));
    zspool_store_rollback (self.store);
    zspool_cursor_info_t after = s_info (&self);
    CHECK_EQ_MEM (&after, sizeof after, &before, sizeof before);
    kit_ack (self.store, self.spool, self.cursor, 1, 14);
    CHECK_EQ_U64 (s_info (&self).floor, 16);
    kit_done (&self);
}

TEST (test_store_seek_makes_changes_of_the_generation_before_void)
{
    kit_setup_t self = s_setup (5);
    zspool_cursor_t *tracker;
    CHECK_OK (zspool_store_track_cursor (self.store, self.spool, self.cursor, &tracker));
    CHECK_OK (zspool_cursor_cover (tracker, 1, 10));
    zspool_cursor_ack (tracker, 1, 10);
    zspool_cursor_change_t *change = zspool_cursor_take_change (tracker);
    s_seek (&self, 6);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_change_cursor (self.store, change));
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_EQ_U64 (s_info (&self).floor, 5);
    free (change);
    zspool_cursor_destroy (&tracker);
    kit_done (&self);
}

TEST (test_store_seek_lets_a_queue_remove_what_was_passed)
{
    kit_setup_t self = s_setup (5);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_set_retention (self.store, self.spool, &zspool_retention_queue));
    CHECK_OK (zspool_store_seek_cursor (self.store, self.spool, self.cursor, 35));
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).first_sequence, 31);
    kit_done (&self);
}

TEST (test_store_seek_that_makes_no_sense_gives_einval)
{
    kit_setup_t self = s_setup (1);
    CHECK_CODE (zspool_store_seek_cursor (self.store, self.spool, self.cursor, 1), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (zspool_store_seek_cursor (self.store, self.spool, self.cursor, 0), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_seek_cursor (self.store, self.spool, 77, 1), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_seek_cursor (self.store, 77, self.cursor, 1), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_EQ_U64 (s_info (&self).generation, 1);
    kit_done (&self);
}

//  ---- deleting

static void
s_delete (kit_setup_t *self, uint32_t cursor)
{
    CHECK_OK (zspool_store_begin (self->store));
    CHECK_OK (zspool_store_delete_cursor (self->store, self->spool, cursor));
    CHECK_OK (zspool_store_commit (self->store));
}

//  How many cursors are listed
static size_t
s_count_cursors (kit_setup_t *self)
{
    zspool_cursor_info_t info;
    size_t count = 0;
    while (zspool_store_cursor_info (self->store, self->spool, count, &info) == ZSPOOL_OK)
        count++;
    return count;
}

TEST (test_store_delete_cursor_is_durable_and_frees_its_name)
{
    kit_setup_t self = s_setup (5);
    uint32_t other = kit_cursor (self.store, self.spool, "other", ZSPOOL_START_FIRST), found;
    kit_ack (self.store, self.spool, other, 12, 13);
    s_delete (&self, other);
    CHECK_EQ_U64 (s_count_cursors (&self), 1);
    CHECK_CODE (zspool_store_cursor (self.store, self.spool, "other", 1, &found), ZSPOOL_ENOENT);
    zspool_store_destroy (&self.store);
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_CODE (zspool_store_cursor (self.store, self.spool, "other", 1, &found), ZSPOOL_ENOENT);
    found = kit_cursor (self.store, self.spool, "other", ZSPOOL_START_FIRST);
    CHECK (found != other);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, found).pending, 50);
    kit_done (&self);
}

TEST (test_store_delete_cursor_leaves_no_record)
{
    kit_setup_t self = s_setup (5);
    uint32_t other = kit_cursor (self.store, self.spool, "other", ZSPOOL_START_FIRST);
    kit_ack (self.store, self.spool, other, 12, 13);
    kit_ack (self.store, self.spool, other, 22, 23);
    s_delete (&self, other);
    zspool_walk_t walk;
    zspool_cursor_entry_t entry;
    CHECK_OK (zspool_view_take (self.store->view));
    CHECK_OK (zspool_walk_entries (&walk, self.store->view, self.store->state, self.spool, other));
    CHECK_CODE (zspool_walk_next_entry (&walk, &entry), ZSPOOL_ENOENT);
    zspool_walk_close (&walk);
    zspool_view_release (self.store->view);
    kit_done (&self);
}

TEST (test_store_delete_cursor_lets_go_what_only_that_held)
{
    kit_setup_t self = s_setup (5);
    uint32_t other = kit_cursor (self.store, self.spool, "other", ZSPOOL_START_FIRST);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_set_retention (self.store, self.spool, &zspool_retention_queue));
    CHECK_OK (zspool_store_ack (self.store, self.spool, self.cursor, 1, 34));
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).first_sequence, 1);
    s_delete (&self, other);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).first_sequence, 31);
    //  Nobody is left who could acknowledge: a queue keeps all.
    s_delete (&self, self.cursor);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).first_sequence, 31);
    kit_append (self.store, self.spool, 10, 100);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).messages, 30);
    kit_done (&self);
}

TEST (test_store_delete_cursor_that_is_rolled_back_did_not_happen)
{
    kit_setup_t self = s_setup (5);
    uint32_t other = kit_cursor (self.store, self.spool, "other", ZSPOOL_START_FIRST), again;
    kit_ack (self.store, self.spool, self.cursor, 1, 3);
    kit_ack (self.store, self.spool, self.cursor, 15, 16);
    zspool_cursor_info_t before = s_info (&self);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_ack (self.store, self.spool, self.cursor, 4, 4));
    CHECK_OK (zspool_store_delete_cursor (self.store, self.spool, self.cursor));
    CHECK_CODE (zspool_store_delete_cursor (self.store, self.spool, self.cursor), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_ack (self.store, self.spool, self.cursor, 5, 5), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_cursor (self.store, self.spool, "main", ZSPOOL_START_NEW, &again));
    CHECK (again != self.cursor && again != other);
    CHECK_OK (zspool_store_delete_cursor (self.store, self.spool, again));
    zspool_store_rollback (self.store);
    zspool_cursor_info_t after = s_info (&self);
    CHECK_EQ_MEM (&after, sizeof after, &before, sizeof before);
    CHECK_EQ_U64 (s_count_cursors (&self), 2);
    kit_ack (self.store, self.spool, self.cursor, 4, 14);
    CHECK_EQ_U64 (s_info (&self).floor, 16);
    kit_done (&self);
}

TEST (test_store_delete_cursor_and_create_it_anew_in_one_transaction)
{
    kit_setup_t self = s_setup (5);
    uint32_t again;
    kit_ack (self.store, self.spool, self.cursor, 1, 33);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_delete_cursor (self.store, self.spool, self.cursor));
    CHECK_OK (zspool_store_cursor (self.store, self.spool, "main", 21, &again));
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_EQ_U64 (s_count_cursors (&self), 1);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, again).floor, 20);
    kit_ack (self.store, self.spool, again, 21, 50);
    kit_done (&self);
}

TEST (test_store_delete_cursor_that_makes_no_sense_gives_einval)
{
    kit_setup_t self = s_setup (1);
    CHECK_CODE (zspool_store_delete_cursor (self.store, self.spool, self.cursor), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (zspool_store_delete_cursor (self.store, self.spool, 77), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_delete_cursor (self.store, 77, self.cursor), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_commit (self.store));
    kit_done (&self);
}
