#!/usr/bin/python3
#  peer.py - a PULL or SUB peer in a process of its own, which can be killed; knows nothing of zspool
#
#  SPDX-License-Identifier: MPL-2.0
#
#  usage: peer.py ENDPOINT [option=value...]      binds when the endpoint begins with @
#
#  Prints each message's last frame in a line, unbuffered: what it has printed it has received.
#  Options:
#    count=N     receive so many, then only keep the connection
#    rate=N      receive so many a second at most
#    topic=TEXT  be a SUB of this topic
#    ack_in=EP   the first frame is a ticket: send it there
#    NAME=N      of the socket, like rcvhwm or rcvbuf

import sys
import time

import zmq

endpoint, *arguments = sys.argv[1:]
options = dict(argument.split("=", 1) for argument in arguments)
count = int(options.pop("count", -1))
rate = int(options.pop("rate", 0))
topic = options.pop("topic", None)
ack_in = options.pop("ack_in", None)
context = zmq.Context()
source = context.socket(zmq.PULL if topic is None else zmq.SUB)
for option, number in options.items():
    setattr(source, option, int(number))
if topic is not None:
    source.subscribe(topic)
acks = context.socket(zmq.PUSH)
if ack_in:
    acks.connect(ack_in)
if endpoint.startswith("@"):
    source.bind(endpoint[1:])
else:
    source.connect(endpoint)
print("started", flush=True)
started_s = time.monotonic()
received = 0
while received != count:
    if rate:
        time.sleep(max(0, started_s + received / rate - time.monotonic()))
    message = source.recv_multipart()
    received += 1
    sys.stdout.buffer.write(message[-1] + b"\n")
    sys.stdout.buffer.flush()
    if ack_in:
        acks.send(message[0])
time.sleep(3600)
