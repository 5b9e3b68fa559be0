#  setup.sh - what selftest/run.sh and quickstart.sh share: install what is missing, configure, build
#
#  SPDX-License-Identifier: MPL-2.0
#
#  Sourced by a shell with set -e, from the top of the source tree.

#  To build, beside a compiler
PACKAGES="libc6-dev make autoconf automake libtool pkg-config
    libzmq3-dev libczmq-dev liblmdb-dev libxxhash-dev"

#  Install those of the named Debian packages that are missing. Elsewhere, leave it to ./configure.
install_missing ()
{
    command -v dpkg-query > /dev/null || return 0
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q ' installed$' \
            || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0

    as_root=
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    echo "installing$missing"
    if ! answer=$(apt_get update && apt_get install --yes --no-install-recommends $missing); then
        answer=$(echo "$answer" | tail -n 1)
        echo "cannot install what is missing ($answer); as root: apt-get install$missing" >&2
        return 1
    fi
}

apt_get ()
{
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=60 "$@" 2>&1 < /dev/null
}

#  configure_in DIR [OPTION...]: configure there, unless that was done with the same options. With no
#  options any configuration that is there will do.
configure_in ()
{
    directory=$1
    shift
    [ -x configure ] || answer=$(./autogen.sh 2>&1) || { echo "$answer" >&2; return 1; }
    if [ -f "$directory/Makefile" ]; then
        [ $# -gt 0 ] || return 0
        [ "$(cat "$directory/configured_with" 2> /dev/null)" != "$*" ] || return 0
        make -s -C "$directory" clean > /dev/null
    fi
    mkdir -p "$directory"
    (cd "$directory" && ../configure --quiet "$@" && echo "$*" > configured_with)
}

#  build_in DIR TARGET...: build there; prints nothing but warnings and errors.
build_in ()
{
    directory=$1
    shift
    echo "building in $directory"
    make -s -j"$(nproc)" -C "$directory" "$@" > /dev/null
}
