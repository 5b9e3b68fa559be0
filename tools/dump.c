//  dump.c - zspool dump: prints stored messages
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Reads one block at a time, and holds no view of the store while it writes, waits or is stopped:
//  so it never keeps a running device from using space again. What is trimmed before it is read is
//  not printed.

#include "command.h"
#include "filters.h"
#include "frames.h"
#include "letter.h"
#include "output.h"
#include "spool.h"
#include "stop.h"
#include "text.h"
#include "when.h"
#include "zspool.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DUMP_LOOK_MS 100 //  between two looks for new messages

static const char s_help [] =
    "usage: zspool dump DIR [SPOOL] [options]\n"
    "\n"
    "Prints the messages stored in a spool (default: main), acknowledged or not, oldest\n"
    "first. Changes nothing; works while a device runs on the store, and on a damaged\n"
    "one: blocks that cannot be read are told of on standard error, with exit status 1.\n"
    "\n"
    "  --name SPOOL       the spool, as an option\n"
    "  --from SEQ         begin at this sequence\n"
    "  --since TIME       begin with what was stored at or after this time:\n"
    "                     2026-11-22T08:30:00Z, @SECONDS since 1970, or -10m (ago)\n"
    "  --last N           begin with the last N messages\n"
    "  --to SEQ           end at this sequence\n"
    "  --until TIME       end before what was stored after this time\n"
    "  --count N          end after N messages\n"
    "  --filter FILTER    only messages whose topic, the first frame, matches: it begins with\n"
    "                     FILTER; or with * for one token between dots, and # for any number\n"
    "                     of them, it is such a topic. May be given again: any of them\n"
    "  --follow           at the end wait for more, until SIGINT, SIGTERM or --count\n"
    "  --format FORMAT    text (default): sequence, time, frames, tabs between; what\n"
    "                     cannot be printed is escaped\n"
    "                     json: an object a line\n"
    "                     hex: frames as hex digits, a blank between\n"
    "                     raw: nothing but the bytes of the frames\n"
    "  --output FILE      append to FILE, do not write to standard output\n"
    "  --help, --version  print this text or the version, and exit\n";

enum {
    OPTION_NAME = 256,
    OPTION_FROM,
    OPTION_SINCE,
    OPTION_LAST,
    OPTION_TO,
    OPTION_UNTIL,
    OPTION_COUNT,
    OPTION_FILTER,
    OPTION_FOLLOW,
    OPTION_FORMAT,
    OPTION_OUTPUT
};

static const struct option s_options [] = {
    { "name", required_argument, NULL, OPTION_NAME },
    { "from", required_argument, NULL, OPTION_FROM },
    { "since", required_argument, NULL, OPTION_SINCE },
    { "last", required_argument, NULL, OPTION_LAST },
    { "to", required_argument, NULL, OPTION_TO },
    { "until", required_argument, NULL, OPTION_UNTIL },
    { "count", required_argument, NULL, OPTION_COUNT },
    { "filter", required_argument, NULL, OPTION_FILTER },
    { "follow", no_argument, NULL, OPTION_FOLLOW },
    { "format", required_argument, NULL, OPTION_FORMAT },
    { "output", required_argument, NULL, OPTION_OUTPUT },
    COMMAND_OPTIONS_END
};

typedef enum { FORMAT_TEXT, FORMAT_JSON, FORMAT_HEX, FORMAT_RAW } format_t;

typedef struct {
    //  Options
    const char *directory;
    const char *name;       //  of the spool; NULL: main
    uint64_t from;          //  first sequence to print
    bool since_given;
    int64_t since_us;       //  begin with blocks stored then or later
    uint64_t last;          //  messages from the end; 0: not given
    uint64_t to;            //  last sequence to print
    int64_t until_us;       //  end before blocks stored later
    uint64_t count;         //  messages to print
    zspool_filter_t *filter; //  of messages to print; it matches all when it has none
    bool follow;
    format_t format;
    const char *file;       //  NULL: standard output

    //  State
    spool_t spool;
    output_t *output;
    uint64_t printed;       //  messages
    bool done;              //  nothing that comes is to be printed
} dump_t;

static void
s_parse_format (dump_t *self)
{
    static const char *const names [] = { "text", "json", "hex", "raw" };
    for (format_t format = FORMAT_TEXT; format <= FORMAT_RAW; format++)
        if (strcmp (optarg, names [format]) == 0) {
            self->format = format;
            return;
        }
    command_usage ("--format is text, json, hex or raw, not '%s'", optarg);
}

static void
s_parse_filter (dump_t *self)
{
    if (!filters_add (self->filter, optarg)) {
        command_report ("out of memory");
        exit (COMMAND_FAILED);
    }
}

