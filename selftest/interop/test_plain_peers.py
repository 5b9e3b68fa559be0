#!/usr/bin/python3
#  test_plain_peers.py - plain PUSH and PULL sockets get all through a device: unchanged, in order
#
#  SPDX-License-Identifier: MPL-2.0

from device import *

KIB = 1024
MIB = 1024 * 1024

SHAPES = [
    [b"one frame"],
    [b""],
    [b"", b"", b""],
    [b"topic", bytes(range(256)), b"", b"end\n"],
    [b"", b"x" * 100000, b"y" * (3 * MIB), b""],
    [b"%d" % frame for frame in range(1000)],
    [b""] * 65535,
]

#  Around the sizes at which something changes: sent by reference, fills a block, has one of its own
SIZES = [1, 511, 512, 513, 4 * KIB - 1, 4 * KIB, 4 * KIB + 1, 256 * KIB - 200, 256 * KIB - 8,
         256 * KIB, 256 * KIB + 1, 512 * KIB - 8, 512 * KIB, MIB - 8, MIB, 8 * MIB + 1, 64 * MIB, 2]


def check_in_order(target, source, count=500):
    send(target, numbered(0, count))
    assert receive(source, count) == numbered(0, count)


def test_frames_of_any_shape_arrive_unchanged():
    device = Device()
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    send(target, SHAPES)
    for message in SHAPES:
        assert source.recv_multipart() == message
    device.stop()


def test_messages_of_1_byte_to_64_mib_arrive_unchanged():
    device = Device()
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    pattern = random.Random(1).randbytes(MIB) * 65
    for number, size in enumerate(SIZES):
        target.send(memoryview(pattern)[number:number + size], copy=False)
    for number, size in enumerate(SIZES):
        message = source.recv(copy=False)
        assert not message.more, f"size {size}"
        assert message.buffer == memoryview(pattern)[number:number + size], f"size {size}"
    device.stop()


def test_messages_of_all_sizes_come_back_from_the_store_unchanged():
    device = Device()
    target = producer(device.endpoint_in)
    pattern = random.Random(2).randbytes(MIB) * 9
    sizes = [size for size in SIZES if size < 9 * MIB]
    for number, size in enumerate(sizes):
        target.send_multipart([b"%d" % number, pattern[number:number + size], b""])
    device.wait_stored(len(sizes))
    device.restart()
    source = consumer(device.endpoint_out)
    for number, size in enumerate(sizes):
        message = source.recv_multipart()
        assert message == [b"%d" % number, pattern[number:number + size], b""], f"size {size}"


def test_message_over_a_limit_is_dropped_and_the_next_arrives():
    device = Device()
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    target.send_multipart([b""] * 65536)
    target.send_multipart([b""] * 200000)
    target.send_multipart([b"x" * (60 * MIB)] * 3, copy=False)
    target.send(b"next")
    assert source.recv_multipart() == [b"next"]
    #  libzmq itself cuts off who sends a single frame over the limit; the peer comes again.
    target.send(b"x" * (128 * MIB + 1))
    wait_until(lambda: target.send(b"after") or source.poll(50), "the producer gets through again")
    assert source.recv_multipart() == [b"after"]
    device.stop()


def test_several_producers_and_consumers_share_the_messages():
    device = Device()
    targets = [producer(device.endpoint_in) for _ in range(3)]
    sources = [consumer(device.endpoint_out) for _ in range(3)]
    for number in range(2000):
        for name, target in enumerate(targets):
            target.send_multipart([b"%d" % name, b"%d" % number])
    received = [[tuple(map(int, message)) for message in messages]
                for messages in receive_from(sources, 6000).values()]
    for messages in received:
        assert messages, "a consumer got none"
        for name in range(3):
            numbers = [number for sender, number in messages if sender == name]
            assert numbers == sorted(numbers), "out of order"
    everything = sorted(sum(received, []))
    assert everything == [(name, number) for name in range(3) for number in range(2000)]


