#!/usr/bin/python3
#  test_feeds.py - every feed gets each stored message of its topics, whoever is away, slow or killed
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stream import *

WORDS = ["a", "b", "ab", "c", ""]


def test_the_account_finds_what_is_wrong():
    expected = [1, 3, 5, 7]
    check_feed([1, 3, 1, 3, 5, 7], expected)
    check_feed([1, 5, 3, 5, 7], expected, departures=1)
    for wrong in ([1, 3, 5], [3, 5, 7], [1, 3, 4, 5, 7], [1, 5, 3, 5, 7], [1, 3, 7, 5, 7], []):
        try:
            check_feed(wrong, expected)
        except AssertionError:
            continue
        raise AssertionError(f"{wrong} is found right")


def test_each_feed_gets_its_topics_once_and_in_order():
    feeds = [Feed("all"), Feed("prefix", "a."), Feed("one", "b.*"), Feed("many", "*.y.#"),
             Feed("two", "a.x", "#.z"), Feed("none", "nothing.*"), Feed("sub", "#.y.#", sub=True),
             Feed("sent", "a", ack="sent"), Feed("tickets", "*.x", ack="explicit")]
    device = Stream(*SETTLE, feeds=feeds)
    readers = {feed: feed.reader() for feed in feeds}
    messages = topical(0, 2000)
    send(publisher(device.endpoint_in), messages)
    for feed, source in readers.items():
        acks = producer(feed.ack_in) if feed.ack_in else None
        expected = feed.select(messages)
        for number in expected:
            frames = source.recv_multipart()
            if acks:
                acks.send(frames.pop(0))
            assert frames == messages[number], f"{feed.name}: {frames} is not {messages[number]}"
    device.wait_acknowledged(*(feed.name for feed in feeds))
    for feed, source in readers.items():
        assert receive_for(source, 0.05) == [], feed.name
        assert int(device.outlet(feed.name)["sent"]) == len(feed.select(messages)), feed.name
    assert device.stored() == messages
    device.stop()


def random_filter(whims):
    if whims.random() < 0.3:
        return ".".join(whims.choices(WORDS[:4], k=whims.randrange(3)))
    tokens = whims.choices(WORDS + ["*", "#", "*", "#"], k=whims.randrange(1, 5))
    return ".".join(tokens)


def test_random_topics_and_filters_as_a_naive_matcher_has_them():
    whims = random.Random(int(os.environ.get("SELFTEST_SEED") or 1))
    feeds = [Feed(f"feed{number}", *{random_filter(whims) for _ in range(whims.choice([1, 1, 2, 5]))},
                  start="all") for number in range(20)]
    device = Stream(*SETTLE)
    messages = [[".".join(whims.choices(WORDS, k=whims.randrange(1, 6))).encode(), b"%d" % number]
                for number in range(3000)]
    send(publisher(device.endpoint_in), messages)
    device.wait_stored(len(messages))
    device.stop()
    device.feeds = feeds
    device.start()
    for feed in feeds:
        source = feed.reader()
        for number in feed.select(messages):
            frames = source.recv_multipart()
            assert frames == messages[number], (feed.filters, frames, messages[number])
    device.wait_acknowledged(*(feed.name for feed in feeds))
    for feed in feeds:
        assert int(device.outlet(feed.name)["sent"]) == len(feed.select(messages)), feed.filters
    device.stop()


def test_absent_feed_gets_all_when_it_comes_and_delays_nobody():
    there, absent = Feed("there", "a"), Feed("absent", "#.y.#", ack="explicit")
    device = Stream(*SETTLE, feeds=[there, absent])
    target = publisher(device.endpoint_in)
    source, out = there.reader(), subscriber(device.endpoint_out)
    device.wait_subscribed(1)
    messages = topical(0, 30000)
    for first in range(0, len(messages), 500):
        send(target, messages[first:first + 500])
        receive(out, 500)
    for number in there.select(messages):
        assert int(source.recv_multipart()[-1]) == number
    device.wait_acknowledged("there", "out")
    device.restart(kill=True)
    #  Before the first of its topics lies nothing that it must have.
    assert device.cursor("absent")["floor"] <= absent.select(messages)[0]
    acks = producer(absent.ack_in)
    late = absent.reader()
    for number in absent.select(messages):
        ticket, *frames = late.recv_multipart()
        acks.send(ticket)
        assert frames == messages[number]
    device.wait_acknowledged("absent")
    device.stop()


def test_late_joiner_gets_the_history():
    device = Stream(*SETTLE)
    messages = topical(0, 5000)
    send(publisher(device.endpoint_in), messages)
    device.wait_stored(5000)
    device.stop()
    device.feeds = [Feed("late", "b", start="all"), Feed("sub", "b.y.#", sub=True, start="all"),
                    Feed("tail", start="last:700")]
    device.start()
    sources = [feed.reader() for feed in device.feeds]
    for feed, source in zip(device.feeds, sources):
        take(source, feed.select(messages[-700:] if feed.name == "tail" else messages))
    send(publisher(device.endpoint_in), topical(5000, 5010))
    for feed, source in zip(device.feeds, sources):
        take(source, feed.select(topical(5000, 5010)))
    device.stop()


