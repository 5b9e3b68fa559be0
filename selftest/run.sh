#!/bin/sh
#  run.sh - install what is missing, build with warnings as errors, run the tests
#
#  SPDX-License-Identifier: MPL-2.0
#
#  usage: selftest/run.sh [--asan | --tsan] [--clang] [FILTER]
#
#  FILTER is a test's name, or a part of some names. The last line is `N passed, N failed, N skipped`;
#  the exit status is 0 when none failed.

set -e
cd "$(dirname "$0")/.."
. selftest/setup.sh

build=build
compiler=gcc
options=--enable-werror
filter=
for argument in "$@"; do
    case $argument in
    --asan) build=build-asan; options="$options --enable-asan" ;;
    --tsan) build=build-tsan; options="$options --enable-tsan" ;;
    --clang) compiler=clang ;;
    -*) sed -n 's/^#  usage: /usage: /p' "$0" >&2; exit 2 ;;
    *) filter=$argument ;;
    esac
done
[ $compiler = gcc ] || build=$build-$compiler

install_missing $PACKAGES $compiler python3 python3-zmq iproute2
configure_in $build $options CC=$compiler
build_in $build all selftest/zspool_selftest

#  Sanitizers may not start where the kernel scatters addresses widely (vm.mmap_rnd_bits of 32).
launcher=
case $build in
*san*) ! setarch -R true 2> /dev/null || launcher="setarch -R" ;;
esac
exec $launcher $build/selftest/zspool_selftest ${filter:+--test "$filter"}
