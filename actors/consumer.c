//  consumer.c - receives messages of a spool through a device's service, and acknowledges them
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Threads. The actor receives runs, and puts them into a list; the application takes messages from
//  the first one, and notes what is to be acknowledged. Both hold `mutex` while they touch what they
//  share; when it is free, as nearly always, that costs some 20 ns. They wake each other over the
//  actor's pipe, with an empty message.
//
//  Invariants
//  1. What the application has taken, and neither acknowledged nor given back, is in `held`, if it was
//     delivered in this session and generation.
//  2. Credit is given back for messages when the application has taken them.

#include "consumer.h"
#include "block.h"
#include "client.h"
#include "lease.h"
#include "run.h"
#include "zspool_start.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

//  Acknowledgements are sent after so long at the latest
#define ACK_MS 20
//  How long a wait lasts before a signal is looked for
#define SLICE_MS 100
#define SUBSCRIPTION 1             //  our number of it
#define US 1                       //  who holds, in `held`

//  Requests, by their numbers
enum { REQUEST_OPEN = 3, REQUEST_SUBSCRIBE = 4, REQUEST_SEEK = 5, REQUEST_FLUSH = 6 };

//  A frame of records that was received
typedef struct s_parcel s_parcel_t;
struct s_parcel {
    zmq_msg_t frame;
    uint64_t first;                //  sequence
    uint32_t count;
    uint16_t deliveries;
    int64_t stored_us;
    s_parcel_t *next;
};

//  Something to be said of deliveries
typedef struct {
    uint8_t command;               //  ACK, REJECT, EXTEND
    uint8_t flags;
    uint32_t time_ms;
    zsp_range_t range;
    char *reason;                  //  or NULL
} s_word_t;

struct zspool_consumer {
    //  The application's
    char endpoint [1024];
    char spool [ZSP_NAME_BYTES_MAX + 1];
    char cursor [ZSP_NAME_BYTES_MAX + 1];
    char start [ZSP_TEXT_BYTES_MAX + 1];
    bool create;
    bool exclusive;
    uint64_t prefetch_messages;
    uint64_t prefetch_bytes;
    int64_t timeout_ms;
    uint64_t heartbeat_ms;
    zsp_text_t filters [ZSP_FILTERS_MAX];
    size_t filters_count;
    zactor_t *actor;
    s_parcel_t *current;           //  that the application takes messages from
    zspool_record_t record;        //  the last one taken
    char reason [256];

    //  Shared
    pthread_mutex_t mutex;
    int failed;                    //  for good: a code
    char failure [256];
    bool subscribed;
    bool ever;                     //  it was, once
    bool active;
    uint32_t generation;
    uint64_t session;
    s_parcel_t *parcels;           //  received, in order
    s_parcel_t **parcels_end;
    size_t ahead;                  //  messages in them
    zspool_leases_t *held;
    s_word_t *words;               //  to be said, in order
    size_t words_count;
    size_t words_max;
    int64_t words_ms;              //  when the first of them came
    bool words_now;                //  say them at once
    uint64_t taken_messages;       //  since credit was given last
    uint64_t taken_bytes;
    uint64_t stale;
    bool unsure;                   //  words were noted since the last flush,
    bool unsure_lost;              //  and the connection was lost, which the next one tells
    char seek [ZSP_TEXT_BYTES_MAX + 1]; //  where to move the cursor; "": nowhere
    bool seek_sent;
    int seek_rc;                   //  1: not answered
    bool flush;                    //  wanted
    bool flush_sent;
    int flush_rc;                  //  1: not answered
    bool app_waits;
    bool app_polls;
    bool actor_waits;

    //  The actor's
    zspool_client_t client;
    uint32_t handle;               //  of the spool, in this session
};

//  ------------------------------------------------------------------------------------------------
//  Creating, and options

static int
s_fail (zspool_consumer_t *self, int code, const char *text)
{
    snprintf (self->reason, sizeof self->reason, "%s", text? text: zspool_strerror (code));
    return code;
}

