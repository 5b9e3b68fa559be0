//  test_store_limit.c - tests of the limit of a spool: refusing, dropping the oldest, and what
//  cursors know of it
//
//  SPDX-License-Identifier: MPL-2.0

#include "kit.h"

#define MIB (1024 * 1024)
#define LIMIT MIB
#define MESSAGE_BYTES 10000
#define OVERHEAD 104                   //  of a block, bytes

typedef struct {
    zspool_store_t *store;
    uint32_t spool;
    uint32_t cursor;
} s_setup_t;

static s_setup_t
s_setup (zspool_on_full_t on_full)
{
    s_setup_t self;
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    self.spool = kit_spool (self.store, "main");
    self.cursor = kit_cursor (self.store, self.spool, "main", ZSPOOL_START_FIRST);
    CHECK_OK (zspool_store_set_limit (self.store, self.spool, LIMIT, on_full));
    return self;
}

static void
s_done (s_setup_t *self)
{
    kit_check_sound (self->store);
    zspool_store_destroy (&self->store);
}

//  Append a block in a transaction of its own.
static int
s_append (s_setup_t *self, uint32_t messages, size_t bytes)
{
    CHECK_OK (zspool_store_begin (self->store));
    int rc = kit_try_append (self->store, self->spool, messages, bytes);
    CHECK_OK (zspool_store_commit (self->store));
    CHECK (kit_spool_info (self->store, self->spool).bytes <= LIMIT);
    return rc;
}

//  Append blocks of ten messages until one is refused.
static void
s_fill (s_setup_t *self)
{
    int count = 0;
    while (s_append (self, 10, MESSAGE_BYTES) == ZSPOOL_OK)
        CHECK (++count < 100);
    CHECK_EQ_I64 (count, LIMIT / (10 * (MESSAGE_BYTES + 8) + OVERHEAD));
}

static zspool_cursor_info_t
s_info (s_setup_t *self)
{
    return kit_cursor_info (self->store, self->spool, self->cursor);
}

//  ---- refusing

TEST (test_store_limit_refuses_what_exceeds_it_and_takes_more_when_a_block_is_acknowledged)
{
    s_setup_t self = s_setup (ZSPOOL_ON_FULL_PAUSE);
    s_fill (&self);
    CHECK_CODE (s_append (&self, 10, MESSAGE_BYTES), ZSPOOL_ELIMIT);
    CHECK (strstr (zspool_store_reason (self.store), "main is at its limit"));
    kit_ack (self.store, self.spool, self.cursor, 1, 9);
    CHECK_CODE (s_append (&self, 10, MESSAGE_BYTES), ZSPOOL_ELIMIT);
    kit_ack (self.store, self.spool, self.cursor, 10, 10);
    CHECK_OK (s_append (&self, 10, MESSAGE_BYTES));
    CHECK_CODE (s_append (&self, 10, MESSAGE_BYTES), ZSPOOL_ELIMIT);
    CHECK_EQ_U64 (s_info (&self).lagged, 0);
    s_done (&self);
}

TEST (test_store_limit_lets_a_transaction_that_acknowledges_append)
{
    s_setup_t self = s_setup (ZSPOOL_ON_FULL_PAUSE);
    s_fill (&self);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (kit_try_append (self.store, self.spool, 10, MESSAGE_BYTES), ZSPOOL_ELIMIT);
    CHECK_OK (zspool_store_ack (self.store, self.spool, self.cursor, 1, 10));
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_OK (s_append (&self, 10, MESSAGE_BYTES));
    s_done (&self);
}

TEST (test_store_limit_holds_for_messages_put_one_by_one)
{
    s_setup_t self = s_setup (ZSPOOL_ON_FULL_PAUSE);
    uint8_t bytes [MESSAGE_BYTES];
    zspool_frame_t frame = { bytes, sizeof bytes };
    int count = 0, rc;
    CHECK_OK (zspool_store_begin (self.store));
    do {
        kit_fill (bytes, sizeof bytes, (uint64_t) count + 1);
        rc = zspool_store_put (self.store, self.spool, &frame, 1, NULL);
    } while (rc == ZSPOOL_OK && ++count < 1000);
    CHECK_CODE (rc, ZSPOOL_ELIMIT);
    CHECK_OK (zspool_store_commit (self.store));
    zspool_spool_info_t info = kit_spool_info (self.store, self.spool);
    CHECK_EQ_U64 (info.messages, count);
    CHECK (info.bytes <= LIMIT && info.bytes + MESSAGE_BYTES + 8 + 2 * OVERHEAD > LIMIT);
    CHECK (info.blocks <= 4);
    s_done (&self);
}

