#!/usr/bin/python3
#  test_makefile_lists_all.py - Makefile.am names every source file, so that none is forgotten
#
#  SPDX-License-Identifier: MPL-2.0

import os
import pathlib
import sys

FOLDERS = ["include", "lib", "actors", "tools", "examples", "bench", "bindings", "selftest"]

top = pathlib.Path(os.environ["ZSPOOL_SRCDIR"])
makefile = (top / "Makefile.am").read_text()
listed = set(makefile.split())
sources = [str(path.relative_to(top)) for folder in FOLDERS for path in (top / folder).rglob("*.*")
           if path.suffix in (".c", ".h", ".py", ".sh")]


def is_listed(name):
    """A program of one source is named without its suffix; scripts may be in a folder that is named."""
    folder = not name.endswith((".c", ".h")) and str(pathlib.PurePath(name).parent) in listed
    return folder or name in listed or name.removesuffix(".c") in listed


missing = [name for name in sorted(sources) if not is_listed(name)]
for name in missing:
    print(f"Makefile.am does not name {name}")
whole = [name for name in makefile.partition("EXTRA_DIST =")[2].split()
         if (top / name).is_dir() and any((top / name).rglob("*.c"))]
for name in whole:
    print(f"Makefile.am names {name} as a whole: a release would hold its objects")
print(len(sources), "sources")
sys.exit(bool(missing) or bool(whole) or not sources)
