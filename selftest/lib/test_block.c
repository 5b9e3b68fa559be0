//  test_block.c - tests of packing messages into a block and reading them back
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"

#define FRAME(text) { text, sizeof text - 1 }

static zspool_block_t *
s_new (size_t capacity)
{
    zspool_block_t *block = zspool_block_new (capacity);
    CHECK (block);
    return block;
}

//  Seal a block and stand before its first message.
static void
s_seal (zspool_block_t *block, zspool_record_t *record)
{
    CHECK_OK (zspool_block_seal (block));
    zspool_block_rewind (block, record);
}

//  Check the next frame of a record.
static void
s_check_frame (zspool_record_t *record, const void *data, size_t size)
{
    zspool_frame_t frame = { NULL, SIZE_MAX };
    CHECK (zspool_record_next_frame (record, &frame));
    CHECK_EQ_MEM (frame.data, frame.size, data, size);
}

static void
s_check_no_frame (zspool_record_t *record)
{
    zspool_frame_t frame;
    CHECK (!zspool_record_next_frame (record, &frame));
    CHECK (!zspool_record_next_frame (record, &frame));
}

//  ---- creating

TEST (test_block_new_without_capacity_gives_null)
{
    CHECK (zspool_block_new (0) == NULL);
}

TEST (test_block_new_over_limit_gives_null)
{
    CHECK (zspool_block_new (ZSPOOL_BLOCK_CAPACITY_MAX + 1) == NULL);
    zspool_block_t *block = s_new (ZSPOOL_BLOCK_CAPACITY_MAX);
    zspool_block_destroy (&block);
}

TEST (test_block_new_is_empty_and_not_sealed)
{
    zspool_block_t *block = s_new (100);
    CHECK_EQ_U64 (zspool_block_count (block), 0);
    CHECK_EQ_U64 (zspool_block_first_sequence (block), 0);
    CHECK_EQ_U64 (zspool_block_last_sequence (block), 0);
    CHECK (zspool_block_bytes (block) == NULL);
    CHECK_EQ_U64 (zspool_block_size (block), 0);
    zspool_block_destroy (&block);
}

TEST (test_block_destroy_of_null_does_nothing)
{
    zspool_block_t *block = NULL;
    zspool_block_destroy (&block);
    block = s_new (100);
    zspool_block_destroy (&block);
    CHECK (block == NULL);
}

TEST (test_block_referenced_twice_lives_until_the_second_is_dropped)
{
    zspool_block_t *block = kit_block_new_stamped (1, 3, 50);
    zspool_block_t *other = zspool_block_ref (block);
    CHECK (other == block);
    zspool_block_destroy (&block);
    kit_check_block (other);
    zspool_block_destroy (&other);
}

//  ---- packing

TEST (test_block_one_frame_comes_back)
{
    zspool_block_t *block = s_new (100);
    zspool_record_t record;
    CHECK_OK (zspool_block_append_frame (block, "hello", 5, 1234));
    s_seal (block, &record);
    CHECK_EQ_U64 (zspool_block_count (block), 1);
    CHECK_EQ_I64 (zspool_block_arrival_us (block), 1234);
    CHECK (zspool_block_next (block, &record));
    CHECK_EQ_U64 (record.frames, 1);
    CHECK_EQ_U64 (record.data_bytes, 5);
    CHECK_EQ_U64 (record.sequence, 0);
    s_check_frame (&record, "hello", 5);
    s_check_no_frame (&record);
    CHECK (!zspool_block_next (block, &record));
    CHECK (!zspool_block_next (block, &record));
    zspool_block_destroy (&block);
}

TEST (test_block_frames_come_back_in_order)
{
    zspool_block_t *block = s_new (100);
    zspool_record_t record;
    const zspool_frame_t frames [] = { FRAME ("topic"), FRAME ("x"), FRAME ("the body") };
    CHECK_OK (zspool_block_append (block, frames, 3, 1));
    s_seal (block, &record);
    CHECK (zspool_block_next (block, &record));
    CHECK_EQ_U64 (record.frames, 3);
    CHECK_EQ_U64 (record.data_bytes, 14);
    s_check_frame (&record, "topic", 5);
    s_check_frame (&record, "x", 1);
    s_check_frame (&record, "the body", 8);
    s_check_no_frame (&record);
    zspool_block_destroy (&block);
}

