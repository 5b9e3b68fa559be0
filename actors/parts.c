//  parts.c - what a device is made of: opens the store, prepares what its actors need, creates them
//
//  SPDX-License-Identifier: MPL-2.0

#include "parts.h"
#include "dead.h"
#include "inlet.h"
#include "session.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

//  To how many outlets a service comes that sends from the inlet's blocks
#define SERVICE_OUTLETS (ZSPOOL_SERVICE_PINNED_MAX / ZSPOOL_PINNED_BYTES_MAX)

static int
s_fail (zspool_parts_t *self, int code, const char *reason)
{
    snprintf (self->reason, ZSPOOL_REASON_MAX, "%s", reason);
    return code;
}

//  A pipe between two actors: a pair of sockets without high-water marks. Its name must never have
//  been used: ZeroMQ gives the names of closed sockets up only after a while. Returns 0 or -1.
static int
s_new_pipe (zsock_t **one, zsock_t **other)
{
    static atomic_ulong pipes_ever;
    char endpoint [64];
    *one = zsock_new (ZMQ_PAIR);
    *other = zsock_new (ZMQ_PAIR);
    if (!*one || !*other)
        return -1;
    snprintf (endpoint, sizeof endpoint, "inproc://zspool-pipe-%lu",
              atomic_fetch_add (&pipes_ever, 1));
    zsock_set_sndhwm (*one, 0);
    zsock_set_rcvhwm (*one, 0);
    zsock_set_sndhwm (*other, 0);
    zsock_set_rcvhwm (*other, 0);
    zsock_set_linger (*one, 0);
    zsock_set_linger (*other, 0);
    if (zsock_bind (*one, "%s", endpoint))
        return -1;
    return zsock_connect (*other, "%s", endpoint);
}

//  ------------------------------------------------------------------------------------------------
//  Outlets: the main one, and the feeds

//  Add an outlet; its filter is compiled here.
static int
s_add_outlet (zspool_parts_t *self, const zspool_outlet_ends_t *ends, zlist_t *filters)
{
    zspool_outlet_args_t *outlet = &self->outlets [self->outlets_count];
    char *label = self->labels [self->outlets_count++];
    outlet->ends = *ends;
    snprintf (label, ZSPOOL_LABEL_MAX + 1, "%s", ends->label);
    outlet->ends.label = label;
    outlet->options = self->options;
    return zspool_feeds_compile (filters, &outlet->ends.filter);
}

static int
s_add_main (zspool_parts_t *self)
{
    const zspool_options_t *options = self->options;
    bool publishes = options->out_type == ZSPOOL_OUT_PUB;
    zspool_outlet_ends_t ends = {
        .label = ZSPOOL_CURSOR_OUT,
        .endpoints = options->out,
        .ack_in = options->ack_in,
        .socket_type = publishes? ZMQ_XPUB: ZMQ_PUSH,
        .ack = publishes? ZSPOOL_ACK_SENT: (zspool_ack_policy_t) options->ack,
        .hold = publishes? (size_t) options->hold: 0,
    };
    return s_add_outlet (self, &ends, self->feeds->out_filters);
}

static int
s_add_feed (zspool_parts_t *self, const zspool_feed_t *feed)
{
    char label [ZSPOOL_LABEL_MAX + 1];
    snprintf (label, sizeof label, "feed/%s", feed->name);
    zspool_outlet_ends_t ends = {
        .label = label,
        .endpoints = feed->endpoint,
        .ack_in = feed->ack_in,
        .socket_type = feed->socket_type,
        .ack = zspool_feed_ack (feed, self->options),
        .exclusive = feed->socket_type == ZMQ_XPUB,
    };
    return s_add_outlet (self, &ends, feed->filters);
}

static int
s_add_outlets (zspool_parts_t *self)
{
    int rc = *self->options->out? s_add_main (self): ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < self->feeds->count; index++)
        rc = s_add_feed (self, self->feeds->feeds [index]);
    self->lane.outlets =
        (zspool_writer_outlet_t *) calloc (self->outlets_count + 1, sizeof *self->lane.outlets);
    return rc == ZSPOOL_OK && self->lane.outlets? ZSPOOL_OK: ZSPOOL_ENOMEM;
}

//  ------------------------------------------------------------------------------------------------
//  The store

