#!/usr/bin/python3
#  test_cursors.py - zspool cursor, and where feeds begin: by number, from the end, by time, back and forth
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stream import *


def seek(name, start, store="store", **how):
    return run_zspool("cursor", "seek", store, name, start, **how)


def stored_times():
    """When each message was stored, as `zspool dump` tells it."""
    lines = run_zspool("dump", "store", "--format", "json").splitlines()
    return [json.loads(line)["stored"] for line in lines]


def publish_in_groups(device, target, count, groups=4):
    """Groups that are stored at different times; gives a time between each two."""
    between = []
    for group in range(groups):
        first = group * count // groups
        send(target, topical(first, (group + 1) * count // groups))
        device.wait_stored((group + 1) * count // groups)
        time.sleep(0.002)
        between.append(f"@{time.time():.6f}")
        time.sleep(0.002)
    return between


def test_feeds_begin_where_they_are_told_when_they_are_created():
    device = Stream(*SETTLE)
    target = publisher(device.endpoint_in)
    began_s = time.time()
    between = publish_in_groups(device, target, 2000)
    times = stored_times()
    device.stop()
    expected = {"all": 0, "new": 2000, "last:1": 1999, "last:700": 1300, "last:99999": 0, "1": 0, "501": 500,
                "2000": 1999, "2001": 2000, between[0]: 500, between[2]: 1500, between[3]: 2000,
                "2001-01-01T00:00:00Z": 0, times[1000]: times.index(times[1000]), "-1d": 0, "-1h": 0,
                f"@{began_s - 1:.6f}": 0}
    device.feeds = [Feed(f"feed{number}", start=start) for number, start in enumerate(expected)]
    device.start()
    sources = {feed: feed.reader() for feed in device.feeds}
    send(target, topical(2000, 2005))
    for feed, source in sources.items():
        received = numbers(receive(source, 2005 - expected[feed.start]))
        assert received == list(range(expected[feed.start], 2005)), (feed.start, received[:3])
    device.wait_acknowledged(*(feed.name for feed in device.feeds))
    #  When it is there, what is said of its start is not heard.
    device.restart()
    send(target, topical(2005, 2010))
    for source in sources.values():
        take(source, range(2005, 2010), 0)
    device.stop()


def test_start_is_that_of_feeds_that_have_none():
    device = Stream(*SETTLE)
    publish_in_groups(device, publisher(device.endpoint_in), 400)
    device.stop()
    device.options += ["--start", "last:10"]
    device.feeds = [Feed("one"), Feed("other", start="new")]
    device.start()
    take(device.feeds[0].reader(), range(390, 400))
    take(device.feeds[1].reader(), [])
    device.stop()


def seeks(between):
    """Starts, and the first number of each, for 2000 messages in four groups."""
    return [("all", 0), ("1500", 1499), ("last:200", 1800), (between[1], 1000), ("1", 0), (between[0], 500),
            ("new", 2000), ("2000", 1999), ("last:2000", 0), (between[3], 2000), ("-1d", 0)]


def test_seek_on_a_running_device_goes_back_and_forth():
    for ack in "settled", "explicit", "sent":
        feed = Feed("feed", "a", "b.x", ack=ack)
        device = Stream(*SETTLE, "--ack-timeout", "60000", feeds=[feed], store=ack)
        source, acks = feed.reader(), producer(feed.ack_in) if feed.ack_in else None
        between = publish_in_groups(device, publisher(device.endpoint_in), 2000)

        def take_from(first):
            for number in feed.select(topical(first, 2000)):
                frames = source.recv_multipart()
                assert int(frames[-1]) == number, f"{ack}: {frames} is not {number}"
                if acks:
                    acks.send(frames[0])
        take_from(0)
        for turn, (start, first) in enumerate(seeks(between)):
            #  Mostly while what it has just sent is not acknowledged yet
            if turn % 4 == 0:
                device.wait_acknowledged("feed")
            seek("feed", start, ack)
            take_from(first)
            assert receive_for(source, 0.02) == [], (ack, start)
        device.wait_acknowledged("feed")
        device.stop()


def test_seek_at_rest():
    feed = Feed("feed")
    device = Stream(*SETTLE, feeds=[feed])
    source = feed.reader()
    between = publish_in_groups(device, publisher(device.endpoint_in), 2000)
    take(source, range(2000))
    device.wait_acknowledged("feed")
    source.close()
    device.stop()
    for start, first in seeks(between):
        seek("feed", start)
        assert device.cursor("feed")["floor"] == first, (start, device.cursor("feed"))
    seek("feed", "last:5")
    device.start()
    take(feed.reader(), range(1995, 2000))
    device.stop()


def test_seek_while_messages_flow():
    feeds = [Feed("settled", "a.x"), Feed("sub", "a.x", sub=True), Feed("tickets", "a.x", ack="explicit")]
    device = Stream("--settle", "300", "--ack-timeout", "2000", feeds=feeds)
    target, whims = publisher(device.endpoint_in), random.Random(4)
    peers = [feed.peer() for feed in feeds]
    sent, backs = 0, 0
    for turn in range(30 * LONG):
        send(target, topical(sent, sent + 400))
        sent += 400
        device.wait_stored(whims.randrange(sent - 400, sent))
        if turn % 3 == 2:
            #  Back only: so all of it comes at least once.
            floor = min(device.cursor(feed.name)["floor"] for feed in feeds)
            start = whims.choice(["all", "1", str(whims.randrange(1, floor + 2))])
            for feed in feeds:
                seek(feed.name, start)
            backs += 1
    expected = feeds[0].select(topical(0, sent))
    device.wait_stored(sent)
    for feed, peer in zip(feeds, peers):
        device.wait_acknowledged(feed.name, limit_s=60)
        wait_until(lambda p=peer: set(p.received()) == set(expected), f"{feed.name} has all")
        received = peer.received()
        if not feed.ack_in:
            check_feed(received, expected)
            steps_back = sum(after <= before for before, after in zip(received, received[1:]))
            assert steps_back <= backs, (feed.name, steps_back, backs)
    device.stop()


def test_seek_forward_gives_up_what_lies_between():
    feed = Feed("feed")
    device = Stream(*SETTLE, feeds=[feed])
    publish_in_groups(device, publisher(device.endpoint_in), 1000)
    seek("feed", "901")
    assert device.cursor("feed")["floor"] == 900
    take(feed.reader(), range(900, 1000))
    device.wait_acknowledged("feed")
    device.stop()


def test_tickets_of_before_a_seek_acknowledge_nothing():
    feed = Feed("feed", ack="explicit")
    device = Stream("--ack-timeout", "60000", feeds=[feed])
    source, acks = feed.reader(), producer(feed.ack_in)
    send(publisher(device.endpoint_in), topical(0, 100))
    before = receive(source, 100)
    seek("feed", "all")
    again = receive(source, 100)
    assert [frames[1:] for frames in before] == [frames[1:] for frames in again]
    for ticket, *_ in before:
        acks.send(ticket)
    for ticket, *_ in again[:50]:
        acks.send(ticket)
    wait_until(lambda: device.cursor("feed")["floor"] == 50, "the new tickets count")
    assert device.cursor("feed")["pending"] == 50
    device.restart(kill=True)
    assert [frames[1:] for frames in receive(source, 50)] == topical(50, 100)
    device.stop()


def test_seek_of_the_main_outlet_publishes_again():
    device = Stream("--hwm", "10000")
    target, source = publisher(device.endpoint_in), subscriber(device.endpoint_out)
    device.wait_subscribed(1)
    send(target, topical(0, 1000))
    take(source, range(1000))
    device.wait_acknowledged("out")
    seek("out", "last:300")
    take(source, range(700, 1000))
    device.stop()


def test_seek_survives_a_kill():
    feed = Feed("feed")
    device = Stream("--settle", "60000", feeds=[feed])
    target, source = publisher(device.endpoint_in), feed.reader()
    send(target, topical(0, 500))
    assert numbers(receive(source, 500)) == list(range(500))
    source.close()
    seek("feed", "301")
    device.restart(kill=True)
    take(feed.reader(), range(300, 500))
    device.stop()


def test_deleted_cursor_frees_what_it_held():
    gone, kept = Feed("gone"), Feed("kept")
    device = Stream(*SETTLE, "--keep-count", "0", feeds=[gone, kept])
    target, source = publisher(device.endpoint_in), kept.reader()
    send(target, topical(0, 3000))
    assert numbers(receive(source, 3000)) == list(range(3000))
    device.wait_acknowledged("kept")
    run_zspool("cursor", "delete", "store", "gone", status=1)
    assert device.info()["messages"] == 3000
    device.stop()
    device.feeds = [kept]
    device.start()
    stays_so(lambda: device.info()["messages"] == 3000, "the cursor of the feed holds it", 0.3)
    listed = run_zspool("cursor", "list", "store")
    assert all(name in listed for name in ("gone", "kept", "out")), listed
    run_zspool("cursor", "delete", "store", "gone")
    assert not device.cursor("gone") and "gone" not in run_zspool("cursor", "list", "store")
    device.wait_empty()
    device.stop()
    #  At rest, too; a feed of that name begins anew.
    device.feeds = [gone]
    device.start()
    send(target, topical(3000, 3100))
    device.wait_stored(3100)
    device.stop()
    run_zspool("cursor", "delete", "store", "gone")
    assert not device.cursor("gone")
    device.feeds = [Feed("gone", start="new")]
    device.start()
    take(device.feeds[0].reader(), [])
    device.stop()


def test_bad_usage_is_refused_and_changes_nothing():
    feed = Feed("feed")
    device = Stream(*SETTLE, feeds=[feed])
    send(publisher(device.endpoint_in), topical(0, 10))
    device.wait_stored(10)
    for running in True, False:
        for action, *rest in (["seek", "feed"], ["seek", "feed", "soon"], ["seek", "feed", "last:x"],
                              ["seek", "feed", "-5"], ["move", "feed"], ["delete"], ["list", "more"],
                              ["seek", "feed", "0x10"], ["seek", "feed", "2026-02-30"]):
            run_zspool("cursor", action, "store", *rest, status=2)
        for action, name, *rest in (["seek", "nobody", "all"], ["delete", "nobody"]):
            run_zspool("cursor", action, "store", name, *rest, status=1)
            run_zspool("cursor", action, "none", name, *rest, status=1)
        assert not os.path.exists("none")
        assert device.cursor("feed")["floor"] == 0 and device.cursor("feed")["generation"] == 1
        if running:
            device.stop()


run_tests(globals())
