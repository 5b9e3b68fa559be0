//  zsp.c - ZSP, the service protocol: a codec for its commands
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Layout, little-endian. All commands begin with 12 bytes:
//     0  "ZSP"        3  version u8 (1)    4  command u8    5  flags u8    6  zero u16    8  request u32
//  and go on with (s8: length u8 and so many bytes; s16: length u16 and bytes; [n]: n items):
//    HELLO          heartbeat_ms u32, agent s8
//    OPEN           spool s8
//    PRODUCE        epoch u32, name s8
//    PUT            spool u32, number u64, count u32, level u8, zeros 3
//    COMMIT         parts u16, acks u16, number u64, parts [spool u32, count u32],
//                   acks [session u64, subscription u32, generation u32, first u64, last u64]
//    SUBSCRIBE      subscription u32, spool u32, messages u32, bytes u64, cursor s8, start s8, filters u16,
//                   filters [s16]
//    CREDIT         subscription u32, messages u32, bytes u64
//    ACK, REJECT, EXTEND
//                   subscription u32, generation u32, time_ms u32, ranges u16, zero u16,
//                   ranges [first u64, last u64], reason s8
//    SEEK           subscription u32, start s8
//    UNSUBSCRIBE    subscription u32
//    LIST           spool u32
//    PURGE          spool u32, sequence u64
//    DELETE_CURSOR  spool u32, cursor s8
//    STATUS, FLUSH, PING, PONG, BYE
//                   nothing
//    WELCOME        expiry_ms u32, session u64, incarnation u64, message_bytes_max u32, message_frames_max
//                   u32, transaction_bytes_max u32, durability u8, zeros 3, spool s8
//    OPENED         spool u32, last_sequence u64
//    PRODUCING      epoch u32, last u64, window_bytes u32
//    CONFIRM        window_bytes u32, cached u64, committed u64
//    HOLD           zero u32, number u64
//    SUBSCRIBED     subscription u32, generation u32, floor u64
//    DELIVER        subscription u32, generation u32, slices u16, zero u16,
//                   slices [first u64, stored_us i64, count u32, deliveries u16, zero u16]
//    DONE           zero u32, number u64
//    VALUES         pairs u16, pairs [name s16, value s16]
//    ERROR          code u16, about u8, zero u8, number u64, text s8
//
//  Both directions go through one description of each command, s_pass (), so that they cannot differ.

#include "zsp.h"
#include "bytes.h"

#include <assert.h>
#include <stdio.h>

#define PART_BYTES 8
#define ACKED_BYTES 32
#define RANGE_BYTES 16
#define SLICE_BYTES 24

//  A way through a command: reading it from bytes, or writing it
typedef struct {
    const uint8_t *from;      //  reading: the next byte; NULL: writing
    const uint8_t *end;       //  behind the last
    uint8_t *to;              //  writing: the next byte, or NULL: only count
    size_t size;              //  writing: bytes so far
    const zsp_lists_t *lists; //  writing
    bool bad;                 //  reading: it is not whole, or not what it must be
} s_way_t;

//  Take the next bytes, so many of them, that are to be read; NULL: there are not so many, or it is
//  writing.
static const uint8_t *
s_take (s_way_t *way, size_t size)
{
    if (way->bad || (size_t) (way->end - way->from) < size) {
        way->bad = true;
        return NULL;
    }
    const uint8_t *bytes = way->from;
    way->from += size;
    return bytes;
}

//  Where the next bytes are to be written, or NULL.
static uint8_t *
s_room (s_way_t *way, size_t size)
{
    uint8_t *to = way->to;
    if (to)
        way->to += size;
    way->size += size;
    return to;
}

static void
s_bytes (s_way_t *way, const uint8_t **data, size_t size)
{
    if (way->from) {
        *data = s_take (way, size);
        return;
    }
    uint8_t *to = s_room (way, size);
    if (to && size > 0)
        memcpy (to, *data, size);
}

