//  intake.c - takes in what a service's producers put, packs it into blocks, and has the writer store
//  it in batches
//
//  SPDX-License-Identifier: MPL-2.0
//
//  What is being filled: plain loads, each for one spool, or more when one producer has put into
//  several; and loads of transactions that put into the same spools, each of which the writer stores
//  or refuses as a whole. A load is handed over as a batch. There is no timer: whatever has come while a batch was being committed
//  makes the next one.

#include "intake.h"
#include "commit.h"
#include "handoff.h"
#include "post.h"
#include "run.h"
#include "store.h"

#include <czmq.h>
#include <stdlib.h>
#include <string.h>

//  So much being filled is handed over though the writer is busy
#define FULL_BYTES (1024 * 1024)
//  A producer waits at least so long
#define HOLD_MS 10
//  What has been under way for so long waits for room: others need not wait for it
#define STUCK_MS 20
//  Most bytes that are filled for a spool while what was handed over before waits for room
#define LOAD_BYTES_MAX (4 * 1024 * 1024)
//  Smallest block of a transaction
#define TXN_BLOCK_BYTES (64 * 1024)

//  Where a line has got to with a load
typedef struct {
    zspool_line_t *line;
    uint64_t last;
} s_reach_t;

//  A transaction in a load
typedef struct {
    uint64_t session;          //  who is to be told
    uint32_t request;
    zspool_line_t *line;
    uint64_t number;
} s_txn_t;

//  What is being filled, or under way
typedef struct s_load s_load_t;
struct s_load {
    zspool_batch_t *batch;
    size_t bytes;              //  of records
    uint64_t messages;
    size_t reaches_count;
    s_reach_t reaches [ZSPOOL_BATCH_MARKS_MAX];
    s_txn_t *txns;             //  the load of transactions: as many as reaches at most
    size_t txns_count;
    size_t txns_max;
    zspool_group_t *groups [ZSPOOL_BATCH_CHANGES_MAX]; //  on which they acknowledge
    size_t groups_count;
    int64_t handed_ms;         //  under way: since then
    s_load_t *next;
};

struct zspool_intake {
    zspool_intake_args_t args;
    zspool_block_pool_t *pool;
    zspool_line_t *lines;
    size_t lines_used;         //  by sessions
    zspool_line_t *touched;    //  lines to be told what was cached
    bool some_held;            //  lines
    s_load_t *filling;         //  plain
    s_load_t *txns;            //  of transactions
    s_load_t *under_way;
    size_t under_way_count;
    size_t under_way_bytes;
    size_t filling_bytes;
    int64_t handed_ms;         //  when something was handed over last
    zspool_intake_info_t info;
};

//  ------------------------------------------------------------------------------------------------
//  Creating, and lines

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

static void
s_unref_line (zspool_intake_t *self, zspool_line_t *line)
{
    if (--line->refs > 0)
        return;
    zspool_line_t **at = &self->lines;
    while (*at != line)
        at = &(*at)->next;
    *at = line->next;
    self->info.lines--;
    free (line);
}

static void
s_destroy_load (zspool_intake_t *self, s_load_t **load_p)
{
    s_load_t *load = *load_p;
    for (size_t index = 0; load && index < load->reaches_count; index++)
        s_unref_line (self, load->reaches [index].line);
    if (load) {
        zspool_batch_destroy (&load->batch);
        free (load->txns);
    }
    free (load);
    *load_p = NULL;
}

static void
s_destroy_loads (zspool_intake_t *self, s_load_t *load)
{
    while (load) {
        s_load_t *next = load->next;
        s_destroy_load (self, &load);
        load = next;
    }
}

void
zspool_intake_destroy (zspool_intake_t **self_p)
{
    zspool_intake_t *self = *self_p;
    if (!self)
        return;
    s_destroy_loads (self, self->filling);
    s_destroy_loads (self, self->txns);
    //  Their batches are the writer's.
    for (s_load_t *load = self->under_way; load; load = load->next)
        load->batch = NULL;
    s_destroy_loads (self, self->under_way);
    while (self->lines) {
        zspool_line_t *line = self->lines;
        self->lines = line->next;
        free (line);
    }
    zspool_block_pool_destroy (&self->pool);
    free (self);
    *self_p = NULL;
}

