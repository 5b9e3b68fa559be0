//  parts.h - what a device is made of: opens the store, prepares what its actors need, creates them
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Thread: the application's. Each part belongs to the device until an actor takes it over.

#ifndef ZSPOOL_PARTS_H_INCLUDED
#define ZSPOOL_PARTS_H_INCLUDED

#include "feeds.h"
#include "outlet.h"
#include "service.h"
#include "writer.h"

typedef struct {
    const zspool_options_t *options; //  the device's
    const zspool_feeds_t *feeds;     //  likewise
    zspool_store_t *store;
    zspool_writer_lane_t lane;
    zsock_t *inlet_pipe;             //  the inlet's end
    zspool_outlet_args_t outlets [ZSPOOL_OUTLETS_MAX];
    char labels [ZSPOOL_OUTLETS_MAX] [ZSPOOL_LABEL_MAX + 1];
    size_t outlets_count;
    uint64_t incarnation;            //  of the store
    zactor_t *inlet_actor;           //  the actors, until the control has them
    zactor_t *outlet_actors [ZSPOOL_OUTLETS_MAX];
    zactor_t *writer_actor;
    zactor_t *service_actor;         //  NULL: there is none
    zsock_t *service_pipe;           //  the service's end, until that has it
    zsock_t *writer_service;         //  the writer's
    char *reason;                    //  of ZSPOOL_REASON_MAX bytes, the device's: why a step failed
} zspool_parts_t;

//  Open the store and prepare everything that the actors need. A code, and a reason.
int
    zspool_parts_prepare (zspool_parts_t *self);

//  Create the actors, each of which takes over its parts. ENOMEM.
int
    zspool_parts_create_actors (zspool_parts_t *self);

//  Free what nobody has taken over.
void
    zspool_parts_destroy (zspool_parts_t *self);

#endif
