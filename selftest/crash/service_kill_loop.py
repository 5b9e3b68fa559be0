#!/usr/bin/python3
#  service_kill_loop.py - kills a device with a service, its producers and its consumers again and again
#
#  SPDX-License-Identifier: MPL-2.0
#
#  By hand: ZSPOOL_BIN=... selftest/crash/service_kill_loop.py --rounds 300 --seed 7
#
#  Named producers put numbered messages into the spool `in`; workers take them through one cursor, and put
#  each one's answer into `out` in the transaction that acknowledges it; readers take `in` through cursors
#  of their own. All are processes, killed with -9 at random, as is the device; with --power-cut each death of
#  it takes the power, too: of what was not synced any part is gone. Each client writes a ledger of what it
#  was told. The account, when all has arrived:
#    1. Every message that was confirmed to its producer as committed is stored, each once, in order.
#    2. `out` holds the answer to each message of `in` exactly once.
#    3. Each reader has received every message stored, bytes unchanged.

import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from service import *
from kill_loop import run_by_hand
from recorder import Recorder

TEXT = bytes(random.Random(0).choices(b"abcdefghijklmnopqrstuvwxyz", k=5000))


def message(name, number):
    return b"%d:%d:" % (name, number) + TEXT[:(number * 37 + name) % (3000 if number % 50 == 0 else 150)]


#  ---- clients, each in a process

