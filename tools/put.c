//  put.c - zspool put: puts lines, a file or made-up messages into a spool, and knows that they
//  are safe
//
//  SPDX-License-Identifier: MPL-2.0

#include "command.h"
#include "source.h"
#include "stop.h"
#include "zspool.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUT_MESSAGE_BYTES 100   //  usual size of a made-up message
#define PUT_SLICE "200" //  a call of the library waits so long, ms, before a signal is looked for

static const char s_help [] =
    "usage: zspool put ENDPOINT SPOOL [options]\n"
    "\n"
    "Puts each line of standard input as a message into a spool, through the service\n"
    "of a device (--service). Exit status 0: every message is stored, durably (or\n"
    "has reached the level asked for).\n"
    "\n"
    "  --file FILE        read FILE, not standard input\n"
    "  --whole            put the whole input as one message\n"
    "  --separator BYTES  split each line into frames at BYTES; knows \\t \\0 \\\\ \\xHH\n"
    "  --format FORMAT    text (default): lines are put as they are\n"
    "                     hex: a line holds frames as hex digits, a blank between\n"
    "  --count N          read nothing: make N messages, each a number and letters\n"
    "  --size BYTES       size of each (default 100)\n"
    "  --name PRODUCER    be the producer of this name: what is sent again is stored\n"
    "                     once, and an older producer of the name is shut out\n"
    "  --resume           leave out as many messages as are stored of that producer:\n"
    "                     so a file that was put in part is put once as a whole\n"
    "  --level LEVEL      default, cached or committed: what counts as safe\n"
    "  --transaction N    put each N messages in one commit, all of them or none\n"
    "  --timeout MS       give up when nothing is confirmed for that long\n"
    "  --verbose          sum up at the end\n"
    "  --help, --version  print this text or the version, and exit\n";

enum {
    OPTION_FILE = 256,
    OPTION_WHOLE,
    OPTION_SEPARATOR,
    OPTION_FORMAT,
    OPTION_COUNT,
    OPTION_SIZE,
    OPTION_NAME,
    OPTION_RESUME,
    OPTION_LEVEL,
    OPTION_TRANSACTION,
    OPTION_TIMEOUT,
    OPTION_VERBOSE
};

static const struct option s_options [] = {
    { "file", required_argument, NULL, OPTION_FILE },
    { "whole", no_argument, NULL, OPTION_WHOLE },
    { "separator", required_argument, NULL, OPTION_SEPARATOR },
    { "format", required_argument, NULL, OPTION_FORMAT },
    { "count", required_argument, NULL, OPTION_COUNT },
    { "size", required_argument, NULL, OPTION_SIZE },
    { "name", required_argument, NULL, OPTION_NAME },
    { "resume", no_argument, NULL, OPTION_RESUME },
    { "level", required_argument, NULL, OPTION_LEVEL },
    { "transaction", required_argument, NULL, OPTION_TRANSACTION },
    { "timeout", required_argument, NULL, OPTION_TIMEOUT },
    { "verbose", no_argument, NULL, OPTION_VERBOSE },
    COMMAND_OPTIONS_END
};

typedef struct {
    source_options_t source_options;
    bool size_given;
    const char *endpoint;
    const char *spool;
    const char *name;       //  NULL: it has none
    bool resume;
    const char *level;
    uint64_t transaction;   //  messages in one; 0: none
    int64_t timeout_ms;     //  -1: for ever
    bool verbose;
    zspool_producer_t *producer;
    source_t *source;
    uint64_t base;          //  number of the producer before the first message of the input
    uint64_t skip;          //  messages still to be left out
    uint64_t skipped;
    uint64_t put;
    uint64_t staged;        //  messages of the open transaction
    uint64_t confirmed;     //  when progress was seen last
    int64_t progress_us;    //  then
} self_t;

//  ------------------------------------------------------------------------------------------------
//  Options

static void
s_parse_format (source_options_t *source)
{
    source->hex = strcmp (optarg, "hex") == 0;
    if (!source->hex && strcmp (optarg, "text") != 0)
        command_usage ("--format is text or hex, not '%s'", optarg);
}

