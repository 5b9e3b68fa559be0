//  zspool_store.h - durable spools and cursors in a directory
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A store is a directory. One process at a time may write it; any number may read it meanwhile.
//
//  Caveats
//  - Open a directory once per process, never on a remote file system. A child of fork () may
//    destroy the store, which closes nothing, and must do nothing else with it.
//  - A store belongs to one thread, that which opened it, as do its transactions: only that may
//    call the functions below. Readers (zspool_reader.h) made from it may live in other threads,
//    each in one; destroy them before the store.
//  - A commit that fails is final (EFAILED ever after): close the store, find out why, open it
//    again. What was committed before is safe. Of the commit that failed, all is there then, or
//    nothing.
//  - ENOSPC and ELIMIT are not final: nothing was changed, acknowledging still works, appending may
//    succeed later. After any other error of the disk or memory in a transaction, roll it back.
//  - Any code of zspool_error_t that a function does not name is possible where it reads or writes
//    the disk: EIO, ENOMEM, ECORRUPT.

#ifndef ZSPOOL_STORE_H_INCLUDED
#define ZSPOOL_STORE_H_INCLUDED

#include "zspool_block.h"
#include "zspool_start.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ZSPOOL_NAME_MAX 127         //  longest name of a spool or a cursor, bytes
#define ZSPOOL_SPOOLS_MAX 1000      //  most spools in a store
#define ZSPOOL_CURSORS_MAX 1000     //  most cursors on a spool
#define ZSPOOL_PRODUCERS_MAX 100000 //  most named producers in a store
#define ZSPOOL_MAP_BYTES (1ULL << 40) //  default size of the memory map: the most a store can hold
#define ZSPOOL_MAP_BYTES_MIN (64ULL << 20)

typedef struct zspool_store zspool_store_t;

typedef enum {
    ZSPOOL_READ,  //  needs an existing store; never changes it
    ZSPOOL_WRITE  //  exclusive; creates directory and store when they are not there, with mode 0700 / 0600
} zspool_mode_t;

//  Where a new cursor starts
#define ZSPOOL_START_FIRST 1                //  at the oldest message that is stored
#define ZSPOOL_START_NEW UINT64_MAX         //  behind the newest: only messages yet to come

//  What a spool holds
typedef struct {
    uint32_t id;                  //  number, never reused in this store
    char name [ZSPOOL_NAME_MAX + 1];
    uint64_t first_sequence;      //  oldest message stored; 0 when none is
    uint64_t last_sequence;       //  newest message ever committed; 0 when none was
    uint64_t sequence_ceiling;    //  nothing above it was forwarded
    uint64_t messages;            //  stored now
    uint64_t bytes;               //  of the blocks stored now
    uint64_t blocks;              //  stored now
    uint64_t lost;                //  sequences in recorded gaps: possibly forwarded and lost
} zspool_spool_info_t;

//  What happens when a spool has no room under its limit for what is appended
#define ZSPOOL_LIMIT_BYTES_MIN (1024 * 1024) //  smallest limit
typedef enum {
    ZSPOOL_ON_FULL_PAUSE,         //  it is refused, until enough of what is stored was acknowledged
    ZSPOOL_ON_FULL_DROP_OLDEST    //  the oldest blocks are removed, whoever has not acknowledged them
} zspool_on_full_t;

//  How long a spool keeps its messages. Its oldest block goes when any of the first three is
//  exceeded, and every cursor has acknowledged it, or that is not asked for.
#define ZSPOOL_KEEP_UNLIMITED UINT64_MAX
typedef struct {
    uint64_t age_us;              //  goes when the newest message of the block is older, microseconds
    uint64_t bytes;               //  goes when the blocks behind it have as many
    uint64_t messages;            //  goes when there are as many messages behind it; 0: a queue
    bool unacked;                 //  what a cursor has not acknowledged is kept, whatever the limits
} zspool_retention_t;

//  Where a cursor stands
typedef struct {
    uint32_t id;                  //  number, never reused in this spool
    char name [ZSPOOL_NAME_MAX + 1];
    uint32_t generation;          //  raised when the cursor is moved
    uint64_t floor;               //  every message up to this one is acknowledged
    uint64_t sent_to;             //  every message up to this one was delivered at least once
    uint64_t pending;             //  stored messages not acknowledged
    uint64_t in_flight;           //  of those: delivered at least once
    uint64_t lagged;              //  dropped though not acknowledged, ever: at a limit of its spool
    int64_t pending_us;           //  when the oldest of the pending was stored, microseconds since 1970,
                                  //  UTC; 0: none is
} zspool_cursor_info_t;

