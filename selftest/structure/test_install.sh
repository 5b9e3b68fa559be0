#!/bin/sh
#  test_install.sh - what `make install` puts down is whole: command, library, headers, pages
#
#  SPDX-License-Identifier: MPL-2.0

of_make () { sed -n "s/^$1 = //p" "$ZSPOOL_BUILDDIR/Makefile"; }
fail () { echo "$*"; exit 1; }

#  The build may be going on in the make that runs this test.
unset MAKEFLAGS MAKELEVEL MFLAGS
make -s -C "$ZSPOOL_BUILDDIR" install DESTDIR="$PWD/root" > make.log 2>&1 || { cat make.log; exit 1; }
prefix=$PWD/root$(of_make prefix)
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig" LD_LIBRARY_PATH="$prefix/lib"
pkg_config () { pkg-config --define-variable=prefix="$prefix" "$@" libzspool; }

#  Headers: those of the sources, and no others
(cd "$ZSPOOL_SRCDIR/include" && ls ./*.h) > there
(cd "$prefix/include" && ls ./*.h) > installed
cmp -s there installed || fail "other headers are installed: $(diff there installed)"

#  One version, wherever it is asked for
version=$(sed -n 's/^#define ZSPOOL_VERSION_STRING "\(.*\)"/\1/p' "$prefix/include/zspool_library.h")
[ -n "$version" ] || fail "no version in the header"
[ "$(pkg_config --modversion)" = "$version" ] || fail "pkg-config says $(pkg_config --modversion)"
[ "$("$prefix/bin/zspool" --version)" = "zspool $version" ] || fail "the command is another version"

#  A program that knows nothing but pkg-config
for example in embedded_store host_device; do
    $(of_make CC) $(of_make SANITIZER_CFLAGS) -o "./$example" "$ZSPOOL_SRCDIR/examples/$example.c" \
        $(pkg_config --cflags --libs) || fail "$example does not build with pkg-config alone"
    [ -n "$ZSPOOL_QUEUE_OPTIONS" ] || timeout 60 "./$example" "store-$example" > out \
        || fail "$example gave $?: $(cat out)"
done
[ -n "$ZSPOOL_QUEUE_OPTIONS" ] || "$prefix/bin/zspool" info store-embedded_store | grep -q invoices \
    || fail "the installed command does not find what the example stored"

#  A page for each command, where man looks for it
pages=0
for command in '' $("$prefix/bin/zspool" --help | sed -n 's/^  \([a-z]*\) .*/-\1/p'); do
    [ -s "$prefix/share/man/man1/zspool$command.1" ] || fail "no page zspool$command is installed"
    ! command -v man > /dev/null || man -M "$prefix/share/man" -w "zspool$command" > /dev/null 2>&1 \
        || fail "man does not find zspool$command"
    pages=$((pages + 1))
done
echo "$pages pages"
[ "$pages" -gt 1 ]
