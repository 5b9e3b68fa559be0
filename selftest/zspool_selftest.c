//  zspool_selftest.c - runs the tests of zspool: functions in this program, and scripts beside its
//  sources
//
//  SPDX-License-Identifier: MPL-2.0
//
//  Scripts are the executables selftest/<folder>/test_*.sh and test_*.py. Exit status 0 is a pass,
//  77 a skip (the last line printed says why), anything else a failure.

#include "crash/power_cut_tool.h"
#include "runner.h"

#include <getopt.h>
#include <glob.h>

#define SCRIPT_LIMIT_S 300 //  seconds a script may take

static selftest_t *s_first;
static selftest_t **s_end = &s_first;
static size_t s_count;

//  Runs before main ()
void
selftest_register (selftest_t *test)
{
    *s_end = test;
    s_end = &test->next;
    s_count++;
}

//  Find the scripts; they are named by their path below selftest/.
static void
s_register_scripts (void)
{
    char *folder = selftest_source_path ("selftest/");
    char *pattern = zsys_sprintf ("%s*/test_*.{py,sh}", folder);
    glob_t found;
    if (glob (pattern, GLOB_BRACE, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            selftest_t *test = (selftest_t *) zmalloc (sizeof *test);
            test->script = strdup (found.gl_pathv [i]);
            test->name = test->script + strlen (folder);
            test->limit_s = SCRIPT_LIMIT_S;
            selftest_register (test);
        }
        globfree (&found);
    }
    zstr_free (&pattern);
    zstr_free (&folder);
}

//  What the tests find in their environment; a caller may have set it otherwise.
static void
s_export_environment (void)
{
    setenv ("ZSPOOL_SRCDIR", SELFTEST_SRCDIR, 0);
    setenv ("ZSPOOL_BUILDDIR", SELFTEST_BUILDDIR, 0);
    setenv ("ZSPOOL_BIN", SELFTEST_BUILDDIR "/tools/zspool", 0);
    setenv ("ZSPOOL_QUEUE_OPTIONS", SELFTEST_TSAN? "--map 1G": "", 0);
    setenv ("ZSPOOL_SELFTEST", SELFTEST_BUILDDIR "/selftest/zspool_selftest", 0);
    setenv ("PYTHONDONTWRITEBYTECODE", "1", 0);
    selftest_export_sanitizer_options ();
}

static void
s_help (void)
{
    puts ("zspool_selftest [options]");
    puts ("  -l, --list          list the tests, with their numbers");
    puts ("  -t, --test NAME     run the test NAME, or all with NAME in their names");
    puts ("  -n, --number [N]    run the test with number N; without N, print how many there are");
    puts ("  -j, --jobs N        run N tests at a time (default 2)");
    puts ("  -L, --limit S       give every test S seconds, not its own limit");
    puts ("  -v, --verbose       print what passing tests print, too");
    puts ("  -h, --help          this text");
    puts ("  --power-cut ...     make disks as power cuts leave them, for scripts; must come first");
    puts ("Environment: TMPDIR; ZSPOOL_BIN, ZSPOOL_SRCDIR, ZSPOOL_BUILDDIR: what to test;");
    puts ("ZSPOOL_QUEUE_OPTIONS: what scripts give to `zspool queue` beside their own options");
}

static _Noreturn void
s_bad_usage (const char *problem)
{
    fprintf (stderr, "zspool_selftest: %s; see --help\n", problem);
    exit (2);
}

//  The number in an option's value
static unsigned
s_parse_number (const char *text, unsigned max)
{
    char *end;
    unsigned long value = strtoul (text, &end, 10);
    if (end == text || *end || value < 1 || value > max)
        s_bad_usage ("a number is out of range");
    return (unsigned) value;
}

typedef struct {
    runner_options_t run;
    const char *name; //  --test, or NULL
    size_t number;    //  --number N, or 0
    bool list;
    bool print_count;
} options_t;

static void
s_parse_options (options_t *options, int argc, char **argv)
{
    static const struct option known [] = {
        { "list", no_argument, NULL, 'l' },         { "test", required_argument, NULL, 't' },
        { "number", optional_argument, NULL, 'n' }, { "jobs", required_argument, NULL, 'j' },
        { "limit", required_argument, NULL, 'L' },  { "verbose", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 }
    };
    int option;
    while ((option = getopt_long (argc, argv, "lt:n::j:L:vh", known, NULL)) != -1)
        switch (option) {
        case 'l': options->list = true; break;
        case 't': options->name = optarg; break;
        case 'n':
            //  getopt takes an optional value only when it is attached.
            if (!optarg && optind < argc && argv [optind][0] != '-')
                optarg = argv [optind++];
            options->print_count = !optarg;
            options->number = optarg? s_parse_number (optarg, 1000000): 0;
            break;
        case 'j': options->run.jobs = s_parse_number (optarg, RUNNER_JOBS_MAX); break;
        case 'L': options->run.limit_s = s_parse_number (optarg, 86400); break;
        case 'v': options->run.verbose = true; break;
        case 'h': s_help (); exit (0);
        default: exit (2);
        }
    if (optind < argc)
        s_bad_usage ("unexpected argument");
}

//  Keep the test of that name, or else every test with that text in its name.
static size_t
s_select_name (selftest_t **tests, size_t count, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (streq (tests [i]->name, name)) {
            tests [0] = tests [i];
            return 1;
        }
        if (strstr (tests [i]->name, name))
            tests [kept++] = tests [i];
    }
    return kept;
}

//  Keep the tests that the options ask for.
static size_t
s_select (selftest_t **tests, size_t count, const options_t *options)
{
    if (options->number > count)
        return 0;
    if (options->number) {
        tests [0] = tests [options->number - 1];
        count = 1;
    }
    return options->name? s_select_name (tests, count, options->name): count;
}

int
main (int argc, char **argv)
{
    options_t options = { .run.jobs = 2 };
    if (argc > 1 && streq (argv [1], "--power-cut"))
        return power_cut_main (argc - 2, argv + 2);
    s_parse_options (&options, argc, argv);
    s_export_environment ();
    s_register_scripts ();
    if (options.print_count) {
        printf ("%zu\n", s_count);
        return 0;
    }

    size_t count = 0;
    selftest_t **tests = (selftest_t **) zmalloc (s_count * sizeof *tests);
    for (selftest_t *test = s_first; test; test = test->next) {
        tests [count++] = test;
        if (options.list)
            printf ("%zu\t%s\n", count, test->name);
    }
    int status = 0;
    if (!options.list) {
        count = s_select (tests, count, &options);
        if (count == 0)
            s_bad_usage ("no test selected");
        status = runner_run (tests, count, &options.run);
    }
    free (tests);
    return status;
}
