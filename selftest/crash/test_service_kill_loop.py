#!/usr/bin/python3
#  test_service_kill_loop.py - a device, producers and consumers killed again and again: each message once
#
#  SPDX-License-Identifier: MPL-2.0

import service_kill_loop
from service_kill_loop import LONG, run_tests


def loop(*arguments):
    print(service_kill_loop.kill_loop(service_kill_loop.parse(["--rounds", str(8 * LONG), *arguments])))


def test_sync():
    loop("--seed", "1")


def test_async():
    loop("--seed", "2", "--durability", "async")


def test_power_cuts():
    loop("--seed", "3", "--power-cut", "--rate", "500")


run_tests(globals())
