//  test_store_cursors.c - tests of cursors of a store: where they start, acknowledging, what is
//  stored of it
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"

//  A store with one spool, blocks of ten messages, and a cursor from the first
typedef struct {
    zspool_store_t *store;
    uint32_t spool;
    uint32_t cursor;
} s_setup_t;

static s_setup_t
s_setup (int blocks)
{
    s_setup_t self;
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    self.spool = kit_spool (self.store, "main");
    self.cursor = kit_cursor (self.store, self.spool, "main", ZSPOOL_START_FIRST);
    for (int block = 0; block < blocks; block++)
        kit_append (self.store, self.spool, 10, 100);
    return self;
}

static void
s_reopen (s_setup_t *self)
{
    zspool_store_destroy (&self->store);
    self->store = kit_open (KIT_STORE, ZSPOOL_WRITE);
}

static void
s_done (s_setup_t *self)
{
    kit_check_sound (self->store);
    zspool_store_destroy (&self->store);
}

static int
s_ack (s_setup_t *self, uint64_t first, uint64_t last)
{
    return zspool_store_ack (self->store, self->spool, self->cursor, first, last);
}

static void
s_check (s_setup_t *self, uint64_t floor, uint64_t pending)
{
    zspool_cursor_info_t info = kit_cursor_info (self->store, self->spool, self->cursor);
    CHECK_EQ_U64 (info.floor, floor);
    CHECK_EQ_U64 (info.pending, pending);
}

//  ---- where a cursor starts

static void
s_check_start (s_setup_t *self, const char *name, uint64_t start, uint64_t floor)
{
    uint32_t cursor = kit_cursor (self->store, self->spool, name, start);
    zspool_cursor_info_t info = kit_cursor_info (self->store, self->spool, cursor);
    CHECK_EQ_STR (info.name, name);
    CHECK_EQ_U64 (info.generation, 1);
    CHECK_EQ_U64 (info.floor, floor);
    CHECK_EQ_U64 (info.sent_to, floor);
    CHECK_EQ_U64 (info.in_flight, 0);
}

TEST (test_store_cursor_starts_where_it_is_told)
{
    s_setup_t self = s_setup (2);
    s_check_start (&self, "first", ZSPOOL_START_FIRST, 0);
    s_check_start (&self, "new", ZSPOOL_START_NEW, 20);
    s_check_start (&self, "at-2", 2, 1);
    s_check_start (&self, "at-15", 15, 14);
    s_check_start (&self, "at-last", 20, 19);
    s_check_start (&self, "at-next", 21, 20);
    s_check_start (&self, "beyond", 22, 20);
    s_check_start (&self, "far-beyond", UINT64_MAX - 1, 20);
    s_done (&self);
}

TEST (test_store_cursor_on_empty_spool_starts_at_0)
{
    s_setup_t self = s_setup (0);
    s_check_start (&self, "first", ZSPOOL_START_FIRST, 0);
    s_check_start (&self, "new", ZSPOOL_START_NEW, 0);
    s_check_start (&self, "at-5", 5, 0);
    s_done (&self);
}

TEST (test_store_cursor_starts_behind_what_was_trimmed)
{
    s_setup_t self = s_setup (3);
    kit_ack (self.store, self.spool, self.cursor, 1, 15);
    s_check_start (&self, "first", ZSPOOL_START_FIRST, 10);
    s_check_start (&self, "at-5", 5, 10);
    s_check_start (&self, "at-12", 12, 11);
    s_done (&self);
}

TEST (test_store_cursor_starts_behind_all_when_all_was_trimmed)
{
    s_setup_t self = s_setup (1);
    kit_ack (self.store, self.spool, self.cursor, 1, 10);
    s_check_start (&self, "first", ZSPOOL_START_FIRST, 10);
    s_check_start (&self, "at-5", 5, 10);
    s_done (&self);
}

TEST (test_store_cursor_found_again_does_not_move)
{
    s_setup_t self = s_setup (1);
    uint32_t cursor = 0;
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_cursor (self.store, self.spool, "main", ZSPOOL_START_NEW, &cursor));
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_EQ_U64 (cursor, self.cursor);
    s_check (&self, 0, 10);
    s_done (&self);
}

TEST (test_store_cursor_created_in_the_transaction_that_appends_sees_that)
{
    s_setup_t self = s_setup (1);
    uint32_t before = 0, behind = 0;
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_cursor (self.store, self.spool, "before", ZSPOOL_START_NEW, &before));
    CHECK_OK (kit_try_append (self.store, self.spool, 10, 100));
    CHECK_OK (zspool_store_cursor (self.store, self.spool, "behind", ZSPOOL_START_NEW, &behind));
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, before).pending, 10);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, behind).pending, 0);
    s_done (&self);
}

