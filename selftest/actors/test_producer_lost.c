//  test_producer_lost.c - tests of the producer whose connection, or service, fails it between any
//  two commands
//
//  SPDX-License-Identifier: MPL-2.0

#include "actors/scripted.h"

//  A producer that is about to connect
static zspool_producer_t *
s_new (const char *name)
{
    zspool_producer_t *producer = zspool_producer_new (CLIENTS_ENDPOINT);
    if (name)
        CHECK_OK (zspool_producer_set (producer, "name", name));
    CHECK_OK (zspool_producer_set (producer, "timeout", "10"));
    CHECK_OK (zspool_producer_set (producer, "linger", "0"));
    CHECK_CODE (zspool_producer_connect (producer), ZSPOOL_ETIMEDOUT);
    return producer;
}

//  Have a session begin; PRODUCING says this.
static void
s_begin (scripted_t *service, uint32_t epoch, uint64_t last)
{
    scripted_welcome (service);
    scripted_produce (service, epoch, last);
    scripted_open (service);
}

static void
s_await_connected (zspool_producer_t *producer)
{
    int rc;
    while ((rc = zspool_producer_connect (producer)) == ZSPOOL_ETIMEDOUT)
        ;
    CHECK_OK (rc);
}

//  A service that has begun, and a producer of this epoch in its first session.
static zspool_producer_t *
s_new_connected (scripted_t *service, const char *name, uint32_t epoch)
{
    scripted_begin (service);
    zspool_producer_t *producer = s_new (name);
    s_begin (service, epoch, 0);
    s_await_connected (producer);
    return producer;
}

static void
s_await (zspool_producer_t *producer, uint64_t (*get) (const zspool_producer_t *), uint64_t value)
{
    WAIT_UNTIL (get (producer) == value);
}

//  Expect these numbers, in as many PUTs as there may be.
static void
s_expect_put (scripted_t *service, uint64_t first, uint64_t last)
{
    while (first <= last) {
        scripted_expect (service, ZSP_PUT);
        CHECK_EQ_U64 (service->got.as.put.number, first);
        first += service->got.as.put.count;
    }
    CHECK_EQ_U64 (first, last + 1);
}

TEST (test_producer_without_a_name_counts_anew_what_another_session_had_cached)
{
    scripted_t service;
    zspool_producer_t *producer = s_new_connected (&service, NULL, 1);
    //  At once, and so in one PUT: a third one would wait for a CONFIRM.
    zspool_frame_t three [3] = { { "1", 1 }, { "2", 1 }, { "3", 1 } };
    CHECK_OK (zspool_producer_put_many (producer, three, 3, NULL, NULL));
    s_expect_put (&service, 1, 3);
    scripted_confirm (&service, 3, 0);
    s_await (producer, zspool_producer_last, 3);
    scripted_lose (&service);
    s_begin (&service, 1, 0);
    s_expect_put (&service, 1, 3);
    CHECK_EQ_U64 (zspool_producer_last (producer), 0);
    CHECK_EQ_U64 (zspool_producer_confirmed (producer), 0);
    scripted_confirm (&service, 3, 3);
    s_await (producer, zspool_producer_confirmed, 3);
    //  What was let go is not counted by the next session.
    scripted_lose (&service);
    s_begin (&service, 1, 0);
    clients_put (producer, 4);
    s_expect_put (&service, 1, 1);
    scripted_confirm (&service, 1, 1);
    s_await (producer, zspool_producer_confirmed, 4);
    CHECK_OK (zspool_producer_flush (producer));
    zspool_producer_destroy (&producer);
    scripted_end (&service);
}

//  A named producer, of which two are durable, meets a store that has these.
static void
s_check_store_refused (uint64_t last, const char *reason)
{
    scripted_t service;
    zspool_producer_t *producer = s_new_connected (&service, "me", 5);
    clients_put (producer, 1);
    clients_put (producer, 2);
    s_expect_put (&service, 1, 2);
    scripted_confirm (&service, 2, 2);
    s_await (producer, zspool_producer_confirmed, 2);
    CHECK_OK (zspool_producer_events (producer));
    scripted_lose (&service);
    scripted_welcome (&service);
    scripted_produce (&service, 5, last);
    clients_poll (zspool_producer_socket (producer));
    CHECK_CODE (zspool_producer_events (producer), ZSPOOL_EORDER);
    CHECK_CODE (zspool_producer_put (producer, &(zspool_frame_t){ "3", 1 }, 1, NULL),
                ZSPOOL_EORDER);
    CHECK (strstr (zspool_producer_reason (producer), reason));
    zspool_producer_destroy (&producer);
    scripted_end (&service);
}

