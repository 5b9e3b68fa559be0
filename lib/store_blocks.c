//  store_blocks.c - keeps blocks as values of a table
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Key, big-endian: first sequence u64, chunk u16. A block is one value under chunk 0, or several
//  of ZSPOOL_PAGE_VALUE_BYTES each but the last, under chunks 0, 1, 2, ... Its size stands in its
//  own head, at the start of chunk 0; which of the two ways it was written follows from the size of
//  that value.

#include "store_blocks.h"
#include "bytes.h"

#define KEY_BYTES 10
#define CHUNK_BYTES ZSPOOL_PAGE_VALUE_BYTES

static zspool_bytes_t
s_key (uint8_t key [KEY_BYTES], uint64_t first, uint16_t chunk)
{
    put_u64_be (key, first);
    put_u16_be (key + 8, chunk);
    return (zspool_bytes_t) { key, KEY_BYTES };
}

int
zspool_blocks_write (zspool_txn_t *txn, zspool_table_t table, const zspool_block_t *block, bool chunked)
{
    const uint8_t *bytes = (const uint8_t *) zspool_block_bytes (block);
    size_t size = zspool_block_size (block);
    size_t step = chunked? CHUNK_BYTES: size;
    uint64_t first = zspool_block_first_sequence (block);
    uint16_t chunk = 0;
    for (size_t offset = 0; offset < size; offset += step, chunk++) {
        uint8_t key [KEY_BYTES], *to;
        size_t part = size - offset < step? size - offset: step;
        int rc = zspool_txn_append (txn, table, s_key (key, first, chunk), part, &to);
        if (rc)
            return rc;
        memcpy (to, bytes + offset, part);
    }
    return ZSPOOL_OK;
}

uint64_t
zspool_blocks_room (size_t block_size)
{
    //  A page for each chunk, and index pages at one for some hundred chunks
    uint64_t pages = block_size / CHUNK_BYTES + 1;
    return (pages + pages / 64 + 2) * ZSPOOL_PAGE_BYTES;
}

//  Read the head of the block whose chunk 0 is at hand.
static int
s_read_head (zspool_bytes_t key, zspool_bytes_t value, uint64_t *first, zspool_block_head_t *head)
{
    if (key.size != KEY_BYTES)
        return ZSPOOL_EIO;
    *first = get_u64_be (key.data);
    if (get_u16_be (key.data + 8) != 0)
        return ZSPOOL_ECORRUPT;
    zspool_block_head_t found;
    int rc = zspool_block_read_head (&found, value.data, value.size);
    if (rc == ZSPOOL_OK && found.first_sequence != *first)
        rc = ZSPOOL_ECORRUPT;
    if (rc == ZSPOOL_OK)
        *head = found;
    return rc;
}

//  Stand on the first block that starts at or after the sequence.
static int
s_seek (zspool_iter_t *iter, uint64_t sequence, uint64_t *first, zspool_block_head_t *head)
{
    uint8_t at [KEY_BYTES];
    zspool_bytes_t key, value;
    int rc = zspool_iter_seek (iter, s_key (at, sequence, 0), &key, &value);
    return rc? rc: s_read_head (key, value, first, head);
}

//  First sequence of the block before the one that the iterator stands on; ENOENT when there is
//  none.
static int
s_previous (zspool_iter_t *iter, bool at_end, uint64_t *first)
{
    zspool_bytes_t key, value;
    int rc = at_end? zspool_iter_last (iter, &key, &value): zspool_iter_previous (iter, &key, &value);
    if (rc)
        return rc;
    if (key.size != KEY_BYTES)
        return ZSPOOL_EIO;
    *first = get_u64_be (key.data);
    return ZSPOOL_OK;
}