static void
s_u8 (s_way_t *way, uint8_t *value)
{
    const uint8_t *from = way->from? s_take (way, 1): NULL;
    uint8_t *to = way->from? NULL: s_room (way, 1);
    if (from)
        *value = *from;
    if (to)
        *to = *value;
}

static void
s_u16 (s_way_t *way, uint16_t *value)
{
    const uint8_t *from = way->from? s_take (way, sizeof *value): NULL;
    uint8_t *to = way->from? NULL: s_room (way, sizeof *value);
    if (from)
        *value = get_u16 (from);
    if (to)
        put_u16 (to, *value);
}

static void
s_u32 (s_way_t *way, uint32_t *value)
{
    const uint8_t *from = way->from? s_take (way, sizeof *value): NULL;
    uint8_t *to = way->from? NULL: s_room (way, sizeof *value);
    if (from)
        *value = get_u32 (from);
    if (to)
        put_u32 (to, *value);
}

static void
s_u64 (s_way_t *way, uint64_t *value)
{
    const uint8_t *from = way->from? s_take (way, sizeof *value): NULL;
    uint8_t *to = way->from? NULL: s_room (way, sizeof *value);
    if (from)
        *value = get_u64 (from);
    if (to)
        put_u64 (to, *value);
}

static void
s_zeros (s_way_t *way, size_t count)
{
    for (; count > 0; count--) {
        uint8_t zero = 0;
        s_u8 (way, &zero);
        way->bad = way->bad || zero;
    }
}

static void
s_require (s_way_t *way, bool condition)
{
    assert (way->from || condition);
    way->bad = way->bad || !condition;
}

static void
s_text8 (s_way_t *way, zsp_text_t *text, size_t max)
{
    uint8_t size = (uint8_t) text->size;
    assert (way->from || text->size <= max);
    s_u8 (way, &size);
    s_require (way, way->bad || size <= max);
    const uint8_t *data = (const uint8_t *) text->data;
    s_bytes (way, &data, size);
    text->data = (const char *) data;
    text->size = size;
}

//  A name, which some commands may leave empty
static void
s_name (s_way_t *way, zsp_text_t *name, bool may_be_empty)
{
    s_text8 (way, name, ZSP_NAME_BYTES_MAX);
    if (way->bad)
        return;
    s_require (way, may_be_empty || name->size > 0);
    for (size_t index = 0; index < name->size; index++)
        s_require (way, (unsigned char) name->data [index] >= 33 && name->data [index] != '/');
}

//  A list of items of one size: reading, where they lie; writing, `write` is called with each.
static void
s_items (s_way_t *way, const uint8_t **items, uint16_t count, size_t item_bytes,
         void (*write) (const zsp_lists_t *lists, size_t index, uint8_t *to))
{
    if (way->from) {
        *items = s_take (way, count * item_bytes);
        return;
    }
    uint8_t *to = s_room (way, count * item_bytes);
    for (size_t index = 0; to && index < count; index++)
        write (way->lists, index, to + index * item_bytes);
}

//  A list of texts, in each of which a length u16 comes first.
static void
s_texts (s_way_t *way, const uint8_t **texts, size_t count, const zsp_text_t *array, size_t max)
{
    *texts = way->from? way->from: *texts;
    for (size_t index = 0; index < count && !way->bad; index++) {
        zsp_text_t text = way->from? (zsp_text_t){ NULL, 0 }: array [index];
        uint16_t size = (uint16_t) text.size;
        assert (text.size <= max);
        s_u16 (way, &size);
        s_require (way, way->bad || size <= max);
        const uint8_t *data = (const uint8_t *) text.data;
        s_bytes (way, &data, size);
    }
}

//  ------------------------------------------------------------------------------------------------
//  Items of lists

static void
s_write_part (const zsp_lists_t *lists, size_t index, uint8_t *to)
{
    put_u32 (to, lists->parts [index].spool);
    put_u32 (to + 4, lists->parts [index].count);
}

static void
s_write_acked (const zsp_lists_t *lists, size_t index, uint8_t *to)
{
    const zsp_acked_t *acked = &lists->acks [index];
    put_u64 (to, acked->session);
    put_u32 (to + 8, acked->subscription);
    put_u32 (to + 12, acked->generation);
    put_u64 (to + 16, acked->range.first);
    put_u64 (to + 24, acked->range.last);
}

