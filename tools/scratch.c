//  scratch.c - a directory of our own for a while
//
//  SPDX-License-Identifier: MPL-2.0

#include "scratch.h"
#include "command.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#define TMPFS 0x01021994
#define RAMFS 0x858458f6U
#define OPEN_DIRECTORIES_MAX 16  //  descriptors that removing may use

int
scratch_new (const char *place, char *path, size_t path_bytes)
{
    char made [4096];
    int length = snprintf (made, sizeof made, "%s/zspool-bench-XXXXXX", place);
    if ((size_t) length >= sizeof made || (size_t) length >= path_bytes)
        errno = ENAMETOOLONG;
    else if (mkdtemp (made)) {
        memcpy (path, made, (size_t) length + 1);
        return 0;
    }
    command_report ("cannot make a directory in %s: %s", place, strerror (errno));
    return -1;
}

static int
s_remove (const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void) status;
    (void) type;
    (void) where;
    return remove (path);
}

int
scratch_remove (const char *path)
{
    if (nftw (path, s_remove, OPEN_DIRECTORIES_MAX, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0)
        return 0;
    command_report ("cannot remove %s: %s", path, strerror (errno));
    return -1;
}

bool
scratch_is_in_memory (const char *path)
{
    struct statfs status;
    return statfs (path, &status) == 0
           && ((unsigned) status.f_type == TMPFS || (unsigned) status.f_type == RAMFS);
}
