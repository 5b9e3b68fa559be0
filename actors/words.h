//  words.h - what a consumer has to say of deliveries: ACK, REJECT, EXTEND, collected
//
//  SPDX-License-Identifier: MPL-2.0
//
//  They are said in the order in which they were added. Its owner holds a mutex.

#ifndef ZSPOOL_WORDS_H_INCLUDED
#define ZSPOOL_WORDS_H_INCLUDED

#include "client.h"

typedef struct {
    uint8_t command;           //  ZSP_ACK, ZSP_REJECT, ZSP_EXTEND
    uint8_t flags;
    uint32_t time_ms;
    zsp_range_t range;
    char *reason;              //  or NULL
} zspool_word_t;

typedef struct {
    zspool_word_t *words;
    size_t count;
    size_t max;
    int64_t since_ms;          //  when the first of them came
    bool now;                  //  say them at once
} zspool_words_t;

//  Forget them all. Returns how many messages were to be acknowledged.
uint64_t
    zspool_words_clear (zspool_words_t *self);
void
    zspool_words_end (zspool_words_t *self);

//  Add one, whose reason is taken: one with the word before it, where that can be. ENOMEM.
int
    zspool_words_add (zspool_words_t *self, const zspool_word_t *word);

//  When they are to be said, at the latest: INT64_MAX when there are none.
int64_t
    zspool_words_due_ms (const zspool_words_t *self);

//  Say them all, of a subscription at a generation.
void
    zspool_words_say (zspool_words_t *self, zspool_client_t *client, uint32_t subscription,
                      uint32_t generation);

#endif
