//  test_verify.c - tests that verifying finds what is wrong in a store, and nothing else
//
//  SPDX-License-Identifier: MPL-2.0

#include "bytes.h"
#include "craft.h"
#include "kit.h"
#include "store_blocks.h"

#include <xxhash.h>

#define SPOOL 1                        //  number of the first spool of a store
#define BLOCKS 4                       //  of ten messages each

//  What verifying found
typedef struct {
    size_t count;
    char spool [ZSPOOL_NAME_MAX + 1];  //  of the first finding, and so on
    uint64_t first;
    uint64_t last;
    char problem [200];
} s_findings_t;

static void
s_note (void *arg, const char *spool, uint64_t first, uint64_t last, const char *problem)
{
    s_findings_t *self = (s_findings_t *) arg;
    printf ("%s %" PRIu64 " to %" PRIu64 ": %s\n", spool, first, last, problem);
    if (self->count++ > 0)
        return;
    snprintf (self->spool, sizeof self->spool, "%s", spool);
    snprintf (self->problem, sizeof self->problem, "%s", problem);
    self->first = first;
    self->last = last;
}

//  A closed store
static void
s_create (bool chunked)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "reader", 1);
    CHECK_EQ_U64 (spool, SPOOL);
    CHECK_OK (zspool_store_begin (store));
    store->chunked = chunked;
    for (int block = 0; block < BLOCKS; block++)
        CHECK_OK (kit_try_append (store, spool, 10, 1000));
    CHECK_OK (zspool_store_commit (store));
    kit_append (store, kit_spool (store, "other"), 10, 1000);
    kit_ack (store, spool, cursor, 2, 5);
    zspool_store_destroy (&store);
}

//  Verify the closed store; `problem` must be part of the first finding.
static void
s_check_found (size_t count, uint64_t first, uint64_t last, const char *problem)
{
    s_findings_t findings = { .count = 0 };
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    CHECK_EQ_I64 (zspool_store_verify (store, s_note, &findings, NULL), (int64_t) count);
    CHECK_EQ_U64 (findings.count, count);
    CHECK_EQ_I64 (zspool_store_verify (store, NULL, NULL, NULL), (int64_t) count);
    zspool_store_destroy (&store);
    CHECK_EQ_STR (findings.spool, "main");
    CHECK_EQ_U64 (findings.first, first);
    CHECK_EQ_U64 (findings.last, last);
    CHECK (strstr (findings.problem, problem));
}

//  ---- sound

TEST (test_verify_of_a_sound_store_finds_nothing)
{
    for (int chunked = 0; chunked <= 1; chunked++) {
        s_create (chunked);
        zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
        s_findings_t findings = { .count = 0 };
        uint64_t blocks = 77;
        CHECK_EQ_I64 (zspool_store_verify (store, s_note, &findings, &blocks), 0);
        CHECK_EQ_U64 (blocks, BLOCKS + 1);
        zspool_store_destroy (&store);
        CHECK (system ("rm -r " KIT_STORE) == 0);
    }
}

TEST (test_verify_of_an_empty_store_finds_nothing)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint64_t blocks = 77;
    CHECK_EQ_I64 (zspool_store_verify (store, NULL, NULL, &blocks), 0);
    CHECK_EQ_U64 (blocks, 0);
    kit_cursor (store, kit_spool (store, "main"), "reader", 1);
    CHECK_EQ_I64 (zspool_store_verify (store, NULL, NULL, &blocks), 0);
    zspool_store_destroy (&store);
}

static void
s_write_on (void *arg)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "reader", 1);
    kit_ack (store, spool, cursor, 1, 1);
    for (uint64_t sequence = 6; sequence < 1000; sequence += 5) {
        kit_append (store, spool, 5, 100);
        kit_ack (store, spool, cursor, sequence, sequence + 4);
    }
    zspool_store_destroy (&store);
    (void) arg;
}

