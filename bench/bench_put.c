//  bench_put.c - puts messages into a spool through a device's service, as fast as they are
//  confirmed
//
//  SPDX-License-Identifier: MPL-2.0
//
//      bench_put [--size BYTES] [--count N] [--seconds S] [--producers N] [--producer N]
//                [--name NAME] [--level default|cached|committed] [--txn N] [--one]
//                [--spool SPOOL] ENDPOINT
//
//  Runs until it is killed when neither --count nor --seconds is given. With them it ends when
//  everything was confirmed. Every message starts with its number, and in it the number of its
//  producer, so that bench_get can see gaps and repetitions. With --producers several producers
//  put in turn, from --producer on, up to 1000; each may have less unconfirmed then. With --name
//  they are named NAME-0, NAME-1 and so on, so that what is sent again is recognised. With --txn
//  each N messages are a transaction; with --one each message is confirmed before the next is put,
//  and how long that took is told. The classes of libzspool.

#include "clients.h"

#define MANY 100               //  messages handed to the library at once
#define WINDOW_BYTES (64 * 1024 * 1024) //  unconfirmed, of all producers
#define WINDOW_BYTES_MIN 65536

typedef struct {
    const char *endpoint;
    const char *spool;         //  "": the device's own
    const char *name;          //  NULL: producers have none
    const char *level;
    size_t size;               //  of a message, bytes
    uint64_t count;            //  messages to put, by all; 0: no limit
    double seconds;            //  time to put; 0: no limit
    uint64_t producers;
    uint64_t producer;         //  number of the first one
    uint64_t txn;              //  messages of a transaction; 0: none
    bool one;
} options_t;

