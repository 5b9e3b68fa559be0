#  zspool.py - a client of zspool's service: confirmed producers, acknowledging consumers, transactions
#
#  SPDX-License-Identifier: MPL-2.0
#
#  One file, on pyzmq alone: copy it where you need it. It speaks ZSP, the protocol of a device that
#  was started with --service (doc/zsp.md), and does what the C classes zspool_producer and
#  zspool_consumer do. Each object has a thread of its own that owns its socket, keeps the session up
#  and sends again what was not confirmed; its methods may be called by one thread at a time.
"""Confirmed producers and acknowledging consumers for zspool's service.

    with Producer('tcp://127.0.0.1:5560', spool='jobs', name='loader') as producer:
        producer.put(b'one')
        producer.flush()                       # it is durable now

    with Consumer('tcp://127.0.0.1:5560', 'jobs', cursor='worker') as consumer:
        for delivery in consumer:
            work(delivery.frames)
            consumer.ack(delivery)
"""

from __future__ import annotations

import collections
import socket as sockets
import struct
import sys
import threading
import time
from typing import (Any, Callable, Deque, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Type, TypeVar,
                    Union)

import zmq

__all__ = ["Producer", "Consumer", "Service", "Transaction", "Delivery", "Death", "ZspoolError", "EINVAL", "ENOMEM",
           "ENOENT", "EEXIST", "ECORRUPT", "EVERSION", "EACCES", "ENOSPC", "EIO", "EFAILED", "ETOOBIG",
           "ESTALE", "ELIMIT", "EADDR", "ETIMEDOUT", "EBUSY", "EFENCED", "EORDER", "EPROTOCOL", "ELOST"]
__version__ = "0.1.0"

#  Commands
HELLO, OPEN, PRODUCE, PUT, COMMIT, SUBSCRIBE, CREDIT, ACK, REJECT, EXTEND = range(1, 11)
SEEK, UNSUBSCRIBE, PING, STATUS, LIST, PURGE, DELETE_CURSOR, FLUSH, BYE = range(11, 20)
WELCOME, OPENED, PRODUCING, CONFIRM, HOLD, SUBSCRIBED, DELIVER, DONE = range(0x81, 0x89)
PONG, VALUES, ERROR = 0x8d, 0x8e, 0xff

FLAG_CREATE, FLAG_EXCLUSIVE, FLAG_DEAD, FLAG_RESUME, FLAG_ACTIVE, FLAG_FATAL = 1, 2, 1, 1, 1, 1
LEVELS = {"default": 0, "cached": 1, "committed": 2}

RUN_BYTES = 512 * 1024         # of records in a frame with more than one message
RUN_MESSAGES = 32 * 1024
PARTS = 64                     # frames of records in a transaction
RANGES = 4096                  # stretches in an ACK, and of acknowledgements in a transaction
RUNS_SENT = 2                  # unconfirmed, before one that is not full has to wait
ACK_S = 0.02                   # acknowledgements are sent after so long at the latest
SPOOLS = 60                    # that one producer puts into
FILTERS = 256
TIME_MS = 86400000             # of a rejection or an extension, at most

CODES = {1: "EINVAL", 2: "ENOMEM", 3: "ENOENT", 4: "EEXIST", 5: "ECORRUPT", 6: "EVERSION", 10: "EACCES",
         13: "ENOSPC", 14: "EIO", 15: "EFAILED", 16: "ETOOBIG", 17: "ESTALE", 19: "ELIMIT", 20: "EADDR",
         22: "ETIMEDOUT", 24: "EBUSY", 25: "EFENCED", 26: "EORDER", 27: "EPROTOCOL", 28: "ELOST"}

Message = Union[bytes, Sequence[bytes]]
_Self = TypeVar("_Self", bound="_Client")


class ZspoolError(Exception):
    """What the service refused, or what did not come in time; `code` is its name, as ESTALE. Each code has
    a class of that name: `except ESTALE:`."""

    def __new__(cls, code: str, text: str = "") -> "ZspoolError":
        return super().__new__(_CLASSES.get(code, cls), code, text)

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(f"{code}: {text}" if text else code)
        self.code = code


class EINVAL(ZspoolError): """An argument is out of its range, or a call is out of order"""
class ENOMEM(ZspoolError): """The device has no memory for it"""
class ENOENT(ZspoolError): """No such spool, cursor or message"""
class EEXIST(ZspoolError): """That name is taken"""
class ECORRUPT(ZspoolError): """What the store says of it is damaged"""
class EVERSION(ZspoolError): """The service speaks another version"""
class EACCES(ZspoolError): """The device does not allow it"""
class ENOSPC(ZspoolError): """The device's disk is full"""
class EIO(ZspoolError): """The device could not read or write its store"""
class EFAILED(ZspoolError): """The device's store has failed"""
class ETOOBIG(ZspoolError): """The message has more bytes or frames than the device takes"""
class ESTALE(ZspoolError): """That delivery is not held any more"""
class ELIMIT(ZspoolError): """A limit is reached"""
class EADDR(ZspoolError): """That is no endpoint to connect to"""
class ETIMEDOUT(ZspoolError): """It took longer than it may"""
class EBUSY(ZspoolError): """It is in use"""
class EFENCED(ZspoolError): """A newer producer of that name has taken over"""
class EORDER(ZspoolError): """Messages before it are missing"""
class EPROTOCOL(ZspoolError): """What came is not the protocol, or out of turn"""
class ELOST(ZspoolError): """The connection is lost, and with it what the device knew of it"""


_CLASSES: Dict[str, Type[ZspoolError]] = {each.__name__: each for each in ZspoolError.__subclasses__()}


#  ---------------------------------------------------------------------------------------------------
#  Bytes

