//  keeping.h - what a writer's store keeps, and when the next block is to go for its age
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of the writer, on its thread. It looks only while no commit is under way, and tells what it
//  saw then.

#ifndef ZSPOOL_KEEPING_H_INCLUDED
#define ZSPOOL_KEEPING_H_INCLUDED

#include "store.h"
#include <czmq.h>

typedef struct {
    zspool_store_t *store;
    uint32_t spool;                //  of which STATUS tells
    zspool_retention_t retention;  //  of that
    zspool_kept_t kept;            //  by that, when it was looked at last,
    int64_t looked_ms;             //  by the monotonic clock
    int64_t trim_due_us;           //  when a block of any spool is to go, microseconds since 1970; INT64_MAX: none
} zspool_keeping_t;

//  Begin to look.
void
    zspool_keeping_init (zspool_keeping_t *self, zspool_store_t *store, uint32_t spool);

//  A commit has ended.
void
    zspool_keeping_update (zspool_keeping_t *self, int64_t now_ms);

//  When a commit is due to remove what is too old, in milliseconds of the monotonic clock;
//  INT64_MAX: never. ended_ms: when the last one ended.
int64_t
    zspool_keeping_due_ms (const zspool_keeping_t *self, int64_t ended_ms);

//  Add names and values to a STATUS; `committing`: one is under way.
void
    zspool_keeping_status (zspool_keeping_t *self, bool committing, zmsg_t *reply);

#endif
