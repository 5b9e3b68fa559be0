//  test_consumer.c - tests of the consumer against a device: acknowledging, giving back, seeking
//
//  SPDX-License-Identifier: MPL-2.0

#include "actors/clients.h"
#include "zsp.h"

TEST (test_consumer_options_are_checked_and_fixed_once_it_connects)
{
    zspool_device_t *device = clients_device_new ();
    zspool_consumer_t *consumer = zspool_consumer_new (CLIENTS_ENDPOINT, "jobs", "all");
    zspool_delivery_t delivery;
    CHECK_CODE (zspool_consumer_set (consumer, "no-such", "1"), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_consumer_set (consumer, "prefetch-messages", "0"), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_consumer_set (consumer, "start", "somewhere"), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_consumer_set (consumer, "exclusive", "maybe"), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_consumer_recv (consumer, 0, &delivery), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_consumer_ack (consumer, 1), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_consumer_flush (consumer), ZSPOOL_EINVAL);
    CHECK (!zspool_consumer_socket (consumer));
    CHECK_OK (zspool_consumer_connect (consumer));
    CHECK (zspool_consumer_active (consumer));
    CHECK_CODE (zspool_consumer_set (consumer, "start", "new"), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_consumer_recv (consumer, 0, &delivery), ZSPOOL_ETIMEDOUT);
    zspool_consumer_destroy (&consumer);
    zspool_consumer_destroy (&consumer);
    consumer = zspool_consumer_new (CLIENTS_ENDPOINT, "jobs", "other");
    CHECK_OK (zspool_consumer_set (consumer, "create", "off"));
    CHECK_CODE (zspool_consumer_connect (consumer), ZSPOOL_ENOENT);
    zspool_consumer_destroy (&consumer);
    zspool_device_destroy (&device);
}

TEST (test_consumer_acknowledgements_are_kept_and_each_counts_once)
{
    zspool_device_t *device = clients_device_new ();
    clients_put_jobs (1, 5);
    zspool_consumer_t *consumer = clients_consumer_new ("jobs", "all");
    CHECK_EQ_U64 (clients_receive (consumer), 1);
    CHECK_EQ_U64 (clients_receive (consumer), 2);
    CHECK_EQ_U64 (clients_receive (consumer), 3);
    CHECK_OK (zspool_consumer_ack (consumer, 2));
    CHECK_CODE (zspool_consumer_ack (consumer, 2), ZSPOOL_ESTALE);
    CHECK_CODE (zspool_consumer_ack (consumer, 4), ZSPOOL_ESTALE);
    CHECK_OK (zspool_consumer_ack_to (consumer, 3));
    CHECK_CODE (zspool_consumer_ack_to (consumer, 3), ZSPOOL_ESTALE);
    CHECK_OK (zspool_consumer_flush (consumer));
    zspool_consumer_destroy (&consumer);
    consumer = clients_consumer_new ("jobs", "all");
    CHECK_EQ_U64 (clients_receive (consumer), 4);
    CHECK_EQ_U64 (clients_receive (consumer), 5);
    zspool_consumer_destroy (&consumer);
    zspool_device_destroy (&device);
}

TEST (test_consumer_ack_to_beyond_all_leaves_what_was_not_received)
{
    zspool_device_t *device = clients_device_new ();
    clients_put_jobs (1, 5);
    zspool_consumer_t *consumer = clients_consumer_new ("jobs", "all");
    CHECK_EQ_U64 (clients_receive (consumer), 1);
    CHECK_EQ_U64 (clients_receive (consumer), 2);
    CHECK_OK (zspool_consumer_ack_to (consumer, UINT64_MAX));
    CHECK_OK (zspool_consumer_flush (consumer));
    zspool_consumer_destroy (&consumer);
    consumer = clients_consumer_new ("jobs", "all");
    CHECK_EQ_U64 (clients_receive (consumer), 3);
    zspool_consumer_destroy (&consumer);
    zspool_device_destroy (&device);
}

