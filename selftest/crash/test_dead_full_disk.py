#!/usr/bin/python3
#  test_dead_full_disk.py - messages die on a full disk; dropping the letters makes room again
#
#  SPDX-License-Identifier: MPL-2.0
#
#  Needs root, as test_full_disk.py does.

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from small_disk import *

OPTIONS = ["--ack", "explicit", "--ack-timeout", "300"]


def dead(action, *arguments):
    return subprocess.run([ZSPOOL_BIN, "dead", action, "disk/store", *arguments], capture_output=True,
                          text=True, timeout=2 * WAIT_S, check=False)


def dead_spool():
    return info("disk/store", "main.dead")


def check_moved(device):
    """What has left the one spool is in the other. Two looks, so while nothing dies."""
    main = device.info()
    assert main["last_sequence"] - main["lost"] - main["pending"] == dead_spool()["last_sequence"]


def numbers_of_letters():
    shown = dead("show", "--all", "--json")
    assert shown.returncode == 0, shown.stderr
    return [int(json.loads(line)["frames"][1]) for line in shown.stdout.splitlines()]


def cpu_ticks(device):
    with open(f"/proc/{device.process.pid}/stat", encoding="ascii") as stat:
        return sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13]))


def test_messages_die_on_a_full_disk_until_it_is_full_of_letters_and_dropping_these_lets_it_go_on():
    small_disk()
    device = Device(*OPTIONS, "--max-deliveries", "1", store="disk/store")
    target = producer(device.endpoint_in, sndhwm=100)
    held = fill_up(device, target)
    stored = device.info()["last_sequence"]
    source = consumer(device.endpoint_out)
    #  Each is delivered though the disk is full; then the first die. The room that this makes goes to producers,
    #  so others find none.
    taken = [int(message[2]) for message in receive(source, stored)]
    assert taken == list(range(stored))
    wait_until(lambda: dead_spool()["last_sequence"] >= 1000, "some die", 2 * WAIT_S)
    time.sleep(1)
    before = cpu_ticks(device)
    time.sleep(1)
    assert cpu_ticks(device) - before < 30, "it burns the CPU while it waits"
    device.kill()
    check_moved(device)
    numbers = numbers_of_letters()
    device.start()

    def all_dropped():
        while source.poll(0):
            source.recv_multipart()
        new = numbers_of_letters()
        if new:
            #  More may have died since; they come with the next look.
            numbers.extend(number for number in new if number not in known)
            known.update(new)
            done = dead("drop", f"1-{dead_spool()['first_sequence'] + len(new) - 1}")
            assert done.returncode == 0, done.stderr
        return device.info()["pending"] == 0 and not new
    known = set(numbers)
    wait_until(all_dropped, "all die and are dropped", 2 * WAIT_S)
    assert len(set(numbers)) == len(numbers)
    last = device.info()["last_sequence"]
    assert sorted(numbers) == list(range(last)) and stored <= last <= held
    for number in range(1000):
        target.send_multipart([PADDING, b"%d" % number])
    device.wait_stored(last + 1000)
    device.stop()


def test_what_finds_no_room_stays_in_flight_and_holds_up_nothing():
    small_disk()
    device = Device(*OPTIONS, store="disk/store")
    target = producer(device.endpoint_in, sndhwm=100)
    source, acks = consumer(device.endpoint_out), producer(device.ack_in)
    for number in range(500):
        target.send_multipart([PADDING, b"%d" % number])
    receive(source, 500)
    device.stop()
    #  They are to die now; the disk is full, and what is kept for acknowledging is soon used up by letters of
    #  which each but the last of a block frees nothing.
    device.options += ["--max-deliveries", "2"]
    device.options[device.options.index("300")] = "50"
    device.start()
    subprocess.run("head -c 200M /dev/zero > disk/other 2> errors", shell=True, check=False)
    fill_up(device, target, 500)
    seen = set()

    def all_seen():
        while source.poll(0):
            ticket, _, number = source.recv_multipart()
            if int(number) % 50:
                seen.add(int(number))
                if int(number) >= 500:
                    acks.send(ticket)
        return device.info()["pending"] <= 2 + device.info()["last_sequence"] // 50
    wait_until(all_seen, "the others are acknowledged, or dead", 2 * WAIT_S)
    assert device.is_running()
    os.remove("disk/other")

    def all_gone():
        all_seen()
        return device.info()["pending"] == 0
    wait_until(all_gone, "what was to die is dead", 2 * WAIT_S)
    device.stop()
    numbers = numbers_of_letters()
    assert len(set(numbers)) == len(numbers)
    assert set(range(0, device.info()["last_sequence"], 50)) <= set(numbers)


in_own_namespace()
run_tests(globals())
