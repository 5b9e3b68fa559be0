//  test_store_open.c - tests of creating, opening and closing a store, and of being refused
//
//  SPDX-License-Identifier: MPL-2.0

#include "bytes.h"
#include "kit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <xxhash.h>

//  Opening is refused with this code, for reading and for writing, and touches nothing.
static void
s_check_refused (int expected)
{
    char *before = kit_list (KIT_STORE);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_READ), expected);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_WRITE), expected);
    char *after = kit_list (KIT_STORE);
    CHECK_EQ_STR (after, before);
    free (after);
    free (before);
}

static void
s_write_file (const char *path, const void *bytes, size_t size)
{
    int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK (fd != -1);
    CHECK (write (fd, bytes, size) == (ssize_t) size);
    close (fd);
}

static mode_t
s_mode (const char *path)
{
    struct stat status;
    CHECK (stat (path, &status) == 0);
    return status.st_mode & 07777;
}

//  A store with one message
static void
s_create (void)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    kit_append (store, kit_spool (store, "main"), 1, 100);
    zspool_store_destroy (&store);
}

//  ---- creating

TEST (test_store_new_without_directory_gives_null)
{
    CHECK (zspool_store_new (NULL) == NULL);
    CHECK (zspool_store_new ("") == NULL);
}

TEST (test_store_new_touches_nothing)
{
    zspool_store_t *store = zspool_store_new (KIT_STORE);
    CHECK_EQ_STR (zspool_store_directory (store), KIT_STORE);
    CHECK_EQ_STR (zspool_store_reason (store), "");
    CHECK (access (KIT_STORE, F_OK) != 0);
    zspool_store_destroy (&store);
    CHECK (store == NULL);
    zspool_store_destroy (&store);
}

TEST (test_store_created_is_for_its_owner_only)
{
    umask (0);
    s_create ();
    CHECK_EQ_U64 (s_mode (KIT_STORE), 0700);
    CHECK_EQ_U64 (s_mode (KIT_STORE "/data.mdb"), 0600);
    CHECK_EQ_U64 (s_mode (KIT_STORE "/lock.mdb"), 0600);
    CHECK_EQ_U64 (s_mode (KIT_STORE "/zspool.lock"), 0600);
}

TEST (test_store_in_empty_directory_is_created)
{
    CHECK (mkdir (KIT_STORE, 0755) == 0);
    CHECK (mkdir (KIT_STORE "/lost+found", 0700) == 0);
    s_create ();
    CHECK_EQ_U64 (s_mode (KIT_STORE), 0755);
}

TEST (test_store_below_missing_directory_gives_enoent)
{
    CHECK_CODE (kit_try_open ("missing/store", ZSPOOL_WRITE), ZSPOOL_ENOENT);
    CHECK (access ("missing", F_OK) != 0);
}

TEST (test_store_path_with_slashes_is_created)
{
    CHECK_OK (kit_try_open ("store///", ZSPOOL_WRITE));
    CHECK_OK (kit_try_open ("store", ZSPOOL_READ));
    CHECK_OK (kit_try_open ("./store/.", ZSPOOL_WRITE));
}

TEST (test_store_left_empty_by_a_crash_is_created)
{
    CHECK (mkdir (KIT_STORE, 0700) == 0);
    s_write_file (KIT_STORE "/zspool.lock", "", 0);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_READ), ZSPOOL_ENOENT);
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_WRITE));
    CHECK (unlink (KIT_STORE "/data.mdb") == 0);
    s_write_file (KIT_STORE "/data.mdb", "", 0);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_READ), ZSPOOL_ENOENT);
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_WRITE));
}

TEST (test_store_left_blank_by_a_crash_is_created)
{
    //  LMDB wrote its two first pages, and that was all.
    zspool_engine_t *engine = NULL;
    int sys_error;
    CHECK (mkdir (KIT_STORE, 0700) == 0);
    CHECK_OK (zspool_engine_open (&engine, KIT_STORE, ZSPOOL_ENGINE_WRITE, SELFTEST_MAP_BYTES,
                                 &sys_error));
    zspool_engine_close (&engine);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_READ), ZSPOOL_ENOENT);
    s_create ();
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_READ));
}

