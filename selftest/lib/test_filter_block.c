//  test_filter_block.c - tests of the messages of a block that a filter matches
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"
#include "zspool_filter.h"

#define COUNT 60                       //  messages of a block

static zspool_filter_t *
s_filter (const char *text)
{
    zspool_filter_t *filter = zspool_filter_new ();
    CHECK (filter);
    if (text)
        CHECK_OK (zspool_filter_add (filter, text, strlen (text)));
    return filter;
}

//  A block of messages with these letters for topics
static zspool_block_t *
s_block (const char *letters, bool indexed)
{
    const char *topics [COUNT];
    char texts [COUNT][2] = { { 0 } };
    uint32_t count = 0;
    for (; letters [count]; count++) {
        texts [count][0] = letters [count];
        topics [count] = texts [count];
    }
    zspool_block_t *block = kit_block_new_topics (1, topics, count, 200, indexed);
    CHECK ((zspool_block_topics (block) > 0) == indexed);
    zspool_block_stamp (block, 1, 1, 1);
    return block;
}

//  The filter must give these messages next, and then none.
static void
s_check_rest (zspool_filter_t *filter, const zspool_block_t *block, zspool_record_t *record,
              const char *letters, const uint64_t *sequences, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        char topic [2] = { letters [sequences [index] - 1], 0 };
        CHECK (zspool_filter_next (filter, block, record));
        CHECK_EQ_U64 (record->sequence, sequences [index]);
        kit_check_topic (record, topic);
    }
    for (int round = 0; round < 2; round++)
        CHECK (!zspool_filter_next (filter, block, record));
}

TEST (test_filter_block_gives_what_matches)
{
    static const uint64_t sequences [] = { 2, 5, 6 };
    for (int indexed = 0; indexed < 2; indexed++) {
        zspool_block_t *block = s_block ("abcabbc", indexed);
        zspool_filter_t *filter = s_filter ("b"), *none = s_filter ("d"), *all = s_filter (NULL);
        zspool_record_t record;
        zspool_filter_rewind (filter, block, &record);
        s_check_rest (filter, block, &record, "abcabbc", sequences, 3);
        zspool_filter_rewind (none, block, &record);
        s_check_rest (none, block, &record, "abcabbc", NULL, 0);
        zspool_filter_rewind (all, block, &record);
        for (uint64_t sequence = 1; sequence <= 7; sequence++) {
            CHECK (zspool_filter_next (all, block, &record));
            CHECK_EQ_U64 (record.sequence, sequence);
        }
        CHECK (!zspool_filter_next (all, block, &record));
        zspool_filter_destroy (&filter);
        zspool_filter_destroy (&none);
        zspool_filter_destroy (&all);
        zspool_block_destroy (&block);
    }
}

TEST (test_filter_block_of_messages_without_numbers)
{
    static const char *const topics [] = { "a", "b", "a" };
    zspool_block_t *block = kit_block_new_topics (1, topics, 3, 200, true);
    zspool_filter_t *filter = s_filter ("b");
    zspool_record_t record;
    zspool_filter_rewind (filter, block, &record);
    CHECK (zspool_filter_next (filter, block, &record));
    CHECK_EQ_U64 (record.sequence, 0);
    CHECK_EQ_I64 (zspool_record_arrival_us (block, &record), 1001);
    CHECK (!zspool_filter_next (filter, block, &record));
    zspool_filter_destroy (&filter);
    zspool_block_destroy (&block);
}

TEST (test_filter_block_filters_added_on_the_way_count_from_there)
{
    static const uint64_t sequences [] = { 5, 6, 7 };
    for (int indexed = 0; indexed < 2; indexed++) {
        zspool_block_t *block = s_block ("abcabac", indexed);
        zspool_filter_t *filter = s_filter ("c");
        zspool_record_t record;
        zspool_filter_rewind (filter, block, &record);
        CHECK (zspool_filter_next (filter, block, &record));
        CHECK_EQ_U64 (record.sequence, 3);
        CHECK_OK (zspool_filter_add (filter, "a", 1));
        CHECK (zspool_filter_next (filter, block, &record));
        CHECK_EQ_U64 (record.sequence, 4);
        CHECK_OK (zspool_filter_add (filter, "b", 1));
        s_check_rest (filter, block, &record, "abcabac", sequences, 3);
        zspool_filter_destroy (&filter);
        zspool_block_destroy (&block);
    }
}

