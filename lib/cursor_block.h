//  cursor_block.h - what a cursor knows of one block: which messages are acknowledged, how often
//  delivered
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_CURSOR_BLOCK_H_INCLUDED
#define ZSPOOL_CURSOR_BLOCK_H_INCLUDED

#include "bytes.h"
#include "cursor.h"

#define ZSPOOL_WORD_BITS 64
#define ZSPOOL_COUNT_MAX 0x7fff            //  most deliveries that are counted
#define ZSPOOL_COUNT_SENT_HERE 0x8000      //  beside a count: sent again in our time

typedef struct {
    uint64_t first;                 //  sequence of its first message
    uint32_t messages;
    uint32_t acked;                 //  how many of them are acknowledged
    union {
        uint64_t word;              //  bitmap of what is acknowledged, of up to 64 messages
        uint64_t *words;            //  and of more
    } bits;
    uint16_t *counts;               //  deliveries; NULL until one is sent again; 0: once, if at all
    uint64_t dirty_before;          //  neighbours in the dirty list
    uint64_t dirty_after;
    bool dirty;
} zspool_cursor_block_t;

static inline uint64_t
zspool_cursor_block_last (const zspool_cursor_block_t *block)
{
    return block->first + block->messages - 1;
}

static inline uint64_t *
zspool_cursor_block_words (zspool_cursor_block_t *block)
{
    return block->messages <= ZSPOOL_WORD_BITS? &block->bits.word: block->bits.words;
}

//  The bits of a bitmap's word that stand for the messages from..to
static inline uint64_t
zspool_word_mask (uint32_t word, uint32_t from, uint32_t to)
{
    uint64_t mask = UINT64_MAX;
    if (word == from / ZSPOOL_WORD_BITS)
        mask <<= from % ZSPOOL_WORD_BITS;
    if (word == to / ZSPOOL_WORD_BITS)
        mask &= UINT64_MAX >> (ZSPOOL_WORD_BITS - 1 - to % ZSPOOL_WORD_BITS);
    return mask;
}

//  How many bits are set. Without a popcnt instruction the general way is a call, and mostly it is
//  one bit.
static inline uint32_t
zspool_count_bits (uint64_t bits)
{
    return bits & (bits - 1)? (uint32_t) __builtin_popcountll (bits): bits != 0;
}

//  The next message from index on that is not acknowledged; block->messages when there is none.
static inline uint32_t
zspool_cursor_block_next_unacked (zspool_cursor_block_t *block, uint32_t index)
{
    if (index >= block->messages || block->acked == block->messages)
        return block->messages;
    const uint64_t *words = zspool_cursor_block_words (block);
    uint32_t word = index / ZSPOOL_WORD_BITS;
    uint64_t open = ~words [word] >> (index % ZSPOOL_WORD_BITS);
    if (open)
        index += (uint32_t) __builtin_ctzll (open);
    else {
        uint32_t words_count = (block->messages - 1) / ZSPOOL_WORD_BITS + 1;
        do
            word++;
        while (word < words_count && words [word] == UINT64_MAX);
        index = word * ZSPOOL_WORD_BITS;
        if (word < words_count)
            index += (uint32_t) __builtin_ctzll (~words [word]);
    }
    return index < block->messages? index: block->messages;
}

static inline uint32_t
zspool_cursor_block_count_unacked (zspool_cursor_block_t *block, uint32_t from, uint32_t to)
{
    if (block->acked == 0)
        return to - from + 1;
    uint32_t count = 0;
    for (uint32_t word = from / ZSPOOL_WORD_BITS; word <= to / ZSPOOL_WORD_BITS; word++)
        count += zspool_count_bits (~zspool_cursor_block_words (block) [word] & zspool_word_mask (word, from, to));
    return count;
}

static inline size_t
zspool_cursor_block_acked_bytes (const zspool_cursor_block_t *block)
{
    //  Whole words, so that they can be put as such
    return ((block->messages - 1) / ZSPOOL_WORD_BITS + 1) * sizeof (uint64_t);
}

//  Returns where the bytes of the next entry go.
static inline uint8_t *
zspool_cursor_block_put_entry (zspool_cursor_entry_t *entry, zspool_cursor_block_t *block, uint8_t *bytes)
{
    size_t acked_bytes = zspool_cursor_block_acked_bytes (block);
    entry->first_sequence = block->first;
    entry->messages = block->messages;
    entry->acked = bytes;
    entry->counts = NULL;
    for (size_t at = 0; at < acked_bytes; at += sizeof (uint64_t))
        put_u64 (bytes + at, zspool_cursor_block_words (block) [at / sizeof (uint64_t)]);
    bytes += acked_bytes;
    if (!block->counts)
        return bytes;
    entry->counts = bytes;
    for (uint32_t index = 0; index < block->messages; index++, bytes += sizeof (uint16_t))
        put_u16 (bytes, block->counts [index] & ZSPOOL_COUNT_MAX);
    return bytes;
}

#endif
