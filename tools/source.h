//  source.h - where `zspool push` and `pub` have messages from: lines, a whole file, or made up
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Ask for messages; when it says SOURCE_WAIT, wait until the descriptor is readable and let it
//  read. What fails is reported.

#ifndef SOURCE_H_INCLUDED
#define SOURCE_H_INCLUDED

#include "zspool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct source source_t;

typedef struct {
    const char *file;        //  to read; NULL: standard input
    bool whole;              //  the input is one message, not a message a line
    bool hex;                //  lines hold frames as hexadecimal digits, blanks between
    const char *topic;       //  first frame of each message; NULL: none
    const char *separator;   //  between the frames of a line; NULL: a line is one frame
    size_t separator_bytes;
    uint64_t count;          //  messages to make, without reading; 0: read
    size_t size;             //  bytes of each of them
} source_options_t;

typedef enum {
    SOURCE_MESSAGE, //  here is one
    SOURCE_WAIT,    //  something must be read first
    SOURCE_END,     //  there are no more
    SOURCE_FAILED   //  the input is no good
} source_state_t;

//  Create a source. The options' texts are borrowed. NULL when it cannot be opened.
source_t *
    source_new (const source_options_t *options);

//  Destroy the source and set *self_p to NULL. NULL-safe.
void
    source_destroy (source_t **self_p);

//  The descriptor to poll; -1 when messages are made.
int
    source_fd (const source_t *self);

//  Read once, which blocks when nothing is there; false when that fails.
bool
    source_read (source_t *self);

//  Give the next message; its frames are valid until the next call.
source_state_t
    source_next (source_t *self, const zspool_frame_t **frames, size_t *count);

#endif
