#!/usr/bin/python3
#  test_tickets.py - explicit: what a consumer acknowledges is done with, the rest comes again
#
#  SPDX-License-Identifier: MPL-2.0

import struct

from device import *

TICKET = struct.Struct("<BBHIIIQQ")     #  see lib/ticket.c
TICKET_FIELDS = "version reserved attempt spool cursor generation sequence incarnation".split()
TIMEOUT_S = 0.4


def decode(ticket):
    return dict(zip(TICKET_FIELDS, TICKET.unpack(ticket)))


def changed(ticket, **fields):
    return TICKET.pack(*{**decode(ticket), **fields}.values())


class Explicit(Device):
    """A device with a producer, a consumer and a socket for tickets."""

    def __init__(self, *options, timeout_s=TIMEOUT_S):
        super().__init__("--ack", "explicit", "--ack-timeout", "%d" % (timeout_s * 1000), *options)
        self.target = producer(self.endpoint_in)
        self.source = consumer(self.endpoint_out)
        self.acks = producer(self.ack_in)

    def deliver(self, count, attempt, source=None):
        """Receive so many deliveries, all of this attempt; give the tickets by number."""
        tickets = {}
        for ticket, number in receive(source or self.source, count):
            assert decode(ticket)["attempt"] == attempt, (decode(ticket), number)
            tickets[int(number)] = ticket
        assert len(tickets) == count
        return tickets

    def wait_noted(self):
        """Wait until the store knows of all deliveries so far: changes are stored every 100 ms."""
        time.sleep(0.5)


def test_unacknowledged_messages_come_again_when_due_and_nothing_else_does():
    device = Explicit()
    started_s = time.monotonic()
    send(device.target, numbered(0, 10))
    tickets = device.deliver(10, 1)
    for number in range(0, 10, 2):
        device.acks.send(tickets[number])
    for attempt in 2, 3:
        tickets = device.deliver(5, attempt)
        assert sorted(tickets) == [1, 3, 5, 7, 9]
        assert time.monotonic() - started_s >= TIMEOUT_S * (attempt - 1) - 0.001, "too early"
    for ticket in tickets.values():
        device.acks.send(ticket)
    assert receive_for(device.source, TIMEOUT_S * 2) == []
    device.wait_empty()


def test_tickets_tell_sequence_and_incarnation():
    device = Explicit()
    send(device.target, numbered(0, 100))
    tickets = [decode(ticket) for ticket, _ in receive(device.source, 100)]
    assert [ticket["sequence"] for ticket in tickets] == list(range(1, 101))
    assert len({(ticket["incarnation"], ticket["generation"]) for ticket in tickets}) == 1
    assert {ticket["version"] for ticket in tickets} == {1}


def test_acknowledgements_out_of_order_raise_the_floor_when_the_gap_closes():
    device = Explicit(timeout_s=60)
    send(device.target, numbered(0, 3000))
    tickets = device.deliver(3000, 1)
    order = list(range(1, 3000))
    random.Random(3).shuffle(order)
    for number in order:
        device.acks.send(tickets[number])
    wait_until(lambda: device.info()["pending"] == 1, "all but one are acknowledged")
    assert device.info()["floor"] == 0
    device.acks.send(tickets[0])
    device.wait_empty()
    assert device.info()["floor"] == 3000


def test_many_tickets_in_one_message_acknowledge():
    device = Explicit(timeout_s=60)
    send(device.target, numbered(0, 3000))
    device.acks.send_multipart(list(device.deliver(3000, 1).values()))
    device.wait_empty()


def test_joined_tickets_acknowledge_and_what_is_none_among_them_does_not():
    device = Explicit(timeout_s=60)
    send(device.target, numbered(0, 3000))
    tickets = [ticket for _, ticket in sorted(device.deliver(3000, 1).items())]
    #  A frame that does not hold whole tickets acknowledges nothing, one of many does all it can.
    device.acks.send_multipart([b"".join(tickets[:1000]), b"", b"".join(tickets[1000:2000]) + b"odd"])
    wait_until(lambda: device.info()["floor"] == 1000, "the first frame acknowledges")
    assert device.info()["pending"] == 2000
    device.acks.send(b"".join(tickets[:1500] + [b"x" * 32] + tickets[1500:]))
    device.wait_empty()


def test_messages_of_a_dead_consumer_go_to_the_others():
    device = Explicit()
    deaf = consumer(device.endpoint_out)
    device.target.send(b"0")
    wait_until(lambda: deaf.poll(1) or device.source.poll(1), "a consumer is connected")
    send(device.target, numbered(1, 300))
    waiting = set(range(300))
    while waiting:
        if deaf and len(waiting) < 200:
            deaf.close()
            deaf = None
        ticket, number = device.source.recv_multipart()
        device.acks.send(ticket)
        waiting.discard(int(number))
    device.wait_empty()


