#!/usr/bin/python3
#  test_pub_sub.py - `zspool pub` and `zspool sub` against plain XPUB and SUB sockets
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from command import *

LINES = [b"plain", b"", bytes(range(256)).replace(b"\n", b""), b"x" * 300000, b" end "]
SHAPES = [[b"topic", b"body"], [b""], [b"", b"", b""], [bytes(range(256)), b"\n\t", b"end"],
          [b"big", b"x" * 200000]]
TOPICS = [b"a", b"b", b"", b".", b"a.", b".a", b"ab", b"a.b", b"a.b.c", b"a..c", b"a.x.c", b"b.a",
          b"x.y.b", b"a.b.c.d", b"*", b"#", b"a.*", b"\xff\0.b"]
END = b"~end"


def numbers(topic, first, end):
    return [[topic, b"%d" % number] for number in range(first, end)]


def pub(*arguments, lines=()):
    return Command("pub", *arguments, lines=lines)


def sub(*arguments):
    return Command("sub", *arguments)


def publisher(endpoint, count):
    """An XPUB, bound, and the prefixes that a sub has subscribed to, so many."""
    target = connect(zmq.XPUB, "@" + endpoint, sndhwm=100000, xpub_verbose=1)
    return target, [target.recv()[1:] for _ in range(count)]


def test_topic_is_the_first_frame_and_the_line_the_next():
    endpoint = tcp()
    source = subscriber("@" + endpoint)
    for topic in "a topic", "":
        publishing = pub(endpoint, topic, lines=LINES)
        assert receive(source, len(LINES)) == [[topic.encode(), line] for line in LINES]
        publishing.wait()


def test_frames_of_a_line_are_taken_as_they_are():
    source = subscriber("@ipc://out")
    for arguments, lines, expected in (
            ([], LINES, [[line] for line in LINES]),
            (["--separator", "\\t"], [b"topic\tbody\t\tmore", b"\t", b"none"],
             [[b"topic", b"body", b"", b"more"], [b"", b""], [b"none"]]),
            (["--format", "hex"], [b"00ff 0a  41"], [[b"\0\xff", b"\n", b"", b"A"]]),
            (["one", "--format", "hex"], [b"00ff 0a"], [[b"one", b"\0\xff", b"\n"]]),
            (["one", "--whole"], [b"first", b"second"], [[b"one", b"first\nsecond\n"]]),
            (["one", "--count", "3", "--size", "5", "--rate", "1000"], [],
             [[b"one", b"%05d" % number] for number in (1, 2, 3)])):
        publishing = pub("ipc://out", *arguments, lines=lines)
        assert receive(source, len(expected)) == expected, arguments
        publishing.wait()


def test_bound_publisher_gives_each_subscriber_its_topics():
    publishing = pub("@ipc://out", "--subscribers", "3", "--separator", ",",
                     lines=[b"%s,%d" % (topic, number) for number in range(500)
                            for topic in (b"a", b"b.c", b"other")])
    first, second = subscriber("ipc://out", b"a", b"b"), subscriber("ipc://out", b"b.")
    assert receive(first, 1000) == [[topic, b"%d" % number] for number in range(500)
                                    for topic in (b"a", b"b.c")]
    assert receive(second, 500) == numbers(b"b.c", 0, 500)
    publishing.wait()


def test_nothing_is_published_before_there_are_enough_subscriptions_at_once():
    publishing = pub("@ipc://out", "--subscribers", "4", "--verbose", lines=[b"a", b"b"])
    leaving = subscriber("ipc://out", b"", b"b")
    publishing.wait_error("has connected")
    leaving.close()
    publishing.wait_error("has disconnected")
    early = subscriber("ipc://out", b"", b"b")
    publishing.wait_error("has connected", 2)
    late = subscriber("ipc://out", b"", b"")
    for source in early, late:
        assert receive(source, 2) == [[b"a"], [b"b"]]
    #  One has disconnected, though nothing was on its way to it.
    publishing.process.wait(WAIT_S)


def test_with_0_subscribers_nothing_is_waited_for():
    pub("@ipc://out", "--subscribers", "0", lines=[b"lost"]).wait()


def test_slow_subscriber_holds_the_others_and_loses_nothing():
    endpoint = tcp()
    publishing = pub("@" + endpoint, "--subscribers", "2", "--hwm", "10", "--count", "2000",
                     "--size", "10000")
    slow = subscriber(endpoint, rcvhwm=10, rcvbuf=4096)
    fast = subscriber(endpoint, rcvhwm=0)
    assert receive(slow, 1)[0][0].startswith(b"000000000001 ")
    publishing.stays_idle()
    for source, first in (slow, 2), (fast, 1):
        for number in range(first, 2001):
            assert source.recv()[:13] == b"%012d " % number
    publishing.wait()


