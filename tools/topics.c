//  topics.c - which topics the messages of a spool have, and how many have each
//
//  SPDX-License-Identifier: MPL-2.0

#include "topics.h"
#include "command.h"
#include "frames.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS (4 * 65536) //  a power of two; more than half of them stay free

typedef struct {
    uint64_t messages;
    size_t size;          //  bytes
    uint8_t bytes [];
} topic_t;

struct topics {
    size_t count;
    uint64_t messages;    //  of all topics
    uint64_t others;      //  of these, messages of topics that are not told apart
    bool damaged;
    topic_t *slots [SLOTS];
};

topics_t *
topics_new (void)
{
    return (topics_t *) calloc (1, sizeof (topics_t));
}

void
topics_destroy (topics_t **self_p)
{
    topics_t *self = *self_p;
    if (!self)
        return;
    for (size_t slot = 0; slot < SLOTS; slot++)
        free (self->slots [slot]);
    free (self);
    *self_p = NULL;
}

bool
topics_damaged (const topics_t *self)
{
    return self->damaged;
}

//  The slot that a topic is in, or would be
static topic_t **
s_find (topics_t *self, const uint8_t *bytes, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325; //  FNV-1a
    for (size_t at = 0; at < size; at++)
        hash = (hash ^ bytes [at]) * 0x100000001b3;
    size_t slot = (hash ^ hash >> 32) % SLOTS;
    while (self->slots [slot]
           && (self->slots [slot]->size != size || memcmp (self->slots [slot]->bytes, bytes, size) != 0))
        slot = (slot + 1) % SLOTS;
    return &self->slots [slot];
}

//  Count messages of a topic. False when memory is out.
static bool
s_add (topics_t *self, const zspool_frame_t *frame, uint32_t messages)
{
    self->messages += messages;
    topic_t **topic = frame->size <= TOPICS_BYTES_MAX? s_find (self, (const uint8_t *) frame->data, frame->size): NULL;
    if (!topic || (!*topic && self->count == TOPICS_MAX)) {
        self->others += messages;
        return true;
    }
    if (!*topic) {
        *topic = (topic_t *) calloc (1, sizeof **topic + frame->size);
        if (!*topic)
            return false;
        (*topic)->size = frame->size;
        memcpy ((*topic)->bytes, frame->data, frame->size);
        self->count++;
    }
    (*topic)->messages += messages;
    return true;
}

//  Count the messages of a block. False when memory is out.
static bool
s_add_block (topics_t *self, const zspool_block_t *block)
{
    zspool_frame_t topic;
    uint32_t topics = zspool_block_topics (block), messages;
    for (uint32_t number = 0; number < topics; number++)
        if (zspool_block_topic (block, number, &topic, &messages) != ZSPOOL_OK || !s_add (self, &topic, messages))
            return false;
    if (topics > 0)
        return true;
    zspool_record_t record;
    zspool_block_rewind (block, &record);
    while (zspool_block_next (block, &record))
        if (!zspool_record_next_frame (&record, &topic) || !s_add (self, &topic, 1))
            return false;
    return true;
}

static void
s_report_damage (topics_t *self, const zspool_reader_t *reader, int rc)
{
    uint64_t first, last;
    zspool_reader_damage (reader, &first, &last);
    command_report ("messages %" PRIu64 " to %" PRIu64 " cannot be read: %s", first, last, zspool_strerror (rc));
    self->damaged = true;
}

int
topics_read (topics_t *self, zspool_store_t *store, const zspool_spool_info_t *spool)
{
    zspool_reader_t *reader = zspool_reader_new (store, spool->id);
    int rc = reader? ZSPOOL_OK: ZSPOOL_ENOMEM;
    //  While a device runs more may come all the time.
    while (rc == ZSPOOL_OK && zspool_reader_sequence (reader) <= spool->last_sequence) {
        zspool_block_t *block = NULL;
        rc = zspool_reader_next (reader, &block);
        if (rc == ZSPOOL_OK && !s_add_block (self, block))
            rc = ZSPOOL_ENOMEM;
        zspool_block_destroy (&block);
        if (rc == ZSPOOL_ECORRUPT || rc == ZSPOOL_EVERSION) {
            s_report_damage (self, reader, rc);
            rc = ZSPOOL_OK;
        }
    }
    zspool_reader_destroy (&reader);
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}

static int
s_compare (const void *first_p, const void *second_p)
{
    const topic_t *first = *(topic_t *const *) first_p, *second = *(topic_t *const *) second_p;
    int order = memcmp (first->bytes, second->bytes, first->size < second->size? first->size: second->size);
    return order? order: (first->size > second->size) - (first->size < second->size);
}

//  All topics in the order of their bytes. The caller frees the list. NULL when memory is out.
static const topic_t **
s_sorted (const topics_t *self)
{
    const topic_t **list = (const topic_t **) malloc ((self->count + 1) * sizeof *list);
    size_t count = 0;
    for (size_t slot = 0; list && slot < SLOTS; slot++)
        if (self->slots [slot])
            list [count++] = self->slots [slot];
    if (list)
        qsort (list, count, sizeof *list, s_compare);
    return list;
}

static int
s_puts (output_t *output, const char *text)
{
    return output_write (output, text, strlen (text));
}


//  A line of the table; or a member of the array.
static int
s_write_topic (const topic_t *topic, output_t *output)
{
    char text [32];
    snprintf (text, sizeof text, "%12" PRIu64 "  ", topic->messages);
    if (s_puts (output, text) != 0 || frames_write_text_bytes (output, topic->bytes, topic->size) != 0)
        return -1;
    return s_puts (output, "\n");
}

static int
s_write_json_topic (const topic_t *topic, output_t *output)
{
    char text [48];
    snprintf (text, sizeof text, ", \"messages\": %" PRIu64 "}", topic->messages);
    if (s_puts (output, "{\"topic\": ") != 0 || frames_write_json_bytes (output, topic->bytes, topic->size) != 0)
        return -1;
    return s_puts (output, text);
}

int
topics_write (const topics_t *self, const char *spool, output_t *output)
{
    char text [128];
    const topic_t **list = s_sorted (self);
    int rc = list? s_puts (output, "\ntopics of "): -1;
    if (rc == 0)
        rc = frames_write_text_bytes (output, spool, strlen (spool));
    snprintf (text, sizeof text, ": %zu, of %" PRIu64 " messages\n    messages  topic\n", self->count, self->messages);
    if (rc == 0)
        rc = s_puts (output, text);
    for (size_t index = 0; rc == 0 && index < self->count; index++)
        rc = s_write_topic (list [index], output);
    snprintf (text, sizeof text, "%12" PRIu64 "  (others: behind the first %d, or of more than %d bytes)\n",
              self->others, TOPICS_MAX, TOPICS_BYTES_MAX);
    if (rc == 0 && self->others > 0)
        rc = s_puts (output, text);
    free (list);
    return rc;
}

int
topics_write_json (const topics_t *self, output_t *output)
{
    char text [64];
    const topic_t **list = s_sorted (self);
    int rc = list? s_puts (output, ",\n     \"topics\": ["): -1;
    for (size_t index = 0; rc == 0 && index < self->count; index++) {
        if (index > 0)
            rc = s_puts (output, ",\n       ");
        if (rc == 0)
            rc = s_write_json_topic (list [index], output);
    }
    snprintf (text, sizeof text, "],\n     \"other_topics\": %" PRIu64, self->others);
    if (rc == 0)
        rc = s_puts (output, text);
    free (list);
    return rc;
}
