//  salvage_named.h - saves what a store holds beside spools: producers, and tables of an application
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_SALVAGE_NAMED_H_INCLUDED
#define ZSPOOL_SALVAGE_NAMED_H_INCLUDED

#include "salvage_find.h"
#include "store.h"

//  What to save, and where; and what came of it
typedef struct {
    zspool_finder_t *finder;
    zspool_store_t *store;          //  in a transaction
    int (*turn_over) (void *arg, uint64_t bytes); //  so much was put: perhaps begin another transaction
    void *arg;
    uint64_t producers;             //  saved
    uint64_t producers_lost;        //  whose names are known, and not how far they were
    uint64_t tables;                //  saved, whole or in part
    uint64_t tables_damaged;        //  of these, and of those that were not found
} zspool_keep_named_t;

//  Save all of them. Errors are the store's, and those of turn_over.
int
    zspool_keep_named (zspool_keep_named_t *self);

#endif
