#!/usr/bin/python3
#  test_folders.py - each folder includes only what it may look at (see ARCHITECTURE.md)
#
#  SPDX-License-Identifier: MPL-2.0

import os
import pathlib
import re
import sys

#  For each folder: those whose headers it may include
MAY_INCLUDE = {
    "include": ["include"],
    "lib": ["lib", "include"],
    "actors": ["actors", "lib", "include"],
    "tools": ["tools", "include"],
    "examples": ["include"],
}
SOCKETS = {"czmq.h", "zmq.h", "zspool.h", "zspool_control.h", "zspool_device.h"}  #  not in lib/; the last three include czmq.h
DATABASE = {"lmdb.h"}                                         #  nowhere but in:
DATABASE_ONLY_IN = "lib/store_lmdb.c"

top = pathlib.Path(os.environ["ZSPOOL_SRCDIR"])
include = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
homes = {header.name: folder for folder in MAY_INCLUDE for header in (top / folder).glob("*.h")}
errors = 0
files = 0


def error(source, header, why):
    global errors
    errors += 1
    print(f"{source.relative_to(top)} includes {header}: {why}")


for folder, allowed in MAY_INCLUDE.items():
    for source in sorted((top / folder).rglob("*.[ch]")):
        files += 1
        for header in include.findall(source.read_text()):
            name = pathlib.PurePath(header).name
            home = homes.get(name)
            if home and home not in allowed:
                error(source, header, f"{folder}/ may not look into {home}/")
            if header.startswith("."):
                error(source, header, "headers are named without a path")
            if folder == "lib" and name in SOCKETS:
                error(source, header, "lib/ knows no socket")
            if name in DATABASE and str(source.relative_to(top)) != DATABASE_ONLY_IN:
                error(source, header, f"only {DATABASE_ONLY_IN} knows the database")

print(files, "files,", errors, "errors")
sys.exit(errors > 0 or files == 0)
