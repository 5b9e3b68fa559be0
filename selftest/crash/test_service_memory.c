//  test_service_memory.c - a service whose allocations fail, one after the other
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Those of lib/, actors/ and LMDB; the client here makes none. After each: the start is refused, the
//  device says that it has failed, or a client that begins anew gets through. What was confirmed is in the
//  store, once.

#include "crash/fault.h"
#include "crash/memory.h"
#include "lib/kit.h"
#include "zsp.h"
#include "zspool_device.h"

#define ROUNDS 24
#define SESSIONS_MAX 20                //  that one client needs at most
#define ANSWER_MS 500                  //  then it begins anew
#define RECORD "\5\0\0\0\0\0\1\0hello" //  a record of one frame

typedef struct {
    zspool_device_t *device;
    void *socket;
    zsp_t got;
    uint8_t bytes [65536];             //  of what was got
    uint64_t session;
    uint32_t spools [2];               //  "jobs", "out"
    uint32_t epoch;
    uint32_t generation;
    uint64_t next;                     //  number of what is put next
    uint64_t committed;
    uint64_t held;                     //  sequence of a delivery; 0: none
    uint16_t deliveries;               //  of that
    uint64_t txns;                     //  number of a transaction that is not answered; 0: there is none
    uint64_t jobs;                     //  messages put, and confirmed
    uint64_t out;
} self_t;

//  ------------------------------------------------------------------------------------------------
//  A client that allocates nothing

static void
s_say (self_t *self, const zsp_t *command, const zsp_lists_t *lists, bool with_record)
{
    uint8_t bytes [1024];
    size_t size = zsp_encode (command, lists, NULL);
    CHECK (size <= sizeof bytes);
    zsp_encode (command, lists, bytes);
    zmq_send (self->socket, bytes, size, ZMQ_DONTWAIT | (with_record? ZMQ_SNDMORE: 0));
    if (with_record)
        zmq_send (self->socket, RECORD, sizeof RECORD - 1, ZMQ_DONTWAIT);
}

//  Take in what was said, whatever was waited for.
static void
s_note (self_t *self)
{
    const zsp_t *got = &self->got;
    if (got->command == ZSP_CONFIRM)
        self->committed = got->as.confirm.committed;
    if (got->command == ZSP_SUBSCRIBED)
        self->generation = got->as.subscribed.generation;
    if (got->command == ZSP_DELIVER) {
        zsp_slice_t slice = zsp_slice (got, 0);
        self->held = slice.first;
        self->deliveries = slice.deliveries;
    }
}

//  The next command. False: none has come, or one of refusal, or the device has failed.
static bool
s_hear (self_t *self)
{
    zmq_pollitem_t items [] = { { self->socket, 0, ZMQ_POLLIN, 0 },
                                { zsock_resolve (zspool_device_socket (self->device)), 0,
                                  ZMQ_POLLIN, 0 } };
    if (zmq_poll (items, 2, ANSWER_MS) <= 0 || !items [0].revents)
        return false;
    int size = zmq_recv (self->socket, self->bytes, sizeof self->bytes, ZMQ_DONTWAIT);
    CHECK (size > 0 && (size_t) size <= sizeof self->bytes);
    CHECK_OK (zsp_decode (&self->got, self->bytes, (size_t) size));
    s_note (self);
    int more = 0;
    size_t more_size = sizeof more;
    while (zmq_getsockopt (self->socket, ZMQ_RCVMORE, &more, &more_size) == 0 && more) {
        uint8_t record [256];
        zmq_recv (self->socket, record, sizeof record, ZMQ_DONTWAIT);
    }
    return self->got.command != ZSP_ERROR;
}

static bool
s_wait_for (self_t *self, uint8_t command)
{
    do
        if (!s_hear (self))
            return false;
    while (self->got.command != command);
    return true;
}

static bool
s_open (self_t *self, size_t index, const char *name)
{
    zsp_t open = { .command = ZSP_OPEN, .flags = ZSP_FLAG_CREATE, .request = 1 };
    open.as.open.spool = (zsp_text_t){ name, strlen (name) };
    s_say (self, &open, NULL, false);
    if (!s_wait_for (self, ZSP_OPENED))
        return false;
    self->spools [index] = self->got.as.opened.spool;
    return true;
}

