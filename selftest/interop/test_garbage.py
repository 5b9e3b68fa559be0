#!/usr/bin/python3
#  test_garbage.py - connections that speak no ZMTP, or not long, change nothing for anybody else
#
#  SPDX-License-Identifier: MPL-2.0

from device import *

SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
GREETING = SIGNATURE + b"\x03\x00" + b"NULL" + bytes(16) + b"\x00" + bytes(31)
HTTP = (b"GET /status HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; "
        b"rv:109.0) Gecko/20100101 Firefox/115.0\r\nAccept: text/html,application/xml;q=0.9,*/*\r\n"
        b"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n"
        b"Connection: keep-alive\r\n\r\n")
GARBAGE = {
    "nothing": b"",
    "a byte": b"\xff",
    "half a greeting": GREETING[:20],
    "a greeting only": GREETING,
    "another mechanism": GREETING.replace(b"NULL\0", b"PLAIN"),
    "a greeting and noise": GREETING + random.Random(1).randbytes(500),
    "a command that never ends": GREETING + b"\x06" + b"\x7f" + b"\xff" * 7 + b"\x05READY",
    "ZMTP 1": b"\x01\x00" + b"\x06\x00early" * 50,
    "ZMTP 2": SIGNATURE + b"\x01\x07\x00\x00" + b"\x00\x05early" * 50,
    "HTTP": HTTP,
    "TLS": bytes.fromhex("16030100a5010000a10303") + bytes(200),
    "noise": random.Random(2).randbytes(2000),
    "noise after a signature": SIGNATURE + random.Random(3).randbytes(2000),
    "zeros": bytes(100000),
    "text": b"hello\n" * 100,
}


def dial(endpoint):
    return socket.create_connection(("127.0.0.1", port_of(endpoint)), WAIT_S)


def shout(connection, garbage):
    try:
        connection.sendall(garbage)
    except OSError:
        pass    #  it was cut off already


def heard(connection):
    """All that comes from the device until it hangs up, or for a moment."""
    connection.settimeout(0.05)
    data = b""
    try:
        while more := connection.recv(65536):
            data += more
    except OSError:
        pass
    return data


def assail(endpoint):
    """Send every garbage on a connection of its own; give what came back, by name."""
    answers = {}
    for name, garbage in GARBAGE.items():
        with dial(endpoint) as connection:
            shout(connection, garbage)
            answers[name] = heard(connection)
    return answers


def scan(endpoint, times=300):
    """Connect and close, at once, or with an RST."""
    for number in range(times):
        connection = dial(endpoint)
        if number % 2:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()


def test_garbage_to_in_stores_nothing():
    device = Device()
    assail(device.endpoint_in)
    scan(device.endpoint_in)
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    send(target, numbered(0, 100))
    assert receive(source, 100) == numbered(0, 100)
    assert device.info()["last_sequence"] == 100


def test_garbage_to_out_takes_no_message():
    device = Device("--settle", "100")
    send(producer(device.endpoint_in), numbered(0, 100))
    device.wait_stored(100)
    for name, answer in assail(device.endpoint_out).items():
        assert len(answer) <= 200, f"{name} got {answer}"
    held = [dial(device.endpoint_out) for _ in GARBAGE]
    for connection, garbage in zip(held, GARBAGE.values()):
        shout(connection, garbage)
    time.sleep(0.5)
    assert device.info()["sent_to"] == 0
    source = consumer(device.endpoint_out)
    assert receive(source, 100) == numbered(0, 100)
    device.wait_empty()
    for connection in held:
        connection.close()


def test_garbage_to_out_causes_no_redelivery():
    device = Device("--settle", "60000")
    source = consumer(device.endpoint_out)
    send(producer(device.endpoint_in), numbered(0, 100))
    assert receive(source, 100) == numbered(0, 100)
    for endpoint in device.endpoint_in, device.endpoint_out:
        assail(endpoint)
        scan(endpoint)
    assert receive_for(source, 0.3) == []
    assert device.info()["floor"] == 0
    #  And a real disconnect still does.
    source.close()
    assert receive(consumer(device.endpoint_out), 100) == numbered(0, 100)


def test_garbage_held_open_while_a_consumer_comes_loses_nothing():
    device = Device("--settle", "60000")
    held = [dial(device.endpoint_out) for _ in range(20)]
    first = consumer(device.endpoint_out)
    send(producer(device.endpoint_in), numbered(0, 100))
    assert receive(first, 100) == numbered(0, 100)
    for connection in held:
        connection.close()
    first.close()
    wanted = set(range(100))
    second = consumer(device.endpoint_out)
    while wanted:
        wanted.discard(int(second.recv()))


def test_garbage_to_ack_in_acknowledges_nothing():
    device = Device("--ack", "explicit", "--ack-timeout", "60000")
    source, acks = consumer(device.endpoint_out), producer(device.ack_in)
    send(producer(device.endpoint_in), numbered(0, 100))
    tickets = [ticket for ticket, _ in receive(source, 100)]
    assail(device.ack_in)
    scan(device.ack_in)
    #  Tickets on a connection that is none
    with dial(device.ack_in) as connection:
        shout(connection, b"".join(b"\x21\x00" + ticket for ticket in tickets))
        heard(connection)
    assert device.info()["pending"] == 100
    assert receive_for(source, 0.2) == []
    acks.send_multipart(tickets)
    device.wait_empty()


def test_wrong_kinds_of_sockets_change_nothing():
    device = Device("--settle", "60000")
    source = consumer(device.endpoint_out)
    send(producer(device.endpoint_in), numbered(0, 100))
    assert receive(source, 100) == numbered(0, 100)
    others = zmq.REQ, zmq.DEALER, zmq.SUB, zmq.PUB
    for endpoint, kinds in (device.endpoint_in, (zmq.PULL, *others)), \
                           (device.endpoint_out, (zmq.PUSH, *others)):
        for kind in kinds:
            stranger = connect(kind, endpoint)
            if kind not in (zmq.PULL, zmq.SUB) and stranger.poll(50, zmq.POLLOUT):
                stranger.send(b"stranger", zmq.DONTWAIT)
            stranger.close()
    assert receive_for(source, 0.3) == []
    assert device.info()["last_sequence"] == 100


def test_endless_commands_and_messages_cost_no_memory():
    device = Device("--ack", "explicit")
    before = device.anonymous_bytes()
    for endpoint in device.endpoint_in, device.endpoint_out, device.ack_in:
        for flags in b"\x06", b"\x02":
            with dial(endpoint) as connection:
                shout(connection, GREETING + flags + (3 << 30).to_bytes(8, "big"))
                for _ in range(200):
                    shout(connection, bytes(1 << 20))
                used = device.anonymous_bytes() - before
                assert used < 16 << 20, f"{used} bytes at {endpoint}"


def test_connections_that_come_and_go_leave_no_memory_and_no_descriptors():
    device = Device("--settle", "60000")
    source = consumer(device.endpoint_out)
    scan(device.endpoint_out, 50)
    descriptors = f"/proc/{device.process.pid}/fd"
    before = len(os.listdir(descriptors)), device.anonymous_bytes()
    for endpoint in device.endpoint_in, device.endpoint_out:
        scan(endpoint, 1000 * LONG)
    wait_until(lambda: len(os.listdir(descriptors)) <= before[0] + 2, "descriptors are closed")
    assert device.anonymous_bytes() - before[1] < 4 << 20
    send(producer(device.endpoint_in), numbered(0, 10))
    assert receive(source, 10) == numbered(0, 10)


run_tests(globals())
