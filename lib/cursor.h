//  cursor.h - what one reader of a spool was sent, has acknowledged, and is due to be sent again
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Pure memory: knows no store, socket or clock. An outlet holds one for the device's cursor; the
//  store holds one for a cursor that is acknowledged through its API. Times are milliseconds of the
//  caller's monotonic clock.
//
//  Invariants
//  1. Every message up to `floor` is acknowledged; floor never falls (but for a new generation).
//  2. floor <= sent_to. A message above sent_to was never delivered. It may be acknowledged all the
//     same, and is not in flight then; sent_to follows when the floor passes it.
//  3. Known blocks are in order of sequence, disjoint, and lie above the floor at least in part.
//  4. A known message at or below sent_to is at any time one of: acknowledged; in flight, and then
//     due or not, as its deadline has passed or lies ahead.
//  5. Cost of any call is in proportion to what it changes, never to the backlog.

#ifndef ZSPOOL_CURSOR_H_INCLUDED
#define ZSPOOL_CURSOR_H_INCLUDED

#include "zspool_library.h"

//  Most messages that may be delivered and unacknowledged at a time: bounds the memory of a cursor.
//  The one who sends sees to it, with zspool_cursor_in_flight ().
#define ZSPOOL_IN_FLIGHT_MAX (4 * 1024 * 1024)

//  Most blocks that may be known at a time, likewise
#define ZSPOOL_CURSOR_BLOCKS_MAX (256 * 1024)

typedef struct zspool_cursor zspool_cursor_t;

//  What is stored of a cursor for one block: only for blocks with something out of order. `acked`
//  has one bit a message, the first message in the lowest bit of the first byte, padded with zero
//  bits; `counts`, when present, one little-endian u16 a message: deliveries made, 0 where unknown
//  (then it is one). Bytes of an entry are aligned to nothing.
typedef struct {
    uint64_t first_sequence;   //  of the block: the entry's key
    uint32_t messages;         //  in the block
    const uint8_t *acked;      //  (messages + 7) / 8 bytes
    const uint8_t *counts;     //  messages * 2 bytes, or NULL
} zspool_cursor_entry_t;

//  A change of a cursor, to be stored as a whole: one allocation, immutable, freed by whoever
//  stores it
typedef struct {
    uint32_t spool;
    uint32_t cursor;
    uint32_t generation;
    uint64_t floor;            //  entries of blocks that end at or below it are to be deleted
    uint64_t sent_to;
    size_t entries_count;      //  entries, in order of sequence
    zspool_cursor_entry_t entries [];
} zspool_cursor_change_t;

//  Create a cursor that stands at floor, with deliveries made up to sent_to. NULL when memory is
//  out. The caller then covers the blocks that lie in (floor, sent_to], with their stored entries:
//  their messages up to sent_to count as delivered once (or as the entry says), and are due at
//  once. Where nothing is covered nothing is stored: those sequences count as acknowledged.
zspool_cursor_t *
    zspool_cursor_new (uint32_t spool, uint32_t cursor, uint32_t generation, uint64_t floor,
                       uint64_t sent_to);
void
    zspool_cursor_destroy (zspool_cursor_t **self_p);

//  A copy that knows the same, and has changed as the original: what one is told from then on the
//  other does not know. NULL when memory is out.
zspool_cursor_t *
    zspool_cursor_clone (const zspool_cursor_t *self);

//  Make a block known: it holds `messages` from `first_sequence`. Blocks come in order of sequence;
//  the sequences skipped between two (or between floor and the first) hold nothing and count as
//  acknowledged. A block that is known already, or lies at or below the floor, is ignored. Must be
//  called before a message of it is sent or acknowledged. ENOMEM, EINVAL (empty, overlaps another,
//  or lies before one).
int
    zspool_cursor_cover (zspool_cursor_t *self, uint64_t first_sequence, uint32_t messages);

//  Restore what was stored for a block, right after covering it. Bits and counts are those of the
//  change that was stored; the block does not become dirty, but the floor may rise. Bits and counts
//  that are known stay where they say more; the entry of a block at or below the floor is ignored.
//  ECORRUPT when the entry does not fit the block, or no such block is known; ENOMEM.
int
    zspool_cursor_restore (zspool_cursor_t *self, const zspool_cursor_entry_t *entry);

