#  service.py - what tests of a device's service share: a device with one, clients, raw ZSP
#
#  SPDX-License-Identifier: MPL-2.0

import os
import struct
import sys

from device import *

SOURCE = os.environ.get("ZSPOOL_SRCDIR",
                        os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(SOURCE, "bindings", "python"))
import zspool
from zspool import Consumer, Delivery, Producer, Service, ZspoolError


class ServiceDevice(Device):
    """A device with a service, and no other ends unless asked for."""

    def __init__(self, *options, endpoint=None, kind="queue", ends=(), **how):
        self.service = endpoint or tcp()
        self.kind = kind
        self.ends = list(ends)
        super().__init__(*options, **how)

    def command(self):
        return [ZSPOOL_BIN, self.kind, "--store", self.store, "--service", self.service, *self.ends, *self.options,
                *QUEUE_OPTIONS]

    def spool(self, name):
        return info(self.store, name)


def stored(device, spool):
    """How many messages were stored so far; 0 when nobody has made the spool."""
    done = subprocess.run([ZSPOOL_BIN, "info", device.store, "--json"], check=True,
                          capture_output=True)
    return next((found["last_sequence"] for found in json.loads(done.stdout)["spools"]
                 if found["name"] == spool), 0)


def expect(code, function, *arguments, **named):
    """Call what must fail with this code."""
    try:
        given = function(*arguments, **named)
    except ZspoolError as error:
        assert error.code == code, f"{error}, not {code}"
        return error
    raise AssertionError(f"{function} gave {given}, not {code}")


def receive_all(consumer, count, limit_s=WAIT_S):
    """So many messages, which are acknowledged."""
    got = []
    deadline_s = time.monotonic() + limit_s
    while len(got) < count:
        deliveries = consumer.recv_many(count - len(got), max(0.01, deadline_s - time.monotonic()))
        consumer.ack_to(deliveries[-1])
        got += deliveries
    return got


#  ---- ZSP by hand

class Raw:
    """A DEALER, and commands as bytes."""

    def __init__(self, endpoint, hello=True, heartbeat_ms=60000, **options):
        self.socket = connect(zmq.DEALER, endpoint, **options)
        if hello:
            self.send(zspool.HELLO, struct.pack("<I", heartbeat_ms) + b"\0", 1)
            self.session = struct.unpack_from("<Q", self.expect(zspool.WELCOME)[0], 16)[0]

    def send(self, command, fields=b"", request=0, flags=0, frames=()):
        self.socket.send_multipart([zspool._command(command, fields, request, flags), *frames])

    def recv(self, limit_s=WAIT_S):
        assert self.socket.poll(limit_s * 1000), "no answer came"
        return self.socket.recv_multipart()

    def expect(self, command):
        """Receive until this command comes."""
        while True:
            frames = self.recv()
            if frames[0][4] == command:
                return frames
            assert frames[0][4] != zspool.ERROR, f"error {frames[0]} instead of {command}"

    def expect_error(self, code, fatal=None):
        while True:
            head = self.recv()[0]
            if head[4] == zspool.ERROR:
                found = zspool.CODES[struct.unpack_from("<H", head, 12)[0]]
                assert found == code, f"{found}, not {code}"
                assert fatal is None or bool(head[5]) == fatal
                return head

    def expect_nothing(self):
        """Until the service has answered what is asked now, it has said nothing else."""
        self.send(zspool.PING, request=99)
        assert self.recv()[0][4] == zspool.PONG

    def open(self, name):
        self.send(zspool.OPEN, zspool._s8(name.encode()), 2, zspool.FLAG_CREATE)
        return struct.unpack_from("<I", self.expect(zspool.OPENED)[0], 12)[0]

    def produce(self, name, epoch=0):
        """Gives epoch and last."""
        self.send(zspool.PRODUCE, struct.pack("<I", epoch) + zspool._s8(name.encode()), 3)
        return struct.unpack_from("<IQ", self.expect(zspool.PRODUCING)[0], 12)

    def put(self, spool, number, messages, level=0):
        records = b"".join(zspool._record(message) for message in messages)
        self.send(zspool.PUT, struct.pack("<IQIB3x", spool, number, len(messages), level), frames=[records])

    def wait_committed(self, number):
        while True:
            _, cached, committed = struct.unpack_from("<IQQ", self.expect(zspool.CONFIRM)[0], 12)
            if committed >= number:
                return cached, committed

    def subscribe(self, spool, cursor, messages=1000, size=1 << 20, number=1, flags=1):
        fields = struct.pack("<IIIQ", number, spool, messages, size) + zspool._s8(cursor.encode()) + b"\0\0\0"
        self.send(zspool.SUBSCRIBE, fields, 4, flags)
        return struct.unpack_from("<IIQ", self.expect(zspool.SUBSCRIBED)[0], 12)

    def deliver(self):
        """The slices of the next DELIVER: first, stored_us, count, deliveries, records."""
        frames = self.expect(zspool.DELIVER)
        count = struct.unpack_from("<H", frames[0], 20)[0]
        return [(*struct.unpack_from("<QqIH", frames[0], 24 + 24 * index), frames[1 + index]) for index in range(count)]

    def ack(self, first, last, generation=1, request=0, command=zspool.ACK, time_ms=0, number=1):
        fields = struct.pack("<IIIHHQQ", number, generation, time_ms, 1, 0, first, last) + b"\0"
        self.send(command, fields, request)
