#!/usr/bin/python3
#  test_service.py - a device's service: confirmed producers, acknowledging consumers, transactions
#
#  SPDX-License-Identifier: MPL-2.0

import threading

from service import *

NUMBERS = [b"%d" % number for number in range(2000)]


#  ---- producers

def test_what_is_confirmed_is_stored_after_kill_9():
    device = ServiceDevice()
    with Producer(device.service, "jobs") as producer:
        producer.put_many(NUMBERS)
        producer.flush()
        assert producer.confirmed == producer.committed == len(NUMBERS)
        device.kill()
        assert device.spool("jobs")["last_sequence"] == len(NUMBERS)
        device.start()
        producer.put([b"two", b"", b"frames"])
        producer.flush()
    with Consumer(device.service, "jobs", "all") as consumer:
        got = receive_all(consumer, len(NUMBERS) + 1)
    assert [each.data for each in got[:-1]] == NUMBERS
    assert got[-1].frames == [b"two", b"", b"frames"]
    assert [each.sequence for each in got] == list(range(1, len(NUMBERS) + 2))


def test_a_named_producer_sent_again_is_stored_once():
    device = ServiceDevice()
    raw = Raw(device.service)
    spool = raw.open("jobs")
    assert raw.produce("me") == (1, 0)
    raw.put(spool, 1, NUMBERS[:10])
    raw.wait_committed(10)
    device.restart(kill=True)
    again = Raw(device.service)
    spool = again.open("jobs")
    assert again.produce("me", epoch=1) == (1, 10)
    again.put(spool, 6, NUMBERS[5:15])
    again.put(spool, 1, NUMBERS[:15])
    again.wait_committed(15)
    assert device.spool("jobs")["last_sequence"] == 15
    with Consumer(device.service, "jobs", "all") as consumer:
        assert [each.data for each in receive_all(consumer, 15)] == NUMBERS[:15]
    with Producer(device.service, "jobs", name="me") as producer:
        assert producer.last == 15
        assert producer.put(b"next") == 16


def test_a_newer_producer_fences_the_older():
    device = ServiceDevice()
    old = Raw(device.service)
    old.open("jobs")
    assert old.produce("me") == (1, 0)
    new = Raw(device.service)
    assert new.produce("me") == (2, 0)
    old.expect_error("EFENCED", fatal=True)
    #  Nor may the older come back.
    old = Raw(device.service)
    old.send(zspool.PRODUCE, struct.pack("<I", 1) + zspool._s8(b"me"), 3)
    old.expect_error("EFENCED", fatal=True)
    with Producer(device.service, "jobs", name="you") as first:
        first.put(b"1")
        first.flush()
        with Producer(device.service, "jobs", name="you") as second:
            second.put(b"2")
            second.flush()
            wait_until(lambda: first._failed, "the first one is told")
            expect("EFENCED", first.put, b"3")
    assert device.spool("jobs")["last_sequence"] == 2


def test_numbers_with_a_hole_are_not_taken():
    device = ServiceDevice()
    raw = Raw(device.service)
    spool = raw.open("jobs")
    raw.produce("me")
    raw.put(spool, 1, [b"1"])
    raw.put(spool, 3, [b"3"])
    held = struct.unpack_from("<Q", raw.expect(zspool.HOLD)[0], 16)[0]
    assert held == 2
    raw.put(spool, 2, [b"2", b"3"])
    raw.wait_committed(3)
    assert device.spool("jobs")["last_sequence"] == 3


def test_under_async_messages_are_confirmed_when_cached_unless_they_ask_for_more():
    device = ServiceDevice("--durability", "async", "--commit-interval", "2000")
    raw = Raw(device.service)
    spool = raw.open("jobs")
    raw.produce("me")
    raw.put(spool, 1, [b"1"])
    cached, committed = struct.unpack_from("<IQQ", raw.expect(zspool.CONFIRM)[0], 12)[1:]
    while cached < 1:
        cached, committed = struct.unpack_from("<IQQ", raw.expect(zspool.CONFIRM)[0], 12)[1:]
    assert committed == 0
    raw.wait_committed(1)
    with Producer(device.service, "jobs", level="committed") as producer:
        producer.put(b"2")
        producer.flush()
        assert producer.committed == 1
        assert device.spool("jobs")["last_sequence"] == 2


