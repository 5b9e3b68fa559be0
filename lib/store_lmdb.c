//  store_lmdb.c - the store's engine on LMDB: the only file that includes lmdb.h
//
//  SPDX-License-Identifier: MPL-2.0
//
//  LMDB's default flags only, plus MDB_NOTLS (a view belongs to an object, not to a thread). The
//  modes that leave out an fsync or write through the map can leave a store that does not open
//  after a power cut.
//
//  The map. Its end is fatal to LMDB as well. So a map given too small for what is stored is made
//  larger than map_bytes, which then only says that nothing may be added.

#include "store_engine.h"
#include "store_free_map.h"
#include "store_space.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLES_MAX 1108
#define READERS_MAX 512
//  The map has at least so much room beyond what is stored
#define MAP_SPARE_BYTES (4ULL * ZSPOOL_HEADROOM_BYTES)

struct zspool_txn {
    MDB_txn *txn;             //  NULL when none is under way
    pid_t pid;                //  of a view: whose it is
};

struct zspool_engine {
    MDB_env *env;
    pid_t pid;                //  who opened it
    zspool_txn_t write;       //  the write transaction
    zspool_txn_t *free_view;  //  for the free list, which a write transaction does not show
    uint64_t map_bytes;       //  what the file may grow to
    zspool_space_t space;     //  of the file; for writing only
};

struct zspool_iter {
    MDB_cursor *cursor;
};

//  LMDB gives its own codes, negative, or errno values
static int
s_code (int rc)
{
    switch (rc) {
    case MDB_SUCCESS: return ZSPOOL_OK;
    case MDB_NOTFOUND: return ZSPOOL_ENOENT;
    case ENOENT: return ZSPOOL_ENOENT;
    case MDB_KEYEXIST: return ZSPOOL_EEXIST;
    case MDB_INVALID: return ZSPOOL_ENOTSTORE;
    case MDB_VERSION_MISMATCH: return ZSPOOL_ENOTSTORE;
    case MDB_CORRUPTED: return ZSPOOL_ECORRUPT;
    case MDB_PAGE_NOTFOUND: return ZSPOOL_ECORRUPT;
    case MDB_PANIC: return ZSPOOL_EFAILED;
    case MDB_MAP_FULL: return ZSPOOL_ENOSPC;
    case ENOSPC: return ZSPOOL_ENOSPC;
    case EFBIG: return ZSPOOL_ENOSPC;
    case EDQUOT: return ZSPOOL_ENOSPC;
    case MDB_DBS_FULL: return ZSPOOL_ELIMIT;
    case MDB_READERS_FULL: return ZSPOOL_ELIMIT;
    case MDB_TXN_FULL: return ZSPOOL_ELIMIT;
    case ENOMEM: return ZSPOOL_ENOMEM;
    case EACCES: return ZSPOOL_EACCES;
    case EPERM: return ZSPOOL_EACCES;
    case EROFS: return ZSPOOL_EACCES;
    case EINVAL: return ZSPOOL_EINVAL;
    default: return ZSPOOL_EIO;
    }
}

//  The same for reading pairs
static int
s_read_code (int rc)
{
    int code = s_code (rc);
    return code == ZSPOOL_ECORRUPT? ZSPOOL_EIO: code;
}

static MDB_val
s_val (zspool_bytes_t bytes)
{
    MDB_val val = { bytes.size, (void *) (uintptr_t) bytes.data };
    return val;
}

static zspool_bytes_t
s_bytes (MDB_val val)
{
    zspool_bytes_t bytes = { (const uint8_t *) val.mv_data, val.mv_size };
    return bytes;
}

//  Without a lock file nobody has the database open, and a look needs none.
static unsigned
s_look_flags (const char *directory)
{
    char path [PATH_MAX];
    int length = snprintf (path, sizeof path, "%s/lock.mdb", directory);
    bool none = length < (int) sizeof path && access (path, F_OK) != 0 && errno == ENOENT;
    return none? MDB_RDONLY | MDB_NOLOCK: MDB_RDONLY;
}

