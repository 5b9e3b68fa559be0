//  dead.c - zspool dead: lists dead letters, shows them, puts them back, drops them
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Looking needs no more than to read the store. What changes it goes through the device that runs
//  on it, or, when none does, is done here.

#include "command.h"
#include "frames.h"
#include "letter.h"
#include "output.h"
#include "stop.h"
#include "zspool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char s_help [] =
    "usage: zspool dead list DIR [options]\n"
    "       zspool dead show DIR SEQ... [options]\n"
    "       zspool dead requeue DIR SEQ... [options]\n"
    "       zspool dead drop DIR SEQ... [options]\n"
    "\n"
    "Dead letters are messages that a queue with --max-deliveries has delivered that often,\n"
    "and nobody acknowledged. `list` prints a line for each; `show` prints what is known of\n"
    "them and their frames; `requeue` puts them back to the end of their queue; `drop`\n"
    "removes them for good. All work at rest and while a device runs on the store in DIR.\n"
    "SEQ is the number in the first column of the list, or a range such as 20-30.\n"
    "\n"
    "  --name SPOOL       the queue's spool (default main)\n"
    "  --all              every letter, instead of SEQ\n"
    "  --limit N          list: end after N letters\n"
    "  --json             list, show: an object a line\n"
    "  --raw              show: nothing but the bytes of the frames\n"
    "  --help, --version  print this text or the version, and exit\n";

enum { OPTION_NAME = 256, OPTION_ALL, OPTION_LIMIT, OPTION_JSON, OPTION_RAW };

static const struct option s_options [] = {
    { "name", required_argument, NULL, OPTION_NAME },
    { "all", no_argument, NULL, OPTION_ALL },
    { "limit", required_argument, NULL, OPTION_LIMIT },
    { "json", no_argument, NULL, OPTION_JSON },
    { "raw", no_argument, NULL, OPTION_RAW },
    COMMAND_OPTIONS_END
};

typedef enum { LIST, SHOW, REQUEUE, DROP, ACTIONS } s_action_t;

static const char *const s_actions [] = { "list", "show", "requeue", "drop" };

typedef struct {
    uint64_t first;
    uint64_t last;
} s_range_t;

typedef struct {
    s_action_t action;
    const char *directory;
    const char *name;
    bool all;
    bool json;
    bool raw;
    uint64_t limit;
    s_range_t *ranges;          //  chosen
    size_t ranges_count;
    bool failed;                //  a line was reported
    zspool_store_t *store;      //  NULL: asked through
    zspool_control_t *control;
    zspool_dead_t *dead;        //  NULL until looked for
    output_t *output;
} dead_t;

//  ------------------------------------------------------------------------------------------------
//  The command line

//  Parse a sequence or a range of them; exits when it is none.
static s_range_t
s_parse_range (const char *text)
{
    char *end;
    s_range_t range;
    errno = 0;
    range.first = range.last = strtoull (text, &end, 10);
    if (*end == '-' && end [1] >= '0' && end [1] <= '9')
        range.last = strtoull (end + 1, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || range.first == 0 || range.first > range.last)
        command_usage ("'%s' is no sequence, and no range such as 20-30", text);
    return range;
}

static void
s_parse_action (dead_t *self, int argc, char **argv)
{
    if (optind >= argc)
        command_usage ("what to do is missing: list, show, requeue or drop (see zspool dead --help)");
    const char *word = argv [optind++];
    while (self->action < ACTIONS && strcmp (word, s_actions [self->action]) != 0)
        self->action++;
    if (self->action == ACTIONS)
        command_usage ("'%s' is none of list, show, requeue, drop", word);
    if (optind >= argc || !*argv [optind])
        command_usage ("the directory is missing (see zspool dead --help)");
    self->directory = argv [optind++];
}

