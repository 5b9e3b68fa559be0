#!/usr/bin/python3
#  test_start.py - a device that is killed while it starts, at any instant, starts the next time
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from device import *


def start_and_kill(device, delay_s):
    device.process = spawn(*device.command(), stdout=subprocess.DEVNULL)
    time.sleep(delay_s)
    device.process.kill()
    device.process.wait()


def test_killed_while_it_creates_the_store_it_starts_the_next_time():
    for number in range(40 * LONG):
        device = Device(store=f"store{number}", start=False)
        for _ in range(3):
            start_and_kill(device, random.random() * 0.03)
        device.start()
        subprocess.run([ZSPOOL_BIN, "verify", device.store], check=True, stdout=subprocess.DEVNULL)
        device.kill()
        shutil.rmtree(device.store)


def test_killed_while_it_opens_the_store_it_has_everything_the_next_time():
    for durability in "sync", "async":
        device = Device("--durability", durability, store=durability)
        send(producer(device.endpoint_in), numbered(0, 1000))
        device.wait_stored(1000)
        device.kill()
        for _ in range(20 * LONG):
            start_and_kill(device, random.random() * 0.03)
        device.start()
        source = consumer(device.endpoint_out)
        send(producer(device.endpoint_in), numbered(1000, 1010))
        assert receive(source, 1010) == numbered(0, 1010)
        device.kill()


run_tests(globals())
