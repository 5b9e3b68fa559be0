//  reader.c - reads the blocks of a spool in order
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Thread: any one. A view is held only while a block is looked up: then it is known where its
//  bytes lie in the map, and what its head says, checksum of all the rest included. The copying,
//  which may have to wait for the disk, or be stopped for hours, comes after. So a reader never
//  keeps the store from using space again; and when it did just that with the pages being copied,
//  the copy is not what the head says: then the block is looked up once more, and copied while the
//  view is held. The map stays in place meanwhile, and no page of the file goes away, so what is
//  copied may be anything, but is there.
//
//  With a filter, the index at the end of a block is looked up and copied in the same way first;
//  its own checksum, which goes with that in the head, proves the copy. What cannot be proven so,
//  for whatever reason, passes nothing over: the block is read as any other.

#include "store.h"
#include "store_blocks.h"

#include <stdlib.h>
#include <string.h>

struct zspool_reader {
    zspool_txn_t *view;
    zspool_table_t table;
    zspool_block_pool_t *pool;  //  where blocks come from, or NULL: the heap. Not ours.
    uint64_t next;              //  sequence sought
    uint64_t damaged_first;     //  last damaged block passed over; 0: none
    uint64_t damaged_last;
    zspool_bytes_t *parts;      //  where the bytes of a block lie
    size_t parts_max;
    size_t parts_count;         //  of the block, or index, looked up
    zspool_filter_t *filter; //  what need not be read, or NULL. Not ours.
    uint8_t *index;             //  of the last block whose index was read
    size_t index_max;           //  room for it, bytes
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
    free (self->parts);
    free (self->index);
    free (self);
    *self_p = NULL;
}

void
zspool_reader_seek (zspool_reader_t *self, uint64_t sequence)
{
    self->next = sequence > 0? sequence: 1;
}

uint64_t
zspool_reader_sequence (const zspool_reader_t *self)
{
    return self->next;
}

