//  view.c - shows the status of a running device
//
//  SPDX-License-Identifier: MPL-2.0

#include "view.h"
#include "figures.h"
#include "text.h"
#include "why.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME_BYTES_MAX 256       //  longest path of a name
#define READER_COMMITS_MAX 300   //  no reader that works takes so long

//  ------------------------------------------------------------------------------------------------
//  Measures

//  Print a measure: the recent values, or all when there are none of late.
static void
s_print_measure (zconfig_t *status, const char *title, const char *name, const char *what,
                 const char *end)
{
    char path [64];
    snprintf (path, sizeof path, "%s/recent_count", name);
    bool recent = figure_number (status, path) > 0;
    printf ("%-10s", title);
    snprintf (path, sizeof path, "%s/count", name);
    if (figure_number (status, path) == 0)
        printf ("nothing yet");
    else {
        static const char *const values [] = { "p50_us", "p99_us", "max_us" };
        static const char *const titles [] = { "half within ", ", 99 % within ", ", at most " };
        for (size_t index = 0; index < 3; index++) {
            fputs (titles [index], stdout);
            snprintf (path, sizeof path, "%s/%s%s", name, recent? "recent_": "", values [index]);
            figure_print_us (figure_number (status, path));
        }
        if (!recent)
            fputs (" since the start", stdout);
    }
    printf ("; %s%s\n", what, end);
}

//  ------------------------------------------------------------------------------------------------
//  The screen

//  Print an endpoint, if there is one, behind what stands before it.
static void
s_print_endpoint (zconfig_t *status, const char *label, const char *name, const char *type, const char **before)
{
    const char *endpoint = figure_text (status, name);
    if (!*endpoint)
        return;
    printf ("%s%s ", *before, label);
    text_print (endpoint);
    printf ("%s", type);
    *before = ", ";
}

static void
s_print_device (zconfig_t *status, const char *end)
{
    uint64_t up_s = figure_number (status, "device/uptime_ms") / 1000;
    printf ("device    ");
    text_print (figure_text (status, "device/name"));
    zconfig_t *out = figure_out (status);
    printf (", %s, %s, process %s, up %" PRIu64 ":%02u:%02u%s\n",
            figure_text (status, "device/durability"),
            out? figure_policy (status, out): figure_text (status, "device/ack"),
            figure_text (status, "device/pid"), up_s / 3600, (unsigned) (up_s / 60 % 60),
            (unsigned) (up_s % 60), end);
    const char *before = "          ";
    bool is_sub = strcmp (figure_text (status, "device/in_type"), "sub") == 0;
    bool is_pub = out && figure_is_pub (status, out);
    s_print_endpoint (status, "in", "device/in", is_sub? " (sub)": "", &before);
    s_print_endpoint (status, "out", "device/out", is_pub? " (pub)": "", &before);
    s_print_endpoint (status, "ack-in", "device/ack_in", "", &before);
    s_print_endpoint (status, "service", "device/service", "", &before);
    printf ("%s\nstate     %s%s%s\n", end, figure_text (status, "state"),
            figure_number (status, "in/paused")? ", paused": "", end);
}

//  A reader that hangs makes the store grow, and that is told of nowhere else.
static void
s_print_reader (zconfig_t *status, const char *end)
{
    uint64_t commits = figure_number (status, "store/oldest_reader_commits");
    if (commits > READER_COMMITS_MAX)
        printf ("reader    a process looks at the store as it was %" PRIu64
                " commits ago and holds back its space: zspool info says which%s\n",
                commits, end);
}

static void
s_print_in (zconfig_t *status, const char *end)
{
    if (*figure_text (status, "device/in")) {
        printf ("in        %s messages/s, ", figure_text (status, "rate/in"));
        figure_print_bytes (figure_number (status, "rate/in_bytes"));
        printf ("/s; %s since the start, %s dropped%s\n", figure_text (status, "in/messages"),
                figure_text (status, "in/dropped"), end);
    }
    printf ("store     %s messages/s, ", figure_text (status, "rate/stored"));
    figure_print_bytes (figure_number (status, "rate/stored_bytes"));
    printf ("/s; a commit takes ");
    bool recent = figure_number (status, "store/commit_messages_recent_count") > 0;
    figure_print_us (
        figure_number (status, recent? "store/commit_recent_p50_us": "store/commit_p50_us"));
    printf (" for %s messages, ", figure_text (status, recent? "store/commit_messages_recent_p50":
                                                               "store/commit_messages_p50"));
    figure_print_bytes (figure_number (status, recent? "store/commit_bytes_recent_p50":
                                                       "store/commit_bytes_p50"));
    printf ("%s\n", end);
}

