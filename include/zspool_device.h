//  zspool_device.h - a store-and-forward device: takes messages in, stores them, forwards and
//  replays them
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A device runs on threads of its own and uses CZMQ's global context, so an application can host
//  one and reach it over inproc:// too. One thread at a time may call these functions on a device;
//  only zspool_device_socket () is for polling.

#ifndef ZSPOOL_DEVICE_H_INCLUDED
#define ZSPOOL_DEVICE_H_INCLUDED

#include "zspool_library.h"
#include <czmq.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zspool_device zspool_device_t;

//  Create a device with default options; it does nothing before zspool_device_start (). NULL when
//  memory is out.
ZSPOOL_EXPORT zspool_device_t *
    zspool_device_new (void);

//  Stop the device if it runs (zspool_device_stop ()), and free it; sets *self_p to NULL.
//  NULL-safe.
ZSPOOL_EXPORT void
    zspool_device_destroy (zspool_device_t **self_p);

//  Set an option before the start; values are text, as on the command line:
//
//    store            directory of the store; required
//    in, out          endpoints, `@` or none binds, `>` connects; required, unless there is a service
//    name             spool, default "main"
//    durability       sync (default), async or transaction
//    commit-interval  under async, milliseconds from arrival to commit, 1 to 60000, default 10
//    ack              settled (default), sent or explicit
//    ack-in           endpoint for tickets; required with explicit, and only then allowed
//    ack-timeout      explicit, service: milliseconds until an unacknowledged message is sent again, 10 to
//                     86400000, default 30000
//    max-deliveries   explicit, service: a message that was delivered so often, and is not acknowledged in time,
//                     moves to the spool NAME.dead (zspool_dead.h), 1 to 32767; 0, the default:
//                     never. The name has at most 122 bytes then
//    settle           settled: milliseconds, 10 to 3600000, default 5000
//    pipe-depth       settled: bytes, with suffix K, M or G, default 8M
//    hwm              high-water mark of both sockets, messages, 1 to 1000000, default 1000
//    max-bytes        the most that the spool may hold, bytes of its blocks, 1M to 64T; default: no limit
//    on-full          at that limit: pause (default), the inlet holds the producers; or drop-oldest, the oldest
//                     blocks are removed, see zspool_store_set_limit ()
//    max-message-size larger messages are dropped, all frames together, bytes, 1 to 128M, default
//    128M
//    max-frames       messages with more frames are dropped, 1 to 65535, default 65535
//    in-type          pull (default) or sub: PUSH peers, or PUB peers
//    topic            sub: a prefix of topics to take in, 0 to 1023 bytes; may be set again for more; default:
//                     all
//    out-type         push (default) or pub: PULL peers, or SUB peers. The policy of pub is always sent: `ack` is
//                     for feeds then. A slow subscriber loses messages at its high-water mark, as with any PUB
//    hold             pub: wait at the start until there are so many subscriptions, 0 (default) to 1000000
//    out-filter       a filter (zspool_filter.h): only messages of these topics leave through out; may be set
//                     again for more; default: all
//    feed             NAME=ENDPOINT[,FILTER...]: a further outlet, for PULL peers, with a cursor NAME of its own: it
//                     gets every message of its topics, whatever its absences; may be set again, for at
//                     most 60. Then `out` is not required
//    feed-sub         the same for one SUB peer: messages are sent while it is subscribed, and none is dropped
//    feed-ack         NAME=settled, NAME=sent or NAME=explicit,ENDPOINT: policy of a feed, default that of `ack`; the
//                     endpoint is for its tickets. Not explicit for a feed-sub
//    feed-start       NAME=START: where a feed's cursor begins when it is created (zspool_start.h); default
//                     that of `start`
//    start            the same for all feeds, default new
//    keep-age         how long messages are kept, milliseconds, or with suffix s, m, h or d; or unlimited, the
//                     default. What exceeds one of these three is removed, see zspool_store_set_retention ()
//    keep-bytes       how much is kept, bytes of blocks; or unlimited, the default
//    keep-count       how many messages are kept; or unlimited. Default 0: what every cursor has
//                     acknowledged is removed
//    keep-unacked     on (default): nothing is removed that a cursor has not acknowledged; off: it is, and
//                     the cursor has lost it (`lagged`)
//    service          endpoint where clients speak ZSP (doc/zsp.md): zspool_producer, zspool_consumer. It gives
//                     all spools of the store; those that are created get the device's limits
//    service-spool    name of a spool that clients may open; may be set again for more; default: all
//    service-admin    on: clients may also purge spools and delete cursors; off (default)
//    map              size of the store's memory map, bytes, with suffix K, M, G or T, default 1T
//
//  The value is copied. EINVAL: no such option, a value out of range, or the device runs;
//  zspool_device_reason () says which, and the option is as it was.
ZSPOOL_EXPORT int
    zspool_device_set (zspool_device_t *self, const char *option, const char *value);

