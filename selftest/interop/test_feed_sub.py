#!/usr/bin/python3
#  test_feed_sub.py - one unmodified SUB peer that comes, goes, is slow or is killed misses nothing
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stream import *


def feed_sub_device(*options, name="feed", filters=(), ack=None, settle=True, **how):
    feed = Feed(name, *filters, sub=True, ack=ack)
    return Stream(*(SETTLE if settle else []), *options, feeds=[feed], **how), feed


def test_nothing_is_sent_while_nobody_is_subscribed():
    device, feed = feed_sub_device()
    target = publisher(device.endpoint_in)
    send(target, topical(0, 1000))
    device.wait_stored(1000)
    #  A peer that is connected and has not subscribed is nobody, too.
    mute = connect(zmq.SUB, feed.endpoint)
    wait_until(lambda: int(device.outlet("feed")["peers"]) == 1, "it is connected")
    stays_so(lambda: int(device.outlet("feed")["sent"]) == 0 and device.cursor("feed")["floor"] == 0,
             "nothing is sent", 0.3)
    device.restart(kill=True)
    assert device.cursor("feed")["floor"] == 0
    mute.close()
    take(feed.reader(), range(1000))
    device.wait_acknowledged("feed")
    device.stop()


def test_subscriber_that_comes_and_goes_misses_nothing():
    for ack in "settled", "sent":
        device, feed = feed_sub_device(ack=ack, store=ack)
        target = publisher(device.endpoint_in)
        received, sent = [], 0
        for turn in range(6):
            #  Some come with what was sent meanwhile, some without; each takes all there is, then leaves.
            send(target, topical(sent, sent + 200 * (turn % 3)))
            sent += 200 * (turn % 3)
            device.wait_stored(sent)
            source = feed.reader()
            send(target, topical(sent, sent + 300))
            sent += 300
            received += take_all(source, set(range(sent)) - set(received))
            device.wait_acknowledged("feed")
            source.close()
            wait_until(lambda d=device: int(d.outlet("feed")["subscriptions"]) == 0, "it has left")
        assert received == list(range(sent)), "not each once"
        device.stop()


def test_unsubscribing_stops_it_and_subscribing_goes_on():
    device, feed = feed_sub_device()
    target, source = publisher(device.endpoint_in), feed.reader()
    send(target, topical(0, 500))
    received = numbers(receive(source, 500))
    device.wait_acknowledged("feed")
    source.unsubscribe(b"")
    device.wait_subscribed(0, "feed")
    send(target, topical(500, 1000))
    device.wait_stored(1000)
    assert receive_for(source, 0.2) == []
    source.subscribe(b"")
    received += take_all(source, set(range(500, 1000)))
    check_feed(received, list(range(1000)))
    device.wait_acknowledged("feed")
    device.stop()


def test_subscriber_that_asks_twice_for_a_topic_has_left_all_the_same():
    device, feed = feed_sub_device()
    target = publisher(device.endpoint_in)
    received = []
    for turn in range(3):
        device.wait_subscribed(0, "feed")
        send(target, topical(turn * 200, turn * 200 + 100))
        device.wait_stored(turn * 200 + 100)
        source = feed.reader()
        source.subscribe(b"")
        source.subscribe(b"a")
        source.subscribe(b"a")
        send(target, topical(turn * 200 + 100, turn * 200 + 200))
        received += take_all(source, range(turn * 200, turn * 200 + 200))
        device.wait_acknowledged("feed")
        source.close()
    assert received == list(range(600))
    device.stop()


def test_subscriber_killed_again_and_again_misses_nothing():
    device, feed = feed_sub_device("--settle", "1000", filters=("a", "#.z"), settle=False)
    target, whims = publisher(device.endpoint_in), random.Random(3)
    peers, sent = [], 0
    for turn in range(8 * LONG):
        peers.append(feed.peer(f"peer{turn}"))
        for _ in range(whims.randrange(1, 20)):
            send(target, topical(sent, sent + 100))
            sent += 100
            time.sleep(0.005)
        peers[-1].kill()
    peers.append(feed.peer("last"))
    device.wait_stored(sent)
    device.wait_acknowledged("feed")
    received = [number for peer in peers for number in peer.received()]
    check_feed(received, feed.select(topical(0, sent)), len(peers) - 1)
    device.stop()


def test_slow_subscriber_gets_all_once_and_slows_nobody():
    device, feed = feed_sub_device("--hwm", "10", "--settle", "1000", settle=False)
    other = Feed("other")
    device.stop()
    device.feeds.append(other)
    device.start()
    run_s, rate = 3 * LONG, 100
    count, padding = run_s * rate, b"x" * 8000
    slow = feed.peer("slow", rate=rate, rcvhwm=1, rcvbuf=4096)
    device.wait_subscribed(1, "feed")
    target, source = publisher(device.endpoint_in), other.reader()
    for number in range(count):
        target.send_multipart([b"a", padding, b"%d" % number])
    assert numbers(receive(source, count)) == list(range(count))
    assert len(slow.received()) < count, "it is not slow"
    slow.wait_received(count, run_s + WAIT_S)
    device.wait_acknowledged("feed")
    assert slow.received() == list(range(count))
    device.stop()


def test_stuck_subscriber_that_is_killed_loses_nothing():
    device, feed = feed_sub_device("--hwm", "10")
    target, padding = publisher(device.endpoint_in), b"x" * 8000
    stuck = feed.peer("stuck", count=20, rcvhwm=10, rcvbuf=4096)
    for number in range(1000):
        target.send_multipart([b"a", padding, b"%d" % number])
    device.wait_stored(1000)
    stuck.wait_received(20)
    stays_so(lambda: device.cursor("feed")["floor"] < 900, "it is stuck", 1)
    stuck.kill()
    received = take_all(feed.reader(), range(20, 1000))
    check_feed(stuck.received() + received, range(1000), 1)
    device.wait_acknowledged("feed")
    device.stop()


def test_subscriber_that_binds_is_found_again():
    endpoint = tcp()
    feed = Feed("feed", sub=True, endpoint=">" + endpoint)
    device = Stream("--settle", "60000", feeds=[feed])
    send(publisher(device.endpoint_in), topical(0, 2000))
    for count in 1, 1000:
        peer = Peer("@" + endpoint, topic="", count=count)
        peer.wait_received(count)
        assert peer.received() == list(range(count))
        peer.kill()
    source = subscriber("@" + endpoint)
    assert numbers(receive(source, 2000)) == list(range(2000))
    device.stop()


run_tests(globals())
