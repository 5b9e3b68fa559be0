#!/usr/bin/python3
#  test_stream_full_disk.py - a full disk holds the publisher; feeds and the retention make room again
#
#  SPDX-License-Identifier: MPL-2.0
#
#  Needs root, to mount small file systems: in a mount namespace of its own, so that none is left.

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from small_disk import *
from stream import *


def stream_that_fills(*options, feeds):
    small_disk()
    #  With messages of this size high-water marks and kernels hold more than the usual depth.
    return Stream(*SETTLE, "--hwm", "100", "--pipe-depth", "32M", *options, feeds=feeds, store="disk/store")


def fill(device, target, first=0):
    """Publish until the device says that its disk is full; give the number of the next."""
    number = first
    while not is_full(device):
        send(target, [[b"ab"[at % 2:][:1], PADDING, b"%d" % at] for at in range(number, number + 200)])
        number += 200
        assert number - first < DISK_MIB * 200, "the disk does not get full"
        #  No more than the disk can take in one go: the rest would only wait in our memory.
        wait_until(lambda: is_full(device) or device.info()["last_sequence"] > number - 2000, "it is stored")
    return number


def take_while_it_drains(device, sources, last):
    """Receive from all feeds until each has acknowledged everything up to a sequence."""
    received = {feed: [] for feed in sources}
    acks = {feed: producer(feed.ack_in) for feed in sources if feed.ack_in}
    poller = zmq.Poller()
    for source in sources.values():
        poller.register(source, zmq.POLLIN)

    def drained():
        ready = dict(poller.poll(20))
        for feed, source in sources.items():
            while source in ready and source.poll(0):
                frames = source.recv_multipart()
                if feed in acks:
                    acks[feed].send(frames[0])
                received[feed].append(int(frames[-1]))
        state = device.info()
        return state["last_sequence"] >= last and all(cursor["pending"] == 0 for cursor in state["cursors"])
    deadline_s = time.monotonic() + 60
    while not drained():
        assert time.monotonic() < deadline_s, f"{device.info()}, {device.log()}"
    return received


def check_goes_on(*options, kill=False):
    """An absent feed fills the disk; when it comes all goes on, and every feed has everything."""
    feeds = [Feed("there", "a"), Feed("absent", "b"), Feed("sub", sub=True), Feed("tickets", "b", ack="explicit")]
    device = stream_that_fills(*options, "--keep-count", "100", feeds=feeds)
    target, there = publisher(device.endpoint_in), feeds[0].reader()
    held = fill(device, target)
    stored_before = device.info()["last_sequence"]
    received = numbers(receive(there, 1000))
    if kill:
        device.restart(kill=True)
        assert device.info()["last_sequence"] == stored_before
    sources = {feeds[0]: there, **{feed: feed.reader() for feed in feeds[1:]}}
    send(target, [[b"ab"[at % 2:][:1], PADDING, b"%d" % at] for at in range(held, held + 500)])
    drained = take_while_it_drains(device, sources, stored_before + 500)
    everything = drained[feeds[2]]
    #  A kill loses what was on its way to the device, and that is less than came behind it.
    assert everything[-1] == held + 499 and (kill or everything == list(range(held + 500)))
    drained[feeds[0]] = received + drained[feeds[0]]
    for feed in feeds:
        expected = [number for number in everything if matches(feed.filters, b"ab"[number % 2:][:1])]
        check_feed(drained[feed], expected)
        assert kill or drained[feed] == expected, f"{feed.name}: not each once"
    wait_until(lambda: not is_full(device), "it tells that there is space again")
    assert device.info()["messages"] < 1000 and device.log().count("\n") <= 10, device.log()
    device.stop()
    run_zspool("verify", device.store)


def test_disk_that_an_absent_feed_fills_has_room_again_when_it_comes():
    check_goes_on()


def test_kill_on_a_full_disk_loses_nothing_stored():
    check_goes_on(kill=True)


def test_history_gives_way_before_the_publisher_is_held():
    feed = Feed("feed")
    device = stream_that_fills("--keep-age", "1d", feeds=[feed])
    target, source = publisher(device.endpoint_in), feed.reader()
    count = DISK_MIB * 150
    for first in range(0, count, 100):
        send(target, [[b"a", PADDING, b"%d" % number] for number in range(first, first + 100)])
        assert numbers(receive(source, 100)) == list(range(first, first + 100))
    device.wait_acknowledged("feed")
    found = numbers(device.stored())
    #  All were more than the disk can hold.
    assert found == list(range(found[0], count)) and found[0] > 0 and len(found) > 1000
    device.stop()


in_own_namespace()
run_tests(globals())
