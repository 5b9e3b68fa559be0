//  kit.c - what the tests of lib/ share: seeded chance, child processes, stores and a look at their
//  files
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"
#include "bytes.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <xxhash.h>

//  ---- chance

kit_chance_t
kit_chance_new (void)
{
    kit_chance_t seed;
    const char *text = getenv ("SELFTEST_SEED");
    if (text)
        seed = strtoull (text, NULL, 10);
    else
        CHECK (getrandom (&seed, sizeof seed, 0) == sizeof seed);
    printf ("SELFTEST_SEED=%" PRIu64 " repeats this run\n", seed);
    return seed;
}

//  SplitMix64
uint64_t
kit_random (kit_chance_t *chance)
{
    uint64_t value = *chance += 0x9e3779b97f4a7c15ULL;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

uint64_t
kit_below (kit_chance_t *chance, uint64_t count)
{
    return kit_random (chance) % count;
}

//  ---- processes

pid_t
kit_fork (void (*function) (void *arg), void *arg)
{
    fflush (NULL);
    pid_t pid = fork ();
    CHECK (pid != -1);
    if (pid == 0) {
        function (arg);
        fflush (NULL);
        _exit (0);
    }
    return pid;
}

int
kit_wait (pid_t pid)
{
    int status = 0;
    CHECK (waitpid (pid, &status, 0) == pid);
    return WIFSIGNALED (status)? -WTERMSIG (status): WEXITSTATUS (status);
}

int
kit_run (void (*function) (void *arg), void *arg)
{
    return kit_wait (kit_fork (function, arg));
}

//  ---- messages and blocks

void
kit_fill (uint8_t *bytes, size_t size, uint64_t number)
{
    CHECK (size >= KIT_MESSAGE_BYTES_MIN);
    put_u64 (bytes, number);
    for (size_t at = KIT_MESSAGE_BYTES_MIN; at < size; at++)
        bytes [at] = (uint8_t) (number * 31 + at * 7 + (at >> 8));
}

void
kit_check_filled (const uint8_t *bytes, size_t size, uint64_t number)
{
    uint8_t *expected = (uint8_t *) zmalloc (size);
    kit_fill (expected, size, number);
    CHECK_EQ_MEM (bytes, size, expected, size);
    free (expected);
}

zspool_block_t *
kit_block_new (uint64_t number, uint32_t count, size_t bytes)
{
    uint8_t *message = (uint8_t *) zmalloc (bytes);
    zspool_block_t *block = zspool_block_new (zspool_block_record_bytes (1, bytes) * count);
    CHECK (block);
    for (uint32_t index = 0; index < count; index++) {
        kit_fill (message, bytes, number + index);
        CHECK_OK (zspool_block_append_frame (block, message, bytes, 1));
    }
    CHECK_OK (zspool_block_seal (block));
    free (message);
    return block;
}

zspool_block_t *
kit_block_new_topics (uint64_t number, const char *const *topics, uint32_t count, size_t bytes, bool indexed)
{
    uint8_t *message = (uint8_t *) zmalloc (bytes);
    size_t capacity = 1000;
    for (uint32_t index = 0; index < count; index++)
        capacity += 2 * strlen (topics [index]) + bytes + 100;
    zspool_block_t *block = zspool_block_new (capacity);
    CHECK (block);
    zspool_block_set_indexed (block, indexed);
    for (uint32_t index = 0; index < count; index++) {
        kit_fill (message, bytes, number + index);
        const zspool_frame_t frames [] = { { topics [index], strlen (topics [index]) }, { message, bytes } };
        CHECK_OK (zspool_block_append (block, frames, 2, 1000 + index));
    }
    CHECK_OK (zspool_block_seal (block));
    free (message);
    return block;
}

void
kit_check_topic (const zspool_record_t *record, const char *topic)
{
    zspool_record_t frames = *record;
    zspool_frame_t frame;
    CHECK_EQ_U64 (record->frames, 2);
    CHECK (zspool_record_next_frame (&frames, &frame));
    CHECK_EQ_MEM (frame.data, frame.size, topic, strlen (topic));
    CHECK (zspool_record_next_frame (&frames, &frame));
    kit_check_filled ((const uint8_t *) frame.data, frame.size, record->sequence);
}

zspool_block_t *
kit_block_new_stamped (uint64_t number, uint32_t count, size_t bytes)
{
    zspool_block_t *block = kit_block_new (number, count, bytes);
    zspool_block_stamp (block, number, 1, 1);
    return block;
}

void
kit_check_block (const zspool_block_t *block)
{
    zspool_record_t record;
    zspool_frame_t frame;
    zspool_block_rewind (block, &record);
    while (zspool_block_next (block, &record)) {
        CHECK (zspool_record_next_frame (&record, &frame));
        kit_check_filled ((const uint8_t *) frame.data, frame.size, record.sequence);
    }
}

//  ---- stores

static int
s_open (const char *directory, zspool_mode_t mode, zspool_store_t **store_p)
{
    zspool_store_t *store = zspool_store_new (directory);
    CHECK (store);
    CHECK_OK (zspool_store_set_map_bytes (store, SELFTEST_MAP_BYTES));
    int rc = zspool_store_open (store, mode);
    if (rc) {
        printf ("%s\n", zspool_store_reason (store));
        CHECK (*zspool_store_reason (store));
        zspool_store_destroy (&store);
    }
    *store_p = store;
    return rc;
}

void
kit_place_file (const char *path)
{
    CHECK (mkdir (KIT_STORE, 0700) == 0);
    char *command = zsys_sprintf ("cp %s %s/data.mdb", path, KIT_STORE);
    CHECK (system (command) == 0);
    free (command);
}

zspool_store_t *
kit_open (const char *directory, zspool_mode_t mode)
{
    zspool_store_t *store;
    CHECK_OK (s_open (directory, mode, &store));
    return store;
}

int
kit_try_open (const char *directory, zspool_mode_t mode)
{
    zspool_store_t *store;
    int rc = s_open (directory, mode, &store);
    zspool_store_destroy (&store);
    return rc;
}

uint32_t
kit_spool (zspool_store_t *store, const char *name)
{
    uint32_t spool = 0;
    if (zspool_store_spool (store, name, &spool) == ZSPOOL_OK)
        return spool;
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_spool (store, name, &spool));
    CHECK_OK (zspool_store_commit (store));
    return spool;
}

