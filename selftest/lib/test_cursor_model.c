//  test_cursor_model.c - random lives of a cursor, held against plain arrays
//
//  SPDX-License-Identifier: MPL-2.0
//
//  ZSPOOL_TEST_SEED repeats one life.

#include "bytes.h"
#include "cursor.h"
#include "selftest.h"

#define MODEL_MESSAGES 40000
#define MODEL_WINDOW 3000               //  most messages known above the floor
#define MODEL_OPERATIONS 10000          //  a life

typedef struct {
    bool acked;
    uint16_t count;
    bool initial;                       //  delivered before the last restart, not since
    int64_t sent_ms;
} message_t;

//  What a store holds of a cursor
typedef struct {
    uint64_t floor;
    uint64_t sent_to;
    uint8_t *acked [MODEL_MESSAGES + 2];    //  by first sequence of a block, NULL without entry
    uint8_t *counts [MODEL_MESSAGES + 2];
} stored_t;

static struct {
    unsigned seed;
    int64_t now_ms;
    int64_t timeout_ms;
    int64_t slack_ms;                   //  what a message may be due too late
    zspool_cursor_t *cursor;
    uint64_t floor;
    uint64_t sent_to;
    uint64_t known_to;                  //  last message of the last known block
    uint64_t made_to;                   //  last message of the last block there is
    uint32_t block [MODEL_MESSAGES + 2];    //  messages of the block that starts here, or 0
    uint64_t first [MODEL_MESSAGES + 2];    //  of the block of a message, 0 in a gap
    message_t messages [MODEL_MESSAGES + 2];
    message_t snapshot [MODEL_MESSAGES + 2];//  as of what is stored
    stored_t stored;
} s_model;

static uint64_t
s_random (uint64_t limit)
{
    return (((uint64_t) rand_r (&s_model.seed) << 16) ^ (uint64_t) rand_r (&s_model.seed)) % limit;
}

static bool
s_model_in_flight (uint64_t sequence)
{
    return sequence > s_model.floor && sequence <= s_model.sent_to && sequence <= s_model.known_to
           && s_model.first [sequence] && !s_model.messages [sequence].acked;
}

static void
s_model_raise_floor (void)
{
    while (s_model.floor < s_model.known_to
           && (!s_model.first [s_model.floor + 1] || s_model.messages [s_model.floor + 1].acked))
        s_model.floor++;
    if (s_model.sent_to < s_model.floor)
        s_model.sent_to = s_model.floor;
}

//  The block after the last known one, made if there is none. False at the end of the world.
static uint64_t
s_model_next_block (void)
{
    uint64_t first = s_model.known_to + 1;
    while (first <= s_model.made_to && !s_model.block [first])
        first++;
    if (first <= s_model.made_to)
        return first;
    uint64_t messages = s_random (3) == 0? 1: s_random (2)? 2 + s_random (63): 65 + s_random (300);
    if (s_random (4) == 0)
        first += s_random (100);
    if (first + messages > MODEL_MESSAGES)
        return 0;
    s_model.block [first] = (uint32_t) messages;
    for (uint64_t sequence = first; sequence < first + messages; sequence++)
        s_model.first [sequence] = first;
    s_model.made_to = first + messages - 1;
    return first;
}

static void
s_model_cover (uint64_t first)
{
    uint32_t messages = s_model.block [first];
    CHECK_OK (zspool_cursor_cover (s_model.cursor, first, messages));
    if (s_model.stored.acked [first]) {
        const zspool_cursor_entry_t entry
            = { first, messages, s_model.stored.acked [first], s_model.stored.counts [first] };
        CHECK_OK (zspool_cursor_restore (s_model.cursor, &entry));
    }
    s_model.known_to = first + messages - 1;
    s_model_raise_floor ();
}

static void
s_model_sent (uint64_t first, uint64_t last)
{
    CHECK_OK (zspool_cursor_sent (s_model.cursor, first, last, s_model.now_ms));
    for (uint64_t sequence = first; sequence <= last; sequence++) {
        message_t *message = &s_model.messages [sequence];
        if (message->acked || sequence <= s_model.floor)
            continue;
        message->count = sequence <= s_model.sent_to? (uint16_t) (message->count + 1): 1;
        message->initial = false;
        message->sent_ms = s_model.now_ms;
    }
    if (s_model.sent_to < last)
        s_model.sent_to = last;
}

static void
s_model_send_next (void)
{
    uint64_t first = s_model.sent_to + 1;
    while (first <= s_model.known_to
           && (!s_model.first [first] || (s_model.messages [first].acked && s_random (2))))
        first++;
    if (first > s_model.known_to)
        return;
    uint64_t end = s_model.first [first] + s_model.block [s_model.first [first]];
    s_model_sent (first, s_random (2)? first: first + s_random (end - first));
}

//  Send anything again, whether due or not, and possibly something new behind it.
static void
s_model_send_again (void)
{
    if (s_model.sent_to == s_model.floor)
        return;
    uint64_t first = s_model.floor + 1 + s_random (s_model.sent_to - s_model.floor);
    if (!s_model.first [first] || first > s_model.known_to)
        return;
    uint64_t end = s_model.first [first] + s_model.block [s_model.first [first]];
    s_model_sent (first, s_random (2)? first: first + s_random (end - first));
}

