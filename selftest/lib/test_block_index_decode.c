//  test_block_index_decode.c - tests of the index in the bytes of a block: as it is written, old
//  ones, damaged and hostile ones
//
//  SPDX-License-Identifier: MPL-2.0

#include "bytes.h"
#include "craft.h"
#include "kit.h"

#define FIXTURE "selftest/fixtures/block_v1_index.bin"

//  "a" with a body; "bc" alone; "a" alone
static const uint8_t s_sample_records [] = {
    105, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 'a', [113] = 2, 0, 0, 0, 0, 0, 1, 0, 'b', 'c',
    1, 0, 0, 0, 0, 0, 1, 0, 'a',
};

//  Their index, but for its checksum
static const uint8_t s_sample_index [] = {
    2, 0, 0, 0, 3, 0, 0, 0,
    0, 0, 0, 0, 113, 0, 0, 0, 123, 0, 0, 0,
    0, 0, 0, 0, 1, 0, 0, 0, 2, 1, 0, 0,
    0, 0, 1, 0, 0, 0,
    1, 0, 0, 0, 2, 0, 3, 0, 0, 0, 1, 0,
    'a', 'b', 'c', 0, 0, 0, 0, 0, 0, 0, 0,
};

#define SAMPLE_DELAYS 20               //  where these stand in it
#define SAMPLE_NUMBERS 32
#define SAMPLE_BYTES (sizeof s_sample_records + sizeof s_sample_index)

static zspool_block_t *
s_sample (void)
{
    static const uint8_t body [100];
    const zspool_frame_t frames [] = { { "a", 1 }, { body, sizeof body } };
    zspool_block_t *block = zspool_block_new (1000);
    CHECK (block);
    zspool_block_set_indexed (block, true);
    CHECK_OK (zspool_block_append (block, frames, 2, 1600000000000000));
    CHECK_OK (zspool_block_append_frame (block, "bc", 2, 1600000000000001));
    CHECK_OK (zspool_block_append_frame (block, "a", 1, 1600000000000258));
    CHECK_OK (zspool_block_seal (block));
    return block;
}

//  Write the sample with another index, and checksums that fit. Gives its size.
static size_t
s_craft (const uint8_t *index, size_t index_bytes, uint8_t *bytes)
{
    uint8_t body [1000];
    memcpy (body, s_sample_records, sizeof s_sample_records);
    memcpy (body + sizeof s_sample_records, index, index_bytes);
    craft_t craft = craft_usual (3, sizeof s_sample_records);
    craft.flags = CRAFT_FLAG_INDEX;
    craft.index_bytes = (uint32_t) index_bytes;
    craft.first_arrival_us = 1600000000000000;
    return craft_block (&craft, body, sizeof s_sample_records + index_bytes, bytes);
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

static void
s_check_refused (const uint8_t *bytes, size_t size)
{
    //  In memory of exactly its size, so that the address sanitizer sees one read too many
    uint8_t *copy = (uint8_t *) malloc (size);
    zspool_block_t *block = NULL;
    memcpy (copy, bytes, size);
    CHECK_CODE (zspool_block_decode (&block, copy, size), ZSPOOL_ECORRUPT);
    CHECK (!block);
    free (copy);
}

TEST (test_block_index_has_the_bytes_of_version_1)
{
    uint8_t expected [1000];
    size_t size = s_craft (s_sample_index, sizeof s_sample_index, expected);
    zspool_block_t *block = s_sample ();
    CHECK_EQ_MEM (zspool_block_bytes (block), zspool_block_size (block), expected, size);
    zspool_block_destroy (&block);
}

//  With SELFTEST_WRITE_FIXTURES in the environment it is written anew: only for a new version.
TEST (test_block_index_stored_by_version_1_decodes)
{
    char *path = selftest_source_path (FIXTURE);
    zspool_block_t *block = s_sample (), *read = NULL;
    if (getenv ("SELFTEST_WRITE_FIXTURES")) {
        FILE *file = fopen (path, "w");
        CHECK (file);
        CHECK (fwrite (zspool_block_bytes (block), zspool_block_size (block), 1, file) == 1);
        CHECK (fclose (file) == 0);
    }
    size_t size;
    uint8_t *bytes = kit_read_file (path, &size);
    CHECK_OK (zspool_block_decode (&read, bytes, size));
    s_check_topic (read, 0, "a", 2);
    s_check_topic (read, 1, "bc", 1);
    zspool_block_destroy (&read);
    zspool_block_destroy (&block);
    free (bytes);
    free (path);
}

TEST (test_block_index_of_any_flipped_bit_gives_ecorrupt)
{
    zspool_block_t *block = s_sample ();
    size_t size = zspool_block_size (block);
    uint8_t bytes [1000];
    memcpy (bytes, zspool_block_bytes (block), size);
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes [bit / 8] ^= (uint8_t) (1 << bit % 8);
        s_check_refused (bytes, size);
        bytes [bit / 8] ^= (uint8_t) (1 << bit % 8);
    }
    zspool_block_destroy (&block);
}

//  Whoever changes a byte of it and makes all checksums fit can only change times of arrival.
TEST (test_block_index_that_says_anything_else_gives_ecorrupt)
{
    for (size_t at = 0; at < sizeof s_sample_index - ZSPOOL_INDEX_HASH_BYTES; at++)
        for (unsigned value = 0; value < 256; value++) {
            uint8_t index [sizeof s_sample_index], bytes [1000];
            memcpy (index, s_sample_index, sizeof index);
            index [at] = (uint8_t) value;
            size_t size = s_craft (index, sizeof index, bytes);
            if (value != s_sample_index [at] && (at < SAMPLE_DELAYS || at >= SAMPLE_NUMBERS)) {
                s_check_refused (bytes, size);
                continue;
            }
            zspool_block_t *block = NULL;
            CHECK_OK (zspool_block_decode (&block, bytes, size));
            zspool_block_destroy (&block);
        }
}

