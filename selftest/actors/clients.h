//  clients.h - what tests of producers and consumers share: a device with a service, and numbers
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Everything here ends the test when it fails. Messages are numbers as text.

#ifndef CLIENTS_H_INCLUDED
#define CLIENTS_H_INCLUDED

#include "lib/kit.h"
#include "zspool.h"

#define CLIENTS_ENDPOINT "ipc://service"

//  A device that has started, with a service
zspool_device_t *
    clients_device_new (void);

//  The same, with an option
zspool_device_t *
    clients_device_new_with (const char *option, const char *value);

//  A producer that has connected; no name when it is NULL.
zspool_producer_t *
    clients_producer_new (const char *name, const char *spool);

//  A consumer that has connected
zspool_consumer_t *
    clients_consumer_new (const char *spool, const char *cursor);

//  Put a number into the producer's spool, as its message of that number.
void
    clients_put (zspool_producer_t *producer, uint64_t number);

//  Put first..last into "jobs", and have them confirmed.
void
    clients_put_jobs (uint64_t first, uint64_t last);

//  Wait for a message: its number.
uint64_t
    clients_receive (zspool_consumer_t *consumer);

//  Check that no message has come, though there was time for it.
void
    clients_check_none (zspool_consumer_t *consumer);

//  Wait until a socket is readable.
void
    clients_poll (zsock_t *socket);

#endif
