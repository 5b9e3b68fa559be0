//  group.c - a cursor that the service delivers through, and the consumers that compete on it
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A block is given in pieces: stretches of consecutive records that go to one consumer in one
//  DELIVER. When nothing has to be known of single records, because there is no filter and all of
//  the rest of a block is covered by a credit, a piece is that rest, and no record is looked at.

#include "group.h"
#include "handoff.h"
#include "run.h"

#include <stdlib.h>
#include <string.h>

//  Most DELIVERs of messages that are due again in one turn
#define AGAIN_MAX 64

//  What is acknowledged in transactions being gathered, or under way
typedef struct {
    zspool_lease_t lease;
    uint64_t tag;                      //  which transaction
} s_claim_t;

struct zspool_group {
    zspool_group_args_t args;
    zspool_leases_t *leases;
    zspool_subscription_t *first;      //  consumers, in order of arrival
    zspool_subscription_t *turn;       //  whose turn it is; NULL: the first's
    size_t consumers;
    uint64_t next;                     //  message that is delivered next for the first time
    uint64_t known_to;                 //  up to here some may have been delivered, or acknowledged, before our time
    uint64_t at_block;                 //  first sequence of a block, in which
    zspool_record_t at;                //  this is the record before `next`
    zspool_doom_t doom;
    zspool_cursor_t *claimed;          //  the tracker as it is to be when what is claimed is acknowledged
    bool claims_under_way;
    s_claim_t *claims;
    size_t claims_count;
    size_t claims_max;
    zspool_group_info_t info;
};

//  A DELIVER that is being made up
typedef struct {
    zspool_block_t *block;
    uint64_t messages_max;
    uint64_t bytes_max;
    uint64_t messages;
    uint64_t bytes;
    uint64_t end;                      //  sequence of the last message that was looked at
    size_t pieces_count;
    zspool_piece_t pieces [ZSP_SLICES_MAX];
    zspool_record_t last;              //  the last record that was looked at
} s_parcel_t;

zspool_group_t *
zspool_group_new (const zspool_group_args_t *args)
{
    zspool_group_t *self = (zspool_group_t *) calloc (1, sizeof *self);
    zspool_leases_t *leases = zspool_leases_new ();
    if (!self || !leases) {
        free (self);
        zspool_leases_destroy (&leases);
        return NULL;
    }
    self->args = *args;
    self->leases = leases;
    self->next = args->floor + 1;
    self->known_to = args->sent_to;
    zspool_cursor_set_timeout_ms (args->tracker, 0);
    self->doom.burial.deliveries_max = args->max_deliveries;
    self->doom.burial.origin = args->shelf->name;
    self->doom.burial.from = args->shelf->spool;
    self->doom.burial.cursor = args->cursor_id;
    return self;
}

void
zspool_group_destroy (zspool_group_t **self_p)
{
    zspool_group_t *self = *self_p;
    if (!self)
        return;
    zspool_doom_destroy (&self->doom);
    zspool_leases_destroy (&self->leases);
    zspool_cursor_destroy (&self->args.tracker);
    zspool_cursor_destroy (&self->claimed);
    zspool_filter_destroy (&self->args.filter);
    free (self->args.filters);
    free (self->claims);
    free (self);
    *self_p = NULL;
}

bool
zspool_group_has_filters (const zspool_group_t *self, const zsp_text_t *filters, size_t count)
{
    if (count != self->args.filters_count)
        return false;
    for (size_t index = 0; index < count; index++) {
        bool found = false;
        for (size_t at = 0; !found && at < count; at++)
            found = filters [index].size == self->args.filters [at].size
                    && memcmp (filters [index].data, self->args.filters [at].data, filters [index].size) == 0;
        if (!found)
            return false;
    }
    return true;
}

void
zspool_group_set_filters (zspool_group_t *self, zspool_filter_t *filter, zsp_text_t *filters, size_t count)
{
    zspool_filter_destroy (&self->args.filter);
    free (self->args.filters);
    self->args.filter = filter;
    self->args.filters = filters;
    self->args.filters_count = count;
}

//  ------------------------------------------------------------------------------------------------
//  Consumers

static zspool_subscription_t *
s_consumer (const zspool_group_t *self, uint64_t id)
{
    zspool_subscription_t *consumer = self->first;
    while (consumer && consumer->id != id)
        consumer = consumer->group_next;
    return consumer;
}