static void
s_parse_option (self_t *self, int option)
{
    source_options_t *source = &self->source_options;
    switch (option) {
    case OPTION_FILE: source->file = command_text (); break;
    case OPTION_WHOLE: source->whole = true; break;
    case OPTION_SEPARATOR:
        source->separator = command_bytes (&source->separator_bytes);
        if (memchr (source->separator, '\n', source->separator_bytes))
            command_usage ("--separator cannot hold a newline: it ends a message");
        break;
    case OPTION_FORMAT: s_parse_format (source); break;
    case OPTION_COUNT: source->count = command_number (1, UINT64_MAX); break;
    case OPTION_SIZE:
        source->size = (size_t) command_size (0, ZSPOOL_MESSAGE_BYTES_MAX);
        self->size_given = true;
        break;
    case OPTION_NAME: self->name = command_text (); break;
    case OPTION_RESUME: self->resume = true; break;
    case OPTION_LEVEL: self->level = command_text (); break;
    case OPTION_TRANSACTION: self->transaction = command_number (1, 1000000); break;
    case OPTION_TIMEOUT: self->timeout_ms = (int64_t) command_number (1, COMMAND_MS_MAX); break;
    case OPTION_VERBOSE: self->verbose = true; break;
    }
}

static void
s_check_options (const self_t *self)
{
    const source_options_t *source = &self->source_options;
    bool split = source->separator || source->hex;
    if (source->count && (source->file || source->whole || split))
        command_usage (
            "--count makes messages: it goes with no --file, --whole, --separator or --format hex");
    if (self->size_given && !source->count)
        command_usage ("--size needs --count");
    if (source->whole && split)
        command_usage (
            "--whole puts the input as it is: it goes with no --separator or --format hex");
    if (source->hex && source->separator)
        command_usage ("--format hex separates frames by blanks: it goes with no --separator");
    if (self->resume && !self->name)
        command_usage ("--resume needs --name");
    if (self->resume && self->transaction)
        command_usage (
            "--resume counts messages, and --transaction makes one number of several: they do not go "
            "together");
}

//  Set an option of the producer that the user gave.
static void
s_set (self_t *self, const char *option, const char *value)
{
    if (value && zspool_producer_set (self->producer, option, value))
        command_usage ("--%s", zspool_producer_reason (self->producer));
}

static void
s_make_producer (self_t *self)
{
    self->producer = zspool_producer_new (self->endpoint);
    if (!self->producer)
        return;
    if (zspool_producer_set (self->producer, "spool", self->spool))
        command_usage ("%s", zspool_producer_reason (self->producer));
    s_set (self, "name", self->name);
    s_set (self, "level", self->level);
    zspool_producer_set (self->producer, "timeout", PUT_SLICE);
    zspool_producer_set (self->producer, "linger", "0");
}

//  ------------------------------------------------------------------------------------------------
//  Putting

static int
s_report (const self_t *self)
{
    command_report ("%s", zspool_producer_reason (self->producer));
    return COMMAND_FAILED;
}

//  A call has waited in vain: whether to go on. A signal, or too long without progress, ends it.
static bool
s_goes_on (self_t *self)
{
    int64_t now_us = command_clock_us ();
    uint64_t confirmed = zspool_producer_confirmed (self->producer);
    if (confirmed > self->confirmed || !self->progress_us) {
        self->confirmed = confirmed;
        self->progress_us = now_us;
    }
    if (stop_requested ())
        return false;
    return self->timeout_ms < 0 || now_us - self->progress_us < self->timeout_ms * 1000;
}

static int
s_connect (self_t *self)
{
    int rc;
    while ((rc = zspool_producer_connect (self->producer)) == ZSPOOL_ETIMEDOUT && s_goes_on (self))
        ;
    return rc;
}

static int
s_flush (self_t *self)
{
    int rc;
    while ((rc = zspool_producer_flush (self->producer)) == ZSPOOL_ETIMEDOUT && s_goes_on (self))
        ;
    return rc;
}

//  End the open transaction.
static int
s_commit (self_t *self)
{
    int rc = ZSPOOL_OK;
    if (self->staged == 0)
        return rc;
    while ((rc = zspool_producer_commit (self->producer, NULL)) == ZSPOOL_ETIMEDOUT
           && s_goes_on (self))
        ;
    if (rc == ZSPOOL_OK)
        self->put += self->staged;
    self->staged = 0;
    return rc;
}

