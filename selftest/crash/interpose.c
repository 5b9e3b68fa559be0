//  interpose.c - stands before the system's calls that write, sync, grow and map files
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A call on a file that is watched is counted, fails if that is planned, and is recorded. Calls
//  that change a file in ways nobody here can tell are recorded as such: a checker refuses that
//  recording.

#include "crash/watched.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define WRITE_BYTES_MAX (1 << 30)      //  of one writev ()

static bool s_sync_deferred;           //  PLANT_META_BEFORE_DATA: behind the next durable write

//  ------------------------------------------------------------------------------------------------
//  Writing

static bool
s_is_durable (int fd)
{
    if (fault_settings ()->plant == PLANT_DSYNC_LEFT_OUT)
        return false;
    return watched_is_dsync (fd);
}

//  The sync that was left out where it belongs
static void
s_make_deferred_sync (const watched_file_t *file)
{
    if (s_sync_deferred) {
        s_sync_deferred = false;
        watched_end (watched_begin (RECORD_SYNC, file, 0, 0, NULL, 0), 0);
    }
}

typedef ssize_t (s_pwrite_fn) (int, const void *, size_t, off_t);

static ssize_t
s_write (int fd, const watched_file_t *file, const void *bytes, size_t size, off_t offset)
{
    static s_pwrite_fn *real;
    if (!real)
        watched_find_real (&real, "pwrite");
    const fault_plan_t *plan = fault_count (FAULT_WRITE);
    record_t *record = watched_begin (RECORD_WRITE, file, (uint64_t) offset, size, bytes, size);
    bool killed = plan && (plan->way == FAULT_KILL || plan->way == FAULT_KILL_AFTER);
    bool durable = s_is_durable (fd);
    if (record) {
        record->durable = durable && !killed && !plan;
        record->lost = durable && plan && plan->way == FAULT_AFTER;
    }
    ssize_t written = 0;
    if (plan && (plan->way == FAULT_HALF || plan->way == FAULT_KILL))
        written = real (fd, bytes, size / 2, offset);
    else
    if (!plan || plan->way != FAULT_BEFORE)
        written = real (fd, bytes, size, offset);
    watched_end (record, written);
    if (killed)
        raise (SIGKILL);
    if (durable)
        s_make_deferred_sync (file);
    if (plan && plan->way != FAULT_HALF) {
        errno = plan->error;
        return -1;
    }
    return written;
}

ssize_t
pwrite (int fd, const void *bytes, size_t size, off_t offset)
{
    REAL (pwrite);
    watched_file_t file;
    if (!watched_is (fd, &file))
        return real (fd, bytes, size, offset);
    return s_write (fd, &file, bytes, size, offset);
}

ssize_t
pwrite64 (int fd, const void *bytes, size_t size, off64_t offset)
{
    return pwrite (fd, bytes, size, offset);
}

//  As pwrite () where the descriptor stands
static ssize_t
s_write_here (int fd, const watched_file_t *file, const void *bytes, size_t size)
{
    off_t offset = lseek (fd, 0, fcntl (fd, F_GETFL) & O_APPEND? SEEK_END: SEEK_CUR);
    ssize_t written = s_write (fd, file, bytes, size, offset);
    if (written > 0)
        lseek (fd, offset + written, SEEK_SET);
    return written;
}

ssize_t
write (int fd, const void *bytes, size_t size)
{
    REAL (write);
    watched_file_t file;
    if (!watched_is (fd, &file))
        return real (fd, bytes, size);
    return s_write_here (fd, &file, bytes, size);
}

//  Join the parts of a write; the caller frees it.
static uint8_t *
s_join (const struct iovec *parts, int count, size_t *size)
{
    *size = 0;
    for (int index = 0; index < count; index++)
        *size += parts [index].iov_len;
    uint8_t *bytes = *size < WRITE_BYTES_MAX? (uint8_t *) malloc (*size? *size: 1): NULL;
    if (!bytes)
        abort ();
    uint8_t *at = bytes;
    for (int index = 0; index < count; at += parts [index++].iov_len)
        memcpy (at, parts [index].iov_base, parts [index].iov_len);
    return bytes;
}

//  Write the parts at an offset; -1: where the descriptor stands.
static ssize_t
s_write_parts (int fd, const watched_file_t *file, const struct iovec *parts, int count, off_t offset)
{
    size_t size;
    fault_pause_memory ();
    uint8_t *bytes = s_join (parts, count, &size);
    ssize_t written = offset < 0? s_write_here (fd, file, bytes, size):
                                  s_write (fd, file, bytes, size, offset);
    int error = errno;
    free (bytes);
    fault_resume_memory ();
    errno = error;
    return written;
}

ssize_t
writev (int fd, const struct iovec *parts, int count)
{
    REAL (writev);
    watched_file_t file;
    return watched_is (fd, &file)? s_write_parts (fd, &file, parts, count, -1):
                                     real (fd, parts, count);
}

ssize_t
pwritev (int fd, const struct iovec *parts, int count, off_t offset)
{
    REAL (pwritev);
    watched_file_t file;
    return watched_is (fd, &file)? s_write_parts (fd, &file, parts, count, offset):
                                     real (fd, parts, count, offset);
}

ssize_t
pread (int fd, void *to, size_t size, off_t offset)
{
    REAL (pread);
    watched_file_t file;
    const fault_plan_t *plan = watched_is (fd, &file)? fault_count (FAULT_READ): NULL;
    if (plan && plan->way == FAULT_HALF)
        return real (fd, to, size / 2, offset);
    if (plan) {
        errno = plan->error;
        return -1;
    }
    return real (fd, to, size, offset);
}

