//  test_producer.c - tests of the producer against a device: numbers, levels, fencing, transactions
//
//  SPDX-License-Identifier: MPL-2.0

#include "actors/clients.h"

TEST (test_producer_options_are_checked_and_fixed_once_it_connects)
{
    zspool_device_t *device = clients_device_new ();
    zspool_producer_t *producer = zspool_producer_new (CLIENTS_ENDPOINT);
    zspool_frame_t frame = { "1", 1 };
    CHECK_CODE (zspool_producer_set (producer, "no-such", "1"), ZSPOOL_EINVAL);
    CHECK (strstr (zspool_producer_reason (producer), "no-such"));
    CHECK_CODE (zspool_producer_set (producer, "name", "a b"), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_producer_set (producer, "window-messages", "0"), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_producer_set (producer, "level", "sure"), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_producer_put (producer, &frame, 1, NULL), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_producer_begin (producer), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_producer_flush (producer), ZSPOOL_EINVAL);
    CHECK (!zspool_producer_socket (producer));
    CHECK_OK (zspool_producer_set (producer, "spool", "jobs"));
    CHECK_OK (zspool_producer_connect (producer));
    CHECK_CODE (zspool_producer_set (producer, "name", "late"), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_producer_put (producer, &frame, 0, NULL), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_producer_put_to (producer, "a/b", &frame, 1, NULL), ZSPOOL_EINVAL);
    zspool_producer_destroy (&producer);
    zspool_producer_destroy (&producer);
    zspool_device_destroy (&device);
}

TEST (test_producer_without_a_service_times_out_and_can_wait_on)
{
    zspool_producer_t *producer = zspool_producer_new (CLIENTS_ENDPOINT);
    CHECK_OK (zspool_producer_set (producer, "timeout", "50"));
    CHECK_CODE (zspool_producer_connect (producer), ZSPOOL_ETIMEDOUT);
    CHECK_CODE (zspool_producer_connect (producer), ZSPOOL_ETIMEDOUT);
    zspool_producer_destroy (&producer);
    producer = zspool_producer_new ("no endpoint");
    CHECK_CODE (zspool_producer_connect (producer), ZSPOOL_EADDR);
    zspool_producer_destroy (&producer);
}

TEST (test_producer_put_many_are_confirmed_in_order_and_read_back)
{
    zspool_device_t *device = clients_device_new ();
    zspool_producer_t *producer = clients_producer_new (NULL, "jobs");
    uint64_t number = 0;
    for (uint64_t each = 1; each <= 1000; each++) {
        clients_put (producer, each);
        CHECK (zspool_producer_confirmed (producer) <= each);
    }
    zspool_frame_t frames [2] = { { "head", 4 }, { "", 0 } };
    CHECK_OK (zspool_producer_put (producer, frames, 2, &number));
    CHECK_EQ_U64 (number, 1001);
    CHECK_OK (zspool_producer_flush (producer));
    CHECK_EQ_U64 (zspool_producer_confirmed (producer), 1001);
    CHECK_EQ_U64 (zspool_producer_committed (producer), 1001);
    zspool_consumer_t *consumer = clients_consumer_new ("jobs", "all");
    for (uint64_t each = 1; each <= 1000; each++)
        CHECK_EQ_U64 (clients_receive (consumer), each);
    zspool_delivery_t delivery;
    CHECK_OK (zspool_consumer_recv (consumer, SELFTEST_WAIT_MS, &delivery));
    CHECK_EQ_U64 (delivery.record.frames, 2);
    zspool_consumer_destroy (&consumer);
    zspool_producer_destroy (&producer);
    zspool_device_destroy (&device);
}

