#!/bin/sh
#  autogen.sh - make ./configure out of configure.ac; needed once after a git clone
#
#  SPDX-License-Identifier: MPL-2.0

set -e
cd "$(dirname "$0")"
for tool in autoreconf automake libtoolize pkg-config; do
    command -v $tool > /dev/null || {
        echo "autogen.sh: $tool is missing; on Debian: apt-get install autoconf automake libtool pkg-config" >&2
        exit 1
    }
done
mkdir -p m4
exec autoreconf --install --force
