//  feeds.c - options of a device that may be given more than once: its feeds, topics and filters
//
//  SPDX-License-Identifier: MPL-2.0

#include "feeds.h"
#include "dead.h"
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
s_fail (char *reason, size_t reason_size, const char *format, ...) __attribute__ ((format (printf, 3, 4)));

static int
s_fail (char *reason, size_t reason_size, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    vsnprintf (reason, reason_size, format, args);
    va_end (args);
    return ZSPOOL_EINVAL;
}

static zlist_t *
s_new_texts (void)
{
    zlist_t *texts = zlist_new ();
    if (texts)
        zlist_autofree (texts);
    return texts;
}

int
zspool_feeds_init (zspool_feeds_t *self)
{
    memset (self, 0, sizeof *self);
    self->topics = s_new_texts ();
    self->out_filters = s_new_texts ();
    self->service_spools = s_new_texts ();
    return self->topics && self->out_filters && self->service_spools? ZSPOOL_OK: ZSPOOL_ENOMEM;
}

void
zspool_feeds_destroy (zspool_feeds_t *self)
{
    zlist_destroy (&self->topics);
    zlist_destroy (&self->out_filters);
    zlist_destroy (&self->service_spools);
    for (size_t index = 0; index < self->count; index++) {
        zlist_destroy (&self->feeds [index]->filters);
        free (self->feeds [index]);
    }
    memset (self, 0, sizeof *self);
}

//  ------------------------------------------------------------------------------------------------
//  Setting

//  Add a filter or topic.
static int
s_add_text (zlist_t *texts, const char *option, const char *text, char *reason, size_t reason_size)
{
    if (strlen (text) > ZSPOOL_FILTER_BYTES_MAX)
        return s_fail (reason, reason_size, "%s: has at most %d bytes", option, ZSPOOL_FILTER_BYTES_MAX);
    if (zlist_size (texts) == ZSPOOL_FILTERS_MAX)
        return s_fail (reason, reason_size, "%s: at most %d can be given", option, ZSPOOL_FILTERS_MAX);
    return zlist_append (texts, (void *) (uintptr_t) text)? ZSPOOL_ENOMEM: ZSPOOL_OK;
}

//  Add a spool that the service gives.
static int
s_add_spool (zlist_t *spools, const char *option, const char *name, char *reason, size_t reason_size)
{
    if (!zspool_store_name_is_valid (name))
        return s_fail (reason, reason_size, "%s: must be a name of 1 to %d bytes without blanks or slashes; not '%.80s'",
                       option, ZSPOOL_NAME_MAX, name);
    if (zlist_size (spools) == ZSPOOL_SPOOLS_MAX)
        return s_fail (reason, reason_size, "%s: at most %d can be given", option, ZSPOOL_SPOOLS_MAX);
    return zlist_append (spools, (void *) (uintptr_t) name)? ZSPOOL_ENOMEM: ZSPOOL_OK;
}

//  Cut the name off a value NAME=REST, and give the feed of this name, made if it was not spoken of
//  before. NULL: *reason has a line.
static zspool_feed_t *
s_feed (zspool_feeds_t *self, const char *option, const char *value, const char **rest, char *reason,
        size_t reason_size)
{
    const char *equals = strchr (value, '=');
    size_t length = equals? (size_t) (equals - value): 0;
    bool valid = length > 0 && length <= ZSPOOL_NAME_MAX && equals [1];
    for (size_t at = 0; valid && at < length; at++)
        valid = (unsigned char) value [at] > 32 && value [at] != '/';
    if (!valid) {
        s_fail (reason, reason_size, "%s: must be NAME=..., a name of 1 to %d bytes without blanks or slashes; not '%.80s'",
                option, ZSPOOL_NAME_MAX, value);
        return NULL;
    }
    *rest = equals + 1;
    for (size_t index = 0; index < self->count; index++)
        if (strlen (self->feeds [index]->name) == length
            && memcmp (self->feeds [index]->name, value, length) == 0)
            return self->feeds [index];
    zspool_feed_t *feed = NULL;
    if (self->count == ZSPOOL_FEEDS_MAX)
        s_fail (reason, reason_size, "%s: a device has at most %d feeds", option, ZSPOOL_FEEDS_MAX);
    else if (!(feed = (zspool_feed_t *) calloc (1, sizeof *feed)) || !(feed->filters = s_new_texts ())) {
        s_fail (reason, reason_size, "%s: out of memory", option);
        free (feed);
        return NULL;
    }
    if (feed) {
        memcpy (feed->name, value, length);
        self->feeds [self->count++] = feed;
    }
    return feed;
}

