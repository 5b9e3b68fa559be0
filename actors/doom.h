//  doom.h - messages of a group that are to be moved to the dead letters, and are not yet
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of a group, on the service's thread. Each of them is leased to nobody meanwhile, and due
//  never. One burial is under way at a time; when it is refused its messages stay here.

#ifndef ZSPOOL_DOOM_H_INCLUDED
#define ZSPOOL_DOOM_H_INCLUDED

#include "burial.h"
#include "lease.h"
#include "shelf.h"

#define ZSPOOL_DOOMED_MAX 10000          //  most of them

typedef struct {
    uint64_t sequence;
    uint32_t reason;                     //  zspool_death_reason_t
    uint16_t deliveries;
    char *text;                          //  for people; ours, or NULL
} zspool_doomed_t;

typedef struct {
    zspool_doomed_t *list;               //  in the order they came
    size_t count;
    size_t max;                          //  room for so many
    size_t taken;                        //  the first so many are in the burial under way
    zspool_burial_t burial;
    bool wanted;                         //  somebody was asked for a spool to bury in
} zspool_doom_t;

void
    zspool_doom_destroy (zspool_doom_t *self);

//  Add a message; the text, of so many bytes, is copied. ELIMIT, ENOMEM.
int
    zspool_doom_add (zspool_doom_t *self, uint64_t sequence, uint32_t reason, unsigned deliveries,
                     const char *text, size_t text_size);

//  Whether there is something to bury, and that can be done now
bool
    zspool_doom_is_ready (const zspool_doom_t *self, int64_t now_ms);

//  Gather a burial, and hand it to the writer. What is not in the spool any more, or damaged, is
//  forgotten: it is acknowledged on the tracker, and its lease dropped. EFULL, ENOMEM: try again.
int
    zspool_doom_bury (zspool_doom_t *self, zspool_shelf_t *shelf, zspool_cursor_t *tracker,
                      zspool_leases_t *leases, void *writer);

//  The burial has ended: what was buried is acknowledged, and its lease dropped.
void
    zspool_doom_buried (zspool_doom_t *self, zspool_move_t *move, zspool_cursor_t *tracker,
                        zspool_leases_t *leases, int64_t now_ms);

//  All up to a sequence is gone; UINT64_MAX: all.
void
    zspool_doom_forget (zspool_doom_t *self, uint64_t to);

#endif
