#!/usr/bin/python3
#  test_disk_bounce.py - disks that fill and clear again and again: nothing that the device took in is lost
#
#  SPDX-License-Identifier: MPL-2.0
#
#  By hand: ZSPOOL_LONG=20 makes it bounce so many times as often, on every kind of disk both ways.

import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from small_disk import *

CYCLES = 3 * LONG


class Ledger:
    """A consumer that acknowledges what it is told to take, and knows what has come."""

    def __init__(self, device):
        self.source = consumer(device.endpoint_out, rcvhwm=50)
        self.acks = producer(device.ack_in)
        self.came = set()
        self.twice = 0

    def take_one(self):
        ticket, padding, number = self.source.recv_multipart()
        assert padding == PADDING
        self.twice += int(number) in self.came
        self.came.add(int(number))
        self.acks.send(ticket)

    def take_all(self, sent):
        while len(self.came) < sent:
            self.take_one()


def foreign_file():
    """Let another file take what is free on the disk, so that the device finds it full."""
    subprocess.run("head -c 200M /dev/zero > disk/other 2> /dev/null", shell=True, check=False)


def take_while_sending(ledger, target, first, end):
    """Send these numbers, for which there is room only as others are taken."""
    feeder = threading.Thread(target=lambda: send(target, [[PADDING, b"%d" % number]
                                                           for number in range(first, end)]))
    feeder.start()
    while feeder.is_alive():
        if ledger.source.poll(20):
            ledger.take_one()
    feeder.join()


def check_bounces(kind, durability, mib):
    """Fill the disk; clear it by acknowledging some or all, or by deleting a foreign file."""
    if (kind, durability) in (("ext2", "async"), ("tmpfs", "sync")) and LONG == 1:
        raise Skip("in long runs")
    small_disk(mib, kind)
    device = Device("--ack", "explicit", "--ack-timeout", "2000", "--durability", durability,
                    store="disk/store")
    target = producer(device.endpoint_in, sndhwm=100)
    sent = full = 0
    ledger = Ledger(device)
    for cycle in range(CYCLES):
        if cycle % 3 == 2:
            foreign_file()
        sent = fill_up(device, target, sent)
        full += 1
        if cycle % 3 == 2:
            os.remove("disk/other")
        take_while_sending(ledger, target, sent, sent + 1000)
        sent += 1000
        if cycle % 3 != 0:
            ledger.take_all(sent)
            device.wait_empty()
        if cycle % 3 == 1:
            device.restart(kill=cycle % 2)
    ledger.take_all(sent)
    device.wait_empty()
    wait_until(lambda: not is_full(device), "it tells that there is space again")
    assert ledger.came == set(range(sent)), f"{sent - len(ledger.came)} of {sent} are lost"
    device.stop()
    subprocess.run([ZSPOOL_BIN, "verify", "disk/store"], check=True, stdout=subprocess.DEVNULL)
    print(f"{kind} {durability}: full {full} times, 0 of {sent} lost, {ledger.twice} came twice")


def test_ext4_sync():
    check_bounces("ext4", "sync", 90)


def test_ext4_async():
    check_bounces("ext4", "async", 40)


def test_ext2_sync():
    check_bounces("ext2", "sync", 40)


def test_ext2_async():
    check_bounces("ext2", "async", 60)


def test_tmpfs_sync():
    check_bounces("tmpfs", "sync", 40)


def test_tmpfs_async():
    check_bounces("tmpfs", "async", 100)


in_own_namespace()
run_tests(globals())
