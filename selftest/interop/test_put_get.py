#!/usr/bin/python3
#  test_put_get.py - `zspool put`, `get` and `status ENDPOINT`: each option, and what is wrong
#
#  SPDX-License-Identifier: MPL-2.0

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from command import *
from service import *

NOWHERE = "tcp://127.0.0.1:9"
KEEP = "--keep-count", "unlimited"  #  for further cursors, what the first has acknowledged


def put(device, spool, *options, lines=(), status=0):
    """Put lines; gives what was said on standard error."""
    putting = Command("put", device.service, spool, *options, lines=lines)
    putting.wait(status)
    return putting.errors()


def get(device, spool, cursor, count, *options):
    """Get so many messages as they are printed."""
    getting = Command("get", device.service, spool, cursor, "--count", str(count), *options)
    output = getting.wait()
    assert getting.errors() == "", getting.errors()
    return output


#  ---- what put reads, what get prints

def test_lines_frames_and_bytes_come_out_as_they_went_in():
    device = ServiceDevice(*KEEP)
    put(device, "text", lines=[b"one", b"", b"three \xff\t"])
    assert get(device, "text", "c", 3) == b"one\n\nthree \xff\t\n"
    put(device, "frames", "--separator", "::", lines=[b"a::b", b"::", b"c"])
    assert get(device, "frames", "tab", 3) == b"a\tb\n\t\nc\n"
    assert get(device, "frames", "own", 3, "--separator", "\\x7c\\n") == b"a|\nb\n|\n\nc\n"
    assert get(device, "frames", "hex", 3, "--format", "hex") == b"61 62\n \n63\n"
    assert get(device, "frames", "raw", 3, "--format", "raw") == b"abc"
    put(device, "hex", "--format", "hex", lines=[b"00ff 0A", b"41"])
    assert get(device, "hex", "c", 2, "--format", "hex") == b"00ff 0a\n41\n"
    assert get(device, "hex", "text", 2, "--format", "text") == b"\0\xff\t\n\nA\n"
    put(device, "text", "--format", "text", lines=[b"four"])
    assert get(device, "text", "c", 1) == b"four\n"


def test_a_file_is_put_by_lines_or_as_a_whole():
    device = ServiceDevice()
    with open("given", "wb") as given:
        given.write(b"one\ntwo\nno newline")
    put(device, "lines", "--file", "given")
    assert get(device, "lines", "c", 3) == b"one\ntwo\nno newline\n"
    put(device, "whole", "--file", "given", "--whole")
    assert get(device, "whole", "c", 1, "--format", "raw") == b"one\ntwo\nno newline"
    put(device, "nothing", lines=[])
    assert device.spool("nothing")["last_sequence"] == 0


def test_messages_are_made_of_a_number_and_letters():
    device = ServiceDevice()
    assert put(device, "made", "--count", "3", "--size", "20", "--verbose").endswith(
        "3 messages put, 0 left out\n")
    lines = get(device, "made", "c", 3).splitlines()
    assert [int(line[:12]) for line in lines] == [1, 2, 3] and {len(line) for line in lines} == {20}
    put(device, "usual", "--count", "1")
    assert len(get(device, "usual", "c", 1)) == 101
    put(device, "empty", "--count", "2", "--size", "0")
    assert get(device, "empty", "c", 2) == b"\n\n"


def test_a_message_that_is_too_large_is_refused_and_what_came_before_is_safe():
    device = ServiceDevice("--max-message-size", "1000")
    said = put(device, "jobs", lines=[b"small", b"x" * 2000, b"never"], status=1)
    assert said == "zspool put: message 2: message too large\n", said
    assert get(device, "jobs", "c", 1) == b"small\n"
    assert device.spool("jobs")["last_sequence"] == 1


def test_levels_are_what_they_say():
    device = ServiceDevice("--durability", "async", "--commit-interval", "1000")
    for level in "default", "cached", "committed":
        put(device, level, "--level", level, lines=[b"x"])
        assert get(device, level, "c", 1) == b"x\n"
        if level == "committed":
            assert device.spool(level)["last_sequence"] == 1


#  ---- options of get

