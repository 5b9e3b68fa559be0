//  consumer.c - receives messages of a spool through a device's service, and acknowledges them
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The application's side: it takes messages from the first frame that the actor (consumer_actor.c)
//  has received, and notes what is to be said of them.

#include "consumer_parts.h"
#include "zspool_start.h"

#include <stdlib.h>
#include <string.h>

//  Requests of the application have numbers from here on
#define REQUEST_FIRST 10

//  ------------------------------------------------------------------------------------------------
//  Creating, and options

zspool_consumer_t *
zspool_consumer_new (const char *endpoint, const char *spool, const char *cursor)
{
    zspool_consumer_t *self = (zspool_consumer_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    if (zspool_deliveries_init (&self->deliveries)) {
        free (self);
        return NULL;
    }
    zspool_pair_init (&self->pair, endpoint);
    self->has_names = (!spool || !*spool || zspool_client_is_name (spool))
                      && cursor && zspool_client_is_name (cursor);
    snprintf (self->spool, sizeof self->spool, "%s", spool? spool: "");
    snprintf (self->cursor, sizeof self->cursor, "%s", cursor? cursor: "");
    strcpy (self->start, "all");
    self->create = true;
    self->prefetch_messages = 10000;
    self->prefetch_bytes = 4 * 1024 * 1024;
    return self;
}

static void
s_free (zspool_consumer_t *self)
{
    zspool_pair_end (&self->pair);
    zspool_deliveries_end (&self->deliveries);
    zspool_words_end (&self->words);
    for (size_t index = 0; index < self->filters_count; index++)
        free ((void *) (uintptr_t) self->filters [index].data);
    free (self);
}

void
zspool_consumer_destroy (zspool_consumer_t **self_p)
{
    zspool_consumer_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    zspool_pair_stop (&self->pair);
    pthread_mutex_lock (&self->pair.mutex);
    self->ended = true;
    self->subscribed = false;
    bool claimed = self->claims > 0;
    pthread_mutex_unlock (&self->pair.mutex);
    if (!claimed)
        s_free (self);
}

static int
s_add_filter (zspool_consumer_t *self, const char *value)
{
    if (self->filters_count == ZSP_FILTERS_MAX)
        return zspool_pair_fail (&self->pair, ZSPOOL_EINVAL, "filter: there are too many");
    if (strlen (value) > ZSP_FILTER_BYTES_MAX)
        return zspool_pair_fail (&self->pair, ZSPOOL_EINVAL, "filter: it is too long");
    size_t bytes = sizeof (uint16_t) + strlen (value);
    for (size_t index = 0; index < self->filters_count; index++)
        bytes += sizeof (uint16_t) + self->filters [index].size;
    if (bytes > ZSP_FILTERS_BYTES_MAX)
        return zspool_pair_fail (&self->pair, ZSPOOL_EINVAL, "filter: together they are too long");
    char *copy = strdup (value);
    if (!copy)
        return zspool_pair_fail (&self->pair, ZSPOOL_ENOMEM, NULL);
    self->filters [self->filters_count++] = (zsp_text_t){ copy, strlen (copy) };
    return ZSPOOL_OK;
}

static int
s_set_start (zspool_consumer_t *self, const char *value)
{
    zspool_start_t start;
    if (strlen (value) > ZSP_TEXT_BYTES_MAX || zspool_start_parse (&start, value))
        return zspool_pair_fail (&self->pair, ZSPOOL_EINVAL,
                                 "start: must be all, new, last:N, a sequence or a time");
    strcpy (self->start, value);
    return ZSPOOL_OK;
}

int
zspool_consumer_set (zspool_consumer_t *self, const char *option, const char *value)
{
    zspool_pair_t *pair = &self->pair;
    if (pair->actor || !option || !value)
        return zspool_pair_fail (pair, ZSPOOL_EINVAL, "options are set before connecting");
    if (streq (option, "filter"))
        return s_add_filter (self, value);
    if (streq (option, "start"))
        return s_set_start (self, value);
    if (streq (option, "create"))
        return zspool_pair_set_switch (pair, option, value, &self->create);
    if (streq (option, "exclusive"))
        return zspool_pair_set_switch (pair, option, value, &self->exclusive);
    if (streq (option, "prefetch-messages"))
        return zspool_pair_set_number (pair, option, value, 1, 1000000, &self->prefetch_messages);
    if (streq (option, "prefetch-bytes"))
        return zspool_pair_set_number (pair, option, value, 1024, 1ULL << 30,
                                       &self->prefetch_bytes);
    return zspool_pair_set_common (pair, option, value);
}

void
zspool_consumer_set_timeout (zspool_consumer_t *self, int64_t timeout_ms)
{
    self->pair.timeout_ms = timeout_ms > 0? (uint64_t) timeout_ms: 0;
}

int
zspool_consumer_connect (zspool_consumer_t *self)
{
    zspool_pair_t *pair = &self->pair;
    if (!pair->actor) {
        if (!self->has_names)
            return zspool_pair_fail (pair, ZSPOOL_EINVAL,
                                     "spool and cursor need names without blanks or slashes");
        int rc = zspool_pair_start (pair, zspool_consumer_actor, self);
        if (rc)
            return rc;
    }
    int64_t until_ms = zspool_pair_until (pair);
    pthread_mutex_lock (&pair->mutex);
    int rc = zspool_pair_check (pair);
    while (rc == ZSPOOL_OK && !self->ever) {
        rc = zspool_pair_wait (pair, until_ms);
        if (rc == ZSPOOL_OK)
            rc = zspool_pair_check (pair);
    }
    pthread_mutex_unlock (&pair->mutex);
    return rc == ZSPOOL_ETIMEDOUT? zspool_pair_fail (pair, rc, "nobody answers"): rc;
}

//  ------------------------------------------------------------------------------------------------
//  Receiving

//  Have the next frame at hand; false: there is none. The mutex is held.
static bool
s_turn (zspool_consumer_t *self)
{
    if (!zspool_deliveries_turn (&self->deliveries))
        return false;
    if (zspool_consumer_owes_credit (self))
        zspool_pair_wake_actor (&self->pair);
    return true;
}

//  Wait for the next frame. The mutex is held.
static int
s_wait_for_frame (zspool_consumer_t *self, int64_t until_ms)
{
    int rc = ZSPOOL_OK;
    while (rc == ZSPOOL_OK && !s_turn (self)) {
        rc = zspool_pair_check (&self->pair);
        if (rc == ZSPOOL_OK && self->words.count > 0) {
            self->words.now = true; //  who waits has nothing more to say
            zspool_pair_wake_actor (&self->pair);
        }
        if (rc == ZSPOOL_OK)
            rc = zspool_pair_wait (&self->pair, until_ms);
    }
    return rc;
}

int
zspool_consumer_recv (zspool_consumer_t *self, int timeout_ms, zspool_delivery_t *delivery)
{
    zspool_pair_t *pair = &self->pair;
    if (!pair->actor)
        return zspool_pair_fail (pair, ZSPOOL_EINVAL, "it is not connected");
    //  What became void while it was being taken is given all the same; acknowledging it is stale.
    if (zspool_deliveries_next (&self->deliveries, delivery))
        return ZSPOOL_OK;
    int64_t until_ms = timeout_ms < 0? INT64_MAX / 2: zclock_mono () + timeout_ms;
    pthread_mutex_lock (&pair->mutex);
    int rc = s_wait_for_frame (self, until_ms);
    if (rc)
        pair->app_polls = true;
    pthread_mutex_unlock (&pair->mutex);
    if (rc) {
        zspool_pair_quieten (pair);
        return pair->failed? rc:
                             zspool_pair_fail (pair, rc,
                                               rc == ZSPOOL_ETIMEDOUT? "no message has come": NULL);
    }
    return zspool_deliveries_next (&self->deliveries, delivery)?
               ZSPOOL_OK:
               zspool_pair_fail (pair, ZSPOOL_ECORRUPT, NULL);
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
//  Acknowledging

//  Note a word. The mutex is held.
static int
s_add_word (zspool_consumer_t *self, const zspool_word_t *word)
{
    bool first = self->words.count == 0;
    int rc = zspool_words_add (&self->words, word);
    self->unsure = true;
    if (first || self->words.now)
        zspool_pair_wake_actor (&self->pair); //  it has to look at the clock for the first
    return rc;
}

typedef struct {
    zspool_consumer_t *self;
    zspool_word_t word;
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

//  Say something of what is held in first..last, and let go of it.
static int
s_say (zspool_consumer_t *self, uint64_t first, uint64_t last, const zspool_word_t *word)
{
    if (!self->pair.actor)
        return zspool_pair_fail (&self->pair, ZSPOOL_EINVAL, "it is not connected");
    s_noting_t noting = { self, *word, ZSPOOL_OK };
    pthread_mutex_lock (&self->pair.mutex);
    uint64_t messages = zspool_deliveries_take (&self->deliveries, first, last, s_note, &noting);
    pthread_mutex_unlock (&self->pair.mutex);
    if (messages == 0)
        return zspool_pair_fail (&self->pair, ZSPOOL_ESTALE, "it is not held");
    if (messages == UINT64_MAX)
        noting.rc = ZSPOOL_ENOMEM;
    return noting.rc? zspool_pair_fail (&self->pair, noting.rc, NULL): ZSPOOL_OK;
}

int
zspool_consumer_ack (zspool_consumer_t *self, uint64_t sequence)
{
    zspool_word_t word = { .command = ZSP_ACK };
    return s_say (self, sequence, sequence, &word);
}

int
zspool_consumer_ack_to (zspool_consumer_t *self, uint64_t sequence)
{
    zspool_word_t word = { .command = ZSP_ACK };
    return s_say (self, 1, sequence, &word);
}

static uint32_t
s_time (uint32_t time_ms)
{
    return time_ms < ZSP_TIME_MS_MAX? time_ms: ZSP_TIME_MS_MAX;
}

int
zspool_consumer_reject (zspool_consumer_t *self, uint64_t sequence, uint32_t delay_ms)
{
    zspool_word_t word = { .command = ZSP_REJECT, .time_ms = s_time (delay_ms) };
    return s_say (self, sequence, sequence, &word);
}

int
zspool_consumer_bury (zspool_consumer_t *self, uint64_t sequence, const char *reason)
{
    zspool_word_t word = { .command = ZSP_REJECT, .flags = ZSP_FLAG_DEAD };
    if (reason && *reason) {
        word.reason = strndup (reason, ZSP_TEXT_BYTES_MAX);
        if (!word.reason)
            return zspool_pair_fail (&self->pair, ZSPOOL_ENOMEM, NULL);
    }
    int rc = s_say (self, sequence, sequence, &word);
    if (rc)
        free (word.reason);
    return rc;
}

int
zspool_consumer_extend (zspool_consumer_t *self, uint64_t sequence, uint32_t time_ms)
{
    zspool_word_t word = { .command = ZSP_EXTEND, .time_ms = s_time (time_ms) };
    word.range = (zsp_range_t){ sequence, sequence };
    pthread_mutex_lock (&self->pair.mutex);
    bool held = self->pair.actor && zspool_deliveries_holds (&self->deliveries, sequence);
    if (held)
        self->words.now = true;
    int rc = held? s_add_word (self, &word): ZSPOOL_ESTALE;
    pthread_mutex_unlock (&self->pair.mutex);
    return rc? zspool_pair_fail (&self->pair, rc, NULL): ZSPOOL_OK;
}

int
zspool_consumer_claim (zspool_consumer_t *self, uint64_t sequence, zsp_acked_t *acked)
{
    uint64_t messages = 0;
    pthread_mutex_lock (&self->pair.mutex);
    if (self->pair.actor)
        messages = zspool_deliveries_take (&self->deliveries, sequence, sequence, NULL, NULL);
    acked->session = self->session;
    acked->subscription = ZSPOOL_CONSUMER_SUBSCRIPTION;
    acked->generation = self->generation;
    acked->range = (zsp_range_t){ sequence, sequence };
    self->claims += messages == 1;
    pthread_mutex_unlock (&self->pair.mutex);
    return messages == 1? ZSPOOL_OK: messages? ZSPOOL_ENOMEM: ZSPOOL_ESTALE;
}

void
zspool_consumer_release (zspool_consumer_t *self)
{
    pthread_mutex_lock (&self->pair.mutex);
    self->claims--;
    bool last = self->ended && self->claims == 0;
    pthread_mutex_unlock (&self->pair.mutex);
    if (last)
        s_free (self);
}

void
zspool_consumer_unclaim (zspool_consumer_t *self, const zsp_acked_t *acked)
{
    pthread_mutex_lock (&self->pair.mutex);
    if (self->subscribed && self->session == acked->session
        && self->generation == acked->generation)
        zspool_deliveries_hold (&self->deliveries, acked->range.first, acked->range.last);
    pthread_mutex_unlock (&self->pair.mutex);
    zspool_consumer_release (self);
}

//  ------------------------------------------------------------------------------------------------
//  The rest

//  Ask the service something, once the consumer is subscribed, and wait. The mutex is held.
static int
s_ask (zspool_consumer_t *self, uint8_t command)
{
    int64_t until_ms = zspool_pair_until (&self->pair);
    self->asks = command;
    self->request = self->request < REQUEST_FIRST? REQUEST_FIRST: self->request + 1;
    self->asked = false;
    self->answer = 1;
    zspool_pair_wake_actor (&self->pair);
    int rc = ZSPOOL_OK;
    while (rc == ZSPOOL_OK && self->answer == 1) {
        rc = zspool_pair_check (&self->pair);
        if (rc == ZSPOOL_OK)
            rc = zspool_pair_wait (&self->pair, until_ms);
    }
    self->asks = 0;
    return self->answer == 1? rc: self->answer;
}

int
zspool_consumer_seek (zspool_consumer_t *self, const char *start)
{
    zspool_start_t parsed;
    if (!self->pair.actor || !start || strlen (start) > ZSP_TEXT_BYTES_MAX
        || zspool_start_parse (&parsed, start))
        return zspool_pair_fail (&self->pair, ZSPOOL_EINVAL,
                                 "no such start, or it is not connected");
    pthread_mutex_lock (&self->pair.mutex);
    strcpy (self->seek, start);
    int rc = s_ask (self, ZSP_SEEK);
    pthread_mutex_unlock (&self->pair.mutex);
    if (rc)
        return zspool_pair_fail (&self->pair, rc, NULL);
    zspool_deliveries_drop (&self->deliveries); //  of before
    return ZSPOOL_OK;
}

int
zspool_consumer_flush (zspool_consumer_t *self)
{
    if (!self->pair.actor)
        return zspool_pair_fail (&self->pair, ZSPOOL_EINVAL, "it is not connected");
    pthread_mutex_lock (&self->pair.mutex);
    int rc = self->unsure_lost? ZSPOOL_ELOST: s_ask (self, ZSP_FLUSH);
    if (rc == ZSPOOL_ELOST)
        self->unsure_lost = false; //  told now
    else if (rc == ZSPOOL_OK)
        self->unsure = false;
    pthread_mutex_unlock (&self->pair.mutex);
    return rc? zspool_pair_fail (&self->pair, rc, NULL): ZSPOOL_OK;
}

bool
zspool_consumer_active (zspool_consumer_t *self)
{
    pthread_mutex_lock (&self->pair.mutex);
    bool active = self->subscribed && self->active;
    pthread_mutex_unlock (&self->pair.mutex);
    return active;
}

size_t
zspool_consumer_ahead (zspool_consumer_t *self)
{
    pthread_mutex_lock (&self->pair.mutex);
    size_t ahead = self->deliveries.ahead;
    pthread_mutex_unlock (&self->pair.mutex);
    return ahead;
}

uint64_t
zspool_consumer_stale (zspool_consumer_t *self)
{
    pthread_mutex_lock (&self->pair.mutex);
    uint64_t stale = self->stale;
    pthread_mutex_unlock (&self->pair.mutex);
    return stale;
}

zsock_t *
zspool_consumer_socket (zspool_consumer_t *self)
{
    return zspool_pair_socket (&self->pair);
}

const char *
zspool_consumer_reason (const zspool_consumer_t *self)
{
    return self->pair.reason;
}
