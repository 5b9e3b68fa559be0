//  store_length.c - tells whether the end of a store's file is missing
//
//  SPDX-License-Identifier: MPL-2.0
//
//  LMDB maps its file and trusts its length: a page beyond the end, as in a copy that was cut off,
//  ends the process with SIGBUS. So that is found out before, with reads that fail like any other.
//
//  A file may well be shorter than its first pages say: LMDB counts a page as used from the moment
//  it takes it from the end, and does not write it when the same transaction lets it go again. Such
//  pages are in the free list. So a file is whole when each page that it lacks is free. Writing
//  makes files longer than that (store_lmdb.c), and the free list is looked at only when one is
//  not: one of an older version, or a copy.
//
//  What is read here is LMDB's layout, version 1, of this machine's byte order, as it is there:
//    page    16 bytes of head: number u64, padding u16, flags u16, then of a page in a tree lower
//            u16 and upper u16, of a value's first page the number of pages u32
//    tree    u16 offsets of nodes from byte 16 to `lower`. A node: size u32, flags u16, size of key
//            u16, key, value. In a branch, size and flags are the page number of the child; in a
//            leaf with the flag BIG, the value is the number of the page where it starts
//    first   the two first pages: from byte 16 the magic, version u32, address u64, size of the map
//            u64, the record of the free list, that of the tables (each 48 bytes, the root's page
//            number last), last page in use u64, transaction u64
//    list    the values of the free list: u64, how many page numbers follow

#include "store_length.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_HEAD_BYTES 16
#define PAGE_BYTES_MIN 512
#define PAGE_BYTES_MAX 65536
#define FLAG_BRANCH 0x01
#define FLAG_LEAF 0x02
#define FLAG_OVERFLOW 0x04
#define NODE_HEAD_BYTES 8
#define NODE_BIG 0x01
#define NO_PAGE UINT64_MAX
#define DEPTH_MAX 32           //  of a tree; LMDB's own limit
#define TRIES_MAX 10           //  a writer may be at work meanwhile
#define ENTRIES_AT_A_TIME 512  //  page numbers read of a list

//  Offsets in the two first pages
#define FIRST_PAGE_BYTES 40
#define FIRST_MAP_BYTES 32
#define FIRST_FREE_ROOT 80
#define FIRST_LAST_PAGE 136
#define FIRST_TXN 144
#define FIRST_BYTES 152

//  The newer of the two first pages
typedef struct {
    uint32_t page_bytes;
    uint64_t map_bytes;
    uint64_t free_root;        //  page where the free list's tree starts
    uint64_t last_page;        //  in use
    uint64_t txn;              //  that wrote it
} s_first_t;

typedef struct {
    int fd;
    s_first_t first;
    uint64_t pages;            //  whole ones that the file has
    uint64_t missing_free;     //  pages it lacks, found in the free list
    uint64_t budget;           //  page numbers and nodes that may still be looked at: ends any loop
} s_length_t;

static uint64_t
s_u64 (const uint8_t *bytes)
{
    uint64_t value;
    memcpy (&value, bytes, sizeof value);
    return value;
}

static uint16_t
s_u16 (const uint8_t *bytes)
{
    uint16_t value;
    memcpy (&value, bytes, sizeof value);
    return value;
}