def test_a_new_cursor_starts_where_it_is_told():
    device = ServiceDevice(*KEEP)
    put(device, "jobs", lines=[b"1", b"2", b"3", b"4"])
    assert get(device, "jobs", "usual", 4) == b"1\n2\n3\n4\n"
    assert get(device, "jobs", "all", 4, "--start", "all") == b"1\n2\n3\n4\n"
    assert get(device, "jobs", "last", 2, "--start", "last:2") == b"3\n4\n"
    assert get(device, "jobs", "sequence", 3, "--start", "2") == b"2\n3\n4\n"
    assert get(device, "jobs", "age", 4, "--start", "-1h") == b"1\n2\n3\n4\n"
    assert get(device, "jobs", "time", 4, "--start", "2026-01-01T00:00:00Z") == b"1\n2\n3\n4\n"
    #  It goes on where it stands.
    getting = Command("get", device.service, "jobs", "new", "--start", "new", "--count", "1")
    wait_until(lambda: "new" in names_of(device, "jobs"), "the cursor is there")
    put(device, "jobs", lines=[b"5"])
    assert getting.wait() == b"5\n"
    assert get(device, "jobs", "last", 1, "--start", "all") == b"5\n"


def names_of(device, spool):
    return [cursor["name"] for cursor in device.spool(spool)["cursors"]]


def test_filters_choose_topics():
    device = ServiceDevice(*KEEP)
    put(device, "jobs", "--separator", ",", lines=[b"a.b.c,1", b"a.x,2", b"b,3", b"a.b,4"])
    assert get(device, "jobs", "prefix", 2, "--filter", "a.b") == b"a.b.c\t1\na.b\t4\n"
    assert get(device, "jobs", "pattern", 2, "--filter", "a.*") == b"a.x\t2\na.b\t4\n"
    several = "--filter", "b", "--filter", "*.x"
    assert get(device, "jobs", "several", 2, *several) == b"a.x\t2\nb\t3\n"
    holder = Command("get", device.service, "jobs", "one", "--filter", "a")
    wait_until(lambda: holder.output().count(b"\n") == 3, "it has begun")
    other = Command("get", device.service, "jobs", "one", "--filter", "b")
    other.wait(1)
    assert "filter" in other.errors(), other.errors()
    holder.kill(signal.SIGTERM)
    holder.wait()


def test_count_timeout_quiet_and_verbose():
    device = ServiceDevice()
    put(device, "jobs", lines=[b"1", b"2", b"3"])
    few = Command("get", device.service, "jobs", "c", "--count", "5", "--timeout", "200")
    assert few.wait(1) == b"1\n2\n3\n" and "timed out: 3 of 5 messages came" in few.errors()
    put(device, "jobs", lines=[b"4", b"5"])
    assert get(device, "jobs", "c", 1, "--quiet") == b"1\n"
    told = Command("get", device.service, "jobs", "c", "--verbose", "--timeout", "200")
    assert told.wait() == b"5\n"
    #  It was received ahead by the one before.
    assert told.errors().endswith("1 messages, 1 of them delivered before\n"), told.errors()
    none = Command("get", device.service, "jobs", "c", "--timeout", "100")
    assert none.wait() == b"" and none.errors() == ""


def test_what_is_not_acknowledged_comes_again():
    device = ServiceDevice()
    put(device, "jobs", lines=[b"%d" % number for number in range(10)])
    for _ in range(2):
        assert get(device, "jobs", "c", 3, "--no-ack") == b"0\n1\n2\n"
    ahead = Command("get", device.service, "jobs", "c", "--no-ack", "--prefetch", "4",
                    "--timeout", "500")
    assert ahead.wait() == b"".join(b"%d\n" % number for number in range(10))
    told = Command("get", device.service, "jobs", "c", "--verbose", "--count", "10")
    assert told.wait() == b"".join(b"%d\n" % number for number in range(10))
    assert "10 messages, 10 of them delivered before" in told.errors()
    assert device.spool("jobs")["floor"] == 10


