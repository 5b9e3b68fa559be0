//  test_store_numbering.c - tests that no number is used twice, whatever way a store was left
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"

#define WINDOW 1000

//  Leave the store without closing it, after committing ten messages under a ceiling window.
static void
s_leave (void *arg)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    CHECK_OK (zspool_store_set_ceiling_window (store, spool, *(uint64_t *) arg));
    kit_append (store, spool, 10, 100);
    _exit (0);
}

static void
s_crash (uint64_t window)
{
    CHECK_EQ_I64 (kit_run (s_leave, &window), 0);
}

TEST (test_store_ceiling_is_above_the_last_sequence_by_the_window)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    kit_append (store, spool, 10, 100);
    CHECK_EQ_U64 (kit_spool_info (store, spool).sequence_ceiling, 10);
    CHECK_OK (zspool_store_set_ceiling_window (store, spool, WINDOW));
    kit_append (store, spool, 10, 100);
    CHECK_EQ_U64 (kit_spool_info (store, spool).sequence_ceiling, 20 + WINDOW);
    CHECK_CODE (zspool_store_set_ceiling_window (store, spool + 1, WINDOW), ZSPOOL_EINVAL);
    zspool_store_destroy (&store);
}

TEST (test_store_window_set_alone_is_committed)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_set_ceiling_window (store, spool, WINDOW));
    CHECK_OK (zspool_store_commit (store));
    CHECK_EQ_U64 (kit_spool_info (store, spool).sequence_ceiling, WINDOW);
    zspool_store_destroy (&store);
}

TEST (test_store_closed_leaves_no_gap)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    for (int round = 0; round < 3; round++) {
        CHECK_OK (zspool_store_set_ceiling_window (store, spool, WINDOW));
        kit_append (store, spool, 10, 100);
        zspool_store_destroy (&store);
        store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    }
    CHECK_EQ_U64 (kit_read (store, spool, 1), 30);
    CHECK_EQ_U64 (kit_spool_info (store, spool).lost, 0);
    CHECK_EQ_U64 (kit_spool_info (store, spool).sequence_ceiling, 30);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

TEST (test_store_closed_with_forwarded_messages_lost_records_them)
{
    //  Under async on a full disk: some were forwarded, and never stored.
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    CHECK_OK (zspool_store_set_ceiling_window (store, spool, WINDOW));
    kit_append (store, spool, 10, 100);
    zspool_store_keep_ceilings (store);
    zspool_store_destroy (&store);
    store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_EQ_U64 (kit_spool_info (store, spool).lost, WINDOW);
    kit_append (store, spool, 1, 100);
    CHECK_EQ_U64 (kit_spool_info (store, spool).last_sequence, 11 + WINDOW);
    zspool_store_destroy (&store);
}

