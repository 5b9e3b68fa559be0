//  store_free_map.h - which pages of a file are free, and how far apart they lie
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_STORE_FREE_MAP_H_INCLUDED
#define ZSPOOL_STORE_FREE_MAP_H_INCLUDED

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

//  One bit for each page
typedef struct {
    uint64_t *words;
    uint64_t pages;
} zspool_free_map_t;

//  A map of so many pages, none of them free. ENOMEM.
static inline int
zspool_free_map_init (zspool_free_map_t *self, uint64_t pages)
{
    self->pages = pages;
    self->words = (uint64_t *) calloc (pages / 64 + 1, sizeof *self->words);
    return self->words? 0: ENOMEM;
}

static inline void
zspool_free_map_done (zspool_free_map_t *self)
{
    free (self->words);
}

//  Note that a page is free. One that the map does not have is passed over.
static inline void
zspool_free_map_add (zspool_free_map_t *self, uint64_t page)
{
    if (page < self->pages)
        self->words [page / 64] |= 1ull << (page % 64);
}

//  How many free pages lie in runs of fewer than so many
static inline uint64_t
zspool_free_map_scattered (const zspool_free_map_t *self, uint64_t run_pages)
{
    uint64_t scattered = 0, run = 0;
    for (uint64_t page = 0; page <= self->pages; page++) {
        uint64_t word = page < self->pages? self->words [page / 64]: 0;
        if (word == 0 && run == 0) {
            page |= 63;
            continue;
        }
        if (word >> (page % 64) & 1)
            run++;
        else {
            scattered += run < run_pages? run: 0;
            run = 0;
        }
    }
    return scattered;
}

#endif
