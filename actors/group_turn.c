//  group_turn.c - delivers what a group has to its consumers, in turn
//
//  SPDX-License-Identifier: MPL-2.0

#include "group_parts.h"
#include "handoff.h"

//  Most DELIVERs of messages that are due again in one turn
#define AGAIN_MAX 64
//  How soon to look again for what is not in the store yet
#define ABSENT_MS 10

static bool
s_has_credit (const zspool_subscription_t *consumer)
{
    return consumer->active && !consumer->busy && consumer->credit_messages > 0
           && consumer->credit_bytes > 0;
}

//  How many consumers have credit. All are looked at, so it is asked for once a turn only.
static size_t
s_count_ready (const zspool_group_t *self)
{
    size_t count = 0;
    for (const zspool_subscription_t *at = self->first; at; at = at->group_next)
        count += s_has_credit (at);
    return count;
}

//  The next consumer with credit, in turn; NULL: there is none.
static zspool_subscription_t *
s_next_consumer (zspool_group_t *self)
{
    zspool_subscription_t *from = self->turn? self->turn: self->first;
    for (zspool_subscription_t *at = from; at; at = at->group_next)
        if (s_has_credit (at))
            return at;
    for (zspool_subscription_t *at = self->first; at && at != from; at = at->group_next)
        if (s_has_credit (at))
            return at;
    return NULL;
}

//  Note on the tracker what a parcel holds.
static void
s_note (zspool_group_t *self, const zspool_parcel_t *parcel, int64_t now_ms)
{
    for (size_t index = 0; index < parcel->pieces_count; index++) {
        const zspool_piece_t *piece = &parcel->pieces [index];
        zspool_cursor_sent (self->args.tracker, piece->first, piece->first + piece->count - 1,
                            now_ms);
    }
}

//  Send a parcel to a consumer, who holds it then. OK, EBUSY, ELOST, ENOMEM.
static int
s_send (zspool_group_t *self, zspool_subscription_t *consumer, const zspool_parcel_t *parcel,
        int64_t now_ms)
{
    int rc = zspool_leases_reserve (self->leases, 3 * parcel->pieces_count + 2);
    if (rc == ZSPOOL_OK)
        rc = self->args.ops->deliver (self->args.ops->arg, consumer, self->args.generation,
                                      parcel->block, parcel->pieces, parcel->pieces_count);
    if (rc)
        return rc;
    for (size_t index = 0; index < parcel->pieces_count; index++) {
        const zspool_piece_t *piece = &parcel->pieces [index];
        zspool_leases_grant (self->leases, piece->first, piece->first + piece->count - 1,
                             consumer->id, now_ms + self->args.ack_timeout_ms);
        if (piece->deliveries > 1)
            self->info.redelivered += piece->count;
        else
            self->info.delivered += piece->count;
    }
    consumer->in_flight += parcel->messages;
    consumer->credit_messages -= parcel->messages;
    consumer->credit_bytes -= (int64_t) parcel->bytes;
    self->turn = consumer->group_next;
    return ZSPOOL_OK;
}

//  Begin a parcel for a consumer, one of so many who have credit and share first..last, of which
//  the block is the first.
static void
s_begin (zspool_group_t *self, zspool_parcel_t *parcel, const zspool_subscription_t *consumer,
         size_t consumers, zspool_block_t *block, uint64_t first, uint64_t last)
{
    uint64_t share = (last - first + consumers) / consumers;
    if (share > consumer->credit_messages)
        share = consumer->credit_messages;
    zspool_group_begin_parcel (self, parcel, block, first, share,
                               (uint64_t) consumer->credit_bytes);
}

//  What is due again was delivered before it was durable, under `async`, and is not in the store
//  yet: in a moment.
static void
s_defer (zspool_group_t *self, const zspool_lease_t *lease, int64_t now_ms)
{
    zspool_leases_drop (self->leases, lease->first, lease->last, NULL, NULL);
    zspool_leases_grant (self->leases, lease->first, lease->last, ZSPOOL_NOBODY,
                         now_ms + ABSENT_MS);
}

//  Deliver what is due again, of one lease.
static zspool_turn_t
s_give_again (zspool_group_t *self, const zspool_lease_t *lease, zspool_subscription_t *consumer,
              size_t consumers, int64_t now_ms)
{
    uint64_t next;
    zspool_parcel_t parcel;
    zspool_block_t *block = NULL;
    int rc = zspool_shelf_block (self->args.shelf, lease->first, NULL, &block, &next);
    if (rc == ZSPOOL_ENOENT && next <= lease->first) {
        s_defer (self, lease, now_ms);
        return ZSPOOL_TURN_MORE;
    }
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
    s_begin (self, &parcel, consumer, consumers, block, lease->first, last);
    zspool_turn_t turn = ZSPOOL_TURN_MORE;
    if (!zspool_group_add_each (self, &parcel, lease->first, last, true))
        turn = ZSPOOL_TURN_BUSY;
    //  What is doomed has a lease of its own; the rest is taken out, to be granted anew.
    for (size_t index = 0; index < parcel.pieces_count; index++)
        zspool_leases_drop (self->leases, parcel.pieces [index].first,
                            parcel.pieces [index].first + parcel.pieces [index].count - 1, NULL,
                            NULL);
    rc = parcel.pieces_count? s_send (self, consumer, &parcel, now_ms): ZSPOOL_OK;
    if (rc == ZSPOOL_OK)
        s_note (self, &parcel, now_ms);
    for (size_t index = 0; rc && index < parcel.pieces_count; index++)
        zspool_leases_grant (self->leases, parcel.pieces [index].first,
                             parcel.pieces [index].first + parcel.pieces [index].count - 1,
                             ZSPOOL_NOBODY, lease->due_ms);
    consumer->busy = rc != ZSPOOL_OK;
    zspool_block_destroy (&block);
    return rc == ZSPOOL_ENOMEM? ZSPOOL_TURN_BUSY: turn;
}

