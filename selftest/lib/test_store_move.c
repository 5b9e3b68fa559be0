//  test_store_move.c - tests of moves between spools: whatever fails, each message is in one of them
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/fault.h"
#include "dead.h"
#include "kit.h"

#include <signal.h>
#include <sys/mman.h>

#define MESSAGES_MAX 64                //  of the workload
#define MESSAGE_BYTES 700

//  What is known of a store after a workload; shared with the child that does it
typedef struct {
    uint64_t appended;                 //  messages, numbered as they were stored, committed
    int rc;                            //  first failure, or 0
} s_ledger_t;

typedef struct {
    zspool_store_t *store;
    uint32_t spool;
    uint32_t cursor;
    uint32_t dead;                     //  spool of dead letters
} s_setup_t;

static int
s_prepare (s_setup_t *self)
{
    int rc = zspool_store_begin (self->store);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_spool (self->store, "main", &self->spool);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_cursor (self->store, self->spool, "out", 1, &self->cursor);
    if (rc == ZSPOOL_OK)
        rc = zspool_dead_prepare (self->store, "main", &self->dead);
    return rc? rc: zspool_store_commit (self->store);
}

static s_setup_t
s_setup (void)
{
    s_setup_t self = { .store = kit_open (KIT_STORE, ZSPOOL_WRITE) };
    CHECK_OK (s_prepare (&self));
    return self;
}

static void
s_done (s_setup_t *self)
{
    kit_check_sound (self->store);
    zspool_store_destroy (&self->store);
}

//  End a transaction by what has come of it.
static int
s_end (zspool_store_t *store, int rc)
{
    if (rc == ZSPOOL_OK)
        return zspool_store_commit (store);
    zspool_store_rollback (store);
    return rc;
}

static int
s_append (s_setup_t *self, uint64_t number, uint32_t count)
{
    zspool_block_t *block = kit_block_new (number, count, MESSAGE_BYTES);
    int rc = zspool_store_begin (self->store);
    if (rc == ZSPOOL_OK)
        rc = s_end (self->store, zspool_store_append (self->store, self->spool, block));
    zspool_block_destroy (&block);
    return rc;
}

//  A burial of the pending messages first..last, as an outlet makes one
static zspool_move_t *
s_burial (s_setup_t *self, uint64_t first, uint64_t last)
{
    zspool_move_t *move = zspool_move_new (1);
    zspool_reader_t *reader = zspool_reader_new (self->store, self->spool);
    zspool_block_t *block = NULL;
    zspool_record_t record;
    CHECK (move && reader);
    zspool_reader_seek (reader, first);
    for (bool more = true; more && zspool_reader_next (reader, &block) == ZSPOOL_OK; zspool_block_destroy (&block)) {
        zspool_block_rewind (block, &record);
        while ((more = zspool_block_next (block, &record)) && record.sequence <= last) {
            if (record.sequence < first)
                continue;
            zspool_history_t history = { .deaths_ever = 0 };
            zspool_death_t death = { .sequence = record.sequence, .deliveries = 3, .died_us = 1 };
            (void) zspool_history_read (&history, &record);
            zspool_history_add (&history, "main", &death);
            CHECK_OK (zspool_move_add (move, &record, &history));
        }
        more = zspool_block_last_sequence (block) < last;
    }
    zspool_reader_destroy (&reader);
    CHECK_OK (zspool_block_seal (move->block));
    move->to = self->dead;
    move->from = self->spool;
    move->cursor = self->cursor;
    move->is_burial = true;
    return move;
}

static int
s_bury (s_setup_t *self, uint64_t first, uint64_t last)
{
    zspool_move_t *move = s_burial (self, first, last);
    int rc = zspool_store_begin (self->store);
    if (rc == ZSPOOL_OK)
        rc = s_end (self->store, zspool_store_move (self->store, move));
    zspool_move_destroy (&move);
    return rc;
}

static int
s_requeue (s_setup_t *self, uint64_t first, uint64_t last)
{
    zspool_dead_t *dead = zspool_dead_new (self->store, "main");
    if (!dead)
        return ZSPOOL_EIO;
    int rc = zspool_dead_requeue (dead, first, last, NULL);
    zspool_dead_destroy (&dead);
    return rc;
}

