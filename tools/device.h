//  device.h - what zspool queue, stream and run share: they run devices until a signal comes
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef DEVICE_H_INCLUDED
#define DEVICE_H_INCLUDED

#include "zspool.h"

#define DEVICE_STATUS_MS 1000 //  how often --verbose tells the status

//  The part of the help that queue and stream have. The defaults that differ: in-type, out-type, keep-age,
//  keep-count.
#define DEVICE_HELP(in_type, out_type, keep_age, keep_count)                                       \
    "  --name SPOOL          spool in the store (default main)\n"                                  \
    "  --in-type TYPE        pull: from PUSH peers; sub: from PUB peers (default " in_type ")\n"   \
    "  --topic PREFIX        sub: subscribe to this (default: all); may be repeated\n"             \
    "  --out-type TYPE       push: to PULL peers; pub: to SUB peers (default " out_type ")\n"      \
    "  --out-filter FILTER   send only such messages to --out; may be repeated\n"                  \
    "  --hold N              pub: begin when N subscriptions are there (default 0)\n"              \
    "  --feed NAME=ENDPOINT[,FILTER...]\n"                                                         \
    "                        send all, or such messages, to PULL peers, too: each once,\n"         \
    "                        and those that come while no peer is there, later\n"                  \
    "  --feed-sub NAME=ENDPOINT[,FILTER...]\n"                                                     \
    "                        the same for one SUB peer\n"                                          \
    "  --feed-ack NAME=POLICY[,ENDPOINT]\n"                                                        \
    "                        the feed's own --ack and --ack-in\n"                                  \
    "  --feed-start NAME=START\n"                                                                  \
    "                        the feed's own --start\n"                                             \
    "  --start START         where a new feed begins: new (default), all, last:N, a\n"             \
    "                        sequence, a time, or an age such as -1h\n"                            \
    "  --durability KIND     sync (default): forward after the commit\n"                           \
    "                        async: forward at once, commit soon after\n"                          \
    "                        transaction: as sync\n"                                               \
    "  --commit-interval MS  async: from arrival to commit (default 10)\n"                         \
    "  --ack POLICY          when a message is acknowledged:\n"                                    \
    "                        settled (default): sent, and no peer has left for a while\n"          \
    "                        sent: taken by ZeroMQ for a connected peer; pub: always\n"            \
    "                        explicit: the peer has sent its ticket to --ack-in\n"                 \
    "  --settle MS           settled: the while (default 5000)\n"                                  \
    "  --pipe-depth SIZE     settled: bytes that a peer can hold (default 8M)\n"                   \
    "  --ack-in ENDPOINT     explicit: where tickets come in\n"                                    \
    "  --ack-timeout MS      explicit, service: send again what is not acknowledged by\n"          \
    "                        then (default 30000)\n"                                               \
    "  --max-deliveries N    explicit, service: after so many deliveries a message moves\n"        \
    "                        to the dead letters (default 0: never; see zspool dead)\n"            \
    "  --keep-age DURATION   remove messages that are older (default " keep_age ")\n"              \
    "  --keep-bytes SIZE     remove the oldest beyond so many bytes (default unlimited)\n"         \
    "  --keep-count N        remove the oldest beyond so many (default " keep_count ")\n"          \
    "  --keep-unacked WHAT   on (default): but none that is not acknowledged; off: these, too\n"   \
    "  --service ENDPOINT    where producers and consumers speak ZSP (see zspool put, get)\n"        \
    "  --service-spool SPOOL  the service serves this (default: all); may be repeated\n"           \
    "  --service-admin WHAT  on: its clients may purge, and delete cursors (default off)\n"         \
    "  --max-bytes SIZE      the most the spool may hold (default: no limit)\n"                    \
    "  --on-full WHAT        pause (default): hold the producers when it holds that\n"             \
    "                        drop-oldest: remove its oldest messages\n"                            \
    "  --max-message-size SIZE  drop larger messages (default 128M)\n"                             \
    "  --max-frames N        drop messages with more frames (default 65535)\n"                     \
    "  --hwm N               high-water mark of the sockets, messages (default 1000)\n"            \
    "  --map SIZE            the most the store can hold (default 1T)\n"                           \
    "  --verbose             tell the endpoints, and the status every second\n"                    \
    "  --help, --version     print this text or the version, and exit\n"                           \
    "\n"                                                                                           \
    "SIZE is in bytes; a suffix K, M, G or T multiplies it by 1024, 1024^2, ...\n"                 \
    "DURATION is in milliseconds, or has a suffix ms, s, m, h or d.\n"                             \
    "FILTER is a prefix of a message's first frame, or, with * or # among its tokens,\n"           \
    "which dots separate, a pattern of it: * is one token, # any number.\n"

//  Set the defaults of a kind of device, "queue" or "stream". ENOENT: there is no such kind.
int
    device_set_defaults (zspool_device_t *device, const char *kind);

//  Run the command that is called like the kind of its device; returns an exit status.
int
    device_main (const char *kind, const char *help, int argc, char **argv);

#endif
