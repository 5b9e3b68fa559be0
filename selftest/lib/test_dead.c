//  test_dead.c - tests of looking at dead letters, putting them back, and giving them up
//
//  SPDX-License-Identifier: MPL-2.0

#include "dead.h"
#include "kit.h"

#define MESSAGE_BYTES 100
#define MIB (1024 * 1024)
#define FRAMES_MANY 200

typedef struct {
    zspool_store_t *store;
    uint32_t spool;
    uint32_t cursor;
    uint32_t letters;                  //  spool of dead letters
} s_setup_t;

static s_setup_t
s_setup (void)
{
    s_setup_t self = { .store = kit_open (KIT_STORE, ZSPOOL_WRITE) };
    self.spool = kit_spool (self.store, "main");
    self.cursor = kit_cursor (self.store, self.spool, "out", ZSPOOL_START_FIRST);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_dead_prepare (self.store, "main", &self.letters));
    CHECK_OK (zspool_store_commit (self.store));
    return self;
}

static void
s_done (s_setup_t *self)
{
    kit_check_sound (self->store);
    zspool_store_destroy (&self->store);
}

static zspool_dead_t *
s_dead (s_setup_t *self)
{
    zspool_dead_t *dead = zspool_dead_new (self->store, "main");
    CHECK (dead);
    return dead;
}

static int
s_commit_move (zspool_store_t *store, zspool_move_t *move)
{
    if (move->block)
        CHECK_OK (zspool_block_seal (move->block));
    CHECK_OK (zspool_store_begin (store));
    int rc = zspool_store_move (store, move);
    if (rc == ZSPOOL_OK)
        return zspool_store_commit (store);
    zspool_store_rollback (store);
    return rc;
}

//  Let the messages first..last die, so many in a move.
static void
s_bury (s_setup_t *self, uint64_t first, uint64_t last, size_t a_move)
{
    zspool_reader_t *reader = zspool_reader_new (self->store, self->spool);
    zspool_block_t *block = NULL;
    zspool_move_t *move = NULL;
    zspool_record_t record;
    zspool_reader_seek (reader, first);
    while (first <= last) {
        CHECK_OK (zspool_reader_next (reader, &block));
        zspool_block_rewind (block, &record);
        while (zspool_block_next (block, &record) && record.sequence <= last) {
            if (record.sequence < first)
                continue;
            if (!move)
                move = zspool_move_new (zspool_block_record_bytes (record.frames, record.data_bytes)
                                        + ZSPOOL_PROPERTIES_BYTES_MAX);
            zspool_history_t history = { .deaths_ever = 0 };
            zspool_death_t death = { .sequence = record.sequence, .deliveries = 3, .died_us = 77,
                                     .reason = ZSPOOL_DEATH_DELIVERIES };
            (void) zspool_history_read (&history, &record);
            zspool_history_add (&history, "main", &death);
            CHECK_OK (zspool_move_add (move, &record, &history));
            first = record.sequence + 1;
            if (move->count < a_move && first <= last)
                continue;
            move->to = self->letters;
            move->from = self->spool;
            move->cursor = self->cursor;
            CHECK_OK (s_commit_move (self->store, move));
            zspool_move_destroy (&move);
        }
        zspool_block_destroy (&block);
    }
    CHECK (!move);
    zspool_reader_destroy (&reader);
}

//  Append messages numbered as their sequences, and let all of them die.
static void
s_die (s_setup_t *self, uint32_t count, size_t a_move)
{
    uint64_t before = kit_spool_info (self->store, self->spool).last_sequence;
    kit_append (self->store, self->spool, count, MESSAGE_BYTES);
    s_bury (self, before + 1, before + count, a_move);
}

//  The number that a message of one frame was made with
static uint64_t
s_number (const zspool_record_t *record)
{
    zspool_record_t copy = *record;
    zspool_frame_t frame;
    uint64_t number;
    CHECK (zspool_record_next_frame (&copy, &frame) && frame.size >= sizeof number);
    memcpy (&number, frame.data, sizeof number);
    kit_check_filled ((const uint8_t *) frame.data, frame.size, number);
    CHECK (!zspool_record_next_frame (&copy, &frame));
    return number;
}

