//  watched.h - what interposed calls share: which file a call concerns, and its record
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef WATCHED_H_INCLUDED
#define WATCHED_H_INCLUDED

#include "crash/fault.h"

#include <limits.h>

#define WATCHED_DESCRIPTORS_MAX 4096   //  of these it is known how they were opened

//  The system's function behind ours
#define REAL(name)                                                                                 \
    static __typeof__ (name) *real;                                                                \
    if (!real)                                                                                     \
        watched_find_real (&real, #name)

void
    watched_find_real (void *function_p, const char *name);

//  A file or a directory, found by its descriptor
typedef struct {
    char path [PATH_MAX];
    uint64_t number;                   //  of its inode
    bool is_directory;
} watched_file_t;

bool
    watched_find_file (int fd, watched_file_t *file);

//  Whether a descriptor is of a file that is watched: then it is found, too.
bool
    watched_is (int fd, watched_file_t *file);

//  The absolute path of a name in a directory. Gives whether it is watched.
bool
    watched_is_path (int directory_fd, const char *name, char path [PATH_MAX]);

bool
    watched_exists (const char *path);

//  Whether it was opened with O_DSYNC, be that passed on or not
void
    watched_set_dsync (int fd, bool dsync);
bool
    watched_is_dsync (int fd);

//  A record of a call on a file; NULL when nothing is recorded. The end keeps errno.
record_t *
    watched_begin (record_kind_t kind, const watched_file_t *file, uint64_t offset, uint64_t size,
                   const void *data, size_t data_bytes);
void
    watched_end (record_t *record, int64_t result);

//  A call whose effect nobody here can tell
void
    watched_note_unknown (const char *path, const char *call);

#endif
