//  queue.c - zspool queue: a durable PULL -> PUSH device
//
//  SPDX-License-Identifier: MPL-2.0

#include "command.h"
#include "stop.h"
#include "tune.h"
#include "zspool.h"

#include <errno.h>
#include <stdio.h>

#define QUEUE_STATUS_MS 1000 //  how often --verbose tells the status

static const char s_help [] =
    "usage: zspool queue --store DIR --in ENDPOINT --out ENDPOINT [options]\n"
    "\n"
    "Takes messages from PUSH peers, stores them in DIR, forwards them to PULL peers,\n"
    "and after a restart replays what was not acknowledged. Prints `ready` when\n"
    "producers can send. SIGINT or SIGTERM end it in good order, a second one at once.\n"
    "Endpoints are bound to, or connected to if they begin with >.\n"
    "\n"
    "  --name SPOOL          spool in the store (default main)\n"
    "  --durability KIND     sync (default): forward after the commit\n"
    "                        async: forward at once, commit soon after\n"
    "                        transaction: as sync\n"
    "  --commit-interval MS  async: from arrival to commit (default 10)\n"
    "  --ack POLICY          when a message is acknowledged:\n"
    "                        settled (default): sent, and no peer has left for a while\n"
    "                        sent: taken by ZeroMQ for a connected peer\n"
    "                        explicit: the peer has sent its ticket to --ack-in\n"
    "  --settle MS           settled: the while (default 5000)\n"
    "  --pipe-depth SIZE     settled: bytes that a peer can hold (default 8M)\n"
    "  --ack-in ENDPOINT     explicit: where tickets come in\n"
    "  --ack-timeout MS      explicit: send again what is not acknowledged by then\n"
    "                        (default 30000)\n"
    "  --max-deliveries N    explicit: after so many deliveries a message moves to the\n"
    "                        spool of dead letters (default 0: never; see zspool dead)\n"
    "  --max-bytes SIZE      the most the spool may hold (default: no limit)\n"
    "  --on-full WHAT        pause (default): hold the producers when it holds that\n"
    "                        drop-oldest: remove its oldest messages\n"
    "  --max-message-size SIZE  drop larger messages (default 128M)\n"
    "  --max-frames N        drop messages with more frames (default 65535)\n"
    "  --hwm N               high-water mark of both sockets, messages (default 1000)\n"
    "  --map SIZE            the most the store can hold (default 1T)\n"
    "  --verbose             tell the endpoints, and the status every second\n"
    "  --help, --version     print this text or the version, and exit\n"
    "\n"
    "SIZE is in bytes; a suffix K, M, G or T multiplies it by 1024, 1024^2, ...\n";

enum {
    OPTION_STORE,
    OPTION_IN,
    OPTION_OUT,
    REQUIRED_OPTIONS, //  the number of those
    OPTION_DEVICE = 256,
    OPTION_VERBOSE
};

//  Options of the device go to it by their name. Those that are required come first.
static const struct option s_options [] = {
    { "store", required_argument, NULL, OPTION_STORE },
    { "in", required_argument, NULL, OPTION_IN },
    { "out", required_argument, NULL, OPTION_OUT },
    { "name", required_argument, NULL, OPTION_DEVICE },
    { "durability", required_argument, NULL, OPTION_DEVICE },
    { "commit-interval", required_argument, NULL, OPTION_DEVICE },
    { "ack", required_argument, NULL, OPTION_DEVICE },
    { "ack-in", required_argument, NULL, OPTION_DEVICE },
    { "ack-timeout", required_argument, NULL, OPTION_DEVICE },
    { "max-deliveries", required_argument, NULL, OPTION_DEVICE },
    { "settle", required_argument, NULL, OPTION_DEVICE },
    { "pipe-depth", required_argument, NULL, OPTION_DEVICE },
    { "hwm", required_argument, NULL, OPTION_DEVICE },
    { "max-bytes", required_argument, NULL, OPTION_DEVICE },
    { "on-full", required_argument, NULL, OPTION_DEVICE },
    { "max-message-size", required_argument, NULL, OPTION_DEVICE },
    { "max-frames", required_argument, NULL, OPTION_DEVICE },
    { "map", required_argument, NULL, OPTION_DEVICE },
    { "verbose", no_argument, NULL, OPTION_VERBOSE },
    COMMAND_OPTIONS_END
};

