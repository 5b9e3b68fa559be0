#!/usr/bin/python3
#  test_dump.py - what `zspool dump` prints of a store: at rest, in use, damaged
#
#  SPDX-License-Identifier: MPL-2.0

import base64
import datetime
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from device import *

STORE_FILE = "store/data.mdb"
MIB = 1024 * 1024


def run(*arguments, store="store", status=0):
    done = subprocess.run([ZSPOOL_BIN, "dump", store, *arguments], capture_output=True, check=False,
                          timeout=WAIT_S)
    assert done.returncode == status, (arguments, done)
    assert status or not done.stderr, done
    return done.stdout if status == 0 else (done.stdout, done.stderr.decode())


def dump(*arguments, **how):
    return [json.loads(line) for line in run("--format", "json", *arguments, **how).splitlines()]


def sequences(*arguments, **how):
    return [message["sequence"] for message in dump(*arguments, **how)]


def bytes_of(frame):
    return base64.b64decode(frame["base64"]) if isinstance(frame, dict) else frame.encode()


def test_all_bytes_can_be_told_from_json_text_and_hex():
    messages = [[b"plain", b""], [bytes(range(256))], ["\u00fc\t\"\\\u0085 \U0001f600".encode()],
                [b"\xc3"], [b"\xed\xa0\x80"], [b""], [b"a" * 200000, b"\n", b"\xff" * 100001]]
    fill(messages)
    assert [[bytes_of(frame) for frame in message["frames"]] for message in dump()] == messages
    lines = [line.split(b"\t") for line in run().splitlines()]
    assert [int(line[0]) for line in lines] == list(range(1, len(messages) + 1))
    unescaped = [[frame.decode("utf-8").encode("latin-1", "backslashreplace")
                  .decode("unicode_escape").encode("latin-1") for frame in line[2:]]
                 for line in lines if b"\xc3\xbc" not in line[2]]
    assert unescaped == [message for message in messages if message[0][:1] != b"\xc3" or len(message[0]) < 2]
    assert [[bytes.fromhex(frame.decode()) for frame in line.split(b" ")]
            for line in run("--format", "hex").split(b"\n")[:-1]] == messages
    assert run("--format", "raw") == b"".join(b"".join(message) for message in messages)


def test_begins_and_ends_where_it_is_told():
    fill(numbered(0, 500), numbered(500, 600), numbered(600, 1000))
    assert sequences() == list(range(1, 1001))
    assert sequences("main", "--from", "990") == list(range(990, 1001))
    assert sequences("--from", "501", "--to", "503") == [501, 502, 503]
    assert sequences("--from", "400", "--count", "150") == list(range(400, 550))
    assert sequences("--last", "7", "--name", "main") == list(range(994, 1001))
    assert sequences("--last", "5000") == list(range(1, 1001))
    assert not sequences("--from", "1001")
    assert sequences("--last", "3", "--to", "998") == [998]


def test_time_is_that_of_the_store():
    fill(numbered(0, 10), numbered(10, 20), numbered(20, 30))
    stored = [message["stored"] for message in dump()]
    assert stored == sorted(stored)
    first, after = stored[10], stored[20]
    assert after > first
    expected = [index + 1 for index, time_text in enumerate(stored) if time_text >= first]
    moment = datetime.datetime.fromisoformat(first.replace("Z", "+00:00"))
    elsewhere = moment.astimezone(datetime.timezone(datetime.timedelta(hours=-5, minutes=-30)))
    seconds = int(moment.timestamp())
    for text in (first, elsewhere.isoformat(), f"@{seconds}.{moment.microsecond:06d}"):
        assert sequences("--since", text) == expected, text
    until = [index + 1 for index, time_text in enumerate(stored) if time_text <= first]
    assert sequences("--until", first) == until
    assert sequences("--since", "-1d") == list(range(1, 31))
    assert not sequences("--since", "2999-01-01")
    assert not sequences("--until", "-1h")


def test_bad_usage_is_refused():
    fill(numbered(0, 1))
    for arguments in (["--since", "soon"], ["--since", "2026-02-30"], ["--since", "-5"], ["--since", "@"],
                      ["--from", "0"], ["--from", "2", "--last", "1"], ["--from", "9", "--to", "8"],
                      ["--format", "xml"], ["main", "--name", "main"], ["main", "more"],
                      ["--since", "2026-01-01T00:00+24:00"]):
        output, error = run(*arguments, status=2)
        assert not output and len(error.splitlines()) == 1, (arguments, error)
    for arguments, store in ((["other"], "store"), ([], "none")):
        output, error = run(*arguments, store=store, status=1)
        assert not output and len(error.splitlines()) == 1, (arguments, error)
    assert not os.path.exists("none")