TEST (test_store_limit_refuses_for_good_what_is_larger)
{
    s_setup_t self = s_setup (ZSPOOL_ON_FULL_DROP_OLDEST);
    static uint8_t bytes [LIMIT];
    zspool_frame_t frame = { bytes, sizeof bytes };
    CHECK_OK (s_append (&self, 10, 100));
    CHECK_CODE (s_append (&self, 1, LIMIT), ZSPOOL_ETOOBIG);
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_CODE (zspool_store_put (self.store, self.spool, &frame, 1, NULL), ZSPOOL_ETOOBIG);
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).messages, 10);
    CHECK_OK (s_append (&self, 1, LIMIT - OVERHEAD - 8));
    CHECK_EQ_U64 (s_info (&self).lagged, 10);
    s_done (&self);
}

TEST (test_store_limit_that_makes_no_sense_gives_einval)
{
    s_setup_t self = s_setup (ZSPOOL_ON_FULL_PAUSE);
    CHECK_CODE (zspool_store_set_limit (self.store, self.spool, MIB - 1, ZSPOOL_ON_FULL_PAUSE), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_set_limit (self.store, 77, MIB, ZSPOOL_ON_FULL_PAUSE), ZSPOOL_EINVAL);
    CHECK_CODE (zspool_store_set_limit (self.store, self.spool, MIB, (zspool_on_full_t) 2), ZSPOOL_EINVAL);
    CHECK_OK (zspool_store_set_limit (self.store, self.spool, 0, ZSPOOL_ON_FULL_PAUSE));
    CHECK_OK (zspool_store_begin (self.store));
    for (int block = 0; block < 30; block++)
        CHECK_OK (kit_try_append (self.store, self.spool, 10, MESSAGE_BYTES));
    CHECK_OK (zspool_store_commit (self.store));
    s_done (&self);
    zspool_store_t *reading = kit_open (KIT_STORE, ZSPOOL_READ);
    CHECK_CODE (zspool_store_set_limit (reading, self.spool, MIB, ZSPOOL_ON_FULL_PAUSE), ZSPOOL_EINVAL);
    zspool_store_destroy (&reading);
}

//  ---- dropping

TEST (test_store_limit_drops_the_oldest_and_cursors_know_what_they_lost)
{
    s_setup_t self = s_setup (ZSPOOL_ON_FULL_DROP_OLDEST);
    uint32_t ahead = kit_cursor (self.store, self.spool, "ahead", ZSPOOL_START_FIRST);
    for (int block = 0; block < 10; block++)
        CHECK_OK (s_append (&self, 10, MESSAGE_BYTES));
    kit_ack (self.store, self.spool, ahead, 1, 25);
    kit_ack (self.store, self.spool, self.cursor, 3, 4);
    kit_ack (self.store, self.spool, self.cursor, 15, 20);
    for (int block = 0; block < 3; block++)
        CHECK_OK (s_append (&self, 10, MESSAGE_BYTES));
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).first_sequence, 31);
    zspool_cursor_info_t info = s_info (&self);
    CHECK_EQ_U64 (info.floor, 30);
    CHECK_EQ_U64 (info.lagged, 30 - 2 - 6);
    CHECK_EQ_U64 (info.pending, 100);
    CHECK_EQ_U64 (info.generation, 1);
    info = kit_cursor_info (self.store, self.spool, ahead);
    CHECK_EQ_U64 (info.floor, 30);
    CHECK_EQ_U64 (info.lagged, 5);
    CHECK_EQ_U64 (kit_read (self.store, self.spool, 1), 100);
    //  It is durable, and acknowledging goes on.
    zspool_store_destroy (&self.store);
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_EQ_U64 (s_info (&self).lagged, 22);
    CHECK_CODE (({ CHECK_OK (zspool_store_begin (self.store));
                   zspool_store_ack (self.store, self.spool, self.cursor, 30, 30); }), ZSPOOL_ESTALE);
    zspool_store_rollback (self.store);
    kit_ack (self.store, self.spool, self.cursor, 31, 130);
    CHECK_EQ_U64 (s_info (&self).pending, 0);
    s_done (&self);
}