TEST (test_block_empty_frames_come_back)
{
    zspool_block_t *block = s_new (200);
    zspool_record_t record;
    const zspool_frame_t first [] = { FRAME (""), FRAME ("a"), FRAME ("") };
    const zspool_frame_t second [] = { FRAME ("b"), FRAME (""), FRAME ("") };
    const zspool_frame_t third [] = { { NULL, 0 }, { NULL, 0 } };
    CHECK_OK (zspool_block_append (block, first, 3, 1));
    CHECK_OK (zspool_block_append (block, second, 3, 1));
    CHECK_OK (zspool_block_append (block, third, 2, 1));
    s_seal (block, &record);
    CHECK (zspool_block_next (block, &record));
    s_check_frame (&record, "", 0);
    s_check_frame (&record, "a", 1);
    s_check_frame (&record, "", 0);
    s_check_no_frame (&record);
    CHECK (zspool_block_next (block, &record));
    s_check_frame (&record, "b", 1);
    s_check_frame (&record, "", 0);
    s_check_frame (&record, "", 0);
    s_check_no_frame (&record);
    CHECK (zspool_block_next (block, &record));
    s_check_frame (&record, "", 0);
    s_check_frame (&record, "", 0);
    s_check_no_frame (&record);
    CHECK (!zspool_block_next (block, &record));
    zspool_block_destroy (&block);
}

TEST (test_block_message_of_no_bytes_comes_back)
{
    zspool_block_t *block = s_new (100);
    zspool_record_t record;
    const zspool_frame_t empty = { NULL, 0 };
    CHECK_OK (zspool_block_append_frame (block, NULL, 0, 1));
    CHECK_OK (zspool_block_append (block, &empty, 1, 1));
    s_seal (block, &record);
    for (int message = 0; message < 2; message++) {
        CHECK (zspool_block_next (block, &record));
        CHECK_EQ_U64 (record.frames, 1);
        CHECK_EQ_U64 (record.data_bytes, 0);
        s_check_frame (&record, "", 0);
        s_check_no_frame (&record);
    }
    CHECK (!zspool_block_next (block, &record));
    zspool_block_destroy (&block);
}

TEST (test_block_most_frames_come_back)
{
    static zspool_frame_t frames [ZSPOOL_MESSAGE_FRAMES_MAX];
    static uint16_t numbers [ZSPOOL_MESSAGE_FRAMES_MAX];
    for (size_t index = 0; index < ZSPOOL_MESSAGE_FRAMES_MAX; index++) {
        numbers [index] = (uint16_t) index;
        frames [index] = (zspool_frame_t) { &numbers [index], index % 3 };
    }
    zspool_block_t *block = s_new (1024 * 1024);
    zspool_record_t record;
    CHECK_OK (zspool_block_append (block, frames, ZSPOOL_MESSAGE_FRAMES_MAX, 1));
    s_seal (block, &record);
    CHECK (zspool_block_next (block, &record));
    CHECK_EQ_U64 (record.frames, ZSPOOL_MESSAGE_FRAMES_MAX);
    for (size_t index = 0; index < ZSPOOL_MESSAGE_FRAMES_MAX; index++)
        s_check_frame (&record, frames [index].data, frames [index].size);
    s_check_no_frame (&record);
    zspool_block_destroy (&block);
}

TEST (test_block_too_many_frames_give_etoobig)
{
    static zspool_frame_t frames [ZSPOOL_MESSAGE_FRAMES_MAX + 1];
    zspool_block_t *block = s_new (1024 * 1024);
    CHECK_CODE (zspool_block_append (block, frames, ZSPOOL_MESSAGE_FRAMES_MAX + 1, 1),
                ZSPOOL_ETOOBIG);
    CHECK_EQ_U64 (zspool_block_count (block), 0);
    zspool_block_destroy (&block);
}

TEST (test_block_no_frames_give_einval)
{
    zspool_block_t *block = s_new (100);
    const zspool_frame_t frame = FRAME ("a");
    CHECK_CODE (zspool_block_append (block, &frame, 0, 1), ZSPOOL_EINVAL);
    CHECK_EQ_U64 (zspool_block_count (block), 0);
    zspool_block_destroy (&block);
}