//  The cursor of an outlet, created when it is not there: that of a queue's main outlet before what
//  is stored, a feed's where it is to start.
static int
s_prepare_cursor (zspool_parts_t *self, size_t index)
{
    const zspool_options_t *options = self->options;
    zspool_outlet_args_t *outlet = &self->outlets [index];
    uint64_t sequence = ZSPOOL_START_FIRST;
    const char *name = ZSPOOL_CURSOR_OUT;
    size_t feeds_before = *options->out? 1: 0;
    if (index >= feeds_before) {
        const zspool_feed_t *feed = self->feeds->feeds [index - feeds_before];
        zspool_start_t start;
        name = feed->name;
        int rc = zspool_start_parse (&start, *feed->start? feed->start: options->start);
        if (rc == ZSPOOL_OK)
            rc = zspool_store_find_start (self->store, self->lane.spool, &start, &sequence);
        if (rc)
            return rc;
    }
    return zspool_store_cursor (self->store, self->lane.spool, name, sequence, &outlet->cursor_id);
}

//  What a spool of the device is to keep
static zspool_retention_t
s_retention (const zspool_options_t *options)
{
    bool ages = options->keep_age_ms != ZSPOOL_KEEP_UNLIMITED;
    return (zspool_retention_t){
        .age_us = ages? options->keep_age_ms * 1000: ZSPOOL_KEEP_UNLIMITED,
        .bytes = options->keep_bytes,
        .messages = options->keep_count,
        .unacked = options->keep_unacked,
    };
}

//  What the spool is to keep, if that is not how it is stored.
static int
s_prepare_retention (zspool_parts_t *self)
{
    const zspool_options_t *options = self->options;
    zspool_retention_t now, wanted = s_retention (options);
    int rc = zspool_store_retention (self->store, self->lane.spool, &now);
    if (rc == ZSPOOL_OK
        && (now.age_us != wanted.age_us || now.bytes != wanted.bytes
            || now.messages != wanted.messages || now.unacked != wanted.unacked))
        rc = zspool_store_set_retention (self->store, self->lane.spool, &wanted);
    return rc;
}

//  Create spool and cursors when they are not there, and under `async` raise the ceiling, in an
//  open transaction.
static int
s_prepare_txn (zspool_parts_t *self)
{
    const zspool_options_t *options = self->options;
    uint32_t dead_spool = 0;
    int rc = zspool_store_spool (self->store, options->name, &self->lane.spool);
    if (rc == ZSPOOL_OK)
        rc = s_prepare_retention (self);
    for (size_t index = 0; rc == ZSPOOL_OK && index < self->outlets_count; index++)
        rc = s_prepare_cursor (self, index);
    if (rc == ZSPOOL_OK && options->max_deliveries > 0)
        rc = zspool_dead_prepare (self->store, options->name, &dead_spool);
    for (size_t index = 0; rc == ZSPOOL_OK && index < self->outlets_count; index++)
        self->outlets [index].dead_spool = dead_spool;
    if (rc == ZSPOOL_OK && options->durability == ZSPOOL_ASYNC)
        rc = zspool_store_set_ceiling_window (self->store, self->lane.spool, ZSPOOL_CEILING_WINDOW);
    return rc;
}

//  Let an outlet know where its cursor stands.
static void
s_note_cursor (zspool_parts_t *self, size_t index)
{
    zspool_outlet_args_t *outlet = &self->outlets [index];
    const zspool_cursor_state_t *state = zspool_store_find_cursor (
        zspool_store_find_spool (self->store, self->lane.spool), outlet->cursor_id);
    outlet->spool = self->lane.spool;
    outlet->generation = state->now.generation;
    outlet->floor = state->now.floor;
    outlet->sent_to = state->now.sent_to;
    outlet->incarnation = zspool_store_incarnation (self->store);
    zspool_writer_outlet_t *seen = &self->lane.outlets [index];
    seen->cursor = outlet->cursor_id;
    snprintf (seen->label, sizeof seen->label, "%s", outlet->ends.label);
}