//  One who held deliveries does not any more.
static void
s_let_go (void *arg, const zspool_lease_t *lease)
{
    zspool_subscription_t *consumer = s_consumer ((zspool_group_t *) arg, lease->consumer);
    if (consumer)
        consumer->in_flight -= lease->last - lease->first + 1;
}

int
zspool_group_join (zspool_group_t *self, zspool_subscription_t *subscription)
{
    if (self->first && self->first->exclusive != subscription->exclusive)
        return ZSPOOL_EBUSY;
    subscription->active = !subscription->exclusive || !self->first;
    subscription->group = self;
    subscription->group_next = NULL;
    zspool_subscription_t **end = &self->first;
    while (*end)
        end = &(*end)->group_next;
    *end = subscription;
    self->consumers++;
    return ZSPOOL_OK;
}

void
zspool_group_leave (zspool_group_t *self, zspool_subscription_t *subscription, int64_t now_ms)
{
    zspool_leases_return (self->leases, subscription->id, 1, UINT64_MAX, now_ms);
    zspool_subscription_t **at = &self->first;
    while (*at != subscription)
        at = &(*at)->group_next;
    *at = subscription->group_next;
    self->consumers--;
    if (self->turn == subscription)
        self->turn = subscription->group_next;
    subscription->group = NULL;
    subscription->in_flight = 0;
    if (subscription->exclusive && subscription->active && self->first) {
        self->first->active = true;
        self->args.ops->tell (self->args.ops->arg, self->first, self->args.generation,
                              zspool_cursor_floor (self->args.tracker));
    }
    subscription->active = false;
}

static bool
s_has_credit (const zspool_subscription_t *consumer)
{
    return consumer->active && !consumer->busy && consumer->credit_messages > 0 && consumer->credit_bytes > 0;
}

//  The next consumer with credit, in turn; NULL: there is none. *count: how many there are.
static zspool_subscription_t *
s_next_consumer (zspool_group_t *self, size_t *count)
{
    zspool_subscription_t *from = self->turn? self->turn: self->first, *found = NULL;
    *count = 0;
    for (zspool_subscription_t *at = from; at; at = at->group_next)
        if (s_has_credit (at)) {
            ++*count;
            found = found? found: at;
        }
    for (zspool_subscription_t *at = self->first; at && at != from; at = at->group_next)
        if (s_has_credit (at)) {
            ++*count;
            found = found? found: at;
        }
    return found;
}

//  ------------------------------------------------------------------------------------------------
//  What consumers say

//  What a consumer held is acknowledged.
static void
s_ack (void *arg, const zspool_lease_t *lease)
{
    zspool_cursor_ack ((zspool_cursor_t *) arg, lease->first, lease->last);
}

//  What a call on leases gave, as a result; the messages are not the consumer's any more.
static int
s_result (zspool_group_t *self, zspool_subscription_t *subscription, uint64_t messages, bool keeps)
{
    if (messages == UINT64_MAX)
        return ZSPOOL_ENOMEM;
    if (messages == 0) {
        self->info.stale++;
        return ZSPOOL_ESTALE;
    }
    if (!keeps)
        subscription->in_flight -= messages;
    return ZSPOOL_OK;
}

int
zspool_group_ack (zspool_group_t *self, zspool_subscription_t *subscription, uint32_t generation,
                  uint64_t first, uint64_t last, uint64_t *acked)
{
    uint64_t messages =
        generation == self->args.generation?
            zspool_leases_take (self->leases, subscription->id, first, last, s_ack, self->args.tracker):
            0;
    int rc = s_result (self, subscription, messages, false);
    if (rc == ZSPOOL_OK) {
        self->info.acknowledged += messages;
        *acked = messages;
    }
    return rc;
}

//  Doom what a consumer gives back: it is leased to nobody, and due never.
typedef struct {
    zspool_group_t *group;
    zsp_text_t reason;
    int rc;
} s_dooming_t;

