//  test_filter.c - tests of which messages somebody wants, by their topics
//
//  SPDX-License-Identifier: MPL-2.0

#include "selftest.h"
#include "zspool_filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  Whether a topic matches one filter
static bool
s_matches (const char *text, const char *topic)
{
    zspool_filter_t *filter = zspool_filter_new ();
    CHECK (filter != NULL);
    CHECK_OK (zspool_filter_add (filter, text, strlen (text)));
    bool matches = zspool_filter_matches (filter, topic, strlen (topic));
    zspool_filter_destroy (&filter);
    return matches;
}

TEST (test_filter_without_filters_matches_everything)
{
    zspool_filter_t *filter = zspool_filter_new ();
    CHECK (zspool_filter_matches (filter, "", 0));
    CHECK (zspool_filter_matches (filter, "a.b", 3));
    zspool_filter_destroy (&filter);
    CHECK (filter == NULL);
    zspool_filter_destroy (&filter);
}

TEST (test_filter_prefix_matches_what_begins_with_it)
{
    CHECK (s_matches ("", ""));
    CHECK (s_matches ("", "a"));
    CHECK (s_matches ("ab", "ab"));
    CHECK (s_matches ("ab", "abc"));
    CHECK (!s_matches ("ab", "a"));
    CHECK (!s_matches ("ab", "ac"));
    CHECK (s_matches ("a.b", "a.bc.d"));
}

TEST (test_filter_star_within_a_token_is_a_prefix)
{
    CHECK (s_matches ("a.b*", "a.b*.c"));
    CHECK (!s_matches ("a.b*", "a.bc"));
    CHECK (s_matches ("#a", "#ab"));
    CHECK (!s_matches ("#a", "a"));
}

TEST (test_filter_star_stands_for_one_token)
{
    CHECK (s_matches ("*", "a"));
    CHECK (s_matches ("*", ""));
    CHECK (!s_matches ("*", "a.b"));
    CHECK (s_matches ("a.*.c", "a.b.c"));
    CHECK (s_matches ("a.*.c", "a..c"));
    CHECK (!s_matches ("a.*.c", "a.c"));
    CHECK (!s_matches ("a.*.c", "a.b.b.c"));
    CHECK (!s_matches ("a.*", "a"));
    CHECK (s_matches ("a.*", "a."));
    CHECK (!s_matches ("a.*", "a.b.c")); //  a pattern matches all of the topic
}

TEST (test_filter_hash_stands_for_any_number_of_tokens)
{
    CHECK (s_matches ("#", ""));
    CHECK (s_matches ("#", "a.b.c"));
    CHECK (s_matches ("a.#", "a"));
    CHECK (s_matches ("a.#", "a.b.c"));
    CHECK (!s_matches ("a.#", "ab"));
    CHECK (s_matches ("a.#.z", "a.z"));
    CHECK (s_matches ("a.#.z", "a.b.c.z"));
    CHECK (s_matches ("a.#.z", "a.z.z"));
    CHECK (!s_matches ("a.#.z", "a.z.y"));
    CHECK (s_matches ("#.z", "z"));
    CHECK (s_matches ("#.*", "a"));
    CHECK (s_matches ("#.#", "a"));
    CHECK (s_matches ("#.*.#.*", "a.b"));
    CHECK (!s_matches ("#.*.#.*.*", "a.b"));
}

//  Empty tokens are tokens.
TEST (test_filter_dots_at_either_end_and_in_a_row_make_empty_tokens)
{
    CHECK (s_matches ("*.*", "."));
    CHECK (!s_matches ("*.*", ".."));
    CHECK (s_matches ("*.a", ".a"));
    CHECK (!s_matches ("*.a", "a"));
    CHECK (s_matches (".*", ".a"));
    CHECK (!s_matches (".*", "a.a"));
    CHECK (s_matches ("*..a", "b..a"));
    CHECK (!s_matches ("*..a", "b.a"));
    CHECK (!s_matches ("*..a", "b.c.a"));
    CHECK (s_matches ("#.", ""));
    CHECK (s_matches ("#.", "a."));
    CHECK (!s_matches ("#.", "a"));
    CHECK (s_matches (".#", ""));
    CHECK (s_matches (".#", ".a"));
    CHECK (!s_matches (".#", "a"));
    CHECK (s_matches ("a.#.", "a."));
    CHECK (!s_matches ("a.#.", "a"));
    CHECK (s_matches (".", "."));  //  a prefix
    CHECK (s_matches (".", ".a"));
    CHECK (!s_matches (".", "a."));
    CHECK (s_matches ("a..", "a..b"));
    CHECK (!s_matches ("a..", "a.b"));
}

TEST (test_filter_topic_of_stars_and_hashes_is_text)
{
    CHECK (s_matches ("a.*", "a.#"));
    CHECK (s_matches ("a.*", "a.*"));
    CHECK (!s_matches ("*.a", "*.#"));
    CHECK (s_matches ("#.a", "#.#.a"));
    CHECK (!s_matches ("#.a", "#"));
    CHECK (!s_matches ("a.b", "a.*"));
}

TEST (test_filter_bytes_may_be_any)
{
    zspool_filter_t *filter = zspool_filter_new ();
    CHECK_OK (zspool_filter_add (filter, "a\0b", 3));
    CHECK (zspool_filter_matches (filter, "a\0bc", 4));
    CHECK (!zspool_filter_matches (filter, "a\0c", 3));
    CHECK (!zspool_filter_matches (filter, "a", 1));
    CHECK_OK (zspool_filter_add (filter, "\0.*.\377\0", 6));
    CHECK (zspool_filter_matches (filter, "\0.\0\0.\377\0", 7));
    CHECK (!zspool_filter_matches (filter, "\0.\0\0.\377", 6));
    CHECK (!zspool_filter_matches (filter, "\0\0.\0.\377\0", 7));
    zspool_filter_destroy (&filter);
}

