#!/usr/bin/python3
#  test_stream_options.py - options of zspool stream and of feeds, right and wrong; and how status shows them
#
#  SPDX-License-Identifier: MPL-2.0

import signal

from device import *

FEEDS_MAX = 60      #  as the device has it
FILTER_MAX = 1023   #  bytes


def command(*options, name="stream", out=True):
    """A command line with endpoints of its own."""
    return [ZSPOOL_BIN, name, "--store", "store", "--in", tcp(), *(["--out", tcp()] if out else []), *options]


def refused(status, reason, *options, **how):
    """Run a device that must end at once, with this exit status and a line with the reason."""
    try:
        done = subprocess.run(command(*options, **how), capture_output=True, text=True, timeout=WAIT_S,
                              check=False)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{options} were not refused") from None
    said = f"{options}: status {done.returncode}, {done.stderr!r}"
    assert done.returncode == status and done.stdout == "", said
    assert done.stderr.startswith("zspool ") and done.stderr.count("\n") == 1, said
    assert re.search(reason, done.stderr), said


def accepted(*options, **how):
    """Run a device until it is ready, and end it in good order."""
    device = spawn(*command(*options, **how), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    line = device.stdout.readline()
    device.send_signal(signal.SIGTERM)
    _, said = device.communicate(timeout=WAIT_S)
    assert line == b"ready\n" and device.returncode == 0 and said == b"", (options, device.returncode, said)


class Other(Device):
    """A device of another command line."""

    def __init__(self, line, **how):
        self.line = line
        super().__init__(**how)

    def command(self):
        return self.line


def status():
    text = subprocess.run([ZSPOOL_BIN, "status", "store", "--json"], check=True, capture_output=True).stdout
    return json.loads(text)


def screen():
    return subprocess.run([ZSPOOL_BIN, "status", "store"], check=True, capture_output=True, text=True).stdout


def late():
    return screen().splitlines()[-1]


def feed_row(name):
    """The row of a feed on the screen, by the headings."""
    lines = screen().splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("feeds  "))
    heads = re.split(r"  +", lines[at].strip())[1:]
    row = next(line for line in lines[at + 1:] if line.split()[0] == name)
    return dict(zip(heads, row.split()))


#  ---- values

def test_values_of_all_kinds_are_taken():
    accepted()
    accepted("--topic", "a", "--topic", "", "--topic", "b.c")
    accepted("--hold", "3", "--out-filter", "a.#", "--out-filter", "b")
    accepted("--in-type", "pull", "--out-type", "push", "--ack", "explicit", "--ack-in", tcp())
    accepted("--ack", "explicit", "--feed", f"a={tcp()}", "--feed-ack", f"a=explicit,{tcp()}")
    for value in "0", "1", "90s", "15m", "1h", "7d", "500ms", "7D", "unlimited":
        accepted("--keep-age", value)
    for value in "0", "1", "10M", "unlimited":
        accepted("--keep-bytes", value)
    accepted("--keep-count", "1", "--keep-unacked", "off")
    accepted("--keep-count", "1000000", name="queue")


def test_values_out_of_range_are_bad_usage():
    for option, values in {
            "in-type": ["", "push", "SUB"], "out-type": ["", "xpub", "pull"],
            "hold": ["", "-1", "1000001", "x"], "start": ["", "newer", "last:", "last:0", "0", "-1", "-1y"],
            "topic": ["x" * (FILTER_MAX + 1)], "out-filter": ["x" * (FILTER_MAX + 1)],
            "keep-age": ["", "-1", "1w", "1 s", "s", "1.5h", "infinite", "99999999999999999999", "200000000d"],
            "keep-bytes": ["", "1X", "-1"], "keep-count": ["", "1K", "many"],
            "keep-unacked": ["", "yes", "1"]}.items():
        for value in values:
            refused(2, option, f"--{option}={value}")


def test_feeds_that_are_none_are_bad_usage():
    for option in "feed", "feed-sub":
        for value in ("", "a", "a=", f"={tcp()}", f"a b={tcp()}", f"a/b={tcp()}", f"a\tb={tcp()}",
                      "a=,x", "x" * 128 + f"={tcp()}", "a=" + "x" * 1024, f"a={tcp()}," + "x" * 1024):
            refused(2, option, f"--{option}={value}")
        for name in "out", "dead":
            refused(2, f"feed.* {name}.*name", f"--{option}", f"{name}={tcp()}")
        for endpoint in "nonsense", "tcp://", "tcp://127.0.0.1", "udp://127.0.0.1:5":
            refused(2, f"feed.*a.*{endpoint}", f"--{option}", f"a={endpoint}")


