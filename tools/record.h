//  record.h - sends a stored message
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef RECORD_H_INCLUDED
#define RECORD_H_INCLUDED

#include "zspool_block.h"

//  Send the message of a block through a ZeroMQ socket, without blocking. 0: ZeroMQ has taken it
//  whole. -1: it has not; zmq_errno () is EAGAIN when it can be sent again later. Of the record no
//  frame has been taken. ZeroMQ may keep references to the block.
int
    record_send (const zspool_record_t *record, zspool_block_t *block, void *socket);

#endif
