//  interpose.c - stands before the system's calls by which files are changed
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A call on a file that is watched is counted, fails if that is planned, and is recorded. Calls that change
//  a file in ways nobody here can tell are recorded as such: a checker refuses that recording.

#include "crash/fault.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define WRITE_BYTES_MAX (1 << 30)      //  of one writev ()
#define DESCRIPTORS_MAX 4096           //  of these it is known how they were opened

//  The system's function behind ours
#define REAL(name)                                                                                 \
    static __typeof__ (name) *real;                                                                \
    if (!real)                                                                                     \
        s_find (&real, #name)

static void
s_find (void *function_p, const char *name)
{
    void *found = dlsym (RTLD_NEXT, name);
    if (!found)
        abort ();
    memcpy (function_p, &found, sizeof found);
}

static bool s_dsync [DESCRIPTORS_MAX]; //  opened with O_DSYNC, whether or not that was passed on
static bool s_sync_deferred;           //  PLANT_META_BEFORE_DATA: behind the next durable write

//  A file of the store, found by its descriptor
typedef struct {
    char path [PATH_MAX];
    uint64_t number;                   //  of its inode
    bool is_directory;
} s_file_t;

static bool
s_find_file (int fd, s_file_t *file)
{
    char link [64];
    snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink (link, file->path, sizeof file->path - 1);
    if (length < 0)
        return false;
    file->path [length] = 0;
    struct stat status;
    if (fstat (fd, &status))
        return false;
    file->number = status.st_ino;
    file->is_directory = S_ISDIR (status.st_mode);
    return true;
}

static bool
s_is_watched (int fd, s_file_t *file)
{
    return fault_is_watching () && s_find_file (fd, file) && fault_is_watched (file->path);
}

//  The absolute path of a name in a directory. Gives whether it is watched.
static bool
s_is_watched_path (int directory_fd, const char *name, char path [PATH_MAX])
{
    char base [PATH_MAX] = "";
    if (name [0] != '/' && directory_fd == AT_FDCWD && !getcwd (base, sizeof base))
        return false;
    s_file_t file;
    if (name [0] != '/' && directory_fd != AT_FDCWD) {
        if (!s_find_file (directory_fd, &file))
            return false;
        memcpy (base, file.path, sizeof base);
    }
    size_t length = strlen (base);
    if (length + strlen (name) + 2 > PATH_MAX)
        return false;
    memcpy (path, base, length);
    if (length)
        path [length++] = '/';
    strcpy (path + length, name);
    return fault_is_watched (path);
}

static bool
s_exists (const char *path)
{
    struct stat status;
    return lstat (path, &status) == 0;
}

static record_t *
s_begin (record_kind_t kind, const s_file_t *file, uint64_t offset, uint64_t size, const void *data,
         size_t data_bytes)
{
    recording_t *recording = fault_settings ()->recording;
    if (!recording)
        return NULL;
    return recording_begin (recording, kind, file->number, offset, size, file->path, data, data_bytes);
}

static void
s_end (record_t *record, int64_t result)
{
    int error = errno;
    if (record)
        recording_end (fault_settings ()->recording, record, result);
    errno = error;
}

static void
s_note_unknown (const char *path, const char *call)
{
    if (fault_settings ()->recording)
        recording_add (fault_settings ()->recording, RECORD_UNKNOWN, 0, path, call, strlen (call) + 1);
}

//  ------------------------------------------------------------------------------------------------
//  Writing

static bool
s_is_durable (int fd)
{
    if (fault_settings ()->plant == PLANT_DSYNC_LEFT_OUT)
        return false;
    return (fd < DESCRIPTORS_MAX && s_dsync [fd]) || (fcntl (fd, F_GETFL) & O_DSYNC);
}

//  The sync that was left out where it belongs
static void
s_make_deferred_sync (const s_file_t *file)
{
    if (s_sync_deferred) {
        s_sync_deferred = false;
        s_end (s_begin (RECORD_SYNC, file, 0, 0, NULL, 0), 0);
    }
}

typedef ssize_t (s_pwrite_fn) (int, const void *, size_t, off_t);

static ssize_t
s_write (int fd, const s_file_t *file, const void *bytes, size_t size, off_t offset)
{
    static s_pwrite_fn *real;
    if (!real)
        s_find (&real, "pwrite");
    const fault_plan_t *plan = fault_count (FAULT_WRITE);
    record_t *record = s_begin (RECORD_WRITE, file, (uint64_t) offset, size, bytes, size);
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
    s_end (record, written);
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
    s_file_t file;
    if (!s_is_watched (fd, &file))
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
s_write_here (int fd, const s_file_t *file, const void *bytes, size_t size)
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
    s_file_t file;
    if (!s_is_watched (fd, &file))
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
s_write_parts (int fd, const s_file_t *file, const struct iovec *parts, int count, off_t offset)
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
    s_file_t file;
    return s_is_watched (fd, &file)? s_write_parts (fd, &file, parts, count, -1): real (fd, parts, count);
}

ssize_t
pwritev (int fd, const struct iovec *parts, int count, off_t offset)
{
    REAL (pwritev);
    s_file_t file;
    return s_is_watched (fd, &file)? s_write_parts (fd, &file, parts, count, offset):
                                     real (fd, parts, count, offset);
}

ssize_t
pread (int fd, void *to, size_t size, off_t offset)
{
    REAL (pread);
    s_file_t file;
    const fault_plan_t *plan = s_is_watched (fd, &file)? fault_count (FAULT_READ): NULL;
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
    s_file_t file;
    if (!s_is_watched (fd, &file))
        return real (fd, size);
    const fault_plan_t *plan = fault_count (FAULT_TRUNCATE);
    if (plan && plan->way == FAULT_BEFORE) {
        errno = plan->error;
        return -1;
    }
    record_t *record = s_begin (RECORD_TRUNCATE, &file, (uint64_t) size, 0, NULL, 0);
    int rc = real (fd, size);
    s_end (record, rc);
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
s_is_left_out (const s_file_t *file, const fault_plan_t *plan)
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
    s_file_t file;
    bool found = s_find_file (fd, &file);
    if (!found || (!fault_is_watched (file.path) && !fault_is_parent (file.path)))
        return settings->skip_syncs? 0: function (fd);
    const fault_plan_t *plan = fault_count (FAULT_SYNC);
    if (plan && plan->way == FAULT_KILL)
        raise (SIGKILL);
    file.number = all? 0: file.number;
    record_t *record = s_is_left_out (&file, plan)? NULL: s_begin (RECORD_SYNC, &file, 0, 0, NULL, 0);
    if (settings->slow_sync_us)
        usleep (settings->slow_sync_us);
    bool failed = plan && plan->way == FAULT_BEFORE;
    bool skipped = settings->skip_syncs || failed || (plan && plan->way == FAULT_LIE);
    int rc = skipped? 0: function (fd);
    s_end (record, failed? -1: rc);
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
    s_file_t file;
    if (!s_is_watched (fd, &file))
        return settings->skip_syncs? 0: real (fd, mode, offset, size);
    const fault_plan_t *plan = fault_count (FAULT_ALLOCATE);
    if (plan && plan->way == FAULT_KILL)
        raise (SIGKILL);
    if (mode & ~FALLOC_FL_KEEP_SIZE)
        s_note_unknown (file.path, "fallocate with a mode that changes what is there");
    record_t *record = s_begin (RECORD_ALLOCATE, &file, (uint64_t) offset, (uint64_t) size, NULL, 0);
    if (record)
        record->grows = !(mode & FALLOC_FL_KEEP_SIZE);
    bool skipped = (settings->skip_syncs && mode == FALLOC_FL_KEEP_SIZE)
                   || (plan && plan->way == FAULT_BEFORE);
    int rc = skipped? 0: real (fd, mode, offset, size);
    s_end (record, plan && plan->way == FAULT_BEFORE? -1: rc);
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
        s_find (&real, "mmap");
    s_file_t file;
    if (s_is_watched (fd, &file)) {
        const fault_plan_t *plan = fault_count (FAULT_MAP);
        if (plan) {
            errno = plan->error;
            return MAP_FAILED;
        }
        //  Nobody sees writes to a map. LMDB's locks need not survive anything.
        const char *name = strrchr (file.path, '/');
        bool shared = (flags & MAP_TYPE) == MAP_SHARED || (flags & MAP_TYPE) == MAP_SHARED_VALIDATE;
        if (shared && (protection & PROT_WRITE) && strcmp (name, "/lock.mdb") != 0)
            s_note_unknown (file.path, "a map that can be written");
    }
    return real (address, size, protection, flags, fd, offset);
}

//  The thread sanitizer maps memory, which is no file, before it can take note of any function.
__attribute__ ((no_sanitize ("thread"))) void *
mmap (void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (fd < 0)
        return (void *) syscall (SYS_mmap, address, size, protection, flags, fd, offset);
    return s_map_file (address, size, protection, flags, fd, offset);
}

//  ------------------------------------------------------------------------------------------------
//  Names

//  A file or directory got a name, unless it had it before.
static void
s_note_created (const char *path, bool existed)
{
    struct stat status;
    int error = errno;
    if (!existed && fault_settings ()->recording && lstat (path, &status) == 0) {
        record_t *record = recording_add (fault_settings ()->recording, RECORD_CREATE, status.st_ino,
                                          path, NULL, 0);
        record->is_directory = S_ISDIR (status.st_mode);
        if (!S_ISDIR (status.st_mode) && !S_ISREG (status.st_mode))
            s_note_unknown (path, "neither file nor directory");
    }
    errno = error;
}

static int
s_open_watched (int directory_fd, const char *name, int flags, mode_t mode, const char *path)
{
    static int (*real) (int, const char *, int, ...);
    if (!real)
        s_find (&real, "openat");
    const fault_plan_t *plan = fault_count (FAULT_OPEN);
    if (plan && plan->way == FAULT_KILL)
        raise (SIGKILL);
    if (plan) {
        errno = plan->error;
        return -1;
    }
    bool existed = s_exists (path);
    bool dsync = (flags & O_DSYNC) != 0;
    if (fault_settings ()->skip_syncs)
        flags &= ~O_SYNC;
    int fd = real (directory_fd, name, flags, mode);
    if (fd < 0)
        return fd;
    if (fd < DESCRIPTORS_MAX)
        s_dsync [fd] = dsync;
    if (flags & O_CREAT)
        s_note_created (path, existed);
    s_file_t file;
    if (existed && (flags & O_TRUNC) && s_find_file (fd, &file))
        s_end (s_begin (RECORD_TRUNCATE, &file, 0, 0, NULL, 0), 0);
    return fd;
}

//  Our open () and openat ()
static int
s_open (int directory_fd, const char *name, int flags, mode_t mode)
{
    static int (*real) (int, const char *, int, ...);
    if (!real)
        s_find (&real, "openat");
    char path [PATH_MAX];
    if (s_is_watched_path (directory_fd, name, path))
        return s_open_watched (directory_fd, name, flags, mode, path);
    if (fault_settings ()->skip_syncs)
        flags &= ~O_SYNC;
    return real (directory_fd, name, flags, mode);
}

static mode_t
s_mode (int flags, va_list args)
{
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE? va_arg (args, mode_t): 0;
}

int
open (const char *name, int flags, ...)
{
    va_list args;
    va_start (args, flags);
    mode_t mode = s_mode (flags, args);
    va_end (args);
    return s_open (AT_FDCWD, name, flags, mode);
}

int
open64 (const char *name, int flags, ...)
{
    va_list args;
    va_start (args, flags);
    mode_t mode = s_mode (flags, args);
    va_end (args);
    return s_open (AT_FDCWD, name, flags, mode);
}

int
openat (int directory_fd, const char *name, int flags, ...)
{
    va_list args;
    va_start (args, flags);
    mode_t mode = s_mode (flags, args);
    va_end (args);
    return s_open (directory_fd, name, flags, mode);
}

int
openat64 (int directory_fd, const char *name, int flags, ...)
{
    va_list args;
    va_start (args, flags);
    mode_t mode = s_mode (flags, args);
    va_end (args);
    return s_open (directory_fd, name, flags, mode);
}

int
creat (const char *name, mode_t mode)
{
    return s_open (AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int
mkdirat (int directory_fd, const char *name, mode_t mode)
{
    REAL (mkdirat);
    char path [PATH_MAX];
    bool watched = s_is_watched_path (directory_fd, name, path);
    const fault_plan_t *plan = watched? fault_count (FAULT_OPEN): NULL;
    if (plan) {
        errno = plan->error;
        return -1;
    }
    int rc = real (directory_fd, name, mode);
    if (rc == 0 && watched)
        s_note_created (path, false);
    return rc;
}

int
mkdir (const char *name, mode_t mode)
{
    return mkdirat (AT_FDCWD, name, mode);
}

char *
mkdtemp (char *name)
{
    REAL (mkdtemp);
    char path [PATH_MAX];
    bool watched = s_is_watched_path (AT_FDCWD, name, path);
    const fault_plan_t *plan = watched? fault_count (FAULT_OPEN): NULL;
    if (plan) {
        errno = plan->error;
        return NULL;
    }
    char *made = real (name);
    if (made && watched && s_is_watched_path (AT_FDCWD, made, path))
        s_note_created (path, false);
    return made;
}

int
mkostemp (char *name, int flags)
{
    REAL (mkostemp);
    char path [PATH_MAX];
    int fd = real (name, flags);
    if (fd >= 0 && s_is_watched_path (AT_FDCWD, name, path))
        s_note_created (path, false);
    return fd;
}

int
mkstemp (char *name)
{
    return mkostemp (name, 0);
}

int
unlinkat (int directory_fd, const char *name, int flags)
{
    REAL (unlinkat);
    s_file_t file = { .number = 0 };
    bool watched = s_is_watched_path (directory_fd, name, file.path) && s_exists (file.path);
    record_t *record = watched? s_begin (RECORD_UNLINK, &file, 0, 0, NULL, 0): NULL;
    int rc = real (directory_fd, name, flags);
    s_end (record, rc);
    return rc;
}

int
unlink (const char *name)
{
    return unlinkat (AT_FDCWD, name, 0);
}

int
rmdir (const char *name)
{
    return unlinkat (AT_FDCWD, name, AT_REMOVEDIR);
}

int
renameat2 (int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    REAL (renameat2);
    s_file_t file = { .number = 0 };
    char path [PATH_MAX];
    bool is_from = s_is_watched_path (from_fd, from, file.path);
    bool is_to = s_is_watched_path (to_fd, to, path);
    if (is_from != is_to || flags & ~RENAME_NOREPLACE)
        s_note_unknown (path, "a rename from outside, or an exchange");
    record_t *record = is_from && is_to? s_begin (RECORD_RENAME, &file, 0, 0, path, strlen (path) + 1): NULL;
    int rc = real (from_fd, from, to_fd, to, flags);
    s_end (record, rc);
    return rc;
}

int
renameat (int from_fd, const char *from, int to_fd, const char *to)
{
    return renameat2 (from_fd, from, to_fd, to, 0);
}

int
rename (const char *from, const char *to)
{
    return renameat2 (AT_FDCWD, from, AT_FDCWD, to, 0);
}

//  ------------------------------------------------------------------------------------------------
//  What no store should call

ssize_t
copy_file_range (int from, off64_t *from_offset, int to, off64_t *to_offset, size_t size, unsigned flags)
{
    REAL (copy_file_range);
    s_file_t file;
    if (s_is_watched (to, &file))
        s_note_unknown (file.path, "copy_file_range");
    return real (from, from_offset, to, to_offset, size, flags);
}

ssize_t
sendfile (int to, int from, off_t *offset, size_t size)
{
    REAL (sendfile);
    s_file_t file;
    if (s_is_watched (to, &file))
        s_note_unknown (file.path, "sendfile");
    return real (to, from, offset, size);
}

int
truncate (const char *name, off_t size)
{
    REAL (truncate);
    char path [PATH_MAX];
    if (s_is_watched_path (AT_FDCWD, name, path))
        s_note_unknown (path, "truncate");
    return real (name, size);
}

int
linkat (int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    REAL (linkat);
    char path [PATH_MAX];
    if (s_is_watched_path (to_fd, to, path))
        s_note_unknown (path, "link");
    return real (from_fd, from, to_fd, to, flags);
}

int
posix_fallocate (int fd, off_t offset, off_t size)
{
    REAL (posix_fallocate);
    s_file_t file;
    if (s_is_watched (fd, &file))
        s_note_unknown (file.path, "posix_fallocate");
    return real (fd, offset, size);
}

//  ------------------------------------------------------------------------------------------------
//  Sending

ssize_t
send (int fd, const void *bytes, size_t size, int flags)
{
    REAL (send);
    const fault_settings_t *settings = fault_settings ();
    if (!settings->sends || !settings->recording)
        return real (fd, bytes, size, flags);
    s_file_t file;
    s_find_file (fd, &file);
    //  Noted first: what is on its way has been sent. Of what is refused nothing is.
    record_t *record = recording_begin (settings->recording, RECORD_SEND, file.number, 0, size, "", bytes,
                                        size);
    ssize_t sent = real (fd, bytes, size, flags);
    s_end (record, sent);
    return sent;
}
