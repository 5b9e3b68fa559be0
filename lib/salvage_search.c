//  salvage_search.c - searches every page of a damaged database's file for what can prove itself
//
//  SPDX-License-Identifier: MPL-2.0

#include "bytes.h"
#include "salvage_find.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_KEY_BYTES 10     //  see store_blocks.c
#define CHUNK_BYTES ZSPOOL_PAGE_VALUE_BYTES
#define PAGE_HEAD_BYTES 16
#define MAGIC_AT 40            //  in a block: see block.c
#define KEY_BYTES_MAX 16       //  of what is looked for
#define OLD_TABLES_MAX 8192    //  descriptions of tables that are looked at
#define PARTS_MAX (1ULL << 28) //  of chunked blocks, met while searching
#define BUNCH_PAGES 256        //  read at a time
#define TRIES_MAX 64           //  ways to put a chunked block together

//  A node that may be a table's description
static int
s_search_table (zspool_finder_t *self, const zspool_pair_t *pair)
{
    zspool_found_table_t table;
    memset (&table, 0, sizeof table);
    if (!zspool_finder_table_number (pair->key, &table.spool) || table.spool == 0
        || !zspool_page_file_table (&self->file, pair, &table.tree)
        || self->old_tables_count == OLD_TABLES_MAX)
        return ZSPOOL_OK;
    for (size_t index = 0; index < self->old_tables_count; index++)
        if (memcmp (&self->old_tables [index], &table, sizeof table) == 0)
            return ZSPOOL_OK;
    if (!zspool_finder_grow (&self->old_tables, self->old_tables_count, sizeof *self->old_tables))
        return ZSPOOL_ENOMEM;
    self->old_tables [self->old_tables_count++] = table;
    return ZSPOOL_OK;
}

//  A node that may hold a block, or part of one
static int
s_search_block (zspool_finder_t *self, const zspool_pair_t *pair)
{
    uint64_t first = get_u64_be (pair->key.data), hash;
    uint16_t chunk = get_u16_be (pair->key.data + 8);
    zspool_block_head_t head;
    bool added;
    if (first == 0 || pair->size == 0 || pair->size > CHUNK_BYTES)
        return ZSPOOL_OK;
    if (chunk == 0 && pair->value && pair->size >= ZSPOOL_BLOCK_OVERHEAD_BYTES
        && zspool_finder_read_head (self, pair->offset, &head, &hash) == ZSPOOL_OK && head.first_sequence == first
        && head.size == pair->size) {
        zspool_found_block_t found = zspool_finder_describe (self, &head, hash, pair->offset);
        zspool_block_t *block = zspool_finder_read (self, &found);
        added = block != NULL;
        zspool_block_destroy (&block);
        if (added && self->extents_count < ZSPOOL_FINDER_EXTENTS_MAX) {
            self->extents [self->extents_count].from = (size_t) (pair->offset % self->file.page_bytes);
            self->extents [self->extents_count].to = (size_t) (pair->offset % self->file.page_bytes + pair->size);
            self->extents_count++;
        }
        return added? zspool_finder_add_block (self, &found): ZSPOOL_OK;
    }
    if (chunk == 0 || self->parts_count == PARTS_MAX)
        return ZSPOOL_OK;
    if (!zspool_finder_grow (&self->parts, self->parts_count, sizeof *self->parts))
        return ZSPOOL_ENOMEM;
    self->parts [self->parts_count++] = (zspool_found_part_t) { first, pair->offset, pair->size, chunk };
    return ZSPOOL_OK;
}

//  A block may start here, in pages of its own or, when these are damaged, anywhere.
static int
s_search_at (zspool_finder_t *self, uint64_t offset, bool proven)
{
    zspool_block_head_t head;
    uint64_t hash;
    if (zspool_finder_read_head (self, offset, &head, &hash) != ZSPOOL_OK)
        return ZSPOOL_OK;
    zspool_found_block_t found = zspool_finder_describe (self, &head, hash, offset);
    found.proven = proven;
    bool added;
    int rc = zspool_finder_try_block (self, &found, &added);
    if (rc || added || head.size <= CHUNK_BYTES || offset % self->file.page_bytes != PAGE_HEAD_BYTES)
        return rc;
    if (!zspool_finder_grow (&self->heads, self->heads_count, sizeof *self->heads))
        return ZSPOOL_ENOMEM;
    self->heads [self->heads_count++] = found;
    return ZSPOOL_OK;
}

