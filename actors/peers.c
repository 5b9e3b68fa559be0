//  peers.c - tells from a socket's monitor which peers come and go
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A connection is accepted (its descriptor is told), then maybe finishes its handshake (no
//  descriptor is told), and ends (descriptor). When several are in their handshake, one that
//  finishes makes peers of all of them: a peer too many costs messages sent twice, one too few
//  would cost messages lost.

#include "peers.h"

#include <czmq.h>
#include <stdlib.h>
#include <string.h>

int
zspool_peers_watch (zspool_peers_t *self, void *socket)
{
    char endpoint [64];
    snprintf (endpoint, sizeof endpoint, "inproc://zspool-peers-%p", (void *) self);
    int events = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_CONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED
                 | ZMQ_EVENT_DISCONNECTED;
    memset (self, 0, sizeof *self);
    if (zmq_socket_monitor (socket, endpoint, events))
        return -1;
    self->socket = socket;
    self->monitor = zmq_socket (zsys_init (), ZMQ_PAIR);
    int unlimited = 0;
    if (!self->monitor || zmq_setsockopt (self->monitor, ZMQ_RCVHWM, &unlimited, sizeof unlimited))
        return -1;
    return zmq_connect (self->monitor, endpoint);
}

void
zspool_peers_end (zspool_peers_t *self)
{
    if (self->socket)
        zmq_socket_monitor (self->socket, NULL, 0);
    if (self->monitor)
        zmq_close (self->monitor);
    free (self->connections);
    memset (self, 0, sizeof *self);
}

//  Find a connection by its descriptor; NULL when there is none.
static zspool_connection_t *
s_find (zspool_peers_t *self, int fd)
{
    for (size_t index = 0; index < self->count; index++)
        if (self->connections [index].fd == fd)
            return &self->connections [index];
    return NULL;
}

static void
s_connected (zspool_peers_t *self, int fd)
{
    //  The end of a connection that was refused early may go untold: its descriptor is used again.
    zspool_connection_t *connection = s_find (self, fd);
    if (connection) {
        connection->is_peer = self->unclaimed;
        return;
    }
    if (self->count == self->max) {
        size_t max = self->max? self->max * 2: 16;
        zspool_connection_t *connections =
            (zspool_connection_t *) realloc (self->connections, max * sizeof *connections);
        if (!connections)
            return;
        self->connections = connections;
        self->max = max;
    }
    self->connections [self->count++] = (zspool_connection_t) { fd, self->unclaimed };
}

static void
s_handshaken (zspool_peers_t *self)
{
    bool claimed = false;
    for (size_t index = 0; index < self->count; index++) {
        claimed = claimed || !self->connections [index].is_peer;
        self->connections [index].is_peer = true;
    }
    self->unclaimed = !claimed;
}

//  Forget a connection. Returns whether it was a peer's; one we do not know may have been.
static bool
s_disconnected (zspool_peers_t *self, int fd)
{
    zspool_connection_t *connection = s_find (self, fd);
    if (connection) {
        bool was_peer = connection->is_peer;
        *connection = self->connections [--self->count];
        return was_peer;
    }
    //  With several I/O threads its beginning may be told after its end.
    return self->unclaimed;
}

//  Receive an event: number and value. False when there is none.
static bool
s_receive (zspool_peers_t *self, uint16_t *event, int *value)
{
    uint8_t bytes [sizeof *event + sizeof (uint32_t)];
    int size = zmq_recv (self->monitor, bytes, sizeof bytes, ZMQ_DONTWAIT);
    if (size < 0)
        return false;
    uint32_t number = 0;
    *event = 0;
    if (size == sizeof bytes) {
        memcpy (event, bytes, sizeof *event);
        memcpy (&number, bytes + sizeof *event, sizeof number);
    }
    *value = (int) number;
    char endpoint;
    zmq_recv (self->monitor, &endpoint, sizeof endpoint, 0);
    return true;
}

size_t
zspool_peers_update (zspool_peers_t *self)
{
    size_t gone = 0;
    uint16_t event;
    int value;
    while (s_receive (self, &event, &value)) {
        if (event == ZMQ_EVENT_ACCEPTED || event == ZMQ_EVENT_CONNECTED)
            s_connected (self, value);
        else if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            s_handshaken (self);
        else if (event == ZMQ_EVENT_DISCONNECTED)
            gone += s_disconnected (self, value);
    }
    return gone;
}

size_t
zspool_peers_count (const zspool_peers_t *self)
{
    size_t count = 0;
    for (size_t index = 0; index < self->count; index++)
        count += self->connections [index].is_peer;
    return count;
}
