//  outlet.h - the actor through which messages leave a device
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_OUTLET_H_INCLUDED
#define ZSPOOL_OUTLET_H_INCLUDED

#include "cursor.h"
#include "handoff.h"
#include "options.h"
#include "store.h"
#include "zspool_filter.h"
#include <czmq.h>

//  How an outlet delivers. The texts and the filter are the device's; an outlet copies the texts,
//  and owns the filter from its start.
typedef struct {
    const char *label;           //  what the names of its STATUS begin with: "out", or "feed/NAME"
    const char *endpoints;
    const char *ack_in;          //  explicit: endpoint for tickets
    int socket_type;             //  ZMQ_PUSH or ZMQ_XPUB
    zspool_ack_policy_t ack;     //  XPUB: not explicit
    bool exclusive;              //  XPUB, for one SUB peer: nothing is dropped for it, and nothing sent
                                 //  while it is not subscribed
    size_t hold;                 //  XPUB: wait at the start for so many subscriptions
    zspool_filter_t *filter;     //  which messages; NULL: all
} zspool_outlet_ends_t;

//  What to start an outlet with. On success pipe, store handles, filter and cursor are the
//  outlet's.
typedef struct {
    zspool_outlet_ends_t ends;
    const zspool_options_t *options; //  limits, and the name of the spool; copied
    uint32_t spool;
    uint32_t cursor_id;
    uint32_t dead_spool;         //  where messages go that die; 0: they do not
    uint32_t generation;         //  of the cursor
    uint64_t incarnation;        //  of the store
    uint64_t floor;              //  of the cursor
    uint64_t sent_to;            //  of the cursor
    zspool_cursor_t *cursor;     //  explicit: what was delivered and acknowledged; else NULL
    zspool_reader_t *reader;     //  for what lies behind the live blocks
    zspool_reader_t *again;      //  explicit: for what is delivered again; else NULL
    zspool_block_pool_t *pool;   //  that the readers use
    zsock_t *writer;             //  pipe to the writer
} zspool_outlet_args_t;

//  Blocks that a pool for the readers needs
#define ZSPOOL_OUTLET_POOL_BLOCKS 36

//  Requests on the actor's pipe (request.h), with replies; but START has no number, nor has its
//  reply:
//    START      attach to the endpoints, replay, forward. Reply: 0, endpoint, endpoint of ack-in or "";
//               or a code, the label or "ack-in", and why it could not be had
//    STOP       forward no more; give the writer the cursor as it is now. Reply: code
//    STATUS     reply: code, names and values, see zspool_device_status ()
//    $TERM      end; no reply
//
//  Returns the actor, or NULL when memory is out; then all stays with the caller.
zactor_t *
    zspool_outlet_new (const zspool_outlet_args_t *args);

#endif
