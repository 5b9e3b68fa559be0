//  bench_result.h - what `zspool bench` has measured, and how it is printed
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef BENCH_RESULT_H_INCLUDED
#define BENCH_RESULT_H_INCLUDED

#include "trial.h"

#include <stdbool.h>
#include <stdint.h>

#define BENCH_SIZES_MAX 8
#define BENCH_PATH_BYTES 4096

typedef enum { BENCH_SYNC, BENCH_ASYNC, BENCH_TRANSACTION, BENCH_STRATEGIES } bench_strategy_t;

//  As --durability has them
extern const char *const bench_strategy_names [BENCH_STRATEGIES];

//  One strategy at one size
typedef struct {
    trial_times_t t2;           //  of one message; none under async, where nobody waits for it
    trial_times_t t2_block;     //  of a block
    double predicted_us;        //  t of one message
    double predicted_rate;      //  of a stream, messages a second: a block in its t; under async
                                //  in the longer of t1 and t2
    trial_device_t device;      //  as measured
} bench_measured_t;

//  One size
typedef struct {
    size_t size;                //  of a message, bytes
    uint32_t block_messages;    //  in a stream's block
    trial_times_t t1;           //  of one message
    trial_times_t t1_block;     //  of a block
    bench_measured_t strategies [BENCH_STRATEGIES];
} bench_result_t;

typedef struct {
    const char *place;          //  directory to measure in
    char directory [BENCH_PATH_BYTES]; //  made there
    double seconds;             //  of each measurement
    bool json;
    bool in_memory;             //  the place is on no disk
    size_t results_count;
    bench_result_t results [BENCH_SIZES_MAX];
} bench_t;

void
    bench_print_table (const bench_t *self);
void
    bench_print_json (const bench_t *self);

#endif
