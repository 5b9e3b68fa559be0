//  bench_resend.c - puts messages into a spool, then the same again and again, which the device
//  drops
//
//  SPDX-License-Identifier: MPL-2.0
//
//      bench_resend [--size BYTES] [--count N] [--seconds S] ENDPOINT
//
//  As a producer with a name that has lost its connection, and sends what it has kept; but it does
//  so for --seconds (default 5), --count messages (default 1000000) at a time. Prints one line of
//  JSON: how many came again, and how many of these a second. ZSP by hand (doc/zsp.md), plain
//  libzmq.

#include "bench.h"

#define RUN_BYTES_MAX 65536    //  of the records of one command
#define WAIT_MS 30000          //  longest wait for an answer

enum { HELLO = 1, OPEN = 2, PRODUCE = 3, PUT = 4, FLUSH = 0x12 };
enum { WELCOME = 0x81, OPENED = 0x82, PRODUCING = 0x83, HOLD = 0x85, DONE = 0x88, ERROR = 0xff };

typedef struct {
    uint8_t bytes [256];
    size_t size;
} command_t;

static void
s_add (command_t *command, uint64_t value, size_t size)
{
    for (size_t index = 0; index < size; index++)
        command->bytes [command->size++] = (uint8_t) (value >> 8 * index);
}

//  An s8
static void
s_add_text (command_t *command, const char *text)
{
    s_add (command, strlen (text), 1);
    memcpy (command->bytes + command->size, text, strlen (text));
    command->size += strlen (text);
}

static command_t
s_command (int code, int flags)
{
    command_t command = {.bytes = "ZSP\1", .size = 4};
    s_add (&command, (uint64_t) code, 1);
    s_add (&command, (uint64_t) flags, 1);
    s_add (&command, 0, 2);
    s_add (&command, 1, 4); //  request
    return command;
}

static void
s_send (void *socket, const void *data, size_t size, int flags)
{
    if (zmq_send (socket, data, size, flags) < 0)
        bench_fail (1, "cannot send: %s", zmq_strerror (errno));
}

//  Receive until this command comes. Gives the number at an offset.
static uint64_t
s_expect (void *socket, int code, size_t offset, size_t size)
{
    uint8_t bytes [512] = {0};
    do {
        if (zmq_recv (socket, bytes, sizeof bytes, 0) < 0)
            bench_fail (1, "no answer came");
        if (bytes [4] == ERROR || bytes [4] == HOLD)
            bench_fail (1, "the service has said 0x%x", bytes [4]);
    } while (bytes [4] != code);
    uint64_t value = 0;
    for (size_t index = 0; index < size; index++)
        value |= (uint64_t) bytes [offset + index] << 8 * index;
    return value;
}

//  Say who it is; gives the number of the spool.
static uint64_t
s_greet (void *socket)
{
    command_t hello = s_command (HELLO, 0), open = s_command (OPEN, 1),
              produce = s_command (PRODUCE, 0);
    s_add (&hello, 60000, 4);
    s_add_text (&hello, "bench_resend");
    s_send (socket, hello.bytes, hello.size, 0);
    s_expect (socket, WELCOME, 0, 0);
    s_add_text (&open, "main");
    s_send (socket, open.bytes, open.size, 0);
    uint64_t spool = s_expect (socket, OPENED, 12, 4);
    s_add (&produce, 0, 4);
    s_add_text (&produce, "bench");
    s_send (socket, produce.bytes, produce.size, 0);
    s_expect (socket, PRODUCING, 0, 0);
    return spool;
}

//  Put messages with the numbers from 1 to `count`, and wait until all are durable.
static void
s_put_all (void *socket, uint64_t spool, size_t size, uint64_t count, const uint8_t *records)
{
    uint64_t most = RUN_BYTES_MAX / (size + 8);
    for (uint64_t done = 0; done < count;) {
        uint64_t some = count - done < most ? count - done : most;
        command_t put = s_command (PUT, 0);
        s_add (&put, spool, 4);
        s_add (&put, done + 1, 8);
        s_add (&put, some, 4);
        s_add (&put, 0, 4);
        s_send (socket, put.bytes, put.size, ZMQ_SNDMORE);
        s_send (socket, records, some * (size + 8), 0);
        done += some;
        //  So that what is under way stays within what the service takes at once
        if (done % (8 * most) == 0 || done == count) {
            command_t flush = s_command (FLUSH, 0);
            s_send (socket, flush.bytes, flush.size, 0);
            s_expect (socket, DONE, 0, 0);
        }
    }
}

int
main (int argc, char **argv)
{
    static const struct option names [] = {{"size", required_argument, NULL, 's'},
                                           {"count", required_argument, NULL, 'c'},
                                           {"seconds", required_argument, NULL, 't'},
                                           {NULL, 0, NULL, 0}};
    size_t size = 100;
    uint64_t count = 1000000, again = 0;
    double seconds = 5;
    int name;
    while ((name = getopt_long (argc, argv, "", names, NULL)) != -1) {
        if (name == 's')
            size = (size_t) bench_option ("size", optarg, 1, RUN_BYTES_MAX - 8);
        else if (name == 'c')
            count = (uint64_t) bench_option ("count", optarg, 1, 1e12);
        else if (name == 't')
            seconds = bench_option ("seconds", optarg, 0.001, 1e6);
        else
            exit (2);
    }
    if (argc - optind != 1)
        bench_fail (2, "one endpoint is needed");
    void *context = zmq_ctx_new ();
    void *socket = bench_socket (context, ZMQ_DEALER, BENCH_HWM, argv [optind]);
    bench_set (socket, ZMQ_RCVTIMEO, WAIT_MS);
    bench_set (socket, ZMQ_LINGER, 0);
    uint8_t *records = calloc (1, RUN_BYTES_MAX);
    if (!records)
        bench_fail (1, "no memory");
    for (size_t at = 0; at + size + 8 <= RUN_BYTES_MAX; at += size + 8) {
        command_t head = {.size = 0};
        s_add (&head, size, 4);
        s_add (&head, 1 << 16, 4);
        memcpy (records + at, head.bytes, head.size);
        memset (records + at + 8, 'z', size);
    }
    uint64_t spool = s_greet (socket);
    s_put_all (socket, spool, size, count, records);
    int64_t start_ns = bench_now_ns (), now_ns = start_ns;
    for (; now_ns - start_ns < (int64_t) (seconds * 1e9); now_ns = bench_now_ns ()) {
        s_put_all (socket, spool, size, count, records);
        again += count;
    }
    double taken = (double) (now_ns - start_ns) / 1e9;
    printf ("{\"rate\": %.1f, \"resent\": %llu, \"seconds\": %.6f}\n", (double) again / taken,
            (unsigned long long) again, taken);
    free (records);
    zmq_close (socket);
    zmq_ctx_term (context);
    return 0;
}