//  Create a handle for a directory; nothing is touched yet. NULL when memory is out or the path is
//  empty.
ZSPOOL_EXPORT zspool_store_t *
    zspool_store_new (const char *directory);

//  Close the store and set *self_p to NULL; an open transaction is rolled back. A clean close needs
//  no recovery at the next open. NULL-safe.
ZSPOOL_EXPORT void
    zspool_store_destroy (zspool_store_t **self_p);

//  Size of the memory map in bytes (ZSPOOL_MAP_BYTES_MIN to 2^46, default ZSPOOL_MAP_BYTES), before
//  opening. It costs address space, not memory, and bounds what the store can hold; a part of it,
//  16 MiB, is kept for acknowledging. A store that holds more already opens all the same. EINVAL
//  when out of range or open.
ZSPOOL_EXPORT int
    zspool_store_set_map_bytes (zspool_store_t *self, uint64_t map_bytes);

//  Open the store. Constant time, whatever it holds. After an unclean stop numbering resumes above
//  all that may have been forwarded, and the gap is recorded, durably, before this returns. Opened
//  for writing, all that the store shows is durable when this returns, whoever wrote it: also what
//  a killed process left in memory only, or what was copied here. Opened for reading, the last
//  commit that it shows may not be, for as long as that commit takes. Errors: ENOENT (reading, no
//  such store), ENOTSTORE, EVERSION, ELOCKED, EOPEN, EACCES, EREMOTE, ENOSPC, EIO, ENOMEM, ECORRUPT
//  (also when the end of its file is missing); zspool_store_reason () has a line of text. Nothing
//  was changed in these cases; but when ENOSPC or EIO stopped a store from being created, it may be
//  there, empty. EINVAL: it is open.
ZSPOOL_EXPORT int
    zspool_store_open (zspool_store_t *self, zspool_mode_t mode);

//  One line that says why the last call that failed did; "" when none has. Valid until the next
//  call.
ZSPOOL_EXPORT const char *
    zspool_store_reason (const zspool_store_t *self);

//  The directory, and the store's random number: new at creation and at restoring from a backup.
ZSPOOL_EXPORT const char *
    zspool_store_directory (const zspool_store_t *self);
ZSPOOL_EXPORT uint64_t
    zspool_store_incarnation (const zspool_store_t *self);

//  Where a store comes from
typedef enum {
    ZSPOOL_ORIGIN_NEW,     //  created empty
    ZSPOOL_ORIGIN_BACKUP,  //  a copy of another store, or of this one at an earlier time
    ZSPOOL_ORIGIN_SALVAGE  //  what could be saved of a damaged one
} zspool_origin_kind_t;

typedef struct {
    uint32_t format;           //  of the store, a version number
    int64_t created_us;        //  when it, or the first one that it was copied from, was created: since 1970, UTC
    zspool_origin_kind_t kind;
    int64_t copied_us;         //  when it was copied or salvaged, likewise; 0: it was not
    uint64_t incarnation;      //  of the store it was made from; 0: none, or not known
} zspool_origin_t;

//  Tell where the open store comes from. EINVAL when it is not open; ECORRUPT, EIO.
ZSPOOL_EXPORT int
    zspool_store_origin (zspool_store_t *self, zspool_origin_t *origin);

//  Begin a transaction: what follows until commit becomes durable and visible together, or not at
//  all. EINVAL when one is open, EREADONLY, EFAILED, ENOMEM.
ZSPOOL_EXPORT int
    zspool_store_begin (zspool_store_t *self);

//  Find a spool by name and give its number; in a transaction, create it when it is not there.
//  EINVAL (name empty, too long, or with bytes below 33 or a slash), ENOENT, ELIMIT, ENOMEM. The
//  name is copied. What was created is gone when the transaction is rolled back.
ZSPOOL_EXPORT int
    zspool_store_spool (zspool_store_t *self, const char *name, uint32_t *spool);

