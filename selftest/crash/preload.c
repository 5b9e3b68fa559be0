//  preload.c - the recorder as a library that is preloaded into a device
//
//  SPDX-License-Identifier: MPL-2.0
//
//  recorder.py compiles it, together with interpose.c, fault.c and recording.c. The environment
//  says what to do: RECORD_FILE, the recording; RECORD_DIRECTORY, the store, absolute;
//  RECORD_SENDS, record what is sent, too; RECORD_PLANT, a number of fault_plant_t;
//  RECORD_SLOW_SYNC_US, how long each sync takes at least; RECORD_FAIL, "KIND AFTER ERROR": the
//  call of that kind (sync or write) behind so many others gives that errno.

#include "crash/fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static unsigned
s_number (const char *name)
{
    const char *text = getenv (name);
    return text? (unsigned) strtoul (text, NULL, 10): 0;
}

//  What RECORD_FAIL says
static void
s_plan_failure (void)
{
    const char *text = getenv ("RECORD_FAIL");
    char kind [16];
    unsigned after;
    int error;
    if (text && sscanf (text, "%15s %u %d", kind, &after, &error) == 3)
        fault_fail (strcmp (kind, "sync") == 0? FAULT_SYNC: FAULT_WRITE, after, 1, FAULT_BEFORE,
                    error);
}

__attribute__ ((constructor)) static void
s_start (void)
{
    const char *file = getenv ("RECORD_FILE"), *directory = getenv ("RECORD_DIRECTORY");
    if (!file || !directory)
        return;
    recording_t *recording = recording_open (file, true);
    if (!recording)
        abort ();
    //  What is there before the first process of this recording is on the disk.
    struct stat status;
    if (!recording_at (recording, 0) && stat (directory, &status) == 0)
        recording_add_directory (recording, directory);
    fault_watch (directory);
    fault_record (recording);
    if (getenv ("RECORD_SENDS"))
        fault_record_sends ();
    fault_plant ((fault_plant_t) s_number ("RECORD_PLANT"));
    s_plan_failure ();
    fault_slow_syncs (s_number ("RECORD_SLOW_SYNC_US"));
}
