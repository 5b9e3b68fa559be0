//  zspool_control.h - asks the device that runs on a store, from another process
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A running device listens on a Unix socket in its store's directory, zspool.control, that only
//  its user (and root) may connect to. One thread at a time may call these functions on a control.
//  Every function that asks connects by itself when there is no connection, or the device has
//  closed an idle one (after a minute). A signal that is caught ends the wait: ESYSTEM, with errno
//  EINTR.

#ifndef ZSPOOL_CONTROL_H_INCLUDED
#define ZSPOOL_CONTROL_H_INCLUDED

#include "zspool_library.h"
#include <czmq.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ZSPOOL_CONTROL_TIMEOUT_MS 5000 //  how long an answer is waited for, unless set

typedef struct zspool_control zspool_control_t;

//  Create a control for the device on the store in a directory; nothing is touched yet. NULL when
//  memory is out or the path is empty.
ZSPOOL_EXPORT zspool_control_t *
    zspool_control_new (const char *directory);

//  Close the connection, free it all and set *self_p to NULL. NULL-safe.
ZSPOOL_EXPORT void
    zspool_control_destroy (zspool_control_t **self_p);

//  How long each call waits for an answer, milliseconds; -1: for ever.
ZSPOOL_EXPORT void
    zspool_control_set_timeout (zspool_control_t *self, int64_t timeout_ms);

//  Connect to the device. ENOENT: no device runs there; EACCES: it is another user's; ETIMEDOUT: it
//  takes no more connections, being stopped or overrun; ENOMEM; ESYSTEM (no descriptors, a signal).
ZSPOOL_EXPORT int
    zspool_control_connect (zspool_control_t *self);

//  Close the connection. The next call makes a new one.
ZSPOOL_EXPORT void
    zspool_control_close (zspool_control_t *self);

//  STATUS: a tree of names and values as they are now, as zspool_device_status () has them, in
//  *status; the caller destroys it with zconfig_destroy (). Errors of zspool_control_connect (),
//  and: ETIMEDOUT, no answer came in time; ELIMIT, too many ask the device; EVERSION, it is of
//  another version; ECORRUPT, what answers is no device; EIO, it has ended meanwhile.
ZSPOOL_EXPORT int
    zspool_control_status (zspool_control_t *self, zconfig_t **status);

//  PAUSE: let the device take no messages in until RESUME; it goes on forwarding. Errors likewise.
ZSPOOL_EXPORT int
    zspool_control_pause (zspool_control_t *self);
ZSPOOL_EXPORT int
    zspool_control_resume (zspool_control_t *self);

//  FLUSH: returns 0 when every message that the device had taken in when it was asked is durable;
//  under `async` it does not wait for the commit interval. While the disk is full there is no
//  answer: mind the timeout. Errors likewise, and EFAILED: the store has failed.
ZSPOOL_EXPORT int
    zspool_control_flush (zspool_control_t *self);

//  Put the dead letters first..last of the spool `name` back, or drop them, as zspool_dead_requeue
//  () and zspool_dead_drop () do, on the device's own store; they are durable there when this
//  returns. *count, if not NULL, is how many there were, also when this fails half-way. Errors of
//  zspool_control_connect () and zspool_control_status (), and those of zspool_dead_requeue ().
ZSPOOL_EXPORT int
    zspool_control_requeue (zspool_control_t *self, const char *name, uint64_t first, uint64_t last,
                            uint64_t *count);
ZSPOOL_EXPORT int
    zspool_control_drop (zspool_control_t *self, const char *name, uint64_t first, uint64_t last,
                         uint64_t *count);

//  Let a cursor of a spool start elsewhere, or delete it, as zspool_store_seek_cursor () and
//  zspool_store_delete_cursor () do, on the device's own store; it is durable there when this
//  returns. `start` is as zspool_start_parse () takes it. An outlet that delivers through the cursor
//  goes on from there; what it sent before may still come, and tickets of that are stale. Errors of
//  zspool_control_connect () and zspool_control_status (), and: ENOENT, no such spool or cursor;
//  EINVAL, no such start; EBUSY, an outlet delivers through the cursor, so it cannot be deleted;
//  EFAILED, the store has failed.
ZSPOOL_EXPORT int
    zspool_control_seek_cursor (zspool_control_t *self, const char *spool, const char *cursor,
                                const char *start);
ZSPOOL_EXPORT int
    zspool_control_delete_cursor (zspool_control_t *self, const char *spool, const char *cursor);

//  One line that says why the last call failed; "" when none did. Valid until the next call.
ZSPOOL_EXPORT const char *
    zspool_control_reason (const zspool_control_t *self);

#ifdef __cplusplus
}
#endif

#endif
