//  stop.c - SIGINT and SIGTERM as something to poll
//
//  SPDX-License-Identifier: MPL-2.0
//
//  The handler writes a byte to a pipe. There is no SA_RESTART: a blocked read or write ends with
//  EINTR.

#include "stop.h"

#include <czmq.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static int s_pipe [2] = { -1, -1 };       //  read end, write end
static atomic_int s_requested; //  a signal came

static void
s_handle_signal (int number)
{
    (void) number;
    int saved_errno = errno;
    s_requested = 1;
    signal (SIGINT, SIG_DFL);
    signal (SIGTERM, SIG_DFL);
    ssize_t written = write (s_pipe [1], "", 1);
    (void) written;
    errno = saved_errno;
}

int
stop_init (void)
{
    zsys_handler_set (NULL);
    if (pipe (s_pipe) != 0)
        return -1;
    fcntl (s_pipe [0], F_SETFD, FD_CLOEXEC);
    fcntl (s_pipe [1], F_SETFD, FD_CLOEXEC);

    struct sigaction action;
    memset (&action, 0, sizeof action);
    action.sa_handler = s_handle_signal;
    sigemptyset (&action.sa_mask);
    sigaddset (&action.sa_mask, SIGINT);
    sigaddset (&action.sa_mask, SIGTERM);
    if (sigaction (SIGINT, &action, NULL) != 0 || sigaction (SIGTERM, &action, NULL) != 0)
        return -1;
    return 0;
}

int
stop_fd (void)
{
    return s_pipe [0];
}

bool
stop_requested (void)
{
    return s_requested != 0;
}
