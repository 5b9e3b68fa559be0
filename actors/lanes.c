//  lanes.c - the ways of messages through a writer, one for each spool
//
//  SPDX-License-Identifier: MPL-2.0

#include "lanes.h"

#include <stdlib.h>
#include <string.h>

#define GROW_LANES 16

//  ------------------------------------------------------------------------------------------------
//  Lanes

//  What each cursor of a lane has lost
static void
s_look_up_lagged (zspool_lanes_t *self, zspool_writer_lane_t *lane)
{
    for (size_t index = 0; index < lane->outlets_count; index++)
        lane->outlets [index].lagged =
            zspool_store_lagged (self->store, lane->spool, lane->outlets [index].cursor);
}

int
zspool_lanes_init (zspool_lanes_t *self, const zspool_writer_args_t *args)
{
    memset (self, 0, sizeof *self);
    self->lanes = (zspool_lane_t *) calloc (args->lanes_count + GROW_LANES, sizeof *self->lanes);
    if (!self->lanes)
        return ZSPOOL_ENOMEM;
    self->store = args->store;
    self->incarnation = zspool_store_incarnation (args->store);
    self->service = args->service;
    self->count = self->inlets_count = args->lanes_count;
    for (size_t index = 0; index < self->count; index++) {
        zspool_lane_t *lane = &self->lanes [index];
        lane->given = args->lanes [index];
        lane->ceiling = lane->given.next_sequence - 1 + ZSPOOL_CEILING_WINDOW;
        s_look_up_lagged (self, &lane->given);
    }
    return ZSPOOL_OK;
}

void
zspool_lanes_destroy (zspool_lanes_t *self, bool taken_over)
{
    for (size_t index = 0; taken_over && index < self->count; index++) {
        zspool_writer_lane_t *lane = &self->lanes [index].given;
        zsock_destroy (&lane->inlet);
        for (size_t at = 0; at < lane->outlets_count; at++)
            zsock_destroy (&lane->outlets [at].pipe);
        free (lane->outlets);
    }
    if (taken_over)
        zsock_destroy (&self->service);
    free (self->lanes);
    self->lanes = NULL;
}

zspool_lane_t *
zspool_lanes_find (const zspool_lanes_t *self, uint32_t spool)
{
    for (size_t index = 0; index < self->count; index++)
        if (self->lanes [index].given.spool == spool)
            return &self->lanes [index];
    return NULL;
}

zspool_lane_t *
zspool_lanes_open (zspool_lanes_t *self, uint32_t spool)
{
    zspool_lane_t *lane = zspool_lanes_find (self, spool);
    if (lane)
        return lane;
    size_t added = self->count - self->inlets_count;
    if (added > 0 && added % GROW_LANES == 0) {
        zspool_lane_t *lanes =
            (zspool_lane_t *) realloc (self->lanes, (self->count + GROW_LANES) * sizeof *lanes);
        if (!lanes)
            return NULL;
        self->lanes = lanes;
    }
    lane = &self->lanes [self->count];
    memset (lane, 0, sizeof *lane);
    const zspool_writer_lane_t *first = &self->lanes [0].given;
    lane->given.spool = spool;
    lane->given.async = first->async;
    lane->given.drops_oldest = first->drops_oldest;
    lane->given.commit_interval_ms = first->commit_interval_ms;
    if (zspool_store_numbering (self->store, spool, &lane->given.next_sequence,
                                &lane->given.stored_us))
        return NULL;
    lane->ceiling = lane->given.next_sequence - 1 + ZSPOOL_CEILING_WINDOW;
    lane->dropped_to = zspool_store_dropped_to (self->store, spool);
    self->count++;
    return lane;
}

zspool_writer_outlet_t *
zspool_lanes_outlet (const zspool_lanes_t *self, uint32_t spool, uint32_t cursor)
{
    for (size_t index = 0; index < self->inlets_count; index++) {
        const zspool_writer_lane_t *lane = &self->lanes [index].given;
        for (size_t at = 0; lane->spool == spool && at < lane->outlets_count; at++)
            if (lane->outlets [at].cursor == cursor)
                return &lane->outlets [at];
    }
    return NULL;
}

//  ------------------------------------------------------------------------------------------------
//  Numbering, and handing on

//  A block of a unit, by its number; NULL behind the last
static zspool_block_t *
s_block_at (const zspool_pending_unit_t *unit, size_t index, uint32_t *spool)
{
    if (!unit->batch) {
        *spool = unit->spool;
        return index == 0? unit->block: NULL;
    }
    if (index == unit->batch->blocks_count)
        return NULL;
    *spool = unit->batch->blocks [index].spool;
    return unit->batch->blocks [index].block;
}

