//  bench_push.c - sends messages by PUSH or PUB as fast as the peer takes them, or at a given rate
//
//  SPDX-License-Identifier: MPL-2.0
//
//      bench_push [--type push|pub] [--size BYTES] [--count N] [--seconds S] [--rate N]
//                 [--producer N] [--topics N] [--hwm N] ENDPOINT
//
//  Runs until it is killed when neither --count nor --seconds is given. With them it ends when
//  everything was handed to the peer. Every message starts with its number, and in it the number of
//  its producer (default 0), so that bench_pull can see gaps and repetitions. With --topics a first
//  frame goes before it, t.0 to t.N-1 in turn. As a publisher it waits for the first subscription,
//  and where PUB would drop a message it waits too (XPUB_NODROP), so that what is lost was lost
//  behind it. One thread, plain libzmq.

#include "bench.h"

typedef struct {
    const char *endpoint; //  where to send
    size_t size;          //  of a message, bytes
    uint64_t count;       //  messages to send; 0: no limit
    double seconds;       //  time to send; 0: no limit
    double rate;          //  messages a second; 0: no limit
    uint64_t producer;    //  which one this is
    uint64_t topics;      //  number of topics; 0: messages have none
    bool publish;         //  by PUB; else PUSH
    int hwm;              //  send high-water mark, messages
} options_t;

static options_t
s_options (int argc, char **argv)
{
    static const struct option names [] = {
        {"size", required_argument, NULL, 's'},    {"count", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 't'}, {"rate", required_argument, NULL, 'r'},
        {"hwm", required_argument, NULL, 'h'},     {"producer", required_argument, NULL, 'p'},
        {"type", required_argument, NULL, 'y'},    {"topics", required_argument, NULL, 'o'},
        {NULL, 0, NULL, 0}};
    options_t options = {.size = 100, .hwm = BENCH_HWM};
    int name;
    while ((name = getopt_long (argc, argv, "", names, NULL)) != -1) {
        switch (name) {
            case 's':
                options.size = bench_option ("size", optarg, BENCH_NUMBER_BYTES, BENCH_SIZE_MAX);
                break;
            case 'c':
                options.count = bench_option ("count", optarg, 1, 1e15);
                break;
            case 't':
                options.seconds = bench_option ("seconds", optarg, 0.001, 1e6);
                break;
            case 'r':
                options.rate = bench_option ("rate", optarg, 0.001, 1e9);
                break;
            case 'p':
                options.producer = bench_option ("producer", optarg, 0, BENCH_PRODUCERS_MAX - 1);
                break;
            case 'y':
                options.publish = bench_choice ("type", optarg, "push", "pub");
                break;
            case 'o':
                options.topics = bench_option ("topics", optarg, 1, 1e9);
                break;
            case 'h':
                options.hwm = bench_option ("hwm", optarg, 1, 1e6);
                break;
            default:
                exit (2);
        }
    }
    if (argc - optind != 1)
        bench_fail (2, "one endpoint is needed");
    options.endpoint = argv [optind];
    return options;
}

//  Send a message's topic as its first frame
static int
s_send_topic (void *socket, uint64_t number)
{
    char topic [32];
    int size = snprintf (topic, sizeof topic, "t.%llu", (unsigned long long) number);
    return zmq_send (socket, topic, (size_t) size, ZMQ_SNDMORE);
}

//  A socket that waits for peers that are slow; a publisher's, until somebody has subscribed
static void *
s_socket (void *context, const options_t *options)
{
    void *socket = bench_socket_new (context, options->publish ? ZMQ_XPUB : ZMQ_PUSH, options->hwm);
    if (options->publish)
        bench_set (socket, ZMQ_XPUB_NODROP, 1);
    bench_attach (socket, options->endpoint);
    char subscription [256];
    while (options->publish && zmq_recv (socket, subscription, sizeof subscription, 0) < 0)
        if (errno != EINTR)
            bench_fail (1, "subscription: %s", zmq_strerror (errno));
    bench_set (socket, ZMQ_SNDTIMEO, BENCH_WAIT_MS);
    return socket;
}

//  Send until the count or the time is reached; returns the number of messages sent
static uint64_t
s_send_all (void *socket, const options_t *options, char *body, int64_t start_ns)
{
    const int64_t end_ns = options->seconds > 0 ? start_ns + (int64_t) (options->seconds * 1e9)
                                                : INT64_MAX;
    uint64_t sent = 0;
    while (!options->count || sent < options->count) {
        if (options->rate > 0)
            bench_pace (sent, options->rate, start_ns);
        uint64_t number = sent + 1 + (options->producer << BENCH_PRODUCER_SHIFT);
        memcpy (body, &number, sizeof number);
        int rc = options->topics ? s_send_topic (socket, sent % options->topics) : 0;
        if (rc >= 0)
            rc = zmq_send (socket, body, options->size, 0);
        if (rc >= 0)
            sent++;
        else if (errno != EAGAIN && errno != EINTR)
            bench_fail (1, "send: %s", zmq_strerror (errno));
        if ((rc < 0 || sent % BENCH_CLOCK_EVERY == 0) && bench_now_ns () >= end_ns)
            break;
    }
    return sent;
}

int
main (int argc, char **argv)
{
    options_t options = s_options (argc, argv);
    char *body = malloc (options.size);
    if (!body)
        bench_fail (1, "no memory for %zu bytes", options.size);
    memset (body, 'z', options.size);

    void *context = zmq_ctx_new ();
    void *socket = s_socket (context, &options);
    int64_t start_ns = bench_now_ns ();
    uint64_t sent = s_send_all (socket, &options, body, start_ns);
    zmq_close (socket);
    zmq_ctx_term (context); //  waits until everything was handed over
    printf ("{\"sent\": %llu, \"seconds\": %.6f}\n", (unsigned long long) sent,
            (double) (bench_now_ns () - start_ns) / 1e9);
    free (body);
    return 0;
}
