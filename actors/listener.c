//  listener.c - the control socket of a store
//
//  SPDX-License-Identifier: MPL-2.0
//
//  States of a client: reading (a header, then a body), waiting (its request is with the handler;
//  it is not read meanwhile, only watched for its end), writing (the reply), ending (the reply is
//  the last). A path may be longer than the address of a socket can be, so the directory goes by
//  its descriptor.

#include "listener.h"
#include "control_frame.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64
#define IDLE_MS 60000       //  a client that sends nothing for so long is cut off
#define STUCK_MS 10000      //  likewise one that is in the middle of a request, or does not read
#define ACCEPT_RETRY_MS 200 //  when there are no descriptors left, try again after this
#define ACCEPTS_MAX 8       //  most clients accepted at a time

typedef enum { READING = 1, WAITING, WRITING, ENDING } s_state_t;

typedef struct {
    int fd;                 //  -1: no client here
    uint64_t number;        //  of the client, never given again
    s_state_t state;
    int64_t since_ms;       //  when something went forward last
    uint8_t header [ZSPOOL_CONTROL_HEADER_BYTES];
    uint8_t *bytes;         //  body of the request, or the reply; NULL: neither
    size_t bytes_count;     //  of either
    size_t done;            //  bytes read of header and body, or written of the reply
} s_client_t;

struct zspool_listener {
    int directory_fd;
    int fd;
    zspool_listener_handler_t *handler;
    void *arg;
    uint64_t clients_ever;  //  numbers given
    int64_t accept_ms;      //  accept none before this
    s_client_t clients [ZSPOOL_LISTENER_CLIENTS_MAX];
};

//  ------------------------------------------------------------------------------------------------
//  Constructor and destructor

//  Remove the socket that a killed device has left. What is no socket stays, and binding will fail.
static void
s_remove (int directory_fd)
{
    struct stat status;
    if (fstatat (directory_fd, ZSPOOL_CONTROL_FILE, &status, AT_SYMLINK_NOFOLLOW) == 0
        && S_ISSOCK (status.st_mode))
        unlinkat (directory_fd, ZSPOOL_CONTROL_FILE, 0);
}

//  Bind before anybody may connect, set the mode, then listen. Returns 0, or -1 with errno.
static int
s_listen (zspool_listener_t *self, const char *directory)
{
    self->directory_fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->directory_fd < 0)
        return -1;
    self->fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->fd < 0)
        return -1;
    s_remove (self->directory_fd);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf (address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" ZSPOOL_CONTROL_FILE,
              self->directory_fd);
    int rc = bind (self->fd, (struct sockaddr *) &address, sizeof address);
    if (rc && errno == ENOENT //  no /proc
        && (size_t) snprintf (address.sun_path, sizeof address.sun_path, "%s/" ZSPOOL_CONTROL_FILE,
                              directory) < sizeof address.sun_path)
        rc = bind (self->fd, (struct sockaddr *) &address, sizeof address);
    if (rc)
        return -1;
    if (fchmodat (self->directory_fd, ZSPOOL_CONTROL_FILE, 0600, 0) || listen (self->fd, BACKLOG)) {
        int error = errno;
        s_remove (self->directory_fd);
        errno = error;
        return -1;
    }
    return 0;
}

//  Close what there is, without touching the directory.
static void
s_close (zspool_listener_t *self)
{
    if (self->fd >= 0)
        close (self->fd);
    if (self->directory_fd >= 0)
        close (self->directory_fd);
    free (self);
}

zspool_listener_t *
zspool_listener_new (const char *directory, zspool_listener_handler_t *handler, void *arg)
{
    zspool_listener_t *self = (zspool_listener_t *) calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->directory_fd = self->fd = -1;
    self->handler = handler;
    self->arg = arg;
    for (size_t index = 0; index < ZSPOOL_LISTENER_CLIENTS_MAX; index++)
        self->clients [index].fd = -1;
    if (s_listen (self, directory)) {
        int error = errno;
        s_close (self);
        errno = error;
        return NULL;
    }
    return self;
}

