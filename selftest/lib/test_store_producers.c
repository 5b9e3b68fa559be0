//  test_store_producers.c - tests of producers of a store: how far each has got, whatever happens
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/fault.h"
#include "kit.h"
#include "store_state.h"
#include "zspool_backup.h"

//  Find a producer, in the open transaction or outside, and check what is known of it.
static uint32_t
s_check (zspool_store_t *store, const char *name, uint32_t epoch, uint64_t last)
{
    uint32_t producer, found_epoch;
    uint64_t found_last;
    CHECK_OK (zspool_store_producer (store, name, &producer, &found_epoch, &found_last));
    CHECK_EQ_U64 (found_epoch, epoch);
    CHECK_EQ_U64 (found_last, last);
    return producer;
}

static void
s_check_absent (zspool_store_t *store, const char *name)
{
    uint32_t producer = 77, epoch = 77;
    uint64_t last = 77;
    CHECK_CODE (zspool_store_producer (store, name, &producer, &epoch, &last), ZSPOOL_ENOENT);
    CHECK (producer == 77 && epoch == 77 && last == 77);
}

//  Have a producer in a transaction of its own.
static uint32_t
s_make (zspool_store_t *store, const char *name, uint32_t epoch, uint64_t last)
{
    uint32_t producer;
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_producer (store, name, &producer, NULL, NULL));
    CHECK_OK (zspool_store_set_producer (store, producer, epoch, last));
    CHECK_OK (zspool_store_commit (store));
    return producer;
}

TEST (test_store_producer_epoch_and_last_never_fall)
{
    kit_setup_t self = kit_setup ();
    uint32_t producer = s_make (self.store, "me", 2, 10);
    CHECK_CODE (zspool_store_set_producer (self.store, producer, 3, 11), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (zspool_store_set_producer (self.store, producer, 1, 11), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_set_producer (self.store, producer, 2, 9), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_set_producer (self.store, producer, 2, 10));
    CHECK_OK (zspool_store_set_producer (self.store, producer, 0, 11));
    s_check (self.store, "me", 2, 11);
    CHECK_OK (zspool_store_set_producer (self.store, producer, 3, 11));
    CHECK_CODE (zspool_store_set_producer (self.store, producer, 2, 12), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_commit (self.store));
    s_check (self.store, "me", 3, 11);
    kit_reopen (&self);
    s_check (self.store, "me", 3, 11);
    kit_done (&self);
}

//  Another process looks.
static void
s_check_from_outside (void *arg)
{
    const uint64_t *last = (const uint64_t *) arg;
    zspool_store_t *reader = kit_open (KIT_STORE, ZSPOOL_READ);
    s_check (reader, "me", 1, *last);
    s_check_absent (reader, "you");
    zspool_store_destroy (&reader);
}

TEST (test_store_producer_is_seen_as_committed_by_other_processes)
{
    kit_setup_t self = kit_setup ();
    uint32_t you;
    uint64_t last = 10;
    uint32_t me = s_make (self.store, "me", 1, last);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_producer (self.store, "you", &you, NULL, NULL));
    CHECK_OK (zspool_store_set_producer (self.store, me, 0, 20));
    s_check (self.store, "me", 1, 20);
    CHECK_EQ_I64 (kit_run (s_check_from_outside, &last), 0);
    zspool_store_rollback (self.store);
    last = 30;
    s_make (self.store, "me", 0, last);
    CHECK_EQ_I64 (kit_run (s_check_from_outside, &last), 0);
    kit_done (&self);
}

