#!/usr/bin/python3
#  test_replay.py - `zspool replay` of a store at rest, in use and damaged, to plain PULL and SUB sockets
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from command import *

MIB = 1024 * 1024
SHAPES = [[b"one frame"], [b""], [b"", b"", b""], [b"topic", bytes(range(256)), b"", b"end\n"],
          [b"", b"x" * 100000, b"y" * (3 * MIB), b""], [b"%d" % frame for frame in range(1000)],
          [b""] * 65535]
SIZES = [0, 1, 29, 33, 34, 4095, 4096, 4097, 32767, 32768, 100000, 512 * 1024, MIB, 8 * MIB + 1, 2]


def replay(*arguments, endpoint="ipc://out"):
    return Command("replay", "store", endpoint, *arguments)


def check_sent(expected, *arguments):
    """These are the last frames, as numbers, of what is sent to a PULL, in order."""
    source = consumer("@ipc://out")
    replaying = replay(*arguments)
    assert [int(message[-1]) for message in receive(source, len(expected))] == list(expected), arguments
    replaying.wait()
    assert not source.poll(20), arguments
    assert not replaying.errors(), replaying.errors()
    source.close()


def stored_times():
    text = subprocess.run([ZSPOOL_BIN, "dump", "store", "--format", "json"], check=True,
                          capture_output=True).stdout
    return [json.loads(line)["stored"] for line in text.splitlines()]


def test_messages_are_sent_as_they_were_and_stay_stored():
    pattern = random.Random(3).randbytes(9 * MIB)
    messages = SHAPES + [[b"%d" % size, pattern[size:2 * size], b""] for size in SIZES]
    fill(messages)
    before = info()
    for _ in range(2):
        source = consumer("@ipc://out")
        replaying = replay()
        for message in messages:
            assert source.recv_multipart() == message
        replaying.wait()
        assert not source.poll(0) and not replaying.errors()
        source.close()
    assert info() == before


def test_store_in_use_is_replayed_while_it_is_written():
    device = Device()
    target, source = producer(device.endpoint_in), consumer("@ipc://out")
    send(target, numbered(0, 3000))
    device.wait_stored(3000)
    replaying = replay("--follow")
    for turn, kill in enumerate((False, True, False), 1):
        first = turn * 3000
        assert receive(source, 3000) == numbered(first - 3000, first)
        send(target, numbered(first, first + 3000))
        device.wait_stored(first + 3000)
        device.restart(kill)
    assert receive(source, 3000) == numbered(9000, 12000)
    replaying.stays_idle()
    replaying.kill(signal.SIGTERM)
    replaying.wait()
    assert not replaying.errors()
    #  The device's own consumer gets everything all the same.
    assert receive(consumer(device.endpoint_out), 12000) == numbered(0, 12000)


def test_follow_waits_for_the_first_message_and_ends_at_its_count_or_sequence():
    device = Device()
    source = consumer("@ipc://out")
    waiting = [replay("--follow", "--count", "3"), replay("--follow", "--to", "3"),
               replay("--follow", "--from", "2", "--count", "3"), replay("--follow", "--from", "new", "--to", "4")]
    for command in waiting:
        command.stays_idle(0.5)
    send(producer(device.endpoint_in), numbered(1, 8))
    assert sorted(int(body) for body, in receive(source, 13)) == [1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4]
    for command in waiting:
        command.wait()
    assert not source.poll(0)


def test_begins_and_ends_where_it_is_told():
    fill(numbered(1, 501), numbered(501, 601), numbered(601, 1001))
    for arguments, first, last in (
            ([], 1, 1000), (["--from", "all"], 1, 1000), (["--from", "990"], 990, 1000),
            (["--from", "501", "--to", "503"], 501, 503), (["--to", "1"], 1, 1), (["--to", "9999"], 1, 1000),
            (["--from", "400", "--count", "150"], 400, 549), (["--from", "last:7"], 994, 1000),
            (["--from", "last:5000", "--name", "main"], 1, 1000), (["--from", "last:3", "--to", "998"], 998, 998),
            (["--from", "500", "--to", "500"], 500, 500), (["--from", "1000", "--count", "5"], 1000, 1000),
            (["--from", "new"], 1, 0), (["--from", "1001"], 1, 0)):
        check_sent(range(first, last + 1), *arguments)


