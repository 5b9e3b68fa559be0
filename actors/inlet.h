//  inlet.h - the actor through which messages enter a device
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_INLET_H_INCLUDED
#define ZSPOOL_INLET_H_INCLUDED

#include "handoff.h"
#include "zspool_library.h"
#include <czmq.h>

//  What to start an inlet with
typedef struct {
    int socket_type;        //  ZMQ_PULL or ZMQ_SUB
    zlist_t *topics;        //  SUB: prefixes to subscribe to; none, or NULL: all. The caller's, until START
    bool indexed;           //  blocks tell the topics of their messages
    const char *endpoints;  //  as zsock_attach () takes them; `@` or none binds. "": nothing comes in
    size_t outlets;         //  how many its blocks go to
    int hwm;                //  messages
    size_t message_bytes_max;  //  larger messages are dropped, 1 to ZSPOOL_MESSAGE_BYTES_MAX
    size_t message_frames_max; //  with more frames, too, 1 to ZSPOOL_MESSAGE_FRAMES_MAX
    zsock_t *writer;        //  pipe to the writer; the inlet's from now on
} zspool_inlet_args_t;

//  Requests on the actor's pipe (request.h), with replies; but START has no number, nor has its
//  reply:
//    START      attach to the endpoints and take messages in. Reply: code, reason or endpoint
//    PAUSE      stop taking messages in. Reply: code, 0
//    RESUME     take them in again. Reply: code, 0
//    FLUSH      when all that was taken in is durable, or never can be: code, messages not durable
//    STOP       take in what is under way, then as FLUSH; for 10 s at most, 16 s when the disk is slow
//    STATUS     reply: code, names and values, see zspool_device_status ()
//    $TERM      end; no reply
//
//  Returns the actor, or NULL when memory is out; then the pipe stays with the caller.
zactor_t *
    zspool_inlet_new (const zspool_inlet_args_t *args);

#endif