//  The next letter has this sequence, and holds the message of that number.
static void
s_check_next (zspool_dead_t *dead, uint64_t sequence, uint64_t number)
{
    zspool_letter_t letter;
    CHECK_OK (zspool_dead_next (dead, &letter));
    CHECK_EQ_U64 (letter.sequence, sequence);
    CHECK_EQ_U64 (letter.record.sequence, sequence);
    CHECK_EQ_U64 (s_number (&letter.record), number);
}

static void
s_check_end (zspool_dead_t *dead)
{
    zspool_letter_t letter, untouched;
    memset (&letter, 0xa5, sizeof letter);
    memset (&untouched, 0xa5, sizeof untouched);
    for (int round = 0; round < 2; round++)
        CHECK_CODE (zspool_dead_next (dead, &letter), ZSPOOL_ENOENT);
    CHECK (memcmp (&letter, &untouched, sizeof letter) == 0);
}

static uint64_t
s_pending (s_setup_t *self)
{
    return kit_cursor_info (self->store, self->spool, self->cursor).pending;
}

//  ---- looking

TEST (test_dead_letters_come_oldest_first_with_their_history)
{
    s_setup_t self = s_setup ();
    s_die (&self, 7, 3);
    zspool_dead_t *dead = s_dead (&self);
    zspool_letter_t letter;
    CHECK_OK (zspool_dead_next (dead, &letter));
    CHECK_EQ_STR (letter.history.origin, "main");
    CHECK_EQ_U64 (letter.history.deaths_ever, 1);
    CHECK_EQ_U64 (letter.history.deaths_count, 1);
    CHECK_EQ_U64 (letter.history.deaths [0].sequence, 1);
    CHECK_EQ_U64 (letter.history.deaths [0].deliveries, 3);
    CHECK_EQ_I64 (letter.history.deaths [0].died_us, 77);
    CHECK_EQ_U64 (letter.history.deaths [0].reason, ZSPOOL_DEATH_DELIVERIES);
    for (uint64_t sequence = 2; sequence <= 7; sequence++)
        s_check_next (dead, sequence, sequence);
    s_check_end (dead);
    zspool_dead_destroy (&dead);
    CHECK (!dead);
    zspool_dead_destroy (&dead);
    s_done (&self);
}

TEST (test_dead_seek_stands_before_a_letter_or_the_next_there_is)
{
    s_setup_t self = s_setup ();
    s_die (&self, 20, 6);
    zspool_dead_t *dead = s_dead (&self);
    CHECK_OK (zspool_dead_drop (dead, 8, 13, NULL));
    CHECK_OK (zspool_dead_seek (dead, 7));
    s_check_next (dead, 7, 7);
    s_check_next (dead, 14, 14);
    CHECK_OK (zspool_dead_seek (dead, 9));
    s_check_next (dead, 14, 14);
    CHECK_OK (zspool_dead_seek (dead, 0));
    s_check_next (dead, 1, 1);
    CHECK_OK (zspool_dead_seek (dead, 20));
    s_check_next (dead, 20, 20);
    s_check_end (dead);
    CHECK_OK (zspool_dead_seek (dead, UINT64_MAX));
    s_check_end (dead);
    zspool_dead_destroy (&dead);
    s_done (&self);
}

TEST (test_dead_letters_that_come_later_are_seen_after_a_seek)
{
    s_setup_t self = s_setup ();
    zspool_dead_t *dead = s_dead (&self);
    s_check_end (dead);
    s_die (&self, 2, 2);
    CHECK_OK (zspool_dead_seek (dead, 1));
    s_check_next (dead, 1, 1);
    s_check_next (dead, 2, 2);
    s_check_end (dead);
    //  What another one puts back is passed over, too.
    zspool_dead_t *other = s_dead (&self);
    CHECK_OK (zspool_dead_requeue (other, 1, 1, NULL));
    zspool_dead_destroy (&other);
    CHECK_OK (zspool_dead_seek (dead, 1));
    s_check_next (dead, 2, 2);
    zspool_dead_destroy (&dead);
    s_done (&self);
}

