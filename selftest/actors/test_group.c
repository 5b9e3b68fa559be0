//  test_group.c - tests of groups: who gets what, what comes again and when
//
//  SPDX-License-Identifier: MPL-2.0

#include "actors/groups.h"

static groups_t s_self;

static const zsp_text_t s_no_reason = { NULL, 0 };

TEST (test_group_delivers_no_more_messages_than_its_consumer_has_credit_for)
{
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = false };
    groups_setup (self, NULL, 0);
    groups_store (self, 20, 100);
    groups_join (self, &one, 1, 5);
    CHECK (groups_turn (self, 1000) == ZSPOOL_TURN_IDLE);
    CHECK_EQ_U64 (self->order_count, 5);
    CHECK_EQ_U64 (one.credit_messages, 0);
    CHECK_EQ_U64 (one.in_flight, 5);
    one.credit_messages = 3;
    groups_turn (self, 1000);
    CHECK_EQ_U64 (self->order_count, 8);
    one.credit_messages = 100;
    groups_store (self, 20, 100);
    groups_turn (self, 1000);
    CHECK_EQ_U64 (self->order_count, 40);
    CHECK_EQ_U64 (one.credit_messages, 68);
    for (size_t index = 0; index < 40; index++)
        CHECK_EQ_U64 (self->order [index], index + 1);
    CHECK_EQ_U64 (groups_info (self).delivered, 40);
    groups_done (self);
}

TEST (test_group_delivers_one_message_at_least_for_any_credit_of_bytes)
{
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = false };
    groups_setup (self, NULL, 0);
    groups_store (self, 20, 100);
    groups_join (self, &one, 1, 1000);
    one.credit_bytes = 1;
    groups_turn (self, 1000);
    CHECK_EQ_U64 (self->order_count, 1);
    CHECK_EQ_I64 (one.credit_bytes, 1 - 108);
    one.credit_bytes += 107;
    groups_turn (self, 1000);
    CHECK_EQ_U64 (self->order_count, 1);
    one.credit_bytes += 108 * 4;
    groups_turn (self, 1000);
    CHECK_EQ_U64 (self->order_count, 5);
    CHECK_EQ_I64 (one.credit_bytes, 0);
    groups_done (self);
}

TEST (test_group_shares_messages_among_consumers_with_credit)
{
    groups_t *self = &s_self;
    zspool_subscription_t consumers [3] = { { .exclusive = false } };
    unsigned got [4] = { 0, 0, 0, 0 };
    groups_setup (self, NULL, 0);
    for (uint64_t index = 0; index < 3; index++)
        groups_join (self, &consumers [index], index + 1, index == 1? 0: 1000);
    for (int round = 0; round < 10; round++)
        groups_store (self, 20, 100);
    groups_turn (self, 1000);
    CHECK_EQ_U64 (self->order_count, 200);
    for (uint64_t at = 1; at <= 200; at++) {
        CHECK_EQ_U64 (self->deliveries [at], 1);
        got [self->holder [at]]++;
    }
    CHECK_EQ_U64 (got [2], 0);
    CHECK (got [1] >= 80 && got [3] >= 80);
    CHECK_EQ_U64 (consumers [0].in_flight, got [1]);
    groups_done (self);
}

TEST (test_group_gives_all_to_one_exclusive_consumer_until_it_leaves)
{
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = true }, two = { .exclusive = true },
                          other = { .id = 9 };
    groups_setup (self, NULL, 0);
    groups_store (self, 20, 100);
    groups_join (self, &one, 1, 12);
    groups_join (self, &two, 2, 1000);
    CHECK (one.active && !two.active);
    CHECK_CODE (zspool_group_join (self->group, &other), ZSPOOL_EBUSY);
    groups_turn (self, 1000);
    CHECK_EQ_U64 (self->order_count, 12);
    groups_ack (self, &one, 1, 4);
    zspool_group_leave (self->group, &one, 1500);
    CHECK (two.active && self->told == 1);
    groups_turn (self, 1500);
    CHECK_EQ_U64 (two.in_flight, 16);
    for (uint64_t at = 1; at <= 20; at++) {
        CHECK_EQ_U64 (self->holder [at], at <= 4? 1: 2);
        CHECK_EQ_U64 (self->deliveries [at], at > 4 && at <= 12? 2: 1);
    }
    groups_done (self);
}

