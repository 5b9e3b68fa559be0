//  request.h - requests to an actor over its pipe, and replies: numbered, so that one may be
//  answered while another waits
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A request is a message of the command's name, a number and arguments; its reply has the number,
//  a code of zspool_error_t and what the command gives. An actor may answer in any order.

#ifndef ZSPOOL_REQUEST_H_INCLUDED
#define ZSPOOL_REQUEST_H_INCLUDED

#include "histogram.h"
#include "zspool_store.h"
#include <czmq.h>

//  Take the next frame as a number; 0 when there is none.
static inline uint64_t
zspool_request_pop_number (zmsg_t *message)
{
    char *text = zmsg_popstr (message);
    uint64_t number = text? strtoull (text, NULL, 10): 0;
    zstr_free (&text);
    return number;
}

//  Receive a request: its command, which the caller frees, and its number; 0 when it has none. NULL
//  when the wait was interrupted. What is left in the message, the arguments, is in *arguments,
//  which the caller destroys; without it they are dropped.
static inline char *
zspool_request_recv (zsock_t *pipe, uint64_t *number, zmsg_t **arguments)
{
    zmsg_t *message = zmsg_recv (pipe);
    if (!message)
        return NULL;
    char *command = zmsg_popstr (message);
    *number = zspool_request_pop_number (message);
    if (arguments)
        *arguments = message;
    else
        zmsg_destroy (&message);
    return command;
}

//  Begin a request. The caller adds arguments, and sends it.
static inline zmsg_t *
zspool_request_new (const char *command, uint64_t number)
{
    zmsg_t *request = zmsg_new ();
    zmsg_addstr (request, command);
    zmsg_addstrf (request, "%llu", (unsigned long long) number);
    return request;
}

//  Begin a reply. The caller adds what the command gives, and sends it.
static inline zmsg_t *
zspool_reply_new (uint64_t number, int code)
{
    zmsg_t *reply = zmsg_new ();
    zmsg_addstrf (reply, "%llu", (unsigned long long) number);
    zmsg_addstrf (reply, "%d", code);
    return reply;
}

//  Add a name and its value to a reply.
static inline void
zspool_reply_add (zmsg_t *reply, const char *name, uint64_t value)
{
    zmsg_addstr (reply, name);
    zmsg_addstrf (reply, "%llu", (unsigned long long) value);
}

//  Add what a measure tells, under names that begin and end with these: of all values and of the
//  recent ones how many there are, which value half of them and 99 % are not above, and the
//  greatest.
static inline void
zspool_reply_add_measure (zmsg_t *reply, const char *prefix, const char *suffix,
                          const zspool_measure_t *measure, int64_t now_us)
{
    zspool_histogram_t recent;
    zspool_measure_recent (measure, now_us, &recent);
    const zspool_histogram_t *const all [] = { &measure->total, &recent };
    for (size_t index = 0; index < 2; index++) {
        const char *when = index? "recent_": "";
        char name [ZSPOOL_NAME_MAX + 80];
        snprintf (name, sizeof name, "%s%scount", prefix, when);
        zspool_reply_add (reply, name, all [index]->count);
        snprintf (name, sizeof name, "%s%sp50%s", prefix, when, suffix);
        zspool_reply_add (reply, name, zspool_histogram_percentile (all [index], 50));
        snprintf (name, sizeof name, "%s%sp99%s", prefix, when, suffix);
        zspool_reply_add (reply, name, zspool_histogram_percentile (all [index], 99));
        snprintf (name, sizeof name, "%s%smax%s", prefix, when, suffix);
        zspool_reply_add (reply, name, all [index]->max);
    }
}

//  The names and values of a message as a tree, which the caller destroys; NULL when memory is out.
static inline zconfig_t *
zspool_request_tree (zmsg_t *message)
{
    zconfig_t *tree = zconfig_new ("device", NULL);
    char *name, *value;
    while (tree && (name = zmsg_popstr (message))) {
        value = zmsg_popstr (message);
        if (value)
            zconfig_put (tree, name, value);
        zstr_free (&name);
        zstr_free (&value);
    }
    return tree;
}

#endif