TEST (test_store_producer_rolled_back_is_as_before)
{
    kit_setup_t self = kit_setup ();
    uint32_t me = s_make (self.store, "me", 1, 10), you;
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_producer (self.store, "you", &you, NULL, NULL));
    CHECK_OK (zspool_store_set_producer (self.store, you, 5, 50));
    CHECK_OK (zspool_store_set_producer (self.store, me, 2, 20));
    zspool_store_rollback (self.store);
    s_check (self.store, "me", 1, 10);
    s_check_absent (self.store, "you");
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (zspool_store_set_producer (self.store, you, 5, 50), ZSPOOL_EINVAL);
    //  Numbers below those of the transaction that was rolled back are all right.
    CHECK_OK (zspool_store_set_producer (self.store, me, 1, 11));
    uint32_t other;
    CHECK_OK (zspool_store_producer (self.store, "other", &other, NULL, NULL));
    CHECK_EQ_U64 (other, you);
    CHECK_OK (zspool_store_set_producer (self.store, other, 1, 1));
    CHECK_OK (zspool_store_commit (self.store));
    kit_reopen (&self);
    CHECK_EQ_U64 (s_check (self.store, "other", 1, 1), you);
    s_check_absent (self.store, "you");
    s_check (self.store, "me", 1, 11);
    kit_done (&self);
}

TEST (test_store_producer_created_without_memory_is_gone_when_rolled_back)
{
    kit_setup_t self = kit_setup ();
    uint32_t first, second;
    //  As many as there is room for, so that the next one needs memory
    for (int index = 0; index < 16; index++) {
        char name [16];
        snprintf (name, sizeof name, "p%d", index);
        s_make (self.store, name, 1, 1);
    }
    CHECK_OK (zspool_store_begin (self.store));
    fault_watch (KIT_STORE);
    fault_fail (FAULT_MEMORY, 0, 1, FAULT_BEFORE, ENOMEM);
    CHECK_CODE (zspool_store_producer (self.store, "me", &first, NULL, NULL), ZSPOOL_ENOMEM);
    fault_fail (FAULT_MEMORY, 0, 0, FAULT_BEFORE, 0);
    CHECK_OK (zspool_store_producer (self.store, "me", &first, NULL, NULL));
    zspool_store_rollback (self.store);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_producer (self.store, "you", &second, NULL, NULL));
    CHECK_EQ_U64 (second, first);
    CHECK_OK (zspool_store_set_producer (self.store, second, 1, 5));
    CHECK_OK (zspool_store_commit (self.store));
    kit_reopen (&self);
    s_check_absent (self.store, "me");
    CHECK_EQ_U64 (s_check (self.store, "you", 1, 5), second);
    kit_done (&self);
}

TEST (test_store_producer_of_a_commit_that_fails_is_as_before)
{
    kit_setup_t self = kit_setup ();
    uint32_t me = s_make (self.store, "me", 1, 10);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_set_producer (self.store, me, 2, 20));
    fault_watch (KIT_STORE);
    fault_fail (FAULT_WRITE, 0, UINT32_MAX, FAULT_BEFORE, EIO);
    CHECK (zspool_store_commit (self.store) != ZSPOOL_OK);
    fault_fail (FAULT_WRITE, 0, 0, FAULT_BEFORE, 0);
    kit_reopen (&self);
    s_check (self.store, "me", 1, 10);
    kit_done (&self);
}

TEST (test_store_producers_by_the_thousand_are_found_again)
{
    kit_setup_t self = kit_setup ();
    const uint32_t count = 2000;
    char name [32];
    uint32_t producer;
    CHECK_OK (zspool_store_begin (self.store));
    for (uint32_t index = 0; index < count; index++) {
        snprintf (name, sizeof name, "producer.%u", index * 7919 % count);
        CHECK_OK (zspool_store_producer (self.store, name, &producer, NULL, NULL));
        CHECK_EQ_U64 (producer, index + 1);
        CHECK_OK (zspool_store_set_producer (self.store, producer, 1, index * 7919 % count));
    }
    CHECK_OK (zspool_store_commit (self.store));
    kit_reopen (&self);
    CHECK_OK (zspool_store_begin (self.store));
    for (uint32_t index = 0; index < count; index++) {
        snprintf (name, sizeof name, "producer.%u", index);
        producer = s_check (self.store, name, 1, index);
        CHECK_OK (zspool_store_set_producer (self.store, producer, 0, index + 1));
    }
    CHECK_OK (zspool_store_commit (self.store));
    s_check (self.store, "producer.77", 1, 78);
    kit_done (&self);
}

