//  writer.h - the one actor that writes a store
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_WRITER_H_INCLUDED
#define ZSPOOL_WRITER_H_INCLUDED

#include "handoff.h"
#include "job.h"
#include "options.h"
#include "store.h"
#include <czmq.h>

//  Most batches that the service may have with the writer
#define ZSPOOL_WRITER_BATCHES_MAX 32
//  Most jobs likewise
#define ZSPOOL_WRITER_JOBS_MAX 256
//  Most blocks that one inlet may have with the writer, not yet durable
#define ZSPOOL_WRITER_BLOCKS_MAX 32
//  Under `async`, how far numbers may be given, and messages forwarded, ahead of what is committed
#define ZSPOOL_CEILING_WINDOW (64 * 1024)

//  An outlet, as the writer sees it
typedef struct {
    zsock_t *pipe;
    uint32_t cursor;              //  through which its messages leave
    uint64_t lagged;              //  messages that the cursor has lost at the limit, ever
    char label [ZSPOOL_LABEL_MAX + 1]; //  what the names of its STATUS begin with
} zspool_writer_outlet_t;

//  The way of one device's messages through the writer. The pipes are PAIR sockets that carry
//  handoffs; the writer owns their ends from its start.
typedef struct {
    uint32_t spool;
    bool async;                   //  forward before committing
    bool drops_oldest;            //  at the spool's limit; otherwise its messages wait
    int64_t commit_interval_ms;   //  async: how long a message may wait for its commit
    uint64_t next_sequence;       //  as zspool_store_numbering () gave it
    int64_t stored_us;            //  likewise
    zsock_t *inlet;
    zspool_writer_outlet_t *outlets; //  an array, which is the writer's from its start
    size_t outlets_count;
} zspool_writer_lane_t;

//  What to start a writer with. The store must be open for writing; from now on it is the writer's,
//  who closes it when it ends.
typedef struct {
    zspool_store_t *store;
    zspool_writer_lane_t *lanes;  //  copied
    size_t lanes_count;
    zsock_t *service;             //  pipe to the service, which may put into all spools; the writer's from its
                                  //  start. NULL: there is none
    zspool_spool_defaults_t defaults; //  of spools that the service opens; they go the way of the first lane
} zspool_writer_args_t;

//  Requests on the actor's pipe (request.h), with replies:
//    STATUS     reply: code, names and values, see zspool_device_status ()
//    $TERM      commit what is there, close the store, end; no reply
//  When the store fails it sends, unasked: FAILED, reason.
//
//  Returns the actor, or NULL when memory is out; then store and pipes stay with the caller.
zactor_t *
    zspool_writer_new (zspool_writer_args_t *args);

#endif
