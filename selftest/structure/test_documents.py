#!/usr/bin/python3
#  test_documents.py - files, commands and options that the documents name are there
#
#  SPDX-License-Identifier: MPL-2.0

import os
import pathlib
import re
import subprocess
import sys

DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "doc/reliability.md"]
FOLDERS = ["include", "lib", "actors", "tools", "examples", "bench", "selftest", "doc"]
ARCHITECTURE_LINES_MAX = 160    #  two pages

top = pathlib.Path(os.environ["ZSPOOL_SRCDIR"])
files = {path.name for folder in FOLDERS for path in (top / folder).rglob("*")} | {path.name for path in top.iterdir()}
help_text = {"": subprocess.run([os.environ["ZSPOOL_BIN"], "--help"], check=True, capture_output=True,
                                text=True).stdout}
commands = re.findall(r"^  ([a-z]+) ", help_text[""], re.MULTILINE)
for command in commands:
    help_text[command] = subprocess.run([os.environ["ZSPOOL_BIN"], command, "--help"], check=True,
                                        capture_output=True, text=True).stdout
errors = 0
named = 0


def error(document, text):
    global errors
    errors += 1
    print(f"{document}: {text}")


for document in DOCUMENTS:
    text = (top / document).read_text()
    #  A path, or a name of one of the kinds of files that the sources have
    for name in re.findall(r"[`(]((?:[\w-]+/)*[\w-]+\.(?:c|h|py|sh|md|1))[`)\s]", text):
        named += 1
        there = (top / name).exists() or ("/" not in name and name in files)
        if not there and name not in ("lmdb.h", "czmq.h"):
            error(document, f"{name} is not there")
    for command, arguments in re.findall(r"\bzspool ([a-z]+)\b([^`|#\n]*)", text):
        if command not in commands:
            continue
        for option in re.findall(r" --([a-z][a-z-]+)", arguments):
            named += 1
            if f"--{option}" not in help_text[command]:
                error(document, f"zspool {command} has no --{option}")
    for command in re.findall(r"(?:^    |`)zspool ([a-z]+)\b", text, re.MULTILINE):
        named += 1
        if command not in commands:
            error(document, f"there is no zspool {command}")

lines = len((top / "ARCHITECTURE.md").read_text().splitlines())
if lines > ARCHITECTURE_LINES_MAX:
    error("ARCHITECTURE.md", f"{lines} lines are too many")
print(named, "names,", errors, "errors")
sys.exit(errors > 0 or not named or not commands)