//  Check that options fit what is to be done.
static void
s_check_options (const dead_t *self, bool limited)
{
    if (limited && self->action != LIST)
        command_usage ("--limit goes with list only");
    if (self->json && self->action > SHOW)
        command_usage ("--json goes with list and show only");
    if (self->raw && (self->action != SHOW || self->json))
        command_usage ("--raw goes with show only, and without --json");
    if (self->all && self->ranges_count > 1)
        command_usage ("--all and sequences exclude each other");
    if (self->ranges_count == 0)
        command_usage ("say which letters: sequences, or --all");
}

static void
s_parse (dead_t *self, int argc, char **argv)
{
    int option;
    bool limited = false;
    self->ranges = (s_range_t *) calloc ((size_t) argc + 1, sizeof *self->ranges);
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        switch (option) {
        case OPTION_NAME: self->name = command_text (); break;
        case OPTION_ALL: self->all = true; break;
        case OPTION_LIMIT: self->limit = command_number (1, UINT64_MAX); limited = true; break;
        case OPTION_JSON: self->json = true; break;
        default: self->raw = true; break;
        }
    s_parse_action (self, argc, argv);
    while (optind < argc && self->ranges)
        self->ranges [self->ranges_count++] = s_parse_range (argv [optind++]);
    if (self->ranges && (self->all || (self->action == LIST && self->ranges_count == 0)))
        self->ranges [self->ranges_count++] = (s_range_t){ 1, UINT64_MAX };
    if (self->ranges)
        s_check_options (self, limited);
}

//  ------------------------------------------------------------------------------------------------
//  Looking

static void
s_fail (dead_t *self, int rc)
{
    const char *reason = self->control? zspool_control_reason (self->control):
                                        zspool_store_reason (self->store);
    command_report ("%s", *reason? reason: zspool_strerror (rc));
    self->failed = true;
}

//  Say that there are no letters in a range, if that was asked for by number.
static void
s_report_none (dead_t *self, const s_range_t *range)
{
    if (self->all || self->action == LIST)
        return;
    if (range->first == range->last)
        command_report ("'%s' has no dead letter %" PRIu64 " of %s", self->directory, range->first, self->name);
    else
        command_report ("'%s' has no dead letters %" PRIu64 "-%" PRIu64 " of %s", self->directory,
                        range->first, range->last, self->name);
    self->failed = true;
}

static int
s_write_letter (dead_t *self, zspool_letter_t *letter)
{
    if (self->raw)
        return frames_write_raw (self->output, &letter->record);
    if (self->json)
        return letter_write_json (self->output, letter, self->action == SHOW);
    return self->action == LIST? letter_write_line (self->output, letter):
                                 letter_write_text (self->output, letter);
}

//  Print the letters of a range. False when the output fails, or reading does.
static bool
s_print_range (dead_t *self, const s_range_t *range, uint64_t *printed)
{
    zspool_letter_t letter;
    uint64_t found = 0;
    int rc = zspool_dead_seek (self->dead, range->first);
    while (rc == ZSPOOL_OK && !stop_requested () && *printed < self->limit) {
        rc = zspool_dead_next (self->dead, &letter);
        if (rc == ZSPOOL_ECORRUPT) {
            command_report ("letters were passed over that are damaged (see zspool verify)");
            self->failed = true;
            rc = ZSPOOL_OK;
            continue;
        }
        if (rc || letter.sequence > range->last)
            break;
        if (s_write_letter (self, &letter) != 0)
            return false;
        found++;
        ++*printed;
    }
    if (rc != ZSPOOL_OK && rc != ZSPOOL_ENOENT)
        s_fail (self, rc);
    else if (found == 0)
        s_report_none (self, range);
    return true;
}

static void
s_look (dead_t *self)
{
    uint64_t printed = 0;
    bool written = true;
    self->output = output_new (NULL);
    if (!self->output) {
        command_report ("out of memory");
        self->failed = true;
        return;
    }
    if (self->action == LIST && !self->json)
        written = letter_write_head (self->output) == 0;
    for (size_t index = 0; written && index < self->ranges_count; index++)
        written = s_print_range (self, &self->ranges [index], &printed);
    if (!written || output_flush (self->output) != 0) {
        command_report_write (output_name (self->output), output_error (self->output));
        self->failed = true;
    }
}

