//  test_device.c - tests of a device as an application has it: endpoints of feeds, starts that fail
//
//  SPDX-License-Identifier: MPL-2.0

#include "lib/kit.h"
#include "zspool_device.h"

//  A device without an out
static zspool_device_t *
s_new_device (void)
{
    zspool_device_t *device = zspool_device_new ();
    char map [32];
    snprintf (map, sizeof map, "%llu", (unsigned long long) SELFTEST_MAP_BYTES);
    CHECK_OK (zspool_device_set (device, "map", map));
    CHECK_OK (zspool_device_set (device, "store", "store"));
    CHECK_OK (zspool_device_set (device, "in", "@inproc://device-in"));
    return device;
}

TEST (test_device_feeds_tell_the_endpoints_in_use)
{
    zspool_device_t *device = s_new_device ();
    CHECK_OK (zspool_device_set (device, "feed", "push=tcp://127.0.0.1:*,a.#"));
    CHECK_OK (zspool_device_set (device, "feed-sub", "sub=ipc://sub"));
    CHECK_OK (zspool_device_set (device, "feed-ack", "push=explicit,tcp://127.0.0.1:*"));
    CHECK (!zspool_device_feed (device, "push"));
    CHECK_OK (zspool_device_start (device));
    CHECK (!zspool_device_out (device));
    const char *endpoint = zspool_device_feed (device, "push");
    CHECK (endpoint && strncmp (endpoint, "tcp://127.0.0.1:", 16) == 0 && !strchr (endpoint, '*'));
    const char *ack_in = zspool_device_feed_ack_in (device, "push");
    CHECK (ack_in && strncmp (ack_in, "tcp://127.0.0.1:", 16) == 0 && !strchr (ack_in, '*'));
    CHECK (strcmp (endpoint, ack_in) != 0);
    CHECK_EQ_STR (zspool_device_feed (device, "sub"), "ipc://sub");
    CHECK (!zspool_device_feed_ack_in (device, "sub"));
    CHECK (!zspool_device_feed (device, "other"));
    CHECK_CODE (zspool_device_set (device, "feed", "more=inproc://more"), ZSPOOL_EINVAL);
    CHECK_OK (zspool_device_stop (device));
    CHECK (!zspool_device_feed (device, "push"));
    CHECK (!zspool_device_feed_ack_in (device, "push"));
    zspool_device_destroy (&device);
}

TEST (test_device_feed_that_cannot_bind_stops_the_start)
{
    zsock_t *taken = zsock_new (ZMQ_PULL);
    CHECK (zsock_bind (taken, "inproc://taken") == 0);
    zspool_device_t *device = s_new_device ();
    CHECK_OK (zspool_device_set (device, "feed", "first=inproc://first"));
    CHECK_OK (zspool_device_set (device, "feed", "second=inproc://taken"));
    CHECK_CODE (zspool_device_start (device), ZSPOOL_EADDR);
    CHECK (strstr (zspool_device_reason (device), "second"));
    CHECK (strstr (zspool_device_reason (device), "inproc://taken"));
    CHECK (!zspool_device_in (device) && !zspool_device_feed (device, "first"));
    CHECK (!zspool_device_socket (device));
    //  Nothing is left of it: neither its lock on the store nor its endpoints.
    zsock_destroy (&taken);
    CHECK_OK (zspool_device_start (device));
    CHECK_OK (zspool_device_stop (device));
    zspool_device_destroy (&device);
}

TEST (test_device_status_has_what_each_feed_is)
{
    zspool_device_t *device = s_new_device ();
    CHECK_OK (zspool_device_set (device, "feed", "a=inproc://a"));
    CHECK_OK (zspool_device_set (device, "feed-sub", "b=inproc://b"));
    CHECK_OK (zspool_device_set (device, "feed-ack", "a=explicit,inproc://acks"));
    CHECK_OK (zspool_device_start (device));
    zconfig_t *status = zspool_device_status (device);
    CHECK (status);
    static const char *const expected [] [2] = {
        { "device/feeds", "2" },      { "device/out", "" },         { "feed/a/type", "push" },
        { "feed/a/ack", "explicit" }, { "feed/a/ack_in", "inproc://acks" }, { "feed/a/tickets", "0" },
        { "feed/a/sent", "0" },       { "feed/a/silent_ms", "0" },  { "feed/a/wait/count", "0" },
        { "feed/b/type", "sub" },     { "feed/b/ack", "settled" },  { "feed/b/endpoint", "inproc://b" },
        { "feed/b/lagged", "0" },     { "feed/b/rate/out", "0" },   { "feed/b/subscriptions", "0" },
    };
    for (size_t index = 0; index < sizeof expected / sizeof expected [0]; index++)
        CHECK_EQ_STR (zconfig_get (status, expected [index] [0], "?"), expected [index] [1]);
    CHECK (!zconfig_locate (status, "out"));
    zconfig_destroy (&status);
    zspool_device_destroy (&device);
}
