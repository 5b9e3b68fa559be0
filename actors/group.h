//  group.h - a cursor that the service delivers through, and the consumers that compete on it
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of the service, on its thread. What is delivered first comes in order from the shelf; what
//  was given back, or not acknowledged in time, goes out again before it. Consumers get messages in
//  turn, each as its credit covers. Messages that the filter does not match count as acknowledged.
//
//  Invariants
//  1. Each message at or below the cursor's sent_to is one of: acknowledged; leased to one consumer;
//     leased to nobody, and then due again; in a transaction or a burial under way.
//  2. No change is handed to the writer while a transaction or a burial of this cursor is under way:
//     it would not know of it, and undo it.

#ifndef ZSPOOL_GROUP_H_INCLUDED
#define ZSPOOL_GROUP_H_INCLUDED

#include "doom.h"
#include "cursor.h"
#include "lease.h"
#include "shelf.h"
#include "zsp.h"

typedef struct zspool_group zspool_group_t;

//  A consumer, as its group sees it. Owned by its session (session.h).
typedef struct zspool_subscription zspool_subscription_t;
struct zspool_subscription {
    uint64_t id;               //  by which leases know it: never 0, never given twice
    uint32_t number;           //  that the client gave it
    bool exclusive;
    bool active;               //  it is its turn to get messages; set by the group
    bool busy;                 //  it could take nothing in this turn
    uint64_t credit_messages;
    int64_t credit_bytes;      //  of records; one message is covered, whatever its size, while it is above 0
    uint64_t in_flight;        //  messages it holds
    zspool_group_t *group;
    void *session;             //  whose it is
    zspool_subscription_t *next;        //  in its session
    zspool_subscription_t *group_next;  //  in its group: in order of arrival
};

//  A stretch of consecutive messages of a block: what one slice of a DELIVER carries
typedef struct {
    uint64_t first;            //  sequence
    uint32_t count;
    uint16_t deliveries;
    const uint8_t *records;    //  in the block
    size_t size;
} zspool_piece_t;

//  What a group needs of the service
typedef struct {
    void *arg;
    //  Send pieces of one block, all or none. EBUSY: not now, try again in the next turn; ELOST: the
    //  consumer is gone, and will leave.
    int (*deliver) (void *arg, zspool_subscription_t *to, uint32_t generation, zspool_block_t *block,
                    const zspool_piece_t *pieces, size_t pieces_count);
    //  The cursor was moved, or the consumer has become active or inactive: send SUBSCRIBED.
    void (*tell) (void *arg, zspool_subscription_t *to, uint32_t generation, uint64_t floor);
    //  Have ZSPOOL_JOB_OPEN_DEAD done; zspool_group_set_dead () will follow.
    void (*want_dead) (void *catalog, zspool_group_t *group);
    void *catalog;
    void *writer;              //  ZeroMQ socket where burials and changes are handed over
} zspool_group_ops_t;

//  What to start one with
typedef struct {
    const zspool_group_ops_t *ops; //  not ours
    zspool_shelf_t *shelf;     //  not ours
    uint32_t cursor_id;
    char cursor [128];         //  its name
    uint32_t generation;
    uint64_t floor;
    uint64_t sent_to;
    zspool_cursor_t *tracker;  //  ours
    zspool_filter_t *filter;   //  ours; NULL: all messages
    zsp_text_t *filters;       //  as text, sorted, by which those who join are compared; ours, one allocation
    size_t filters_count;
    int64_t ack_timeout_ms;
    unsigned max_deliveries;   //  0: without limit
} zspool_group_args_t;

//  NULL when memory is out; then all stays with the caller.
zspool_group_t *
    zspool_group_new (const zspool_group_args_t *args);
//  Let go of one that was made, or of a reference.
void
    zspool_group_destroy (zspool_group_t **self_p);
//  A reference: for a transaction, which may outlive the cursor.
zspool_group_t *
    zspool_group_ref (zspool_group_t *self);

//  Whether these filters, in any order, are those of the group.
bool
    zspool_group_has_filters (const zspool_group_t *self, const zsp_text_t *filters, size_t count);

//  Have other filters from now on; what is given is the group's, as in its args.
void
    zspool_group_set_filters (zspool_group_t *self, zspool_filter_t *filter, zsp_text_t *filters, size_t count);

//  A consumer comes; a consumer leaves, and what it holds is due again at once. EBUSY: one of those
//  there is exclusive and this is not, or the other way round.
int
    zspool_group_join (zspool_group_t *self, zspool_subscription_t *subscription);
void
    zspool_group_leave (zspool_group_t *self, zspool_subscription_t *subscription, int64_t now_ms);

