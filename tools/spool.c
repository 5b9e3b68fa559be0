//  spool.c - a stored spool, opened for reading
//
//  SPDX-License-Identifier: MPL-2.0

#include "spool.h"
#include "command.h"

#include <inttypes.h>
#include <string.h>

//  Report why the store cannot be read; gives an exit status.
static int
s_fail (spool_t *self, int rc)
{
    const char *reason = zspool_store_reason (self->store);
    command_report ("%s", *reason? reason: zspool_strerror (rc));
    return COMMAND_FAILED;
}

//  Find the spool, and say which there are when it is not one of them.
static int
s_find (spool_t *self, const char *directory, const char *name)
{
    for (size_t index = 0;; index++) {
        int rc = zspool_store_spool_info (self->store, index, &self->info);
        if (rc == ZSPOOL_OK && strcmp (self->info.name, name) == 0)
            return COMMAND_OK;
        //  The damaged record of one spool is no reason not to read another.
        if (rc == ZSPOOL_OK || (rc == ZSPOOL_ECORRUPT && index < ZSPOOL_SPOOLS_MAX))
            continue;
        if (rc != ZSPOOL_ENOENT)
            return s_fail (self, rc);
        command_report ("'%s' has no spool '%s' (zspool info shows those it has)", directory, name);
        return COMMAND_FAILED;
    }
}

int
spool_open (spool_t *self, const char *directory, const char *name)
{
    *self = (spool_t) { .store = zspool_store_new (directory) };
    if (self->store) {
        int rc = zspool_store_open (self->store, ZSPOOL_READ);
        if (rc != ZSPOOL_OK)
            return s_fail (self, rc);
        int status = s_find (self, directory, name);
        if (status != COMMAND_OK)
            return status;
        self->reader = zspool_reader_new (self->store, self->info.id);
    }
    if (!self->reader)
        command_report ("out of memory");
    return self->reader? COMMAND_OK: COMMAND_FAILED;
}

void
spool_close (spool_t *self)
{
    zspool_reader_destroy (&self->reader);
    zspool_store_destroy (&self->store);
}

void
spool_report_damage (spool_t *self, int rc)
{
    uint64_t first, last;
    zspool_reader_damage (self->reader, &first, &last);
    command_report ("messages %" PRIu64 " to %" PRIu64 " cannot be read: %s", first, last,
                    zspool_strerror (rc));
    self->damaged = true;
}
