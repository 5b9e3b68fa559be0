#!/usr/bin/python3
#  test_damage.py - a block damaged on the disk is told and passed over; the rest is delivered
#
#  SPDX-License-Identifier: MPL-2.0

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from device import *

COUNT = 20000


def message(number):
    return b"message %08d;" % number + b"-" * 100


def damage(device, number):
    """Change one byte of a message in the store, wherever it lies."""
    with open(f"{device.store}/data.mdb", "r+b") as data:
        content = data.read()
        places = [match.start() for match in re.finditer(message(number)[:17], content)]
        assert places, "the message is not in the store"
        for place in places:
            data.seek(place + 8)
            data.write(b"#")


def check_passes_over(*options, numbers=(COUNT // 2,)):
    device = Device(*options)
    target = producer(device.endpoint_in)
    for number in range(COUNT):
        target.send(message(number))
    device.wait_stored(COUNT)
    device.kill()
    for number in numbers:
        damage(device, number)
    verified = subprocess.run([ZSPOOL_BIN, "verify", device.store], capture_output=True, text=True,
                              check=False)
    assert verified.returncode == 1 and "what to do:" in verified.stdout, verified
    device.start()
    source = consumer(device.endpoint_out)
    acks = producer(device.ack_in) if device.ack_in else None
    received = []
    while not received or received[-1] < COUNT - 1:
        *ticket, text = source.recv_multipart()
        received.append(int(text[8:16]))
        assert text == message(received[-1])
        if ticket:
            acks.send(ticket[0])
    reported = re.findall("messages ([0-9]+) to ([0-9]+) ", device.log())
    assert len(reported) == len(device.log().splitlines()) == len(numbers), device.log()
    #  What is missing is what was reported: sequences begin at 1.
    missing = sorted(set(range(COUNT)) - set(received))
    assert missing == [number for first, last in reported
                       for number in range(int(first) - 1, int(last))]
    assert set(numbers) <= set(missing) and len(missing) < COUNT // 2
    device.wait_empty()
    target.send(message(COUNT))
    assert source.recv_multipart()[-1] == message(COUNT)


def test_settled_passes_over_a_damaged_block():
    check_passes_over("--settle", "200")


def test_explicit_passes_over_a_damaged_block():
    check_passes_over("--ack", "explicit")


def test_sent_passes_over_a_damaged_block():
    check_passes_over("--ack", "sent")


def test_two_blocks_may_be_damaged_and_the_first_be_one():
    check_passes_over("--settle", "200", numbers=(0, COUNT // 2))


def test_damage_to_what_was_delivered_and_not_acknowledged_is_passed_over():
    device = Device("--ack", "explicit", "--ack-timeout", "1000")
    send(producer(device.endpoint_in), [[message(number)] for number in range(COUNT)])
    device.wait_stored(COUNT)
    source, acks = consumer(device.endpoint_out), producer(device.ack_in)
    receive(source, COUNT)
    wait_until(lambda: device.info()["sent_to"] == COUNT, "the store knows of the deliveries")
    device.kill()
    damage(device, COUNT // 2)
    device.start()
    wanted = {b"%08d" % number for number in range(COUNT)}
    while device.info()["pending"]:
        while source.poll(50):
            ticket, text = source.recv_multipart()
            acks.send(ticket)
            wanted.discard(text[8:16])
    assert 0 < len(wanted) < COUNT // 2
    device.wait_empty()


run_tests(globals())