static zspool_line_t *
s_find_line (zspool_intake_t *self, const char *name)
{
    zspool_line_t *line = *name? self->lines: NULL;
    while (line && strcmp (line->name, name) != 0)
        line = line->next;
    return line;
}

static zspool_line_t *
s_new_line (zspool_intake_t *self, const char *name)
{
    zspool_line_t *line = (zspool_line_t *) calloc (1, sizeof *line);
    if (!line)
        return NULL;
    snprintf (line->name, sizeof line->name, "%s", name);
    line->next = self->lines;
    self->lines = line;
    self->info.lines++;
    return line;
}

//  How much a producer should have unconfirmed at most: there is so much for all
static uint32_t
s_window_bytes (const zspool_intake_t *self)
{
    size_t bytes = ZSPOOL_INTAKE_BYTES_MAX / (self->lines_used? self->lines_used: 1);
    if (bytes > ZSPOOL_WINDOW_BYTES_MAX)
        bytes = ZSPOOL_WINDOW_BYTES_MAX;
    return (uint32_t) (bytes < ZSPOOL_WINDOW_BYTES_MIN? ZSPOOL_WINDOW_BYTES_MIN: bytes);
}

static void
s_confirm (zspool_intake_t *self, zspool_line_t *line, bool resume)
{
    if (!line->session)
        return;
    zsp_t confirm = { .command = ZSP_CONFIRM, .flags = resume? ZSP_FLAG_RESUME: 0 };
    confirm.as.confirm.cached = line->taken;
    confirm.as.confirm.committed = line->stored;
    confirm.as.confirm.window_bytes = s_window_bytes (self);
    if (zspool_post_command (self->args.socket, line->session, &confirm, NULL))
        return; //  it takes nothing now: the next one says as much
    line->told_cached = line->taken;
    line->told_committed = line->stored;
}

zspool_line_t *
zspool_intake_open (zspool_intake_t *self, zspool_session_t *session, uint32_t request, const char *name,
                    uint32_t producer, uint32_t epoch, uint64_t last, zspool_session_t **fenced)
{
    zspool_line_t *line = s_find_line (self, name);
    *fenced = NULL;
    if (!line) {
        line = s_new_line (self, name);
        if (!line)
            return NULL;
        line->taken = line->stored = last;
    }
    if (line->session && line->session != session) {
        *fenced = line->session;
        line->session->line = NULL;
        line->refs--;
        self->lines_used--;
    }
    line->producer = producer;
    line->epoch = epoch;
    line->held = false;
    if (line->session != session) {
        line->session = session;
        line->refs++;
        self->lines_used++;
    }
    session->line = line;
    zsp_t producing = { .command = ZSP_PRODUCING, .request = request };
    producing.as.producing.epoch = epoch;
    producing.as.producing.last = line->taken;
    producing.as.producing.window_bytes = s_window_bytes (self);
    zspool_post_command (self->args.socket, session, &producing, NULL);
    s_confirm (self, line, false);
    return line;
}

void
zspool_intake_leave (zspool_intake_t *self, zspool_session_t *session)
{
    zspool_line_t *line = session->line;
    if (!line)
        return;
    session->line = NULL;
    line->session = NULL;
    line->held = false;
    self->lines_used--;
    s_unref_line (self, line);
}

//  ------------------------------------------------------------------------------------------------
//  Loads

static s_load_t *
s_new_load (void)
{
    s_load_t *load = (s_load_t *) calloc (1, sizeof *load);
    if (load)
        load->batch = zspool_batch_new ();
    if (load && !load->batch) {
        free (load);
        load = NULL;
    }
    return load;
}

static bool
s_has_spool (const s_load_t *load, uint32_t spool)
{
    for (size_t index = 0; index < load->batch->blocks_count; index++)
        if (load->batch->blocks [index].spool == spool)
            return true;
    return false;
}

//  Add a line to a load. EFULL.
static int
s_add_reach (s_load_t *load, zspool_line_t *line, uint64_t last)
{
    if (load->reaches_count == ZSPOOL_BATCH_MARKS_MAX)
        return ZSPOOL_EFULL;
    load->reaches [load->reaches_count++] = (s_reach_t){ line, last };
    line->refs++;
    return ZSPOOL_OK;
}

