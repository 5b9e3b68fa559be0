//  test_filter_model.c - filters and topics at random, held against a matcher that tries everything
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/fault.h"
#include "kit.h"
#include "zspool_filter.h"

#define TEXT_MAX 64                    //  bytes of a filter or topic

typedef struct {
    uint8_t data [TEXT_MAX];
    size_t size;
} s_text_t;

typedef struct {
    const uint8_t *data;
    size_t size;
} s_token_t;

//  ------------------------------------------------------------------------------------------------
//  The naive matcher

static size_t
s_tokens (const s_text_t *text, s_token_t *tokens)
{
    size_t count = 0, start = 0;
    for (size_t at = 0; at <= text->size; at++)
        if (at == text->size || text->data [at] == '.') {
            tokens [count++] = (s_token_t){ text->data + start, at - start };
            start = at + 1;
        }
    return count;
}

static bool
s_is (const s_token_t *token, const char *text)
{
    return token->size == 1 && token->data [0] == (uint8_t) *text;
}

static bool
s_naive_tokens (const s_token_t *pattern, size_t patterns, const s_token_t *topic, size_t topics)
{
    if (patterns == 0)
        return topics == 0;
    if (s_is (pattern, "#"))
        return s_naive_tokens (pattern + 1, patterns - 1, topic, topics)
               || (topics > 0 && s_naive_tokens (pattern, patterns, topic + 1, topics - 1));
    bool fits = topics > 0
                && (s_is (pattern, "*")
                    || (pattern->size == topic->size
                        && memcmp (pattern->data, topic->data, topic->size) == 0));
    return fits && s_naive_tokens (pattern + 1, patterns - 1, topic + 1, topics - 1);
}

static bool
s_naive (const s_text_t *filter, const s_text_t *topic)
{
    s_token_t pattern [TEXT_MAX + 1], tokens [TEXT_MAX + 1];
    size_t patterns = s_tokens (filter, pattern);
    for (size_t index = 0; index < patterns; index++)
        if (s_is (&pattern [index], "*") || s_is (&pattern [index], "#"))
            return s_naive_tokens (pattern, patterns, tokens, s_tokens (topic, tokens));
    return topic->size >= filter->size && memcmp (filter->data, topic->data, filter->size) == 0;
}

static bool
s_naive_any (const s_text_t *filters, size_t count, const s_text_t *topic)
{
    for (size_t index = 0; index < count; index++)
        if (s_naive (&filters [index], topic))
            return true;
    return false;
}

//  ------------------------------------------------------------------------------------------------
//  Texts at random

//  So many bytes at most, out of these letters
static s_text_t
s_random_letters (unsigned *seed, const char *letters, size_t count, size_t max)
{
    s_text_t text = { .size = (size_t) rand_r (seed) % (max + 1) };
    for (size_t at = 0; at < text.size; at++)
        text.data [at] = (uint8_t) letters [(size_t) rand_r (seed) % count];
    return text;
}

//  So many tokens or up to two more, of few words; one in so many is a `*`, and of those some a `#`
static s_text_t
s_random_words (unsigned *seed, int least, int wild)
{
    s_text_t text = { .size = 0 };
    for (int token = least + rand_r (seed) % 3; token > 0; token--) {
        if (wild && rand_r (seed) % wild == 0)
            text.data [text.size++] = rand_r (seed) % 8 == 0? '#': '*';
        else {
            text.data [text.size++] = (uint8_t) ('a' + rand_r (seed) % 12);
            text.data [text.size++] = (uint8_t) ('a' + rand_r (seed) % 2);
        }
        text.data [text.size++] = '.';
    }
    text.size--;
    return text;
}

//  A copy in memory of its exact size, so that the address sanitizer sees one byte read too many
static uint8_t *
s_exactly (const s_text_t *text)
{
    uint8_t *exactly = (uint8_t *) malloc (text->size? text->size: 1);
    CHECK (exactly);
    memcpy (exactly, text->data, text->size);
    return exactly;
}

static void
s_add (zspool_filter_t *filter, const s_text_t *text)
{
    uint8_t *exactly = s_exactly (text);
    CHECK_OK (zspool_filter_add (filter, exactly, text->size));
    free (exactly);
}

//  Hold both matchers against each other; returns whether the topic matches.
static bool
s_check (zspool_filter_t *filter, const s_text_t *filters, size_t count, const s_text_t *topic)
{
    bool expected = s_naive_any (filters, count, topic);
    uint8_t *exactly = s_exactly (topic);
    CHECK_EQ_I64 (zspool_filter_matches (filter, exactly, topic->size), expected);
    free (exactly);
    return expected;
}

