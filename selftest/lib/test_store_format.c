//  test_store_format.c - tests of which format a store has: what older versions would do harm to,
//  they must refuse
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"

//  End the transaction, and give the format that the store has when it is opened again.
static uint32_t
s_format (kit_setup_t *self, bool commit)
{
    zspool_origin_t origin;
    if (commit)
        CHECK_OK (zspool_store_commit (self->store));
    zspool_store_destroy (&self->store);
    self->store = kit_open (KIT_STORE, ZSPOOL_READ);
    CHECK_OK (zspool_store_origin (self->store, &origin));
    zspool_store_destroy (&self->store);
    return origin.format;
}

static const zspool_retention_t s_history = { ZSPOOL_KEEP_UNLIMITED, ZSPOOL_KEEP_UNLIMITED, 10, true };

TEST (test_store_format_of_a_queue_is_1)
{
    kit_setup_t self = kit_setup ();
    CHECK_OK (zspool_store_begin (self.store));
    zspool_frame_t frame = { "text", 4 };
    CHECK_OK (zspool_store_put (self.store, self.spool, &frame, 1, NULL));
    CHECK_EQ_U64 (s_format (&self, true), 1);
}

TEST (test_store_format_with_history_is_2)
{
    kit_setup_t self = kit_setup ();
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_set_retention (self.store, self.spool, &s_history));
    CHECK_EQ_U64 (s_format (&self, true), 2);
}

TEST (test_store_format_stays_when_the_transaction_is_dropped)
{
    kit_setup_t self = kit_setup ();
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_set_retention (self.store, self.spool, &s_history));
    zspool_store_rollback (self.store);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_EQ_U64 (s_format (&self, true), 1);
}

TEST (test_store_format_after_a_cursor_was_deleted_is_2)
{
    kit_setup_t self = kit_setup ();
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_delete_cursor (self.store, self.spool, self.cursor));
    CHECK_EQ_U64 (s_format (&self, true), 2);
}

TEST (test_store_format_with_indexed_blocks_is_2)
{
    kit_setup_t self = kit_setup ();
    CHECK_OK (zspool_store_begin (self.store));
    static const char *const topics [] = { "a", "b" };
    zspool_block_t *plain = kit_block_new_topics (1, topics, 2, 100, false);
    zspool_block_t *indexed = kit_block_new_topics (3, topics, 2, 100, true);
    CHECK_OK (zspool_store_append (self.store, self.spool, plain));
    CHECK_EQ_U64 (s_format (&self, true), 1);
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_append (self.store, self.spool, indexed));
    CHECK_EQ_U64 (s_format (&self, true), 2);
    zspool_block_destroy (&plain);
    zspool_block_destroy (&indexed);
}

TEST (test_store_format_with_a_producer_is_3)
{
    kit_setup_t self = kit_setup ();
    uint32_t producer;
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_producer (self.store, "me", &producer, NULL, NULL));
    CHECK_EQ_U64 (s_format (&self, false), 1);
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_producer (self.store, "me", &producer, NULL, NULL));
    CHECK_EQ_U64 (s_format (&self, true), 3);
}

TEST (test_store_format_with_a_table_is_3)
{
    kit_setup_t self = kit_setup ();
    uint32_t table;
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_table (self.store, "totals", &table));
    CHECK_EQ_U64 (s_format (&self, true), 3);
}
