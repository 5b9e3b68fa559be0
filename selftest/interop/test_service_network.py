#!/usr/bin/python3
#  test_service_network.py - clients and a device on two hosts, with a link that is cut, slow, and restored
#
#  SPDX-License-Identifier: MPL-2.0

import collections
import select
import socket
import threading

from hosts import FAR, FarHost, enter_own_network
from service import *

HEARTBEAT_S = 0.2
WHIMS = random.Random(int(os.environ.get("SELFTEST_SEED") or 1))


class FarDevice(ServiceDevice):
    """A device on the far host; its service has an endpoint there for who is on the same host, too."""

    def __init__(self, host, *options):
        self.host = host
        self.local = "ipc://" + os.path.abspath("service.ipc")
        self.remote = f"tcp://{FAR}:5560"
        super().__init__(*options, endpoint=f"{self.remote},{self.local}")

    def command(self):
        return [*self.host.enter, *super().command()]


class Work:
    """A producer that puts numbers into `in`, and a worker that answers each in `out`, until told to end."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.enough = threading.Event()
        self.failed = []
        self.put = 0
        self.threads = [threading.Thread(target=self._guard, args=(job,)) for job in (self._produce, self._answer)]
        for thread in self.threads:
            thread.start()

    def _guard(self, job):
        try:
            job()
        except Exception as error:      #  pylint: disable=broad-except
            self.failed.append(f"{job}: {error!r}")

    def _produce(self):
        with Producer(self.endpoint, "in", name="producer", heartbeat=HEARTBEAT_S, timeout=WAIT_S) as producer:
            while not self.enough.is_set():
                producer.put_many(b"%d" % number for number in range(self.put, self.put + 10))
                self.put += 10
                time.sleep(0.005)
            producer.flush()
            assert producer.committed == self.put

    def _answer(self):
        producer = Producer(self.endpoint, "out", name="worker", heartbeat=HEARTBEAT_S, timeout=WAIT_S)
        consumer = Consumer(self.endpoint, "in", "work", heartbeat=HEARTBEAT_S, timeout=WAIT_S)
        answered = 0
        with producer, consumer:
            while not self.enough.is_set() or answered < self.put:
                deliveries = consumer.recv_many(50, WAIT_S)
                try:
                    with producer.transaction() as txn:
                        for delivery in deliveries:
                            txn.ack(consumer, delivery)
                            txn.put(delivery.data)
                except zspool.ESTALE:               #  they were returned, and come again
                    continue
                answered += len(deliveries)

    def end(self, device):
        """Let all be answered, and check it: each number once, in `in` and in `out`."""
        self.enough.set()
        for thread in self.threads:
            thread.join(2 * WAIT_S)
            assert not thread.is_alive(), "it hangs"
        assert not self.failed, self.failed
        numbers = [b"%d" % number for number in range(self.put)]
        with Consumer(device.local, "in", "account") as consumer:
            assert [each.data for each in receive_all(consumer, self.put)] == numbers
        with Consumer(device.local, "out", "account") as consumer:
            assert sorted(int(each.data) for each in receive_all(consumer, self.put)) == list(range(self.put))
            expect("ETIMEDOUT", consumer.recv, 0.1)
        return self.put


class SlowLink:
    """Passes TCP connections on, all bytes late by so many seconds each way."""

    def __init__(self, address, delay_s):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.address, self.delay_s = address, delay_s
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        late = collections.deque()      #  when due, to whom, bytes
        other = {}
        while not self.ended.is_set():
            readable, _, _ = select.select([self.listener, *other], [], [], 0.005)
            for each in readable:
                if each is self.listener:
                    near, far = each.accept()[0], socket.create_connection(self.address)
                    other[near], other[far] = far, near
                elif each in other:
                    self._read(each, other, late)
            while late and late[0][0] <= time.monotonic():
                _, to, data = late.popleft()
                if data and to in other:
                    to.sendall(data)
                elif to in other:
                    self._close(to, other)
        for each in [self.listener, *other]:
            each.close()

    def _read(self, each, other, late):
        try:
            data = each.recv(1 << 16)
        except ConnectionError:
            data = b""
        late.append((time.monotonic() + self.delay_s, other[each], data))
        if not data:
            self._close(each, other, keep_other=True)

    @staticmethod
    def _close(each, other, keep_other=False):
        peer = other.pop(each, None)
        each.close()
        if peer is not None and not keep_other:
            other.pop(peer, None)
            peer.close()

    def end(self):
        self.ended.set()
        self.thread.join()


def test_a_link_that_is_cut_again_and_again_loses_and_doubles_nothing():
    host = FarHost()
    device = FarDevice(host, "--keep-count", "unlimited")
    work = Work(device.remote)
    for _ in range(6 * LONG):
        time.sleep(WHIMS.uniform(0.1, 1.0))
        host.cut(at_far_end=WHIMS.random() < 0.5)
        time.sleep(WHIMS.choice([0.05, 0.4, 1.5]))      #  shorter than the heartbeats notice, or longer
        host.restore()
        if WHIMS.random() < 0.3:
            device.restart(kill=True)
    print(work.end(device), "messages")


def test_put_and_get_go_on_when_a_link_was_cut():
    host = FarHost()
    device = FarDevice(host)
    putting = spawn(ZSPOOL_BIN, "put", device.remote, "jobs", "--name", "me", stdin=subprocess.PIPE)
    getting = spawn(ZSPOOL_BIN, "get", device.remote, "jobs", "work", "--output", "got", "--count", "30000")
    for part in range(3):
        putting.stdin.write(b"".join(b"%d\n" % number for number in range(part * 10000, (part + 1) * 10000)))
        putting.stdin.flush()
        host.cut(at_far_end=part % 2 == 0)
        time.sleep(8 if part == 0 else 0.5)     #  longer than their heartbeats, and shorter
        host.restore()
    putting.stdin.close()
    assert putting.wait(2 * WAIT_S) == 0
    assert getting.wait(2 * WAIT_S) == 0
    with open("got", encoding="ascii") as got:
        numbers = [int(line) for line in got]
    assert set(numbers) == set(range(30000)), f"{len(set(numbers))} of 30000 lines"
    with Consumer(device.local, "jobs", "work") as consumer:
        expect("ETIMEDOUT", consumer.recv, 0.1)


def test_what_a_vanished_consumer_held_goes_to_another():
    host = FarHost()
    device = FarDevice(host, "--ack-timeout", "600000")
    with Producer(device.local, "jobs") as producer:
        producer.put_many(b"%d" % number for number in range(100))
        producer.flush()
    with Consumer(device.remote, "jobs", "work", heartbeat=HEARTBEAT_S) as vanished:
        held = vanished.recv_many(100, WAIT_S)
        host.cut()
        with Consumer(device.local, "jobs", "work") as other:
            came = receive_all(other, 100)
            other.flush()
        assert {each.data for each in held} <= {each.data for each in came if each.deliveries > 1}
        host.restore()
        wait_until(lambda: not vanished._held, "it knows that it has lost them")     #  pylint: disable=protected-access
        expect("ESTALE", vanished.ack, held[0])
        with Producer(device.local, "jobs") as producer:
            producer.put(b"new")
        assert vanished.recv(WAIT_S).data == b"new"


def test_a_slow_link_is_slow_and_no_more():
    host = FarHost()
    device = FarDevice(host)
    link = SlowLink((FAR, 5560), 0.1)
    try:
        with Producer(link.endpoint, "jobs", name="me") as producer:
            sent_s = time.monotonic()
            producer.put(b"first")
            producer.flush()
            assert time.monotonic() - sent_s >= 0.2
            producer.put_many(b"%d" % number for number in range(20000))
            producer.flush()
        with Consumer(link.endpoint, "jobs", "work") as consumer:
            came = receive_all(consumer, 20001)
            assert [each.data for each in came[1:]] == [b"%d" % number for number in range(20000)]
            assert all(each.deliveries == 1 for each in came)
            consumer.flush()
        with Service(device.local) as service:
            assert service.status()["service/lost"] == "0", service.status()
    finally:
        link.end()


enter_own_network()
run_tests(globals())