static void
s_write_range (const zsp_lists_t *lists, size_t index, uint8_t *to)
{
    put_u64 (to, lists->ranges [index].first);
    put_u64 (to + 8, lists->ranges [index].last);
}

static void
s_write_slice (const zsp_lists_t *lists, size_t index, uint8_t *to)
{
    const zsp_slice_t *slice = &lists->slices [index];
    put_u64 (to, slice->first);
    put_u64 (to + 8, (uint64_t) slice->stored_us);
    put_u32 (to + 16, slice->count);
    put_u16 (to + 20, slice->deliveries);
    put_u16 (to + 22, 0);
}

static bool
s_is_count (uint32_t count)
{
    return count > 0 && count <= ZSP_RUN_MESSAGES_MAX;
}

static bool
s_is_range (zsp_range_t range)
{
    return range.first > 0 && range.first <= range.last;
}

zsp_part_t
zsp_part (const zsp_t *self, size_t index)
{
    const uint8_t *from = self->as.commit.parts + index * PART_BYTES;
    return (zsp_part_t){ get_u32 (from), get_u32 (from + 4) };
}

zsp_acked_t
zsp_acked (const zsp_t *self, size_t index)
{
    const uint8_t *from = self->as.commit.acks + index * ACKED_BYTES;
    return (zsp_acked_t){ get_u64 (from), get_u32 (from + 8), get_u32 (from + 12),
                          { get_u64 (from + 16), get_u64 (from + 24) } };
}

zsp_slice_t
zsp_slice (const zsp_t *self, size_t index)
{
    const uint8_t *from = self->as.deliver.slices + index * SLICE_BYTES;
    return (zsp_slice_t){ get_u64 (from), (int64_t) get_u64 (from + 8), get_u32 (from + 16),
                          get_u16 (from + 20) };
}

void
zsp_text_copy (char *to, size_t size, zsp_text_t text)
{
    snprintf (to, size, "%.*s", (int) text.size, text.data);
}

zsp_range_t
zsp_range (const zsp_t *self, size_t index)
{
    const uint8_t *from = self->as.ranges.ranges + index * RANGE_BYTES;
    return (zsp_range_t){ get_u64 (from), get_u64 (from + 8) };
}

//  Take a text with a length u16 before it.
static zsp_text_t
s_next_text (const uint8_t **at)
{
    zsp_text_t text = { (const char *) *at + sizeof (uint16_t), get_u16 (*at) };
    *at += sizeof (uint16_t) + text.size;
    return text;
}

zsp_text_t
zsp_filter (const zsp_t *self, const uint8_t **at)
{
    if (!*at)
        *at = self->as.subscribe.filters;
    return s_next_text (at);
}

void
zsp_pair (const zsp_t *self, const uint8_t **at, zsp_text_t *name, zsp_text_t *value)
{
    if (!*at)
        *at = self->as.values.pairs;
    *name = s_next_text (at);
    *value = s_next_text (at);
}

//  ------------------------------------------------------------------------------------------------
//  Commands

static void
s_pass_welcome (s_way_t *way, zsp_t *self)
{
    s_u32 (way, &self->as.welcome.expiry_ms);
    s_u64 (way, &self->as.welcome.session);
    s_u64 (way, &self->as.welcome.incarnation);
    s_u32 (way, &self->as.welcome.message_bytes_max);
    s_u32 (way, &self->as.welcome.message_frames_max);
    s_u32 (way, &self->as.welcome.transaction_bytes_max);
    s_u8 (way, &self->as.welcome.durability);
    s_zeros (way, 3);
    s_name (way, &self->as.welcome.spool, false);
    s_require (way, way->bad || self->as.welcome.durability <= 2);
}

