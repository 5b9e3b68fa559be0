//  recording.c - a log of every call by which a process changes its disk, in the order of the calls
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/recording.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CAPACITY (1ULL << 30)          //  bytes of address space; only what is used takes memory
#define FIRST 64                       //  position of the first record

struct recording {
    _Atomic uint64_t used;             //  where the next record goes
};

static uint8_t *
s_bytes (const recording_t *self)
{
    return (uint8_t *) (uintptr_t) self;
}

static recording_t *
s_map (int fd, int flags)
{
    void *mapped =
        mmap (NULL, CAPACITY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | flags, fd, 0);
    return mapped == MAP_FAILED? NULL: (recording_t *) mapped;
}

recording_t *
recording_new (void)
{
    recording_t *self = s_map (-1, MAP_ANONYMOUS);
    if (self)
        self->used = FIRST;
    return self;
}

recording_t *
recording_open (const char *path, bool create)
{
    int fd = open (path, O_RDWR | O_CLOEXEC | (create? O_CREAT: 0), 0600);
    if (fd < 0)
        return NULL;
    recording_t *self = NULL;
    if (ftruncate (fd, (off_t) CAPACITY) == 0)
        self = s_map (fd, 0);
    close (fd);
    if (self && self->used == 0)
        self->used = FIRST;
    return self;
}

void
recording_destroy (recording_t **self_p)
{
    if (*self_p)
        munmap (*self_p, CAPACITY);
    *self_p = NULL;
}

record_t *
recording_begin (recording_t *self, record_kind_t kind, uint64_t file, uint64_t offset,
                 uint64_t size, const char *path, const void *data, size_t data_bytes)
{
    size_t path_bytes = strlen (path) + 1;
    uint64_t bytes = (sizeof (record_t) + path_bytes + data_bytes + 7) / 8 * 8;
    uint64_t at = atomic_fetch_add (&self->used, bytes);
    if (at + bytes > CAPACITY)
        abort ();
    record_t *record = (record_t *) (void *) (s_bytes (self) + at);
    record->bytes = bytes;
    record->file = file;
    record->offset = offset;
    record->size = size;
    record->path_bytes = (uint32_t) path_bytes;
    record->data_bytes = (uint32_t) data_bytes;
    memcpy (record + 1, path, path_bytes);
    if (data_bytes)
        memcpy ((uint8_t *) (record + 1) + path_bytes, data, data_bytes);
    __atomic_store_n (&record->kind, (uint32_t) kind, __ATOMIC_RELEASE);
    return record;
}

void
recording_end (recording_t *self, record_t *record, int64_t result)
{
    record->result = result;
    __atomic_store_n (&record->done, atomic_load (&self->used), __ATOMIC_RELEASE);
}

record_t *
recording_add (recording_t *self, record_kind_t kind, uint64_t file, const char *path,
               const void *data, size_t data_bytes)
{
    record_t *record = recording_begin (self, kind, file, 0, data_bytes, path, data, data_bytes);
    recording_end (self, record, (int64_t) data_bytes);
    return record;
}

//  Add one file with all it holds.
static void
s_add_file (recording_t *self, const char *path, const struct stat *status)
{
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    size_t size = (size_t) status->st_size;
    uint8_t *bytes = (uint8_t *) malloc (size + 1);
    if (fd < 0 || !bytes || pread (fd, bytes, size, 0) != (ssize_t) size)
        abort ();
    recording_add (self, RECORD_WRITE, status->st_ino, path, bytes, size)->durable = true;
    free (bytes);
    close (fd);
}

void
recording_add_directory (recording_t *self, const char *path)
{
    DIR *dir = opendir (path);
    struct stat status;
    if (!dir || stat (path, &status))
        abort ();
    record_t *record = recording_add (self, RECORD_CREATE, status.st_ino, path, NULL, 0);
    record->durable = record->is_directory = true;
    struct dirent *entry;
    while ((entry = readdir (dir))) {
        char inner [PATH_MAX];
        snprintf (inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (entry->d_name [0] == '.' || stat (inner, &status))
            continue;
        if (S_ISDIR (status.st_mode))
            recording_add_directory (self, inner);
        if (!S_ISREG (status.st_mode))
            continue;
        recording_add (self, RECORD_CREATE, status.st_ino, inner, NULL, 0)->durable = true;
        s_add_file (self, inner, &status);
    }
    closedir (dir);
}

const record_t *
recording_at (const recording_t *self, uint64_t position)
{
    if (position < FIRST)
        position = FIRST;
    while (position < self->used) {
        const record_t *record = (const record_t *) (const void *) (s_bytes (self) + position);
        //  Its writer was killed before it said how long it is: then it is the last.
        if (record->bytes == 0)
            break;
        if (record->kind)
            return record;
        position += record->bytes;
    }
    return NULL;
}

uint64_t
recording_position (const recording_t *self, const record_t *record)
{
    return (uint64_t) ((const uint8_t *) record - s_bytes (self));
}

uint64_t
recording_end_position (const recording_t *self)
{
    return self->used;
}

const char *
record_path (const record_t *record)
{
    return (const char *) (record + 1);
}

const uint8_t *
record_data (const record_t *record)
{
    return (const uint8_t *) (record + 1) + record->path_bytes;
}

const char *
record_name (const record_t *record)
{
    static const char *names [] = { "?",      "write",  "truncate", "allocate",     "sync",
                                    "create", "rename", "unlink",   "unknown call", "send",
                                    "note" };
    return record->kind <= RECORD_NOTE? names [record->kind]: "?";
}
