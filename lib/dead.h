//  dead.h - what only libzspool may do with a zspool_dead
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_LIB_DEAD_H_INCLUDED
#define ZSPOOL_LIB_DEAD_H_INCLUDED

#include "move.h"
#include "zspool_dead.h"

#define ZSPOOL_DEAD_CURSOR "dead"    //  what was put back or dropped is acknowledged on it

//  Write the name of the spool of dead letters. EINVAL: `name` is none, or too long to have one.
int
    zspool_dead_name (char dead [ZSPOOL_NAME_MAX + 1], const char *name);

//  Make the spool of dead letters and its cursor, when they are not there, in a transaction. Errors
//  are those of zspool_store_spool () and zspool_store_cursor (), and EINVAL.
int
    zspool_dead_prepare (zspool_store_t *store, const char *name, uint32_t *spool);

//  Prepare a move of the letters first..last, as many as go into one; `requeue`: back to where they
//  died, else nowhere. ENOENT: there is none; *damaged: some were passed over that are. The caller
//  owns *move_p. Outside of a transaction.
int
    zspool_dead_gather (zspool_dead_t *self, uint64_t first, uint64_t last, bool requeue,
                        zspool_move_t **move_p, bool *damaged);

#endif