static options_t
s_options (int argc, char **argv)
{
    static const struct option names [] = {
        {"size", required_argument, NULL, 's'},      {"count", required_argument, NULL, 'c'},
        {"seconds", required_argument, NULL, 't'},   {"producers", required_argument, NULL, 'n'},
        {"producer", required_argument, NULL, 'p'},  {"name", required_argument, NULL, 'm'},
        {"level", required_argument, NULL, 'l'},     {"txn", required_argument, NULL, 'x'},
        {"one", no_argument, NULL, 'o'},             {"spool", required_argument, NULL, 'q'},
        {NULL, 0, NULL, 0}};
    options_t options = {.size = 100, .producers = 1, .spool = "", .level = "default"};
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
            case 'n':
                options.producers = bench_option ("producers", optarg, 1, CLIENTS_MAX);
                break;
            case 'p':
                options.producer = bench_option ("producer", optarg, 0, 65535);
                break;
            case 'm':
                options.name = optarg;
                break;
            case 'l':
                options.level = optarg;
                break;
            case 'x':
                options.txn = bench_option ("txn", optarg, 1, 32768);
                break;
            case 'o':
                options.one = true;
                break;
            case 'q':
                options.spool = optarg;
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

static zspool_producer_t *
s_producer (const options_t *options, uint64_t number)
{
    char name [128];
    zspool_producer_t *producer = zspool_producer_new (options->endpoint);
    char window [32];
    snprintf (name, sizeof name, "%s-%llu", options->name? options->name: "",
              (unsigned long long) number);
    uint64_t window_bytes = WINDOW_BYTES / options->producers;
    snprintf (
        window, sizeof window, "%llu",
        (unsigned long long) (window_bytes > WINDOW_BYTES_MIN? window_bytes: WINDOW_BYTES_MIN));
    if (!producer || (*options->spool && zspool_producer_set (producer, "spool", options->spool))
        || (options->name && zspool_producer_set (producer, "name", name))
        || (options->producers > 8 && zspool_producer_set (producer, "window-bytes", window))
        || zspool_producer_set (producer, "level", options->level)
        || zspool_producer_connect (producer))
        bench_fail (1, "%s", producer ? zspool_producer_reason (producer) : "no memory");
    return producer;
}

//  What is put: MANY messages, each with a number of its own
typedef struct {
    char *bodies;
    zspool_frame_t frames [MANY];
} batch_t;

static void
s_number (batch_t *batch, size_t count, uint64_t producer, uint64_t sent)
{
    for (size_t index = 0; index < count; index++) {
        uint64_t number = sent + index + 1 + (producer << BENCH_PRODUCER_SHIFT);
        memcpy ((char *) (uintptr_t) batch->frames [index].data, &number, sizeof number);
    }
}

static void
s_check (zspool_producer_t *producer, int rc)
{
    if (rc)
        bench_fail (1, "%s", zspool_producer_reason (producer));
}

static int
s_compare (const void *one, const void *other)
{
    int64_t a = *(const int64_t *) one, b = *(const int64_t *) other;
    return a < b ? -1 : a > b;
}

//  Put one message after the other, and tell how long the confirming of each took.
static void
s_put_singly (const options_t *options, zspool_producer_t *producer, batch_t *batch)
{
    size_t max = 1000000, count = 0;
    int64_t *times = malloc (max * sizeof *times),
            end_ns = bench_now_ns () + (int64_t) (options->seconds * 1e9);
    while (times && count < max && bench_now_ns () < end_ns) {
        int64_t start_ns = bench_now_ns ();
        s_number (batch, 1, options->producer, count);
        s_check (producer, zspool_producer_put (producer, batch->frames, 1, NULL));
        s_check (producer, zspool_producer_flush (producer));
        times [count++] = bench_now_ns () - start_ns;
    }
    if (!count)
        bench_fail (1, "nothing was put");
    qsort (times, count, sizeof *times, s_compare);
    printf ("{\"count\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", count,
            (double) times [count / 2] / 1e3, (double) times [count * 99 / 100] / 1e3);
    free (times);
}

//  Put so many messages, in a transaction if there are to be such.
static void
s_put_some (const options_t *options, zspool_producer_t *producer, batch_t *batch, uint64_t number,
            uint64_t *sent)
{
    uint64_t left = options->txn ? options->txn : MANY;
    if (options->txn)
        s_check (producer, zspool_producer_begin (producer));
    while (left > 0) {
        size_t count = left < MANY ? left : MANY;
        s_number (batch, count, number, *sent);
        s_check (producer, zspool_producer_put_many (producer, batch->frames, count, NULL, NULL));
        *sent += count;
        left -= count;
    }
    if (options->txn)
        s_check (producer, zspool_producer_commit (producer, NULL));
}

int
main (int argc, char **argv)
{
    options_t options = s_options (argc, argv);
    batch_t batch;
    batch.bodies = malloc (options.size * MANY);
    zspool_producer_t **producers = calloc (options.producers, sizeof *producers);
    uint64_t *sent = calloc (options.producers, sizeof *sent), total = 0;
    if (!batch.bodies || !producers || !sent)
        bench_fail (1, "no memory");
    clients_prepare (options.producers);
    memset (batch.bodies, 'z', options.size * MANY);
    for (size_t index = 0; index < MANY; index++)
        batch.frames [index] = (zspool_frame_t){batch.bodies + index * options.size, options.size};
    for (uint64_t index = 0; index < options.producers; index++)
        producers [index] = s_producer (&options, options.producer + index);
    int64_t start_ns = bench_now_ns ();
    int64_t end_ns = options.seconds > 0 ? start_ns + (int64_t) (options.seconds * 1e9) : INT64_MAX;
    if (options.one)
        s_put_singly (&options, producers [0], &batch);
    else
        for (uint64_t at = 0; (!options.count || total < options.count) && bench_now_ns () < end_ns;
             at = (at + 1) % options.producers) {
            uint64_t before = sent [at];
            s_put_some (&options, producers [at], &batch, options.producer + at, &sent [at]);
            total += sent [at] - before;
        }
    for (uint64_t index = 0; index < options.producers; index++) {
        s_check (producers [index], zspool_producer_flush (producers [index]));
        zspool_producer_destroy (&producers [index]);
    }
    if (!options.one)
        printf ("{\"sent\": %llu, \"seconds\": %.6f}\n", (unsigned long long) total,
                (double) (bench_now_ns () - start_ns) / 1e9);
    free (sent);
    free (producers);
    free (batch.bodies);
    return 0;
}
