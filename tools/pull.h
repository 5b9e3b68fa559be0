//  pull.h - zspool pull, and what zspool sub has in common with it
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef PULL_H_INCLUDED
#define PULL_H_INCLUDED

#include "command.h"
#include "meter.h"
#include "output.h"
#include "wire.h"
#include "zspool.h"

#define PULL_TICKETS_MAX 1000 //  tickets that go back in one message, at most

enum {
    PULL_COUNT = 256,
    PULL_TIMEOUT,
    PULL_FORMAT,
    PULL_SEPARATOR,
    PULL_OUTPUT,
    PULL_QUIET,
    PULL_DELAY,
    PULL_HWM,
    PULL_VERBOSE,
    PULL_ACK_TO,
    PULL_LINGER
};

//  Those that go with any socket
#define PULL_OPTIONS \
    { "count", required_argument, NULL, PULL_COUNT }, \
    { "timeout", required_argument, NULL, PULL_TIMEOUT }, \
    { "format", required_argument, NULL, PULL_FORMAT }, \
    { "separator", required_argument, NULL, PULL_SEPARATOR }, \
    { "output", required_argument, NULL, PULL_OUTPUT }, \
    { "quiet", no_argument, NULL, PULL_QUIET }, \
    { "delay", required_argument, NULL, PULL_DELAY }, \
    { "hwm", required_argument, NULL, PULL_HWM }, \
    { "verbose", no_argument, NULL, PULL_VERBOSE }

typedef enum { PULL_TEXT, PULL_HEX, PULL_RAW } pull_format_t;

typedef struct {
    //  Options
    wire_options_t wire_options;
    uint64_t count;     //  messages to take; 0: no limit
    int64_t timeout_ms; //  how long none may come; -1: for ever
    pull_format_t format;
    bool format_given;     //  --format
    const char *separator; //  between the frames of a text line; NULL: a tab
    size_t separator_bytes;
    const char *file;        //  NULL: standard output
    bool quiet;              //  count only
    const char *ack_to;      //  where tickets go; NULL: messages have none
    int64_t linger_ms;       //  patience with that peer at the end; -1: for ever
    int64_t delay_ms;        //  rest after each message
    zspool_filter_t *filter; //  messages to take; NULL: all that come. Borrowed

    //  State
    wire_t *wire;
    wire_t *ack_wire;      //  NULL without ack_to
    output_t *output;      //  NULL when quiet, and once writing has failed
    bool failed;           //  something went wrong, and was reported
    zmq_msg_t frame;       //  the frame at hand
    meter_t meter;         //  messages written
    uint64_t passed;       //  messages that the filter did not want
    int64_t idle_us;       //  since when none has come; 0: not known yet
    uint16_t attempt;      //  from the ticket at hand: how often its message was sent
    uint64_t repeats;      //  messages written that had been sent before
    uint64_t acknowledged; //  tickets that ZeroMQ has taken
    size_t ticket_count;   //  tickets of messages that were written, not sent yet
    int64_t ticket_us;     //  when the first of them was collected
    uint8_t tickets [PULL_TICKETS_MAX][ZSPOOL_TICKET_BYTES]; //  behind them, the ticket at hand
} pull_t;

//  The options when none is given; `type` is that of the socket. There is one: it is large.
pull_t *
    pull_new (int type);

//  Take the option that command_option () gave.
void
    pull_option (pull_t *self, int option);

//  Exit when options do not fit.
void
    pull_check_options (pull_t *self);

//  Take messages until the end. Gives an exit status; what fails is reported.
int
    pull_run (pull_t *self);

#endif
