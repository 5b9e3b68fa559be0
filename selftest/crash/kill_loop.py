#!/usr/bin/python3
#  kill_loop.py - kills a device and its consumers again and again, and accounts for all messages
#
#  SPDX-License-Identifier: MPL-2.0
#
#  By hand: ZSPOOL_BIN=... selftest/crash/kill_loop.py --rounds 300 --seed 7 --ack explicit
#
#  Producers number their messages; every byte of a message follows from its producer and number.
#  Consumers are processes that write down what they receive, then acknowledge it. The account:
#    1. Bytes are unchanged.
#    2. What is in the store is delivered (`sent`: but for what ZeroMQ held at a kill).
#    3. sync: what was forwarded is in the store. async: what was forwarded and lost lies in a
#       recorded gap.
#    4. A sequence never stands for two messages (explicit).
#    5. A single consumer gets everything in order, but for starts from the floor after a kill.
#    6. What of a plain producer never reached the store is at most one hole in its numbers for each
#       death of the device (sync).
#  With --power-cut each death takes the power, too: of what was not synced any part is gone.

import argparse
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from device import *
from recorder import Recorder

HEAD = struct.Struct("<II")             #  of a message: producer, number
TICKET = struct.Struct("<BBHIIIQQ")     #  see lib/ticket.c
RECORD = struct.Struct("<IIQH?")        #  producer, number, sequence, attempt, unchanged
PATTERN = random.Random(0).randbytes(70000)
SETTLE_MS = 1000
SEED = int(os.environ.get("SELFTEST_SEED") or 1)
ACK_TIMEOUT_MS = 1000


def message(name, number):
    """Frames: mostly one small one; sometimes larger, sometimes several."""
    size = number * 37 % 300
    if number % 7 == 0:
        size = number * 37 % 6000
    if number % 500 == 0:
        size = 60000
    start = (number * 7 + name) % 1000
    frames = [HEAD.pack(name, number) + PATTERN[start:start + size]]
    if number % 10 == 0:
        frames += [b"", b"%d" % number]
    return frames


#  ---- consumers, in processes of their own

