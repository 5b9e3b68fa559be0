//  room.h - whether a writer's last commits found room for what came, and who is told of it
//
//  SPDX-License-Identifier: MPL-2.0
//
//  At the brink there is room for one commit and none for the next, many times a second. So one who
//  was told that there is none is told of room only when there was for a while.

#ifndef ZSPOOL_ROOM_H_INCLUDED
#define ZSPOOL_ROOM_H_INCLUDED

#include "store.h"

typedef struct {
    int full;                 //  why the last commit had no room for all, ENOSPC or ELIMIT; else 0
    int told;                 //  the same, as it was told last
    int64_t full_ms;          //  when a commit had no room last, by the monotonic clock
} zspool_room_t;

//  Take in what came of a commit. True when what is told has changed: then a line was logged, with
//  the reason that the store gave.
bool
    zspool_room_update (zspool_room_t *self, int full, int64_t now_ms, const zspool_store_t *store);

//  When to look again, with zspool_room_update (self, self->full, ...), though there is no commit;
//  INT64_MAX: never.
int64_t
    zspool_room_due_ms (const zspool_room_t *self);

//  What is full, as STATUS has it: "no", "disk" or "limit"
const char *
    zspool_room_status (const zspool_room_t *self);

#endif