//  The same for a plain load, where a line is once.
static int
s_note_reach (s_load_t *load, zspool_line_t *line, uint64_t last)
{
    if (line->load == load) {
        load->reaches [line->place].last = last;
        return ZSPOOL_OK;
    }
    int rc = s_add_reach (load, line, last);
    if (rc == ZSPOOL_OK) {
        line->load = load;
        line->place = load->reaches_count - 1;
    }
    return rc;
}

//  The load is not filled any more.
static void
s_leave_lines (s_load_t *load)
{
    for (size_t index = 0; index < load->reaches_count; index++)
        if (load->reaches [index].line->load == load)
            load->reaches [index].line->load = NULL;
}

//  Put all of one load into another. There is room.
static void
s_merge (zspool_intake_t *self, s_load_t *into, s_load_t **from_p)
{
    s_load_t *from = *from_p;
    *from_p = from->next;
    for (size_t index = 0; index < from->batch->blocks_count; index++)
        into->batch->blocks [into->batch->blocks_count++] = from->batch->blocks [index];
    from->batch->blocks_count = 0;
    s_leave_lines (from);
    for (size_t index = 0; index < from->reaches_count; index++)
        s_note_reach (into, from->reaches [index].line, from->reaches [index].last);
    into->bytes += from->bytes;
    into->messages += from->messages;
    s_destroy_load (self, &from);
}

//  Write the marks of a load into its batch, and seal its blocks.
static void
s_seal (s_load_t *load)
{
    zspool_batch_t *batch = load->batch;
    for (size_t index = 0; index < batch->blocks_count; index++)
        zspool_block_seal (batch->blocks [index].block); //  one that was full is sealed already
    for (size_t index = 0; index < load->reaches_count; index++) {
        const s_reach_t *reach = &load->reaches [index];
        if (reach->line->producer)
            batch->marks [batch->marks_count++] = (zspool_mark_t){ reach->line->producer, reach->last };
    }
    batch->handed_us = zclock_usecs ();
}

static void
s_put_under_way (zspool_intake_t *self, s_load_t *load)
{
    s_leave_lines (load);
    load->next = self->under_way;
    load->handed_ms = self->handed_ms = zclock_mono ();
    self->under_way = load;
    self->under_way_count++;
    self->under_way_bytes += load->bytes;
    self->filling_bytes -= load->bytes;
}

static void
s_hand_over (zspool_intake_t *self, s_load_t *load)
{
    s_seal (load);
    s_put_under_way (self, load);
    //  The context is shutting down when this fails: nothing comes of it any more.
    zspool_handoff_send (self->args.writer, HANDOFF_BATCH, load->batch, 0);
}

//  Hand over the plain load before this place. It is taken out.
static void
s_hand_over_at (zspool_intake_t *self, s_load_t **at)
{
    s_load_t *load = *at;
    *at = load->next;
    s_hand_over (self, load);
}

//  Hand over the transactions before this place, behind the plain loads that have earlier numbers of
//  their producers.
static void
s_hand_over_txns (zspool_intake_t *self, s_load_t **at_p)
{
    s_load_t *load = *at_p;
    *at_p = load->next;
    for (size_t index = 0; index < load->reaches_count; index++) {
        s_load_t **at = &self->filling;
        while (*at && *at != load->reaches [index].line->load)
            at = &(*at)->next;
        if (*at)
            s_hand_over_at (self, at);
    }
    bool complete = true;
    for (size_t index = 0; index < load->groups_count; index++) {
        zspool_cursor_change_t *change = zspool_group_take_claimed (load->groups [index]);
        if (change)
            load->batch->changes [load->batch->changes_count++] = change;
        complete = complete && change;
    }
    if (complete) {
        s_hand_over (self, load);
        return;
    }
    //  Memory is out: refuse all.
    s_put_under_way (self, load);
    zspool_intake_ended (self, load->batch, ZSPOOL_ENOMEM, zclock_mono ());
}

static bool
s_may_hand_over (const zspool_intake_t *self)
{
    return self->under_way_count < ZSPOOL_INTAKE_BATCHES_MAX && self->under_way_bytes < ZSPOOL_INTAKE_BYTES_MAX / 2;
}

//  Whether two loads share a spool or, as far as that is cheap to tell, a producer
static bool
s_are_tied (const s_load_t *one, const s_load_t *other)
{
    for (size_t index = 0; index < one->batch->blocks_count; index++)
        if (s_has_spool (other, one->batch->blocks [index].spool))
            return true;
    return false;
}

