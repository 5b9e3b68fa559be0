//  command.h - what every subcommand of zspool needs: options, values, one-line errors, standard
//  output
//
//  SPDX-License-Identifier: MPL-2.0
//
//  A subcommand is a function that takes its own arguments (argv [0] is its name) and returns an
//  exit status. Bad usage is found before anything is opened, so it ends the process at once. For
//  the main thread only.

#ifndef COMMAND_H_INCLUDED
#define COMMAND_H_INCLUDED

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_OK 0     //  exit status: done
#define COMMAND_FAILED 1 //  something in the world failed
#define COMMAND_USAGE 2  //  the command line is wrong

#define COMMAND_HWM_MAX 1000000    //  largest high-water mark, messages
#define COMMAND_HWM 1000           //  usual one
#define COMMAND_MS_MAX 86400000    //  longest time that can be given, milliseconds: a day

//  Ends every table of options
#define COMMAND_OPTIONS_END \
    { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { NULL, 0, NULL, 0 }

//  The subcommands: each in a file of its own
int
    queue_main (int argc, char **argv);
int
    stream_main (int argc, char **argv);
int
    run_main (int argc, char **argv);
int
    backup_main (int argc, char **argv);
int
    push_main (int argc, char **argv);
int
    pull_main (int argc, char **argv);
int
    put_main (int argc, char **argv);
int
    get_main (int argc, char **argv);
int
    pub_main (int argc, char **argv);
int
    replay_main (int argc, char **argv);
int
    sub_main (int argc, char **argv);
int
    info_main (int argc, char **argv);
int
    cursor_main (int argc, char **argv);
int
    dead_main (int argc, char **argv);
int
    dump_main (int argc, char **argv);
int
    salvage_main (int argc, char **argv);
int
    verify_main (int argc, char **argv);
int
    bench_main (int argc, char **argv);
int
    status_main (int argc, char **argv);
int
    top_main (int argc, char **argv);
int
    pause_main (int argc, char **argv);
int
    resume_main (int argc, char **argv);
int
    flush_main (int argc, char **argv);

//  Name the command as errors shall show it, e.g. "zspool push". The string is borrowed.
void
    command_set_name (const char *name);

//  Print one line "NAME: TEXT" on standard error.
void
    command_report (const char *format, ...) __attribute__ ((format (printf, 1, 2)));

//  The same for bad usage, then exit with status 2.
void
    command_usage (const char *format, ...) __attribute__ ((format (printf, 1, 2), noreturn));

//  Give the `val` of the next option, -1 when there are no more; its value is in optarg. Answers
//  --help (with the text `help`) and --version, and exits on an option that is unknown or lacks its
//  value.
int
    command_option (int argc, char **argv, const struct option *options, const char *help);

//  Name of the option that command_option () gave last, without the dashes.
const char *
    command_option_name (void);

//  Its value as a whole number, or as bytes with an optional suffix K, M, G or T (powers of 1024);
//  exits when it is not one or not within min..max.
uint64_t
    command_number (uint64_t min, uint64_t max);
uint64_t
    command_size (uint64_t min, uint64_t max);

//  Its value, which must not be empty.
const char *
    command_text (void);

//  Its value as 1 byte or more, written with \t \n \r \0 \\ and \xHH for what is awkward to type;
//  stores their number. Decoded in place.
const char *
    command_bytes (size_t *size);

//  The value of a hexadecimal digit, or -1.
int
    command_hex_digit (char digit);

//  Give the one operand behind the options; exits when there is none, or another. `what` names it.
const char *
    command_operand (int argc, char **argv, const char *what);

//  Give the two operands behind the options likewise; the second in *second.
const char *
    command_operands (int argc, char **argv, const char *what, const char *what_second,
                      const char **second);

//  The same for three.
const char *
    command_operands_3 (int argc, char **argv, const char *what, const char *what_second, const char **second,
                        const char *what_third, const char **third);

//  Hand what was printed on standard output to the system; -1 when that fails, which command_end ()
//  will report.
int
    command_flush (void);

//  Print this process's standard output to its end and give the status to exit with: `status`, or
//  COMMAND_FAILED with a line of error when it cannot be written (no line when its reader has
//  gone).
int
    command_end (int status);

//  Report that NAME cannot be written because of `error` (errno); silent when its reader has gone.
void
    command_report_write (const char *name, int error);

//  Microseconds of a clock that only goes forward.
int64_t
    command_clock_us (void);

#endif
