//  salvage_plan.c - decides which of the blocks and records found belong where
//
//  SPDX-License-Identifier: MPL-2.0

#include "salvage_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t
s_last (const zspool_found_block_t *block)
{
    return block->first + block->count - 1;
}

//  Make room for one more in a list: at each power of two.
static bool
s_grow (void *list_p, size_t count, size_t size)
{
    if (count & (count - 1))
        return true;
    void **list = (void **) list_p, *grown = realloc (*list, (count? 2 * count: 1) * size);
    if (grown)
        *list = grown;
    return grown != NULL;
}

static zspool_plan_spool_t *
s_find_spool (zspool_plan_t *self, uint32_t id)
{
    for (size_t index = 0; index < self->spools_count; index++)
        if (self->spools [index].id == id)
            return &self->spools [index];
    return NULL;
}

//  Find a spool of the old store, or add it; NULL when memory is out. 0 is always added.
static zspool_plan_spool_t *
s_need_spool (zspool_plan_t *self, uint32_t id)
{
    zspool_plan_spool_t *spool = id? s_find_spool (self, id): NULL;
    if (spool || !s_grow (&self->spools, self->spools_count, sizeof *self->spools))
        return spool;
    spool = &self->spools [self->spools_count++];
    memset (spool, 0, sizeof *spool);
    spool->id = id;
    return spool;
}

//  ------------------------------------------------------------------------------------------------
//  Records

static int
s_take_spool (zspool_plan_spool_t *spool, const zspool_found_record_t *found)
{
    const zspool_spool_record_t *record = &found->record.as.of_spool;
    bool in_tree = found->found == ZSPOOL_FOUND_IN_TREE;
    if (!spool->has_record || (in_tree && !spool->in_tree)
        || (in_tree == spool->in_tree && record->next_sequence > spool->record.next_sequence))
        spool->record = *record;
    spool->has_record = true;
    spool->in_tree = spool->in_tree || in_tree;
    return ZSPOOL_OK;
}

static bool
s_is_later (const zspool_cursor_record_t *record, const zspool_cursor_record_t *than)
{
    if (record->generation != than->generation)
        return record->generation > than->generation;
    if (record->floor != than->floor)
        return record->floor > than->floor;
    return record->sent_to > than->sent_to;
}

static int
s_take_cursor (zspool_plan_spool_t *spool, const zspool_found_record_t *found)
{
    const zspool_cursor_record_t *record = &found->record.as.of_cursor;
    bool in_tree = found->found == ZSPOOL_FOUND_IN_TREE;
    zspool_plan_cursor_t *cursor = NULL;
    for (size_t index = 0; index < spool->cursors_count && !cursor; index++)
        if (spool->cursors [index].id == found->record.cursor)
            cursor = &spool->cursors [index];
    if (!cursor) {
        if (!s_grow (&spool->cursors, spool->cursors_count, sizeof *spool->cursors))
            return ZSPOOL_ENOMEM;
        cursor = &spool->cursors [spool->cursors_count++];
        *cursor = (zspool_plan_cursor_t) { .id = found->record.cursor, .record = *record };
    }
    if (in_tree || (!cursor->in_tree && s_is_later (record, &cursor->record)))
        cursor->record = *record;
    cursor->in_tree = cursor->in_tree || in_tree;
    return ZSPOOL_OK;
}

static int
s_take_gap (zspool_plan_spool_t *spool, const zspool_gap_t *gap)
{
    if (!s_grow (&spool->gaps, spool->gaps_count, sizeof *spool->gaps))
        return ZSPOOL_ENOMEM;
    spool->gaps [spool->gaps_count++] = *gap;
    return ZSPOOL_OK;
}

static int
s_take_retention (zspool_plan_spool_t *spool, const zspool_found_record_t *found)
{
    bool in_tree = found->found == ZSPOOL_FOUND_IN_TREE;
    if (in_tree || !spool->has_retention)
        spool->retention = found->record.as.retention;
    spool->has_retention = true;
    spool->retention_in_tree = spool->retention_in_tree || in_tree;
    return ZSPOOL_OK;
}

//  Whether a record lies outside of the tree of records though nothing of that is missing: then it
//  tells of a time that is over, such as of a cursor that was deleted.
static bool
s_is_over (const zspool_plan_t *self, const zspool_found_record_t *found)
{
    const zspool_found_table_t *state = zspool_finder_table (self->finder, 0);
    return state && state->damage == 0 && found->found != ZSPOOL_FOUND_IN_TREE;
}

