//  lines.c - lines of any length and any bytes from a descriptor
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Invariant: start <= scanned <= end <= capacity; no newline in [start, scanned).

#include "lines.h"
#include "zspool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES_READ_BYTES (128 * 1024) //  room for one read, at least

struct lines {
    const char *name; //  for errors; borrowed
    int fd;
    bool ended;      //  read () has returned 0
    char *data;      //  the buffer
    size_t capacity; //  its size
    size_t start;    //  first byte that was not taken
    size_t scanned;  //  up to here there is no newline
    size_t end;      //  behind the last byte read
};

lines_t *
lines_new (const char *path)
{
    lines_t *self = (lines_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->name = path? path: "standard input";
    self->fd = path? open (path, O_RDONLY | O_CLOEXEC): STDIN_FILENO;
    if (self->fd < 0) {
        free (self);
        return NULL;
    }
    return self;
}

void
lines_destroy (lines_t **self_p)
{
    lines_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    if (self->fd != STDIN_FILENO)
        close (self->fd);
    free (self->data);
    free (self);
}

const char *
lines_name (const lines_t *self)
{
    return self->name;
}

int
lines_fd (const lines_t *self)
{
    return self->fd;
}

//  Make room for one read: move what is left to the front, then grow by doubling.
static int
s_make_room (lines_t *self)
{
    size_t kept = self->end - self->start;
    if (kept > ZSPOOL_MESSAGE_BYTES_MAX) {
        errno = EFBIG;
        return -1;
    }
    if (kept > 0 && self->start > 0)
        memmove (self->data, self->data + self->start, kept);
    self->scanned -= self->start;
    self->start = 0;
    self->end = kept;
    if (self->capacity - kept >= LINES_READ_BYTES)
        return 0;

    size_t capacity = 2 * kept + LINES_READ_BYTES;
    char *data = (char *) realloc (self->data, capacity);
    if (!data)
        return -1;
    self->data = data;
    self->capacity = capacity;
    return 0;
}

int
lines_fill (lines_t *self)
{
    if (s_make_room (self) != 0)
        return -1;
    ssize_t size = read (self->fd, self->data + self->end, self->capacity - self->end);
    if (size < 0)
        return -1;
    self->ended = size == 0;
    self->end += (size_t) size;
    return 0;
}

bool
lines_ended (const lines_t *self)
{
    return self->ended;
}

bool
lines_take (lines_t *self, const char **line, size_t *size)
{
    if (self->start == self->end)
        return false;
    const char *first = self->data + self->start;
    const char *newline =
        (const char *) memchr (self->data + self->scanned, '\n', self->end - self->scanned);
    if (!newline) {
        self->scanned = self->end;
        if (!self->ended)
            return false;
    }
    *line = first;
    *size = newline? (size_t) (newline - first): self->end - self->start;
    self->start += *size + (newline? 1: 0);
    self->scanned = self->start;
    return true;
}

bool
lines_take_whole (lines_t *self, const char **data, size_t *size)
{
    if (!self->ended)
        return false;
    *data = self->data + self->start;
    *size = self->end - self->start;
    self->start = self->scanned = self->end;
    return true;
}