//  Count how often each number is pending in a spool.
static void
s_count (zspool_store_t *store, uint32_t spool, uint32_t cursor, unsigned counts [MESSAGES_MAX + 1])
{
    zspool_cursor_t *tracker = NULL;
    zspool_reader_t *reader = zspool_reader_new (store, spool);
    zspool_block_t *block = NULL;
    zspool_record_t record;
    zspool_frame_t frame;
    CHECK_OK (zspool_store_track_cursor (store, spool, cursor, &tracker));
    for (; zspool_reader_next (reader, &block) == ZSPOOL_OK; zspool_block_destroy (&block)) {
        zspool_block_rewind (block, &record);
        while (zspool_block_next (block, &record)) {
            if (zspool_cursor_acked (tracker, record.sequence))
                continue;
            CHECK (zspool_record_next_frame (&record, &frame) && frame.size == MESSAGE_BYTES);
            uint64_t number;
            memcpy (&number, frame.data, sizeof number);
            kit_check_filled ((const uint8_t *) frame.data, frame.size, number);
            CHECK (number > 0 && number <= MESSAGES_MAX);
            counts [number]++;
        }
    }
    zspool_reader_destroy (&reader);
    zspool_cursor_destroy (&tracker);
}

//  Each message up to `appended` is pending in exactly one spool; of those behind, which a failed commit may have
//  stored after all, in one at the most. Gives how many there are.
static uint64_t
s_check_one_of_each (s_setup_t *self, uint64_t appended)
{
    unsigned counts [MESSAGES_MAX + 1] = { 0 };
    uint64_t found = 0;
    s_count (self->store, self->spool, self->cursor, counts);
    s_count (self->store, self->dead, kit_cursor (self->store, self->dead, ZSPOOL_DEAD_CURSOR, 1), counts);
    for (uint64_t number = 1; number <= MESSAGES_MAX; number++) {
        CHECK (number <= appended? counts [number] == 1: counts [number] <= 1);
        found += counts [number];
    }
    return found;
}

//  ---- moves

TEST (test_store_move_buries_and_puts_back)
{
    s_setup_t self = s_setup ();
    CHECK_OK (s_append (&self, 1, 10));
    CHECK_OK (s_bury (&self, 3, 6));
    CHECK_EQ_U64 (s_check_one_of_each (&self, 10), 10);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, self.cursor).pending, 6);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.dead).messages, 4);
    CHECK_OK (s_requeue (&self, 2, 3));
    CHECK_EQ_U64 (s_check_one_of_each (&self, 10), 10);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).last_sequence, 12);
    CHECK_OK (s_bury (&self, 11, 12));
    CHECK_EQ_U64 (s_check_one_of_each (&self, 10), 10);
    zspool_dead_t *dead = zspool_dead_new (self.store, "main");
    zspool_letter_t letter;
    CHECK_OK (zspool_dead_seek (dead, 5));
    CHECK_OK (zspool_dead_next (dead, &letter));
    CHECK_EQ_U64 (letter.history.deaths_ever, 2);
    CHECK_EQ_U64 (letter.history.deaths [0].sequence, 4);
    CHECK_EQ_U64 (letter.history.deaths [1].sequence, 11);
    zspool_dead_destroy (&dead);
    s_done (&self);
}

//  A message leaves the index of its block behind, and takes its frames along.
TEST (test_store_move_of_messages_in_an_indexed_block)
{
    static const char *const topics [] = { "a", "b", "a", "b" };
    s_setup_t self = s_setup ();
    zspool_block_t *block = kit_block_new_topics (1, topics, 4, MESSAGE_BYTES, true);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_append (self.store, self.spool, block));
    CHECK_OK (zspool_store_commit (self.store));
    zspool_block_destroy (&block);
    CHECK_OK (s_bury (&self, 2, 3));
    CHECK_OK (s_requeue (&self, 1, 2));
    zspool_reader_t *reader = zspool_reader_new (self.store, self.spool);
    zspool_record_t record;
    CHECK_OK (zspool_reader_next (reader, &block));
    CHECK_EQ_U64 (zspool_block_topics (block), 2);
    zspool_block_destroy (&block);
    CHECK_OK (zspool_reader_next (reader, &block));
    CHECK_EQ_U64 (zspool_block_topics (block), 0);
    zspool_block_rewind (block, &record);
    for (uint64_t number = 2; number <= 3; number++) {
        CHECK (zspool_block_next (block, &record));
        CHECK_EQ_U64 (record.sequence, number + 3);
        record.sequence = number;
        kit_check_topic (&record, topics [number - 1]);
        record.sequence = number + 3;
    }
    CHECK (!zspool_block_next (block, &record));
    zspool_block_destroy (&block);
    zspool_reader_destroy (&reader);
    s_done (&self);
}

