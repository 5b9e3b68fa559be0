//  test_block_index.c - tests of the index behind a block's records: what it says, and when there is
//  none
//
//  SPDX-License-Identifier: MPL-2.0

#include "bytes.h"
#include "crash/fault.h"
#include "kit.h"

#include <xxhash.h>

#define MESSAGES_MAX 3000              //  of a model
#define TOPICS_MAX 300

static zspool_block_t *
s_new (size_t capacity)
{
    zspool_block_t *block = zspool_block_new (capacity);
    CHECK (block);
    zspool_block_set_indexed (block, true);
    return block;
}

//  Append a message of a topic and a body of so many bytes.
static int
s_append (zspool_block_t *block, const char *topic, size_t body_bytes, int64_t arrival_us)
{
    static const uint8_t body [100000];
    const zspool_frame_t frames [] = { { topic, strlen (topic) }, { body, body_bytes } };
    return zspool_block_append (block, frames, 2, arrival_us);
}

//  A copy that was decoded from the block's bytes
static zspool_block_t *
s_decoded (const zspool_block_t *block)
{
    zspool_block_t *copy = NULL;
    CHECK_OK (zspool_block_decode (&copy, zspool_block_bytes (block), zspool_block_size (block)));
    return copy;
}

static void
s_check_topic (const zspool_block_t *block, uint32_t number, const char *topic, uint32_t messages)
{
    zspool_frame_t found;
    uint32_t found_messages;
    CHECK_OK (zspool_block_topic (block, number, &found, &found_messages));
    CHECK_EQ_MEM (found.data, found.size, topic, strlen (topic));
    CHECK_EQ_U64 (found_messages, messages);
}

//  Seal a block: it must have so many topics in its index, 0: none, also when it is decoded.
static void
s_check_sealed (zspool_block_t **block_p, uint32_t topics)
{
    CHECK_OK (zspool_block_seal (*block_p));
    CHECK (zspool_block_size (*block_p) <= zspool_block_capacity (*block_p) + ZSPOOL_BLOCK_OVERHEAD_BYTES);
    CHECK_EQ_U64 (zspool_block_topics (*block_p), topics);
    CHECK ((zspool_block_index (*block_p) != NULL) == (topics > 0));
    zspool_block_t *copy = s_decoded (*block_p);
    CHECK_EQ_U64 (zspool_block_topics (copy), topics);
    zspool_block_destroy (&copy);
    zspool_block_destroy (block_p);
}

//  ---- what it says

TEST (test_block_index_has_topics_in_order_and_their_messages)
{
    zspool_block_t *block = s_new (10000);
    static const char *topics [] = { "b", "", "b", "a.b", "b", "a.b", "" };
    for (size_t index = 0; index < sizeof topics / sizeof topics [0]; index++)
        CHECK_OK (s_append (block, topics [index], 100, 1));
    CHECK_OK (zspool_block_seal (block));
    zspool_block_t *copy = s_decoded (block);
    for (int round = 0; round < 2; round++) {
        const zspool_block_t *read = round? copy: block;
        CHECK_EQ_U64 (zspool_block_topics (read), 3);
        s_check_topic (read, 0, "b", 3);
        s_check_topic (read, 1, "", 2);
        s_check_topic (read, 2, "a.b", 2);
        zspool_frame_t untouched = { "x", 1 };
        CHECK_CODE (zspool_block_topic (read, 3, &untouched, NULL), ZSPOOL_ENOENT);
        CHECK_EQ_U64 (untouched.size, 1);
        CHECK_OK (zspool_block_topic (read, 2, &untouched, NULL));
    }
    zspool_block_destroy (&copy);
    zspool_block_destroy (&block);
}

TEST (test_block_index_takes_a_single_frame_for_a_topic)
{
    zspool_block_t *block = s_new (10000);
    for (int count = 0; count < 100; count++)
        CHECK_OK (zspool_block_append_frame (block, "beat", 4, 1));
    for (int count = 0; count < 50; count++)
        CHECK_OK (s_append (block, "beat", 0, 1));
    CHECK_OK (zspool_block_seal (block));
    CHECK_EQ_U64 (zspool_block_topics (block), 1);
    s_check_topic (block, 0, "beat", 150);
    zspool_block_destroy (&block);
}