def test_producers_are_held_at_the_limit_of_a_spool_and_others_are_not():
    device = ServiceDevice("--max-bytes", "2M")
    big = [b"x" * 10000 for _ in range(600)]
    full = Producer(device.service, "full", name="full")
    full.put_many(big)
    expect("ETIMEDOUT", full.flush, 1.0)
    with Producer(device.service, "other") as other, Consumer(device.service, "other", "c") as consumer:
        for number in range(20):
            other.put(b"%d" % number)
            other.flush()
            data = None
            while data != b"%d" % number:       #  a lost connection may bring an earlier one again
                data = receive_all(consumer, 1)[0].data
                assert int(data) <= number
    with Consumer(device.service, "full", "c") as consumer:
        assert [each.data for each in receive_all(consumer, len(big))] == big
        full.flush()
    full.close()


def test_nothing_is_confirmed_before_what_a_nameless_producer_put_first():
    device = ServiceDevice("--max-bytes", "1M")
    with Producer(device.service, "full") as producer:
        producer.put_many([b"x" * 10000 for _ in range(90)])
        producer.flush()
        raw = Raw(device.service)
        full, other = raw.open("full"), raw.open("other")
        raw.produce("")
        raw.put(full, 1, [b"x" * 200000])
        time.sleep(0.1)                    #  so that both are not in the same batch
        raw.put(other, 2, [b"behind it"])
        raw.send(zspool.COMMIT, struct.pack("<HHQII", 1, 0, 3, other, 1), 7, frames=[zspool._record(b"txn")])
        raw.expect_error("ELIMIT", fatal=False)
        assert device.spool("other")["last_sequence"] == 0
        with Consumer(device.service, "full", "c") as consumer:
            receive_all(consumer, 91)
            raw.wait_committed(2)


def test_a_flush_behind_a_refused_transaction_is_answered():
    device = ServiceDevice("--max-bytes", "1M")
    raw = Raw(device.service)
    spool = raw.open("jobs")
    raw.produce("")
    record = zspool._record(b"x" * 400000)
    for number in (1, 2, 3):
        raw.send(zspool.COMMIT, struct.pack("<HHQII", 1, 0, number, spool, 1), 7, frames=[record])
        if number == 3:
            raw.send(zspool.FLUSH, request=8)
            raw.expect_error("ELIMIT", fatal=False)
        raw.expect(zspool.DONE)


def test_producing_twice_at_once_is_refused():
    device = ServiceDevice()
    raw = Raw(device.service)
    for name in (b"one", b"two"):
        raw.send(zspool.PRODUCE, struct.pack("<I", 0) + zspool._s8(name), 3)
    raw.expect_error("EPROTOCOL", fatal=True)


#  ---- consumers

def test_consumers_of_one_cursor_share_and_of_several_get_all():
    device = ServiceDevice()
    with Producer(device.service, "jobs") as producer:
        producer.put_many(NUMBERS)
        producer.flush()
    with Consumer(device.service, "jobs", "shared", prefetch=(100, 1 << 20)) as one, \
            Consumer(device.service, "jobs", "shared", prefetch=(100, 1 << 20)) as two, \
            Consumer(device.service, "jobs", "own") as own:
        assert [each.data for each in receive_all(own, len(NUMBERS))] == NUMBERS
        got = [[], []]
        while len(got[0]) + len(got[1]) < len(NUMBERS):
            for index, consumer in enumerate((one, two)):
                try:
                    deliveries = consumer.recv_many(50, 0.05)
                except ZspoolError:
                    continue
                consumer.ack_to(deliveries[-1])
                got[index] += [each.data for each in deliveries]
        assert sorted(got[0] + got[1], key=int) == NUMBERS
        assert len(got[0]) > 200 and len(got[1]) > 200, [len(each) for each in got]


