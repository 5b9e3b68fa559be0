//  control_client.c - asks the device that runs on a store, from another process
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Nothing here blocks but poll (), until a deadline. The path of a store may be longer than a
//  socket's address can be, so its directory goes by its descriptor.

#include "control_client.h"
#include "control_frame.h"
#include "request.h"
#include "store_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

//  When too many wait to be connected, try again after this
#define CONNECT_RETRY_MS 10
//  So much of a path is shown in a reason, bytes
#define PATH_SHOWN_MAX 250

struct zspool_control {
    char *directory;
    int fd;               //  -1: no connection
    int64_t timeout_ms;   //  of each call; -1: none
    int64_t deadline_ms;  //  of the present call; INT64_MAX: none
    char reason [ZSPOOL_REASON_MAX];
};

//  A long path is told by its end, so that the text finds room.
static int
s_fail (zspool_control_t *self, int code, const char *text)
{
    size_t length = strlen (self->directory);
    bool is_long = length > PATH_SHOWN_MAX;
    snprintf (self->reason, sizeof self->reason, "%s%s: %s", is_long? "...": "",
              self->directory + (is_long? length - PATH_SHOWN_MAX: 0), text);
    return code;
}

static int
s_fail_errno (zspool_control_t *self)
{
    int error = errno;
    int code = error == ENOENT || error == ECONNREFUSED || error == ENOTDIR? ZSPOOL_ENOENT:
               error == EACCES || error == EPERM? ZSPOOL_EACCES:
               error == ENOMEM? ZSPOOL_ENOMEM:
               error == ETIMEDOUT? ZSPOOL_ETIMEDOUT:
               error == EPIPE || error == ECONNRESET? ZSPOOL_EIO: ZSPOOL_ESYSTEM;
    s_fail (self, code, code == ZSPOOL_ETIMEDOUT? "the device does not answer":
                        code == ZSPOOL_EIO? "the device has ended": strerror (error));
    errno = error;
    return code;
}

zspool_control_t *
zspool_control_new (const char *directory)
{
    if (!directory || !*directory)
        return NULL;
    zspool_control_t *self = (zspool_control_t *) calloc (1, sizeof *self);
    char *copy = strdup (directory);
    if (!self || !copy) {
        free (self);
        free (copy);
        return NULL;
    }
    self->directory = copy;
    self->fd = -1;
    self->timeout_ms = ZSPOOL_CONTROL_TIMEOUT_MS;
    return self;
}

void
zspool_control_close (zspool_control_t *self)
{
    if (self->fd >= 0)
        close (self->fd);
    self->fd = -1;
}

void
zspool_control_destroy (zspool_control_t **self_p)
{
    zspool_control_t *self = *self_p;
    if (!self)
        return;
    zspool_control_close (self);
    free (self->directory);
    free (self);
    *self_p = NULL;
}

void
zspool_control_set_timeout (zspool_control_t *self, int64_t timeout_ms)
{
    self->timeout_ms = timeout_ms;
}

const char *
zspool_control_reason (const zspool_control_t *self)
{
    return self->reason;
}

//  Begin a call: its time runs from now.
static void
s_begin (zspool_control_t *self)
{
    self->reason [0] = 0;
    self->deadline_ms = self->timeout_ms < 0? INT64_MAX: zclock_mono () + self->timeout_ms;
}

//  ------------------------------------------------------------------------------------------------
//  Connecting

//  Try to connect a socket to the device. Returns 0, or -1 with errno.
static int
s_try_connect (zspool_control_t *self, int fd)
{
    int directory_fd = open (self->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory_fd < 0)
        return -1;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf (address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" ZSPOOL_CONTROL_FILE,
              directory_fd);
    int rc = connect (fd, (struct sockaddr *) &address, sizeof address);
    if (rc && errno == ENOENT //  no /proc, or no device
        && (size_t) snprintf (address.sun_path, sizeof address.sun_path, "%s/" ZSPOOL_CONTROL_FILE,
                              self->directory) < sizeof address.sun_path)
        rc = connect (fd, (struct sockaddr *) &address, sizeof address);
    int error = errno;
    close (directory_fd);
    errno = error;
    return rc;
}

