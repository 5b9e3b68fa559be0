#  zsp_wire.py - ZSP on a raw DEALER, written from doc/zsp.md alone
#
#  SPDX-License-Identifier: MPL-2.0
#
#  Nothing here comes from the device's codec or from a binding: whoever changes one of them and not
#  the document sees the tests fail that use this. Fields are made by functions, so that a test can
#  also send what no client would.

import collections
import struct
import time

from device import WAIT_S, connect, zmq

(HELLO, OPEN, PRODUCE, PUT, COMMIT, SUBSCRIBE, CREDIT, ACK, REJECT, EXTEND, SEEK, UNSUBSCRIBE, PING,
 STATUS, LIST, PURGE, DELETE_CURSOR, FLUSH, BYE) = range(1, 0x14)
WELCOME, OPENED, PRODUCING, CONFIRM, HOLD, SUBSCRIBED, DELIVER, DONE = range(0x81, 0x89)
PONG, VALUES, ERROR = 0x8d, 0x8e, 0xff

CODES = {1: "EINVAL", 2: "ENOMEM", 3: "ENOENT", 4: "EEXIST", 5: "ECORRUPT", 6: "EVERSION", 10: "EACCES",
         13: "ENOSPC", 14: "EIO", 15: "EFAILED", 16: "ETOOBIG", 17: "ESTALE", 19: "ELIMIT", 24: "EBUSY",
         25: "EFENCED", 26: "EORDER", 27: "EPROTOCOL"}

Delivered = collections.namedtuple("Delivered",
                                    "subscription generation sequence stored_us deliveries frames properties")


def s8(text):
    text = text.encode() if isinstance(text, str) else text
    return struct.pack("<B", len(text)) + text


def s16(text):
    text = text.encode() if isinstance(text, str) else text
    return struct.pack("<H", len(text)) + text


def head(code, flags=0, request=0, version=1):
    return b"ZSP" + struct.pack("<BBBHI", version, code, flags, 0, request)


def record(*frames):
    sizes = b"".join(struct.pack("<I", len(frame)) for frame in frames[:-1])
    body = sizes + b"".join(frames)
    return struct.pack("<IBBH", len(body), 0, 0, len(frames)) + body


def records(messages):
    return b"".join(record(*(m if isinstance(m, (list, tuple)) else [m])) for m in messages)


def unpack_records(data, count):
    """[(frames, {property id: [bytes]})]"""
    at, result = 0, []
    for _ in range(count):
        size, _flags, words, frames = struct.unpack_from("<IBBH", data, at)
        at += 8
        end = at + size
        sizes = struct.unpack_from(f"<{frames - 1}I", data, at)
        at += 4 * (frames - 1)
        properties, stop = collections.defaultdict(list), at + 4 * words
        while at < stop:
            ident, _type, length = struct.unpack_from("<BBH", data, at)
            properties[ident].append(data[at + 4: at + 4 + length])
            at += 4 + (length + 3) // 4 * 4
        message = []
        for part in sizes:
            message.append(data[at: at + part])
            at += part
        message.append(data[at: end])
        at = end
        result.append((message, dict(properties)))
    assert at == len(data)
    return result


def hello(heartbeat_ms=2000, agent="wire"):
    return struct.pack("<I", heartbeat_ms) + s8(agent)


def produce(name="", epoch=0):
    return struct.pack("<I", epoch) + s8(name)


def put(spool, number, count, level=0):
    return struct.pack("<IQIB3x", spool, number, count, level)


def commit(number, parts=(), acks=()):
    """parts: (spool, count); acks: (session, subscription, generation, first, last)"""
    return struct.pack("<HHQ", len(parts), len(acks), number) \
        + b"".join(struct.pack("<II", *part) for part in parts) \
        + b"".join(struct.pack("<QIIQQ", *ack) for ack in acks)


def subscribe(subscription, spool, cursor, start="", messages=1000, size=1 << 20, filters=()):
    return struct.pack("<IIIQ", subscription, spool, messages, size) + s8(cursor) + s8(start) \
        + struct.pack("<H", len(filters)) + b"".join(s16(f) for f in filters)


def ranges(subscription, generation, ranges, time_ms=0, reason=""):
    """of ACK, REJECT and EXTEND"""
    return struct.pack("<IIIH2x", subscription, generation, time_ms, len(ranges)) \
        + b"".join(struct.pack("<QQ", *r) for r in ranges) + s8(reason)


