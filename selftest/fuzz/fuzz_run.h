//  fuzz_run.h - feeds any bytes to the check of runs, and uses what it accepts
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef FUZZ_RUN_H_INCLUDED
#define FUZZ_RUN_H_INCLUDED

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  Use one input; ends the process when something does not hold. Returns 0.
int
    fuzz_run (const uint8_t *data, size_t size);

//  Check a run, and compare what comes of that with another way of reading it. One that is accepted
//  is iterated over, and put into blocks. Returns what zspool_run_check () gave.
int
    fuzz_run_check (const uint8_t *run, size_t size, uint32_t count, size_t frames_max, size_t bytes_max,
                    bool with_properties);

#endif
