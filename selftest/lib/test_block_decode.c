//  test_block_decode.c - tests of rebuilding a block from bytes: old ones, newer ones, damaged ones
//
//  SPDX-License-Identifier: MPL-2.0

#include "craft.h"
#include "kit.h"

#define FIXTURE "selftest/fixtures/block_v1.bin"

//  Bytes in memory of exactly their size, so that the address sanitizer sees one read too many
static uint8_t *
s_exactly (const void *bytes, size_t size)
{
    uint8_t *copy = (uint8_t *) malloc (size? size: 1);
    CHECK (copy);
    memcpy (copy, bytes, size);
    return copy;
}

static int
s_decode (zspool_block_t **block_p, const void *bytes, size_t size)
{
    uint8_t *copy = s_exactly (bytes, size);
    int rc = zspool_block_decode (block_p, copy, size);
    free (copy);
    return rc;
}

//  Decode what should be refused.
static void
s_check_refused (const void *bytes, size_t size, int expected)
{
    zspool_block_t *untouched = (zspool_block_t *) &size, *block = untouched;
    CHECK_CODE (s_decode (&block, bytes, size), expected);
    CHECK (block == untouched);
}

//  Three messages that show all of a record: "a"; "", "bc", ""; ""
static zspool_block_t *
s_sample (void)
{
    const zspool_frame_t frames [] = { { "", 0 }, { "bc", 2 }, { "", 0 } };
    zspool_block_t *block = zspool_block_new (1000);
    CHECK_OK (zspool_block_append_frame (block, "a", 1, 1600000000000001));
    CHECK_OK (zspool_block_append (block, frames, 3, 1600000000000002));
    CHECK_OK (zspool_block_append_frame (block, "", 0, 1600000000000003));
    CHECK_OK (zspool_block_seal (block));
    zspool_block_stamp (block, 41, 1600000000000004, 0x1122334455667788);
    return block;
}

static void
s_check_sample (const zspool_block_t *block)
{
    static const struct {
        size_t frames;
        const char *data;
    } expected [] = { { 1, "a" }, { 3, "bc" }, { 1, "" } };
    zspool_record_t record;
    zspool_frame_t frame;
    CHECK_EQ_U64 (zspool_block_count (block), 3);
    zspool_block_rewind (block, &record);
    for (size_t index = 0; index < 3; index++) {
        CHECK (zspool_block_next (block, &record));
        CHECK_EQ_U64 (record.sequence, zspool_block_first_sequence (block)? 41 + index: 0);
        CHECK_EQ_U64 (record.frames, expected [index].frames);
        CHECK_EQ_MEM (record.data, record.data_bytes, expected [index].data,
                      strlen (expected [index].data));
        for (size_t at = 0; at < record.frames; at++) {
            CHECK (zspool_record_next_frame (&record, &frame));
            CHECK_EQ_U64 (frame.size, record.frames == 1 || at == 1? record.data_bytes: 0);
        }
    }
    CHECK (!zspool_block_next (block, &record));
}

//  The records of the sample, as version 1 writes them
static const uint8_t s_sample_records [] = {
    1, 0, 0, 0, 0, 0, 1, 0, 'a',
    10, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 2, 0, 0, 0, 'b', 'c',
    0, 0, 0, 0, 0, 0, 1, 0,
};

//  ---- old

TEST (test_block_sample_has_the_bytes_of_version_1)
{
    zspool_block_t *block = s_sample ();
    uint8_t expected [200];
    craft_t craft = craft_usual (3, sizeof s_sample_records);
    craft.first_sequence = 41;
    craft.stored_us = 1600000000000004;
    craft.incarnation = 0x1122334455667788;
    craft.first_arrival_us = 1600000000000001;
    size_t size = craft_block (&craft, s_sample_records, sizeof s_sample_records, expected);
    CHECK_EQ_MEM (zspool_block_bytes (block), zspool_block_size (block), expected, size);
    zspool_block_destroy (&block);
}

