#!/usr/bin/python3
#  test_retention.py - a device keeps a history as long as it is told, and no longer
#
#  SPDX-License-Identifier: MPL-2.0

from device import *

MIB = 1 << 20


def status_of(device):
    text = subprocess.run([ZSPOOL_BIN, "status", device.store, "--json"], check=True,
                          capture_output=True).stdout
    return json.loads(text)


def store_one_by_one(device, target, first, end):
    """Each message in a block of its own."""
    for number in range(first, end):
        send(target, numbered(number, number + 1))
        device.wait_stored(number + 1)


def test_keep_count_keeps_the_newest_and_a_restart_goes_on():
    device = Device("--ack", "sent", "--keep-count", "30")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    store_one_by_one(device, target, 0, 50)
    receive(source, 50)
    wait_until(lambda: device.info()["messages"] == 30, "20 are removed")
    assert device.info()["first_sequence"] == 21 and device.info()["lagged"] == 0
    device.restart()
    assert device.info()["first_sequence"] == 21
    device.stop()
    #  As a queue it keeps nothing.
    device.options[:] = ["--ack", "sent"]
    device.start()
    device.wait_empty()
    device.stop()


def test_keep_unacked_keeps_what_nobody_took_whatever_the_limits():
    device = Device("--ack", "sent", "--keep-count", "5", "--keep-age", "1ms", "--keep-bytes", "1K")
    target = producer(device.endpoint_in)
    store_one_by_one(device, target, 0, 20)
    assert device.info()["messages"] == 20 and device.info()["first_sequence"] == 1
    source = consumer(device.endpoint_out)
    assert receive(source, 20) == numbered(0, 20)
    device.wait_empty()
    device.stop()


def test_without_keep_unacked_a_cursor_loses_what_goes_and_counts_it_exactly():
    device = Device("--ack", "sent", "--keep-count", "30", "--keep-unacked", "off")
    target = producer(device.endpoint_in)
    store_one_by_one(device, target, 0, 50)
    wait_until(lambda: device.info()["messages"] == 30, "20 are removed")
    found = device.info()
    assert found["lagged"] == 20 and found["pending"] == 30 and found["floor"] == 20, found
    assert status_of(device)["out"]["lagged"] == 20
    #  The outlet knows: it sends what is left, in order, and nothing else.
    source = consumer(device.endpoint_out)
    assert receive(source, 30) == numbered(20, 50)
    wait_until(lambda: device.info()["pending"] == 0, "all is acknowledged")
    send(target, numbered(50, 51))
    assert receive(source, 1) == numbered(50, 51)
    wait_until(lambda: device.info()["pending"] == 0, "all is acknowledged")
    assert device.info()["lagged"] == 20
    device.stop()


def test_at_max_bytes_history_goes_before_producers_wait():
    device = Device("--ack", "sent", "--keep-count", "unlimited", "--max-bytes", "1M")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    messages = [[b"x" * 10000, b"%d" % number] for number in range(500)]
    for at in range(0, 500, 10):
        send(target, messages[at:at + 10])
        assert receive(source, 10) == messages[at:at + 10]
        wait_until(lambda: device.info()["floor"] == at + 10, "all is acknowledged")
    assert MIB // 2 < device.info()["bytes"] <= MIB
    assert device.info()["lagged"] == 0 and device.log() == "", device.log()
    device.stop()


def test_what_makes_no_sense_is_refused_in_one_line():
    for options in (["--keep-unacked", "off"], ["--keep-count", "0", "--keep-unacked", "off"],
                    ["--keep-age", "yesterday"], ["--keep-count", "-1"]):
        done = subprocess.run([ZSPOOL_BIN, "queue", "--store", "store", "--in", tcp(), "--out", tcp(), *options],
                              capture_output=True, text=True, timeout=WAIT_S, check=False)
        assert done.returncode in (1, 2) and done.stderr.count("\n") == 1, (options, done)


run_tests(globals())