static int
s_open_env (zspool_engine_t *self, const char *directory, zspool_engine_mode_t mode)
{
    unsigned flags = mode == ZSPOOL_ENGINE_WRITE? 0: MDB_RDONLY;
    if (mode == ZSPOOL_ENGINE_LOOK)
        flags = s_look_flags (directory);
    int rc = mdb_env_create (&self->env);
    if (!rc)
        rc = mdb_env_set_maxdbs (self->env, TABLES_MAX);
    if (!rc)
        rc = mdb_env_set_maxreaders (self->env, READERS_MAX);
    //  A reader takes the map's size from the store.
    if (!rc && mode == ZSPOOL_ENGINE_WRITE)
        rc = mdb_env_set_mapsize (self->env, self->map_bytes);
    if (!rc)
        rc = mdb_env_open (self->env, directory, MDB_NOTLS | flags, 0600);
    return rc;
}

//  Prepare what only writing needs.
static int
s_open_for_writing (zspool_engine_t *self)
{
    uint64_t used = zspool_engine_used_bytes (self), map_bytes_min = used + MAP_SPARE_BYTES;
    int rc = MDB_SUCCESS, fd;
    if (self->map_bytes < map_bytes_min)
        rc = mdb_env_set_mapsize (self->env, map_bytes_min);
    if (rc)
        return s_code (rc);
    mdb_env_get_fd (self->env, &fd);
    rc = zspool_space_init (&self->space, fd, used);
    if (rc)
        return rc;
    zspool_engine_check_readers (self);
    return zspool_view_new (self, &self->free_view);
}

int
zspool_engine_open (zspool_engine_t **self_p, const char *directory, zspool_engine_mode_t mode,
                    uint64_t map_bytes, int *sys_error)
{
    *sys_error = 0;
    zspool_engine_t *self = (zspool_engine_t *) calloc (1, sizeof *self);
    if (!self)
        return ZSPOOL_ENOMEM;
    self->pid = getpid ();
    self->map_bytes = map_bytes;
    int rc = s_open_env (self, directory, mode);
    *sys_error = rc > 0? rc: 0;
    rc = s_code (rc);
    if (rc == ZSPOOL_OK && mode == ZSPOOL_ENGINE_WRITE)
        rc = s_open_for_writing (self);
    if (rc)
        zspool_engine_close (&self);
    else
        *self_p = self;
    return rc;
}

void
zspool_engine_close (zspool_engine_t **self_p)
{
    zspool_engine_t *self = *self_p;
    if (!self)
        return;
    zspool_engine_abort (self);
    zspool_view_destroy (&self->free_view);
    if (self->env)
        mdb_env_close (self->env);
    free (self);
    *self_p = NULL;
}

int
zspool_engine_sync (zspool_engine_t *self)
{
    return mdb_env_sync (self->env, 1)? ZSPOOL_EIO: ZSPOOL_OK;
}

int
zspool_engine_copy (zspool_engine_t *self, int fd, bool compact)
{
    return s_code (mdb_env_copyfd2 (self->env, fd, compact? MDB_CP_COMPACT: 0));
}

int
zspool_engine_begin (zspool_engine_t *self, zspool_txn_t **txn)
{
    assert (!self->write.txn);
    int rc = mdb_txn_begin (self->env, NULL, 0, &self->write.txn);
    if (!rc)
        *txn = &self->write;
    return s_code (rc);
}

int
zspool_engine_commit (zspool_engine_t *self)
{
    int rc = mdb_txn_commit (self->write.txn);
    self->write.txn = NULL;
    return s_code (rc);
}

void
zspool_engine_abort (zspool_engine_t *self)
{
    if (self->write.txn)
        mdb_txn_abort (self->write.txn);
    self->write.txn = NULL;
}

