//  late_feed.c - a stream in an application: a feed that was away gets what it missed
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Prices are published over inproc and stored. The feed `audit` wants those of two kinds, and
//  nobody is there to take them. When its consumer comes, at last, it gets them all; and so it does
//  once more when the device is started again and the feed's cursor is new: history was kept.
//
//  usage: late_feed [directory]

#include <zspool.h>

#define ROUNDS 5

static const char *const topics [] = { "price.gold.spot", "price.tin.spot", "news.gold", "price.gold.future" };
#define TOPICS (sizeof topics / sizeof topics [0])

static void
s_check (zspool_device_t *device, int rc)
{
    if (rc == ZSPOOL_OK)
        return;
    fprintf (stderr, "late_feed: %s\n", zspool_device_reason (device));
    exit (1);
}

//  Start a stream with one feed, which begins at the oldest message when it is new.
static zspool_device_t *
s_start_stream (const char *directory, const char *feed)
{
    zspool_device_t *device = zspool_device_new ();
    s_check (device, zspool_device_set (device, "store", directory));
    s_check (device, zspool_device_set (device, "in-type", "sub"));
    s_check (device, zspool_device_set (device, "in", "@inproc://prices"));
    s_check (device, zspool_device_set (device, "keep-count", "unlimited"));
    s_check (device, zspool_device_set (device, "keep-age", "7d"));
    s_check (device, zspool_device_set (device, "start", "all"));
    s_check (device, zspool_device_set (device, "feed", feed));
    s_check (device, zspool_device_start (device));
    return device;
}

//  Take so many messages of the feed.
static void
s_consume (zspool_device_t *device, const char *name, int count)
{
    char endpoint [256];
    snprintf (endpoint, sizeof endpoint, ">%s", zspool_device_feed (device, name));
    zsock_t *consumer = zsock_new_pull (endpoint);
    zsock_set_rcvtimeo (consumer, 10000);
    for (; count > 0; count--) {
        char *topic;
        int round;
        if (zsock_recv (consumer, "si", &topic, &round) != 0) {
            fprintf (stderr, "late_feed: a message is missing\n");
            exit (1);
        }
        printf ("%s: %s %d\n", name, topic, round);
        zstr_free (&topic);
    }
    zsock_destroy (&consumer);
}

int
main (int argc, char **argv)
{
    const char *directory = argc > 1? argv [1]: "./store-example";
    zspool_device_t *device = s_start_stream (directory, "audit=tcp://127.0.0.1:*,price.gold.*,news.");

    zsock_t *publisher = zsock_new_xpub (">inproc://prices");
    zframe_t *subscription = zframe_recv (publisher); //  a PUB would publish to nobody before it is there
    zframe_destroy (&subscription);
    for (int round = 1; round <= ROUNDS; round++)
        for (size_t index = 0; index < TOPICS; index++)
            zsock_send (publisher, "si", topics [index], round);
    s_consume (device, "audit", 3 * ROUNDS);
    zsock_destroy (&publisher);
    zspool_device_destroy (&device);

    device = s_start_stream (directory, "tin=tcp://127.0.0.1:*,#.tin.#");
    s_consume (device, "tin", ROUNDS);
    zspool_device_destroy (&device);
    return 0;
}
