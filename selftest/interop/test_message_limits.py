#!/usr/bin/python3
#  test_message_limits.py - a message over --max-message-size or --max-frames is dropped, and nothing else
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from device import *

KIB = 1024


def check_only(device, source, wanted):
    """These messages come, in order, and no other is stored."""
    received = receive(source, len(wanted))
    assert received == wanted, [[len(frame) for frame in message] for message in received]
    stays_so(lambda: device.info()["last_sequence"] == len(wanted), "no other is stored", 0.1)


def test_size_counts_all_frames_and_the_limit_itself_is_allowed():
    device = Device("--max-message-size", "1000")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    good = [[b"a" * 1000], [b"b" * 999, b"c"], [b""] * 50, [b"d" * 500, b"e" * 500], [b"end"]]
    bad = [[b"x" * 1001], [b"y" * 1000, b"z"], [b"x" * 500, b"y" * 500, b"z"], [b"x" * 60000, b"z"],
           [b"z"] * 1001]
    for one, other in zip(good, bad):
        target.send_multipart(one)
        target.send_multipart(other)
    check_only(device, source, good)
    assert "dropped" in device.log() and "1000 bytes" in device.log(), device.log()
    device.stop()


def test_frames_over_the_limit_are_dropped():
    device = Device("--max-frames", "3")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    for count in 1, 3, 4, 2, 5, 60000, 3:
        target.send_multipart([b"%d" % count] * count)
    check_only(device, source, [[b"%d" % count] * count for count in (1, 3, 2, 3)])
    device.stop()


def test_many_dropped_messages_are_told_of_once():
    device = Device("--max-message-size", "10", "--verbose")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    for _ in range(5000):
        target.send(b"far too large")
    target.send(b"end")
    check_only(device, source, [[b"end"]])
    lines = [line for line in device.log().split("\n") if "dropped" in line and "limits" in line]
    assert len(lines) == 1, device.log()
    device.stop()


def test_peer_that_sends_too_much_loses_nothing_else():
    device = Device("--max-message-size", "64K")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    for number in range(300):
        target.send(b"%d" % number)
        if number % 3 == 0:
            target.send(b"x" * (64 * KIB + 1 + number * 1500))
    check_only(device, source, [[b"%d" % number] for number in range(300)])
    device.stop()


def test_frame_far_over_the_limit_cuts_its_peer_off_and_no_other():
    device = Device("--max-message-size", "1K")
    wild, tame = producer(device.endpoint_in), producer(device.endpoint_in)
    source = consumer(device.endpoint_out)
    wild.send(b"wild")
    assert source.recv() == b"wild"
    before = device.anonymous_bytes()
    for _ in range(20):
        wild.send(b"x" * (8 << 20))
    for number in range(1000):
        tame.send(b"%d" % number)
    received = receive(source, 1000)
    assert received == [[b"%d" % number] for number in range(1000)]
    grown = device.anonymous_bytes() - before
    assert grown < 64 << 20, f"it took {grown >> 20} MiB"
    #  It may come back, and do better.
    again = producer(device.endpoint_in)
    again.send(b"again")
    wait_until(lambda: source.recv() == b"again", "another one is heard")
    device.stop()


def test_limits_out_of_range_are_refused():
    for option, value in (("--max-message-size", "0"), ("--max-message-size", "129M"), ("--max-frames", "0"),
                          ("--max-frames", "65536"), ("--max-frames", "1K"), ("--max-message-size", "x")):
        done = subprocess.run([ZSPOOL_BIN, "queue", "--store", "none", "--in", "ipc://i", "--out", "ipc://o",
                               option, value], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and option in done.stderr, (option, value, done.stderr)
        assert done.stderr.count("\n") == 1 and not os.path.exists("none"), done.stderr


run_tests(globals())
