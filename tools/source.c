//  source.c - where `zspool push` and `pub` have messages from
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Frames lead into the input buffer: nothing is copied, but for hexadecimal digits.

#include "source.h"
#include "command.h"
#include "lines.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE_NUMBER_DIGITS 12 //  digits at the start of a message that is made

struct source {
    source_options_t options;
    lines_t *lines;          //  NULL when messages are made
    char *pattern;           //  the message that is made
    char *decoded;           //  bytes decoded from hexadecimal digits
    size_t decoded_capacity; //  room for them
    zspool_frame_t *frames;  //  of the message at hand
    size_t frame_count;      //  their number
    size_t frame_capacity;   //  room for them
    uint64_t messages;       //  given so far, the one at hand included
};

//  Make room for more frames; false and errno on failure, E2BIG when the message has too many.
static bool
s_grow_frames (source_t *self)
{
    if (self->frame_count == ZSPOOL_MESSAGE_FRAMES_MAX) {
        errno = E2BIG;
        return false;
    }
    size_t capacity = self->frame_capacity? 2 * self->frame_capacity: 16;
    if (capacity > ZSPOOL_MESSAGE_FRAMES_MAX)
        capacity = ZSPOOL_MESSAGE_FRAMES_MAX;
    zspool_frame_t *frames = (zspool_frame_t *) realloc (self->frames, capacity * sizeof *frames);
    if (!frames)
        return false;
    self->frames = frames;
    self->frame_capacity = capacity;
    return true;
}

//  Add a frame to the message at hand; false and errno on failure.
static bool
s_add_frame (source_t *self, const void *data, size_t size)
{
    if (self->frame_count == self->frame_capacity && !s_grow_frames (self))
        return false;
    self->frames [self->frame_count++] = (zspool_frame_t) { data, size };
    return true;
}

//  Begin a message: with its topic, if there is one.
static bool
s_start_message (source_t *self)
{
    const char *topic = self->options.topic;
    self->frame_count = 0;
    return !topic || s_add_frame (self, topic, strlen (topic));
}

//  A number, a blank, letters
static bool
s_make_pattern (source_t *self)
{
    size_t size = self->options.size;
    self->pattern = (char *) malloc (size + 1);
    if (!self->pattern || !s_start_message (self))
        return false;
    for (size_t index = 0; index < size; index++)
        self->pattern [index] = index < SOURCE_NUMBER_DIGITS? '0': (char) ('a' + index % 26);
    if (size > SOURCE_NUMBER_DIGITS)
        self->pattern [SOURCE_NUMBER_DIGITS] = ' ';
    return s_add_frame (self, self->pattern, size);
}

source_t *
source_new (const source_options_t *options)
{
    source_t *self = (source_t *) calloc (1, sizeof *self);
    bool opened = false;
    if (self) {
        self->options = *options;
        if (options->count)
            opened = s_make_pattern (self);
        else {
            self->lines = lines_new (options->file);
            opened = self->lines != NULL;
        }
    }
    if (!opened) {
        command_report ("cannot open %s: %s", options->file? options->file: "the source",
                        strerror (errno));
        source_destroy (&self);
    }
    return self;
}

void
source_destroy (source_t **self_p)
{
    source_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    lines_destroy (&self->lines);
    free (self->pattern);
    free (self->decoded);
    free (self->frames);
    free (self);
}

int
source_fd (const source_t *self)
{
    return self->lines? lines_fd (self->lines): -1;
}

static void
s_report_size (const source_t *self)
{
    command_report ("message %" PRIu64 " is larger than a device takes, %d bytes",
                    self->messages + 1, ZSPOOL_MESSAGE_BYTES_MAX);
}

bool
source_read (source_t *self)
{
    if (lines_fill (self->lines) == 0 || errno == EINTR)
        return true;
    if (errno == EFBIG)
        s_report_size (self);
    else
        command_report ("cannot read %s: %s", lines_name (self->lines), strerror (errno));
    return false;
}

