//  cursor_change.c - copies of a cursor, and what has changed of one, to be stored
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Thread: its owner's.

#include "cursor_parts.h"

#include <stdlib.h>

//  ------------------------------------------------------------------------------------------------
//  Copies

//  Copy what a block points to. ENOMEM: *to points to nothing.
static int
s_copy_block (zspool_cursor_block_t *to, const zspool_cursor_block_t *from)
{
    *to = *from;
    to->counts = NULL;
    size_t words_bytes = ((from->messages - 1) / ZSPOOL_WORD_BITS + 1) * sizeof (uint64_t);
    bool has_words = from->messages > ZSPOOL_WORD_BITS;
    if (has_words) {
        to->bits.words = (uint64_t *) malloc (words_bytes);
        if (!to->bits.words)
            return ZSPOOL_ENOMEM;
        memcpy (to->bits.words, from->bits.words, words_bytes);
    }
    if (!from->counts)
        return ZSPOOL_OK;
    to->counts = (uint16_t *) malloc (from->messages * sizeof (uint16_t));
    if (!to->counts) {
        if (has_words)
            free (to->bits.words);
        return ZSPOOL_ENOMEM;
    }
    memcpy (to->counts, from->counts, from->messages * sizeof (uint16_t));
    return ZSPOOL_OK;
}

//  A ring with room for what another holds, under the same numbers. ENOMEM.
static int
s_copy_ring (zspool_ring_t *to, const zspool_ring_t *from)
{
    *to = *from;
    to->items = NULL;
    if (from->capacity == 0)
        return ZSPOOL_OK;
    to->items = malloc (from->capacity * from->item_bytes);
    if (!to->items)
        return ZSPOOL_ENOMEM;
    memcpy (to->items, from->items, from->capacity * from->item_bytes);
    return ZSPOOL_OK;
}

zspool_cursor_t *
zspool_cursor_clone (const zspool_cursor_t *self)
{
    zspool_cursor_t *copy = (zspool_cursor_t *) malloc (sizeof *copy);
    if (!copy)
        return NULL;
    *copy = *self;
    copy->runs.items = NULL;
    int rc = s_copy_ring (&copy->blocks, &self->blocks);
    //  Only what was copied whole is the copy's to free.
    copy->blocks.end = copy->blocks.first;
    if (rc == ZSPOOL_OK)
        rc = s_copy_ring (&copy->runs, &self->runs);
    for (uint64_t number = self->blocks.first; rc == ZSPOOL_OK && number < self->blocks.end;
         number++) {
        rc = s_copy_block (zspool_cursor_block_at (copy, number),
                           zspool_cursor_block_at (self, number));
        copy->blocks.end += rc == ZSPOOL_OK;
    }
    if (rc) {
        copy->dirty_head = ZSPOOL_CURSOR_NO_BLOCK;
        for (uint64_t number = copy->blocks.first; number < copy->blocks.end; number++)
            zspool_cursor_block_at (copy, number)->dirty = false;
        zspool_cursor_destroy (&copy);
    }
    return copy;
}

//  ------------------------------------------------------------------------------------------------
//  Changes

//  Whether there is more to store of a block than the floor tells
static bool
s_is_out_of_order (const zspool_cursor_t *self, zspool_cursor_block_t *block)
{
    uint32_t below = self->floor < block->first? 0: (uint32_t) (self->floor - block->first + 1);
    if (block->acked > below)
        return true;
    if (block->counts)
        for (uint32_t index = below; index < block->messages; index++)
            if ((block->counts [index] & ZSPOOL_COUNT_MAX) > 1)
                return true;
    return false;
}

static int
s_compare_entries (const void *left, const void *right)
{
    uint64_t a = ((const zspool_cursor_entry_t *) left)->first_sequence;
    uint64_t b = ((const zspool_cursor_entry_t *) right)->first_sequence;
    return a < b? -1: a > b;
}

bool
zspool_cursor_changed (const zspool_cursor_t *self)
{
    return self->changed;
}

zspool_cursor_change_t *
zspool_cursor_take_change (zspool_cursor_t *self)
{
    if (!self->changed)
        return NULL;
    size_t size = sizeof (zspool_cursor_change_t), entries_count = 0;
    uint64_t number = self->dirty_head;
    while (number != ZSPOOL_CURSOR_NO_BLOCK) {
        zspool_cursor_block_t *block = zspool_cursor_block_at (self, number);
        number = block->dirty_after;
        if (s_is_out_of_order (self, block)) {
            entries_count++;
            size += sizeof (zspool_cursor_entry_t) + zspool_cursor_block_acked_bytes (block)
                + (block->counts? block->messages * sizeof (uint16_t): 0);
        }
        else
            zspool_cursor_set_clean (self, block);
    }
    zspool_cursor_change_t *change = (zspool_cursor_change_t *) malloc (size);
    if (!change)
        return NULL;
    change->spool = self->spool;
    change->cursor = self->cursor;
    change->generation = self->generation;
    change->floor = self->floor;
    change->sent_to = self->sent_to;
    change->entries_count = entries_count;
    uint8_t *bytes = (uint8_t *) &change->entries [entries_count];
    for (size_t index = 0; index < entries_count; index++) {
        zspool_cursor_block_t *block = zspool_cursor_block_at (self, self->dirty_head);
        bytes = zspool_cursor_block_put_entry (&change->entries [index], block, bytes);
        zspool_cursor_set_clean (self, block);
    }
    qsort (change->entries, entries_count, sizeof (zspool_cursor_entry_t), s_compare_entries);
    self->changed = false;
    return change;
}
