//  socket.c - the sockets of a device that peers see
//
//  SPDX-License-Identifier: MPL-2.0

#include "socket.h"

#include <stdlib.h>
#include <string.h>

//  libzmq takes a connection whose first byte is not 0xFF for a peer of ZMTP 1.0, so an HTTP
//  request would be given messages, or put some in. With a ZAP domain set it refuses such peers. No
//  ZAP handler is needed; where the application runs one, it is asked about this domain.
#define ZAP_DOMAIN "zspool"

zsock_t *
zspool_socket_new (int type, int hwm, int64_t max_bytes, int linger_ms)
{
    zsock_t *socket = zsock_new (type);
    if (!socket)
        return NULL;
    zsock_set_sndhwm (socket, hwm);
    zsock_set_rcvhwm (socket, hwm);
    zsock_set_linger (socket, linger_ms);
    zsock_set_tcp_keepalive (socket, 1);
    zsock_set_zap_domain (socket, ZAP_DOMAIN);
    zmq_setsockopt (zsock_resolve (socket), ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes);
    return socket;
}

//  libzmq takes a port modulo 65536.
static bool
s_port_is_too_high (const char *endpoints)
{
    const char *colon = strrchr (endpoints, ':');
    return strstr (endpoints, "tcp://") && colon && strtol (colon + 1, NULL, 10) > 65535;
}

int
zspool_socket_attach (zsock_t *socket, const char *endpoints, const char **reason)
{
    if (s_port_is_too_high (endpoints))
        errno = EINVAL;
    else if (zsock_attach (socket, endpoints, true) == 0)
        return ZSPOOL_OK;
    int error = zmq_errno ();
    *reason = zmq_strerror (error);
    bool malformed = error == EINVAL || error == EPROTONOSUPPORT || error == ENOCOMPATPROTO;
    return malformed? ZSPOOL_EINVAL: ZSPOOL_EADDR;
}

const char *
zspool_socket_endpoint (zsock_t *socket, const char *endpoints)
{
    const char *endpoint = zsock_endpoint (socket);
    return endpoint? endpoint: endpoints;
}
