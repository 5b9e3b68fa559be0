//  test_store_full_disk.c - tests of a store on a small disk that is really full
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Each test mounts a file as a disk, in a mount namespace of its own: it is gone with the process,
//  however that ends. That needs root, and mkfs.ext4.

#include "commit.h"
#include "lib/kit.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define DISK_MIB 120
#define STORE "disk/store"
#define MIB (1024 * 1024)

//  Mount an empty disk at disk/: ext4; ext2, which knows no fallocate (); or tmpfs.
static void
s_mount_as (const char *type, unsigned mib)
{
    char command [200];
    if (geteuid () != 0)
        SKIP ("needs root, to mount a small disk");
    if (system ("command -v mkfs.ext4 > /dev/null") != 0)
        SKIP ("needs mkfs.ext4 (Debian: e2fsprogs)");
    if (unshare (CLONE_NEWNS) != 0 || mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        SKIP ("needs the right to mount");
    CHECK (mkdir ("disk", 0700) == 0);
    if (strcmp (type, "tmpfs") == 0) {
        snprintf (command, sizeof command, "size=%um", mib);
        if (mount ("disk", "disk", "tmpfs", 0, command) != 0)
            SKIP ("needs the right to mount");
        return;
    }
    int fd = open ("image", O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK (fd != -1 && ftruncate (fd, (off_t) mib * MIB) == 0);
    close (fd);
    snprintf (command, sizeof command, "mkfs.%s -q -m 0 image", type);
    CHECK (system (command) == 0);
    if (system ("mount -o loop image disk") != 0)
        SKIP ("needs a loop device");
}

static void
s_mount (void)
{
    s_mount_as ("ext4", DISK_MIB);
}

//  Let another file take all that is free on the disk, but so much.
static void
s_fill_disk_but (off_t left)
{
    int fd = open ("disk/ballast", O_WRONLY | O_CREAT, 0600);
    CHECK (fd != -1);
    off_t size = 0;
    for (off_t step = 16 * MIB; step >= 512;) {
        if (posix_fallocate (fd, size, step) == 0)
            size += step;
        else
            step /= 2;
    }
    if (left > 0)
        CHECK (ftruncate (fd, size - left) == 0);
    fsync (fd);
    close (fd);
}

static void
s_fill_disk (void)
{
    s_fill_disk_but (0);
}

static void
s_free_disk (void)
{
    CHECK (unlink ("disk/ballast") == 0);
    sync ();
}

//  Append a block of `bytes` in a transaction of its own.
static int
s_try_append (zspool_store_t *store, uint32_t spool, size_t bytes)
{
    CHECK_OK (zspool_store_begin (store));
    int rc = kit_try_append (store, spool, 1, bytes);
    CHECK (rc == ZSPOOL_OK || rc == ZSPOOL_ENOSPC);
    CHECK_OK (zspool_store_commit (store));
    return rc;
}

//  Append until there is no room. Gives how many messages were.
static uint64_t
s_fill_store (zspool_store_t *store, uint32_t spool, size_t bytes)
{
    uint64_t count = 0;
    while (s_try_append (store, spool, bytes) == ZSPOOL_OK)
        CHECK (++count < 10000);
    return count;
}

typedef struct {
    zspool_store_t *store;
    uint32_t spool;
    uint32_t cursor;
} s_setup_t;

static s_setup_t
s_setup (void)
{
    s_setup_t self;
    self.store = kit_open (STORE, ZSPOOL_WRITE);
    self.spool = kit_spool (self.store, "main");
    self.cursor = kit_cursor (self.store, self.spool, "main", 1);
    return self;
}

//  Acknowledge the oldest messages.
static void
s_ack_oldest (s_setup_t *self, uint64_t count)
{
    uint64_t floor = kit_cursor_info (self->store, self->spool, self->cursor).floor;
    kit_ack (self->store, self->spool, self->cursor, floor + 1, floor + count);
}

static void
s_done (s_setup_t *self)
{
    kit_check_sound (self->store);
    zspool_store_destroy (&self->store);
}

TEST (test_store_full_disk_takes_more_when_some_is_acknowledged)
{
    s_mount ();
    s_setup_t self = s_setup ();
    uint64_t count = s_fill_store (self.store, self.spool, MIB);
    printf ("%" PRIu64 " messages found room\n", count);
    CHECK (count > 60);
    for (int round = 0; round < 8; round++) {
        s_ack_oldest (&self, 20);
        uint64_t more = s_fill_store (self.store, self.spool, MIB);
        printf ("%" PRIu64 " more\n", more);
        CHECK (more >= 15);
    }
    s_ack_oldest (&self, kit_cursor_info (self.store, self.spool, self.cursor).pending);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).messages, 0);
    CHECK (s_fill_store (self.store, self.spool, MIB) > count * 9 / 10);
    s_done (&self);
}