//  Limit what a spool may hold: max_bytes is that of its blocks, 0 for no limit (the default), or
//  ZSPOOL_LIMIT_BYTES_MIN and more. Blocks are whole: room is made, and given back, a block at a
//  time, and a cursor that has one message of a block left keeps all of it. The limit is this
//  handle's, not stored; it holds from the next call that appends; when more is stored already
//  nothing is lost before that.
//
//  What every cursor has acknowledged goes first, the oldest first, whatever the spool's retention
//  says. If that is not enough, zspool_store_put () and zspool_store_append () give ELIMIT under
//  ZSPOOL_ON_FULL_PAUSE: nothing else was changed, and the transaction can go on without the
//  message. Under ZSPOOL_ON_FULL_DROP_OLDEST they remove the oldest blocks in the same transaction.
//  Each cursor that had not acknowledged a message in one of these then stands behind it, and its
//  `lagged` counts that message; what an outlet was told, and has not handed in, may be counted
//  too. Acknowledging a removed message gives ESTALE.
//
//  EINVAL: no such spool, not a limit, or the store is open for reading. Only the store's own
//  thread.
ZSPOOL_EXPORT int
    zspool_store_set_limit (zspool_store_t *self, uint32_t spool, uint64_t max_bytes,
                            zspool_on_full_t on_full);

//  Say how long a spool keeps its messages, in a transaction: as a queue (ZSPOOL_KEEP_UNLIMITED for
//  age and bytes, 0 messages, unacked: the default), which keeps a message until every cursor has
//  acknowledged it, and all when there is none; or as a stream, which keeps more. With `unacked`
//  false it keeps no more, either: a cursor that had not acknowledged a message that goes then
//  stands behind it, and its `lagged` counts that message. The oldest blocks go with each commit,
//  some hundreds with one, so an idle spool keeps what is too old until then. A block is as old as
//  its stamp, which never decreases in a spool: when the clock is set back nothing goes early. What
//  every cursor has acknowledged is kept no longer when there is no room for what comes: under the
//  spool's limit, or on the disk. On a full disk an append still gives ENOSPC then, and the next
//  transaction begins with making the room: try again.
//
//  It is stored: whoever writes the store next goes by it. EINVAL: no transaction, no such spool,
//  or nothing would be kept at all (unacked false, and a limit of 0); EIO, ENOMEM.
ZSPOOL_EXPORT int
    zspool_store_set_retention (zspool_store_t *self, uint32_t spool,
                                const zspool_retention_t *retention);

//  Tell how long a spool keeps its messages; in the transaction that is open, as set there. EINVAL:
//  no such spool; EIO, ENOMEM. When its record is damaged everything is kept, and told so.
ZSPOOL_EXPORT int
    zspool_store_retention (zspool_store_t *self, uint32_t spool, zspool_retention_t *retention);

//  Find the message that a start means: a search, in the order of log2 of the number of blocks for
//  a time. What is given in *sequence fits zspool_store_cursor (), zspool_store_seek_cursor () and
//  zspool_reader_seek (): the sequence of a message, which need not be there, ZSPOOL_START_FIRST,
//  or ZSPOOL_START_NEW (also for a time at which nothing was stored yet). A time is that of
//  storing, and a block has one: messages that came a moment before may be at its start. In a
//  transaction what is appended there counts, too. EINVAL: no such spool, no such start; EIO,
//  ENOMEM.
ZSPOOL_EXPORT int
    zspool_store_find_start (zspool_store_t *self, uint32_t spool, const zspool_start_t *start,
                             uint64_t *sequence);

//  Find a cursor of a spool by name and give its number; in a transaction, create it when it is not
//  there, standing before the message `start` (a sequence, ZSPOOL_START_FIRST or ZSPOOL_START_NEW).
//  One that is there stays where it is. EINVAL, ENOENT, ELIMIT, ENOMEM.
ZSPOOL_EXPORT int
    zspool_store_cursor (zspool_store_t *self, uint32_t spool, const char *name, uint64_t start,
                         uint32_t *cursor);

//  Let a cursor stand before the message `start`, as zspool_store_cursor () does, in a transaction:
//  forward, so that what lies between counts as acknowledged, or back, so that what is still stored
//  is pending again. What was acknowledged out of order is forgotten, and its generation is raised:
//  tickets given before are stale. EINVAL: no transaction, no such cursor, or start is 0; EIO,
//  ENOMEM.
ZSPOOL_EXPORT int
    zspool_store_seek_cursor (zspool_store_t *self, uint32_t spool, uint32_t cursor, uint64_t start);

//  Delete a cursor, in a transaction, with all that is known of it; its number is not given again.
//  What only it had not acknowledged is removed as the spool's retention says, like anything
//  acknowledged; but a queue without any cursor keeps all. EINVAL: no transaction, no such cursor;
//  EIO, ENOMEM.
ZSPOOL_EXPORT int
    zspool_store_delete_cursor (zspool_store_t *self, uint32_t spool, uint32_t cursor);