TEST (test_dead_new_where_there_are_none_is_null_and_says_why)
{
    char longest [ZSPOOL_NAME_MAX + 1];
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    kit_spool (store, "main");
    memset (longest, 'n', ZSPOOL_NAME_MAX);
    longest [ZSPOOL_NAME_MAX] = 0;
    static const char *const names [] = { "main", "nobody", "", "main.dead" };
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        CHECK (!zspool_dead_new (store, names [index]));
        CHECK (*zspool_store_reason (store));
    }
    CHECK (!zspool_dead_new (store, longest));
    CHECK (strstr (zspool_store_reason (store), longest));
    CHECK (!zspool_dead_new (store, NULL));
    zspool_store_destroy (&store);
}

TEST (test_dead_changes_only_outside_of_a_transaction)
{
    s_setup_t self = s_setup ();
    s_die (&self, 4, 4);
    zspool_dead_t *dead = s_dead (&self);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (zspool_dead_requeue (dead, 1, 4, NULL), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_dead_drop (dead, 1, 4, NULL), ZSPOOL_EINVAL);
    CHECK (!zspool_dead_new (self.store, "main"));
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_OK (zspool_dead_seek (dead, 1));
    s_check_next (dead, 1, 1);
    zspool_dead_destroy (&dead);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.letters).messages, 4);
    s_done (&self);
}

//  ---- putting back

TEST (test_dead_requeue_of_thousands_keeps_order_and_leaves_the_others)
{
    s_setup_t self = s_setup ();
    s_die (&self, 3500, 700);
    zspool_dead_t *dead = s_dead (&self);
    uint64_t count = 0, number = 101;
    CHECK_OK (zspool_dead_requeue (dead, 101, 3400, &count));
    CHECK_EQ_U64 (count, 3300);
    CHECK_EQ_U64 (s_pending (&self), 3300);
    CHECK_OK (zspool_dead_seek (dead, 1));
    for (uint64_t sequence = 1; sequence <= 3500; sequence == 100? sequence = 3401: sequence++)
        s_check_next (dead, sequence, sequence);
    s_check_end (dead);
    zspool_dead_destroy (&dead);

    zspool_reader_t *reader = zspool_reader_new (self.store, self.spool);
    zspool_block_t *block = NULL;
    zspool_record_t record;
    zspool_reader_seek (reader, 3501);
    for (; zspool_reader_next (reader, &block) == ZSPOOL_OK; zspool_block_destroy (&block)) {
        zspool_block_rewind (block, &record);
        for (; zspool_block_next (block, &record); number++) {
            zspool_history_t history;
            CHECK_EQ_U64 (record.sequence, 3400 + number);
            CHECK_EQ_U64 (s_number (&record), number);
            CHECK_OK (zspool_history_read (&history, &record));
            CHECK_EQ_U64 (history.deaths [0].sequence, number);
        }
    }
    CHECK_EQ_U64 (number, 3401);
    zspool_reader_destroy (&reader);
    s_done (&self);
}

