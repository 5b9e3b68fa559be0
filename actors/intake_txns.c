//  intake_txns.c - an intake's transactions: checked, put into loads, answered when they have ended
//
//  SPDX-License-Identifier: MPL-2.0

#include "intake_parts.h"
#include "post.h"
#include "run.h"

#include <czmq.h>
#include <stdlib.h>

static int
s_check_parts (zspool_intake_t *self, const zspool_session_t *session, const zsp_t *command,
               zmq_msg_t *frames, size_t *bytes_p)
{
    size_t bytes = 0;
    for (size_t index = 0; index < command->as.commit.parts_count; index++) {
        zsp_part_t part = zsp_part (command, index);
        size_t size = zmq_msg_size (&frames [index]);
        if (!zspool_session_has_spool (session, part.spool))
            return ZSPOOL_ENOENT;
        int rc =
            zspool_run_check (zmq_msg_data (&frames [index]), size, part.count,
                              self->args.message_frames_max, self->args.message_bytes_max, false);
        if (rc)
            return rc == ZSPOOL_ETOOBIG? rc: ZSPOOL_EPROTOCOL;
        bytes += size;
    }
    *bytes_p = bytes;
    return bytes > ZSP_TRANSACTION_BYTES_MAX? ZSPOOL_ETOOBIG: ZSPOOL_OK;
}

//  Have blocks for all parts: `blocks [index]` is where a part goes. Those that were there have
//  room for what goes there, those begun are at the end of the batch.
static int
s_reserve_parts (zspool_intake_t *self, zspool_load_t *load, const zsp_t *command,
                 zmq_msg_t *frames, zspool_block_t **blocks)
{
    size_t before = load->batch->blocks_count;
    size_t bytes [ZSP_PARTS_MAX], counts [ZSP_PARTS_MAX];
    for (size_t index = 0; index < command->as.commit.parts_count; index++) {
        zsp_part_t part = zsp_part (command, index);
        size_t size = zmq_msg_size (&frames [index]), used = size, count = part.count;
        zspool_block_t *block = zspool_load_open_block (load, part.spool);
        for (size_t at = 0; block && at < index; at++)
            if (blocks [at] == block) {
                used += bytes [at];
                count += counts [at];
            }
        if (block
            && (used > zspool_block_capacity (block) - zspool_block_used (block)
                || count > ZSPOOL_BLOCK_MESSAGES_MAX - zspool_block_count (block)))
            block = NULL;
        blocks [index] =
            block? block: zspool_intake_begin_block (self, load, part.spool, size, false);
        if (!blocks [index]) {
            bool full = load->batch->blocks_count == ZSPOOL_BATCH_BLOCKS_MAX;
            while (load->batch->blocks_count > before)
                zspool_block_destroy (&load->batch->blocks [--load->batch->blocks_count].block);
            return full? ZSPOOL_EBUSY: ZSPOOL_ENOMEM;
        }
        bytes [index] = size;
        counts [index] = part.count;
    }
    return ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Acknowledgements

static bool
s_has_group (const zspool_load_t *load, const zspool_group_t *group)
{
    for (size_t index = 0; index < load->groups_count; index++)
        if (load->groups [index] == group)
            return true;
    return false;
}

//  Whether transactions of another load being filled acknowledge on the group
static bool
s_is_claimed (const zspool_intake_t *self, const zspool_load_t *load, const zspool_group_t *group)
{
    for (const zspool_load_t *at = self->txns; at; at = at->next)
        if (at != load && s_has_group (at, group))
            return true;
    return false;
}

//  Acknowledge what the transaction does, on the groups. On failure it is given back.
static int
s_claim (zspool_intake_t *self, zspool_load_t *load, const zsp_t *command, uint64_t tag)
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
            rc = zspool_group_claim (group, subscription, acked.generation, acked.range.first,
                                     acked.range.last, tag);
        if (rc == ZSPOOL_OK && !s_has_group (load, group))
            load->groups [load->groups_count++] = zspool_group_ref (group);
    }
    if (rc)
        for (size_t index = 0; index < load->groups_count; index++)
            zspool_group_unclaim (load->groups [index], tag, *self->args.now_ms);
    return rc;
}

//  ------------------------------------------------------------------------------------------------
//  Loads