static int
s_prepare_spool (zspool_parts_t *self)
{
    zspool_store_t *store = self->store;
    int rc = zspool_store_begin (store);
    if (rc)
        return rc;
    rc = s_prepare_txn (self);
    if (rc) {
        zspool_store_rollback (store);
        return rc;
    }
    rc = zspool_store_commit (store);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_set_limit (store, self->lane.spool, self->options->bytes_max,
                                     (zspool_on_full_t) self->options->on_full);
    if (rc)
        return rc;
    for (size_t index = 0; index < self->outlets_count; index++)
        s_note_cursor (self, index);
    return zspool_store_numbering (store, self->lane.spool, &self->lane.next_sequence,
                                   &self->lane.stored_us);
}

static int
s_prepare_readers (zspool_parts_t *self, zspool_outlet_args_t *outlet)
{
    bool is_explicit = outlet->ends.ack == ZSPOOL_ACK_EXPLICIT;
    outlet->pool = zspool_block_pool_new (ZSPOOL_OUTLET_POOL_BLOCKS, ZSPOOL_BLOCK_BYTES);
    if (outlet->pool)
        outlet->reader = zspool_reader_new_pooled (self->store, outlet->spool, outlet->pool);
    if (outlet->reader && is_explicit)
        outlet->again = zspool_reader_new_pooled (self->store, outlet->spool, outlet->pool);
    if (!outlet->reader || (is_explicit && !outlet->again))
        return ZSPOOL_ENOMEM;
    return is_explicit? zspool_store_track_cursor (self->store, outlet->spool, outlet->cursor_id,
                                                   &outlet->cursor):
                        ZSPOOL_OK;
}