def test_options_of_feeds_that_are_wrong_are_bad_usage():
    feed = ["--feed", f"a={tcp()}"]
    for value in ("", "a", "a=", "a=no", "a=sent,", f"a=sent,{tcp()}", "a=explicit", "a=explicit,",
                  f"=explicit,{tcp()}", "a=settledx", "a=explicit," + "x" * 1024):
        refused(2, "feed-ack", *feed, f"--feed-ack={value}")
    for value in "", "a", "a=", "a=soon", "a=last:0", "=all":
        refused(2, "feed-start", *feed, f"--feed-start={value}")


def test_options_that_do_not_fit_are_bad_usage():
    feed, sub = ["--feed", f"a={tcp()}"], ["--feed-sub", f"b={tcp()}"]
    refused(2, "feed.* a.*given", *feed, "--feed", f"a={tcp()}")
    refused(2, "feed.* a.*given", *feed, "--feed-sub", f"a={tcp()}")
    refused(2, "feed b: no feed", *feed, "--feed-ack", "b=sent")
    refused(2, "feed b: no feed", *feed, "--feed-start", "b=all")
    refused(2, "feed a: .*endpoint", *feed, "--ack", "explicit")
    refused(2, "feed b: .*SUB", *sub, "--ack", "explicit")
    refused(2, "feed b: .*SUB", *sub, "--feed-ack", f"b=explicit,{tcp()}")
    refused(2, "ack-in", "--ack", "explicit", "--ack-in", tcp())
    refused(2, "ack-in", "--out-type", "push", "--ack", "explicit")
    refused(2, "hold", "--out-type", "push", "--hold", "1")
    refused(2, "topic", "--in-type", "pull", "--topic", "a")
    refused(2, "max-deliveries", *feed, "--max-deliveries", "3")
    refused(2, "out-filter", *feed, "--out-filter", "a", out=False)
    refused(2, "hold", *feed, "--hold", "1", out=False)
    for option in "age", "bytes", "count":
        refused(2, "keep-unacked: off needs", "--keep-unacked", "off", f"--keep-{option}", "0")
    refused(2, "keep-unacked: off needs", "--keep-unacked", "off", name="queue")
    refused(2, "out is missing", out=False)
    refused(2, "out is missing", "--feed-ack", "a=sent", out=False)
    refused(2, "out is missing", name="queue", out=False)
    assert not os.path.exists("store"), "something was touched"


def test_feeds_are_sixty_and_no_more():
    feeds = [text for number in range(FEEDS_MAX) for text in ("--feed", f"f{number}=tcp://127.0.0.1:*")]
    accepted(*feeds, out=False)
    refused(2, f"feed: .*{FEEDS_MAX}", *feeds, "--feed", f"more={tcp()}")


#  ---- starts

def test_start_that_fails_names_the_feed_and_leaves_nothing():
    taken = tcp()
    other = connect(zmq.PULL, "@" + taken)
    first, second = tcp(), tcp()
    feeds = ["--feed", f"a={first}", "--feed", f"b={taken}", "--feed", f"c={second}"]
    refused(1, f"feed/b {taken}: .*in use", *feeds)
    refused(1, f"b.* {taken}: .*in use", "--feed", f"b={first}", "--feed-ack", f"b=explicit,{taken}")
    refused(1, "in use", "--feed", f"a={first}", "--feed-sub", f"b={first}")
    other.close(0)
    accepted(*feeds)


def test_endpoints_of_feeds_with_free_ports_are_told():
    line = command("--feed", "a=tcp://127.0.0.1:*,x", "--feed-sub", "b=@ipc://b", "--feed", f"c=>{tcp()}",
                   "--feed-ack", "a=explicit,tcp://127.0.0.1:*", "--verbose", out=False)
    device = Other(line)
    told = status()
    feeds = told["feed"]
    said = device.log()
    for text in f"feed a {feeds['a']['endpoint']}\n", f"ack-in of feed a {feeds['a']['ack_in']}\n":
        assert text in said and not text.endswith("*\n"), (text, said)
    assert re.search(r"feed b \S*ipc://b\n", said), said
    assert told["device"]["feeds"] == 3 and told["device"]["out"] == ""
    assert "out tcp" not in said
    producer(feeds["a"]["ack_in"])
    consumer(feeds["a"]["endpoint"])
    wait_until(lambda: status()["feed"]["a"]["peers"] == 1, "the device counts its peer")
    device.stop()


def test_defaults_are_those_of_the_command():
    for name, types in ("stream", ("sub", "pub")), ("queue", ("pull", "push")):
        device = Other(command(name=name))
        told = status()["device"]
        assert (told["in_type"], told["out_type"]) == types, told
        device.stop()


