//  status.c - zspool status: asks the device that runs on a store how it is
//
//  SPDX-License-Identifier: MPL-2.0

#include "command.h"
#include "view.h"
#include "zspool.h"

#include <stdio.h>
#include <string.h>

static const char s_help [] =
    "usage: zspool status DIR|ENDPOINT [options]\n"
    "\n"
    "Asks the device that runs on the store in DIR how it is: what comes in and goes out,\n"
    "how long that takes, and what holds messages up, if anything does. Or asks the\n"
    "service at ENDPOINT, which has :// in it, on any machine: of itself it tells all.\n"
    "\n"
    "  --all              print all figures, a name and a value on each line\n"
    "  --json             print all figures as a JSON object\n"
    "  --timeout MS       wait so long for the answer (default 5000)\n"
    "  --help, --version  print this text or the version, and exit\n";

enum { OPTION_ALL = 256, OPTION_JSON, OPTION_TIMEOUT };

static const struct option s_options [] = {
    { "all", no_argument, NULL, OPTION_ALL },
    { "json", no_argument, NULL, OPTION_JSON },
    { "timeout", required_argument, NULL, OPTION_TIMEOUT },
    COMMAND_OPTIONS_END
};

//  Ask a service, and print all that it tells.
static int
s_ask_service (const char *endpoint, int64_t timeout_ms, bool json)
{
    zspool_admin_t *admin = zspool_admin_new (endpoint);
    zconfig_t *status = NULL;
    if (!admin) {
        command_report ("out of memory");
        return COMMAND_FAILED;
    }
    zspool_admin_set_timeout (admin, timeout_ms);
    int rc = zspool_admin_status (admin, &status);
    if (rc)
        command_report ("%s: %s", endpoint, zspool_admin_reason (admin));
    else if (json) {
        view_print_json (status, 1);
        putchar ('\n');
    }
    else
        view_print_names (status);
    zconfig_destroy (&status);
    zspool_admin_destroy (&admin);
    return rc? COMMAND_FAILED: COMMAND_OK;
}

int
status_main (int argc, char **argv)
{
    bool all = false, json = false;
    int64_t timeout_ms = ZSPOOL_CONTROL_TIMEOUT_MS;
    int option;
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        if (option == OPTION_ALL)
            all = true;
        else if (option == OPTION_JSON)
            json = true;
        else
            timeout_ms = (int64_t) command_number (1, COMMAND_MS_MAX);
    const char *directory = command_operand (argc, argv, "the directory");
    if (strstr (directory, "://"))
        return s_ask_service (directory, timeout_ms, json);

    zspool_control_t *control = zspool_control_new (directory);
    zconfig_t *status = NULL;
    if (!control) {
        command_report ("out of memory");
        return COMMAND_FAILED;
    }
    zspool_control_set_timeout (control, timeout_ms);
    int rc = zspool_control_status (control, &status);
    if (rc)
        command_report ("%s", zspool_control_reason (control));
    else if (json) {
        view_print_json (status, 1);
        putchar ('\n');
    }
    else if (all)
        view_print_names (status);
    else
        view_print (status, "");
    zconfig_destroy (&status);
    zspool_control_destroy (&control);
    return rc? COMMAND_FAILED: COMMAND_OK;
}
