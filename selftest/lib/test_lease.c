//  test_lease.c - tests of leases, against an array that knows each message
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/fault.h"
#include "kit.h"
#include "lease.h"

#define MESSAGES 200 //  of the model: sequences 1 to so many
#define CONSUMERS 4
#define FREE UINT64_MAX //  instead of a consumer: not leased

typedef struct {
    uint64_t consumer;
    int64_t due_ms;
} s_message_t;

//  What was called back with, message by message
typedef struct {
    uint64_t messages;
    uint64_t last;
    s_message_t seen [MESSAGES + 2];
} s_calls_t;

typedef struct {
    zspool_leases_t *leases;
    s_message_t model [MESSAGES + 2]; //  by sequence; the first and the last are always free
    s_message_t before [MESSAGES + 2];
    s_calls_t calls;
    kit_chance_t chance;
    int64_t now_ms;
} s_setup_t;

static void
s_forget_calls (s_calls_t *calls)
{
    memset (calls, 0, sizeof *calls);
    for (size_t at = 0; at < MESSAGES + 2; at++)
        calls->seen [at].consumer = FREE;
}

//  Calls come in order of sequence, and with what was held.
static void
s_called (void *arg, const zspool_lease_t *lease)
{
    s_calls_t *calls = (s_calls_t *) arg;
    CHECK (lease->first > calls->last && lease->last >= lease->first && lease->last <= MESSAGES);
    calls->last = lease->last;
    calls->messages += lease->last - lease->first + 1;
    for (uint64_t at = lease->first; at <= lease->last; at++)
        calls->seen [at] = (s_message_t){ lease->consumer, lease->due_ms };
}

static bool
s_is_held (const s_message_t *message)
{
    return message->consumer != FREE && message->consumer != ZSPOOL_NOBODY;
}

//  Compare all that can be asked for with the model.
static void
s_compare (s_setup_t *self)
{
    uint64_t messages = 0, due_first = 0;
    int64_t expiry_ms = INT64_MAX, due_ms = INT64_MAX;
    size_t changes = 0;
    for (uint64_t at = 1; at <= MESSAGES; at++) {
        const s_message_t *message = &self->model [at], *before = message - 1;
        messages += message->consumer != FREE;
        changes += message->consumer != FREE
                   && (message->consumer != before->consumer || message->due_ms != before->due_ms);
        if (s_is_held (message) && message->due_ms < expiry_ms)
            expiry_ms = message->due_ms;
        if (message->consumer == ZSPOOL_NOBODY && message->due_ms < due_ms)
            due_ms = message->due_ms;
        if (message->consumer == ZSPOOL_NOBODY && message->due_ms <= self->now_ms && !due_first)
            due_first = at;
    }
    CHECK_EQ_U64 (zspool_leases_messages (self->leases), messages);
    CHECK (zspool_leases_count (self->leases) >= changes
           && zspool_leases_count (self->leases) <= messages);
    CHECK_EQ_I64 (zspool_leases_expiry_ms (self->leases), expiry_ms);
    CHECK_EQ_I64 (zspool_leases_due_ms (self->leases), due_ms);
    zspool_lease_t lease = { .first = 0 };
    CHECK (zspool_leases_due (self->leases, self->now_ms, &lease) == (due_first > 0));
    CHECK_EQ_U64 (lease.first, due_first);
    for (uint64_t at = lease.first; at && at <= lease.last; at++)
        CHECK (self->model [at].consumer == ZSPOOL_NOBODY
               && self->model [at].due_ms == lease.due_ms);
}

static void
s_choose (s_setup_t *self, uint64_t *first, uint64_t *last)
{
    *first = 1 + kit_below (&self->chance, MESSAGES);
    uint64_t most = kit_below (&self->chance, 4)? 12: MESSAGES;
    *last = *first + kit_below (&self->chance, most);
    if (*last > MESSAGES)
        *last = MESSAGES;
}

static int64_t
s_choose_ms (s_setup_t *self)
{
    return kit_below (&self->chance, 8)? self->now_ms + (int64_t) kit_below (&self->chance, 20)
                                        : INT64_MAX;
}

