//  test_store_power_cut.c - a store after a power cut: any part of what was written and not synced is gone
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The calls that write the database are noted while a store is worked on. Then, for each of them, files are
//  made as a disk may have them that lost power just then: all that was synced, and of the rest any pages.

#include "crash/fault.h"
#include "lib/kit.h"

#include <fcntl.h>
#include <sys/stat.h>

#define ROUNDS 9 
#define CUTS 4                         //  files made for each call
#define EVENTS_MAX 1000
#define FILE_BYTES_MAX (8 * 1024 * 1024)
#define PAGE 4096
#define CUT "cut"                      //  directory of the files made

//  What was committed
typedef struct {
    uint64_t appended;
    uint64_t acked;
} s_state_t;

typedef struct {
    bool is_sync;
    bool durable;
    uint64_t offset;
    size_t size;
    uint8_t *bytes;
    s_state_t confirmed;               //  when the call was made
    s_state_t candidate;               //  with the commit under way
} s_event_t;

static s_event_t s_events [EVENTS_MAX];
static size_t s_events_count;
static s_state_t s_confirmed;
static s_state_t s_candidate;

static void
s_note (const fault_event_t *event, void *arg)
{
    if (!event->is_database || event->kind == FAULT_ALLOCATE)
        return;
    CHECK (s_events_count < EVENTS_MAX);
    s_event_t *noted = &s_events [s_events_count++];
    noted->is_sync = event->kind == FAULT_SYNC;
    noted->durable = event->durable;
    noted->offset = event->offset;
    noted->size = event->size;
    noted->confirmed = s_confirmed;
    noted->candidate = s_candidate;
    if (event->size > 0) {
        CHECK (event->offset + event->size <= FILE_BYTES_MAX);
        noted->bytes = (uint8_t *) zmalloc (event->size);
        memcpy (noted->bytes, event->bytes, event->size);
    }
    (void) arg;
}

static void
s_commit (zspool_store_t *store, uint64_t appended, uint64_t acked)
{
    s_candidate.appended += appended;
    s_candidate.acked += acked;
    CHECK_OK (zspool_store_commit (store));
    s_confirmed = s_candidate;
}

//  Work on a store, with every call noted.
static void
s_work (void)
{
    fault_watch (KIT_STORE);
    fault_observe (s_note, NULL);
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "main", 1);
    for (int round = 0; round < ROUNDS; round++) {
        CHECK_OK (zspool_store_begin (store));
        store->chunked = round % 3 == 2;
        CHECK_OK (kit_try_append (store, spool, 4, 3000));
        CHECK_OK (kit_try_append (store, spool, 2, 20));
        if (round > 2)
            CHECK_OK (zspool_store_ack (store, spool, cursor, s_confirmed.acked + 1,
                                        s_confirmed.acked + 7));
        s_commit (store, 6, round > 2? 7: 0);
    }
    zspool_store_destroy (&store);
    fault_observe (NULL, NULL);
}

//  ---- files as a disk may have them

typedef struct {
    uint8_t bytes [FILE_BYTES_MAX];
    uint64_t size;
} s_file_t;

static void
s_put (s_file_t *file, const s_event_t *event, size_t from, size_t size)
{
    memcpy (file->bytes + event->offset + from, event->bytes + from, size);
    if (file->size < event->offset + from + size)
        file->size = event->offset + from + size;
}

//  Put any pages of a write that was not synced.
static void
s_put_some (s_file_t *file, const s_event_t *event, kit_chance_t *chance)
{
    uint64_t percent = kit_below (chance, 5) * 25;
    for (size_t from = 0, size; from < event->size; from += size) {
        size = PAGE - (event->offset + from) % PAGE;
        if (size > event->size - from)
            size = event->size - from;
        if (kit_below (chance, 100) < percent)
            s_put (file, event, from, size);
    }
}

//  What is on the disk when power is lost during the call `at`.
static void
s_make_file (s_file_t *file, size_t at, kit_chance_t *chance)
{
    memset (file, 0, sizeof *file);
    size_t synced = 0;
    for (size_t index = 0; index < at; index++)
        if (s_events [index].is_sync)
            synced = index;
    for (size_t index = 0; index <= at; index++) {
        const s_event_t *event = &s_events [index];
        if (event->is_sync)
            continue;
        if (index < synced || (event->durable && index < at))
            s_put (file, event, 0, event->size);
        else
            s_put_some (file, event, chance);
    }
}

static void
s_write_file (const s_file_t *file)
{
    CHECK (system ("rm -rf " CUT) == 0);
    CHECK (mkdir (CUT, 0700) == 0);
    int fd = open (CUT "/data.mdb", O_WRONLY | O_CREAT, 0600);
    CHECK (fd != -1);
    CHECK (pwrite (fd, file->bytes, file->size, 0) == (ssize_t) file->size);
    close (fd);
}

//  The store must open, be sound, and have what was confirmed, or that and the commit under way.
static void
s_check_file (const s_event_t *event)
{
    zspool_store_t *store = kit_open (CUT, ZSPOOL_WRITE);
    kit_check_sound (store);
    uint32_t spool = kit_spool (store, "main"), cursor = kit_cursor (store, spool, "main", 1);
    uint64_t appended = kit_spool_info (store, spool).last_sequence;
    uint64_t acked = kit_cursor_info (store, spool, cursor).floor;
    const s_state_t *is = &event->confirmed;
    if (appended != is->appended)
        is = &event->candidate;
    CHECK_EQ_U64 (appended, is->appended);
    CHECK_EQ_U64 (acked, is->acked);
    CHECK_EQ_U64 (kit_read (store, spool, acked + 1), appended - acked);
    kit_append (store, spool, 5, 1000);
    zspool_store_destroy (&store);
}

TEST (test_store_power_cut_at_any_call_leaves_what_was_confirmed)
{
    static s_file_t file;
    kit_chance_t chance = kit_chance_new ();
    s_work ();
    size_t checked = 0;
    for (size_t at = 0; at < s_events_count; at++)
        for (int cut = 0; cut < CUTS; cut++) {
            s_make_file (&file, at, &chance);
            s_write_file (&file);
            s_check_file (&s_events [at]);
            checked++;
        }
    printf ("%zu calls, %zu files\n", s_events_count, checked);
    CHECK (s_events_count > ROUNDS * 3);
}
