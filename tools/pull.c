//  pull.c - zspool pull: prints messages, and acknowledges them with their tickets
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Invariant: a ticket goes back only after its message was handed to the system, and, when the
//  output is a file, after it reached the disk. So whatever happens to this process, no message is
//  lost.

#include "pull.h"
#include "stop.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PULL_TICKET_AGE_US 100000 //  how long a ticket waits for others, at most
#define PULL_LOOK_MESSAGES 1024   //  how often a busy pull looks after its wire

static const char s_help [] =
    "usage: zspool pull ENDPOINT [options]\n"
    "\n"
    "Prints each message that comes, one a line. ENDPOINT is connected to, or bound\n"
    "to if it begins with @; several are separated by commas.\n"
    "\n"
    "  --count N          stop after N messages\n"
    "  --timeout MS       stop when none came for that long; exit status 1 if fewer\n"
    "                     than --count came\n"
    "  --format FORMAT    text (default): frames as they are, a separator between\n"
    "                     hex: frames as hex digits, a blank between\n"
    "                     raw: nothing but the bytes of the frames\n"
    "  --separator BYTES  for text (default: a tab); knows \\t \\n \\r \\0 \\\\ \\xHH\n"
    "  --output FILE      append to FILE, do not write to standard output\n"
    "  --quiet            print only the number of messages, at the end\n"
    "  --ack-to ENDPOINT  take a ticket from the front of each message, and send it\n"
    "                     there when the message was written: to the --ack-in of a\n"
    "                     device with --ack explicit\n"
    "  --linger MS        give up when at the end not all tickets are sent after\n"
    "                     that long (default: never)\n"
    "  --delay MS         rest after each message, to try out a slow consumer\n"
    "  --hwm N            high-water mark, messages (default 1000)\n"
    "  --verbose          tell when peers come and go, and sum up at the end\n"
    "  --help, --version  print this text or the version, and exit\n";

typedef enum {
    TAKEN_ONE,   //  a message was written
    TAKEN_OTHER, //  one came that is not wanted
    TAKEN_NONE,  //  none is there
    TAKEN_FAILED //  that failed, which was reported
} taken_t;

static const struct option s_options [] = {
    PULL_OPTIONS,
    { "ack-to", required_argument, NULL, PULL_ACK_TO },
    { "linger", required_argument, NULL, PULL_LINGER },
    COMMAND_OPTIONS_END
};

pull_t *
pull_new (int type)
{
    static pull_t pull;
    pull.wire_options = (wire_options_t){ .type = type, .hwm = COMMAND_HWM };
    pull.timeout_ms = pull.linger_ms = -1;
    return &pull;
}

static void
s_parse_format (pull_t *self)
{
    static const char *const names [] = { "text", "hex", "raw" };
    self->format_given = true;
    for (pull_format_t format = PULL_TEXT; format <= PULL_RAW; format++)
        if (strcmp (optarg, names [format]) == 0) {
            self->format = format;
            return;
        }
    command_usage ("--format is text, hex or raw, not '%s'", optarg);
}

void
pull_option (pull_t *self, int option)
{
    switch (option) {
    case PULL_COUNT: self->count = command_number (1, UINT64_MAX); break;
    case PULL_TIMEOUT: self->timeout_ms = (int64_t) command_number (1, COMMAND_MS_MAX); break;
    case PULL_FORMAT: s_parse_format (self); break;
    case PULL_SEPARATOR: self->separator = command_bytes (&self->separator_bytes); break;
    case PULL_OUTPUT: self->file = command_text (); break;
    case PULL_QUIET: self->quiet = true; break;
    case PULL_ACK_TO: self->ack_to = command_text (); break;
    case PULL_LINGER: self->linger_ms = (int64_t) command_number (0, COMMAND_MS_MAX); break;
    case PULL_DELAY: self->delay_ms = (int64_t) command_number (0, COMMAND_MS_MAX); break;
    case PULL_HWM: self->wire_options.hwm = (int) command_number (1, COMMAND_HWM_MAX); break;
    case PULL_VERBOSE: self->wire_options.verbose = true; break;
    }
}

void
pull_check_options (pull_t *self)
{
    if (self->quiet && (self->format_given || self->separator || self->file))
        command_usage ("--quiet prints no message: it goes with no --format, --separator or "
                       "--output");
    if (self->separator && self->format != PULL_TEXT)
        command_usage ("--separator goes with --format text only");
    if (self->linger_ms >= 0 && !self->ack_to)
        command_usage ("--linger needs --ack-to");
    if (!self->separator) {
        self->separator = "\t";
        self->separator_bytes = 1;
    }
}

static bool
s_write (pull_t *self, const void *data, size_t size)
{
    return self->quiet || output_write (self->output, data, size) == 0;
}

static bool
s_write_hex (pull_t *self, const void *data, size_t size)
{
    return self->quiet || output_write_hex (self->output, data, size) == 0;
}

