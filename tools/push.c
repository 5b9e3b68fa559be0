//  push.c - zspool push: sends lines, a file or made-up messages to a device
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A message counts as sent when
//  ZeroMQ has taken it; before the command ends it waits until all have reached the peers' systems.

#include "command.h"
#include "meter.h"
#include "source.h"
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

#define PUSH_SIZE 100         //  usual size of a made-up message, bytes
#define PUSH_NUMBER_DIGITS 12 //  digits at its start
#define PUSH_RATE_MAX 1000000000
#define PUSH_LOOK_MESSAGES 1024 //  how often a busy push looks after its wire
#define PUSH_CATCH_UP_US 100000 //  how far --rate may fall behind and still catch up

static const char s_help [] =
    "usage: zspool push ENDPOINT [options]\n"
    "\n"
    "Sends each line of standard input as a message. ENDPOINT is connected to, or\n"
    "bound to if it begins with @; several are separated by commas. Exit status 0:\n"
    "every message has reached a peer over a connection that held; not: is stored.\n"
    "\n"
    "  --file FILE        read FILE, not standard input\n"
    "  --whole            send the whole input as one message\n"
    "  --separator BYTES  split each line into frames at BYTES; knows \\t \\0 \\\\ \\xHH\n"
    "  --format FORMAT    text (default): lines are sent as they are\n"
    "                     hex: a line holds frames as hex digits, a blank between\n"
    "  --count N          read nothing: make N messages, each a number and letters\n"
    "  --size BYTES       size of each (default 100)\n"
    "  --rate N           send at most N messages a second\n"
    "  --hwm N            high-water mark, messages (default 1000)\n"
    "  --timeout MS       give up when no peer takes a message for that long\n"
    "  --linger MS        give up when at the end not all is sent after that long\n"
    "                     (default: --timeout, or never)\n"
    "  --verbose          tell when peers come and go, and sum up at the end\n"
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

static const struct option s_options [] = {
    { "file", required_argument, NULL, OPTION_FILE },
    { "whole", no_argument, NULL, OPTION_WHOLE },
    { "count", required_argument, NULL, OPTION_COUNT },
    { "size", required_argument, NULL, OPTION_SIZE },
    { "separator", required_argument, NULL, OPTION_SEPARATOR },
    { "format", required_argument, NULL, OPTION_FORMAT },
    { "rate", required_argument, NULL, OPTION_RATE },
    { "hwm", required_argument, NULL, OPTION_HWM },
    { "timeout", required_argument, NULL, OPTION_TIMEOUT },
    { "linger", required_argument, NULL, OPTION_LINGER },
    { "verbose", no_argument, NULL, OPTION_VERBOSE },
    COMMAND_OPTIONS_END
};

typedef struct {
    //  Options
    wire_options_t wire_options;
    source_options_t source_options;
    bool size_given;    //  --size
    uint64_t rate;      //  messages a second; 0: as fast as can be
    int64_t timeout_ms; //  patience with peers; -1: for ever
    int64_t linger_ms;  //  the same at the end
    bool linger_given;  //  --linger

    //  State
    wire_t *wire;
    source_t *source;
    const zspool_frame_t *frames; //  of the message at hand
    size_t frame_count;           //  their number
    meter_t meter;                //  messages that ZeroMQ has taken
    double due_us;                //  under --rate: when the next message may go
    bool gave_up;                 //  no peer took a message for timeout_ms
} push_t;

static void
s_parse_separator (source_options_t *source)
{
    source->separator = command_bytes (&source->separator_bytes);
    if (memchr (source->separator, '\n', source->separator_bytes))
        command_usage ("--separator cannot hold a newline: it ends a message");
}

static void
s_parse_format (source_options_t *source)
{
    source->hex = strcmp (optarg, "hex") == 0;
    if (!source->hex && strcmp (optarg, "text") != 0)
        command_usage ("--format is text or hex, not '%s'", optarg);
}

