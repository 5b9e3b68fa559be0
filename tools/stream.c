//  stream.c - zspool stream: a durable SUB -> XPUB device, which keeps a history
//
//  SPDX-License-Identifier: MPL-2.0

#include "command.h"
#include "device.h"

static const char s_help [] =
    "usage: zspool stream --store DIR [--in ENDPOINT] [--out ENDPOINT] [options]\n"
    "\n"
    "Takes what PUB peers publish, stores it in DIR, publishes it to SUB peers, and keeps\n"
    "it for a while: feeds, which are durable readers, and zspool replay read that history.\n"
    "Prints `ready` when publishers can send. SIGINT or SIGTERM end it in good order, a\n"
    "second one at once. Endpoints are bound to, or connected to if they begin with >. With\n"
    "a feed --out is not needed, with a service neither.\n"
    "\n" DEVICE_HELP ("sub", "pub", "7d", "unlimited");

int
stream_main (int argc, char **argv)
{
    return device_main ("stream", s_help, argc, argv);
}