static void
s_doom_lease (void *arg, const zspool_lease_t *lease)
{
    s_dooming_t *dooming = (s_dooming_t *) arg;
    zspool_group_t *self = dooming->group;
    for (uint64_t at = lease->first; at <= lease->last && dooming->rc == ZSPOOL_OK; at++)
        dooming->rc = zspool_doom_add (&self->doom, at, ZSPOOL_DEATH_REJECTED,
                                       zspool_cursor_deliveries (self->args.tracker, at), dooming->reason.data,
                                       dooming->reason.size);
}

static void
s_want_dead (zspool_group_t *self)
{
    if (self->doom.wanted || self->doom.burial.to)
        return;
    self->doom.wanted = true;
    self->args.ops->want_dead (self->args.ops->catalog, self);
}

int
zspool_group_reject (zspool_group_t *self, zspool_subscription_t *subscription, uint32_t generation,
                     uint64_t first, uint64_t last, int64_t now_ms, uint32_t delay_ms, bool dead,
                     zsp_text_t reason)
{
    if (generation != self->args.generation)
        return s_result (self, subscription, 0, false);
    if (dead && self->doom.count + subscription->in_flight > ZSPOOL_DOOMED_MAX
        && self->doom.count + (last - first) >= ZSPOOL_DOOMED_MAX)
        return ZSPOOL_ELIMIT;
    if (reason.size > ZSPOOL_WHY_MAX)
        reason.size = ZSPOOL_WHY_MAX;
    int64_t due_ms = dead? INT64_MAX: now_ms + delay_ms;
    s_dooming_t dooming = { self, reason, ZSPOOL_OK };
    uint64_t messages = zspool_leases_return_each (self->leases, subscription->id, first, last, due_ms,
                                                   dead? s_doom_lease: NULL, &dooming);
    int rc = s_result (self, subscription, messages, false);
    if (rc == ZSPOOL_OK && dead)
        s_want_dead (self);
    //  What could not be noted is delivered again.
    if (rc == ZSPOOL_OK && dooming.rc)
        zspool_leases_return (self->leases, ZSPOOL_NOBODY, first, last, now_ms);
    return rc? rc: dooming.rc;
}

int
zspool_group_extend (zspool_group_t *self, zspool_subscription_t *subscription, uint32_t generation,
                     uint64_t first, uint64_t last, int64_t now_ms, uint32_t time_ms)
{
    uint64_t messages = generation == self->args.generation?
                            zspool_leases_extend (self->leases, subscription->id, first, last, now_ms + time_ms):
                            0;
    return s_result (self, subscription, messages, true);
}

//  ------------------------------------------------------------------------------------------------
//  Transactions

static int
s_add_claim (zspool_group_t *self, const zspool_lease_t *lease, uint64_t tag)
{
    if (self->claims_count == self->claims_max) {
        size_t max = self->claims_max? 2 * self->claims_max: 64;
        s_claim_t *claims = (s_claim_t *) realloc (self->claims, max * sizeof *claims);
        if (!claims)
            return ZSPOOL_ENOMEM;
        self->claims = claims;
        self->claims_max = max;
    }
    self->claims [self->claims_count++] = (s_claim_t){ *lease, tag };
    return ZSPOOL_OK;
}

//  Make the clone, with all claims acknowledged on it.
static int
s_make_claimed (zspool_group_t *self)
{
    zspool_cursor_destroy (&self->claimed);
    if (self->claims_count == 0)
        return ZSPOOL_OK;
    self->claimed = zspool_cursor_clone (self->args.tracker);
    for (size_t index = 0; self->claimed && index < self->claims_count; index++)
        zspool_cursor_ack (self->claimed, self->claims [index].lease.first, self->claims [index].lease.last);
    return self->claimed? ZSPOOL_OK: ZSPOOL_ENOMEM;
}

//  Give back what was claimed to who held it.
static void
s_give_back (zspool_group_t *self, const zspool_lease_t *lease, int64_t now_ms)
{
    zspool_subscription_t *consumer = s_consumer (self, lease->consumer);
    uint64_t messages = lease->last - lease->first + 1;
    //  Taking it out has left room.
    if (zspool_leases_grant (self->leases, lease->first, lease->last, consumer? consumer->id: ZSPOOL_NOBODY,
                             consumer? lease->due_ms: now_ms) == ZSPOOL_OK
        && consumer)
        consumer->in_flight += messages;
}

typedef struct {
    zspool_group_t *group;
    uint64_t tag;
    int rc;
} s_claiming_t;

