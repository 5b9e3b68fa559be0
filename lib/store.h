//  store.h - what only libzspool may do with a store
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_LIB_STORE_H_INCLUDED
#define ZSPOOL_LIB_STORE_H_INCLUDED

#include "block.h"
#include "cursor.h"
#include "store_directory.h"
#include "store_engine.h"
#include "store_state.h"
#include "zspool_reader.h"
#include "zspool_store.h"

//  Most blocks that one commit trims: bounds the time of a commit
#define ZSPOOL_TRIM_BLOCKS_MAX 512

//  Room that a transaction takes besides blocks: records of spools and cursors, LMDB's own pages
#define ZSPOOL_TXN_OVERHEAD_BYTES (512 * 1024)

//  Numbers that follow a transaction: rolled back with it
typedef struct {
    uint32_t id;
    bool created;                     //  in the open transaction
    bool deleted;                     //  likewise: no longer to be found
    bool changed;                     //  in the open transaction
    zspool_cursor_record_t now;       //  as the open transaction has it
    zspool_cursor_record_t committed;
    zspool_cursor_t *tracker;         //  for zspool_store_ack (); NULL until needed
    uint64_t covered_to;              //  blocks up to here were made known to the tracker
    uint64_t known_to;                //  the last message of these
} zspool_cursor_state_t;

//  What is known of a spool's oldest block, so that nobody has to look each time
typedef struct {
    bool known;                       //  all below is valid
    bool usable;                      //  its head can be read; else the rest is the best that is known
    uint64_t first;                   //  sequence
    uint64_t messages;
    uint64_t bytes;
    int64_t stored_us;                //  INT64_MIN: nobody knows
} zspool_oldest_t;

typedef struct {
    uint32_t id;
    bool created;                     //  in the open transaction
    bool changed;                     //  in the open transaction
    zspool_table_t table;             //  of its blocks
    zspool_spool_record_t now;        //  as the open transaction has it
    zspool_spool_record_t committed;
    zspool_retention_t retention;     //  how long its blocks are kept, as the open transaction has it
    zspool_retention_t retention_committed;
    zspool_oldest_t oldest;           //  its oldest block
    bool trim_due;                    //  blocks are left to remove that are to be kept no longer
    uint64_t max_bytes;               //  most that its blocks may have; 0: no limit
    zspool_on_full_t on_full;         //  what happens then
    uint64_t dropped_to;              //  last sequence dropped that somebody had not acknowledged, with the
                                      //  open transaction
    uint64_t dropped_to_committed;
    uint64_t ceiling_window;          //  how far the ceiling is set above the last sequence at a commit
    zspool_block_t *filling;          //  messages put in the open transaction, or NULL
    zspool_cursor_state_t *cursors;
    size_t cursors_count;
} zspool_spool_state_t;

//  A producer that was asked for
typedef struct {
    uint32_t id;
    bool created;                     //  in the open transaction
    bool changed;                     //  likewise
    zspool_producer_record_t now;     //  as the open transaction has it
    zspool_producer_record_t committed;
} zspool_producer_state_t;

//  A table of the application's
typedef struct {
    uint32_t id;
    char name [ZSPOOL_NAME_MAX + 1];
    bool created;                     //  in the open transaction
    bool found_in_txn;                //  likewise: its handle ends when that is rolled back
    zspool_table_t table;
} zspool_table_state_t;

struct zspool_store {
    char *directory;
    zspool_mode_t mode;
    uint64_t map_bytes;
    bool in_txn;
    bool failed;                      //  a commit failed: sticky
    bool disk_full;                   //  the last reservation of space found none
    uint64_t wanted_bytes;            //  what the last append needed that found no room on the disk; 0: none did
    uint64_t served_bytes;            //  so much was made free for it, of what need not be kept
    bool gives_way;                   //  the next transaction begins with making room for that
    bool burying;                     //  what is appended now makes room in the end: it may take from the headroom
    bool keep_ceilings;               //  closing leaves them: something was forwarded and is lost
    bool chunked;                     //  blocks are written in one-page chunks now
    uint64_t layout_file_bytes;       //  decide again when the file has grown to this; 0: the next time
    uint64_t layout_left_bytes;       //  or when so much has been appended
    size_t layout_block_bytes;        //  largest block since the last decision
    size_t layout_for_bytes;          //  blocks of this size were decided for
    uint64_t txn_bytes;               //  file space that the open transaction may take
    zspool_claim_t *claim;
    zspool_engine_t *engine;
    zspool_txn_t *txn;                //  the open transaction
    zspool_txn_t *view;               //  for what is read outside of one
    zspool_table_t state;             //  small records
    zspool_store_record_t record;
    zspool_store_record_t committed;
    zspool_spool_state_t *spools;
    size_t spools_count;
    zspool_producer_state_t *producers; //  in order of id
    size_t producers_count;
    size_t producers_max;             //  room for them
    bool producers_changed;           //  some, in the open transaction
    zspool_table_state_t *tables;     //  those that were asked for
    size_t tables_count;
    uint8_t *table_bytes;             //  what was got from one last
    size_t table_bytes_max;           //  room for it
    char reason [ZSPOOL_REASON_MAX];
};