TEST (test_block_index_knows_when_each_message_came)
{
    zspool_block_t *block = s_new (10000);
    const int64_t last_us = 1000 + (int64_t) UINT32_MAX;
    const int64_t arrivals_us [] = { 1000, 1001, 999, last_us, last_us + 1 };
    const int64_t expected_us [] = { 1000, 1001, 1000, last_us, last_us };
    zspool_record_t record;
    for (size_t index = 0; index < 5; index++)
        CHECK_OK (s_append (block, "a", 100, arrivals_us [index]));
    CHECK_OK (zspool_block_seal (block));
    zspool_block_rewind (block, &record);
    CHECK_EQ_I64 (zspool_record_arrival_us (block, &record), 1000);
    for (size_t index = 0; zspool_block_next (block, &record); index++)
        CHECK_EQ_I64 (zspool_record_arrival_us (block, &record), expected_us [index]);
    zspool_block_destroy (&block);
}

TEST (test_block_index_without_one_all_came_with_the_first)
{
    zspool_block_t *block = zspool_block_new (10000);
    zspool_record_t record;
    for (int64_t arrival_us = 5; arrival_us < 10; arrival_us++)
        CHECK_OK (s_append (block, "a", 100, arrival_us));
    CHECK_OK (zspool_block_seal (block));
    zspool_block_rewind (block, &record);
    while (zspool_block_next (block, &record))
        CHECK_EQ_I64 (zspool_record_arrival_us (block, &record), 5);
    zspool_block_destroy (&block);
}

//  ---- any traffic

typedef struct {
    char topics [TOPICS_MAX][40];      //  to choose from
    size_t topics_count;
    size_t chosen [MESSAGES_MAX];      //  of each message
    int64_t arrivals_us [MESSAGES_MAX];
    uint32_t count;
} s_model_t;

static s_model_t *
s_model_new (kit_chance_t *chance)
{
    s_model_t *self = (s_model_t *) zmalloc (sizeof *self);
    self->topics_count = 1 + kit_below (chance, kit_below (chance, 2)? TOPICS_MAX: 10);
    for (size_t index = 0; index < self->topics_count; index++)
        snprintf (self->topics [index], sizeof self->topics [index], "%.*s%zu",
                  (int) kit_below (chance, 12), "weather.wind", index);
    if (kit_below (chance, 2))
        self->topics [0][0] = 0;
    return self;
}

//  Append messages of any form until a block is full.
static void
s_model_fill (s_model_t *self, zspool_block_t *block, kit_chance_t *chance)
{
    static const uint8_t bytes [500];
    int64_t arrival_us = 1;
    while (self->count < MESSAGES_MAX) {
        size_t topic = kit_below (chance, self->topics_count);
        zspool_frame_t frames [4] = { { self->topics [topic], strlen (self->topics [topic]) } };
        size_t count = 1 + kit_below (chance, 4);
        for (size_t frame = 1; frame < count; frame++)
            frames [frame] = (zspool_frame_t) { bytes, kit_below (chance, sizeof bytes) };
        uint8_t properties [8] = { 200, 1, 4 };
        size_t properties_bytes = kit_below (chance, 3)? 0: sizeof properties;
        arrival_us += (int64_t) kit_below (chance, 1000);
        int rc;
        if (count == 1 && properties_bytes == 0)
            rc = zspool_block_append_frame (block, frames [0].data, frames [0].size, arrival_us);
        else
            rc = zspool_block_append_with (block, frames, count, properties, properties_bytes, arrival_us);
        if (rc == ZSPOOL_EFULL)
            break;
        CHECK_OK (rc);
        self->chosen [self->count] = topic;
        self->arrivals_us [self->count++] = arrival_us;
    }
    CHECK (self->count > 0);
}

//  Stand on each message by its number, in any order.
static void
s_model_check_go_to (const s_model_t *self, const zspool_block_t *block, kit_chance_t *chance)
{
    zspool_record_t record;
    for (int round = 0; round < 20; round++) {
        uint32_t number = (uint32_t) kit_below (chance, self->count);
        const char *topic = self->topics [self->chosen [number]];
        zspool_block_go_to (block, &record, number);
        CHECK (zspool_block_next (block, &record));
        zspool_frame_t found = zspool_record_topic (&record);
        CHECK_EQ_MEM (found.data, found.size, topic, strlen (topic));
        CHECK_EQ_U64 (record.sequence, 101 + number);
        CHECK_EQ_I64 (zspool_record_arrival_us (block, &record), self->arrivals_us [number]);
    }
    zspool_block_go_to (block, &record, self->count);
    CHECK (!zspool_block_next (block, &record));
}