TEST (test_store_move_of_what_is_not_pending_changes_nothing)
{
    s_setup_t self = s_setup ();
    CHECK_OK (s_append (&self, 1, 10));
    zspool_move_t *move = s_burial (&self, 3, 6);
    kit_ack (self.store, self.spool, self.cursor, 5, 5);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (zspool_store_move (self.store, move), ZSPOOL_ESTALE);
    //  The transaction can go on.
    CHECK_OK (zspool_store_ack (self.store, self.spool, self.cursor, 1, 1));
    CHECK_OK (zspool_store_commit (self.store));
    zspool_move_destroy (&move);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.dead).messages, 0);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, self.cursor).pending, 8);
    s_done (&self);
}

TEST (test_store_move_rolled_back_leaves_all_where_it_was)
{
    s_setup_t self = s_setup ();
    CHECK_OK (s_append (&self, 1, 10));
    zspool_move_t *move = s_burial (&self, 1, 10);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_move (self.store, move));
    zspool_store_rollback (self.store);
    zspool_move_destroy (&move);
    CHECK_EQ_U64 (s_check_one_of_each (&self, 10), 10);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.dead).messages, 0);
    CHECK_OK (s_bury (&self, 1, 10));
    CHECK_EQ_U64 (s_check_one_of_each (&self, 10), 10);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).messages, 0);
    s_done (&self);
}

TEST (test_store_move_that_makes_no_sense_is_einval)
{
    s_setup_t self = s_setup ();
    CHECK_OK (s_append (&self, 1, 4));
    zspool_move_t *move = s_burial (&self, 1, 2);
    CHECK_CODE (zspool_store_move (self.store, move), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_begin (self.store));
    move->to = 99;
    CHECK_CODE (zspool_store_move (self.store, move), ZSPOOL_EINVAL);
    move->to = self.dead;
    move->cursor = 99;
    CHECK_CODE (zspool_store_move (self.store, move), ZSPOOL_EINVAL);
    zspool_store_rollback (self.store);
    zspool_move_destroy (&move);
    CHECK_EQ_U64 (s_check_one_of_each (&self, 4), 4);
    s_done (&self);
}

//  What the same transaction acknowledges before and behind the move is kept, or undone, with it.
TEST (test_store_move_among_acknowledgements_keeps_them)
{
    s_setup_t self = s_setup ();
    CHECK_OK (s_append (&self, 1, 10));
    for (int round = 0; round < 2; round++) {
        zspool_move_t *move = s_burial (&self, 3, 6);
        CHECK_OK (zspool_store_begin (self.store));
        CHECK_OK (zspool_store_ack (self.store, self.spool, self.cursor, 2, 2));
        CHECK_OK (zspool_store_move (self.store, move));
        CHECK_CODE (zspool_store_ack (self.store, self.spool, self.cursor, 4, 4), ZSPOOL_ESTALE);
        CHECK_OK (zspool_store_ack (self.store, self.spool, self.cursor, 8, 8));
        CHECK_CODE (zspool_store_move (self.store, move), ZSPOOL_ESTALE);
        if (round == 0)
            zspool_store_rollback (self.store);
        else
            CHECK_OK (zspool_store_commit (self.store));
        zspool_move_destroy (&move);
        uint64_t pending = kit_cursor_info (self.store, self.spool, self.cursor).pending;
        CHECK_EQ_U64 (pending, round == 0? 10: 4);
        CHECK_EQ_U64 (kit_spool_info (self.store, self.dead).messages, round == 0? 0: 4);
    }
    zspool_store_destroy (&self.store);
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    unsigned counts [MESSAGES_MAX + 1] = { 0 };
    s_count (self.store, self.spool, self.cursor, counts);
    for (uint64_t number = 1; number <= MESSAGES_MAX; number++)
        CHECK_EQ_U64 (counts [number], number == 1 || number == 7 || number == 9 || number == 10);
    s_done (&self);
}

//  ---- no room

#define LARGE_BYTES (256 * 1024)       //  of the messages that fill a store