def _s8(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def _s16(text: bytes) -> bytes:
    return struct.pack("<H", len(text)) + text


def _command(command: int, fields: bytes = b"", request: int = 0, flags: int = 0) -> bytes:
    return b"ZSP" + struct.pack("<BBBHI", 1, command, flags, 0, request) + fields


_heads: Dict[int, bytes] = {}  # of records of one frame, by its size


def _record(message: Message) -> bytes:
    """A message as a record"""
    if isinstance(message, (bytes, bytearray, memoryview)):
        head = _heads.get(len(message))
        if not head:
            head = struct.pack("<IBBH", len(message), 0, 0, 1)
            if len(_heads) < 4096:
                _heads[len(message)] = head
        return head + message
    frames = [bytes(frame) for frame in message]
    if not frames:
        raise ZspoolError("EINVAL", "a message has at least one frame")
    sizes = b"".join(struct.pack("<I", len(frame)) for frame in frames[:-1])
    body = sizes + b"".join(frames)
    return struct.pack("<IBBH", len(body), 0, 0, len(frames)) + body


def _records(run: bytes) -> Iterator[Tuple[List[bytes], bytes]]:
    """The messages of a run: their frames, and the bytes of their properties. struct.error: it is damaged"""
    at = 0
    while at < len(run):
        size, _, words, count = struct.unpack_from("<IBBH", run, at)
        at += 8
        end = at + size
        if end > len(run) or count == 0:
            raise struct.error("a record is longer than its frame, or has no frames")
        if count == 1 and words == 0:
            yield [run[at:end]], b""
        else:
            sizes = list(struct.unpack_from(f"<{count - 1}I", run, at))
            at += 4 * (count - 1)
            properties = run[at:at + 4 * words]
            at += 4 * words
            frames = []
            if at + sum(sizes) > end:
                raise struct.error("frames are longer than their record")
            for length in sizes:
                frames.append(run[at:at + length])
                at += length
            frames.append(run[at:end])
            yield frames, properties
        at = end


def _name(text: str, what: str) -> bytes:
    """A name of a spool, a cursor or a producer, as bytes"""
    name = text.encode()
    if not 1 <= len(name) <= 127 or b"/" in name or min(name) < 33:
        raise ZspoolError("EINVAL", f"{what}: must be a name of 1 to 127 bytes without blanks or slashes")
    return name


def _within(value: float, low: float, high: float, what: str) -> None:
    if not low <= value <= high:
        raise ZspoolError("EINVAL", f"{what}: must be from {low} to {high}")


def _milliseconds(seconds: float) -> int:
    """A time that a command may have"""
    return max(0, min(int(seconds * 1000), TIME_MS))


def _moves(fd: int) -> Tuple[float, int]:
    """Of a connection: seconds since bytes came over it, and how many its peer's system has taken while
    more wait to be sent, or 0. Only TCP on Linux tells it."""
    if sys.platform != "linux" or fd < 0:
        return float("inf"), 0
    try:
        tcp = sockets.socket(fileno=fd)
    except OSError:             # it was closed just now
        return float("inf"), 0
    try:
        info = tcp.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_INFO, 256)
        silent = struct.unpack_from("<I", info, 52)[0] / 1000
        waiting = len(info) >= 148 and struct.unpack_from("<I", info, 144)[0]
        return silent, struct.unpack_from("<Q", info, 120)[0] if waiting else 0
    except (OSError, struct.error):
        return float("inf"), 0
    finally:
        tcp.detach()            # it is ZeroMQ's


class Death:
    """One death of a message in the dead letters; times are microseconds since 1970, UTC"""

    def __init__(self, data: bytes) -> None:
        (self.sequence, self.stored_us, self.delivered_us, self.died_us, self.deliveries,
         reason) = struct.unpack_from("<QqqqII", data)
        self.reason = {1: "deliveries", 2: "rejected"}.get(reason, str(reason))


class Delivery:
    """A message that was received: `frames`, its `sequence`, and which delivery it is, from 1"""

    __slots__ = ("sequence", "frames", "deliveries", "stored_us", "_properties", "_serial")

    def __init__(self, sequence: int, frames: List[bytes], deliveries: int, stored_us: int, properties: bytes,
                 serial: int) -> None:
        self.sequence = sequence
        self.frames = frames
        self.deliveries = deliveries
        self.stored_us = stored_us
        self._properties = properties
        self._serial = serial

    @property
    def data(self) -> bytes:
        """The last frame: all of a message that has one"""
        return self.frames[-1]

    def _property(self, wanted: int) -> List[bytes]:
        found, at = [], 0
        while at + 4 <= len(self._properties):
            number, _, size = struct.unpack_from("<BBH", self._properties, at)
            if number == wanted:
                found.append(self._properties[at + 4:at + 4 + size])
            at += 4 + (size + 3) // 4 * 4
        return found

    @property
    def origin(self) -> Optional[str]:
        """Of a dead letter: the spool in which it died"""
        found = self._property(2)
        return found[0].decode() if found else None

    @property
    def deaths(self) -> List[Death]:
        """Of a dead letter: its deaths that are known, oldest first"""
        return [Death(data) for data in self._property(3)]

    @property
    def why(self) -> str:
        """Of a dead letter: what the consumer said who rejected it"""
        found = self._property(4)
        return found[0].decode(errors="replace") if found else ""


#  ---------------------------------------------------------------------------------------------------
#  A session, kept up over lost connections

