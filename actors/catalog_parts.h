//  catalog_parts.h - the state of a catalog, and the files it is cut into
//
//  SPDX-License-Identifier: MPL-2.0
//
//  catalog.c has spools and groups, and gives these their turns; catalog_jobs.c has consumers join them, and
//  knows what the writer does for the catalog. Both run on the service's thread.

#ifndef ZSPOOL_CATALOG_PARTS_H_INCLUDED
#define ZSPOOL_CATALOG_PARTS_H_INCLUDED

#include "catalog.h"

//  A group, and when it is to have a turn
typedef struct {
    zspool_group_t *group;
    uint32_t spool;
    uint32_t cursor;
    bool awake;
    int64_t due_ms;
    int64_t busy_ms;           //  how long it waits to try again
    bool astray;               //  its cursor was moved, and there was no memory to ask where
    size_t filter_bytes;
} zspool_catalog_entry_t;

struct zspool_catalog {
    zspool_options_t options;
    zspool_group_ops_t ops;
    zlist_t *cursors;          //  the device's own, on its own spool
    zspool_block_pool_t *pool;
    zspool_shelf_t **shelves;
    size_t shelves_count;
    zspool_catalog_entry_t *entries;
    size_t entries_count;
    size_t entries_max;
    bool changed;              //  some cursor may have changes
    size_t filter_bytes;       //  of all groups, and of those to come
    size_t joining;            //  jobs under way that read a cursor for a consumer to come
};

//  A spool that is open, and a group, by their numbers; NULL: there is none
zspool_shelf_t *
    zspool_catalog_shelf (const zspool_catalog_t *self, uint32_t spool);
zspool_catalog_entry_t *
    zspool_catalog_entry (const zspool_catalog_t *self, uint32_t spool, uint32_t cursor);
//  Whether an outlet of the device, or the handling of dead letters, uses the cursor.
bool
    zspool_catalog_is_own (const zspool_catalog_t *self, const zspool_shelf_t *shelf, const char *cursor);

#endif