//  Whether a transaction puts into the same spools as those of a load
static bool
s_has_same_spools (const zspool_load_t *load, const zsp_t *command)
{
    for (size_t index = 0; index < command->as.commit.parts_count; index++)
        if (!zspool_load_has_spool (load, zsp_part (command, index).spool))
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
static zspool_load_t *
s_txn_load (zspool_intake_t *self, const zsp_t *command, size_t bytes)
{
    zspool_load_t **at = &self->txns;
    while (*at
           && (!s_has_same_spools (*at, command) || (*at)->reaches_count == ZSPOOL_BATCH_MARKS_MAX
               || (*at)->bytes + bytes > self->args.load_bytes_max))
        at = &(*at)->next;
    if (!*at) {
        *at = zspool_load_new ();
        if (*at)
            (*at)->batch->whole = (*at)->batch->urgent = true;
    }
    zspool_load_t *load = *at;
    if (load && load->txns_count == load->txns_max) {
        size_t max = load->txns_max? 2 * load->txns_max: 16;
        zspool_intake_txn_t *txns =
            (zspool_intake_txn_t *) realloc (load->txns, max * sizeof *txns);
        if (!txns)
            return NULL;
        load->txns = txns;
        load->txns_max = max;
    }
    return load;
}

//  ------------------------------------------------------------------------------------------------
//  From COMMIT to its answer

static void
s_answer (zspool_intake_t *self, uint64_t session_id, uint32_t request, uint64_t number, int rc)
{
    zspool_session_t *session = zspool_sessions_by_id (self->args.sessions, session_id);
    if (!session)
        return;
    if (rc) {
        zspool_post_error (self->args.socket, session, request, ZSP_COMMIT, rc, number,
                           zspool_strerror (rc), false);
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
    zspool_load_t *lists [] = { self->txns, self->under_way };
    for (size_t list = 0; list < 2; list++)
        for (zspool_load_t *load = lists [list]; load; load = load->next)
            for (size_t index = 0; index < load->txns_count; index++)
                if (load->txns [index].line == session->line
                    && load->txns [index].number == number) {
                    load->txns [index].session = session->id;
                    load->txns [index].request = command->request;
                    return ZSPOOL_OK;
                }
    return ZSPOOL_EORDER; //  that number was a message
}

int
zspool_intake_commit (zspool_intake_t *self, zspool_session_t *session, const zsp_t *command,
                      zmq_msg_t *frames)
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
    zspool_load_t *load = s_txn_load (self, command, bytes);
    zspool_block_t *blocks [ZSP_PARTS_MAX];
    if (!load)
        return ZSPOOL_ENOMEM;
    uint64_t tag = ++self->info.transactions;
    rc = s_reserve_parts (self, load, command, frames, blocks);
    size_t before = load->groups_count;
    if (rc == ZSPOOL_OK) {
        rc = s_claim (self, load, command, tag);
        if (rc) {
            while (load->groups_count > before)
                zspool_group_destroy (&load->groups [--load->groups_count]);
            while (load->batch->blocks_count > 0
                   && zspool_block_count (load->batch->blocks [load->batch->blocks_count - 1].block)
                          == 0)
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
        zspool_block_append_run (blocks [index], zmq_msg_data (&frames [index]), size, 0, count,
                                 zspool_now_us ());
        load->bytes += size;
        self->filling_bytes += size;
        load->messages += count;
        self->info.messages += count;
        self->info.bytes += size;
    }
    line->taken++;
    line->committing = line->taken;
    zspool_load_add_reach (load, line, line->taken);
    load->txns [load->txns_count++] =
        (zspool_intake_txn_t){ session->id, command->request, line, line->taken };
    return ZSPOOL_OK;
}

void
zspool_intake_end_txns (zspool_intake_t *self, const zspool_load_t *load, int rc)
{
    for (size_t index = 0; index < load->txns_count; index++) {
        const zspool_intake_txn_t *txn = &load->txns [index];
        txn->line->committing = 0;
        //  A number that was refused is given again: nothing came behind it.
        if (rc && txn->line->taken == txn->number) {
            txn->line->taken--;
            if (txn->line->told_cached > txn->line->taken)
                txn->line->told_cached = txn->line->taken;
        }
        self->info.refused += rc != ZSPOOL_OK;
        s_answer (self, txn->session, txn->request, txn->number, rc);
        if (txn->line->asked)
            zspool_intake_tell_producing (self, txn->line);
    }
}
