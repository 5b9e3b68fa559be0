//  socket.h - the sockets of a device that peers see
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_SOCKET_H_INCLUDED
#define ZSPOOL_SOCKET_H_INCLUDED

#include "zspool_library.h"
#include <czmq.h>

//  Create a socket with a device's usual options; NULL when there are no more. `hwm` is in
//  messages, max_bytes the largest frame that a peer may send, linger_ms how long what was sent may
//  take when it is closed.
zsock_t *
    zspool_socket_new (int type, int hwm, int64_t max_bytes, int linger_ms);

//  Attach it to endpoints as zsock_attach () takes them; `@` or none binds. EINVAL: malformed;
//  EADDR: cannot be had; *reason is a static text that says why.
int
    zspool_socket_attach (zsock_t *socket, const char *endpoints, const char **reason);

//  The endpoint it is bound to, with a wildcard resolved, or the endpoints given when it connects.
const char *
    zspool_socket_endpoint (zsock_t *socket, const char *endpoints);

#endif
