//  test_salvage.c - tests of saving what a damaged store still holds
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The law: every block whose bytes are whole in the file is saved, nothing else is, and the new
//  store is sound.

#include "kit.h"
#include "salvage_keep.h"
#include "zspool_salvage.h"

#include <fcntl.h>
#include <sys/stat.h>

#define DAMAGED "damaged"
#define SAVED "saved"
#define FILE_OF(directory) directory "/data.mdb"
#define BLOCKS_MAX 400
#define CARRIED_FIRST 5000             //  sequence of blocks that are in messages
#define CARRIED_BYTES 77
#define ROUNDS 60                      //  of random damage, for each kind
#define TICKS_FIRST 100001             //  sequence of blocks with an index: it tells whose they are

//  A block that the undamaged store holds
typedef struct {
    char spool [ZSPOOL_NAME_MAX + 1];
    uint64_t first;
    uint64_t last;
    size_t size;
    uint8_t *bytes;
} s_expected_t;

static s_expected_t s_expected [BLOCKS_MAX];
static uint8_t s_first_pages [2 * ZSPOOL_PAGE_BYTES]; //  of the store that was made
static size_t s_expected_count;

//  What salvaging told
typedef struct {
    zspool_salvage_result_t result;
    uint64_t lost;                     //  messages told of one by one
    uint64_t cursors;
    uint64_t cursors_lost;
    uint64_t named_anew;
} s_told_t;

//  Read the first bytes of a file.
static uint8_t *
s_read (const char *path, size_t size)
{
    int fd = open (path, O_RDONLY);
    CHECK (fd != -1);
    uint8_t *bytes = (uint8_t *) zmalloc (size + 1);
    CHECK (pread (fd, bytes, size, 0) == (ssize_t) size);
    close (fd);
    return bytes;
}

//  Write the damaged store anew.
static void
s_write (const uint8_t *bytes, size_t size)
{
    mkdir (DAMAGED, 0700);
    int fd = open (FILE_OF (DAMAGED), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK (fd != -1);
    CHECK (write (fd, bytes, size) == (ssize_t) size);
    close (fd);
}

static void
s_remove (const char *directory)
{
    char *command = zsys_sprintf ("rm -rf %s", directory);
    CHECK (system (command) == 0);
    free (command);
}

//  Append blocks of messages to a spool; each spool has messages of a size of its own, so that none
//  can be taken for another's.
static void
s_append (zspool_store_t *store, uint32_t spool, int blocks, uint32_t messages, size_t bytes, bool chunked)
{
    for (int block = 0; block < blocks; block++) {
        CHECK_OK (zspool_store_begin (store));
        store->chunked = chunked;
        CHECK_OK (kit_try_append (store, spool, messages, bytes));
        CHECK_OK (zspool_store_commit (store));
    }
}

//  Append a message that holds a block as this store would have it: it must never be taken for one.
static void
s_append_carrier (zspool_store_t *store, uint32_t spool, size_t padding)
{
    zspool_block_t *block = kit_block_new (CARRIED_FIRST, 2, CARRIED_BYTES);
    zspool_block_stamp (block, CARRIED_FIRST, zspool_now_us (), zspool_store_incarnation (store));
    size_t size = padding + zspool_block_size (block);
    uint8_t *bytes = (uint8_t *) zmalloc (size);
    memcpy (bytes + padding, zspool_block_bytes (block), zspool_block_size (block));
    zspool_frame_t frame = { bytes, size };
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_put (store, spool, &frame, 1, NULL));
    CHECK_OK (zspool_store_commit (store));
    free (bytes);
    zspool_block_destroy (&block);
}

//  Append blocks that have an index, whole and in chunks.
static void
s_append_indexed (zspool_store_t *store, const char *name)
{
    static const char *const topics [] = { "a", "b.c", "a", "a", "" };
    uint32_t spool;
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_keep_spool (store, name, TICKS_FIRST, &spool));
    for (uint64_t count = 0; count < 6; count++) {
        zspool_block_t *block = kit_block_new_topics (TICKS_FIRST + 5 * count, topics, 5, 1200, true);
        CHECK (zspool_block_topics (block) == 3);
        store->chunked = count >= 3;
        CHECK_OK (zspool_store_append (store, spool, block));
        zspool_block_destroy (&block);
    }
    CHECK_OK (zspool_store_commit (store));
}

