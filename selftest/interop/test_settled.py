#!/usr/bin/python3
#  test_settled.py - settled and sent: plain consumers may die, hang or be slow, and nothing is lost
#
#  SPDX-License-Identifier: MPL-2.0

from device import *

SETTLE_S = 0.5
PADDING = b"x" * 8000


def settled(*options, settle_s=SETTLE_S, **how):
    return Device("--settle", "%d" % (settle_s * 1000), *options, **how)


def padded(first, end):
    """Numbered messages that fill kernel buffers sooner."""
    return [[PADDING, b"%d" % number] for number in range(first, end)]


def numbers(messages):
    return [int(message[-1]) for message in messages]


def test_consumer_that_has_all_settles_all():
    device = settled()
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    for first, count in (0, 1), (1, 10), (11, 5000), (5011, 1):
        send(target, numbered(first, first + count))
        assert receive(source, count) == numbered(first, first + count)
        started_s = time.monotonic()
        device.wait_empty(SETTLE_S * 2 + 2)
        assert device.info()["floor"] == first + count
        assert time.monotonic() - started_s > SETTLE_S * 0.8, "too early"


def test_backlog_that_a_fresh_consumer_takes_settles():
    device = settled()
    send(producer(device.endpoint_in), numbered(0, 10))
    device.wait_stored(10)
    assert receive(consumer(device.endpoint_out), 10) == numbered(0, 10)
    device.wait_empty(SETTLE_S * 2 + 2)


def test_burst_over_the_high_water_mark_settles():
    device = settled("--hwm", "10")
    target = producer(device.endpoint_in, sndhwm=0)
    send(target, padded(0, 2000))
    device.wait_stored(2000)
    source = consumer(device.endpoint_out, rcvhwm=10, rcvbuf=16384)
    assert numbers(receive(source, 2000)) == list(range(2000))
    device.wait_empty(SETTLE_S * 10 + 10)


def test_restart_replays_what_was_not_settled():
    device = settled(settle_s=60)
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    send(target, numbered(0, 1000))
    for kill in True, False, True:
        assert receive(source, 1000) == numbered(0, 1000)
        assert device.info()["floor"] == 0
        device.restart(kill)


def test_killed_consumer_loses_nothing_for_the_next():
    device = settled(settle_s=60)
    send(producer(device.endpoint_in), numbered(0, 3000))
    for count in 0, 1, 1500, 3000:
        peer = Peer(device.endpoint_out, count=count)
        peer.wait_received(count)
        peer.kill()
    assert receive(consumer(device.endpoint_out), 3000) == numbered(0, 3000)


def test_killed_consumer_loses_nothing_for_the_others():
    device = settled(settle_s=3)
    source = consumer(device.endpoint_out)
    target = producer(device.endpoint_in)
    peer = Peer(device.endpoint_out, count=20)
    sent = 0
    while len(peer.received()) < 20:
        send(target, numbered(sent, sent + 50))
        sent += 50
        time.sleep(LOOK_S)
    peer.kill()
    missing = set(range(sent))
    while missing:
        missing.discard(int(source.recv()))
    device.wait_empty()


def test_disconnect_sends_again_only_what_was_not_settled():
    device = settled()
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    send(target, numbered(0, 1000))
    receive(source, 1000)
    device.wait_empty()
    source.close()
    time.sleep(0.1)
    second = consumer(device.endpoint_out)
    send(target, numbered(1000, 1010))
    assert receive(second, 10) == numbered(1000, 1010)
    second.close()
    third = consumer(device.endpoint_out)
    assert receive(third, 10) == numbered(1000, 1010)
    device.wait_empty()


