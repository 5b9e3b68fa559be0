//  when.h - points in time, as options take them and as they are printed
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef WHEN_H_INCLUDED
#define WHEN_H_INCLUDED

#include <stddef.h>
#include <stdint.h>

#define WHEN_TEXT_BYTES 32 //  room for a time printed

//  The value of the option given last, as microseconds since 1970, UTC: ISO 8601 (a date; a date
//  and a time; with Z or an offset, else local time), @SECONDS since 1970, or -N[smhd] ago. Exits
//  when it is none.
int64_t
    when_option (void);

//  A time as ISO 8601, UTC, with microseconds
void
    when_text (int64_t time_us, char text [WHEN_TEXT_BYTES]);

#endif