TEST (test_store_limit_trims_before_it_drops)
{
    s_setup_t self = s_setup (ZSPOOL_ON_FULL_DROP_OLDEST);
    for (int block = 0; block < 10; block++)
        CHECK_OK (s_append (&self, 10, MESSAGE_BYTES));
    CHECK_OK (zspool_store_begin (self.store));
    CHECK_OK (zspool_store_ack (self.store, self.spool, self.cursor, 1, 20));
    for (int block = 0; block < 2; block++)
        CHECK_OK (kit_try_append (self.store, self.spool, 10, MESSAGE_BYTES));
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_EQ_U64 (s_info (&self).lagged, 0);
    CHECK_EQ_U64 (s_info (&self).floor, 20);
    s_done (&self);
}

TEST (test_store_limit_dropping_that_is_rolled_back_did_not_happen)
{
    s_setup_t self = s_setup (ZSPOOL_ON_FULL_DROP_OLDEST);
    for (int block = 0; block < 10; block++)
        CHECK_OK (s_append (&self, 10, MESSAGE_BYTES));
    kit_ack (self.store, self.spool, self.cursor, 5, 5);
    CHECK_OK (zspool_store_begin (self.store));
    for (int block = 0; block < 5; block++)
        CHECK_OK (kit_try_append (self.store, self.spool, 10, MESSAGE_BYTES));
    zspool_store_rollback (self.store);
    CHECK_EQ_U64 (s_info (&self).floor, 0);
    CHECK_EQ_U64 (s_info (&self).lagged, 0);
    CHECK_EQ_U64 (s_info (&self).pending, 99);
    CHECK_EQ_U64 (zspool_store_dropped_to (self.store, self.spool), 0);
    kit_ack (self.store, self.spool, self.cursor, 1, 4);
    CHECK_EQ_U64 (s_info (&self).floor, 5);
    s_done (&self);
}

TEST (test_store_limit_drops_what_the_same_transaction_appended)
{
    s_setup_t self = s_setup (ZSPOOL_ON_FULL_DROP_OLDEST);
    CHECK_OK (zspool_store_begin (self.store));
    for (int block = 0; block < 35; block++)
        CHECK_OK (kit_try_append (self.store, self.spool, 10, MESSAGE_BYTES));
    CHECK_OK (zspool_store_commit (self.store));
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).messages, 100);
    CHECK_EQ_U64 (s_info (&self).lagged, 250);
    CHECK_EQ_U64 (zspool_store_dropped_to (self.store, self.spool), 250);
    CHECK_EQ_U64 (kit_read (self.store, self.spool, 1), 100);
    s_done (&self);
}

TEST (test_store_limit_drops_for_messages_put_one_by_one)
{
    s_setup_t self = s_setup (ZSPOOL_ON_FULL_DROP_OLDEST);
    uint8_t bytes [MESSAGE_BYTES];
    zspool_frame_t frame = { bytes, sizeof bytes };
    uint64_t sequence = 0;
    for (int transaction = 0; transaction < 30; transaction++) {
        CHECK_OK (zspool_store_begin (self.store));
        for (int count = 0; count < 70; count++) {
            kit_fill (bytes, sizeof bytes, sequence + 1);
            CHECK_OK (zspool_store_put (self.store, self.spool, &frame, 1, &sequence));
        }
        CHECK_OK (zspool_store_commit (self.store));
        CHECK (kit_spool_info (self.store, self.spool).bytes <= LIMIT);
    }
    zspool_spool_info_t info = kit_spool_info (self.store, self.spool);
    CHECK (info.messages >= 40 && info.blocks < info.messages / 2);
    CHECK_EQ_U64 (s_info (&self).lagged + info.messages, 30 * 70);
    CHECK_EQ_U64 (kit_read (self.store, self.spool, 1), info.messages);
    s_done (&self);
}

