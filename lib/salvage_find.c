//  salvage_find.c - finds the blocks and small records that a damaged database's file still holds
//
//  SPDX-License-Identifier: MPL-2.0

#include "salvage_find.h"
#include "bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_KEY_BYTES 10     //  see store_blocks.c
#define CHUNK_BYTES ZSPOOL_PAGE_VALUE_BYTES
#define PAGE_HEAD_BYTES 16
#define HASH_AT 32             //  of stamp and header, in a block: see block.c
#define TREE_NAME_MAX 16

//  ------------------------------------------------------------------------------------------------
//  Lists

//  Make room for one more in a list of `count` items of `size` bytes: at each power of two.
bool
zspool_finder_grow (void *list_p, size_t count, size_t size)
{
    if (count & (count - 1))
        return true;
    void **list = (void **) list_p, *grown = realloc (*list, (count? 2 * count: 1) * size);
    if (grown)
        *list = grown;
    return grown != NULL;
}

int
zspool_finder_add_block (zspool_finder_t *self, const zspool_found_block_t *block)
{
    if (!zspool_finder_grow (&self->blocks, self->blocks_count, sizeof *self->blocks))
        return ZSPOOL_ENOMEM;
    self->blocks [self->blocks_count++] = *block;
    return ZSPOOL_OK;
}

int
zspool_finder_add_record (zspool_finder_t *self, const zspool_state_record_t *record)
{
    if (!zspool_finder_grow (&self->records, self->records_count, sizeof *self->records))
        return ZSPOOL_ENOMEM;
    zspool_found_record_t *added = &self->records [self->records_count];
    added->record = *record;
    added->found = self->found;
    self->records_count++;
    if (record->kind != 'E')
        return ZSPOOL_OK;
    //  Its bytes go with the page: keep them.
    size_t acked_bytes = (record->as.entry.messages + 7) / 8;
    size_t counts_bytes = record->as.entry.counts? record->as.entry.messages * sizeof (uint16_t): 0;
    uint8_t *bytes = (uint8_t *) malloc (acked_bytes + counts_bytes);
    if (!bytes) {
        self->records_count--;
        return ZSPOOL_ENOMEM;
    }
    memcpy (bytes, record->as.entry.acked, acked_bytes);
    if (counts_bytes)
        memcpy (bytes + acked_bytes, record->as.entry.counts, counts_bytes);
    added->record.as.entry.acked = bytes;
    added->record.as.entry.counts = counts_bytes? bytes + acked_bytes: NULL;
    return ZSPOOL_OK;
}

bool
zspool_finder_goes_on (zspool_finder_t *self)
{
    return !self->go_on || self->go_on (self->arg);
}

//  The pages of a value need no search, but for what lies behind its end; a leaf does, whatever was
//  found in it.
static int
s_mark_done (zspool_finder_t *self, uint64_t offset, uint64_t size)
{
    if (offset % self->file.page_bytes != PAGE_HEAD_BYTES)
        return ZSPOOL_OK;
    uint64_t last = (offset + size - 1) / self->file.page_bytes;
    zspool_found_tail_t tail = { last, (size_t) (offset + size - last * self->file.page_bytes) };
    uint64_t end = self->file.page_bytes - tail.used < ZSPOOL_BLOCK_OVERHEAD_BYTES? last + 1: last;
    for (uint64_t page = offset / self->file.page_bytes; page < end && page < self->file.pages; page++)
        self->done [page / 8] |= (uint8_t) (1 << (page % 8));
    if (end > last)
        return ZSPOOL_OK;
    self->tail = tail;
    if (self->searched)
        return ZSPOOL_OK;
    if (!zspool_finder_grow (&self->tails, self->tails_count, sizeof *self->tails))
        return ZSPOOL_ENOMEM;
    self->tails [self->tails_count++] = tail;
    return ZSPOOL_OK;
}

static int
s_compare_tails (const void *a, const void *b)
{
    const zspool_found_tail_t *left = (const zspool_found_tail_t *) a, *right = (const zspool_found_tail_t *) b;
    return left->page < right->page? -1: left->page > right->page;
}

void
zspool_finder_sort_tails (zspool_finder_t *self)
{
    if (self->tails_count)
        qsort (self->tails, self->tails_count, sizeof *self->tails, s_compare_tails);
}

