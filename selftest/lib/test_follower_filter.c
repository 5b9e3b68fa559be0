//  test_follower_filter.c - tests of giving the messages of a spool that match a filter, from live
//  blocks and from the store
//
//  SPDX-License-Identifier: MPL-2.0

#include "follower.h"
#include "kit.h"

#define MESSAGES 10                    //  in each block
#define MESSAGES_MAX 3000              //  of a test

//  A spool, what follows it, and blocks that were made and not stored yet
typedef struct {
    zspool_store_t *store;
    uint32_t spool;
    zspool_reader_t *reader;
    zspool_filter_t *filter;
    zspool_follower_t follower;
    kit_chance_t chance;
    uint64_t next;                     //  sequence of the block to be made next
    char topics [MESSAGES_MAX][2];     //  of each message, a letter
    size_t waiting_count;
    zspool_block_t *waiting [MESSAGES_MAX / MESSAGES];
} s_setup_t;

static zspool_filter_t *
s_filter (const char *text)
{
    zspool_filter_t *filter = zspool_filter_new ();
    CHECK_OK (zspool_filter_add (filter, text, strlen (text)));
    return filter;
}

static s_setup_t *
s_setup (const char *filter)
{
    s_setup_t *self = (s_setup_t *) zmalloc (sizeof *self);
    self->chance = kit_chance_new ();
    self->store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    self->spool = kit_spool (self->store, "main");
    self->reader = zspool_reader_new (self->store, self->spool);
    self->filter = s_filter (filter);
    self->next = 1;
    zspool_follower_init (&self->follower, self->reader, 1);
    zspool_follower_set_filter (&self->follower, self->filter);
    return self;
}

//  Commit all blocks that wait, as the writer does.
static void
s_store (s_setup_t *self)
{
    CHECK_OK (zspool_store_begin (self->store));
    for (size_t index = 0; index < self->waiting_count; index++) {
        CHECK_OK (zspool_store_append_stamped (self->store, self->spool, self->waiting [index]));
        zspool_block_destroy (&self->waiting [index]);
    }
    self->waiting_count = 0;
    CHECK_OK (zspool_store_commit (self->store));
    zspool_follower_stored (&self->follower);
}

static void
s_done (s_setup_t **self_p)
{
    s_setup_t *self = *self_p;
    s_store (self);
    zspool_follower_destroy (&self->follower);
    zspool_filter_destroy (&self->filter);
    zspool_reader_destroy (&self->reader);
    zspool_store_destroy (&self->store);
    free (self);
    *self_p = NULL;
}

//  A block comes whose messages have letters for topics, drawn from these.
static void
s_come (s_setup_t *self, const char *letters, size_t bytes, bool indexed)
{
    const char *topics [MESSAGES];
    CHECK (self->next + MESSAGES <= MESSAGES_MAX);
    for (size_t index = 0; index < MESSAGES; index++) {
        topics [index] = self->topics [self->next + index];
        self->topics [self->next + index][0] = letters [kit_below (&self->chance, strlen (letters))];
    }
    zspool_block_t *block = kit_block_new_topics (self->next, topics, MESSAGES, bytes, indexed);
    zspool_block_stamp (block, self->next, 1, 1);
    self->next += MESSAGES;
    self->waiting [self->waiting_count++] = zspool_block_ref (block);
    zspool_follower_live (&self->follower, block);
}

//  The follower's next message, from `from` on, must be the next that matches. Gives its sequence,
//  or 0: there is none.
static uint64_t
s_check_peek (s_setup_t *self, uint64_t from)
{
    zspool_follower_t *follower = &self->follower;
    int rc;
    while ((rc = zspool_follower_peek (follower)) == ZSPOOL_ELIMIT)
        ;
    uint64_t expected = from;
    while (expected < follower->next && follower->filter
           && !zspool_filter_matches (follower->filter, self->topics [expected], 1))
        expected++;
    //  What lies before it was passed over rightly.
    CHECK_EQ_U64 (expected, follower->next);
    if (rc == ZSPOOL_ENOENT)
        return 0;
    CHECK_OK (rc);
    CHECK_EQ_U64 (follower->record.sequence, follower->next);
    CHECK (!follower->filter || zspool_filter_matches (follower->filter, self->topics [expected], 1));
    kit_check_topic (&follower->record, self->topics [expected]);
    CHECK_OK (zspool_follower_peek (follower));
    CHECK_EQ_U64 (follower->record.sequence, expected);
    return expected;
}

//  All that matches from `from` on must be given, and the rest passed over.
static void
s_check_rest (s_setup_t *self, uint64_t from)
{
    uint64_t sequence;
    while ((sequence = s_check_peek (self, from)) > 0) {
        zspool_follower_advance (&self->follower);
        from = sequence + 1;
    }
    CHECK_EQ_U64 (self->follower.next, self->next);
}

