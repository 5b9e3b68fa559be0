//  info.c - zspool info: shows what a store holds, as a table or as JSON
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Spools and cursors are asked for one by one, so while a device runs their figures can be a
//  moment apart.

#include "command.h"
#include "info_named.h"
#include "text.h"
#include "topics.h"
#include "view.h"
#include "when.h"
#include "zspool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char s_help [] =
    "usage: zspool info DIR [options]\n"
    "\n"
    "Shows the spools of the store in DIR and where their cursors stand, the producers of\n"
    "a service and how far each has got, and the tables of an application. While a device\n"
    "runs on it, also what that measures (see zspool status).\n"
    "\n"
    "  --name SPOOL       this spool only\n"
    "  --topics           read all messages, and list their topics (first frames) with how\n"
    "                     many messages have each; at most 100000 a spool\n"
    "  --json             print a JSON object\n"
    "  --help, --version  print this text or the version, and exit\n";

//  A device that is busy for longer is left alone
#define DEVICE_WAIT_MS 500

enum { OPTION_NAME = 256, OPTION_TOPICS, OPTION_JSON };

static const struct option s_options [] = {
    { "name", required_argument, NULL, OPTION_NAME },
    { "topics", no_argument, NULL, OPTION_TOPICS },
    { "json", no_argument, NULL, OPTION_JSON },
    COMMAND_OPTIONS_END
};

//  A spool and its cursors
typedef struct {
    zspool_spool_info_t info;
    zspool_retention_t keep;
    zspool_cursor_info_t *cursors;
    size_t cursor_count;
} spool_t;

typedef struct {
    const char *directory;
    const char *name; //  of the one spool to show; NULL: all
    bool topics;      //  list them, too
    bool json;
    zspool_store_t *store;
    zspool_origin_t origin;
    spool_t *spools;
    size_t spool_count;
    zconfig_t *device; //  status of the device that runs on the store, or NULL
    bool silent;       //  one runs, and has not answered
    output_t *output;  //  standard output, for topics
    bool failed;       //  not all could be read of which topics were asked for
} info_t;

static void
s_parse (info_t *self, int argc, char **argv)
{
    int option;
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        switch (option) {
        case OPTION_JSON: self->json = true; break;
        case OPTION_TOPICS: self->topics = true; break;
        default: self->name = command_text (); break;
        }
    self->directory = command_operand (argc, argv, "the directory");
}

static const char *
s_origin_name (const zspool_origin_t *origin)
{
    switch (origin->kind) {
    case ZSPOOL_ORIGIN_BACKUP: return "backup";
    case ZSPOOL_ORIGIN_SALVAGE: return "salvage";
    default: return "copy";
    }
}

//  Ask the device that runs on the store, if one does and lets us.
static void
s_ask_device (info_t *self)
{
    zspool_control_t *control = zspool_control_new (self->directory);
    if (!control)
        return;
    zspool_control_set_timeout (control, DEVICE_WAIT_MS);
    int rc = zspool_control_status (control, &self->device);
    self->silent = rc != ZSPOOL_OK && rc != ZSPOOL_ENOENT && rc != ZSPOOL_EACCES;
    zspool_control_destroy (&control);
}

//  Read the cursors of a spool. Returns a code of zspool_error_t.
static int
s_read_cursors (info_t *self, spool_t *spool)
{
    while (true) {
        zspool_cursor_info_t info;
        int rc = zspool_store_cursor_info (self->store, spool->info.id, spool->cursor_count, &info);
        if (rc != ZSPOOL_OK)
            return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
        zspool_cursor_info_t *cursors = (zspool_cursor_info_t *) realloc (
            spool->cursors, (spool->cursor_count + 1) * sizeof *cursors);
        if (!cursors)
            return ZSPOOL_ENOMEM;
        spool->cursors = cursors;
        cursors [spool->cursor_count++] = info;
    }
}

