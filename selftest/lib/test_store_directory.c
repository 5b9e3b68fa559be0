//  test_store_directory.c - tests of who may have a directory open: other processes, this one,
//  children
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"

#include <fcntl.h>
#include <sys/stat.h>

//  ---- remote file systems

TEST (test_store_directory_remote_file_systems_are_known)
{
    static const uint64_t remote [] = { 0x6969, 0x517B, 0xFF534D42, 0xFE534D42, 0x01021997,
                                        0x5346414F, 0x6B414653, 0x00C36400, 0x0BD00BD0,
                                        0x01161970, 0x7461636F, 0x47504653, 0x564C };
    static const uint64_t local [] = { 0xEF53, 0x01021994, 0x9123683E, 0x58465342, 0x794c7630,
                                       0x2FC12FC1, 0x4d44, 0xF2F52010, 0x5346544E, 0 };
    for (size_t index = 0; index < sizeof remote / sizeof remote [0]; index++) {
        CHECK (zspool_file_system_is_remote (remote [index]));
        //  As a type that is signed and has 32 bits gives it
        CHECK (zspool_file_system_is_remote ((uint64_t) (int64_t) (int32_t) remote [index]));
    }
    for (size_t index = 0; index < sizeof local / sizeof local [0]; index++)
        CHECK (!zspool_file_system_is_remote (local [index]));
}

//  ---- this process

TEST (test_store_open_twice_in_a_process_gives_eopen)
{
    CHECK (symlink (KIT_STORE, "link") == 0);
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_WRITE));
    for (zspool_mode_t first = ZSPOOL_READ; first <= ZSPOOL_WRITE; first++) {
        zspool_store_t *store = kit_open (KIT_STORE, first);
        char *absolute = realpath (KIT_STORE, NULL);
        CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_WRITE), ZSPOOL_EOPEN);
        CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_READ), ZSPOOL_EOPEN);
        CHECK_CODE (kit_try_open ("link", ZSPOOL_READ), ZSPOOL_EOPEN);
        CHECK_CODE (kit_try_open (absolute, ZSPOOL_WRITE), ZSPOOL_EOPEN);
        zspool_store_destroy (&store);
        CHECK_OK (kit_try_open (absolute, ZSPOOL_WRITE));
        free (absolute);
    }
}

TEST (test_store_open_twice_leaves_the_first_at_work)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_WRITE), ZSPOOL_EOPEN);
    kit_append (store, spool, 3, 100);
    CHECK_EQ_U64 (kit_read (store, spool, 1), 3);
    zspool_store_destroy (&store);
}

TEST (test_store_two_directories_in_a_process_do_not_mix)
{
    zspool_store_t *one = kit_open ("one", ZSPOOL_WRITE);
    zspool_store_t *two = kit_open ("two", ZSPOOL_WRITE);
    kit_append (one, kit_spool (one, "main"), 3, 100);
    kit_append (two, kit_spool (two, "main"), 5, 100);
    CHECK_EQ_U64 (kit_read (one, kit_spool (one, "main"), 1), 3);
    CHECK_EQ_U64 (kit_read (two, kit_spool (two, "main"), 1), 5);
    zspool_store_destroy (&one);
    kit_append (two, kit_spool (two, "main"), 5, 100);
    zspool_store_destroy (&two);
}

//  ---- other processes

//  A process that has the store open, and tells when; it stays so until it is killed or `leave` is
//  closed
typedef struct {
    zspool_mode_t mode;
    int told [2];
    int leave [2];
    pid_t pid;
} s_holder_t;

static void
s_hold (void *arg)
{
    s_holder_t *self = (s_holder_t *) arg;
    char byte;
    close (self->leave [1]);
    zspool_store_t *store = kit_open (KIT_STORE, self->mode);
    CHECK (write (self->told [1], "o", 1) == 1);
    CHECK (read (self->leave [0], &byte, 1) == 0);
    zspool_store_destroy (&store);
}

static void
s_holder_start (s_holder_t *self, zspool_mode_t mode)
{
    char byte;
    self->mode = mode;
    CHECK (pipe (self->told) == 0);
    CHECK (pipe (self->leave) == 0);
    self->pid = kit_fork (s_hold, self);
    close (self->leave [0]);
    selftest_wait_fd (self->told [0]);
    CHECK (read (self->told [0], &byte, 1) == 1);
}

static int
s_holder_leave (s_holder_t *self)
{
    close (self->leave [1]);
    return kit_wait (self->pid);
}

