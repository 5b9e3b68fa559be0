//  runner.c - runs tests, each in a process, a directory and a time limit of its own
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A job is one test under way: a process that leads a process group, a temporary directory, and a
//  file in memory that takes its output. This process has one thread, uses no ZeroMQ, and waits for
//  signals only.
//
//  Invariants
//  1. When a job has ended, every process of its group is dead and its directory is gone.
//  2. That holds too when this program is interrupted.
//  3. Orphans of a group become children of this process (a subreaper), so it can wait for their
//     end.

#include "runner.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define OUTPUT_SHOWN_MAX (128 * 1024) //  most bytes of a test's output that are printed: its end
#define REASON_MAX 120                //  longest reason of a skip, bytes
#define PATH_BYTES 4096

typedef struct {
    const selftest_t *test; //  NULL: this slot is free
    pid_t pid;              //  also of its process group
    int output;             //  file in memory
    char directory [PATH_BYTES];
    int64_t started_ms;
    int64_t deadline_ms;
    bool late; //  it was killed for its time limit
} job_t;

typedef struct {
    const runner_options_t *options;
    job_t jobs [RUNNER_JOBS_MAX];
    size_t running; //  slots in use
    size_t passed;
    size_t failed;
    size_t skipped;
    sigset_t signals;       //  those that are blocked, and waited for
    sigset_t usual_signals; //  those blocked before: what tests get
} self_t;

//  The world gives no process, memory or directory: no test can be run.
static _Noreturn void
s_give_up (const char *what)
{
    fprintf (stderr, "zspool_selftest: %s: %s\n", what, strerror (errno));
    exit (1);
}

//  ---- one job

//  In the new process: become the test
static _Noreturn void
s_job_main (const job_t *job, const sigset_t *signals)
{
    setpgid (0, 0);
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    sigprocmask (SIG_SETMASK, signals, NULL);
    int input = open ("/dev/null", O_RDONLY);
    dup2 (input, STDIN_FILENO);
    dup2 (job->output, STDOUT_FILENO);
    dup2 (job->output, STDERR_FILENO);
    close (input);
    setenv ("TMPDIR", job->directory, 1);
    if (chdir (job->directory) != 0)
        s_give_up (job->directory);
    if (job->test->script) {
        execl (job->test->script, job->test->script, (char *) NULL);
        s_give_up (job->test->script);
    }
    job->test->function ();
    exit (0);
}

static void
s_job_start (job_t *job, const selftest_t *test, unsigned limit_s, const sigset_t *signals)
{
    const char *parent = getenv ("TMPDIR");
    job->test = test;
    job->late = false;
    job->output = memfd_create ("output", MFD_CLOEXEC);
    if (job->output == -1)
        s_give_up ("memory for output");
    snprintf (job->directory, sizeof job->directory, "%s/zspool_selftest.XXXXXX",
              parent? parent: "/tmp");
    if (!mkdtemp (job->directory))
        s_give_up (job->directory);
    job->started_ms = selftest_now_ms ();
    job->deadline_ms = job->started_ms + (int64_t) limit_s * 1000;

    fflush (NULL);
    job->pid = fork ();
    if (job->pid == -1)
        s_give_up ("fork");
    if (job->pid == 0)
        s_job_main (job, signals);
    setpgid (job->pid, job->pid);
}

static bool
s_job_has_ended (const job_t *job)
{
    siginfo_t info = { 0 };
    return waitid (P_PID, (id_t) job->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0
           && info.si_pid == job->pid;
}

static int
s_remove_file (const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void) status;
    (void) type;
    (void) walk;
    return remove (path);
}

//  Leave nothing behind, and give the wait status of the test. Invariant 1.
static int
s_job_finish (job_t *job)
{
    int test_status = 0;
    int status;
    pid_t pid;
    kill (-job->pid, SIGKILL);
    while ((pid = waitpid (-job->pid, &status, 0)) > 0)
        if (pid == job->pid)
            test_status = status;
    if (nftw (job->directory, s_remove_file, 16, FTW_DEPTH | FTW_PHYS) != 0)
        fprintf (stderr, "zspool_selftest: cannot remove %s: %s\n", job->directory,
                 strerror (errno));
    return test_status;
}

//  ---- reports

//  Read the end of the output, as a string: at most size - 1 bytes.
static void
s_read_output (const job_t *job, char *text, size_t size)
{
    off_t bytes = lseek (job->output, 0, SEEK_END);
    off_t start = bytes < (off_t) size? 0: bytes - (off_t) size + 1;
    ssize_t got = pread (job->output, text, size - 1, start);
    text [got > 0? got: 0] = 0;
}

