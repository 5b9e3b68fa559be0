//  store_state.h - the small records of a store: what it is, its spools, cursors and gaps
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_STORE_STATE_H_INCLUDED
#define ZSPOOL_STORE_STATE_H_INCLUDED

#include "cursor.h"
#include "store_engine.h"
#include "zspool_store.h"

#define ZSPOOL_STATE_TABLE "state"
#define ZSPOOL_FORMAT_VERSION 3    //  newest that is known
#define ZSPOOL_FORMAT_QUEUES 1     //  a store that holds nothing but queues, and has lost no cursor
#define ZSPOOL_FORMAT_STREAMS 2    //  history, deleted cursors, blocks with an index
#define ZSPOOL_FORMAT_SERVICE 3    //  producers, tables of an application

//  The store
typedef struct {
    uint64_t incarnation; //  random, of this store's life
    int64_t created_us;   //  microseconds since 1970, UTC
    uint32_t next_spool;  //  number of the next spool created
    uint32_t format;      //  of the store: what one must know who opens it
} zspool_store_record_t;

//  What it was made from; there is none for a store that was created empty
typedef struct {
    uint32_t kind;        //  of zspool_origin_kind_t
    uint64_t incarnation; //  of the store it was made from; 0: not known
    int64_t copied_us;    //  microseconds since 1970, UTC
} zspool_origin_record_t;

//  A spool
typedef struct {
    char name [ZSPOOL_NAME_MAX + 1];
    uint64_t next_sequence;    //  of the next message
    uint64_t last_sequence;    //  newest message committed
    uint64_t sequence_ceiling; //  nothing above was forwarded
    uint64_t messages;         //  stored
    uint64_t bytes;            //  stored, of blocks
    uint64_t blocks;           //  stored
    uint64_t lost;             //  sequences in gaps
    int64_t stored_us;         //  of the newest block
    uint32_t next_cursor;      //  number of the next cursor created
    uint32_t cursors_deleted;  //  of those before; has a record of its own
} zspool_spool_record_t;

//  A cursor
typedef struct {
    char name [ZSPOOL_NAME_MAX + 1];
    uint32_t generation;
    uint64_t floor;
    uint64_t sent_to;
    uint64_t lagged;           //  messages dropped, not acknowledged; has a record of its own
} zspool_cursor_record_t;

//  A producer
typedef struct {
    char name [ZSPOOL_NAME_MAX + 1];
    uint32_t epoch;            //  how often it was opened anew
    uint64_t last;             //  number of its last message stored
} zspool_producer_record_t;

//  Sequences that were possibly forwarded, and lost
typedef struct {
    uint64_t first;
    uint64_t last;
    int64_t found_us;          //  when it was recorded
} zspool_gap_t;

//  Writing. Errors are the engine's.
int
    zspool_state_put_store (zspool_txn_t *txn, zspool_table_t table, const zspool_store_record_t *store);
int
    zspool_state_put_origin (zspool_txn_t *txn, zspool_table_t table,
                             const zspool_origin_record_t *origin);
int
    zspool_state_put_spool (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                            const zspool_spool_record_t *record);
int
    zspool_state_put_cursor (zspool_txn_t *txn, zspool_table_t table, uint32_t spool, uint32_t cursor,
                             const zspool_cursor_record_t *record);
int
    zspool_state_put_gap (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                          const zspool_gap_t *gap);
int
    zspool_state_put_entry (zspool_txn_t *txn, zspool_table_t table, uint32_t spool, uint32_t cursor,
                            const zspool_cursor_entry_t *entry);

//  How many messages a cursor has lost at a limit of its spool: a record that is there only if it did
int
    zspool_state_put_lagged (zspool_txn_t *txn, zspool_table_t table, uint32_t spool, uint32_t cursor,
                             uint64_t lagged);

//  Read it: *lagged is 0 when there is no record, or a damaged one: then the cursor is as good as
//  ever, and only zspool_store_verify () tells.
int
    zspool_state_get_lagged (zspool_txn_t *txn, zspool_table_t table, uint32_t spool, uint32_t cursor,
                             uint64_t *lagged);

bool
    zspool_state_lagged_is_damaged (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                                    uint32_t cursor);

//  How long a spool keeps its messages: a record that is there only if it is no queue; putting what a
//  queue has deletes it
int
    zspool_state_put_retention (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                                const zspool_retention_t *retention);

//  Read it. A damaged record keeps everything: nothing is lost by it, and zspool_store_verify () and
//  the second function tell.
int
    zspool_state_get_retention (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                                zspool_retention_t *retention);
bool
    zspool_state_retention_is_damaged (zspool_txn_t *txn, zspool_table_t table, uint32_t spool);

//  How many cursors of a spool were deleted: a record that is there only if some were
int
    zspool_state_put_deleted (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                              uint32_t cursors_deleted);

//  Read it: *cursors_deleted is 0 when there is no record, or a damaged one, which only makes salvage
//  believe that they were lost.
int
    zspool_state_get_deleted (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                              uint32_t *cursors_deleted);

//  A producer's record, and its number by its name. ENOENT, ECORRUPT.
int
    zspool_state_put_producer (zspool_txn_t *txn, zspool_table_t table, uint32_t producer,
                               const zspool_producer_record_t *record);
int
    zspool_state_get_producer (zspool_txn_t *txn, zspool_table_t table, uint32_t producer,
                               zspool_producer_record_t *record);
int
    zspool_state_put_producer_name (zspool_txn_t *txn, zspool_table_t table, const char *name,
                                    uint32_t producer);
int
    zspool_state_find_producer (zspool_txn_t *txn, zspool_table_t table, const char *name,
                                uint32_t *producer);
