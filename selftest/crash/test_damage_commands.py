#!/usr/bin/python3
#  test_damage_commands.py - commands that look into a damaged store print nothing wrong
#
#  SPDX-License-Identifier: MPL-2.0
#
#  The same flips as in test_store_flips.c, but fewer, and through the command. LMDB's own pages
#  have no checksums: damage there may crash a command, which is counted.

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from device import *

SEED = int(os.environ.get("SELFTEST_SEED") or random.SystemRandom().randrange(1 << 40))
MESSAGES = 2000
LINE = re.compile(rb"^([0-9]+)\t[^\t]+\tmessage ([0-9]{8})-{100}$")
COMMANDS = [["info", "store"], ["verify", "store"], ["dump", "store"],
            ["dump", "store", "--last", "5"]]


def build():
    device = Device("--ack", "explicit")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    for number in range(MESSAGES):
        target.send(b"message %08d" % number + b"-" * 100)
    device.wait_stored(MESSAGES)
    acks, tickets = producer(device.ack_in), []
    for ticket, _ in receive(source, MESSAGES):
        tickets.append(ticket)
    for ticket in tickets[MESSAGES // 2::3]:
        acks.send(ticket)
    wait_until(lambda: device.info()["pending"] <= MESSAGES * 5 // 6 + 1, "tickets are taken")
    device.stop()
    with open("store/data.mdb", "rb") as data:
        return data.read()


def run(command):
    """Exit status and output; None when it ran for too long."""
    try:
        return subprocess.run([ZSPOOL_BIN, *command], capture_output=True, timeout=WAIT_S,
                              check=False)
    except subprocess.TimeoutExpired:
        return None


def check_output(command, done):
    """Every message printed is one that was stored, under the number that it was given."""
    if command[0] == "dump":
        for line in done.stdout.splitlines():
            found = LINE.match(line)
            assert found and int(found[1]) == int(found[2]) + 1 <= MESSAGES, line


def look(counts):
    for command in COMMANDS:
        done = run(command)
        if done is None:
            counts["hung"] += 1
        elif done.returncode not in (0, 1):
            counts["crashed"] += 1
        else:
            check_output(command, done)
            counts["told" if done.returncode else "silent or harmless"] += 1


def check_damages(content, damages):
    print(f"SELFTEST_SEED={SEED} repeats this run")
    counts = dict.fromkeys(["told", "silent or harmless", "crashed", "hung"], 0)
    for place, bit in damages:
        with open("store/data.mdb", "r+b") as data:
            data.seek(place)
            data.write(bytes([content[place] ^ 1 << bit]))
            data.flush()
            look(counts)
            data.seek(place)
            data.write(content[place:place + 1])
    print(f"{len(damages)} flips, {len(COMMANDS)} commands: {counts}")
    return counts


def test_commands_print_nothing_wrong_whatever_byte_is_damaged():
    content = build()
    whims = random.Random(SEED)
    used = max(match.end() for match in re.finditer(b"message ", content))
    damages = [(whims.randrange(used), whims.randrange(8)) for _ in range(40 * LONG)]
    check_damages(content, damages)


def test_commands_tell_of_damage_in_messages():
    content = build()
    whims = random.Random(SEED)
    places = [match.start() for match in re.finditer(rb"message [0-9]{8}-", content)]
    damages = [(whims.choice(places) + whims.randrange(100), whims.randrange(8))
               for _ in range(25 * LONG)]
    counts = check_damages(content, damages)
    assert counts["crashed"] == counts["hung"] == 0, counts
    #  Each is told by verify, and by a dump of everything.
    assert counts["told"] >= 2 * len(damages), counts


run_tests(globals())