static void
s_print_output (const job_t *job)
{
    static char text [OUTPUT_SHOWN_MAX + 1];
    s_read_output (job, text, sizeof text);
    size_t length = strlen (text);
    printf ("%s%s", text, length && text [length - 1] != '\n'? "\n": "");
}

//  The last line of its output tells why a test was skipped.
static void
s_print_reason (const job_t *job)
{
    char text [REASON_MAX + 1];
    s_read_output (job, text, sizeof text);
    size_t length = strlen (text);
    while (length && text [length - 1] == '\n')
        text [--length] = 0;
    const char *newline = strrchr (text, '\n');
    printf (": %s", newline? newline + 1: text);
}

static void
s_report (self_t *self, const job_t *job, int status)
{
    double elapsed_s = (double) (selftest_now_ms () - job->started_ms) / 1000;
    bool passed = WIFEXITED (status) && WEXITSTATUS (status) == 0 && !job->late;
    bool skipped = WIFEXITED (status) && WEXITSTATUS (status) == SELFTEST_EXIT_SKIP && !job->late;
    const char *verdict = passed? "pass": skipped? "skip": "FAIL";

    printf ("%s  %7.3f s  %s", verdict, elapsed_s, job->test->name);
    if (skipped)
        s_print_reason (job);
    else if (job->late)
        printf (": not done in time");
    else if (WIFSIGNALED (status))
        printf (": %s", strsignal (WTERMSIG (status)));
    printf ("\n");
    if (self->options->verbose || !(passed || skipped))
        s_print_output (job);
    fflush (stdout);

    self->passed += passed;
    self->skipped += skipped;
    self->failed += !(passed || skipped);
}

//  ---- all jobs

static void
s_start_next (self_t *self, const selftest_t *test)
{
    job_t *job = self->jobs;
    while (job->test)
        job++;
    unsigned limit_s = self->options->limit_s? self->options->limit_s: test->limit_s;
    s_job_start (job, test, limit_s, &self->usual_signals);
    self->running++;
}

//  Wait until a child has ended, a deadline has passed or the run is interrupted; gives that
//  signal, or 0.
static int
s_wait (self_t *self)
{
    int64_t until_ms = INT64_MAX;
    for (size_t i = 0; i < RUNNER_JOBS_MAX; i++)
        if (self->jobs [i].test && self->jobs [i].deadline_ms < until_ms)
            until_ms = self->jobs [i].deadline_ms;
    int64_t left_ms = until_ms - selftest_now_ms ();
    if (left_ms < 0)
        left_ms = 0;
    struct timespec left = { .tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000 };
    int signal = sigtimedwait (&self->signals, NULL, &left);
    return signal == -1 || signal == SIGCHLD? 0: signal;
}

//  Finish the jobs that have ended or are late; all when interrupted.
static void
s_collect (self_t *self, bool interrupted)
{
    for (size_t i = 0; i < RUNNER_JOBS_MAX; i++) {
        job_t *job = &self->jobs [i];
        if (!job->test)
            continue;
        bool ended = s_job_has_ended (job);
        job->late = !ended && selftest_now_ms () >= job->deadline_ms;
        if (!ended && !job->late && !interrupted)
            continue;
        int status = s_job_finish (job);
        if (!interrupted)
            s_report (self, job, status);
        close (job->output);
        job->test = NULL;
        self->running--;
    }
}

int
runner_run (selftest_t *const *tests, size_t count, const runner_options_t *options)
{
    static self_t self;
    self.options = options;
    prctl (PR_SET_CHILD_SUBREAPER, 1);
    sigemptyset (&self.signals);
    sigaddset (&self.signals, SIGCHLD);
    sigaddset (&self.signals, SIGHUP);
    sigaddset (&self.signals, SIGINT);
    sigaddset (&self.signals, SIGPIPE);
    sigaddset (&self.signals, SIGTERM);
    sigprocmask (SIG_BLOCK, &self.signals, &self.usual_signals);

    int interrupt = 0;
    size_t next = 0;
    while ((next < count && !interrupt) || self.running) {
        while (next < count && self.running < options->jobs)
            s_start_next (&self, tests [next++]);
        interrupt = s_wait (&self);
        s_collect (&self, interrupt != 0);
    }
    if (interrupt) {
        fprintf (stderr, "zspool_selftest: %s\n", strsignal (interrupt));
        return 1;
    }
    printf ("%zu passed, %zu failed, %zu skipped\n", self.passed, self.failed, self.skipped);
    return self.failed? 1: 0;
}
