//  kit.h - what the tests of lib/ share: seeded chance, child processes, stores and a look at their
//  files
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Everything here ends the test when it fails. Messages made here tell what they are: the first
//  eight bytes are the message's number, the rest follows from it, so that they can be checked
//  wherever they turn up.

#ifndef KIT_H_INCLUDED
#define KIT_H_INCLUDED

#include "selftest.h"
#include "store.h"

#define KIT_MESSAGE_BYTES_MIN 8
#define KIT_STORE "store"              //  usual directory of a test's store

//  ---- chance

//  A random number generator: its state
typedef uint64_t kit_chance_t;

//  Start one from the environment's SELFTEST_SEED, else from a new seed, and print which: that line
//  is shown when the test fails.
kit_chance_t
    kit_chance_new (void);

uint64_t
    kit_random (kit_chance_t *chance);

//  A number from 0 to count - 1
uint64_t
    kit_below (kit_chance_t *chance, uint64_t count);

//  ---- processes

//  Start a process that runs the function and then ends with status 0.
pid_t
    kit_fork (void (*function) (void *arg), void *arg);

//  Wait for its end: its exit status, or minus the number of the signal that ended it.
int
    kit_wait (pid_t pid);

//  Both
int
    kit_run (void (*function) (void *arg), void *arg);

//  ---- messages and blocks

//  Fill a message with what it is to hold.
void
    kit_fill (uint8_t *bytes, size_t size, uint64_t number);

//  Check that a message holds that.
void
    kit_check_filled (const uint8_t *bytes, size_t size, uint64_t number);

//  A sealed block of messages number..number + count - 1, each of `bytes`
zspool_block_t *
    kit_block_new (uint64_t number, uint32_t count, size_t bytes);

//  The same, stamped with these numbers as its sequences
zspool_block_t *
    kit_block_new_stamped (uint64_t number, uint32_t count, size_t bytes);

//  A sealed block of `count` messages number, number + 1, ... of two frames: a topic, these one
//  after the other, and what the number tells, in `bytes`. With an index, if that is asked for.
zspool_block_t *
    kit_block_new_topics (uint64_t number, const char *const *topics, uint32_t count, size_t bytes,
                          bool indexed);

//  Check that a message of such a block has this topic, and what its sequence tells.
void
    kit_check_topic (const zspool_record_t *record, const char *topic);

//  Check that each message of a block holds what its sequence tells.
void
    kit_check_block (const zspool_block_t *block);

//  ---- stores

//  Have a copy of a store's file as the store in KIT_STORE.
void
    kit_place_file (const char *path);

//  Open a store; kit_try_open () gives what zspool_store_open () gave, and keeps the store only on
//  success.
zspool_store_t *
    kit_open (const char *directory, zspool_mode_t mode);
int
    kit_try_open (const char *directory, zspool_mode_t mode);

//  Find a spool or a cursor by name; create it, in a transaction of its own, when it is not there.
uint32_t
    kit_spool (zspool_store_t *store, const char *name);
uint32_t
    kit_cursor (zspool_store_t *store, uint32_t spool, const char *name, uint64_t start);

//  A store with the spool `main` and a cursor of that name, which a test begins with; closed and
//  opened again; and looked over and closed
typedef struct {
    zspool_store_t *store;
    uint32_t spool;
    uint32_t cursor;
} kit_setup_t;

kit_setup_t
    kit_setup (void);
void
    kit_reopen (kit_setup_t *self);
void
    kit_done (kit_setup_t *self);

//  Append a block of `count` messages stamped with this time, in the open transaction.
void
    kit_append_at (kit_setup_t *self, uint32_t count, size_t bytes, int64_t stored_us);

//  Append a block of `count` messages, each numbered as its sequence, in a transaction of its own;
//  or in the open one.
void
    kit_append (zspool_store_t *store, uint32_t spool, uint32_t count, size_t bytes);
int
    kit_try_append (zspool_store_t *store, uint32_t spool, uint32_t count, size_t bytes);

//  Acknowledge, in a transaction of its own.
void
    kit_ack (zspool_store_t *store, uint32_t spool, uint32_t cursor, uint64_t first, uint64_t last);

zspool_spool_info_t
    kit_spool_info (zspool_store_t *store, uint32_t spool);
zspool_cursor_info_t
    kit_cursor_info (zspool_store_t *store, uint32_t spool, uint32_t cursor);

//  Read a spool from a sequence on, check every message, and give how many there are. Their
//  sequences must have no hole.
uint64_t
    kit_read (zspool_store_t *store, uint32_t spool, uint64_t from);

//  Have zspool_store_verify () look over the store: it must find nothing. Or give how many findings
//  there are, printing them.
void
    kit_check_sound (zspool_store_t *store);
int
    kit_verify (zspool_store_t *store);

//  ---- files

//  Read a whole file. The caller frees it.
uint8_t *
    kit_read_file (const char *path, size_t *size);

//  A line for each file of a directory: name, size, mode, time of change, checksum. Of LMDB's lock
//  file, which readers write to, only the name. The caller frees it.
char *
    kit_list (const char *directory);

//  Flip a bit in each place of a file that holds these bytes. Returns how many places that were.
size_t
    kit_flip (const char *path, const void *bytes, size_t size);

//  Change a store behind its back: it must be closed. Gives the database, in a write transaction
//  that is committed by the second function.
zspool_engine_t *
    kit_engine_begin (const char *directory, zspool_txn_t **txn, zspool_table_t *state);
void
    kit_engine_commit (zspool_engine_t **engine_p);

//  The table of a spool's blocks; and the key of a block, or of a part of it
zspool_table_t
    kit_engine_blocks (zspool_engine_t *engine, uint32_t spool);
zspool_bytes_t
    kit_block_key (uint8_t key [10], uint64_t first, uint16_t chunk);

//  Change a stored block of a closed store: the bytes under its first key, or those of a part of
//  it. Without a function it is deleted; else that changes up to *size bytes and may set a smaller
//  size.
void
    kit_edit_block (const char *directory, uint32_t spool, uint64_t first, uint16_t chunk,
                    void (*edit) (uint8_t *bytes, size_t *size));

#endif
