//  view.c - shows the status of a running device
//
//  SPDX-License-Identifier: MPL-2.0

#include "view.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME_BYTES_MAX 256       //  longest path of a name
#define SLOW_US 100000           //  storing that takes longer is worth a word
#define READER_COMMITS_MAX 300   //  no reader that works takes so long
#define GROWING_MIN 100          //  a backlog of fewer messages is none

static const char *
s_text (zconfig_t *status, const char *name)
{
    return zconfig_get (status, name, "");
}

static uint64_t
s_number (zconfig_t *status, const char *name)
{
    return strtoull (zconfig_get (status, name, "0"), NULL, 10);
}

//  Messages that have a number and were never sent
static uint64_t
s_unsent (zconfig_t *status)
{
    uint64_t last = s_number (status, "store/last_sequence");
    uint64_t sent_to = s_number (status, "out/sent_to");
    return last > sent_to? last - sent_to: 0;
}

//  ------------------------------------------------------------------------------------------------
//  Figures

//  Print microseconds with a unit that suits them.
static void
s_print_us (uint64_t us)
{
    if (us < 1000)
        printf ("%" PRIu64 " us", us);
    else if (us < 1000000)
        printf ("%.2f ms", (double) us / 1e3);
    else if (us < 600 * 1000000ULL)
        printf ("%.2f s", (double) us / 1e6);
    else
        printf ("%.1f h", (double) us / 3600e6);
}

static void
s_print_bytes (uint64_t bytes)
{
    static const char *const units [] = { "B", "KiB", "MiB", "GiB", "TiB" };
    size_t unit = 0;
    double shown = (double) bytes;
    for (; shown >= 1024 && unit < 4; unit++)
        shown /= 1024;
    printf ("%.*f %s", unit == 0 || shown >= 100? 0: 1, shown, units [unit]);
}

//  Print a measure: the recent values, or all when there are none of late.
static void
s_print_measure (zconfig_t *status, const char *title, const char *name, const char *what,
                 const char *end)
{
    char path [64];
    snprintf (path, sizeof path, "%s/recent_count", name);
    bool recent = s_number (status, path) > 0;
    printf ("%-10s", title);
    snprintf (path, sizeof path, "%s/count", name);
    if (s_number (status, path) == 0)
        printf ("nothing yet");
    else {
        static const char *const values [] = { "p50_us", "p99_us", "max_us" };
        static const char *const titles [] = { "half within ", ", 99 % within ", ", at most " };
        for (size_t index = 0; index < 3; index++) {
            fputs (titles [index], stdout);
            snprintf (path, sizeof path, "%s/%s%s", name, recent? "recent_": "", values [index]);
            s_print_us (s_number (status, path));
        }
        if (!recent)
            fputs (" since the start", stdout);
    }
    printf ("; %s%s\n", what, end);
}

//  ------------------------------------------------------------------------------------------------
//  What holds messages up

static bool
s_is_explicit (zconfig_t *status)
{
    return strcmp (s_text (status, "device/ack"), "explicit") == 0;
}

//  Messages that wait because no consumer is connected; 0 when one is. What consumers that have
//  left did not acknowledge will be sent again. Peers over inproc are not counted.
static uint64_t
s_wait_for_consumer (zconfig_t *status)
{
    if (s_number (status, "out/peers") > 0
        || strncmp (s_text (status, "device/out"), "inproc:", 7) == 0)
        return 0;
    return s_unsent (status) + (s_is_explicit (status)? s_number (status, "out/in_flight"): 0);
}

