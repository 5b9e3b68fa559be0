//  test_store_length.c - tests of stores whose file is shorter than its first pages say
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"
#include "store_length.h"

#include <fcntl.h>
#include <sys/stat.h>

#define DATA KIT_STORE "/data.mdb"
#define CUT "cut"
#define CUT_DATA CUT "/data.mdb"
#define PAGE ((off_t) ZSPOOL_PAGE_BYTES)

static off_t
s_size (const char *path)
{
    struct stat status;
    CHECK (stat (path, &status) == 0);
    return status.st_size;
}

//  Copy the store, but only so much of its file.
static void
s_copy_cut (off_t size)
{
    CHECK (system ("rm -rf " CUT " && mkdir " CUT " && cp --sparse=always " DATA " " CUT) == 0);
    CHECK (truncate (CUT_DATA, size) == 0);
}

//  Bytes of the file that the store has in use, so far as it knows
static off_t
s_used (void)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    off_t used = (off_t) zspool_store_file_bytes (store);
    zspool_store_destroy (&store);
    return used;
}

//  Open the copy in each mode: it must be refused as cut off, and stay as it is; or be sound.
static void
s_look_at_cut (void *arg)
{
    bool *opened = (bool *) arg;
    off_t size = s_size (CUT_DATA);
    for (zspool_mode_t mode = ZSPOOL_READ; mode <= ZSPOOL_WRITE; mode++) {
        zspool_store_t *store = zspool_store_new (CUT);
        CHECK_OK (zspool_store_set_map_bytes (store, SELFTEST_MAP_BYTES));
        int rc = zspool_store_open (store, mode);
        CHECK (rc == (*opened? ZSPOOL_OK: ZSPOOL_ECORRUPT));
        if (rc == ZSPOOL_OK) {
            kit_check_sound (store);
            kit_read (store, kit_spool (store, "main"), 1);
        }
        else {
            CHECK (strstr (zspool_store_reason (store), "data.mdb is cut off: it has "));
            CHECK (s_size (CUT_DATA) == size);
        }
        zspool_store_destroy (&store);
    }
}

//  Cut the file page by page, from what is in use down to its first pages. Gives how many pages
//  could be done without.
static int
s_cut_all (void)
{
    int dispensable = 0;
    bool opened = true;
    for (off_t size = s_used (); size >= 2 * PAGE; size -= PAGE) {
        s_copy_cut (size);
        if (opened && kit_run (s_look_at_cut, &opened) == 0) {
            dispensable++;
            continue;
        }
        opened = false;
        CHECK_EQ_I64 (kit_run (s_look_at_cut, &opened), 0);
    }
    return dispensable - 1;
}

//  A store with blocks of 10 messages
static zspool_store_t *
s_create (int blocks, bool chunked)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    for (int block = 0; block < blocks; block++) {
        CHECK_OK (zspool_store_begin (store));
        store->chunked = chunked;
        CHECK_OK (kit_try_append (store, spool, 10, 1000));
        CHECK_OK (zspool_store_commit (store));
    }
    return store;
}

TEST (test_store_length_cut_anywhere_is_refused)
{
    for (int chunked = 0; chunked <= 1; chunked++) {
        zspool_store_t *store = s_create (6, chunked);
        zspool_store_destroy (&store);
        s_cut_all ();
        CHECK (system ("rm -r " KIT_STORE) == 0);
    }
}

TEST (test_store_length_without_free_pages_at_the_end_is_enough)
{
    zspool_store_t *store = s_create (10, false);
    uint32_t spool = kit_spool (store, "main");
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_trim (store, spool, 100));
    CHECK_OK (zspool_store_commit (store));
    zspool_store_destroy (&store);
    CHECK (s_cut_all () > 0);
}

TEST (test_store_length_covers_pages_that_were_never_written)
{
    zspool_store_t *store = s_create (1, false);
    uint32_t spool = kit_spool (store, "main");
    //  Taken from the end of the file, and let go, in one transaction: LMDB writes nothing there.
    CHECK_OK (zspool_store_begin (store));
    for (int block = 0; block < 5; block++)
        CHECK_OK (kit_try_append (store, spool, 10, 3000));
    CHECK_OK (zspool_store_trim (store, spool, 60));
    CHECK_OK (zspool_store_commit (store));
    CHECK (s_size (DATA) >= (off_t) zspool_store_file_bytes (store));
    zspool_store_destroy (&store);
    CHECK (s_cut_all () > 4 * 10 * 3000 / PAGE);
}

