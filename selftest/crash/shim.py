#  shim.py - lets the disk of a device fail or be slow on demand
#
#  SPDX-License-Identifier: MPL-2.0
#
#  A library, compiled on the spot and preloaded into the device: while the file `fault` is in the
#  working directory, the fault is there.

import os
import shutil
import subprocess

from device import Skip

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

//  What SHIM_FAULT says comes true while the file `fault` exists: slow N (milliseconds),
//  sync N (errno), write N (errno), short N (bytes)
static int
s_fault (const char *kind)
{
    const char *fault = getenv ("SHIM_FAULT");
    size_t length = strlen (kind);
    if (!fault || strncmp (fault, kind, length) != 0 || access ("fault", F_OK) != 0)
        return 0;
    return atoi (fault + length);
}

//  Only the store's data file is concerned.
static int
s_is_data (int fd)
{
    char link [64], path [4096];
    snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink (link, path, sizeof path);
    return size > 8 && memcmp (path + size - 8, "data.mdb", 8) == 0;
}

#define REAL(name) \
    static __typeof__ (name) *real; \
    if (!real) \
        real = (__typeof__ (name) *) dlsym (RTLD_NEXT, #name)

static int
s_sync_fault (int fd)
{
    if (!s_is_data (fd))
        return 0;
    if (s_fault ("slow "))
        usleep ((unsigned) s_fault ("slow ") * 1000);
    errno = s_fault ("sync ");
    return errno;
}

int fdatasync (int fd) { REAL (fdatasync); return s_sync_fault (fd)? -1: real (fd); }
int fsync (int fd) { REAL (fsync); return s_sync_fault (fd)? -1: real (fd); }

#define WRITE_FAULT(fd, call, short_call) \
    if (s_fault ("write ") && s_is_data (fd)) { errno = s_fault ("write "); return -1; } \
    if (s_fault ("short ") && s_is_data (fd)) { \
        size_t most = (size_t) s_fault ("short "); \
        return short_call; \
    } \
    return call

#define LESS(size) (size < most? size: most)

ssize_t
pwrite (int fd, const void *data, size_t size, off_t offset)
{
    REAL (pwrite);
    WRITE_FAULT (fd, real (fd, data, size, offset), real (fd, data, LESS (size), offset));
}

ssize_t
pwrite64 (int fd, const void *data, size_t size, off_t offset)
{
    REAL (pwrite64);
    WRITE_FAULT (fd, real (fd, data, size, offset), real (fd, data, LESS (size), offset));
}

ssize_t
writev (int fd, const struct iovec *parts, int count)
{
    REAL (writev);
    WRITE_FAULT (fd, real (fd, parts, count), write (fd, parts->iov_base, LESS (parts->iov_len)));
}
"""


class Shim:
    """Give its environment to a Device; the fault comes with begin (), and goes with end ()."""

    def __init__(self, **fault):
        (kind, number), = fault.items()
        compiler = shutil.which("cc") or shutil.which("gcc")
        if not compiler:
            raise Skip("there is no C compiler")
        with open("shim.c", "w", encoding="ascii") as source:
            source.write(SOURCE)
        subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", "shim.so", "shim.c", "-ldl"],
                       check=True)
        sanitizer = os.environ.get("ASAN_OPTIONS", "")
        self.environment = {"LD_PRELOAD": os.path.abspath("shim.so"),
                            "SHIM_FAULT": f"{kind.removesuffix('_ms')} {number}",
                            "ASAN_OPTIONS": f"{sanitizer}:verify_asan_link_order=0"}

    def begin(self):
        with open("fault", "w", encoding="ascii"):
            pass

    def end(self):
        os.remove("fault")
