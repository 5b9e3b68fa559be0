#!/usr/bin/python3
#  test_zsp_hostile.py - clients that send what no client should, do not read, or are very many: each
#  is refused, and nobody else is touched
#
#  SPDX-License-Identifier: MPL-2.0

import contextlib
import resource
import threading

from service import *
from zsp_wire import *

SEED = 20261127
MIB = 1024 * 1024
MAX32, MAX64 = 2**32 - 1, 2**64 - 1
CONNECTIONS = 10000
GREETING = b"\xff" + bytes(8) + b"\x7f\3\0NULL" + bytes(48)
ONE = records([b"x"])


class Innocent(threading.Thread):
    """A producer and a consumer that do all right, one message after the other, until it is told."""

    def __init__(self, endpoint):
        super().__init__()
        self.producer, self.consumer = Wire(endpoint), Wire(endpoint)
        self.spool = self.producer.open("innocent")
        self.producer.ask(PRODUCE, produce("innocent"))
        spool = self.consumer.open("innocent")
        self.consumer.ask(SUBSCRIBE, subscribe(1, spool, "c", "all", 1000000, 1 << 30), flags=1)
        self.rounds, self.done, self.failure = 0, False, None

    def run(self):
        try:
            while not self.done or self.rounds < 10:
                self.rounds += 1
                text = b"%d" % self.rounds * (1 + 1000 * (self.rounds % 20 == 0))
                self.producer.send(PUT, put(self.spool, self.rounds, 1, 2), records([text]))
                self.producer.wait(lambda a: a.code == CONFIRM and a.committed == self.rounds)
                given = self.consumer.wait(lambda a: a.code == DELIVER).messages
                assert [(m.sequence, m.deliveries, m.frames) for m in given] == [(self.rounds, 1, [text])], given
                self.consumer.ask(ACK, ranges(1, 1, [(self.rounds, self.rounds)]))
                time.sleep(0.001)
        except Exception as failure:  #  pylint: disable=broad-except
            self.failure = failure


@contextlib.contextmanager
def innocent(device, growth=96 * MIB):
    """What happens meanwhile must not touch these, nor the device's descriptors and memory for long."""
    pair = Innocent(device.service)
    before, used = descriptors(device), device.anonymous_bytes()
    pair.start()
    try:
        yield pair
    finally:
        pair.done = True
        pair.join()
    assert pair.failure is None, f"after {pair.rounds} rounds: {pair.failure!r}"
    clear_sockets(pair)
    wait_until(lambda: descriptors(device) <= before, "the descriptors are closed")
    grown = device.anonymous_bytes() - used
    print(f"{pair.rounds} rounds, {grown // 1024} KiB more", flush=True)
    assert grown < growth, f"{grown} bytes more"
    device.stop()
    spool = device.spool("innocent")
    assert (spool["last_sequence"], spool["pending"]) == (pair.rounds, 0), spool


def clear_sockets(pair):
    """Close all that was opened but these two."""
    from device import _sockets
    for opened in _sockets:
        if opened not in (pair.producer.socket, pair.consumer.socket):
            opened.close(0)


def descriptors(device):
    return len(os.listdir(f"/proc/{device.process.pid}/fd"))


def producing(endpoint, name=""):
    wire = Wire(endpoint)
    wire.spool = wire.open("jobs")
    wire.ask(PRODUCE, produce(name))
    return wire


def consuming(endpoint, **how):
    wire = Wire(endpoint)
    wire.spool = wire.open("jobs")
    wire.ask(SUBSCRIBE, subscribe(1, wire.spool, "c", **how), flags=1)
    return wire


#  ---- what is refused

def fresh(endpoint):
    wire = Wire(endpoint)
    wire.spool = wire.open("jobs")
    return wire


