//  ring.h - a queue of items of one size that grows and shrinks
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_RING_H_INCLUDED
#define ZSPOOL_RING_H_INCLUDED

#include "zspool_library.h"

#include <stdlib.h>
#include <string.h>

#define ZSPOOL_RING_CAPACITY_MIN 64

//  Items are numbered from 0 as they come; a number keeps its meaning while others come and go
typedef struct {
    void *items;
    size_t item_bytes;
    size_t capacity;                //  of items, a power of two or 0
    uint64_t first;                 //  number of the front item
    uint64_t end;                   //  number of the item that comes next
} zspool_ring_t;

static inline void *
zspool_ring_item (const zspool_ring_t *ring, uint64_t number)
{
    return (uint8_t *) ring->items + (number & (ring->capacity - 1)) * ring->item_bytes;
}

static inline int
zspool_ring_resize (zspool_ring_t *ring, size_t capacity)
{
    zspool_ring_t resized = *ring;
    resized.capacity = capacity;
    resized.items = malloc (capacity * ring->item_bytes);
    if (!resized.items)
        return ZSPOOL_ENOMEM;
    for (uint64_t number = ring->first; number < ring->end; number++)
        memcpy (zspool_ring_item (&resized, number), zspool_ring_item (ring, number), ring->item_bytes);
    free (ring->items);
    *ring = resized;
    return ZSPOOL_OK;
}

//  Make sure that this many more items will find room.
static inline int
zspool_ring_reserve (zspool_ring_t *ring, size_t items)
{
    size_t needed = (size_t) (ring->end - ring->first) + items;
    size_t capacity = ring->capacity? ring->capacity: ZSPOOL_RING_CAPACITY_MIN;
    while (capacity < needed)
        capacity *= 2;
    return capacity == ring->capacity? ZSPOOL_OK: zspool_ring_resize (ring, capacity);
}

//  Drop the front item. Moves the others when most of the ring has become empty.
static inline void
zspool_ring_drop (zspool_ring_t *ring)
{
    ring->first++;
    if (ring->capacity > ZSPOOL_RING_CAPACITY_MIN && ring->end - ring->first < ring->capacity / 8)
        (void) zspool_ring_resize (ring, ring->capacity / 2);
}

#endif