TEST (test_block_message_of_64_mib_comes_back)
{
    const size_t size = 64 * 1024 * 1024;
    uint8_t *bytes = (uint8_t *) zmalloc (size);
    kit_fill (bytes, size, 7);
    zspool_block_t *block = s_new (zspool_block_record_bytes (2, size)), *again = NULL;
    zspool_record_t record;
    const zspool_frame_t frames [] = { { bytes, size - 1 }, { bytes + size - 1, 1 } };
    CHECK_OK (zspool_block_append (block, frames, 2, 1));
    CHECK_OK (zspool_block_seal (block));
    CHECK_OK (zspool_block_decode (&again, zspool_block_bytes (block), zspool_block_size (block)));
    zspool_block_destroy (&block);
    zspool_block_rewind (again, &record);
    CHECK (zspool_block_next (again, &record));
    CHECK_EQ_MEM (record.data, record.data_bytes, bytes, size);
    zspool_block_destroy (&again);
    free (bytes);
}

TEST (test_block_message_over_limit_gives_etoobig)
{
    //  The sizes alone decide: no byte of these is there.
    zspool_block_t *block = s_new (100);
    const size_t most = ZSPOOL_MESSAGE_BYTES_MAX;
    const zspool_frame_t one [] = { { "", most + 1 } };
    const zspool_frame_t sum [] = { { "", most / 2 }, { "", most / 2 }, { "", 1 } };
    const zspool_frame_t wrap [] = { { "", SIZE_MAX }, { "", 2 } };
    CHECK_CODE (zspool_block_append (block, one, 1, 1), ZSPOOL_ETOOBIG);
    CHECK_CODE (zspool_block_append (block, sum, 3, 1), ZSPOOL_ETOOBIG);
    CHECK_CODE (zspool_block_append (block, wrap, 2, 1), ZSPOOL_ETOOBIG);
    CHECK_CODE (zspool_block_append_frame (block, "", most + 1, 1), ZSPOOL_ETOOBIG);
    CHECK_CODE (zspool_block_append_frame (block, "", SIZE_MAX, 1), ZSPOOL_ETOOBIG);
    CHECK_CODE (zspool_block_append (block, one, SIZE_MAX, 1), ZSPOOL_ETOOBIG);
    CHECK_EQ_U64 (zspool_block_count (block), 0);
    zspool_block_destroy (&block);
}

TEST (test_block_largest_message_fits_the_largest_block)
{
    const size_t most = zspool_block_record_bytes (ZSPOOL_MESSAGE_FRAMES_MAX, ZSPOOL_MESSAGE_BYTES_MAX);
    CHECK (most <= ZSPOOL_BLOCK_CAPACITY_MAX);
}

TEST (test_block_record_takes_what_it_says)
{
    zspool_block_t *block = s_new (1000);
    const zspool_frame_t frames [] = { FRAME ("one"), FRAME ("three") };
    size_t used = 0;
    for (size_t count = 1; count <= 2; count++) {
        used += zspool_block_record_bytes (count, count == 1? 3: 8);
        CHECK_OK (zspool_block_append (block, frames, count, 1));
        CHECK_EQ_U64 (zspool_block_used (block), used);
    }
    CHECK_OK (zspool_block_seal (block));
    CHECK_EQ_U64 (zspool_block_size (block), ZSPOOL_BLOCK_OVERHEAD_BYTES + used);
    zspool_block_destroy (&block);
}

//  ---- full

TEST (test_block_full_gives_efull_and_stays_unchanged)
{
    //  Room for two messages of ten bytes, and one byte less than a third takes
    zspool_block_t *block = s_new (3 * zspool_block_record_bytes (1, 10) - 1);
    zspool_record_t record;
    const zspool_frame_t frame = FRAME ("0123456789");
    CHECK_OK (zspool_block_append_frame (block, "abcdefghij", 10, 5));
    CHECK_OK (zspool_block_append_frame (block, "klmnopqrst", 10, 6));
    size_t used = zspool_block_used (block);
    CHECK_CODE (zspool_block_append_frame (block, "0123456789", 10, 7), ZSPOOL_EFULL);
    CHECK_CODE (zspool_block_append (block, &frame, 1, 7), ZSPOOL_EFULL);
    CHECK_EQ_U64 (zspool_block_used (block), used);
    CHECK_EQ_U64 (zspool_block_count (block), 2);
    CHECK_OK (zspool_block_append_frame (block, "012345678", 9, 8));
    s_seal (block, &record);
    CHECK_EQ_I64 (zspool_block_arrival_us (block), 5);
    CHECK (zspool_block_next (block, &record));
    s_check_frame (&record, "abcdefghij", 10);
    CHECK (zspool_block_next (block, &record));
    s_check_frame (&record, "klmnopqrst", 10);
    CHECK (zspool_block_next (block, &record));
    s_check_frame (&record, "012345678", 9);
    CHECK (!zspool_block_next (block, &record));
    zspool_block_destroy (&block);
}

