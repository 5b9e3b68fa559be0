//  scratch.h - a directory of our own for a while, removed with all in it
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef SCRATCH_H_INCLUDED
#define SCRATCH_H_INCLUDED

#include <stdbool.h>
#include <stddef.h>

//  Make one in the directory `place`, and give its path. -1, reported, when that fails.
int
    scratch_new (const char *place, char *path, size_t path_bytes);

//  Remove it with all in it, which must be ours. -1, reported, when that fails.
int
    scratch_remove (const char *path);

//  Whether a path is on a file system that lives in memory
bool
    scratch_is_in_memory (const char *path);

#endif
