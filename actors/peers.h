//  peers.h - tells from a socket's monitor which peers come and go
//
//  SPDX-License-Identifier: MPL-2.0
//
//  libzmq reports every connection that ends, also those that never were peers: port scanners, HTTP
//  requests. Only the loss of one that had finished its handshake means that messages may be lost
//  with it. Over inproc there are no events.

#ifndef ZSPOOL_PEERS_H_INCLUDED
#define ZSPOOL_PEERS_H_INCLUDED

#include <stdbool.h>
#include <stddef.h>

//  A connection, by its file descriptor
typedef struct {
    int fd;
    bool is_peer;             //  has finished its handshake
} zspool_connection_t;

typedef struct {
    void *monitor;            //  socket that events come from; poll it for reading
    void *socket;             //  that is watched; not ours
    zspool_connection_t *connections;
    size_t count;             //  connections
    size_t max;               //  room for them
    bool unclaimed;           //  a handshake was told before its connection: all that come may be it
} zspool_peers_t;

//  Watch a socket; call it before the socket is bound or connected. Returns 0, or -1 with errno.
int
    zspool_peers_watch (zspool_peers_t *self, void *socket);
void
    zspool_peers_end (zspool_peers_t *self);

//  Take in the events that have come. Returns how many peers have gone.
size_t
    zspool_peers_update (zspool_peers_t *self);

//  Peers that are connected now
size_t
    zspool_peers_count (const zspool_peers_t *self);

#endif