TEST (test_producer_with_a_name_goes_on_after_its_device_came_back_and_repeats_nothing)
{
    zspool_device_t *device = clients_device_new ();
    zspool_producer_t *producer = clients_producer_new ("me", "jobs");
    for (uint64_t number = 1; number <= 200; number++) {
        clients_put (producer, number);
        if (number % 50 == 0) {
            CHECK_OK (zspool_device_stop (device));
            CHECK_OK (zspool_device_start (device));
        }
    }
    CHECK_OK (zspool_producer_flush (producer));
    CHECK_EQ_U64 (zspool_producer_committed (producer), 200);
    zspool_producer_destroy (&producer);

    producer = clients_producer_new ("me", "jobs");
    CHECK_EQ_U64 (zspool_producer_last (producer), 200);
    clients_put (producer, 201);
    zspool_producer_destroy (&producer);
    zspool_consumer_t *consumer = clients_consumer_new ("jobs", "all");
    for (uint64_t number = 1; number <= 201; number++)
        CHECK_EQ_U64 (clients_receive (consumer), number);
    clients_check_none (consumer);
    zspool_consumer_destroy (&consumer);
    zspool_device_destroy (&device);
}

TEST (test_producer_fenced_by_a_newer_one_fails_for_good_and_tells_its_socket)
{
    zspool_device_t *device = clients_device_new ();
    zspool_producer_t *older = clients_producer_new ("me", "jobs");
    CHECK_OK (zspool_producer_events (older));
    CHECK_EQ_U64 (zspool_producer_epoch (older), 1);
    zspool_producer_t *newer = clients_producer_new ("me", "jobs");
    CHECK_EQ_U64 (zspool_producer_epoch (newer), 2);
    clients_poll (zspool_producer_socket (older));
    CHECK_CODE (zspool_producer_events (older), ZSPOOL_EFENCED);
    zspool_frame_t frame = { "1", 1 };
    CHECK_CODE (zspool_producer_put (older, &frame, 1, NULL), ZSPOOL_EFENCED);
    CHECK_CODE (zspool_producer_flush (older), ZSPOOL_EFENCED);
    CHECK_OK (zspool_producer_put (newer, &frame, 1, NULL));
    CHECK_OK (zspool_producer_flush (newer));
    zspool_producer_destroy (&older);
    zspool_producer_destroy (&newer);
    zspool_device_destroy (&device);
}

TEST (test_producer_socket_is_readable_when_more_is_confirmed)
{
    zspool_device_t *device = clients_device_new ();
    zspool_producer_t *producer = clients_producer_new (NULL, "jobs");
    for (uint64_t number = 1; number <= 3; number++) {
        CHECK_OK (zspool_producer_events (producer));
        clients_put (producer, number);
        while (zspool_producer_confirmed (producer) < number) {
            clients_poll (zspool_producer_socket (producer));
            CHECK_OK (zspool_producer_events (producer));
        }
    }
    zspool_producer_destroy (&producer);
    zspool_device_destroy (&device);
}

TEST (test_producer_of_a_spool_that_is_not_there_is_refused_unless_it_creates)
{
    zspool_device_t *device = clients_device_new ();
    zspool_producer_t *producer = zspool_producer_new (CLIENTS_ENDPOINT);
    CHECK_OK (zspool_producer_set (producer, "spool", "nowhere"));
    CHECK_OK (zspool_producer_set (producer, "create", "off"));
    CHECK_CODE (zspool_producer_connect (producer), ZSPOOL_ENOENT);
    CHECK (*zspool_producer_reason (producer));
    zspool_producer_destroy (&producer);
    zspool_device_destroy (&device);
}

