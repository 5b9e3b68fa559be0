#!/bin/bash
#  quickstart.sh - build zspool, then kill a device with kill -9 while it delivers, and count every message
#
#  SPDX-License-Identifier: MPL-2.0
#
#  Needs nothing but Debian 12: what is missing is installed. Set ZSPOOL_BIN to use a zspool that is built,
#  ZSPOOL_QUEUE_OPTIONS to give the device further options.
#  Exit status 0: every line of the input was stored, and delivered unchanged.

set -e
cd "$(dirname "$0")"
export LC_ALL=C

LINES_SENT=20000
KILLS_AT="4000 10000"     #  lines delivered when the device is killed
PACE_LINES=200            #  the consumer rests after so many lines
PACE_S=0.02
WAIT_S=60                 #  longest wait for anything

fail () { echo "quickstart: $*" >&2; exit 1; }
now_ms () { echo $((${EPOCHREALTIME/./} / 1000)); }
lines_in () { wc -l < "$1"; }

wait_until ()
{
    local end=$((SECONDS + WAIT_S))
    until "$@"; do
        [ $SECONDS -lt $end ] || fail "waited $WAIT_S s in vain for: $*"
        sleep 0.02
    done
}

#  ---- build

if [ -z "$ZSPOOL_BIN" ]; then
    . selftest/setup.sh
    install_missing $PACKAGES gcc
    configure_in build
    build_in build all
    ZSPOOL_BIN=$PWD/build/tools/zspool
fi

work=$(mktemp -d)
device=
consumer=
pacer=
clean_up ()
{
    trap '' INT TERM
    kill -9 $device $consumer $pacer 2> /dev/null || true
    wait 2> /dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

#  ---- the parts

#  Numbered lines of real text, so that each is unique
make_input ()
{
    for _ in $(seq 100); do
        cat LICENSE /usr/share/common-licenses/* 2> /dev/null || true
    done | awk -v count=$LINES_SENT '{ printf "%06d %s\n", NR, $0 } NR == count { exit }'
}

#  Three TCP ports that nobody listens on
choose_ports ()
{
    local port=$((20000 + RANDOM % 10000))
    ports=()
    while [ ${#ports[@]} -lt 3 ]; do
        (exec 3<> /dev/tcp/127.0.0.1/$port) 2> /dev/null || ports+=("$port")
        port=$((port + 1))
    done
}

start_device ()
{
    : > "$work/device"
    "$ZSPOOL_BIN" queue --store "$work/store" --in $in --out $out --ack explicit --ack-in $ack \
        --ack-timeout 5000 $ZSPOOL_QUEUE_OPTIONS > "$work/device" &
    device=$!
    wait_until device_is_ready
}

device_is_ready ()
{
    kill -0 $device 2> /dev/null || fail "the device does not run"
    grep -q '^ready' "$work/device"
}

#  The first value with that name in what `zspool info` says
info ()
{
    "$ZSPOOL_BIN" info "$work/store" --json | grep -o "\"$1\": *[0-9]*" | head -n 1 | grep -o '[0-9]*$'
}

#  A consumer that is slower than the producer: it prints at a pace, and acknowledges what it printed.
start_consumer ()
{
    mkfifo "$work/pipe"
    pace < "$work/pipe" > "$work/delivered" &
    pacer=$!
    "$ZSPOOL_BIN" pull $out --ack-to $ack > "$work/pipe" &
    consumer=$!
}

pace ()
{
    local line number=0
    while IFS= read -r line; do
        printf '%s\n' "$line"
        ((++number % PACE_LINES)) || sleep $PACE_S
    done
}

all_stored () { [ "$(info last_sequence)" = $LINES_SENT ]; }
all_acknowledged () { [ "$(info messages)" = 0 ]; }
delivered () { [ "$(lines_in "$work/delivered")" -ge "$1" ]; }

#  ---- the run

make_input > "$work/input"
choose_ports
in=tcp://127.0.0.1:${ports[0]}
out=tcp://127.0.0.1:${ports[1]}
ack=tcp://127.0.0.1:${ports[2]}
echo "device   zspool queue --in $in --out $out --ack explicit --ack-in $ack"
start_device
start_consumer

started_ms=$(now_ms)
"$ZSPOOL_BIN" push $in --file "$work/input"
wait_until all_stored
stored=$(info last_sequence)
echo "stored   $stored lines, $(($(now_ms) - started_ms)) ms after the first was sent"

for count in $KILLS_AT; do
    wait_until delivered $count
    kill -9 $device
    wait $device 2> /dev/null || true
    killed_ms=$(now_ms)
    start_device
    echo "kill -9  after $count lines delivered; ready again after $(($(now_ms) - killed_ms)) ms"
done

wait_until all_acknowledged
finished_ms=$(now_ms)
kill $consumer
wait $consumer || true
wait $pacer
kill $device
wait $device || fail "the device did not stop in good order"
device=
consumer=
pacer=

#  ---- the account

sort -u "$work/input" > "$work/expected"
sort -u "$work/delivered" > "$work/unique"
missing=$(comm -23 "$work/expected" "$work/unique" | wc -l)
changed=$(comm -13 "$work/expected" "$work/unique" | wc -l)
total=$(lines_in "$work/delivered")
echo "sent       $(lines_in "$work/input")"
echo "stored     $stored"
echo "delivered  $total, $((total - $(lines_in "$work/unique"))) of them duplicates"
echo "missing    $missing"
echo "changed    $changed"
echo "time       $((finished_ms - started_ms)) ms from the first line sent to the last acknowledged"
[ $missing = 0 ] && [ $changed = 0 ] || fail "not every line came through"
cmp "$work/expected" "$work/unique"
echo "Every line came through, byte for byte."
