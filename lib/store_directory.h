//  store_directory.h - claims a directory for a store: who may have it open, and whether it is one
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_STORE_DIRECTORY_H_INCLUDED
#define ZSPOOL_STORE_DIRECTORY_H_INCLUDED

#include "zspool_store.h"

#define ZSPOOL_REASON_MAX 512 //  longest line that explains a failure

typedef struct zspool_claim zspool_claim_t;

//  Claim a directory for this process; for writing, create it when it is not there. On failure
//  *reason has a line of text and nothing was changed. Errors: ENOENT, ENOTSTORE, EOPEN, EACCES,
//  EREMOTE, ENOSPC, ENOMEM, EIO. Thread-safe.
int
    zspool_claim_new (zspool_claim_t **self_p, const char *directory, zspool_mode_t mode,
                      char reason [ZSPOOL_REASON_MAX]);

//  Whether the directory held a database when it was claimed. It need not be a store.
bool
    zspool_claim_has_database (const zspool_claim_t *self);

//  Check that no part of the database at the file's end is missing: whoever opens it then would die
//  of SIGBUS. Errors, with a reason: ECORRUPT, EACCES, ENOMEM, EIO.
int
    zspool_claim_check_length (zspool_claim_t *self, const char *directory,
                               char reason [ZSPOOL_REASON_MAX]);

//  Lock out other writers. Errors, with a reason: ELOCKED, EACCES, ENOSPC, ENOMEM, EIO.
int
    zspool_claim_lock (zspool_claim_t *self, const char *directory, char reason [ZSPOOL_REASON_MAX]);

//  Make the names of the directory and of the files in it durable. Where the directory's own name
//  lies in one that cannot be read, that takes a sync of all of the file system, and is done only
//  for a new store.
int
    zspool_claim_sync (zspool_claim_t *self, bool is_new);

//  Let the directory go. In a forked child this leaves the parent's lock as it is.
void
    zspool_claim_destroy (zspool_claim_t **self_p);

//  Whether the claim was made by this process, not by one it was forked from.
bool
    zspool_claim_is_mine (const zspool_claim_t *self);

//  Whether a type number of statfs () is that of a file system that lives on another host.
bool
    zspool_file_system_is_remote (uint64_t type);

#endif