//  How many bytes at a page's start belong to a value that is whole
size_t
zspool_finder_used_bytes (const zspool_finder_t *self, uint64_t page)
{
    zspool_found_tail_t wanted = { page, 0 };
    if (self->tail.page == page)
        return self->tail.used;
    const zspool_found_tail_t *found = self->tails_count == 0? NULL: (const zspool_found_tail_t *) bsearch (
        &wanted, self->tails, self->tails_count, sizeof wanted, s_compare_tails);
    return found? found->used: 0;
}

bool
zspool_finder_is_done (const zspool_finder_t *self, uint64_t page)
{
    return self->done [page / 8] >> (page % 8) & 1;
}

//  ------------------------------------------------------------------------------------------------
//  Blocks

zspool_block_t *
zspool_finder_read (zspool_finder_t *self, const zspool_found_block_t *found)
{
    zspool_block_t *block = zspool_block_new (found->size - ZSPOOL_BLOCK_OVERHEAD_BYTES);
    uint8_t *bytes = block? zspool_block_buffer (block, found->size): NULL;
    if (!bytes) {
        zspool_block_destroy (&block);
        return NULL;
    }
    if (!found->chunked)
        zspool_page_file_read (&self->file, found->offset, bytes, found->size);
    for (uint64_t at = 0, part = found->offset; found->chunked && at < found->size; at += CHUNK_BYTES, part++) {
        uint64_t left = found->size - at;
        zspool_page_file_read (&self->file, self->offsets [part], bytes + at, left < CHUNK_BYTES? left: CHUNK_BYTES);
    }
    if (zspool_block_load (block, found->size) || get_u64 (bytes + HASH_AT) != found->hash)
        zspool_block_destroy (&block);
    return block;
}

//  Read the head of a block that may lie at this place of the file.
int
zspool_finder_read_head (zspool_finder_t *self, uint64_t offset, zspool_block_head_t *head, uint64_t *hash)
{
    uint8_t bytes [ZSPOOL_BLOCK_OVERHEAD_BYTES];
    zspool_page_file_read (&self->file, offset, bytes, sizeof bytes);
    int rc = zspool_block_read_head (head, bytes, sizeof bytes);
    if (rc == ZSPOOL_OK)
        *hash = get_u64 (bytes + HASH_AT);
    return rc;
}

zspool_found_block_t
zspool_finder_describe (const zspool_finder_t *self, const zspool_block_head_t *head, uint64_t hash, uint64_t offset)
{
    return (zspool_found_block_t) {
        .first = head->first_sequence, .hash = hash, .stored_us = head->stored_us,
        .incarnation = head->incarnation, .offset = offset, .size = head->size, .count = head->count,
        .spool = self->table? self->table->spool: 0, .found = self->found, .proven = true };
}

//  Add the block if its bytes are whole; *added says so.
int
zspool_finder_try_block (zspool_finder_t *self, const zspool_found_block_t *found, bool *added)
{
    *added = false;
    if (!found->chunked && found->offset + found->size > self->file.file_bytes)
        return ZSPOOL_OK;
    zspool_block_t *block = zspool_finder_read (self, found);
    if (!block)
        return ZSPOOL_OK;
    zspool_block_destroy (&block);
    *added = true;
    if (self->table)
        self->table->messages += found->count;
    int rc = found->chunked? ZSPOOL_OK: s_mark_done (self, found->offset, found->size);
    uint64_t part = found->offset;
    for (uint64_t at = 0; rc == ZSPOOL_OK && found->chunked && at < found->size; at += CHUNK_BYTES, part++)
        rc = s_mark_done (self, self->offsets [part],
                          found->size - at < CHUNK_BYTES? found->size - at: CHUNK_BYTES);
    return rc? rc: zspool_finder_add_block (self, found);
}

//  ------------------------------------------------------------------------------------------------
//  Walks over trees