int
zspool_lanes_stamp (zspool_lanes_t *self, zspool_pending_unit_t *unit)
{
    uint32_t spool;
    zspool_block_t *block;
    for (size_t index = 0; (block = s_block_at (unit, index, &spool)) != NULL; index++)
        if (!zspool_lanes_find (self, spool))
            return ZSPOOL_EINVAL;
    int64_t now_us = zspool_now_us ();
    unit->bytes = 0;
    for (size_t index = 0; (block = s_block_at (unit, index, &spool)) != NULL; index++) {
        zspool_lane_t *lane = zspool_lanes_find (self, spool);
        if (now_us > lane->given.stored_us)
            lane->given.stored_us = now_us;
        zspool_block_stamp (block, lane->given.next_sequence, lane->given.stored_us,
                            self->incarnation);
        lane->given.next_sequence = zspool_block_last_sequence (block) + 1;
        unit->bytes += zspool_block_size (block);
    }
    return ZSPOOL_OK;
}

void
zspool_lanes_number_anew (zspool_lanes_t *self, zspool_pending_t *pending)
{
    for (size_t index = 0; index < self->count; index++) {
        zspool_writer_lane_t *lane = &self->lanes [index].given;
        int64_t stored_us;
        zspool_store_numbering (self->store, lane->spool, &lane->next_sequence, &stored_us);
    }
    for (size_t index = 0; index < pending->units_count; index++) {
        const zspool_pending_unit_t *unit = &pending->units [index];
        uint32_t spool;
        zspool_block_t *block;
        for (size_t at = 0; (block = s_block_at (unit, at, &spool)) != NULL; at++) {
            zspool_writer_lane_t *lane = &zspool_lanes_find (self, spool)->given;
            if (!unit->published)
                zspool_block_stamp (block, lane->next_sequence, zspool_block_stored_us (block),
                                    self->incarnation);
            lane->next_sequence = zspool_block_last_sequence (block) + 1;
        }
    }
}

//  Give each outlet of the lane, and the service, a reference to the block.
static void
s_publish (zspool_lanes_t *self, zspool_lane_t *lane, zspool_block_t *block)
{
    lane->published = zspool_block_last_sequence (block);
    for (size_t index = 0; index < lane->given.outlets_count; index++) {
        zspool_block_t *given = zspool_block_ref (block);
        if (zspool_handoff_send (zsock_resolve (lane->given.outlets [index].pipe), HANDOFF_BLOCK,
                                 given, 0))
            zspool_block_destroy (&given);
    }
    if (!self->service)
        return;
    zspool_block_t *given = zspool_block_ref (block);
    if (zspool_handoff_send (zsock_resolve (self->service), HANDOFF_BLOCK, given,
                             lane->given.spool))
        zspool_block_destroy (&given);
}

static void
s_publish_unit (zspool_lanes_t *self, zspool_pending_unit_t *unit)
{
    uint32_t spool;
    zspool_block_t *block;
    for (size_t index = 0; (block = s_block_at (unit, index, &spool)) != NULL; index++)
        s_publish (self, zspool_lanes_find (self, spool), block);
    unit->published = true;
}

//  Whether the unit may be seen before it is durable.
static bool
s_may_be_seen (zspool_lanes_t *self, const zspool_pending_unit_t *unit)
{
    if (!unit->async || (unit->batch && unit->batch->whole))
        return false;
    uint32_t spool;
    zspool_block_t *block;
    for (size_t index = 0; (block = s_block_at (unit, index, &spool)) != NULL; index++) {
        const zspool_lane_t *lane = zspool_lanes_find (self, spool);
        if (lane->held || zspool_block_last_sequence (block) > lane->ceiling)
            return false;
    }
    return true;
}

//  What comes behind the unit in the same spools must wait for it.
static void
s_hold_lanes (zspool_lanes_t *self, const zspool_pending_unit_t *unit)
{
    uint32_t spool;
    for (size_t index = 0; s_block_at (unit, index, &spool); index++)
        zspool_lanes_find (self, spool)->held = true;
}

void
zspool_lanes_publish_ahead (zspool_lanes_t *self, zspool_pending_t *pending)
{
    if (!self->lanes [0].given.async)
        return;
    for (size_t index = 0; index < self->count; index++)
        self->lanes [index].held = false;
    for (size_t index = 0; index < pending->units_count; index++) {
        zspool_pending_unit_t *unit = &pending->units [index];
        if (unit->published)
            continue;
        if (s_may_be_seen (self, unit))
            s_publish_unit (self, unit);
        else
            s_hold_lanes (self, unit);
    }
}

