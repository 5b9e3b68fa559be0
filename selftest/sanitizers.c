//  sanitizers.c - the sanitizers' settings, for this program and for the commands that tests start
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The runtimes call these functions at their start, and tests find the same in the environment. In
//  an ordinary build nobody asks.

#include "runner.h"

#include <stdlib.h>

const char *
    __asan_default_options (void);
const char *
    __tsan_default_options (void);
const char *
    __ubsan_default_options (void);

const char *
__asan_default_options (void)
{
    return "detect_leaks=1";
}

const char *
__tsan_default_options (void)
{
    return "suppressions='" SELFTEST_SRCDIR "/selftest/tsan.supp'";
}

const char *
__ubsan_default_options (void)
{
    return "print_stacktrace=1";
}

void
selftest_export_sanitizer_options (void)
{
    setenv ("ASAN_OPTIONS", __asan_default_options (), 0);
    setenv ("TSAN_OPTIONS", __tsan_default_options (), 0);
    setenv ("UBSAN_OPTIONS", __ubsan_default_options (), 0);
}
