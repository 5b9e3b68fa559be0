#!/bin/sh
#  test_examples.sh - every example runs to its end, with exit status 0, in an empty directory
#
#  SPDX-License-Identifier: MPL-2.0

#  Examples open their stores with the usual options.
[ -z "$ZSPOOL_QUEUE_OPTIONS" ] || { echo "not with $ZSPOOL_QUEUE_OPTIONS"; exit 77; }
for source in "$ZSPOOL_SRCDIR"/examples/*.c; do
    name=$(basename "$source" .c)
    mkdir "$name"
    (cd "$name" && timeout 60 "$ZSPOOL_BUILDDIR/examples/$name") || { echo "$name gave $?"; exit 1; }
done
