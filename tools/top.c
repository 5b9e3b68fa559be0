//  top.c - zspool top: watches the device that runs on a store
//
//  SPDX-License-Identifier: MPL-2.0

#include "command.h"
#include "stop.h"
#include "view.h"
#include "zspool.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define TOP_INTERVAL_MS 1000  //  unless told
#define TOP_INTERVAL_MS_MIN 50
#define TOP_ROWS_HEAD 20      //  after so many rows the heading comes again
//  Home and clear below; clear to the end of the line
#define TERMINAL_HOME "\033[H\033[J"
#define TERMINAL_CLEAR_LINE "\033[K"

static const char s_help [] =
    "usage: zspool top DIR [options]\n"
    "\n"
    "Watches the device that runs on the store in DIR: on a terminal a screen that stays\n"
    "fresh, else a row of figures each time. Ends with Ctrl-C, or when the device ends.\n"
    "\n"
    "  --interval MS      look so often (default 1000)\n"
    "  --count N          end after N looks\n"
    "  --help, --version  print this text or the version, and exit\n";

enum { OPTION_INTERVAL = 256, OPTION_COUNT };

static const struct option s_options [] = {
    { "interval", required_argument, NULL, OPTION_INTERVAL },
    { "count", required_argument, NULL, OPTION_COUNT },
    COMMAND_OPTIONS_END
};

typedef struct {
    const char *directory;
    int interval_ms;
    uint64_t count;           //  looks to take; UINT64_MAX: no end
    bool terminal;
    uint64_t looks;           //  taken
    zspool_control_t *control;
} top_t;

static void
s_parse (top_t *self, int argc, char **argv)
{
    int option;
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        if (option == OPTION_INTERVAL)
            self->interval_ms = (int) command_number (TOP_INTERVAL_MS_MIN, COMMAND_MS_MAX);
        else
            self->count = command_number (1, UINT64_MAX - 1);
    self->directory = command_operand (argc, argv, "the directory");
}

//  Ask and show once. Returns COMMAND_OK or COMMAND_FAILED.
static int
s_look (top_t *self)
{
    zconfig_t *status = NULL;
    if (zspool_control_status (self->control, &status)) {
        if (!stop_requested ())
            command_report ("%s", zspool_control_reason (self->control));
        return stop_requested ()? COMMAND_OK: COMMAND_FAILED;
    }
    if (self->terminal) {
        fputs (TERMINAL_HOME, stdout);
        view_print (status, TERMINAL_CLEAR_LINE);
    }
    else {
        if (self->looks % TOP_ROWS_HEAD == 0)
            view_print_row_head ();
        view_print_row (status);
    }
    zconfig_destroy (&status);
    self->looks++;
    return command_flush () == 0? COMMAND_OK: COMMAND_FAILED;
}

//  Wait for the next look; false when a signal came.
static bool
s_wait (int64_t next_us)
{
    struct pollfd item = { stop_fd (), POLLIN, 0 };
    int64_t left_us;
    while (!stop_requested () && (left_us = next_us - command_clock_us ()) > 0)
        poll (&item, 1, (int) (left_us / 1000) + 1);
    return !stop_requested ();
}

static int
s_run (top_t *self)
{
    int64_t next_us = command_clock_us ();
    int status = s_look (self);
    while (status == COMMAND_OK && self->looks < self->count) {
        next_us += (int64_t) self->interval_ms * 1000;
        if (next_us < command_clock_us ())
            next_us = command_clock_us (); //  it took longer: do not catch up
        if (!s_wait (next_us))
            break;
        status = s_look (self);
    }
    return status;
}

int
top_main (int argc, char **argv)
{
    top_t top = { .interval_ms = TOP_INTERVAL_MS,
                  .count = UINT64_MAX,
                  .terminal = isatty (STDOUT_FILENO) };
    s_parse (&top, argc, argv);
    top.control = zspool_control_new (top.directory);
    if (!top.control) {
        command_report ("out of memory");
        return COMMAND_FAILED;
    }
    int status = s_run (&top);
    zspool_control_destroy (&top.control);
    return status;
}