static void
s_spoil (uint8_t *bytes, size_t *size)
{
    CHECK (*size > OVERHEAD);
    bytes [4] ^= 1;
}

TEST (test_store_limit_drops_a_damaged_block)
{
    s_setup_t self = s_setup (ZSPOOL_ON_FULL_DROP_OLDEST);
    for (int block = 0; block < 10; block++)
        CHECK_OK (s_append (&self, 10, MESSAGE_BYTES));
    zspool_store_destroy (&self.store);
    kit_edit_block (KIT_STORE, self.spool, 1, 0, s_spoil);
    kit_edit_block (KIT_STORE, self.spool, 21, 0, s_spoil);
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_OK (zspool_store_set_limit (self.store, self.spool, LIMIT, ZSPOOL_ON_FULL_DROP_OLDEST));
    for (int block = 0; block < 15; block++)
        CHECK_OK (s_append (&self, 10, MESSAGE_BYTES));
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).first_sequence, 151);
    CHECK_EQ_U64 (kit_spool_info (self.store, self.spool).messages, 100);
    CHECK_EQ_U64 (s_info (&self).lagged, 150);
    s_done (&self);
}

TEST (test_store_limit_relieves_no_more_blocks_at_a_time_than_it_may)
{
    s_setup_t self = s_setup (ZSPOOL_ON_FULL_PAUSE);
    CHECK_OK (zspool_store_set_limit (self.store, self.spool, 0, ZSPOOL_ON_FULL_PAUSE));
    for (int block = 0; block < 40; block++)
        kit_append (self.store, self.spool, 10, MESSAGE_BYTES);
    CHECK_OK (zspool_store_set_limit (self.store, self.spool, LIMIT, ZSPOOL_ON_FULL_DROP_OLDEST));
    int rounds = 0, rc;
    do {
        CHECK_OK (zspool_store_begin (self.store));
        rc = zspool_store_relieve (self.store, self.spool, 100, 7);
        CHECK_OK (zspool_store_commit (self.store));
        CHECK (++rounds < 10);
    } while (rc == ZSPOOL_EFULL);
    CHECK_OK (rc);
    CHECK_EQ_I64 (rounds, 5);
    CHECK_EQ_U64 (s_info (&self).lagged, 300);
    s_done (&self);
}

TEST (test_store_limit_damaged_count_is_none_and_verify_tells)
{
    s_setup_t self = s_setup (ZSPOOL_ON_FULL_DROP_OLDEST);
    for (int block = 0; block < 12; block++)
        CHECK_OK (s_append (&self, 10, MESSAGE_BYTES));
    CHECK_EQ_U64 (s_info (&self).lagged, 20);
    zspool_store_destroy (&self.store);
    zspool_txn_t *txn;
    zspool_table_t state;
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    uint8_t key [9] = { 'L', 0, 0, 0, (uint8_t) self.spool, 0, 0, 0, (uint8_t) self.cursor }, bytes [12];
    zspool_bytes_t record = { key, sizeof key }, value;
    CHECK_OK (zspool_txn_get (txn, state, record, &value));
    CHECK_EQ_U64 (value.size, sizeof bytes);
    memcpy (bytes, value.data, sizeof bytes);
    bytes [0] ^= 4;
    value = (zspool_bytes_t) { bytes, sizeof bytes };
    CHECK_OK (zspool_txn_put (txn, state, record, value));
    kit_engine_commit (&engine);
    self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    CHECK_EQ_U64 (s_info (&self).lagged, 0);
    CHECK_EQ_U64 (s_info (&self).pending, 100);
    CHECK_EQ_I64 (kit_verify (self.store), 1);
    zspool_store_destroy (&self.store);
}

//  ---- changes that an outlet hands in

//  A change with one entry, of the block from `first`, whose messages with even sequences are
//  acknowledged
static void
s_change (s_setup_t *self, uint64_t floor, uint64_t sent_to, uint64_t first)
{
    static const uint8_t acked [2] = { 0xaa, 0x02 };
    zspool_cursor_change_t *change =
        (zspool_cursor_change_t *) calloc (1, sizeof *change + sizeof change->entries [0]);
    CHECK (change);
    change->spool = self->spool;
    change->cursor = self->cursor;
    change->generation = 1;
    change->floor = floor;
    change->sent_to = sent_to;
    change->entries_count = first? 1: 0;
    if (first)
        change->entries [0] = (zspool_cursor_entry_t) { first, 10, acked, NULL };
    CHECK_OK (zspool_store_begin (self->store));
    CHECK_OK (zspool_store_change_cursor (self->store, change));
    CHECK_OK (zspool_store_commit (self->store));
    free (change);
}

