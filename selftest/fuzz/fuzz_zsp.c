//  fuzz_zsp.c - feeds any bytes to ZSP's decoder, and uses what it accepts
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The selftest replays the files of corpus_zsp/. To look for more, with clang, from the top of the
//  source tree:
//
//      flags="-DFUZZ -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined"
//      includes="-D_GNU_SOURCE -I include -iquote lib -iquote selftest"
//      clang $flags $includes selftest/fuzz/fuzz_zsp.c lib/zsp.c -o /tmp/fuzz_zsp
//      mkdir -p /tmp/corpus_zsp
//      /tmp/fuzz_zsp -max_len=600 -max_total_time=300 /tmp/corpus_zsp selftest/fuzz/corpus_zsp
//
//  and `/tmp/fuzz_zsp -merge=1 selftest/fuzz/corpus_zsp /tmp/corpus_zsp` as with fuzz_block.c. An
//  input is command, flags, and what follows the header of a frame.

#include "fuzz_zsp.h"
#include "zsp.h"

#include <stdlib.h>
#include <string.h>

//  What must hold, in any build
#define MUST(condition) ((condition)? (void) 0: abort ())

//  Where sums of all bytes read go: it keeps the compiler from leaving the reading out.
static volatile unsigned s_sum;

//  The frame being looked at
static const uint8_t *s_begin;
static const uint8_t *s_end;

//  Read every byte of a text, which must lie in the frame.
static void
s_read (zsp_text_t text, size_t max)
{
    unsigned sum = 0;
    MUST (text.size <= max);
    MUST ((const uint8_t *) text.data >= s_begin
          && (const uint8_t *) text.data + text.size <= s_end);
    for (size_t at = 0; at < text.size; at++)
        sum += (uint8_t) text.data [at];
    s_sum += sum;
}

static void
s_read_name (zsp_text_t name)
{
    s_read (name, ZSP_NAME_BYTES_MAX);
    MUST (!memchr (name.data, '/', name.size) && !memchr (name.data, 0, name.size));
}

//  Memory for so many items, which is never NULL
static void *
s_array (size_t count, size_t item_bytes)
{
    void *items = calloc (count + 1, item_bytes);
    MUST (items);
    return items;
}

static void *
s_read_commit (const zsp_t *command, zsp_lists_t *lists, void **acks_p)
{
    size_t parts_count = command->as.commit.parts_count, acks_count = command->as.commit.acks_count;
    zsp_part_t *parts = (zsp_part_t *) s_array (parts_count, sizeof *parts);
    zsp_acked_t *acks = (zsp_acked_t *) s_array (acks_count, sizeof *acks);
    MUST (parts_count <= ZSP_PARTS_MAX && acks_count <= ZSP_RANGES_MAX
          && parts_count + acks_count > 0);
    for (size_t index = 0; index < parts_count; index++) {
        parts [index] = zsp_part (command, index);
        MUST (parts [index].count > 0 && parts [index].count <= ZSP_RUN_MESSAGES_MAX);
    }
    for (size_t index = 0; index < acks_count; index++) {
        acks [index] = zsp_acked (command, index);
        MUST (acks [index].range.first > 0 && acks [index].range.first <= acks [index].range.last);
    }
    lists->parts = parts;
    lists->acks = acks;
    *acks_p = acks;
    return parts;
}

static void *
s_read_deliver (const zsp_t *command, zsp_lists_t *lists)
{
    size_t count = command->as.deliver.slices_count;
    zsp_slice_t *slices = (zsp_slice_t *) s_array (count, sizeof *slices);
    MUST (count > 0 && count <= ZSP_SLICES_MAX);
    for (size_t index = 0; index < count; index++) {
        slices [index] = zsp_slice (command, index);
        MUST (slices [index].count > 0 && slices [index].count <= ZSP_RUN_MESSAGES_MAX);
        MUST (slices [index].first > 0 && slices [index].deliveries > 0);
        MUST (slices [index].first + slices [index].count > slices [index].first);
    }
    lists->slices = slices;
    return slices;
}

static void *
s_read_ranges (const zsp_t *command, zsp_lists_t *lists)
{
    size_t count = command->as.ranges.ranges_count;
    zsp_range_t *ranges = (zsp_range_t *) s_array (count, sizeof *ranges);
    MUST (count > 0 && count <= ZSP_RANGES_MAX && command->as.ranges.time_ms <= ZSP_TIME_MS_MAX);
    for (size_t index = 0; index < count; index++) {
        ranges [index] = zsp_range (command, index);
        MUST (ranges [index].first > 0 && ranges [index].first <= ranges [index].last);
    }
    s_read (command->as.ranges.reason, ZSP_TEXT_BYTES_MAX);
    lists->ranges = ranges;
    return ranges;
}

