//  page_file.c - reads the file of an LMDB database page by page, trusting nothing in it
//
//  SPDX-License-Identifier: MPL-2.0
//
//  LMDB's layout, version 1, of this machine's byte order, is described in store_length.c. Besides:
//  a node in a leaf with the flag 2 describes a table in 48 bytes: depth u16 at 6, number of pairs
//  u64 at 32, page of the root u64 at 40.

#include "page_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_HEAD_BYTES 16
#define PAGE_BRANCH 1
#define PAGE_LEAF 2
#define NODE_HEAD_BYTES 8
#define DEPTH_MAX 32           //  of a tree; LMDB's own limit
#define KEY_BYTES_MAX 511      //  likewise
#define FIRST_MAGIC 0xBEEFC0DEU
#define FIRST_VERSION 1
//  Offsets in the two first pages
#define FIRST_MAGIC_AT 16
#define FIRST_VERSION_AT 20
#define FIRST_PAGE_BYTES_AT 40
#define FIRST_TABLES_AT 88
#define FIRST_TXN_AT 144
#define FIRST_BYTES 152

static uint16_t
s_u16 (const uint8_t *bytes)
{
    uint16_t value;
    memcpy (&value, bytes, sizeof value);
    return value;
}

static uint32_t
s_u32 (const uint8_t *bytes)
{
    uint32_t value;
    memcpy (&value, bytes, sizeof value);
    return value;
}

static uint64_t
s_u64 (const uint8_t *bytes)
{
    uint64_t value;
    memcpy (&value, bytes, sizeof value);
    return value;
}

int
zspool_page_file_open (zspool_page_file_t *self, const char *path)
{
    memset (self, 0, sizeof *self);
    self->fd = open (path, O_RDONLY | O_CLOEXEC);
    if (self->fd < 0)
        return errno == EACCES || errno == EPERM? ZSPOOL_EACCES: errno == ENOENT? ZSPOOL_ENOENT: ZSPOOL_EIO;
    struct stat status;
    if (fstat (self->fd, &status) || !S_ISREG (status.st_mode)) {
        close (self->fd);
        return ZSPOOL_EIO;
    }
    //  zspool's stores have pages of this size, wherever they were made.
    self->page_bytes = ZSPOOL_PAGE_BYTES;
    self->file_bytes = (uint64_t) status.st_size;
    self->pages = (self->file_bytes + self->page_bytes - 1) / self->page_bytes;
    return ZSPOOL_OK;
}

void
zspool_page_file_close (zspool_page_file_t *self)
{
    if (self->fd >= 0)
        close (self->fd);
    self->fd = -1;
}

