//  sending.h - sends messages through a wire: waits for peers, keeps a rate, sees that all arrive
//
//  SPDX-License-Identifier: MPL-2.0
//
//  What `zspool push`, `pub` and `replay` have in common. A message counts as sent when ZeroMQ has
//  taken it; before the command ends it waits until all have reached the peers' systems.

#ifndef SENDING_H_INCLUDED
#define SENDING_H_INCLUDED

#include "command.h"
#include "meter.h"
#include "wire.h"
#include "zspool.h"

#define SENDING_SUBSCRIBERS_MAX 1000000
#define SENDING_RATE_MAX 1000000000 //  messages a second

//  Options of sending; those of a command begin behind them
enum {
    SENDING_RATE = 256,
    SENDING_HWM,
    SENDING_TIMEOUT,
    SENDING_LINGER,
    SENDING_VERBOSE,
    SENDING_SUBSCRIBERS,
    SENDING_DROP,
    SENDING_OPTIONS_END
};

#define SENDING_OPTIONS \
    { "rate", required_argument, NULL, SENDING_RATE }, \
    { "hwm", required_argument, NULL, SENDING_HWM }, \
    { "timeout", required_argument, NULL, SENDING_TIMEOUT }, \
    { "linger", required_argument, NULL, SENDING_LINGER }, \
    { "verbose", no_argument, NULL, SENDING_VERBOSE }

//  Options of one that publishes
#define SENDING_OPTIONS_PUB \
    { "subscribers", required_argument, NULL, SENDING_SUBSCRIBERS }

typedef struct {
    //  Options
    wire_options_t wire_options;
    uint64_t rate;      //  messages a second; 0: as fast as can be
    int64_t timeout_ms; //  patience with peers; -1: for ever
    int64_t linger_ms;  //  the same at the end
    bool linger_given;  //  --linger
    bool endless;       //  a signal is its usual end

    //  State
    wire_t *wire;
    meter_t meter;      //  messages that ZeroMQ has taken
    double due_us;      //  under a rate: when the next message may go
    bool gave_up;       //  no peer took a message for timeout_ms
} sending_t;

//  The options when none is given
sending_t
    sending_new (int type);

//  Take the option that command_option () gave, one of SENDING_OPTIONS or SENDING_OPTIONS_PUB;
//  other values are ignored.
void
    sending_option (sending_t *self, int option);

//  Open the wire. Returns COMMAND_OK, or reports a line and returns the status to exit with.
//  `live` shows progress.
int
    sending_open (sending_t *self, bool live);

//  Close it. Safe when it was never opened.
void
    sending_close (sending_t *self);

//  Send a message, waiting until peers can take it. False when that fails, which is reported, or a
//  signal came.
bool
    sending_send (sending_t *self, const zspool_frame_t *frames, size_t count);

//  Send a message of a block likewise. Of the record no frame has been taken.
bool
    sending_record (sending_t *self, const zspool_record_t *record, zspool_block_t *block);

//  Wait until due_us, and serve the wire meanwhile; a signal ends the wait.
void
    sending_wait_due (sending_t *self);

//  Under a rate: wait until the next message is due.
void
    sending_pace (sending_t *self);

//  Wait until what was sent has arrived. False, and a line, when some of it may not have.
bool
    sending_finish (sending_t *self);

#endif
