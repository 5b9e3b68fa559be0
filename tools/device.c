//  device.c - what zspool queue, stream and run share: they run devices until a signal comes
//
//  SPDX-License-Identifier: MPL-2.0

#include "device.h"
#include "command.h"
#include "stop.h"
#include "tune.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { OPTION_IN = 256, OPTION_OUT, OPTION_STORE, OPTION_FEED, OPTION_SERVICE, OPTION_DEVICE, OPTION_VERBOSE };

//  Options of the device go to it by their name.
static const struct option s_options [] = {
    { "store", required_argument, NULL, OPTION_STORE },
    { "in", required_argument, NULL, OPTION_IN },
    { "out", required_argument, NULL, OPTION_OUT },
    { "feed", required_argument, NULL, OPTION_FEED },
    { "feed-sub", required_argument, NULL, OPTION_FEED },
    { "feed-ack", required_argument, NULL, OPTION_DEVICE },
    { "feed-start", required_argument, NULL, OPTION_DEVICE },
    { "start", required_argument, NULL, OPTION_DEVICE },
    { "in-type", required_argument, NULL, OPTION_DEVICE },
    { "topic", required_argument, NULL, OPTION_DEVICE },
    { "out-type", required_argument, NULL, OPTION_DEVICE },
    { "out-filter", required_argument, NULL, OPTION_DEVICE },
    { "hold", required_argument, NULL, OPTION_DEVICE },
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
    { "keep-age", required_argument, NULL, OPTION_DEVICE },
    { "keep-bytes", required_argument, NULL, OPTION_DEVICE },
    { "keep-count", required_argument, NULL, OPTION_DEVICE },
    { "keep-unacked", required_argument, NULL, OPTION_DEVICE },
    { "max-bytes", required_argument, NULL, OPTION_DEVICE },
    { "on-full", required_argument, NULL, OPTION_DEVICE },
    { "max-message-size", required_argument, NULL, OPTION_DEVICE },
    { "max-frames", required_argument, NULL, OPTION_DEVICE },
    { "service", required_argument, NULL, OPTION_SERVICE },
    { "service-spool", required_argument, NULL, OPTION_DEVICE },
    { "service-admin", required_argument, NULL, OPTION_DEVICE },
    { "map", required_argument, NULL, OPTION_DEVICE },
    { "verbose", no_argument, NULL, OPTION_VERBOSE },
    COMMAND_OPTIONS_END
};

typedef struct {
    const char *kind;      //  of the device, and name of the command
    const char *help;
    zspool_device_t *device;
    bool verbose;
} self_t;

//  ------------------------------------------------------------------------------------------------
//  Options

int
device_set_defaults (zspool_device_t *device, const char *kind)
{
    //  A queue's are those of the library.
    static const char *const stream [] [2] = { { "in-type", "sub" },
                                               { "out-type", "pub" },
                                               { "keep-age", "7d" },
                                               { "keep-count", "unlimited" } };
    if (strcmp (kind, "queue") == 0)
        return ZSPOOL_OK;
    int rc = strcmp (kind, "stream") == 0? ZSPOOL_OK: ZSPOOL_ENOENT;
    for (size_t index = 0; rc == ZSPOOL_OK && index < sizeof stream / sizeof stream [0]; index++)
        rc = zspool_device_set (device, stream [index] [0], stream [index] [1]);
    return rc;
}

//  What it cannot do without; exits when that is missing.
static void
s_require (self_t *self, bool given, const char *name)
{
    if (!given)
        command_usage ("--%s is missing (see zspool %s --help)", name, self->kind);
}

//  Set the options; exits when the device refuses one, or one is missing.
static void
s_parse (self_t *self, int argc, char **argv)
{
    bool store = false, in = false, out = false, service = false;
    int option;
    while ((option = command_option (argc, argv, s_options, self->help)) != -1) {
        if (option == OPTION_VERBOSE) {
            self->verbose = true;
            continue;
        }
        if (zspool_device_set (self->device, command_option_name (), optarg) != ZSPOOL_OK)
            command_usage ("--%s", zspool_device_reason (self->device));
        store = store || option == OPTION_STORE;
        service = service || option == OPTION_SERVICE;
        in = in || option == OPTION_IN;
        out = out || option == OPTION_OUT || option == OPTION_FEED;
    }
    if (optind < argc)
        command_usage ("unexpected argument '%s'", argv [optind]);
    s_require (self, store, "store");
    s_require (self, in || service, "in");
    s_require (self, out || service, "out");
}

//  ------------------------------------------------------------------------------------------------
//  Running

//  Tell an endpoint in use, if there is one.
static void
s_report_endpoint (const char *what, const char *name, const char *endpoint)
{
    if (endpoint && *endpoint)
        command_report ("%s%s%s %s", what, *name? " ": "", name, endpoint);
}

static void
s_report_endpoints (self_t *self)
{
    s_report_endpoint ("in", "", zspool_device_in (self->device));
    s_report_endpoint ("out", "", zspool_device_out (self->device));
    s_report_endpoint ("ack-in", "", zspool_device_ack_in (self->device));
    s_report_endpoint ("service", "", zspool_device_service (self->device));
    zconfig_t *status = zspool_device_status (self->device);
    zconfig_t *feeds = status? zconfig_locate (status, "feed"): NULL;
    for (zconfig_t *feed = feeds? zconfig_child (feeds): NULL; feed; feed = zconfig_next (feed)) {
        s_report_endpoint ("feed", zconfig_name (feed), zconfig_get (feed, "endpoint", ""));
        s_report_endpoint ("ack-in of feed", zconfig_name (feed), zconfig_get (feed, "ack_in", ""));
    }
    zconfig_destroy (&status);
}

//  One line: the state, then names and values as the device has them.
static void
s_report_status (self_t *self)
{
    static const char *const names [] = { "store/full", "store/waiting", "in/messages", "in/dropped",
                                          "out/sent",   "out/resent",    "out/floor",   "out/in_flight",
                                          "out/lagged", "out/peers" };
    zconfig_t *status = zspool_device_status (self->device);
    if (!status)
        return;
    char line [512] = "";
    size_t used = 0;
    for (size_t index = 0; index < sizeof names / sizeof names [0] && used < sizeof line; index++) {
        const char *value = zconfig_get (status, names [index], NULL);
        if (value)
            used += (size_t) snprintf (line + used, sizeof line - used, ", %s %s", names [index],
                                       value);
    }
    command_report ("%s%s", zconfig_get (status, "state", "?"), line);
    zconfig_destroy (&status);
}

//  Wait for a signal or the device's failure; a failure is reported.
static int
s_watch (self_t *self)
{
    zmq_pollitem_t items [] = { { NULL, stop_fd (), ZMQ_POLLIN, 0 },
                                { zsock_resolve (zspool_device_socket (self->device)), 0,
                                  ZMQ_POLLIN, 0 } };
    while (true) {
        int found = zmq_poll (items, 2, self->verbose? DEVICE_STATUS_MS: -1);
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
s_run (self_t *self)
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
device_main (const char *kind, const char *help, int argc, char **argv)
{
    self_t self = { .kind = kind, .help = help, .device = zspool_device_new () };
    if (!self.device || device_set_defaults (self.device, kind) != ZSPOOL_OK) {
        command_report ("out of memory");
        zspool_device_destroy (&self.device);
        return COMMAND_FAILED;
    }
    tune_process ();
    zsys_set_logstream (stderr);
    s_parse (&self, argc, argv);
    int status = s_run (&self);
    zspool_device_destroy (&self.device);
    return status;
}