uint32_t
kit_cursor (zspool_store_t *store, uint32_t spool, const char *name, uint64_t start)
{
    uint32_t cursor = 0;
    if (zspool_store_cursor (store, spool, name, start, &cursor) == ZSPOOL_OK)
        return cursor;
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_cursor (store, spool, name, start, &cursor));
    CHECK_OK (zspool_store_commit (store));
    return cursor;
}

int
kit_try_append (zspool_store_t *store, uint32_t spool, uint32_t count, size_t bytes)
{
    uint64_t next_sequence = 0;
    int64_t stored_us;
    CHECK_OK (zspool_store_numbering (store, spool, &next_sequence, &stored_us));
    zspool_block_t *block = kit_block_new (next_sequence, count, bytes);
    int rc = zspool_store_append (store, spool, block);
    zspool_block_destroy (&block);
    return rc;
}

void
kit_append (zspool_store_t *store, uint32_t spool, uint32_t count, size_t bytes)
{
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (kit_try_append (store, spool, count, bytes));
    CHECK_OK (zspool_store_commit (store));
}

void
kit_ack (zspool_store_t *store, uint32_t spool, uint32_t cursor, uint64_t first, uint64_t last)
{
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_ack (store, spool, cursor, first, last));
    CHECK_OK (zspool_store_commit (store));
}