static void
s_expect_spool (zspool_store_t *store, const zspool_spool_info_t *info)
{
    zspool_reader_t *reader = zspool_reader_new (store, info->id);
    zspool_block_t *block = NULL;
    while (zspool_reader_next (reader, &block) == ZSPOOL_OK) {
        CHECK (s_expected_count < BLOCKS_MAX);
        s_expected_t *expected = &s_expected [s_expected_count++];
        strcpy (expected->spool, info->name);
        expected->first = zspool_block_first_sequence (block);
        expected->last = zspool_block_last_sequence (block);
        expected->size = zspool_block_size (block);
        expected->bytes = (uint8_t *) zmalloc (expected->size);
        memcpy (expected->bytes, zspool_block_bytes (block), expected->size);
        zspool_block_destroy (&block);
    }
    zspool_reader_destroy (&reader);
}

//  When the tables and records of two spools are gone, nothing tells whose a block is but numbers
//  and times: a further spool, with an index, is there only where nothing is damaged.
//
//  A closed store with blocks in pages of their own, in leaves, and in chunks; with several spools,
//  some of it acknowledged, removed and used again. Gives its file, as far as it is used.
static uint8_t *
s_create (bool chunked, bool indexed, size_t *size)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t orders = kit_spool (store, "orders"), dead = kit_spool (store, "orders.dead");
    uint32_t out = kit_cursor (store, orders, "out", 1), audit = kit_cursor (store, orders, "audit", 1);
    for (int round = 0; round < 4; round++) {
        s_append (store, orders, 10, 10, 1000, false);
        s_append (store, dead, 5, 1, 60, false);
        s_append (store, orders, 10, 1, 100, false);
        if (chunked)
            s_append (store, orders, 2, 10, 1010, true);
    }
    kit_ack (store, orders, out, 1, 110);
    kit_ack (store, orders, audit, 1, 115);
    kit_ack (store, orders, out, 201, 203);
    s_append (store, dead, 3, 20, 400, false);
    uint32_t carriers = kit_spool (store, "carriers");
    for (size_t padding = 0; padding < 3 * ZSPOOL_PAGE_BYTES; padding = 2 * padding + 50)
        s_append_carrier (store, carriers, padding);
    if (indexed)
        s_append_indexed (store, "ticks");
    zspool_spool_info_t info;
    s_expected_count = 0;
    for (size_t index = 0; zspool_store_spool_info (store, index, &info) == ZSPOOL_OK; index++)
        s_expect_spool (store, &info);
    *size = (size_t) zspool_store_file_bytes (store);
    zspool_store_destroy (&store);
    uint8_t *bytes = s_read (FILE_OF (KIT_STORE), *size);
    memcpy (s_first_pages, bytes, sizeof s_first_pages);
    return bytes;
}

static void
s_note_lost (void *arg, const char *spool, uint64_t first, uint64_t last)
{
    s_told_t *told = (s_told_t *) arg;
    printf ("%s %" PRIu64 "..%" PRIu64 " lost\n", spool, first, last);
    told->lost += last - first + 1;
}

static void
s_note_spool (void *arg, const zspool_salvage_spool_t *spool)
{
    s_told_t *told = (s_told_t *) arg;
    printf ("%s: %" PRIu64 " messages, %" PRIu64 " beside, %" PRIu64 " lost, %" PRIu64 " cursors, %" PRIu64 " lost\n",
            spool->name, spool->messages, spool->beside, spool->lost, spool->cursors, spool->cursors_lost);
    told->cursors += spool->cursors;
    told->cursors_lost += spool->cursors_lost;
    told->named_anew += spool->is_named_anew;
}

//  Salvage; the damaged store must stay as it is.
static s_told_t
s_salvage (void)
{
    s_told_t told = { .lost = 0 };
    zspool_salvage_options_t options = { .lost = s_note_lost, .spool = s_note_spool, .arg = &told };
    char reason [ZSPOOL_SALVAGE_REASON_BYTES];
    char *before = kit_list (DAMAGED);
    int rc = zspool_salvage (DAMAGED, SAVED, &options, &told.result, reason);
    if (rc)
        printf ("%s\n", reason);
    CHECK_OK (rc);
    char *after = kit_list (DAMAGED);
    CHECK_EQ_STR (after, before);
    free (before);
    free (after);
    return told;
}

