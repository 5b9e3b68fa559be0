//  zspool_producer.h - puts messages into the spools of a service, and knows which are safe
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A producer speaks ZSP (doc/zsp.md) to a device with the option `service`. An actor behind it
//  packs, sends, reconnects, and sends again what was not confirmed. Messages are numbered from 1,
//  or from where a producer of this name was before: in the order they are put, a transaction
//  counting as one. Each number is confirmed when its message has reached the level asked for.
//
//  With a name, messages are stored effectively once: what is sent again after a lost connection,
//  or a device that was killed, is recognised, and dropped. A producer that was killed asks
//  zspool_producer_last () where it was, and goes on behind that. Of two producers with one name
//  the newer fences the older, which gets EFENCED. Without a name messages may be stored twice.
//
//  One thread at a time may call these functions on a producer; any at any time those that say so.

#ifndef ZSPOOL_PRODUCER_H_INCLUDED
#define ZSPOOL_PRODUCER_H_INCLUDED

#include "zspool_consumer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zspool_producer zspool_producer_t;

//  Create a producer for the service at an endpoint (`>` or none connects). Nothing is sent before
//  zspool_producer_connect (). NULL when memory is out.
ZSPOOL_EXPORT zspool_producer_t *
    zspool_producer_new (const char *endpoint);

//  Close it and set *self_p to NULL: what is put is sent, and its confirmation awaited, for at most
//  `linger`; an open transaction is rolled back. NULL-safe.
ZSPOOL_EXPORT void
    zspool_producer_destroy (zspool_producer_t **self_p);

//  Set an option before connecting; values are text:
//
//    name             1 to 127 bytes, no slash or space; default: none
//    spool            where zspool_producer_put () puts, default: the device's own
//    create           on (default): a spool that is not there is created; off: ENOENT
//    level            default (cached under async, else committed), cached or committed
//    window-messages  unconfirmed messages after which putting waits, 1 to 1000000, default 100000
//    window-bytes     likewise, bytes, 64K to 1G, default 8M
//    timeout          milliseconds that a call waits, 0 to 86400000, default 30000
//    linger           milliseconds that destroying waits, likewise, default 5000
//    heartbeat        milliseconds, 100 to 60000, default 2000: who is silent three times as
//                     long is lost. Parts of a long message count where the system tells of
//                     them, as Linux does of TCP; elsewhere it is to be more than a message,
//                     or a transaction, is under way
//
//  EINVAL: no such option or value, or it has connected; zspool_producer_reason () says which.
ZSPOOL_EXPORT int
    zspool_producer_set (zspool_producer_t *self, const char *option, const char *value);

//  Connect, and wait until the service has answered. Later it reconnects by itself. EADDR (a
//  malformed endpoint), ETIMEDOUT (nobody answers; it goes on trying: call it again to wait on),
//  ENOENT (no such spool), EACCES, EFENCED, ELIMIT, EVERSION.
//
//  A producer that fails for good, then or later, gives its reason in each call, and does not come
//  again. Among these is EORDER: with a name, the store is older than the producer, as one restored
//  from a backup, and lacks what was confirmed; or it is another one.
ZSPOOL_EXPORT int
    zspool_producer_connect (zspool_producer_t *self);

//  Number of the last message that a producer of this name has put and that was confirmed or taken,
//  as the service said when it connected, or was told since: where a producer goes on that has kept
//  nothing. 0: none.
ZSPOOL_EXPORT uint64_t
    zspool_producer_last (const zspool_producer_t *self);

//  Put a message of `count` frames, which are copied, into the spool set, or another one. *number,
//  if not NULL, is its number; 0 in a transaction. It is sent by itself, together with others.
//  Waits while the window is full. Nothing is safe when it returns: that is asked with
//  zspool_producer_confirmed (), or awaited with zspool_producer_flush (). ETIMEDOUT (the window
//  stays full), ETOOBIG, EINVAL (no frames, not connected), EFENCED, ENOENT, EACCES, ELIMIT (a
//  transaction's limit, or too many spools), ENOMEM, ECANCELED (a signal that CZMQ has caught).
ZSPOOL_EXPORT int
    zspool_producer_put (zspool_producer_t *self, const zspool_frame_t *frames, size_t count,
                         uint64_t *number);
