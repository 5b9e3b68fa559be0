//  interpose_names.c - stands before the calls that name files, and those that no store makes
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/watched.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

//  ------------------------------------------------------------------------------------------------
//  Names

//  A file or directory got a name, unless it had it before.
static void
s_note_created (const char *path, bool existed)
{
    struct stat status;
    int error = errno;
    if (!existed && fault_settings ()->recording && lstat (path, &status) == 0) {
        record_t *record = recording_add (fault_settings ()->recording, RECORD_CREATE,
                                          status.st_ino, path, NULL, 0);
        record->is_directory = S_ISDIR (status.st_mode);
        if (!S_ISDIR (status.st_mode) && !S_ISREG (status.st_mode))
            watched_note_unknown (path, "neither file nor directory");
    }
    errno = error;
}

static int
s_open_watched (int directory_fd, const char *name, int flags, mode_t mode, const char *path)
{
    static int (*real) (int, const char *, int, ...);
    if (!real)
        watched_find_real (&real, "openat");
    const fault_plan_t *plan = fault_count (FAULT_OPEN);
    if (plan && plan->way == FAULT_KILL)
        raise (SIGKILL);
    if (plan) {
        errno = plan->error;
        return -1;
    }
    bool existed = watched_exists (path);
    bool dsync = (flags & O_DSYNC) != 0;
    if (fault_settings ()->skip_syncs)
        flags &= ~O_SYNC;
    int fd = real (directory_fd, name, flags, mode);
    if (fd < 0)
        return fd;
    watched_set_dsync (fd, dsync);
    if (flags & O_CREAT)
        s_note_created (path, existed);
    watched_file_t file;
    if (existed && (flags & O_TRUNC) && watched_find_file (fd, &file))
        watched_end (watched_begin (RECORD_TRUNCATE, &file, 0, 0, NULL, 0), 0);
    return fd;
}

//  Our open () and openat ()
static int
s_open (int directory_fd, const char *name, int flags, mode_t mode)
{
    static int (*real) (int, const char *, int, ...);
    if (!real)
        watched_find_real (&real, "openat");
    char path [PATH_MAX];
    if (watched_is_path (directory_fd, name, path))
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
    bool watched = watched_is_path (directory_fd, name, path);
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
    bool watched = watched_is_path (AT_FDCWD, name, path);
    const fault_plan_t *plan = watched? fault_count (FAULT_OPEN): NULL;
    if (plan) {
        errno = plan->error;
        return NULL;
    }
    char *made = real (name);
    if (made && watched && watched_is_path (AT_FDCWD, made, path))
        s_note_created (path, false);
    return made;
}

int
mkostemp (char *name, int flags)
{
    REAL (mkostemp);
    char path [PATH_MAX];
    int fd = real (name, flags);
    if (fd >= 0 && watched_is_path (AT_FDCWD, name, path))
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
    watched_file_t file = { .number = 0 };
    bool watched = watched_is_path (directory_fd, name, file.path) && watched_exists (file.path);
    record_t *record = watched? watched_begin (RECORD_UNLINK, &file, 0, 0, NULL, 0): NULL;
    int rc = real (directory_fd, name, flags);
    watched_end (record, rc);
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
    watched_file_t file = { .number = 0 };
    char path [PATH_MAX];
    bool is_from = watched_is_path (from_fd, from, file.path);
    bool is_to = watched_is_path (to_fd, to, path);
    if (is_from != is_to || flags & ~RENAME_NOREPLACE)
        watched_note_unknown (path, "a rename from outside, or an exchange");
    record_t *record =
        is_from && is_to? watched_begin (RECORD_RENAME, &file, 0, 0, path, strlen (path) + 1): NULL;
    int rc = real (from_fd, from, to_fd, to, flags);
    watched_end (record, rc);
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
copy_file_range (int from, off64_t *from_offset, int to, off64_t *to_offset, size_t size,
                 unsigned flags)
{
    REAL (copy_file_range);
    watched_file_t file;
    if (watched_is (to, &file))
        watched_note_unknown (file.path, "copy_file_range");
    return real (from, from_offset, to, to_offset, size, flags);
}

ssize_t
sendfile (int to, int from, off_t *offset, size_t size)
{
    REAL (sendfile);
    watched_file_t file;
    if (watched_is (to, &file))
        watched_note_unknown (file.path, "sendfile");
    return real (to, from, offset, size);
}

int
truncate (const char *name, off_t size)
{
    REAL (truncate);
    char path [PATH_MAX];
    if (watched_is_path (AT_FDCWD, name, path))
        watched_note_unknown (path, "truncate");
    return real (name, size);
}

int
linkat (int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    REAL (linkat);
    char path [PATH_MAX];
    if (watched_is_path (to_fd, to, path))
        watched_note_unknown (path, "link");
    return real (from_fd, from, to_fd, to, flags);
}

int
posix_fallocate (int fd, off_t offset, off_t size)
{
    REAL (posix_fallocate);
    watched_file_t file;
    if (watched_is (fd, &file))
        watched_note_unknown (file.path, "posix_fallocate");
    return real (fd, offset, size);
}

//  ------------------------------------------------------------------------------------------------
//  Sending

//  What libzmq sends another thread wrote, as the thread sanitizer cannot see: each word of a large
//  message would be a report, suppressed one by one, in seconds for a megabyte.
#if defined(__SANITIZE_THREAD__)
#define UNSEEN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNSEEN 1
#endif
#endif

#ifdef UNSEEN
void
AnnotateIgnoreReadsBegin (const char *file, int line);
void
AnnotateIgnoreReadsEnd (const char *file, int line);
#else
#define AnnotateIgnoreReadsBegin(file, line)
#define AnnotateIgnoreReadsEnd(file, line)
#endif

ssize_t
send (int fd, const void *bytes, size_t size, int flags)
{
    REAL (send);
    const fault_settings_t *settings = fault_settings ();
    if (!settings->sends || !settings->recording) {
        AnnotateIgnoreReadsBegin (__FILE__, __LINE__);
        ssize_t passed = real (fd, bytes, size, flags);
        AnnotateIgnoreReadsEnd (__FILE__, __LINE__);
        return passed;
    }
    watched_file_t file;
    watched_find_file (fd, &file);
    //  Noted first: what is on its way has been sent. Of what is refused nothing is.
    record_t *record =
        recording_begin (settings->recording, RECORD_SEND, file.number, 0, size, "", bytes, size);
    ssize_t sent = real (fd, bytes, size, flags);
    watched_end (record, sent);
    return sent;
}