static void
s_claim_lease (void *arg, const zspool_lease_t *lease)
{
    s_claiming_t *claiming = (s_claiming_t *) arg;
    if (claiming->rc == ZSPOOL_OK)
        claiming->rc = s_add_claim (claiming->group, lease, claiming->tag);
}

int
zspool_group_claim (zspool_group_t *self, zspool_subscription_t *subscription, uint32_t generation,
                    uint64_t first, uint64_t last, uint64_t tag)
{
    if (generation != self->args.generation)
        return s_result (self, subscription, 0, false);
    if (self->claims_under_way || self->doom.burial.under_way)
        return ZSPOOL_EBUSY;
    if (!zspool_leases_holds (self->leases, subscription->id, first, last))
        return s_result (self, subscription, 0, false);
    size_t before = self->claims_count;
    s_claiming_t claiming = { self, tag, ZSPOOL_OK };
    uint64_t messages =
        zspool_leases_take (self->leases, subscription->id, first, last, s_claim_lease, &claiming);
    int rc = s_result (self, subscription, messages, false);
    if (rc)
        return rc;
    if (claiming.rc) {
        //  Memory is out: what could not be noted is due again, as if it had been returned.
        self->claims_count = before;
        zspool_lease_t lost = { first, last, ZSPOOL_NOBODY, 0 };
        s_give_back (self, &lost, 0);
        return claiming.rc;
    }
    if (!self->claimed)
        return s_make_claimed (self);
    zspool_cursor_ack (self->claimed, first, last);
    return ZSPOOL_OK;
}

void
zspool_group_unclaim (zspool_group_t *self, uint64_t tag, int64_t now_ms)
{
    size_t left = 0;
    for (size_t index = 0; index < self->claims_count; index++)
        if (self->claims [index].tag == tag)
            s_give_back (self, &self->claims [index].lease, now_ms);
        else
            self->claims [left++] = self->claims [index];
    bool changed = left < self->claims_count;
    self->claims_count = left;
    if (changed)
        s_make_claimed (self);
}

zspool_cursor_change_t *
zspool_group_take_claimed (zspool_group_t *self)
{
    self->claims_under_way = self->claims_count > 0;
    zspool_cursor_change_t *change = self->claimed? zspool_cursor_take_change (self->claimed): NULL;
    zspool_cursor_destroy (&self->claimed);
    return change;
}

void
zspool_group_end_claimed (zspool_group_t *self, int rc, int64_t now_ms)
{
    for (size_t index = 0; index < self->claims_count; index++) {
        const zspool_lease_t *lease = &self->claims [index].lease;
        if (rc == ZSPOOL_OK) {
            zspool_cursor_ack (self->args.tracker, lease->first, lease->last);
            self->info.acknowledged += lease->last - lease->first + 1;
        }
        else
            s_give_back (self, lease, now_ms);
    }
    self->claims_count = 0;
    self->claims_under_way = false;
    zspool_cursor_destroy (&self->claimed);
    zspool_group_hand_change (self);
}

//  ------------------------------------------------------------------------------------------------
//  Making up a parcel

//  Add a record to the parcel: to its last piece, or as a new one. False: it has no room for it.
static bool
s_add_record (s_parcel_t *parcel, const zspool_record_t *record, unsigned deliveries)
{
    const uint8_t *begin = zspool_record_begin (record), *end = zspool_record_end (record);
    size_t size = (size_t) (end - begin);
    if (parcel->messages == parcel->messages_max
        || (parcel->messages > 0 && parcel->bytes + size > parcel->bytes_max))
        return false;
    zspool_piece_t *piece = parcel->pieces_count? &parcel->pieces [parcel->pieces_count - 1]: NULL;
    if (piece && piece->records + piece->size == begin && piece->deliveries == deliveries)
        piece->size += size;
    else {
        if (parcel->pieces_count == ZSP_SLICES_MAX)
            return false;
        piece = &parcel->pieces [parcel->pieces_count++];
        *piece = (zspool_piece_t){ record->sequence, 0, (uint16_t) deliveries, begin, size };
    }
    piece->count++;
    parcel->messages++;
    parcel->bytes += size;
    return true;
}

