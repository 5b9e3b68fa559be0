//  options.c - options of a device
//
//  SPDX-License-Identifier: MPL-2.0

#include "options.h"
#include "zspool_start.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NONE NULL
#define MIB (1ULL << 20)

typedef enum { TEXT, START, CHOICE, NUMBER, SIZE, DURATION } s_type_t;

typedef struct {
    const char *name;
    s_type_t type;
    size_t offset;          //  of the field in zspool_options_t
    const char *choices;    //  CHOICE: words, in the order of the enum's values
    uint64_t min;           //  NUMBER, SIZE and DURATION (milliseconds): range
    uint64_t max;           //  ZSPOOL_KEEP_UNLIMITED: it may also be `unlimited`
    const char *preset;     //  default value, as text; NONE: empty
} s_option_t;

#define FIELD(field) offsetof (zspool_options_t, field)

static const s_option_t s_options [] = {
    { "store", TEXT, FIELD (store), NONE, 0, 0, NONE },
    { "in", TEXT, FIELD (in), NONE, 0, 0, NONE },
    { "out", TEXT, FIELD (out), NONE, 0, 0, NONE },
    { "ack-in", TEXT, FIELD (ack_in), NONE, 0, 0, NONE },
    { "name", TEXT, FIELD (name), NONE, 0, 0, "main" },
    { "durability", CHOICE, FIELD (durability), "sync async transaction", 0, 0, "sync" },
    { "ack", CHOICE, FIELD (ack), "settled sent explicit", 0, 0, "settled" },
    { "commit-interval", NUMBER, FIELD (commit_interval_ms), NONE, 1, 60000, "10" },
    { "ack-timeout", NUMBER, FIELD (ack_timeout_ms), NONE, 10, 86400000, "30000" },
    { "max-deliveries", NUMBER, FIELD (max_deliveries), NONE, 0, ZSPOOL_DELIVERIES_MAX, "0" },
    { "settle", NUMBER, FIELD (settle_ms), NONE, 10, 3600000, "5000" },
    { "pipe-depth", SIZE, FIELD (pipe_depth_bytes), NONE, 0, 1ULL << 40, "8M" },
    { "hwm", NUMBER, FIELD (hwm), NONE, 1, 1000000, "1000" },
    { "max-bytes", SIZE, FIELD (bytes_max), NONE, ZSPOOL_LIMIT_BYTES_MIN, 1ULL << 46, NONE },
    { "on-full", CHOICE, FIELD (on_full), "pause drop-oldest", 0, 0, "pause" },
    { "max-message-size", SIZE, FIELD (message_bytes_max), NONE, 1, ZSPOOL_MESSAGE_BYTES_MAX,
      "128M" },
    { "max-frames", NUMBER, FIELD (message_frames_max), NONE, 1, ZSPOOL_MESSAGE_FRAMES_MAX,
      "65535" },
    { "in-type", CHOICE, FIELD (in_type), "pull sub", 0, 0, "pull" },
    { "out-type", CHOICE, FIELD (out_type), "push pub", 0, 0, "push" },
    { "hold", NUMBER, FIELD (hold), NONE, 0, 1000000, "0" },
    { "start", START, FIELD (start), NONE, 0, 0, "new" },
    { "keep-age", DURATION, FIELD (keep_age_ms), NONE, 0, ZSPOOL_KEEP_UNLIMITED, "unlimited" },
    { "keep-bytes", SIZE, FIELD (keep_bytes), NONE, 0, ZSPOOL_KEEP_UNLIMITED, "unlimited" },
    { "keep-count", NUMBER, FIELD (keep_count), NONE, 0, ZSPOOL_KEEP_UNLIMITED, "0" },
    { "keep-unacked", CHOICE, FIELD (keep_unacked), "off on", 0, 0, "on" },
    { "service", TEXT, FIELD (service), NONE, 0, 0, NONE },
    { "service-admin", CHOICE, FIELD (service_admin), "off on", 0, 0, "off" },
    { "map", SIZE, FIELD (map_bytes), NONE, 64 * MIB, 1ULL << 46, "1T" },
};

static int
s_set_choice (const char *choices, const char *value, uint64_t *field)
{
    size_t length = strlen (value);
    uint64_t index = 0;
    for (const char *at = choices; length > 0 && *at; index++) {
        size_t word = strcspn (at, " ");
        if (word == length && strncmp (at, value, length) == 0) {
            *field = index;
            return ZSPOOL_OK;
        }
        at += word + (at [word] == ' ');
    }
    return ZSPOOL_EINVAL;
}

//  What the suffix of a size or a duration multiplies by; 0: it is none
static uint64_t
s_unit (s_type_t type, const char *suffix)
{
    static const struct {
        s_type_t type;
        const char *suffix;
        uint64_t unit;
    } units [] = { { SIZE, "K", 1ULL << 10 },    { SIZE, "M", 1ULL << 20 },     { SIZE, "G", 1ULL << 30 },
                   { SIZE, "T", 1ULL << 40 },    { DURATION, "ms", 1 },         { DURATION, "s", 1000 },
                   { DURATION, "m", 60 * 1000 }, { DURATION, "h", 3600 * 1000 }, { DURATION, "d", 86400 * 1000 } };
    for (size_t index = 0; *suffix && index < sizeof units / sizeof units [0]; index++)
        if (units [index].type == type && strcasecmp (units [index].suffix, suffix) == 0)
            return units [index].unit;
    return *suffix? 0: 1;
}

