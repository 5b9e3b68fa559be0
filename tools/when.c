//  when.c - points in time, as options take them and as they are printed
//
//  SPDX-License-Identifier: MPL-2.0

#include "when.h"
#include "command.h"
#include "zspool.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define US_PER_S ((int64_t) 1000000)

int64_t
when_option (void)
{
    zspool_start_t start;
    if (zspool_start_parse (&start, command_text ()) || start.kind != ZSPOOL_FROM_TIME)
        command_usage ("--%s takes a time: 2026-11-22T08:30:00Z, @SECONDS since 1970, or -10m (s, m, h, d) "
                       "ago, not '%s'", command_option_name (), command_text ());
    return start.time_us;
}

void
when_text (int64_t time_us, char text [WHEN_TEXT_BYTES])
{
    time_t seconds = (time_t) (time_us / US_PER_S);
    struct tm tm;
    size_t length = 0;
    if (time_us >= 0 && gmtime_r (&seconds, &tm))
        length = strftime (text, WHEN_TEXT_BYTES - 8, "%Y-%m-%dT%H:%M:%S", &tm);
    if (length > 0)
        snprintf (text + length, WHEN_TEXT_BYTES - length, ".%06dZ", (int) (time_us % US_PER_S));
    else
        snprintf (text, WHEN_TEXT_BYTES, "@%" PRId64 ".%06d", time_us / US_PER_S,
                  (int) (time_us % US_PER_S < 0? -(time_us % US_PER_S): time_us % US_PER_S));
}
