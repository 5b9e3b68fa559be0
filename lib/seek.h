//  seek.h - a cursor that was moved: what its outlet must know
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_SEEK_H_INCLUDED
#define ZSPOOL_SEEK_H_INCLUDED

#include <stdint.h>

//  One allocation (free ()), for the outlet that delivers through the cursor
typedef struct {
    uint32_t cursor;
    uint32_t generation;      //  from now on
    uint64_t floor;           //  where it stands: nothing above was sent in this generation
} zspool_seek_t;

#endif
