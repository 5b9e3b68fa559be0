//  catalog.h - the spools that a service has open, the groups that deliver from them, and its jobs
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Part of the service, on its thread. Shelves and groups stay until the service ends: a group
//  without consumers keeps where its cursor stands. So a cursor's state is read from the store once,
//  and nobody reads it while changes of it are under way.

#ifndef ZSPOOL_CATALOG_H_INCLUDED
#define ZSPOOL_CATALOG_H_INCLUDED

#include "group.h"
#include "job.h"
#include "options.h"
#include <czmq.h>

#define ZSPOOL_GROUPS_MAX 4096
//  Most credit that counts
#define ZSPOOL_CREDIT_MESSAGES_MAX 1000000
#define ZSPOOL_CREDIT_BYTES_MAX (1ULL << 30)

typedef struct zspool_catalog zspool_catalog_t;

//  `ops` as groups have them, but for what the catalog does itself; copied. `cursors`: names of those
//  of the device's own spool that outlets deliver through; copied. NULL: memory is out.
zspool_catalog_t *
    zspool_catalog_new (const zspool_options_t *options, const zspool_group_ops_t *ops, zlist_t *cursors);
void
    zspool_catalog_destroy (zspool_catalog_t **self_p);

//  A spool that is open, by its name; NULL: it is not
const zspool_shelf_t *
    zspool_catalog_shelf_named (const zspool_catalog_t *self, const char *name);

//  A group, by its cursor; NULL: there is none
zspool_group_t *
    zspool_catalog_group (const zspool_catalog_t *self, uint32_t spool, uint32_t cursor);

//  Whether a cursor has consumers, or is the device's own.
bool
    zspool_catalog_is_used (const zspool_catalog_t *self, uint32_t spool, const char *cursor);

//  Fill in a job that opens the cursor that a SUBSCRIBE wants; its filters are kept with it. EINVAL: no
//  such start; EBUSY: the device delivers through it; ELIMIT, ENOMEM.
int
    zspool_catalog_prepare (zspool_catalog_t *self, const zsp_t *command, zspool_store_job_t *job);

//  That job was done: have the consumer join the cursor's group, which is made when there is none.
//  *why: a text, when there is more to say than the code does. EINVAL: it has other filters; EBUSY,
//  ELIMIT, ENOMEM.
int
    zspool_catalog_join (zspool_catalog_t *self, zspool_store_job_t *job, zspool_subscription_t *subscription,
                         const char **why);

//  Let go of a group without consumers whose cursor was deleted.
void
    zspool_catalog_remove (zspool_catalog_t *self, zspool_group_t *group);

//  A group's cursor was moved by other means: find out where it stands.
void
    zspool_catalog_track_anew (zspool_catalog_t *self, zspool_group_t *group);

//  Hand a job to the writer.
void
    zspool_catalog_hand_job (zspool_catalog_t *self, zspool_store_job_t *job);
//  A job has come back: take what it gives. *newest: of a spool that was opened, its last sequence.
void
    zspool_catalog_job_done (zspool_catalog_t *self, zspool_store_job_t *job, uint64_t *newest);
//  Destroy a job, with what was kept with it.
void
    zspool_catalog_drop_job (zspool_catalog_t *self, zspool_store_job_t **job_p);

//  Give a consumer credit, within the limits.
void
    zspool_catalog_add_credit (zspool_subscription_t *subscription, uint64_t messages, uint64_t bytes);

//  Something has changed for a group: it takes a turn.
void
    zspool_catalog_wake (zspool_catalog_t *self, zspool_group_t *group);

//  What the writer says: of a block, which becomes the catalog's; of more that was stored; of what was
//  dropped at a limit; of a burial that has ended.
void
    zspool_catalog_live (zspool_catalog_t *self, uint32_t spool, zspool_block_t *block);
void
    zspool_catalog_stored (zspool_catalog_t *self, uint32_t spool);
void
    zspool_catalog_dropped (zspool_catalog_t *self, uint32_t spool, uint64_t dropped_to);
void
    zspool_catalog_buried (zspool_catalog_t *self, zspool_move_t *move, int64_t now_ms);

//  Give all groups that have something to do a turn. True: there is more to do at once. *due_ms: else when
//  the next has, if nothing happens.
bool
    zspool_catalog_turn (zspool_catalog_t *self, int64_t now_ms, int64_t *due_ms);

//  Hand in the changes of all cursors. False: some must wait. And whether there may be any.
bool
    zspool_catalog_hand_changes (zspool_catalog_t *self);
bool
    zspool_catalog_has_changes (const zspool_catalog_t *self);

//  Add names and values to a STATUS.
void
    zspool_catalog_status (const zspool_catalog_t *self, zmsg_t *reply);

#endif
