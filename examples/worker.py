#!/usr/bin/python3
#  worker.py - a consumer with tickets in ten lines: for zspool queue ... --ack explicit --ack-in EP
#
#  SPDX-License-Identifier: MPL-2.0
#
#  usage: worker.py OUT-ENDPOINT ACK-IN-ENDPOINT

import sys

import zmq

work = zmq.Context.instance().socket(zmq.PULL)
acks = zmq.Context.instance().socket(zmq.PUSH)
work.connect(sys.argv[1])
acks.connect(sys.argv[2])
while True:
    ticket, *frames = work.recv_multipart()
    print(*frames, flush=True)  # the work; a message whose ticket does not go back comes again
    acks.send(ticket)
