//  wire.h - a ZeroMQ socket of a command: attached to endpoints, watched, and closed without losing
//  anything
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A wire has a ZeroMQ context and a socket monitor of its own. It belongs to the main thread; a
//  signal (stop.h) ends every wait.

#ifndef WIRE_H_INCLUDED
#define WIRE_H_INCLUDED

#include "meter.h"
#include "zspool.h"

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

//  What wire_wait () found, added up
#define WIRE_READY 1 //  the socket is ready
#define WIRE_INPUT 2 //  the descriptor is readable
#define WIRE_STOP 4  //  a signal asks to end

typedef struct wire wire_t;

typedef struct {
    int type;              //  ZMQ_PUSH, ZMQ_PULL, ZMQ_XPUB or ZMQ_SUB
    const char *endpoints; //  separated by commas; `@` binds, `>` or nothing connects
    int hwm;               //  high-water mark, messages
    bool verbose;          //  report when peers come and go
    const zspool_frame_t *topics; //  SUB: how the first frames begin of messages to take
    size_t topic_count;
    uint64_t subscribers;  //  XPUB: subscriptions that wire_await () awaits
    bool drop;             //  XPUB: a subscriber that is behind loses messages, and holds up nobody
} wire_options_t;

//  Create a wire, bind and connect it. Returns COMMAND_OK, or reports a line and returns the status
//  to exit with: COMMAND_USAGE for a malformed endpoint, else COMMAND_FAILED.
int
    wire_new (wire_t **self_p, const wire_options_t *options);

//  Close the wire and set *self_p to NULL; what was not sent is dropped. NULL-safe. A wire that
//  could not be drained leaves its thread to the end of the process.
void
    wire_destroy (wire_t **self_p);

//  The ZeroMQ socket, to receive from without blocking.
void *
    wire_socket (wire_t *self);

//  Number of peers that have disconnected while something may have been on its way to them.
uint64_t
    wire_departures (const wire_t *self);

//  Wait at most timeout_ms (-1: for ever) until the socket is ready for `events` (ZMQ_POLLIN,
//  ZMQ_POLLOUT or 0) or the descriptor `fd` (-1: none) is readable. May return 0 early: look at the
//  clock. An XPUB is called ready for ZMQ_POLLOUT when something has changed: try again.
int
    wire_wait (wire_t *self, short events, int fd, int timeout_ms);

//  Wait at most timeout_ms (-1: for ever) until the socket is ready for `events`, or, when that is
//  0, until a peer has been connected once, or, of an XPUB, as many subscriptions were there at
//  once as its options say; shows progress meanwhile. Returns WIRE_READY, WIRE_STOP, or 0 when time
//  was out.
int
    wire_await (wire_t *self, short events, int64_t timeout_ms, meter_t *meter);

//  Send a message without blocking. 0: ZeroMQ has taken it whole, or it has no subscriber. -1: it
//  has not; zmq_errno () is EAGAIN when it can be sent again later.
int
    wire_send (wire_t *self, const zspool_frame_t *frames, size_t count);

//  Wait at most linger_ms until all that was sent has reached the systems of the peers, and close
//  the socket. -1 stands for ever, or for 2 s when a signal has come before. Returns -1 when time
//  was out or a signal came meanwhile.
int
    wire_drain (wire_t *self, int64_t linger_ms);

#endif
