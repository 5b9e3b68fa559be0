#!/usr/bin/python3
#  peer.py - a PULL peer in a process of its own, which can be killed; knows nothing of zspool
#
#  SPDX-License-Identifier: MPL-2.0
#
#  usage: peer.py ENDPOINT [option=value...]      binds when the endpoint begins with @
#
#  Prints each message's last frame in a line, unbuffered: what it has printed it has received.
#  Options:
#    count=N     receive so many, then only keep the connection
#    rate=N      receive so many a second at most
#    NAME=N      of the socket, like rcvhwm or rcvbuf

import sys
import time

import zmq

endpoint, *arguments = sys.argv[1:]
options = {name: int(value) for name, value in (argument.split("=") for argument in arguments)}
count = options.pop("count", -1)
rate = options.pop("rate", 0)
source = zmq.Context().socket(zmq.PULL)
for option, number in options.items():
    setattr(source, option, number)
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
time.sleep(3600)
