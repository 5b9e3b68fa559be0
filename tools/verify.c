//  verify.c - zspool verify: checks everything in a store
//
//  SPDX-License-Identifier: MPL-2.0

#include "command.h"
#include "text.h"
#include "zspool.h"

#include <inttypes.h>
#include <stdio.h>

static const char s_help [] =
    "usage: zspool verify DIR\n"
    "\n"
    "Reads every block, cursor, gap and count of the store in DIR and checks them\n"
    "against each other. Prints a line for each finding, with its spool and sequences,\n"
    "one that sums up, and what to do. Exit status 0: the store is sound; 1: there are\n"
    "findings, or it cannot be read. Works while a device runs on it, and never changes\n"
    "it.\n"
    "\n"
    "  --help, --version  print this text or the version, and exit\n";

static const char s_advice [] =
    "what to do: a device passes over blocks that are damaged, delivers all others, and\n"
    "removes both in their turn. To keep what can still be read: stop it, save what is\n"
    "sound into a new store with 'zspool salvage DIR NEWDIR', and use that. Something\n"
    "changed what was on the disk: find out what, or it may happen again.\n";

static const struct option s_options [] = { COMMAND_OPTIONS_END };

static void
s_print_finding (void *arg, const char *spool, uint64_t first, uint64_t last, const char *problem)
{
    (void) arg;
    if (spool && *spool) {
        text_print (spool);
        if (first == last && first > 0)
            printf (" %" PRIu64, first);
        else if (first > 0 || last > 0)
            printf (" %" PRIu64 "..%" PRIu64, first, last);
        printf (": ");
    }
    printf ("%s\n", problem);
}

static int
s_run (zspool_store_t *store)
{
    uint64_t blocks = 0;
    int findings = zspool_store_open (store, ZSPOOL_READ);
    if (findings == ZSPOOL_OK)
        findings = zspool_store_verify (store, s_print_finding, NULL, &blocks);
    if (findings < 0) {
        const char *reason = zspool_store_reason (store);
        command_report ("%s", *reason? reason: zspool_strerror (findings));
        if (findings == ZSPOOL_ECORRUPT)
            printf ("%s", s_advice);
        return COMMAND_FAILED;
    }
    if (findings == 0)
        printf ("sound, blocks read: %" PRIu64 "\n", blocks);
    else
        printf ("damaged, findings: %d, blocks read: %" PRIu64 "\n%s", findings, blocks, s_advice);
    return findings == 0? COMMAND_OK: COMMAND_FAILED;
}

int
verify_main (int argc, char **argv)
{
    while (command_option (argc, argv, s_options, s_help) != -1)
        ;
    zspool_store_t *store = zspool_store_new (command_operand (argc, argv, "the directory"));
    if (!store) {
        command_report ("out of memory");
        return COMMAND_FAILED;
    }
    int status = s_run (store);
    zspool_store_destroy (&store);
    return status;
}