//  With SELFTEST_WRITE_FIXTURES in the environment it is written anew: only for a new version.
TEST (test_block_stored_by_version_1_decodes)
{
    char *path = selftest_source_path (FIXTURE);
    zspool_block_t *block = NULL;
    if (getenv ("SELFTEST_WRITE_FIXTURES")) {
        block = s_sample ();
        FILE *file = fopen (path, "w");
        CHECK (file);
        CHECK (fwrite (zspool_block_bytes (block), zspool_block_size (block), 1, file) == 1);
        CHECK (fclose (file) == 0);
        zspool_block_destroy (&block);
    }
    uint8_t bytes [1000];
    FILE *file = fopen (path, "r");
    CHECK (file);
    size_t size = fread (bytes, 1, sizeof bytes, file);
    fclose (file);
    CHECK_OK (s_decode (&block, bytes, size));
    s_check_sample (block);
    CHECK_EQ_U64 (zspool_block_first_sequence (block), 41);
    CHECK_EQ_U64 (zspool_block_last_sequence (block), 43);
    CHECK_EQ_I64 (zspool_block_arrival_us (block), 1600000000000001);
    CHECK_EQ_I64 (zspool_block_stored_us (block), 1600000000000004);
    zspool_block_destroy (&block);
    free (path);
}

//  ---- damaged

TEST (test_block_decode_of_any_truncation_gives_ecorrupt)
{
    zspool_block_t *block = s_sample ();
    for (size_t size = 0; size < zspool_block_size (block); size++)
        s_check_refused (zspool_block_bytes (block), size, ZSPOOL_ECORRUPT);
    zspool_block_destroy (&block);
}

TEST (test_block_decode_with_bytes_behind_gives_ecorrupt)
{
    zspool_block_t *block = s_sample ();
    size_t size = zspool_block_size (block);
    uint8_t bytes [1000] = { 0 };
    memcpy (bytes, zspool_block_bytes (block), size);
    for (size_t more = 1; more < 300; more++)
        s_check_refused (bytes, size + more, ZSPOOL_ECORRUPT);
    zspool_block_destroy (&block);
}

TEST (test_block_decode_of_any_flipped_bit_gives_ecorrupt)
{
    zspool_block_t *block = s_sample ();
    size_t size = zspool_block_size (block);
    uint8_t *bytes = s_exactly (zspool_block_bytes (block), size);
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes [bit / 8] ^= (uint8_t) (1 << bit % 8);
        s_check_refused (bytes, size, ZSPOOL_ECORRUPT);
        bytes [bit / 8] ^= (uint8_t) (1 << bit % 8);
    }
    zspool_block_t *again = NULL;
    CHECK_OK (s_decode (&again, bytes, size));
    zspool_block_destroy (&again);
    zspool_block_destroy (&block);
    free (bytes);
}

TEST (test_block_decode_of_random_damage_gives_ecorrupt)
{
    kit_chance_t chance = kit_chance_new ();
    zspool_block_t *block = kit_block_new_stamped (1, 50, 100);
    size_t size = zspool_block_size (block);
    for (int round = 0; round < 5000; round++) {
        uint8_t *bytes = s_exactly (zspool_block_bytes (block), size);
        for (uint64_t count = 1 + kit_below (&chance, 4); count > 0; count--)
            bytes [kit_below (&chance, size)] = (uint8_t) kit_random (&chance);
        if (memcmp (bytes, zspool_block_bytes (block), size) != 0)
            s_check_refused (bytes, size, ZSPOOL_ECORRUPT);
        free (bytes);
    }
    zspool_block_destroy (&block);
}

TEST (test_block_decode_of_noise_gives_ecorrupt)
{
    kit_chance_t chance = kit_chance_new ();
    uint8_t bytes [400];
    for (int round = 0; round < 2000; round++) {
        for (size_t at = 0; at < sizeof bytes; at++)
            bytes [at] = (uint8_t) kit_random (&chance);
        s_check_refused (bytes, kit_below (&chance, sizeof bytes), ZSPOOL_ECORRUPT);
    }
}

