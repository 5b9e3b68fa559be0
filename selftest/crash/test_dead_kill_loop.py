#!/usr/bin/python3
#  test_dead_kill_loop.py - messages die, and are put back, while the device is killed again and again
#
#  SPDX-License-Identifier: MPL-2.0
#
#  Nothing is ever acknowledged by a consumer. So at any time what is no longer pending in `main` has been
#  appended to `main.dead`, no more and no less; and in the end each message lies there exactly once.

import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from device import *

SEED = int(os.environ.get("SELFTEST_SEED") or 1)


class Thread(threading.Thread):
    """Runs step (socket) until it is stopped."""

    def __init__(self, socket_of, step):
        super().__init__(daemon=True)
        self.socket, self.step, self.stopping = socket_of, step, False
        self.start()

    def run(self):
        while not self.stopping:
            self.step(self.socket)

    def end(self):
        self.stopping = True
        self.join(WAIT_S)
        assert not self.is_alive()


class Sender:
    """Sends numbered messages of different sizes in bursts."""

    def __init__(self, endpoint):
        self.number = 0
        self.thread = Thread(producer(endpoint, sndtimeo=100), self.step)

    def step(self, target):
        try:
            for _ in range(50):
                target.send_multipart([b"%d" % self.number, b"x" * (self.number * 37 % 900)])
                self.number += 1
        except zmq.Again:
            pass
        time.sleep(0.02)


def take(source):
    if source.poll(100):
        source.recv_multipart()


class Account:
    """What has left the one spool is in the other."""

    def __init__(self, device):
        self.device = device
        self.last_sequence = self.lost = 0      #  of the spool, at the last look
        self.gap = (0, 0)                       #  the last one: its end, and how many are lost in it

    def check(self):
        """Look at a store at rest; gives how many letters there have been."""
        main, dead = self.device.info(), info(self.device.store, "main.dead")
        if main["lost"] > self.lost:
            count = main["lost"] - self.lost
            self.gap = (self.last_sequence + count, count)
        self.last_sequence, self.lost = main["last_sequence"], main["lost"]
        #  A gap is recorded before anything is stored behind it.
        lost = self.lost - (self.gap[1] if self.last_sequence < self.gap[0] else 0)
        gone = self.last_sequence - lost - main["pending"]
        assert gone == dead["last_sequence"], f"{gone} are gone, {dead['last_sequence']} have died"
        return gone


def requeue(first, last):
    """Start to put letters back."""
    return spawn(ZSPOOL_BIN, "dead", "requeue", "store", f"{first}-{last}", stdout=subprocess.DEVNULL,
                 stderr=subprocess.DEVNULL)


def kill_loop(*options, rounds, seed):
    device = Device("--ack", "explicit", "--ack-timeout", "50", "--max-deliveries", "2", *options)
    account = Account(device)
    sender = Sender(device.endpoint_in)
    takers = [Thread(consumer(device.endpoint_out), take) for _ in range(2)]
    try:
        kill_often(device, account, rounds, random.Random(seed))
        sender.thread.end()
        wait_until(lambda: device.info()["pending"] == 0, "all die", 2 * WAIT_S)
    finally:
        for thread in [sender.thread, *takers]:
            thread.end()
    device.stop()
    subprocess.run([ZSPOOL_BIN, "verify", "store"], check=True, stdout=subprocess.DEVNULL)
    check_ends(device, account.check(), sender.number)


def kill_often(device, account, rounds, whims):
    died = 0
    for number in range(rounds):
        time.sleep(whims.expovariate(1) * 0.4)
        command = requeue(whims.randrange(1, died + 2), died + 10) if number % 2 else None
        time.sleep(whims.random() * 0.03)
        device.kill()
        if command:
            command.wait(WAIT_S)
        died = account.check()
        if number % 4 == 2:
            #  At rest, and killed itself
            command = requeue(1, died)
            time.sleep(whims.random() * 0.05)
            command.kill()
            command.wait(WAIT_S)
            account.check()
        device.start()


def check_ends(device, died, sent):
    """Each message is a letter exactly once, unchanged, with all its deaths."""
    text = subprocess.run([ZSPOOL_BIN, "dead", "show", device.store, "--all", "--json"], check=True,
                          capture_output=True).stdout
    letters = [json.loads(line) for line in text.splitlines()]
    numbers = [int(letter["frames"][0]) for letter in letters]
    assert len(set(numbers)) == len(numbers) <= sent, "a message is there twice"
    #  Of what had died before, all that is no longer there was put back, and died again.
    assert sum(letter["deaths"] for letter in letters) == died
    for number, letter in zip(numbers, letters):
        assert letter["frames"][1] == "x" * (number * 37 % 900)
        sequences = [death["sequence"] for death in letter["history"]]
        assert sequences == sorted(set(sequences)) and letter["spool"] == "main"
    print(f"{sent} sent, {len(letters)} stored, {died} deaths")
    assert died > len(letters) > 0


def test_sync():
    kill_loop(rounds=10 * LONG, seed=SEED)


def test_async():
    kill_loop("--durability", "async", rounds=10 * LONG, seed=SEED + 1)


run_tests(globals())
