//  letter.c - prints dead letters
//
//  SPDX-License-Identifier: MPL-2.0

#include "letter.h"
#include "frames.h"
#include "when.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES_MAX 256 //  longest piece of text written at a time

static int
s_write (output_t *output, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

static int
s_write (output_t *output, const char *format, ...)
{
    char text [LINE_BYTES_MAX];
    va_list arguments;
    va_start (arguments, format);
    int length = vsnprintf (text, sizeof text, format, arguments);
    va_end (arguments);
    return output_write (output, text, length < LINE_BYTES_MAX? (size_t) length: LINE_BYTES_MAX - 1);
}

static const char *
s_reason (const zspool_death_t *death)
{
    return death->reason == ZSPOOL_DEATH_DELIVERIES? "max-deliveries": "unknown";
}

//  The last death, or NULL: a message that was put there by other means
static const zspool_death_t *
s_last_death (const zspool_letter_t *letter)
{
    size_t count = letter->history.deaths_count;
    return count > 0? &letter->history.deaths [count - 1]: NULL;
}

//  A time, or "-" when it is not known
static void
s_time (int64_t time_us, char text [WHEN_TEXT_BYTES])
{
    if (time_us > 0)
        when_text (time_us, text);
    else
        strcpy (text, "-");
}

int
letter_write_head (output_t *output)
{
    return s_write (output, "%10s  %-27s  %10s  %6s  %12s  %10s  %s\n", "sequence", "died", "deliveries",
                    "deaths", "was message", "bytes", "why");
}

int
letter_write_line (output_t *output, const zspool_letter_t *letter)
{
    const zspool_death_t *death = s_last_death (letter);
    if (!death)
        return s_write (output, "%10" PRIu64 "  %-27s  %10s  %6s  %12s  %10zu  -\n", letter->sequence, "-", "-",
                        "-", "-", letter->record.data_bytes);
    char died [WHEN_TEXT_BYTES];
    s_time (death->died_us, died);
    return s_write (output, "%10" PRIu64 "  %-27s  %10" PRIu32 "  %6" PRIu64 "  %12" PRIu64 "  %10zu  %s\n",
                    letter->sequence, died, death->deliveries, letter->history.deaths_ever,
                    death->sequence, letter->record.data_bytes, s_reason (death));
}

static int
s_write_death (output_t *output, const zspool_history_t *history, const zspool_death_t *death)
{
    char died [WHEN_TEXT_BYTES], stored [WHEN_TEXT_BYTES], delivered [WHEN_TEXT_BYTES];
    s_time (death->died_us, died);
    s_time (death->stored_us, stored);
    s_time (death->delivered_us, delivered);
    return s_write (output, "  died %s as message %" PRIu64 " of %s: %s\n", died, death->sequence,
                    history->origin, s_reason (death)) ||
           s_write (output, "    stored %s, delivered %" PRIu32 " times, last %s\n", stored,
                    death->deliveries, delivered)? -1: 0;
}

int
letter_write_text (output_t *output, zspool_letter_t *letter)
{
    const zspool_history_t *history = &letter->history;
    int rc = s_write (output, "letter %" PRIu64 ", %zu %s, %zu bytes\n", letter->sequence,
                      letter->record.frames, letter->record.frames == 1? "frame": "frames",
                      letter->record.data_bytes);
    if (rc == 0 && history->deaths_ever > history->deaths_count)
        rc = s_write (output, "  died %" PRIu64 " times, of which the last %zu are known\n",
                      history->deaths_ever, history->deaths_count);
    for (size_t index = 0; rc == 0 && index < history->deaths_count; index++)
        rc = s_write_death (output, history, &history->deaths [index]);
    if (rc == 0)
        rc = s_write (output, "  ");
    if (rc == 0)
        rc = frames_write_text (output, &letter->record);
    return rc? rc: s_write (output, "\n\n");
}

static int
s_write_json_death (output_t *output, const zspool_death_t *death, bool first)
{
    char died [WHEN_TEXT_BYTES], stored [WHEN_TEXT_BYTES], delivered [WHEN_TEXT_BYTES];
    s_time (death->died_us, died);
    s_time (death->stored_us, stored);
    s_time (death->delivered_us, delivered);
    return s_write (output, "%s{\"sequence\": %" PRIu64 ", \"stored\": \"%s\", \"died\": \"%s\", ",
                    first? "": ", ", death->sequence, stored, died) ||
           s_write (output, "\"deliveries\": %" PRIu32 ", \"delivered\": \"%s\", \"why\": \"%s\"}",
                    death->deliveries, delivered, s_reason (death))? -1: 0;
}

int
letter_write_json_history (output_t *output, const zspool_history_t *history)
{
    int rc = s_write (output, "\"deaths\": %" PRIu64 ", \"spool\": ", history->deaths_ever);
    if (rc == 0)
        rc = frames_write_json_bytes (output, history->origin, strlen (history->origin));
    if (rc == 0)
        rc = s_write (output, ", \"history\": [");
    for (size_t index = 0; rc == 0 && index < history->deaths_count; index++)
        rc = s_write_json_death (output, &history->deaths [index], index == 0);
    return rc? rc: s_write (output, "]");
}

int
letter_write_json (output_t *output, zspool_letter_t *letter, bool frames)
{
    int rc = s_write (output, "{\"sequence\": %" PRIu64 ", \"bytes\": %zu, ", letter->sequence,
                      letter->record.data_bytes);
    if (rc == 0)
        rc = letter_write_json_history (output, &letter->history);
    if (rc == 0 && frames)
        rc = s_write (output, ", \"frames\": ");
    if (rc == 0 && frames)
        rc = frames_write_json (output, &letter->record);
    return rc? rc: s_write (output, "}\n");
}
