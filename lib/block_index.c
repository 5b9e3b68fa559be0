//  block_index.c - which topics the messages of a block have, and when each came: what stands
//  behind its records
//
//  SPDX-License-Identifier: MPL-2.0
//
//  What belongs to messages is kept as it will be written. The dictionary finds topics with an open
//  hash table: a slot has the topic's number plus one, and 16 bits of its hash; 0 is a free slot.
//  Whether a topic is the one sought is told by its bytes, not by its hash.

#include "block_index.h"
#include "block.h"
#include "bytes.h"

#include <stdlib.h>
#include <xxhash.h>

#define HEAD_BYTES (ZSPOOL_INDEX_BYTES_MIN - ZSPOOL_INDEX_HASH_BYTES)  //  topics, topics_bytes
#define TOPIC_BYTES 6                  //  end of text, messages
#define MESSAGE_BYTES (ZSPOOL_INDEX_MESSAGE_BYTES - TOPIC_BYTES)       //  offset, delay, number
#define SLOTS (2 * ZSPOOL_TOPICS_MAX)  //  a power of two; half of them stay free
#define PROBES_MAX 64                  //  slots looked at for one topic
#define WORTH_PART 8                   //  topics may take this part of the records
#define NONE UINT32_MAX

typedef struct {
    const uint8_t *text;               //  in the block
    uint16_t size;                     //  bytes
    uint16_t messages;                 //  that have it
    uint32_t slot;
} s_topic_t;

struct zspool_dictionary {
    uint32_t count;                    //  messages
    uint32_t topics;
    size_t topics_bytes;               //  of their texts
    uint32_t last;                     //  topic of the last message
    s_topic_t list [ZSPOOL_TOPICS_MAX];
    uint32_t slots [SLOTS];
    uint8_t offsets [ZSPOOL_BLOCK_MESSAGES_MAX * sizeof (uint32_t)];
    uint8_t delays [ZSPOOL_BLOCK_MESSAGES_MAX * sizeof (uint32_t)];
    uint8_t numbers [ZSPOOL_BLOCK_MESSAGES_MAX * sizeof (uint16_t)];
};

zspool_dictionary_t *
zspool_dictionary_new (void)
{
    return (zspool_dictionary_t *) calloc (1, sizeof (zspool_dictionary_t));
}

void
zspool_dictionary_destroy (zspool_dictionary_t **self_p)
{
    free (*self_p);
    *self_p = NULL;
}

void
zspool_dictionary_clear (zspool_dictionary_t *self)
{
    for (uint32_t number = 0; number < self->topics; number++)
        self->slots [self->list [number].slot] = 0;
    self->count = 0;
    self->topics = 0;
    self->topics_bytes = 0;
}

static size_t
s_index_bytes (size_t count, size_t topics, size_t topics_bytes)
{
    return HEAD_BYTES + count * MESSAGE_BYTES + topics * TOPIC_BYTES + topics_bytes
           + ZSPOOL_INDEX_HASH_BYTES;
}

//  Bytes that the topics take, not what their messages do
static size_t
s_dictionary_bytes (const zspool_dictionary_t *self)
{
    return self->topics * TOPIC_BYTES + self->topics_bytes;
}

//  Put a new topic in a free slot. NONE when there are too many.
static uint32_t
s_put_topic (zspool_dictionary_t *self, uint32_t slot, uint32_t tag, const uint8_t *topic, size_t size,
             size_t bytes_max)
{
    if (self->topics == ZSPOOL_TOPICS_MAX || s_dictionary_bytes (self) + TOPIC_BYTES + size > bytes_max)
        return NONE;
    self->list [self->topics] = (s_topic_t) { topic, (uint16_t) size, 0, slot };
    self->topics_bytes += size;
    self->slots [slot] = tag | (self->topics + 1);
    return self->topics++;
}

