#!/usr/bin/python3
#  test_python_client.py - the Python client: its bytes, polling, and what it does when devices go away
#
#  SPDX-License-Identifier: MPL-2.0
#
#  What a service does, seen through the same client, is in test_service.py.

import asyncio
import contextlib
import io
import resource
import threading

from service import *

NUMBERS = [b"%d" % number for number in range(1000)]


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as document:
        return document.read()


#  ---- the document

def exchange():
    """The exchange in doc/zsp.md: messages as (">" or "<", frames as hex digits)."""
    messages, lines = [], []
    for line in read("doc", "zsp.md").partition("## 9. An exchange")[2].splitlines():
        if not line.startswith("    "):
            continue
        digits, bar, _ = line[4:].partition("|")
        lines.append(digits)
        if not bar:
            continue
        kind, frame = lines[0][0], "".join("".join(lines)[1:].split())
        if kind == "+":
            messages[-1][1].append(frame)
        else:
            messages.append((kind, [frame]))
        lines = []
    return messages


def test_the_exchange_in_the_document_is_what_happens():
    device = ServiceDevice()
    client = connect(zmq.DEALER, device.service)
    messages = exchange()
    assert len(messages) > 20
    for kind, frames in messages:
        if kind == ">":
            client.send_multipart([bytes.fromhex(frame) for frame in frames])
            continue
        got = [frame.hex() for frame in client.recv_multipart()]
        assert len(got) == len(frames), (got, frames)
        for frame, expected in zip(got, frames):
            assert re.fullmatch(expected, frame), f"got {frame}, not {expected}"


def test_commands_and_records_are_the_bytes_of_the_document():
    sent = [frames for kind, frames in exchange() if kind == ">"]
    assert zspool._command(zspool.PING, b"", 8).hex() in [frames[0] for frames in sent]
    assert zspool._command(zspool.OPEN, zspool._s8(b"jobs"), 2, zspool.FLAG_CREATE).hex() == sent[1][0]
    put = next(frames for frames in sent if len(frames) == 2)
    assert (zspool._record(b"one") + zspool._record([b"a", b"bcd"])).hex() == put[1]
    assert [frames for frames, _ in zspool._records(bytes.fromhex(put[1]))] == [[b"one"], [b"a", b"bcd"]]


def test_the_examples_in_the_readme_run():
    device = ServiceDevice()
    examples = re.findall(r"```python\n(.*?)```", read("bindings", "python", "README.md"), re.DOTALL)
    assert len(examples) == 3
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for example in examples:
            exec(example.replace("tcp://127.0.0.1:5560", device.service), {})  #  pylint: disable=exec-used
    assert said.getvalue() == "1000 are safe\n3 transactions\n", said.getvalue()
    assert device.spool("jobs.dead")["messages"] == 10
    assert device.spool("results")["last_sequence"] == 3


#  ---- polling

def test_a_consumer_and_a_producer_can_be_polled():
    device = ServiceDevice()
    with Producer(device.service, "jobs") as producer, Consumer(device.service, "jobs", "c") as consumer:
        poller = zmq.Poller()
        poller.register(producer, zmq.POLLIN)
        poller.register(consumer, zmq.POLLIN)
        assert not poller.poll(50)
        for number in range(20):
            producer.put(b"%d" % number)
            seen = set()
            while len(seen) < 2:
                ready = dict(poller.poll(WAIT_S * 1000))
                assert ready, "neither becomes readable"
                if producer.fileno() in ready:
                    if producer.events() == number + 1:
                        seen.add("confirmed")
                if consumer.fileno() in ready:
                    with contextlib.suppress(zspool.ETIMEDOUT):
                        while True:
                            seen.add(consumer.recv(0).data)
            assert seen == {"confirmed", b"%d" % number}, seen


def test_a_consumer_fits_into_asyncio():
    device = ServiceDevice()

    async def collect(consumer):
        loop, done, got = asyncio.get_running_loop(), asyncio.Event(), []

        def ready():
            with contextlib.suppress(zspool.ETIMEDOUT):
                while True:
                    got.append(consumer.recv(0))
            if len(got) == len(NUMBERS):
                done.set()

        loop.add_reader(consumer, ready)
        await asyncio.wait_for(done.wait(), WAIT_S)
        loop.remove_reader(consumer)
        return got

    with Producer(device.service, "jobs") as producer, Consumer(device.service, "jobs", "c") as consumer:
        producer.put_many(NUMBERS)
        got = asyncio.run(collect(consumer))
        assert [each.data for each in got] == NUMBERS
        consumer.ack_many(got)
        consumer.flush()


