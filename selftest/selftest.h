//  selftest.h - what a test needs: TEST, CHECK, SKIP and helpers to wait and to run the command
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A test is written once, and registers itself:
//
//      TEST (test_block_empty_cannot_be_sealed)
//      {
//          ...
//          CHECK_EQ_I64 (zspool_block_seal (block), ZSPOOL_EINVAL);
//      }
//
//  It runs in a process and an empty working directory of its own; both, and all processes it
//  started, are gone afterwards. It passes when it returns. What it prints is shown when it fails.

#ifndef SELFTEST_H_INCLUDED
#define SELFTEST_H_INCLUDED

#include "zspool_store.h"
#include <czmq.h>

#define SELFTEST_LIMIT_S 60            //  seconds a test may take
#define SELFTEST_WAIT_MS 10000         //  usual deadline of the waiting helpers: an error when reached
#define SELFTEST_EXIT_SKIP 77          //  exit status of a test that was skipped

//  Whether the program was built with --enable-tsan
#if defined(__SANITIZE_THREAD__)
#define SELFTEST_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SELFTEST_TSAN 1
#endif
#endif
#ifndef SELFTEST_TSAN
#define SELFTEST_TSAN 0
#endif

//  Size of the memory map for stores that tests open: the thread sanitizer leaves no room for a
//  large one.
#define SELFTEST_MAP_BYTES (SELFTEST_TSAN? 1ULL << 30: ZSPOOL_MAP_BYTES)

//  One test: a function, or a script when `script` is not NULL
typedef struct selftest {
    const char *name;
    void (*function) (void);
    const char *script;                //  path of an executable
    unsigned limit_s;                  //  killed after that many seconds
    struct selftest *next;             //  in order of registration
} selftest_t;

void
    selftest_register (selftest_t *test);

#define TEST(name) TEST_WITH_LIMIT (name, SELFTEST_LIMIT_S)

//  A test that may take another number of seconds
#define TEST_WITH_LIMIT(test_name, seconds)                                                        \
    static void test_name (void);                                                                  \
    __attribute__ ((constructor)) static void register_##test_name (void)                          \
    {                                                                                              \
        static selftest_t test = {                                                                 \
            .name = #test_name, .function = test_name, .limit_s = seconds };                        \
        selftest_register (&test);                                                                 \
    }                                                                                              \
    static void test_name (void)

//  Each ends the test when it does not hold, and prints place and values. Any thread may use them.
#define CHECK(condition)                                                                           \
    ((condition)? (void) 0: selftest_fail (__FILE__, __LINE__, "%s", #condition))
#define CHECK_EQ_I64(actual, expected)                                                             \
    selftest_check_i64 (__FILE__, __LINE__, #actual, actual, expected)
#define CHECK_EQ_U64(actual, expected)                                                             \
    selftest_check_u64 (__FILE__, __LINE__, #actual, actual, expected)
#define CHECK_EQ_STR(actual, expected)                                                             \
    selftest_check_str (__FILE__, __LINE__, #actual, actual, expected)
#define CHECK_EQ_MEM(actual, actual_size, expected, expected_size)                                 \
    selftest_check_mem (__FILE__, __LINE__, #actual, actual, actual_size, expected, expected_size)
//  A call that returns a code of zspool_error_t
#define CHECK_OK(call) selftest_check_code (__FILE__, __LINE__, #call, call, ZSPOOL_OK)
#define CHECK_CODE(call, expected) selftest_check_code (__FILE__, __LINE__, #call, call, expected)

//  End the test: it cannot run here, and why
#define SKIP(reason) selftest_skip (reason)

_Noreturn void
    selftest_fail (const char *file, int line, const char *format, ...) CHECK_PRINTF (3);
_Noreturn void
    selftest_skip (const char *reason);
void
    selftest_check_i64 (const char *file, int line, const char *what, int64_t actual,
                        int64_t expected);
void
    selftest_check_u64 (const char *file, int line, const char *what, uint64_t actual,
                        uint64_t expected);
void
    selftest_check_str (const char *file, int line, const char *what, const char *actual,
                        const char *expected);
void
    selftest_check_mem (const char *file, int line, const char *what, const void *actual,
                        size_t actual_size, const void *expected, size_t expected_size);
void
    selftest_check_code (const char *file, int line, const char *what, int actual, int expected);

//  Milliseconds of the monotonic clock
int64_t
    selftest_now_ms (void);

//  Wait until a file descriptor, or a socket of CZMQ or libzmq, can be read. The test fails when
//  that does not happen within SELFTEST_WAIT_MS.
void
    selftest_wait_fd (int fd);
void
    selftest_wait_socket (void *socket);

//  Wait until a condition holds that no descriptor tells, looking again every millisecond; the test
//  fails after SELFTEST_WAIT_MS.
#define WAIT_UNTIL(condition)                                                                      \
    for (int64_t until_ms = selftest_now_ms () + SELFTEST_WAIT_MS; !(condition); zclock_sleep (1)) \
        CHECK (selftest_now_ms () < until_ms && #condition)

//  An endpoint on a TCP port of 127.0.0.1 that nobody uses now: for a device that must come back at
//  the same place; otherwise bind to "tcp://127.0.0.1:*". The string belongs to the caller (free
//  ()).
char *
    selftest_free_endpoint (void);

//  Path of a file of the source tree, given relative to its top. The caller frees it.
char *
    selftest_source_path (const char *path);

//  A run of the `zspool` command
typedef struct {
    pid_t pid;
    int input;                         //  its standard input; -1 when closed
    int output;                        //  its standard output
} selftest_command_t;

//  Start the command with these arguments, up to a NULL: selftest_command_start (&self, "info",
//  dir, NULL). Standard error is the test's.
void
    selftest_command_start (selftest_command_t *self, ...) __attribute__ ((sentinel));

//  Read one line of its output, without the newline. Fails the test when none comes in time.
void
    selftest_command_read_line (selftest_command_t *self, char *line, size_t size);

//  Send it a signal (0: none), wait for its end and give its exit status, or minus the number of
//  the signal that ended it. Fails the test when it does not end in time.
int
    selftest_command_wait (selftest_command_t *self, int signal);

#endif