zspool_spool_info_t
kit_spool_info (zspool_store_t *store, uint32_t spool)
{
    zspool_spool_info_t info;
    for (size_t index = 0;; index++) {
        CHECK_OK (zspool_store_spool_info (store, index, &info));
        if (info.id == spool)
            return info;
    }
}

zspool_cursor_info_t
kit_cursor_info (zspool_store_t *store, uint32_t spool, uint32_t cursor)
{
    zspool_cursor_info_t info;
    for (size_t index = 0;; index++) {
        CHECK_OK (zspool_store_cursor_info (store, spool, index, &info));
        if (info.id == cursor)
            return info;
    }
}

uint64_t
kit_read (zspool_store_t *store, uint32_t spool, uint64_t from)
{
    zspool_reader_t *reader = zspool_reader_new (store, spool);
    CHECK (reader);
    zspool_reader_seek (reader, from);
    uint64_t count = 0, next = 0;
    zspool_block_t *block = NULL;
    int rc;
    while ((rc = zspool_reader_next (reader, &block)) == ZSPOOL_OK) {
        uint64_t first = zspool_block_first_sequence (block);
        CHECK (next == 0 || first == next);
        kit_check_block (block);
        next = first + zspool_block_count (block);
        count += zspool_block_count (block) - (first < from? from - first: 0);
        zspool_block_destroy (&block);
    }
    CHECK_CODE (rc, ZSPOOL_ENOENT);
    zspool_reader_destroy (&reader);
    return count;
}

static void
s_print_finding (void *arg, const char *spool, uint64_t first, uint64_t last, const char *problem)
{
    (void) arg;
    printf ("verify: spool %s, messages %" PRIu64 " to %" PRIu64 ": %s\n", spool, first, last, problem);
}

int
kit_verify (zspool_store_t *store)
{
    return zspool_store_verify (store, s_print_finding, NULL, NULL);
}

void
kit_check_sound (zspool_store_t *store)
{
    CHECK_EQ_I64 (kit_verify (store), 0);
}

//  ---- files

uint8_t *
kit_read_file (const char *path, size_t *size)
{
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    CHECK (fd != -1);
    struct stat status;
    CHECK (fstat (fd, &status) == 0);
    *size = (size_t) status.st_size;
    uint8_t *bytes = (uint8_t *) zmalloc (*size + 1);
    CHECK (read (fd, bytes, *size) == (ssize_t) *size);
    close (fd);
    return bytes;
}

static int
s_not_dots (const struct dirent *entry)
{
    return !streq (entry->d_name, ".") && !streq (entry->d_name, "..");
}

char *
kit_list (const char *directory)
{
    struct dirent **entries;
    int count = scandir (directory, &entries, s_not_dots, alphasort);
    CHECK (count >= 0);
    char *list = strdup ("");
    for (int index = 0; index < count; index++) {
        char *path = zsys_sprintf ("%s/%s", directory, entries [index]->d_name);
        struct stat status;
        CHECK (lstat (path, &status) == 0);
        char *line;
        if (streq (entries [index]->d_name, "lock.mdb") || !S_ISREG (status.st_mode))
            line = zsys_sprintf ("%s%s\n", list, entries [index]->d_name);
        else {
            size_t size;
            uint8_t *bytes = kit_read_file (path, &size);
            line = zsys_sprintf ("%s%s %zu %o %lld.%09ld %llx\n", list, entries [index]->d_name, size,
                                 (unsigned) status.st_mode, (long long) status.st_mtim.tv_sec,
                                 status.st_mtim.tv_nsec,
                                 (unsigned long long) XXH3_64bits (bytes, size));
            free (bytes);
        }
        free (list);
        list = line;
        free (path);
        free (entries [index]);
    }
    free (entries);
    return list;
}

