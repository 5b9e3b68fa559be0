//  history.h - what a message that has died has behind it, as properties of its record
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_HISTORY_H_INCLUDED
#define ZSPOOL_HISTORY_H_INCLUDED

#include "block.h"
#include "zspool_dead.h"

//  Add a death that happened in the spool `origin`; of more than ZSPOOL_DEATHS_MAX the oldest goes.
void
    zspool_history_add (zspool_history_t *self, const char *origin, const zspool_death_t *death);

//  Write a history as a record's properties. Returns their bytes.
size_t
    zspool_history_write (const zspool_history_t *self, uint8_t properties [ZSPOOL_PROPERTIES_BYTES_MAX]);

#endif