def test_times_are_those_of_the_store():
    fill(numbered(1, 11), numbered(11, 21), numbered(21, 31))
    times = stored_times()
    middle, after = times[10], times[20]
    assert after > middle
    numbered_times = list(enumerate(times, 1))
    check_sent([number for number, text in numbered_times if text >= middle], "--from", middle)
    check_sent([number for number, text in numbered_times if text <= middle], "--to", middle)
    check_sent([number for number, text in numbered_times if text == middle], "--from", middle, "--to", middle)
    check_sent(range(1, 31), "--from", "-1d", "--to", "2999-01-01")
    check_sent([], "--from", "2999-01-01")
    check_sent([], "--to", "-1h")


def test_filters_go_by_the_first_frame():
    topics = [b"a", b"a.b", b"a.b.c", b"ab", b"", b"b.a"]
    fill([[topic, b"a", b"%d" % number] for number, topic in enumerate(topics * 300)])

    def expected(*wanted):
        return [number for number, topic in enumerate(topics * 300) if topic in wanted]

    check_sent(expected(b"a", b"a.b", b"a.b.c", b"ab"), "--filter", "a")
    check_sent(expected(b"a", b"a.b", b"a.b.c"), "--filter", "a.#")
    check_sent(expected(b"a.b", b"b.a"), "--filter", "a.*", "--filter", "b")
    check_sent(expected(b"a", b"ab", b""), "--filter", "*")
    check_sent(expected(b"b.a")[:7], "--filter", "*.a", "--count", "7", "--from", "4")
    check_sent([], "--filter", "none")


def test_pub_waits_for_its_subscribers_and_drops_nothing_of_the_slow_one():
    fill([[b"a" if number % 2 else b"b", b"%d" % number, b"x" * 10000] for number in range(2000)])
    endpoint = tcp()
    replaying = replay("--type", "pub", "--subscribers", "2", "--hwm", "10", endpoint="@" + endpoint)
    slow = subscriber(endpoint, b"a", rcvhwm=10, rcvbuf=4096)
    fast = subscriber(endpoint, b"", rcvhwm=0)
    assert slow.recv_multipart()[:2] == [b"a", b"1"]
    replaying.stays_idle()
    assert [int(body) for _, body, _ in receive(slow, 999)] == list(range(3, 2000, 2))
    assert [int(body) for _, body, _ in receive(fast, 2000)] == list(range(2000))
    replaying.wait()


def test_original_pace_takes_no_less_than_the_messages_took():
    device = Device()
    target = producer(device.endpoint_in)
    for number in range(1, 4):
        send(target, numbered(number, number + 1))
        device.wait_stored(number)
        stays_so(device.is_running, "a pause", 0.3)
    device.stop()
    for pace, least_s in ("1", 0.6), ("0.5", 1.2), ("1000", 0):
        started_s = time.monotonic()
        check_sent([1, 2, 3], "--pace", pace)
        assert time.monotonic() - started_s >= least_s, pace


def test_rate_is_kept():
    fill(numbered(0, 40))
    source = consumer("@ipc://out")
    started_s = time.monotonic()
    replaying = replay("--rate", "20", "--verbose", "--to", "35")
    assert receive(source, 35) == numbered(0, 35)
    assert time.monotonic() - started_s >= 34 / 20
    replaying.wait()
    assert re.search(r"\d+ messages, \d+/s, \d+\.\d%, message \d+ of \d+-\d+-\d+T.*Z\n", replaying.errors())
    assert re.search(r" 35 messages, 60 bytes in .* up to sequence 35\n", replaying.errors())