//  Grant what is free of a stretch, from its beginning on.
static void
s_grant (s_setup_t *self)
{
    uint64_t first, last, consumer = kit_below (&self->chance, CONSUMERS + 1);
    int64_t due_ms = s_choose_ms (self);
    s_choose (self, &first, &last);
    while (first <= last && self->model [first].consumer != FREE)
        first++;
    uint64_t end = first;
    while (end <= last && self->model [end].consumer == FREE)
        end++;
    if (end == first)
        return;
    CHECK_OK (zspool_leases_grant (self->leases, first, end - 1, consumer, due_ms));
    const s_message_t *near = &self->model [first - 1];
    if (consumer != ZSPOOL_NOBODY && near->consumer == consumer && due_ms >= near->due_ms
        && due_ms - near->due_ms <= 1)
        due_ms = near->due_ms;
    for (uint64_t at = first; at < end; at++)
        self->model [at] = (s_message_t){ consumer, due_ms };
}

//  Change what a consumer (or whoever, for FREE) has in a stretch: that must be called back with.
static uint64_t
s_change_model (s_setup_t *self, uint64_t consumer, uint64_t first, uint64_t last, s_message_t to,
                s_calls_t *expected)
{
    s_forget_calls (expected);
    for (uint64_t at = first; at <= last && at <= MESSAGES; at++) {
        s_message_t *message = &self->model [at];
        if (message->consumer == FREE || (consumer != FREE && message->consumer != consumer))
            continue;
        expected->seen [at] = *message;
        expected->messages++;
        *message = to;
    }
    return expected->messages;
}

static void
s_check_calls (const s_setup_t *self, const s_calls_t *expected)
{
    CHECK_EQ_U64 (self->calls.messages, expected->messages);
    for (size_t at = 0; at < MESSAGES + 2; at++)
        CHECK (self->calls.seen [at].consumer == expected->seen [at].consumer
               && self->calls.seen [at].due_ms == expected->seen [at].due_ms);
}

static void
s_change (s_setup_t *self)
{
    static s_calls_t expected;
    const s_message_t gone = { FREE, 0 };
    uint64_t first, last, consumer = kit_below (&self->chance, CONSUMERS + 1), count = 0;
    int64_t due_ms = s_choose_ms (self);
    s_choose (self, &first, &last);
    if (kit_below (&self->chance, 10) == 0)
        last = UINT64_MAX;
    s_forget_calls (&self->calls);
    switch (kit_below (&self->chance, 5)) {
    case 0:
        count = s_change_model (self, consumer, first, last, gone, &expected);
        CHECK_EQ_U64 (
            zspool_leases_take (self->leases, consumer, first, last, s_called, &self->calls),
            count);
        break;
    case 1:
        count = s_change_model (self, FREE, first, last, gone, &expected);
        CHECK_EQ_U64 (zspool_leases_drop (self->leases, first, last, s_called, &self->calls),
                      count);
        break;
    case 2:
        count = s_change_model (self, consumer, first, last, (s_message_t){ ZSPOOL_NOBODY, due_ms },
                                &expected);
        CHECK_EQ_U64 (zspool_leases_return_each (self->leases, consumer, first, last, due_ms,
                                                 s_called, &self->calls),
                      count);
        break;
    case 3:
        count = s_change_model (self, consumer, first, last, (s_message_t){ ZSPOOL_NOBODY, due_ms },
                                &expected);
        CHECK_EQ_U64 (zspool_leases_return (self->leases, consumer, first, last, due_ms), count);
        return;
    default:
        count = s_change_model (self, consumer, first, last, (s_message_t){ consumer, due_ms },
                                &expected);
        CHECK_EQ_U64 (zspool_leases_extend (self->leases, consumer, first, last, due_ms), count);
        return;
    }
    s_check_calls (self, &expected);
}

static void
s_expire (s_setup_t *self)
{
    static s_calls_t expected;
    self->now_ms += (int64_t) kit_below (&self->chance, 8);
    s_forget_calls (&self->calls);
    s_forget_calls (&expected);
    for (uint64_t at = 1; at <= MESSAGES; at++) {
        s_message_t *message = &self->model [at];
        if (!s_is_held (message) || message->due_ms > self->now_ms)
            continue;
        expected.seen [at] = *message;
        expected.messages++;
        *message = (s_message_t){ ZSPOOL_NOBODY, self->now_ms };
    }
    CHECK_EQ_U64 (zspool_leases_expire (self->leases, self->now_ms, s_called, &self->calls),
                  expected.messages);
    s_check_calls (self, &expected);
}

