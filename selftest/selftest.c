//  selftest.c - the checks and helpers that tests call, in the test's own process
//
//  SPDX-License-Identifier: MPL-2.0

#include "selftest.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/wait.h>

#define COMMAND_ARGUMENTS_MAX 64

//  ---- checks

//  Without exit handlers: other threads may be running, and CZMQ would wait for them.
_Noreturn void
selftest_fail (const char *file, int line, const char *format, ...)
{
    fflush (stdout);
    fprintf (stderr, "%s:%d: failed: ", file, line);
    va_list args;
    va_start (args, format);
    vfprintf (stderr, format, args);
    va_end (args);
    fprintf (stderr, "\n");
    _exit (1);
}

_Noreturn void
selftest_skip (const char *reason)
{
    printf ("%s\n", reason);
    fflush (stdout);
    _exit (SELFTEST_EXIT_SKIP);
}

void
selftest_check_i64 (const char *file, int line, const char *what, int64_t actual, int64_t expected)
{
    if (actual != expected)
        selftest_fail (file, line, "%s is %" PRId64 ", not %" PRId64, what, actual, expected);
}

void
selftest_check_u64 (const char *file, int line, const char *what, uint64_t actual,
                    uint64_t expected)
{
    if (actual != expected)
        selftest_fail (file, line, "%s is %" PRIu64 ", not %" PRIu64, what, actual, expected);
}

void
selftest_check_str (const char *file, int line, const char *what, const char *actual,
                    const char *expected)
{
    if (!actual || !expected) {
        if (actual != expected)
            selftest_fail (file, line, "%s is %s, not %s", what, actual? actual: "NULL",
                           expected? expected: "NULL");
    }
    else if (strcmp (actual, expected) != 0)
        selftest_fail (file, line, "%s is \"%s\", not \"%s\"", what, actual, expected);
}

void
selftest_check_mem (const char *file, int line, const char *what, const void *actual,
                    size_t actual_size, const void *expected, size_t expected_size)
{
    if (actual_size != expected_size)
        selftest_fail (file, line, "%s has %zu bytes, not %zu", what, actual_size, expected_size);
    const uint8_t *a = (const uint8_t *) actual;
    const uint8_t *b = (const uint8_t *) expected;
    for (size_t i = 0; i < actual_size; i++)
        if (a [i] != b [i])
            selftest_fail (file, line, "%s has %02x at byte %zu of %zu, not %02x", what, a [i], i,
                           actual_size, b [i]);
}

void
selftest_check_code (const char *file, int line, const char *what, int actual, int expected)
{
    if (actual != expected)
        selftest_fail (file, line, "%s gave %d (%s), not %d (%s)", what, actual,
                       zspool_strerror (actual), expected, zspool_strerror (expected));
}

//  ---- waiting

int64_t
selftest_now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
selftest_wait_fd (int fd)
{
    struct pollfd item = { .fd = fd, .events = POLLIN };
    int64_t until_ms = selftest_now_ms () + SELFTEST_WAIT_MS;
    int rc;
    do {
        int64_t left_ms = until_ms - selftest_now_ms ();
        rc = poll (&item, 1, left_ms > 0? (int) left_ms: 0);
    } while (rc == -1 && errno == EINTR);
    CHECK (rc == 1);
}

void
selftest_wait_socket (void *socket)
{
    zmq_pollitem_t item = { .socket = zsock_resolve (socket), .events = ZMQ_POLLIN };
    CHECK (zmq_poll (&item, 1, SELFTEST_WAIT_MS) == 1);
}

//  ---- endpoints and files

char *
selftest_free_endpoint (void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK (fd != -1);
    CHECK (bind (fd, (struct sockaddr *) &address, size) == 0);
    CHECK (getsockname (fd, (struct sockaddr *) &address, &size) == 0);
    close (fd);
    return zsys_sprintf ("tcp://127.0.0.1:%d", ntohs (address.sin_port));
}

char *
selftest_source_path (const char *path)
{
    return zsys_sprintf ("%s/%s", getenv ("ZSPOOL_SRCDIR"), path);
}

//  ---- the command

void
selftest_command_start (selftest_command_t *self, ...)
{
    char *argv [COMMAND_ARGUMENTS_MAX + 1] = { getenv ("ZSPOOL_BIN") };
    CHECK (argv [0]);
    va_list args;
    va_start (args, self);
    size_t argc = 1;
    while ((argv [argc] = va_arg (args, char *)))
        CHECK (++argc <= COMMAND_ARGUMENTS_MAX);
    va_end (args);

    int input [2];
    int output [2];
    CHECK (pipe2 (input, O_CLOEXEC) == 0);
    CHECK (pipe2 (output, O_CLOEXEC) == 0);
    self->pid = fork ();
    CHECK (self->pid != -1);
    if (self->pid == 0) {
        dup2 (input [0], STDIN_FILENO);
        dup2 (output [1], STDOUT_FILENO);
        execv (argv [0], argv);
        selftest_fail (argv [0], 0, "cannot be run: %s", strerror (errno));
    }
    close (input [0]);
    close (output [1]);
    self->input = input [1];
    self->output = output [0];
}

void
selftest_command_read_line (selftest_command_t *self, char *line, size_t size)
{
    size_t length = 0;
    for (;;) {
        selftest_wait_fd (self->output);
        CHECK (length + 1 < size);
        CHECK (read (self->output, line + length, 1) == 1);
        if (line [length] == '\n')
            break;
        length++;
    }
    line [length] = 0;
}

int
selftest_command_wait (selftest_command_t *self, int signal)
{
    if (self->input != -1)
        close (self->input);
    if (signal)
        kill (self->pid, signal);
    int status = 0;
    WAIT_UNTIL (waitpid (self->pid, &status, WNOHANG) == self->pid);
    close (self->output);
    return WIFSIGNALED (status)? -WTERMSIG (status): WEXITSTATUS (status);
}
