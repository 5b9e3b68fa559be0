//  groups.c - what the tests of groups share
//
//  SPDX-License-Identifier: MPL-2.0

#include "actors/groups.h"
#include "run.h"

//  A consumer gets messages: each must hold what its sequence tells.
static int
s_deliver (void *arg, zspool_subscription_t *to, uint32_t generation, zspool_block_t *block,
           const zspool_piece_t *pieces, size_t pieces_count)
{
    groups_t *self = (groups_t *) arg;
    uint64_t last = 0;
    CHECK (to->active && to->credit_messages > 0 && to->credit_bytes > 0);
    CHECK_EQ_U64 (generation, GROUPS_GENERATION);
    CHECK (block && pieces_count > 0 && pieces_count <= ZSP_SLICES_MAX);
    if (self->deliver_rc)
        return self->deliver_rc;
    for (size_t index = 0; index < pieces_count; index++) {
        const zspool_piece_t *piece = &pieces [index];
        zspool_record_t record = { .number = 0 };
        CHECK (piece->first > last);
        CHECK_OK (zspool_run_check (piece->records, piece->size, piece->count, 9, SIZE_MAX, false));
        while (zspool_run_next (piece->records, piece->size, piece->first, &record)) {
            CHECK (record.sequence < GROUPS_MESSAGES_MAX);
            if (!self->topics)
                kit_check_filled (record.data, record.data_bytes, record.sequence);
            self->holder [record.sequence] = to->id;
            CHECK_EQ_U64 (++self->deliveries [record.sequence], piece->deliveries);
            if (self->order_count < GROUPS_MESSAGES_MAX)
                self->order [self->order_count++] = record.sequence;
        }
        last = piece->first + piece->count - 1;
    }
    return ZSPOOL_OK;
}

static void
s_tell (void *arg, zspool_subscription_t *to, uint32_t generation, uint64_t floor)
{
    (void) to;
    (void) generation;
    (void) floor;
    ((groups_t *) arg)->told++;
}

static void
s_want_dead (void *catalog, zspool_group_t *group)
{
    (void) group;
    ((groups_t *) catalog)->wants_dead++;
}

//  Have a group on a tracker.
static void
s_begin (groups_t *self, zspool_filter_t *filter, unsigned max_deliveries, zspool_cursor_t *tracker)
{
    zspool_group_args_t args = {
        .ops = &self->ops,
        .shelf = &self->shelf,
        .cursor_id = self->kit.cursor,
        .cursor = "main",
        .generation = GROUPS_GENERATION,
        .floor = zspool_cursor_floor (tracker),
        .sent_to = zspool_cursor_sent_to (tracker),
        .tracker = tracker,
        .filter = filter,
        .ack_timeout_ms = 1000,
        .max_deliveries = max_deliveries,
    };
    self->group = zspool_group_new (&args);
    CHECK (self->group);
}

void
groups_restart (groups_t *self, zspool_filter_t *filter, unsigned max_deliveries, uint32_t messages)
{
    CHECK (zspool_group_hand_change (self->group, false));
    zspool_handoff_t handoff;
    CHECK (zspool_handoff_recv (self->written, &handoff) == 0 && handoff.kind == HANDOFF_CHANGE);
    zspool_cursor_change_t *change = (zspool_cursor_change_t *) handoff.pointer;
    zspool_cursor_t *tracker = zspool_cursor_new (
        self->kit.spool, self->kit.cursor, GROUPS_GENERATION, change->floor, change->sent_to);
    CHECK_OK (zspool_cursor_cover (tracker, 1, messages));
    for (size_t index = 0; index < change->entries_count; index++)
        CHECK_OK (zspool_cursor_restore (tracker, &change->entries [index]));
    free (change);
    zspool_group_destroy (&self->group);
    s_begin (self, filter, max_deliveries, tracker);
}

void
groups_setup (groups_t *self, zspool_filter_t *filter, unsigned max_deliveries)
{
    memset (self, 0, sizeof *self);
    self->kit = kit_setup ();
    self->context = zmq_ctx_new ();
    self->writer = zmq_socket (self->context, ZMQ_PAIR);
    self->written = zmq_socket (self->context, ZMQ_PAIR);
    CHECK (zmq_bind (self->written, "inproc://writer") == 0);
    CHECK (zmq_connect (self->writer, "inproc://writer") == 0);
    zspool_reader_t *reader = zspool_reader_new (self->kit.store, self->kit.spool);
    CHECK (reader);
    zspool_shelf_init (&self->shelf, self->kit.spool, "main", reader, 0);
    self->ops = (zspool_group_ops_t){ self, s_deliver, s_tell, s_want_dead, self, self->writer };
    s_begin (self, filter, max_deliveries,
             zspool_cursor_new (self->kit.spool, self->kit.cursor, GROUPS_GENERATION, 0, 0));
}

void
groups_done (groups_t *self)
{
    zspool_handoff_t handoff;
    zspool_group_destroy (&self->group);
    zspool_shelf_end (&self->shelf);
    while (zspool_handoff_recv (self->written, &handoff) == 0) {
        CHECK (handoff.kind == HANDOFF_CHANGE);
        free (handoff.pointer);
    }
    zmq_close (self->writer);
    zmq_close (self->written);
    zmq_ctx_term (self->context);
    kit_done (&self->kit);
}

void
groups_store (groups_t *self, uint32_t count, size_t bytes)
{
    uint64_t next = kit_spool_info (self->kit.store, self->kit.spool).last_sequence + 1;
    kit_append (self->kit.store, self->kit.spool, count, bytes);
    zspool_shelf_live (&self->shelf, kit_block_new_stamped (next, count, bytes));
}

void
groups_join (groups_t *self, zspool_subscription_t *consumer, uint64_t id, uint64_t messages)
{
    bool exclusive = consumer->exclusive;
    memset (consumer, 0, sizeof *consumer);
    consumer->id = id;
    consumer->exclusive = exclusive;
    consumer->credit_messages = messages;
    consumer->credit_bytes = INT64_MAX / 2;
    CHECK_OK (zspool_group_join (self->group, consumer));
}

zspool_turn_t
groups_turn (groups_t *self, int64_t now_ms)
{
    zspool_turn_t turn;
    unsigned turns = 0;
    do {
        turn = zspool_group_turn (self->group, now_ms);
        CHECK (++turns < 10000);
    } while (turn == ZSPOOL_TURN_MORE);
    return turn;
}

void
groups_ack (groups_t *self, zspool_subscription_t *consumer, uint64_t first, uint64_t last)
{
    uint64_t acked = 0;
    CHECK_OK (zspool_group_ack (self->group, consumer, GROUPS_GENERATION, first, last, &acked));
    CHECK_EQ_U64 (acked, last - first + 1);
}

void *
groups_written (groups_t *self, zspool_handoff_kind_t kind)
{
    zspool_handoff_t handoff;
    while (zspool_handoff_recv (self->written, &handoff) == 0) {
        if (handoff.kind == kind)
            return handoff.pointer;
        CHECK_EQ_U64 (handoff.kind, HANDOFF_CHANGE);
        free (handoff.pointer);
    }
    return NULL;
}

zspool_group_info_t
groups_info (groups_t *self)
{
    zspool_group_info_t info;
    zspool_group_info (self->group, &info);
    return info;
}
