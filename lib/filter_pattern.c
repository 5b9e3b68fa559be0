//  filter_pattern.c - a set of patterns of tokens with * and #: whether a topic matches one of them
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A tree of tokens that all patterns share. A topic is followed through it token by token, in all
//  places at a time that fit so far (K. Thompson, Regular Expression Search Algorithm, 1968): each
//  is there once however many ways lead to it, so no pattern makes it explode. At most one place a
//  node; in practice a few.
//
//  A node below `#` is at the same time itself a place where tokens are passed over: it stays one
//  with each further token. `#.#` is the same as `#`.
//
//  Children by token are in one table for all nodes.

#include "filter_pattern.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define NONE 0             //  no node: the root is nobody's child
#define TABLE_LEAST 64     //  places in the table of children, a power of 2

typedef struct {
    uint32_t star;         //  child for `*`, or NONE
    uint32_t hash;         //  child for `#`, or NONE
    bool ends;             //  a pattern ends here
    bool is_hash;          //  it is its parent's child for `#`
    bool has_tokens;       //  it has children in the table
    uint32_t seen;         //  round in which it was a place last
} s_node_t;

//  Child of a node for a token
typedef struct {
    uint32_t parent;
    uint32_t child;        //  NONE: free
    uint32_t token_hash;
    uint32_t token;        //  offset of its bytes in the texts
    uint16_t size;         //  their number
} s_edge_t;

//  The places that fit so far
typedef struct {
    uint32_t *nodes;
    size_t count;
} s_places_t;

struct zspool_patterns {
    uint8_t *texts;        //  tokens, one behind the other
    size_t texts_size;
    size_t texts_max;
    s_node_t *nodes;       //  the first is the root
    size_t nodes_count;
    size_t nodes_max;
    s_edge_t *edges;       //  open addressing
    size_t edges_count;
    size_t edges_max;      //  a power of 2
    s_places_t now;        //  room for all nodes each
    s_places_t next;
    uint32_t round;        //  number of the step: of all matches together
};

void
zspool_patterns_destroy (zspool_patterns_t **self_p)
{
    zspool_patterns_t *self = *self_p;
    if (!self)
        return;
    free (self->texts);
    free (self->nodes);
    free (self->edges);
    free (self->now.nodes);
    free (self->next.nodes);
    free (self);
    *self_p = NULL;
}

//  Take the token that a text begins with: its size. *text and *size become what is behind it and
//  its dot; false when it was the last.
static bool
s_take_token (const uint8_t **text, size_t *size, size_t *token_size)
{
    const uint8_t *dot = *size > 0? (const uint8_t *) memchr (*text, '.', *size): NULL;
    *token_size = dot? (size_t) (dot - *text): *size;
    if (!dot)
        return false;
    *text += *token_size + 1;
    *size -= *token_size + 1;
    return true;
}

static bool
s_is (const uint8_t *token, size_t size, char what)
{
    return size == 1 && token [0] == (uint8_t) what;
}

bool
zspool_patterns_is_one (const uint8_t *filter, size_t size)
{
    bool more = true;
    while (more) {
        const uint8_t *token = filter;
        size_t token_size;
        more = s_take_token (&filter, &size, &token_size);
        if (s_is (token, token_size, '*') || s_is (token, token_size, '#'))
            return true;
    }
    return false;
}

//  ------------------------------------------------------------------------------------------------
//  Children by token

static uint32_t
s_hash (const uint8_t *token, size_t size)
{
    return (uint32_t) XXH3_64bits (token, size);
}

//  Where the child of a node for a token is in the table, or would be
static s_edge_t *
s_edge (const zspool_patterns_t *self, uint32_t parent, const uint8_t *token, size_t size,
        uint32_t hash)
{
    for (size_t at = hash ^ parent * 0x9E3779B9U;; at++) {
        s_edge_t *edge = &self->edges [at & (self->edges_max - 1)];
        if (edge->child == NONE
            || (edge->parent == parent && edge->token_hash == hash && edge->size == size
                && (size == 0 || memcmp (self->texts + edge->token, token, size) == 0)))
            return edge;
    }
}

