//  test_options.c - tests of a device's options: what is taken, what is refused, what stays as it was
//
//  SPDX-License-Identifier: MPL-2.0

#include "feeds.h"
#include "lib/kit.h"

#define UNLIMITED ZSPOOL_KEEP_UNLIMITED

//  Options with a reason for the last refusal
typedef struct {
    zspool_options_t options;
    zspool_feeds_t feeds;
    char reason [ZSPOOL_REASON_MAX];
} s_given_t;

static void
s_init (s_given_t *self)
{
    memset (self, 0, sizeof *self);
    zspool_options_init (&self->options);
    CHECK_OK (zspool_feeds_init (&self->feeds));
}

//  Set an option as a device does it.
static int
s_set (s_given_t *self, const char *name, const char *value)
{
    *self->reason = 0;
    int rc = zspool_feeds_set (&self->feeds, name, value, self->reason, sizeof self->reason);
    return rc == ZSPOOL_ENOENT? zspool_options_set (&self->options, name, value, self->reason,
                                                    sizeof self->reason):
                                rc;
}

static int
s_check (s_given_t *self)
{
    *self->reason = 0;
    int rc = zspool_options_check (&self->options, self->reason, sizeof self->reason);
    return rc? rc: zspool_feeds_check (&self->feeds, &self->options, self->reason,
                                       sizeof self->reason);
}

//  What a device cannot do without
static void
s_set_required (s_given_t *self)
{
    CHECK_OK (s_set (self, "store", "store"));
    CHECK_OK (s_set (self, "in", "inproc://in"));
}

//  An option is refused, in one line that begins with its name.
static void
s_refuse (s_given_t *self, const char *name, const char *value)
{
    int rc = s_set (self, name, value);
    if (rc != ZSPOOL_EINVAL || strncmp (self->reason, name, strlen (name)) != 0
        || strchr (self->reason, '\n'))
        printf ("%s '%.80s': %d, %s\n", name, value, rc, self->reason);
    CHECK_EQ_I64 (rc, ZSPOOL_EINVAL);
    CHECK (strncmp (self->reason, name, strlen (name)) == 0);
    CHECK (!strchr (self->reason, '\n'));
}

TEST (test_options_defaults_are_those_of_a_queue)
{
    s_given_t given;
    s_init (&given);
    s_set_required (&given);
    CHECK_OK (s_set (&given, "out", "inproc://out"));
    CHECK_OK (s_check (&given));
    CHECK_EQ_U64 (given.options.in_type, ZSPOOL_IN_PULL);
    CHECK_EQ_U64 (given.options.out_type, ZSPOOL_OUT_PUSH);
    CHECK_EQ_U64 (given.options.keep_age_ms, UNLIMITED);
    CHECK_EQ_U64 (given.options.keep_bytes, UNLIMITED);
    CHECK_EQ_U64 (given.options.keep_count, 0);
    CHECK_EQ_U64 (given.options.keep_unacked, 1);
    CHECK_EQ_U64 (given.options.hold, 0);
    CHECK_EQ_STR (given.options.start, "new");
    CHECK_EQ_U64 (given.feeds.count, 0);
    zspool_feeds_destroy (&given.feeds);
}

TEST (test_options_durations_have_units)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } right [] = { { "0", 0 },           { "1", 1 },          { "1500ms", 1500 },     { "90s", 90000 },
                   { "15m", 900000 },    { "1h", 3600000 },   { "7d", 604800000 },    { "7D", 604800000 },
                   { "unlimited", UNLIMITED }, { "00010s", 10000 } };
    static const char *const wrong [] = { "",   "-1",  "+1",  " 1",    "1 ",        "s",        "1x",
                                          "1K", "1.5", "1sm", "1e3",   "Unlimited", "unlimitedx", "0x10",
                                          "18446744073709551615", "18446744073709551616", "106751992d" };
    s_given_t given;
    s_init (&given);
    for (size_t index = 0; index < sizeof right / sizeof right [0]; index++) {
        CHECK_OK (s_set (&given, "keep-age", right [index].text));
        CHECK_EQ_U64 (given.options.keep_age_ms, right [index].ms);
    }
    for (size_t index = 0; index < sizeof wrong / sizeof wrong [0]; index++) {
        s_refuse (&given, "keep-age", wrong [index]);
        CHECK_EQ_U64 (given.options.keep_age_ms, 10000);
    }
    zspool_feeds_destroy (&given.feeds);
}

