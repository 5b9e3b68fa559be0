//  burial.c - gathers messages that were delivered too often, and has the writer move them to the
//  dead letters
//
//  SPDX-License-Identifier: MPL-2.0

#include "burial.h"
#include "handoff.h"

#include <stdio.h>

void
zspool_burial_destroy (zspool_burial_t *self)
{
    zspool_move_destroy (&self->move);
}

int
zspool_burial_reserve (zspool_burial_t *self, const zspool_record_t *record)
{
    size_t bytes =
        zspool_block_record_bytes (record->frames, record->data_bytes) + ZSPOOL_PROPERTIES_BYTES_MAX;
    if (self->move)
        return zspool_move_has_room (self->move, bytes)? ZSPOOL_OK: ZSPOOL_EFULL;
    self->move = zspool_move_new (bytes);
    if (!self->move)
        return ZSPOOL_ENOMEM;
    self->move->to = self->to;
    self->move->from = self->from;
    self->move->cursor = self->cursor;
    self->move->is_burial = true;
    return ZSPOOL_OK;
}

int
zspool_burial_add (zspool_burial_t *self, const zspool_record_t *record, const zspool_death_t *death,
                   const char *why)
{
    zspool_history_t history = { .deaths_ever = 0 };
    (void) zspool_history_read (&history, record); //  one that cannot be read begins anew
    zspool_history_add (&history, self->origin, death);
    snprintf (history.why, sizeof history.why, "%s", why? why: "");
    return zspool_move_add (self->move, record, &history);
}

void
zspool_burial_hand_over (zspool_burial_t *self, void *writer)
{
    zspool_move_t *move = self->move;
    self->move = NULL;
    if (!move)
        return;
    if (move->count == 0 || zspool_block_seal (move->block)
        || zspool_handoff_send (writer, HANDOFF_BURY, move, 0))
        zspool_move_destroy (&move);
    else
        self->under_way = true;
}

void
zspool_burial_end (zspool_burial_t *self, zspool_move_t *move, zspool_cursor_t *cursor, int64_t now_ms)
{
    self->under_way = false;
    for (size_t index = 0; move->rc == ZSPOOL_OK && index < move->count; index++)
        zspool_cursor_ack (cursor, move->sequences [index], move->sequences [index]);
    if (move->rc == ZSPOOL_OK)
        self->buried += move->count;
    else
        self->rest_until_ms = now_ms + ZSPOOL_BURIAL_REST_MS;
    zspool_move_destroy (&move);
}