int
zspool_blocks_seek (zspool_iter_t *iter, uint64_t sequence, uint64_t *first, zspool_block_head_t *head)
{
    int rc = s_seek (iter, sequence, first, head);
    if (rc == ZSPOOL_EIO || (rc != ZSPOOL_ENOENT && *first == sequence))
        return rc;
    //  The message may lie inside the block before. One that is damaged may hold it: say so.
    uint64_t before;
    int before_rc = s_previous (iter, rc == ZSPOOL_ENOENT, &before);
    if (before_rc != ZSPOOL_OK && before_rc != ZSPOOL_ENOENT)
        return before_rc;
    if (before_rc == ZSPOOL_OK) {
        zspool_block_head_t found;
        uint64_t found_first = before;
        int found_rc = s_seek (iter, before, &found_first, &found);
        if (found_rc || sequence < found.first_sequence + found.count) {
            *first = found_first;
            if (found_rc == ZSPOOL_OK)
                *head = found;
            return found_rc;
        }
    }
    return rc == ZSPOOL_ENOENT? rc: s_seek (iter, sequence, first, head);
}

int
zspool_blocks_next (zspool_iter_t *iter, uint64_t *first, zspool_block_head_t *head)
{
    return s_seek (iter, *first + 1, first, head);
}

int
zspool_blocks_halve (zspool_iter_t *iter, int64_t stored_us, zspool_blocks_span_t *span)
{
    uint64_t middle = span->low + (span->high - span->low) / 2, first;
    zspool_block_head_t head;
    int rc = zspool_blocks_seek (iter, middle, &first, &head);
    while (zspool_blocks_unusable (rc) && first < span->high)
        rc = zspool_blocks_next (iter, &first, &head);
    bool is_there = rc == ZSPOOL_OK && first < span->high;
    if (rc != ZSPOOL_OK && rc != ZSPOOL_ENOENT && !zspool_blocks_unusable (rc))
        return rc;
    if (is_there && head.stored_us < stored_us)
        span->low = first + head.count;
    else {
        if (is_there)
            span->found = first;
        span->high = is_there && first < middle? first: middle;
    }
    return ZSPOOL_OK;
}

size_t
zspool_blocks_parts_max (size_t block_size)
{
    return block_size / CHUNK_BYTES + 1;
}

int
zspool_blocks_locate (zspool_iter_t *iter, uint64_t first, size_t size, size_t from,
                      zspool_bytes_t *parts, size_t *parts_count)
{
    uint8_t at [KEY_BYTES];
    zspool_bytes_t key, value;
    int rc = zspool_iter_seek (iter, s_key (at, first, 0), &key, &value);
    size_t chunk = 0, count = 0;
    if (rc == ZSPOOL_OK && from >= CHUNK_BYTES && value.size == CHUNK_BYTES) {
        chunk = from / CHUNK_BYTES;
        rc = zspool_iter_seek (iter, s_key (at, first, (uint16_t) chunk), &key, &value);
    }
    size_t offset = chunk * CHUNK_BYTES;
    for (; rc == ZSPOOL_OK; chunk++) {
        s_key (at, first, (uint16_t) chunk);
        if (key.size != KEY_BYTES || memcmp (key.data, at, KEY_BYTES) != 0
            || value.size > size - offset)
            return ZSPOOL_ECORRUPT;
        size_t left_out = offset < from? from - offset: 0;
        if (left_out > value.size)
            return ZSPOOL_ECORRUPT;
        parts [count++] = (zspool_bytes_t) { value.data + left_out, value.size - left_out };
        offset += value.size;
        if (offset == size) {
            *parts_count = count;
            return ZSPOOL_OK;
        }
        if (value.size != CHUNK_BYTES)
            return ZSPOOL_ECORRUPT;
        rc = zspool_iter_next (iter, &key, &value);
    }
    return rc == ZSPOOL_ENOENT? ZSPOOL_ECORRUPT: rc;
}

int
zspool_blocks_delete (zspool_iter_t *iter, uint64_t first, uint64_t *bytes)
{
    uint8_t at [KEY_BYTES];
    zspool_bytes_t key, value;
    int rc = zspool_iter_seek (iter, s_key (at, first, 0), &key, &value);
    *bytes = 0;
    while (rc == ZSPOOL_OK && key.size == KEY_BYTES && get_u64_be (key.data) == first) {
        *bytes += value.size;
        rc = zspool_iter_delete (iter);
        if (rc == ZSPOOL_OK)
            rc = zspool_iter_next (iter, &key, &value);
    }
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}
