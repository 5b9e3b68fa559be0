//  host_device.c - an application that hosts a device, and talks to it over inproc and tcp
//
//  SPDX-License-Identifier: MPL-2.0
//
//  What the application sends over inproc is stored, and forwarded to consumers on a TCP port.
//  Under `async` it is forwarded at once; FLUSH returns when it is on the disk, too.
//
//  usage: host_device [directory]

#include <zspool.h>

#define MESSAGES 10

static void
s_check (zspool_device_t *device, int rc)
{
    if (rc == ZSPOOL_OK)
        return;
    fprintf (stderr, "host_device: %s\n", zspool_device_reason (device));
    exit (1);
}

static zspool_device_t *
s_start_device (const char *directory)
{
    zspool_device_t *device = zspool_device_new ();
    s_check (device, zspool_device_set (device, "store", directory));
    s_check (device, zspool_device_set (device, "in", "@inproc://orders"));
    s_check (device, zspool_device_set (device, "out", "@tcp://127.0.0.1:*"));
    s_check (device, zspool_device_set (device, "durability", "async"));
    s_check (device, zspool_device_set (device, "ack", "sent"));
    s_check (device, zspool_device_start (device));
    return device;
}

static void
s_print_status (zspool_device_t *device)
{
    zconfig_t *status = zspool_device_status (device);
    printf ("%s: %s messages in, %s commits, %s messages out, %s peers\n",
            zconfig_get (status, "state", "?"), zconfig_get (status, "in/messages", "?"),
            zconfig_get (status, "store/commits", "?"), zconfig_get (status, "out/sent", "?"),
            zconfig_get (status, "out/peers", "?"));
    zconfig_destroy (&status);
}

int
main (int argc, char **argv)
{
    zspool_device_t *device = s_start_device (argc > 1? argv [1]: "./store-example");
    printf ("consumers find the device at %s\n", zspool_device_out (device));

    zsock_t *producer = zsock_new_push (">inproc://orders");
    for (int number = 1; number <= MESSAGES; number++)
        zsock_send (producer, "si", "order", number);

    char endpoint [256];
    snprintf (endpoint, sizeof endpoint, ">%s", zspool_device_out (device));
    zsock_t *consumer = zsock_new_pull (endpoint);
    zsock_set_rcvtimeo (consumer, 10000);
    for (int count = 0; count < MESSAGES; count++) {
        char *text;
        int number;
        if (zsock_recv (consumer, "si", &text, &number) != 0) {
            fprintf (stderr, "host_device: a message is missing\n");
            return 1;
        }
        printf ("%s %d\n", text, number);
        zstr_free (&text);
    }

    s_check (device, zspool_device_flush (device));
    s_print_status (device);

    zsock_destroy (&producer);
    zsock_destroy (&consumer);
    zspool_device_destroy (&device);
    return 0;
}
