#  limited.py - what the tests of --max-bytes share
#
#  SPDX-License-Identifier: MPL-2.0

from device import *

MIB = 1 << 20
LIMIT = 4 * MIB
PADDING = b"x" * 4000
EXPLICIT = ["--ack", "explicit", "--ack-timeout", "60000"]


def limited(*options, on_full="pause", limit=LIMIT, **how):
    return Device("--max-bytes", str(limit), "--on-full", on_full, "--verbose", *options, **how)


def told(device):
    """What it said, but for the status."""
    return [line for line in device.log().split("\n") if "its limit" in line or "the limit" in line]


def status(device):
    """The next status that it prints: state, and numbers by their names."""
    def lines():
        return [line for line in device.log().split("\n")[:-1] if "store/full" in line]
    count = len(lines())
    line = wait_until(lambda: lines()[count:], "it prints its status")[0]
    state, *fields = line.split(": ", 1)[1].split(", ")
    return {"state": state, **dict(field.split(" ") for field in fields)}


def fill_up(target, first=0):
    """Send until the producer is held; give the number that was refused."""
    number, target.sndtimeo = first, 700
    try:
        while True:
            target.send_multipart([PADDING, b"%d" % number])
            number += 1
            assert (number - first) * 4000 < 100 * MIB, "nobody holds the producer"
    except zmq.Again:
        target.sndtimeo = WAIT_S * 1000
    return number


def take(device, source, first, end):
    """Receive these numbers, in order, and acknowledge them if there are tickets."""
    acks = producer(device.ack_in) if device.ack_in else None
    for number in range(first, end):
        message = source.recv_multipart()
        if acks:
            acks.send(message.pop(0))
        assert message == [PADDING, b"%d" % number], f"{message[-1]} is not {number}"
