#!/usr/bin/python3
#  test_measures.py - what a device measures of itself, as status, top and info show it
#
#  SPDX-License-Identifier: MPL-2.0

import pty

from device import *

MEASURES = ("t1/", "t2/", "wait/", "store/commit_", "store/commit_messages_", "store/commit_bytes_")


def zspool(*arguments, status=0):
    """Run a command that must end with this exit status; give what it printed: output, errors."""
    done = subprocess.run([ZSPOOL_BIN, *arguments], capture_output=True, text=True, timeout=WAIT_S,
                          check=False)
    assert done.returncode == status, f"{arguments}: status {done.returncode}, {done.stderr!r}"
    return done.stdout if status == 0 else done.stderr


def values():
    """All names and values of the device's status."""
    lines = zspool("status", "store", "--all").splitlines()
    return {line.split()[0]: (line.split(maxsplit=1) + [""])[1] for line in lines}


def late():
    """What status says that messages wait for."""
    line = zspool("status", "store").splitlines()[-1]
    assert line.startswith("late?     "), line
    return line


def check_measures(device, count):
    """Send and receive so many messages, and hold the measures against that."""
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    send(target, [[bytes(100)]] * count)
    receive(source, count)
    wait_until(lambda: int(values()["t2/count"]) == count, "all is durable and measured")
    told = {name: int(value) for name, value in values().items() if value.isdigit()}
    assert told["t1/count"] == told["wait/count"] == count
    for prefix in MEASURES:
        unit = "" if prefix.startswith(("store/commit_m", "store/commit_b")) else "_us"
        for when in "", "recent_":
            names = [f"{prefix}{when}{name}{unit}" for name in ("p50", "p99", "max")]
            assert told[names[0]] <= told[names[1]] <= told[names[2]], names
    assert 0 < told["store/commit_messages_count"] <= told["store/commit_count"]
    assert told["store/commit_count"] == told["store/commits"]
    assert told["store/commit_messages_max"] <= count
    assert told["store/commit_bytes_p50"] >= 100
    assert told["t2/max_us"] > 0 and told["store/commit_max_us"] > 0
    assert told["rate/in"] > 0 and told["rate/out"] > 0 and told["rate/stored"] > 0
    assert told["rate/in_bytes"] >= 100 * told["rate/in"] // 2


def test_measures_fit_what_was_sent_under_sync():
    check_measures(Device(), 5000)


def test_measures_fit_what_was_sent_under_async():
    check_measures(Device("--durability", "async"), 5000)


def test_measures_fit_what_was_sent_under_explicit():
    check_measures(Device("--ack", "explicit"), 1000)


def test_status_says_why_messages_are_late():
    device = Device("--ack", "explicit")
    assert "nothing holds messages up" in late()
    target = producer(device.endpoint_in)
    send(target, numbered(0, 1000))
    wait_until(lambda: values()["store/last_sequence"] == "1000", "all has come")
    assert "no consumer is connected: 1000 messages" in late()
    source = consumer(device.endpoint_out)
    receive(source, 1000)
    wait_until(lambda: "1000 messages are with consumers" in late(), "the rate is forgotten")
    zspool("pause", "store")
    assert "zspool resume" in late()
    zspool("resume", "store")
    assert "1000 messages are with consumers" in late()


def test_status_tells_how_long_the_next_message_has_waited():
    device = Device()
    send(producer(device.endpoint_in), numbered(0, 10))
    wait_until(lambda: int(values()["out/unsent_age_ms"]) > 100, "it grows older")


def test_top_prints_rows_when_it_is_no_terminal():
    Device()
    rows = zspool("top", "store", "--interval", "50", "--count", "3").splitlines()
    assert len(rows) == 4 and rows[0].startswith("time") and " running " in rows[3]
    zspool("top", "store", "--interval", "1", status=2)
    zspool("top", "store", "--count", "0", status=2)
    zspool("top", status=2)


def test_top_refreshes_a_terminal():
    Device()
    ours, theirs = pty.openpty()
    top = spawn(ZSPOOL_BIN, "top", "store", "--interval", "50", stdout=theirs)
    os.close(theirs)
    shown = b""
    while shown.count(b"\033[H") < 3:
        ready, _, _ = select.select([ours], [], [], WAIT_S)
        assert ready, shown
        shown += os.read(ours, 65536)
    assert b"late?" in shown
    top.send_signal(signal.SIGINT)
    assert top.wait(WAIT_S) == 0
    os.close(ours)


def test_top_ends_with_its_device():
    device = Device()
    top = spawn(ZSPOOL_BIN, "top", "store", "--interval", "50", stdout=subprocess.PIPE,
                stderr=subprocess.PIPE)
    assert top.stdout.readline().startswith(b"time")
    device.stop()
    assert top.wait(WAIT_S) == 1
    assert top.stderr.read().count(b"\n") == 1
    top.stderr.close()


def test_info_shows_the_device_that_runs():
    device = Device()
    told = json.loads(zspool("info", "store", "--json"))
    assert told["device"]["device"]["pid"] == device.process.pid
    assert told["device"]["t1"]["count"] == 0
    assert f"process {device.process.pid}," in zspool("info", "store")
    device.signal(signal.SIGSTOP)
    assert json.loads(zspool("info", "store", "--json"))["device"] is None
    assert "device    does not answer" in zspool("info", "store")
    device.signal(signal.SIGCONT)
    device.kill()
    assert json.loads(zspool("info", "store", "--json"))["device"] is None
    assert "device" not in zspool("info", "store")


run_tests(globals())