TEST (test_block_load_of_refused_bytes_can_be_tried_again)
{
    zspool_block_t *sample = s_sample ();
    size_t size = zspool_block_size (sample);
    zspool_block_t *block = zspool_block_new (size - ZSPOOL_BLOCK_OVERHEAD_BYTES);
    CHECK (zspool_block_buffer (block, size + 1) == NULL);
    CHECK (zspool_block_buffer (block, ZSPOOL_BLOCK_OVERHEAD_BYTES - 1) == NULL);
    uint8_t *buffer = zspool_block_buffer (block, size);
    CHECK (buffer);
    memset (buffer, 0xff, size);
    CHECK_CODE (zspool_block_load (block, size), ZSPOOL_ECORRUPT);
    CHECK (zspool_block_bytes (block) == NULL);
    buffer = zspool_block_buffer (block, size);
    memcpy (buffer, zspool_block_bytes (sample), size);
    CHECK_OK (zspool_block_load (block, size));
    s_check_sample (block);
    zspool_block_destroy (&block);
    zspool_block_destroy (&sample);
}

//  ---- crafted: the checksums are right

//  Decode the sample's records under another head.
static void
s_check_head (const craft_t *craft, int expected)
{
    uint8_t bytes [200];
    size_t size = craft_block (craft, s_sample_records, sizeof s_sample_records, bytes);
    s_check_refused (bytes, size, expected);
    zspool_block_head_t head = { .count = 12345 };
    CHECK_CODE (zspool_block_read_head (&head, bytes, size), expected);
    CHECK_EQ_U64 (head.count, 12345);
}

TEST (test_block_of_newer_version_gives_eversion)
{
    craft_t craft = craft_usual (3, sizeof s_sample_records);
    for (unsigned version = 2; version < 65536; version += version < 10? 1: 997) {
        craft.version = (uint16_t) version;
        s_check_head (&craft, ZSPOOL_EVERSION);
    }
    //  Such a one may have any header.
    craft.header_bytes = 100;
    craft.record_bytes = 7;
    craft.count = 0;
    s_check_head (&craft, ZSPOOL_EVERSION);
}

TEST (test_block_with_unknown_flags_gives_eversion)
{
    for (unsigned bit = 0; bit < 32; bit++) {
        craft_t craft = craft_usual (3, sizeof s_sample_records);
        craft.stamp_flags = 1U << bit;
        s_check_head (&craft, ZSPOOL_EVERSION);
        craft = craft_usual (3, sizeof s_sample_records);
        craft.flags = 1U << bit;
        //  An index that is not there
        s_check_head (&craft, craft.flags == CRAFT_FLAG_INDEX? ZSPOOL_ECORRUPT: ZSPOOL_EVERSION);
    }
}

TEST (test_block_with_unknown_codec_gives_eversion)
{
    craft_t craft = craft_usual (3, sizeof s_sample_records);
    craft.codec = 1;
    craft.record_bytes = 1000;
    s_check_head (&craft, ZSPOOL_EVERSION);
}

TEST (test_block_with_record_of_unknown_flags_gives_eversion)
{
    uint8_t body [100], bytes [300];
    for (unsigned bit = 0; bit < 8; bit++) {
        size_t used = craft_record (body, 1, 0, 0, 1, "a", 1);
        used += craft_record (body + used, 1, (uint8_t) (1 << bit), 0, 1, "b", 1);
        craft_t craft = craft_usual (2, used);
        s_check_refused (bytes, craft_block (&craft, body, used, bytes), ZSPOOL_EVERSION);
    }
}

TEST (test_block_with_senseless_head_gives_ecorrupt)
{
    const craft_t usual = craft_usual (3, sizeof s_sample_records);
    craft_t craft = usual;
    craft.magic++;
    s_check_head (&craft, ZSPOOL_ECORRUPT);
    craft = usual;
    craft.header_bytes = 63;
    s_check_head (&craft, ZSPOOL_ECORRUPT);
    craft = usual;
    craft.count = 0;
    s_check_head (&craft, ZSPOOL_ECORRUPT);
    craft.count = ZSPOOL_BLOCK_MESSAGES_MAX + 1;
    s_check_head (&craft, ZSPOOL_ECORRUPT);
    craft = usual;
    craft.record_bytes++;
    s_check_head (&craft, ZSPOOL_ECORRUPT);
    craft = usual;
    craft.first_sequence = UINT64_MAX - 2;
    s_check_head (&craft, ZSPOOL_ECORRUPT);
    craft = usual;
    craft.index_bytes = 20;
    s_check_head (&craft, ZSPOOL_ECORRUPT);
    craft = usual;
    craft.record_bytes = craft.stored_bytes = ZSPOOL_BLOCK_CAPACITY_MAX + 1;
    s_check_head (&craft, ZSPOOL_ECORRUPT);
    craft.record_bytes = craft.stored_bytes = craft.index_bytes = UINT32_MAX;
    s_check_head (&craft, ZSPOOL_ECORRUPT);
}