//  The number of a topic, which is put when it is new. NONE when there are too many, or they
//  collide.
static uint32_t
s_find_topic (zspool_dictionary_t *self, const uint8_t *topic, size_t size, size_t bytes_max)
{
    uint64_t hash = XXH3_64bits (topic, size);
    uint32_t slot = (uint32_t) hash % SLOTS, tag = (uint32_t) (hash >> 32) & 0xffff0000;
    for (int probes = 0; probes < PROBES_MAX; probes++, slot = (slot + 1) % SLOTS) {
        uint32_t found = self->slots [slot];
        if (found == 0)
            return s_put_topic (self, slot, tag, topic, size, bytes_max);
        if ((found & 0xffff0000) == tag) {
            const s_topic_t *known = &self->list [(found & 0xffff) - 1];
            if (known->size == size && memcmp (known->text, topic, size) == 0)
                return (found & 0xffff) - 1;
        }
    }
    return NONE;
}

size_t
zspool_dictionary_add (zspool_dictionary_t *self, size_t offset, uint32_t delay_us,
                       const uint8_t *topic, size_t topic_bytes, size_t topics_bytes_max)
{
    if (topic_bytes > ZSPOOL_TOPIC_BYTES_MAX)
        return 0;
    const s_topic_t *last = &self->list [self->last];
    if (self->count == 0 || last->size != topic_bytes || memcmp (last->text, topic, topic_bytes) != 0) {
        uint32_t number = s_find_topic (self, topic, topic_bytes, topics_bytes_max);
        if (number == NONE)
            return 0;
        self->last = number;
    }
    self->list [self->last].messages++;
    put_u32 (self->offsets + self->count * sizeof (uint32_t), (uint32_t) offset);
    put_u32 (self->delays + self->count * sizeof (uint32_t), delay_us);
    put_u16 (self->numbers + self->count * sizeof (uint16_t), (uint16_t) self->last);
    self->count++;
    return s_index_bytes (self->count, self->topics, self->topics_bytes);
}

size_t
zspool_dictionary_bytes (const zspool_dictionary_t *self, size_t record_bytes)
{
    if (s_dictionary_bytes (self) > record_bytes / WORTH_PART)
        return 0;
    return s_index_bytes (self->count, self->topics, self->topics_bytes);
}

static uint8_t *
s_put_bytes (uint8_t *to, const void *bytes, size_t size)
{
    memcpy (to, bytes, size);
    return to + size;
}

void
zspool_dictionary_write (const zspool_dictionary_t *self, uint8_t *to)
{
    put_u32 (to, self->topics);
    put_u32 (to + sizeof (uint32_t), (uint32_t) self->topics_bytes);
    to = s_put_bytes (to + HEAD_BYTES, self->offsets, self->count * sizeof (uint32_t));
    to = s_put_bytes (to, self->delays, self->count * sizeof (uint32_t));
    to = s_put_bytes (to, self->numbers, self->count * sizeof (uint16_t));
    uint32_t end = 0;
    for (uint32_t number = 0; number < self->topics; number++, to += TOPIC_BYTES) {
        end += self->list [number].size;
        put_u32 (to, end);
        put_u16 (to + sizeof (uint32_t), self->list [number].messages);
    }
    for (uint32_t number = 0; number < self->topics; number++)
        to = s_put_bytes (to, self->list [number].text, self->list [number].size);
}

void
zspool_block_index_seal (uint8_t *bytes, size_t size, uint64_t body_hash)
{
    size -= ZSPOOL_INDEX_HASH_BYTES;
    put_u64 (bytes + size, XXH3_64bits_withSeed (bytes, size, body_hash));
}

//  ------------------------------------------------------------------------------------------------
//  Reading

