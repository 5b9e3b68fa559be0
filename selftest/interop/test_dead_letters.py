#!/usr/bin/python3
#  test_dead_letters.py - a message that nobody acknowledges moves to NAME.dead, and can be put back or dropped
#
#  SPDX-License-Identifier: MPL-2.0

from datetime import datetime, timezone

from device import *

TIMEOUT_MS = 100
OPTIONS = ["--ack", "explicit", "--ack-timeout", str(TIMEOUT_MS)]
DELIVERIES_MAX = 32767


def dead(action, *arguments, store="store", status=0):
    """Run `zspool dead`; give its output, or, when it is to fail, its line of error."""
    done = subprocess.run([ZSPOOL_BIN, "dead", action, store, *arguments], capture_output=True,
                          text=True, timeout=WAIT_S * 2, check=False)
    assert done.returncode == status, f"exit status {done.returncode}: {done.stdout}{done.stderr}"
    if status:
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("zspool dead: "), done.stderr
        return done.stderr
    assert done.stderr == "", done.stderr
    return done.stdout


def letters(*arguments, action="show"):
    """All dead letters, or those chosen, as objects."""
    chosen = arguments or (["--all"] if action == "show" else [])
    return [json.loads(line) for line in dead(action, *chosen, "--json").splitlines()]


def device_that_buries(deliveries=2, *options):
    device = Device(*OPTIONS, "--max-deliveries", str(deliveries), *options)
    return device, producer(device.endpoint_in), consumer(device.endpoint_out), producer(device.ack_in)


def wait_dead(count):
    """Wait until so many have died, ever."""
    wait_until(lambda: info("store", "main.dead")["last_sequence"] >= count, f"{count} messages die")


def die(device, target, source, messages, deliveries=2):
    """Send messages, take every delivery, acknowledge none, until all are dead."""
    before = info("store", "main.dead")["last_sequence"]
    send(target, messages)
    receive(source, len(messages) * deliveries)
    wait_dead(before + len(messages))
    assert device.info()["pending"] == 0


def time_of(text):
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()


def status_of(device):
    text = subprocess.run([ZSPOOL_BIN, "status", device.store, "--json"], check=True,
                          capture_output=True).stdout
    return json.loads(text)


#  ---- dying

def test_poison_dies_after_its_deliveries_with_its_history_and_the_others_do_not():
    device, target, source, acks = device_that_buries(3)
    began = time.time()
    poison = [b"poison", b"", b"\x00\xff\n", b"x" * 5000]
    send(target, [[b"0"], [b"1"], poison, [b"3"]])
    attempts = []
    while len(attempts) < 3:
        ticket, *frames = source.recv_multipart()
        if frames == poison:
            attempts.append(int.from_bytes(ticket[2:4], "little"))
        else:
            acks.send(ticket)
    assert attempts == [1, 2, 3]
    wait_dead(1)
    ended = time.time()
    device.wait_empty()
    assert receive_for(source, TIMEOUT_MS * 4 / 1000) == []
    letter, = letters()
    assert letter["spool"] == "main" and letter["sequence"] == 1 and letter["deaths"] == 1
    assert letter["bytes"] == sum(map(len, poison))
    death, = letter["history"]
    assert death["sequence"] == 3 and death["deliveries"] == 3 and death["why"] == "max-deliveries"
    times = [time_of(death[key]) for key in ("stored", "delivered", "died")]
    #  The wall clock is read apart from the monotonic one: a few milliseconds' grace.
    assert began - 0.05 <= times[0] <= times[1] <= times[2] <= ended + 0.05, (began, times, ended)
    assert times[2] - times[1] >= TIMEOUT_MS / 1000 - 0.01, times
    assert times[1] - times[0] >= 2 * TIMEOUT_MS / 1000 - 0.01, times
    raw = subprocess.run([ZSPOOL_BIN, "dead", "show", "store", "1", "--raw"], check=True,
                         capture_output=True).stdout
    assert raw == b"".join(poison)
    assert status_of(device)["out"]["buried"] == 1


def test_many_that_die_at_once_die_in_few_commits_and_in_full():
    device, target, source, _ = device_that_buries(1)
    die(device, target, source, [[b"%d" % number, b"x" * (number % 700)] for number in range(5000)], 1)
    found = letters()
    assert [letter["frames"][0] for letter in found] == [str(number) for number in range(5000)]
    assert [letter["history"][0]["sequence"] for letter in found] == list(range(1, 5001))
    assert info("store", "main.dead")["blocks"] <= 50
    device.stop()


