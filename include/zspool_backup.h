//  zspool_backup.h - copies a store, also one in use
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_BACKUP_H_INCLUDED
#define ZSPOOL_BACKUP_H_INCLUDED

#include "zspool_store.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ZSPOOL_BACKUP_REASON_BYTES 512 //  room for the line that explains a failure

//  How a backup is made; zeroed is the usual way
typedef struct {
    bool compact;               //  leave out space that is free in the store's file
    bool no_verify;             //  do not read the copy again
    bool (*go_on) (void *arg);  //  asked often: false ends it with ECANCELED; NULL: always
    void *arg;                  //  for go_on ()
} zspool_backup_options_t;

//  Copy the store in `directory`, as it is at one moment, to the new directory `to`, whether
//  another process writes it or not. The copy is a store with an incarnation of its own, so tickets
//  of the original mean nothing to it. Sequences that the original gives after that moment the copy
//  gives again, to other messages: their incarnations tell them apart. While it is read, the
//  original does not use space again. The usual options when `options` is NULL. Errors, with a line
//  of text in *reason: those of zspool_store_open () for reading; EINVAL, a path is empty; EEXIST,
//  `to` is there and not empty; ECORRUPT, what was copied is damaged; ENOSPC, EIO, EACCES, ENOENT,
//  ENOMEM, ESYSTEM; ECANCELED. Then `to` is as it was. One that dies in between leaves a directory
//  to.partial-XXXXXX behind, never `to`. Any thread. Durable when it returns 0: the copy as a
//  whole, and its name.
ZSPOOL_EXPORT int
    zspool_backup (const char *directory, const char *to, const zspool_backup_options_t *options,
                   char reason [ZSPOOL_BACKUP_REASON_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