def test_output_is_appended_to_and_a_broken_line_ended():
    device = ServiceDevice()
    put(device, "jobs", lines=[b"1", b"2"])
    with open("out", "wb") as out:
        out.write(b"old\nbrok")
    assert get(device, "jobs", "c", 2, "--output", "out") == b""
    with open("out", "rb") as out:
        assert out.read() == b"old\nbrok\n1\n2\n"


def test_a_full_disk_ends_get_and_nothing_is_acknowledged():
    device = ServiceDevice()
    put(device, "jobs", lines=[b"1", b"2"])
    full = Command("get", device.service, "jobs", "c", "--output", "/dev/full")
    full.wait(1)
    said = full.errors()
    assert "cannot write /dev/full" in said and said.count("\n") == 1, said
    refused(1, "cannot open 'no/such/file'", "get", device.service, "jobs", "c",
            "--output", "no/such/file")
    assert get(device, "jobs", "c", 2) == b"1\n2\n"


def test_of_workers_one_that_is_killed_leaves_its_messages_to_the_other():
    device = ServiceDevice("--ack-timeout", "3600000")
    victim = Command("get", device.service, "jobs", "work", "--no-ack", "--prefetch", "1000")
    wait_until(lambda: sessions(device) == 1, "the victim is there")
    put(device, "jobs", "--count", "1000", "--size", "20")
    wait_until(lambda: victim.output().count(b"\n") == 1000, "the victim has them all")
    worker = Command("get", device.service, "jobs", "work", "--count", "1000")
    wait_until(lambda: sessions(device) == 2, "the worker is there")
    assert worker.is_running() and worker.output() == b""
    victim.kill()
    assert worker.wait() == victim.output()
    assert device.spool("jobs")["floor"] == 1000


def sessions(device):
    """How many clients there are, but for the one that asks."""
    with Service(device.service) as service:
        return int(service.status()["service/sessions"]) - 1


def test_two_workers_share_each_message_once():
    device = ServiceDevice()
    workers = [Command("get", device.service, "jobs", "work", "--prefetch", "100", "--output", name)
               for name in ("a", "b")]
    wait_until(lambda: sessions(device) == 2, "both are there")
    put(device, "jobs", "--count", "20000", "--size", "12")

    def printed():
        return [open(name, "rb").read() for name in ("a", "b")]
    wait_until(lambda: sum(map(len, printed())) == 20000 * 13, "all are printed")
    lines = b"".join(printed()).split()
    assert sorted(lines) == [b"%012d" % number for number in range(1, 20001)]
    assert all(printed()), "one got nothing"
    for worker in workers:
        worker.kill(signal.SIGTERM)
        worker.wait()


def test_exclusive_consumers_take_over_from_each_other():
    device = ServiceDevice()
    first = Command("get", device.service, "jobs", "c", "--exclusive")
    wait_until(lambda: sessions(device) == 1, "the first is there")
    second = Command("get", device.service, "jobs", "c", "--exclusive")
    wait_until(lambda: sessions(device) == 2, "the second is there")
    put(device, "jobs", lines=[b"1", b"2"])
    wait_until(lambda: first.output() == b"1\n2\n", "the first gets them")
    other = Command("get", device.service, "jobs", "c", "--timeout", "1000")
    other.wait(1)
    assert "exclusive" in other.errors() or "use" in other.errors(), other.errors()
    wait_until(lambda: device.spool("jobs")["floor"] == 2, "they are acknowledged")
    first.kill()
    put(device, "jobs", lines=[b"3"])
    wait_until(lambda: second.output() == b"3\n", "the second takes over")
    assert first.output() == b"1\n2\n"


#  ---- signals, absence, strangers

def test_signals_end_put_and_get_in_good_order():
    device = ServiceDevice(*KEEP)
    for number in signal.SIGINT, signal.SIGTERM:
        spool = number.name.lower()
        with open(spool + ".log", "wb") as log:
            putting = spawn(ZSPOOL_BIN, "put", device.service, spool, stdin=subprocess.PIPE,
                            stderr=log)
        putting.stdin.write(b"1\n2\nunfinished")
        putting.stdin.flush()
        wait_until(lambda: stored(device, spool) == 2, "both are stored")
        putting.send_signal(number)
        assert putting.wait(WAIT_S) == 1
        with open(spool + ".log", encoding="utf-8") as log:
            assert log.read() == "zspool put: interrupted: 2 messages were put, and are safe\n"
        for options, status in ((), 0), (("--count", "3"), 1):
            getting = Command("get", device.service, spool, f"c{status}", *options)
            wait_until(lambda: getting.output() == b"1\n2\n", "it prints")
            getting.kill(number)
            getting.wait(status)
            assert ("interrupted: 2 of 3" in getting.errors()) == bool(status), getting.errors()