static void
s_parse_option (dump_t *self, int option)
{
    switch (option) {
    case OPTION_NAME: self->name = command_text (); break;
    case OPTION_FROM: self->from = command_number (1, UINT64_MAX); break;
    case OPTION_SINCE: self->since_us = when_option (); self->since_given = true; break;
    case OPTION_LAST: self->last = command_number (1, UINT64_MAX); break;
    case OPTION_TO: self->to = command_number (1, UINT64_MAX); break;
    case OPTION_UNTIL: self->until_us = when_option (); break;
    case OPTION_COUNT: self->count = command_number (1, UINT64_MAX); break;
    case OPTION_FILTER: s_parse_filter (self); break;
    case OPTION_FOLLOW: self->follow = true; break;
    case OPTION_FORMAT: s_parse_format (self); break;
    case OPTION_OUTPUT: self->file = command_text (); break;
    }
}

static void
s_parse (dump_t *self, int argc, char **argv)
{
    int option;
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        s_parse_option (self, option);
    if ((self->from > 0) + self->since_given + (self->last > 0) > 1)
        command_usage ("only one of --from, --since and --last says where to begin");
    if (self->to < self->from)
        command_usage ("--to lies before --from");
    //  The spool may stand behind the directory.
    if (argc - optind == 2 && argv [optind + 1] [0]) {
        if (self->name)
            command_usage ("the spool is given twice: '%s' and '%s'", self->name, argv [optind + 1]);
        self->name = argv [--argc];
    }
    self->directory = command_operand (argc, argv, "the directory");
    if (!self->name)
        self->name = "main";
}

//  Tell of the block that was passed over.
static void
s_report_damage (dump_t *self, int rc)
{
    output_flush (self->output);
    spool_report_damage (&self->spool, rc);
}

//  Count the messages in [from, end) that are stored. False when reading fails.
static bool
s_count_messages (dump_t *self, uint64_t from, uint64_t end, uint64_t *count)
{
    zspool_block_t *block = NULL;
    zspool_reader_seek (self->spool.reader, from);
    for (*count = 0;;) {
        int rc = zspool_reader_next (self->spool.reader, &block);
        if (rc == ZSPOOL_ENOENT)
            return true;
        if (rc == ZSPOOL_ECORRUPT || rc == ZSPOOL_EVERSION)
            continue;
        if (rc != ZSPOOL_OK || stop_requested ())
            return false;
        uint64_t first = zspool_block_first_sequence (block), behind = zspool_block_last_sequence (block) + 1;
        zspool_block_destroy (&block);
        first = first > from? first: from;
        *count += first < end? (behind < end? behind: end) - first: 0;
        if (behind >= end)
            return true;
    }
}

//  Stand before the last messages. Where numbers are missing it is some further back.
static bool
s_seek_last (dump_t *self)
{
    uint64_t end = self->spool.info.last_sequence + 1, oldest = self->spool.info.first_sequence;
    uint64_t missing = self->last;
    self->from = end;
    while (missing > 0 && self->from > oldest && oldest > 0) {
        uint64_t from = self->from - oldest > missing? self->from - missing: oldest, count = missing;
        if (self->spool.info.lost > 0 && !s_count_messages (self, from, self->from, &count))
            return false;
        missing -= count < missing? count: missing;
        self->from = from;
    }
    return true;
}

//  Stand where to begin. Gives a code of zspool_error_t.
static int
s_seek (dump_t *self)
{
    if (self->since_given) {
        int rc = zspool_reader_seek_time (self->spool.reader, self->since_us);
        //  Nothing as new as that is there yet: begin with what comes.
        if (rc == ZSPOOL_ENOENT) {
            self->from = self->spool.info.last_sequence + 1;
            zspool_reader_seek (self->spool.reader, self->from);
            rc = ZSPOOL_OK;
        }
        return rc;
    }
    if (self->last > 0 && !s_seek_last (self))
        return ZSPOOL_EIO;
    zspool_reader_seek (self->spool.reader, self->from);
    return ZSPOOL_OK;
}

static int
s_write_json (dump_t *self, zspool_record_t *record, const char *time)
{
    char text [128];
    int length = snprintf (text, sizeof text, "{\"sequence\": %" PRIu64 ", \"stored\": \"%s\", ",
                           record->sequence, time);
    if (output_write (self->output, text, (size_t) length) != 0)
        return -1;
    zspool_history_t history;
    if (zspool_history_read (&history, record) == ZSPOOL_OK
        && (letter_write_json_history (self->output, &history) != 0 || output_write (self->output, ", ", 2) != 0))
        return -1;
    if (output_write (self->output, "\"frames\": ", 10) != 0 || frames_write_json (self->output, record) != 0)
        return -1;
    return output_write (self->output, "}\n", 2);
}