//  Read so many bytes. ECORRUPT at the file's end.
static int
s_read (int fd, uint64_t offset, void *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread (fd, (uint8_t *) to + done, size - done, (off_t) (offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0? ZSPOOL_EIO: ZSPOOL_ECORRUPT;
        done += (size_t) got;
    }
    return ZSPOOL_OK;
}

//  Read the newer of the two first pages, as LMDB chooses it.
static int
s_read_first (int fd, s_first_t *first)
{
    uint8_t bytes [2] [FIRST_BYTES];
    int rc = s_read (fd, 0, bytes [0], FIRST_BYTES);
    if (rc)
        return rc;
    memcpy (&first->page_bytes, bytes [0] + FIRST_PAGE_BYTES, sizeof first->page_bytes);
    if (first->page_bytes < PAGE_BYTES_MIN || first->page_bytes > PAGE_BYTES_MAX)
        return ZSPOOL_ECORRUPT;
    rc = s_read (fd, first->page_bytes, bytes [1], FIRST_BYTES);
    if (rc)
        return rc;
    const uint8_t *newer = bytes [s_u64 (bytes [0] + FIRST_TXN) < s_u64 (bytes [1] + FIRST_TXN)];
    first->map_bytes = s_u64 (newer + FIRST_MAP_BYTES);
    first->free_root = s_u64 (newer + FIRST_FREE_ROOT);
    first->last_page = s_u64 (newer + FIRST_LAST_PAGE);
    first->txn = s_u64 (newer + FIRST_TXN);
    return ZSPOOL_OK;
}

//  Count the pages of a list that the file lacks.
static int
s_read_list (s_length_t *self, uint64_t offset, uint64_t size)
{
    uint64_t numbers [ENTRIES_AT_A_TIME], count;
    int rc = size < sizeof count? ZSPOOL_ECORRUPT: s_read (self->fd, offset, &count, sizeof count);
    if (rc)
        return rc;
    if (count > size / sizeof count - 1 || count > self->budget)
        return ZSPOOL_ECORRUPT;
    self->budget -= count;
    while (count > 0) {
        size_t part = count < ENTRIES_AT_A_TIME? (size_t) count: ENTRIES_AT_A_TIME;
        offset += sizeof count;
        rc = s_read (self->fd, offset, numbers, part * sizeof numbers [0]);
        if (rc)
            return rc;
        for (size_t index = 0; index < part; index++)
            self->missing_free +=
                numbers [index] >= self->pages && numbers [index] <= self->first.last_page;
        offset += (part - 1) * sizeof count;
        count -= part;
    }
    return ZSPOOL_OK;
}

//  Read the list of a leaf's node. `at` is where the node lies in the page.
static int
s_read_leaf_node (s_length_t *self, uint64_t page, const uint8_t *bytes, size_t at)
{
    uint32_t size;
    memcpy (&size, bytes + at, sizeof size);
    size_t value = at + NODE_HEAD_BYTES + s_u16 (bytes + at + 6);
    bool is_big = (s_u16 (bytes + at + 4) & NODE_BIG) != 0;
    if (value + (is_big? sizeof (uint64_t): size) > self->first.page_bytes)
        return ZSPOOL_ECORRUPT;
    if (!is_big)
        return s_read_list (self, page * self->first.page_bytes + value, size);
    uint64_t start = s_u64 (bytes + value);
    if (start >= self->pages)
        return ZSPOOL_ECORRUPT;
    return s_read_list (self, start * self->first.page_bytes + PAGE_HEAD_BYTES, size);
}

//  Read all lists below a page of the free list's tree.
static int
s_read_tree (s_length_t *self, uint64_t page, int depth)
{
    if (page >= self->pages || depth == DEPTH_MAX)
        return ZSPOOL_ECORRUPT;
    uint8_t *bytes = (uint8_t *) malloc (self->first.page_bytes);
    if (!bytes)
        return ZSPOOL_ENOMEM;
    int rc = s_read (self->fd, page * self->first.page_bytes, bytes, self->first.page_bytes);
    uint16_t flags = rc? 0: s_u16 (bytes + 10), lower = rc? 0: s_u16 (bytes + 12);
    if (rc == ZSPOOL_OK
        && (s_u64 (bytes) != page || !(flags & (FLAG_BRANCH | FLAG_LEAF)) || flags & FLAG_OVERFLOW
            || lower > self->first.page_bytes))
        rc = ZSPOOL_ECORRUPT;
    for (size_t offset = PAGE_HEAD_BYTES; rc == ZSPOOL_OK && offset + 2 <= lower; offset += 2) {
        size_t at = s_u16 (bytes + offset);
        if (at + NODE_HEAD_BYTES > self->first.page_bytes || self->budget-- == 0)
            rc = ZSPOOL_ECORRUPT;
        else if (flags & FLAG_LEAF)
            rc = s_read_leaf_node (self, page, bytes, at);
        else
            rc = s_read_tree (self, s_u64 (bytes + at) & 0xffffffffffff, depth + 1);
    }
    free (bytes);
    return rc;
}

//  Whether every page that the file lacks is free. ECORRUPT when one is not, or the free list
//  cannot be read.
static int
s_check_missing (s_length_t *self)
{
    //  No more can be free, and so listed, than there are pages.
    self->budget = 2 * (self->first.last_page + 1);
    self->missing_free = 0;
    int rc = ZSPOOL_OK;
    if (self->first.free_root != NO_PAGE)
        rc = s_read_tree (self, self->first.free_root, 0);
    if (rc == ZSPOOL_OK && self->missing_free < self->first.last_page + 1 - self->pages)
        rc = ZSPOOL_ECORRUPT;
    return rc;
}

int
zspool_length_check (int fd, zspool_length_t *length)
{
    s_length_t self = { .fd = fd };
    int rc = s_read_first (fd, &self.first);
    for (int tries = 0; rc == ZSPOOL_OK && tries < TRIES_MAX; tries++) {
        struct stat status;
        if (fstat (fd, &status))
            return ZSPOOL_EIO;
        length->file_bytes = (uint64_t) status.st_size;
        length->needed_bytes = 0;
        self.pages = length->file_bytes / self.first.page_bytes;
        if (self.first.last_page < self.pages)
            return ZSPOOL_OK;
        if (self.first.last_page >= self.first.map_bytes / self.first.page_bytes)
            return ZSPOOL_ECORRUPT;
        length->needed_bytes = (self.first.last_page + 1) * self.first.page_bytes;
        int found = s_check_missing (&self);
        if (found != ZSPOOL_ECORRUPT)
            return found;
        //  What was read counts only when no commit came between.
        uint64_t txn = self.first.txn;
        rc = s_read_first (fd, &self.first);
        if (rc == ZSPOOL_OK && self.first.txn == txn)
            return ZSPOOL_ECORRUPT;
    }
    return rc;
}
