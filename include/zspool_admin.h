//  zspool_admin.h - asks the service of a device in any process: its status, its spools and cursors
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Speaks ZSP (doc/zsp.md), as zspool_producer and zspool_consumer do, but without an actor: each
//  call asks and waits. For who has the device's directory at hand, zspool_control does more. One
//  thread at a time.

#ifndef ZSPOOL_ADMIN_H_INCLUDED
#define ZSPOOL_ADMIN_H_INCLUDED

#include "zspool_library.h"
#include <czmq.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zspool_admin zspool_admin_t;

//  Create one for the service at an endpoint (`>` or none connects). NULL when memory is out.
ZSPOOL_EXPORT zspool_admin_t *
    zspool_admin_new (const char *endpoint);

//  End the session and set *self_p to NULL. NULL-safe.
ZSPOOL_EXPORT void
    zspool_admin_destroy (zspool_admin_t **self_p);

//  How long a call waits, milliseconds, 1 to 86400000; default 5000.
ZSPOOL_EXPORT void
    zspool_admin_set_timeout (zspool_admin_t *self, int64_t timeout_ms);

//  STATUS: a tree of names and values as they are now, of the service and its cursors, named as in
//  zspool_device_status (); the caller destroys it with zconfig_destroy (). EADDR, a malformed
//  endpoint; ETIMEDOUT, nobody answers; ELOST; ECANCELED, a signal that CZMQ has caught; ENOMEM.
ZSPOOL_EXPORT int
    zspool_admin_status (zspool_admin_t *self, zconfig_t **status_p);

//  List all spools that the service gives, or (spool not NULL) the cursors of one: a child each,
//  under its name, with numbers as children: first, last, messages, bytes, lost; of cursors
//  generation, floor, sent_to, pending, in_flight, lagged. ENOENT: no such spool; and as above.
ZSPOOL_EXPORT int
    zspool_admin_list (zspool_admin_t *self, const char *spool, zconfig_t **list_p);

//  Remove the blocks of a spool that end at or below a sequence, whoever has acknowledged them;
//  delete a cursor that nobody uses (EBUSY). Durable on return. EACCES: the device was not started
//  with `service-admin on`; ENOENT, EINVAL; and as above.
ZSPOOL_EXPORT int
    zspool_admin_purge (zspool_admin_t *self, const char *spool, uint64_t sequence);
ZSPOOL_EXPORT int
    zspool_admin_delete_cursor (zspool_admin_t *self, const char *spool, const char *cursor);

//  One line that says why the last call failed; "" when none has. Valid until the next call.
ZSPOOL_EXPORT const char *
    zspool_admin_reason (const zspool_admin_t *self);

#ifdef __cplusplus
}
#endif

#endif