int
zspool_view_new (zspool_engine_t *engine, zspool_txn_t **view_p)
{
    if (engine->pid != getpid ())
        return ZSPOOL_EINVAL;
    zspool_txn_t *view = (zspool_txn_t *) calloc (1, sizeof *view);
    if (!view)
        return ZSPOOL_ENOMEM;
    int rc = mdb_txn_begin (engine->env, NULL, MDB_RDONLY, &view->txn);
    if (rc) {
        free (view);
        return s_code (rc);
    }
    mdb_txn_reset (view->txn);
    view->pid = engine->pid;
    *view_p = view;
    return ZSPOOL_OK;
}

int
zspool_view_take (zspool_txn_t *view)
{
    if (view->pid != getpid ())
        return ZSPOOL_EINVAL;
    return s_code (mdb_txn_renew (view->txn));
}

void
zspool_view_release (zspool_txn_t *view)
{
    mdb_txn_reset (view->txn);
}

void
zspool_view_destroy (zspool_txn_t **view_p)
{
    if (*view_p) {
        //  In a forked child it is still the parent's.
        if ((*view_p)->pid == getpid ())
            mdb_txn_abort ((*view_p)->txn);
        free (*view_p);
    }
    *view_p = NULL;
}

int
zspool_engine_table (zspool_engine_t *self, const char *name, zspool_table_t *table)
{
    MDB_dbi dbi;
    if (self->write.txn) {
        int rc = mdb_dbi_open (self->write.txn, name, MDB_CREATE, &dbi);
        if (!rc)
            *table = dbi;
        return s_code (rc);
    }
    MDB_txn *txn;
    int rc = mdb_txn_begin (self->env, NULL, MDB_RDONLY, &txn);
    if (rc)
        return s_code (rc);
    rc = mdb_dbi_open (txn, name, 0, &dbi);
    if (rc) {
        mdb_txn_abort (txn);
        return s_code (rc);
    }
    //  Committing keeps the handle beyond the transaction.
    rc = mdb_txn_commit (txn);
    if (!rc)
        *table = dbi;
    return s_code (rc);
}

int
zspool_txn_get (zspool_txn_t *self, zspool_table_t table, zspool_bytes_t key, zspool_bytes_t *value)
{
    MDB_val k = s_val (key), v;
    int rc = mdb_get (self->txn, table, &k, &v);
    if (!rc)
        *value = s_bytes (v);
    return s_read_code (rc);
}

int
zspool_txn_put (zspool_txn_t *self, zspool_table_t table, zspool_bytes_t key, zspool_bytes_t value)
{
    MDB_val k = s_val (key), v = s_val (value);
    return s_code (mdb_put (self->txn, table, &k, &v, 0));
}

int
zspool_txn_entries (zspool_txn_t *self, zspool_table_t table, uint64_t *entries)
{
    MDB_stat stat;
    int rc = mdb_stat (self->txn, table, &stat);
    if (!rc)
        *entries = stat.ms_entries;
    return s_code (rc);
}

int
zspool_txn_append (zspool_txn_t *self, zspool_table_t table, zspool_bytes_t key, size_t size,
                   uint8_t **to)
{
    MDB_val k = s_val (key), v = { size, NULL };
    int rc = mdb_put (self->txn, table, &k, &v, MDB_RESERVE | MDB_APPEND);
    if (!rc)
        *to = (uint8_t *) v.mv_data;
    return s_code (rc);
}

int
zspool_txn_delete (zspool_txn_t *self, zspool_table_t table, zspool_bytes_t key)
{
    MDB_val k = s_val (key);
    return s_code (mdb_del (self->txn, table, &k, NULL));
}

int
zspool_iter_open (zspool_txn_t *txn, zspool_table_t table, zspool_iter_t **iter_p)
{
    zspool_iter_t *self = (zspool_iter_t *) calloc (1, sizeof *self);
    if (!self)
        return ZSPOOL_ENOMEM;
    int rc = mdb_cursor_open (txn->txn, table, &self->cursor);
    if (rc)
        free (self);
    else
        *iter_p = self;
    return s_code (rc);
}