//  Write the frame at hand. False on failure.
static bool
s_write_frame (pull_t *self, bool first)
{
    const void *data = zmq_msg_data (&self->frame);
    size_t size = zmq_msg_size (&self->frame);
    switch (self->format) {
    case PULL_HEX:
        return (first || s_write (self, " ", 1)) && s_write_hex (self, data, size);
    case PULL_TEXT:
        return (first || s_write (self, self->separator, self->separator_bytes))
               && s_write (self, data, size);
    default: return s_write (self, data, size);
    }
}

//  The output cannot be written: report it. The messages in its buffer must not be acknowledged.
static void
s_fail_output (pull_t *self)
{
    self->failed = true;
    self->ticket_count = 0;
    if (output_error (self->output) == EINTR)
        command_report ("interrupted while writing %s", output_name (self->output));
    else
        command_report_write (output_name (self->output), output_error (self->output));
    output_destroy (&self->output);
}

//  Receive the next frame. False when there is none.
static bool
s_receive_frame (pull_t *self)
{
    int size;
    do
        size = zmq_msg_recv (&self->frame, wire_socket (self->wire), ZMQ_DONTWAIT);
    while (size < 0 && zmq_errno () == EINTR);
    return size >= 0;
}

//  Copy the ticket that must stand before a message. False, and a line, when there is none.
static bool
s_take_ticket (pull_t *self)
{
    zspool_ticket_t ticket;
    const void *data = zmq_msg_data (&self->frame);
    if (zspool_ticket_decode (&ticket, data, zmq_msg_size (&self->frame)) != ZSPOOL_OK
        || !zmq_msg_more (&self->frame)) {
        command_report ("message %" PRIu64
                        " has no ticket: --ack-to is for devices with --ack explicit",
                        self->meter.messages + 1);
        self->failed = true;
        return false;
    }
    memcpy (self->tickets [self->ticket_count], data, ZSPOOL_TICKET_BYTES);
    self->attempt = ticket.attempt;
    return true;
}

//  The message at hand was written: its ticket may go back.
static void
s_keep_ticket (pull_t *self)
{
    if (self->ticket_count++ == 0)
        self->ticket_us = self->meter.last_us;
    if (self->attempt > 1)
        self->repeats++;
}

//  The message at hand is not wanted: receive the rest of it.
static void
s_pass_message (pull_t *self)
{
    while (zmq_msg_more (&self->frame) && s_receive_frame (self))
        ;
    self->passed++;
}

//  True when the message at hand is wanted, by its first frame.
static bool
s_is_wanted (pull_t *self)
{
    return !self->filter
           || zspool_filter_matches (self->filter, zmq_msg_data (&self->frame),
                                     zmq_msg_size (&self->frame));
}

//  Receive and write one message.
static taken_t
s_take_message (pull_t *self)
{
    if (!s_receive_frame (self))
        return TAKEN_NONE;
    if (!s_is_wanted (self)) {
        s_pass_message (self);
        return TAKEN_OTHER;
    }
    if (self->ack_to && (!s_take_ticket (self) || !s_receive_frame (self)))
        return TAKEN_FAILED;

    size_t bytes = zmq_msg_size (&self->frame);
    bool written = s_write_frame (self, true);
    while (zmq_msg_more (&self->frame) && s_receive_frame (self)) {
        bytes += zmq_msg_size (&self->frame);
        written = written && s_write_frame (self, false);
    }
    if (!written || !s_write (self, "\n", self->format == PULL_RAW? 0: 1)) {
        s_fail_output (self);
        return TAKEN_FAILED;
    }
    self->idle_us = 0;
    meter_count (&self->meter, bytes);
    if (self->ack_to)
        s_keep_ticket (self);
    return TAKEN_ONE;
}

//  Offer the tickets to ZeroMQ, joined in one frame. False when that must be done again.
static bool
s_offer_tickets (pull_t *self)
{
    zspool_frame_t frame = { self->tickets, self->ticket_count * ZSPOOL_TICKET_BYTES };
    return wire_send (self->ack_wire, &frame, 1) == 0;
}

//  Hand what was written to the system, then send back the tickets. False when that fails, which is
//  reported, or a signal came while the tickets could not be sent.
static bool
s_settle (pull_t *self)
{
    if (self->output
        && (self->ticket_count? output_sync (self->output): output_flush (self->output)) != 0) {
        s_fail_output (self);
        return false;
    }
    if (self->ticket_count == 0)
        return true;
    while (!s_offer_tickets (self))
        if (wire_wait (self->ack_wire, ZMQ_POLLOUT, -1, -1) & WIRE_STOP)
            return false;
    self->acknowledged += self->ticket_count;
    self->ticket_count = 0;
    wire_wait (self->ack_wire, 0, -1, 0);
    return true;
}

//  Look after output and tickets when a message was written. False when that fails, which is
//  reported, or a signal came.
static bool
s_after_message (pull_t *self)
{
    bool due =
        self->ticket_count == PULL_TICKETS_MAX
        || (self->ticket_count && self->meter.last_us - self->ticket_us >= PULL_TICKET_AGE_US);
    if ((due || self->delay_ms) && !s_settle (self))
        return false;
    if (self->meter.messages % PULL_LOOK_MESSAGES == 0)
        wire_wait (self->wire, 0, -1, 0);
    int64_t wake_us = command_clock_us () + self->delay_ms * 1000;
    int64_t left_us = self->delay_ms * 1000;
    for (; left_us > 0; left_us = wake_us - command_clock_us ())
        if (wire_wait (self->wire, 0, -1, (int) ((left_us + 999) / 1000)) & WIRE_STOP)
            return false;
    return true;
}

