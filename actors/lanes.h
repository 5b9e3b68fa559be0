//  lanes.h - the ways of messages through a writer, one for each spool: numbers blocks, and hands
//  them on
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of the writer, on its thread. The first lanes are those of devices, with an inlet and
//  outlets. Those of spools that only the service puts into have none, and are added as it opens
//  them. What is handed on goes to the lane's outlets, and always to the service.
//
//  Invariants
//  1. sync: a block is handed on only after the commit that stored it.
//  2. async: a block is handed on only when its last sequence is at or below the lane's committed
//     ceiling, never before one of the same lane that was numbered before it, and none of a batch
//     that is to be seen as a whole before it is durable.

#ifndef ZSPOOL_LANES_H_INCLUDED
#define ZSPOOL_LANES_H_INCLUDED

#include "pending.h"
#include "writer.h"

//  A lane, and what it has come to
typedef struct {
    zspool_writer_lane_t given;
    uint64_t ceiling;               //  async: committed
    uint64_t dropped_to;            //  outlets know that what ends here was dropped at the limit
    uint64_t published;             //  last sequence that was handed on
    bool held;                      //  async: for one pass over what waits: a block before may not be seen yet
    uint64_t stored;                //  blocks in the commit that has ended: of its inlet,
    uint64_t stored_all;            //  and whoever's
    bool stopping;                  //  the limit is to hold no more
} zspool_lane_t;

typedef struct {
    zspool_store_t *store;
    uint64_t incarnation;           //  of the store
    zspool_lane_t *lanes;           //  first those with an inlet
    size_t count;
    size_t inlets_count;
    zsock_t *service;               //  pipe; NULL: there is none
} zspool_lanes_t;

//  Begin with the lanes that have inlets. ENOMEM: nothing is taken over.
int
    zspool_lanes_init (zspool_lanes_t *self, const zspool_writer_args_t *args);
//  With pipes and outlets; `taken_over`: these are the writer's.
void
    zspool_lanes_destroy (zspool_lanes_t *self, bool taken_over);

//  The lane whose spool this is; NULL: there is none
zspool_lane_t *
    zspool_lanes_find (const zspool_lanes_t *self, uint32_t spool);
//  The same; it is added when there is none, and goes the way of the first. The store must be at
//  rest. NULL: memory is out.
zspool_lane_t *
    zspool_lanes_open (zspool_lanes_t *self, uint32_t spool);
//  The outlet that delivers through a cursor; NULL: none does
zspool_writer_outlet_t *
    zspool_lanes_outlet (const zspool_lanes_t *self, uint32_t spool, uint32_t cursor);

//  Number the blocks of a unit that was added last. EINVAL: one is of a spool that has no lane.
int
    zspool_lanes_stamp (zspool_lanes_t *self, zspool_pending_unit_t *unit);

//  A batch was refused, or a block came in by other means: number what waits, and nobody has seen,
//  anew. The store must be at rest.
void
    zspool_lanes_number_anew (zspool_lanes_t *self, zspool_pending_t *pending);

//  Hand on what waits, is async, and may be seen by now.
void
    zspool_lanes_publish_ahead (zspool_lanes_t *self, zspool_pending_t *pending);
//  A unit is durable: hand it on if it was not, and raise ceilings. Confirming follows.
void
    zspool_lanes_stored (zspool_lanes_t *self, zspool_pending_unit_t *unit);
//  Tell inlets what of theirs was stored, and outlets and the service that something was.
void
    zspool_lanes_confirm (zspool_lanes_t *self);
//  A block was stored in this lane's spool by other means.
void
    zspool_lanes_moved (zspool_lanes_t *self, zspool_lane_t *lane, zspool_block_t *block);

//  Tell inlets, outlets and the service.
void
    zspool_lanes_tell_all (zspool_lanes_t *self, zspool_handoff_kind_t kind);
//  Tell inlets and the service.
void
    zspool_lanes_tell_inlets (zspool_lanes_t *self, zspool_handoff_kind_t kind, uint64_t number);
//  Tell outlets what was dropped at the limit, before they get what was stored for it.
void
    zspool_lanes_note_dropped (zspool_lanes_t *self);
//  Tell who delivers through a cursor that it was moved, or deleted. What is sent is taken.
void
    zspool_lanes_sought (zspool_lanes_t *self, zspool_seek_t **seek_p);

#endif