def test_readers_of_a_feed_share_its_messages():
    for ack in "settled", "explicit":
        feed = Feed("work", "#.x", ack=ack)
        device = Stream(*SETTLE, feeds=[feed], out=False, store=ack)
        sources = [feed.reader() for _ in range(3)]
        wait_until(lambda: int(device.outlet("work")["peers"]) == 3, "all are there")
        messages = topical(0, 6000)
        send(publisher(device.endpoint_in), messages)
        acks = producer(feed.ack_in) if feed.ack_in else None
        received = receive_from(sources, 3000)
        for taken in received.values():
            assert len(taken) > 500 and numbers(taken) == sorted(numbers(taken))
            for frames in taken if acks else []:
                acks.send(frames[0])
        assert sorted(number for taken in received.values() for number in numbers(taken)) == feed.select(messages)
        device.wait_acknowledged("work")
        device.stop()


def test_tickets_that_do_not_come_are_sent_again_to_their_feed_alone():
    first, second = Feed("first", "a", ack="explicit"), Feed("second", "a", ack="explicit")
    device = Stream("--ack-timeout", "300", feeds=[first, second])
    sources = [feed.reader() for feed in (first, second)]
    acks = [producer(feed.ack_in) for feed in (first, second)]
    send(publisher(device.endpoint_in), topical(0, 400))
    for ticket, *_ in receive(sources[1], 200):
        acks[1].send(ticket)
    device.wait_acknowledged("second")
    kept, missing = {}, set(range(0, 400, 4)) | set(range(1, 400, 4))
    while missing:
        ticket, _, number = sources[0].recv_multipart()
        #  A ticket of the one feed is none of the other's.
        acks[1].send(ticket)
        if int(number) in kept:
            acks[0].send(ticket)
            missing.discard(int(number))
        kept[int(number)] = ticket
    device.wait_acknowledged("first")
    assert int(device.outlet("second")["resent"]) == 0
    device.stop()


def test_blocks_of_other_topics_are_not_sent_again_after_a_kill():
    feed = Feed("feed", "a", ack="explicit")
    device = Stream("--ack-timeout", "60000", feeds=[feed])
    target, source = publisher(device.endpoint_in), feed.reader()
    #  Blocks of one message each; the first is not acknowledged, so the floor stays below them.
    for number, topic in enumerate([b"a"] + [b"b"] * 20 + [b"a"]):
        target.send_multipart([topic, b"%d" % number])
        device.wait_stored(number + 1)
    assert numbers(receive(source, 2)) == [0, 21]
    wait_until(lambda: device.cursor("feed")["sent_to"] == 22, "the store knows that they are under way")
    device.restart(kill=True)
    assert numbers(receive(source, 2)) == [0, 21]
    assert receive_for(source, 0.2) == []
    device.stop()


def test_poison_of_a_feed_dies_once_and_the_others_have_it():
    feed, other = Feed("poisoned", "a", ack="explicit"), Feed("other")
    device = Stream("--ack-timeout", "100", "--max-deliveries", "2", *SETTLE, feeds=[feed, other])
    source = feed.reader()
    send(publisher(device.endpoint_in), topical(0, 8))
    receive(source, 8)
    wait_until(lambda: info("store", "main.dead")["last_sequence"] == 4, "its messages die")
    device.wait_acknowledged("poisoned")
    take(other.reader(), range(8))
    assert numbers(device.stored()) == list(range(8))
    device.stop()


#  ---- who is killed

def test_killed_readers_of_feeds_lose_nothing():
    feeds = [Feed("settled", "a"), Feed("sub", "a", sub=True), Feed("tickets", "a", ack="explicit")]
    device = Stream("--settle", "1000", "--ack-timeout", "1000", feeds=feeds)
    target, whims = publisher(device.endpoint_in), random.Random(1)
    peers = {feed: [] for feed in feeds}
    sent = 0
    for turn in range(6 * LONG):
        for feed in feeds:
            if peers[feed]:
                peers[feed][-1].kill()
            peers[feed].append(feed.peer(f"{feed.name}{turn}"))
        send(target, topical(sent, sent + 1000))
        sent += 1000
        device.wait_stored(whims.randrange(sent - 1000, sent))
    device.wait_acknowledged(*(feed.name for feed in feeds))
    for feed in feeds:
        received = [number for peer in peers[feed] for number in peer.received()]
        expected = feed.select(topical(0, sent))
        if feed.ack_in:
            assert set(received) == set(expected), feed.name
        else:
            check_feed(received, expected, len(peers[feed]) - 1)
    device.stop()