TEST (test_block_with_sizes_of_another_body_gives_ecorrupt)
{
    for (int32_t index_bytes = 0; index_bytes < 40; index_bytes++) {
        uint8_t bytes [200];
        craft_t craft = craft_usual (3, sizeof s_sample_records - (size_t) index_bytes / 2);
        craft.flags = CRAFT_FLAG_INDEX;
        craft.index_bytes = (uint32_t) index_bytes;
        if (index_bytes > 0)
            s_check_refused (
                bytes, craft_block (&craft, s_sample_records, sizeof s_sample_records, bytes),
                ZSPOOL_ECORRUPT);
    }
}

TEST (test_block_with_less_or_more_than_it_says_gives_ecorrupt)
{
    uint8_t bytes [200];
    for (size_t said = 0; said < 2 * sizeof s_sample_records; said++) {
        craft_t craft = craft_usual (3, said);
        size_t size = craft_block (&craft, s_sample_records, sizeof s_sample_records, bytes);
        if (said != sizeof s_sample_records)
            s_check_refused (bytes, size, ZSPOOL_ECORRUPT);
    }
}

TEST (test_block_with_another_count_gives_ecorrupt)
{
    uint8_t bytes [200];
    for (uint32_t count = 1; count < 6; count++) {
        craft_t craft = craft_usual (count, sizeof s_sample_records);
        size_t size = craft_block (&craft, s_sample_records, sizeof s_sample_records, bytes);
        if (count != 3)
            s_check_refused (bytes, size, ZSPOOL_ECORRUPT);
    }
}

//  One record alone, with `rest` behind its first 8 bytes
static void
s_check_record (uint32_t body_bytes, uint8_t property_words, uint16_t frames, const void *rest,
                size_t rest_bytes, int expected)
{
    uint8_t body [200], bytes [400];
    size_t body_size = craft_record (body, body_bytes, 0, property_words, frames, rest, rest_bytes);
    craft_t craft = craft_usual (1, body_size);
    size_t size = craft_block (&craft, body, body_size, bytes);
    zspool_block_t *block = NULL;
    CHECK_CODE (s_decode (&block, bytes, size), expected);
    zspool_block_destroy (&block);
}

TEST (test_block_with_senseless_record_gives_ecorrupt)
{
    static const uint8_t rest [32] = { 2, 0, 0, 0, 3, 0, 0, 0 };
    s_check_record (32, 0, 1, rest, 32, ZSPOOL_OK);
    s_check_record (32, 0, 0, rest, 32, ZSPOOL_ECORRUPT);          //  no frame
    s_check_record (31, 0, 1, rest, 32, ZSPOOL_ECORRUPT);          //  a byte behind it
    s_check_record (33, 0, 1, rest, 32, ZSPOOL_ECORRUPT);          //  ends behind the block
    s_check_record (UINT32_MAX, 0, 1, rest, 32, ZSPOOL_ECORRUPT);
    s_check_record (UINT32_MAX - 7, 0, 1, rest, 32, ZSPOOL_ECORRUPT);
    s_check_record (32, 8, 1, rest, 32, ZSPOOL_OK);                //  properties only
    s_check_record (32, 9, 1, rest, 32, ZSPOOL_ECORRUPT);
    s_check_record (32, 255, 1, rest, 32, ZSPOOL_ECORRUPT);
    s_check_record (0, 1, 1, rest, 0, ZSPOOL_ECORRUPT);
    s_check_record (32, 0, 3, rest, 32, ZSPOOL_OK);
    s_check_record (13, 0, 3, rest, 13, ZSPOOL_OK);                //  the last frame is empty
    s_check_record (12, 0, 3, rest, 12, ZSPOOL_ECORRUPT);          //  frames of 2 + 3 bytes in 4
    s_check_record (8, 0, 3, rest, 8, ZSPOOL_ECORRUPT);
    s_check_record (7, 0, 3, rest, 7, ZSPOOL_ECORRUPT);            //  no room for the sizes
    s_check_record (32, 0, 65535, rest, 32, ZSPOOL_ECORRUPT);
    s_check_record (32, 6, 3, rest, 32, ZSPOOL_ECORRUPT);          //  properties leave no room
}

