//  keeping.c - what a writer's store keeps, and when the next block is to go for its age
//
//  SPDX-License-Identifier: MPL-2.0

#include "keeping.h"
#include "request.h"

#define LOOK_MS 100       //  a busy writer looks no more often than this
#define AGED_WAIT_MS 1000 //  what is too old waits so long for a commit to go with

static void
s_look (zspool_keeping_t *self, int64_t now_ms)
{
    zspool_store_kept (self->store, self->spool, &self->kept);
    self->looked_ms = now_ms;
}

void
zspool_keeping_init (zspool_keeping_t *self, zspool_store_t *store, uint32_t spool)
{
    self->store = store;
    self->spool = spool;
    self->trim_due_us = zspool_store_trim_due_us (store);
    self->retention = zspool_retention_queue;
    (void) zspool_store_retention (store, spool, &self->retention); //  open for writing it cannot fail
    s_look (self, zclock_mono ());
}

void
zspool_keeping_update (zspool_keeping_t *self, int64_t now_ms)
{
    self->trim_due_us = zspool_store_trim_due_us (self->store);
    if (now_ms - self->looked_ms >= LOOK_MS)
        s_look (self, now_ms);
}

int64_t
zspool_keeping_due_ms (const zspool_keeping_t *self, int64_t ended_ms)
{
    int64_t now_us = zspool_now_us (), due_ms = zclock_mono ();
    if (self->trim_due_us == INT64_MAX)
        return INT64_MAX;
    if (self->trim_due_us > now_us)
        due_ms += (self->trim_due_us - now_us) / 1000 + 1;
    return due_ms > ended_ms + AGED_WAIT_MS? due_ms: ended_ms + AGED_WAIT_MS;
}

static void
s_add_limit (zmsg_t *reply, const char *name, uint64_t limit, uint64_t unit)
{
    if (limit == ZSPOOL_KEEP_UNLIMITED) {
        zmsg_addstr (reply, name);
        zmsg_addstr (reply, "unlimited");
    }
    else
        zspool_reply_add (reply, name, limit / unit);
}

void
zspool_keeping_status (zspool_keeping_t *self, bool committing, zmsg_t *reply)
{
    if (!committing)
        s_look (self, zclock_mono ());
    int64_t now_us = zspool_now_us (), oldest_us = self->kept.oldest_us;
    bool has_age = oldest_us > 0 && oldest_us < now_us;
    zspool_reply_add (reply, "store/retained_messages", self->kept.messages);
    zspool_reply_add (reply, "store/retained_bytes", self->kept.bytes);
    zspool_reply_add (reply, "store/oldest_age_ms", has_age? (uint64_t) (now_us - oldest_us) / 1000: 0);
    s_add_limit (reply, "keep/age_ms", self->retention.age_us, 1000);
    s_add_limit (reply, "keep/bytes", self->retention.bytes, 1);
    s_add_limit (reply, "keep/count", self->retention.messages, 1);
    zmsg_addstr (reply, "keep/unacked");
    zmsg_addstr (reply, self->retention.unacked? "on": "off");
}
