#!/usr/bin/python3
#  stream_kill_loop.py - kills a stream and the readers of its feeds again and again, and accounts for all messages
#
#  SPDX-License-Identifier: MPL-2.0
#
#  By hand: ZSPOOL_BIN=... selftest/crash/stream_kill_loop.py --rounds 300 --seed 7
#
#  PUB peers number their messages; every byte of a message follows from its publisher and number. Each feed has
#  readers in processes, which write down what they receive; they are killed, too, and one feed has none
#  most of the time. The store is looked at after each death of the device. The account:
#    1. Bytes are unchanged.
#    2. Every feed has every stored message of its topics.
#    3. sync: what a feed has is stored. async: what is not, was forwarded and lies in a recorded gap.
#    4. A sequence never stands for two messages (explicit).
#    5. The reader of a settled feed gets one message after the other; it goes ahead only where a reader
#       was killed, and back where a death or a seek makes it begin again.
#    6. What is stored of a publisher is in order, and nothing twice.
#    7. The main outlet publishes what is stored, in order.
#  With --power-cut each death takes the power, too: of what was not synced any part is gone.

import argparse
import os
import random
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from stream import *
from kill_loop import TICKET, run_by_hand, wait_quiet
from recorder import Recorder

RECORD = struct.Struct("<IIQ?")         #  publisher, number, sequence, unchanged
TEXT = bytes(random.Random(0).choices(b"abcdefghijklmnopqrstuvwxyz", k=10000))
TOPICS = [f"{a}.{b}{c}".encode() for a in "abc" for b in "xyz" for c in ("", ".1", ".2.q")]