static void
s_cut_off (zspool_listener_t *self, s_client_t *client)
{
    if (client->state == WAITING)
        self->handler (self->arg, client->number, NULL);
    close (client->fd);
    free (client->bytes);
    memset (client, 0, sizeof *client);
    client->fd = -1;
}

void
zspool_listener_destroy (zspool_listener_t **self_p)
{
    zspool_listener_t *self = *self_p;
    if (!self)
        return;
    for (size_t index = 0; index < ZSPOOL_LISTENER_CLIENTS_MAX; index++)
        if (self->clients [index].fd >= 0)
            s_cut_off (self, &self->clients [index]);
    s_remove (self->directory_fd);
    s_close (self);
    *self_p = NULL;
}

//  ------------------------------------------------------------------------------------------------
//  Replies

//  Write what is left of the reply. Afterwards the next request may come, unless this was the last.
static void
s_write (zspool_listener_t *self, s_client_t *client)
{
    ssize_t size = send (client->fd, client->bytes + client->done,
                         client->bytes_count - client->done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0) {
        if (errno != EAGAIN && errno != EINTR)
            s_cut_off (self, client);
        return;
    }
    client->since_ms = zclock_mono ();
    client->done += (size_t) size;
    if (client->done < client->bytes_count)
        return;
    if (client->state == ENDING) {
        s_cut_off (self, client);
        return;
    }
    free (client->bytes);
    client->bytes = NULL;
    client->done = client->bytes_count = 0;
    client->state = READING;
}

static void
s_reply (zspool_listener_t *self, s_client_t *client, zmsg_t **reply_p, s_state_t state)
{
    client->state = state;
    client->done = 0;
    free (client->bytes);
    client->bytes = NULL;
    int rc = zspool_control_frame_encode (*reply_p, ZSPOOL_CONTROL_REPLY_BYTES_MAX, &client->bytes,
                                          &client->bytes_count);
    zmsg_destroy (reply_p);
    if (rc) {
        s_cut_off (self, client);
        return;
    }
    client->since_ms = zclock_mono ();
    s_write (self, client);
}

//  Answer with an error, and end the client when it is told.
static void
s_refuse (zspool_listener_t *self, s_client_t *client, int code)
{
    zmsg_t *reply = zmsg_new ();
    zmsg_addstrf (reply, "%d", code);
    zmsg_addstr (reply, zspool_strerror (code));
    s_reply (self, client, &reply, ENDING);
}

void
zspool_listener_reply (zspool_listener_t *self, uint64_t number, zmsg_t **reply_p)
{
    for (size_t index = 0; index < ZSPOOL_LISTENER_CLIENTS_MAX; index++) {
        s_client_t *client = &self->clients [index];
        if (client->fd >= 0 && client->number == number && client->state == WAITING) {
            s_reply (self, client, reply_p, WRITING);
            return;
        }
    }
    zmsg_destroy (reply_p);
}

//  ------------------------------------------------------------------------------------------------
//  Requests

//  The request has come whole: hand it on.
static void
s_take_request (zspool_listener_t *self, s_client_t *client)
{
    zmsg_t *request;
    int rc = zspool_control_frame_decode (client->bytes, client->bytes_count, &request);
    if (rc) {
        s_refuse (self, client, rc);
        return;
    }
    free (client->bytes);
    client->bytes = NULL;
    client->done = client->bytes_count = 0;
    client->state = WAITING;
    self->handler (self->arg, client->number, request);
}

//  Read what has come of a request, header first.
static void
s_read (zspool_listener_t *self, s_client_t *client)
{
    bool in_header = client->done < sizeof client->header;
    uint8_t *to = in_header? client->header + client->done:
                             client->bytes + (client->done - sizeof client->header);
    size_t left = (in_header? 0: client->bytes_count) + sizeof client->header - client->done;
    ssize_t size = recv (client->fd, to, left, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        s_cut_off (self, client);
        return;
    }
    client->since_ms = zclock_mono ();
    client->done += (size_t) size;
    if ((size_t) size < left)
        return;
    if (!in_header) {
        s_take_request (self, client);
        return;
    }
    int rc = zspool_control_frame_header (client->header, ZSPOOL_CONTROL_REQUEST_BYTES_MAX,
                                          &client->bytes_count);
    if (rc == ZSPOOL_OK && client->bytes_count == 0)
        rc = ZSPOOL_ECORRUPT;
    if (rc == ZSPOOL_OK && !(client->bytes = (uint8_t *) malloc (client->bytes_count)))
        rc = ZSPOOL_ENOMEM;
    if (rc)
        s_refuse (self, client, rc);
}

