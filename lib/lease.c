//  lease.c - which consumer holds which deliveries of a cursor, until when, and what was given back
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A treap, ordered by sequence, whose nodes are leases: each node also knows the earliest times of
//  all below it, so that what expires and what is due is found without looking at the rest. A treap
//  is a binary tree that stays in balance by random priorities (Seidel and Aragon, 1996). Nodes
//  come from an array and are known by their numbers, so that it can grow; free ones form a list.
//
//  Invariants
//  1. Leases are disjoint: between two neighbours first > last.
//  2. A node's `held_ms` is the least due_ms of what is held in its subtree, `due_ms` that of what
//     nobody holds. Its `holders` has the bits of all who hold something there: a consumer without
//     a bit holds nothing.
//
//  Thread: its owner's.

#include "lease.h"

#include <stdlib.h>
#include <string.h>

#define NONE 0                          //  number of no node
#define MERGE_MS 1                      //  leases whose deadlines are so near become one

typedef struct {
    zspool_lease_t lease;
    int64_t held_ms;
    int64_t due_ms;
    uint64_t holders;
    uint32_t priority;
    uint32_t left;
    uint32_t right;                     //  free: the next free one
} s_node_t;

struct zspool_leases {
    s_node_t *nodes;                    //  nodes [0] is not used
    uint32_t nodes_max;                 //  room, that one included
    uint32_t nodes_used;                //  ever
    uint32_t free_first;
    uint32_t free_count;
    uint32_t root;
    size_t count;
    uint64_t messages;
    uint32_t random;
};