class Answer:
    """A command of the service: its fields are attributes."""

    FIELDS = {
        WELCOME: ("<IQQIIIB3x", "expiry_ms session incarnation message_bytes_max message_frames_max "
                  "transaction_bytes_max durability"),
        OPENED: ("<IQ", "spool last_sequence"),
        PRODUCING: ("<IQI", "epoch last window_bytes"),
        CONFIRM: ("<IQQ", "window_bytes cached committed"),
        HOLD: ("<4xQ", "number"),
        SUBSCRIBED: ("<IIQ", "subscription generation floor"),
        DELIVER: ("<IIH2x", "subscription generation slices"),
        DONE: ("<4xQ", "number"),
        PONG: ("<", ""),
        VALUES: ("<H", "pairs"),
        ERROR: ("<HBxQ", "error about number"),
    }

    def __init__(self, frames):
        data = frames[0]
        magic, version, self.code, self.flags, zero, self.request = struct.unpack_from("<3sBBBHI", data)
        assert magic == b"ZSP" and version == 1 and zero == 0, frames
        form, names = self.FIELDS[self.code]
        self.__dict__.update(zip(names.split(), struct.unpack_from(form, data, 12)))
        at = 12 + struct.calcsize(form)

        def text(form):
            nonlocal at
            length, = struct.unpack_from(form, data, at)
            at += struct.calcsize(form) + length
            return data[at - length: at].decode(errors="surrogateescape")

        if self.code == WELCOME:
            self.spool_name = text("<B")
        elif self.code == ERROR:
            self.text = text("<B")
            self.fatal = bool(self.flags & 1)
            self.error = CODES[self.error]
        elif self.code == VALUES:
            self.pairs = [(text("<H"), text("<H")) for _ in range(self.pairs)]
        elif self.code == DELIVER:
            self.messages = []
            assert len(frames) == 1 + self.slices
            for frame in frames[1:]:
                first, stored_us, count, deliveries = struct.unpack_from("<QqIH2x", data, at)
                at += 24
                bodies = unpack_records(frame, count) if frame else [(None, {})] * count
                self.messages += [Delivered(self.subscription, self.generation, first + i, stored_us,
                                             deliveries, *body) for i, body in enumerate(bodies)]
        assert at == len(data), (at, data)

    def __repr__(self):
        return str(self.__dict__)


class WireError(Exception):
    def __init__(self, answer):
        super().__init__(repr(answer))
        self.answer, self.error = answer, answer.error


class Wire:
    """One connection; what comes that nobody waits for is kept in `inbox`."""

    def __init__(self, endpoint, heartbeat_ms=60000, hello_said=True, **options):
        """heartbeat_ms: how long it may be silent, thrice; options are those of the socket."""
        self.socket = connect(zmq.DEALER, endpoint, **options)
        self.inbox, self.last_request, self.welcome = collections.deque(), 0, None
        if hello_said:
            self.welcome = self.ask(HELLO, hello(heartbeat_ms))

    def close(self):
        self.socket.close(0)

    def send(self, code, fields=b"", *frames, flags=0, request=0):
        self.socket.send_multipart([head(code, flags, request) + fields, *frames])

    def receive(self, limit_s=WAIT_S):
        """The next answer, or None"""
        if not self.socket.poll(int(limit_s * 1000)):
            return None
        return Answer(self.socket.recv_multipart())

    def next(self, limit_s=WAIT_S):
        return self.inbox.popleft() if self.inbox else self.receive(limit_s)

    def wait(self, wanted, limit_s=WAIT_S):
        """The first answer that is wanted; others go to the inbox."""
        for i, answer in enumerate(self.inbox):
            if wanted(answer):
                del self.inbox[i]
                return answer
        until = time.monotonic() + limit_s
        while True:
            answer = self.receive(max(0, until - time.monotonic()))
            if answer is None:
                raise AssertionError(f"no answer came, but {list(self.inbox)}")
            if wanted(answer):
                return answer
            self.inbox.append(answer)

    def ask(self, code, fields=b"", *frames, flags=0, limit_s=WAIT_S):
        """Sends a request and returns its answer; an ERROR is raised."""
        self.last_request += 1
        request = self.last_request
        self.send(code, fields, *frames, flags=flags, request=request)
        answer = self.wait(lambda a: a.request == request or (a.code == ERROR and a.fatal), limit_s)
        if answer.code == ERROR:
            raise WireError(answer)
        return answer

    def open(self, name, create=True):
        return self.ask(OPEN, s8(name), flags=int(create)).spool
