//  runner.h - runs tests, each in a process, a directory and a time limit of its own
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef RUNNER_H_INCLUDED
#define RUNNER_H_INCLUDED

#include "selftest.h"

#define RUNNER_JOBS_MAX 64

typedef struct {
    unsigned jobs;                     //  tests under way at a time, 1 to RUNNER_JOBS_MAX
    unsigned limit_s;                  //  time limit of every test, seconds; 0: each has its own
    bool verbose;                      //  print what passing tests print, too
} runner_options_t;

//  Run these tests and print, last, the line `N passed, N failed, N skipped`. Returns the program's
//  exit status: 0 when none failed. Must be called before the process has threads.
int
    runner_run (selftest_t *const *tests, size_t count, const runner_options_t *options);

//  Put the sanitizers' settings into the environment, where they are not set.
void
    selftest_export_sanitizer_options (void);

#endif