TEST (test_store_full_disk_carries_steady_traffic)
{
    s_mount ();
    s_setup_t self = s_setup ();
    uint64_t count = s_fill_store (self.store, self.spool, MIB);
    s_ack_oldest (&self, count / 2);
    s_fill_disk ();
    for (int round = 0; round < 100; round++) {
        CHECK_OK (s_try_append (self.store, self.spool, 300 * 1024));
        s_ack_oldest (&self, 1);
    }
    s_free_disk ();
    s_done (&self);
}

TEST (test_store_full_disk_of_others_is_waited_for)
{
    s_mount ();
    s_setup_t self = s_setup ();
    for (int round = 0; round < 10; round++)
        CHECK_OK (s_try_append (self.store, self.spool, MIB));
    s_fill_disk ();
    s_fill_store (self.store, self.spool, MIB);
    for (int round = 0; round < 5; round++)
        CHECK_CODE (s_try_append (self.store, self.spool, MIB), ZSPOOL_ENOSPC);
    //  One by one, from the last: each leaves something to be stored.
    for (uint64_t sequence = 10; sequence > 0; sequence--)
        kit_ack (self.store, self.spool, self.cursor, sequence, sequence);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, self.cursor).floor, 10);
    s_free_disk ();
    for (int round = 0; round < 20; round++)
        CHECK_OK (s_try_append (self.store, self.spool, MIB));
    s_done (&self);
}

TEST (test_store_full_disk_after_reopening_still_acknowledges_and_takes_more)
{
    s_mount ();
    s_setup_t self = s_setup ();
    uint64_t count = s_fill_store (self.store, self.spool, MIB);
    s_fill_disk ();
    for (int round = 0; round < 3; round++) {
        zspool_store_destroy (&self.store);
        self.store = kit_open (STORE, ZSPOOL_WRITE);
        CHECK_CODE (s_try_append (self.store, self.spool, MIB), ZSPOOL_ENOSPC);
        s_ack_oldest (&self, 10);
        CHECK (s_fill_store (self.store, self.spool, MIB) >= 7);
    }
    s_ack_oldest (&self, count / 2);
    s_free_disk ();
    s_done (&self);
}

//  Leave without closing, after forwarding ahead of the store.
static void
s_leave (void *arg)
{
    s_setup_t self = s_setup ();
    CHECK_OK (zspool_store_set_ceiling_window (self.store, self.spool, 100));
    s_fill_store (self.store, self.spool, MIB);
    s_fill_disk ();
    _exit (0);
    (void) arg;
}

TEST (test_store_full_disk_after_a_crash_opens_and_records_the_gap)
{
    s_mount ();
    CHECK_EQ_I64 (kit_run (s_leave, NULL), 0);
    s_setup_t self = s_setup ();
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).lost, 100);
    s_ack_oldest (&self, 20);
    //  What the last commit freed may have to wait for another attempt.
    uint64_t more = s_fill_store (self.store, self.spool, MIB);
    more += s_fill_store (self.store, self.spool, MIB);
    CHECK (more >= 15);
    s_free_disk ();
    s_done (&self);
}

TEST (test_store_full_disk_refuses_to_create_a_store_and_can_later)
{
    s_mount ();
    s_fill_disk ();
    CHECK_CODE (kit_try_open (STORE, ZSPOOL_WRITE), ZSPOOL_ENOSPC);
    s_free_disk ();
    s_setup_t self = s_setup ();
    CHECK_OK (s_try_append (self.store, self.spool, MIB));
    s_done (&self);
}

TEST (test_store_full_disk_with_a_purged_spool_has_room_for_others)
{
    s_mount ();
    s_setup_t self = s_setup ();
    uint64_t count = s_fill_store (self.store, self.spool, 100 * 1024);
    uint32_t other = kit_spool (self.store, "other");
    s_fill_disk ();
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_trim (self.store, self.spool, count));
    CHECK_OK (zspool_store_commit (self.store));
    CHECK (s_fill_store (self.store, other, MIB) >= count / 12);
    s_free_disk ();
    s_done (&self);
}

