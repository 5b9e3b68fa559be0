#!/usr/bin/python3
#  test_service_cursors.py - cursors of a service that are moved, deleted and purged while they are in use
#
#  SPDX-License-Identifier: MPL-2.0

import threading

from service import *

NUMBERS = [b"%d" % number for number in range(100)]


def put(device, spool, messages):
    with Producer(device.service, spool) as producer:
        producer.put_many(messages)
        producer.flush()


def send_subscribe(raw, spool, cursor, number, flags=1, request=4):
    fields = struct.pack("<IIIQ", number, spool, 1000, 1 << 20) + zspool._s8(cursor.encode()) + b"\0\0\0"
    raw.send(zspool.SUBSCRIBE, fields, request, flags)


def send_unsubscribe(raw, number, request=0):
    raw.send(zspool.UNSUBSCRIBE, struct.pack("<I", number), request)


def send_delete(raw, spool, cursor, request=9):
    raw.send(zspool.DELETE_CURSOR, struct.pack("<I", spool) + zspool._s8(cursor.encode()), request)


def expect_all(raw, count):
    """So many answers to requests: (command, request, error)"""
    answers = []
    while len(answers) < count:
        head = raw.recv()[0]
        command, request = head[4], struct.unpack_from("<I", head, 8)[0]
        if request:
            code = zspool.CODES[struct.unpack_from("<H", head, 12)[0]] if command == zspool.ERROR else None
            answers.append((command, request, code))
    return answers


def test_a_cursor_deleted_behind_its_subscribing_ends_the_subscription():
    device = ServiceDevice("--service-admin", "on")
    put(device, "jobs", NUMBERS)
    raw = Raw(device.service)
    spool = raw.open("jobs")
    for number in range(1, 30):
        send_subscribe(raw, spool, "c", number, request=number)
        send_delete(raw, spool, "c", 1000 + number)
        answers = {request: (command, code) for command, request, code in expect_all(raw, 2)}
        #  Whichever came first: it was deleted, or was in use by then.
        assert answers[1000 + number] in ((zspool.DONE, None), (zspool.ERROR, "EBUSY"))
        send_unsubscribe(raw, number)
    with Consumer(device.service, "jobs", "d") as consumer:
        assert [each.data for each in receive_all(consumer, len(NUMBERS))] == NUMBERS


