//  post.h - sends a service's commands to its clients
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of the service, on its thread. Nothing waits: what ZeroMQ does not take for a client is not
//  sent, and the caller is told.

#ifndef ZSPOOL_POST_H_INCLUDED
#define ZSPOOL_POST_H_INCLUDED

#include "session.h"

//  Send a command. EBUSY: the client takes nothing now; ELOST: it is gone.
int
    zspool_post_command (void *socket, const zspool_session_t *to, const zsp_t *command, const zsp_lists_t *lists);

//  The same to who has no session, but is known by a routing id.
int
    zspool_post_stranger (void *socket, const void *routing, size_t routing_size, const zsp_t *command);

//  Send an error.
int
    zspool_post_error (void *socket, const zspool_session_t *to, uint32_t request, uint8_t about, int code,
                       uint64_t number, const char *text, bool fatal);

//  Send pieces of a block as a DELIVER: large ones straight from the block, within the limits of
//  session.h. EBUSY: too much of what was sent before is with ZeroMQ still, or the client takes nothing
//  now; ELOST.
int
    zspool_post_deliver (void *socket, const zspool_session_t *to, uint32_t subscription, uint32_t generation,
                         zspool_block_t *block, const zspool_piece_t *pieces, size_t pieces_count);

#endif
