//  test_recorder.c - tests of the recorder itself: no call that changes a store's disk escapes it
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/disk.h"
#include "crash/fault.h"
#include "crash/model.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static recording_t *
s_record (void)
{
    recording_t *recording = recording_new ();
    CHECK (recording);
    fault_skip_syncs ();
    fault_watch (KIT_STORE);
    fault_record (recording);
    return recording;
}

static void
s_check_recording (void *arg)
{
    char *root = disk_path (KIT_STORE);
    disk_check_recording ((const recording_t *) arg, root);
    free (root);
}

static void
s_work (void)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    kit_append (store, kit_spool (store, "main"), 10, 1000);
    zspool_store_destroy (&store);
}

TEST (test_recorder_of_a_store_gives_what_is_there)
{
    recording_t *recording = s_record ();
    s_work ();
    CHECK_EQ_I64 (kit_run (s_check_recording, recording), 0);
}

TEST (test_recorder_a_write_that_escaped_is_found)
{
    recording_t *recording = s_record ();
    s_work ();
    int fd = open (KIT_STORE "/data.mdb", O_WRONLY);
    CHECK (fd != -1 && syscall (SYS_pwrite64, fd, "x", 1UL, 9000L) == 1);
    close (fd);
    CHECK_EQ_I64 (kit_run (s_check_recording, recording), 1);
}

TEST (test_recorder_a_file_that_escaped_is_found)
{
    recording_t *recording = s_record ();
    s_work ();
    CHECK (syscall (SYS_openat, AT_FDCWD, KIT_STORE "/other", O_WRONLY | O_CREAT, 0600) >= 0);
    CHECK_EQ_I64 (kit_run (s_check_recording, recording), 1);
}

TEST (test_recorder_a_map_to_write_through_is_found)
{
    recording_t *recording = s_record ();
    s_work ();
    int fd = open (KIT_STORE "/data.mdb", O_RDWR);
    CHECK (fd != -1 && mmap (NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
    CHECK_EQ_I64 (kit_run (s_check_recording, recording), 1);
}

TEST (test_recorder_of_names_gives_what_is_there)
{
    recording_t *recording = s_record ();
    CHECK (mkdir (KIT_STORE, 0700) == 0);
    int fd = creat (KIT_STORE "/a", 0600);
    CHECK (fd != -1 && write (fd, "one", 3) == 3 && pwrite (fd, "two", 3, 10) == 3);
    CHECK (rename (KIT_STORE "/a", KIT_STORE "/b") == 0);
    CHECK (ftruncate (fd, 12) == 0 && ftruncate (fd, 100) == 0);
    close (fd);
    CHECK (mkdir (KIT_STORE "/inner", 0700) == 0 && rmdir (KIT_STORE "/inner") == 0);
    fd = open (KIT_STORE "/c", O_WRONLY | O_CREAT | O_APPEND, 0600);
    CHECK (fd != -1 && write (fd, "ab", 2) == 2 && write (fd, "cd", 2) == 2);
    close (fd);
    fd = open (KIT_STORE "/d", O_WRONLY | O_CREAT, 0600);
    CHECK (fd != -1 && close (fd) == 0 && unlink (KIT_STORE "/d") == 0);
    CHECK_EQ_I64 (kit_run (s_check_recording, recording), 0);
}

//  ---- system calls that write and that the recorder does not know: nobody makes them

//  Ways to write that need no function of the C library that interpose.c stands before
static const uint32_t s_unknown [] = {
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_submit, SYS_pwritev2,  SYS_copy_file_range,
    SYS_sendfile,       SYS_splice,         SYS_vmsplice,  SYS_tee,       SYS_link,
    SYS_linkat,         SYS_symlink,        SYS_symlinkat, SYS_mknod,     SYS_mknodat,
    SYS_truncate,       SYS_msync,          SYS_setxattr,  SYS_fsetxattr, SYS_process_vm_writev,
};

static void
s_forbid_unknown (void)
{
    enum { COUNT = sizeof s_unknown / sizeof s_unknown [0] };
    struct sock_filter filter [COUNT + 3];
    size_t at = 0;
    filter [at++] = (struct sock_filter) BPF_STMT (BPF_LD | BPF_W | BPF_ABS,
                                                   offsetof (struct seccomp_data, nr));
    for (size_t index = 0; index < COUNT; index++)
        filter [at++] = (struct sock_filter) BPF_JUMP (BPF_JMP | BPF_JEQ | BPF_K, s_unknown [index],
                                                       (uint8_t) (COUNT - index), 0);
    filter [at++] = (struct sock_filter) BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter [at++] = (struct sock_filter) BPF_STMT (BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog program = { (unsigned short) at, filter };
    if (prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        || prctl (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        _exit (SELFTEST_EXIT_SKIP);
}

static void
s_work_without_unknown (void *arg)
{
    s_forbid_unknown ();
    static model_worker_t worker;
    worker.directory = KIT_STORE;
    worker.chance = *(kit_chance_t *) arg;
    worker.ledger = model_ledger_new ();
    worker.window = MODEL_WINDOW;
    CHECK_OK (model_open (&worker));
    model_work (&worker, 200);
    model_close (&worker);
}

static void
s_make_an_unknown_call (void *arg)
{
    s_forbid_unknown ();
    CHECK (truncate ((const char *) arg, 0) == 0);
}

TEST (test_recorder_no_store_makes_a_call_that_it_does_not_know)
{
    kit_chance_t chance = kit_chance_new ();
    char name [] = "nothing";
    int status = kit_run (s_make_an_unknown_call, name);
    if (status == SELFTEST_EXIT_SKIP)
        SKIP ("the kernel lets no process filter its system calls");
    CHECK_EQ_I64 (status, -SIGSYS);
    CHECK_EQ_I64 (kit_run (s_work_without_unknown, &chance), 0);
}