class _Client:
    """What all objects share. Their thread calls the methods with an underscore, holding `_lock`."""

    def __init__(self, endpoint: str, timeout: float, heartbeat: float, context: Optional[zmq.Context[Any]]) -> None:
        _within(heartbeat, 0.1, 60, "heartbeat")
        self._endpoint = endpoint[1:] if endpoint.startswith(">") else endpoint
        self._timeout = timeout
        self._heartbeat = heartbeat
        self._context = context or zmq.Context.instance()
        self._lock = threading.Condition()
        self._failed: Optional[ZspoolError] = None
        self._up = False
        self._ending = False
        self._socket: Optional[zmq.Socket[Any]] = None
        self._monitor: Optional[zmq.Socket[Any]] = None
        self._fd, self._moved = -1, 0
        self._retry, self._backoff = 0.0, 0.05
        self._heard = self._spoke = self._pinged = 0.0
        self._session, self._expiry = 0, 6.0
        self._own_spool = b""
        self._message_bytes_max = self._message_frames_max = self._transaction_bytes_max = 0
        self._durability = 0
        name = f"inproc://zspool-{id(self)}-{time.monotonic_ns()}"
        self._bell = self._context.socket(zmq.PAIR)
        self._ring = self._context.socket(zmq.PAIR)
        self._bell.bind(name)
        self._ring.connect(name)
        self._near, self._far = sockets.socketpair()
        self._near.setblocking(False)
        self._event = False             # self._near is readable
        self._thread = threading.Thread(target=self._run, name="zspool", daemon=True)

    def fileno(self) -> int:
        """What to poll for reading, with zmq.Poller, select or asyncio's add_reader: a Consumer when there may be
        something to receive, until recv(0) gives ETIMEDOUT; a Producer when more is confirmed, until
        events() is called. Read nothing from it."""
        return self._near.fileno()

    def set_timeout(self, timeout: float) -> None:
        """Change how many seconds a call waits at most."""
        self._timeout = timeout

    def _raise_event(self) -> None:
        if not self._event:
            self._event = True
            self._far.send(b"!")

    def _clear_event(self) -> None:
        if self._event and not self._failed:
            self._event = False
            self._near.recv(1)

    #  For those who derive from it
    def _begin(self) -> None: ...
    def _take(self, command: int, flags: int, request: int, fields: bytes, frames: List[bytes]) -> None: ...
    def _lost(self) -> None: ...
    def _work(self, now: float) -> float: return now + 60
    def _farewell(self) -> None: ...

    def _send(self, command: int, fields: bytes = b"", request: int = 0, flags: int = 0,
              frames: Iterable[bytes] = ()) -> None:
        assert self._socket
        self._socket.send_multipart([_command(command, fields, request, flags), *frames], copy=False)
        self._spoke = time.monotonic()

    def _connect(self) -> None:
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.SNDHWM, 0)
        self._socket.set(zmq.RECONNECT_IVL, 50)
        self._socket.set(zmq.RECONNECT_IVL_MAX, 2000)
        self._socket.set(zmq.CONNECT_TIMEOUT, 5000)     # or a host that was away for long is tried ever less often
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_CONNECTED | zmq.EVENT_DISCONNECTED)
        self._socket.connect(self._endpoint)
        self._send(HELLO, struct.pack("<I", int(self._heartbeat * 1000)) + _s8(b"zspool.py " + __version__.encode()), 1)
        self._heard = time.monotonic()

    def _close(self, linger: int = 0) -> None:
        if self._socket:
            self._socket.disable_monitor()
            self._socket.close(linger)
        self._socket = self._monitor = None
        self._fd, self._moved = -1, 0
        self._up = False

    def _drop(self) -> None:
        """The session is lost: begin another one in a moment"""
        was_up = self._up
        self._close()
        self._retry = time.monotonic() + self._backoff
        self._backoff = min(2 * self._backoff, 2.0)
        if was_up:
            self._lost()

    def _receive(self) -> None:
        while self._socket:
            try:
                frames = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            self._heard = time.monotonic()
            try:
                self._understand(frames[0], frames[1:])
            except (struct.error, IndexError, KeyError):
                self._drop()    # that was not ZSP

    def _understand(self, head: bytes, frames: List[bytes]) -> None:
        command, flags, _, request = struct.unpack_from("<BBHI", head, 4)
        if head[:3] != b"ZSP":
            self._drop()
        elif head[3] != 1:
            self._failed = ZspoolError("EVERSION", f"the service speaks version {head[3]}")
        elif command == WELCOME:
            (expiry, self._session, _, self._message_bytes_max, self._message_frames_max,
             self._transaction_bytes_max, self._durability) = struct.unpack_from("<IQQIIIB", head, 12)
            self._own_spool = head[49:49 + head[48]]
            self._expiry = expiry / 1000
            self._up = True
            self._backoff = 0.05
            self._begin()
        elif command == ERROR:
            code, about, _, number = struct.unpack_from("<HBBQ", head, 12)
            text = head[25:25 + head[24]].decode(errors="replace")
            self._error(ZspoolError(CODES.get(code, str(code)), text), about, number, request)
            if flags & FLAG_FATAL:
                self._drop()
        else:
            self._take(command, flags, request, head[12:], frames)

    def _error(self, error: ZspoolError, about: int, number: int, request: int) -> None:
        #  One whose session has expired, as its process was stopped, says what is out of turn: it is greeted anew.
        if error.code != "EPROTOCOL":
            self._failed = self._failed or error

    def _is_cut(self) -> bool:
        """Whether the connection has ended; which one it is is noted"""
        while self._monitor is not None and self._monitor.poll(0):
            event, value = struct.unpack("=hi", self._monitor.recv_multipart()[0])
            if event != zmq.EVENT_CONNECTED:
                return True
            self._fd = value
        return False

    def _is_gone(self, now: float) -> bool:
        """Whether the service has been silent for too long. A part of a message is a sign of life, and so is
        that it takes one of ours: its answers wait behind these."""
        if now - self._heard < self._heartbeat:
            return False
        silent, moved = _moves(self._fd)
        if moved > self._moved or silent < self._heartbeat:
            self._moved = moved
            self._heard = now
        return now - self._heard > self._expiry

    def _keep_up(self, now: float) -> None:
        if self._failed:        # nothing can follow: it does not come again
            if self._up:
                self._send(BYE)
                self._lost()
            self._close(1000)
            return
        if not self._socket:
            if now >= self._retry:
                self._connect()
            return
        if self._is_cut() or (self._up and self._is_gone(now)):
            self._drop()
            return
        silent = now - self._heard >= self._heartbeat and now - self._pinged >= self._heartbeat / 2
        if self._up and (silent or now - self._spoke >= self._heartbeat):
            self._send(PING)
            self._pinged = now

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:
            with self._lock:
                code = "EADDR" if isinstance(error, zmq.ZMQError) and not self._heard else "EFAILED"
                self._failed = self._failed or ZspoolError(code, f"{self._endpoint}: {error}")
                self._close()
                self._raise_event()
                self._lock.notify_all()

    def _serve(self) -> None:
        poller = zmq.Poller()
        while True:
            with self._lock:
                now = time.monotonic()
                self._receive()
                self._keep_up(now)
                due = now + (60 if self._failed else self._heartbeat / 4)
                if not self._socket and not self._failed:
                    due = self._retry
                if self._up:
                    due = min(due, self._work(now))
                if self._failed:
                    self._raise_event()
                self._lock.notify_all()
                if self._ending:
                    if self._up:
                        self._farewell()
                        self._send(BYE)
                    self._close(1000)
                    return
                sockets = [self._bell] + ([self._socket, self._monitor] if self._socket else [])
            for socket in sockets:
                poller.register(socket, zmq.POLLIN)
            poller.poll(max(0.0, due - time.monotonic()) * 1000)
            for socket in sockets:
                poller.unregister(socket)
            while self._bell.poll(0):
                self._bell.recv()

    def _wake(self) -> None:
        try:
            self._ring.send(b"", zmq.DONTWAIT)
        except zmq.Again:
            pass

    def _wait_for(self, condition: Callable[[], object], timeout: Optional[float], text: str) -> None:
        """Wait, with the lock, until a condition holds; raises what has failed"""
        end = None if timeout is None else time.monotonic() + timeout
        self._wake()
        while not condition():
            if self._failed:
                raise self._failed
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise ZspoolError("ETIMEDOUT", text)
            self._lock.wait(left)

    def close(self) -> None:
        """End the session. What was put and is not confirmed may not be stored."""
        if self._ending:
            return
        with self._lock:
            self._ending = True
        self._wake()
        if self._thread.ident:
            self._thread.join()
        self._bell.close(0)
        self._ring.close(0)
        self._near.close()
        self._far.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


#  ---------------------------------------------------------------------------------------------------
#  Producer

class _Run:
    __slots__ = ("spool", "level", "first", "last", "records", "bytes")

    def __init__(self, spool: str, level: int, first: int) -> None:
        self.spool, self.level, self.first, self.last = spool, level, first, first - 1
        self.records: List[bytes] = []
        self.bytes = 0