MALFORMED = [head(PING)[:size] for size in range(12)] + [
    b"", bytes(12), bytes(100000), b"ZSQ" + head(PING)[3:], head(0), head(0x14), head(WELCOME), head(ERROR),
    head(PING, flags=1), head(PING, flags=0x80), head(PING) + b"x", head(PING)[:6] + b"\1" + head(PING)[7:],
    head(PING) + bytes(262144), head(HELLO) + hello(), head(OPEN, 2) + s8("jobs"), head(OPEN), head(OPEN) + b"\5jobs",
    head(CREDIT) + bytes(15), head(SEEK) + bytes(4), head(ACK) + ranges(1, 1, []),
    head(ACK) + ranges(1, 1, [(1, 2)])[:-2], head(ACK) + ranges(1, 1, [(0, 1)]), head(ACK) + ranges(1, 1, [(2, 1)]),
    head(ACK) + ranges(1, 1, [(1, 1)] * 4097), head(REJECT) + ranges(1, 1, [(1, 1)], 86400001),
    head(ACK, 1) + ranges(1, 1, [(1, 1)]), head(SUBSCRIBE, 4) + subscribe(1, 1, "c"),
    head(SUBSCRIBE, 1) + subscribe(1, 1, "c", filters=["a"] * 257),
    head(SUBSCRIBE, 1) + subscribe(1, 1, "c", filters=["a" * 1024]),
    head(SUBSCRIBE, 1) + subscribe(1, 1, "c", filters=["a"])[:-1],
    head(SUBSCRIBE, 1) + subscribe(1, 1, "c")[:-1] + b"\xff",
] + [head(command) + fields for name in (b"", b"/", b"a/b", b" ", b"\0", b"a\x1fb", b"x" * 128, b"x" * 255)
     for command, fields in ((OPEN, s8(name)), (SUBSCRIBE, subscribe(1, 1, name)),
                             (DELETE_CURSOR, struct.pack("<I", 1) + s8(name)))
     ] + [head(PRODUCE) + produce(name) for name in (b" ", b"/", b"x" * 128, b"x" * 255)]


def test_what_is_malformed_ends_the_session_and_nothing_else():
    device = ServiceDevice()
    with innocent(device):
        for command in MALFORMED:
            wire = fresh(device.service)
            wire.socket.send(command)
            wire.wait(lambda a: a.code == ERROR and a.error == "EPROTOCOL" and a.fatal)
            wire.send(PING, request=77)
            assert wire.wait(lambda a: a.request == 77).error == "EPROTOCOL", "the session has not ended"
            wire.ask(HELLO, hello())        #  which begins another one
            wire.ask(PING)
            wire.close()