static void
s_why_not_out (zconfig_t *status)
{
    uint64_t unsent = s_unsent (status), in_flight = s_number (status, "out/in_flight");
    uint64_t in = s_number (status, "rate/in"), out = s_number (status, "rate/out");
    if (unsent > GROWING_MIN && in > out)
        printf ("consumers take %" PRIu64 " messages a second, producers send %" PRIu64
                ": %" PRIu64 " wait, and more will", out, in, unsent);
    else if (unsent > GROWING_MIN && out > 0)
        printf ("a backlog of %" PRIu64 " messages, gone in %" PRIu64 " s at this rate", unsent,
                unsent / (out - in + 1) + 1);
    else if (unsent > GROWING_MIN)
        printf ("consumers take nothing: %" PRIu64 " messages wait, %" PRIu64
                " are not acknowledged",
                unsent, in_flight);
    else if (s_is_explicit (status) && in_flight > 0 && out == 0)
        printf ("%" PRIu64 " messages are with consumers, which have not acknowledged them",
                in_flight);
    else
        printf ("nothing holds messages up");
}

//  Which part of the device does not answer
static void
s_print_stalled (zconfig_t *status)
{
    uint64_t writer_ms = s_number (status, "device/writer_silent_ms");
    uint64_t inlet_ms = s_number (status, "device/inlet_silent_ms");
    uint64_t outlet_ms = s_number (status, "device/outlet_silent_ms");
    if (writer_ms == 0 && inlet_ms + outlet_ms > 0)
        printf ("the device gets no processor: its %s has not answered for %.1f s",
                inlet_ms > outlet_ms? "inlet": "outlet",
                (double) (inlet_ms > outlet_ms? inlet_ms: outlet_ms) / 1e3);
    else {
        printf ("a commit does not end");
        if (writer_ms > 0)
            printf (": no answer for %.1f s", (double) writer_ms / 1e3);
        printf ("; look at the disk");
    }
}

//  The first thing from in to out that holds messages up, in words
static void
s_print_why (zconfig_t *status)
{
    const char *state = s_text (status, "state");
    uint64_t t2_us = s_number (status, "t2/recent_p99_us"), waiting = s_wait_for_consumer (status);
    if (strcmp (state, "failed") == 0)
        printf ("the store has failed: see what the device said, verify the store, start it again");
    else if (strcmp (state, "stalled") == 0)
        s_print_stalled (status);
    else if (strcmp (state, "full") == 0 && strcmp (s_text (status, "store/full"), "limit") == 0)
        printf ("the spool is at its limit, --max-bytes: producers are held until messages are "
                "acknowledged");
    else if (strcmp (state, "full") == 0)
        printf ("the disk is full: producers are held until there is space, or messages are "
                "acknowledged");
    else if (strcmp (state, "stopping") == 0)
        printf ("the device is ending");
    else if (s_number (status, "in/paused"))
        printf ("taking in is paused: producers are held until zspool resume");
    else if (waiting > 0 || t2_us > SLOW_US) {
        if (waiting > 0)
            printf ("no consumer is connected: %" PRIu64 " messages wait for one", waiting);
        if (t2_us > SLOW_US) {
            printf ("%sstoring is slow: look at the disk; 99 %% of messages were stored within ",
                    waiting > 0? "; ": "");
            s_print_us (t2_us);
        }
    }
    else
        s_why_not_out (status);
}

//  ------------------------------------------------------------------------------------------------
//  The screen

static void
s_print_device (zconfig_t *status, const char *end)
{
    uint64_t up_s = s_number (status, "device/uptime_ms") / 1000;
    printf ("device    ");
    text_print (s_text (status, "device/name"));
    printf (", %s, %s, process %s, up %" PRIu64 ":%02u:%02u%s\n",
            s_text (status, "device/durability"), s_text (status, "device/ack"),
            s_text (status, "device/pid"), up_s / 3600, (unsigned) (up_s / 60 % 60),
            (unsigned) (up_s % 60), end);
    printf ("          in ");
    text_print (s_text (status, "device/in"));
    printf (", out ");
    text_print (s_text (status, "device/out"));
    if (*s_text (status, "device/ack_in")) {
        printf (", ack-in ");
        text_print (s_text (status, "device/ack_in"));
    }
    printf ("%s\nstate     %s%s%s\n", end, s_text (status, "state"),
            s_number (status, "in/paused")? ", paused": "", end);
}