//  A consumer has acknowledged what it holds of first..last; it is in *acked, messages. ESTALE:
//  another generation, or it holds nothing of it; ENOMEM.
int
    zspool_group_ack (zspool_group_t *self, zspool_subscription_t *subscription, uint32_t generation,
                      uint64_t first, uint64_t last, uint64_t *acked);

//  It gives back what it holds of first..last: to be delivered again at now_ms + delay_ms, or
//  (dead) moved to the dead letters. ESTALE, ENOMEM; ELIMIT: too many are to be moved already.
int
    zspool_group_reject (zspool_group_t *self, zspool_subscription_t *subscription, uint32_t generation,
                         uint64_t first, uint64_t last, int64_t now_ms, uint32_t delay_ms, bool dead,
                         zsp_text_t reason);

//  It keeps what it holds of first..last until now_ms + time_ms. ESTALE, ENOMEM.
int
    zspool_group_extend (zspool_group_t *self, zspool_subscription_t *subscription, uint32_t generation,
                         uint64_t first, uint64_t last, int64_t now_ms, uint32_t time_ms);

//  ------------------------------------------------------------------------------------------------
//  Transactions: acknowledgements of one batch are gathered (claim), handed over with it (take), and
//  made or given back with its result (end). One batch at a time.

//  Acknowledge all of first..last in the transactions being gathered: it is out of the consumer's
//  hands. ESTALE: another generation, or it does not hold all of it; EBUSY: a batch with
//  acknowledgements, or a burial, is under way, or a change waits for one: try again when that has
//  ended; ENOMEM: nothing was claimed. `tag` names the transaction, for zspool_group_unclaim ().
int
    zspool_group_claim (zspool_group_t *self, zspool_subscription_t *subscription, uint32_t generation,
                        uint64_t first, uint64_t last, uint64_t tag);

//  Give back what was claimed with a tag: the transaction was refused before it was handed over.
void
    zspool_group_unclaim (zspool_group_t *self, uint64_t tag, int64_t now_ms);

//  The change that makes all that was claimed acknowledged: goes into the batch. ESTALE: the cursor was
//  moved since; ENOMEM.
int
    zspool_group_take_claimed (zspool_group_t *self, zspool_cursor_change_t **change_p);

//  The batch is durable (rc 0), or was refused: what was claimed is acknowledged, or held again by
//  those who held it; if they are gone it is due at once.
void
    zspool_group_end_claimed (zspool_group_t *self, int rc, int64_t now_ms);

//  ------------------------------------------------------------------------------------------------
//  What the service does in turn

//  Deliver what can be delivered now, at most one block's worth for each consumer.
typedef enum {
    ZSPOOL_TURN_IDLE,          //  there is nothing, or nobody, or no credit
    ZSPOOL_TURN_MORE,          //  there may be more to do at once
    ZSPOOL_TURN_BUSY           //  somebody could take nothing now, or memory was out: try again in a moment
} zspool_turn_t;

zspool_turn_t
    zspool_group_turn (zspool_group_t *self, int64_t now_ms);

//  When to take a turn at the latest, if nothing comes; INT64_MAX: no need.
int64_t
    zspool_group_due_ms (const zspool_group_t *self);

//  Whether it can go: nobody uses it, and the store has all of it but how often messages were
//  delivered. held: even when messages are due again.
bool
    zspool_group_is_idle (const zspool_group_t *self, bool held);

//  Hand the writer what has changed, unless that must wait. True: it was handed over, or nothing has
//  changed. wanted: somebody waits for it, so transactions that come later are made to wait, too.
bool
    zspool_group_hand_change (zspool_group_t *self, bool wanted);

//  The burial that was handed over has ended. The dead spool is there (0: cannot be had). All up to
//  a sequence was dropped at the spool's limit. The cursor was moved: the tracker is the group's.
void
    zspool_group_buried (zspool_group_t *self, zspool_move_t *move, int64_t now_ms);
void
    zspool_group_set_dead (zspool_group_t *self, uint32_t dead_spool);
void
    zspool_group_dropped (zspool_group_t *self, uint64_t dropped_to);
void
    zspool_group_moved (zspool_group_t *self, uint32_t generation, uint64_t floor, uint64_t sent_to,
                        zspool_cursor_t *tracker);

//  For STATUS, and whoever has to find it
typedef struct {
    uint32_t spool;
    const char *spool_name;
    uint32_t cursor_id;
    const char *cursor;
    uint32_t generation;
    uint64_t floor;
    uint64_t sent_to;
    uint64_t in_flight;        //  messages delivered and not acknowledged, whoever holds them
    uint64_t delivered;        //  first deliveries since the start
    uint64_t redelivered;
    uint64_t acknowledged;
    uint64_t stale;            //  acknowledgements and the like of what was not held
    uint64_t buried;
    size_t consumers;
} zspool_group_info_t;
void
    zspool_group_info (const zspool_group_t *self, zspool_group_info_t *info);

#endif
