//  steer.c - zspool pause, resume, flush: tell the device that runs on a store what to do
//
//  SPDX-License-Identifier: MPL-2.0

#include "command.h"
#include "stop.h"
#include "zspool.h"

#define HELP_END \
    "\n" \
    "  --timeout MS       wait so long for the answer (default 5000; flush: for ever)\n" \
    "  --help, --version  print this text or the version, and exit\n"

static const char s_pause_help [] =
    "usage: zspool pause DIR [options]\n"
    "\n"
    "Lets the device that runs on the store in DIR take no messages in until `zspool\n"
    "resume` or its restart; producers are held, forwarding goes on.\n" HELP_END;

static const char s_resume_help [] =
    "usage: zspool resume DIR [options]\n"
    "\n"
    "Lets the device that runs on the store in DIR take messages in again after\n"
    "`zspool pause`.\n" HELP_END;

static const char s_flush_help [] =
    "usage: zspool flush DIR [options]\n"
    "\n"
    "Returns when everything that the device on the store in DIR had taken in is durable;\n"
    "under async that is committed at once. Waits while the disk is full.\n" HELP_END;

enum { OPTION_TIMEOUT = 256 };

static const struct option s_options [] = {
    { "timeout", required_argument, NULL, OPTION_TIMEOUT },
    COMMAND_OPTIONS_END
};

//  Give one command; `timeout_ms` is what it takes without the option.
static int
s_steer (int argc, char **argv, const char *help, int (*command) (zspool_control_t *),
         int64_t timeout_ms)
{
    while (command_option (argc, argv, s_options, help) != -1)
        timeout_ms = (int64_t) command_number (1, COMMAND_MS_MAX);
    const char *directory = command_operand (argc, argv, "the directory");
    zspool_control_t *control = zspool_control_new (directory);
    if (!control) {
        command_report ("out of memory");
        return COMMAND_FAILED;
    }
    zspool_control_set_timeout (control, timeout_ms);
    int rc = command (control);
    if (rc)
        command_report ("%s", stop_requested ()? "interrupted": zspool_control_reason (control));
    zspool_control_destroy (&control);
    return rc? COMMAND_FAILED: COMMAND_OK;
}

int
pause_main (int argc, char **argv)
{
    return s_steer (argc, argv, s_pause_help, zspool_control_pause, ZSPOOL_CONTROL_TIMEOUT_MS);
}

int
resume_main (int argc, char **argv)
{
    return s_steer (argc, argv, s_resume_help, zspool_control_resume, ZSPOOL_CONTROL_TIMEOUT_MS);
}

int
flush_main (int argc, char **argv)
{
    return s_steer (argc, argv, s_flush_help, zspool_control_flush, -1);
}
