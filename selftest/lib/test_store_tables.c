//  test_store_tables.c - tests of producers of a store, and of tables of an application
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"

static zspool_frame_t
s_frame (const char *text)
{
    return (zspool_frame_t){ text, strlen (text) };
}

static void
s_check_value (zspool_store_t *store, uint32_t table, const char *key, const char *expected)
{
    zspool_frame_t value;
    CHECK_OK (zspool_store_table_get (store, table, s_frame (key), &value));
    CHECK_EQ_MEM (value.data, value.size, expected, strlen (expected));
}

TEST (test_store_table_is_changed_with_the_messages_of_its_transaction)
{
    kit_setup_t self = kit_setup ();
    uint32_t table, spool = self.spool;
    CHECK_CODE (zspool_store_table (self.store, "totals", &table), ZSPOOL_ENOENT);
    zspool_frame_t message = s_frame ("a message");
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_table (self.store, "totals", &table));
    CHECK_OK (zspool_store_table_put (self.store, table, s_frame ("a"), s_frame ("1")));
    CHECK_OK (zspool_store_put (self.store, spool, &message, 1, NULL));
    s_check_value (self.store, table, "a", "1");
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_table_put (self.store, table, s_frame ("a"), s_frame ("2")));
    CHECK_OK (zspool_store_put (self.store, spool, &message, 1, NULL));
    zspool_store_rollback (self.store);
    s_check_value (self.store, table, "a", "1");
    kit_reopen (&self);
    CHECK_OK (zspool_store_table (self.store, "totals", &table));
    s_check_value (self.store, table, "a", "1");
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).messages, 1);
    kit_done (&self);
}

TEST (test_store_table_that_was_rolled_back_is_not_there)
{
    kit_setup_t self = kit_setup ();
    uint32_t table, other;
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_table (self.store, "gone", &table));
    zspool_store_rollback (self.store);
    CHECK_CODE (zspool_store_table (self.store, "gone", &table), ZSPOOL_ENOENT);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_table (self.store, "one", &table));
    CHECK_OK (zspool_store_table (self.store, "other", &other));
    CHECK (table != other);
    CHECK_OK (zspool_store_commit (self.store));
    kit_done (&self);
}

//  One that was there, and found in a transaction, outlives the transaction.
TEST (test_store_table_that_was_found_and_rolled_back_is_still_there)
{
    kit_setup_t self = kit_setup ();
    uint32_t table, other, gone;
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_table (self.store, "one", &table));
    CHECK_OK (zspool_store_table_put (self.store, table, s_frame ("a"), s_frame ("1")));
    CHECK_OK (zspool_store_table (self.store, "other", &other));
    CHECK_OK (zspool_store_table_put (self.store, other, s_frame ("a"), s_frame ("2")));
    CHECK_OK (zspool_store_commit (self.store));
    kit_reopen (&self);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_table (self.store, "gone", &gone));
    CHECK_OK (zspool_store_table (self.store, "one", &table));
    CHECK_OK (zspool_store_table_put (self.store, table, s_frame ("a"), s_frame ("3")));
    zspool_store_rollback (self.store);
    s_check_value (self.store, table, "a", "1");
    CHECK_OK (zspool_store_table (self.store, "other", &other));
    s_check_value (self.store, other, "a", "2");
    s_check_value (self.store, table, "a", "1");
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_table_put (self.store, table, s_frame ("a"), s_frame ("4")));
    CHECK_OK (zspool_store_commit (self.store));
    kit_reopen (&self);
    CHECK_OK (zspool_store_table (self.store, "one", &table));
    s_check_value (self.store, table, "a", "4");
    CHECK_OK (zspool_store_table (self.store, "other", &other));
    s_check_value (self.store, other, "a", "2");
    kit_done (&self);
}