//  The main outlet
static void
s_print_out (zconfig_t *status, zconfig_t *out, const char *end)
{
    printf ("out       %s messages/s, ", figure_text (status, "rate/out"));
    figure_print_bytes (figure_number (status, "rate/out_bytes"));
    printf ("/s to %s peers", figure_text (out, "peers"));
    if (figure_is_pub (status, out))
        printf (" with %s subscriptions", figure_text (out, "subscriptions"));
    printf ("; %s since the start, %s sent again%s\n", figure_text (out, "sent"),
            figure_text (out, "resent"), end);
    printf ("waiting   %" PRIu64 " to be sent", figure_unsent (status, out));
    if (figure_number (out, "unsent_age_ms") > 0) {
        printf (", the next for ");
        figure_print_us (figure_number (out, "unsent_age_ms") * 1000);
    }
    printf ("; %s sent and not acknowledged%s\n", figure_text (out, "in_flight"), end);
}

//  A table of the feeds, as wide as the longest name wants it
static void
s_print_feeds (zconfig_t *status, const char *end)
{
    zconfig_t *first = figure_first_feed (status);
    if (!first)
        return;
    size_t width = strlen ("name");
    for (zconfig_t *feed = first; feed; feed = zconfig_next (feed))
        if (text_width (zconfig_name (feed)) > width)
            width = text_width (zconfig_name (feed));
    printf ("feeds     %-*s  type  policy    %10s  %9s  %9s  %10s  %5s  %13s  %6s%s\n", (int) width,
            "name", "sent", "sent/s", "in flight", "behind", "peers", "subscriptions", "lagged", end);
    for (zconfig_t *feed = first; feed; feed = zconfig_next (feed)) {
        bool is_sub = strcmp (figure_text (feed, "type"), "sub") == 0;
        printf ("          ");
        text_print (zconfig_name (feed));
        printf ("%*s  %-4s  %-8s  %10s  %9s  %9s  %10" PRIu64 "  %5s  %13s  %6s%s\n",
                (int) (width - text_width (zconfig_name (feed))), "", figure_text (feed, "type"),
                figure_policy (status, feed), figure_text (feed, "sent"),
                figure_text (feed, "rate/out"), figure_text (feed, "in_flight"),
                figure_unsent (status, feed), figure_text (feed, "peers"),
                is_sub? figure_text (feed, "subscriptions"): "-", figure_text (feed, "lagged"), end);
    }
}

//  What the service does; of each cursor in use, who consumes, and what is held
static void
s_print_service (zconfig_t *status, const char *end)
{
    if (!*figure_text (status, "device/service"))
        return;
    printf ("service   %s messages since the start, %s not durable yet; %s sessions, %s producers, "
            "%s consumers%s\n",
            figure_text (status, "service/messages"), figure_text (status, "service/waiting"),
            figure_text (status, "service/sessions"), figure_text (status, "service/producers"),
            figure_text (status, "service/consumers"), end);
    zconfig_t *spools = zconfig_locate (status, "group");
    if (spools)
        printf ("cursors   %9s  %10s  %9s  %10s  spool and cursor%s\n", "consumers", "delivered",
                "in flight", "sent to", end);
    for (zconfig_t *spool = spools? zconfig_child (spools): NULL; spool; spool = zconfig_next (spool))
        for (zconfig_t *cursor = zconfig_child (spool); cursor; cursor = zconfig_next (cursor)) {
            printf ("          %9s  %10s  %9s  %10s  ", figure_text (cursor, "consumers"),
                    figure_text (cursor, "delivered"), figure_text (cursor, "in_flight"),
                    figure_text (cursor, "sent_to"));
            text_print (zconfig_name (spool));
            putchar (' ');
            text_print (zconfig_name (cursor));
            printf ("%s\n", end);
        }
}

static void
s_print_dead (zconfig_t *status, const char *end)
{
    uint64_t buried = figure_number (status, "out/buried");
    for (zconfig_t *feed = figure_first_feed (status); feed; feed = zconfig_next (feed))
        buried += figure_number (feed, "buried");
    if (buried > 0)
        printf ("dead      %" PRIu64 " messages were delivered too often since the start: see zspool "
                "dead list%s\n",
                buried, end);
}

