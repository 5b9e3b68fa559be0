//  run.c - zspool run: the devices that a ZPL file describes, in one process
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The whole file is read, and every option set, before the first device is started. Devices start
//  and stop in the order of the file: what one forwards to the next when it ends is taken in.

#include "command.h"
#include "device.h"
#include "stop.h"
#include "tune.h"
#include "zspool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RUN_DEVICES_MAX 100 //  most devices of a file

static const char s_help [] =
    "usage: zspool run FILE\n"
    "\n"
    "Runs the devices that FILE describes, all in one process. FILE is ZPL: a section for\n"
    "each device, its options below, four blanks deep, without the dashes:\n"
    "\n"
    "    orders\n"
    "        type = queue\n"
    "        store = /var/lib/orders\n"
    "        in = tcp://127.0.0.1:5555\n"
    "        out = tcp://127.0.0.1:5556\n"
    "\n"
    "The type is queue or stream, and says which defaults hold. Prints `ready` when all\n"
    "run. SIGINT or SIGTERM end them in good order, a second one at once; when one fails\n"
    "the others are ended, too.\n"
    "\n"
    "  --help, --version  print this text or the version, and exit\n";

static const struct option s_options [] = { COMMAND_OPTIONS_END };

typedef struct {
    const char *file;
    zconfig_t *config;
    zspool_device_t *devices [RUN_DEVICES_MAX];
    const char *names [RUN_DEVICES_MAX]; //  of their sections
    size_t count;
} self_t;

//  ------------------------------------------------------------------------------------------------
//  The file

//  Load the file. What CZMQ finds wrong with it, it prints on standard output: that is caught in
//  `said`. NULL when it is not ZPL.
static zconfig_t *
s_load (const char *file, char *said, size_t said_size)
{
    *said = 0;
    FILE *caught = tmpfile ();
    int out = dup (STDOUT_FILENO);
    zconfig_t *config = NULL;
    if (caught && out >= 0 && dup2 (fileno (caught), STDOUT_FILENO) >= 0) {
        //  Not zconfig_load (), which leaks memory when the file is not ZPL.
        zchunk_t *text = zchunk_slurp (file, 0);
        config = text? zconfig_chunk_load (text): NULL;
        zchunk_destroy (&text);
        fflush (stdout);
        dup2 (out, STDOUT_FILENO);
        rewind (caught);
        if (!fgets (said, (int) said_size, caught))
            *said = 0;
    }
    if (out >= 0)
        close (out);
    if (caught)
        fclose (caught);
    return config;
}

//  Read the file; exits when it is not right. Returns COMMAND_OK or COMMAND_FAILED.
static int
s_read (self_t *self)
{
    FILE *file = fopen (self->file, "r");
    int error = file && fgetc (file) == EOF && ferror (file)? errno: 0;
    if (!file || error) {
        command_report ("%s: %s", self->file, strerror (error? error: errno));
        if (file)
            fclose (file);
        return COMMAND_FAILED;
    }
    fclose (file);
    char said [256];
    self->config = s_load (self->file, said, sizeof said);
    if (self->config)
        return COMMAND_OK;
    //  Like: DATE TIME E (zconfig): (LINE) WHAT
    const char *what = strstr (said, "): ");
    said [strcspn (said, "\n")] = 0;
    command_usage ("%s: %s", self->file, what? what + 3: "is not ZPL");
}

//  Make a device of a section; exits when an option is wrong.
static zspool_device_t *
s_new_device (self_t *self, zconfig_t *section)
{
    const char *name = zconfig_name (section), *type = zconfig_get (section, "type", "");
    zspool_device_t *device = zspool_device_new ();
    int rc = device? device_set_defaults (device, type): ZSPOOL_ENOMEM;
    if (rc == ZSPOOL_ENOENT)
        command_usage ("%s: %s: type must be queue or stream", self->file, name);
    if (rc) {
        command_report ("out of memory");
        zspool_device_destroy (&device);
        return NULL;
    }
    for (zconfig_t *option = zconfig_child (section); option; option = zconfig_next (option)) {
        const char *value = zconfig_value (option);
        if (zconfig_child (option))
            command_usage ("%s: %s: %s: an option has a value, and nothing below it", self->file, name,
                           zconfig_name (option));
        if (strcmp (zconfig_name (option), "type") != 0
            && zspool_device_set (device, zconfig_name (option), value? value: "") != ZSPOOL_OK)
            command_usage ("%s: %s: %s", self->file, name, zspool_device_reason (device));
    }
    return device;
}

