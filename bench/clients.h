//  clients.h - what the benchmark programs with the classes of libzspool share
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLIENTS_H_INCLUDED
#define CLIENTS_H_INCLUDED

#include "bench.h"
#include "zspool.h"

#include <sys/resource.h>

#define CLIENTS_MAX 1000      //  of one process: each has a thread of its own
#define CLIENTS_MANY 100      //  more need more sockets, and files, than are usual

//  Have room for so many clients, and be killed by signals at once. Call it before the first
//  client.
static inline void
clients_prepare (uint64_t count)
{
    struct rlimit files;
    zsys_handler_set (NULL);
    if (count <= CLIENTS_MANY)
        return;
    zsys_set_max_sockets (0);
    if (getrlimit (RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit (RLIMIT_NOFILE, &files);
    }
}

#endif