int
zspool_parts_prepare (zspool_parts_t *self)
{
    const zspool_options_t *options = self->options;
    if (s_add_outlets (self))
        return s_fail (self, ZSPOOL_ENOMEM, "out of memory");
    self->store = zspool_store_new (options->store);
    if (!self->store)
        return s_fail (self, ZSPOOL_ENOMEM, "out of memory");
    int rc = zspool_store_set_map_bytes (self->store, options->map_bytes);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_open (self->store, ZSPOOL_WRITE);
    if (rc == ZSPOOL_OK)
        rc = s_prepare_spool (self);
    if (rc)
        return s_fail (self, rc, zspool_store_reason (self->store));
    self->lane.async = options->durability == ZSPOOL_ASYNC;
    self->lane.drops_oldest = options->on_full == ZSPOOL_ON_FULL_DROP_OLDEST;
    self->lane.commit_interval_ms = (int64_t) options->commit_interval_ms;
    self->lane.outlets_count = self->outlets_count;
    self->incarnation = zspool_store_incarnation (self->store);
    int failed = s_new_pipe (&self->lane.inlet, &self->inlet_pipe);
    if (*options->service && !failed)
        failed = s_new_pipe (&self->writer_service, &self->service_pipe);
    for (size_t index = 0; rc == ZSPOOL_OK && !failed && index < self->outlets_count; index++) {
        rc = s_prepare_readers (self, &self->outlets [index]);
        failed = s_new_pipe (&self->lane.outlets [index].pipe, &self->outlets [index].writer);
    }
    if (rc == ZSPOOL_OK && failed)
        return s_fail (self, ZSPOOL_ENOMEM, "out of memory or sockets");
    return rc? s_fail (self, rc, zspool_strerror (rc)): ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Actors

static void
s_destroy_outlet (zspool_outlet_args_t *outlet)
{
    zspool_reader_destroy (&outlet->reader);
    zspool_reader_destroy (&outlet->again);
    zspool_block_pool_destroy (&outlet->pool);
    zspool_cursor_destroy (&outlet->cursor);
    zspool_filter_destroy (&outlet->ends.filter);
    zsock_destroy (&outlet->writer);
}

void
zspool_parts_destroy (zspool_parts_t *self)
{
    zactor_destroy (&self->inlet_actor);
    for (size_t index = 0; index < self->outlets_count; index++) {
        zactor_destroy (&self->outlet_actors [index]);
        s_destroy_outlet (&self->outlets [index]);
    }
    zactor_destroy (&self->service_actor);
    zactor_destroy (&self->writer_actor);
    zsock_destroy (&self->service_pipe);
    zsock_destroy (&self->writer_service);
    zsock_destroy (&self->inlet_pipe);
    zsock_destroy (&self->lane.inlet);
    for (size_t index = 0; index < self->lane.outlets_count; index++)
        zsock_destroy (&self->lane.outlets [index].pipe);
    free (self->lane.outlets);
    zspool_store_destroy (&self->store);
}

//  The largest message that may come in: it must fit under the spool's limit, with its block and
//  the sizes of all its frames.
static size_t
s_message_bytes_max (const zspool_options_t *options)
{
    uint64_t bytes_max = options->message_bytes_max;
    if (options->bytes_max > 0 && bytes_max > options->bytes_max / 2)
        bytes_max = options->bytes_max / 2;
    return (size_t) bytes_max;
}

//  Whether somebody will look for topics: then blocks get an index.
static bool
s_is_indexed (const zspool_parts_t *self)
{
    bool indexed =
        self->options->out_type == ZSPOOL_OUT_PUB || self->options->in_type == ZSPOOL_IN_SUB;
    for (size_t index = 0; index < self->outlets_count; index++)
        indexed = indexed || self->outlets [index].ends.filter;
    return indexed;
}

static zactor_t *
s_new_inlet (zspool_parts_t *self)
{
    const zspool_options_t *options = self->options;
    zspool_inlet_args_t args = {
        .socket_type = options->in_type == ZSPOOL_IN_SUB? ZMQ_SUB: ZMQ_PULL,
        .endpoints = options->in,
        .topics = self->feeds->topics,
        .indexed = s_is_indexed (self),
        .outlets = self->outlets_count + (self->service_pipe? SERVICE_OUTLETS: 0),
        .hwm = (int) options->hwm,
        .message_bytes_max = s_message_bytes_max (options),
        .message_frames_max = (size_t) options->message_frames_max,
        .writer = self->inlet_pipe
    };
    return zspool_inlet_new (&args);
}

//  Create the service, if there is to be one.
static int
s_new_service (zspool_parts_t *self)
{
    if (!self->service_pipe)
        return ZSPOOL_OK;
    zlist_t *cursors = zlist_new ();
    for (size_t index = 0; cursors && index < self->feeds->count; index++)
        zlist_append (cursors, self->feeds->feeds [index]->name);
    if (cursors && *self->options->out)
        zlist_append (cursors, (void *) (uintptr_t) ZSPOOL_CURSOR_OUT);
    zspool_service_args_t args = {
        .options = self->options,
        .spools = self->feeds->service_spools,
        .cursors = cursors,
        .spool = self->lane.spool,
        .incarnation = self->incarnation,
        .indexed = s_is_indexed (self),
        .writer = self->service_pipe,
    };
    self->service_actor = cursors? zspool_service_new (&args): NULL;
    zlist_destroy (&cursors);
    if (!self->service_actor)
        return ZSPOOL_ENOMEM;
    self->service_pipe = NULL;
    return ZSPOOL_OK;
}

int
zspool_parts_create_actors (zspool_parts_t *self)
{
    self->inlet_actor = s_new_inlet (self);
    if (!self->inlet_actor)
        return s_fail (self, ZSPOOL_ENOMEM, "out of memory");
    self->inlet_pipe = NULL;
    if (s_new_service (self))
        return s_fail (self, ZSPOOL_ENOMEM, "out of memory");
    for (size_t index = 0; index < self->outlets_count; index++) {
        self->outlet_actors [index] = zspool_outlet_new (&self->outlets [index]);
        if (!self->outlet_actors [index])
            return s_fail (self, ZSPOOL_ENOMEM, "out of memory");
        memset (&self->outlets [index], 0, sizeof self->outlets [index]);
    }
    zspool_writer_args_t writer = {
        .store = self->store,
        .lanes = &self->lane,
        .lanes_count = 1,
        .service = self->writer_service,
        .defaults = {
            .retention = s_retention (self->options),
            .bytes_max = self->options->bytes_max,
            .on_full = (zspool_on_full_t) self->options->on_full,
            .ceiling_window = self->lane.async? ZSPOOL_CEILING_WINDOW: 0,
        },
    };
    self->writer_actor = zspool_writer_new (&writer);
    if (!self->writer_actor)
        return s_fail (self, ZSPOOL_ENOMEM, "out of memory");
    self->store = NULL;
    self->writer_service = NULL;
    memset (&self->lane, 0, sizeof self->lane);
    return ZSPOOL_OK;
}