TEST (test_group_delivers_what_was_given_back_first_and_in_order)
{
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = false };
    groups_setup (self, NULL, 0);
    groups_store (self, 20, 100);
    groups_join (self, &one, 1, 10);
    groups_turn (self, 1000);
    CHECK_OK (zspool_group_reject (self->group, &one, GROUPS_GENERATION, 7, 8, 1000, 0, false,
                                   s_no_reason));
    CHECK_OK (zspool_group_reject (self->group, &one, GROUPS_GENERATION, 3, 3, 1000, 0, false,
                                   s_no_reason));
    CHECK_OK (zspool_group_reject (self->group, &one, GROUPS_GENERATION, 5, 5, 1000, 200, false,
                                   s_no_reason));
    CHECK_EQ_U64 (one.in_flight, 6);
    one.credit_messages = 6;
    CHECK_EQ_I64 (zspool_group_due_ms (self->group), 1000);
    groups_turn (self, 1000);
    static const uint64_t expected [] = { 3, 7, 8, 11, 12, 13 };
    for (size_t index = 0; index < 6; index++)
        CHECK_EQ_U64 (self->order [10 + index], expected [index]);
    one.credit_messages = 100;
    CHECK_EQ_I64 (zspool_group_due_ms (self->group), 1200);
    groups_turn (self, 1199);
    CHECK_EQ_U64 (self->deliveries [5], 1);
    groups_turn (self, 1200);
    CHECK_EQ_U64 (self->deliveries [5], 2);
    CHECK_EQ_U64 (groups_info (self).redelivered, 4);
    groups_done (self);
}

TEST (test_group_delivers_again_what_is_not_acknowledged_in_time)
{
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = false }, two = { .exclusive = false };
    uint64_t acked = 77;
    groups_setup (self, NULL, 0);
    groups_store (self, 10, 100);
    groups_join (self, &one, 1, 10);
    groups_turn (self, 1000);
    groups_join (self, &two, 2, 100);
    CHECK_OK (zspool_group_extend (self->group, &one, GROUPS_GENERATION, 9, 10, 1500, 1000));
    CHECK_EQ_I64 (zspool_group_due_ms (self->group), 2000);
    groups_turn (self, 1999);
    CHECK_EQ_U64 (two.in_flight, 0);
    groups_turn (self, 2000);
    CHECK_EQ_U64 (two.in_flight, 8);
    CHECK_EQ_U64 (one.in_flight, 2);
    //  It is late: somebody else has them now.
    CHECK_CODE (zspool_group_ack (self->group, &one, GROUPS_GENERATION, 1, 8, &acked),
                ZSPOOL_ESTALE);
    CHECK_CODE (zspool_group_extend (self->group, &one, GROUPS_GENERATION, 1, 8, 2000, 9),
                ZSPOOL_ESTALE);
    CHECK_OK (zspool_group_ack (self->group, &one, GROUPS_GENERATION, 1, 10, &acked));
    CHECK_EQ_U64 (acked, 2);
    CHECK_EQ_U64 (groups_info (self).floor, 0);
    groups_ack (self, &two, 1, 8);
    CHECK_EQ_U64 (groups_info (self).floor, 10);
    CHECK_EQ_U64 (groups_info (self).stale, 2);
    groups_done (self);
}