def test_messages_sent_before_the_device_starts_arrive():
    device = Device(start=False)
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    send(target, numbered(0, 500))
    device.start()
    assert receive(source, 500) == numbered(0, 500)


def test_consumer_that_comes_late_gets_everything():
    device = Device()
    target = producer(device.endpoint_in)
    send(target, numbered(0, 20000))
    device.wait_stored(20000)
    assert receive(consumer(device.endpoint_out), 20000) == numbered(0, 20000)


def test_peers_stay_connected_while_the_device_restarts():
    device = Device("--settle", "50")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    for first, kill in (0, False), (500, True), (1000, False), (1500, True):
        send(target, numbered(first, first + 500))
        assert receive(source, 500) == numbered(first, first + 500)
        device.wait_empty()
        device.restart(kill)
    send(target, numbered(2000, 2500))
    assert receive(source, 500) == numbered(2000, 2500)


def test_ipc_endpoints_work_and_are_bound_again_after_a_kill():
    device = Device("--settle", "50", endpoint_in="ipc://in", endpoint_out="ipc://out")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out)
    for _ in range(2):
        check_in_order(target, source)
        device.wait_empty()
        device.restart(kill=True)
    device.stop()


def test_connecting_endpoints_work():
    endpoint_in, endpoint_out, ack_in = tcp(), "ipc://out", tcp()
    target = producer("@" + endpoint_in)
    source = consumer("@" + endpoint_out)
    acks = producer("@" + ack_in)
    device = Device("--ack", "explicit", endpoint_in=">" + endpoint_in,
                    endpoint_out=">" + endpoint_out, ack_in=">" + ack_in)
    for _ in range(2):
        send(target, numbered(0, 500))
        for message in numbered(0, 500):
            ticket, *frames = source.recv_multipart()
            assert frames == message
            acks.send(ticket)
        device.wait_empty()
        device.restart()


def test_lists_of_endpoints_work():
    first_in, first_out = tcp(), tcp()
    device = Device(endpoint_in=f"{first_in},@ipc://in", endpoint_out=f"@ipc://out,{first_out}")
    targets = producer(first_in), producer("ipc://in")
    sources = consumer(first_out), consumer("ipc://out")
    for target in targets:
        send(target, numbered(0, 100))
    received = receive_from(sources, 200)
    assert sorted(sum(received.values(), [])) == sorted(numbered(0, 100) * 2)
    device.stop()


def test_spools_of_one_store_are_apart():
    for round_number in range(3):
        for name in "first", "second":
            device = Device("--settle", "60000", "--name", name)
            source = consumer(device.endpoint_out)
            text = f"{name} {round_number}".encode()
            send(producer(device.endpoint_in), [[text]])
            if round_number == 0:
                wait_until(lambda: info(spool=name)["last_sequence"] == 1, "it is stored")
                device.kill()
                continue
            #  What the round before left is delivered, nothing of the other spool.
            wanted = {f"{name} {number}".encode() for number in range(round_number + 1)}
            while wanted:
                received = source.recv()
                assert received.startswith(name.encode())
                wanted.discard(received)
            device.kill()


def test_high_water_mark_of_1_works():
    device = Device("--hwm", "1")
    target, source = producer(device.endpoint_in, sndhwm=1), consumer(device.endpoint_out, rcvhwm=1)
    for _ in range(4):
        check_in_order(target, source)
    device.stop()


#  Each message is a block of its own, large enough to be sent from it: what ZeroMQ holds for a consumer
#  that hangs must not use up the blocks that messages come in with. Over ipc the kernel holds little.
def test_consumer_that_hangs_with_many_small_blocks_does_not_hold_producers():
    device = Device(endpoint_in="ipc://in", endpoint_out="ipc://out")
    target, source = producer(device.endpoint_in), consumer(device.endpoint_out, rcvhwm=1)
    messages = [[b"%600d" % number] for number in range(700)]
    for message in messages:
        target.send_multipart(message)
        time.sleep(0.002)  # lets them come one by one; nothing is waited for
    device.wait_stored(len(messages))
    assert receive(source, len(messages)) == messages
    device.stop()


run_tests(globals())
