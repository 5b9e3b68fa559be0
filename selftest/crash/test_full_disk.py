#!/usr/bin/python3
#  test_full_disk.py - a full disk holds the producers; what is acknowledged makes room again
#
#  SPDX-License-Identifier: MPL-2.0
#
#  Needs root, to mount small file systems: in a mount namespace of its own, so that none is left.

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from small_disk import *


def cpu_ticks(device):
    with open(f"/proc/{device.process.pid}/stat", encoding="ascii") as stat:
        return sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13]))


def take(device, source, first, end, feed=None):
    """Receive these numbers, in order, and acknowledge them if there are tickets. Meanwhile send:
    feed is a producer and the numbers that it is to send."""
    acks = producer(device.ack_in) if device.ack_in else None
    target, number, feed_end = feed or (None, 0, 0)
    while first < end:
        if number < feed_end and target.poll(0, zmq.POLLOUT):
            target.send_multipart([PADDING, b"%d" % number])
            number += 1
        elif source.poll(20 if number < feed_end else WAIT_S * 1000):
            message = source.recv_multipart()
            if acks:
                acks.send(message.pop(0))
            assert message == [PADDING, b"%d" % first], f"{message[-1]} is not {first}"
            first += 1
        else:
            assert number < feed_end, f"message {first} does not come"


def check_goes_on(*options, cycles=1):
    """Fill the disk and drain it; nothing is lost, and nobody helps the device."""
    small_disk()
    device = Device(*options, store="disk/store")
    target = producer(device.endpoint_in, sndhwm=100)
    first = 0
    for cycle in range(1, cycles + 1):
        held = fill_up(device, target, first)
        assert device.info()["messages"] > 1000
        before, warnings = cpu_ticks(device), device.log().count("\n")
        assert warnings % 2 == 1, device.log()
        time.sleep(1)
        assert cpu_ticks(device) - before < 25, "it burns the CPU while it waits"
        assert device.log().count("\n") == warnings, "it warns again and again"
        source = consumer(device.endpoint_out)
        take(device, source, first, held + 500, (target, held, held + 500))
        device.wait_empty()
        #  At the brink it may get full again, but not all the time.
        wait_until(lambda: not is_full(device), "it tells that there is space again")
        assert device.log().count("\n") <= 10 * cycle, device.log()
        source.close()
        first = held + 500
    device.stop()


def test_settled_goes_on_when_consumers_come():
    check_goes_on("--settle", "200")


def test_settled_async_goes_on_when_consumers_come():
    check_goes_on("--settle", "200", "--durability", "async")


def test_explicit_goes_on_when_tickets_come():
    check_goes_on("--ack", "explicit")


def test_sent_goes_on_when_consumers_come():
    check_goes_on("--ack", "sent")


def test_device_goes_on_when_others_make_room():
    small_disk(DISK_MIB + 64)
    device = Device(store="disk/store")
    target = producer(device.endpoint_in, sndhwm=100)
    send(target, [[PADDING, b"0"]])
    device.wait_stored(1)
    subprocess.run("head -c 200M /dev/zero > disk/other 2> errors", shell=True, check=False)
    held = fill_up(device, target, 1)
    os.remove("disk/other")
    target.send_multipart([PADDING, b"%d" % held])
    device.wait_stored(held)
    wait_until(lambda: not is_full(device), "it tells that there is space again")
    assert device.log().count("\n") == 2, device.log()


def test_kill_on_a_full_disk_loses_nothing_stored():
    small_disk()
    device = Device("--settle", "200", store="disk/store")
    fill_up(device, producer(device.endpoint_in, sndhwm=100))
    stored = device.info()["last_sequence"]
    device.restart(kill=True)
    take(device, consumer(device.endpoint_out), 0, stored)
    device.wait_empty()


def test_stop_on_a_full_disk_tells_what_was_lost():
    small_disk()
    device = Device("--settle", "200", store="disk/store")
    fill_up(device, producer(device.endpoint_in, sndhwm=100))
    stored = device.info()["last_sequence"]
    device.signal(signal.SIGTERM)
    assert device.wait() == 1
    assert "messages were received but could not be stored" in device.log(), device.log()
    assert device.log().count("\n") == 2, device.log()
    device.start()
    take(device, consumer(device.endpoint_out), 0, stored)


def test_history_goes_before_anybody_waits():
    small_disk()
    device = Device("--ack", "sent", "--keep-count", "unlimited", store="disk/store")
    target, source = producer(device.endpoint_in, sndhwm=100), consumer(device.endpoint_out)
    count = 3 * DISK_MIB * 125  #  three times what the disk holds
    take(device, source, 0, count, (target, 0, count))
    wait_until(lambda: device.info()["pending"] == 0, "all is acknowledged")
    assert device.log() == "", device.log()
    assert 2000 < device.info()["messages"] < count / 2, device.info()
    source.close()
    #  What is not acknowledged stays, and then producers do wait.
    held = fill_up(device, target, count)
    assert device.info()["pending"] > 2000
    take(device, consumer(device.endpoint_out), count, held)
    device.stop()


def test_backup_and_salvage_to_a_full_disk_leave_nothing():
    device = Device()
    target = producer(device.endpoint_in)
    for _ in range(20):
        target.send(os.urandom(1 << 20))
    device.wait_stored(20)
    device.stop()
    small_disk(16)
    for command in ("backup", "salvage"):
        done = subprocess.run([ZSPOOL_BIN, command, "store", "disk/copy"], capture_output=True, text=True,
                              check=False, timeout=WAIT_S)
        assert done.returncode == 1 and "no space" in done.stderr.lower(), done
        assert len(done.stderr.splitlines()) == 1 and os.listdir("disk") == ["lost+found"], done


in_own_namespace()
run_tests(globals())
