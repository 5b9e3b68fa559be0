//  store_space.c - room for a store's file to grow: promised by the file system before it is needed
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Room. LMDB extends its file page by page, inside a commit, where ENOSPC is fatal, and an fsync
//  after a file has grown block by block is several times slower. So space is reserved ahead with
//  fallocate (): reserved_end is how far the file system has promised room. One that cannot promise
//  any (ext2, ext3, some of FUSE) gives it when zeros are written there: in smaller steps, for that
//  is double work, and only from reserved_end on, behind all that LMDB has ever written.
//
//  Length. LMDB counts pages as used that it never writes, and a map's pages beyond the end of the
//  file are fatal to whoever touches them. So the file is made longer before LMDB may need it:
//  always as long as all that is in use, and mostly by a good deal, which also spares each fsync
//  the new length.

#include "store_space.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_BYTES (64ULL * 1024 * 1024)
#define STEP_BYTES_MIN (1024ULL * 1024)
#define WRITE_STEP_BYTES (4ULL * 1024 * 1024)
//  So much is written at a time
#define ZEROS_BYTES (64 * 1024)
#define PAGE_BYTES 4096
//  To so much it is found out how much room there is on a disk that is full
#define PROBE_STEP_BYTES (1024 * 1024)

//  Make the file so long at least; a hole at its end takes no room. Where that is refused it grows
//  when LMDB writes to its end, as far as it writes.
static void
s_lengthen (zspool_space_t *self, uint64_t end)
{
    //  Going beyond a limit that was set for the process would end it.
    struct rlimit limit;
    if (end <= self->file_bytes || getrlimit (RLIMIT_FSIZE, &limit) || end > limit.rlim_cur)
        return;
    if (ftruncate (self->fd, (off_t) end) == 0)
        self->file_bytes = end;
}

int
zspool_space_init (zspool_space_t *self, int fd, uint64_t used_bytes)
{
    struct stat status;
    if (fstat (fd, &status))
        return ZSPOOL_EIO;
    self->fd = fd;
    self->file_bytes = (uint64_t) status.st_size;
    self->reserved_end = 0;
    self->step_bytes = 0;
    self->writes_ahead = false;
    s_lengthen (self, used_bytes);
    return ZSPOOL_OK;
}

//  Have room up to `end` by writing zeros. Returns 0 or errno's value; what could be written counts
//  then, too.
static int
s_write_to (zspool_space_t *self, uint64_t end)
{
    static const uint8_t zeros [ZEROS_BYTES];
    //  Writing beyond a limit that was set for the process would end it: s_lengthen () has looked.
    if (end > self->file_bytes)
        return EFBIG;
    while (self->reserved_end < end) {
        uint64_t left = end - self->reserved_end;
        size_t size = left < ZEROS_BYTES? (size_t) left: ZEROS_BYTES;
        ssize_t written = pwrite (self->fd, zeros, size, (off_t) self->reserved_end);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < PAGE_BYTES)
            return written < 0? errno: ENOSPC;
        self->reserved_end += (uint64_t) written / PAGE_BYTES * PAGE_BYTES;
    }
    return 0;
}

//  Have the file system promise room up to `end`. Returns 0 or errno's value.
static int
s_reserve_to (zspool_space_t *self, uint64_t end)
{
    if (self->writes_ahead)
        return s_write_to (self, end);
    int rc;
    uint64_t from = self->reserved_end;
    do
        rc = fallocate (self->fd, FALLOC_FL_KEEP_SIZE, (off_t) from, (off_t) (end - from));
    while (rc && errno == EINTR);
    if (rc)
        return errno;
    self->reserved_end = end;
    return 0;
}

//  The disk is full: find out how much of what was reserved in an earlier life is still there.
static void
s_reserve_what_is_there (zspool_space_t *self, uint64_t end)
{
    while (end > self->reserved_end && end - self->reserved_end > PROBE_STEP_BYTES) {
        uint64_t middle = self->reserved_end + (end - self->reserved_end) / 2;
        if (s_reserve_to (self, middle))
            end = middle;
    }
}

static uint64_t
s_round_up (uint64_t end, uint64_t step)
{
    return (end / step + 1) * step;
}

//  Near the end of the disk a whole step may not be had, but what is needed may. Steps become
//  smaller then, for some file systems (tmpfs) first take all that there is, page by page, and give
//  it back. Returns 0 or errno's value.
static int
s_reserve (zspool_space_t *self, uint64_t needed_end)
{
    uint64_t step_bytes_max = self->writes_ahead? WRITE_STEP_BYTES: STEP_BYTES;
    if (self->step_bytes == 0 || self->step_bytes > step_bytes_max)
        self->step_bytes = step_bytes_max;
    int error = s_reserve_to (self, s_round_up (needed_end, self->step_bytes));
    if (error) {
        self->step_bytes = self->step_bytes > 4 * STEP_BYTES_MIN? self->step_bytes / 4: STEP_BYTES_MIN;
        return s_reserve_to (self, needed_end);
    }
    self->step_bytes *= 2;
    return 0;
}

int
zspool_space_reserve (zspool_space_t *self, uint64_t used_bytes, uint64_t needed_end)
{
    if (needed_end > self->file_bytes)
        s_lengthen (self, s_round_up (needed_end, STEP_BYTES));
    if (needed_end <= self->reserved_end)
        return ZSPOOL_OK;
    //  What is in use needs no promise, and looking at all of it takes time.
    bool is_first = self->reserved_end == 0;
    if (is_first)
        self->reserved_end = used_bytes;
    int error = s_reserve (self, needed_end);
    if (error == EOPNOTSUPP || error == ENOSYS) {
        self->writes_ahead = true;
        error = s_reserve (self, needed_end);
    }
    if (error && is_first)
        s_reserve_what_is_there (self, needed_end);
    if (error == ENOSPC || error == EFBIG || error == EDQUOT)
        return ZSPOOL_ENOSPC;
    return error? ZSPOOL_EIO: ZSPOOL_OK;
}
