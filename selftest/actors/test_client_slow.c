//  test_client_slow.c - tests of clients over a connection on which one message takes longer than
//  the other side would wait for a heartbeat
//
//  SPDX-License-Identifier: MPL-2.0

#include "actors/clients.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK_BYTES (16 * 1024)         //  that pass at a time, one way,
#define SLOW_MS 2                       //  and then nothing for so long: that is the line's speed
#define BUFFER_BYTES (16 * 1024)        //  that the systems may keep between

//  A listening socket at a port that is free
static int
s_listen (struct sockaddr_in *address)
{
    int listener = socket (AF_INET, SOCK_STREAM, 0), bytes = BUFFER_BYTES;
    socklen_t size = sizeof *address;
    *address = (struct sockaddr_in){ .sin_family = AF_INET };
    address->sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    setsockopt (listener, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    CHECK (bind (listener, (struct sockaddr *) address, size) == 0 && listen (listener, 5) == 0);
    CHECK (getsockname (listener, (struct sockaddr *) address, &size) == 0);
    return listener;
}

static int
s_connect (int port)
{
    int to = socket (AF_INET, SOCK_STREAM, 0), bytes = BUFFER_BYTES;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons ((uint16_t) port) };
    address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    setsockopt (to, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    CHECK (connect (to, (struct sockaddr *) &address, sizeof address) == 0);
    return to;
}

//  Pass some bytes; false: the connection has ended.
static bool
s_pass (int from, int to)
{
    char bytes [CHUNK_BYTES];
    ssize_t size = read (from, bytes, sizeof bytes), done = 0, now = 1;
    while (size > 0 && done < size && now > 0) {
        now = send (to, bytes + done, (size_t) (size - done), MSG_NOSIGNAL);
        done += now;
    }
    return size > 0 && now > 0;
}

typedef struct {
    int listener;
    int port;                  //  to which it passes on
} slow_args_t;

//  A slow line: one connection at a time is passed on.
static void
s_line (zsock_t *pipe, void *args)
{
    const slow_args_t line = *(slow_args_t *) args;
    int ends [2] = { -1, -1 };
    zsock_signal (pipe, 0);
    while (true) {
        zmq_pollitem_t items [] = { { zsock_resolve (pipe), 0, ZMQ_POLLIN, 0 },
                                    { NULL, ends [0] < 0? line.listener: ends [0], ZMQ_POLLIN, 0 },
                                    { NULL, ends [1], ZMQ_POLLIN, 0 } };
        zmq_poll (items, ends [0] < 0? 2: 3, -1);
        if (items [0].revents)
            break;
        bool alive = true;
        if (ends [0] < 0) {
            ends [0] = accept (line.listener, NULL, NULL);
            ends [1] = s_connect (line.port);
            continue;
        }
        if (items [1].revents)
            alive = s_pass (ends [0], ends [1]);
        if (alive && items [2].revents)
            alive = s_pass (ends [1], ends [0]);
        zclock_sleep (SLOW_MS);
        for (int end = 0; !alive && end < 2; end++) {
            close (ends [end]);
            ends [end] = -1;
        }
    }
    for (int end = 0; end < 2; end++)
        if (ends [end] >= 0)
            close (ends [end]);
    close (line.listener);
}

TEST (test_client_whose_message_takes_longer_than_its_heartbeats_is_not_lost)
{
    struct sockaddr_in address;
    slow_args_t args = { s_listen (&address), 0 };
    char endpoint [64];
    zspool_device_t *device = clients_device_new_with ("service", "tcp://127.0.0.1:*");
    const char *bound = zspool_device_service (device);
    CHECK (bound && strrchr (bound, ':'));
    args.port = atoi (strrchr (bound, ':') + 1);
    zactor_t *line = zactor_new (s_line, &args);
    snprintf (endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", ntohs (address.sin_port));

    //  12 MiB take 1.5 seconds or more; who is silent for 0.3 is gone.
    static char big [12 * 1024 * 1024];
    zspool_producer_t *producer = zspool_producer_new (endpoint);
    CHECK_OK (zspool_producer_set (producer, "heartbeat", "100"));
    CHECK_OK (zspool_producer_set (producer, "name", "me"));
    CHECK_OK (zspool_producer_set (producer, "spool", "jobs"));
    CHECK_OK (zspool_producer_connect (producer));
    zspool_frame_t frame = { big, sizeof big };
    CHECK_OK (zspool_producer_put (producer, &frame, 1, NULL));
    CHECK_OK (zspool_producer_flush (producer));
    zspool_producer_destroy (&producer);

    zspool_consumer_t *consumer = zspool_consumer_new (endpoint, "jobs", "all");
    CHECK_OK (zspool_consumer_set (consumer, "heartbeat", "100"));
    CHECK_OK (zspool_consumer_connect (consumer));
    zspool_delivery_t delivery;
    CHECK_OK (zspool_consumer_recv (consumer, SELFTEST_WAIT_MS, &delivery));
    zspool_consumer_destroy (&consumer);
    zactor_destroy (&line);
    zspool_device_destroy (&device);
}