static bool
s_has_block (zspool_store_t *store, const s_expected_t *expected)
{
    zspool_spool_info_t info;
    bool found = false;
    for (size_t index = 0; zspool_store_spool_info (store, index, &info) == ZSPOOL_OK; index++) {
        zspool_reader_t *reader = zspool_reader_new (store, info.id);
        zspool_block_t *block = NULL;
        zspool_reader_seek (reader, expected->first);
        if (zspool_reader_next (reader, &block) == ZSPOOL_OK)
            found = found || (zspool_block_size (block) == expected->size
                              && memcmp (zspool_block_bytes (block), expected->bytes, expected->size) == 0);
        zspool_block_destroy (&block);
        zspool_reader_destroy (&reader);
    }
    return found;
}

//  Check that a spool holds nothing but what was stored in it.
static void
s_check_spool (zspool_store_t *store, const zspool_spool_info_t *info)
{
    zspool_reader_t *reader = zspool_reader_new (store, info->id);
    zspool_block_t *block = NULL;
    bool is_known = strncmp (info->name, "orders", 6) == 0;
    while (zspool_reader_next (reader, &block) == ZSPOOL_OK) {
        if (is_known)
            kit_check_block (block);
        zspool_record_t record;
        zspool_block_rewind (block, &record);
        while (zspool_block_next (block, &record)) {
            CHECK (record.data_bytes != CARRIED_BYTES);
            bool is_dead = record.data_bytes == 60 || record.data_bytes == 400;
            CHECK (!is_known || is_dead == streq (info->name, "orders.dead"));
        }
        zspool_block_destroy (&block);
    }
    zspool_reader_destroy (&reader);
}

//  Check what was saved from a file of these bytes. Gives how many blocks are lost.
static size_t
s_check_saved (const uint8_t *bytes, size_t size, const s_told_t *told)
{
    zspool_store_t *store = kit_open (SAVED, ZSPOOL_READ);
    zspool_spool_info_t info;
    size_t lost = 0;
    kit_check_sound (store);
    for (size_t index = 0; zspool_store_spool_info (store, index, &info) == ZSPOOL_OK; index++)
        s_check_spool (store, &info);
    for (size_t index = 0; index < s_expected_count; index++) {
        const s_expected_t *expected = &s_expected [index];
        bool is_whole = memmem (bytes, size, expected->bytes, expected->size) != NULL;
        bool is_saved = s_has_block (store, expected);
        if (is_whole && !is_saved)
            printf ("%s %" PRIu64 "..%" PRIu64 " is whole, but not saved\n", expected->spool, expected->first,
                    expected->last);
        //  With the newer first page damaged the store may be taken for what it was a commit
        //  before.
        bool is_newest = index + 1 == s_expected_count && memcmp (bytes, s_first_pages, sizeof s_first_pages) != 0;
        CHECK (is_saved || !is_whole || is_newest);
        lost += !is_saved && !is_newest;
    }
    CHECK (lost == 0 || !told->result.complete);
    zspool_store_destroy (&store);
    return lost;
}

static void
s_free_expected (void)
{
    while (s_expected_count > 0)
        free (s_expected [--s_expected_count].bytes);
}

//  One round: salvage what these bytes are, check it, and clean up.
static s_told_t
s_round (const uint8_t *bytes, size_t size, size_t *lost)
{
    s_write (bytes, size);
    s_told_t told = s_salvage ();
    *lost = s_check_saved (bytes, size, &told);
    s_remove (SAVED);
    return told;
}

static void
s_check_undamaged (bool chunked)
{
    size_t size, lost;
    uint8_t *bytes = s_create (chunked, true, &size);
    s_told_t told = s_round (bytes, size, &lost);
    CHECK (told.result.complete && !told.result.searched);
    CHECK_EQ_U64 (lost, 0);
    CHECK_EQ_U64 (told.cursors, 2);
    CHECK_EQ_U64 (told.lost, 0);
    free (bytes);
    s_free_expected ();
}

TEST (test_salvage_sound_store_is_saved_whole)
{
    s_check_undamaged (false);
}

TEST (test_salvage_sound_store_with_chunks_is_saved_whole)
{
    s_check_undamaged (true);
}

