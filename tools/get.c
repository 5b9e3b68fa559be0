//  get.c - zspool get: prints messages of a spool, and acknowledges them
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Invariant: a message is acknowledged only after it was handed to the system, and, when the
//  output is a file, after it reached the disk. So whatever happens to this process, no message is
//  lost.

#include "command.h"
#include "output.h"
#include "stop.h"
#include "zspool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define GET_SLICE_MS 100        //  how long a wait lasts before a signal is looked for
#define GET_ACK_MESSAGES 1000   //  acknowledged together, at most
#define GET_ACK_US 100000       //  how long a message that was written waits for others, at most

static const char s_help [] =
    "usage: zspool get ENDPOINT SPOOL CURSOR [options]\n"
    "\n"
    "Prints each message of a spool, one a line, and acknowledges it, through the\n"
    "service of a device (--service). Those who use one cursor share its messages.\n"
    "\n"
    "  --count N          stop after N messages\n"
    "  --timeout MS       stop when none came for that long; exit status 1 if fewer\n"
    "                     than --count came\n"
    "  --start START      where a cursor that is not there yet begins: all (default),\n"
    "                     new, last:N, a sequence, a time or an age\n"
    "  --filter FILTER    only messages of these topics; may be given again\n"
    "  --exclusive        of those who use the cursor one gets messages, the next when\n"
    "                     that is gone\n"
    "  --prefetch N       receive so many messages ahead (default 10000)\n"
    "  --format FORMAT    text (default): frames as they are, a separator between\n"
    "                     hex: frames as hex digits, a blank between\n"
    "                     raw: nothing but the bytes of the frames\n"
    "  --separator BYTES  for text (default: a tab); knows \\t \\n \\r \\0 \\\\ \\xHH\n"
    "  --output FILE      append to FILE, do not write to standard output\n"
    "  --quiet            print only the number of messages, at the end\n"
    "  --no-ack           acknowledge nothing: what is printed comes again\n"
    "  --verbose          sum up at the end\n"
    "  --help, --version  print this text or the version, and exit\n";

enum {
    OPTION_COUNT = 256,
    OPTION_TIMEOUT,
    OPTION_START,
    OPTION_FILTER,
    OPTION_EXCLUSIVE,
    OPTION_PREFETCH,
    OPTION_FORMAT,
    OPTION_SEPARATOR,
    OPTION_OUTPUT,
    OPTION_QUIET,
    OPTION_NO_ACK,
    OPTION_VERBOSE
};

static const struct option s_options [] = {
    { "count", required_argument, NULL, OPTION_COUNT },
    { "timeout", required_argument, NULL, OPTION_TIMEOUT },
    { "start", required_argument, NULL, OPTION_START },
    { "filter", required_argument, NULL, OPTION_FILTER },
    { "exclusive", no_argument, NULL, OPTION_EXCLUSIVE },
    { "prefetch", required_argument, NULL, OPTION_PREFETCH },
    { "format", required_argument, NULL, OPTION_FORMAT },
    { "separator", required_argument, NULL, OPTION_SEPARATOR },
    { "output", required_argument, NULL, OPTION_OUTPUT },
    { "quiet", no_argument, NULL, OPTION_QUIET },
    { "no-ack", no_argument, NULL, OPTION_NO_ACK },
    { "verbose", no_argument, NULL, OPTION_VERBOSE },
    COMMAND_OPTIONS_END
};

typedef enum { GET_TEXT, GET_HEX, GET_RAW } get_format_t;

typedef struct {
    uint64_t count;          //  messages to get; 0: no limit
    int64_t timeout_ms;      //  how long none may come; -1: for ever
    get_format_t format;
    bool format_given;
    const char *separator;   //  NULL: a tab
    size_t separator_bytes;
    const char *file;        //  NULL: standard output
    bool quiet;
    bool no_ack;
    bool verbose;
    zspool_consumer_t *consumer;
    output_t *output;        //  NULL when quiet
    uint64_t messages;       //  written
    uint64_t repeats;        //  of these, delivered before
    uint64_t unacked;        //  written, not acknowledged yet
    uint64_t last;           //  sequence of the last one
    int64_t written_us;      //  when the first of those was
    bool failed;             //  something went wrong, and was reported
} self_t;

//  ------------------------------------------------------------------------------------------------
//  Options

static void
s_parse_format (self_t *self)
{
    static const char *const names [] = { "text", "hex", "raw" };
    self->format_given = true;
    for (get_format_t format = GET_TEXT; format <= GET_RAW; format++)
        if (strcmp (optarg, names [format]) == 0) {
            self->format = format;
            return;
        }
    command_usage ("--format is text, hex or raw, not '%s'", optarg);
}