//  Note deliveries of the messages first..last, all in one known block, at time now_ms: each that
//  was not delivered before becomes in flight with count 1, each other (not acknowledged) gets one
//  delivery more. Each is due again at now_ms + timeout_ms, whenever it was due before; up to 1 ms,
//  or timeout_ms / 4096 if that is more, later, as deliveries of consecutive messages share a
//  deadline. First deliveries are made in order of sequence: between sent_to and first there may
//  only be what is acknowledged. Messages at or below the floor are passed over. EINVAL (out of
//  order, or not in one known block); ENOMEM. Nothing is noted when it fails.
int
    zspool_cursor_sent (zspool_cursor_t *self, uint64_t first, uint64_t last, int64_t now_ms);

//  How long a delivery may stay unacknowledged, in milliseconds. 0, the default: for ever; what is
//  sent then is not due again under a later timeout either. Set it before the first delivery.
void
    zspool_cursor_set_timeout_ms (zspool_cursor_t *self, int64_t timeout_ms);

//  Acknowledge the messages first..last, in known blocks. Returns how many were newly acknowledged;
//  what is not known, or acknowledged already, is passed over. Raises the floor as far as it goes.
uint64_t
    zspool_cursor_ack (zspool_cursor_t *self, uint64_t first, uint64_t last);

//  All up to a sequence is gone from the store: it counts as acknowledged, known or not, and the
//  floor rises to it at least. Returns how many deliveries in flight ended with that.
uint64_t
    zspool_cursor_skip (zspool_cursor_t *self, uint64_t to);

//  Find the next unacknowledged message whose deadline has passed, at or below sent_to, oldest
//  deadline first; within a run of deliveries in order of sequence. It stays due until
//  zspool_cursor_sent () notes that it was sent again (or it is acknowledged), so asking twice
//  gives the same. False when none is due.
bool
    zspool_cursor_due (zspool_cursor_t *self, int64_t now_ms, uint64_t *sequence);

//  Let the message that zspool_cursor_due () gave last be due again at now_ms + the timeout, and
//  not before, though it was not sent. ENOMEM: nothing was changed.
int
    zspool_cursor_defer (zspool_cursor_t *self, uint64_t sequence, int64_t now_ms);

//  When the message that zspool_cursor_due () gave last was delivered, at the latest; INT64_MIN:
//  before the cursor was created.
int64_t
    zspool_cursor_due_sent_ms (const zspool_cursor_t *self);

//  Deadline of the next message that becomes due, in milliseconds of the same clock; 0 while
//  messages that were delivered before the cursor was created are due; INT64_MAX when none is in
//  flight or there is no timeout. May be early by what was acknowledged or sent again meanwhile,
//  until zspool_cursor_due () finds out; never late.
int64_t
    zspool_cursor_next_due_ms (const zspool_cursor_t *self);

//  Delivery count of a known message that is not acknowledged, 0 when it was not delivered;
//  counting ends at 32767. And whether a message is acknowledged: all up to the floor, and what is
//  skipped between known blocks, is; what lies above all known blocks is not.
uint16_t
    zspool_cursor_deliveries (const zspool_cursor_t *self, uint64_t sequence);
bool
    zspool_cursor_acked (const zspool_cursor_t *self, uint64_t sequence);

uint64_t
    zspool_cursor_floor (const zspool_cursor_t *self);
uint64_t
    zspool_cursor_sent_to (const zspool_cursor_t *self);

//  How many messages were delivered and are not acknowledged, whether due or not.
uint64_t
    zspool_cursor_in_flight (const zspool_cursor_t *self);

//  Whether the limits allow that more is delivered. The caller keeps to it.
bool
    zspool_cursor_may_deliver (const zspool_cursor_t *self);

//  Whether there is a change to take.
bool
    zspool_cursor_changed (const zspool_cursor_t *self);

//  Everything that changed since the last call, as one allocation (free ()), or NULL when nothing
//  did or memory is out (then it stays dirty: zspool_cursor_changed () tells which). Includes the
//  entry of each known block, above the floor in part, that changed and has something out of order:
//  above the floor a bit set, or a count of two or more.
zspool_cursor_change_t *
    zspool_cursor_take_change (zspool_cursor_t *self);

#endif
