//  salvage.c - zspool salvage: saves what a damaged store still holds
//
//  SPDX-License-Identifier: MPL-2.0

#include "command.h"
#include "stop.h"
#include "text.h"
#include "zspool.h"

#include <inttypes.h>
#include <stdio.h>

#define SALVAGE_LINES_MAX 100 //  lines about lost messages of one spool

static const char s_help [] =
    "usage: zspool salvage DIR NEWDIR\n"
    "\n"
    "Saves what the damaged store in DIR still holds into a new store in the new\n"
    "directory NEWDIR, and prints what was saved and what is lost. Changes nothing in\n"
    "DIR; no device may run on it. Exit status 0: everything was saved; 1: something is\n"
    "lost, or nothing could be done, which one line on standard error tells.\n"
    "\n"
    "  --help, --version  print this text or the version, and exit\n";

static const struct option s_options [] = { COMMAND_OPTIONS_END };

static bool
s_goes_on (void *arg)
{
    (void) arg;
    return !stop_requested ();
}

static void
s_print_lost (void *arg, const char *spool, uint64_t first, uint64_t last)
{
    uint64_t *lines = (uint64_t *) arg;
    if (++*lines > SALVAGE_LINES_MAX)
        return;
    text_print (spool);
    if (first == last)
        printf (" %" PRIu64 ": lost\n", first);
    else
        printf (" %" PRIu64 "..%" PRIu64 ": lost\n", first, last);
}

static void
s_print_spool (void *arg, const zspool_salvage_spool_t *spool)
{
    uint64_t *lines = (uint64_t *) arg;
    text_print (spool->name);
    if (*lines > SALVAGE_LINES_MAX)
        printf (": %" PRIu64 " more runs of messages are lost\n", *lines - SALVAGE_LINES_MAX);
    if (*lines > SALVAGE_LINES_MAX)
        text_print (spool->name);
    *lines = 0;
    printf (": saved %" PRIu64 " messages in %" PRIu64 " blocks, %" PRIu64 " bytes, and %" PRIu64
            " cursors; lost %" PRIu64 " messages\n", spool->messages, spool->blocks, spool->bytes, spool->cursors,
            spool->lost);
    if (spool->is_named_anew) {
        text_print (spool->name);
        printf (": named so because it is not known which spool this is\n");
    }
    if (spool->beside) {
        text_print (spool->name);
        printf (": %" PRIu64 " of the messages were found apart from any index\n", spool->beside);
    }
    if (spool->cursors_lost) {
        text_print (spool->name);
        printf (": %" PRIu64 " cursors could not be read; they start at the first message\n", spool->cursors_lost);
    }
}

static int
s_summarize (const zspool_salvage_result_t *result)
{
    if (result->records_lost)
        printf ("small records were damaged: acknowledged messages may be delivered again\n");
    if (result->producers)
        printf ("saved %" PRIu64 " producers\n", result->producers);
    if (result->producers_lost)
        printf ("%" PRIu64 " producers could not be read: what they send again is stored again\n",
                result->producers_lost);
    if (result->tables)
        printf ("saved %" PRIu64 " tables of an application: they have no checksums\n", result->tables);
    if (result->tables_damaged)
        printf ("%" PRIu64 " tables of an application are damaged: something of them is lost\n",
                result->tables_damaged);
    if (result->unplaced)
        printf ("%" PRIu64 " messages fit in no spool, and were not saved\n", result->unplaced);
    if (result->searched)
        printf ("something was damaged or missing: the whole file was searched\n");
    printf ("%s, saved %" PRIu64 " messages in %" PRIu64 " spools, lost %" PRIu64 "\n",
            result->complete? "everything was saved": "not everything was saved", result->messages,
            result->spools, result->lost + result->unplaced);
    return result->complete? COMMAND_OK: COMMAND_FAILED;
}

int
salvage_main (int argc, char **argv)
{
    while (command_option (argc, argv, s_options, s_help) != -1)
        ;
    const char *to, *directory = command_operands (argc, argv, "the directory", "the new directory", &to);
    uint64_t lines = 0;
    zspool_salvage_options_t options = {
        .lost = s_print_lost, .spool = s_print_spool, .go_on = s_goes_on, .arg = &lines };
    zspool_salvage_result_t result;
    char reason [ZSPOOL_SALVAGE_REASON_BYTES] = "";
    if (zspool_salvage (directory, to, &options, &result, reason) == ZSPOOL_OK)
        return s_summarize (&result);
    command_report ("%s", reason);
    return COMMAND_FAILED;
}