//  ------------------------------------------------------------------------------------------------
//  Changing

static int
s_change_range (dead_t *self, const s_range_t *range, uint64_t *count)
{
    if (self->control && self->action == REQUEUE)
        return zspool_control_requeue (self->control, self->name, range->first, range->last, count);
    if (self->control)
        return zspool_control_drop (self->control, self->name, range->first, range->last, count);
    return self->action == REQUEUE? zspool_dead_requeue (self->dead, range->first, range->last, count):
                                    zspool_dead_drop (self->dead, range->first, range->last, count);
}

static void
s_change (dead_t *self)
{
    uint64_t changed = 0;
    for (size_t index = 0; index < self->ranges_count && !stop_requested (); index++) {
        uint64_t count = 0;
        int rc = s_change_range (self, &self->ranges [index], &count);
        changed += count;
        if (rc == ZSPOOL_ENOENT)
            s_report_none (self, &self->ranges [index]);
        else if (rc == ZSPOOL_ECORRUPT) {
            command_report ("letters were passed over that are damaged (see zspool verify)");
            self->failed = true;
        }
        else if (rc) {
            s_fail (self, rc);
            break;
        }
    }
    printf ("%s: %" PRIu64 "\n", self->action == REQUEUE? "requeued": "dropped", changed);
}

//  ------------------------------------------------------------------------------------------------
//  Store or device

//  Open the store, and find the dead letters in it. False, and a line, when there are none.
static bool
s_open (dead_t *self, zspool_mode_t mode)
{
    self->store = zspool_store_new (self->directory);
    int rc = self->store? ZSPOOL_OK: ZSPOOL_ENOMEM;
    if (rc == ZSPOOL_OK && mode == ZSPOOL_WRITE) {
        //  What is not there is not to be created.
        rc = zspool_store_open (self->store, ZSPOOL_READ);
        if (rc == ZSPOOL_OK) {
            zspool_store_destroy (&self->store);
            self->store = zspool_store_new (self->directory);
            rc = self->store? ZSPOOL_OK: ZSPOOL_ENOMEM;
        }
    }
    if (rc == ZSPOOL_OK)
        rc = zspool_store_open (self->store, mode);
    if (rc == ZSPOOL_OK) {
        self->dead = zspool_dead_new (self->store, self->name);
        if (self->dead)
            return true;
        command_report ("'%s' has no dead letters of %s", self->directory, self->name);
        self->failed = true;
    }
    else
        s_fail (self, rc);
    return false;
}

//  Connect to the device that runs on the store. False when there is none, or, with a line, it
//  cannot be had.
static bool
s_connect (dead_t *self)
{
    self->control = zspool_control_new (self->directory);
    int rc = self->control? zspool_control_connect (self->control): ZSPOOL_ENOMEM;
    if (rc == ZSPOOL_OK)
        return true;
    if (rc != ZSPOOL_ENOENT)
        s_fail (self, rc);
    zspool_control_destroy (&self->control);
    return false;
}

int
dead_main (int argc, char **argv)
{
    dead_t dead = { .name = "main", .limit = UINT64_MAX };
    s_parse (&dead, argc, argv);
    if (!dead.ranges) {
        command_report ("out of memory");
        return COMMAND_FAILED;
    }
    if (dead.action <= SHOW) {
        if (s_open (&dead, ZSPOOL_READ))
            s_look (&dead);
    }
    else if (s_connect (&dead) || (!dead.failed && s_open (&dead, ZSPOOL_WRITE)))
        s_change (&dead);
    output_destroy (&dead.output);
    zspool_dead_destroy (&dead.dead);
    zspool_store_destroy (&dead.store);
    zspool_control_destroy (&dead.control);
    free (dead.ranges);
    return dead.failed? COMMAND_FAILED: COMMAND_OK;
}
