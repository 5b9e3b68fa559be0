#!/usr/bin/python3
#  test_hanging_disk.py - while a commit does not end, other processes are answered, and told so
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from device import *
from shim import Shim

HANG_MS = 4000


def zspool(*arguments):
    return subprocess.run([ZSPOOL_BIN, *arguments], capture_output=True, text=True, timeout=WAIT_S,
                          check=True).stdout


def status():
    return json.loads(zspool("status", "store", "--json"))


def check_device_on_a_hanging_disk(*options):
    shim = Shim(slow_ms=HANG_MS)
    device = Device(*options, environment=shim.environment)
    target = producer(device.endpoint_in)
    send(target, numbered(0, 10))
    wait_until(lambda: status()["t2"]["count"] == 10, "all is durable")
    shim.begin()
    send(target, numbered(10, 20))
    #  Whether the commit hangs by now, and then for how long, is told while it does.
    wait_until(lambda: status()["state"] == "stalled", "the commit hangs")
    shim.end()
    told = zspool("status", "store").splitlines()
    assert told[-1].startswith("late?     a commit does not end") or "storing is slow" in told[-1], told
    zspool("pause", "store")
    zspool("resume", "store")
    zspool("info", "store")
    zspool("flush", "store")
    assert device.info()["last_sequence"] == 20
    wait_until(lambda: status()["state"] == "running", "it goes on")
    #  Messages have waited for all that time, and that is what is told.
    assert status()["t2"]["max_us"] > HANG_MS * 1000 // 2
    assert "storing is slow" in zspool("status", "store").splitlines()[-1]
    device.stop()


def test_commit_that_hangs_under_sync_is_told():
    check_device_on_a_hanging_disk()


def test_commit_that_hangs_under_async_is_told():
    check_device_on_a_hanging_disk("--durability", "async")


run_tests(globals())