//  Parse digits and, for sizes and durations, a suffix.
static int
s_set_number (const s_option_t *option, const char *value, uint64_t *field)
{
    if (option->max == ZSPOOL_KEEP_UNLIMITED && strcmp (value, "unlimited") == 0) {
        *field = ZSPOOL_KEEP_UNLIMITED;
        return ZSPOOL_OK;
    }
    if (!isdigit ((unsigned char) *value))
        return ZSPOOL_EINVAL;
    char *end;
    errno = 0;
    unsigned long long number = strtoull (value, &end, 10);
    uint64_t unit = s_unit (option->type, end);
    //  So a time in microseconds fits, too.
    uint64_t max = option->max < INT64_MAX / 1000? option->max: INT64_MAX / 1000;
    if (errno || unit == 0 || number > max / unit || number * unit < option->min)
        return ZSPOOL_EINVAL;
    *field = number * unit;
    return ZSPOOL_OK;
}

static int
s_set_text (const char *value, char *field)
{
    size_t length = strlen (value);
    if (length == 0 || length > ZSPOOL_OPTION_TEXT_MAX)
        return ZSPOOL_EINVAL;
    memcpy (field, value, length + 1);
    return ZSPOOL_OK;
}

static int
s_set (zspool_options_t *self, const s_option_t *option, const char *value)
{
    void *field = (char *) self + option->offset;
    zspool_start_t start;
    switch (option->type) {
    case TEXT: return s_set_text (value, (char *) field);
    case START: return zspool_start_parse (&start, value)? ZSPOOL_EINVAL: s_set_text (value, (char *) field);
    case CHOICE: return s_set_choice (option->choices, value, (uint64_t *) field);
    default: return s_set_number (option, value, (uint64_t *) field);
    }
}

void
zspool_options_init (zspool_options_t *self)
{
    memset (self, 0, sizeof *self);
    for (size_t index = 0; index < sizeof s_options / sizeof s_options [0]; index++)
        if (s_options [index].preset)
            s_set (self, &s_options [index], s_options [index].preset);
}

static const char *
s_suffixes (const s_option_t *option)
{
    return option->type == SIZE? ", suffix K, M, G or T": option->type == DURATION? ", suffix ms, s, m, h or d": "";
}

//  Say what an option takes.
static void
s_explain (const s_option_t *option, const char *value, char *reason, size_t reason_size)
{
    int length = snprintf (reason, reason_size, "%s: ", option->name);
    reason += length;
    reason_size -= (size_t) length;
    if (option->type == TEXT)
        snprintf (reason, reason_size, "must have 1 to %d bytes", ZSPOOL_OPTION_TEXT_MAX);
    else if (option->type == CHOICE)
        snprintf (reason, reason_size, "must be one of: %s; not '%.80s'", option->choices, value);
    else if (option->type == START)
        snprintf (reason, reason_size, "must be all, new, last:N, a sequence or a time; not '%.80s'", value);
    else if (option->max == ZSPOOL_KEEP_UNLIMITED)
        snprintf (reason, reason_size, "must be a number%s, or unlimited; not '%.80s'", s_suffixes (option), value);
    else
        snprintf (reason, reason_size, "must be a number from %llu to %llu%s; not '%.80s'",
                  (unsigned long long) option->min, (unsigned long long) option->max, s_suffixes (option), value);
}

int
zspool_options_set (zspool_options_t *self, const char *name, const char *value, char *reason,
                    size_t reason_size)
{
    for (size_t index = 0; index < sizeof s_options / sizeof s_options [0]; index++) {
        const s_option_t *option = &s_options [index];
        if (strcmp (option->name, name) != 0)
            continue;
        int rc = s_set (self, option, value);
        if (rc)
            s_explain (option, value, reason, reason_size);
        return rc;
    }
    snprintf (reason, reason_size, "%.80s: no such option", name);
    return ZSPOOL_EINVAL;
}

//  Whether the main outlet takes tickets
static bool
s_out_is_explicit (const zspool_options_t *self)
{
    return *self->out && self->out_type == ZSPOOL_OUT_PUSH && self->ack == ZSPOOL_ACK_EXPLICIT;
}

int
zspool_options_check (const zspool_options_t *self, char *reason, size_t reason_size)
{
    const char *problem = NULL;
    if (!*self->store)
        problem = "store: a directory is required";
    else if (!*self->in && !*self->service)
        problem = "in: an endpoint is required, or a service";
    else if (s_out_is_explicit (self) && !*self->ack_in)
        problem = "ack-in: explicit acknowledgement needs an endpoint for tickets";
    else if (!s_out_is_explicit (self) && *self->ack_in)
        problem = "ack-in: goes with explicit acknowledgement of a PUSH out only";
    else if (self->out_type != ZSPOOL_OUT_PUB && self->hold > 0)
        problem = "hold: goes with the out-type pub only";
    else if (!self->keep_unacked && !(self->keep_age_ms && self->keep_bytes && self->keep_count))
        problem = "keep-unacked: off needs keep-age, keep-bytes and keep-count above 0";
    else if (self->on_full == ZSPOOL_ON_FULL_DROP_OLDEST && !self->bytes_max)
        problem = "on-full: drop-oldest needs a limit, max-bytes";
    if (problem)
        snprintf (reason, reason_size, "%s", problem);
    return problem? ZSPOOL_EINVAL: ZSPOOL_OK;
}
