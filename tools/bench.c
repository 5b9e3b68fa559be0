//  bench.c - zspool bench: how fast this disk makes a device, by the timing model and as measured
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The model: a message is cached in t1 and stored in t2. Under sync and transaction it is
//  forwarded after t = t1 + t2, under async after t = t1. The parts are measured alone (trial.c),
//  then a device as a whole.

#include "bench_result.h"
#include "command.h"
#include "scratch.h"
#include "stop.h"
#include "text.h"
#include "trial.h"
#include "tune.h"
#include "zspool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECONDS_MIN 0.01
#define SECONDS_MAX 3600
#define SIZES_USUAL "100,1K,16K"

static const char s_help [] =
    "usage: zspool bench [options]\n"
    "\n"
    "Measures on your disk how long it takes to cache a message (t1) and to store it (t2), for\n"
    "each durability and several sizes; prints what t = t1 + t2 (sync, transaction) or t = t1\n"
    "(async) predicts beside what a device on this machine then does, and what follows from it.\n"
    "All it writes is in a directory of its own, which it removes.\n"
    "\n"
    "  --store DIR        make that directory in DIR, on the disk to measure (default: here)\n"
    "  --sizes LIST       sizes of messages, bytes, with commas (default 100,1K,16K)\n"
    "  --seconds S        each of some ten measurements per size takes so long (default 1)\n"
    "  --json             print a JSON object\n"
    "  --help, --version  print this text or the version, and exit\n";

enum { OPTION_STORE = 256, OPTION_SIZES, OPTION_SECONDS, OPTION_JSON };

static const struct option s_options [] = {
    { "store", required_argument, NULL, OPTION_STORE },
    { "sizes", required_argument, NULL, OPTION_SIZES },
    { "seconds", required_argument, NULL, OPTION_SECONDS },
    { "json", no_argument, NULL, OPTION_JSON },
    COMMAND_OPTIONS_END
};

//  ------------------------------------------------------------------------------------------------
//  Options

//  Take a list of sizes apart.
static void
s_parse_sizes (bench_t *self)
{
    self->results_count = 0;
    char *save = NULL;
    for (char *size = strtok_r (optarg, ",", &save); size; size = strtok_r (NULL, ",", &save)) {
        if (self->results_count == BENCH_SIZES_MAX)
            command_usage ("--sizes takes at most %d sizes", BENCH_SIZES_MAX);
        optarg = size;
        self->results [self->results_count++].size = command_size (TRIAL_SIZE_MIN, TRIAL_SIZE_MAX);
    }
    if (self->results_count == 0)
        command_usage ("--sizes needs a size");
}

static void
s_parse_seconds (bench_t *self)
{
    char *end;
    self->seconds = strtod (optarg, &end);
    bool is_number = *optarg >= '0' && *optarg <= '9' && !*end; //  no blank, sign, inf or nan before it
    if (!is_number || !(self->seconds >= SECONDS_MIN && self->seconds <= SECONDS_MAX))
        command_usage ("--seconds takes a number from %g to %d, not '%s'", SECONDS_MIN, SECONDS_MAX,
                       optarg);
}

static void
s_parse (bench_t *self, int argc, char **argv)
{
    static char usual [] = SIZES_USUAL;
    optarg = usual;
    s_parse_sizes (self);
    int option;
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        switch (option) {
        case OPTION_STORE: self->place = command_text (); break;
        case OPTION_SIZES: s_parse_sizes (self); break;
        case OPTION_SECONDS: s_parse_seconds (self); break;
        default: self->json = true;
        }
    if (optind < argc)
        command_usage ("unexpected argument '%s'", argv [optind]);
}

//  ------------------------------------------------------------------------------------------------
//  Measuring

//  Say what is being measured, on a terminal.
static void
s_progress (const char *what, size_t size)
{
    if (isatty (STDERR_FILENO) && what)
        fprintf (stderr, "\rmeasuring %s, %zu bytes\033[K", what, size);
    else if (isatty (STDERR_FILENO))
        fputs ("\r\033[K", stderr);
}

//  The parts of the model for one size
static int
s_measure_parts (const trial_t *trial, bench_result_t *result)
{
    result->block_messages = trial_block_messages (trial->size);
    s_progress ("t1", trial->size);
    if (trial_cache (trial, 1, &result->t1)
        || trial_cache (trial, result->block_messages, &result->t1_block))
        return -1;
    for (bench_strategy_t index = BENCH_SYNC; index < BENCH_STRATEGIES; index++) {
        bench_measured_t *measured = &result->strategies [index];
        if (index == BENCH_ASYNC)
            continue;
        s_progress ("t2", trial->size);
        if (trial_store (trial, 1, index == BENCH_TRANSACTION, &measured->t2)
            || trial_store (trial, result->block_messages, index == BENCH_TRANSACTION,
                            &measured->t2_block))
            return -1;
    }
    return 0;
}

//  What the model says, from the parts. Under async nobody waits for t2, but all is to be stored
//  all the same: a stream is as fast as the slower of both, which go on at the same time.
static void
s_predict (bench_result_t *result)
{
    double stored_us = result->strategies [BENCH_SYNC].t2_block.p50;
    for (bench_strategy_t index = BENCH_SYNC; index < BENCH_STRATEGIES; index++) {
        bench_measured_t *measured = &result->strategies [index];
        double block_us = result->t1_block.p50 + measured->t2_block.p50;
        if (index == BENCH_ASYNC && block_us < stored_us)
            block_us = stored_us;
        measured->predicted_us = result->t1.p50 + measured->t2.p50;
        measured->predicted_rate = block_us > 0? result->block_messages * 1e6 / block_us: 0;
    }
}

static int
s_measure (bench_t *self)
{
    for (size_t index = 0; index < self->results_count; index++) {
        bench_result_t *result = &self->results [index];
        trial_t trial = { self->directory, result->size, self->seconds };
        if (s_measure_parts (&trial, result))
            return -1;
        s_predict (result);
        for (bench_strategy_t strategy = BENCH_SYNC; strategy < BENCH_STRATEGIES; strategy++) {
            s_progress (bench_strategy_names [strategy], result->size);
            if (trial_device (&trial, bench_strategy_names [strategy],
                              &result->strategies [strategy].device))
                return -1;
        }
    }
    return 0;
}

//  Make the directory, measure, remove it whatever happened.
static int
s_run (bench_t *self)
{
    if (scratch_new (self->place, self->directory, sizeof self->directory))
        return COMMAND_FAILED;
    self->in_memory = scratch_is_in_memory (self->directory);
    if (self->in_memory)
        command_report ("%s is in memory, not on a disk: what follows says nothing about one",
                        self->place);
    int rc = s_measure (self);
    s_progress (NULL, 0);
    int removed = scratch_remove (self->directory);
    if (stop_requested ())
        command_report ("interrupted");
    if (rc || removed || stop_requested ())
        return COMMAND_FAILED;
    if (self->json)
        bench_print_json (self);
    else
        bench_print_table (self);
    return COMMAND_OK;
}

int
bench_main (int argc, char **argv)
{
    bench_t *self = (bench_t *) calloc (1, sizeof *self);
    if (!self) {
        command_report ("out of memory");
        return COMMAND_FAILED;
    }
    self->place = ".";
    self->seconds = 1;
    s_parse (self, argc, argv);
    tune_process ();
    zsys_set_logstream (stderr);
    int status = s_run (self);
    free (self);
    return status;
}