def test_what_a_killed_consumer_held_goes_to_another_at_once():
    device = ServiceDevice("--ack-timeout", "3600000")
    with Producer(device.service, "jobs") as producer:
        producer.put_many(NUMBERS[:100])
        producer.flush()
    lost = Raw(device.service)
    assert lost.subscribe(lost.open("jobs"), "c")[2] == 0
    assert sum(each[2] for each in lost.deliver()) == 100
    lost.ack(1, 10, request=9)
    lost.expect(zspool.DONE)
    lost.socket.close(0)
    with Consumer(device.service, "jobs", "c") as consumer:
        got = receive_all(consumer, 90)
        assert [each.data for each in got] == NUMBERS[10:100]
        assert all(each.deliveries == 2 for each in got)


def test_a_silent_consumer_loses_what_it_holds():
    device = ServiceDevice("--ack-timeout", "3600000")
    with Producer(device.service, "jobs") as producer:
        producer.put_many(NUMBERS[:5])
        producer.flush()
    silent = Raw(device.service, heartbeat_ms=200)
    silent.subscribe(silent.open("jobs"), "c")
    silent.deliver()
    with Consumer(device.service, "jobs", "c") as consumer:
        assert len(receive_all(consumer, 5)) == 5
    silent.send(zspool.PING)
    silent.expect_error("EPROTOCOL", fatal=True)


def test_what_is_not_acknowledged_in_time_is_delivered_again_and_extending_keeps_it():
    device = ServiceDevice("--ack-timeout", "300")
    with Producer(device.service, "jobs") as producer:
        producer.put_many(NUMBERS[:2])
        producer.flush()
    with Consumer(device.service, "jobs", "c") as consumer:
        first, second = consumer.recv(WAIT_S), consumer.recv(WAIT_S)
        consumer.extend(second, 60)
        again = consumer.recv(WAIT_S)
        assert (again.sequence, again.deliveries) == (first.sequence, 2)
        expect("ETIMEDOUT", consumer.recv, 0.1)
        consumer.ack(again)
        consumer.ack(second)
        consumer.flush()
    assert device.spool("jobs")["pending"] == 0


def test_rejected_messages_come_again_after_their_delay_or_die():
    device = ServiceDevice()
    with Producer(device.service, "jobs") as producer:
        producer.put_many([b"now", b"later", b"never"])
        producer.flush()
    with Consumer(device.service, "jobs", "c") as consumer:
        now, later, never = (consumer.recv(WAIT_S) for _ in range(3))
        started_s = time.monotonic()
        consumer.reject(later, 0.5)
        consumer.reject(now)
        consumer.bury(never, "it makes no sense")
        again = consumer.recv(WAIT_S)
        assert (again.data, again.deliveries) == (b"now", 2)
        again = consumer.recv(WAIT_S)
        assert again.data == b"later" and time.monotonic() - started_s >= 0.45
        consumer.ack_to(again)
        expect("ESTALE", consumer.ack, never)
        with Consumer(device.service, "jobs.dead", "look") as dead:
            letter = dead.recv(WAIT_S)
            assert letter.data == b"never" and letter.origin == "jobs"
            assert letter.why == "it makes no sense" and letter.deaths[0].reason == "rejected"
        consumer.flush()
    wait_until(lambda: device.spool("jobs")["pending"] == 0, "all is acknowledged")


def test_messages_die_after_max_deliveries():
    device = ServiceDevice("--max-deliveries", "3")
    with Producer(device.service, "jobs") as producer:
        producer.put_many([b"poison", b"good"])
        producer.flush()
    with Consumer(device.service, "jobs", "c") as consumer:
        seen = []
        while True:
            try:
                delivery = consumer.recv(1)
            except ZspoolError:
                break
            seen.append((delivery.data, delivery.deliveries))
            if delivery.data == b"poison":
                consumer.reject(delivery)
            else:
                consumer.ack(delivery)
        assert [each for each in seen if each[0] == b"poison"] == [(b"poison", count) for count in (1, 2, 3)]
        with Consumer(device.service, "jobs.dead", "look") as dead:
            letter = dead.recv(WAIT_S)
            assert letter.data == b"poison" and letter.deaths[0].reason == "deliveries"


