#!/usr/bin/python3
#  test_control.py - other processes ask a running device, pause, resume and flush it, whatever else happens on
#  its control socket
#
#  SPDX-License-Identifier: MPL-2.0

import resource
import stat
import struct

from device import *

CLIENTS_MAX = 32    #  as the device has it
ELIMIT = -19


def zspool(*arguments, status=0, limit_s=WAIT_S):
    """Run a command that must end with this exit status; give what it printed: output, errors."""
    done = subprocess.run([ZSPOOL_BIN, *arguments], capture_output=True, text=True, timeout=limit_s,
                          check=False)
    assert done.returncode == status, f"{arguments}: status {done.returncode}, {done.stderr!r}"
    return done.stdout if status == 0 else done.stderr


def status(store="store"):
    return json.loads(zspool("status", store, "--json"))


def connect_to(store="store"):
    """A connection of our own to the control socket."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(f"{store}/zspool.control")
    client.settimeout(WAIT_S)
    return client


def request(*strings):
    body = b"".join(struct.pack("<I", len(string)) + string for string in strings)
    return struct.pack("<I2sBB", len(body), b"ZC", 1, 0) + body


def read_exactly(client, size):
    received = b""
    while len(received) < size:
        part = client.recv(size - len(received))
        assert part, f"the device closed after {received}"
        received += part
    return received


def reply(client):
    """The strings of the next reply."""
    size, magic, version, _ = struct.unpack("<I2sBB", read_exactly(client, 8))
    assert (magic, version) == (b"ZC", 1)
    body = read_exactly(client, size)
    strings = []
    while body:
        length = struct.unpack_from("<I", body)[0]
        strings.append(body[4:4 + length])
        body = body[4 + length:]
    return strings


def is_closed(client):
    """Whether the device closes the connection, whatever it says before."""
    try:
        while client.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def test_status_tells_what_came_and_went():
    device = Device()
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    send(target, numbered(0, 100))
    assert receive(source, 100) == numbered(0, 100)
    wait_until(lambda: status()["out"]["sent"] == 100, "the device counts")
    told = status()
    assert told["state"] == "running" and told["in"]["messages"] == 100
    assert told["store"]["last_sequence"] == 100 and told["out"]["sent_to"] == 100
    assert told["device"]["pid"] == device.process.pid
    assert told["device"]["in"] == device.endpoint_in
    lines = dict(line.split(maxsplit=1) for line in zspool("status", "store", "--all").splitlines()
                 if len(line.split()) > 1)
    assert lines["in/messages"] == "100" and lines["device/out"] == device.endpoint_out
    assert stat.S_IMODE(os.stat("store/zspool.control").st_mode) == 0o600
    device.stop()
    assert not os.path.lexists("store/zspool.control")


def test_pause_holds_producers_until_resume():
    device = Device("--ack", "sent")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    send(target, numbered(0, 10))
    receive(source, 10)
    zspool("pause", "store")
    assert status()["in"]["paused"] == 1
    send(target, numbered(10, 20))
    assert not source.poll(300)
    zspool("resume", "store")
    assert receive(source, 10) == numbered(10, 20)
    assert status()["in"]["paused"] == 0


def test_flush_of_an_idle_device_returns_at_once():
    Device()
    zspool("flush", "store")


def test_flush_under_async_does_not_wait_for_the_interval():
    device = Device("--durability", "async", "--commit-interval", "60000")
    target = producer(device.endpoint_in)
    send(target, numbered(0, 500))
    wait_until(lambda: status()["in"]["messages"] == 500, "all has come")
    zspool("flush", "store")
    assert device.info()["last_sequence"] == 500
    device.kill()
    device.start()
    assert receive(consumer(device.endpoint_out), 500) == numbered(0, 500)


def test_flush_that_waits_holds_up_nobody_and_ends_with_the_device():
    device = Device("--max-bytes", "1M")
    target = producer(device.endpoint_in, sndhwm=10)
    target.sndtimeo = 300
    try:
        while True:
            target.send(bytes(100_000))
    except zmq.Again:
        pass
    wait_until(lambda: status()["state"] == "full", "the spool is at its limit")
    flushes = [spawn(ZSPOOL_BIN, "flush", "store", stderr=subprocess.PIPE) for _ in range(3)]
    assert "does not answer" in zspool("flush", "store", "--timeout", "300", status=1)
    zspool("pause", "store")
    assert status()["in"]["paused"] == 1
    assert all(flush.poll() is None for flush in flushes)
    flushes[0].send_signal(signal.SIGTERM)
    assert flushes[0].wait(WAIT_S) == 1
    device.stop()
    for flush in flushes[1:]:
        assert flush.wait(WAIT_S) in (0, 1)
        flush.stderr.close()
    flushes[0].stderr.close()


def test_signal_while_starting_ends_it_in_good_order():
    for step in range(15):
        device = Device(start=False)
        with open("start.log", "ab") as log:
            device.process = spawn(*device.command(), stdout=subprocess.DEVNULL, stderr=log)
        time.sleep(0.002 * step)  #  a different moment each time
        device.signal(signal.SIGTERM)
        assert device.process.wait(WAIT_S) in (0, -signal.SIGTERM)
    Device().stop()


def test_nobody_there_is_told_in_one_line():
    for command in "status", "pause", "resume", "flush":
        assert zspool(command, "missing", status=1) == f"zspool {command}: missing: No such file or directory\n"
        os.makedirs("empty", exist_ok=True)
        assert "no device runs" in zspool(command, "empty", status=1)
    device = Device()
    device.kill()
    assert os.path.exists("store/zspool.control")
    assert "no device runs" in zspool("status", "store", status=1)
    device.start()
    assert status()["device"]["pid"] == device.process.pid
    zspool("status", status=2)
    zspool("status", "store", "more", status=2)
    zspool("status", "store", "--timeout", "x", status=2)


def test_file_in_the_place_of_the_socket_is_kept_and_warned_of():
    device = Device()
    device.stop()
    with open("store/zspool.control", "w", encoding="ascii") as letter:
        letter.write("mine")
    device.start()
    assert "other processes cannot ask" in device.log()
    assert "no device runs" in zspool("status", "store", status=1)
    device.stop()
    assert os.path.getsize("store/zspool.control") == 4


def test_store_at_a_long_path_is_reached():
    path = "/".join(["d" * 6] * 100)
    os.makedirs(path)
    device = Device(store=path + "/store", endpoint_in="ipc://in", endpoint_out="ipc://out")
    assert status(path + "/store")["state"] == "running"
    zspool("flush", path + "/store")
    assert "no device runs" in zspool("status", path, status=1)
    device.stop()


def test_stopped_device_times_out():
    device = Device()
    device.signal(signal.SIGSTOP)
    assert "does not answer" in zspool("status", "store", "--timeout", "200", status=1)
    device.signal(signal.SIGCONT)
    assert status()["state"] == "running"


def test_garbage_is_refused_and_nothing_else_suffers():
    Device()
    chance = random.Random(1)
    bad = [b"\0" * 4096, b"GET / HTTP/1.0\r\n\r\n", request(), request(b"STATUS")[:-1] + b"\xff" * 9,
           request(b"NO SUCH"), request(b"STOP"), request(b"CANCEL"), request(b""), request(b"$TERM"),
           struct.pack("<I2sBB", 8, b"ZC", 2, 0) + bytes(8),
           struct.pack("<I2sBB", 2**32 - 1, b"ZC", 1, 0) + bytes(8),
           struct.pack("<I2sBBI", 4, b"ZC", 1, 0, 2**32 - 1),
           request(*[b""] * 5000)]
    bad += [chance.randbytes(chance.randrange(9, 300)) for _ in range(100)]
    for text in bad:
        with connect_to() as client:
            client.sendall(text)
            client.shutdown(socket.SHUT_WR)
            is_closed(client)
    assert status()["state"] == "running"


def test_requests_in_pieces_and_in_a_row_are_answered():
    Device()
    with connect_to() as client:
        for byte in request(b"STATUS"):
            client.sendall(bytes([byte]))
        assert reply(client)[0] == b"0"
        client.sendall(request(b"PAUSE") + request(b"NO SUCH") + request(b"RESUME"))
        assert [reply(client)[0] for _ in range(3)] == [b"0", b"-1", b"0"]
    assert status()["in"]["paused"] == 0


def test_clients_that_vanish_leave_nothing_behind():
    device = Device()
    descriptors = f"/proc/{device.process.pid}/fd"
    before = len(os.listdir(descriptors))
    for text in (b"", request(b"STATUS")[:5], request(b"STATUS"), request(b"FLUSH")):
        for _ in range(50):
            with connect_to() as client:
                client.sendall(text)
    status()
    wait_until(lambda: len(os.listdir(descriptors)) <= before + 1, "descriptors are closed")


def test_too_many_clients_are_told_so_and_room_comes_back():
    Device()
    clients = [connect_to() for _ in range(CLIENTS_MAX)]
    for client in clients:
        client.sendall(request(b"STATUS"))
        assert reply(client)[0] == b"0"
    assert "limit" in zspool("status", "store", status=1)
    with connect_to() as one:
        assert int(reply(one)[0]) == ELIMIT and is_closed(one)
    for client in clients[:5]:
        client.close()
    wait_until(lambda: subprocess.run([ZSPOOL_BIN, "status", "store"], capture_output=True,
                                      check=False).returncode == 0, "there is room again")
    for client in clients:
        client.close()


def test_client_that_never_reads_holds_up_nobody():
    Device()
    client = connect_to()
    client.setblocking(False)
    #  More requests than the sockets' buffers hold, and their replies
    sent = 0
    try:
        while sent < 10_000_000:
            sent += client.send(request(b"STATUS") * 100)
    except BlockingIOError:
        pass
    assert sent < 10_000_000
    assert status()["state"] == "running"
    client.close()
    assert status()["state"] == "running"


def test_device_without_descriptors_goes_on():
    device = Device("--ack", "sent")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    send(target, numbered(0, 1))
    receive(source, 1)
    status()
    used = len(os.listdir(f"/proc/{device.process.pid}/fd"))
    limits = resource.prlimit(device.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(device.process.pid, resource.RLIMIT_NOFILE, (used, limits[1]))
    clients = [connect_to() for _ in range(3)]
    for client in clients:
        client.sendall(request(b"STATUS"))
    send(target, numbered(1, 100))
    assert receive(source, 99) == numbered(1, 100)
    resource.prlimit(device.process.pid, resource.RLIMIT_NOFILE, limits)
    for client in clients:
        assert reply(client)[0] == b"0"
        client.close()
    assert device.is_running() and status()["state"] == "running"


run_tests(globals())
