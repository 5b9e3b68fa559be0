//  post.h - sends a service's commands to its clients
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of the service, on its thread. Nothing waits. Answers that ZeroMQ does not take for a client
//  are owed to it: they are sent later, and nothing before them. Of whoever lets too much of them
//  pile up the session ends.

#ifndef ZSPOOL_POST_H_INCLUDED
#define ZSPOOL_POST_H_INCLUDED

#include "session.h"

//  Send a command, now or later. ELOST: the client is gone, or deaf; ENOMEM.
int
    zspool_post_command (void *socket, zspool_session_t *to, const zsp_t *command, const zsp_lists_t *lists);

//  Send what a client is owed, as far as it takes it.
void
    zspool_post_owed (void *socket, zspool_session_t *to);

//  Send a command to who has no session, but is known by a routing id. EBUSY: it takes nothing now, and
//  is not told later; ELOST, ENOMEM.
int
    zspool_post_stranger (void *socket, const void *routing, size_t routing_size, const zsp_t *command);

//  Send an error.
int
    zspool_post_error (void *socket, zspool_session_t *to, uint32_t request, uint8_t about, int code,
                       uint64_t number, const char *text, bool fatal);

//  Send pieces of a block as a DELIVER: large ones straight from the block, within the limits of
//  session.h. EBUSY: too much of what was sent before is with ZeroMQ still, or the client takes nothing
//  now; ELOST.
int
    zspool_post_deliver (void *socket, const zspool_session_t *to, uint32_t subscription, uint32_t generation,
                         zspool_block_t *block, const zspool_piece_t *pieces, size_t pieces_count);

#endif