def test_filters_give_only_their_topics_and_acknowledge_the_others():
    device = ServiceDevice()
    with Producer(device.service, "news") as producer:
        for number in range(300):
            producer.put([(b"a.x", b"b.y", b"a.z")[number % 3], b"%d" % number])
        producer.flush()
    with Consumer(device.service, "news", "a", filters=["a.#"]) as consumer:
        got = receive_all(consumer, 200)
        assert [int(each.data) for each in got] == [number for number in range(300) if number % 3 != 1]
        expect("EINVAL", Consumer, device.service, "news", "a", filters=["b.#"])
        consumer.flush()
    wait_until(lambda: device.spool("news")["pending"] == 0, "the others count as acknowledged")


def test_a_large_message_takes_more_credit_than_there_was():
    device = ServiceDevice()
    raw = Raw(device.service)
    spool = raw.open("jobs")
    raw.produce("")
    raw.put(spool, 1, [b"x" * 5000])
    raw.put(spool, 2, [b"y"])
    raw.wait_committed(2)
    raw.subscribe(spool, "c", size=1000)
    assert [slice[:1] + slice[2:4] for slice in raw.deliver()] == [(1, 1, 1)]
    raw.send(zspool.CREDIT, struct.pack("<IIQ", 1, 0, 4007))
    raw.expect_nothing()
    raw.send(zspool.CREDIT, struct.pack("<IIQ", 1, 0, 2))
    assert [slice[:1] + slice[2:4] for slice in raw.deliver()] == [(2, 1, 1)]


def test_what_was_held_under_other_filters_is_acknowledged_when_they_do_not_want_it():
    device = ServiceDevice()
    with Producer(device.service, "jobs") as producer:
        producer.put_many([[topic, b""] for topic in (b"a", b"b", b"a", b"c", b"b")])
        producer.flush()
    with Consumer(device.service, "jobs", "c", filters=["a"]) as consumer:
        assert [each.sequence for each in consumer.recv_many(2, WAIT_S)] == [1, 3]
    with Consumer(device.service, "jobs", "c", filters=["b"]) as consumer:
        with Producer(device.service, "jobs") as producer:
            producer.put([b"b", b""])
        assert receive_all(consumer, 1)[0].sequence == 6
        consumer.flush()
    assert Service(device.service).status()["group/jobs/c/floor"] == "6"


def test_an_exclusive_cursor_has_one_consumer_at_a_time():
    device = ServiceDevice()
    first = Consumer(device.service, "jobs", "c", exclusive=True)
    second = Consumer(device.service, "jobs", "c", exclusive=True)
    expect("EBUSY", Consumer, device.service, "jobs", "c")
    assert first.active and not second.active
    with Producer(device.service, "jobs") as producer:
        producer.put_many(NUMBERS[:10])
        producer.flush()
        assert [each.data for each in receive_all(first, 10)] == NUMBERS[:10]
        expect("ETIMEDOUT", second.recv, 0.1)
        first.flush()
        first.close()
        wait_until(lambda: second.active, "the second takes over")
        producer.put(b"more")
        assert receive_all(second, 1)[0].data == b"more"
    second.close()


def test_starts_and_seeks_choose_where_to_read():
    device = ServiceDevice("--keep-count", "unlimited")
    with Producer(device.service, "log") as producer:
        producer.put_many(NUMBERS[:100])
        producer.flush()
        with Consumer(device.service, "log", "late", start="last:3") as late, \
                Consumer(device.service, "log", "new", start="new") as new:
            assert [each.data for each in receive_all(late, 3)] == NUMBERS[97:100]
            producer.put(b"fresh")
            assert receive_all(new, 1)[0].data == b"fresh"
            late.seek("11")
            got = receive_all(late, 91)
            assert got[0].data == NUMBERS[10] and got[-1].data == b"fresh"
            before = late._generation
            late.seek("all")
            assert late._generation == before + 1
            assert receive_all(late, 1)[0].data == NUMBERS[0]
            expect("EINVAL", late.seek, "no such start")


