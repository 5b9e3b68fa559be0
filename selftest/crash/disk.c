//  disk.c - makes the disk as it may be after a power cut, from a recording
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#define SECTOR 512
#define FILES_MAX 256                  //  that ever were, in one recording
#define FILE_BYTES_MAX (256ULL << 20)

//  A file or a directory that was created once
typedef struct {
    uint64_t number;                   //  of its inode
    bool is_directory;
    char *path;                        //  where it is found; NULL: nowhere
    uint8_t *bytes;                    //  as far as anything was written
    size_t capacity;                   //  of these; behind them all is zero
    uint64_t size;                     //  for sure
    uint64_t size_max;                 //  with what was not synced
} s_file_t;

typedef struct {
    const recording_t *recording;
    uint64_t position;                 //  of the cut
    bool everything;                   //  power stays on
    kit_chance_t *chance;
    s_file_t files [FILES_MAX];
    size_t files_count;
} s_disk_t;

//  ---- what is synced

static bool
s_is_done (const s_disk_t *self, const record_t *record)
{
    return record->done != 0 && record->done <= self->position;
}

//  Whether a sync that was done makes this one durable.
static bool
s_sync_covers (const s_disk_t *self, const record_t *sync, const record_t *record,
               const char *directory, size_t directory_length)
{
    if (sync->kind != RECORD_SYNC || sync->result != 0 || !s_is_done (self, sync)
        || record->done > recording_position (self->recording, sync))
        return false;
    if (sync->file == 0)
        return true;
    if (directory)
        return strlen (record_path (sync)) == directory_length
               && memcmp (record_path (sync), directory, directory_length) == 0;
    return sync->file == record->file;
}

//  Whether a call is on the disk for sure at the cut.
static bool
s_is_durable (const s_disk_t *self, const record_t *record)
{
    if (self->everything)
        return true;
    if (!s_is_done (self, record))
        return false;
    if (record->durable || record->lost)
        return !record->lost;
    const char *directory = NULL, *name = strrchr (record_path (record), '/');
    if (record->kind == RECORD_CREATE || record->kind == RECORD_RENAME
        || record->kind == RECORD_UNLINK)
        directory = record_path (record);
    uint64_t at = record->done;
    const record_t *sync;
    while ((sync = recording_at (self->recording, at)) != NULL) {
        at = recording_position (self->recording, sync);
        if (at >= self->position)
            break;
        if (s_sync_covers (self, sync, record, directory,
                           directory? (size_t) (name - directory): 0))
            return true;
        //  After a sync that failed the system takes pages for clean that never reached the disk.
        if (sync->kind == RECORD_SYNC && sync->result < 0 && !directory
            && sync->file == record->file)
            return false;
        at += sync->bytes;
    }
    return false;
}

//  ---- files

static s_file_t *
s_file (s_disk_t *self, uint64_t number)
{
    for (size_t index = self->files_count; index > 0; index--)
        if (self->files [index - 1].number == number)
            return &self->files [index - 1];
    return NULL;
}

static s_file_t *
s_file_at (s_disk_t *self, const char *path)
{
    for (size_t index = 0; index < self->files_count; index++)
        if (self->files [index].path && streq (self->files [index].path, path))
            return &self->files [index];
    return NULL;
}

static void
s_set_path (s_file_t *file, const char *path)
{
    free (file->path);
    file->path = path? strdup (path): NULL;
}

static void
s_grow (s_file_t *file, uint64_t size)
{
    CHECK (size <= FILE_BYTES_MAX);
    if (size <= file->capacity)
        return;
    size_t capacity = (size_t) size * 2;
    file->bytes = (uint8_t *) realloc (file->bytes, capacity);
    CHECK (file->bytes);
    memset (file->bytes + file->capacity, 0, capacity - file->capacity);
    file->capacity = capacity;
}

static bool
s_perhaps (s_disk_t *self)
{
    return kit_below (self->chance, 2) == 0;
}

static void
s_set_size (s_disk_t *self, s_file_t *file, uint64_t size, bool durable)
{
    if (durable)
        file->size = size;
    //  Of sizes that were not synced one stays; the last one, mostly.
    if (file->size_max < size && (durable || kit_below (self->chance, 4) > 0))
        file->size_max = size;
    if (file->size_max < file->size)
        file->size_max = file->size;
}

static void
s_do_write (s_disk_t *self, const record_t *record, bool durable)
{
    s_file_t *file = s_file (self, record->file);
    CHECK (file);
    uint64_t size = record->size;
    if (record->done)
        size = record->result > 0? (uint64_t) record->result: 0;
    uint64_t end = record->offset + size, percent = durable? 100: kit_below (self->chance, 5) * 25;
    s_grow (file, end);
    for (uint64_t at = record->offset, next; at < end; at = next) {
        next = (at / SECTOR + 1) * SECTOR < end? (at / SECTOR + 1) * SECTOR: end;
        if (percent == 100 || (percent && kit_below (self->chance, 100) < percent))
            memcpy (file->bytes + at, record_data (record) + (at - record->offset), next - at);
    }
    if (end > file->size)
        s_set_size (self, file, end, durable);
}