TEST (test_store_producers_have_names_like_spools_and_a_limit)
{
    kit_setup_t self = kit_setup ();
    static const char *const wrong [] = { "", "a b", "a/b", "tab\t", NULL };
    char name [ZSPOOL_NAME_MAX + 2];
    uint32_t producer;
    memset (name, 'n', sizeof name - 1);
    name [sizeof name - 1] = 0;
    CHECK_OK (zspool_store_begin (self.store));
    for (size_t index = 0; index < sizeof wrong / sizeof wrong [0]; index++)
        CHECK_CODE (zspool_store_producer (self.store, wrong [index], &producer, NULL, NULL),
                    ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_producer (self.store, name, &producer, NULL, NULL), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_producer (self.store, name + 1, &producer, NULL, NULL));
    CHECK_OK (zspool_store_commit (self.store));
    zspool_store_destroy (&self.store);
    //  As if there were as many as there may be
    zspool_txn_t *txn;
    zspool_table_t state;
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    zspool_producer_record_t record = { .name = "last", .epoch = 1 };
    CHECK_OK (zspool_state_put_producer (txn, state, ZSPOOL_PRODUCERS_MAX, &record));
    CHECK_OK (zspool_state_put_producer_name (txn, state, "last", ZSPOOL_PRODUCERS_MAX));
    kit_engine_commit (&engine);
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (zspool_store_producer (self.store, "more", &producer, NULL, NULL), ZSPOOL_ELIMIT);
    s_check (self.store, "last", 1, 0);
    s_check (self.store, name + 1, 0, 0);
    CHECK_OK (zspool_store_commit (self.store));
    kit_done (&self);
}

//  ------------------------------------------------------------------------------------------------
//  Lists

TEST (test_store_producer_info_lists_producers_as_committed)
{
    kit_setup_t self = kit_setup ();
    zspool_producer_info_t info;
    CHECK_CODE (zspool_store_producer_info (self.store, 0, &info), ZSPOOL_ENOENT);
    s_make (self.store, "b", 1, 10);
    s_make (self.store, "a", 3, 30);
    CHECK_OK (zspool_store_producer_info (self.store, 0, &info));
    CHECK_EQ_U64 (info.id, 1);
    CHECK_EQ_STR (info.name, "b");
    CHECK_EQ_U64 (info.epoch, 1);
    CHECK_EQ_U64 (info.last, 10);
    CHECK_OK (zspool_store_producer_info (self.store, info.id, &info));
    CHECK_EQ_STR (info.name, "a");
    CHECK_EQ_U64 (info.last, 30);
    CHECK_CODE (zspool_store_producer_info (self.store, info.id, &info), ZSPOOL_ENOENT);
    CHECK_CODE (zspool_store_producer_info (self.store, UINT32_MAX, &info), ZSPOOL_ENOENT);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (zspool_store_producer_info (self.store, 0, &info), ZSPOOL_EINVAL);
    zspool_store_rollback (self.store);
    kit_done (&self);
}

