//  fresh.c - a new directory that appears under its name only when it is whole, and on the disk
//
//  SPDX-License-Identifier: MPL-2.0

#include "fresh.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

struct zspool_fresh {
    char *name;       //  that it is to have
    char *path;       //  that it has
    bool published;
};

static int
s_fail (char *reason, const char *directory, int code)
{
    snprintf (reason, ZSPOOL_REASON_MAX, "%s: %s", directory, zspool_strerror (code));
    return code;
}

static int
s_fail_errno (char *reason, const char *directory, int error)
{
    snprintf (reason, ZSPOOL_REASON_MAX, "%s: %s", directory, strerror (error));
    switch (error) {
    case ENOENT: return ZSPOOL_ENOENT;
    case EEXIST:
    case ENOTEMPTY:
    case ENOTDIR: return ZSPOOL_EEXIST;
    case ENAMETOOLONG: return ZSPOOL_EINVAL;
    case ENOMEM: return ZSPOOL_ENOMEM;
    case ENOSPC:
    case EDQUOT: return ZSPOOL_ENOSPC;
    case EACCES:
    case EPERM:
    case EROFS: return ZSPOOL_EACCES;
    default: return ZSPOOL_EIO;
    }
}

//  Check that there is nothing of that name, or an empty directory.
static int
s_check_name (const char *name, char *reason)
{
    DIR *dir = opendir (name);
    if (!dir)
        return errno == ENOENT? ZSPOOL_OK: s_fail_errno (reason, name, errno);
    const struct dirent *entry;
    bool empty = true;
    while ((entry = readdir (dir)))
        empty = empty && (strcmp (entry->d_name, ".") == 0 || strcmp (entry->d_name, "..") == 0);
    closedir (dir);
    if (empty)
        return ZSPOOL_OK;
    snprintf (reason, ZSPOOL_REASON_MAX, "%s: there already, and not empty", name);
    return ZSPOOL_EEXIST;
}

static int
s_make (zspool_fresh_t *self, char *reason)
{
    int rc = s_check_name (self->name, reason);
    if (rc)
        return rc;
    if (!mkdtemp (self->path)) {
        int error = errno;
        *self->path = 0;
        return s_fail_errno (reason, self->name, error);
    }
    struct statfs file_system;
    if (statfs (self->path, &file_system) == 0
        && zspool_file_system_is_remote ((uint64_t) file_system.f_type))
        return s_fail (reason, self->name, ZSPOOL_EREMOTE);
    return ZSPOOL_OK;
}

int
zspool_fresh_new (zspool_fresh_t **self_p, const char *directory, char reason [ZSPOOL_REASON_MAX])
{
    size_t length = directory? strlen (directory): 0;
    while (length > 1 && directory [length - 1] == '/')
        length--;
    if (length == 0)
        return s_fail (reason, "the directory's name", ZSPOOL_EINVAL);
    zspool_fresh_t *self = (zspool_fresh_t *) calloc (1, sizeof *self);
    int rc = self? ZSPOOL_OK: ZSPOOL_ENOMEM;
    if (self) {
        self->name = strndup (directory, length);
        if (!self->name || asprintf (&self->path, "%s.partial-XXXXXX", self->name) < 0) {
            self->path = NULL;
            rc = ZSPOOL_ENOMEM;
        }
    }
    rc = rc? s_fail (reason, directory, rc): s_make (self, reason);
    if (rc)
        zspool_fresh_destroy (&self);
    else
        *self_p = self;
    return rc;
}

const char *
zspool_fresh_path (const zspool_fresh_t *self)
{
    return self->path;
}

//  Sync a directory, given where to look it up from.
static bool
s_sync (const char *path, const char *below)
{
    char *whole = NULL;
    if (asprintf (&whole, "%s%s", path, below) < 0)
        return false;
    int fd = open (whole, O_RDONLY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync (fd) == 0;
    if (fd >= 0)
        close (fd);
    free (whole);
    return synced;
}

//  Sync every file in the directory, and itself.
static bool
s_sync_all (const char *path)
{
    DIR *dir = opendir (path);
    if (!dir)
        return false;
    const struct dirent *entry;
    bool synced = true;
    while (synced && (entry = readdir (dir))) {
        int fd = entry->d_type == DT_REG? openat (dirfd (dir), entry->d_name, O_RDONLY | O_CLOEXEC): -1;
        if (fd >= 0) {
            synced = fsync (fd) == 0;
            close (fd);
        }
    }
    closedir (dir);
    return synced && s_sync (path, "");
}

int
zspool_fresh_publish (zspool_fresh_t *self, char reason [ZSPOOL_REASON_MAX])
{
    if (!s_sync_all (self->path))
        return s_fail_errno (reason, self->name, errno);
    //  An empty directory of that name gives way; one that is no longer empty does not.
    if (rename (self->path, self->name))
        return s_fail_errno (reason, self->name, errno);
    self->published = true;
    return s_sync (self->name, "/..")? ZSPOOL_OK: s_fail_errno (reason, self->name, errno);
}

static void
s_remove (const char *path)
{
    DIR *dir = opendir (path);
    const struct dirent *entry;
    while (dir && (entry = readdir (dir)))
        if (strcmp (entry->d_name, ".") != 0 && strcmp (entry->d_name, "..") != 0)
            unlinkat (dirfd (dir), entry->d_name, 0);
    if (dir)
        closedir (dir);
    rmdir (path);
}

void
zspool_fresh_destroy (zspool_fresh_t **self_p)
{
    zspool_fresh_t *self = *self_p;
    if (!self)
        return;
    if (!self->published && self->path && *self->path)
        s_remove (self->path);
    free (self->name);
    free (self->path);
    free (self);
    *self_p = NULL;
}