#  What it is, what is sent, and what of it is refused: with a producer without a name that has spool
RUN = struct.pack("<IBBH", 1, 0, 0, 1) + b"x"
BAD_PUTS = [
    ("number 0", lambda s: [put(s, 0, 1), ONE], "EPROTOCOL"),
    ("the last number", lambda s: [put(s, MAX64, 1), ONE], "EPROTOCOL"),
    ("numbers that turn over", lambda s: [put(s, MAX64, 2), ONE * 2], "EPROTOCOL"),
    ("no messages", lambda s: [put(s, 1, 0), b""], "EPROTOCOL"),
    ("absurd count", lambda s: [put(s, 1, MAX32), ONE], "EPROTOCOL"),
    ("more than it says", lambda s: [put(s, 1, 1), ONE * 2], "EPROTOCOL"),
    ("less than it says", lambda s: [put(s, 1, 2), ONE], "EPROTOCOL"),
    ("half a record", lambda s: [put(s, 1, 1), ONE[:-1]], "EPROTOCOL"),
    ("half a head", lambda s: [put(s, 1, 1), ONE[:5]], "EPROTOCOL"),
    ("no records", lambda s: [put(s, 1, 1)], "EPROTOCOL"),
    ("records twice", lambda s: [put(s, 1, 1), ONE, ONE], "EPROTOCOL"),
    ("level 3", lambda s: [put(s, 1, 1, 3), ONE], "EPROTOCOL"),
    ("flags", lambda s: [put(s, 1, 1), RUN[:4] + b"\1" + RUN[5:]], "EPROTOCOL"),
    ("properties", lambda s: [put(s, 1, 1), struct.pack("<IBBH", 5, 0, 1, 1) + b"xxxxx"], "EPROTOCOL"),
    ("no frames", lambda s: [put(s, 1, 1), struct.pack("<IBBH", 1, 0, 0, 0) + b"x"], "EPROTOCOL"),
    ("absurd frames", lambda s: [put(s, 1, 1), struct.pack("<IBBH", 1, 0, 0, 65535) + b"x"], "EPROTOCOL"),
    ("absurd sizes", lambda s: [put(s, 1, 1), struct.pack("<IBBHI", 5, 0, 0, 2, MAX32) + b"x"], "EPROTOCOL"),
    ("absurd bytes", lambda s: [put(s, 1, 1), struct.pack("<IBBH", MAX32, 0, 0, 1) + b"x"], "EPROTOCOL"),
    ("too much at once", lambda s: [put(s, 1, 2), records([b"x" * 300000] * 2)], "ETOOBIG"),
    ("spool 0", lambda s: [put(0, 1, 1), ONE], "ENOENT"),
    ("another's spool", lambda s: [put(1, 1, 1), ONE], "ENOENT"),
    ("no such spool", lambda s: [put(MAX32, 1, 1), ONE], "ENOENT"),
]
BAD_COMMITS = [
    ("nothing", lambda s: [commit(1)], "EPROTOCOL"),
    ("number 0", lambda s: [commit(0, [(s, 1)]), ONE], "EPROTOCOL"),
    ("a number to come", lambda s: [commit(2, [(s, 1)]), ONE], "EORDER"),
    ("the last number", lambda s: [commit(MAX64, [(s, 1)]), ONE], ("EORDER", "EPROTOCOL")),
    ("many parts", lambda s: [commit(1, [(s, 1)] * 65), *[ONE] * 65], "EPROTOCOL"),
    ("absurd parts", lambda s: [struct.pack("<HHQ", 65535, 65535, 1), ONE], "EPROTOCOL"),
    ("a part missing", lambda s: [commit(1, [(s, 1)] * 2), ONE], "EPROTOCOL"),
    ("an empty part", lambda s: [commit(1, [(s, 0)]), b""], "EPROTOCOL"),
    ("many acknowledgements", lambda s: [commit(1, [], [(1, 1, 1, 1, 1)] * 4097)], "EPROTOCOL"),
    ("first behind last", lambda s: [commit(1, [], [(1, 1, 1, 2, 1)])], "EPROTOCOL"),
    ("nobody's session", lambda s: [commit(1, [(s, 1)], [(12345, 1, 1, 1, 1)]), ONE], "ESTALE"),
    ("absurd acknowledgement", lambda s: [commit(1, [], [(MAX64, MAX32, MAX32, 1, MAX64)])], "ESTALE"),
    ("no such spool", lambda s: [commit(1, [(s, 1), (MAX32, 1)]), ONE, ONE], "ENOENT"),
    ("too much", lambda s: [commit(1, [(s, 1)]), records([b"x" * (9 * MIB)])], "ETOOBIG"),
]


def test_bad_puts_and_commits_store_nothing():
    device = ServiceDevice()
    with innocent(device):
        fresh(device.service)
        for code, bad in ((PUT, BAD_PUTS), (COMMIT, BAD_COMMITS)):
            for what, make, error in bad:
                wire = producing(device.service)
                fields, *frames = make(wire.spool)
                wire.send(code, fields, *frames, request=77)
                answer = wire.wait(lambda a: a.request == 77)
                assert answer.code == ERROR and answer.error in error and answer.about == code, f"{what}: {answer}"
                assert answer.fatal == (answer.error == "EPROTOCOL"), f"{what}: {answer}"
                wire.close()
    assert device.spool("jobs")["last_sequence"] == 0