TEST (test_salvage_keeps_cursors_numbers_and_acknowledgements)
{
    size_t size;
    uint8_t *bytes = s_create (false, false, &size);
    s_write (bytes, size);
    s_salvage ();
    zspool_store_t *old = kit_open (KIT_STORE, ZSPOOL_READ), *saved = kit_open (SAVED, ZSPOOL_WRITE);
    zspool_spool_info_t before, after;
    zspool_origin_t origin;
    CHECK_OK (zspool_store_origin (saved, &origin));
    CHECK (origin.kind == ZSPOOL_ORIGIN_SALVAGE && origin.incarnation == zspool_store_incarnation (old));
    CHECK (zspool_store_incarnation (saved) != zspool_store_incarnation (old));
    for (size_t index = 0; zspool_store_spool_info (old, index, &before) == ZSPOOL_OK; index++) {
        after = kit_spool_info (saved, kit_spool (saved, before.name));
        CHECK_EQ_U64 (after.first_sequence, before.first_sequence);
        CHECK_EQ_U64 (after.last_sequence, before.last_sequence);
        CHECK_EQ_U64 (after.messages, before.messages);
        zspool_cursor_info_t cursor, again;
        for (size_t at = 0; zspool_store_cursor_info (old, before.id, at, &cursor) == ZSPOOL_OK; at++) {
            again = kit_cursor_info (saved, after.id, kit_cursor (saved, after.id, cursor.name, 1));
            CHECK_EQ_U64 (again.floor, cursor.floor);
            CHECK_EQ_U64 (again.sent_to, cursor.sent_to);
            CHECK_EQ_U64 (again.pending, cursor.pending);
        }
    }
    //  Numbering goes on, and acknowledging too.
    uint32_t orders = kit_spool (saved, "orders");
    uint64_t last = kit_spool_info (saved, orders).last_sequence;
    kit_append (saved, orders, 5, 1000);
    CHECK_EQ_U64 (kit_spool_info (saved, orders).last_sequence, last + 5);
    kit_ack (saved, orders, kit_cursor (saved, orders, "out", 1), 111, 120);
    zspool_store_destroy (&old);
    zspool_store_destroy (&saved);
    free (bytes);
    s_free_expected ();
}

static void
s_check_flipped (bool chunked)
{
    kit_chance_t chance = kit_chance_new ();
    size_t size, lost, worst = 0;
    uint8_t *bytes = s_create (chunked, false, &size), *damaged = (uint8_t *) zmalloc (size);
    for (int round = 0; round < ROUNDS; round++) {
        memcpy (damaged, bytes, size);
        for (uint64_t flips = 1 + kit_below (&chance, 30); flips > 0; flips--)
            damaged [kit_below (&chance, size)] ^= (uint8_t) (1 << kit_below (&chance, 8));
        s_round (damaged, size, &lost);
        worst = lost > worst? lost: worst;
    }
    printf ("at most %zu of %zu blocks lost\n", worst, s_expected_count);
    CHECK (worst > 0);
    free (damaged);
    free (bytes);
    s_free_expected ();
}

TEST_WITH_LIMIT (test_salvage_flipped_bytes_lose_no_whole_block, 300)
{
    s_check_flipped (false);
}

TEST_WITH_LIMIT (test_salvage_flipped_bytes_among_chunks_lose_no_whole_block, 300)
{
    s_check_flipped (true);
}

TEST_WITH_LIMIT (test_salvage_each_page_damaged_loses_no_whole_block, 300)
{
    size_t size, lost;
    uint8_t *bytes = s_create (false, false, &size), *damaged = (uint8_t *) zmalloc (size);
    kit_chance_t chance = kit_chance_new ();
    //  The head of a page, and a run of zeros anywhere in it
    for (size_t page = 0; page < size / ZSPOOL_PAGE_BYTES; page += 1 + kit_below (&chance, 8)) {
        memcpy (damaged, bytes, size);
        damaged [page * ZSPOOL_PAGE_BYTES + kit_below (&chance, 16)] ^= 0xff;
        s_round (damaged, size, &lost);
        memcpy (damaged, bytes, size);
        size_t at = kit_below (&chance, ZSPOOL_PAGE_BYTES - 64);
        memset (damaged + page * ZSPOOL_PAGE_BYTES + at, 0, kit_below (&chance, ZSPOOL_PAGE_BYTES - at));
        s_round (damaged, size, &lost);
    }
    free (damaged);
    free (bytes);
    s_free_expected ();
}

