//  feeds.h - options of a device that may be given more than once: its feeds, topics and filters
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_FEEDS_H_INCLUDED
#define ZSPOOL_FEEDS_H_INCLUDED

#include "options.h"
#include "zspool_filter.h"
#include "zspool_start.h"
#include <czmq.h>

//  A feed: a named durable reader with its own endpoint
typedef struct {
    char name [ZSPOOL_NAME_MAX + 1]; //  of its cursor
    char endpoint [ZSPOOL_OPTION_TEXT_MAX + 1]; //  "": only spoken of until now
    char ack_in [ZSPOOL_OPTION_TEXT_MAX + 1];   //  explicit; else ""
    char start [ZSPOOL_OPTION_TEXT_MAX + 1];    //  where its cursor begins; "": where the device's option says
    int socket_type;                 //  ZMQ_PUSH or ZMQ_XPUB
    bool ack_given;
    zspool_ack_policy_t ack;         //  when given; else the device's
    zlist_t *filters;                //  texts; none: all messages
} zspool_feed_t;

typedef struct {
    zspool_feed_t *feeds [ZSPOOL_FEEDS_MAX];
    size_t count;
    zlist_t *topics;                 //  prefixes that a SUB in subscribes to; none: all
    zlist_t *out_filters;            //  texts, of the main outlet
    zlist_t *service_spools;         //  names of those that the service gives; none: all
} zspool_feeds_t;

//  ENOMEM.
int
    zspool_feeds_init (zspool_feeds_t *self);
void
    zspool_feeds_destroy (zspool_feeds_t *self);

//  Take an option, if it is one of these. ENOENT: it is not; EINVAL: *reason has a line that says
//  what is wrong; ENOMEM.
int
    zspool_feeds_set (zspool_feeds_t *self, const char *name, const char *value, char *reason,
                      size_t reason_size);

//  Check that all fits together, and the other options. EINVAL likewise.
int
    zspool_feeds_check (const zspool_feeds_t *self, const zspool_options_t *options, char *reason,
                        size_t reason_size);

//  The policy that a feed has.
zspool_ack_policy_t
    zspool_feed_ack (const zspool_feed_t *self, const zspool_options_t *options);

//  Compile filters from their texts: *filter_p becomes NULL when there are none. ENOMEM.
int
    zspool_feeds_compile (zlist_t *texts, zspool_filter_t **filter_p);

#endif
