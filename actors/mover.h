//  mover.h - what is to be moved between the spools of a writer's store: burials that outlets hand
//  in, dead letters that somebody wants put back or dropped; one at a time
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of the writer, on its thread.

#ifndef ZSPOOL_MOVER_H_INCLUDED
#define ZSPOOL_MOVER_H_INCLUDED

#include "dead.h"
#include <czmq.h>

#define ZSPOOL_MOVER_JOBS_MAX 128    //  jobs that wait; a further request is refused

//  One job
typedef struct {
    void *outlet;                    //  a burial's: who handed it in, and is told; NULL: a request
    uint64_t number;                 //  a request's, for the reply
    bool requeue;                    //  a request's: put back; else drop
    char name [ZSPOOL_NAME_MAX + 1]; //  a request's: whose dead letters
    uint64_t first;                  //  a request's: sequences
    uint64_t last;
    bool damaged;                    //  a request's: letters were passed over
    zspool_move_t *move;             //  a request's is prepared when it comes to the front
} zspool_job_t;

typedef struct {
    zsock_t *pipe;                   //  where replies go
    zspool_store_t *store;
    zspool_job_t jobs [ZSPOOL_MOVER_JOBS_MAX]; //  ring
    size_t first;
    size_t count;
} zspool_mover_t;

void
    zspool_mover_destroy (zspool_mover_t *self);

//  Take a burial from an outlet, each of which has at most one here.
void
    zspool_mover_bury (zspool_mover_t *self, void *outlet, zspool_move_t *move);

//  Take the request REQUEUE or DROP; its arguments are the name, and the first and last sequence.
//  It is answered with a code, how many letters were moved, the sequence to go on from, or 0 when
//  that was all, whether some are damaged, and the newest letter there is: what was put back may
//  die again meanwhile, and is then not meant.
void
    zspool_mover_ask (zspool_mover_t *self, uint64_t number, bool requeue, zmsg_t *arguments);

//  The move to make next; NULL when there is none. The store must be at rest.
zspool_move_t *
    zspool_mover_front (zspool_mover_t *self);

//  It was made, or refused, by its result: tell whoever asked for it.
void
    zspool_mover_done (zspool_mover_t *self);

//  The store has failed: so have all jobs.
void
    zspool_mover_fail (zspool_mover_t *self);

#endif
