//  producer.c - puts messages into the spools of a device's service, and knows which are safe
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The application's side: it packs messages into a bundle, which the actor (producer_actor.c)
//  sends, and keeps until nobody can ask for it any more.

#include "producer_parts.h"

#include <stdlib.h>
#include <string.h>

//  ------------------------------------------------------------------------------------------------
//  Creating, and options

zspool_producer_t *
zspool_producer_new (const char *endpoint)
{
    zspool_producer_t *self = (zspool_producer_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    zspool_pair_init (&self->pair, endpoint);
    zspool_staging_init (&self->txn);
    self->create = true;
    self->window_messages = 100000;
    self->window_bytes = 8 * 1024 * 1024;
    self->linger_ms = 5000;
    return self;
}

//  A level by its name; negative: a code.
static int
s_level (zspool_producer_t *self, const char *name)
{
    static const char *const names [] = { "default", "cached", "committed" };
    for (int level = 0; name && level < 3; level++)
        if (streq (name, names [level]))
            return level;
    return zspool_pair_fail (&self->pair, ZSPOOL_EINVAL,
                             "level: must be default, cached or committed");
}

int
zspool_producer_set_level (zspool_producer_t *self, const char *level)
{
    int value = s_level (self, level);
    if (value < 0)
        return value;
    self->level = (uint8_t) value;
    return ZSPOOL_OK;
}

int
zspool_producer_set (zspool_producer_t *self, const char *option, const char *value)
{
    zspool_pair_t *pair = &self->pair;
    if (pair->actor || !option || !value)
        return zspool_pair_fail (pair, ZSPOOL_EINVAL, "options are set before connecting");
    if (streq (option, "name"))
        return zspool_pair_set_name (pair, option, value, self->name);
    if (streq (option, "spool"))
        return zspool_pair_set_name (pair, option, value, self->spool);
    if (streq (option, "level"))
        return zspool_producer_set_level (self, value);
    if (streq (option, "create"))
        return zspool_pair_set_switch (pair, option, value, &self->create);
    if (streq (option, "window-messages"))
        return zspool_pair_set_number (pair, option, value, 1, 1000000, &self->window_messages);
    if (streq (option, "window-bytes"))
        return zspool_pair_set_number (pair, option, value, 64 * 1024, 1ULL << 30,
                                       &self->window_bytes);
    if (streq (option, "linger"))
        return zspool_pair_set_number (pair, option, value, 0, ZSPOOL_TIMEOUT_MS_MAX,
                                       &self->linger_ms);
    return zspool_pair_set_common (pair, option, value);
}

//  ------------------------------------------------------------------------------------------------
//  Connecting

//  With the mutex held: wait until the actor has something to tell. It was woken before, once, if
//  it is to work: were it woken each time, both would wake each other for as long as the wait
//  lasts.
static int
s_wait (zspool_producer_t *self, int64_t until_ms)
{
    int rc = zspool_pair_wait (&self->pair, until_ms);
    return rc? rc: zspool_pair_check (&self->pair);
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

//  The place of a spool among those that were put into; it is added when it is new. Negative: a
//  code.
static int
s_spool (zspool_producer_t *self, const char *name)
{
    for (size_t index = 0; index < self->spools_count; index++)
        if (streq (self->spools [index].name, name))
            return (int) index;
    if (self->spools_count == ZSPOOL_PRODUCER_SPOOLS_MAX)
        return zspool_pair_fail (&self->pair, ZSPOOL_ELIMIT, "too many spools");
    zspool_producer_spool_t *spools = (zspool_producer_spool_t *) realloc (
        self->spools, (self->spools_count + 1) * sizeof *spools);
    if (!spools)
        return zspool_pair_fail (&self->pair, ZSPOOL_ENOMEM, NULL);
    self->spools = spools;
    memset (&spools [self->spools_count], 0, sizeof *spools);
    snprintf (spools [self->spools_count].name, sizeof spools->name, "%s", name);
    return (int) self->spools_count++;
}

int
zspool_producer_connect (zspool_producer_t *self)
{
    zspool_pair_t *pair = &self->pair;
    if (!pair->actor) {
        if (!self->window.pool && zspool_window_init (&self->window, *self->name))
            return zspool_pair_fail (pair, ZSPOOL_ENOMEM, NULL);
        int rc = s_spool (self, self->spool);
        rc = rc < 0? rc: zspool_pair_start (pair, zspool_producer_actor, self);
        if (rc)
            return rc;
    }
    int64_t until_ms = zspool_pair_until (pair);
    pthread_mutex_lock (&pair->mutex);
    int rc = zspool_pair_check (pair);
    while (rc == ZSPOOL_OK && !s_is_connected (self))
        rc = s_wait (self, until_ms);
    pthread_mutex_unlock (&pair->mutex);
    return rc == ZSPOOL_ETIMEDOUT? zspool_pair_fail (pair, rc, "nobody answers"): rc;
}

//  ------------------------------------------------------------------------------------------------
//  Putting

//  How many bytes the record of a message has, if the service takes it.
static int
s_measure (zspool_producer_t *self, const zspool_frame_t *frames, size_t count,
           size_t *record_bytes)
{
    const zspool_client_t *client = &self->pair.client;
    size_t bytes = 0;
    bool valid = count > 0 && frames;
    if (!valid)
        return zspool_pair_fail (&self->pair, ZSPOOL_EINVAL, "a message has at least one frame");
    for (size_t index = 0; index < count; index++) {
        if (frames [index].size > ZSPOOL_MESSAGE_BYTES_MAX)
            return zspool_pair_fail (&self->pair, ZSPOOL_ETOOBIG, NULL);
        bytes += frames [index].size;
    }
    if (bytes > client->message_bytes_max || count > client->message_frames_max)
        return zspool_pair_fail (&self->pair, ZSPOOL_ETOOBIG, NULL);
    *record_bytes = zspool_block_record_bytes (count, bytes);
    return ZSPOOL_OK;
}

//  Whether messages can be put now
static int
s_check (zspool_producer_t *self)
{
    if (!self->pair.actor || !self->ready)
        return zspool_pair_fail (&self->pair, ZSPOOL_EINVAL, "it is not connected");
    if (self->txn.state > ZSPOOL_TXN_OPEN)
        return zspool_pair_fail (&self->pair, ZSPOOL_EINVAL, "a commit is under way");
    return zspool_pair_check (&self->pair);
}

//  Wait while the window is full.
static int
s_wait_for_window (zspool_producer_t *self)
{
    int64_t until_ms = 0;
    while (zspool_window_is_full (&self->window, self->window_messages, self->window_bytes)) {
        if (until_ms == 0) {
            until_ms = zspool_pair_until (&self->pair);
            zspool_pair_wake_actor (&self->pair);
        }
        int rc = s_wait (self, until_ms);
        if (rc == ZSPOOL_ETIMEDOUT)
            return zspool_pair_fail (&self->pair, rc, "the window stays full");
        if (rc)
            return rc;
    }
    return ZSPOOL_OK;
}

//  Put a message into the transaction.
static int
s_stage (zspool_producer_t *self, size_t spool, const zspool_frame_t *frames, size_t count,
         size_t record_bytes)
{
    if (self->txn.bytes + record_bytes > self->pair.client.transaction_bytes_max)
        return zspool_pair_fail (&self->pair, ZSPOOL_ELIMIT,
                                 "the transaction has too many bytes");
    int rc = zspool_staging_put (&self->txn, self->window.pool, spool, frames, count, record_bytes);
    return rc? zspool_pair_fail (&self->pair, rc, NULL): ZSPOOL_OK;
}

//  Put a message into the window.
static int
s_put (zspool_producer_t *self, size_t spool, const zspool_frame_t *frames, size_t count,
       size_t record_bytes)
{
    bool closed;
    int rc = s_wait_for_window (self);
    if (rc)
        return rc;
    rc = zspool_window_put (&self->window, spool, self->level, frames, count, record_bytes,
                            &closed);
    if (self->wants_any || (closed && self->wants_full))
        zspool_pair_wake_actor (&self->pair);
    return rc? zspool_pair_fail (&self->pair, rc, NULL): ZSPOOL_OK;
}

//  With the mutex held
static int
s_put_one (zspool_producer_t *self, const char *spool, const zspool_frame_t *frames, size_t count,
           uint64_t *number)
{
    size_t record_bytes = 0;
    int rc = s_check (self);
    int index = rc? rc: s_spool (self, spool);
    if (index < 0)
        return index;
    rc = s_measure (self, frames, count, &record_bytes);
    if (rc)
        return rc;
    bool staged = self->txn.state == ZSPOOL_TXN_OPEN;
    rc = staged? s_stage (self, (size_t) index, frames, count, record_bytes):
                 s_put (self, (size_t) index, frames, count, record_bytes);
    if (rc == ZSPOOL_OK && number)
        *number = staged? 0: self->window.last;
    return rc;
}

int
zspool_producer_put_to (zspool_producer_t *self, const char *spool, const zspool_frame_t *frames,
                        size_t count, uint64_t *number)
{
    if (!spool || (*spool && !zspool_client_is_name (spool)))
        return zspool_pair_fail (&self->pair, ZSPOOL_EINVAL, "not a name for a spool");
    pthread_mutex_lock (&self->pair.mutex);
    int rc = s_put_one (self, spool, frames, count, number);
    pthread_mutex_unlock (&self->pair.mutex);
    return rc;
}

int
zspool_producer_put (zspool_producer_t *self, const zspool_frame_t *frames, size_t count,
                     uint64_t *number)
{
    pthread_mutex_lock (&self->pair.mutex);
    int rc = s_put_one (self, self->spool, frames, count, number);
    pthread_mutex_unlock (&self->pair.mutex);
    return rc;
}

int
zspool_producer_put_many (zspool_producer_t *self, const zspool_frame_t *messages, size_t count,
                          size_t *put, uint64_t *number)
{
    size_t done = 0;
    int rc = ZSPOOL_OK;
    pthread_mutex_lock (&self->pair.mutex);
    while (rc == ZSPOOL_OK && done < count) {
        rc = s_put_one (self, self->spool, &messages [done], 1, number);
        done += rc == ZSPOOL_OK;
    }
    pthread_mutex_unlock (&self->pair.mutex);
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
        return zspool_pair_fail (&self->pair, ZSPOOL_ENOMEM, NULL);
    for (zframe_t *frame = count? zmsg_first (*message_p): NULL; frame;
         frame = zmsg_next (*message_p))
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
    const zspool_window_t *window = &self->window;
    int rc = zspool_pair_check (&self->pair);
    self->flushing = true;
    zspool_pair_wake_actor (&self->pair);
    while (rc == ZSPOOL_OK && (taken? window->cached: window->confirmed) < window->last)
        rc = s_wait (self, until_ms);
    self->flushing = false;
    return rc && !self->pair.failed? zspool_pair_fail (&self->pair, rc, NULL): rc;
}

void
zspool_producer_destroy (zspool_producer_t **self_p)
{
    zspool_producer_t *self = *self_p;
    if (!self)
        return;
    if (self->pair.actor) {
        zspool_producer_rollback (self);
        pthread_mutex_lock (&self->pair.mutex);
        if (self->ready && self->txn.state == ZSPOOL_TXN_NONE)
            s_flush (self, zclock_mono () + (int64_t) self->linger_ms, false);
        pthread_mutex_unlock (&self->pair.mutex);
    }
    zspool_pair_end (&self->pair);
    zspool_window_end (&self->window);
    zspool_staging_end (&self->txn);
    free (self->spools);
    free (self);
    *self_p = NULL;
}

int
zspool_producer_flush (zspool_producer_t *self)
{
    if (!self->pair.actor)
        return zspool_pair_fail (&self->pair, ZSPOOL_EINVAL, "it is not connected");
    pthread_mutex_lock (&self->pair.mutex);
    int rc = s_flush (self, zspool_pair_until (&self->pair), false);
    pthread_mutex_unlock (&self->pair.mutex);
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

uint32_t
zspool_producer_epoch (zspool_producer_t *self)
{
    pthread_mutex_lock (&self->pair.mutex);
    uint32_t epoch = self->epoch;
    pthread_mutex_unlock (&self->pair.mutex);
    return epoch;
}

//  ------------------------------------------------------------------------------------------------
//  Transactions

int
zspool_producer_begin (zspool_producer_t *self)
{
    pthread_mutex_lock (&self->pair.mutex);
    int rc = s_check (self);
    if (rc == ZSPOOL_OK && self->txn.state != ZSPOOL_TXN_NONE)
        rc = zspool_pair_fail (&self->pair, ZSPOOL_EINVAL, "a transaction is open");
    if (rc == ZSPOOL_OK)
        self->txn.state = ZSPOOL_TXN_OPEN;
    pthread_mutex_unlock (&self->pair.mutex);
    return rc;
}

int
zspool_producer_ack (zspool_producer_t *self, zspool_consumer_t *consumer, uint64_t sequence)
{
    pthread_mutex_lock (&self->pair.mutex);
    bool open = self->txn.state == ZSPOOL_TXN_OPEN;
    int rc = open? zspool_staging_ack (&self->txn, consumer, sequence): ZSPOOL_EINVAL;
    pthread_mutex_unlock (&self->pair.mutex);
    return rc == ZSPOOL_OK? rc:
                            zspool_pair_fail (&self->pair, rc,
                                              rc == ZSPOOL_EINVAL? "no transaction is open":
                                              rc == ZSPOOL_ESTALE?
                                                  "the consumer does not hold this delivery":
                                                  NULL);
}

int
zspool_producer_rollback (zspool_producer_t *self)
{
    pthread_mutex_lock (&self->pair.mutex);
    bool open = self->txn.state == ZSPOOL_TXN_OPEN;
    if (open)
        zspool_staging_forget (&self->txn, true);
    pthread_mutex_unlock (&self->pair.mutex);
    return open? ZSPOOL_OK:
                 zspool_pair_fail (&self->pair, ZSPOOL_EINVAL,
                                   "no transaction is open, or its commit is under way");
}

//  With the mutex held: wait for the answer.
static int
s_await_commit (zspool_producer_t *self, int64_t until_ms, uint64_t *number)
{
    zspool_staging_t *txn = &self->txn;
    int rc = zspool_pair_check (&self->pair);
    zspool_pair_wake_actor (&self->pair);
    while (rc == ZSPOOL_OK && txn->state != ZSPOOL_TXN_ENDED)
        rc = s_wait (self, until_ms);
    if (txn->state != ZSPOOL_TXN_ENDED)
        return self->pair.failed? rc:
                                  zspool_pair_fail (&self->pair, rc,
                                                    "it is not known yet whether it was made");
    rc = txn->rc;
    if (rc == ZSPOOL_OK && number)
        *number = txn->number;
    //  Not known whether it was made: they are not given back.
    zspool_staging_forget (txn, rc != ZSPOOL_OK && rc != ZSPOOL_ELOST);
    return rc? zspool_pair_fail (&self->pair, rc, NULL): ZSPOOL_OK;
}

//  With the mutex held
static int
s_commit (zspool_producer_t *self, uint64_t *number)
{
    zspool_staging_t *txn = &self->txn;
    int64_t until_ms = zspool_pair_until (&self->pair);
    if (txn->state == ZSPOOL_TXN_NONE)
        return zspool_pair_fail (&self->pair, ZSPOOL_EINVAL, "no transaction is open");
    if (txn->state == ZSPOOL_TXN_OPEN && zspool_staging_is_empty (txn)) {
        zspool_staging_forget (txn, false); //  nothing is to be done
        if (number)
            *number = self->window.last;
        return ZSPOOL_OK;
    }
    if (txn->state == ZSPOOL_TXN_OPEN) {
        int rc = s_flush (self, until_ms, true);
        if (rc)
            return rc;
        txn->number = self->window.last + 1;
        txn->state = ZSPOOL_TXN_COMMITTING;
    }
    return s_await_commit (self, until_ms, number);
}

int
zspool_producer_commit (zspool_producer_t *self, uint64_t *number)
{
    pthread_mutex_lock (&self->pair.mutex);
    int rc = s_commit (self, number);
    pthread_mutex_unlock (&self->pair.mutex);
    return rc;
}

//  ------------------------------------------------------------------------------------------------
//  Polling

zsock_t *
zspool_producer_socket (zspool_producer_t *self)
{
    return zspool_pair_socket (&self->pair);
}

int
zspool_producer_events (zspool_producer_t *self)
{
    if (!self->pair.actor)
        return zspool_pair_fail (&self->pair, ZSPOOL_EINVAL, "it is not connected");
    zspool_pair_quieten (&self->pair);
    pthread_mutex_lock (&self->pair.mutex);
    self->seen = self->window.confirmed;
    self->pair.app_polls = !self->pair.failed;
    int rc = zspool_pair_check (&self->pair);
    pthread_mutex_unlock (&self->pair.mutex);
    return rc;
}

const char *
zspool_producer_reason (const zspool_producer_t *self)
{
    return self->pair.reason;
}
