//  why.c - says in words what holds the messages of a device up
//
//  SPDX-License-Identifier: MPL-2.0

#include "why.h"
#include "figures.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SLOW_US 100000  //  storing that takes longer is worth a word
#define GROWING_MIN 100 //  a backlog of fewer messages is none

//  What holds messages up at an outlet; the worst last
typedef enum {
    NOTHING,
    UNACKNOWLEDGED,         //  consumers have all, and do not acknowledge
    DRAINING,               //  a backlog that goes down
    GROWING,                //  one that goes up
    STUCK,                  //  consumers are there, and take nothing
    ABSENT,                 //  no consumer is connected
    HOLDING                 //  it waits for subscriptions at the start
} cause_t;

//  ------------------------------------------------------------------------------------------------
//  Outlets

static bool
s_is_explicit (zconfig_t *status, zconfig_t *outlet)
{
    return strcmp (figure_policy (status, outlet), "explicit") == 0;
}

//  Messages that wait as long as no consumer is there. What consumers that have left did not
//  acknowledge will be sent again.
static uint64_t
s_waiting (zconfig_t *status, zconfig_t *outlet)
{
    return figure_unsent (status, outlet)
           + (s_is_explicit (status, outlet)? figure_number (outlet, "in_flight"): 0);
}

//  Whether messages wait for a consumer: not those of a publisher, which needs none; and peers over
//  inproc are not counted.
static bool
s_is_absent (zconfig_t *status, zconfig_t *outlet)
{
    bool is_sub = strcmp (figure_text (outlet, "type"), "sub") == 0;
    return !figure_is_pub (status, outlet)
           && (is_sub || !figure_is_inproc (status, outlet))
           && figure_number (outlet, is_sub? "subscriptions": "peers") == 0;
}

static cause_t
s_cause (zconfig_t *status, zconfig_t *outlet)
{
    uint64_t unsent = figure_unsent (status, outlet), out = figure_rate (status, outlet);
    if (s_is_absent (status, outlet) && s_waiting (status, outlet) > 0)
        return ABSENT;
    if (figure_number (outlet, "holding") && unsent > 0)
        return HOLDING;
    if (unsent > GROWING_MIN && figure_number (status, "rate/in") > out)
        return GROWING;
    if (unsent > GROWING_MIN)
        return out > 0? DRAINING: STUCK;
    if (s_is_explicit (status, outlet) && figure_number (outlet, "in_flight") > 0 && out == 0)
        return UNACKNOWLEDGED;
    return NOTHING;
}

//  The outlet with the worst cause, the main one before all feeds; NULL: nothing is held up at any.
//  Stores how many others have one.
static zconfig_t *
s_worst (zconfig_t *status, uint64_t *others)
{
    zconfig_t *out = figure_out (status), *worst = NULL;
    cause_t worst_cause = out? s_cause (status, out): NOTHING;
    if (worst_cause != NOTHING)
        worst = out;
    uint64_t late = worst? 1: 0;
    for (zconfig_t *feed = figure_first_feed (status); feed; feed = zconfig_next (feed)) {
        cause_t cause = s_cause (status, feed);
        late += cause != NOTHING;
        if (worst != out && cause > worst_cause) {
            worst = feed;
            worst_cause = cause;
        }
    }
    *others = late > 0? late - 1: 0;
    return worst;
}

static void
s_print_cause (zconfig_t *status, zconfig_t *outlet)
{
    uint64_t unsent = figure_unsent (status, outlet), in_flight = figure_number (outlet, "in_flight");
    uint64_t in = figure_number (status, "rate/in"), out = figure_rate (status, outlet);
    switch (s_cause (status, outlet)) {
    case HOLDING:
        printf ("%s subscriptions are there, and --hold waits for more: %" PRIu64 " messages wait",
                figure_text (outlet, "subscriptions"), unsent);
        break;
    case ABSENT:
        printf ("no consumer is connected: %" PRIu64 " messages wait for one",
                s_waiting (status, outlet));
        break;
    case GROWING:
        printf ("consumers take %" PRIu64 " messages a second, producers send %" PRIu64 ": %" PRIu64
                " wait, and more will",
                out, in, unsent);
        break;
    case DRAINING:
        printf ("a backlog of %" PRIu64 " messages, gone in %" PRIu64 " s at this rate", unsent,
                unsent / (out - in + 1) + 1);
        break;
    case STUCK:
        printf ("consumers take nothing: %" PRIu64 " messages wait, %" PRIu64 " are not acknowledged",
                unsent, in_flight);
        break;
    case UNACKNOWLEDGED:
        printf ("%" PRIu64 " messages are with consumers, which have not acknowledged them",
                in_flight);
        break;
    case NOTHING:
        break;
    }
}

//  Print what holds messages up at the outlets; false when nothing does.
static bool
s_print_outlets (zconfig_t *status)
{
    uint64_t others;
    zconfig_t *worst = s_worst (status, &others);
    if (!worst)
        return false;
    if (worst != figure_out (status)) {
        printf ("feed ");
        text_print (zconfig_name (worst));
        printf (": ");
    }
    s_print_cause (status, worst);
    if (others > 0)
        printf ("; %" PRIu64 " more of its outlets %s behind", others, others == 1? "is": "are");
    return true;
}

//  ------------------------------------------------------------------------------------------------
//  The device

//  Which part of the device does not answer
static void
s_print_stalled (zconfig_t *status)
{
    uint64_t writer_ms = figure_number (status, "device/writer_silent_ms");
    uint64_t inlet_ms = figure_number (status, "device/inlet_silent_ms");
    uint64_t outlet_ms = figure_number (status, "device/outlet_silent_ms");
    for (zconfig_t *feed = figure_first_feed (status); feed; feed = zconfig_next (feed))
        if (figure_number (feed, "silent_ms") > outlet_ms)
            outlet_ms = figure_number (feed, "silent_ms");
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

static void
s_print_running (zconfig_t *status)
{
    uint64_t t2_us = figure_number (status, "t2/recent_p99_us"), others;
    zconfig_t *worst = s_worst (status, &others);
    bool is_slow = t2_us > SLOW_US;
    //  A backlog may be there because storing is slow.
    bool told = worst && (!is_slow || s_cause (status, worst) >= ABSENT) && s_print_outlets (status);
    if (is_slow) {
        printf ("%sstoring is slow: look at the disk; 99 %% of messages were stored within ",
                told? "; ": "");
        figure_print_us (t2_us);
    }
    else if (!told)
        printf ("nothing holds messages up");
}

void
why_print (zconfig_t *status)
{
    const char *state = figure_text (status, "state");
    if (strcmp (state, "failed") == 0)
        printf ("the store has failed: see what the device said, verify the store, start it again");
    else if (strcmp (state, "stalled") == 0)
        s_print_stalled (status);
    else if (strcmp (state, "full") == 0
             && strcmp (figure_text (status, "store/full"), "limit") == 0)
        printf ("the spool is at its limit, --max-bytes: producers are held until messages are "
                "acknowledged");
    else if (strcmp (state, "full") == 0)
        printf ("the disk is full: producers are held until there is space, or messages are "
                "acknowledged");
    else if (strcmp (state, "stopping") == 0)
        printf ("the device is ending");
    else if (figure_number (status, "in/paused"))
        printf ("taking in is paused: producers are held until zspool resume");
    else
        s_print_running (status);
}