def test_commands_in_the_wrong_state_are_refused():
    device = ServiceDevice()
    with innocent(device):
        for code, fields, *frames in ((PUT, put(1, 1, 1), ONE), (COMMIT, commit(1, [(1, 1)]), ONE)):
            wire = fresh(device.service)
            wire.send(code, fields, *frames, request=77)
            assert wire.wait(lambda a: a.request == 77).error == "EPROTOCOL"
        for code in (CREDIT, ACK, REJECT, EXTEND, SEEK, UNSUBSCRIBE):
            wire = fresh(device.service)
            fields = (struct.pack("<IIQ", 9, MAX32, MAX64) if code == CREDIT else struct.pack("<I", 9) if
                      code == UNSUBSCRIBE else struct.pack("<I", 9) + s8("all") if code == SEEK else
                      ranges(9, 1, [(1, MAX64)]))
            expect_error("ENOENT", wire, code, fields)
        holder, thief = consuming(device.service), producing(device.service)
        thief.send(PUT, put(thief.spool, 1, 1), ONE)
        holder.wait(lambda a: a.code == DELIVER)
        session = holder.welcome.session
        for ack in ((session, 1, 2, 1, 1), (session, 2, 1, 1, 1), (session, 1, 1, 1, 2), (session, 1, 1, 1, MAX64),
                    (session ^ 1, 1, 1, 1, 1)):
            expect_error("ESTALE", thief, COMMIT, commit(2, [(thief.spool, 1)], [ack]), ONE)
        holder.ask(BYE)
        expect_error("ESTALE", thief, COMMIT, commit(2, [], [(session, 1, 1, 1, 1)]))
        #  Both of them ask to produce before either is answered.
        twice = fresh(device.service)
        twice.send(PRODUCE, produce("twice"))
        twice.send(PRODUCE, produce("twice", 0), request=77)
        assert twice.wait(lambda a: a.request == 77).error in ("EPROTOCOL", "EFENCED")


def expect_error(code, wire, *arguments, **named):
    try:
        answer = wire.ask(*arguments, **named)
    except WireError as refused:
        assert refused.error == code, f"{refused}, not {code}"
        return
    raise AssertionError(f"{answer}, not {code}")


def test_a_number_that_is_given_again_means_the_new_subscription():
    device = ServiceDevice()
    wire = producing(device.service)
    for number, spool in enumerate(("a", "b")):
        wire.send(PUT, put(wire.open(spool), number + 1, 1, 2), records([spool.encode()]))
    wire.wait(lambda a: a.code == CONFIRM and a.committed == 2)
    a, b = wire.open("a"), wire.open("b")
    wire.send(SUBSCRIBE, subscribe(1, a, "c"), flags=1, request=101)
    wire.send(UNSUBSCRIBE, struct.pack("<I", 1), request=102)
    wire.send(SUBSCRIBE, subscribe(1, b, "c"), flags=1, request=103)
    assert wire.wait(lambda a: a.request == 103).code == SUBSCRIBED
    assert wire.wait(lambda a: a.code == DELIVER).messages[0].frames == [b"b"]


#  ---- what is nearly right

