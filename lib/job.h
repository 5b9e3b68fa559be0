//  job.h - what the service wants done to a store besides storing: opening spools, cursors and
//  producers, moving and deleting cursors, purging, listing
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The service makes a job, the writer runs it in a commit, behind all changes that came before it, and
//  batches but for those that find no room, and gives it back. Jobs are run in the order they came in.

#ifndef ZSPOOL_JOB_H_INCLUDED
#define ZSPOOL_JOB_H_INCLUDED

#include "cursor.h"
#include "seek.h"
#include "store.h"
#include "zspool_reader.h"
#include "zspool_start.h"

typedef enum {
    ZSPOOL_JOB_OPEN_SPOOL,     //  name; create. Gives spool, last_sequence, reader
    ZSPOOL_JOB_OPEN_PRODUCER,  //  name; epoch: 0 for one higher than before, durably. Gives producer, epoch, last
    ZSPOOL_JOB_OPEN_CURSOR,    //  spool, name; create and start. Gives cursor, generation, floor, sent_to, tracker
    ZSPOOL_JOB_OPEN_DEAD,      //  spool: have a spool for its dead letters. Gives dead_spool
    ZSPOOL_JOB_SEEK,           //  spool, cursor, start. Gives generation, floor, sent_to, tracker
    ZSPOOL_JOB_DELETE_CURSOR,  //  spool, name
    ZSPOOL_JOB_PURGE,          //  spool, sequence. Gives moved
    ZSPOOL_JOB_LIST,           //  spool: of its cursors; 0: of all spools. Gives values
    ZSPOOL_JOB_SYNC            //  nothing: all changes that came before are durable when it comes back
} zspool_job_kind_t;

//  What a spool is given that is opened; what it keeps, only when it is created
typedef struct {
    zspool_retention_t retention;
    uint64_t bytes_max;        //  limit; 0: none
    zspool_on_full_t on_full;
    uint64_t ceiling_window;   //  as zspool_store_set_ceiling_window () takes it
} zspool_spool_defaults_t;

typedef struct zspool_store_job zspool_store_job_t;
struct zspool_store_job {
    zspool_job_kind_t kind;
    int rc;                    //  result: ZSPOOL_OK; what the store says; the rest means nothing then
    char name [ZSPOOL_NAME_MAX + 1];
    bool create;               //  when it is not there; else ENOENT
    uint32_t spool;
    uint32_t cursor;
    uint32_t dead_spool;
    uint32_t producer;
    uint32_t epoch;
    uint64_t last;             //  of a producer: number of its last message stored
    uint64_t sequence;
    uint64_t last_sequence;    //  of a spool
    zspool_start_t start;
    const zspool_spool_defaults_t *defaults; //  OPEN_SPOOL: the writer's
    uint32_t generation;
    uint64_t floor;
    uint64_t sent_to;
    zspool_cursor_t *tracker;  //  what was delivered and acknowledged; whose it is given to takes it
    zspool_reader_t *reader;   //  likewise
    zspool_block_pool_t *pool; //  for the reader; not ours
    zspool_seek_t *moved;      //  PURGE: cursors that were moved
    size_t moved_count;
    char **values;             //  names of spools or cursors, and what is to be said of each, in turn
    size_t values_count;       //  of both together
    uint64_t session;          //  for the service: who asked,
    uint32_t request;          //  by which request,
    uint64_t subscription;     //  for which subscription, by its id
    void *owner;               //  likewise: ours,
    void (*free_owner) (void *owner); //  to be freed so
    zspool_store_job_t *next;  //  for whoever has it in a list
};

zspool_store_job_t *
    zspool_job_new (zspool_job_kind_t kind);

//  With all that it still owns.
void
    zspool_job_destroy (zspool_store_job_t **self_p);

//  What must be done in the open transaction. What is refused is told by self->rc, and does no
//  harm. Gives another code than ZSPOOL_OK when the transaction is to be rolled back.
int
    zspool_job_run (zspool_store_job_t *self, zspool_store_t *store);

//  What must be done behind the commit, whose thread has the store.
void
    zspool_job_finish (zspool_store_job_t *self, zspool_store_t *store);

#endif