//  Whether a load would only wait behind one that waits for room already
static bool
s_is_stuck (const zspool_intake_t *self, const s_load_t *load, int64_t now_ms)
{
    for (const s_load_t *at = self->under_way; at; at = at->next)
        if (now_ms - at->handed_ms > STUCK_MS && s_are_tied (at, load))
            return true;
    return false;
}

//  The plain load that takes what a line puts into a spool: loads that have the one or the other
//  become one. NULL: there is no room for now.
static s_load_t *
s_load_for (zspool_intake_t *self, const zspool_line_t *line, uint32_t spool)
{
    s_load_t *found = NULL;
    for (s_load_t **at = &self->filling; *at;) {
        s_load_t *load = *at;
        if (!s_has_spool (load, spool) && line->load != load) {
            at = &load->next;
            continue;
        }
        if (found && found->batch->blocks_count + load->batch->blocks_count < ZSPOOL_BATCH_BLOCKS_MAX
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
    s_load_t *load = s_new_load ();
    if (!load)
        return NULL;
    s_load_t **end = &self->filling;
    while (*end)
        end = &(*end)->next;
    *end = load;
    return load;
}

//  The block of a load that is being filled for a spool, or NULL
static zspool_block_t *
s_open_block (const s_load_t *load, uint32_t spool)
{
    for (size_t index = load->batch->blocks_count; index > 0; index--)
        if (load->batch->blocks [index - 1].spool == spool) {
            zspool_block_t *block = load->batch->blocks [index - 1].block;
            return zspool_block_bytes (block)? NULL: block;
        }
    return NULL;
}

//  Begin a block for a spool, for at least so many bytes. NULL: there is no room.
static zspool_block_t *
s_begin_block (zspool_intake_t *self, s_load_t *load, uint32_t spool, size_t bytes, bool pooled)
{
    if (load->batch->blocks_count == ZSPOOL_BATCH_BLOCKS_MAX)
        return NULL;
    zspool_block_t *block = pooled? zspool_block_pool_take (self->pool, bytes):
                                    zspool_block_new (bytes > TXN_BLOCK_BYTES? bytes: TXN_BLOCK_BYTES);
    if (!block)
        return NULL;
    if (pooled)
        zspool_block_set_indexed (block, self->args.indexed);
    load->batch->blocks [load->batch->blocks_count++] = (zspool_batch_block_t){ block, spool };
    return block;
}

//  ------------------------------------------------------------------------------------------------
//  Puts

//  Let a line's producer wait: what comes from its number `taken` + 1 on was not taken.
static void
s_hold (zspool_intake_t *self, zspool_line_t *line)
{
    if (line->held)
        return;
    line->held = self->some_held = true;
    line->held_ms = zclock_mono ();
    self->info.held++;
    zsp_t hold = { .command = ZSP_HOLD };
    hold.as.hold.number = line->taken + 1;
    zspool_post_command (self->args.socket, line->session, &hold, NULL);
}

static void
s_touch (zspool_intake_t *self, zspool_line_t *line)
{
    if (line->touched)
        return;
    line->touched = true;
    line->refs++;
    line->next_touched = self->touched;
    self->touched = line;
}

//  Append the last `count` messages of a run, from number `from` on. Returns how many found room.
static uint32_t
s_append (zspool_intake_t *self, s_load_t *load, uint32_t spool, const void *records, size_t size, uint32_t from,
          uint32_t count)
{
    uint32_t appended = 0;
    int64_t now_us = zspool_now_us ();
    zspool_block_t *block = s_open_block (load, spool);
    while (appended < count) {
        uint32_t more = block? zspool_block_append_run (block, records, size, from + appended, count - appended,
                                                        now_us):
                               0;
        appended += more;
        if (appended == count)
            break;
        if (block)
            zspool_block_seal (block);
        //  A run of one is as large as its message; others find room in a usual block, but maybe not
        //  with an index: then one by one.
        size_t bytes = count == 1? size + (self->args.indexed? 2048: 0): 1;
        block = s_begin_block (self, load, spool, bytes > ZSPOOL_BLOCK_BYTES? bytes: ZSPOOL_BLOCK_BYTES, true);
        if (!block)
            break;
    }
    return appended;
}

//  A block that was begun, and found no message, must not stay.
static void
s_drop_empty (s_load_t *load)
{
    zspool_batch_t *batch = load->batch;
    if (batch->blocks_count > 0 && zspool_block_count (batch->blocks [batch->blocks_count - 1].block) == 0)
        zspool_block_destroy (&batch->blocks [--batch->blocks_count].block);
}

//  Take `count` messages of a run, from number `from` on, whose first is the line's next.
static void
s_take (zspool_intake_t *self, zspool_line_t *line, uint32_t spool, const void *records, size_t size, uint32_t from,
        uint32_t count)
{
    bool room = self->under_way_bytes + self->filling_bytes < ZSPOOL_INTAKE_BYTES_MAX;
    s_load_t *load = room? s_load_for (self, line, spool): NULL;
    if (load && s_note_reach (load, line, line->taken))
        load = NULL;
    uint32_t taken = load? s_append (self, load, spool, records, size, from, count): 0;
    if (load) {
        s_drop_empty (load);
        line->taken += taken;
        s_note_reach (load, line, line->taken);
        size_t bytes = (size_t) ((uint64_t) size * taken / (from + count));
        load->bytes += bytes;
        self->filling_bytes += bytes;
        load->messages += taken;
        self->info.messages += taken;
        self->info.bytes += bytes;
    }
    line->held_for = spool;
    if (taken < count)
        s_hold (self, line);
    else if (line->held) {
        //  It has gone on before it was told to, or is told now to wait for what is there.
        line->held = false;
        s_confirm (self, line, true);
    }
    //  What holds nothing must not be handed over.
    if (load && load->batch->blocks_count == 0) {
        s_load_t **at = &self->filling;
        while (*at != load)
            at = &(*at)->next;
        *at = load->next;
        s_leave_lines (load);
        s_destroy_load (self, &load);
    }
}

int
zspool_intake_put (zspool_intake_t *self, zspool_session_t *session, const zsp_t *command, const void *records,
                   size_t size)
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
    int rc = zspool_run_check (records, size, count, self->args.message_frames_max, self->args.message_bytes_max,
                               false);
    if (rc)
        return rc == ZSPOOL_ETOOBIG? rc: ZSPOOL_EPROTOCOL;
    if (number > line->taken + 1) {
        s_hold (self, line);
        return ZSPOOL_OK;
    }
    uint64_t known = line->taken + 1 - number;
    self->info.duplicates += known < count? known: count;
    bool cached = command->as.put.level == ZSP_LEVEL_CACHED
                  || (command->as.put.level == ZSP_LEVEL_DEFAULT && self->args.async);
    if (known < count)
        s_take (self, line, command->as.put.spool, records, size, (uint32_t) known, count - (uint32_t) known);
    if (cached) {
        line->wants_cached = true;
        s_touch (self, line);
    }
    return ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Transactions

static int
s_check_parts (zspool_intake_t *self, const zspool_session_t *session, const zsp_t *command, zmq_msg_t *frames,
               size_t *bytes_p)
{
    size_t bytes = 0;
    for (size_t index = 0; index < command->as.commit.parts_count; index++) {
        zsp_part_t part = zsp_part (command, index);
        size_t size = zmq_msg_size (&frames [index]);
        if (!zspool_session_has_spool (session, part.spool))
            return ZSPOOL_ENOENT;
        int rc = zspool_run_check (zmq_msg_data (&frames [index]), size, part.count, self->args.message_frames_max,
                                   self->args.message_bytes_max, false);
        if (rc)
            return rc == ZSPOOL_ETOOBIG? rc: ZSPOOL_EPROTOCOL;
        bytes += size;
    }
    *bytes_p = bytes;
    return bytes > ZSP_TRANSACTION_BYTES_MAX? ZSPOOL_ETOOBIG: ZSPOOL_OK;
}

//  Have blocks for all parts: `blocks [index]` is where a part goes. Those that were there have room for
//  what goes there, those begun are at the end of the batch.
static int
s_reserve_parts (zspool_intake_t *self, s_load_t *load, const zsp_t *command, zmq_msg_t *frames,
                 zspool_block_t **blocks)
{
    size_t before = load->batch->blocks_count;
    size_t bytes [ZSP_PARTS_MAX], counts [ZSP_PARTS_MAX];
    for (size_t index = 0; index < command->as.commit.parts_count; index++) {
        zsp_part_t part = zsp_part (command, index);
        size_t size = zmq_msg_size (&frames [index]), used = size, count = part.count;
        zspool_block_t *block = s_open_block (load, part.spool);
        for (size_t at = 0; block && at < index; at++)
            if (blocks [at] == block) {
                used += bytes [at];
                count += counts [at];
            }
        if (block
            && (used > zspool_block_capacity (block) - zspool_block_used (block)
                || count > ZSPOOL_BLOCK_MESSAGES_MAX - zspool_block_count (block)))
            block = NULL;
        blocks [index] = block? block: s_begin_block (self, load, part.spool, size, false);
        if (!blocks [index]) {
            while (load->batch->blocks_count > before)
                zspool_block_destroy (&load->batch->blocks [--load->batch->blocks_count].block);
            return ZSPOOL_EBUSY;
        }
        bytes [index] = size;
        counts [index] = part.count;
    }
    return ZSPOOL_OK;
}

static bool
s_has_group (const s_load_t *load, const zspool_group_t *group)
{
    for (size_t index = 0; index < load->groups_count; index++)
        if (load->groups [index] == group)
            return true;
    return false;
}

//  Whether transactions of another load being filled acknowledge on the group
static bool
s_is_claimed (const zspool_intake_t *self, const s_load_t *load, const zspool_group_t *group)
{
    for (const s_load_t *at = self->txns; at; at = at->next)
        if (at != load && s_has_group (at, group))
            return true;
    return false;
}

//  Acknowledge what the transaction does, on the groups. On failure it is given back.
static int
s_claim (zspool_intake_t *self, s_load_t *load, const zsp_t *command, uint64_t tag)
{
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < command->as.commit.acks_count; index++) {
        zsp_acked_t acked = zsp_acked (command, index);
        zspool_session_t *session = zspool_sessions_by_id (self->args.sessions, acked.session);
        zspool_subscription_t *subscription =
            session? zspool_session_subscription (session, acked.subscription): NULL;
        zspool_group_t *group = subscription? subscription->group: NULL;
        if (!group)
            rc = ZSPOOL_ESTALE;
        else if (s_is_claimed (self, load, group)
                 || (!s_has_group (load, group) && load->groups_count == ZSPOOL_BATCH_CHANGES_MAX))
            rc = ZSPOOL_EBUSY;
        else
            rc = zspool_group_claim (group, subscription, acked.generation, acked.range.first, acked.range.last, tag);
        if (rc == ZSPOOL_OK && !s_has_group (load, group))
            load->groups [load->groups_count++] = group;
    }
    if (rc)
        for (size_t index = 0; index < load->groups_count; index++)
            zspool_group_unclaim (load->groups [index], tag, zclock_mono ());
    return rc;
}

//  Whether a transaction puts into the same spools as those of a load
static bool
s_has_same_spools (const s_load_t *load, const zsp_t *command)
{
    for (size_t index = 0; index < command->as.commit.parts_count; index++)
        if (!s_has_spool (load, zsp_part (command, index).spool))
            return false;
    for (size_t at = 0; at < load->batch->blocks_count; at++) {
        bool found = false;
        for (size_t index = 0; !found && index < command->as.commit.parts_count; index++)
            found = zsp_part (command, index).spool == load->batch->blocks [at].spool;
        if (!found)
            return false;
    }
    return true;
}

//  The load that takes a transaction of so many bytes: one that puts into the same spools, so that
//  none is refused because of another's. NULL: memory is out.
static s_load_t *
s_txn_load (zspool_intake_t *self, const zsp_t *command, size_t bytes)
{
    s_load_t **at = &self->txns;
    while (*at
           && (!s_has_same_spools (*at, command) || (*at)->reaches_count == ZSPOOL_BATCH_MARKS_MAX
               || (*at)->bytes + bytes > self->args.load_bytes_max))
        at = &(*at)->next;
    if (!*at) {
        *at = s_new_load ();
        if (*at)
            (*at)->batch->whole = (*at)->batch->urgent = true;
    }
    s_load_t *load = *at;
    if (load && load->txns_count == load->txns_max) {
        size_t max = load->txns_max? 2 * load->txns_max: 16;
        s_txn_t *txns = (s_txn_t *) realloc (load->txns, max * sizeof *txns);
        if (!txns)
            return NULL;
        load->txns = txns;
        load->txns_max = max;
    }
    return load;
}

static void
s_answer (zspool_intake_t *self, uint64_t session_id, uint32_t request, uint64_t number, int rc)
{
    zspool_session_t *session = zspool_sessions_by_id (self->args.sessions, session_id);
    if (!session)
        return;
    if (rc) {
        zspool_post_error (self->args.socket, session, request, ZSP_COMMIT, rc, number, zspool_strerror (rc), false);
        return;
    }
    zsp_t done = { .command = ZSP_DONE, .request = request };
    done.as.done.number = number;
    zspool_post_command (self->args.socket, session, &done, NULL);
}

//  A transaction with a number that was taken before: it is answered when it is durable. It is this
//  one, sent again, since a producer has one at a time.
static int
s_commit_again (zspool_intake_t *self, zspool_session_t *session, const zsp_t *command)
{
    uint64_t number = command->as.commit.number;
    self->info.duplicates++;
    if (number <= session->line->stored) {
        s_answer (self, session->id, command->request, number, ZSPOOL_OK);
        return ZSPOOL_OK;
    }
    s_load_t *lists [] = { self->txns, self->under_way };
    for (size_t list = 0; list < 2; list++)
        for (s_load_t *load = lists [list]; load; load = load->next)
            for (size_t index = 0; index < load->txns_count; index++)
                if (load->txns [index].line == session->line && load->txns [index].number == number) {
                    load->txns [index].session = session->id;
                    load->txns [index].request = command->request;
                    return ZSPOOL_OK;
                }
    return ZSPOOL_EORDER; //  that number was a message
}

int
zspool_intake_commit (zspool_intake_t *self, zspool_session_t *session, const zsp_t *command, zmq_msg_t *frames)
{
    zspool_line_t *line = session->line;
    if (!line || (line->committing && line->committing != command->as.commit.number))
        return ZSPOOL_EPROTOCOL;
    if (command->as.commit.number <= line->taken)
        return s_commit_again (self, session, command);
    if (command->as.commit.number > line->taken + 1)
        return ZSPOOL_EORDER;
    size_t bytes;
    int rc = s_check_parts (self, session, command, frames, &bytes);
    if (rc)
        return rc;
    if (self->filling_bytes + self->under_way_bytes > ZSPOOL_INTAKE_BYTES_MAX)
        return ZSPOOL_EBUSY;
    s_load_t *load = s_txn_load (self, command, bytes);
    zspool_block_t *blocks [ZSP_PARTS_MAX];
    if (!load)
        return ZSPOOL_ENOMEM;
    uint64_t tag = ++self->info.transactions;
    rc = s_reserve_parts (self, load, command, frames, blocks);
    size_t before = load->groups_count;
    if (rc == ZSPOOL_OK) {
        rc = s_claim (self, load, command, tag);
        if (rc) {
            load->groups_count = before;
            while (load->batch->blocks_count > 0
                   && zspool_block_count (load->batch->blocks [load->batch->blocks_count - 1].block) == 0)
                zspool_block_destroy (&load->batch->blocks [--load->batch->blocks_count].block);
        }
    }
    if (rc) {
        self->info.transactions--;
        return rc;
    }
    for (size_t index = 0; index < command->as.commit.parts_count; index++) {
        uint32_t count = zsp_part (command, index).count;
        size_t size = zmq_msg_size (&frames [index]);
        zspool_block_append_run (blocks [index], zmq_msg_data (&frames [index]), size, 0, count, zspool_now_us ());
        load->bytes += size;
        self->filling_bytes += size;
        load->messages += count;
        self->info.messages += count;
        self->info.bytes += size;
    }
    line->taken++;
    line->committing = line->taken;
    s_add_reach (load, line, line->taken);
    load->txns [load->txns_count++] = (s_txn_t){ session->id, command->request, line, line->taken };
    return ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Results, and turns

static void
s_end_txns (zspool_intake_t *self, const s_load_t *load, int rc)
{
    for (size_t index = 0; index < load->txns_count; index++) {
        const s_txn_t *txn = &load->txns [index];
        txn->line->committing = 0;
        //  A number that was refused is given again: nothing came behind it.
        if (rc && txn->line->taken == txn->number)
            txn->line->taken--;
        self->info.refused += rc != ZSPOOL_OK;
        s_answer (self, txn->session, txn->request, txn->number, rc);
    }
}

//  Whether a line that was held would find room now
static bool
s_may_resume (const zspool_intake_t *self, const zspool_line_t *line, int64_t now_ms)
{
    if (now_ms - line->held_ms < HOLD_MS)
        return false;
    for (const s_load_t *load = self->filling; load; load = load->next)
        if ((s_has_spool (load, line->held_for) || line->load == load)
            && load->bytes > self->args.load_bytes_max / 2)
            return false;
    return true;
}

//  There is room again: those who were told to wait may go on, when what they had sent before they were
//  told has come, and was dropped. Gives when to look again; INT64_MAX: nobody waits.
static int64_t
s_resume (zspool_intake_t *self, int64_t now_ms)
{
    if (!self->some_held)
        return INT64_MAX;
    if (self->under_way_bytes + self->filling_bytes > ZSPOOL_INTAKE_BYTES_MAX / 2)
        return now_ms + HOLD_MS;
    self->some_held = false;
    for (zspool_line_t *line = self->lines; line; line = line->next)
        if (line->held && !s_may_resume (self, line, now_ms))
            self->some_held = true;
        else if (line->held) {
            line->held = false;
            s_confirm (self, line, true);
        }
    return self->some_held? now_ms + HOLD_MS: INT64_MAX;
}

void
zspool_intake_ended (zspool_intake_t *self, zspool_batch_t *batch, int rc, int64_t now_ms)
{
    s_load_t **at = &self->under_way;
    while ((*at)->batch != batch)
        at = &(*at)->next;
    s_load_t *load = *at;
    *at = load->next;
    self->under_way_count--;
    self->under_way_bytes -= load->bytes;
    for (size_t index = 0; index < load->groups_count; index++)
        zspool_group_end_claimed (load->groups [index], rc, now_ms);
    for (size_t index = 0; rc == ZSPOOL_OK && index < load->reaches_count; index++) {
        s_reach_t *reach = &load->reaches [index];
        if (reach->line->stored < reach->last)
            reach->line->stored = reach->last;
        s_confirm (self, reach->line, false);
    }
    s_end_txns (self, load, rc);
    s_destroy_load (self, &load);
}

//  Hand over what is worth it. When nothing was handed over for a while, though something is under
//  way, that waits for room: what does not share its spools goes.
static void
s_hand_over_due (zspool_intake_t *self, bool all, int64_t now_ms)
{
    bool idle = all || self->under_way_count == 0;
    bool late = now_ms - self->handed_ms >= STUCK_MS;
    for (s_load_t **at = &self->filling; *at;) {
        bool due = idle || (s_may_hand_over (self) && ((*at)->bytes >= FULL_BYTES || late));
        if (due && (all || !s_is_stuck (self, *at, now_ms)))
            s_hand_over_at (self, at);
        else
            at = &(*at)->next;
    }
    for (s_load_t **at = &self->txns; *at;) {
        s_load_t *load = *at;
        if (load->txns_count == 0) {
            //  The one that it was begun for was refused.
            *at = load->next;
            s_destroy_load (self, &load);
        }
        else if (idle || (s_may_hand_over (self) && (load->bytes >= FULL_BYTES || late)))
            s_hand_over_txns (self, at);
        else
            at = &load->next;
    }
}

int64_t
zspool_intake_turn (zspool_intake_t *self, bool all, int64_t now_ms)
{
    while (self->touched) {
        zspool_line_t *line = self->touched;
        self->touched = line->next_touched;
        line->touched = false;
        if (line->wants_cached && (line->told_cached < line->taken || line->told_committed < line->stored))
            s_confirm (self, line, false);
        line->wants_cached = false;
        s_unref_line (self, line);
    }
    s_hand_over_due (self, all, now_ms);
    int64_t due_ms = s_resume (self, now_ms);
    if ((self->filling || self->txns) && self->handed_ms + STUCK_MS < due_ms)
        due_ms = self->handed_ms + STUCK_MS > now_ms? self->handed_ms + STUCK_MS: now_ms + 1;
    return due_ms;
}

uint64_t
zspool_intake_waiting (const zspool_intake_t *self)
{
    uint64_t waiting = 0;
    s_load_t *const lists [] = { self->filling, self->txns, self->under_way };
    for (size_t list = 0; list < 3; list++)
        for (const s_load_t *load = lists [list]; load; load = load->next)
            waiting += load->messages + load->txns_count;
    return waiting;
}

const zspool_intake_info_t *
zspool_intake_info (const zspool_intake_t *self)
{
    return &self->info;
}