//  Fill the disk and drain the store, by parts and as a whole.
static void
s_bounce (const char *type, unsigned mib)
{
    s_mount_as (type, mib);
    s_setup_t self = s_setup ();
    uint64_t count = s_fill_store (self.store, self.spool, MIB / 2);
    printf ("%" PRIu64 " messages found room on %u MiB of %s\n", count, mib, type);
    CHECK (count > mib);
    for (int round = 0; round < 12; round++) {
        uint64_t pending = kit_cursor_info (self.store, self.spool, self.cursor).pending;
        s_ack_oldest (&self, round % 3? pending / 3: pending);
        if (round == 5) {
            zspool_store_destroy (&self.store);
            self.store = kit_open (STORE, ZSPOOL_WRITE);
        }
        uint64_t more = s_fill_store (self.store, self.spool, MIB / 2);
        more += s_fill_store (self.store, self.spool, MIB / 2);
        CHECK (more >= pending / 4);
    }
    s_ack_oldest (&self, kit_cursor_info (self.store, self.spool, self.cursor).pending);
    s_done (&self);
}

TEST (test_store_full_disk_of_ext4_bounces)
{
    s_bounce ("ext4", 60);
}

TEST (test_store_full_disk_of_ext2_bounces)
{
    s_bounce ("ext2", 60);
}

TEST (test_store_full_disk_of_tmpfs_bounces)
{
    s_bounce ("tmpfs", 60);
}

TEST (test_store_full_disk_of_ext2_after_reopening_still_acknowledges)
{
    s_mount_as ("ext2", 60);
    s_setup_t self = s_setup ();
    s_fill_store (self.store, self.spool, MIB);
    s_fill_disk ();
    for (int round = 0; round < 3; round++) {
        zspool_store_destroy (&self.store);
        self.store = kit_open (STORE, ZSPOOL_WRITE);
        CHECK_CODE (s_try_append (self.store, self.spool, MIB), ZSPOOL_ENOSPC);
        s_ack_oldest (&self, 6);
        CHECK (s_fill_store (self.store, self.spool, MIB) >= 4);
    }
    s_free_disk ();
    s_done (&self);
}

//  However little is left for a store, it goes on taking messages as long as they are acknowledged.
static void
s_check_never_stuck (const char *type, off_t step)
{
    s_mount_as (type, 50);
    unsigned stuck = 0;
    for (off_t left = 19 * MIB; left >= 17 * MIB; left -= step) {
        s_fill_disk_but (left);
        s_setup_t self = s_setup ();
        uint64_t count = 0;
        for (int round = 0; round < 30; round++) {
            int rc = s_try_append (self.store, self.spool, ZSPOOL_BLOCK_BYTES - 100);
            count += rc == ZSPOOL_OK;
            stuck = rc == ZSPOOL_OK? 0: stuck + 1;
            //  What the last commit freed can take a commit until it is used again.
            if (count > 0 && stuck > 2)
                selftest_fail (__FILE__, __LINE__, "stuck with %jd KiB left", (intmax_t) left / 1024);
            uint64_t pending = kit_cursor_info (self.store, self.spool, self.cursor).pending;
            if (pending > 0 && (rc || round % 4 == 0))
                s_ack_oldest (&self, pending);
        }
        printf ("%jd KiB left: %" PRIu64 " messages\n", (intmax_t) left / 1024, count);
        s_free_disk ();
        s_done (&self);
        CHECK (system ("rm -r " STORE) == 0);
    }
}

TEST (test_store_full_disk_with_little_left_is_never_stuck)
{
    s_check_never_stuck ("ext4", 150 * 1024);
}

TEST (test_store_full_disk_of_ext2_with_little_left_is_never_stuck)
{
    s_check_never_stuck ("ext2", 500 * 1024);
}

//  ---- what need not be kept makes room

static void
s_keep_all (s_setup_t *self)
{
    static const zspool_retention_t all = {
        ZSPOOL_KEEP_UNLIMITED, ZSPOOL_KEEP_UNLIMITED, ZSPOOL_KEEP_UNLIMITED, true
    };
    CHECK_OK (zspool_store_begin (self->store));
    CHECK_OK (zspool_store_set_retention (self->store, self->spool, &all));
    CHECK_OK (zspool_store_commit (self->store));
}

//  Append blocks, acknowledge each, for as long as told; where one is refused, once more. Gives how
//  many were.
static int
s_stream (s_setup_t *self, int blocks, size_t bytes)
{
    int refused = 0;
    while (blocks-- > 0) {
        if (s_try_append (self->store, self->spool, bytes)) {
            refused++;
            CHECK_OK (s_try_append (self->store, self->spool, bytes));
        }
        s_ack_oldest (self, 1);
    }
    return refused;
}

