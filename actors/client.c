//  client.c - what a producer and a consumer share: a session with a service
//
//  SPDX-License-Identifier: MPL-2.0

#include "client.h"
#include "link.h"
#include "run.h"

#include <stdlib.h>
#include <string.h>

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
#define CONNECT_MS 5000 //  an attempt to connect takes at most
#define AGENT "zspool " ZSPOOL_VERSION_STRING

void
zspool_client_init (zspool_client_t *self, const char *endpoint, uint32_t heartbeat_ms)
{
    memset (self, 0, sizeof *self);
    endpoint += *endpoint == '>';
    snprintf (self->endpoint, sizeof self->endpoint, "%s", endpoint);
    self->heartbeat_ms = heartbeat_ms;
    self->backoff_ms = BACKOFF_MIN_MS;
    self->fd = -1;
}

bool
zspool_client_is_endpoint (const char *endpoint)
{
    endpoint += *endpoint == '>';
    if (!*endpoint || *endpoint == '@' || strlen (endpoint) > 1000 || strchr (endpoint, ','))
        return false;
    void *socket = zmq_socket (zsys_init (), ZMQ_DEALER);
    int linger = 0;
    if (!socket)
        return true;
    zmq_setsockopt (socket, ZMQ_LINGER, &linger, sizeof linger);
    bool valid = zmq_connect (socket, endpoint) == 0;
    zmq_close (socket);
    return valid;
}

bool
zspool_client_is_name (const char *name)
{
    size_t length = strlen (name);
    bool valid = length > 0 && length <= ZSP_NAME_BYTES_MAX;
    for (size_t index = 0; valid && index < length; index++)
        valid = (unsigned char) name [index] >= 33 && name [index] != '/';
    return valid;
}

int
zspool_client_parse (const char *option, const char *value, uint64_t min, uint64_t max,
                     uint64_t *number, char *reason, size_t reason_size)
{
    char *end = NULL;
    errno = 0;
    unsigned long long parsed = *value >= '0' && *value <= '9'? strtoull (value, &end, 10): 0;
    int shift = !end? 0: *end == 'K'? 10: *end == 'M'? 20: *end == 'G'? 30: 0;
    if (end && shift)
        end++;
    if (!end || *end || errno || parsed > UINT64_MAX >> shift || parsed << shift < min
        || parsed << shift > max) {
        snprintf (reason, reason_size, "%s: must be a number from %llu to %llu; not '%.80s'",
                  option, (unsigned long long) min, (unsigned long long) max, value);
        return ZSPOOL_EINVAL;
    }
    *number = parsed << shift;
    return ZSPOOL_OK;
}

static void
s_close_frames (zspool_client_t *self)
{
    while (self->frames_count > 0)
        zmq_msg_close (&self->frames [--self->frames_count]);
}

