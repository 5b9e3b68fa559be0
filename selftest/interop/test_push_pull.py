#!/usr/bin/python3
#  test_push_pull.py - `zspool push` and `zspool pull` against plain PUSH and PULL sockets, and a device
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from command import *

SHAPES = [[b"topic", b"body"], [b""], [b"", b"", b""], [bytes(range(256)), b"\n\t", b"end"]]


def test_push_sends_each_line_to_one_of_its_peers():
    source = consumer("@ipc://out")
    pushing = Command("push", "ipc://out", "--separator", ",", lines=[b"a,b,,c", b"", b"d"])
    assert receive(source, 3) == [[b"a", b"b", b"", b"c"], [b""], [b"d"]]
    pushing.wait()
    pushing = Command("push", "ipc://out", "--count", "3000", "--size", "12")
    assert receive(source, 3000) == [[b"%012d" % number] for number in range(1, 3001)]
    pushing.wait()


def test_push_waits_for_a_slow_peer_and_gives_up_after_its_timeout():
    endpoint = tcp()
    pushing = Command("push", "@" + endpoint, "--hwm", "10", "--count", "1000", "--size", "10000")
    source = consumer(endpoint, rcvhwm=10, rcvbuf=4096)
    assert receive(source, 1)[0][0].startswith(b"000000000001 ")
    pushing.stays_idle(0.5)
    for number in range(2, 1001):
        assert source.recv()[:13] == b"%012d " % number
    pushing.wait()
    source = consumer("@ipc://full", rcvhwm=10)
    impatient = Command("push", "ipc://full", "--hwm", "10", "--count", "5000", "--size", "10000",
                        "--timeout", "100")
    impatient.wait(1)
    assert "no peer took message" in impatient.errors() and impatient.errors().count("\n") == 1


def test_push_tells_of_a_peer_that_went():
    pushing = Command("push", "@ipc://out", "--hwm", "10", "--count", "2000", "--size", "10000")
    victim = Command("pull", "ipc://out", "--hwm", "10", "--delay", "86400000")
    wait_until(victim.output, "the victim gets one")
    victim.kill()
    source = consumer("ipc://out")
    while source.recv()[:13] != b"000000002000 ":
        pass
    pushing.wait(1)
    assert "a peer disconnected" in pushing.errors()


def test_pull_prints_all_shapes():
    for form, expected in (
            ("hex", b"".join(b" ".join(frame.hex().encode() for frame in message) + b"\n"
                             for message in SHAPES)),
            ("text", b"".join(b"\t".join(message) + b"\n" for message in SHAPES)),
            ("raw", b"".join(b"".join(message) for message in SHAPES))):
        pulling = Command("pull", "@ipc://in", "--format", form, "--count", str(len(SHAPES)))
        send(producer("ipc://in"), SHAPES)
        assert pulling.wait() == expected, form


def test_pull_ends_when_none_comes_in_time():
    pulling = Command("pull", "@ipc://in", "--timeout", "300", "--count", "3")
    target = producer("ipc://in")
    for number in range(2):
        send(target, [[b"%d" % number]])
        wait_until(lambda: pulling.output().endswith(b"%d\n" % number), "it is printed")
    assert pulling.wait(1) == b"0\n1\n" and "2 of 3 messages" in pulling.errors()


def test_pull_acknowledges_what_it_has_written():
    device = Device("--ack", "explicit")
    send(producer(device.endpoint_in), numbered(0, 2500))
    pulling = Command("pull", device.endpoint_out, "--ack-to", device.ack_in, "--count", "2500",
                      "--output", "file")
    pulling.wait()
    with open("file", "rb") as lines:
        assert lines.read() == b"".join(b"%d\n" % number for number in range(2500))
    device.wait_empty()


run_tests(globals())
