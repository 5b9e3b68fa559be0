//  replay.c - zspool replay: sends stored messages once more
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Reads one block at a time, and holds no view of the store while it sends, waits or is stopped:
//  so it never keeps a running device from using space again. What is trimmed before it is read is
//  not sent.

#include "command.h"
#include "filters.h"
#include "sending.h"
#include "spool.h"
#include "stop.h"
#include "when.h"
#include "zspool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPLAY_LOOK_MS 100 //  between two looks for new messages
#define REPLAY_PACE_MIN 0.001
#define REPLAY_PACE_MAX 1e6

static const char s_help [] =
    "usage: zspool replay DIR ENDPOINT [options]\n"
    "\n"
    "Sends the messages stored in a spool, acknowledged or not, oldest first. ENDPOINT\n"
    "is connected to, or bound to if it begins with @. Changes nothing in the store;\n"
    "works while a device runs on it, and on a damaged one: blocks that cannot be read\n"
    "are told of on standard error, with exit status 1.\n"
    "\n"
    "  --name SPOOL       the spool (default: main)\n"
    "  --type KIND        push (default) or pub\n"
    "  --subscribers N    pub: wait until there are N subscriptions before the first\n"
    "                     message (default 1; 0: do not wait)\n"
    "  --from START       all (default), new, last:N, a sequence, or a time:\n"
    "                     2026-11-22T08:30:00Z, @SECONDS since 1970, or -10m (ago)\n"
    "  --to END           end behind this sequence, or what was stored at this time\n"
    "  --filter FILTER    only messages whose first frame begins so, or matches a\n"
    "                     pattern with * and #; may be given again\n"
    "  --count N          end after N messages\n"
    "  --rate N           send at most N messages a second\n"
    "  --pace FACTOR      send them at the pace at which they came, times FACTOR\n"
    "  --follow           at the end wait for more, until SIGINT, SIGTERM or --count\n"
    "  --hwm N            high-water mark, messages (default 1000)\n"
    "  --timeout MS       give up when no peer takes a message for that long\n"
    "  --linger MS        give up when at the end not all is sent after that long\n"
    "                     (default: --timeout, or never)\n"
    "  --verbose          tell when peers come and go, how far it is, and sum up\n"
    "  --help, --version  print this text or the version, and exit\n";

enum {
    OPTION_NAME = SENDING_OPTIONS_END,
    OPTION_TYPE,
    OPTION_FROM,
    OPTION_TO,
    OPTION_FILTER,
    OPTION_COUNT,
    OPTION_PACE,
    OPTION_FOLLOW
};

static const struct option s_options [] = {
    SENDING_OPTIONS,
    SENDING_OPTIONS_PUB,
    { "name", required_argument, NULL, OPTION_NAME },
    { "type", required_argument, NULL, OPTION_TYPE },
    { "from", required_argument, NULL, OPTION_FROM },
    { "to", required_argument, NULL, OPTION_TO },
    { "filter", required_argument, NULL, OPTION_FILTER },
    { "count", required_argument, NULL, OPTION_COUNT },
    { "pace", required_argument, NULL, OPTION_PACE },
    { "follow", no_argument, NULL, OPTION_FOLLOW },
    COMMAND_OPTIONS_END
};

typedef struct {
    //  Options
    const char *directory;
    const char *name;        //  of the spool
    zspool_start_t from;
    uint64_t to;             //  last sequence to send
    int64_t to_us;           //  end before blocks stored later
    zspool_filter_t *filter; //  messages to send
    uint64_t count;          //  messages to send; 0: no limit
    double pace;             //  times the original pace; 0: as fast as can be
    bool follow;             //  wait for more at the end
    bool subscribers_given;  //  --subscribers

    //  State
    sending_t sending;
    spool_t spool;
    uint64_t first;          //  sequence to begin with
    uint64_t last;           //  that of the last message that was there when it began, or is wanted
    uint64_t sequence;       //  of the message sent last; 0: none
    int64_t arrival_us;      //  when it had arrived
    int64_t pace_arrival_us; //  the same of the first message
    double pace_start_us;    //  when that was sent
    bool done;               //  nothing that comes is to be sent
} replay_t;

static void
s_parse_type (replay_t *self)
{
    bool publish = strcmp (optarg, "pub") == 0;
    if (!publish && strcmp (optarg, "push") != 0)
        command_usage ("--type is push or pub, not '%s'", optarg);
    self->sending.wire_options.type = publish? ZMQ_XPUB: ZMQ_PUSH;
}

static void
s_parse_from (replay_t *self)
{
    if (zspool_start_parse (&self->from, command_text ()) != ZSPOOL_OK)
        command_usage ("--from is all, new, last:N, a sequence or a time, not '%s'", optarg);
}