//  ---- acknowledging

TEST (test_store_acked_in_order_raises_the_floor)
{
    s_setup_t self = s_setup (3);
    kit_ack (self.store, self.spool, self.cursor, 1, 1);
    s_check (&self, 1, 29);
    kit_ack (self.store, self.spool, self.cursor, 2, 10);
    s_check (&self, 10, 20);
    kit_ack (self.store, self.spool, self.cursor, 11, 29);
    s_check (&self, 29, 1);
    kit_ack (self.store, self.spool, self.cursor, 30, 30);
    s_check (&self, 30, 0);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).messages, 0);
    s_done (&self);
}

TEST (test_store_acked_out_of_order_waits_for_the_first)
{
    s_setup_t self = s_setup (3);
    kit_ack (self.store, self.spool, self.cursor, 30, 30);
    kit_ack (self.store, self.spool, self.cursor, 5, 12);
    kit_ack (self.store, self.spool, self.cursor, 2, 3);
    s_check (&self, 0, 30 - 1 - 8 - 2);
    kit_ack (self.store, self.spool, self.cursor, 1, 1);
    s_check (&self, 3, 30 - 1 - 8 - 3);
    kit_ack (self.store, self.spool, self.cursor, 4, 4);
    s_check (&self, 12, 30 - 1 - 12);
    kit_ack (self.store, self.spool, self.cursor, 13, 29);
    s_check (&self, 30, 0);
    s_done (&self);
}

TEST (test_store_acked_survives_reopening)
{
    s_setup_t self = s_setup (3);
    kit_ack (self.store, self.spool, self.cursor, 30, 30);
    kit_ack (self.store, self.spool, self.cursor, 5, 12);
    s_reopen (&self);
    s_check (&self, 0, 21);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (s_ack (&self, 30, 30), ZSPOOL_ESTALE);
    CHECK_CODE (s_ack (&self, 12, 13), ZSPOOL_ESTALE);
    CHECK_OK (s_ack (&self, 1, 4));
    CHECK_OK (s_ack (&self, 13, 29));
    CHECK_OK (zspool_store_commit (self.store));
    s_check (&self, 30, 0);
    s_reopen (&self);
    s_check (&self, 30, 0);
    s_done (&self);
}

TEST (test_store_ack_of_what_is_not_pending_gives_estale)
{
    s_setup_t self = s_setup (3);
    kit_ack (self.store, self.spool, self.cursor, 1, 3);
    kit_ack (self.store, self.spool, self.cursor, 15, 15);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (s_ack (&self, 3, 3), ZSPOOL_ESTALE);
    CHECK_CODE (s_ack (&self, 3, 5), ZSPOOL_ESTALE);
    CHECK_CODE (s_ack (&self, 15, 15), ZSPOOL_ESTALE);
    CHECK_CODE (s_ack (&self, 4, 15), ZSPOOL_ESTALE);
    CHECK_CODE (s_ack (&self, 15, 20), ZSPOOL_ESTALE);
    CHECK_CODE (s_ack (&self, 30, 31), ZSPOOL_ESTALE);
    CHECK_CODE (s_ack (&self, 31, 31), ZSPOOL_ESTALE);
    CHECK_CODE (s_ack (&self, 4, UINT64_MAX), ZSPOOL_ESTALE);
    CHECK_CODE (s_ack (&self, UINT64_MAX, UINT64_MAX), ZSPOOL_ESTALE);
    CHECK_CODE (s_ack (&self, 0, 5), ZSPOOL_EINVAL);
    CHECK_CODE (s_ack (&self, 5, 4), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_commit (self.store));
    s_check (&self, 3, 26);
    s_reopen (&self);
    s_check (&self, 3, 26);
    s_done (&self);
}

TEST (test_store_ack_after_a_stale_one_counts)
{
    s_setup_t self = s_setup (3);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (s_ack (&self, 5, 5));
    CHECK_CODE (s_ack (&self, 5, 5), ZSPOOL_ESTALE);
    CHECK_CODE (s_ack (&self, 1, 30), ZSPOOL_ESTALE);
    CHECK_OK (s_ack (&self, 1, 4));
    CHECK_OK (zspool_store_commit (self.store));
    s_check (&self, 5, 25);
    s_done (&self);
}

TEST (test_store_ack_rolled_back_can_be_given_again)
{
    s_setup_t self = s_setup (3);
    kit_ack (self.store, self.spool, self.cursor, 2, 2);
    for (int round = 0; round < 2; round++) {
        CHECK_OK (zspool_store_begin (self.store));
        CHECK_OK (s_ack (&self, 1, 1));
        CHECK_OK (s_ack (&self, 3, 30));
        zspool_store_rollback (self.store);
        s_check (&self, 0, 29);
        CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).messages, 30);
    }
    kit_ack (self.store, self.spool, self.cursor, 1, 1);
    s_check (&self, 2, 28);
    s_done (&self);
}