def test_acknowledgements_survive_kill_9_when_flushed():
    device = ServiceDevice()
    with Producer(device.service, "jobs") as producer:
        producer.put_many(NUMBERS[:100])
        producer.flush()
    with Consumer(device.service, "jobs", "c") as consumer:
        deliveries = [consumer.recv(WAIT_S) for _ in range(100)]
        for delivery in deliveries[::2]:
            consumer.ack(delivery)
        consumer.flush()
        device.restart(kill=True)
        again = [consumer.recv(WAIT_S) for _ in range(50)]
        assert [each.data for each in again] == NUMBERS[1:100:2]
        assert all(each.deliveries >= 2 for each in again)
        expect("ESTALE", consumer.ack, deliveries[3])


def test_cursors_of_outlets_cannot_be_used():
    device = ServiceDevice(ends=["--in", tcp(), "--out", tcp()])
    error = expect("EBUSY", Consumer, device.service, None, "out")
    assert "delivers" in str(error)


def test_plain_producers_and_consumers_meet_those_of_the_service():
    push, pull = tcp(), tcp()
    device = ServiceDevice("--settle", "200", ends=["--in", push, "--out", pull])
    plain_in, plain_out = producer(push), consumer(pull)
    with Producer(device.service) as own, Consumer(device.service, None, "c") as reader:
        plain_in.send(b"plain")
        assert receive_all(reader, 1)[0].data == b"plain"
        own.put(b"own")
        assert receive_all(reader, 1)[0].data == b"own"
        assert [each[-1] for each in receive(plain_out, 2)] == [b"plain", b"own"]


#  ---- transactions

def test_a_transaction_over_several_spools_is_stored_as_a_whole():
    device = ServiceDevice()
    with Producer(device.service, "a", name="me") as producer:
        producer.put(b"before")
        with producer.transaction() as txn:
            txn.put(b"1")
            txn.put(b"2", "b")
            txn.put(b"3", "b")
        assert producer.confirmed == producer.committed == 2
        device.kill()
        assert (device.spool("a")["last_sequence"], device.spool("b")["last_sequence"]) == (2, 2)
        device.start()
        try:
            with producer.transaction() as txn:
                txn.put(b"never")
                raise KeyError
        except KeyError:
            pass
        producer.put(b"after")
        producer.flush()
    with Consumer(device.service, "a", "c") as consumer:
        assert [each.data for each in receive_all(consumer, 3)] == [b"before", b"1", b"after"]


def test_consume_process_produce_acknowledges_in_the_same_commit():
    device = ServiceDevice()
    with Producer(device.service, "in") as source:
        source.put_many(NUMBERS[:200])
        source.flush()
    with Producer(device.service, "out", name="worker") as worker, Consumer(device.service, "in", "c") as consumer:
        for _ in range(20):
            with worker.transaction() as txn:
                for _ in range(10):
                    delivery = consumer.recv(WAIT_S)
                    txn.put(b"<" + delivery.data + b">")
                    txn.ack(consumer, delivery)
        device.kill()
        assert device.spool("in")["pending"] == 0
        assert device.spool("out")["last_sequence"] == 200
        device.start()
    with Consumer(device.service, "out", "c") as consumer:
        assert [each.data for each in receive_all(consumer, 200)] == [b"<" + each + b">" for each in NUMBERS[:200]]


