#!/bin/sh
#  test_headers.sh - each public header compiles alone, as C11 and as C++, with all warnings as errors
#
#  SPDX-License-Identifier: MPL-2.0

of_make () { sed -n "s/^$1 = //p" "$ZSPOOL_BUILDDIR/Makefile"; }
flags="-Wall -Wextra -Wshadow -Wundef -Werror -fsyntax-only"
libraries="$(of_make ZMQ_CFLAGS) $(of_make CZMQ_CFLAGS)"
compiled=0

#  compile COMPILER SUFFIX OPTIONS: all headers, once more all together, each twice in a file
compile ()
{
    for header in "$ZSPOOL_SRCDIR"/include/*.h; do
        name=$(basename "$header")
        printf '#include <%s>\n#include <%s>\n' "$name" "$name" > "$name$2"
        $1 $3 $flags -I"$ZSPOOL_SRCDIR/include" $libraries "$name$2" \
            || { echo "$name does not compile with $1 $3"; exit 1; }
        compiled=$((compiled + 1))
    done
}

compile "$(of_make CC)" .c "-std=c11 -Wstrict-prototypes -Wold-style-definition"
#  czmq.h is not for every standard of C++; these are the first and the last that are usual.
if command -v g++ > /dev/null; then
    compile g++ .cpp -std=c++11
    compile g++ .cpp -std=c++17
    #  A C++ program that links finds the names, unmangled.
    cat > program.cpp << end
#include <zspool.h>
int main ()
{
    zspool_store_t *store = zspool_store_new ("store");
    int rc = zspool_store_open (store, ZSPOOL_WRITE);
    zspool_store_destroy (&store);
    return rc == ZSPOOL_OK && zspool_version ()? 0: 1;
}
end
    g++ $(of_make SANITIZER_CFLAGS) -I"$ZSPOOL_SRCDIR/include" $libraries program.cpp -o program \
        -L"$ZSPOOL_BUILDDIR/.libs" -lzspool $(of_make CZMQ_LIBS) $(of_make ZMQ_LIBS) || exit 1
    LD_LIBRARY_PATH="$ZSPOOL_BUILDDIR/.libs" ./program || { echo "the C++ program gave $?"; exit 1; }
fi
echo "$compiled compiled"
[ "$compiled" -gt 0 ]
