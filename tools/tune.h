//  tune.h - settings of a process that suit a device; they hold for the whole of it
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TUNE_H_INCLUDED
#define TUNE_H_INCLUDED

//  Call it before the first socket.
void
    tune_process (void);

#endif