static void
s_parse_to (replay_t *self)
{
    zspool_start_t to;
    if (zspool_start_parse (&to, command_text ()) != ZSPOOL_OK
        || (to.kind != ZSPOOL_FROM_SEQUENCE && to.kind != ZSPOOL_FROM_TIME))
        command_usage ("--to is a sequence or a time, not '%s'", optarg);
    self->to = to.kind == ZSPOOL_FROM_SEQUENCE? to.number: UINT64_MAX;
    self->to_us = to.kind == ZSPOOL_FROM_TIME? to.time_us: INT64_MAX;
}

static void
s_parse_pace (replay_t *self)
{
    char *end;
    self->pace = strtod (command_text (), &end);
    if (*end || strspn (optarg, "0123456789.") != strlen (optarg) || self->pace < REPLAY_PACE_MIN
        || self->pace > REPLAY_PACE_MAX)
        command_usage ("--pace takes a number from %g to %.0f, not '%s'", REPLAY_PACE_MIN,
                       REPLAY_PACE_MAX, optarg);
}

static void
s_parse_filter (replay_t *self)
{
    if (!filters_add (self->filter, optarg)) {
        command_report ("out of memory");
        exit (COMMAND_FAILED);
    }
}

static void
s_parse_option (replay_t *self, int option)
{
    switch (option) {
    case OPTION_NAME: self->name = command_text (); break;
    case OPTION_TYPE: s_parse_type (self); break;
    case OPTION_FROM: s_parse_from (self); break;
    case OPTION_TO: s_parse_to (self); break;
    case OPTION_FILTER: s_parse_filter (self); break;
    case OPTION_COUNT: self->count = command_number (1, UINT64_MAX); break;
    case OPTION_PACE: s_parse_pace (self); break;
    case OPTION_FOLLOW: self->follow = true; break;
    default:
        self->subscribers_given = self->subscribers_given || option == SENDING_SUBSCRIBERS;
        sending_option (&self->sending, option);
    }
}

static void
s_parse (replay_t *self, int argc, char **argv)
{
    int option;
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        s_parse_option (self, option);
    self->directory = command_operands (argc, argv, "the directory", "the endpoint",
                                        &self->sending.wire_options.endpoints);
    if (self->subscribers_given && self->sending.wire_options.type != ZMQ_XPUB)
        command_usage ("--subscribers needs --type pub");
    if (self->pace > 0 && self->sending.rate > 0)
        command_usage ("only one of --rate and --pace says how fast to send");
    if (self->from.kind == ZSPOOL_FROM_SEQUENCE && self->to < self->from.number)
        command_usage ("--to lies before --from");
    self->sending.endless = self->follow && !self->count;
}

//  How far it is, for a line of progress
static void
s_describe (const void *owner, char *text, size_t size)
{
    const replay_t *self = (const replay_t *) owner;
    char time [WHEN_TEXT_BYTES];
    if (self->sequence == 0)
        return;
    when_text (self->arrival_us, time);
    int used = 0;
    if (self->sequence <= self->last)
        used = snprintf (text, size, ", %.1f%%", 100 * (double) (self->sequence - self->first + 1)
                                                     / (double) (self->last - self->first + 1));
    snprintf (text + used, size - (size_t) used, ", message %" PRIu64 " of %s", self->sequence,
              time);
}

//  The last sequence of the range, as far as it is stored already. Gives a code of zspool_error_t.
static int
s_find_last (replay_t *self)
{
    self->last = self->spool.info.last_sequence;
    if (self->to_us < INT64_MAX) {
        zspool_start_t behind = { ZSPOOL_FROM_TIME, 0, self->to_us + 1 };
        uint64_t sequence;
        int rc = zspool_store_find_start (self->spool.store, self->spool.info.id, &behind,
                                          &sequence);
        if (rc != ZSPOOL_OK)
            return rc;
        if (sequence != ZSPOOL_START_NEW)
            self->last = sequence - 1;
    }
    if (self->last > self->to)
        self->last = self->to;
    return ZSPOOL_OK;
}

//  Stand where to begin. Gives a code of zspool_error_t.
static int
s_seek (replay_t *self)
{
    uint64_t first;
    int rc = zspool_store_find_start (self->spool.store, self->spool.info.id, &self->from, &first);
    if (rc == ZSPOOL_OK)
        rc = s_find_last (self);
    if (rc != ZSPOOL_OK)
        return rc;
    if (first == ZSPOOL_START_NEW)
        first = self->spool.info.last_sequence + 1;
    if (first < self->spool.info.first_sequence)
        first = self->spool.info.first_sequence;
    self->first = first;
    zspool_reader_seek (self->spool.reader, first);
    zspool_reader_set_filter (self->spool.reader, self->filter);
    return ZSPOOL_OK;
}

