//  bench_filter.c - what it costs to find out whether a message matches many filters
//
//  SPDX-License-Identifier: MPL-2.0
//
//      bench_filter [--seconds S]
//
//  Messages are of machines in a company: SITE.PLANT.LINE.MACHINE.QUANTITY, some 40 bytes. For
//  each kind of filters, and 1 to 10000 of them, a set is compiled, then topics are matched for
//  --seconds (default 0.2), one after the other:
//
//    prefix    SITE.PLANT.LINE.MACHINE.
//    pattern   in turn SITE.*.LINE.MACHINE.QUANTITY, SITE.PLANT.LINE.MACHINE.#, and
//              *.PLANT.LINE.MACHINE.*
//    floating  #.LINE.MACHINE.QUANTITY, which may begin at any token
//
//  Prints one line of JSON for each: nanoseconds a message, the share of messages that match, and
//  microseconds a filter to compile. One thread.

#include "bench.h"
#include "zspool.h"

#define TOPICS 4096     //  matched in turn
#define TOPIC_BYTES 64  //  room for one
#define SEED 7          //  of the filters; the topics have the next

static const char *const s_sites [] = {"hamburg", "lyon",  "austin", "osaka",
                                       "pune",    "leeds", "turin",  "gdansk"};
static const char *const s_quantities [] = {"temperature", "pressure", "vibration",
                                            "current",     "state",    "alarm"};

enum { PREFIX, PATTERN, FLOATING, KINDS };
static const char *const s_kinds [KINDS] = {"prefix", "pattern", "floating"};

#define ONE_OF(array, seed) array [(size_t) rand_r (seed) % (sizeof array / sizeof array [0])]

//  One machine's quantity
typedef struct {
    const char *site;
    const char *quantity;
    int plant, line, machine;
} place_t;

static place_t
s_place (unsigned *seed)
{
    return (place_t) {ONE_OF (s_sites, seed), ONE_OF (s_quantities, seed), rand_r (seed) % 20,
                      rand_r (seed) % 12, rand_r (seed) % 30};
}

static void
s_print_topic (char *text, const place_t *at)
{
    snprintf (text, TOPIC_BYTES, "%s.plant%d.line%d.machine%d.%s", at->site, at->plant, at->line,
              at->machine, at->quantity);
}

static void
s_print_filter (char *text, int kind, size_t number, const place_t *at)
{
    if (kind == FLOATING)
        snprintf (text, TOPIC_BYTES, "#.line%d.machine%d.%s", at->line, at->machine, at->quantity);
    else if (kind == PREFIX)
        snprintf (text, TOPIC_BYTES, "%s.plant%d.line%d.machine%d.", at->site, at->plant, at->line,
                  at->machine);
    else if (number % 3 == 0)
        snprintf (text, TOPIC_BYTES, "%s.*.line%d.machine%d.%s", at->site, at->line, at->machine,
                  at->quantity);
    else if (number % 3 == 1)
        snprintf (text, TOPIC_BYTES, "%s.plant%d.line%d.machine%d.#", at->site, at->plant, at->line,
                  at->machine);
    else
        snprintf (text, TOPIC_BYTES, "*.plant%d.line%d.machine%d.*", at->plant, at->line,
                  at->machine);
}

static zspool_filter_t *
s_compile (int kind, size_t count, double *us)
{
    unsigned seed = SEED;
    char text [TOPIC_BYTES];
    int64_t start_ns = bench_now_ns ();
    zspool_filter_t *filter = zspool_filter_new ();
    if (!filter)
        bench_fail (1, "no memory");
    for (size_t number = 0; number < count; number++) {
        place_t at = s_place (&seed);
        s_print_filter (text, kind, number, &at);
        int rc = zspool_filter_add (filter, text, strlen (text));
        if (rc)
            bench_fail (1, "%s", zspool_strerror (rc));
    }
    *us = (double) (bench_now_ns () - start_ns) / 1e3 / (double) count;
    return filter;
}

static void
s_run (int kind, size_t count, double seconds, char (*topics) [TOPIC_BYTES])
{
    size_t sizes [TOPICS];
    double compile_us;
    zspool_filter_t *filter = s_compile (kind, count, &compile_us);
    for (size_t topic = 0; topic < TOPICS; topic++)
        sizes [topic] = strlen (topics [topic]);
    uint64_t matched = 0, messages = 0;
    int64_t start_ns = bench_now_ns (), end_ns = start_ns + (int64_t) (seconds * 1e9), now_ns;
    do {
        for (size_t topic = 0; topic < TOPICS; topic++)
            matched += zspool_filter_matches (filter, topics [topic], sizes [topic]);
        messages += TOPICS;
        now_ns = bench_now_ns ();
    } while (now_ns < end_ns);
    printf ("{\"kind\": \"%s\", \"filters\": %zu, \"ns\": %.1f, \"matched\": %.4f, "
            "\"compile_us\": %.2f}\n",
            s_kinds [kind], count, (double) (now_ns - start_ns) / (double) messages,
            (double) matched / (double) messages, compile_us);
    zspool_filter_destroy (&filter);
}

int
main (int argc, char **argv)
{
    static const struct option names [] = {
        {"seconds", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
    static char topics [TOPICS] [TOPIC_BYTES];
    double seconds = 0.2;
    int name;
    while ((name = getopt_long (argc, argv, "", names, NULL)) != -1) {
        if (name != 's')
            exit (2);
        seconds = bench_option ("seconds", optarg, 0.001, 1e6);
    }
    if (argc != optind)
        bench_fail (2, "no argument is taken");

    unsigned seed = SEED + 1;
    for (size_t topic = 0; topic < TOPICS; topic++) {
        place_t at = s_place (&seed);
        s_print_topic (topics [topic], &at);
    }
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t count = 1; count <= 10000; count *= 10)
            s_run (kind, count, seconds, topics);
    return 0;
}
