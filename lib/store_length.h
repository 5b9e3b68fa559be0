//  store_length.h - tells whether the end of a store's file is missing
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_STORE_LENGTH_H_INCLUDED
#define ZSPOOL_STORE_LENGTH_H_INCLUDED

#include "zspool_library.h"

//  What a database's file is to have, and has
typedef struct {
    uint64_t needed_bytes;   //  by its first pages: all that may be in use; 0: these make no sense
    uint64_t file_bytes;
} zspool_length_t;

//  Look whether a database's file, open for reading, has every page that is in use: in the time of
//  two small reads when it is long enough. ECORRUPT when it was cut off, or is too short and
//  damaged besides: then *length is set, as it is on success when needed_bytes are more than the
//  file has. EIO, ENOMEM. Works beside a writer.
int
    zspool_length_check (int fd, zspool_length_t *length);

#endif
