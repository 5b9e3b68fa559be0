//  intake_loads.c - what an intake fills for the writer: blocks, in batches
//
//  SPDX-License-Identifier: MPL-2.0

#include "intake_parts.h"
#include "commit.h"
#include "handoff.h"

#include <czmq.h>
#include <stdlib.h>

//  So much being filled is handed over though the writer is busy
#define FULL_BYTES (1024 * 1024)
//  Smallest block of a transaction
#define TXN_BLOCK_BYTES (64 * 1024)

zspool_load_t *
zspool_load_new (void)
{
    zspool_load_t *load = (zspool_load_t *) calloc (1, sizeof *load);
    if (load)
        load->batch = zspool_batch_new ();
    if (load && !load->batch) {
        free (load);
        load = NULL;
    }
    return load;
}

void
zspool_intake_destroy_load (zspool_intake_t *self, zspool_load_t **load_p)
{
    zspool_load_t *load = *load_p;
    for (size_t index = 0; load && index < load->reaches_count; index++)
        zspool_intake_unref_line (self, load->reaches [index].line);
    for (size_t index = 0; load && index < load->groups_count; index++)
        zspool_group_destroy (&load->groups [index]);
    if (load) {
        zspool_batch_destroy (&load->batch);
        free (load->txns);
    }
    free (load);
    *load_p = NULL;
}

void
zspool_intake_destroy_loads (zspool_intake_t *self, zspool_load_t *load)
{
    while (load) {
        zspool_load_t *next = load->next;
        zspool_intake_destroy_load (self, &load);
        load = next;
    }
}

bool
zspool_load_has_spool (const zspool_load_t *load, uint32_t spool)
{
    for (size_t index = 0; index < load->batch->blocks_count; index++)
        if (load->batch->blocks [index].spool == spool)
            return true;
    return false;
}

//  ------------------------------------------------------------------------------------------------
//  Lines

//  Add a line to a load. EFULL.
int
zspool_load_add_reach (zspool_load_t *load, zspool_line_t *line, uint64_t last)
{
    if (load->reaches_count == ZSPOOL_BATCH_MARKS_MAX)
        return ZSPOOL_EFULL;
    load->reaches [load->reaches_count++] = (zspool_reach_t){ line, last };
    line->refs++;
    return ZSPOOL_OK;
}

//  The same for a plain load, where a line is once.
int
zspool_load_note_reach (zspool_load_t *load, zspool_line_t *line, uint64_t last)
{
    if (line->load == load) {
        load->reaches [line->place].last = last;
        return ZSPOOL_OK;
    }
    int rc = zspool_load_add_reach (load, line, last);
    if (rc == ZSPOOL_OK) {
        line->load = load;
        line->place = load->reaches_count - 1;
    }
    return rc;
}

//  The load is not filled any more.
void
zspool_load_leave_lines (zspool_load_t *load)
{
    for (size_t index = 0; index < load->reaches_count; index++)
        if (load->reaches [index].line->load == load)
            load->reaches [index].line->load = NULL;
}

//  ------------------------------------------------------------------------------------------------
//  Filling

//  Put all of one load into another. There is room.
static void
s_merge (zspool_intake_t *self, zspool_load_t *into, zspool_load_t **from_p)
{
    zspool_load_t *from = *from_p;
    *from_p = from->next;
    for (size_t index = 0; index < from->batch->blocks_count; index++)
        into->batch->blocks [into->batch->blocks_count++] = from->batch->blocks [index];
    from->batch->blocks_count = 0;
    zspool_load_leave_lines (from);
    for (size_t index = 0; index < from->reaches_count; index++)
        zspool_load_note_reach (into, from->reaches [index].line, from->reaches [index].last);
    into->bytes += from->bytes;
    into->messages += from->messages;
    zspool_intake_destroy_load (self, &from);
}

//  The plain load that takes what a line puts into a spool: loads that have the one or the other
//  become one. NULL: there is no room for now.
zspool_load_t *
zspool_intake_load_for (zspool_intake_t *self, const zspool_line_t *line, uint32_t spool)
{
    zspool_load_t *found = NULL;
    for (zspool_load_t **at = &self->filling; *at;) {
        zspool_load_t *load = *at;
        if (!zspool_load_has_spool (load, spool) && line->load != load) {
            at = &load->next;
            continue;
        }
        if (found
            && found->batch->blocks_count + load->batch->blocks_count < ZSPOOL_BATCH_BLOCKS_MAX
            && found->reaches_count + load->reaches_count < ZSPOOL_BATCH_MARKS_MAX) {
            s_merge (self, found, at);
            continue;
        }
        if (found)
            return NULL;
        found = load;
        at = &load->next;
    }
    if (found)
        return found->bytes < self->args.load_bytes_max? found: NULL;
    zspool_load_t *load = zspool_load_new ();
    if (!load)
        return NULL;
    zspool_load_t **end = &self->filling;
    while (*end)
        end = &(*end)->next;
    *end = load;
    return load;
}

//  The block of a load that is being filled for a spool, or NULL
zspool_block_t *
zspool_load_open_block (const zspool_load_t *load, uint32_t spool)
{
    for (size_t index = load->batch->blocks_count; index > 0; index--)
        if (load->batch->blocks [index - 1].spool == spool) {
            zspool_block_t *block = load->batch->blocks [index - 1].block;
            return zspool_block_bytes (block)? NULL: block;
        }
    return NULL;
}