class Producer(_Client):
    """Puts messages into spools, and knows which are safe.

    spool     where put() puts; None: the device's own
    name      a named producer's messages are stored once, whatever is sent again; of two with one
              name the newer fences the older (EFENCED)
    level     when a message counts as confirmed: 'default' (cached under async, else committed),
              'cached' or 'committed'
    window    most messages, and bytes, that are not confirmed; put() waits then
    timeout   seconds that a call waits at most

    Connects at once, and waits for the service. Numbers are given from 1, or from where a producer
    of this name was: see `last`."""

    def __init__(self, endpoint: str, spool: Optional[str] = None, name: str = "", level: str = "default",
                 create: bool = True, window: Tuple[int, int] = (100000, 8 << 20), timeout: float = 30,
                 heartbeat: float = 2, context: Optional[zmq.Context[Any]] = None) -> None:
        if name:
            _name(name, "name")
        if spool:
            _name(spool, "spool")
        _within(window[0], 1, 1000000, "window, messages")
        _within(window[1], 1 << 16, 1 << 30, "window, bytes")
        self._level = self._level_of(level)
        super().__init__(endpoint, timeout, heartbeat, context)
        self._name, self._spool, self._create = name, spool or "", create
        self._window = window
        self._ready = self._producing = self._held = False
        self._epoch = self._base = 0
        self._handles: Dict[str, int] = {}
        self._asked: List[str] = []
        self._spools = [self._spool]
        self._runs: Deque[_Run] = collections.deque()   # in order; sent up to `_unsent`
        self._unsent = 0
        self._filling: Optional[_Run] = None
        self._bytes = 0
        self._number = self._settled = self._cached = self._committed = self._confirmed = 0
        self._service_window = 1 << 16
        self._flushing = False
        self._txn: Optional["Transaction"] = None
        self._committing: Optional["Transaction"] = None
        self._commit_sent = False
        self._thread.start()
        try:
            with self._lock:
                self._wait_for(lambda: self._ready and all(each in self._handles for each in self._spools), timeout,
                               "nobody answers")
        except ZspoolError:
            self.close()
            raise

    #  The thread's side
    def _begin(self) -> None:
        self._producing = self._held = False
        self._handles, self._asked = {}, []
        self._send(PRODUCE, struct.pack("<I", self._epoch if self._name else 0) + _s8(self._name.encode()), 3)

    def _lost(self) -> None:
        self._producing = False
        if self._committing and self._commit_sent and not self._name:
            self._end_commit(ZspoolError("ELOST", "it is not known whether it was made"))

    def _send_from(self, number: int) -> None:
        self._unsent = 0
        while self._unsent < len(self._runs) and self._runs[self._unsent].last < number:
            self._unsent += 1
        self._commit_sent = False

    def _take(self, command: int, flags: int, request: int, fields: bytes, frames: List[bytes]) -> None:
        if command == PRODUCING:
            epoch, last, self._service_window = struct.unpack_from("<IQI", fields)
            if self._ready and self._name and not self._is_ours(last):
                return
            self._epoch = epoch
            self._producing, self._held = True, False
            #  Without a name the service knows nothing of what it took in another session.
            self._base = 0 if self._name else self._settled
            self._cached = last if self._name else self._settled
            if not self._ready and self._name:
                self._number = self._settled = self._confirmed = last
            self._send_from(self._cached + 1)
            self._ready = True
        elif command == OPENED:
            self._handles[self._asked[request - 100]] = struct.unpack_from("<I", fields)[0]
        elif command == CONFIRM:
            self._service_window, cached, committed = struct.unpack_from("<IQQ", fields)
            self._take_confirm(cached + self._base, committed + self._base)
            if flags & FLAG_RESUME and self._producing:
                self._held = False
                self._send_from(cached + self._base + 1)
        elif command == HOLD:
            self._held = True
        elif command == DONE and request == 2:
            self._end_commit(None)

    def _error(self, error: ZspoolError, about: int, number: int, request: int) -> None:
        if about == COMMIT and error.code != "EPROTOCOL" and error.code != "EFENCED":
            self._end_commit(error)
        else:
            super()._error(error, about, number, request)

    def _is_ours(self, last: int) -> bool:
        """Whether a producer with a name can go on: the service knows all that was let go here, and no number that
        was never given. Else its store is another one, or an older copy."""
        given = max(self._number, self._committing.number if self._committing else 0)
        if last < self._settled:
            self._failed = ZspoolError("EORDER", "the store is older than this producer: it has its messages up to "
                                       f"{last}, not {self._settled}, which was confirmed")
        elif last > given:
            self._failed = ZspoolError("EORDER", "the store is another one: it has messages of this producer up to "
                                       f"{last}, not {given}, which was put last")
        return not self._failed

    def _is_cached_level(self, run: _Run) -> bool:
        return run.level == 1 or (run.level == 0 and self._durability == 1)

    def _take_confirm(self, cached: int, committed: int) -> None:
        #  A transaction counts as taken before it is known whether it can be made.
        if self._committing:
            cached = min(cached, self._committing.number - 1)
        self._cached = max(self._cached, cached)
        self._committed = max(self._committed, committed)
        confirmed = self._settled
        for index in range(self._unsent):
            run = self._runs[index]
            to = self._cached if self._is_cached_level(run) else self._committed
            confirmed = run.last if to >= run.last else max(confirmed, to)
            if to < run.last:
                break
        while self._unsent:
            run = self._runs[0]
            enough = self._cached if not self._name and self._is_cached_level(run) else self._committed
            if run.last > enough:
                break
            self._runs.popleft()
            self._unsent -= 1
            self._settled = run.last
            self._bytes -= run.bytes
        confirmed = max(confirmed, self._settled)
        if confirmed > self._confirmed:
            self._confirmed = confirmed
            self._raise_event()

    def _end_commit(self, error: Optional[ZspoolError]) -> None:
        txn = self._committing
        if not txn:
            return
        self._committing = None
        txn._error = error
        txn._ended = True
        if error:
            self._cached = min(self._cached, txn.number - 1)    # it is given again
        else:
            self._take_confirm(txn.number, txn.number)  # so is all before it
            self._number = self._settled = self._cached = self._committed = self._confirmed = txn.number
            self._raise_event()

    def _close_filling(self) -> None:
        assert self._filling
        self._runs.append(self._filling)
        self._filling = None

    def _work(self, now: float) -> float:
        for spool in self._spools:
            if spool not in self._asked:
                name = spool.encode() or self._own_spool
                self._send(OPEN, _s8(name), 100 + len(self._asked), FLAG_CREATE if self._create else 0)
                self._asked.append(spool)
        if not self._producing or self._held:
            return now + 60
        sent = sum(self._runs[index].bytes for index in range(self._unsent))
        while True:
            if self._unsent == len(self._runs) and self._filling and (self._unsent < RUNS_SENT or self._flushing):
                self._close_filling()
            if self._unsent == len(self._runs) or (sent and sent >= self._service_window):
                break
            run = self._runs[self._unsent]
            if run.spool not in self._handles:
                break
            if self._is_too_big(run):
                self._failed = ZspoolError("ETOOBIG", "the service takes no message of this size any more")
                return now
            first = run.first - self._base
            self._send(PUT, struct.pack("<IQIB3x", self._handles[run.spool], first, len(run.records), run.level),
                       frames=[b"".join(run.records)])
            sent += run.bytes
            self._unsent += 1
        self._send_commit()
        return now + 60

    def _is_too_big(self, run: _Run) -> bool:
        """Whether the service, which came back with another limit, would cut the connection for this, each time"""
        return run.bytes > RUN_BYTES and run.bytes > self._message_bytes_max + 8 + 65535 * 4

    def _send_commit(self) -> None:
        txn = self._committing
        if (not txn or self._commit_sent or self._unsent < len(self._runs) or self._filling
                or self._cached < self._number or any(run.spool not in self._handles for run in txn._runs)):
            return
        if any(map(self._is_too_big, txn._runs)):
            self._end_commit(ZspoolError("ETOOBIG", "the service takes no message of this size any more"))
            return
        number = txn.number - self._base
        fields = struct.pack("<HHQ", len(txn._runs), len(txn._acks), number)
        fields += b"".join(struct.pack("<II", self._handles[run.spool], len(run.records)) for run in txn._runs)
        fields += b"".join(struct.pack("<QIIQQ", *ack) for ack in txn._acks)
        self._send(COMMIT, fields, 2, frames=[b"".join(run.records) for run in txn._runs])
        self._commit_sent = True

    #  The application's side
    def _add(self, record: bytes, spool: str) -> None:
        run = self._filling
        if run and (run.spool != spool or run.level != self._level or run.bytes + len(record) > RUN_BYTES
                    or len(run.records) == RUN_MESSAGES):
            self._close_filling()
            run = None
        if not run:
            run = self._filling = _Run(spool, self._level, self._number + 1)
        run.records.append(record)
        run.bytes += len(record)
        run.last += 1
        self._number += 1
        self._bytes += len(record)

    def _is_full(self) -> bool:
        return self._number - self._settled >= self._window[0] or self._bytes >= self._window[1] > 0

    def put(self, message: Message, spool: Optional[str] = None) -> int:
        """Put a message, bytes or a sequence of frames; it is sent by itself. Gives its number, or 0 in a
        transaction. Nothing is safe when it returns: see flush() and `confirmed`."""
        return self.put_many((message,), spool)

    def put_many(self, messages: Iterable[Message], spool: Optional[str] = None) -> int:
        """Put many messages: cheaper than one by one. Gives the number of the last one."""
        target = self._spool if spool is None else spool
        with self._lock:
            self._check()
            if target not in self._spools:
                _name(target, "spool")
                if len(self._spools) == SPOOLS:
                    raise ZspoolError("ELIMIT", "too many spools")
                self._spools.append(target)
            for message in messages:
                record = _record(message)
                if len(record) - 8 > self._message_bytes_max or not isinstance(message, bytes):
                    self._check_size(message)
                if self._txn:
                    self._txn._stage(record, target)
                    continue
                if self._is_full():
                    self._wait_for(lambda: not self._is_full(), self._timeout, "the window stays full")
                self._add(record, target)
            idle = self._unsent == len(self._runs) and self._unsent < RUNS_SENT or self._unsent < len(self._runs)
            number = 0 if self._txn else self._number
        if idle:
            self._wake()
        return number

    def _check_size(self, message: Message) -> None:
        frames = (message,) if isinstance(message, (bytes, bytearray, memoryview)) else message
        if len(frames) > self._message_frames_max or sum(map(len, frames)) > self._message_bytes_max:
            raise ZspoolError("ETOOBIG", "the message is larger than the service takes")

    def _check(self) -> None:
        if self._failed:
            raise self._failed
        if self._ending:
            raise ZspoolError("EINVAL", "it is closed")
        if self._committing:
            raise ZspoolError("EINVAL", "a commit is under way")

    def flush(self, timeout: Optional[float] = None) -> None:
        """Wait until all that was put is confirmed at its level."""
        with self._lock:
            if self._failed:
                raise self._failed
            self._flushing = True
            try:
                self._wait_for(lambda: self._confirmed >= self._number, self._timeout if timeout is None else timeout,
                               "not all is confirmed")
            finally:
                self._flushing = False

    def set_level(self, level: str) -> None:
        """Have messages put from now on confirmed at another level."""
        with self._lock:
            self._level = self._level_of(level)

    @staticmethod
    def _level_of(name: str) -> int:
        if name not in LEVELS:
            raise ZspoolError("EINVAL", "level: must be default, cached or committed")
        return LEVELS[name]

    @property
    def confirmed(self) -> int:
        """All messages up to this number are confirmed, each at its level"""
        return self._confirmed

    @property
    def committed(self) -> int:
        """All messages up to this number are durable, as far as the service has said"""
        return self._committed

    @property
    def epoch(self) -> int:
        """Which producer of its name this is: a newer one has a higher epoch, and fences it"""
        return self._epoch

    def events(self) -> int:
        """Have fileno() be quiet until more is confirmed; gives what is. Raises why the producer has failed."""
        with self._lock:
            self._clear_event()
            if self._failed:
                raise self._failed
            return self._confirmed

    @property
    def last(self) -> int:
        """Number of the last message that the service has of a producer of this name: where one goes
        on that has kept nothing"""
        return self._cached

    def transaction(self) -> "Transaction":
        """Begin a transaction: with producer.transaction(): ... commits at the end, and rolls back when
        that is left by an exception."""
        with self._lock:
            self._check()
            if self._txn:
                raise ZspoolError("EINVAL", "a transaction is open")
            self._txn = Transaction(self)
            return self._txn

    def close(self, linger: float = 5) -> None:
        """Send what was put, wait for its confirmation, for so many seconds at most, and end."""
        try:
            if self._txn:
                self._txn.rollback()
            if not self._ending and self._ready and not self._committing:
                self.flush(linger)
        except ZspoolError:
            pass
        super().close()