void
zspool_iter_close (zspool_iter_t **iter_p)
{
    if (*iter_p) {
        mdb_cursor_close ((*iter_p)->cursor);
        free (*iter_p);
    }
    *iter_p = NULL;
}

static int
s_iter_move (zspool_iter_t *self, MDB_val *k, MDB_cursor_op op, zspool_bytes_t *key,
             zspool_bytes_t *value)
{
    MDB_val v;
    int rc = mdb_cursor_get (self->cursor, k, &v, op);
    if (rc)
        return s_read_code (rc);
    *key = s_bytes (*k);
    *value = s_bytes (v);
    return ZSPOOL_OK;
}

int
zspool_iter_seek (zspool_iter_t *self, zspool_bytes_t at_or_after, zspool_bytes_t *key,
                  zspool_bytes_t *value)
{
    MDB_val k = s_val (at_or_after);
    return s_iter_move (self, &k, MDB_SET_RANGE, key, value);
}

int
zspool_iter_last (zspool_iter_t *self, zspool_bytes_t *key, zspool_bytes_t *value)
{
    MDB_val k;
    return s_iter_move (self, &k, MDB_LAST, key, value);
}

int
zspool_iter_next (zspool_iter_t *self, zspool_bytes_t *key, zspool_bytes_t *value)
{
    //  LMDB's cursor stands on the next pair after a deletion, and its MDB_NEXT knows that.
    MDB_val k;
    return s_iter_move (self, &k, MDB_NEXT, key, value);
}

int
zspool_iter_previous (zspool_iter_t *self, zspool_bytes_t *key, zspool_bytes_t *value)
{
    MDB_val k;
    return s_iter_move (self, &k, MDB_PREV, key, value);
}

int
zspool_iter_delete (zspool_iter_t *self)
{
    return s_code (mdb_cursor_del (self->cursor, 0));
}

uint64_t
zspool_engine_used_bytes (zspool_engine_t *self)
{
    MDB_envinfo info;
    mdb_env_info (self->env, &info);
    return (info.me_last_pgno + 1) * (uint64_t) ZSPOOL_PAGE_BYTES;
}

uint64_t
zspool_engine_spare_bytes (zspool_engine_t *self)
{
    MDB_envinfo info;
    mdb_env_info (self->env, &info);
    uint64_t used = zspool_engine_used_bytes (self);
    uint64_t end = self->space.reserved_end;
    if (end > info.me_mapsize)
        end = info.me_mapsize;
    return end > used? end - used: 0;
}

//  Called with each list of free pages: who freed them, and their numbers
typedef void (s_free_fn) (void *arg, size_t freed_by, const size_t *pages, size_t count);

//  Walk LMDB's free list, as a view shows it.
static void
s_walk_free (MDB_txn *txn, s_free_fn *function, void *arg)
{
    //  It is table 0: the key is the transaction that freed the pages, the value a list of page
    //  numbers, its length first.
    MDB_cursor *cursor;
    if (mdb_cursor_open (txn, 0, &cursor))
        return;
    MDB_val key, value;
    while (mdb_cursor_get (cursor, &key, &value, MDB_NEXT) == 0) {
        size_t freed_by, count;
        const size_t *list = (const size_t *) value.mv_data;
        memcpy (&freed_by, key.mv_data, sizeof freed_by);
        memcpy (&count, list, sizeof count);
        if (count < value.mv_size / sizeof count)
            function (arg, freed_by, list + 1, count);
    }
    mdb_cursor_close (cursor);
}

//  Free pages that transactions before `before` freed
typedef struct {
    size_t before;
    uint64_t pages;
} s_sum_t;