//  The record behind which the message `sequence` comes, in a block: from where we were, or the
//  beginning.
static void
s_go_to (zspool_group_t *self, s_parcel_t *parcel, uint64_t sequence)
{
    zspool_record_t *record = &parcel->last;
    zspool_block_rewind (parcel->block, record);
    if (self->args.filter)
        zspool_filter_rewind (self->args.filter, parcel->block, record);
    uint64_t first = zspool_block_first_sequence (parcel->block);
    if (sequence <= first)
        return;
    if (zspool_block_index (parcel->block)) {
        zspool_block_go_to (parcel->block, record, (uint32_t) (sequence - first));
        record->sequence = sequence - 1;
        return;
    }
    if (self->at_block == first && self->at.sequence < sequence)
        *record = self->at;
    while (record->number < sequence - first && zspool_block_next (parcel->block, record))
        ;
}

//  Take all that is left of the block, from behind parcel->last on, as one piece, if the parcel has
//  room for it.
static bool
s_add_rest (s_parcel_t *parcel, uint64_t sequence)
{
    size_t size;
    const uint8_t *records = zspool_block_records (parcel->block, &size);
    uint64_t last = zspool_block_last_sequence (parcel->block);
    size_t bytes = size - parcel->last.next_offset;
    if (last - sequence + 1 > parcel->messages_max || bytes > parcel->bytes_max)
        return false;
    parcel->pieces [0] = (zspool_piece_t){ sequence, (uint32_t) (last - sequence + 1), 1,
                                           records + parcel->last.next_offset, bytes };
    parcel->pieces_count = 1;
    parcel->messages = last - sequence + 1;
    parcel->bytes = bytes;
    parcel->end = last;
    return true;
}

//  How often a message will have been delivered, when it is now; 0: it is not to be: acknowledged,
//  or delivered too often already, and then doomed.
static unsigned
s_next_delivery (zspool_group_t *self, uint64_t sequence, bool *failed)
{
    if (zspool_cursor_acked (self->args.tracker, sequence))
        return 0;
    unsigned deliveries = zspool_cursor_deliveries (self->args.tracker, sequence);
    if (!zspool_burial_wants (&self->doom.burial, deliveries))
        return deliveries + 1;
    if (zspool_doom_add (&self->doom, sequence, ZSPOOL_DEATH_DELIVERIES, deliveries, NULL, 0)) {
        *failed = true;
        return 0;
    }
    zspool_leases_drop (self->leases, sequence, sequence, NULL, NULL);
    if (zspool_leases_grant (self->leases, sequence, sequence, ZSPOOL_NOBODY, INT64_MAX))
        *failed = true;
    s_want_dead (self);
    return 0;
}

//  Look at the messages first..last of the block one by one, and add those that are to be delivered.
//  False: what a message needs cannot be had now.
static bool
s_add_each (zspool_group_t *self, s_parcel_t *parcel, uint64_t first, uint64_t last)
{
    bool failed = false;
    zspool_record_t record = parcel->last;
    parcel->end = first - 1;
    while (!failed) {
        bool more = self->args.filter? zspool_filter_next (self->args.filter, parcel->block, &record):
                                       zspool_block_next (parcel->block, &record);
        if (!more || record.sequence > last) {
            parcel->end = last;
            break;
        }
        if (record.sequence < first)
            continue;
        bool known = record.sequence <= self->known_to || record.sequence < self->next;
        unsigned deliveries = known? s_next_delivery (self, record.sequence, &failed): 1;
        if (failed || (deliveries > 0 && !s_add_record (parcel, &record, deliveries)))
            break;
        parcel->end = record.sequence;
        parcel->last = record;
    }
    return !failed;
}

//  ------------------------------------------------------------------------------------------------
//  Delivering

//  Note on the tracker what a parcel holds, and acknowledge what lies between: that is of other
//  topics.
static void
s_note (zspool_group_t *self, const s_parcel_t *parcel, uint64_t from, int64_t now_ms, bool again)
{
    zspool_cursor_t *tracker = self->args.tracker;
    for (size_t index = 0; index < parcel->pieces_count; index++) {
        const zspool_piece_t *piece = &parcel->pieces [index];
        if (!again && piece->first > from && self->args.filter)
            zspool_cursor_ack (tracker, from, piece->first - 1);
        zspool_cursor_sent (tracker, piece->first, piece->first + piece->count - 1, now_ms);
        from = piece->first + piece->count;
    }
    if (!again && self->args.filter && parcel->end >= from)
        zspool_cursor_ack (tracker, from, parcel->end);
}