//  Start the device: open the store, bind and connect. When it returns 0, producers can send, and
//  replay of what was not acknowledged has begun. Otherwise a code (EINVAL for options that do not
//  fit together, EADDR, or any of zspool_store_open ()), nothing runs, and zspool_device_reason ()
//  has one line of text.
ZSPOOL_EXPORT int
    zspool_device_start (zspool_device_t *self);

//  Stop the device: take in what is under way until nothing came for 100 ms (2 s at most, and 8 s
//  when the disk is slow), commit within 8 s more, and close the store cleanly. When it returns 0
//  everything that was taken in is durable. Otherwise ENOSPC (the disk is full), ETIMEDOUT (it is
//  too slow) or EFAILED, and zspool_device_reason () says how many messages are lost. It can be
//  started again. 0 when it does not run.
ZSPOOL_EXPORT int
    zspool_device_stop (zspool_device_t *self);

//  One line that says why the last call failed, or why a running device failed; "" when none did.
//  Valid until the next call.
ZSPOOL_EXPORT const char *
    zspool_device_reason (zspool_device_t *self);

//  The endpoints in use, with wildcard ports resolved; NULL while not running, and where there is
//  none. Valid until the device is stopped or destroyed.
ZSPOOL_EXPORT const char *
    zspool_device_in (const zspool_device_t *self);
ZSPOOL_EXPORT const char *
    zspool_device_service (const zspool_device_t *self);
ZSPOOL_EXPORT const char *
    zspool_device_out (const zspool_device_t *self);
ZSPOOL_EXPORT const char *
    zspool_device_ack_in (const zspool_device_t *self);

//  The same of a feed by its name, NULL also when there is none; and the one where its tickets come in.
ZSPOOL_EXPORT const char *
    zspool_device_feed (const zspool_device_t *self, const char *name);
ZSPOOL_EXPORT const char *
    zspool_device_feed_ack_in (const zspool_device_t *self, const char *name);