TEST (test_store_left_torn_by_a_crash_is_created)
{
    //  Of LMDB's two first pages, only parts have reached the disk.
    static uint8_t pages [8192], none [100000];
    zspool_engine_t *engine = NULL;
    int sys_error;
    CHECK (mkdir (KIT_STORE, 0700) == 0);
    CHECK_OK (zspool_engine_open (&engine, KIT_STORE, ZSPOOL_ENGINE_WRITE, SELFTEST_MAP_BYTES,
                                  &sys_error));
    zspool_engine_close (&engine);
    FILE *file = fopen (KIT_STORE "/data.mdb", "r");
    CHECK (file && fread (pages, sizeof pages, 1, file) == 1);
    fclose (file);
    s_write_file (KIT_STORE "/data.mdb", pages, 4096);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_READ), ZSPOOL_ENOENT);
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_WRITE));
    memset (pages, 0, 4096);
    s_write_file (KIT_STORE "/data.mdb", pages, sizeof pages);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_READ), ZSPOOL_ENOENT);
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_WRITE));
    s_write_file (KIT_STORE "/data.mdb", none, sizeof none);
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_WRITE));
    s_create ();
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_READ));
    //  Too large for one that was never committed to
    CHECK (truncate (KIT_STORE "/data.mdb", 0) == 0);
    CHECK (truncate (KIT_STORE "/data.mdb", 10 * 1024 * 1024) == 0);
    s_check_refused (ZSPOOL_ENOTSTORE);
    //  In company of other files it is not ours.
    s_write_file (KIT_STORE "/data.mdb", none, sizeof none);
    s_write_file (KIT_STORE "/letter.txt", "text", 4);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_WRITE), ZSPOOL_ENOTSTORE);
}

TEST (test_store_with_a_first_page_gone_is_left_alone)
{
    static const uint8_t none [4096];
    for (off_t offset = 0; offset <= 4096; offset += 4096) {
        s_create ();
        int fd = open (KIT_STORE "/data.mdb", O_WRONLY);
        CHECK (fd != -1 && pwrite (fd, none, sizeof none, offset) == sizeof none);
        close (fd);
        s_check_refused (ZSPOOL_ENOTSTORE);
        CHECK (system ("rm -r " KIT_STORE) == 0);
    }
}

//  ---- opening again

TEST (test_store_reopened_has_its_incarnation)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint64_t incarnation = zspool_store_incarnation (store);
    CHECK (incarnation != 0);
    zspool_store_destroy (&store);
    store = kit_open (KIT_STORE, ZSPOOL_READ);
    CHECK_EQ_U64 (zspool_store_incarnation (store), incarnation);
    zspool_store_destroy (&store);
    store = kit_open ("other", ZSPOOL_WRITE);
    CHECK (zspool_store_incarnation (store) != incarnation);
    zspool_store_destroy (&store);
}

TEST (test_store_reopened_has_its_messages)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    kit_append (store, kit_spool (store, "main"), 10, 100);
    kit_append (store, kit_spool (store, "main"), 5, 100000);
    zspool_store_destroy (&store);
    for (zspool_mode_t mode = ZSPOOL_READ; mode <= ZSPOOL_WRITE; mode++) {
        store = kit_open (KIT_STORE, mode);
        CHECK_EQ_U64 (kit_read (store, kit_spool (store, "main"), 1), 15);
        kit_check_sound (store);
        zspool_store_destroy (&store);
    }
}

TEST (test_store_open_already_gives_einval)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_CODE (zspool_store_open (store, ZSPOOL_WRITE), ZSPOOL_EINVAL);
    kit_append (store, kit_spool (store, "main"), 1, 100);
    zspool_store_destroy (&store);
}

TEST (test_store_refused_can_be_tried_again)
{
    zspool_store_t *store = zspool_store_new (KIT_STORE);
    CHECK_OK (zspool_store_set_map_bytes (store, SELFTEST_MAP_BYTES));
    CHECK_CODE (zspool_store_open (store, (zspool_mode_t) 7), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_open (store, ZSPOOL_READ), ZSPOOL_ENOENT);
    CHECK_OK (zspool_store_open (store, ZSPOOL_WRITE));
    kit_append (store, kit_spool (store, "main"), 1, 100);
    zspool_store_destroy (&store);
}

TEST (test_store_not_open_gives_einval)
{
    zspool_store_t *store = zspool_store_new (KIT_STORE);
    zspool_spool_info_t spool_info;
    zspool_cursor_info_t cursor_info;
    uint32_t number;
    CHECK_CODE (zspool_store_begin (store), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_commit (store), ZSPOOL_EINVAL);
    zspool_store_rollback (store);
    CHECK_CODE (zspool_store_spool (store, "main", &number), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_cursor (store, 1, "main", 1, &number), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_ack (store, 1, 1, 1, 1), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_trim (store, 1, 1), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_spool_info (store, 0, &spool_info), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_cursor_info (store, 1, 0, &cursor_info), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_verify (store, NULL, NULL, NULL), ZSPOOL_EINVAL);
    CHECK_EQ_U64 (zspool_store_file_bytes (store), 0);
    CHECK_EQ_U64 (zspool_store_free_bytes (store), 0);
    CHECK (zspool_reader_new (store, 1) == NULL);
    zspool_store_destroy (&store);
}

