//  scripted.h - a service that says what a test has it say
//
//  SPDX-License-Identifier: MPL-2.0
//
//  For what no device does at will: it answers late, or never, loses the connection between two
//  commands, has an older store. Everything here ends the test when it fails.

#ifndef SCRIPTED_H_INCLUDED
#define SCRIPTED_H_INCLUDED

#include "actors/clients.h"
#include "zsp.h"

typedef struct {
    void *router;              //  at CLIENTS_ENDPOINT
    zmq_msg_t peer;            //  who has spoken last
    zmq_msg_t frame;           //  what was said
    zsp_t got;                 //  the same, decoded
    uint32_t message_bytes_max; //  as WELCOME tells; 0: 1 MiB
} scripted_t;

void
    scripted_begin (scripted_t *self);
void
    scripted_end (scripted_t *self);

//  Wait for this command; PINGs before it are answered, CREDIT passed over. What it says is in
//  self->got.
void
    scripted_expect (scripted_t *self, uint8_t command);

//  Wait until a command has come, for at most so long; false: none has.
bool
    scripted_hears (scripted_t *self, int timeout_ms);

//  Say something to who has spoken last, with a frame of records when it is not NULL.
void
    scripted_say (scripted_t *self, const zsp_t *command, const zsp_slice_t *slice,
                  const void *records, size_t size);

//  Lose all connections.
void
    scripted_lose (scripted_t *self);

//  Answers: WELCOME to HELLO; OPENED to OPEN; PRODUCING to PRODUCE, then OPENED; SUBSCRIBED.
void
    scripted_welcome (scripted_t *self);
void
    scripted_open (scripted_t *self);
void
    scripted_produce (scripted_t *self, uint32_t epoch, uint64_t last);
void
    scripted_subscribe (scripted_t *self, uint32_t generation);
void
    scripted_confirm (scripted_t *self, uint64_t cached, uint64_t committed);

//  DONE, or with a code ERROR, to what was got last
void
    scripted_answer (scripted_t *self, int rc, bool fatal);

#endif
