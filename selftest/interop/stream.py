#  stream.py - what tests of `zspool stream` share: a device with feeds, PUB and SUB peers, the account of a feed
#
#  SPDX-License-Identifier: MPL-2.0
#
#  Messages are [topic, number], maybe with frames between. What the store holds is asked of `zspool dump`;
#  which of it a feed must have, of a matcher that tries everything.

import base64

from device import *

SETTLE = ["--settle", "300"]


#  ---- filters

def _match(tokens, words):
    if not tokens:
        return not words
    if tokens[0] == b"#":
        return any(_match(tokens[1:], words[count:]) for count in range(len(words) + 1))
    return bool(words) and tokens[0] in (b"*", words[0]) and _match(tokens[1:], words[1:])


def matches(filters, topic):
    """Whether one of the filters lets a topic pass; without filters each does."""
    for text in map(str.encode, filters):
        tokens = text.split(b".")
        is_pattern = b"*" in tokens or b"#" in tokens
        if _match(tokens, topic.split(b".")) if is_pattern else topic.startswith(text):
            return True
    return not filters


#  ---- devices

class Feed:
    """A feed as its options tell of it."""

    def __init__(self, name, *filters, sub=False, ack=None, start=None, endpoint=None):
        self.name = name
        self.filters = filters
        self.sub = sub
        self.ack = ack
        self.start = start
        self.endpoint = endpoint or tcp()
        self.ack_in = tcp() if ack == "explicit" else None

    def options(self):
        options = ["--feed-sub" if self.sub else "--feed",
                   ",".join([f"{self.name}={self.endpoint}", *self.filters])]
        if self.ack:
            options += ["--feed-ack", ",".join([f"{self.name}={self.ack}"] + [self.ack_in] * bool(self.ack_in))]
        if self.start:
            options += ["--feed-start", f"{self.name}={self.start}"]
        return options

    def reader(self, **options):
        """A socket that takes from it."""
        return subscriber(self.endpoint, **options) if self.sub else consumer(self.endpoint, **options)

    def peer(self, name=None, **options):
        """A process that takes from it."""
        if self.sub:
            options["topic"] = ""
        if self.ack_in:
            options["ack_in"] = self.ack_in
        return Peer(self.endpoint, name or self.name, **options)

    def select(self, messages):
        """The numbers of those messages that are for it."""
        return [int(frames[-1]) for frames in messages if matches(self.filters, frames[0])]


class Stream(Device):
    """A `zspool stream` process, or another command with its options."""

    def __init__(self, *options, feeds=(), out=True, command="stream", **how):
        self.feeds = list(feeds)
        self.has_out = out
        self.command_name = command
        super().__init__(*options, **how)

    def command(self):
        out = ["--out", self.endpoint_out] if self.has_out else []
        feeds = [option for feed in self.feeds for option in feed.options()]
        return [ZSPOOL_BIN, self.command_name, "--store", self.store, "--in", self.endpoint_in, *out, *feeds,
                *self.options, *QUEUE_OPTIONS]

    def status(self):
        """What `zspool status` says."""
        return json.loads(run_zspool("status", self.store, "--json"))

    def outlet(self, label="out"):
        """What it says of an outlet: `out` or the name of a feed."""
        status = self.status()
        return status["out"] if label == "out" else status["feed"][label]

    def wait_subscribed(self, count, label="out"):
        wait_until(lambda: int(self.outlet(label)["subscriptions"]) == count,
                   f"{label} has {count} subscriptions")

    def cursor(self, name):
        """The numbers of a cursor; none when there is no such."""
        found = [cursor for cursor in self.info()["cursors"] if cursor["name"] == name]
        return found[0] if found else None

    def wait_acknowledged(self, *names, limit_s=WAIT_S):
        """Wait until these cursors have acknowledged all that is stored."""
        for name in names:
            wait_until(lambda n=name: self.cursor(n)["pending"] == 0, f"{name} has acknowledged all", limit_s)

    def stored(self, first=1):
        return stored(self.store, first)


def run_zspool(*arguments, status=0):
    """Run a command; give its output, or its line of error when it is to fail."""
    done = subprocess.run([ZSPOOL_BIN, *arguments], capture_output=True, check=False, text=True,
                          timeout=WAIT_S * 2)
    assert done.returncode == status, f"{arguments}: exit status {done.returncode}: {done.stderr}"
    if status:
        assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr if status else done.stdout


def _bytes_of(frame):
    return base64.b64decode(frame["base64"]) if isinstance(frame, dict) else frame.encode()


def stored(store="store", first=1):
    """All messages that a store holds from a sequence on, oldest first."""
    lines = run_zspool("dump", store, "--format", "json", "--from", str(first)).splitlines()
    return [[_bytes_of(frame) for frame in json.loads(line)["frames"]] for line in lines]


#  ---- peers

def publisher(endpoint, subscriptions=1, **options):
    """A publisher that waits for the device's subscriptions: an XPUB, which to the device is a PUB."""
    target = connect(zmq.XPUB, endpoint, **{"sndhwm": 0, **options})
    for _ in range(subscriptions):
        subscription = target.recv()
        assert subscription[:1] == b"\1", subscription
    return target


def subscriber(endpoint, *topics, **options):
    """A SUB peer of these topics, or of all."""
    source = connect(zmq.SUB, endpoint, **{"rcvhwm": 0, **options})
    for topic in topics or [b""]:
        source.subscribe(topic)
    return source


def topical(first, end, topics=(b"a.x", b"a.y", b"b.x", b"b.y.z")):
    """Messages with these numbers, their topics in turn."""
    return [[topics[number % len(topics)], b"%d" % number] for number in range(first, end)]


def numbers(messages):
    return [int(frames[-1]) for frames in messages]


def take(source, expected, quiet_s=0.1):
    """Receive exactly these numbers, in order, and nothing behind them."""
    for number in expected:
        message = source.recv_multipart()
        assert int(message[-1]) == number, f"{message} is not {number}"
    assert receive_for(source, quiet_s) == []


def take_all(source, expected):
    """Receive until nothing of what is expected is missing; give the numbers as they came."""
    received, missing = [], set(expected)
    while missing:
        received.append(int(source.recv_multipart()[-1]))
        missing.discard(received[-1])
    return received


#  ---- the account

def check_feed(received, expected, departures=0):
    """Hold what a feed's only reader, or one after the other, took against what is stored of its topics.

    Nothing is missing and nothing is new. From one message to the next is a step of one, or a step back
    to what was not acknowledged; ahead only where a reader came before the last one's end was noticed.
    """
    place = {number: index for index, number in enumerate(expected)}
    unknown = [number for number in received if number not in place]
    assert not unknown, f"{len(unknown)} are not stored, or of other topics, first {unknown[0]}"
    missing = sorted(set(expected) - set(received))
    assert not missing, f"{len(missing)} of {len(expected)} are missing, first {missing[0]}"
    places = [place[number] for number in received]
    jumps = [after for before, after in zip([-1] + places, places) if after > before + 1]
    assert len(jumps) <= departures, f"{len(jumps)} jumps ahead, first to {expected[jumps[0]]}"