//  Read the spools that shall be shown. Returns a code of zspool_error_t.
static int
s_read_spools (info_t *self)
{
    for (size_t index = 0;; index++) {
        zspool_spool_info_t info;
        int rc = zspool_store_spool_info (self->store, index, &info);
        if (rc != ZSPOOL_OK)
            return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
        if (self->name && strcmp (self->name, info.name) != 0)
            continue;
        spool_t *spools =
            (spool_t *) realloc (self->spools, (self->spool_count + 1) * sizeof *spools);
        if (!spools)
            return ZSPOOL_ENOMEM;
        self->spools = spools;
        spool_t *spool = &spools [self->spool_count++];
        *spool = (spool_t){ .info = info };
        rc = zspool_store_retention (self->store, info.id, &spool->keep);
        if (rc == ZSPOOL_OK)
            rc = s_read_cursors (self, spool);
        if (rc != ZSPOOL_OK)
            return rc;
    }
}

//  Read the topics of a spool, and print them behind what was printed of it.
static void
s_print_topics (info_t *self, const zspool_spool_info_t *spool)
{
    topics_t *topics = topics_new ();
    int rc = topics? topics_read (topics, self->store, spool): ZSPOOL_ENOMEM;
    if (rc != ZSPOOL_OK)
        command_report ("topics cannot be read: %s", zspool_strerror (rc));
    self->failed = self->failed || rc != ZSPOOL_OK || topics_damaged (topics);
    if (topics && command_flush () == 0) {
        int written = self->json? topics_write_json (topics, self->output):
                                  topics_write (topics, spool->name, self->output);
        if (written != 0 && !output_error (self->output))
            command_report ("out of memory");
        self->failed = self->failed || written != 0;
        output_flush (self->output);
    }
    topics_destroy (&topics);
}

static void
s_print_json_cursor (const zspool_cursor_info_t *cursor)
{
    printf ("{\"name\": ");
    text_print_json (cursor->name);
    printf (", \"floor\": %" PRIu64 ", \"sent_to\": %" PRIu64 ", \"pending\": %" PRIu64
            ", \"in_flight\": %" PRIu64 ", \"lagged\": %" PRIu64 ", \"generation\": %" PRIu32 "}",
            cursor->floor, cursor->sent_to, cursor->pending, cursor->in_flight, cursor->lagged,
            cursor->generation);
}

//  How long a spool keeps its messages
static void
s_print_json_limit (const char *name, uint64_t limit, uint64_t unit)
{
    if (limit == ZSPOOL_KEEP_UNLIMITED)
        printf ("\"%s\": null, ", name);
    else
        printf ("\"%s\": %" PRIu64 ", ", name, limit / unit);
}

static void
s_print_json_keep (const zspool_retention_t *keep)
{
    printf (", \"keep\": {");
    s_print_json_limit ("age_ms", keep->age_us, 1000);
    s_print_json_limit ("bytes", keep->bytes, 1);
    s_print_json_limit ("count", keep->messages, 1);
    printf ("\"unacked\": %s}", keep->unacked? "true": "false");
}

static void
s_print_json_spool (info_t *self, const spool_t *spool)
{
    const zspool_spool_info_t *info = &spool->info;
    printf ("{\"name\": ");
    text_print_json (info->name);
    printf (", \"first_sequence\": %" PRIu64 ", \"last_sequence\": %" PRIu64
            ", \"messages\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"blocks\": %" PRIu64
            ", \"lost\": %" PRIu64,
            info->first_sequence, info->last_sequence, info->messages, info->bytes, info->blocks,
            info->lost);
    s_print_json_keep (&spool->keep);
    printf (",\n     \"cursors\": [");
    for (size_t index = 0; index < spool->cursor_count; index++) {
        if (index > 0)
            printf (",\n       ");
        s_print_json_cursor (&spool->cursors [index]);
    }
    putchar (']');
    if (self->topics)
        s_print_topics (self, info);
    putchar ('}');
}

//  The reader that keeps the store from using space again, if one does
static void
s_print_json_reader (info_t *self)
{
    int64_t process;
    uint64_t commits = zspool_store_oldest_reader (self->store, &process);
    if (process)
        printf ("{\"process\": %" PRId64 ", \"commits\": %" PRIu64 "}", process, commits);
    else
        printf ("null");
}

