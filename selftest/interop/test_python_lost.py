#!/usr/bin/python3
#  test_python_lost.py - the Python client, whose connection or service fails it between any two commands
#
#  SPDX-License-Identifier: MPL-2.0

import contextlib
import socket
import threading

from service import *


class Scripted:
    """A service that says what a test has it say."""

    def __init__(self):
        self.router = connect(zmq.ROUTER, "@" + tcp())
        self.endpoint = self.router.last_endpoint.decode()

    def expect(self, command):
        """Wait for a command; PINGs and CREDIT before it are passed over. Gives its fields and request."""
        while True:
            assert self.router.poll(WAIT_S * 1000), f"no command {command} has come"
            self.routing, head, *_ = self.router.recv_multipart()
            if head[4] == command:
                return head[12:], struct.unpack_from("<I", head, 8)[0]
            assert head[4] in (zspool.PING, zspool.CREDIT), f"command {head[4]}, not {command}"

    def say(self, command, fields=b"", request=0, flags=0):
        self.router.send_multipart([self.routing, zspool._command(command, fields, request, flags)])

    def lose(self):
        """Lose the connection."""
        self.router.close(0)
        self.router = zmq.Context.instance().socket(zmq.ROUTER)
        wait_until(self._is_bound, "it is bound again")

    def _is_bound(self):
        with contextlib.suppress(zmq.ZMQError):
            self.router.bind(self.endpoint)
            return True
        return False

    def begin(self, last=0, opens=True):
        """Begin a producer's session: PRODUCING tells its last number, and whether it goes on."""
        heartbeat = struct.unpack_from("<I", self.expect(zspool.HELLO)[0])[0]
        self.say(zspool.WELCOME, struct.pack("<IQQIIIB3x", 3 * heartbeat, 7, 1, 1 << 20, 100, 1 << 20, 0) + b"\4main")
        produce = self.expect(zspool.PRODUCE)
        self.say(zspool.PRODUCING, struct.pack("<IQI", 5, last, 1 << 20), produce[1])
        if opens:
            self.say(zspool.OPENED, struct.pack("<IQ", 1, 0), self.expect(zspool.OPEN)[1])

    def confirm(self, cached, committed):
        self.say(zspool.CONFIRM, struct.pack("<IQQ", 1 << 20, cached, committed))

    def expect_put(self, first, last):
        """Expect these numbers, in as many PUTs as there may be."""
        while first <= last:
            _, number, count = struct.unpack_from("<IQI", self.expect(zspool.PUT)[0])
            assert number == first, f"{number}, not {first}"
            first += count
        assert first == last + 1

    def producer(self, **options):
        """A producer that has connected."""
        beginning = threading.Thread(target=self.begin)
        beginning.start()
        producer = Producer(self.endpoint, "jobs", **options)
        beginning.join()
        return producer


def test_a_producer_without_a_name_counts_anew_what_another_session_had_cached():
    service = Scripted()
    producer = service.producer()
    producer.put_many([b"1", b"2", b"3"])
    service.expect_put(1, 3)
    service.confirm(3, 0)
    wait_until(lambda: producer.last == 3, "they are cached")
    service.lose()
    service.begin()
    service.expect_put(1, 3)
    assert producer.last == producer.confirmed == 0
    service.confirm(3, 3)
    wait_until(lambda: producer.confirmed == 3, "they are confirmed")
    service.lose()
    service.begin()
    producer.put(b"4")
    service.expect_put(1, 1)
    service.confirm(1, 1)
    producer.flush()
    assert producer.confirmed == producer.committed == 4
    producer.close(0)


def store_is_refused(last, reason):
    """A named producer, of which two are durable, meets a store that has these."""
    service = Scripted()
    producer = service.producer(name="me")
    producer.put_many([b"1", b"2"])
    service.expect_put(1, 2)
    service.confirm(2, 2)
    producer.flush()
    service.lose()
    service.begin(last, opens=False)
    wait_until(lambda: producer._failed, "it fails")
    assert reason in str(expect("EORDER", producer.put, b"3"))
    expect("EORDER", producer.flush)
    producer.close(0)


def test_a_producer_that_meets_an_older_copy_of_its_store_fails_at_once():
    store_is_refused(1, "older")


