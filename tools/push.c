//  push.c - zspool push: sends lines, a file or made-up messages to a device
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Messages are split in place and sent straight from the input buffer. A message counts as sent when
//  ZeroMQ has taken it; before the command ends it waits until all have reached the peers' systems.

#include "command.h"
#include "lines.h"
#include "meter.h"
#include "stop.h"
#include "wire.h"
#include "zspool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PUSH_SIZE 100           //  usual size of a made-up message, bytes
#define PUSH_NUMBER_DIGITS 12   //  digits at its start
#define PUSH_RATE_MAX 1000000000
#define PUSH_LOOK_MESSAGES 1024 //  how often a busy push looks after its wire
#define PUSH_CATCH_UP_US 100000 //  how far --rate may fall behind and still catch up

static const char s_help [] =
    "usage: zspool push ENDPOINT [options]\n"
    "\n"
    "Sends each line of standard input as a message. ENDPOINT is connected to, or bound to if it begins\n"
    "with @; several are separated by commas. Exit status 0 means that every message has reached a peer's\n"
    "system over a connection that held, not that it is stored.\n"
    "\n"
    "  --file FILE        read FILE, not standard input\n"
    "  --whole            send the whole input as one message\n"
    "  --count N          make N messages: a number, a blank, letters; nothing is read\n"
    "  --size BYTES       size of each (default 100)\n"
    "  --separator BYTES  split each line into frames at BYTES (\\t \\0 \\\\ \\xHH are understood)\n"
    "  --format FORMAT    text (default): lines as they are; hex: frames as hex digits between blanks\n"
    "  --rate N           send at most N messages a second\n"
    "  --hwm N            high-water mark, messages (default 1000)\n"
    "  --timeout MS       give up when no peer takes a message for MS milliseconds (default: never)\n"
    "  --linger MS        how long to wait at the end until all is sent (default: as --timeout)\n"
    "  --verbose          say when peers come and go, and a summary at the end\n"
    "  --help, --version  print this text or the version, and exit\n";

enum {
    OPTION_FILE = 256,
    OPTION_WHOLE,
    OPTION_COUNT,
    OPTION_SIZE,
    OPTION_SEPARATOR,
    OPTION_FORMAT,
    OPTION_RATE,
    OPTION_HWM,
    OPTION_TIMEOUT,
    OPTION_LINGER,
    OPTION_VERBOSE
};

static const struct option s_options [] = {{"file", required_argument, NULL, OPTION_FILE},
                                           {"whole", no_argument, NULL, OPTION_WHOLE},
                                           {"count", required_argument, NULL, OPTION_COUNT},
                                           {"size", required_argument, NULL, OPTION_SIZE},
                                           {"separator", required_argument, NULL, OPTION_SEPARATOR},
                                           {"format", required_argument, NULL, OPTION_FORMAT},
                                           {"rate", required_argument, NULL, OPTION_RATE},
                                           {"hwm", required_argument, NULL, OPTION_HWM},
                                           {"timeout", required_argument, NULL, OPTION_TIMEOUT},
                                           {"linger", required_argument, NULL, OPTION_LINGER},
                                           {"verbose", no_argument, NULL, OPTION_VERBOSE},
                                           COMMAND_OPTIONS_END};

typedef struct {
    //  Options
    wire_options_t wire_options;
    const char *file;        //  NULL: standard input
    bool whole;              //  the input is one message
    bool hex;                //  lines hold hexadecimal digits
    uint64_t count;          //  messages to make; 0: none, there is an input
    bool size_given;         //  --size
    size_t size;             //  of a made-up message, bytes
    const char *separator;   //  between frames; NULL: a line is one frame
    size_t separator_bytes;
    uint64_t rate;           //  messages a second; 0: as fast as can be
    int64_t timeout_ms;      //  patience with peers; -1: for ever
    int64_t linger_ms;       //  the same at the end
    bool linger_given;       //  --linger

    //  State
    wire_t *wire;
    lines_t *lines;          //  NULL when messages are made
    char *pattern;           //  the message that is made, or NULL
    char *decoded;           //  bytes decoded from hex
    size_t decoded_capacity;
    zspool_frame_t *frames;  //  of the message at hand; they lead into the buffers above
    size_t frame_count;
    size_t frame_capacity;
    meter_t meter;           //  messages that ZeroMQ has taken
    double due_us;           //  under --rate: when the next message may go
    bool gave_up;            //  no peer took a message for timeout_ms
} push_t;