//  The index must say what was appended.
static void
s_model_check (const s_model_t *self, const zspool_block_t *block)
{
    const zspool_block_index_t *index = zspool_block_index (block);
    uint32_t counts [TOPICS_MAX] = { 0 }, topics = 0;
    bool seen [TOPICS_MAX] = { false };
    zspool_record_t record;
    zspool_block_rewind (block, &record);
    for (uint32_t number = 0; number < self->count; number++) {
        const char *topic = self->topics [self->chosen [number]];
        uint32_t found = get_u16 (index->numbers + number * sizeof (uint16_t));
        topics += !seen [self->chosen [number]];
        seen [self->chosen [number]] = true;
        CHECK (found < topics);
        counts [found]++;
        zspool_frame_t text = zspool_block_index_topic (index, found);
        CHECK_EQ_MEM (text.data, text.size, topic, strlen (topic));
        CHECK (zspool_block_next (block, &record));
        CHECK_EQ_I64 (zspool_record_arrival_us (block, &record), self->arrivals_us [number]);
    }
    CHECK (!zspool_block_next (block, &record));
    CHECK_EQ_U64 (zspool_block_topics (block), topics);
    for (uint32_t number = 0; number < topics; number++)
        CHECK_EQ_U64 (zspool_block_index_messages (index, number), counts [number]);
}

TEST (test_block_index_says_what_the_records_do)
{
    kit_chance_t chance = kit_chance_new ();
    zspool_block_pool_t *pool = zspool_block_pool_new (2, 300000);
    size_t indexed = 0;
    for (int round = 0; round < 100; round++) {
        s_model_t *self = s_model_new (&chance);
        zspool_block_t *block = zspool_block_pool_take (pool, 1);
        zspool_block_set_indexed (block, true);
        s_model_fill (self, block, &chance);
        CHECK_OK (zspool_block_seal (block));
        zspool_block_stamp (block, 101, 1, 1);
        if (zspool_block_index (block)) {
            s_model_check (self, block);
            zspool_block_t *copy = s_decoded (block);
            s_model_check (self, copy);
            s_model_check_go_to (self, copy, &chance);
            zspool_block_destroy (&copy);
            indexed++;
        }
        zspool_block_destroy (&block);
        free (self);
    }
    //  A few blocks may be too full of topics.
    CHECK (indexed > 60);
    zspool_block_pool_destroy (&pool);
}

//  ---- when there is none

TEST (test_block_index_is_kept_only_when_asked_for_before_the_first_message)
{
    zspool_block_t *block = zspool_block_new (10000);
    CHECK_OK (s_append (block, "a", 100, 1));
    zspool_block_set_indexed (block, true);
    s_check_sealed (&block, 0);

    block = s_new (10000);
    zspool_block_set_indexed (block, false);
    CHECK_OK (s_append (block, "a", 100, 1));
    s_check_sealed (&block, 0);

    block = s_new (10000);
    zspool_block_set_indexed (block, true);
    CHECK_OK (s_append (block, "a", 100, 1));
    zspool_block_set_indexed (block, false);
    s_check_sealed (&block, 1);

    block = s_new (10000);
    zspool_block_reset (block);
    CHECK_OK (s_append (block, "a", 100, 1));
    s_check_sealed (&block, 0);
}

TEST (test_block_index_of_a_block_used_again_knows_nothing_of_before)
{
    zspool_block_t *block = s_new (10000);
    CHECK_OK (s_append (block, "a", 100, 1));
    CHECK_OK (zspool_block_seal (block));
    CHECK_EQ_U64 (zspool_block_topics (block), 1);
    zspool_block_reset (block);
    CHECK_EQ_U64 (zspool_block_topics (block), 0);
    zspool_block_set_indexed (block, true);
    CHECK_OK (s_append (block, "bb", 100, 1));
    CHECK_OK (s_append (block, "a", 100, 1));
    CHECK_OK (zspool_block_seal (block));
    s_check_topic (block, 0, "bb", 1);
    s_check_topic (block, 1, "a", 1);
    zspool_block_destroy (&block);
}

