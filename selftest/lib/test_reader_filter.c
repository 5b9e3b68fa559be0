//  test_reader_filter.c - tests of a reader with a filter: blocks passed over by their index, and
//  what of them is read for that
//
//  SPDX-License-Identifier: MPL-2.0

#include "craft.h"
#include "kit.h"

#define SPOOL 1                        //  number of the first spool of a store
#define MESSAGES 10                    //  in each block
#define BODY_BYTES 1000

//  Store a block of messages that all have one topic.
static void
s_append (zspool_store_t *store, const char *topic, bool indexed)
{
    const char *topics [MESSAGES];
    for (int index = 0; index < MESSAGES; index++)
        topics [index] = topic;
    uint64_t next_sequence = 0;
    int64_t stored_us;
    CHECK_OK (zspool_store_numbering (store, SPOOL, &next_sequence, &stored_us));
    zspool_block_t *block = kit_block_new_topics (next_sequence, topics, MESSAGES, BODY_BYTES, indexed);
    CHECK_OK (zspool_store_append (store, SPOOL, block));
    zspool_block_destroy (&block);
}

//  A closed store with an indexed block for each letter, the topic of all its messages; whole or in
//  chunks
static void
s_create (const char *letters, bool chunked)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_EQ_U64 (kit_spool (store, "main"), SPOOL);
    CHECK_OK (zspool_store_begin (store));
    store->chunked = chunked;
    for (; *letters; letters++)
        s_append (store, (char []) { *letters, 0 }, true);
    CHECK_OK (zspool_store_commit (store));
    zspool_store_destroy (&store);
}

typedef struct {
    zspool_store_t *store;
    zspool_filter_t *filter;
    zspool_reader_t *reader;
} s_setup_t;

//  Open the store, and read in it what matches.
static void
s_setup (s_setup_t *self, const char *filter)
{
    self->store = kit_open (KIT_STORE, ZSPOOL_READ);
    self->filter = zspool_filter_new ();
    CHECK_OK (zspool_filter_add (self->filter, filter, strlen (filter)));
    self->reader = zspool_reader_new (self->store, SPOOL);
    zspool_reader_set_filter (self->reader, self->filter);
}

static void
s_done (s_setup_t *self)
{
    zspool_reader_destroy (&self->reader);
    zspool_filter_destroy (&self->filter);
    zspool_store_destroy (&self->store);
}

//  The next block must be this one.
static void
s_check_next (s_setup_t *self, uint64_t first)
{
    zspool_block_t *block = NULL;
    CHECK_OK (zspool_reader_next (self->reader, &block));
    CHECK_EQ_U64 (zspool_block_first_sequence (block), first);
    CHECK_EQ_U64 (zspool_reader_sequence (self->reader), first + MESSAGES);
    zspool_block_destroy (&block);
}

//  There must be no further one, and everything before `sequence` have been passed over.
static void
s_check_end (s_setup_t *self, uint64_t sequence)
{
    zspool_block_t *block = NULL;
    for (int round = 0; round < 2; round++) {
        CHECK_CODE (zspool_reader_next (self->reader, &block), ZSPOOL_ENOENT);
        CHECK_EQ_U64 (zspool_reader_sequence (self->reader), sequence);
    }
}

//  The next block must be reported as damaged.
static void
s_check_damaged (s_setup_t *self, uint64_t first)
{
    zspool_block_t *block = NULL;
    uint64_t damaged_first, damaged_last;
    CHECK_CODE (zspool_reader_next (self->reader, &block), ZSPOOL_ECORRUPT);
    zspool_reader_damage (self->reader, &damaged_first, &damaged_last);
    CHECK_EQ_U64 (damaged_first, first);
    CHECK_EQ_U64 (damaged_last, first + MESSAGES - 1);
}

TEST (test_reader_filter_passes_over_blocks_of_other_topics)
{
    for (int chunked = 0; chunked < 2; chunked++) {
        s_setup_t self;
        s_create ("babba" "b", chunked);
        s_setup (&self, "a");
        CHECK_EQ_U64 (zspool_reader_sequence (self.reader), 1);
        s_check_next (&self, 11);
        s_check_next (&self, 41);
        s_check_end (&self, 61);
        zspool_reader_seek (self.reader, 15);
        CHECK_EQ_U64 (zspool_reader_sequence (self.reader), 15);
        s_check_next (&self, 11);
        zspool_reader_seek (self.reader, 35);
        s_check_next (&self, 41);
        //  All of them again
        zspool_reader_set_filter (self.reader, NULL);
        zspool_reader_seek (self.reader, 1);
        for (uint64_t first = 1; first <= 51; first += MESSAGES)
            s_check_next (&self, first);
        s_check_end (&self, 61);
        s_done (&self);
        CHECK (system ("rm -r " KIT_STORE) == 0);
    }
}

