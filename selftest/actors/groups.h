//  groups.h - what the tests of groups share: a group on a store, consumers that note what they get
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef GROUPS_H_INCLUDED
#define GROUPS_H_INCLUDED

#include "group.h"
#include "handoff.h"
#include "lib/kit.h"

#define GROUPS_MESSAGES_MAX 4000       //  sequences that are looked at
#define GROUPS_GENERATION 3

typedef struct {
    kit_setup_t kit;                   //  the store, and the spool `main`
    zspool_shelf_t shelf;
    zspool_group_ops_t ops;
    zspool_group_t *group;
    void *context;                     //  of ZeroMQ
    void *writer;                      //  where the group hands over,
    void *written;                     //  and this end
    int deliver_rc;                    //  what consumers say instead of taking; 0: they take
    bool topics;                       //  messages have a topic
    uint64_t holder [GROUPS_MESSAGES_MAX];      //  by sequence: who was given it last; 0: nobody
    unsigned deliveries [GROUPS_MESSAGES_MAX];  //  how often it was delivered
    uint64_t order [GROUPS_MESSAGES_MAX];       //  sequences, as they were delivered
    size_t order_count;
    unsigned told;                     //  times that a consumer was told where it stands
    unsigned wants_dead;               //  times that dead letters were asked for
} groups_t;

//  A group on a cursor that has delivered nothing; NULL: no filter
void
    groups_setup (groups_t *self, zspool_filter_t *filter, unsigned max_deliveries);
void
    groups_done (groups_t *self);

//  The service starts again: all consumers are gone, and the group begins where the cursor stands,
//  with what was stored of it. There is one block, of so many messages.
void
    groups_restart (groups_t *self, zspool_filter_t *filter, unsigned max_deliveries,
                    uint32_t messages);

//  Store a block of so many messages, and let the group know.
void
    groups_store (groups_t *self, uint32_t count, size_t bytes);

//  Have a consumer join, with a credit of so many messages and ample bytes.
void
    groups_join (groups_t *self, zspool_subscription_t *consumer, uint64_t id, uint64_t messages);

//  Take turns until there is nothing more to do at once. Gives what the last one came to.
zspool_turn_t
    groups_turn (groups_t *self, int64_t now_ms);

//  Acknowledge: all of it is held.
void
    groups_ack (groups_t *self, zspool_subscription_t *consumer, uint64_t first, uint64_t last);

//  What was handed over next, changes of the cursor left out, is of this kind: it is the caller's.
//  NULL: nothing was.
void *
    groups_written (groups_t *self, zspool_handoff_kind_t kind);

zspool_group_info_t
    groups_info (groups_t *self);

#endif