def valid_commands(spool, random_):
    """Commands of every kind that could be right, and their frames."""
    sequence = random_.randrange(1, 50)
    held = [(sequence, sequence + random_.randrange(5))]
    texts = [b"x" * random_.randrange(100) for _ in range(random_.randrange(1, 5))]
    number = random_.randrange(1, 6)
    return [
        (HELLO, 0, hello()), (OPEN, 1, s8(random_.choice(["jobs", "more", "jobs.dead"]))), (PRODUCE, 0, produce()),
        (PRODUCE, 0, produce(random_.choice(["p", "q"]), random_.randrange(3))),
        (PUT, 0, put(spool, number, len(texts), random_.randrange(3)), records(texts)),
        (COMMIT, 0, commit(number, [(spool, len(texts))], [(1, 1, 1, *held[0])]), records(texts)),
        (COMMIT, 0, commit(number, [(spool, 1)] * 3), ONE, ONE, ONE),
        (SUBSCRIBE, 1, subscribe(random_.randrange(3), spool, "m", random_.choice(["", "new", "last:3", "-1h"]))),
        (SUBSCRIBE, 3, subscribe(7, spool, "f", "all", filters=["a", "b.*", "#.c"])),
        (CREDIT, 0, struct.pack("<IIQ", 1, 100, 10000)), (ACK, 0, ranges(1, 1, held * 3)),
        (REJECT, random_.randrange(2), ranges(1, 1, held, 10, "bad")), (EXTEND, 0, ranges(1, 1, held, 1000)),
        (SEEK, 0, struct.pack("<I", 1) + s8("last:2")), (UNSUBSCRIBE, 0, struct.pack("<I", 1)), (PING, 0, b""),
        (STATUS, 0, b""), (LIST, 0, struct.pack("<I", 0)), (PURGE, 0, struct.pack("<IQ", spool, 5)),
        (DELETE_CURSOR, 0, struct.pack("<I", spool) + s8("m")), (FLUSH, 0, b""), (BYE, 0, b""),
    ]


def mutate(frames, random_):
    """Some bytes, a length, or the frames themselves are others."""
    frames = [bytearray(frame) for frame in frames]
    for _ in range(random_.choice([1, 1, 1, 2, 4])):
        frame = random_.choice(frames)
        at = random_.randrange(len(frame) + 1)
        kind = random_.randrange(8)
        if kind == 0 and frame:
            frame[at % len(frame)] ^= 1 << random_.randrange(8)
        elif kind == 1:
            frame[at:] = b""
        elif kind == 2:
            frame[at:at] = random_.randbytes(random_.choice([1, 2, 8, 1000]))
        elif kind in (3, 4):
            size = random_.choice([1, 2, 4, 8])
            number = random_.choice([0, 1, 2**(8 * size) - 1, 2**(8 * size - 1), random_.randrange(256)])
            frame[at:at + size] = (number % 2**(8 * size)).to_bytes(size, "little")
        elif kind == 5:
            frames.insert(random_.randrange(len(frames) + 1), bytearray(random_.randbytes(random_.randrange(40))))
        elif kind == 6 and len(frames) > 1:
            frames.remove(frame)
        elif kind == 7 and frame:
            frame[at % len(frame)] = random_.choice([0, 1, 0x7f, 0x80, 0xff])
    return [bytes(frame) for frame in frames]


def test_mutations_of_commands_hurt_nobody():
    device = ServiceDevice("--service-admin", "on", "--ack-timeout", "200", "--max-deliveries", "3")
    random_ = random.Random(SEED)
    with innocent(device):
        for _ in range(150 * LONG):
            wire = producing(device.service, random_.choice(["", "p"]))
            wire.ask(SUBSCRIBE, subscribe(1, wire.spool, "m"), flags=1)
            for _ in range(30):
                command, flags, *frames = random_.choice(valid_commands(wire.spool, random_))
                frames[0] = head(command, flags, random_.randrange(2)) + frames[0]
                wire.socket.send_multipart(mutate(frames, random_) if random_.randrange(4) else frames)
            wire.send(PING, request=77777777)
            answer = wire.wait(lambda a: a.request == 77777777)
            assert answer.code == PONG or answer.error == "EPROTOCOL", answer
            wire.close()


def test_routing_ids_longer_than_zmtp_allows_are_nobodys():
    device = ServiceDevice()
    with innocent(device):
        for size in (1, 255, 256, 257, 5000, 500000):
            with zmtp(device.service, b"i" * size) as connection:
                assert hear(connection, head(WELCOME)[:5], WAIT_S if size <= 255 else 0.2) == (size <= 255), size