static void
s_pass_put (s_way_t *way, zsp_t *self)
{
    s_u32 (way, &self->as.put.spool);
    s_u64 (way, &self->as.put.number);
    s_u32 (way, &self->as.put.count);
    s_u8 (way, &self->as.put.level);
    s_zeros (way, 3);
    s_require (way, way->bad
                        || (s_is_count (self->as.put.count) && self->as.put.number > 0
                            && self->as.put.number <= UINT64_MAX - self->as.put.count
                            && self->as.put.level <= ZSP_LEVEL_COMMITTED));
}

static void
s_pass_commit (s_way_t *way, zsp_t *self)
{
    s_u16 (way, &self->as.commit.parts_count);
    s_u16 (way, &self->as.commit.acks_count);
    s_u64 (way, &self->as.commit.number);
    s_require (way, way->bad
                        || (self->as.commit.parts_count <= ZSP_PARTS_MAX
                            && self->as.commit.acks_count <= ZSP_RANGES_MAX
                            && self->as.commit.parts_count + self->as.commit.acks_count > 0
                            && self->as.commit.number > 0 && self->as.commit.number < UINT64_MAX));
    s_items (way, &self->as.commit.parts, self->as.commit.parts_count, PART_BYTES, s_write_part);
    s_items (way, &self->as.commit.acks, self->as.commit.acks_count, ACKED_BYTES, s_write_acked);
    if (!way->from || way->bad)
        return;
    for (size_t index = 0; index < self->as.commit.parts_count; index++)
        s_require (way, s_is_count (zsp_part (self, index).count));
    for (size_t index = 0; index < self->as.commit.acks_count; index++)
        s_require (way, s_is_range (zsp_acked (self, index).range));
}

static void
s_pass_subscribe (s_way_t *way, zsp_t *self)
{
    s_u32 (way, &self->as.subscribe.subscription);
    s_u32 (way, &self->as.subscribe.spool);
    s_u32 (way, &self->as.subscribe.messages);
    s_u64 (way, &self->as.subscribe.bytes);
    s_name (way, &self->as.subscribe.cursor, false);
    s_text8 (way, &self->as.subscribe.start, ZSP_TEXT_BYTES_MAX);
    s_u16 (way, &self->as.subscribe.filters_count);
    s_require (way, way->bad || self->as.subscribe.filters_count <= ZSP_FILTERS_MAX);
    s_texts (way, &self->as.subscribe.filters, way->bad? 0: self->as.subscribe.filters_count,
             way->lists? way->lists->filters: NULL, ZSP_FILTER_BYTES_MAX);
}

static void
s_pass_ranges (s_way_t *way, zsp_t *self)
{
    s_u32 (way, &self->as.ranges.subscription);
    s_u32 (way, &self->as.ranges.generation);
    s_u32 (way, &self->as.ranges.time_ms);
    s_u16 (way, &self->as.ranges.ranges_count);
    s_zeros (way, 2);
    s_require (way, way->bad
                        || (self->as.ranges.ranges_count > 0
                            && self->as.ranges.ranges_count <= ZSP_RANGES_MAX
                            && self->as.ranges.time_ms <= ZSP_TIME_MS_MAX));
    s_items (way, &self->as.ranges.ranges, self->as.ranges.ranges_count, RANGE_BYTES,
             s_write_range);
    s_text8 (way, &self->as.ranges.reason, ZSP_TEXT_BYTES_MAX);
    for (size_t index = 0; way->from && !way->bad && index < self->as.ranges.ranges_count; index++)
        s_require (way, s_is_range (zsp_range (self, index)));
}

static void
s_pass_deliver (s_way_t *way, zsp_t *self)
{
    s_u32 (way, &self->as.deliver.subscription);
    s_u32 (way, &self->as.deliver.generation);
    s_u16 (way, &self->as.deliver.slices_count);
    s_zeros (way, 2);
    s_require (way, way->bad
                        || (self->as.deliver.slices_count > 0
                            && self->as.deliver.slices_count <= ZSP_SLICES_MAX));
    s_items (way, &self->as.deliver.slices, self->as.deliver.slices_count, SLICE_BYTES,
             s_write_slice);
    for (size_t index = 0; way->from && !way->bad && index < self->as.deliver.slices_count;
         index++) {
        zsp_slice_t slice = zsp_slice (self, index);
        s_require (way, s_is_count (slice.count) && slice.first > 0
                            && slice.first <= UINT64_MAX - slice.count && slice.deliveries > 0
                            && get_u16 (self->as.deliver.slices + index * SLICE_BYTES + 22) == 0);
    }
}

