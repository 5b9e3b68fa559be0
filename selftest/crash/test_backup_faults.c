//  test_backup_faults.c - a backup while the power goes, or a call fails: it is whole, or not there
//
//  SPDX-License-Identifier: MPL-2.0

#include "crash/disk.h"
#include "crash/fault.h"
#include "crash/memory.h"
#include "zspool_backup.h"

#include <sys/stat.h>

#define MESSAGES 60
#define AREA "area"                    //  where backups go; it is there before
#define DONE 1                         //  tag of the note behind a backup

static void
s_setup (void)
{
    fault_skip_syncs ();
    zspool_store_t *store = kit_open (KIT_STORE, ZSPOOL_WRITE);
    uint32_t spool = kit_spool (store, "main");
    kit_cursor (store, spool, "main", 1);
    for (int block = 0; block < MESSAGES / 6; block++)
        kit_append (store, spool, 6, 2000);
    zspool_store_destroy (&store);
    CHECK (mkdir (AREA, 0700) == 0);
}

static int
s_back_up (bool compact)
{
    char reason [ZSPOOL_BACKUP_REASON_BYTES] = "";
    zspool_backup_options_t options = { .compact = compact };
    int rc = zspool_backup (KIT_STORE, AREA "/copy", &options, reason);
    if (rc)
        CHECK (*reason);
    return rc;
}

static bool
s_exists (const char *path)
{
    struct stat status;
    return stat (path, &status) == 0;
}

static void
s_check_whole (const char *path)
{
    zspool_store_t *store = kit_open (path, ZSPOOL_WRITE);
    kit_check_sound (store);
    CHECK_EQ_U64 (kit_read (store, 1, 1), MESSAGES);
    CHECK_EQ_U64 (kit_cursor_info (store, 1, 1).pending, MESSAGES);
    kit_append (store, 1, 1, 100);
    zspool_store_destroy (&store);
}

//  ---- power

static recording_t *
s_record (fault_plant_t plant)
{
    recording_t *recording = recording_new ();
    char *area = disk_path (AREA);
    CHECK (recording);
    recording_add_directory (recording, area);
    fault_plant (plant);
    fault_watch (AREA);
    fault_record (recording);
    CHECK_OK (s_back_up (plant == PLANT_NOTHING));
    recording_add (recording, RECORD_NOTE, DONE, "", NULL, 0);
    fault_record (NULL);
    disk_check_recording (recording, AREA "/copy");
    //  A call that does nothing, so that there is a cut behind the note
    recording_add (recording, RECORD_UNLINK, 0, "/nowhere", NULL, 0);
    free (area);
    return recording;
}

//  Every disk that a cut may leave
static void
s_check_cuts (void *arg)
{
    const recording_t *recording = (const recording_t *) arg;
    char *area = disk_path (AREA);
    kit_chance_t chance = kit_chance_new ();
    size_t count, disks = 0, whole = 0;
    disk_cut_t *cuts = disk_cuts (recording, &count);
    for (size_t index = 0; index < count; index++)
        for (int turn = 0; turn < 4; turn++, disks++) {
            uint64_t position = cuts [index].position;
            disk_print_cut (recording, &cuts [index]);
            disk_remove ("cut");
            disk_make (recording, position, area, "cut", &chance);
            bool done = disk_last_note (recording, position, DONE) != NULL;
            if (done || s_exists ("cut/copy")) {
                s_check_whole ("cut/copy");
                whole++;
            }
        }
    printf ("%zu cuts, %zu disks, %zu have the backup\n", count, disks, whole);
    free (cuts);
    free (area);
}

static void
s_check_plant_is_found (fault_plant_t plant)
{
    s_setup ();
    recording_t *recording = s_record (plant);
    CHECK_EQ_I64 (kit_run (s_check_cuts, recording), 1);
}

TEST_WITH_LIMIT (test_backup_cut_off_at_any_call_is_whole_or_not_there, 300)
{
    s_setup ();
    recording_t *recording = s_record (PLANT_NOTHING);
    s_check_cuts (recording);
}

TEST_WITH_LIMIT (test_backup_planted_sync_left_out_is_found, 300)
{
    s_check_plant_is_found (PLANT_SYNC_LEFT_OUT);
}

TEST_WITH_LIMIT (test_backup_planted_directory_sync_left_out_is_found, 300)
{
    s_check_plant_is_found (PLANT_DIRECTORY_SYNC_LEFT_OUT);
}

//  ---- faults

static void
s_check_each_call (fault_kind_t kind, fault_way_t way, int error)
{
    fault_watch (AREA);
    CHECK_OK (s_back_up (false));
    unsigned calls = fault_calls (kind), failed = 0;
    for (unsigned after = 0; after < calls; after++) {
        CHECK (system ("rm -rf " AREA "/*") == 0);
        printf ("fault at call %u of %u\n", after, calls);
        fault_watch (AREA);
        fault_fail (kind, after, 1, way, error);
        int rc = s_back_up (false);
        fault_fail (kind, 0, 0, way, 0);
        failed += rc != ZSPOOL_OK;
        if (rc == ZSPOOL_OK)
            s_check_whole (AREA "/copy");
        else
            //  But for its last sync, which comes behind its name.
            CHECK (!s_exists (AREA "/copy") || kind == FAULT_SYNC || kind == FAULT_OPEN);
    }
    printf ("%u calls, %u failed\n", calls, failed);
    CHECK (system ("rm -rf " AREA "/*") == 0);
}

TEST_WITH_LIMIT (test_backup_any_call_failing_leaves_nothing_or_all, 300)
{
    s_setup ();
    s_check_each_call (FAULT_WRITE, FAULT_BEFORE, EIO);
    s_check_each_call (FAULT_WRITE, FAULT_BEFORE, ENOSPC);
    s_check_each_call (FAULT_WRITE, FAULT_HALF, 0);
    s_check_each_call (FAULT_SYNC, FAULT_BEFORE, EIO);
    s_check_each_call (FAULT_TRUNCATE, FAULT_BEFORE, ENOSPC);
    s_check_each_call (FAULT_OPEN, FAULT_BEFORE, EMFILE);
    memory_watch_lmdb ();
    s_check_each_call (FAULT_MEMORY, FAULT_BEFORE, ENOMEM);
}
