//  queue.c - zspool queue: a durable PULL -> PUSH device
//
//  SPDX-License-Identifier: MPL-2.0

#include "command.h"
#include "device.h"

static const char s_help [] =
    "usage: zspool queue --store DIR [--in ENDPOINT] [--out ENDPOINT] [options]\n"
    "\n"
    "Takes messages from PUSH peers, stores them in DIR, forwards them to PULL peers,\n"
    "and after a restart replays what was not acknowledged. Prints `ready` when\n"
    "producers can send. SIGINT or SIGTERM end it in good order, a second one at once.\n"
    "Endpoints are bound to, or connected to if they begin with >. With a feed --out is\n"
    "not needed, with a service neither.\n"
    "\n" DEVICE_HELP ("pull", "push", "unlimited", "0");

int
queue_main (int argc, char **argv)
{
    return device_main ("queue", s_help, argc, argv);
}