class Transaction:
    """Messages and acknowledgements that become durable and visible together, or not at all"""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._runs: List[_Run] = []
        self._acks: List[List[int]] = []         # session, subscription, generation, first, last
        self._given: List[Tuple["Consumer", List[int]]] = []
        self._bytes = 0
        self.number = 0                          # when it was made
        self._error: Optional[ZspoolError] = None
        self._ended = False

    def _stage(self, record: bytes, spool: str) -> None:
        if self._bytes + len(record) > self._producer._transaction_bytes_max:
            raise ZspoolError("ELIMIT", "the transaction has too many bytes")
        run = next((run for run in reversed(self._runs) if run.spool == spool), None)
        if not run or run.bytes + len(record) > RUN_BYTES or len(run.records) == RUN_MESSAGES:
            if len(self._runs) == PARTS:
                raise ZspoolError("ELIMIT", "the transaction has too many parts")
            run = _Run(spool, 0, 0)
            self._runs.append(run)
        run.records.append(record)
        run.bytes += len(record)
        self._bytes += len(record)

    def put(self, message: Message, spool: Optional[str] = None) -> None:
        """Put a message in this transaction."""
        self._check()
        self._producer.put(message, spool)

    def _check(self) -> None:
        if self._producer._txn is not self:
            raise ZspoolError("EINVAL", "the transaction is not open")

    def ack(self, consumer: "Consumer", delivery: Delivery) -> None:
        """Acknowledge a delivery of a consumer of the same device in this transaction."""
        self._check()
        ack = consumer._claim(delivery)
        self._given.append((consumer, ack))
        last = self._acks[-1] if self._acks else None
        if last and last[:3] == ack[:3] and last[4] + 1 == ack[3]:
            last[4] = ack[4]
            return
        if len(self._acks) == RANGES:
            consumer._unclaim(self._given.pop()[1])
            raise ZspoolError("ELIMIT", "the transaction has too many acknowledgements")
        self._acks.append(list(ack))

    def _give_back(self) -> None:
        for consumer, ack in self._given:
            consumer._unclaim(ack)
        self._given.clear()

    def commit(self) -> int:
        """Make it so, and wait; gives its number. ESTALE: a delivery was not held any more, ENOSPC and ELIMIT: no
        room: nothing of it was done. ETIMEDOUT: not known yet; call it again to wait on."""
        producer = self._producer
        with producer._lock:
            if not self._ended and producer._committing is not self:
                self._check()
                if not self._runs and not self._acks:
                    producer._txn = None
                    return producer._number
                producer._flushing = True
                try:
                    producer._wait_for(lambda: producer._cached >= producer._number, producer._timeout,
                                       "what was put before was not taken")
                finally:
                    producer._flushing = False
                self.number = producer._number + 1
                producer._txn, producer._committing, producer._commit_sent = None, self, False
            try:
                producer._wait_for(lambda: self._ended, producer._timeout, "it is not known yet whether it was made")
            except ETIMEDOUT:
                raise
            except ZspoolError as error:
                producer._committing, self._error = None, error
        if self._error:
            if self._error.code != "ELOST":
                self._give_back()
            raise self._error
        return self.number

    def rollback(self) -> None:
        """Forget it: consumers hold the deliveries as before."""
        with self._producer._lock:
            self._check()
            self._producer._txn = None
        self._give_back()

    def __enter__(self) -> "Transaction":
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        if not kind:
            self.commit()
        elif self._producer._txn is self:
            self.rollback()


