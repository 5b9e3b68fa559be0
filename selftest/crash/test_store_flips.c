//  test_store_flips.c - a store damaged at any byte: what is read is right, or the damage is told
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Bits are flipped, pages zeroed, filled with noise and swapped, and the file cut off; then
//  everything is read, in a child process. zspool's own bytes (blocks, and small records with their
//  keys) have checksums: there every flip must be told. LMDB's pages (tree, free list, the two
//  first pages) have none, so damage there may crash or mislead LMDB: that is counted, and even
//  then no wrong byte may be delivered.

#include "crash/fault.h"
#include "lib/kit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define DATA KIT_STORE "/data.mdb"
#define PAGE 4096
#define LIMIT_S 20                     //  of one look; it takes a millisecond
#define SPOOLS 2
#define CURSORS 2
#define DAMAGES_MAX 200000

//  What a byte of the file is
typedef enum { BYTE_LMDB, BYTE_BLOCK, BYTE_RECORD, BYTE_KEY, BYTE_KINDS } byte_kind_t;

typedef enum { FLIP, ZERO_PAGE, NOISE_PAGE, SWAP_PAGES, CUT_OFF } damage_kind_t;

typedef struct {
    damage_kind_t kind;
    byte_kind_t where;                 //  of a flip
    uint32_t offset;                   //  byte, or page
    uint32_t other;                    //  bit, or page, or seed
} damage_t;

typedef enum {
    NO_VERDICT,
    HARMLESS,                          //  all is read as it was
    TOLD,                              //  some call gave an error, or verify () a finding
    SILENT,                            //  something is missing, and nobody said so
    WRONG,                             //  bytes that were never stored, or in another place
    CRASHED,
    HUNG,
    VERDICTS
} verdict_t;

//  What the store showed before the damage
typedef struct {
    zspool_spool_info_t spools [SPOOLS];
    zspool_cursor_info_t cursors [SPOOLS] [CURSORS];
    uint64_t messages [SPOOLS];        //  that can be read
} s_shown_t;

//  Shared with the child that looks
typedef struct {
    size_t next;                       //  damage to look at
    uint8_t verdicts [DAMAGES_MAX];
} s_progress_t;

typedef struct {
    kit_chance_t chance;
    uint8_t *image;                    //  the file, as far as it is used
    size_t size;
    off_t file_bytes;                  //  its length
    uint8_t *kinds;                    //  byte_kind_t of each byte
    damage_t *damages;
    size_t damages_count;
    s_shown_t shown;
    s_progress_t *progress;
} self_t;

//  ------------------------------------------------------------------------------------------------
//  A store with something of everything

static void
s_build (void)
{
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    for (uint32_t spool = 1; spool <= SPOOLS; spool++) {
        CHECK (kit_spool (store, spool == 1? "one": "two") == spool);
        CHECK (kit_cursor (store, spool, "first", 1) == 1
               && kit_cursor (store, spool, "second", 1) == 2);
        CHECK_OK (zspool_store_set_ceiling_window (store, spool, 10));
        for (int block = 0; block < 14; block++) {
            CHECK_OK (zspool_store_begin (store));
            store->chunked = block % 3 == 0;
            CHECK_OK (kit_try_append (store, spool, 5, block % 2? 60: 900 + 100 * (size_t) block));
            CHECK_OK (zspool_store_commit (store));
        }
        kit_ack (store, spool, 1, 1, 12);
        kit_ack (store, spool, 2, 1, 23);
        kit_ack (store, spool, 1, 31, 33);
        kit_ack (store, spool, 2, 42, 42);
    }
    //  An unclean stop, so that there are gaps.
    zspool_store_keep_ceilings (store);
    zspool_store_destroy (&store);
    store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    kit_append (store, 1, 3, 200);
    kit_append (store, 2, 3, 5000);
    zspool_store_destroy (&store);
}

//  Where the database's file is mapped
static const uint8_t *
s_find_map (void)
{
    FILE *maps = fopen ("/proc/self/maps", "r");
    char line [4096];
    unsigned long start = 0;
    while (maps && fgets (line, sizeof line, maps))
        if (strstr (line, "/data.mdb") && start == 0)
            sscanf (line, "%lx", &start);
    CHECK (maps && start);
    fclose (maps);
    return (const uint8_t *) start;
}

static void
s_mark (self_t *self, const uint8_t *map, zspool_bytes_t bytes, byte_kind_t kind)
{
    size_t offset = (size_t) (bytes.data - map);
    CHECK (offset + bytes.size <= self->size);
    memset (self->kinds + offset, (int) kind, bytes.size);
}

