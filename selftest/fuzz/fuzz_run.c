//  fuzz_run.c - feeds any bytes to the check of runs, and uses what it accepts
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The selftest replays the files of corpus_run/. To look for more, with clang, from the top of the
//  source tree:
//
//      flags="-DFUZZ -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined"
//      includes="-D_GNU_SOURCE -I include -iquote lib -iquote selftest"
//      sources="selftest/fuzz/fuzz_run.c lib/run.c lib/block*.c"
//      clang $flags $includes $sources -lxxhash -o /tmp/fuzz_run
//      mkdir -p /tmp/corpus_run
//      /tmp/fuzz_run -max_len=600 -max_total_time=300 /tmp/corpus_run selftest/fuzz/corpus_run
//
//  and `/tmp/fuzz_run -merge=1 selftest/fuzz/corpus_run /tmp/corpus_run` as with fuzz_block.c. An
//  input is count, most frames, most bytes (one byte each), whether there may be properties, and a
//  run.

#include "fuzz_run.h"
#include "bytes.h"
#include "run.h"

#include <stdlib.h>
#include <string.h>

#define CONTROL_BYTES 4
#define HEAD_BYTES 8

//  What must hold, in any build
#define MUST(condition) ((condition)? (void) 0: abort ())

//  Where sums of all bytes read go: it keeps the compiler from leaving the reading out.
static volatile unsigned s_sum;

//  ------------------------------------------------------------------------------------------------
//  Another way of reading a run, written from doc/zsp.md: with signed numbers, one byte after the
//  other.

typedef struct {
    const uint8_t *bytes;
    long size;
    long at;
} s_text_t;

//  The next number of so many bytes; -1: there are not so many
static long
s_number (s_text_t *text, int bytes)
{
    long value = 0;
    if (text->size - text->at < bytes)
        return -1;
    for (int index = 0; index < bytes; index++)
        value |= (long) text->bytes [text->at++] << (8 * index);
    return value;
}

//  Whether so many bytes are whole properties
static bool
s_has_properties (s_text_t *text, long bytes)
{
    long end = text->at + bytes;
    while (text->at < end) {
        s_number (text, 2);
        long size = s_number (text, 2);
        if (size < 0)
            return false;
        text->at += size + (4 - size % 4) % 4;
    }
    return text->at == end;
}

//  Read one record: its result, as zspool_run_check () would give it for this one alone.
static int
s_read_record (s_text_t *text, long frames_max, long bytes_max, bool with_properties)
{
    long body = s_number (text, 4), flags = s_number (text, 1), words = s_number (text, 1);
    long frames = s_number (text, 2);
    if (frames < 1 || body > text->size - text->at || (words > 0 && !with_properties))
        return ZSPOOL_ECORRUPT;
    s_text_t rest = { text->bytes + text->at, body, 0 };
    long sum = 0;
    for (long index = 0; index < frames - 1; index++) {
        long size = s_number (&rest, 4);
        if (size < 0)
            return ZSPOOL_ECORRUPT;
        sum += size;
    }
    if (rest.size - rest.at < 4 * words || !s_has_properties (&rest, 4 * words)
        || sum > rest.size - rest.at)
        return ZSPOOL_ECORRUPT;
    text->at += body;
    if (flags)
        return ZSPOOL_EVERSION;
    return frames > frames_max || rest.size - rest.at > bytes_max? ZSPOOL_ETOOBIG: ZSPOOL_OK;
}

static int
s_read_run (const uint8_t *run, size_t size, uint32_t count, size_t frames_max, size_t bytes_max,
            bool with_properties)
{
    s_text_t text = { run, (long) size, 0 };
    bool flags = false, big = false;
    long most_frames = frames_max > INT32_MAX? INT32_MAX: (long) frames_max;
    long most_bytes = bytes_max > INT32_MAX? INT32_MAX: (long) bytes_max;
    for (; count > 0; count--) {
        int rc = s_read_record (&text, most_frames, most_bytes, with_properties);
        if (rc == ZSPOOL_ECORRUPT)
            return rc;
        flags = flags || rc == ZSPOOL_EVERSION;
        big = big || rc == ZSPOOL_ETOOBIG;
    }
    if (text.at != text.size)
        return ZSPOOL_ECORRUPT;
    return flags? ZSPOOL_EVERSION: big? ZSPOOL_ETOOBIG: ZSPOOL_OK;
}

//  ------------------------------------------------------------------------------------------------
//  Using a run that was accepted