//  Connect before the deadline. Returns a code; the reason says more.
static int
s_connect (zspool_control_t *self)
{
    int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return s_fail_errno (self);
    int rc;
    while ((rc = s_try_connect (self, fd)) && errno == EAGAIN) {
        errno = ETIMEDOUT;
        if (zclock_mono () >= self->deadline_ms || (poll (NULL, 0, CONNECT_RETRY_MS) < 0))
            break;
    }
    if (rc == 0) {
        self->fd = fd;
        return ZSPOOL_OK;
    }
    int code = s_fail_errno (self);
    int error = errno;
    close (fd);
    if (error == ENOENT || error == ECONNREFUSED)
        s_fail (self, code, access (self->directory, F_OK) == 0? "no device runs on this store":
                                                                 strerror (ENOENT));
    errno = error;
    return code;
}

//  A connection that the device has closed meanwhile, being idle, is none.
static bool
s_is_connected (zspool_control_t *self)
{
    char byte;
    if (self->fd >= 0
        && (recv (self->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN))
        zspool_control_close (self);
    return self->fd >= 0;
}

int
zspool_control_connect (zspool_control_t *self)
{
    s_begin (self);
    return s_is_connected (self)? ZSPOOL_OK: s_connect (self);
}

//  ------------------------------------------------------------------------------------------------
//  Asking

//  Wait until the connection is ready. Returns 0, or -1 with errno.
static int
s_wait (zspool_control_t *self, short events)
{
    struct pollfd item = { self->fd, events, 0 };
    int64_t left_ms = self->deadline_ms == INT64_MAX? -1: self->deadline_ms - zclock_mono ();
    if (self->deadline_ms != INT64_MAX && left_ms < 0)
        left_ms = 0;
    int rc = poll (&item, 1, left_ms > INT32_MAX? INT32_MAX: (int) left_ms);
    if (rc == 0)
        errno = ETIMEDOUT;
    return rc > 0? 0: -1;
}

//  Send or receive so many bytes. Returns 0, or -1 with errno.
static int
s_transfer (zspool_control_t *self, uint8_t *bytes, size_t size, bool sending)
{
    while (size > 0) {
        ssize_t done = sending? send (self->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL):
                                recv (self->fd, bytes, size, MSG_DONTWAIT);
        if (done == 0)
            errno = ECONNRESET;
        if (done == 0 || (done < 0 && errno != EAGAIN && errno != EINTR))
            return -1;
        if (done < 0) {
            if (s_wait (self, sending? POLLOUT: POLLIN))
                return -1;
            continue;
        }
        bytes += done;
        size -= (size_t) done;
    }
    return 0;
}

static int
s_send (zspool_control_t *self, zmsg_t *request)
{
    uint8_t *bytes;
    size_t size;
    int rc = zspool_control_frame_encode (request, ZSPOOL_CONTROL_REQUEST_BYTES_MAX, &bytes, &size);
    if (rc)
        return s_fail (self, rc, zspool_strerror (rc));
    rc = s_transfer (self, bytes, size, true)? s_fail_errno (self): ZSPOOL_OK;
    free (bytes);
    return rc;
}

//  Receive a reply, its code included.
static int
s_recv (zspool_control_t *self, zmsg_t **reply_p)
{
    uint8_t header [ZSPOOL_CONTROL_HEADER_BYTES];
    size_t size;
    if (s_transfer (self, header, sizeof header, false))
        return s_fail_errno (self);
    int rc = zspool_control_frame_header (header, ZSPOOL_CONTROL_REPLY_BYTES_MAX, &size);
    if (rc)
        return s_fail (self, rc, "the device speaks another version");
    uint8_t *body = (uint8_t *) malloc (size + 1);
    if (!body)
        return s_fail (self, ZSPOOL_ENOMEM, "out of memory");
    if (s_transfer (self, body, size, false))
        rc = s_fail_errno (self);
    else if ((rc = zspool_control_frame_decode (body, size, reply_p)))
        s_fail (self, rc, "the answer is not a device's");
    free (body);
    return rc;
}

int
zspool_control_ask (zspool_control_t *self, zmsg_t **request_p, zmsg_t **reply_p)
{
    s_begin (self);
    zmsg_t *reply = NULL;
    int rc = s_is_connected (self)? ZSPOOL_OK: s_connect (self);
    if (rc == ZSPOOL_OK)
        rc = s_send (self, *request_p);
    //  One that is refused may be told why before it has sent all.
    if (rc == ZSPOOL_OK || rc == ZSPOOL_EIO)
        rc = s_recv (self, &reply);
    zmsg_destroy (request_p);
    if (rc) {
        zspool_control_close (self); //  a late answer must not be taken for the next one
        return rc;
    }
    char *code = zmsg_popstr (reply);
    rc = code? atoi (code): ZSPOOL_ECORRUPT;
    zstr_free (&code);
    if (rc) {
        char *text = zmsg_popstr (reply);
        s_fail (self, rc, text && *text? text: zspool_strerror (rc));
        zstr_free (&text);
    }
    if (rc == ZSPOOL_OK && reply_p)
        *reply_p = reply;
    else
        zmsg_destroy (&reply);
    return rc;
}

//  Ask for a command without arguments.
static int
s_command (zspool_control_t *self, const char *command, zmsg_t **reply_p)
{
    zmsg_t *request = zmsg_new ();
    zmsg_addstr (request, command);
    return zspool_control_ask (self, &request, reply_p);
}

int
zspool_control_status (zspool_control_t *self, zconfig_t **status_p)
{
    zmsg_t *reply;
    int rc = s_command (self, "STATUS", &reply);
    if (rc)
        return rc;
    zconfig_t *status = zspool_request_tree (reply);
    zmsg_destroy (&reply);
    if (!status)
        return s_fail (self, ZSPOOL_ENOMEM, "out of memory");
    *status_p = status;
    return ZSPOOL_OK;
}

int
zspool_control_pause (zspool_control_t *self)
{
    return s_command (self, "PAUSE", NULL);
}

int
zspool_control_resume (zspool_control_t *self)
{
    return s_command (self, "RESUME", NULL);
}

int
zspool_control_flush (zspool_control_t *self)
{
    return s_command (self, "FLUSH", NULL);
}

//  One request for as many letters as go into one move. *next becomes the sequence to go on from, 0
//  when that was all; *last comes down to the newest letter; *damaged is set when letters were
//  passed over.
static int
s_move_some (zspool_control_t *self, const char *command, const char *name, uint64_t *next, uint64_t *last,
             uint64_t *count, bool *damaged)
{
    zmsg_t *request = zmsg_new (), *reply = NULL;
    zmsg_addstr (request, command);
    zmsg_addstr (request, name);
    zmsg_addstrf (request, "%llu", (unsigned long long) *next);
    zmsg_addstrf (request, "%llu", (unsigned long long) *last);
    int rc = zspool_control_ask (self, &request, &reply);
    if (rc)
        return rc;
    *count += zspool_request_pop_number (reply);
    *next = zspool_request_pop_number (reply);
    *damaged = *damaged || zspool_request_pop_number (reply) > 0;
    uint64_t newest = zspool_request_pop_number (reply);
    if (newest < *last)
        *last = newest;
    if (*next > *last)
        *next = 0;
    zmsg_destroy (&reply);
    return ZSPOOL_OK;
}

//  What is put back may die again while this goes on: it is not put back once more.
static int
s_move_all (zspool_control_t *self, const char *command, const char *name, uint64_t first, uint64_t last,
            uint64_t *count)
{
    uint64_t moved = 0, next = first;
    bool damaged = false;
    int rc = ZSPOOL_OK;
    while (rc == ZSPOOL_OK && next > 0)
        rc = s_move_some (self, command, name, &next, &last, &moved, &damaged);
    if (count)
        *count = moved;
    if (rc == ZSPOOL_ENOENT && moved > 0)
        rc = ZSPOOL_OK;
    return rc == ZSPOOL_OK && damaged? s_fail (self, ZSPOOL_ECORRUPT, "some letters are damaged"): rc;
}

int
zspool_control_requeue (zspool_control_t *self, const char *name, uint64_t first, uint64_t last,
                        uint64_t *count)
{
    return s_move_all (self, "REQUEUE", name, first, last, count);
}

int
zspool_control_drop (zspool_control_t *self, const char *name, uint64_t first, uint64_t last,
                     uint64_t *count)
{
    return s_move_all (self, "DROP", name, first, last, count);
}

//  Ask for a command about a cursor.
static int
s_command_cursor (zspool_control_t *self, const char *command, const char *spool, const char *cursor,
                  const char *start)
{
    if (!spool || !cursor || !start)
        return s_fail (self, ZSPOOL_EINVAL, "a name is missing");
    zmsg_t *request = zmsg_new ();
    zmsg_addstr (request, command);
    zmsg_addstr (request, spool);
    zmsg_addstr (request, cursor);
    zmsg_addstr (request, start);
    return zspool_control_ask (self, &request, NULL);
}

int
zspool_control_seek_cursor (zspool_control_t *self, const char *spool, const char *cursor, const char *start)
{
    return s_command_cursor (self, "SEEK", spool, cursor, start);
}

int
zspool_control_delete_cursor (zspool_control_t *self, const char *spool, const char *cursor)
{
    return s_command_cursor (self, "DELETE_CURSOR", spool, cursor, "");
}