static void
s_add_to_sum (void *arg, size_t freed_by, const size_t *pages, size_t count)
{
    s_sum_t *sum = (s_sum_t *) arg;
    if (freed_by < sum->before)
        sum->pages += count;
    (void) pages;
}

static uint64_t
s_free_bytes (MDB_txn *txn, size_t before)
{
    s_sum_t sum = { before, 0 };
    s_walk_free (txn, s_add_to_sum, &sum);
    return sum.pages * ZSPOOL_PAGE_BYTES;
}

uint64_t
zspool_view_free_bytes (zspool_txn_t *view)
{
    return s_free_bytes (view->txn, SIZE_MAX);
}

static void
s_add_to_map (void *arg, size_t freed_by, const size_t *pages, size_t count)
{
    for (size_t index = 0; index < count; index++)
        zspool_free_map_add ((zspool_free_map_t *) arg, pages [index]);
    (void) freed_by;
}

uint64_t
zspool_engine_scattered_bytes (zspool_engine_t *self, uint64_t run_pages)
{
    zspool_free_map_t map;
    if (zspool_free_map_init (&map, zspool_engine_used_bytes (self) / ZSPOOL_PAGE_BYTES))
        return 0;
    uint64_t scattered = 0;
    if (zspool_view_take (self->free_view) == ZSPOOL_OK) {
        s_walk_free (self->free_view->txn, s_add_to_map, &map);
        zspool_view_release (self->free_view);
        scattered = zspool_free_map_scattered (&map, run_pages);
    }
    zspool_free_map_done (&map);
    return scattered * ZSPOOL_PAGE_BYTES;
}

//  The reader that shows the oldest state
typedef struct {
    size_t txn;               //  which transaction's
    long pid;                 //  0: there is none
} s_oldest_t;

//  Called with a line for each reader: process, thread, and the transaction it sees or "-"
static int
s_lower_to_reader (const char *line, void *arg)
{
    s_oldest_t *oldest = (s_oldest_t *) arg;
    size_t txn;
    long pid;
    if (sscanf (line, "%ld %*s %zu", &pid, &txn) == 2 && (!oldest->pid || txn < oldest->txn)) {
        oldest->txn = txn;
        oldest->pid = pid;
    }
    return 0;
}

uint64_t
zspool_engine_oldest_view (zspool_engine_t *self, int64_t *process)
{
    s_oldest_t oldest = { 0, 0 };
    MDB_envinfo info;
    mdb_reader_list (self->env, s_lower_to_reader, &oldest);
    mdb_env_info (self->env, &info);
    *process = oldest.pid;
    return oldest.pid && oldest.txn < info.me_last_txnid? info.me_last_txnid - oldest.txn: 0;
}

uint64_t
zspool_engine_reusable_bytes (zspool_engine_t *self)
{
    //  LMDB uses again what was freed before the oldest transaction that a reader, or the last
    //  commit, still shows.
    MDB_envinfo info;
    mdb_env_info (self->env, &info);
    s_oldest_t oldest = { 0, 0 };
    mdb_reader_list (self->env, s_lower_to_reader, &oldest);
    if (!oldest.pid || oldest.txn > info.me_last_txnid)
        oldest.txn = info.me_last_txnid;
    if (zspool_view_take (self->free_view))
        return 0;
    uint64_t bytes = s_free_bytes (self->free_view->txn, oldest.txn);
    zspool_view_release (self->free_view);
    return bytes;
}

int
zspool_engine_reserve (zspool_engine_t *self, uint64_t bytes)
{
    uint64_t used = zspool_engine_used_bytes (self);
    uint64_t needed_end = used + bytes + ZSPOOL_HEADROOM_BYTES;
    int rc = zspool_space_reserve (&self->space, used, needed_end);
    return rc == ZSPOOL_OK && needed_end > self->map_bytes? ZSPOOL_ENOSPC: rc;
}

void
zspool_engine_check_readers (zspool_engine_t *self)
{
    int dead;
    mdb_reader_check (self->env, &dead);
}