TEST (test_store_length_is_made_good_at_opening_for_writing)
{
    zspool_store_t *store = s_create (10, false);
    uint32_t spool = kit_spool (store, "main");
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_trim (store, spool, 100));
    CHECK_OK (zspool_store_commit (store));
    zspool_store_destroy (&store);
    off_t used = s_used ();
    s_copy_cut (used - PAGE);
    CHECK_OK (kit_try_open (CUT, ZSPOOL_READ));
    CHECK (s_size (CUT_DATA) == used - PAGE);
    CHECK_OK (kit_try_open (CUT, ZSPOOL_WRITE));
    CHECK (s_size (CUT_DATA) >= used);
}

TEST (test_store_length_of_a_running_writer_covers_all_in_use)
{
    zspool_store_t *store = s_create (0, false);
    uint32_t spool = kit_spool (store, "main");
    kit_chance_t chance = kit_chance_new ();
    for (int round = 0; round < 100; round++) {
        kit_append (store, spool, 10, 8 + kit_below (&chance, 20000));
        CHECK (s_size (DATA) >= (off_t) zspool_store_file_bytes (store));
        zspool_length_t length;
        int fd = open (DATA, O_RDONLY);
        CHECK_OK (zspool_length_check (fd, &length));
        close (fd);
    }
    zspool_store_destroy (&store);
}

//  Put other bytes into both first pages.
static void
s_edit_first_pages (off_t offset, uint64_t value)
{
    int fd = open (DATA, O_WRONLY);
    for (off_t page = 0; page <= PAGE; page += PAGE)
        CHECK (pwrite (fd, &value, sizeof value, page + offset) == sizeof value);
    close (fd);
}

TEST (test_store_length_that_makes_no_sense_is_refused)
{
    static const uint64_t last_pages [] = { UINT64_MAX, 1ULL << 52, 1ULL << 40 };
    for (size_t index = 0; index < sizeof last_pages / sizeof last_pages [0]; index++) {
        zspool_store_t *store = s_create (1, false);
        zspool_store_destroy (&store);
        s_edit_first_pages (136, last_pages [index]);
        CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_READ), ZSPOOL_ECORRUPT);
        CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_WRITE), ZSPOOL_ECORRUPT);
        CHECK (system ("rm -r " KIT_STORE) == 0);
    }
}

//  The free list of a cut-off file may itself be anything: looking at it must end, and say no.
TEST (test_store_length_with_a_damaged_free_list_is_refused)
{
    zspool_store_t *store = s_create (40, true);
    uint32_t spool = kit_spool (store, "main");
    for (int block = 1; block < 40; block += 2) {
        CHECK_OK (zspool_store_begin (store));
        CHECK_OK (zspool_store_trim (store, spool, (uint64_t) block * 10));
        CHECK_OK (zspool_store_commit (store));
    }
    zspool_store_destroy (&store);
    kit_chance_t chance = kit_chance_new ();
    off_t used = s_used (), kept = used - 5 * PAGE;
    for (int round = 0; round < 300; round++) {
        s_copy_cut (kept);
        int fd = open (CUT_DATA, O_RDWR);
        //  Half of the time a number in the head of a page, where it does most
        for (int flips = 0; flips < 40; flips++) {
            uint8_t byte;
            off_t page = 2 * PAGE + (off_t) kit_below (&chance, (uint64_t) (kept / PAGE) - 2) * PAGE;
            off_t at = page + (off_t) kit_below (&chance, round % 2? 32: (uint64_t) PAGE);
            CHECK (pread (fd, &byte, 1, at) == 1);
            byte ^= (uint8_t) (1 << kit_below (&chance, 8));
            CHECK (pwrite (fd, &byte, 1, at) == 1);
        }
        zspool_length_t length;
        int rc = zspool_length_check (fd, &length);
        CHECK (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT);
        close (fd);
    }
}