TEST (test_reader_filter_without_filters_passes_over_nothing)
{
    s_setup_t self;
    s_create ("ab", false);
    s_setup (&self, "c");
    zspool_filter_t *all = zspool_filter_new ();
    zspool_reader_set_filter (self.reader, all);
    s_check_next (&self, 1);
    s_check_next (&self, 11);
    s_check_end (&self, 21);
    zspool_filter_destroy (&all);
    s_done (&self);
}

TEST (test_reader_filter_added_to_counts_from_there)
{
    s_setup_t self;
    s_create ("abab", false);
    s_setup (&self, "b");
    s_check_next (&self, 11);
    CHECK_OK (zspool_filter_add (self.filter, "a", 1));
    s_check_next (&self, 21);
    s_check_next (&self, 31);
    s_check_end (&self, 41);
    s_done (&self);
}

TEST (test_reader_filter_gives_blocks_without_an_index)
{
    s_setup_t self;
    s_create ("b", false);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_OK (zspool_store_begin (store));
    s_append (store, "b", false);
    s_append (store, "b", true);
    CHECK_OK (zspool_store_commit (store));
    zspool_store_destroy (&store);
    s_setup (&self, "a");
    s_check_next (&self, 11);
    s_check_end (&self, 31);
    s_done (&self);
}

TEST (test_reader_filter_gives_the_block_that_one_message_of_many_is_in)
{
    static const char *const topics [] = { "a.1", "b.2", "a.3", "c.4" };
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_EQ_U64 (kit_spool (store, "main"), SPOOL);
    zspool_block_t *block = kit_block_new_topics (1, topics, 4, BODY_BYTES, true);
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_append (store, SPOOL, block));
    CHECK_OK (zspool_store_commit (store));
    zspool_block_destroy (&block);
    zspool_store_destroy (&store);
    static const char *const filters [] = { "a.1", "b", "#.3", "c.4" };
    for (int index = 0; index < 4; index++) {
        s_setup_t self;
        s_setup (&self, filters [index]);
        CHECK_OK (zspool_reader_next (self.reader, &block));
        zspool_block_destroy (&block);
        s_done (&self);
    }
    s_setup_t self;
    s_setup (&self, "d");
    s_check_end (&self, 5);
    s_done (&self);
}

TEST (test_reader_filter_that_passes_over_much_comes_back_in_between)
{
    enum { BLOCKS = 2 * ZSPOOL_READER_PASS_MAX + 5 };
    char letters [BLOCKS + 1] = { 0 };
    memset (letters, 'b', BLOCKS);
    letters [BLOCKS - 1] = 'a';
    s_create (letters, false);
    s_setup_t self;
    s_setup (&self, "a");
    zspool_block_t *block = NULL;
    for (uint64_t round = 1; round <= 2; round++) {
        CHECK_CODE (zspool_reader_next (self.reader, &block), ZSPOOL_ELIMIT);
        CHECK_EQ_U64 (zspool_reader_sequence (self.reader), 1 + round * ZSPOOL_READER_PASS_MAX * MESSAGES);
    }
    s_check_next (&self, 1 + (BLOCKS - 1) * MESSAGES);
    s_check_end (&self, 1 + BLOCKS * MESSAGES);
    s_done (&self);
}

//  ---- what is read of a block, and what not

static void
s_damage_first_body (uint8_t *bytes, size_t *size)
{
    CHECK (*size > 500);
    bytes [500] ^= 1;
}

static void
s_damage_end (uint8_t *bytes, size_t *size)
{
    bytes [*size - 1] ^= 1;
}

static void
s_damage_numbers (uint8_t *bytes, size_t *size)
{
    bytes [*size - 30] ^= 1;
}

static void
s_damage_head (uint8_t *bytes, size_t *size)
{
    (void) size;
    bytes [50] ^= 1;
}

//  The bodies of what is passed over are not read: damage there is not seen.
TEST (test_reader_filter_does_not_see_bodies_of_other_topics)
{
    s_setup_t self;
    s_create ("bab", false);
    kit_edit_block (KIT_STORE, SPOOL, 1, 0, s_damage_first_body);
    kit_edit_block (KIT_STORE, SPOOL, 21, 0, s_damage_first_body);
    s_setup (&self, "a");
    s_check_next (&self, 11);
    s_check_end (&self, 31);
    s_done (&self);
    s_setup (&self, "b");
    s_check_damaged (&self, 1);
    s_check_damaged (&self, 21);
    s_check_end (&self, 31);
    s_done (&self);
}

