//  fault.h - makes the system's calls fail that write a store, and notes what they write
//
//  SPDX-License-Identifier: MPL-2.0
//
//  This program defines pwrite, writev, fsync, fdatasync and fallocate itself, and so also LMDB, a shared
//  library, calls them here. They do what they always do until a test says otherwise, for the files below
//  one directory. Each test has a process of its own, hence settings of its own.

#ifndef FAULT_H_INCLUDED
#define FAULT_H_INCLUDED

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    FAULT_WRITE,                       //  pwrite, writev
    FAULT_SYNC,                        //  fsync, fdatasync
    FAULT_ALLOCATE,                    //  fallocate
    FAULT_KINDS
} fault_kind_t;

//  How a call fails
typedef enum {
    FAULT_BEFORE,                      //  nothing is done
    FAULT_HALF,                        //  half of it is written, and that is told: only for writes
    FAULT_AFTER,                       //  all is done, and an error told
    FAULT_KILL                         //  half of it is written, if it is a write; then SIGKILL
} fault_way_t;

//  Look at the files below this directory, which need not exist yet; calls are counted from here.
void
    fault_watch (const char *directory);

//  Let `times` calls fail, after so many that do not. 0 times: none any more.
void
    fault_fail (fault_kind_t kind, unsigned after, unsigned times, fault_way_t way, int error);

//  Calls since fault_watch (), whether they failed or not
unsigned
    fault_calls (fault_kind_t kind);

//  One call that was let through
typedef struct {
    fault_kind_t kind;
    bool durable;                      //  a write through a descriptor that syncs each (O_DSYNC)
    bool is_database;                  //  on the file data.mdb
    uint64_t offset;                   //  of a write
    size_t size;                       //  of a write
    const uint8_t *bytes;              //  of a write
} fault_event_t;

//  Have every call reported, after it was made; NULL: no more.
typedef void (fault_observer_fn) (const fault_event_t *event, void *arg);
void
    fault_observe (fault_observer_fn *observer, void *arg);

#endif
