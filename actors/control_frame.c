//  control_frame.c - messages on a store's control socket: how they are laid out
//
//  SPDX-License-Identifier: MPL-2.0

#include "control_frame.h"
#include "bytes.h"

#define MAGIC "ZC"
#define VERSION 1
#define SIZE_BYTES 4    //  before each string

int
zspool_control_frame_encode (zmsg_t *message, size_t body_bytes_max, uint8_t **bytes, size_t *size)
{
    size_t body_bytes = zmsg_content_size (message) + SIZE_BYTES * zmsg_size (message);
    if (body_bytes > body_bytes_max || zmsg_size (message) > ZSPOOL_CONTROL_STRINGS_MAX)
        return ZSPOOL_ETOOBIG;
    uint8_t *buffer = (uint8_t *) malloc (ZSPOOL_CONTROL_HEADER_BYTES + body_bytes);
    if (!buffer)
        return ZSPOOL_ENOMEM;
    put_u32 (buffer, (uint32_t) body_bytes);
    memcpy (buffer + 4, MAGIC, 2);
    buffer [6] = VERSION;
    buffer [7] = 0;
    uint8_t *at = buffer + ZSPOOL_CONTROL_HEADER_BYTES;
    for (zframe_t *frame = zmsg_first (message); frame; frame = zmsg_next (message)) {
        put_u32 (at, (uint32_t) zframe_size (frame));
        memcpy (at + SIZE_BYTES, zframe_data (frame), zframe_size (frame));
        at += SIZE_BYTES + zframe_size (frame);
    }
    *bytes = buffer;
    *size = ZSPOOL_CONTROL_HEADER_BYTES + body_bytes;
    return ZSPOOL_OK;
}

int
zspool_control_frame_header (const uint8_t header [ZSPOOL_CONTROL_HEADER_BYTES],
                             size_t body_bytes_max, size_t *body_bytes)
{
    if (memcmp (header + 4, MAGIC, 2) != 0)
        return ZSPOOL_ECORRUPT;
    if (header [6] != VERSION || header [7] != 0)
        return ZSPOOL_EVERSION;
    if (get_u32 (header) > body_bytes_max)
        return ZSPOOL_ETOOBIG;
    *body_bytes = get_u32 (header);
    return ZSPOOL_OK;
}

int
zspool_control_frame_decode (const uint8_t *body, size_t size, zmsg_t **message_p)
{
    zmsg_t *message = zmsg_new ();
    size_t at = 0;
    while (size - at >= SIZE_BYTES && zmsg_size (message) < ZSPOOL_CONTROL_STRINGS_MAX) {
        size_t string_bytes = get_u32 (body + at);
        if (string_bytes > size - at - SIZE_BYTES)
            break;
        zmsg_addmem (message, body + at + SIZE_BYTES, string_bytes);
        at += SIZE_BYTES + string_bytes;
    }
    if (at != size || zmsg_size (message) == 0) {
        zmsg_destroy (&message);
        return ZSPOOL_ECORRUPT;
    }
    *message_p = message;
    return ZSPOOL_OK;
}
