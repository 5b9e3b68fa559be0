#!/usr/bin/python3
#  test_power_loop.py - a device whose power is cut again and again under load loses nothing that it
#  had forwarded or confirmed
#
#  SPDX-License-Identifier: MPL-2.0

import kill_loop
from kill_loop import LONG, SEED, run_tests


def loop(*arguments):
    options = kill_loop.parse(["--power-cut", "--rounds", str(5 * LONG), "--seed", str(SEED),
                               *arguments])
    print(kill_loop.kill_loop(options))


def test_settled_sync():
    loop()


def test_explicit_sync():
    loop("--ack", "explicit")


def test_explicit_async():
    loop("--ack", "explicit", "--durability", "async")


run_tests(globals())