TEST (test_block_too_small_for_a_record_head_gives_efull)
{
    zspool_block_t *block = s_new (1);
    CHECK_CODE (zspool_block_append_frame (block, NULL, 0, 1), ZSPOOL_EFULL);
    CHECK_CODE (zspool_block_seal (block), ZSPOOL_EINVAL);
    zspool_block_destroy (&block);
}

TEST (test_block_most_messages_give_efull)
{
    zspool_block_t *block = s_new (1024 * 1024), *again = NULL;
    for (int index = 0; index < ZSPOOL_BLOCK_MESSAGES_MAX; index++)
        CHECK_OK (zspool_block_append_frame (block, "", 0, 1));
    CHECK_CODE (zspool_block_append_frame (block, "", 0, 1), ZSPOOL_EFULL);
    CHECK_OK (zspool_block_seal (block));
    CHECK_OK (zspool_block_decode (&again, zspool_block_bytes (block), zspool_block_size (block)));
    CHECK_EQ_U64 (zspool_block_count (again), ZSPOOL_BLOCK_MESSAGES_MAX);
    zspool_block_destroy (&again);
    zspool_block_destroy (&block);
}

//  ---- sealing and stamping

TEST (test_block_empty_cannot_be_sealed)
{
    zspool_block_t *block = s_new (100);
    CHECK_CODE (zspool_block_seal (block), ZSPOOL_EINVAL);
    zspool_block_destroy (&block);
}

TEST (test_block_sealed_twice_gives_einval)
{
    zspool_block_t *block = kit_block_new (1, 1, 10);
    CHECK_CODE (zspool_block_seal (block), ZSPOOL_EINVAL);
    zspool_block_destroy (&block);
}

TEST (test_block_sealed_takes_no_more)
{
    zspool_block_t *block = s_new (100);
    zspool_record_t record;
    const zspool_frame_t frame = FRAME ("b");
    CHECK_OK (zspool_block_append_frame (block, "a", 1, 1));
    s_seal (block, &record);
    size_t size = zspool_block_size (block);
    CHECK_CODE (zspool_block_append_frame (block, "b", 1, 1), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_block_append (block, &frame, 1, 1), ZSPOOL_EINVAL);
    CHECK_EQ_U64 (zspool_block_size (block), size);
    zspool_block_destroy (&block);
}

TEST (test_block_not_sealed_gives_no_message)
{
    zspool_block_t *block = s_new (100);
    zspool_record_t record;
    CHECK_OK (zspool_block_append_frame (block, "a", 1, 1));
    zspool_block_rewind (block, &record);
    CHECK (!zspool_block_next (block, &record));
    zspool_block_destroy (&block);
}

TEST (test_block_stamped_numbers_its_messages)
{
    zspool_block_t *block = kit_block_new (1000, 5, 20), *again = NULL;
    zspool_record_t record;
    zspool_block_stamp (block, 1000, 77, 99);
    CHECK_EQ_U64 (zspool_block_first_sequence (block), 1000);
    CHECK_EQ_U64 (zspool_block_last_sequence (block), 1004);
    CHECK_EQ_I64 (zspool_block_stored_us (block), 77);
    kit_check_block (block);
    CHECK_OK (zspool_block_decode (&again, zspool_block_bytes (block), zspool_block_size (block)));
    CHECK_EQ_U64 (zspool_block_first_sequence (again), 1000);
    CHECK_EQ_U64 (zspool_block_last_sequence (again), 1004);
    CHECK_EQ_I64 (zspool_block_stored_us (again), 77);
    zspool_block_rewind (again, &record);
    for (uint64_t sequence = 1000; sequence < 1005; sequence++) {
        CHECK (zspool_block_next (again, &record));
        CHECK_EQ_U64 (record.sequence, sequence);
    }
    zspool_block_destroy (&again);
    zspool_block_destroy (&block);
}