def test_killed_device_sends_again_from_each_feeds_floor():
    feeds = [Feed("settled", "*.x"), Feed("sub", "#.y.#", sub=True), Feed("tickets", ack="explicit"),
             Feed("away", "b")]
    device = Stream(*SETTLE, "--ack-timeout", "1000", feeds=feeds)
    target, whims = publisher(device.endpoint_in), random.Random(2)
    peers = {feed: feed.peer() for feed in feeds[:3]}
    sent = 0
    for _ in range(6 * LONG):
        before = device.info()["last_sequence"]
        send(target, topical(sent, sent + 2000))
        sent += 2000
        wait_until(lambda b=before: device.info()["last_sequence"] >= b + whims.randrange(1, 1500), "it is busy")
        device.restart(kill=True)
    #  What the publisher still holds comes when the device is there again.
    send(target, topical(sent, sent + 1))
    wait_until(lambda: numbers(device.stored(device.info()["last_sequence"])) == [sent], "all has come")
    peers[feeds[3]] = feeds[3].peer()
    device.wait_acknowledged(*(feed.name for feed in feeds))
    messages = device.stored()
    assert numbers(messages) == sorted(set(numbers(messages))) and len(messages) > sent // 4
    for feed, peer in peers.items():
        peer.wait_received(len(feed.select(messages)))
        if feed.ack_in:
            assert set(peer.received()) == set(feed.select(messages))
        else:
            check_feed(peer.received(), feed.select(messages))
    assert peers[feeds[3]].received() == feeds[3].select(messages)
    device.stop()


def test_sent_feed_gets_each_message_once_while_nobody_dies():
    feed = Feed("sent", "b", ack="sent")
    device = Stream(feeds=[feed])
    target, messages = publisher(device.endpoint_in), topical(0, 3000)
    send(target, messages[:1000])
    device.wait_stored(1000)
    device.restart(kill=True)
    source = feed.reader()
    take(source, feed.select(messages[:1000]))
    device.wait_acknowledged("sent")
    device.stop()
    device.start()
    send(target, messages[1000:])
    take(source, feed.select(messages[1000:]))
    device.stop()


#  ---- feeds that come and go with the command line

def test_feed_keeps_its_place_when_it_is_left_out_for_a_while():
    kept, other = Feed("kept", "a"), Feed("other")
    device = Stream(*SETTLE, "--keep-count", "0", feeds=[kept, other])
    target, source = publisher(device.endpoint_in), kept.reader()
    other_source = other.reader()
    messages = topical(0, 4000)
    send(target, messages[:1000])
    take(source, kept.select(messages[:1000]))
    device.wait_acknowledged("kept")
    source.close()
    device.stop()
    device.feeds = [other]
    device.start()
    send(target, messages[1000:3000])
    assert numbers(receive(other_source, 3000)) == list(range(3000))
    device.wait_acknowledged("other", "out")
    #  Its cursor holds what it has not got.
    assert device.cursor("kept")["floor"] == 1000 and device.info()["messages"] >= 2000
    device.stop()
    device.feeds = [other, kept]
    device.start()
    send(target, messages[3000:])
    take(kept.reader(), kept.select(messages[1000:]))
    device.wait_empty()
    device.stop()


def test_filters_of_a_feed_may_change_from_start_to_start():
    feed = Feed("feed", "a")
    device = Stream(*SETTLE, feeds=[feed])
    target = publisher(device.endpoint_in)
    messages = topical(0, 200)
    source = feed.reader()
    send(target, messages[:100])
    take(source, feed.select(messages[:100]))
    device.wait_acknowledged("feed")
    device.stop()
    feed.filters = ("b.x", "#.z")
    device.start()
    send(target, messages[100:])
    take(source, feed.select(messages[100:]))
    device.stop()


def test_bad_feeds_are_refused():
    endpoint, ack_in = tcp(), tcp()
    for bad in (["--feed", "x"], ["--feed", f"={endpoint}"], ["--feed", "x="], ["--feed", f"out={endpoint}"],
                ["--feed", f"dead={endpoint}"], ["--feed", f"x={endpoint}", "--feed", f"x={tcp()}"],
                ["--feed", f"x={endpoint}", "--feed-sub", f"x={tcp()}"], ["--feed-ack", "y=sent"],
                ["--feed", f"x={endpoint}", "--feed-ack", "x=explicit"],
                ["--feed", f"x={endpoint}", "--feed-ack", "x=soon"],
                ["--feed-sub", f"x={endpoint}", "--feed-ack", f"x=explicit,{ack_in}"],
                ["--feed", f"x={endpoint}", "--feed-start", "x=soon"], ["--feed-start", "y=all"],
                ["--feed", f"x={endpoint},{'t' * 1024}"], ["--keep-age", "old"], ["--keep-count", "-1"],
                ["--keep-unacked", "maybe"], ["--hold", "-1"], ["--in-type", "pair"], ["--out-type", "sub"],
                [text for number in range(61) for text in ("--feed", f"f{number}=ipc://f{number}")]):
        done = subprocess.run([ZSPOOL_BIN, "stream", "--store", "store", "--in", tcp(), "--out", tcp(), *bad],
                              capture_output=True, check=False, timeout=WAIT_S)
        assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and not done.stdout, (bad, done)
        assert not os.path.exists("store"), bad


run_tests(globals())
