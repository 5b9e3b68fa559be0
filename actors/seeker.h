//  seeker.h - cursors of a writer's store that somebody wants moved or deleted, one at a time
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of the writer, on its thread.

#ifndef ZSPOOL_SEEKER_H_INCLUDED
#define ZSPOOL_SEEKER_H_INCLUDED

#include "seek.h"
#include "store.h"
#include <czmq.h>

#define ZSPOOL_SEEKER_REQUESTS_MAX 32    //  requests that wait; a further one is refused

//  One request
typedef struct {
    uint64_t number;                 //  for the reply
    char spool [ZSPOOL_NAME_MAX + 1];
    char cursor [ZSPOOL_NAME_MAX + 1];
    zspool_cursor_job_t job;        //  its numbers are found when it comes to the front
} zspool_seeker_request_t;

typedef struct {
    zsock_t *pipe;                   //  where replies go
    zspool_store_t *store;
    bool (*is_used) (void *arg, uint32_t spool, uint32_t cursor); //  whether an outlet delivers through it
    void *arg;
    zspool_seeker_request_t requests [ZSPOOL_SEEKER_REQUESTS_MAX]; //  ring
    size_t first;
    size_t count;
} zspool_seeker_t;

//  Take the request SEEK (spool, cursor, start as zspool_start_parse () takes it) or DELETE_CURSOR
//  (spool, cursor). It is answered with a code: ENOENT, there is no such spool or cursor; EINVAL,
//  no such start; EBUSY, an outlet delivers through the cursor, so it cannot be deleted.
void
    zspool_seeker_ask (zspool_seeker_t *self, uint64_t number, bool deletes, zmsg_t *arguments);

//  What to do in the next commit; NULL: nothing. The store must be at rest.
zspool_cursor_job_t *
    zspool_seeker_front (zspool_seeker_t *self);

//  It was done, or refused, by its result: tell whoever asked for it. What its outlet is to be told
//  may have been taken from it.
void
    zspool_seeker_done (zspool_seeker_t *self);

//  The store has failed: so have all requests.
void
    zspool_seeker_fail (zspool_seeker_t *self);

#endif