TEST (test_store_ack_of_what_a_rolled_back_transaction_appended_gives_estale)
{
    s_setup_t self = s_setup (1);
    kit_ack (self.store, self.spool, self.cursor, 2, 2);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (kit_try_append (self.store, self.spool, 10, 100));
    CHECK_OK (s_ack (&self, 15, 15));
    zspool_store_rollback (self.store);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (s_ack (&self, 15, 15), ZSPOOL_ESTALE);
    CHECK_OK (kit_try_append (self.store, self.spool, 5, 100));
    CHECK_OK (s_ack (&self, 15, 15));
    CHECK_CODE (s_ack (&self, 16, 16), ZSPOOL_ESTALE);
    CHECK_OK (zspool_store_commit (self.store));
    s_check (&self, 0, 13);
    s_done (&self);
}

TEST (test_store_ack_of_many_messages_in_one_range)
{
    s_setup_t self = s_setup (0);
    CHECK_OK (zspool_store_begin (self.store));
    for (int block = 0; block < 20; block++)
        CHECK_OK (kit_try_append (self.store, self.spool, 10000, 8));
    CHECK_OK (zspool_store_commit (self.store));
    kit_ack (self.store, self.spool, self.cursor, 2, 199999);
    s_check (&self, 0, 2);
    s_reopen (&self);
    s_check (&self, 0, 2);
    kit_ack (self.store, self.spool, self.cursor, 1, 1);
    s_check (&self, 199999, 1);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).messages, 10000);
    s_done (&self);
}

//  ---- changes that an outlet hands in

static zspool_cursor_t *
s_track (s_setup_t *self)
{
    zspool_cursor_t *tracker = NULL;
    CHECK_OK (zspool_store_track_cursor (self->store, self->spool, self->cursor, &tracker));
    return tracker;
}

static void
s_store_change (s_setup_t *self, zspool_cursor_t *tracker)
{
    zspool_cursor_change_t *change = zspool_cursor_take_change (tracker);
    CHECK (change);
    CHECK_OK (zspool_store_begin (self->store));
    CHECK_OK (zspool_store_change_cursor (self->store, change));
    CHECK_OK (zspool_store_commit (self->store));
    free (change);
}

TEST (test_store_change_survives_reopening)
{
    s_setup_t self = s_setup (3);
    zspool_cursor_t *tracker = s_track (&self);
    for (uint64_t first = 1; first <= 21; first += 10) {
        CHECK_OK (zspool_cursor_cover (tracker, first, 10));
        CHECK_OK (zspool_cursor_sent (tracker, first, first == 21? 25: first + 9, 1));
    }
    CHECK_OK (zspool_cursor_sent (tracker, 7, 7, 2));
    CHECK_EQ_U64 (zspool_cursor_ack (tracker, 1, 3), 3);
    CHECK_EQ_U64 (zspool_cursor_ack (tracker, 12, 14), 3);
    s_store_change (&self, tracker);
    zspool_cursor_destroy (&tracker);
    for (int round = 0; round < 2; round++) {
        zspool_cursor_info_t info = kit_cursor_info (self.store, self.spool, self.cursor);
        CHECK_EQ_U64 (info.floor, 3);
        CHECK_EQ_U64 (info.sent_to, 25);
        CHECK_EQ_U64 (info.pending, 24);
        CHECK_EQ_U64 (info.in_flight, 19);
        tracker = s_track (&self);
        CHECK_EQ_U64 (zspool_cursor_floor (tracker), 3);
        CHECK_EQ_U64 (zspool_cursor_sent_to (tracker), 25);
        CHECK_EQ_U64 (zspool_cursor_in_flight (tracker), 19);
        for (uint64_t sequence = 1; sequence <= 25; sequence++) {
            bool acked = sequence <= 3 || (sequence >= 12 && sequence <= 14);
            CHECK (zspool_cursor_acked (tracker, sequence) == acked);
            if (!acked)
                CHECK_EQ_U64 (zspool_cursor_deliveries (tracker, sequence), sequence == 7? 2: 1);
        }
        zspool_cursor_destroy (&tracker);
        s_reopen (&self);
    }
    s_done (&self);
}

