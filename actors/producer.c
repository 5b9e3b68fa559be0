//  producer.c - puts messages into the spools of a device's service, and knows which are safe
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Threads. The application packs messages into a block, the run being filled; the actor sends runs,
//  keeps them until nobody can ask for them any more, and takes in what was confirmed. Both hold
//  `mutex` while they touch what they share, for no longer than it takes to copy a message: when it
//  is free, as nearly always, that costs some 20 ns. They wake each other over the actor's pipe, with
//  an empty message, once for each time that the other one waits.
//
//  Invariants
//  1. Runs are in order of their numbers, without a gap; those before `unsent` were sent in this session.
//  2. A run is kept until it is durable, or, without a name and at the level cached, until it was cached:
//     whatever the service can ask for again is there.
//  3. While a transaction is under way nothing else is sent.

#include "zspool_producer.h"
#include "block.h"
#include "client.h"
#include "consumer.h"
#include "run.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

//  Runs that are sent, not confirmed, before a run that is not full has to wait
#define RUNS_SENT_MAX 2
//  Blocks that are used again
#define POOL_BLOCKS 40
//  How long a wait lasts before a signal is looked for
#define SLICE_MS 100

//  Messages with consecutive numbers that go to one spool
typedef struct s_run s_run_t;
struct s_run {
    zspool_block_t *block;         //  not sealed: its records are what is sent
    uint64_t first;                //  number
    uint64_t last;
    size_t spool;                  //  in `spools`
    uint8_t level;                 //  zsp_level_t
    s_run_t *next;
};

//  A spool that was put into
typedef struct {
    char name [ZSP_NAME_BYTES_MAX + 1];
    uint32_t handle;               //  in this session; 0: not open yet
    bool asked;                    //  in this session
} s_spool_t;

typedef enum { TXN_NONE, TXN_OPEN, TXN_COMMITTING, TXN_SENT, TXN_ENDED } s_txn_state_t;

//  A delivery that a transaction acknowledges
typedef struct {
    zspool_consumer_t *consumer;
    zsp_acked_t acked;             //  a stretch
} s_ack_t;

struct zspool_producer {
    //  The application's
    char endpoint [1024];
    char name [ZSP_NAME_BYTES_MAX + 1];
    char spool [ZSP_NAME_BYTES_MAX + 1];
    bool create;
    uint64_t window_messages;
    uint64_t window_bytes;
    int64_t timeout_ms;
    int64_t linger_ms;
    uint64_t heartbeat_ms;
    uint8_t level;
    zactor_t *actor;
    zspool_block_pool_t *pool;
    uint64_t seen;                 //  confirmed when events () was called last
    char reason [256];

    //  Shared
    pthread_mutex_t mutex;
    bool ready;                    //  the first session is up: numbers are known
    int failed;                    //  for good: a code
    char failure [256];
    s_spool_t *spools;
    size_t spools_count;
    s_run_t *runs;                 //  sent and to be sent
    s_run_t **runs_end;
    s_run_t *unsent;               //  first one to be sent; NULL: none
    s_run_t *filling;              //  behind all these, or NULL
    uint64_t last;                 //  number given last
    uint64_t settled;              //  all runs up to here were let go
    uint64_t bytes;                //  of records that are kept
    bool app_waits;
    bool app_polls;                //  it is to be told when more is confirmed than it has seen
    bool actor_waits;
    bool wants_any;                //  the actor waits, and would send what is being filled
    bool wants_run;                //  the actor waits, and would send a run that is full
    bool flushing;                 //  the application waits for all: send what is being filled
    s_txn_state_t txn;
    s_run_t *staged;               //  of the transaction, in the order they were begun
    s_run_t **staged_end;
    size_t staged_count;
    uint64_t staged_bytes;
    s_ack_t *acks;
    size_t acks_count;
    size_t acks_max;
    uint64_t txn_number;
    int txn_rc;
    atomic_uint_fast64_t confirmed;
    atomic_uint_fast64_t committed;
    atomic_uint_fast64_t taken;    //  what the service has, as far as it has said

    //  The actor's
    zspool_client_t client;
    bool producing;                //  in this session
    uint32_t epoch;
    uint64_t base;                 //  without a name: numbers of this session begin behind it
    uint64_t sent_bytes;           //  sent, not confirmed
    size_t sent_runs;              //  likewise
    uint32_t window_service;       //  as the service has said
    bool held;
    uint64_t cached;               //  in our numbers
};

//  ------------------------------------------------------------------------------------------------
//  Creating, and options

static int
s_fail (zspool_producer_t *self, int code, const char *text)
{
    snprintf (self->reason, sizeof self->reason, "%s", text? text: zspool_strerror (code));
    return code;
}