TEST (test_group_hands_over_what_was_acknowledged)
{
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = false };
    uint64_t acked;
    groups_setup (self, NULL, 0);
    groups_store (self, 10, 100);
    groups_join (self, &one, 1, 10);
    groups_turn (self, 1000);
    groups_ack (self, &one, 1, 3);
    groups_ack (self, &one, 5, 6);
    CHECK_CODE (zspool_group_ack (self->group, &one, GROUPS_GENERATION + 1, 4, 4, &acked),
                ZSPOOL_ESTALE);
    CHECK_CODE (zspool_group_ack (self->group, &one, GROUPS_GENERATION, 11, 99, &acked),
                ZSPOOL_ESTALE);
    CHECK (zspool_group_hand_change (self->group, false));
    zspool_cursor_change_t *change =
        (zspool_cursor_change_t *) groups_written (self, HANDOFF_CHANGE);
    CHECK (change);
    CHECK_EQ_U64 (change->floor, 3);
    CHECK_EQ_U64 (change->sent_to, 10);
    CHECK_EQ_U64 (change->generation, GROUPS_GENERATION);
    CHECK_EQ_U64 (change->entries_count, 1);
    CHECK_EQ_U64 (change->entries [0].acked [0], 0x37);
    free (change);
    CHECK (zspool_group_hand_change (self->group, false));
    CHECK (!groups_written (self, HANDOFF_CHANGE));
    groups_done (self);
}

TEST (test_group_keeps_what_could_not_be_sent)
{
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = false };
    groups_setup (self, NULL, 0);
    groups_store (self, 10, 100);
    groups_join (self, &one, 1, 100);
    self->deliver_rc = ZSPOOL_EBUSY;
    CHECK (groups_turn (self, 1000) == ZSPOOL_TURN_BUSY);
    CHECK_EQ_U64 (one.in_flight, 0);
    CHECK_EQ_U64 (one.credit_messages, 100);
    self->deliver_rc = 0;
    groups_turn (self, 1000);
    CHECK_EQ_U64 (one.in_flight, 10);
    CHECK_OK (zspool_group_reject (self->group, &one, GROUPS_GENERATION, 2, 9, 1000, 0, false,
                                   s_no_reason));
    self->deliver_rc = ZSPOOL_EBUSY;
    CHECK (groups_turn (self, 1000) == ZSPOOL_TURN_BUSY);
    CHECK (groups_turn (self, 1001) == ZSPOOL_TURN_BUSY);
    self->deliver_rc = 0;
    groups_turn (self, 1002);
    CHECK_EQ_U64 (one.in_flight, 10);
    for (uint64_t at = 1; at <= 10; at++)
        CHECK_EQ_U64 (self->deliveries [at], at > 1 && at < 10? 2: 1);
    groups_done (self);
}

//  ------------------------------------------------------------------------------------------------
//  Filters

//  Store a block of these topics, one message each.
static void
s_store_topics (groups_t *self, const char *const *topics, uint32_t count, bool indexed)
{
    uint64_t next = kit_spool_info (self->kit.store, self->kit.spool).last_sequence + 1;
    zspool_block_t *block = kit_block_new_topics (next, topics, count, 50, indexed);
    CHECK_OK (zspool_store_begin (self->kit.store));
    CHECK_OK (zspool_store_append (self->kit.store, self->kit.spool, block));
    CHECK_OK (zspool_store_commit (self->kit.store));
    zspool_block_destroy (&block);
    block = kit_block_new_topics (next, topics, count, 50, indexed);
    zspool_block_stamp (block, next, 1, 1);
    zspool_shelf_live (&self->shelf, block);
}

static void
s_filter_blocks (bool indexed)
{
    static const char *const topics [] = { "a", "b", "b", "a", "b", "a", "a", "b" };
    static const char *const others [] = { "b", "b" };
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = false };
    zspool_filter_t *filter = zspool_filter_new ();
    CHECK_OK (zspool_filter_add (filter, "a", 1));
    groups_setup (self, filter, 0);
    self->topics = true;
    groups_join (self, &one, 1, 3);
    s_store_topics (self, topics, 8, indexed);
    groups_turn (self, 1000);
    CHECK_EQ_U64 (self->order_count, 3);
    one.credit_messages = 100;
    groups_turn (self, 1000);
    s_store_topics (self, others, 2, indexed);
    s_store_topics (self, topics, 8, indexed);
    s_store_topics (self, others, 2, indexed);
    groups_turn (self, 1000);
    CHECK_EQ_U64 (self->order_count, 8);
    for (uint64_t at = 1; at <= 18; at++)
        CHECK_EQ_U64 (self->deliveries [at], (at <= 8 && *topics [at - 1] == 'a')
                                                 || (at > 10 && *topics [at - 11] == 'a'));
    uint64_t acked = 0;
    CHECK_OK (zspool_group_ack (self->group, &one, GROUPS_GENERATION, 1, 20, &acked));
    CHECK_EQ_U64 (acked, 8);
    groups_turn (self, 1000);
    CHECK_EQ_U64 (groups_info (self).floor, 20);
    groups_done (self);
}

