//  zspool_consumer.h - receives messages of a spool through a service, and acknowledges them
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A consumer speaks ZSP (doc/zsp.md) to a device with the option `service`. Consumers of one
//  cursor compete: each message goes to one of them, and to another when it is not acknowledged in
//  time, rejected, or the connection of who held it is lost. Consumers with a cursor each get
//  everything each. An actor behind it receives ahead, as much as the prefetch allows,
//  acknowledges, and reconnects; what was held before a connection was lost is delivered again,
//  perhaps to others.
//
//  One thread at a time may call these functions on a consumer.

#ifndef ZSPOOL_CONSUMER_H_INCLUDED
#define ZSPOOL_CONSUMER_H_INCLUDED

#include "zspool_block.h"
#include <czmq.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zspool_consumer zspool_consumer_t;

//  A message received. Record and frames point into memory of the consumer, uncopied: valid until
//  the next zspool_consumer_recv () on it, or its end.
typedef struct {
    uint64_t sequence;
    unsigned deliveries;       //  which delivery this is, from 1, at least
    int64_t stored_us;         //  when it was stored, microseconds since 1970, UTC
    zspool_record_t record;    //  its frames: zspool_record_next_frame (); of a dead letter also
                               //  its properties: zspool_history_read ()
} zspool_delivery_t;

//  Create a consumer of a spool ("": the device's own) through a cursor, for the service at an
//  endpoint (`>` or none connects). Nothing is sent before zspool_consumer_connect (). NULL when
//  memory is out.
ZSPOOL_EXPORT zspool_consumer_t *
    zspool_consumer_new (const char *endpoint, const char *spool, const char *cursor);

//  Close it and set *self_p to NULL: acknowledgements are sent, and what it holds is given back;
//  also what an open transaction of a producer acknowledges, whose commit then gives ESTALE.
//  NULL-safe.
ZSPOOL_EXPORT void
    zspool_consumer_destroy (zspool_consumer_t **self_p);

//  Set an option before connecting; values are text:
//
//    filter             a filter (zspool_filter.h): only messages of these topics; may be set again
//                       for more; default: all. The same for all consumers of a cursor
//    start              where the cursor begins when it is created (zspool_start.h), default all
//    create             on (default): a cursor that is not there is created; off: ENOENT
//    exclusive          on: of all consumers of the cursor one gets messages, the next when it is
//                       gone; off (default)
//    prefetch-messages  most messages that are received ahead, 1 to 1000000, default 10000
//    prefetch-bytes     likewise, bytes, 1K to 1G, default 4M; a larger message comes alone
//    timeout            milliseconds that a call waits for the service, 0 to 86400000, default
//                       30000
//    heartbeat          milliseconds, 100 to 60000, default 2000: who is silent three times as
//                       long is lost. Parts of a long message count where the system tells of
//                       them, as Linux does of TCP; elsewhere it is to be more than a message,
//                       or a transaction, is under way
//
//  EINVAL: no such option or value, or it has connected; zspool_consumer_reason () says which.
ZSPOOL_EXPORT int
    zspool_consumer_set (zspool_consumer_t *self, const char *option, const char *value);

//  Change the timeout, milliseconds, 0 to 86400000, at any time.
ZSPOOL_EXPORT void
    zspool_consumer_set_timeout (zspool_consumer_t *self, int64_t timeout_ms);

//  Connect, and wait until the service has answered. Errors as zspool_producer_connect (); EINVAL
//  also when the cursor is used with other filters, EBUSY with exclusive and not, or by an outlet.
ZSPOOL_EXPORT int
    zspool_consumer_connect (zspool_consumer_t *self);

//  Receive the next message, waiting timeout_ms (0: not at all; -1: for ever). ETIMEDOUT: none
//  came; ECANCELED: a signal that CZMQ has caught; or why the consumer has failed for good (ENOENT:
//  the cursor was deleted, EACCES, ...).
ZSPOOL_EXPORT int
    zspool_consumer_recv (zspool_consumer_t *self, int timeout_ms, zspool_delivery_t *delivery);

//  The same, copied into a CZMQ message, which is the caller's; its sequence goes to *sequence.
//  NULL: zspool_consumer_reason () says why.
ZSPOOL_EXPORT zmsg_t *
    zspool_consumer_recv_msg (zspool_consumer_t *self, int timeout_ms, uint64_t *sequence);

//  Acknowledge one message, or all that were received up to one and are neither acknowledged nor
//  rejected. They are sent by themselves, within 20 ms, together with others; see
//  zspool_consumer_flush (). ESTALE: it was not received, or is acknowledged or rejected already;
//  or it was received before the connection was lost, and is delivered again.
ZSPOOL_EXPORT int
    zspool_consumer_ack (zspool_consumer_t *self, uint64_t sequence);
ZSPOOL_EXPORT int
    zspool_consumer_ack_to (zspool_consumer_t *self, uint64_t sequence);

//  Give a message back: to be delivered again, to whomever, after delay_ms (0: at once, at most a
//  day). ESTALE as above.
ZSPOOL_EXPORT int
    zspool_consumer_reject (zspool_consumer_t *self, uint64_t sequence, uint32_t delay_ms);

//  Have a message moved to the dead letters, with a reason for people (at most 255 bytes; NULL:
//  none). ESTALE as above.
ZSPOOL_EXPORT int
    zspool_consumer_bury (zspool_consumer_t *self, uint64_t sequence, const char *reason);

//  Keep a message for time_ms from now on, instead of the device's `ack-timeout`. ESTALE as above.
ZSPOOL_EXPORT int
    zspool_consumer_extend (zspool_consumer_t *self, uint64_t sequence, uint32_t time_ms);

//  Move the cursor (zspool_start.h), for all its consumers; what any of them holds is forgotten,
//  and acknowledging it gives ESTALE. Waits. EINVAL: no such start; ETIMEDOUT.
ZSPOOL_EXPORT int
    zspool_consumer_seek (zspool_consumer_t *self, const char *start);

//  Wait until all acknowledgements made before are durable. ETIMEDOUT; ELOST: the connection was
//  lost since they were made, some may not be; told once.
ZSPOOL_EXPORT int
    zspool_consumer_flush (zspool_consumer_t *self);

//  Whether it is the one that gets messages (always, unless `exclusive`); how many messages were
//  received ahead; how many acknowledgements came too late.
ZSPOOL_EXPORT bool
    zspool_consumer_active (zspool_consumer_t *self);
ZSPOOL_EXPORT size_t
    zspool_consumer_ahead (zspool_consumer_t *self);
ZSPOOL_EXPORT uint64_t
    zspool_consumer_stale (zspool_consumer_t *self);

//  A socket to poll for reading: readable when there may be something for zspool_consumer_recv (),
//  which is then called until it gives ETIMEDOUT. Receive nothing from it. NULL before connecting.
ZSPOOL_EXPORT zsock_t *
    zspool_consumer_socket (zspool_consumer_t *self);

//  One line that says why the last call failed; "" when none has. Valid until the next call.
ZSPOOL_EXPORT const char *
    zspool_consumer_reason (const zspool_consumer_t *self);

#ifdef __cplusplus
}
#endif

#endif
