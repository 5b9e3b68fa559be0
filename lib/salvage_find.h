//  salvage_find.h - finds the blocks and small records that a damaged database's file still holds
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Two ways. The trees, as far as they can be followed, tell what is stored, and in which spool.
//  When something is amiss there, every page of the file is searched for what can prove itself by
//  its own checksums: then older states of trees, which LMDB does not overwrite at once, tell more
//  spools, and what is left is known by its sequences only.

#ifndef ZSPOOL_SALVAGE_FIND_H_INCLUDED
#define ZSPOOL_SALVAGE_FIND_H_INCLUDED

#include "block.h"
#include "page_file.h"
#include "store_state.h"

//  How something was found: the less, the surer
typedef enum {
    ZSPOOL_FOUND_IN_TREE,      //  it is what the store held last
    ZSPOOL_FOUND_IN_OLD_TREE,  //  the store held it some commits ago; its spool is known
    ZSPOOL_FOUND_BESIDE        //  it lies in the file; the store may have let it go
} zspool_found_t;

//  A block whose bytes are proven to be whole
typedef struct {
    uint64_t first;            //  sequence
    uint64_t hash;             //  of its head: tells copies from others
    int64_t stored_us;
    uint64_t incarnation;
    uint64_t offset;           //  in the file; of chunked ones: place of the first part in the list of parts
    uint64_t size;             //  bytes
    uint32_t count;            //  messages
    uint32_t spool;            //  number; 0: not known
    uint8_t found;             //  zspool_found_t
    bool chunked;
    bool proven;               //  lies where a block would: in pages of its own, or behind its key
} zspool_found_block_t;

typedef struct {
    zspool_state_record_t record;
    uint8_t found;             //  zspool_found_t
} zspool_found_record_t;

//  What a table is: its name's number, and whether all of it could be followed
typedef struct {
    uint32_t spool;            //  0: the small records
    zspool_tree_t tree;
    uint64_t damage;           //  pages and pairs that make no sense, and blocks or records that are damaged
    uint64_t messages;         //  in blocks that are whole
} zspool_found_table_t;

typedef struct {
    uint64_t first;            //  sequence
    uint64_t offset;           //  in the file
    uint32_t size;
    uint16_t chunk;
} zspool_found_part_t;

//  Most blocks within one page, none being smaller than its overhead, and a tail
#define ZSPOOL_FINDER_EXTENTS_MAX (ZSPOOL_PAGE_BYTES / ZSPOOL_BLOCK_OVERHEAD_BYTES + 1)

//  The last page of a value: what it had before lies behind the value's end
typedef struct {
    uint64_t page;
    size_t used;               //  bytes, from the page's start
} zspool_found_tail_t;

//  Growing lists; the finder's
typedef struct {
    zspool_page_file_t file;
    bool (*go_on) (void *arg); //  asked often; NULL: always
    void *arg;
    bool tables_found;         //  by the first pages
    bool searched;             //  page by page, too
    bool newer;                //  the store is of a newer version
    uint8_t *visited;          //  pages of the table being walked
    uint8_t *done;             //  pages that need no search: one bit each

    zspool_found_table_t *tables; //  of the newest state
    size_t tables_count;
    zspool_found_table_t *app_tables; //  of an application: `spool` is the table's number
    size_t app_tables_count;
    zspool_found_table_t *old_tables; //  descriptions met while searching
    size_t old_tables_count;
    zspool_found_block_t *blocks;
    size_t blocks_count;
    zspool_found_record_t *records; //  without entries that were not found in the tree
    size_t records_count;
    uint64_t *offsets;         //  of the parts of chunked blocks
    size_t offsets_count;
    zspool_found_part_t *parts; //  met while searching
    size_t parts_count;
    zspool_found_tail_t *tails; //  in order of pages, when the search begins
    size_t tails_count;
    zspool_found_tail_t tail;  //  of the value found last, while searching
    zspool_found_block_t *heads; //  of chunked blocks, whose parts are still to be found
    size_t heads_count;

    //  The walk under way
    zspool_found_table_t *table;
    uint8_t found;             //  zspool_found_t
    zspool_block_head_t head;  //  of the block whose parts come, and
    uint64_t head_hash;        //  its hash
    uint64_t head_first;       //  by its key; 0: none is under way
    uint64_t head_got;         //  bytes of it
    uint64_t entries;          //  pairs counted
    size_t extents_count;      //  whole blocks within the page being searched
    struct { size_t from, to; } extents [ZSPOOL_FINDER_EXTENTS_MAX];
} zspool_finder_t;

//  Find all there is in the file. ENOMEM, ECANCELED, EIO.
int
    zspool_finder_run (zspool_finder_t *self);

//  Read a block that was found. NULL when memory is out, or the file has changed.
zspool_block_t *
    zspool_finder_read (zspool_finder_t *self, const zspool_found_block_t *found);

//  Call a function with each pair of a tree, as zspool_page_file_walk () does.
int
    zspool_finder_walk (zspool_finder_t *self, const zspool_tree_t *tree, zspool_pair_fn *function,
                        void *arg, uint64_t *damage);

//  A table of the newest state; NULL when it was not found.
const zspool_found_table_t *
    zspool_finder_table (const zspool_finder_t *self, uint32_t spool);

//  ------------------------------------------------------------------------------------------------
//  Between salvage_find.c and salvage_search.c

//  Make room for one more in a list of `count` items of `size` bytes. False when memory is out.
bool
    zspool_finder_grow (void *list_p, size_t count, size_t size);

bool
    zspool_finder_goes_on (zspool_finder_t *self);

int
    zspool_finder_add_block (zspool_finder_t *self, const zspool_found_block_t *block);
int
    zspool_finder_add_record (zspool_finder_t *self, const zspool_state_record_t *record);

//  Read the head of a block that may lie at this place of the file, and describe what it says.
int
    zspool_finder_read_head (zspool_finder_t *self, uint64_t offset, zspool_block_head_t *head, uint64_t *hash);
zspool_found_block_t
    zspool_finder_describe (const zspool_finder_t *self, const zspool_block_head_t *head, uint64_t hash,
                            uint64_t offset);

//  Add the block if its bytes are whole; *added says so.
int
    zspool_finder_try_block (zspool_finder_t *self, const zspool_found_block_t *found, bool *added);

//  Whether a page needs no search; else how many bytes at its start belong to a value that is
//  whole.
bool
    zspool_finder_is_done (const zspool_finder_t *self, uint64_t page);
size_t
    zspool_finder_used_bytes (const zspool_finder_t *self, uint64_t page);
void
    zspool_finder_sort_tails (zspool_finder_t *self);

//  The number of a table by its name: "state" (0) or "spool.N". False when it is none of ours.
bool
    zspool_finder_table_number (zspool_bytes_t key, uint32_t *spool);

//  Search the file; then put together the chunked blocks whose heads were met.
int
    zspool_finder_search_file (zspool_finder_t *self);
int
    zspool_finder_assemble (zspool_finder_t *self);

void
    zspool_finder_free (zspool_finder_t *self);

#endif
