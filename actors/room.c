//  room.c - whether a writer's last commits found room for what came, and who is told of it
//
//  SPDX-License-Identifier: MPL-2.0

#include "room.h"

#include <czmq.h>

//  There must have been room for so long before that is told
#define QUIET_MS 2000

static void
s_log (int was, int is, const zspool_store_t *store)
{
    const char *directory = zspool_store_directory (store);
    if (is == ZSPOOL_ENOSPC)
        zsys_warning ("%s: no space left: taking no more messages until there is", directory);
    else if (is)
        zsys_warning ("%s: taking no more messages until some are acknowledged",
                      zspool_store_reason (store));
    else if (was == ZSPOOL_ENOSPC)
        zsys_warning ("%s: there is space again", directory);
    else
        zsys_warning ("%s: there is room under the limit again", directory);
}

bool
zspool_room_update (zspool_room_t *self, int full, int64_t now_ms, const zspool_store_t *store)
{
    self->full = full;
    if (full)
        self->full_ms = now_ms;
    if (full == self->told || (!full && now_ms < self->full_ms + QUIET_MS))
        return false;
    s_log (self->told, full, store);
    self->told = full;
    return true;
}

int64_t
zspool_room_due_ms (const zspool_room_t *self)
{
    return self->told && !self->full? self->full_ms + QUIET_MS: INT64_MAX;
}

const char *
zspool_room_status (const zspool_room_t *self)
{
    return self->told == ZSPOOL_ENOSPC? "disk": self->told? "limit": "no";
}