size_t
kit_flip (const char *path, const void *bytes, size_t size)
{
    size_t file_size, count = 0;
    uint8_t *content = kit_read_file (path, &file_size);
    int fd = open (path, O_WRONLY | O_CLOEXEC);
    CHECK (fd != -1);
    uint8_t *at = content, *end = content + file_size;
    while ((at = (uint8_t *) memmem (at, (size_t) (end - at), bytes, size))) {
        uint8_t flipped = at [size / 2] ^ 0x10;
        CHECK (pwrite (fd, &flipped, 1, at - content + (off_t) (size / 2)) == 1);
        count++;
        at += size;
    }
    close (fd);
    free (content);
    return count;
}

zspool_engine_t *
kit_engine_begin (const char *directory, zspool_txn_t **txn, zspool_table_t *state)
{
    zspool_engine_t *engine = NULL;
    int sys_error;
    CHECK_OK (zspool_engine_open (&engine, directory, ZSPOOL_ENGINE_WRITE, SELFTEST_MAP_BYTES,
                                 &sys_error));
    CHECK_OK (zspool_engine_begin (engine, txn));
    CHECK_OK (zspool_engine_table (engine, ZSPOOL_STATE_TABLE, state));
    return engine;
}

void
kit_engine_commit (zspool_engine_t **engine_p)
{
    CHECK_OK (zspool_engine_commit (*engine_p));
    zspool_engine_close (engine_p);
}

zspool_table_t
kit_engine_blocks (zspool_engine_t *engine, uint32_t spool)
{
    zspool_table_t table = 0;
    char *name = zsys_sprintf ("spool.%u", spool);
    CHECK_OK (zspool_engine_table (engine, name, &table));
    free (name);
    return table;
}

zspool_bytes_t
kit_block_key (uint8_t key [10], uint64_t first, uint16_t chunk)
{
    put_u64_be (key, first);
    put_u16_be (key + 8, chunk);
    return (zspool_bytes_t) { key, 10 };
}

void
kit_edit_block (const char *directory, uint32_t spool, uint64_t first, uint16_t chunk,
                void (*edit) (uint8_t *bytes, size_t *size))
{
    zspool_txn_t *txn;
    zspool_table_t state;
    zspool_engine_t *engine = kit_engine_begin (directory, &txn, &state);
    zspool_table_t table = kit_engine_blocks (engine, spool);
    uint8_t key_bytes [10];
    zspool_bytes_t key = kit_block_key (key_bytes, first, chunk), value;
    if (edit) {
        CHECK_OK (zspool_txn_get (txn, table, key, &value));
        uint8_t *copy = (uint8_t *) zmalloc (value.size);
        memcpy (copy, value.data, value.size);
        value.data = copy;
        edit (copy, &value.size);
        CHECK_OK (zspool_txn_put (txn, table, key, value));
        free (copy);
    }
    else
        CHECK_OK (zspool_txn_delete (txn, table, key));
    kit_engine_commit (&engine);
}

//  ------------------------------------------------------------------------------------------------
//  What a test begins with

kit_setup_t
kit_setup (void)
{
    kit_setup_t self;
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    self.spool = kit_spool (self.store, "main");
    self.cursor = kit_cursor (self.store, self.spool, "main", ZSPOOL_START_FIRST);
    return self;
}

void
kit_reopen (kit_setup_t *self)
{
    zspool_store_destroy (&self->store);
    self->store = kit_open (KIT_STORE, ZSPOOL_WRITE);
}

void
kit_done (kit_setup_t *self)
{
    kit_check_sound (self->store);
    zspool_store_destroy (&self->store);
}

void
kit_append_at (kit_setup_t *self, uint32_t count, size_t bytes, int64_t stored_us)
{
    uint64_t next_sequence = 0;
    int64_t newest_us;
    CHECK_OK (zspool_store_numbering (self->store, self->spool, &next_sequence, &newest_us));
    zspool_block_t *block = kit_block_new (next_sequence, count, bytes);
    zspool_block_stamp (block, next_sequence, stored_us, zspool_store_incarnation (self->store));
    CHECK_OK (zspool_store_append_stamped (self->store, self->spool, block));
    zspool_block_destroy (&block);
}