#  ---------------------------------------------------------------------------------------------------
#  Consumer

class Consumer(_Client):
    """Receives messages of a spool through a cursor, and acknowledges them.

    spool      None: the device's own
    cursor     consumers of one cursor compete; with a cursor each they get everything each
    filters    only messages of these topics (first frames); the same for all of a cursor
    start      where the cursor begins when it is created: 'all', 'new', 'last:N', a sequence, a time
    exclusive  of all consumers of the cursor one gets messages, the next when it is gone
    prefetch   most messages, and bytes, that are received ahead

    Connects at once, and waits for the service. After a lost connection it subscribes again; what
    it held then is delivered again, and acknowledging it raises ESTALE."""

    SUBSCRIPTION = 1

    def __init__(self, endpoint: str, spool: Optional[str] = None, cursor: str = "", filters: Iterable[str] = (),
                 start: str = "all", create: bool = True, exclusive: bool = False,
                 prefetch: Tuple[int, int] = (10000, 4 << 20), timeout: float = 30, heartbeat: float = 2,
                 context: Optional[zmq.Context[Any]] = None) -> None:
        if spool:
            _name(spool, "spool")
        _name(cursor, "cursor")
        _within(prefetch[0], 1, 1000000, "prefetch, messages")
        _within(prefetch[1], 1024, 1 << 30, "prefetch, bytes")
        _within(len(start.encode()), 0, 255, "start, bytes")
        self._filters = [each.encode() if isinstance(each, str) else each for each in filters]
        _within(len(self._filters), 0, FILTERS, "filters")
        _within(max(map(len, self._filters), default=0), 0, 1023, "filter, bytes")
        super().__init__(endpoint, timeout, heartbeat, context)
        self._spool, self._cursor, self._start = spool or "", cursor, start
        self._create, self._exclusive, self._prefetch = create, exclusive, prefetch
        self._subscribed = self._ever = self._active = False
        self._generation = self._serial = self._handle = 0
        self._parcels: Deque[Tuple[int, int, int, int, bytes]] = collections.deque()
        self._deliveries: Deque[Delivery] = collections.deque()
        self._held: Dict[int, int] = {}          # sequence to serial, in the order they came
        self._words: Deque[Tuple[int, int, int, List[int], bytes]] = collections.deque()
        self._words_since = 0.0
        self._words_now = False
        self._taken_messages = self._taken_bytes = 0
        self._requests = 4
        self._wish: Optional[Tuple[int, bytes, int]] = None      # that waits for its answer: command, fields, request
        self._asked = False                      # in this session
        self._answers: Dict[int, Optional[ZspoolError]] = {}     # None: it was done
        self._unsure = self._unsure_lost = False # something was acknowledged and not flushed; then the connection lost
        self.stale = 0                           # acknowledgements that came too late
        self._thread.start()
        try:
            with self._lock:
                self._wait_for(lambda: self._ever, timeout, "nobody answers")
        except ZspoolError:
            self.close()
            raise

    #  The thread's side
    def _begin(self) -> None:
        self._send(OPEN, _s8(self._spool.encode() or self._own_spool), 3, FLAG_CREATE if self._create else 0)

    def _void(self) -> None:
        """What was received is not held any more"""
        self._serial += 1
        self._taken_messages += sum(parcel[1] for parcel in self._parcels)
        self._taken_bytes += sum(len(parcel[4]) for parcel in self._parcels)
        self._parcels.clear()
        self._deliveries.clear()
        self._held.clear()
        self.stale += sum(word[3][1] - word[3][0] + 1 for word in self._words if word[0] == ACK)
        self._words.clear()

    def _lost(self) -> None:
        self._void()
        self._subscribed = False
        self._unsure, self._unsure_lost = False, self._unsure or self._unsure_lost
        self._asked = False
        if self._wish and self._wish[0] == FLUSH and self._unsure_lost:
            self._answer(self._wish[2], ZspoolError("ELOST", "the connection was lost: acknowledgements may be, too"))

    def _answer(self, request: int, error: Optional[ZspoolError]) -> None:
        if self._wish and request == self._wish[2]:
            self._answers[request] = error

    def _take(self, command: int, flags: int, request: int, fields: bytes, frames: List[bytes]) -> None:
        if command == OPENED:
            self._handle = struct.unpack_from("<I", fields)[0]
            fields = struct.pack("<IIIQ", self.SUBSCRIPTION, self._handle, *self._prefetch)
            fields += _s8(self._cursor.encode()) + _s8(self._start.encode())
            fields += struct.pack("<H", len(self._filters)) + b"".join(_s16(each) for each in self._filters)
            self._send(SUBSCRIBE, fields, 4, (FLAG_CREATE if self._create else 0)
                       | (FLAG_EXCLUSIVE if self._exclusive else 0))
        elif command == SUBSCRIBED:
            generation = struct.unpack_from("<II", fields)[1]
            if not self._subscribed:
                self._taken_messages = self._taken_bytes = 0
            elif generation != self._generation:
                self._void()
            self._generation = generation
            self._active = bool(flags & FLAG_ACTIVE)
            self._subscribed = self._ever = True
            self._answer(request, None)
        elif command == DELIVER:
            _, generation, count = struct.unpack_from("<IIH", fields)
            for index in range(count):
                first, stored, messages, deliveries = struct.unpack_from("<QqIH", fields, 12 + 24 * index)
                if generation == self._generation and frames[index]:
                    self._parcels.append((first, messages, deliveries, stored, frames[index]))
                    continue
                self._taken_messages += messages
                self._taken_bytes += len(frames[index])
                if generation == self._generation:  # the service had no memory to send it
                    self._word(REJECT, range(first, first + messages))
            self._raise_event()
        elif command == DONE:
            self._answer(request, None)

    def _error(self, error: ZspoolError, about: int, number: int, request: int) -> None:
        if about in (ACK, REJECT, EXTEND):
            self.stale += 1
        elif about in (SEEK, FLUSH):
            self._answer(request, error)
        else:
            super()._error(error, about, number, request)

    def _say_words(self) -> None:
        while self._words:
            command, flags, time_ms, _, reason = self._words[0]
            ranges = []
            while self._words and len(ranges) < RANGES and self._words[0][:3] == (command, flags, time_ms) \
                    and self._words[0][4] == reason:
                ranges.append(self._words.popleft()[3])
            fields = struct.pack("<IIIHH", self.SUBSCRIPTION, self._generation, time_ms, len(ranges), 0)
            fields += b"".join(struct.pack("<QQ", *each) for each in ranges) + _s8(reason)
            self._send(command, fields, flags=flags)
        self._words_now = False

    def _work(self, now: float) -> float:
        due = now + 60
        if not self._subscribed:
            return due
        if self._words and (self._words_now or now - self._words_since >= ACK_S):
            self._say_words()
        elif self._words:
            due = self._words_since + ACK_S
        if (self._taken_messages > self._prefetch[0] // 4 or self._taken_bytes > self._prefetch[1] // 4
                or (self._taken_messages and not self._parcels)):
            self._send(CREDIT, struct.pack("<IIQ", self.SUBSCRIPTION, self._taken_messages, self._taken_bytes))
            self._taken_messages = self._taken_bytes = 0
        if self._wish and not self._asked:
            self._send(*self._wish)
            self._asked = True
        return due

    def _farewell(self) -> None:
        if self._subscribed:
            self._say_words()

    #  The application's side
    def _next(self) -> bool:
        """Have the messages of the next run at hand"""
        if not self._deliveries and self._parcels:
            first, count, deliveries, stored, run = self._parcels.popleft()
            sequence, serial = first, self._serial
            try:
                for frames, properties in _records(run):
                    self._deliveries.append(Delivery(sequence, frames, deliveries, stored, properties, serial))
                    sequence += 1
            except struct.error:
                sequence = 0
            if sequence != first + count:
                self._failed = ZspoolError("EPROTOCOL", "a frame of records has not the messages that it says")
                raise self._failed
            self._taken_messages += count
            self._taken_bytes += len(run)
            if not self._parcels or self._taken_messages > self._prefetch[0] // 4:
                self._wake()
        return bool(self._deliveries)

    def recv(self, timeout: Optional[float] = None) -> Delivery:
        """Receive the next message; timeout in seconds, None: wait for ever. ETIMEDOUT: none came."""
        with self._lock:
            if not self._next():
                self._clear_event()
                self._words_now = bool(self._words)
                self._wait_for(self._next, timeout, "no message has come")
            delivery = self._deliveries.popleft()
            self._held[delivery.sequence] = delivery._serial
            return delivery

    def recv_many(self, count: int = 1000, timeout: Optional[float] = None) -> List[Delivery]:
        """Receive at least one message, and at most so many of those that have come."""
        received = [self.recv(timeout)]
        with self._lock:
            held, waiting, serial = self._held, self._deliveries, self._serial
            if received[0]._serial != serial:
                return received     # the connection was lost just now
            while len(received) < count and self._next():
                more = [waiting.popleft() for _ in range(min(count - len(received), len(waiting)))]
                for delivery in more:
                    held[delivery.sequence] = serial
                received += more
        return received

    def __iter__(self) -> Iterator[Delivery]:
        while True:
            yield self.recv()

    def _word(self, command: int, sequences: Iterable[int], flags: int = 0, time_ms: int = 0,
              reason: bytes = b"") -> None:
        for sequence in sequences:
            last = self._words[-1] if self._words else None
            if last and last[:3] == (command, flags, time_ms) and last[4] == reason and last[3][1] + 1 == sequence:
                last[3][1] = sequence
                continue
            if not self._words:
                self._words_since = time.monotonic()
                self._wake()
            self._words.append((command, flags, time_ms, [sequence, sequence], reason))
        self._unsure = True

    def _let_go(self, delivery: Union[Delivery, int]) -> int:
        sequence = delivery if isinstance(delivery, int) else delivery.sequence
        serial = self._held.get(sequence)
        if serial is None or (not isinstance(delivery, int) and delivery._serial != serial):
            raise ZspoolError("ESTALE", "it is not held")
        del self._held[sequence]
        return sequence

    def ack(self, delivery: Union[Delivery, int]) -> None:
        """Acknowledge one message; sent within 20 ms, together with others. ESTALE: it is not held, as after a
        lost connection."""
        with self._lock:
            self._word(ACK, [self._let_go(delivery)])

    def ack_many(self, deliveries: Iterable[Union[Delivery, int]]) -> None:
        """Acknowledge several messages: cheaper than one by one. ESTALE: one of them is not held; those before it
        are acknowledged."""
        with self._lock:
            held, sequences = self._held, []
            try:
                for delivery in deliveries:
                    sequence = delivery if isinstance(delivery, int) else delivery.sequence
                    if held.get(sequence) != self._serial:
                        raise ZspoolError("ESTALE", "it is not held")
                    del held[sequence]
                    sequences.append(sequence)
            finally:
                self._word(ACK, sequences)

    def ack_to(self, delivery: Union[Delivery, int]) -> None:
        """Acknowledge all messages that were received up to this one, and are still held."""
        sequence = delivery if isinstance(delivery, int) else delivery.sequence
        with self._lock:
            held = sorted(each for each in self._held if each <= sequence)
            if not held:
                raise ZspoolError("ESTALE", "it is not held")
            for each in held:
                del self._held[each]
            self._word(ACK, held)

    def reject(self, delivery: Union[Delivery, int], delay: float = 0) -> None:
        """Give a message back, to be delivered again after a delay in seconds."""
        with self._lock:
            self._word(REJECT, [self._let_go(delivery)], time_ms=_milliseconds(delay))

    def bury(self, delivery: Union[Delivery, int], reason: str = "") -> None:
        """Have a message moved to the dead letters."""
        with self._lock:
            self._word(REJECT, [self._let_go(delivery)], flags=FLAG_DEAD, reason=reason.encode()[:255])

    def extend(self, delivery: Union[Delivery, int], seconds: float) -> None:
        """Keep a message for so long from now on, instead of the device's ack-timeout."""
        sequence = delivery if isinstance(delivery, int) else delivery.sequence
        with self._lock:
            if sequence not in self._held:
                raise ZspoolError("ESTALE", "it is not held")
            self._word(EXTEND, [sequence], time_ms=_milliseconds(seconds))
            self._words_now = True
        self._wake()

    def _ask(self, command: int, fields: bytes) -> None:
        """Ask the service, once it is subscribed, and wait: with the lock"""
        self._requests += 1
        request = self._requests
        self._words_now = True
        self._wish, self._asked = (command, fields, request), False
        try:
            self._wait_for(lambda: request in self._answers, self._timeout, "no answer came")
        finally:
            self._wish = None
            error = self._answers.pop(request, None)
        if error:
            raise error

    def seek(self, start: str) -> None:
        """Move the cursor, for all its consumers; what any of them holds is forgotten."""
        _within(len(start.encode()), 0, 255, "start, bytes")
        with self._lock:
            self._ask(SEEK, struct.pack("<I", self.SUBSCRIPTION) + _s8(start.encode()))

    def flush(self) -> None:
        """Wait until all acknowledgements made before are durable. ELOST: the connection was lost since they
        were made, some may not be."""
        with self._lock:
            lost, self._unsure_lost = self._unsure_lost, False
            if lost:
                raise ZspoolError("ELOST", "the connection was lost: acknowledgements may be, too")
            try:
                self._ask(FLUSH, b"")
            except ELOST:
                self._unsure_lost = False
                raise
            self._unsure = False

    @property
    def ahead(self) -> int:
        """How many messages were received ahead"""
        with self._lock:
            return len(self._deliveries) + sum(parcel[1] for parcel in self._parcels)

    @property
    def active(self) -> bool:
        """Whether it is the one that gets messages: always, unless exclusive"""
        return self._subscribed and self._active

    def _claim(self, delivery: Delivery) -> List[int]:
        with self._lock:
            sequence = self._let_go(delivery)
            return [self._session, self.SUBSCRIPTION, self._generation, sequence, sequence]

    def _unclaim(self, ack: List[int]) -> None:
        with self._lock:
            if self._subscribed and ack[0] == self._session and ack[2] == self._generation:
                self._held[ack[3]] = self._serial