def test_one_stale_acknowledgement_fails_the_whole_transaction():
    device = ServiceDevice("--ack-timeout", "300")
    with Producer(device.service, "in") as source:
        source.put_many(NUMBERS[:2])
        source.flush()
    with Producer(device.service, "out") as worker, Consumer(device.service, "in", "c") as consumer:
        first, second = consumer.recv(WAIT_S), consumer.recv(WAIT_S)
        consumer.extend(second, 60)
        again = consumer.recv(WAIT_S)       #  the first one's time is over
        txn = worker.transaction()
        txn.put(b"never")
        txn.ack(consumer, second)
        session, subscription, generation = txn._acks[0][:3]
        txn._acks.append([session, subscription, generation, 50, 50])
        expect("ESTALE", txn.commit)
        consumer.ack(again)
        txn = worker.transaction()          #  the consumer holds it as before
        txn.put(b"once")
        txn.ack(consumer, second)
        txn.commit()
        expect("ESTALE", consumer.ack, second)
        expect("ESTALE", consumer.ack, first)
        consumer.flush()
    assert device.spool("out")["last_sequence"] == 1
    assert device.spool("in")["pending"] == 0


def test_a_commit_sent_again_is_made_once():
    device = ServiceDevice()
    raw = Raw(device.service)
    spool = raw.open("jobs")
    raw.produce("me")
    record = zspool._record(b"once")
    commit = struct.pack("<HHQII", 1, 0, 1, spool, 1)
    raw.send(zspool.COMMIT, commit, 7, frames=[record])
    raw.expect(zspool.DONE)
    device.restart(kill=True)
    raw = Raw(device.service)
    spool = raw.open("jobs")
    assert raw.produce("me", 1)[1] == 1
    raw.send(zspool.COMMIT, commit, 7, frames=[record])
    raw.expect(zspool.DONE)
    raw.send(zspool.COMMIT, struct.pack("<HHQII", 1, 0, 3, spool, 1), 8, frames=[record])
    raw.expect_error("EORDER", fatal=False)
    assert device.spool("jobs")["last_sequence"] == 1


def test_a_producer_that_comes_while_a_transaction_is_under_way_learns_how_it_ended():
    device = ServiceDevice("--max-bytes", "1M", "--on-full", "drop-oldest")
    enough = threading.Event()

    def keep_the_writer_busy():
        with Producer(device.service, "busy") as busy:
            while not enough.is_set():
                busy.put_many([b"x" * 50000] * 10)
                busy.flush()

    thread = threading.Thread(target=keep_the_writer_busy)
    thread.start()
    #  Four parts together find no room: their transaction is refused.
    for parts in [1, 4] * 50:
        first, second = Raw(device.service), Raw(device.service)
        spool = first.open("jobs")
        second.open("jobs")
        _, last = first.produce("me")
        first.send(zspool.COMMIT, struct.pack("<HHQ", parts, 0, last + 1) + struct.pack("<II", spool, 1) * parts, 7,
                   frames=[zspool._record(b"y" * (300000 if parts > 1 else 1))] * parts)
        first.send(zspool.PING)
        while first.recv()[0][4] != zspool.PONG:
            pass                                #  with it the COMMIT has come, or has ended already
        _, last = second.produce("me")
        second.put(spool, last + 1, [b"next"])
        assert second.wait_committed(last + 1)[1] == last + 1
    enough.set()
    thread.join()


def test_transactions_are_bounded():
    device = ServiceDevice()
    with Producer(device.service, "jobs") as worker:
        txn = worker.transaction()
        for _ in range(8):
            txn.put(b"x" * (1 << 20) if _ < 7 else b"x" * 1000)
        expect("ELIMIT", txn.put, b"x" * (1 << 20))
        txn.rollback()
        txn = worker.transaction()
        for number in range(59):
            txn.put(b"x", f"s{number}")
        txn.commit()
    assert device.spool("s58")["last_sequence"] == 1


def test_a_transaction_that_finds_no_room_is_refused_and_the_next_is_not():
    device = ServiceDevice("--max-bytes", "1M")
    with Producer(device.service, "in") as source:
        source.put_many(NUMBERS[:2])
        source.flush()
    with Producer(device.service, "out", name="me") as worker, Consumer(device.service, "in", "c") as consumer:
        delivery = consumer.recv(WAIT_S)
        txn = worker.transaction()
        for _ in range(3):
            txn.put(b"x" * 500000)
        txn.ack(consumer, delivery)
        expect("ELIMIT", txn.commit)
        with worker.transaction() as txn:
            txn.put(b"small")
            txn.ack(consumer, delivery)
        worker.put(b"after")
        worker.flush()
    assert device.spool("out")["last_sequence"] == 2


