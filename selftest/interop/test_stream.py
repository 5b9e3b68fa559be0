#!/usr/bin/python3
#  test_stream.py - PUB and SUB programs that know nothing of zspool, with a stream between them; mixed ends
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from stream import *

PUBLISHER = """
import sys, time, zmq
socket = zmq.Context().socket(zmq.PUB)
socket.bind(sys.argv[1])
for number in range(1 << 30):
    for place in "north", "south", "southeast":
        socket.send_string(f"weather.{place} {number}")
    time.sleep(0.001)
"""

SUBSCRIBER = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.connect(sys.argv[1])
for topic in sys.argv[2:]:
    socket.setsockopt_string(zmq.SUBSCRIBE, topic)
for _ in range(300):
    print(socket.recv_string(), flush=True)
"""


def check_programs(publish_at, subscribe_at):
    """Each subscriber takes 300 messages of its topics, of which none is missing between."""
    spawn(sys.executable, "-c", PUBLISHER, publish_at)
    wanted = {"": 3, "weather.n": 1, "weather.south": 2, "weather.south ": 1}
    taken = {topic: spawn(sys.executable, "-c", SUBSCRIBER, subscribe_at, topic, stdout=subprocess.PIPE)
             for topic in wanted}
    for topic, places in wanted.items():
        output, _ = taken[topic].communicate(timeout=WAIT_S)
        lines = [line.split() for line in output.decode().splitlines()]
        assert len(lines) == 300 and all(" ".join(line).startswith(topic) for line in lines)
        assert len({place for place, _ in lines}) == places, topic
        first = {place: int(number) for place, number in reversed(lines)}
        for place, start in first.items():
            found = [int(number) for at, number in lines if at == place]
            assert found == list(range(start, start + len(found))), (topic, place)


def test_unchanged_programs_without_a_device():
    endpoint = tcp()
    check_programs(endpoint, endpoint)


def test_unchanged_programs_with_a_stream_between():
    source = tcp()
    device = Stream(endpoint_in=">" + source)
    check_programs(source, device.endpoint_out)
    numbers_of = {}
    for (text,) in device.stored():
        place, number = text.decode().split()
        numbers_of.setdefault(place, []).append(int(number))
    assert len(numbers_of) == 3
    for found in numbers_of.values():
        assert found == list(range(found[0], found[0] + len(found))), "a hole in what is stored"


def test_every_subscriber_gets_its_topics_once_and_in_order():
    device = Stream("--hwm", "10000")
    target = publisher(device.endpoint_in)
    wanted = {(b"",): [""], (b"a.",): ["a."], (b"a.x", b"b"): ["a.x", "b"], (b"b.y.z\0",): ["b.y.z\0"]}
    sources = {topics: subscriber(device.endpoint_out, *topics) for topics in wanted}
    device.wait_subscribed(5)
    messages = topical(0, 4000)
    send(target, messages)
    for topics, filters in wanted.items():
        take(sources[topics], [int(number) for topic, number in messages if matches(filters, topic)])
    assert device.stored() == messages


def test_subscriptions_that_end_and_begin_take_effect():
    device = Stream()
    target = publisher(device.endpoint_in)
    one, both = subscriber(device.endpoint_out, b"a"), subscriber(device.endpoint_out, b"a", b"b")
    device.wait_subscribed(3)
    send(target, topical(0, 4))
    take(one, [0, 1])
    take(both, [0, 1, 2, 3])
    both.unsubscribe(b"b")
    device.wait_subscribed(2)
    one.subscribe(b"b.x")
    device.wait_subscribed(3)
    send(target, topical(4, 8))
    take(one, [4, 5, 6])
    take(both, [4, 5])


def test_device_takes_only_its_topics():
    device = Stream("--topic", "a.", "--topic", "b.y")
    target = publisher(device.endpoint_in, 2)
    send(target, topical(0, 100))
    device.wait_stored(75)
    assert numbers(device.stored()) == [number for number in range(100) if number % 4 != 2]


def test_more_topics_than_the_high_water_mark_are_all_taken():
    topics = [f"t.{number}." for number in range(300)]
    device = Stream("--hwm", "10", *(word for topic in topics for word in ("--topic", topic)))
    target = publisher(device.endpoint_in, len(topics))
    send(target, [[topic.encode(), b"%d" % number] for number, topic in enumerate(topics)])
    device.wait_stored(len(topics))
    assert numbers(device.stored()) == list(range(len(topics)))


def test_frames_and_bytes_are_kept():
    device = Stream()
    target = publisher(device.endpoint_in)
    source = subscriber(device.endpoint_out)
    device.wait_subscribed(1)
    messages = [[b""], [b"", b""], [b"a", b"\0\xff" * 500], [b"x" * 100000, b"", b"end"], [b"\0"]]
    send(target, messages)
    assert receive(source, len(messages)) == messages
    assert device.stored() == messages


#  ---- hold and restart

def test_hold_publishes_nothing_until_the_subscriptions_are_there():
    device = Stream("--hold", "2", "--hwm", "10000")
    target = publisher(device.endpoint_in)
    first = subscriber(device.endpoint_out, b"a")
    send(target, topical(0, 1000))
    device.wait_stored(1000)
    device.wait_subscribed(1)
    stays_so(lambda: int(device.outlet()["sent"]) == 0 and device.cursor("out")["floor"] == 0, "it holds", 0.3)
    second = subscriber(device.endpoint_out, b"")
    take(first, [number for number in range(1000) if number % 4 < 2])
    take(second, range(1000))
    #  It holds at the start only.
    first.close()
    second.close()
    device.wait_subscribed(0)
    send(target, topical(1000, 1100))
    device.wait_stored(1100)
    device.wait_acknowledged("out")


def test_stored_and_not_published_goes_out_after_a_kill():
    device = Stream("--hold", "1", "--hwm", "10000")
    target = publisher(device.endpoint_in)
    send(target, topical(0, 1000))
    device.wait_stored(1000)
    device.restart(kill=True)
    source = subscriber(device.endpoint_out)
    take(source, range(1000))
    device.wait_acknowledged("out")
    #  What was published is not published again.
    source.close()
    device.stop()
    device.start()
    source = subscriber(device.endpoint_out)
    device.wait_subscribed(1)
    send(target, topical(1000, 1010))
    take(source, range(1000, 1010))


def test_without_subscribers_messages_are_stored_and_passed():
    device = Stream()
    send(publisher(device.endpoint_in), topical(0, 2000))
    device.wait_stored(2000)
    device.wait_acknowledged("out")
    assert device.info()["messages"] == 2000


def test_slow_subscriber_loses_what_its_queue_cannot_hold_and_slows_nobody():
    device = Stream("--hwm", "1000")
    target = publisher(device.endpoint_in)
    fast = Peer(device.endpoint_out, "fast", topic="", rcvhwm=0)
    slow = Peer(device.endpoint_out, "slow", topic="", count=100, rcvhwm=10, rcvbuf=4096)
    device.wait_subscribed(2)
    count, padding = 10000, b"x" * 2000
    for number in range(count):
        target.send_multipart([b"a", padding, b"%d" % number])
        #  Never more under way than the queue of the fast one holds
        if number % 100 == 0:
            wait_until(lambda n=number: len(fast.received()) >= n - 200, "the fast one has it")
    fast.wait_received(count)
    assert fast.received() == list(range(count))
    slow.wait_received(100)
    assert slow.received() == list(range(100))
    device.wait_acknowledged("out")
    #  What the slow one has not taken is in the history.
    assert device.info()["messages"] == count


#  ---- mixed ends

def test_pull_in_and_pub_out():
    for command in "stream", "queue":
        device = Stream("--in-type", "pull", "--out-type", "pub", "--hold", "2", "--hwm", "10000",
                        command=command, store=command)
        sources = [subscriber(device.endpoint_out, b"b"), subscriber(device.endpoint_out, b"a.x")]
        targets = [producer(device.endpoint_in) for _ in range(2)]
        for turn, target in enumerate(targets):
            send(target, topical(turn * 1000, turn * 1000 + 1000))
        device.wait_stored(2000)
        messages = device.stored() if command == "stream" else None
        for source, topic in zip(sources, ("b", "a.x")):
            wanted = numbers(message for message in messages or topical(0, 2000) if matches([topic], message[0]))
            received = numbers(receive(source, len(wanted)))
            assert received == wanted if messages else sorted(received) == wanted
        device.wait_acknowledged("out")
        #  A queue keeps nothing that is acknowledged, a stream its history.
        wait_until(lambda: device.info()["messages"] == (2000 if command == "stream" else 0), "it is trimmed")
        device.stop()


def test_sub_in_and_push_out():
    for command in "stream", "queue":
        device = Stream("--in-type", "sub", "--out-type", "push", *SETTLE, command=command, store=command)
        target = publisher(device.endpoint_in)
        send(target, topical(0, 2000))
        device.wait_stored(2000)
        device.restart(kill=True)
        take(consumer(device.endpoint_out), range(2000))
        device.wait_acknowledged("out")
        wait_until(lambda: device.info()["messages"] == (2000 if command == "stream" else 0), "it is trimmed")
        device.stop()


def test_filters_of_the_main_outlet():
    device = Stream("--out-type", "push", "--out-filter", "a.*", "--out-filter", "b.y", *SETTLE)
    messages = topical(0, 1000)
    send(publisher(device.endpoint_in), messages)
    device.wait_stored(1000)
    take(consumer(device.endpoint_out),
         [int(number) for topic, number in messages if matches(["a.*", "b.y"], topic)])
    device.wait_acknowledged("out")
    assert device.info()["messages"] == 1000


run_tests(globals())