//  Take a client in; one too many is told so.
static void
s_add_client (zspool_listener_t *self, int fd)
{
    for (size_t index = 0; index < ZSPOOL_LISTENER_CLIENTS_MAX; index++) {
        s_client_t *client = &self->clients [index];
        if (client->fd >= 0)
            continue;
        client->fd = fd;
        client->number = ++self->clients_ever;
        client->state = READING;
        client->since_ms = zclock_mono ();
        return;
    }
    s_client_t other = { .fd = fd };
    s_refuse (self, &other, ZSPOOL_ELIMIT);
    if (other.fd >= 0)
        s_cut_off (self, &other);
}

static void
s_accept (zspool_listener_t *self)
{
    for (int count = 0; count < ACCEPTS_MAX; count++) {
        int fd = accept4 (self->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            s_add_client (self, fd);
        else {
            //  Without descriptors or memory the client stays in the queue, and would wake us at
            //  once.
            if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                self->accept_ms = zclock_mono () + ACCEPT_RETRY_MS;
            return;
        }
    }
}

//  ------------------------------------------------------------------------------------------------
//  Polling

size_t
zspool_listener_items (zspool_listener_t *self, zmq_pollitem_t *items)
{
    bool resting = self->accept_ms > zclock_mono ();
    items [0] = (zmq_pollitem_t){ NULL, resting? -1: self->fd, ZMQ_POLLIN, 0 };
    for (size_t index = 0; index < ZSPOOL_LISTENER_CLIENTS_MAX; index++) {
        s_client_t *client = &self->clients [index];
        short events = client->state == READING? ZMQ_POLLIN:
                       client->state == WAITING? 0: ZMQ_POLLOUT;
        items [1 + index] = (zmq_pollitem_t){ NULL, client->fd, events, 0 };
    }
    return ZSPOOL_LISTENER_ITEMS_MAX;
}

//  When a client is to be cut off for want of progress; INT64_MAX: never
static int64_t
s_late_ms (const s_client_t *client)
{
    if (client->fd < 0 || client->state == WAITING)
        return INT64_MAX;
    return client->since_ms + (client->state == READING && client->done == 0? IDLE_MS: STUCK_MS);
}

long
zspool_listener_timeout_ms (const zspool_listener_t *self)
{
    int64_t now_ms = zclock_mono ();
    int64_t next_ms = self->accept_ms > now_ms? self->accept_ms: INT64_MAX;
    for (size_t index = 0; index < ZSPOOL_LISTENER_CLIENTS_MAX; index++)
        if (s_late_ms (&self->clients [index]) < next_ms)
            next_ms = s_late_ms (&self->clients [index]);
    if (next_ms == INT64_MAX)
        return -1;
    return next_ms > now_ms? (long) (next_ms - now_ms): 0;
}

void
zspool_listener_serve (zspool_listener_t *self, const zmq_pollitem_t *items, size_t count)
{
    int64_t now_ms = zclock_mono ();
    for (size_t index = 0; index + 1 < count; index++) {
        s_client_t *client = &self->clients [index];
        short events = items [1 + index].revents;
        if (client->fd < 0 || client->fd != items [1 + index].fd)
            continue;
        if (events & ZMQ_POLLIN)
            s_read (self, client);
        else if (events & ZMQ_POLLOUT)
            s_write (self, client);
        else if (events || s_late_ms (client) <= now_ms)
            s_cut_off (self, client); //  it has gone, or is late
    }
    if (items [0].revents)
        s_accept (self);
}
