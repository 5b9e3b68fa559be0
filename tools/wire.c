//  wire.c - a ZeroMQ socket of a command: attached, watched, and closed without losing anything
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Two ways in which libzmq 4.3.4 loses what was sent, both measured, are avoided here:
//
//  - With ZMQ_IMMEDIATE, a connection that breaks takes with it all that waits for it (995 of 1000
//    messages; without it, 22). So it is set only where several endpoints are connected: there it
//    keeps messages from waiting for a peer that is absent.
//  - Closing, even with unlimited linger, drops the end of the last batch (up to 8 KiB) when the
//    peer is slow: the engine is ended with bytes that the system has not taken. So the system's
//    own send queues must have been empty for a moment before the socket is closed.
//
//  XPUB's ZMQ_POLLOUT says nothing. With ZMQ_XPUB_NODROP a message goes to all its subscribers or,
//  with EAGAIN, to none; a subscriber that has taken some, or has gone, sends the socket a command,
//  which makes its ZMQ_FD readable until the commands have been worked off. A subscription that
//  finds the pipe to the publisher full is lost: so SUB has no high-water mark for sending.

#include "wire.h"
#include "command.h"
#include "stop.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define WIRE_ENDPOINT_BYTES_MAX 255 //  longest endpoint, as in CZMQ
#define WIRE_QUIET_MS 20            //  how long send queues must be empty to count as sent
#define WIRE_LOOK_MS 1              //  how often they are looked at, at first
#define WIRE_LOOK_SLOW_MS 10        //  and when draining takes long
#define WIRE_PARTING_MS 100         //  a peer that goes so soon after the last has had enough
#define WIRE_STOP_LINGER_MS 2000    //  how long to drain after a signal, when nobody said how long
#define WIRE_PATIENCE_MS 2000       //  when to say that draining takes long

#define WIRE_EVENTS                                                                                \
    (ZMQ_EVENT_CONNECTED | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED                      \
     | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_MONITOR_STOPPED)

typedef struct {
    int fd;
    bool is_peer; //  it has finished its handshake
} connection_t;

struct wire {
    void *context;
    void *socket;              //  NULL once it is closed
    void *monitor;             //  tells of WIRE_EVENTS
    int fd;                    //  XPUB: readable when something has changed; else -1
    bool verbose;              //  report when peers come and go
    bool stopped;              //  the monitor has ended: the closed socket has sent everything
    bool met;                  //  a peer has been connected; XPUB: there were enough subscriptions
    uint64_t wanted;           //  XPUB: so many
    uint64_t subscriptions;    //  XPUB: those there are
    bool parting;              //  draining: peers may go, for nothing is on its way to them
    uint64_t departures;       //  peers that have disconnected before all had arrived
    connection_t *connections; //  those there are
    size_t count;              //  their number
    size_t capacity;           //  room for them
};

//  Report why an endpoint cannot be used, and give the status to exit with.
static int
s_refuse_endpoint (const char *verb, const char *endpoint, int error)
{
    command_report ("cannot %s '%s': %s", verb, endpoint, zmq_strerror (error));
    bool malformed = error == EINVAL || error == EPROTONOSUPPORT || error == ENOCOMPATPROTO;
    return malformed? COMMAND_USAGE: COMMAND_FAILED;
}

//  libzmq takes any number for a port, and then never connects.
static bool
s_has_bad_port (const char *endpoint)
{
    const char *port = strrchr (endpoint, ':') + 1;
    return strncmp (endpoint, "tcp://", 6) == 0 && strspn (port, "0123456789") == strlen (port)
           && strtoul (port, NULL, 10) > UINT16_MAX;
}

static int
s_attach_endpoint (wire_t *self, const char *endpoint)
{
    bool bind = *endpoint == '@';
    if (*endpoint == '@' || *endpoint == '>')
        endpoint++;
    if (!strstr (endpoint, "://")) {
        command_report ("'%s' is not an endpoint like tcp://host:port or ipc://path", endpoint);
        return COMMAND_USAGE;
    }
    if (s_has_bad_port (endpoint)) {
        command_report ("the port of '%s' is over %d", endpoint, UINT16_MAX);
        return COMMAND_USAGE;
    }
    if (strncmp (endpoint, "inproc://", 9) == 0) {
        command_report ("'%s' cannot be reached: inproc works only inside one process", endpoint);
        return COMMAND_USAGE;
    }
    if (!bind) {
        if (zmq_connect (self->socket, endpoint) != 0)
            return s_refuse_endpoint ("connect to", endpoint, zmq_errno ());
        return COMMAND_OK;
    }
    if (zmq_bind (self->socket, endpoint) != 0)
        return s_refuse_endpoint ("bind to", endpoint, zmq_errno ());

    char bound [WIRE_ENDPOINT_BYTES_MAX + 1];
    size_t size = sizeof bound;
    bool wildcard = strstr (endpoint, ":*") != NULL;
    if ((self->verbose || wildcard)
        && zmq_getsockopt (self->socket, ZMQ_LAST_ENDPOINT, bound, &size) == 0)
        command_report ("bound to %s", bound);
    return COMMAND_OK;
}

