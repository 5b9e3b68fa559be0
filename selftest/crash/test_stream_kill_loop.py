#!/usr/bin/python3
#  test_stream_kill_loop.py - a stream killed again and again under load: every feed has all that was stored
#
#  SPDX-License-Identifier: MPL-2.0

import stream_kill_loop
from stream_kill_loop import LONG, run_tests


def loop(*arguments):
    options = stream_kill_loop.parse(["--rounds", str(6 * LONG), *arguments])
    print(stream_kill_loop.kill_loop(options))


def test_sync():
    loop("--seed", "1", "--rate", "2000")


def test_async_killed_as_soon_as_it_is_ready():
    loop("--seed", "2", "--durability", "async", "--pause", "0.03")


def test_power_cuts():
    loop("--seed", "3", "--power-cut", "--publishers", "1", "--rate", "1000")


run_tests(globals())
