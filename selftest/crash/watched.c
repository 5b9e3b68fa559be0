//  watched.c - which file a call concerns, and its record
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/watched.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool s_dsync [WATCHED_DESCRIPTORS_MAX];

void
watched_set_dsync (int fd, bool dsync)
{
    if (fd >= 0 && fd < WATCHED_DESCRIPTORS_MAX)
        s_dsync [fd] = dsync;
}

bool
watched_is_dsync (int fd)
{
    bool known = fd >= 0 && fd < WATCHED_DESCRIPTORS_MAX && s_dsync [fd];
    return known || (fcntl (fd, F_GETFL) & O_DSYNC);
}

void
watched_find_real (void *function_p, const char *name)
{
    void *found = dlsym (RTLD_NEXT, name);
    if (!found)
        abort ();
    memcpy (function_p, &found, sizeof found);
}

bool
watched_find_file (int fd, watched_file_t *file)
{
    char link [64];
    snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink (link, file->path, sizeof file->path - 1);
    if (length < 0)
        return false;
    file->path [length] = 0;
    struct stat status;
    if (fstat (fd, &status))
        return false;
    file->number = status.st_ino;
    file->is_directory = S_ISDIR (status.st_mode);
    return true;
}

bool
watched_is (int fd, watched_file_t *file)
{
    return fault_is_watching () && watched_find_file (fd, file) && fault_is_watched (file->path);
}

bool
watched_is_path (int directory_fd, const char *name, char path [PATH_MAX])
{
    char base [PATH_MAX] = "";
    if (name [0] != '/' && directory_fd == AT_FDCWD && !getcwd (base, sizeof base))
        return false;
    watched_file_t file;
    if (name [0] != '/' && directory_fd != AT_FDCWD) {
        if (!watched_find_file (directory_fd, &file))
            return false;
        memcpy (base, file.path, sizeof base);
    }
    size_t length = strlen (base);
    if (length + strlen (name) + 2 > PATH_MAX)
        return false;
    memcpy (path, base, length);
    if (length)
        path [length++] = '/';
    strcpy (path + length, name);
    return fault_is_watched (path);
}

bool
watched_exists (const char *path)
{
    struct stat status;
    return lstat (path, &status) == 0;
}

record_t *
watched_begin (record_kind_t kind, const watched_file_t *file, uint64_t offset, uint64_t size, const void *data,
         size_t data_bytes)
{
    recording_t *recording = fault_settings ()->recording;
    if (!recording)
        return NULL;
    return recording_begin (recording, kind, file->number, offset, size, file->path, data,
                            data_bytes);
}

void
watched_end (record_t *record, int64_t result)
{
    int error = errno;
    if (record)
        recording_end (fault_settings ()->recording, record, result);
    errno = error;
}

void
watched_note_unknown (const char *path, const char *call)
{
    if (fault_settings ()->recording)
        recording_add (fault_settings ()->recording, RECORD_UNKNOWN, 0, path, call,
                       strlen (call) + 1);
}
