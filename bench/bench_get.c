//  bench_get.c - gets messages of a spool through a device's service, acknowledges them, and
//  measures how many come in a second
//
//  SPDX-License-Identifier: MPL-2.0
//
//      bench_get [--warmup S | --open-at S] [--seconds S] [--batch N] [--consumers N]
//                [--prefetch N] [--shared] [--spool SPOOL] [--timeout S] ENDPOINT CURSOR
//
//  The warm-up starts with the first message, or ends at the time of CLOCK_MONOTONIC that --open-at
//  gives. Then the window opens for --seconds (default 5). Each --batch messages (default 1000) are
//  acknowledged at once. With --consumers several compete on the cursor, in turn. Each producer's
//  numbers (see bench_put.c) must come one by one: what is missing or repeated is counted; with
//  --shared, or several consumers, up to 1000, others get what is missing, and what was delivered
//  before counts as repeated. Prints one line of JSON. The classes of libzspool.

#include "clients.h"

#define PRODUCERS_MAX 65536
#define IDLE_NS 500000 //  with several consumers: how long to wait when there is nothing for any

typedef struct {
    const char *endpoint;
    const char *cursor;
    const char *spool;         //  "": the device's own
    double warmup;             //  seconds
    double open_at;            //  monotonic seconds; 0: after the warm-up
    double seconds;            //  of the window
    double timeout;            //  longest time without a message, seconds
    uint64_t batch;            //  messages acknowledged at once
    uint64_t consumers;
    uint64_t prefetch;         //  messages; 0: as usual
    bool shared;
} options_t;

typedef struct {
    zspool_consumer_t *consumer;
    uint64_t unacked;          //  messages received since the last acknowledgement
    uint64_t last;             //  sequence of the last one
} source_t;

typedef struct {
    const options_t *options;
    source_t *sources;
    uint64_t total;            //  messages received
    uint64_t gaps;             //  numbers that were left out
    uint64_t repeats;          //  messages whose number had come before
    uint64_t last [PRODUCERS_MAX]; //  each producer's last number, 0 before the first
    int64_t first_ns;          //  when the first message came
} self_t;

static options_t
s_options (int argc, char **argv)
{
    static const struct option names [] = {
        {"warmup", required_argument, NULL, 'w'},    {"seconds", required_argument, NULL, 's'},
        {"open-at", required_argument, NULL, 'o'},   {"batch", required_argument, NULL, 'b'},
        {"consumers", required_argument, NULL, 'n'}, {"prefetch", required_argument, NULL, 'p'},
        {"shared", no_argument, NULL, 'm'},          {"spool", required_argument, NULL, 'q'},
        {"timeout", required_argument, NULL, 't'},   {NULL, 0, NULL, 0}};
    options_t options = {
        .warmup = 1, .seconds = 5, .batch = 1000, .consumers = 1, .timeout = 20, .spool = ""
    };
    int name;
    while ((name = getopt_long (argc, argv, "", names, NULL)) != -1) {
        switch (name) {
            case 'w':
                options.warmup = bench_option ("warmup", optarg, 0, 1e6);
                break;
            case 's':
                options.seconds = bench_option ("seconds", optarg, 0.001, 1e6);
                break;
            case 'o':
                options.open_at = bench_option ("open-at", optarg, 0, 1e12);
                break;
            case 'b':
                options.batch = bench_option ("batch", optarg, 1, 1e6);
                break;
            case 'n':
                options.consumers = bench_option ("consumers", optarg, 1, CLIENTS_MAX);
                break;
            case 'p':
                options.prefetch = bench_option ("prefetch", optarg, 1, 1e6);
                break;
            case 'm':
                options.shared = true;
                break;
            case 'q':
                options.spool = optarg;
                break;
            case 't':
                options.timeout = bench_option ("timeout", optarg, 0.1, 1e6);
                break;
            default:
                exit (2);
        }
    }
    if (argc - optind != 2)
        bench_fail (2, "an endpoint and a cursor are needed");
    options.endpoint = argv [optind];
    options.cursor = argv [optind + 1];
    options.shared = options.shared || options.consumers > 1;
    return options;
}

//  Make a consumer that begins to connect, so that many do at the same time.
static zspool_consumer_t *
s_consumer (const options_t *options)
{
    char prefetch [32];
    snprintf (prefetch, sizeof prefetch, "%llu", (unsigned long long) options->prefetch);
    zspool_consumer_t *consumer =
        zspool_consumer_new (options->endpoint, options->spool, options->cursor);
    if (!consumer
        || (options->prefetch && zspool_consumer_set (consumer, "prefetch-messages", prefetch)))
        bench_fail (1, "%s", consumer ? zspool_consumer_reason (consumer) : "no memory");
    zspool_consumer_set_timeout (consumer, 0);
    int rc = zspool_consumer_connect (consumer);
    if (rc && rc != ZSPOOL_ETIMEDOUT)
        bench_fail (1, "%s", zspool_consumer_reason (consumer));
    return consumer;
}

