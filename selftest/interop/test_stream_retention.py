#!/usr/bin/python3
#  test_stream_retention.py - history is kept as long as it is told: by count, bytes, age and unacknowledged feeds
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stream import *

BODY = b"x" * 1000
BLOCK_MESSAGES = 600        #  of those in a block, at most


def padded(first, end, topics=(b"a", b"b")):
    return [[topics[number % len(topics)], BODY, b"%d" % number] for number in range(first, end)]


def publish(device, target, first, end, step=200):
    """Publish these numbers so that blocks stay small, and wait until they are stored."""
    for start in range(first, end, step):
        send(target, padded(start, min(start + step, end)))
        device.wait_stored(min(start + step, end))


def check_history(device, last):
    """What is stored is the newest, without a hole; give its first number."""
    found = numbers(device.stored())
    assert found == list(range(found[0], last)), f"a hole in {found[0]} to {found[-1]}"
    return found[0]


def test_count_is_kept_and_not_much_more():
    device = Stream("--keep-count", "2000", *SETTLE, feeds=[Feed("feed", ack="sent")])
    target, source = publisher(device.endpoint_in), device.feeds[0].reader()
    for first in range(0, 10000, 1000):
        publish(device, target, first, first + 1000)
        take(source, range(first, first + 1000), 0)
        assert device.info()["messages"] >= min(first + 1000, 2000)
    wait_until(lambda: device.info()["messages"] <= 2000 + BLOCK_MESSAGES, "it is trimmed")
    assert 8000 - BLOCK_MESSAGES <= check_history(device, 10000) <= 8000
    device.stop()


def test_bytes_are_kept_and_not_much_more():
    limit = 2 << 20
    device = Stream("--keep-bytes", "2M")
    publish(device, publisher(device.endpoint_in), 0, 10000)
    wait_until(lambda: device.info()["bytes"] <= limit + BLOCK_MESSAGES * 1100, "it is trimmed")
    assert device.info()["bytes"] >= limit
    check_history(device, 10000)
    device.stop()


def test_age_is_kept_by_a_device_that_is_idle_too():
    device = Stream("--keep-age", "1500ms")
    target = publisher(device.endpoint_in)
    publish(device, target, 0, 1000)
    began_s = time.monotonic()
    assert device.info()["messages"] == 1000 or time.monotonic() - began_s > 1
    wait_until(lambda: device.info()["messages"] == 0, "what is too old goes")
    publish(device, target, 1000, 1200)
    found = numbers(device.stored())
    assert found == list(range(1000, 1200)) or time.monotonic() - began_s > 2, found
    device.stop()


def test_what_a_feed_has_not_acknowledged_is_kept():
    feed = Feed("absent", "b")
    device = Stream("--keep-count", "500", *SETTLE, feeds=[feed])
    target = publisher(device.endpoint_in)
    publish(device, target, 0, 8000, 500)
    assert check_history(device, 8000) <= 1
    take(feed.reader(), range(1, 8000, 2))
    device.wait_acknowledged("absent")
    publish(device, target, 8000, 8100)
    wait_until(lambda: device.info()["messages"] <= 500 + BLOCK_MESSAGES, "it is trimmed")
    assert check_history(device, 8100) <= 7600
    assert device.cursor("absent")["lagged"] == 0
    device.stop()


def check_lagged(*options):
    """A feed that lost something is told how much, and gets the rest in order."""
    absent, there = Feed("absent"), Feed("there", "a")
    device = Stream("--keep-unacked", "off", *SETTLE, *options, feeds=[absent, there])
    target, source = publisher(device.endpoint_in), there.reader()
    publish(device, target, 0, 8000, 400)
    assert numbers(receive(source, 4000)) == list(range(0, 8000, 2))
    device.wait_acknowledged("there", "out")
    wait_until(lambda: device.cursor("absent")["lagged"] > 4000, "it lags")
    state = device.cursor("absent")
    wait_until(lambda: int(device.outlet("absent")["lagged"]) == state["lagged"], "the status knows it")
    assert state["lagged"] + device.info()["messages"] == 8000 and state["floor"] == state["lagged"]
    device.restart(kill=True)
    take(absent.reader(), range(state["lagged"], 8000))
    device.wait_acknowledged("absent")
    assert device.cursor("absent")["lagged"] == state["lagged"]
    table = run_zspool("info", "store")
    assert "lagged" in table and str(state["lagged"]) in table, table
    device.stop()


def test_feed_that_lags_behind_a_count():
    check_lagged("--keep-count", "1000")


def test_feed_that_lags_behind_bytes():
    check_lagged("--keep-bytes", "1M")


def test_slow_feed_that_lags_accounts_for_all():
    feed = Feed("slow")
    device = Stream("--keep-unacked", "off", "--keep-count", "1000", "--hwm", "10", *SETTLE, feeds=[feed])
    target, source = publisher(device.endpoint_in), feed.reader(rcvhwm=10)
    received = []
    for first in range(0, 20000, 500):
        send(target, padded(first, first + 500))
        device.wait_stored(first + 500)
        received += numbers(receive(source, 20))
    while received[-1] != 19999:
        received.append(int(source.recv_multipart()[-1]))
    assert received == sorted(set(received)), "out of order, or twice"
    lagged = device.cursor("slow")["lagged"]
    #  What was delivered and not yet settled counts as lost, too; none is lost uncounted.
    assert 20000 - len(received) <= lagged < 20000, (len(received), lagged)
    assert len(received) < 20000, "nothing was dropped"
    device.stop()


def test_steady_stream_has_a_steady_file():
    feed = Feed("feed", ack="sent")
    device = Stream("--keep-bytes", "4M", feeds=[feed])
    target, source = publisher(device.endpoint_in), feed.reader()

    def pass_through(first, end):
        for start in range(first, end, 500):
            send(target, padded(start, start + 500))
            assert numbers(receive(source, 500)) == list(range(start, start + 500))

    pass_through(0, 15000)
    size = os.stat("store/data.mdb").st_size
    pass_through(15000, 15000 + 30000 * LONG)
    assert os.stat("store/data.mdb").st_size <= max(size, 12 << 20), (size, device.info())
    assert os.stat("store/data.mdb").st_blocks * 512 <= size + (64 << 20), "more is reserved than ahead"
    device.stop()


def test_retention_holds_for_whoever_writes_the_store_and_follows_the_options():
    feed = Feed("feed")
    device = Stream("--keep-count", "5000", *SETTLE, feeds=[feed])
    target = publisher(device.endpoint_in)
    publish(device, target, 0, 4000, 400)
    take(feed.reader(), range(4000))
    device.wait_acknowledged("feed", "out")
    device.stop()
    #  A command that writes the store trims nothing of it.
    run_zspool("cursor", "seek", "store", "feed", "1")
    run_zspool("cursor", "seek", "store", "feed", "new")
    assert device.info()["messages"] == 4000
    device.options[1] = "1000"
    device.start()
    publish(device, target, 4000, 4001)
    wait_until(lambda: device.info()["messages"] <= 1000 + BLOCK_MESSAGES, "it is trimmed")
    assert check_history(device, 4001) <= 3001
    device.stop()


run_tests(globals())