//  Append messages, one a block, until there is no room. Returns how many that were.
static uint64_t
s_fill (s_setup_t *self)
{
    uint64_t count = 0;
    for (int rc = ZSPOOL_OK; rc == ZSPOOL_OK; count += rc == ZSPOOL_OK) {
        CHECK (count < 1000);
        CHECK_OK (zspool_store_begin (self->store));
        rc = kit_try_append (self->store, self->spool, 1, LARGE_BYTES);
        CHECK (rc == ZSPOOL_OK || rc == ZSPOOL_ENOSPC);
        CHECK_OK (zspool_store_commit (self->store));
    }
    return count;
}

//  What is kept for acknowledging: a burial may take half of it, anything else nothing, and when
//  that is used up all that is left can be acknowledged still.
TEST (test_store_move_without_room_changes_nothing_and_a_burial_has_half_of_the_headroom)
{
    s_setup_t self = { .store = zspool_store_new (KIT_STORE) };
    CHECK_OK (zspool_store_set_map_bytes (self.store, 64 * 1024 * 1024));
    CHECK_OK (zspool_store_open (self.store, ZSPOOL_WRITE));
    CHECK_OK (s_prepare (&self));
    //  A spool with nothing in it may take from the headroom in any case: let there be a letter.
    CHECK_OK (s_append (&self, 1, 1));
    CHECK_OK (s_bury (&self, 1, 1));
    uint64_t filled = s_fill (&self), last = filled + 1, buried = 0;
    zspool_move_t *move = s_burial (&self, 2, 3);
    move->is_burial = false;
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (zspool_store_move (self.store, move), ZSPOOL_ENOSPC);
    CHECK_OK (zspool_store_commit (self.store));
    zspool_move_destroy (&move);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.dead).messages, 1);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, self.cursor).pending, filled);

    //  From the end: what is buried is not trimmed while older messages are pending, so that no
    //  space is freed.
    int rc = ZSPOOL_OK;
    for (; rc == ZSPOOL_OK && buried < filled; buried += rc == ZSPOOL_OK)
        rc = s_bury (&self, last - buried, last - buried);
    printf ("%llu filled it, %llu were buried then\n", (unsigned long long) filled,
            (unsigned long long) buried);
    CHECK_CODE (rc, ZSPOOL_ENOSPC);
    CHECK (buried > 0 && buried * LARGE_BYTES <= ZSPOOL_HEADROOM_BYTES / 2 + 2 * LARGE_BYTES);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.dead).messages, 1 + buried);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, self.cursor).pending, filled - buried);
    for (uint64_t sequence = 2; sequence <= last - buried; sequence++)
        kit_ack (self.store, self.spool, self.cursor, sequence, sequence);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).messages, 0);
    zspool_reader_t *reader = zspool_reader_new (self.store, self.dead);
    zspool_block_t *block = NULL;
    for (; zspool_reader_next (reader, &block) == ZSPOOL_OK; zspool_block_destroy (&block))
        buried -= zspool_block_count (block);
    CHECK_EQ_U64 (buried + 1, 0);
    zspool_reader_destroy (&reader);
    s_done (&self);
}

//  ---- dropping, and what is chosen

TEST (test_store_move_drops_what_is_chosen_and_trims)
{
    s_setup_t self = s_setup ();
    CHECK_OK (s_append (&self, 1, 20));
    CHECK_OK (s_bury (&self, 1, 20));
    zspool_dead_t *dead = zspool_dead_new (self.store, "main");
    uint64_t count = 77;
    CHECK_CODE (zspool_dead_drop (dead, 21, 30, &count), ZSPOOL_ENOENT);
    CHECK_EQ_U64 (count, 0);
    CHECK_CODE (zspool_dead_drop (dead, 0, 3, NULL), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_dead_drop (dead, 3, 2, NULL), ZSPOOL_EINVAL);
    CHECK_OK (zspool_dead_drop (dead, 5, 9, &count));
    CHECK_EQ_U64 (count, 5);
    CHECK_OK (zspool_dead_requeue (dead, 1, 12, &count));
    CHECK_EQ_U64 (count, 7);
    CHECK_OK (zspool_dead_drop (dead, 1, UINT64_MAX, &count));
    CHECK_EQ_U64 (count, 8);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.dead).messages, 0);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, self.cursor).pending, 7);
    zspool_dead_destroy (&dead);
    s_done (&self);
}

