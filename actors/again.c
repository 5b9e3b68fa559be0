//  again.c - sends again what was not acknowledged in time, under explicit
//
//  SPDX-License-Identifier: MPL-2.0

#include "again.h"
#include "store.h"

//  Most messages sent between two looks at the outlet's sockets
#define BATCH_MESSAGES 1000

//  Whether the message at hand is of the outlet's topics. What is not was passed over, and that is
//  not known of what an earlier run did.
static bool
s_is_wanted (zspool_again_t *self)
{
    if (!self->filter)
        return true;
    zspool_frame_t topic = zspool_record_topic (&self->finder.record);
    return zspool_filter_matches (self->filter, topic.data, topic.size);
}

//  Have the message at hand in the finder. ENOMEM: it cannot be had now; ESTALE: it never can, or
//  is of other topics, and counts as acknowledged.
static int
s_find (zspool_again_t *self, uint64_t sequence)
{
    int rc = zspool_finder_find (&self->finder, sequence);
    if (rc == ZSPOOL_OK && !s_is_wanted (self))
        rc = ZSPOOL_ESTALE;
    if (rc == ZSPOOL_ESTALE)
        zspool_cursor_ack (self->cursor, sequence, sequence);
    //  ENOENT: under async it may not be committed yet
    return rc == ZSPOOL_EFULL || rc == ZSPOOL_ENOENT? ZSPOOL_ENOMEM: rc;
}

//  The message at hand in the finder has been delivered too often: let it be buried. Until that is
//  done, or when it is refused, it counts as if it had been sent now. EFULL: the move is; ENOMEM.
static int
s_bury (zspool_again_t *self, unsigned deliveries, int64_t now_ms)
{
    const zspool_record_t *record = &self->finder.record;
    int64_t sent_ms = zspool_cursor_due_sent_ms (self->cursor), now_us = zspool_now_us ();
    int rc = self->burial.under_way? ZSPOOL_EFULL: zspool_burial_reserve (&self->burial, record);
    if (rc == ZSPOOL_OK)
        rc = zspool_cursor_defer (self->cursor, record->sequence, now_ms);
    zspool_death_t death = {
        .sequence = record->sequence,
        .stored_us = zspool_block_stored_us (self->finder.block),
        .delivered_us = sent_ms == INT64_MIN? 0: now_us - (now_ms - sent_ms) * 1000,
        .died_us = now_us,
        .deliveries = deliveries,
        .reason = ZSPOOL_DEATH_DELIVERIES,
    };
    return rc? rc: zspool_burial_add (&self->burial, record, &death, NULL);
}

static int
s_send (zspool_again_t *self, zspool_sender_t *sender, zspool_ticket_t *ticket, unsigned deliveries,
        int64_t now_ms)
{
    const zspool_record_t *record = &self->finder.record;
    ticket->sequence = record->sequence;
    ticket->attempt = (uint16_t) (deliveries < UINT16_MAX? deliveries + 1: UINT16_MAX);
    switch (zspool_sender_send (sender, self->finder.block, record, ticket, now_ms)) {
    case ZSPOOL_SENDER_SENT: break;
    case ZSPOOL_SENDER_REFUSED: return ZSPOOL_EFULL;
    case ZSPOOL_SENDER_NO_MEMORY: return ZSPOOL_ENOMEM;
    default: return ZSPOOL_ESYSTEM;
    }
    self->traffic->resent++;
    self->traffic->bytes += record->data_bytes;
    return zspool_cursor_sent (self->cursor, record->sequence, record->sequence, now_ms)? ZSPOOL_EFAILED:
                                                                                        ZSPOOL_OK;
}

//  Send or bury one message that is due. *full: what is gathered must be buried first.
static int
s_serve_one (zspool_again_t *self, zspool_sender_t *sender, zspool_ticket_t *ticket, uint64_t sequence,
             int64_t now_ms, bool *full)
{
    unsigned deliveries = zspool_cursor_deliveries (self->cursor, sequence);
    bool dies = zspool_burial_wants (&self->burial, deliveries);
    if (dies && zspool_burial_rests (&self->burial, now_ms))
        return zspool_cursor_defer (self->cursor, sequence, now_ms);
    int rc = s_find (self, sequence);
    if (rc == ZSPOOL_ESTALE)
        return ZSPOOL_OK;
    if (rc || !dies)
        return rc? rc: s_send (self, sender, ticket, deliveries, now_ms);
    rc = s_bury (self, deliveries, now_ms);
    *full = rc == ZSPOOL_EFULL;
    return *full? ZSPOOL_OK: rc;
}

int
zspool_again_serve (zspool_again_t *self, zspool_sender_t *sender, zspool_ticket_t *ticket, void *writer,
                    int64_t now_ms)
{
    uint64_t sequence;
    int rc = ZSPOOL_OK;
    bool full = false;
    for (int count = 0; count < BATCH_MESSAGES && rc == ZSPOOL_OK && !full; count++) {
        if (!zspool_cursor_due (self->cursor, now_ms, &sequence))
            break;
        rc = s_serve_one (self, sender, ticket, sequence, now_ms, &full);
    }
    zspool_burial_hand_over (&self->burial, writer);
    return rc;
}

bool
zspool_again_has_work (const zspool_again_t *self, int64_t now_ms)
{
    uint64_t sequence;
    if (!zspool_cursor_due (self->cursor, now_ms, &sequence))
        return false;
    //  What is to be buried next waits for the burial under way.
    return !self->burial.under_way
           || !zspool_burial_wants (&self->burial, zspool_cursor_deliveries (self->cursor, sequence));
}
