//  test_group_claims.c - tests of what transactions acknowledge on a group, and random work on one
//
//  SPDX-License-Identifier: MPL-2.0

#include "actors/groups.h"

static groups_t s_self;

static const zsp_text_t s_no_reason = { NULL, 0 };

static int
s_claim (groups_t *self, zspool_subscription_t *consumer, uint64_t first, uint64_t last,
         uint64_t tag)
{
    return zspool_group_claim (self->group, consumer, GROUPS_GENERATION, first, last, tag);
}

static void
s_setup (groups_t *self, zspool_subscription_t *one)
{
    groups_setup (self, NULL, 0);
    groups_store (self, 10, 100);
    groups_join (self, one, 1, 1000);
    groups_turn (self, 1000);
}

TEST (test_group_claims_are_in_the_change_that_goes_with_the_batch)
{
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = false };
    s_setup (self, &one);
    CHECK_OK (s_claim (self, &one, 1, 6, 7));
    CHECK_EQ_U64 (one.in_flight, 4);
    CHECK_EQ_U64 (groups_info (self).floor, 0);
    //  What is delivered and acknowledged meanwhile belongs into it, too.
    groups_store (self, 10, 100);
    groups_turn (self, 1000);
    CHECK_OK (s_claim (self, &one, 8, 15, 8));
    groups_ack (self, &one, 7, 7);
    CHECK (!zspool_group_hand_change (self->group, false));
    zspool_cursor_change_t *change = NULL;
    CHECK_OK (zspool_group_take_claimed (self->group, &change));
    CHECK_EQ_U64 (change->floor, 15);
    CHECK_EQ_U64 (change->sent_to, 20);
    free (change);
    CHECK_EQ_U64 (groups_info (self).floor, 0);
    CHECK_CODE (s_claim (self, &one, 16, 16, 9), ZSPOOL_EBUSY);
    CHECK (!zspool_group_hand_change (self->group, false));
    zspool_group_end_claimed (self->group, ZSPOOL_OK, 1000);
    CHECK_EQ_U64 (groups_info (self).floor, 15);
    CHECK_EQ_U64 (groups_info (self).acknowledged, 15);
    CHECK_OK (s_claim (self, &one, 16, 16, 9));
    groups_done (self);
}

TEST (test_group_claim_of_what_is_not_all_held_takes_nothing)
{
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = false }, two = { .exclusive = false };
    zspool_cursor_change_t *change = NULL;
    s_setup (self, &one);
    groups_join (self, &two, 2, 0);
    groups_ack (self, &one, 5, 5);
    CHECK_CODE (s_claim (self, &one, 1, 10, 7), ZSPOOL_ESTALE);
    CHECK_CODE (s_claim (self, &one, 9, 11, 7), ZSPOOL_ESTALE);
    CHECK_CODE (s_claim (self, &two, 1, 1, 7), ZSPOOL_ESTALE);
    CHECK_CODE (zspool_group_claim (self->group, &one, GROUPS_GENERATION + 1, 1, 1, 7),
                ZSPOOL_ESTALE);
    CHECK_EQ_U64 (one.in_flight, 9);
    CHECK_CODE (zspool_group_take_claimed (self->group, &change), ZSPOOL_ESTALE);
    CHECK_OK (s_claim (self, &one, 1, 4, 7));
    CHECK_CODE (s_claim (self, &one, 4, 4, 8), ZSPOOL_ESTALE);
    groups_done (self);
}

