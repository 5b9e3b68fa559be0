//  status.h - how an actor answers STATUS: a message of names and values
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_STATUS_H_INCLUDED
#define ZSPOOL_STATUS_H_INCLUDED

#include <czmq.h>

static inline void
zspool_status_add (zmsg_t *status, const char *name, uint64_t value)
{
    zmsg_addstr (status, name);
    zmsg_addstrf (status, "%llu", (unsigned long long) value);
}

#endif
