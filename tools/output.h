//  output.h - buffered bytes to a file or to standard output, every failure noticed
//
//  SPDX-License-Identifier: MPL-2.0
//
//  After a failure nothing more is written, and every call fails. A signal (stop.h) ends a write
//  that blocks; that is a failure with EINTR.

#ifndef OUTPUT_H_INCLUDED
#define OUTPUT_H_INCLUDED

#include <stdbool.h>
#include <stddef.h>

typedef struct output output_t;

//  Append to the file at `path`, which is made if need be; NULL stands for standard output. NULL
//  and errno on failure.
output_t *
    output_new (const char *path);

//  Close without writing what is still in the buffer; sets *self_p to NULL. NULL-safe.
void
    output_destroy (output_t **self_p);

//  What errors shall call it: the path, or "standard output".
const char *
    output_name (const output_t *self);

//  The errno of the first failure, or 0.
int
    output_error (const output_t *self);

//  Add a newline when the file ends in part of a line, as a writer that was killed may have left
//  it. -1 on failure. Standard output is taken as it is.
int
    output_end_line (output_t *self);

//  Add bytes; -1 on failure.
int
    output_write (output_t *self, const void *data, size_t size);

//  Add bytes as hexadecimal digits; -1 on failure.
int
    output_write_hex (output_t *self, const void *data, size_t size);

//  Hand all that was added to the system; -1 on failure.
int
    output_flush (output_t *self);

//  Flush, and when it is a file wait until its data are on the disk; -1 on failure.
int
    output_sync (output_t *self);

#endif