TEST (test_block_index_of_blocks_filled_at_once_are_each_their_own)
{
    zspool_block_pool_t *pool = zspool_block_pool_new (3, 10000);
    zspool_block_t *blocks [3];
    static const char *topics [] = { "a", "b", "c" };
    for (int index = 0; index < 3; index++) {
        blocks [index] = zspool_block_pool_take (pool, 1);
        zspool_block_set_indexed (blocks [index], true);
    }
    for (int round = 0; round < 9; round++)
        CHECK_OK (s_append (blocks [round % 3], topics [round % 3], 100, 1));
    for (int index = 0; index < 2; index++) {
        CHECK_OK (zspool_block_seal (blocks [index]));
        CHECK_EQ_U64 (zspool_block_topics (blocks [index]), 1);
        s_check_topic (blocks [index], 0, topics [index], 3);
    }
    //  The pool goes before a block that is not sealed.
    zspool_block_pool_destroy (&pool);
    for (int index = 0; index < 3; index++)
        zspool_block_destroy (&blocks [index]);
}

TEST (test_block_index_is_given_up_when_all_topics_differ)
{
    zspool_block_t *block = s_new (ZSPOOL_BLOCK_BYTES);
    char body [101];
    uint32_t count = 0;
    do
        snprintf (body, sizeof body, "%0100u", ++count);
    while (zspool_block_append_frame (block, body, 100, 1) == ZSPOOL_OK);
    //  And so it has as much room as any.
    CHECK_EQ_U64 (zspool_block_count (block), ZSPOOL_BLOCK_BYTES / 108);
    s_check_sealed (&block, 0);
}

TEST (test_block_index_is_given_up_for_a_topic_too_long)
{
    for (size_t bytes = ZSPOOL_TOPIC_BYTES_MAX; bytes <= ZSPOOL_TOPIC_BYTES_MAX + 1; bytes++) {
        zspool_block_t *block = s_new (100000);
        char topic [ZSPOOL_TOPIC_BYTES_MAX + 2] = { 0 };
        memset (topic, 'a', bytes);
        for (int count = 0; count < 20; count++)
            CHECK_OK (s_append (block, count < 10? "b": topic, 2000, 1));
        s_check_sealed (&block, bytes > ZSPOOL_TOPIC_BYTES_MAX? 0: 2);
    }
}

TEST (test_block_index_is_given_up_for_too_many_topics)
{
    for (uint32_t topics = ZSPOOL_TOPICS_MAX; topics <= ZSPOOL_TOPICS_MAX + 1; topics++) {
        zspool_block_t *block = s_new (4 * 1024 * 1024);
        char topic [20];
        for (uint32_t number = 0; number < topics; number++) {
            snprintf (topic, sizeof topic, "%u", number);
            CHECK_OK (s_append (block, topic, 150, 1));
        }
        for (uint32_t number = 0; number < topics; number++) {
            snprintf (topic, sizeof topic, "%u", number);
            CHECK_OK (s_append (block, topic, 150, 1));
        }
        s_check_sealed (&block, topics > ZSPOOL_TOPICS_MAX? 0: topics);
    }
}

TEST (test_block_index_is_left_out_when_topics_take_more_than_an_eighth)
{
    //  Two topics of one byte and what belongs to them take 14 bytes; two records, 24 and two
    //  bodies.
    for (size_t bodies = 80; bodies < 96; bodies++) {
        zspool_block_t *block = s_new (10000);
        CHECK_OK (s_append (block, "a", bodies, 1));
        CHECK_OK (s_append (block, "b", 0, 1));
        s_check_sealed (&block, 26 + bodies >= 14 * 8? 2: 0);
    }
}

TEST (test_block_index_is_given_up_for_topics_that_collide)
{
    zspool_block_t *block = s_new (1024 * 1024);
    char topic [20];
    uint32_t found = 0;
    for (uint64_t number = 0; found < 100; number++) {
        snprintf (topic, sizeof topic, "%llu", (unsigned long long) number);
        if (XXH3_64bits (topic, strlen (topic)) % (2 * ZSPOOL_TOPICS_MAX) == 5) {
            CHECK_OK (s_append (block, topic, 1000, 1));
            found++;
        }
    }
    s_check_sealed (&block, 0);
}

