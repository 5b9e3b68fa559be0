//  verify.c - reads everything in a store and checks it against itself
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Works on a store in use: each spool's counts are compared only when nothing was committed
//  meanwhile.

#include "store.h"
#include "store_blocks.h"

#include <stdio.h>
#include <string.h>

//  A view is let go after so many entries of a cursor: there may be many, and the disk slow
#define ENTRIES_IN_A_VIEW 256

typedef struct {
    zspool_store_t *store;
    zspool_verify_fn *report;
    bool (*go_on) (void *arg);   //  asked before each block; NULL: always
    void *arg;
    int findings;
    uint64_t blocks;   //  read in all
} s_verify_t;

static void
s_report (s_verify_t *self, const char *spool, uint64_t first, uint64_t last, const char *problem)
{
    self->findings++;
    if (self->report)
        self->report (self->arg, spool, first, last, problem);
}

//  What was met while reading the blocks of one spool
typedef struct {
    uint64_t messages;
    uint64_t bytes;
    uint64_t blocks;
    uint64_t last_sequence;
    int64_t stored_us;
    bool damaged;
} s_tally_t;

static void
s_check_block (s_verify_t *self, const zspool_spool_info_t *info, s_tally_t *tally,
               const zspool_block_t *block)
{
    uint64_t first = zspool_block_first_sequence (block);
    uint64_t last = zspool_block_last_sequence (block);
    if (first <= tally->last_sequence)
        s_report (self, info->name, first, last, "block overlaps the one before");
    if (zspool_block_stored_us (block) < tally->stored_us)
        s_report (self, info->name, first, last, "block is stamped earlier than the one before");
    tally->last_sequence = last;
    tally->stored_us = zspool_block_stored_us (block);
    tally->messages += zspool_block_count (block);
    tally->bytes += zspool_block_size (block);
    tally->blocks++;
}

//  Read all blocks of a spool, up to the last one that the spool's record knows.
static int
s_read_blocks (s_verify_t *self, const zspool_spool_info_t *info, s_tally_t *tally)
{
    zspool_reader_t *reader = zspool_reader_new (self->store, info->id);
    if (!reader)
        return ZSPOOL_ENOMEM;
    zspool_block_t *block = NULL;
    int rc = ZSPOOL_OK;
    while (rc == ZSPOOL_OK && tally->last_sequence < info->last_sequence) {
        if (self->go_on && !self->go_on (self->arg)) {
            rc = ZSPOOL_ECANCELED;
            break;
        }
        rc = zspool_reader_next (reader, &block);
        if (rc == ZSPOOL_OK) {
            s_check_block (self, info, tally, block);
            self->blocks++;
            zspool_block_destroy (&block);
        }
        else if (rc == ZSPOOL_ECORRUPT || rc == ZSPOOL_EVERSION) {
            uint64_t first, last;
            zspool_reader_damage (reader, &first, &last);
            s_report (self, info->name, first, last,
                      rc == ZSPOOL_EVERSION? "block is of a newer version": "block is damaged");
            tally->damaged = true;
            rc = ZSPOOL_OK;
        }
    }
    zspool_reader_destroy (&reader);
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}

static bool
s_same (const zspool_spool_info_t *a, const zspool_spool_info_t *b)
{
    return a->first_sequence == b->first_sequence && a->last_sequence == b->last_sequence
           && a->messages == b->messages && a->blocks == b->blocks;
}

static void
s_check_counts (s_verify_t *self, const zspool_spool_info_t *info, const s_tally_t *tally)
{
    char text [160];
    if (tally->messages != info->messages || tally->blocks != info->blocks
        || tally->bytes != info->bytes) {
        snprintf (text, sizeof text,
                  "record says %llu messages in %llu blocks of %llu bytes, found %llu in %llu of %llu",
                  (unsigned long long) info->messages, (unsigned long long) info->blocks,
                  (unsigned long long) info->bytes, (unsigned long long) tally->messages,
                  (unsigned long long) tally->blocks, (unsigned long long) tally->bytes);
        s_report (self, info->name, 0, 0, text);
    }
    if (tally->blocks > 0 && tally->last_sequence != info->last_sequence)
        s_report (self, info->name, tally->last_sequence + 1, info->last_sequence,
                  "the newest messages are missing");
    if (info->last_sequence > info->sequence_ceiling)
        s_report (self, info->name, 0, 0, "sequence ceiling is below the last sequence");
}

//  What is wrong with a cursor; NULL when nothing is. `now` is the spool as it was no earlier than
//  that.
static const char *
s_cursor_problem (const zspool_cursor_info_t *cursor, const zspool_spool_info_t *info,
                  const zspool_spool_info_t *now)
{
    if (cursor->floor > cursor->sent_to)
        return "acknowledges what it was not sent";
    if (cursor->sent_to > now->last_sequence)
        return "was sent what was never stored";
    if (info->blocks > 0 && cursor->floor + 1 < info->first_sequence && cursor->pending
        && info->messages < cursor->pending)
        return "waits for messages that are gone";
    return NULL;
}