static int
s_take_record (zspool_plan_t *self, const zspool_found_record_t *found)
{
    if (found->record.kind == 'A' && (!self->has_store_record || found->found == ZSPOOL_FOUND_IN_TREE)) {
        self->has_store_record = true;
        self->store = found->record.as.store;
    }
    if (found->record.spool == 0)
        return ZSPOOL_OK;
    zspool_plan_spool_t *spool = s_need_spool (self, found->record.spool);
    if (!spool)
        return ZSPOOL_ENOMEM;
    switch (found->record.kind) {
    case 'S': return s_take_spool (spool, found);
    case 'C': return s_is_over (self, found)? ZSPOOL_OK: s_take_cursor (spool, found);
    case 'G': return s_take_gap (spool, &found->record.as.gap);
    case 'R': return s_is_over (self, found)? ZSPOOL_OK: s_take_retention (spool, found);
    default: return ZSPOOL_OK;
    }
}

//  How many cursors of a spool were deleted, once its record is known
static void
s_take_deleted (zspool_plan_t *self, const zspool_found_record_t *found)
{
    zspool_plan_spool_t *spool = s_find_spool (self, found->record.spool);
    if (spool && found->record.as.cursors_deleted > spool->record.cursors_deleted)
        spool->record.cursors_deleted = found->record.as.cursors_deleted;
}

//  How many messages each cursor has lost at a limit, once all cursors are known
static void
s_take_lagged (zspool_plan_t *self, const zspool_found_record_t *found)
{
    zspool_plan_spool_t *spool = s_find_spool (self, found->record.spool);
    for (size_t index = 0; spool && index < spool->cursors_count; index++)
        if (spool->cursors [index].id == found->record.cursor
            && found->record.as.lagged > spool->cursors [index].record.lagged)
            spool->cursors [index].record.lagged = found->record.as.lagged;
}

static int
s_compare_gaps (const void *a, const void *b)
{
    const zspool_gap_t *left = (const zspool_gap_t *) a, *right = (const zspool_gap_t *) b;
    return left->first < right->first? -1: left->first > right->first;
}

//  Sort the gaps of a spool, and make them disjoint.
static void
s_sort_gaps (zspool_plan_spool_t *spool)
{
    size_t kept = 0;
    if (spool->gaps_count)
        qsort (spool->gaps, spool->gaps_count, sizeof *spool->gaps, s_compare_gaps);
    for (size_t index = 0; index < spool->gaps_count; index++)
        if (kept == 0 || spool->gaps [index].first > spool->gaps [kept - 1].last)
            spool->gaps [kept++] = spool->gaps [index];
    spool->gaps_count = kept;
}

static bool
s_is_name_used (const zspool_plan_t *self, const zspool_plan_spool_t *but, const char *name)
{
    for (size_t index = 0; index < self->spools_count; index++)
        if (&self->spools [index] != but && strcmp (self->spools [index].name, name) == 0)
            return true;
    return false;
}

//  Name a spool whose name is not known, or is another's too.
static void
s_name (const zspool_plan_t *self, zspool_plan_spool_t *spool)
{
    unsigned number = spool->id;
    spool->is_named_anew = true;
    do
        snprintf (spool->name, sizeof spool->name, "salvaged.%u", number++);
    while (s_is_name_used (self, spool, spool->name));
}

//  What follows from the records of a spool
static void
s_finish_spool (zspool_plan_t *self, zspool_plan_spool_t *spool)
{
    const zspool_found_table_t *table = zspool_finder_table (self->finder, spool->id);
    s_sort_gaps (spool);
    if (spool->has_record && !s_is_name_used (self, spool, spool->record.name))
        strcpy (spool->name, spool->record.name);
    else
        s_name (self, spool);
    uint64_t made = spool->has_record? spool->record.next_cursor - 1: 0;
    uint64_t cursors = made > spool->record.cursors_deleted? made - spool->record.cursors_deleted: 0;
    spool->cursors_lost = cursors > spool->cursors_count? cursors - spool->cursors_count: 0;
    spool->floor = spool->cursors_count && !spool->cursors_lost? UINT64_MAX: 0;
    for (size_t index = 0; index < spool->cursors_count; index++)
        if (spool->cursors [index].record.floor < spool->floor)
            spool->floor = spool->cursors [index].record.floor;
    spool->is_whole = table && table->damage == 0 && spool->in_tree
                      && table->messages == spool->record.messages;
}

