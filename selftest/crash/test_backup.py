#!/usr/bin/python3
#  test_backup.py - a backup of a store in use is whole, or is not there
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from device import *

BACKUPS = 3         #  of a store under load
LOAD = 20000        #  messages at most while one is made


def run(command, *arguments, status=0):
    done = subprocess.run([ZSPOOL_BIN, command, *arguments], capture_output=True, text=True,
                          timeout=WAIT_S, check=False)
    assert done.returncode == status, done
    assert len(done.stderr.splitlines()) == (status != 0), done
    return done.stderr if status else done.stdout


def look(store):
    return json.loads(run("info", store, "--json"))


def messages(store):
    """Sequence and first frame of all messages."""
    lines = run("dump", store, "--format", "json").splitlines()
    return [(found["sequence"], found["frames"][0]) for found in map(json.loads, lines)]


class Load:
    """A thread that keeps a device busy; its messages are numbered."""

    def __init__(self, endpoint):
        self.sent = 0
        self.ended = threading.Event()
        self.target = producer(endpoint)
        self.thread = None

    def start(self):
        self.ended.clear()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        end = self.sent + LOAD
        while not self.ended.is_set() and self.sent < end:
            self.target.send(b"%012d" % self.sent + b"-" * (self.sent % 3000))
            self.sent += 1

    def end(self):
        self.ended.set()
        self.thread.join()


def check_under_load(*options):
    device = Device("--ack", "explicit")
    load = Load(device.endpoint_in)
    source, acks = consumer(device.endpoint_out), producer(device.ack_in)
    for number in range(BACKUPS):
        load.start()
        try:
            for _ in range(500):
                acks.send(source.recv_multipart()[0])
            stored = device.info()["last_sequence"]
            run("backup", "store", f"backup{number}", *options)
            sent = load.sent
        finally:
            load.end()
        found = messages(f"backup{number}")
        #  Sequences begin at 1, what is in the messages at 0: all that was stored, each once, in order.
        assert [sequence for sequence, _ in found] == list(range(found[0][0], found[-1][0] + 1))
        assert all(int(text[:12]) == sequence - 1 for sequence, text in found)
        assert stored <= found[-1][0] <= sent
    run("verify", f"backup{BACKUPS - 1}")
    original, copy = look("store"), look(f"backup{BACKUPS - 1}")
    assert original["incarnation"] != copy["incarnation"] == look(f"backup{BACKUPS - 1}")["incarnation"]
    assert copy["origin"]["incarnation"] == original["incarnation"] and copy["origin"]["kind"] == "backup"
    assert copy["created"] == original["created"] and original["origin"] is None
    return device


def test_backup_of_a_busy_store_is_whole_and_a_device_runs_on_it():
    check_under_load().stop()
    backup = f"backup{BACKUPS - 1}"
    found = messages(backup)
    floor, = (cursor["floor"] for cursor in look(backup)["spools"][0]["cursors"])
    restored = Device("--ack", "explicit", store=backup)
    source, acks = consumer(restored.endpoint_out), producer(restored.ack_in)
    #  What had been delivered when the backup was made may come before or after what had not.
    wanted = {text.encode() for sequence, text in found if sequence > floor}
    while wanted:
        ticket, body = source.recv_multipart()
        wanted.remove(body)
        acks.send(ticket)
    producer(restored.endpoint_in).send(b"new")
    ticket, body = source.recv_multipart()
    assert body == b"new"
    acks.send(ticket)
    restored.wait_empty()
    restored.stop()
    run("verify", backup)


def test_compact_backup_of_a_busy_store_is_whole_and_small():
    device = check_under_load("--compact")
    device.stop()
    assert look(f"backup{BACKUPS - 1}")["free_bytes"] < 1 << 20
    for backup in ("all", "compact"):
        run("backup", "store", backup, *(["--compact"] if backup == "compact" else []))
    assert messages("all") == messages("compact") == messages("store")


def test_tickets_of_the_original_mean_nothing_to_the_restored_store():
    device = Device("--ack", "explicit")
    send(producer(device.endpoint_in), numbered(0, 10))
    source = consumer(device.endpoint_out)
    tickets = [source.recv_multipart()[0] for _ in range(10)]
    device.wait_stored(10)
    run("backup", "store", "backup")
    device.stop()
    restored = Device("--ack", "explicit", store="backup")
    acks = producer(restored.ack_in)
    for ticket in tickets:
        acks.send(ticket)
    again = consumer(restored.endpoint_out)
    for number in range(10):
        ticket, body = again.recv_multipart()
        assert body == b"%d" % number
        assert restored.info()["floor"] == number
        acks.send(ticket)
        wait_until(lambda: restored.info()["floor"] == number + 1, "it is acknowledged")


def test_backup_goes_nowhere_where_something_is():
    device = Device()
    send(producer(device.endpoint_in), numbered(0, 10))
    device.wait_stored(10)
    os.mkdir("full")
    with open("full/file", "w", encoding="ascii") as file:
        file.write("precious")
    for to in ("full", "full/file", "store", "none/backup"):
        run("backup", "store", to, status=1)
    run("backup", "none", "backup", status=1)
    assert sorted(os.listdir(".")) == ["full", "store", "store.log"] and os.listdir("full") == ["file"]
    os.mkdir("empty")
    run("backup", "store", "empty/")
    assert len(messages("empty")) == 10
    run("backup", "store", "empty", status=1)
    assert sorted(os.listdir(".")) == ["empty", "full", "store", "store.log"]


def test_a_signal_ends_a_backup_and_nothing_is_left():
    device = Device()
    target = producer(device.endpoint_in)
    for _ in range(300):
        target.send(os.urandom(1 << 20))
    device.wait_stored(300)
    for number in (signal.SIGTERM, signal.SIGINT):
        backup = spawn(ZSPOOL_BIN, "backup", "store", "backup", stderr=subprocess.PIPE)
        wait_until(lambda: [name for name in os.listdir(".") if "partial" in name]
                   or backup.poll() is not None, "it has begun")
        backup.send_signal(number)
        status = backup.wait(WAIT_S)
        error = backup.stderr.read().decode()
        backup.stderr.close()
        assert status == 1 and "interrupted" in error and len(error.splitlines()) == 1, (status, error)
        assert not [name for name in os.listdir(".") if name.startswith("backup")]
    backup = spawn(ZSPOOL_BIN, "backup", "store", "backup")
    wait_until(lambda: [name for name in os.listdir(".") if "partial" in name], "it has begun")
    backup.kill()
    backup.wait()
    assert not os.path.exists("backup")
    assert device.is_running()


def test_damage_fails_a_backup_unless_it_is_not_verified():
    device = Device()
    send(producer(device.endpoint_in), [[b"%08d-" % number + b"x" * 500] for number in range(100)])
    device.wait_stored(100)
    device.stop()
    with open("store/data.mdb", "r+b") as data:
        place = data.read().index(b"00000050-")
        data.seek(place)
        data.write(b"#")
    error = run("backup", "store", "backup", status=1)
    assert "damaged" in error and os.listdir(".").count("backup") == 0, error
    run("backup", "store", "backup", "--no-verify")
    run("info", "backup")


run_tests(globals())