//  Send a parcel to a consumer, who holds it then. OK, EBUSY, ELOST, ENOMEM.
static int
s_send (zspool_group_t *self, zspool_subscription_t *consumer, const s_parcel_t *parcel, int64_t now_ms)
{
    int rc = zspool_leases_reserve (self->leases, 3 * parcel->pieces_count + 2);
    if (rc == ZSPOOL_OK)
        rc = self->args.ops->deliver (self->args.ops->arg, consumer, self->args.generation, parcel->block,
                                      parcel->pieces, parcel->pieces_count);
    if (rc)
        return rc;
    for (size_t index = 0; index < parcel->pieces_count; index++) {
        const zspool_piece_t *piece = &parcel->pieces [index];
        zspool_leases_grant (self->leases, piece->first, piece->first + piece->count - 1, consumer->id,
                             now_ms + self->args.ack_timeout_ms);
        if (piece->deliveries > 1)
            self->info.redelivered += piece->count;
        else
            self->info.delivered += piece->count;
    }
    consumer->in_flight += parcel->messages;
    consumer->credit_messages -= parcel->messages;
    consumer->credit_bytes -= parcel->bytes < consumer->credit_bytes? parcel->bytes: consumer->credit_bytes;
    self->turn = consumer->group_next;
    return ZSPOOL_OK;
}

//  Begin a parcel for a consumer: one of so many who have credit.
static void
s_begin (s_parcel_t *parcel, const zspool_subscription_t *consumer, zspool_block_t *block, uint64_t rest,
         size_t consumers)
{
    uint64_t share = (rest + consumers - 1) / consumers;
    parcel->block = block;
    parcel->messages_max = share < consumer->credit_messages? share: consumer->credit_messages;
    parcel->bytes_max = consumer->credit_bytes;
    parcel->messages = parcel->bytes = 0;
    parcel->pieces_count = 0;
}

//  Deliver what is due again, of one lease.
static zspool_turn_t
s_give_again (zspool_group_t *self, const zspool_lease_t *lease, zspool_subscription_t *consumer,
              size_t consumers, int64_t now_ms)
{
    uint64_t next;
    s_parcel_t parcel;
    zspool_block_t *block = NULL;
    int rc = zspool_shelf_block (self->args.shelf, lease->first, NULL, &block, &next);
    if (rc == ZSPOOL_ENOENT || rc == ZSPOOL_ECORRUPT || (rc == ZSPOOL_OK && next > lease->first)) {
        //  It is gone, or damaged, and can never be delivered.
        uint64_t to = next > lease->first && next - 1 < lease->last? next - 1: lease->last;
        zspool_block_destroy (&block);
        zspool_leases_drop (self->leases, lease->first, to, NULL, NULL);
        zspool_cursor_ack (self->args.tracker, lease->first, to);
        return ZSPOOL_TURN_MORE;
    }
    if (rc)
        return ZSPOOL_TURN_BUSY;
    uint64_t last = zspool_block_last_sequence (block);
    if (last > lease->last)
        last = lease->last;
    s_begin (&parcel, consumer, block, last - lease->first + 1, consumers);
    s_go_to (self, &parcel, lease->first);
    zspool_turn_t turn = ZSPOOL_TURN_MORE;
    if (!s_add_each (self, &parcel, lease->first, last))
        turn = ZSPOOL_TURN_BUSY;
    //  What is doomed has a lease of its own; the rest is taken out, to be granted anew.
    for (size_t index = 0; index < parcel.pieces_count; index++)
        zspool_leases_drop (self->leases, parcel.pieces [index].first,
                            parcel.pieces [index].first + parcel.pieces [index].count - 1, NULL, NULL);
    rc = parcel.pieces_count? s_send (self, consumer, &parcel, now_ms): ZSPOOL_OK;
    if (rc == ZSPOOL_OK)
        s_note (self, &parcel, lease->first, now_ms, true);
    for (size_t index = 0; rc && index < parcel.pieces_count; index++)
        zspool_leases_grant (self->leases, parcel.pieces [index].first,
                             parcel.pieces [index].first + parcel.pieces [index].count - 1, ZSPOOL_NOBODY,
                             lease->due_ms);
    consumer->busy = rc != ZSPOOL_OK;
    zspool_block_destroy (&block);
    return rc == ZSPOOL_ENOMEM? ZSPOOL_TURN_BUSY: turn;
}