def zmtp(endpoint, identity=b""):
    """A DEALER on a bare socket: one descriptor, and it says HELLO."""
    connection = socket.create_connection(("127.0.0.1", port_of(endpoint)), WAIT_S)
    ready = b"\5READY\x0bSocket-Type\0\0\0\6DEALER\x08Identity" + struct.pack(">I", len(identity)) + identity
    command = head(HELLO, request=1) + hello(60000)
    connection.sendall(GREETING + b"\6" + struct.pack(">Q", len(ready)) + ready)
    hear(connection, b"READY")
    connection.sendall(bytes([0, len(command)]) + command)
    return connection


def hear(connection, wanted, limit_s=WAIT_S):
    """Whether that comes before the connection ends, or nothing has come for so long"""
    connection.settimeout(limit_s)
    heard = b""
    with contextlib.suppress(OSError):
        while wanted not in heard and (more := connection.recv(4096)):
            heard += more
    return wanted in heard


#  ---- who does not read

#  It takes in as little as a socket can
LAZY = {"rcvhwm": 1, "rcvbuf": 4096}


def test_consumers_that_never_read_or_acknowledge_do_not_starve_others():
    device = ServiceDevice()
    producer = producing(device.service)
    messages, number = records([b"x" * 50000] * 10), 1
    for _ in range(20):
        producer.send(PUT, put(producer.spool, number, 10), messages)
        number += 10
        producer.wait(lambda a: a.code == CONFIRM and a.committed == number - 1)
    with innocent(device, growth=320 * MIB):
        for index in range(60):
            lazy = Wire(device.service, **LAZY)
            lazy.ask(SUBSCRIBE, subscribe(1, lazy.open("jobs"), f"lazy{index}", "all", MAX32, MAX64), flags=1)
        busy = consuming(device.service, start="all", messages=1000, size=100 * MIB)
        sequence = 0
        while sequence < number - 1:
            given = busy.wait(lambda a: a.code == DELIVER).messages
            assert [m.sequence for m in given] == list(range(sequence + 1, sequence + 1 + len(given)))
            sequence = given[-1].sequence
            if sequence == 100:     #  what comes now is live
                producer.send(PUT, put(producer.spool, number, 10), messages)
                number += 10
        busy.ask(ACK, ranges(1, 1, [(1, MAX64)]))


def test_small_messages_that_are_never_read_take_bounded_memory():
    device = ServiceDevice()
    with innocent(device, growth=100 * MIB):
        producer = producing(device.service)
        for index in range(60):
            lazy = Wire(device.service, **LAZY)
            lazy.ask(SUBSCRIBE, subscribe(1, lazy.open("jobs"), f"lazy{index}", "all", MAX32, MAX64), flags=1)
        for number in range(1, 2001):
            producer.send(PUT, put(producer.spool, number, 1), records([b"x" * 3500]))
            producer.wait(lambda a: a.code == CONFIRM and a.committed == number)


def test_large_answers_that_are_never_read_take_bounded_memory():
    device = ServiceDevice()
    with innocent(device, growth=250 * MIB):
        for index in range(20):
            wire = fresh(device.service)
            for number in range(60):
                name = f"{'x' * 100}{index}.{number}"
                wire.send(SUBSCRIBE, subscribe(number, wire.spool, name), flags=1, request=999)
            for number in range(60):
                wire.wait(lambda a: a.request == 999)
        assert sum(len(name) for name, _ in wire.ask(STATUS).pairs) > 200000
        lazy = [Wire(device.service, **LAZY) for _ in range(10)]
        for wire in lazy:
            for _ in range(200):
                wire.send(STATUS)
            wire.send(LIST, bytes(4))
        wait_until(lambda: int(dict(fresh(device.service).ask(STATUS).pairs)["service/sessions"]) > 30, "all came")


#  ---- who are very many

