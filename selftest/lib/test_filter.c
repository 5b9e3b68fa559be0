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
    CHECK_EQ_I64 (zspool_filter_add (filter, text, strlen (text)), ZSPOOL_OK);
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

TEST (test_filter_limits_are_kept)
{
    static char text [ZSPOOL_FILTER_BYTES_MAX + 1];
    memset (text, 'a', sizeof text);
    zspool_filter_t *filter = zspool_filter_new ();
    CHECK_EQ_I64 (zspool_filter_add (filter, text, sizeof text), ZSPOOL_ETOOBIG);
    CHECK_EQ_U64 (zspool_filter_count (filter), 0);
    CHECK_EQ_I64 (zspool_filter_add (filter, text, sizeof text - 1), ZSPOOL_OK);
    CHECK (zspool_filter_matches (filter, text, sizeof text));
    CHECK (!zspool_filter_matches (filter, text, sizeof text - 2));
    while (zspool_filter_count (filter) < ZSPOOL_FILTERS_MAX) {
        char name [32];
        snprintf (name, sizeof name, "%zu.%s", zspool_filter_count (filter),
                  zspool_filter_count (filter) % 2? "*": "x");
        CHECK_EQ_I64 (zspool_filter_add (filter, name, strlen (name)), ZSPOOL_OK);
    }
    CHECK_EQ_I64 (zspool_filter_add (filter, "b", 1), ZSPOOL_ELIMIT);
    CHECK (zspool_filter_matches (filter, "99999.b", 7));
    CHECK (!zspool_filter_matches (filter, "99998.b", 7));
    CHECK (zspool_filter_matches (filter, "99998.xyz", 9));
    zspool_filter_destroy (&filter);
}

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
    CHECK_EQ_I64 (zspool_filter_add (filter, pattern, size), ZSPOOL_OK);
    CHECK (!zspool_filter_matches (filter, topic, sizeof topic - 1));
    topic [sizeof topic - 3] = 'b';
    CHECK (!zspool_filter_matches (filter, topic, sizeof topic - 1)); //  it ends with a dot
    CHECK (zspool_filter_matches (filter, topic, sizeof topic - 2));
    zspool_filter_destroy (&filter);
}

//  ------------------------------------------------------------------------------------------------
//  A naive matcher, and random filters and topics

//  Cut a text at its dots. Returns the number of tokens.
static size_t
s_tokens (char *text, char **tokens)
{
    size_t count = 0;
    tokens [count++] = text;
    for (; *text; text++)
        if (*text == '.') {
            *text = 0;
            tokens [count++] = text + 1;
        }
    return count;
}

static bool
s_naive_tokens (char **pattern, size_t patterns, char **topic, size_t topics)
{
    if (patterns == 0)
        return topics == 0;
    if (strcmp (pattern [0], "#") == 0)
        return s_naive_tokens (pattern + 1, patterns - 1, topic, topics)
               || (topics > 0 && s_naive_tokens (pattern, patterns, topic + 1, topics - 1));
    return topics > 0 && (strcmp (pattern [0], "*") == 0 || strcmp (pattern [0], topic [0]) == 0)
           && s_naive_tokens (pattern + 1, patterns - 1, topic + 1, topics - 1);
}

static bool
s_naive (const char *filter, const char *topic)
{
    char filter_text [64], topic_text [64];
    char *pattern [64], *tokens [64];
    strcpy (filter_text, filter);
    strcpy (topic_text, topic);
    size_t patterns = s_tokens (filter_text, pattern), topics = s_tokens (topic_text, tokens);
    for (size_t index = 0; index < patterns; index++)
        if (strcmp (pattern [index], "*") == 0 || strcmp (pattern [index], "#") == 0)
            return s_naive_tokens (pattern, patterns, tokens, topics);
    return strncmp (filter, topic, strlen (filter)) == 0;
}

static void
s_random_text (unsigned *seed, const char *letters, char *text)
{
    size_t size = (size_t) rand_r (seed) % 9;
    for (size_t at = 0; at < size; at++)
        text [at] = letters [(size_t) rand_r (seed) % strlen (letters)];
    text [size] = 0;
}

TEST (test_filter_random_sets_match_as_a_naive_matcher_has_it)
{
    unsigned seed = 7, matched = 0;
    for (int round = 0; round < 3000; round++) {
        char filters [8] [16];
        size_t count = 1 + (size_t) rand_r (&seed) % 8;
        zspool_filter_t *filter = zspool_filter_new ();
        for (size_t index = 0; index < count; index++) {
            s_random_text (&seed, "ab..*#", filters [index]);
            CHECK_EQ_I64 (zspool_filter_add (filter, filters [index], strlen (filters [index])), ZSPOOL_OK);
        }
        for (int look = 0; look < 40; look++) {
            char topic [16];
            bool expected = false;
            s_random_text (&seed, "aab..*", topic);
            for (size_t index = 0; index < count; index++)
                expected = expected || s_naive (filters [index], topic);
            CHECK_EQ_I64 (zspool_filter_matches (filter, topic, strlen (topic)), expected);
            matched += expected;
        }
        zspool_filter_destroy (&filter);
    }
    CHECK (matched > 20000 && matched < 100000);
}
