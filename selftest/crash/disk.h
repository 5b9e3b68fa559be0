//  disk.h - makes the disk as it may be after a power cut, from a recording
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Whatever was synced is there. Of the rest any part: of a write any of its 512-byte sectors, of a
//  change of size all or nothing, of names that were given or taken away any, until their directory
//  was synced.
//
//  Threads: one.

#ifndef DISK_H_INCLUDED
#define DISK_H_INCLUDED

#include "crash/recording.h"
#include "lib/kit.h"

typedef struct {
    uint64_t position;                 //  in the recording
    uint64_t record;                   //  number of the call, from 0
    bool during;                       //  the power goes while the call is under way, else after it
} disk_cut_t;

//  The points at which power can go: during and after each call that changes the disk. The caller
//  frees the array.
disk_cut_t *
    disk_cuts (const recording_t *recording, size_t *count);

//  Make a disk as it may be after that cut, in a new directory: it becomes what stands at `root`
//  (absolute) in the recording. False when even that directory may be missing, and is.
bool
disk_make (const recording_t *recording, uint64_t position, const char *root, const char *directory,
           kit_chance_t *chance);

//  Remove a directory with all in it, if it is there.
void
    disk_remove (const char *directory);

//  Check that the recording, all of it, gives what is there now: so no write was missed. Fails the
//  test otherwise. Gives the number of calls recorded.
size_t
    disk_check_recording (const recording_t *recording, const char *root);

//  The last note with a tag before a position, or NULL.
const record_t *
    disk_last_note (const recording_t *recording, uint64_t position, uint64_t tag);

//  Absolute path of a name in the working directory. The caller frees it.
char *
    disk_path (const char *name);

//  Print which call a cut falls on.
void
    disk_print_cut (const recording_t *recording, const disk_cut_t *cut);

#endif
