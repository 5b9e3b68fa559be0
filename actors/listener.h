//  listener.h - the control socket of a store: takes requests from other processes, gives them
//  replies
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A Unix stream socket in the store's directory, for its owner only. It is not ZeroMQ's: libzmq
//  4.3.4 ends the process when an ipc listener finds no descriptor left. No client can hold up the
//  device or another client: nothing blocks, each client has one request at a time, and one that is
//  silent in the middle, or does not read, is cut off after a while. For one thread.

#ifndef ZSPOOL_LISTENER_H_INCLUDED
#define ZSPOOL_LISTENER_H_INCLUDED

#include "zspool_library.h"
#include <czmq.h>

#define ZSPOOL_LISTENER_CLIENTS_MAX 32 //  most at a time; more are told so and cut off
//  Poll items that a listener needs at most
#define ZSPOOL_LISTENER_ITEMS_MAX (ZSPOOL_LISTENER_CLIENTS_MAX + 1)

typedef struct zspool_listener zspool_listener_t;

//  Given a request of a client, which it destroys; it calls zspool_listener_reply () now or later.
//  NULL: the client has gone, and its request needs no reply any more.
typedef void (zspool_listener_handler_t) (void *arg, uint64_t client, zmsg_t *request);

//  Listen in the store's directory, in place of what a killed device may have left there: the
//  caller holds the store's lock. NULL and errno when the socket cannot be made.
zspool_listener_t *
    zspool_listener_new (const char *directory, zspool_listener_handler_t *handler, void *arg);

//  Cut off all clients and remove the socket. The caller still holds the store's lock. NULL-safe.
void
    zspool_listener_destroy (zspool_listener_t **self_p);

//  Fill in what to poll; returns how many items.
size_t
    zspool_listener_items (zspool_listener_t *self, zmq_pollitem_t *items);

//  How long to poll at most, milliseconds; -1: for ever
long
    zspool_listener_timeout_ms (const zspool_listener_t *self);

//  Do what the items, polled, ask for, and cut off who is late.
void
    zspool_listener_serve (zspool_listener_t *self, const zmq_pollitem_t *items, size_t count);

//  Give a client the reply to its request, and destroy that. Nothing happens if it has gone.
void
    zspool_listener_reply (zspool_listener_t *self, uint64_t client, zmsg_t **reply_p);

#endif