//  Deliver from the next block for the first time.
static zspool_turn_t
s_give_next (zspool_group_t *self, zspool_subscription_t *consumer, size_t consumers, int64_t now_ms)
{
    uint64_t next;
    s_parcel_t parcel;
    zspool_block_t *block = NULL;
    int rc = zspool_shelf_block (self->args.shelf, self->next, self->args.filter, &block, &next);
    if (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT || rc == ZSPOOL_ELIMIT || rc == ZSPOOL_ENOENT)
        self->next = next;
    if (rc == ZSPOOL_ENOENT)
        return ZSPOOL_TURN_IDLE;
    if (rc == ZSPOOL_ECORRUPT || rc == ZSPOOL_ELIMIT)
        return ZSPOOL_TURN_MORE;
    if (rc)
        return ZSPOOL_TURN_BUSY;
    uint64_t last = zspool_block_last_sequence (block);
    rc = zspool_cursor_cover (self->args.tracker, zspool_block_first_sequence (block), zspool_block_count (block));
    s_begin (&parcel, consumer, block, last - self->next + 1, consumers);
    s_go_to (self, &parcel, self->next);
    bool plain = !self->args.filter && self->next > self->known_to;
    if (rc == ZSPOOL_OK && !(plain && s_add_rest (&parcel, self->next))
        && !s_add_each (self, &parcel, self->next, last))
        rc = ZSPOOL_ENOMEM;
    if (rc == ZSPOOL_OK && parcel.pieces_count)
        rc = s_send (self, consumer, &parcel, now_ms);
    if (rc == ZSPOOL_OK) {
        s_note (self, &parcel, self->next, now_ms, false);
        self->next = parcel.end + 1;
        self->at_block = zspool_block_first_sequence (block);
        self->at = parcel.last;
    }
    consumer->busy = rc != ZSPOOL_OK;
    zspool_block_destroy (&block);
    return rc == ZSPOOL_ENOMEM? ZSPOOL_TURN_BUSY: ZSPOOL_TURN_MORE;
}

//  Blocks that were passed over as a whole are not known to the tracker.
static void
s_note_passed (zspool_group_t *self)
{
    if (self->args.filter && zspool_cursor_in_flight (self->args.tracker) == 0
        && zspool_leases_count (self->leases) == 0 && zspool_cursor_floor (self->args.tracker) + 1 < self->next)
        zspool_cursor_skip (self->args.tracker, self->next - 1);
}

zspool_turn_t
zspool_group_turn (zspool_group_t *self, int64_t now_ms)
{
    zspool_lease_t lease;
    zspool_turn_t turn = ZSPOOL_TURN_MORE;
    size_t consumers;
    for (zspool_subscription_t *at = self->first; at; at = at->group_next)
        at->busy = false;
    if (zspool_leases_expiry_ms (self->leases) <= now_ms)
        zspool_leases_expire (self->leases, now_ms, s_let_go, self);
    for (int count = 0; count < AGAIN_MAX && turn == ZSPOOL_TURN_MORE; count++) {
        zspool_subscription_t *consumer = s_next_consumer (self, &consumers);
        if (!consumer || !zspool_leases_due (self->leases, now_ms, &lease))
            break;
        turn = s_give_again (self, &lease, consumer, consumers, now_ms);
    }
    bool due = zspool_leases_due (self->leases, now_ms, &lease);
    for (size_t count = 0; count <= self->consumers && turn == ZSPOOL_TURN_MORE && !due; count++) {
        zspool_subscription_t *consumer = s_next_consumer (self, &consumers);
        if (!consumer || !zspool_cursor_may_deliver (self->args.tracker))
            turn = ZSPOOL_TURN_IDLE;
        else
            turn = s_give_next (self, consumer, consumers, now_ms);
    }
    if (zspool_doom_is_ready (&self->doom, now_ms) && !self->claimed && !self->claims_under_way
        && zspool_doom_bury (&self->doom, self->args.shelf, self->args.tracker, self->leases,
                             self->args.ops->writer))
        turn = ZSPOOL_TURN_BUSY;
    s_note_passed (self);
    bool busy = false;
    for (zspool_subscription_t *at = self->first; at; at = at->group_next)
        busy = busy || at->busy;
    if (turn == ZSPOOL_TURN_MORE && !s_next_consumer (self, &consumers))
        turn = ZSPOOL_TURN_IDLE;
    return busy && turn == ZSPOOL_TURN_IDLE? ZSPOOL_TURN_BUSY: turn;
}