TEST_WITH_LIMIT (test_salvage_zeroed_ranges_lose_no_whole_block, 300)
{
    kit_chance_t chance = kit_chance_new ();
    size_t size, lost;
    uint8_t *bytes = s_create (false, false, &size), *damaged = (uint8_t *) zmalloc (size);
    for (int round = 0; round < ROUNDS; round++) {
        memcpy (damaged, bytes, size);
        size_t from = kit_below (&chance, size), length = kit_below (&chance, size / 4);
        memset (damaged + from, round % 2? 0: 0x5a, from + length < size? length: size - from);
        s_round (damaged, size, &lost);
    }
    free (damaged);
    free (bytes);
    s_free_expected ();
}

TEST_WITH_LIMIT (test_salvage_file_cut_off_loses_no_whole_block, 300)
{
    kit_chance_t chance = kit_chance_new ();
    size_t size, lost;
    uint8_t *bytes = s_create (false, false, &size);
    for (int round = 0; round < ROUNDS; round++)
        s_round (bytes, 16 * ZSPOOL_PAGE_BYTES + kit_below (&chance, size - 16 * ZSPOOL_PAGE_BYTES), &lost);
    free (bytes);
    s_free_expected ();
}

//  Without the first pages there is no tree to begin with.
static void
s_check_without_first_pages (bool chunked, int pages)
{
    size_t size, lost;
    uint8_t *bytes = s_create (chunked, false, &size);
    memset (bytes, 0, (size_t) pages * ZSPOOL_PAGE_BYTES);
    s_told_t told = s_round (bytes, size, &lost);
    CHECK_EQ_U64 (lost, 0);
    CHECK_EQ_U64 (told.cursors, 2);
    CHECK_EQ_U64 (told.named_anew, 0);
    free (bytes);
    s_free_expected ();
}

TEST (test_salvage_without_first_pages_finds_spools_again)
{
    s_check_without_first_pages (false, 2);
}

TEST (test_salvage_chunks_without_first_pages_are_put_together)
{
    s_check_without_first_pages (true, 2);
}

TEST (test_salvage_goes_nowhere_where_something_is)
{
    char reason [ZSPOOL_SALVAGE_REASON_BYTES];
    zspool_salvage_result_t result;
    size_t size;
    uint8_t *bytes = s_create (false, false, &size);
    CHECK_CODE (zspool_salvage ("none", SAVED, NULL, &result, reason), ZSPOOL_ENOENT);
    CHECK_CODE (zspool_salvage (KIT_STORE, KIT_STORE, NULL, &result, reason), ZSPOOL_EEXIST);
    CHECK_CODE (zspool_salvage (KIT_STORE, "none/" SAVED, NULL, &result, reason), ZSPOOL_ENOENT);
    memset (bytes, 'x', size);
    s_write (bytes, size);
    CHECK_CODE (zspool_salvage (DAMAGED, SAVED, NULL, &result, reason), ZSPOOL_ENOTSTORE);
    s_write (bytes, 0);
    CHECK_CODE (zspool_salvage (DAMAGED, SAVED, NULL, &result, reason), ZSPOOL_ENOTSTORE);
    char *left = kit_list (".");
    CHECK (!strstr (left, SAVED));
    free (left);
    free (bytes);
    s_free_expected ();
}

static void
s_hold_store (void *arg)
{
    int *pipes = (int *) arg;
    char byte;
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK (write (pipes [1], "x", 1) == 1);
    close (pipes [3]);
    CHECK (read (pipes [2], &byte, 1) == 0);
    zspool_store_destroy (&store);
}

TEST (test_salvage_store_in_use_is_refused)
{
    char reason [ZSPOOL_SALVAGE_REASON_BYTES], byte;
    zspool_salvage_result_t result;
    int pipes [4];
    size_t size;
    free (s_create (false, false, &size));
    CHECK (pipe (pipes) == 0 && pipe (pipes + 2) == 0);
    pid_t pid = kit_fork (s_hold_store, pipes);
    CHECK (read (pipes [0], &byte, 1) == 1);
    CHECK_CODE (zspool_salvage (KIT_STORE, SAVED, NULL, &result, reason), ZSPOOL_ELOCKED);
    close (pipes [3]);
    CHECK_EQ_I64 (kit_wait (pid), 0);
    CHECK_OK (zspool_salvage (KIT_STORE, SAVED, NULL, &result, reason));
    s_free_expected ();
}