int
zspool_block_index_open (zspool_block_index_t *self, const uint8_t *bytes, size_t size, uint32_t count)
{
    if (size < HEAD_BYTES)
        return ZSPOOL_ECORRUPT;
    uint32_t topics = get_u32 (bytes), topics_bytes = get_u32 (bytes + sizeof (uint32_t));
    if (topics == 0 || topics > ZSPOOL_TOPICS_MAX || topics > count || topics_bytes > size
        || s_index_bytes (count, topics, topics_bytes) != size)
        return ZSPOOL_ECORRUPT;
    self->topics = topics;
    self->count = count;
    self->offsets = bytes + HEAD_BYTES;
    self->delays = self->offsets + count * sizeof (uint32_t);
    self->numbers = self->delays + count * sizeof (uint32_t);
    self->table = self->numbers + count * sizeof (uint16_t);
    self->texts = self->table + topics * TOPIC_BYTES;
    return ZSPOOL_OK;
}

//  Where the text of a topic ends; that of the one before is where it starts.
static uint32_t
s_text_end (const zspool_block_index_t *self, uint32_t number)
{
    return get_u32 (self->table + number * TOPIC_BYTES);
}

static uint32_t
s_text_start (const zspool_block_index_t *self, uint32_t number)
{
    return number > 0? s_text_end (self, number - 1): 0;
}

int
zspool_block_index_check (const zspool_block_index_t *self, size_t size, uint64_t body_hash)
{
    const uint8_t *bytes = self->offsets - HEAD_BYTES;
    size -= ZSPOOL_INDEX_HASH_BYTES;
    if (get_u64 (bytes + size) != XXH3_64bits_withSeed (bytes, size, body_hash))
        return ZSPOOL_ECORRUPT;
    for (uint32_t number = 0; number < self->topics; number++) {
        uint32_t start = s_text_start (self, number), end = s_text_end (self, number);
        if (end < start || end - start > ZSPOOL_TOPIC_BYTES_MAX)
            return ZSPOOL_ECORRUPT;
    }
    //  They end where the checksum starts.
    if (self->texts + s_text_end (self, self->topics - 1) != bytes + size)
        return ZSPOOL_ECORRUPT;
    return ZSPOOL_OK;
}

//  Check that the table says of each topic how many messages have it.
static int
s_check_counts (const zspool_block_index_t *self)
{
    uint16_t counts [ZSPOOL_TOPICS_MAX] = { 0 };
    for (uint32_t number = 0; number < self->count; number++)
        counts [get_u16 (self->numbers + number * sizeof (uint16_t))]++;
    for (uint32_t number = 0; number < self->topics; number++)
        if (zspool_block_index_messages (self, number) != counts [number])
            return ZSPOOL_ECORRUPT;
    return ZSPOOL_OK;
}

int
zspool_block_index_compare (const zspool_block_index_t *self, const zspool_block_t *block)
{
    uint32_t number = 0, topics = 0;
    size_t offset = 0;
    zspool_record_t record;
    zspool_block_rewind (block, &record);
    for (; zspool_block_next (block, &record); number++, offset = record.next_offset) {
        uint32_t topic = get_u16 (self->numbers + number * sizeof (uint16_t));
        //  They are numbered as they appear.
        if (topic == topics && topics < self->topics)
            topics++;
        if (topic >= topics || get_u32 (self->offsets + number * sizeof (uint32_t)) != offset)
            return ZSPOOL_ECORRUPT;
        zspool_frame_t text = zspool_block_index_topic (self, topic), first = zspool_record_topic (&record);
        if (first.size != text.size || memcmp (first.data, text.data, first.size) != 0)
            return ZSPOOL_ECORRUPT;
    }
    return topics == self->topics? s_check_counts (self): ZSPOOL_ECORRUPT;
}

zspool_frame_t
zspool_block_index_topic (const zspool_block_index_t *self, uint32_t number)
{
    uint32_t start = s_text_start (self, number);
    return (zspool_frame_t) { self->texts + start, s_text_end (self, number) - start };
}

uint32_t
zspool_block_index_messages (const zspool_block_index_t *self, uint32_t number)
{
    return get_u16 (self->table + number * TOPIC_BYTES + sizeof (uint32_t));
}