//  When it was created, and what from, if not from nothing
static void
s_print_json_origin (const info_t *self)
{
    const zspool_origin_t *origin = &self->origin;
    char text [WHEN_TEXT_BYTES];
    when_text (origin->created_us, text);
    printf (",\n \"format\": %" PRIu32 ",\n \"created\": \"%s\",\n \"origin\": ", origin->format, text);
    if (origin->kind == ZSPOOL_ORIGIN_NEW) {
        printf ("null");
        return;
    }
    when_text (origin->copied_us, text);
    printf ("{\"kind\": \"%s\", \"made\": \"%s\", \"incarnation\": \"%016" PRIx64 "\"}",
            s_origin_name (origin), text, origin->incarnation);
}

static void
s_print_json (info_t *self)
{
    printf ("{\"directory\": ");
    text_print_json (zspool_store_directory (self->store));
    printf (",\n \"incarnation\": \"%016" PRIx64 "\",\n \"file_bytes\": %" PRIu64
            ",\n \"free_bytes\": %" PRIu64 ",\n \"oldest_reader\": ",
            zspool_store_incarnation (self->store), zspool_store_file_bytes (self->store),
            zspool_store_free_bytes (self->store));
    s_print_json_reader (self);
    s_print_json_origin (self);
    printf (",\n \"spools\": [");
    for (size_t index = 0; index < self->spool_count; index++) {
        printf (index > 0? ",\n    ": "\n    ");
        s_print_json_spool (self, &self->spools [index]);
    }
    printf ("%s]", self->spool_count? "\n ": "");
    self->failed = info_named_print_json (self->store) != ZSPOOL_OK || self->failed;
    printf (",\n \"device\": ");
    if (self->device)
        view_print_json (self->device, 4);
    else
        fputs ("null", stdout);
    puts ("}");
}

//  Width of the widest name, its heading included.
static int
s_name_width (const info_t *self)
{
    size_t width = strlen ("cursor");
    for (size_t index = 0; index < self->spool_count; index++) {
        const spool_t *spool = &self->spools [index];
        size_t length = text_width (spool->info.name);
        width = length > width? length: width;
        for (size_t cursor = 0; cursor < spool->cursor_count; cursor++) {
            length = text_width (spool->cursors [cursor].name);
            width = length > width? length: width;
        }
    }
    return (int) width;
}

static void
s_print_name (const char *name, int width)
{
    text_print (name);
    printf ("%*s", width - (int) text_width (name), "");
}

static void
s_print_spools (const info_t *self, int width)
{
    printf ("\n%-*s  %12s  %12s  %12s  %14s  %8s  %8s\n", width, "spool", "first", "last",
            "messages", "bytes", "blocks", "lost");
    for (size_t index = 0; index < self->spool_count; index++) {
        const zspool_spool_info_t *info = &self->spools [index].info;
        s_print_name (info->name, width);
        printf ("  %12" PRIu64 "  %12" PRIu64 "  %12" PRIu64 "  %14" PRIu64 "  %8" PRIu64
                "  %8" PRIu64 "\n",
                info->first_sequence, info->last_sequence, info->messages, info->bytes,
                info->blocks, info->lost);
    }
}

static void
s_print_limit (uint64_t limit, uint64_t unit)
{
    if (limit == ZSPOOL_KEEP_UNLIMITED)
        printf ("  %14s", "unlimited");
    else
        printf ("  %14" PRIu64, limit / unit);
}

//  How long messages are kept
static void
s_print_keeps (const info_t *self, int width)
{
    printf ("\n%-*s  %14s  %14s  %14s  %12s\n", width, "spool", "keep age, ms", "keep bytes", "keep count",
            "keep unacked");
    for (size_t index = 0; index < self->spool_count; index++) {
        const zspool_retention_t *keep = &self->spools [index].keep;
        s_print_name (self->spools [index].info.name, width);
        s_print_limit (keep->age_us, 1000);
        s_print_limit (keep->bytes, 1);
        s_print_limit (keep->messages, 1);
        printf ("  %12s\n", keep->unacked? "on": "off");
    }
}

