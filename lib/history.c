//  history.c - what a message that has died has behind it, as properties of its record
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Properties, little-endian. Numbers in use, never to be given another meaning:
//    1  deaths ever      u64
//    2  origin           the spool's name, without a terminating zero
//    3  a death          sequence u64, stored_us i64, delivered_us i64, died_us i64, deliveries u32,
//                        reason u32; one for each death kept, oldest first. May get longer.
//  All have type 0 (bytes). With the longest name, the longest text and ZSPOOL_DEATHS_MAX deaths that
//  is 980 bytes of 1,020.

#include "history.h"
#include "bytes.h"

#include <assert.h>

enum { PROPERTY_DEATHS_EVER = 1, PROPERTY_ORIGIN = 2, PROPERTY_DEATH = 3, PROPERTY_WHY = 4 };

#define DEATH_BYTES 40

void
zspool_history_add (zspool_history_t *self, const char *origin, const zspool_death_t *death)
{
    if (self->deaths_count == ZSPOOL_DEATHS_MAX) {
        self->deaths_count--;
        memmove (self->deaths, self->deaths + 1, self->deaths_count * sizeof *death);
    }
    self->deaths [self->deaths_count++] = *death;
    self->deaths_ever++;
    strcpy (self->origin, origin);
}

static size_t
s_put (uint8_t *properties, size_t used, uint8_t id, const void *data, size_t size)
{
    zspool_property_t property = { id, 0, size, (const uint8_t *) data };
    used = zspool_property_put (properties, used, &property);
    assert (used > 0);
    return used;
}

size_t
zspool_history_write (const zspool_history_t *self, uint8_t properties [ZSPOOL_PROPERTIES_BYTES_MAX])
{
    uint8_t bytes [DEATH_BYTES];
    put_u64 (bytes, self->deaths_ever);
    size_t used = s_put (properties, 0, PROPERTY_DEATHS_EVER, bytes, sizeof (uint64_t));
    used = s_put (properties, used, PROPERTY_ORIGIN, self->origin, strlen (self->origin));
    for (size_t index = 0; index < self->deaths_count; index++) {
        const zspool_death_t *death = &self->deaths [index];
        put_u64 (bytes, death->sequence);
        put_u64 (bytes + 8, (uint64_t) death->stored_us);
        put_u64 (bytes + 16, (uint64_t) death->delivered_us);
        put_u64 (bytes + 24, (uint64_t) death->died_us);
        put_u32 (bytes + 32, death->deliveries);
        put_u32 (bytes + 36, death->reason);
        used = s_put (properties, used, PROPERTY_DEATH, bytes, sizeof bytes);
    }
    if (*self->why)
        used = s_put (properties, used, PROPERTY_WHY, self->why, strlen (self->why));
    return used;
}

//  Take in a property; false when it is not as it should be.
static bool
s_take (zspool_history_t *self, const zspool_property_t *property)
{
    const uint8_t *data = property->data;
    switch (property->id) {
    case PROPERTY_DEATHS_EVER:
        if (property->size != sizeof (uint64_t))
            return false;
        self->deaths_ever = get_u64 (data);
        return true;
    case PROPERTY_ORIGIN:
        if (property->size == 0 || property->size > ZSPOOL_NAME_MAX || memchr (data, 0, property->size))
            return false;
        memcpy (self->origin, data, property->size);
        self->origin [property->size] = 0;
        return true;
    case PROPERTY_DEATH:
        if (property->size < DEATH_BYTES || self->deaths_count == ZSPOOL_DEATHS_MAX)
            return false;
        self->deaths [self->deaths_count++] = (zspool_death_t){
            .sequence = get_u64 (data),
            .stored_us = (int64_t) get_u64 (data + 8),
            .delivered_us = (int64_t) get_u64 (data + 16),
            .died_us = (int64_t) get_u64 (data + 24),
            .deliveries = get_u32 (data + 32),
            .reason = get_u32 (data + 36),
        };
        return true;
    case PROPERTY_WHY:
        if (property->size > ZSPOOL_WHY_MAX)
            return false;
        memcpy (self->why, data, property->size);
        self->why [property->size] = 0;
        return true;
    default:
        return true;
    }
}

int
zspool_history_read (zspool_history_t *self, const zspool_record_t *record)
{
    zspool_history_t found = { .deaths_ever = 0 };
    zspool_property_t property;
    size_t offset = 0;
    while (zspool_record_next_property (record, &offset, &property))
        if (!s_take (&found, &property))
            return ZSPOOL_ECORRUPT;
    if (found.deaths_count == 0)
        return found.deaths_ever? ZSPOOL_ECORRUPT: ZSPOOL_ENOENT;
    if (!*found.origin || found.deaths_ever < found.deaths_count)
        return ZSPOOL_ECORRUPT;
    *self = found;
    return ZSPOOL_OK;
}
