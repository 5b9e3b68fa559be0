//  burial.h - gathers messages that were delivered too often, and has the writer move them to the
//  dead letters
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of an outlet, on its thread. One move is under way at a time. While it is, the outlet keeps
//  the changes of its cursor to itself: they do not know of it yet, and would undo it.

#ifndef ZSPOOL_BURIAL_H_INCLUDED
#define ZSPOOL_BURIAL_H_INCLUDED

#include "cursor.h"
#include "history.h"
#include "move.h"

//  Rest after a refusal: there is no room, and trying with all that is due would keep disk and
//  processor busy
#define ZSPOOL_BURIAL_REST_MS 1000

typedef struct {
    unsigned deliveries_max;      //  a message dies after so many; 0: never
    const char *origin;           //  name of the spool that they die in
    uint32_t to;                  //  spool of dead letters
    uint32_t from;                //  spool that they die in,
    uint32_t cursor;              //  and its cursor
    zspool_move_t *move;          //  being filled, or NULL
    bool under_way;               //  the writer has one
    int64_t rest_until_ms;        //  nothing is buried before then, by the outlet's clock
    uint64_t buried;              //  messages, so far
} zspool_burial_t;

void
    zspool_burial_destroy (zspool_burial_t *self);

//  Whether a message that was delivered so often, and is due again, is to die
static inline bool
zspool_burial_wants (const zspool_burial_t *self, unsigned deliveries)
{
    return self->deliveries_max > 0 && deliveries >= self->deliveries_max;
}

//  Whether a message that is to die must wait, since there was no room a moment ago
static inline bool
zspool_burial_rests (const zspool_burial_t *self, int64_t now_ms)
{
    return now_ms < self->rest_until_ms;
}

//  Make room for a message. EFULL: hand over what there is first; ENOMEM.
int
    zspool_burial_reserve (zspool_burial_t *self, const zspool_record_t *record);

//  Add the message that there is room for, with its history and this death, and what is to be said
//  of it to people, or NULL. ENOMEM.
int
    zspool_burial_add (zspool_burial_t *self, const zspool_record_t *record, const zspool_death_t *death,
                       const char *why);

//  Hand what there is to the writer.
void
    zspool_burial_hand_over (zspool_burial_t *self, void *writer);

//  The writer has made the move, or refused it: then the messages are due again in their time.
//  Acknowledges them on the outlet's cursor; the move is destroyed.
void
    zspool_burial_end (zspool_burial_t *self, zspool_move_t *move, zspool_cursor_t *cursor, int64_t now_ms);

#endif