static void
s_ask (s_setup_t *self)
{
    uint64_t first, last, consumer = kit_below (&self->chance, CONSUMERS + 1);
    s_choose (self, &first, &last);
    bool all = true;
    for (uint64_t at = first; at <= last; at++)
        all = all && self->model [at].consumer == consumer;
    CHECK (zspool_leases_holds (self->leases, consumer, first, last) == all);
}

static void
s_setup (s_setup_t *self)
{
    memset (self, 0, sizeof *self);
    self->chance = kit_chance_new ();
    self->now_ms = 1000;
    self->leases = zspool_leases_new ();
    CHECK (self->leases);
    for (size_t at = 0; at < MESSAGES + 2; at++)
        self->model [at].consumer = FREE;
}

TEST (test_lease_random_work_has_the_results_of_the_model)
{
    static s_setup_t self;
    s_setup (&self);
    size_t most = 0;
    for (int round = 0; round < (SELFTEST_TSAN? 3000: 30000); round++) {
        switch (kit_below (&self.chance, 5)) {
        case 0:
        case 1: s_grant (&self); break;
        case 2: s_change (&self); break;
        case 3: s_expire (&self); break;
        default: s_ask (&self); break;
        }
        s_compare (&self);
        most = zspool_leases_count (self.leases) > most? zspool_leases_count (self.leases): most;
    }
    printf ("%zu leases at most\n", most);
    CHECK (most > 20);
    zspool_leases_destroy (&self.leases);
}

TEST (test_lease_stream_to_one_consumer_is_one_lease)
{
    zspool_leases_t *leases = zspool_leases_new ();
    for (uint64_t first = 1; first < 1000; first += 10)
        CHECK_OK (zspool_leases_grant (leases, first, first + 9, 7, 5000 + (first > 500)));
    CHECK_EQ_U64 (zspool_leases_count (leases), 1);
    CHECK_OK (zspool_leases_grant (leases, 1001, 1010, 7, 5002));
    CHECK_OK (zspool_leases_grant (leases, 1011, 1020, 8, 5002));
    CHECK_EQ_U64 (zspool_leases_count (leases), 3);
    CHECK (zspool_leases_holds (leases, 7, 1, 1010));
    CHECK (!zspool_leases_holds (leases, 7, 1, 1011));
    CHECK (!zspool_leases_holds (leases, 7, 0, 5));
    CHECK (!zspool_leases_holds (leases, 7, 5, 4));
    CHECK_EQ_U64 (zspool_leases_take (leases, 7, 5, 4, NULL, NULL), 0);
    CHECK_EQ_U64 (zspool_leases_take (leases, 7, 0, 4, NULL, NULL), 0);
    CHECK_EQ_U64 (zspool_leases_messages (leases), 1020);
    zspool_leases_destroy (&leases);
    zspool_leases_destroy (&leases);
}

TEST (test_lease_at_the_highest_sequences_is_held_and_taken)
{
    zspool_leases_t *leases = zspool_leases_new ();
    CHECK_OK (zspool_leases_grant (leases, UINT64_MAX - 9, UINT64_MAX, 7, 5000));
    CHECK (zspool_leases_holds (leases, 7, UINT64_MAX, UINT64_MAX));
    CHECK_EQ_U64 (zspool_leases_take (leases, 7, UINT64_MAX - 4, UINT64_MAX, NULL, NULL), 5);
    CHECK_EQ_U64 (zspool_leases_drop (leases, 1, UINT64_MAX, NULL, NULL), 5);
    CHECK_EQ_U64 (zspool_leases_count (leases), 0);
    zspool_leases_destroy (&leases);
}

TEST (test_lease_by_the_hundred_thousand_is_found)
{
    zspool_leases_t *leases = zspool_leases_new ();
    const uint64_t count = 200000;
    for (uint64_t at = 1; at <= count; at++)
        CHECK_OK (zspool_leases_grant (leases, at, at, 1 + at % 2, (int64_t) (count - at)));
    CHECK_EQ_U64 (zspool_leases_count (leases), count);
    CHECK_EQ_I64 (zspool_leases_expiry_ms (leases), 0);
    CHECK_EQ_U64 (zspool_leases_expire (leases, 9, NULL, NULL), 10);
    zspool_lease_t lease;
    CHECK (zspool_leases_due (leases, 9, &lease));
    CHECK_EQ_U64 (lease.first, count - 9);
    CHECK_EQ_U64 (zspool_leases_take (leases, 2, 1, UINT64_MAX, NULL, NULL), count / 2 - 5);
    CHECK_EQ_U64 (zspool_leases_drop (leases, 1, UINT64_MAX, NULL, NULL), count / 2 + 5);
    zspool_leases_destroy (&leases);
}