static void *
s_read_subscribe (const zsp_t *command, zsp_lists_t *lists)
{
    size_t count = command->as.subscribe.filters_count;
    zsp_text_t *filters = (zsp_text_t *) s_array (count, sizeof *filters);
    const uint8_t *at = NULL;
    MUST (count <= ZSP_FILTERS_MAX);
    for (size_t index = 0; index < count; index++)
        s_read (filters [index] = zsp_filter (command, &at), ZSP_FILTER_BYTES_MAX);
    s_read_name (command->as.subscribe.cursor);
    s_read (command->as.subscribe.start, ZSP_TEXT_BYTES_MAX);
    lists->filters = filters;
    return filters;
}

static void *
s_read_values (const zsp_t *command, zsp_lists_t *lists)
{
    size_t count = command->as.values.count;
    zsp_text_t *pairs = (zsp_text_t *) s_array (2 * count, sizeof *pairs);
    const uint8_t *at = NULL;
    for (size_t index = 0; index < count; index++) {
        zsp_pair (command, &at, &pairs [2 * index], &pairs [2 * index + 1]);
        s_read (pairs [2 * index], UINT16_MAX);
        s_read (pairs [2 * index + 1], UINT16_MAX);
    }
    lists->pairs = pairs;
    return pairs;
}

//  Read all that a command has; its lists become arrays, of which the caller frees two.
static void
s_use (const zsp_t *command, zsp_lists_t *lists, void *arrays [2])
{
    switch (command->command) {
    case ZSP_HELLO: s_read (command->as.hello.agent, ZSP_TEXT_BYTES_MAX); break;
    case ZSP_OPEN: s_read_name (command->as.open.spool); break;
    case ZSP_PRODUCE: s_read_name (command->as.produce.name); break;
    case ZSP_WELCOME: s_read_name (command->as.welcome.spool); break;
    case ZSP_DELETE_CURSOR: s_read_name (command->as.delete_cursor.cursor); break;
    case ZSP_SEEK: s_read (command->as.seek.start, ZSP_TEXT_BYTES_MAX); break;
    case ZSP_ERROR: s_read (command->as.error.text, ZSP_TEXT_BYTES_MAX); break;
    case ZSP_COMMIT: arrays [0] = s_read_commit (command, lists, &arrays [1]); break;
    case ZSP_DELIVER: arrays [0] = s_read_deliver (command, lists); break;
    case ZSP_ACK:
    case ZSP_REJECT:
    case ZSP_EXTEND: arrays [0] = s_read_ranges (command, lists); break;
    case ZSP_SUBSCRIBE: arrays [0] = s_read_subscribe (command, lists); break;
    case ZSP_VALUES: arrays [0] = s_read_values (command, lists); break;
    default: break;
    }
}

bool
fuzz_zsp_frame (const uint8_t *bytes, size_t size)
{
    zsp_t command;
    int rc = zsp_decode (&command, bytes, size);
    MUST (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT || rc == ZSPOOL_EVERSION);
    if (rc)
        return false;
    zsp_lists_t lists = { .parts = NULL };
    void *arrays [2] = { NULL, NULL };
    s_begin = bytes;
    s_end = bytes + size;
    MUST (*zsp_command_name (command.command) != '?');
    s_use (&command, &lists, arrays);
    //  There is one way to write each command.
    uint8_t *again = (uint8_t *) s_array (size, 1);
    MUST (zsp_encode (&command, &lists, NULL) == size);
    MUST (zsp_encode (&command, &lists, again) == size);
    MUST (memcmp (again, bytes, size) == 0);
    free (again);
    free (arrays [0]);
    free (arrays [1]);
    return true;
}

int
fuzz_zsp (const uint8_t *data, size_t size)
{
    fuzz_zsp_frame (data, size);
    if (size < 2)
        return 0;
    uint8_t *frame = (uint8_t *) malloc (ZSP_HEADER_BYTES + size - 2);
    const uint8_t header [ZSP_HEADER_BYTES] = { 'Z', 'S', 'P', ZSP_VERSION, data [0], data [1],
                                                0,   0,   1,   2,           3,        4 };
    MUST (frame);
    memcpy (frame, header, sizeof header);
    memcpy (frame + ZSP_HEADER_BYTES, data + 2, size - 2);
    fuzz_zsp_frame (frame, ZSP_HEADER_BYTES + size - 2);
    free (frame);
    return 0;
}

#ifdef FUZZ
int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    return fuzz_zsp (data, size);
}
#endif