TEST (test_producer_that_meets_an_older_copy_of_its_store_fails_at_once)
{
    s_check_store_refused (1, "older");
}

TEST (test_producer_that_meets_numbers_it_never_gave_fails_at_once)
{
    s_check_store_refused (3, "another");
}

TEST (test_producer_with_a_name_commits_again_with_the_same_number_after_a_lost_connection)
{
    scripted_t service;
    zspool_producer_t *producer = s_new_connected (&service, "me", 1);
    CHECK_OK (zspool_producer_begin (producer));
    clients_put (producer, 1);
    CHECK_CODE (zspool_producer_commit (producer, NULL), ZSPOOL_ETIMEDOUT);
    scripted_expect (&service, ZSP_COMMIT);
    CHECK_EQ_U64 (service.got.as.commit.number, 1);
    CHECK_CODE (zspool_producer_put (producer, &(zspool_frame_t){ "2", 1 }, 1, NULL),
                ZSPOOL_EINVAL);
    CHECK_CODE (zspool_producer_rollback (producer), ZSPOOL_EINVAL);
    scripted_lose (&service);
    s_begin (&service, 1, 1); //  it was taken
    scripted_expect (&service, ZSP_COMMIT);
    CHECK_EQ_U64 (service.got.as.commit.number, 1);
    scripted_confirm (&service, 1, 1);
    scripted_answer (&service, ZSPOOL_OK, false);
    s_await (producer, zspool_producer_committed, 1);
    uint64_t number = 0;
    CHECK_OK (zspool_producer_commit (producer, &number));
    CHECK_EQ_U64 (number, 1);
    zspool_producer_destroy (&producer);
    scripted_end (&service);
}

TEST (test_producer_without_a_name_does_not_know_of_a_commit_that_was_lost)
{
    scripted_t service;
    zspool_producer_t *producer = s_new_connected (&service, NULL, 1);
    CHECK_OK (zspool_producer_begin (producer));
    clients_put (producer, 1);
    CHECK_CODE (zspool_producer_commit (producer, NULL), ZSPOOL_ETIMEDOUT);
    scripted_expect (&service, ZSP_COMMIT);
    scripted_lose (&service);
    s_begin (&service, 1, 0);
    CHECK_CODE (zspool_producer_commit (producer, NULL), ZSPOOL_ELOST);
    clients_put (producer, 1);
    s_expect_put (&service, 1, 1);
    zspool_producer_destroy (&producer);
    scripted_end (&service);
}

TEST (test_producer_refused_transaction_gives_its_number_again)
{
    scripted_t service;
    zspool_producer_t *producer = s_new_connected (&service, "me", 1);
    CHECK_OK (zspool_producer_begin (producer));
    clients_put (producer, 1);
    CHECK_CODE (zspool_producer_commit (producer, NULL), ZSPOOL_ETIMEDOUT);
    scripted_expect (&service, ZSP_COMMIT);
    scripted_confirm (&service, 1, 0); //  it counted as taken
    scripted_answer (&service, ZSPOOL_ENOSPC, false);
    int rc;
    while ((rc = zspool_producer_commit (producer, NULL)) == ZSPOOL_ETIMEDOUT)
        ;
    CHECK_CODE (rc, ZSPOOL_ENOSPC);
    CHECK_EQ_U64 (zspool_producer_last (producer), 0);
    clients_put (producer, 1);
    s_expect_put (&service, 1, 1);
    zspool_producer_destroy (&producer);
    scripted_end (&service);
}

TEST (test_producer_of_a_silent_service_begins_anew)
{
    scripted_t service;
    scripted_begin (&service);
    zspool_producer_t *producer = zspool_producer_new (CLIENTS_ENDPOINT);
    CHECK_OK (zspool_producer_set (producer, "timeout", "10"));
    CHECK_OK (zspool_producer_set (producer, "heartbeat", "100"));
    CHECK_OK (zspool_producer_set (producer, "linger", "0"));
    CHECK_CODE (zspool_producer_connect (producer), ZSPOOL_ETIMEDOUT);
    scripted_welcome (&service);
    scripted_expect (&service, ZSP_PRODUCE);
    //  It gets no answer, and its PINGs neither.
    do
        CHECK (scripted_hears (&service, SELFTEST_WAIT_MS)
               && zmq_msg_recv (&service.peer, service.router, 0) >= 0
               && zmq_msg_recv (&service.frame, service.router, 0) >= 0
               && zsp_decode (&service.got, zmq_msg_data (&service.frame),
                              zmq_msg_size (&service.frame)) == ZSPOOL_OK);
    while (service.got.command != ZSP_HELLO);
    CHECK_CODE (zspool_producer_connect (producer), ZSPOOL_ETIMEDOUT);
    zspool_producer_destroy (&producer);
    scripted_end (&service);
}