//  An option for the consumer, kept until it is made
typedef struct {
    const char *name;
    const char *value;
} setting_t;

typedef struct {
    setting_t list [300];
    size_t count;
} settings_t;

static void
s_keep (settings_t *settings, const char *name, const char *value)
{
    if (settings->count == sizeof settings->list / sizeof settings->list [0])
        command_usage ("--%s is given too often", name);
    settings->list [settings->count++] = (setting_t){ name, value };
}

static void
s_keep_start (settings_t *settings)
{
    zspool_start_t start;
    if (zspool_start_parse (&start, command_text ()))
        command_usage (
            "--start is all, new, last:N, a sequence, a time, or an age such as -15m; not '%s'",
            optarg);
    s_keep (settings, "start", optarg);
}

static void
s_parse_option (self_t *self, settings_t *settings, int option)
{
    switch (option) {
    case OPTION_COUNT: self->count = command_number (1, UINT64_MAX); break;
    case OPTION_TIMEOUT: self->timeout_ms = (int64_t) command_number (1, COMMAND_MS_MAX); break;
    case OPTION_START: s_keep_start (settings); break;
    case OPTION_FILTER: s_keep (settings, "filter", optarg); break;
    case OPTION_EXCLUSIVE: s_keep (settings, "exclusive", "on"); break;
    case OPTION_PREFETCH:
        command_number (1, 1000000);
        s_keep (settings, "prefetch-messages", optarg);
        break;
    case OPTION_FORMAT: s_parse_format (self); break;
    case OPTION_SEPARATOR: self->separator = command_bytes (&self->separator_bytes); break;
    case OPTION_OUTPUT: self->file = command_text (); break;
    case OPTION_QUIET: self->quiet = true; break;
    case OPTION_NO_ACK: self->no_ack = true; break;
    case OPTION_VERBOSE: self->verbose = true; break;
    }
}

static void
s_check_options (self_t *self)
{
    if (self->quiet && (self->format_given || self->separator || self->file))
        command_usage (
            "--quiet prints no message: it goes with no --format, --separator or --output");
    if (self->separator && self->format != GET_TEXT)
        command_usage ("--separator goes with --format text only");
    if (!self->separator) {
        self->separator = "\t";
        self->separator_bytes = 1;
    }
}

static void
s_set_all (self_t *self, const settings_t *settings)
{
    for (size_t index = 0; index < settings->count; index++)
        if (zspool_consumer_set (self->consumer, settings->list [index].name,
                                 settings->list [index].value))
            command_usage ("--%s", zspool_consumer_reason (self->consumer));
}

//  ------------------------------------------------------------------------------------------------
//  Getting

static bool
s_write (self_t *self, const void *data, size_t size)
{
    return output_write (self->output, data, size) == 0;
}

//  Write a message. False on failure.
static bool
s_write_message (self_t *self, zspool_delivery_t *delivery)
{
    zspool_frame_t frame;
    bool first = true, written = true;
    while (written && zspool_record_next_frame (&delivery->record, &frame)) {
        if (!first && self->format == GET_TEXT)
            written = s_write (self, self->separator, self->separator_bytes);
        else if (!first && self->format == GET_HEX)
            written = s_write (self, " ", 1);
        if (written && self->format == GET_HEX)
            written = output_write_hex (self->output, frame.data, frame.size) == 0;
        else if (written)
            written = s_write (self, frame.data, frame.size);
        first = false;
    }
    return written && s_write (self, "\n", self->format == GET_RAW? 0: 1);
}

static void
s_fail_output (self_t *self)
{
    self->failed = true;
    self->unacked = 0; //  what is in its buffer is not written
    if (output_error (self->output) == EINTR)
        command_report ("interrupted while writing %s", output_name (self->output));
    else
        command_report_write (output_name (self->output), output_error (self->output));
}

//  Hand what was written to the system, then acknowledge it.
static void
s_settle (self_t *self)
{
    if (self->output
        && (self->unacked? output_sync (self->output): output_flush (self->output)) != 0) {
        s_fail_output (self);
        return;
    }
    //  After a lost connection nothing of it is held any more: it comes again.
    if (self->unacked)
        zspool_consumer_ack_to (self->consumer, self->last);
    self->unacked = 0;
}