static void
s_parse_option (push_t *self, int option)
{
    switch (option) {
    case OPTION_FILE: self->file = command_text (); break;
    case OPTION_WHOLE: self->whole = true; break;
    case OPTION_COUNT: self->count = command_number (1, UINT64_MAX); break;
    case OPTION_SIZE:
        self->size = (size_t) command_size (0, ZSPOOL_MESSAGE_BYTES_MAX);
        self->size_given = true;
        break;
    case OPTION_SEPARATOR:
        self->separator = command_bytes (&self->separator_bytes);
        if (memchr (self->separator, '\n', self->separator_bytes))
            command_usage ("--separator cannot hold a newline: it ends a message");
        break;
    case OPTION_FORMAT:
        self->hex = strcmp (optarg, "hex") == 0;
        if (!self->hex && strcmp (optarg, "text") != 0)
            command_usage ("--format is text or hex, not '%s'", optarg);
        break;
    case OPTION_RATE: self->rate = command_number (1, PUSH_RATE_MAX); break;
    case OPTION_HWM: self->wire_options.hwm = (int) command_number (1, COMMAND_HWM_MAX); break;
    case OPTION_TIMEOUT: self->timeout_ms = (int64_t) command_number (1, COMMAND_MS_MAX); break;
    case OPTION_LINGER:
        self->linger_ms = (int64_t) command_number (0, COMMAND_MS_MAX);
        self->linger_given = true;
        break;
    case OPTION_VERBOSE: self->wire_options.verbose = true; break;
    }
}

static void
s_parse (push_t *self, int argc, char **argv)
{
    int option;
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        s_parse_option (self, option);
    self->wire_options.endpoints = command_operand (argc, argv, "the endpoint");

    if (self->count && (self->file || self->whole || self->separator || self->hex))
        command_usage ("--count makes messages: it goes with no --file, --whole, --separator or --format hex");
    if (self->size_given && !self->count)
        command_usage ("--size needs --count");
    if (self->whole && (self->separator || self->hex))
        command_usage ("--whole sends the input as it is: it goes with no --separator or --format hex");
    if (self->hex && self->separator)
        command_usage ("--format hex separates frames by blanks: it goes with no --separator");
    if (!self->linger_given)
        self->linger_ms = self->timeout_ms;
}

//  Make room for one more frame; false when memory is out or the message has too many.
static bool
s_reserve_frame (push_t *self)
{
    if (self->frame_count < self->frame_capacity)
        return true;
    if (self->frame_count == ZSPOOL_MESSAGE_FRAMES_MAX) {
        errno = E2BIG;
        return false;
    }
    size_t capacity = self->frame_capacity ? 2 * self->frame_capacity : 16;
    if (capacity > ZSPOOL_MESSAGE_FRAMES_MAX)
        capacity = ZSPOOL_MESSAGE_FRAMES_MAX;
    zspool_frame_t *frames = (zspool_frame_t *) realloc (self->frames, capacity * sizeof *frames);
    if (!frames)
        return false;
    self->frames = frames;
    self->frame_capacity = capacity;
    return true;
}

//  Split a line into frames, without copying; false and errno on failure.
static bool
s_split (push_t *self, const char *line, size_t size, const char *separator, size_t separator_bytes)
{
    const char *end = line + size;
    self->frame_count = 0;
    while (true) {
        const char *found = separator ? (const char *) memmem (line, (size_t) (end - line), separator,
                                                               separator_bytes)
                                      : NULL;
        if (!s_reserve_frame (self))
            return false;
        const char *frame_end = found ? found : end;
        self->frames [self->frame_count++] = (zspool_frame_t) {line, (size_t) (frame_end - line)};
        if (!found)
            return true;
        line = found + separator_bytes;
    }
}

