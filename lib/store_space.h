//  store_space.h - room for a store's file to grow: promised by the file system before it is needed
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_STORE_SPACE_H_INCLUDED
#define ZSPOOL_STORE_SPACE_H_INCLUDED

#include "zspool_library.h"

typedef struct {
    int fd;                   //  of the file, for writing. Not ours.
    uint64_t file_bytes;      //  its length
    uint64_t reserved_end;    //  the file has room up to here, bytes; 0: not known yet
    uint64_t step_bytes;      //  so much is reserved at a time, if it can be had; 0: not known yet
    bool writes_ahead;        //  the file system knows no fallocate (): room is had by writing
} zspool_space_t;

//  Look at a file of which so many bytes are in use, and make it that long. EIO.
int
    zspool_space_init (zspool_space_t *self, int fd, uint64_t used_bytes);

//  Have room up to `needed_end`, and the file that long, so many bytes of which are in use. ENOSPC,
//  EIO.
int
    zspool_space_reserve (zspool_space_t *self, uint64_t used_bytes, uint64_t needed_end);

#endif