TEST (test_dead_letter_that_dies_eighteen_times_keeps_its_latest_deaths)
{
    s_setup_t self = s_setup ();
    zspool_dead_t *dead = s_dead (&self);
    zspool_letter_t letter;
    kit_append (self.store, self.spool, 1, MESSAGE_BYTES);
    for (uint64_t death = 1; death <= 18; death++) {
        s_bury (&self, death, death, 1);
        CHECK_OK (zspool_dead_requeue (dead, death, death, NULL));
    }
    s_bury (&self, 19, 19, 1);
    CHECK_OK (zspool_dead_seek (dead, 1));
    CHECK_OK (zspool_dead_next (dead, &letter));
    CHECK_EQ_U64 (letter.sequence, 19);
    CHECK_EQ_U64 (s_number (&letter.record), 1);
    CHECK_EQ_U64 (letter.history.deaths_ever, 19);
    CHECK_EQ_U64 (letter.history.deaths_count, ZSPOOL_DEATHS_MAX);
    for (uint64_t index = 0; index < ZSPOOL_DEATHS_MAX; index++)
        CHECK_EQ_U64 (letter.history.deaths [index].sequence, 4 + index);
    zspool_dead_destroy (&dead);
    s_done (&self);
}

//  Frames of a message: empty ones among them, and any number
static size_t
s_make_frames (zspool_frame_t frames [FRAMES_MANY], uint8_t *bytes, size_t size, unsigned shape)
{
    kit_fill (bytes, size, shape + 1);
    size_t count = shape == 0? 1: shape == 1? 3: FRAMES_MANY;
    for (size_t index = 0; index < count; index++)
        frames [index] = (zspool_frame_t) { bytes + index, index % 3 == 1? 0: size - count };
    return count;
}

TEST (test_dead_letters_of_any_shape_are_put_back_as_they_were)
{
    static const size_t sizes [] = { 5 * MIB, MIB, 30000, 300, 5 * MIB };
    s_setup_t self = s_setup ();
    static uint8_t bytes [5 * MIB];
    zspool_frame_t frames [FRAMES_MANY], frame;
    unsigned count = sizeof sizes / sizeof *sizes;
    for (unsigned at = 0; at < count; at++) {
        size_t made = s_make_frames (frames, bytes, sizes [at], sizes [at] <= 30000? 2: at % 2);
        CHECK_OK (zspool_store_begin (self.store));
        CHECK_OK (zspool_store_put (self.store, self.spool, frames, made, NULL));
        CHECK_OK (zspool_store_commit (self.store));
    }
    s_bury (&self, 1, count, 1);
    zspool_dead_t *dead = s_dead (&self);
    uint64_t done = 0;
    CHECK_OK (zspool_dead_requeue (dead, 1, UINT64_MAX, &done));
    CHECK_EQ_U64 (done, count);
    zspool_dead_destroy (&dead);
    zspool_reader_t *reader = zspool_reader_new (self.store, self.spool);
    zspool_block_t *block = NULL;
    zspool_record_t record;
    unsigned at = 0;
    zspool_reader_seek (reader, count + 1);
    for (; zspool_reader_next (reader, &block) == ZSPOOL_OK; zspool_block_destroy (&block)) {
        zspool_block_rewind (block, &record);
        for (; zspool_block_next (block, &record); at++) {
            CHECK (at < count);
            size_t made = s_make_frames (frames, bytes, sizes [at], sizes [at] <= 30000? 2: at % 2);
            CHECK_EQ_U64 (record.frames, made);
            for (size_t index = 0; index < made; index++) {
                CHECK (zspool_record_next_frame (&record, &frame));
                CHECK_EQ_U64 (frame.size, frames [index].size);
                CHECK (frame.size == 0
                       || memcmp (frame.data, frames [index].data, frame.size) == 0);
            }
        }
    }
    CHECK_EQ_U64 (at, count);
    zspool_reader_destroy (&reader);
    s_done (&self);
}

