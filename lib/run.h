//  run.h - a run: records of consecutive messages, one behind the other, as a block holds them and
//  ZSP carries them
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A run has no header: who hands it on says beside how many messages it has. The layout of a
//  record is in block.c.

#ifndef ZSPOOL_RUN_H_INCLUDED
#define ZSPOOL_RUN_H_INCLUDED

#include "block.h"

//  Check that `size` bytes are exactly `count` whole records without flags, each with at most
//  frames_max frames and bytes_max bytes of data; with_properties: they may have properties.
//  ECORRUPT; ETOOBIG: one is over a limit; EVERSION: flags that are not known.
int
    zspool_run_check (const void *records, size_t size, uint32_t count, size_t frames_max, size_t bytes_max,
                      bool with_properties);

//  Iterate over a run that has been checked: set the record to zeros before the first; give the
//  run's first sequence, or 0. False behind the last.
bool
    zspool_run_next (const void *records, size_t size, uint64_t first_sequence, zspool_record_t *record);

//  Append the last `count` messages of a run, which are those from number `from` on, to a block that
//  is being filled: the first of them that it has room for, also in its index. The run has been
//  checked. Returns how many.
uint32_t
    zspool_block_append_run (zspool_block_t *self, const void *records, size_t size, uint32_t from,
                             uint32_t count, int64_t arrival_us);

//  Where the bytes of a record begin, and end: what lies between two of these in one block is a run.
const uint8_t *
    zspool_record_begin (const zspool_record_t *record);
const uint8_t *
    zspool_record_end (const zspool_record_t *record);

//  All records of a block, sealed or being filled, as a run of so many bytes.
const uint8_t *
    zspool_block_records (const zspool_block_t *self, size_t *size);

#endif