//  Begin a block for a spool, for at least so many bytes. NULL: there is no room.
zspool_block_t *
zspool_intake_begin_block (zspool_intake_t *self, zspool_load_t *load, uint32_t spool, size_t bytes,
                           bool pooled)
{
    if (load->batch->blocks_count == ZSPOOL_BATCH_BLOCKS_MAX)
        return NULL;
    zspool_block_t *block =
        pooled? zspool_block_pool_take (self->pool, bytes):
                zspool_block_new (bytes > TXN_BLOCK_BYTES? bytes: TXN_BLOCK_BYTES);
    if (!block)
        return NULL;
    if (pooled)
        zspool_block_set_indexed (block, self->args.indexed);
    load->batch->blocks [load->batch->blocks_count++] = (zspool_batch_block_t){ block, spool };
    return block;
}

//  ------------------------------------------------------------------------------------------------
//  Handing over

//  Write the marks of a load into its batch, and seal its blocks.
static void
s_seal (zspool_load_t *load)
{
    zspool_batch_t *batch = load->batch;
    for (size_t index = 0; index < batch->blocks_count; index++)
        zspool_block_seal (batch->blocks [index].block); //  one that was full is sealed already
    for (size_t index = 0; index < load->reaches_count; index++) {
        const zspool_reach_t *reach = &load->reaches [index];
        batch->marks [batch->marks_count++] = (zspool_mark_t){ reach->line->producer, reach->last };
    }
    batch->handed_us = zclock_usecs ();
}

static void
s_put_under_way (zspool_intake_t *self, zspool_load_t *load)
{
    zspool_load_leave_lines (load);
    load->next = self->under_way;
    load->handed_ms = self->handed_ms = *self->args.now_ms;
    self->under_way = load;
    self->under_way_count++;
    self->under_way_bytes += load->bytes;
    self->filling_bytes -= load->bytes;
}

static void
s_hand_over (zspool_intake_t *self, zspool_load_t *load)
{
    s_seal (load);
    s_put_under_way (self, load);
    //  The context is shutting down when this fails: nothing comes of it any more.
    zspool_handoff_send (self->args.writer, HANDOFF_BATCH, load->batch, 0);
}

//  Hand over the plain load before this place. It is taken out.
static void
s_hand_over_at (zspool_intake_t *self, zspool_load_t **at)
{
    zspool_load_t *load = *at;
    *at = load->next;
    s_hand_over (self, load);
}

//  Hand over the transactions before this place, behind the plain loads that have earlier numbers
//  of their producers.
static void
s_hand_over_txns (zspool_intake_t *self, zspool_load_t **at_p)
{
    zspool_load_t *load = *at_p;
    *at_p = load->next;
    for (size_t index = 0; index < load->reaches_count; index++) {
        zspool_load_t **at = &self->filling;
        while (*at && *at != load->reaches [index].line->load)
            at = &(*at)->next;
        if (*at)
            s_hand_over_at (self, at);
    }
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < load->groups_count; index++) {
        zspool_batch_t *batch = load->batch;
        rc = zspool_group_take_claimed (load->groups [index],
                                        &batch->changes [batch->changes_count]);
        batch->changes_count += rc == ZSPOOL_OK;
    }
    if (rc == ZSPOOL_OK) {
        s_hand_over (self, load);
        return;
    }
    //  Refuse all.
    s_put_under_way (self, load);
    zspool_intake_ended (self, load->batch, rc, *self->args.now_ms);
}

static bool
s_may_hand_over (const zspool_intake_t *self)
{
    return self->under_way_count < ZSPOOL_INTAKE_BATCHES_MAX
           && self->under_way_bytes < ZSPOOL_INTAKE_BYTES_MAX / 2;
}

//  Whether the writer has nothing to do, or is to have all there is.
static bool
s_is_idle (const zspool_intake_t *self, bool all)
{
    return self->under_way_count == 0 || (all && self->under_way_count < ZSPOOL_INTAKE_BATCHES_MAX);
}

//  Whether two loads share a spool or, as far as that is cheap to tell, a producer
static bool
s_are_tied (const zspool_load_t *one, const zspool_load_t *other)
{
    for (size_t index = 0; index < one->batch->blocks_count; index++)
        if (zspool_load_has_spool (other, one->batch->blocks [index].spool))
            return true;
    return false;
}

//  Whether a load would only wait behind one that waits for room already
static bool
s_is_stuck (const zspool_intake_t *self, const zspool_load_t *load, int64_t now_ms)
{
    for (const zspool_load_t *at = self->under_way; at; at = at->next)
        if (now_ms - at->handed_ms > ZSPOOL_INTAKE_STUCK_MS && s_are_tied (at, load))
            return true;
    return false;
}

//  Hand over what is worth it. When nothing was handed over for a while, though something is under
//  way, that waits for room: what does not share its spools goes.
void
zspool_intake_hand_over_due (zspool_intake_t *self, bool all, int64_t now_ms)
{
    bool late = now_ms - self->handed_ms >= ZSPOOL_INTAKE_STUCK_MS;
    for (zspool_load_t **at = &self->filling; *at;) {
        bool due = s_is_idle (self, all)
                   || (s_may_hand_over (self) && ((*at)->bytes >= FULL_BYTES || late));
        if (due && (all || !s_is_stuck (self, *at, now_ms)))
            s_hand_over_at (self, at);
        else
            at = &(*at)->next;
    }
    for (zspool_load_t **at = &self->txns; *at;) {
        zspool_load_t *load = *at;
        if (load->txns_count == 0) {
            //  The one that it was begun for was refused.
            *at = load->next;
            zspool_intake_destroy_load (self, &load);
        }
        else if (s_is_idle (self, all)
                 || (s_may_hand_over (self) && (load->bytes >= FULL_BYTES || late)))
            s_hand_over_txns (self, at);
        else
            at = &load->next;
    }
}
