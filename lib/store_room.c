//  store_room.c - room in the file for what is appended: how blocks are written, and what happens on a
//  full disk
//
//  SPDX-License-Identifier: MPL-2.0
//
//  On a full disk appending goes on with free pages of the file itself, as long as enough reserved
//  space is left for acknowledging. What every cursor has acknowledged, and is kept all the same,
//  gives way before an append is refused for good: an append that finds no room notes how much it
//  needs (`wanted_bytes`), and the next transaction begins with a commit that removes so much, and
//  one that makes it usable. The caller only has to try again.
//
//  Thread: the store's owner.

#include "store.h"
#include "store_blocks.h"

//  On a full disk this much reserved space is left alone by appending
#define FULL_DISK_SPARE_BYTES (8 * 1024 * 1024)
//  On a full disk what need not be kept goes for so much more than an append needs, lest each has to wait
#define FULL_DISK_STEP_BYTES (8 * 1024 * 1024)
//  On a full disk so much free space is worth a commit that makes it usable
#define AGED_FREE_BYTES_MIN (256 * 1024)
//  How free space lies is looked at when the file has grown by this
#define LAYOUT_GROWN_BYTES (32ULL * 1024 * 1024)
//  Or when this was appended, and one part in so many of what is free: looking costs by how much
//  that is
#define LAYOUT_APPENDED_BYTES (64ULL * 1024 * 1024)
#define LAYOUT_FREE_PART 8
//  So much scattered free space makes it worth writing blocks in single pages; for half of it that
//  goes on
#define LAYOUT_SCATTERED_BYTES (16ULL * 1024 * 1024)

//  Decide how this transaction writes blocks. One value a block is fastest, but needs as many pages
//  in a row: when free space is scattered, as after a purge of one of two spools, LMDB looks
//  through all of it in vain for each commit, writes down its list anew, and extends the file.
//  Single pages take what is first in the list.
void
zspool_store_choose_layout (zspool_store_t *self)
{
    uint64_t used = zspool_engine_used_bytes (self->engine);
    if (used < self->layout_file_bytes && self->layout_left_bytes > 0)
        return;
    size_t block_bytes = self->layout_block_bytes? self->layout_block_bytes: ZSPOOL_BLOCK_BYTES;
    uint64_t scattered =
        zspool_engine_scattered_bytes (self->engine, block_bytes / ZSPOOL_PAGE_BYTES + 1);
    self->chunked = scattered > (self->chunked? LAYOUT_SCATTERED_BYTES / 2: LAYOUT_SCATTERED_BYTES);
    self->layout_file_bytes = used + LAYOUT_GROWN_BYTES;
    self->layout_left_bytes = LAYOUT_APPENDED_BYTES + scattered / LAYOUT_FREE_PART;
    self->layout_for_bytes = block_bytes;
    self->layout_block_bytes = 0;
}

//  The disk is full. What the last commit freed can be used only behind a further one: make that.
static int
s_age_free_pages (zspool_store_t *self)
{
    if (zspool_store_free_bytes (self)
        < zspool_engine_reusable_bytes (self->engine) + AGED_FREE_BYTES_MIN)
        return ZSPOOL_OK;
    int rc = zspool_engine_begin (self->engine, &self->txn);
    if (rc == ZSPOOL_OK)
        rc = zspool_state_put_store (self->txn, self->state, &self->record);
    if (rc) {
        zspool_engine_abort (self->engine);
        return rc;
    }
    rc = zspool_engine_commit (self->engine);
    self->failed = rc != ZSPOOL_OK;
    return rc? ZSPOOL_EFAILED: ZSPOOL_OK;
}

