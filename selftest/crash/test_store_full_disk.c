//  test_store_full_disk.c - tests of a store on a small disk that is really full
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Each test mounts a file as a disk, in a mount namespace of its own: it is gone with the process, however
//  that ends. That needs root, and mkfs.ext4.

#include "lib/kit.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define DISK_BYTES (120 * 1024 * 1024)
#define STORE "disk/store"
#define MIB (1024 * 1024)

//  Mount an empty disk at disk/.
static void
s_mount (void)
{
    if (geteuid () != 0)
        SKIP ("needs root, to mount a small disk");
    if (system ("command -v mkfs.ext4 > /dev/null") != 0)
        SKIP ("needs mkfs.ext4 (Debian: e2fsprogs)");
    if (unshare (CLONE_NEWNS) != 0 || mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        SKIP ("needs the right to mount");
    CHECK (mkdir ("disk", 0700) == 0);
    int fd = open ("image", O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK (fd != -1 && ftruncate (fd, DISK_BYTES) == 0);
    close (fd);
    CHECK (system ("mkfs.ext4 -q -m 0 image") == 0);
    if (system ("mount -o loop image disk") != 0)
        SKIP ("needs a loop device");
}

//  Let another file take all that is free on the disk.
static void
s_fill_disk (void)
{
    int fd = open ("disk/ballast", O_WRONLY | O_CREAT, 0600);
    CHECK (fd != -1);
    for (off_t size = 0, step = 16 * MIB; step >= 512;) {
        if (posix_fallocate (fd, size, step) == 0)
            size += step;
        else
            step /= 2;
    }
    fsync (fd);
    close (fd);
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