#  ---- administration, and what is not allowed

def test_status_and_lists_tell_what_there_is():
    device = ServiceDevice()
    with Producer(device.service, "jobs") as producer, Consumer(device.service, "jobs", "c") as consumer, \
            Service(device.service) as service:
        producer.put_many(NUMBERS[:10])
        producer.flush()
        receive_all(consumer, 10)
        consumer.flush()
        assert service.spools()["jobs"]["last"] == 10
        assert service.cursors("jobs")["c"]["floor"] == 10
        status = service.status()
        assert status["service/messages"] == "10" and status["group/jobs/c/acknowledged"] == "10"
        expect("EACCES", service.purge, "jobs", 5)
        expect("EACCES", service.delete_cursor, "jobs", "c")
        expect("ENOENT", service.cursors, "no-such")
    control = subprocess.run([ZSPOOL_BIN, "status", "store"], capture_output=True, check=True, text=True).stdout
    assert "service/messages" in control.replace(" ", "") or "messages" in control


def test_administration_when_it_is_allowed():
    device = ServiceDevice("--service-admin", "on", "--keep-count", "unlimited")
    with Producer(device.service, "jobs") as producer, Service(device.service) as service:
        for _ in range(3):
            producer.put_many(NUMBERS[:10])
            producer.flush()
        service.purge("jobs", 10)
        assert service.spools()["jobs"]["first"] == 11
        consumer = Consumer(device.service, "jobs", "c")
        assert receive_all(consumer, 20)[0].sequence == 11
        expect("EBUSY", service.delete_cursor, "jobs", "c")
        consumer.close()
        wait_until(lambda: service.status().get("service/consumers") == "0", "the consumer has left")
        service.delete_cursor("jobs", "c")
        assert "c" not in service.cursors("jobs")
        with Consumer(device.service, "jobs", "c") as consumer:
            assert receive_all(consumer, 20)[0].sequence == 11


def test_only_the_spools_named_are_given():
    device = ServiceDevice("--service-spool", "a", "--service-spool", "b")
    with Producer(device.service, "a") as producer, Service(device.service) as service:
        producer.put(b"1")
        producer.flush()
        expect("EACCES", Producer, device.service, "c")
        expect("EACCES", Consumer, device.service, "main", "x")
        assert list(service.spools()) == ["a"]


def test_a_cursor_moved_by_the_command_is_moved_for_its_consumers():
    device = ServiceDevice("--keep-count", "unlimited")
    with Producer(device.service, "main") as producer, Consumer(device.service, None, "c") as consumer:
        producer.put_many(NUMBERS[:10])
        producer.flush()
        receive_all(consumer, 10)
        consumer.flush()
        subprocess.run([ZSPOOL_BIN, "cursor", "seek", "store", "c", "6"], check=True, capture_output=True)
        assert [each.data for each in receive_all(consumer, 5)] == NUMBERS[5:10]


#  ---- what is not ZSP

def test_bytes_that_are_not_zsp_get_errors_and_hurt_nobody():
    device = ServiceDevice()
    good = Producer(device.service, "jobs")
    noise = random.Random(7)
    for round_ in range(300):
        raw = Raw(device.service, hello=round_ % 2 == 0)
        kind = noise.randrange(6)
        if kind == 0:
            raw.socket.send(noise.randbytes(noise.randrange(200)))
        elif kind == 1:
            raw.socket.send_multipart([b"ZSP\x02" + bytes(8)])
        elif kind == 2:
            raw.send(noise.randrange(256), noise.randbytes(noise.randrange(60)), 5, noise.randrange(4))
        elif kind == 3:
            raw.send(zspool.PUT, struct.pack("<IQIB3x", 1, 1, 5, 0), frames=[b"short"])
        elif kind == 4:
            raw.socket.send_multipart([zspool._command(zspool.PING)] + [b"x"] * noise.randrange(1, 200))
        else:
            raw.send(zspool.COMMIT, struct.pack("<HHQ", 64, 4096, 1) + noise.randbytes(100))
        if kind != 2:
            raw.expect_error("EVERSION" if kind == 1 else "EPROTOCOL", fatal=True)
        raw.socket.close(0)
        if round_ % 50 == 0:
            good.put(b"%d" % round_)
            good.flush()
    good.close()
    assert device.spool("jobs")["last_sequence"] == 6


