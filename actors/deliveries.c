//  deliveries.c - what a consumer has received, and which of it it holds
//
//  SPDX-License-Identifier: MPL-2.0

#include "deliveries.h"
#include "run.h"

#include <stdlib.h>
#include <string.h>

#define US 1                           //  who holds, in `held`

int
zspool_deliveries_init (zspool_deliveries_t *self)
{
    memset (self, 0, sizeof *self);
    self->parcels_end = &self->parcels;
    self->held = zspool_leases_new ();
    return self->held? ZSPOOL_OK: ZSPOOL_ENOMEM;
}

void
zspool_deliveries_pass (zspool_deliveries_t *self, uint64_t messages, uint64_t bytes)
{
    self->credit_messages += messages;
    self->credit_bytes += bytes;
}

static void
s_destroy_parcel (zspool_parcel_t **parcel_p)
{
    if (*parcel_p) {
        zmq_msg_close (&(*parcel_p)->frame);
        free (*parcel_p);
    }
    *parcel_p = NULL;
}

//  Take the first frame out of the list.
static zspool_parcel_t *
s_shift (zspool_deliveries_t *self)
{
    zspool_parcel_t *parcel = self->parcels;
    if (!parcel)
        return NULL;
    self->parcels = parcel->next;
    if (!self->parcels)
        self->parcels_end = &self->parcels;
    self->ahead -= parcel->slice.count;
    zspool_deliveries_pass (self, parcel->slice.count, zmq_msg_size (&parcel->frame));
    return parcel;
}

void
zspool_deliveries_void (zspool_deliveries_t *self)
{
    zspool_parcel_t *parcel;
    while ((parcel = s_shift (self)) != NULL)
        s_destroy_parcel (&parcel);
    zspool_leases_drop (self->held, 1, UINT64_MAX, NULL, NULL);
}

void
zspool_deliveries_end (zspool_deliveries_t *self)
{
    zspool_deliveries_void (self);
    zspool_deliveries_drop (self);
    zspool_leases_destroy (&self->held);
}

int
zspool_deliveries_add (zspool_deliveries_t *self, zsp_slice_t slice, zmq_msg_t *frame)
{
    zspool_parcel_t *parcel = (zspool_parcel_t *) calloc (1, sizeof *parcel);
    if (!parcel)
        return ZSPOOL_ENOMEM;
    zmq_msg_init (&parcel->frame);
    zmq_msg_move (&parcel->frame, frame);
    parcel->slice = slice;
    *self->parcels_end = parcel;
    self->parcels_end = &parcel->next;
    self->ahead += slice.count;
    return ZSPOOL_OK;
}

bool
zspool_deliveries_turn (zspool_deliveries_t *self)
{
    zspool_deliveries_drop (self);
    self->current = s_shift (self);
    if (!self->current)
        return false;
    memset (&self->record, 0, sizeof self->record);
    const zsp_slice_t *slice = &self->current->slice;
    zspool_deliveries_hold (self, slice->first, slice->first + slice->count - 1);
    return true;
}

bool
zspool_deliveries_next (zspool_deliveries_t *self, zspool_delivery_t *delivery)
{
    zspool_parcel_t *parcel = self->current;
    if (!parcel
        || !zspool_run_next (zmq_msg_data (&parcel->frame), zmq_msg_size (&parcel->frame),
                             parcel->slice.first, &self->record))
        return false;
    delivery->sequence = self->record.sequence;
    delivery->deliveries = parcel->slice.deliveries;
    delivery->stored_us = parcel->slice.stored_us;
    delivery->record = self->record;
    return true;
}

void
zspool_deliveries_drop (zspool_deliveries_t *self)
{
    s_destroy_parcel (&self->current);
}

bool
zspool_deliveries_holds (zspool_deliveries_t *self, uint64_t sequence)
{
    const zspool_parcel_t *parcel = self->current;
    bool is_ahead = parcel && sequence > self->record.sequence && sequence >= parcel->slice.first
                    && sequence < parcel->slice.first + parcel->slice.count;
    return !is_ahead && zspool_leases_holds (self->held, US, sequence, sequence);
}

uint64_t
zspool_deliveries_take (zspool_deliveries_t *self, uint64_t first, uint64_t last,
                        zspool_lease_fn each, void *arg)
{
    //  What has not been taken yet of the frame at hand cannot be spoken of.
    const zspool_parcel_t *parcel = self->current;
    uint64_t seen = parcel? self->record.sequence: last;
    uint64_t behind = parcel? parcel->slice.first + parcel->slice.count: 0;
    if (!parcel || last <= seen || first >= behind)
        return zspool_leases_take (self->held, US, first, last, each, arg);
    uint64_t messages = 0, more = 0;
    if (first <= seen)
        messages = zspool_leases_take (self->held, US, first, seen, each, arg);
    if (messages != UINT64_MAX && last >= behind)
        more = zspool_leases_take (self->held, US, behind, last, each, arg);
    return messages == UINT64_MAX || more == UINT64_MAX? UINT64_MAX: messages + more;
}

void
zspool_deliveries_hold (zspool_deliveries_t *self, uint64_t first, uint64_t last)
{
    if (zspool_leases_drop (self->held, first, last, NULL, NULL) != UINT64_MAX)
        zspool_leases_grant (self->held, first, last, US, INT64_MAX);
}
