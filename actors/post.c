//  post.c - sends a service's commands to its clients
//
//  SPDX-License-Identifier: MPL-2.0

#include "post.h"
#include "tsan.h"

#include <stdlib.h>
#include <string.h>

//  A DELIVER with less than this is copied, and in a larger one pieces with less than that. A
//  larger command of another kind is on the client's account.
#define COPY_BYTES_MAX 4096
#define COPY_PIECE_BYTES_MAX 512
//  About what the frames of a small DELIVER take besides their bytes
#define FRAMES_BYTES 256

//  Send the routing id: then the rest of the message is taken, too.
static int
s_begin (void *socket, const void *routing, size_t routing_size)
{
    if (zmq_send (socket, routing, routing_size, ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0)
        return ZSPOOL_OK;
    return zmq_errno () == EAGAIN? ZSPOOL_EBUSY: ZSPOOL_ELOST;
}

//  Make the frame of a command.
static int
s_make_command (zmq_msg_t *frame, const zsp_t *command, const zsp_lists_t *lists)
{
    if (zmq_msg_init_size (frame, zsp_encode (command, lists, NULL)))
        return ZSPOOL_ENOMEM;
    zsp_encode (command, lists, (uint8_t *) zmq_msg_data (frame));
    return ZSPOOL_OK;
}

//  Send a command to a routing id, and whether frames follow. Nothing was sent when it fails.
static int
s_send_command (void *socket, const void *routing, size_t routing_size, const zsp_t *command,
                const zsp_lists_t *lists, int flags)
{
    zmq_msg_t frame;
    int rc = s_make_command (&frame, command, lists);
    if (rc)
        return rc;
    rc = s_begin (socket, routing, routing_size);
    if (rc == ZSPOOL_OK && zmq_msg_send (&frame, socket, ZMQ_DONTWAIT | flags) < 0)
        rc = ZSPOOL_ELOST;
    if (rc)
        zmq_msg_close (&frame);
    return rc;
}

//  Send one frame to a client, and whether others follow. Nothing was sent when it fails; the frame is closed when it was,
//  or never can be.
static int
s_send_frame (void *socket, const zspool_session_t *to, zmq_msg_t *frame, int flags)
{
    int rc = s_begin (socket, to->routing, to->routing_size);
    if (rc == ZSPOOL_OK && zmq_msg_send (frame, socket, ZMQ_DONTWAIT | flags) < 0)
        rc = ZSPOOL_ELOST;
    if (rc == ZSPOOL_ELOST)
        zmq_msg_close (frame);
    return rc;
}

//  Keep a frame until the client takes it.
static int
s_owe (zspool_session_t *to, zmq_msg_t *frame)
{
    size_t bytes = sizeof (zspool_owed_t) + zmq_msg_size (frame);
    to->deaf = to->deaf || to->owed_bytes + bytes > ZSPOOL_SESSION_OWED_MAX
               || *to->owed_total + bytes > ZSPOOL_SERVICE_OWED_MAX;
    zspool_owed_t *owed = to->deaf? NULL: (zspool_owed_t *) malloc (sizeof *owed);
    if (!owed) {
        to->deaf = true; //  it would wait for that
        zmq_msg_close (frame);
        return ZSPOOL_ELOST;
    }
    owed->command = *frame;
    owed->next = NULL;
    *to->owed_end = owed;
    to->owed_end = &owed->next;
    to->owed_bytes += bytes;
    *to->owed_total += bytes;
    return ZSPOOL_OK;
}

int
zspool_post_command (void *socket, zspool_session_t *to, const zsp_t *command,
                     const zsp_lists_t *lists)
{
    zmq_msg_t frame;
    size_t size = zsp_encode (command, lists, NULL);
    if (size > COPY_BYTES_MAX && zspool_pins_message (to->pins, &frame, size, size))
        return ZSPOOL_ENOMEM;
    int rc = size > COPY_BYTES_MAX? 0: zmq_msg_init_size (&frame, size);
    to->deaf = to->deaf || rc; //  it would wait for that
    if (rc)
        return ZSPOOL_ENOMEM;
    zsp_encode (command, lists, (uint8_t *) zmq_msg_data (&frame));
    zspool_tsan_release (zmq_msg_data (&frame));
    rc = to->owed || to->deaf? ZSPOOL_EBUSY: s_send_frame (socket, to, &frame, 0);
    return rc == ZSPOOL_EBUSY? s_owe (to, &frame): rc;
}

void
zspool_post_owed (void *socket, zspool_session_t *to)
{
    while (to->owed) {
        zspool_owed_t *owed = to->owed;
        size_t bytes = sizeof (zspool_owed_t) + zmq_msg_size (&owed->command);
        if (s_send_frame (socket, to, &owed->command, 0) == ZSPOOL_EBUSY)
            return;
        to->owed_bytes -= bytes;
        *to->owed_total -= bytes;
        to->owed = owed->next;
        if (!to->owed)
            to->owed_end = &to->owed;
        free (owed);
    }
}

int
zspool_post_stranger (void *socket, const void *routing, size_t routing_size, const zsp_t *command)
{
    return s_send_command (socket, routing, routing_size, command, NULL, 0);
}

int
zspool_post_error (void *socket, zspool_session_t *to, uint32_t request, uint8_t about, int code,
                   uint64_t number, const char *text, bool fatal)
{
    zsp_t error = { .command = ZSP_ERROR, .request = request, .flags = fatal? ZSP_FLAG_FATAL: 0 };
    error.as.error.code = (uint16_t) -code;
    error.as.error.about = about;
    error.as.error.number = number;
    error.as.error.text = (zsp_text_t){ text, strlen (text) };
    if (error.as.error.text.size > ZSP_TEXT_BYTES_MAX)
        error.as.error.text.size = ZSP_TEXT_BYTES_MAX;
    return zspool_post_command (socket, to, &error, NULL);
}

//  Make the frame of a piece. Of a large DELIVER the last is sent from the block, whatever its
//  size: as long as that is pinned, it is known how much ZeroMQ holds.
static int
s_make_frame (const zspool_piece_t *piece, zspool_pin_t *pin, bool last, zmq_msg_t *frame)
{
    if (pin && (last || piece->size > COPY_PIECE_BYTES_MAX))
        return zspool_pin_message (pin, frame, piece->records, piece->size);
    if (zmq_msg_init_size (frame, piece->size))
        return -1;
    memcpy (zmq_msg_data (frame), piece->records, piece->size);
    return 0;
}

//  Send the command of a DELIVER. What is copied counts on the client's account with it.
static int
s_begin_deliver (void *socket, const zspool_session_t *to, const zsp_t *command,
                 const zsp_lists_t *lists, size_t copied)
{
    zmq_msg_t frame;
    size_t size = zsp_encode (command, lists, NULL);
    if (zspool_pins_message (to->pins, &frame, size, size + copied + FRAMES_BYTES))
        return ZSPOOL_EBUSY;
    zsp_encode (command, lists, (uint8_t *) zmq_msg_data (&frame));
    zspool_tsan_release (zmq_msg_data (&frame));
    int rc = s_send_frame (socket, to, &frame, ZMQ_SNDMORE);
    if (rc == ZSPOOL_EBUSY)
        zmq_msg_close (&frame);
    return rc;
}

int
zspool_post_deliver (void *socket, const zspool_session_t *to, uint32_t subscription,
                     uint32_t generation, zspool_block_t *block, const zspool_piece_t *pieces,
                     size_t pieces_count)
{
    zsp_slice_t slices [ZSP_SLICES_MAX];
    zsp_t command = { .command = ZSP_DELIVER };
    command.as.deliver.subscription = subscription;
    command.as.deliver.generation = generation;
    command.as.deliver.slices_count = (uint16_t) pieces_count;
    zsp_lists_t lists = { .slices = slices };
    size_t bytes = 0;
    if (to->owed || to->deaf)
        return ZSPOOL_EBUSY;
    for (size_t index = 0; index < pieces_count; index++) {
        slices [index] = (zsp_slice_t){ pieces [index].first, zspool_block_stored_us (block),
                                        pieces [index].count, pieces [index].deliveries };
        bytes += pieces [index].size;
    }
    zspool_pin_t *pin = bytes > COPY_BYTES_MAX? zspool_pin_new (to->pins, block): NULL;
    if (bytes > COPY_BYTES_MAX && !pin)
        return ZSPOOL_EBUSY;
    int rc = pin? s_send_command (socket, to->routing, to->routing_size, &command, &lists,
                                  ZMQ_SNDMORE):
                  s_begin_deliver (socket, to, &command, &lists, bytes);
    for (size_t index = 0; rc == ZSPOOL_OK && index < pieces_count; index++) {
        zmq_msg_t frame;
        //  What was begun must be ended: out of memory here the client gets an empty frame, and
        //  says so.
        bool last = index + 1 == pieces_count;
        if (s_make_frame (&pieces [index], pin, last, &frame))
            zmq_msg_init (&frame);
        if (zmq_msg_send (&frame, socket, ZMQ_DONTWAIT | (last? 0: ZMQ_SNDMORE)) < 0) {
            zmq_msg_close (&frame);
            rc = ZSPOOL_ELOST;
        }
    }
    zspool_pin_release (&pin);
    return rc;
}