static int
s_attach (wire_t *self, const char *endpoints)
{
    int status = COMMAND_OK;
    while (status == COMMAND_OK) {
        char endpoint [WIRE_ENDPOINT_BYTES_MAX + 1];
        size_t length = strcspn (endpoints, ",");
        if (length > WIRE_ENDPOINT_BYTES_MAX) {
            command_report ("an endpoint is longer than %d bytes", WIRE_ENDPOINT_BYTES_MAX);
            return COMMAND_USAGE;
        }
        memcpy (endpoint, endpoints, length);
        endpoint [length] = 0;
        status = s_attach_endpoint (self, endpoint);
        if (!endpoints [length])
            break;
        endpoints += length + 1;
    }
    return status;
}

//  Let an XPUB tell of every subscription, its end too; -1 and errno on failure.
static int
s_set_up_publisher (wire_t *self, const wire_options_t *options)
{
    int yes = 1, nodrop = !options->drop;
    size_t size = sizeof self->fd;
    self->wanted = options->subscribers;
    self->met = self->wanted == 0;
    if (zmq_setsockopt (self->socket, ZMQ_XPUB_VERBOSER, &yes, sizeof yes) != 0
        || zmq_setsockopt (self->socket, ZMQ_XPUB_NODROP, &nodrop, sizeof nodrop) != 0)
        return -1;
    return zmq_getsockopt (self->socket, ZMQ_FD, &self->fd, &size);
}

