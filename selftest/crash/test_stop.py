#!/usr/bin/python3
#  test_stop.py - SIGTERM loses nothing that producers had sent, whatever disk and consumers do
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from device import *
from shim import Shim


def check_stored(device, count):
    stored = device.info()["last_sequence"]
    assert stored == count, f"{stored} of {count} are stored"


def test_what_was_sent_before_is_stored():
    for durability in "sync", "async":
        device = Device("--durability", durability, store=durability)
        targets = [producer(device.endpoint_in, sndhwm=0) for _ in range(3)]
        source = consumer(device.endpoint_out)
        targets[0].send(b"first")
        assert source.recv() == b"first"
        for target in targets:
            send(target, numbered(0, 10000))
        device.stop()
        #  What the producers still hold comes after the start.
        device.start()
        device.wait_stored(30001)
        time.sleep(0.1)
        check_stored(device, 30001)
        device.stop()


def test_what_was_sent_before_is_stored_on_a_slow_disk():
    shim = Shim(slow_ms=250)
    device = Device(environment=shim.environment)
    target = producer(device.endpoint_in, sndhwm=0)
    target.send(b"first")
    device.wait_stored(1)
    shim.begin()
    padding = b"x" * 20000
    send(target, [[padding, b"%d" % number] for number in range(2000)])
    device.wait_stored(10)
    device.stop()
    shim.end()
    device.start()
    device.wait_stored(2001)
    check_stored(device, 2001)


def test_stop_with_a_stuck_consumer_is_prompt_and_loses_nothing():
    #  A settle time that is not over before the buffers on the way are full, however slow we are
    device = Device("--settle", "60000")
    peer = Peer(device.endpoint_out, count=0, rcvhwm=1)
    target = producer(device.endpoint_in, sndhwm=0)
    padding = b"x" * 5000
    send(target, [[padding, b"%d" % number] for number in range(5000)])
    device.wait_stored(5000)
    started_s = time.monotonic()
    device.stop()
    assert time.monotonic() - started_s < 5
    peer.kill()
    device.start()
    received = receive(consumer(device.endpoint_out), 5000)
    assert [int(message[1]) for message in received] == list(range(5000))


def test_what_was_sent_just_before_the_stop_is_stored():
    for delay_s in 0, 0.001, 0.01, 0.05, 0.09:
        device = Device(store=f"store{delay_s}")
        target = producer(device.endpoint_in)
        send(target, numbered(0, 10))
        device.wait_stored(10)
        send(target, numbered(10, 20))
        time.sleep(delay_s)
        device.stop()
        device.start()
        device.wait_stored(20)
        time.sleep(0.02)
        check_stored(device, 20)
        device.kill()


def test_long_commit_interval_does_not_delay_the_stop():
    device = Device("--durability", "async", "--commit-interval", "60000")
    send(producer(device.endpoint_in), numbered(0, 1000))
    receive(consumer(device.endpoint_out), 1000)
    started_s = time.monotonic()
    device.stop()
    assert time.monotonic() - started_s < 8
    check_stored(device, 1000)


def test_stop_under_full_load_stores_all_that_was_taken_in():
    #  Frames large enough to hold messages up again and again, several of each: none is cut in two.
    shim = Shim(slow_ms=100)
    device = Device("--durability", "async", environment=shim.environment)
    stopping = threading.Event()

    def feed():
        target = zmq.Context.instance().socket(zmq.PUSH)
        target.linger, target.sndtimeo = 0, 50
        target.connect(device.endpoint_in)
        while not stopping.is_set():
            try:
                target.send_multipart([b"x" * 20000] * 7)
            except zmq.Again:
                pass
        target.close(0)
    feeders = [threading.Thread(target=feed) for _ in range(2)]
    for feeder in feeders:
        feeder.start()
    device.wait_stored(10)
    shim.begin()
    time.sleep(1)
    try:
        device.stop()   #  it would exit with 1, had it lost any
    finally:
        stopping.set()
        for feeder in feeders:
            feeder.join()
        shim.end()
    subprocess.run([ZSPOOL_BIN, "verify", "store"], check=True, stdout=subprocess.DEVNULL)


def test_second_signal_ends_it_at_once():
    shim = Shim(slow_ms=3000)
    device = Device(environment=shim.environment)
    shim.begin()
    target = producer(device.endpoint_in)
    send(target, numbered(0, 10))
    time.sleep(0.1)
    device.signal(signal.SIGTERM)
    time.sleep(0.1)
    started_s = time.monotonic()
    device.signal(signal.SIGTERM)
    assert device.wait() == -signal.SIGTERM
    assert time.monotonic() - started_s < 2
    shim.end()


def test_tickets_that_came_before_the_stop_count():
    device = Device("--ack", "explicit")
    source, acks = consumer(device.endpoint_out), producer(device.ack_in)
    send(producer(device.endpoint_in), numbered(0, 1000))
    acks.send_multipart([ticket for ticket, _ in receive(source, 1000)])
    time.sleep(0.05)
    device.stop()
    assert device.info()["pending"] == 0


run_tests(globals())
