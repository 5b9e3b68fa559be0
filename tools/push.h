//  push.h - zspool push, and what zspool pub has in common with it
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef PUSH_H_INCLUDED
#define PUSH_H_INCLUDED

#include "sending.h"
#include "source.h"

enum {
    PUSH_FILE = SENDING_OPTIONS_END,
    PUSH_WHOLE,
    PUSH_COUNT,
    PUSH_SIZE,
    PUSH_SEPARATOR,
    PUSH_FORMAT
};

#define PUSH_OPTIONS \
    SENDING_OPTIONS, \
    { "file", required_argument, NULL, PUSH_FILE }, \
    { "whole", no_argument, NULL, PUSH_WHOLE }, \
    { "count", required_argument, NULL, PUSH_COUNT }, \
    { "size", required_argument, NULL, PUSH_SIZE }, \
    { "separator", required_argument, NULL, PUSH_SEPARATOR }, \
    { "format", required_argument, NULL, PUSH_FORMAT }

typedef struct {
    source_options_t source_options;
    bool size_given;              //  --size
    sending_t sending;
    source_t *source;
    const zspool_frame_t *frames; //  of the message at hand
    size_t frame_count;           //  their number
} push_t;

//  The options when none is given; `type` is that of the socket.
push_t
    push_new (int type);

//  Take the option that command_option () gave.
void
    push_option (push_t *self, int option);

//  Exit when options do not fit.
void
    push_check_options (const push_t *self);

//  Send all that the source has. Gives an exit status; what fails is reported.
int
    push_run (push_t *self);

#endif
