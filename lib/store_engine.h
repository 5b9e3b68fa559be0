//  store_engine.h - ordered tables with transactions: what the store needs from a database
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The only implementation is store_lmdb.c. Threads: an engine and its write transaction belong to
//  one thread; a view (read snapshot) belongs to one thread at a time, any. Bytes given out by get
//  and by iterators are the database's own: they end with the transaction or view that gave them.
//  In a forked child views give EINVAL, and the engine must not be used.

#ifndef ZSPOOL_STORE_ENGINE_H_INCLUDED
#define ZSPOOL_STORE_ENGINE_H_INCLUDED

#include "zspool_library.h"

#define ZSPOOL_PAGE_BYTES 4096
//  A value of this size takes exactly one page of its own, header included.
#define ZSPOOL_PAGE_VALUE_BYTES 4080

typedef struct zspool_engine zspool_engine_t;
typedef struct zspool_txn zspool_txn_t;   //  a write transaction or a view
typedef struct zspool_iter zspool_iter_t;
typedef unsigned int zspool_table_t;

typedef struct {
    const uint8_t *data;
    size_t size;
} zspool_bytes_t;

typedef enum {
    ZSPOOL_ENGINE_LOOK,   //  briefly, for reading; makes no file
    ZSPOOL_ENGINE_READ,
    ZSPOOL_ENGINE_WRITE   //  creates the database when it is not there
} zspool_engine_mode_t;

//  Open the database in a directory that exists. map_bytes, for writing: what the file may grow to.
//  Errors as zspool_store_open () lists them; *sys_error is errno's value or 0.
int
    zspool_engine_open (zspool_engine_t **self_p, const char *directory, zspool_engine_mode_t mode,
                        uint64_t map_bytes, int *sys_error);
void
    zspool_engine_close (zspool_engine_t **self_p);

//  Make durable what is in the file, whoever wrote it. For writing only. EIO.
int
    zspool_engine_sync (zspool_engine_t *self);

//  Write the whole database, as it is at one moment, to a descriptor; `compact` leaves out free
//  pages. For as long as that takes it keeps the database from reusing space; but writers wait only
//  for its first page. May run in a thread besides the engine's. Errors: the descriptor's, EIO.
int
    zspool_engine_copy (zspool_engine_t *self, int fd, bool compact);

//  Begin the write transaction (one at a time); commit it, durable on return; or drop it. Both end
//  it.
int
    zspool_engine_begin (zspool_engine_t *self, zspool_txn_t **txn);
int
    zspool_engine_commit (zspool_engine_t *self);
void
    zspool_engine_abort (zspool_engine_t *self);

//  Create a view; take () makes it see what is committed now, release () lets that go. A view that
//  was taken keeps the database from reusing space: release it soon.
int
    zspool_view_new (zspool_engine_t *engine, zspool_txn_t **view_p);
int
    zspool_view_take (zspool_txn_t *view);
void
    zspool_view_release (zspool_txn_t *view);
void
    zspool_view_destroy (zspool_txn_t **view_p);

//  Open a table by name, to be used in any transaction from then on. Within the write transaction
//  it is created when it is not there; otherwise: ENOENT. Only on the engine's thread.
int
    zspool_engine_table (zspool_engine_t *self, const char *name, zspool_table_t *table);

int
    zspool_txn_get (zspool_txn_t *self, zspool_table_t table, zspool_bytes_t key, zspool_bytes_t *value);
int
    zspool_txn_put (zspool_txn_t *self, zspool_table_t table, zspool_bytes_t key, zspool_bytes_t value);
int
    zspool_txn_delete (zspool_txn_t *self, zspool_table_t table, zspool_bytes_t key);

//  How many pairs a table has.
int
    zspool_txn_entries (zspool_txn_t *self, zspool_table_t table, uint64_t *entries);

//  Append a value of `size` bytes under a key higher than all in the table; the caller fills *to at
//  once.
int
    zspool_txn_append (zspool_txn_t *self, zspool_table_t table, zspool_bytes_t key, size_t size,
                       uint8_t **to);

//  Iterate in order of keys: open, seek or go to the last, next (at first: the first pair) or
//  previous until ENOENT, close. Deleting removes the current pair; next then gives the one behind
//  it. A damaged database gives EIO here, at whatever pair: never ECORRUPT, which is for what is in
//  a pair.
int
    zspool_iter_open (zspool_txn_t *txn, zspool_table_t table, zspool_iter_t **iter_p);
void
    zspool_iter_close (zspool_iter_t **iter_p);
int
    zspool_iter_seek (zspool_iter_t *self, zspool_bytes_t at_or_after, zspool_bytes_t *key,
                      zspool_bytes_t *value);
int
    zspool_iter_last (zspool_iter_t *self, zspool_bytes_t *key, zspool_bytes_t *value);
int
    zspool_iter_next (zspool_iter_t *self, zspool_bytes_t *key, zspool_bytes_t *value);
int
    zspool_iter_previous (zspool_iter_t *self, zspool_bytes_t *key, zspool_bytes_t *value);
int
    zspool_iter_delete (zspool_iter_t *self);

//  Make sure that a transaction may add `bytes` to the file, and that ZSPOOL_HEADROOM_BYTES are
//  left for acknowledging and trimming after that: ENOSPC when the disk or the map has no room.
#define ZSPOOL_HEADROOM_BYTES (16 * 1024 * 1024)
int
    zspool_engine_reserve (zspool_engine_t *self, uint64_t bytes);

//  Bytes of the file in use as of the last commit, and how much it may grow for sure, on space that
//  is reserved already.
uint64_t
    zspool_engine_used_bytes (zspool_engine_t *self);
uint64_t
    zspool_engine_spare_bytes (zspool_engine_t *self);

//  Bytes of the file that the open write transaction could use again, page by page; and in a view,
//  all that are free. Counted now: a walk over the free list, some ms for each GiB free.
uint64_t
    zspool_engine_reusable_bytes (zspool_engine_t *self);
uint64_t
    zspool_view_free_bytes (zspool_txn_t *view);

//  Bytes of the free pages that lie in runs of fewer than so many, as of the last commit: of no use
//  for a value that takes more, but looked through for each. Takes the time of the above, and a bit
//  of memory for each page of the file meanwhile. 0 when there is no memory.
uint64_t
    zspool_engine_scattered_bytes (zspool_engine_t *self, uint64_t run_pages);

//  Forget readers that died without leaving.
void
    zspool_engine_check_readers (zspool_engine_t *self);

//  How many commits were made since the oldest state that a view of any process shows: space freed
//  since then cannot be used again. *process is whose view that is. 0, and process 0, when none was
//  taken. Any thread.
uint64_t
    zspool_engine_oldest_view (zspool_engine_t *self, int64_t *process);

#endif