def has_handler(command):
    with open(f"/proc/{command.process.pid}/status", encoding="ascii") as status:
        caught = next(line for line in status if line.startswith("SigCgt"))
    return int(caught.split()[1], 16) >> signal.SIGTERM - 1 & 1


def test_a_device_that_comes_later_is_waited_for():
    endpoint = tcp()
    putting = Command("put", endpoint, "jobs", lines=[b"1", b"2"])
    getting = Command("get", endpoint, "jobs", "c", "--count", "2")
    putting.stays_idle()
    getting.stays_idle(0.5)
    ServiceDevice(endpoint=endpoint)
    putting.wait()
    assert getting.wait() == b"1\n2\n"


def test_nobody_there_is_given_up_on_after_a_time_or_at_a_signal():
    for command in ("put", NOWHERE, "jobs"), ("get", NOWHERE, "jobs", "c"):
        refused(1, "nobody answers", *command, "--timeout", "300")
        waiting = Command(*command)
        wait_until(lambda: has_handler(waiting), "it minds signals")
        waiting.kill(signal.SIGTERM)
        waiting.wait(1)
        assert waiting.errors().count("\n") == 1, waiting.errors()
    refused(1, "nobody answers|no answer", "status", NOWHERE, "--timeout", "300")


def test_who_does_not_speak_zsp_is_no_service():
    device = ServiceDevice(ends=("--in", f"tcp://127.0.0.1:{free_port()}"))
    inlet = device.ends[1]
    stranger, endpoint = None, tcp()
    for place in inlet, endpoint:
        if place == endpoint:
            stranger = connect(zmq.REP, "@" + endpoint)
        for command in ("put", place, "jobs"), ("get", place, "jobs", "c"), ("status", place):
            refused(1, "nobody answers|no answer|ZSP", *command, "--timeout", "500")
    assert stranger is not None
    #  The inlet is as it was.
    source = producer(inlet)
    source.send(b"hello")
    wait_until(lambda: device.spool("main")["last_sequence"] == 1, "it takes messages")
    assert device.is_running()


def test_what_the_service_does_not_give_is_refused():
    device = ServiceDevice("--service-spool", "jobs")
    put(device, "jobs", lines=[b"1"])
    for command in ("put", device.service, "other"), ("get", device.service, "other", "c"):
        refused(1, "other|not|allowed", *command, "--timeout", "5000")


#  ---- status

def test_status_of_a_service():
    device = ServiceDevice()
    put(device, "jobs", lines=[b"1", b"2"])
    getting = Command("get", device.service, "jobs", "c")
    wait_until(lambda: getting.output() == b"1\n2\n", "it gets them")
    for options in (), ("--all",), ("--timeout", "10000"):
        done = subprocess.run([ZSPOOL_BIN, "status", device.service, *options], check=True,
                              text=True, capture_output=True, timeout=WAIT_S)
        figures = dict(line.split(None, 1) for line in done.stdout.splitlines() if " " in line)
        assert figures["service/messages"] == "2" and done.stderr == "", done
    done = subprocess.run([ZSPOOL_BIN, "status", device.service, "--json"], check=True, text=True,
                          capture_output=True, timeout=WAIT_S)
    told = json.loads(done.stdout)
    assert int(told["service"]["sessions"]) == 2 and "jobs" in told["group"], told
    refused(2, "--timeout takes a number", "status", device.service, "--timeout", "0")
    refused(2, "unexpected argument", "status", device.service, device.service)
    refused(1, "endpoint", "status", "nonsense://x")


#  ---- wrong command lines