zspool_producer_t *
zspool_producer_new (const char *endpoint)
{
    zspool_producer_t *self = (zspool_producer_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    snprintf (self->endpoint, sizeof self->endpoint, "%s", endpoint? endpoint: "");
    self->create = true;
    self->window_messages = 100000;
    self->window_bytes = 8 * 1024 * 1024;
    self->timeout_ms = 30000;
    self->linger_ms = 5000;
    self->heartbeat_ms = ZSP_HEARTBEAT_MS;
    self->runs_end = &self->runs;
    self->staged_end = &self->staged;
    pthread_mutex_init (&self->mutex, NULL);
    return self;
}

static int
s_set_level (zspool_producer_t *self, const char *level)
{
    static const char *const levels [] = { "default", "cached", "committed" };
    for (uint8_t index = 0; index < 3; index++)
        if (streq (level, levels [index])) {
            self->level = index;
            return ZSPOOL_OK;
        }
    return s_fail (self, ZSPOOL_EINVAL, "level: must be default, cached or committed");
}

static int
s_set_name (zspool_producer_t *self, char *field, const char *option, const char *value)
{
    size_t length = strlen (value);
    bool valid = length > 0 && length <= ZSP_NAME_BYTES_MAX;
    for (size_t index = 0; valid && index < length; index++)
        valid = (unsigned char) value [index] >= 33 && value [index] != '/';
    if (!valid) {
        snprintf (self->reason, sizeof self->reason, "%s: must be a name of 1 to %d bytes without blanks or slashes",
                  option, ZSP_NAME_BYTES_MAX);
        return ZSPOOL_EINVAL;
    }
    strcpy (field, value);
    return ZSPOOL_OK;
}

static int
s_set_number (zspool_producer_t *self, const char *option, const char *value, uint64_t min, uint64_t max,
              uint64_t *field)
{
    return zspool_client_parse (option, value, min, max, field, self->reason, sizeof self->reason);
}

int
zspool_producer_set (zspool_producer_t *self, const char *option, const char *value)
{
    if (self->actor || !option || !value)
        return s_fail (self, ZSPOOL_EINVAL, "options are set before connecting");
    uint64_t number = 0;
    int rc = ZSPOOL_OK;
    if (streq (option, "name"))
        return s_set_name (self, self->name, option, value);
    if (streq (option, "spool"))
        return s_set_name (self, self->spool, option, value);
    if (streq (option, "level"))
        return s_set_level (self, value);
    if (streq (option, "create")) {
        if (!streq (value, "on") && !streq (value, "off"))
            return s_fail (self, ZSPOOL_EINVAL, "create: must be on or off");
        self->create = streq (value, "on");
    }
    else if (streq (option, "window-messages"))
        rc = s_set_number (self, option, value, 1, 1000000, &self->window_messages);
    else if (streq (option, "window-bytes"))
        rc = s_set_number (self, option, value, 64 * 1024, 1ULL << 30, &self->window_bytes);
    else if (streq (option, "heartbeat"))
        rc = s_set_number (self, option, value, ZSP_HEARTBEAT_MS_MIN, ZSP_HEARTBEAT_MS_MAX, &self->heartbeat_ms);
    else if (streq (option, "timeout") || streq (option, "linger")) {
        rc = s_set_number (self, option, value, 0, 86400000, &number);
        if (rc == ZSPOOL_OK)
            *(streq (option, "timeout")? &self->timeout_ms: &self->linger_ms) = (int64_t) number;
    }
    else {
        snprintf (self->reason, sizeof self->reason, "%.80s: no such option", option);
        rc = ZSPOOL_EINVAL;
    }
    return rc;
}

int
zspool_producer_set_level (zspool_producer_t *self, const char *level)
{
    return s_set_level (self, level);
}

static void
s_free_run (s_run_t **run_p)
{
    s_run_t *run = *run_p;
    *run_p = NULL;
    if (run)
        zspool_block_destroy (&run->block);
    free (run);
}

static void
s_free_runs (s_run_t *run)
{
    while (run) {
        s_run_t *next = run->next;
        s_free_run (&run);
        run = next;
    }
}

//  ------------------------------------------------------------------------------------------------
//  Actor: what the service says. The mutex is held.

static void
s_wake_app (zspool_producer_t *self, zsock_t *pipe)
{
    bool polls = self->app_polls && (self->failed || atomic_load (&self->confirmed) > self->seen);
    if (!self->app_waits && !polls)
        return;
    self->app_waits = self->app_polls = false;
    zmq_send (zsock_resolve (pipe), "", 0, ZMQ_DONTWAIT);
}

static void
s_fail_for_good (zspool_producer_t *self, int code, zsp_text_t text)
{
    if (self->failed)
        return;
    self->failed = code;
    snprintf (self->failure, sizeof self->failure, "%.*s", (int) text.size, text.data);
}

//  The level at which a run counts as confirmed: whether it is that of being cached
static bool
s_is_cached_level (const zspool_producer_t *self, const s_run_t *run)
{
    return run->level == ZSP_LEVEL_CACHED || (run->level == ZSP_LEVEL_DEFAULT && self->client.durability == 1);
}

//  Let go of runs that nobody can ask for any more, and see how far all are confirmed.
static void
s_take_confirm (zspool_producer_t *self, uint64_t cached, uint64_t committed)
{
    uint64_t confirmed = self->settled;
    if (committed > atomic_load (&self->committed))
        atomic_store (&self->committed, committed);
    if (cached > self->cached)
        self->cached = cached;
    atomic_store (&self->taken, self->cached);
    committed = atomic_load (&self->committed);
    for (s_run_t *run = self->runs; run && run != self->unsent; run = run->next) {
        uint64_t to = s_is_cached_level (self, run)? self->cached: committed;
        confirmed = to < run->last? (to > confirmed? to: confirmed): run->last;
        if (to < run->last)
            break;
    }
    while (self->runs && self->runs != self->unsent) {
        s_run_t *run = self->runs;
        bool cached_will_do = !*self->name && s_is_cached_level (self, run);
        if (run->last > (cached_will_do? self->cached: committed))
            break;
        size_t size;
        zspool_block_records (run->block, &size);
        self->bytes -= size;
        self->sent_bytes -= size;
        self->sent_runs--;
        self->settled = run->last;
        self->runs = run->next;
        if (!self->runs)
            self->runs_end = &self->runs;
        s_free_run (&run);
    }
    if (self->settled > confirmed)
        confirmed = self->settled;
    if (confirmed > atomic_load (&self->confirmed))
        atomic_store (&self->confirmed, confirmed);
}

//  All that is not settled is to be sent again, from the run on that has this number.
static void
s_send_from (zspool_producer_t *self, uint64_t number)
{
    self->unsent = self->runs;
    self->sent_bytes = self->sent_runs = 0;
    while (self->unsent && self->unsent->last < number) {
        size_t size;
        zspool_block_records (self->unsent->block, &size);
        self->sent_bytes += size;
        self->sent_runs++;
        self->unsent = self->unsent->next;
    }
    if (self->txn == TXN_SENT)
        self->txn = TXN_COMMITTING;
}

static void
s_handle_producing (zspool_producer_t *self)
{
    const zsp_t *command = &self->client.command;
    bool first = !self->ready;
    self->producing = self->ready = true;
    self->held = false;
    self->window_service = command->as.producing.window_bytes;
    self->epoch = command->as.producing.epoch;
    if (first && *self->name) {
        //  Numbers go on where a producer of this name has got to.
        self->last = self->settled = self->cached = command->as.producing.last;
        atomic_store (&self->confirmed, self->last);
        atomic_store (&self->committed, 0);
    }
    if (!*self->name) {
        //  The service knows nothing of what it took from us in another session.
        self->base = self->cached = self->settled;
        atomic_store (&self->taken, self->cached);
        s_send_from (self, self->settled + 1);
        return;
    }
    //  After the device was killed it may have less than it had said.
    self->cached = command->as.producing.last;
    atomic_store (&self->taken, self->cached);
    s_send_from (self, self->cached + 1);
}

static void
s_handle_opened (zspool_producer_t *self)
{
    uint32_t index = self->client.command.request - 100;
    if (index < self->spools_count)
        self->spools [index].handle = self->client.command.as.opened.spool;
}

static void
s_end_txn (zspool_producer_t *self, int rc)
{
    if (self->txn != TXN_SENT && self->txn != TXN_COMMITTING)
        return;
    self->txn = TXN_ENDED;
    self->txn_rc = rc;
    if (rc == ZSPOOL_OK) {
        self->last = self->settled = self->cached = self->txn_number;
        atomic_store (&self->confirmed, self->txn_number);
        atomic_store (&self->committed, self->txn_number);
        atomic_store (&self->taken, self->txn_number);
    }
    else if (self->cached >= self->txn_number) {
        //  It counted as taken while it was not known whether it could be made: its number is given again.
        self->cached = self->txn_number - 1;
        atomic_store (&self->taken, self->cached);
    }
}

static void
s_handle_error (zspool_producer_t *self)
{
    const zsp_t *command = &self->client.command;
    int code = -(int) command->as.error.code;
    if (command->as.error.about == ZSP_COMMIT && !(command->flags & ZSP_FLAG_FATAL)) {
        s_end_txn (self, code);
        return;
    }
    //  One whose session was lost has sent what came too late; it is greeted anew.
    if (code == ZSPOOL_EPROTOCOL && command->as.error.about != ZSP_PRODUCE)
        return;
    s_fail_for_good (self, code, command->as.error.text);
}

//  Take in one command. ELOST: the session has ended.
static int
s_handle (zspool_producer_t *self)
{
    const zsp_t *command = &self->client.command;
    uint64_t base = *self->name? 0: self->base;
    switch (command->command) {
    case ZSP_PRODUCING: s_handle_producing (self); break;
    case ZSP_OPENED: s_handle_opened (self); break;
    case ZSP_CONFIRM:
        self->window_service = command->as.confirm.window_bytes;
        s_take_confirm (self, command->as.confirm.cached + base, command->as.confirm.committed + base);
        if ((command->flags & ZSP_FLAG_RESUME) && self->producing) {
            self->held = false;
            s_send_from (self, command->as.confirm.cached + base + 1);
        }
        break;
    case ZSP_HOLD: self->held = true; break;
    case ZSP_DONE:
        if (command->request == 2)
            s_end_txn (self, ZSPOOL_OK);
        break;
    case ZSP_ERROR: s_handle_error (self); break;
    default: break;
    }
    return command->command == ZSP_ERROR && (command->flags & ZSP_FLAG_FATAL)? ZSPOOL_ELOST: ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Actor: sending. The mutex is held, but nothing here waits.

//  Begin a session: say who we are, and open the spools.
static void
s_begin_session (zspool_producer_t *self)
{
    self->producing = false;
    self->held = false;
    zsp_t produce = { .command = ZSP_PRODUCE, .request = 3 };
    produce.as.produce.epoch = *self->name? self->epoch: 0;
    produce.as.produce.name = (zsp_text_t){ self->name, strlen (self->name) };
    zspool_client_send (&self->client, &produce, NULL, NULL, 0);
    for (size_t index = 0; index < self->spools_count; index++) {
        self->spools [index].handle = 0;
        self->spools [index].asked = false;
    }
}

static void
s_open_spools (zspool_producer_t *self)
{
    for (size_t index = 0; index < self->spools_count; index++) {
        s_spool_t *spool = &self->spools [index];
        if (spool->asked)
            continue;
        const char *name = *spool->name? spool->name: self->client.spool;
        zsp_t open = { .command = ZSP_OPEN, .request = 100 + (uint32_t) index, .flags = self->create };
        open.as.open.spool = (zsp_text_t){ name, strlen (name) };
        spool->asked = zspool_client_send (&self->client, &open, NULL, NULL, 0) == ZSPOOL_OK;
    }
}

//  An I/O thread is done with a frame.
static void
s_release (void *data, void *hint)
{
    (void) data;
    zspool_block_t *block = (zspool_block_t *) hint;
    zspool_block_destroy (&block);
}

//  Make a frame of the records of a block, which stays as long as ZeroMQ needs it. 0 or -1.
static int
s_make_frame (zspool_block_t *block, zmq_msg_t *frame)
{
    size_t size;
    const uint8_t *records = zspool_block_records (block, &size);
    zspool_block_t *held = zspool_block_ref (block);
    int rc = zmq_msg_init_data (frame, (void *) (uintptr_t) records, size, s_release, held);
    if (rc)
        zspool_block_destroy (&held);
    return rc;
}

static int
s_send_run (zspool_producer_t *self, s_run_t *run)
{
    zmq_msg_t frame;
    if (s_make_frame (run->block, &frame))
        return ZSPOOL_ENOMEM;
    zsp_t put = { .command = ZSP_PUT };
    put.as.put.spool = self->spools [run->spool].handle;
    put.as.put.number = run->first - (*self->name? 0: self->base);
    put.as.put.count = zspool_block_count (run->block);
    put.as.put.level = run->level;
    int rc = zspool_client_send (&self->client, &put, NULL, &frame, 1);
    if (rc)
        zmq_msg_close (&frame);
    return rc;
}

//  The run being filled is to be sent.
static void
s_close_filling (zspool_producer_t *self)
{
    s_run_t *run = self->filling;
    self->filling = NULL;
    *self->runs_end = run;
    self->runs_end = &run->next;
    if (!self->unsent)
        self->unsent = run;
}

//  Send runs, as many as may be.
static void
s_send_runs (zspool_producer_t *self)
{
    if (!self->producing || self->held || self->failed)
        return;
    if (self->filling && !self->unsent && (self->sent_runs < RUNS_SENT_MAX || self->flushing))
        s_close_filling (self);
    while (self->unsent && self->spools [self->unsent->spool].handle
           && (self->sent_bytes == 0 || self->sent_bytes < self->window_service)) {
        size_t size;
        zspool_block_records (self->unsent->block, &size);
        if (s_send_run (self, self->unsent))
            break;
        self->sent_bytes += size;
        self->sent_runs++;
        self->unsent = self->unsent->next;
        if (self->filling && !self->unsent && self->sent_runs < RUNS_SENT_MAX)
            s_close_filling (self);
    }
}

//  Send the transaction, when all before it was taken.
static void
s_send_txn (zspool_producer_t *self)
{
    if (self->txn != TXN_COMMITTING || !self->producing || self->held || self->unsent || self->filling
        || self->cached < self->last)
        return;
    zsp_part_t parts [ZSP_PARTS_MAX];
    zmq_msg_t frames [ZSP_PARTS_MAX];
    uint16_t count = 0;
    for (s_run_t *run = self->staged; run; run = run->next)
        if (!self->spools [run->spool].handle)
            return;
    for (s_run_t *run = self->staged; run; run = run->next) {
        parts [count] = (zsp_part_t){ self->spools [run->spool].handle, zspool_block_count (run->block) };
        if (s_make_frame (run->block, &frames [count]))
            break;
        count++;
    }
    zsp_acked_t *acks = (zsp_acked_t *) malloc ((self->acks_count + 1) * sizeof *acks);
    for (size_t index = 0; acks && index < self->acks_count; index++)
        acks [index] = self->acks [index].acked;
    zsp_t commit = { .command = ZSP_COMMIT, .request = 2 };
    commit.as.commit.number = self->txn_number - (*self->name? 0: self->base);
    commit.as.commit.parts_count = count;
    commit.as.commit.acks_count = (uint16_t) self->acks_count;
    zsp_lists_t lists = { .parts = parts, .acks = acks };
    int rc = acks && count == self->staged_count? zspool_client_send (&self->client, &commit, &lists, frames, count):
                                                  ZSPOOL_ENOMEM;
    for (size_t index = 0; rc && index < count; index++)
        zmq_msg_close (&frames [index]);
    free (acks);
    if (rc == ZSPOOL_OK)
        self->txn = TXN_SENT;
}

//  The session was lost: without a name nobody knows whether a transaction was made.
static void
s_lost (zspool_producer_t *self)
{
    self->producing = false;
    if (self->txn == TXN_SENT && !*self->name)
        s_end_txn (self, ZSPOOL_ELOST);
}

//  ------------------------------------------------------------------------------------------------
//  Actor: loop

//  Take in all that has come. False: the session was lost.
static bool
s_receive_all (zspool_producer_t *self, int64_t now_ms)
{
    for (int count = 0; count < 1000; count++) {
        int rc = zspool_client_receive (&self->client, now_ms);
        if (rc == ZSPOOL_ENOENT)
            return true;
        if (rc == ZSPOOL_OK && self->client.command.command == ZSP_WELCOME)
            s_begin_session (self);
        else if (rc == ZSPOOL_OK)
            rc = s_handle (self);
        if (rc) {
            zspool_client_drop (&self->client, now_ms);
            return false;
        }
    }
    return true;
}

//  Work once, with the mutex held. Gives when to work again.
static int64_t
s_work (zspool_producer_t *self, zsock_t *pipe)
{
    int64_t now_ms = zclock_mono ();
    bool lost = !s_receive_all (self, now_ms), cut = false;
    int64_t due_ms = zspool_client_work (&self->client, now_ms, &cut);
    if (lost || cut)
        s_lost (self);
    if (self->client.state == ZSPOOL_CLIENT_UP) {
        s_open_spools (self);
        s_send_runs (self);
        s_send_txn (self);
    }
    s_wake_app (self, pipe);
    return due_ms;
}

static void
s_producer (zsock_t *pipe, void *args)
{
    zspool_producer_t *self = (zspool_producer_t *) args;
    bool ending = false;
    zsock_signal (pipe, 0);
    while (!ending) {
        pthread_mutex_lock (&self->mutex);
        int64_t due_ms = s_work (self, pipe);
        bool sends = self->producing && !self->held && !self->unsent;
        self->actor_waits = true;
        self->wants_run = sends && self->sent_bytes < self->window_service;
        self->wants_any = sends && self->sent_runs < RUNS_SENT_MAX;
        pthread_mutex_unlock (&self->mutex);
        int64_t left_ms = due_ms - zclock_mono ();
        zmq_pollitem_t items [] = { { zsock_resolve (pipe), 0, ZMQ_POLLIN, 0 },
                                    { self->client.socket, -1, ZMQ_POLLIN, 0 },
                                    { self->client.monitor, -1, ZMQ_POLLIN, 0 } };
        int count = !self->client.socket? 1: self->client.monitor? 3: 2;
        if (zmq_poll (items, count, left_ms > 0? (long) left_ms: 0) < 0 && zmq_errno () == ETERM)
            break;
        pthread_mutex_lock (&self->mutex);
        self->actor_waits = self->wants_run = self->wants_any = false;
        pthread_mutex_unlock (&self->mutex);
        char command [8];
        int size;
        while ((size = zmq_recv (zsock_resolve (pipe), command, sizeof command, ZMQ_DONTWAIT)) >= 0)
            ending = ending || size > 0;
    }
    pthread_mutex_lock (&self->mutex);
    zspool_client_end (&self->client, true);
    pthread_mutex_unlock (&self->mutex);
}

//  ------------------------------------------------------------------------------------------------
//  Application: waiting. The mutex is held, and let go meanwhile.

static void
s_wake_actor (zspool_producer_t *self)
{
    if (!self->actor_waits)
        return;
    self->actor_waits = self->wants_run = self->wants_any = false;
    zmq_send (zsock_resolve (self->actor), "", 0, ZMQ_DONTWAIT);
}

//  Wait until the actor has something to tell, or a time. ETIMEDOUT, ECANCELED.
static int
s_wait (zspool_producer_t *self, int64_t until_ms)
{
    int64_t left_ms = until_ms - zclock_mono ();
    if (left_ms <= 0)
        return ZSPOOL_ETIMEDOUT;
    self->app_waits = true;
    s_wake_actor (self);
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
s_failed (zspool_producer_t *self)
{
    return self->failed? s_fail (self, self->failed, *self->failure? self->failure: NULL): ZSPOOL_OK;
}

//  Whether everything is open that was asked for
static bool
s_is_connected (const zspool_producer_t *self)
{
    bool all = self->ready;
    for (size_t index = 0; index < self->spools_count; index++)
        all = all && self->spools [index].handle;
    return all;
}

//  The number of a spool among those that were put into; it is added when it is new. Negative: a code.
static int
s_spool (zspool_producer_t *self, const char *name)
{
    for (size_t index = 0; index < self->spools_count; index++)
        if (streq (self->spools [index].name, name))
            return (int) index;
    if (self->spools_count == 60)
        return ZSPOOL_ELIMIT;
    s_spool_t *spools = (s_spool_t *) realloc (self->spools, (self->spools_count + 1) * sizeof *spools);
    if (!spools)
        return ZSPOOL_ENOMEM;
    self->spools = spools;
    memset (&spools [self->spools_count], 0, sizeof *spools);
    snprintf (spools [self->spools_count].name, sizeof spools->name, "%s", name);
    return (int) self->spools_count++;
}

int
zspool_producer_connect (zspool_producer_t *self)
{
    if (!self->actor) {
        if (!zspool_client_is_endpoint (self->endpoint))
            return s_fail (self, ZSPOOL_EADDR, "not an endpoint to connect to");
        if (!self->pool)
            self->pool = zspool_block_pool_new (POOL_BLOCKS, ZSP_RUN_BYTES);
        if (!self->pool || s_spool (self, self->spool) < 0)
            return s_fail (self, ZSPOOL_ENOMEM, NULL);
        zspool_client_init (&self->client, self->endpoint, (uint32_t) self->heartbeat_ms);
        self->actor = zactor_new (s_producer, self);
        if (!self->actor)
            return s_fail (self, ZSPOOL_ENOMEM, NULL);
    }
    int64_t until_ms = zclock_mono () + self->timeout_ms;
    pthread_mutex_lock (&self->mutex);
    int rc = s_failed (self);
    while (rc == ZSPOOL_OK && !s_is_connected (self)) {
        rc = s_wait (self, until_ms);
        if (rc == ZSPOOL_OK)
            rc = s_failed (self);
    }
    pthread_mutex_unlock (&self->mutex);
    return rc == ZSPOOL_ETIMEDOUT? s_fail (self, rc, "nobody answers"): rc;
}

//  ------------------------------------------------------------------------------------------------
//  Application: putting

//  Begin a run, with room for a record of so many bytes.
static s_run_t *
s_new_run (zspool_producer_t *self, size_t spool, size_t record_bytes)
{
    s_run_t *run = (s_run_t *) calloc (1, sizeof *run);
    if (!run)
        return NULL;
    run->block = zspool_block_pool_take (self->pool, record_bytes);
    if (!run->block)
        run->block = zspool_block_new (record_bytes > ZSP_RUN_BYTES? record_bytes: ZSP_RUN_BYTES);
    if (!run->block) {
        free (run);
        return NULL;
    }
    run->spool = spool;
    run->level = self->level;
    return run;
}

//  Whether the window is full.
static bool
s_is_full (const zspool_producer_t *self)
{
    uint64_t kept = self->last - self->settled;
    return kept >= self->window_messages || (self->bytes > 0 && self->bytes >= self->window_bytes);
}

//  Have a run being filled that takes a record of so many bytes.
static int
s_prepare_filling (zspool_producer_t *self, size_t spool, size_t record_bytes)
{
    s_run_t *run = self->filling;
    if (run
        && (run->spool != spool || run->level != self->level || !zspool_block_has_room (run->block, record_bytes, 0)
            || zspool_block_count (run->block) == ZSP_RUN_MESSAGES_MAX)) {
        s_close_filling (self);
        if (self->wants_run)
            s_wake_actor (self);
    }
    if (self->filling)
        return ZSPOOL_OK;
    self->filling = s_new_run (self, spool, record_bytes);
    return self->filling? ZSPOOL_OK: ZSPOOL_ENOMEM;
}

//  Add a message to a run.
static int
s_append (s_run_t *run, const zspool_frame_t *frames, size_t count)
{
    return count == 1? zspool_block_append_frame (run->block, frames [0].data, frames [0].size, 0):
                       zspool_block_append (run->block, frames, count, 0);
}

static int
s_measure (zspool_producer_t *self, const zspool_frame_t *frames, size_t count, size_t *record_bytes)
{
    size_t bytes = 0;
    if (count == 0 || !frames)
        return s_fail (self, ZSPOOL_EINVAL, "a message has at least one frame");
    for (size_t index = 0; index < count; index++) {
        if (frames [index].size > ZSPOOL_MESSAGE_BYTES_MAX)
            return s_fail (self, ZSPOOL_ETOOBIG, NULL);
        bytes += frames [index].size;
    }
    if (bytes > self->client.message_bytes_max || count > self->client.message_frames_max)
        return s_fail (self, ZSPOOL_ETOOBIG, NULL);
    *record_bytes = zspool_block_record_bytes (count, bytes);
    return ZSPOOL_OK;
}

//  Put one message into the run being filled. The window has room.
static int
s_put (zspool_producer_t *self, size_t spool, const zspool_frame_t *frames, size_t count, size_t record_bytes)
{
    int rc = s_prepare_filling (self, spool, record_bytes);
    if (rc == ZSPOOL_OK)
        rc = s_append (self->filling, frames, count);
    if (rc)
        return s_fail (self, rc, NULL);
    if (zspool_block_count (self->filling->block) == 1)
        self->filling->first = self->last + 1;
    self->filling->last = ++self->last;
    self->bytes += record_bytes;
    return ZSPOOL_OK;
}

//  The staged run of a spool that has room; it is begun when there is none.
static s_run_t *
s_staged (zspool_producer_t *self, size_t spool, size_t record_bytes, int *rc)
{
    s_run_t *found = NULL;
    for (s_run_t *run = self->staged; run; run = run->next)
        if (run->spool == spool)
            found = run;
    if (found && zspool_block_has_room (found->block, record_bytes, 0)
        && zspool_block_count (found->block) < ZSP_RUN_MESSAGES_MAX)
        return found;
    *rc = ZSPOOL_ELIMIT;
    if (self->staged_count == ZSP_PARTS_MAX)
        return NULL;
    s_run_t *run = s_new_run (self, spool, record_bytes);
    *rc = run? ZSPOOL_OK: ZSPOOL_ENOMEM;
    if (!run)
        return NULL;
    *self->staged_end = run;
    self->staged_end = &run->next;
    self->staged_count++;
    return run;
}

static int
s_stage (zspool_producer_t *self, size_t spool, const zspool_frame_t *frames, size_t count, size_t record_bytes)
{
    if (self->staged_bytes + record_bytes > self->client.transaction_bytes_max)
        return s_fail (self, ZSPOOL_ELIMIT, "the transaction has too many bytes");
    int rc = ZSPOOL_OK;
    s_run_t *run = s_staged (self, spool, record_bytes, &rc);
    if (run)
        rc = s_append (run, frames, count);
    if (rc == ZSPOOL_OK)
        self->staged_bytes += record_bytes;
    return rc? s_fail (self, rc, NULL): ZSPOOL_OK;
}

//  Whether messages can be put now
static int
s_check (zspool_producer_t *self)
{
    if (!self->actor || !self->ready)
        return s_fail (self, ZSPOOL_EINVAL, "it is not connected");
    if (self->txn > TXN_OPEN)
        return s_fail (self, ZSPOOL_EINVAL, "a commit is under way");
    return s_failed (self);
}

//  Wait while the window is full.
static int
s_wait_for_window (zspool_producer_t *self, int64_t *until_ms)
{
    while (s_is_full (self)) {
        if (*until_ms == 0)
            *until_ms = zclock_mono () + self->timeout_ms;
        int rc = s_wait (self, *until_ms);
        if (rc == ZSPOOL_OK)
            rc = s_failed (self);
        if (rc)
            return s_fail (self, rc, rc == ZSPOOL_ETIMEDOUT? "the window stays full": NULL);
    }
    return ZSPOOL_OK;
}

//  With the mutex held
static int
s_put_one (zspool_producer_t *self, const char *spool, const zspool_frame_t *frames, size_t count, uint64_t *number)
{
    size_t record_bytes = 0;
    int64_t until_ms = 0;
    int rc = s_check (self);
    int index = rc == ZSPOOL_OK? s_spool (self, spool): 0;
    if (rc == ZSPOOL_OK && index < 0)
        rc = s_fail (self, index, "too many spools");
    if (rc == ZSPOOL_OK)
        rc = s_measure (self, frames, count, &record_bytes);
    bool staged = self->txn == TXN_OPEN;
    if (rc == ZSPOOL_OK && !staged)
        rc = s_wait_for_window (self, &until_ms);
    if (rc == ZSPOOL_OK)
        rc = staged? s_stage (self, (size_t) index, frames, count, record_bytes):
                     s_put (self, (size_t) index, frames, count, record_bytes);
    if (rc == ZSPOOL_OK && number)
        *number = staged? 0: self->last;
    if (rc == ZSPOOL_OK && !staged && self->wants_any)
        s_wake_actor (self);
    return rc;
}

int
zspool_producer_put_to (zspool_producer_t *self, const char *spool, const zspool_frame_t *frames, size_t count,
                        uint64_t *number)
{
    char name [ZSP_NAME_BYTES_MAX + 1];
    if (!spool || (*spool && s_set_name (self, name, "spool", spool)))
        return s_fail (self, ZSPOOL_EINVAL, "not a name for a spool");
    pthread_mutex_lock (&self->mutex);
    int rc = s_put_one (self, spool, frames, count, number);
    pthread_mutex_unlock (&self->mutex);
    return rc;
}

int
zspool_producer_put (zspool_producer_t *self, const zspool_frame_t *frames, size_t count, uint64_t *number)
{
    pthread_mutex_lock (&self->mutex);
    int rc = s_put_one (self, self->spool, frames, count, number);
    pthread_mutex_unlock (&self->mutex);
    return rc;
}

int
zspool_producer_put_many (zspool_producer_t *self, const zspool_frame_t *messages, size_t count, size_t *put,
                          uint64_t *number)
{
    size_t done = 0;
    int rc = ZSPOOL_OK;
    pthread_mutex_lock (&self->mutex);
    while (rc == ZSPOOL_OK && done < count) {
        rc = s_put_one (self, self->spool, &messages [done], 1, number);
        done += rc == ZSPOOL_OK;
    }
    pthread_mutex_unlock (&self->mutex);
    if (put)
        *put = done;
    return rc;
}

int
zspool_producer_put_msg (zspool_producer_t *self, zmsg_t **message_p, uint64_t *number)
{
    size_t count = message_p && *message_p? zmsg_size (*message_p): 0, index = 0;
    zspool_frame_t *frames = (zspool_frame_t *) malloc ((count + 1) * sizeof *frames);
    if (!frames)
        return s_fail (self, ZSPOOL_ENOMEM, NULL);
    for (zframe_t *frame = count? zmsg_first (*message_p): NULL; frame; frame = zmsg_next (*message_p))
        frames [index++] = (zspool_frame_t){ zframe_data (frame), zframe_size (frame) };
    int rc = zspool_producer_put (self, frames, count, number);
    free (frames);
    if (rc == ZSPOOL_OK)
        zmsg_destroy (message_p);
    return rc;
}

//  With the mutex held: wait until all that was put is confirmed, or only taken.
static int
s_flush (zspool_producer_t *self, int64_t until_ms, bool taken)
{
    int rc = s_failed (self);
    while (rc == ZSPOOL_OK && (taken? atomic_load (&self->taken): atomic_load (&self->confirmed)) < self->last) {
        self->flushing = true;
        rc = s_wait (self, until_ms);
        if (rc == ZSPOOL_OK)
            rc = s_failed (self);
    }
    self->flushing = false;
    return rc? s_fail (self, rc, self->failed? self->failure: NULL): rc;
}

void
zspool_producer_destroy (zspool_producer_t **self_p)
{
    zspool_producer_t *self = *self_p;
    if (!self)
        return;
    if (self->actor) {
        zspool_producer_rollback (self);
        pthread_mutex_lock (&self->mutex);
        if (self->ready && self->txn == TXN_NONE)
            s_flush (self, zclock_mono () + self->linger_ms, false);
        pthread_mutex_unlock (&self->mutex);
        zactor_destroy (&self->actor);
        //  All that the actor did lies before this, also for who knows nothing of ZeroMQ's signals.
        pthread_mutex_lock (&self->mutex);
        pthread_mutex_unlock (&self->mutex);
    }
    s_free_runs (self->runs);
    s_free_runs (self->staged);
    s_free_run (&self->filling);
    free (self->acks);
    free (self->spools);
    zspool_block_pool_destroy (&self->pool);
    pthread_mutex_destroy (&self->mutex);
    free (self);
    *self_p = NULL;
}

int
zspool_producer_flush (zspool_producer_t *self)
{
    if (!self->actor)
        return s_fail (self, ZSPOOL_EINVAL, "it is not connected");
    pthread_mutex_lock (&self->mutex);
    int rc = s_flush (self, zclock_mono () + self->timeout_ms, false);
    pthread_mutex_unlock (&self->mutex);
    return rc;
}

uint64_t
zspool_producer_last (const zspool_producer_t *self)
{
    return atomic_load (&self->taken);
}

uint64_t
zspool_producer_confirmed (const zspool_producer_t *self)
{
    return atomic_load (&self->confirmed);
}

uint64_t
zspool_producer_committed (const zspool_producer_t *self)
{
    return atomic_load (&self->committed);
}

//  ------------------------------------------------------------------------------------------------
//  Application: transactions

int
zspool_producer_begin (zspool_producer_t *self)
{
    pthread_mutex_lock (&self->mutex);
    int rc = s_check (self);
    if (rc == ZSPOOL_OK && self->txn != TXN_NONE)
        rc = s_fail (self, ZSPOOL_EINVAL, "a transaction is open");
    if (rc == ZSPOOL_OK)
        self->txn = TXN_OPEN;
    pthread_mutex_unlock (&self->mutex);
    return rc;
}

//  Note what a transaction acknowledges: as a part of the last stretch, or of its own.
static int
s_note_ack (zspool_producer_t *self, zspool_consumer_t *consumer, const zsp_acked_t *acked)
{
    s_ack_t *last = self->acks_count? &self->acks [self->acks_count - 1]: NULL;
    if (last && last->consumer == consumer && last->acked.session == acked->session
        && last->acked.generation == acked->generation && last->acked.range.last + 1 == acked->range.first) {
        last->acked.range.last = acked->range.last;
        return ZSPOOL_OK;
    }
    if (self->acks_count == ZSP_RANGES_MAX)
        return ZSPOOL_ELIMIT;
    if (self->acks_count == self->acks_max) {
        size_t max = self->acks_max? 2 * self->acks_max: 16;
        s_ack_t *acks = (s_ack_t *) realloc (self->acks, max * sizeof *acks);
        if (!acks)
            return ZSPOOL_ENOMEM;
        self->acks = acks;
        self->acks_max = max;
    }
    self->acks [self->acks_count++] = (s_ack_t){ consumer, *acked };
    return ZSPOOL_OK;
}

int
zspool_producer_ack (zspool_producer_t *self, zspool_consumer_t *consumer, uint64_t sequence)
{
    zsp_acked_t acked;
    pthread_mutex_lock (&self->mutex);
    bool open = self->txn == TXN_OPEN;
    pthread_mutex_unlock (&self->mutex);
    if (!open)
        return s_fail (self, ZSPOOL_EINVAL, "no transaction is open");
    int rc = zspool_consumer_claim (consumer, sequence, &acked);
    if (rc)
        return s_fail (self, rc, "the consumer does not hold this delivery");
    rc = s_note_ack (self, consumer, &acked);
    if (rc)
        zspool_consumer_unclaim (consumer, &acked);
    return rc? s_fail (self, rc, NULL): ZSPOOL_OK;
}

//  Forget the transaction; `give_back`: its deliveries are the consumers' again.
static void
s_forget_txn (zspool_producer_t *self, bool give_back)
{
    for (size_t index = 0; give_back && index < self->acks_count; index++)
        zspool_consumer_unclaim (self->acks [index].consumer, &self->acks [index].acked);
    self->acks_count = 0;
    s_free_runs (self->staged);
    self->staged = NULL;
    self->staged_end = &self->staged;
    self->staged_count = 0;
    self->staged_bytes = 0;
    self->txn = TXN_NONE;
}

int
zspool_producer_rollback (zspool_producer_t *self)
{
    pthread_mutex_lock (&self->mutex);
    bool open = self->txn == TXN_OPEN;
    if (open)
        s_forget_txn (self, true);
    pthread_mutex_unlock (&self->mutex);
    return open? ZSPOOL_OK: s_fail (self, ZSPOOL_EINVAL, "no transaction is open, or its commit is under way");
}

//  With the mutex held: wait for the answer.
static int
s_await_commit (zspool_producer_t *self, int64_t until_ms, uint64_t *number)
{
    int rc = s_failed (self);
    while (rc == ZSPOOL_OK && self->txn != TXN_ENDED) {
        rc = s_wait (self, until_ms);
        if (rc == ZSPOOL_OK && self->txn != TXN_ENDED)
            rc = s_failed (self);
    }
    if (self->txn != TXN_ENDED)
        return s_fail (self, rc, self->failed? self->failure: "it is not known yet whether it was made");
    rc = self->txn_rc;
    if (rc == ZSPOOL_OK && number)
        *number = self->txn_number;
    //  Not known whether it was made: they are not given back.
    s_forget_txn (self, rc != ZSPOOL_OK && rc != ZSPOOL_ELOST);
    return rc? s_fail (self, rc, NULL): ZSPOOL_OK;
}

int
zspool_producer_commit (zspool_producer_t *self, uint64_t *number)
{
    int64_t until_ms = zclock_mono () + self->timeout_ms;
    pthread_mutex_lock (&self->mutex);
    int rc = self->txn == TXN_NONE? s_fail (self, ZSPOOL_EINVAL, "no transaction is open"): ZSPOOL_OK;
    if (rc == ZSPOOL_OK && self->txn == TXN_OPEN && self->staged_count == 0 && self->acks_count == 0) {
        s_forget_txn (self, false); //  nothing is to be done
        if (number)
            *number = self->last;
        pthread_mutex_unlock (&self->mutex);
        return ZSPOOL_OK;
    }
    if (rc == ZSPOOL_OK && self->txn == TXN_OPEN) {
        rc = s_flush (self, until_ms, true);
        if (rc == ZSPOOL_OK) {
            self->txn_number = self->last + 1;
            self->txn = TXN_COMMITTING;
        }
    }
    if (rc == ZSPOOL_OK)
        rc = s_await_commit (self, until_ms, number);
    pthread_mutex_unlock (&self->mutex);
    return rc;
}

//  ------------------------------------------------------------------------------------------------
//  Application: polling

zsock_t *
zspool_producer_socket (zspool_producer_t *self)
{
    return self->actor? zactor_sock (self->actor): NULL;
}

int
zspool_producer_events (zspool_producer_t *self)
{
    if (!self->actor)
        return s_fail (self, ZSPOOL_EINVAL, "it is not connected");
    char command [8];
    while (zmq_recv (zsock_resolve (self->actor), command, sizeof command, ZMQ_DONTWAIT) >= 0)
        ;
    pthread_mutex_lock (&self->mutex);
    self->seen = atomic_load (&self->confirmed);
    self->app_polls = !self->failed;
    int rc = s_failed (self);
    pthread_mutex_unlock (&self->mutex);
    return rc;
}

const char *
zspool_producer_reason (const zspool_producer_t *self)
{
    return self->reason;
}
