//  link.c - whether bytes move over a connection, though no whole message has come
//
//  SPDX-License-Identifier: MPL-2.0

#include "link.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#if defined (__linux__)
//  The system's own: the C library's ends before what is wanted here.
#include <linux/tcp.h>

//  Whether the system knows the fields up to `bytes`
static bool
s_ask (int fd, struct tcp_info *info, size_t bytes)
{
    socklen_t size = sizeof *info;
    memset (info, 0, sizeof *info);
    return fd >= 0 && getsockopt (fd, IPPROTO_TCP, TCP_INFO, info, &size) == 0 && size >= bytes;
}

int64_t
zspool_link_silent_ms (int fd)
{
    struct tcp_info info;
    return s_ask (fd, &info, offsetof (struct tcp_info, tcpi_last_ack_recv))?
               (int64_t) info.tcpi_last_data_recv:
               INT64_MAX;
}

uint64_t
zspool_link_taken (int fd)
{
    struct tcp_info info;
    bool known = s_ask (fd, &info, offsetof (struct tcp_info, tcpi_min_rtt));
    return known && info.tcpi_notsent_bytes > 0? info.tcpi_bytes_acked: 0;
}
#else
int64_t
zspool_link_silent_ms (int fd)
{
    (void) fd;
    return INT64_MAX;
}

uint64_t
zspool_link_taken (int fd)
{
    (void) fd;
    return 0;
}
#endif