//  Read every byte of a record.
static void
s_read (zspool_record_t *record)
{
    unsigned sum = 0;
    size_t frames = 0, bytes = 0, offset = 0;
    zspool_frame_t frame, topic = zspool_record_topic (record);
    zspool_property_t property;
    while (zspool_record_next_property (record, &offset, &property)) {
        MUST (property.data >= record->sizes && property.data + property.size <= record->data);
        for (size_t at = 0; at < property.size; at++)
            sum += property.data [at];
    }
    while (zspool_record_next_frame (record, &frame)) {
        MUST (frame.data == record->data + bytes && frame.size <= record->data_bytes - bytes);
        if (frames == 0)
            MUST (frame.data == topic.data && frame.size == topic.size);
        for (size_t at = 0; at < frame.size; at++)
            sum += ((const uint8_t *) frame.data) [at];
        bytes += frame.size;
        frames++;
    }
    MUST (frames == record->frames && frames > 0 && bytes == record->data_bytes);
    s_sum += sum;
}

static void
s_iterate (const uint8_t *run, size_t size, uint32_t count)
{
    zspool_record_t record = { .number = 0 };
    const uint8_t *end = run;
    uint64_t sequence = 1000;
    while (zspool_run_next (run, size, 1000, &record)) {
        MUST (record.sequence == sequence++);
        MUST (zspool_record_begin (&record) == end);
        end = zspool_record_end (&record);
        s_read (&record);
    }
    MUST (end == run + size && sequence == 1000 + (uint64_t) count);
}

//  Put what is left of a run from a number on into a block, as far as there is room for it: the
//  block must hold these bytes, and be sound.
static void
s_append (const uint8_t *run, size_t size, uint32_t count, uint32_t from, size_t capacity,
          bool indexed)
{
    zspool_record_t record = { .number = 0 };
    while (record.number < from)
        MUST (zspool_run_next (run, size, 0, &record));
    const uint8_t *first = run + record.next_offset;
    zspool_block_t *block = zspool_block_new (capacity), *again = NULL;
    MUST (block);
    zspool_block_set_indexed (block, indexed);
    uint32_t taken = zspool_block_append_run (block, run, size, from, count - from, 7);
    MUST (taken <= count - from && taken == zspool_block_count (block));
    while (record.number < from + taken)
        MUST (zspool_run_next (run, size, 0, &record));
    size_t used;
    const uint8_t *records = zspool_block_records (block, &used);
    MUST (used == (size_t) (run + record.next_offset - first) && used <= capacity);
    MUST (memcmp (records, first, used) == 0);
    if (taken < count - from) {
        MUST (zspool_run_next (run, size, 0, &record));
        MUST (!zspool_block_has_room (
            block, (size_t) (zspool_record_end (&record) - zspool_record_begin (&record)),
            zspool_record_topic (&record).size));
    }
    if (taken > 0) {
        MUST (zspool_block_seal (block) == ZSPOOL_OK);
        MUST (zspool_block_decode (&again, zspool_block_bytes (block), zspool_block_size (block))
              == ZSPOOL_OK);
        MUST (zspool_block_count (again) == taken);
        MUST (zspool_block_append_run (block, run, size, from, count - from, 7) == 0);
    }
    zspool_block_destroy (&again);
    zspool_block_destroy (&block);
}

int
fuzz_run_check (const uint8_t *run, size_t size, uint32_t count, size_t frames_max,
                size_t bytes_max, bool with_properties)
{
    int rc = zspool_run_check (run, size, count, frames_max, bytes_max, with_properties);
    MUST (rc == s_read_run (run, size, count, frames_max, bytes_max, with_properties));
    if (rc || count == 0)
        return rc;
    s_iterate (run, size, count);
    for (uint32_t from = 0; from < count; from = 2 * from + 1) {
        s_append (run, size, count, from, size + 4096, false);
        s_append (run, size, count, from, size + 4096, true);
        s_append (run, size, count, from, size / 2, false);
        s_append (run, size, count, from, size / 2, true);
    }
    return rc;
}

int
fuzz_run (const uint8_t *data, size_t size)
{
    if (size < CONTROL_BYTES)
        return 0;
    size_t run_bytes = size - CONTROL_BYTES;
    uint8_t *run = (uint8_t *) malloc (run_bytes? run_bytes: 1);
    MUST (run);
    memcpy (run, data + CONTROL_BYTES, run_bytes);
    fuzz_run_check (run, run_bytes, data [0], data [1], data [2], data [3] & 1);
    fuzz_run_check (run, run_bytes, data [0], SIZE_MAX, SIZE_MAX, true);
    free (run);
    return 0;
}

#ifdef FUZZ
int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    return fuzz_run (data, size);
}
#endif
