//  when.c - points in time, as options take them and as they are printed
//
//  SPDX-License-Identifier: MPL-2.0

#include "when.h"
#include "command.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WHEN_DIGITS_MAX 11 //  of a number of seconds: some 3000 years
#define US_PER_S ((int64_t) 1000000)

//  Decimal digits, as many as `digits_max`, to a number; moves *text behind them. False when there
//  are none.
static bool
s_digits (const char **text, int digits_max, int64_t *number)
{
    const char *start = *text;
    for (*number = 0; **text >= '0' && **text <= '9' && *text - start < digits_max; (*text)++)
        *number = *number * 10 + (**text - '0');
    return *text > start;
}

//  An optional fraction of a second, behind a point or a comma, in microseconds; further digits are
//  dropped.
static bool
s_fraction (const char **text, int64_t *fraction_us)
{
    *fraction_us = 0;
    if (**text != '.' && **text != ',')
        return true;
    (*text)++;
    if (**text < '0' || **text > '9')
        return false;
    for (int64_t unit_us = US_PER_S / 10; **text >= '0' && **text <= '9'; (*text)++, unit_us /= 10)
        *fraction_us += unit_us * (**text - '0');
    return true;
}

//  "@SECONDS"
static bool
s_parse_epoch (const char *text, int64_t *time_us)
{
    int64_t seconds, fraction_us;
    if (!s_digits (&text, WHEN_DIGITS_MAX, &seconds) || !s_fraction (&text, &fraction_us) || *text)
        return false;
    *time_us = seconds * US_PER_S + fraction_us;
    return true;
}

//  "-10m": so long ago
static bool
s_parse_ago (const char *text, int64_t *time_us)
{
    static const struct { char letter; int64_t seconds; } units [] = {
        { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }
    };
    struct timespec now;
    int64_t number;
    if (!s_digits (&text, 9, &number) || !*text || text [1])
        return false;
    clock_gettime (CLOCK_REALTIME, &now);
    for (size_t index = 0; index < sizeof units / sizeof units [0]; index++)
        if (*text == units [index].letter) {
            int64_t now_us = now.tv_sec * US_PER_S + now.tv_nsec / 1000;
            int64_t ago_us = number * units [index].seconds * US_PER_S;
            *time_us = ago_us < now_us? now_us - ago_us: 0;
            return true;
        }
    return false;
}

//  "Z", "+HH:MM", "+HHMM", "+HH" or nothing: whether there is one, and seconds to add for UTC
static bool
s_parse_zone (const char *text, bool *given, int64_t *to_utc_s)
{
    *given = *text != 0;
    *to_utc_s = 0;
    if (!*text || ((*text == 'Z' || *text == 'z') && text [1] == 0))
        return true;
    if (*text != '+' && *text != '-')
        return false;
    int64_t sign = *text++ == '+'? -1: 1, hours, minutes = 0;
    const char *start = text;
    if (!s_digits (&text, 2, &hours) || text - start != 2 || hours > 23)
        return false;
    if (*text == ':')
        text++;
    start = text;
    if (*text && (!s_digits (&text, 2, &minutes) || text - start != 2 || minutes > 59 || *text))
        return false;
    *to_utc_s = sign * (hours * 3600 + minutes * 60);
    return true;
}

//  A date, or a date and a time
static bool
s_parse_iso (const char *text, int64_t *time_us)
{
    struct tm tm;
    int64_t fraction_us = 0, to_utc_s;
    bool zone_given;
    memset (&tm, 0, sizeof tm);
    const char *rest = strptime (text, "%Y-%m-%d", &tm);
    if (rest && (*rest == 'T' || *rest == 't' || *rest == ' ')) {
        const char *seconds = strptime (rest + 1, "%H:%M", &tm);
        rest = seconds && *seconds == ':'? strptime (seconds, ":%S", &tm): seconds;
        if (rest && !s_fraction (&rest, &fraction_us))
            return false;
    }
    if (!rest || !s_parse_zone (rest, &zone_given, &to_utc_s))
        return false;
    //  strptime () takes the 31st of any month, which mktime () would move on.
    int day = tm.tm_mday;
    tm.tm_isdst = -1;
    time_t seconds = zone_given? timegm (&tm): mktime (&tm);
    *time_us = ((int64_t) seconds + to_utc_s) * US_PER_S + fraction_us;
    return tm.tm_mday == day;
}

int64_t
when_option (void)
{
    const char *text = command_text ();
    int64_t time_us = 0;
    bool valid = *text == '@'? s_parse_epoch (text + 1, &time_us):
                 *text == '-'? s_parse_ago (text + 1, &time_us): s_parse_iso (text, &time_us);
    if (!valid)
        command_usage ("--%s takes a time: 2026-11-22T08:30:00Z, @SECONDS since 1970, or -10m (s, m, h, d) "
                       "ago, not '%s'", command_option_name (), text);
    return time_us;
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
