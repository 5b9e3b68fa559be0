//  clients.c - what the tests of producers and consumers share
//
//  SPDX-License-Identifier: MPL-2.0

#include "actors/clients.h"

#include <stdlib.h>

zspool_device_t *
clients_device_new_with (const char *option, const char *value)
{
    zspool_device_t *device = zspool_device_new ();
    char map [32];
    snprintf (map, sizeof map, "%llu", (unsigned long long) SELFTEST_MAP_BYTES);
    CHECK_OK (zspool_device_set (device, "map", map));
    CHECK_OK (zspool_device_set (device, "store", "store"));
    CHECK_OK (zspool_device_set (device, "service", CLIENTS_ENDPOINT));
    if (option)
        CHECK_OK (zspool_device_set (device, option, value));
    CHECK_OK (zspool_device_start (device));
    return device;
}

zspool_device_t *
clients_device_new (void)
{
    return clients_device_new_with (NULL, NULL);
}

zspool_producer_t *
clients_producer_new (const char *name, const char *spool)
{
    zspool_producer_t *producer = zspool_producer_new (CLIENTS_ENDPOINT);
    if (name)
        CHECK_OK (zspool_producer_set (producer, "name", name));
    CHECK_OK (zspool_producer_set (producer, "spool", spool));
    CHECK_OK (zspool_producer_connect (producer));
    return producer;
}

zspool_consumer_t *
clients_consumer_new (const char *spool, const char *cursor)
{
    zspool_consumer_t *consumer = zspool_consumer_new (CLIENTS_ENDPOINT, spool, cursor);
    CHECK_OK (zspool_consumer_connect (consumer));
    return consumer;
}

void
clients_put (zspool_producer_t *producer, uint64_t number)
{
    char text [24];
    int size = snprintf (text, sizeof text, "%llu", (unsigned long long) number);
    CHECK_OK (zspool_producer_put (producer, &(zspool_frame_t){ text, (size_t) size }, 1, NULL));
}

void
clients_put_jobs (uint64_t first, uint64_t last)
{
    zspool_producer_t *producer = clients_producer_new (NULL, "jobs");
    for (uint64_t number = first; number <= last; number++)
        clients_put (producer, number);
    CHECK_OK (zspool_producer_flush (producer));
    zspool_producer_destroy (&producer);
}

uint64_t
clients_receive (zspool_consumer_t *consumer)
{
    uint64_t sequence;
    zmsg_t *message = zspool_consumer_recv_msg (consumer, SELFTEST_WAIT_MS, &sequence);
    CHECK (message);
    char *text = zmsg_popstr (message);
    uint64_t number = strtoull (text, NULL, 10);
    zstr_free (&text);
    zmsg_destroy (&message);
    return number;
}

void
clients_check_none (zspool_consumer_t *consumer)
{
    zspool_delivery_t delivery;
    CHECK_CODE (zspool_consumer_recv (consumer, 50, &delivery), ZSPOOL_ETIMEDOUT);
}

void
clients_poll (zsock_t *socket)
{
    zmq_pollitem_t item = { zsock_resolve (socket), 0, ZMQ_POLLIN, 0 };
    CHECK (zmq_poll (&item, 1, SELFTEST_WAIT_MS) == 1);
}