def consume(endpoint, ack_in, ledger_name, seed):
    """Receive, write down, acknowledge; now and then, under explicit, forget to."""
    context = zmq.Context()
    source = context.socket(zmq.PULL)
    source.connect(endpoint)
    acks = None
    if ack_in:
        acks = context.socket(zmq.PUSH)
        acks.connect(ack_in)
    whims = random.Random(seed)
    #  A write that was killed at the end of a page may have left half a record.
    if os.path.exists(ledger_name):
        os.truncate(ledger_name, os.path.getsize(ledger_name) // RECORD.size * RECORD.size)
    with open(ledger_name, "ab", buffering=0) as ledger:
        while True:
            frames = source.recv_multipart()
            ticket, sequence, attempt = None, 0, 0
            if ack_in:
                ticket = frames.pop(0)
                _, _, attempt, _, _, _, sequence, _ = TICKET.unpack(ticket)
            name, number = HEAD.unpack_from(frames[0])
            unchanged = frames == message(name, number)
            ledger.write(RECORD.pack(name, number, sequence, attempt, unchanged))
            if ticket and whims.random() < 0.98:
                acks.send(ticket)


class Consumer:
    """A consumer's process, and its ledger, which goes on when it is killed and started again."""

    def __init__(self, number, device, seed):
        self.ledger = f"ledger.{number}"
        self.command = [sys.executable, os.path.abspath(__file__), "--consume", device.endpoint_out,
                        device.ack_in or "", self.ledger, str(seed + number)]
        self.read_bytes = 0
        self.process = None
        self.start()

    def start(self):
        self.process = spawn(*self.command)

    def restart(self):
        self.process.kill()
        self.process.wait()
        self.start()

    def new_records(self):
        """What was written down since the last call."""
        if not os.path.exists(self.ledger):
            return []
        with open(self.ledger, "rb") as ledger:
            ledger.seek(self.read_bytes)
            data = ledger.read()
        data = data[:len(data) // RECORD.size * RECORD.size]
        self.read_bytes += len(data)
        return list(RECORD.iter_unpack(data))


#  ---- producers, in threads

class Producer(threading.Thread):
    """Sends at a rate until it is stopped, in bursts."""

    def __init__(self, name, endpoint, rate, seed):
        super().__init__(daemon=True)
        self.number = name
        self.whims = random.Random(seed * 100 + name)
        self.target = producer(endpoint, sndhwm=1000, sndtimeo=100)
        self.rate = rate
        self.sent = 0
        self.stopping = False

    def run(self):
        while not self.stopping:
            burst = self.whims.randrange(1, 200)
            for _ in range(burst):
                try:
                    self.target.send_multipart(message(self.number, self.sent))
                    self.sent += 1
                except zmq.Again:
                    if self.stopping:
                        return
            time.sleep(burst / self.rate)


#  ---- the account

class Account:
    """All that was received, checked against the store."""

    def __init__(self, options):
        self.options = options
        self.received = {}          #  (producer, number): how often
        self.sequences = {}         #  explicit: sequence: (producer, number)
        self.gaps = []              #  recorded: (first, last)
        self.newest = {}            #  single consumer: producer: highest number
        self.steps_back = 0         #  single consumer: how often numbers went back
        self.deaths = 0             #  of the device
        self.departures = 0         #  of consumers

    def note(self, records):
        went_back = set()
        for name, number, sequence, attempt, unchanged in records:
            assert unchanged, f"message {name}:{number} has changed"
            self.received[name, number] = self.received.get((name, number), 0) + 1
            if sequence:
                known = self.sequences.setdefault(sequence, (name, number))
                assert known == (name, number), f"{sequence} is {known} and {name}:{number}"
            if number <= self.newest.get(name, -1) and attempt <= 1:
                went_back.add(name)
            self.newest[name] = number
        self.steps_back += len(went_back)
        return went_back

    def check_killed(self, info):
        """Nothing was forwarded that is not stored: invariant 3."""
        if self.options.durability == "sync":
            assert len(self.received) <= info["last_sequence"], \
                f"{len(self.received)} messages were received, {info['last_sequence']} stored"
            assert info["lost"] == 0
            assert max(self.sequences, default=0) <= info["last_sequence"]

    def note_gap(self, before, after):
        """A start after a kill recorded what may have been forwarded and lost."""
        if after["lost"] > before["lost"]:
            first = max([before["last_sequence"]] + [last for _, last in self.gaps]) + 1
            self.gaps.append((first, first + after["lost"] - before["lost"] - 1))

    def missing(self, last_sequence):
        """Sequences that lie in no gap and were not delivered."""
        missing, start = [], 1
        for first, last in self.gaps + [(last_sequence + 1, last_sequence)]:
            missing += [number for number in range(start, first) if number not in self.sequences]
            start = last + 1
        return missing

    def check_all(self, info, producers):
        stored = info["last_sequence"] - info["lost"]
        if self.options.ack == "explicit":
            missing = self.missing(info["last_sequence"])
            assert not missing, f"{len(missing)} stored were not delivered, first {missing[0]}"
        elif self.options.ack == "settled":
            delivered = len(self.received)
            assert delivered >= stored, f"{stored} were stored, {delivered} delivered"
            assert delivered == stored or self.options.durability == "async"
        for sender in producers:
            assert self.options.ack == "sent" or self.options.durability == "async" \
                or self.holes(sender) <= self.deaths, \
                f"producer {sender.number}: {self.holes(sender)} holes after {self.deaths} deaths"
        assert self.steps_back <= (self.deaths + self.departures) * len(producers) \
            or self.options.consumers > 1, "out of order"

    def holes(self, sender):
        """Stretches of a producer's numbers that were never delivered."""
        there = [(sender.number, number) in self.received for number in range(sender.sent)]
        return sum(before and not now for before, now in zip([True] + there, there))

    def summary(self, info, producers):
        sent = sum(sender.sent for sender in producers)
        duplicates = sum(self.received.values()) - len(self.received)
        return (f"sent {sent}, stored {info['last_sequence'] - info['lost']}, "
                f"delivered {len(self.received)}, duplicates {duplicates}, "
                f"never arrived {sent - len(self.received)}, "
                f"gaps {len(self.gaps)} of {info['lost']}; "
                f"{self.deaths} deaths, {self.departures} departures")


def kill_loop(options):
    """Run the loop in the current directory; give a summary."""
    whims = random.Random(options.seed)
    endpoints = {"endpoint_in": "ipc://in", "endpoint_out": "ipc://out"} if options.ipc else {}
    times = {"settled": ["--settle", str(SETTLE_MS)], "sent": [],
             "explicit": ["--ack-timeout", str(ACK_TIMEOUT_MS)]}
    recorder = Recorder() if options.power_cut else None
    device = Device("--ack", options.ack, "--durability", options.durability, *times[options.ack],
                    environment=recorder and recorder.environment, **endpoints)
    consumers = [Consumer(number, device, options.seed) for number in range(options.consumers)]
    producers = [Producer(number, device.endpoint_in, options.rate, options.seed)
                 for number in range(options.producers)]
    account = Account(options)
    for sender in producers:
        sender.start()
    for _ in range(options.rounds):
        time.sleep(whims.expovariate(1) * options.pause)
        if whims.random() < 0.3 and options.ack != "sent":
            whims.choice(consumers).restart()
            account.departures += 1
            time.sleep(whims.random() * options.pause)
        #  Mostly kills; now and then a stop in good order, or a second one in the middle of a start
        if whims.random() < 0.1:
            device.stop()
        else:
            device.kill()
        if recorder:
            recorder.cut(whims.randrange(1 << 40))
        account.deaths += 1
        before = device.info()
        for at in consumers:
            account.note(at.new_records())
        account.check_killed(before)
        if whims.random() < 0.1:
            subprocess.run([ZSPOOL_BIN, "verify", "store"], check=True, stdout=subprocess.DEVNULL)
        device.start()
        account.note_gap(before, device.info())
    for sender in producers:
        sender.stopping = True
        sender.join(WAIT_S)
    return finish(device, consumers, producers, account)


def wait_quiet(device):
    """Wait until nothing more comes: what producers still hold does when their peers are connected again."""
    counts = []

    def quiet():
        counts.append(device.info()["last_sequence"])
        time.sleep(0.05)
        return len(counts) > 10 and counts[-1] == counts[-10]
    wait_until(quiet, "nothing more comes in")


def finish(device, consumers, producers, account):
    """Let everything arrive, stop, and settle the account."""
    def all_arrived():
        for at in consumers:
            account.note(at.new_records())
        state = device.info()
        return state["pending"] == 0 and state["last_sequence"]
    wait_quiet(device)
    wait_until(all_arrived, "everything is acknowledged", 60)
    time.sleep(0.1)
    for at in consumers:
        account.note(at.new_records())
    device.stop()
    state = device.info()
    subprocess.run([ZSPOOL_BIN, "verify", "store"], check=True, stdout=subprocess.DEVNULL)
    account.check_all(state, producers)
    return account.summary(state, producers)


def parse(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ack", default="settled", choices=["settled", "explicit", "sent"])
    parser.add_argument("--durability", default="sync", choices=["sync", "async", "transaction"])
    parser.add_argument("--producers", type=int, default=2)
    parser.add_argument("--consumers", type=int, default=3)
    parser.add_argument("--rate", type=int, default=4000, help="messages a second of each producer")
    parser.add_argument("--pause", type=float, default=0.15, help="seconds between kills, mean")
    parser.add_argument("--ipc", action="store_true", help="ipc:// instead of tcp://")
    parser.add_argument("--power-cut", action="store_true",
                        help="with each death any part of what was not synced is gone")
    parser.add_argument("--keep", action="store_true", help="keep the directory when it fails")
    return parser.parse_args(arguments)


def run_by_hand(loop, options, keep):
    """Run a loop in a directory of its own; print its summary. With `keep` the directory of one that fails stays."""
    directory = tempfile.mkdtemp()
    os.chdir(directory)
    failed = True
    try:
        print(loop(options))
        failed = False
    finally:
        clean_up()
        os.chdir("/")
        if not (failed and keep):
            shutil.rmtree(directory, ignore_errors=True)
        else:
            print("kept", directory)


def main():
    if sys.argv[1:2] == ["--consume"]:
        consume(*sys.argv[2:5], int(sys.argv[5]))
    options = parse(sys.argv[1:])
    run_by_hand(kill_loop, options, options.keep)


if __name__ == "__main__":
    main()
