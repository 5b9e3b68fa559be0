//  ticketed_worker.c - a worker that acknowledges its messages, and gets again what it did not
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Under `--ack explicit` each message begins with a ticket. The worker sends it back when the work
//  is done; what it does not send back within the time-out comes again, to it or to another worker.
//  s_work () is all that a worker needs; the device would usually be a process of its own:
//
//      zspool queue --store DIR --in EP --out EP --ack explicit --ack-in EP
//
//  usage: ticketed_worker [directory]

#include <zspool.h>

#define MESSAGES 5

//  Receive messages and acknowledge them until `count` are done. The first attempt at one fails.
static int
s_work (const char *work_endpoint, const char *ack_endpoint, int count)
{
    zsock_t *work = zsock_new (ZMQ_PULL);
    zsock_t *acks = zsock_new (ZMQ_PUSH);
    zsock_connect (work, "%s", work_endpoint);
    zsock_connect (acks, "%s", ack_endpoint);
    zsock_set_rcvtimeo (work, 10000);
    bool failed = false;

    int done = 0;
    while (done < count) {
        zmsg_t *message = zmsg_recv (work);
        if (!message)
            break;
        zframe_t *ticket = zmsg_pop (message);
        char *text = zmsg_popstr (message);
        if (streq (text, "task 3") && !failed) {
            printf ("%s: failed, no ticket goes back\n", text);
            failed = true;
        }
        else {
            printf ("%s: done\n", text);
            zframe_send (&ticket, acks, 0);
            done++;
        }
        zframe_destroy (&ticket);
        zstr_free (&text);
        zmsg_destroy (&message);
    }
    zsock_destroy (&work);
    zsock_set_linger (acks, 10000);
    zsock_destroy (&acks);
    return done;
}

static zspool_device_t *
s_start_device (const char *directory)
{
    static const char *const options [] [2] = {
        { "store", NULL }, { "in", "@inproc://tasks" }, { "out", "@tcp://127.0.0.1:*" },
        { "ack", "explicit" }, { "ack-in", "@tcp://127.0.0.1:*" }, { "ack-timeout", "500" },
    };
    zspool_device_t *device = zspool_device_new ();
    int rc = ZSPOOL_OK;
    for (size_t index = 0; index < 6 && rc == ZSPOOL_OK; index++)
        rc = zspool_device_set (device, options [index] [0],
                                options [index] [1]? options [index] [1]: directory);
    if (rc == ZSPOOL_OK)
        rc = zspool_device_start (device);
    if (rc == ZSPOOL_OK)
        return device;
    fprintf (stderr, "ticketed_worker: %s\n", zspool_device_reason (device));
    exit (1);
}

int
main (int argc, char **argv)
{
    zspool_device_t *device = s_start_device (argc > 1? argv [1]: "./store-example");
    zsock_t *producer = zsock_new_push (">inproc://tasks");
    for (int number = 1; number <= MESSAGES; number++)
        zstr_sendf (producer, "task %d", number);

    int done = s_work (zspool_device_out (device), zspool_device_ack_in (device), MESSAGES);
    printf ("%d of %d done\n", done, MESSAGES);

    zsock_destroy (&producer);
    zspool_device_destroy (&device);
    return done == MESSAGES? 0: 1;
}