//  Make a device of each section. Returns COMMAND_OK or COMMAND_FAILED; exits when the file is wrong.
static int
s_make_devices (self_t *self)
{
    for (zconfig_t *section = zconfig_child (self->config); section; section = zconfig_next (section)) {
        const char *value = zconfig_value (section);
        if (!zconfig_child (section) || (value && *value))
            command_usage ("%s: %s: a device has options below it, and no value", self->file,
                           zconfig_name (section));
        if (self->count == RUN_DEVICES_MAX)
            command_usage ("%s: at most %d devices can be run", self->file, RUN_DEVICES_MAX);
        zspool_device_t *device = s_new_device (self, section);
        if (!device)
            return COMMAND_FAILED;
        self->names [self->count] = zconfig_name (section);
        self->devices [self->count++] = device;
    }
    if (self->count == 0)
        command_usage ("%s: describes no device", self->file);
    return COMMAND_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Running

//  Start all; when one does not start, it is told.
static int
s_start (self_t *self)
{
    for (size_t index = 0; index < self->count; index++) {
        int rc = zspool_device_start (self->devices [index]);
        if (rc != ZSPOOL_OK) {
            command_report ("%s: %s", self->names [index],
                            zspool_device_reason (self->devices [index]));
            return rc == ZSPOOL_EINVAL? COMMAND_USAGE: COMMAND_FAILED;
        }
    }
    return COMMAND_OK;
}

//  Stop those that run; what that loses is told.
static int
s_stop (self_t *self)
{
    int status = COMMAND_OK;
    for (size_t index = 0; index < self->count; index++)
        if (zspool_device_stop (self->devices [index]) != ZSPOOL_OK) {
            command_report ("%s: %s", self->names [index],
                            zspool_device_reason (self->devices [index]));
            status = COMMAND_FAILED;
        }
    return status;
}

//  Wait for a signal, or until a device fails, which is told.
static int
s_watch (self_t *self)
{
    zmq_pollitem_t items [RUN_DEVICES_MAX + 1] = { { NULL, stop_fd (), ZMQ_POLLIN, 0 } };
    for (size_t index = 0; index < self->count; index++)
        items [index + 1] = (zmq_pollitem_t){
            zsock_resolve (zspool_device_socket (self->devices [index])), 0, ZMQ_POLLIN, 0
        };
    while (!stop_requested ()) {
        int found = zmq_poll (items, (int) self->count + 1, -1);
        if (found < 0 && zmq_errno () != EINTR) {
            command_report ("cannot wait: %s", zmq_strerror (zmq_errno ()));
            return COMMAND_FAILED;
        }
        for (size_t index = 0; found > 0 && index < self->count; index++)
            if (items [index + 1].revents) {
                command_report ("%s: %s", self->names [index],
                                zspool_device_reason (self->devices [index]));
                return COMMAND_FAILED;
            }
    }
    return COMMAND_OK;
}

static int
s_run (self_t *self)
{
    int status = s_start (self);
    if (status == COMMAND_OK) {
        puts ("ready");
        status = command_flush () == 0? s_watch (self): COMMAND_FAILED;
    }
    int stopped = s_stop (self);
    return status == COMMAND_OK? stopped: status;
}

int
run_main (int argc, char **argv)
{
    self_t self = { 0 };
    command_option (argc, argv, s_options, s_help);
    self.file = command_operand (argc, argv, "the file");
    tune_process ();
    zsys_set_logstream (stderr);
    int status = s_read (&self);
    if (status == COMMAND_OK)
        status = s_make_devices (&self);
    if (status == COMMAND_OK)
        status = s_run (&self);
    for (size_t index = 0; index < self.count; index++)
        zspool_device_destroy (&self.devices [index]);
    zconfig_destroy (&self.config);
    return status;
}
