//  zspool.c - the zspool command: picks the subcommand
//
//  SPDX-License-Identifier: MPL-2.0

#include "zspool.h"
#include "command.h"
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const char *name;                    //  as typed
    const char *full_name;               //  as errors show it
    int (*main) (int argc, char **argv); //  returns an exit status
    const char *summary;                 //  one line of help
} subcommand_t;

static const subcommand_t s_subcommands [] = {
    { "queue", "zspool queue", queue_main, "a durable PULL -> PUSH device" },
    { "stream", "zspool stream", stream_main, "a durable SUB -> XPUB device with a history" },
    { "run", "zspool run", run_main, "devices that a file describes, in one process" },
    { "push", "zspool push", push_main, "send lines of standard input as messages" },
    { "pull", "zspool pull", pull_main, "print messages" },
    { "pub", "zspool pub", pub_main, "publish lines of standard input as messages" },
    { "sub", "zspool sub", sub_main, "subscribe, and print messages" },
    { "put", "zspool put", put_main, "put lines into a spool through a service: confirmed" },
    { "get", "zspool get", get_main, "print messages of a spool through a service: acknowledged" },
    { "info", "zspool info", info_main, "show what a store holds, also while a device runs on it" },
    { "cursor", "zspool cursor", cursor_main, "list cursors, let one start elsewhere, or delete one" },
    { "dead", "zspool dead", dead_main, "list, show, put back or drop dead letters" },
    { "replay", "zspool replay", replay_main, "send stored messages once more" },
    { "dump", "zspool dump", dump_main, "print stored messages" },
    { "backup", "zspool backup", backup_main, "copy a store, also while a device runs on it" },
    { "salvage", "zspool salvage", salvage_main, "save what a damaged store still holds" },
    { "verify", "zspool verify", verify_main, "check everything in a store" },
    { "bench", "zspool bench", bench_main, "measure how fast this disk makes a device" },
    { "status", "zspool status", status_main, "ask a running device how it is" },
    { "top", "zspool top", top_main, "watch a running device" },
    { "pause", "zspool pause", pause_main, "let a running device take no messages in" },
    { "resume", "zspool resume", resume_main, "let it take messages in again" },
    { "flush", "zspool flush", flush_main, "wait until all that it has taken in is durable" },
};

#define SUBCOMMANDS (sizeof s_subcommands / sizeof s_subcommands [0])

static int
s_print_help (void)
{
    fputs ("usage: zspool COMMAND [arguments]\n"
           "\n"
           "Durable ZeroMQ messaging without a broker: every message is stored before it is\n"
           "forwarded.\n"
           "\n",
           stdout);
    for (size_t index = 0; index < SUBCOMMANDS; index++)
        printf ("  %-8s%s\n", s_subcommands [index].name, s_subcommands [index].summary);
    fputs ("\n"
           "`zspool help COMMAND` explains a command, `zspool --version` prints the\n"
           "version, `man zspool` and `man zspool-COMMAND` have all of it.\n",
           stdout);
    return COMMAND_OK;
}

//  Run the command that argv [0] names.
static int
s_run_subcommand (int argc, char **argv)
{
    const char *name = argv [0];
    for (size_t index = 0; index < SUBCOMMANDS; index++)
        if (strcmp (name, s_subcommands [index].name) == 0) {
            command_set_name (s_subcommands [index].full_name);
            return s_subcommands [index].main (argc, argv);
        }
    command_usage ("unknown %s '%s' (see zspool --help)", *name == '-'? "option": "command",
                   name);
}

static int
s_run (int argc, char **argv)
{
    if (argc < 2)
        command_usage ("a command is missing (see zspool --help)");
    const char *name = argv [1];
    if (strcmp (name, "--help") == 0 || strcmp (name, "-h") == 0)
        return s_print_help ();
    if (strcmp (name, "--version") == 0) {
        printf ("zspool %s\n", zspool_version ());
        return COMMAND_OK;
    }
    if (strcmp (name, "help") != 0)
        return s_run_subcommand (argc - 1, argv + 1);
    if (argc == 2)
        return s_print_help ();
    if (argc > 3)
        command_usage ("unexpected argument '%s'", argv [3]);
    static char help [] = "--help";
    char *explain [] = { argv [2], help, NULL };
    return s_run_subcommand (2, explain);
}

//  Standard streams that the caller has closed would be taken by the next files and sockets: put
//  something there that can neither be read nor written.
static void
s_fill_standard_streams (void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl (fd, F_GETFD) < 0 && errno == EBADF)
            open ("/dev/null", fd == STDIN_FILENO? O_WRONLY: O_RDONLY);
}

int
main (int argc, char **argv)
{
    s_fill_standard_streams ();
    signal (SIGPIPE, SIG_IGN);
    if (stop_init () != 0) {
        command_report ("cannot catch signals: %s", strerror (errno));
        return COMMAND_FAILED;
    }
    return command_end (s_run (argc, argv));
}
