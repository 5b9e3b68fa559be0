//  stop.h - SIGINT and SIGTERM as something to poll
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The first signal asks the command to end in good order; after it both signals have their default
//  action again, so a second one ends the process at once.

#ifndef STOP_H_INCLUDED
#define STOP_H_INCLUDED

#include <stdbool.h>

//  Catch the signals, and keep CZMQ from doing so. Call it before any socket or thread is made. -1
//  and errno when the system refuses.
int
    stop_init (void);

//  A descriptor that is readable from the first signal on.
int
    stop_fd (void);

//  True from the first signal on.
bool
    stop_requested (void);

#endif