def message(name, number):
    """Topics in a random order, mostly small."""
    size = number * 37 % (6000 if number % 50 == 0 else 200)
    start = (number * 7 + name) % 1000
    topic = TOPICS[(number * 31 + number // 27 + name) % len(TOPICS)]
    return [topic, b"%d:%d" % (name, number), TEXT[start:start + size]]


def key_of(frames):
    """Publisher and number of a message."""
    name, number = frames[1].split(b":")
    return int(name), int(number)


#  ---- readers, in processes of their own

def read(kind, endpoint, ack_in, ledger_name, seed):
    """Receive, write down, acknowledge; now and then, under explicit, forget to."""
    context = zmq.Context()
    source = context.socket(zmq.SUB if kind == "sub" else zmq.PULL)
    if kind == "sub":
        source.subscribe(b"")
    source.connect(endpoint)
    acks = context.socket(zmq.PUSH)
    if ack_in:
        acks.connect(ack_in)
    whims = random.Random(seed)
    #  A write that was killed at the end of a page may have left half a record.
    if os.path.exists(ledger_name):
        os.truncate(ledger_name, os.path.getsize(ledger_name) // RECORD.size * RECORD.size)
    with open(ledger_name, "ab", buffering=0) as ledger:
        while True:
            frames = source.recv_multipart()
            ticket = frames.pop(0) if ack_in else None
            sequence = TICKET.unpack(ticket)[6] if ticket else 0
            name, number = key_of(frames)
            ledger.write(RECORD.pack(name, number, sequence, frames == message(name, number)))
            if ticket and whims.random() < 0.98:
                acks.send(ticket)


class Reader:
    """A reader's process, and its ledger, which goes on when it is killed and started again."""

    def __init__(self, name, kind, endpoint, ack_in=None, seed=1):
        self.ledger = f"ledger.{name}"
        self.command = [sys.executable, os.path.abspath(__file__), "--read", kind, endpoint, ack_in or "", self.ledger,
                        str(seed)]
        self.read_bytes = 0
        self.process = None

    def start(self):
        self.process = spawn(*self.command)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def new_records(self):
        """What was written down since the last call."""
        if not os.path.exists(self.ledger):
            return []
        with open(self.ledger, "rb") as ledger:
            ledger.seek(self.read_bytes)
            data = ledger.read()
        data = data[:len(data) // RECORD.size * RECORD.size]
        self.read_bytes += len(data)
        return list(RECORD.iter_unpack(data))


#  ---- publishers, in threads

class Publisher(threading.Thread):
    """Publishes at a rate until it is stopped, in bursts; what cannot be sent is dropped, as PUB does."""

    def __init__(self, name, endpoint, rate, seed):
        super().__init__(daemon=True)
        self.number = name
        self.whims = random.Random(seed * 100 + name)
        self.target = connect(zmq.PUB, endpoint)
        self.rate = rate
        self.sent = 0
        self.stopping = False

    def run(self):
        while not self.stopping:
            burst = self.whims.randrange(1, 200)
            for _ in range(burst):
                try:
                    self.target.send_multipart(message(self.number, self.sent))
                except zmq.ZMQError:    #  closed, since the test has failed
                    return
                self.sent += 1
            time.sleep(burst / self.rate)


#  ---- the account

class Ledger:
    """What a feed has received, held against what is stored of its topics."""

    def __init__(self, feed, readers):
        self.feed = feed
        self.readers = readers
        self.expected = []          #  what is stored of its topics, by sequence
        self.received = []
        self.sequences = {}         #  explicit: sequence: message
        self.departures = 0

    def note(self):
        """Take over what was written down; gives what that is."""
        before = len(self.received)
        for reader in self.readers:
            for name, number, sequence, unchanged in reader.new_records():
                assert unchanged, f"{self.feed.name}: message {name}:{number} has changed"
                self.received.append((name, number))
                if sequence:
                    known = self.sequences.setdefault(sequence, (name, number))
                    assert known == (name, number), f"{sequence} is {known} and {name}:{number}"
        return self.received[before:]

    def disturb(self, whims):
        """Kill a reader, or let one come."""
        reader = whims.choice(self.readers)
        if reader.process:
            reader.kill()
            self.departures += 1
        if self.feed.name != "away" or whims.random() < 0.2:
            reader.start()

    def check(self, lost):
        received, expected = set(self.received), set(self.expected)
        unknown = len(received - expected)
        assert unknown <= lost, f"{self.feed.name}: {unknown} are not stored, {lost} may have been lost"
        missing = [key for key in self.expected if key not in received]
        assert not missing, f"{self.feed.name}: {len(missing)} of {len(expected)} are missing, first {missing[0]}"
        if len(self.readers) == 1 and not self.feed.ack_in:
            check_feed([key for key in self.received if key in expected], self.expected, self.departures)


class Account:
    """All that was stored and all that was received."""

    def __init__(self, ledgers, published, options):
        self.ledgers = ledgers
        self.published = published  #  the ledger of the main outlet's subscriber
        self.options = options
        self.last_sequence = 0
        self.lost = 0
        self.stored = set()
        self.newest = {}            #  publisher: highest number
        self.deaths = 0

    def look(self, device):
        """Take over what is stored at rest; nothing that was forwarded is missing."""
        state = device.info()
        assert state["last_sequence"] == 0 or state["first_sequence"] <= self.last_sequence + 1, \
            "more was trimmed than was to be kept"
        for frames in device.stored(self.last_sequence + 1):
            key = key_of(frames)
            assert key[1] > self.newest.get(key[0], -1), f"{key} is stored twice, or out of order"
            self.newest[key[0]] = key[1]
            self.stored.add(key)
            for ledger in self.ledgers + [self.published]:
                if matches(ledger.feed.filters, frames[0]):
                    ledger.expected.append(key)
        self.last_sequence, self.lost = state["last_sequence"], state["lost"]
        noted = [key for ledger in self.ledgers + [self.published] for key in ledger.note()]
        if self.options.durability != "async":
            unstored = [key for key in noted if key not in self.stored]
            assert not unstored and self.lost == 0, f"{len(unstored)} were forwarded and are not stored"

    def check(self):
        for ledger in self.ledgers:
            ledger.check(self.lost)
        place = {key: at for at, key in enumerate(self.published.expected)}
        places = [place[key] for key in self.published.received if key in place]
        back = sum(after <= before for before, after in zip(places, places[1:]))
        #  A device that is killed at once may never have had a plain subscriber.
        brief = self.options.pause < 0.1
        assert (places or brief) and back <= self.deaths, f"published: {len(places)}, back {back} times"

    def summary(self, publishers):
        def about(ledger):
            duplicates = len(ledger.received) - len(set(ledger.received))
            return f"{ledger.feed.name} {len(ledger.expected)} +{duplicates} twice, {ledger.departures} departures"
        sent = sum(at.sent for at in publishers)
        return (f"sent {sent}, stored {len(self.stored)}, published {len(set(self.published.received))}, "
                f"lost in gaps {self.lost}, {self.deaths} deaths; "
                + "; ".join(about(ledger) for ledger in self.ledgers))


#  ---- the loop

def make_feeds(options):
    """Feeds of each kind, and how many readers they have."""
    return [(Feed("all"), 1), (Feed("tickets", "*.x.#", ack="explicit"), 2), (Feed("sub", "a.", "#.q", sub=True), 1),
            (Feed("away", "c.*"), 1), (Feed("few", "b.z.2.q"), options.readers)]


def seek_back(device, ledgers, whims):
    """Let a feed begin again: back only, so that nothing is given up."""
    feed = whims.choice(ledgers).feed
    floor = device.cursor(feed.name)["floor"]
    first = device.info()["first_sequence"]
    if floor >= first > 0:
        run_zspool("cursor", "seek", device.store, feed.name, str(whims.randrange(first, floor + 2)))


def kill_loop(options):
    """Run the loop in the current directory; give a summary."""
    whims = random.Random(options.seed)
    recorder = Recorder() if options.power_cut else None
    feeds = make_feeds(options)
    device = Stream("--durability", options.durability, "--settle", "1000", "--ack-timeout", "1000",
                    "--keep-count", str(options.keep), feeds=[feed for feed, _ in feeds],
                    environment=recorder and recorder.environment)
    ledgers = [Ledger(feed, [Reader(f"{feed.name}.{at}", "sub" if feed.sub else "pull", feed.endpoint, feed.ack_in,
                                    options.seed + at) for at in range(count)]) for feed, count in feeds]
    published = Ledger(Feed("out"), [Reader("out", "sub", device.endpoint_out)])
    account = Account(ledgers, published, options)
    publishers = [Publisher(at, device.endpoint_in, options.rate, options.seed) for at in range(options.publishers)]
    for reader in [reader for ledger in ledgers + [published] for reader in ledger.readers]:
        reader.start()
    for at in publishers:
        at.start()
    for _ in range(options.rounds):
        time.sleep(whims.expovariate(1) * options.pause)
        if whims.random() < 0.4:
            whims.choice(ledgers).disturb(whims)
            time.sleep(whims.random() * options.pause)
        if whims.random() < options.seeks:
            seek_back(device, ledgers, whims)
        #  Mostly kills; now and then a stop in good order
        if whims.random() < 0.1:
            device.stop()
        else:
            device.kill()
        if recorder:
            recorder.cut(whims.randrange(1 << 40))
        account.deaths += 1
        account.look(device)
        if whims.random() < 0.1:
            run_zspool("verify", device.store)
        device.start()
    for at in publishers:
        at.stopping = True
        at.join(WAIT_S)
    return finish(device, publishers, account)


def finish(device, publishers, account):
    """Let everything arrive, stop, and settle the account."""
    for reader in [reader for ledger in account.ledgers for reader in ledger.readers]:
        if not reader.process:
            reader.start()
    wait_quiet(device)
    device.wait_acknowledged(*(ledger.feed.name for ledger in account.ledgers), limit_s=60)
    time.sleep(0.1)
    device.stop()
    account.look(device)
    run_zspool("verify", device.store)
    account.check()
    return account.summary(publishers)


def parse(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--durability", default="sync", choices=["sync", "async", "transaction"])
    parser.add_argument("--publishers", type=int, default=2)
    parser.add_argument("--readers", type=int, default=2, help="of the feed that several share")
    parser.add_argument("--rate", type=int, default=3000, help="messages a second of each publisher")
    parser.add_argument("--pause", type=float, default=0.15, help="seconds between kills, mean")
    parser.add_argument("--keep", type=int, default=100000, help="messages of history")
    parser.add_argument("--seeks", type=float, default=0.2, help="how often a feed is moved back, of each kill")
    parser.add_argument("--power-cut", action="store_true",
                        help="with each death any part of what was not synced is gone")
    parser.add_argument("--keep-directory", action="store_true", help="keep the directory when it fails")
    return parser.parse_args(arguments)


def main():
    if sys.argv[1:2] == ["--read"]:
        read(*sys.argv[2:6], int(sys.argv[6]))
    options = parse(sys.argv[1:])
    run_by_hand(kill_loop, options, options.keep_directory)


if __name__ == "__main__":
    main()