//  Deliver from the next block for the first time.
static zspool_turn_t
s_give_next (zspool_group_t *self, zspool_subscription_t *consumer, size_t consumers,
             int64_t now_ms)
{
    uint64_t next;
    zspool_parcel_t parcel;
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
    rc = zspool_cursor_cover (self->args.tracker, zspool_block_first_sequence (block),
                              zspool_block_count (block));
    //  Where more waits than this block, it need not be cut for all: many small parcels are slow.
    uint64_t newest = self->args.shelf->newest;
    s_begin (self, &parcel, consumer, consumers, block, self->next, newest > last? newest: last);
    bool plain = !self->args.filter && self->next > self->known_to;
    if (rc == ZSPOOL_OK && !(plain && zspool_parcel_add_rest (&parcel, self->next))
        && !zspool_group_add_each (self, &parcel, self->next, last, false))
        rc = ZSPOOL_ENOMEM;
    if (rc == ZSPOOL_OK && parcel.pieces_count)
        rc = s_send (self, consumer, &parcel, now_ms);
    if (rc == ZSPOOL_OK) {
        s_note (self, &parcel, now_ms);
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
        && zspool_leases_count (self->leases) == 0
        && zspool_cursor_floor (self->args.tracker) + 1 < self->next)
        zspool_cursor_skip (self->args.tracker, self->next - 1);
}

//  Bury what is doomed. False: memory is out.
static bool
s_bury (zspool_group_t *self, int64_t now_ms)
{
    zspool_doom_t *doom = &self->doom;
    if (doom->count > 0 && !doom->burial.to && !zspool_burial_rests (&doom->burial, now_ms)) {
        //  It could not be had when it was asked for.
        doom->burial.rest_until_ms = now_ms + ZSPOOL_BURIAL_REST_MS;
        zspool_group_want_dead (self);
    }
    return !zspool_doom_is_ready (doom, now_ms) || self->claims_count > 0 || self->claims_under_way
           || zspool_doom_bury (doom, self->args.shelf, self->args.tracker, self->leases,
                                self->args.ops->writer) == ZSPOOL_OK;
}

zspool_turn_t
zspool_group_turn (zspool_group_t *self, int64_t now_ms)
{
    zspool_lease_t lease;
    zspool_turn_t turn = ZSPOOL_TURN_MORE;
    for (zspool_subscription_t *at = self->first; at; at = at->group_next)
        at->busy = false;
    size_t consumers = s_count_ready (self);
    if (zspool_leases_expiry_ms (self->leases) <= now_ms)
        zspool_leases_expire (self->leases, now_ms, zspool_group_let_go, self);
    for (int count = 0; count < AGAIN_MAX && turn == ZSPOOL_TURN_MORE; count++) {
        zspool_subscription_t *consumer = s_next_consumer (self);
        if (!consumer || !zspool_leases_due (self->leases, now_ms, &lease))
            break;
        turn = s_give_again (self, &lease, consumer, consumers, now_ms);
    }
    bool due = zspool_leases_due (self->leases, now_ms, &lease);
    for (size_t count = 0; count <= self->consumers && turn == ZSPOOL_TURN_MORE && !due; count++) {
        zspool_subscription_t *consumer = s_next_consumer (self);
        if (!consumer || !zspool_cursor_may_deliver (self->args.tracker))
            turn = ZSPOOL_TURN_IDLE;
        else
            turn = s_give_next (self, consumer, consumers, now_ms);
    }
    if (!s_bury (self, now_ms))
        turn = ZSPOOL_TURN_BUSY;
    s_note_passed (self);
    bool busy = false;
    for (zspool_subscription_t *at = self->first; at; at = at->group_next)
        busy = busy || at->busy;
    if (turn == ZSPOOL_TURN_MORE && !s_next_consumer (self))
        turn = ZSPOOL_TURN_IDLE;
    return busy && turn == ZSPOOL_TURN_IDLE? ZSPOOL_TURN_BUSY: turn;
}

int64_t
zspool_group_due_ms (const zspool_group_t *self)
{
    int64_t due_ms = zspool_leases_expiry_ms (self->leases);
    if (zspool_leases_due_ms (self->leases) < due_ms && s_count_ready (self) > 0)
        due_ms = zspool_leases_due_ms (self->leases);
    if (self->doom.count > 0 && !self->doom.burial.under_way && self->claims_count == 0
        && !self->claims_under_way && self->doom.burial.rest_until_ms < due_ms)
        due_ms = self->doom.burial.rest_until_ms;
    return due_ms;
}