def produce(endpoint, name, ledger_name, rate):
    """Put numbered messages, from where a producer of this name was; write down what is confirmed."""
    with open(ledger_name, "a", buffering=1, encoding="ascii") as ledger:
        producer = Producer(endpoint, "in", name=f"p{name}", timeout=600)
        number = producer.last
        while True:
            burst = random.randrange(1, 2 * max(1, int(rate) // 50))
            producer.put_many(message(int(name), number + index + 1) for index in range(burst))
            number += burst
            ledger.write(f"{producer.committed}\n")
            time.sleep(0.02)


def work(endpoint, name):
    """Answer each message in the transaction that acknowledges it."""
    producer = Producer(endpoint, "out", name=f"w{name}", timeout=600)
    consumer = Consumer(endpoint, "in", "work", timeout=600, prefetch=(200, 1 << 20))
    while True:
        deliveries = consumer.recv_many(random.randrange(1, 60))
        txn = producer.transaction()
        try:
            for delivery in deliveries:
                txn.ack(consumer, delivery)
                txn.put(b":".join(delivery.data.split(b":")[:2]))
        except ZspoolError as error:        #  the connection was lost meanwhile
            assert error.code == "ESTALE", error
            txn.rollback()
            continue
        try:
            txn.commit()
        except ZspoolError as error:
            assert error.code == "ESTALE", error


def read(endpoint, name, ledger_name):
    """Write down all that comes, then acknowledge it."""
    consumer = Consumer(endpoint, "in", f"reader{name}", timeout=600)
    with open(ledger_name, "ab", buffering=0) as ledger:
        while True:
            deliveries = consumer.recv_many(500)
            lines = []
            for delivery in deliveries:
                who, number, _ = delivery.data.split(b":", 2)
                whole = delivery.data == message(int(who), int(number))
                lines.append(b"%s:%s:%d\n" % (who, number, whole))
            ledger.write(b"".join(lines))
            try:
                consumer.ack_to(deliveries[-1])
            except ZspoolError as error:
                assert error.code == "ESTALE", error


class Client:
    """A process that is killed and started again."""

    def __init__(self, *command):
        self.command = [sys.executable, os.path.abspath(__file__), *map(str, command)]
        self.start()

    def start(self):
        with open("clients.log", "ab") as log:
            self.process = spawn(*self.command, stderr=log)

    def kill(self):
        assert self.process.poll() is None, f"{self.command} ended by itself"
        self.process.kill()
        self.process.wait()


#  ---- the account

def all_messages(device, spool):
    """What is stored, read through a cursor of its own."""
    count = device.spool(spool)["messages"]
    with Consumer(device.service, spool, "account", timeout=WAIT_S) as consumer:
        return [each.data for each in receive_all(consumer, count, 2 * WAIT_S)] if count else []


def check(device, options, ledgers):
    came = all_messages(device, "in")
    newest = {}
    for data in came:
        name, number, _ = data.split(b":", 2)
        assert int(number) == newest.get(int(name), 0) + 1, f"{name}:{number} after {newest.get(int(name))}"
        assert data == message(int(name), int(number)), "bytes have changed"
        newest[int(name)] = int(number)
    for name in range(options.producers):
        confirmed = max((int(line) for line in open(f"ledger.p{name}", encoding="ascii") if line.strip()), default=0)
        assert newest.get(name, 0) >= confirmed, f"producer {name}: {confirmed} confirmed, {newest.get(name)} stored"
    answers = [tuple(map(int, data.split(b":"))) for data in all_messages(device, "out")]
    assert len(answers) == len(set(answers)), f"{len(answers) - len(set(answers))} answers came twice"
    keys = {tuple(map(int, data.split(b":", 2)[:2])) for data in came}
    assert set(answers) == keys, f"{len(keys - set(answers))} were not answered, {len(set(answers) - keys)} came from nowhere"
    for ledger in ledgers:
        lines = [line.split(b":") for line in open(ledger, "rb") if line.endswith(b"\n") and line.count(b":") == 2]
        assert all(line[2] == b"1\n" for line in lines), "bytes have changed"
        received = {(int(line[0]), int(line[1])) for line in lines}
        assert keys <= received, f"{ledger}: {len(keys - received)} of {len(keys)} are missing"
    return len(came)


def kill_loop(options):
    """Run the loop in the current directory; give a summary."""
    whims = random.Random(options.seed)
    recorder = Recorder() if options.power_cut else None
    device = ServiceDevice("--durability", options.durability, "--ack-timeout", "3000", "--keep-count", "unlimited",
                           "--max-deliveries", "0", environment=recorder and recorder.environment)
    clients = [Client("--produce", device.service, name, f"ledger.p{name}", options.rate)
               for name in range(options.producers)]
    producers = len(clients)
    clients += [Client("--work", device.service, name) for name in range(options.workers)]
    ledgers = [f"ledger.r{name}" for name in range(options.readers)]
    clients += [Client("--read", device.service, name, ledger) for name, ledger in enumerate(ledgers)]
    deaths = 0
    for _ in range(options.rounds):
        time.sleep(whims.expovariate(1 / options.pause))
        for client in whims.sample(clients, whims.randrange(0, 3)):
            client.kill()
            client.start()
            deaths += 1
        if whims.random() < 0.7:
            device.kill()
            if recorder:
                recorder.cut(whims.randrange(1 << 40))
            time.sleep(whims.random() * 0.1)
            device.start()
            deaths += 1
    time.sleep(0.5)
    for client in clients[:producers]:
        client.kill()

    def all_done():
        state = device.spool("in")
        return state["last_sequence"] and all(cursor["pending"] == 0 for cursor in state["cursors"])
    wait_until(all_done, "all is answered and read", 4 * WAIT_S)
    for client in clients[producers:]:
        client.kill()
    count = check(device, options, ledgers)
    device.stop()
    subprocess.run([ZSPOOL_BIN, "verify", "store"], check=True, stdout=subprocess.DEVNULL)
    return f"{count} messages, each answered once; {deaths} deaths"


def parse(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--durability", default="sync", choices=["sync", "async", "transaction"])
    parser.add_argument("--producers", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--readers", type=int, default=1)
    parser.add_argument("--rate", type=int, default=2000, help="messages a second of each producer")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between kills, mean")
    parser.add_argument("--power-cut", action="store_true", help="each death of the device takes the power, too")
    parser.add_argument("--keep-directory", action="store_true", help="keep the directory when it fails")
    return parser.parse_args(arguments)


def main():
    if sys.argv[1:2] == ["--produce"]:
        produce(*sys.argv[2:])
    elif sys.argv[1:2] == ["--work"]:
        work(*sys.argv[2:])
    elif sys.argv[1:2] == ["--read"]:
        read(*sys.argv[2:])
    else:
        options = parse(sys.argv[1:])
        run_by_hand(kill_loop, options, options.keep_directory)


if __name__ == "__main__":
    main()
