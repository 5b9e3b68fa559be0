#!/usr/bin/python3
#  test_bench.py - zspool bench measures what it says, tells it in both forms, and leaves nothing behind
#
#  SPDX-License-Identifier: MPL-2.0

from device import *

#  Short: what comes out is not held against any speed.
SHORT = ("--seconds", "0.02")


def bench(*arguments, status=0, **how):
    done = subprocess.run([ZSPOOL_BIN, "bench", *arguments], capture_output=True, text=True,
                          timeout=4 * WAIT_S, check=False, **how)
    assert done.returncode == status, f"{arguments}: status {done.returncode}, {done.stderr!r}"
    return done.stdout if status == 0 else done.stderr


def check_times(times):
    assert 0 < times["p50_us"] <= times["p99_us"] and times["count"] >= 3, times


def check_strategy(told, result):
    is_async = told["durability"] == "async"
    assert ("t2" in told) == ("t2_block" in told) == (not is_async)
    t_us = result["t1"]["p50_us"]
    if not is_async:
        check_times(told["t2"])
        check_times(told["t2_block"])
        t_us += told["t2"]["p50_us"]
        block_us = result["t1_block"]["p50_us"] + told["t2_block"]["p50_us"]
        rate = result["block_messages"] * 1e6 / block_us
        assert abs(told["predicted_rate"] - rate) < 0.01 * rate + 1
    assert abs(told["predicted_us"] - t_us) < 0.01
    check_times(told["latency"])
    assert told["rate"] > 0 and told["predicted_rate"] > 0
    assert told["device"]["commit_messages_p50"] >= 1


def test_json_holds_parts_predictions_and_measurements():
    told = json.loads(bench("--json", "--sizes", "8,2K", *SHORT))
    assert [result["size"] for result in told["results"]] == [8, 2048]
    assert told["processors"] >= 1 and told["seconds"] == 0.02
    for result in told["results"]:
        check_times(result["t1"])
        check_times(result["t1_block"])
        assert result["block_messages"] >= 1
        names = [strategy["durability"] for strategy in result["strategies"]]
        assert names == ["sync", "async", "transaction"]
        for strategy in result["strategies"]:
            check_strategy(strategy, result)
    assert told["advice"] and all(isinstance(line, str) for line in told["advice"])
    assert os.listdir(".") == []


def test_table_has_a_row_for_each_strategy_and_advice():
    os.mkdir("place")
    lines = bench("--store", "place", "--sizes", "100", *SHORT).splitlines()
    for name in "sync", "async", "transaction":
        assert len([line for line in lines if line.startswith(name + " ")]) == 1, lines
    assert any(line.startswith("100 bytes: t1 ") for line in lines)
    assert any(line.startswith("- ") for line in lines)
    assert os.listdir("place") == []


def test_large_messages_are_measured():
    told = json.loads(bench("--json", "--sizes", "4M", *SHORT))
    assert told["results"][0]["block_messages"] == 1


def test_store_in_use_is_not_touched():
    device = Device()
    send(producer(device.endpoint_in), numbered(0, 100))
    device.wait_stored(100)
    before = sorted(os.listdir("store"))
    bench("--store", "store", "--sizes", "100", *SHORT)
    assert sorted(os.listdir("store")) == before
    assert device.info()["last_sequence"] == 100


def test_interrupted_bench_leaves_nothing_behind():
    for seconds in "0.01", "60":
        os.mkdir(seconds)
        process = spawn(ZSPOOL_BIN, "bench", "--store", seconds, "--seconds", seconds, "--sizes", "100,1K",
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: any(os.scandir(entry) for entry in os.scandir(seconds)) or
                   process.poll() is not None, "it has begun")  #  pylint: disable=cell-var-from-loop
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=WAIT_S)[1]
        assert process.returncode == 1 and b"interrupted" in said, said
        assert os.listdir(seconds) == []


def test_memory_is_warned_of():
    if not os.path.isdir("/dev/shm") or not os.access("/dev/shm", os.W_OK):
        raise Skip("there is no /dev/shm")
    place = os.path.join("/dev/shm", f"zspool-test-{os.getpid()}")
    os.mkdir(place)
    try:
        done = subprocess.run([ZSPOOL_BIN, "bench", "--store", place, "--sizes", "100", "--json", *SHORT],
                              capture_output=True, text=True, timeout=4 * WAIT_S, check=True)
        assert "in memory" in done.stderr and json.loads(done.stdout)["in_memory"] is True
        assert os.listdir(place) == []
    finally:
        shutil.rmtree(place)


def test_bad_usage_is_told_in_one_line():
    for arguments in (["--sizes", "7"], ["--sizes", ""], ["--sizes", ","], ["--sizes", "100,x"],
                      ["--sizes", "17M"], ["--sizes", "8,8,8,8,8,8,8,8,8"], ["--seconds", "0"],
                      ["--seconds", "nan"], ["--seconds", "1s"], ["--seconds", ""], ["more"],
                      ["--store", ""], ["--nonsense"]):
        said = bench(*arguments, status=2)
        assert said.startswith("zspool bench: ") and said.count("\n") == 1, said
    said = bench("--store", "missing", status=1)
    assert said == "zspool bench: cannot make a directory in missing: No such file or directory\n"


run_tests(globals())
