//  bench_latency.c - sends one message at a time and measures how long each takes to be received
//
//  SPDX-License-Identifier: MPL-2.0
//
//      bench_latency [--size BYTES] [--warmup S] [--seconds S] [--timeout S] IN OUT
//
//  PUSH to IN and PULL from OUT in one process and one thread: send, wait for receipt, next. Prints
//  one line of JSON: p50 and p99 in microseconds.

#include "bench.h"

#define SAMPLES_MAX 1000000 //  most measurements kept

typedef struct {
    size_t size;     //  of a message, bytes
    double warmup;   //  seconds
    double seconds;  //  of measuring
    double timeout;  //  longest wait for one message, seconds
    const char *in;  //  where to send
    const char *out; //  where to receive from
} options_t;

static options_t
s_options (int argc, char **argv)
{
    static const struct option names [] = {
        {"size", required_argument, NULL, 's'},    {"warmup", required_argument, NULL, 'w'},
        {"seconds", required_argument, NULL, 't'}, {"timeout", required_argument, NULL, 'o'},
        {NULL, 0, NULL, 0}};
    options_t options = {.size = 100, .warmup = 0.5, .seconds = 2, .timeout = 20};
    int name;
    while ((name = getopt_long (argc, argv, "", names, NULL)) != -1) {
        switch (name) {
            case 's':
                options.size = bench_option ("size", optarg, BENCH_NUMBER_BYTES, BENCH_SIZE_MAX);
                break;
            case 'w':
                options.warmup = bench_option ("warmup", optarg, 0, 1e6);
                break;
            case 't':
                options.seconds = bench_option ("seconds", optarg, 0.001, 1e6);
                break;
            case 'o':
                options.timeout = bench_option ("timeout", optarg, 0.1, 1e6);
                break;
            default:
                exit (2);
        }
    }
    if (argc - optind != 2)
        bench_fail (2, "two endpoints are needed");
    options.in = argv [optind];
    options.out = argv [optind + 1];
    return options;
}

//  Send the message with this number and wait for it; returns the time that took, microseconds
static double
s_round (void *push, void *pull, char *body, size_t size, uint64_t number)
{
    int64_t start_ns = bench_now_ns ();
    memcpy (body, &number, sizeof number);
    if (zmq_send (push, body, size, 0) < 0)
        bench_fail (1, "send: %s", zmq_strerror (errno));
    int received = zmq_recv (pull, body, size, 0);
    if (received < 0)
        bench_fail (1, "message %llu: %s", (unsigned long long) number, zmq_strerror (errno));
    double taken_us = (double) (bench_now_ns () - start_ns) / 1e3;
    if ((size_t) received != size || memcmp (body, &number, sizeof number))
        bench_fail (1, "what came is not message %llu", (unsigned long long) number);
    return taken_us;
}

int
main (int argc, char **argv)
{
    options_t options = s_options (argc, argv);
    char *body = calloc (1, options.size);
    double *samples = malloc (SAMPLES_MAX * sizeof *samples);
    if (!body || !samples)
        bench_fail (1, "no memory");
    void *context = zmq_ctx_new ();
    void *push = bench_socket (context, ZMQ_PUSH, BENCH_HWM, options.in);
    void *pull = bench_socket (context, ZMQ_PULL, BENCH_HWM, options.out);
    bench_set (push, ZMQ_SNDTIMEO, (int) (options.timeout * 1e3));
    bench_set (pull, ZMQ_RCVTIMEO, (int) (options.timeout * 1e3));

    uint64_t number = 0;
    int64_t open_ns = bench_now_ns () + (int64_t) (options.warmup * 1e9);
    do
        s_round (push, pull, body, options.size, ++number);
    while (bench_now_ns () < open_ns);

    int64_t close_ns = bench_now_ns () + (int64_t) (options.seconds * 1e9);
    size_t count = 0;
    do
        samples [count++] = s_round (push, pull, body, options.size, ++number);
    while (count < SAMPLES_MAX && bench_now_ns () < close_ns);

    printf ("{\"p50_us\": %.1f, \"p99_us\": %.1f, \"messages\": %zu}\n",
            bench_percentile (samples, count, 0.5), bench_percentile (samples, count, 0.99), count);
    zmq_close (push);
    zmq_close (pull);
    zmq_ctx_term (context);
    free (samples);
    free (body);
    return 0;
}