static void
s_close (zspool_client_t *self, int linger_ms)
{
    s_close_frames (self);
    if (self->monitor) {
        zmq_socket_monitor (self->socket, NULL, 0);
        zmq_close (self->monitor);
    }
    if (self->socket) {
        zmq_setsockopt (self->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
        zmq_close (self->socket);
    }
    self->socket = self->monitor = NULL;
    self->fd = -1;
    self->moved = 0;
    self->state = ZSPOOL_CLIENT_DOWN;
}

void
zspool_client_end (zspool_client_t *self, bool bye)
{
    zsp_t command = { .command = ZSP_BYE };
    if (bye && self->state == ZSPOOL_CLIENT_UP)
        zspool_client_send (self, &command, NULL, NULL, 0);
    s_close (self, bye? 1000: 0);
}

void
zspool_client_drop (zspool_client_t *self, int64_t now_ms)
{
    s_close (self, 0);
    self->retry_ms = now_ms + self->backoff_ms;
    self->backoff_ms = self->backoff_ms * 2 < BACKOFF_MAX_MS? self->backoff_ms * 2: BACKOFF_MAX_MS;
}

int
zspool_client_send (zspool_client_t *self, const zsp_t *command, const zsp_lists_t *lists,
                    zmq_msg_t *frames, size_t frames_count)
{
    zmq_msg_t message;
    if (!self->socket)
        return ZSPOOL_ELOST;
    if (zmq_msg_init_size (&message, zsp_encode (command, lists, NULL)))
        return ZSPOOL_ENOMEM;
    zsp_encode (command, lists, (uint8_t *) zmq_msg_data (&message));
    if (zmq_msg_send (&message, self->socket, ZMQ_DONTWAIT | (frames_count? ZMQ_SNDMORE: 0)) < 0) {
        zmq_msg_close (&message);
        return zmq_errno () == EAGAIN? ZSPOOL_EBUSY: ZSPOOL_ELOST;
    }
    for (size_t index = 0; index < frames_count; index++) {
        int flags = ZMQ_DONTWAIT | (index + 1 < frames_count? ZMQ_SNDMORE: 0);
        if (zmq_msg_send (&frames [index], self->socket, flags) < 0)
            return ZSPOOL_ELOST;
    }
    self->spoke_ms = zclock_mono ();
    return ZSPOOL_OK;
}

static void
s_welcomed (zspool_client_t *self)
{
    const zsp_t *command = &self->command;
    self->session = command->as.welcome.session;
    self->expiry_ms = command->as.welcome.expiry_ms;
    self->message_bytes_max = command->as.welcome.message_bytes_max;
    self->message_frames_max = command->as.welcome.message_frames_max;
    self->transaction_bytes_max = command->as.welcome.transaction_bytes_max;
    self->durability = command->as.welcome.durability;
    zsp_text_copy (self->spool, sizeof self->spool, command->as.welcome.spool);
    self->state = ZSPOOL_CLIENT_UP;
    self->backoff_ms = BACKOFF_MIN_MS;
}

//  Read a message; false: there is none.
static bool
s_read (zspool_client_t *self, bool *whole)
{
    int more = 1;
    *whole = true;
    s_close_frames (self);
    while (more) {
        zmq_msg_t frame;
        zmq_msg_init (&frame);
        if (zmq_msg_recv (&frame, self->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close (&frame);
            return false;
        }
        more = zmq_msg_more (&frame);
        if (self->frames_count == ZSPOOL_CLIENT_FRAMES_MAX) {
            *whole = false;
            zmq_msg_close (&frame);
        }
        else
            self->frames [self->frames_count++] = frame;
    }
    return true;
}

//  Whether the frames behind the command are what it says: checked records.
static bool
s_are_good (zspool_client_t *self)
{
    if (self->command.command != ZSP_DELIVER)
        return self->frames_count == 1;
    if (self->frames_count != 1U + self->command.as.deliver.slices_count)
        return false;
    for (size_t index = 1; index < self->frames_count; index++) {
        zmq_msg_t *frame = &self->frames [index];
        uint32_t count = zsp_slice (&self->command, index - 1).count;
        //  An empty one: the service had no memory for it.
        if (zmq_msg_size (frame) > 0
            && zspool_run_check (zmq_msg_data (frame), zmq_msg_size (frame), count, SIZE_MAX,
                                 SIZE_MAX, true))
            return false;
    }
    return true;
}

int
zspool_client_receive (zspool_client_t *self, int64_t now_ms)
{
    bool whole;
    if (!self->socket || !s_read (self, &whole))
        return ZSPOOL_ENOENT;
    self->heard_ms = now_ms;
    zmq_msg_t *head = &self->frames [0];
    int rc = zsp_decode (&self->command, zmq_msg_data (head), zmq_msg_size (head));
    if (rc || !whole || !s_are_good (self)) {
        zspool_client_drop (self, now_ms);
        return rc == ZSPOOL_EVERSION? rc: ZSPOOL_ELOST;
    }
    if (self->command.command == ZSP_WELCOME && self->state == ZSPOOL_CLIENT_GREETING)
        s_welcomed (self);
    return ZSPOOL_OK;
}

//  Make a socket, and greet.
static void
s_connect (zspool_client_t *self, int64_t now_ms)
{
    char endpoint [64];
    int linger = 0, unlimited = 0, connect_ms = CONNECT_MS;
    int interval_ms = BACKOFF_MIN_MS, interval_max_ms = BACKOFF_MAX_MS;
    snprintf (endpoint, sizeof endpoint, "inproc://zspool-client-%p-%lld", (void *) self,
              (long long) now_ms);
    self->socket = zmq_socket (zsys_init (), ZMQ_DEALER);
    if (!self->socket) {
        zspool_client_drop (self, now_ms);
        return;
    }
    zmq_setsockopt (self->socket, ZMQ_LINGER, &linger, sizeof linger);
    //  What waits is bounded by windows and credit: no acknowledgement may find a queue full.
    zmq_setsockopt (self->socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited);
    zmq_setsockopt (self->socket, ZMQ_RECONNECT_IVL, &interval_ms, sizeof interval_ms);
    zmq_setsockopt (self->socket, ZMQ_RECONNECT_IVL_MAX, &interval_max_ms, sizeof interval_max_ms);
    //  Or a host that was away for long is seen again after as long as the system's last pause.
    zmq_setsockopt (self->socket, ZMQ_CONNECT_TIMEOUT, &connect_ms, sizeof connect_ms);
    if (zmq_socket_monitor (self->socket, endpoint, ZMQ_EVENT_CONNECTED | ZMQ_EVENT_DISCONNECTED)
        == 0)
        self->monitor = zmq_socket (zsys_init (), ZMQ_PAIR);
    if (self->monitor) {
        zmq_setsockopt (self->monitor, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
        zmq_connect (self->monitor, endpoint);
    }
    zsp_t hello = { .command = ZSP_HELLO, .request = 1 };
    hello.as.hello.heartbeat_ms = self->heartbeat_ms;
    hello.as.hello.agent = (zsp_text_t){ AGENT, strlen (AGENT) };
    if (zmq_connect (self->socket, self->endpoint)
        || zspool_client_send (self, &hello, NULL, NULL, 0)) {
        zspool_client_drop (self, now_ms);
        return;
    }
    self->state = ZSPOOL_CLIENT_GREETING;
    self->heard_ms = self->spoke_ms = now_ms;
}

//  Whether the connection has ended. Which one it is is noted.
static bool
s_is_cut (zspool_client_t *self)
{
    uint8_t event [6]; //  its number, and a value
    uint16_t number;
    int32_t value;
    char address [1024];
    while (self->monitor
           && zmq_recv (self->monitor, event, sizeof event, ZMQ_DONTWAIT) == sizeof event) {
        zmq_recv (self->monitor, address, sizeof address, ZMQ_DONTWAIT);
        memcpy (&number, event, sizeof number);
        memcpy (&value, event + sizeof number, sizeof value);
        if (number != ZMQ_EVENT_CONNECTED)
            return true;
        self->fd = value;
    }
    return false;
}

//  Whether the service has been silent for too long. A part of a message is a sign of life, and so
//  is that it takes one of ours: its answers wait behind these.
static bool
s_is_gone (zspool_client_t *self, int64_t now_ms)
{
    if (now_ms - self->heard_ms < (int64_t) self->heartbeat_ms)
        return false;
    uint64_t moved = zspool_link_taken (self->fd);
    if (moved > self->moved || zspool_link_silent_ms (self->fd) < (int64_t) self->heartbeat_ms) {
        self->moved = moved;
        self->heard_ms = now_ms;
    }
    return now_ms - self->heard_ms > (int64_t) self->expiry_ms;
}

int64_t
zspool_client_work (zspool_client_t *self, int64_t now_ms, bool *lost)
{
    *lost = false;
    if (self->state == ZSPOOL_CLIENT_DOWN && now_ms >= self->retry_ms)
        s_connect (self, now_ms);
    if (self->state == ZSPOOL_CLIENT_DOWN)
        return self->retry_ms;
    bool up = self->state == ZSPOOL_CLIENT_UP;
    //  Until it is up, somebody may not be there yet: ZeroMQ goes on trying.
    if (s_is_cut (self) || (up && s_is_gone (self, now_ms))) {
        *lost = up;
        zspool_client_drop (self, now_ms);
        return self->retry_ms;
    }
    //  It must hear from us, and who has nothing to say is asked whether it is there.
    int64_t heartbeat_ms = (int64_t) self->heartbeat_ms;
    bool silent = now_ms - self->heard_ms >= heartbeat_ms
                  && now_ms - self->pinged_ms >= heartbeat_ms / 2;
    if (up && (silent || now_ms - self->spoke_ms >= heartbeat_ms)) {
        zsp_t ping = { .command = ZSP_PING };
        zspool_client_send (self, &ping, NULL, NULL, 0);
        self->spoke_ms = self->pinged_ms = now_ms;
    }
    return now_ms + (int64_t) self->heartbeat_ms / 4;
}
