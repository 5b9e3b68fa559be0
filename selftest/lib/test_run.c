//  test_run.c - tests of runs: what is checked, how they are read, how they come into blocks
//
//  SPDX-License-Identifier: MPL-2.0
//
//  fuzz_run_check () compares every result with another way of reading a run, and puts what is
//  accepted into blocks.

#include "craft.h"
#include "fuzz/fuzz_run.h"
#include "kit.h"
#include "run.h"

#define RUN_BYTES_MAX 4096

typedef struct {
    uint8_t bytes [RUN_BYTES_MAX];
    size_t size;
    uint32_t count;
} s_run_t;

static void
s_add (s_run_t *run, uint8_t flags, uint8_t words, uint16_t frames, const void *rest,
       size_t rest_bytes)
{
    CHECK (run->size + 8 + rest_bytes <= sizeof run->bytes);
    run->size += craft_record (run->bytes + run->size, (uint32_t) rest_bytes, flags, words, frames,
                               rest, rest_bytes);
    run->count++;
}

//  A record of these frames
static void
s_add_frames (s_run_t *run, const char *const *frames, uint16_t count)
{
    uint8_t rest [1024];
    size_t size = 0;
    for (size_t index = 0; index + 1 < count; index++, size += 4) {
        uint32_t length = (uint32_t) strlen (frames [index]);
        const uint8_t bytes [4] = { (uint8_t) length, (uint8_t) (length >> 8), 0, 0 };
        memcpy (rest + size, bytes, 4);
    }
    for (size_t index = 0; index < count; index++) {
        memcpy (rest + size, frames [index], strlen (frames [index]));
        size += strlen (frames [index]);
    }
    s_add (run, 0, 0, count, rest, size);
}

static const char *const s_frames [] = { "topic", "", "a longer frame", "", "x" };

//  Messages of 1 to 5 frames, and an empty one
static s_run_t
s_usual (void)
{
    s_run_t run = { .size = 0 };
    for (uint16_t count = 1; count <= 5; count++)
        s_add_frames (&run, s_frames, count);
    s_add_frames (&run, s_frames + 1, 1);
    return run;
}

//  The check's result, from memory of the run's exact size
static int
s_check (const s_run_t *run, size_t size, uint32_t count, size_t frames_max, size_t bytes_max,
         bool with_properties)
{
    uint8_t *exactly = (uint8_t *) malloc (size? size: 1);
    CHECK (exactly);
    memcpy (exactly, run->bytes, size);
    int rc = fuzz_run_check (exactly, size, count, frames_max, bytes_max, with_properties);
    free (exactly);
    return rc;
}

static int
s_check_all (const s_run_t *run)
{
    return s_check (run, run->size, run->count, SIZE_MAX, SIZE_MAX, false);
}

TEST (test_run_gives_its_messages_in_order_with_all_their_frames)
{
    s_run_t run = s_usual ();
    CHECK_OK (s_check_all (&run));
    zspool_record_t record = { .number = 0 };
    zspool_frame_t frame;
    for (uint32_t count = 1; count <= 5; count++) {
        CHECK (zspool_run_next (run.bytes, run.size, 70, &record));
        CHECK_EQ_U64 (record.sequence, 69 + count);
        CHECK_EQ_U64 (record.frames, count);
        for (uint32_t index = 0; index < count; index++) {
            CHECK (zspool_record_next_frame (&record, &frame));
            CHECK_EQ_MEM (frame.data, frame.size, s_frames [index], strlen (s_frames [index]));
        }
        CHECK (!zspool_record_next_frame (&record, &frame));
    }
    CHECK (zspool_run_next (run.bytes, run.size, 70, &record));
    CHECK_EQ_U64 (record.data_bytes, 0);
    CHECK (!zspool_run_next (run.bytes, run.size, 70, &record));
    record = (zspool_record_t){ .number = 0 };
    CHECK (zspool_run_next (run.bytes, run.size, 0, &record));
    CHECK_EQ_U64 (record.sequence, 0);
}

