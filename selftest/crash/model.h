//  model.h - random work on a store, beside a simple model of what the store then promises
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The model knows no block: which messages there were, what each cursor has acknowledged, how far
//  producers have got, and what a table holds. A ledger holds it as committed, and as it will be when
//  the commit under way has succeeded; it lies in memory that processes share, and outlives one that
//  is killed. All work follows from a seed.

#ifndef MODEL_H_INCLUDED
#define MODEL_H_INCLUDED

#include "crash/recording.h"
#include "lib/kit.h"

#define MODEL_SPOOLS 2
#define MODEL_CURSORS 3
#define MODEL_PRODUCERS 3
#define MODEL_KEYS 12                  //  of a table of an application
#define MODEL_SEQUENCES 40000          //  most numbers given in a spool
#define MODEL_WINDOW 50                //  a ceiling window, as under `async`

//  Tags of notes in a recording: the model as it was confirmed, and as it would be
#define MODEL_CONFIRMED 1
#define MODEL_CANDIDATE 2

typedef struct {
    uint64_t next;                     //  sequence of the next message
    uint64_t last;                     //  of the newest one
    uint64_t ceiling;                  //  nothing above was forwarded
    uint64_t lost;                     //  sequences in gaps
    uint64_t keep_messages;            //  its retention: kept though acknowledged
    uint32_t cursors;                  //  that there are
    uint32_t cursors_made;             //  ever
    uint32_t ids [MODEL_CURSORS];      //  their numbers
    uint64_t floors [MODEL_CURSORS];   //  where a cursor started, or was moved to
    bool limited;                      //  the oldest is dropped when there is no room
    uint64_t trimmed_to;               //  messages up to here may be gone, whoever waits for them
    uint8_t messages [MODEL_SEQUENCES]; //  whether stored, and who acknowledged
} model_spool_t;

typedef struct {
    bool created;                      //  there are spools
    bool has_table;                    //  there is a table of the application
    uint64_t values [MODEL_KEYS];      //  in it, by key: the value's number; 0: there is none
    bool has_producer [MODEL_PRODUCERS];
    uint32_t epochs [MODEL_PRODUCERS];
    uint64_t lasts [MODEL_PRODUCERS];
    model_spool_t spools [MODEL_SPOOLS];
} model_t;

typedef struct {
    model_t committed;
    model_t candidate;                 //  what will be, while `committing`
    bool committing;
    uint64_t commits;                  //  that returned
    uint64_t shown;                    //  of those that did not return: found done at opening
    uint64_t steps;
} model_ledger_t;

typedef enum {
    MODEL_HONEST,
    MODEL_CONFIRMS_EARLY               //  a planted fault: confirmed before the commit
} model_plant_t;

//  The one who works
typedef struct {
    const char *directory;
    kit_chance_t chance;
    model_ledger_t *ledger;
    zspool_store_t *store;             //  NULL: closed
    model_t now;                       //  with the open transaction
    recording_t *recording;            //  takes notes of the ledger; or NULL
    model_plant_t plant;
    bool may_fail;                     //  faults are injected: calls may give an error
    uint64_t limit_bytes;              //  of the second spool, whose oldest is dropped then; or 0
    uint64_t window;                   //  of the second spool: how far it may forward ahead
    size_t message_bytes_max;          //  of a message; 0: 40000
} model_worker_t;

//  A model of a store that is not there yet
void
    model_clear (model_t *model);

//  Create a ledger in shared memory, of a store that is not there yet.
model_ledger_t *
    model_ledger_new (void);

//  Open the store for writing and check that it is as the ledger says; what it shows then is
//  confirmed. Gives the store's code: only with may_fail another than OK.
int
    model_open (model_worker_t *self);
void
    model_close (model_worker_t *self);

//  Do one transaction of some random steps, mostly committed. Gives the code of what failed.
int
    model_transact (model_worker_t *self);

//  Do so many, closing, opening and checking the store now and then.
void
    model_work (model_worker_t *self, uint64_t transactions);

//  Whether an open store is as this model says, by its numbers
bool
    model_is_like (zspool_store_t *store, const model_t *model);

//  The store was opened for writing: all that may have been forwarded lies below the next numbers
//  from now on, in recorded gaps.
void
    model_recover (model_t *model);

//  Check an open store in everything.
void
    model_check_all (zspool_store_t *store, const model_t *model);

//  Nobody works now: the commit that was under way has happened, or it has not, and nothing in
//  between. Find out which, and check everything.
void
    model_settle (model_ledger_t *ledger, zspool_store_t *store);

//  What a note holds
void
    model_load (model_t *model, const record_t *note);

#endif