//  Set the reason and return the code.
int
    zspool_store_fail (zspool_store_t *self, int code, const char *format, ...)
        __attribute__ ((format (printf, 3, 4)));

//  The same with the directory and the code's own text.
int
    zspool_store_fail_code (zspool_store_t *self, int code);

//  Counts never fall below 0, whatever a damaged record says.
static inline uint64_t
zspool_minus (uint64_t from, uint64_t much)
{
    return from > much? from - much: 0;
}

//  Whether a transaction is open, and this process, not a forked child, opened it
bool
    zspool_store_is_in_txn (const zspool_store_t *self);

//  The open transaction writes what only who knows this format understands: others are to refuse the
//  store from then on.
static inline void
zspool_store_need_format (zspool_store_t *self, uint32_t format)
{
    if (self->record.format < format)
        self->record.format = format;
}

zspool_spool_state_t *
    zspool_store_find_spool (zspool_store_t *self, uint32_t spool);
zspool_cursor_state_t *
    zspool_store_find_cursor (zspool_spool_state_t *spool, uint32_t cursor);

//  Microseconds since 1970, UTC
int64_t
    zspool_now_us (void);

//  ------------------------------------------------------------------------------------------------
//  For the writer, which numbers blocks itself, before their transaction

//  What the next block of a spool is to be numbered from, and the time its stamp must not precede.
int
    zspool_store_numbering (zspool_store_t *self, uint32_t spool, uint64_t *next_sequence,
                            int64_t *stored_us);

//  Append a block that is stamped with the spool's next sequence, in a transaction. EINVAL; ENOSPC,
//  ELIMIT (the spool is at its limit: relieve it), and the transaction can go on without it;
//  EFAILED.
int
    zspool_store_append_stamped (zspool_store_t *self, uint32_t spool, zspool_block_t *block);

//  Whether the open transaction may take so much more of the file, for several blocks together: then
//  appending them one by one will mostly find room, too. ENOSPC.
int
    zspool_store_has_room (zspool_store_t *self, uint32_t spool, uint64_t bytes);

//  Make room under a spool's limit for so many bytes, in a transaction, by trimming what is
//  acknowledged and, if the spool is to drop its oldest blocks, doing that; about blocks_max blocks
//  at most. ELIMIT: what is left must wait for acknowledgements; ETOOBIG: it is more than the
//  limit; EFULL: not done yet, go on in another transaction.
int
    zspool_store_relieve (zspool_store_t *self, uint32_t spool, uint64_t bytes, size_t blocks_max);

//  The last sequence that was dropped though a cursor had not acknowledged it, as committed, since
//  the store was opened; 0: none was
uint64_t
    zspool_store_dropped_to (zspool_store_t *self, uint32_t spool);

//  What a cursor has lost that way, in messages, ever, as committed
uint64_t
    zspool_store_lagged (zspool_store_t *self, uint32_t spool, uint32_t cursor);

//  Let each commit raise the spool's ceiling this far above its last sequence: what may be
//  forwarded before it is committed. 0, the default: nothing.
int
    zspool_store_set_ceiling_window (zspool_store_t *self, uint32_t spool, uint64_t sequences);

//  Messages that were forwarded ahead will not be stored: let closing leave the ceilings as they
//  are, so that their numbers are not given again, and the next open records a gap.
void
    zspool_store_keep_ceilings (zspool_store_t *self);

//  Store a change of a cursor, in a transaction: what it says of messages that are stored. One of
//  another generation is ignored, and so is what it says of messages dropped meanwhile. EINVAL when
//  there is no such cursor or the change makes no sense.
int
    zspool_store_change_cursor (zspool_store_t *self, const zspool_cursor_change_t *change);

//  Make a cursor's tracker as it is stored: for whoever delivers through this cursor, in any
//  thread. Call it from the store's thread; the caller owns the tracker. Blocks above the floor are
//  covered as far as they have stored entries.
int
    zspool_store_track_cursor (zspool_store_t *self, uint32_t spool, uint32_t cursor,
                               zspool_cursor_t **tracker_p);

//  Whether blocks are left to trim: then commit again soon, even with nothing else.
bool
    zspool_store_trim_is_due (zspool_store_t *self);

//  When the next block is to go for its age, microseconds since 1970: then a commit removes it,
//  even with nothing else. INT64_MAX: none is, by what is known now.
int64_t
    zspool_store_trim_due_us (zspool_store_t *self);

//  What a spool holds, as committed
typedef struct {
    uint64_t messages;
    uint64_t bytes;                   //  of blocks
    int64_t oldest_us;                //  when the oldest block was stored, microseconds since 1970; 0: there is
                                      //  none, or nobody knows
} zspool_kept_t;

void
    zspool_store_kept (zspool_store_t *self, uint32_t spool, zspool_kept_t *kept);

//  Whether an append found no room on the disk, and the next transaction will make some by removing
//  what every cursor has acknowledged: then try again at once.
bool
    zspool_store_gives_way (const zspool_store_t *self);

