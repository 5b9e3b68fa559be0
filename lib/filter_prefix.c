//  filter_prefix.c - a set of prefixes: whether a topic begins with one of them
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A radix tree (D. R. Morrison, PATRICIA, 1968): a node stands for the bytes that all prefixes
//  below it share, so there are at most two nodes a prefix, and a match looks at each byte of the
//  topic once. Children are kept in the order they came, not at places by their first byte: else a
//  few prefixes could ask for much memory.
//
//  Invariants
//  1. The labels from the root to a node, put together, are the beginning of a prefix in the set;
//     where `ends` is set they are one.
//  2. Below a node with `ends` nothing is ever looked for: the shorter prefix matches already.

#include "filter_prefix.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    uint32_t label;        //  offset of its bytes in the texts
    uint16_t size;         //  their number
    bool ends;             //  a prefix ends here
    uint16_t count;        //  children
    uint16_t max;          //  that there is room for
    uint32_t *children;    //  their nodes; behind the room for these the first byte of each
} s_node_t;

struct zspool_prefixes {
    uint8_t *texts;        //  prefixes, one behind the other
    size_t texts_size;
    size_t texts_max;
    s_node_t *nodes;       //  the first is the root
    size_t nodes_count;
    size_t nodes_max;
};

zspool_prefixes_t *
zspool_prefixes_new (void)
{
    zspool_prefixes_t *self = (zspool_prefixes_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->nodes_max = 16;
    self->nodes = (s_node_t *) calloc (self->nodes_max, sizeof *self->nodes);
    self->nodes_count = 1;
    if (!self->nodes)
        zspool_prefixes_destroy (&self);
    return self;
}

void
zspool_prefixes_destroy (zspool_prefixes_t **self_p)
{
    zspool_prefixes_t *self = *self_p;
    if (!self)
        return;
    for (size_t index = 0; self->nodes && index < self->nodes_count; index++)
        free (self->nodes [index].children);
    free (self->nodes);
    free (self->texts);
    free (self);
    *self_p = NULL;
}

//  Have room for a prefix and the two nodes that it may take.
static int
s_reserve (zspool_prefixes_t *self, size_t size)
{
    if (self->nodes_count + 2 > self->nodes_max) {
        s_node_t *nodes = (s_node_t *) realloc (self->nodes, 2 * self->nodes_max * sizeof *nodes);
        if (!nodes)
            return ZSPOOL_ENOMEM;
        self->nodes = nodes;
        self->nodes_max *= 2;
    }
    if (self->texts_size + size > self->texts_max) {
        size_t max = 2 * self->texts_max + size;
        uint8_t *texts = (uint8_t *) realloc (self->texts, max);
        if (!texts)
            return ZSPOOL_ENOMEM;
        self->texts = texts;
        self->texts_max = max;
    }
    return ZSPOOL_OK;
}

//  The first bytes of a node's children
static uint8_t *
s_first_bytes (const s_node_t *node)
{
    return (uint8_t *) (node->children + node->max);
}

//  The child of a node that begins with a byte; 0: there is none
static uint32_t
s_child (const s_node_t *node, uint8_t byte)
{
    if (node->count == 0)
        return 0;
    const uint8_t *bytes = s_first_bytes (node);
    const uint8_t *found = (const uint8_t *) memchr (bytes, byte, node->count);
    return found? node->children [found - bytes]: 0;
}

//  Have room for a node's next child.
static int
s_reserve_child (s_node_t *node)
{
    if (node->count < node->max)
        return ZSPOOL_OK;
    s_node_t larger = *node;
    larger.max = node->max? (uint16_t) (2 * node->max): 1;
    larger.children = (uint32_t *) malloc (larger.max * (sizeof *larger.children + 1));
    if (!larger.children)
        return ZSPOOL_ENOMEM;
    if (node->count > 0) {
        memcpy (larger.children, node->children, node->count * sizeof *node->children);
        memcpy (s_first_bytes (&larger), s_first_bytes (node), node->count);
    }
    free (node->children);
    *node = larger;
    return ZSPOOL_OK;
}

//  Add a node to another's children: there is room.
static void
s_add_child (s_node_t *node, uint8_t byte, size_t number)
{
    s_first_bytes (node) [node->count] = byte;
    node->children [node->count++] = (uint32_t) number;
}

//  Cut a node in two behind the first bytes of its label: the second gets all that was below.
static int
s_split (zspool_prefixes_t *self, uint32_t number, size_t at)
{
    s_node_t above = { .label = self->nodes [number].label, .size = (uint16_t) at };
    if (s_reserve_child (&above))
        return ZSPOOL_ENOMEM;
    s_node_t *below = &self->nodes [self->nodes_count];
    *below = self->nodes [number];
    below->label += (uint32_t) at;
    below->size = (uint16_t) (below->size - at);
    s_add_child (&above, self->texts [below->label], self->nodes_count++);
    self->nodes [number] = above;
    return ZSPOOL_OK;
}

//  Add a leaf to a node for the bytes of a prefix from an offset on.
static int
s_add_leaf (zspool_prefixes_t *self, uint32_t number, const uint8_t *rest, size_t size)
{
    s_node_t *node = &self->nodes [number];
    if (s_reserve_child (node))
        return ZSPOOL_ENOMEM;
    memcpy (self->texts + self->texts_size, rest, size);
    self->nodes [self->nodes_count] =
        (s_node_t){ .label = (uint32_t) self->texts_size, .size = (uint16_t) size, .ends = true };
    self->texts_size += size;
    s_add_child (node, rest [0], self->nodes_count++);
    return ZSPOOL_OK;
}

//  How many bytes of a node's label the text begins with
static size_t
s_common (const zspool_prefixes_t *self, const s_node_t *node, const uint8_t *text, size_t size)
{
    size_t common = 0, most = node->size < size? node->size: size;
    while (common < most && self->texts [node->label + common] == text [common])
        common++;
    return common;
}

int
zspool_prefixes_add (zspool_prefixes_t *self, const uint8_t *prefix, size_t size)
{
    if (s_reserve (self, size))
        return ZSPOOL_ENOMEM;
    for (uint32_t number = 0;;) {
        size_t common = s_common (self, &self->nodes [number], prefix, size);
        if (common < self->nodes [number].size && s_split (self, number, common))
            return ZSPOOL_ENOMEM;
        s_node_t *node = &self->nodes [number];
        prefix += common;
        size -= common;
        if (size == 0)
            node->ends = true;
        if (node->ends)
            return ZSPOOL_OK;
        number = s_child (node, prefix [0]);
        if (number == 0)
            return s_add_leaf (self, (uint32_t) (node - self->nodes), prefix, size);
    }
}

bool
zspool_prefixes_match (const zspool_prefixes_t *self, const uint8_t *topic, size_t size)
{
    const s_node_t *node = &self->nodes [0];
    while (true) {
        if (node->size > size
            || (node->size > 0 && memcmp (self->texts + node->label, topic, node->size) != 0))
            return false;
        if (node->ends)
            return true;
        topic += node->size;
        size -= node->size;
        uint32_t child = size > 0? s_child (node, topic [0]): 0;
        if (child == 0)
            return false;
        node = &self->nodes [child];
    }
}