def test_many_names_spools_and_cursors_are_bounded():
    device = ServiceDevice()
    with innocent(device):
        for index in range(1000):
            wire = Wire(device.service)
            wire.ask(PRODUCE, produce(f"name{index}"))
            if index % 10 == 0:
                wire.send(PUT, put(wire.open(f"spool{index}"), 1, 1, 2), ONE)
                wire.wait(lambda a: a.code == CONFIRM and a.committed == 1)
            wire.close()
        #  A cursor of which some is acknowledged, and that nobody uses then
        early = consuming(device.service)
        early.ask(PRODUCE, produce())
        early.send(PUT, put(early.spool, 1, 10), ONE * 10)
        given = 0
        while given < 10:
            given += len(early.wait(lambda a: a.code == DELIVER).messages)
        early.ask(ACK, ranges(1, 1, [(1, 4), (6, 6)]))
        early.close()
        crowd, refused = [], 0
        for index in range(70):
            wire = Wire(device.service)
            crowd.append(wire)
            spool = wire.open(f"crowd{index // 10}")
            for number in range(70):
                wire.send(SUBSCRIBE, subscribe(number, spool, f"c{index}.{number}"), flags=1, request=999)
            answers = [wire.wait(lambda a: a.request == 999) for _ in range(70)]
            assert all(a.code == SUBSCRIBED or a.error == "ELIMIT" for a in answers), answers
            refused += sum(a.code == ERROR for a in answers)
        assert refused >= 70 * 70 - 4095, refused     #  of 4096 cursors at a time one is the innocent's
        assert refused < 1000, refused
        status = dict(crowd[0].ask(STATUS).pairs)
        assert status["service/producers"] == "1", status["service/producers"]
        for wire in crowd:
            wire.close()
        again = fresh(device.service)
        wait_until(lambda: dict(again.ask(STATUS).pairs)["service/consumers"] == "1", "the crowd has left")
        again.ask(SUBSCRIBE, subscribe(1, again.spool, "one-more"), flags=1)
        again.ask(SUBSCRIBE, subscribe(2, again.spool, "c"))
        given = []
        while len(given) < 5:
            given += [m.sequence for m in again.wait(lambda a: a.code == DELIVER and a.subscription == 2).messages]
        assert sorted(given) == [5, 7, 8, 9, 10], given


def test_filters_are_bounded():
    device = ServiceDevice()
    filters = [b"%1000d" % number for number in range(255)]
    with innocent(device, growth=300 * MIB):
        crowd = [fresh(device.service) for _ in range(6)]
        answers = []
        for index, wire in enumerate(crowd):
            for number in range(60):
                fields = subscribe(number, wire.spool, f"c{index}.{number}", filters=filters)
                wire.send(SUBSCRIBE, fields, flags=1, request=999)
        for wire in crowd:
            answers += [wire.wait(lambda a: a.request == 999) for _ in range(60)]
        assert {a.code == SUBSCRIBED or a.error for a in answers} == {True, "ELIMIT"}
        for wire in crowd:
            wire.ask(BYE)
        crowd[0].ask(HELLO, hello())
        spool = crowd[0].open("jobs")
        crowd[0].ask(SUBSCRIBE, subscribe(1, spool, "another", filters=filters), flags=1)


def test_ten_thousand_connections_at_once():
    device = ServiceDevice()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    of_device = resource.prlimit(device.process.pid, resource.RLIMIT_NOFILE)
    assert of_device[0] == of_device[1], of_device
    count = min(CONNECTIONS, hard - 200)
    if count < CONNECTIONS:
        print(f"{count} connections only, for there are {hard} descriptors")
    try:
        with innocent(device, growth=count * 80000):
            asking, used = Wire(device.service), []
            for _ in range(2):      #  the second time memory is used again, but for what is in fragments
                crowd = []
                while len(crowd) < count:
                    crowd.append(zmtp(device.service))
                for connection in crowd:
                    assert hear(connection, head(WELCOME)[:5])
                assert int(dict(asking.ask(STATUS).pairs)["service/sessions"]) == count + 3
                used.append(device.anonymous_bytes())
                for connection in crowd:
                    connection.close()
                wait_until(lambda: dict(asking.ask(STATUS).pairs)["service/sessions"] == "3", "they have left")
                wait_until(lambda: descriptors(device) < 100, "their connections are closed")
            assert used[1] <= 2 * used[0], used
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


run_tests(globals())
