//  fresh.h - a new directory that appears under its name only when it is whole, and on the disk
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_FRESH_H_INCLUDED
#define ZSPOOL_FRESH_H_INCLUDED

#include "store_directory.h"

typedef struct zspool_fresh zspool_fresh_t;

//  Make a directory, mode 0700, that is to become `directory`: beside it, as
//  directory.partial-XXXXXX. EEXIST when there is one of that name that is not empty, or something
//  else; EINVAL, EACCES, ENOSPC, ENOENT (the directory it is to lie in), EREMOTE, ENOMEM, EIO;
//  *reason has a line of text.
int
    zspool_fresh_new (zspool_fresh_t **self_p, const char *directory, char reason [ZSPOOL_REASON_MAX]);

//  Where it is for now. The string is the object's.
const char *
    zspool_fresh_path (const zspool_fresh_t *self);

//  Give it its name. Durable, with all that is in it, when this returns. Errors, with a reason:
//  EEXIST, EIO, ENOSPC, EACCES.
int
    zspool_fresh_publish (zspool_fresh_t *self, char reason [ZSPOOL_REASON_MAX]);

//  When it was not published, remove it with all its files. NULL-safe.
void
    zspool_fresh_destroy (zspool_fresh_t **self_p);

#endif