//  ---- the map

TEST (test_store_map_out_of_range_gives_einval)
{
    zspool_store_t *store = zspool_store_new (KIT_STORE);
    CHECK_CODE (zspool_store_set_map_bytes (store, 0), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_set_map_bytes (store, ZSPOOL_MAP_BYTES_MIN - 1), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_set_map_bytes (store, (1ULL << 46) + 1), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_set_map_bytes (store, SELFTEST_MAP_BYTES));
    CHECK_OK (zspool_store_open (store, ZSPOOL_WRITE));
    CHECK_CODE (zspool_store_set_map_bytes (store, SELFTEST_MAP_BYTES), ZSPOOL_EINVAL);
    zspool_store_destroy (&store);
}

TEST (test_store_smallest_map_works)
{
    zspool_store_t *store = zspool_store_new (KIT_STORE);
    CHECK_OK (zspool_store_set_map_bytes (store, ZSPOOL_MAP_BYTES_MIN));
    CHECK_OK (zspool_store_open (store, ZSPOOL_WRITE));
    kit_append (store, kit_spool (store, "main"), 10, 100000);
    zspool_store_destroy (&store);
}

TEST (test_store_opened_with_a_smaller_map_still_acknowledges)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "main", 1);
    for (int block = 0; block < 100; block++)
        kit_append (store, spool, 1, 1024 * 1024);
    zspool_store_destroy (&store);

    store = zspool_store_new (KIT_STORE);
    CHECK_OK (zspool_store_set_map_bytes (store, 64 * 1024 * 1024));
    CHECK_OK (zspool_store_open (store, ZSPOOL_WRITE));
    CHECK_OK (zspool_store_begin (store));
    CHECK_CODE (kit_try_append (store, spool, 1, 1024 * 1024), ZSPOOL_ENOSPC);
    CHECK_OK (zspool_store_commit (store));
    for (uint64_t sequence = 1; sequence <= 100; sequence++)
        kit_ack (store, spool, cursor, sequence, sequence);
    CHECK_EQ_U64 (kit_spool_info (store, spool).messages, 0);
    zspool_store_destroy (&store);
}

//  ---- refused

TEST (test_store_missing_cannot_be_read)
{
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_READ), ZSPOOL_ENOENT);
    CHECK (access (KIT_STORE, F_OK) != 0);
    CHECK (mkdir (KIT_STORE, 0700) == 0);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_READ), ZSPOOL_ENOENT);
    char *list = kit_list (KIT_STORE);
    CHECK_EQ_STR (list, "");
    free (list);
}

TEST (test_store_path_of_a_file_gives_enotstore)
{
    s_write_file (KIT_STORE, "text", 4);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_READ), ZSPOOL_ENOTSTORE);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_WRITE), ZSPOOL_ENOTSTORE);
    CHECK_CODE (kit_try_open (KIT_STORE "/below", ZSPOOL_WRITE), ZSPOOL_ENOTSTORE);
}

TEST (test_store_directory_with_other_files_gives_enotstore)
{
    CHECK (mkdir (KIT_STORE, 0700) == 0);
    s_write_file (KIT_STORE "/letter.txt", "text", 4);
    char *before = kit_list (KIT_STORE);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_WRITE), ZSPOOL_ENOTSTORE);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_READ), ZSPOOL_ENOENT);
    char *after = kit_list (KIT_STORE);
    CHECK_EQ_STR (after, before);
    free (after);
    free (before);
}

TEST (test_store_random_file_gives_enotstore)
{
    kit_chance_t chance = kit_chance_new ();
    static const size_t sizes [] = { 1, 19, 20, 4096, 8192, 100000 };
    CHECK (mkdir (KIT_STORE, 0700) == 0);
    for (size_t index = 0; index < sizeof sizes / sizeof sizes [0]; index++) {
        static uint8_t bytes [100000];
        for (size_t at = 0; at < sizeof bytes; at++)
            bytes [at] = (uint8_t) kit_random (&chance);
        s_write_file (KIT_STORE "/data.mdb", bytes, sizes [index]);
        s_check_refused (ZSPOOL_ENOTSTORE);
        //  It looks like LMDB's, and is not.
        put_u32 (bytes + 16, 0xBEEFC0DE);
        s_write_file (KIT_STORE "/data.mdb", bytes, sizes [index]);
        s_check_refused (ZSPOOL_ENOTSTORE);
    }
}