//  Whether the block that an entry is of is there, with as many messages. A damaged one is reported
//  elsewhere.
static bool
s_has_block (zspool_iter_t *blocks, const zspool_cursor_entry_t *entry)
{
    uint64_t first;
    zspool_block_head_t head;
    int rc = zspool_blocks_seek (blocks, entry->first_sequence, &first, &head);
    if (zspool_blocks_unusable (rc))
        return true;
    return rc == ZSPOOL_OK && first == entry->first_sequence && head.count == entry->messages;
}

//  Look at some of what is stored of a cursor, from the block that starts at *from on, in one view;
//  *from becomes where to go on. ENOENT at the end.
static int
s_check_some_entries (s_verify_t *self, const zspool_spool_info_t *info,
                      const zspool_cursor_info_t *cursor, uint64_t *from)
{
    zspool_store_t *store = self->store;
    zspool_spool_state_t *spool = zspool_store_find_spool (store, info->id);
    zspool_walk_t walk = { .iter = NULL };
    zspool_iter_t *blocks = NULL;
    char text [ZSPOOL_NAME_MAX + 120];
    int rc = zspool_view_take (store->view);
    if (rc)
        return rc;
    rc = zspool_walk_entries_from (&walk, store->view, store->state, info->id, cursor->id, *from);
    if (rc == ZSPOOL_OK)
        rc = zspool_iter_open (store->view, spool->table, &blocks);
    int left = ENTRIES_IN_A_VIEW;
    while ((rc == ZSPOOL_OK && left-- > 0) || rc == ZSPOOL_ECORRUPT) {
        zspool_cursor_entry_t entry;
        rc = zspool_walk_next_entry (&walk, &entry);
        const char *problem = rc == ZSPOOL_ECORRUPT?
            "what it acknowledged in a block is damaged: it delivers that again": NULL;
        uint64_t first = 0, last = 0;
        if (rc == ZSPOOL_OK) {
            first = entry.first_sequence;
            last = first + entry.messages - 1;
            *from = first + 1;
            if (last > cursor->floor && !s_has_block (blocks, &entry))
                problem = "it acknowledged messages of a block that is not there";
        }
        if (problem) {
            snprintf (text, sizeof text, "cursor %s: %s", cursor->name, problem);
            s_report (self, info->name, first, last, text);
        }
    }
    zspool_iter_close (&blocks);
    zspool_walk_close (&walk);
    zspool_view_release (store->view);
    return rc;
}

static int
s_check_cursors (s_verify_t *self, size_t spool_index, const zspool_spool_info_t *info)
{
    zspool_cursor_info_t cursor;
    char text [ZSPOOL_NAME_MAX + 80];
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK; index++) {
        rc = zspool_store_cursor_info (self->store, info->id, index, &cursor);
        //  Ahead of what was read: more may have come meanwhile.
        zspool_spool_info_t now = *info;
        if (rc == ZSPOOL_OK && cursor.sent_to > info->last_sequence)
            rc = zspool_store_spool_info (self->store, spool_index, &now);
        if (rc)
            break;
        const char *problem = s_cursor_problem (&cursor, info, &now);
        if (problem) {
            snprintf (text, sizeof text, "cursor %s %s", cursor.name, problem);
            s_report (self, info->name, 0, 0, text);
        }
        uint64_t from = 0;
        while (rc == ZSPOOL_OK)
            rc = s_check_some_entries (self, info, &cursor, &from);
        rc = rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
    }
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}

//  What is wrong with a gap; NULL when nothing is.
static const char *
s_gap_problem (zspool_iter_t *blocks, const zspool_gap_t *gap, const zspool_gap_t *before)
{
    uint64_t first;
    zspool_block_head_t head;
    if (gap->first <= before->last)
        return "gap overlaps the one before";
    int rc = zspool_blocks_seek (blocks, gap->first, &first, &head);
    if (rc == ZSPOOL_OK && first <= gap->last)
        return "gap holds messages";
    return NULL;
}