TEST (test_store_table_gives_pairs_in_the_order_of_their_keys)
{
    kit_setup_t self = kit_setup ();
    uint32_t table;
    zspool_frame_t key = { NULL, 0 }, value;
    char from [8] = "", all [8] = "";
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_table (self.store, "totals", &table));
    for (const char *at = "cabe"; *at; at++) {
        char text [2] = { *at, 0 };
        CHECK_OK (zspool_store_table_put (self.store, table, s_frame (text), s_frame (text)));
    }
    CHECK_OK (zspool_store_table_delete (self.store, table, s_frame ("b")));
    CHECK_CODE (zspool_store_table_delete (self.store, table, s_frame ("b")), ZSPOOL_ENOENT);
    CHECK_OK (zspool_store_commit (self.store));
    while (zspool_store_table_next (self.store, table, s_frame (from), &key, &value) == ZSPOOL_OK) {
        CHECK_EQ_U64 (key.size, 1);
        strncat (all, (const char *) key.data, 1);
        snprintf (from, sizeof from, "%.1s!", (const char *) key.data);
    }
    CHECK_EQ_STR (all, "ace");
    CHECK_CODE (zspool_store_table_get (self.store, table, s_frame ("b"), &value), ZSPOOL_ENOENT);
    kit_done (&self);
}

TEST (test_store_table_refuses_what_it_cannot_do)
{
    kit_setup_t self = kit_setup ();
    uint32_t table;
    char long_key [ZSPOOL_TABLE_KEY_MAX + 2];
    memset (long_key, 'k', sizeof long_key - 1);
    long_key [sizeof long_key - 1] = 0;
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (zspool_store_table (self.store, "not a name", &table), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_table (self.store, "t", &table));
    CHECK_CODE (zspool_store_table_put (self.store, table, s_frame (long_key), s_frame ("1")), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_table_put (self.store, table, s_frame (""), s_frame ("1")), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_table_put (self.store, table + 1, s_frame ("k"), s_frame ("1")), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_table_put (self.store, table, s_frame (long_key + 1), s_frame ("")));
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_CODE (zspool_store_table_put (self.store, table, s_frame ("k"), s_frame ("1")), ZSPOOL_EINVAL);
    for (int index = 1; index < ZSPOOL_TABLES_MAX; index++) {
        char name [16];
        snprintf (name, sizeof name, "t%d", index);
        CHECK_OK (zspool_store_begin (self.store));
        CHECK_OK (zspool_store_table (self.store, name, &table));
        CHECK_OK (zspool_store_commit (self.store));
    }
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (zspool_store_table (self.store, "one more", &table), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_table (self.store, "more", &table), ZSPOOL_ELIMIT);
    zspool_store_rollback (self.store);
    kit_done (&self);
}

TEST (test_store_producer_is_set_with_the_messages_of_its_transaction)
{
    kit_setup_t self = kit_setup ();
    uint32_t producer, other, epoch;
    uint64_t last;
    CHECK_CODE (zspool_store_producer (self.store, "me", &producer, NULL, NULL), ZSPOOL_ENOENT);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_producer (self.store, "me", &producer, &epoch, &last));
    CHECK_EQ_U64 (last, 0);
    CHECK_OK (zspool_store_set_producer (self.store, producer, 1, 5));
    CHECK_OK (zspool_store_producer (self.store, "other", &other, NULL, NULL));
    CHECK (other != producer);
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_set_producer (self.store, producer, 0, 9));
    CHECK_CODE (zspool_store_set_producer (self.store, producer, 0, 8), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_set_producer (self.store, 77, 0, 8), ZSPOOL_EINVAL);
    zspool_store_rollback (self.store);
    kit_reopen (&self);
    CHECK_OK (zspool_store_producer (self.store, "me", &other, &epoch, &last));
    CHECK_EQ_U64 (other, producer);
    CHECK_EQ_U64 (epoch, 1);
    CHECK_EQ_U64 (last, 5);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_producer (self.store, "third", &other, NULL, NULL));
    CHECK_EQ_U64 (other, 3);
    CHECK_OK (zspool_store_commit (self.store));
    kit_done (&self);
}
