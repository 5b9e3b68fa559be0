#!/bin/sh
#  run.sh - power cuts, faults, damage, random work and kill loops, for as long as you like
#
#  SPDX-License-Identifier: MPL-2.0
#
#  usage: selftest/crash/run.sh [--minutes M] [--seed N] [--asan]
#
#    --minutes M   how long to go on: a part that was begun is ended (default 10)
#    --seed N      where to start: each round takes the next one (default 1)
#    --asan        with the address and undefined behaviour sanitizers, in build-asan
#    --help        this text
#
#  ZSPOOL_LONG=K in the environment makes each part about K times longer.
#  Each failure is printed with the command that repeats it. The exit status is 1 when there was one.
#  Nothing is left behind but the build.

set -e
cd "$(dirname "$0")/../.."
. selftest/setup.sh

usage ()
{
    sed -n 's/^#  usage: /usage: /p; s/^#    \(--\)/  \1/p' selftest/crash/run.sh
}

#  number NAME VALUE: print the value if it is a number, else say so and exit.
number ()
{
    case $2 in
    ''|*[!0-9]*) echo "run.sh: $1 takes a number" >&2; exit 2 ;;
    esac
    echo "$2"
}

minutes=10
seed=1
build=build
options=--enable-werror
while [ $# -gt 0 ]; do
    case $1 in
    --minutes) minutes=$(number "$1" "$2"); shift ;;
    --seed) seed=$(number "$1" "$2"); shift ;;
    --asan) build=build-asan; options="$options --enable-asan" ;;
    --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done

install_missing $PACKAGES gcc python3 python3-zmq
#  A build that is there will do.
[ -f $build/Makefile ] || configure_in $build $options CC=gcc
build_in $build all selftest/zspool_selftest

launcher=
[ $build = build ] || ! setarch -R true 2> /dev/null || launcher="setarch -R"
work=$(mktemp -d)
export TMPDIR="$work" ZSPOOL_LONG="${ZSPOOL_LONG:-1}" PYTHONDONTWRITEBYTECODE=1
export ZSPOOL_BIN="$PWD/$build/tools/zspool" ZSPOOL_BUILDDIR="$PWD/$build"

child=
stop ()
{
    #  The runner, and the kill loop, end what they started when they are interrupted.
    [ -z "$child" ] || kill -INT "$child" 2> /dev/null || true
    [ -z "$child" ] || wait "$child" 2> /dev/null || true
    rm -rf "$work"
}
trap 'stop; exit 130' INT TERM HUP
trap stop EXIT

end=$(($(date +%s) + minutes * 60))
failures=0
parts=0

#  part NAME COMMAND...: run it; when it fails, show the end of what it said, and how to repeat it.
part ()
{
    name=$1
    shift
    [ "$(date +%s)" -lt "$end" ] || return 0
    started=$(date +%s)
    parts=$((parts + 1))
    $launcher "$@" > "$work/output" 2>&1 &
    child=$!
    verdict=ok
    wait "$child" || verdict=FAILED
    child=
    echo "seed $seed: $name: $verdict ($(($(date +%s) - started)) s)"
    cat "$work/output" >> "$work/all"
    [ $verdict = FAILED ] || return 0
    failures=$((failures + 1))
    grep -v '^pass ' "$work/output" | tail -n 40
    echo "to repeat: SELFTEST_SEED=$seed ZSPOOL_LONG=$ZSPOOL_LONG ZSPOOL_BIN=$ZSPOOL_BIN" \
         "ZSPOOL_BUILDDIR=$ZSPOOL_BUILDDIR $*" | tee -a "$work/repeat"
}

#  The modes of the kill loops: one after each test, in turn
loops=$(for kind in "" --power-cut; do
            for ack in settled explicit sent; do
                for durability in sync async transaction; do
                    echo "--ack $ack --durability $durability $kind"
                done
            done
        done)
turn=0
next_loop ()
{
    turn=$((turn % $(echo "$loops" | wc -l) + 1))
    mode=$(echo "$loops" | sed -n "${turn}p")
    part "kill loop $mode" selftest/crash/kill_loop.py --rounds 10 --seed "$seed" $mode
}

tests="test_store_power_cut test_store_nth test_store_flips test_store_pages test_store_model
    test_dead_letters_are_in test_planted test_store_faults test_store_full_disk test_backup_
    test_device_memory crash/test_device_power_cut crash/test_failing_disk crash/test_damage"
while [ "$(date +%s)" -lt "$end" ]; do
    export SELFTEST_SEED="$seed"
    for test in $tests; do
        part "$test" "$build/selftest/zspool_selftest" --verbose --jobs 1 --limit 1800 --test "$test"
        next_loop
    done
    seed=$((seed + 1))
done

#  sum UNIT: add up the numbers that stand before a word in what was said
sum ()
{
    grep -oE "[0-9]+ $1" "$work/all" | awk '{ total += $1 } END { printf "%d", total }'
}

touch "$work/all"
echo
echo "$parts parts, $failures failed"
echo "power cuts: $(sum disks) disks at $(sum cuts) cuts"
echo "faults: $(sum runs) runs of a workload, each with one call failing or all from one on"
echo "damage: $(sum damages) damaged stores: $(sum told) told, $(sum harmless) harmless, $(sum silent) silent," \
     "$(sum crashed) crashed and $(sum hung) hung in LMDB, $(sum wrong) wrong"
echo "model: $(sum steps) steps; devices: $(sum deaths) deaths, $(sum 'messages forwarded') messages at cuts"
[ "$failures" = 0 ] || { cat "$work/repeat"; exit 1; }
