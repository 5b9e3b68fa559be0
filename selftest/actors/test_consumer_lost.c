//  test_consumer_lost.c - tests of the consumer whose connection, or service, fails it, and of one
//  that goes while a transaction has its deliveries
//
//  SPDX-License-Identifier: MPL-2.0

#include "actors/scripted.h"
#include "block.h"
#include "run.h"

static zspool_consumer_t *
s_new (void)
{
    zspool_consumer_t *consumer = zspool_consumer_new (CLIENTS_ENDPOINT, "jobs", "all");
    zspool_consumer_set_timeout (consumer, 10);
    CHECK_CODE (zspool_consumer_connect (consumer), ZSPOOL_ETIMEDOUT);
    return consumer;
}

static void
s_begin (scripted_t *service, uint32_t generation)
{
    scripted_welcome (service);
    scripted_open (service);
    scripted_expect (service, ZSP_SUBSCRIBE);
    scripted_subscribe (service, generation);
}

static void
s_await_connected (zspool_consumer_t *consumer)
{
    int rc;
    while ((rc = zspool_consumer_connect (consumer)) == ZSPOOL_ETIMEDOUT)
        ;
    CHECK_OK (rc);
}

//  A service that has begun, and a consumer in its first session.
static zspool_consumer_t *
s_new_connected (scripted_t *service)
{
    scripted_begin (service);
    zspool_consumer_t *consumer = s_new ();
    s_begin (service, 1);
    s_await_connected (consumer);
    return consumer;
}

//  Deliver first..last, for which there is, or is not, memory.
static void
s_deliver (scripted_t *service, uint32_t generation, uint64_t first, uint64_t last, bool memory)
{
    uint32_t count = (uint32_t) (last - first + 1);
    zspool_block_t *block = kit_block_new (1, count, 20);
    size_t size;
    const uint8_t *records = zspool_block_records (block, &size);
    zsp_slice_t slice = { first, 0, count, 1 };
    zsp_t deliver = { .command = ZSP_DELIVER };
    deliver.as.deliver.subscription = 1;
    deliver.as.deliver.generation = generation;
    deliver.as.deliver.slices_count = 1;
    scripted_say (service, &deliver, &slice, records, memory? size: 0);
    zspool_block_destroy (&block);
}

TEST (test_consumer_gives_back_what_the_service_had_no_memory_for)
{
    scripted_t service;
    zspool_consumer_t *consumer = s_new_connected (&service);
    s_deliver (&service, 1, 1, 5, false);
    scripted_expect (&service, ZSP_REJECT);
    zsp_range_t range = zsp_range (&service.got, 0);
    CHECK (range.first == 1 && range.last == 5);
    zspool_consumer_destroy (&consumer);
    scripted_end (&service);
}

TEST (test_consumer_answer_to_an_older_seek_is_not_taken_for_the_next)
{
    scripted_t service;
    zspool_consumer_t *consumer = s_new_connected (&service);
    CHECK_CODE (zspool_consumer_seek (consumer, "5"), ZSPOOL_ETIMEDOUT);
    scripted_expect (&service, ZSP_SEEK);
    uint32_t request = service.got.request;
    CHECK_CODE (zspool_consumer_seek (consumer, "6"), ZSPOOL_ETIMEDOUT);
    scripted_expect (&service, ZSP_SEEK);
    CHECK (service.got.request != request);
    //  The answer to the one before is not taken for one to the next.
    service.got.request = request;
    scripted_answer (&service, ZSPOOL_EINVAL, false);
    CHECK_CODE (zspool_consumer_seek (consumer, "7"), ZSPOOL_ETIMEDOUT);
    scripted_expect (&service, ZSP_SEEK);
    zspool_consumer_destroy (&consumer);
    scripted_end (&service);
}

TEST (test_consumer_flush_without_a_connection_waits_for_one_and_loses_nothing_unsaid)
{
    scripted_t service;
    zspool_consumer_t *consumer = s_new_connected (&service);
    scripted_lose (&service);
    scripted_welcome (&service); //  so it has seen the loss
    CHECK_CODE (zspool_consumer_flush (consumer), ZSPOOL_ETIMEDOUT);
    scripted_open (&service);
    scripted_expect (&service, ZSP_SUBSCRIBE);
    scripted_subscribe (&service, 1);
    s_deliver (&service, 1, 1, 2, true);
    zspool_delivery_t delivery;
    CHECK_OK (zspool_consumer_recv (consumer, SELFTEST_WAIT_MS, &delivery));
    CHECK_OK (zspool_consumer_ack (consumer, 1));
    CHECK_CODE (zspool_consumer_flush (consumer), ZSPOOL_ETIMEDOUT);
    scripted_lose (&service);
    scripted_welcome (&service);
    CHECK_CODE (zspool_consumer_flush (consumer), ZSPOOL_ELOST);
    CHECK_CODE (zspool_consumer_flush (consumer), ZSPOOL_ETIMEDOUT);
    zspool_consumer_destroy (&consumer);
    scripted_end (&service);
}

TEST (test_consumer_may_go_while_a_transaction_has_its_deliveries)
{
    zspool_device_t *device = clients_device_new ();
    clients_put_jobs (1, 6);
    zspool_producer_t *producer = clients_producer_new ("me", "others");
    for (int round = 0; round < 3; round++) {
        zspool_consumer_t *consumer = clients_consumer_new ("jobs", "all");
        CHECK_EQ_U64 (clients_receive (consumer), 1);
        CHECK_EQ_U64 (clients_receive (consumer), 2);
        CHECK_EQ_U64 (clients_receive (consumer), 3);
        CHECK_OK (zspool_producer_begin (producer));
        CHECK_OK (zspool_producer_ack (producer, consumer, 1));
        CHECK_OK (zspool_producer_ack (producer, consumer, 2));
        zspool_consumer_destroy (&consumer);
        if (round == 0)
            CHECK_OK (zspool_producer_rollback (producer));
        else if (round == 1)
            CHECK_CODE (zspool_producer_commit (producer, NULL), ZSPOOL_ESTALE);
        else
            zspool_producer_destroy (&producer);
    }
    zspool_device_destroy (&device);
}
