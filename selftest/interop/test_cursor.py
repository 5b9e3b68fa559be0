#!/usr/bin/python3
#  test_cursor.py - zspool cursor lists, moves and deletes cursors, at rest and under a running device
#
#  SPDX-License-Identifier: MPL-2.0

from device import *

KEEP = ["--keep-count", "unlimited", "--ack", "sent"]


def cursor(action, *arguments, store="store", status=0):
    """Run `zspool cursor`; give its output, or, when it is to fail, its line of error."""
    done = subprocess.run([ZSPOOL_BIN, "cursor", action, store, *arguments], capture_output=True,
                          text=True, timeout=WAIT_S * 2, check=False)
    assert done.returncode == status, f"exit status {done.returncode}: {done.stdout}{done.stderr}"
    if status:
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("zspool cursor: "), done.stderr
        return done.stderr
    assert done.stderr == "", done.stderr
    return done.stdout


def cursors(*arguments):
    """What is listed of each cursor, by name."""
    listed = [json.loads(line) for line in cursor("list", "--json", *arguments).splitlines()]
    return {one["name"]: one for one in listed}


def status_of(device):
    text = subprocess.run([ZSPOOL_BIN, "status", device.store, "--json"], check=True,
                          capture_output=True).stdout
    return json.loads(text)


def device_with_history(count, *options):
    """A device that has forwarded so many messages, and keeps them; its name for its cursor."""
    device = Device(*KEEP, *options)
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    send(target, numbered(0, count))
    assert sorted(receive(source, count)) == sorted(numbered(0, count))
    wait_until(lambda: device.info()["pending"] == 0, "all is acknowledged")
    assert device.info()["messages"] == count
    return device, target, source, device.info()["cursors"][0]["name"]


def test_list_tells_where_cursors_stand_at_rest_and_running():
    device, target, source, name = device_with_history(20)
    for _ in range(2):
        one = cursors()[name]
        assert one["floor"] == 20 and one["pending"] == 0 and one["lagged"] == 0, one
        assert one["oldest_pending_ms"] is None and one["generation"] == 1, one
        head, line = cursor("list").splitlines()
        assert head.split()[0] == "floor" and line.split()[0] == "20" and line.split()[-1] == name
        if device.is_running():
            device.stop()
    assert "no spool other" in cursor("list", "--name", "other", status=1)


def test_seek_of_a_running_device_delivers_again_and_the_tail_once():
    device, target, source, name = device_with_history(20)
    before = cursors()[name]["generation"]
    assert cursor("seek", name, "last:5").startswith(f"moved: {name}, floor ")
    assert receive(source, 5) == numbered(15, 20)
    assert cursors()[name]["generation"] == before + 1
    cursor("seek", name, "all")
    assert receive(source, 20) == numbered(0, 20)
    send(target, numbered(20, 22))
    assert receive(source, 2) == numbered(20, 22)
    wait_until(lambda: cursors()[name]["pending"] == 0, "all is acknowledged again")
    assert receive_for(source, 0.2) == []
    device.stop()


def test_seek_by_an_age_by_sequence_and_to_the_end():
    device, target, source, name = device_with_history(20)
    cursor("seek", name, "-1h")
    assert receive(source, 20) == numbered(0, 20)
    cursor("seek", name, "18")
    assert receive(source, 3) == numbered(17, 20)
    cursor("seek", name, "@4000000000")
    cursor("seek", name, "new")
    assert cursors()[name]["floor"] == 20
    send(target, numbered(20, 21))
    assert receive(source, 1) == numbered(20, 21)
    device.stop()


def test_seek_at_rest_is_what_the_next_device_begins_with():
    device, target, source, name = device_with_history(20)
    device.stop()
    assert cursor("seek", name, "19") == f"moved: {name}, floor 18, pending 2\n"
    age_ms = cursors()[name]["oldest_pending_ms"]
    assert 0 <= age_ms < WAIT_S * 1000 * 6
    cursor("seek", name, "-7d", "--name", "main")
    assert cursors()[name]["floor"] == 0
    device.start()
    assert receive(source, 20) == numbered(0, 20)
    device.stop()