def test_peer_that_is_killed_is_told_and_the_rest_goes_to_the_next():
    fill([[b"x" * 10000, b"%d" % number] for number in range(2000)])
    peer = Peer("@ipc://out", count=50, rcvhwm=10)
    replaying = replay("--hwm", "10")
    peer.wait_received(50)
    replaying.stays_idle(0.5)
    peer.kill()
    source = consumer("@ipc://out")
    received = [int(source.recv_multipart()[-1])]
    while received[-1] != 1999:
        received.append(int(source.recv_multipart()[-1]))
    #  What was on its way is gone; all else comes in order.
    assert received == list(range(received[0], 2000)) and received[0] >= 50
    replaying.wait(1)
    assert "a peer disconnected" in replaying.errors() and replaying.errors().count("\n") == 1


def test_signal_ends_it_half_way():
    fill([[b"x" * 10000] for _ in range(2000)])
    replaying = replay("--hwm", "10")
    source = consumer("@ipc://out", rcvhwm=10)
    receive(source, 1)
    replaying.stays_idle(0.5)
    replaying.kill(signal.SIGTERM)
    replaying.wait_error("interrupted after")
    while source.poll(500):
        source.recv()
    replaying.wait(1)


def test_nobody_takes_a_message_in_time():
    fill(numbered(0, 1))
    for kind in "push", "pub":
        replaying = replay("--timeout", "50", "--type", kind)
        replaying.wait(1)
        assert "within 50 ms" in replaying.errors() and replaying.errors().count("\n") == 1


def test_damage_is_told_and_the_rest_is_sent():
    fill([[b"%08d" % number + b"-" * 1000, b"%d" % number] for number in range(1, 1001)],
         [[b"%08d" % number + b"-" * 1000, b"%d" % number] for number in range(1001, 2001)])
    with open("store/data.mdb", "r+b") as data:
        content = data.read()
        place = content.index(b"00000600-")
        while place >= 0:
            data.seek(place)
            data.write(b"#")
            place = content.find(b"00000600-", place + 1)
    source = consumer("@ipc://out")
    replaying = replay()
    received = []
    while received[-1:] != [2000]:
        received.append(int(source.recv_multipart()[-1]))
    replaying.wait(1)
    told = re.findall(r"messages (\d+) to (\d+) cannot be read", replaying.errors())
    assert len(told) == replaying.errors().count("\n") == 1, replaying.errors()
    first, last = map(int, told[0])
    assert first <= 600 <= last
    assert received == [number for number in range(1, 2001) if not first <= number <= last]


def test_bad_usage_is_refused():
    fill(numbered(0, 1))
    endpoint = tcp()
    for arguments, reason in (
            ([], "directory is missing"), (["store"], "endpoint is missing"), (["store", endpoint, "more"], "unexpected"),
            (["", endpoint], "empty"), (["store", "nonsense"], "not an endpoint"),
            (["store", "inproc://x"], "inproc")):
        refused(2, reason, "replay", *arguments)
    for options, reason in (
            (["--type", "pull"], "push or pub"), (["--subscribers", "2"], "needs --type pub"),
            (["--type", "pub", "--subscribers", "x"], "subscribers"), (["--from", "soon"], "from"),
            (["--from", "last:0"], "from"), (["--from", "0"], "from"), (["--to", "all"], "to"),
            (["--to", "last:3"], "to"), (["--to", "new"], "to"), (["--to", "0"], "to"),
            (["--from", "9", "--to", "8"], "before"), (["--filter", "x" * 1024], "1023 bytes"),
            (["--count", "0"], "count"), (["--rate", "0"], "rate"),
            (["--pace", "0"], "pace"), (["--pace", "fast"], "pace"), (["--pace", "1e3"], "pace"),
            (["--pace", "-1"], "pace"), (["--pace", "1", "--rate", "1"], "only one"), (["--name", ""], "name"),
            (["--follow=1"], "follow"), (["--hwm", "0"], "hwm"), (["--timeout", "0"], "timeout"),
            (["--linger", "x"], "linger"), (["--verbose=1"], "verbose"), (["--drop"], "drop")):
        refused(2, reason, "replay", "store", endpoint, *options)
    refused(1, "no spool 'other'", "replay", "store", endpoint, "--name", "other")
    refused(1, "none", "replay", "none", endpoint)
    assert not os.path.exists("none")


run_tests(globals())
