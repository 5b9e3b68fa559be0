//  group_claims.c - transactions acknowledge what consumers of a group hold
//
//  SPDX-License-Identifier: MPL-2.0
//
//  What is claimed is in no lease, and not acknowledged yet on the tracker. When the batch goes, a
//  clone of the tracker gives the change: one made at the first claim would not know the blocks
//  that were delivered since.

#include "group_parts.h"

#include <stdlib.h>

static int
s_add_claim (zspool_group_t *self, const zspool_lease_t *lease, uint64_t tag)
{
    if (self->claims_count == self->claims_max) {
        size_t max = self->claims_max? 2 * self->claims_max: 64;
        zspool_group_claim_t *claims =
            (zspool_group_claim_t *) realloc (self->claims, max * sizeof *claims);
        if (!claims)
            return ZSPOOL_ENOMEM;
        self->claims = claims;
        self->claims_max = max;
    }
    self->claims [self->claims_count++] = (zspool_group_claim_t){ *lease, tag };
    return ZSPOOL_OK;
}

//  Give back what was claimed to who held it.
static void
s_give_back (zspool_group_t *self, const zspool_lease_t *lease, int64_t now_ms)
{
    zspool_subscription_t *consumer = zspool_group_consumer (self, lease->consumer);
    uint64_t messages = lease->last - lease->first + 1;
    //  Taking it out has left room.
    if (zspool_leases_grant (self->leases, lease->first, lease->last,
                             consumer? consumer->id: ZSPOOL_NOBODY,
                             consumer? lease->due_ms: now_ms)
            == ZSPOOL_OK
        && consumer)
        consumer->in_flight += messages;
}

typedef struct {
    zspool_group_t *group;
    uint64_t tag;
    int rc;
} s_claiming_t;

static void
s_claim_lease (void *arg, const zspool_lease_t *lease)
{
    s_claiming_t *claiming = (s_claiming_t *) arg;
    if (claiming->rc == ZSPOOL_OK)
        claiming->rc = s_add_claim (claiming->group, lease, claiming->tag);
}

int
zspool_group_claim (zspool_group_t *self, zspool_subscription_t *subscription, uint32_t generation,
                    uint64_t first, uint64_t last, uint64_t tag)
{
    if (generation != self->args.generation)
        return zspool_group_result (self, subscription, 0, false);
    if (self->claims_under_way || self->claims_void || self->doom.burial.under_way
        || self->change_wanted)
        return ZSPOOL_EBUSY;
    if (!zspool_leases_holds (self->leases, subscription->id, first, last))
        return zspool_group_result (self, subscription, 0, false);
    size_t before = self->claims_count;
    s_claiming_t claiming = { self, tag, ZSPOOL_OK };
    uint64_t messages =
        zspool_leases_take (self->leases, subscription->id, first, last, s_claim_lease, &claiming);
    int rc = zspool_group_result (self, subscription, messages, false);
    if (rc)
        return rc;
    if (claiming.rc) {
        //  Memory is out: what could not be noted is due again, as if it had been returned.
        self->claims_count = before;
        zspool_lease_t lost = { first, last, ZSPOOL_NOBODY, 0 };
        s_give_back (self, &lost, 0);
        return claiming.rc;
    }
    return ZSPOOL_OK;
}

void
zspool_group_unclaim (zspool_group_t *self, uint64_t tag, int64_t now_ms)
{
    size_t left = 0;
    for (size_t index = 0; index < self->claims_count; index++)
        if (self->claims [index].tag == tag)
            s_give_back (self, &self->claims [index].lease, now_ms);
        else
            self->claims [left++] = self->claims [index];
    self->claims_count = left;
}

int
zspool_group_take_claimed (zspool_group_t *self, zspool_cursor_change_t **change_p)
{
    if (self->claims_count == 0 || self->claims_void)
        return ZSPOOL_ESTALE;
    self->claims_under_way = true;
    zspool_cursor_t *clone = zspool_cursor_clone (self->args.tracker);
    for (size_t index = 0; clone && index < self->claims_count; index++)
        zspool_cursor_ack (clone, self->claims [index].lease.first,
                           self->claims [index].lease.last);
    *change_p = clone? zspool_cursor_take_change (clone): NULL;
    zspool_cursor_destroy (&clone);
    return *change_p? ZSPOOL_OK: ZSPOOL_ENOMEM;
}

void
zspool_group_end_claimed (zspool_group_t *self, int rc, int64_t now_ms)
{
    for (size_t index = 0; index < self->claims_count; index++) {
        const zspool_lease_t *lease = &self->claims [index].lease;
        if (rc == ZSPOOL_OK) {
            zspool_cursor_ack (self->args.tracker, lease->first, lease->last);
            self->info.acknowledged += lease->last - lease->first + 1;
        }
        else
            s_give_back (self, lease, now_ms);
    }
    self->claims_count = 0;
    self->claims_under_way = self->claims_void = false;
    zspool_group_hand_change (self, false);
}
