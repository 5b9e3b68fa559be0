//  preload.c - the recorder as a library that is preloaded into a device
//
//  SPDX-License-Identifier: MPL-2.0
//
//  recorder.py compiles it, together with interpose.c, fault.c and recording.c. The environment says what to do:
//  RECORD_FILE, the recording; RECORD_DIRECTORY, the store, absolute; RECORD_SENDS, record what is sent, too;
//  RECORD_PLANT, a number of fault_plant_t; RECORD_SLOW_SYNC_US, how long each sync takes at least.

#include "crash/fault.h"

#include <stdlib.h>
#include <sys/stat.h>

static unsigned
s_number (const char *name)
{
    const char *text = getenv (name);
    return text? (unsigned) strtoul (text, NULL, 10): 0;
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
    fault_slow_syncs (s_number ("RECORD_SLOW_SYNC_US"));
}
