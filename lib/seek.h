//  seek.h - a cursor that is to be moved or deleted in a commit, and what its outlet must know
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_SEEK_H_INCLUDED
#define ZSPOOL_SEEK_H_INCLUDED

#include "zspool_start.h"

//  One allocation (free ()), for the outlet, or the service, that delivers through the cursor
typedef struct {
    uint32_t spool;
    uint32_t cursor;
    uint32_t generation;      //  from now on; 0, for the service: it was deleted
    uint64_t floor;           //  where it stands: nothing above was sent in this generation
} zspool_seek_t;

//  What is to be done to a cursor in a commit, and what came of it
typedef struct {
    uint32_t spool;
    uint32_t cursor;
    bool deletes;             //  it is deleted; else moved:
    zspool_start_t start;     //  to here
    zspool_seek_t *seek;      //  to be filled in when it was moved
    int rc;                   //  result: ZSPOOL_OK or EINVAL; on others there is no commit
} zspool_cursor_job_t;

#endif