static int
s_take_records (zspool_plan_t *self)
{
    zspool_finder_t *finder = self->finder;
    int rc = ZSPOOL_OK;
    //  A spool of which there is but its table is a spool too.
    for (size_t index = 0; rc == ZSPOOL_OK && index < finder->tables_count; index++)
        if (finder->tables [index].spool && !s_need_spool (self, finder->tables [index].spool))
            rc = ZSPOOL_ENOMEM;
    for (size_t index = 0; rc == ZSPOOL_OK && index < finder->blocks_count; index++)
        if (finder->blocks [index].spool && !s_need_spool (self, finder->blocks [index].spool))
            rc = ZSPOOL_ENOMEM;
    for (size_t index = 0; rc == ZSPOOL_OK && index < finder->records_count; index++)
        rc = s_take_record (self, &finder->records [index]);
    for (size_t index = 0; rc == ZSPOOL_OK && index < finder->records_count; index++)
        if (finder->records [index].record.kind == 'L')
            s_take_lagged (self, &finder->records [index]);
        else if (finder->records [index].record.kind == 'D')
            s_take_deleted (self, &finder->records [index]);
    for (size_t index = 0; rc == ZSPOOL_OK && index < self->spools_count; index++)
        s_finish_spool (self, &self->spools [index]);
    const zspool_found_table_t *state = zspool_finder_table (finder, 0);
    self->records_lost = !state || state->damage;
    for (size_t index = 0; self->records_lost && index < self->spools_count; index++)
        self->spools [index].may_keep = true;
    return rc;
}

//  ------------------------------------------------------------------------------------------------
//  Blocks