def test_waiting_costs_nothing():
    device = ServiceDevice()
    with Producer(device.service, spool="jobs"), Consumer(device.service, "jobs", "idle") as consumer:
        expect("ETIMEDOUT", consumer.recv, 0.2)
        before = resource.getrusage(resource.RUSAGE_SELF)
        expect("ETIMEDOUT", consumer.recv, 1)
        after = resource.getrusage(resource.RUSAGE_SELF)
        switches = after.ru_nvcsw - before.ru_nvcsw
        assert switches < 1000, f"{switches} context switches"


def test_a_fenced_producer_becomes_readable():
    device = ServiceDevice()
    with Producer(device.service, "jobs", name="me") as old:
        old.put(b"1")
        old.flush()
        old.events()
        with Producer(device.service, "jobs", name="me") as new:
            assert (old.epoch, new.epoch, new.last) == (1, 2, 1)
            assert dict(zmq.zmq_poll([(old.fileno(), zmq.POLLIN)], WAIT_S * 1000))
            for call in (old.events, old.flush, lambda: old.put(b"2")):
                try:
                    call()
                except zspool.EFENCED:
                    continue
                raise AssertionError("a fenced producer goes on")


#  ---- acknowledging

def test_several_are_acknowledged_at_once_and_each_only_once():
    device = ServiceDevice()
    with Producer(device.service, "jobs") as producer, Consumer(device.service, "jobs", "c") as consumer:
        producer.put_many(NUMBERS)
        got = []
        while len(got) < len(NUMBERS):
            got += consumer.recv_many(100, WAIT_S)
        assert consumer.ahead == 0
        consumer.ack_many(got[::2])
        expect("ESTALE", consumer.ack_many, got[1:3])   #  the first of them is acknowledged
        consumer.ack_many(each.sequence for each in got[3::2])
        expect("ESTALE", consumer.ack_to, len(NUMBERS))
        consumer.flush()
        assert consumer.stale == 0
    assert device.spool("jobs")["pending"] == 0


def test_acknowledgements_that_went_with_the_connection_are_told():
    device = ServiceDevice()
    with Producer(device.service, "jobs") as producer:
        producer.put_many(NUMBERS[:10])
        producer.flush()
    with Consumer(device.service, "jobs", "c") as consumer:
        got = consumer.recv_many(10, WAIT_S)
        device.signal(signal.SIGSTOP)
        consumer.ack_many(got)
        device.restart(kill=True)
        again = consumer.recv(WAIT_S)
        assert again.sequence == 1
        expect("ELOST", consumer.flush)
        expect("ESTALE", consumer.ack, got[1])
        consumer.ack(again)
        consumer.flush()


def test_seeking_gives_no_more_credit_than_the_prefetch():
    device = ServiceDevice("--keep-count", "unlimited")
    with Producer(device.service, "jobs") as producer, \
            Consumer(device.service, "jobs", "c", prefetch=(100, 1 << 20)) as consumer:
        producer.put_many(NUMBERS[:10])
        for _ in range(20):
            wait_until(lambda: consumer.ahead == 10, "it receives ahead")
            consumer.seek("all")
        producer.put_many(NUMBERS[10:])
        wait_until(lambda: consumer.ahead >= 75, "it receives ahead")     #  a quarter may wait to be given
        stays_so(lambda: consumer.ahead <= 100, "no more than the prefetch is ahead", 0.1)
        assert consumer.recv(WAIT_S).data == NUMBERS[0]


#  ---- services that are none

def test_a_peer_that_speaks_nonsense_does_not_end_the_client():
    noise = random.Random(3)
    router = connect(zmq.ROUTER, "@" + tcp())
    endpoint = router.last_endpoint.decode()

    def lie():
        """Answer with anything but errors, then make room for a service."""
        for _ in range(200):
            if not router.poll(1000):
                break
            routing = router.recv_multipart()[0]
            command = zspool._command(noise.randrange(255), noise.randbytes(noise.randrange(80)), noise.randrange(5))
            router.send_multipart([routing, noise.choice([noise.randbytes(noise.randrange(80)), command])])
        router.close(0)

    liar = threading.Thread(target=lie)
    liar.start()
    expect("ETIMEDOUT", Producer, endpoint, timeout=2, heartbeat=0.1)
    with contextlib.closing(zspool._Client(endpoint, WAIT_S, 0.1, None)) as client:
        client._thread.start()
        liar.join()
        device = ServiceDevice(endpoint=endpoint)
        wait_until(lambda: client._up and client._own_spool == b"main", "it finds the service")
        assert not client._failed and device.is_running()