static void
s_model_ack (void)
{
    uint64_t reach = s_random (8)? 40: s_model.known_to - s_model.floor + 10;
    uint64_t first = s_model.floor + s_random (reach);
    uint64_t last = s_random (3)? first: first + s_random (s_random (4)? 20: 500);
    if (s_random (4) == 0)
        last = first = s_model.floor + 1;
    uint64_t expected = 0;
    for (uint64_t sequence = first; sequence <= last && sequence <= s_model.known_to; sequence++)
        if (sequence > s_model.floor && s_model.first [sequence]
            && !s_model.messages [sequence].acked) {
            s_model.messages [sequence].acked = true;
            expected++;
        }
    CHECK_EQ_U64 (zspool_cursor_ack (s_model.cursor, first, last), expected);
    s_model_raise_floor ();
}

static int64_t
s_model_deadline_ms (uint64_t sequence)
{
    if (s_model.messages [sequence].initial)
        return 0;
    return s_model.timeout_ms? s_model.messages [sequence].sent_ms + s_model.timeout_ms: INT64_MAX;
}

//  Put off a message that is due, as one that is to die is while there is no room for it.
static void
s_model_defer (uint64_t sequence)
{
    CHECK_OK (zspool_cursor_defer (s_model.cursor, sequence, s_model.now_ms));
    s_model.messages [sequence].initial = false;
    s_model.messages [sequence].sent_ms = s_model.now_ms;
}

//  Take what is due, and send most of it again.
static void
s_model_take_due (void)
{
    uint64_t sequence, limit = s_random (3)? 20: 100000;
    while (limit-- && zspool_cursor_due (s_model.cursor, s_model.now_ms, &sequence)) {
        CHECK (s_model_in_flight (sequence));
        CHECK (s_model_deadline_ms (sequence) <= s_model.now_ms);
        uint64_t end = s_model.first [sequence] + s_model.block [s_model.first [sequence]];
        if (s_random (6) == 0)
            s_model_defer (sequence);
        else
        if (s_random (50) == 0)
            s_model_sent (sequence, sequence + s_random (end - sequence));
        else
            s_model_sent (sequence, sequence);
    }
    if (!zspool_cursor_due (s_model.cursor, s_model.now_ms, &sequence))
        CHECK (zspool_cursor_next_due_ms (s_model.cursor) > s_model.now_ms);
}

//  Compare everything.
static void
s_model_check (void)
{
    CHECK_EQ_U64 (zspool_cursor_floor (s_model.cursor), s_model.floor);
    CHECK_EQ_U64 (zspool_cursor_sent_to (s_model.cursor), s_model.sent_to);
    uint64_t in_flight = 0;
    int64_t first_ms = INT64_MAX;
    for (uint64_t at = s_model.floor + 1; at <= s_model.known_to; at++) {
        bool acked = !s_model.first [at] || s_model.messages [at].acked;
        CHECK (zspool_cursor_acked (s_model.cursor, at) == acked);
        if (!acked)
            CHECK_EQ_U64 (zspool_cursor_deliveries (s_model.cursor, at),
                          at <= s_model.sent_to? s_model.messages [at].count: 0);
        if (!s_model_in_flight (at))
            continue;
        in_flight++;
        if (s_model_deadline_ms (at) < first_ms)
            first_ms = s_model_deadline_ms (at);
    }
    CHECK_EQ_U64 (zspool_cursor_in_flight (s_model.cursor), in_flight);
    int64_t next_ms = zspool_cursor_next_due_ms (s_model.cursor);
    int64_t latest_ms = first_ms;
    if (first_ms != INT64_MAX && first_ms != 0)
        latest_ms += s_model.slack_ms;
    CHECK (next_ms <= latest_ms);
    uint64_t due;
    if (zspool_cursor_due (s_model.cursor, s_model.now_ms, &due)) {
        int64_t deadline_ms = s_model_deadline_ms (due);
        CHECK (s_model_in_flight (due));
        CHECK (deadline_ms <= s_model.now_ms && deadline_ms <= latest_ms);
    }
    else
        CHECK (latest_ms > s_model.now_ms);
}

static void
s_store_entry (const zspool_cursor_entry_t *entry)
{
    uint64_t first = entry->first_sequence;
    CHECK (s_model.block [first] == entry->messages && first + entry->messages - 1 > s_model.floor);
    bool out_of_order = false;
    for (uint64_t at = first; at < first + entry->messages; at++)
        if (at > s_model.floor && (s_model.messages [at].acked
                                   || (at <= s_model.sent_to && s_model.messages [at].count > 1)))
            out_of_order = true;
    CHECK (out_of_order);
    size_t acked_bytes = (entry->messages + 7) / 8;
    free (s_model.stored.acked [first]);
    free (s_model.stored.counts [first]);
    s_model.stored.acked [first] = (uint8_t *) malloc (acked_bytes);
    memcpy (s_model.stored.acked [first], entry->acked, acked_bytes);
    s_model.stored.counts [first] = NULL;
    if (entry->counts) {
        s_model.stored.counts [first] = (uint8_t *) malloc (entry->messages * 2);
        memcpy (s_model.stored.counts [first], entry->counts, entry->messages * 2);
    }
}

