//  lines.h - lines of any length and any bytes from a descriptor, without blocking in between
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Take lines until there is none, wait until the descriptor is readable, fill, take again.

#ifndef LINES_H_INCLUDED
#define LINES_H_INCLUDED

#include <stdbool.h>
#include <stddef.h>

typedef struct lines lines_t;

//  Read from the file at `path`; NULL stands for standard input. NULL and errno on failure.
lines_t *
    lines_new (const char *path);

//  Close and set *self_p to NULL. NULL-safe.
void
    lines_destroy (lines_t **self_p);

//  What errors shall call it: the path, or "standard input".
const char *
    lines_name (const lines_t *self);

//  The descriptor to poll.
int
    lines_fd (const lines_t *self);

//  Read once, which blocks when nothing is there. -1 and errno on failure: EINTR, or EFBIG when
//  more than ZSPOOL_MESSAGE_BYTES_MAX bytes have gathered that nobody took.
int
    lines_fill (lines_t *self);

//  True when the end was reached: there is nothing more to fill.
bool
    lines_ended (const lines_t *self);

//  Take the next line, without its newline; at the end the last one need not have one. False when
//  there is no whole line. The bytes stay valid until the next fill.
bool
    lines_take (lines_t *self, const char **line, size_t *size);

//  Take all bytes that have gathered, newlines included; false before the end.
bool
    lines_take_whole (lines_t *self, const char **data, size_t *size);

#endif
