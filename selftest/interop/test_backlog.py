#!/usr/bin/python3
#  test_backlog.py - a consumer that is absent for long costs disk, not memory, and then gets all
#
#  SPDX-License-Identifier: MPL-2.0

from device import *

MIB = 1024 * 1024
MEMORY_BYTES_MAX = 64 * MIB     #  anonymous, of the device


def check_memory(device):
    used = device.anonymous_bytes()
    assert used < MEMORY_BYTES_MAX, f"{used} bytes of anonymous memory"


def check_drains(device, count, make):
    source = consumer(device.endpoint_out)
    for number in range(count):
        message = source.recv()
        assert message == make(number), f"{message[:20]} is not message {number}"
    check_memory(device)
    device.wait_empty()


def fill(device, count, make):
    target = producer(device.endpoint_in)
    for number in range(count):
        target.send(make(number))
        if number % 100000 == 0:
            check_memory(device)
    device.wait_stored(count)
    check_memory(device)


def test_a_million_messages_wait_in_bounded_memory():
    def make(number):
        return b"%d" % number
    device = Device("--settle", "100")
    fill(device, 1000000 * LONG, make)
    check_drains(device, 1000000 * LONG, make)


def test_many_larger_messages_wait_in_bounded_memory():
    padding = b"x" * 10000

    def make(number):
        return b"%d" % number + padding
    device = Device("--settle", "100")
    fill(device, 20000 * LONG, make)
    device.restart(kill=True)
    check_drains(device, 20000 * LONG, make)


def test_full_map_holds_the_producer_until_there_is_room():
    padding = b"x" * 8000
    device = Device("--settle", "100", "--map", "64M")
    target = producer(device.endpoint_in, sndhwm=100, sndtimeo=1000)
    count = 0
    try:
        while count < 50000:
            target.send_multipart([padding, b"%d" % count])
            count += 1
    except zmq.Again:
        pass
    assert device.info()["messages"] > 1000 and device.log().count("\n") == 1, device.log()
    source = consumer(device.endpoint_out)
    for number in range(count):
        assert source.recv_multipart() == [padding, b"%d" % number]
    target.send(b"more")
    assert source.recv_multipart() == [b"more"]
    device.wait_empty()
    wait_until(lambda: device.log().count("\n") == 2, "it says that there is none, and is again")


def test_unacknowledged_messages_wait_in_bounded_memory():
    device = Device("--ack", "explicit", "--ack-timeout", "3600000")
    source, target = consumer(device.endpoint_out), producer(device.endpoint_in)
    for first in range(0, 300000 * LONG, 500):
        send(target, numbered(first, first + 500))
        assert [message[1:] for message in receive(source, 500)] == numbered(first, first + 500)
    check_memory(device)
    device.wait_stored(300000 * LONG)


run_tests(globals())