static void
s_print_cursors (const info_t *self, int width)
{
    printf ("\n%-*s  %-*s  %12s  %12s  %12s  %12s  %12s  %10s\n", width, "spool", width, "cursor",
            "floor", "sent to", "pending", "in flight", "lagged", "generation");
    for (size_t index = 0; index < self->spool_count; index++) {
        const spool_t *spool = &self->spools [index];
        for (size_t cursor = 0; cursor < spool->cursor_count; cursor++) {
            const zspool_cursor_info_t *info = &spool->cursors [cursor];
            s_print_name (spool->info.name, width);
            printf ("  ");
            s_print_name (info->name, width);
            printf ("  %12" PRIu64 "  %12" PRIu64 "  %12" PRIu64 "  %12" PRIu64 "  %12" PRIu64 "  %10" PRIu32
                    "\n",
                    info->floor, info->sent_to, info->pending, info->in_flight, info->lagged,
                    info->generation);
        }
    }
}

//  When it was created, and what from, if not from nothing
static void
s_print_origin (const info_t *self)
{
    const zspool_origin_t *origin = &self->origin;
    char text [WHEN_TEXT_BYTES];
    when_text (origin->created_us, text);
    printf ("created      %s, format %" PRIu32 "\n", text, origin->format);
    if (origin->kind == ZSPOOL_ORIGIN_NEW)
        return;
    when_text (origin->copied_us, text);
    printf ("%-11s  %s, of the store with incarnation %016" PRIx64 "\n",
            s_origin_name (origin), text, origin->incarnation);
}

static void
s_print_table (info_t *self)
{
    printf ("store        ");
    text_print (zspool_store_directory (self->store));
    printf ("\nincarnation  %016" PRIx64 "\nfile         %" PRIu64 " bytes, %" PRIu64
            " of them free\n",
            zspool_store_incarnation (self->store), zspool_store_file_bytes (self->store),
            zspool_store_free_bytes (self->store));
    s_print_origin (self);
    int64_t process;
    uint64_t commits = zspool_store_oldest_reader (self->store, &process);
    if (process)
        printf ("reader       process %" PRId64 " looks at it as it was %" PRIu64 " commits ago\n", process,
                commits);
    int width = s_name_width (self);
    if (self->spool_count > 0) {
        s_print_spools (self, width);
        s_print_keeps (self, width);
        s_print_cursors (self, width);
    }
    //  They are not of one spool.
    if (!self->name)
        self->failed = info_named_print (self->store) != ZSPOOL_OK || self->failed;
}

static void
s_print_device (info_t *self)
{
    if (self->device) {
        putchar ('\n');
        view_print (self->device, "");
    }
    else if (self->silent)
        puts ("\ndevice    does not answer");
}

static int
s_run (info_t *self)
{
    int rc = zspool_store_open (self->store, ZSPOOL_READ);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_origin (self->store, &self->origin);
    if (rc == ZSPOOL_OK)
        rc = s_read_spools (self);
    if (rc != ZSPOOL_OK) {
        const char *reason = zspool_store_reason (self->store);
        command_report ("%s", *reason? reason: zspool_strerror (rc));
        return COMMAND_FAILED;
    }
    if (self->topics && !(self->output = output_new (NULL))) {
        command_report ("out of memory");
        return COMMAND_FAILED;
    }
    if (self->name && self->spool_count == 0) {
        command_report ("'%s' has no spool '%s'", self->directory, self->name);
        return COMMAND_FAILED;
    }
    s_ask_device (self);
    if (self->json)
        s_print_json (self);
    else {
        s_print_table (self);
        for (size_t index = 0; self->topics && index < self->spool_count; index++)
            s_print_topics (self, &self->spools [index].info);
        s_print_device (self);
    }
    if (self->output && output_error (self->output)) {
        command_report_write (output_name (self->output), output_error (self->output));
        self->failed = true;
    }
    return self->failed? COMMAND_FAILED: COMMAND_OK;
}

int
info_main (int argc, char **argv)
{
    info_t info = { 0 };
    s_parse (&info, argc, argv);
    int status = COMMAND_FAILED;
    info.store = zspool_store_new (info.directory);
    if (info.store)
        status = s_run (&info);
    else
        command_report ("out of memory");
    output_destroy (&info.output);
    zspool_store_destroy (&info.store);
    for (size_t index = 0; index < info.spool_count; index++)
        free (info.spools [index].cursors);
    free (info.spools);
    zconfig_destroy (&info.device);
    return status;
}
