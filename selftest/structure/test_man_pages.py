#!/usr/bin/python3
#  test_man_pages.py - each command has a manual page, with the options that it takes and no others
#
#  SPDX-License-Identifier: MPL-2.0

import os
import pathlib
import re
import shutil
import subprocess
import sys

top = pathlib.Path(os.environ["ZSPOOL_SRCDIR"])
pages = top / "doc"
ALL = {"help", "version"}       #  options of every command, in zspool.1
errors = 0


def error(text):
    global errors
    errors += 1
    print(text)


def run(*arguments):
    return subprocess.run([os.environ["ZSPOOL_BIN"], *arguments], check=False, capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, timeout=60)


def text_of(page):
    """A page; one of a single request `.so man1/OTHER` stands for the other."""
    text = page.read_text()
    other = re.fullmatch(r"\.so man1/(\S+)\n", text)
    return text_of(pages / other[1]) if other else text


def check_options(command, text, page):
    """Options of the help are those of the page and its synopsis, and the command knows each."""
    usage, _, rest = text.partition("\n\n")
    options = set(re.findall(r"--([a-z][a-z-]+)", usage))
    for line in re.findall(r"^ +(--[a-z].*?)(?:  |$)", rest, re.MULTILINE):
        options |= set(re.findall(r"--([a-z][a-z-]+)", line))
    if not ALL <= options:
        error(f"zspool {command} --help leaves out --help or --version")
    explained = set(re.findall(r"^\.It Fl -([a-z][a-z-]+)", page, re.MULTILINE))
    synopsis = page.partition(".Sh SYNOPSIS\n")[2].partition("\n.Sh ")[0]
    shown = set(re.findall(r"\bFl -([a-z][a-z-]+)", synopsis))
    for name in options - ALL - explained:
        error(f"doc/zspool-{command}.1 does not explain --{name}")
    for name in options - ALL - shown:
        error(f"doc/zspool-{command}.1 has no --{name} in its synopsis")
    for name in (explained | shown) - options - ALL:
        error(f"zspool {command} --help does not tell of --{name}, which the page has")
    for name in options - ALL:
        if "unknown" in run(command, f"--{name}", "1", "--help").stderr:
            error(f"zspool {command} does not know its --{name}")
    source = top / "tools" / f"{command}.c"
    if source.exists():
        known = re.findall(r'\{ "([a-z-]+)", (?:no|required|optional)_argument', source.read_text())
        for name in set(known) - options:
            error(f"zspool {command} --help does not tell of --{name}")
    return len(options)


listed = set((top / "Makefile.am").read_text().split())
overview = (pages / "zspool.1").read_text()
commands = re.findall(r"^  ([a-z]+) ", run("--help").stdout, re.MULTILINE)
option_count = 0
for command in commands:
    page = pages / f"zspool-{command}.1"
    if not page.exists():
        error(f"zspool {command} has no page {page.relative_to(top)}")
        continue
    if overview.count(f"Xr zspool-{command} 1") < 2:
        error(f"doc/zspool.1 does not list zspool-{command} among commands and in SEE ALSO")
    help_text = run(command, "--help")
    if help_text.returncode != 0 or help_text.stderr:
        error(f"zspool {command} --help: status {help_text.returncode}, {help_text.stderr!r}")
    option_count += check_options(command, help_text.stdout, text_of(page))

names = {page.stem for page in pages.glob("*.1")}
for name in names:
    if f"doc/{name}.1" not in listed:
        error(f"Makefile.am does not name doc/{name}.1")
for name in names - {"zspool"} - {f"zspool-{command}" for command in commands}:
    error(f"doc/{name}.1 is of no command")

for page in sorted(pages.glob("*.1")):
    for name in re.findall(r"^\.Xr (zspool\S*) 1", page.read_text(), re.MULTILINE):
        if name not in names:
            error(f"{page.relative_to(top)} points to {name}(1), which is not there")

if shutil.which("mandoc"):
    for page in sorted(pages.glob("*.1")):
        if page.read_text().startswith(".so "):
            continue
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], check=False,
                              capture_output=True, text=True).stdout
        for line in lint.splitlines():
            error(line)

print(len(commands), "commands,", len(names), "pages,", option_count, "options,", errors, "errors")
sys.exit(errors > 0 or not commands or not option_count)