static void
s_take (self_t *self, zspool_delivery_t *delivery)
{
    if (self->output && !s_write_message (self, delivery)) {
        s_fail_output (self);
        return;
    }
    self->messages++;
    self->repeats += delivery->deliveries > 1;
    if (self->no_ack)
        return;
    if (self->unacked++ == 0)
        self->written_us = command_clock_us ();
    self->last = delivery->sequence;
    if (self->unacked == GET_ACK_MESSAGES
        || (self->unacked % 64 == 0 && command_clock_us () - self->written_us > GET_ACK_US))
        s_settle (self);
}

//  Get messages until there are enough, none comes in time, a signal does, or something fails.
static void
s_take_all (self_t *self)
{
    int64_t idle_us = command_clock_us ();
    while (!self->failed && !stop_requested ()
           && (self->count == 0 || self->messages < self->count)) {
        zspool_delivery_t delivery;
        int rc = zspool_consumer_recv (self->consumer, 0, &delivery);
        if (rc == ZSPOOL_ETIMEDOUT) {
            s_settle (self);
            rc = self->failed? ZSPOOL_ECANCELED:
                               zspool_consumer_recv (self->consumer, GET_SLICE_MS, &delivery);
        }
        if (rc == ZSPOOL_OK) {
            s_take (self, &delivery);
            idle_us = 0;
            continue;
        }
        if (rc != ZSPOOL_ETIMEDOUT) {
            if (!self->failed)
                command_report ("%s", zspool_consumer_reason (self->consumer));
            self->failed = true;
            return;
        }
        int64_t now_us = command_clock_us ();
        idle_us = idle_us? idle_us: now_us;
        if (self->timeout_ms >= 0 && now_us - idle_us >= self->timeout_ms * 1000)
            return;
    }
}

static bool
s_open_output (self_t *self)
{
    if (self->quiet)
        return true;
    self->output = output_new (self->file);
    if (!self->output) {
        command_report ("cannot open '%s': %s", self->file? self->file: "", strerror (errno));
        return false;
    }
    if (self->format != GET_RAW && output_end_line (self->output) != 0)
        s_fail_output (self);
    return !self->failed;
}

//  Connect; a signal, or --timeout, ends the wait.
static int
s_connect (self_t *self)
{
    int64_t start_us = command_clock_us ();
    int rc;
    while ((rc = zspool_consumer_connect (self->consumer)) == ZSPOOL_ETIMEDOUT && !stop_requested ()
           && (self->timeout_ms < 0 || command_clock_us () - start_us < self->timeout_ms * 1000))
        ;
    return rc;
}

static int
s_run (self_t *self)
{
    if (s_connect (self)) {
        command_report ("%s", zspool_consumer_reason (self->consumer));
        return COMMAND_FAILED;
    }
    if (!s_open_output (self))
        return COMMAND_FAILED;
    s_take_all (self);
    if (!self->failed)
        s_settle (self);
    zspool_consumer_set_timeout (self->consumer, 5000);
    if (!self->failed && !self->no_ack && self->messages > 0
        && zspool_consumer_flush (self->consumer)) {
        command_report ("not all acknowledgements are known to be stored: %s",
                        zspool_consumer_reason (self->consumer));
        self->failed = true;
    }
    if (!self->failed && self->messages < self->count) {
        command_report ("%s: %" PRIu64 " of %" PRIu64 " messages came",
                        stop_requested ()? "interrupted": "timed out", self->messages, self->count);
        self->failed = true;
    }
    if (self->quiet)
        printf ("%" PRIu64 "\n", self->messages);
    if (self->verbose)
        command_report ("%" PRIu64 " messages, %" PRIu64 " of them delivered before",
                        self->messages, self->repeats);
    return self->failed? COMMAND_FAILED: COMMAND_OK;
}

int
get_main (int argc, char **argv)
{
    static settings_t settings;
    self_t self = { .timeout_ms = -1 };
    const char *spool, *cursor;
    int option;
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        s_parse_option (&self, &settings, option);
    const char *endpoint =
        command_operands_3 (argc, argv, "the endpoint", "the spool", &spool, "the cursor", &cursor);
    s_check_options (&self);
    self.consumer = zspool_consumer_new (endpoint, spool, cursor);
    if (!self.consumer) {
        command_report ("out of memory");
        return COMMAND_FAILED;
    }
    s_set_all (&self, &settings);
    zspool_consumer_set_timeout (self.consumer, 200);
    int status = s_run (&self);
    zspool_consumer_destroy (&self.consumer);
    output_destroy (&self.output);
    return status;
}