void
zspool_reader_set_filter (zspool_reader_t *self, zspool_filter_t *filter)
{
    self->filter = filter;
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

//  A block looked up
typedef struct {
    uint64_t first;             //  sequence
    zspool_block_head_t head;
    uint8_t head_bytes [ZSPOOL_BLOCK_OVERHEAD_BYTES]; //  as they were in the view
} s_found_t;

//  Find where the bytes of a block lie, but for the `from` first ones.
static int
s_locate (zspool_reader_t *self, zspool_iter_t *iter, const s_found_t *found, size_t from)
{
    size_t needed = zspool_blocks_parts_max (found->head.size);
    if (needed > self->parts_max) {
        zspool_bytes_t *parts = (zspool_bytes_t *) realloc (self->parts, needed * sizeof *parts);
        if (!parts)
            return ZSPOOL_ENOMEM;
        self->parts = parts;
        self->parts_max = needed;
    }
    return zspool_blocks_locate (iter, found->first, found->head.size, from, self->parts,
                                 &self->parts_count);
}

//  Look up the block that holds the sequence sought, or the next one.
static int
s_look_up (zspool_reader_t *self, zspool_iter_t *iter, s_found_t *found)
{
    int rc = zspool_blocks_seek (iter, self->next, &found->first, &found->head);
    //  The damaged block that was reported last is no news.
    if (zspool_blocks_unusable (rc) && found->first == self->damaged_first)
        rc = zspool_blocks_next (iter, &found->first, &found->head);
    if (zspool_blocks_unusable (rc))
        s_pass_over (self, iter, found->first);
    if (rc)
        return rc;
    rc = s_locate (self, iter, found, 0);
    if (rc == ZSPOOL_OK)
        memcpy (found->head_bytes, self->parts [0].data, sizeof found->head_bytes);
    if (rc == ZSPOOL_ECORRUPT)
        s_pass_over_body (self, &found->head);
    return rc;
}

//  Copy what was looked up.
static void
s_copy_parts (const zspool_reader_t *self, uint8_t *to)
{
    for (size_t index = 0; index < self->parts_count; index++) {
        memcpy (to, self->parts [index].data, self->parts [index].size);
        to += self->parts [index].size;
    }
}

//  Copy the block looked up, and check that it is that and nothing else.
static int
s_copy (zspool_reader_t *self, const s_found_t *found, zspool_block_t *block)
{
    uint8_t *bytes = zspool_block_buffer (block, found->head.size);
    s_copy_parts (self, bytes);
    if (memcmp (bytes, found->head_bytes, sizeof found->head_bytes) != 0)
        return ZSPOOL_ECORRUPT;
    return zspool_block_load (block, found->head.size);
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

static zspool_block_t *
s_take_block (zspool_reader_t *self, size_t size)
{
    size_t bytes = size - ZSPOOL_BLOCK_OVERHEAD_BYTES;
    return self->pool? zspool_block_pool_take (self->pool, bytes): zspool_block_new (bytes);
}

//  Read the next block. With `hold` the view is held until it is copied; without, a result of
//  ECORRUPT or EVERSION with *doubtful may only mean that the block was overwritten meanwhile.
static int
s_read (zspool_reader_t *self, bool hold, zspool_block_t **block_p, bool *doubtful)
{
    zspool_iter_t *iter = NULL;
    s_found_t found;
    *doubtful = false;
    int rc = s_begin (self, &iter);
    if (rc)
        return rc;
    rc = s_look_up (self, iter, &found);
    if (!hold)
        s_end (self, &iter);
    zspool_block_t *block = NULL;
    if (rc == ZSPOOL_OK) {
        block = s_take_block (self, found.head.size);
        if (!block)
            rc = self->pool? ZSPOOL_EFULL: ZSPOOL_ENOMEM;
    }
    if (block) {
        rc = s_copy (self, &found, block);
        *doubtful = !hold && rc != ZSPOOL_OK;
    }
    if (hold)
        s_end (self, &iter);
    if (rc == ZSPOOL_OK) {
        self->next = found.first + found.head.count;
        *block_p = block;
        return ZSPOOL_OK;
    }
    if (block && !*doubtful)
        s_pass_over_body (self, &found.head);
    zspool_block_destroy (&block);
    return rc;
}

//  Look up the index of the block that holds the sequence sought, or of the next one.
static int
s_look_up_index (zspool_reader_t *self, s_found_t *found)
{
    zspool_iter_t *iter = NULL;
    int rc = s_begin (self, &iter);
    if (rc)
        return rc;
    rc = zspool_blocks_seek (iter, self->next, &found->first, &found->head);
    if (rc == ZSPOOL_OK && found->head.index_bytes == 0)
        rc = ZSPOOL_ENOENT;
    if (rc == ZSPOOL_OK)
        rc = s_locate (self, iter, found, found->head.size - found->head.index_bytes);
    s_end (self, &iter);
    return rc;
}

//  Copy the index looked up, and check that it is that and nothing else.
static int
s_copy_index (zspool_reader_t *self, const zspool_block_head_t *head, zspool_block_index_t *index)
{
    if (head->index_bytes > self->index_max) {
        uint8_t *bytes = (uint8_t *) realloc (self->index, head->index_bytes);
        if (!bytes)
            return ZSPOOL_ENOMEM;
        self->index = bytes;
        self->index_max = head->index_bytes;
    }
    s_copy_parts (self, self->index);
    int rc = zspool_block_index_open (index, self->index, head->index_bytes, head->count);
    return rc? rc: zspool_block_index_check (index, head->index_bytes, head->body_hash);
}

//  Pass over the next block if its index proves that it has no message that the filter matches.
static bool
s_pass_over_topics (zspool_reader_t *self)
{
    s_found_t found;
    zspool_block_index_t index;
    if (s_look_up_index (self, &found) || s_copy_index (self, &found.head, &index))
        return false;
    for (uint32_t number = 0; number < index.topics; number++) {
        zspool_frame_t topic = zspool_block_index_topic (&index, number);
        if (zspool_filter_matches (self->filter, topic.data, topic.size))
            return false;
    }
    self->next = found.first + found.head.count;
    return true;
}

int
zspool_reader_next (zspool_reader_t *self, zspool_block_t **block_p)
{
    if (self->filter && zspool_filter_count (self->filter) > 0)
        for (int passed = 1; s_pass_over_topics (self); passed++)
            if (passed == ZSPOOL_READER_PASS_MAX)
                return ZSPOOL_ELIMIT;
    bool doubtful;
    int rc = s_read (self, false, block_p, &doubtful);
    return doubtful? s_read (self, true, block_p, &doubtful): rc;
}

int
zspool_reader_seek_time (zspool_reader_t *self, int64_t stored_us)
{
    zspool_blocks_span_t span = { 1, UINT64_MAX, 0 };
    while (span.low < span.high) {
        //  Each step in a view of its own
        zspool_iter_t *iter = NULL;
        int rc = s_begin (self, &iter);
        if (rc)
            return rc;
        rc = zspool_blocks_halve (iter, stored_us, &span);
        s_end (self, &iter);
        if (rc)
            return rc;
    }
    if (span.found == 0)
        return ZSPOOL_ENOENT;
    self->next = span.found;
    return ZSPOOL_OK;
}

void
zspool_reader_damage (const zspool_reader_t *self, uint64_t *first, uint64_t *last)
{
    *first = self->damaged_first;
    *last = self->damaged_last;
}
