//  test_settle.c - tests of when a message sent to plain peers may count as taken
//
//  SPDX-License-Identifier: MPL-2.0

#include "selftest.h"
#include "settle.h"

#define SETTLE_MS 6400
#define DEPTH 1000

static zspool_settle_t
s_new (void)
{
    zspool_settle_t settle;
    zspool_settle_init (&settle, SETTLE_MS, DEPTH);
    return settle;
}

TEST (test_settle_nothing_sent_is_not_settled)
{
    zspool_settle_t settle = s_new ();
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 1000000), 0);
}

TEST (test_settle_message_settles_when_its_time_is_over)
{
    zspool_settle_t settle = s_new ();
    zspool_settle_sent (&settle, 7, 100, 50);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 50 + SETTLE_MS - 1), 0);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 50 + SETTLE_MS), 7);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 50 + SETTLE_MS), 0);
}

TEST (test_settle_time_alone_decides_not_the_bytes)
{
    zspool_settle_t settle = s_new ();
    zspool_settle_sent (&settle, 1, 100, 0);
    zspool_settle_sent (&settle, 2, 100 * DEPTH, 200);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, SETTLE_MS - 1), 0);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, SETTLE_MS), 1);
}

TEST (test_settle_refused_send_makes_older_messages_wait_for_bytes)
{
    zspool_settle_t settle = s_new ();
    zspool_settle_sent (&settle, 1, 100, 0);
    zspool_settle_blocked (&settle, 200);
    zspool_settle_blocked (&settle, 300);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 300 + SETTLE_MS), 0);
    zspool_settle_sent (&settle, 2, DEPTH, 300 + SETTLE_MS);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 300 + SETTLE_MS), 0);
    zspool_settle_sent (&settle, 3, 1, 300 + SETTLE_MS);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 300 + SETTLE_MS), 1);
}

TEST (test_settle_burst_and_then_silence_settles_when_the_pipe_must_have_drained)
{
    zspool_settle_t settle = s_new ();
    zspool_settle_sent (&settle, 1, 100, 0);
    //  While refused, 500 bytes went out in 100 ms: the 600 that are not settled take 120.
    zspool_settle_blocked (&settle, 200);
    zspool_settle_sent (&settle, 2, DEPTH / 2, 250);
    zspool_settle_blocked (&settle, 300);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 300 + SETTLE_MS + 119), 0);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 300 + SETTLE_MS + 120), 2);
}

TEST (test_settle_slow_peer_is_given_the_time_its_pipe_takes)
{
    zspool_settle_t settle = s_new ();
    zspool_settle_sent (&settle, 1, 10 * DEPTH, 0);
    for (int64_t now_ms = 1; now_ms <= 10000; now_ms++)
        zspool_settle_blocked (&settle, now_ms);
    //  Nothing went out in 10 s: that counts as a 128th of the depth, or a little more.
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 10000 + SETTLE_MS + 100 * 10000), 0);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 10000 + SETTLE_MS + 129 * 10000), 1);
}

TEST (test_settle_peer_that_becomes_slow_is_judged_by_its_slowest_stretch)
{
    zspool_settle_t settle = s_new ();
    uint64_t sequence = 0;
    int64_t now_ms = 1;
    for (; now_ms <= 1000; now_ms++) {
        zspool_settle_sent (&settle, ++sequence, DEPTH, now_ms);
        zspool_settle_blocked (&settle, now_ms);
    }
    for (; now_ms <= 9000; now_ms++)
        zspool_settle_blocked (&settle, now_ms);
    zspool_settle_settled (&settle, now_ms);
    zspool_settle_sent (&settle, ++sequence, 1, now_ms);
    zspool_settle_blocked (&settle, now_ms);
    //  8 s for a depth, or nearly so
    CHECK_EQ_U64 (zspool_settle_settled (&settle, now_ms + SETTLE_MS + 7000), 999);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, now_ms + SETTLE_MS + 9000), sequence);
}

TEST (test_settle_many_bytes_do_not_replace_the_time)
{
    zspool_settle_t settle = s_new ();
    zspool_settle_sent (&settle, 1, 100, 0);
    zspool_settle_blocked (&settle, 1);
    zspool_settle_sent (&settle, 2, 5 * DEPTH, 1000);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, SETTLE_MS - 1), 0);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, SETTLE_MS), 1);
}

TEST (test_settle_refused_send_does_not_touch_later_messages)
{
    zspool_settle_t settle = s_new ();
    zspool_settle_blocked (&settle, 10);
    zspool_settle_sent (&settle, 1, 100, 11);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 11 + SETTLE_MS), 1);
}

TEST (test_settle_sent_in_the_millisecond_of_becoming_writable_settles)
{
    zspool_settle_t settle = s_new ();
    zspool_settle_blocked (&settle, 10);
    zspool_settle_sent (&settle, 1, 100, 10);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 10 + SETTLE_MS), 1);
}

TEST (test_settle_time_counts_from_the_last_refused_send)
{
    zspool_settle_t settle = s_new ();
    zspool_settle_sent (&settle, 1, 100, 0);
    zspool_settle_blocked (&settle, 10);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 10 + SETTLE_MS - 1), 0);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 10 + SETTLE_MS), 1);
}

TEST (test_settle_blocked_in_the_middle_of_a_mark_holds_its_first_messages)
{
    zspool_settle_t settle = s_new ();
    zspool_settle_sent (&settle, 1, 1, 0);
    zspool_settle_blocked (&settle, 1);
    zspool_settle_sent (&settle, 2, 1, 2);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, SETTLE_MS), 0);
}