TEST (test_block_index_is_not_kept_without_memory)
{
    zspool_block_t *block = zspool_block_new (10000);
    fault_watch (".");
    fault_fail (FAULT_MEMORY, 0, 1, FAULT_BEFORE, ENOMEM);
    zspool_block_set_indexed (block, true);
    fault_fail (FAULT_MEMORY, 0, 0, FAULT_BEFORE, 0);
    CHECK_OK (s_append (block, "a", 100, 1));
    s_check_sealed (&block, 0);
}

//  ---- room

TEST (test_block_index_fits_any_capacity)
{
    kit_chance_t chance = kit_chance_new ();
    size_t indexed = 0;
    for (size_t capacity = 1; capacity < 1500; capacity++) {
        zspool_block_t *block = s_new (capacity);
        int rc = ZSPOOL_OK;
        uint32_t topics = 0;
        while (rc == ZSPOOL_OK) {
            bool is_new = kit_below (&chance, 8) == 0;
            char topic [] = { 'a', (char) ('a' + topics % 26), 0 };
            topics += is_new;
            bool fits = zspool_block_has_room (block, zspool_block_record_bytes (2, 42), 2);
            rc = s_append (block, topic, 40, 1);
            CHECK_CODE (rc, fits? ZSPOOL_OK: ZSPOOL_EFULL);
        }
        if (zspool_block_count (block) > 0) {
            CHECK_OK (zspool_block_seal (block));
            CHECK (zspool_block_size (block) <= capacity + ZSPOOL_BLOCK_OVERHEAD_BYTES);
            indexed += zspool_block_topics (block) > 0;
            zspool_block_t *copy = s_decoded (block);
            zspool_block_destroy (&copy);
        }
        zspool_block_destroy (&block);
    }
    CHECK (indexed > 700);
}

TEST (test_block_index_is_there_however_full_the_block_is)
{
    for (size_t capacity = 200; capacity < 600; capacity++) {
        zspool_block_t *block = s_new (capacity);
        while (s_append (block, "ab", 40, 1) == ZSPOOL_OK)
            ;
        CHECK (zspool_block_count (block) >= 2);
        s_check_sealed (&block, 1);
    }
}

TEST (test_block_index_of_one_message_needs_the_room_that_is_told)
{
    for (size_t topic_bytes = 0; topic_bytes < 3; topic_bytes++)
        for (size_t less = 0; less < 2; less++) {
            size_t record_bytes = zspool_block_record_bytes (2, topic_bytes + 500);
            zspool_block_t *block = s_new (zspool_block_bytes_with_index (record_bytes, topic_bytes) - less);
            CHECK (zspool_block_has_room (block, zspool_block_capacity (block), topic_bytes));
            CHECK_OK (s_append (block, &"ab" [2 - topic_bytes], 500, 1));
            CHECK_CODE (s_append (block, &"ab" [2 - topic_bytes], 500, 1), ZSPOOL_EFULL);
            s_check_sealed (&block, less? 0: 1);
        }
    CHECK_EQ_U64 (zspool_block_bytes_with_index (5000, ZSPOOL_TOPIC_BYTES_MAX + 1), 5000);
}

TEST (test_block_index_goes_to_the_most_messages_of_a_block)
{
    zspool_block_t *block = s_new (4 * 1024 * 1024);
    for (uint32_t count = 0; count < ZSPOOL_BLOCK_MESSAGES_MAX; count++)
        CHECK_OK (zspool_block_append_frame (block, count % 2? "b": "a", 1, 1));
    CHECK (!zspool_block_has_room (block, 9, 1));
    CHECK_CODE (zspool_block_append_frame (block, "a", 1, 1), ZSPOOL_EFULL);
    CHECK_OK (zspool_block_seal (block));
    zspool_block_t *copy = s_decoded (block);
    s_check_topic (copy, 0, "a", ZSPOOL_BLOCK_MESSAGES_MAX / 2);
    s_check_topic (copy, 1, "b", ZSPOOL_BLOCK_MESSAGES_MAX / 2);
    zspool_block_destroy (&copy);
    zspool_block_destroy (&block);
}