//  A database that is not ours: with one table of another program
static void
s_create_foreign (const char *table_name)
{
    zspool_engine_t *engine = NULL;
    zspool_txn_t *txn;
    zspool_table_t table;
    int sys_error;
    mkdir (KIT_STORE, 0700);
    CHECK_OK (zspool_engine_open (&engine, KIT_STORE, ZSPOOL_ENGINE_WRITE, SELFTEST_MAP_BYTES,
                                 &sys_error));
    CHECK_OK (zspool_engine_begin (engine, &txn));
    CHECK_OK (zspool_engine_table (engine, table_name, &table));
    zspool_bytes_t pair = { (const uint8_t *) "B", 1 };
    CHECK_OK (zspool_txn_put (txn, table, pair, pair));
    kit_engine_commit (&engine);
}

TEST (test_store_foreign_database_gives_enotstore)
{
    s_create_foreign ("addresses");
    s_check_refused (ZSPOOL_ENOTSTORE);
}

TEST (test_store_foreign_database_without_lock_file_gives_enotstore)
{
    s_create_foreign ("addresses");
    CHECK (unlink (KIT_STORE "/lock.mdb") == 0);
    s_check_refused (ZSPOOL_ENOTSTORE);
}

TEST (test_store_foreign_database_with_table_of_our_name_gives_enotstore)
{
    s_create_foreign (ZSPOOL_STATE_TABLE);
    s_check_refused (ZSPOOL_ENOTSTORE);
}

//  Write the store's own record with another value behind the format number.
static void
s_patch_record (uint32_t format, const void *more, size_t more_bytes, bool sound)
{
    zspool_txn_t *txn;
    zspool_table_t state;
    uint8_t value [100];
    put_u32 (value, format);
    memcpy (value + 4, more, more_bytes);
    size_t size = 4 + more_bytes;
    put_u32 (value + size, (uint32_t) XXH3_64bits_withSeed (value, size, XXH3_64bits ("A", 1)) + !sound);
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    CHECK_OK (zspool_txn_put (txn, state, (zspool_bytes_t) { (const uint8_t *) "A", 1 },
                              (zspool_bytes_t) { value, size + 4 }));
    kit_engine_commit (&engine);
}

TEST (test_store_of_newer_format_gives_eversion)
{
    s_create ();
    s_patch_record (ZSPOOL_FORMAT_VERSION + 1, "what a newer one has", 20, true);
    s_check_refused (ZSPOOL_EVERSION);
    s_patch_record (UINT32_MAX, "", 0, true);
    s_check_refused (ZSPOOL_EVERSION);
}

TEST (test_store_with_damaged_record_gives_ecorrupt)
{
    s_create ();
    s_patch_record (ZSPOOL_FORMAT_VERSION, "12345678901234567890", 20, false);
    s_check_refused (ZSPOOL_ECORRUPT);
    s_patch_record (ZSPOOL_FORMAT_VERSION, "1234567890123456789", 19, true);
    s_check_refused (ZSPOOL_ECORRUPT);
}

//  With SELFTEST_WRITE_FIXTURES in the environment it is written anew: only for a new format.
TEST (test_store_of_format_1_opens)
{
    char *path = selftest_source_path ("selftest/fixtures/store_v1.mdb");
    zspool_store_t *store;
    if (getenv ("SELFTEST_WRITE_FIXTURES")) {
        store = kit_open ("new", ZSPOOL_WRITE);
        uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "main", 1);
        kit_append (store, kit_spool (store, "other"), 1, 100);
        kit_append (store, spool, 10, 100);
        CHECK_OK (zspool_store_begin (store));
        store->chunked = true;
        CHECK_OK (kit_try_append (store, spool, 10, 1000));
        CHECK_OK (zspool_store_commit (store));
        kit_ack (store, spool, cursor, 1, 2);
        kit_ack (store, spool, cursor, 4, 5);
        kit_ack (store, spool, cursor, 20, 20);
        zspool_store_destroy (&store);
        char *command = zsys_sprintf ("cp new/data.mdb %s", path);
        CHECK (system (command) == 0);
        free (command);
    }
    kit_place_file (path);
    free (path);
    for (zspool_mode_t mode = ZSPOOL_READ; mode <= ZSPOOL_WRITE; mode++) {
        store = kit_open (KIT_STORE, mode);
        uint32_t spool = kit_spool (store, "main");
        CHECK_EQ_U64 (kit_read (store, spool, 1), 20);
        CHECK_EQ_U64 (kit_read (store, kit_spool (store, "other"), 1), 1);
        zspool_cursor_info_t info = kit_cursor_info (store, spool, 1);
        CHECK_EQ_STR (info.name, "main");
        CHECK_EQ_U64 (info.floor, 2);
        CHECK_EQ_U64 (info.pending, 15);
        kit_check_sound (store);
        zspool_store_destroy (&store);
    }
}
