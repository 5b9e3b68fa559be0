//  page_file.h - reads the file of an LMDB database page by page, trusting nothing in it
//
//  SPDX-License-Identifier: MPL-2.0
//
//  For databases that LMDB itself could not open, or would die of: there is no map, every number is
//  checked before it is used, and no page is visited twice in a walk. Bytes that cannot be read
//  count as zeros.

#ifndef ZSPOOL_PAGE_FILE_H_INCLUDED
#define ZSPOOL_PAGE_FILE_H_INCLUDED

#include "store_engine.h"

typedef struct {
    int fd;
    uint32_t page_bytes;
    uint64_t pages;            //  in the file, the last one perhaps in part
    uint64_t file_bytes;
    uint64_t unreadable;       //  reads that failed
} zspool_page_file_t;

//  A pair in a leaf. Key and node are in the page at hand; where a value lies is told as an offset
//  in the file.
typedef struct {
    zspool_bytes_t key;
    uint16_t flags;            //  of the node
    uint64_t offset;           //  of the value
    uint32_t size;             //  of the value
    const uint8_t *value;      //  when it lies in the page; NULL: in pages of its own
} zspool_pair_t;

#define ZSPOOL_PAIR_BIG 1      //  value in pages of its own
#define ZSPOOL_PAIR_TABLE 2    //  value describes a table

//  A table, as a pair of the table of tables describes it
typedef struct {
    uint16_t depth;
    uint64_t entries;
    uint64_t root;             //  page
} zspool_tree_t;
#define ZSPOOL_TREE_BYTES 48
#define ZSPOOL_NO_PAGE UINT64_MAX

//  Open a file for reading. EIO, EACCES, ENOENT.
int
    zspool_page_file_open (zspool_page_file_t *self, const char *path);
void
    zspool_page_file_close (zspool_page_file_t *self);

//  Read so many bytes; what the file does not have, or cannot be read, becomes zeros. False then.
bool
    zspool_page_file_read (zspool_page_file_t *self, uint64_t offset, void *to, size_t size);

//  The table of tables, by the newer of the two first pages that makes sense. False when none does.
bool
    zspool_page_file_tables (zspool_page_file_t *self, zspool_tree_t *tables);

//  Take a table from a pair that describes one. False when it makes no sense.
bool
    zspool_page_file_table (const zspool_page_file_t *self, const zspool_pair_t *pair, zspool_tree_t *tree);

//  Take the pair whose node lies at this place of a page's bytes. False when it does not fit there.
bool
    zspool_page_file_pair (const zspool_page_file_t *self, uint64_t page, const uint8_t *bytes, size_t at,
                           zspool_pair_t *pair);

//  Called for each pair of a walk; another result than ZSPOOL_OK ends it.
typedef int (zspool_pair_fn) (void *arg, const zspool_pair_t *pair);

//  Walk over a tree in the order of its pages. *damage counts pages and pairs that make no sense;
//  what lies below them is left out. `visited`, one bit a page, is the caller's, all zero at first.
//  ENOMEM, or what the function gave.
int
    zspool_page_file_walk (zspool_page_file_t *self, const zspool_tree_t *tree, uint8_t *visited,
                           zspool_pair_fn *function, void *arg, uint64_t *damage);

//  Give the last pair of a tree to the function, if it can be found. ENOMEM, or what the function
//  gave.
int
    zspool_page_file_last (zspool_page_file_t *self, const zspool_tree_t *tree, zspool_pair_fn *function,
                           void *arg);

static inline size_t
zspool_page_file_bitmap_bytes (const zspool_page_file_t *self)
{
    return (size_t) (self->pages / 8 + 1);
}

#endif
