//  output.c - buffered bytes to a file or to standard output, every failure noticed
//
//  SPDX-License-Identifier: MPL-2.0

#include "output.h"
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUTPUT_BUFFER_BYTES (64 * 1024)
#define OUTPUT_HEX_BYTES 512 //  that are turned into digits at a time

struct output {
    const char *name; //  for errors; borrowed
    int fd;
    bool regular;  //  a file that can be synced
    bool unsynced; //  written to since the last sync
    int error;     //  errno of the first failure, or 0
    size_t used;   //  bytes in the buffer
    char buffer [OUTPUT_BUFFER_BYTES];
};

//  Make sure that a file just made is found again after a power cut.
static void
s_sync_directory (const char *path)
{
    const char *slash = strrchr (path, '/');
    char *directory = slash? strndup (path, (size_t) (slash - path) + 1): strdup (".");
    int fd = directory? open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC): -1;
    if (fd >= 0) {
        fsync (fd);
        close (fd);
    }
    free (directory);
}

output_t *
output_new (const char *path)
{
    output_t *self = (output_t *) malloc (sizeof *self);
    if (!self)
        return NULL;
    self->name = path? path: "standard output";
    self->fd = path? open (path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666): STDOUT_FILENO;
    if (self->fd < 0) {
        free (self);
        return NULL;
    }
    struct stat status;
    self->regular = fstat (self->fd, &status) == 0 && S_ISREG (status.st_mode);
    self->unsynced = false;
    self->error = 0;
    self->used = 0;
    if (path && self->regular)
        s_sync_directory (path);
    return self;
}

void
output_destroy (output_t **self_p)
{
    output_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    if (self->fd != STDOUT_FILENO)
        close (self->fd);
    free (self);
}

const char *
output_name (const output_t *self)
{
    return self->name;
}

int
output_error (const output_t *self)
{
    return self->error;
}

static int
s_fail (output_t *self, int error)
{
    self->error = error;
    return -1;
}

static int
s_write_all (output_t *self, const char *data, size_t size)
{
    if (self->error)
        return -1;
    while (size > 0) {
        ssize_t written = write (self->fd, data, size);
        if (written < 0 && (errno != EINTR || stop_requested ()))
            return s_fail (self, errno);
        if (written > 0) {
            data += written;
            size -= (size_t) written;
            self->unsynced = true;
        }
    }
    return 0;
}

int
output_flush (output_t *self)
{
    size_t size = self->used;
    self->used = 0;
    return s_write_all (self, self->buffer, size);
}

int
output_write (output_t *self, const void *data, size_t size)
{
    if (self->error)
        return -1;
    if (size > OUTPUT_BUFFER_BYTES - self->used && output_flush (self) != 0)
        return -1;
    if (size > OUTPUT_BUFFER_BYTES)
        return s_write_all (self, (const char *) data, size);
    if (size > 0)
        memcpy (self->buffer + self->used, data, size);
    self->used += size;
    return 0;
}

int
output_write_hex (output_t *self, const void *data, size_t size)
{
    static const char digits [] = "0123456789abcdef";
    const uint8_t *from = (const uint8_t *) data;
    char text [2 * OUTPUT_HEX_BYTES];
    while (size > 0) {
        size_t bytes = size < OUTPUT_HEX_BYTES? size: OUTPUT_HEX_BYTES;
        for (size_t index = 0; index < bytes; index++) {
            text [2 * index] = digits [from [index] >> 4];
            text [2 * index + 1] = digits [from [index] & 15];
        }
        if (output_write (self, text, 2 * bytes) != 0)
            return -1;
        from += bytes;
        size -= bytes;
    }
    return 0;
}

int
output_end_line (output_t *self)
{
    if (!self->regular || self->fd == STDOUT_FILENO)
        return 0;
    char last = '\n';
    int fd = open (self->name, O_RDONLY | O_CLOEXEC);
    off_t size = fd < 0? -1: lseek (fd, 0, SEEK_END);
    bool read_last = size == 0 || (size > 0 && pread (fd, &last, 1, size - 1) == 1);
    int error = errno;
    if (fd >= 0)
        close (fd);
    if (!read_last)
        return s_fail (self, error);
    return last == '\n'? 0: output_write (self, "\n", 1);
}

int
output_sync (output_t *self)
{
    if (output_flush (self) != 0)
        return -1;
    if (self->regular && self->unsynced && fdatasync (self->fd) != 0)
        return s_fail (self, errno);
    self->unsynced = false;
    return 0;
}