TEST (test_options_sizes_and_counts_may_be_unlimited)
{
    s_given_t given;
    s_init (&given);
    CHECK_OK (s_set (&given, "keep-bytes", "3G"));
    CHECK_EQ_U64 (given.options.keep_bytes, 3ULL << 30);
    CHECK_OK (s_set (&given, "keep-bytes", "unlimited"));
    CHECK_EQ_U64 (given.options.keep_bytes, UNLIMITED);
    CHECK_OK (s_set (&given, "keep-count", "1000000"));
    CHECK_EQ_U64 (given.options.keep_count, 1000000);
    s_refuse (&given, "keep-count", "1K");
    s_refuse (&given, "keep-bytes", "1s");
    s_refuse (&given, "max-bytes", "unlimited");
    s_refuse (&given, "hwm", "unlimited");
    CHECK_EQ_U64 (given.options.keep_count, 1000000);
    zspool_feeds_destroy (&given.feeds);
}

TEST (test_options_feed_is_taken_apart)
{
    s_given_t given;
    s_init (&given);
    s_set_required (&given);
    CHECK_OK (s_set (&given, "feed-start", "a=last:5"));
    CHECK_OK (s_set (&given, "feed", "a=inproc://a,x.#,,y=z"));
    CHECK_OK (s_set (&given, "feed-sub", "b=inproc://b"));
    CHECK_OK (s_set (&given, "feed-ack", "a=explicit,inproc://acks"));
    CHECK_OK (s_check (&given));
    CHECK_EQ_U64 (given.feeds.count, 2);
    const zspool_feed_t *a = given.feeds.feeds [0], *b = given.feeds.feeds [1];
    CHECK_EQ_STR (a->name, "a");
    CHECK_EQ_STR (a->endpoint, "inproc://a");
    CHECK_EQ_STR (a->ack_in, "inproc://acks");
    CHECK_EQ_STR (a->start, "last:5");
    CHECK_EQ_I64 (a->socket_type, ZMQ_PUSH);
    CHECK_EQ_I64 (zspool_feed_ack (a, &given.options), ZSPOOL_ACK_EXPLICIT);
    CHECK_EQ_U64 (zlist_size (a->filters), 3);
    CHECK_EQ_STR ((const char *) zlist_first (a->filters), "x.#");
    CHECK_EQ_STR ((const char *) zlist_next (a->filters), "");
    CHECK_EQ_STR ((const char *) zlist_next (a->filters), "y=z");
    CHECK_EQ_I64 (b->socket_type, ZMQ_XPUB);
    CHECK_EQ_I64 (zspool_feed_ack (b, &given.options), ZSPOOL_ACK_SETTLED);
    CHECK_EQ_U64 (zlist_size (b->filters), 0);
    zspool_feeds_destroy (&given.feeds);
}

TEST (test_options_feed_without_name_or_endpoint_is_refused)
{
    static const char *const wrong [] = { "", "a", "a=", "=inproc://a", "a/b=inproc://a", "a b=inproc://a",
                                          "a\tb=inproc://a", "\x7f\x01=x", "a=,x" };
    s_given_t given;
    s_init (&given);
    char name [200];
    memset (name, 'x', sizeof name);
    strcpy (name + ZSPOOL_NAME_MAX + 1, "=inproc://a");
    for (size_t index = 0; index < sizeof wrong / sizeof wrong [0]; index++)
        s_refuse (&given, "feed", wrong [index]);
    s_refuse (&given, "feed", name);
    memcpy (name + ZSPOOL_NAME_MAX, "=inproc://a", 12);
    CHECK_OK (s_set (&given, "feed", name));
    s_refuse (&given, "feed", name);
    s_refuse (&given, "feed-sub", name);
    zspool_feeds_destroy (&given.feeds);
}

TEST (test_options_feeds_are_sixty_at_most)
{
    s_given_t given;
    s_init (&given);
    char value [64];
    for (int number = 0; number < ZSPOOL_FEEDS_MAX; number++) {
        snprintf (value, sizeof value, "f%d=inproc://f%d", number, number);
        CHECK_OK (s_set (&given, number % 2? "feed": "feed-sub", value));
    }
    s_refuse (&given, "feed", "more=inproc://more");
    s_refuse (&given, "feed-ack", "more=sent");
    CHECK_OK (s_set (&given, "feed-ack", "f1=sent"));
    CHECK_EQ_U64 (given.feeds.count, ZSPOOL_FEEDS_MAX);
    zspool_feeds_destroy (&given.feeds);
}

