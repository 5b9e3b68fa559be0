//  confirmed_producer.c - a producer that knows which messages are safe, and repeats none
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Ten orders are put; half-way the device goes away, and comes back. The producer connects again
//  by itself, sends again what was not confirmed, and each order is stored once. A second producer
//  of the same name, as after a crash, asks where the first one was. s_put_orders () is all that an
//  application needs; the device would usually be a process of its own:
//
//      zspool queue --store DIR --service EP
//
//  usage: confirmed_producer [directory]

#include <zspool.h>

#define ENDPOINT "ipc://confirmed_producer.ipc"
#define ORDERS 10

static void
s_check (int rc, const char *reason)
{
    if (rc == ZSPOOL_OK)
        return;
    fprintf (stderr, "confirmed_producer: %s\n", reason);
    exit (1);
}

static zspool_producer_t *
s_new_producer (void)
{
    zspool_producer_t *producer = zspool_producer_new (ENDPOINT);
    s_check (zspool_producer_set (producer, "name", "shop"), zspool_producer_reason (producer));
    s_check (zspool_producer_set (producer, "spool", "orders"), zspool_producer_reason (producer));
    s_check (zspool_producer_connect (producer), zspool_producer_reason (producer));
    return producer;
}

//  Put orders up to one. Their numbers are the producer's: order 7 is message 7, also after a
//  crash.
static void
s_put_orders (zspool_producer_t *producer, uint64_t to)
{
    for (uint64_t order = zspool_producer_last (producer) + 1; order <= to; order++) {
        char text [32];
        int size = snprintf (text, sizeof text, "order %llu", (unsigned long long) order);
        zspool_frame_t frame = { text, (size_t) size };
        s_check (zspool_producer_put (producer, &frame, 1, NULL),
                 zspool_producer_reason (producer));
    }
    s_check (zspool_producer_flush (producer), zspool_producer_reason (producer));
    printf ("up to order %llu all are on the disk\n",
            (unsigned long long) zspool_producer_committed (producer));
}

int
main (int argc, char **argv)
{
    zspool_device_t *device = zspool_device_new ();
    s_check (zspool_device_set (device, "store", argc > 1? argv [1]: "./store-example"),
             zspool_device_reason (device));
    s_check (zspool_device_set (device, "service", ENDPOINT), zspool_device_reason (device));
    s_check (zspool_device_start (device), zspool_device_reason (device));

    zspool_producer_t *producer = s_new_producer ();
    uint64_t before = zspool_producer_last (producer);
    s_put_orders (producer, before + ORDERS / 2);
    s_check (zspool_device_stop (device), zspool_device_reason (device));
    s_check (zspool_device_start (device), zspool_device_reason (device));
    s_put_orders (producer, before + ORDERS);
    zspool_producer_destroy (&producer);

    producer = s_new_producer ();
    uint64_t last = zspool_producer_last (producer);
    printf ("its successor goes on behind order %llu\n", (unsigned long long) last);
    zspool_producer_destroy (&producer);
    zspool_device_destroy (&device);
    return last == before + ORDERS? 0: 1;
}
