#!/usr/bin/python3
#  test_kill_loop.py - a device killed again and again under load loses nothing that it had stored
#
#  SPDX-License-Identifier: MPL-2.0

import kill_loop
from kill_loop import LONG, run_tests


def loop(*arguments):
    options = kill_loop.parse(["--rounds", str(8 * LONG), *arguments])
    print(kill_loop.kill_loop(options))


def test_settled_sync():
    loop("--seed", "1")


def test_settled_async():
    loop("--seed", "2", "--durability", "async")


def test_settled_with_a_single_consumer_stays_in_order():
    loop("--seed", "3", "--consumers", "1")


def test_explicit_sync():
    loop("--seed", "4", "--ack", "explicit")


def test_explicit_async():
    loop("--seed", "5", "--ack", "explicit", "--durability", "async")


def test_explicit_killed_as_soon_as_it_is_ready():
    loop("--seed", "6", "--ack", "explicit", "--pause", "0.02")


def test_sent():
    loop("--seed", "7", "--ack", "sent")


run_tests(globals())