//  Look at the gaps of a spool, at how long it keeps its messages, and at what its cursors lost at a
//  limit, in one view: all are few.
static int
s_check_gaps (s_verify_t *self, const zspool_spool_info_t *info)
{
    zspool_store_t *store = self->store;
    zspool_spool_state_t *spool = zspool_store_find_spool (store, info->id);
    int rc = zspool_view_take (store->view);
    if (rc)
        return rc;
    zspool_walk_t walk;
    zspool_iter_t *blocks = NULL;
    zspool_gap_t gap, before = { 0, 0, 0 };
    rc = zspool_walk_gaps (&walk, store->view, store->state, info->id);
    if (rc == ZSPOOL_OK)
        rc = zspool_iter_open (store->view, spool->table, &blocks);
    while (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT) {
        rc = zspool_walk_next_gap (&walk, &gap);
        if (rc == ZSPOOL_ECORRUPT)
            s_report (self, info->name, 0, 0, "the record of a gap is damaged");
        const char *problem = rc == ZSPOOL_OK? s_gap_problem (blocks, &gap, &before): NULL;
        if (problem)
            s_report (self, info->name, gap.first, gap.last, problem);
        if (rc == ZSPOOL_OK)
            before = gap;
    }
    zspool_iter_close (&blocks);
    zspool_walk_close (&walk);
    if (zspool_state_retention_is_damaged (store->view, store->state, info->id))
        s_report (self, info->name, 0, 0, "the record of how long it keeps messages is damaged: it keeps all");
    for (size_t index = 0; index < spool->cursors_count; index++)
        if (zspool_state_lagged_is_damaged (store->view, store->state, info->id, spool->cursors [index].id))
            s_report (self, info->name, 0, 0, "the record of what a cursor has lost at the limit is damaged");
    zspool_view_release (store->view);
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}

static int
s_verify_spool (s_verify_t *self, size_t index)
{
    zspool_spool_info_t before, after;
    int rc = zspool_store_spool_info (self->store, index, &before);
    if (rc)
        return rc;
    s_tally_t tally = { 0, 0, 0, 0, INT64_MIN, false };
    rc = s_read_blocks (self, &before, &tally);
    if (rc == ZSPOOL_OK)
        rc = s_check_cursors (self, index, &before);
    if (rc == ZSPOOL_OK)
        rc = s_check_gaps (self, &before);
    if (rc == ZSPOOL_OK)
        rc = zspool_store_spool_info (self->store, index, &after);
    if (rc == ZSPOOL_OK && !tally.damaged && s_same (&before, &after))
        s_check_counts (self, &before, &tally);
    return rc;
}

//  ------------------------------------------------------------------------------------------------
//  Producers, and tables of an application

//  What is wrong with a producer; NULL when nothing is.
static const char *
s_producer_problem (zspool_store_t *store, uint32_t id, const zspool_producer_record_t *record)
{
    uint32_t named = 0;
    int rc = zspool_state_find_producer (store->view, store->state, record->name, &named);
    if (rc == ZSPOOL_OK && named == id)
        return NULL;
    return rc == ZSPOOL_OK || rc == ZSPOOL_ENOENT || rc == ZSPOOL_ECORRUPT?
        "its name leads elsewhere: what it sends again would be stored again": NULL;
}

static void
s_report_named (s_verify_t *self, const char *what, const char *name, uint32_t id, const char *problem)
{
    char text [ZSPOOL_NAME_MAX + 160];
    if (*name)
        snprintf (text, sizeof text, "%s %s: %s", what, name, problem);
    else
        snprintf (text, sizeof text, "%s number %u: %s", what, id, problem);
    s_report (self, "", 0, 0, text);
}

//  Look at some producers, from the one behind *id on, in one view. ENOENT at the end.
static int
s_check_some_producers (s_verify_t *self, uint32_t *id)
{
    zspool_store_t *store = self->store;
    int rc = zspool_view_take (store->view);
    for (int left = ENTRIES_IN_A_VIEW; rc == ZSPOOL_OK && left > 0; left--) {
        zspool_producer_record_t record = { .name = "" };
        rc = zspool_state_next_producer (store->view, store->state, id, &record);
        const char *problem = rc == ZSPOOL_ECORRUPT? "its record is damaged: it cannot go on":
                              rc == ZSPOOL_OK?       s_producer_problem (store, *id, &record):
                                                     NULL;
        if (problem)
            s_report_named (self, "producer", rc? "": record.name, *id, problem);
        rc = rc == ZSPOOL_ECORRUPT? ZSPOOL_OK: rc;
    }
    zspool_view_release (store->view);
    return rc;
}

//  Look at some names of producers likewise: each must lead to one.
static int
s_check_some_names (s_verify_t *self, char name [ZSPOOL_NAME_MAX + 1])
{
    zspool_store_t *store = self->store;
    int rc = zspool_view_take (store->view);
    for (int left = ENTRIES_IN_A_VIEW; rc == ZSPOOL_OK && left > 0; left--) {
        uint32_t id = 0;
        zspool_producer_record_t record;
        rc = zspool_state_next_name (store->view, store->state, name, &id);
        if (rc == ZSPOOL_ECORRUPT)
            s_report_named (self, "producer", name, 0, "the record of its name is damaged");
        else if (rc == ZSPOOL_OK
                 && zspool_state_get_producer (store->view, store->state, id, &record) == ZSPOOL_ENOENT)
            s_report_named (self, "producer", name, 0, "there is a name, and no record");
        rc = rc == ZSPOOL_ECORRUPT? ZSPOOL_OK: rc;
    }
    zspool_view_release (store->view);
    return rc;
}