TEST (test_group_with_a_filter_acknowledges_what_does_not_match)
{
    s_filter_blocks (false);
}

TEST (test_group_with_a_filter_reads_blocks_with_an_index)
{
    s_filter_blocks (true);
}

//  ------------------------------------------------------------------------------------------------
//  Dead letters

//  The group has asked for dead letters: give them, and take what it buries.
static zspool_move_t *
s_take_burial (groups_t *self, int64_t now_ms)
{
    CHECK (self->wants_dead > 0);
    zspool_group_set_dead (self->group, 77);
    groups_turn (self, now_ms);
    zspool_move_t *move = (zspool_move_t *) groups_written (self, HANDOFF_BURY);
    CHECK (move && move->to == 77 && move->from == self->kit.spool && move->is_burial);
    return move;
}

TEST (test_group_buries_what_was_delivered_too_often)
{
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = false };
    groups_setup (self, NULL, 2);
    groups_store (self, 6, 100);
    groups_join (self, &one, 1, 1000);
    groups_turn (self, 1000);
    groups_ack (self, &one, 2, 6);
    groups_turn (self, 2000);
    CHECK_EQ_U64 (self->deliveries [1], 2);
    groups_turn (self, 3000);
    CHECK_EQ_U64 (self->deliveries [1], 2);
    CHECK_EQ_U64 (groups_info (self).floor, 0);
    zspool_move_t *move = s_take_burial (self, 3000);
    CHECK_EQ_U64 (move->count, 1);
    CHECK_EQ_U64 (move->sequences [0], 1);
    CHECK (move->block && zspool_block_count (move->block) == 1);
    //  It is refused: tried again after a rest, and never delivered.
    move->rc = ZSPOOL_ENOSPC;
    zspool_group_buried (self->group, move, 3000);
    groups_turn (self, 3001);
    CHECK (!groups_written (self, HANDOFF_BURY));
    groups_turn (self, 3000 + ZSPOOL_BURIAL_REST_MS);
    move = (zspool_move_t *) groups_written (self, HANDOFF_BURY);
    CHECK (move);
    zspool_group_buried (self->group, move, 9000);
    CHECK_EQ_U64 (groups_info (self).floor, 6);
    CHECK_EQ_U64 (groups_info (self).buried, 1);
    CHECK_EQ_U64 (self->deliveries [1], 2);
    groups_done (self);
}

TEST (test_group_buries_what_was_rejected_and_nothing_else)
{
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = false };
    const zsp_text_t reason = { "broken", 6 };
    groups_setup (self, NULL, 0);
    groups_store (self, 6, 100);
    groups_join (self, &one, 1, 1000);
    groups_turn (self, 1000);
    CHECK_OK (
        zspool_group_reject (self->group, &one, GROUPS_GENERATION, 2, 3, 1000, 0, true, reason));
    CHECK_CODE (
        zspool_group_reject (self->group, &one, GROUPS_GENERATION, 2, 3, 1000, 0, true, reason),
        ZSPOOL_ESTALE);
    zspool_move_t *move = s_take_burial (self, 1000);
    CHECK_EQ_U64 (move->count, 2);
    CHECK_EQ_U64 (move->sequences [0], 2);
    CHECK_EQ_U64 (move->sequences [1], 3);
    //  No change goes to the writer meanwhile: it would undo the burial.
    groups_ack (self, &one, 1, 1);
    CHECK (!zspool_group_hand_change (self->group, false));
    zspool_group_buried (self->group, move, 1000);
    CHECK_EQ_U64 (groups_info (self).floor, 3);
    groups_turn (self, 100000);
    CHECK_EQ_U64 (self->deliveries [2], 1);
    CHECK_EQ_U64 (self->deliveries [4], 2);
    groups_done (self);
}

