//  words.c - what a consumer has to say of deliveries: ACK, REJECT, EXTEND, collected
//
//  SPDX-License-Identifier: MPL-2.0

#include "words.h"

#include <stdlib.h>
#include <string.h>

//  They are said after so long at the latest
#define DELAY_MS 20
//  Or when there are so many
#define MANY 2048
//  Ranges of one command
#define RANGES_MAX 1024

uint64_t
zspool_words_clear (zspool_words_t *self)
{
    uint64_t messages = 0;
    while (self->count > 0) {
        const zspool_word_t *word = &self->words [--self->count];
        if (word->command == ZSP_ACK)
            messages += word->range.last - word->range.first + 1;
        free (word->reason);
    }
    self->now = false;
    return messages;
}

void
zspool_words_end (zspool_words_t *self)
{
    zspool_words_clear (self);
    free (self->words);
}

//  Whether two words can be said together
static bool
s_go_together (const zspool_word_t *one, const zspool_word_t *other)
{
    return one->command == other->command && one->flags == other->flags
           && one->time_ms == other->time_ms && !one->reason && !other->reason;
}

int
zspool_words_add (zspool_words_t *self, const zspool_word_t *word)
{
    zspool_word_t *last = self->count? &self->words [self->count - 1]: NULL;
    if (last && s_go_together (last, word) && last->range.last + 1 == word->range.first) {
        last->range.last = word->range.last;
        return ZSPOOL_OK;
    }
    if (self->count == self->max) {
        size_t max = self->max? 2 * self->max: 64;
        zspool_word_t *words = (zspool_word_t *) realloc (self->words, max * sizeof *words);
        if (!words)
            return ZSPOOL_ENOMEM;
        self->words = words;
        self->max = max;
    }
    if (self->count == 0)
        self->since_ms = zclock_mono ();
    self->words [self->count++] = *word;
    self->now = self->now || self->count >= MANY;
    return ZSPOOL_OK;
}

int64_t
zspool_words_due_ms (const zspool_words_t *self)
{
    return self->count == 0? INT64_MAX: self->now? 0: self->since_ms + DELAY_MS;
}

void
zspool_words_say (zspool_words_t *self, zspool_client_t *client, uint32_t subscription,
                  uint32_t generation)
{
    zsp_range_t ranges [RANGES_MAX];
    size_t said = 0;
    while (said < self->count) {
        const zspool_word_t *word = &self->words [said];
        zsp_t command = { .command = word->command, .flags = word->flags };
        uint16_t count = 0;
        do
            ranges [count++] = self->words [said++].range;
        while (said < self->count && count < RANGES_MAX
               && s_go_together (word, &self->words [said]));
        command.as.ranges.subscription = subscription;
        command.as.ranges.generation = generation;
        command.as.ranges.time_ms = word->time_ms;
        command.as.ranges.ranges_count = count;
        if (word->reason)
            command.as.ranges.reason = (zsp_text_t){ word->reason, strlen (word->reason) };
        zspool_client_send (client, &command, &(zsp_lists_t){ .ranges = ranges }, NULL, 0);
    }
    zspool_words_clear (self);
}
