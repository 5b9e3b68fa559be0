#  device.py - what tests of `zspool queue` share: a device as a process, plain peers, deadlines
#
#  SPDX-License-Identifier: MPL-2.0
#
#  A test script defines functions test_<condition>_<outcome> () and ends with run_tests
#  (globals ()); its arguments select those with such a text in their names. Each function runs in
#  an empty directory of its own. Whatever it started is killed when it ends.

import json
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback

try:
    import zmq
except ImportError:
    print("python3-zmq is not installed")
    sys.exit(77)

WAIT_S = 30         #  longest wait for anything that must happen
LOOK_S = 0.005      #  between two looks at what gives no event
LONG = int(os.environ.get("ZSPOOL_LONG", "1"))  #  by hand: makes tests so many times longer

ZSPOOL_BIN = os.environ["ZSPOOL_BIN"]
QUEUE_OPTIONS = os.environ.get("ZSPOOL_QUEUE_OPTIONS", "").split()

_processes = []     #  started by the test that runs
_sockets = []       #  likewise
_ports = set()      #  that were given out


class Skip(Exception):
    """This test cannot run here; the text says why."""


#  ---- waiting

def wait_until(condition, what, limit_s=WAIT_S):
    """Wait until condition () is true, and give what it returned."""
    deadline_s = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline_s, f"waited {limit_s} s in vain: {what}"
        time.sleep(LOOK_S)


def stays_so(condition, what, for_s):
    """Check that condition () holds now and for so long."""
    deadline_s = time.monotonic() + for_s
    while time.monotonic() < deadline_s:
        assert condition(), f"did not stay so for {for_s} s: {what}"
        time.sleep(LOOK_S)


#  ---- endpoints

def free_port():
    """A TCP port that nobody listens on, below those of outgoing connections; never the same twice."""
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        if port in _ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                _ports.add(port)
                return port
            except OSError:
                pass


def tcp():
    return f"tcp://127.0.0.1:{free_port()}"


def port_of(endpoint):
    return int(endpoint.rsplit(":", 1)[1])


#  ---- devices

def spawn(*command, stdin=subprocess.DEVNULL, **how):
    """Start a process that is killed when the test ends."""
    process = subprocess.Popen(command, stdin=stdin, **how)
    _processes.append(process)
    return process


def info(store="store", spool="main"):
    """What `zspool info` says of a spool, with the numbers of its cursor among them."""
    text = subprocess.run([ZSPOOL_BIN, "info", store, "--json"], check=True,
                          capture_output=True).stdout
    for found in json.loads(text)["spools"]:
        if found["name"] == spool:
            return {**found, **found["cursors"][0]} if found["cursors"] else found
    raise AssertionError(f"{store} has no spool {spool}")


class Device:
    """A `zspool queue` process; it can be stopped, killed and started again as it was."""

    def __init__(self, *options, store="store", endpoint_in=None, endpoint_out=None, ack_in=None,
                 environment=None, start=True):
        self.store = store
        self.log_file = os.path.basename(store) + ".log"
        self.endpoint_in = endpoint_in or tcp()
        self.endpoint_out = endpoint_out or tcp()
        self.ack_in = ack_in
        self.options = list(options)
        self.environment = environment or {}
        if "explicit" in options:
            self.ack_in = ack_in or tcp()
        self.process = None
        if start:
            self.start()

    def command(self):
        ack_in = ["--ack-in", self.ack_in] if self.ack_in else []
        return [ZSPOOL_BIN, "queue", "--store", self.store, "--in", self.endpoint_in,
                "--out", self.endpoint_out, *ack_in, *self.options, *QUEUE_OPTIONS]

    def start(self):
        """Start it and wait until it is ready."""
        with open(self.log_file, "ab") as log:
            self.process = spawn(*self.command(), stdout=subprocess.PIPE, stderr=log,
                                 env={**os.environ, **self.environment})
        ready, _, _ = select.select([self.process.stdout], [], [], WAIT_S)
        line = self.process.stdout.readline() if ready else b"nothing"
        assert line == b"ready\n", f"the device said {line}, {self.log()}"

    def log(self):
        """All that it wrote to its standard error so far."""
        with open(self.log_file, encoding="utf-8", errors="replace") as log:
            return log.read()

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, limit_s=WAIT_S):
        """Wait for its end and give its exit status."""
        status = self.process.wait(limit_s)
        self.process.stdout.close()
        return status

    def stop(self):
        """End it in good order."""
        self.signal(signal.SIGTERM)
        status = self.wait()
        assert status == 0, f"exit status {status} after SIGTERM, {self.log()}"

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait()

    def restart(self, kill=False):
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()

    def is_running(self):
        return self.process.poll() is None

    def info(self):
        return info(self.store)

    def anonymous_bytes(self):
        """Anonymous memory that it uses; 0 with a sanitizer, which has memory of its own."""
        process = f"/proc/{self.process.pid}/"
        with open(process + "maps", encoding="utf-8") as maps:
            if re.search("lib[at]san", maps.read()):
                return 0
        with open(process + "status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024
                        for line in status if line.startswith("RssAnon"))

    def wait_stored(self, messages):
        """Wait until so many messages in all are durable."""
        wait_until(lambda: self.info()["last_sequence"] >= messages,
                   f"{messages} messages are stored")

    def wait_empty(self, limit_s=WAIT_S):
        """Wait until everything is acknowledged and trimmed."""
        wait_until(lambda: self.info()["pending"] == 0 and self.info()["messages"] == 0,
                   "all is acknowledged and trimmed", limit_s)


