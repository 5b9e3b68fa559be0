//  start.c - where a cursor, a replay or a listing is to begin, as people write it
//
//  SPDX-License-Identifier: MPL-2.0

#include "zspool_start.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS_DIGITS_MAX 11 //  of a number of seconds: some 3000 years
#define AGE_DIGITS_MAX 9
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
    if (!s_digits (&text, SECONDS_DIGITS_MAX, &seconds) || !s_fraction (&text, &fraction_us) || *text)
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
    if (!s_digits (&text, AGE_DIGITS_MAX, &number) || !*text || text [1])
        return false;
    clock_gettime (CLOCK_REALTIME, &now);
    for (size_t index = 0; index < sizeof units / sizeof units [0]; index++)
        if (*text == units [index].letter) {
            int64_t now_us = now.tv_sec * US_PER_S + now.tv_nsec / 1000;
            int64_t unit_us = units [index].seconds * US_PER_S;
            *time_us = number < now_us / unit_us? now_us - number * unit_us: 0;
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

//  A number from 1 on, and nothing else
static bool
s_parse_number (const char *text, uint64_t *number)
{
    uint64_t parsed = 0;
    for (const char *at = text; *at; at++) {
        unsigned digit = (unsigned) (*at - '0');
        if (digit > 9 || parsed > (UINT64_MAX - digit) / 10)
            return false;
        parsed = parsed * 10 + digit;
    }
    *number = parsed;
    return parsed > 0;
}

int
zspool_start_parse (zspool_start_t *self, const char *text)
{
    static const char last [] = "last:";
    zspool_start_t start = { ZSPOOL_FROM_TIME, 0, 0 };
    bool valid = true;
    if (!text)
        return ZSPOOL_EINVAL;
    if (strcmp (text, "all") == 0)
        start.kind = ZSPOOL_FROM_FIRST;
    else if (strcmp (text, "new") == 0)
        start.kind = ZSPOOL_FROM_NEW;
    else if (strncmp (text, last, strlen (last)) == 0) {
        start.kind = ZSPOOL_FROM_LAST;
        valid = s_parse_number (text + strlen (last), &start.number);
    }
    else if (s_parse_number (text, &start.number))
        start.kind = ZSPOOL_FROM_SEQUENCE;
    else
        valid = *text == '@'? s_parse_epoch (text + 1, &start.time_us):
                *text == '-'? s_parse_ago (text + 1, &start.time_us): s_parse_iso (text, &start.time_us);
    if (!valid)
        return ZSPOOL_EINVAL;
    *self = start;
    return ZSPOOL_OK;
}