TEST (test_reader_filter_does_not_see_chunks_of_other_topics)
{
    s_setup_t self;
    s_create ("bab", true);
    kit_edit_block (KIT_STORE, SPOOL, 1, 1, s_damage_end);
    kit_edit_block (KIT_STORE, SPOOL, 21, 1, NULL);
    s_setup (&self, "a");
    s_check_next (&self, 11);
    s_check_end (&self, 31);
    s_done (&self);
    s_setup (&self, "b");
    s_check_damaged (&self, 1);
    s_check_damaged (&self, 21);
    s_check_end (&self, 31);
    s_done (&self);
}

TEST (test_reader_filter_reports_damage_in_what_matches)
{
    s_setup_t self;
    s_create ("aab", false);
    kit_edit_block (KIT_STORE, SPOOL, 1, 0, s_damage_first_body);
    s_setup (&self, "a");
    s_check_damaged (&self, 1);
    s_check_next (&self, 11);
    s_check_end (&self, 31);
    s_done (&self);
}

//  Who knows what was in it?
TEST (test_reader_filter_reports_a_damaged_index)
{
    static void (*const damages []) (uint8_t *, size_t *) = { s_damage_end, s_damage_numbers, s_damage_head };
    for (size_t index = 0; index < sizeof damages / sizeof damages [0]; index++) {
        s_setup_t self;
        s_create ("bba", false);
        kit_edit_block (KIT_STORE, SPOOL, 1, 0, damages [index]);
        s_setup (&self, "a");
        s_check_damaged (&self, 1);
        s_check_next (&self, 21);
        s_check_end (&self, 31);
        s_done (&self);
        CHECK (system ("rm -r " KIT_STORE) == 0);
    }
}

//  Where the index of a block ends, chunk by chunk
TEST (test_reader_filter_reports_a_block_that_lacks_its_end)
{
    s_setup_t self;
    s_create ("bba", true);
    kit_edit_block (KIT_STORE, SPOOL, 1, 2, NULL);
    s_setup (&self, "a");
    s_check_damaged (&self, 1);
    s_check_next (&self, 21);
    s_check_end (&self, 31);
    s_done (&self);
}

static const uint8_t *s_other_bytes;   //  of a block as large as the one edited

static void
s_take_other_index (uint8_t *bytes, size_t *size)
{
    zspool_block_head_t head;
    CHECK_OK (zspool_block_read_head (&head, bytes, *size));
    memcpy (bytes + *size - head.index_bytes, s_other_bytes + *size - head.index_bytes, head.index_bytes);
}

//  As when the pages with an index are used again for another block, of the same size, between
//  looking it up and copying it: sound though it is, it says nothing of this one.
TEST (test_reader_filter_does_not_believe_the_index_of_another_block)
{
    const char *topics [MESSAGES];
    for (int index = 0; index < MESSAGES; index++)
        topics [index] = "b";
    zspool_block_t *other = kit_block_new_topics (1, topics, MESSAGES, BODY_BYTES, true);
    s_setup_t self;
    s_create ("ab", false);
    s_other_bytes = (const uint8_t *) zspool_block_bytes (other);
    kit_edit_block (KIT_STORE, SPOOL, 1, 0, s_take_other_index);
    s_setup (&self, "a");
    s_check_damaged (&self, 1);
    s_check_end (&self, 21);
    s_done (&self);
    zspool_block_destroy (&other);
}

//  ---- at random

TEST (test_reader_filter_at_random_leaves_nothing_out)
{
    kit_chance_t chance = kit_chance_new ();
    for (int round = 0; round < 20; round++) {
        char letters [200] = { 0 };
        uint64_t next = 1;
        size_t count = 1 + kit_below (&chance, sizeof letters - 1);
        for (size_t index = 0; index < count; index++)
            letters [index] = (char) ('a' + kit_below (&chance, 5));
        s_create (letters, kit_below (&chance, 2));
        s_setup_t self;
        s_setup (&self, "a");
        CHECK_OK (zspool_filter_add (self.filter, "c", 1));
        for (size_t index = 0; index < count; index++, next += MESSAGES)
            if (letters [index] == 'a' || letters [index] == 'c')
                s_check_next (&self, next);
        s_check_end (&self, next);
        s_done (&self);
        CHECK (system ("rm -r " KIT_STORE) == 0);
    }
}