static void
s_pass_error (s_way_t *way, zsp_t *self)
{
    s_u16 (way, &self->as.error.code);
    s_u8 (way, &self->as.error.about);
    s_zeros (way, 1);
    s_u64 (way, &self->as.error.number);
    s_text8 (way, &self->as.error.text, ZSP_TEXT_BYTES_MAX);
}

//  Go through the fields of a command, to read or to write them.
static void
s_pass (s_way_t *way, zsp_t *self)
{
    switch (self->command) {
    case ZSP_HELLO:
        s_u32 (way, &self->as.hello.heartbeat_ms);
        s_text8 (way, &self->as.hello.agent, ZSP_TEXT_BYTES_MAX);
        s_require (way, way->bad
                            || (self->as.hello.heartbeat_ms >= ZSP_HEARTBEAT_MS_MIN
                                && self->as.hello.heartbeat_ms <= ZSP_HEARTBEAT_MS_MAX));
        break;
    case ZSP_WELCOME: s_pass_welcome (way, self); break;
    case ZSP_OPEN: s_name (way, &self->as.open.spool, false); break;
    case ZSP_OPENED:
        s_u32 (way, &self->as.opened.spool);
        s_u64 (way, &self->as.opened.last_sequence);
        break;
    case ZSP_PRODUCE:
        s_u32 (way, &self->as.produce.epoch);
        s_name (way, &self->as.produce.name, true);
        break;
    case ZSP_PRODUCING:
        s_u32 (way, &self->as.producing.epoch);
        s_u64 (way, &self->as.producing.last);
        s_u32 (way, &self->as.producing.window_bytes);
        break;
    case ZSP_PUT: s_pass_put (way, self); break;
    case ZSP_CONFIRM:
        s_u32 (way, &self->as.confirm.window_bytes);
        s_u64 (way, &self->as.confirm.cached);
        s_u64 (way, &self->as.confirm.committed);
        break;
    case ZSP_HOLD:
        s_zeros (way, 4);
        s_u64 (way, &self->as.hold.number);
        break;
    case ZSP_COMMIT: s_pass_commit (way, self); break;
    case ZSP_SUBSCRIBE: s_pass_subscribe (way, self); break;
    case ZSP_SUBSCRIBED:
        s_u32 (way, &self->as.subscribed.subscription);
        s_u32 (way, &self->as.subscribed.generation);
        s_u64 (way, &self->as.subscribed.floor);
        break;
    case ZSP_CREDIT:
        s_u32 (way, &self->as.credit.subscription);
        s_u32 (way, &self->as.credit.messages);
        s_u64 (way, &self->as.credit.bytes);
        break;
    case ZSP_DELIVER: s_pass_deliver (way, self); break;
    case ZSP_ACK:
    case ZSP_REJECT:
    case ZSP_EXTEND: s_pass_ranges (way, self); break;
    case ZSP_SEEK:
        s_u32 (way, &self->as.seek.subscription);
        s_text8 (way, &self->as.seek.start, ZSP_TEXT_BYTES_MAX);
        break;
    case ZSP_UNSUBSCRIBE: s_u32 (way, &self->as.unsubscribe.subscription); break;
    case ZSP_LIST: s_u32 (way, &self->as.list.spool); break;
    case ZSP_PURGE:
        s_u32 (way, &self->as.purge.spool);
        s_u64 (way, &self->as.purge.sequence);
        break;
    case ZSP_DELETE_CURSOR:
        s_u32 (way, &self->as.delete_cursor.spool);
        s_name (way, &self->as.delete_cursor.cursor, false);
        break;
    case ZSP_DONE:
        s_zeros (way, 4);
        s_u64 (way, &self->as.done.number);
        break;
    case ZSP_VALUES:
        s_u16 (way, &self->as.values.count);
        s_texts (way, &self->as.values.pairs, way->bad? 0: 2 * (size_t) self->as.values.count,
                 way->lists? way->lists->pairs: NULL, UINT16_MAX);
        break;
    case ZSP_ERROR: s_pass_error (way, self); break;
    default: break; //  no fields
    }
}

