//  test_salvage_history.c - tests of salvaging a store that keeps what was acknowledged
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"
#include "zspool_salvage.h"

#define SAVED "saved"
#define BLOCKS 20

static const zspool_retention_t s_keep = {
    ZSPOOL_KEEP_UNLIMITED, ZSPOOL_KEEP_UNLIMITED, 150, true
};

//  A store with a history of twenty blocks of ten messages: all but five are acknowledged. A cursor
//  that waited for all was deleted.
static uint32_t
s_create (void)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    uint32_t cursor = kit_cursor (store, spool, "main", ZSPOOL_START_FIRST);
    uint32_t slow = kit_cursor (store, spool, "slow", ZSPOOL_START_FIRST);
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_set_retention (store, spool, &s_keep));
    CHECK_OK (zspool_store_commit (store));
    for (int block = 0; block < BLOCKS; block++)
        kit_append (store, spool, 10, 1000);
    kit_ack (store, spool, slow, 3, 4);
    kit_ack (store, spool, cursor, 1, 195);
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_delete_cursor (store, spool, slow));
    CHECK_OK (zspool_store_commit (store));
    CHECK_EQ_U64 (kit_spool_info (store, spool).first_sequence, 51);
    zspool_store_destroy (&store);
    return spool;
}

static zspool_salvage_result_t
s_salvage (void)
{
    zspool_salvage_result_t result;
    char reason [ZSPOOL_SALVAGE_REASON_BYTES];
    CHECK_OK (zspool_salvage (KIT_STORE, SAVED, NULL, &result, reason));
    return result;
}

//  Check what was saved: so many messages, one cursor, and how many are kept.
static void
s_check (uint64_t messages, uint64_t keep_messages)
{
    zspool_store_t *store = kit_open (SAVED, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    zspool_cursor_info_t cursor;
    zspool_retention_t retention;
    kit_check_sound (store);
    CHECK_EQ_U64 (kit_spool_info (store, spool).messages, messages);
    CHECK_OK (zspool_store_retention (store, spool, &retention));
    CHECK_EQ_U64 (retention.messages, keep_messages);
    CHECK (retention.unacked);
    CHECK_OK (zspool_store_cursor_info (store, spool, 0, &cursor));
    CHECK_EQ_STR (cursor.name, "main");
    CHECK_EQ_U64 (cursor.floor, 195);
    CHECK_CODE (zspool_store_cursor_info (store, spool, 1, &cursor), ZSPOOL_ENOENT);
    zspool_store_destroy (&store);
}

TEST (test_salvage_history_of_a_sound_store_is_kept_with_its_retention)
{
    s_create ();
    zspool_salvage_result_t result = s_salvage ();
    CHECK (result.complete);
    CHECK_EQ_U64 (result.lost, 0);
    s_check (150, 150);
}

TEST (test_salvage_history_around_a_damaged_block_is_kept_and_no_deleted_cursor_comes_back)
{
    uint32_t spool = s_create ();
    kit_edit_block (KIT_STORE, spool, 101, 0, NULL);
    zspool_txn_t *txn;
    zspool_table_t state;
    uint8_t key [10];
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    CHECK_OK (zspool_txn_put (txn, kit_engine_blocks (engine, spool), kit_block_key (key, 101, 0),
                              (zspool_bytes_t){ (const uint8_t *) "no block", 8 }));
    kit_engine_commit (&engine);
    zspool_salvage_result_t result = s_salvage ();
    CHECK (result.searched);
    //  What was overwritten may still be found on a page that is free.
    s_check (150 - result.lost, 150);
    CHECK (result.lost == 0 || result.lost == 10);
}

TEST (test_salvage_history_whose_retention_is_damaged_is_kept_whole)
{
    s_create ();
    zspool_txn_t *txn;
    zspool_table_t state;
    zspool_bytes_t key = { (const uint8_t *) "R\0\0\0\1", 5 };
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    CHECK_OK (zspool_txn_put (txn, state, key, (zspool_bytes_t){ (const uint8_t *) "damaged", 7 }));
    kit_engine_commit (&engine);
    zspool_salvage_result_t result = s_salvage ();
    CHECK (result.records_lost);
    zspool_store_t *store = kit_open (SAVED, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    zspool_retention_t retention;
    kit_check_sound (store);
    CHECK_EQ_U64 (kit_spool_info (store, spool).messages, 150);
    CHECK_OK (zspool_store_retention (store, spool, &retention));
    //  As it was, where that was still found, or everything.
    CHECK (retention.messages == 150 || retention.messages == ZSPOOL_KEEP_UNLIMITED);
    zspool_store_destroy (&store);
}