TEST (test_follower_filter_gives_what_matches_of_live_blocks)
{
    for (int indexed = 0; indexed < 2; indexed++) {
        s_setup_t *self = s_setup ("a");
        s_come (self, "ab", 200, indexed);
        s_come (self, "b", 200, indexed);
        s_come (self, "a", 200, indexed);
        s_store (self);
        s_check_rest (self, 1);
        s_come (self, "bc", 200, indexed);
        s_check_rest (self, 31);
        s_done (&self);
        CHECK (system ("rm -r " KIT_STORE) == 0);
    }
}

TEST (test_follower_filter_gives_what_matches_of_the_store)
{
    for (int indexed = 0; indexed < 2; indexed++) {
        s_setup_t *self = s_setup ("a");
        for (int blocks = 0; blocks < 50; blocks++)
            s_come (self, blocks % 7? "b": "bca", 200, indexed);
        s_store (self);
        s_check_rest (self, 1);
        zspool_follower_seek (&self->follower, 205);
        s_check_rest (self, 205);
        s_done (&self);
        CHECK (system ("rm -r " KIT_STORE) == 0);
    }
}

TEST (test_follower_filter_that_passes_over_much_comes_back_in_between)
{
    s_setup_t *self = s_setup ("a");
    for (int blocks = 0; blocks < 3 * ZSPOOL_FOLLOWER_PASS_MAX; blocks++)
        s_come (self, "b", 200, false);
    s_store (self);
    uint64_t before = 0;
    int rounds = 0;
    for (; zspool_follower_peek (&self->follower) == ZSPOOL_ELIMIT; rounds++) {
        CHECK (self->follower.next > before);
        before = self->follower.next;
    }
    CHECK (rounds >= 2);
    s_check_rest (self, self->next);
    s_done (&self);
}

TEST (test_follower_filter_set_with_a_message_at_hand_counts_from_it)
{
    s_setup_t *self = s_setup ("a");
    s_come (self, "a", 200, true);
    s_come (self, "b", 200, true);
    s_store (self);
    CHECK_EQ_U64 (s_check_peek (self, 1), 1);
    zspool_follower_advance (&self->follower);
    CHECK_EQ_U64 (s_check_peek (self, 2), 2);
    zspool_filter_t *other = s_filter ("b");
    zspool_follower_set_filter (&self->follower, other);
    CHECK_EQ_U64 (s_check_peek (self, 2), 11);
    zspool_follower_set_filter (&self->follower, NULL);
    s_check_rest (self, 11);
    zspool_filter_destroy (&other);
    s_done (&self);
}

TEST (test_follower_filter_added_to_counts_from_there)
{
    s_setup_t *self = s_setup ("a");
    s_come (self, "aaab", 200, true);
    s_come (self, "bc", 200, true);
    s_store (self);
    uint64_t first = s_check_peek (self, 1);
    CHECK (first > 0);
    zspool_follower_advance (&self->follower);
    CHECK_OK (zspool_filter_add (self->filter, "b", 1));
    s_check_rest (self, first + 1);
    s_done (&self);
}

TEST (test_follower_filter_random_traffic_is_given_once_and_in_order)
{
    static const char *const filters [] = { "a", "b", "x", "c" };
    static const char *const letters [] = { "a", "b", "c", "abc", "bc", "aaaaab", "bbbbbbbbbbbbbbbbba" };
    for (int round = 0; round < 15; round++) {
        s_setup_t *self = s_setup ("a");
        kit_chance_t *chance = &self->chance;
        zspool_filter_t *others [4];
        uint64_t from = 1;
        bool async = kit_below (chance, 2);
        for (int index = 0; index < 4; index++)
            others [index] = s_filter (filters [index]);
        for (int step = 0; step < 400; step++) {
            size_t bytes = kit_below (chance, 30)? 200: ZSPOOL_FOLLOWER_LIVE_BYTES / MESSAGES + 1000;
            if (kit_below (chance, 3) == 0 && self->next + MESSAGES < MESSAGES_MAX)
                s_come (self, letters [kit_below (chance, 7)], bytes, kit_below (chance, 3));
            if (self->waiting_count > 0 && (!async || kit_below (chance, 20) == 0))
                s_store (self);
            if (kit_below (chance, 40) == 0)
                zspool_follower_seek (&self->follower, from = 1 + kit_below (chance, from));
            if (kit_below (chance, 40) == 0)
                zspool_follower_set_filter (&self->follower, kit_below (chance, 5)? others [kit_below (chance, 4)]: NULL);
            for (uint64_t give = kit_below (chance, 30); give > 0 && s_check_peek (self, from) > 0; give--) {
                zspool_follower_advance (&self->follower);
                from = self->follower.next;
            }
            from = self->follower.next;
        }
        s_store (self);
        s_check_rest (self, from);
        for (int index = 0; index < 4; index++)
            zspool_filter_destroy (&others [index]);
        s_done (&self);
        CHECK (system ("rm -r " KIT_STORE) == 0);
    }
}
