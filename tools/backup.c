//  backup.c - zspool backup: copies a store, also one in use
//
//  SPDX-License-Identifier: MPL-2.0

#include "command.h"
#include "stop.h"
#include "zspool.h"

#include <stdio.h>

static const char s_help [] =
    "usage: zspool backup DIR TO [options]\n"
    "\n"
    "Copies the store in DIR, as it is at one moment, to the new directory TO. Works\n"
    "while a device runs on the store. The copy is read and checked, and is on the disk\n"
    "under its name when this ends with exit status 0; otherwise nothing is left behind.\n"
    "To restore it, use it: it is a store.\n"
    "\n"
    "  --compact          leave out the free space in the store's file\n"
    "  --no-verify        do not read and check the copy\n"
    "  --help, --version  print this text or the version, and exit\n";

enum { OPTION_COMPACT = 256, OPTION_NO_VERIFY };

static const struct option s_options [] = {
    { "compact", no_argument, NULL, OPTION_COMPACT },
    { "no-verify", no_argument, NULL, OPTION_NO_VERIFY },
    COMMAND_OPTIONS_END
};

static bool
s_goes_on (void *arg)
{
    (void) arg;
    return !stop_requested ();
}

int
backup_main (int argc, char **argv)
{
    zspool_backup_options_t options = { .go_on = s_goes_on };
    int option;
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        if (option == OPTION_COMPACT)
            options.compact = true;
        else
            options.no_verify = true;
    const char *to, *directory = command_operands (argc, argv, "the directory", "the new directory", &to);
    char reason [ZSPOOL_BACKUP_REASON_BYTES] = "";
    if (zspool_backup (directory, to, &options, reason) == ZSPOOL_OK)
        return COMMAND_OK;
    command_report ("%s", reason);
    return COMMAND_FAILED;
}