TEST (test_store_written_by_another_process_gives_elocked)
{
    s_holder_t holder;
    s_holder_start (&holder, ZSPOOL_WRITE);
    char *before = kit_list (KIT_STORE);
    zspool_store_t *store = zspool_store_new (KIT_STORE);
    CHECK_OK (zspool_store_set_map_bytes (store, SELFTEST_MAP_BYTES));
    CHECK_CODE (zspool_store_open (store, ZSPOOL_WRITE), ZSPOOL_ELOCKED);
    char *expected = zsys_sprintf ("store: another process writes this store (process %d)",
                                   (int) holder.pid);
    CHECK_EQ_STR (zspool_store_reason (store), expected);
    char *after = kit_list (KIT_STORE);
    CHECK_EQ_STR (after, before);
    CHECK_EQ_I64 (s_holder_leave (&holder), 0);
    CHECK_OK (zspool_store_open (store, ZSPOOL_WRITE));
    zspool_store_destroy (&store);
    free (after);
    free (before);
    free (expected);
}

TEST (test_store_whose_writer_was_killed_opens)
{
    s_holder_t holder;
    s_holder_start (&holder, ZSPOOL_WRITE);
    kill (holder.pid, SIGKILL);
    CHECK_EQ_I64 (kit_wait (holder.pid), -SIGKILL);
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_WRITE));
}

TEST (test_store_written_by_another_process_can_be_read)
{
    s_holder_t holder;
    s_holder_start (&holder, ZSPOOL_WRITE);
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_READ));
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_WRITE), ZSPOOL_ELOCKED);
    CHECK_EQ_I64 (s_holder_leave (&holder), 0);
}

TEST (test_store_read_by_another_process_can_be_written)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    zspool_store_destroy (&store);
    s_holder_t holder;
    s_holder_start (&holder, ZSPOOL_READ);
    store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    kit_append (store, kit_spool (store, "main"), 5, 100);
    CHECK_EQ_I64 (s_holder_leave (&holder), 0);
    CHECK_EQ_U64 (kit_read (store, kit_spool (store, "main"), 1), 5);
    zspool_store_destroy (&store);
}

TEST (test_store_lock_left_by_a_dead_process_does_not_lock)
{
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_WRITE));
    CHECK (access (KIT_STORE "/zspool.lock", F_OK) == 0);
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_WRITE));
}

//  ---- children

typedef struct {
    zspool_store_t *store;
    zspool_reader_t *reader;
    uint32_t spool;
    uint32_t cursor;
} s_inherited_t;

//  Nothing can be done with what the parent has open.
static void
s_try_inherited (void *arg)
{
    s_inherited_t *self = (s_inherited_t *) arg;
    zspool_store_t *store = self->store;
    zspool_spool_info_t spool_info;
    zspool_cursor_info_t cursor_info;
    zspool_block_t *block = NULL;
    CHECK_CODE (zspool_store_begin (store), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_commit (store), ZSPOOL_EINVAL);
    CHECK_CODE (kit_try_append (store, self->spool, 1, 100), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_ack (store, self->spool, self->cursor, 1, 1), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_trim (store, self->spool, 1), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_spool_info (store, 0, &spool_info), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_cursor_info (store, self->spool, 0, &cursor_info), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_verify (store, NULL, NULL, NULL), ZSPOOL_EINVAL);
    CHECK (zspool_reader_new (store, self->spool) == NULL);
    CHECK_CODE (zspool_reader_next (self->reader, &block), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_reader_seek_time (self->reader, 0), ZSPOOL_EINVAL);
    zspool_store_rollback (store);
    zspool_reader_destroy (&self->reader);
    zspool_store_destroy (&store);
    CHECK (store == NULL);
}

static void
s_inherited_open (s_inherited_t *self)
{
    self->store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    self->spool = kit_spool (self->store, "main");
    self->cursor = kit_cursor (self->store, self->spool, "main", 1);
    kit_append (self->store, self->spool, 3, 100);
    self->reader = zspool_reader_new (self->store, self->spool);
    CHECK (self->reader);
}

static void
s_try_to_write (void *arg)
{
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_WRITE), ZSPOOL_ELOCKED);
    (void) arg;
}

TEST (test_store_of_the_parent_is_refused_to_a_child)
{
    s_inherited_t inherited;
    s_inherited_open (&inherited);
    CHECK_EQ_I64 (kit_run (s_try_inherited, &inherited), 0);
    //  The parent's lock has outlived the child's end, and its transactions work.
    CHECK_EQ_I64 (kit_run (s_try_to_write, NULL), 0);
    kit_append (inherited.store, inherited.spool, 3, 100);
    CHECK_EQ_U64 (kit_read (inherited.store, inherited.spool, 1), 6);
    zspool_reader_destroy (&inherited.reader);
    zspool_store_destroy (&inherited.store);
}