//  A thousand consumers of many leases leave: were each time all leases gone through, or made anew,
//  this would take minutes.
TEST (test_lease_each_of_many_consumers_gives_back_its_own)
{
    zspool_leases_t *leases = zspool_leases_new ();
    const uint64_t consumers = 1000, each = 200;
    for (uint64_t at = 1; at <= consumers * each; at++)
        CHECK_OK (zspool_leases_grant (leases, at, at, 1 + at % consumers, INT64_MAX));
    for (uint64_t consumer = 1; consumer <= consumers; consumer++) {
        CHECK_EQ_U64 (zspool_leases_take (leases, consumer, 1, consumers * 10, NULL, NULL), 10);
        CHECK_EQ_U64 (zspool_leases_return (leases, consumer, 1, UINT64_MAX, 5), each - 10);
    }
    CHECK_EQ_U64 (zspool_leases_messages (leases), consumers * (each - 10));
    CHECK_EQ_I64 (zspool_leases_due_ms (leases), 5);
    CHECK_EQ_I64 (zspool_leases_expiry_ms (leases), INT64_MAX);
    zspool_leases_destroy (&leases);
}

//  A lease of another, that reaches over an end of what is taken, stays one.
TEST (test_lease_of_another_is_not_cut)
{
    zspool_leases_t *leases = zspool_leases_new ();
    CHECK_OK (zspool_leases_grant (leases, 1, 10, 1, 5));
    CHECK_OK (zspool_leases_grant (leases, 11, 20, 2, 5));
    CHECK_OK (zspool_leases_grant (leases, 21, 30, 1, 5));
    CHECK_EQ_U64 (zspool_leases_take (leases, 2, 5, 25, NULL, NULL), 10);
    CHECK_EQ_U64 (zspool_leases_count (leases), 2);
    CHECK_EQ_U64 (zspool_leases_take (leases, 1, 5, 25, NULL, NULL), 11);
    CHECK_EQ_U64 (zspool_leases_messages (leases), 9);
    zspool_leases_destroy (&leases);
}

//  Out of memory: said, and nothing has changed.
TEST (test_lease_without_memory_changes_nothing)
{
    zspool_leases_t *leases = zspool_leases_new ();
    uint64_t last = 0;
    fault_watch (".");
    fault_fail (FAULT_MEMORY, 0, UINT32_MAX, FAULT_BEFORE, ENOMEM);
    while (zspool_leases_grant (leases, last + 1, last + 2, 1 + last % 4, 5000) == ZSPOOL_OK
           && last < 100000)
        last += 2;
    CHECK (last > 20 && last < 100000);
    size_t count = zspool_leases_count (leases);
    CHECK_CODE (zspool_leases_reserve (leases, 1), ZSPOOL_ENOMEM);
    CHECK (zspool_leases_take (leases, 1, 2, 9, NULL, NULL) == UINT64_MAX);
    CHECK (zspool_leases_drop (leases, 2, 9, NULL, NULL) == UINT64_MAX);
    CHECK (zspool_leases_extend (leases, 1, 2, 9, 6000) == UINT64_MAX);
    CHECK (zspool_leases_return (leases, 1, 2, 9, 6000) == UINT64_MAX);
    CHECK_EQ_U64 (zspool_leases_count (leases), count);
    CHECK_EQ_U64 (zspool_leases_messages (leases), last);
    CHECK_EQ_U64 (zspool_leases_expire (leases, 5000, NULL, NULL), last);
    //  Where nothing must be cut no memory is needed.
    CHECK_EQ_U64 (zspool_leases_return (leases, ZSPOOL_NOBODY, 1, UINT64_MAX, 6000), last);
    CHECK_EQ_U64 (zspool_leases_take (leases, ZSPOOL_NOBODY, 3, 10, NULL, NULL), 8);
    fault_fail (FAULT_MEMORY, 0, 0, FAULT_BEFORE, 0);
    CHECK_EQ_U64 (zspool_leases_drop (leases, 2, 12, NULL, NULL), 3);
    zspool_leases_destroy (&leases);
}