//  Double the table when half of it is used.
static int
s_reserve_edge (zspool_patterns_t *self)
{
    if (2 * self->edges_count < self->edges_max)
        return ZSPOOL_OK;
    zspool_patterns_t larger = *self;
    larger.edges_max = self->edges_max? 2 * self->edges_max: TABLE_LEAST;
    larger.edges = (s_edge_t *) calloc (larger.edges_max, sizeof *larger.edges);
    if (!larger.edges)
        return ZSPOOL_ENOMEM;
    for (size_t index = 0; index < self->edges_max; index++) {
        const s_edge_t *edge = &self->edges [index];
        if (edge->child != NONE)
            *s_edge (&larger, edge->parent, self->texts + edge->token, edge->size,
                     edge->token_hash) = *edge;
    }
    free (self->edges);
    self->edges = larger.edges;
    self->edges_max = larger.edges_max;
    return ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Adding

static void *
s_grow (void *array, size_t *max, size_t needed, size_t item_bytes)
{
    size_t larger = *max? *max: 16;
    while (larger < needed)
        larger *= 2;
    void *grown = realloc (array, larger * item_bytes);
    if (grown)
        *max = larger;
    return grown;
}

//  Have room for one more node, and so many bytes of its token.
static int
s_reserve (zspool_patterns_t *self, size_t bytes)
{
    if (self->nodes_count == self->nodes_max) {
        size_t max = self->nodes_max, now_max = max, next_max = max;
        uint32_t *now = (uint32_t *) s_grow (self->now.nodes, &now_max, max + 1, sizeof *now);
        if (now)
            self->now.nodes = now;
        uint32_t *next = (uint32_t *) s_grow (self->next.nodes, &next_max, max + 1, sizeof *next);
        if (next)
            self->next.nodes = next;
        if (!now || !next)
            return ZSPOOL_ENOMEM;
        s_node_t *nodes =
            (s_node_t *) s_grow (self->nodes, &self->nodes_max, max + 1, sizeof *nodes);
        if (!nodes)
            return ZSPOOL_ENOMEM;
        self->nodes = nodes;
    }
    if (self->texts_size + bytes > self->texts_max) {
        uint8_t *texts =
            (uint8_t *) s_grow (self->texts, &self->texts_max, self->texts_size + bytes, 1);
        if (!texts)
            return ZSPOOL_ENOMEM;
        self->texts = texts;
    }
    return s_reserve_edge (self);
}

zspool_patterns_t *
zspool_patterns_new (void)
{
    zspool_patterns_t *self = (zspool_patterns_t *) calloc (1, sizeof *self);
    if (self && s_reserve (self, 1))
        zspool_patterns_destroy (&self);
    if (self)
        self->nodes [self->nodes_count++] = (s_node_t){ .ends = false };
    return self;
}

//  Add the child of a node for a token that it has none for; there is room.
static uint32_t
s_add_child (zspool_patterns_t *self, uint32_t parent, const uint8_t *token, size_t size,
             uint32_t hash)
{
    uint32_t child = (uint32_t) self->nodes_count++;
    self->nodes [child] = (s_node_t){ .is_hash = s_is (token, size, '#') };
    if (s_is (token, size, '*'))
        self->nodes [parent].star = child;
    else if (s_is (token, size, '#'))
        self->nodes [parent].hash = child;
    else {
        *s_edge (self, parent, token, size, hash) =
            (s_edge_t){ parent, child, hash, (uint32_t) self->texts_size, (uint16_t) size };
        if (size > 0)
            memcpy (self->texts + self->texts_size, token, size);
        self->texts_size += size;
        self->edges_count++;
        self->nodes [parent].has_tokens = true;
    }
    return child;
}

//  The child of a node for a token of a pattern, NONE: it has none
static uint32_t
s_child (const zspool_patterns_t *self, uint32_t parent, const uint8_t *token, size_t size,
         uint32_t hash)
{
    const s_node_t *node = &self->nodes [parent];
    if (s_is (token, size, '*'))
        return node->star;
    if (s_is (token, size, '#'))
        return node->is_hash? parent: node->hash;
    return s_edge (self, parent, token, size, hash)->child;
}

int
zspool_patterns_add (zspool_patterns_t *self, const uint8_t *pattern, size_t size)
{
    uint32_t node = 0;
    for (bool more = true; more;) {
        const uint8_t *token = pattern;
        size_t token_size;
        more = s_take_token (&pattern, &size, &token_size);
        uint32_t hash = s_hash (token, token_size);
        uint32_t child = s_child (self, node, token, token_size, hash);
        if (child == NONE) {
            //  What was added of the pattern so far matches nothing: it ends nowhere.
            if (s_reserve (self, token_size))
                return ZSPOOL_ENOMEM;
            child = s_add_child (self, node, token, token_size, hash);
        }
        node = child;
    }
    self->nodes [node].ends = true;
    return ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Matching

//  Make a node a place of this round, unless it is one. So does its child for `#`, which may stand
//  for nothing.
static void
s_enter (zspool_patterns_t *self, s_places_t *places, uint32_t node)
{
    while (node != NONE && self->nodes [node].seen != self->round) {
        self->nodes [node].seen = self->round;
        places->nodes [places->count++] = node;
        node = self->nodes [node].hash;
    }
}

//  Begin another round. When the numbers are used up, none of the past may be taken for it.
static void
s_begin_round (zspool_patterns_t *self)
{
    if (++self->round > 0)
        return;
    for (size_t index = 0; index < self->nodes_count; index++)
        self->nodes [index].seen = 0;
    self->round = 1;
}

//  Follow one token from all places. False when a `#` at a pattern's end makes any rest match.
static bool
s_step (zspool_patterns_t *self, const uint8_t *token, size_t size)
{
    uint32_t hash = s_hash (token, size);
    s_begin_round (self);
    self->next.count = 0;
    for (size_t index = 0; index < self->now.count; index++) {
        uint32_t place = self->now.nodes [index];
        const s_node_t *node = &self->nodes [place];
        if (node->is_hash && node->ends)
            return false;
        if (node->is_hash)
            s_enter (self, &self->next, place);
        s_enter (self, &self->next, node->star);
        if (node->has_tokens)
            s_enter (self, &self->next, s_edge (self, place, token, size, hash)->child);
    }
    s_places_t now = self->now;
    self->now = self->next;
    self->next = now;
    return true;
}

bool
zspool_patterns_match (zspool_patterns_t *self, const uint8_t *topic, size_t size)
{
    if (self->nodes_count == 1)
        return false;
    self->now.count = 0;
    s_begin_round (self);
    self->now.nodes [self->now.count++] = 0;
    s_enter (self, &self->now, self->nodes [0].hash);
    for (bool more = true; more && self->now.count > 0;) {
        const uint8_t *token = topic;
        size_t token_size;
        more = s_take_token (&topic, &size, &token_size);
        if (!s_step (self, token, token_size))
            return true;
    }
    for (size_t index = 0; index < self->now.count; index++)
        if (self->nodes [self->now.nodes [index]].ends)
            return true;
    return false;
}