TEST (test_producer_that_was_fenced_does_not_come_again)
{
    scripted_t service;
    zspool_producer_t *producer = s_new_connected (&service, "me", 1);
    clients_put (producer, 1);
    scripted_expect (&service, ZSP_PUT);
    scripted_answer (&service, ZSPOOL_EFENCED, true);
    int rc;
    while ((rc = zspool_producer_flush (producer)) == ZSPOOL_ETIMEDOUT)
        ;
    CHECK_CODE (rc, ZSPOOL_EFENCED);
    while (scripted_hears (&service, 300)) //  BYE is all
        scripted_expect (&service, ZSP_BYE);
    zspool_producer_destroy (&producer);
    scripted_end (&service);
}

TEST (test_producer_of_a_service_of_another_version_fails_at_once)
{
    scripted_t service;
    scripted_begin (&service);
    zspool_producer_t *producer = s_new (NULL);
    scripted_expect (&service, ZSP_HELLO);
    static const uint8_t later [] = "ZSP\2 what nobody knows yet";
    zmq_msg_send (&service.peer, service.router, ZMQ_SNDMORE);
    zmq_send (service.router, later, sizeof later, 0);
    int rc;
    while ((rc = zspool_producer_connect (producer)) == ZSPOOL_ETIMEDOUT)
        ;
    CHECK_CODE (rc, ZSPOOL_EVERSION);
    zspool_producer_destroy (&producer);
    scripted_end (&service);
}

TEST (test_producer_whose_session_has_expired_unnoticed_begins_anew)
{
    scripted_t service;
    scripted_begin (&service);
    zspool_producer_t *producer = s_new ("me");
    scripted_welcome (&service);
    scripted_expect (&service, ZSP_PRODUCE);
    scripted_answer (&service, ZSPOOL_EPROTOCOL, true);
    scripted_expect (&service, ZSP_OPEN);
    s_begin (&service, 1, 0);
    s_await_connected (producer);
    zspool_producer_destroy (&producer);
    scripted_end (&service);
}

//  Putting waits at the limit of a window, until the service confirms.
static void
s_check_window (const char *option, const char *value, size_t message_bytes, uint64_t room)
{
    static const char bytes [64 * 1024];
    zspool_frame_t frame = { bytes, message_bytes };
    scripted_t service;
    scripted_begin (&service);
    zspool_producer_t *producer = zspool_producer_new (CLIENTS_ENDPOINT);
    CHECK_OK (zspool_producer_set (producer, option, value));
    CHECK_OK (zspool_producer_set (producer, "timeout", "10"));
    CHECK_OK (zspool_producer_set (producer, "linger", "0"));
    CHECK_CODE (zspool_producer_connect (producer), ZSPOOL_ETIMEDOUT);
    s_begin (&service, 1, 0);
    s_await_connected (producer);
    for (uint64_t number = 1; number <= room; number++)
        CHECK_OK (zspool_producer_put (producer, &frame, 1, NULL));
    CHECK_CODE (zspool_producer_put (producer, &frame, 1, NULL), ZSPOOL_ETIMEDOUT);
    scripted_expect (&service, ZSP_PUT);
    scripted_confirm (&service, service.got.as.put.count, service.got.as.put.count);
    s_await (producer, zspool_producer_confirmed, service.got.as.put.count);
    CHECK_OK (zspool_producer_put (producer, &frame, 1, NULL));
    zspool_producer_destroy (&producer);
    scripted_end (&service);
}

TEST (test_producer_keeps_no_more_than_its_window_and_one_message)
{
    s_check_window ("window-messages", "3", 1, 3);
    s_check_window ("window-bytes", "64K", 20000, 4);
    s_check_window ("window-bytes", "64K", 64 * 1024, 1);
}

TEST (test_producer_whose_service_comes_back_with_a_lower_limit_is_told)
{
    static const char bytes [900 * 1024];
    zspool_frame_t frame = { bytes, sizeof bytes };
    scripted_t service;
    zspool_producer_t *producer = s_new_connected (&service, "me", 1);
    CHECK_OK (zspool_producer_put (producer, &frame, 1, NULL));
    scripted_expect (&service, ZSP_PUT);
    scripted_lose (&service);
    service.message_bytes_max = 1000;
    s_begin (&service, 1, 0);
    int rc;
    while ((rc = zspool_producer_flush (producer)) == ZSPOOL_ETIMEDOUT)
        ;
    CHECK_CODE (rc, ZSPOOL_ETOOBIG);
    zspool_producer_destroy (&producer);
    scripted_end (&service);
}