def test_a_cursor_deleted_by_the_command_while_it_is_acknowledged_hurts_nobody():
    device = ServiceDevice()
    put(device, "main", NUMBERS)
    for round_ in range(8):
        raw = Raw(device.service)
        spool = raw.open("main")
        raw.produce("")
        raw.subscribe(spool, "c")
        raw.deliver()
        acks = threading.Event()
        delete = subprocess.Popen([ZSPOOL_BIN, "cursor", "delete", "store", "c"], stdout=subprocess.DEVNULL)
        for sequence in range(1, 60):
            if sequence % 3 == 0:
                fields = struct.pack("<HHQQIIQQ", 0, 1, sequence // 3, raw.session, 1, 1, sequence, sequence)
                raw.send(zspool.COMMIT, fields, sequence)
            else:
                raw.ack(sequence, sequence, command=zspool.ACK if round_ % 2 else zspool.REJECT)
            time.sleep(0.002)
        assert delete.wait(WAIT_S) == 0
        raw.socket.close(0)
    assert device.process.poll() is None
    with Consumer(device.service, "main", "d") as consumer:
        receive_all(consumer, len(NUMBERS))


def test_a_purge_moves_the_cursors_of_consumers_who_go_on():
    device = ServiceDevice("--service-admin", "on", "--keep-count", "unlimited")
    put(device, "jobs", NUMBERS[:10])
    with Consumer(device.service, "jobs", "c", prefetch=(4, 1 << 20)) as consumer, \
            Service(device.service) as service, Producer(device.service, "out") as worker:
        consumer.recv(WAIT_S)
        service.purge("jobs", 1 << 62)
        #  What comes before it hears of that is void, and comes again.
        wait_until(lambda: consumer._generation == 2, "it is told")     #  pylint: disable=protected-access
        put(device, "jobs", NUMBERS[10:20])
        got = []
        while len(got) < 9:
            delivery = consumer.recv(WAIT_S)
            if delivery.sequence > 10:
                consumer.ack(delivery)
                got.append(delivery)
        last = consumer.recv(WAIT_S)
        with worker.transaction() as txn:
            txn.put(b"in the same commit")
            txn.ack(consumer, last)
        consumer.flush()
        assert [each.data for each in got] + [last.data] == NUMBERS[10:20]
        device.kill()
        assert device.spool("jobs")["pending"] == 0
        device.start()


def test_a_purge_moves_the_cursors_of_outlets():
    device = ServiceDevice("--service-admin", "on", kind="queue", ends=["--out", tcp()])
    put(device, "main", NUMBERS[:10])
    with Service(device.service) as service:
        service.purge("main", 5)
        puller = connect(zmq.PULL, device.ends[1])
        assert [puller.recv() for _ in range(5)] == NUMBERS[5:10]
        wait_until(lambda: service.cursors("main")["out"]["floor"] == 10, "that is acknowledged")


def test_a_number_used_again_is_another_subscription():
    device = ServiceDevice()
    put(device, "jobs", NUMBERS)
    raw = Raw(device.service)
    spool = raw.open("jobs")
    for request in range(10, 40, 3):
        send_subscribe(raw, spool, "a", 1, request=request)
        send_unsubscribe(raw, 1)
        send_subscribe(raw, spool, "b", 1, request=request + 1)
        answers = expect_all(raw, 1)
        while answers[-1][1] != request + 1:
            answers += expect_all(raw, 1)
        assert answers[-1] == (zspool.SUBSCRIBED, request + 1, None)
        send_unsubscribe(raw, 1, request + 2)
        assert expect_all(raw, 1) == [(zspool.DONE, request + 2, None)]


def test_a_flush_behind_unsubscribing_waits_for_what_was_acknowledged():
    device = ServiceDevice()
    put(device, "jobs", NUMBERS)
    raw = Raw(device.service)
    spool = raw.open("jobs")
    raw.subscribe(spool, "c")
    got = 0
    while got < len(NUMBERS):
        got += sum(count for _, _, count, _, _ in raw.deliver())
    raw.ack(1, len(NUMBERS))
    send_unsubscribe(raw, 1)
    raw.send(zspool.FLUSH, request=5)
    assert expect_all(raw, 1) == [(zspool.DONE, 5, None)]
    device.kill()
    assert device.spool("jobs")["pending"] == 0


def let_many_not_read(device):
    """Each has a spool of its own, so that no two wait for the same blocks."""
    deaf = [Raw(device.service, rcvhwm=1, rcvbuf=4096) for _ in range(12)]
    for number, raw in enumerate(deaf):
        raw.subscribe(raw.open(f"deaf{number}"), "c", messages=100000, size=1 << 30)
    return deaf


def test_consumers_that_do_not_read_hold_up_nobody():
    device = ServiceDevice("--keep-count", "unlimited")
    big = [b"x" * 50000] * 120
    deaf = let_many_not_read(device)
    for number in range(len(deaf)):
        put(device, f"deaf{number}", big)
    with Consumer(device.service, "jobs", "c") as consumer:
        put(device, "jobs", big)
        receive_all(consumer, len(big))
    #  And when all is read back
    device.restart(kill=True)
    deaf = let_many_not_read(device)
    with Consumer(device.service, "jobs", "d") as consumer:
        receive_all(consumer, len(big))


def test_many_spools_are_read_back_in_turn():
    device = ServiceDevice("--keep-count", "unlimited")
    names = [f"s{number}" for number in range(240)]
    for first in range(0, len(names), 60):
        raw = Raw(device.service)
        raw.produce("")
        for number, name in enumerate(names[first:first + 60]):
            raw.put(raw.open(name), number + 1, [name.encode()])
        raw.wait_committed(60)
    device.restart()
    for first in range(0, len(names), 60):
        raw = Raw(device.service)
        for number, name in enumerate(names[first:first + 60]):
            raw.subscribe(raw.open(name), "c", number=number + 1)
            assert raw.deliver()[0][4][8:] == name.encode()


run_tests(globals())
