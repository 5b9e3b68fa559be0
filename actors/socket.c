//  socket.c - the sockets of a device that peers see
//
//  SPDX-License-Identifier: MPL-2.0

#include "socket.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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

//  libzmq removes the file of an ipc endpoint that is in use, and so takes it over. Whether
//  somebody answers there
static bool
s_is_taken (const char *endpoint)
{
    if (*endpoint == '@')
        endpoint++;
    const char *path = strncmp (endpoint, "ipc://", 6) == 0? endpoint + 6: "";
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t length = strcspn (path, ",");
    if (length == 0 || length >= sizeof address.sun_path || *path == '@' || *path == '*')
        return false;
    memcpy (address.sun_path, path, length);
    int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool taken = fd >= 0 && connect (fd, (struct sockaddr *) &address, sizeof address) == 0;
    if (fd >= 0)
        close (fd);
    return taken;
}

//  The same for one of several endpoints
static bool
s_one_is_taken (const char *endpoints)
{
    bool taken = s_is_taken (endpoints);
    while (!taken && (endpoints = strchr (endpoints, ',')))
        taken = s_is_taken (++endpoints);
    return taken;
}

int
zspool_socket_attach (zsock_t *socket, const char *endpoints, const char **reason)
{
    if (s_port_is_too_high (endpoints))
        errno = EINVAL;
    else if (s_one_is_taken (endpoints))
        errno = EADDRINUSE;
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