TEST (test_store_move_in_a_store_open_for_reading_is_ereadonly)
{
    s_setup_t self = s_setup ();
    CHECK_OK (s_append (&self, 1, 4));
    CHECK_OK (s_bury (&self, 1, 4));
    zspool_store_destroy (&self.store);
    self.store = kit_open (KIT_STORE, ZSPOOL_READ);
    zspool_dead_t *dead = zspool_dead_new (self.store, "main");
    zspool_letter_t letter;
    CHECK (dead);
    CHECK_OK (zspool_dead_next (dead, &letter));
    CHECK_EQ_U64 (letter.sequence, 1);
    CHECK_CODE (zspool_dead_requeue (dead, 1, 4, NULL), ZSPOOL_EREADONLY);
    CHECK_CODE (zspool_dead_drop (dead, 1, 4, NULL), ZSPOOL_EREADONLY);
    zspool_dead_destroy (&dead);
    CHECK (!zspool_dead_new (self.store, "nobody"));
    s_done (&self);
}

//  ---- faults

//  Append, bury and put back until something fails, or all is done.
static void
s_work (s_ledger_t *ledger)
{
    s_setup_t self = { .store = zspool_store_new (KIT_STORE) };
    ledger->appended = 0;
    CHECK_OK (zspool_store_set_map_bytes (self.store, SELFTEST_MAP_BYTES));
    int rc = zspool_store_open (self.store, ZSPOOL_WRITE);
    if (rc == ZSPOOL_OK)
        rc = s_prepare (&self);
    for (uint64_t round = 0; rc == ZSPOOL_OK && round < 3; round++) {
        rc = s_append (&self, ledger->appended + 1, 8);
        if (rc)
            break;
        ledger->appended += 8;
        uint64_t last = kit_spool_info (self.store, self.spool).last_sequence;
        rc = s_bury (&self, last - 4, last);
        if (rc == ZSPOOL_OK)
            rc = s_requeue (&self, round * 5 + 2, round * 5 + 3);
    }
    zspool_store_destroy (&self.store);
    ledger->rc = rc;
}

static void
s_check_as_left (const s_ledger_t *ledger)
{
    fault_fail (FAULT_WRITE, 0, 0, FAULT_BEFORE, 0);
    s_setup_t self = s_setup ();
    kit_check_sound (self.store);
    uint64_t found = s_check_one_of_each (&self, ledger->appended);
    CHECK (found == ledger->appended || found == ledger->appended + 8);
    s_done (&self);
    CHECK (system ("rm -r " KIT_STORE) == 0);
}

static void
s_work_in_child (void *arg)
{
    s_work ((s_ledger_t *) arg);
}

//  Let each call of this kind fail in turn, or kill the process.
static void
s_check_each_call (fault_kind_t kind, fault_way_t way, int error)
{
    bool kills = way == FAULT_KILL || way == FAULT_KILL_AFTER;
    s_ledger_t *ledger = (s_ledger_t *) mmap (NULL, sizeof *ledger, PROT_READ | PROT_WRITE,
                                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK (ledger != MAP_FAILED);
    fault_watch (KIT_STORE);
    s_work (ledger);
    CHECK_OK (ledger->rc);
    CHECK_EQ_U64 (ledger->appended, 24);
    unsigned calls = fault_calls (kind), failed = 0;
    s_check_as_left (ledger);
    for (unsigned after = 0; after < calls; after++) {
        fault_watch (KIT_STORE);
        fault_fail (kind, after, 1, way, error);
        if (kills)
            failed += kit_run (s_work_in_child, ledger) == -SIGKILL;
        else {
            s_work (ledger);
            failed += ledger->rc != ZSPOOL_OK;
        }
        fault_watch (KIT_STORE);
        fault_fail (kind, 0, 0, FAULT_BEFORE, 0);
        s_check_as_left (ledger);
    }
    printf ("%u calls, %u made the work fail\n", calls, failed);
    CHECK (failed >= 9);
}

TEST (test_store_move_failing_at_each_write_keeps_one_of_each)
{
    s_check_each_call (FAULT_WRITE, FAULT_BEFORE, EIO);
    s_check_each_call (FAULT_WRITE, FAULT_HALF, 0);
}

TEST (test_store_move_failing_at_each_sync_keeps_one_of_each)
{
    s_check_each_call (FAULT_SYNC, FAULT_BEFORE, EIO);
    s_check_each_call (FAULT_SYNC, FAULT_AFTER, EIO);
}

TEST (test_store_move_killed_at_each_write_keeps_one_of_each)
{
    s_check_each_call (FAULT_WRITE, FAULT_KILL, 0);
    s_check_each_call (FAULT_WRITE, FAULT_KILL_AFTER, 0);
}