ZSPOOL_EXPORT int
    zspool_producer_put_to (zspool_producer_t *self, const char *spool,
                            const zspool_frame_t *frames, size_t count, uint64_t *number);

//  Put many messages of one frame each at once: cheaper than one by one. *number is that of the
//  last. *put, if not NULL, is how many were put, also when it fails. Errors as above.
ZSPOOL_EXPORT int
    zspool_producer_put_many (zspool_producer_t *self, const zspool_frame_t *messages,
                              size_t count, size_t *put, uint64_t *number);

//  Put a CZMQ message, and destroy it; on failure it stays the caller's. Errors as above.
ZSPOOL_EXPORT int
    zspool_producer_put_msg (zspool_producer_t *self, zmsg_t **message_p, uint64_t *number);

//  Wait until all that was put is confirmed at its level. ETIMEDOUT, EFENCED, ECANCELED, or what
//  the service has refused.
ZSPOOL_EXPORT int
    zspool_producer_flush (zspool_producer_t *self);

//  All messages up to this number are confirmed, each at its level; and durable. Any thread.
ZSPOOL_EXPORT uint64_t
    zspool_producer_confirmed (const zspool_producer_t *self);
ZSPOOL_EXPORT uint64_t
    zspool_producer_committed (const zspool_producer_t *self);

//  Which producer of its name this is, from 1, once it has connected: a newer one has a higher
//  epoch, and fences it.
ZSPOOL_EXPORT uint32_t
    zspool_producer_epoch (zspool_producer_t *self);

//  Have the messages put from now on confirmed at another level: "default", "cached" or
//  "committed". EINVAL.
ZSPOOL_EXPORT int
    zspool_producer_set_level (zspool_producer_t *self, const char *level);

//  ------------------------------------------------------------------------------------------------
//  Transactions: what is put, and acknowledged, between begin and commit becomes durable and
//  visible in one commit, or not at all. It is kept here until then: at most 8 MiB of messages (or
//  what the service says), in at most 64 spools, and 4096 stretches of acknowledgements; beyond
//  that putting gives ELIMIT, and the transaction can still be committed or rolled back.

//  EINVAL: one is open, or not connected. Needs no name; with one a commit whose answer was lost is
//  not made twice.
ZSPOOL_EXPORT int
    zspool_producer_begin (zspool_producer_t *self);

//  Acknowledge a delivery in the open transaction: one that a consumer, of the same device, has
//  received and neither acknowledged nor rejected. EINVAL: no transaction is open, or it has not
//  received that; ELIMIT. When the transaction is rolled back, or refused, the consumer holds it as
//  before.
ZSPOOL_EXPORT int
    zspool_producer_ack (zspool_producer_t *self, zspool_consumer_t *consumer, uint64_t sequence);

//  Make it so, and wait. *number, if not NULL, is the transaction's. On success all of it is
//  durable. ESTALE: a delivery was not held any more, and ENOSPC, ELIMIT: there was no room;
//  EFENCED: nothing of it was done. ETIMEDOUT: it is not known yet whether it was; the transaction
//  stays open, and nothing but commit can be called: that waits on. With a name ELOST cannot be:
//  the commit is sent again after reconnecting. Without, it means that it is not known.
ZSPOOL_EXPORT int
    zspool_producer_commit (zspool_producer_t *self, uint64_t *number);

//  Forget what was put and acknowledged since begin. EINVAL: none is open, or its commit is under
//  way.
ZSPOOL_EXPORT int
    zspool_producer_rollback (zspool_producer_t *self);

//  ------------------------------------------------------------------------------------------------

//  A socket to poll for reading: readable when more is confirmed than zspool_producer_events () was
//  called for last, or the producer has failed. Receive nothing from it: call
//  zspool_producer_events (), which makes it quiet and returns ZSPOOL_OK, or why the producer has
//  failed for good (EFENCED, ...). NULL before connecting.
ZSPOOL_EXPORT zsock_t *
    zspool_producer_socket (zspool_producer_t *self);
ZSPOOL_EXPORT int
    zspool_producer_events (zspool_producer_t *self);

//  One line that says why the last call failed; "" when none has. Valid until the next call.
ZSPOOL_EXPORT const char *
    zspool_producer_reason (const zspool_producer_t *self);

#ifdef __cplusplus
}
#endif

#endif