//  Split a line into frames; false and errno on failure.
static bool
s_split (source_t *self, const char *line, size_t size)
{
    const char *separator = self->options.hex? " ": self->options.separator;
    size_t separator_bytes = self->options.hex? 1: self->options.separator_bytes;
    const char *end = line + size;
    if (!s_start_message (self))
        return false;
    while (true) {
        const char *found = NULL;
        if (separator)
            found = (const char *) memmem (line, (size_t) (end - line), separator, separator_bytes);
        if (!s_add_frame (self, line, (size_t) ((found? found: end) - line)))
            return false;
        if (!found)
            return true;
        line = found + separator_bytes;
    }
}

//  Decode the digits of one frame to `to` and let the frame lead there; false when they are not
//  pairs of hexadecimal digits.
static bool
s_decode_frame (zspool_frame_t *frame, char *to)
{
    const char *digits = (const char *) frame->data;
    size_t size = frame->size / 2;
    if (frame->size % 2)
        return false;
    for (size_t index = 0; index < size; index++) {
        int high = command_hex_digit (digits [2 * index]);
        int low = command_hex_digit (digits [2 * index + 1]);
        if (high < 0 || low < 0)
            return false;
        to [index] = (char) (high * 16 + low);
    }
    *frame = (zspool_frame_t) { to, size };
    return true;
}

//  Decode all frames of a line; false and errno on failure, EILSEQ when it is not hexadecimal.
static bool
s_decode (source_t *self, size_t line_bytes)
{
    if (self->decoded_capacity < line_bytes) {
        char *decoded = (char *) realloc (self->decoded, line_bytes);
        if (!decoded)
            return false;
        self->decoded = decoded;
        self->decoded_capacity = line_bytes;
    }
    size_t used = 0;
    for (size_t index = self->options.topic? 1: 0; index < self->frame_count; index++) {
        if (!s_decode_frame (&self->frames [index], self->decoded + used)) {
            errno = EILSEQ;
            return false;
        }
        used += self->frames [index].size;
    }
    return true;
}

//  Make the frames of one line, or of the whole input.
static source_state_t
s_parse (source_t *self, const char *data, size_t size)
{
    uint64_t number = self->messages + 1;
    if (size > ZSPOOL_MESSAGE_BYTES_MAX) {
        s_report_size (self);
        return SOURCE_FAILED;
    }
    if (s_split (self, data, size) && (!self->options.hex || s_decode (self, size)))
        return SOURCE_MESSAGE;
    if (errno == EILSEQ)
        command_report ("line %" PRIu64 " is not hexadecimal", number);
    else if (errno == E2BIG)
        command_report ("line %" PRIu64 " has more than %d frames", number,
                        ZSPOOL_MESSAGE_FRAMES_MAX);
    else
        command_report ("line %" PRIu64 ": %s", number, strerror (errno));
    return SOURCE_FAILED;
}

static source_state_t
s_next_read (source_t *self)
{
    const char *data;
    size_t size;
    if (self->options.whole && self->messages == 1)
        return SOURCE_END;
    if (self->options.whole? lines_take_whole (self->lines, &data, &size)
                           : lines_take (self->lines, &data, &size))
        return s_parse (self, data, size);
    return lines_ended (self->lines)? SOURCE_END: SOURCE_WAIT;
}

//  Count the decimal number at the start of the pattern up by one.
static source_state_t
s_next_made (source_t *self)
{
    if (self->messages == self->options.count)
        return SOURCE_END;
    size_t index = self->options.size;
    if (index > SOURCE_NUMBER_DIGITS)
        index = SOURCE_NUMBER_DIGITS;
    while (index-- > 0) {
        if (self->pattern [index] < '9') {
            self->pattern [index]++;
            break;
        }
        self->pattern [index] = '0';
    }
    return SOURCE_MESSAGE;
}

source_state_t
source_next (source_t *self, const zspool_frame_t **frames, size_t *count)
{
    source_state_t state = self->lines? s_next_read (self): s_next_made (self);
    if (state == SOURCE_MESSAGE) {
        self->messages++;
        *frames = self->frames;
        *count = self->frame_count;
    }
    return state;
}