//  A chunk of a block comes, or the first one.
static int
s_take_chunk (zspool_finder_t *self, const zspool_pair_t *pair, uint64_t first, uint16_t chunk)
{
    bool fits = self->head_first == first && self->head_got == (uint64_t) chunk * CHUNK_BYTES
                && pair->size == (self->head.size - self->head_got < CHUNK_BYTES?
                                  self->head.size - self->head_got: CHUNK_BYTES);
    if (!fits || !zspool_finder_grow (&self->offsets, self->offsets_count, sizeof *self->offsets)) {
        self->table->damage += !fits;
        self->head_first = 0;
        return fits? ZSPOOL_ENOMEM: ZSPOOL_OK;
    }
    self->offsets [self->offsets_count++] = pair->offset;
    self->head_got += pair->size;
    if (self->head_got < self->head.size)
        return ZSPOOL_OK;
    uint64_t parts = (self->head.size + CHUNK_BYTES - 1) / CHUNK_BYTES;
    zspool_found_block_t found =
        zspool_finder_describe (self, &self->head, self->head_hash, self->offsets_count - parts);
    found.chunked = true;
    bool added;
    int rc = zspool_finder_try_block (self, &found, &added);
    self->table->damage += rc == ZSPOOL_OK && !added;
    self->head_first = 0;
    return rc;
}

//  A pair of a spool's table
static int
s_take_block_pair (void *arg, const zspool_pair_t *pair)
{
    zspool_finder_t *self = (zspool_finder_t *) arg;
    if (!zspool_finder_goes_on (self))
        return ZSPOOL_ECANCELED;
    if (pair->key.size != BLOCK_KEY_BYTES || pair->flags == ZSPOOL_PAIR_TABLE) {
        self->table->damage++;
        return ZSPOOL_OK;
    }
    uint64_t first = get_u64_be (pair->key.data), hash;
    uint16_t chunk = get_u16_be (pair->key.data + 8);
    if (chunk > 0)
        return s_take_chunk (self, pair, first, chunk);
    //  The block before has not come to its end.
    self->table->damage += self->head_first != 0;
    self->head_first = 0;
    zspool_block_head_t head;
    if (pair->size < ZSPOOL_BLOCK_OVERHEAD_BYTES || zspool_finder_read_head (self, pair->offset, &head, &hash)) {
        self->table->damage++;
        return ZSPOOL_OK;
    }
    self->table->damage += head.first_sequence != first;
    if (pair->size == CHUNK_BYTES && head.size > CHUNK_BYTES) {
        self->head = head;
        self->head_hash = hash;
        self->head_first = first;
        self->head_got = 0;
        return s_take_chunk (self, pair, first, 0);
    }
    zspool_found_block_t found = zspool_finder_describe (self, &head, hash, pair->offset);
    bool added;
    int rc = zspool_finder_try_block (self, &found, &added);
    self->table->damage += rc == ZSPOOL_OK && !added;
    return rc;
}

//  A pair of the table of small records
static int
s_take_record_pair (void *arg, const zspool_pair_t *pair)
{
    zspool_finder_t *self = (zspool_finder_t *) arg;
    uint8_t *copy = NULL;
    zspool_bytes_t value = { pair->value, pair->size };
    if (!zspool_finder_goes_on (self))
        return ZSPOOL_ECANCELED;
    if (!pair->value && pair->size <= 16 * ZSPOOL_BLOCK_MESSAGES_MAX) {
        copy = (uint8_t *) malloc (pair->size + 1);
        if (!copy)
            return ZSPOOL_ENOMEM;
        zspool_page_file_read (&self->file, pair->offset, copy, pair->size);
        value.data = copy;
    }
    zspool_state_record_t record;
    int rc = value.data? zspool_state_decode (pair->key, value, &record): ZSPOOL_ECORRUPT;
    if (rc == ZSPOOL_OK)
        rc = zspool_finder_add_record (self, &record);
    else {
        self->newer = self->newer || rc == ZSPOOL_EVERSION;
        self->table->damage++;
        rc = ZSPOOL_OK;
    }
    free (copy);
    return rc;
}

//  The number in a table's name, which begins so. False when it is no such name.
static bool
s_take_number (zspool_bytes_t key, const char *prefix, uint32_t *number)
{
    char name [TREE_NAME_MAX + 1] = "", again [TREE_NAME_MAX + 8];
    size_t length = strlen (prefix);
    if (key.size > TREE_NAME_MAX || key.size <= length || memcmp (key.data, prefix, length) != 0)
        return false;
    memcpy (name, key.data, key.size);
    if (sscanf (name + length, "%u", number) != 1 || *number == 0)
        return false;
    snprintf (again, sizeof again, "%s%u", prefix, *number);
    return strcmp (name, again) == 0 && strlen (name) == key.size;
}

