#!/usr/bin/python3
#  test_stream_data_set.py - the text of manuals through a stream that is killed: each feed has what the store holds
#
#  SPDX-License-Identifier: MPL-2.0
#
#  A page is a topic: section, first letter and name, as in 1.l.ls or 5.s.systemd.unit. Each line of it is a message.
#  Where no manuals are installed, licences and the project's own documents serve.

import glob
import gzip
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from stream import *

SEED = int(os.environ.get("SELFTEST_SEED") or random.SystemRandom().randrange(1 << 40))
PAGES = 300 * LONG
LINES = 30000 * LONG
DEATHS = 5
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def find_pages():
    """Files of text, by topic."""
    pages = {}
    for path in glob.glob("/usr/share/man/man[1-9]/*.[1-9]*"):
        name = os.path.basename(path).removesuffix(".gz")
        section, name = name.rsplit(".", 1)[1], name.rsplit(".", 1)[0]
        if "," not in name:     #  else it is no filter
            pages[f"{section}.{name[:1].lower()}.{name}"] = path
    others = [("licence", "/usr/share/common-licenses/*"), ("doc", SOURCES + "/doc/*"), ("doc", SOURCES + "/*.md")]
    for kind, pattern in others if len(pages) < 50 else []:
        for path in filter(os.path.isfile, glob.glob(pattern)):
            name = os.path.basename(path)
            pages[f"{kind}.{name[:1].lower()}.{name}"] = path
    return pages


def lines_of(path):
    opened = gzip.open(path) if path.endswith(".gz") else open(path, "rb")
    with opened as page:
        return page.read().splitlines()


def data_set(whims):
    """Messages: the lines of some pages, a stretch of one page after a stretch of another."""
    pages = find_pages()
    topics = whims.sample(sorted(pages), min(PAGES, len(pages)))
    waiting = {topic: lines_of(pages[topic]) for topic in topics}
    messages = []
    while waiting and len(messages) < LINES:
        topic = whims.choice(list(waiting))
        stretch = whims.randrange(1, 200)
        for line in waiting[topic][:stretch]:
            messages.append([topic.encode(), line, b"%d" % len(messages)])
        waiting[topic] = waiting[topic][stretch:]
        if not waiting[topic]:
            del waiting[topic]
    print(f"{len(messages)} lines of {len(topics)} pages, {sum(len(line) for _, line, _ in messages)} bytes")
    return messages


def feeds_of(messages, whims):
    """Feeds with filters of all kinds that fit the topics there are."""
    topics = sorted({frames[0].decode() for frames in messages})
    one, other = whims.choice(topics), whims.choice(topics)
    section, letter = one.split(".")[:2]
    return [Feed("all"), Feed("section", section + "."), Feed("letter", f"*.{letter}.#"),
            Feed("one_page", one), Feed("shared", f"{section}.#", ack="explicit"),
            Feed("last_word", "#." + other.split(".")[-1]), Feed("three_words", "*.*.*", sub=True),
            Feed("more_words", "*.*.*.#.*", "no.such.page"), Feed("absent", f"#.{letter}.#")]


def test_manuals_published_through_a_stream_that_is_killed():
    print(f"SELFTEST_SEED={SEED} repeats this run")
    whims = random.Random(SEED)
    messages = data_set(whims)
    feeds = feeds_of(messages, whims)
    device = Stream("--settle", "500", "--ack-timeout", "2000", feeds=feeds)
    target = publisher(device.endpoint_in)
    peers = {feed: [feed.peer(f"{feed.name}{at}") for at in range(2 if feed.name == "shared" else 1)]
             for feed in feeds if feed.name != "absent"}
    deaths = {whims.randrange(len(messages)) for _ in range(DEATHS)}
    for number, frames in enumerate(messages):
        target.send_multipart(frames)
        if number % 500 == 0:
            time.sleep(0.005)
        if number in deaths:
            wait_until(lambda: device.info()["last_sequence"], "it has begun")
            device.restart(kill=True)
    wait_until(lambda: numbers(device.stored(device.info()["last_sequence"])) == [len(messages) - 1], "all has come")
    peers[feeds[-1]] = [feeds[-1].peer()]
    device.wait_acknowledged(*(feed.name for feed in feeds), limit_s=60)
    device.stop()
    kept = device.stored()
    assert all(frames == messages[int(frames[-1])] for frames in kept), "a message has changed"
    assert numbers(kept) == sorted(set(numbers(kept))), "out of order, or twice"
    print(f"{len(kept)} of {len(messages)} were stored in spite of {len(deaths)} deaths")
    for feed, readers in peers.items():
        expected = feed.select(kept)
        received = [number for peer in readers for number in peer.received()]
        print(f"  {feed.name} {','.join(feed.filters)}: {len(expected)} messages, {len(received)} received")
        if feed.ack_in:
            assert set(received) == set(expected), feed.name
        else:
            check_feed(received, expected)
    assert peers[feeds[-1]][0].received() == feeds[-1].select(kept), "the absent feed: not each once"


run_tests(globals())
