//  store_tables.c - tables of an application, in the same transactions as its messages
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Each is a table of the engine's of its own. Those that were asked for are kept in memory; opening
//  loads none. What is got is copied: memory of the engine does not outlive its transaction.
//
//  Thread: the owner's.

#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static zspool_table_state_t *
s_find (const zspool_store_t *self, uint32_t id)
{
    for (size_t index = 0; index < self->tables_count; index++)
        if (self->tables [index].id == id)
            return &self->tables [index];
    return NULL;
}

static zspool_table_state_t *
s_find_named (const zspool_store_t *self, const char *name)
{
    for (size_t index = 0; index < self->tables_count; index++)
        if (strcmp (self->tables [index].name, name) == 0)
            return &self->tables [index];
    return NULL;
}

//  Find a table's number by its name: *id is the next free one when there is none.
static int
s_look_up (zspool_store_t *self, zspool_txn_t *txn, const char *name, uint32_t *id)
{
    char found [ZSPOOL_NAME_MAX + 1];
    int rc = ZSPOOL_OK;
    for (*id = 1; rc == ZSPOOL_OK; ++*id) {
        rc = zspool_state_get_table (txn, self->state, *id, found);
        if (rc == ZSPOOL_OK && strcmp (found, name) == 0)
            return ZSPOOL_OK;
        if (rc == ZSPOOL_ECORRUPT)
            rc = ZSPOOL_OK; //  that one has lost its name
    }
    --*id;
    return rc;
}

//  Open a table of the engine's.
static int
s_open (zspool_store_t *self, zspool_table_state_t *table)
{
    char name [32];
    snprintf (name, sizeof name, "table.%u", table->id);
    return zspool_engine_table (self->engine, name, &table->table);
}

//  Have the table in memory, and open.
static int
s_add (zspool_store_t *self, const char *name, uint32_t id, bool created)
{
    zspool_table_state_t *tables =
        (zspool_table_state_t *) realloc (self->tables, (self->tables_count + 1) * sizeof *tables);
    if (!tables)
        return ZSPOOL_ENOMEM;
    self->tables = tables;
    zspool_table_state_t *table = &tables [self->tables_count];
    memset (table, 0, sizeof *table);
    table->id = id;
    int rc = s_open (self, table);
    if (rc)
        return rc;
    table->created = created;
    table->found_in_txn = zspool_store_is_in_txn (self);
    strcpy (table->name, name);
    self->tables_count++;
    return ZSPOOL_OK;
}

//  Create a table that is not there.
static int
s_create (zspool_store_t *self, const char *name, uint32_t id)
{
    if (id > ZSPOOL_TABLES_MAX)
        return ZSPOOL_ELIMIT;
    zspool_store_need_format (self, ZSPOOL_FORMAT_SERVICE);
    return zspool_state_put_table (self->txn, self->state, id, name);
}

int
zspool_store_table (zspool_store_t *self, const char *name, uint32_t *table)
{
    if (!self->engine || !zspool_store_name_is_valid (name))
        return zspool_store_fail (self, ZSPOOL_EINVAL, "not a name for a table: %s",
                                  name? name: "");
    const zspool_table_state_t *known = s_find_named (self, name);
    if (known) {
        *table = known->id;
        return ZSPOOL_OK;
    }
    uint32_t id;
    bool in_txn = zspool_store_is_in_txn (self);
    int rc = in_txn? ZSPOOL_OK: zspool_view_take (self->view);
    if (rc == ZSPOOL_OK)
        rc = s_look_up (self, in_txn? self->txn: self->view, name, &id);
    if (!in_txn)
        zspool_view_release (self->view);
    bool created = rc == ZSPOOL_ENOENT && in_txn;
    if (rc == ZSPOOL_ENOENT && !in_txn)
        return zspool_store_fail (self, rc, "%s: no table %s", self->directory, name);
    if (created)
        rc = s_create (self, name, id);
    if (rc == ZSPOOL_OK)
        rc = s_add (self, name, id, created);
    if (rc)
        return zspool_store_fail_code (self, rc);
    *table = id;
    return ZSPOOL_OK;
}

