//  test_consumer_voided.c - a consumer whose deliveries are void: its connection was lost, its cursor moved
//
//  SPDX-License-Identifier: MPL-2.0

#include "lib/kit.h"
#include "zspool_device.h"
#include "zspool_producer.h"

#define ENDPOINT "ipc://service"

static zspool_device_t *
s_new_device (void)
{
    zspool_device_t *device = zspool_device_new ();
    char map [32];
    snprintf (map, sizeof map, "%llu", (unsigned long long) SELFTEST_MAP_BYTES);
    CHECK_OK (zspool_device_set (device, "map", map));
    CHECK_OK (zspool_device_set (device, "store", "store"));
    CHECK_OK (zspool_device_set (device, "service", "@" ENDPOINT));
    CHECK_OK (zspool_device_set (device, "keep-count", "unlimited"));
    CHECK_OK (zspool_device_start (device));
    return device;
}

static void
s_put (size_t count)
{
    zspool_producer_t *producer = zspool_producer_new (ENDPOINT);
    zspool_frame_t frame = { "message", 7 };
    CHECK_OK (zspool_producer_connect (producer));
    for (size_t index = 0; index < count; index++)
        CHECK_OK (zspool_producer_put (producer, &frame, 1, NULL));
    CHECK_OK (zspool_producer_flush (producer));
    zspool_producer_destroy (&producer);
}

static zspool_consumer_t *
s_new_consumer (const char *prefetch)
{
    zspool_consumer_t *consumer = zspool_consumer_new (ENDPOINT, "", "c");
    CHECK_OK (zspool_consumer_set (consumer, "prefetch-messages", prefetch));
    CHECK_OK (zspool_consumer_connect (consumer));
    return consumer;
}

static void
s_wait_ahead (zspool_consumer_t *consumer, size_t messages)
{
    int64_t until_ms = zclock_mono () + SELFTEST_WAIT_MS;
    while (zspool_consumer_ahead (consumer) < messages) {
        CHECK (zclock_mono () < until_ms);
        zclock_sleep (1);
    }
}

TEST (test_consumer_flush_tells_acknowledgements_that_went_with_the_connection)
{
    zspool_device_t *device = s_new_device ();
    s_put (1);
    zspool_consumer_t *consumer = s_new_consumer ("100");
    zspool_delivery_t delivery;
    CHECK_OK (zspool_consumer_recv (consumer, SELFTEST_WAIT_MS, &delivery));
    CHECK_OK (zspool_consumer_ack (consumer, delivery.sequence));
    CHECK_OK (zspool_device_stop (device));
    CHECK_OK (zspool_device_start (device));
    s_put (1);
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
    zspool_device_t *device = s_new_device ();
    s_put (10);
    zspool_consumer_t *consumer = s_new_consumer ("100");
    for (int count = 0; count < 10; count++) {
        s_wait_ahead (consumer, 10);
        CHECK_OK (zspool_consumer_seek (consumer, "all"));
    }
    s_put (1000);
    //  A quarter may be waiting to be given.
    s_wait_ahead (consumer, 75);
    //  What came beyond would have come before the answer.
    CHECK_OK (zspool_consumer_flush (consumer));
    CHECK (zspool_consumer_ahead (consumer) <= 100);
    zspool_consumer_destroy (&consumer);
    zspool_device_destroy (&device);
}
