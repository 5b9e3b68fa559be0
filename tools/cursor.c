//  cursor.c - zspool cursor: lists the cursors of a spool, lets one start elsewhere, deletes one
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Looking needs no more than to read the store. What changes it goes through the device that runs
//  on it, or, when none does, is done here.

#include "command.h"
#include "text.h"
#include "zspool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char s_help [] =
    "usage: zspool cursor list DIR [options]\n"
    "       zspool cursor seek DIR CURSOR START [options]\n"
    "       zspool cursor delete DIR CURSOR [options]\n"
    "\n"
    "A cursor is a named reader of a spool: out for the main outlet of a device, and one\n"
    "for each feed, by its name. `list` shows where they stand; `seek` lets one start\n"
    "elsewhere; `delete` removes one that is needed no more, and lets go what it held.\n"
    "All work at rest and while a device runs on the store in DIR; but a cursor that this\n"
    "delivers through cannot be deleted.\n"
    "\n"
    "START is all (the oldest message that is stored), new (only what comes from now on),\n"
    "last:N (the last N messages), a sequence, or a time: 2026-11-22T08:30:00Z, @SECONDS\n"
    "since 1970, or so long ago: -90s, -15m, -1h, -7d.\n"
    "\n"
    "  --name SPOOL       the spool (default main)\n"
    "  --json             list: an object a line\n"
    "  --help, --version  print this text or the version, and exit\n";

enum { OPTION_NAME = 256, OPTION_JSON };

static const struct option s_options [] = {
    { "name", required_argument, NULL, OPTION_NAME },
    { "json", no_argument, NULL, OPTION_JSON },
    COMMAND_OPTIONS_END
};

typedef enum { LIST, SEEK, DELETE, ACTIONS } s_action_t;

static const char *const s_actions [] = { "list", "seek", "delete" };

typedef struct {
    s_action_t action;
    const char *directory;
    const char *spool_name;
    const char *cursor_name;    //  NULL: list
    const char *start;          //  seek: as it was given
    bool json;
    uint32_t spool;
    uint32_t cursor;
    zspool_store_t *store;
    zspool_control_t *control;  //  NULL: no device runs, or nothing is changed
} cursor_t;

//  ------------------------------------------------------------------------------------------------
//  The command line

//  An age such as -15m looks like an option: take it out of the arguments. Gives how many are left.
static int
s_take_age (cursor_t *self, int argc, char **argv)
{
    int left = 1;
    for (int index = 1; index < argc; index++) {
        bool is_value = strcmp (argv [index - 1], "--name") == 0;
        bool is_age = argv [index] [0] == '-' && argv [index] [1] >= '0' && argv [index] [1] <= '9';
        if (is_age && !is_value && !self->start)
            self->start = argv [index];
        else
            argv [left++] = argv [index];
    }
    argv [left] = NULL;
    return left;
}

//  The next operand; exits when there is none.
static const char *
s_operand (int argc, char **argv, const char *what)
{
    if (optind >= argc || !*argv [optind])
        command_usage ("%s is missing (see zspool cursor --help)", what);
    return argv [optind++];
}

static void
s_parse (cursor_t *self, int argc, char **argv)
{
    int option;
    argc = s_take_age (self, argc, argv);
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        if (option == OPTION_JSON)
            self->json = true;
        else
            self->spool_name = command_text ();
    const char *word = s_operand (argc, argv, "what to do: list, seek or delete");
    while (self->action < ACTIONS && strcmp (word, s_actions [self->action]) != 0)
        self->action++;
    if (self->action == ACTIONS)
        command_usage ("'%s' is none of list, seek, delete", word);
    self->directory = s_operand (argc, argv, "the directory");
    if (self->action != LIST)
        self->cursor_name = s_operand (argc, argv, "the cursor");
    if (self->action == SEEK && !self->start)
        self->start = s_operand (argc, argv, "where it is to start");
    zspool_start_t start;
    if (self->start && (self->action != SEEK || zspool_start_parse (&start, self->start)))
        command_usage ("'%s' is %s", self->start, self->action == SEEK?
                       "no start: all, new, last:N, a sequence, a time, or an age such as -15m": "not expected");
    if (optind < argc)
        command_usage ("'%s' is not expected", argv [optind]);
    if (self->json && self->action != LIST)
        command_usage ("--json goes with list only");
}

//  ------------------------------------------------------------------------------------------------
//  Store or device

static int
s_fail (cursor_t *self, int rc)
{
    const char *reason = self->control? zspool_control_reason (self->control):
                         self->store? zspool_store_reason (self->store): "";
    command_report ("%s", *reason? reason: zspool_strerror (rc));
    return COMMAND_FAILED;
}

//  Open the store, and find the spool. A code, and a line if it is one.
static int
s_open (cursor_t *self, zspool_mode_t mode)
{
    zspool_store_destroy (&self->store);
    self->store = zspool_store_new (self->directory);
    int rc = self->store? zspool_store_open (self->store, mode): ZSPOOL_ENOMEM;
    if (rc == ZSPOOL_OK)
        rc = zspool_store_spool (self->store, self->spool_name, &self->spool);
    if (rc == ZSPOOL_OK && self->cursor_name)
        rc = zspool_store_cursor (self->store, self->spool, self->cursor_name, ZSPOOL_START_NEW,
                                  &self->cursor);
    if (rc)
        s_fail (self, rc);
    return rc;
}