//  Remove what every cursor has acknowledged, the spools in turn, until so many bytes are free; some
//  blocks in a commit of its own. *more tells whether that was not enough though there are more.
static int
s_remove_history (zspool_store_t *self, uint64_t bytes, bool *more)
{
    uint64_t freed = 0;
    *more = false;
    int rc = zspool_store_begin_plain (self);
    for (size_t index = 0; rc == ZSPOOL_OK && index < self->spools_count && freed < bytes; index++) {
        zspool_spool_state_t *spool = &self->spools [index];
        uint64_t before = spool->now.bytes;
        bool left;
        rc = zspool_store_give_way (self, spool, bytes - freed, ZSPOOL_TRIM_BLOCKS_MAX, &left);
        freed += before - spool->now.bytes;
        *more = *more || left;
    }
    if (rc == ZSPOOL_OK)
        return zspool_store_commit (self);
    zspool_store_rollback (self);
    return rc;
}

//  The disk is full. When an append found too little free in the file, what need not be kept goes
//  for it, and somewhat more. That is no use when there is enough, and it cannot be used again yet,
//  for somebody looks at it: so no more goes then.
static int
s_make_pages (zspool_store_t *self)
{
    uint64_t wanted = self->wanted_bytes;
    self->wanted_bytes = 0;
    self->gives_way = false;
    if (wanted == 0)
        return ZSPOOL_OK;
    bool more = false;
    uint64_t free_bytes = zspool_store_free_bytes (self);
    int rc = ZSPOOL_OK;
    if (free_bytes < wanted + FULL_DISK_STEP_BYTES / 2)
        rc = s_remove_history (self, wanted + FULL_DISK_STEP_BYTES - free_bytes, &more);
    self->served_bytes = more? 0: wanted;
    return rc;
}

int
zspool_store_find_pages (zspool_store_t *self)
{
    int rc = s_make_pages (self);
    return rc? rc: s_age_free_pages (self);
}

//  The disk is full. Whether free pages of the file itself will do; for a spool with nothing left
//  to acknowledge, and for what is buried, together with half of the headroom, since nothing else
//  would ever make room for it.
static bool
s_has_pages (zspool_store_t *self, const zspool_spool_state_t *spool, uint64_t needed)
{
    uint64_t spare = zspool_engine_spare_bytes (self->engine);
    if (spare < FULL_DISK_SPARE_BYTES)
        return false;
    uint64_t usable = zspool_engine_reusable_bytes (self->engine);
    if (spool->now.blocks == 0 || self->burying)
        usable += spare - FULL_DISK_SPARE_BYTES;
    return usable >= needed;
}

//  The disk is full for so many bytes: whether what need not be kept is to make room for them, in
//  the next transaction, for what is freed in this one cannot be used in it.
static void
s_ask_for_pages (zspool_store_t *self, uint64_t needed)
{
    self->wanted_bytes = needed;
    self->gives_way = false;
    for (size_t index = 0; needed > self->served_bytes && index < self->spools_count; index++)
        if (zspool_store_has_history (self, &self->spools [index]))
            self->gives_way = true;
}

bool
zspool_store_gives_way (const zspool_store_t *self)
{
    return self->gives_way;
}

int
zspool_store_make_room (zspool_store_t *self, const zspool_spool_state_t *spool, uint64_t bytes)
{
    uint64_t needed = self->txn_bytes + bytes;
    int rc = zspool_engine_reserve (self->engine, needed);
    self->disk_full = rc == ZSPOOL_ENOSPC;
    if (rc == ZSPOOL_ENOSPC && s_has_pages (self, spool, needed)) {
        self->chunked = true; //  they must be taken one by one
        rc = ZSPOOL_OK;
    }
    if (rc == ZSPOOL_OK) {
        self->txn_bytes = needed;
        self->served_bytes = 0;
    }
    else if (rc == ZSPOOL_ENOSPC)
        s_ask_for_pages (self, needed);
    return rc;
}

int
zspool_store_has_room (zspool_store_t *self, uint32_t spool_id, uint64_t bytes)
{
    uint64_t txn_bytes = self->txn_bytes;
    const zspool_spool_state_t *spool = zspool_store_find_spool (self, spool_id);
    int rc = spool? zspool_store_make_room (self, spool, bytes): ZSPOOL_EINVAL;
    if (rc == ZSPOOL_OK)
        self->txn_bytes = txn_bytes;
    return rc;
}
