//  again.h - sends again what was not acknowledged in time, under explicit
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of an outlet, on its thread. What was delivered too often is gathered for its burial
//  instead.

#ifndef ZSPOOL_AGAIN_H_INCLUDED
#define ZSPOOL_AGAIN_H_INCLUDED

#include "burial.h"
#include "finder.h"
#include "sender.h"
#include "traffic.h"
#include "zspool_filter.h"

typedef struct {
    zspool_cursor_t *cursor;     //  not ours
    zspool_filter_t *filter;     //  likewise; NULL: all messages
    zspool_finder_t finder;      //  of what is sent again
    zspool_burial_t burial;      //  of what was delivered too often
    zspool_traffic_t *traffic;   //  where deliveries are counted; not ours
} zspool_again_t;

//  Send, or gather, what is due at a time, a bounded number at a time, with tickets like this; then
//  hand what was gathered to the writer. EFULL: no peer takes a message now; ENOMEM: not all could
//  be done, try again a little later; ESYSTEM: the context ends; or why the outlet fails.
int
    zspool_again_serve (zspool_again_t *self, zspool_sender_t *sender, zspool_ticket_t *ticket, void *writer,
                        int64_t now_ms);

//  Whether there is something for it to do.
bool
    zspool_again_has_work (const zspool_again_t *self, int64_t now_ms);

#endif