bool
zspool_page_file_read (zspool_page_file_t *self, uint64_t offset, void *to, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread (self->fd, (uint8_t *) to + done, size - done, (off_t) (offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            self->unreadable++;
        if (got <= 0)
            break;
        done += (size_t) got;
    }
    memset ((uint8_t *) to + done, 0, size - done);
    return done == size;
}

bool
zspool_page_file_table (const zspool_page_file_t *self, const zspool_pair_t *pair, zspool_tree_t *tree)
{
    if (pair->size != ZSPOOL_TREE_BYTES || !pair->value)
        return false;
    zspool_tree_t found = { s_u16 (pair->value + 6), s_u64 (pair->value + 32), s_u64 (pair->value + 40) };
    bool is_empty = found.root == ZSPOOL_NO_PAGE && found.depth == 0 && found.entries == 0;
    if (!is_empty && (found.root < 2 || found.root >= self->pages || found.depth == 0 || found.depth > DEPTH_MAX))
        return false;
    *tree = found;
    return true;
}

bool
zspool_page_file_tables (zspool_page_file_t *self, zspool_tree_t *tables)
{
    uint64_t newest = 0;
    bool found = false;
    for (uint64_t page = 0; page < 2; page++) {
        uint8_t bytes [FIRST_BYTES];
        zspool_page_file_read (self, page * self->page_bytes, bytes, sizeof bytes);
        uint64_t txn = s_u64 (bytes + FIRST_TXN_AT);
        zspool_pair_t pair = { .size = ZSPOOL_TREE_BYTES, .value = bytes + FIRST_TABLES_AT };
        if (s_u32 (bytes + FIRST_MAGIC_AT) != FIRST_MAGIC || s_u32 (bytes + FIRST_VERSION_AT) != FIRST_VERSION
            || s_u32 (bytes + FIRST_PAGE_BYTES_AT) != self->page_bytes || (found && txn <= newest))
            continue;
        if (zspool_page_file_table (self, &pair, tables)) {
            found = true;
            newest = txn;
        }
    }
    return found;
}

bool
zspool_page_file_pair (const zspool_page_file_t *self, uint64_t page, const uint8_t *bytes, size_t at,
                       zspool_pair_t *pair)
{
    if (at < PAGE_HEAD_BYTES || at + NODE_HEAD_BYTES > self->page_bytes)
        return false;
    size_t key_bytes = s_u16 (bytes + at + 6), value_at = at + NODE_HEAD_BYTES + key_bytes;
    pair->flags = s_u16 (bytes + at + 4);
    pair->size = s_u32 (bytes + at);
    pair->key = (zspool_bytes_t) { bytes + at + NODE_HEAD_BYTES, key_bytes };
    bool is_big = pair->flags == ZSPOOL_PAIR_BIG;
    size_t here = is_big? sizeof (uint64_t): pair->size;
    if (key_bytes == 0 || key_bytes > KEY_BYTES_MAX || pair->flags > ZSPOOL_PAIR_TABLE
        || here > self->page_bytes || value_at + here > self->page_bytes)
        return false;
    pair->value = bytes + value_at;
    pair->offset = page * self->page_bytes + value_at;
    if (!is_big)
        return true;
    uint64_t first = s_u64 (bytes + value_at);
    if (first < 2 || first >= self->pages)
        return false;
    pair->value = NULL;
    pair->offset = first * self->page_bytes + PAGE_HEAD_BYTES;
    return true;
}

//  A walk under way
typedef struct {
    zspool_page_file_t *file;
    uint8_t *visited;
    zspool_pair_fn *function;
    void *arg;
    uint64_t *damage;
} s_walk_t;

//  Read a page of a tree and check what its head says. *pairs is how many nodes it has.
static bool
s_read_page (zspool_page_file_t *file, uint64_t page, int depth, uint8_t *bytes, size_t *pairs)
{
    if (page < 2 || page >= file->pages)
        return false;
    if (!zspool_page_file_read (file, page * file->page_bytes, bytes, file->page_bytes))
        return false;
    uint16_t flags = s_u16 (bytes + 10), lower = s_u16 (bytes + 12), upper = s_u16 (bytes + 14);
    *pairs = lower < PAGE_HEAD_BYTES? 0: (size_t) (lower - PAGE_HEAD_BYTES) / sizeof (uint16_t);
    return s_u64 (bytes) == page && flags == (depth == 1? PAGE_LEAF: PAGE_BRANCH) && lower >= PAGE_HEAD_BYTES
           && lower <= upper && upper <= file->page_bytes;
}

//  Note that a page is visited. False when it was before, or is none.
static bool
s_visit (s_walk_t *self, uint64_t page)
{
    if (page >= self->file->pages || self->visited [page / 8] >> (page % 8) & 1)
        return false;
    self->visited [page / 8] |= (uint8_t) (1 << (page % 8));
    return true;
}

//  Walk over what is below a page that is so many levels above nothing.
static int
s_walk (s_walk_t *self, uint64_t page, int depth)
{
    uint32_t page_bytes = self->file->page_bytes;
    uint8_t *bytes = (uint8_t *) malloc (page_bytes);
    size_t pairs = 0;
    if (!bytes)
        return ZSPOOL_ENOMEM;
    if (!s_visit (self, page) || !s_read_page (self->file, page, depth, bytes, &pairs)) {
        ++*self->damage;
        pairs = 0;
    }
    int rc = ZSPOOL_OK;
    for (size_t index = 0; rc == ZSPOOL_OK && index < pairs; index++) {
        size_t at = s_u16 (bytes + PAGE_HEAD_BYTES + index * sizeof (uint16_t));
        zspool_pair_t pair;
        if (depth > 1 && at + NODE_HEAD_BYTES <= page_bytes)
            rc = s_walk (self, s_u64 (bytes + at) & 0xffffffffffff, depth - 1);
        else if (depth == 1 && zspool_page_file_pair (self->file, page, bytes, at, &pair))
            rc = self->function (self->arg, &pair);
        else
            ++*self->damage;
    }
    free (bytes);
    return rc;
}

int
zspool_page_file_walk (zspool_page_file_t *self, const zspool_tree_t *tree, uint8_t *visited,
                       zspool_pair_fn *function, void *arg, uint64_t *damage)
{
    s_walk_t walk = { self, visited, function, arg, damage };
    return tree->root == ZSPOOL_NO_PAGE? ZSPOOL_OK: s_walk (&walk, tree->root, tree->depth);
}

int
zspool_page_file_last (zspool_page_file_t *self, const zspool_tree_t *tree, zspool_pair_fn *function, void *arg)
{
    uint8_t *bytes = (uint8_t *) malloc (self->page_bytes);
    if (!bytes)
        return ZSPOOL_ENOMEM;
    uint64_t page = tree->root;
    int rc = ZSPOOL_OK;
    for (int depth = tree->depth; depth > 0; depth--) {
        size_t pairs, at;
        zspool_pair_t pair;
        if (!s_read_page (self, page, depth, bytes, &pairs) || pairs == 0)
            break;
        at = s_u16 (bytes + PAGE_HEAD_BYTES + (pairs - 1) * sizeof (uint16_t));
        if (at + NODE_HEAD_BYTES > self->page_bytes)
            break;
        if (depth > 1)
            page = s_u64 (bytes + at) & 0xffffffffffff;
        else if (zspool_page_file_pair (self, page, bytes, at, &pair))
            rc = function (arg, &pair);
    }
    free (bytes);
    return rc;
}