TEST (test_dead_requeue_to_a_spool_at_its_limit_tells_how_many_went)
{
    s_setup_t self = s_setup ();
    s_die (&self, 12000, 1000);
    zspool_dead_t *dead = s_dead (&self);
    CHECK_OK (zspool_store_set_limit (self.store, self.spool, ZSPOOL_LIMIT_BYTES_MIN,
                                      ZSPOOL_ON_FULL_PAUSE));
    uint64_t count = 0, more = 77;
    CHECK_CODE (zspool_dead_requeue (dead, 1, 12000, &count), ZSPOOL_ELIMIT);
    CHECK (count > 0 && count < 12000);
    CHECK_EQ_U64 (s_pending (&self), count);
    CHECK_CODE (zspool_dead_requeue (dead, 1, 12000, &more), ZSPOOL_ELIMIT);
    CHECK_EQ_U64 (more, 0);
    CHECK_EQ_U64 (s_pending (&self), count);
    CHECK_OK (zspool_dead_seek (dead, 1));
    for (uint64_t sequence = count + 1; sequence <= 12000; sequence++)
        s_check_next (dead, sequence, sequence);
    s_check_end (dead);
    //  Dropping needs no room there.
    CHECK_OK (zspool_dead_drop (dead, 1, count + 5, &more));
    CHECK_EQ_U64 (more, 5);
    CHECK_OK (zspool_store_set_limit (self.store, self.spool, 0, ZSPOOL_ON_FULL_PAUSE));
    CHECK_OK (zspool_dead_requeue (dead, 1, 12000, &more));
    CHECK_EQ_U64 (more, 12000 - count - 5);
    zspool_dead_destroy (&dead);
    s_done (&self);
}

//  ---- what is odd

//  Damage a block of ten in the midst: what lies before and behind it can be put back.
TEST (test_dead_letters_that_are_damaged_are_passed_over_and_told)
{
    s_setup_t self = s_setup ();
    s_die (&self, 30, 10);
    zspool_store_destroy (&self.store);
    uint8_t bytes [MESSAGE_BYTES];
    kit_fill (bytes, sizeof bytes, 15);
    CHECK (kit_flip (KIT_STORE "/data.mdb", bytes, sizeof bytes) > 0);
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    zspool_dead_t *dead = s_dead (&self);
    zspool_letter_t letter;
    for (uint64_t sequence = 1; sequence <= 10; sequence++)
        s_check_next (dead, sequence, sequence);
    CHECK_CODE (zspool_dead_next (dead, &letter), ZSPOOL_ECORRUPT);
    for (uint64_t sequence = 21; sequence <= 30; sequence++)
        s_check_next (dead, sequence, sequence);
    s_check_end (dead);
    uint64_t count = 0;
    CHECK_CODE (zspool_dead_requeue (dead, 5, 25, &count), ZSPOOL_ECORRUPT);
    CHECK_EQ_U64 (count, 11);
    CHECK_EQ_U64 (s_pending (&self), 11);
    CHECK_CODE (zspool_dead_drop (dead, 1, UINT64_MAX, &count), ZSPOOL_ECORRUPT);
    CHECK_EQ_U64 (count, 9);
    CHECK_EQ_U64 (s_pending (&self), 11);
    zspool_dead_destroy (&dead);
    zspool_store_destroy (&self.store);
}

//  Somebody else appends to the spool of dead letters, and never heard of histories.
TEST (test_dead_letter_without_a_history_goes_to_the_spool_of_its_name)
{
    s_setup_t self = s_setup ();
    kit_append (self.store, self.letters, 3, MESSAGE_BYTES);
    zspool_dead_t *dead = s_dead (&self);
    zspool_letter_t letter;
    CHECK_OK (zspool_dead_next (dead, &letter));
    CHECK_EQ_STR (letter.history.origin, "main");
    CHECK_EQ_U64 (letter.history.deaths_ever, 0);
    CHECK_EQ_U64 (letter.history.deaths_count, 0);
    uint64_t count = 0;
    CHECK_OK (zspool_dead_requeue (dead, 1, 3, &count));
    CHECK_EQ_U64 (count, 3);
    CHECK_EQ_U64 (s_pending (&self), 3);
    s_bury (&self, 1, 3, 3);
    CHECK_OK (zspool_dead_seek (dead, 1));
    CHECK_OK (zspool_dead_next (dead, &letter));
    CHECK_EQ_U64 (letter.sequence, 4);
    CHECK_EQ_U64 (letter.history.deaths_ever, 1);
    zspool_dead_destroy (&dead);
    s_done (&self);
}
