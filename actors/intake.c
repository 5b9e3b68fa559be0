//  intake.c - takes in what a service's producers put, packs it into blocks, and has the writer
//  store it in batches
//
//  SPDX-License-Identifier: MPL-2.0
//
//  What is being filled: plain loads, each for one spool, or more when one producer has put into
//  several; and loads of transactions that put into the same spools, each of which the writer
//  stores or refuses as a whole. A load is handed over as a batch. There is no timer: whatever has
//  come while a batch was being committed makes the next one.

#include "intake_parts.h"
#include "run.h"

#include <czmq.h>
#include <stdlib.h>

//  Most bytes that are filled for a spool while what was handed over before waits for room
#define LOAD_BYTES_MAX (4 * 1024 * 1024)

zspool_intake_t *
zspool_intake_new (const zspool_intake_args_t *args)
{
    zspool_intake_t *self = (zspool_intake_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->args = *args;
    if (self->args.load_bytes_max > LOAD_BYTES_MAX)
        self->args.load_bytes_max = LOAD_BYTES_MAX;
    self->pool = zspool_block_pool_new (ZSPOOL_INTAKE_POOL_BLOCKS, ZSPOOL_BLOCK_BYTES);
    if (!self->pool) {
        free (self);
        return NULL;
    }
    return self;
}

void
zspool_intake_destroy (zspool_intake_t **self_p)
{
    zspool_intake_t *self = *self_p;
    if (!self)
        return;
    zspool_intake_destroy_loads (self, self->filling);
    zspool_intake_destroy_loads (self, self->txns);
    //  Their batches are the writer's.
    for (zspool_load_t *load = self->under_way; load; load = load->next)
        load->batch = NULL;
    zspool_intake_destroy_loads (self, self->under_way);
    while (self->lines) {
        zspool_line_t *line = self->lines;
        self->lines = line->next;
        free (line);
    }
    zspool_block_pool_destroy (&self->pool);
    free (self);
    *self_p = NULL;
}

//  ------------------------------------------------------------------------------------------------
//  Puts

//  A block that was begun, and found no message, must not stay.
static void
s_drop_empty (zspool_load_t *load)
{
    zspool_batch_t *batch = load->batch;
    if (batch->blocks_count > 0
        && zspool_block_count (batch->blocks [batch->blocks_count - 1].block) == 0)
        zspool_block_destroy (&batch->blocks [--batch->blocks_count].block);
}

//  Append the last `count` messages of a run, from number `from` on. Returns how many found room.
static uint32_t
s_append (zspool_intake_t *self, zspool_load_t *load, uint32_t spool, const void *records,
          size_t size, uint32_t from, uint32_t count)
{
    uint32_t appended = 0;
    bool fresh = false, large = false;
    int64_t now_us = zspool_now_us ();
    zspool_block_t *block = zspool_load_open_block (load, spool);
    while (appended < count) {
        uint32_t more = block? zspool_block_append_run (block, records, size, from + appended,
                                                         count - appended, now_us):
                               0;
        appended += more;
        if (appended == count)
            break;
        bool useless = fresh && more == 0;
        if (useless)
            s_drop_empty (load);
        else if (block)
            zspool_block_seal (block);
        if (useless && large)
            break;
        //  A usual block has room for any message of a run of many, but with what its index takes.
        large = count == 1 || useless;
        size_t bytes = large? size + (self->args.indexed? 2048: 0): 1;
        fresh = true;
        block = zspool_intake_begin_block (
            self, load, spool, bytes > ZSPOOL_BLOCK_BYTES? bytes: ZSPOOL_BLOCK_BYTES, true);
        if (!block)
            break;
    }
    return appended;
}

//  Take `count` messages of a run, from number `from` on, whose first is the line's next.
static void
s_take (zspool_intake_t *self, zspool_line_t *line, uint32_t spool, const void *records,
        size_t size, uint32_t from, uint32_t count)
{
    bool room = self->under_way_bytes + self->filling_bytes < ZSPOOL_INTAKE_BYTES_MAX;
    zspool_load_t *load = room? zspool_intake_load_for (self, line, spool): NULL;
    if (load && zspool_load_note_reach (load, line, line->taken))
        load = NULL;
    uint32_t taken = load? s_append (self, load, spool, records, size, from, count): 0;
    if (load) {
        s_drop_empty (load);
        line->taken += taken;
        zspool_load_note_reach (load, line, line->taken);
        size_t bytes = (size_t) ((uint64_t) size * taken / (from + count));
        load->bytes += bytes;
        self->filling_bytes += bytes;
        load->messages += taken;
        self->info.messages += taken;
        self->info.bytes += bytes;
    }
    line->held_for = spool;
    if (taken < count)
        zspool_intake_hold (self, line);
    else if (line->held) {
        //  It has gone on before it was told to, or is told now to wait for what is there.
        line->held = false;
        zspool_intake_confirm (self, line, true);
    }
    //  What holds nothing must not be handed over.
    if (load && load->batch->blocks_count == 0) {
        zspool_load_t **at = &self->filling;
        while (*at != load)
            at = &(*at)->next;
        *at = load->next;
        zspool_load_leave_lines (load);
        zspool_intake_destroy_load (self, &load);
    }
}

int
zspool_intake_put (zspool_intake_t *self, zspool_session_t *session, const zsp_t *command,
                   const void *records, size_t size)
{
    zspool_line_t *line = session->line;
    uint64_t number = command->as.put.number;
    uint32_t count = command->as.put.count;
    if (!line || line->committing)
        return ZSPOOL_EPROTOCOL;
    if (!zspool_session_has_spool (session, command->as.put.spool))
        return ZSPOOL_ENOENT;
    if (count > 1 && size > ZSP_RUN_BYTES)
        return ZSPOOL_ETOOBIG;
    int rc = zspool_run_check (records, size, count, self->args.message_frames_max,
                               self->args.message_bytes_max, false);
    if (rc)
        return rc == ZSPOOL_ETOOBIG? rc: ZSPOOL_EPROTOCOL;
    if (number > line->taken + 1) {
        zspool_intake_hold (self, line);
        return ZSPOOL_OK;
    }
    uint64_t known = line->taken + 1 - number;
    self->info.duplicates += known < count? known: count;
    bool cached = command->as.put.level == ZSP_LEVEL_CACHED
                  || (command->as.put.level == ZSP_LEVEL_DEFAULT && self->args.async);
    if (known < count)
        s_take (self, line, command->as.put.spool, records, size, (uint32_t) known,
                count - (uint32_t) known);
    if (cached) {
        line->wants_cached = true;
        zspool_intake_touch (self, line);
    }
    return ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Results, and turns

void
zspool_intake_ended (zspool_intake_t *self, zspool_batch_t *batch, int rc, int64_t now_ms)
{
    zspool_load_t **at = &self->under_way;
    while ((*at)->batch != batch)
        at = &(*at)->next;
    zspool_load_t *load = *at;
    *at = load->next;
    self->under_way_count--;
    self->under_way_bytes -= load->bytes;
    for (size_t index = 0; index < load->groups_count; index++)
        zspool_group_end_claimed (load->groups [index], rc, now_ms);
    for (size_t index = 0; rc == ZSPOOL_OK && index < load->reaches_count; index++) {
        zspool_reach_t *reach = &load->reaches [index];
        if (reach->line->stored < reach->last)
            reach->line->stored = reach->last;
        zspool_intake_confirm (self, reach->line, false);
    }
    zspool_intake_end_txns (self, load, rc);
    zspool_intake_destroy_load (self, &load);
    *self->args.room = true;
}

int64_t
zspool_intake_turn (zspool_intake_t *self, bool all, int64_t now_ms)
{
    zspool_intake_tell_touched (self);
    zspool_intake_hand_over_due (self, all, now_ms);
    int64_t due_ms = zspool_intake_resume (self, now_ms);
    if ((self->filling || self->txns) && self->handed_ms + ZSPOOL_INTAKE_STUCK_MS < due_ms)
        due_ms = self->handed_ms + ZSPOOL_INTAKE_STUCK_MS > now_ms?
                      self->handed_ms + ZSPOOL_INTAKE_STUCK_MS:
                      now_ms + 1;
    return due_ms;
}

uint64_t
zspool_intake_waiting (const zspool_intake_t *self)
{
    uint64_t waiting = 0;
    zspool_load_t *const lists [] = { self->filling, self->txns, self->under_way };
    for (size_t list = 0; list < 3; list++)
        for (const zspool_load_t *load = lists [list]; load; load = load->next)
            waiting += load->messages + load->txns_count;
    return waiting;
}

const zspool_intake_info_t *
zspool_intake_info (const zspool_intake_t *self)
{
    return &self->info;
}
