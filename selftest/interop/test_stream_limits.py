#!/usr/bin/python3
#  test_stream_limits.py - publishers at full speed, a spool at its limit: feeds get all that is stored
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stream import *

MIB = 1 << 20
LIMIT = 4 * MIB
BODY = b"x" * 4000
MEMORY_BYTES_MAX = 64 * MIB     #  anonymous, of the device

def wait_quiet(device):
    """Wait until nothing more is stored; give the last sequence."""
    counts = []

    def quiet():
        counts.append(device.info()["last_sequence"])
        time.sleep(0.05)
        return len(counts) > 10 and counts[-1] and counts[-1] == counts[-10]
    wait_until(quiet, "nothing more comes")
    return counts[-1]


def limited(*options, on_full, feeds, **how):
    return Stream("--max-bytes", str(LIMIT), "--on-full", on_full, *SETTLE, *options, feeds=feeds, **how)


def padded(first, end):
    return [[b"ab"[number % 2:][:1], BODY, b"%d" % number] for number in range(first, end)]


def test_publisher_at_full_speed_is_stored_without_a_drop_in_bounded_memory():
    count = 200000 * LONG
    device = Stream(*SETTLE, feeds=[Feed("feed", "a"), Feed("absent")])
    target = publisher(device.endpoint_in)
    source = device.feeds[0].reader(rcvhwm=0)
    for number in range(count):
        target.send_multipart([b"a" if number & 1 else b"b", b"-" * 90, b"%d" % number])
    used = device.anonymous_bytes()
    assert used < MEMORY_BYTES_MAX, f"{used} bytes of anonymous memory"
    for number in range(1, count, 2):
        assert int(source.recv_multipart()[-1]) == number
    device.wait_stored(count)
    assert device.info()["messages"] == count
    late = device.feeds[1].reader(rcvhwm=0)
    for number in range(count):
        assert int(late.recv_multipart()[-1]) == number
    used = device.anonymous_bytes()
    assert used < MEMORY_BYTES_MAX, f"{used} bytes of anonymous memory"
    device.stop()


def test_what_a_plain_publisher_drops_itself_is_in_no_feed_and_all_else_in_each():
    device = Stream(*SETTLE, feeds=[Feed("feed"), Feed("sub", sub=True)])
    target = publisher(device.endpoint_in, sndhwm=1000)
    for number in range(50000):
        target.send_multipart([b"a", b"-" * 200, b"%d" % number])
    wait_quiet(device)
    expected = numbers(device.stored())
    assert expected == sorted(set(expected)) and len(expected) >= 1000
    for feed in device.feeds:
        take(feed.reader(), expected)
    device.stop()


def test_limit_with_pause_holds_the_publisher_and_loses_nothing():
    feeds = [Feed("there", "a"), Feed("absent", "b"), Feed("sub", sub=True)]
    device = limited("--keep-count", "0", on_full="pause", feeds=feeds)
    target, source = publisher(device.endpoint_in), feeds[0].reader()
    count = 5000
    send(target, padded(0, count))
    wait_until(lambda: device.status()["store"]["full"] == "limit", "it is full")
    held = wait_quiet(device)
    assert LIMIT * 3 // 4 < device.info()["bytes"] <= LIMIT and held < count
    device.restart(kill=True)
    assert device.info()["last_sequence"] >= held
    #  What the publisher had sent to the one that was killed is lost, and nothing else.
    send(target, padded(count, count + 100))
    count += 100
    sources = {feed: feed.reader() for feed in feeds[1:]}
    received = {feed: [] for feed in feeds}
    sources[feeds[0]] = source
    poller = zmq.Poller()
    for at in sources.values():
        poller.register(at, zmq.POLLIN)
    deadline_s = time.monotonic() + 60
    while received[feeds[2]][-1:] != [count - 1] or any(device.cursor(feed.name)["pending"] for feed in feeds):
        assert time.monotonic() < deadline_s, f"{device.info()}, {device.log()}"
        ready = dict(poller.poll(20))
        for feed, at in sources.items():
            while at in ready and at.poll(0):
                received[feed].append(int(at.recv_multipart()[-1]))
    everything = received[feeds[2]]
    assert len(everything) == len(set(everything)) == device.info()["last_sequence"]
    for feed in feeds:
        expected = [number for number in everything if matches(feed.filters, b"ab"[number % 2:][:1])]
        check_feed(received[feed], expected)
        assert device.cursor(feed.name)["lagged"] == 0
    device.stop()


def test_limit_with_drop_oldest_tells_each_feed_what_it_lost():
    feeds = [Feed("there", "a"), Feed("absent", "b"), Feed("tickets", ack="explicit")]
    device = limited(on_full="drop-oldest", feeds=feeds)
    target, source = publisher(device.endpoint_in), feeds[0].reader()
    count = 5000
    for first in range(0, count, 100):
        send(target, padded(first, first + 100))
        receive(source, 50)
    device.wait_stored(count)
    device.wait_acknowledged("there")
    state = device.info()
    assert LIMIT * 3 // 4 < state["bytes"] <= LIMIT
    first = count - state["messages"]
    assert device.cursor("there")["lagged"] < count
    for name in "absent", "tickets":
        cursor = device.cursor(name)
        #  What lies before the first message of its topics it had passed.
        assert cursor["floor"] == first > 3000 and first - 1 <= cursor["lagged"] <= first, (name, cursor)
    device.restart(kill=True)
    take(feeds[1].reader(), range(first + 1 - first % 2, count, 2))
    late, acks = feeds[2].reader(), producer(feeds[2].ack_in)
    for number in range(first, count):
        ticket, _, _, text = late.recv_multipart()
        acks.send(ticket)
        assert int(text) == number
    device.wait_acknowledged("absent", "tickets")
    assert device.cursor("tickets")["lagged"] == first
    device.stop()


run_tests(globals())