static void
s_do_truncate (s_disk_t *self, const record_t *record, bool durable)
{
    s_file_t *file = s_file (self, record->file);
    CHECK (file);
    if (record->result < 0 || (!durable && !s_perhaps (self)))
        return;
    uint64_t size = record->offset;
    if (size < file->capacity)
        memset (file->bytes + size, 0, file->capacity - size);
    file->size = file->size_max = size;
}

static void
s_do_create (s_disk_t *self, const record_t *record, bool durable)
{
    CHECK (self->files_count < FILES_MAX);
    s_file_t *file = &self->files [self->files_count++];
    memset (file, 0, sizeof *file);
    file->number = record->file;
    file->is_directory = record->is_directory;
    if (durable || s_perhaps (self))
        s_set_path (file, record_path (record));
}

static void
s_do_rename (s_disk_t *self, const record_t *record, bool durable)
{
    const char *to = (const char *) record_data (record);
    s_file_t *file = s_file_at (self, record_path (record)), *other = s_file_at (self, to);
    if (record->result < 0 || !file || (!durable && !s_perhaps (self)))
        return;
    if (other)
        s_set_path (other, NULL);
    //  With a directory goes all that is in it.
    size_t length = strlen (record_path (record));
    for (size_t index = 0; index < self->files_count; index++) {
        s_file_t *inner = &self->files [index];
        if (!inner->path || strncmp (inner->path, record_path (record), length) != 0
            || inner->path [length] != '/')
            continue;
        char *path = zsys_sprintf ("%s%s", to, inner->path + length);
        s_set_path (inner, path);
        free (path);
    }
    s_set_path (file, to);
}

static void
s_do (s_disk_t *self, const record_t *record)
{
    if (record->kind == RECORD_UNKNOWN)
        selftest_fail (__FILE__, __LINE__, "%s: a call that cannot be recorded: %s",
                       record_path (record), (const char *) record_data (record));
    if (record->kind == RECORD_NOTE || record->kind == RECORD_SYNC || record->kind == RECORD_SEND)
        return;
    bool durable = s_is_durable (self, record);
    s_file_t *file;
    switch (record->kind) {
    case RECORD_WRITE: s_do_write (self, record, durable); break;
    case RECORD_TRUNCATE: s_do_truncate (self, record, durable); break;
    case RECORD_CREATE: s_do_create (self, record, durable); break;
    case RECORD_RENAME: s_do_rename (self, record, durable); break;
    case RECORD_UNLINK:
        file = s_file_at (self, record_path (record));
        if (file && record->result >= 0 && (durable || s_perhaps (self)))
            s_set_path (file, NULL);
        break;
    default:
        file = s_file (self, record->file);
        if (record->grows && record->result >= 0 && file
            && record->offset + record->size > file->size)
            s_set_size (self, file, record->offset + record->size, durable);
    }
}

static void
s_replay (s_disk_t *self, const recording_t *recording, uint64_t position, kit_chance_t *chance)
{
    memset (self, 0, sizeof *self);
    self->recording = recording;
    self->position = position;
    self->everything = chance == NULL;
    self->chance = chance;
    uint64_t at = 0;
    const record_t *record;
    while ((record = recording_at (recording, at)) != NULL) {
        at = recording_position (recording, record);
        if (at >= position)
            break;
        s_do (self, record);
        at += record->bytes;
    }
}

static void
s_destroy (s_disk_t *self)
{
    for (size_t index = 0; index < self->files_count; index++) {
        free (self->files [index].path);
        free (self->files [index].bytes);
    }
}

//  ---- directories