def test_large_letters_die_and_come_back_unchanged():
    device, target, source, acks = device_that_buries(1)
    messages = [[random.Random(number).randbytes(3 << 20), b"%d" % number] for number in range(4)]
    messages.append([b""] * 60000)
    die(device, target, source, messages, 1)
    #  They may die again before the last of them is back: that is not put back once more.
    requeued = dead("requeue", "--all")
    assert requeued == "requeued: 5\n", requeued
    missing = list(range(len(messages)))
    while missing:
        ticket, *frames = source.recv_multipart()
        assert frames in messages
        if messages.index(frames) in missing:
            missing.remove(messages.index(frames))
        acks.send(ticket)
    wait_until(lambda: device.info()["pending"] == 0, "all are acknowledged, or dead again")


def test_a_ticket_in_the_last_moment_keeps_a_message_alive():
    device, target, source, acks = device_that_buries(2)
    for _ in range(10):
        target.send(b"late")
        source.recv_multipart()
        acks.send(source.recv_multipart()[0])
        device.wait_empty()
    assert info("store", "main.dead")["last_sequence"] == 0


def test_without_the_option_nothing_dies():
    device = Device(*OPTIONS)
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    target.send(b"again and again")
    attempts = [int.from_bytes(source.recv_multipart()[0][2:4], "little") for _ in range(8)]
    assert attempts == list(range(1, 9))
    assert "no dead letters of main" in dead("list", status=1)


def test_deliveries_before_a_kill_count():
    device, target, source, _ = device_that_buries(4, "--ack-timeout", "1000")
    send(target, numbered(0, 50))
    receive(source, 50)
    receive(source, 50)
    time.sleep(0.5)         #  until the store knows: changes are stored every 100 ms
    device.restart(kill=True)
    counts = [int.from_bytes(ticket[2:4], "little") for ticket, _ in receive(source, 100)]
    assert sorted(counts) == [3] * 50 + [4] * 50
    wait_dead(50)
    assert {letter["history"][0]["deliveries"] for letter in letters()} == {4}


def test_what_was_delivered_too_often_before_the_option_dies_at_its_start():
    device = Device(*OPTIONS)
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    send(target, numbered(0, 20))
    receive(source, 100)
    device.stop()
    device.options += ["--max-deliveries", "2"]
    device.start()
    wait_dead(20)
    found = letters()
    assert sorted(letter["history"][0]["sequence"] for letter in found) == list(range(1, 21))
    #  Nobody knows when a message was last delivered in an earlier run.
    assert {letter["history"][0]["delivered"] for letter in found} == {"-"}
    assert min(letter["history"][0]["deliveries"] for letter in found) >= 4


#  ---- putting back and dropping

def test_requeue_on_a_running_device_and_at_rest_keeps_the_history():
    device, target, source, _ = device_that_buries(2)
    die(device, target, source, numbered(0, 3))
    assert dead("requeue", "2") == "requeued: 1\n"
    assert [frames for _, *frames in receive(source, 2)] == [[b"1"]] * 2
    wait_dead(4)
    device.stop()
    assert [letter["sequence"] for letter in letters(action="list")] == [1, 3, 4]
    assert dead("requeue", "4") == "requeued: 1\n"
    assert info()["pending"] == 1
    device.start()
    assert [frames for _, *frames in receive(source, 2)] == [[b"1"]] * 2
    wait_dead(5)
    letter, = letters("5")
    assert letter["frames"] == ["1"] and letter["deaths"] == 3
    assert [death["sequence"] for death in letter["history"]] == [2, 4, 5]
    died = [time_of(death["died"]) for death in letter["history"]]
    assert died == sorted(died)
    #  A consumer sees nothing of all that.
    dead("requeue", "5")
    assert source.recv_multipart()[1:] == [b"1"]


def test_sixteen_deaths_are_kept_and_all_are_counted():
    device, target, source, _ = device_that_buries(1, "--ack-timeout", "10")
    target.send(b"often")
    for death in range(1, 21):
        source.recv_multipart()
        wait_dead(death)
        if death < 20:
            assert dead("requeue", str(death)) == "requeued: 1\n"
    letter, = letters()
    assert letter["deaths"] == 20
    assert [death["sequence"] for death in letter["history"]] == list(range(5, 21))
    assert "died 20 times, of which the last 16 are known" in dead("show", "20")


def test_chosen_letters_go_and_the_others_stay():
    device, target, source, _ = device_that_buries(1)
    die(device, target, source, numbered(0, 100), 1)
    assert dead("drop", "1", "5-10", "95-1000") == "dropped: 13\n"
    left = [number for number in range(1, 101) if number != 1 and not 5 <= number <= 10 and number < 95]
    assert [letter["sequence"] for letter in letters(action="list")] == left
    device.stop()
    assert dead("drop", "2-4", "20") == "dropped: 4\n"
    assert dead("drop", "8-12") == "dropped: 2\n"
    assert [letter["sequence"] for letter in letters(action="list", *["--limit", "2"])] == [13, 14]
    assert dead("drop", "--all") == "dropped: 81\n"
    spool = info("store", "main.dead")
    assert spool["pending"] == 0 and spool["messages"] == 0
    assert len(dead("list").splitlines()) == 1
    device.start()
    die(device, target, source, [[b"next"]], 1)
    assert letters()[0]["sequence"] == 101