//  The topics of the two have other numbers.
TEST (test_filter_block_used_on_two_blocks_in_turn_mixes_nothing_up)
{
    zspool_block_t *first = s_block ("abab", true), *second = s_block ("baba", true);
    zspool_filter_t *filter = s_filter ("a");
    zspool_record_t of_first, of_second;
    zspool_filter_rewind (filter, first, &of_first);
    zspool_filter_rewind (filter, second, &of_second);
    for (uint64_t sequence = 1; sequence <= 3; sequence += 2) {
        CHECK (zspool_filter_next (filter, first, &of_first));
        CHECK_EQ_U64 (of_first.sequence, sequence);
        CHECK (zspool_filter_next (filter, second, &of_second));
        CHECK_EQ_U64 (of_second.sequence, sequence + 1);
    }
    CHECK (!zspool_filter_next (filter, first, &of_first));
    CHECK (!zspool_filter_next (filter, second, &of_second));
    zspool_filter_destroy (&filter);
    zspool_block_destroy (&first);
    zspool_block_destroy (&second);
}

TEST (test_filter_block_in_the_place_of_another_is_looked_at_anew)
{
    zspool_block_pool_t *pool = zspool_block_pool_new (1, 10000);
    zspool_filter_t *filter = s_filter ("a");
    for (int round = 0; round < 4; round++) {
        zspool_block_t *block = zspool_block_pool_take (pool, 1);
        zspool_block_set_indexed (block, true);
        uint8_t body [100] = { 0 };
        for (int message = 0; message < 2; message++) {
            const zspool_frame_t frames [] = { { (message + round) % 2? "b": "a", 1 }, { body, 100 } };
            CHECK_OK (zspool_block_append (block, frames, 2, 1));
        }
        CHECK_OK (zspool_block_seal (block));
        zspool_block_stamp (block, 1, 1, 1);
        zspool_record_t record;
        zspool_filter_rewind (filter, block, &record);
        CHECK (zspool_filter_next (filter, block, &record));
        CHECK_EQ_U64 (record.sequence, 1 + (uint64_t) round % 2);
        CHECK (!zspool_filter_next (filter, block, &record));
        zspool_block_destroy (&block);
    }
    zspool_filter_destroy (&filter);
    zspool_block_pool_destroy (&pool);
}

TEST (test_filter_block_at_random_gives_what_matches_one_by_one)
{
    kit_chance_t chance = kit_chance_new ();
    static const char *const words [] = { "a", "b", "a.b", "a.b.c", "", "b.a", "c.c", "ab" };
    static const char *const filters [] = { "a", "a.", "*.b", "#.c", "c", "b", "x", "a.b" };
    for (int round = 0; round < 300; round++) {
        const char *topics [COUNT];
        uint32_t count = 1 + (uint32_t) kit_below (&chance, COUNT);
        for (uint32_t index = 0; index < count; index++)
            topics [index] = words [kit_below (&chance, 8)];
        zspool_block_t *block = kit_block_new_topics (1, topics, count, 300, kit_below (&chance, 2));
        zspool_block_stamp (block, 1, 1, 1);
        zspool_filter_t *filter = s_filter (filters [kit_below (&chance, 8)]);
        for (uint64_t more = kit_below (&chance, 3); more > 0; more--) {
            const char *text = filters [kit_below (&chance, 8)];
            CHECK_OK (zspool_filter_add (filter, text, strlen (text)));
        }
        zspool_record_t record;
        zspool_filter_rewind (filter, block, &record);
        for (uint32_t index = 0; index < count; index++)
            if (zspool_filter_matches (filter, topics [index], strlen (topics [index]))) {
                CHECK (zspool_filter_next (filter, block, &record));
                CHECK_EQ_U64 (record.sequence, index + 1);
                kit_check_topic (&record, topics [index]);
            }
        CHECK (!zspool_filter_next (filter, block, &record));
        zspool_filter_destroy (&filter);
        zspool_block_destroy (&block);
    }
}