def test_commands_out_of_their_state_are_refused():
    device = ServiceDevice()
    raw = Raw(device.service, hello=False)
    raw.send(zspool.PING)
    raw.expect_error("EPROTOCOL", fatal=True)
    raw = Raw(device.service)
    raw.send(zspool.HELLO, struct.pack("<I", 1000) + b"\0", 1)
    raw.expect_error("EPROTOCOL", fatal=True)
    raw = Raw(device.service)
    raw.put(1, 1, [b"no producer"])
    raw.expect_error("EPROTOCOL", fatal=True)
    raw = Raw(device.service)
    raw.produce("")
    raw.put(77, 1, [b"no such spool"])
    raw.expect_error("ENOENT", fatal=False)
    raw.ack(1, 5)
    raw.expect_error("ENOENT", fatal=False)
    spool = raw.open("jobs")
    raw.subscribe(spool, "c")
    raw.ack(1, 5)
    raw.expect_error("ESTALE", fatal=False)
    raw.ack(1, 5, generation=9)
    raw.expect_error("ESTALE", fatal=False)
    raw.send(zspool.OPEN, zspool._s8(b"not/aname"), 2)
    raw.expect_error("EPROTOCOL", fatal=True)


def test_a_consumer_that_does_not_read_takes_no_memory():
    device = ServiceDevice()
    with Producer(device.service, "jobs") as producer:
        producer.put_many([b"x" * 1000] * 100000)
        producer.flush()
        lazy = [Raw(device.service) for _ in range(20)]
        for index, raw in enumerate(lazy):
            raw.subscribe(raw.open("jobs"), f"c{index}", messages=1000000, size=1 << 30)
        with Consumer(device.service, "jobs", "busy") as consumer:
            assert len(receive_all(consumer, 100000)) == 100000
    assert device.anonymous_bytes() < 256 << 20, device.anonymous_bytes()


def test_answers_wait_for_a_client_that_reads_late():
    device = ServiceDevice("--hwm", "1")
    raw = Raw(device.service)
    for request in range(1, 1501):
        raw.send(zspool.STATUS, request=request)
    raw.send(zspool.PING, request=1501)
    with Producer(device.service, "jobs") as producer:
        producer.put_many(NUMBERS)          #  others go on
        producer.flush()
    for request in range(1, 1502):
        command = raw.recv()[0]
        assert struct.unpack_from("<I", command, 8)[0] == request, command[:12]


def test_a_client_that_never_reads_its_answers_is_left():
    device = ServiceDevice("--hwm", "1")
    raw = Raw(device.service)
    raw.socket.rcvhwm = 1
    with Service(device.service) as service:
        deadline_s = time.monotonic() + WAIT_S
        while int(service.status()["service/lost"]) == 0:
            assert time.monotonic() < deadline_s
            for _ in range(500):
                raw.send(zspool.STATUS)
    assert device.anonymous_bytes() < 64 << 20, device.anonymous_bytes()


def test_stopping_in_good_order_stores_what_was_taken():
    device = ServiceDevice("--durability", "async", "--commit-interval", "60000")
    producer = Producer(device.service, "jobs")
    producer.put_many(NUMBERS)
    producer.flush()                        #  cached
    device.stop()
    assert device.spool("jobs")["last_sequence"] == len(NUMBERS)
    producer.close(0)


run_tests(globals())
