//  fault.c - makes the system's calls fail that write a store, and notes what they write
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/fault.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define WRITE_BYTES_MAX (1 << 30)      //  of one writev ()

typedef struct {
    unsigned calls;
    unsigned after;                    //  calls that succeed first
    unsigned times;                    //  calls that fail then
    fault_way_t way;
    int error;
} s_plan_t;

static bool s_watching;
static char s_directory [PATH_MAX];
static s_plan_t s_plans [FAULT_KINDS];
static fault_observer_fn *s_observer;
static void *s_observer_arg;

void
fault_watch (const char *directory)
{
    memset (s_plans, 0, sizeof s_plans);
    if (!getcwd (s_directory, sizeof s_directory))
        abort ();
    size_t length = strlen (s_directory);
    snprintf (s_directory + length, sizeof s_directory - length, "/%s", directory);
    s_watching = true;
}

void
fault_fail (fault_kind_t kind, unsigned after, unsigned times, fault_way_t way, int error)
{
    s_plan_t *plan = &s_plans [kind];
    plan->after = after;
    plan->times = times;
    plan->way = way;
    plan->error = error;
}

unsigned
fault_calls (fault_kind_t kind)
{
    return s_plans [kind].calls;
}

void
fault_observe (fault_observer_fn *observer, void *arg)
{
    s_observer = observer;
    s_observer_arg = arg;
}

//  Whether a descriptor is a file below the directory, or itself. Its path goes to `path`.
static bool
s_is_watched (int fd, char path [PATH_MAX])
{
    char link [64];
    if (!s_watching)
        return false;
    snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink (link, path, PATH_MAX - 1);
    if (length < 0)
        return false;
    path [length] = 0;
    return strncmp (path, s_directory, strlen (s_directory)) == 0;
}

//  Count a call. Gives the plan when it is to fail, else NULL.
static const s_plan_t *
s_count (fault_kind_t kind)
{
    s_plan_t *plan = &s_plans [kind];
    plan->calls++;
    if (plan->times == 0)
        return NULL;
    if (plan->after > 0) {
        plan->after--;
        return NULL;
    }
    plan->times--;
    if (plan->way == FAULT_KILL && kind != FAULT_WRITE)
        raise (SIGKILL);
    return plan;
}

static void
s_report (fault_kind_t kind, int fd, const char *path, uint64_t offset, const void *bytes, size_t size)
{
    if (!s_observer)
        return;
    const char *name = strrchr (path, '/');
    fault_event_t event = { kind, (fcntl (fd, F_GETFL) & O_DSYNC) != 0,
                            name && strcmp (name, "/data.mdb") == 0, offset, size,
                            (const uint8_t *) bytes };
    s_observer (&event, s_observer_arg);
}

//  The system's function behind ours
static void
s_find (void *function_p, const char *name)
{
    void *found = dlsym (RTLD_NEXT, name);
    if (!found)
        abort ();
    memcpy (function_p, &found, sizeof found);
}

ssize_t
pwrite (int fd, const void *bytes, size_t size, off_t offset)
{
    static ssize_t (*function) (int, const void *, size_t, off_t);
    if (!function)
        s_find (&function, "pwrite");
    char path [PATH_MAX];
    if (!s_is_watched (fd, path))
        return function (fd, bytes, size, offset);
    const s_plan_t *plan = s_count (FAULT_WRITE);
    if (plan && (plan->way == FAULT_HALF || plan->way == FAULT_KILL)) {
        ssize_t half = function (fd, bytes, size / 2, offset);
        if (plan->way == FAULT_KILL)
            raise (SIGKILL);
        return half;
    }
    ssize_t written = plan && plan->way == FAULT_BEFORE? -1: function (fd, bytes, size, offset);
    if (!plan) {
        s_report (FAULT_WRITE, fd, path, (uint64_t) offset, bytes, size);
        return written;
    }
    errno = plan->error;
    return -1;
}

//  As pwrite () where the descriptor stands
static ssize_t
s_write_watched (int fd, const void *bytes, size_t size)
{
    off_t offset = lseek (fd, 0, SEEK_CUR);
    ssize_t written = pwrite (fd, bytes, size, offset);
    if (written > 0)
        lseek (fd, offset + written, SEEK_SET);
    return written;
}

ssize_t
writev (int fd, const struct iovec *parts, int count)
{
    static ssize_t (*function) (int, const struct iovec *, int);
    if (!function)
        s_find (&function, "writev");
    char path [PATH_MAX];
    if (!s_is_watched (fd, path))
        return function (fd, parts, count);
    size_t size = 0;
    for (int index = 0; index < count; index++)
        size += parts [index].iov_len;
    uint8_t *bytes = size < WRITE_BYTES_MAX? (uint8_t *) malloc (size? size: 1): NULL;
    if (!bytes)
        abort ();
    uint8_t *at = bytes;
    for (int index = 0; index < count; at += parts [index++].iov_len)
        memcpy (at, parts [index].iov_base, parts [index].iov_len);
    ssize_t written = s_write_watched (fd, bytes, size);
    int error = errno;
    free (bytes);
    errno = error;
    return written;
}

//  fsync () and fdatasync ()
static int
s_sync (int fd, int (*function) (int))
{
    char path [PATH_MAX];
    if (!s_is_watched (fd, path))
        return function (fd);
    const s_plan_t *plan = s_count (FAULT_SYNC);
    int rc = plan && plan->way == FAULT_BEFORE? -1: function (fd);
    if (!plan) {
        s_report (FAULT_SYNC, fd, path, 0, NULL, 0);
        return rc;
    }
    errno = plan->error;
    return -1;
}

int
fsync (int fd)
{
    static int (*function) (int);
    if (!function)
        s_find (&function, "fsync");
    return s_sync (fd, function);
}

int
fdatasync (int fd)
{
    static int (*function) (int);
    if (!function)
        s_find (&function, "fdatasync");
    return s_sync (fd, function);
}

int
fallocate (int fd, int mode, off_t offset, off_t size)
{
    static int (*function) (int, int, off_t, off_t);
    if (!function)
        s_find (&function, "fallocate");
    char path [PATH_MAX];
    if (!s_is_watched (fd, path))
        return function (fd, mode, offset, size);
    const s_plan_t *plan = s_count (FAULT_ALLOCATE);
    int rc = plan && plan->way == FAULT_BEFORE? -1: function (fd, mode, offset, size);
    if (!plan) {
        s_report (FAULT_ALLOCATE, fd, path, (uint64_t) offset, NULL, (size_t) size);
        return rc;
    }
    errno = plan->error;
    return -1;
}