static void
s_mark_table (self_t *self, zspool_txn_t *txn, zspool_table_t table, byte_kind_t kind)
{
    const uint8_t *map = s_find_map ();
    zspool_iter_t *iter = NULL;
    zspool_bytes_t key, value;
    CHECK_OK (zspool_iter_open (txn, table, &iter));
    while (zspool_iter_next (iter, &key, &value) == ZSPOOL_OK) {
        s_mark (self, map, key, BYTE_KEY);
        s_mark (self, map, value, kind);
    }
    zspool_iter_close (&iter);
}

//  Read the file, and find out what each byte is.
static void
s_load (self_t *self)
{
    zspool_txn_t *txn;
    zspool_table_t state;
    zspool_engine_t *engine = kit_engine_begin (KIT_STORE, &txn, &state);
    size_t file_bytes;
    self->image = kit_read_file (DATA, &file_bytes);
    self->file_bytes = (off_t) file_bytes;
    self->size = zspool_engine_used_bytes (engine);
    CHECK (self->size <= file_bytes);
    self->kinds = (uint8_t *) zmalloc (self->size);
    s_mark_table (self, txn, state, BYTE_RECORD);
    for (uint32_t spool = 1; spool <= SPOOLS; spool++)
        s_mark_table (self, txn, kit_engine_blocks (engine, spool), BYTE_BLOCK);
    zspool_engine_close (&engine);
}

//  ------------------------------------------------------------------------------------------------
//  Looking

//  Read a spool. Gives the number of messages, or minus a code of an error; *wrong becomes true
//  when something is read that was never stored so.
static int64_t
s_read (zspool_store_t *store, uint32_t spool, bool *told, bool *wrong)
{
    zspool_reader_t *reader = zspool_reader_new (store, spool);
    zspool_block_t *block = NULL;
    int64_t count = 0;
    uint64_t last = 0;
    int rc = reader? ZSPOOL_OK: ZSPOOL_EIO;
    while (rc == ZSPOOL_OK || rc == ZSPOOL_ECORRUPT || rc == ZSPOOL_EVERSION) {
        *told = *told || rc != ZSPOOL_OK;
        rc = zspool_reader_next (reader, &block);
        if (rc != ZSPOOL_OK)
            continue;
        zspool_record_t record;
        zspool_frame_t frame;
        uint8_t expected [8192];
        zspool_block_rewind (block, &record);
        *wrong = *wrong || zspool_block_first_sequence (block) <= last;
        while (zspool_block_next (block, &record)) {
            bool found = zspool_record_next_frame (&record, &frame);
            CHECK (frame.size >= KIT_MESSAGE_BYTES_MIN && frame.size <= sizeof expected);
            kit_fill (expected, frame.size, record.sequence);
            *wrong = *wrong || !found || memcmp (expected, frame.data, frame.size) != 0;
            count++;
        }
        last = zspool_block_last_sequence (block);
        zspool_block_destroy (&block);
    }
    *told = *told || rc != ZSPOOL_ENOENT;
    zspool_reader_destroy (&reader);
    return count;
}

//  Look at everything a store shows. True: some call said that something is wrong.
static bool
s_look (s_shown_t *shown, bool *wrong)
{
    memset (shown, 0, sizeof *shown);
    zspool_store_t *store = zspool_store_new (KIT_STORE);
    bool told = zspool_store_open (store, ZSPOOL_READ) != ZSPOOL_OK;
    for (size_t at = 0; !told && at < SPOOLS; at++) {
        zspool_spool_info_t *info = &shown->spools [at];
        told = told || zspool_store_spool_info (store, at, info) != ZSPOOL_OK;
        for (size_t cursor = 0; !told && cursor < CURSORS; cursor++)
            told = zspool_store_cursor_info (store, info->id, cursor, &shown->cursors [at] [cursor])
                   != ZSPOOL_OK;
        if (!told)
            shown->messages [at] = (uint64_t) s_read (store, info->id, &told, wrong);
    }
    told = zspool_store_verify (store, NULL, NULL, NULL) != 0 || told;
    zspool_store_destroy (&store);
    return told;
}

static verdict_t
s_verdict (const self_t *self)
{
    s_shown_t shown;
    bool wrong = false, told = s_look (&shown, &wrong);
    if (wrong)
        return WRONG;
    if (told)
        return TOLD;
    return memcmp (&shown, &self->shown, sizeof shown) == 0? HARMLESS: SILENT;
}

//  ------------------------------------------------------------------------------------------------
//  Damaging