static void
s_model_store (void)
{
    zspool_cursor_change_t *change = zspool_cursor_take_change (s_model.cursor);
    if (change) {
        CHECK_EQ_U64 (change->floor, s_model.floor);
        CHECK_EQ_U64 (change->sent_to, s_model.sent_to);
        for (size_t index = 0; index < change->entries_count; index++) {
            CHECK (index == 0 || change->entries [index].first_sequence
                                     > change->entries [index - 1].first_sequence);
            s_store_entry (&change->entries [index]);
        }
        //  Entries of blocks that end at or below the floor are deleted.
        for (uint64_t at = 1; at <= change->floor; at++)
            if (s_model.block [at] && at + s_model.block [at] - 1 <= change->floor) {
                free (s_model.stored.acked [at]);
                free (s_model.stored.counts [at]);
                s_model.stored.acked [at] = s_model.stored.counts [at] = NULL;
            }
        s_model.stored.floor = change->floor;
        s_model.stored.sent_to = change->sent_to;
        free (change);
    }
    CHECK_EQ_U64 (s_model.stored.floor, s_model.floor);
    CHECK_EQ_U64 (s_model.stored.sent_to, s_model.sent_to);
    memcpy (s_model.snapshot, s_model.messages, sizeof s_model.messages);
}

//  All that was not stored is lost.
static void
s_model_restart (void)
{
    zspool_cursor_destroy (&s_model.cursor);
    memcpy (s_model.messages, s_model.snapshot, sizeof s_model.messages);
    s_model.floor = s_model.stored.floor;
    s_model.sent_to = s_model.stored.sent_to;
    s_model.cursor = zspool_cursor_new (1, 1, 1, s_model.floor, s_model.sent_to);
    zspool_cursor_set_timeout_ms (s_model.cursor, s_model.timeout_ms);
    uint64_t floor = s_model.floor;
    s_model.known_to = floor;
    if (floor > 0 && s_model.first [floor] && s_model.first [floor + 1] == s_model.first [floor])
        s_model.known_to = s_model.first [floor] - 1;
    for (uint64_t at = floor + 1; at <= s_model.sent_to; at++)
        s_model.messages [at].initial = true;
    uint64_t first;
    while ((first = s_model_next_block ()) && first <= s_model.sent_to)
        s_model_cover (first);
}

static void
s_model_operate (void)
{
    uint64_t first, action = s_random (1000);
    if (action < 100) {
        if (s_model.known_to < s_model.floor + MODEL_WINDOW && (first = s_model_next_block ()))
            s_model_cover (first);
    }
    else
    if (action < 350)
        s_model_send_next ();
    else
    if (action < 370)
        s_model_send_again ();
    else
    if (action < 800)
        s_model_ack ();
    else
    if (action < 870)
        s_model_take_due ();
    else
    if (action < 960)
        s_model.now_ms += (int64_t) s_random (s_random (10)? 3: (uint64_t) s_model.timeout_ms + 2);
    else
    if (action < 985)
        s_model_check ();
    else
    if (action < 998)
        s_model_store ();
    else
        s_model_restart ();
}

static void
s_model_live (unsigned seed)
{
    static const int64_t timeouts_ms [] = { 0, 1, 2, 100, 30000, 1000000 };
    printf ("seed %u\n", seed);
    memset (&s_model, 0, sizeof s_model);
    s_model.seed = seed;
    s_model.now_ms = 1;
    s_model.timeout_ms = timeouts_ms [s_random (sizeof timeouts_ms / sizeof *timeouts_ms)];
    s_model.slack_ms = s_model.timeout_ms / 4096;
    if (s_model.slack_ms == 0 && s_model.timeout_ms > 1)
        s_model.slack_ms = 1;
    s_model.cursor = zspool_cursor_new (1, 1, 1, 0, 0);
    zspool_cursor_set_timeout_ms (s_model.cursor, s_model.timeout_ms);
    for (unsigned operation = 0; operation < MODEL_OPERATIONS; operation++)
        s_model_operate ();
    s_model_check ();
    zspool_cursor_destroy (&s_model.cursor);
    for (uint64_t at = 0; at <= MODEL_MESSAGES; at++) {
        free (s_model.stored.acked [at]);
        free (s_model.stored.counts [at]);
    }
}

TEST (test_cursor_random_lives_agree_with_plain_arrays)
{
    const char *seed = getenv ("ZSPOOL_TEST_SEED");
    if (seed)
        s_model_live ((unsigned) strtoul (seed, NULL, 10));
    else
        for (unsigned life = 1; life <= 15; life++)
            s_model_live (life);
    s_model_live ((unsigned) time (NULL));
}