//  The producer with the lowest number above *producer, which becomes its number, also when its record
//  is damaged; and the first name behind one, likewise. ENOENT, ECORRUPT.
int
    zspool_state_next_producer (zspool_txn_t *txn, zspool_table_t table, uint32_t *producer,
                                zspool_producer_record_t *record);
int
    zspool_state_next_name (zspool_txn_t *txn, zspool_table_t table, char name [ZSPOOL_NAME_MAX + 1],
                            uint32_t *producer);

//  The highest number that a producer has; 0: there is none
int
    zspool_state_last_producer (zspool_txn_t *txn, zspool_table_t table, uint32_t *producer);

//  The name of an application's table, by its number. ENOENT, ECORRUPT.
int
    zspool_state_put_table (zspool_txn_t *txn, zspool_table_t state, uint32_t table, const char *name);
int
    zspool_state_get_table (zspool_txn_t *txn, zspool_table_t state, uint32_t table,
                            char name [ZSPOOL_NAME_MAX + 1]);

//  The table with the lowest number above *table, as zspool_state_next_producer ().
int
    zspool_state_next_table (zspool_txn_t *txn, zspool_table_t state, uint32_t *table,
                             char name [ZSPOOL_NAME_MAX + 1]);

//  Read what is stored of a cursor for the block that starts at `first`; its bytes are the
//  database's. ENOENT, ECORRUPT.
int
    zspool_state_get_entry (zspool_txn_t *txn, zspool_table_t table, uint32_t spool, uint32_t cursor,
                            uint64_t first, zspool_cursor_entry_t *entry);

//  Delete all records of a cursor.
int
    zspool_state_delete_cursor (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                                uint32_t cursor);

//  Delete the entries of blocks that end at or below the floor.
int
    zspool_state_trim_entries (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                               uint32_t cursor, uint64_t floor);

//  Reading. ENOENT when it is not there, ECORRUPT when its checksum fails, EVERSION (store only)
//  when a newer zspool wrote it.
int
    zspool_state_get_store (zspool_txn_t *txn, zspool_table_t table, zspool_store_record_t *store);
int
    zspool_state_get_origin (zspool_txn_t *txn, zspool_table_t table, zspool_origin_record_t *origin);

int
    zspool_state_get_spool (zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                            zspool_spool_record_t *record);

//  One record of any kind, taken from bytes that may come from anywhere: `entry` has bytes of
//  `value`. ECORRUPT when the checksum fails or the key is none of ours, EVERSION as above.
typedef struct {
    char kind;                       //  first byte of its key: see store_state.c
    uint32_t spool;                  //  0: it is of no spool
    uint32_t cursor;
    union {
        zspool_store_record_t store;     //  'A'
        zspool_origin_record_t origin;   //  'O'
        zspool_spool_record_t of_spool;  //  'S', without cursors_deleted
        zspool_cursor_record_t of_cursor; //  'C', without lagged
        zspool_gap_t gap;                //  'G'
        zspool_cursor_entry_t entry;     //  'E'
        uint64_t lagged;                 //  'L'
        zspool_retention_t retention;    //  'R'
        uint32_t cursors_deleted;        //  'D'
        zspool_producer_record_t producer; //  'P'
        struct {
            uint32_t number;
            char name [ZSPOOL_NAME_MAX + 1];
        } named;                         //  'N', of a producer; 'T', of a table
    } as;
} zspool_state_record_t;

int
    zspool_state_decode (zspool_bytes_t key, zspool_bytes_t value, zspool_state_record_t *record);

//  A walk over records of one kind, in order of their keys: open, next until ENOENT, close. What
//  next gives ends with the transaction. ECORRUPT concerns one record: next goes on behind it.
typedef struct {
    zspool_iter_t *iter;
    uint8_t prefix [9];   //  kind, spool, cursor: what all keys of the walk start with
    size_t prefix_size;
    uint64_t from;        //  entries: those of blocks that start before are left out
    bool started;
} zspool_walk_t;

int
    zspool_walk_spools (zspool_walk_t *self, zspool_txn_t *txn, zspool_table_t table);
int
    zspool_walk_cursors (zspool_walk_t *self, zspool_txn_t *txn, zspool_table_t table, uint32_t spool);
int
    zspool_walk_gaps (zspool_walk_t *self, zspool_txn_t *txn, zspool_table_t table, uint32_t spool);
int
    zspool_walk_entries (zspool_walk_t *self, zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                         uint32_t cursor);
int
    zspool_walk_entries_from (zspool_walk_t *self, zspool_txn_t *txn, zspool_table_t table, uint32_t spool,
                              uint32_t cursor, uint64_t first_sequence); //  of blocks from this one on
int
    zspool_walk_records (zspool_walk_t *self, zspool_txn_t *txn, zspool_table_t table); //  of all kinds
int
    zspool_walk_next_spool (zspool_walk_t *self, uint32_t *spool, zspool_spool_record_t *record);
int
    zspool_walk_next_cursor (zspool_walk_t *self, uint32_t *cursor, zspool_cursor_record_t *record);
int
    zspool_walk_next_gap (zspool_walk_t *self, zspool_gap_t *gap);
int
    zspool_walk_next_entry (zspool_walk_t *self, zspool_cursor_entry_t *entry);
//  Whatever it is: only its checksum is looked at, which is that of its key, too.
int
    zspool_walk_next_record (zspool_walk_t *self);
void
    zspool_walk_close (zspool_walk_t *self);

//  How many sequences in (after, to] lie in gaps, but for those whose record is damaged.
int
    zspool_state_count_gaps (zspool_txn_t *txn, zspool_table_t table, uint32_t spool, uint64_t after,
                             uint64_t to, uint64_t *count);

#endif
