#!/usr/bin/python3
#  test_python_peers.py - plain PUSH and PULL sockets of another language get every frame unchanged, and
#  acknowledge with tickets
#
#  SPDX-License-Identifier: MPL-2.0

import json
import os
import signal
import subprocess
import sys
import time

try:
    import zmq
except ImportError:
    print("python3-zmq is not installed")
    sys.exit(77)

WAIT_MS = 20000

MESSAGES = [
    [b"one frame"],
    [b""],
    [b"", b"", b""],
    [b"topic", bytes(range(256)), b"", b"end\n"],
    [b"x" * 100000, b"y" * 3000000],
    [b"%d" % frame for frame in range(1000)],
] + [[b"message", b"%d" % number] for number in range(5000)]


class Device:
    def __init__(self, *options):
        self.process = subprocess.Popen(
            [os.environ["ZSPOOL_BIN"], "queue", "--in", "ipc://in", "--out", "ipc://out", *options,
             *os.environ["ZSPOOL_QUEUE_OPTIONS"].split()],
            stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait()


def connect(kind, endpoint):
    socket = zmq.Context.instance().socket(kind)
    socket.rcvtimeo = socket.sndtimeo = WAIT_MS
    socket.linger = WAIT_MS
    socket.connect(endpoint)
    return socket


def send_all(socket):
    for message in MESSAGES:
        socket.send_multipart(message)


def wait_until_stored(store, count):
    end = time.monotonic() + WAIT_MS / 1000
    while time.monotonic() < end:
        info = subprocess.run([os.environ["ZSPOOL_BIN"], "info", store, "--json"],
                              check=True, capture_output=True).stdout
        if json.loads(info)["spools"][0]["last_sequence"] == count:
            return
        time.sleep(0.01)
    raise AssertionError("not everything was stored")


def test_frames_arrive_unchanged_and_in_order():
    device = Device("--store", "frames")
    push, pull = connect(zmq.PUSH, "ipc://in"), connect(zmq.PULL, "ipc://out")
    send_all(push)
    for message in MESSAGES:
        assert pull.recv_multipart() == message
    push.close()
    pull.close()
    assert device.stop() == 0


def test_tickets_acknowledge_across_a_kill():
    options = ["--store", "tickets", "--ack", "explicit", "--ack-in", "ipc://ack", "--ack-timeout", "500"]
    device = Device(*options)
    push, ack = connect(zmq.PUSH, "ipc://in"), connect(zmq.PUSH, "ipc://ack")
    pull = connect(zmq.PULL, "ipc://out")
    send_all(push)
    #  What a plain PUSH sent and the device has not stored dies with it.
    wait_until_stored("tickets", len(MESSAGES))
    waiting = {tuple(message) for message in MESSAGES}
    killed = False
    while waiting:
        ticket, *message = pull.recv_multipart()
        assert len(ticket) == 32
        waiting.discard(tuple(message))
        ack.send(ticket)
        if not killed and len(waiting) < len(MESSAGES) // 2:
            killed = True
            device.stop(signal.SIGKILL)
            device = Device(*options)
    for socket in push, pull, ack:
        socket.close()
    assert device.stop() == 0


test_frames_arrive_unchanged_and_in_order()
test_tickets_acknowledge_across_a_kill()
