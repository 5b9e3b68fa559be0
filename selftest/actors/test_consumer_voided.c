//  test_consumer_voided.c - a consumer whose deliveries are void: its connection was lost, its
//  cursor moved
//
//  SPDX-License-Identifier: MPL-2.0

#include "actors/clients.h"

static zspool_consumer_t *
s_new_consumer (void)
{
    zspool_consumer_t *consumer = zspool_consumer_new (CLIENTS_ENDPOINT, "jobs", "c");
    CHECK_OK (zspool_consumer_set (consumer, "prefetch-messages", "100"));
    CHECK_OK (zspool_consumer_connect (consumer));
    return consumer;
}

static void
s_wait_ahead (zspool_consumer_t *consumer, size_t messages)
{
    WAIT_UNTIL (zspool_consumer_ahead (consumer) >= messages);
}

TEST (test_consumer_flush_tells_acknowledgements_that_went_with_the_connection)
{
    zspool_device_t *device = clients_device_new_with ("keep-count", "unlimited");
    clients_put_jobs (1, 1);
    zspool_consumer_t *consumer = s_new_consumer ();
    zspool_delivery_t delivery;
    CHECK_OK (zspool_consumer_recv (consumer, SELFTEST_WAIT_MS, &delivery));
    CHECK_OK (zspool_consumer_ack (consumer, delivery.sequence));
    CHECK_OK (zspool_device_stop (device));
    CHECK_OK (zspool_device_start (device));
    clients_put_jobs (1, 1);
    //  What comes now comes in another session.
    CHECK_OK (zspool_consumer_recv (consumer, SELFTEST_WAIT_MS, &delivery));
    CHECK_CODE (zspool_consumer_flush (consumer), ZSPOOL_ELOST);
    CHECK_OK (zspool_consumer_ack (consumer, delivery.sequence));
    CHECK_OK (zspool_consumer_flush (consumer));
    zspool_consumer_destroy (&consumer);
    zspool_device_destroy (&device);
}

TEST (test_consumer_seek_gives_no_more_credit_than_the_prefetch)
{
    zspool_device_t *device = clients_device_new_with ("keep-count", "unlimited");
    clients_put_jobs (1, 10);
    zspool_consumer_t *consumer = s_new_consumer ();
    for (int count = 0; count < 10; count++) {
        s_wait_ahead (consumer, 10);
        CHECK_OK (zspool_consumer_seek (consumer, "all"));
    }
    clients_put_jobs (11, 1010);
    //  A quarter may be waiting to be given.
    s_wait_ahead (consumer, 75);
    //  What came beyond would have come before the answer.
    CHECK_OK (zspool_consumer_flush (consumer));
    CHECK (zspool_consumer_ahead (consumer) <= 100);
    zspool_consumer_destroy (&consumer);
    zspool_device_destroy (&device);
}