//  Hold the message's number against the one before. Of several consumers each gets some, and they
//  are not received from in the order of the messages.
static void
s_check_number (self_t *self, const zspool_delivery_t *delivery)
{
    uint64_t number;
    if (delivery->record.data_bytes < sizeof number)
        bench_fail (1, "a message came that bench_put did not put");
    if (self->options->consumers > 1) {
        self->repeats += delivery->deliveries > 1;
        return;
    }
    memcpy (&number, delivery->record.data, sizeof number);
    uint64_t *last = &self->last [number >> BENCH_PRODUCER_SHIFT];
    number &= (1ULL << BENCH_PRODUCER_SHIFT) - 1;
    if (number <= *last) {
        self->repeats++;
        return;
    }
    if (*last && !self->options->shared)
        self->gaps += number - *last - 1;
    *last = number;
}

static void
s_ack (source_t *source)
{
    if (source->unacked && zspool_consumer_ack_to (source->consumer, source->last))
        bench_fail (1, "%s", zspool_consumer_reason (source->consumer));
    source->unacked = 0;
}

//  Receive one message; false when none came in time.
static bool
s_receive (self_t *self, source_t *source, int timeout_ms)
{
    zspool_delivery_t delivery;
    int rc = zspool_consumer_recv (source->consumer, timeout_ms, &delivery);
    if (rc == ZSPOOL_ETIMEDOUT) {
        s_ack (source);
        return false;
    }
    if (rc)
        bench_fail (1, "%s", zspool_consumer_reason (source->consumer));
    s_check_number (self, &delivery);
    source->last = delivery.sequence;
    if (++source->unacked == self->options->batch)
        s_ack (source);
    if (self->total++ == 0)
        self->first_ns = bench_now_ns ();
    return true;
}

//  Receive until it is `end_ns`, or `count` messages came in all (0: no limit). Returns the time
//  of the last one, as of the last look at the clock.
static int64_t
s_receive_until (self_t *self, uint64_t count, int64_t end_ns)
{
    uint64_t consumers = self->options->consumers, idle = 0;
    int64_t last_ns = bench_now_ns ();
    for (uint64_t at = 0; last_ns < end_ns && (!count || self->total < count);
         at = (at + 1) % consumers) {
        bool received = false;
        for (int burst = 0; burst < 1000 && (!count || self->total < count); burst++) {
            if (!s_receive (self, &self->sources [at], consumers == 1 ? BENCH_WAIT_MS : 0))
                break;
            received = true;
        }
        int64_t now_ns = bench_now_ns ();
        idle = received ? 0 : idle + 1;
        if (idle >= consumers && consumers > 1) {
            nanosleep (&(struct timespec) {0, IDLE_NS}, NULL);
            idle = 0;
        }
        if (received)
            last_ns = now_ns;
        else if (now_ns - last_ns > (int64_t) (self->options->timeout * 1e9))
            bench_fail (1, "nothing came for %g s, after %llu messages", self->options->timeout,
                        (unsigned long long) self->total);
        if (now_ns >= end_ns)
            break;
    }
    return last_ns;
}

int
main (int argc, char **argv)
{
    options_t options = s_options (argc, argv);
    self_t *self = calloc (1, sizeof *self);
    source_t *sources = calloc (options.consumers, sizeof *sources);
    if (!self || !sources)
        bench_fail (1, "no memory");
    self->options = &options;
    self->sources = sources;
    clients_prepare (options.consumers);
    for (uint64_t index = 0; index < options.consumers; index++)
        sources [index].consumer = s_consumer (&options);
    for (uint64_t index = 0; index < options.consumers; index++) {
        zspool_consumer_set_timeout (sources [index].consumer, (int64_t) (options.timeout * 1e3));
        if (zspool_consumer_connect (sources [index].consumer))
            bench_fail (1, "%s", zspool_consumer_reason (sources [index].consumer));
    }
    s_receive_until (self, 1, INT64_MAX);
    int64_t warm_ns = options.open_at > 0 ? (int64_t) (options.open_at * 1e9):
                                            self->first_ns + (int64_t) (options.warmup * 1e9);
    int64_t open_ns = s_receive_until (self, 0, warm_ns);
    uint64_t before = self->total;
    int64_t close_ns = s_receive_until (self, 0, open_ns + (int64_t) (options.seconds * 1e9));
    uint64_t messages = self->total - before;
    if (messages < 2 || close_ns <= open_ns)
        bench_fail (1, "the window saw only %llu messages", (unsigned long long) messages);
    double seconds = (double) (close_ns - open_ns) / 1e9;
    printf (
        "{\"rate\": %.1f, \"messages\": %llu, \"seconds\": %.6f, \"total\": %llu, \"gaps\": %llu, "
        "\"repeats\": %llu}\n",
        (double) messages / seconds, (unsigned long long) messages, seconds,
        (unsigned long long) self->total, (unsigned long long) self->gaps,
        (unsigned long long) self->repeats);
    for (uint64_t index = 0; index < options.consumers; index++) {
        s_ack (&sources [index]);
        zspool_consumer_destroy (&sources [index].consumer);
    }
    free (sources);
    free (self);
    return 0;
}
