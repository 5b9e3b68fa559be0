//  test_client.c - tests of producer and consumer against a service that answers with damaged bytes
//
//  SPDX-License-Identifier: MPL-2.0

#include "actors/clients.h"
#include "block.h"
#include "run.h"
#include "zsp.h"

#include <stdlib.h>

//  Send a command, and a frame of records when there is one; one of eight is damaged.
static void
s_answer (void *router, zmq_msg_t *peer, const zsp_t *command, const zsp_lists_t *lists,
          const zspool_block_t *block, kit_chance_t *chance)
{
    uint8_t bytes [1024];
    size_t size = zsp_encode (command, lists, bytes), records_size = 0;
    const uint8_t *records = block? zspool_block_records (block, &records_size): NULL;
    uint8_t *copy = (uint8_t *) calloc (1, records_size + 1);
    CHECK (copy && size <= sizeof bytes);
    if (records)
        memcpy (copy, records, records_size);
    bool damaged = command->command != ZSP_WELCOME && kit_below (chance, 8) == 0;
    if (damaged && records && kit_below (chance, 2))
        copy [kit_below (chance, records_size)] ^= (uint8_t) (1 + kit_below (chance, 255));
    else if (damaged && kit_below (chance, 4) == 0)
        size = kit_below (chance, size);
    else if (damaged)
        bytes [kit_below (chance, size)] ^= (uint8_t) (1 + kit_below (chance, 255));
    zmq_msg_t to;
    zmq_msg_init (&to);
    zmq_msg_copy (&to, peer);
    if (zmq_msg_send (&to, router, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        zmq_msg_close (&to);
    else {
        zmq_send (router, bytes, size, (records? ZMQ_SNDMORE: 0) | ZMQ_DONTWAIT);
        if (records)
            zmq_send (router, copy, records_size, ZMQ_DONTWAIT);
    }
    free (copy);
}

//  Answer one command as a service might.
static void
s_handle (void *router, zmq_msg_t *peer, const zsp_t *got, zspool_block_t *block,
          kit_chance_t *chance)
{
    static uint64_t sequence = 1;
    zsp_t to = { .request = got->request };
    zsp_slice_t slice = { sequence, 0, zspool_block_count (block), 1 };
    zsp_lists_t lists = { .slices = &slice };
    to.command = got->command == ZSP_HELLO? ZSP_WELCOME:
                 got->command == ZSP_OPEN? ZSP_OPENED:
                 got->command == ZSP_PRODUCE? ZSP_PRODUCING:
                 got->command == ZSP_SUBSCRIBE? ZSP_SUBSCRIBED:
                 got->command == ZSP_PUT? ZSP_CONFIRM:
                 got->command == ZSP_PING? ZSP_PONG:
                                           ZSP_DONE;
    if (to.command == ZSP_WELCOME) {
        to.as.welcome.session = 1 + kit_below (chance, 1000);
        to.as.welcome.incarnation = 1;
        to.as.welcome.expiry_ms = 1000;
        to.as.welcome.message_bytes_max = to.as.welcome.transaction_bytes_max = 1 << 20;
        to.as.welcome.message_frames_max = 100;
        to.as.welcome.spool = (zsp_text_t){ "main", 4 };
    }
    else if (to.command == ZSP_OPENED)
        to.as.opened.spool = 1;
    else if (to.command == ZSP_PRODUCING) {
        to.as.producing.epoch = 1;
        to.as.producing.window_bytes = 1 << 20;
    }
    else if (to.command == ZSP_SUBSCRIBED) {
        to.as.subscribed.subscription = to.as.subscribed.generation = 1;
        to.flags = ZSP_FLAG_ACTIVE;
    }
    else if (to.command == ZSP_CONFIRM) {
        to.as.confirm.cached = to.as.confirm.committed = got->as.put.number + got->as.put.count - 1;
        to.as.confirm.window_bytes = 1 << 20;
    }
    s_answer (router, peer, &to, &lists, NULL, chance);
    bool delivers = got->command == ZSP_SUBSCRIBE || got->command == ZSP_CREDIT
                    || got->command == ZSP_ACK;
    for (int count = 0; delivers && count < 4; count++) {
        zsp_t deliver = { .command = ZSP_DELIVER };
        deliver.as.deliver.subscription = deliver.as.deliver.generation = 1;
        deliver.as.deliver.slices_count = 1;
        slice.first = sequence;
        sequence += kit_below (chance, 4); //  so that they overlap, too
        s_answer (router, peer, &deliver, &lists, block, chance);
    }
}

//  The service: an actor that ends when it is told to
static void
s_service (zsock_t *pipe, void *args)
{
    kit_chance_t chance = *(kit_chance_t *) args;
    void *router = zmq_socket (zsys_init (), ZMQ_ROUTER);
    int linger = 0;
    zmq_setsockopt (router, ZMQ_LINGER, &linger, sizeof linger);
    CHECK (zmq_bind (router, CLIENTS_ENDPOINT) == 0);
    zspool_block_t *block = kit_block_new (1, 5, 20);
    zsock_signal (pipe, 0);
    while (true) {
        zmq_pollitem_t items [] = { { zsock_resolve (pipe), 0, ZMQ_POLLIN, 0 },
                                    { router, 0, ZMQ_POLLIN, 0 } };
        zmq_poll (items, 2, -1);
        if (items [0].revents)
            break;
        zmq_msg_t peer, frame, rest;
        zmq_msg_init (&peer);
        zmq_msg_init (&frame);
        zmq_msg_recv (&peer, router, 0);
        zmq_msg_recv (&frame, router, 0);
        for (int more = zmq_msg_more (&frame); more; zmq_msg_close (&rest)) {
            zmq_msg_init (&rest);
            zmq_msg_recv (&rest, router, 0);
            more = zmq_msg_more (&rest);
        }
        zsp_t got;
        CHECK_OK (zsp_decode (&got, zmq_msg_data (&frame), zmq_msg_size (&frame)));
        s_handle (router, &peer, &got, block, &chance);
        zmq_msg_close (&peer);
        zmq_msg_close (&frame);
    }
    zspool_block_destroy (&block);
    zmq_close (router);
}

TEST (test_client_survives_a_service_that_answers_with_damaged_bytes)
{
    kit_chance_t chance = kit_chance_new ();
    zactor_t *service = zactor_new (s_service, &chance);
    int64_t until_ms = zclock_mono () + 3000;
    size_t received = 0, confirmed = 0;
    while (zclock_mono () < until_ms || received == 0 || confirmed == 0) {
        zspool_producer_t *producer = zspool_producer_new (CLIENTS_ENDPOINT);
        zspool_consumer_t *consumer = zspool_consumer_new (CLIENTS_ENDPOINT, "jobs", "all");
        CHECK_OK (zspool_producer_set (producer, "timeout", "50"));
        CHECK_OK (zspool_producer_set (producer, "linger", "0"));
        zspool_consumer_set_timeout (consumer, 50);
        zspool_delivery_t delivery;
        if (zspool_consumer_connect (consumer) == ZSPOOL_OK)
            for (int count = 0; count < 50; count++) {
                if (zspool_consumer_recv (consumer, 20, &delivery))
                    break;
                zspool_consumer_ack (consumer, delivery.sequence);
                received++;
            }
        if (zspool_producer_connect (producer) == ZSPOOL_OK) {
            for (int count = 0; count < 20; count++)
                zspool_producer_put (producer, &(zspool_frame_t){ "1", 1 }, 1, NULL);
            confirmed += zspool_producer_flush (producer) == ZSPOOL_OK;
        }
        zspool_producer_destroy (&producer);
        zspool_consumer_destroy (&consumer);
    }
    zactor_destroy (&service);
}
