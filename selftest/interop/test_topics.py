#!/usr/bin/python3
#  test_topics.py - what of a store is told by topics: `zspool dump --filter` and `zspool info --topics`
#
#  SPDX-License-Identifier: MPL-2.0

import base64
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from device import *

STORE_FILE = "store/data.mdb"
KEEP = ("--out-type", "pub", "--keep-count", "unlimited")   #  an index is kept, and all messages


def run(*arguments, status=0):
    done = subprocess.run([ZSPOOL_BIN, *arguments], capture_output=True, check=False, timeout=WAIT_S)
    assert done.returncode == status, (arguments, done)
    assert status or not done.stderr, done
    return done.stdout if status == 0 else (done.stdout, done.stderr.decode())


def dump(*arguments, **how):
    return run("dump", "store", "--format", "json", *arguments, **how)


def sequences(*arguments):
    return [json.loads(line)["sequence"] for line in dump(*arguments).splitlines()]


def topics(*arguments):
    (spool,) = json.loads(run("info", "store", "--name", "main", "--topics", "--json", *arguments))["spools"]
    return ({base64.b64decode(found["topic"]["base64"]) if isinstance(found["topic"], dict)
             else found["topic"].encode(): found["messages"] for found in spool["topics"]}, spool["other_topics"])


def fill(*groups, options=KEEP):
    """A store at rest that holds these groups of messages, stored one after the other."""
    device = Device(*options)
    target = producer(device.endpoint_in)
    stored = 0
    for messages in groups:
        send(target, messages)
        stored += len(messages)
        device.wait_stored(stored)
    device.stop()


def readings(names, count, size=100):
    return [[names[number % len(names)], b"%d " % number + bytes(size)] for number in range(count)]


def damage(text):
    """Flip a bit of every place of the store's file that holds this."""
    with open(STORE_FILE, "rb") as file:
        old = file.read()
    assert text in old
    with open(STORE_FILE, "r+b") as file:
        at = old.find(text)
        while at >= 0:
            file.seek(at)
            file.write(bytes([old[at] ^ 1]))
            at = old.find(text, at + 1)


def test_dump_prints_what_a_filter_matches():
    names = [b"home.kitchen.heat", b"home.kitchen", b"office.kitchen.heat", b"homestead", b""]
    fill(readings(names, 1000), readings(names[:1], 500))
    assert sequences() == list(range(1, 1501))
    assert sequences("--filter", "") == list(range(1, 1501))
    assert sequences("--filter", "home", "--to", "10") == [1, 2, 4, 6, 7, 9]
    assert sequences("--filter", "home.", "--to", "10") == [1, 2, 6, 7]
    assert sequences("--filter", "*.kitchen.#", "--to", "10") == [1, 2, 3, 6, 7, 8]
    assert sequences("--filter", "#.heat", "--filter", "homes", "--count", "4") == [1, 3, 4, 6]
    assert sequences("--filter", "office", "--from", "997") == [998]
    assert sequences("--filter", "office", "--last", "600") == list(range(903, 1001, 5))
    assert not sequences("--filter", "garden")
    assert not sequences("--filter", "office", "--from", "1001")
    assert sequences("--filter", "office", "--until", "2100-01-01") == list(range(3, 1001, 5))


def test_dump_of_a_filter_needs_no_index():
    fill(readings([b"a", b"b"], 100), options=("--out-type", "push"))
    assert sequences("--filter", "b") == list(range(2, 101, 2))


def test_dump_follows_a_filter_over_what_does_not_match():
    device = Device(*KEEP)
    target = producer(device.endpoint_in)
    printed = spawn(ZSPOOL_BIN, "dump", "store", "--follow", "--filter", "b", "--to", "300", "--format", "json",
                    stdout=subprocess.PIPE)
    send(target, readings([b"a"], 200) + readings([b"b"], 1))
    assert json.loads(printed.stdout.readline())["sequence"] == 201
    #  What ends it does not match.
    send(target, readings([b"a"], 100))
    assert printed.wait(WAIT_S) == 0
    assert not printed.stdout.read()


def test_dump_does_not_read_what_its_filter_passes_over():
    fill(readings([b"a"], 200), [[b"b", b"secret" * 100], [b"b", bytes(5000)]], readings([b"a"], 200))
    damage(b"secret" * 100)
    assert sequences("--filter", "a") == [*range(1, 201), *range(203, 403)]
    _, reason = dump("--filter", "b", status=1)
    #  Whether the two came in one block is chance.
    assert re.search("messages 201 to 20[12] cannot be read", reason), reason


def test_dump_refuses_a_filter_too_long():
    fill(readings([b"a"], 1))
    assert not sequences("--filter", "a" * 1023)
    _, reason = dump("--filter", "a" * 1024, status=2)
    assert "1023" in reason, reason


def test_info_lists_topics_with_their_messages():
    odd = b"\x00odd\t\xff\\"
    fill(readings([b"a", b"b.c"], 1000), [[b"alone"], [b""], [odd, b"x"]], readings([b"b.c"], 300))
    assert topics() == ({b"a": 500, b"b.c": 800, b"alone": 1, b"": 1, odd: 1}, 0)
    lines = run("info", "store", "--topics").decode().splitlines()
    at = lines.index("topics of main: 5, of 1303 messages")
    assert [line.split() for line in lines[at + 2:at + 7]] == [
        ["1"], ["1", "\\x00odd\\t\\xff\\\\"], ["500", "a"], ["1", "alone"], ["800", "b.c"]]
    assert "topics" not in run("info", "store").decode()


def test_info_lists_topics_without_an_index():
    fill(readings([b"a", b"b"], 100), options=("--out-type", "push"))
    assert topics() == ({b"a": 50, b"b": 50}, 0)


def test_info_counts_topics_together_when_there_are_too_many():
    device = Device(*KEEP)
    target = producer(device.endpoint_in)
    send(target, [[b"%d" % number] for number in range(100050)] + [[b"7"], [b"x" * 1024]])
    device.wait_stored(100052)
    found, others = topics()
    assert len(found) == 100000 and found[b"7"] == 2 and found[b"99999"] == 1
    assert others == 51
    assert "          51  (others: " in run("info", "store", "--topics").decode()


def test_info_tells_of_topics_it_cannot_read():
    fill(readings([b"a"], 200), [[b"b", b"secret" * 100]])
    damage(b"secret" * 100)
    printed, reason = run("info", "store", "--topics", status=1)
    assert "200  a" in printed.decode()
    assert "messages 201 to 201 cannot be read" in reason, reason


run_tests(globals())
