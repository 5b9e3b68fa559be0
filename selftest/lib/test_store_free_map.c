//  test_store_free_map.c - tests of how scattered free pages are
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"
#include "store_free_map.h"

//  Count by looking at each page.
static uint64_t
s_count (const bool *is_free, uint64_t pages, uint64_t run_pages)
{
    uint64_t scattered = 0;
    for (uint64_t page = 0; page < pages;) {
        uint64_t end = page;
        while (end < pages && is_free [end])
            end++;
        if (end - page < run_pages)
            scattered += end - page;
        page = end > page? end: page + 1;
    }
    return scattered;
}

TEST (test_free_map_without_free_pages_has_none_scattered)
{
    zspool_free_map_t map;
    for (uint64_t pages = 0; pages < 200; pages++) {
        CHECK (zspool_free_map_init (&map, pages) == 0);
        zspool_free_map_add (&map, pages);
        CHECK_EQ_U64 (zspool_free_map_scattered (&map, 1000), 0);
        zspool_free_map_done (&map);
    }
}

TEST (test_free_map_counts_runs_that_are_too_short)
{
    kit_chance_t chance = kit_chance_new ();
    for (int round = 0; round < 2000; round++) {
        bool is_free [400] = { false };
        uint64_t pages = 1 + kit_below (&chance, 400), run_max = 1 + kit_below (&chance, 130);
        zspool_free_map_t map;
        CHECK (zspool_free_map_init (&map, pages) == 0);
        for (uint64_t page = 0; page < pages; page += 1 + kit_below (&chance, 70))
            for (uint64_t run = kit_below (&chance, run_max); run > 0 && page < pages; run--, page++) {
                is_free [page] = true;
                zspool_free_map_add (&map, page);
            }
        uint64_t run_pages = kit_below (&chance, 140);
        CHECK_EQ_U64 (zspool_free_map_scattered (&map, run_pages), s_count (is_free, pages, run_pages));
        zspool_free_map_done (&map);
    }
}