//  Whether a key has the size and the first byte of one of ours
static bool
s_is_key (const zspool_pair_t *pair)
{
    switch (pair->key.size) {
    case 1: return pair->key.data [0] == 'A' || pair->key.data [0] == 'O';
    case 5: return memchr ("SRDPT", pair->key.data [0], 5) || pair->flags == ZSPOOL_PAIR_TABLE;
    case 9: return pair->key.data [0] == 'C' || pair->key.data [0] == 'L' || pair->flags == ZSPOOL_PAIR_TABLE;
    case 13: return pair->key.data [0] == 'G' || pair->flags == ZSPOOL_PAIR_TABLE;
    default: return pair->key.size == BLOCK_KEY_BYTES || pair->flags == ZSPOOL_PAIR_TABLE;
    }
}

//  Take a pair whose node may lie here, if it proves itself.
static int
s_search_node (zspool_finder_t *self, uint64_t page, const uint8_t *bytes, size_t at)
{
    zspool_pair_t pair;
    //  The size of a key tells most places that are no node.
    if (bytes [at + 7] || bytes [at + 6] == 0 || bytes [at + 6] > KEY_BYTES_MAX
        || !zspool_page_file_pair (&self->file, page, bytes, at, &pair) || !s_is_key (&pair))
        return ZSPOOL_OK;
    int rc = pair.flags == ZSPOOL_PAIR_TABLE? s_search_table (self, &pair): ZSPOOL_OK;
    if (rc == ZSPOOL_OK && pair.flags != ZSPOOL_PAIR_TABLE && pair.key.size == BLOCK_KEY_BYTES)
        rc = s_search_block (self, &pair);
    zspool_state_record_t record;
    //  What was acknowledged out of order some time ago may have been asked for again since.
    if (rc == ZSPOOL_OK && pair.flags == 0 && pair.key.size != BLOCK_KEY_BYTES
        && zspool_state_decode (pair.key, (zspool_bytes_t) { pair.value, pair.size }, &record) == ZSPOOL_OK
        && record.kind != 'E')
        rc = zspool_finder_add_record (self, &record);
    return rc;
}

//  Whether a place lies within a block that was found whole in this page: what a message holds is
//  no block.
static bool
s_is_inside (const zspool_finder_t *self, size_t at)
{
    for (size_t index = 0; index < self->extents_count; index++)
        if (at >= self->extents [index].from && at < self->extents [index].to)
            return true;
    return false;
}

static int
s_search_page (zspool_finder_t *self, uint64_t page, const uint8_t *bytes)
{
    static const uint8_t magic [] = { 'Z', 'S', 'P', 'B' };
    const uint8_t *end = bytes + self->file.page_bytes, *at = bytes;
    int rc = ZSPOOL_OK;
    //  What lies within a block that is whole was sent by somebody: it is not looked at.
    if (zspool_finder_used_bytes (self, page) == 0 && memcmp (bytes + PAGE_HEAD_BYTES + MAGIC_AT, magic, sizeof magic) == 0)
        rc = s_search_at (self, page * self->file.page_bytes + PAGE_HEAD_BYTES, get_u64 (bytes) == page);
    if (rc || zspool_finder_is_done (self, page))
        return rc;
    self->extents_count = 1;
    self->extents [0].from = 0;
    self->extents [0].to = zspool_finder_used_bytes (self, page);
    for (size_t node = PAGE_HEAD_BYTES; rc == ZSPOOL_OK && node + 8 <= self->file.page_bytes; node += 2)
        if (!s_is_inside (self, node))
            rc = s_search_node (self, page, bytes, node);
    while (rc == ZSPOOL_OK && (at = (const uint8_t *) memmem (at, (size_t) (end - at), magic, sizeof magic))) {
        if (at - bytes > PAGE_HEAD_BYTES + MAGIC_AT && !s_is_inside (self, (size_t) (at - bytes)))
            rc = s_search_at (self, page * self->file.page_bytes + (uint64_t) (at - bytes) - MAGIC_AT, false);
        at++;
    }
    return rc;
}

