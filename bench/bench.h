//  bench.h - what the benchmark programs share: clock, options, sockets, percentiles
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Everything here ends the program when it fails, with one line on standard error: exit 2 for a
//  bad command line, exit 1 for the world.

#ifndef BENCH_H_INCLUDED
#define BENCH_H_INCLUDED

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#define BENCH_HWM 1000                       //  default high-water mark of every socket, messages
#define BENCH_WAIT_MS 100                    //  longest a call blocks before a look at the clock
#define BENCH_CLOCK_EVERY 16                 //  messages between two looks at the clock
#define BENCH_NUMBER_BYTES sizeof (uint64_t) //  each message starts with its number, from 1,
#define BENCH_PRODUCER_SHIFT 48              //  and above these bits the number of its producer
#define BENCH_PRODUCERS_MAX 64
#define BENCH_SIZE_MAX (128 * 1024 * 1024)   //  largest message, bytes

//  Monotonic time in nanoseconds
static inline int64_t
bench_now_ns (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

//  Print one line and exit
__attribute__ ((format (printf, 2, 3), noreturn)) static inline void
bench_fail (int status, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    fprintf (stderr, "%s: ", program_invocation_short_name);
    vfprintf (stderr, format, args);
    fputc ('\n', stderr);
    va_end (args);
    exit (status);
}

//  The number in an option's value
static inline double
bench_option (const char *name, const char *text, double min, double max)
{
    char *end;
    double value = strtod (text, &end);
    if (end == text || *end || !(value >= min && value <= max))
        bench_fail (2, "--%s takes a number from %.15g to %.15g, not '%s'", name, min, max, text);
    return value;
}

//  Set an integer option of a socket
static inline void
bench_set (void *socket, int option, int value)
{
    if (zmq_setsockopt (socket, option, &value, sizeof value))
        bench_fail (1, "socket option %d: %s", option, zmq_strerror (errno));
}

//  One of two words
static inline bool
bench_choice (const char *name, const char *text, const char *no, const char *yes)
{
    if (strcmp (text, no) != 0 && strcmp (text, yes) != 0)
        bench_fail (2, "--%s takes %s or %s, not '%s'", name, no, yes, text);
    return strcmp (text, yes) == 0;
}

//  A socket with its high-water marks set, neither bound nor connected
static inline void *
bench_socket_new (void *context, int type, int hwm)
{
    void *socket = zmq_socket (context, type);
    if (!socket)
        bench_fail (1, "no socket: %s", zmq_strerror (errno));
    bench_set (socket, ZMQ_SNDHWM, hwm);
    bench_set (socket, ZMQ_RCVHWM, hwm);
    return socket;
}

//  As in CZMQ, `@` before an endpoint binds, `>` or none connects
static inline void
bench_attach (void *socket, const char *endpoint)
{
    const char *address = endpoint + (*endpoint == '@' || *endpoint == '>');
    int rc = *endpoint == '@' ? zmq_bind (socket, address) : zmq_connect (socket, address);
    if (rc)
        bench_fail (1, "%s: %s", endpoint, zmq_strerror (errno));
}

//  Both
static inline void *
bench_socket (void *context, int type, int hwm, const char *endpoint)
{
    void *socket = bench_socket_new (context, type, hwm);
    bench_attach (socket, endpoint);
    return socket;
}

//  Wait until the message with this number is due, when `rate` of them are due a second
static inline void
bench_pace (uint64_t number, double rate, int64_t start_ns)
{
    int64_t early_ns = start_ns + (int64_t) ((double) number * 1e9 / rate) - bench_now_ns ();
    if (early_ns > 0)
        nanosleep (&(struct timespec) {early_ns / 1000000000, early_ns % 1000000000}, NULL);
}

static inline int
bench_compare (const void *left, const void *right)
{
    double a = *(const double *) left, b = *(const double *) right;
    return (a > b) - (a < b);
}

//  The value below which a share of the values lies (0.5 is the median); sorts them. There must be
//  some.
static inline double
bench_percentile (double *values, size_t count, double share)
{
    qsort (values, count, sizeof *values, bench_compare);
    size_t index = (size_t) (share * (double) count);
    return values [index < count ? index : count - 1];
}

#endif
