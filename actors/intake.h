//  intake.h - takes in what a service's producers put, packs it into blocks, and has the writer store
//  it in batches
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of the service, on its thread. A *line* is a producer as the service knows it: its numbers,
//  how far they were taken and stored.
//
//  Invariants
//  1. Of each line all numbers up to `taken` are in the store, or in a batch; all up to `stored` are
//     durable. Each number is in one batch: that is what stores it once.
//  2. Batches are handed over such that of one line, and of one spool, what comes later is never in an
//     earlier batch.
//  3. Memory is bounded: by the pool of blocks, and ZSPOOL_INTAKE_BYTES_MAX that are under way. What
//     comes beyond is not taken: the line is held, and its producer sends it again when it is told.

#ifndef ZSPOOL_INTAKE_H_INCLUDED
#define ZSPOOL_INTAKE_H_INCLUDED

#include "batch.h"
#include "session.h"

//  Blocks: being filled and under way; kept by shelves; sent from by ZeroMQ
#define ZSPOOL_INTAKE_POOL_BLOCKS \
    (64 + ZSPOOL_SHELVES_LIVE_MAX + ZSPOOL_SERVICE_PINNED_MAX / ZSPOOL_BLOCK_BYTES)
#define ZSPOOL_INTAKE_BYTES_MAX (8 * 1024 * 1024) //  of blocks handed over and not durable
#define ZSPOOL_INTAKE_BATCHES_MAX 24               //  handed over and not given back; of ZSPOOL_WRITER_BATCHES_MAX
#define ZSPOOL_WINDOW_BYTES_MAX (4 * 1024 * 1024)  //  what a producer is told to have unconfirmed at most
#define ZSPOOL_WINDOW_BYTES_MIN (64 * 1024)

typedef struct zspool_line zspool_line_t;
struct zspool_line {
    char name [128];           //  "": none
    uint32_t producer;         //  its number in batches: without a name one of its own
    uint32_t epoch;
    zspool_session_t *session; //  who uses it now, or NULL
    uint64_t taken;
    uint64_t stored;
    uint64_t told_cached;      //  as the client was told last
    uint64_t told_committed;
    bool asked;                //  its client waits for PRODUCING,
    uint32_t asked_request;    //  with this
    bool wants_cached;         //  something was put that is to be confirmed as soon as it is taken
    bool held;                 //  the client was told to wait,
    int64_t held_ms;           //  then,
    uint32_t held_for;         //  because of this spool
    uint64_t committing;       //  number of the transaction that is not answered yet; 0: there is none
    size_t refs;               //  session, batches, lists
    void *load;                //  what is being filled and has messages of it, or NULL
    size_t place;              //  in that
    bool touched;              //  in the list of those to be told
    zspool_line_t *next_touched;
    zspool_line_t *next;       //  of all
};

typedef struct zspool_intake zspool_intake_t;

//  What to start one with
typedef struct {
    void *socket;              //  the ROUTER, where confirms go
    void *writer;              //  where batches are handed over
    zspool_sessions_t *sessions;
    size_t message_bytes_max;
    size_t message_frames_max;
    size_t load_bytes_max;     //  of a batch with more than one run or transaction
    bool async;
    bool indexed;              //  blocks tell the topics of their messages
    const int64_t *now_ms;     //  the service's clock
    bool *room;                //  set when a batch has ended: what could not be taken may be tried again
} zspool_intake_args_t;

zspool_intake_t *
    zspool_intake_new (const zspool_intake_args_t *args);
void
    zspool_intake_destroy (zspool_intake_t **self_p);

//  A session is to produce: as the producer that was opened (producer > 0), with its epoch and what the
//  store says it has got to; or without a name. Whoever had the line before is given in *fenced. NULL:
//  memory is out. PRODUCING and CONFIRM are sent, when a transaction of the line that is under way has ended.
zspool_line_t *
    zspool_intake_open (zspool_intake_t *self, zspool_session_t *session, uint32_t request, const char *name,
                        uint32_t producer, uint32_t epoch, uint64_t last, zspool_session_t **fenced);
//  The session ends.
void
    zspool_intake_leave (zspool_intake_t *self, zspool_session_t *session);

//  Take a run in. EORDER and the like are the client's fault: an error is to be sent, and the session
//  ended; ETOOBIG: an error, no more. What finds no room holds the line, and gives OK.
int
    zspool_intake_put (zspool_intake_t *self, zspool_session_t *session, const zsp_t *command, const void *records,
                       size_t size);

//  Take a transaction in: its frames of records are in `frames`. It is answered when it has ended.
//  EBUSY: it must wait for another; the frames stay as they are. Other codes: refuse it with that.
int
    zspool_intake_commit (zspool_intake_t *self, zspool_session_t *session, const zsp_t *command, zmq_msg_t *frames);

//  A batch has come back, with its result; it is destroyed.
void
    zspool_intake_ended (zspool_intake_t *self, zspool_batch_t *batch, int rc, int64_t now_ms);

//  Hand over what is filled, if the writer is free or it is enough, or (all) anyway; confirm what was
//  cached. To be called when all that has come was looked at. Gives when to call it again, if nothing
//  comes; INT64_MAX: no need.
int64_t
    zspool_intake_turn (zspool_intake_t *self, bool all, int64_t now_ms);

//  How much is not durable: messages and transactions taken.
uint64_t
    zspool_intake_waiting (const zspool_intake_t *self);

typedef struct {
    size_t lines;              //  producers that are there, or have something not durable yet
    uint64_t messages;         //  taken since the start
    uint64_t bytes;            //  of their records
    uint64_t duplicates;       //  messages recognised, and dropped
    uint64_t held;             //  times that a producer was told to wait
    uint64_t transactions;     //  made
    uint64_t refused;          //  transactions that were not
} zspool_intake_info_t;
const zspool_intake_info_t *
    zspool_intake_info (const zspool_intake_t *self);

#endif