//  NAME=ENDPOINT[,FILTER...]
static int
s_set_feed (zspool_feed_t *feed, int socket_type, const char *option, const char *rest, char *reason,
            size_t reason_size)
{
    size_t length = strcspn (rest, ",");
    if (*feed->endpoint)
        return s_fail (reason, reason_size, "%s: %s is given already", option, feed->name);
    if (length == 0 || length > ZSPOOL_OPTION_TEXT_MAX)
        return s_fail (reason, reason_size, "%s: %s needs an endpoint", option, feed->name);
    int rc = ZSPOOL_OK;
    for (const char *at = rest + length; rc == ZSPOOL_OK && *at;) {
        size_t size = strcspn (++at, ",");
        char *filter = strndup (at, size);
        rc = filter? s_add_text (feed->filters, option, filter, reason, reason_size): ZSPOOL_ENOMEM;
        free (filter);
        at += size;
    }
    memcpy (feed->endpoint, rest, length);
    feed->socket_type = socket_type;
    return rc;
}

//  NAME=POLICY[,ENDPOINT]
static int
s_set_ack (zspool_feed_t *feed, const char *option, const char *rest, char *reason, size_t reason_size)
{
    static const char *const policies [] = { "settled", "sent", "explicit" };
    size_t length = strcspn (rest, ","), policy = 0;
    while (policy < 3 && (strlen (policies [policy]) != length || strncmp (rest, policies [policy], length) != 0))
        policy++;
    const char *ack_in = rest [length]? rest + length + 1: "";
    bool is_explicit = policy == ZSPOOL_ACK_EXPLICIT;
    if (policy == 3 || is_explicit != (*ack_in != 0) || (rest [length] && !is_explicit)
        || strlen (ack_in) > ZSPOOL_OPTION_TEXT_MAX)
        return s_fail (reason, reason_size,
                       "%s: must be NAME=settled, NAME=sent or NAME=explicit,ENDPOINT; not '%.80s'", option,
                       rest);
    feed->ack_given = true;
    feed->ack = (zspool_ack_policy_t) policy;
    strcpy (feed->ack_in, ack_in);
    return ZSPOOL_OK;
}

//  NAME=START
static int
s_set_start (zspool_feed_t *feed, const char *option, const char *rest, char *reason, size_t reason_size)
{
    zspool_start_t start;
    if (strlen (rest) > ZSPOOL_OPTION_TEXT_MAX || zspool_start_parse (&start, rest))
        return s_fail (reason, reason_size,
                       "%s: must be NAME=all, new, last:N, a sequence or a time; not '%.80s'", option, rest);
    strcpy (feed->start, rest);
    return ZSPOOL_OK;
}

int
zspool_feeds_set (zspool_feeds_t *self, const char *name, const char *value, char *reason,
                  size_t reason_size)
{
    if (strcmp (name, "topic") == 0)
        return s_add_text (self->topics, name, value, reason, reason_size);
    if (strcmp (name, "out-filter") == 0)
        return s_add_text (self->out_filters, name, value, reason, reason_size);
    if (strcmp (name, "service-spool") == 0)
        return s_add_spool (self->service_spools, name, value, reason, reason_size);
    if (strcmp (name, "feed") != 0 && strcmp (name, "feed-sub") != 0 && strcmp (name, "feed-ack") != 0
        && strcmp (name, "feed-start") != 0)
        return ZSPOOL_ENOENT;
    const char *rest;
    zspool_feed_t *feed = s_feed (self, name, value, &rest, reason, reason_size);
    if (!feed)
        return ZSPOOL_EINVAL;
    if (strcmp (name, "feed-ack") == 0)
        return s_set_ack (feed, name, rest, reason, reason_size);
    if (strcmp (name, "feed-start") == 0)
        return s_set_start (feed, name, rest, reason, reason_size);
    int socket_type = strcmp (name, "feed") == 0? ZMQ_PUSH: ZMQ_XPUB;
    return s_set_feed (feed, socket_type, name, rest, reason, reason_size);
}