static zspool_filter_t *
s_filter_a (void)
{
    zspool_filter_t *filter = zspool_filter_new ();
    CHECK_OK (zspool_filter_add (filter, "a", 1));
    return filter;
}

//  What was delivered too often before a restart dies behind it, and is not taken for what the
//  filter does not want.
TEST (test_group_buries_what_was_delivered_too_often_before_a_restart)
{
    static const char *const topics [] = { "a", "b", "a", "b" };
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = false };
    groups_setup (self, s_filter_a (), 2);
    self->topics = true;
    s_store_topics (self, topics, 4, false);
    groups_join (self, &one, 1, 1000);
    groups_turn (self, 1000);
    groups_turn (self, 2000);
    CHECK_EQ_U64 (self->deliveries [1], 2);
    groups_restart (self, s_filter_a (), 2, 4);
    groups_join (self, &one, 2, 1000);
    groups_turn (self, 2100);
    CHECK_EQ_U64 (self->deliveries [1], 2);
    CHECK_EQ_U64 (self->deliveries [3], 2);
    CHECK_EQ_U64 (groups_info (self).floor, 0);
    zspool_move_t *move = s_take_burial (self, 2100);
    CHECK_EQ_U64 (move->count, 2);
    CHECK_EQ_U64 (move->sequences [0], 1);
    CHECK_EQ_U64 (move->sequences [1], 3);
    zspool_group_buried (self->group, move, 2100);
    groups_turn (self, 2100);
    CHECK_EQ_U64 (groups_info (self).floor, 4);
    groups_done (self);
}

TEST (test_group_goes_on_behind_a_restart_with_what_is_not_acknowledged)
{
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = false };
    groups_setup (self, NULL, 0);
    groups_store (self, 20, 100);
    groups_join (self, &one, 1, 12);
    groups_turn (self, 1000);
    groups_ack (self, &one, 1, 2);
    groups_ack (self, &one, 5, 6);
    groups_restart (self, NULL, 0, 20);
    groups_join (self, &one, 2, 1000);
    groups_turn (self, 1000);
    CHECK_EQ_U64 (one.in_flight, 16);
    for (uint64_t at = 1; at <= 20; at++)
        CHECK_EQ_U64 (self->deliveries [at], at <= 2 || at == 5 || at == 6 || at > 12? 1: 2);
    uint64_t acked = 0;
    CHECK_OK (zspool_group_ack (self->group, &one, GROUPS_GENERATION, 1, 20, &acked));
    CHECK_EQ_U64 (acked, 16);
    CHECK_EQ_U64 (groups_info (self).floor, 20);
    groups_done (self);
}

//  What a whole range names beyond what is held does not get round the limit.
TEST (test_group_refuses_to_bury_more_than_it_can_keep)
{
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = false };
    groups_setup (self, NULL, 0);
    zspool_shelf_end (&self->shelf);
    zspool_reader_t *reader = zspool_reader_new (self->kit.store, self->kit.spool);
    zspool_shelf_init (&self->shelf, self->kit.spool, "main", reader, 0);
    groups_store (self, 3000, 8);
    groups_join (self, &one, 1, 100000);
    groups_turn (self, 1000);
    CHECK_OK (zspool_group_reject (self->group, &one, GROUPS_GENERATION, 1, 10, 1000, 0, true,
                                   s_no_reason));
    one.in_flight += ZSPOOL_DOOMED_MAX; //  as if it held so many
    CHECK_CODE (zspool_group_reject (self->group, &one, GROUPS_GENERATION, 1, UINT64_MAX, 1000, 0,
                                     true, s_no_reason),
                ZSPOOL_ELIMIT);
    one.in_flight -= ZSPOOL_DOOMED_MAX;
    CHECK_OK (zspool_group_reject (self->group, &one, GROUPS_GENERATION, 1, UINT64_MAX, 1000, 0,
                                   true, s_no_reason));
    CHECK_EQ_U64 (one.in_flight, 0);
    groups_done (self);
}
