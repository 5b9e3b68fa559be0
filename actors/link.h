//  link.h - whether bytes move over a connection, though no whole message has come
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Heartbeats wait behind a long message, on both sides: who counts messages alone takes its sender
//  for dead. So who would be given up is looked at once more. Only TCP on Linux can tell; elsewhere
//  there is nothing to see, and only messages count.
//
//  A descriptor may have been closed meanwhile, and be another one's: nothing but numbers are read,
//  and the end of the connection is told otherwise, soon.

#ifndef ZSPOOL_LINK_H_INCLUDED
#define ZSPOOL_LINK_H_INCLUDED

#include <stdint.h>

//  Milliseconds since bytes came from the peer; INT64_MAX: that cannot be told.
int64_t
    zspool_link_silent_ms (int fd);

//  Bytes that the peer's system has taken, while more wait to be sent to it; 0: none wait, or that
//  cannot be told. When this grows, something that is longer than a heartbeat is under way.
uint64_t
    zspool_link_taken (int fd);

#endif
