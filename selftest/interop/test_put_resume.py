#!/usr/bin/python3
#  test_put_resume.py - a text that `zspool put` puts is stored once, whoever is killed meanwhile
#
#  SPDX-License-Identifier: MPL-2.0

import glob
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from command import *
from service import *

DEATHS = 12 * LONG


def text():
    """Lines of our own documents and sources: empty ones, and many that are there several times."""
    lines = []
    for name in sorted(glob.glob(os.path.join(SOURCE, "[dt]o*", "*.*"))):  #  doc, tools
        with open(name, "rb") as source:
            lines += source.read().splitlines()
    assert len(lines) > 5000
    return lines


class Putting:
    """A `zspool put` that is given lines bit by bit."""

    count = 0

    def __init__(self, *arguments):
        Putting.count += 1
        self.name = f"putting{Putting.count}.log"
        with open(self.name, "wb") as log:
            self.process = spawn(ZSPOOL_BIN, "put", *arguments, stdin=subprocess.PIPE, stderr=log)
        self.thread = None

    def give(self, lines, end=False):
        """Give lines, as fast as they are taken; it goes on meanwhile."""
        self.join()
        data = b"".join(line + b"\n" for line in lines)
        self.thread = threading.Thread(target=self._give, args=(data, end))
        self.thread.start()

    def _give(self, data, end):
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
            if end:
                self.process.stdin.close()
        except (BrokenPipeError, ValueError):
            pass

    def join(self):
        if self.thread:
            self.thread.join(WAIT_S)
            assert not self.thread.is_alive()
            self.thread = None

    def errors(self):
        with open(self.name, encoding="utf-8") as log:
            return log.read()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.join()

    def wait(self, status=0):
        code = self.process.wait(WAIT_S)
        self.join()
        assert code == status, (code, self.errors())


def read_all(device, spool, count):
    getting = Command("get", device.service, spool, "reader", "--count", str(count),
                      "--output", spool + ".got")
    getting.wait()
    with open(spool + ".got", "rb") as got:
        return got.read().split(b"\n")[:-1]


def test_a_text_is_put_once_whoever_is_killed_meanwhile():
    """What is put again is put from the beginning of the text, each time."""
    whims = random.Random(7)
    device = ServiceDevice()
    lines = text()
    options = device.service, "text", "--name", "author", "--resume"
    putting = Putting(*options)
    for death in range(DEATHS):
        safe = len(lines) * (death + 1) // (DEATHS + 1)
        putting.give(lines[:safe])
        some = safe - len(lines) // (2 * DEATHS)
        wait_until(lambda: stored(device, "text") >= some, "some are stored")
        time.sleep(whims.random() * 0.01)
        if death % 3 != 1:
            putting.kill()
        if death % 3 != 0:
            device.kill()
            device.start()
        if death % 3 == 1:  #  it has outlived the device, and goes on by itself
            wait_until(lambda: stored(device, "text") >= safe, "it goes on")
            putting.kill()
        putting = Putting(*options)
    putting.give(lines, end=True)
    putting.wait()
    assert stored(device, "text") == len(lines)
    assert read_all(device, "text", len(lines)) == lines
    #  Once more, and nothing of it is put.
    again = Command("put", *options, "--verbose", lines=lines)
    again.wait()
    assert again.errors() == f"zspool put: 0 messages put, {len(lines)} left out\n"
    assert stored(device, "text") == len(lines)


def test_transactions_of_a_killed_put_are_there_whole_or_not_at_all():
    whims = random.Random(11)
    device = ServiceDevice()
    lines = text()
    for death in range(DEATHS):
        spool = f"text{death}"
        putting = Putting(device.service, spool, "--transaction", "100")
        putting.give(lines, end=True)
        wait_until(lambda: stored(device, spool) > 0, "some are stored")
        time.sleep(whims.random() * 0.02)
        if death % 2:
            putting.kill()
        device.kill()
        device.start()
        putting.kill()
        count = stored(device, spool)
        assert count == len(lines) or count % 100 == 0, count
        assert read_all(device, spool, count) == lines[:count]


def test_a_named_put_with_transactions_outlives_the_device():
    device = ServiceDevice()
    lines = text()
    putting = Putting(device.service, "text", "--transaction", "50", "--name", "author")
    putting.give(lines, end=True)
    for part in range(1, 6):
        wait_until(lambda: stored(device, "text") >= len(lines) * part // 7, "some are stored")
        device.kill()
        device.start()
    putting.wait()
    assert read_all(device, "text", len(lines)) == lines
    assert stored(device, "text") == len(lines)


def test_of_two_puts_of_one_name_the_newer_goes_on():
    device = ServiceDevice()
    older = Putting(device.service, "text", "--name", "author")
    older.give([b"1", b"2"])
    wait_until(lambda: stored(device, "text") == 2, "both are stored")
    newer = Putting(device.service, "text", "--name", "author", "--resume")
    newer.give([b"1", b"2", b"3"], end=True)
    newer.wait()
    older.give([b"4"], end=True)
    older.wait(1)
    assert "newer" in older.errors() or "fenced" in older.errors(), older.errors()
    assert read_all(device, "text", 3) == [b"1", b"2", b"3"]
    assert stored(device, "text") == 3


def test_a_put_that_gives_up_says_from_which_line_on():
    device = ServiceDevice("--max-bytes", "2M")
    for _ in range(2):  #  of the producer there are numbers before, the second time
        impatient = Command("put", device.service, "text", "--name", "author", "--timeout", "500",
                            lines=[b"x" * 1000] * 5000)
        before = stored(device, "text")
        impatient.wait(1)
        from_line = int(re.search(r"messages from number (\d+) on", impatient.errors()).group(1))
        assert from_line == stored(device, "text") - before + 1, impatient.errors()


def test_a_get_that_is_killed_again_and_again_loses_nothing():
    whims = random.Random(13)
    device = ServiceDevice("--keep-count", "unlimited")
    #  Each line is told from others.
    lines = [b"%d " % number + line for number, line in enumerate(text())]
    put = Command("put", device.service, "text", lines=lines)
    put.wait()

    def printed():
        with open("got", "rb") as got:
            return got.read().split(b"\n")
    for death in range(DEATHS):
        getting = Command("get", device.service, "text", "c", "--output", "got", "--prefetch", "500")
        some = len(lines) * (death + 1) // (2 * DEATHS)
        wait_until(lambda: os.path.exists("got") and len(set(printed())) > some, "some are printed")
        time.sleep(whims.random() * 0.01)
        getting.kill()
        if death % 2:
            device.kill()
            device.start()
    getting = Command("get", device.service, "text", "c", "--output", "got")
    wait_until(lambda: device.spool("text")["floor"] == len(lines), "all are acknowledged")
    getting.kill(signal.SIGTERM)
    getting.wait()
    whole = set(lines)
    assert whole <= set(printed()), f"{len(whole - set(printed()))} are missing"
    #  What else is there is the beginning of a line that a kill cut off.
    for cut in set(printed()) - whole:
        assert cut == b"" or any(line.startswith(cut) for line in lines), cut


if __name__ == "__main__":
    run_tests(globals())
