//  salvage_named.c - saves what a store holds beside spools: producers, and tables of an application
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Of a producer the copy counts that says most: its epoch and number never fall. What a table of an
//  application holds has no checksums of ours: it is saved as the pages have it that can be read.

#include "salvage_named.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  Whether a record counts: what lies outside of the tree of records is of a time that is over when
//  nothing of that is missing.
static bool
s_counts (const zspool_keep_named_t *self, const zspool_found_record_t *found, char kind)
{
    const zspool_found_table_t *state = zspool_finder_table (self->finder, 0);
    bool is_over = state && state->damage == 0 && found->found != ZSPOOL_FOUND_IN_TREE;
    return found->record.kind == kind && !is_over;
}

//  ------------------------------------------------------------------------------------------------
//  Producers

//  By name; what says most comes last.
static int
s_compare (const void *a, const void *b)
{
    const zspool_producer_record_t *left = *(zspool_producer_record_t *const *) a;
    const zspool_producer_record_t *right = *(zspool_producer_record_t *const *) b;
    int order = strcmp (left->name, right->name);
    if (order)
        return order;
    if (left->epoch != right->epoch)
        return left->epoch < right->epoch? -1: 1;
    return left->last < right->last? -1: left->last > right->last;
}

static int
s_keep_producer (zspool_keep_named_t *self, const zspool_producer_record_t *record)
{
    uint32_t producer;
    int rc = zspool_store_producer (self->store, record->name, &producer, NULL, NULL);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_set_producer (self->store, producer, record->epoch, record->last);
    //  A name that none can have, or too many of them: what was found proves to be no producer.
    if (rc == ZSPOOL_EINVAL || rc == ZSPOOL_ELIMIT)
        return ZSPOOL_OK;
    self->producers += rc == ZSPOOL_OK;
    return rc? rc: self->turn_over (self->arg, sizeof *record);
}

//  Count the names that lead to no producer that was saved.
static int
s_count_lost (zspool_keep_named_t *self)
{
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < self->finder->records_count; index++) {
        const zspool_found_record_t *found = &self->finder->records [index];
        uint32_t producer;
        if (!s_counts (self, found, 'N'))
            continue;
        rc = zspool_state_find_producer (self->store->txn, self->store->state,
                                         found->record.as.named.name, &producer);
        self->producers_lost += rc == ZSPOOL_ENOENT;
        rc = rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
    }
    return rc;
}

static int
s_keep_producers (zspool_keep_named_t *self)
{
    const zspool_producer_record_t **records = (const zspool_producer_record_t **) calloc (
        self->finder->records_count + 1, sizeof *records);
    if (!records)
        return ZSPOOL_ENOMEM;
    size_t count = 0;
    int rc = ZSPOOL_OK;
    for (size_t index = 0; index < self->finder->records_count; index++)
        if (s_counts (self, &self->finder->records [index], 'P'))
            records [count++] = &self->finder->records [index].record.as.producer;
    qsort (records, count, sizeof *records, s_compare);
    for (size_t index = 0; rc == ZSPOOL_OK && index < count; index++)
        if (index + 1 == count || strcmp (records [index]->name, records [index + 1]->name) != 0)
            rc = s_keep_producer (self, records [index]);
    free (records);
    return rc? rc: s_count_lost (self);
}

//  ------------------------------------------------------------------------------------------------
//  Tables

//  A table being written
typedef struct {
    zspool_keep_named_t *keep;
    uint32_t table;
    uint64_t pairs;
    uint64_t damage;
} s_table_t;

static int
s_put_pair (s_table_t *self, const zspool_pair_t *pair, const uint8_t *value)
{
    zspool_frame_t key = { pair->key.data, pair->key.size };
    int rc = zspool_store_table_put (self->keep->store, self->table, key,
                                     (zspool_frame_t){ value, pair->size });
    self->pairs += rc == ZSPOOL_OK;
    return rc? rc: self->keep->turn_over (self->keep->arg, pair->key.size + pair->size);
}

static int
s_keep_pair (void *arg, const zspool_pair_t *pair)
{
    s_table_t *self = (s_table_t *) arg;
    if (pair->flags == ZSPOOL_PAIR_TABLE || pair->key.size == 0
        || pair->key.size > ZSPOOL_TABLE_KEY_MAX || pair->size > ZSPOOL_TABLE_VALUE_MAX) {
        self->damage++;
        return ZSPOOL_OK;
    }
    if (pair->value)
        return s_put_pair (self, pair, pair->value);
    uint8_t *copy = (uint8_t *) malloc (pair->size + 1);
    if (!copy)
        return ZSPOOL_ENOMEM;
    int rc = ZSPOOL_OK;
    if (zspool_page_file_read (&self->keep->finder->file, pair->offset, copy, pair->size))
        rc = s_put_pair (self, pair, copy);
    else
        self->damage++;
    free (copy);
    return rc;
}

//  The name of a table, by its number; a name is made for one whose own is lost.
static bool
s_find_name (const zspool_keep_named_t *self, uint32_t number, char name [ZSPOOL_NAME_MAX + 1])
{
    bool found = false;
    for (size_t index = 0; index < self->finder->records_count; index++) {
        const zspool_found_record_t *record = &self->finder->records [index];
        if (!s_counts (self, record, 'T') || record->record.as.named.number != number)
            continue;
        strcpy (name, record->record.as.named.name);
        found = true;
    }
    if (!found)
        snprintf (name, ZSPOOL_NAME_MAX + 1, "salvaged.%u", number);
    return found;
}

static int
s_keep_table (zspool_keep_named_t *self, const zspool_found_table_t *found)
{
    s_table_t table = { .keep = self, .damage = found->damage };
    char name [ZSPOOL_NAME_MAX + 1];
    bool named = s_find_name (self, found->spool, name);
    int rc = zspool_store_table (self->store, name, &table.table);
    if (rc == ZSPOOL_EINVAL || rc == ZSPOOL_ELIMIT) {
        self->tables_damaged++;
        return ZSPOOL_OK;
    }
    if (rc == ZSPOOL_OK && found->damage == 0)
        rc = zspool_finder_walk (self->finder, &found->tree, s_keep_pair, &table, &table.damage);
    if (rc)
        return rc;
    self->tables++;
    self->tables_damaged += !named || table.damage > 0 || table.pairs != found->tree.entries;
    return ZSPOOL_OK;
}

//  Whether the table with that number was found
static bool
s_is_found (const zspool_finder_t *finder, uint32_t number)
{
    for (size_t index = 0; index < finder->app_tables_count; index++)
        if (finder->app_tables [index].spool == number)
            return true;
    return false;
}

static int
s_keep_tables (zspool_keep_named_t *self)
{
    bool lost [ZSPOOL_TABLES_MAX + 1] = { false };
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < self->finder->app_tables_count; index++)
        rc = s_keep_table (self, &self->finder->app_tables [index]);
    for (size_t index = 0; index < self->finder->records_count; index++) {
        const zspool_found_record_t *found = &self->finder->records [index];
        uint32_t number = s_counts (self, found, 'T')? found->record.as.named.number: 0;
        if (number > 0 && number <= ZSPOOL_TABLES_MAX && !s_is_found (self->finder, number))
            lost [number] = true;
    }
    for (size_t number = 0; number <= ZSPOOL_TABLES_MAX; number++)
        self->tables_damaged += lost [number];
    return rc;
}

int
zspool_keep_named (zspool_keep_named_t *self)
{
    int rc = s_keep_producers (self);
    return rc? rc: s_keep_tables (self);
}