TEST (test_store_transaction_of_the_parent_is_refused_to_a_child)
{
    s_inherited_t inherited;
    s_inherited_open (&inherited);
    CHECK_OK (zspool_store_begin (inherited.store));
    CHECK_OK (kit_try_append (inherited.store, inherited.spool, 2, 100));
    CHECK_EQ_I64 (kit_run (s_try_inherited, &inherited), 0);
    CHECK_OK (kit_try_append (inherited.store, inherited.spool, 2, 100));
    CHECK_OK (zspool_store_commit (inherited.store));
    CHECK_EQ_U64 (kit_read (inherited.store, inherited.spool, 1), 7);
    kit_check_sound (inherited.store);
    zspool_reader_destroy (&inherited.reader);
    zspool_store_destroy (&inherited.store);
}

static void
s_open_in_child (void *arg)
{
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_WRITE), ZSPOOL_ELOCKED);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    CHECK_EQ_U64 (kit_read (store, kit_spool (store, "main"), 1), 3);
    zspool_store_destroy (&store);
    (void) arg;
}

TEST (test_store_of_the_parent_can_be_opened_by_a_child_for_itself)
{
    s_inherited_t inherited;
    s_inherited_open (&inherited);
    CHECK_EQ_I64 (kit_run (s_open_in_child, NULL), 0);
    CHECK_EQ_I64 (kit_run (s_try_to_write, NULL), 0);
    kit_append (inherited.store, inherited.spool, 3, 100);
    CHECK_EQ_U64 (kit_read (inherited.store, inherited.spool, 1), 6);
    zspool_reader_destroy (&inherited.reader);
    zspool_store_destroy (&inherited.store);
}

//  Live on until the pipe is closed.
static void
s_outlive (void *arg)
{
    int *ends = (int *) arg;
    char byte;
    close (ends [1]);
    CHECK (read (ends [0], &byte, 1) == 0);
}

TEST (test_store_closed_while_a_child_lives_on_is_not_locked)
{
    int ends [2];
    CHECK (pipe (ends) == 0);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    pid_t pid = kit_fork (s_outlive, ends);
    zspool_store_destroy (&store);
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_WRITE));
    close (ends [1]);
    CHECK_EQ_I64 (kit_wait (pid), 0);
}

//  ---- permission

static void
s_try_as_nobody (void *arg)
{
    const mode_t mode = *(const mode_t *) arg;
    CHECK (chmod (KIT_STORE, mode) == 0);
    if (geteuid () == 0)
        CHECK (setgid (65534) == 0 && setuid (65534) == 0);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_READ), ZSPOOL_EACCES);
    CHECK_CODE (kit_try_open (KIT_STORE, ZSPOOL_WRITE), ZSPOOL_EACCES);
}

static void
s_check_denied (mode_t mode)
{
    char *before = kit_list (KIT_STORE);
    CHECK_EQ_I64 (kit_run (s_try_as_nobody, &mode), 0);
    CHECK (chmod (KIT_STORE, 0700) == 0);
    char *after = kit_list (KIT_STORE);
    CHECK_EQ_STR (after, before);
    free (after);
    free (before);
}

TEST (test_store_without_permission_gives_eacces)
{
    CHECK (chmod (".", 0755) == 0);
    CHECK_OK (kit_try_open (KIT_STORE, ZSPOOL_WRITE));
    s_check_denied (0000);
    //  The directory may be listed and passed, but the files are others'.
    if (geteuid () == 0)
        s_check_denied (0755);
}

static void
s_create_as_nobody (void *arg)
{
    if (geteuid () == 0)
        CHECK (setgid (65534) == 0 && setuid (65534) == 0);
    CHECK_CODE (kit_try_open ("parent/store", ZSPOOL_WRITE), ZSPOOL_EACCES);
    CHECK_CODE (kit_try_open ("parent", ZSPOOL_WRITE), ZSPOOL_EACCES);
    (void) arg;
}

TEST (test_store_in_directory_not_writable_gives_eacces)
{
    CHECK (chmod (".", 0755) == 0);
    CHECK (mkdir ("parent", 0555) == 0);
    CHECK_EQ_I64 (kit_run (s_create_as_nobody, NULL), 0);
    char *list = kit_list ("parent");
    CHECK_EQ_STR (list, "");
    free (list);
}

static void
s_create_below_as_nobody (void *arg)
{
    if (geteuid () == 0)
        CHECK (setgid (65534) == 0 && setuid (65534) == 0);
    CHECK_OK (kit_try_open ("parent/store", ZSPOOL_WRITE));
    (void) arg;
}

TEST (test_store_in_parent_not_readable_is_created)
{
    CHECK (chmod (".", 0755) == 0);
    CHECK (mkdir ("parent", 0777) == 0);
    CHECK (chmod ("parent", 0333) == 0);
    CHECK_EQ_I64 (kit_run (s_create_below_as_nobody, NULL), 0);
    CHECK (chmod ("parent", 0777) == 0);
}