//  Small sets of small texts, each held against topics. Returns how many of these matched, of 1000.
static unsigned
s_check_small_sets (unsigned seed, const char *letters, size_t count, size_t max)
{
    unsigned matched = 0, looks = 0;
    for (int round = 0; round < 3000; round++) {
        s_text_t filters [8];
        size_t many = 1 + (size_t) rand_r (&seed) % 8;
        zspool_filter_t *filter = zspool_filter_new ();
        CHECK (filter);
        for (size_t index = 0; index < many; index++) {
            filters [index] = s_random_letters (&seed, letters, count, max);
            s_add (filter, &filters [index]);
        }
        for (int look = 0; look < 40; look++, looks++) {
            s_text_t topic = s_random_letters (&seed, letters, count, max);
            matched += s_check (filter, filters, many, &topic);
        }
        zspool_filter_destroy (&filter);
    }
    return 1000 * matched / looks;
}

TEST (test_filter_model_small_sets_match_as_the_naive_matcher_has_it)
{
    unsigned matched = s_check_small_sets (7, "aab...*#", 8, 9);
    CHECK (matched > 200 && matched < 800);
}

//  Bytes that end strings, stand next to dots, are signed, or are parts of UTF-8
TEST (test_filter_model_hostile_bytes_match_as_the_naive_matcher_has_it)
{
    static const char letters [] = "\0\0\377-/..**##\200\303";
    unsigned matched = s_check_small_sets (8, letters, sizeof letters - 1, 12);
    CHECK (matched > 200 && matched < 800);
}

//  One large set: so many filters of at least so many tokens, one in `wild` of them a `*` or `#`
static void
s_check_large_set (unsigned seed, size_t count, int least, int wild, int looks)
{
    s_text_t *filters = (s_text_t *) calloc (count, sizeof *filters);
    zspool_filter_t *filter = zspool_filter_new ();
    int matched = 0;
    CHECK (filters && filter);
    for (size_t index = 0; index < count; index++) {
        filters [index] = s_random_words (&seed, least, wild);
        s_add (filter, &filters [index]);
    }
    CHECK_EQ_U64 (zspool_filter_count (filter), count);
    for (int look = 0; look < looks; look++) {
        s_text_t topic = s_random_words (&seed, 4, 0);
        matched += s_check (filter, filters, count, &topic);
    }
    CHECK (matched > looks / 20 && matched < looks - looks / 20);
    zspool_filter_destroy (&filter);
    free (filters);
}

TEST (test_filter_model_a_thousand_filters_match_as_the_naive_matcher_has_it)
{
    s_check_large_set (9, 1000, 4, 9, 1000);
    s_check_large_set (10, 1000, 2, 0, 1000);
}

TEST (test_filter_model_most_filters_match_as_the_naive_matcher_has_it)
{
    s_check_large_set (11, ZSPOOL_FILTERS_MAX, 4, 24, 100);
}

//  ------------------------------------------------------------------------------------------------
//  Memory

//  Make one allocation fail, after so many that do not.
static void
s_fail_memory (unsigned after)
{
    fault_fail (FAULT_MEMORY, after, 1, FAULT_BEFORE, ENOMEM);
}

static void
s_fail_no_memory (void)
{
    fault_fail (FAULT_MEMORY, 0, 0, FAULT_BEFORE, 0);
}

TEST (test_filter_model_created_without_memory_is_null)
{
    zspool_filter_t *filter = NULL;
    unsigned refused = 0;
    fault_watch (".");
    for (; !filter; refused++) {
        s_fail_memory (refused);
        filter = zspool_filter_new ();
        s_fail_no_memory ();
    }
    CHECK (refused > 3);
    zspool_filter_destroy (&filter);
}

//  However far adding came, it is as if it had not begun.
TEST (test_filter_model_without_memory_matches_what_it_did_before)
{
    enum { FILTERS = 150, TOPICS = 150 };
    s_text_t filters [FILTERS], topics [TOPICS];
    unsigned seed = 12, refused = 0;
    zspool_filter_t *filter = zspool_filter_new ();
    for (int topic = 0; topic < TOPICS; topic++)
        topics [topic] = s_random_words (&seed, 4, 0);
    fault_watch (".");
    for (size_t count = 0; count < FILTERS; count++) {
        filters [count] = count % 2? topics [count]: s_random_words (&seed, 4, 3);
        int rc = ZSPOOL_ENOMEM;
        for (unsigned after = 0; rc; after++) {
            s_fail_memory (after);
            rc = zspool_filter_add (filter, filters [count].data, filters [count].size);
            s_fail_no_memory ();
            CHECK_CODE (rc, rc? ZSPOOL_ENOMEM: ZSPOOL_OK);
            refused += rc != ZSPOOL_OK;
            size_t added = count + (rc == ZSPOOL_OK);
            CHECK_EQ_U64 (zspool_filter_count (filter), added);
            for (int topic = 0; topic < TOPICS && added > 0; topic++)
                s_check (filter, filters, added, &topics [topic]);
        }
    }
    CHECK (refused > 100);
    zspool_filter_destroy (&filter);
}