def test_with_drop_a_slow_subscriber_loses_messages_and_holds_nobody():
    endpoint = tcp()
    publishing = pub("@" + endpoint, "--subscribers", "1", "--hwm", "10", "--count", "5000",
                     "--size", "10000", "--drop")
    slow = subscriber(endpoint, rcvhwm=10, rcvbuf=4096)
    wait_until(lambda: "waiting until" in publishing.errors() or not publishing.is_running(),
               "all is published")
    received = []
    while publishing.is_running() or slow.poll(100):
        received += [slow.recv()[:12]] if slow.poll(10) else []
    assert received == sorted(received) and 1 <= len(received) < 5000, len(received)
    publishing.wait()


def test_subscriber_that_is_killed_is_told_and_the_others_get_all():
    publishing = pub("@ipc://out", "--subscribers", "2", "--hwm", "10", "--count", "2000",
                     "--size", "10000")
    victim = sub("ipc://out")
    source = subscriber("ipc://out", rcvhwm=10)
    wait_until(lambda: victim.output().count(b"\n") >= 5, "the victim gets some")
    victim.kill()
    for number in range(1, 2001):
        assert source.recv()[:13] == b"%012d " % number
    publishing.wait(1)
    assert "a peer disconnected" in publishing.errors() and publishing.errors().count("\n") == 1
    assert victim.output().count(b"\n") < 2000


def test_death_of_the_subscriber_that_held_all_up_lets_the_others_go_on():
    publishing = pub("@ipc://out", "--subscribers", "2", "--hwm", "10", "--count", "2000",
                     "--size", "10000")
    victim = sub("ipc://out", "--hwm", "10", "--delay", "86400000")
    source = subscriber("ipc://out", rcvhwm=10)
    wait_until(victim.output, "the victim gets one")
    received = 0
    while source.poll(500):
        source.recv()
        received += 1
    assert 0 < received < 2000, "nobody was held up"
    victim.kill()
    for number in range(received + 1, 2001):
        assert source.recv()[:13] == b"%012d " % number
    publishing.wait(1)


def test_pub_gives_up_after_its_timeout():
    nobody = pub("@ipc://nobody", "--timeout", "50", lines=[b"a"])
    nobody.wait(1)
    assert "1 subscriptions" in nobody.errors() and nobody.errors().count("\n") == 1
    publishing = pub("@ipc://out", "--timeout", "200", "--hwm", "10", "--count", "5000", "--size",
                     "10000", "--linger", "0")
    subscriber("ipc://out", rcvhwm=10)
    publishing.wait(1)
    assert "no subscriber took message" in publishing.errors()


def test_signal_ends_pub_while_it_waits():
    waiting = pub("@ipc://nobody", "--verbose", lines=[b"a"])
    waiting.wait_error("bound to")
    waiting.kill(signal.SIGTERM)
    waiting.wait(1)
    assert "interrupted after 0 messages" in waiting.errors()


def is_match(pattern, topic):
    """What a filter matches, by the letter of its description."""
    tokens = pattern.split(b".")
    if b"*" not in tokens and b"#" not in tokens:
        return topic.startswith(pattern)

    def fits(wanted, given):
        if not wanted:
            return not given
        if wanted[0] == b"#":
            return any(fits(wanted[1:], given[count:]) for count in range(len(given) + 1))
        return bool(given) and wanted[0] in (b"*", given[0]) and fits(wanted[1:], given[1:])

    return fits(tokens, topic.split(b"."))


def test_sub_takes_what_its_filters_match_and_subscribes_to_no_more():
    for filters, prefixes in (
            ([b""], [b""]), ([b"a"], [b"a"]), ([b"a.", b"b"], [b"a.", b"b"]),
            ([b"a*"], [b"a*"]), ([b"*"], [b""]), ([b"#"], [b""]), ([b"a.#"], [b"a"]),
            ([b"a.*"], [b"a."]), ([b"a.*.c"], [b"a."]), ([b"#.b"], [b""]), ([b"*.a"], [b""]),
            ([b"a.#.c"], [b"a"]), ([b"a.b", b"*.y.#"], [b"", b"a.b"]), ([b"a.b.*", b"b"], [b"a.b.", b"b"])):
        subscribing = sub("ipc://in", *filters, END, "--format", "hex")
        target, subscribed = publisher("ipc://in", len(filters) + 1)
        assert set(subscribed) == {*prefixes, END}, filters
        send(target, [[topic, b"body"] for topic in TOPICS + [END]])
        expected = [topic for topic in TOPICS + [END]
                    if any(is_match(pattern, topic) for pattern in filters + [END])]
        line = END.hex().encode() + b" " + b"body".hex().encode() + b"\n"
        wait_until(lambda: subscribing.output().endswith(line), "the last message is printed")
        subscribing.kill(signal.SIGTERM)
        assert [bytes.fromhex(printed.split(b" ")[0].decode())
                for printed in subscribing.wait().split(b"\n")[:-1]] == expected, filters
        target.close()