//  The flags that a command may have; -1: there is no such command
static int
s_flags (uint8_t command)
{
    switch (command) {
    case ZSP_OPEN: return ZSP_FLAG_CREATE;
    case ZSP_SUBSCRIBE: return ZSP_FLAG_CREATE | ZSP_FLAG_EXCLUSIVE;
    case ZSP_REJECT: return ZSP_FLAG_DEAD;
    case ZSP_CONFIRM: return ZSP_FLAG_RESUME;
    case ZSP_SUBSCRIBED: return ZSP_FLAG_ACTIVE;
    case ZSP_ERROR: return ZSP_FLAG_FATAL;
    default: return zsp_command_name (command) [0] == '?'? -1: 0;
    }
}

int
zsp_decode (zsp_t *self, const void *data, size_t size)
{
    const uint8_t *bytes = (const uint8_t *) data;
    if (size < ZSP_HEADER_BYTES || size > ZSP_COMMAND_BYTES_MAX || memcmp (bytes, "ZSP", 3) != 0)
        return ZSPOOL_ECORRUPT;
    if (bytes [3] != ZSP_VERSION)
        return ZSPOOL_EVERSION;
    memset (self, 0, sizeof *self);
    self->command = bytes [4];
    self->flags = bytes [5];
    self->request = get_u32 (bytes + 8);
    int flags = s_flags (self->command);
    if (flags < 0 || (self->flags & ~flags) || get_u16 (bytes + 6))
        return ZSPOOL_ECORRUPT;
    s_way_t way = { .from = bytes + ZSP_HEADER_BYTES, .end = bytes + size };
    s_pass (&way, self);
    return way.bad || way.from != way.end? ZSPOOL_ECORRUPT: ZSPOOL_OK;
}

size_t
zsp_encode (const zsp_t *self, const zsp_lists_t *lists, uint8_t *to)
{
    assert (s_flags (self->command) >= 0 && !(self->flags & ~s_flags (self->command)));
    if (to) {
        memcpy (to, "ZSP", 3);
        to [3] = ZSP_VERSION;
        to [4] = self->command;
        to [5] = self->flags;
        put_u16 (to + 6, 0);
        put_u32 (to + 8, self->request);
    }
    s_way_t way = { .to = to? to + ZSP_HEADER_BYTES: NULL,
                    .size = ZSP_HEADER_BYTES,
                    .lists = lists };
    zsp_t fields = *self;
    s_pass (&way, &fields);
    assert (way.size <= ZSP_COMMAND_BYTES_MAX);
    return way.size;
}

const char *
zsp_command_name (uint8_t command)
{
    static const char *const clients [] = { "?",           "HELLO",         "OPEN",      "PRODUCE",
                                            "PUT",         "COMMIT",        "SUBSCRIBE", "CREDIT",
                                            "ACK",         "REJECT",        "EXTEND",    "SEEK",
                                            "UNSUBSCRIBE", "PING",          "STATUS",    "LIST",
                                            "PURGE",       "DELETE_CURSOR", "FLUSH",     "BYE" };
    static const char *const services [] = { "?",          "WELCOME", "OPENED",
                                             "PRODUCING",  "CONFIRM", "HOLD",
                                             "SUBSCRIBED", "DELIVER", "DONE" };
    size_t at = command & 0x7f;
    if (command == ZSP_ERROR)
        return "ERROR";
    if (command == ZSP_PONG)
        return "PONG";
    if (command == ZSP_VALUES)
        return "VALUES";
    if (command & 0x80)
        return at < sizeof services / sizeof services [0]? services [at]: "?";
    return at < sizeof clients / sizeof clients [0]? clients [at]: "?";
}