int
zspool_finder_search_file (zspool_finder_t *self)
{
    size_t bunch_bytes = (size_t) BUNCH_PAGES * self->file.page_bytes;
    uint8_t *bytes = (uint8_t *) malloc (bunch_bytes);
    int rc = bytes? ZSPOOL_OK: ZSPOOL_ENOMEM;
    self->found = ZSPOOL_FOUND_BESIDE;
    self->searched = true;
    zspool_finder_sort_tails (self);
    for (uint64_t page = 2; rc == ZSPOOL_OK && page < self->file.pages; page += BUNCH_PAGES) {
        if (!zspool_page_file_read (&self->file, page * self->file.page_bytes, bytes, bunch_bytes))
            //  Some of it cannot be read: page by page then.
            for (size_t at = 0; at < BUNCH_PAGES; at++)
                zspool_page_file_read (&self->file, (page + at) * self->file.page_bytes,
                                       bytes + at * self->file.page_bytes, self->file.page_bytes);
        for (size_t at = 0; rc == ZSPOOL_OK && at < BUNCH_PAGES && page + at < self->file.pages; at++)
            if (!zspool_finder_is_done (self, page + at))
                rc = s_search_page (self, page + at, bytes + at * self->file.page_bytes);
        if (rc == ZSPOOL_OK && !zspool_finder_goes_on (self))
            rc = ZSPOOL_ECANCELED;
    }
    free (bytes);
    return rc;
}

//  ------------------------------------------------------------------------------------------------
//  Chunked blocks that no tree puts together

static int
s_compare_parts (const void *a, const void *b)
{
    const zspool_found_part_t *left = (const zspool_found_part_t *) a, *right = (const zspool_found_part_t *) b;
    if (left->first != right->first)
        return left->first < right->first? -1: 1;
    if (left->chunk != right->chunk)
        return left->chunk < right->chunk? -1: 1;
    return left->offset < right->offset? -1: left->offset > right->offset;
}

//  Find the parts of a chunk that were met; gives how many, from *at on.
static size_t
s_find_parts (const zspool_finder_t *self, uint64_t first, uint16_t chunk, size_t *at)
{
    zspool_found_part_t wanted = { first, 0, 0, chunk };
    size_t low = 0, high = self->parts_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s_compare_parts (&self->parts [middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *at = low;
    while (high < self->parts_count && self->parts [high].first == first && self->parts [high].chunk == chunk)
        high++;
    return high - low;
}

//  Put a block together in the nth way: with the nth of the parts that are there for a chunk, or,
//  where there is none, the page behind that of the chunk before. *more: there are further ways.
static int
s_assemble (zspool_finder_t *self, const zspool_found_block_t *head, size_t way, bool *more, bool *added)
{
    uint64_t chunks = (head->size + CHUNK_BYTES - 1) / CHUNK_BYTES, offset = head->offset;
    zspool_found_block_t found = *head;
    found.chunked = true;
    found.offset = self->offsets_count;
    *more = false;
    for (uint64_t chunk = 0; chunk < chunks; chunk++) {
        size_t at, ways = chunk? s_find_parts (self, head->first, (uint16_t) chunk, &at): 0;
        if (ways > 0)
            offset = self->parts [at + (way < ways? way: ways - 1)].offset;
        else if (chunk > 0)
            offset = (offset / self->file.page_bytes + 1) * self->file.page_bytes + PAGE_HEAD_BYTES;
        *more = *more || way + 1 < ways;
        if (!zspool_finder_grow (&self->offsets, self->offsets_count, sizeof *self->offsets))
            return ZSPOOL_ENOMEM;
        self->offsets [self->offsets_count++] = offset;
    }
    int rc = zspool_finder_try_block (self, &found, added);
    if (rc || !*added)
        self->offsets_count = found.offset;
    return rc;
}

int
zspool_finder_assemble (zspool_finder_t *self)
{
    int rc = ZSPOOL_OK;
    if (self->parts_count)
        qsort (self->parts, self->parts_count, sizeof *self->parts, s_compare_parts);
    for (size_t index = 0; rc == ZSPOOL_OK && index < self->heads_count; index++) {
        bool more = true, added = false;
        for (size_t way = 0; rc == ZSPOOL_OK && more && !added && way < TRIES_MAX; way++)
            rc = s_assemble (self, &self->heads [index], way, &more, &added);
    }
    return rc;
}