//  ------------------------------------------------------------------------------------------------
//  Checking

zspool_ack_policy_t
zspool_feed_ack (const zspool_feed_t *self, const zspool_options_t *options)
{
    return self->ack_given? self->ack: (zspool_ack_policy_t) options->ack;
}

//  What is wrong with a feed, or NULL
static const char *
s_problem (const zspool_feed_t *feed, const zspool_options_t *options)
{
    zspool_ack_policy_t ack = zspool_feed_ack (feed, options);
    if (!*feed->endpoint)
        return "no feed of this name is given";
    if (strcmp (feed->name, ZSPOOL_CURSOR_OUT) == 0)
        return "is the name of the main outlet's cursor";
    if (strcmp (feed->name, ZSPOOL_DEAD_CURSOR) == 0)
        return "is the name of the cursor of dead letters";
    if (ack == ZSPOOL_ACK_EXPLICIT && feed->socket_type == ZMQ_XPUB)
        return "a SUB peer cannot acknowledge: give it the policy settled or sent";
    if (ack == ZSPOOL_ACK_EXPLICIT && !*feed->ack_in)
        return "explicit acknowledgement needs an endpoint for tickets, feed-ack NAME=explicit,ENDPOINT";
    return NULL;
}

//  Whether tickets are taken anywhere
static bool
s_any_is_explicit (const zspool_feeds_t *self, const zspool_options_t *options)
{
    bool any = *options->ack_in;
    for (size_t index = 0; index < self->count; index++)
        any = any || zspool_feed_ack (self->feeds [index], options) == ZSPOOL_ACK_EXPLICIT;
    return any;
}

int
zspool_feeds_check (const zspool_feeds_t *self, const zspool_options_t *options, char *reason,
                    size_t reason_size)
{
    for (size_t index = 0; index < self->count; index++) {
        const char *problem = s_problem (self->feeds [index], options);
        if (problem)
            return s_fail (reason, reason_size, "feed %s: %s", self->feeds [index]->name, problem);
    }
    if (!*options->out && self->count == 0 && !*options->service)
        return s_fail (reason, reason_size, "out: an endpoint is required, or a feed, or a service");
    if (!*options->out && zlist_size (self->out_filters) > 0)
        return s_fail (reason, reason_size, "out-filter: there is no out");
    if (!*options->out && options->hold > 0)
        return s_fail (reason, reason_size, "hold: there is no out");
    if (!*options->service && zlist_size (self->service_spools) > 0)
        return s_fail (reason, reason_size, "service-spool: there is no service");
    if (!*options->service && options->service_admin)
        return s_fail (reason, reason_size, "service-admin: there is no service");
    if (options->max_deliveries > 0 && !*options->service && !s_any_is_explicit (self, options))
        return s_fail (reason, reason_size, "max-deliveries: goes with explicit acknowledgement, or a service, only");
    if (options->in_type != ZSPOOL_IN_SUB && zlist_size (self->topics) > 0)
        return s_fail (reason, reason_size, "topic: goes with the in-type sub only");
    return ZSPOOL_OK;
}

int
zspool_feeds_compile (zlist_t *texts, zspool_filter_t **filter_p)
{
    *filter_p = NULL;
    if (zlist_size (texts) == 0)
        return ZSPOOL_OK;
    zspool_filter_t *filter = zspool_filter_new ();
    int rc = filter? ZSPOOL_OK: ZSPOOL_ENOMEM;
    for (const char *text = (const char *) zlist_first (texts); rc == ZSPOOL_OK && text;
         text = (const char *) zlist_next (texts))
        rc = zspool_filter_add (filter, text, strlen (text));
    if (rc)
        zspool_filter_destroy (&filter);
    *filter_p = filter;
    return rc;
}