def test_names_of_feeds_may_be_odd():
    names = ["x" * 127, "a.b", "-", "Straße", "#", "a,b", "%s%n"]
    line = command(*(text for name in names for text in ("--feed", f"{name}=tcp://127.0.0.1:*")), "--feed-start",
                   "a,b=all")
    device = Other(line)
    assert set(status()["feed"]) == set(names)
    for name in names[1:]:
        assert feed_row(name)["type"] == "push"
    told = json.loads(subprocess.run([ZSPOOL_BIN, "info", "store", "--json"], check=True,
                                     capture_output=True).stdout)
    assert {cursor["name"] for cursor in told["spools"][0]["cursors"]} == {"out", *names}
    device.stop()


#  ---- what status says of feeds

def test_status_shows_each_feed_and_which_is_behind():
    push, sub = tcp(), tcp()
    line = command("--in-type", "pull", "--feed", f"orders={push}", "--feed-sub", f"mirror={sub}", "--feed",
                   f"other={tcp()},nothing", "--feed-ack", "orders=sent")
    device = Other(line)
    assert "nothing holds messages up" in late()
    send(producer(line[line.index("--in") + 1]), numbered(0, 1000))
    wait_until(lambda: status()["out"]["sent_to"] == 1000, "all is published")
    wait_until(lambda: status()["feed"]["other"]["sent_to"] == 1000, "the third has passed over all")
    assert re.search(r"feed (orders|mirror): no consumer is connected: 1000 messages", late()), late()
    assert "1 more of its outlets is behind" in late()
    source = consumer(push)
    assert receive(source, 1000) == numbered(0, 1000)
    wait_until(lambda: "feed mirror: no consumer is connected: 1000 messages" in late(), "only one is left")
    assert "more of its" not in late()
    row = feed_row("orders")
    assert row["policy"] == "sent" and row["sent"] == "1000" and row["behind"] == "0" and row["peers"] == "1"
    row = feed_row("mirror")
    assert row["type"] == "sub" and row["policy"] == "settled" and row["sent"] == "0"
    assert row["behind"] == "1000" and row["subscriptions"] == "0"
    reader = connect(zmq.SUB, sub, rcvhwm=0)
    reader.subscribe(b"")
    assert receive(reader, 1000) == numbered(0, 1000)
    wait_until(lambda: "nothing holds messages up" in late(), "all have all")
    assert feed_row("mirror")["subscriptions"] == "1"
    assert feed_row("other")["sent"] == "0" and feed_row("other")["behind"] == "0"
    device.stop()


def test_status_says_that_hold_waits():
    line = command("--in-type", "pull", "--hold", "2")
    device = Other(line)
    assert status()["out"]["holding"] == 1
    assert "nothing holds messages up" in late()
    send(producer(line[line.index("--in") + 1]), numbered(0, 10))
    wait_until(lambda: "0 subscriptions are there, and --hold waits for more: 10 messages" in late(), "it holds")
    readers = [connect(zmq.SUB, line[line.index("--out") + 1]) for _ in range(2)]
    readers[0].subscribe(b"")
    wait_until(lambda: "1 subscriptions are there, and --hold" in late(), "one is there")
    assert readers[0].poll(300) == 0
    readers[1].subscribe(b"")
    for reader in readers:
        assert receive(reader, 10) == numbered(0, 10)
    assert status()["out"]["holding"] == 0
    wait_until(lambda: "nothing holds messages up" in late(), "it holds no more")
    device.stop()


def test_top_adds_up_what_outlets_do():
    feeds = [tcp(), tcp()]
    line = command("--in-type", "pull", "--feed", f"a={feeds[0]}", "--feed", f"b={feeds[1]}", out=False)
    device = Other(line)
    sources = [consumer(feed) for feed in feeds]
    wait_until(lambda: all(feed["peers"] == 1 for feed in status()["feed"].values()), "both are there")
    send(producer(line[line.index("--in") + 1]), numbered(0, 50))
    for source in sources:
        receive(source, 50)
    wait_until(lambda: all(feed["in_flight"] == 50 for feed in status()["feed"].values()), "both count")
    rows = subprocess.run([ZSPOOL_BIN, "top", "store", "--count", "1"], check=True, capture_output=True,
                          text=True).stdout.splitlines()
    values = dict(zip(re.split(r"  +", rows[0]), rows[1].split()))
    assert values["in flight"] == "100" and values["unsent"] == "0" and values["peers"] == "2", values
    device.stop()


run_tests(globals())