def test_many_letters_go_back_under_load():
    device, target, source, acks = device_that_buries(1, "--ack-timeout", "1000")
    die(device, target, source, [[b"dead", b"%d" % number] for number in range(3000)], 1)
    command = spawn(ZSPOOL_BIN, "dead", "requeue", "store", "--all", stdout=subprocess.PIPE)
    waiting = {(kind, b"%d" % number) for kind in (b"dead", b"live") for number in range(3000)}
    sent = 0
    while waiting:
        if sent < 3000:
            target.send_multipart([b"live", b"%d" % sent])
            sent += 1
        while waiting and source.poll(0 if sent < 3000 else WAIT_S * 1000):
            ticket, *message = source.recv_multipart()
            acks.send(ticket)
            waiting.remove(tuple(message))
    assert command.stdout.read() == b"requeued: 3000\n" and command.wait(WAIT_S) == 0
    device.wait_empty()
    assert letters(action="list") == []


def test_async_buries_and_puts_back_as_well():
    device, target, source, acks = device_that_buries(2, "--durability", "async")
    die(device, target, source, numbered(0, 500))
    assert dead("requeue", "1-500") == "requeued: 500\n"
    for ticket, _ in receive(source, 500):
        acks.send(ticket)
    device.wait_empty()
    target.send(b"last")
    assert source.recv_multipart()[1] == b"last"
    assert device.info()["last_sequence"] == 1001
    device.restart(kill=True)
    assert device.info()["pending"] <= 1


def test_dead_letters_of_a_queue_can_be_a_queue():
    device, target, source, _ = device_that_buries(1)
    die(device, target, source, numbered(0, 3), 1)
    device.stop()
    second = Device(*OPTIONS, "--name", "main.dead", "--max-deliveries", "1")
    source = consumer(second.endpoint_out)
    assert [message[1] for message in receive(source, 3)] == [b"0", b"1", b"2"]
    wait_until(lambda: info("store", "main.dead.dead")["messages"] == 3, "they die again")
    found = letters("--all", "--name", "main.dead")
    assert [letter["deaths"] for letter in found] == [2, 2, 2]
    assert {letter["spool"] for letter in found} == {"main.dead"}


#  ---- bad usage

def test_what_is_not_there_is_told_in_one_line():
    device, target, source, _ = device_that_buries(1)
    for running in True, False:
        assert "no dead letter 7 of main" in dead("drop", "7", status=1)
        assert "no dead letters 5-9 of main" in dead("requeue", "5-9", status=1)
        assert "no dead letters of other" in dead("list", "--name", "other", status=1)
        dead("requeue", "1", "--name", "other", status=1)
        assert dead("drop", "--all") == "dropped: 0\n"
        if running:
            die(device, target, source, numbered(0, 1), 1)
            dead("drop", "1")
            device.stop()
    dead("list", store="nowhere", status=1)
    dead("requeue", "--all", store="nowhere", status=1)
    assert not os.path.exists("nowhere")


def test_bad_usage_exits_with_2():
    for wrong in (["list"], ["bury", "store"], ["drop", "store"], ["drop", "store", "0"],
                  ["drop", "store", "x"], ["drop", "store", "5-3"], ["drop", "store", "-1"],
                  ["drop", "store", "1-"], ["drop", "store", "1", "--all"],
                  ["drop", "store", "99999999999999999999999"],
                  ["requeue", "store", "1", "--json"], ["show", "store", "1", "--limit", "1"],
                  ["show", "store", "1", "--raw", "--json"], ["list", "store", "--limit", "0"]):
        done = subprocess.run([ZSPOOL_BIN, "dead", *wrong], capture_output=True, check=False)
        assert done.returncode == 2 and done.stderr.count(b"\n") == 1, (wrong, done)


def test_a_device_refuses_what_cannot_work():
    for options, text in ((["--max-deliveries", "2"], "explicit"),
                          ([*OPTIONS, "--ack-in", tcp(), "--max-deliveries", str(DELIVERIES_MAX + 1)],
                           "max-deliveries"),
                          ([*OPTIONS, "--ack-in", tcp(), "--max-deliveries", "2", "--name", "x" * 123],
                           "too long")):
        done = subprocess.run([ZSPOOL_BIN, "queue", "--store", "store", "--in", tcp(), "--out", tcp(),
                               *options], capture_output=True, text=True, timeout=WAIT_S, check=False)
        assert done.returncode in (1, 2) and text in done.stderr and done.stderr.count("\n") == 1, done
    Device(*OPTIONS, "--max-deliveries", str(DELIVERIES_MAX), "--name", "x" * 122).stop()


run_tests(globals())