//  Open socket and monitor; -1 and errno on failure.
static int
s_open (wire_t *self, const wire_options_t *options)
{
    self->fd = -1;
    self->context = zmq_ctx_new ();
    if (!self->context)
        return -1;
    self->socket = zmq_socket (self->context, options->type);
    self->monitor = zmq_socket (self->context, ZMQ_PAIR);
    if (!self->socket || !self->monitor)
        return -1;

    int unlimited = 0, linger = 0, immediate = strchr (options->endpoints, ',') != NULL;
    zmq_setsockopt (self->socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt (self->socket, ZMQ_IMMEDIATE, &immediate, sizeof immediate);
    const int *send_hwm = options->type == ZMQ_SUB? &unlimited: &options->hwm;
    zmq_setsockopt (self->socket, ZMQ_SNDHWM, send_hwm, sizeof *send_hwm);
    zmq_setsockopt (self->socket, ZMQ_RCVHWM, &options->hwm, sizeof options->hwm);
    //  A full monitor would block libzmq's thread.
    zmq_setsockopt (self->monitor, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
    if (options->type == ZMQ_XPUB && s_set_up_publisher (self, options) != 0)
        return -1;
    for (size_t index = 0; index < options->topic_count; index++) {
        const zspool_frame_t *topic = &options->topics [index];
        if (zmq_setsockopt (self->socket, ZMQ_SUBSCRIBE, topic->data, topic->size) != 0)
            return -1;
    }
    if (zmq_socket_monitor (self->socket, "inproc://monitor", WIRE_EVENTS) != 0)
        return -1;
    return zmq_connect (self->monitor, "inproc://monitor");
}

int
wire_new (wire_t **self_p, const wire_options_t *options)
{
    wire_t *self = (wire_t *) calloc (1, sizeof *self);
    int status = COMMAND_FAILED;
    if (!self || s_open (self, options) != 0)
        command_report ("cannot open a socket: %s", zmq_strerror (zmq_errno ()));
    else {
        self->verbose = options->verbose;
        status = s_attach (self, options->endpoints);
    }
    if (status != COMMAND_OK)
        wire_destroy (&self);
    *self_p = self;
    return status;
}

void
wire_destroy (wire_t **self_p)
{
    wire_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    bool lingering = self->context && !self->socket && !self->stopped;
    if (self->socket)
        zmq_close (self->socket);
    if (self->monitor)
        zmq_close (self->monitor);
    if (self->context && !lingering)
        zmq_ctx_term (self->context);
    free (self->connections);
    free (self);
}

void *
wire_socket (wire_t *self)
{
    return self->socket;
}

uint64_t
wire_departures (const wire_t *self)
{
    return self->departures;
}

//  Without memory a connection stays unwatched: then draining relies on libzmq's linger alone.
static void
s_add_connection (wire_t *self, int fd)
{
    if (self->count == self->capacity) {
        size_t capacity = self->capacity? 2 * self->capacity: 8;
        connection_t *connections =
            (connection_t *) realloc (self->connections, capacity * sizeof *connections);
        if (!connections)
            return;
        self->connections = connections;
        self->capacity = capacity;
    }
    self->connections [self->count++] = (connection_t) { fd, false };
}

//  Forget a connection. True when it was a peer's.
static bool
s_remove_connection (wire_t *self, int fd)
{
    for (size_t index = 0; index < self->count; index++)
        if (self->connections [index].fd == fd) {
            bool was_peer = self->connections [index].is_peer;
            self->connections [index] = self->connections [--self->count];
            return was_peer;
        }
    return false;
}

static void
s_handle_disconnect (wire_t *self, int fd, const char *endpoint)
{
    bool was_peer = s_remove_connection (self, fd);
    if (was_peer && !self->parting)
        self->departures++;
    if (self->verbose)
        command_report (was_peer? "a peer has disconnected: %s": "not a ZeroMQ peer: %s", endpoint);
}

//  A handshake comes without its descriptor: all connections pass for peers then.
static void
s_handle_handshake (wire_t *self, const char *endpoint)
{
    self->met = self->met || self->fd < 0;
    for (size_t index = 0; index < self->count; index++)
        self->connections [index].is_peer = true;
    if (self->verbose)
        command_report ("a peer has connected: %s", endpoint);
}

static void
s_handle_event (wire_t *self, unsigned event, int fd, const char *endpoint)
{
    if (event == ZMQ_EVENT_CONNECTED || event == ZMQ_EVENT_ACCEPTED)
        s_add_connection (self, fd);
    else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
        s_handle_handshake (self, endpoint);
    else if (event == ZMQ_EVENT_DISCONNECTED)
        s_handle_disconnect (self, fd, endpoint);
    else if (event == ZMQ_EVENT_MONITOR_STOPPED)
        self->stopped = true;
}

//  Take in all events that have come: a frame with number (u16) and value (i32), a frame with an
//  endpoint.
static void
s_read_events (wire_t *self)
{
    uint8_t head [6];
    while (zmq_recv (self->monitor, head, sizeof head, ZMQ_DONTWAIT) == sizeof head) {
        uint16_t event;
        int32_t value;
        memcpy (&event, head, sizeof event);
        memcpy (&value, head + sizeof event, sizeof value);
        char endpoint [WIRE_ENDPOINT_BYTES_MAX + 1];
        int size = zmq_recv (self->monitor, endpoint, sizeof endpoint - 1, ZMQ_DONTWAIT);
        if (size > (int) sizeof endpoint - 1)
            size = sizeof endpoint - 1;
        endpoint [size > 0? size: 0] = 0;
        s_handle_event (self, event, value, endpoint);
    }
}

//  XPUB: take in the subscriptions that have come (a byte 1, a prefix) and gone (a byte 0); what
//  else a subscriber may send is dropped.
static void
s_read_subscriptions (wire_t *self)
{
    uint8_t kind = UINT8_MAX;
    for (int size; (size = zmq_recv (self->socket, &kind, sizeof kind, ZMQ_DONTWAIT)) >= 0;) {
        if (size > 0 && kind == 1)
            self->subscriptions++;
        else if (size > 0 && kind == 0 && self->subscriptions > 0)
            self->subscriptions--;
        if (self->subscriptions >= self->wanted)
            self->met = true;
    }
}

static int
s_wait (wire_t *self, short events, int fd, int timeout_ms, bool stoppable)
{
    zmq_pollitem_t items [4];
    bool publisher = self->fd >= 0 && self->socket;
    int count = 0, input = -1, socket = -1, stop = -1;
    items [count++] = (zmq_pollitem_t){ self->monitor, 0, ZMQ_POLLIN, 0 };
    if (stoppable)
        items [stop = count++] = (zmq_pollitem_t){ NULL, stop_fd (), ZMQ_POLLIN, 0 };
    if (fd >= 0)
        items [input = count++] = (zmq_pollitem_t){ NULL, fd, ZMQ_POLLIN, 0 };
    if (publisher)
        items [socket = count++] = (zmq_pollitem_t){ NULL, self->fd, ZMQ_POLLIN, 0 };
    else if (events)
        items [socket = count++] = (zmq_pollitem_t){ self->socket, 0, events, 0 };

    if (zmq_poll (items, count, timeout_ms) < 0)
        return stoppable && stop_requested ()? WIRE_STOP: 0;
    if (items [0].revents)
        s_read_events (self);
    if (publisher && items [socket].revents)
        s_read_subscriptions (self);
    return (events && socket >= 0 && items [socket].revents? WIRE_READY: 0)
           | (input >= 0 && items [input].revents? WIRE_INPUT: 0)
           | (stop >= 0 && items [stop].revents? WIRE_STOP: 0);
}

int
wire_wait (wire_t *self, short events, int fd, int timeout_ms)
{
    return s_wait (self, events, fd, timeout_ms, true);
}

int
wire_await (wire_t *self, short events, int64_t timeout_ms, meter_t *meter)
{
    int64_t start_us = command_clock_us ();
    while (events || !self->met) {
        int64_t left_ms = -1;
        if (timeout_ms >= 0) {
            left_ms = timeout_ms - (command_clock_us () - start_us) / 1000;
            if (left_ms <= 0)
                return 0;
        }
        meter_show (meter);
        int found = wire_wait (self, events, -1, meter_wait_ms (meter, left_ms));
        if (found)
            return found & WIRE_STOP? WIRE_STOP: found;
    }
    return WIRE_READY;
}

//  A peer that goes between two frames makes libzmq drop the whole message: the frames sent
//  already, and those that follow, which it pretends to take.
int
wire_send (wire_t *self, const zspool_frame_t *frames, size_t count)
{
    bool dropped = false;
    for (size_t index = 0; index < count; index++) {
        int flags = ZMQ_DONTWAIT | (index + 1 < count? ZMQ_SNDMORE: 0);
        if (zmq_send (self->socket, frames [index].data, frames [index].size, flags) >= 0)
            continue;
        if (index == 0 || zmq_errno () != EAGAIN)
            return -1;
        dropped = true;
    }
    if (dropped)
        errno = EAGAIN;
    return dropped? -1: 0;
}

//  True when bytes wait in a connection's send queue, or one is still in its handshake.
static bool
s_is_busy (wire_t *self)
{
    for (size_t index = 0; index < self->count; index++) {
        int bytes = 0;
        ioctl (self->connections [index].fd, SIOCOUTQ, &bytes);
        if (bytes > 0 || !self->connections [index].is_peer)
            return true;
    }
    return false;
}

//  One step of draining, which began at start_us; *busy_us is when something was last on its way.
//  True when all was sent.
static bool
s_drain_step (wire_t *self, int64_t start_us, int64_t now_us, int64_t *busy_us)
{
    if (!self->socket)
        return self->stopped;
    bool busy = s_is_busy (self);
    if (busy)
        *busy_us = now_us;
    self->parting = !busy || now_us - start_us < WIRE_PARTING_MS * 1000;
    if (self->count == 0 || now_us - *busy_us >= WIRE_QUIET_MS * 1000) {
        int unlimited = -1;
        zmq_setsockopt (self->socket, ZMQ_LINGER, &unlimited, sizeof unlimited);
        zmq_close (self->socket);
        self->socket = NULL;
    }
    return false;
}

int
wire_drain (wire_t *self, int64_t linger_ms)
{
    bool stoppable = !stop_requested ();
    if (!stoppable && linger_ms < 0)
        linger_ms = WIRE_STOP_LINGER_MS;
    bool patient = true;
    int64_t start_us = command_clock_us ();
    int64_t now_us = start_us, busy_us = start_us;
    while (!s_drain_step (self, start_us, now_us, &busy_us)) {
        if (s_wait (self, 0, -1, patient? WIRE_LOOK_MS: WIRE_LOOK_SLOW_MS, stoppable) & WIRE_STOP)
            return -1;
        now_us = command_clock_us ();
        if (linger_ms >= 0 && now_us - start_us >= linger_ms * 1000 && !self->stopped)
            return -1;
        if (patient && now_us - start_us >= WIRE_PATIENCE_MS * 1000) {
            command_report ("waiting until a peer takes what is left to send");
            patient = false;
        }
    }
    return 0;
}