TEST (test_settle_message_behind_one_that_waits_is_not_settled)
{
    zspool_settle_t settle = s_new ();
    zspool_settle_sent (&settle, 1, 1, 0);
    zspool_settle_blocked (&settle, 900);
    zspool_settle_blocked (&settle, 1000);
    zspool_settle_sent (&settle, 2, 1, 1001);
    //  The second would settle at 1001 + SETTLE_MS; the first takes 200 ms more.
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 1000 + SETTLE_MS + 199), 0);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 1000 + SETTLE_MS + 200), 2);
}

TEST (test_settle_disconnect_forgets_all_that_was_sent)
{
    zspool_settle_t settle = s_new ();
    zspool_settle_sent (&settle, 1, 100, 0);
    zspool_settle_sent (&settle, 2, 100, 500);
    zspool_settle_disconnected (&settle);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 100 * SETTLE_MS), 0);
    zspool_settle_sent (&settle, 1, 100, 1000);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 1000 + SETTLE_MS), 1);
}

TEST (test_settle_messages_of_a_64th_of_the_time_settle_together)
{
    zspool_settle_t settle = s_new ();
    for (uint64_t sequence = 1; sequence <= 100; sequence++)
        zspool_settle_sent (&settle, sequence, 1, (int64_t) sequence);
    CHECK_EQ_U64 (settle.count, 1);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, SETTLE_MS + 99), 0);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, SETTLE_MS + 100), 100);
}

TEST (test_settle_time_of_zero_settles_at_once)
{
    zspool_settle_t settle;
    zspool_settle_init (&settle, 0, DEPTH);
    zspool_settle_sent (&settle, 1, 1, 10);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 10), 1);
    zspool_settle_sent (&settle, 2, 1, 20);
    zspool_settle_blocked (&settle, 20);
    CHECK_EQ_U64 (zspool_settle_settled (&settle, 20), 2);
}

TEST (test_settle_steady_traffic_settles_late_by_a_64th_at_most)
{
    zspool_settle_t settle = s_new ();
    uint64_t settled = 0;
    for (int64_t now_ms = 1; now_ms < 20 * SETTLE_MS; now_ms++) {
        zspool_settle_sent (&settle, (uint64_t) now_ms, 10, now_ms);
        uint64_t sequence = zspool_settle_settled (&settle, now_ms);
        if (sequence)
            settled = sequence;
        //  Message n was sent at n ms.
        CHECK ((int64_t) settled <= now_ms - SETTLE_MS || settled == 0);
        CHECK ((int64_t) settled >= now_ms - SETTLE_MS - SETTLE_MS / 64 - 1);
    }
}

TEST (test_settle_marks_too_many_are_merged_never_early)
{
    zspool_settle_t settle;
    zspool_settle_init (&settle, SETTLE_MS, 1000000);
    //  Refused again and again, and few bytes sent: nothing can settle until very many marks have
    //  passed.
    uint64_t settled = 0;
    for (uint64_t sequence = 1; sequence <= 20000; sequence++) {
        int64_t now_ms = (int64_t) sequence * SETTLE_MS / 50;
        zspool_settle_sent (&settle, sequence, 1000, now_ms);
        zspool_settle_blocked (&settle, now_ms);
        CHECK (settle.count <= ZSPOOL_SETTLE_MARKS);
        uint64_t newly = zspool_settle_settled (&settle, now_ms);
        if (newly) {
            CHECK (newly > settled);
            settled = newly;
        }
        //  More than 1000 messages have followed what is settled; hardly any more than needed.
        CHECK (settled == 0 || sequence - settled > 1000);
        CHECK (sequence < 1100 || sequence - settled < 1100);
    }
}

//  ------------------------------------------------------------------------------------------------
//  Random traffic against a list of all messages

#define MODEL_MESSAGES 20000

static struct {
    int64_t sent_ms [MODEL_MESSAGES + 1];
    uint64_t sent_bytes [MODEL_MESSAGES + 1];
    uint64_t last;
    uint64_t bytes;
    int64_t blocked_ms;
} s_model;

static bool
s_model_is_settled (uint64_t sequence, int64_t now_ms)
{
    return s_model.sent_ms [sequence] <= now_ms - SETTLE_MS
           && (s_model.blocked_ms <= s_model.sent_ms [sequence]
               || s_model.bytes - s_model.sent_bytes [sequence] > DEPTH
               || now_ms - s_model.blocked_ms >= SETTLE_MS);
}

static void
s_run_model (unsigned seed)
{
    printf ("seed %u\n", seed);
    memset (&s_model, 0, sizeof s_model);
    s_model.blocked_ms = INT64_MIN;
    zspool_settle_t settle = s_new ();
    uint64_t settled = 0;
    int64_t now_ms = 1;
    while (s_model.last < MODEL_MESSAGES) {
        int action = rand_r (&seed) % 100;
        if (action < 60) {
            size_t bytes = (size_t) rand_r (&seed) % 20;
            s_model.bytes += bytes;
            s_model.sent_bytes [++s_model.last] = s_model.bytes;
            s_model.sent_ms [s_model.last] = now_ms;
            zspool_settle_sent (&settle, s_model.last, bytes, now_ms);
        }
        else
        if (action < 62) {
            s_model.blocked_ms = now_ms;
            zspool_settle_blocked (&settle, now_ms);
        }
        else
        if (action < 90)
            now_ms += rand_r (&seed) % (action < 63? 3 * SETTLE_MS: 100);
        else {
            uint64_t newly = zspool_settle_settled (&settle, now_ms);
            CHECK (newly == 0 || newly > settled);
            for (; settled < newly; settled++)
                CHECK (s_model_is_settled (settled + 1, now_ms));
        }
    }
    CHECK (settled > MODEL_MESSAGES / 2);
}

TEST (test_settle_random_traffic_is_never_settled_early)
{
    for (unsigned seed = 1; seed <= 20; seed++)
        s_run_model (seed);
}
