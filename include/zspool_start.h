//  zspool_start.h - where a cursor, a replay or a listing is to begin, as people write it
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef ZSPOOL_START_H_INCLUDED
#define ZSPOOL_START_H_INCLUDED

#include "zspool_library.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    ZSPOOL_FROM_FIRST,     //  the oldest message stored
    ZSPOOL_FROM_NEW,       //  only what comes from now on
    ZSPOOL_FROM_LAST,      //  the last `number` messages stored
    ZSPOOL_FROM_SEQUENCE,  //  the message with the sequence `number`, or the next one
    ZSPOOL_FROM_TIME       //  what was stored at `time_us` or later
} zspool_start_kind_t;

typedef struct {
    zspool_start_kind_t kind;
    uint64_t number;       //  LAST, SEQUENCE: from 1; else 0
    int64_t time_us;       //  TIME: microseconds since 1970, UTC; else 0
} zspool_start_t;

//  Parse a start: "all" (the oldest), "new", "last:N", a number (a sequence, from 1), or a time. A
//  time is ISO 8601 (a date; a date and a time; with Z or an offset, else local time), @SECONDS
//  since 1970, or an age such as -90s, -15m, -1h, -7d, which counts from now. EINVAL: it is none of
//  these. zspool_store_find_start () tells which message that is. Any thread.
ZSPOOL_EXPORT int
    zspool_start_parse (zspool_start_t *self, const char *text);

#ifdef __cplusplus
}
#endif

#endif