TEST (test_run_with_another_count_or_size_is_corrupt)
{
    s_run_t run = s_usual ();
    for (uint32_t count = 0; count < run.count + 3; count++)
        CHECK_CODE (s_check (&run, run.size, count, SIZE_MAX, SIZE_MAX, false),
                    count == run.count? ZSPOOL_OK: ZSPOOL_ECORRUPT);
    for (size_t size = 0; size < run.size; size++)
        CHECK_CODE (s_check (&run, size, run.count, SIZE_MAX, SIZE_MAX, false), ZSPOOL_ECORRUPT);
    CHECK_OK (s_check (&run, 0, 0, SIZE_MAX, SIZE_MAX, false));
    run.bytes [run.size] = 0;
    CHECK_CODE (s_check (&run, run.size + 1, run.count, SIZE_MAX, SIZE_MAX, false),
                ZSPOOL_ECORRUPT);
}

TEST (test_run_over_a_limit_is_too_big)
{
    s_run_t run = s_usual ();
    size_t bytes = strlen (s_frames [0]) + strlen (s_frames [2]) + strlen (s_frames [4]);
    CHECK_OK (s_check (&run, run.size, run.count, 5, bytes, false));
    CHECK_CODE (s_check (&run, run.size, run.count, 4, bytes, false), ZSPOOL_ETOOBIG);
    CHECK_CODE (s_check (&run, run.size, run.count, 5, bytes - 1, false), ZSPOOL_ETOOBIG);
    //  One that is over a limit does not hide one that is damaged, or of a newer version.
    CHECK_CODE (s_check (&run, run.size - 1, run.count, 1, 1, false), ZSPOOL_ECORRUPT);
    s_add (&run, 4, 0, 1, "x", 1);
    CHECK_CODE (s_check (&run, run.size, run.count, 1, 1, false), ZSPOOL_EVERSION);
}

TEST (test_run_with_frames_that_do_not_fit_is_corrupt)
{
    static const uint8_t sizes [] = { 3, 0, 0, 0, 'a', 'b', 'c' },
                               far [] = { 255, 255, 255, 255, 'a', 'b', 'c' };
    s_run_t run = { .size = 0 };
    s_add (&run, 0, 0, 2, sizes, sizeof sizes);
    CHECK_OK (s_check_all (&run));
    run = (s_run_t){ .size = 0 };
    s_add (&run, 0, 0, 2, sizes, sizeof sizes - 1);
    CHECK_CODE (s_check_all (&run), ZSPOOL_ECORRUPT);
    run = (s_run_t){ .size = 0 };
    s_add (&run, 0, 0, 2, far, sizeof far);
    CHECK_CODE (s_check_all (&run), ZSPOOL_ECORRUPT);
    run = (s_run_t){ .size = 0 };
    s_add (&run, 0, 0, 65535, sizes, sizeof sizes);
    CHECK_CODE (s_check_all (&run), ZSPOOL_ECORRUPT);
    run = (s_run_t){ .size = 0 };
    s_add (&run, 0, 0, 0, "abc", 3);
    CHECK_CODE (s_check_all (&run), ZSPOOL_ECORRUPT);
}

TEST (test_run_with_flags_is_of_a_newer_version)
{
    for (unsigned flags = 1; flags < 256; flags++) {
        s_run_t run = s_usual ();
        s_add (&run, (uint8_t) flags, 0, 1, "x", 1);
        CHECK_CODE (s_check_all (&run), ZSPOOL_EVERSION);
    }
}

TEST (test_run_with_properties_is_taken_only_where_they_are_wanted)
{
    static const uint8_t rest [] = { 1,   0, 5, 0, 'h', 'e', 'l', 'l',
                                     'o', 0, 0, 0, 'd', 'a', 't', 'a' };
    for (unsigned words = 0; words < 8; words++) {
        s_run_t run = { .size = 0 };
        s_add (&run, 0, (uint8_t) words, 1, rest, sizeof rest);
        bool whole = words == 0 || words == 3;
        CHECK_CODE (s_check (&run, run.size, 1, SIZE_MAX, SIZE_MAX, true),
                    whole? ZSPOOL_OK: ZSPOOL_ECORRUPT);
        CHECK_CODE (s_check (&run, run.size, 1, SIZE_MAX, SIZE_MAX, false),
                    words == 0? ZSPOOL_OK: ZSPOOL_ECORRUPT);
    }
    s_run_t run = { .size = 0 };
    zspool_record_t record = { .number = 0 };
    zspool_property_t property;
    size_t offset = 0;
    s_add (&run, 0, 3, 1, rest, sizeof rest);
    CHECK (zspool_run_next (run.bytes, run.size, 1, &record));
    CHECK_EQ_MEM (record.data, record.data_bytes, "data", 4);
    CHECK (zspool_record_next_property (&record, &offset, &property));
    CHECK_EQ_MEM (property.data, property.size, "hello", 5);
    CHECK (!zspool_record_next_property (&record, &offset, &property));
}