TEST (test_group_claims_of_a_refused_transaction_are_held_again)
{
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = false }, two = { .exclusive = false };
    zspool_cursor_change_t *change = NULL;
    s_setup (self, &one);
    CHECK_OK (s_claim (self, &one, 1, 3, 7));
    CHECK_OK (s_claim (self, &one, 4, 5, 8));
    zspool_group_unclaim (self->group, 7, 1100);
    CHECK_EQ_U64 (one.in_flight, 8);
    CHECK_OK (zspool_group_take_claimed (self->group, &change));
    CHECK_EQ_U64 (change->floor, 0);
    CHECK_EQ_U64 (change->entries_count, 1);
    CHECK_EQ_U64 (change->entries [0].acked [0], 0x18);
    free (change);
    zspool_group_end_claimed (self->group, ZSPOOL_ENOSPC, 1200);
    CHECK_EQ_U64 (one.in_flight, 10);
    //  With the deadline that they had
    CHECK_EQ_I64 (zspool_group_due_ms (self->group), 2000);
    CHECK_OK (s_claim (self, &one, 1, 10, 9));
    groups_join (self, &two, 2, 1000);
    zspool_group_leave (self->group, &one, 1300);
    groups_turn (self, 1300);
    CHECK_EQ_U64 (two.in_flight, 0);
    CHECK_OK (zspool_group_take_claimed (self->group, &change));
    free (change);
    zspool_group_end_claimed (self->group, ZSPOOL_ELIMIT, 1400);
    groups_turn (self, 1400);
    CHECK_EQ_U64 (two.in_flight, 10);
    CHECK_EQ_U64 (self->deliveries [5], 2);
    groups_done (self);
}

TEST (test_group_claims_are_void_when_the_cursor_is_moved)
{
    groups_t *self = &s_self;
    zspool_subscription_t one = { .exclusive = false };
    zspool_cursor_change_t *change = NULL;
    s_setup (self, &one);
    CHECK_OK (s_claim (self, &one, 1, 10, 7));
    zspool_cursor_t *tracker =
        zspool_cursor_new (self->kit.spool, self->kit.cursor, GROUPS_GENERATION, 0, 0);
    zspool_group_moved (self->group, GROUPS_GENERATION, 0, 0, tracker);
    CHECK_EQ_U64 (self->told, 1);
    CHECK_EQ_U64 (one.in_flight, 0);
    memset (self->deliveries, 0, sizeof self->deliveries);
    groups_turn (self, 1000);
    CHECK_EQ_U64 (one.in_flight, 10);
    //  The batch that the first claim is in is to be refused: none may join it.
    CHECK_CODE (s_claim (self, &one, 1, 1, 8), ZSPOOL_EBUSY);
    CHECK_CODE (zspool_group_take_claimed (self->group, &change), ZSPOOL_ESTALE);
    zspool_group_end_claimed (self->group, ZSPOOL_ESTALE, 1000);
    CHECK_EQ_U64 (one.in_flight, 10);
    CHECK_OK (s_claim (self, &one, 1, 1, 8));
    CHECK_OK (zspool_group_take_claimed (self->group, &change));
    CHECK_EQ_U64 (change->floor, 1);
    free (change);
    groups_done (self);
}

//  ------------------------------------------------------------------------------------------------
//  Random work: whatever consumers do, each message ends acknowledged, once, by who held it.

#define CONSUMERS 4

typedef struct {
    groups_t *groups;
    kit_chance_t chance;
    int64_t now_ms;
    uint64_t next_id;
    uint64_t stored;
    zspool_subscription_t consumers [CONSUMERS];
    bool joined [CONSUMERS];
    bool claiming;  //  claims are being gathered,
    bool under_way; //  or were taken
} s_work_t;

static void
s_come_or_go (s_work_t *work, size_t index)
{
    zspool_subscription_t *consumer = &work->consumers [index];
    if (work->joined [index])
        zspool_group_leave (work->groups->group, consumer, work->now_ms);
    else
        groups_join (work->groups, consumer, work->next_id++, kit_below (&work->chance, 50));
    work->joined [index] = !work->joined [index];
}

static void
s_end_batch (s_work_t *work, int rc)
{
    zspool_cursor_change_t *change = NULL;
    if (!work->under_way) {
        CHECK (zspool_group_take_claimed (work->groups->group, &change) == ZSPOOL_OK
               || !work->claiming);
        work->under_way = work->claiming;
        free (change);
    }
    else {
        zspool_group_end_claimed (work->groups->group, rc, work->now_ms);
        work->claiming = work->under_way = false;
    }
}

