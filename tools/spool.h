//  spool.h - a stored spool, opened for reading
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Nothing is changed, and no view of the store is held between calls: a running device can use
//  space again.

#ifndef SPOOL_H_INCLUDED
#define SPOOL_H_INCLUDED

#include "zspool.h"

typedef struct {
    zspool_store_t *store;
    zspool_spool_info_t info; //  when it was opened
    zspool_reader_t *reader;  //  standing before the oldest message
    bool damaged;             //  a block was passed over
} spool_t;

//  Open a spool of the store in a directory. Returns COMMAND_OK, or reports a line and returns the
//  status to exit with.
int
    spool_open (spool_t *self, const char *directory, const char *name);

//  Close it; safe when opening failed.
void
    spool_close (spool_t *self);

//  Report the damaged block that the reader has just passed over with the code `rc`.
void
    spool_report_damage (spool_t *self, int rc);

#endif
