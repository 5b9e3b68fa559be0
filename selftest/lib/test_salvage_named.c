//  test_salvage_named.c - tests of saving producers, and tables of an application
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"
#include "store_state.h"
#include "zspool_salvage.h"

#include <fcntl.h>

#define SAVED "saved"
#define PRODUCERS 300
#define LARGE_BYTES 200000

static zspool_frame_t
s_frame (const char *text)
{
    return (zspool_frame_t){ text, strlen (text) };
}

static void
s_put (zspool_store_t *store, const char *name, const char *key, zspool_frame_t value)
{
    uint32_t table;
    CHECK_OK (zspool_store_table (store, name, &table));
    CHECK_OK (zspool_store_table_put (store, table, s_frame (key), value));
}

//  A store with messages, producers that have got as far as their numbers say, and two tables
static void
s_make (void)
{
    static uint8_t large [LARGE_BYTES];
    kit_setup_t self = kit_setup ();
    kit_append (self.store, self.spool, 10, 100);
    kit_fill (large, sizeof large, 7);
    CHECK_OK (zspool_store_begin (self.store));
    for (uint32_t number = 1; number <= PRODUCERS; number++) {
        char name [32];
        uint32_t producer;
        snprintf (name, sizeof name, "producer.%u", number);
        CHECK_OK (zspool_store_producer (self.store, name, &producer, NULL, NULL));
        CHECK_OK (zspool_store_set_producer (self.store, producer, 1 + number % 3, number));
    }
    s_put (self.store, "small", "key", s_frame ("value"));
    s_put (self.store, "small", "empty", s_frame (""));
    s_put (self.store, "large", "key", (zspool_frame_t){ large, sizeof large });
    for (int index = 0; index < 1000; index++) {
        char key [16];
        snprintf (key, sizeof key, "%d", index);
        s_put (self.store, "large", key, s_frame (key));
    }
    CHECK_OK (zspool_store_commit (self.store));
    kit_done (&self);
}

static zspool_salvage_result_t
s_salvage (void)
{
    zspool_salvage_result_t result;
    char reason [ZSPOOL_SALVAGE_REASON_BYTES] = "";
    int rc = zspool_salvage (KIT_STORE, SAVED, NULL, &result, reason);
    printf ("%s\n", reason);
    CHECK_OK (rc);
    return result;
}

static void
s_check_value (zspool_store_t *store, const char *name, const char *key, const char *expected)
{
    uint32_t table;
    zspool_frame_t value;
    CHECK_OK (zspool_store_table (store, name, &table));
    CHECK_OK (zspool_store_table_get (store, table, s_frame (key), &value));
    CHECK_EQ_MEM (value.data, value.size, expected, strlen (expected));
}

//  Check the producers of the saved store: all but one.
static void
s_check_producers (zspool_store_t *store, uint32_t missing)
{
    for (uint32_t number = 1; number <= PRODUCERS; number++) {
        char name [32];
        uint32_t producer, epoch;
        uint64_t last;
        snprintf (name, sizeof name, "producer.%u", number);
        int rc = zspool_store_producer (store, name, &producer, &epoch, &last);
        CHECK_CODE (rc, number == missing? ZSPOOL_ENOENT: ZSPOOL_OK);
        CHECK (number == missing || (epoch == 1 + number % 3 && last == number));
    }
}

static void
s_check_tables (zspool_store_t *store)
{
    uint32_t table;
    zspool_frame_t value;
    s_check_value (store, "small", "key", "value");
    s_check_value (store, "small", "empty", "");
    s_check_value (store, "large", "999", "999");
    CHECK_OK (zspool_store_table (store, "large", &table));
    CHECK_OK (zspool_store_table_get (store, table, s_frame ("key"), &value));
    CHECK_EQ_U64 (value.size, LARGE_BYTES);
    kit_check_filled ((const uint8_t *) value.data, value.size, 7);
}

