//  status.c - zspool status: asks the device that runs on a store how it is
//
//  SPDX-License-Identifier: MPL-2.0

#include "command.h"
#include "text.h"
#include "zspool.h"

#include <stdio.h>
#include <string.h>

static const char s_help [] =
    "usage: zspool status DIR [options]\n"
    "\n"
    "Asks the device that runs on the store in DIR for its state and figures, and prints\n"
    "them, a name and a value on each line. `man zspool-status` explains each.\n"
    "\n"
    "  --json             print a JSON object\n"
    "  --timeout MS       wait so long for the answer (default 5000)\n"
    "  --help, --version  print this text or the version, and exit\n";

enum { OPTION_JSON = 256, OPTION_TIMEOUT };

static const struct option s_options [] = {
    { "json", no_argument, NULL, OPTION_JSON },
    { "timeout", required_argument, NULL, OPTION_TIMEOUT },
    COMMAND_OPTIONS_END
};

#define NAME_BYTES_MAX 256 //  longest path of a name

//  Print each value of the tree with the path to it.
static void
s_print_lines (zconfig_t *node, const char *path)
{
    for (zconfig_t *child = zconfig_child (node); child; child = zconfig_next (child)) {
        char name [NAME_BYTES_MAX];
        snprintf (name, sizeof name, "%s%s%s", path, *path? "/": "", zconfig_name (child));
        if (zconfig_child (child)) {
            s_print_lines (child, name);
            continue;
        }
        printf ("%-28s ", name);
        text_print (zconfig_value (child)? zconfig_value (child): "");
        putchar ('\n');
    }
}

static bool
s_is_number (const char *text)
{
    size_t length = strlen (text);
    return length > 0 && length <= 20 && strspn (text, "0123456789") == length
           && (length == 1 || *text != '0');
}

//  Print the tree as a JSON object; values that are whole numbers as such.
static void
s_print_json (zconfig_t *node, int indent)
{
    putchar ('{');
    for (zconfig_t *child = zconfig_child (node); child; child = zconfig_next (child)) {
        printf ("%s\n%*s", child == zconfig_child (node)? "": ",", indent, "");
        text_print_json (zconfig_name (child));
        printf (": ");
        const char *value = zconfig_value (child)? zconfig_value (child): "";
        if (zconfig_child (child))
            s_print_json (child, indent + 4);
        else if (s_is_number (value))
            fputs (value, stdout);
        else
            text_print_json (value);
    }
    putchar ('}');
}

int
status_main (int argc, char **argv)
{
    bool json = false;
    int64_t timeout_ms = ZSPOOL_CONTROL_TIMEOUT_MS;
    int option;
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        if (option == OPTION_JSON)
            json = true;
        else
            timeout_ms = (int64_t) command_number (1, COMMAND_MS_MAX);
    const char *directory = command_operand (argc, argv, "the directory");

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
        s_print_json (status, 1);
        putchar ('\n');
    }
    else
        s_print_lines (status, "");
    zconfig_destroy (&status);
    zspool_control_destroy (&control);
    return rc? COMMAND_FAILED: COMMAND_OK;
}