static void
s_check_stream (const char *type)
{
    s_mount_as (type, DISK_MIB);
    s_setup_t self = s_setup ();
    s_keep_all (&self);
    //  Three times what the disk holds
    int refused = s_stream (&self, 3 * DISK_MIB * 2, MIB / 2);
    zspool_spool_info_t info = kit_spool_info (self.store, self.spool);
    printf ("%s: %d refused, %" PRIu64 " messages kept\n", type, refused, info.messages);
    CHECK (refused > 0 && refused < DISK_MIB);
    CHECK (info.messages >= DISK_MIB);
    CHECK_EQ_U64 (kit_read (self.store, self.spool, 1), info.messages);
    //  It ends at what is not acknowledged.
    uint64_t floor = info.last_sequence, count = 0;
    while (s_try_append (self.store, self.spool, MIB / 2) == ZSPOOL_OK
           || s_try_append (self.store, self.spool, MIB / 2) == ZSPOOL_OK)
        CHECK (++count < DISK_MIB * 2);
    CHECK (count >= info.messages - 40);
    info = kit_spool_info (self.store, self.spool);
    CHECK (info.first_sequence <= floor + 1 && info.messages >= count);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, self.cursor).lagged, 0);
    CHECK_EQ_U64 (kit_cursor_info (self.store, self.spool, self.cursor).floor, floor);
    s_done (&self);
}

TEST (test_store_full_disk_lets_history_go_before_it_refuses)
{
    s_check_stream ("ext4");
}

TEST (test_store_full_disk_lets_history_go_on_ext2)
{
    s_check_stream ("ext2");
}

TEST (test_store_full_disk_lets_history_go_on_tmpfs)
{
    s_check_stream ("tmpfs");
}

TEST (test_store_full_disk_lets_history_of_small_blocks_go_for_large_ones)
{
    s_mount ();
    s_setup_t self = s_setup ();
    s_keep_all (&self);
    s_fill_disk ();
    int rc = ZSPOOL_OK;
    while (rc == ZSPOOL_OK) {
        CHECK_OK (zspool_store_begin (self.store));
        for (int block = 0; rc == ZSPOOL_OK && block < 500; block++)
            rc = kit_try_append (self.store, self.spool, 1, 500);
        CHECK_OK (zspool_store_commit (self.store));
    }
    uint64_t last = kit_spool_info (self.store, self.spool).last_sequence;
    kit_ack (self.store, self.spool, self.cursor, 1, last);
    //  Each transaction removes some hundreds of them; one block needs more.
    int tries = 0, stored = 0;
    while (stored < 20) {
        stored += s_try_append (self.store, self.spool, MIB / 2) == ZSPOOL_OK;
        CHECK (++tries < 400);
    }
    printf ("%" PRIu64 " small blocks; %d tries for %d large ones\n", last, tries, stored);
    CHECK (tries > stored);
    s_free_disk ();
    s_done (&self);
}

TEST (test_store_full_disk_that_a_reader_keeps_full_costs_little_history)
{
    s_mount ();
    s_setup_t self = s_setup ();
    s_keep_all (&self);
    s_stream (&self, DISK_MIB * 3, MIB / 2);
    s_fill_disk ();
    //  What is freed while somebody looks cannot be used again.
    zspool_txn_t *view;
    CHECK_OK (zspool_view_new (self.store->engine, &view));
    CHECK_OK (zspool_view_take (view));
    for (int round = 0; round < 200; round++)
        s_try_append (self.store, self.spool, MIB / 2);
    uint64_t messages = kit_spool_info (self.store, self.spool).messages;
    printf ("%" PRIu64 " messages are left\n", messages);
    CHECK (messages >= DISK_MIB / 2);
    zspool_view_release (view);
    zspool_view_destroy (&view);
    s_free_disk ();
    s_done (&self);
}

TEST (test_store_full_disk_commit_asks_to_be_repeated_while_history_can_go)
{
    s_mount ();
    s_setup_t self = s_setup ();
    s_keep_all (&self);
    uint64_t next_sequence = 0, count = 0, repeated = 0;
    int64_t stored_us;
    while (count < 4 * DISK_MIB) {
        zspool_commit_t commit = { .units_count = 1 };
        CHECK_OK (zspool_store_numbering (self.store, self.spool, &next_sequence, &stored_us));
        zspool_batch_block_t *block = &commit.units [0].block;
        *block = (zspool_batch_block_t){ kit_block_new_stamped (next_sequence, 1, MIB / 2), self.spool };
        zspool_block_stamp (block->block, next_sequence, zspool_now_us (), 1);
        zspool_commit_run (&commit, self.store);
        CHECK_OK (commit.rc);
        CHECK (commit.full == 0 || commit.full == ZSPOOL_EFULL);
        repeated += commit.full != 0;
        count += commit.full == 0;
        zspool_block_destroy (&block->block);
        if (commit.full == 0)
            s_ack_oldest (&self, 1);
        CHECK (repeated <= count);
    }
    printf ("%" PRIu64 " repeated\n", repeated);
    CHECK (repeated > 0);
    s_done (&self);
}
