#!/usr/bin/python3
#  test_device_power_cut.py - whenever the power goes, what a device had forwarded is on the disk
#
#  SPDX-License-Identifier: MPL-2.0
#
#  The device and its peers are real; every write and sync of the store is recorded, and every byte
#  that the device sends. Then each disk that a cut may leave is opened with the real code.

import errno
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from stream import *
from recorder import Recorder

SEED = int(os.environ.get("SELFTEST_SEED") or random.SystemRandom().randrange(1 << 40))
MESSAGES = 80 * LONG


def run_device(recorder, *options, deaths=0):
    """Let a device take in and forward messages in bursts, and die. Nothing is acknowledged."""
    whims = random.Random(SEED)
    device = Device("--ack", "explicit", *options, environment=recorder.environment)
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    kills = sorted(whims.randrange(MESSAGES) for _ in range(deaths))
    number = 0
    while number < MESSAGES:
        burst = min(whims.choice([1, 1, 5, 20]), MESSAGES - number)
        for _ in range(burst):
            size = whims.choice([0, 100, 100, 3000])
            target.send(b"message %08d" % number + b"-" * size)
            number += 1
        receive(source, burst)
        while kills and kills[0] < number:
            kills.pop(0)
            device.restart(kill=True)
            while source.poll(300):
                source.recv_multipart()
    device.wait_stored(MESSAGES)
    device.kill()


def run_stream(recorder, *options, deaths=0):
    """The same through a stream: feeds of each kind, and what is published."""
    whims = random.Random(SEED)
    feeds = [Feed("all", ack="explicit"), Feed("some", "message 0000002", "message 0000005"), Feed("sub", sub=True)]
    device = Stream("--settle", "100", *options, feeds=feeds, environment=recorder.environment)
    target, source = publisher(device.endpoint_in), feeds[0].reader()
    others = [feeds[1].reader(), feeds[2].reader(), subscriber(device.endpoint_out)]
    device.wait_subscribed(1)
    kills = sorted(whims.randrange(MESSAGES) for _ in range(deaths))
    number = 0
    while number < MESSAGES:
        burst = min(whims.choice([1, 1, 5, 20]), MESSAGES - number)
        for _ in range(burst):
            target.send(b"message %08d" % number + b"-" * whims.choice([0, 100, 100, 3000]))
            number += 1
        receive(source, burst)
        while kills and kills[0] < number:
            kills.pop(0)
            device.restart(kill=True)
            while source.poll(300):
                source.recv_multipart()
    device.wait_stored(MESSAGES)
    assert all(other.poll(WAIT_S * 1000) for other in others)
    device.kill()


def check_found(recorder, found):
    print(f"SELFTEST_SEED={SEED} repeats this run")
    status, text = recorder.check_forwarded(SEED, 1)
    print(text)
    assert status == (1 if found else 0), f"exit status {status}"


def test_sync_has_all_that_was_forwarded():
    recorder = Recorder(sends=True, slow_sync_us=2000)
    run_device(recorder)
    check_found(recorder, False)


def test_transaction_has_all_that_was_forwarded():
    recorder = Recorder(sends=True)
    run_device(recorder, "--durability", "transaction")
    check_found(recorder, False)


def test_killed_and_started_again_has_all_that_was_forwarded():
    recorder = Recorder(sends=True)
    run_device(recorder, deaths=4)
    check_found(recorder, False)


def test_stream_has_all_that_its_feeds_and_subscribers_got():
    recorder = Recorder(sends=True, slow_sync_us=2000)
    run_stream(recorder)
    check_found(recorder, False)


def test_stream_killed_and_started_again_has_all_that_was_forwarded():
    recorder = Recorder(sends=True)
    run_stream(recorder, deaths=3)
    check_found(recorder, False)


#  ---- a disk that fails once: the device ends, and the power goes

def fail(kind, after):
    """Let one call of the device fail; it must say so and end, and forward nothing more."""
    if os.path.exists("recording"):
        os.remove("recording")
        shutil.rmtree("store")
    recorder = Recorder(sends=True, slow_sync_us=1000, fail=f"{kind} {after} {errno.EIO}")
    device = Device("--ack", "explicit", environment=recorder.environment, start=False)
    with open(device.log_file, "wb") as log:
        device.process = spawn(*device.command(), stdout=subprocess.PIPE, stderr=log,
                               env={**os.environ, **recorder.environment})
    target = producer(device.endpoint_in, sndhwm=0)
    consumer(device.endpoint_out)
    number = 0
    while device.is_running():
        target.send(b"message %08d" % number)
        number += 1
        time.sleep(0.001)
        assert number < 20000, "the device goes on"
    assert device.wait() == 1 and device.log().count("\n") == 1, device.log()
    check_found(recorder, False)


def test_failed_sync_ends_it_and_what_was_forwarded_is_there():
    whims = random.Random(SEED)
    for after in whims.sample(range(60), 1 + LONG):
        fail("sync", after)


def test_failed_write_ends_it_and_what_was_forwarded_is_there():
    whims = random.Random(SEED)
    #  Not the first: that is for people only, in the file that is locked.
    for after in whims.sample(range(2, 100), 1 + LONG):
        fail("write", after)


#  ---- planted faults are found

def test_planted_sync_left_out_is_found():
    recorder = Recorder(sends=True, plant="sync left out")
    run_device(recorder)
    check_found(recorder, True)


def test_planted_sync_left_out_by_a_stream_is_found():
    recorder = Recorder(sends=True, plant="sync left out")
    run_stream(recorder)
    check_found(recorder, True)


def test_planted_durable_write_that_is_not_is_found():
    recorder = Recorder(sends=True, plant="dsync left out")
    run_device(recorder)
    check_found(recorder, True)


def test_planted_forwarding_before_the_commit_is_found():
    #  What `async` does by its nature, judged as if it were `sync`
    recorder = Recorder(sends=True, slow_sync_us=2000)
    run_device(recorder, "--durability", "async", "--commit-interval", "300")
    check_found(recorder, True)


run_tests(globals())