static void
s_parse_option (push_t *self, int option)
{
    source_options_t *source = &self->source_options;
    switch (option) {
    case OPTION_FILE: source->file = command_text (); break;
    case OPTION_WHOLE: source->whole = true; break;
    case OPTION_COUNT: source->count = command_number (1, UINT64_MAX); break;
    case OPTION_SIZE:
        source->size = (size_t) command_size (0, ZSPOOL_MESSAGE_BYTES_MAX);
        self->size_given = true;
        break;
    case OPTION_SEPARATOR: s_parse_separator (source); break;
    case OPTION_FORMAT: s_parse_format (source); break;
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

    const source_options_t *source = &self->source_options;
    bool split = source->separator || source->hex;
    if (source->count && (source->file || source->whole || split))
        command_usage ("--count makes messages: it goes with no --file, --whole, --separator or "
                       "--format hex");
    if (self->size_given && !source->count)
        command_usage ("--size needs --count");
    if (source->whole && split)
        command_usage ("--whole sends the input as it is: it goes with no --separator or "
                       "--format hex");
    if (source->hex && source->separator)
        command_usage ("--format hex separates frames by blanks: it goes with no --separator");
    if (!self->linger_given)
        self->linger_ms = self->timeout_ms;
}

//  Wait until there is something to read, and read it. False when that fails, or a signal came.
static bool
s_read_on (push_t *self)
{
    int found = 0;
    while (!(found & (WIRE_INPUT | WIRE_STOP))) {
        meter_show (&self->meter);
        found =
            wire_wait (self->wire, 0, source_fd (self->source), meter_wait_ms (&self->meter, -1));
    }
    return !(found & WIRE_STOP) && source_read (self->source);
}

//  Wait until a peer can take a message (ZMQ_POLLOUT) or the first has connected (0). False when
//  time was out, which is reported, or a signal came.
static bool
s_wait_for_peer (push_t *self, short events)
{
    int found = wire_await (self->wire, events, self->timeout_ms, &self->meter);
    if (found == 0) {
        self->gave_up = true;
        command_report ("no peer took message %" PRIu64 " within %" PRId64 " ms%s",
                        self->meter.messages + 1, self->timeout_ms,
                        self->meter.messages? ", nor perhaps some before it": "");
    }
    return found == WIRE_READY;
}

//  Send the message at hand. False when that fails, which is reported, or a signal came.
static bool
s_send_message (push_t *self)
{
    if (self->meter.messages == 0 && !s_wait_for_peer (self, 0))
        return false;
    while (wire_send (self->wire, self->frames, self->frame_count) != 0) {
        if (zmq_errno () != EAGAIN) {
            command_report ("cannot send: %s", zmq_strerror (zmq_errno ()));
            return false;
        }
        if (!s_wait_for_peer (self, ZMQ_POLLOUT))
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
            nanosleep (&(struct timespec){ 0, left_us * 1000 }, NULL);
        now_us = command_clock_us ();
    }
    self->due_us += 1e6 / (double) self->rate;
}

//  Send all there is. False when that failed, which was reported, or a signal came.
static bool
s_send_all (push_t *self)
{
    while (!stop_requested ()) {
        switch (source_next (self->source, &self->frames, &self->frame_count)) {
        case SOURCE_MESSAGE:
            if (self->rate)
                s_pace (self);
            if (!s_send_message (self))
                return false;
            break;
        case SOURCE_WAIT:
            if (!s_read_on (self))
                return false;
            break;
        case SOURCE_END: return true;
        case SOURCE_FAILED: return false;
        }
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
        command_report ("gave up before all of the %" PRIu64 " messages were sent",
                        self->meter.messages);
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
    self->source = source_new (&self->source_options);
    if (!self->source)
        return COMMAND_FAILED;
    int status = wire_new (&self->wire, &self->wire_options);
    if (status != COMMAND_OK)
        return status;
    meter_start (&self->meter, isatty (STDERR_FILENO) && !isatty (source_fd (self->source)));
    bool sent = s_send_all (self);
    bool arrived = s_finish (self);
    if (self->wire_options.verbose)
        meter_summary (&self->meter, "");
    return sent && arrived? COMMAND_OK: COMMAND_FAILED;
}

int
push_main (int argc, char **argv)
{
    push_t push = { .wire_options = { .type = ZMQ_PUSH, .hwm = COMMAND_HWM },
                    .source_options = { .size = PUSH_SIZE },
                    .timeout_ms = -1,
                    .linger_ms = -1 };
    s_parse (&push, argc, argv);
    int status = s_run (&push);
    wire_destroy (&push.wire);
    source_destroy (&push.source);
    return status;
}
