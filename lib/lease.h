//  lease.h - which consumer holds which deliveries of a cursor, until when, and what was given back
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Pure memory: knows no store, socket or clock. Leases are disjoint stretches of sequences. Each is
//  held by a consumer until its deadline, or by nobody and due again at some time. What is
//  acknowledged is in no lease. Times are milliseconds of the caller's monotonic clock. Beside it
//  stands a zspool_cursor_t, which knows what is acknowledged, and how often what was delivered.
//
//  Cost of each call: in the order of log2 of the number of leases, for each lease it changes; what
//  other consumers hold between these is passed over, nearly all of it as whole subtrees.

#ifndef ZSPOOL_LEASE_H_INCLUDED
#define ZSPOOL_LEASE_H_INCLUDED

#include "zspool_library.h"

#define ZSPOOL_NOBODY 0                 //  instead of a consumer

typedef struct zspool_leases zspool_leases_t;

//  A lease, or a part of one
typedef struct {
    uint64_t first;                     //  sequence
    uint64_t last;                      //  likewise
    uint64_t consumer;                  //  who holds it; ZSPOOL_NOBODY: it is to be delivered again
    int64_t due_ms;                     //  held: its deadline, INT64_MAX for none; else when it is due again
} zspool_lease_t;

//  Called with each lease, or part of one, that a call has taken out
typedef void (*zspool_lease_fn) (void *arg, const zspool_lease_t *lease);

zspool_leases_t *
    zspool_leases_new (void);
void
    zspool_leases_destroy (zspool_leases_t **self_p);

//  Have first..last held by a consumer until due_ms. No part of it may be leased (take it out
//  first). ENOMEM: nothing was changed.
int
    zspool_leases_grant (zspool_leases_t *self, uint64_t first, uint64_t last, uint64_t consumer, int64_t due_ms);

//  Have memory for `count` more grants, so that these cannot fail. ENOMEM.
int
    zspool_leases_reserve (zspool_leases_t *self, size_t count);

//  Take out what a consumer holds in first..last, the rest of a lease stays. Returns how many
//  messages that were; `each`, if not NULL, is called with every part, in order. Needs memory when
//  first or last lies inside a lease: UINT64_MAX, nothing was changed, when it is out; so with
//  extend, return and drop. Never for 1..UINT64_MAX.
uint64_t
    zspool_leases_take (zspool_leases_t *self, uint64_t consumer, uint64_t first, uint64_t last,
                        zspool_lease_fn each, void *arg);

//  Whether a consumer holds all of first..last
bool
    zspool_leases_holds (zspool_leases_t *self, uint64_t consumer, uint64_t first, uint64_t last);

//  Let what a consumer holds in first..last be held until due_ms instead. Returns messages.
uint64_t
    zspool_leases_extend (zspool_leases_t *self, uint64_t consumer, uint64_t first, uint64_t last, int64_t due_ms);

//  Let what a consumer holds in first..last be held by nobody, and due at due_ms. Returns messages.
uint64_t
    zspool_leases_return (zspool_leases_t *self, uint64_t consumer, uint64_t first, uint64_t last, int64_t due_ms);

//  The same; `each` is called with every part as it was held.
uint64_t
    zspool_leases_return_each (zspool_leases_t *self, uint64_t consumer, uint64_t first, uint64_t last,
                               int64_t due_ms, zspool_lease_fn each, void *arg);

//  What was held past its deadline is held by nobody, and due at once. `each` is called with what
//  was held, with the consumer that held it. Returns messages.
uint64_t
    zspool_leases_expire (zspool_leases_t *self, int64_t now_ms, zspool_lease_fn each, void *arg);

//  The lease with the lowest sequence that nobody holds and that is due. False: there is none.
bool
    zspool_leases_due (zspool_leases_t *self, int64_t now_ms, zspool_lease_t *lease);

//  Take out first..last, whoever holds it, and up to a sequence likewise: it was acknowledged
//  elsewhere, or is gone. `each` as above. Returns messages.
uint64_t
    zspool_leases_drop (zspool_leases_t *self, uint64_t first, uint64_t last, zspool_lease_fn each, void *arg);

//  When the next lease that is held expires, and when the next that nobody holds is due; INT64_MAX:
//  there is none.
int64_t
    zspool_leases_expiry_ms (const zspool_leases_t *self);
int64_t
    zspool_leases_due_ms (const zspool_leases_t *self);

//  How many messages are leased, all together.
uint64_t
    zspool_leases_messages (const zspool_leases_t *self);

//  How many leases there are: what memory goes by.
size_t
    zspool_leases_count (const zspool_leases_t *self);

#endif
