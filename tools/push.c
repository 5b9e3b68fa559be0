//  push.c - zspool push: sends lines, a file or made-up messages to a device
//
//  SPDX-License-Identifier: MPL-2.0

#include "push.h"
#include "stop.h"

#include <string.h>
#include <unistd.h>

#define PUSH_MESSAGE_BYTES 100 //  usual size of a made-up message

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

static const struct option s_options [] = { PUSH_OPTIONS, COMMAND_OPTIONS_END };

push_t
push_new (int type)
{
    return (push_t) { .sending = sending_new (type),
                      .source_options = { .size = PUSH_MESSAGE_BYTES } };
}

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

void
push_option (push_t *self, int option)
{
    source_options_t *source = &self->source_options;
    switch (option) {
    case PUSH_FILE: source->file = command_text (); break;
    case PUSH_WHOLE: source->whole = true; break;
    case PUSH_COUNT: source->count = command_number (1, UINT64_MAX); break;
    case PUSH_SIZE:
        source->size = (size_t) command_size (0, ZSPOOL_MESSAGE_BYTES_MAX);
        self->size_given = true;
        break;
    case PUSH_SEPARATOR: s_parse_separator (source); break;
    case PUSH_FORMAT: s_parse_format (source); break;
    default: sending_option (&self->sending, option);
    }
}

void
push_check_options (const push_t *self)
{
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
}

//  Wait until there is something to read, and read it. False when that fails, or a signal came.
static bool
s_read_on (push_t *self)
{
    meter_t *meter = &self->sending.meter;
    int found = 0;
    while (!(found & (WIRE_INPUT | WIRE_STOP))) {
        meter_show (meter);
        found = wire_wait (self->sending.wire, 0, source_fd (self->source),
                           meter_wait_ms (meter, -1));
    }
    return !(found & WIRE_STOP) && source_read (self->source);
}

//  Send all there is. False when that failed, which was reported, or a signal came.
static bool
s_send_all (push_t *self)
{
    while (!stop_requested ()) {
        switch (source_next (self->source, &self->frames, &self->frame_count)) {
        case SOURCE_MESSAGE:
            if (self->sending.rate)
                sending_pace (&self->sending);
            if (!sending_send (&self->sending, self->frames, self->frame_count))
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

static int
s_send (push_t *self)
{
    self->source = source_new (&self->source_options);
    if (!self->source)
        return COMMAND_FAILED;
    bool live = isatty (STDERR_FILENO) && !isatty (source_fd (self->source));
    int status = sending_open (&self->sending, live);
    if (status != COMMAND_OK)
        return status;
    bool sent = s_send_all (self);
    bool arrived = sending_finish (&self->sending);
    if (self->sending.wire_options.verbose)
        meter_summary (&self->sending.meter, "");
    return sent && arrived? COMMAND_OK: COMMAND_FAILED;
}

int
push_run (push_t *self)
{
    int status = s_send (self);
    sending_close (&self->sending);
    source_destroy (&self->source);
    return status;
}

int
push_main (int argc, char **argv)
{
    push_t push = push_new (ZMQ_PUSH);
    int option;
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        push_option (&push, option);
    push.sending.wire_options.endpoints = command_operand (argc, argv, "the endpoint");
    push_check_options (&push);
    return push_run (&push);
}
