//  sub.c - zspool sub: subscribes, and prints messages
//
//  SPDX-License-Identifier: MPL-2.0
//
//  ZeroMQ knows prefixes only: of a pattern its literal beginning is subscribed to, and what comes
//  is filtered here.

#include "filters.h"
#include "pull.h"

#include <stdlib.h>

static const char s_help [] =
    "usage: zspool sub ENDPOINT [FILTER...] [options]\n"
    "\n"
    "Subscribes, and prints each message that comes, one a line. ENDPOINT is connected\n"
    "to, or bound to if it begins with @; several are separated by commas. A FILTER is\n"
    "how the first frame begins, or a pattern of tokens with dots between, where *\n"
    "stands for one token and # for any number; without any, all messages are taken.\n"
    "\n"
    "  --count N          stop after N messages\n"
    "  --timeout MS       stop when none came for that long; exit status 1 if fewer\n"
    "                     than --count came\n"
    "  --format FORMAT    text (default): frames as they are, a separator between\n"
    "                     hex: frames as hex digits, a blank between\n"
    "                     raw: nothing but the bytes of the frames\n"
    "  --separator BYTES  for text (default: a tab); knows \\t \\n \\r \\0 \\\\ \\xHH\n"
    "  --output FILE      append to FILE, do not write to standard output\n"
    "  --quiet            print only the number of messages, at the end\n"
    "  --delay MS         rest after each message, to try out a slow subscriber\n"
    "  --hwm N            high-water mark, messages (default 1000)\n"
    "  --verbose          tell when peers come and go, and sum up at the end\n"
    "  --help, --version  print this text or the version, and exit\n";

static const struct option s_options [] = { PULL_OPTIONS, COMMAND_OPTIONS_END };

//  Turn filters into what is subscribed to, and into the filter that sorts out the rest; the latter
//  is destroyed when ZeroMQ does it all. False when memory is out; exits when one is no filter.
static bool
s_compile (char **filters, size_t count, zspool_frame_t *topics, zspool_filter_t **filter_p)
{
    bool pattern = false;
    for (size_t index = 0; index < count; index++) {
        if (!filters_add (*filter_p, filters [index]))
            return false;
        topics [index].data = filters [index];
        topics [index].size = filters_literal_bytes (filters [index], &pattern);
    }
    if (!pattern)
        zspool_filter_destroy (filter_p);
    return true;
}

static int
s_run (pull_t *sub, char **filters, size_t count)
{
    static char all [] = "", *all_filters [] = { all };
    if (count == 0) {
        filters = all_filters;
        count = 1;
    }
    zspool_frame_t *topics = (zspool_frame_t *) calloc (count, sizeof *topics);
    sub->filter = zspool_filter_new ();
    int status = COMMAND_FAILED;
    if (topics && sub->filter && s_compile (filters, count, topics, &sub->filter)) {
        sub->wire_options.topics = topics;
        sub->wire_options.topic_count = count;
        status = pull_run (sub);
    }
    else
        command_report ("out of memory");
    zspool_filter_destroy (&sub->filter);
    free (topics);
    return status;
}

int
sub_main (int argc, char **argv)
{
    pull_t *sub = pull_new (ZMQ_SUB);
    int option;
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        pull_option (sub, option);
    size_t count = argc > optind + 1? (size_t) (argc - optind - 1): 0;
    sub->wire_options.endpoints = command_operand (argc - (int) count, argv, "the endpoint");
    pull_check_options (sub);
    return s_run (sub, argv + optind + 1, count);
}