void
view_print (zconfig_t *status, const char *end)
{
    zconfig_t *out = figure_out (status);
    s_print_device (status, end);
    s_print_reader (status, end);
    s_print_in (status, end);
    if (out)
        s_print_out (status, out, end);
    s_print_feeds (status, end);
    s_print_service (status, end);
    s_print_dead (status, end);
    if (*figure_text (status, "device/in"))
        s_print_measure (status, "t1", "t1", "received until handed to the writer", end);
    s_print_measure (status, "t2", "t2", "from then until on the disk", end);
    if (out)
        s_print_measure (status, "forward", "wait", "numbered until sent", end);
    printf ("late?     ");
    why_print (status);
    printf ("%s\n", end);
}

void
view_print_row_head (void)
{
    printf ("%-8s  %-8s  %9s  %9s  %9s  %10s  %10s  %9s  %9s  %5s\n", "time", "state", "in/s",
            "stored/s", "out/s", "unsent", "in flight", "t1 99% us", "t2 99% us", "peers");
}

//  What the outlets do together; unsent: the most that waits at one of them.
typedef struct {
    uint64_t rate;
    uint64_t unsent;
    uint64_t in_flight;
    uint64_t peers;
} s_sum_t;

static void
s_sum_up (zconfig_t *status, zconfig_t *outlet, s_sum_t *sum)
{
    uint64_t unsent = figure_unsent (status, outlet);
    sum->rate += figure_rate (status, outlet);
    sum->unsent = unsent > sum->unsent? unsent: sum->unsent;
    sum->in_flight += figure_number (outlet, "in_flight");
    sum->peers += figure_number (outlet, "peers");
}

void
view_print_row (zconfig_t *status)
{
    char clock [16] = "";
    time_t now = time (NULL);
    struct tm parts;
    if (localtime_r (&now, &parts))
        strftime (clock, sizeof clock, "%H:%M:%S", &parts);
    const char *state = figure_text (status, "state");
    if (figure_number (status, "in/paused") && strcmp (state, "running") == 0)
        state = "paused";
    s_sum_t sum = { 0 };
    if (figure_out (status))
        s_sum_up (status, figure_out (status), &sum);
    for (zconfig_t *feed = figure_first_feed (status); feed; feed = zconfig_next (feed))
        s_sum_up (status, feed, &sum);
    printf ("%-8s  %-8s  %9s  %9s  %9" PRIu64 "  %10" PRIu64 "  %10" PRIu64 "  %9s  %9s  %5" PRIu64
            "\n",
            clock, state, figure_text (status, "rate/in"), figure_text (status, "rate/stored"),
            sum.rate, sum.unsent, sum.in_flight, figure_text (status, "t1/recent_p99_us"),
            figure_text (status, "t2/recent_p99_us"), sum.peers);
}

//  ------------------------------------------------------------------------------------------------
//  Names and values

//  Print the values below a node, with the path to each.
static void
s_print_names (zconfig_t *node, const char *path)
{
    for (zconfig_t *child = zconfig_child (node); child; child = zconfig_next (child)) {
        char name [NAME_BYTES_MAX];
        snprintf (name, sizeof name, "%s%s%s", path, *path? "/": "", zconfig_name (child));
        if (zconfig_child (child)) {
            s_print_names (child, name);
            continue;
        }
        printf ("%-36s ", name);
        text_print (zconfig_value (child)? zconfig_value (child): "");
        putchar ('\n');
    }
}

void
view_print_names (zconfig_t *status)
{
    s_print_names (status, "");
}

static bool
s_is_number (const char *text)
{
    size_t length = strlen (text);
    return length > 0 && length <= 20 && strspn (text, "0123456789") == length
           && (length == 1 || *text != '0');
}

void
view_print_json (zconfig_t *node, int indent)
{
    putchar ('{');
    for (zconfig_t *child = zconfig_child (node); child; child = zconfig_next (child)) {
        printf ("%s\n%*s", child == zconfig_child (node)? "": ",", indent, "");
        text_print_json (zconfig_name (child));
        printf (": ");
        const char *value = zconfig_value (child)? zconfig_value (child): "";
        if (zconfig_child (child))
            view_print_json (child, indent + 4);
        else if (s_is_number (value) && strcmp (zconfig_name (child), "name") != 0)
            fputs (value, stdout);
        else
            text_print_json (value);
    }
    putchar ('}');
}