//  The table in which a transaction may put and delete this key; NULL: it may not.
static zspool_table_state_t *
s_writable (zspool_store_t *self, uint32_t table, zspool_frame_t key)
{
    bool valid = zspool_store_is_in_txn (self) && key.size > 0 && key.size <= ZSPOOL_TABLE_KEY_MAX;
    zspool_table_state_t *found = valid? s_find (self, table): NULL;
    if (!found)
        zspool_store_fail (self, ZSPOOL_EINVAL, "%s: cannot write this to a table",
                           self->directory);
    return found;
}

static zspool_bytes_t
s_bytes (zspool_frame_t frame)
{
    return (zspool_bytes_t){ (const uint8_t *) frame.data, frame.size };
}

int
zspool_store_table_put (zspool_store_t *self, uint32_t table, zspool_frame_t key,
                        zspool_frame_t value)
{
    zspool_table_state_t *found = s_writable (self, table, key);
    if (!found || value.size > ZSPOOL_TABLE_VALUE_MAX)
        return ZSPOOL_EINVAL;
    //  What it takes of the file: the value's pages, and some of the tree's.
    uint64_t room = (value.size / ZSPOOL_PAGE_BYTES + 4) * ZSPOOL_PAGE_BYTES;
    int rc = self->spools_count > 0? zspool_store_make_room (self, &self->spools [0], room):
                                     zspool_engine_reserve (self->engine, self->txn_bytes + room);
    if (rc == ZSPOOL_OK)
        rc = zspool_txn_put (self->txn, found->table, s_bytes (key), s_bytes (value));
    return rc? zspool_store_fail_code (self, rc): ZSPOOL_OK;
}

int
zspool_store_table_delete (zspool_store_t *self, uint32_t table, zspool_frame_t key)
{
    zspool_table_state_t *found = s_writable (self, table, key);
    if (!found)
        return ZSPOOL_EINVAL;
    int rc = zspool_txn_delete (self->txn, found->table, s_bytes (key));
    return rc? zspool_store_fail_code (self, rc): ZSPOOL_OK;
}

//  Copy a pair, and give it as the caller wants it.
static int
s_copy (zspool_store_t *self, zspool_bytes_t key, zspool_bytes_t value, zspool_frame_t *key_to,
        zspool_frame_t *value_to)
{
    size_t size = key.size + value.size;
    if (size > self->table_bytes_max) {
        uint8_t *bytes = (uint8_t *) realloc (self->table_bytes, size);
        if (!bytes)
            return ZSPOOL_ENOMEM;
        self->table_bytes = bytes;
        self->table_bytes_max = size;
    }
    if (key.size > 0)
        memcpy (self->table_bytes, key.data, key.size);
    if (value.size > 0)
        memcpy (self->table_bytes + key.size, value.data, value.size);
    if (key_to)
        *key_to = (zspool_frame_t){ self->table_bytes, key.size };
    *value_to = (zspool_frame_t){ self->table_bytes + key.size, value.size };
    return ZSPOOL_OK;
}

//  Find the pair with the first key at or behind one.
static int
s_next (zspool_txn_t *txn, zspool_table_t table, zspool_bytes_t from, zspool_bytes_t *key,
        zspool_bytes_t *value, zspool_iter_t **iter_p)
{
    int rc = zspool_iter_open (txn, table, iter_p);
    if (rc)
        return rc;
    return from.size > 0? zspool_iter_seek (*iter_p, from, key, value):
                          zspool_iter_next (*iter_p, key, value);
}