//  The name of a table: "state" or "spool.N". False when it is none of ours.
bool
zspool_finder_table_number (zspool_bytes_t key, uint32_t *spool)
{
    *spool = 0;
    if (key.size == strlen (ZSPOOL_STATE_TABLE) && memcmp (key.data, ZSPOOL_STATE_TABLE, key.size) == 0)
        return true;
    return s_take_number (key, "spool.", spool);
}

//  A pair of the table of tables
static int
s_take_table_pair (void *arg, const zspool_pair_t *pair)
{
    zspool_finder_t *self = (zspool_finder_t *) arg;
    zspool_found_table_t table = { .damage = 0 };
    if (pair->flags == ZSPOOL_PAIR_TABLE && s_take_number (pair->key, "table.", &table.spool)) {
        //  What it holds is not looked at before it is saved: it has no blocks, and no records.
        if (!zspool_finder_grow (&self->app_tables, self->app_tables_count, sizeof *self->app_tables))
            return ZSPOOL_ENOMEM;
        table.damage = !zspool_page_file_table (&self->file, pair, &table.tree);
        self->app_tables [self->app_tables_count++] = table;
        return ZSPOOL_OK;
    }
    if (pair->flags != ZSPOOL_PAIR_TABLE || !zspool_finder_table_number (pair->key, &table.spool)
        || !zspool_page_file_table (&self->file, pair, &table.tree)) {
        self->entries++;
        return ZSPOOL_OK;
    }
    if (!zspool_finder_grow (&self->tables, self->tables_count, sizeof *self->tables))
        return ZSPOOL_ENOMEM;
    self->tables [self->tables_count++] = table;
    return ZSPOOL_OK;
}

static int
s_count_pair (void *arg, const zspool_pair_t *pair)
{
    zspool_finder_t *self = (zspool_finder_t *) arg;
    (void) pair;
    self->entries++;
    return zspool_finder_goes_on (self)? ZSPOOL_OK: ZSPOOL_ECANCELED;
}

//  The last pair of a table
static int
s_note_last_pair (void *arg, const zspool_pair_t *pair)
{
    uint64_t *last = (uint64_t *) arg;
    *last = pair->key.size == BLOCK_KEY_BYTES? get_u64_be (pair->key.data): 0;
    return ZSPOOL_OK;
}

int
zspool_finder_walk (zspool_finder_t *self, const zspool_tree_t *tree, zspool_pair_fn *function,
                    void *arg, uint64_t *damage)
{
    memset (self->visited, 0, zspool_page_file_bitmap_bytes (&self->file));
    return zspool_page_file_walk (&self->file, tree, self->visited, function, arg, damage);
}

static int
s_walk (zspool_finder_t *self, const zspool_tree_t *tree, zspool_pair_fn *function, uint64_t *damage)
{
    return zspool_finder_walk (self, tree, function, self, damage);
}

//  Take in a table's blocks or records.
static int
s_walk_table (zspool_finder_t *self, zspool_found_table_t *table, zspool_found_t found)
{
    self->table = table;
    self->found = (uint8_t) found;
    self->head_first = 0;
    int rc = s_walk (self, &table->tree, table->spool? s_take_block_pair: s_take_record_pair, &table->damage);
    table->damage += self->head_first != 0;
    self->table = NULL;
    return rc;
}

//  Whether a tree is what its description says: then no page of it was used for anything else
//  since.
static int
s_is_consistent (zspool_finder_t *self, const zspool_tree_t *tree, bool *is_consistent)
{
    uint64_t damage = 0;
    self->entries = 0;
    int rc = s_walk (self, tree, s_count_pair, &damage);
    *is_consistent = damage == 0 && self->entries == tree->entries;
    return rc;
}

//  ------------------------------------------------------------------------------------------------
//  All of it

