#!/usr/bin/python3
#  test_drop_oldest.py - --on-full drop-oldest: the oldest messages go, and every cursor knows how many
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from limited import *


def check_dropped(device, sent, received):
    """What was not received was lost at the limit, and the cursor knows how many that were."""
    state = device.info()
    assert state["last_sequence"] == sent and state["bytes"] <= LIMIT, state
    assert state["lagged"] == sent - len(received), f"{len(received)} received, {state}"
    assert received == list(range(sent - len(received), sent)), "not the newest, in order"
    subprocess.run([ZSPOOL_BIN, "verify", device.store], check=True, stdout=subprocess.DEVNULL)


def drain(device, source, acks=None):
    """Receive and acknowledge all that is stored; give the numbers."""
    received = []
    while source.poll(100) or device.info()["pending"]:
        if source.poll(0):
            message = source.recv_multipart()
            if acks:
                acks.send(message.pop(0))
            assert message[0] == PADDING
            received.append(int(message[1]))
    return received


def check_drop(*options):
    """Without a consumer the newest messages stay; all others are counted."""
    device = limited(*options, on_full="drop-oldest")
    target = producer(device.endpoint_in)
    send(target, [[PADDING, b"%d" % number] for number in range(5000)])
    device.wait_stored(5000)
    state = device.info()
    assert LIMIT * 3 // 4 < state["bytes"] <= LIMIT, state
    assert state["lagged"] == state["floor"] == 5000 - state["pending"] > 3000, state
    wait_until(lambda: status(device)["out/lagged"] == str(state["lagged"]), "the status knows it")
    assert status(device)["state"] == "running" and not told(device), device.log()
    device.restart(kill=True)
    acks = producer(device.ack_in) if device.ack_in else None
    received = drain(device, consumer(device.endpoint_out), acks)
    check_dropped(device, 5000, received)
    device.stop()
    table = subprocess.run([ZSPOOL_BIN, "info", "store"], capture_output=True, text=True, check=True).stdout
    assert "lagged" in table and str(state["lagged"]) in table, table


def test_drop_oldest_settled():
    check_drop("--settle", "100")


def test_drop_oldest_async():
    check_drop("--settle", "100", "--durability", "async")


def test_drop_oldest_explicit():
    check_drop(*EXPLICIT)


def test_drop_oldest_ends_deliveries_and_makes_tickets_stale():
    device = limited(*EXPLICIT, on_full="drop-oldest")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out, rcvhwm=10)
    acks = producer(device.ack_in)
    send(target, [[PADDING, b"%d" % number] for number in range(300)])
    first = receive(source, 300)
    wait_until(lambda: device.info()["in_flight"] >= 300, "they are in flight")
    source.close()
    send(target, [[PADDING, b"%d" % number] for number in range(300, 5000)])
    device.wait_stored(5000)
    wait_until(lambda: int(status(device)["out/floor"]) > 3000, "the outlet knows")
    state = device.info()
    for ticket, _, _ in first:
        acks.send(ticket)
    #  They acknowledge nothing: the rest is delivered, each once, and counted as it is.
    source = consumer(device.endpoint_out)
    received = drain(device, source, acks)
    assert device.info()["floor"] == 5000
    assert state["lagged"] + len(received) == 5000, (state, len(received))
    device.stop()


def test_drop_oldest_under_a_slow_consumer_accounts_for_all():
    for policy in ["--settle", "100"], EXPLICIT:
        name = policy[-2].strip("-")
        device = limited(*policy, on_full="drop-oldest", store=name)
        target, source = producer(device.endpoint_in), consumer(device.endpoint_out, rcvhwm=10)
        acks = producer(device.ack_in) if device.ack_in else None
        got = []
        sender = threading.Thread(target=lambda t=target: send(t, [[PADDING, b"%d" % number]
                                                                   for number in range(6000)]))
        sender.start()
        while sender.is_alive() or source.poll(10) or device.info()["last_sequence"] < 6000:
            if source.poll(0):
                message = source.recv_multipart()
                got.append(int(message[-1]))
                if acks:
                    acks.send(message[0])
                time.sleep(0.001 if sender.is_alive() else 0)
        sender.join()
        got += drain(device, source, acks)
        assert got == sorted(set(got)), "out of order, or twice"
        #  Delivered and not acknowledged in time counts as lost, too; none is lost uncounted.
        lagged = device.info()["lagged"]
        assert 6000 - len(got) <= lagged < 6000, (len(got), lagged)
        assert len(got) < 6000, "nothing was dropped"
        assert device.info()["floor"] == 6000
        device.stop()


def test_kill_while_dropping_keeps_the_account():
    for durability in "sync", "async":
        device = limited("--settle", "60000", "--durability", durability, on_full="drop-oldest",
                         store=durability)
        whims, stopping = random.Random(1), threading.Event()

        def feed(endpoint=device.endpoint_in):
            target = zmq.Context.instance().socket(zmq.PUSH)
            target.linger, target.sndtimeo = 0, 50
            target.connect(endpoint)
            number = 0
            while not stopping.is_set():
                try:
                    target.send_multipart([PADDING, b"%d" % number])
                    number += 1
                except zmq.Again:
                    pass
            target.close(0)
        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            for _ in range(8):
                device.restart(kill=True)
                #  Beyond the gap, too, that a kill under async leaves
                before = device.info()["last_sequence"]
                wait_until(lambda b=before: device.info()["messages"] > 1000
                           and device.info()["last_sequence"] > b + 1000, "more is stored")
                time.sleep(whims.random() * 0.05)
        finally:
            stopping.set()
            feeder.join()
        device.stop()
        state = device.info()
        assert state["bytes"] <= LIMIT
        assert state["lagged"] + state["lost"] + state["messages"] == state["last_sequence"], state
        assert state["floor"] >= state["lagged"] and state["messages"] == state["pending"], state
        subprocess.run([ZSPOOL_BIN, "verify", durability], check=True, stdout=subprocess.DEVNULL)
        device.start()
        received = receive(consumer(device.endpoint_out), state["messages"])
        numbers = [int(message[1]) for message in received]
        assert numbers == sorted(set(numbers)), "out of order"
        device.stop()


def test_limit_that_is_lowered_takes_effect():
    device = Device("--settle", "100")
    target = producer(device.endpoint_in)
    send(target, [[PADDING, b"%d" % number] for number in range(4000)])
    for number in range(4000, 7000):   #  blocks of a message or a few
        target.send_multipart([PADDING, b"%d" % number])
        if number % 10 == 0:
            time.sleep(0.0001)
    device.wait_stored(7000)
    device.stop()
    assert device.info()["bytes"] > 5 * LIMIT
    device = limited("--settle", "100", on_full="drop-oldest")
    send(producer(device.endpoint_in), [[PADDING, b"7000"]])
    device.wait_stored(7001)
    check_dropped(device, 7001, drain(device, consumer(device.endpoint_out)))
    device.stop()


run_tests(globals())