int
zspool_store_table_next (zspool_store_t *self, uint32_t table, zspool_frame_t from,
                         zspool_frame_t *key, zspool_frame_t *value)
{
    const zspool_table_state_t *found = s_find (self, table);
    if (!self->engine || !found || from.size > ZSPOOL_TABLE_KEY_MAX)
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: cannot read this from a table",
                                  self->directory);
    bool in_txn = zspool_store_is_in_txn (self);
    zspool_iter_t *iter = NULL;
    zspool_bytes_t found_key, found_value;
    int rc = in_txn? ZSPOOL_OK: zspool_view_take (self->view);
    if (rc == ZSPOOL_OK)
        rc = s_next (in_txn? self->txn: self->view, found->table, s_bytes (from), &found_key,
                     &found_value, &iter);
    if (rc == ZSPOOL_OK)
        rc = s_copy (self, found_key, found_value, key, value);
    zspool_iter_close (&iter);
    if (!in_txn)
        zspool_view_release (self->view);
    return rc? zspool_store_fail_code (self, rc): ZSPOOL_OK;
}

int
zspool_store_table_get (zspool_store_t *self, uint32_t table, zspool_frame_t key,
                        zspool_frame_t *value)
{
    const zspool_table_state_t *found = s_find (self, table);
    if (!self->engine || !found || key.size == 0 || key.size > ZSPOOL_TABLE_KEY_MAX)
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: cannot read this from a table",
                                  self->directory);
    bool in_txn = zspool_store_is_in_txn (self);
    zspool_bytes_t found_value, none = { NULL, 0 };
    int rc = in_txn? ZSPOOL_OK: zspool_view_take (self->view);
    if (rc == ZSPOOL_OK)
        rc = zspool_txn_get (in_txn? self->txn: self->view, found->table, s_bytes (key),
                             &found_value);
    if (rc == ZSPOOL_OK)
        rc = s_copy (self, none, found_value, NULL, value);
    if (!in_txn)
        zspool_view_release (self->view);
    return rc? zspool_store_fail_code (self, rc): ZSPOOL_OK;
}

//  Look at a table in a view: its name, and how many pairs it has. It may have been created since
//  the store was opened.
static int
s_read_info (zspool_store_t *self, uint32_t *id, char name [ZSPOOL_NAME_MAX + 1], uint64_t *entries)
{
    int rc = zspool_view_take (self->view);
    if (rc == ZSPOOL_OK)
        rc = zspool_state_next_table (self->view, self->state, id, name);
    zspool_view_release (self->view);
    if (rc == ZSPOOL_OK && !s_find (self, *id))
        rc = s_add (self, name, *id, false);
    if (rc)
        return rc;
    rc = zspool_view_take (self->view);
    if (rc == ZSPOOL_OK)
        rc = zspool_txn_entries (self->view, s_find (self, *id)->table, entries);
    zspool_view_release (self->view);
    return rc;
}

int
zspool_store_table_info (zspool_store_t *self, uint32_t after, zspool_table_info_t *info)
{
    if (!self->engine || self->in_txn)
        return zspool_store_fail (self, ZSPOOL_EINVAL, "%s: cannot list here", self->directory);
    char name [ZSPOOL_NAME_MAX + 1];
    uint64_t entries;
    uint32_t id = after;
    int rc = s_read_info (self, &id, name, &entries);
    //  A table that is not there, though it has a name
    if (rc == ZSPOOL_ENOENT && id != after)
        rc = ZSPOOL_ECORRUPT;
    if (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT) {
        memset (info, 0, sizeof *info);
        info->id = id;
    }
    if (rc)
        return rc == ZSPOOL_ENOENT? rc: zspool_store_fail_code (self, rc);
    strcpy (info->name, name);
    info->entries = entries;
    return ZSPOOL_OK;
}

void
zspool_store_end_tables (zspool_store_t *self, bool committed)
{
    size_t left = 0;
    for (size_t index = 0; index < self->tables_count; index++) {
        zspool_table_state_t *table = &self->tables [index];
        if (!committed && (table->created || (table->found_in_txn && s_open (self, table))))
            continue;
        table->created = table->found_in_txn = false;
        self->tables [left++] = *table;
    }
    self->tables_count = left;
}

void
zspool_store_free_tables (zspool_store_t *self)
{
    free (self->tables);
    free (self->table_bytes);
    self->tables = NULL;
    self->table_bytes = NULL;
    self->tables_count = self->table_bytes_max = 0;
}