//  A reader that hangs makes the store grow, and that is told of nowhere else.
static void
s_print_reader (zconfig_t *status, const char *end)
{
    uint64_t commits = s_number (status, "store/oldest_reader_commits");
    if (commits > READER_COMMITS_MAX)
        printf ("reader    a process looks at the store as it was %" PRIu64
                " commits ago and holds back its space: zspool info says which%s\n",
                commits, end);
}

static void
s_print_flow (zconfig_t *status, const char *end)
{
    printf ("in        %s messages/s, ", s_text (status, "rate/in"));
    s_print_bytes (s_number (status, "rate/in_bytes"));
    printf ("/s; %s since the start, %s dropped%s\n", s_text (status, "in/messages"),
            s_text (status, "in/dropped"), end);
    printf ("store     %s messages/s, ", s_text (status, "rate/stored"));
    s_print_bytes (s_number (status, "rate/stored_bytes"));
    printf ("/s; a commit takes ");
    bool recent = s_number (status, "store/commit_messages_recent_count") > 0;
    s_print_us (s_number (status, recent? "store/commit_recent_p50_us": "store/commit_p50_us"));
    printf (" for %s messages, ", s_text (status, recent? "store/commit_messages_recent_p50":
                                                          "store/commit_messages_p50"));
    s_print_bytes (
        s_number (status, recent? "store/commit_bytes_recent_p50": "store/commit_bytes_p50"));
    printf ("%s\nout       %s messages/s, ", end, s_text (status, "rate/out"));
    s_print_bytes (s_number (status, "rate/out_bytes"));
    printf ("/s to %s peers; %s since the start, %s sent again%s\n", s_text (status, "out/peers"),
            s_text (status, "out/sent"), s_text (status, "out/resent"), end);
    printf ("waiting   %" PRIu64 " to be sent", s_unsent (status));
    if (s_number (status, "out/unsent_age_ms") > 0) {
        printf (", the next for ");
        s_print_us (s_number (status, "out/unsent_age_ms") * 1000);
    }
    printf ("; %s sent and not acknowledged%s\n", s_text (status, "out/in_flight"), end);
    if (s_number (status, "out/buried") > 0)
        printf ("dead      %s messages were delivered too often since the start: see zspool dead list%s\n",
                s_text (status, "out/buried"), end);
}

void
view_print (zconfig_t *status, const char *end)
{
    s_print_device (status, end);
    s_print_reader (status, end);
    s_print_flow (status, end);
    s_print_measure (status, "t1", "t1", "received until handed to the writer", end);
    s_print_measure (status, "t2", "t2", "from then until on the disk", end);
    s_print_measure (status, "forward", "wait", "numbered until sent", end);
    printf ("late?     ");
    s_print_why (status);
    printf ("%s\n", end);
}

void
view_print_row_head (void)
{
    printf ("%-8s  %-8s  %9s  %9s  %9s  %10s  %10s  %9s  %9s  %5s\n", "time", "state", "in/s",
            "stored/s", "out/s", "unsent", "in flight", "t1 99% us", "t2 99% us", "peers");
}

void
view_print_row (zconfig_t *status)
{
    char clock [16] = "";
    time_t now = time (NULL);
    struct tm parts;
    if (localtime_r (&now, &parts))
        strftime (clock, sizeof clock, "%H:%M:%S", &parts);
    const char *state = s_text (status, "state");
    if (s_number (status, "in/paused") && strcmp (state, "running") == 0)
        state = "paused";
    printf ("%-8s  %-8s  %9s  %9s  %9s  %10" PRIu64 "  %10s  %9s  %9s  %5s\n", clock, state,
            s_text (status, "rate/in"), s_text (status, "rate/stored"), s_text (status, "rate/out"),
            s_unsent (status), s_text (status, "out/in_flight"),
            s_text (status, "t1/recent_p99_us"), s_text (status, "t2/recent_p99_us"),
            s_text (status, "out/peers"));
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