TEST (test_store_table_info_lists_tables_and_counts_their_pairs)
{
    kit_setup_t self = kit_setup ();
    zspool_table_info_t info;
    uint32_t table;
    CHECK_CODE (zspool_store_table_info (self.store, 0, &info), ZSPOOL_ENOENT);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_table (self.store, "one", &table));
    CHECK_OK (zspool_store_table_put (self.store, table, (zspool_frame_t){ "a", 1 },
                                      (zspool_frame_t){ "1", 1 }));
    CHECK_OK (zspool_store_table_put (self.store, table, (zspool_frame_t){ "b", 1 },
                                      (zspool_frame_t){ "2", 1 }));
    CHECK_OK (zspool_store_table (self.store, "two", &table));
    CHECK_OK (zspool_store_commit (self.store));
    zspool_store_destroy (&self.store);
    self.store = kit_open (KIT_STORE, ZSPOOL_READ);
    CHECK_OK (zspool_store_table_info (self.store, 0, &info));
    CHECK_EQ_STR (info.name, "one");
    CHECK_EQ_U64 (info.entries, 2);
    CHECK_OK (zspool_store_table_info (self.store, info.id, &info));
    CHECK_EQ_STR (info.name, "two");
    CHECK_EQ_U64 (info.entries, 0);
    CHECK_CODE (zspool_store_table_info (self.store, info.id, &info), ZSPOOL_ENOENT);
    kit_done (&self);
}

//  What `zspool info` prints, in one string
static const char *
s_info (const char *option, int status)
{
    static char text [65536];
    selftest_command_t command;
    size_t size = 0;
    ssize_t got;
    selftest_command_start (&command, "info", KIT_STORE, option, NULL);
    while ((got = read (command.output, text + size, sizeof text - 1 - size)) > 0)
        size += (size_t) got;
    text [size] = 0;
    CHECK_EQ_I64 (selftest_command_wait (&command, 0), status);
    return text;
}

TEST (test_store_info_command_lists_producers_and_tables)
{
    kit_setup_t self = kit_setup ();
    char name [32];
    uint32_t table;
    CHECK (
        strstr (s_info ("--json", 0), "\"producers\": [],\n \"tables\": [],\n \"device\": null"));
    CHECK (!strstr (s_info (NULL, 0), "producer"));
    for (uint32_t number = 1; number <= 110; number++) {
        snprintf (name, sizeof name, "producer.%u", number);
        s_make (self.store, name, 2, 1000 + number);
    }
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_table (self.store, "totals", &table));
    CHECK_OK (zspool_store_table_put (self.store, table, (zspool_frame_t){ "a", 1 },
                                      (zspool_frame_t){ "1", 1 }));
    CHECK_OK (zspool_store_commit (self.store));
    const char *text = s_info ("--json", 0);
    CHECK (strstr (text, "{\"name\": \"producer.110\", \"epoch\": 2, \"last\": 1110}"));
    CHECK (strstr (text, "\"tables\": [\n    {\"name\": \"totals\", \"entries\": 1}]"));
    text = s_info (NULL, 0);
    CHECK (strstr (text, "producer.100 ") && !strstr (text, "producer.101 "));
    CHECK (strstr (text, "\n10 more: see --json\n"));
    CHECK (strstr (text, "totals ") && strstr (text, "       1\n"));
    CHECK (!strstr (s_info ("--name=main", 0), "producer"));
    kit_done (&self);
}

//  ------------------------------------------------------------------------------------------------
//  Damage

//  Two producers and a table; then one record's bytes are changed, and the store is opened again.
static kit_setup_t
s_damage (const char *bytes, size_t size, size_t places)
{
    kit_setup_t self = kit_setup ();
    uint32_t table;
    s_make (self.store, "first-producer", 1, 10);
    s_make (self.store, "second-producer", 2, 20);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_table (self.store, "totals", &table));
    CHECK_OK (zspool_store_commit (self.store));
    kit_check_sound (self.store);
    zspool_store_destroy (&self.store);
    CHECK (kit_flip (KIT_STORE "/data.mdb", bytes, size) >= places);
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    return self;
}