def test_another_version_and_a_bad_endpoint_are_told():
    router = connect(zmq.ROUTER, "@" + tcp())
    endpoint = router.last_endpoint.decode()

    def answer():
        routing = router.recv_multipart()[0]
        router.send_multipart([routing, b"ZSP\x02" + zspool._command(zspool.PONG)[4:]])

    newer = threading.Thread(target=answer)
    newer.start()
    expect("EVERSION", Service, endpoint)
    newer.join()
    expect("EADDR", Service, "no endpoint")
    expect("ETIMEDOUT", Service, tcp(), timeout=0.1)


#  ---- devices that are killed

def kill_while(device, progress, total, function):
    """Run a function; meanwhile the device is killed and started again, six times in its progress."""
    failures = []

    def run():
        try:
            function()
        except Exception as failure:    #  pylint: disable=broad-except
            failures.append(failure)

    running = threading.Thread(target=run)
    running.start()
    for kill in range(6):
        wait_until(lambda: failures or progress() > total * kill // 7, "it gets on")
        device.restart(kill=True)
    running.join()
    assert not failures, failures


def test_a_named_producers_messages_are_stored_once_whenever_the_device_is_killed():
    device = ServiceDevice()
    count = 20000 * LONG
    with Producer(device.service, "jobs", name="me", window=(2000, 1 << 20)) as producer:
        kill_while(device, lambda: producer.committed, count,
                   lambda: [producer.put(b"%d" % number) for number in range(count)])
        producer.flush()
        assert producer.confirmed == producer.committed == count
    with Consumer(device.service, "jobs", "c") as consumer:
        assert [int(each.data) for each in receive_all(consumer, count)] == list(range(count))
        expect("ETIMEDOUT", consumer.recv, 0.1)


def carry_over(consumer, worker):
    """Put what has come into the worker's spool, and acknowledge it, until nothing comes any more."""
    with contextlib.suppress(zspool.ETIMEDOUT):
        while True:
            deliveries = consumer.recv_many(10, 3)
            with contextlib.suppress(zspool.ESTALE), worker.transaction() as txn:   #  stale: they come again
                for delivery in deliveries:
                    txn.put(delivery.data)
                    txn.ack(consumer, delivery)


def test_each_result_is_stored_once_whenever_the_device_is_killed():
    device = ServiceDevice()
    count = 5000 * LONG
    with Producer(device.service, "in") as source:
        source.put_many(b"%d" % number for number in range(count))
        source.flush()
    with Producer(device.service, "out", name="worker") as worker, Consumer(device.service, "in", "c") as consumer:
        kill_while(device, lambda: 10 * worker.committed, count, lambda: carry_over(consumer, worker))
    assert device.spool("in")["pending"] == 0
    with Consumer(device.service, "out", "c") as consumer:
        got = sorted(int(each.data) for each in receive_all(consumer, count))
        assert got == list(range(count))
        expect("ETIMEDOUT", consumer.recv, 0.1)


#  ---- beside others

def test_commands_and_this_client_share_a_cursor():
    device = ServiceDevice()
    given = b"".join(number + b"\n" for number in NUMBERS)
    done = subprocess.run([ZSPOOL_BIN, "put", device.service, "jobs"], input=given, capture_output=True, check=False,
                          timeout=WAIT_S)
    assert done.returncode == 0, done.stderr
    with Consumer(device.service, "jobs", "c", prefetch=(100, 1 << 20)) as consumer:
        wait_until(lambda: consumer.ahead == 100, "it receives ahead")
        others = subprocess.run([ZSPOOL_BIN, "get", device.service, "jobs", "c", "--count", "900"],
                                capture_output=True, check=False, timeout=WAIT_S)
        assert others.returncode == 0, others.stderr
        own = [each.data for each in receive_all(consumer, 100)]
        consumer.flush()
    assert sorted(own + others.stdout.split(), key=int) == NUMBERS
    assert device.spool("jobs")["pending"] == 0


run_tests(globals())