//  How long to wait yet for a message, ms; -1: for ever. The time counts from when the last one had
//  been written, and nothing else was left to write.
static int64_t
s_left_ms (pull_t *self)
{
    if (self->timeout_ms < 0)
        return -1;
    int64_t now_us = command_clock_us ();
    if (self->idle_us == 0)
        self->idle_us = now_us;
    int64_t left_ms = self->timeout_ms - (now_us - self->idle_us) / 1000;
    return left_ms > 0? left_ms: 0;
}

//  Look after output and time when a message was passed over. False when something fails, or none
//  that is wanted comes in time.
static bool
s_after_other (pull_t *self)
{
    if (self->passed % PULL_LOOK_MESSAGES != 0)
        return true;
    if (!s_settle (self))
        return false;
    meter_show (&self->meter);
    wire_wait (self->wire, 0, -1, 0);
    return s_left_ms (self) != 0;
}

//  No message is there: wait for one. False when something fails, none comes in time, or a signal.
static bool
s_settle_and_wait (pull_t *self)
{
    return s_settle (self)
           && wire_await (self->wire, ZMQ_POLLIN, s_left_ms (self), &self->meter) == WIRE_READY;
}

//  Take messages until there are enough, none comes in time, a signal does, or something fails.
static void
s_take_all (pull_t *self)
{
    bool going = true;
    while (going && !stop_requested () && (self->count == 0 || self->meter.messages < self->count))
        switch (s_take_message (self)) {
        case TAKEN_ONE: going = s_after_message (self); break;
        case TAKEN_OTHER: going = s_after_other (self); break;
        case TAKEN_NONE: going = s_settle_and_wait (self); break;
        case TAKEN_FAILED: return;
        }
}

//  Write and acknowledge what is left.
static void
s_finish (pull_t *self)
{
    s_settle (self);
    if (self->acknowledged + self->ticket_count == 0)
        return;
    if (self->ticket_count || wire_drain (self->ack_wire, self->linger_ms) != 0) {
        command_report ("gave up before all acknowledgements were sent to %s", self->ack_to);
        self->failed = true;
    }
}

static int
s_open (pull_t *self)
{
    int status = wire_new (&self->wire, &self->wire_options);
    if (status == COMMAND_OK && self->ack_to) {
        wire_options_t options = { .type = ZMQ_PUSH,
                                   .endpoints = self->ack_to,
                                   .hwm = COMMAND_HWM,
                                   .verbose = self->wire_options.verbose };
        status = wire_new (&self->ack_wire, &options);
    }
    if (status == COMMAND_OK && !self->quiet) {
        self->output = output_new (self->file);
        if (!self->output) {
            command_report ("cannot open '%s': %s", self->file? self->file: "", strerror (errno));
            return COMMAND_FAILED;
        }
        if (self->format != PULL_RAW && output_end_line (self->output) != 0) {
            s_fail_output (self);
            status = COMMAND_FAILED;
        }
    }
    return status;
}

static void
s_summarize (pull_t *self)
{
    char more [128] = "";
    if (self->filter)
        snprintf (more, sizeof more, ", %" PRIu64 " of other topics passed over", self->passed);
    if (self->ack_to)
        snprintf (more, sizeof more, ", %" PRIu64 " acknowledged, %" PRIu64 " delivered again",
                  self->acknowledged, self->repeats);
    meter_summary (&self->meter, more);
}

static int
s_run (pull_t *self)
{
    int status = s_open (self);
    if (status != COMMAND_OK)
        return status;
    meter_start (&self->meter, isatty (STDERR_FILENO) && (self->quiet || !isatty (STDOUT_FILENO)));
    s_take_all (self);
    s_finish (self);
    meter_clear (&self->meter);
    if (self->failed)
        status = COMMAND_FAILED;
    else if (self->meter.messages < self->count) {
        command_report ("%s: %" PRIu64 " of %" PRIu64 " messages came",
                        stop_requested ()? "interrupted": "timed out", self->meter.messages,
                        self->count);
        status = COMMAND_FAILED;
    }
    if (self->quiet)
        printf ("%" PRIu64 "\n", self->meter.messages);
    if (self->wire_options.verbose)
        s_summarize (self);
    return status;
}

int
pull_run (pull_t *self)
{
    zmq_msg_init (&self->frame);
    int status = s_run (self);
    zmq_msg_close (&self->frame);
    wire_destroy (&self->ack_wire);
    wire_destroy (&self->wire);
    output_destroy (&self->output);
    return status;
}

int
pull_main (int argc, char **argv)
{
    pull_t *pull = pull_new (ZMQ_PULL);
    int option;
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        pull_option (pull, option);
    pull->wire_options.endpoints = command_operand (argc, argv, "the endpoint");
    pull_check_options (pull);
    return pull_run (pull);
}