static int
s_check_producers (s_verify_t *self)
{
    uint32_t id = 0;
    char name [ZSPOOL_NAME_MAX + 1] = "";
    int rc = ZSPOOL_OK;
    while (rc == ZSPOOL_OK)
        rc = s_check_some_producers (self, &id);
    if (rc == ZSPOOL_ENOENT)
        rc = ZSPOOL_OK;
    while (rc == ZSPOOL_OK)
        rc = s_check_some_names (self, name);
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}

//  Make the lowest key behind one, in so many bytes: with a zero behind it or, where that would be too
//  long, the next of the same length. 0: there is none.
static size_t
s_next_key (uint8_t next [ZSPOOL_TABLE_KEY_MAX], const zspool_frame_t *key)
{
    size_t size = key->size;
    memcpy (next, key->data, size);
    if (size < ZSPOOL_TABLE_KEY_MAX) {
        next [size] = 0;
        return size + 1;
    }
    while (size > 0 && ++next [size - 1] == 0)
        size--;
    return size;
}

//  Read what an application's table holds: that its pages can be read is all that there is to check.
static int
s_read_table (s_verify_t *self, uint32_t id)
{
    zspool_frame_t from = { NULL, 0 }, value;
    uint8_t next [ZSPOOL_TABLE_KEY_MAX];
    int rc = ZSPOOL_OK;
    for (bool first = true; rc == ZSPOOL_OK && (first || from.size > 0); first = false) {
        if (self->go_on && !self->go_on (self->arg))
            return ZSPOOL_ECANCELED;
        zspool_frame_t key;
        rc = zspool_store_table_next (self->store, id, from, &key, &value);
        if (rc == ZSPOOL_OK)
            from = (zspool_frame_t){ next, s_next_key (next, &key) };
    }
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}

static int
s_check_tables (s_verify_t *self)
{
    zspool_table_info_t info = { .id = 0 };
    int rc = ZSPOOL_OK;
    while (rc == ZSPOOL_OK) {
        rc = zspool_store_table_info (self->store, info.id, &info);
        if (rc == ZSPOOL_OK)
            rc = s_read_table (self, info.id);
        else if (rc == ZSPOOL_ECORRUPT) {
            s_report_named (self, "table", info.name, info.id, "its name is damaged, or it is not there");
            rc = ZSPOOL_OK;
        }
    }
    return rc == ZSPOOL_ENOENT? ZSPOOL_OK: rc;
}

//  ------------------------------------------------------------------------------------------------
//  All of it

//  Look at the checksums of all small records, whatever their keys: a key that is damaged hides its
//  record from whoever looks for that.
static int
s_check_keys (s_verify_t *self)
{
    zspool_walk_t walk;
    int rc = zspool_view_take (self->store->view);
    if (rc)
        return rc;
    rc = zspool_walk_records (&walk, self->store->view, self->store->state);
    while (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT) {
        rc = zspool_walk_next_record (&walk);
        if (rc == ZSPOOL_ECORRUPT)
            s_report (self, "", 0, 0, "the key of a small record is damaged: what it says is lost");
    }
    zspool_walk_close (&walk);
    zspool_view_release (self->store->view);
    return rc;
}

int
zspool_store_verify_while (zspool_store_t *store, zspool_verify_fn *report, bool (*go_on) (void *arg),
                           void *arg, uint64_t *blocks)
{
    s_verify_t self = { store, report, go_on, arg, 0, 0 };
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK; index++) {
        rc = s_verify_spool (&self, index);
        if (rc == ZSPOOL_ECORRUPT) {
            s_report (&self, "", 0, 0, "a record of a spool or cursor is damaged");
            rc = ZSPOOL_OK;
        }
    }
    if (rc == ZSPOOL_ENOENT)
        rc = s_check_producers (&self);
    if (rc == ZSPOOL_OK)
        rc = s_check_tables (&self);
    if (rc)
        return rc;
    //  Records that are damaged and were found by their keys are told already.
    if (self.findings == 0)
        rc = s_check_keys (&self);
    if (blocks)
        *blocks = self.blocks;
    return rc == ZSPOOL_OK || rc == ZSPOOL_ENOENT? self.findings: rc;
}

int
zspool_store_verify (zspool_store_t *store, zspool_verify_fn *report, void *arg, uint64_t *blocks)
{
    return zspool_store_verify_while (store, report, NULL, arg, blocks);
}
