//  recording.h - a log of every call by which a process changes its disk, in the order of the calls
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The log lies in memory that processes share, or in a file: it outlives whoever is killed while
//  writing it. A record is begun before its call and ended after it, so that a cut may fall into a
//  call. Used within this program and by the library that is preloaded into a device; needs nothing
//  else of ours.
//
//  Threads: any may add records. One process at a time.

#ifndef RECORDING_H_INCLUDED
#define RECORDING_H_INCLUDED

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    RECORD_WRITE = 1,                  //  any call that writes bytes into a file
    RECORD_TRUNCATE,                   //  sets a file's size to `offset`
    RECORD_ALLOCATE,                   //  reserves `size` bytes from `offset`; see `grows`
    RECORD_SYNC,                       //  of a file or a directory; everything when `file` is 0
    RECORD_CREATE,                     //  a file or a directory got a name
    RECORD_RENAME,                     //  from `path` to the path that is the data
    RECORD_UNLINK,                     //  also of a directory
    RECORD_UNKNOWN,                    //  a call whose effect nobody here can tell; data: its name
    RECORD_SEND,                       //  bytes given to a socket
    RECORD_NOTE                        //  of a test: what it then knew; `file` is the note's tag
} record_kind_t;

//  One call. The path, with its zero, and the data follow it.
typedef struct {
    uint32_t kind;                     //  record_kind_t; 0: begun, and not filled in
    uint8_t durable;                   //  when the call returns (O_DSYNC), or before all
    uint8_t grows;                     //  ALLOCATE: the file's size, too
    uint8_t is_directory;
    uint8_t lost;                      //  WRITE: failed on its way; no later sync tries it again
    uint64_t bytes;                    //  of the record with all that follows it, a multiple of 8
    uint64_t done;                     //  position when the call had returned; 0: it never did
    int64_t result;                    //  of the call, bytes or 0; -1: it failed
    uint64_t file;                     //  inode number; of SEND the socket's
    uint64_t offset;
    uint64_t size;
    uint32_t path_bytes;
    uint32_t data_bytes;
} record_t;

typedef struct recording recording_t;

//  Create a log in memory that is shared with processes forked later. NULL when there is none.
recording_t *
    recording_new (void);

//  Open the log in a file, or for writing create it.
recording_t *
    recording_open (const char *path, bool create);

//  Unmap it; sets *self_p to NULL.
void
    recording_destroy (recording_t **self_p);

//  Begin a record: bytes are copied. Ends the process when the log is full.
record_t *
    recording_begin (recording_t *self, record_kind_t kind, uint64_t file, uint64_t offset,
                     uint64_t size, const char *path, const void *data, size_t data_bytes);

//  The call has returned.
void
    recording_end (recording_t *self, record_t *record, int64_t result);

//  Both, for what succeeded.
record_t *
    recording_add (recording_t *self, record_kind_t kind, uint64_t file, const char *path,
                   const void *data, size_t data_bytes);

//  Add what a directory holds, as durable.
void
    recording_add_directory (recording_t *self, const char *path);

//  Iterate: the record at or behind a position (0: the first), NULL behind the last. Its own
//  position, and that behind it.
const record_t *
    recording_at (const recording_t *self, uint64_t position);
uint64_t
    recording_position (const recording_t *self, const record_t *record);
uint64_t
    recording_end_position (const recording_t *self);

const char *
    record_path (const record_t *record);
const uint8_t *
    record_data (const record_t *record);

//  A short name for a kind
const char *
    record_name (const record_t *record);

#endif