static int
s_write_text (dump_t *self, zspool_record_t *record, const char *time)
{
    char text [64];
    int length = snprintf (text, sizeof text, "%" PRIu64 "\t%s\t", record->sequence, time);
    if (output_write (self->output, text, (size_t) length) != 0
        || frames_write_text (self->output, record) != 0)
        return -1;
    return output_write (self->output, "\n", 1);
}

static int
s_write_message (dump_t *self, zspool_record_t *record, const char *time)
{
    switch (self->format) {
    case FORMAT_TEXT: return s_write_text (self, record, time);
    case FORMAT_JSON: return s_write_json (self, record, time);
    case FORMAT_RAW: return frames_write_raw (self->output, record);
    default: break;
    }
    return frames_write_hex (self->output, record) != 0? -1: output_write (self->output, "\n", 1);
}

//  Print what is wanted of a block. False when the output fails.
static bool
s_print_block (dump_t *self, const zspool_block_t *block)
{
    if (zspool_block_stored_us (block) > self->until_us) {
        self->done = true;
        return true;
    }
    char time [WHEN_TEXT_BYTES];
    when_text (zspool_block_stored_us (block), time);
    zspool_record_t record;
    zspool_filter_rewind (self->filter, block, &record);
    while (!self->done && !stop_requested () && zspool_filter_next (self->filter, block, &record)) {
        if (record.sequence < self->from)
            continue;
        if (record.sequence > self->to) {
            self->done = true;
            break;
        }
        if (s_write_message (self, &record, time) != 0)
            return false;
        self->done = ++self->printed == self->count || record.sequence == self->to;
    }
    return true;
}

//  Nothing more is there: wait a moment. False at a signal, or when no more is wanted.
static bool
s_wait (dump_t *self)
{
    struct pollfd stop = { .fd = stop_fd (), .events = POLLIN };
    return self->follow && poll (&stop, 1, DUMP_LOOK_MS) <= 0 && !stop_requested ();
}

//  Print until the end. Gives an exit status.
static int
s_print (dump_t *self)
{
    while (!self->done && !stop_requested ()) {
        zspool_block_t *block = NULL;
        int rc = zspool_reader_next (self->spool.reader, &block);
        bool written = rc != ZSPOOL_OK || s_print_block (self, block);
        zspool_block_destroy (&block);
        if (zspool_reader_sequence (self->spool.reader) > self->to)
            self->done = true;
        if (rc == ZSPOOL_ENOENT)
            written = output_flush (self->output) == 0;
        if (!written)
            break;
        if (rc == ZSPOOL_ENOENT && (self->done || !s_wait (self)))
            break;
        if (rc == ZSPOOL_ECORRUPT || rc == ZSPOOL_EVERSION)
            s_report_damage (self, rc);
        else if (rc != ZSPOOL_OK && rc != ZSPOOL_ENOENT && rc != ZSPOOL_ELIMIT) {
            output_flush (self->output);
            command_report ("'%s' cannot be read on: %s (see zspool salvage)", self->directory, zspool_strerror (rc));
            return COMMAND_FAILED;
        }
    }
    if (!output_error (self->output) && (self->file? output_sync: output_flush) (self->output) == 0)
        return self->spool.damaged? COMMAND_FAILED: COMMAND_OK;
    if (output_error (self->output) == EINTR)
        command_report ("interrupted while writing %s", output_name (self->output));
    else
        command_report_write (output_name (self->output), output_error (self->output));
    return COMMAND_FAILED;
}

static int
s_run (dump_t *self)
{
    int status = spool_open (&self->spool, self->directory, self->name);
    if (status != COMMAND_OK)
        return status;
    self->output = output_new (self->file);
    if (!self->output) {
        command_report ("cannot open '%s': %s", self->file? self->file: "", strerror (errno));
        return COMMAND_FAILED;
    }
    int rc = s_seek (self);
    //  When a block was stored is not known of one that is passed over.
    if (self->until_us == INT64_MAX)
        zspool_reader_set_filter (self->spool.reader, self->filter);
    if (rc == ZSPOOL_OK)
        return s_print (self);
    if (!stop_requested ())
        command_report ("'%s' cannot be searched: %s", self->directory, zspool_strerror (rc));
    return stop_requested ()? COMMAND_OK: COMMAND_FAILED;
}

int
dump_main (int argc, char **argv)
{
    dump_t dump = { .to = UINT64_MAX, .until_us = INT64_MAX, .filter = zspool_filter_new () };
    if (!dump.filter) {
        command_report ("out of memory");
        return COMMAND_FAILED;
    }
    s_parse (&dump, argc, argv);
    int status = s_run (&dump);
    output_destroy (&dump.output);
    spool_close (&dump.spool);
    zspool_filter_destroy (&dump.filter);
    return status;
}