static void
s_say (s_work_t *work, zspool_subscription_t *consumer)
{
    zspool_group_t *group = work->groups->group;
    uint64_t first = 1 + kit_below (&work->chance, work->stored),
             last = first + kit_below (&work->chance, 30);
    uint64_t acked;
    int rc = ZSPOOL_OK;
    switch (kit_below (&work->chance, 4)) {
    case 0: rc = zspool_group_ack (group, consumer, GROUPS_GENERATION, first, last, &acked); break;
    case 1:
        rc = zspool_group_reject (group, consumer, GROUPS_GENERATION, first, last, work->now_ms,
                                  (uint32_t) kit_below (&work->chance, 300), false, s_no_reason);
        break;
    case 2:
        rc = zspool_group_extend (group, consumer, GROUPS_GENERATION, first, last, work->now_ms,
                                  500);
        break;
    default:
        rc = s_claim (work->groups, consumer, first, first + kit_below (&work->chance, 3),
                      work->now_ms? 1: 2);
        work->claiming = work->claiming || rc == ZSPOOL_OK;
        break;
    }
    CHECK (rc == ZSPOOL_OK || rc == ZSPOOL_ESTALE || rc == ZSPOOL_EBUSY);
}

static void
s_step (s_work_t *work)
{
    size_t index = kit_below (&work->chance, CONSUMERS);
    zspool_subscription_t *consumer = &work->consumers [index];
    switch (kit_below (&work->chance, 10)) {
    case 0:
        if (work->stored < GROUPS_MESSAGES_MAX - 100) {
            uint32_t count = 1 + (uint32_t) kit_below (&work->chance, 40);
            groups_store (work->groups, count, 8 + kit_below (&work->chance, 50));
            work->stored += count;
        }
        break;
    case 1:
        if (kit_below (&work->chance, 4) == 0)
            s_come_or_go (work, index);
        break;
    case 2: s_end_batch (work, kit_below (&work->chance, 2)? ZSPOOL_OK: ZSPOOL_ENOSPC); break;
    case 3:
        consumer->credit_messages += work->joined [index]? kit_below (&work->chance, 60): 0;
        break;
    case 4: work->now_ms += (int64_t) kit_below (&work->chance, 300); break;
    case 5: zspool_group_hand_change (work->groups->group, kit_below (&work->chance, 2)); break;
    default:
        if (work->joined [index])
            s_say (work, consumer);
        break;
    }
    work->groups->deliver_rc = kit_below (&work->chance, 5)? 0: ZSPOOL_EBUSY;
    groups_turn (work->groups, work->now_ms);
    uint64_t held = 0;
    for (size_t at = 0; at < CONSUMERS; at++)
        held += work->joined [at]? work->consumers [at].in_flight: 0;
    CHECK (held <= groups_info (work->groups).in_flight);
}

//  One consumer takes all that is left.
static void
s_drain (s_work_t *work)
{
    zspool_subscription_t last = { .exclusive = false };
    uint64_t acked;
    while (work->claiming)
        s_end_batch (work, ZSPOOL_ENOSPC);
    for (size_t index = 0; index < CONSUMERS; index++)
        if (work->joined [index])
            s_come_or_go (work, index);
    work->groups->deliver_rc = 0;
    groups_join (work->groups, &last, work->next_id++, UINT32_MAX);
    work->now_ms += 10000;
    groups_turn (work->groups, work->now_ms);
    CHECK_EQ_U64 (last.in_flight, groups_info (work->groups).in_flight);
    if (last.in_flight > 0)
        CHECK_OK (zspool_group_ack (work->groups->group, &last, GROUPS_GENERATION, 1, work->stored,
                                    &acked));
    CHECK_EQ_U64 (groups_info (work->groups).floor, work->stored);
    CHECK_EQ_U64 (groups_info (work->groups).in_flight, 0);
    CHECK_EQ_U64 (groups_info (work->groups).acknowledged, work->stored);
    for (uint64_t at = 1; at <= work->stored; at++)
        CHECK (work->groups->deliveries [at] > 0);
    zspool_group_leave (work->groups->group, &last, work->now_ms);
}

TEST (test_group_random_work_ends_with_each_message_acknowledged_once)
{
    static s_work_t work;
    work.groups = &s_self;
    work.chance = kit_chance_new ();
    work.now_ms = 1000;
    work.next_id = 1;
    groups_setup (work.groups, NULL, 0);
    groups_store (work.groups, 10, 100);
    work.stored = 10;
    for (int round = 0; round < (SELFTEST_TSAN? 1000: 10000); round++)
        s_step (&work);
    printf ("%" PRIu64 " messages, %" PRIu64 " deliveries again\n", work.stored,
            groups_info (work.groups).redelivered);
    s_drain (&work);
    groups_done (work.groups);
}