static int
s_put (self_t *self, const zspool_frame_t *frames, size_t count)
{
    if (self->skip > 0) {
        self->skip--;
        self->skipped++;
        return ZSPOOL_OK;
    }
    int rc = ZSPOOL_OK;
    if (self->transaction && self->staged == 0)
        rc = zspool_producer_begin (self->producer);
    while (rc == ZSPOOL_OK
           && (rc = zspool_producer_put (self->producer, frames, count, NULL)) == ZSPOOL_ETIMEDOUT
           && s_goes_on (self))
        rc = ZSPOOL_OK;
    if (rc)
        return rc;
    if (!self->transaction)
        self->put++;
    else if (++self->staged == self->transaction)
        rc = s_commit (self);
    return rc;
}

//  Wait until there is something to read, and read it. False when that fails, or a signal came.
static bool
s_read_on (self_t *self)
{
    struct pollfd items [] = { { source_fd (self->source), POLLIN, 0 }, { stop_fd (), POLLIN, 0 } };
    while (poll (items, 2, -1) < 0)
        ;
    return !stop_requested () && source_read (self->source);
}

//  Put all there is. A code of the library. *failed: the input cannot be put to its end, which was
//  reported, or a signal came.
static int
s_put_all (self_t *self, bool *failed)
{
    const zspool_frame_t *frames;
    size_t count;
    int rc = ZSPOOL_OK;
    while (rc == ZSPOOL_OK && !stop_requested ())
        switch (source_next (self->source, &frames, &count)) {
        case SOURCE_MESSAGE:
            rc = s_put (self, frames, count);
            if (rc == ZSPOOL_ETOOBIG || rc == ZSPOOL_ELIMIT) {
                command_report ("message %" PRIu64 ": %s",
                                self->put + self->staged + self->skipped + 1,
                                zspool_producer_reason (self->producer));
                *failed = true;
                return ZSPOOL_OK;
            }
            break;
        case SOURCE_WAIT:
            *failed = !s_read_on (self);
            if (*failed)
                return rc;
            break;
        case SOURCE_END: return rc;
        case SOURCE_FAILED: *failed = true; return rc;
        }
    *failed = *failed || stop_requested ();
    return rc;
}

static int
s_run (self_t *self)
{
    int rc = s_connect (self);
    if (rc)
        return s_report (self);
    self->source = source_new (&self->source_options);
    if (!self->source)
        return COMMAND_FAILED;
    *(self->resume? &self->skip: &self->base) = zspool_producer_last (self->producer);
    bool failed = false;
    rc = s_put_all (self, &failed);
    if (rc == ZSPOOL_OK && !failed)
        rc = s_commit (self);
    //  What was put before the input failed is as safe as any.
    int flushed = rc? rc: s_flush (self);
    uint64_t confirmed = zspool_producer_confirmed (self->producer) - self->base;
    if (flushed) {
        s_report (self);
        if (!self->transaction && confirmed < self->put + self->skipped)
            command_report ("not known to be stored: messages from number %" PRIu64 " on",
                            confirmed + 1);
    }
    else if (stop_requested ())
        command_report ("interrupted: %" PRIu64 " messages were put, and are safe", self->put);
    if (self->verbose)
        command_report ("%" PRIu64 " messages put, %" PRIu64 " left out", self->put, self->skipped);
    return flushed || failed? COMMAND_FAILED: COMMAND_OK;
}

int
put_main (int argc, char **argv)
{
    self_t self = { .source_options = { .size = PUT_MESSAGE_BYTES }, .timeout_ms = -1 };
    int option;
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        s_parse_option (&self, option);
    self.endpoint = command_operands (argc, argv, "the endpoint", "the spool", &self.spool);
    s_check_options (&self);
    s_make_producer (&self);
    if (!self.producer) {
        command_report ("out of memory");
        return COMMAND_FAILED;
    }
    int status = s_run (&self);
    source_destroy (&self.source);
    zspool_producer_destroy (&self.producer);
    return status;
}