def test_slow_consumer_is_not_cut_off_and_gets_nothing_twice():
    run_s, rate = 4 * LONG, 50
    device = settled("--hwm", "5", settle_s=1)
    peer = Peer(device.endpoint_out, rate=rate, rcvhwm=1, rcvbuf=4096)
    target = producer(device.endpoint_in, sndhwm=0)
    send(target, padded(0, run_s * rate * 2))
    peer.wait_received(run_s * rate - rate // 2, run_s + WAIT_S)
    received = peer.received()
    assert received == list(range(len(received)))


def test_floor_waits_while_a_consumer_is_stuck():
    device = settled("--hwm", "10", settle_s=1)
    peer = Peer(device.endpoint_out, count=0, rcvhwm=10, rcvbuf=4096)
    target = producer(device.endpoint_in, sndhwm=0)
    send(target, padded(0, 1000))
    device.wait_stored(1000)
    sent_to = wait_until(lambda: device.info()["sent_to"], "some are sent")
    assert sent_to < 900, "the consumer is not stuck"
    stays_so(lambda: device.info()["floor"] == 0, "floor 0", 2.5)
    peer.kill()
    source = consumer(device.endpoint_out)
    assert numbers(receive(source, 1000)) == list(range(1000))
    device.wait_empty()


def test_floor_follows_when_pipe_depth_was_sent_after():
    device = settled("--hwm", "10", "--pipe-depth", "3M", settle_s=0.2)
    peer = Peer(device.endpoint_out, rate=500, rcvhwm=10, rcvbuf=4096)
    send(producer(device.endpoint_in, sndhwm=0), padded(0, 4000))
    wait_until(lambda: device.info()["floor"], "the floor rises")
    count = len(peer.received())
    floor = device.info()["floor"]
    assert count >= 100 and floor <= len(peer.received()), f"floor {floor}, received {count}"
    peer.kill()
    #  What it had received and is not settled comes again.
    source = consumer(device.endpoint_out)
    first = int(source.recv_multipart()[-1])
    assert floor <= first <= len(peer.received())
    assert numbers(receive(source, 3999 - first)) == list(range(first + 1, 4000))


def test_killed_consumer_that_binds_loses_nothing():
    endpoint = tcp()
    device = settled(settle_s=60, endpoint_out=">" + endpoint)
    send(producer(device.endpoint_in), numbered(0, 3000))
    for count in 1, 1500:
        peer = Peer("@" + endpoint, count=count)
        peer.wait_received(count)
        peer.kill()
    assert receive(consumer("@" + endpoint), 3000) == numbered(0, 3000)


def test_consumers_that_come_and_go_all_the_time_lose_nothing():
    device = settled(settle_s=2)
    target = producer(device.endpoint_in)
    peers = []
    sent = 0
    for number in range(20 * LONG):
        peers.append(Peer(device.endpoint_out, f"peer{number}"))
        send(target, numbered(sent, sent + 100))
        sent += 100
        if len(peers) > 2:
            random.choice(peers[-3:]).kill()
    source = consumer(device.endpoint_out)
    for peer in peers:
        peer.kill()
    missing = set(range(sent)).difference(*[peer.received() for peer in peers])
    while missing:
        missing.discard(int(source.recv()))


def test_bytes_are_right_however_often_consumers_go():
    def make(number):
        return [b"%d" % number, pattern[number % 997:][:number * 7 % 5000], b"%d" % number]
    pattern = random.Random(1).randbytes(7000)
    count = 5000
    device = settled("--hwm", "50", settle_s=60)
    target = producer(device.endpoint_in, sndhwm=0)
    for number in range(count):
        target.send_multipart(make(number))
    whims = random.Random(2)
    for _ in range(20 * LONG):
        source = consumer(device.endpoint_out, rcvhwm=10)
        for _ in range(whims.randrange(1000)):
            received = source.recv_multipart()
            assert received == make(int(received[0])), f"message {received[0]} has changed"
        source.close()
    #  It may come before the device has noticed that the last one left, and gone back.
    source = consumer(device.endpoint_out)
    missing = set(range(count))
    while missing:
        received = source.recv_multipart()
        assert received == make(int(received[0])), f"message {received[0]} has changed"
        missing.discard(int(received[0]))


def test_device_that_was_stopped_for_a_while_settles_nothing_meanwhile():
    for number in range(3):
        device = settled(store=f"store{number}")
        peer = Peer(device.endpoint_out, count=0)
        send(producer(device.endpoint_in), numbered(0, 100))
        wait_until(lambda: device.info()["sent_to"] == 100, "all are sent")
        device.signal(signal.SIGSTOP)
        peer.kill()
        time.sleep(SETTLE_S * 1.5)
        device.signal(signal.SIGCONT)
        assert receive(consumer(device.endpoint_out), 100) == numbered(0, 100)
        device.kill()


def test_policy_may_change_from_start_to_start():
    endpoints = {"endpoint_in": tcp(), "endpoint_out": tcp(), "ack_in": tcp()}
    first = 0
    whims = random.Random(1)
    acknowledged = set()
    wanted = set()
    for _ in range(2):
        for policy in "settled", "explicit", "sent", "explicit", "settled":
            ack_in = endpoints["ack_in"] if policy == "explicit" else None
            device = Device("--ack", policy, "--durability", whims.choice(["sync", "async"]),
                            **{**endpoints, "ack_in": ack_in})
            target = producer(device.endpoint_in)
            send(target, numbered(first, first + 300))
            device.wait_stored(first + 300)
            wanted |= set(range(first, first + 300))
            first += 300
            source = consumer(device.endpoint_out)
            acks = producer(ack_in) if ack_in else None
            seen = set()
            while not wanted <= seen:
                *ticket, number = source.recv_multipart()
                seen.add(int(number))
                if ticket and int(number) % 3 == 0:
                    acks.send(ticket[0])
                    acknowledged.add(int(number))
            if policy == "explicit":
                wanted -= acknowledged
                wait_until(lambda: device.info()["pending"] <= len(wanted), "tickets count")
            if policy == "sent":
                device.wait_empty()
                wanted = set()
            device.stop()
            source.close()
            target.close()


def test_sent_replays_only_what_was_not_sent():
    device = Device("--ack", "sent")
    target = producer(device.endpoint_in)
    send(target, numbered(0, 1000))
    device.wait_stored(1000)
    device.restart(kill=True)
    source = consumer(device.endpoint_out)
    assert receive(source, 1000) == numbered(0, 1000)
    device.wait_empty()
    device.restart(kill=True)
    send(target, numbered(1000, 1010))
    assert receive(source, 10) == numbered(1000, 1010)
    device.stop()
    device.start()
    assert receive_for(source, 0.3) == []


run_tests(globals())