typedef struct {
    zspool_device_t *device;
    bool verbose;
} queue_t;

//  Set the options; exits when the device refuses one, or one is missing.
static void
s_parse (queue_t *self, int argc, char **argv)
{
    bool given [REQUIRED_OPTIONS] = { false };
    int option;
    while ((option = command_option (argc, argv, s_options, s_help)) != -1) {
        if (option == OPTION_VERBOSE) {
            self->verbose = true;
            continue;
        }
        if (zspool_device_set (self->device, command_option_name (), optarg) != ZSPOOL_OK)
            command_usage ("--%s", zspool_device_reason (self->device));
        if (option < REQUIRED_OPTIONS)
            given [option] = true;
    }
    if (optind < argc)
        command_usage ("unexpected argument '%s'", argv [optind]);
    for (size_t index = 0; index < REQUIRED_OPTIONS; index++)
        if (!given [index])
            command_usage ("--%s is missing (see zspool queue --help)", s_options [index].name);
}

static void
s_report_endpoints (queue_t *self)
{
    const char *ack_in = zspool_device_ack_in (self->device);
    command_report ("in %s, out %s%s%s", zspool_device_in (self->device),
                    zspool_device_out (self->device), ack_in? ", ack-in ": "",
                    ack_in? ack_in: "");
}

//  One line: the state, then names and values as the device has them.
static void
s_report_status (queue_t *self)
{
    static const char *const names [] = { "store/full", "store/waiting", "in/messages", "in/dropped",
                                          "out/sent",   "out/resent",    "out/floor",   "out/in_flight",
                                          "out/lagged", "out/peers" };
    zconfig_t *status = zspool_device_status (self->device);
    if (!status)
        return;
    char line [512] = "";
    size_t used = 0;
    for (size_t index = 0; index < sizeof names / sizeof names [0] && used < sizeof line; index++)
        used += (size_t) snprintf (line + used, sizeof line - used, ", %s %s", names [index],
                                   zconfig_get (status, names [index], "?"));
    command_report ("%s%s", zconfig_get (status, "state", "?"), line);
    zconfig_destroy (&status);
}

//  Wait for a signal or the device's failure; a failure is reported.
static int
s_watch (queue_t *self)
{
    zmq_pollitem_t items [] = { { NULL, stop_fd (), ZMQ_POLLIN, 0 },
                                { zsock_resolve (zspool_device_socket (self->device)), 0,
                                  ZMQ_POLLIN, 0 } };
    while (true) {
        int found = zmq_poll (items, 2, self->verbose? QUEUE_STATUS_MS: -1);
        if (found < 0 && zmq_errno () != EINTR) {
            command_report ("cannot wait: %s", zmq_strerror (zmq_errno ()));
            return COMMAND_FAILED;
        }
        if (found > 0 && items [1].revents) {
            command_report ("%s", zspool_device_reason (self->device));
            return COMMAND_FAILED;
        }
        if (self->verbose)
            s_report_status (self);
        if (stop_requested ())
            return COMMAND_OK;
    }
}

static int
s_run (queue_t *self)
{
    int rc = zspool_device_start (self->device);
    if (rc != ZSPOOL_OK) {
        command_report ("%s", zspool_device_reason (self->device));
        return rc == ZSPOOL_EINVAL? COMMAND_USAGE: COMMAND_FAILED;
    }
    if (self->verbose)
        s_report_endpoints (self);
    puts ("ready");
    if (command_flush () != 0)
        return COMMAND_FAILED;
    int status = s_watch (self);
    if (zspool_device_stop (self->device) != ZSPOOL_OK && status == COMMAND_OK) {
        command_report ("%s", zspool_device_reason (self->device));
        status = COMMAND_FAILED;
    }
    return status;
}

int
queue_main (int argc, char **argv)
{
    queue_t queue = { .device = zspool_device_new () };
    if (!queue.device) {
        command_report ("out of memory");
        return COMMAND_FAILED;
    }
    tune_process ();
    zsys_set_logstream (stderr);
    s_parse (&queue, argc, argv);
    int status = s_run (&queue);
    zspool_device_destroy (&queue.device);
    return status;
}