TEST (test_store_limit_change_under_way_while_blocks_are_dropped_counts_for_the_rest)
{
    s_setup_t self = s_setup (ZSPOOL_ON_FULL_DROP_OLDEST);
    for (int block = 0; block < 13; block++)
        CHECK_OK (s_append (&self, 10, MESSAGE_BYTES));
    CHECK_EQ_U64 (s_info (&self).floor, 30);
    //  It knows nothing of what was dropped up to 30.
    s_change (&self, 5, 60, 51);
    zspool_cursor_info_t info = s_info (&self);
    CHECK_EQ_U64 (info.floor, 30);
    CHECK_EQ_U64 (info.sent_to, 60);
    CHECK_EQ_U64 (info.pending, 95);
    CHECK_EQ_U64 (info.in_flight, 25);
    s_change (&self, 7, 70, 11);
    CHECK_EQ_U64 (s_info (&self).pending, 95);
    s_change (&self, 12, 20, 0);
    CHECK_EQ_U64 (s_info (&self).floor, 30);
    s_done (&self);
}

//  ---- all together, against plain arrays

typedef struct {
    bool stored [40000];
    bool acked [40000];
    uint64_t lost;
} s_model_t;

//  What the model has lost when the store's first message is this one
static void
s_model_drop (s_model_t *model, uint64_t from, uint64_t first)
{
    for (uint64_t sequence = from; sequence < first; sequence++)
        if (!model->acked [sequence]) {
            model->acked [sequence] = true;
            model->lost++;
        }
}

TEST (test_store_limit_random_work_loses_what_it_says)
{
    static s_model_t model;
    kit_chance_t chance = kit_chance_new ();
    s_setup_t self = s_setup (ZSPOOL_ON_FULL_DROP_OLDEST);
    uint64_t last = 0, first = 1;
    for (int step = 0; step < 600 && last < 39000; step++) {
        bool commits = kit_below (&chance, 8) > 0;
        CHECK_OK (zspool_store_begin (self.store));
        static s_model_t before;
        before = model;
        uint64_t last_before = last;
        for (uint64_t action = kit_below (&chance, 4); action < 4; action++) {
            uint64_t at = first + kit_below (&chance, last - first + 2);
            if (at <= last && kit_below (&chance, 2) && !model.acked [at]
                && zspool_store_ack (self.store, self.spool, self.cursor, at, at) == ZSPOOL_OK)
                model.acked [at] = true;
            uint32_t count = 1 + (uint32_t) kit_below (&chance, 50);
            CHECK_OK (kit_try_append (self.store, self.spool, count, 8 + kit_below (&chance, 8000)));
            last += count;
        }
        if (commits)
            CHECK_OK (zspool_store_commit (self.store));
        else {
            zspool_store_rollback (self.store);
            model = before;
            last = last_before;
            continue;
        }
        if (kit_below (&chance, 20) == 0) {
            zspool_store_destroy (&self.store);
            self.store = kit_open (KIT_STORE, ZSPOOL_WRITE);
            CHECK_OK (zspool_store_set_limit (self.store, self.spool, LIMIT, ZSPOOL_ON_FULL_DROP_OLDEST));
        }
        zspool_spool_info_t info = kit_spool_info (self.store, self.spool);
        CHECK (info.bytes <= LIMIT && info.last_sequence == last);
        s_model_drop (&model, first, info.first_sequence);
        first = info.first_sequence;
        uint64_t pending = 0;
        for (uint64_t sequence = first; sequence <= last; sequence++)
            pending += !model.acked [sequence];
        CHECK_EQ_U64 (s_info (&self).pending, pending);
        CHECK_EQ_U64 (s_info (&self).lagged, model.lost);
    }
    printf ("%" PRIu64 " messages, %" PRIu64 " lost\n", last, model.lost);
    CHECK (model.lost > 0);
    s_done (&self);
}
