//  scripted.c - a service that says what a test has it say
//
//  SPDX-License-Identifier: MPL-2.0

#include "actors/scripted.h"

static void
s_bind (scripted_t *self)
{
    int linger = 0;
    self->router = zmq_socket (zsys_init (), ZMQ_ROUTER);
    zmq_setsockopt (self->router, ZMQ_LINGER, &linger, sizeof linger);
    //  The socket that was closed may hold the place for a moment.
    WAIT_UNTIL (zmq_bind (self->router, CLIENTS_ENDPOINT) == 0);
}

void
scripted_begin (scripted_t *self)
{
    *self = (scripted_t){ .router = NULL };
    zmq_msg_init (&self->peer);
    zmq_msg_init (&self->frame);
    s_bind (self);
}

void
scripted_end (scripted_t *self)
{
    zmq_close (self->router);
    zmq_msg_close (&self->peer);
    zmq_msg_close (&self->frame);
}

void
scripted_lose (scripted_t *self)
{
    zmq_close (self->router);
    s_bind (self);
}

//  Read a command; frames of records behind it are passed over.
static void
s_read (scripted_t *self)
{
    CHECK (zmq_msg_recv (&self->peer, self->router, 0) >= 0);
    CHECK (zmq_msg_recv (&self->frame, self->router, 0) >= 0);
    CHECK_OK (zsp_decode (&self->got, zmq_msg_data (&self->frame), zmq_msg_size (&self->frame)));
    for (int more = zmq_msg_more (&self->frame); more;) {
        zmq_msg_t rest;
        zmq_msg_init (&rest);
        zmq_msg_recv (&rest, self->router, 0);
        more = zmq_msg_more (&rest);
        zmq_msg_close (&rest);
    }
}

bool
scripted_hears (scripted_t *self, int timeout_ms)
{
    zmq_pollitem_t item = { self->router, 0, ZMQ_POLLIN, 0 };
    return zmq_poll (&item, 1, timeout_ms) == 1;
}

void
scripted_expect (scripted_t *self, uint8_t command)
{
    do {
        CHECK (scripted_hears (self, SELFTEST_WAIT_MS));
        s_read (self);
        if (self->got.command == ZSP_PING) {
            zsp_t pong = { .command = ZSP_PONG, .request = self->got.request };
            scripted_say (self, &pong, NULL, NULL, 0);
        }
    } while ((self->got.command == ZSP_PING || self->got.command == ZSP_CREDIT)
             && self->got.command != command);
    CHECK_EQ_U64 (self->got.command, command);
}

void
scripted_say (scripted_t *self, const zsp_t *command, const zsp_slice_t *slice, const void *records,
              size_t size)
{
    uint8_t bytes [1024];
    zsp_lists_t lists = { .slices = slice };
    CHECK (zsp_encode (command, &lists, NULL) <= sizeof bytes);
    size_t bytes_size = zsp_encode (command, &lists, bytes);
    zmq_msg_t to;
    zmq_msg_init (&to);
    zmq_msg_copy (&to, &self->peer);
    CHECK (zmq_msg_send (&to, self->router, ZMQ_SNDMORE) >= 0);
    CHECK (zmq_send (self->router, bytes, bytes_size, slice? ZMQ_SNDMORE: 0) >= 0);
    if (slice)
        CHECK (zmq_send (self->router, records, size, 0) >= 0);
}

void
scripted_welcome (scripted_t *self)
{
    scripted_expect (self, ZSP_HELLO);
    zsp_t welcome = { .command = ZSP_WELCOME, .request = self->got.request };
    welcome.as.welcome.session = 7;
    welcome.as.welcome.incarnation = 1;
    welcome.as.welcome.expiry_ms = self->got.as.hello.heartbeat_ms * ZSP_EXPIRY_HEARTBEATS;
    welcome.as.welcome.message_bytes_max =
        self->message_bytes_max? self->message_bytes_max: 1 << 20;
    welcome.as.welcome.transaction_bytes_max = 1 << 20;
    welcome.as.welcome.message_frames_max = 100;
    welcome.as.welcome.spool = (zsp_text_t){ "main", 4 };
    scripted_say (self, &welcome, NULL, NULL, 0);
}

void
scripted_open (scripted_t *self)
{
    scripted_expect (self, ZSP_OPEN);
    zsp_t opened = { .command = ZSP_OPENED, .request = self->got.request };
    opened.as.opened.spool = 1;
    scripted_say (self, &opened, NULL, NULL, 0);
}

void
scripted_produce (scripted_t *self, uint32_t epoch, uint64_t last)
{
    scripted_expect (self, ZSP_PRODUCE);
    zsp_t producing = { .command = ZSP_PRODUCING, .request = self->got.request };
    producing.as.producing.epoch = epoch;
    producing.as.producing.last = last;
    producing.as.producing.window_bytes = 1 << 20;
    scripted_say (self, &producing, NULL, NULL, 0);
}

void
scripted_subscribe (scripted_t *self, uint32_t generation)
{
    zsp_t subscribed = { .command = ZSP_SUBSCRIBED, .request = self->got.request };
    subscribed.flags = ZSP_FLAG_ACTIVE;
    subscribed.as.subscribed.subscription = 1;
    subscribed.as.subscribed.generation = generation;
    scripted_say (self, &subscribed, NULL, NULL, 0);
}

void
scripted_confirm (scripted_t *self, uint64_t cached, uint64_t committed)
{
    zsp_t confirm = { .command = ZSP_CONFIRM };
    confirm.as.confirm.cached = cached;
    confirm.as.confirm.committed = committed;
    confirm.as.confirm.window_bytes = 1 << 20;
    scripted_say (self, &confirm, NULL, NULL, 0);
}

void
scripted_answer (scripted_t *self, int rc, bool fatal)
{
    zsp_t answer = { .command = rc? ZSP_ERROR: ZSP_DONE, .request = self->got.request };
    if (rc) {
        answer.flags = fatal? ZSP_FLAG_FATAL: 0;
        answer.as.error.code = (uint16_t) -rc;
        answer.as.error.about = self->got.command;
        answer.as.error.text = (zsp_text_t){ "refused", 7 };
    }
    else if (self->got.command == ZSP_COMMIT)
        answer.as.done.number = self->got.as.commit.number;
    scripted_say (self, &answer, NULL, NULL, 0);
}