//  The old state of a table that ends with the highest key, and was not looked at; NULL when there
//  is none.
static zspool_found_table_t *
s_newest_old_table (zspool_finder_t *self, uint32_t spool)
{
    zspool_found_table_t *best = NULL;
    uint64_t best_key = 0;
    for (size_t index = 0; index < self->old_tables_count; index++) {
        zspool_found_table_t *table = &self->old_tables [index];
        uint64_t last_key = 0;
        if (table->spool != spool || table->damage
            || zspool_page_file_last (&self->file, &table->tree, s_note_last_pair, &last_key))
            continue;
        if (last_key > best_key) {
            best = table;
            best_key = last_key;
        }
    }
    return best;
}

//  Find the newest old state of a table that is still whole, and walk over it.
static int
s_walk_old_table (zspool_finder_t *self, uint32_t spool)
{
    zspool_found_table_t *table;
    while ((table = s_newest_old_table (self, spool))) {
        bool is_consistent;
        int rc = s_is_consistent (self, &table->tree, &is_consistent);
        if (rc || is_consistent)
            return rc? rc: s_walk_table (self, table, ZSPOOL_FOUND_IN_OLD_TREE);
        table->damage = 1;
    }
    return ZSPOOL_OK;
}

const zspool_found_table_t *
zspool_finder_table (const zspool_finder_t *self, uint32_t spool)
{
    for (size_t index = 0; index < self->tables_count; index++)
        if (self->tables [index].spool == spool)
            return &self->tables [index];
    return NULL;
}

//  Search the file, then use what was met of older states.
static int
s_search (zspool_finder_t *self)
{
    int rc = zspool_finder_search_file (self);
    for (size_t index = 0; rc == ZSPOOL_OK && index < self->old_tables_count; index++) {
        uint32_t spool = self->old_tables [index].spool;
        const zspool_found_table_t *table = zspool_finder_table (self, spool);
        bool is_first = true;
        for (size_t before = 0; before < index && is_first; before++)
            is_first = self->old_tables [before].spool != spool;
        if (is_first && (!table || table->damage))
            rc = s_walk_old_table (self, spool);
    }
    self->found = ZSPOOL_FOUND_BESIDE;
    return rc? rc: zspool_finder_assemble (self);
}

//  Whether a spool's table holds what its record says
static bool
s_counts_agree (const zspool_finder_t *self)
{
    for (size_t index = 0; index < self->records_count; index++) {
        const zspool_state_record_t *record = &self->records [index].record;
        if (record->kind != 'S')
            continue;
        const zspool_found_table_t *table = zspool_finder_table (self, record->spool);
        if (!table || table->messages != record->as.of_spool.messages)
            return false;
    }
    return true;
}

int
zspool_finder_run (zspool_finder_t *self)
{
    size_t bitmap_bytes = zspool_page_file_bitmap_bytes (&self->file);
    zspool_tree_t tables;
    self->visited = (uint8_t *) calloc (1, bitmap_bytes);
    self->done = (uint8_t *) calloc (1, bitmap_bytes);
    if (!self->visited || !self->done)
        return ZSPOOL_ENOMEM;
    int rc = ZSPOOL_OK;
    uint64_t damage = 0;
    self->tables_found = zspool_page_file_tables (&self->file, &tables);
    if (self->tables_found)
        rc = s_walk (self, &tables, s_take_table_pair, &damage);
    damage += self->entries;
    for (size_t index = 0; rc == ZSPOOL_OK && index < self->tables_count; index++) {
        rc = s_walk_table (self, &self->tables [index], ZSPOOL_FOUND_IN_TREE);
        damage += self->tables [index].damage;
    }
    if (rc || (self->tables_found && damage == 0 && zspool_finder_table (self, 0) && s_counts_agree (self)))
        return rc;
    return s_search (self);
}

void
zspool_finder_free (zspool_finder_t *self)
{
    for (size_t index = 0; index < self->records_count; index++)
        if (self->records [index].record.kind == 'E')
            free ((void *) (uintptr_t) self->records [index].record.as.entry.acked);
    free (self->visited);
    free (self->done);
    free (self->tables);
    free (self->app_tables);
    free (self->old_tables);
    free (self->blocks);
    free (self->records);
    free (self->offsets);
    free (self->parts);
    free (self->heads);
    free (self->tails);
}
