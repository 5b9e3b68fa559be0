//  traffic.h - what an outlet counts and measures of its deliveries, and tells under its label
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of an outlet, on its thread.

#ifndef ZSPOOL_TRAFFIC_H_INCLUDED
#define ZSPOOL_TRAFFIC_H_INCLUDED

#include "options.h"
#include "rate.h"
#include "request.h"

typedef struct {
    const char *label;             //  "out", or "feed/NAME"; not ours
    uint64_t sent;                 //  messages, first deliveries
    uint64_t resent;               //  messages, further deliveries
    uint64_t bytes;                //  of all deliveries
    uint64_t passed;               //  sequences that are of other topics, or in a gap
    zspool_measure_t wait;         //  from a message's numbering until it is sent, microseconds
    zspool_rate_t message_rate;    //  of all deliveries
    zspool_rate_t byte_rate;
} zspool_traffic_t;

//  Note at what rate messages were sent until now, and how long so many first deliveries among them
//  waited, which were stored at this time (microseconds since 1970).
void
    zspool_traffic_measure (zspool_traffic_t *self, uint64_t first_deliveries, int64_t stored_us);

//  Add a value to a STATUS under the label: out/NAME, or feed/FEED/NAME.
void
    zspool_traffic_add (const zspool_traffic_t *self, zmsg_t *status, const char *name, uint64_t value);

//  The same for a value that has a name without a label when it is of the main outlet. What is
//  ack/NAME there is NAME at a feed, for "ack" is its policy.
void
    zspool_traffic_add_own (const zspool_traffic_t *self, zmsg_t *status, const char *name, uint64_t value);

//  Add all that is counted and measured here.
void
    zspool_traffic_add_all (const zspool_traffic_t *self, zmsg_t *status);

#endif