void
zspool_lanes_stored (zspool_lanes_t *self, zspool_pending_unit_t *unit)
{
    if (!unit->published)
        s_publish_unit (self, unit);
    uint32_t spool;
    zspool_block_t *block;
    for (size_t index = 0; (block = s_block_at (unit, index, &spool)) != NULL; index++) {
        zspool_lane_t *lane = zspool_lanes_find (self, spool);
        lane->ceiling = zspool_block_last_sequence (block) + ZSPOOL_CEILING_WINDOW;
        lane->stored += !unit->batch;
        lane->stored_all++;
    }
}

//  Tell outlets and the service that more is durable: under sync they know by getting it.
static void
s_tell_stored (zspool_lanes_t *self, zspool_lane_t *lane)
{
    for (size_t at = 0; at < lane->given.outlets_count; at++)
        zspool_handoff_send (zsock_resolve (lane->given.outlets [at].pipe), HANDOFF_STORED, NULL,
                             0);
    if (self->service)
        zspool_handoff_send (zsock_resolve (self->service), HANDOFF_STORED, NULL,
                             lane->given.spool);
}

void
zspool_lanes_confirm (zspool_lanes_t *self)
{
    for (size_t index = 0; index < self->count; index++) {
        zspool_lane_t *lane = &self->lanes [index];
        if (lane->stored > 0) {
            zspool_handoff_send (zsock_resolve (lane->given.inlet), HANDOFF_STORED, NULL,
                                 lane->stored);
            if (!lane->given.async)
                zspool_handoff_send (zsock_resolve (lane->given.inlet), HANDOFF_TAKEN, NULL,
                                     lane->stored);
        }
        if (lane->stored_all > 0 && lane->given.async)
            s_tell_stored (self, lane);
        lane->stored = lane->stored_all = 0;
    }
}

void
zspool_lanes_moved (zspool_lanes_t *self, zspool_lane_t *lane, zspool_block_t *block)
{
    zspool_store_numbering (self->store, lane->given.spool, &lane->given.next_sequence,
                            &lane->given.stored_us);
    lane->ceiling = zspool_block_last_sequence (block) + ZSPOOL_CEILING_WINDOW;
    s_publish (self, lane, block);
}

//  ------------------------------------------------------------------------------------------------
//  Telling

void
zspool_lanes_tell_inlets (zspool_lanes_t *self, zspool_handoff_kind_t kind, uint64_t number)
{
    for (size_t index = 0; index < self->inlets_count; index++)
        zspool_handoff_send (zsock_resolve (self->lanes [index].given.inlet), kind, NULL, number);
    if (self->service)
        zspool_handoff_send (zsock_resolve (self->service), kind, NULL, number);
}

void
zspool_lanes_tell_all (zspool_lanes_t *self, zspool_handoff_kind_t kind)
{
    zspool_lanes_tell_inlets (self, kind, 0);
    for (size_t index = 0; index < self->inlets_count; index++) {
        const zspool_writer_lane_t *lane = &self->lanes [index].given;
        for (size_t at = 0; at < lane->outlets_count; at++)
            zspool_handoff_send (zsock_resolve (lane->outlets [at].pipe), kind, NULL, 0);
    }
}

//  Send the service a place in a spool; when memory is out it finds out by itself.
static void
s_tell_place (zspool_lanes_t *self, zspool_handoff_kind_t kind, uint32_t spool, uint64_t sequence)
{
    zspool_seek_t *place = self->service? (zspool_seek_t *) malloc (sizeof *place): NULL;
    if (!place)
        return;
    *place = (zspool_seek_t){ .spool = spool, .floor = sequence };
    if (zspool_handoff_send (zsock_resolve (self->service), kind, place, 0))
        free (place);
}

void
zspool_lanes_note_dropped (zspool_lanes_t *self)
{
    for (size_t index = 0; index < self->count; index++) {
        zspool_lane_t *lane = &self->lanes [index];
        uint64_t dropped_to = zspool_store_dropped_to (self->store, lane->given.spool);
        if (dropped_to == lane->dropped_to)
            continue;
        s_look_up_lagged (self, &lane->given);
        lane->dropped_to = dropped_to;
        for (size_t at = 0; at < lane->given.outlets_count; at++)
            zspool_handoff_send (zsock_resolve (lane->given.outlets [at].pipe), HANDOFF_DROPPED,
                                 NULL, dropped_to);
        s_tell_place (self, HANDOFF_DROPPED, lane->given.spool, dropped_to);
    }
}

void
zspool_lanes_sought (zspool_lanes_t *self, zspool_seek_t **seek_p)
{
    const zspool_writer_outlet_t *outlet =
        zspool_lanes_outlet (self, (*seek_p)->spool, (*seek_p)->cursor);
    zsock_t *pipe = outlet? outlet->pipe: self->service;
    if (pipe && zspool_handoff_send (zsock_resolve (pipe), HANDOFF_SEEK, *seek_p, 0) == 0)
        *seek_p = NULL;
}