//  What was not answered in a session before was done or not, as the number tells.
static void
s_settle (self_t *self, uint64_t last)
{
    if (last >= self->next) {
        self->out += self->txns > 0;
        self->jobs += self->txns == 0;
    }
    self->next = last + 1;
    self->txns = 0;
}

//  Begin a session.
static bool
s_begin (self_t *self)
{
    int none = 0;
    if (self->socket)
        zmq_close (self->socket);
    self->socket = zmq_socket (zsys_init (), ZMQ_DEALER);
    CHECK (self->socket && zmq_setsockopt (self->socket, ZMQ_LINGER, &none, sizeof none) == 0);
    CHECK (zmq_connect (self->socket, zspool_device_service (self->device)) == 0);
    self->held = 0;
    zsp_t hello = { .command = ZSP_HELLO, .request = 1 };
    hello.as.hello.heartbeat_ms = 60000;
    s_say (self, &hello, NULL, false);
    if (!s_wait_for (self, ZSP_WELCOME))
        return false;
    self->session = self->got.as.welcome.session;
    zsp_t produce = { .command = ZSP_PRODUCE, .request = 2 };
    produce.as.produce.name = (zsp_text_t){ "me", 2 };
    if (!s_open (self, 0, "jobs") || !s_open (self, 1, "out"))
        return false;
    s_say (self, &produce, NULL, false);
    if (!s_wait_for (self, ZSP_PRODUCING))
        return false;
    s_settle (self, self->got.as.producing.last);
    zsp_t subscribe = { .command = ZSP_SUBSCRIBE, .flags = ZSP_FLAG_CREATE, .request = 3 };
    subscribe.as.subscribe.subscription = 1;
    subscribe.as.subscribe.spool = self->spools [0];
    subscribe.as.subscribe.messages = 1;
    subscribe.as.subscribe.bytes = 1;
    subscribe.as.subscribe.cursor = (zsp_text_t){ "c", 1 };
    s_say (self, &subscribe, NULL, false);
    return s_wait_for (self, ZSP_SUBSCRIBED);
}

//  ------------------------------------------------------------------------------------------------
//  What it does

static bool
s_put (self_t *self)
{
    zsp_t put = { .command = ZSP_PUT };
    put.as.put.number = self->next;
    put.as.put.spool = self->spools [0];
    put.as.put.count = 1;
    s_say (self, &put, NULL, true);
    while (self->committed < self->next) {
        if (!s_hear (self))
            return false;
        if (self->got.command == ZSP_CONFIRM && self->got.flags & ZSP_FLAG_RESUME)
            s_say (self, &put, NULL, true);
    }
    self->jobs++;
    self->next++;
    return true;
}

//  Acknowledge what is held, or give it back.
static bool
s_answer (self_t *self, uint8_t command)
{
    zsp_range_t range = { self->held, self->held };
    zsp_t ack = { .command = command, .request = 4 };
    ack.as.ranges.subscription = 1;
    ack.as.ranges.generation = self->generation;
    ack.as.ranges.ranges_count = 1;
    self->held = 0;
    s_say (self, &ack, &(zsp_lists_t){ .ranges = &range }, false);
    return s_wait_for (self, ZSP_DONE);
}

//  Acknowledge it, and put something, in one commit.
static bool
s_commit (self_t *self)
{
    zsp_part_t part = { self->spools [1], 1 };
    zsp_acked_t acked = { self->session, 1, self->generation, { self->held, self->held } };
    zsp_t commit = { .command = ZSP_COMMIT, .request = 5 };
    commit.as.commit.number = self->txns = self->next;
    commit.as.commit.parts_count = commit.as.commit.acks_count = 1;
    self->held = 0;
    s_say (self, &commit, &(zsp_lists_t){ .parts = &part, .acks = &acked }, true);
    if (!s_wait_for (self, ZSP_DONE))
        return false;
    s_settle (self, self->next);
    return true;
}