TEST (test_salvage_of_a_whole_store_saves_producers_and_tables)
{
    s_make ();
    zspool_salvage_result_t result = s_salvage ();
    CHECK (result.complete && !result.searched && !result.records_lost);
    CHECK_EQ_U64 (result.producers, PRODUCERS);
    CHECK_EQ_U64 (result.producers_lost, 0);
    CHECK_EQ_U64 (result.tables, 2);
    CHECK_EQ_U64 (result.tables_damaged, 0);
    CHECK_EQ_U64 (result.spools, 1);
    zspool_store_t *store = kit_open (SAVED, ZSPOOL_READ);
    s_check_producers (store, 0);
    s_check_tables (store);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

TEST (test_salvage_tells_of_a_producer_that_is_damaged)
{
    //  Epoch and last of one producer
    static const char bytes [] = "\2\0\0\0\115\0\0\0\0\0\0\0producer.77";
    zspool_txn_t *txn;
    zspool_table_t state;
    s_make ();
    //  Of 77 % 3 the epoch is 3: make it one that the file has but once.
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    zspool_producer_record_t record = { .name = "producer.77", .epoch = 2, .last = 77 };
    CHECK_OK (zspool_state_put_producer (txn, state, 77, &record));
    kit_engine_commit (&engine);
    CHECK (kit_flip (KIT_STORE "/data.mdb", bytes, sizeof bytes - 1) > 0);
    zspool_salvage_result_t result = s_salvage ();
    CHECK (!result.complete && result.searched && result.records_lost);
    zspool_store_t *store = kit_open (SAVED, ZSPOOL_READ);
    //  An older copy of its record may have been left in the file.
    uint32_t producer, epoch = 3;
    uint64_t last = 77;
    int rc = zspool_store_producer (store, "producer.77", &producer, &epoch, &last);
    CHECK_EQ_U64 (result.producers, PRODUCERS - (rc == ZSPOOL_ENOENT));
    CHECK_EQ_U64 (result.producers_lost, rc == ZSPOOL_ENOENT);
    CHECK (epoch == 3 && last == 77);
    s_check_tables (store);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

//  The first pages say where all trees are.
TEST (test_salvage_finds_producers_without_any_tree)
{
    s_make ();
    int fd = open (KIT_STORE "/data.mdb", O_WRONLY);
    static const uint8_t zeros [2 * 4096];
    CHECK (fd != -1 && pwrite (fd, zeros, sizeof zeros, 0) == sizeof zeros);
    close (fd);
    zspool_salvage_result_t result = s_salvage ();
    CHECK (!result.complete && result.searched);
    CHECK_EQ_U64 (result.producers, PRODUCERS);
    CHECK_EQ_U64 (result.tables, 0);
    CHECK_EQ_U64 (result.tables_damaged, 2);
    zspool_store_t *store = kit_open (SAVED, ZSPOOL_READ);
    s_check_producers (store, 0);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

TEST (test_salvage_of_a_producers_older_copies_saves_the_newest)
{
    s_make ();
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    for (uint64_t last = PRODUCERS + 1; last < PRODUCERS + 30; last++) {
        uint32_t producer;
        CHECK_OK (zspool_store_begin (store));
        CHECK_OK (zspool_store_producer (store, "producer.5", &producer, NULL, NULL));
        CHECK_OK (zspool_store_set_producer (store, producer, 0, last));
        CHECK_OK (zspool_store_commit (store));
    }
    zspool_store_destroy (&store);
    int fd = open (KIT_STORE "/data.mdb", O_WRONLY);
    static const uint8_t zeros [2 * 4096];
    CHECK (fd != -1 && pwrite (fd, zeros, sizeof zeros, 0) == sizeof zeros);
    close (fd);
    s_salvage ();
    store = kit_open (SAVED, ZSPOOL_READ);
    uint32_t producer;
    uint64_t last;
    CHECK_OK (zspool_store_producer (store, "producer.5", &producer, NULL, &last));
    CHECK_EQ_U64 (last, PRODUCERS + 29);
    zspool_store_destroy (&store);
}

//  Damage bytes or pages of the file here and there.
static void
s_damage (kit_chance_t *chance, const uint8_t *bytes, size_t size)
{
    uint8_t *damaged = (uint8_t *) zmalloc (size);
    memcpy (damaged, bytes, size);
    for (uint64_t places = 1 + kit_below (chance, 12); places > 0; places--) {
        size_t at = kit_below (chance, size), length = kit_below (chance, 2)? 1: 4096;
        for (size_t index = at; index < at + length && index < size; index++)
            damaged [index] = (uint8_t) kit_random (chance);
    }
    FILE *file = fopen (KIT_STORE "/data.mdb", "w");
    CHECK (file && fwrite (damaged, 1, size, file) == size && fclose (file) == 0);
    free (damaged);
}

//  What is saved of a producer is true, or was once.
static uint64_t
s_check_saved_producers (zspool_store_t *store)
{
    uint64_t count = 0;
    zspool_producer_info_t info = { .id = 0 };
    while (zspool_store_producer_info (store, info.id, &info) == ZSPOOL_OK) {
        unsigned number;
        CHECK (sscanf (info.name, "producer.%u", &number) == 1 && number <= PRODUCERS);
        CHECK ((info.epoch == 1 + number % 3 && info.last == number)
               || (info.epoch == 0 && info.last == 0));
        count++;
    }
    return count;
}

TEST_WITH_LIMIT (test_salvage_of_random_damage_saves_producers_as_they_were, 120)
{
    kit_chance_t chance = kit_chance_new ();
    size_t size;
    uint64_t saved = 0;
    s_make ();
    uint8_t *bytes = kit_read_file (KIT_STORE "/data.mdb", &size);
    for (int round = 0; round < (SELFTEST_TSAN? 5: 40); round++) {
        zspool_salvage_result_t result;
        char reason [ZSPOOL_SALVAGE_REASON_BYTES] = "";
        s_damage (&chance, bytes, size);
        int rc = zspool_salvage (KIT_STORE, SAVED, NULL, &result, reason);
        printf ("round %d: %s\n", round, reason);
        CHECK (rc == ZSPOOL_OK || rc == ZSPOOL_ENOTSTORE);
        if (rc)
            continue;
        zspool_store_t *store = kit_open (SAVED, ZSPOOL_READ);
        kit_check_sound (store);
        CHECK_EQ_U64 (s_check_saved_producers (store), result.producers);
        CHECK (result.producers + result.producers_lost <= PRODUCERS);
        saved += result.producers;
        zspool_store_destroy (&store);
        CHECK (unlink (SAVED "/data.mdb") == 0 && unlink (SAVED "/zspool.lock") == 0);
        unlink (SAVED "/lock.mdb");
        CHECK (rmdir (SAVED) == 0);
    }
    printf ("%" PRIu64 " producers saved\n", saved);
    CHECK (saved > 0);
    free (bytes);
}