//  Append one message to a spool, in a transaction; *sequence, if not NULL, is its number. Errors
//  as zspool_block_append () has them (never EFULL), and ENOSPC, ELIMIT, EFAILED, EINVAL; ETOOBIG
//  also when it is larger than the spool's limit. Durable after commit.
ZSPOOL_EXPORT int
    zspool_store_put (zspool_store_t *self, uint32_t spool, const zspool_frame_t *frames, size_t count,
                      uint64_t *sequence);

//  Append a sealed block to a spool, in a transaction. The block is stamped with its sequences, so
//  it must be the caller's alone, appended once, and in memory until the transaction ends. Durable
//  after commit. EINVAL, ENOSPC, ELIMIT, EFAILED; ETOOBIG: it is larger than the spool's limit.
ZSPOOL_EXPORT int
    zspool_store_append (zspool_store_t *self, uint32_t spool, zspool_block_t *block);

//  Acknowledge the messages first..last on a cursor, in a transaction. ESTALE when one of them is
//  not stored or is acknowledged already, and then none is, and the transaction can go on. EINVAL:
//  no such cursor, no transaction, or first is 0 or above last. Durable after commit. Messages that
//  every cursor of their spool has acknowledged are removed, whole blocks at a time, unless the
//  spool is to keep them longer.
ZSPOOL_EXPORT int
    zspool_store_ack (zspool_store_t *self, uint32_t spool, uint32_t cursor, uint64_t first,
                      uint64_t last);

//  Find a producer by name and give its number; in a transaction, create it when it is not there.
//  Producers are numbered in the store, whatever spools they put into. *epoch is how often it was
//  opened anew, *last the number of its last message that is stored. Each may be NULL. EINVAL (not a
//  name, as of spools), ENOENT, ELIMIT (ZSPOOL_PRODUCERS_MAX), ENOMEM.
ZSPOOL_EXPORT int
    zspool_store_producer (zspool_store_t *self, const char *name, uint32_t *producer, uint32_t *epoch,
                           uint64_t *last);

//  Say, in a transaction, that a producer was opened anew (epoch 0: it was not), or how far it has
//  got: durable and visible with the messages of the same transaction, or not at all. So who stores a
//  message and this in one transaction, and looks at `last` before, stores each message once. EINVAL:
//  no transaction, the producer was not found in this process, or epoch or last would fall; ENOMEM,
//  EIO.
ZSPOOL_EXPORT int
    zspool_store_set_producer (zspool_store_t *self, uint32_t producer, uint32_t epoch, uint64_t last);

//  A producer, as committed
typedef struct {
    uint32_t id;                              //  its number in the store
    char name [ZSPOOL_NAME_MAX + 1];
    uint32_t epoch;
    uint64_t last;
} zspool_producer_info_t;

//  Give the producer with the lowest number above `after`; 0 for the first. ENOENT: there is none;
//  ECORRUPT: its record is damaged, and of *info only the number is known; EINVAL: in a transaction;
//  EIO.
ZSPOOL_EXPORT int
    zspool_store_producer_info (zspool_store_t *self, uint32_t after, zspool_producer_info_t *info);

//  ------------------------------------------------------------------------------------------------
//  Tables of the application's own, in the same transactions: what is put there is durable and
//  visible together with the messages appended and acknowledged in the transaction, or not at all.
//  Names are as of spools, and tables and spools do not know each other's. Keys have 1 to
//  ZSPOOL_TABLE_KEY_MAX bytes, and are ordered as by memcmp (); values up to ZSPOOL_TABLE_VALUE_MAX.

#define ZSPOOL_TABLES_MAX 100                 //  most tables in a store
#define ZSPOOL_TABLE_KEY_MAX 500              //  bytes
#define ZSPOOL_TABLE_VALUE_MAX (16 * 1024 * 1024)

//  Find a table by name and give its number; in a transaction, create it when it is not there. EINVAL,
//  ENOENT, ELIMIT, ENOMEM. What was created is gone when the transaction is rolled back.
ZSPOOL_EXPORT int
    zspool_store_table (zspool_store_t *self, const char *name, uint32_t *table);

