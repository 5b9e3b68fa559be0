//  service.h - the actor that speaks ZSP to producers and consumers
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_SERVICE_H_INCLUDED
#define ZSPOOL_SERVICE_H_INCLUDED

#include "handoff.h"
#include "options.h"
#include "zspool_library.h"
#include <czmq.h>

//  What to start a service with. On success the pipe is the service's; the rest is copied.
typedef struct {
    const zspool_options_t *options; //  endpoint, limits, policies
    zlist_t *spools;             //  names of those that clients may open; NULL or empty: all
    zlist_t *cursors;            //  names of the cursors on the device's own spool that outlets deliver through
    uint32_t spool;              //  the device's own
    uint64_t incarnation;        //  of the store
    bool indexed;                //  blocks tell the topics of their messages
    zsock_t *writer;             //  pipe to the writer
} zspool_service_args_t;

//  Requests on the actor's pipe (request.h), with replies; but START has no number, nor has its
//  reply:
//    START      attach to the endpoint, and serve. Reply: 0, endpoint; or a code, and why it could not be had
//    STOP       take nothing more in; when all that was taken is durable, or never can be, and cursors
//               were handed in: code, messages not durable. For 10 s at most
//    FLUSH      when all that was taken in is durable: code, 0
//    STATUS     reply: code, names and values, see zspool_device_status ()
//    $TERM      end; no reply
//
//  Returns the actor, or NULL when memory is out; then the pipe stays with the caller.
zactor_t *
    zspool_service_new (const zspool_service_args_t *args);

#endif
