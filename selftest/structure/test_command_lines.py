#!/usr/bin/python3
#  test_command_lines.py - whatever is wrong with a command line: exit status 2, and one line that names it
#
#  SPDX-License-Identifier: MPL-2.0
#
#  Takes commands and options from --help. `--help` at the end keeps what is right from running.

import os
import re
import subprocess
import sys

#  What a value is called that is not just any text
CHECKED = {"MS", "N", "SIZE", "SEQ", "S", "TIME", "LIST", "FORMAT", "KIND", "POLICY", "WHAT", "TYPE", "START",
           "DURATION", "NAME", "END", "FACTOR"}
MAY_BE_EMPTY = {"PREFIX", "FILTER"}
WRONG = ["", "nonsense", "-1", " 1", "99999999999999999999999999", "1.5T"]
errors = 0
runs = 0


def run(*arguments):
    global runs
    runs += 1
    return subprocess.run([os.environ["ZSPOOL_BIN"], *arguments], check=False, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=60)


def check(status, *arguments, names=""):
    """Run it: 2 and one line with the command's name, or 0 and no line."""
    global errors
    done = run(*arguments)
    said = done.stderr.decode(errors="replace")
    good = said.count("\n") == 1 and said.endswith("\n") if done.returncode else said == ""
    if done.returncode == 2:
        good = good and said.startswith("zspool") and names in said and not done.stdout
    if done.returncode not in status or not good:
        errors += 1
        print(f"zspool {arguments}: status {done.returncode}, {said!r}")


def options_of(text):
    """Names of the options of a help, with what their values are called, or None."""
    found = re.findall(r"^ +--([a-z][a-z-]*)(?: ([A-Z]+))?", text, re.MULTILINE)
    found += re.findall(r"--([a-z]+) ([A-Z]+)", text.partition("\n")[0])
    return [(name, value or None) for name, value in found if name != "help"]


commands = re.findall(r"^  ([a-z]+) ", run("--help").stdout.decode(), re.MULTILINE)
check({2})
check({2}, "nonsense", names="nonsense")
check({2}, "--nonsense", names="nonsense")
check({2}, "")
check({2}, "help", "nonsense", names="nonsense")
check({2}, "help", "info", "more", names="more")
check({0}, "help")
for command in commands:
    check({0}, "help", command)
    check({0}, command, "--help")
    check({0}, command, "--version")
    check({2}, command, "--nonsense", "--help", names="nonsense")
    check({2}, command, "-x", "--help", names="-x")
    check({2}, command, "--help=1", names="--help")
    #  No command takes so many operands.
    check({2}, command, "a", "b", "c", "d", "e", names="'")
    for name, value in options_of(run(command, "--help").stdout.decode()):
        option = f"--{name}"
        if not value:
            check({2}, command, option + "=1", "--help", names=option)
            continue
        check({2}, command, option, names=option)
        for wrong in WRONG:
            bad = value in CHECKED or (not wrong and value not in MAY_BE_EMPTY)
            check({2} if bad else {0, 2}, command, f"{option}={wrong}", "--help")

print(len(commands), "commands,", runs, "runs,", errors, "errors")
sys.exit(errors > 0 or not commands)
