#!/usr/bin/python3
#  test_salvage.py - `zspool salvage` on damaged stores of a device
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from device import *

COUNT = 3000
PAGE = 4096


def run(command, *arguments, status=0):
    done = subprocess.run([ZSPOOL_BIN, command, *arguments], capture_output=True, text=True,
                          timeout=WAIT_S, check=False)
    assert done.returncode == status, done
    return done


def message(number):
    return b"message %08d;" % number + b"-" * (number % 700)


def numbers(store):
    """The numbers of all messages in a store, which must be as they were sent, by sequence."""
    found = {}
    for line in run("dump", store, "--format", "json").stdout.splitlines():
        stored = json.loads(line)
        found[stored["sequence"]] = int(stored["frames"][0][8:16])
        assert stored["frames"][0].encode() == message(found[stored["sequence"]])
    return found


def fill(*options):
    device = Device("--ack", "explicit", *options)
    target, source, acks = (producer(device.endpoint_in), consumer(device.endpoint_out),
                            producer(device.ack_in))
    for number in range(COUNT):
        target.send(message(number))
        if number % 10 == 0:
            acks.send(source.recv_multipart()[0])
    device.wait_stored(COUNT)
    return device


def overwrite(place, content):
    with open("store/data.mdb", "r+b") as data:
        data.seek(place)
        data.write(content)


def test_a_device_goes_on_with_what_was_saved():
    device = fill()
    refused = run("salvage", "store", "saved", status=1)
    assert "another process" in refused.stderr and len(refused.stderr.splitlines()) == 1, refused
    assert not [name for name in os.listdir(".") if name.startswith("saved")]
    device.stop()
    before = numbers("store")
    floor = info()["floor"]
    with open("store/data.mdb", "rb") as data:
        overwrite(data.read().index(message(COUNT // 2)[:20]) + 10, b"#")
    run("verify", "store", status=1)
    saved = run("salvage", "store", "saved", status=1)
    lost = re.findall(r"main (\d+)(?:\.\.(\d+))?: lost", saved.stdout)
    assert len(lost) == 1 and not saved.stderr, saved
    first, last = int(lost[0][0]), int(lost[0][1] or lost[0][0])
    run("verify", "saved")
    after = numbers("saved")
    #  What was acknowledged of the damaged block is gone, too, and nobody is told.
    kept = {sequence: number for sequence, number in before.items()
            if sequence > floor and not first <= sequence <= last}
    assert after.items() <= before.items(), saved
    assert kept == {sequence: number for sequence, number in after.items() if sequence > floor}, saved
    device = Device("--ack", "explicit", store="saved")
    source, acks = consumer(device.endpoint_out), producer(device.ack_in)
    wanted = {message(number) for sequence, number in after.items() if sequence > floor}
    while wanted:
        ticket, body = source.recv_multipart()
        wanted.discard(body)
        acks.send(ticket)
    producer(device.endpoint_in).send(message(COUNT))
    ticket, body = source.recv_multipart()
    assert body == message(COUNT)
    acks.send(ticket)
    device.wait_empty()
    assert device.info()["last_sequence"] == COUNT + 1


def test_a_store_that_does_not_open_is_saved():
    fill().stop()
    before = numbers("store")
    overwrite(0, bytes(2 * PAGE))
    run("info", "store", status=1)
    saved = run("salvage", "store", "saved", status=1)
    assert f"saved {len(before)} messages" in saved.stdout, saved
    run("verify", "saved")
    assert numbers("saved") == before


def test_a_sound_store_is_saved_as_it_is():
    fill().stop()
    saved = run("salvage", "store", "saved")
    assert saved.stdout.splitlines()[-1].startswith("everything was saved"), saved
    assert numbers("saved") == numbers("store")
    old, new = (json.loads(run("info", store, "--json").stdout) for store in ("store", "saved"))
    assert new["origin"]["kind"] == "salvage" and new["origin"]["incarnation"] == old["incarnation"]
    assert [{key: value for key, value in cursor.items() if key != "lagged"}
            for cursor in new["spools"][0]["cursors"]] == [
                {key: value for key, value in cursor.items() if key != "lagged"}
                for cursor in old["spools"][0]["cursors"]]


def test_bad_usage_and_places_are_refused():
    os.mkdir("full")
    with open("full/file", "w", encoding="ascii") as file:
        file.write("x")
    for arguments, status in ((["none", "saved"], 1), (["full", "saved"], 1), (["full", "full"], 1),
                              (["full"], 2), ([], 2), (["a", "b", "c"], 2)):
        done = run("salvage", *arguments, status=status)
        assert len(done.stderr.splitlines()) == 1 and not done.stdout, done
    assert os.listdir(".") == ["full"]


run_tests(globals())
