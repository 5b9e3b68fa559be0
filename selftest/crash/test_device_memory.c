//  test_device_memory.c - a device whose allocations fail, one after the other
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Those of lib/, actors/ and LMDB; ZeroMQ and CZMQ end the process when theirs fail. After each:
//  the start is refused, the device goes on, or it says that it has failed; what it had forwarded
//  is in the store.

#include "crash/fault.h"
#include "crash/memory.h"
#include "lib/kit.h"
#include "zspool_device.h"

#define MESSAGES 60
#define MESSAGE_BYTES_MAX 9000
#define STUCK_MS 20000                 //  neither forwarding nor failed for so long

typedef struct {
    zspool_device_t *device;
    zsock_t *producer;
    zsock_t *consumer;
    uint64_t received;
} self_t;

static size_t
s_size (uint64_t number)
{
    return number % 20 == 0? MESSAGE_BYTES_MAX: 100;
}

//  Give it feeds whose peers are absent. Without memory for good it would wait for some then, since they
//  keep the first blocks.
static int
s_add_feeds (self_t *self)
{
    static const char *const options [] [2] = { { "feed", "some=@tcp://127.0.0.1:*,a.#,b" },
                                                { "feed-ack", "some=sent" },
                                                { "feed-sub", "all=@tcp://127.0.0.1:*" },
                                                { "feed-ack", "all=settled" } };
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < sizeof options / sizeof options [0]; index++)
        rc = zspool_device_set (self->device, options [index] [0], options [index] [1]);
    return rc;
}

//  Start a device; that may be refused.
static int
s_start (self_t *self, const char *ack)
{
    self->device = zspool_device_new ();
    if (!self->device)
        return ZSPOOL_ENOMEM;
    const char *const options [] [2] = { { "store", KIT_STORE }, { "in", "@tcp://127.0.0.1:*" },
                                         { "out", "@tcp://127.0.0.1:*" }, { "ack", ack } };
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < sizeof options / sizeof options [0]; index++)
        rc = zspool_device_set (self->device, options [index] [0], options [index] [1]);
    if (rc == ZSPOOL_OK && streq (ack, "explicit"))
        rc = zspool_device_set (self->device, "ack-in", "@tcp://127.0.0.1:*");
    if (rc == ZSPOOL_OK && streq (ack, "explicit"))
        rc = s_add_feeds (self);
    if (rc == ZSPOOL_OK && SELFTEST_TSAN)
        rc = zspool_device_set (self->device, "map", "1G");
    if (rc == ZSPOOL_OK)
        rc = zspool_device_start (self->device);
    if (rc)
        CHECK (*zspool_device_reason (self->device));
    return rc;
}

//  The next message that was forwarded. False: the device has failed.
static bool
s_receive (self_t *self, bool has_ticket)
{
    zmq_pollitem_t items [] = { { zsock_resolve (self->consumer), 0, ZMQ_POLLIN, 0 },
                                { zsock_resolve (zspool_device_socket (self->device)), 0,
                                  ZMQ_POLLIN, 0 } };
    CHECK (zmq_poll (items, 2, STUCK_MS) > 0);
    if (!(items [0].revents & ZMQ_POLLIN))
        return false;
    uint8_t bytes [MESSAGE_BYTES_MAX];
    void *socket = zsock_resolve (self->consumer);
    int size = zmq_recv (socket, bytes, sizeof bytes, 0);
    if (has_ticket)
        size = zmq_recv (socket, bytes, sizeof bytes, 0);
    CHECK (size >= KIT_MESSAGE_BYTES_MIN && (size_t) size <= sizeof bytes);
    uint8_t expected [MESSAGE_BYTES_MAX];
    uint64_t number;
    memcpy (&number, bytes, sizeof number);
    kit_fill (expected, (size_t) size, number);
    CHECK (memcmp (bytes, expected, (size_t) size) == 0);
    self->received++;
    return true;
}

//  Send some messages, one at a time, and wait for each.
static void
s_pass_messages (self_t *self, bool has_ticket)
{
    uint8_t bytes [MESSAGE_BYTES_MAX];
    for (uint64_t number = 1; number <= MESSAGES; number++) {
        kit_fill (bytes, s_size (number), number);
        CHECK (zmq_send (zsock_resolve (self->producer), bytes, s_size (number), 0) > 0);
        if (!s_receive (self, has_ticket))
            return;
    }
}

static void
s_connect (self_t *self)
{
    char endpoint [256];
    snprintf (endpoint, sizeof endpoint, ">%s", zspool_device_in (self->device));
    self->producer = zsock_new_push (endpoint);
    snprintf (endpoint, sizeof endpoint, ">%s", zspool_device_out (self->device));
    self->consumer = zsock_new_pull (endpoint);
    CHECK (self->producer && self->consumer);
    zsock_set_linger (self->producer, 0);
}

//  One life of a device. Gives whether it was as if nothing had failed.
static bool
s_live (self_t *self, const char *ack)
{
    memset (self, 0, sizeof *self);
    int rc = s_start (self, ack);
    if (rc == ZSPOOL_OK) {
        s_connect (self);
        s_pass_messages (self, streq (ack, "explicit"));
        rc = zspool_device_stop (self->device);
    }
    zspool_device_destroy (&self->device);
    zsock_destroy (&self->producer);
    zsock_destroy (&self->consumer);
    return rc == ZSPOOL_OK && self->received == MESSAGES;
}

//  What was forwarded is in the store, or was acknowledged.
static void
s_check (const self_t *self)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    kit_check_sound (store);
    if (self->received) {
        zspool_spool_info_t info = kit_spool_info (store, 1);
        CHECK (info.last_sequence >= self->received);
        CHECK_EQ_U64 (info.lost, 0);
    }
    zspool_store_destroy (&store);
    CHECK (system ("rm -rf " KIT_STORE) == 0);
}

static void
s_sweep (const char *ack, unsigned times, unsigned step)
{
    self_t self;
    memory_watch_lmdb ();
    fault_watch (KIT_STORE);
    CHECK (s_live (&self, ack));
    s_check (&self);
    unsigned calls = fault_calls (FAULT_MEMORY), failed = 0, runs = 0;
    for (unsigned after = 0; after < calls; after += step, runs++) {
        printf ("fault at call %u of %u\n", after, calls);
        fflush (stdout);
        fault_watch (KIT_STORE);
        fault_fail (FAULT_MEMORY, after, times, FAULT_BEFORE, ENOMEM);
        failed += !s_live (&self, ack);
        fault_fail (FAULT_MEMORY, 0, 0, FAULT_BEFORE, 0);
        s_check (&self);
    }
    printf ("%u allocations, %u runs, in %u something failed\n", calls, runs, failed);
    CHECK (failed > 0);
}

//  Of the calls every how many-th fails first
static unsigned
s_step (unsigned usual)
{
    const char *text = getenv ("ZSPOOL_LONG");
    unsigned factor = text? (unsigned) strtoul (text, NULL, 10): 1;
    return usual > factor? usual / (factor? factor: 1): 1;
}

TEST_WITH_LIMIT (test_device_memory_failing_once_ends_it_or_does_not, 300)
{
    s_sweep ("explicit", 1, s_step (6));
}

TEST_WITH_LIMIT (test_device_memory_failing_for_good_ends_it, 300)
{
    s_sweep ("settled", UINT32_MAX, s_step (8));
}
