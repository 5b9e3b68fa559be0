//  traffic.c - what an outlet counts and measures of its deliveries, and tells under its label
//
//  SPDX-License-Identifier: MPL-2.0

#include "traffic.h"
#include "store.h"

//  How long they waited goes by the clock of the day: they may have been stored before this process
//  began.
void
zspool_traffic_measure (zspool_traffic_t *self, uint64_t first_deliveries, int64_t stored_us)
{
    int64_t now_us = zclock_usecs ();
    if (first_deliveries > 0)
        zspool_measure_add (&self->wait, zspool_now_us () - stored_us, first_deliveries, now_us);
    zspool_rate_note (&self->message_rate, self->sent + self->resent, now_us);
    zspool_rate_note (&self->byte_rate, self->bytes, now_us);
}

void
zspool_traffic_add (const zspool_traffic_t *self, zmsg_t *status, const char *name, uint64_t value)
{
    char path [ZSPOOL_LABEL_MAX + 64];
    snprintf (path, sizeof path, "%s/%s", self->label, name);
    zspool_reply_add (status, path, value);
}

static bool
s_is_main (const zspool_traffic_t *self)
{
    return streq (self->label, ZSPOOL_CURSOR_OUT);
}

void
zspool_traffic_add_own (const zspool_traffic_t *self, zmsg_t *status, const char *name, uint64_t value)
{
    if (s_is_main (self))
        zspool_reply_add (status, name, value);
    else
        zspool_traffic_add (self, status, strncmp (name, "ack/", 4) == 0? name + 4: name, value);
}

void
zspool_traffic_add_all (const zspool_traffic_t *self, zmsg_t *status)
{
    int64_t now_us = zclock_usecs ();
    zspool_traffic_add (self, status, "sent", self->sent);
    zspool_traffic_add (self, status, "resent", self->resent);
    zspool_traffic_add (self, status, "passed", self->passed);
    zspool_traffic_add_own (self, status, "rate/out", zspool_rate_get (&self->message_rate, now_us));
    zspool_traffic_add_own (self, status, "rate/out_bytes", zspool_rate_get (&self->byte_rate, now_us));
    char prefix [ZSPOOL_LABEL_MAX + 16] = "wait/";
    if (!s_is_main (self))
        snprintf (prefix, sizeof prefix, "%s/wait/", self->label);
    zspool_reply_add_measure (status, prefix, "_us", &self->wait, now_us);
}
