//  test_history.c - tests of histories, and of the properties of records that they are written as
//
//  SPDX-License-Identifier: MPL-2.0

#include "history.h"
#include "kit.h"

static zspool_death_t
s_death (uint64_t number)
{
    return (zspool_death_t){
        .sequence = number,
        .stored_us = (int64_t) number * 10,
        .delivered_us = (int64_t) number * 10 + 1,
        .died_us = (int64_t) number * 10 + 2,
        .deliveries = (uint32_t) number + 5,
        .reason = ZSPOOL_DEATH_DELIVERIES,
    };
}

//  A block whose only record has two frames and these properties; record becomes it. NULL when it is not to be had.
static zspool_block_t *
s_block (const uint8_t *properties, size_t size, zspool_record_t *record)
{
    static const zspool_frame_t frames [] = { { "first", 5 }, { "", 0 } };
    zspool_block_t *made = zspool_block_new (4096), *block = NULL;
    CHECK (made);
    CHECK_OK (zspool_block_append_with (made, frames, 2, properties, size, 1));
    CHECK_OK (zspool_block_seal (made));
    zspool_block_stamp (made, 1, 1, 1);
    int rc = zspool_block_decode (&block, zspool_block_bytes (made), zspool_block_size (made));
    zspool_block_destroy (&made);
    if (rc) {
        CHECK_CODE (rc, ZSPOOL_ECORRUPT);
        return NULL;
    }
    zspool_block_rewind (block, record);
    CHECK (zspool_block_next (block, record));
    //  Whatever the properties, the frames are as they were.
    zspool_record_t copy = *record;
    zspool_frame_t frame;
    CHECK (zspool_record_next_frame (&copy, &frame));
    CHECK_EQ_MEM (frame.data, frame.size, "first", 5);
    CHECK (zspool_record_next_frame (&copy, &frame) && frame.size == 0);
    CHECK (!zspool_record_next_frame (&copy, &frame));
    return block;
}

//  What is read of these properties
static int
s_read (const uint8_t *properties, size_t size, zspool_history_t *history)
{
    zspool_record_t record;
    zspool_block_t *block = s_block (properties, size, &record);
    CHECK (block);
    int rc = zspool_history_read (history, &record);
    zspool_block_destroy (&block);
    return rc;
}

static size_t
s_put (uint8_t *properties, size_t used, uint8_t id, const void *data, size_t size)
{
    zspool_property_t property = { id, 0, size, (const uint8_t *) data };
    size_t now = zspool_property_put (properties, used, &property);
    CHECK (now > used);
    return now;
}

TEST (test_history_is_read_as_it_was_written)
{
    zspool_history_t history = { .deaths_ever = 0 }, found;
    zspool_death_t deaths [] = { s_death (1), s_death (UINT32_MAX) };
    zspool_history_add (&history, "orders", &deaths [0]);
    zspool_history_add (&history, "orders", &deaths [1]);
    uint8_t properties [ZSPOOL_PROPERTIES_BYTES_MAX];
    size_t size = zspool_history_write (&history, properties);
    CHECK (size % 4 == 0);
    CHECK_OK (s_read (properties, size, &found));
    CHECK_EQ_STR (found.origin, "orders");
    CHECK_EQ_U64 (found.deaths_ever, 2);
    CHECK_EQ_U64 (found.deaths_count, 2);
    CHECK_EQ_MEM (found.deaths, sizeof deaths, deaths, sizeof deaths);
}

TEST (test_history_of_many_deaths_keeps_the_last)
{
    char name [ZSPOOL_NAME_MAX + 1];
    memset (name, 'n', ZSPOOL_NAME_MAX);
    name [ZSPOOL_NAME_MAX] = 0;
    zspool_history_t history = { .deaths_ever = 0 }, found;
    for (uint64_t number = 1; number <= 1000; number++) {
        zspool_death_t death = s_death (number);
        zspool_history_add (&history, name, &death);
    }
    uint8_t properties [ZSPOOL_PROPERTIES_BYTES_MAX];
    CHECK_OK (s_read (properties, zspool_history_write (&history, properties), &found));
    CHECK_EQ_STR (found.origin, name);
    CHECK_EQ_U64 (found.deaths_ever, 1000);
    CHECK_EQ_U64 (found.deaths_count, ZSPOOL_DEATHS_MAX);
    for (size_t index = 0; index < ZSPOOL_DEATHS_MAX; index++)
        CHECK_EQ_U64 (found.deaths [index].sequence, 1000 - ZSPOOL_DEATHS_MAX + 1 + index);
}

TEST (test_history_of_a_message_without_one_is_enoent)
{
    zspool_history_t found = { .deaths_ever = 77 };
    CHECK_CODE (s_read (NULL, 0, &found), ZSPOOL_ENOENT);
    CHECK_EQ_U64 (found.deaths_ever, 77);
}

