//  memory.h - stands before malloc () and its kin for lib/, actors/ and LMDB
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef MEMORY_H_INCLUDED
#define MEMORY_H_INCLUDED

//  Count and fail LMDB's allocations, too (FAULT_MEMORY in fault.h). Gives how many of its
//  functions are watched: 0 where that is not possible.
int
    memory_watch_lmdb (void);

#endif