static void
s_put (int fd, const uint8_t *bytes, size_t size, size_t offset)
{
    CHECK (pwrite (fd, bytes, size, (off_t) offset) == (ssize_t) size);
}

static void
s_damage (const self_t *self, int fd, const damage_t *damage)
{
    uint8_t page [PAGE] = { 0 };
    kit_chance_t chance = damage->other;
    switch (damage->kind) {
    case FLIP:
        page [0] = self->image [damage->offset] ^ (uint8_t) (1 << damage->other);
        s_put (fd, page, 1, damage->offset);
        break;
    case NOISE_PAGE:
        for (size_t at = 0; at < PAGE; at++)
            page [at] = (uint8_t) kit_random (&chance);
        s_put (fd, page, PAGE, damage->offset * (size_t) PAGE);
        break;
    case ZERO_PAGE:
        s_put (fd, page, PAGE, damage->offset * (size_t) PAGE);
        break;
    case SWAP_PAGES:
        s_put (fd, self->image + damage->other * (size_t) PAGE, PAGE,
               damage->offset * (size_t) PAGE);
        s_put (fd, self->image + damage->offset * (size_t) PAGE, PAGE,
               damage->other * (size_t) PAGE);
        break;
    default:
        CHECK (ftruncate (fd, damage->offset) == 0);
    }
}

//  Make the file as it was.
static void
s_mend (const self_t *self, int fd, const damage_t *damage)
{
    switch (damage->kind) {
    case FLIP:
        s_put (fd, self->image + damage->offset, 1, damage->offset);
        break;
    case SWAP_PAGES:
        s_put (fd, self->image + damage->other * (size_t) PAGE, PAGE,
               damage->other * (size_t) PAGE);
        s_put (fd, self->image + damage->offset * (size_t) PAGE, PAGE,
               damage->offset * (size_t) PAGE);
        break;
    case CUT_OFF:
        s_put (fd, self->image, self->size, 0);
        CHECK (ftruncate (fd, self->file_bytes) == 0);
        break;
    default:
        s_put (fd, self->image + damage->offset * (size_t) PAGE, PAGE,
               damage->offset * (size_t) PAGE);
    }
}

//  In a child: damage, look, mend, until all is done or this process dies of it.
static void
s_look_at_rest (void *arg)
{
    self_t *self = (self_t *) arg;
    int fd = open (DATA, O_RDWR | O_CLOEXEC), nowhere = open ("/dev/null", O_WRONLY);
    CHECK (fd != -1 && dup2 (nowhere, STDERR_FILENO) != -1);
    while (self->progress->next < self->damages_count) {
        const damage_t *damage = &self->damages [self->progress->next];
        alarm (LIMIT_S);
        s_damage (self, fd, damage);
        verdict_t verdict = s_verdict (self);
        s_mend (self, fd, damage);
        self->progress->verdicts [self->progress->next++] = (uint8_t) verdict;
    }
}

static void
s_look_at_all (self_t *self)
{
    int fd = open (DATA, O_RDWR | O_CLOEXEC);
    CHECK (fd != -1);
    while (self->progress->next < self->damages_count) {
        int status = kit_run (s_look_at_rest, self);
        if (status == 0)
            break;
        size_t at = self->progress->next++;
        self->progress->verdicts [at] = status == -SIGALRM? HUNG: CRASHED;
        s_mend (self, fd, &self->damages [at]);
    }
    close (fd);
}

//  ------------------------------------------------------------------------------------------------
//  Tests