TEST (test_block_stamped_again_has_the_last_stamp)
{
    zspool_block_t *block = kit_block_new_stamped (5, 2, 20), *again = NULL;
    zspool_block_stamp (block, UINT64_MAX - 10, INT64_MAX, UINT64_MAX);
    CHECK_OK (zspool_block_decode (&again, zspool_block_bytes (block), zspool_block_size (block)));
    CHECK_EQ_U64 (zspool_block_first_sequence (again), UINT64_MAX - 10);
    CHECK_EQ_I64 (zspool_block_stored_us (again), INT64_MAX);
    zspool_block_destroy (&again);
    zspool_block_destroy (&block);
}

TEST (test_block_reset_can_be_filled_again)
{
    zspool_block_t *block = kit_block_new_stamped (5, 2, 20);
    zspool_record_t record;
    zspool_block_reset (block);
    CHECK_EQ_U64 (zspool_block_count (block), 0);
    CHECK_EQ_U64 (zspool_block_first_sequence (block), 0);
    CHECK (zspool_block_bytes (block) == NULL);
    CHECK_OK (zspool_block_append_frame (block, "new", 3, 9));
    s_seal (block, &record);
    CHECK_EQ_I64 (zspool_block_arrival_us (block), 9);
    CHECK_EQ_I64 (zspool_block_stored_us (block), 0);
    CHECK (zspool_block_next (block, &record));
    CHECK_EQ_U64 (record.sequence, 0);
    s_check_frame (&record, "new", 3);
    CHECK (!zspool_block_next (block, &record));
    zspool_block_destroy (&block);
}

//  ---- at random

#define RANDOM_FRAMES_MAX 5

//  The frames of message `number`: how many, their sizes and bytes follow from seed and number.
static size_t
s_random_frames (kit_chance_t seed, uint64_t number, zspool_frame_t frames [RANDOM_FRAMES_MAX])
{
    static uint8_t bytes [70000];
    if (!bytes [0])
        for (size_t at = 0; at < sizeof bytes; at++)
            bytes [at] = (uint8_t) (at * 7 + (at >> 8) + 1);
    kit_chance_t chance = seed + number;
    size_t count = 1 + kit_below (&chance, RANDOM_FRAMES_MAX);
    for (size_t index = 0; index < count; index++) {
        static const size_t limits [] = { 1, 4, 300, 70000 };
        frames [index].size = kit_below (&chance, limits [kit_below (&chance, 4)]);
        frames [index].data = bytes + kit_below (&chance, sizeof bytes - frames [index].size);
    }
    return count;
}

TEST (test_block_random_messages_come_back)
{
    kit_chance_t chance = kit_chance_new ();
    for (int round = 0; round < 40; round++) {
        kit_chance_t seed = kit_random (&chance);
        zspool_block_t *block = s_new (1 + kit_below (&chance, 1024 * 1024)), *again = NULL;
        zspool_frame_t frames [RANDOM_FRAMES_MAX];
        uint32_t count = 0;
        while (zspool_block_append (block, frames, s_random_frames (seed, count, frames), 1)
               == ZSPOOL_OK)
            count++;
        CHECK_EQ_U64 (zspool_block_count (block), count);
        if (count == 0) {
            zspool_block_destroy (&block);
            continue;
        }
        CHECK_OK (zspool_block_seal (block));
        CHECK_OK (zspool_block_decode (&again, zspool_block_bytes (block), zspool_block_size (block)));
        zspool_record_t record;
        zspool_block_rewind (again, &record);
        for (uint32_t number = 0; number < count; number++) {
            CHECK (zspool_block_next (again, &record));
            size_t frames_count = s_random_frames (seed, number, frames);
            CHECK_EQ_U64 (record.frames, frames_count);
            for (size_t index = 0; index < frames_count; index++)
                s_check_frame (&record, frames [index].data, frames [index].size);
            s_check_no_frame (&record);
        }
        CHECK (!zspool_block_next (again, &record));
        zspool_block_destroy (&again);
        zspool_block_destroy (&block);
    }
}