//  Where a block that starts at this sequence belongs in the list
static size_t
s_place (const zspool_plan_spool_t *spool, uint64_t first)
{
    size_t low = 0, high = spool->blocks_count;
    if (high > 0 && spool->blocks [high - 1]->first < first)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (spool->blocks [middle]->first < first)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

//  Whether a block overlaps none, at the place where it belongs
static bool
s_is_free (const zspool_plan_spool_t *spool, const zspool_found_block_t *block, size_t at)
{
    return (at == 0 || s_last (spool->blocks [at - 1]) < block->first)
           && (at == spool->blocks_count || s_last (block) < spool->blocks [at]->first);
}

static bool
s_is_in_gap (const zspool_plan_spool_t *spool, const zspool_found_block_t *block)
{
    for (size_t index = 0; index < spool->gaps_count; index++)
        if (spool->gaps [index].last >= block->first && spool->gaps [index].first <= s_last (block))
            return true;
    return false;
}

//  Whether a block is one that every cursor had acknowledged, and need not be looked for: of a
//  spool that keeps such blocks those are missed that lie between others.
static bool
s_is_done (const zspool_plan_spool_t *spool, const zspool_found_block_t *block)
{
    bool is_history = spool->has_retention && spool->blocks_count > 0
                      && spool->blocks [0]->first < block->first;
    return s_last (block) <= spool->floor && !is_history;
}

//  Whether a block may be one that the spool lacks
static bool
s_fits (const zspool_plan_spool_t *spool, const zspool_found_block_t *block)
{
    size_t at = s_place (spool, block->first);
    if (spool->is_whole || s_is_done (spool, block) || s_is_in_gap (spool, block)
        || (spool->in_tree && s_last (block) > spool->record.last_sequence)
        || !s_is_free (spool, block, at))
        return false;
    return (at == 0 || spool->blocks [at - 1]->stored_us <= block->stored_us)
           && (at == spool->blocks_count || block->stored_us <= spool->blocks [at]->stored_us);
}

static int
s_insert (zspool_plan_spool_t *spool, const zspool_found_block_t *block)
{
    size_t at = s_place (spool, block->first);
    if (!s_grow (&spool->blocks, spool->blocks_count, sizeof *spool->blocks))
        return ZSPOOL_ENOMEM;
    memmove (&spool->blocks [at + 1], &spool->blocks [at], (spool->blocks_count - at) * sizeof *spool->blocks);
    spool->blocks [at] = block;
    spool->blocks_count++;
    return ZSPOOL_OK;
}

//  In order of time, which is that of sequences within each spool
static int
s_compare_blocks (const void *a, const void *b)
{
    const zspool_found_block_t *left = (const zspool_found_block_t *) a, *right = (const zspool_found_block_t *) b;
    if (left->found != right->found)
        return left->found < right->found? -1: 1;
    if (left->stored_us != right->stored_us)
        return left->stored_us < right->stored_us? -1: 1;
    if (left->first != right->first)
        return left->first < right->first? -1: 1;
    if (left->hash != right->hash)
        return left->hash < right->hash? -1: 1;
    return left->offset < right->offset? -1: left->offset > right->offset;
}

//  Whether a spool has this very block
static bool
s_has (const zspool_plan_spool_t *spool, const zspool_found_block_t *block)
{
    size_t at = s_place (spool, block->first);
    return at < spool->blocks_count && spool->blocks [at]->first == block->first
           && spool->blocks [at]->hash == block->hash;
}

//  Whether a block goes on where another ends, or the other way round
static bool
s_adjoins (const zspool_plan_spool_t *spool, const zspool_found_block_t *block)
{
    size_t at = s_place (spool, block->first);
    return (at > 0 && s_last (spool->blocks [at - 1]) + 1 == block->first)
           || (at < spool->blocks_count && spool->blocks [at]->first == s_last (block) + 1);
}

//  Whether it bears the number of this store, or that of a block that is surely its own
static bool
s_is_ours (const zspool_plan_t *self, const zspool_found_block_t *block)
{
    if (block->proven || !self->has_store_record || block->incarnation == self->store.incarnation)
        return true;
    for (size_t index = 0; index < self->spools_count; index++)
        if (self->spools [index].blocks_count
            && self->spools [index].blocks [0]->incarnation == block->incarnation)
            return true;
    return false;
}

//  A block fits several spools, or there is none that we know of: put it into one made for such.
static int
s_place_stray (zspool_plan_t *self, const zspool_found_block_t *block)
{
    zspool_plan_spool_t *best = NULL;
    for (size_t index = self->strays_from; index < self->spools_count; index++) {
        zspool_plan_spool_t *spool = &self->spools [index];
        const zspool_found_block_t *newest = spool->blocks [spool->blocks_count - 1];
        if (newest->first == block->first && newest->hash == block->hash)
            return ZSPOOL_OK;
        if (s_last (newest) < block->first && (!best || s_last (newest) + 1 == block->first))
            best = spool;
    }
    if (!best && self->spools_count - self->strays_from < ZSPOOL_PLAN_STRAYS_MAX) {
        best = s_need_spool (self, 0);
        if (!best)
            return ZSPOOL_ENOMEM;
        s_name (self, best);
    }
    if (best)
        return s_insert (best, block);
    self->unplaced += block->count;
    return ZSPOOL_OK;
}

//  Find a place for a block of which it is not known where it was.
static int
s_place_beside (zspool_plan_t *self, const zspool_found_block_t *block)
{
    zspool_plan_spool_t *fit = NULL, *neighbour = NULL;
    size_t fits = 0, adjoins = 0, known = 0;
    for (size_t index = 0; index < self->strays_from; index++) {
        zspool_plan_spool_t *spool = &self->spools [index];
        if (s_has (spool, block))
            return ZSPOOL_OK;
        known++;
        if (s_fits (spool, block)) {
            fit = spool;
            fits++;
            if (s_adjoins (spool, block)) {
                neighbour = spool;
                adjoins++;
            }
        }
    }
    if (!s_is_ours (self, block) || (fits == 0 && known > 0))
        return ZSPOOL_OK; //  let go by the store, or never its own
    //  A message may hold a block, of this store even: what lies anywhere must be just what is
    //  missing.
    if (!block->proven)
        return adjoins == 1? s_insert (neighbour, block): ZSPOOL_OK;
    return fits == 1? s_insert (fit, block): s_place_stray (self, block);
}

static int
s_place_blocks (zspool_plan_t *self)
{
    zspool_finder_t *finder = self->finder;
    int rc = ZSPOOL_OK;
    if (finder->blocks_count)
        qsort (finder->blocks, finder->blocks_count, sizeof *finder->blocks, s_compare_blocks);
    for (size_t index = 0; rc == ZSPOOL_OK && index < finder->blocks_count; index++) {
        const zspool_found_block_t *block = &finder->blocks [index];
        zspool_plan_spool_t *spool = block->spool? s_find_spool (self, block->spool): NULL;
        if (block->found == ZSPOOL_FOUND_BESIDE)
            rc = s_place_beside (self, block);
        else if (spool && (block->found == ZSPOOL_FOUND_IN_TREE? s_is_free (spool, block, s_place (spool, block->first)):
                                                                s_fits (spool, block)))
            rc = s_insert (spool, block);
    }
    return rc;
}

int
zspool_plan_make (zspool_plan_t *self, zspool_finder_t *finder)
{
    memset (self, 0, sizeof *self);
    self->finder = finder;
    int rc = s_take_records (self);
    self->strays_from = self->spools_count;
    return rc? rc: s_place_blocks (self);
}

void
zspool_plan_free (zspool_plan_t *self)
{
    for (size_t index = 0; index < self->spools_count; index++) {
        free (self->spools [index].cursors);
        free (self->spools [index].gaps);
        free (self->spools [index].blocks);
    }
    free (self->spools);
}
