//  test_store_full_disk.c - tests of a store on a small disk that is really full
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Each test mounts a file as a disk, in a mount namespace of its own: it is gone with the process,
//  however that ends. That needs root, and mkfs.ext4.

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