static int
s_hex_value (char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

//  Decode the hexadecimal digits of each frame and let the frame lead to the bytes; false and errno on
//  failure.
static bool
s_decode_hex (push_t *self, size_t line_bytes)
{
    if (self->decoded_capacity < line_bytes / 2 + 1) {
        char *decoded = (char *) realloc (self->decoded, line_bytes + 1);
        if (!decoded)
            return false;
        self->decoded = decoded;
        self->decoded_capacity = line_bytes + 1;
    }
    char *to = self->decoded;
    for (size_t index = 0; index < self->frame_count; index++) {
        zspool_frame_t *frame = &self->frames [index];
        const char *digits = (const char *) frame->data;
        size_t size = frame->size / 2;
        *frame = (zspool_frame_t) {to, size + frame->size % 2};
        for (; size > 0; size--, digits += 2) {
            int high = s_hex_value (digits [0]), low = s_hex_value (digits [1]);
            if (high < 0 || low < 0)
                break;
            *to++ = (char) (high * 16 + low);
        }
        //  Left over: half a byte, or what is no digit
        if (to != (const char *) frame->data + frame->size) {
            errno = EILSEQ;
            return false;
        }
    }
    return true;
}

//  Make the frames of one line; false when it is no message, which is reported.
static bool
s_parse_line (push_t *self, const char *line, size_t size)
{
    bool parsed = self->hex ? s_split (self, line, size, " ", 1) && s_decode_hex (self, size)
                            : s_split (self, line, size, self->separator, self->separator_bytes);
    if (parsed)
        return true;
    uint64_t number = self->meter.messages + 1;
    if (errno == EILSEQ)
        command_report ("line %" PRIu64 " is not hexadecimal", number);
    else if (errno == E2BIG)
        command_report ("line %" PRIu64 " has more than %d frames", number, ZSPOOL_MESSAGE_FRAMES_MAX);
    else
        command_report ("line %" PRIu64 ": %s", number, strerror (errno));
    return false;
}

//  Count the decimal number at the start of the pattern up by one.
static void
s_count_up (char *digits, size_t size)
{
    for (size_t index = size; index-- > 0;) {
        if (digits [index] != '9') {
            digits [index]++;
            return;
        }
        digits [index] = '0';
    }
}

//  Make the next message. 1: there is one, 0: all were made.
static int
s_make_message (push_t *self)
{
    if (self->meter.messages == self->count)
        return 0;
    s_count_up (self->pattern, self->size < PUSH_NUMBER_DIGITS ? self->size : PUSH_NUMBER_DIGITS);
    return 1;
}

//  Read on, once. False when that fails, which is reported, or a signal came.
static bool
s_fill (push_t *self)
{
    int found = 0;
    while (!(found & (WIRE_INPUT | WIRE_STOP))) {
        meter_show (&self->meter);
        found = wire_wait (self->wire, 0, lines_fd (self->lines), meter_wait_ms (&self->meter, -1));
    }
    if (found & WIRE_STOP)
        return false;
    if (lines_fill (self->lines) == 0 || errno == EINTR)
        return true;
    if (errno == EFBIG)
        command_report ("message %" PRIu64 " is larger than a device takes, %d bytes",
                        self->meter.messages + 1, ZSPOOL_MESSAGE_BYTES_MAX);
    else
        command_report ("cannot read %s: %s", lines_name (self->lines), strerror (errno));
    return false;
}

//  Find the next message. 1: there is one, 0: the end, -1: failed (which was reported) or a signal came.
static int
s_next_message (push_t *self)
{
    if (self->count)
        return s_make_message (self);
    if (self->whole && self->meter.messages == 1)
        return 0;
    const char *data;
    size_t size;
    while (!(self->whole ? lines_take_whole (self->lines, &data, &size)
                         : lines_take (self->lines, &data, &size))) {
        if (lines_ended (self->lines))
            return 0;
        if (!s_fill (self))
            return -1;
    }
    if (size > ZSPOOL_MESSAGE_BYTES_MAX) {
        command_report ("message %" PRIu64 " is larger than a device takes, %d bytes",
                        self->meter.messages + 1, ZSPOOL_MESSAGE_BYTES_MAX);
        return -1;
    }
    return s_parse_line (self, data, size) ? 1 : -1;
}

static void
s_give_up (push_t *self)
{
    self->gave_up = true;
    command_report ("no peer took message %" PRIu64 " within %" PRId64 " ms%s", self->meter.messages + 1,
                    self->timeout_ms,
                    self->meter.messages ? "; some of those before it may not be sent either" : "");
}

//  Wait until a peer can take a message, or the first has connected. False when time was out, which is
//  reported, or a signal came.
static bool
s_wait_for_peer (push_t *self)
{
    int64_t start_us = command_clock_us ();
    short events = wire_met (self->wire) ? ZMQ_POLLOUT : 0;
    while (true) {
        int64_t left_ms = -1;
        if (self->timeout_ms >= 0) {
            left_ms = self->timeout_ms - (command_clock_us () - start_us) / 1000;
            if (left_ms <= 0) {
                s_give_up (self);
                return false;
            }
        }
        meter_show (&self->meter);
        int found = wire_wait (self->wire, events, -1, meter_wait_ms (&self->meter, left_ms));
        if (found & WIRE_STOP)
            return false;
        if (found & WIRE_READY || (!events && wire_met (self->wire)))
            return true;
    }
}

//  Send the message at hand. False when that fails, which is reported, or a signal came.
static bool
s_send_message (push_t *self)
{
    if (!wire_met (self->wire) && !s_wait_for_peer (self))
        return false;
    while (wire_send (self->wire, self->frames, self->frame_count) != 0) {
        if (zmq_errno () != EAGAIN) {
            command_report ("cannot send: %s", zmq_strerror (zmq_errno ()));
            return false;
        }
        if (!s_wait_for_peer (self))
            return false;
    }
    size_t bytes = 0;
    for (size_t index = 0; index < self->frame_count; index++)
        bytes += self->frames [index].size;
    meter_count (&self->meter, bytes);
    if (self->meter.messages % PUSH_LOOK_MESSAGES == 0)
        wire_wait (self->wire, 0, -1, 0);
    return true;
}

//  Under --rate: wait until the next message is due. A signal ends the wait.
static void
s_pace (push_t *self)
{
    int64_t now_us = command_clock_us ();
    if (self->due_us < (double) (now_us - PUSH_CATCH_UP_US))
        self->due_us = (double) now_us;
    while (!stop_requested ()) {
        int64_t left_us = (int64_t) self->due_us - now_us;
        if (left_us <= 0)
            break;
        meter_show (&self->meter);
        if (left_us >= 1000)
            wire_wait (self->wire, 0, -1, meter_wait_ms (&self->meter, left_us / 1000));
        else
            nanosleep (&(struct timespec) {0, left_us * 1000}, NULL);
        now_us = command_clock_us ();
    }
    self->due_us += 1e6 / (double) self->rate;
}

//  Open what the options name. Returns the status to exit with when that fails.
static int
s_open (push_t *self)
{
    if (self->count) {
        self->pattern = (char *) malloc (self->size + 1);
        if (!self->pattern || !s_reserve_frame (self)) {
            command_report ("out of memory");
            return COMMAND_FAILED;
        }
        for (size_t index = 0; index < self->size; index++)
            self->pattern [index] = index < PUSH_NUMBER_DIGITS ? '0' : (char) ('a' + index % 26);
        if (self->size > PUSH_NUMBER_DIGITS)
            self->pattern [PUSH_NUMBER_DIGITS] = ' ';
        self->frames [self->frame_count++] = (zspool_frame_t) {self->pattern, self->size};
    }
    else {
        self->lines = lines_new (self->file);
        if (!self->lines) {
            command_report ("cannot open '%s': %s", self->file ? self->file : "", strerror (errno));
            return COMMAND_FAILED;
        }
    }
    return wire_new (&self->wire, &self->wire_options);
}

//  Send all there is. False when that failed, which was reported, or a signal came.
static bool
s_send_all (push_t *self)
{
    while (!stop_requested ()) {
        int found = s_next_message (self);
        if (found <= 0)
            return found == 0;
        if (self->rate)
            s_pace (self);
        if (!s_send_message (self))
            return false;
    }
    return false;
}

//  Wait until what was sent has arrived. False, and a line, when some of it may not have.
static bool
s_finish (push_t *self)
{
    meter_clear (&self->meter);
    if (stop_requested ())
        command_report ("interrupted after %" PRIu64 " messages", self->meter.messages);
    if (self->meter.messages == 0 || self->gave_up)
        return true;
    if (wire_drain (self->wire, self->linger_ms) != 0) {
        command_report ("gave up before all of the %" PRIu64 " messages were sent", self->meter.messages);
        return false;
    }
    if (wire_departures (self->wire) > 0) {
        command_report ("a peer disconnected: messages on their way to it may be lost");
        return false;
    }
    return true;
}

static int
s_run (push_t *self)
{
    int status = s_open (self);
    if (status != COMMAND_OK)
        return status;
    bool terminal = isatty (STDERR_FILENO) && !(self->lines && isatty (lines_fd (self->lines)));
    meter_start (&self->meter, terminal);
    bool sent = s_send_all (self);
    bool arrived = s_finish (self);
    if (self->wire_options.verbose)
        meter_summary (&self->meter, "");
    return sent && arrived ? COMMAND_OK : COMMAND_FAILED;
}

int
push_main (int argc, char **argv)
{
    push_t push = {.wire_options = {.type = ZMQ_PUSH, .hwm = COMMAND_HWM},
                   .size = PUSH_SIZE,
                   .timeout_ms = -1,
                   .linger_ms = -1};
    s_parse (&push, argc, argv);
    int status = s_run (&push);
    wire_destroy (&push.wire);
    lines_destroy (&push.lines);
    free (push.pattern);
    free (push.decoded);
    free (push.frames);
    return status;
}
