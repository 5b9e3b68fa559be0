//  trial.c - what `zspool bench` measures
//
//  SPDX-License-Identifier: MPL-2.0

#include "trial.h"
#include "command.h"
#include "stop.h"
#include "zspool.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLES_MAX 200000          //  most times measured of one kind
#define SAMPLES_MIN 3               //  fewest, however long they take
#define BLOCK_BYTES (448 * 1024) //  a stream's block is sealed at this size, or at so many messages
#define BLOCK_MESSAGES_MAX (32 * 1024)
#define TRIM_COMMITS 64             //  what was committed is removed, not measured, every so often
#define QUEUE_BYTES_MAX (8 * 1024 * 1024) //  high-water marks hold no more than this, or 2 messages
#define HWM_MAX 1000
#define WARM_UP_PART 5              //  of the time, one such part is not measured
#define PATH_BYTES 4200
#define COMMIT_MS 5000              //  a commit is waited for so long, and looked for so often
#define LOOK_MS 5
#define ANSWER_MS 20000             //  a message that does not come for so long never will

static int64_t
s_now_ns (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

//  ------------------------------------------------------------------------------------------------
//  Samples

//  Times being measured
typedef struct {
    double *us;          //  microseconds each
    size_t count;
    int64_t end_ns;      //  measure until then
} s_samples_t;

static int
s_samples_init (s_samples_t *self, double seconds)
{
    self->us = (double *) malloc (SAMPLES_MAX * sizeof *self->us);
    self->count = 0;
    self->end_ns = s_now_ns () + (int64_t) (seconds * 1e9);
    if (!self->us)
        command_report ("out of memory");
    return self->us? 0: -1;
}

static void
s_samples_add (s_samples_t *self, int64_t start_ns)
{
    self->us [self->count++] = (double) (s_now_ns () - start_ns) / 1e3;
}

static bool
s_samples_wanted (const s_samples_t *self)
{
    return !stop_requested () && self->count < SAMPLES_MAX
           && (self->count < SAMPLES_MIN || s_now_ns () < self->end_ns);
}

static int
s_compare (const void *one, const void *other)
{
    double a = *(const double *) one, b = *(const double *) other;
    return (a > b) - (a < b);
}

//  Give what was measured, and free it.
static void
s_samples_end (s_samples_t *self, trial_times_t *times)
{
    if (self->count > 0) {
        qsort (self->us, self->count, sizeof *self->us, s_compare);
        *times = (trial_times_t){ self->us [self->count / 2], self->us [self->count * 99 / 100],
                                  self->count };
    }
    free (self->us);
}

//  ------------------------------------------------------------------------------------------------
//  The parts: a block, and its commit

uint32_t
trial_block_messages (size_t size)
{
    size_t messages = BLOCK_BYTES / (size + 8);
    if (messages > BLOCK_MESSAGES_MAX)
        return BLOCK_MESSAGES_MAX;
    return messages > 1? (uint32_t) messages: 1;
}

//  An empty block with room for the messages
static zspool_block_t *
s_new_block (const trial_t *self, uint32_t messages)
{
    return zspool_block_new (messages * (self->size + 8));
}

//  Pack the messages and seal the block. Returns a code.
static int
s_fill_block (zspool_block_t *block, const void *data, size_t size, uint32_t messages)
{
    zspool_frame_t frame = { data, size };
    int rc = ZSPOOL_OK;
    while (rc == ZSPOOL_OK && messages-- > 0)
        rc = zspool_block_append (block, &frame, 1, 1);
    return rc? rc: zspool_block_seal (block);
}

int
trial_cache (const trial_t *self, uint32_t messages, trial_times_t *t1)
{
    void *data = calloc (1, self->size);
    s_samples_t samples;
    int rc = data && s_samples_init (&samples, self->seconds) == 0? ZSPOOL_OK: ZSPOOL_ENOMEM;
    if (rc == ZSPOOL_OK) {
        while (rc == ZSPOOL_OK && s_samples_wanted (&samples)) {
            zspool_block_t *block = s_new_block (self, messages);
            int64_t start_ns = s_now_ns ();
            rc = block? s_fill_block (block, data, self->size, messages): ZSPOOL_ENOMEM;
            s_samples_add (&samples, start_ns);
            zspool_block_destroy (&block);
        }
        s_samples_end (&samples, t1);
    }
    free (data);
    if (rc)
        command_report ("cannot pack messages: %s", zspool_strerror (rc));
    return rc || stop_requested ()? -1: 0;
}

//  A store with a spool and a cursor
typedef struct {
    zspool_store_t *store;
    uint32_t spool;
    uint32_t cursor;
    uint64_t first;      //  the block before: sequence of its first message, or 0
    uint64_t last;       //  and of its last
} s_store_t;

static int
s_store_open (s_store_t *self, const char *path)
{
    memset (self, 0, sizeof *self);
    self->store = zspool_store_new (path);
    int rc = self->store? zspool_store_open (self->store, ZSPOOL_WRITE): ZSPOOL_ENOMEM;
    if (rc == ZSPOOL_OK)
        rc = zspool_store_begin (self->store);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_spool (self->store, "main", &self->spool);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_cursor (self->store, self->spool, "out", ZSPOOL_START_FIRST,
                                  &self->cursor);
    return rc? rc: zspool_store_commit (self->store);
}

//  Commit a block, and acknowledge the one before it.
static int
s_store_block (s_store_t *self, zspool_block_t *block, bool with_ack)
{
    int rc = zspool_store_begin (self->store);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_append (self->store, self->spool, block);
    if (rc == ZSPOOL_OK && with_ack && self->first > 0)
        rc = zspool_store_ack (self->store, self->spool, self->cursor, self->first, self->last);
    return rc? rc: zspool_store_commit (self->store);
}

//  Remove what was committed.
static int
s_store_trim (s_store_t *self)
{
    int rc = zspool_store_begin (self->store);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_trim (self->store, self->spool, self->last);
    self->first = 0;
    return rc? rc: zspool_store_commit (self->store);
}

//  Make a block and store it; only the storing is measured. Now and then old ones are removed.
static int
s_store_round (s_store_t *store, const trial_t *self, uint32_t messages, const void *data,
               bool with_ack, s_samples_t *samples)
{
    zspool_block_t *block = s_new_block (self, messages);
    int rc = block? s_fill_block (block, data, self->size, messages): ZSPOOL_ENOMEM;
    if (rc == ZSPOOL_OK) {
        int64_t start_ns = s_now_ns ();
        rc = s_store_block (store, block, with_ack);
        s_samples_add (samples, start_ns);
        store->first = zspool_block_first_sequence (block);
        store->last = zspool_block_last_sequence (block);
    }
    zspool_block_destroy (&block);
    if (rc == ZSPOOL_OK && samples->count % TRIM_COMMITS == 0)
        rc = s_store_trim (store);
    return rc;
}

int
trial_store (const trial_t *self, uint32_t messages, bool with_ack, trial_times_t *t2)
{
    char path [PATH_BYTES];
    snprintf (path, sizeof path, "%s/t2-%zu-%" PRIu32 "-%d", self->directory, self->size, messages,
              with_ack);
    void *data = calloc (1, self->size);
    s_store_t store = { .store = NULL };
    s_samples_t samples = { .us = NULL };
    int rc = data? s_store_open (&store, path): ZSPOOL_ENOMEM;
    if (rc == ZSPOOL_OK && s_samples_init (&samples, self->seconds) == 0) {
        while (rc == ZSPOOL_OK && s_samples_wanted (&samples))
            rc = s_store_round (&store, self, messages, data, with_ack, &samples);
        s_samples_end (&samples, t2);
    }
    if (rc)
        command_report ("%s", store.store && *zspool_store_reason (store.store)?
                                  zspool_store_reason (store.store): zspool_strerror (rc));
    zspool_store_destroy (&store.store);
    free (data);
    return rc || stop_requested () || !samples.count? -1: 0;
}

//  ------------------------------------------------------------------------------------------------
//  The whole: a device and its peers

typedef struct {
    zspool_device_t *device;
    void *context;            //  of the peers
    void *push;
    void *pull;
    uint8_t *message;         //  being sent; the first 8 bytes are its number
    size_t size;              //  of it
    uint64_t sent;            //  number of the last one
    uint64_t received;        //  likewise
    atomic_bool enough;       //  a stream is to end
} s_trial_t;

//  Messages that a high-water mark may hold
static int
s_hwm (size_t size)
{
    size_t messages = QUEUE_BYTES_MAX / size;
    return messages < 2? 2: messages < HWM_MAX? (int) messages: HWM_MAX;
}

static void *
s_new_peer (s_trial_t *self, int type, const char *endpoint)
{
    int hwm = s_hwm (self->size), linger_ms = 0;
    void *socket = zmq_socket (self->context, type);
    if (!socket)
        return NULL;
    zmq_setsockopt (socket, ZMQ_SNDHWM, &hwm, sizeof hwm);
    zmq_setsockopt (socket, ZMQ_RCVHWM, &hwm, sizeof hwm);
    zmq_setsockopt (socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    if (zmq_connect (socket, endpoint) == 0)
        return socket;
    zmq_close (socket);
    return NULL;
}

//  Start a device that acknowledges what it has sent, so that its store stays small.
static int
s_start_device (s_trial_t *self, const char *path, const char *durability)
{
    char hwm [16];
    snprintf (hwm, sizeof hwm, "%d", s_hwm (self->size));
    const char *const options [] [2] = { { "store", path },
                                        { "in", "@tcp://127.0.0.1:*" },
                                        { "out", "@tcp://127.0.0.1:*" },
                                        { "durability", durability },
                                        { "ack", "sent" },
                                        { "hwm", hwm } };
    int rc = ZSPOOL_OK;
    for (size_t index = 0; index < sizeof options / sizeof options [0] && rc == ZSPOOL_OK; index++)
        rc = zspool_device_set (self->device, options [index] [0], options [index] [1]);
    if (rc == ZSPOOL_OK)
        rc = zspool_device_start (self->device);
    if (rc)
        command_report ("%s", zspool_device_reason (self->device));
    return rc? -1: 0;
}

static int
s_start (s_trial_t *self, const trial_t *trial, const char *durability, const char *what)
{
    char path [PATH_BYTES];
    snprintf (path, sizeof path, "%s/%s-%s-%zu", trial->directory, durability, what, trial->size);
    memset (self, 0, sizeof *self);
    self->size = trial->size;
    self->device = zspool_device_new ();
    self->message = (uint8_t *) calloc (1, self->size);
    self->context = zmq_ctx_new ();
    if (!self->device || !self->message || !self->context) {
        command_report ("out of memory");
        return -1;
    }
    if (s_start_device (self, path, durability))
        return -1;
    self->push = s_new_peer (self, ZMQ_PUSH, zspool_device_in (self->device));
    self->pull = s_new_peer (self, ZMQ_PULL, zspool_device_out (self->device));
    if (!self->push || !self->pull)
        command_report ("cannot connect to the device: %s", zmq_strerror (zmq_errno ()));
    return self->push && self->pull? 0: -1;
}

static void
s_end (s_trial_t *self)
{
    if (self->push)
        zmq_close (self->push);
    if (self->pull)
        zmq_close (self->pull);
    if (self->context)
        zmq_ctx_term (self->context);
    zspool_device_destroy (&self->device);
    free (self->message);
}

//  Send the next message, if ZeroMQ takes it now.
static bool
s_send (s_trial_t *self)
{
    uint64_t number = self->sent + 1;
    memcpy (self->message, &number, sizeof number);
    if (zmq_send (self->push, self->message, self->size, ZMQ_DONTWAIT) < 0)
        return false;
    self->sent = number;
    return true;
}

//  Receive a message if one is there: 1; 0 if not; -1, reported, when it is not the one to come.
static int
s_receive (s_trial_t *self)
{
    uint64_t number = 0;
    zmq_msg_t message;
    zmq_msg_init (&message);
    int rc = zmq_msg_recv (&message, self->pull, ZMQ_DONTWAIT) < 0? 0: 1;
    if (rc == 1 && zmq_msg_size (&message) == self->size)
        memcpy (&number, zmq_msg_data (&message), sizeof number);
    zmq_msg_close (&message);
    if (rc == 1 && number != ++self->received) {
        command_report ("message %" PRIu64 " came in place of %" PRIu64, number, self->received);
        return -1;
    }
    return rc;
}

//  Wait until a socket is ready; -1 when a signal came, or it took too long, which is reported.
static int
s_wait (void *socket, short events)
{
    zmq_pollitem_t items [] = { { socket, 0, events, 0 }, { NULL, stop_fd (), ZMQ_POLLIN, 0 } };
    int found = zmq_poll (items, 2, ANSWER_MS);
    if (found == 0)
        command_report ("the device has not answered for %d s", ANSWER_MS / 1000);
    return found == 0 || stop_requested ()? -1: 0;
}

//  Send a message and wait for it.
static int
s_round_trip (s_trial_t *self)
{
    while (!s_send (self))
        if (s_wait (self->push, ZMQ_POLLOUT))
            return -1;
    int rc;
    while ((rc = s_receive (self)) == 0)
        if (s_wait (self->pull, ZMQ_POLLIN))
            return -1;
    return rc < 0? -1: 0;
}

static int
s_measure_latency (s_trial_t *self, double seconds, trial_times_t *latency)
{
    int64_t warm_ns = s_now_ns () + (int64_t) (seconds * 1e9 / WARM_UP_PART);
    int rc = s_round_trip (self);
    while (rc == 0 && s_now_ns () < warm_ns)
        rc = s_round_trip (self);
    s_samples_t samples;
    if (rc || s_samples_init (&samples, seconds))
        return -1;
    while (rc == 0 && s_samples_wanted (&samples)) {
        int64_t start_ns = s_now_ns ();
        rc = s_round_trip (self);
        s_samples_add (&samples, start_ns);
    }
    s_samples_end (&samples, latency);
    return rc;
}

//  Sends a stream, in a thread of its own, until told to end.
static void *
s_producer (void *arg)
{
    s_trial_t *self = (s_trial_t *) arg;
    zmq_pollitem_t item = { self->push, 0, ZMQ_POLLOUT, 0 };
    while (!atomic_load (&self->enough)) {
        for (int count = 0; count < HWM_MAX && s_send (self); count++)
            ;
        zmq_poll (&item, 1, LOOK_MS);
    }
    return NULL;
}

//  Receive until that time; gives how many came, or -1.
static int64_t
s_receive_until (s_trial_t *self, int64_t end_ns)
{
    uint64_t before = self->received;
    int rc = 0;
    while (rc >= 0 && s_now_ns () < end_ns && !stop_requested ()) {
        for (int count = 0; count < HWM_MAX && (rc = s_receive (self)) == 1; count++)
            ;
        if (rc == 0 && s_wait (self->pull, ZMQ_POLLIN))
            return -1;
    }
    return rc < 0? -1: (int64_t) (self->received - before);
}

//  The device's status, as soon as it tells of a commit: a short stream may have seen none under
//  async.
static zconfig_t *
s_status_after_commit (s_trial_t *self)
{
    int64_t end_ns = s_now_ns () + COMMIT_MS * 1000000LL;
    while (true) {
        zconfig_t *status = zspool_device_status (self->device);
        if (!status || atoi (zconfig_get (status, "store/commit_messages_count", "0")) > 0
            || s_now_ns () > end_ns || stop_requested ())
            return status;
        zconfig_destroy (&status);
        zclock_sleep (LOOK_MS);
    }
}

static int
s_measure_rate (s_trial_t *self, double seconds, trial_device_t *result)
{
    pthread_t producer;
    int error = pthread_create (&producer, NULL, s_producer, self);
    if (error) {
        command_report ("cannot start a thread: %s", strerror (error));
        return -1;
    }
    int64_t count = s_receive_until (self, s_now_ns () + (int64_t) (seconds * 1e9 / WARM_UP_PART));
    int64_t start_ns = s_now_ns ();
    if (count >= 0)
        count = s_receive_until (self, start_ns + (int64_t) (seconds * 1e9));
    double passed_s = (double) (s_now_ns () - start_ns) / 1e9;
    zconfig_t *status = s_status_after_commit (self);
    atomic_store (&self->enough, true);
    pthread_join (producer, NULL);
    if (status && count >= 0) {
        result->rate = (double) count / passed_s;
        result->commit_messages = atof (zconfig_get (status, "store/commit_messages_p50", "0"));
        result->t1_us = atof (zconfig_get (status, "t1/p50_us", "0"));
        result->t2_us = atof (zconfig_get (status, "t2/p50_us", "0"));
    }
    zconfig_destroy (&status);
    return count < 0 || stop_requested ()? -1: 0;
}

//  Two devices, so that what each tells of its commits belongs to one of the measurements.
int
trial_device (const trial_t *self, const char *durability, trial_device_t *result)
{
    s_trial_t trial;
    int rc = s_start (&trial, self, durability, "one");
    if (rc == 0)
        rc = s_measure_latency (&trial, self->seconds, &result->latency);
    s_end (&trial);
    if (rc == 0) {
        rc = s_start (&trial, self, durability, "stream");
        if (rc == 0)
            rc = s_measure_rate (&trial, self->seconds, result);
        s_end (&trial);
    }
    return rc || stop_requested ()? -1: 0;
}
