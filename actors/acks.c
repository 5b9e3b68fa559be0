//  acks.c - takes tickets in, and acknowledges on an outlet's cursor what they stand for
//
//  SPDX-License-Identifier: MPL-2.0

#include "acks.h"

//  Most tickets taken between two looks at the outlet's other sockets
#define BATCH_TICKETS 4000

static void
s_take_ticket (zspool_acks_t *self, const uint8_t *bytes)
{
    zspool_ticket_t ticket;
    if (zspool_ticket_decode (&ticket, bytes, ZSPOOL_TICKET_BYTES)) {
        self->bad++;
        return;
    }
    bool ours = ticket.spool == self->ours->spool && ticket.cursor == self->ours->cursor
                && ticket.generation == self->ours->generation
                && ticket.incarnation == self->ours->incarnation
                && ticket.sequence <= zspool_cursor_sent_to (self->cursor);
    if (ours && zspool_cursor_ack (self->cursor, ticket.sequence, ticket.sequence) > 0)
        self->good++;
    else
        self->stale++;
}

//  Take the tickets of a frame, one behind the other. Returns what it adds to the batch.
static size_t
s_take_frame (zspool_acks_t *self, const uint8_t *bytes, size_t size)
{
    if (size == 0 || size % ZSPOOL_TICKET_BYTES != 0) {
        self->bad++;
        return 1;
    }
    for (size_t at = 0; at < size; at += ZSPOOL_TICKET_BYTES)
        s_take_ticket (self, bytes + at);
    return size / ZSPOOL_TICKET_BYTES;
}

void
zspool_acks_receive (zspool_acks_t *self)
{
    void *socket = zsock_resolve (self->socket);
    zmq_msg_t frame;
    zmq_msg_init (&frame);
    size_t count = 0;
    while (count < BATCH_TICKETS && zmq_msg_recv (&frame, socket, ZMQ_DONTWAIT) >= 0)
        count += s_take_frame (self, (const uint8_t *) zmq_msg_data (&frame), zmq_msg_size (&frame));
    zmq_msg_close (&frame);
}