//  Forget readers that died; now and then, from the store's thread.
void
    zspool_store_check_readers (zspool_store_t *self);

//  ------------------------------------------------------------------------------------------------
//  Within lib

//  Draw a random number for a store's life: never 0. ESYSTEM.
int
    zspool_store_draw_incarnation (uint64_t *incarnation);

//  As zspool_store_verify (), for as long as go_on () says so; then ECANCELED.
int
    zspool_store_verify_while (zspool_store_t *store, zspool_verify_fn *report, bool (*go_on) (void *arg),
                               void *arg, uint64_t *blocks);

//  Load spools, and cursors of one, that are in the store but not in memory yet: at opening, and
//  when a reader meets new ones.
int
    zspool_store_load (zspool_store_t *self);
int
    zspool_store_load_cursors (zspool_store_t *self, zspool_spool_state_t *spool);
//  Whether that is a name for a spool, a cursor or a producer.
bool
    zspool_store_name_is_valid (const char *name);
//  The transaction has ended: so do producers in memory stand.
void
    zspool_store_end_producers (zspool_store_t *self, bool committed);
//  The transaction has ended: so do the application's tables stand.
void
    zspool_store_end_tables (zspool_store_t *self, bool committed);
void
    zspool_store_free_tables (zspool_store_t *self);
//  Make room in memory for one more; NULL when memory is out. The caller raises the count.
zspool_spool_state_t *
    zspool_store_grow_spools (zspool_store_t *self);
zspool_cursor_state_t *
    zspool_store_grow_cursors (zspool_spool_state_t *spool);
int
    zspool_store_open_table (zspool_store_t *self, uint32_t spool, zspool_table_t *table);
void
    zspool_store_free_spool (zspool_spool_state_t *spool);

//  Seal and append the messages put one by one in the open transaction, if any.
int
    zspool_store_append_filling (zspool_store_t *self, zspool_spool_state_t *spool);

//  Begin a transaction on the engine, with no more than what its end goes by.
int
    zspool_store_begin_plain (zspool_store_t *self);
//  Decide whether the transaction that begins writes blocks as one value each, or in single pages.
void
    zspool_store_choose_layout (zspool_store_t *self);
//  The disk is full and a transaction is to begin: have free pages of the file for it, if that can
//  be.
int
    zspool_store_find_pages (zspool_store_t *self);
//  Make sure that the open transaction may take so much more of the file, for a spool. ENOSPC.
int
    zspool_store_make_room (zspool_store_t *self, const zspool_spool_state_t *spool, uint64_t bytes);
//  At a commit: remove what a spool is to keep no longer; store what changed of its cursors.
int
    zspool_store_retain (zspool_store_t *self, zspool_spool_state_t *spool);
int
    zspool_store_write_cursors (zspool_store_t *self, zspool_spool_state_t *spool);
//  Acknowledge on a cursor's tracker, which is made when it has none; nothing is stored yet.
//  ESTALE: one is not pending, and none is acknowledged; ENOMEM, EIO. In a transaction.
int
    zspool_store_ack_on (zspool_store_t *self, zspool_spool_state_t *spool, zspool_cursor_state_t *cursor,
                         uint64_t first, uint64_t last);
//  Store what was acknowledged on a cursor through the API in this transaction.
int
    zspool_store_write_acked (zspool_store_t *self, zspool_spool_state_t *spool,
                              zspool_cursor_state_t *cursor);
//  Whether a spool may have so many bytes more.
bool
    zspool_store_is_within_limit (const zspool_spool_state_t *spool, uint64_t bytes);
//  Have such blocks make room for so many bytes under the limit, as far as they can.
int
    zspool_store_prefer_room (zspool_store_t *self, zspool_spool_state_t *spool, uint64_t bytes);
//  How long a queue keeps its messages: what is not stored otherwise
extern const zspool_retention_t zspool_retention_queue;
//  Remove the oldest blocks that every cursor has acknowledged, however long they are to be kept,
//  until at least so many bytes are free; at most blocks_max, and then *more tells whether that was
//  not enough though there are more.
int
    zspool_store_give_way (zspool_store_t *self, zspool_spool_state_t *spool, uint64_t bytes,
                           size_t blocks_max, bool *more);
//  The same, whoever has acknowledged them: cursors that had not then stand behind, and have
//  lagged.
int
    zspool_store_drop_oldest (zspool_store_t *self, zspool_spool_state_t *spool, uint64_t bytes,
                              size_t blocks_max);
//  Whether zspool_store_give_way () would find one.
bool
    zspool_store_has_history (zspool_store_t *self, zspool_spool_state_t *spool);
//  The floor of a cursor that is to start before the message `start`, in a transaction
int
    zspool_store_floor_before (zspool_store_t *self, zspool_spool_state_t *spool, uint64_t start,
                               uint64_t *floor);

//  A reader that fills blocks of a pool; NULL pool: of the heap. zspool_reader_next () then may
//  also give EFULL: no block is free in the pool.
zspool_reader_t *
    zspool_reader_new_pooled (zspool_store_t *store, uint32_t spool, zspool_block_pool_t *pool);

#endif
