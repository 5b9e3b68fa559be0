#!/usr/bin/python3
#  test_failing_disk.py - when the disk fails the device says so and ends; nothing was forwarded
#  beyond; a restart recovers
#
#  SPDX-License-Identifier: MPL-2.0

import errno
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from device import *
from shim import Shim


def fail_under_load(*options, messages=300, **fault):
    """Let the disk fail while messages pass; give what was received before the device ended."""
    shim = Shim(**fault)
    device = Device(*options, environment=shim.environment)
    target, source = producer(device.endpoint_in, sndhwm=0), consumer(device.endpoint_out)
    send(target, numbered(0, messages))
    received = [int(message[-1]) for message in receive(source, messages)]
    shim.begin()
    send(target, numbered(messages, 2 * messages))
    status = device.wait()
    assert status == 1, f"exit status {status}"
    lines = device.log().splitlines()
    assert len(lines) == 1 and lines[0].startswith("zspool queue: store: "), device.log()
    received += [int(message[-1]) for message in receive_for(source, 0.1)]
    shim.end()
    return device, target, source, received


def check_recovers(device, source, received, messages=300):
    """After the restart what was received is in the store, and all arrives that is."""
    before = device.info()
    assert len(set(received)) <= before["last_sequence"], "forwarded, not stored"
    device.start()
    wanted = set(range(messages))
    if device.options[:1] == ["--durability"]:
        wanted = set()  #  async promises less
    again = set(received)
    while not wanted <= again:
        again.add(int(source.recv_multipart()[-1]))
    #  Taking messages in works again.
    send(producer(device.endpoint_in), [[b"-1"]])
    while int(source.recv_multipart()[-1]) != -1:
        pass
    device.stop()
    subprocess.run([ZSPOOL_BIN, "verify", "store"], check=True, stdout=subprocess.DEVNULL)


def test_failing_fdatasync_ends_the_device():
    device, _, source, received = fail_under_load(sync=errno.EIO)
    check_recovers(device, source, received)


def test_failing_write_ends_the_device():
    device, _, source, received = fail_under_load(write=errno.EIO)
    check_recovers(device, source, received)


def test_short_write_ends_the_device():
    device, _, source, received = fail_under_load(short=1000)
    check_recovers(device, source, received)


def test_disk_that_fills_up_behind_its_back_ends_the_device():
    device, _, source, received = fail_under_load(write=errno.ENOSPC)
    check_recovers(device, source, received)


def test_failing_fdatasync_under_async_ends_the_device():
    device, _, source, received = fail_under_load("--durability", "async", sync=errno.EIO)
    assert len(set(received)) >= 300
    device.start()
    state = device.info()
    forwarded = len(set(received))
    assert state["lost"] >= forwarded - state["last_sequence"], "what was forwarded lies in no gap"
    #  Numbers are never given twice, so this is a new message above the gap.
    send(producer(device.endpoint_in), [[b"-1"]])
    while int(source.recv_multipart()[-1]) != -1:
        pass
    device.stop()


def test_nothing_is_forwarded_after_the_failure():
    shim = Shim(sync=errno.EIO)
    device = Device(environment=shim.environment)
    shim.begin()
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    send(target, numbered(0, 100))
    assert device.wait() == 1
    assert receive_for(source, 0.1) == []


def test_failing_disk_at_the_start_is_refused():
    shim = Shim(sync=errno.EIO)
    shim.begin()
    device = Device(environment=shim.environment, start=False)
    done = subprocess.run(device.command(), capture_output=True, text=True, timeout=WAIT_S,
                          check=False, env={**os.environ, **shim.environment})
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1, done
    shim.end()
    device.start()


def test_failing_disk_at_the_stop_is_told():
    shim = Shim(sync=errno.EIO)
    device = Device(environment=shim.environment)
    target = producer(device.endpoint_in)
    target.send(b"0")
    device.wait_stored(1)
    device.signal(signal.SIGSTOP)
    send(target, numbered(1, 20))
    time.sleep(0.05)
    shim.begin()
    device.signal(signal.SIGTERM)
    device.signal(signal.SIGCONT)
    assert device.wait() == 1, "what was lost was not told"
    assert device.log().count("\n") == 1, device.log()


run_tests(globals())