int64_t
zspool_group_due_ms (const zspool_group_t *self)
{
    int64_t due_ms = zspool_leases_expiry_ms (self->leases);
    size_t consumers = 0;
    for (zspool_subscription_t *at = self->first; at; at = at->group_next)
        consumers += s_has_credit (at);
    if (consumers > 0 && zspool_leases_due_ms (self->leases) < due_ms)
        due_ms = zspool_leases_due_ms (self->leases);
    if (self->doom.count > 0 && self->doom.burial.to > 0 && !self->doom.burial.under_way && !self->claimed
        && !self->claims_under_way && self->doom.burial.rest_until_ms < due_ms)
        due_ms = self->doom.burial.rest_until_ms;
    return due_ms;
}

bool
zspool_group_hand_change (zspool_group_t *self)
{
    if (!zspool_cursor_changed (self->args.tracker))
        return true;
    if (self->claimed || self->claims_under_way || self->doom.burial.under_way)
        return false;
    zspool_cursor_change_t *change = zspool_cursor_take_change (self->args.tracker);
    if (!change)
        return false;
    if (zspool_handoff_send (self->args.ops->writer, HANDOFF_CHANGE, change, 0))
        free (change);
    return true;
}

//  ------------------------------------------------------------------------------------------------
//  What the writer says

void
zspool_group_buried (zspool_group_t *self, zspool_move_t *move, int64_t now_ms)
{
    uint64_t before = self->doom.burial.buried;
    zspool_doom_buried (&self->doom, move, self->args.tracker, self->leases, now_ms);
    self->info.buried += self->doom.burial.buried - before;
    zspool_group_hand_change (self);
}

void
zspool_group_set_dead (zspool_group_t *self, uint32_t dead_spool)
{
    self->doom.wanted = false;
    self->doom.burial.to = dead_spool;
}

void
zspool_group_dropped (zspool_group_t *self, uint64_t dropped_to, int64_t now_ms)
{
    (void) now_ms;
    zspool_leases_drop (self->leases, 1, dropped_to, s_let_go, self);
    zspool_cursor_skip (self->args.tracker, dropped_to);
    zspool_doom_forget (&self->doom, dropped_to);
    if (self->next <= dropped_to)
        self->next = dropped_to + 1;
}

void
zspool_group_moved (zspool_group_t *self, uint32_t generation, uint64_t floor, uint64_t sent_to,
                    zspool_cursor_t *tracker)
{
    zspool_leases_drop (self->leases, 1, UINT64_MAX, NULL, NULL);
    zspool_doom_forget (&self->doom, UINT64_MAX);
    self->claims_count = 0;
    zspool_cursor_destroy (&self->claimed);
    zspool_cursor_destroy (&self->args.tracker);
    self->args.tracker = tracker;
    self->args.generation = generation;
    self->next = floor + 1;
    self->known_to = sent_to;
    self->at_block = 0;
    for (zspool_subscription_t *at = self->first; at; at = at->group_next) {
        at->in_flight = 0;
        self->args.ops->tell (self->args.ops->arg, at, generation, floor);
    }
}

void
zspool_group_info (const zspool_group_t *self, zspool_group_info_t *info)
{
    *info = self->info;
    info->cursor_id = self->args.cursor_id;
    info->cursor = self->args.cursor;
    info->spool = self->args.shelf->spool;
    info->spool_name = self->args.shelf->name;
    info->generation = self->args.generation;
    info->floor = zspool_cursor_floor (self->args.tracker);
    info->sent_to = zspool_cursor_sent_to (self->args.tracker);
    info->in_flight = zspool_leases_messages (self->leases);
    info->consumers = self->consumers;
}