static bool
s_go_round (self_t *self, unsigned round)
{
    zsp_t credit = { .command = ZSP_CREDIT };
    credit.as.credit.subscription = 1;
    credit.as.credit.messages = 1;
    credit.as.credit.bytes = sizeof RECORD - 1;
    if (!s_put (self))
        return false;
    while (!self->held)
        if (!s_hear (self))
            return false;
    s_say (self, &credit, NULL, false);
    if (round % 5 == 0 && self->deliveries == 1)
        return s_answer (self, ZSP_REJECT);
    return round % 3 == 0? s_commit (self): s_answer (self, ZSP_ACK);
}

static int
s_start (self_t *self)
{
    self->device = zspool_device_new ();
    int rc = self->device? ZSPOOL_OK: ZSPOOL_ENOMEM;
    const char *const options [] [2] = { { "store", KIT_STORE }, { "service", "tcp://127.0.0.1:*" },
                                         { "max-deliveries", "3" } };
    for (size_t index = 0; rc == ZSPOOL_OK && index < sizeof options / sizeof options [0]; index++)
        rc = zspool_device_set (self->device, options [index] [0], options [index] [1]);
    if (rc == ZSPOOL_OK && SELFTEST_TSAN)
        rc = zspool_device_set (self->device, "map", "1G");
    return rc? rc: zspool_device_start (self->device);
}

static bool
s_has_failed (self_t *self)
{
    zmq_pollitem_t item = { zsock_resolve (zspool_device_socket (self->device)), 0, ZMQ_POLLIN, 0 };
    return zmq_poll (&item, 1, 0) > 0;
}

//  One life of a device. Gives whether it was as if nothing had failed.
static bool
s_live (self_t *self)
{
    memset (self, 0, sizeof *self);
    self->next = 1;
    unsigned round = 0, sessions = 0;
    bool failed = s_start (self) != ZSPOOL_OK;
    while (!failed && round < ROUNDS) {
        //  What failed once does so no more: who begins anew gets through.
        CHECK (sessions++ < SESSIONS_MAX);
        bool going = s_begin (self);
        while (going && round < ROUNDS) {
            going = s_go_round (self, round);
            round += going;
        }
        failed = s_has_failed (self);
    }
    if (self->socket)
        zmq_close (self->socket);
    failed = failed || zspool_device_stop (self->device) != ZSPOOL_OK;
    zspool_device_destroy (&self->device);
    return !failed && sessions == 1;
}

//  What was confirmed is there; and nothing twice, but what was under way when the device failed.
static void
s_check (const self_t *self)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    kit_check_sound (store);
    const uint64_t confirmed [] = { self->jobs, self->out };
    for (size_t index = 0; index < 2; index++)
        if (self->spools [index]) {
            uint64_t stored = kit_spool_info (store, self->spools [index]).last_sequence;
            CHECK (stored >= confirmed [index] && stored <= confirmed [index] + 1);
        }
    zspool_store_destroy (&store);
    CHECK (system ("rm -rf " KIT_STORE) == 0);
}

TEST_WITH_LIMIT (test_service_memory_failing_once_is_got_over, 300)
{
    const char *text = getenv ("ZSPOOL_LONG");
    unsigned step = text? 1: 7, failed = 0, runs = 0;
    self_t self;
    memory_watch_lmdb ();
    fault_watch (KIT_STORE);
    CHECK (s_live (&self));
    CHECK_EQ_U64 (self.jobs, ROUNDS);
    s_check (&self);
    unsigned calls = fault_calls (FAULT_MEMORY);
    for (unsigned after = 0; after < calls; after += step, runs++) {
        printf ("fault at call %u of %u\n", after, calls);
        fflush (stdout);
        fault_watch (KIT_STORE);
        fault_fail (FAULT_MEMORY, after, 1, FAULT_BEFORE, ENOMEM);
        failed += !s_live (&self);
        fault_fail (FAULT_MEMORY, 0, 0, FAULT_BEFORE, 0);
        s_check (&self);
    }
    printf ("%u allocations, %u runs, in %u something failed\n", calls, runs, failed);
    CHECK (failed > 0);
}