TEST (test_consumer_rejected_message_comes_again_and_a_buried_one_does_not)
{
    zspool_device_t *device = clients_device_new ();
    clients_put_jobs (1, 2);
    zspool_consumer_t *consumer = clients_consumer_new ("jobs", "all");
    CHECK_EQ_U64 (clients_receive (consumer), 1);
    CHECK_EQ_U64 (clients_receive (consumer), 2);
    CHECK_OK (zspool_consumer_reject (consumer, 1, 0));
    CHECK_CODE (zspool_consumer_ack (consumer, 1), ZSPOOL_ESTALE);
    CHECK_OK (zspool_consumer_bury (consumer, 2, "cannot be read"));
    CHECK_CODE (zspool_consumer_bury (consumer, 2, "cannot be read"), ZSPOOL_ESTALE);
    zspool_delivery_t delivery;
    CHECK_OK (zspool_consumer_recv (consumer, SELFTEST_WAIT_MS, &delivery));
    CHECK_EQ_U64 (delivery.sequence, 1);
    CHECK_EQ_U64 (delivery.deliveries, 2);
    CHECK_OK (zspool_consumer_extend (consumer, 1, 60000));
    CHECK_OK (zspool_consumer_ack (consumer, 1));
    CHECK_CODE (zspool_consumer_extend (consumer, 1, 60000), ZSPOOL_ESTALE);
    CHECK_OK (zspool_consumer_flush (consumer));
    CHECK_EQ_U64 (zspool_consumer_stale (consumer), 0);
    zspool_consumer_destroy (&consumer);
    zspool_device_destroy (&device);
}

TEST (test_consumer_acknowledges_what_came_again_to_it_once)
{
    zspool_device_t *device = clients_device_new_with ("ack-timeout", "50");
    clients_put_jobs (1, 3);
    zspool_consumer_t *consumer = clients_consumer_new ("jobs", "all");
    for (uint64_t number = 1; number <= 3; number++)
        CHECK_EQ_U64 (clients_receive (consumer), number);
    zspool_delivery_t delivery = { .sequence = 0 };
    CHECK_OK (zspool_consumer_recv (consumer, SELFTEST_WAIT_MS, &delivery));
    CHECK (delivery.deliveries > 1);
    zspool_producer_t *producer = clients_producer_new (NULL, "others");
    CHECK_OK (zspool_producer_begin (producer));
    CHECK_OK (zspool_producer_ack (producer, consumer, delivery.sequence));
    CHECK_CODE (zspool_producer_ack (producer, consumer, delivery.sequence), ZSPOOL_ESTALE);
    zspool_producer_destroy (&producer);
    zspool_consumer_destroy (&consumer);
    zspool_device_destroy (&device);
}

TEST (test_consumer_seek_begins_again_and_makes_stale_what_was_held)
{
    zspool_device_t *device = clients_device_new ();
    clients_put_jobs (1, 20);
    zspool_consumer_t *consumer = clients_consumer_new ("jobs", "all");
    for (uint64_t number = 1; number <= 10; number++)
        CHECK_EQ_U64 (clients_receive (consumer), number);
    CHECK_CODE (zspool_consumer_seek (consumer, "somewhere"), ZSPOOL_EINVAL);
    CHECK_OK (zspool_consumer_seek (consumer, "5"));
    CHECK_CODE (zspool_consumer_ack (consumer, 7), ZSPOOL_ESTALE);
    for (uint64_t number = 5; number <= 20; number++)
        CHECK_EQ_U64 (clients_receive (consumer), number);
    CHECK_OK (zspool_consumer_ack_to (consumer, 20));
    CHECK_OK (zspool_consumer_flush (consumer));
    clients_check_none (consumer);
    zspool_consumer_destroy (&consumer);
    zspool_device_destroy (&device);
}

TEST (test_consumer_gets_again_what_it_held_when_its_device_came_back)
{
    zspool_device_t *device = clients_device_new ();
    clients_put_jobs (1, 3);
    zspool_consumer_t *consumer = clients_consumer_new ("jobs", "all");
    for (uint64_t number = 1; number <= 3; number++)
        CHECK_EQ_U64 (clients_receive (consumer), number);
    CHECK_OK (zspool_consumer_ack (consumer, 1));
    CHECK_OK (zspool_consumer_flush (consumer));
    CHECK_OK (zspool_device_stop (device));
    CHECK_OK (zspool_device_start (device));
    CHECK_EQ_U64 (clients_receive (consumer), 2);
    CHECK_CODE (zspool_consumer_ack (consumer, 1), ZSPOOL_ESTALE);
    CHECK_EQ_U64 (clients_receive (consumer), 3);
    CHECK_OK (zspool_consumer_ack_to (consumer, 3));
    CHECK_OK (zspool_consumer_flush (consumer));
    zspool_consumer_destroy (&consumer);
    zspool_device_destroy (&device);
}