TEST (test_producer_transaction_over_two_spools_is_seen_when_it_is_committed)
{
    zspool_device_t *device = clients_device_new ();
    zspool_producer_t *producer = clients_producer_new ("me", "jobs");
    zspool_consumer_t *jobs = clients_consumer_new ("jobs", "all");
    zspool_consumer_t *others = clients_consumer_new ("others", "all");
    uint64_t number = 1;
    clients_put (producer, 1);
    CHECK_OK (zspool_producer_begin (producer));
    CHECK_CODE (zspool_producer_begin (producer), ZSPOOL_EINVAL);
    CHECK_OK (zspool_producer_put (producer, &(zspool_frame_t){ "9", 1 }, 1, &number));
    CHECK_EQ_U64 (number, 0);
    CHECK_OK (zspool_producer_rollback (producer));
    CHECK_CODE (zspool_producer_commit (producer, NULL), ZSPOOL_EINVAL);
    CHECK_OK (zspool_producer_begin (producer));
    CHECK_OK (zspool_producer_put (producer, &(zspool_frame_t){ "2", 1 }, 1, NULL));
    CHECK_OK (zspool_producer_put_to (producer, "others", &(zspool_frame_t){ "3", 1 }, 1, NULL));
    CHECK_EQ_U64 (clients_receive (jobs), 1);
    clients_check_none (jobs);
    clients_check_none (others);
    CHECK_OK (zspool_producer_commit (producer, &number));
    CHECK_EQ_U64 (number, 2);
    CHECK_EQ_U64 (zspool_producer_committed (producer), 2);
    CHECK_EQ_U64 (clients_receive (jobs), 2);
    CHECK_EQ_U64 (clients_receive (others), 3);
    clients_put (producer, 4);
    CHECK_EQ_U64 (clients_receive (jobs), 4);
    zspool_consumer_destroy (&jobs);
    zspool_consumer_destroy (&others);
    zspool_producer_destroy (&producer);
    zspool_device_destroy (&device);
}

TEST (test_producer_transaction_acknowledges_or_gives_the_delivery_back)
{
    zspool_device_t *device = clients_device_new ();
    zspool_producer_t *producer = clients_producer_new (NULL, "jobs");
    zspool_consumer_t *consumer = clients_consumer_new ("jobs", "all");
    clients_put (producer, 1);
    clients_put (producer, 2);
    CHECK_EQ_U64 (clients_receive (consumer), 1);
    CHECK_CODE (zspool_producer_ack (producer, consumer, 1), ZSPOOL_EINVAL);
    CHECK_OK (zspool_producer_begin (producer));
    CHECK_OK (zspool_producer_ack (producer, consumer, 1));
    CHECK_CODE (zspool_producer_ack (producer, consumer, 1), ZSPOOL_ESTALE);
    CHECK_CODE (zspool_consumer_ack (consumer, 1), ZSPOOL_ESTALE);
    CHECK_OK (zspool_producer_rollback (producer));
    CHECK_OK (zspool_producer_begin (producer));
    CHECK_OK (zspool_producer_ack (producer, consumer, 1));
    CHECK_OK (zspool_producer_commit (producer, NULL));
    zspool_consumer_destroy (&consumer);
    //  What was committed is acknowledged, though the consumer has said nothing.
    consumer = clients_consumer_new ("jobs", "all");
    CHECK_EQ_U64 (clients_receive (consumer), 2);
    zspool_consumer_destroy (&consumer);
    zspool_producer_destroy (&producer);
    zspool_device_destroy (&device);
}

TEST (test_producer_transaction_beyond_its_limit_can_still_be_committed)
{
    zspool_device_t *device = clients_device_new ();
    zspool_producer_t *producer = zspool_producer_new (CLIENTS_ENDPOINT);
    //  Under a sanitizer the transaction may be under way for longer than the service would wait.
    CHECK_OK (zspool_producer_set (producer, "heartbeat", "10000"));
    CHECK_OK (zspool_producer_connect (producer));
    static const char big [1024 * 1024];
    zspool_frame_t frame = { big, sizeof big };
    CHECK_OK (zspool_producer_begin (producer));
    int rc = ZSPOOL_OK, count = 0;
    while (rc == ZSPOOL_OK && count <= 64) {
        rc = zspool_producer_put (producer, &frame, 1, NULL);
        count += rc == ZSPOOL_OK;
    }
    CHECK_CODE (rc, ZSPOOL_ELIMIT);
    CHECK_EQ_I64 (count, 7);
    CHECK_OK (zspool_producer_commit (producer, NULL));
    zspool_producer_destroy (&producer);
    zspool_device_destroy (&device);
}