def test_without_filters_sub_takes_all_shapes():
    for form, expected in (
            ("hex", b"".join(b" ".join(frame.hex().encode() for frame in message) + b"\n"
                             for message in SHAPES)),
            ("text", b"".join(b"\t".join(message) + b"\n" for message in SHAPES)),
            ("raw", b"".join(b"".join(message) for message in SHAPES))):
        subscribing = sub("ipc://in", "--format", form, "--count", str(len(SHAPES)))
        target, subscribed = publisher("ipc://in", 1)
        assert subscribed == [b""]
        send(target, SHAPES)
        assert subscribing.wait() == expected, form
        target.close()


def test_sub_with_thousands_of_filters_gets_them_all():
    subscribing = sub("ipc://in", *(b"%d." % number for number in range(5000)), "--count", "5000",
                      "--separator", ":")
    target, subscribed = publisher("ipc://in", 5000)
    assert len(set(subscribed)) == 5000
    send(target, [[b"%d.x" % number, b"y"] for number in range(5000)])
    assert subscribing.wait() == b"".join(b"%d.x:y\n" % number for number in range(5000))


def test_timeout_of_sub_counts_only_messages_that_it_wants():
    subscribing = sub("ipc://in", "*.wanted", "--timeout", "300", "--count", "2")
    target, _ = publisher("ipc://in", 1)
    send(target, [[b"a.wanted", b"1"]])
    #  Of one frame: libzmq 4.3.4 aborts who closes a socket in the midst of a message while its peer goes.
    while subscribing.is_running():
        send(target, [[b"a.other"], [b"wanted"]])
    assert subscribing.wait(1) == b"a.wanted\t1\n"
    assert "1 of 2 messages" in subscribing.errors()


def test_sub_ends_at_its_count_or_a_signal():
    subscribing = sub("ipc://in", "a", "#.b", "--verbose", "--output", "file")
    target, _ = publisher("ipc://in", 2)
    send(target, [[b"a"], [b"other"], [b"x.b"]])
    wait_until(lambda: os.path.exists("file") and os.path.getsize("file") == 6, "both are written")
    subscribing.kill(signal.SIGTERM)
    assert not subscribing.wait() and "1 of other topics" in subscribing.errors()
    counting = sub("@ipc://count", "--count", "1000", "--quiet")
    pub("ipc://count", "--count", "1000").wait()
    assert counting.wait() == b"1000\n"


def test_bad_usage_is_refused():
    endpoint = tcp()
    for arguments, reason in (
            ([], "endpoint is missing"), (["nonsense"], "not an endpoint"), ([""], "empty"),
            ([endpoint, "topic", "more"], "unexpected"), ([endpoint, "--subscribers", "-1"], "subscribers"),
            ([endpoint, "--subscribers", "1000001"], "subscribers"), ([endpoint, "--drop=1"], "drop"),
            ([endpoint, "--count", "0"], "count"), ([endpoint, "--size", "3"], "--size needs --count"),
            ([endpoint, "--count", "1", "--file", "x"], "--count makes"),
            ([endpoint, "--count", "1", "--size", "129M"], "size"),
            ([endpoint, "--whole", "--separator", ","], "--whole sends"),
            ([endpoint, "--separator", "\\n"], "newline"), ([endpoint, "--separator", "\\q"], "escapes"),
            ([endpoint, "--format", "raw"], "text or hex"),
            ([endpoint, "--format", "hex", "--separator", ","], "separates frames"),
            ([endpoint, "--rate", "0"], "rate"), ([endpoint, "--hwm", "0"], "hwm"),
            ([endpoint, "--timeout", "0"], "timeout"), ([endpoint, "--linger", "86400001"], "linger"),
            ([endpoint, "--verbose=1"], "verbose"), ([endpoint, "--file", ""], "file"),
            ([endpoint, "--quiet"], "quiet")):
        refused(2, reason, "pub", *arguments)
    for arguments, reason in (
            ([], "endpoint is missing"), (["nonsense", "a"], "not an endpoint"), (["", "a"], "empty"),
            ([endpoint, "x" * 1024], "1023 bytes"), ([endpoint, "--count", "0"], "count"),
            ([endpoint, "--timeout", "x"], "timeout"), ([endpoint, "--format", "json"], "format"),
            ([endpoint, "--separator", ""], "separator"), ([endpoint, "--quiet", "--output", "x"], "--quiet"),
            ([endpoint, "--format", "hex", "--separator", ","], "--separator goes"),
            ([endpoint, "--delay", "-1"], "delay"), ([endpoint, "--hwm", "1000001"], "hwm"),
            ([endpoint, "--ack-to", endpoint], "ack-to"), ([endpoint, "--linger", "1"], "linger"),
            ([endpoint, "--quiet=1"], "quiet"), ([endpoint, "--verbose=1"], "verbose")):
        refused(2, reason, "sub", *arguments)
    refused(1, "cannot open", "pub", endpoint, "--file", "missing")
    refused(1, "cannot open", "sub", endpoint, "--output", "missing/file")


run_tests(globals())