def test_seek_makes_tickets_stale():
    device = Device("--keep-count", "unlimited", "--ack", "explicit")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    acks = producer(device.ack_in)
    send(target, numbered(0, 3))
    first = [source.recv_multipart() for _ in range(3)]
    name = device.info()["cursors"][0]["name"]
    acks.send(first[1][0])
    wait_until(lambda: status_of(device)["ack"]["tickets"] == 1, "one is acknowledged")
    cursor("seek", name, "all")
    again = [source.recv_multipart() for _ in range(3)]
    assert [frames[1:] for frames in again] == [frames[1:] for frames in first]
    for ticket, *_ in first:
        acks.send(ticket)
    wait_until(lambda: status_of(device)["ack"]["stale"] == 3, "old tickets are stale")
    assert cursors()[name]["pending"] == 3
    for ticket, *_ in again:
        acks.send(ticket)
    wait_until(lambda: cursors()[name]["pending"] == 0, "all is acknowledged")
    device.stop()


def test_delete_is_refused_for_a_cursor_in_use_and_done_for_others():
    device, target, source, name = device_with_history(20)
    assert "delivers through this cursor" in cursor("delete", name, status=1)
    assert "no cursor other" in cursor("delete", "other", status=1)
    device.stop()
    assert cursor("delete", name) == f"deleted: {name}\n"
    assert cursors() == {}
    assert info()["messages"] == 20
    device.start()
    assert receive(source, 20) == numbered(0, 20)
    device.stop()


def test_delete_of_a_feed_that_is_gone_lets_a_running_device_remove_what_it_held():
    feed = tcp()
    device = Device("--ack", "sent", "--feed", f"audit={feed}", "--feed-start", "audit=all")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    send(target, numbered(0, 10))
    receive(source, 10)
    wait_until(lambda: cursors()["out"]["pending"] == 0, "the main outlet is done")
    assert cursors()["audit"]["pending"] == 10
    assert "delivers through this cursor" in cursor("delete", "audit", status=1)
    device.stop()
    del device.options[2:]
    device.start()
    assert info()["messages"] == 10
    assert cursor("delete", "audit") == "deleted: audit\n"
    assert list(cursors()) == ["out"]
    device.wait_empty()
    device.stop()


def test_status_and_info_tell_what_is_kept():
    device, target, source, _ = device_with_history(20, "--keep-age", "1h", "--keep-bytes", "1G")
    found = status_of(device)
    assert found["store"]["retained_messages"] == 20 and found["store"]["retained_bytes"] > 20
    assert 0 <= found["store"]["oldest_age_ms"] < 3600 * 1000
    assert found["keep"] == {"age_ms": 3600000, "bytes": 1 << 30, "count": "unlimited", "unacked": "on"}
    assert info()["keep"] == {"age_ms": 3600000, "bytes": 1 << 30, "count": None, "unacked": True}
    device.stop()


def test_an_idle_device_removes_what_grows_too_old():
    device = Device(*KEEP, "--keep-age", "300ms")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    send(target, numbered(0, 10))
    receive(source, 10)
    device.wait_empty()
    assert device.info()["last_sequence"] == 10
    device.stop()


def test_bad_usage_is_told_in_one_line():
    for arguments in (["list"], ["seek", "store"], ["seek", "store", "out"], ["seek", "store", "out", "yesterday"],
                      ["seek", "store", "out", "last:0"], ["seek", "store", "out", "-5y"], ["move", "store"], [],
                      ["delete", "store"], ["delete", "store", "out", "all"], ["delete", "store", "out", "-1h"],
                      ["list", "store", "out"], ["delete", "store", "out", "--json"], ["list", "store", "--name", ""]):
        done = subprocess.run([ZSPOOL_BIN, "cursor", *arguments], capture_output=True, text=True,
                              timeout=WAIT_S, check=False)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and not done.stdout, (arguments, done)
    assert "store: " in cursor("delete", "out", status=1)
    assert not os.path.exists("store")


run_tests(globals())