TEST (test_block_with_frame_sizes_that_wrap_gives_ecorrupt)
{
    static const uint8_t sizes [16] = { 0xff, 0xff, 0xff, 0xff, 0x09, 0, 0, 0 };
    s_check_record (16, 0, 3, sizes, 16, ZSPOOL_ECORRUPT);
    static const uint8_t halves [16] = { 0, 0, 0, 0x80, 0, 0, 0, 0x80, 0x04, 0, 0, 0 };
    s_check_record (16, 0, 4, halves, 16, ZSPOOL_ECORRUPT);
}

//  ---- what a newer writer may add

TEST (test_block_properties_are_skipped)
{
    static const uint8_t first [] = { 9, 1, 1, 0, 0x55, 0, 0, 0, 'a' };
    static const uint8_t second [] = { 0, 0, 0, 0, 2, 0, 0, 0, 1, 1, 0, 0, 'b', 'c' };
    uint8_t body [200], bytes [400], most [255 * 4] = { 7 };
    size_t used = craft_record (body, sizeof first, 0, 2, 1, first, sizeof first);
    used += craft_record (body + used, sizeof second, 0, 1, 3, second, sizeof second);
    used += craft_record (body + used, 0, 0, 0, 1, "", 0);
    craft_t craft = craft_usual (3, used);
    zspool_block_t *block = NULL;
    CHECK_OK (s_decode (&block, bytes, craft_block (&craft, body, used, bytes)));
    s_check_sample (block);
    zspool_block_destroy (&block);

    uint8_t large [8 + sizeof most], large_bytes [CRAFT_HEAD_BYTES + sizeof large];
    used = craft_record (large, sizeof most, 0, 255, 1, most, sizeof most);
    craft = craft_usual (1, used);
    CHECK_OK (s_decode (&block, large_bytes, craft_block (&craft, large, used, large_bytes)));
    zspool_record_t record;
    zspool_block_rewind (block, &record);
    CHECK (zspool_block_next (block, &record));
    CHECK_EQ_U64 (record.data_bytes, 0);
    zspool_block_destroy (&block);
}

TEST (test_block_producer_fields_are_kept)
{
    uint8_t bytes [200];
    craft_t craft = craft_usual (3, sizeof s_sample_records);
    craft.producer_id = 0x1234567890abcdef;
    craft.producer_number = UINT64_MAX;
    craft.key_id = 7;
    craft.stamp_reserved = 9;
    size_t size = craft_block (&craft, s_sample_records, sizeof s_sample_records, bytes);
    zspool_block_t *block = NULL;
    CHECK_OK (s_decode (&block, bytes, size));
    zspool_block_stamp (block, 41, 1, 2);
    s_check_sample (block);
    craft.first_sequence = 41;
    craft.stored_us = 1;
    craft.incarnation = 2;
    size = craft_block (&craft, s_sample_records, sizeof s_sample_records, bytes);
    CHECK_EQ_MEM (zspool_block_bytes (block), zspool_block_size (block), bytes, size);
    zspool_block_destroy (&block);
}

//  A producer's block comes without a stamp: that is not damage.
TEST (test_block_without_stamp_decodes)
{
    zspool_block_t *sample = kit_block_new (1, 3, 20), *block = NULL;
    CHECK_OK (s_decode (&block, zspool_block_bytes (sample), zspool_block_size (sample)));
    CHECK_EQ_U64 (zspool_block_first_sequence (block), 0);
    CHECK_EQ_U64 (zspool_block_last_sequence (block), 0);
    CHECK_EQ_I64 (zspool_block_stored_us (block), 0);
    zspool_block_destroy (&block);
    zspool_block_destroy (&sample);
}
