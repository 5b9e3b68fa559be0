//  tune.c - settings of a process that suit a device
//
//  SPDX-License-Identifier: MPL-2.0

#include "tune.h"

#include <czmq.h>
#include <malloc.h>

//  LMDB asks malloc for the pages of each block and gives them back at the commit: keep some,
//  rather than have the kernel clear them anew a thousand times a second. Small messages are made
//  in one thread and freed in another: the fast bins spare that most of its locks. And what comes
//  in and what goes out have an I/O thread each.
void
tune_process (void)
{
    mallopt (M_MMAP_THRESHOLD, 4 * 1024 * 1024);
    mallopt (M_TRIM_THRESHOLD, 16 * 1024 * 1024);
    mallopt (M_MXFAST, 160);
    zsys_set_io_threads (2);
}
