//  pub.c - zspool pub: publishes lines, a file or made-up messages
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The socket is an XPUB, which tells of subscriptions and need not drop anything.

#include "push.h"

static const char s_help [] =
    "usage: zspool pub ENDPOINT [TOPIC] [options]\n"
    "\n"
    "Publishes each line of standard input as a message, with TOPIC as a frame before\n"
    "it. ENDPOINT is connected to, or bound to if it begins with @; several are\n"
    "separated by commas. Waits for subscribers that are behind. Exit status 0: every\n"
    "message has reached those who had subscribed to it, over connections that held.\n"
    "\n"
    "  --subscribers N    wait until there are N subscriptions before the first\n"
    "                     message (default 1; 0: do not wait)\n"
    "  --drop             wait for nobody: a subscriber that is behind loses messages\n"
    "  --file FILE        read FILE, not standard input\n"
    "  --whole            send the whole input as one message\n"
    "  --separator BYTES  split each line into frames at BYTES; knows \\t \\0 \\\\ \\xHH\n"
    "  --format FORMAT    text (default): lines are sent as they are\n"
    "                     hex: a line holds frames as hex digits, a blank between\n"
    "  --count N          read nothing: make N messages, each a number and letters\n"
    "  --size BYTES       size of each (default 100)\n"
    "  --rate N           send at most N messages a second\n"
    "  --hwm N            high-water mark, messages (default 1000)\n"
    "  --timeout MS       give up when a subscriber takes no message for that long, or\n"
    "                     too few subscribe\n"
    "  --linger MS        give up when at the end not all is sent after that long\n"
    "                     (default: --timeout, or never)\n"
    "  --verbose          tell when peers come and go, and sum up at the end\n"
    "  --help, --version  print this text or the version, and exit\n";

static const struct option s_options [] = {
    PUSH_OPTIONS,
    SENDING_OPTIONS_PUB,
    { "drop", no_argument, NULL, SENDING_DROP },
    COMMAND_OPTIONS_END
};

int
pub_main (int argc, char **argv)
{
    push_t pub = push_new (ZMQ_XPUB);
    int option;
    while ((option = command_option (argc, argv, s_options, s_help)) != -1)
        push_option (&pub, option);
    if (argc - optind == 2)
        pub.source_options.topic = argv [--argc];
    pub.sending.wire_options.endpoints = command_operand (argc, argv, "the endpoint");
    push_check_options (&pub);
    return push_run (&pub);
}