def test_competing_consumers_get_each_message_once():
    device = Explicit(timeout_s=60)
    sources = [device.source] + [consumer(device.endpoint_out) for _ in range(3)]
    send(device.target, numbered(0, 2000))
    received = []
    while len(received) < 2000:
        for source in sources:
            if source.poll(5):
                ticket, number = source.recv_multipart()
                received.append(int(number))
                device.acks.send(ticket)
    assert sorted(received) == list(range(2000))
    device.wait_empty()


def test_delivery_counts_survive_a_kill():
    device = Explicit(timeout_s=1)
    send(device.target, numbered(0, 20))
    device.deliver(20, 1)
    device.deliver(20, 2)
    device.wait_noted()
    device.restart(kill=True)
    tickets = device.deliver(20, 3)
    device.acks.send(tickets[7])
    device.wait_noted()
    device.restart(kill=True)
    assert 7 not in device.deliver(19, 4)


def test_acknowledged_messages_stay_acknowledged_over_kills():
    device = Explicit(timeout_s=30)
    send(device.target, numbered(0, 1000))
    tickets = device.deliver(1000, 1)
    for number in range(0, 1000, 3):
        device.acks.send(tickets[number])
    wait_until(lambda: device.info()["pending"] == 666, "334 are acknowledged")
    device.restart(kill=True)
    again = device.deliver(666, 2)
    assert sorted(again) == [number for number in range(1000) if number % 3]
    assert receive_for(device.source, 0.3) == []
    device.acks.send_multipart(list(again.values()))
    device.wait_empty()


def test_ticket_of_an_older_attempt_acknowledges():
    device = Explicit(timeout_s=0.6)
    send(device.target, numbered(0, 10))
    tickets = device.deliver(10, 1)
    device.deliver(10, 2)
    device.wait_noted()
    device.restart(kill=True)
    device.deliver(10, 3)
    device.acks.send_multipart(list(tickets.values()))
    device.wait_empty()
    assert receive_for(device.source, 0.8) == []


def test_foreign_tickets_and_garbage_change_nothing():
    device = Explicit(timeout_s=60)
    send(device.target, numbered(0, 100))
    tickets = device.deliver(100, 1)
    ticket = tickets[0]
    fields = decode(ticket)
    foreign = [changed(ticket, **{name: fields[name] ^ 1})
               for name in fields if name not in ("attempt", "sequence")]
    foreign += [changed(ticket, sequence=sequence) for sequence in (0, 101, 1 << 32, (1 << 64) - 1)]
    foreign += [changed(ticket, version=255), b"", b"x", ticket[:31], ticket + b"x", bytes(32)]
    foreign += [b"\xff" * 32, ticket[::-1], ticket * 2 + b"x"]
    noise = random.Random(4)
    foreign += [noise.randbytes(32) for _ in range(5000)]
    foreign += [noise.randbytes(noise.randrange(4000)) for _ in range(1000)]
    for frame in foreign:
        device.acks.send(frame)
    device.acks.send_multipart(foreign)
    #  When a good ticket counts, all that was sent before it has been looked at.
    device.acks.send_multipart([b"x", tickets[99], b"", ticket[:5]])
    wait_until(lambda: device.info()["pending"] == 99, "the good ticket counts")
    assert device.info()["floor"] == 0
    assert receive_for(device.source, 0.2) == []
    device.acks.send_multipart(list(tickets.values()))
    device.wait_empty()


def test_huge_frames_to_ack_in_cost_no_memory_and_disturb_nobody():
    device = Explicit(timeout_s=60)
    send(device.target, numbered(0, 100))
    tickets = device.deliver(100, 1)
    before = device.anonymous_bytes()
    rude = producer(device.ack_in)
    huge = b"x" * (100 << 20)
    highest = 0
    for _ in range(5):
        rude.send(huge, copy=False)
        for _ in range(20):
            highest = max(highest, device.anonymous_bytes())
            time.sleep(LOOK_S)
    assert highest - before < 16 << 20, f"{highest - before} bytes"
    device.acks.send_multipart(list(tickets.values()))
    device.wait_empty()


def test_tickets_that_come_after_a_kill_leave_nothing_unacknowledged():
    #  The device may not know of these deliveries: then the messages come again, and their new
    #  tickets count.
    device = Explicit(timeout_s=1)
    send(device.target, numbered(0, 200))
    tickets = device.deliver(200, 1)
    device.restart(kill=True)
    device.acks.send_multipart(list(tickets.values()))
    while device.info()["pending"]:
        if device.source.poll(50):
            device.acks.send(device.source.recv_multipart()[0])
    device.wait_empty()


run_tests(globals())