//  STATUS: a tree of names and values as they are now; the caller destroys it with zconfig_destroy
//  (). NULL when the device does not run, or a signal ends the wait. Names:
//    state                                running, full (inlets wait for room), stalled (the disk, or
//                                         an actor, has not answered for a second), stopping or
//                                         failed
//    store/full                           what is full: no, disk or limit
//    store/last_sequence                  newest message that has a number; under async it may not be durable
//    rate/in, rate/stored, rate/out       messages a second, on the average of the last seconds
//    rate/in_bytes, rate/stored_bytes, rate/out_bytes
//                                         bytes a second; stored: of whole blocks
//    t1/..._us                            time to cache, microseconds: from when the first message of a
//                                         block was received until the block was handed to the
//                                         writer; it counts for each message in it, so most waited
//                                         less
//    t2/..._us                            time to store: from then until the block was committed and
//                                         fsynced; it counts for each message in it
//    wait/..._us                          from when a message was numbered (after t1, before its commit)
//                                         until ZeroMQ took its first delivery
//    store/commit_..._us                  what a commit took
//    store/commit_messages_..., store/commit_bytes_...
//                                         messages in a commit that stored any, and bytes of their
//                                         blocks
//    For each of these measures, in place of the dots: count, how many values there are; p50_us,
//    p99_us, max_us (or without _us), which value half of them and 99 % are not above, within 3.2
//    %, and the greatest; likewise recent_count, recent_p50_us, ... of the last 10 to 20 seconds.
//    counts have no unit.
//    store/commits, store/commit_us       commits so far; microseconds the last one took
//    store/retained_messages, store/retained_bytes, store/oldest_age_ms
//                                         what the spool holds, and how long ago its oldest block was stored
//    keep/age_ms, keep/bytes, keep/count, keep/unacked
//                                         how long messages are kept: a number or unlimited; on or off
//    store/waiting                        blocks that are not durable yet
//    store/oldest_reader_commits          commits since the oldest state that a reader looks at; while it
//                                         keeps rising the store grows: zspool_store_oldest_reader
//                                         ()
//    in/paused                            1 after PAUSE, else 0
//    in/messages, in/bytes                taken in since the start
//    in/dropped                           messages over a limit
//    out/sent, out/resent                 messages delivered the first time, and again
//    out/buried                           messages moved to the dead letters
//    out/floor, out/sent_to               of the cursor, as in zspool_cursor_info_t
//    out/in_flight                        likewise
//    out/lagged                           messages dropped at the limit that the cursor had not acknowledged, ever
//    out/damaged                          blocks passed over because their checksum failed
//    out/unsent_age_ms                    how long ago the message to be sent next was stored
//    out/peers                            connected now (not counted over inproc)
//    ack/tickets, ack/stale, ack/bad      tickets that acknowledged; that no longer could; that were none
//    out/subscriptions                    of a pub: subscriptions, of all peers together
//    out/holding                          1 while `hold` waits for more of them, else 0
//    out/passed                           messages of other topics than its filters, passed over
//    feed/NAME/...                        of each feed the same as of out, under the feed's name; there also
//                                         rate/out, rate/out_bytes and wait/...; tickets, stale and bad
//                                         are without ack/
//    feed/NAME/endpoint, feed/NAME/ack_in, feed/NAME/type, feed/NAME/ack
//                                         the endpoints in use; push or sub; its policy
//    feed/NAME/silent_ms                  as device/outlet_silent_ms
//    device/feeds                         how many there are
//    service/sessions, service/producers, service/consumers, service/spools, service/groups
//                                         clients of the service; those that produce, or have something not
//                                         durable yet; subscriptions; spools open; cursors
//    service/messages, service/bytes      taken from producers since the start
//    service/waiting                      of these, not durable yet
//    service/duplicates                   messages recognised as stored already, and dropped
//    service/held                         times that a producer was told to wait
//    service/transactions, service/refused
//                                         made, and not
//    service/lost, service/errors         clients that left without a word; commands refused
//    group/SPOOL/CURSOR/...               of each cursor that consumers use: consumers, floor, sent_to, in_flight,
//                                         delivered, redelivered, acknowledged, stale, buried
//    device/service                       the endpoint in use, or ""
//    device/uptime_ms, device/pid         since the start, milliseconds; process
//    device/name, device/durability, device/ack, device/in, device/out, device/ack_in,
//    device/in_type, device/out_type      options, and the endpoints in use; out is "" with feeds only
//    device/writer_silent_ms, device/inlet_silent_ms, device/outlet_silent_ms
//                                         milliseconds that this actor has not answered, when over
//                                         a second: its values are older then; else 0
//  Other processes get the same from zspool_control_status ().
ZSPOOL_EXPORT zconfig_t *
    zspool_device_status (zspool_device_t *self);

//  PAUSE: stop taking messages in; ZeroMQ's high-water marks hold the producers. Forwarding goes
//  on. RESUME: take them in again. EINVAL when the device does not run; EFAILED, the store has
//  failed; ESYSTEM, a signal that CZMQ has caught ended the wait.
ZSPOOL_EXPORT int
    zspool_device_pause (zspool_device_t *self);
ZSPOOL_EXPORT int
    zspool_device_resume (zspool_device_t *self);

//  FLUSH: return when every message the inlet had taken in before the call is committed, hence
//  durable. What is in ZeroMQ's queues is not among them. Errors as of PAUSE. Waits while the disk
//  is full.
ZSPOOL_EXPORT int
    zspool_device_flush (zspool_device_t *self);

//  A socket to poll for reading: it becomes readable when the device has failed. Then receive
//  nothing from it: call zspool_device_reason () and destroy the device. NULL while not running;
//  valid until the device is stopped.
ZSPOOL_EXPORT zsock_t *
    zspool_device_socket (zspool_device_t *self);

#ifdef __cplusplus
}
#endif

#endif
