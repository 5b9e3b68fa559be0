//  bench_print.c - the table, the advice and the JSON of `zspool bench`
//
//  SPDX-License-Identifier: MPL-2.0

#include "bench_result.h"
#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ADVICE_MAX 8
#define ADVICE_BYTES_MAX 400
//  What makes something worth a word: a share of t, a ratio
#define SHARE_NOTABLE 0.5
#define UNEVEN_NOTABLE 5
#define GAIN_NOTABLE 1.2

const char *const bench_strategy_names [BENCH_STRATEGIES] = { "sync", "async", "transaction" };

//  ------------------------------------------------------------------------------------------------
//  Advice

typedef struct {
    char lines [ADVICE_MAX] [ADVICE_BYTES_MAX];
    size_t count;
} s_advice_t;

static void
s_advise (s_advice_t *self, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

static void
s_advise (s_advice_t *self, const char *format, ...)
{
    va_list arguments;
    if (self->count == ADVICE_MAX)
        return;
    va_start (arguments, format);
    vsnprintf (self->lines [self->count++], ADVICE_BYTES_MAX, format, arguments);
    va_end (arguments);
}

//  Print microseconds with a unit that suits them into a small text.
static const char *
s_time (char text [32], double us)
{
    if (us < 10)
        snprintf (text, 32, "%.2f us", us);
    else if (us < 1000)
        snprintf (text, 32, "%.0f us", us);
    else if (us < 1e6)
        snprintf (text, 32, "%.2f ms", us / 1e3);
    else
        snprintf (text, 32, "%.2f s", us / 1e6);
    return text;
}

//  What one message at a time tells
static void
s_advise_latency (s_advice_t *self, const bench_result_t *result)
{
    char one [32], other [32];
    const bench_measured_t *sync = &result->strategies [BENCH_SYNC];
    const bench_measured_t *async = &result->strategies [BENCH_ASYNC];
    double share = sync->t2.p50 / sync->predicted_us;
    if (share > SHARE_NOTABLE)
        s_advise (self,
                  "sync: t2 is %.1f %% of t for one message of %zu bytes: only a disk that syncs "
                  "faster than %s makes a single message safe sooner.",
                  100 * share, result->size, s_time (one, sync->t2.p50));
    if (sync->device.latency.p50 > sync->predicted_us)
        s_advise (self,
                  "One message took %s end to end, %s of which is not in the model: sockets, and "
                  "threads that wake each other.",
                  s_time (one, sync->device.latency.p50),
                  s_time (other, sync->device.latency.p50 - sync->predicted_us));
    if (sync->device.latency.p50 > GAIN_NOTABLE * async->device.latency.p50)
        s_advise (
            self,
            "async forwards it after %s instead of %s; what it forwarded since the last commit, "
            "within --commit-interval, can be lost with the machine.",
            s_time (one, async->device.latency.p50), s_time (other, sync->device.latency.p50));
    if (sync->t2.p99 > UNEVEN_NOTABLE * sync->t2.p50)
        s_advise (self,
                  "The disk is uneven: half of the commits took %s, one in a hundred %s or more; "
                  "a message in a hundred is late for that.",
                  s_time (one, sync->t2.p50), s_time (other, sync->t2.p99));
}

//  What a stream tells
static void
s_advise_stream (s_advice_t *self, const bench_result_t *result)
{
    const bench_measured_t *sync = &result->strategies [BENCH_SYNC];
    const bench_measured_t *async = &result->strategies [BENCH_ASYNC];
    double alone = 1e6 / sync->predicted_us;
    if (sync->device.rate > alone)
        s_advise (
            self,
            "A stream of %zu bytes: group commit spreads t2 over some %.0f messages, %.0f a second "
            "instead of the %.0f that one commit each would allow. Let producers send without "
            "waiting for each message.",
            result->size, sync->device.commit_messages, sync->device.rate, alone);
    if (async->device.rate > GAIN_NOTABLE * sync->device.rate)
        s_advise (
            self,
            "async is %.1f times as fast as sync for that stream: there the disk is what limits.",
            async->device.rate / sync->device.rate);
    else
        s_advise (self, "For that stream async gains little or nothing over sync: stay with sync.");
}

static void
s_advise_all (s_advice_t *self, const bench_t *bench)
{
    self->count = 0;
    const bench_result_t *first = &bench->results [0];
    const bench_result_t *last = &bench->results [bench->results_count - 1];
    s_advise_latency (self, first);
    s_advise_stream (self, first);
    const bench_measured_t *sync = &last->strategies [BENCH_SYNC];
    if (last != first && sync->t2_block.p50 > 0)
        s_advise (
            self,
            "Messages of %zu bytes go to the disk with %.0f MiB a second under sync (%.0f "
            "predicted).",
            last->size, sync->device.rate * (double) last->size / 1048576,
            sync->predicted_rate * (double) last->size / 1048576);
}

//  ------------------------------------------------------------------------------------------------
//  Table

static void
s_print_result (const bench_result_t *result)
{
    char one [32], block [32];
    printf ("\n%zu bytes: t1 %s for a message, %s for a block of %" PRIu32 "\n", result->size,
            s_time (one, result->t1.p50), s_time (block, result->t1_block.p50),
            result->block_messages);
    printf ("             %23s  %32s  %22s  %8s\n", "t2: message      block",
            "one message: t   measured   99 %", "stream, messages/s", "a commit");
    printf ("             %23s  %32s  %22s  %8s\n", "", "", "predicted   measured", "messages");
    for (bench_strategy_t index = BENCH_SYNC; index < BENCH_STRATEGIES; index++) {
        const bench_measured_t *measured = &result->strategies [index];
        bool waits = measured->t2.count > 0;
        char t2 [32], t2_block [32], t [32], p50 [32], p99 [32];
        printf ("%-11s  %12s %10s  %12s %10s %8s  %11.0f %10.0f  %8.0f\n",
                bench_strategy_names [index], waits? s_time (t2, measured->t2.p50): "-",
                waits? s_time (t2_block, measured->t2_block.p50): "-",
                s_time (t, measured->predicted_us), s_time (p50, measured->device.latency.p50),
                s_time (p99, measured->device.latency.p99), measured->predicted_rate,
                measured->device.rate, measured->device.commit_messages);
    }
}

void
bench_print_table (const bench_t *self)
{
    printf ("measured in ");
    text_print (self->place);
    printf (" on %ld processors, %g s each: medians\n", sysconf (_SC_NPROCESSORS_ONLN),
            self->seconds);
    for (size_t index = 0; index < self->results_count; index++)
        s_print_result (&self->results [index]);
    puts ("\nt1: packing; t2: commit with its fsync. t = t1 + t2 under sync and transaction, t1\n"
          "under async. A stream is predicted to need t for each block; under async the longer of\n"
          "t1 and t2, since all is stored in the end. The model knows no sockets and no threads:\n"
          "what is measured goes over tcp, and packing, storing and sending go on at the same\n"
          "time where there are processors for it.\n");
    s_advice_t advice;
    s_advise_all (&advice, self);
    for (size_t index = 0; index < advice.count; index++)
        printf ("- %s\n", advice.lines [index]);
}

//  ------------------------------------------------------------------------------------------------
//  JSON

static void
s_print_json_times (const char *name, const trial_times_t *times)
{
    printf ("\"%s\": {\"p50_us\": %.3f, \"p99_us\": %.3f, \"count\": %zu}", name, times->p50,
            times->p99, times->count);
}

static void
s_print_json_strategy (const bench_measured_t *measured, const char *name)
{
    printf ("\n      {\"durability\": \"%s\", ", name);
    if (measured->t2.count > 0) {
        s_print_json_times ("t2", &measured->t2);
        printf (", ");
        s_print_json_times ("t2_block", &measured->t2_block);
        printf (",\n       ");
    }
    printf ("\"predicted_us\": %.3f, \"predicted_rate\": %.1f,\n       ", measured->predicted_us,
            measured->predicted_rate);
    s_print_json_times ("latency", &measured->device.latency);
    printf (", \"rate\": %.1f,\n       \"device\": {\"t1_p50_us\": %.0f, \"t2_p50_us\": %.0f, "
            "\"commit_messages_p50\": %.0f}}",
            measured->device.rate, measured->device.t1_us, measured->device.t2_us,
            measured->device.commit_messages);
}

static void
s_print_json_result (const bench_result_t *result)
{
    printf ("\n    {\"size\": %zu, \"block_messages\": %" PRIu32 ", ", result->size,
            result->block_messages);
    s_print_json_times ("t1", &result->t1);
    printf (", ");
    s_print_json_times ("t1_block", &result->t1_block);
    printf (",\n     \"strategies\": [");
    for (bench_strategy_t index = BENCH_SYNC; index < BENCH_STRATEGIES; index++) {
        if (index > 0)
            putchar (',');
        s_print_json_strategy (&result->strategies [index], bench_strategy_names [index]);
    }
    printf ("]}");
}

void
bench_print_json (const bench_t *self)
{
    printf ("{\"place\": ");
    text_print_json (self->place);
    printf (",\n \"in_memory\": %s, \"processors\": %ld, \"seconds\": %g,\n \"results\": [",
            self->in_memory? "true": "false", sysconf (_SC_NPROCESSORS_ONLN), self->seconds);
    for (size_t index = 0; index < self->results_count; index++) {
        if (index > 0)
            putchar (',');
        s_print_json_result (&self->results [index]);
    }
    printf ("],\n \"advice\": [");
    s_advice_t advice;
    s_advise_all (&advice, self);
    for (size_t index = 0; index < advice.count; index++) {
        printf (index > 0? ",\n   ": "\n   ");
        text_print_json (advice.lines [index]);
    }
    printf ("]}\n");
}