zspool_consumer_t *
zspool_consumer_new (const char *endpoint, const char *spool, const char *cursor)
{
    zspool_consumer_t *self = (zspool_consumer_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->held = zspool_leases_new ();
    if (!self->held) {
        free (self);
        return NULL;
    }
    snprintf (self->endpoint, sizeof self->endpoint, "%s", endpoint? endpoint: "");
    snprintf (self->spool, sizeof self->spool, "%s", spool? spool: "");
    snprintf (self->cursor, sizeof self->cursor, "%s", cursor? cursor: "");
    strcpy (self->start, "all");
    self->create = true;
    self->prefetch_messages = 10000;
    self->prefetch_bytes = 4 * 1024 * 1024;
    self->timeout_ms = 30000;
    self->heartbeat_ms = ZSP_HEARTBEAT_MS;
    self->parcels_end = &self->parcels;
    pthread_mutex_init (&self->mutex, NULL);
    return self;
}

static void
s_free_parcel (s_parcel_t **parcel_p)
{
    if (*parcel_p) {
        zmq_msg_close (&(*parcel_p)->frame);
        free (*parcel_p);
    }
    *parcel_p = NULL;
}

static void
s_free_parcels (zspool_consumer_t *self)
{
    while (self->parcels) {
        s_parcel_t *parcel = self->parcels;
        self->parcels = parcel->next;
        s_free_parcel (&parcel);
    }
    self->parcels_end = &self->parcels;
    self->ahead = 0;
}

static void
s_free_words (zspool_consumer_t *self)
{
    while (self->words_count > 0)
        free (self->words [--self->words_count].reason);
}

void
zspool_consumer_destroy (zspool_consumer_t **self_p)
{
    zspool_consumer_t *self = *self_p;
    if (!self)
        return;
    if (self->actor) {
        pthread_mutex_lock (&self->mutex);
        self->words_now = true;
        pthread_mutex_unlock (&self->mutex);
        zactor_destroy (&self->actor);
        //  All that the actor did lies before this, also for who knows nothing of ZeroMQ's signals.
        pthread_mutex_lock (&self->mutex);
        pthread_mutex_unlock (&self->mutex);
    }
    s_free_parcels (self);
    s_free_parcel (&self->current);
    s_free_words (self);
    free (self->words);
    for (size_t index = 0; index < self->filters_count; index++)
        free ((void *) (uintptr_t) self->filters [index].data);
    zspool_leases_destroy (&self->held);
    pthread_mutex_destroy (&self->mutex);
    free (self);
    *self_p = NULL;
}

static int
s_add_filter (zspool_consumer_t *self, const char *value)
{
    if (self->filters_count == ZSP_FILTERS_MAX)
        return s_fail (self, ZSPOOL_EINVAL, "filter: there are too many");
    if (strlen (value) > ZSP_FILTER_BYTES_MAX)
        return s_fail (self, ZSPOOL_EINVAL, "filter: it is too long");
    char *copy = strdup (value);
    if (!copy)
        return s_fail (self, ZSPOOL_ENOMEM, NULL);
    self->filters [self->filters_count++] = (zsp_text_t){ copy, strlen (copy) };
    return ZSPOOL_OK;
}

static int
s_set_switch (zspool_consumer_t *self, const char *option, const char *value, bool *field)
{
    if (!streq (value, "on") && !streq (value, "off")) {
        snprintf (self->reason, sizeof self->reason, "%s: must be on or off", option);
        return ZSPOOL_EINVAL;
    }
    *field = streq (value, "on");
    return ZSPOOL_OK;
}

static int
s_set_start (zspool_consumer_t *self, const char *value)
{
    zspool_start_t start;
    if (strlen (value) > ZSP_TEXT_BYTES_MAX || zspool_start_parse (&start, value))
        return s_fail (self, ZSPOOL_EINVAL, "start: must be all, new, last:N, a sequence or a time");
    strcpy (self->start, value);
    return ZSPOOL_OK;
}

int
zspool_consumer_set (zspool_consumer_t *self, const char *option, const char *value)
{
    if (self->actor || !option || !value)
        return s_fail (self, ZSPOOL_EINVAL, "options are set before connecting");
    size_t size = sizeof self->reason;
    if (streq (option, "filter"))
        return s_add_filter (self, value);
    if (streq (option, "start"))
        return s_set_start (self, value);
    if (streq (option, "create"))
        return s_set_switch (self, option, value, &self->create);
    if (streq (option, "exclusive"))
        return s_set_switch (self, option, value, &self->exclusive);
    if (streq (option, "prefetch-messages"))
        return zspool_client_parse (option, value, 1, 1000000, &self->prefetch_messages, self->reason, size);
    if (streq (option, "prefetch-bytes"))
        return zspool_client_parse (option, value, 1024, 1ULL << 30, &self->prefetch_bytes, self->reason, size);
    if (streq (option, "heartbeat"))
        return zspool_client_parse (option, value, ZSP_HEARTBEAT_MS_MIN, ZSP_HEARTBEAT_MS_MAX, &self->heartbeat_ms,
                                    self->reason, size);
    if (streq (option, "timeout")) {
        uint64_t number = 0;
        int rc = zspool_client_parse (option, value, 0, 86400000, &number, self->reason, size);
        if (rc == ZSPOOL_OK)
            self->timeout_ms = (int64_t) number;
        return rc;
    }
    snprintf (self->reason, size, "%.80s: no such option", option);
    return ZSPOOL_EINVAL;
}

void
zspool_consumer_set_timeout (zspool_consumer_t *self, int64_t timeout_ms)
{
    self->timeout_ms = timeout_ms;
}

//  ------------------------------------------------------------------------------------------------
//  Actor: what the service says. The mutex is held.

static void
s_wake_app (zspool_consumer_t *self, zsock_t *pipe)
{
    bool polls = self->app_polls && (self->parcels || self->failed);
    if (!self->app_waits && !polls)
        return;
    self->app_waits = self->app_polls = false;
    zmq_send (zsock_resolve (pipe), "", 0, ZMQ_DONTWAIT);
}

//  What was received in the session, or the generation, before is void. Its credit is given again.
static void
s_void (zspool_consumer_t *self)
{
    for (const s_parcel_t *parcel = self->parcels; parcel; parcel = parcel->next) {
        self->taken_messages += parcel->count;
        self->taken_bytes += zmq_msg_size (&parcel->frame);
    }
    s_free_parcels (self);
    s_free_words (self);
    zspool_leases_drop (self->held, 1, UINT64_MAX, NULL, NULL);
}

static void
s_lost (zspool_consumer_t *self)
{
    s_void (self);
    self->taken_messages = self->taken_bytes = 0;
    self->unsure_lost = self->unsure_lost || self->unsure;
    self->unsure = false;
    self->subscribed = false;
    self->handle = 0;
    self->seek_sent = false;
    if (self->flush)
        self->flush_rc = ZSPOOL_ELOST;
}

static void
s_give_credit (zspool_consumer_t *self, uint64_t messages, uint64_t bytes)
{
    zsp_t credit = { .command = ZSP_CREDIT };
    credit.as.credit.subscription = SUBSCRIPTION;
    credit.as.credit.messages = (uint32_t) messages;
    credit.as.credit.bytes = bytes;
    zspool_client_send (&self->client, &credit, NULL, NULL, 0);
}

static void
s_handle_subscribed (zspool_consumer_t *self)
{
    const zsp_t *command = &self->client.command;
    if (self->ever && self->subscribed && command->as.subscribed.generation != self->generation)
        s_void (self);
    self->generation = command->as.subscribed.generation;
    self->session = self->client.session;
    self->active = command->flags & ZSP_FLAG_ACTIVE;
    self->subscribed = self->ever = true;
    if (command->request == REQUEST_SEEK && self->seek_rc == 1)
        self->seek_rc = ZSPOOL_OK;
}

static void
s_handle_deliver (zspool_consumer_t *self)
{
    const zsp_t *command = &self->client.command;
    if (!self->subscribed || command->as.deliver.generation != self->generation)
        return;
    for (size_t index = 0; index < command->as.deliver.slices_count; index++) {
        zsp_slice_t slice = zsp_slice (command, index);
        s_parcel_t *parcel = (s_parcel_t *) calloc (1, sizeof *parcel);
        if (!parcel)
            return; //  it is delivered again when its time is over
        zmq_msg_init (&parcel->frame);
        zmq_msg_move (&parcel->frame, &self->client.frames [1 + index]);
        parcel->first = slice.first;
        parcel->count = slice.count;
        parcel->deliveries = slice.deliveries;
        parcel->stored_us = slice.stored_us;
        *self->parcels_end = parcel;
        self->parcels_end = &parcel->next;
        self->ahead += slice.count;
    }
}

static void
s_handle_error (zspool_consumer_t *self)
{
    const zsp_t *command = &self->client.command;
    int code = -(int) command->as.error.code;
    switch (command->as.error.about) {
    case ZSP_ACK:
    case ZSP_REJECT:
    case ZSP_EXTEND: self->stale++; return;
    case ZSP_SEEK: self->seek_rc = code; return;
    case ZSP_FLUSH: self->flush_rc = code; return;
    case ZSP_HELLO:
    case ZSP_OPEN:
    case ZSP_SUBSCRIBE: break;
    default:
        if (code == ZSPOOL_EPROTOCOL)
            return; //  the session was lost: it is greeted anew
    }
    if (self->failed)
        return;
    self->failed = code;
    snprintf (self->failure, sizeof self->failure, "%.*s", (int) command->as.error.text.size,
              command->as.error.text.data);
}

//  Open the spool, in a session that has begun.
static void
s_begin_session (zspool_consumer_t *self)
{
    const char *name = *self->spool? self->spool: self->client.spool;
    zsp_t open = { .command = ZSP_OPEN, .request = REQUEST_OPEN, .flags = self->create };
    open.as.open.spool = (zsp_text_t){ name, strlen (name) };
    zspool_client_send (&self->client, &open, NULL, NULL, 0);
}

static void
s_subscribe (zspool_consumer_t *self)
{
    zsp_t subscribe = { .command = ZSP_SUBSCRIBE, .request = REQUEST_SUBSCRIBE };
    subscribe.flags = (uint8_t) ((self->create? ZSP_FLAG_CREATE: 0) | (self->exclusive? ZSP_FLAG_EXCLUSIVE: 0));
    subscribe.as.subscribe.subscription = SUBSCRIPTION;
    subscribe.as.subscribe.spool = self->handle;
    subscribe.as.subscribe.messages = (uint32_t) self->prefetch_messages;
    subscribe.as.subscribe.bytes = self->prefetch_bytes;
    subscribe.as.subscribe.cursor = (zsp_text_t){ self->cursor, strlen (self->cursor) };
    subscribe.as.subscribe.start = (zsp_text_t){ self->start, strlen (self->start) };
    subscribe.as.subscribe.filters_count = (uint16_t) self->filters_count;
    zsp_lists_t lists = { .filters = self->filters };
    zspool_client_send (&self->client, &subscribe, &lists, NULL, 0);
}

static int
s_handle (zspool_consumer_t *self)
{
    const zsp_t *command = &self->client.command;
    switch (command->command) {
    case ZSP_WELCOME: s_begin_session (self); break;
    case ZSP_OPENED:
        self->handle = command->as.opened.spool;
        s_subscribe (self);
        break;
    case ZSP_SUBSCRIBED: s_handle_subscribed (self); break;
    case ZSP_DELIVER: s_handle_deliver (self); break;
    case ZSP_DONE:
        if (command->request == REQUEST_FLUSH && self->flush_rc == 1)
            self->flush_rc = ZSPOOL_OK;
        break;
    case ZSP_ERROR: s_handle_error (self); break;
    default: break;
    }
    return command->command == ZSP_ERROR && (command->flags & ZSP_FLAG_FATAL)? ZSPOOL_ELOST: ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Actor: sending. The mutex is held.

//  Whether two words can be said together
static bool
s_go_together (const s_word_t *one, const s_word_t *other)
{
    return one->command == other->command && one->flags == other->flags && one->time_ms == other->time_ms
           && !one->reason && !other->reason;
}

//  Say what is to be said of deliveries.
static void
s_say_words (zspool_consumer_t *self)
{
    static _Thread_local zsp_range_t ranges [ZSP_RANGES_MAX];
    size_t said = 0;
    while (said < self->words_count) {
        const s_word_t *word = &self->words [said];
        zsp_t command = { .command = word->command, .flags = word->flags };
        uint16_t count = 0;
        while (said < self->words_count && count < ZSP_RANGES_MAX && (count == 0 || s_go_together (word, &self->words [said])))
            ranges [count++] = self->words [said++].range;
        command.as.ranges.subscription = SUBSCRIPTION;
        command.as.ranges.generation = self->generation;
        command.as.ranges.time_ms = word->time_ms;
        command.as.ranges.ranges_count = count;
        if (word->reason)
            command.as.ranges.reason = (zsp_text_t){ word->reason, strlen (word->reason) };
        zsp_lists_t lists = { .ranges = ranges };
        zspool_client_send (&self->client, &command, &lists, NULL, 0);
    }
    s_free_words (self);
    self->words_now = false;
}

//  Send what is due. Gives when something will be.
static int64_t
s_send_due (zspool_consumer_t *self, int64_t now_ms)
{
    int64_t due_ms = INT64_MAX;
    if (!self->subscribed)
        return due_ms;
    if (self->words_count > 0 && (self->words_now || self->flush || now_ms - self->words_ms >= ACK_MS))
        s_say_words (self);
    else if (self->words_count > 0)
        due_ms = self->words_ms + ACK_MS;
    if (self->taken_messages > self->prefetch_messages / 4 || self->taken_bytes > self->prefetch_bytes / 4
        || (self->taken_messages > 0 && self->ahead == 0)) {
        s_give_credit (self, self->taken_messages, self->taken_bytes);
        self->taken_messages = self->taken_bytes = 0;
    }
    if (*self->seek && !self->seek_sent) {
        zsp_t seek = { .command = ZSP_SEEK, .request = REQUEST_SEEK };
        seek.as.seek.subscription = SUBSCRIPTION;
        seek.as.seek.start = (zsp_text_t){ self->seek, strlen (self->seek) };
        self->seek_sent = zspool_client_send (&self->client, &seek, NULL, NULL, 0) == ZSPOOL_OK;
    }
    if (self->flush && !self->flush_sent) {
        zsp_t flush = { .command = ZSP_FLUSH, .request = REQUEST_FLUSH };
        self->flush_sent = zspool_client_send (&self->client, &flush, NULL, NULL, 0) == ZSPOOL_OK;
    }
    return due_ms;
}

//  ------------------------------------------------------------------------------------------------
//  Actor: loop

static bool
s_receive_all (zspool_consumer_t *self, int64_t now_ms)
{
    for (int count = 0; count < 1000; count++) {
        int rc = zspool_client_receive (&self->client, now_ms);
        if (rc == ZSPOOL_ENOENT)
            return true;
        if (rc == ZSPOOL_OK)
            rc = s_handle (self);
        if (rc) {
            zspool_client_drop (&self->client, now_ms);
            return false;
        }
    }
    return true;
}

static int64_t
s_work (zspool_consumer_t *self, zsock_t *pipe)
{
    int64_t now_ms = zclock_mono ();
    bool lost = !s_receive_all (self, now_ms), cut = false;
    int64_t due_ms = zspool_client_work (&self->client, now_ms, &cut);
    if (lost || cut)
        s_lost (self);
    int64_t send_ms = s_send_due (self, now_ms);
    s_wake_app (self, pipe);
    return send_ms < due_ms? send_ms: due_ms;
}

static void
s_consumer (zsock_t *pipe, void *args)
{
    zspool_consumer_t *self = (zspool_consumer_t *) args;
    bool ending = false;
    zsock_signal (pipe, 0);
    while (!ending) {
        pthread_mutex_lock (&self->mutex);
        int64_t due_ms = s_work (self, pipe);
        self->actor_waits = true;
        pthread_mutex_unlock (&self->mutex);
        int64_t left_ms = due_ms - zclock_mono ();
        zmq_pollitem_t items [] = { { zsock_resolve (pipe), 0, ZMQ_POLLIN, 0 },
                                    { self->client.socket, -1, ZMQ_POLLIN, 0 },
                                    { self->client.monitor, -1, ZMQ_POLLIN, 0 } };
        int count = !self->client.socket? 1: self->client.monitor? 3: 2;
        if (zmq_poll (items, count, left_ms > 0? (long) left_ms: 0) < 0 && zmq_errno () == ETERM)
            break;
        pthread_mutex_lock (&self->mutex);
        self->actor_waits = false;
        pthread_mutex_unlock (&self->mutex);
        char command [8];
        int size;
        while ((size = zmq_recv (zsock_resolve (pipe), command, sizeof command, ZMQ_DONTWAIT)) >= 0)
            ending = ending || size > 0;
    }
    pthread_mutex_lock (&self->mutex);
    if (self->subscribed)
        s_say_words (self);
    zspool_client_end (&self->client, true);
    pthread_mutex_unlock (&self->mutex);
}

//  ------------------------------------------------------------------------------------------------
//  Application: waiting. The mutex is held, and let go meanwhile.

static void
s_wake_actor (zspool_consumer_t *self)
{
    if (!self->actor_waits)
        return;
    self->actor_waits = false;
    zmq_send (zsock_resolve (self->actor), "", 0, ZMQ_DONTWAIT);
}

//  Wait until the actor has something to tell, or a time. ETIMEDOUT, ECANCELED.
static int
s_wait (zspool_consumer_t *self, int64_t until_ms)
{
    int64_t left_ms = until_ms - zclock_mono ();
    if (left_ms <= 0)
        return ZSPOOL_ETIMEDOUT;
    self->app_waits = true;
    pthread_mutex_unlock (&self->mutex);
    zmq_pollitem_t item = { zsock_resolve (self->actor), 0, ZMQ_POLLIN, 0 };
    int rc = zmq_poll (&item, 1, left_ms < SLICE_MS? (long) left_ms: SLICE_MS);
    char command [8];
    if (rc > 0)
        zmq_recv (item.socket, command, sizeof command, ZMQ_DONTWAIT);
    pthread_mutex_lock (&self->mutex);
    return zsys_interrupted? ZSPOOL_ECANCELED: ZSPOOL_OK;
}

static int
s_failed (zspool_consumer_t *self)
{
    return self->failed? s_fail (self, self->failed, *self->failure? self->failure: NULL): ZSPOOL_OK;
}

int
zspool_consumer_connect (zspool_consumer_t *self)
{
    if (!self->actor) {
        if (!zspool_client_is_endpoint (self->endpoint))
            return s_fail (self, ZSPOOL_EADDR, "not an endpoint to connect to");
        if (!*self->cursor)
            return s_fail (self, ZSPOOL_EINVAL, "a cursor needs a name");
        zspool_client_init (&self->client, self->endpoint, (uint32_t) self->heartbeat_ms);
        self->actor = zactor_new (s_consumer, self);
        if (!self->actor)
            return s_fail (self, ZSPOOL_ENOMEM, NULL);
    }
    int64_t until_ms = zclock_mono () + self->timeout_ms;
    pthread_mutex_lock (&self->mutex);
    int rc = s_failed (self);
    while (rc == ZSPOOL_OK && !self->ever) {
        rc = s_wait (self, until_ms);
        if (rc == ZSPOOL_OK)
            rc = s_failed (self);
    }
    pthread_mutex_unlock (&self->mutex);
    return rc == ZSPOOL_ETIMEDOUT? s_fail (self, rc, "nobody answers"): rc;
}

//  ------------------------------------------------------------------------------------------------
//  Application: receiving

//  The next message of the run at hand; false: there is none.
static bool
s_next_record (zspool_consumer_t *self, zspool_delivery_t *delivery)
{
    s_parcel_t *parcel = self->current;
    if (!parcel
        || !zspool_run_next (zmq_msg_data (&parcel->frame), zmq_msg_size (&parcel->frame), parcel->first,
                             &self->record))
        return false;
    delivery->sequence = self->record.sequence;
    delivery->deliveries = parcel->deliveries;
    delivery->stored_us = parcel->stored_us;
    delivery->record = self->record;
    return true;
}

//  Note that we hold these: also when they come again, as their time was over, and are held already.
//  When memory is out they cannot be acknowledged, and are delivered again.
static void
s_hold (zspool_consumer_t *self, uint64_t first, uint64_t last)
{
    if (zspool_leases_drop (self->held, first, last, NULL, NULL) != UINT64_MAX)
        zspool_leases_grant (self->held, first, last, US, INT64_MAX);
}

//  Take the next run; false: there is none. The mutex is held.
static bool
s_next_parcel (zspool_consumer_t *self)
{
    s_free_parcel (&self->current);
    s_parcel_t *parcel = self->parcels;
    if (!parcel)
        return false;
    self->parcels = parcel->next;
    if (!self->parcels)
        self->parcels_end = &self->parcels;
    self->ahead -= parcel->count;
    self->current = parcel;
    memset (&self->record, 0, sizeof self->record);
    s_hold (self, parcel->first, parcel->first + parcel->count - 1);
    self->taken_messages += parcel->count;
    self->taken_bytes += zmq_msg_size (&parcel->frame);
    if (self->taken_messages > self->prefetch_messages / 4 || self->taken_bytes > self->prefetch_bytes / 4
        || self->ahead == 0)
        s_wake_actor (self);
    return true;
}

int
zspool_consumer_recv (zspool_consumer_t *self, int timeout_ms, zspool_delivery_t *delivery)
{
    if (!self->actor)
        return s_fail (self, ZSPOOL_EINVAL, "it is not connected");
    //  What became void while it was being taken is given all the same; acknowledging it is stale.
    if (s_next_record (self, delivery))
        return ZSPOOL_OK;
    int64_t until_ms = timeout_ms < 0? INT64_MAX / 2: zclock_mono () + timeout_ms;
    pthread_mutex_lock (&self->mutex);
    int rc = ZSPOOL_OK;
    while (rc == ZSPOOL_OK && !s_next_parcel (self)) {
        rc = s_failed (self);
        if (rc == ZSPOOL_OK && self->words_count > 0) {
            self->words_now = true;
            s_wake_actor (self);
        }
        if (rc == ZSPOOL_OK)
            rc = s_wait (self, until_ms);
    }
    if (rc) {
        self->app_polls = true;
        s_fail (self, rc, rc == ZSPOOL_ETIMEDOUT? "no message has come": self->failed? self->failure: NULL);
    }
    pthread_mutex_unlock (&self->mutex);
    if (rc) {
        char command [8];
        while (zmq_recv (zsock_resolve (self->actor), command, sizeof command, ZMQ_DONTWAIT) >= 0)
            ;
        return rc;
    }
    return s_next_record (self, delivery)? ZSPOOL_OK: s_fail (self, ZSPOOL_ECORRUPT, NULL);
}

zmsg_t *
zspool_consumer_recv_msg (zspool_consumer_t *self, int timeout_ms, uint64_t *sequence)
{
    zspool_delivery_t delivery;
    if (zspool_consumer_recv (self, timeout_ms, &delivery))
        return NULL;
    zmsg_t *message = zmsg_new ();
    zspool_frame_t frame;
    while (message && zspool_record_next_frame (&delivery.record, &frame))
        zmsg_addmem (message, frame.data, frame.size);
    if (message)
        *sequence = delivery.sequence;
    return message;
}

//  ------------------------------------------------------------------------------------------------
//  Application: acknowledging

//  Note a word: acknowledgements in a row are one. The mutex is held.
static int
s_add_word (zspool_consumer_t *self, const s_word_t *word)
{
    s_word_t *last = self->words_count? &self->words [self->words_count - 1]: NULL;
    self->unsure = true;
    if (last && s_go_together (last, word) && last->range.last + 1 == word->range.first) {
        last->range.last = word->range.last;
        return ZSPOOL_OK;
    }
    if (self->words_count == self->words_max) {
        size_t max = self->words_max? 2 * self->words_max: 64;
        s_word_t *words = (s_word_t *) realloc (self->words, max * sizeof *words);
        if (!words)
            return ZSPOOL_ENOMEM;
        self->words = words;
        self->words_max = max;
    }
    if (self->words_count == 0) {
        self->words_ms = zclock_mono ();
        s_wake_actor (self); //  it has to look at the clock for them
    }
    self->words [self->words_count++] = *word;
    if (self->words_count >= ZSP_RANGES_MAX / 2) {
        self->words_now = true;
        s_wake_actor (self);
    }
    return ZSPOOL_OK;
}

typedef struct {
    zspool_consumer_t *self;
    s_word_t word;
    int rc;
} s_noting_t;

static void
s_note (void *arg, const zspool_lease_t *lease)
{
    s_noting_t *noting = (s_noting_t *) arg;
    noting->word.range = (zsp_range_t){ lease->first, lease->last };
    if (noting->rc == ZSPOOL_OK)
        noting->rc = s_add_word (noting->self, &noting->word);
}

//  Whether a message of the run at hand has not been taken yet: it cannot be spoken of.
static bool
s_is_ahead (const zspool_consumer_t *self, uint64_t sequence)
{
    const s_parcel_t *parcel = self->current;
    return parcel && sequence > self->record.sequence && sequence >= parcel->first
           && sequence < parcel->first + parcel->count;
}

//  Take what is held of first..last, but for what has not been taken yet of the run at hand.
static uint64_t
s_take_seen (zspool_consumer_t *self, uint64_t first, uint64_t last, zspool_lease_fn note, void *arg)
{
    const s_parcel_t *parcel = self->current;
    uint64_t seen_last = parcel? self->record.sequence: last;
    if (!parcel || last <= seen_last || first >= parcel->first + parcel->count)
        return zspool_leases_take (self->held, US, first, last, note, arg);
    uint64_t behind = parcel->first + parcel->count, messages = 0, more = 0;
    if (first <= seen_last)
        messages = zspool_leases_take (self->held, US, first, seen_last, note, arg);
    if (messages != UINT64_MAX && last >= behind)
        more = zspool_leases_take (self->held, US, behind, last, note, arg);
    return more == UINT64_MAX? more: messages + more;
}

//  Say something of what is held in first..last, and let go of it.
static int
s_say (zspool_consumer_t *self, uint64_t first, uint64_t last, const s_word_t *word)
{
    if (!self->actor)
        return s_fail (self, ZSPOOL_EINVAL, "it is not connected");
    s_noting_t noting = { self, *word, ZSPOOL_OK };
    pthread_mutex_lock (&self->mutex);
    uint64_t messages = s_take_seen (self, first, last, s_note, &noting);
    pthread_mutex_unlock (&self->mutex);
    if (messages == 0)
        return s_fail (self, ZSPOOL_ESTALE, "it is not held");
    if (messages == UINT64_MAX)
        noting.rc = ZSPOOL_ENOMEM;
    return noting.rc? s_fail (self, noting.rc, NULL): ZSPOOL_OK;
}

int
zspool_consumer_ack (zspool_consumer_t *self, uint64_t sequence)
{
    s_word_t word = { .command = ZSP_ACK };
    return s_say (self, sequence, sequence, &word);
}

int
zspool_consumer_ack_to (zspool_consumer_t *self, uint64_t sequence)
{
    s_word_t word = { .command = ZSP_ACK };
    return s_say (self, 1, sequence, &word);
}

int
zspool_consumer_reject (zspool_consumer_t *self, uint64_t sequence, uint32_t delay_ms)
{
    s_word_t word = { .command = ZSP_REJECT, .time_ms = delay_ms < ZSP_TIME_MS_MAX? delay_ms: ZSP_TIME_MS_MAX };
    return s_say (self, sequence, sequence, &word);
}

int
zspool_consumer_bury (zspool_consumer_t *self, uint64_t sequence, const char *reason)
{
    s_word_t word = { .command = ZSP_REJECT, .flags = ZSP_FLAG_DEAD };
    if (reason && *reason) {
        word.reason = strndup (reason, ZSP_TEXT_BYTES_MAX);
        if (!word.reason)
            return s_fail (self, ZSPOOL_ENOMEM, NULL);
    }
    int rc = s_say (self, sequence, sequence, &word);
    if (rc)
        free (word.reason);
    return rc;
}

int
zspool_consumer_extend (zspool_consumer_t *self, uint64_t sequence, uint32_t time_ms)
{
    s_word_t word = {
        .command = ZSP_EXTEND, .time_ms = time_ms < ZSP_TIME_MS_MAX? time_ms: ZSP_TIME_MS_MAX,
        .range = { sequence, sequence }
    };
    pthread_mutex_lock (&self->mutex);
    bool held = self->actor && !s_is_ahead (self, sequence)
                && zspool_leases_holds (self->held, US, sequence, sequence);
    int rc = held? s_add_word (self, &word): ZSPOOL_ESTALE;
    if (rc == ZSPOOL_OK) {
        self->words_now = true;
        s_wake_actor (self);
    }
    pthread_mutex_unlock (&self->mutex);
    return rc? s_fail (self, rc, NULL): ZSPOOL_OK;
}

int
zspool_consumer_claim (zspool_consumer_t *self, uint64_t sequence, zsp_acked_t *acked)
{
    pthread_mutex_lock (&self->mutex);
    uint64_t messages = !self->actor || s_is_ahead (self, sequence)?
                            0:
                            zspool_leases_take (self->held, US, sequence, sequence, NULL, NULL);
    *acked = (zsp_acked_t){ self->session, SUBSCRIPTION, self->generation, { sequence, sequence } };
    pthread_mutex_unlock (&self->mutex);
    return messages == 1? ZSPOOL_OK: messages? ZSPOOL_ENOMEM: ZSPOOL_ESTALE;
}

void
zspool_consumer_unclaim (zspool_consumer_t *self, const zsp_acked_t *acked)
{
    pthread_mutex_lock (&self->mutex);
    if (self->subscribed && self->session == acked->session && self->generation == acked->generation)
        s_hold (self, acked->range.first, acked->range.last);
    pthread_mutex_unlock (&self->mutex);
}

//  ------------------------------------------------------------------------------------------------
//  Application: the rest

int
zspool_consumer_seek (zspool_consumer_t *self, const char *start)
{
    zspool_start_t parsed;
    if (!self->actor || !start || strlen (start) > ZSP_TEXT_BYTES_MAX || zspool_start_parse (&parsed, start))
        return s_fail (self, ZSPOOL_EINVAL, "no such start, or it is not connected");
    int64_t until_ms = zclock_mono () + self->timeout_ms;
    pthread_mutex_lock (&self->mutex);
    strcpy (self->seek, start);
    self->seek_sent = false;
    self->seek_rc = 1;
    s_wake_actor (self);
    int rc = ZSPOOL_OK;
    while (rc == ZSPOOL_OK && self->seek_rc == 1) {
        rc = s_wait (self, until_ms);
        if (rc == ZSPOOL_OK && self->seek_rc == 1)
            rc = s_failed (self);
    }
    *self->seek = 0;
    if (rc == ZSPOOL_OK)
        rc = self->seek_rc;
    pthread_mutex_unlock (&self->mutex);
    if (rc == ZSPOOL_OK)
        s_free_parcel (&self->current); //  of before
    return rc? s_fail (self, rc, NULL): ZSPOOL_OK;
}

int
zspool_consumer_flush (zspool_consumer_t *self)
{
    if (!self->actor)
        return s_fail (self, ZSPOOL_EINVAL, "it is not connected");
    int64_t until_ms = zclock_mono () + self->timeout_ms;
    pthread_mutex_lock (&self->mutex);
    self->flush = true;
    self->flush_sent = false;
    self->flush_rc = self->subscribed && !self->unsure_lost? 1: ZSPOOL_ELOST;
    s_wake_actor (self);
    int rc = ZSPOOL_OK;
    while (rc == ZSPOOL_OK && self->flush_rc == 1) {
        rc = s_wait (self, until_ms);
        if (rc == ZSPOOL_OK && self->flush_rc == 1)
            rc = s_failed (self);
    }
    self->flush = false;
    if (rc == ZSPOOL_OK) {
        rc = self->flush_rc;
        self->unsure = self->unsure && rc;
        self->unsure_lost = false;
    }
    pthread_mutex_unlock (&self->mutex);
    return rc? s_fail (self, rc, NULL): ZSPOOL_OK;
}

bool
zspool_consumer_active (zspool_consumer_t *self)
{
    pthread_mutex_lock (&self->mutex);
    bool active = self->subscribed && self->active;
    pthread_mutex_unlock (&self->mutex);
    return active;
}

size_t
zspool_consumer_ahead (zspool_consumer_t *self)
{
    pthread_mutex_lock (&self->mutex);
    size_t ahead = self->ahead;
    pthread_mutex_unlock (&self->mutex);
    return ahead;
}

uint64_t
zspool_consumer_stale (zspool_consumer_t *self)
{
    pthread_mutex_lock (&self->mutex);
    uint64_t stale = self->stale;
    pthread_mutex_unlock (&self->mutex);
    return stale;
}

zsock_t *
zspool_consumer_socket (zspool_consumer_t *self)
{
    return self->actor? zactor_sock (self->actor): NULL;
}

const char *
zspool_consumer_reason (const zspool_consumer_t *self)
{
    return self->reason;
}