TEST (test_store_change_that_makes_no_sense_gives_einval)
{
    s_setup_t self = s_setup (1);
    zspool_cursor_change_t change = { .spool = self.spool, .cursor = self.cursor, .generation = 1 };
    change.sent_to = 10;
    CHECK_CODE (zspool_store_change_cursor (self.store, &change), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_begin (self.store));
    change.floor = 6;
    change.sent_to = 5;
    CHECK_CODE (zspool_store_change_cursor (self.store, &change), ZSPOOL_EINVAL);
    change.sent_to = 10;
    change.cursor++;
    CHECK_CODE (zspool_store_change_cursor (self.store, &change), ZSPOOL_EINVAL);
    change.cursor--;
    change.spool++;
    CHECK_CODE (zspool_store_change_cursor (self.store, &change), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_commit (self.store));
    s_check (&self, 0, 10);
    s_done (&self);
}

TEST (test_store_change_that_is_ahead_of_the_store_is_clipped)
{
    //  Under async deliveries and acknowledgements may be ahead of what is committed.
    s_setup_t self = s_setup (1);
    zspool_cursor_t *tracker = s_track (&self);
    for (uint64_t first = 1; first <= 21; first += 10) {
        CHECK_OK (zspool_cursor_cover (tracker, first, 10));
        CHECK_OK (zspool_cursor_sent (tracker, first, first + 9, 1));
    }
    CHECK_EQ_U64 (zspool_cursor_ack (tracker, 25, 26), 2);
    CHECK_EQ_U64 (zspool_cursor_ack (tracker, 1, 13), 13);
    s_store_change (&self, tracker);
    zspool_cursor_info_t info = kit_cursor_info (self.store, self.spool, self.cursor);
    CHECK_EQ_U64 (info.floor, 10);
    CHECK_EQ_U64 (info.sent_to, 10);
    CHECK_EQ_U64 (info.pending, 0);
    kit_append (self.store, self.spool, 10, 100);
    kit_append (self.store, self.spool, 10, 100);
    s_check (&self, 10, 20);
    zspool_cursor_destroy (&tracker);
    s_done (&self);
}

TEST (test_store_change_of_another_generation_is_ignored)
{
    s_setup_t self = s_setup (3);
    zspool_cursor_t *tracker = s_track (&self);
    CHECK_OK (zspool_cursor_cover (tracker, 1, 10));
    CHECK_OK (zspool_cursor_sent (tracker, 1, 10, 1));
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_trim (self.store, self.spool, 5));
    CHECK_OK (zspool_store_commit (self.store));
    s_check (&self, 5, 25);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, self.cursor).generation, 2);
    CHECK_EQ_U64 (zspool_cursor_ack (tracker, 1, 10), 10);
    s_store_change (&self, tracker);
    s_check (&self, 5, 25);
    zspool_cursor_destroy (&tracker);
    s_done (&self);
}

TEST (test_store_in_flight_counts_what_was_sent_only)
{
    //  1 to 5 were sent; 8 to 10 were acknowledged through the API, and never sent.
    s_setup_t self = s_setup (1);
    zspool_cursor_t *tracker = s_track (&self);
    CHECK_OK (zspool_cursor_cover (tracker, 1, 10));
    CHECK_OK (zspool_cursor_sent (tracker, 1, 5, 1));
    s_store_change (&self, tracker);
    zspool_cursor_destroy (&tracker);
    kit_ack (self.store, self.spool, self.cursor, 8, 10);
    kit_ack (self.store, self.spool, self.cursor, 2, 2);
    zspool_cursor_info_t info = kit_cursor_info (self.store, self.spool, self.cursor);
    CHECK_EQ_U64 (info.sent_to, 5);
    CHECK_EQ_U64 (info.pending, 6);
    CHECK_EQ_U64 (info.in_flight, 4);
    s_done (&self);
}

//  ---- stored entries that are damaged

TEST (test_store_damaged_entry_only_makes_messages_pending_again)
{
    s_setup_t self = s_setup (3);
    kit_ack (self.store, self.spool, self.cursor, 3, 8);
    kit_ack (self.store, self.spool, self.cursor, 22, 25);
    s_check (&self, 0, 20);
    zspool_store_destroy (&self.store);
    //  The entry of the first block: ten messages, no counts, six bits
    static const uint8_t entry [] = { 10, 0, 0, 0, 0, 0, 0, 0, 0xfc, 0 };
    CHECK (kit_flip (KIT_STORE "/data.mdb", entry, sizeof entry) > 0);
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    s_check (&self, 0, 26);
    CHECK_EQ_I64 (kit_verify (self.store), 1);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (s_ack (&self, 1, 30), ZSPOOL_ESTALE);
    CHECK_OK (s_ack (&self, 1, 21));
    CHECK_OK (s_ack (&self, 26, 30));
    CHECK_OK (zspool_store_commit (self.store));
    s_check (&self, 30, 0);
    s_done (&self);
}