TEST (test_verify_of_a_store_in_use_finds_nothing)
{
    s_create (false);
    pid_t pid = kit_fork (s_write_on, NULL);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    while (kit_spool_info (store, SPOOL).last_sequence < 900)
        kit_check_sound (store);
    CHECK_EQ_I64 (kit_wait (pid), 0);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

//  ---- blocks

TEST (test_verify_finds_flipped_bits)
{
    s_create (false);
    uint8_t message [1000];
    kit_fill (message, sizeof message, 15);
    CHECK (kit_flip (KIT_STORE "/data.mdb", message, 50) > 0);
    s_check_found (1, 11, 20, "damaged");
}

TEST (test_verify_finds_a_deleted_block)
{
    for (uint64_t first = 1; first <= 31; first += 10) {
        s_create (false);
        kit_edit_block (KIT_STORE, SPOOL, first, 0, NULL);
        //  Of the first block, some was acknowledged.
        if (first == 1)
            s_check_found (2, 1, 10, "a block that is not there");
        else
            s_check_found (first == 31? 2: 1, 0, 0,
                           "40 messages in 4 blocks of 40736 bytes, found 30 in 3 of 30552");
        CHECK (system ("rm -r " KIT_STORE) == 0);
    }
}

TEST (test_verify_finds_all_blocks_deleted)
{
    s_create (false);
    for (uint64_t first = 1; first <= 31; first += 10)
        kit_edit_block (KIT_STORE, SPOOL, first, 0, NULL);
    s_check_found (2, 1, 10, "a block that is not there");
}

TEST (test_verify_finds_a_missing_chunk)
{
    s_create (true);
    kit_edit_block (KIT_STORE, SPOOL, 31, 1, NULL);
    s_check_found (1, 31, 40, "damaged");
}

static void
s_make_newer (uint8_t *bytes, size_t *size)
{
    craft_t craft = craft_usual (10, *size - CRAFT_HEAD_BYTES);
    memcpy (&craft.first_sequence, bytes, 8);
    craft.flags = 0x80;
    uint8_t *body = (uint8_t *) zmalloc (*size);
    craft_block (&craft, body, *size - CRAFT_HEAD_BYTES, bytes);
    free (body);
}

TEST (test_verify_finds_a_block_of_a_newer_version)
{
    s_create (false);
    kit_edit_block (KIT_STORE, SPOOL, 11, 0, s_make_newer);
    s_check_found (1, 11, 20, "newer version");
}

//  Replace the second block by one with these numbers, under its key or another.
static void
s_replace_second (uint64_t first, int64_t stored_us)
{
    zspool_txn_t *txn;
    zspool_table_t state;
    uint8_t key [10];
    zspool_block_t *block = kit_block_new (first, 10, 1000);
    zspool_block_stamp (block, first, stored_us, 1);
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    zspool_table_t table = kit_engine_blocks (engine, SPOOL);
    CHECK_OK (zspool_txn_delete (txn, table, kit_block_key (key, 11, 0)));
    zspool_bytes_t bytes = { (const uint8_t *) zspool_block_bytes (block), zspool_block_size (block) };
    CHECK_OK (zspool_txn_put (txn, table, kit_block_key (key, first, 0), bytes));
    kit_engine_commit (&engine);
    zspool_block_destroy (&block);
}

TEST (test_verify_finds_overlapping_blocks)
{
    s_create (false);
    s_replace_second (6, INT64_MAX);
    s_check_found (2, 6, 15, "overlaps");
}

TEST (test_verify_finds_a_block_stored_before_the_one_before)
{
    s_create (false);
    s_replace_second (11, 1);
    s_check_found (1, 11, 20, "earlier");
}

TEST (test_verify_after_a_damaged_block_was_trimmed_finds_nothing)
{
    for (size_t offset = 20; offset < 200; offset += 130) {
        s_create (false);
        zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
        zspool_reader_t *reader = zspool_reader_new (store, SPOOL);
        zspool_block_t *block = NULL;
        zspool_reader_seek (reader, 11);
        CHECK_OK (zspool_reader_next (reader, &block));
        zspool_reader_destroy (&reader);
        zspool_store_destroy (&store);
        //  Once in its head, once in its messages
        CHECK (kit_flip (KIT_STORE "/data.mdb", zspool_block_bytes (block), offset) > 0);
        zspool_block_destroy (&block);
        s_check_found (1, 11, 20, "damaged");
        store = kit_open (KIT_STORE, ZSPOOL_WRITE);
        for (uint64_t sequence = 10; sequence <= 40; sequence += 10) {
            CHECK_OK (zspool_store_begin (store));
            CHECK_OK (zspool_store_trim (store, SPOOL, sequence));
            CHECK_OK (zspool_store_commit (store));
            CHECK_EQ_U64 (kit_spool_info (store, SPOOL).messages, 40 - sequence);
            CHECK_EQ_I64 (kit_verify (store), sequence == 10);
        }
        zspool_store_destroy (&store);
        CHECK (system ("rm -r " KIT_STORE) == 0);
    }
}

//  ---- records

//  Change the spool's record of the closed store.
static void
s_edit_spool (void (*edit) (zspool_spool_record_t *record))
{
    zspool_txn_t *txn;
    zspool_table_t state;
    zspool_walk_t walk;
    uint32_t spool;
    zspool_spool_record_t record;
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    CHECK_OK (zspool_walk_spools (&walk, txn, state));
    CHECK_OK (zspool_walk_next_spool (&walk, &spool, &record));
    zspool_walk_close (&walk);
    edit (&record);
    CHECK_OK (zspool_state_put_spool (txn, state, spool, &record));
    kit_engine_commit (&engine);
}

static void
s_more_messages (zspool_spool_record_t *record)
{
    record->messages++;
}

static void
s_less_bytes (zspool_spool_record_t *record)
{
    record->bytes--;
}

static void
s_more_blocks (zspool_spool_record_t *record)
{
    record->blocks++;
}

static void
s_lower_ceiling (zspool_spool_record_t *record)
{
    record->sequence_ceiling = record->last_sequence - 1;
}

TEST (test_verify_finds_wrong_counts)
{
    s_create (false);
    s_edit_spool (s_more_messages);
    s_check_found (1, 0, 0, "says 41 messages in 4 blocks of 40736 bytes, found 40 in 4 of 40736");
    s_edit_spool (s_less_bytes);
    s_check_found (1, 0, 0, "says 41 messages in 4 blocks of 40735 bytes");
    s_edit_spool (s_more_blocks);
    s_check_found (1, 0, 0, "says 41 messages in 5 blocks");
}

TEST (test_verify_finds_a_ceiling_below_the_last_sequence)
{
    s_create (false);
    s_edit_spool (s_lower_ceiling);
    s_check_found (1, 0, 0, "ceiling");
}

TEST (test_verify_finds_a_cursor_that_makes_no_sense)
{
    s_create (false);
    zspool_txn_t *txn;
    zspool_table_t state;
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    zspool_cursor_record_t record = { .name = "reader", .generation = 1, .floor = 8, .sent_to = 7 };
    CHECK_OK (zspool_state_put_cursor (txn, state, SPOOL, 1, &record));
    kit_engine_commit (&engine);
    s_check_found (1, 0, 0, "cursor reader");
}

TEST (test_verify_finds_a_cursor_above_the_last_message)
{
    s_create (false);
    zspool_txn_t *txn;
    zspool_table_t state;
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    zspool_cursor_record_t record = { .name = "reader", .generation = 1, .floor = 41, .sent_to = 41 };
    CHECK_OK (zspool_state_put_cursor (txn, state, SPOOL, 1, &record));
    kit_engine_commit (&engine);
    s_check_found (1, 0, 0, "cursor reader");
}

//  Damage the value under a key.
static void
s_damage_record (const void *key_bytes, size_t key_size)
{
    zspool_txn_t *txn;
    zspool_table_t state;
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    zspool_bytes_t key = { (const uint8_t *) key_bytes, key_size }, value;
    uint8_t copy [300];
    CHECK_OK (zspool_txn_get (txn, state, key, &value));
    CHECK (value.size <= sizeof copy);
    memcpy (copy, value.data, value.size);
    copy [value.size / 2] ^= 4;
    value.data = copy;
    CHECK_OK (zspool_txn_put (txn, state, key, value));
    kit_engine_commit (&engine);
}

TEST (test_verify_finds_a_damaged_entry_of_a_cursor)
{
    s_create (false);
    s_damage_record ("E\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\1", 17);
    s_check_found (1, 0, 0, "acknowledged");
}

TEST (test_verify_finds_a_damaged_gap)
{
    s_create (false);
    zspool_txn_t *txn;
    zspool_table_t state;
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    zspool_gap_t gap = { 41, 50, 1 };
    CHECK_OK (zspool_state_put_gap (txn, state, SPOOL, &gap));
    kit_engine_commit (&engine);
    s_damage_record ("G\0\0\0\1\0\0\0\0\0\0\0\51", 13);
    s_check_found (1, 0, 0, "gap");
}

//  Put a gap into the closed store.
static void
s_put_gap (uint64_t first, uint64_t last)
{
    zspool_txn_t *txn;
    zspool_table_t state;
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    zspool_gap_t gap = { first, last, 1 };
    CHECK_OK (zspool_state_put_gap (txn, state, SPOOL, &gap));
    kit_engine_commit (&engine);
}

TEST (test_verify_finds_a_gap_that_holds_messages)
{
    s_create (false);
    s_put_gap (15, 18);
    s_check_found (1, 15, 18, "gap holds messages");
}

TEST (test_verify_finds_gaps_that_overlap)
{
    s_create (false);
    s_put_gap (41, 50);
    s_put_gap (50, 60);
    s_check_found (1, 50, 60, "gap overlaps");
}

TEST (test_verify_finds_an_entry_without_its_block)
{
    static const struct {
        uint64_t first;
        uint32_t messages;
    } entries [] = { { 41, 10 }, { 12, 9 }, { 11, 9 } };
    const uint8_t acked [2] = { 1, 0 };
    for (size_t index = 0; index < sizeof entries / sizeof entries [0]; index++) {
        s_create (false);
        zspool_txn_t *txn;
        zspool_table_t state;
        zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
        zspool_cursor_entry_t entry = { entries [index].first, entries [index].messages, acked, NULL };
        CHECK_OK (zspool_state_put_entry (txn, state, SPOOL, 1, &entry));
        kit_engine_commit (&engine);
        s_check_found (1, entry.first_sequence, entry.first_sequence + entry.messages - 1,
                       "cursor reader: it acknowledged messages of a block that is not there");
        CHECK (system ("rm -r " KIT_STORE) == 0);
    }
}

TEST (test_verify_of_a_cursor_with_many_entries_finds_nothing_or_the_one)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "reader", 1);
    CHECK_OK (zspool_store_begin (store));
    for (uint64_t block = 0; block < 1000; block++)
        CHECK_OK (kit_try_append (store, spool, 3, 10));
    for (uint64_t block = 0; block < 1000; block++)
        CHECK_OK (zspool_store_ack (store, spool, cursor, block * 3 + 2, block * 3 + 2));
    CHECK_OK (zspool_store_commit (store));
    kit_check_sound (store);
    zspool_cursor_info_t info = kit_cursor_info (store, spool, cursor);
    CHECK_EQ_U64 (info.pending, 2000);
    CHECK_EQ_U64 (info.in_flight, 0);
    zspool_store_destroy (&store);
    //  Among the last of them
    s_damage_record ("E\0\0\0\1\0\0\0\1\0\0\0\0\0\0\x0b\xb6", 17);
    s_check_found (1, 0, 0, "cursor reader: what it acknowledged");
}

//  Damage a record through another process while the store is open.
typedef struct {
    const char *key;
    size_t size;
} s_key_t;

static void
s_damage_key (void *arg)
{
    s_key_t *key = (s_key_t *) arg;
    s_damage_record (key->key, key->size);
}

static void
s_check_ends (const char *key, size_t size, int64_t count)
{
    s_create (false);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    CHECK_EQ_I64 (kit_run (s_damage_key, &(s_key_t) { key, size }), 0);
    CHECK_EQ_I64 (kit_verify (store), count);
    zspool_store_destroy (&store);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_WRITE), ZSPOOL_ECORRUPT);
}

TEST (test_verify_finds_a_damaged_record_of_a_spool_and_ends)
{
    s_check_ends ("S\0\0\0\1", 5, 1);
}

TEST (test_verify_finds_a_damaged_record_of_the_last_spool_and_ends)
{
    s_check_ends ("S\0\0\0\2", 5, 1);
}

TEST (test_verify_finds_a_damaged_record_of_a_cursor_and_ends)
{
    s_check_ends ("C\0\0\0\1\0\0\0\1", 9, 1);
}
