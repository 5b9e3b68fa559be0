#!/usr/bin/python3
#  test_misuse.py - what cannot work gives one clear line on standard error and exit status 1 or 2
#
#  SPDX-License-Identifier: MPL-2.0

import re

from device import *

NOBODY = 65534


def refused(status, reason, *options, endpoint_in=None, endpoint_out=None, **how):
    """Run a device that must end at once, with this exit status and a line with the reason."""
    command = [ZSPOOL_BIN, "queue", "--in", tcp() if endpoint_in is None else endpoint_in,
               "--out", tcp() if endpoint_out is None else endpoint_out, *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False,
                              **how)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{command[2:]} was not refused") from None
    said = f"{command[2:]}: status {done.returncode}, {done.stderr!r}"
    assert done.returncode == status, said
    assert done.stdout == "", said
    assert done.stderr.startswith("zspool queue: ") and done.stderr.count("\n") == 1, said
    assert re.search(reason, done.stderr), said


def as_nobody():
    if os.geteuid():
        raise Skip("needs root, to become nobody")
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def open_to_all():
    """Let nobody reach the working directory; give its path."""
    path = os.getcwd()
    while path != "/":
        if os.stat(path).st_uid == os.geteuid():
            os.chmod(path, os.stat(path).st_mode | 0o055)
        path = os.path.dirname(path)


def test_store_that_another_device_writes_is_refused():
    device = Device()
    refused(1, f"store: .*{device.process.pid}", "--store", "store")
    assert device.is_running()
    device.kill()
    device.start()


def test_directory_that_is_no_store_is_refused():
    os.mkdir("full")
    with open("full/letter", "w", encoding="ascii"):
        pass
    with open("file", "w", encoding="ascii"):
        pass
    os.symlink("nowhere", "dangling")
    refused(1, "full: ", "--store", "full")
    refused(1, "file: ", "--store", "file")
    refused(1, "file/store: ", "--store", "file/store")
    refused(1, "missing/store: No such", "--store", "missing/store")
    refused(1, "dangling: ", "--store", "dangling")
    refused(1, "/proc: ", "--store", "/proc")
    assert os.listdir("full") == ["letter"], "something was touched"
    assert os.path.getsize("file") == 0


def test_database_that_is_damaged_or_newer_is_refused():
    device = Device()
    send(producer(device.endpoint_in), numbered(0, 10))
    device.wait_stored(10)
    device.stop()
    #  LMDB's magic number, its version, everything
    for offset, length in (16, 4), (20, 4), (0, 8192):
        shutil.copytree("store", "other")
        with open("other/data.mdb", "r+b") as data:
            for page in (0, 4096):
                data.seek(page + offset)
                data.write(b"\xfe" * length)
        refused(1, "other: ", "--store", "other")
        shutil.rmtree("other")


def test_directory_without_permission_is_refused():
    user = as_nobody()
    open_to_all()
    os.mkdir("closed", 0o755)
    refused(1, "closed: Permission denied", "--store", "closed", **user)
    refused(1, "new: Permission denied", "--store", "new", **user)
    device = Device()
    device.stop()
    os.chmod("store", 0o755)
    refused(1, "store: Permission denied", "--store", "store", **user)
    device.start()


def test_port_in_use_is_refused_and_its_owner_goes_on():
    device = Device()
    refused(1, "in .*in use", "--store", "other", endpoint_in=device.endpoint_in)
    refused(1, "out .*in use", "--store", "other", endpoint_out=device.endpoint_out)
    refused(1, "ack-in .*in use", "--store", "other", "--ack", "explicit",
            "--ack-in", device.endpoint_in)
    same = tcp()
    refused(1, "in use", "--store", "other", endpoint_in=same, endpoint_out=same)
    send(producer(device.endpoint_in), numbered(0, 100))
    assert receive(consumer(device.endpoint_out), 100) == numbered(0, 100)
    #  What was refused holds no lock.
    Device(store="other").stop()


def test_ipc_endpoint_in_use_is_refused_and_its_owner_goes_on():
    device = Device(endpoint_in="ipc://in", endpoint_out="ipc://out")
    refused(1, "in .*in use", "--store", "other", endpoint_in="ipc://in")
    refused(1, "out .*in use", "--store", "other", endpoint_out="@ipc://out")
    refused(1, "in use", "--store", "other", endpoint_in="ipc://same", endpoint_out="ipc://same")
    send(producer(device.endpoint_in), numbered(0, 100))
    assert receive(consumer(device.endpoint_out), 100) == numbered(0, 100)


def test_endpoint_that_is_none_is_bad_usage():
    for endpoint in "", ",", "@", ">", "nonsense", "tcp://", "tcp://127.0.0.1", "ipc://", \
                    "what://ever", "udp://127.0.0.1:5", "tcp://%s%n:1", "@@tcp://127.0.0.1:5", \
                    ">tcp://", "x" * 2000, "@ipc://fine,nonsense":
        refused(2, "in", "--store", "store", endpoint_in=endpoint)
        refused(2, "out", "--store", "store", endpoint_out=endpoint)
        refused(2, "ack-in", "--store", "store", "--ack", "explicit", "--ack-in", endpoint)


def test_endpoint_that_cannot_be_had_is_refused():
    refused(1, "No such file", "--store", "store", endpoint_in="ipc://missing/in")
    refused(1, "in .*assign", "--store", "store", endpoint_in="tcp://192.0.2.1:5555")
    refused(1, "out .*assign", "--store", "store", endpoint_out="tcp://192.0.2.1:5555")


def test_values_out_of_range_are_bad_usage():
    for option, values in {
            "durability": ["", "no", "SYNC"], "ack": ["", "none", "settled "],
            "settle": ["", "9", "3600001", "-1", "1e3", " 10", "10ms", "99999999999999999999"],
            "ack-timeout": ["9", "86400001"], "commit-interval": ["0", "60001"],
            "hwm": ["0", "1000001", "+1"], "map": ["0", "1K", "65T"],
            "pipe-depth": ["-1", "8X", "8MM", "18446744073709551615T", "2T"],
            "name": ["", "a/b", "a b", "x" * 128], "store": [""]}.items():
        for value in values:
            refused(2, option, "--store", "store", "--" + option, value)


def test_options_that_do_not_fit_are_bad_usage():
    refused(2, "store")
    refused(2, "--store", "--store")
    refused(2, "unexpected", "--store", "store", "more")
    refused(2, "unknown", "--store", "store", "--nonsense")
    refused(2, "unknown", "--store", "store", "-x")
    refused(2, "value", "--store", "store", "--verbose=1")
    refused(2, "ack-in", "--store", "store", "--ack", "explicit")
    refused(2, "ack-in", "--store", "store", "--ack-in", tcp())
    assert not os.path.exists("store"), "something was touched"


def test_standard_output_that_is_closed_ends_the_device():
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run(Device(start=False).command(), stdout=full, stderr=subprocess.PIPE,
                              text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done


run_tests(globals())
