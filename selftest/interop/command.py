#  command.py - a `zspool` command with sockets as a process: its input, what it prints, how it ends
#
#  SPDX-License-Identifier: MPL-2.0

from device import *


class Command:
    """A `zspool` command that runs. Its standard streams are files, named after it."""

    count = 0

    def __init__(self, *arguments, lines=()):
        Command.count += 1
        self.name = f"{arguments[0]}{Command.count}"
        with open(self.name + ".in", "wb") as given:
            given.write(b"".join(line + b"\n" for line in lines))
        with open(self.name + ".in", "rb") as given, open(self.name + ".out", "wb") as output, \
                open(self.name + ".log", "wb") as log:
            self.process = spawn(ZSPOOL_BIN, *arguments, stdin=given, stdout=output, stderr=log)

    def output(self):
        with open(self.name + ".out", "rb") as output:
            return output.read()

    def errors(self):
        with open(self.name + ".log", encoding="utf-8") as log:
            return log.read()

    def wait_error(self, text, times=1):
        wait_until(lambda: self.errors().count(text) >= times, f"'{text}' {times} times")

    def is_running(self):
        return self.process.poll() is None

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)

    def wait(self, status=0):
        """Wait for its end, with this exit status, and give what it printed."""
        code = self.process.wait(WAIT_S)
        assert code == status, (self.name, code, self.errors())
        return self.output()

    def used_s(self):
        """Time on a processor so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            ticks = sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def stays_idle(self, for_s=2):
        """A process that polls all the time uses all of it."""
        before_s, started_s = self.used_s(), time.monotonic()
        stays_so(self.is_running, "it runs", for_s)
        used_s = self.used_s() - before_s
        assert used_s < (time.monotonic() - started_s) / 4, used_s


def refused(status, reason, *arguments):
    """Run a command that must end at once, with this exit status and a line with the reason."""
    done = subprocess.run([ZSPOOL_BIN, *arguments], capture_output=True, text=True, timeout=WAIT_S,
                          check=False, stdin=subprocess.DEVNULL)
    said = f"{arguments}: status {done.returncode}, {done.stderr!r}"
    assert done.returncode == status and done.stdout == "", said
    assert done.stderr.startswith(f"zspool {arguments[0]}: "), said
    assert done.stderr.count("\n") == 1 and re.search(reason, done.stderr), said


def subscriber(endpoint, *topics, **options):
    source = connect(zmq.SUB, endpoint, **options)
    for topic in topics or [b""]:
        source.subscribe(topic)
    return source