//  Change the store that no device runs on.
static int
s_change_store (cursor_t *self)
{
    zspool_start_t start;
    uint64_t sequence = 0;
    int rc = zspool_store_begin (self->store);
    if (rc == ZSPOOL_OK && self->action == DELETE)
        rc = zspool_store_delete_cursor (self->store, self->spool, self->cursor);
    if (rc == ZSPOOL_OK && self->action == SEEK) {
        rc = zspool_start_parse (&start, self->start);
        if (rc == ZSPOOL_OK)
            rc = zspool_store_find_start (self->store, self->spool, &start, &sequence);
        if (rc == ZSPOOL_OK)
            rc = zspool_store_seek_cursor (self->store, self->spool, self->cursor, sequence);
    }
    return rc? rc: zspool_store_commit (self->store);
}

static int
s_ask_device (cursor_t *self)
{
    return self->action == DELETE?
        zspool_control_delete_cursor (self->control, self->spool_name, self->cursor_name):
        zspool_control_seek_cursor (self->control, self->spool_name, self->cursor_name, self->start);
}

//  Tell where a cursor stands that was moved.
static int
s_print_moved (cursor_t *self)
{
    zspool_cursor_info_t info;
    size_t index = 0;
    int rc;
    do
        rc = zspool_store_cursor_info (self->store, self->spool, index++, &info);
    while (rc == ZSPOOL_OK && info.id != self->cursor);
    if (rc)
        return s_fail (self, rc);
    printf ("moved: ");
    text_print (info.name);
    printf (", floor %" PRIu64 ", pending %" PRIu64 "\n", info.floor, info.pending);
    return COMMAND_OK;
}

static int
s_change (cursor_t *self)
{
    self->control = zspool_control_new (self->directory);
    int rc = self->control? zspool_control_connect (self->control): ZSPOOL_ENOMEM;
    bool device_runs = rc == ZSPOOL_OK;
    if (rc == ZSPOOL_OK)
        rc = s_ask_device (self);
    if (rc != ZSPOOL_OK && (device_runs || rc != ZSPOOL_ENOENT))
        return s_fail (self, rc);
    zspool_control_destroy (&self->control);
    if (device_runs && self->action == SEEK)
        return s_open (self, ZSPOOL_READ)? COMMAND_FAILED: s_print_moved (self);
    //  What is not there is not to be created: look first.
    if (!device_runs) {
        if (s_open (self, ZSPOOL_READ) || s_open (self, ZSPOOL_WRITE))
            return COMMAND_FAILED;
        rc = s_change_store (self);
        if (rc)
            return s_fail (self, rc);
    }
    if (self->action == SEEK)
        return s_print_moved (self);
    printf ("deleted: ");
    text_print (self->cursor_name);
    putchar ('\n');
    return COMMAND_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Listing

//  How long ago the oldest pending message was stored, milliseconds; -1: none is pending.
static int64_t
s_age_ms (const zspool_cursor_info_t *info)
{
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    int64_t now_us = (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
    if (info->pending_us == 0)
        return -1;
    return now_us > info->pending_us? (now_us - info->pending_us) / 1000: 0;
}

static void
s_print_json (const zspool_cursor_info_t *info)
{
    printf ("{\"name\": ");
    text_print_json (info->name);
    printf (", \"floor\": %" PRIu64 ", \"sent_to\": %" PRIu64 ", \"pending\": %" PRIu64
            ", \"in_flight\": %" PRIu64 ", \"lagged\": %" PRIu64 ", \"generation\": %" PRIu32,
            info->floor, info->sent_to, info->pending, info->in_flight, info->lagged, info->generation);
    int64_t age_ms = s_age_ms (info);
    if (age_ms < 0)
        printf (", \"oldest_pending_ms\": null}\n");
    else
        printf (", \"oldest_pending_ms\": %" PRId64 "}\n", age_ms);
}

static void
s_print_line (const zspool_cursor_info_t *info)
{
    printf ("%12" PRIu64 "  %12" PRIu64 "  %12" PRIu64 "  %12" PRIu64 "  %12" PRIu64 "  %10" PRIu32,
            info->floor, info->sent_to, info->pending, info->in_flight, info->lagged, info->generation);
    int64_t age_ms = s_age_ms (info);
    if (age_ms < 0)
        printf ("  %14s  ", "-");
    else
        printf ("  %12" PRId64 ".%" PRId64 "  ", age_ms / 1000, age_ms % 1000 / 100);
    text_print (info->name);
    putchar ('\n');
}

static int
s_list (cursor_t *self)
{
    zspool_cursor_info_t info;
    int rc = s_open (self, ZSPOOL_READ);
    if (rc)
        return COMMAND_FAILED;
    if (!self->json)
        printf ("%12s  %12s  %12s  %12s  %12s  %10s  %14s  %s\n", "floor", "sent to", "pending",
                "in flight", "lagged", "generation", "oldest, s", "cursor");
    for (size_t index = 0; rc == ZSPOOL_OK; index++) {
        rc = zspool_store_cursor_info (self->store, self->spool, index, &info);
        if (rc == ZSPOOL_OK && self->json)
            s_print_json (&info);
        else if (rc == ZSPOOL_OK)
            s_print_line (&info);
    }
    return rc == ZSPOOL_ENOENT? COMMAND_OK: s_fail (self, rc);
}

int
cursor_main (int argc, char **argv)
{
    cursor_t cursor = { .spool_name = "main" };
    s_parse (&cursor, argc, argv);
    int status = cursor.action == LIST? s_list (&cursor): s_change (&cursor);
    zspool_store_destroy (&cursor.store);
    zspool_control_destroy (&cursor.control);
    return status;
}