static void
s_setup (self_t *self)
{
    self->chance = kit_chance_new ();
    fault_skip_syncs ();
    s_build ();
    s_load (self);
    bool wrong = false, told = s_look (&self->shown, &wrong);
    CHECK (!wrong && !told);
    self->damages = (damage_t *) zmalloc (DAMAGES_MAX * sizeof (damage_t));
    self->progress = (s_progress_t *) mmap (NULL, sizeof *self->progress, PROT_READ | PROT_WRITE,
                                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK (self->progress != MAP_FAILED);
}

static void
s_add (self_t *self, damage_kind_t kind, byte_kind_t where, uint64_t offset, uint64_t other)
{
    if (self->damages_count < DAMAGES_MAX)
        self->damages [self->damages_count++] =
            (damage_t) { kind, where, (uint32_t) offset, (uint32_t) other };
}

static size_t
s_long (size_t count)
{
    const char *text = getenv ("ZSPOOL_LONG");
    return count * (text? strtoul (text, NULL, 10): 1);
}

//  So many flips in bytes of this kind
static void
s_add_flips (self_t *self, byte_kind_t kind, size_t flips)
{
    size_t there = 0;
    for (size_t offset = 0; offset < self->size; offset++)
        there += self->kinds [offset] == kind;
    CHECK (there > 0);
    while (flips > 0) {
        uint64_t offset = kit_below (&self->chance, self->size);
        //  Bytes that are rare in the file are looked for from there.
        while (self->kinds [offset] != kind)
            offset = (offset + 1) % self->size;
        s_add (self, FLIP, kind, offset, kit_below (&self->chance, 8));
        flips--;
    }
    printf ("%zu bytes of kind %d\n", there, (int) kind);
}

//  Flips where LMDB keeps what matters most to it: at the start of its pages, and in the two first.
static void
s_add_flips_of_heads (self_t *self, size_t flips)
{
    for (; flips > 0; flips--) {
        uint64_t page = kit_below (&self->chance, 4)? kit_below (&self->chance, self->size / PAGE):
                                                      kit_below (&self->chance, 2);
        uint64_t offset = page * PAGE + kit_below (&self->chance, page < 2? 160: 48);
        if (self->kinds [offset] == BYTE_LMDB)
            s_add (self, FLIP, BYTE_LMDB, offset, kit_below (&self->chance, 8));
    }
}

//  Print what was found, and give how many of each verdict there were.
static void
s_print (const self_t *self, size_t counts [VERDICTS])
{
    memset (counts, 0, VERDICTS * sizeof *counts);
    for (size_t at = 0; at < self->damages_count; at++) {
        const damage_t *damage = &self->damages [at];
        verdict_t verdict = (verdict_t) self->progress->verdicts [at];
        counts [verdict]++;
        if (verdict >= SILENT)
            printf ("damage %d at %u, %u: %s\n", (int) damage->kind, damage->offset, damage->other,
                    verdict == SILENT? "silent": verdict == WRONG? "wrong":
                    verdict == HUNG? "hung": "crashed");
    }
    printf ("%zu damages: %zu told, %zu harmless, %zu silent, %zu wrong, %zu crashed, %zu hung\n",
            self->damages_count, counts [TOLD], counts [HARMLESS], counts [SILENT], counts [WRONG],
            counts [CRASHED], counts [HUNG]);
}

//  Flips in what has a checksum: each one is told.
static void
s_check_all_told (byte_kind_t kind, size_t flips)
{
    static self_t self;
    size_t counts [VERDICTS];
    s_setup (&self);
    s_add_flips (&self, kind, s_long (flips));
    s_look_at_all (&self);
    s_print (&self, counts);
    CHECK_EQ_U64 (counts [TOLD], self.damages_count);
}

TEST_WITH_LIMIT (test_store_flips_in_blocks_are_always_told, 600)
{
    s_check_all_told (BYTE_BLOCK, 2000);
}

TEST_WITH_LIMIT (test_store_flips_in_records_are_always_told, 600)
{
    s_check_all_told (BYTE_RECORD, 1500);
}

TEST_WITH_LIMIT (test_store_flips_in_keys_are_always_told, 600)
{
    s_check_all_told (BYTE_KEY, 700);
}

//  Damage to LMDB's own pages: nothing wrong is delivered. The rest is counted.
TEST_WITH_LIMIT (test_store_flips_in_pages_of_lmdb_deliver_nothing_wrong, 600)
{
    static self_t self;
    size_t counts [VERDICTS];
    s_setup (&self);
    s_add_flips (&self, BYTE_LMDB, s_long (1500));
    s_add_flips_of_heads (&self, s_long (2000));
    s_look_at_all (&self);
    s_print (&self, counts);
    CHECK_EQ_U64 (counts [WRONG], 0);
}

TEST_WITH_LIMIT (test_store_pages_zeroed_swapped_or_cut_off_deliver_nothing_wrong, 600)
{
    static self_t self;
    size_t counts [VERDICTS];
    s_setup (&self);
    uint64_t pages = self.size / PAGE;
    for (uint64_t page = 0; page < pages; page++) {
        s_add (&self, ZERO_PAGE, BYTE_LMDB, page, 0);
        s_add (&self, NOISE_PAGE, BYTE_LMDB, page, kit_random (&self.chance));
        for (size_t turn = 0; turn < s_long (2); turn++)
            s_add (&self, SWAP_PAGES, BYTE_LMDB, page, kit_below (&self.chance, pages));
        s_add (&self, CUT_OFF, BYTE_LMDB, page * PAGE + kit_below (&self.chance, PAGE), 0);
    }
    s_look_at_all (&self);
    s_print (&self, counts);
    CHECK_EQ_U64 (counts [WRONG], 0);
}