class Follower:
    """A dump that follows, and what it has printed."""

    def __init__(self, *arguments):
        with open("dumped", "wb") as output:
            self.process = spawn(ZSPOOL_BIN, "dump", "store", "--follow", "--format", "json",
                                 *arguments, stdout=output)

    def sequences(self):
        with open("dumped", "rb") as output:
            return [json.loads(line)["sequence"] for line in output.read().split(b"\n")[:-1]]

    def wait(self, last):
        wait_until(lambda: self.sequences()[-1:] == [last], f"message {last} is printed")


def test_follow_prints_what_comes_over_restarts_of_the_device():
    device = Device()
    target = producer(device.endpoint_in)
    send(target, numbered(0, 10))
    device.wait_stored(10)
    follower = Follower("--last", "3")
    follower.wait(10)
    for turn, kill in enumerate((False, True, False)):
        send(target, numbered(0, 1000))
        follower.wait(10 + (turn + 1) * 1000)
        device.restart(kill)
    follower.process.send_signal(signal.SIGTERM)
    assert follower.process.wait(WAIT_S) == 0
    assert follower.sequences() == list(range(8, 3011))


def test_follow_ends_at_its_count_or_sequence_and_waits_for_the_first_message():
    device = Device()
    for arguments in (("--count", "5"), ("--to", "5")):
        follower = Follower(*arguments)
        send(producer(device.endpoint_in), numbered(0, 7))
        assert follower.process.wait(WAIT_S) == 0
        assert follower.sequences() == [1, 2, 3, 4, 5]


def test_follow_is_idle_while_nothing_comes():
    device = Device()
    follower = Follower()
    send(producer(device.endpoint_in), numbered(0, 1))
    follower.wait(1)

    def ticks():
        with open(f"/proc/{follower.process.pid}/stat", encoding="ascii") as stat:
            return sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13]))

    before, started_s = ticks(), time.monotonic()
    stays_so(lambda: True, "nothing happens", 2)
    used_s = (ticks() - before) / os.sysconf("SC_CLK_TCK")
    #  A process that polls all the time uses all of it.
    assert used_s < (time.monotonic() - started_s) / 4, used_s


def test_a_dump_that_nobody_reads_does_not_make_the_store_grow():
    device = Device("--ack", "sent")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    body = b"x" * 100000

    def pass_through(count):
        for _ in range(count):
            target.send(body)
            assert source.recv() == body

    pass_through(300)
    reading = spawn(ZSPOOL_BIN, "dump", "store", "--follow", "--format", "raw", stdout=subprocess.PIPE)
    pass_through(1)
    #  It has begun; its pipe is full before it has written its first block.
    assert reading.stdout.read(1) == b"x"
    pass_through(300)
    size = os.stat(STORE_FILE).st_blocks
    used = device.info()
    for _ in range(4):
        pass_through(500)
    grown = os.stat(STORE_FILE).st_blocks - size
    assert grown * 512 <= 64 * MIB, (grown, used, device.info())
    reading.kill()


def test_damage_is_told_and_the_rest_is_printed():
    fill([[b"%08d" % number + b"-" * 1000] for number in range(1000)],
         [[b"%08d" % number + b"-" * 1000] for number in range(1000, 2000)])
    with open(STORE_FILE, "r+b") as data:
        content = data.read()
        place = content.index(b"00000600-")
        while place >= 0:
            data.seek(place)
            data.write(b"#")
            place = content.find(b"00000600-", place + 1)
    output, error = run("--format", "json", status=1)
    told = re.findall(r"messages (\d+) to (\d+) cannot be read", error)
    assert len(told) == len(error.splitlines()) == 1, error
    first, last = map(int, told[0])
    assert first <= 601 <= last
    printed = [json.loads(line)["sequence"] for line in output.splitlines()]
    assert printed == [number for number in range(1, 2001) if not first <= number <= last]


def test_json_tells_the_history_of_dead_letters():
    device = Device("--ack", "explicit", "--ack-timeout", "50", "--max-deliveries", "2")
    send(producer(device.endpoint_in), numbered(0, 1))
    source = consumer(device.endpoint_out)
    receive(source, 2)
    wait_until(lambda: device.info()["messages"] == 0, "it has died")
    letter, = dump("main.dead")
    assert letter["deaths"] == 1 and letter["spool"] == "main" and letter["frames"] == ["0"], letter
    death, = letter["history"]
    assert death["sequence"] == 1 and death["deliveries"] == 2 and death["died"] >= death["stored"]


def test_an_output_that_fails_is_told():
    fill(numbered(0, 10))
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    output, error = run("--output", "/dev/full", status=1)
    assert not output and "No space left" in error
    assert not run("--output", "file") and not run("--output", "file", "--last", "1")
    with open("file", encoding="ascii") as lines:
        assert len(lines.readlines()) == 11


run_tests(globals())