def test_wrong_options_of_put_are_refused():
    name = "x" * 128
    for reason, options in (
            ("--count takes a number", ["--count", "0"]),
            ("--count takes a number", ["--count", "many"]),
            ("--count makes messages", ["--count", "1", "--file", "f"]),
            ("--count makes messages", ["--count", "1", "--whole"]),
            ("--count makes messages", ["--count", "1", "--separator", ","]),
            ("--count makes messages", ["--count", "1", "--format", "hex"]),
            ("--size needs --count", ["--size", "10"]),
            ("--size takes bytes", ["--count", "1", "--size", "-1"]),
            ("--whole puts the input", ["--whole", "--separator", ","]),
            ("--whole puts the input", ["--whole", "--format", "hex"]),
            ("--format hex separates", ["--format", "hex", "--separator", ","]),
            ("--format is text or hex", ["--format", "raw"]),
            ("cannot hold a newline", ["--separator", "\\n"]), ("escapes", ["--separator", "\\y"]),
            ("--separator needs a value", ["--separator", ""]),
            ("--resume needs --name", ["--resume"]),
            ("do not go together", ["--resume", "--name", "n", "--transaction", "2"]),
            ("--transaction takes a number", ["--transaction", "0"]),
            ("--transaction takes a number", ["--transaction", "1000001"]),
            ("--timeout takes a number", ["--timeout", "0"]),
            ("--level: must be", ["--level", "safe"]), ("--name: must be", ["--name", name]),
            ("--name: must be", ["--name", "a/b"]), ("--name: must be", ["--name", "a b"]),
            ("--name needs a value", ["--name", ""]),
            ("unknown", ["--output", "f"]), ("unknown", ["--no-ack"]),
            ("needs a value", ["--file"]), ("takes no value", ["--verbose=1"])):
        refused(2, reason, "put", NOWHERE, "jobs", *options)
    refused(2, "endpoint is missing", "put")
    refused(2, "spool is missing", "put", NOWHERE)
    refused(2, "unexpected argument 'x'", "put", NOWHERE, "jobs", "x")
    refused(2, "spool", "put", NOWHERE, "a/b")
    refused(2, "needs a value", "put", "", "jobs")
    for wrong in "nonsense", "tcp://", "@tcp://127.0.0.1:9":
        refused(1, "endpoint", "put", wrong, "jobs")
    device = ServiceDevice()
    refused(1, "no-such-file", "put", device.service, "jobs", "--file", "no-such-file")


def test_wrong_options_of_get_are_refused():
    for reason, options in (
            ("--count takes a number", ["--count", "0"]),
            ("--timeout takes a number", ["--timeout", "0"]),
            ("--start is all", ["--start", "yesterday"]),
            ("--start needs a value", ["--start", ""]),
            ("--prefetch takes a number", ["--prefetch", "0"]),
            ("--prefetch takes a number", ["--prefetch", "1000001"]),
            ("--format is text, hex or raw", ["--format", "json"]),
            ("--separator goes with --format text", ["--separator", ",", "--format", "hex"]),
            ("--separator goes with --format text", ["--format", "raw", "--separator", ","]),
            ("--quiet prints no message", ["--quiet", "--format", "text"]),
            ("--quiet prints no message", ["--quiet", "--separator", ","]),
            ("--quiet prints no message", ["--quiet", "--output", "f"]),
            ("--output needs a value", ["--output", ""]), ("--filter", ["--filter", "x" * 1024]),
            ("too often|--filter", ["--filter=a"] * 400), ("unknown", ["--name", "n"]),
            ("takes no value", ["--exclusive=yes"])):
        refused(2, reason, "get", NOWHERE, "jobs", "c", *options)
    refused(2, "endpoint is missing", "get")
    refused(2, "spool is missing", "get", NOWHERE)
    refused(2, "cursor is missing", "get", NOWHERE, "jobs")
    refused(2, "unexpected argument 'x'", "get", NOWHERE, "jobs", "c", "x")
    for spool, cursor in ("a/b", "c"), ("jobs", "a/b"), ("jobs", "x" * 128):
        refused(1, "need names", "get", NOWHERE, spool, cursor)
    refused(1, "endpoint", "get", "nonsense", "jobs", "c")


if __name__ == "__main__":
    run_tests(globals())