int
ftruncate (int fd, off_t size)
{
    REAL (ftruncate);
    watched_file_t file;
    if (!watched_is (fd, &file))
        return real (fd, size);
    const fault_plan_t *plan = fault_count (FAULT_TRUNCATE);
    if (plan && plan->way == FAULT_BEFORE) {
        errno = plan->error;
        return -1;
    }
    record_t *record = watched_begin (RECORD_TRUNCATE, &file, (uint64_t) size, 0, NULL, 0);
    int rc = real (fd, size);
    watched_end (record, rc);
    if (plan && (plan->way == FAULT_KILL || plan->way == FAULT_KILL_AFTER))
        raise (SIGKILL);
    return rc;
}

int
ftruncate64 (int fd, off64_t size)
{
    return ftruncate (fd, size);
}

//  ------------------------------------------------------------------------------------------------
//  Syncing, reserving, mapping

//  Whether this sync is left out of the recording, as planted
static bool
s_is_left_out (const watched_file_t *file, const fault_plan_t *plan)
{
    fault_plant_t plant = fault_settings ()->plant;
    s_sync_deferred = s_sync_deferred || (plant == PLANT_META_BEFORE_DATA && !file->is_directory);
    return (plan && plan->way == FAULT_LIE)
           || (plant == PLANT_SYNC_LEFT_OUT && !file->is_directory)
           || (plant == PLANT_DIRECTORY_SYNC_LEFT_OUT && file->is_directory) || s_sync_deferred;
}

//  fsync (), fdatasync () and syncfs ()
static int
s_sync (int fd, int (*function) (int), bool all)
{
    const fault_settings_t *settings = fault_settings ();
    watched_file_t file;
    bool found = watched_find_file (fd, &file);
    if (!found || (!fault_is_watched (file.path) && !fault_is_parent (file.path)))
        return settings->skip_syncs? 0: function (fd);
    const fault_plan_t *plan = fault_count (FAULT_SYNC);
    if (plan && plan->way == FAULT_KILL)
        raise (SIGKILL);
    file.number = all? 0: file.number;
    record_t *record =
        s_is_left_out (&file, plan)? NULL: watched_begin (RECORD_SYNC, &file, 0, 0, NULL, 0);
    if (settings->slow_sync_us)
        usleep (settings->slow_sync_us);
    bool failed = plan && plan->way == FAULT_BEFORE;
    bool skipped = settings->skip_syncs || failed || (plan && plan->way == FAULT_LIE);
    int rc = skipped? 0: function (fd);
    watched_end (record, failed? -1: rc);
    if (plan && plan->way == FAULT_KILL_AFTER)
        raise (SIGKILL);
    if (!plan || plan->way == FAULT_LIE)
        return rc;
    errno = plan->error;
    return -1;
}

int
fsync (int fd)
{
    REAL (fsync);
    return s_sync (fd, real, false);
}

int
fdatasync (int fd)
{
    REAL (fdatasync);
    return s_sync (fd, real, false);
}

int
syncfs (int fd)
{
    REAL (syncfs);
    return s_sync (fd, real, true);
}

int
fallocate (int fd, int mode, off_t offset, off_t size)
{
    REAL (fallocate);
    const fault_settings_t *settings = fault_settings ();
    watched_file_t file;
    if (!watched_is (fd, &file))
        return settings->skip_syncs? 0: real (fd, mode, offset, size);
    const fault_plan_t *plan = fault_count (FAULT_ALLOCATE);
    if (plan && plan->way == FAULT_KILL)
        raise (SIGKILL);
    if (mode & ~FALLOC_FL_KEEP_SIZE)
        watched_note_unknown (file.path, "fallocate with a mode that changes what is there");
    record_t *record =
        watched_begin (RECORD_ALLOCATE, &file, (uint64_t) offset, (uint64_t) size, NULL, 0);
    if (record)
        record->grows = !(mode & FALLOC_FL_KEEP_SIZE);
    bool skipped = (settings->skip_syncs && mode == FALLOC_FL_KEEP_SIZE)
                   || (plan && plan->way == FAULT_BEFORE);
    int rc = skipped? 0: real (fd, mode, offset, size);
    watched_end (record, plan && plan->way == FAULT_BEFORE? -1: rc);
    if (!plan)
        return rc;
    errno = plan->error;
    return -1;
}

int
fallocate64 (int fd, int mode, off64_t offset, off64_t size)
{
    return fallocate (fd, mode, offset, size);
}

static void *
s_map_file (void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    static void *(*real) (void *, size_t, int, int, int, off_t);
    if (!real)
        watched_find_real (&real, "mmap");
    watched_file_t file;
    if (watched_is (fd, &file)) {
        const fault_plan_t *plan = fault_count (FAULT_MAP);
        if (plan) {
            errno = plan->error;
            return MAP_FAILED;
        }
        //  Nobody sees writes to a map. LMDB's locks need not survive anything.
        const char *name = strrchr (file.path, '/');
        bool shared = (flags & MAP_TYPE) == MAP_SHARED || (flags & MAP_TYPE) == MAP_SHARED_VALIDATE;
        if (shared && (protection & PROT_WRITE) && strcmp (name, "/lock.mdb") != 0)
            watched_note_unknown (file.path, "a map that can be written");
    }
    return real (address, size, protection, flags, fd, offset);
}

//  The thread sanitizer maps memory, which is no file, before it can take note of any function; and
//  programs, privately, while it makes a report and holds a lock that a race found here would want.
__attribute__ ((no_sanitize ("thread"))) void *
mmap (void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (fd < 0 || (flags & MAP_TYPE) == MAP_PRIVATE)
        return (void *) syscall (SYS_mmap, address, size, protection, flags, fd, offset);
    return s_map_file (address, size, protection, flags, fd, offset);
}
