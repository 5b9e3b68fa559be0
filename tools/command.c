//  command.c - options, values, one-line errors, standard output
//
//  SPDX-License-Identifier: MPL-2.0

#include "command.h"
#include "zspool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *s_name = "zspool";  //  of the command, for errors
static const char *s_option_name = ""; //  of the option parsed last
static int s_write_error;              //  errno of the first failure to write standard output

void
command_set_name (const char *name)
{
    s_name = name;
}

int
command_flush (void)
{
    if (fflush (stdout) == 0)
        return 0;
    if (!s_write_error)
        s_write_error = errno;
    return -1;
}

static void
s_report (const char *format, va_list arguments) __attribute__ ((format (printf, 1, 0)));

static void
s_report (const char *format, va_list arguments)
{
    command_flush ();
    fprintf (stderr, "%s: ", s_name);
    vfprintf (stderr, format, arguments);
    fputc ('\n', stderr);
}

void
command_report (const char *format, ...)
{
    va_list arguments;
    va_start (arguments, format);
    s_report (format, arguments);
    va_end (arguments);
}

void
command_usage (const char *format, ...)
{
    va_list arguments;
    va_start (arguments, format);
    s_report (format, arguments);
    va_end (arguments);
    exit (COMMAND_USAGE);
}

//  getopt_long () refused an option: say what is wrong with it.
static void __attribute__ ((noreturn))
s_refuse_option (const char *argument, const struct option *options)
{
    if (strncmp (argument, "--", 2) != 0)
        command_usage ("unknown option -%c", optopt);

    int length = (int) strcspn (argument, "=");
    for (const struct option *option = options; option->name; option++)
        if (option->val == optopt && option->has_arg == no_argument && argument [length] == '=')
            command_usage ("%.*s takes no value", length, argument);
    command_usage ("unknown or ambiguous option %.*s", length, argument);
}

int
command_option (int argc, char **argv, const struct option *options, const char *help)
{
    int index = 0;
    opterr = 0;
    int value = getopt_long (argc, argv, ":h", options, &index);
    switch (value) {
    case 'h':
        fputs (help, stdout);
        exit (command_end (COMMAND_OK));
    case 'V':
        printf ("zspool %s\n", zspool_version ());
        exit (command_end (COMMAND_OK));
    case ':':
        command_usage ("%s needs a value", argv [optind - 1]);
    case '?':
        s_refuse_option (argv [optind - 1], options);
    default:
        s_option_name = options [index].name;
        return value;
    }
}

const char *
command_option_name (void)
{
    return s_option_name;
}

//  Parse digits only: no sign, no space. Stores where they end; false when there are none or too
//  many.
static bool
s_parse_digits (const char *text, const char **end, uint64_t *number)
{
    if (*text < '0' || *text > '9')
        return false;
    *number = 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        uint64_t digit = (uint64_t) (*text - '0');
        if (*number > (UINT64_MAX - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    *end = text;
    return true;
}

uint64_t
command_number (uint64_t min, uint64_t max)
{
    uint64_t number;
    const char *end;
    if (!s_parse_digits (optarg, &end, &number) || *end || number < min || number > max)
        command_usage ("--%s takes a number from %" PRIu64 " to %" PRIu64 ", not '%s'",
                       s_option_name, min, max, optarg);
    return number;
}

uint64_t
command_size (uint64_t min, uint64_t max)
{
    static const char suffixes [] = "KMGTkmgt";
    uint64_t size;
    const char *end;
    bool valid = s_parse_digits (optarg, &end, &size);
    if (valid && *end) {
        const char *suffix = strchr (suffixes, *end);
        unsigned shift = suffix? 10 * ((unsigned) (suffix - suffixes) % 4 + 1): 0;
        valid = suffix && end [1] == 0 && size <= UINT64_MAX >> shift;
        size <<= shift;
    }
    if (!valid || size < min || size > max)
        command_usage ("--%s takes bytes from %" PRIu64 " to %" PRIu64
                       ", with or without a suffix K, M, G or T, not '%s'",
                       s_option_name, min, max, optarg);
    return size;
}

const char *
command_text (void)
{
    if (!*optarg)
        command_usage ("--%s needs a value, not an empty one", s_option_name);
    return optarg;
}

int
command_hex_digit (char digit)
{
    static const char digits [] = "0123456789abcdef0123456789ABCDEF";
    const char *found = digit? strchr (digits, digit): NULL;
    return found? (int) (found - digits) % 16: -1;
}

//  Decode one escape, standing behind its backslash; gives the byte, or -1, and moves *text behind
//  it.
static int
s_decode_escape (const char **text)
{
    char letter = **text;
    if (letter == 0)
        return -1;
    (*text)++;
    switch (letter) {
    case 't': return '\t';
    case 'n': return '\n';
    case 'r': return '\r';
    case '0': return 0;
    case '\\': return '\\';
    case 'x': break;
    default: return -1;
    }
    int high = command_hex_digit ((*text) [0]);
    int low = high < 0? -1: command_hex_digit ((*text) [1]);
    if (low < 0)
        return -1;
    *text += 2;
    return high * 16 + low;
}

const char *
command_bytes (size_t *size)
{
    const char *value = command_text ();
    char *to = optarg;
    for (const char *from = optarg; *from;) {
        int byte = (unsigned char) *from++;
        if (byte == '\\')
            byte = s_decode_escape (&from);
        if (byte < 0)
            command_usage ("--%s knows the escapes \\t \\n \\r \\0 \\\\ and \\xHH only",
                           s_option_name);
        *to++ = (char) byte;
    }
    *size = (size_t) (to - optarg);
    return value;
}

const char *
command_operand (int argc, char **argv, const char *what)
{
    if (optind >= argc)
        command_usage ("%s is missing (see %s --help)", what, s_name);
    if (optind + 1 < argc)
        command_usage ("unexpected argument '%s'", argv [optind + 1]);
    if (!*argv [optind])
        command_usage ("%s needs a value, not an empty one", what);
    return argv [optind];
}

const char *
command_operands (int argc, char **argv, const char *what, const char *what_second, const char **second)
{
    if (optind >= argc)
        command_usage ("%s is missing (see %s --help)", what, s_name);
    const char *first = argv [optind++];
    if (!*first)
        command_usage ("%s needs a value, not an empty one", what);
    *second = command_operand (argc, argv, what_second);
    return first;
}

const char *
command_operands_3 (int argc, char **argv, const char *what, const char *what_second, const char **second,
                    const char *what_third, const char **third)
{
    if (optind >= argc)
        command_usage ("%s is missing (see %s --help)", what, s_name);
    const char *first = argv [optind++];
    if (!*first)
        command_usage ("%s needs a value, not an empty one", what);
    *second = command_operands (argc, argv, what_second, what_third, third);
    return first;
}

void
command_report_write (const char *name, int error)
{
    if (error != EPIPE)
        command_report ("cannot write %s: %s", name, strerror (error));
}

int
command_end (int status)
{
    bool failed = command_flush () != 0 || ferror (stdout);
    if (fclose (stdout) != 0 && !failed) {
        s_write_error = errno;
        failed = true;
    }
    if (!failed)
        return status;
    command_report_write ("standard output", s_write_error? s_write_error: EIO);
    return status == COMMAND_OK? COMMAND_FAILED: status;
}

int64_t
command_clock_us (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}
