//  tune.c - settings of a process that suit a device
//
//  SPDX-License-Identifier: MPL-2.0

#include "tune.h"

#include <czmq.h>
#include <malloc.h>
#include <sys/resource.h>

//  Each connection is a file: as many as the system allows, not only the 1024 that are usual.
static void
s_raise_files (void)
{
    struct rlimit files;
    if (getrlimit (RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit (RLIMIT_NOFILE, &files);
    }
}

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
    s_raise_files ();
    zsys_set_io_threads (2);
}