TEST (test_options_topics_and_filters_add_up)
{
    s_given_t given;
    s_init (&given);
    char longest [ZSPOOL_FILTER_BYTES_MAX + 2];
    memset (longest, 'x', sizeof longest);
    longest [ZSPOOL_FILTER_BYTES_MAX + 1] = 0;
    s_refuse (&given, "topic", longest);
    s_refuse (&given, "out-filter", longest);
    longest [ZSPOOL_FILTER_BYTES_MAX] = 0;
    CHECK_OK (s_set (&given, "topic", longest));
    CHECK_OK (s_set (&given, "topic", ""));
    CHECK_OK (s_set (&given, "out-filter", "a.*"));
    CHECK_OK (s_set (&given, "out-filter", "b"));
    CHECK_EQ_U64 (zlist_size (given.feeds.topics), 2);
    zspool_filter_t *filter;
    CHECK_OK (zspool_feeds_compile (given.feeds.out_filters, &filter));
    CHECK (zspool_filter_matches (filter, "a.x", 3));
    CHECK (zspool_filter_matches (filter, "bcd", 3));
    CHECK (!zspool_filter_matches (filter, "a.x.y", 5));
    zspool_filter_destroy (&filter);
    zspool_feeds_destroy (&given.feeds);
}

//  Options that are right by themselves, but not together: what is given, and how the reason begins
TEST (test_options_that_do_not_fit_are_refused_together)
{
    static const struct {
        const char *options [8]; //  names and values
        const char *reason;      //  NULL: they fit
    } cases [] = {
        { { NULL }, "out: an endpoint is required" },
        { { "feed", "a=inproc://a" }, NULL },
        { { "feed-ack", "a=sent" }, "feed a: no feed" },
        { { "feed", "out=inproc://a" }, "feed out: is the name" },
        { { "feed", "dead=inproc://a" }, "feed dead: is the name" },
        { { "feed", "a=inproc://a", "ack", "explicit" }, "feed a: explicit" },
        { { "feed-sub", "a=inproc://a", "ack", "explicit" }, "feed a: a SUB peer" },
        { { "feed-sub", "a=inproc://a", "ack", "explicit", "feed-ack", "a=sent" }, NULL },
        { { "feed", "a=inproc://a", "ack-in", "inproc://b" }, "ack-in: " },
        { { "feed", "a=inproc://a", "hold", "1", "out-type", "pub" }, "hold: " },
        { { "feed", "a=inproc://a", "out-filter", "x" }, "out-filter: " },
        { { "out", "inproc://o", "hold", "1" }, "hold: " },
        { { "out", "inproc://o", "hold", "1", "out-type", "pub" }, NULL },
        { { "out", "inproc://o", "topic", "x" }, "topic: " },
        { { "out", "inproc://o", "topic", "x", "in-type", "sub" }, NULL },
        { { "out", "inproc://o", "ack", "explicit" }, "ack-in: " },
        { { "out", "inproc://o", "ack", "explicit", "ack-in", "inproc://b", "out-type", "pub" }, "ack-in: " },
        { { "out", "inproc://o", "max-deliveries", "2" }, "max-deliveries: " },
        { { "feed", "a=inproc://a", "feed-ack", "a=explicit,inproc://b", "max-deliveries", "2" }, NULL },
        { { "out", "inproc://o", "keep-unacked", "off" }, "keep-unacked: " },
        { { "out", "inproc://o", "keep-unacked", "off", "keep-count", "1" }, NULL },
        { { "out", "inproc://o", "keep-unacked", "off", "keep-count", "1", "keep-age", "0" }, "keep-unacked: " },
        { { "out", "inproc://o", "on-full", "drop-oldest" }, "on-full: " },
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases [0]; index++) {
        s_given_t given;
        s_init (&given);
        s_set_required (&given);
        for (size_t at = 0; at < 8 && cases [index].options [at]; at += 2)
            CHECK_OK (s_set (&given, cases [index].options [at], cases [index].options [at + 1]));
        int rc = s_check (&given);
        const char *reason = cases [index].reason;
        if (rc != (reason? ZSPOOL_EINVAL: ZSPOOL_OK)
            || (reason && strncmp (given.reason, reason, strlen (reason)) != 0))
            printf ("case %zu: %d, %s\n", index, rc, given.reason);
        CHECK_EQ_I64 (rc, reason? ZSPOOL_EINVAL: ZSPOOL_OK);
        CHECK (!reason || strncmp (given.reason, reason, strlen (reason)) == 0);
        zspool_feeds_destroy (&given.feeds);
    }
}