//  In a transaction: put a value under a key, replacing what was there; delete one (ENOENT: there is
//  none). EINVAL: no transaction, no such table, key or value; ENOSPC: the disk is full, nothing was
//  changed, and the transaction can go on.
ZSPOOL_EXPORT int
    zspool_store_table_put (zspool_store_t *self, uint32_t table, zspool_frame_t key, zspool_frame_t value);
ZSPOOL_EXPORT int
    zspool_store_table_delete (zspool_store_t *self, uint32_t table, zspool_frame_t key);

//  Get the value of a key, or the pair with the first key at or behind one (empty: the first of
//  all). In a transaction as changed there, else as committed last. What is given is a copy, valid
//  until the next call of one of these two on the store. ENOENT: there is none; EINVAL, EIO,
//  ENOMEM.
ZSPOOL_EXPORT int
    zspool_store_table_get (zspool_store_t *self, uint32_t table, zspool_frame_t key, zspool_frame_t *value);
ZSPOOL_EXPORT int
    zspool_store_table_next (zspool_store_t *self, uint32_t table, zspool_frame_t from, zspool_frame_t *key,
                             zspool_frame_t *value);

//  A table, as committed
typedef struct {
    uint32_t id;
    char name [ZSPOOL_NAME_MAX + 1];
    uint64_t entries;                         //  pairs
} zspool_table_info_t;

//  Give the table with the lowest number above `after`; as zspool_store_producer_info (). ECORRUPT
//  also: the table is not there; ENOMEM.
ZSPOOL_EXPORT int
    zspool_store_table_info (zspool_store_t *self, uint32_t after, zspool_table_info_t *info);

//  Remove the blocks that hold only messages up to `sequence`, whoever acknowledged them, in a
//  transaction; cursors that stood before are moved up to it. EINVAL; ENOSPC only when the disk is
//  full and the spool holds more than 4 GiB: go on in smaller steps; EIO, ENOMEM. On failure roll
//  back.
ZSPOOL_EXPORT int
    zspool_store_trim (zspool_store_t *self, uint32_t spool, uint64_t sequence);

//  Commit: when this returns 0, all of the transaction is on disk, fsynced. On EFAILED the store
//  takes no more changes, and opening it again tells whether all of it is there or nothing. EINVAL
//  when no transaction is open. On any other error nothing of it is there; it is rolled back.
ZSPOOL_EXPORT int
    zspool_store_commit (zspool_store_t *self);

//  Drop the open transaction, if any. Sequences given in it are given again.
ZSPOOL_EXPORT void
    zspool_store_rollback (zspool_store_t *self);

//  List spools, and the cursors of one: call with index 0, 1, ... until ENOENT. What is committed
//  counts. Not inside a transaction (EINVAL).
ZSPOOL_EXPORT int
    zspool_store_spool_info (zspool_store_t *self, size_t index, zspool_spool_info_t *info);
ZSPOOL_EXPORT int
    zspool_store_cursor_info (zspool_store_t *self, uint32_t spool, size_t index,
                              zspool_cursor_info_t *info);

//  Bytes the store takes in its file, and how many of them are free for reuse; 0 when it is not
//  open, and none are free inside a transaction. The file itself may be longer by what is reserved
//  ahead.
ZSPOOL_EXPORT uint64_t
    zspool_store_file_bytes (zspool_store_t *self);
ZSPOOL_EXPORT uint64_t
    zspool_store_free_bytes (zspool_store_t *self);

//  How many commits were made since the oldest state that a reader of the store, in any process,
//  still looks at; *process is the number of that process, 0 when none looks at it now. Space that
//  was freed since then cannot be used again: a number that keeps rising, as when that process is
//  stopped or hangs, makes the store grow.
ZSPOOL_EXPORT uint64_t
    zspool_store_oldest_reader (zspool_store_t *self, int64_t *process);

//  Called by zspool_store_verify () for each finding: spool name, first and last sequence concerned
//  (0 when unknown), and what is wrong.
typedef void (zspool_verify_fn) (void *arg, const char *spool, uint64_t first, uint64_t last,
                                 const char *problem);

//  Read every block, cursor and count of the store and check them against each other. Returns the
//  number of findings, 0 for a sound store, or a negative code when reading is impossible.
//  `blocks`, if not NULL, is the number of blocks read. Takes time in proportion to the store;
//  holds no snapshot meanwhile. EINVAL: it is not open, or in a transaction.
ZSPOOL_EXPORT int
    zspool_store_verify (zspool_store_t *self, zspool_verify_fn *report, void *arg, uint64_t *blocks);

#ifdef __cplusplus
}
#endif

#endif
