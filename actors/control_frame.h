//  control_frame.h - messages on a store's control socket: how they are laid out in a stream of
//  bytes
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A message is a header and a list of strings, all little-endian:
//
//    body_bytes u32      of what follows the header
//    magic      2 bytes  "ZC"
//    version    u8       1
//    reserved   u8       0
//    strings             each: its bytes u32, the bytes
//
//  A request is a command and its arguments; a reply a code of zspool_error_t in decimal, then what
//  the command gives, or a line that says why it failed. To raise the version, let both sides go on
//  reading the old one; who gets a version that he does not know answers EVERSION in his own.

#ifndef ZSPOOL_CONTROL_FRAME_H_INCLUDED
#define ZSPOOL_CONTROL_FRAME_H_INCLUDED

#include "zspool_library.h"
#include <czmq.h>

#define ZSPOOL_CONTROL_FILE "zspool.control" //  name of the socket, in the store's directory
#define ZSPOOL_CONTROL_HEADER_BYTES 8
#define ZSPOOL_CONTROL_STRINGS_MAX 8192           //  most strings in a message
#define ZSPOOL_CONTROL_REQUEST_BYTES_MAX (64 * 1024)  //  largest body of a request
#define ZSPOOL_CONTROL_REPLY_BYTES_MAX (1024 * 1024)  //  largest body of a reply

//  Lay out a message; the caller frees *bytes. ETOOBIG when it is over a limit, ENOMEM.
int
    zspool_control_frame_encode (zmsg_t *message, size_t body_bytes_max, uint8_t **bytes,
                                 size_t *size);

//  Read a header: the size of the body that follows. ECORRUPT, EVERSION, ETOOBIG.
int
    zspool_control_frame_header (const uint8_t header [ZSPOOL_CONTROL_HEADER_BYTES],
                                 size_t body_bytes_max, size_t *body_bytes);

//  Read a body: a message, which the caller destroys. ECORRUPT: it is no list of strings, or an
//  empty one, or has more than ZSPOOL_CONTROL_STRINGS_MAX.
int
    zspool_control_frame_decode (const uint8_t *body, size_t size, zmsg_t **message);

#endif
