//  reader.c - reads the blocks of a spool in order
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Thread: any one. Each block is copied out of a view that is released before it is looked at, so
//  a slow reader never keeps the store from reusing space.

#include "store.h"
#include "store_blocks.h"

#include <stdlib.h>

struct zspool_reader {
    zspool_txn_t *view;
    zspool_table_t table;
    zspool_block_pool_t *pool;  //  where blocks come from, or NULL: the heap. Not ours.
    uint64_t next;              //  sequence sought
    uint64_t damaged_first;     //  last damaged block passed over; 0: none
    uint64_t damaged_last;
};

zspool_reader_t *
zspool_reader_new_pooled (zspool_store_t *store, uint32_t spool, zspool_block_pool_t *pool)
{
    zspool_spool_state_t *state = store->engine? zspool_store_find_spool (store, spool): NULL;
    if (!state || state->created)
        return NULL;
    zspool_reader_t *self = (zspool_reader_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->table = state->table;
    self->pool = pool;
    self->next = 1;
    if (zspool_view_new (store->engine, &self->view))
        zspool_reader_destroy (&self);
    return self;
}

zspool_reader_t *
zspool_reader_new (zspool_store_t *store, uint32_t spool)
{
    return zspool_reader_new_pooled (store, spool, NULL);
}

void
zspool_reader_destroy (zspool_reader_t **self_p)
{
    zspool_reader_t *self = *self_p;
    if (!self)
        return;
    zspool_view_destroy (&self->view);
    free (self);
    *self_p = NULL;
}

void
zspool_reader_seek (zspool_reader_t *self, uint64_t sequence)
{
    self->next = sequence > 0? sequence: 1;
}

//  Note a block that cannot be used, and go on behind it. Where it ends is best told by its
//  neighbour.
static void
s_pass_over (zspool_reader_t *self, zspool_iter_t *iter, uint64_t first)
{
    uint64_t behind = first;
    zspool_block_head_t head;
    int rc = zspool_blocks_next (iter, &behind, &head);
    bool last = rc != ZSPOOL_OK && !zspool_blocks_unusable (rc);
    self->damaged_first = first;
    self->damaged_last = last? first: behind - 1;
    self->next = last? first + 1: behind;
}

//  The same when its head was sound, and so tells what is lost.
static void
s_pass_over_body (zspool_reader_t *self, const zspool_block_head_t *head)
{
    self->damaged_first = head->first_sequence;
    self->damaged_last = head->first_sequence + head->count - 1;
    self->next = self->damaged_last + 1;
}

//  Copy the block that holds the sequence sought, or the next one, unchecked.
static int
s_copy_block (zspool_reader_t *self, zspool_iter_t *iter, zspool_block_t **block_p,
              zspool_block_head_t *head)
{
    uint64_t first;
    int rc = zspool_blocks_seek (iter, self->next, &first, head);
    //  The damaged block that was reported last is no news.
    if (zspool_blocks_unusable (rc) && first == self->damaged_first)
        rc = zspool_blocks_next (iter, &first, head);
    if (zspool_blocks_unusable (rc))
        s_pass_over (self, iter, first);
    if (rc)
        return rc;
    size_t bytes = head->size - ZSPOOL_BLOCK_OVERHEAD_BYTES;
    zspool_block_t *block =
        self->pool? zspool_block_pool_take (self->pool, bytes): zspool_block_new (bytes);
    if (!block)
        return self->pool? ZSPOOL_EFULL: ZSPOOL_ENOMEM;
    rc = zspool_blocks_copy (iter, first, head->size, zspool_block_buffer (block, head->size));
    if (rc == ZSPOOL_ECORRUPT)
        s_pass_over_body (self, head);
    if (rc) {
        zspool_block_destroy (&block);
        return rc;
    }
    self->next = first + head->count;
    *block_p = block;
    return ZSPOOL_OK;
}

//  Take a view and an iterator; on success the caller gives both back with s_end ().
static int
s_begin (zspool_reader_t *self, zspool_iter_t **iter_p)
{
    int rc = zspool_view_take (self->view);
    if (rc)
        return rc;
    rc = zspool_iter_open (self->view, self->table, iter_p);
    if (rc)
        zspool_view_release (self->view);
    return rc;
}

static void
s_end (zspool_reader_t *self, zspool_iter_t **iter_p)
{
    zspool_iter_close (iter_p);
    zspool_view_release (self->view);
}

int
zspool_reader_next (zspool_reader_t *self, zspool_block_t **block_p)
{
    zspool_iter_t *iter = NULL;
    zspool_block_t *block = NULL;
    zspool_block_head_t head;
    int rc = s_begin (self, &iter);
    if (rc)
        return rc;
    rc = s_copy_block (self, iter, &block, &head);
    s_end (self, &iter);
    if (rc)
        return rc;
    rc = zspool_block_load (block, head.size);
    if (rc == ZSPOOL_OK) {
        *block_p = block;
        return ZSPOOL_OK;
    }
    s_pass_over_body (self, &head);
    zspool_block_destroy (&block);
    return rc;
}

int
zspool_reader_seek_time (zspool_reader_t *self, int64_t stored_us)
{
    zspool_iter_t *iter = NULL;
    int rc = s_begin (self, &iter);
    if (rc)
        return rc;
    //  The block sought starts in [low, high): halve that until it is found.
    uint64_t low = 1, high = UINT64_MAX, found = 0;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2, first;
        zspool_block_head_t head;
        rc = zspool_blocks_seek (iter, middle, &first, &head);
        while (zspool_blocks_unusable (rc))
            rc = zspool_blocks_next (iter, &first, &head);
        if (rc != ZSPOOL_OK && rc != ZSPOOL_ENOENT)
            break;
        if (rc == ZSPOOL_OK && head.stored_us < stored_us)
            low = first + head.count;
        else {
            if (rc == ZSPOOL_OK)
                found = first;
            high = rc == ZSPOOL_OK && first < middle? first: middle;
        }
    }
    s_end (self, &iter);
    if (rc != ZSPOOL_OK && rc != ZSPOOL_ENOENT)
        return rc;
    if (found == 0)
        return ZSPOOL_ENOENT;
    self->next = found;
    return ZSPOOL_OK;
}

void
zspool_reader_damage (const zspool_reader_t *self, uint64_t *first, uint64_t *last)
{
    *first = self->damaged_first;
    *last = self->damaged_last;
}
