#!/usr/bin/python3
#  test_service_many.py - many clients of a device's service at once
#
#  SPDX-License-Identifier: MPL-2.0

import os
import resource
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from service import *

CONSUMERS = 50
MESSAGES = 50000


def test_a_backlog_is_not_cut_into_crumbs_for_many_consumers():
    device = ServiceDevice()
    with Producer(device.service, "jobs") as producer:
        producer.put_many(b"%0100d" % number for number in range(MESSAGES))
        producer.flush()
    raw = Raw(device.service)
    spool = raw.open("jobs")
    for number in range(1, CONSUMERS + 1):
        raw.subscribe(spool, "shared", messages=0, number=number)
    for number in range(1, CONSUMERS + 1):
        raw.send(zspool.CREDIT, struct.pack("<IIQ", number, MESSAGES, 1 << 30))
    came = parts = 0
    while came < MESSAGES:
        came += sum(part[2] for part in raw.deliver())
        parts += 1
    assert came == MESSAGES
    #  A block cut for all of them would make more than 100 parts, and there are some 20 blocks.
    assert parts < 1000, parts


def test_few_messages_are_shared_by_all_who_wait():
    device = ServiceDevice()
    consumers = [Raw(device.service) for _ in range(10)]
    for consumer in consumers:
        consumer.subscribe(consumer.open("jobs"), "shared", messages=100)
    with Producer(device.service, "jobs") as producer:
        producer.put_many(b"%d" % number for number in range(20))
        producer.flush()
    for consumer in consumers:
        assert sum(part[2] for part in consumer.deliver()) <= 2


def test_more_clients_come_than_files_are_usual():
    soft, hard = 128, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    clients = 300
    if hard != resource.RLIM_INFINITY and hard < 4 * clients:
        raise Skip(f"only {hard} files can be open")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        device = ServiceDevice()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], min(hard, 4 * clients)), hard))
    consumers = [Raw(device.service) for _ in range(clients)]
    with Service(device.service) as service:
        assert int(service.status()["service/sessions"]) >= clients
    for consumer in consumers:
        consumer.send(zspool.PING)
    for consumer in consumers:
        consumer.expect(zspool.PONG)


if __name__ == "__main__":
    run_tests(globals())