#  ---- peers

def connect(kind, endpoint, **options):
    """A connected socket whose calls fail after WAIT_S; options are those of ZeroMQ, set before."""
    created = zmq.Context.instance().socket(kind)
    _sockets.append(created)
    created.linger = 0
    created.rcvtimeo = created.sndtimeo = WAIT_S * 1000
    for name, value in options.items():
        setattr(created, name, value)
    if endpoint.startswith("@"):
        created.bind(endpoint[1:])
    else:
        created.connect(endpoint)
    return created


def producer(endpoint, **options):
    return connect(zmq.PUSH, endpoint, **options)


def consumer(endpoint, **options):
    return connect(zmq.PULL, endpoint, **options)


def receive(source, count):
    return [source.recv_multipart() for _ in range(count)]


def receive_from(sources, count):
    """So many messages from several sockets, by socket."""
    poller = zmq.Poller()
    for source in sources:
        poller.register(source, zmq.POLLIN)
    received = {source: [] for source in sources}
    while sum(map(len, received.values())) < count:
        ready = poller.poll(WAIT_S * 1000)
        counts = [len(messages) for messages in received.values()]
        assert ready, f"{count} messages do not come: {counts}"
        for source, _ in ready:
            received[source].append(source.recv_multipart())
    return received


def receive_for(source, for_s):
    """Everything that comes within so long."""
    received = []
    deadline_s = time.monotonic() + for_s
    while (left_s := deadline_s - time.monotonic()) > 0:
        if source.poll(left_s * 1000):
            received.append(source.recv_multipart())
    return received


class Peer:
    """A consumer in a process of its own: see peer.py."""

    def __init__(self, endpoint, name="peer", **options):
        self.output = name + ".out"
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peer.py")
        with open(self.output, "wb") as output:
            settings = [f"{option}={value}" for option, value in options.items()]
            self.process = spawn(sys.executable, script, endpoint, *settings, stdout=output)
        wait_until(lambda: os.path.getsize(self.output), "the peer runs")

    def received(self):
        """The numbers that it has received so far."""
        with open(self.output, "rb") as output:
            return [int(line) for line in output.read().split(b"\n")[1:-1]]

    def wait_received(self, count, limit_s=WAIT_S):
        wait_until(lambda: len(self.received()) >= count, f"{count} messages are received", limit_s)

    def kill(self):
        self.process.kill()
        self.process.wait()


def numbered(first, end):
    """Messages with the numbers from first up to, not including, end."""
    return [[b"%d" % number] for number in range(first, end)]


def send(target, messages):
    for message in messages:
        target.send_multipart(message)


def fill(*groups, options=()):
    """A store at rest that holds these groups of messages, stored one after the other."""
    device = Device(*options)
    target = producer(device.endpoint_in)
    stored = 0
    for messages in groups:
        send(target, messages)
        stored += len(messages)
        device.wait_stored(stored)
    device.stop()


#  ---- running tests

def clean_up():
    """Close and kill all that a test has started."""
    for opened in _sockets:
        opened.close(0)
    _sockets.clear()
    for process in _processes:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout and not process.stdout.closed:
            process.stdout.close()
    _processes.clear()


def _run_test(name, function, top):
    directory = os.path.join(top, name)
    os.mkdir(directory)
    os.chdir(directory)
    started_s = time.monotonic()
    try:
        function()
        verdict = "ok"
    except Skip as reason:
        verdict = f"skipped: {reason}"
    except Exception:  #  pylint: disable=broad-except
        traceback.print_exc(file=sys.stdout)
        for entry in sorted(os.listdir(".")):
            if entry.endswith(".log") and os.path.getsize(entry):
                with open(entry, encoding="utf-8", errors="replace") as log:
                    print(f"{entry}:\n{log.read()[-4000:]}", end="")
        verdict = "FAILED"
    finally:
        clean_up()
        os.chdir(top)
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{time.monotonic() - started_s:7.3f} s  {name}  {verdict}", flush=True)
    return verdict


def run_tests(names):
    """Run every function test_* of a script, or those whose names hold an argument, and exit."""
    top = os.getcwd()
    wanted = sys.argv[1:] or [""]
    verdicts = []
    try:
        for name, function in list(names.items()):
            if name.startswith("test_") and any(part in name for part in wanted):
                verdicts.append(_run_test(name, function, top))
    finally:
        clean_up()
    if "FAILED" in verdicts or not verdicts:
        sys.exit(1)
    skipped = [verdict for verdict in verdicts if verdict != "ok"]
    if len(skipped) == len(verdicts):
        print(skipped[0].removeprefix("skipped: "))
        sys.exit(77)
    sys.exit(0)