zspool_leases_t *
zspool_leases_new (void)
{
    zspool_leases_t *self = (zspool_leases_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->nodes_used = 1;
    self->random = 2463534242U;
    if (zspool_leases_reserve (self, 1))
        zspool_leases_destroy (&self);
    return self;
}

void
zspool_leases_destroy (zspool_leases_t **self_p)
{
    if (*self_p) {
        free ((*self_p)->nodes);
        free (*self_p);
    }
    *self_p = NULL;
}

int
zspool_leases_reserve (zspool_leases_t *self, size_t count)
{
    size_t room = self->free_count + (self->nodes_max - self->nodes_used);
    if (self->nodes && room >= count)
        return ZSPOOL_OK;
    size_t max = self->nodes_max? 2 * (size_t) self->nodes_max: 64;
    while (max < self->nodes_used + count)
        max *= 2;
    s_node_t *nodes =
        max < UINT32_MAX? (s_node_t *) realloc (self->nodes, max * sizeof *nodes): NULL;
    if (!nodes)
        return ZSPOOL_ENOMEM;
    self->nodes = nodes;
    self->nodes_max = (uint32_t) max;
    return ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  The tree

static inline s_node_t *
s_node (const zspool_leases_t *self, uint32_t number)
{
    return &self->nodes [number];
}

//  Take a node for a lease; there is room.
static uint32_t
s_new_node (zspool_leases_t *self, const zspool_lease_t *lease)
{
    uint32_t number = self->free_first;
    if (number) {
        self->free_first = s_node (self, number)->right;
        self->free_count--;
    }
    else
        number = self->nodes_used++;
    //  xorshift (Marsaglia, 2003)
    self->random ^= self->random << 13;
    self->random ^= self->random >> 17;
    self->random ^= self->random << 5;
    *s_node (self, number) = (s_node_t){ .lease = *lease, .priority = self->random };
    self->count++;
    self->messages += lease->last - lease->first + 1;
    return number;
}

static void
s_free_node (zspool_leases_t *self, uint32_t number)
{
    s_node_t *node = s_node (self, number);
    self->count--;
    self->messages -= node->lease.last - node->lease.first + 1;
    node->right = self->free_first;
    self->free_first = number;
    self->free_count++;
}

static int64_t
s_earlier_ms (int64_t one_ms, int64_t other_ms)
{
    return one_ms < other_ms? one_ms: other_ms;
}

//  The bit of a consumer; others may have the same.
static uint64_t
s_holder (uint64_t consumer)
{
    return 1ULL << consumer % 64;
}

//  Bring what a node knows of its subtree up to date.
static void
s_sum_up (zspool_leases_t *self, uint32_t number)
{
    s_node_t *node = s_node (self, number);
    bool held = node->lease.consumer != ZSPOOL_NOBODY;
    node->held_ms = held? node->lease.due_ms: INT64_MAX;
    node->due_ms = held? INT64_MAX: node->lease.due_ms;
    node->holders = s_holder (node->lease.consumer);
    const uint32_t below [] = { node->left, node->right };
    for (size_t index = 0; index < 2; index++)
        if (below [index]) {
            node->held_ms = s_earlier_ms (node->held_ms, s_node (self, below [index])->held_ms);
            node->due_ms = s_earlier_ms (node->due_ms, s_node (self, below [index])->due_ms);
            node->holders |= s_node (self, below [index])->holders;
        }
}

//  Split a tree into the leases that begin below a sequence, and the others.
static void
s_split (zspool_leases_t *self, uint32_t tree, uint64_t sequence, uint32_t *below, uint32_t *others)
{
    if (!tree) {
        *below = *others = NONE;
        return;
    }
    s_node_t *node = s_node (self, tree);
    if (node->lease.first < sequence) {
        s_split (self, node->right, sequence, &node->right, others);
        *below = tree;
    }
    else {
        s_split (self, node->left, sequence, below, &node->left);
        *others = tree;
    }
    s_sum_up (self, tree);
}

//  Join two trees, all of the first below all of the second.
static uint32_t
s_join (zspool_leases_t *self, uint32_t below, uint32_t others)
{
    if (!below || !others)
        return below? below: others;
    s_node_t *low = s_node (self, below), *high = s_node (self, others);
    if (low->priority > high->priority) {
        low->right = s_join (self, low->right, others);
        s_sum_up (self, below);
        return below;
    }
    high->left = s_join (self, below, high->left);
    s_sum_up (self, others);
    return others;
}

static void
s_insert (zspool_leases_t *self, const zspool_lease_t *lease)
{
    uint32_t below, others, number = s_new_node (self, lease);
    s_sum_up (self, number);
    s_split (self, self->root, lease->first, &below, &others);
    self->root = s_join (self, s_join (self, below, number), others);
}

//  The last node whose lease begins at or below a sequence
static uint32_t
s_at_or_below (const zspool_leases_t *self, uint64_t sequence)
{
    uint32_t found = NONE, tree = self->root;
    while (tree) {
        const s_node_t *node = s_node (self, tree);
        if (node->lease.first <= sequence) {
            found = tree;
            tree = node->right;
        }
        else
            tree = node->left;
    }
    return found;
}

//  The lease that a sequence lies in, if it begins before: there it can be cut.
static uint32_t
s_around (const zspool_leases_t *self, uint64_t sequence)
{
    uint32_t number = s_at_or_below (self, sequence);
    const zspool_lease_t *lease = number? &s_node (self, number)->lease: NULL;
    return lease && lease->first < sequence && lease->last >= sequence? number: NONE;
}

//  Cut the lease that a sequence lies in, if it begins before: what is from there on becomes a
//  lease of its own. There is room.
static void
s_cut (zspool_leases_t *self, uint64_t sequence)
{
    uint32_t number = s_around (self, sequence);
    if (!number)
        return;
    s_node_t *node = s_node (self, number);
    zspool_lease_t behind = node->lease;
    behind.first = sequence;
    self->messages -= behind.last - sequence + 1;
    node->lease.last = sequence - 1;
    s_insert (self, &behind);
}

//  What to do with leases in first..last
typedef struct {
    zspool_leases_t *self;
    uint64_t first;
    uint64_t last;
    uint64_t consumer;        //  whose leases are meant; others stay as they are
    bool anybody;             //  all are meant
    bool put_back;            //  they stay, too, as:
    uint64_t new_consumer;
    int64_t new_due_ms;
    zspool_lease_fn each;
    void *arg;
    uint64_t messages;        //  meant
} s_change_t;

static bool
s_is_meant (const s_change_t *change, uint32_t number)
{
    const zspool_lease_t *lease = &s_node (change->self, number)->lease;
    return change->anybody || lease->consumer == change->consumer;
}

//  Change a node that is meant. False: it is to go.
static bool
s_change_node (s_change_t *change, uint32_t number)
{
    zspool_lease_t *lease = &s_node (change->self, number)->lease;
    change->messages += lease->last - lease->first + 1;
    if (change->each)
        change->each (change->arg, lease);
    if (change->put_back) {
        lease->consumer = change->new_consumer;
        lease->due_ms = change->new_due_ms;
    }
    return change->put_back;
}

//  Change what is meant in a tree, in order; gives the tree that is left. What lies outside of
//  first..last, and whole subtrees of others, are not looked at.
static uint32_t
s_apply (s_change_t *change, uint32_t tree)
{
    zspool_leases_t *self = change->self;
    if (!tree
        || (!change->anybody && !(s_node (self, tree)->holders & s_holder (change->consumer))))
        return tree;
    s_node_t *node = s_node (self, tree);
    uint64_t begin = node->lease.first;
    if (begin > change->first)
        node->left = s_apply (change, node->left);
    bool stays = begin < change->first || begin > change->last || !s_is_meant (change, tree)
                 || s_change_node (change, tree);
    if (begin < change->last)
        node->right = s_apply (change, node->right);
    if (!stays) {
        uint32_t left = node->left, right = node->right;
        s_free_node (self, tree);
        return s_join (self, left, right);
    }
    s_sum_up (self, tree);
    return tree;
}

//  The lease to be cut so that a part begins at a sequence; NONE: none has to be.
static uint32_t
s_to_cut (const s_change_t *change, uint64_t sequence)
{
    uint32_t number = s_around (change->self, sequence);
    return number && s_is_meant (change, number)? number: NONE;
}

//  Change what lies in first..last. UINT64_MAX: memory is out, nothing was changed; that cannot be
//  when no lease must be cut, as when all a consumer holds is meant.
static uint64_t
s_change (s_change_t *change, uint64_t first, uint64_t last)
{
    zspool_leases_t *self = change->self;
    if (first == 0 || first > last)
        return 0;
    change->first = first;
    change->last = last;
    bool cut_first = s_to_cut (change, first),
         cut_last = last < UINT64_MAX && s_to_cut (change, last + 1);
    if (zspool_leases_reserve (self, cut_first + cut_last))
        return UINT64_MAX;
    if (cut_first)
        s_cut (self, first);
    if (cut_last)
        s_cut (self, last + 1);
    self->root = s_apply (change, self->root);
    return change->messages;
}

//  ------------------------------------------------------------------------------------------------
//  Granting, taking, returning

int
zspool_leases_grant (zspool_leases_t *self, uint64_t first, uint64_t last, uint64_t consumer,
                     int64_t due_ms)
{
    //  A stream to one consumer is one lease, as long as its deadlines are near: then all of it
    //  gets the first of these.
    uint32_t before = first > 1? s_at_or_below (self, first - 1): NONE;
    zspool_lease_t *near = before? &s_node (self, before)->lease: NULL;
    if (near && near->last == first - 1 && near->consumer == consumer && consumer != ZSPOOL_NOBODY
        && due_ms >= near->due_ms && due_ms - near->due_ms <= MERGE_MS) {
        near->last = last;
        self->messages += last - first + 1;
        return ZSPOOL_OK;
    }
    if (zspool_leases_reserve (self, 1))
        return ZSPOOL_ENOMEM;
    zspool_lease_t lease = { first, last, consumer, due_ms };
    s_insert (self, &lease);
    return ZSPOOL_OK;
}

uint64_t
zspool_leases_take (zspool_leases_t *self, uint64_t consumer, uint64_t first, uint64_t last,
                    zspool_lease_fn each, void *arg)
{
    s_change_t change = { .self = self, .consumer = consumer, .each = each, .arg = arg };
    return s_change (&change, first, last);
}

bool
zspool_leases_holds (zspool_leases_t *self, uint64_t consumer, uint64_t first, uint64_t last)
{
    while (first > 0 && first <= last) {
        uint32_t number = s_at_or_below (self, first);
        if (!number || s_node (self, number)->lease.last < first
            || s_node (self, number)->lease.consumer != consumer)
            return false;
        if (s_node (self, number)->lease.last >= last)
            return true;
        first = s_node (self, number)->lease.last + 1;
    }
    return false;
}

uint64_t
zspool_leases_extend (zspool_leases_t *self, uint64_t consumer, uint64_t first, uint64_t last,
                      int64_t due_ms)
{
    s_change_t change = { .self = self,
                          .consumer = consumer,
                          .put_back = true,
                          .new_consumer = consumer,
                          .new_due_ms = due_ms };
    return s_change (&change, first, last);
}

uint64_t
zspool_leases_return_each (zspool_leases_t *self, uint64_t consumer, uint64_t first, uint64_t last,
                           int64_t due_ms, zspool_lease_fn each, void *arg)
{
    s_change_t change = { .self = self,
                          .consumer = consumer,
                          .put_back = true,
                          .new_consumer = ZSPOOL_NOBODY,
                          .new_due_ms = due_ms,
                          .each = each,
                          .arg = arg };
    return s_change (&change, first, last);
}

uint64_t
zspool_leases_return (zspool_leases_t *self, uint64_t consumer, uint64_t first, uint64_t last,
                      int64_t due_ms)
{
    return zspool_leases_return_each (self, consumer, first, last, due_ms, NULL, NULL);
}

uint64_t
zspool_leases_drop (zspool_leases_t *self, uint64_t first, uint64_t last, zspool_lease_fn each,
                    void *arg)
{
    s_change_t change = { .self = self, .anybody = true, .each = each, .arg = arg };
    return s_change (&change, first, last);
}

//  ------------------------------------------------------------------------------------------------
//  Time

//  Let what is held past its deadline be held by nobody.
static uint64_t
s_expire (zspool_leases_t *self, uint32_t tree, int64_t now_ms, zspool_lease_fn each, void *arg)
{
    if (!tree || s_node (self, tree)->held_ms > now_ms)
        return 0;
    s_node_t *node = s_node (self, tree);
    uint64_t messages = s_expire (self, node->left, now_ms, each, arg);
    if (node->lease.consumer != ZSPOOL_NOBODY && node->lease.due_ms <= now_ms) {
        messages += node->lease.last - node->lease.first + 1;
        if (each)
            each (arg, &node->lease);
        node->lease.consumer = ZSPOOL_NOBODY;
        node->lease.due_ms = now_ms;
    }
    messages += s_expire (self, node->right, now_ms, each, arg);
    s_sum_up (self, tree);
    return messages;
}

uint64_t
zspool_leases_expire (zspool_leases_t *self, int64_t now_ms, zspool_lease_fn each, void *arg)
{
    return s_expire (self, self->root, now_ms, each, arg);
}

//  The lowest lease of a tree that nobody holds, and that is due
static uint32_t
s_due (const zspool_leases_t *self, uint32_t tree, int64_t now_ms)
{
    if (!tree || s_node (self, tree)->due_ms > now_ms)
        return NONE;
    const s_node_t *node = s_node (self, tree);
    uint32_t found = s_due (self, node->left, now_ms);
    if (!found && node->lease.consumer == ZSPOOL_NOBODY && node->lease.due_ms <= now_ms)
        found = tree;
    return found? found: s_due (self, node->right, now_ms);
}

bool
zspool_leases_due (zspool_leases_t *self, int64_t now_ms, zspool_lease_t *lease)
{
    uint32_t found = s_due (self, self->root, now_ms);
    if (found)
        *lease = s_node (self, found)->lease;
    return found != NONE;
}

int64_t
zspool_leases_expiry_ms (const zspool_leases_t *self)
{
    return self->root? s_node (self, self->root)->held_ms: INT64_MAX;
}

int64_t
zspool_leases_due_ms (const zspool_leases_t *self)
{
    return self->root? s_node (self, self->root)->due_ms: INT64_MAX;
}

uint64_t
zspool_leases_messages (const zspool_leases_t *self)
{
    return self->messages;
}

size_t
zspool_leases_count (const zspool_leases_t *self)
{
    return self->count;
}