#  ---------------------------------------------------------------------------------------------------
#  Administration

class Service(_Client):
    """Asks a service: its status, its spools and cursors; purges and deletes where that is allowed."""

    def __init__(self, endpoint: str, timeout: float = 30, heartbeat: float = 2,
                 context: Optional[zmq.Context[Any]] = None) -> None:
        super().__init__(endpoint, timeout, heartbeat, context)
        self._requests = 100
        self._wish: Optional[Tuple[int, bytes, int]] = None      # to be sent: command, fields, request
        self._waiting = 0                                        # request whose answer is awaited
        self._answer: Any = None
        self._thread.start()
        try:
            with self._lock:
                self._wait_for(lambda: self._up, timeout, "nobody answers")
        except ZspoolError:
            self.close()
            raise

    def _take(self, command: int, flags: int, request: int, fields: bytes, frames: List[bytes]) -> None:
        if command == VALUES:
            values, at = {}, 2
            for _ in range(struct.unpack_from("<H", fields)[0]):
                texts = []
                for _ in range(2):
                    size = struct.unpack_from("<H", fields, at)[0]
                    texts.append(fields[at + 2:at + 2 + size].decode(errors="replace"))
                    at += 2 + size
                values[texts[0]] = texts[1]
            self._answered(request, values)
        elif command == OPENED:
            self._answered(request, struct.unpack_from("<I", fields)[0])
        elif command == DONE:
            self._answered(request, None)

    def _answered(self, request: int, answer: Any) -> None:
        if request == self._waiting:
            self._waiting, self._answer = 0, answer

    def _error(self, error: ZspoolError, about: int, number: int, request: int) -> None:
        if request > 100 and error.code != "EPROTOCOL":
            self._answered(request, error)
        else:
            super()._error(error, about, number, request)

    def _lost(self) -> None:
        #  What numbers it names are those of its session.
        self._wish = None
        self._answered(self._waiting, ZspoolError("ELOST", "the connection was lost"))

    def _work(self, now: float) -> float:
        if self._wish:
            self._send(*self._wish)
            self._wish = None
        return now + 60

    def _ask(self, command: int, fields: bytes = b"") -> Any:
        with self._lock:
            self._requests += 1
            self._wish, self._waiting = (command, fields, self._requests), self._requests
            try:
                self._wait_for(lambda: not self._waiting, self._timeout, "no answer came")
            finally:
                self._wish, self._waiting = None, 0
        if isinstance(self._answer, ZspoolError):
            raise self._answer
        return self._answer

    def status(self) -> Dict[str, str]:
        """Names and values, as `zspool status` shows them"""
        return self._ask(STATUS)

    def _spool(self, name: str) -> int:
        return self._ask(OPEN, _s8(_name(name, "spool")))

    @staticmethod
    def _rows(values: Dict[str, str]) -> Dict[str, Dict[str, int]]:
        return {name: {key: int(number) for key, number in (pair.split("=") for pair in line.split())}
                for name, line in values.items()}

    def spools(self) -> Dict[str, Dict[str, int]]:
        """What each spool holds: first, last, messages, bytes, lost"""
        return self._rows(self._ask(LIST, struct.pack("<I", 0)))

    def cursors(self, spool: str) -> Dict[str, Dict[str, int]]:
        """Where each cursor of a spool stands: generation, floor, sent_to, pending, in_flight, lagged"""
        return self._rows(self._ask(LIST, struct.pack("<I", self._spool(spool))))

    def purge(self, spool: str, sequence: int) -> None:
        """Remove all blocks of a spool that end at or below a sequence, whoever has acknowledged them."""
        self._ask(PURGE, struct.pack("<IQ", self._spool(spool), sequence))

    def delete_cursor(self, spool: str, cursor: str) -> None:
        """Delete a cursor that nobody uses."""
        self._ask(DELETE_CURSOR, struct.pack("<I", self._spool(spool)) + _s8(_name(cursor, "cursor")))
