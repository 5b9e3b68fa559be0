//  group_parts.h - the state of a group, and the files it is cut into
//
//  SPDX-License-Identifier: MPL-2.0
//
//  group.c has its consumers, what they say, and what the writer says; group_claims.c acknowledges in
//  transactions; group_parcel.c makes up what a DELIVER carries; group_turn.c delivers. All run on the
//  service's thread.

#ifndef ZSPOOL_GROUP_PARTS_H_INCLUDED
#define ZSPOOL_GROUP_PARTS_H_INCLUDED

#include "group.h"

//  What is acknowledged in transactions being gathered, or under way
typedef struct {
    zspool_lease_t lease;
    uint64_t tag;                      //  which transaction
} zspool_group_claim_t;

struct zspool_group {
    zspool_group_args_t args;
    size_t refs;                       //  the catalog's, and those of transactions
    zspool_leases_t *leases;
    zspool_subscription_t *first;      //  consumers, in order of arrival
    zspool_subscription_t *turn;       //  whose turn it is; NULL: the first's
    size_t consumers;
    uint64_t next;                     //  message that is delivered next for the first time
    uint64_t known_to;                 //  up to here some may have been delivered, or acknowledged, before our time
    uint64_t at_block;                 //  first sequence of a block, in which
    zspool_record_t at;                //  this is the record before `next`
    zspool_doom_t doom;
    bool claims_under_way;
    bool claims_void;                  //  the cursor was moved: transactions being gathered are to be refused
    bool change_wanted;                //  somebody waits for a change, and no claims are taken before it
    zspool_group_claim_t *claims;
    size_t claims_count;
    size_t claims_max;
    zspool_group_info_t info;
};

//  A DELIVER that is being made up
typedef struct {
    zspool_block_t *block;
    uint64_t messages_max;
    uint64_t bytes_max;
    uint64_t messages;
    uint64_t bytes;
    uint64_t end;                      //  sequence of the last message that was looked at
    size_t pieces_count;
    zspool_piece_t pieces [ZSP_SLICES_MAX];
    zspool_record_t last;              //  the last record that was looked at
} zspool_parcel_t;

//  group.c

//  A consumer, by its id; NULL: it has left
zspool_subscription_t *
    zspool_group_consumer (const zspool_group_t *self, uint64_t id);
//  What a call on leases gave, as a result: ESTALE for none. Unless the consumer keeps them, the messages
//  are not its any more.
int
    zspool_group_result (zspool_group_t *self, zspool_subscription_t *subscription, uint64_t messages, bool keeps);
//  One who held deliveries does not any more: a zspool_lease_fn, with the group.
void
    zspool_group_let_go (void *self, const zspool_lease_t *lease);
//  There are messages to bury: ask for a spool to bury them in.
void
    zspool_group_want_dead (zspool_group_t *self);

//  group_parcel.c

//  Begin a parcel of a block, from a sequence on, with so many messages at most.
void
    zspool_group_begin_parcel (zspool_group_t *self, zspool_parcel_t *parcel, zspool_block_t *block,
                               uint64_t sequence, uint64_t messages_max, uint64_t bytes_max);
//  Take all that is left of the block as one piece, if the parcel has room for it.
bool
    zspool_parcel_add_rest (zspool_parcel_t *self, uint64_t sequence);
//  Look at the messages first..last of the block one by one, and add those that are to be delivered.
//  False: what a message needs cannot be had now.
bool
    zspool_group_add_each (zspool_group_t *self, zspool_parcel_t *parcel, uint64_t first, uint64_t last, bool again);

#endif