TEST (test_store_producer_that_is_damaged_is_refused_listed_and_verified)
{
    //  Epoch and last, as the record has them: the name's place is that of its number, too.
    static const char bytes [] = "\2\0\0\0\24\0\0\0\0\0\0\0second-producer";
    kit_setup_t self = s_damage (bytes, sizeof bytes - 1, 1);
    uint32_t producer;
    zspool_producer_info_t info;
    CHECK_CODE (zspool_store_producer (self.store, "second-producer", &producer, NULL, NULL),
                ZSPOOL_ECORRUPT);
    s_check (self.store, "first-producer", 1, 10);
    CHECK_OK (zspool_store_producer_info (self.store, 0, &info));
    CHECK_CODE (zspool_store_producer_info (self.store, info.id, &info), ZSPOOL_ECORRUPT);
    CHECK_EQ_U64 (info.id, 2);
    CHECK_EQ_STR (info.name, "");
    CHECK_CODE (zspool_store_producer_info (self.store, info.id, &info), ZSPOOL_ENOENT);
    CHECK_EQ_I64 (kit_verify (self.store), 1);
    CHECK (strstr (s_info (NULL, 1), "first-producer "));
    CHECK (!strstr (s_info ("--json", 1), "second-producer"));
    zspool_store_destroy (&self.store);
}

TEST (test_store_producer_whose_name_is_damaged_is_found_by_verifying)
{
    kit_setup_t self = kit_setup ();
    s_make (self.store, "me", 1, 10);
    s_make (self.store, "you", 1, 10);
    zspool_store_destroy (&self.store);
    zspool_txn_t *txn;
    zspool_table_t state;
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    CHECK_OK (zspool_state_put_producer_name (txn, state, "me", 2));
    CHECK_OK (zspool_state_put_producer_name (txn, state, "nobody", 9));
    kit_engine_commit (&engine);
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_EQ_I64 (kit_verify (self.store), 2);
    zspool_store_destroy (&self.store);
}

TEST (test_store_table_whose_name_is_damaged_is_found_by_verifying)
{
    kit_setup_t self = s_damage ("totals", 6, 1);
    zspool_table_info_t info;
    CHECK_CODE (zspool_store_table_info (self.store, 0, &info), ZSPOOL_ECORRUPT);
    CHECK_EQ_U64 (info.id, 1);
    CHECK_EQ_I64 (kit_verify (self.store), 1);
    zspool_store_destroy (&self.store);
}

//  With SELFTEST_WRITE_FIXTURES in the environment it is written anew: only for a new format.
TEST (test_store_of_format_3_opens)
{
    char *path = selftest_source_path ("selftest/fixtures/store_v3.mdb");
    zspool_frame_t key = { "key", 3 }, value = { "value", 5 };
    uint32_t table;
    if (getenv ("SELFTEST_WRITE_FIXTURES")) {
        zspool_store_t *store = kit_open ("new", ZSPOOL_WRITE);
        kit_append (store, kit_spool (store, "main"), 10, 100);
        s_make (store, "me", 2, 10);
        s_make (store, "other", 1, 7);
        CHECK_OK (zspool_store_begin (store));
        CHECK_OK (zspool_store_table (store, "notes", &table));
        CHECK_OK (zspool_store_table_put (store, table, key, value));
        CHECK_OK (zspool_store_commit (store));
        zspool_store_destroy (&store);
        zspool_backup_options_t options = { .compact = true };
        CHECK_OK (zspool_backup ("new", "compact", &options, NULL));
        char *command = zsys_sprintf ("cp compact/data.mdb %s", path);
        CHECK (system (command) == 0);
        free (command);
    }
    kit_place_file (path);
    free (path);
    for (zspool_mode_t mode = ZSPOOL_READ; mode <= ZSPOOL_WRITE; mode++) {
        zspool_store_t *store = kit_open (KIT_STORE, mode);
        CHECK_EQ_U64 (kit_read (store, kit_spool (store, "main"), 1), 10);
        s_check (store, "me", 2, 10);
        s_check (store, "other", 1, 7);
        CHECK_OK (zspool_store_table (store, "notes", &table));
        CHECK_OK (zspool_store_table_get (store, table, key, &value));
        CHECK (value.size == 5 && memcmp (value.data, "value", 5) == 0);
        kit_check_sound (store);
        zspool_store_destroy (&store);
    }
}
