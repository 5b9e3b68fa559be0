//  ticket.c - codec of tickets
//
//  SPDX-License-Identifier: MPL-2.0
//
//  32 bytes, little-endian: version u8 (1); reserved u8 (0); attempt u16; spool u32; cursor u32;
//  generation u32; sequence u64; incarnation u64. To change the layout raise the version: devices
//  ignore, and count, tickets of a version they do not know, so deliveries made before an upgrade
//  are sent again.

#include "zspool_ticket.h"
#include "bytes.h"

#define TICKET_VERSION 1

void
zspool_ticket_encode (const zspool_ticket_t *self, uint8_t bytes [ZSPOOL_TICKET_BYTES])
{
    bytes [0] = TICKET_VERSION;
    bytes [1] = 0;
    put_u16 (bytes + 2, self->attempt);
    put_u32 (bytes + 4, self->spool);
    put_u32 (bytes + 8, self->cursor);
    put_u32 (bytes + 12, self->generation);
    put_u64 (bytes + 16, self->sequence);
    put_u64 (bytes + 24, self->incarnation);
}

int
zspool_ticket_decode (zspool_ticket_t *self, const void *data, size_t size)
{
    const uint8_t *bytes = (const uint8_t *) data;
    if (size != ZSPOOL_TICKET_BYTES)
        return ZSPOOL_ECORRUPT;
    if (bytes [0] > TICKET_VERSION)
        return ZSPOOL_EVERSION;
    if (bytes [0] != TICKET_VERSION || bytes [1] != 0)
        return ZSPOOL_ECORRUPT;
    self->attempt = get_u16 (bytes + 2);
    self->spool = get_u32 (bytes + 4);
    self->cursor = get_u32 (bytes + 8);
    self->generation = get_u32 (bytes + 12);
    self->sequence = get_u64 (bytes + 16);
    self->incarnation = get_u64 (bytes + 24);
    return ZSPOOL_OK;
}
