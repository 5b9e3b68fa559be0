#!/usr/bin/python3
#  test_makefile_lists_all.py - Makefile.am names every source file, so that none is forgotten
#
#  SPDX-License-Identifier: MPL-2.0

import os
import pathlib
import sys

FOLDERS = ["include", "lib", "actors", "tools", "examples", "bench", "selftest"]

top = pathlib.Path(os.environ["ZSPOOL_SRCDIR"])
listed = set((top / "Makefile.am").read_text().split())
sources = [str(path.relative_to(top)) for folder in FOLDERS for path in (top / folder).rglob("*.[ch]")]

#  A program of one source is named without its suffix.
missing = [name for name in sorted(sources) if name not in listed and name.removesuffix(".c") not in listed]
for name in missing:
    print(f"Makefile.am does not name {name}")
print(len(sources), "sources")
sys.exit(bool(missing) or not sources)