TEST (test_filter_empty_may_be_null)
{
    zspool_filter_t *filter = zspool_filter_new ();
    CHECK (zspool_filter_matches (filter, NULL, 0));
    CHECK_OK (zspool_filter_add (filter, "a", 1));
    CHECK_OK (zspool_filter_add (filter, "b.*", 3));
    CHECK (!zspool_filter_matches (filter, NULL, 0));
    CHECK_OK (zspool_filter_add (filter, NULL, 0));
    CHECK (zspool_filter_matches (filter, NULL, 0));
    CHECK (zspool_filter_matches (filter, "c", 1));
    zspool_filter_destroy (&filter);
}

//  Each in turn, in an order in which every one but the first is superfluous, or makes those before
//  it so
TEST (test_filter_superfluous_filters_change_nothing)
{
    static const char *const texts [] = { "a.b", "a.b", "a.b.c", "a.", "a.*.#", "a.#",
                                          "a.#.#", "a.*", "#", "", "#.a" };
    zspool_filter_t *filter = zspool_filter_new ();
    for (size_t index = 0; index < sizeof texts / sizeof texts [0]; index++) {
        CHECK_OK (zspool_filter_add (filter, texts [index], strlen (texts [index])));
        CHECK_EQ_U64 (zspool_filter_count (filter), index + 1);
        CHECK (zspool_filter_matches (filter, "a.b", 3));
        CHECK (zspool_filter_matches (filter, "a.b.c", 5));
        CHECK_EQ_I64 (zspool_filter_matches (filter, "a.c", 3), index >= 3);
        CHECK_EQ_I64 (zspool_filter_matches (filter, "a", 1), index >= 5);
        CHECK_EQ_I64 (zspool_filter_matches (filter, "b", 1), index >= 8);
    }
    zspool_filter_destroy (&filter);
}

//  Prefixes with a common beginning part at each of its bytes, and at all bytes there are.
TEST (test_filter_prefixes_part_at_every_byte)
{
    zspool_filter_t *filter = zspool_filter_new ();
    uint8_t text [64] = { 0 };
    CHECK_OK (zspool_filter_add (filter, "a", 1));     //  with none everything would match
    for (size_t size = 2; size <= sizeof text; size++) //  one byte may be `*` or `#`
        for (int byte = 1; byte < 256; byte++) {
            text [size - 1] = (uint8_t) byte;
            CHECK (!zspool_filter_matches (filter, text, size));
            CHECK_OK (zspool_filter_add (filter, text, size));
            CHECK (zspool_filter_matches (filter, text, size));
            text [size - 1] = 0;
        }
    CHECK (!zspool_filter_matches (filter, text, sizeof text));
    zspool_filter_destroy (&filter);
}

TEST (test_filter_limits_are_kept)
{
    static char text [ZSPOOL_FILTER_BYTES_MAX + 1];
    memset (text, 'a', sizeof text);
    zspool_filter_t *filter = zspool_filter_new ();
    CHECK_CODE (zspool_filter_add (filter, text, sizeof text), ZSPOOL_ETOOBIG);
    CHECK_EQ_U64 (zspool_filter_count (filter), 0);
    CHECK_OK (zspool_filter_add (filter, text, sizeof text - 1));
    CHECK (zspool_filter_matches (filter, text, sizeof text));
    CHECK (!zspool_filter_matches (filter, text, sizeof text - 2));
    while (zspool_filter_count (filter) < ZSPOOL_FILTERS_MAX) {
        char name [32];
        snprintf (name, sizeof name, "%zu.%s", zspool_filter_count (filter),
                  zspool_filter_count (filter) % 2? "*": "x");
        CHECK_OK (zspool_filter_add (filter, name, strlen (name)));
    }
    CHECK_CODE (zspool_filter_add (filter, "b", 1), ZSPOOL_ELIMIT);
    CHECK (zspool_filter_matches (filter, "99999.b", 7));
    CHECK (!zspool_filter_matches (filter, "99998.b", 7));
    CHECK (zspool_filter_matches (filter, "99998.xyz", 9));
    zspool_filter_destroy (&filter);
}

//  Trying every way to share out the topic's tokens among these would take longer than there is.
TEST (test_filter_hostile_patterns_stay_cheap)
{
    char pattern [ZSPOOL_FILTER_BYTES_MAX + 1], topic [4001];
    memset (topic, 'a', sizeof topic - 1);
    for (size_t at = 1; at < sizeof topic - 1; at += 2)
        topic [at] = '.';
    size_t size = 0;
    while (size < 900) {
        memcpy (pattern + size, "#.a.", 4);
        size += 4;
    }
    pattern [size++] = 'b';
    zspool_filter_t *filter = zspool_filter_new ();
    CHECK_OK (zspool_filter_add (filter, pattern, size));
    CHECK (!zspool_filter_matches (filter, topic, sizeof topic - 1));
    topic [sizeof topic - 3] = 'b';
    CHECK (!zspool_filter_matches (filter, topic, sizeof topic - 1)); //  it ends with a dot
    CHECK (zspool_filter_matches (filter, topic, sizeof topic - 2));
    zspool_filter_destroy (&filter);
}