TEST (test_run_with_any_bit_turned_is_read_as_another_reader_does)
{
    s_run_t run = s_usual ();
    unsigned accepted = 0, refused = 0;
    for (size_t bit = 0; bit < 8 * run.size; bit++) {
        run.bytes [bit / 8] ^= (uint8_t) (1 << bit % 8);
        for (uint32_t count = run.count - 1; count <= run.count + 1; count++)
            if (s_check (&run, run.size, count, 4, 20, true) == ZSPOOL_ECORRUPT)
                refused++;
            else
                accepted++;
        run.bytes [bit / 8] ^= (uint8_t) (1 << bit % 8);
    }
    CHECK (accepted > 0 && refused > 0);
}

TEST (test_run_with_random_damage_is_read_as_another_reader_does)
{
    kit_chance_t chance = kit_chance_new ();
    for (int round = 0; round < (SELFTEST_TSAN? 2000: 20000); round++) {
        s_run_t run = s_usual ();
        for (uint64_t count = 1 + kit_below (&chance, 4); count > 0; count--)
            run.bytes [kit_below (&chance, run.size)] = (uint8_t) kit_below (&chance, 16);
        if (kit_below (&chance, 4) == 0)
            run.size = kit_below (&chance, run.size);
        s_check (&run, run.size, run.count, 1 + kit_below (&chance, 5), kit_below (&chance, 30),
                 kit_below (&chance, 2));
    }
}

//  ------------------------------------------------------------------------------------------------
//  Into blocks

TEST (test_run_is_appended_as_far_as_the_block_has_room)
{
    s_run_t run = s_usual ();
    zspool_block_t *block = zspool_block_new (run.size);
    CHECK_EQ_U64 (zspool_block_append_run (block, run.bytes, run.size, 2, run.count - 2, 5),
                  run.count - 2);
    CHECK (zspool_block_append_run (block, run.bytes, run.size, 0, run.count, 6) < run.count);
    CHECK_OK (zspool_block_seal (block));
    CHECK_EQ_U64 (zspool_block_append_run (block, run.bytes, run.size, 0, run.count, 7), 0);
    zspool_record_t record;
    zspool_block_rewind (block, &record);
    CHECK (zspool_block_next (block, &record));
    CHECK_EQ_U64 (record.frames, 3);
    CHECK_EQ_I64 (zspool_record_arrival_us (block, &record), 5);
    zspool_block_destroy (&block);
}

TEST (test_run_is_appended_up_to_the_most_messages_of_a_block)
{
    size_t size = ZSPOOL_BLOCK_MESSAGES_MAX * 9;
    uint8_t *bytes = (uint8_t *) zmalloc (size);
    for (size_t index = 0; index < ZSPOOL_BLOCK_MESSAGES_MAX; index++)
        craft_record (bytes + 9 * index, 1, 0, 0, 1, "x", 1);
    CHECK_OK (zspool_run_check (bytes, size, ZSPOOL_BLOCK_MESSAGES_MAX, 1, 1, false));
    for (int indexed = 0; indexed < 2; indexed++) {
        zspool_block_t *block = zspool_block_new (4 * size);
        zspool_block_set_indexed (block, indexed);
        CHECK_OK (zspool_block_append_frame (block, "y", 1, 1));
        CHECK_EQ_U64 (zspool_block_append_run (block, bytes, size, 0, ZSPOOL_BLOCK_MESSAGES_MAX, 1),
                      ZSPOOL_BLOCK_MESSAGES_MAX - 1);
        CHECK_EQ_U64 (zspool_block_append_run (block, bytes, size, 0, ZSPOOL_BLOCK_MESSAGES_MAX, 1),
                      0);
        CHECK_OK (zspool_block_seal (block));
        CHECK ((zspool_block_index (block) != NULL) == indexed);
        zspool_block_destroy (&block);
    }
    free (bytes);
}
