#!/usr/bin/python3
#  test_limit.py - --max-bytes: a spool at its limit holds the producers, and goes on by itself
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from limited import *


def check_pause(*options, cycles=1):
    """Fill it up, and drain it while more comes. What is stored never exceeds the limit."""
    device = limited(*options)
    target = producer(device.endpoint_in, sndhwm=100)
    first = 0
    for cycle in range(1, cycles + 1):
        held = fill_up(target, first)
        wait_until(lambda c=cycle: len(told(device)) == 2 * c - 1, "it warns")
        if cycle == 1:
            wait_until(lambda: status(device)["state"] == "full", "it says that it is full")
            assert status(device)["store/full"] == "limit"
        state = device.info()
        assert LIMIT * 3 // 4 < state["bytes"] <= LIMIT, state
        source = consumer(device.endpoint_out)
        feeder = threading.Thread(target=lambda f=held: send(target, [[PADDING, b"%d" % number]
                                                                      for number in range(f, f + 2000)]))
        feeder.start()
        take(device, source, first, held + 1000)
        assert device.info()["bytes"] <= LIMIT
        take(device, source, held + 1000, held + 2000)
        feeder.join()
        device.wait_empty()
        wait_until(lambda c=cycle: len(told(device)) == 2 * c, "it tells that there is room")
        assert status(device)["state"] == "running"
        source.close()
        first = held + 2000
    assert device.info()["lagged"] == 0 and device.info()["lost"] == 0
    device.stop()


def test_pause_settled():
    check_pause("--settle", "100")


def test_pause_settled_async():
    check_pause("--settle", "100", "--durability", "async")


def test_pause_explicit():
    check_pause(*EXPLICIT)


def test_stop_at_the_limit_loses_nothing():
    for durability in "sync", "async":
        device = limited("--settle", "100", "--durability", durability, store=durability)
        target = producer(device.endpoint_in, sndhwm=100)
        held = fill_up(target)
        wait_until(lambda: told(device), "it warns")
        target.sndhwm = 1
        device.stop()
        stored = device.info()
        assert LIMIT < stored["bytes"] < LIMIT + 80 * MIB, stored
        #  Over its limit it takes nothing more, but gives out all; what the producer still has follows.
        device.start()
        stays_so(lambda n=stored["last_sequence"]: device.info()["last_sequence"] == n, "it takes none", 0.3)
        take(device, consumer(device.endpoint_out), 0, held)
        device.wait_empty()
        device.stop()


def test_message_that_can_never_fit_is_dropped():
    device = limited(limit=MIB)
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    target.send(b"x" * (MIB // 2 + 1))
    target.send(b"y" * (MIB // 2))
    target.send_multipart([b""] * 65535)
    assert source.recv() == b"y" * (MIB // 2)
    assert len(source.recv_multipart()) == 65535
    device.stop()


def test_limits_out_of_range_are_refused():
    for option, value in (("--max-bytes", "1023K"), ("--max-bytes", "65T"), ("--max-bytes", "many"),
                          ("--on-full", "drop"), ("--on-full", "")):
        done = subprocess.run([ZSPOOL_BIN, "queue", "--store", "none", "--in", "ipc://i", "--out", "ipc://o",
                               option, value], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and option in done.stderr, (option, value, done.stderr)
        assert done.stderr.count("\n") == 1 and not os.path.exists("none"), done.stderr


def test_dropping_needs_a_limit():
    done = subprocess.run([ZSPOOL_BIN, "queue", "--store", "none", "--in", "ipc://i", "--out", "ipc://o",
                           "--on-full", "drop-oldest"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "max-bytes" in done.stderr, done.stderr


run_tests(globals())