TEST (test_store_left_unclean_without_window_leaves_no_gap)
{
    for (int round = 0; round < 3; round++)
        s_crash (0);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    CHECK_EQ_U64 (kit_read (store, spool, 1), 30);
    CHECK_EQ_U64 (kit_spool_info (store, spool).lost, 0);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

TEST (test_store_left_unclean_numbers_above_the_ceiling)
{
    s_crash (WINDOW);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_READ);
    uint32_t spool = kit_spool (store, "main");
    CHECK_EQ_U64 (kit_spool_info (store, spool).sequence_ceiling, 10 + WINDOW);
    CHECK_EQ_U64 (kit_spool_info (store, spool).lost, 0);
    zspool_store_destroy (&store);

    store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    zspool_spool_info_t info = kit_spool_info (store, spool);
    CHECK_EQ_U64 (info.last_sequence, 10);
    CHECK_EQ_U64 (info.lost, WINDOW);
    CHECK_EQ_U64 (info.messages, 10);
    uint64_t next_sequence;
    int64_t stored_us;
    CHECK_OK (zspool_store_numbering (store, spool, &next_sequence, &stored_us));
    CHECK_EQ_U64 (next_sequence, 11 + WINDOW);
    kit_append (store, spool, 10, 100);
    CHECK_EQ_U64 (kit_read (store, spool, 11), 10);
    info = kit_spool_info (store, spool);
    CHECK_EQ_U64 (info.last_sequence, 20 + WINDOW);
    CHECK_EQ_U64 (info.messages, 20);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

TEST (test_store_left_unclean_records_the_gap_before_it_is_open)
{
    //  Killed again at once: the gap was durable, so there is one, not two.
    s_crash (WINDOW);
    for (int round = 0; round < 3; round++) {
        zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
        CHECK_EQ_U64 (kit_spool_info (store, kit_spool (store, "main")).lost, WINDOW);
        zspool_store_destroy (&store);
    }
}

TEST (test_store_left_unclean_twice_adds_up_the_gaps)
{
    s_crash (WINDOW);
    s_crash (7);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    zspool_spool_info_t info = kit_spool_info (store, spool);
    CHECK_EQ_U64 (info.lost, WINDOW + 7);
    CHECK_EQ_U64 (info.last_sequence, 20 + WINDOW);
    CHECK_EQ_U64 (info.messages, 20);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

//  ---- cursors and gaps: messages 1 to 10, a gap, then ten more

static zspool_store_t *
s_open_with_gap (uint32_t *spool, uint32_t *cursor)
{
    s_crash (WINDOW);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    *spool = kit_spool (store, "main");
    *cursor = kit_cursor (store, *spool, "main", ZSPOOL_START_FIRST);
    kit_append (store, *spool, 10, 100);
    return store;
}

TEST (test_store_gap_is_not_pending)
{
    uint32_t spool, cursor;
    zspool_store_t *store = s_open_with_gap (&spool, &cursor);
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).pending, 20);
    kit_ack (store, spool, cursor, 1, 10);
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).pending, 10);
    kit_ack (store, spool, cursor, 11 + WINDOW, 20 + WINDOW);
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).pending, 0);
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).floor, 20 + WINDOW);
    CHECK_EQ_U64 (kit_spool_info (store, spool).messages, 0);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

TEST (test_store_gap_cannot_be_acknowledged)
{
    uint32_t spool, cursor;
    zspool_store_t *store = s_open_with_gap (&spool, &cursor);
    CHECK_OK (zspool_store_begin (store));
    CHECK_CODE (zspool_store_ack (store, spool, cursor, 11, 11), ZSPOOL_ESTALE);
    CHECK_CODE (zspool_store_ack (store, spool, cursor, 10, 11 + WINDOW), ZSPOOL_ESTALE);
    CHECK_CODE (zspool_store_ack (store, spool, cursor, 10 + WINDOW, 10 + WINDOW), ZSPOOL_ESTALE);
    CHECK_OK (zspool_store_ack (store, spool, cursor, 11 + WINDOW, 11 + WINDOW));
    CHECK_OK (zspool_store_commit (store));
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).pending, 19);
    zspool_store_destroy (&store);
}

TEST (test_store_gap_at_the_end_leaves_cursors_below_it)
{
    s_crash (WINDOW);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    static const uint64_t starts [] = { ZSPOOL_START_NEW, 11, 500, 10 + WINDOW, 11 + WINDOW, 5000 };
    for (size_t index = 0; index < sizeof starts / sizeof starts [0]; index++) {
        char *name = zsys_sprintf ("at-%" PRIu64, starts [index]);
        uint32_t cursor = kit_cursor (store, spool, name, starts [index]);
        CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).floor, 10);
        free (name);
    }
    CHECK_OK (zspool_store_begin (store));
    CHECK_OK (zspool_store_trim (store, spool, UINT64_MAX));
    CHECK_OK (zspool_store_commit (store));
    kit_append (store, spool, 10, 100);
    CHECK_EQ_U64 (kit_spool_info (store, spool).first_sequence, 11 + WINDOW);
    CHECK_EQ_U64 (kit_cursor_info (store, spool, 1).pending, 10);
    kit_check_sound (store);
    zspool_store_destroy (&store);
}

TEST (test_store_cursor_inside_a_gap_starts_behind_it)
{
    uint32_t spool, cursor;
    zspool_store_t *store = s_open_with_gap (&spool, &cursor);
    cursor = kit_cursor (store, spool, "inside", 500);
    zspool_cursor_info_t info = kit_cursor_info (store, spool, cursor);
    CHECK_EQ_U64 (info.pending, 10);
    CHECK_EQ_U64 (kit_read (store, spool, info.floor + 1), 10);
    kit_ack (store, spool, cursor, 11 + WINDOW, 20 + WINDOW);
    CHECK_EQ_U64 (kit_cursor_info (store, spool, cursor).pending, 0);
    zspool_store_destroy (&store);
}
