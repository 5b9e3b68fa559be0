#!/usr/bin/python3
#  test_run.py - zspool run: the devices of a file, started and stopped together
#
#  SPDX-License-Identifier: MPL-2.0

from device import *


def write(text, name="devices.zpl"):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
    return name


def section(name, *options, **values):
    """A section of the file; names have _ for -."""
    pairs = [(key.replace("_", "-").rstrip("-"), value) for key, value in values.items()] + list(options)
    return f"{name}\n" + "".join(f'    {key} = "{value}"\n' for key, value in pairs)


class Run(Device):
    """A `zspool run` process."""

    def __init__(self, text, **how):
        self.file = write(text)
        super().__init__(**how)

    def command(self):
        return [ZSPOOL_BIN, "run", self.file]


def refused(status, reason, text=None, file="devices.zpl"):
    """Run a file that must end it at once, with this exit status and a line with the reason."""
    if text is not None:
        write(text, file)
    done = subprocess.run([ZSPOOL_BIN, "run", file], capture_output=True, text=True, timeout=WAIT_S,
                          check=False, errors="replace")
    said = f"{text!r}: status {done.returncode}, {done.stderr!r}, {done.stdout!r}"
    assert done.returncode == status and done.stdout == "", said
    assert done.stderr.startswith("zspool run: ") and done.stderr.count("\n") == 1, said
    assert re.search(reason, done.stderr), said


def status(store):
    return json.loads(subprocess.run([ZSPOOL_BIN, "status", store, "--json"], check=True,
                                     capture_output=True).stdout)


def test_devices_of_a_file_run_and_stop_together():
    first, between, feed, out = tcp(), tcp(), tcp(), tcp()
    run = Run("#   Two devices, one behind the other\n"
              + section("orders", type="queue", store="one", in_=first, out=between, ack="sent")
              + section("prices", ("feed", f"all={feed}"), ("feed", f"some={out},#.7"), type="stream", store="two",
                        in_=">" + between, in_type="pull", keep_age="1h"))
    assert status("one")["device"]["out_type"] == "push" and status("two")["device"]["feeds"] == 2
    assert status("one")["device"]["pid"] == status("two")["device"]["pid"] == run.process.pid
    source, some = consumer(feed), consumer(out)
    send(producer(first), [[b"a.%d" % number] for number in range(100)])
    assert receive(source, 100) == [[b"a.%d" % number] for number in range(100)]
    assert receive(some, 1) == [[b"a.7"]]
    run.stop()
    assert info("one")["last_sequence"] == info("two")["last_sequence"] == 100
    for store in "one", "two":
        assert not os.path.lexists(f"{store}/zspool.control")
    run.start()
    run.stop()


def test_what_one_hands_on_at_the_end_the_next_stores():
    first, between = tcp(), tcp()
    run = Run(section("one", type="queue", store="one", in_=first, out=between, ack="sent")
              + section("two", type="queue", store="two", in_=">" + between, out=tcp()))
    target = producer(first)
    send(target, numbered(0, 20000))
    wait_until(lambda: info("one")["last_sequence"] >= 20000, "the first has all")
    run.stop()
    assert info("two")["last_sequence"] + info("one")["pending"] >= 20000


def test_file_that_is_none_is_refused():
    refused(1, "nowhere: No such file", file="nowhere")
    os.mkdir("directory")
    refused(1, "directory: Is a directory", file="directory")
    refused(2, "describes no device", "")
    refused(2, "describes no device", "#   nothing\n")
    for text in ("a\n   x = 1\n", "a\n    x y z\n", 'a\n    x = "1\n', "a\n\tx = 1\n", "    x = 1\n",
                 "a\n        x = 1\n", "\1\2\3\n"):
        refused(2, r"devices\.zpl: (\(\d+\) |is not ZPL)", text)


def test_section_that_is_wrong_is_refused_and_nothing_is_touched():
    good = section("good", type="queue", store="good", in_=tcp(), out=tcp())
    for text, reason in ((section("bad", store="bad"), "bad: type must be"),
                         (section("bad", type="topic"), "bad: type must be"),
                         (section("bad", type="queue", hwm="0"), "bad: hwm: "),
                         (section("bad", type="queue", nonsense="1"), "bad: nonsense: no such option"),
                         (section("bad", ("name", ""), type="queue"), "bad: name: "),
                         ("bad\n    type = queue\n    feed\n        a = tcp://127.0.0.1:1\n", "bad: feed: an option has"),
                         ("bad = queue\n", "bad: a device has options"),
                         ("bad\n", "bad: a device has options"),
                         (section("bad", *([("feed", "a=x")] * 2), type="queue"), "bad: feed: .* already")):
        refused(2, reason, good + text)
    refused(2, "at most 100", "".join(section(f"d{number}", type="queue") for number in range(101)))
    assert os.listdir(".") == ["devices.zpl"]


def test_device_that_does_not_start_ends_the_others():
    taken = tcp()
    other = connect(zmq.PULL, "@" + taken)
    good = section("good", type="queue", store="good", in_=tcp(), out=tcp())
    refused(1, f"bad: out {taken}: .*in use", good + section("bad", type="queue", store="bad", in_=tcp(), out=taken))
    refused(1, "bad: .*good", good + section("bad", type="queue", store="good", in_=tcp(), out=tcp()))
    refused(2, "bad: in: an endpoint", good + section("bad", type="queue", store="bad"))
    other.close(0)
    run = Run(good)
    run.stop()


def test_two_signals_end_it_at_once():
    run = Run(section("one", type="stream", store="one", in_=tcp(), out=tcp())
              + section("two", type="stream", store="two", in_=tcp(), out=tcp()))
    run.signal(signal.SIGINT)
    run.signal(signal.SIGINT)
    assert run.wait() in (0, -signal.SIGINT)


run_tests(globals())
