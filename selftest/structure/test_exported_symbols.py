#!/usr/bin/python3
#  test_exported_symbols.py - the shared library exports what the public headers declare, and nothing else
#
#  SPDX-License-Identifier: MPL-2.0

import os
import pathlib
import re
import subprocess
import sys

headers = pathlib.Path(os.environ["ZSPOOL_SRCDIR"], "include")
library = pathlib.Path(os.environ["ZSPOOL_BUILDDIR"], ".libs", "libzspool.so")
if not library.exists():
    print("no shared library was built")
    sys.exit(77)

#  A declaration starts with ZSPOOL_EXPORT; its name stands before the first parenthesis.
declaration = re.compile(r"^ZSPOOL_EXPORT\b[^(;]*?(\w+)\s*\(", re.MULTILINE)
texts = [header.read_text() for header in headers.glob("*.h")]
declared = {name for text in texts for name in declaration.findall(text)}
#  Any function's name stands on a line of its own, before its parameters.
prototypes = {name for text in texts for name in re.findall(r"^ +(zspool_\w+) \(", text, re.MULTILINE)}

listing = subprocess.run(["nm", "--dynamic", "--defined-only", library],
                         check=True, capture_output=True, text=True).stdout
exported = {line.split()[-1] for line in listing.splitlines()}

for name in sorted(declared - exported):
    print(f"{name} is declared, but not exported")
for name in sorted(exported - declared):
    print(f"{name} is exported, but not declared")
for name in sorted(prototypes - declared):
    print(f"{name} has no ZSPOOL_EXPORT")
print(len(declared), "declared,", len(exported), "exported")
sys.exit(not declared or not declared == exported == prototypes)