//  Write a file, with holes where it is zero.
static void
s_write_out (const s_file_t *file, const char *path, uint64_t size)
{
    static const uint8_t zero [8 * SECTOR];
    int fd = open (path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    //  Its directory is missing.
    if (fd == -1 && errno == ENOENT)
        return;
    CHECK (fd != -1);
    uint64_t end = size < file->capacity? size: file->capacity, part;
    for (uint64_t at = 0; at < end; at += part) {
        part = end - at < sizeof zero? end - at: sizeof zero;
        if (memcmp (file->bytes + at, zero, part) != 0)
            CHECK (pwrite (fd, file->bytes + at, part, (off_t) at) == (ssize_t) part);
    }
    CHECK (ftruncate (fd, (off_t) size) == 0);
    close (fd);
}

bool
disk_make (const recording_t *recording, uint64_t position, const char *root, const char *directory,
           kit_chance_t *chance)
{
    static s_disk_t disk;
    s_replay (&disk, recording, position, chance);
    size_t length = strlen (root);
    bool made = false;
    //  Directories come before what is in them: they were created before.
    for (size_t index = 0; index < disk.files_count; index++) {
        s_file_t *file = &disk.files [index];
        if (!file->path || strncmp (file->path, root, length) != 0)
            continue;
        char *path = zsys_sprintf ("%s%s", directory, file->path + length);
        if (file->is_directory && (mkdir (path, 0700) == 0))
            made = made || file->path [length] == 0;
        //  LMDB's locks: nobody syncs them, and nobody may rely on them.
        if (!file->is_directory && made)
            s_write_out (file, path, s_perhaps (&disk)? file->size: file->size_max);
        free (path);
    }
    s_destroy (&disk);
    return made;
}

static int
s_remove_entry (const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void) status;
    (void) kind;
    (void) place;
    return remove (path);
}

void
disk_remove (const char *directory)
{
    CHECK (nftw (directory, s_remove_entry, 8, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT);
}

static void
s_check_file (const s_file_t *file)
{
    size_t size = 0;
    uint8_t *bytes = kit_read_file (file->path, &size);
    CHECK_EQ_U64 (size, file->size);
    size_t written = size < file->capacity? size: file->capacity;
    bool same = written == 0 || memcmp (bytes, file->bytes, written) == 0;
    for (size_t at = written; at < size; at++)
        same = same && bytes [at] == 0;
    if (!same)
        selftest_fail (__FILE__, __LINE__, "%s: something wrote it that was not recorded",
                       file->path);
    free (bytes);
}

//  Regular files in a directory
static size_t
s_count_files (const char *path)
{
    DIR *dir = opendir (path);
    CHECK (dir);
    size_t count = 0;
    struct dirent *entry;
    while ((entry = readdir (dir)) != NULL)
        count += entry->d_type == DT_REG;
    closedir (dir);
    return count;
}

size_t
disk_check_recording (const recording_t *recording, const char *root)
{
    static s_disk_t disk;
    s_replay (&disk, recording, UINT64_MAX, NULL);
    size_t files = 0, calls = 0;
    for (size_t index = 0; index < disk.files_count; index++) {
        const s_file_t *file = &disk.files [index];
        if (!file->path || file->is_directory)
            continue;
        files++;
        if (!strstr (file->path, "/lock.mdb"))
            s_check_file (file);
    }
    CHECK_EQ_U64 (files, s_count_files (root));
    s_destroy (&disk);
    uint64_t at = 0;
    const record_t *record;
    while ((record = recording_at (recording, at)) != NULL) {
        at = recording_position (recording, record) + record->bytes;
        calls += record->kind < RECORD_SEND;
    }
    return calls;
}

//  ---- cuts

disk_cut_t *
disk_cuts (const recording_t *recording, size_t *count)
{
    size_t capacity = 0, number = 0;
    disk_cut_t *cuts = NULL;
    uint64_t at = 0;
    const record_t *record;
    for (*count = 0; (record = recording_at (recording, at)) != NULL; number++) {
        at = recording_position (recording, record);
        if (*count + 2 > capacity) {
            capacity = capacity * 2 + 64;
            cuts = (disk_cut_t *) realloc (cuts, capacity * sizeof *cuts);
            CHECK (cuts);
        }
        if (record->kind < RECORD_SEND) {
            cuts [(*count)++] = (disk_cut_t) { at + 1, number, true };
            if (record->done)
                cuts [(*count)++] = (disk_cut_t) { record->done, number, false };
        }
        at += record->bytes;
    }
    return cuts;
}

const record_t *
disk_last_note (const recording_t *recording, uint64_t position, uint64_t tag)
{
    const record_t *found = NULL, *record;
    uint64_t at = 0;
    while ((record = recording_at (recording, at)) != NULL) {
        at = recording_position (recording, record);
        if (at >= position)
            break;
        if (record->kind == RECORD_NOTE && record->file == tag)
            found = record;
        at += record->bytes;
    }
    return found;
}

char *
disk_path (const char *name)
{
    char directory [4096];
    CHECK (getcwd (directory, sizeof directory));
    return zsys_sprintf ("%s/%s", directory, name);
}

void
disk_print_cut (const recording_t *recording, const disk_cut_t *cut)
{
    uint64_t number = 0, at = 0;
    const record_t *record;
    while ((record = recording_at (recording, at)) != NULL && number++ < cut->record)
        at = recording_position (recording, record) + record->bytes;
    if (record)
        printf ("%s call %" PRIu64 ", %s of %s, %" PRIu64 " bytes at %" PRIu64 "\n",
                cut->during? "during": "after", cut->record, record_name (record),
                record_path (record), record->size, record->offset);
}