//  Wait until the message at hand is due.
static void
s_keep_pace (replay_t *self)
{
    if (self->pace > 0) {
        if (self->sequence == 0) {
            self->pace_arrival_us = self->arrival_us;
            self->pace_start_us = (double) command_clock_us ();
        }
        double passed_us = (double) (self->arrival_us - self->pace_arrival_us);
        self->sending.due_us = self->pace_start_us + passed_us / self->pace;
        sending_wait_due (&self->sending);
    }
    else if (self->sending.rate > 0)
        sending_pace (&self->sending);
}

//  Send what is wanted of a block. False when that fails, which is reported, or a signal came.
static bool
s_send_block (replay_t *self, zspool_block_t *block)
{
    zspool_record_t record;
    self->done = zspool_block_stored_us (block) > self->to_us;
    zspool_filter_rewind (self->filter, block, &record);
    while (!self->done && zspool_filter_next (self->filter, block, &record)) {
        if (record.sequence < self->first)
            continue;
        if (record.sequence > self->to) {
            self->done = true;
            break;
        }
        self->arrival_us = zspool_record_arrival_us (block, &record);
        s_keep_pace (self);
        if (stop_requested () || !sending_record (&self->sending, &record, block))
            return false;
        self->sequence = record.sequence;
        self->done = self->sending.meter.messages == self->count || record.sequence == self->to;
    }
    return true;
}

//  Nothing more is there: wait a moment. False at a signal, or when no more is wanted.
static bool
s_wait (replay_t *self)
{
    meter_t *meter = &self->sending.meter;
    if (!self->follow || zspool_reader_sequence (self->spool.reader) > self->to)
        return false;
    meter_show (meter);
    wire_wait (self->sending.wire, 0, -1, meter_wait_ms (meter, REPLAY_LOOK_MS));
    return !stop_requested ();
}

//  Send all that is wanted. False when that fails, which is reported, or a signal came too soon.
static bool
s_send_all (replay_t *self)
{
    while (!self->done && !stop_requested ()) {
        zspool_block_t *block = NULL;
        int rc = zspool_reader_next (self->spool.reader, &block);
        bool sent = rc != ZSPOOL_OK || s_send_block (self, block);
        zspool_block_destroy (&block);
        if (!sent)
            break;
        if (rc == ZSPOOL_ENOENT && !s_wait (self))
            return !stop_requested () || self->sending.endless;
        if (rc == ZSPOOL_ECORRUPT || rc == ZSPOOL_EVERSION) {
            meter_wipe (&self->sending.meter);
            spool_report_damage (&self->spool, rc);
        }
        else if (rc != ZSPOOL_OK && rc != ZSPOOL_ENOENT && rc != ZSPOOL_ELIMIT) {
            meter_clear (&self->sending.meter);
            command_report ("'%s' cannot be read on: %s (see zspool salvage)", self->directory,
                            zspool_strerror (rc));
            return false;
        }
    }
    return self->done || (stop_requested () && self->sending.endless);
}

static void
s_summarize (replay_t *self)
{
    char more [64] = "";
    if (self->sequence > 0)
        snprintf (more, sizeof more, ", up to sequence %" PRIu64, self->sequence);
    meter_summary (&self->sending.meter, more);
}

static int
s_send (replay_t *self)
{
    bool is_terminal = isatty (STDERR_FILENO);
    bool told = is_terminal || self->sending.wire_options.verbose;
    int status = sending_open (&self->sending, told);
    if (status != COMMAND_OK)
        return status;
    self->sending.meter.lines = !is_terminal;
    self->sending.meter.describe = s_describe;
    self->sending.meter.owner = self;
    bool sent = s_send_all (self);
    bool arrived = sending_finish (&self->sending);
    if (told)
        s_summarize (self);
    return sent && arrived && !self->spool.damaged? COMMAND_OK: COMMAND_FAILED;
}

static int
s_run (replay_t *self)
{
    int status = spool_open (&self->spool, self->directory, self->name);
    if (status != COMMAND_OK)
        return status;
    int rc = s_seek (self);
    if (rc == ZSPOOL_OK)
        return s_send (self);
    command_report ("'%s' cannot be searched: %s", self->directory, zspool_strerror (rc));
    return COMMAND_FAILED;
}

int
replay_main (int argc, char **argv)
{
    replay_t replay = { .name = "main",
                        .to = UINT64_MAX,
                        .to_us = INT64_MAX,
                        .filter = zspool_filter_new (),
                        .sending = sending_new (ZMQ_PUSH) };
    if (!replay.filter) {
        command_report ("out of memory");
        return COMMAND_FAILED;
    }
    s_parse (&replay, argc, argv);
    int status = s_run (&replay);
    sending_close (&replay.sending);
    spool_close (&replay.spool);
    zspool_filter_destroy (&replay.filter);
    return status;
}
