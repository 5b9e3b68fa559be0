//  control.h - the actor that a device is: owns inlet, outlet and writer, and answers for them
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_ACTORS_CONTROL_H_INCLUDED
#define ZSPOOL_ACTORS_CONTROL_H_INCLUDED

#include <czmq.h>

//  What to start a control with. The actors run, and have been told to START; they and `about` are
//  the control's from now on.
typedef struct {
    const char *directory;   //  of the store
    zactor_t *inlet;
    zactor_t *writer;
    zactor_t **outlets;      //  1 to ZSPOOL_OUTLETS_MAX; the array stays the caller's
    const char *const *labels; //  of these, likewise
    size_t outlets_count;
    zactor_t *service;       //  NULL: there is none
    zmsg_t *about;           //  names and values that STATUS gives as they are
} zspool_control_args_t;

//  Requests on the actor's pipe (request.h): those of control.c's table. Unasked it sends: FAILED,
//  reason, when the store has failed.
//
//  Returns the actor, or NULL when memory is out; then all stays with the caller.
zactor_t *
    zspool_control_actor_new (const zspool_control_args_t *args);

#endif
