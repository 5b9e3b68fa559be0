#!/usr/bin/python3
#  test_run.py - bench/run.py with the smallest sizes measures, judges, and leaves nothing behind
#
#  SPDX-License-Identifier: MPL-2.0
#
#  No figure is judged here: how fast anything is depends on what else the machine does.

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

RUN = [sys.executable, os.path.join(os.environ["ZSPOOL_SRCDIR"], "bench", "run.py"),
       "--zspool", os.environ["ZSPOOL_BIN"],
       "--programs", os.path.join(os.environ["ZSPOOL_BUILDDIR"], "bench")]
TINY = ["--rounds", "1", "--scale", "0.002", "--warmup", "0.1", "--seconds", "0.1",
        "--sizes", "100"]
WAIT_S = 100


def run(*arguments):
    return subprocess.run([*RUN, *arguments], capture_output=True, text=True, timeout=WAIT_S)


def stores(directory):
    return sorted(path.name for path in directory.glob("zspool-bench-*"))


def skip_in_memory(directory):
    done = run(*TINY, "--dir", str(directory), "--budget-minutes", "0.0001")
    if "is in memory" in done.stderr:
        print(done.stderr)
        sys.exit(77)


def check_measures(directory):
    report = directory / "report.json"
    done = run(*TINY, "--dir", str(directory), "--json", str(report),
               "--cases", "sync,explicit,latency,backlog,fragmented,restart,publish,feeds,filters,"
               "matching,replay,sparse,zsp,confirm,transactions,dedupe")
    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads(report.read_text())
    measured = {tuple(each["case"]) for each in data["runs"]}
    for case in [("stream", "zmq_proxy", 100), ("stream", "sync", 100), ("stream", "explicit", 100),
                 ("publish", "zmq_proxy", 100, 1), ("publish", "sync", 100, 5), ("feeds", 10),
                 ("filters", 1000), ("matching",), ("replay",), ("sparse", True, 1024),
                 ("sparse", False, 1024), ("latency", "sync"), ("backlog",), ("fragmented", 16384),
                 ("restart",), ("disk",), ("zsp", "sync", 100), ("zsp", "transaction", 100),
                 ("confirm",), ("transactions", 10_000), ("put", "named"), ("resend",)]:
        assert case in measured, f"{case} was not measured"
    verdicts = {each["what"]: each["verdict"] for each in data["budgets"]}
    assert verdicts["sync, 100 B, of zmq_proxy"] in ("ok", "MISSED"), verdicts
    assert verdicts["ZSP with acknowledgements, 100 B, of zmq_proxy"] in ("ok", "MISSED"), verdicts
    assert verdicts["async, 100 B, of zmq_proxy"] == "not measured: not asked for", verdicts
    assert verdicts["PUB/SUB, sync, 100 B, 1 subscriber, full speed, of zmq_proxy"] in (
        "ok", "MISSED"), verdicts
    assert data["machine"]["lmdb"] != "unknown", data["machine"]
    assert "Budgets" in done.stdout and "Other work took" in done.stdout, done.stdout
    assert not stores(directory), stores(directory)


def check_failure_is_told(directory):
    done = run(*TINY, "--dir", str(directory), "--cases", "sync", "--extra=--no-such-option")
    assert done.returncode == 1, done.returncode
    assert "FAILED stream sync 100" in done.stdout, done.stdout
    assert not stores(directory), stores(directory)


#  A run that is killed cannot clean up; the next one does so for it.
def check_cleans_up(directory):
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen([*RUN, "--dir", str(directory), "--cases", "peers"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline_s = time.monotonic() + WAIT_S
        while not stores(directory):
            assert process.poll() is None and time.monotonic() < deadline_s, "no store was made"
            time.sleep(0.01)
        process.send_signal(number)
        process.wait(WAIT_S)
        if number == signal.SIGTERM:
            assert not stores(directory), stores(directory)
    done = run(*TINY, "--dir", str(directory), "--cases", "latency", "--budget-minutes", "0.0001")
    assert done.returncode == 0 and "SKIPPED" in done.stdout, done.stdout + done.stderr
    assert not stores(directory), stores(directory)


def check_bad_usage(directory):
    for arguments, status in ((["--cases", "nothing"], 2), (["--sizes", "1,a"], 2),
                              (["--dir", str(directory / "absent")], 1)):
        done = run(*arguments)
        assert done.returncode == status and done.stderr, (arguments, done)


with tempfile.TemporaryDirectory(prefix="zspool-bench-test-", dir=".") as name:
    skip_in_memory(pathlib.Path(name))
    for check in (check_measures, check_failure_is_told, check_cleans_up, check_bad_usage):
        started_s = time.monotonic()
        check(pathlib.Path(name))
        print(f"{check.__name__}: {time.monotonic() - started_s:.1f} s")
