//  fault.h - makes the system's calls fail that write a store, and records what they write
//
//  SPDX-License-Identifier: MPL-2.0
//
//  interpose.c and interpose_names.c define the calls by which files are changed (pwrite, fsync,
//  open, ...) in this program, and so also LMDB, a shared library, calls them there; memory.c
//  stands before malloc () for lib/, actors/ and LMDB. They do what they always do until a test
//  says otherwise, for the files below one directory. Each test has a process of its own, hence
//  settings of its own; forked children inherit them.

#ifndef FAULT_H_INCLUDED
#define FAULT_H_INCLUDED

#include "crash/recording.h"

#include <sys/types.h>

typedef enum {
    FAULT_WRITE,                       //  write, pwrite, writev, pwritev
    FAULT_SYNC,                        //  fsync, fdatasync, syncfs
    FAULT_ALLOCATE,                    //  fallocate
    FAULT_TRUNCATE,                    //  ftruncate
    FAULT_OPEN,                        //  open, openat, mkdir
    FAULT_MAP,                         //  mmap of a file
    FAULT_READ,                        //  pread
    FAULT_MEMORY,                      //  malloc, calloc, realloc, strdup, posix_memalign
    FAULT_KINDS
} fault_kind_t;

//  How a call fails
typedef enum {
    FAULT_BEFORE,                      //  nothing is done
    FAULT_HALF,                        //  half of it is written, and that is told: only for writes
    FAULT_AFTER,                       //  all is done, and an error told
    FAULT_KILL,                        //  half of it is written, if it is a write; then SIGKILL
    FAULT_KILL_AFTER,                  //  all is written, not synced, even with O_DSYNC; SIGKILL
    FAULT_LIE                          //  nothing is done, and success told: only for syncs
} fault_way_t;

//  Faults of a store, as if it had been written wrongly, to see whether they are found
typedef enum {
    PLANT_NOTHING,
    PLANT_SYNC_LEFT_OUT,               //  files are not synced; directories are, and O_DSYNC is
    PLANT_DSYNC_LEFT_OUT,              //  O_DSYNC is ignored
    PLANT_DIRECTORY_SYNC_LEFT_OUT,     //  directories are never synced
    PLANT_META_BEFORE_DATA             //  a commit's sync comes behind the write through O_DSYNC
} fault_plant_t;

//  Look at the files below this directory, which need not exist yet; calls are counted from here.
void
    fault_watch (const char *directory);

//  Let `times` calls fail, after so many that do not. 0 times: none any more.
void
    fault_fail (fault_kind_t kind, unsigned after, unsigned times, fault_way_t way, int error);

//  Calls since fault_watch (), whether they failed or not
unsigned
    fault_calls (fault_kind_t kind);

//  Record the calls on the files watched; NULL: no more.
void
    fault_record (recording_t *recording);

//  Record what is sent through sockets, too.
void
    fault_record_sends (void);

//  Let no call sync anything or reserve space, but say that it did: a simulation needs no disk.
void
    fault_skip_syncs (void);

//  Let each sync take so long, microseconds.
void
    fault_slow_syncs (unsigned us);

void
    fault_plant (fault_plant_t plant);

//  Fail no memory in between, as tests need some for themselves. Calls nest.
void
    fault_pause_memory (void);
void
    fault_resume_memory (void);

//  ---- for watched.c, interpose.c and memory.c

typedef struct {
    unsigned calls;
    unsigned after;                    //  calls that succeed first
    unsigned times;                    //  calls that fail then
    fault_way_t way;
    int error;
} fault_plan_t;

//  Count a call; gives the plan when it is to fail, else NULL.
const fault_plan_t *
    fault_count (fault_kind_t kind);

//  Whether there is a directory to look at
bool
    fault_is_watching (void);

//  Whether a path, absolute, is the directory or lies below it; whether the directory lies in it
bool
    fault_is_watched (const char *path);
bool
    fault_is_parent (const char *path);

typedef struct {
    recording_t *recording;            //  or NULL
    bool sends;
    bool skip_syncs;
    unsigned slow_sync_us;
    fault_plant_t plant;
} fault_settings_t;

const fault_settings_t *
    fault_settings (void);

#endif