def test_a_producer_that_meets_numbers_it_never_gave_fails_at_once():
    store_is_refused(3, "another")


def test_a_commit_that_was_lost_is_sent_again_with_a_name_and_else_not_known():
    for name in ("me", ""):
        service = Scripted()
        producer = service.producer(name=name, timeout=0.05)
        txn = producer.transaction()
        txn.put(b"1")
        expect("ETIMEDOUT", txn.commit)
        service.expect(zspool.COMMIT)
        expect("EINVAL", producer.put, b"2")
        expect("EINVAL", txn.put, b"2")
        service.lose()
        service.begin(1 if name else 0)
        if name:
            fields, request = service.expect(zspool.COMMIT)
            assert struct.unpack_from("<Q", fields, 4)[0] == 1
            service.confirm(1, 1)
            service.say(zspool.DONE, struct.pack("<IQ", 0, 1), request)
            wait_until(lambda: txn._ended, "it is answered")
            assert txn.commit() == producer.committed == 1
        else:
            wait_until(lambda: txn._ended, "it is told")
            expect("ELOST", txn.commit)
        producer.close(0)


def test_a_transaction_that_has_ended_takes_nothing():
    device = ServiceDevice()
    with Producer(device.service, "jobs") as producer, Consumer(device.service, "jobs", "c") as consumer:
        producer.put(b"1")
        delivery = consumer.recv(WAIT_S)
        txn = producer.transaction()
        txn.ack(consumer, delivery)
        txn.rollback()
        expect("EINVAL", txn.put, b"2")
        expect("EINVAL", txn.ack, consumer, delivery)
        expect("EINVAL", txn.commit)
        producer.transaction().ack(consumer, delivery)
        producer.close()                #  rolls back what is open
        consumer.ack(delivery)
        consumer.flush()


def test_arguments_are_checked_before_anything_is_sent():
    endpoint = tcp()
    for options in ({"name": "a b"}, {"spool": "a/b"}, {"level": "sure"}, {"window": (0, 1 << 20)},
                    {"window": (1, 1)}, {"heartbeat": 0.01}):
        expect("EINVAL", lambda options=options: Producer(endpoint, **options))
    for options in ({"cursor": ""}, {"cursor": "a b"}, {"cursor": "c", "prefetch": (0, 1024)},
                    {"cursor": "c", "filters": ["x" * 1024]}, {"cursor": "c", "start": "1" * 256}):
        expect("EINVAL", lambda options=options: Consumer(endpoint, **options))
    device = ServiceDevice()
    with Producer(device.service) as producer:
        expect("EINVAL", producer.put, b"1", "a/b")
        expect("EINVAL", producer.set_level, "sure")
        for number in range(zspool.SPOOLS - 1):
            producer.put(b"1", f"spool-{number}")
        expect("ELIMIT", producer.put, b"1", "one-more")
        producer.flush()


#  ---- a slow line

def pass_slowly(listener, port):
    """Pass connections on, one after the other, some bytes every two milliseconds."""
    while True:
        try:
            ends = [listener.accept()[0]]
        except OSError:
            return                      #  the test is over
        ends.append(socket.socket())
        ends[1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        ends[1].connect(("127.0.0.1", port))
        poller = zmq.Poller()
        for end in ends:
            poller.register(end, zmq.POLLIN)
        with contextlib.suppress(OSError):
            while True:
                for fd, _ in poller.poll():
                    here = 0 if fd == ends[0].fileno() else 1
                    some = ends[here].recv(16384)
                    if not some:
                        raise OSError
                    ends[1 - here].sendall(some)
                time.sleep(0.002)
        for end in ends:
            end.close()


def test_a_message_that_takes_longer_than_heartbeats_arrives():
    device = ServiceDevice()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = int(device.service.rpartition(":")[2])
        threading.Thread(target=pass_slowly, args=(listener, port), daemon=True).start()
        slow = "tcp://127.0.0.1:%d" % listener.getsockname()[1]
        big = bytes(12 << 20)           #  1.5 seconds or more; who is silent for 0.3 is gone
        with Producer(slow, "jobs", name="me", heartbeat=0.1) as producer:
            producer.put(big)
            producer.flush()
        with Consumer(slow, "jobs", "c", heartbeat=0.1) as consumer:
            assert consumer.recv(WAIT_S).data == big


run_tests(globals())