TEST (test_history_passes_over_properties_of_a_newer_version)
{
    zspool_history_t history = { .deaths_ever = 0 }, found;
    zspool_death_t death = s_death (3);
    zspool_history_add (&history, "orders", &death);
    uint8_t properties [ZSPOOL_PROPERTIES_BYTES_MAX];
    size_t size = zspool_history_write (&history, properties);
    size = s_put (properties, size, 200, "something", 9);
    size = s_put (properties, size, 201, "", 0);
    CHECK_OK (s_read (properties, size, &found));
    CHECK_EQ_U64 (found.deaths_count, 1);
    CHECK_CODE (s_read (properties, s_put (properties, 0, 200, "alone", 5), &found), ZSPOOL_ENOENT);
}

TEST (test_history_that_makes_no_sense_is_corrupt)
{
    uint8_t bytes [64] = { 1 }, properties [ZSPOOL_PROPERTIES_BYTES_MAX];
    zspool_history_t found;
    //  A count without deaths; deaths without a count, without an origin
    CHECK_CODE (s_read (properties, s_put (properties, 0, 1, bytes, 8), &found), ZSPOOL_ECORRUPT);
    size_t size = s_put (properties, 0, 3, bytes, 40);
    CHECK_CODE (s_read (properties, size, &found), ZSPOOL_ECORRUPT);
    size = s_put (properties, size, 1, bytes, 8);
    CHECK_CODE (s_read (properties, size, &found), ZSPOOL_ECORRUPT);
    size = s_put (properties, size, 2, "orders", 6);
    CHECK_OK (s_read (properties, size, &found));
    //  More deaths than the count says
    CHECK_CODE (s_read (properties, s_put (properties, size, 3, bytes, 40), &found), ZSPOOL_ECORRUPT);
    //  Sizes that are not theirs
    CHECK_CODE (s_read (properties, s_put (properties, size, 1, bytes, 7), &found), ZSPOOL_ECORRUPT);
    CHECK_CODE (s_read (properties, s_put (properties, size, 2, "", 0), &found), ZSPOOL_ECORRUPT);
    CHECK_CODE (s_read (properties, s_put (properties, size, 2, "a\0b", 3), &found), ZSPOOL_ECORRUPT);
    memset (properties + size, 'x', 200);
    CHECK_CODE (s_read (properties, s_put (properties, size, 3, bytes, 39), &found), ZSPOOL_ECORRUPT);
}

TEST (test_history_property_without_room_is_refused)
{
    uint8_t properties [ZSPOOL_PROPERTIES_BYTES_MAX], data [ZSPOOL_PROPERTIES_BYTES_MAX] = { 0 };
    zspool_property_t property = { 9, 0, ZSPOOL_PROPERTIES_BYTES_MAX - 4, data };
    CHECK_EQ_U64 (zspool_property_put (properties, 0, &property), ZSPOOL_PROPERTIES_BYTES_MAX);
    CHECK_EQ_U64 (zspool_property_put (properties, 4, &property), 0);
    property.size++;
    CHECK_EQ_U64 (zspool_property_put (properties, 0, &property), 0);
    property.size = 1;
    CHECK_EQ_U64 (zspool_property_put (properties, ZSPOOL_PROPERTIES_BYTES_MAX - 4, &property), 0);
}

TEST (test_history_properties_that_are_not_whole_make_a_block_corrupt)
{
    zspool_record_t record;
    uint8_t properties [8] = { 9, 0, 0, 0, 9, 0, 0, 0 };
    zspool_block_t *block = s_block (properties, 8, &record);
    CHECK (block);
    zspool_block_destroy (&block);
    static const uint16_t sizes [] = { 1, 4, 5, 255, 1016, 65535 };
    for (size_t index = 0; index < sizeof sizes / sizeof sizes [0]; index++) {
        properties [6] = (uint8_t) sizes [index];
        properties [7] = (uint8_t) (sizes [index] >> 8);
        CHECK (!s_block (properties, 8, &record));
    }
}

TEST (test_history_wrong_properties_are_not_appended)
{
    zspool_block_t *block = zspool_block_new (4096);
    uint8_t properties [2048] = { 0 };
    zspool_frame_t frame = { "x", 1 };
    CHECK_CODE (zspool_block_append_with (block, &frame, 1, properties, 5, 1), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_block_append_with (block, &frame, 1, properties, 1024, 1), ZSPOOL_EINVAL);
    CHECK_EQ_U64 (zspool_block_count (block), 0);
    CHECK_OK (zspool_block_append_with (block, &frame, 1, properties, ZSPOOL_PROPERTIES_BYTES_MAX, 1));
    zspool_block_destroy (&block);
}