TEST (test_consumer_with_a_small_prefetch_gets_all_and_no_more_ahead)
{
    zspool_device_t *device = clients_device_new ();
    clients_put_jobs (1, 500);
    zspool_consumer_t *consumer = zspool_consumer_new (CLIENTS_ENDPOINT, "jobs", "all");
    CHECK_OK (zspool_consumer_set (consumer, "prefetch-messages", "3"));
    CHECK_OK (zspool_consumer_connect (consumer));
    for (uint64_t number = 1; number <= 500; number++) {
        CHECK_EQ_U64 (clients_receive (consumer), number);
        CHECK (zspool_consumer_ahead (consumer) <= 3);
        CHECK_OK (zspool_consumer_ack (consumer, number));
    }
    zspool_consumer_destroy (&consumer);
    zspool_device_destroy (&device);
}

TEST (test_consumer_socket_is_readable_when_a_message_has_come)
{
    zspool_device_t *device = clients_device_new ();
    zspool_consumer_t *consumer = clients_consumer_new ("jobs", "all");
    zspool_delivery_t delivery;
    for (uint64_t number = 1; number <= 3; number++) {
        CHECK_CODE (zspool_consumer_recv (consumer, 0, &delivery), ZSPOOL_ETIMEDOUT);
        clients_put_jobs (number, number);
        clients_poll (zspool_consumer_socket (consumer));
        CHECK_EQ_U64 (clients_receive (consumer), number);
    }
    zspool_consumer_destroy (&consumer);
    zspool_device_destroy (&device);
}

//  All filters go in one command, which has a limit.
TEST (test_consumer_with_filters_that_are_too_long_together_is_refused)
{
    zspool_consumer_t *consumer = zspool_consumer_new ("tcp://127.0.0.1:1", "jobs", "all");
    char filter [ZSP_FILTER_BYTES_MAX + 1];
    memset (filter, 'f', sizeof filter - 1);
    filter [sizeof filter - 1] = 0;
    int count = 0, rc;
    while ((rc = zspool_consumer_set (consumer, "filter", filter)) == ZSPOOL_OK)
        count++;
    CHECK_CODE (rc, ZSPOOL_EINVAL);
    CHECK_EQ_I64 (count, ZSP_FILTERS_BYTES_MAX / (ZSP_FILTER_BYTES_MAX + 2));
    CHECK_OK (zspool_consumer_set (consumer, "filter", "short"));
    zspool_consumer_destroy (&consumer);
}

TEST (test_consumer_of_other_filters_is_refused_and_an_exclusive_one_waits_for_its_turn)
{
    zspool_device_t *device = clients_device_new ();
    zspool_consumer_t *first = zspool_consumer_new (CLIENTS_ENDPOINT, "jobs", "one");
    CHECK_OK (zspool_consumer_set (first, "exclusive", "on"));
    CHECK_OK (zspool_consumer_connect (first));
    zspool_consumer_t *second = zspool_consumer_new (CLIENTS_ENDPOINT, "jobs", "one");
    CHECK_OK (zspool_consumer_set (second, "exclusive", "on"));
    CHECK_OK (zspool_consumer_connect (second));
    CHECK (zspool_consumer_active (first) && !zspool_consumer_active (second));
    zspool_consumer_t *third = zspool_consumer_new (CLIENTS_ENDPOINT, "jobs", "one");
    CHECK_OK (zspool_consumer_set (third, "exclusive", "on"));
    CHECK_OK (zspool_consumer_set (third, "filter", "a."));
    CHECK_CODE (zspool_consumer_connect (third), ZSPOOL_EINVAL);
    zspool_consumer_destroy (&third);
    zspool_consumer_destroy (&first);
    clients_put_jobs (1, 1);
    CHECK_EQ_U64 (clients_receive (second), 1);
    CHECK (zspool_consumer_active (second));
    zspool_consumer_destroy (&second);
    zspool_device_destroy (&device);
}