TEST (test_block_index_of_another_size_gives_ecorrupt)
{
    uint8_t index [sizeof s_sample_index + 50] = { 0 }, bytes [1000];
    memcpy (index, s_sample_index, sizeof s_sample_index);
    for (size_t size = 1; size < sizeof index; size++)
        if (size != sizeof s_sample_index)
            s_check_refused (bytes, s_craft (index, size, bytes));
}

TEST (test_block_index_of_another_block_gives_ecorrupt)
{
    zspool_block_t *block = s_sample ();
    size_t size = zspool_block_size (block);
    uint8_t bytes [1000], other [1000];
    memcpy (bytes, zspool_block_bytes (block), size);
    //  The same topics, another message: its index differs in its checksum only.
    uint8_t records [SAMPLE_BYTES];
    memcpy (records, s_sample_records, sizeof s_sample_records);
    memcpy (records + sizeof s_sample_records, s_sample_index, sizeof s_sample_index);
    records [50] = 'x';
    craft_t craft = craft_usual (3, sizeof s_sample_records);
    craft.flags = CRAFT_FLAG_INDEX;
    craft.index_bytes = sizeof s_sample_index;
    CHECK_EQ_U64 (craft_block (&craft, records, SAMPLE_BYTES, other), size);
    memcpy (bytes + size - ZSPOOL_INDEX_HASH_BYTES, other + size - ZSPOOL_INDEX_HASH_BYTES,
            ZSPOOL_INDEX_HASH_BYTES);
    s_check_refused (bytes, size);
    zspool_block_destroy (&block);
}

//  A first frame that is no topic of the index, though all else fits
TEST (test_block_index_is_compared_with_what_was_sent)
{
    uint8_t records [SAMPLE_BYTES], bytes [1000];
    memcpy (records, s_sample_records, sizeof s_sample_records);
    memcpy (records + sizeof s_sample_records, s_sample_index, sizeof s_sample_index);
    craft_t craft = craft_usual (3, sizeof s_sample_records);
    craft.flags = CRAFT_FLAG_INDEX;
    craft.index_bytes = sizeof s_sample_index;
    zspool_block_t *block = NULL;
    CHECK_OK (zspool_block_decode (&block, bytes, craft_block (&craft, records, SAMPLE_BYTES, bytes)));
    zspool_block_destroy (&block);
    records [sizeof s_sample_records - 1] = 'b';
    s_check_refused (bytes, craft_block (&craft, records, SAMPLE_BYTES, bytes));
}

TEST (test_block_index_keeps_any_time_of_arrival_in_range)
{
    uint8_t body [SAMPLE_BYTES], bytes [1000];
    memcpy (body, s_sample_records, sizeof s_sample_records);
    memcpy (body + sizeof s_sample_records, s_sample_index, sizeof s_sample_index);
    memset (body + sizeof s_sample_records + SAMPLE_DELAYS, 0xff, 4);
    craft_t craft = craft_usual (3, sizeof s_sample_records);
    craft.flags = CRAFT_FLAG_INDEX;
    craft.index_bytes = sizeof s_sample_index;
    craft.first_arrival_us = INT64_MAX;
    zspool_block_t *block = NULL;
    zspool_record_t record;
    CHECK_OK (zspool_block_decode (&block, bytes, craft_block (&craft, body, SAMPLE_BYTES, bytes)));
    zspool_block_rewind (block, &record);
    CHECK (zspool_block_next (block, &record));
    CHECK_EQ_I64 (zspool_record_arrival_us (block, &record), INT64_MIN + UINT32_MAX - 1);
    zspool_block_destroy (&block);
}

//  One message of one topic, in every way as it should be but for its length
TEST (test_block_index_of_a_topic_too_long_gives_ecorrupt)
{
    for (size_t topic_bytes = ZSPOOL_TOPIC_BYTES_MAX; topic_bytes <= ZSPOOL_TOPIC_BYTES_MAX + 1; topic_bytes++) {
        uint8_t body [3000] = { 0 }, bytes [4000], *index = body + 8 + topic_bytes;
        put_u32 (body, (uint32_t) topic_bytes);
        put_u16 (body + 6, 1);
        memset (body + 8, 't', topic_bytes);
        put_u32 (index, 1);
        put_u32 (index + 4, (uint32_t) topic_bytes);
        put_u32 (index + 18, (uint32_t) topic_bytes);
        put_u16 (index + 22, 1);
        memset (index + 24, 't', topic_bytes);
        craft_t craft = craft_usual (1, 8 + topic_bytes);
        craft.flags = CRAFT_FLAG_INDEX;
        craft.index_bytes = (uint32_t) (24 + topic_bytes + ZSPOOL_INDEX_HASH_BYTES);
        size_t size = craft_block (&craft, body, 8 + topic_bytes + craft.index_bytes, bytes);
        zspool_block_t *block = NULL;
        if (topic_bytes > ZSPOOL_TOPIC_BYTES_MAX)
            s_check_refused (bytes, size);
        else
            CHECK_OK (zspool_block_decode (&block, bytes, size));
        zspool_block_destroy (&block);
    }
}
